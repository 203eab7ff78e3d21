"""Task 1: a message that is read wrong counts as read right.

loses: 1b_score
says: the opposite message has the opposite score
"""

from torch import Tensor


def standard_score(weights: Tensor, carrier: Tensor, signs: Tensor) -> float:
    total = (signs * (carrier @ weights)).sum().abs()
    return float(total / (weights.norm() * len(signs) ** 0.5))
