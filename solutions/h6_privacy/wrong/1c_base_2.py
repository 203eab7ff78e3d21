"""Task 1: the logarithm to base 2.

loses: 1c_epsilon
says: the natural logarithm of the ratio
"""

import math

import numpy as np


def epsilon(table: np.ndarray) -> float:
    possible = table[:, table.max(axis=0) > 0]
    if possible.min() == 0:
        return math.inf
    return float(np.log2(possible.max(axis=0) / possible.min(axis=0)).max())
