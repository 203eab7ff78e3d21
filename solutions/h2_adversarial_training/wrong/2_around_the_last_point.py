"""Task 2: projects around the last point, so that the walk leaves the ball.

loses: 2b_walk 2c_strength
says: project around the original after each step
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
    current = project(images + noise, images, epsilon)
    for _ in range(steps):
        leaf = current.clone().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(model(leaf), labels), leaf)
        current = project(current + step_size * slope.sign(), current, epsilon)
    return current
