"""Task 3: the logarithm of a probability that rounds to 0.

loses: 3a_scores
says: with large logits a probability rounds to 0
"""

from torch import Tensor


def membership_scores(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.softmax(dim=1).log().gather(1, labels[:, None])[:, 0]
