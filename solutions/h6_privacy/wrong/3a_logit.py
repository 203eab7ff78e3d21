"""Task 3: the label's logit.

loses: 3a_scores
says: not minus the cross-entropy
"""

from torch import Tensor


def membership_scores(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.gather(1, labels[:, None])[:, 0]
