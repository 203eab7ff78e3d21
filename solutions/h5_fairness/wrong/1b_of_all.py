"""Task 1: the false positive rate is a share of all people.

loses: 1b_rates
says: is a share of other people
"""

import numpy as np


def rates(table: np.ndarray) -> dict[str, float | None]:
    (tn, fp), (fn, tp) = table.tolist()
    shares = {
        "selection_rate": (tp + fp, tp + fp + tn + fn),
        "true_positive_rate": (tp, tp + fn),
        "false_positive_rate": (fp, tp + fp + tn + fn),
        "positive_predictive_value": (tp, tp + fp),
    }
    return {name: n / of if of else None for name, (n, of) in shares.items()}
