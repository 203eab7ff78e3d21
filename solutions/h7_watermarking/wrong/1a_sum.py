"""Task 1: the sum over the bits, not the mean.

loses: 1a_penalty
says: The penalty is their mean
"""

from torch import Tensor
from torch.nn import functional as F


def penalty(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    return F.softplus(-signs * (carrier @ weights)).sum()
