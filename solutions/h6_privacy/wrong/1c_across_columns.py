"""Task 1: the largest number of the table over the smallest.

loses: 1c_epsilon
says: Ratios are taken within a column
"""

import math

import numpy as np


def epsilon(table: np.ndarray) -> float:
    possible = table[:, table.max(axis=0) > 0]
    if possible.min() == 0:
        return math.inf
    return float(np.log(possible.max() / possible.min()))
