"""Task 2: short gradients are made longer.

loses: 2b_clipping
says: the second has length 0.5 and is short enough
"""

from torch import Tensor


def clip(gradients: Tensor, bound: float) -> Tensor:
    lengths = gradients.flatten(1).norm(dim=1).clamp(min=1e-12)
    return gradients * (bound / lengths)[:, None, None]
