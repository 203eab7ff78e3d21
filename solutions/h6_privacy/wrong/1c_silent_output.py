"""Task 1: an output that no input can give makes it infinite.

loses: 1c_epsilon
says: an output that no input can give tells nothing
"""

import math

import numpy as np


def epsilon(table: np.ndarray) -> float:
    if table.min() == 0:
        return math.inf
    return float(np.log(table.max(axis=0) / table.min(axis=0)).max())
