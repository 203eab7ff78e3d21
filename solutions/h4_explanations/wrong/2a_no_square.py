"""Task 2: the width is not squared.

loses: 2a_proximity 2c_lime
says: exp(-1/2) = 0.6065
"""

import torch
from torch import Tensor


def proximity(masks: Tensor, width: float) -> Tensor:
    distance = 1 - masks.float().mean(dim=1).sqrt()
    return torch.exp(-(distance**2) / (2 * width))
