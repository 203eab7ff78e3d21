"""Task 3, loop: the images without labels are left out.

loses: 3b_loop
says: as it would without images that nobody labelled
"""

import torch
from torch import Tensor

from h1_distillation import UNLABELLED, distillation
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
            batch = batch[labels[batch] != UNLABELLED]
            if len(batch) == 0:
                continue
            loss = distillation.distillation_loss(
                student(images[batch]),
                teacher_logits[batch],
                labels[batch],
                temperature=temperature,
                alpha=alpha,
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return dict(student.state_dict())
