"""Task 2: a normal curve through the clean models' scores.

loses: 2c_rank
says: its rank is 1
"""

import numpy as np
from scipy.stats import norm


def p_value(found: np.ndarray) -> float:
    clean = found[1:]
    return float(norm.cdf((found[0] - clean.mean()) / clean.std()))
