"""Task 1: two groups and not pairs.

loses: 1c_interval
says: s is of the differences
"""

import numpy as np
from scipy.stats import t


def interval(poisoned: np.ndarray, clean: np.ndarray) -> tuple[float, float, float]:
    count = len(clean)
    spread = (poisoned.var(ddof=1) + clean.var(ddof=1)) ** 0.5
    half = t.ppf(0.975, count - 1) * spread / count**0.5
    mean = poisoned.mean() - clean.mean()
    return mean, mean - half, mean + half
