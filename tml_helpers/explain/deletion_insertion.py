"""Delete an image's pixels in a map's order, or insert them, and watch the answer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_counts, evaluating
from tml_helpers.explain._common import baseline_like, check_explainable, check_home, scores
from tml_helpers.kernels.superpixels import superpixels

BLUR = 11, 5.0  # side and standard deviation, in pixels, of the blur that hides what insertion then shows


@dataclass(frozen=True, eq=False)
class Curves:
    """How probable the target is while an image's pixels are deleted, and while they are inserted."""

    shares: Tensor
    """Of the pixels that were changed, `[steps + 1]`, from 0 to 1."""
    deletion: Tensor
    """The target's probability after each share was deleted, `[N, steps + 1]`."""
    insertion: Tensor
    """The target's probability after each share was inserted, `[N, steps + 1]`."""

    @property
    def deletion_area(self) -> Tensor:
        """Area under each deletion curve, `[N]`: small for a map that puts first what the answer needs."""
        return torch.trapezoid(self.deletion, self.shares)

    @property
    def insertion_area(self) -> Tensor:
        """Area under each insertion curve, `[N]`: large for a map that puts first what is enough for the answer."""
        return torch.trapezoid(self.insertion, self.shares)


def deletion_insertion(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    maps: Tensor,
    steps: int = 50,
    deletion_baseline: Tensor | float = 0.0,
    insertion_baseline: Tensor | float | None = None,
    batch_size: int = 16,
) -> Curves:
    """p_t after the first 0, 1, …, `steps` shares of the pixels, in the order of `maps`, were deleted or inserted.

    Args:
        model, images, targets: as of `saliency`.
        maps: `[N, H, W]`, finite, where the images are: the largest value goes first, and of equals the one that comes
            first in the picture.
        steps: how many shares, from 1 to the pixels of an image.
        deletion_baseline: what takes the place of deleted pixels, finite: a number, or what broadcasts to the images.
        insertion_baseline: into what pixels are inserted, alike: the blurred image unless given.
        batch_size: how many changed images go through the model at a time.

    Returns:
        The curves, whose areas are from 0 to 1.

    Raises:
        TypeError: another kind, type or device.
        ValueError: as of `saliency`, maps that give no order, more steps than pixels, or a baseline that does not fit.

    Source: Petsiuk, Das and Saenko, 2018. Derived in: lectures/40_interpretability/when_explanations_lie
    """
    check_explainable(model, images, targets)
    check_counts(steps=steps, batch_size=batch_size)
    _check_maps(maps, images, steps)
    images = images.detach()
    blank = baseline_like(deletion_baseline, images)
    veil = blurred(images) if insertion_baseline is None else baseline_like(insertion_baseline, images)
    count = maps[0].numel()
    places = maps.detach().flatten(1).argsort(dim=1, descending=True, stable=True)
    groups = torch.arange(count, device=images.device) * steps // count  # of the pixels in their order
    segments = torch.empty_like(places).scatter_(1, places, groups.expand_as(places)).view(maps.shape)
    changed = torch.ones(steps + 1, steps, dtype=torch.bool, device=images.device).tril(-1)  # row k: k groups
    curves = [
        torch.stack(
            [
                _probabilities(model, image, target, order, masks, fill, batch_size)
                for image, target, order, fill in zip(images, targets, segments, fills, strict=True)
            ]
        )
        for masks, fills in ((~changed, blank), (changed, veil))
    ]
    shares = torch.searchsorted(groups, torch.arange(steps + 1, device=images.device)).to(images.dtype) / count
    return Curves(shares, *curves)


def blurred(images: Tensor) -> Tensor:
    """The images under a Gaussian blur; at the border the last pixel is repeated."""
    side, sigma = BLUR
    offsets = torch.arange(side, dtype=images.dtype, device=images.device) - side // 2
    bell = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (bell / bell.sum()).expand(images.shape[1], 1, 1, side)
    wide = F.pad(images, (side // 2,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(wide, kernel, groups=len(kernel)), kernel.transpose(2, 3), groups=len(kernel))


@torch.no_grad()
def _probabilities(
    model: nn.Module, image: Tensor, target: Tensor, segments: Tensor, masks: Tensor, fill: Tensor, batch_size: int
) -> Tensor:
    """The target's probability for one image under each mask."""
    parts = []
    with evaluating(model):
        for rows in masks.split(batch_size):
            logits = model(superpixels(image, segments, rows, fill=fill, channels_last=not image.is_cuda))
            scores(logits, target.expand(len(rows)))
            parts.append(logits.to(image.dtype).softmax(dim=1)[:, target])
    return torch.cat(parts)


def _check_maps(maps: Tensor, images: Tensor, steps: int) -> None:
    n, c, h, w = images.shape
    if not isinstance(maps, Tensor) or maps.shape != (n, h, w):
        got = list(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        remedy = ": sum or take the largest over the channels" if got == [n, c, h, w] else ""
        raise ValueError(f"maps must be a tensor {[n, h, w]}, got {got}{remedy}")
    check_home("maps", maps, images)
    if not torch.isfinite(maps).all():
        raise ValueError("maps must be finite: an order of the pixels needs numbers")
    if steps > h * w:
        raise ValueError(f"steps must be at most the {h * w} pixels of an image, got {steps}")
