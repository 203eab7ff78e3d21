"""Do word vectors put one set of words nearer to a pole than another? The word embedding association test."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tml_helpers.common import check_counts
from tml_helpers.fairness._common import read_matrix

CHUNK = 10_000


@dataclass(frozen=True, eq=False)
class Weat:
    """How much nearer the first targets are to the first attributes than the second targets are."""

    effect_size: float
    """d, in standard deviations of single words' associations: from −2 to 2 where both sets have as many words."""
    statistic: float
    """Σₓ s(x, A, B) − Σᵧ s(y, A, B)."""
    p_value: float
    """The share of partitions of all targets that separate them as much, in this direction: one-sided."""
    exact: bool
    """Whether all partitions were looked at."""
    partitions: int
    """How many there are, or were drawn."""
    first: np.ndarray
    """s(x, A, B) = mean cos(x, a) − mean cos(x, b) of each first target, `[n]`."""
    second: np.ndarray
    """The same of each second target, `[n]`."""


def weat(
    first_targets: Any,
    second_targets: Any,
    first_attributes: Any,
    second_attributes: Any,
    *,
    draws: int = 200_000,
    seed: int = 0,
) -> Weat:
    """d = (mean s(x) − mean s(y)) / std of s over all targets, with s(w) = mean cos(w, a) − mean cos(w, b).

    The p-value is the share of all ways to part the targets into sets of these sizes whose means differ as much: exact
    where there are no more than `draws`, else (1 + as much) / (1 + drawn), which is valid, too. It is never 0, since
    the parting that was observed counts. The paper has as many words in both sets; here they may differ.

    Args:
        first_targets, second_targets: the vectors of the words that are compared, `[n, d]` and `[l, d]`.
        first_attributes, second_attributes: the vectors of the words of the two poles, `[m, d]` and `[k, d]`.
        draws: how many partitions are looked at, at most; 200,000 allow for all up to ten words on each side.
        seed: of the draws, where there are more.

    Returns:
        A positive effect: the first targets go with the first attributes. That says what the words are near to in the
        text that the vectors come from, not why, and not what a system that uses them does.

    Raises:
        TypeError: what holds no numbers.
        ValueError: shapes that do not fit, fewer than two targets of a side, a vector of zeros or
            with NaN, or targets that are all alike.

    Source: Caliskan, Bryson and Narayanan, 2017; Phipson and Smyth, 2010, for drawn p-values.
    Derived in: lectures/50_fairness/three_cases
    """
    check_counts(draws=draws)
    x, y, a, b = (
        _directions(name, vectors)
        for name, vectors in (
            ("first_targets", first_targets),
            ("second_targets", second_targets),
            ("first_attributes", first_attributes),
            ("second_attributes", second_attributes),
        )
    )
    if len({part.shape[1] for part in (x, y, a, b)}) > 1:
        raise ValueError(f"all vectors must be of one length, got {[part.shape[1] for part in (x, y, a, b)]}")
    if min(len(x), len(y)) < 2:
        raise ValueError(f"both targets must have two words or more, got {len(x)} and {len(y)}")
    pole = a.mean(axis=0) - b.mean(axis=0)
    first, second = x @ pole, y @ pole
    both = np.concatenate([first, second])
    spread = both.std()
    if spread < 1e-12:
        raise ValueError("the effect is undefined: all targets have the same association")
    exact = math.comb(len(both), len(x)) <= draws
    as_large, looked_at = _partitions(both, len(x), exact, draws, np.random.default_rng(seed))
    return Weat(
        effect_size=float((first.mean() - second.mean()) / spread),
        statistic=float(first.sum() - second.sum()),
        p_value=as_large / looked_at if exact else (1 + as_large) / (1 + looked_at),
        exact=exact,
        partitions=looked_at,
        first=first,
        second=second,
    )


def _partitions(values: np.ndarray, size: int, exact: bool, draws: int, random: np.random.Generator) -> tuple[int, int]:
    """How many choices of `size` values sum to at least what the first ones do, and of how many. Ties count."""
    least = values[:size].sum() - 1e-9 * np.abs(values).sum()
    as_large = looked_at = 0
    for chosen in _choices(len(values), size, exact, draws, random):
        as_large += int((values[chosen].sum(axis=1) >= least).sum())
        looked_at += len(chosen)
    return as_large, looked_at


def _choices(count: int, size: int, exact: bool, draws: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """All choices of `size` of `count` places, or as many as are drawn, in chunks `[c, size]`."""
    if exact:
        places = itertools.combinations(range(count), size)
        while chunk := list(itertools.islice(places, CHUNK)):
            yield np.array(chunk)
    else:
        for start in range(0, draws, CHUNK):
            yield random.random((min(CHUNK, draws - start), count)).argpartition(size, axis=1)[:, :size]


def _directions(name: str, vectors: Any) -> np.ndarray:
    """Vectors of length 1, `[n, d]`, float64."""
    found = read_matrix(name, vectors, "one or more vectors of numbers [n, d]")
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and lengths.min() > 0):
        raise ValueError(f"{name} must have a direction: a vector is zero or not finite")
    return np.asarray(found / lengths)
