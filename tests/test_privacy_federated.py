"""Federated averaging against gradient descent on all data, against its closed form on parabolas, and by its hooks."""

from functools import partial
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers import privacy
from tml_helpers.privacy import federated_averaging
from tml_helpers.training import cross_entropy

Clients = list[tuple[Tensor, Tensor]]


def clients(seed: int = 0, sizes: tuple[int, ...] = (5, 12, 3), dtype: torch.dtype = torch.float64) -> Clients:
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(size, 4, generator=generator, dtype=dtype),
            torch.randint(3, (size,), generator=generator),
        )
        for size in sizes
    ]


def linear(seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(4, 3, dtype=dtype)


def flat(model: nn.Module) -> Tensor:
    return torch.cat([value.detach().flatten() for value in model.parameters()])


def descend(model: nn.Module, images: Tensor, labels: Tensor, steps: int, rate: float) -> None:
    """Gradient descent by PyTorch's own optimiser."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model, images, labels).backward()
        optimizer.step()


@pytest.mark.parametrize("sizes", [(5, 12, 3), (1, 40), (7,)])
def test_one_local_step_is_gradient_descent_on_all_data(sizes: tuple[int, ...]) -> None:
    """Of unequal sizes: means that are not weighted, or weighted otherwise, are somewhere else."""
    data, model, central = clients(sizes=sizes), linear(), linear()
    history = federated_averaging(model, data, rounds=6, learning_rate=0.7)
    descend(central, torch.cat([x for x, _ in data]), torch.cat([y for _, y in data]), 6, 0.7)
    torch.testing.assert_close(flat(model), flat(central), rtol=0, atol=1e-12)
    assert len(history.losses) == 6
    assert history.losses[-1] < history.losses[0]
    assert history.clients == (tuple(range(len(sizes))),) * 6
    assert history.numbers_sent == 15


def test_the_losses_are_those_of_all_data() -> None:
    data, model = clients(), linear()
    before = F.cross_entropy(model(torch.cat([x for x, _ in data])), torch.cat([y for _, y in data]))
    history = federated_averaging(model, data, rounds=1)
    assert history.losses == pytest.approx((before.item(),), rel=1e-12)


def test_several_local_epochs_are_the_weighted_mean_of_what_clients_learn() -> None:
    data, model = clients(), linear()
    expected = torch.zeros(15, dtype=torch.float64)
    for images, labels in data:
        local = linear()
        descend(local, images, labels, 4, 0.5)
        expected += len(images) / 20 * flat(local)
    federated_averaging(model, data, rounds=1, local_epochs=4, learning_rate=0.5)
    torch.testing.assert_close(flat(model), expected, rtol=0, atol=1e-12)


class Point(nn.Module):
    """A model with one number, which it answers with."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return self.w.expand(len(images))


def parabola(model: nn.Module, curvatures: Tensor, minima: Tensor) -> Tensor:
    return (curvatures / 2 * (model(curvatures) - minima) ** 2).mean()


@pytest.mark.parametrize(("epochs", "rounds"), [(1, 300), (5, 40), (50, 12)])
def test_clients_that_differ_pull_it_to_a_point_that_is_nobodys_minimum(epochs: int, rounds: int) -> None:
    """On a_k/2 (w − c_k)² it ends where Σ p_k s_k (c_k − w) = 0, s_k = 1 − (1 − η a_k)^E: for E = 1, the minimum."""
    curvatures, minima, sizes, rate = [1.0, 4.0], [0.0, 1.0], [3, 1], 0.1
    data = [
        (torch.full((n,), a, dtype=torch.float64), torch.full((n,), c, dtype=torch.float64))
        for n, a, c in zip(sizes, curvatures, minima, strict=True)
    ]
    model = Point()
    federated_averaging(model, data, rounds=rounds, local_epochs=epochs, learning_rate=rate, loss=parabola)
    pulls = [n * (1 - (1 - rate * a) ** epochs) for n, a in zip(sizes, curvatures, strict=True)]
    expected = sum(p * c for p, c in zip(pulls, minima, strict=True)) / sum(pulls)
    best = sum(n * a * c for n, a, c in zip(sizes, curvatures, minima, strict=True)) / sum(
        n * a for n, a in zip(sizes, curvatures, strict=True)
    )
    assert model.w.item() == pytest.approx(expected, abs=1e-9)
    assert (model.w.item() == pytest.approx(best, abs=1e-9)) == (epochs == 1)


def test_batches_are_shuffled_by_the_generator() -> None:
    def run(seed: int) -> Tensor:
        model = linear()
        generator = torch.Generator().manual_seed(seed)
        settings = {"rounds": 2, "local_epochs": 2, "batch_size": 4, "learning_rate": 0.5}
        federated_averaging(model, clients(), **settings, generator=generator)
        return flat(model)

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))
    assert not torch.allclose(run(0), run(1), atol=1e-6)


def test_each_example_is_seen_once_an_epoch() -> None:
    seen: list[Tensor] = []

    def watching(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        seen.append(images.detach().clone())
        return cross_entropy(model, images, labels)

    data = clients(sizes=(10,))
    federated_averaging(linear(), data, rounds=1, local_epochs=2, batch_size=4, loss=watching)
    assert [len(batch) for batch in seen] == [4, 4, 2] * 2
    for epoch in (seen[:3], seen[3:]):
        rows = torch.cat(epoch)
        assert torch.equal(rows[rows[:, 0].argsort()], data[0][0][data[0][0][:, 0].argsort()])


def test_some_clients_a_round() -> None:
    data = clients(sizes=(2, 3, 4, 5, 6))
    generator = torch.Generator().manual_seed(0)
    history = federated_averaging(linear(), data, rounds=40, clients_per_round=2, generator=generator)
    assert {len(set(chosen)) for chosen in history.clients} == {2}
    assert {k for chosen in history.clients for k in chosen} == set(range(5))
    model = linear()
    history = federated_averaging(
        model, data, rounds=1, clients_per_round=2, generator=torch.Generator().manual_seed(1)
    )
    central, some = linear(), [data[k] for k in history.clients[0]]
    descend(central, torch.cat([x for x, _ in some]), torch.cat([y for _, y in some]), 1, 0.1)
    torch.testing.assert_close(flat(model), flat(central), rtol=0, atol=1e-12)


def test_statistics_of_batch_normalisation_are_averaged() -> None:
    """PFLlib #260, FedScale #57: parameters were averaged, running statistics were the first client's, or nobody's."""
    data = [(x.float(), y) for x, y in clients(sizes=(6, 18))]
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))
    federated_averaging(model, data, rounds=1, local_epochs=2, learning_rate=0.01)
    means = [x.mean(dim=0) for x, _ in data]
    steps = 0.9**2  # the first batch's weight after two steps of momentum 0.1, from 0
    expected = (1 - steps) * (6 * means[0] + 18 * means[1]) / 24
    torch.testing.assert_close(model[0].running_mean, expected, rtol=1e-5, atol=1e-6)
    assert model[0].num_batches_tracked.item() == 2
    assert model[0].num_batches_tracked.dtype == torch.int64


def test_counts_are_the_largest() -> None:
    data = [(x.float(), y) for x, y in clients(sizes=(8, 2))]
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))
    federated_averaging(model, data, rounds=3, batch_size=2, learning_rate=0.01)
    assert model[0].num_batches_tracked.item() == 12


def test_a_client_without_data_counts_nothing() -> None:
    data, model, other = clients(), linear(), linear()
    empty = (torch.zeros(0, 4, dtype=torch.float64), torch.zeros(0, dtype=torch.int64))
    received: list[list[Tensor]] = []

    def watching(vectors: list[Tensor]) -> Tensor:
        received.append(vectors)
        return torch.stack(vectors).sum(dim=0)

    federated_averaging(model, [*data, empty], rounds=3, aggregate=watching)
    federated_averaging(other, data, rounds=3)
    torch.testing.assert_close(flat(model), flat(other), rtol=0, atol=1e-14)
    assert all(len(vectors) == 4 and not vectors[3].any() for vectors in received)
    with refuses(ValueError, "no client has any data"):
        federated_averaging(model, [empty, empty], rounds=1)
    few = federated_averaging(model, [empty, data[0]], rounds=8, clients_per_round=1)
    assert set(few.clients) == {(1,)}


def test_what_is_aggregated_is_weighted_and_its_sum_is_what_the_model_moves_by() -> None:
    data, model = clients(), linear()
    start, received = flat(model), []

    def half(vectors: list[Tensor]) -> Tensor:
        received.append([vector.clone() for vector in vectors])
        return torch.stack(vectors).sum(dim=0) / 2

    federated_averaging(model, data, rounds=1, learning_rate=0.3, aggregate=half)
    for (images, labels), vector in zip(data, received[0], strict=True):
        local = linear()
        descend(local, images, labels, 1, 0.3)
        torch.testing.assert_close(vector, len(images) / 20 * (flat(local) - start), rtol=0, atol=1e-14)
    torch.testing.assert_close(flat(model), start + sum(received[0]) / 2, rtol=0, atol=1e-14)


@pytest.mark.filterwarnings("ignore::tml_helpers.privacy.TeachingCryptographyWarning")
def test_secure_sums_take_the_place_of_plain_ones() -> None:
    data = clients(dtype=torch.float32)
    models = [linear(dtype=torch.float32) for _ in range(2)]
    for model, aggregate in zip(models, (None, partial(privacy.secure_aggregation, threshold=2)), strict=True):
        federated_averaging(model, data, rounds=2, local_epochs=2, aggregate=aggregate)
    torch.testing.assert_close(flat(models[0]), flat(models[1]), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore::tml_helpers.privacy.TeachingCryptographyWarning")
def test_encrypted_sums_take_the_place_of_plain_ones() -> None:
    public, private = privacy.generate_keypair(512)

    def encrypted(vectors: list[Tensor]) -> Tensor:
        return torch.as_tensor(private.decrypt(sum(public.encrypt(vector) for vector in vectors)))

    data = clients(dtype=torch.float32)
    models = [linear(dtype=torch.float32) for _ in range(2)]
    for model, aggregate in zip(models, (None, encrypted), strict=True):
        federated_averaging(model, data, rounds=1, aggregate=aggregate)
    torch.testing.assert_close(flat(models[0]), flat(models[1]), rtol=1e-5, atol=1e-6)


def test_frozen_parameters_modes_and_gradients_stay() -> None:
    model = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.Linear(5, 3)).double()
    model[0].requires_grad_(False)
    model.eval()
    model[1].train()
    model[2].weight.grad = torch.ones_like(model[2].weight)
    before = flat(model[0])
    federated_averaging(model, clients(), rounds=2)
    assert torch.equal(flat(model[0]), before)
    assert [module.training for module in model.modules()] == [False, False, True, False]
    assert torch.equal(model[2].weight.grad, torch.ones_like(model[2].weight))
    assert model[2].bias.grad is None
    assert all(p.requires_grad == (n[0] != "0") for n, p in model.named_parameters())


def test_no_round_changes_nothing() -> None:
    model = linear()
    history = federated_averaging(model, clients(), rounds=0)
    assert torch.equal(flat(model), flat(linear()))
    assert history.losses == ()


X, Y = torch.zeros(3, 4, dtype=torch.float64), torch.zeros(3, dtype=torch.int64)
ERRORS: dict[str, tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = {
    "lengths": ({"data": [(X, Y), (X, Y[:2])]}, ValueError, ("client 1", "3 inputs and 2 labels")),
    "no pair": ({"data": [(X, Y), X]}, TypeError, ("client 1",)),
    "lists": ({"data": [([1.0], [1])]}, TypeError, ("client 0",)),
    "labels": ({"data": [(X, Y), (X, Y.double())]}, TypeError, ("labels of client 1", "int64")),
    "negative": ({"data": [(X, Y - 1)]}, ValueError, ("labels of client 0", "-1")),
    "devices": ({"data": [(X.to("meta"), Y)]}, ValueError, ("client 0", "meta")),
    "nobody": ({"data": []}, ValueError, ("no client has any data",)),
    "NaN": ({"data": [(X, Y), (X / 0, Y)]}, ValueError, ("loss of client 1", "nan")),
    "rounds": ({"rounds": -1}, ValueError, ("rounds",)),
    "half a round": ({"rounds": 1.5}, TypeError, ("rounds",)),
    "no epoch": ({"local_epochs": 0}, ValueError, ("local_epochs",)),
    "no batch": ({"batch_size": 0}, ValueError, ("batch_size",)),
    "rate": ({"learning_rate": 0.0}, ValueError, ("learning_rate",)),
    "NaN rate": ({"learning_rate": float("nan")}, ValueError, ("learning_rate",)),
    "too many": ({"clients_per_round": 2}, ValueError, ("clients_per_round", "1 or less")),
    "none": ({"clients_per_round": 0}, ValueError, ("clients_per_round",)),
    "a seed": ({"generator": 0}, TypeError, ("generator", "manual_seed")),
    "another shape": ({"aggregate": lambda v: v[0][:3]}, ValueError, ("aggregate", "[15]", "[3]")),
    "no tensor": ({"aggregate": lambda v: None}, ValueError, ("aggregate", "NoneType")),
    "not finite": ({"aggregate": lambda v: v[0] / 0}, ValueError, ("aggregate", "finite")),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_bad_input(kind: str) -> None:
    arguments, error, words = ERRORS[kind]
    with refuses(error, *words):
        federated_averaging(linear(), **({"data": [(X, Y)], "rounds": 1} | arguments))


def test_a_model_that_cannot_learn() -> None:
    with refuses(ValueError, "no parameter"):
        federated_averaging(linear().requires_grad_(False), clients(), rounds=1)


def test_arguments_that_are_none() -> None:
    for wrong in (None, "0.1", True):
        with refuses(TypeError, "learning_rate must be a number"):
            federated_averaging(linear(), clients(), rounds=1, learning_rate=wrong)  # type: ignore[arg-type]
    with refuses(TypeError, "model must be a torch.nn.Module", "function"):
        federated_averaging(lambda x: x, clients(), rounds=1)  # type: ignore[arg-type]
    with refuses(TypeError, "data must be a list", "NoneType"):
        federated_averaging(linear(), None, rounds=1)  # type: ignore[arg-type]
