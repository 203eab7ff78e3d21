"""Task 2: the sign is that of the way downhill.

loses: 2a_gradients
says: so the first image moves the logit of its own class
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def per_sample_gradients(weights: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    excess = F.one_hot(labels, len(weights)) - torch.softmax(images @ weights.T, dim=1)
    return excess[:, :, None] * images[:, None, :]
