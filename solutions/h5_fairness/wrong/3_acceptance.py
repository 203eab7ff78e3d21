"""Task 3: the groups' mean scores, whatever the labels are.

loses: 3a_value 3b_gradient
says: 0.2² + 0.1²
"""

import torch
from torch import Tensor


def mistakes_gap(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    scores = torch.sigmoid(logits)
    return (scores[groups == 0].mean() - scores[groups == 1].mean()) ** 2
