"""Task 3: one number for all images.

loses: 3a_scores
says: return one score for each image
"""

from torch import Tensor
from torch.nn import functional as F


def membership_scores(logits: Tensor, labels: Tensor) -> Tensor:
    return -F.cross_entropy(logits, labels)
