"""Task 1: where single trainings lie, not where their mean lies.

loses: 1c_interval
says: and R is 3
"""

import numpy as np
from scipy.stats import t


def interval(poisoned: np.ndarray, clean: np.ndarray) -> tuple[float, float, float]:
    differences = poisoned - clean
    half = t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1)
    mean = differences.mean()
    return mean, mean - half, mean + half
