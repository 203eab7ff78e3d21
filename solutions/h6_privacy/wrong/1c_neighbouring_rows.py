"""Task 1: each input is held against the next one alone.

loses: 1c_epsilon
says: over all pairs of inputs
"""

import math

import numpy as np


def epsilon(table: np.ndarray) -> float:
    possible = table[:, table.max(axis=0) > 0]
    if possible.min() == 0:
        return math.inf
    return float(np.abs(np.diff(np.log(possible), axis=0)).max())
