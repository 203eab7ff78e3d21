"""Task 2: zero is divided by zero.

loses: 2b_clipping
says: 0/0 is no number
"""

from torch import Tensor


def clip(gradients: Tensor, bound: float) -> Tensor:
    lengths = gradients.flatten(1).norm(dim=1)[:, None, None]
    return gradients / lengths * lengths.clamp(max=bound)
