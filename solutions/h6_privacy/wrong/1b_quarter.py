"""Task 1: a quarter is taken off, and doubled, whatever `truth` is.

loses: 1b_estimate
says: three of eight reports are three of eight people
"""

import numpy as np


def estimate(reports: np.ndarray, truth: float) -> float:
    return float(2 * (reports.mean() - 1 / 4))
