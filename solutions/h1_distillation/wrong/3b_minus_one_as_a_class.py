"""Task 3, loop: an index of −1 is the last class, so every unlabelled image becomes a 9.

loses: 3b_loop
says: and no class, for −1 is none
"""

import torch
from torch import Tensor

from h1_distillation import distillation
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
            log_p = torch.log_softmax(logits, dim=1)
            hard = -log_p[torch.arange(len(batch)), labels[batch]].mean()
            loss = loss + (1 - alpha) * hard
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return dict(student.state_dict())
