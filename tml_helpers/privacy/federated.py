"""Federated averaging: the data stay with the clients, and what they have learned travels."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from tml_helpers.common import check_counts, check_generator, check_labels, draw, home
from tml_helpers.privacy._numbers import check_positive
from tml_helpers.training import Loss, cross_entropy

Aggregate = Callable[[list[Tensor]], Tensor]
"""From one vector `[P]` of each client to their sum `[P]`."""


@dataclass(frozen=True)
class FederatedHistory:
    """What happened in each round.

    Args:
        losses: the mean of the clients' losses while they trained, weighted by their data.
        clients: who took part.
        numbers_sent: how many numbers each client sent.
    """

    losses: tuple[float, ...]
    clients: tuple[tuple[int, ...], ...]
    numbers_sent: int


def federated_averaging(
    model: nn.Module,
    data: Sequence[tuple[Tensor, Tensor]],
    *,
    rounds: int,
    local_epochs: int = 1,
    learning_rate: float = 0.1,
    loss: Loss = cross_entropy,
    clients_per_round: int | None = None,
    aggregate: Aggregate | None = None,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> FederatedHistory:
    """θ ← θ + Σ_k (n_k / n) · (θ_k − θ), where client k finds θ_k from θ by gradient descent on its own n_k examples.

    With one local epoch and no batches, a round is one step of gradient descent on all data together. With more,
    clients whose data differ pull apart.

    Statistics of batch normalisation are averaged as parameters are; of whole numbers, as counts of batches, the
    largest is kept. A client without data counts nothing, and sends zeros.

    Args:
        model: what all clients start from; it is changed, and keeps its modes and gradients.
        data: one pair of inputs `[n_k, …]` and labels `[n_k]` for each client, on the model's device.
        rounds: how often models travel, 0 or more.
        local_epochs: passes of a client over its data in a round, 1 or more.
        learning_rate: of the clients' gradient descent, positive.
        loss: of the model and a batch, a scalar: its mean over the batch.
        clients_per_round: how many take part in a round, drawn without replacement; None for all.
        aggregate: sums the clients' vectors, which are weighted already, as
            `functools.partial(privacy.secure_aggregation, threshold=…)` does unseen; None adds them up in the clear.
        batch_size: of the clients, 1 or more; None for all of a client's data.
        generator: shuffles, and draws clients; on any device.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        Losses and participants of the rounds.

    Raises:
        TypeError: numbers that are not whole, data that are no pairs of tensors, or labels that are not int64.
        ValueError: no client with data, inputs and labels of different lengths or on another device than the model, a
            learning rate that is not positive, a loss that is not finite, or an aggregate of another shape.

    Source: McMahan et al., 2017. Derived in: lectures/60_privacy/computing_on_the_unseen.
    """
    check_counts(0, rounds=rounds)
    check_counts(local_epochs=local_epochs)
    check_generator(generator)
    if batch_size is not None:
        check_counts(batch_size=batch_size)
    check_positive(learning_rate=learning_rate)
    _check_clients(model, data, clients_per_round)
    if loss is cross_entropy:
        for k, (images, labels) in enumerate(data):
            if len(images):
                check_labels(f"labels of client {k}", labels, images)
    losses, participants = [], []
    for _ in tqdm(range(rounds), desc="rounds", disable=None if progress is None else not progress):
        chosen = _choose(data, clients_per_round, generator)
        total = sum(len(data[k][0]) for k in chosen)
        locals_, values = [], []
        for k in chosen:
            local = deepcopy(model)
            images, labels = data[k]
            values.append(_descend(local, images, labels, k, local_epochs, learning_rate, loss, batch_size, generator))
            locals_.append(local)
        weights = [len(data[k][0]) / total for k in chosen]
        _merge(model, locals_, weights, aggregate)
        losses.append(sum(w * value for w, value in zip(weights, values, strict=True)))
        participants.append(tuple(chosen))
    return FederatedHistory(tuple(losses), tuple(participants), len(_vector(model)))


def _descend(
    local: nn.Module,
    images: Tensor,
    labels: Tensor,
    client: int,
    epochs: int,
    learning_rate: float,
    loss: Loss,
    batch_size: int | None,
    generator: torch.Generator | None,
) -> float:
    """A client's training; the mean of its loss meanwhile."""
    local.train()
    parameters = [parameter for parameter in local.parameters() if parameter.requires_grad]
    count, total = len(images), 0.0
    for _ in range(epochs if count else 0):
        rows = torch.arange(count, device=images.device)
        if batch_size is not None and batch_size < count:
            rows = draw(torch.randperm, count, device=images.device, generator=generator)
        for batch in rows.split(batch_size or count):
            value = loss(local, images[batch], labels[batch])
            if not torch.isfinite(value):
                raise ValueError(
                    f"the loss of client {client} is {value.item()}: lower the learning rate, or see its data"
                )
            gradients = torch.autograd.grad(value, parameters, allow_unused=True)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    if gradient is not None:
                        parameter.sub_(learning_rate * gradient)
            total += value.item() * len(batch)
    return total / (epochs * count) if count else 0.0


def _merge(
    model: nn.Module, locals_: Sequence[nn.Module], weights: Sequence[float], aggregate: Aggregate | None
) -> None:
    """Move the model by the weighted sum of what its copies have learned."""
    start = _vector(model)
    vectors = [weight * (_vector(local) - start) for local, weight in zip(locals_, weights, strict=True)]
    step = torch.stack(vectors).sum(dim=0) if aggregate is None else aggregate(vectors)
    if not isinstance(step, Tensor) or step.shape != start.shape or not torch.isfinite(step).all():
        form = list(step.shape) if isinstance(step, Tensor) else type(step).__name__
        raise ValueError(f"aggregate must return the finite sum of its vectors, shape {list(start.shape)}, got {form}")
    parts = (start + step.to(start)).split([value.numel() for value in _floats(model)])
    with torch.no_grad():
        for value, part in zip(_floats(model), parts, strict=True):
            value.copy_(part.view_as(value))
        counts = [[v for v in one.state_dict().values() if not v.is_floating_point()] for one in (model, *locals_)]
        for own, *others in zip(*counts, strict=True):
            own.copy_(torch.stack(others).amax(dim=0))


def _floats(model: nn.Module) -> list[Tensor]:
    """Parameters and statistics: what is averaged."""
    return [value for value in model.state_dict().values() if value.is_floating_point()]


def _vector(model: nn.Module) -> Tensor:
    return torch.cat([value.detach().flatten() for value in _floats(model)])


def _choose(data: Sequence[tuple[Tensor, Tensor]], count: int | None, generator: torch.Generator | None) -> list[int]:
    """Who takes part; a draw in which nobody has data is drawn again."""
    if count is None:
        return list(range(len(data)))
    while True:
        chosen = sorted(draw(torch.randperm, len(data), device="cpu", generator=generator)[:count].tolist())
        if any(len(data[k][0]) for k in chosen):
            return chosen


def _check_clients(model: nn.Module, data: Sequence[tuple[Tensor, Tensor]], clients_per_round: int | None) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if not isinstance(data, Sequence):
        raise TypeError(f"data must be a list of (inputs, labels), got {type(data).__name__}")
    if not any(value.requires_grad for value in model.parameters()):
        raise ValueError("the model has no parameter that training may change")
    device = home(model)
    for k, pair in enumerate(data):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(part, Tensor) for part in pair):
            raise TypeError(
                f"data must be a list of (inputs, labels), two tensors for each client; client {k} has none"
            )
        images, labels = pair
        if len(images) != len(labels):
            raise ValueError(f"client {k} has {len(images)} inputs and {len(labels)} labels")
        if {images.device, labels.device} != {device}:
            raise ValueError(f"client {k} has data on {images.device}, but the model is on {device}: move one of them")
    if not any(len(images) for images, _ in data):
        raise ValueError("no client has any data")
    if clients_per_round is not None:
        check_counts(clients_per_round=clients_per_round)
        if clients_per_round > len(data):
            raise ValueError(f"clients_per_round must be {len(data)} or less, got {clients_per_round}")
