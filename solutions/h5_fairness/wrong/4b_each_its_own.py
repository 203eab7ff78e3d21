"""Task 4: each group takes the target that is best for itself.

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

    found = [
        [tried(groups == group, target, labels == 1) for target in targets]
        for group in (0, 1)
    ]
    return [max(each, key=lambda pair: pair[1].mean())[0] for each in found]
