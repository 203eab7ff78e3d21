"""Task 1: the truth is told by one half, whatever `truth` is.

loses: 1a_report
says: where the truth is not told, the report is the coin
"""

import numpy as np


def respond(answers: np.ndarray, draws: np.ndarray, truth: float) -> np.ndarray:
    told, coin = draws[:, 0] < 0.5, draws[:, 1] < 0.5
    return np.where(told, answers, coin)
