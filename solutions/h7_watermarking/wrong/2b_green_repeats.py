"""Task 2: green pairs count as often as they come.

loses: 2b_pairs
says: A green pair that comes three times is one green pair
"""

from itertools import pairwise

import numpy as np


def green_pairs(tokens: np.ndarray, green: np.ndarray) -> tuple[int, int]:
    pairs = list(pairwise(tokens.tolist()))
    return sum(bool(green[pair]) for pair in pairs), len(set(pairs))
