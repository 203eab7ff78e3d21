"""Task 2: tries with the same p-value count once.

loses: 2c_search
says: two tries with the same p-value are two tries
"""

import numpy as np


def searched(p_values: np.ndarray) -> float:
    return min(1.0, len(np.unique(p_values)) * float(p_values.min()))
