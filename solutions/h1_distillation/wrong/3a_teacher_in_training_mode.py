"""Task 3, step: the teacher answers in training mode, with dropout.

loses: 3a_step
says: it answered in training mode, with dropout
"""

import torch
from torch import Tensor, nn

from h1_distillation import distillation


def training_step(
    student: nn.Module,
    teacher: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    alpha: float,
    learning_rate: float,
) -> float:
    with torch.no_grad():
        target = teacher(images)
    optimiser = torch.optim.SGD(student.parameters(), lr=learning_rate)
    loss = distillation.distillation_loss(
        student(images), target, labels, temperature=temperature, alpha=alpha
    )
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()
