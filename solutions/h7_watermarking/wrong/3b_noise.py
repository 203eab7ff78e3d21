"""Task 3: noise is added.

loses: 3b_removal
says: the rival still finds the mark
"""

import torch
from torch import Tensor


def launder(weights: Tensor, images: Tensor) -> Tensor:
    return weights + 0.05 * torch.randn(weights.shape)
