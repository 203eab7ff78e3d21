"""Task 1: NumPy's standard deviation as it comes.

loses: 1c_interval
says: s is of the differences with R - 1 below
"""

import numpy as np
from scipy.stats import t


def interval(poisoned: np.ndarray, clean: np.ndarray) -> tuple[float, float, float]:
    differences = poisoned - clean
    half = t.ppf(0.975, len(clean) - 1) * np.std(differences) / len(clean) ** 0.5
    mean = differences.mean()
    return mean, mean - half, mean + half
