"""Task 2: far masks count more than near ones.

loses: 2a_proximity 2c_lime
says: distance 0: weight 1
"""

import torch
from torch import Tensor


def proximity(masks: Tensor, width: float) -> Tensor:
    similarity = masks.float().mean(dim=1).sqrt()
    return torch.exp(-(similarity**2) / (2 * width**2))
