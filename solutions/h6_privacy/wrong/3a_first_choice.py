"""Task 3: how sure the model is of its first choice.

loses: 3a_scores
says: the first is more likely a member
"""

from torch import Tensor


def membership_scores(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.log_softmax(dim=1).amax(dim=1)
