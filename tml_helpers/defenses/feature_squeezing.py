"""Feature squeezing: an image whose class changes when its details go was perhaps made of details."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers._checks import check_images
from tml_helpers.training import predict

Squeezer = Callable[[Tensor], Tensor]
"""Images `[N, C, H, W]` in [0, 1] to images of the same shape with less in them."""

BATCH = 512  # images at a time: a median filter holds size² copies of each


def reduce_bit_depth(images: Tensor, bits: int) -> Tensor:
    """round(x · (2ᵇ − 1)) / (2ᵇ − 1): each pixel has 2ᵇ values left; one bit is black and white.

    `images` of any shape with values in [0, 1]; the gradient is zero. Raises ValueError for bits outside 1…8.
    Source: Xu, Evans and Qi, 2018. Derived in: lectures/20_adversarial/defenses.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"bits must lie in 1…8, got {bits}")
    steps = 2**bits - 1
    squeezed: Tensor = (images * steps).round() / steps
    return squeezed


def median_filter(images: Tensor, size: int) -> Tensor:
    """The median of the `size` × `size` pixels around each pixel, in each channel; of an even number, the upper one.

    `images` `[N, C, H, W]`, mirrored at their edges; the middle of an even window is its lower right pixel of four.
    Raises ValueError for a window that is larger than the image. Source: Xu, Evans and Qi, 2018.
    Derived in: lectures/20_adversarial/defenses.
    """
    if not 1 <= size <= min(images.shape[2:]):
        raise ValueError(f"size must lie in 1…{min(images.shape[2:])}, the images' shorter side, got {size}")
    for dim in (2, 3):
        images = images.index_select(dim, mirrored(images.shape[dim], size).to(images.device))
    windows = images.unfold(2, size, 1).unfold(3, size, 1).flatten(4)  # [N, C, H, W, size²]
    median: Tensor = windows.kthvalue(size**2 // 2 + 1, dim=4).values
    return median


def mirrored(length: int, size: int) -> Tensor:
    """Indices −⌊size/2⌋ … length − 1 + ⌊(size − 1)/2⌋, with those beyond an edge mirrored at it."""
    index = torch.arange(-(size // 2), length + (size - 1) // 2)
    index = torch.where(index < 0, -1 - index, index)
    return torch.where(index >= length, 2 * length - 1 - index, index)


class FeatureSqueezing:
    """max over squeezers of ‖softmax(f(x)) − softmax(f(squeeze(x)))‖₁ above a threshold: x is called adversarial.

    The default squeezers are the authors' for MNIST: one bit, and a median filter of 2 × 2; for colour images they
    take 5 bits, the same filter, and non-local means, which is not here. A squeezer is any function from images to
    images, as `lambda x: median_filter(x, 3)`.

    Raises ValueError for no squeezer, and TypeError or ValueError for images that no attack is defined on.
    Source: Xu, Evans and Qi, 2018. Derived in: lectures/20_adversarial/defenses.
    """

    def __init__(self, model: nn.Module, squeezers: Sequence[Squeezer] | None = None) -> None:
        if squeezers is None:
            squeezers = [partial(reduce_bit_depth, bits=1), partial(median_filter, size=2)]
        if len(squeezers) == 0:
            raise ValueError("squeezers must be one function or more; None takes one bit and a 2 × 2 median")
        self.model, self.squeezers = model, list(squeezers)
        self.threshold: float | None = None

    def score(self, images: Tensor) -> Tensor:
        """How far the answer moves when the image is squeezed, `[N]`, from 0 (not at all) to 2."""
        check_images(self.model, images)
        return torch.cat([self._score(part) for part in images.split(BATCH)])

    def calibrate(self, images: Tensor, *, false_positive_rate: float = 0.05) -> float:
        """Set and return the threshold that at most this share of clean `images` exceeds."""
        if not 0 <= false_positive_rate < 1:
            raise ValueError(f"false_positive_rate must lie in [0, 1), got {false_positive_rate}")
        scores = self.score(images).sort().values
        kept = math.ceil(len(scores) * (1 - false_positive_rate) - 1e-9)  # 1e-9: 0.95 · 100 is not more than 95
        self.threshold = float(scores[kept - 1])
        return self.threshold

    def detect(self, images: Tensor) -> Tensor:
        """Whether each image is called adversarial, `[N]`, bool. Raises ValueError before `calibrate`."""
        if self.threshold is None:
            raise ValueError("there is no threshold yet: call calibrate with clean images first")
        return self.score(images) > self.threshold

    def _score(self, images: Tensor) -> Tensor:
        answer = F.softmax(predict(self.model, images), dim=1)
        squeezed = [F.softmax(predict(self.model, squeeze(images)), dim=1) for squeeze in self.squeezers]
        return torch.stack([(answer - other).abs().sum(dim=1) for other in squeezed]).amax(dim=0)
