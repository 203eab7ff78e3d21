"""Task 3: an image takes one more step after it should rest.

loses: 3_friendly
says: misread from the start take tau steps, and then rest
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
        (slope,) = torch.autograd.grad(F.cross_entropy(logits, labels), leaf)
        moved = current + step_size * slope.sign()
        moved = (images + (moved - images).clamp(-epsilon, epsilon)).clamp(0, 1)
        rests = (misread > tau).view(-1, 1, 1, 1)
        misread += logits.argmax(dim=1) != labels
        current = torch.where(rests, current, moved)
    return current
