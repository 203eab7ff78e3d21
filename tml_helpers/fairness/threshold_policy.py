"""What thresholds for each group decide: with which probability someone is accepted, and the decisions drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tml_helpers.fairness._common import read_groups, read_numbers
from tml_helpers.fairness.metrics import said

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class ThresholdRule:
    """P(accept | score) in one group, a function of the score with k steps."""

    thresholds: np.ndarray
    """Where it steps, `[k]`, rising; none where everyone has the same chance."""
    probabilities: np.ndarray
    """Of acceptance, `[k + 1]`: below the first threshold, from the first on, …, from the last on."""

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """P(accept | score) of scores `[N]`."""
        return self.probabilities[np.searchsorted(self.thresholds, scores, side="right")]

    def __str__(self) -> str:
        """The rule in words, as "below 0.35: 0 %, from 0.35: 40 %, from 0.61: 100 %"."""
        steps = [f"from {threshold:.4g}" for threshold in self.thresholds]
        first = f"below {self.thresholds[0]:.4g}" if steps else "every score"
        chances = zip([first, *steps], self.probabilities, strict=True)
        return ", ".join(f"{step}: {100 * chance:.3g} %" for step, chance in chances)


@dataclass(frozen=True, eq=False)
class ThresholdPolicy:
    """A rule for each group: the best under its constraint, on the people that it was made from."""

    constraint: str
    """What it keeps equal in all groups."""
    rules: Mapping[Any, ThresholdRule]
    """By group: a tuple where attributes are crossed."""
    rates: "pandas.DataFrame"
    """By group: `count`, and `selection_rate`, `false_positive_rate` and `true_positive_rate`, expected over the draws;
    `<NA>` in a group without negatives (positives)."""
    accuracy: float
    """The expected share of right decisions."""
    profit: float
    """The expected gain by true positives less the loss by false positives, for each person."""

    def probabilities(self, y_score: Any, *, sensitive_features: Any) -> np.ndarray:
        """P(accept | score, group) of each person: 0 or 1 but for those whose decision is drawn.

        Args:
            y_score: scores or decisions, `[N]`, finite, of the kind that the policy was made from.
            sensitive_features: the groups, `[N]`, the same attributes; of several, under the same names.

        Returns:
            `[N]`, from 0 to 1.

        Raises:
            TypeError: scores that are no numbers.
            ValueError: lengths that differ, a score that is missing or infinite, other attributes, or a group that
                the policy has no rule for.
        """
        scores = read_finite("y_score", y_score)
        read = read_groups(sensitive_features, len(scores), looked_up=True)
        here, made = list(read.index.names), list(self.rates.index.names)
        if here != made and (len(here) > 1 or len(made) > 1):  # one column needs no name
            raise ValueError(f"sensitive_features must be {made}, in this order, got {here}")
        found = np.empty(len(scores))
        for code in np.flatnonzero(np.bincount(read.codes)):
            group = read.index[code]
            if group not in self.rules:
                raise ValueError(f"the policy has no rule for group {said(group)}: it was made without such people")
            members = np.flatnonzero(read.codes == code)
            found[members] = self.rules[group](scores[members])
        return found

    def predict(self, y_score: Any, *, sensitive_features: Any, seed: int) -> np.ndarray:
        """The decisions: 1[u < P(accept | score, group)], where u is uniform, a draw for each person.

        Two people with the same score and group may get different decisions, and one person another under another
        seed: whoever uses this should say so, and may publish `probabilities` instead.

        Args:
            y_score: scores or decisions, `[N]`, as for `probabilities`.
            sensitive_features: the groups, `[N]`, likewise.
            seed: of the draws: the same seed gives the same decisions.

        Returns:
            0 or 1, int64 `[N]`.

        Raises:
            TypeError: scores that are no numbers.
            ValueError: as `probabilities`.
        """
        chances = self.probabilities(y_score, sensitive_features=sensitive_features)
        return (np.random.default_rng(seed).random(len(chances)) < chances).astype(np.int64)


def read_finite(name: str, values: Any) -> np.ndarray:
    """A column of finite numbers, `[N]`, float64."""
    column = read_numbers(name, values, "finite numbers").astype(np.float64)
    if not np.isfinite(column).all():
        raise ValueError(f"{name} must be finite, got {column[~np.isfinite(column)][0]}")
    return column
