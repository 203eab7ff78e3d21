"""Task 3: all 500 directions of the images are kept.

loses: 3b_removal
says: the rival still finds the mark
"""

import torch
from torch import Tensor


def launder(weights: Tensor, images: Tensor) -> Tensor:
    kept = torch.linalg.svd(images, full_matrices=False)[2]
    return weights @ kept.T @ kept
