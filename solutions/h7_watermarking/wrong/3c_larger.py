"""Task 3: what is turned is doubled, too.

loses: 3c_forgery
says: 2 is wrong for a bit of -1: this row is turned
"""

import torch
from torch import Tensor


def forge(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    agrees = signs * (carrier @ weights) > 0
    return torch.where(agrees[:, None], carrier, -2 * carrier)
