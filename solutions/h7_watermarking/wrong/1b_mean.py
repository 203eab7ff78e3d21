"""Task 1: divided by the number of bits, not its root.

loses: 1b_score
says: together 3. The weights' length is 5
"""

from torch import Tensor


def standard_score(weights: Tensor, carrier: Tensor, signs: Tensor) -> float:
    return float((signs * (carrier @ weights)).mean() / weights.norm())
