"""Images on which two ways of computing a gradient agree up to rounding, whatever the processor."""

import torch
from torch import Tensor


def untied(images: Tensor) -> Tensor:
    """The images in float64, paler and with a grain.

    On flat ground the maxima of a pooling layer tie, and the last digit of a sum says which of them gets the gradient:
    another batch size, memory layout or processor, and the gradient is another one.
    """
    grain = torch.rand(images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return 0.05 + 0.8 * images.double() + 0.1 * grain
