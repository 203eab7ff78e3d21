"""Task 4: the groups' acceptance rates are made equal.

loses: 4b_choice
says: one target for both
"""

import math

import numpy as np


def equal_opportunity(
    scores: np.ndarray, labels: np.ndarray, groups: np.ndarray, targets: np.ndarray
) -> list[tuple[float, float]]:
    def tried(
        mine: np.ndarray, target: float, among: np.ndarray
    ) -> tuple[tuple[float, float], np.ndarray]:
        """The rule that accepts this share of those among, and who is decided rightly."""
        ranked, s = np.sort(scores[mine & among])[::-1], scores[mine]
        needed = target * len(ranked)
        threshold = ranked[math.ceil(needed - 1e-9) - 1]
        chance = (needed - (ranked > threshold).sum()) / (ranked == threshold).sum()
        accepted = (s > threshold) + chance * (s == threshold)
        right = np.where(labels[mine] == 1, accepted, 1 - accepted)
        return (float(threshold), float(chance)), right

    everybody = np.ones(len(scores), dtype=bool)
    found = [
        [tried(groups == group, target, everybody) for group in (0, 1)]
        for target in targets
    ]
    best = max(found, key=lambda pair: sum(right.sum() for _, right in pair))
    return [rule for rule, _ in best]
