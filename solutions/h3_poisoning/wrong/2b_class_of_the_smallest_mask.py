"""Task 2: accuses the class with the smallest mask.

loses: 2b_score
says: Class 0 costs less
"""

import numpy as np


def scores(table: np.ndarray) -> tuple[int, np.ndarray]:
    relative = table / np.median(table, axis=0)
    return int(table[0].argmin()), relative.min(axis=1)
