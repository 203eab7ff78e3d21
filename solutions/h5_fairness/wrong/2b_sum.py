"""Task 2: the sum is not divided.

loses: 2b_loss
says: (3 · 0.6931 + 1 · 0.1269) / 4
"""

from torch import Tensor
from torch.nn import functional as F


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    each = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
    return weights @ each
