"""Task 2: groups become equally large, and labels stay as dependent as they were.

loses: 2a_weights
says: and 3 of 8 have both
"""

import numpy as np


def reweighing(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    weights = np.empty(len(labels))
    for group in np.unique(groups):
        for label in (0, 1):
            mine, same = groups == group, labels == label
            both = mine & same
            weights[both] = 1 / mine.mean() / len(np.unique(groups))
    return weights
