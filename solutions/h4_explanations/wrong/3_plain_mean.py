"""Task 3: the mean is not weighted.

loses: 3_fidelity
says: and in the mean
"""

from torch import Tensor


def fidelity(answers: Tensor, line: Tensor, weights: Tensor) -> float:
    missed = (weights * (answers - line) ** 2).sum()
    spread = (weights * (answers - answers.mean()) ** 2).sum()
    return float(1 - missed / spread)
