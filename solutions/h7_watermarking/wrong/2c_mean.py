"""Task 2: the mean of all.

loses: 2c_search
says: four tries, and the smallest p-value is 0.01
"""

import numpy as np


def searched(p_values: np.ndarray) -> float:
    return float(p_values.mean())
