"""Task 1: a rate of 0 is called undefined.

loses: 1b_rates
says: that is a rate of 0, not an undefined one
"""

import numpy as np


def rates(table: np.ndarray) -> dict[str, float | None]:
    (tn, fp), (fn, tp) = table.tolist()
    shares = {
        "selection_rate": (tp + fp, tp + fp + tn + fn),
        "true_positive_rate": (tp, tp + fn),
        "false_positive_rate": (fp, fp + tn),
        "positive_predictive_value": (tp, tp + fp),
    }
    return {name: n / of if n else None for name, (n, of) in shares.items()}
