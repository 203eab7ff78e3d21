"""Calibration by group: of those with a score of 0.7, are seven of ten positive, whichever group they are in?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tml_helpers.common import check_counts
from tml_helpers.fairness._common import check_lengths, read_binary, read_groups, read_scores
from tml_helpers.fairness.intervals import check_confidence, wilson

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class GroupCalibration:
    """Scores against what happened, by group."""

    table: "pandas.DataFrame"
    """A row for each group and bin in which somebody is: `bin` (0 the lowest scores), `count`, `mean_score`,
    `observed_rate` of positive labels, and its interval, `low` and `high`, of each alone."""
    summary: "pandas.DataFrame"
    """A row for each group with people: `count`, `mean_score`, `base_rate`, `gap`, the one less the other, and
    `expected_calibration_error`, the mean over people of |mean score − observed rate| of their bin."""


def calibration_by_group(
    y_true: Any, y_score: Any, *, sensitive_features: Any, bins: int = 10, confidence: float = 0.95
) -> GroupCalibration:
    """P(y = 1 | score, a) beside the score, for each group a and each of `bins` parts of [0, 1].

    Bin k holds k/bins ≤ score < (k + 1)/bins, the last one also 1. The expected calibration error is never negative, so
    that few people in a bin make it larger: compare groups of different size by the intervals, not by it.

    Args:
        y_true: as of `group_metrics`.
        y_score: the probability of a positive label that is claimed, `[N]`, in [0, 1].
        sensitive_features: as of `group_metrics`.
        bins: how many, 1 or more.
        confidence: of Wilson's intervals, in (0, 1).

    Returns:
        A table by group and bin, and one by group. Bins in which nobody is have no row.

    Raises:
        TypeError, ValueError: as of `group_metrics`, scores outside [0, 1], or a number out of range.

    Source: Chouldechova, 2017; Kleinberg, Mullainathan and Raghavan, 2017.
    Derived in: lectures/50_fairness/definitions
    """
    import pandas

    check_counts(bins=bins)
    check_confidence(confidence)
    y, s = read_binary("y_true", y_true), read_scores("y_score", y_score)
    check_lengths(y_true=y, y_score=s)
    found = read_groups(sensitive_features, len(y))
    edges = (np.arange(1, bins) / bins).astype(s.dtype)
    code = found.codes.astype(np.int64) * bins + np.searchsorted(edges, s, side="right")
    count, positives, total = (
        np.bincount(code, weights=weights, minlength=len(found) * bins).reshape(-1, bins) for weights in (None, y, s)
    )
    group, part = np.nonzero(count)
    people, hits, mean = count[group, part], positives[group, part], total[group, part] / count[group, part]
    low, high = wilson(hits, people, confidence)
    columns = {"bin": part, "count": people, "mean_score": mean, "observed_rate": hits / people}
    table = pandas.DataFrame({**columns, "low": low, "high": high}, index=found.index[group])
    there = count.sum(axis=1) > 0
    people, mean, rate = (part.sum(axis=1)[there] for part in (count, total, positives))
    errors = np.abs(total - positives).sum(axis=1)[there]
    columns = {"count": people, "mean_score": mean / people, "base_rate": rate / people, "gap": (mean - rate) / people}
    columns["expected_calibration_error"] = errors / people
    return GroupCalibration(table, pandas.DataFrame(columns, index=found.index[there]))
