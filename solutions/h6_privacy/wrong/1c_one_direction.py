"""Task 1: the first input over each other one, and not the reverse.

loses: 1c_epsilon
says: in both directions
"""

import math

import numpy as np


def epsilon(table: np.ndarray) -> float:
    possible = table[:, table.max(axis=0) > 0]
    if possible.min() == 0:
        return math.inf
    return float(np.log(possible[0] / possible).max())
