"""Task 3: the threshold is the score of the last non-member who may be accused.

loses: 3b_rate
says: 0.9, 0.8 and 0.6 are found
"""

import math

import numpy as np


def true_positive_rate(
    members: np.ndarray, others: np.ndarray, allowed: float
) -> float:
    wrongly = math.floor(allowed * len(others) + 1e-9)
    highest_first = np.sort(others)[::-1]
    if wrongly == 0:
        return float((members > highest_first[0]).mean())
    if wrongly >= len(others):
        return 1.0
    return float((members >= highest_first[wrongly - 1]).mean())
