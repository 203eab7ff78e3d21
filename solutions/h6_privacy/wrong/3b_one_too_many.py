"""Task 3: one more non-member is accused.

loses: 3b_rate
says: nobody may be accused wrongly
"""

import math

import numpy as np


def true_positive_rate(
    members: np.ndarray, others: np.ndarray, allowed: float
) -> float:
    wrongly = math.floor(allowed * len(others) + 1e-9) + 1
    if wrongly >= len(others):
        return 1.0
    stays_below = np.sort(others)[::-1][wrongly]
    return float((members > stays_below).mean())
