"""Task 1: who does not tell the truth says no.

loses: 1a_report
says: and the coin says yes: 0.4
"""

import numpy as np


def respond(answers: np.ndarray, draws: np.ndarray, truth: float) -> np.ndarray:
    return answers & (draws[:, 0] < truth)
