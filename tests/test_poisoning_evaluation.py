"""What was changed, told from a training set; and attacks on training judged over several trainings."""

import math

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.poisoning import Poison, attack_success, mean_interval, retrain


def some(count: int = 6, shape: tuple[int, ...] = (1, 4, 4), seed: int = 0) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


def poisoned() -> tuple[Poison, Tensor, Tensor]:
    """Images 1 and 4 of six are changed, and the label of image 4."""
    clean, labels = some(), torch.tensor([0, 1, 2, 0, 1, 2])
    images, flipped = clean.clone(), labels.clone()
    images[1, 0, 0, 0], images[4, 0, 1] = 1 - clean[1, 0, 0, 0].round(), 0.5
    flipped[4] = 0
    indices = torch.tensor([1, 4])
    return Poison(images, flipped, indices, clean[indices], labels[indices], epsilon=1.0), clean, labels


# --- Poison ---


def test_clean_is_what_was_there_before_and_without_is_the_rest() -> None:
    poison, images, labels = poisoned()
    for found, expected in zip(poison.clean.tensors, (images, labels), strict=True):
        assert torch.equal(found, expected)
    kept = [0, 2, 3, 5]
    for found, expected in zip(poison.without.tensors, (images[kept], labels[kept]), strict=True):
        assert torch.equal(found, expected)
    for found, expected in zip(poison.data.tensors, (poison.images, poison.labels), strict=True):
        assert torch.equal(found, expected)
    assert poison.budget == pytest.approx(2 / 6)
    assert len(poison) == 6


def test_what_is_clean_is_a_copy() -> None:
    poison, images, _ = poisoned()
    poison.clean.tensors[0].zero_()
    assert torch.equal(poison.images[0], images[0])


def test_sizes_of_a_change_are_those_of_each_image() -> None:
    poison, images, _ = poisoned()
    change = poison.images[[1, 4]] - images[[1, 4]]
    assert torch.equal(poison.perturbation, change)
    assert poison.linf.tolist() == [float(one.abs().max()) for one in change]
    assert poison.l2.tolist() == pytest.approx([math.sqrt(float((one**2).sum())) for one in change])


def test_the_control_has_the_same_size_places_and_labels() -> None:
    """Every pixel moves by the attack's largest change, up or down, unless that leaves [0, 1]."""
    poison, images, _ = poisoned()
    control = poison.noise_control(generator=torch.Generator().manual_seed(1))
    assert torch.equal(control.labels, poison.labels)
    assert torch.equal(control.indices, poison.indices)
    assert torch.equal(control.clean.tensors[0], images)
    assert control.epsilon == poison.epsilon
    for place, size in zip(poison.indices.tolist(), poison.linf.tolist(), strict=True):
        up, down = (images[place] + size).clamp(max=1), (images[place] - size).clamp(min=0)
        noisy = control.images[place]
        assert bool(((noisy == up) | (noisy == down)).all())
        assert 0 < int((noisy == up).sum()) < noisy.numel(), "fails once in 2¹⁵ draws of this fixed seed"
    untouched = [0, 2, 3, 5]
    assert torch.equal(control.images[untouched], images[untouched])
    other = poison.noise_control(generator=torch.Generator().manual_seed(2))
    assert not torch.equal(other.images, control.images)


def test_nothing_changed_is_a_poison_too() -> None:
    images, labels = some(), torch.zeros(6, dtype=torch.int64)
    nothing = torch.zeros(0, dtype=torch.int64)
    poison = Poison(images, labels, nothing, images[:0], labels[:0])
    assert poison.budget == 0
    assert len(poison.without) == len(poison.clean) == 6
    assert torch.equal(poison.noise_control().images, images)


@pytest.mark.parametrize("indices", [[4, 1], [1, 1], [-1, 4], [1, 6]])
def test_indices_are_ascending_places(indices: list[int]) -> None:
    images, labels = some(), torch.zeros(6, dtype=torch.int64)
    with refuses(ValueError, "indices", "ascending", "6 examples"):
        Poison(images, labels, torch.tensor(indices), images[:2], labels[:2])


def test_lengths_must_fit() -> None:
    images, labels, one = some(), torch.zeros(6, dtype=torch.int64), torch.tensor([1])
    for wrong in [
        (images, labels[:5], one, images[:1], labels[:1]),
        (images, labels, one, images[:2], labels[:1]),
        (images, labels, one, images[:1], labels[:0]),
    ]:
        with refuses(ValueError, "label for each of 6 images", "1 indices"):
            Poison(*wrong)


# --- retrain ---


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3))

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.layers(images)
        return out


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


DATA = TensorDataset(some(32), torch.arange(32) % 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_runs_differ_from_each_other_and_repeat_under_one_seed() -> None:
    first = retrain(Dropping, DATA, runs=3, epochs=2, batch_size=8, generator=seeded())
    again = retrain(Dropping, DATA, runs=3, epochs=2, batch_size=8, generator=seeded())
    other = retrain(Dropping, DATA, runs=3, epochs=2, batch_size=8, generator=seeded(1))
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(weights(a), weights(b)), "dropout included"
        assert not torch.equal(weights(a), weights(c))
        assert not a.training
    assert len({float(weights(model).sum()) for model in first}) == 3


def test_each_run_drops_out_by_its_own_lot() -> None:
    """Equal first weights and equal images leave nothing else by which two runs could differ."""

    def build() -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return Dropping()

    same = TensorDataset(torch.ones(8, 1, 4, 4), torch.zeros(8, dtype=torch.int64))
    first, second = retrain(build, same, runs=2, epochs=20, generator=seeded())  # as many lots
    assert not torch.equal(weights(first), weights(second))


def test_two_training_sets_are_compared_in_pairs() -> None:
    """Equal generators give equal first weights, whatever the data are: with no epoch nothing else is left."""
    one = retrain(Dropping, DATA, runs=2, epochs=0, generator=seeded())
    two = retrain(Dropping, TensorDataset(some(9, seed=5), torch.zeros(9).long()), runs=2, epochs=0, generator=seeded())
    assert all(torch.equal(weights(a), weights(b)) for a, b in zip(one, two, strict=True))


def test_pytorchs_own_stream_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    retrain(Dropping, DATA, runs=1, epochs=1, generator=seeded())
    assert torch.equal(torch.rand(3), expected)


def test_epochs_rate_and_batch_are_handed_on() -> None:
    """Adam moves a weight by about its rate in each of its first steps: here 4 of them, then 1, then 4 of another."""
    start = weights(retrain(Dropping, DATA, runs=1, epochs=0, generator=seeded())[0])

    def moved(**settings: float) -> float:
        model = retrain(Dropping, DATA, runs=1, generator=seeded(), **settings)[0]  # type: ignore[arg-type]
        return float((weights(model) - start).abs().max())

    assert moved(epochs=1, batch_size=8) > 2 * moved(epochs=1, batch_size=32)
    assert moved(epochs=1, batch_size=32) == pytest.approx(1e-3, rel=0.01)
    assert moved(epochs=1, batch_size=32, learning_rate=0.1) == pytest.approx(0.1, rel=0.01)
    assert moved(epochs=4, batch_size=32) > 2 * moved(epochs=1, batch_size=32)


@pytest.mark.parametrize(("settings", "says"), [({"runs": 0}, "runs"), ({"epochs": -1}, "epochs")])
def test_there_is_at_least_one_run_and_no_fewer_than_no_epochs(settings: dict[str, int], says: str) -> None:
    with refuses(ValueError, says):
        retrain(Dropping, DATA, **{"epochs": 1, **settings})  # type: ignore[arg-type]
    with refuses(TypeError, "runs", "2.5"):
        retrain(Dropping, DATA, epochs=1, runs=2.5)  # type: ignore[arg-type]


def test_one_network_trained_again_is_no_second_training() -> None:
    model = Dropping()
    with refuses(ValueError, "build", "new network"):
        retrain(lambda: model, DATA, runs=2, epochs=1)
    with refuses(ValueError, "twice"):
        attack_success((model, model), some(2), torch.zeros(2, dtype=torch.int64))


def test_a_poison_is_no_data_set() -> None:
    with refuses(TypeError, "poison.data"):
        retrain(Dropping, poisoned()[0], epochs=1)  # type: ignore[arg-type]


# --- success, and intervals ---


class Says(nn.Module):
    """The class of an image is what its first pixel says, but for those that are above a bound: these are class 1."""

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.bound = bound

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([torch.full((len(images),), 0.5), (images[:, 0, 0, 0] > self.bound).float()], dim=1)


def test_the_rate_of_each_model_is_its_share_of_images() -> None:
    images = torch.arange(10).view(10, 1, 1, 1) / 10
    models = (Says(0.45), Says(0.75), Says(2.0))
    found = attack_success(models, images, torch.ones(10, dtype=torch.int64), batch_size=3)
    assert found.rates.tolist() == pytest.approx([0.5, 0.2, 0.0])
    expected = stats.t.interval(0.95, 2, loc=0.7 / 3, scale=stats.sem([0.5, 0.2, 0.0]))
    assert found.interval.mean == pytest.approx(0.7 / 3)
    assert found.interval.high == pytest.approx(min(1, expected[1]))
    assert found.interval.low == max(0, expected[0]), "a share lies in [0, 1]"
    mixed = torch.tensor([0] * 5 + [1] * 5)
    assert attack_success(models, images, mixed).rates.tolist() == pytest.approx([1.0, 0.7, 0.5])


@pytest.mark.parametrize(("hits", "published"), [(0, (0.0, 0.5218)), (3, (0.1466, 0.9473)), (5, (0.4782, 1.0))])
def test_one_target_has_the_exact_interval(hits: int, published: tuple[float, float]) -> None:
    """Clopper and Pearson's 95 % bounds of so many in 5: 1 − 0.025^(1/5) = 0.5218 is their closed form at 0."""
    image = torch.full((1, 1, 1, 1), 0.5)
    models = tuple(Says(0.1 if run < hits else 0.9) for run in range(5))
    found = attack_success(models, image, torch.tensor([1]))
    assert found.interval.mean == hits / 5
    assert (found.interval.low, found.interval.high) == pytest.approx(published, abs=5e-5)
    narrow = attack_success(models, image, torch.tensor([1]), confidence=0.5)
    assert narrow.interval.high - narrow.interval.low < found.interval.high - found.interval.low


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=9), st.floats(-3, 3), st.floats(0.01, 3))
def test_an_interval_moves_and_scales_with_its_values(values: list[float], shift: float, scale: float) -> None:
    plain, moved = mean_interval(torch.tensor(values)), mean_interval(scale * torch.tensor(values) + shift)
    tolerance = 1e-4
    assert moved.mean == pytest.approx(scale * plain.mean + shift, abs=tolerance)
    assert moved.low == pytest.approx(scale * plain.low + shift, abs=tolerance)
    assert moved.high == pytest.approx(scale * plain.high + shift, abs=tolerance)
    assert plain.low <= plain.mean <= plain.high


def test_students_table() -> None:
    """t of 4 degrees of freedom is 2.776 at 95 %, 4.604 at 99 %; 1 … 5 have mean 3 and deviation √2.5."""
    values = torch.arange(1, 6)
    for confidence, t in [(0.95, 2.776), (0.99, 4.604)]:
        found = mean_interval(values, confidence=confidence)
        assert found.mean == 3
        assert found.high - 3 == pytest.approx(t * math.sqrt(2.5 / 5), rel=2e-4)
        assert 3 - found.low == pytest.approx(found.high - 3)


@pytest.mark.parametrize("values", [[1.0], [], [1.0, math.nan], [1.0, math.inf], [[1.0, 2.0]]])
def test_an_interval_needs_two_finite_numbers(values: list[float]) -> None:
    with refuses(ValueError, "two finite numbers"):
        mean_interval(torch.tensor(values))


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, math.nan])
def test_a_confidence_is_a_share(confidence: float) -> None:
    with refuses(ValueError, "confidence", "below 1"):
        mean_interval(torch.tensor([1.0, 2.0]), confidence=confidence)
    for count in (1, 2):
        images, targets = torch.zeros(count, 1, 1, 1), torch.zeros(count, dtype=torch.int64)
        with refuses(ValueError, "confidence", "below 1"):
            attack_success((Says(0), Says(0)), images, targets, confidence=confidence)


def test_success_refuses_what_it_cannot_judge() -> None:
    images, targets = torch.zeros(2, 1, 1, 1), torch.zeros(2, dtype=torch.int64)
    with refuses(ValueError, "two trainings", "got 1"):
        attack_success((Says(0),), images, targets)
    with refuses(ValueError, "[0, 1]"):
        attack_success((Says(0), Says(0)), images + 255, targets)
    with refuses(TypeError, "targets", "int64"):
        attack_success((Says(0), Says(0)), images, targets.float())
    with refuses(ValueError, "targets", "[2]"):
        attack_success((Says(0), Says(0)), images, targets[:1])
    with refuses(ValueError, "0…1", "7"):
        attack_success((Says(0), Says(0)), images, targets + 7)
