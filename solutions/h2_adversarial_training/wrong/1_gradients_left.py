"""Task 1: backward leaves gradients in the network's parameters.

loses: 1_fgsm
says: gradients were left in the network's parameters
"""

from torch import Tensor, nn
from torch.nn import functional as F


def fgsm(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    leaf = images.clone().requires_grad_()
    F.cross_entropy(model(leaf), labels).backward()
    return (images + epsilon * leaf.grad.sign()).clamp(0, 1)
