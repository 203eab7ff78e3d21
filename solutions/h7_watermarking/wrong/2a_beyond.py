"""Task 2: more than so many hits.

loses: 2a_tail
says: the number that was seen belongs to the tail
"""

from scipy.stats import binom


def tail(hits: int, trials: int, chance: float) -> float:
    return float(binom.sf(hits, trials, chance))
