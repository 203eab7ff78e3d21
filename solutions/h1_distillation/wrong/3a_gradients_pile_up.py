"""Task 3, step: the gradients of earlier steps are never cleared.

loses: 3a_step
says: clear the first step's gradients (zero_grad)
"""

import torch
from torch import Tensor, nn

from h1_distillation import distillation
from tml_helpers.common import evaluating


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
    with torch.no_grad(), evaluating(teacher):
        target = teacher(images)
    loss = distillation.distillation_loss(
        student(images), target, labels, temperature=temperature, alpha=alpha
    )
    loss.backward()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter -= learning_rate * parameter.grad
    return loss.item()
