"""Task 2: every chance is taken for one half.

loses: 2a_tail
says: two hits of probability 1/4 each
"""

from scipy.stats import binom


def tail(hits: int, trials: int, chance: float) -> float:
    return float(binom.sf(hits - 1, trials, 0.5))
