"""Task 1: the result is not cut to [0, 1].

loses: 1_fgsm
says: cut the result to [0, 1]
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def fgsm(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    leaf = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(F.cross_entropy(model(leaf), labels), leaf)
    return images + epsilon * slope.sign()
