"""Task 2: one gradient for the whole batch.

loses: 2a_gradients
says: one for each image
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def per_sample_gradients(weights: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    leaf = weights.clone().requires_grad_()
    loss = F.cross_entropy(images @ leaf.T, labels, reduction="sum")
    return torch.autograd.grad(loss, leaf)[0]
