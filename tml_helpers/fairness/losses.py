"""Penalties that are added to a loss in training, for any number of groups: equal loss, acceptance and mistakes.

Training is `training.fit(model, data, loss=…)` with data of (inputs, labels, groups), and a loss as

    lambda model, x, y, g: F.cross_entropy(logits := model(x), y) + 5 * acceptance_gap(logits, g)
"""

import warnings

import torch
from torch import Tensor
from torch.nn import functional as F


class MissingGroupWarning(UserWarning):
    """A batch holds too few groups to be compared: its penalty is 0, and so is its gradient."""


def group_balanced_loss(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """(1 / |G|) Σ_g E[−log p(y | x) | g]: a small group counts as much as a large one.

    It does not make losses equal; it keeps a majority from outvoting the others. Groups that the batch lacks are left
    out of G: draw batches in which no group is rare.

    Args:
        logits: `[N, K]` of K ≥ 2 classes, floating point.
        labels: `[N]`, class indices below K, of a whole type.
        groups: codes, `[N]`, of a whole type.

    Returns:
        A scalar in nats, with a gradient.

    Raises:
        TypeError: another type.
        ValueError: shapes or devices that differ, no example, a label out of its range, or logits that are not finite.

    Source: Kamiran and Calders, 2012, for weights (by group and label). Derived in: lectures/50_fairness/mitigation
    """
    logits = _read(logits, labels=labels, groups=groups)
    if not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[1]:
        raise ValueError(f"labels must lie in 0…{logits.shape[1] - 1}, got {int(labels.min())} to {int(labels.max())}")
    means, _ = _means(F.cross_entropy(logits, labels.long(), reduction="none"), groups)
    return means.mean()


def acceptance_gap(logits: Tensor, groups: Tensor) -> Tensor:
    """(E[s | g] − E[s | g′])², the mean over all pairs of groups, where s is the probability of class 1.

    Mean scores stand for shares of acceptances, which have no gradient; equal means do not imply equal shares. Groups
    that the batch lacks are left out. A batch of one group has no pair: 0, and `MissingGroupWarning`.

    Args:
        logits: `[N, 2]`, floating point; class 1 is acceptance.
        groups: codes, `[N]`, of a whole type.

    Returns:
        A scalar from 0 to 1, with a gradient.

    Raises:
        TypeError: another type.
        ValueError: shapes or devices that differ, no example, or logits that are not finite.

    Source: Calders and Verwer, 2010, for the difference of shares. Derived in: lectures/50_fairness/mitigation
    """
    return _spread(_scores(logits, groups=groups), groups, "people")


def error_rate_gap(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """(FPR_g − FPR_g′)² + (FNR_g − FNR_g′)², the mean over all pairs of groups, with scores in place of decisions.

    FPR_g = E[s | y = 0, g] and FNR_g = E[1 − s | y = 1, g], where s is the probability of class 1. A group without
    negatives (positives) in the batch is left out of the first (second) term. A term with fewer than two groups is 0,
    and `MissingGroupWarning` says which.

    Args:
        logits: `[N, 2]`, floating point; class 1 is acceptance.
        labels: `[N]`, 0 or 1, of a whole type.
        groups: codes, `[N]`, of a whole type.

    Returns:
        A scalar from 0 to 2, with a gradient.

    Raises:
        TypeError: another type.
        ValueError: shapes or devices that differ, no example, labels that are not 0 or 1, or logits that are not
            finite.

    Source: Hardt, Price and Srebro, 2016, for equalized odds; Bechavod and Ligett, 2017, for the penalty.
    Derived in: lectures/50_fairness/mitigation
    """
    scores = _scores(logits, labels=labels, groups=groups)
    negative, positive = labels == 0, labels == 1
    if not (negative | positive).all():
        raise ValueError(f"labels must be 0 or 1, got {labels[~(negative | positive)][0].item()}")
    false_positives = _spread(scores[negative], groups[negative], "negatives")
    return false_positives + _spread(1 - scores[positive], groups[positive], "positives")


def _means(values: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of each group that is there, and the groups."""
    present, places, counts = groups.unique(return_inverse=True, return_counts=True)
    sums = values.new_zeros(len(present)).index_add(0, places, values)
    return sums / counts, present


def _spread(values: Tensor, groups: Tensor, who: str) -> Tensor:
    """The mean over all pairs of groups of (difference of means)²: twice the variance with the divisor n − 1."""
    means, present = _means(values, groups)
    if len(present) < 2:
        held = f"{who} of group {present.item()} only" if len(present) else f"no {who}"
        warnings.warn(
            f"the batch holds {held}, so that nothing is compared and the penalty is 0: draw larger batches, or from "
            "each group",
            MissingGroupWarning,
            stacklevel=3,
        )
        return values.sum() * 0
    return 2 * means.var(correction=1)


def _scores(logits: Tensor, **codes: Tensor) -> Tensor:
    """The probability of class 1, `[N]`."""
    logits = _read(logits, **codes)
    if logits.shape[1] != 2:
        raise ValueError(f"logits must be [N, 2], reject and accept, got shape {list(logits.shape)}")
    return logits.softmax(dim=1)[:, 1]


def _read(logits: Tensor, **codes: Tensor) -> Tensor:
    """Finite logits, in float32 or wider: sums in fewer bits stop growing. The codes are whole numbers, one a row."""
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        kind = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(f"logits must be a tensor of floating point, got {kind}")
    if logits.ndim != 2 or not len(logits) or logits.shape[1] < 2:
        raise ValueError(f"logits must be [N, K] for N ≥ 1 and K ≥ 2, got shape {list(logits.shape)}")
    if not torch.isfinite(logits).all():
        raise ValueError("logits must be finite: has training diverged?")
    for name, code in codes.items():
        if not isinstance(code, Tensor) or code.is_floating_point() or code.is_complex():
            kind = code.dtype if isinstance(code, Tensor) else type(code).__name__
            raise TypeError(f"{name} must be a tensor of whole numbers, got {kind}")
        if code.shape != logits.shape[:1] or code.device != logits.device:
            raise ValueError(
                f"{name} must have shape [{len(logits)}] on {logits.device}, got {list(code.shape)} on {code.device}"
            )
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
