"""Task 1: counts right bits, however clearly they are read.

loses: 1b_score
says: together 3. The weights' length is 5
"""

from torch import Tensor


def standard_score(weights: Tensor, carrier: Tensor, signs: Tensor) -> float:
    right = float((signs * (carrier @ weights) > 0).sum())
    return (right - len(signs) / 2) / (len(signs) ** 0.5 / 2)
