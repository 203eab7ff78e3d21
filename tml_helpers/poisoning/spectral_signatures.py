"""Poison that pulls a class in one direction: the scores of Tran, Li and Madry, by a singular value decomposition."""

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tml_helpers.common import Layer, check_numbers
from tml_helpers.poisoning.suspects import Suspects, features_by_class

__all__ = ["FlatFeaturesWarning", "SpectralSuspects", "spectral_signatures"]


class FlatFeaturesWarning(UserWarning):
    """The features of a class are all the same: its scores are zero, and say nothing.

    Derived in: lectures/30_poisoning/defenses
    """


@dataclass(frozen=True, eq=False, kw_only=True)
class SpectralSuspects(Suspects):
    """Scores along the direction in which the features of a class spread most.

    Args:
        classes: the labels that occur, int64 `[K]`, ascending.
        explained: float64 `[K]`, the share of the spread of each class that lies along its direction.

    Derived in: lectures/30_poisoning/defenses
    """

    classes: Tensor
    explained: Tensor


def spectral_signatures(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    layer: Layer,
    fraction: float,
    margin: float = 1.5,
    batch_size: int = 512,
) -> SpectralSuspects:
    """s_i = ⟨φ(x_i) − φ̄, v⟩²: v is the first right singular vector of the centred features M of the class.

    Poisoned examples of a class share something that the others lack. If that moves their features far enough, it is
    the direction in which the class spreads most. Of each class the `margin` · β N examples of the largest scores are
    suspected, since all the poison may be in one class, and nobody knows in which.

    Args:
        model: trained on these very images and labels; it answers in evaluation mode and comes back in its own.
        images: `[N, C, H, W]` in [0, 1].
        labels: as they were trained on, int64 `[N]`.
        layer: a module of the model, or its name: what it returns are the features, flattened.
        fraction: β, at most this share of all N examples is poisoned, above 0 and at most 1.
        margin: how many times that number is suspected in each class, above 0.
        batch_size: images at a time.

    Returns:
        The scores and the suspects, and what share of its spread each class has along v.

    Raises:
        TypeError: images, labels or numbers of another kind, or images of another type or device than the model's.
        ValueError: shapes or values out of range, a label that the model has no class for, a layer that it has not or
            that is not finite, a budget of less than one example, or one that would leave nothing of a class.

    Warns:
        FlatFeaturesWarning: a class whose features are all the same.

    Source: Tran, Li and Madry, 2018. Derived in: lectures/30_poisoning/defenses
    """
    check_numbers(fraction=fraction, margin=margin)
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must lie above 0 and be at most 1, a share of the training set, got {fraction}")
    if not 0 < margin < math.inf:
        raise ValueError(f"margin must be a finite number above 0, got {margin}")
    by_class = features_by_class(model, images, labels, layer, batch_size)
    count = round(margin * fraction * len(images))
    if count < 1:
        raise ValueError(f"{margin:g} times a fraction {fraction} of {len(images)} examples is less than one: raise it")
    scores = torch.zeros(len(images), dtype=torch.float64, device=images.device)
    suspected, explained, classes = [], [], []
    for own, features in by_class:
        label = int(labels[own[0]])
        if count >= len(own):
            raise ValueError(
                f"{margin:g} times a fraction {fraction} of {len(images)} examples is {count}, but class {label} has "
                f"only {len(own)}: nothing of it would be left"
            )
        scores[own], share = _scores(features)
        if math.isnan(share):
            warnings.warn(
                f"the features of class {label} are all the same in this layer: its scores are zero, and whom they "
                "suspect is arbitrary",
                FlatFeaturesWarning,
                stacklevel=2,
            )
        suspected.append(own[scores[own].topk(count).indices])
        explained.append(share)
        classes.append(label)
    return SpectralSuspects(
        scores,
        torch.cat(suspected).sort().values,
        classes=torch.tensor(classes),
        explained=torch.tensor(explained, dtype=torch.float64),
    )


def _scores(features: Tensor) -> tuple[Tensor, float]:
    """The squared projections on the first direction, and its share of all: zeros and NaN where nothing spreads."""
    centred = features - features.mean(dim=0)
    size = float(features.abs().max())
    if float(centred.abs().max()) <= 1e-12 * size:
        return torch.zeros(len(features), dtype=torch.float64, device=features.device), math.nan
    _, singular, right = torch.linalg.svd(centred, full_matrices=False)
    return (centred @ right[0]) ** 2, float(singular[0] ** 2 / (singular**2).sum())
