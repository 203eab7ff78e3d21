"""Two rounds of masks: an answer that no patch of a known size can change, from any classifier."""

import itertools
import math

import torch
from torch import Tensor, nn

from tml_helpers.common import check_counts, check_images, check_labels, check_logits, evaluating


class PatchCleanser(nn.Module):
    """The class on which the masked images agree; a mask that lies over a patch takes its word away.

    Masks are so wide and so dense that one of them covers the patch wherever it lies. Round one asks for the image
    under each mask. If the classes agree, that is the answer. If not, each mask that disagrees with the majority is
    kept, and round two puts every mask beside it: if all those classes agree, that mask had covered the patch, and its
    class is the answer. Otherwise it is the majority's.

    As a network it answers with the mean logits of the masked images that decided, so that its class is theirs.

    Args:
        model: maps images `[N, C, H, W]` to logits `[N, K]`. It should bear masks: train it with some.
        size: the side of the largest patch, in pixels; 1 or more.
        masks: how many masks a side, 1 or more: there are masks² of them, and up to masks⁴ questions an image.
        fill: the grey value under a mask, from 0 to 1.
        batch_size: masked images that go through the model at once; 1 or more.

    Raises:
        TypeError: a number that should be whole is not.
        ValueError: a number out of its range.

    Source: Xiang, Mahloujifar and Mittal, 2022. Derived in: lectures/20_adversarial/in_the_world.
    """

    def __init__(
        self, model: nn.Module, *, size: int, masks: int = 4, fill: float = 0.5, batch_size: int = 256
    ) -> None:
        check_counts(size=size, masks=masks, batch_size=batch_size)
        if not 0 <= fill <= 1:
            raise ValueError(f"fill is a grey value from 0 to 1, got {fill}")
        super().__init__()
        self.model, self.size, self.masks, self.fill, self.batch_size = model, size, masks, fill, batch_size

    def forward(self, images: Tensor) -> Tensor:
        """Mean logits of the masked images that decided, `[N, K]`."""
        check_images(self.model, images)
        cover = self.cover(images)
        with evaluating(self.model):
            rounds = zip(images.split(1), self._asked(images, cover), strict=True)
            return torch.stack([self._decided(image, first, cover) for image, first in rounds])

    @torch.no_grad()
    def certified(self, images: Tensor, labels: Tensor) -> Tensor:
        """Whether the image is called its label under every pair of masks: then no patch of this size changes that.

        Args:
            images: `[N, C, H, W]` in [0, 1], without a patch, where the model is.
            labels: `[N]`, int64.

        Returns:
            `[N]`, bool.

        Raises:
            TypeError, ValueError: images, labels or logits of another kind; an image that a mask would cover whole.
        """
        check_images(self.model, images)
        check_labels("labels", labels, images)
        pairs = torch.stack([a | b for a, b in itertools.combinations_with_replacement(self.cover(images), 2)])
        with evaluating(self.model):
            logits = self._asked(images, pairs)
        check_logits(logits[:, 0], labels=labels)
        agree: Tensor = (logits.argmax(2) == labels[:, None]).all(1)
        return agree

    def cover(self, images: Tensor) -> Tensor:
        """The masks for images of this shape.

        Args:
            images: `[N, C, H, W]`.

        Returns:
            `[masks², H, W]`, bool, True under the mask: every square of `size` pixels lies wholly under one of them.

        Raises:
            ValueError: a mask would cover a whole side of the image.
        """
        height, width = images.shape[2:]
        rows, columns = (self._strips(length, images.device) for length in (height, width))
        return (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)

    def _strips(self, length: int, device: torch.device) -> Tensor:
        """`[≤ masks, length]`: intervals of one width, every `size` neighbours wholly in one."""
        stride = math.ceil((length - self.size + 1) / self.masks)
        wide = self.size + stride - 1
        if not self.size <= length or wide >= length:
            raise ValueError(
                f"a patch of {self.size} pixels needs masks {wide} wide, of {length} pixels in all: take more masks"
            )
        starts = torch.arange(0, length - self.size + 1, stride, device=device).clamp(max=length - wide)
        place = torch.arange(length, device=device)
        return (starts[:, None] <= place) & (place < starts[:, None] + wide)

    def _asked(self, images: Tensor, masks: Tensor) -> Tensor:
        """Logits of each image `[N, C, H, W]` under each mask `[M, H, W]`: `[N, M, K]`."""
        every = torch.cartesian_prod(*(torch.arange(len(part), device=images.device) for part in (images, masks)))
        answers = [
            self.model(torch.where(masks[mask][:, None], self.fill, images[image]))
            for image, mask in (part.unbind(1) for part in every.split(self.batch_size))
        ]
        check_logits(answers[0])
        return torch.cat(answers).view(len(images), len(masks), -1)

    def _decided(self, image: Tensor, first: Tensor, cover: Tensor) -> Tensor:
        """Mean logits of the masked images of round one or two that decide for an image `[1, C, H, W]`."""
        answers = first.argmax(1)
        majority = answers.mode().values
        for place in (answers != majority).nonzero().flatten():
            second = self._asked(image, cover | cover[place])[0]
            if (second.argmax(1) == answers[place]).all():
                return second.mean(dim=0)
        return first[answers == majority].mean(dim=0)
