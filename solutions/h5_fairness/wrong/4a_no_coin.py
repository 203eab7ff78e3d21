"""Task 4: who stands at the threshold is accepted for sure.

loses: 4a_rule 4b_choice
says: 0.6 of a person is still missing
"""

import math

import numpy as np


def rule_for(
    scores: np.ndarray, labels: np.ndarray, target: float
) -> tuple[float, float]:
    good = np.sort(scores[labels == 1])[::-1]
    return float(good[math.ceil(target * len(good) - 1e-9) - 1]), 1.0
