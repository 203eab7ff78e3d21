"""The best that thresholds on a score can reach in one group: the upper hull of its ROC curve, in counts."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression


@dataclass(frozen=True, eq=False)
class Hull:
    """C rules, from "accept nobody" to "accept all", of which none is worse than a mixture of others."""

    false_positives: np.ndarray
    """How many negatives each accepts, `[C]`."""
    true_positives: np.ndarray
    """How many positives each accepts, `[C]`."""
    thresholds: np.ndarray
    """Each accepts scores of at least this, `[C]`; ∞ accepts nobody."""
    turned: np.ndarray
    """Whether it accepts scores below its threshold instead, `[C]`."""

    def __getitem__(self, corners: np.ndarray | slice) -> "Hull":
        """Some of the rules."""
        return Hull(*(part[corners] for part in vars(self).values()))

    @property
    def accepted(self) -> np.ndarray:
        """How many people each accepts, `[C]`."""
        accepted: np.ndarray = self.false_positives + self.true_positives
        return accepted


def roc_hull(scores: np.ndarray, positive: np.ndarray, people: np.ndarray | None) -> Hull:
    """The upper hull of all rules "score ≥ t" and "score < t"; rows, positive or not, are one person each or `people`.

    The latter matter only where the curve lies below the diagonal: where the score is worse than chance.
    """
    curve = _curve(scores, positive, people)
    upper, lower = curve[_corners(curve)], curve[_corners(curve, upper=False)]
    if len(lower.thresholds) == 2:  # from nobody to all: nothing lies below the diagonal
        return upper
    mirrored = Hull(
        curve.false_positives[-1] - lower.false_positives,
        curve.true_positives[-1] - lower.true_positives,
        lower.thresholds,
        np.ones(len(lower.thresholds), dtype=bool),
    )
    both = _joined(upper, mirrored)
    return both[_corners(both)]


def _curve(scores: np.ndarray, positive: np.ndarray, people: np.ndarray | None) -> Hull:
    """The rule that accepts nobody, then one for each distinct score, its threshold half-way to the next lower one."""
    order = np.argsort(scores)[::-1]
    ranked, positive = scores[order], positive[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)  # of runs of equal scores
    if people is None:
        true_positives = np.cumsum(positive)[ends]
        false_positives = ends + 1 - true_positives
    else:
        weighted = people[order]
        true_positives = np.cumsum(weighted * positive)[ends]
        false_positives = np.cumsum(weighted * (1 - positive))[ends]
    high, low = ranked[ends[:-1]], ranked[ends[:-1] + 1]
    middle = high / 2 + low / 2
    between = np.where(middle > low, middle, high)  # neighbours have no number between them
    return Hull(
        np.append(0, false_positives),
        np.append(0, true_positives),
        np.concatenate([[np.inf], between, [-np.inf]]),
        np.zeros(len(ends) + 1, dtype=bool),
    )


def _corners(curve: Hull, *, upper: bool = True) -> np.ndarray:
    """Where the upper (lower) hull touches the curve.

    Over the people accepted, the true positives on the hull are the curve whose slopes fall (rise): the isotonic
    regression of the curve's own slopes, of which each block is an edge.
    """
    steps = np.diff(curve.accepted)
    slopes = np.diff(curve.true_positives) / steps
    blocks: np.ndarray = isotonic_regression(slopes, weights=steps, increasing=not upper).blocks
    return blocks


def _joined(one: Hull, other: Hull) -> Hull:
    """The rules of both, by how many they accept; of those that accept equally many, the one that accepts best."""
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    both = Hull(*(np.concatenate(pair) for pair in pairs))
    both = both[np.lexsort((both.turned, -both.true_positives, both.accepted))]
    return both[np.append(True, np.diff(both.accepted) > 0)]
