"""Task 1: what would overflow is cut off.

loses: 1a_penalty
says: a bit that is read as -200 and should be 1 costs 200
"""

import torch
from torch import Tensor


def penalty(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    margins = (signs * (carrier @ weights)).clamp(min=-50)
    return torch.log1p(torch.exp(-margins)).mean()
