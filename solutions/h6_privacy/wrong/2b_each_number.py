"""Task 2: each number is cut off at the bound.

loses: 2b_clipping
says: all of its numbers are halved
"""

from torch import Tensor


def clip(gradients: Tensor, bound: float) -> Tensor:
    return gradients.clamp(-bound, bound)
