"""Task 1: exponentials of large numbers.

loses: 1a_penalty
says: exp(200) overflows
"""

import torch
from torch import Tensor


def penalty(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    return torch.log(1 + torch.exp(-signs * (carrier @ weights))).mean()
