"""Which training images look alike to the network, layer by layer, and whether they agree with its answer."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers._checks import check_images, check_labels
from tml_helpers.explain._layers import layer_called, representations

DISTANCES_AT_ONCE = 2**24
"""How many distances are held at the same time: 64 MiB of float32."""


class Support(NamedTuple):
    """What the training images say about N images, in L layers, with k neighbours and K classes."""

    neighbours: Tensor
    """Indices of training images, nearest first, `[L, N, k]`, int64."""
    distances: Tensor
    """Their cosine distances, `[L, N, k]`, from 0 (same direction) to 2."""
    nonconformity: Tensor
    """α: how many of the L·k neighbours have another class, for each class that one might say, `[N, K]`, int64."""
    p_values: Tensor
    """The share of calibration images whose own class is at least as strange, `[N, K]`, from 0 to 1."""
    predictions: Tensor
    """The class of the largest p-value, of the least nonconformity among equals, `[N]`, int64."""
    credibility: Tensor
    """The largest p-value, `[N]`: small where no class has support in the training images."""
    confidence: Tensor
    """1 − the second largest p-value, `[N]`: small where two classes have support."""


class DeepKNN:
    """p_j(x) = |{α in calibration : α ≥ α(x, j)}| / |calibration|, with α(x, j) = neighbours of x not of class j.

    The `neighbours` nearest training images by cosine distance, in each of `layers` (names of `model.named_modules()`),
    vote; a calibration set, which the training must not contain, says how much disagreement is usual. Images
    `[N, C, H, W]` in [0, 1], labels `[N]`, int64. A representation of zeros has distance 1 from all others.
    Holds the training images' representations: 4 bytes for each number of each layer and image.

    Raises TypeError or ValueError for images or labels that do not fit, unknown layers, or more neighbours than images.
    Source: Papernot and McDaniel, 2018. Derived in: lectures/40_interpretability/examples_and_counterfactuals.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        calibration_images: Tensor,
        calibration_labels: Tensor,
        *,
        layers: Sequence[str],
        neighbours: int = 75,
        batch_size: int = 512,
    ) -> None:
        _check_layers(model, layers)
        for given, their_labels, name in (
            (images, labels, "labels"),
            (calibration_images, calibration_labels, "calibration_labels"),
        ):
            check_images(model, given)
            check_labels(name, their_labels, given)
        if not 1 <= neighbours <= len(images):
            raise ValueError(f"neighbours must lie in 1…{len(images)}, the training images, got {neighbours}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
        self.model, self.labels, self.layers = model, labels, list(layers)
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
        """The support that each image finds among the training images."""
        check_images(self.model, images)
        neighbours, distances, nonconformity = self._neighbourhood(images)
        stranger = len(self.calibration) - torch.searchsorted(self.calibration, nonconformity)
        p_values = stranger / len(self.calibration)
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


def _check_layers(model: nn.Module, layers: Sequence[str]) -> None:
    if isinstance(layers, str) or not layers:
        raise ValueError(f"layers must be a list with the name of one layer or more, got {layers!r}")
    if len(set(layers)) != len(layers):
        raise ValueError(f"each layer votes once, but layers has one twice: {', '.join(layers)}")
    for name in layers:
        layer_called(model, name)
