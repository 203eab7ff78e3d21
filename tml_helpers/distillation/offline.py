"""Offline distillation: the teacher is trained already, and only answers."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tml_helpers.distillation._checks import ask, check_blend, check_student
from tml_helpers.kernels import distillation_loss
from tml_helpers.training import fit

__all__ = ["distill"]


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

    Args:
        student: maps images to logits; it is trained.
        teacher: maps images to logits of the same classes; it is only asked, in evaluation mode, and stays as it is.
        loader: a data set or a loader of (images, labels), or of images alone, which needs `alpha=1`. A `TensorDataset`
            has the same images in each epoch, so the teacher answers once.
        temperature: T, above 0.
        alpha: α, from 0 to 1.
        epochs, learning_rate, batch_size, generator, checkpoint, progress: as of `training.fit`.

    Returns:
        The mean loss of each epoch.

    Raises:
        TypeError: a network that is no module, a number that is none, or images and labels that are no data set.
        ValueError: labels are missing but `alpha` is below 1, a number out of its range, a student with nothing to
            train or parameters of its teacher's, or answers of the teacher that are NaN.

    Source: Hinton, Vinyals and Dean, 2015. Derived in: lectures/10_distillation/response_based.
    """
    check_blend(temperature, alpha)
    check_student(student, teacher)
    answered = isinstance(loader, TensorDataset)
    if isinstance(loader, TensorDataset):
        loader = TensorDataset(*loader.tensors, ask(teacher, loader.tensors[0]))

    def loss(model: nn.Module, images: Tensor, *rest: Tensor) -> Tensor:
        teacher_logits = rest[-1] if answered else ask(teacher, images)
        parts = 1 + len(rest) - answered
        if parts > 2:
            raise ValueError(f"loader must hold images and maybe labels, got {parts} tensors")
        labels = rest[0] if parts == 2 else None
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
