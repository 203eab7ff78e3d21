"""Task 1: goes down the loss of the label, which helps the network.

loses: 1_fgsm
says: go up the loss, not down
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def fgsm(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    leaf = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(F.cross_entropy(model(leaf), labels), leaf)
    return (images - epsilon * slope.sign()).clamp(0, 1)
