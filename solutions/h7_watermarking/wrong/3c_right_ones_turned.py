"""Task 3: the rows that read right are turned.

loses: 3c_forgery
says: 3 is right for a bit of 1
"""

import torch
from torch import Tensor


def forge(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    agrees = signs * (carrier @ weights) > 0
    return torch.where(agrees[:, None], -carrier, carrier)
