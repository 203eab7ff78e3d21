"""Task 2: medians over the clean models alone.

loses: 2b_score
says: over all four rows
"""

import numpy as np


def scores(table: np.ndarray) -> tuple[int, np.ndarray]:
    relative = table / np.median(table[1:], axis=0)
    return int(relative[0].argmin()), relative.min(axis=1)
