"""Train and measure a network, reproducibly."""

import io
import math
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset
from tqdm.auto import tqdm

from tml_helpers.common import (
    check_absent,
    check_counts,
    check_numbers,
    draw,
    evaluating,
    home,
    offspring,
    own_generator,
)

__all__ = ["Loss", "accuracy", "batches", "cross_entropy", "fit", "own_optimizer", "predict", "seed_everything"]

Loss = Callable[..., Tensor]
"""`loss(model, *batch)`: a scalar tensor; a batch is what the data set yields, as (images, labels)."""


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and PyTorch.

    Args:
        seed: from 0 to 2³² − 1.

    Returns:
        A generator with that seed, on the CPU, for everything that takes one.

    Raises:
        ValueError: a seed outside of its range.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"a seed is a whole number from 0 to 2³² − 1; got {seed}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Mean of −log p(label | image) over the batch.

    Args:
        model: maps images to logits `[N, K]`.
        images: `[N, …]`, where the model is.
        labels: `[N]`, int64, class indices below K.

    Returns:
        A scalar, with a gradient.
    """
    return F.cross_entropy(model(images), labels)


def fit(
    model: nn.Module,
    data: Dataset[Any] | DataLoader[Any],
    *,
    epochs: int,
    loss: Loss = cross_entropy,
    optimizer: torch.optim.Optimizer | None = None,
    learning_rate: float | None = None,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> list[float]:
    """Minimise the mean of `loss(model, *batch)` over shuffled batches, which are moved to the model's device.

    Args:
        model: the network, in training mode meanwhile and afterwards.
        data: a data set of tuples of tensors; a `DataLoader` keeps its own batches and their order.
        epochs: 0 or more.
        loss: of the model and a batch, a scalar.
        optimizer: Adam unless one is given.
        learning_rate: Adam's, 0.001 unless given; refused beside an optimiser, which has its own.
        batch_size: 1 or more.
        generator: shuffles a data set; on any device. None takes one that PyTorch's own seeds.
        checkpoint: a file to which the state is written after each epoch; a later call with the same arguments goes on
            from there, to the same result as without the interruption.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        The mean of the loss in each epoch.

    Raises:
        TypeError: a generator that is none, numbers of epochs or of a batch that are not whole, or tensors that are
            not in a data set.
        ValueError: an empty data set, a loss that is not finite, a model without parameters and no optimiser, or a
            checkpoint of something else.
    """
    check_counts(0, epochs=epochs)
    check_counts(batch_size=batch_size)
    optimizer = own_optimizer(model, optimizer=optimizer, learning_rate=learning_rate)
    generator = own_generator(generator)
    state = Checkpoint(Path(checkpoint), model, optimizer, generator) if checkpoint else None
    history = state.load() if state else []
    device = home(model)
    model.train()
    remaining = range(len(history), epochs)
    for epoch in tqdm(remaining, desc="epochs", disable=None if progress is None else not progress):
        total, count = 0.0, 0
        for batch in batches(data, batch_size=batch_size, generator=generator):
            batch = [part.to(device or part.device) for part in batch]
            value = loss(model, *batch)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            total += value.item() * len(batch[0])
            count += len(batch[0])
        if count == 0:
            raise ValueError("the data gave no batch: there is nothing to train on")
        history.append(total / count)
        if not np.isfinite(history[-1]):
            raise ValueError(f"the loss is {history[-1]} in epoch {epoch + 1}: lower the learning rate")
        if state:
            state.save(history)
    return history


def own_optimizer(
    model: nn.Module, *, optimizer: torch.optim.Optimizer | None, learning_rate: float | None
) -> torch.optim.Optimizer:
    """The optimiser, or Adam where there is none.

    Args:
        model: the network that is trained.
        optimizer: None for Adam.
        learning_rate: Adam's, 0.001 unless given.

    Returns:
        The optimiser.

    Raises:
        TypeError: a learning rate that is no number.
        ValueError: a learning rate below 0, not finite, or beside an optimiser, which has its own; or no parameter for
            Adam to change.
    """
    if optimizer is not None:
        check_absent("an optimizer is given", learning_rate=learning_rate)
        return optimizer
    if learning_rate is not None:
        check_numbers(learning_rate=learning_rate)
        if not 0 <= learning_rate < math.inf:
            raise ValueError(f"learning_rate must be 0 or more and finite, got {learning_rate}")
    parameters = list(model.parameters())
    if not parameters:
        raise ValueError("the model has no parameters to train: pass an optimizer of those that the loss uses")
    return torch.optim.Adam(parameters, lr=1e-3 if learning_rate is None else learning_rate)


def batches(
    data: Dataset[Any] | DataLoader[Any], *, batch_size: int = 128, generator: torch.Generator | None = None
) -> Iterator[list[Tensor]]:
    """One epoch: shuffled batches; a `DataLoader`'s own, as they come.

    A `TensorDataset` is cut by index, which costs far less than collating single samples.

    Args:
        data: a data set of tuples of tensors, or a `DataLoader`.
        batch_size: 1 or more; of a data set.
        generator: shuffles a data set; on any device. None draws from PyTorch's own.

    Yields:
        The tensors of a batch, as images and labels, where the data are.

    Raises:
        TypeError: tensors that are not in a data set.
        ValueError: an empty `TensorDataset`.
    """
    if isinstance(data, Tensor) or (isinstance(data, list | tuple) and data and isinstance(data[0], Tensor)):
        raise TypeError(f"the data must be a data set or a loader, got a {type(data).__name__}: pass TensorDataset(…)")
    if isinstance(data, TensorDataset):
        if len(data) == 0:
            raise ValueError("the data set is empty: there is nothing to train on")
        for chosen in draw(torch.randperm, len(data), device="cpu", generator=generator).split(batch_size):
            yield [tensor[chosen] for tensor in data.tensors]
    elif isinstance(data, DataLoader):
        yield from data
    else:
        yield from DataLoader(data, batch_size, shuffle=True, generator=offspring(generator))  # it draws on the CPU


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, *, batch_size: int = 512) -> Tensor:
    """The logits of all images, in evaluation mode, without gradients; images are moved to the model's device.

    Args:
        model: maps images to logits `[N, K]`.
        images: `[N, …]`, at least one.
        batch_size: images at a time, 1 or more.

    Returns:
        `[N, K]`, where the model is; where the images are for a model without parameters.

    Raises:
        TypeError: a model that returns another thing than one tensor.
        ValueError: no images.
    """
    if len(images) == 0:
        raise ValueError("there are no images to predict")
    with evaluating(model):
        own = home(model) or images.device  # a copy: a model may work in place on what it is given
        answers = [model(part.to(own, copy=True)) for part in images.split(batch_size)]
    if not isinstance(answers[0], Tensor):
        raise TypeError(f"the model must return one tensor, of logits, got {type(answers[0]).__name__}")
    return torch.cat(answers)


def accuracy(model: nn.Module, data: TensorDataset, *, batch_size: int = 512) -> float:
    """The share of images whose largest logit is that of their label.

    Args:
        model: maps images to logits `[N, K]`.
        data: images and labels.
        batch_size: images at a time, 1 or more.

    Returns:
        From 0 to 1.
    """
    images, labels = data.tensors
    predictions = predict(model, images, batch_size=batch_size).argmax(dim=1)
    return (predictions.cpu() == labels.cpu()).float().mean().item()


class Checkpoint:
    """Everything that training needs to go on, in one file that is always whole."""

    def __init__(
        self, path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> None:
        self.path, self.model, self.optimizer, self.generator = path, model, optimizer, generator

    def save(self, history: list[float]) -> None:
        """Write under another name, then rename: an interruption leaves the former file."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "default_generator": torch.get_rng_state(),  # dropout draws from it
            "history": history,
        }
        content = io.BytesIO()  # written at once, so that a full disk is an OSError and not one of torch's own
        torch.save(state, content)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(self.path.name + ".part")  # what a killed process left, the next one overwrites
        try:
            with part.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        except OSError as error:
            raise OSError(
                f"could not write {self.path} ({error.strerror}): free disk space, or name another file"
            ) from error
        finally:
            part.unlink(missing_ok=True)

    def load(self) -> list[float]:
        """Restore the state and return the history; an empty one where there is no file yet."""
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        try:
            state = torch.load(io.BytesIO(content), weights_only=True)
            history: list[float] = state["history"]
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"])
            torch.set_rng_state(state["default_generator"])
        except Exception as error:  # what torch raises depends on where the file is cut
            raise ValueError(
                f"{self.path} is damaged or belongs to another model: remove it to train from the start"
            ) from error
        return history
