"""Task 4: the target is taken for a share of all people.

loses: 4a_rule 4b_choice
says: the threshold is 0.7
"""

import math

import numpy as np


def rule_for(
    scores: np.ndarray, labels: np.ndarray, target: float
) -> tuple[float, float]:
    ranked = np.sort(scores)[::-1]
    needed = target * len(ranked)
    threshold = ranked[math.ceil(needed - 1e-9) - 1]
    above, at = (ranked > threshold).sum(), (ranked == threshold).sum()
    return float(threshold), float((needed - above) / at)
