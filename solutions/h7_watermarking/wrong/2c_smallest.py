"""Task 2: the smallest, as if the others had not been tried.

loses: 2c_search
says: four tries, and the smallest p-value is 0.01
"""

import numpy as np


def searched(p_values: np.ndarray) -> float:
    return float(p_values.min())
