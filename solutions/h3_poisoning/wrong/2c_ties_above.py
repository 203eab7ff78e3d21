"""Task 2: equal scores do not count.

loses: 2c_rank
says: counts as if it were below
"""

import numpy as np


def p_value(found: np.ndarray) -> float:
    return float((1 + (found < found[0]).sum()) / len(found))
