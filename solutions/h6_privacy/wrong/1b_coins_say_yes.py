"""Task 1: every coin is taken for a yes.

loses: 1b_estimate
says: so a quarter of all say yes by a coin alone
"""

import numpy as np


def estimate(reports: np.ndarray, truth: float) -> float:
    return float((reports.mean() - (1 - truth)) / truth)
