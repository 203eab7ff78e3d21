"""Task 4: the network is put into evaluation mode for the attack, and stays there.

loses: 4_madry
says: left in evaluation mode
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
    model.eval()
    settings = {"epsilon": epsilon, "steps": steps, "generator": generator}
    worst = attacks.pgd(model, images, labels, **settings)
    return F.cross_entropy(model(worst), labels)
