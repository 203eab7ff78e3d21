"""Task 1: who does not tell the truth says yes.

loses: 1a_report
says: says what the coin says: 0.8 is no
"""

import numpy as np


def respond(answers: np.ndarray, draws: np.ndarray, truth: float) -> np.ndarray:
    return answers | (draws[:, 0] >= truth)
