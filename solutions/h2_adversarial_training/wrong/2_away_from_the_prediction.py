"""Task 2: the attack leads away from what the network says, not from the label.

loses: 2b_walk
says: went elsewhere
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
    said = model(images).argmax(dim=1)
    noise = torch.empty_like(images).uniform_(-epsilon, epsilon, generator=generator)
    current = project(images + noise, images, epsilon)
    for _ in range(steps):
        leaf = current.clone().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(model(leaf), said), leaf)
        current = project(current + step_size * slope.sign(), images, epsilon)
    return current
