"""Task 2: the loss is a number, without a gradient.

loses: 2b_loss
says: no gradient reaches the logits
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    each = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
    return torch.tensor(float((weights * each).sum() / weights.sum()))
