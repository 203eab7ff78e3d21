"""Task 3: the loss itself: low for members.

loses: 3a_scores
says: and its score is higher
"""

from torch import Tensor
from torch.nn import functional as F


def membership_scores(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")
