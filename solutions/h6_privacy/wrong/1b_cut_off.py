"""Task 1: the estimate is cut off at 0 and 1.

loses: 1b_estimate
says: nothing is cut off at 0 and 1
"""

import numpy as np


def estimate(reports: np.ndarray, truth: float) -> float:
    return float(np.clip((reports.mean() - (1 - truth) / 2) / truth, 0, 1))
