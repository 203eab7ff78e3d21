"""Task 2: a pair counts as often as it comes.

loses: 2b_pairs
says: The pair 01 comes three times and counts once
"""

import numpy as np


def green_pairs(tokens: np.ndarray, green: np.ndarray) -> tuple[int, int]:
    green_ones = green[tokens[:-1], tokens[1:]]
    return int(green_ones.sum()), len(green_ones)
