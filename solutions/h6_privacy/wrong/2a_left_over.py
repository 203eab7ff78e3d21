"""Task 2: backward adds each gradient to those before.

loses: 2a_gradients
says: the second image, class 0
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def per_sample_gradients(weights: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    leaf = weights.clone().requires_grad_()
    found = []
    for image, label in zip(images, labels, strict=True):
        F.cross_entropy(leaf @ image, label).backward()
        found.append(leaf.grad.clone())
    return torch.stack(found)
