"""Task 2: KL(student ‖ teacher) instead of KL(teacher ‖ student).

loses: 2a_loss_value 2b_loss_gradient
says: the KL divergence is the wrong way round
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
    soft = F.kl_div(log_p_t, log_p_s, reduction="batchmean", log_target=True)
    hard = F.cross_entropy(student_logits, labels)
    return alpha * temperature**2 * soft + (1 - alpha) * hard
