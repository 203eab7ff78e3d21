"""Task 1: 95 % lie below the upper bound.

loses: 1c_interval
says: q leaves 2.5 % above it
"""

import numpy as np
from scipy.stats import t


def interval(poisoned: np.ndarray, clean: np.ndarray) -> tuple[float, float, float]:
    differences = poisoned - clean
    count = len(differences)
    half = t.ppf(0.95, count - 1) * differences.std(ddof=1) / count**0.5
    mean = differences.mean()
    return mean, mean - half, mean + half
