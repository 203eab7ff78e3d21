"""Task 4: the lowest scores are accepted first.

loses: 4a_rule 4b_choice
says: the threshold is 0.7
"""

import math

import numpy as np


def rule_for(
    scores: np.ndarray, labels: np.ndarray, target: float
) -> tuple[float, float]:
    good = np.sort(scores[labels == 1])
    needed = target * len(good)
    threshold = good[math.ceil(needed - 1e-9) - 1]
    below, at = (good < threshold).sum(), (good == threshold).sum()
    return float(threshold), float((needed - below) / at)
