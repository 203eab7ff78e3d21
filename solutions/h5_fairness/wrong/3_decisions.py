"""Task 3: decisions in place of scores: they have no gradient.

loses: 3a_value 3b_gradient
says: no gradient reaches the logits
"""

import torch
from torch import Tensor


def mistakes_gap(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    scores = (torch.sigmoid(logits) >= 0.5).float()
    means = [
        [scores[(labels == y) & (groups == a)].mean() for a in (0, 1)] for y in (0, 1)
    ]
    gaps = [first - second for first, second in means]
    return sum(g**2 for g in gaps)
