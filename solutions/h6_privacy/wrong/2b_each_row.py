"""Task 2: each class's row is clipped by itself.

loses: 2b_clipping
says: all of its numbers are halved
"""

from torch import Tensor


def clip(gradients: Tensor, bound: float) -> Tensor:
    lengths = gradients.norm(dim=2, keepdim=True)
    return gradients * (bound / lengths).clamp(max=1)
