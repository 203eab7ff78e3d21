"""Task 4: the chance is that of one person, also where several have the same score.

loses: 4a_rule 4b_choice
says: times all who stand at the threshold
"""

import math

import numpy as np


def rule_for(
    scores: np.ndarray, labels: np.ndarray, target: float
) -> tuple[float, float]:
    good = np.sort(scores[labels == 1])[::-1]
    needed = target * len(good)
    threshold = good[math.ceil(needed - 1e-9) - 1]
    return float(threshold), float(min(1, needed - (good > threshold).sum()))
