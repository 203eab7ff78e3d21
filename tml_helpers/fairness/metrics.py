"""Rates by group, and the criteria that compare them: all follow from one table of counts."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tml_helpers.fairness._common import ONE_BYTE, Groups, check_lengths, read_binary, read_groups

if TYPE_CHECKING:
    import pandas

EVERYBODY = np.array([[1, 1], [1, 1]])  # cells [label, prediction]
POSITIVES = np.array([[0, 0], [1, 1]])
SELECTED = np.array([[0, 1], [0, 1]])
RIGHT = np.array([[1, 0], [0, 1]])

RATES = {  # name: (who is counted, of whom), cells of the table
    "base_rate": (POSITIVES, EVERYBODY),
    "selection_rate": (SELECTED, EVERYBODY),
    "true_positive_rate": (SELECTED, POSITIVES),
    "false_positive_rate": (SELECTED, 1 - POSITIVES),
    "false_negative_rate": (1 - SELECTED, POSITIVES),
    "true_negative_rate": (1 - SELECTED, 1 - POSITIVES),
    "positive_predictive_value": (POSITIVES, SELECTED),
    "negative_predictive_value": (1 - POSITIVES, 1 - SELECTED),
    "accuracy": (RIGHT, EVERYBODY),
}
NOBODY = {  # why a rate is undefined
    "true_positive_rate": "no positive labels",
    "false_negative_rate": "no positive labels",
    "false_positive_rate": "no negative labels",
    "true_negative_rate": "no negative labels",
    "positive_predictive_value": "no positive predictions",
    "negative_predictive_value": "no negative predictions",
}
HITS = np.stack([(who * of).ravel() for who, of in RATES.values()], axis=1)  # (4, rates)
TRIALS = np.stack([of.ravel() for _, of in RATES.values()], axis=1)


class UndefinedMetricError(ValueError):
    """A rate has nobody in its denominator, so that no number is right for it."""


@dataclass(frozen=True, eq=False)
class GroupMetrics:
    """The confusion table of each group, and what follows from it."""

    groups: "pandas.Index"
    """`[G]`: the groups in order, those of crossed attributes all combinations, also where nobody is in them."""
    counts: np.ndarray
    """How many, `[G, 2, 2]`: by group, label and prediction."""

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each group: `count`, and nine rates in [0, 1]; `<NA>` where one is undefined, see `undefined`."""
        return _table(self.groups, self.counts)

    @property
    def overall(self) -> "pandas.Series":
        """The same of everybody."""
        return _table(["overall"], self.counts.sum(axis=0)[None]).loc["overall"]

    @property
    def undefined(self) -> "pandas.DataFrame":
        """A row for each undefined entry of `table`: `group`, `metric` and `reason`."""
        import pandas

        return pandas.DataFrame(list(self._undefined()), columns=["group", "metric", "reason"])

    def _undefined(self) -> Iterator[tuple[Any, str, str]]:
        _, trials = tallies(self.counts)
        for place, column in np.argwhere(trials == 0):
            name = list(RATES)[column]
            empty = self.counts[place].sum() == 0
            yield self.groups[place], name, "nobody is in this group" if empty else NOBODY[name]

    def rates(self, metric: str) -> np.ndarray:
        """One rate of each group that has people.

        Args:
            metric: a rate's column of `table`, as "true_positive_rate".

        Returns:
            `[≤ G]`, in [0, 1], in the groups' order.

        Raises:
            UndefinedMetricError: a group that has people, but nobody of whom the rate is a share.
            ValueError: an unknown metric.
        """
        if metric not in RATES:
            raise ValueError(f"metric must be one of {', '.join(RATES)}, got {metric!r}")
        for group, name, reason in self._undefined():
            if name == metric and reason in NOBODY.values():
                raise UndefinedMetricError(
                    f"{metric} is undefined for {said(group)}, which has {reason}: leave the group out, and say so"
                )
        people = self.counts.sum(axis=(1, 2)) > 0
        hits, trials = (part[people, list(RATES).index(metric)] for part in tallies(self.counts))
        return np.asarray(hits / trials)

    def difference(self, metric: str) -> float:
        """max − min over groups of one rate.

        Args:
            metric: a rate's column of `table`, as "true_positive_rate".

        Returns:
            In [0, 1]; 0 of one group, with a warning, since nothing is compared.

        Raises:
            UndefinedMetricError, ValueError: as of `rates`.
        """
        return _difference(self, metric)

    def __str__(self) -> str:
        shown = self.table.astype(object)
        shown = shown.map(lambda value: f"{value:.3f}" if isinstance(value, float) else value)
        reasons = dict.fromkeys((group, reason) for group, _, reason in self._undefined())
        notes = [f"undefined of {said(group)}: {reason}" for group, reason in reasons]
        return "\n".join([shown.fillna("undefined").T.to_string(), *notes])


def group_metrics(y_true: Any, y_pred: Any, *, sensitive_features: Any) -> GroupMetrics:
    """The confusion table of each group: count, base rate, selection rate, TPR, FPR, FNR, TNR, PPV, NPV and accuracy.

    Where a group has nobody of whom a rate is a share, the rate is undefined, and `undefined` says why. Fairlearn
    has 0 there, which would make a group without positives look like one whose positives are all missed.

    Args:
        y_true: the labels, 0 or 1, `[N]`: an array, a tensor, a list or a column of pandas, read by position, never by
            index.
        y_pred: the predictions, 0 or 1, `[N]`.
        sensitive_features: one attribute, `[N]`, words or numbers; or several, crossed: a frame, a dict or a list of
            columns, or a matrix `[N, k]`. Declared categories and combinations are shown also where nobody is in them.

    Returns:
        Its `table` has a row for each group; a rate is in [0, 1].

    Raises:
        TypeError: columns of another kind.
        ValueError: other values than 0 and 1, missing values, lengths that differ, no row, an attribute that has a
            value of its own for most rows.

    Derived in: lectures/50_fairness/definitions
    """
    y, y_hat = read_binary("y_true", y_true), read_binary("y_pred", y_pred)
    check_lengths(y_true=y, y_pred=y_hat)
    groups = read_groups(sensitive_features, len(y))
    return GroupMetrics(groups.index, count_cells(y, y_hat, groups))


def count_cells(labels: np.ndarray, predictions: np.ndarray, groups: Groups) -> np.ndarray:
    """How many rows are in each cell, `[G, 2, 2]`: 4·group + 2·label + prediction, one byte if it fits, counted once.

    PyTorch counts bytes as they are, where NumPy copies them to eight times the size; sums are faster than shifts.
    """
    cells = 4 * len(groups)
    group = groups.codes if cells <= ONE_BYTE else groups.codes.astype(np.int64)
    code = group + group
    code += labels
    code += code
    code += predictions
    return torch.bincount(torch.from_numpy(code), minlength=cells).numpy().reshape(-1, 2, 2)


def tallies(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each rate, how many are counted and of how many, `[…, rates]` each, from counts `[…, 2, 2]`."""
    cells = counts.reshape(*counts.shape[:-2], 4)
    return cells @ HITS, cells @ TRIALS


def demographic_parity_difference(y_true: Any, y_pred: Any, *, sensitive_features: Any) -> float:
    """max − min over groups a of P(ŷ = 1 | a).

    Args:
        y_true, y_pred, sensitive_features: as of `group_metrics`. `y_true` has no part in the number.

    Returns:
        In [0, 1]; 0 where all groups are selected equally often.

    Raises:
        TypeError, ValueError: as of `group_metrics`.

    Derived in: lectures/50_fairness/definitions
    """
    found = group_metrics(y_true, y_pred, sensitive_features=sensitive_features)
    return _difference(found, "selection_rate")


def demographic_parity_ratio(y_true: Any, y_pred: Any, *, sensitive_features: Any) -> float:
    """min / max over groups a of P(ŷ = 1 | a), which the four-fifths rule holds against 0.8.

    It is a rule of thumb of the agencies that enforce American employment law, for when to look closer. It is no proof
    in either direction, and their guidelines let it give way where numbers are small: see the intervals of `audit`.

    Args:
        y_true, y_pred, sensitive_features: as of `demographic_parity_difference`.

    Returns:
        In [0, 1]; 1 where all groups are selected equally often, and of one group, with a warning.

    Raises:
        UndefinedMetricError: nobody is selected in any group.
        TypeError, ValueError: as of `group_metrics`.

    Source: Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4(D), 1978.
    Derived in: lectures/50_fairness/definitions
    """
    rates = group_metrics(y_true, y_pred, sensitive_features=sensitive_features).rates("selection_rate")
    if rates.max() == 0:
        raise UndefinedMetricError("the ratio is undefined: no group has positive predictions")
    if len(rates) == 1:
        warnings.warn("there is one group only: a ratio of 1 compares nothing", stacklevel=2)
    return float(rates.min() / rates.max())


def equal_opportunity_difference(y_true: Any, y_pred: Any, *, sensitive_features: Any) -> float:
    """max − min over groups a of P(ŷ = 1 | y = 1, a).

    Args:
        y_true, y_pred, sensitive_features: as of `group_metrics`.

    Returns:
        In [0, 1].

    Raises:
        UndefinedMetricError: a group without positive labels.
        TypeError, ValueError: as of `group_metrics`.

    Source: Hardt, Price and Srebro, 2016. Derived in: lectures/50_fairness/definitions
    """
    found = group_metrics(y_true, y_pred, sensitive_features=sensitive_features)
    return _difference(found, "true_positive_rate")


def equalized_odds_difference(y_true: Any, y_pred: Any, *, sensitive_features: Any) -> float:
    """The larger of max − min over groups a of P(ŷ = 1 | y = 1, a) and of P(ŷ = 1 | y = 0, a).

    Args:
        y_true, y_pred, sensitive_features: as of `group_metrics`.

    Returns:
        In [0, 1].

    Raises:
        UndefinedMetricError: a group without positive labels, or without negative ones.
        TypeError, ValueError: as of `group_metrics`.

    Source: Hardt, Price and Srebro, 2016. Derived in: lectures/50_fairness/definitions
    """
    found = group_metrics(y_true, y_pred, sensitive_features=sensitive_features)
    return _difference(found, "true_positive_rate", "false_positive_rate")


def predictive_parity_difference(y_true: Any, y_pred: Any, *, sensitive_features: Any) -> float:
    """max − min over groups a of P(y = 1 | ŷ = 1, a).

    Args:
        y_true, y_pred, sensitive_features: as of `group_metrics`.

    Returns:
        In [0, 1].

    Raises:
        UndefinedMetricError: a group without positive predictions.
        TypeError, ValueError: as of `group_metrics`.

    Source: Chouldechova, 2017. Derived in: lectures/50_fairness/definitions
    """
    found = group_metrics(y_true, y_pred, sensitive_features=sensitive_features)
    return _difference(found, "positive_predictive_value")


def _difference(found: GroupMetrics, *metrics: str) -> float:
    """max − min over groups, the largest of some rates."""
    rates = [found.rates(metric) for metric in metrics]
    if len(rates[0]) == 1:
        warnings.warn("there is one group only: a difference of 0 compares nothing", stacklevel=3)
    return float(max(np.ptp(rate) for rate in rates))


def _table(index: Any, counts: np.ndarray) -> "pandas.DataFrame":
    import pandas

    hits, trials = tallies(counts)
    rates = np.divide(hits, trials, out=np.zeros(hits.shape), where=trials > 0)
    frame = pandas.DataFrame({"count": counts.sum(axis=(1, 2))}, index=index)
    for column, name in enumerate(RATES):
        frame[name] = pandas.arrays.FloatingArray(rates[:, column], trials[:, column] == 0)
    return frame


def said(group: Any) -> str:
    """A group by its name; of crossed attributes, by all its values."""
    return " × ".join(map(str, group)) if isinstance(group, tuple) else str(group)
