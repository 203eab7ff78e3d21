"""Task 1: every output that some input cannot give is left out.

loses: 1c_epsilon
says: is possible for the first input alone
"""

import numpy as np


def epsilon(table: np.ndarray) -> float:
    possible = table[:, table.min(axis=0) > 0]
    return float(np.log(possible.max(axis=0) / possible.min(axis=0)).max())
