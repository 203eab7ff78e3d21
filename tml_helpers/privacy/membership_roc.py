"""How good a membership attack is: true positives at few false ones, with intervals, and never better than counted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tml_helpers.common import check_numbers
from tml_helpers.privacy._numbers import as_array, check_between


@dataclass(frozen=True)
class RocPoint:
    """What an attack reaches at one threshold: rates in [0, 1], each with a Clopper–Pearson interval."""

    true_positive_rate: float
    """The share of members that are called members."""
    low: float
    high: float
    false_positive_rate: float
    """The share of non-members that are called members: at most what was asked for."""
    false_positive_low: float
    false_positive_high: float
    threshold: float
    """A score of at least this is called a member; infinity where nobody is."""


@dataclass(frozen=True, eq=False)
class MembershipRoc:
    """All thresholds of an attack: how many members and non-members have a score at least as high."""

    false_positive_rates: Tensor
    true_positive_rates: Tensor
    """Float64 `[T + 1]`, from (0, 0) to (1, 1), a point for each of T different scores; lines between them are lots."""
    thresholds: Tensor
    """`[T + 1]`, falling from infinity: a score of at least this is called a member."""
    auc: float
    """P(member's score > non-member's) + P(equal) / 2, in [0, 1]; a guess has one half."""
    auc_low: float
    auc_high: float
    """Newcombe's interval of the AUC; it has a length also where the two are separated."""
    advantage: float
    """max (TPR − FPR) over thresholds: chosen with hindsight, so a little above 0 where there is nothing to find."""
    members: int
    non_members: int
    confidence: float
    """Of each interval."""

    def tpr_at(self, fpr: float) -> RocPoint:
        """The point with most true positives of those with a false-positive rate of at most `fpr`.

        Equal scores are called alike: between two points of the curve nothing is promised, and nothing rounded up.

        Args:
            fpr: the false-positive rate that is tolerated, in (0, 1].

        Returns:
            The point. Its true-positive rate is 0 where the best score is shared by too many non-members.

        Raises:
            TypeError: what is no number.
            ValueError: another rate, or one that so few non-members cannot resolve: it must allow one of them at least.
        """
        check_numbers(fpr=fpr)
        if not 0 < fpr <= 1:
            raise ValueError(f"fpr must lie above 0 and not above 1, got {fpr}")
        allowed = int(np.floor(fpr * self.non_members * (1 + 1e-12)))
        if allowed == 0:
            needed = int(np.ceil(1 / fpr * (1 - 1e-12)))
            raise ValueError(
                f"a false-positive rate of {fpr:g} cannot be measured with {self.non_members} non-members: "
                f"it takes at least {needed}"
            )
        false_positives = (self.false_positive_rates * self.non_members).round()
        at = int((false_positives <= allowed).sum()) - 1
        hits = round(float(self.true_positive_rates[at]) * self.members)
        false_hits = int(false_positives[at])
        return RocPoint(
            hits / self.members,
            *_clopper_pearson(hits, self.members, self.confidence),
            false_hits / self.non_members,
            *_clopper_pearson(false_hits, self.non_members, self.confidence),
            float(self.thresholds[at]),
        )


def membership_roc(members: Any, non_members: Any, *, confidence: float = 0.95) -> MembershipRoc:
    """TPR(t) = share of members with a score ≥ t, against FPR(t), the same of non-members, for all thresholds t.

    Both groups must come from one distribution: an attack that tells apart two kinds of data is perfect against a model
    that saw neither. With scores of every example and a mask, pass `scores[included]` and `scores[~included]`.

    Args:
        members: scores of examples that the model was trained on, `[M]`, higher for likelier members; any real numbers.
        non_members: scores of others, drawn alike, `[N]`.
        confidence: of each interval, in (0, 1); intervals take examples for independent.

    Returns:
        The curve, its area, advantage, and `tpr_at`.

    Raises:
        TypeError: scores that are no numbers, as a mask.
        ValueError: no scores in a group, another shape, scores that are not finite, or a confidence outside (0, 1).

    Source: Carlini et al., 2022; Yeom et al., 2018; Newcombe, 2006. Derived in:
    lectures/60_privacy/membership_inference.
    """
    check_between(confidence=confidence)
    inside, outside = _read("members", members), _read("non_members", non_members)
    scores, which = np.unique(np.concatenate([inside, outside]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(scores)) for part in np.split(which, [len(inside)])]
    # from the highest score down: how many are called members at each threshold
    hits, false_hits = (np.concatenate([[0], np.cumsum(count[::-1])]) for count in counts)
    tpr, fpr = hits / len(inside), false_hits / len(outside)
    auc = float(np.clip(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2), 0, 1))
    low, high = _newcombe(auc, len(inside), len(outside), confidence)
    return MembershipRoc(
        torch.from_numpy(fpr),
        torch.from_numpy(tpr),
        torch.from_numpy(np.concatenate([[np.inf], scores[::-1]])),
        auc,
        low,
        high,
        advantage=float((tpr - fpr).max()),
        members=len(inside),
        non_members=len(outside),
        confidence=confidence,
    )


def _read(name: str, scores: Any) -> np.ndarray:
    """Finite numbers, at least one, as float64 `[N]`."""
    values = as_array(name, scores)
    if values.dtype.kind not in "iuf":
        raise TypeError(
            f"{name} must be numbers, a score for each example, got {values.dtype}: "
            "with a mask, pass scores[mask] and scores[~mask]"
        )
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{name} must be one score or more, [N], got shape {list(values.shape)}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return values.astype(np.float64)


def _clopper_pearson(hits: int, trials: int, confidence: float) -> tuple[float, float]:
    """All p under which neither so many nor so few hits have a probability below (1 − confidence) / 2."""
    from scipy import special

    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(special.betaincinv(hits, trials - hits + 1, tail))
    high = 1.0 if hits == trials else float(special.betaincinv(hits + 1, trials - hits, 1 - tail))
    return low, high


def _newcombe(auc: float, members: int, non_members: int, confidence: float) -> tuple[float, float]:
    """All θ with |auc − θ| ≤ z √V(θ), V(θ) = θ(1 − θ)(1 + (n − 1)((1 − θ)/(2 − θ) + θ/(1 + θ))) / (m·m′), n their mean.

    It is the fifth of Newcombe's intervals: exact in width at one half, and not empty at 0 or 1.
    """
    from scipy import optimize, special

    z, n = float(special.ndtri((1 + confidence) / 2)), (members + non_members) / 2

    def beyond(theta: float) -> float:
        shape = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + (n - 1) * shape) / (members * non_members)
        return float((auc - theta) ** 2 - z**2 * variance)

    inner = float(np.clip(auc, 1e-12, 1 - 1e-12))  # at 0 and 1 the equation has a root that is no bound
    low = 0.0 if auc == 0 else optimize.brentq(beyond, 0, inner)
    high = 1.0 if auc == 1 else optimize.brentq(beyond, inner, 1)
    return float(low), float(high)
