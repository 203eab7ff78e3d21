"""Task 2: the length is the sum of the absolute values.

loses: 2b_clipping
says: the first gradient has length 10
"""

from torch import Tensor


def clip(gradients: Tensor, bound: float) -> Tensor:
    lengths = gradients.flatten(1).abs().sum(dim=1)
    return gradients * (bound / lengths).clamp(max=1)[:, None, None]
