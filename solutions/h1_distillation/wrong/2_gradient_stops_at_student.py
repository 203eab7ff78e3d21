"""Task 2: `no_grad` around the whole soft term, the student's part too.

loses: 2b_loss_gradient
says: no gradient reaches the student
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
    with torch.no_grad():
        log_p_s = torch.log_softmax(student_logits / temperature, dim=1)
        p_t = torch.softmax(teacher_logits / temperature, dim=1)
        soft = F.kl_div(log_p_s, p_t, reduction="batchmean")
    hard = F.cross_entropy(student_logits, labels)
    return alpha * temperature**2 * soft + (1 - alpha) * hard
