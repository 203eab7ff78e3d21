"""Task 1: the first draw decides what the coin says as well.

loses: 1a_report
says: It is a draw of its own
"""

import numpy as np


def respond(answers: np.ndarray, draws: np.ndarray, truth: float) -> np.ndarray:
    return np.where(draws[:, 0] < truth, answers, draws[:, 0] >= 0.75)
