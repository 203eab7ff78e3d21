"""Task 1: the gradient itself instead of its sign.

loses: 1_fgsm
says: is the sign there
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def fgsm(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    leaf = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(F.cross_entropy(model(leaf), labels), leaf)
    slope = slope / slope.abs().amax()
    return (images + epsilon * slope).clamp(0, 1)
