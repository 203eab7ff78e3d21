"""Task 2: right only where the tries are independent.

loses: 2c_search
says: at the very worst, one of four is so small in 4 of 100
"""

import numpy as np


def searched(p_values: np.ndarray) -> float:
    return float(1 - (1 - p_values.min()) ** len(p_values))
