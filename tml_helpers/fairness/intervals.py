"""Intervals of rates and of their differences: what the sample can tell, and what it cannot."""

from dataclasses import dataclass

import numpy as np

from tml_helpers.common import check_counts
from tml_helpers.fairness._common import read_array


def bootstrap_counts(counts: np.ndarray, *, draws: int = 1000, seed: int = 0) -> np.ndarray:
    """Counts of bootstrap samples: multinomial, n of n, with the cells' shares as probabilities.

    A bootstrap sample draws n rows with replacement. All that a rate asks of a row is its cell, each draw meets a cell
    with the share of the rows that are in it, and draws are independent: so the counts of the sample are multinomial,
    and to draw them is the same as to draw the rows and to count. It costs one number a cell instead of n.

    Args:
        counts: how many rows are in each cell, whole numbers of 0 or more, any shape.
        draws: how many samples, 1 or more.
        seed: of the draws.

    Returns:
        `[draws, …]`, int64: each sample sums to n.

    Raises:
        TypeError: what is no whole number.
        ValueError: negative counts, or none.

    Source: Efron, 1979. Derived in: lectures/50_fairness/definitions
    """
    check_counts(draws=draws)
    cells = read_array("counts", counts)
    if cells.dtype.kind not in "iu":
        raise TypeError(f"counts must be whole numbers, got {cells.dtype}")
    if cells.size == 0 or cells.min() < 0 or cells.sum() == 0:
        raise ValueError("counts must be 0 or more, and not all 0")
    total = int(cells.sum())
    drawn = np.random.default_rng(seed).multinomial(total, cells.ravel() / total, size=draws)
    return drawn.reshape(draws, *cells.shape)


def wilson(hits: np.ndarray, trials: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a rate, low and high: all p with |p̂ − p| ≤ z √(p (1 − p) / n). Not empty at 0 of n."""
    z = normal_quantile(confidence)
    n = np.maximum(trials, 1)
    rate = hits / n
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    return np.clip(middle - reach, 0, rate), np.clip(middle + reach, rate, 1)  # p̂ lies within, also after rounding


def check_confidence(confidence: float) -> None:
    """Raises ValueError for what is no confidence."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")


def percent(confidence: float) -> str:
    """95% or 99.9%, as it is: rounded to 100% it would be certainty."""
    return f"{100 * confidence:.10g}%"


def normal_quantile(confidence: float) -> float:
    """z with P(|Z| ≤ z) = confidence."""
    from scipy import special

    return float(special.ndtri((1 + confidence) / 2))


@dataclass(frozen=True, eq=False)
class PairDifferences:
    """rate of `first` − rate of `second`, of each pair and metric that is compared; all intervals hold together."""

    metric: np.ndarray
    """The column of each, `[P]`."""
    first: np.ndarray
    second: np.ndarray
    """Groups, `[P]`."""
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    """`[P]`, in [−1, 1]."""


def simultaneous_differences(
    hits: np.ndarray,
    trials: np.ndarray,
    drawn: tuple[np.ndarray, np.ndarray],
    compared: np.ndarray,
    confidence: float,
) -> PairDifferences:
    """Intervals of all differences between two groups, all true at once with the given confidence.

    With one hit and one miss added to each group (Agresti and Caffo, 2000), a difference has the interval
    d ± c·s, s² = p₁(1 − p₁)/n₁ + p₂(1 − p₂)/n₂. The one c for all is the quantile of the largest |error| / s that
    bootstrap samples show over all pairs and metrics (Westfall and Young's maximum), and at least z, that of one pair.

    Args:
        hits, trials: `[G, M]`, of each group and metric.
        drawn: the same of bootstrap samples, `[B, G, M]` each.
        compared: which groups take part, `[G, M]`.
        confidence: of all intervals together, in (0, 1).
    """
    one, other = np.triu_indices(len(hits), k=1)
    pair, metric = np.nonzero(compared[one] & compared[other])
    first, second = one[pair], other[pair]
    rate = hits / np.maximum(trials, 1)
    difference = rate[first, metric] - rate[second, metric]
    soft, variance = _softened(hits, trials)
    drawn_soft, drawn_variance = _softened(*drawn)
    largest = np.zeros(len(drawn_soft))
    for m, i, j, true in zip(metric, first, second, difference, strict=True):
        error = drawn_soft[:, i, m] - drawn_soft[:, j, m] - true
        size = np.abs(error) / np.sqrt(drawn_variance[:, i, m] + drawn_variance[:, j, m])
        np.maximum(largest, size, out=largest)
    critical = max(float(np.quantile(largest, confidence, method="higher")), normal_quantile(confidence))
    middle = soft[first, metric] - soft[second, metric]
    reach = critical * np.sqrt(variance[first, metric] + variance[second, metric])
    return PairDifferences(
        metric, first, second, difference, np.clip(middle - reach, -1, 1), np.clip(middle + reach, -1, 1)
    )


def _softened(hits: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rate with one hit and one miss more, and its variance."""
    rate = (hits + 1) / (trials + 2)
    return rate, rate * (1 - rate) / (trials + 2)
