"""Task 3: five directions are kept.

loses: 3b_removal
says: the model lost more than 3 of 100 digits
"""

import torch
from torch import Tensor


def launder(weights: Tensor, images: Tensor) -> Tensor:
    kept = torch.linalg.svd(images, full_matrices=False)[2][:5]
    return weights @ kept.T @ kept
