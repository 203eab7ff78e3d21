"""Task 3: whether the model is right.

loses: 3a_scores
says: is the logarithm of the probability of the label
"""

from torch import Tensor


def membership_scores(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(dim=1) == labels).float()
