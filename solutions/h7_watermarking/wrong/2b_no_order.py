"""Task 2: a pair and its reverse are one.

loses: 2b_pairs
says: 01 and 10 are two pairs
"""

from itertools import pairwise

import numpy as np


def green_pairs(tokens: np.ndarray, green: np.ndarray) -> tuple[int, int]:
    pairs = {tuple(sorted(pair)) for pair in pairwise(tokens.tolist())}
    return sum(bool(green[pair]) for pair in pairs), len(pairs)
