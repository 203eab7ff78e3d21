"""Task 1: shares of the group instead of people.

loses: 1a_counts
says: count people, not shares
"""

import numpy as np


def confusion_tables(
    labels: np.ndarray, decisions: np.ndarray, groups: np.ndarray, count: int
) -> np.ndarray:
    found = np.zeros((count, 2, 2))
    np.add.at(found, (groups, labels, decisions), 1)
    return found / np.maximum(found.sum(axis=(1, 2), keepdims=True), 1)
