"""Task 1: the sign is that of a bit read wrong.

loses: 1a_penalty
says: the first bit is 1 and read as 2, right
"""

from torch import Tensor
from torch.nn import functional as F


def penalty(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    return F.softplus(signs * (carrier @ weights)).mean()
