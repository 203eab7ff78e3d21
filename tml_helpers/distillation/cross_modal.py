"""Distillation across modalities: the teacher sees one side of a pair, the student learns to read the other."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tml_helpers.distillation._checks import ask, check_blend, check_student
from tml_helpers.kernels import distillation_loss
from tml_helpers.training import fit

__all__ = ["cross_modal"]


def cross_modal(
    student: nn.Module,
    teacher: nn.Module,
    pairs: Dataset[Any] | DataLoader[Any],
    *,
    temperature: float = 4.0,
    alpha: float = 1.0,
    epochs: int,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> list[float]:
    """Train f_s on α·T²·KL(f_t(a)‖f_s(b)) + (1 − α)·cross-entropy, where a and b show the same thing in two ways.

    The teacher knows the first modality; nothing that it says about `a` needs a label of `b`. It is asked once for each
    pair where `pairs` is a `TensorDataset`, and its answer stays with its pair however the pairs are shuffled.

    Args:
        student: maps inputs of the second modality, of any shape, to logits; it is trained.
        teacher: maps inputs of the first to logits of the same classes; it is only asked, in evaluation mode, and stays
            as it is.
        pairs: a data set or a loader of (the teacher's input, the student's input), or of these and labels, which an
            `alpha` below 1 needs.
        temperature: T, above 0.
        alpha: α, from 0 to 1; 1 hears the teacher alone.
        epochs, learning_rate, batch_size, generator, progress: as of `training.fit`.

    Returns:
        The mean loss of each epoch.

    Raises:
        TypeError: a network that is no module, a number that is none, or inputs that are no data set.
        ValueError: inputs that are no pairs, labels that are missing though `alpha` is below 1, a number out of its
            range, a student with nothing to train or parameters of its teacher's, or answers of the teacher that are
            NaN.

    Source: Gupta, Hoffman and Malik, 2016. Derived in: lectures/10_distillation/without_the_data.
    """
    check_blend(temperature, alpha)
    check_student(student, teacher)
    asked_once = isinstance(pairs, TensorDataset)
    if isinstance(pairs, TensorDataset):
        _check_pair(len(pairs.tensors))
        pairs = TensorDataset(ask(teacher, pairs.tensors[0]), *pairs.tensors[1:])

    def loss(model: nn.Module, first: Tensor, *rest: Tensor) -> Tensor:
        _check_pair(1 + len(rest))
        teacher_logits = first if asked_once else ask(teacher, first)
        labels = rest[1] if len(rest) == 2 else None
        return distillation_loss(model(rest[0]), teacher_logits, labels, temperature=temperature, alpha=alpha)

    return fit(
        student,
        pairs,
        epochs=epochs,
        loss=loss,
        learning_rate=learning_rate,
        batch_size=batch_size,
        generator=generator,
        progress=progress,
    )


def _check_pair(parts: int) -> None:
    if parts not in (2, 3):
        raise ValueError(
            f"pairs must hold the teacher's input, the student's input and maybe labels, got {parts} tensor"
            + "s" * (parts > 1)
        )
