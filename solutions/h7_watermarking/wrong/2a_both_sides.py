"""Task 2: as far from the mean on either side.

loses: 2a_tail
says: and the other side does not
"""

from scipy.stats import binom


def tail(hits: int, trials: int, chance: float) -> float:
    mean = trials * chance
    upper = binom.sf(hits - 1, trials, chance)
    lower = binom.cdf(2 * mean - hits, trials, chance)
    return float(min(1.0, upper + lower)) if hits > mean else float(upper + lower) / 2
