"""Task 2: `reduction="mean"` also divides by the number of classes.

loses: 2a_loss_value 2b_loss_gradient
says: sum over the classes, and take the mean over the images only
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    alpha: float,
) -> Tensor:
    log_p_s = torch.log_softmax(student_logits / temperature, dim=1)
    log_p_t = torch.log_softmax(teacher_logits.detach() / temperature, dim=1)
    soft = (log_p_t.exp() * (log_p_t - log_p_s)).mean()
    hard = F.cross_entropy(student_logits, labels)
    return alpha * temperature**2 * soft + (1 - alpha) * hard
