"""Task 3: people with label 0 are left out.

loses: 3a_value 3b_gradient
says: 0.2² + 0.1²
"""

import torch
from torch import Tensor


def mistakes_gap(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    scores = torch.sigmoid(logits)
    means = [
        [scores[(labels == y) & (groups == a)].mean() for a in (0, 1)] for y in (0, 1)
    ]
    gaps = [first - second for first, second in means]
    return gaps[1] ** 2
