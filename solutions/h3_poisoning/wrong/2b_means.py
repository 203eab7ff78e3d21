"""Task 2: means instead of medians.

loses: 2b_score
says: medians of the columns
"""

import numpy as np


def scores(table: np.ndarray) -> tuple[int, np.ndarray]:
    relative = table / table.mean(axis=0)
    return int(relative[0].argmin()), relative.min(axis=1)
