"""Task 2: compared with the other classes of the same model.

loses: 2b_score
says: Class 0 costs less
"""

import numpy as np


def scores(table: np.ndarray) -> tuple[int, np.ndarray]:
    relative = table / np.median(table, axis=1, keepdims=True)
    return int(relative[0].argmin()), relative.min(axis=1)
