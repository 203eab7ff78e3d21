"""Task 2: all are shortened by the factor of the longest.

loses: 2b_clipping
says: the second has length 0.5 and is short enough
"""

from torch import Tensor


def clip(gradients: Tensor, bound: float) -> Tensor:
    longest = float(gradients.flatten(1).norm(dim=1).max())
    return gradients * min(1.0, bound / longest)
