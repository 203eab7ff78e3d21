"""Task 1: the other way round.

loses: 1c_interval
says: poisoned minus clean
"""

import numpy as np
from scipy.stats import t


def interval(poisoned: np.ndarray, clean: np.ndarray) -> tuple[float, float, float]:
    differences = clean - poisoned
    count = len(differences)
    half = t.ppf(0.975, count - 1) * differences.std(ddof=1) / count**0.5
    mean = differences.mean()
    return mean, mean - half, mean + half
