"""Task 1: divided by the spread of the readings.

loses: 1b_score
says: together 3. The weights' length is 5
"""

from torch import Tensor


def standard_score(weights: Tensor, carrier: Tensor, signs: Tensor) -> float:
    margins = signs * (carrier @ weights)
    return float(margins.sum() / (margins.std() * len(signs) ** 0.5))
