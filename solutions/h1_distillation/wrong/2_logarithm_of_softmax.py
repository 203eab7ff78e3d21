"""Task 2: the logarithm of a softmax, which is −∞ for a class that is far behind.

loses: 2c_loss_properties
says: take log_softmax instead of the logarithm of a softmax
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
    p_s = torch.softmax(student_logits / temperature, dim=1)
    p_t = torch.softmax(teacher_logits.detach() / temperature, dim=1)
    soft = (p_t * (p_t.log() - p_s.log())).sum(dim=1).mean()
    hard = F.cross_entropy(student_logits, labels)
    return alpha * temperature**2 * soft + (1 - alpha) * hard
