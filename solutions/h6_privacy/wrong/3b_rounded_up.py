"""Task 3: the number of those who may be accused is rounded up.

loses: 3b_rate
says: no threshold reaches so many
"""

import math

import numpy as np


def true_positive_rate(
    members: np.ndarray, others: np.ndarray, allowed: float
) -> float:
    wrongly = math.ceil(allowed * len(others) - 1e-9)
    if wrongly >= len(others):
        return 1.0
    stays_below = np.sort(others)[::-1][wrongly]
    return float((members > stays_below).mean())
