"""Task 2: all p-values as one, as if the tries were independent.

loses: 2c_search
says: four tries, and the smallest p-value is 0.01
"""

import numpy as np
from scipy.stats import combine_pvalues


def searched(p_values: np.ndarray) -> float:
    return float(combine_pvalues(p_values).pvalue)
