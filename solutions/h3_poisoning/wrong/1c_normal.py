"""Task 1: the quantile of the normal curve.

loses: 1c_interval
says: q leaves 2.5 % above it (4.30 for two degrees of freedom)
"""

import numpy as np


def interval(poisoned: np.ndarray, clean: np.ndarray) -> tuple[float, float, float]:
    differences = poisoned - clean
    half = 1.96 * differences.std(ddof=1) / len(differences) ** 0.5
    mean = differences.mean()
    return mean, mean - half, mean + half
