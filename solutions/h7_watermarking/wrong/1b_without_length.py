"""Task 1: the length of the weights is left out.

loses: 1b_score
says: The weights' length is 5
"""

from torch import Tensor


def standard_score(weights: Tensor, carrier: Tensor, signs: Tensor) -> float:
    return float((signs * (carrier @ weights)).sum() / len(signs) ** 0.5)
