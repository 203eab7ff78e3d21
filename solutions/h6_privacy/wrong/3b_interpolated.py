"""Task 3: the threshold lies between two non-members.

loses: 3b_rate
says: no threshold reaches so many
"""

import numpy as np


def true_positive_rate(
    members: np.ndarray, others: np.ndarray, allowed: float
) -> float:
    if allowed >= 1:
        return 1.0
    return float((members > np.quantile(others, 1 - allowed)).mean())
