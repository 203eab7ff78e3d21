"""Task 2: each pair of group and label becomes equally large.

loses: 2a_weights
says: with these weights the share of label 1 is not the same
"""

import numpy as np


def reweighing(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    weights = np.empty(len(labels))
    for group in np.unique(groups):
        for label in (0, 1):
            mine, same = groups == group, labels == label
            both = mine & same
            weights[both] = len(labels) / (2 * len(np.unique(groups)) * both.sum())
    return weights
