"""Task 2: the distance is the share of hidden superpixels.

loses: 2a_proximity 2c_lime
says: distance 1 - sqrt(1/4) = 1/2
"""

import torch
from torch import Tensor


def proximity(masks: Tensor, width: float) -> Tensor:
    distance = 1 - masks.float().mean(dim=1)
    return torch.exp(-(distance**2) / (2 * width**2))
