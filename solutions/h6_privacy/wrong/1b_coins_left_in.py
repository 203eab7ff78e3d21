"""Task 1: what the coins add is forgotten.

loses: 1b_estimate
says: 3/8 - 1/4 is what the truth gave
"""

import numpy as np


def estimate(reports: np.ndarray, truth: float) -> float:
    return float(reports.mean() / truth)
