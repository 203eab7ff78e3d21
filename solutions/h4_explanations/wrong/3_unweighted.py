"""Task 3: the plain R².

loses: 3_fidelity
says: do the weights stand
"""

from torch import Tensor


def fidelity(answers: Tensor, line: Tensor, weights: Tensor) -> float:
    missed = ((answers - line) ** 2).sum()
    return float(1 - missed / ((answers - answers.mean()) ** 2).sum())
