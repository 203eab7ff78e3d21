"""Task 2: the gradients of the mean loss: each is divided by the number of images.

loses: 2a_gradients
says: not a share of the mean's
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def per_sample_gradients(weights: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    excess = torch.softmax(images @ weights.T, dim=1)
    excess -= F.one_hot(labels, len(weights))
    return excess[:, :, None] * images[:, None, :] / len(images)
