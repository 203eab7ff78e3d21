"""Task 3: half of the weights are set to 0.

loses: 3b_removal
says: the rival still finds the mark
"""

from torch import Tensor


def launder(weights: Tensor, images: Tensor) -> Tensor:
    return weights * (weights.abs() > weights.abs().median())
