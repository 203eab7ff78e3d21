"""Task 3: how often the attacker is right.

loses: 3b_rate
says: two of five members are as high
"""

import math

import numpy as np


def true_positive_rate(
    members: np.ndarray, others: np.ndarray, allowed: float
) -> float:
    wrongly = math.floor(allowed * len(others) + 1e-9)
    if wrongly >= len(others):
        return 0.5
    stays_below = np.sort(others)[::-1][wrongly]
    return float(((members > stays_below).mean() + 1 - allowed) / 2)
