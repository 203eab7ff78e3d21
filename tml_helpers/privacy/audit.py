"""Lower bounds on ε from an attack: what a mechanism that has no more than ε could hardly let happen."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from tml_helpers.common import check_counts
from tml_helpers.privacy._numbers import check_between, check_delta, read_array, read_flags

SHARES = (1.0, 0.5, 0.2, 0.1, 0.05)
"""Of the canaries, how many are guessed where nobody says how many: fixed before anything is seen."""

UNFAIR = 1e-6
"""Fair coins fall as unevenly as is refused in one of a million audits."""


class DegenerateScoresWarning(UserWarning):
    """The attack gives all canaries the same score: it has said nothing, and 0 is no finding about the mechanism."""


@dataclass(frozen=True)
class EpsilonAudit:
    """What an attack proves: with this confidence, the mechanism is not (ε, δ)-DP for any ε below `lower_bound`.

    Args:
        lower_bound: of ε, 0 or more; 0 says that this attack proves nothing, not that nothing leaks.
        ceiling: the largest bound that this many guesses can give, when every one of them is right.
        guesses: how many were made.
        correct: how many of them were right.
        canaries: how many coins were thrown, or runs made.
        delta: the δ that was granted.
        confidence: of the bound.

    Derived in: lectures/60_privacy/differential_privacy.
    """

    lower_bound: float
    ceiling: float
    guesses: int
    correct: int
    canaries: int
    delta: float
    confidence: float


def audit_epsilon(
    scores: Any, included: Any, *, delta: float, confidence: float = 0.95, guesses: int | None = None
) -> EpsilonAudit:
    """max ε with P[B ≥ v] + 2mδ · max_i P[v > B ≥ v − i] / i < 1 − confidence, for B ~ Binomial(r, eᵋ / (1 + eᵋ)).

    One run suffices. Each of m canaries was put into the data by a fair coin of its own. The attacker guesses "in" for
    the r/2 highest scores and "out" for the r/2 lowest, abstains from the rest, and is right v times. Under (ε, δ)-DP a
    guess is right about as rarely as one about a randomised response.

    Among equal scores those that are guessed are drawn by a lot that looks at neither scores nor coins, so that the
    order of the canaries gives nothing away.

    Args:
        scores: `[m]`, higher for what the attacker believes to be in; −∞ and ∞ are allowed.
        included: what the coins said, `[m]`, True for in. They must have been fair and independent.
        delta: that the mechanism promises, in [0, 1); 0 for pure ε-DP.
        confidence: the bound exceeds the true ε in at most 1 − confidence of all audits; between 0 and 1.
        guesses: r, from 1 to m, chosen before the scores are looked at. None tries up to five numbers, and pays for the
            choice by dividing 1 − confidence among them (Bonferroni).

    Returns:
        The best bound, with the guesses that gave it.

    Raises:
        TypeError: scores or coins that are no numbers.
        ValueError: lengths that differ, a score that is NaN, coins that cannot have been fair, or a number that is out
            of range.

    Source: Steinke, Nasr and Jagielski, 2023, theorem 5.2. Derived in: lectures/60_privacy/differential_privacy.
    """
    check_delta(delta)
    check_between(confidence=confidence)
    ranks, coins = read_array("scores", scores), read_flags("included", included)
    _check_coins(ranks, coins)
    _warn_of_degenerate(ranks)
    lot = _lot(len(ranks))
    order = lot[np.argsort(ranks[lot], kind="stable")]
    m = len(coins)
    if guesses is None:
        tried = sorted({max(1, round(share * m)) for share in SHARES})
    else:
        check_counts(guesses=guesses)
        if guesses > m:
            raise ValueError(f"guesses must be at most the {m} canaries, got {guesses}")
        tried = [guesses]
    level = (1 - confidence) / len(tried)
    found = []
    for r in tried:
        low, high = order[: r // 2], order[m - (r - r // 2) :]
        correct = int((~coins[low]).sum() + coins[high].sum())
        found.append((_largest_refuted(m, r, correct, delta, level), r, correct))
    bound, r, correct = max(found)
    return EpsilonAudit(bound, _largest_refuted(m, r, r, delta, level), r, correct, m, delta, confidence)


def audit_epsilon_by_two_models(
    scores_in: Any, scores_out: Any, *, delta: float, confidence: float = 0.95
) -> EpsilonAudit:
    """max of ln((TPR − δ) / FPR) and ln((TNR − δ) / FNR), each rate at its unfavourable end of an exact interval.

    The mechanism has run many times with one record and many times without it, and the attack gave each run a score.
    The threshold is chosen on one half of the runs; the other half measures it (Clopper and Pearson's bounds).

    Args:
        scores_in: of the runs with the record, `[n]`, two or more; higher for "in".
        scores_out: of those without it, `[k]`, two or more.
        delta: that the mechanism promises, in [0, 1); 0 for pure ε-DP.
        confidence: the bound exceeds the true ε in at most 1 − confidence of all audits; between 0 and 1.

    Returns:
        The bound; `guesses` are the runs of the half that measures.

    Raises:
        TypeError: scores that are no numbers.
        ValueError: fewer than two runs of a kind, a score that is NaN, or a number that is out of range.

    Source: Jagielski, Ullman and Oprea, 2020. Derived in: lectures/60_privacy/differential_privacy.
    """
    check_delta(delta)
    check_between(confidence=confidence)
    halves = []
    for name, given in (("scores_in", scores_in), ("scores_out", scores_out)):
        scores = read_array(name, given)
        if len(scores) < 2:
            raise ValueError(f"{name} must have 2 runs or more, one to choose the threshold and one to measure, got 1")
        scores = scores[_lot(len(scores))]
        halves.append((scores[: len(scores) // 2], scores[len(scores) // 2 :]))
    (choose_in, measure_in), (choose_out, measure_out) = halves
    both = np.concatenate([choose_in, choose_out])
    _warn_of_degenerate(np.concatenate([both, measure_in, measure_out]))
    level = (1 - confidence) / 2  # of two one-sided bounds, which all four rates use
    thresholds = np.unique(both)
    promised = _two_rates(_above(choose_in, thresholds), _above(choose_out, thresholds), delta, level)
    threshold = thresholds[[int(promised.argmax())]]
    hits, alarms = _above(measure_in, threshold), _above(measure_out, threshold)
    n, k = len(measure_in), len(measure_out)
    return EpsilonAudit(
        lower_bound=float(_two_rates(hits, alarms, delta, level)[0]),
        ceiling=float(_two_rates(_Hits(np.array([n]), n), _Hits(np.array([0]), k), delta, level)[0]),
        guesses=n + k,
        correct=int(hits.count[0] + k - alarms.count[0]),
        canaries=len(both) + n + k,
        delta=delta,
        confidence=confidence,
    )


def _lot(count: int) -> np.ndarray:
    """An order that nothing in the data has to do with."""
    return np.random.default_rng(20231).permutation(count)


def _check_coins(scores: np.ndarray, coins: np.ndarray) -> None:
    if len(scores) != len(coins):
        raise ValueError(f"included must have one coin for each of the {len(scores)} scores, got {len(coins)}")
    from scipy import stats

    heads = int(coins.sum())
    if stats.binomtest(heads, len(coins)).pvalue < UNFAIR:
        raise ValueError(
            f"included must come from fair coins, but {heads} of {len(coins)} are in: draw each with probability 1/2"
        )


def _warn_of_degenerate(scores: np.ndarray) -> None:
    if (scores == scores[0]).all():
        warnings.warn(
            f"all {len(scores)} scores are {scores[0]}: the attack has said nothing, so its bound says nothing about "
            "the mechanism",
            DegenerateScoresWarning,
            stacklevel=3,
        )


def _p_value(m: int, r: int, v: int, epsilon: float, delta: float) -> float:
    """A bound on the probability of v or more right guesses of r, under (ε, δ)-DP with m canaries."""
    from scipy import special

    right = special.expit(epsilon)
    p = float(special.bdtrc(v - 1, r, right)) if v else 1.0
    if delta and v:
        p += 2 * m * delta * _steepest(r, v, right)
    return p


def _steepest(r: int, v: int, right: float) -> float:
    """max over i = 1 … v of P[v > B ≥ v − i] / i, at most 1/i each: far terms are looked at only if they may count."""
    from scipy import special

    reach = min(v, 500)
    while True:
        i = np.arange(1, reach + 1)
        below = np.where(v > i, special.bdtr(np.maximum(v - i - 1, 0), r, right), 0.0)  # P[B < v − i]
        best = float(((special.bdtr(v - 1, r, right) - below) / i).max())
        if reach == v or best >= 1 / reach:
            return best
        reach = min(v, 4 * reach)


def _largest_refuted(m: int, r: int, v: int, delta: float, level: float) -> float:
    """The largest ε under which v right guesses are less likely than `level`; 0 where none is."""
    if _p_value(m, r, v, 0.0, delta) >= level:
        return 0.0
    low, high = 0.0, 1.0
    while _p_value(m, r, v, high, delta) < level:
        low, high = high, 2 * high
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if _p_value(m, r, v, middle, delta) < level else (low, middle)
    return low


@dataclass(frozen=True, eq=False)
class _Hits:
    """For each threshold, how many of `of` runs score at least as high."""

    count: np.ndarray
    of: int

    def at_least(self, level: float) -> np.ndarray:
        from scipy import stats

        return np.asarray(np.where(self.count > 0, stats.beta.ppf(level, self.count, self.of - self.count + 1), 0.0))

    def at_most(self, level: float) -> np.ndarray:
        from scipy import stats

        misses = self.of - self.count
        return np.asarray(np.where(misses > 0, stats.beta.isf(level, self.count + 1, np.maximum(misses, 1)), 1.0))


def _above(scores: np.ndarray, thresholds: np.ndarray) -> _Hits:
    return _Hits(len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left"), len(scores))


def _two_rates(hits: _Hits, alarms: _Hits, delta: float, level: float) -> np.ndarray:
    """The lower bound on ε for each threshold, from true and false positives and, turned round, from negatives."""
    sure, false = hits.at_least(level), alarms.at_most(level)
    ratios = [(sure - delta) / false, (1 - false - delta) / np.maximum(1 - sure, np.finfo(float).tiny)]
    return np.asarray(np.log(np.maximum(np.maximum(*ratios), 1.0)))
