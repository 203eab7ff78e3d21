"""Task 2: a repeat is left out only right behind its like.

loses: 2b_pairs
says: The pair 01 comes three times and counts once
"""

from itertools import pairwise

import numpy as np


def green_pairs(tokens: np.ndarray, green: np.ndarray) -> tuple[int, int]:
    pairs = list(pairwise(tokens.tolist()))
    kept = [
        pair
        for before, pair in zip([None, *pairs], [*pairs, None], strict=True)
        if pair and pair != before
    ]
    return sum(bool(green[pair]) for pair in kept), len(kept)
