"""Task 2: the soft term lacks its factor T².

loses: 2a_loss_value 2b_loss_gradient
says: the factor T² is missing
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
    p_t = torch.softmax(teacher_logits.detach() / temperature, dim=1)
    soft = F.kl_div(log_p_s, p_t, reduction="batchmean")
    return alpha * soft + (1 - alpha) * F.cross_entropy(student_logits, labels)
