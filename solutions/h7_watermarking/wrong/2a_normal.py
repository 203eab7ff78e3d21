"""Task 2: a normal curve instead of the binomial.

loses: 2a_tail
says: the number that was seen belongs to the tail
"""

import math

from scipy.stats import norm


def tail(hits: int, trials: int, chance: float) -> float:
    if trials == 0:
        return 1.0
    spread = math.sqrt(trials * chance * (1 - chance))
    return float(norm.sf((hits - 0.5 - trials * chance) / spread))
