"""Feature squeezing: an image whose class changes when its details go was perhaps made of details."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_images, check_logits, check_numbers
from tml_helpers.training import predict

Squeezer = Callable[[Tensor], Tensor]
"""Images `[N, C, H, W]` in [0, 1] to images of the same shape with less in them."""

BATCH = 512  # images at a time: a median filter holds size² copies of each


def reduce_bit_depth(images: Tensor, *, bits: int) -> Tensor:
    """round(x · (2ᵇ − 1)) / (2ᵇ − 1): each pixel has 2ᵇ values left; one bit is black and white.

    Args:
        images: x, `[N, C, H, W]` in [0, 1].
        bits: b, a whole number from 1 to 8.

    Returns:
        Images of the same shape, whose gradient is zero.

    Raises:
        TypeError: bits that are no whole number, or images of another type.
        ValueError: bits outside 1…8, or images of another shape or outside [0, 1].

    Source: Xu, Evans and Qi, 2018. Derived in: lectures/20_adversarial/defenses.
    """
    check_images(nn.Identity(), images)
    if isinstance(bits, bool) or not isinstance(bits, int):
        raise TypeError(f"bits must be a whole number in 1…8, got {bits!r}")
    if not 1 <= bits <= 8:
        raise ValueError(f"bits must lie in 1…8, got {bits}")
    steps = 2**bits - 1
    squeezed: Tensor = (images * steps).round() / steps
    return squeezed


def median_filter(images: Tensor, *, size: int) -> Tensor:
    """The median of the `size` × `size` pixels around each pixel, in each channel; of an even number, the upper one.

    Args:
        images: `[N, C, H, W]` in [0, 1], mirrored at their edges.
        size: a whole number from 1 to the shorter side. The middle of an even window is its lower right pixel of four.

    Returns:
        Images of the same shape.

    Raises:
        TypeError: a size that is no whole number, or images of another type.
        ValueError: a window that is larger than the image, or images of another shape or outside [0, 1].

    Source: Xu, Evans and Qi, 2018. Derived in: lectures/20_adversarial/defenses.
    """
    check_images(nn.Identity(), images)
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"size must be a whole number of pixels, got {size!r}")
    if not 1 <= size <= min(images.shape[2:]):
        raise ValueError(f"size must lie in 1…{min(images.shape[2:])}, the images' shorter side, got {size}")
    for dim in (2, 3):
        images = images.index_select(dim, mirrored(images.shape[dim], size).to(images.device))
    windows = images.unfold(2, size, 1).unfold(3, size, 1).flatten(4)  # [N, C, H, W, size²]
    median: Tensor = windows.kthvalue(size**2 // 2 + 1, dim=4).values
    return median


def mirrored(length: int, size: int) -> Tensor:
    """Indices −⌊size/2⌋ … length − 1 + ⌊(size − 1)/2⌋, with those beyond an edge mirrored at it."""
    index = torch.arange(-(size // 2), length + (size - 1) // 2, device="cpu")
    index = torch.where(index < 0, -1 - index, index)
    return torch.where(index >= length, 2 * length - 1 - index, index)


class FeatureSqueezing(nn.Module):
    """max over squeezers of ‖softmax(f(x)) − softmax(f(squeeze(x)))‖₁ above a threshold: x is called adversarial.

    As a network it answers as f does, and rejects nothing: `attacks.evaluate` judges f, `detect` says what is rejected.

    Args:
        model: f, maps images `[N, C, H, W]` to logits `[N, K]`.
        squeezers: functions from images to images of the same shape, as `lambda x: median_filter(x, size=3)`. None
            takes the authors' for MNIST: one bit, and a median filter of 2 × 2; for colour images they take 5 bits, the
            same filter, and non-local means, which is not here.

    Raises:
        ValueError: no squeezer.

    Source: Xu, Evans and Qi, 2018. Derived in: lectures/20_adversarial/defenses.
    """

    def __init__(self, model: nn.Module, *, squeezers: Sequence[Squeezer] | None = None) -> None:
        if squeezers is None:
            squeezers = [partial(reduce_bit_depth, bits=1), partial(median_filter, size=2)]
        if len(squeezers) == 0:
            raise ValueError("squeezers must be one function or more; None takes one bit and a 2 × 2 median")
        super().__init__()
        self.model, self.squeezers = model, list(squeezers)
        self.threshold: float | None = None

    def forward(self, images: Tensor) -> Tensor:
        """The model's logits `[N, K]`."""
        logits: Tensor = self.model(images)
        return logits

    def score(self, images: Tensor) -> Tensor:
        """How far the answer moves when the image is squeezed.

        Args:
            images: `[N, C, H, W]` in [0, 1], where the model is.

        Returns:
            `[N]`, from 0 (not at all) to 2.

        Raises:
            TypeError: images of another type or elsewhere.
            ValueError: images of another shape or outside [0, 1].
        """
        check_images(self.model, images)
        return torch.cat([self._score(part) for part in images.split(BATCH)])

    def calibrate(self, images: Tensor, *, false_positive_rate: float = 0.05) -> float:
        """Set the threshold that at most this share of clean images exceeds.

        Args:
            images: clean ones, as of `score`.
            false_positive_rate: the share, in [0, 1).

        Returns:
            The threshold, the smallest that will do.

        Raises:
            ValueError: a share outside of its range, or images as of `score`.
        """
        check_numbers(false_positive_rate=false_positive_rate)
        if not 0 <= false_positive_rate < 1:
            raise ValueError(f"false_positive_rate must lie in [0, 1), got {false_positive_rate}")
        scores = self.score(images).sort().values
        kept = math.ceil(len(scores) * (1 - false_positive_rate) - 1e-9)  # 1e-9: 0.95 · 100 is not more than 95
        self.threshold = float(scores[kept - 1])
        return self.threshold

    def detect(self, images: Tensor) -> Tensor:
        """Whether each image is called adversarial.

        Args:
            images: as of `score`.

        Returns:
            `[N]`, bool: whose score is above the threshold.

        Raises:
            ValueError: there is no threshold before `calibrate`, or images as of `score`.
        """
        if self.threshold is None:
            raise ValueError("there is no threshold yet: call calibrate with clean images first")
        return self.score(images) > self.threshold

    def _score(self, images: Tensor) -> Tensor:
        logits = predict(self.model, images)
        check_logits(logits)
        answer = F.softmax(logits, dim=1)
        squeezed = [F.softmax(predict(self.model, squeeze(images)), dim=1) for squeeze in self.squeezers]
        return torch.stack([(answer - other).abs().sum(dim=1) for other in squeezed]).amax(dim=0)
