"""Task 1: the value is right, and has no gradient.

loses: 1a_penalty
says: a penalty without one changes nothing
"""

import torch
from torch import Tensor


def penalty(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    readings = carrier.numpy() @ weights.detach().numpy()
    return torch.logaddexp(torch.zeros(()), -signs * torch.tensor(readings)).mean()
