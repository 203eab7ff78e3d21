"""An audit: which differences between groups the sample shows, which it cannot tell from chance, who is too few."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from tml_helpers.common import check_counts
from tml_helpers.fairness.intervals import (
    PairDifferences,
    bootstrap_counts,
    check_confidence,
    percent,
    simultaneous_differences,
    wilson,
)
from tml_helpers.fairness.metrics import RATES, GroupMetrics, group_metrics, said, tallies

if TYPE_CHECKING:
    import pandas

MOST_GROUPS = 100
COMPARED = {  # metric: of whom it is a share
    "selection_rate": "people",
    "true_positive_rate": "positive labels",
    "false_positive_rate": "negative labels",
    "positive_predictive_value": "positive predictions",
}
CRITERIA = {
    "demographic parity": ("selection_rate",),
    "equal opportunity": ("true_positive_rate",),
    "predictive equality": ("false_positive_rate",),
    "equalized odds": ("true_positive_rate", "false_positive_rate"),
    "predictive parity": ("positive_predictive_value",),
}
PLACES = [list(RATES).index(name) for name in COMPARED]
DIFFER, UNTOLD = "the groups differ", "cannot be told from chance"
ALONE = "not compared: fewer than two groups are large enough"


@dataclass(frozen=True, eq=False)
class Audit:
    """What a table and a picture for a committee show, with intervals."""

    metrics: GroupMetrics
    """The confusion table of each group."""
    confidence: float
    """Of all intervals of differences together, and of each interval of a rate alone."""
    minimum: int
    """A group with fewer in a rate's denominator is not compared."""
    differences: "pandas.DataFrame"
    """A row for each criterion: `difference`, the largest between two groups that are compared, its interval `low` and
    `high`, the `highest` and the `lowest` group, and the `verdict`."""
    pairs: "pandas.DataFrame"
    """A row for each metric and pair of groups that are compared: `metric`, `group` (the one with the higher rate),
    `other`, `difference`, `low`, `high`, and whether they `differ`, which is that the interval is without 0."""
    too_small: "pandas.DataFrame"
    """A row for each metric and group that are not compared: `metric`, `group`, `count`, and the `reason`."""

    @property
    def rates(self) -> "pandas.DataFrame":
        """A row for each group and metric: `group`, `metric`, `count` (of whom), `rate`, `low` and `high`, `<NA>` of
        nobody."""
        return _with_intervals(self.metrics.groups, self.metrics.counts, self.confidence)

    @property
    def overall(self) -> "pandas.DataFrame":
        """The same of everybody, by metric."""
        whole = self.metrics.counts.sum(axis=0)[None]
        return _with_intervals(["everybody"], whole, self.confidence).drop(columns="group").set_index("metric")

    def plot(self) -> Figure:
        """The rates of each group with their intervals, one panel a metric, and each panel's verdict.

        Returns:
            The figure, 7 inches wide.
        """
        from tml_helpers.fairness._audit_figure import draw

        return draw(self)

    def __str__(self) -> str:
        sizes = self.metrics.counts.sum(axis=(1, 2))
        lines = [
            f"{sizes.sum():,} people in {(sizes > 0).sum()} groups. All intervals of differences hold together with a "
            f"confidence of {percent(self.confidence)}.",
            "",
        ]
        for criterion, row in self.differences.iterrows():
            if row["verdict"] == ALONE:
                lines.append(f"{criterion}: {ALONE}")
                continue
            between = f"{said(row['highest'])} against {said(row['lowest'])}"
            interval = f"interval {row['low']:.3f} to {row['high']:.3f}"
            largest = f"largest difference {row['difference']:.3f} ({between}), {interval}"
            lines.append(f"{criterion}: {row['verdict']}; {largest}")
        if len(self.too_small):
            lines += ["", f"Not compared, since fewer than {self.minimum} are too few:"]
            lines += [f"{said(row.group)}, {row.reason}" for row in self.too_small.itertuples()]
        return "\n".join(lines)


def audit(
    y_true: Any,
    y_pred: Any,
    *,
    sensitive_features: Any,
    confidence: float = 0.95,
    minimum: int = 10,
    draws: int = 1000,
    seed: int = 0,
) -> Audit:
    """The groups that differ in selection, in true and false positives, or in what a positive prediction is worth.

    All pairs of groups are compared in all four rates. Whoever searches so many differences finds some by chance, so
    their intervals are widened until they are all true at once with about the given confidence: the audit of a system
    that treats all groups alike finds a difference with a chance of about 1 − confidence. A difference that is not
    found is not shown to be 0: its interval says how large it may be.

    Args:
        y_true, y_pred, sensitive_features: as of `group_metrics`; at most 100 groups with people.
        confidence: in (0, 1).
        minimum: how many a group must have in a rate's denominator to be compared, 1 or more. Below ten, the
            intervals are not to be relied on.
        draws: bootstrap samples, 1 or more; 1,000 are enough for 95 %.
        seed: of the draws.

    Returns:
        Tables, a picture and, printed, a report.

    Raises:
        TypeError: as of `group_metrics`.
        ValueError: as of `group_metrics`, one group only, more than 100, or a number out of range.

    Source: Westfall and Young, 1993; Agresti and Caffo, 2000; Wilson, 1927.
    Derived in: lectures/50_fairness/individuals_and_audits
    """
    check_confidence(confidence)
    check_counts(minimum=minimum, draws=draws)
    metrics = group_metrics(y_true, y_pred, sensitive_features=sensitive_features)
    with_people = int((metrics.counts.sum(axis=(1, 2)) > 0).sum())
    if with_people < 2:
        raise ValueError("an audit compares groups, and there is one group only")
    if with_people > MOST_GROUPS:
        raise ValueError(f"an audit compares at most {MOST_GROUPS} groups, got {with_people}: merge some")
    hits, trials = (part[:, PLACES] for part in tallies(metrics.counts))
    samples = bootstrap_counts(metrics.counts, draws=draws, seed=seed)
    drawn_hits, drawn_trials = (part[..., PLACES] for part in tallies(samples))
    found = simultaneous_differences(hits, trials, (drawn_hits, drawn_trials), trials >= minimum, confidence)
    pairs = _pairs(metrics.groups, found)
    return Audit(metrics, confidence, minimum, _differences(pairs), pairs, _too_small(metrics.groups, trials, minimum))


def _pairs(groups: "pandas.Index", found: PairDifferences) -> "pandas.DataFrame":
    """Each pair with the higher rate first."""
    import pandas

    turned = found.difference < 0
    sign = np.where(turned, -1, 1)
    low, high = np.where(turned, -found.high, found.low), np.where(turned, -found.low, found.high)
    frame = pandas.DataFrame({"metric": np.array(list(COMPARED), dtype=object)[found.metric]})
    frame["group"] = [groups[place] for place in np.where(turned, found.second, found.first)]
    frame["other"] = [groups[place] for place in np.where(turned, found.first, found.second)]
    numbers = {"difference": sign * found.difference, "low": low, "high": high, "differ": low > 0}
    return frame.assign(**numbers)


def _differences(pairs: "pandas.DataFrame") -> "pandas.DataFrame":
    """Of each criterion the largest |difference|, between the largest lower end and the largest upper end."""
    import pandas

    rows: dict[str, dict[str, Any]] = {}
    for criterion, metrics in CRITERIA.items():
        some = pairs[pairs["metric"].isin(metrics)]
        if some["metric"].nunique() < len(metrics):
            nothing = dict.fromkeys(["difference", "low", "high", "highest", "lowest"], pandas.NA)
            rows[criterion] = {**nothing, "verdict": ALONE}
            continue
        largest = some.loc[some["difference"].idxmax()]
        rows[criterion] = {
            "difference": largest["difference"],
            "low": max(0.0, some["low"].max()),
            "high": max(some["high"].max(), -some["low"].min()),
            "highest": largest["group"],
            "lowest": largest["other"],
            "verdict": DIFFER if some["differ"].any() else UNTOLD,
        }
    return pandas.DataFrame.from_dict(rows, orient="index")


def _too_small(groups: "pandas.Index", trials: np.ndarray, minimum: int) -> "pandas.DataFrame":
    import pandas

    rows = [
        (list(COMPARED)[metric], groups[place], int(trials[place, metric]))
        for place, metric in np.argwhere(trials < minimum)
    ]
    frame = pandas.DataFrame(rows, columns=["metric", "group", "count"])
    return frame.assign(reason=[f"{COMPARED[metric]}: {count}" for metric, _, count in rows])


def _with_intervals(groups: Any, counts: np.ndarray, confidence: float) -> "pandas.DataFrame":
    """All rates with Wilson's intervals, one at a time."""
    import pandas

    hits, trials = (part.ravel() for part in tallies(counts))
    low, high = wilson(hits, trials, confidence)
    frame = pandas.DataFrame({"metric": np.tile(np.array(list(RATES), dtype=object), len(groups)), "count": trials})
    frame.insert(0, "group", [group for group in groups for _ in RATES])
    for name, values in (("rate", hits / np.maximum(trials, 1)), ("low", low), ("high", high)):
        frame[name] = pandas.arrays.FloatingArray(values, trials == 0)
    return frame
