"""Task 1: decision and label are swapped.

loses: 1a_counts
says: the indices are group, label, decision
"""

import numpy as np


def confusion_tables(
    labels: np.ndarray, decisions: np.ndarray, groups: np.ndarray, count: int
) -> np.ndarray:
    found = np.zeros((count, 2, 2), dtype=int)
    np.add.at(found, (groups, decisions, labels), 1)
    return found
