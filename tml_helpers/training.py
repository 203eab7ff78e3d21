"""Train and measure a network, reproducibly."""

import contextlib
import io
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

Loss = Callable[..., Tensor]
"""`loss(model, *batch)`: a scalar tensor; a batch is what the data set yields, as (images, labels)."""


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and PyTorch, and return a generator with that seed for everything that takes one."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"a seed is a whole number from 0 to 2³² − 1; got {seed}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, the model is in evaluation mode; afterwards every layer is back in the mode that it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Mean of −log p(label | image) over the batch."""
    return F.cross_entropy(model(images), labels)


def fit(
    model: nn.Module,
    data: Dataset[Any] | DataLoader[Any],
    *,
    epochs: int,
    loss: Loss = cross_entropy,
    optimizer: torch.optim.Optimizer | None = None,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> list[float]:
    """Minimise the mean of `loss(model, *batch)` over shuffled batches; returns its mean in each epoch.

    The optimiser is Adam with `learning_rate` unless one is given. `generator` shuffles a data set; a `DataLoader`
    keeps its own batches. With `checkpoint`, the state
    is written after each epoch, and a later call with the same arguments goes on from there, to the same result as
    without the interruption. `progress` shows a bar: by default only in a terminal. Batches are moved to the model's
    device.

    Raises ValueError for an empty data set, a loss that is not finite, or a checkpoint of something else.
    Derived in: lectures/10_distillation/response_based.
    """
    if epochs < 0:
        raise ValueError(f"epochs is at least 0; got {epochs}")
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=learning_rate)
    generator = generator or torch.Generator().manual_seed(torch.initial_seed() % 2**63)
    state = Checkpoint(Path(checkpoint), model, optimizer, generator) if checkpoint else None
    history = state.load() if state else []
    device = next(model.parameters()).device
    model.train()
    remaining = range(len(history), epochs)
    for epoch in tqdm(remaining, desc="epochs", disable=None if progress is None else not progress):
        total, count = 0.0, 0
        for batch in batches(data, batch_size, generator):
            batch = [part.to(device) for part in batch]
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


def batches(
    data: Dataset[Any] | DataLoader[Any], batch_size: int, generator: torch.Generator
) -> Iterator[list[Tensor]]:
    """Shuffled batches; a `DataLoader`'s own, as they come.

    A `TensorDataset` is cut by index, which costs far less than collating single samples.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1; got {batch_size}")
    if isinstance(data, TensorDataset):
        if len(data) == 0:
            raise ValueError("the data set is empty: there is nothing to train on")
        for chosen in torch.randperm(len(data), generator=generator).split(batch_size):
            yield [tensor[chosen] for tensor in data.tensors]
    elif isinstance(data, DataLoader):
        yield from data
    else:
        yield from DataLoader(data, batch_size, shuffle=True, generator=generator)


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, *, batch_size: int = 512) -> Tensor:
    """The logits `[N, K]` of all images, in evaluation mode, without gradients."""
    if len(images) == 0:
        raise ValueError("there are no images to predict")
    device = next(model.parameters(), images).device  # where the model is, if it is anywhere
    with evaluating(model):
        return torch.cat([model(part.to(device)) for part in images.split(batch_size)])


def accuracy(model: nn.Module, data: TensorDataset, *, batch_size: int = 512) -> float:
    """The share of images, from 0 to 1, whose largest logit is that of their label."""
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
