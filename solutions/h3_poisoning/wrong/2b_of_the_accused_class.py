"""Task 2: the scores of all models are those of the class that the suspect is accused of.

loses: 2b_score
says: take the smallest of each row
"""

import numpy as np


def scores(table: np.ndarray) -> tuple[int, np.ndarray]:
    relative = table / np.median(table, axis=0)
    accused = int(relative[0].argmin())
    return accused, relative[:, accused]
