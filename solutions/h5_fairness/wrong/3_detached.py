"""Task 3: the value is right, and has no gradient.

loses: 3b_gradient
says: a penalty without one changes nothing
"""

import torch
from torch import Tensor


def mistakes_gap(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    scores = torch.sigmoid(logits)
    means = [
        [scores[(labels == y) & (groups == a)].mean() for a in (0, 1)] for y in (0, 1)
    ]
    gaps = [first - second for first, second in means]
    return torch.tensor(sum(g.item() ** 2 for g in gaps))
