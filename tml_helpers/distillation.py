"""Knowledge distillation: a small network learns from a large one's answers."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tml_helpers.kernels import distillation_loss
from tml_helpers.training import fit, predict

__all__ = ["distill", "distillation_loss"]


def distill(
    student: nn.Module,
    teacher: nn.Module,
    loader: Dataset[Any] | DataLoader[Any],
    *,
    temperature: float = 4.0,
    alpha: float = 0.9,
    epochs: int,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> list[float]:
    """Offline distillation: train the student on α·T²·KL(teacher‖student) + (1 − α)·cross-entropy.

    `loader` is a data set or a loader of (images, labels), or of images alone, which needs `alpha=1`. The teacher is
    only asked: it stays as it is, and answers in evaluation mode. A `TensorDataset` has the same images in each epoch,
    so the teacher answers once. The other arguments are those of `training.fit`; returns the mean loss of each epoch.

    Raises ValueError where labels are missing but `alpha` is below 1.
    Source: Hinton, Vinyals and Dean, 2015. Derived in: lectures/10_distillation/response_based.
    """
    answered = isinstance(loader, TensorDataset)
    if isinstance(loader, TensorDataset):
        loader = TensorDataset(*loader.tensors, predict(teacher, loader.tensors[0]))

    def loss(model: nn.Module, images: Tensor, *rest: Tensor) -> Tensor:
        teacher_logits = rest[-1] if answered else predict(teacher, images)
        labels = rest[0] if len(rest) > answered else None
        return distillation_loss(model(images), teacher_logits, labels, temperature=temperature, alpha=alpha)

    return fit(
        student,
        loader,
        epochs=epochs,
        loss=loss,
        learning_rate=learning_rate,
        batch_size=batch_size,
        generator=generator,
        checkpoint=checkpoint,
        progress=progress,
    )
