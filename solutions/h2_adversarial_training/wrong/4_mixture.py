"""Task 4: half of the loss is that of the clean images.

loses: 4_madry
says: is the loss on clean images mixed in
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from h2_adversarial_training import attacks


def madry_loss(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    settings = {"epsilon": epsilon, "steps": steps, "generator": generator}
    worst = attacks.pgd(model, images, labels, **settings)
    clean = F.cross_entropy(model(images), labels)
    return (clean + F.cross_entropy(model(worst), labels)) / 2
