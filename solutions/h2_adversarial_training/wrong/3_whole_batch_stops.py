"""Task 3: stops when all images have fallen, and not each for itself.

loses: 3_friendly
says: tau = 0 must stop early
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def friendly_pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int,
    step_size: float,
    tau: int,
) -> Tensor:
    current, misread = images.clone(), torch.zeros_like(labels)
    for _ in range(steps):
        leaf = current.clone().requires_grad_()
        logits = model(leaf)
        misread += logits.argmax(dim=1) != labels
        if (misread > tau + steps).all():
            break
        (slope,) = torch.autograd.grad(F.cross_entropy(logits, labels), leaf)
        moved = current + step_size * slope.sign()
        current = (images + (moved - images).clamp(-epsilon, epsilon)).clamp(0, 1)
    return current
