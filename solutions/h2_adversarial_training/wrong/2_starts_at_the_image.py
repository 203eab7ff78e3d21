"""Task 2: there is no random start.

loses: 2b_walk
says: no random start: draw the first point from the ball
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
    current = images.clone()
    for _ in range(steps):
        leaf = current.clone().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(model(leaf), labels), leaf)
        current = project(current + step_size * slope.sign(), images, epsilon)
    return current
