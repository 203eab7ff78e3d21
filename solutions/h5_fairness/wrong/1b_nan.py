"""Task 1: what is undefined is NaN.

loses: 1b_rates
says: None, not 0 and not NaN
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
    return {name: n / of if of else np.nan for name, (n, of) in shares.items()}
