"""Task 1: what the reports would be if their share were the truth.

loses: 1b_estimate
says: 3/8 - 1/4 is what the truth gave
"""

import numpy as np


def estimate(reports: np.ndarray, truth: float) -> float:
    return float(truth * reports.mean() + (1 - truth) / 2)
