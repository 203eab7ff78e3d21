"""Task 2: the suspect is not counted.

loses: 2c_rank
says: The suspect counts
"""

import numpy as np


def p_value(found: np.ndarray) -> float:
    return float((found[1:] <= found[0]).mean())
