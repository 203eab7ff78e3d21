"""Task 2: the suspect counts below the line, and not above it.

loses: 2c_rank
says: The suspect counts
"""

import numpy as np


def p_value(found: np.ndarray) -> float:
    return float((found[1:] <= found[0]).sum() / len(found))
