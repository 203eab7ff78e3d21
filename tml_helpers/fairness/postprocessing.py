"""Thresholds for each group that are the best under a constraint of fairness, randomised where they must be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from tml_helpers.fairness._common import check_lengths, read_binary, read_groups, read_scores
from tml_helpers.fairness._optimum import best_alone, best_of_equal, best_overlap, rule_of
from tml_helpers.fairness._roc_hull import Hull, roc_hull
from tml_helpers.fairness.metrics import UndefinedMetricError, said
from tml_helpers.fairness.threshold_policy import ThresholdPolicy, ThresholdRule, read_finite

if TYPE_CHECKING:
    import pandas

Constraint = Literal["max_profit", "single_threshold", "demographic_parity", "equal_opportunity", "equalized_odds"]

NOBODY = 1e-15
"""A row of this share of all people would be lost in the rounding of their sum."""


def equalized_odds_postprocessing(
    y_true: Any,
    y_score: Any,
    *,
    sensitive_features: Any,
    false_positive_cost: float = 1.0,
    false_negative_cost: float = 1.0,
) -> ThresholdPolicy:
    """max accuracy over all rules P(accept | score, group) with FPR_g = x and TPR_g = y in each group g.

    What thresholds reach in a group is the hull of its ROC curve; what all groups reach is where their hulls overlap,
    and its best corner (x, y) is found exactly. A group whose hull lies higher ignores the scores of some of its
    members, drawn by chance, and accepts the share x of these: it is made as bad as the worst. Decisions 0 and 1 are
    scores with two values, for which this is the paper's linear programme. A rule prefers low scores only in a group
    whose score is worse than chance.

    The rates are equal on these people; on others they are estimates. Pass people whom the model has not seen.

    Args:
        y_true: labels, 0 or 1, `[N]`; 1 is whom acceptance is meant for.
        y_score: scores in [0, 1], or decisions 0 and 1, `[N]`. All are read by position.
        sensitive_features: the groups, `[N]`, of one attribute, or of several crossed: a frame, a dict of columns.
        false_positive_cost, false_negative_cost: of one wrong decision each, positive; both 1 for accuracy.

    Returns:
        The policy: rules, rates, `probabilities` and `predict`.

    Raises:
        TypeError: labels or scores that are no numbers.
        ValueError: lengths that differ, missing values, scores outside [0, 1], labels that are not 0 or 1, or a cost
            that is not positive.
        UndefinedMetricError: a group without positives, or without negatives.

    Source: Hardt, Price and Srebro, 2016. Derived in: lectures/50_fairness/mitigation
    """
    scores = read_scores("y_score", y_score).astype(np.float64)
    _check_positive(false_positive_cost=false_positive_cost, false_negative_cost=false_negative_cost)
    costs = {"gain": false_negative_cost, "loss": false_positive_cost}
    return _policy(y_true, scores, sensitive_features, None, "equalized_odds", **costs)


def group_thresholds(
    y_true: Any,
    y_score: Any,
    *,
    sensitive_features: Any,
    constraint: Constraint,
    gain: float = 1.0,
    loss: float = 1.0,
    weights: Any = None,
) -> ThresholdPolicy:
    """max gain · true positives − loss · false positives, over thresholds that keep something equal in all groups.

    - `"max_profit"` keeps nothing equal: each group has the threshold that is best in it.
    - `"single_threshold"`: the threshold. The rule does not see the group ("race blind").
    - `"demographic_parity"`: the share of people accepted.
    - `"equal_opportunity"`: the true-positive rate.
    - `"equalized_odds"`: the true- and the false-positive rate.

    The last three hold exactly: where no threshold fits, a rule draws between two. With a calibrated score, profit is
    highest where whoever repays with a probability of at least loss / (gain + loss) is accepted.

    Args:
        y_true: labels, 0 or 1, `[N]`, as 1 for a loan that is paid back.
        y_score: scores, `[N]`, finite, in any unit, as a credit bureau's. All are read by position.
        sensitive_features: the groups, `[N]`, of one attribute, or of several crossed: a frame, a dict of columns.
        constraint: what is kept equal.
        gain: by one true positive, positive.
        loss: by one false positive, positive.
        weights: how many people a row stands for, `[N]`, 0 or more, so that a table of counts can be read; None for
            one each.

    Returns:
        The policy: rules, rates, accuracy, profit, `probabilities` and `predict`.

    Raises:
        TypeError: labels, scores or weights that are no numbers.
        ValueError: lengths that differ, missing or infinite values, labels that are not 0 or 1, an unknown constraint,
            a gain or loss that is not positive, or weights that are negative or all 0.
        UndefinedMetricError: a group without the people of whom a rate is to be equal.

    Source: Hardt, Price and Srebro, 2016. Derived in: lectures/50_fairness/mitigation
    """
    if constraint not in get_args(Constraint):
        raise ValueError(f"constraint must be one of {', '.join(get_args(Constraint))}, got {constraint!r}")
    _check_positive(gain=gain, loss=loss)
    scores = read_finite("y_score", y_score)
    return _policy(y_true, scores, sensitive_features, weights, constraint, gain=gain, loss=loss)


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of one group, or of everybody."""

    scores: np.ndarray
    positive: np.ndarray  # 0.0 or 1.0
    people: np.ndarray | None  # None: one each

    def __getitem__(self, rows: np.ndarray) -> "_Rows":
        return _Rows(self.scores[rows], self.positive[rows], None if self.people is None else self.people[rows])

    def hull(self) -> Hull:
        return roc_hull(self.scores, self.positive, self.people)

    def counts(self, chances: np.ndarray | None = None) -> np.ndarray:
        """Negatives and positives, `[2]`: all, or how many are accepted with these chances."""
        people = np.ones(len(self.scores)) if self.people is None else self.people
        counted = people if chances is None else people * chances
        return np.array([counted @ (1 - self.positive), counted @ self.positive])


def _policy(
    labels: Any, scores: np.ndarray, groups: Any, weights: Any, constraint: Constraint, *, gain: float, loss: float
) -> ThresholdPolicy:
    """Find each group's rule, and see what the rules do."""
    positive = read_binary("y_true", labels).astype(np.float64)
    check_lengths(y_true=positive, y_score=scores)
    read = read_groups(groups, len(scores))
    rows, codes = _Rows(scores, positive, None), read.codes
    if weights is not None:
        people = _read_weights(weights, len(scores))
        kept = people > NOBODY * people.sum()
        rows, codes = _Rows(scores, positive, people)[kept], codes[kept]
    present = np.flatnonzero(np.bincount(codes))
    names = read.index[present]
    parts = [rows[np.flatnonzero(codes == code)] for code in present]
    sizes = np.array([part.counts() for part in parts])
    _check_defined(constraint, names, sizes)
    rules = _rules(rows, parts, constraint, gain, loss)
    accepted = np.array([part.counts(rule(part.scores)) for part, rule in zip(parts, rules, strict=True)])
    false_positives, true_positives = accepted.sum(axis=0)
    return ThresholdPolicy(
        constraint,
        dict(zip(names, rules, strict=True)),
        _rates(names, sizes, accepted),
        accuracy=float((true_positives + sizes[:, 0].sum() - false_positives) / sizes.sum()),
        profit=float((gain * true_positives - loss * false_positives) / sizes.sum()),
    )


def _rules(
    rows: _Rows, parts: Sequence[_Rows], constraint: Constraint, gain: float, loss: float
) -> list[ThresholdRule]:
    """The best rule of each group."""
    if constraint == "single_threshold":
        hull = rows.hull()
        return [rule_of(hull, best_alone(hull, gain, loss))] * len(parts)
    hulls = [part.hull() for part in parts]
    if constraint == "max_profit":
        chances = [best_alone(hull, gain, loss) for hull in hulls]
    elif constraint == "demographic_parity":
        chances = best_of_equal(hulls, [hull.accepted / hull.accepted[-1] for hull in hulls], gain, loss)
    elif constraint == "equal_opportunity":
        hulls = [hull[::-1] for hull in hulls]  # from "accept all" on, false-negative rates rise
        missed = [1 - hull.true_positives / hull.true_positives[0] for hull in hulls]
        chances = best_of_equal(hulls, missed, gain, loss)
    else:
        chances = best_overlap(hulls, gain, loss)
    return [rule_of(hull, chance) for hull, chance in zip(hulls, chances, strict=True)]


def _rates(names: "pandas.Index", sizes: np.ndarray, accepted: np.ndarray) -> "pandas.DataFrame":
    """A row for each group: its size, and the rates of what is accepted."""
    import pandas

    shares = {
        "selection_rate": (accepted.sum(axis=1), sizes.sum(axis=1)),
        "false_positive_rate": (accepted[:, 0], sizes[:, 0]),
        "true_positive_rate": (accepted[:, 1], sizes[:, 1]),
    }
    table = pandas.DataFrame({"count": sizes.sum(axis=1)}, index=names)
    for name, (hits, of) in shares.items():
        table[name] = pandas.array([h / n if n else None for h, n in zip(hits, of, strict=True)], dtype="Float64")
    return table


def _read_weights(weights: Any, rows: int) -> np.ndarray:
    people = read_finite("weights", weights)
    if len(people) != rows:
        raise ValueError(f"weights must have {rows} rows, as y_true has, got {len(people)}")
    if people.min() < 0 or people.max() == 0:
        raise ValueError(f"weights must be 0 or more and not all 0, got {people.min():g} to {people.max():g}")
    return people


def _check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number < np.inf:
            raise ValueError(f"{name} must be positive and finite, got {number}")


def _check_defined(constraint: Constraint, names: "pandas.Index", sizes: np.ndarray) -> None:
    """Every group has the people of whom a rate is kept equal."""
    needed = {"equalized_odds": ("negatives", "positives"), "equal_opportunity": ("positives",)}
    for people, counts in zip(("negatives", "positives"), sizes.T, strict=True):
        if people in needed.get(constraint, ()) and not counts.all():
            rate = "false-positive" if people == "negatives" else "true-positive"
            raise UndefinedMetricError(
                f"group {said(names[counts == 0][0])} has no {people}, so its {rate} rate is undefined and cannot "
                "be made equal to another's: merge the group or leave it out, and say so"
            )
