"""Task 2: large scores are suspicious.

loses: 2c_rank
says: 1/4 is as small as it can be
"""

import numpy as np


def p_value(found: np.ndarray) -> float:
    return float((found >= found[0]).mean())
