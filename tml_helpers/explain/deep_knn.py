"""Which training images look alike to the network, layer by layer, and whether they agree with its answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import Layer, check_counts, check_images, check_labels, layer_names, representations

DISTANCES_AT_ONCE = 2**24
"""How many distances are held at the same time: 64 MiB of float32."""


@dataclass(frozen=True, eq=False)
class Support:
    """What the training images say about N images, in L layers, with k neighbours and K classes."""

    neighbours: Tensor
    """Indices of training images, nearest first, `[L, N, k]`, int64."""
    distances: Tensor
    """Their cosine distances, `[L, N, k]`, from 0 (same direction) to 2."""
    nonconformity: Tensor
    """ν: how many of the L·k neighbours have another class, for each class that one might say, `[N, K]`, int64."""
    p_values: Tensor
    """The share of calibration images whose own class is at least as strange, `[N, K]`, from 0 to 1."""
    predictions: Tensor
    """The class of the largest p-value, of the least nonconformity among equals, `[N]`, int64."""
    credibility: Tensor
    """The largest p-value, `[N]`: small where no class has support in the training images."""
    confidence: Tensor
    """1 − the second largest p-value, `[N]`: small where two classes have support."""


class DeepKNN:
    """p_j(x) = |{ν in calibration : ν ≥ ν(x, j)}| / |calibration|, with ν(x, j) = neighbours of x not of class j.

    The nearest training images by cosine distance, in each layer, vote; a calibration set says how much disagreement is
    usual. A representation of zeros has distance 1 from all others. Holds the training images' representations: 4 bytes
    for each number of each layer and image.

    Args:
        model: maps images to logits `[N, K]`.
        images: the training images, `[n, C, H, W]` in [0, 1], where the model is.
        labels: theirs, `[n]`, int64, from 0 to K − 1.
        calibration_images: `[m, C, H, W]`, which the training must not contain.
        calibration_labels: theirs, `[m]`, int64, from 0 to K − 1.
        layers: modules of the model, or their names in `model.named_modules()`, each once, at least one.
        neighbours: k, how many of each layer vote, from 1 to n.
        batch_size: how many images go through the model at a time.

    Raises:
        TypeError: another kind, type or device.
        ValueError: images or labels that do not fit, a layer that the model lacks, or a number out of its range.

    Source: Papernot and McDaniel, 2018. Derived in: lectures/40_interpretability/examples_and_counterfactuals
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        calibration_images: Tensor,
        calibration_labels: Tensor,
        layers: Sequence[Layer],
        neighbours: int = 75,
        batch_size: int = 512,
    ) -> None:
        names = _names(model, layers)
        for given, their_labels, name in (
            (images, labels, "labels"),
            (calibration_images, calibration_labels, "calibration_labels"),
        ):
            check_images(model, given)
            check_labels(name, their_labels, given)
        if not 1 <= neighbours <= len(images):
            raise ValueError(f"neighbours must lie in 1…{len(images)}, the training images, got {neighbours}")
        check_counts(neighbours=neighbours, batch_size=batch_size)
        self.model, self.labels, self.layers = model, labels, names
        self.neighbours, self.batch_size = neighbours, batch_size
        vectors, logits = representations(model, images, self.layers, batch_size=batch_size)
        self.vectors = [F.normalize(vector, dim=1) for vector in vectors]
        self.classes = logits.shape[1]
        largest = max(int(labels.max()), int(calibration_labels.max()))
        if largest >= self.classes:
            raise ValueError(f"labels must lie in 0…{self.classes - 1}, the model's classes, got {largest}")
        _, _, nonconformity = self._neighbourhood(calibration_images)
        self.calibration = nonconformity.gather(1, calibration_labels[:, None]).squeeze(1).sort().values

    def __call__(self, images: Tensor) -> Support:
        """The support that each image finds among the training images.

        Args:
            images: `[N, C, H, W]` in [0, 1], where the model is.

        Returns:
            Neighbours, p-values and what follows from them.

        Raises:
            TypeError: another kind, type or device.
            ValueError: another shape, or values outside [0, 1].
        """
        check_images(self.model, images)
        neighbours, distances, nonconformity = self._neighbourhood(images)
        stranger = len(self.calibration) - torch.searchsorted(self.calibration, nonconformity)
        p_values = stranger.double() / len(self.calibration)
        first = p_values.topk(min(2, self.classes), dim=1).values
        credibility, second = first[:, 0], first[:, 1:].sum(dim=1)
        predictions = nonconformity.argmin(dim=1)  # the fewer opponents, the larger the p-value
        return Support(neighbours, distances, nonconformity, p_values, predictions, credibility, 1 - second)

    def _neighbourhood(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Neighbours and distances `[L, N, k]`, and for each class how many neighbours have another, `[N, K]`."""
        queries, _ = representations(self.model, images, self.layers, batch_size=self.batch_size)
        rows = max(1, DISTANCES_AT_ONCE // len(self.labels))
        found, similarity = [], []
        for query, vectors in zip(queries, self.vectors, strict=True):
            nearest = [
                (part @ vectors.T).topk(self.neighbours, dim=1) for part in F.normalize(query, dim=1).split(rows)
            ]
            similarity.append(torch.cat([part.values for part in nearest]))
            found.append(torch.cat([part.indices for part in nearest]))
        neighbours = torch.stack(found)  # (layers, images, neighbours)
        votes = torch.zeros(len(images), self.classes, dtype=torch.int64, device=images.device)
        for layer in self.labels[neighbours]:
            votes.scatter_add_(1, layer, torch.ones_like(layer))
        distances = (1 - torch.stack(similarity)).clamp(0, 2)
        return neighbours, distances, len(self.layers) * self.neighbours - votes


def _names(model: nn.Module, layers: Sequence[Layer]) -> list[str]:
    if isinstance(layers, (str, nn.Module)) or not layers:
        raise ValueError(f"layers must be a list of one layer or more, got {layers!r}")
    names = layer_names(model, layers)
    if len(set(names)) != len(names):
        raise ValueError(f"each layer votes once, but layers has one twice: {', '.join(names)}")
    return names
