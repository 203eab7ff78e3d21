"""Poison that forms a cluster of its own within a class: two means of the reduced activations, after Chen et al."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tml_helpers.common import (
    Layer,
    check_counts,
    check_images,
    check_labels,
    check_logits,
    check_numbers,
    draw,
    own_generator,
)
from tml_helpers.poisoning.suspects import Suspects, features_by_class
from tml_helpers.training import predict

__all__ = ["ClusterSuspects", "Reclassified", "activation_clustering", "exclusionary_reclassification"]


@dataclass(frozen=True, eq=False, kw_only=True)
class ClusterSuspects(Suspects):
    """Two clusters in each class, of which the smaller one may be poison.

    Args:
        classes: the labels that occur, int64 `[K]`, ascending.
        smaller: `[N]`, bool: who is in the smaller cluster of their class, suspected or not.
        sizes: float64 `[K]`, the smaller cluster's share of its class.
        silhouettes: float64 `[K]`, how far apart the clusters are, from −1 to 1.
        suspicious: `[K]`, bool: the classes whose smaller cluster is suspected.

    Derived in: lectures/30_poisoning/defenses
    """

    classes: Tensor
    smaller: Tensor
    sizes: Tensor
    silhouettes: Tensor
    suspicious: Tensor


@dataclass(frozen=True, eq=False)
class Reclassified:
    """How a model that never saw the smaller clusters reads them."""

    classes: Tensor
    """The labels that occur, int64 `[K]`, ascending."""
    ratios: Tensor
    """Float64 `[K]`: examples of the smaller cluster that are read as labelled, for each one read as the most frequent
    other class. Poison has a ratio near 0; infinity where no other class was read."""
    others: Tensor
    """Int64 `[K]`: that other class, from which the poison may come; −1 where there was none."""


def activation_clustering(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    layer: Layer,
    components: int = 10,
    whiten: bool = True,
    size_threshold: float = 0.35,
    silhouette_threshold: float = 0.1,
    batch_size: int = 512,
    generator: torch.Generator | None = None,
) -> ClusterSuspects:
    """Two means of the activations of each class: a smaller cluster that is small and far away is suspected.

    The activations are reduced to principal components, which are scaled to variance 1 where they are whitened: then a
    direction in which few examples differ weighs as much as one in which all do. That is as good as the independent
    components of the paper, which are the whitened ones rotated: two means see distances alone. A class is suspicious
    whose smaller cluster has a share below `size_threshold` and whose clusters have a mean silhouette above
    `silhouette_threshold`. An example's score is its distance from the larger cluster's centre less that from the
    smaller one's.

    Args:
        model: trained on these very images and labels; it answers in evaluation mode and comes back in its own.
        images: `[N, C, H, W]` in [0, 1].
        labels: as they were trained on, int64 `[N]`.
        layer: a module of the model, or its name: what it returns are the activations, flattened.
        components: how many, at least 1; all that there are in a layer with fewer units.
        whiten: whether they are scaled to variance 1.
        size_threshold: of a share, above 0; above 0.5 every smaller cluster is small.
        silhouette_threshold: from −1 to 1.
        batch_size: images at a time.
        generator: draws where the means start; on any device.

    Returns:
        Scores, suspects, and of each class the clusters, their size and silhouette.

    Raises:
        TypeError: images, labels, numbers or a generator of another kind, or images of another type than the model's.
        ValueError: shapes or values out of range, a label that the model has no class for, a
            layer that it has not or that is not finite, a class with no more examples than components, or one whose
            activations are all the same.

    Source: Chen et al., 2018. Derived in: lectures/30_poisoning/defenses
    """
    check_counts(components=components)
    _check_rule(whiten, size_threshold, silhouette_threshold)
    by_class = features_by_class(model, images, labels, layer, batch_size)
    generator = own_generator(generator)
    classes = [int(labels[own[0]]) for own, _ in by_class]
    for label, (_, features) in zip(classes, by_class, strict=True):
        _check_class(label, features, components)
    smaller = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    scores = torch.zeros(len(images), dtype=torch.float64, device=images.device)
    found = []
    for own, features in by_class:
        seed = int(draw(torch.randint, 2**31 - 1, (1,), device="cpu", generator=generator))
        in_smaller, distances, silhouette = _two_means(_reduced(features.cpu().numpy(), components, whiten), seed)
        smaller[own] = torch.from_numpy(in_smaller).to(images.device)
        scores[own] = torch.from_numpy(distances).to(images.device)
        found.append((float(in_smaller.mean()), silhouette))
    sizes, silhouettes = (torch.tensor([row[i] for row in found], dtype=torch.float64) for i in (0, 1))
    suspicious = (sizes < size_threshold) & (silhouettes > silhouette_threshold)
    accused = torch.tensor(classes, device=images.device)[suspicious.to(images.device)]
    return ClusterSuspects(
        scores,
        (smaller & torch.isin(labels, accused)).nonzero().squeeze(1),
        classes=torch.tensor(classes),
        smaller=smaller,
        sizes=sizes,
        silhouettes=silhouettes,
        suspicious=suspicious,
    )


def exclusionary_reclassification(
    model: nn.Module, images: Tensor, labels: Tensor, *, suspects: ClusterSuspects, batch_size: int = 512
) -> Reclassified:
    """l / p: of a class's smaller cluster, l are read as labelled, and p as the most frequent other class.

    The model is another one, trained without any of the smaller clusters (`suspects.smaller`). It reads clean examples
    of a class as that class, also when they were a cluster of their own. Poison it reads as what it shows.

    Args:
        model: trained on the larger clusters only; it answers in evaluation mode and comes back in its own.
        images: the images that were clustered, `[N, C, H, W]` in [0, 1].
        labels: as they were clustered, int64 `[N]`.
        suspects: the clusters.
        batch_size: images at a time.

    Returns:
        The ratio of each class, and the other class.

    Raises:
        TypeError: images or labels of another kind, or images of another type or device than the model's.
        ValueError: shapes or values out of range, another number of examples than were clustered, or a label that the
            model has no class for.

    Source: Chen et al., 2018. Derived in: lectures/30_poisoning/defenses
    """
    check_images(model, images)
    check_labels("labels", labels, images)
    check_counts(batch_size=batch_size)
    if len(images) != len(suspects.scores):
        raise ValueError(f"{len(suspects.scores)} examples were clustered, got {len(images)}")
    logits = predict(model, images, batch_size=batch_size)
    check_logits(logits, labels=labels)
    read, ratios, others = logits.argmax(dim=1), [], []
    for label in suspects.classes.tolist():
        counts = read[suspects.smaller & (labels == label)].bincount(minlength=logits.shape[1]).double()
        right, counts[label] = float(counts[label]), 0
        wrong = float(counts.max())
        ratios.append(right / wrong if wrong else float("inf"))
        others.append(int(counts.argmax()) if wrong else -1)
    return Reclassified(suspects.classes, torch.tensor(ratios, dtype=torch.float64), torch.tensor(others))


def _reduced(
    features: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", components: int, whiten: bool
) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """The first principal components, of their own or of variance 1; directions without any spread are left out."""
    left, singular, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    kept = min(components, int((singular > 1e-6 * singular[0]).sum()))
    reduced: np.ndarray[tuple[int, int], np.dtype[np.float64]] = left[:, :kept] * (
        len(features) ** 0.5 if whiten else singular[:kept]
    )
    return reduced


def _two_means(
    points: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", seed: int
) -> tuple["np.ndarray[tuple[int], np.dtype[np.bool_]]", "np.ndarray[tuple[int], np.dtype[np.float64]]", float]:
    """Who is in the smaller cluster, how much farther each is from the larger centre, and the mean silhouette."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    means = KMeans(2, n_init=10, random_state=seed).fit(points)
    small = int(np.bincount(means.labels_, minlength=2).argmin())
    distances = means.transform(points)
    return (
        means.labels_ == small,
        distances[:, 1 - small] - distances[:, small],
        float(silhouette_score(points, means.labels_)),
    )


def _check_rule(whiten: bool, size_threshold: float, silhouette_threshold: float) -> None:
    if not isinstance(whiten, bool):
        raise TypeError(f"whiten must be True or False, got {whiten!r}")
    check_numbers(size_threshold=size_threshold, silhouette_threshold=silhouette_threshold)
    if not 0 < size_threshold <= 1:
        raise ValueError(f"size_threshold must lie above 0 and be at most 1, got {size_threshold}")
    if not -1 <= silhouette_threshold <= 1:
        raise ValueError(f"silhouette_threshold must lie from -1 to 1, got {silhouette_threshold}")


def _check_class(label: int, features: Tensor, components: int) -> None:
    least = max(3, 1 + min(components, features.shape[1]))
    if len(features) < least:
        raise ValueError(
            f"class {label} has {len(features)} examples, and two clusters of {components} components need {least} or "
            "more: give more examples, or ask for fewer components"
        )
    if float((features - features.mean(dim=0)).abs().max()) <= 1e-12 * float(features.abs().max()):
        raise ValueError(f"the activations of class {label} are all the same in this layer: name another one")
