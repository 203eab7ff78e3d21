"""Task 2: the noise is added, and the start is not projected.

loses: 2b_walk
says: project the first point
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from h2_adversarial_training import project


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int,
    step_size: float,
    generator: torch.Generator,
) -> Tensor:
    noise = torch.empty_like(images).uniform_(-epsilon, epsilon, generator=generator)
    current = images + noise
    for _ in range(steps):
        leaf = current.clone().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(model(leaf), labels), leaf)
        current = project(current + step_size * slope.sign(), images, epsilon)
    return current
