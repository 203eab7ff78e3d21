"""Task 1: the truth is told where the draw is large.

loses: 1a_report
says: the first draws of the first two are below 0.5
"""

import numpy as np


def respond(answers: np.ndarray, draws: np.ndarray, truth: float) -> np.ndarray:
    told, coin = draws[:, 0] > truth, draws[:, 1] < 0.5
    return np.where(told, answers, coin)
