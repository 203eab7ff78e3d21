"""Task 3: the threshold accuses the allowed share of members.

loses: 3b_rate
says: two of five members are as high
"""

import numpy as np


def true_positive_rate(
    members: np.ndarray, others: np.ndarray, allowed: float
) -> float:
    return float((members > np.quantile(members, 1 - allowed)).mean())
