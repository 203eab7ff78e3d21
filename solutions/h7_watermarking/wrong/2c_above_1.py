"""Task 2: larger than a probability can be.

loses: 2c_search
says: a p-value is a probability: at most 1
"""

import numpy as np


def searched(p_values: np.ndarray) -> float:
    return float(len(p_values) * p_values.min())
