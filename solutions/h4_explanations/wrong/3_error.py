"""Task 3: the weighted error instead of a share.

loses: 3_fidelity
says: a perfect line has R² = 1
"""

from torch import Tensor


def fidelity(answers: Tensor, line: Tensor, weights: Tensor) -> float:
    return float((weights * (answers - line) ** 2).sum() / weights.sum())
