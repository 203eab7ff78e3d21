"""Task 3, loop: the hard term takes the true labels of the images that have none.

loses: 3b_loop
says: true labels leak into the images that have none
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from h1_distillation import distillation, train
from tml_helpers.models import MLP
from tml_helpers.training import seed_everything


def distil(
    images: Tensor,
    labels: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float = 4.0,
    alpha: float = 0.5,
    epochs: int = 10,
    seed: int = 0,
) -> dict[str, Tensor]:
    generator = seed_everything(seed)
    student = MLP(32)
    optimiser = torch.optim.Adam(student.parameters(), lr=3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=generator).split(64):
            logits = student(images[batch])
            loss = alpha * distillation.distillation_loss(
                logits, teacher_logits[batch], None, temperature=temperature, alpha=1.0
            )
            true = train.labels[: len(images)][batch]
            loss = loss + (1 - alpha) * F.cross_entropy(logits, true)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return dict(student.state_dict())
