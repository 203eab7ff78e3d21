"""Defensive distillation: train hot, deploy cold, and the gradient is gone. The adversarial examples are not."""

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from tml_helpers.common import check_network, check_numbers
from tml_helpers.kernels import distillation_loss
from tml_helpers.training import fit, predict


def defensive_distillation(
    model: nn.Module,
    data: Dataset[Any] | DataLoader[Any],
    *,
    teacher: nn.Module | None = None,
    temperature: float = 100.0,
    epochs: int,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> list[float]:
    """Two networks of one kind learn at temperature T, the second from the first's softmax(z/T); it answers at T = 1.

    What is left at T = 1 are logits about T times as large as usual, whose softmax is 0 or 1 to the last digit: the
    cross-entropy has no gradient, and attacks that follow it fail. Attacks on the logits do not: this is no defence.

    Args:
        model: the second network, maps images to logits; it is trained.
        data: yields images and labels.
        teacher: the first network, trained before on the labels; a copy of the untrained model unless given.
        temperature: T, above 0.
        epochs, learning_rate, batch_size, generator, progress: as of `training.fit`, for both trainings.

    Returns:
        The model's mean loss of each epoch.

    Raises:
        ValueError: a temperature that is not above 0.

    Source: Papernot et al., 2016; broken by Carlini and Wagner, 2017. Derived in: lectures/20_adversarial/defenses.
    """
    check_network(model)
    check_numbers(temperature=temperature)
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    teacher = copy.deepcopy(model) if teacher is None else teacher
    how: dict[str, Any] = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "generator": generator,
        "progress": progress,
    }
    fit(teacher, data, loss=partial(hot_cross_entropy, temperature=temperature), **how)
    return fit(model, data, loss=partial(soft_cross_entropy, teacher=teacher, temperature=temperature), **how)


def hot_cross_entropy(model: nn.Module, images: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """−log softmax(z/T) of the label, averaged over the batch."""
    return F.cross_entropy(model(images) / temperature, labels)


def soft_cross_entropy(
    model: nn.Module, images: Tensor, labels: Tensor, *, teacher: nn.Module, temperature: float
) -> Tensor:
    """T² · KL(teacher ‖ model) at temperature T: up to the factor, the gradient of Papernot's cross-entropy."""
    return distillation_loss(model(images), predict(teacher, images), None, temperature=temperature, alpha=1.0)
