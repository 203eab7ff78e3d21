"""A detector's answer: a statistic, and how probable one as large is where there is no mark.

All nulls of this package are over the key. Whatever the image, the model or the text, a key drawn independently of it
makes the statistic's distribution known: no unmarked models have to be collected, and no assumption be made on them.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from tml_helpers.common import check_counts, check_numbers, draw

SMALLEST = sys.float_info.min  # a p-value is never reported as 0
EXACT = 1000  # margins whose ranks are taken as they are: the sums of more would take minutes to count


@dataclass(frozen=True)
class Evidence:
    """What a detector found: the larger the statistic and the smaller the p-value, the less it looks like chance."""

    statistic: float
    p_value: float  # P(a statistic as large or larger | no mark): at most α with probability at most α
    p_beyond: float  # P(a larger statistic | no mark): the same where ties have probability 0

    def randomized(self, *, generator: torch.Generator | None = None) -> float:
        """p_beyond + U · (p_value − p_beyond), which is exactly uniform without a mark, also for counts.

        Args:
            generator: draws U, uniform in [0, 1).

        Returns:
            A number between `p_beyond` and `p_value`: for tests of a detector, not for verdicts.

        Source: Lehmann and Romano, 2005. Derived in: lectures/70_watermarking/images
        """
        share = draw(torch.rand, (), device="cpu", generator=generator, dtype=torch.float64)
        return self.p_beyond + float(share) * (self.p_value - self.p_beyond)


def normal_evidence(score: float) -> Evidence:
    """P(Z ≥ score) for Z standard normal.

    Args:
        score: a standard score, finite.

    Returns:
        The evidence.

    Raises:
        TypeError: what is no number.
        ValueError: NaN or infinite.

    Derived in: lectures/70_watermarking/models
    """
    check_numbers(score=score)
    if not math.isfinite(score):
        raise ValueError(f"score must be finite, got {score}")
    p_value = max(float(stats.norm.sf(score)), SMALLEST)
    return Evidence(float(score), p_value, p_value)


def binomial_evidence(hits: int, trials: int, chance: float) -> Evidence:
    """P(H ≥ hits) for H binomial: so many independent trials, each a hit by chance.

    Args:
        hits: 0 to trials.
        trials: at least 0; without any, the p-value is 1.
        chance: strictly between 0 and 1.

    Returns:
        The evidence; the statistic is the number of hits.

    Raises:
        TypeError: what is no number.
        ValueError: more hits than trials, or a chance of 0 or 1.

    Derived in: lectures/70_watermarking/models
    """
    check_counts(0, hits=hits, trials=trials)
    check_numbers(chance=chance)
    if hits > trials:
        raise ValueError(f"there cannot be more hits than trials, got {hits} of {trials}")
    if not 0 < chance < 1:
        raise ValueError(f"chance must lie strictly between 0 and 1, got {chance}")
    beyond = float(stats.binom.sf(hits, trials, chance))
    return Evidence(float(hits), max(float(stats.binom.sf(hits - 1, trials, chance)), SMALLEST), beyond)


def signed_rank_evidence(margins: Tensor) -> Evidence:
    """Wilcoxon's signed ranks: Σⱼ rank(|marginⱼ|)·𝟙[marginⱼ > 0], exact where the signs are fair coins.

    Args:
        margins: `[n]`, sign of a message's bit times what was read of it: positive where the bit was read right, large
            where it was read clearly. Zeros tell nothing, and are left out.

    Returns:
        The evidence; equal sizes share their mean rank, and the distribution is that of these very ranks. Of more than
        1,000 margins the ranks are cut into grades, the fewer the more margins there are, and of more than 30,000 each
        counts 1: whatever signs weigh, they are fair coins, and the p-value stays exact.

    Raises:
        TypeError: what has no sizes, as truth values.
        ValueError: not one row of finite numbers.

    Source: Wilcoxon, 1945. Derived in: lectures/70_watermarking/images
    """
    if not isinstance(margins, Tensor) or margins.dtype == torch.bool or margins.is_complex():
        kind = margins.dtype if isinstance(margins, Tensor) else type(margins).__name__
        raise TypeError(f"margins must be a tensor of real numbers, got {kind}")
    if margins.ndim != 1 or not margins.isfinite().all():
        raise ValueError(f"margins must be [n] and finite, got {list(margins.shape)}")
    kept = margins[margins != 0].detach().cpu().double().numpy()
    weights, unit = _weights(stats.rankdata(np.abs(kept)))
    found = int(weights[kept > 0].sum())
    p_value, beyond = _tails(weights, found)
    return Evidence(found * unit, min(max(p_value, SMALLEST), 1.0), min(beyond, 1.0))


def _weights(ranks: NDArray[np.float64]) -> tuple[NDArray[np.int_], float]:
    """Ranks as multiples of a unit, so few that the sums over all signs can be counted."""
    if len(ranks) > EXACT:
        grades = max(1, EXACT**3 // len(ranks) ** 2)
        return np.ceil(grades * ranks / len(ranks)).astype(int), 1.0
    doubled = np.rint(2 * ranks).astype(int)  # a mean of ranks may be a half
    unit = max(int(np.gcd.reduce(doubled)), 1)
    return doubled // unit, unit / 2


def _tails(weights: NDArray[np.int_], found: int) -> tuple[float, float]:
    """P(S ≥ found) and P(S > found) for the sum S of the weights whose coins show heads."""
    if weights.max(initial=1) == 1:
        count = stats.binom(len(weights), 0.5)
        return float(count.sf(found - 1)), float(count.sf(found))
    chances = np.zeros(weights.sum() + 1)
    chances[0], largest = 1.0, 0
    for weight in weights:
        reached = chances[: largest + 1] / 2
        chances[: largest + 1] = reached
        chances[weight : weight + largest + 1] += reached
        largest += weight
    return float(chances[found:].sum()), float(chances[found + 1 :].sum())


def rank_evidence(statistic: float, decoys: Sequence[float] | Tensor) -> Evidence:
    """(1 + #{decoys ≥ statistic}) / (1 + B): the statistic's place among those of B keys that nobody used.

    Args:
        statistic: of the owner's key, finite.
        decoys: `[B]`, the same statistic of keys drawn anew, at least one.

    Returns:
        The evidence. It is exact whatever the statistic, and never below 1/(1 + B).

    Raises:
        TypeError: a statistic that is no number.
        ValueError: no decoys, or numbers that are not finite.

    Source: Phipson and Smyth, 2010. Derived in: lectures/70_watermarking/radioactive_data
    """
    check_numbers(statistic=statistic)
    others = torch.as_tensor(decoys, dtype=torch.float64).detach().cpu()
    if others.ndim != 1 or len(others) == 0 or not others.isfinite().all() or not math.isfinite(statistic):
        raise ValueError(f"statistic and decoys must be finite, and decoys [B] with B ≥ 1, got {list(others.shape)}")
    above, equal = int((others > statistic).sum()), int((others == statistic).sum())
    return Evidence(float(statistic), (1 + above + equal) / (1 + len(others)), above / (1 + len(others)))
