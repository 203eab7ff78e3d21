"""Task 4: the attack leads away from what the network says, not from the label.

loses: 4_madry
says: or another label
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
    said = model(images).argmax(dim=1)
    worst = attacks.pgd(model, images, said, **settings)
    return F.cross_entropy(model(worst), labels)
