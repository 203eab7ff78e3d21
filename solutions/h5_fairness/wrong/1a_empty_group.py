"""Task 1: a group in which there is nobody gets no table.

loses: 1a_counts
says: has a table of zeros
"""

import numpy as np


def confusion_tables(
    labels: np.ndarray, decisions: np.ndarray, groups: np.ndarray, count: int
) -> np.ndarray:
    tables = []
    for group in np.unique(groups):
        mine = groups == group
        table = [[0, 0], [0, 0]]
        for label, decision in zip(labels[mine], decisions[mine], strict=True):
            table[label][decision] += 1
        tables.append(table)
    return np.array(tables)
