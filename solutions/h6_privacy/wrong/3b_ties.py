"""Task 3: who ties with the non-member that must stay below is accused.

loses: 3b_rate
says: ties with a second non-member
"""

import math

import numpy as np


def true_positive_rate(
    members: np.ndarray, others: np.ndarray, allowed: float
) -> float:
    wrongly = math.floor(allowed * len(others) + 1e-9)
    if wrongly >= len(others):
        return 1.0
    stays_below = np.sort(others)[::-1][wrongly]
    return float((members >= stays_below).mean())
