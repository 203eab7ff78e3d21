"""Task 4: the network is taught what it says of the adversarial images, not the labels.

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
    worst = attacks.pgd(model, images, labels, **settings)
    answers = model(worst)
    return F.cross_entropy(answers, answers.argmax(dim=1))
