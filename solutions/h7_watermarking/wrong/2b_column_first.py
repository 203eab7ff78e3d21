"""Task 2: the table is read with the follower first.

loses: 2b_pairs
says: row 0 and column 1 of the table say that 1 is green after 0
"""

from itertools import pairwise

import numpy as np


def green_pairs(tokens: np.ndarray, green: np.ndarray) -> tuple[int, int]:
    pairs = set(pairwise(tokens.tolist()))
    return sum(bool(green[after, first]) for first, after in pairs), len(pairs)
