"""A training set that somebody changed, with all that was changed: an honest evaluation is computed from it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from tml_helpers.common import draw

__all__ = ["Poison"]


@dataclass(frozen=True, eq=False)
class Poison:
    """N examples for training, and what M of them were before.

    Args:
        images: all that is trained on, `[N, …]`.
        labels: their classes, int64 `[N]`.
        indices: the places of those that were changed, int64 `[M]`, ascending, none twice.
        clean_images: what these images were before, `[M, …]`, in the order of `indices`.
        clean_labels: what their labels were before, int64 `[M]`.
        epsilon: the largest change of a pixel that was allowed; None where there was no such bound.

    Raises:
        ValueError: lengths that do not fit, or indices that are not ascending places of examples.

    Derived in: lectures/30_poisoning/labels
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    clean_images: Tensor
    clean_labels: Tensor
    epsilon: float | None = None

    def __post_init__(self) -> None:
        count = len(self.indices)
        lengths = (len(self.labels), len(self.clean_images), len(self.clean_labels))
        if lengths != (len(self.images), count, count):
            raise ValueError(
                f"there must be a label for each of {len(self.images)} images, and a clean image and label for each of "
                f"{count} indices, got {lengths}"
            )
        if count and not (
            bool((self.indices.diff() > 0).all()) and int(self.indices[0]) >= 0 and int(self.indices[-1]) < len(self)
        ):
            raise ValueError(f"indices must be ascending places of the {len(self.images)} examples, none twice")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def perturbation(self) -> Tensor:
        """What was added to the changed images, `[M, …]`: all zeros where only labels were changed."""
        added: Tensor = self.images[self.indices] - self.clean_images
        return added

    @property
    def budget(self) -> float:
        """M / N, the share of the training set that was changed."""
        return len(self.indices) / len(self)

    @property
    def linf(self) -> Tensor:
        """The largest change of a pixel, of each changed image, `[M]`, in the unit of the pixels."""
        return self.perturbation.abs().flatten(1).amax(dim=1)

    @property
    def l2(self) -> Tensor:
        """The Euclidean length of the change of each changed image, `[M]`, in the unit of the pixels."""
        lengths: Tensor = torch.linalg.vector_norm(self.perturbation.flatten(1), dim=1)
        return lengths

    @property
    def data(self) -> TensorDataset:
        """The changed training set, as `training.fit` takes it."""
        return TensorDataset(self.images, self.labels)

    @property
    def clean(self) -> TensorDataset:
        """The training set as it was before."""
        images, labels = self.images.clone(), self.labels.clone()
        images[self.indices], labels[self.indices] = self.clean_images, self.clean_labels
        return TensorDataset(images, labels)

    @property
    def without(self) -> TensorDataset:
        """The training set with what was changed left out."""
        kept = torch.ones(len(self), dtype=torch.bool, device=self.images.device)
        kept[self.indices] = False
        return TensorDataset(self.images[kept], self.labels[kept])

    def noise_control(self, *, generator: torch.Generator | None = None) -> "Poison":
        """The same examples with random noise of the same size: what the attack must beat, or it is only noise.

        Every pixel of a changed image moves by the largest change that the attack made in that image, up or down by a
        fair coin, and is cut to [0, 1]. Labels stay as the attack set them.

        Args:
            generator: draws the coins; on any device.

        Returns:
            Another `Poison`, of the same indices and ε.
        """
        size = self.linf.view(-1, *[1] * (self.images.ndim - 1))
        coins = draw(torch.randint, 2, self.clean_images.shape, device=self.images.device, generator=generator)
        images = self.images.clone()
        images[self.indices] = (self.clean_images + size * (2 * coins - 1)).clamp(0, 1).to(images.dtype)
        return Poison(images, self.labels, self.indices, self.clean_images, self.clean_labels, self.epsilon)
