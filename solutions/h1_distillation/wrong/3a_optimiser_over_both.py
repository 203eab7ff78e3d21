"""Task 3, step: the optimiser holds both networks, and the loss reaches both.

loses: 3a_step
says: does your optimiser hold both networks
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
    both = [*student.parameters(), *teacher.parameters()]
    optimiser = torch.optim.SGD(both, lr=learning_rate)
    with evaluating(teacher):
        log_p_t = torch.log_softmax(teacher(images) / temperature, dim=1)
    logits = student(images)
    log_p_s = torch.log_softmax(logits / temperature, dim=1)
    soft = F.kl_div(log_p_s, log_p_t, reduction="batchmean", log_target=True)
    hard = F.cross_entropy(logits, labels)
    loss = alpha * temperature**2 * soft + (1 - alpha) * hard
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()
