"""Task 3: one group's mean counts as a fixed number.

loses: 3b_gradient
says: both need a gradient
"""

import torch
from torch import Tensor


def mistakes_gap(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    scores = torch.sigmoid(logits)
    means = [
        [scores[(labels == y) & (groups == a)].mean() for a in (0, 1)] for y in (0, 1)
    ]
    gaps = [first - second.detach() for first, second in means]
    return sum(g**2 for g in gaps)
