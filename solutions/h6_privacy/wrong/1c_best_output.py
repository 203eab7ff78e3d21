"""Task 1: the output that tells the least.

loses: 1c_epsilon
says: over all outputs
"""

import math

import numpy as np


def epsilon(table: np.ndarray) -> float:
    possible = table[:, table.max(axis=0) > 0]
    if possible.min() == 0:
        return math.inf
    return float(np.log(possible.max(axis=0) / possible.min(axis=0)).min())
