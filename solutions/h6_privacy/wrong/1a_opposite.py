"""Task 1: who does not tell the truth says the opposite of it.

loses: 1a_report
says: not the opposite
"""

import numpy as np


def respond(answers: np.ndarray, draws: np.ndarray, truth: float) -> np.ndarray:
    return np.where(draws[:, 0] < truth, answers, ~answers)
