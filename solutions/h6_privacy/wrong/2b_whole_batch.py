"""Task 2: the batch has one length, and one factor.

loses: 2b_clipping
says: all of its numbers are halved
"""

from torch import Tensor


def clip(gradients: Tensor, bound: float) -> Tensor:
    return gradients * min(1.0, bound / float(gradients.norm()))
