"""Task 2: the last token is followed by the first.

loses: 2b_pairs
says: the last one has no follower
"""

import numpy as np


def green_pairs(tokens: np.ndarray, green: np.ndarray) -> tuple[int, int]:
    pairs = {*zip(tokens.tolist(), np.roll(tokens, -1).tolist(), strict=True)}
    return sum(bool(green[pair]) for pair in pairs), len(pairs)
