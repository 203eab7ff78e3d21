"""Task 2: the smallest mask of each model, without a comparison.

loses: 2b_score
says: Class 0 costs less
"""

import numpy as np


def scores(table: np.ndarray) -> tuple[int, np.ndarray]:
    return int(table[0].argmin()), table.min(axis=1)
