"""Task 2: one minus the probability of fewer.

loses: 2a_tail
says: do not take it as one minus a number near to 1
"""

from scipy.stats import binom


def tail(hits: int, trials: int, chance: float) -> float:
    return float(1 - binom.cdf(hits - 1, trials, chance))
