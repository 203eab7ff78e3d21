"""Forgetting by shards and slices: what comes out does not depend on what was forgotten, and costs what was counted."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn

from tml_helpers import privacy
from tml_helpers.training import predict

N = 40


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))


def build_noisy() -> nn.Module:
    """Buffers that remember what they saw, and layers that draw."""
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))


def records(seed: int = 0) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(N, 3, generator=torch.Generator().manual_seed(seed))
    return inputs, (inputs[:, 0] > 0).long()


def trained(
    inputs: Tensor, labels: Tensor, *, seed: int = 1, make: Any = build, **numbers: int
) -> privacy.SisaEnsemble:
    ensemble = privacy.SisaEnsemble(make, **{"shards": 4, "slices": 3} | numbers)
    ensemble.fit(inputs, labels, epochs=2, batch_size=16, generator=torch.Generator().manual_seed(seed))
    return ensemble


def tensors(thing: Any) -> Iterator[Tensor]:
    """All tensors that an ensemble holds: weights, states that were kept, records."""
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, nn.Module):
        yield from thing.state_dict().values()
        for value in vars(thing).values():
            yield from tensors(value) if not isinstance(value, nn.Module) else ()
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from tensors(value)
    elif isinstance(thing, list | tuple):
        for value in thing:
            yield from tensors(value)


@pytest.mark.parametrize("make", [build, build_noisy])
@pytest.mark.parametrize("forgotten", [[7], [0, 13, 39], list(range(0, N, 5))])
def test_nothing_of_a_forgotten_record_is_left(make: Any, forgotten: list[int]) -> None:
    """Two ensembles that differ in these records only are equal after forgetting, in every bit that they hold.

    A starting kit for unlearning compared an attack before and after (unlearning-challenge/starting-kit #6). The judge
    is what would have been without the record.
    """
    inputs, labels = records()
    others, wrong = inputs.clone(), labels.clone()
    others[forgotten], wrong[forgotten] = 100.0, 1 - labels[forgotten]
    one, other = trained(inputs, labels, make=make), trained(others, wrong, make=make)
    assert not torch.equal(predict(one, inputs), predict(other, inputs))
    assert one.forget(forgotten) == other.forget(torch.tensor(forgotten))
    held = list(tensors(one)), list(tensors(other))
    assert len(held[0]) > 4 * 4 * 4
    assert all(torch.equal(a, b) for a, b in zip(*held, strict=True))
    assert torch.equal(predict(one, inputs), predict(other, inputs))


def test_two_requests_are_one_request() -> None:
    one, other = trained(*records()), trained(*records())
    one.forget([3, 30])
    other.forget([30])
    other.forget([3])
    assert torch.equal(predict(one, records()[0]), predict(other, records()[0]))


def test_only_its_shard_is_retrained() -> None:
    ensemble = trained(*records())
    before = deepcopy(ensemble.models)
    ensemble.forget([11])
    changed = [
        any(not torch.equal(a, b) for a, b in zip(old.parameters(), new.parameters(), strict=True))
        for old, new in zip(before, ensemble.models, strict=True)
    ]
    assert sum(changed) == 1


def test_the_cost_is_what_was_counted() -> None:
    """4 shards of 5 slices of 2 records, 3 epochs: a shard is shown 3 · 2 · (1 + 2 + 3 + 4 + 5) records."""
    ensemble = privacy.SisaEnsemble(build, shards=4, slices=5)
    assert ensemble.fit(*records(), epochs=3, batch_size=16) == 4 * 3 * 2 * 15
    costs = sorted(cost_of(ensemble, record) for record in range(N))
    by_slice = [3 * (2 * sum(range(first, 6)) - (6 - first)) for first in range(1, 6)]
    assert costs == sorted(by_slice * 8)  # one record less, in each slice from its own on


def cost_of(ensemble: privacy.SisaEnsemble, record: int) -> int:
    return deepcopy(ensemble).forget([record])


def test_it_answers_with_the_mean_of_the_probabilities() -> None:
    ensemble, inputs = trained(*records()), records()[0]
    mean = torch.stack([predict(model, inputs).softmax(dim=1) for model in ensemble.models]).mean(dim=0)
    assert torch.allclose(predict(ensemble, inputs).exp(), mean, atol=1e-6)
    assert all(not model.training for model in ensemble.models)


def test_it_learns() -> None:
    inputs, labels = records()
    ensemble = privacy.SisaEnsemble(build, shards=2, slices=2)
    ensemble.fit(inputs, labels, epochs=60, learning_rate=0.02, batch_size=8)
    assert (predict(ensemble, inputs).argmax(dim=1) == labels).float().mean() > 0.85
    ensemble.forget([0, 1, 2])
    assert (predict(ensemble, inputs).argmax(dim=1) == labels).float().mean() > 0.85


def test_one_shard_of_one_slice_sees_all_records() -> None:
    ensemble = privacy.SisaEnsemble(build, shards=1)
    assert ensemble.fit(*records(), epochs=2) == 2 * N
    assert ensemble.forget([5]) == 2 * (N - 1)


def test_its_draws() -> None:
    state = torch.get_rng_state()
    same, again, other = (trained(*records(), seed=seed, make=build_noisy) for seed in (1, 1, 2))
    same.forget([4])
    again.forget([4])
    assert torch.equal(torch.get_rng_state(), state)
    inputs = records()[0]
    assert torch.equal(predict(same, inputs), predict(again, inputs))
    assert not torch.equal(predict(trained(*records()), inputs), predict(other, inputs))


def test_the_callers_records_are_left_alone() -> None:
    inputs, labels = records()
    ensemble = trained(inputs, labels)
    inputs.zero_()  # what the caller does with them afterwards changes nothing either
    ensemble.forget([2])
    fresh = trained(*records())
    fresh.forget([2])
    assert torch.equal(predict(ensemble, records()[0]), predict(fresh, records()[0]))
    assert torch.equal(labels, records()[1])


def test_other_types_and_layouts() -> None:
    inputs, labels = records()
    double = trained(inputs.double().T.contiguous().T, labels, make=lambda: build().double())
    double.forget([1])
    assert predict(double, inputs.double()).dtype == torch.float64


def test_what_cannot_be_forgotten() -> None:
    ensemble = trained(*records())
    kept = predict(ensemble, records()[0])
    for wrong in ([N], [-1], [0, 99]):
        with refuses(ValueError, "there is no record", str(wrong[-1])):
            ensemble.forget(wrong)
    with refuses(ValueError, "each record once"):
        ensemble.forget([3, 3])
    kinds: list[Any] = [[], [0.5], torch.zeros(N, dtype=torch.bool), [[1, 2]]]
    for kind in kinds:
        with refuses(TypeError, "whole numbers [M]"):
            ensemble.forget(kind)
    with refuses(ValueError, "no record left", "fewer shards"):
        ensemble.forget(list(range(N)))
    assert torch.equal(predict(ensemble, records()[0]), kept)
    ensemble.forget([3])
    with refuses(ValueError, "no record 3", "forgotten before"):
        ensemble.forget([3])


def test_a_slice_may_lose_all_of_its_records() -> None:
    ensemble = privacy.SisaEnsemble(build, shards=1, slices=N)
    ensemble.fit(*records(), epochs=1)
    ensemble.forget(list(range(N - 1)))
    assert torch.isfinite(predict(ensemble, records()[0])).all()


def test_what_is_refused() -> None:
    inputs, labels = records()
    ensemble = privacy.SisaEnsemble(build, shards=4, slices=3)
    with refuses(RuntimeError, "call fit first"):
        ensemble(inputs)
    with refuses(RuntimeError, "call fit first"):
        ensemble.forget([0])
    with refuses(ValueError, "shards", "1 or more"):
        privacy.SisaEnsemble(build, shards=0)
    with refuses(TypeError, "slices", "whole number"):
        privacy.SisaEnsemble(build, shards=1, slices=1.5)  # type: ignore[arg-type]
    with refuses(ValueError, "4 shards of 3 slices", "11"):
        ensemble.fit(inputs[:11], labels[:11], epochs=1)
    with refuses(ValueError, "finite"):
        ensemble.fit(inputs.masked_fill(inputs > 1, torch.nan), labels, epochs=1)
    with refuses(TypeError, "floating-point"):
        ensemble.fit(labels, labels, epochs=1)
    with refuses(TypeError, "floating-point", "list"):
        ensemble.fit(inputs.tolist(), labels, epochs=1)  # type: ignore[arg-type]
    with refuses(ValueError, "labels must have shape [40]"):
        ensemble.fit(inputs, labels[:5], epochs=1)
    with refuses(ValueError, "epochs"):
        ensemble.fit(inputs, labels, epochs=0)
    for rate in (0, -1.0, float("nan"), float("inf")):
        with refuses(ValueError, "learning_rate must be positive"):
            ensemble.fit(inputs, labels, epochs=1, learning_rate=rate)
    with refuses(TypeError, "torch.Generator"):
        ensemble.fit(inputs, labels, epochs=1, generator=0)  # type: ignore[arg-type]


def test_no_record_at_all_and_arguments_that_are_none() -> None:
    inputs, labels = records()
    with refuses(ValueError, "need as many records, got 0"):
        trained(inputs[:0], labels[:0])
    for wrong in (None, "0.1", True):
        with refuses(TypeError, "learning_rate must be a number"):
            privacy.SisaEnsemble(build, shards=1).fit(inputs, labels, epochs=1, learning_rate=wrong)  # type: ignore[arg-type]
    ensemble = trained(inputs, labels)
    for wrong in (None, "0"):
        with refuses(TypeError, "indices must be whole numbers", type(wrong).__name__):
            ensemble.forget(wrong)  # type: ignore[arg-type]


def test_a_build_that_gives_one_network_again() -> None:
    """Two shards in one network would have each seen the other's records, and nothing could be forgotten."""
    inputs, labels = records()
    one = build()
    for wrong, words in ((lambda: one, "the same one again"), (lambda: 3, "int")):
        ensemble = privacy.SisaEnsemble(wrong, shards=2)  # type: ignore[arg-type]
        with refuses(TypeError, "build must make a new network each time", words):
            ensemble.fit(inputs, labels, epochs=1)
        with pytest.raises(RuntimeError, match="call fit first"):
            ensemble(inputs)
    ensemble = privacy.SisaEnsemble(lambda: one, shards=1)
    ensemble.fit(inputs, labels, epochs=1)
    with refuses(TypeError, "the same one again"):  # it remembers what it was taught before
        ensemble.fit(inputs, labels, epochs=1)
