"""Task 1: the true positive rate is a share of those who are accepted.

loses: 1b_rates
says: 80 paid back, and 70 of these
"""

import numpy as np


def rates(table: np.ndarray) -> dict[str, float | None]:
    (tn, fp), (fn, tp) = table.tolist()
    shares = {
        "selection_rate": (tp + fp, tp + fp + tn + fn),
        "true_positive_rate": (tp, tp + fp),
        "false_positive_rate": (fp, fp + tn),
        "positive_predictive_value": (tp, tp + fn),
    }
    return {name: n / of if of else None for name, (n, of) in shares.items()}
