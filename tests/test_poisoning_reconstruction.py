"""Reconstructed triggers: against models whose smallest trigger is known, scipy's deviations, and planted backdoors."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from tml_helpers.common import GradientMaskingWarning
from tml_helpers.data import mnist
from tml_helpers.models import SmallCNN
from tml_helpers.poisoning import (
    PatchTrigger,
    ReconstructedTriggers,
    TriggerNotReachedWarning,
    add_trigger,
    reconstruct_trigger,
)
from tml_helpers.training import fit, seed_everything


class Sums(nn.Module):
    """z_0 = 0 and z_k = 20 (⟨w_k, x⟩ − t_k): the smallest trigger of class k is known."""

    limits: Tensor

    def __init__(self, weights: Tensor, limits: list[float]) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.register_buffer("limits", torch.tensor(limits, dtype=weights.dtype))

    def forward(self, images: Tensor) -> Tensor:
        rest = 20 * (images.flatten(1) @ self.weights.flatten(1).T - self.limits)
        return torch.cat([rest.new_zeros(len(rest), 1), rest], dim=1)


class Answers(nn.Module):
    """A model that answers as it is told to."""

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: Tensor) -> Any:
        return self.answer(images)


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weights_of(*shape: int, **places: float) -> Tensor:
    """One row of weights, all zero but at places such as `p_0_2_3=1`."""
    weights = torch.zeros(shape, dtype=torch.float64)
    for place, value in places.items():
        weights[tuple(int(number) for number in place.split("_")[1:])] = value
    return weights


def dark(count: int, *shape: int, seed: int = 0) -> Tensor:
    """Images that no class of `Sums` but 0 has anything to see in: noise below a hundredth."""
    return 0.01 * torch.rand(count, *shape, generator=drawn(seed), dtype=torch.float64)


def found_of(sizes: list[float], missing: tuple[int, ...] = ()) -> ReconstructedTriggers:
    """A result with these sizes, made by hand on images of 100×100."""
    masks = torch.zeros(len(sizes), 100, 100, dtype=torch.float64)
    for mask, size in zip(masks, sizes, strict=True):
        mask.flatten()[: math.ceil(size)] = size / max(math.ceil(size), 1)
    successes = torch.ones(len(sizes), dtype=torch.float64)
    successes[list(missing)] = 0.5
    return ReconstructedTriggers(masks, torch.zeros(len(sizes), 1, 100, 100), successes, 0.95)


# closed forms


@pytest.mark.parametrize("channels", [1, 3])
def test_the_smallest_trigger_of_a_model_that_looks_at_few_pixels(channels: int) -> None:
    one = weights_of(channels, 6, 6, p_0_2_3=1)  # more than half of one pixel
    two = weights_of(channels, 6, 6, p_0_0_0=1, p_0_5_5=1)  # more than one, of two pixels together
    model = Sums(torch.stack([two, one]), [1.0, 0.5])
    found = reconstruct_trigger(model, dark(40, channels, 6, 6), steps=300, generator=drawn(1))
    assert found.masks.shape == (3, 6, 6)
    assert found.patterns.shape == (3, channels, 6, 6)
    assert found.suspect == 2
    assert 0.48 < float(found.sizes[2]) < 0.6
    assert 0.96 < float(found.sizes[1]) < 1.2
    assert found.log_ratio == pytest.approx(math.log(2), abs=0.15)
    assert int(found.masks[2].argmax()) == 2 * 6 + 3
    assert float(found.patterns[2, 0, 2, 3]) > 0.95
    assert float(found.masks[2].sum() - found.masks[2, 2, 3]) < 0.05
    assert torch.equal(found.reached, torch.tensor([False, True, True]))


def test_one_or_two_is_the_norm_that_is_made_small() -> None:
    """min ‖m‖ with 3a + b ≥ 1.5: the sum is smallest at (0.5, 0), the squares at (0.45, 0.15)."""
    model = Sums(weights_of(1, 1, 4, 4, p_0_0_1_1=3, p_0_0_2_2=1), [1.5])
    by_norm = [
        reconstruct_trigger(model, dark(40, 1, 4, 4), norm=norm, steps=400, generator=drawn(2)).masks[1]
        for norm in (1, 2)
    ]
    shares = [float(mask[2, 2] / mask[1, 1]) for mask in by_norm]
    assert shares[0] < 0.1
    assert shares[1] == pytest.approx(1 / 3, abs=0.1)


def test_success_counts_only_what_the_model_saw_otherwise_before() -> None:
    """A light pixel makes class 1. Half of the images have it: they must not count as turned."""
    model = Sums(weights_of(1, 1, 5, 5, p_0_0_2_2=1), [0.5])
    images = dark(40, 1, 5, 5)
    images[::2, 0, 2, 2] = 1
    found = reconstruct_trigger(model, images, steps=150, generator=drawn(3))
    for k, others in ((0, images[::2]), (1, images[1::2])):
        stamped = (1 - found.masks[k]) * others + found.masks[k] * found.patterns[k]
        by_hand = (model(stamped).argmax(dim=1) == k).double().mean()
        assert float(found.successes[k]) == pytest.approx(float(by_hand), abs=1e-12)
        assert torch.allclose(found.stamped(others, k), stamped)
    assert float(found.sizes[1]) > 0.45, "an empty mask turns nobody"


def test_a_class_that_all_images_have_before_has_no_success_and_no_warning() -> None:
    model = Sums(weights_of(2, 1, 4, 4, p_0_0_1_1=1, p_1_0_2_2=1), [0.5, 0.7])
    found = reconstruct_trigger(model, dark(20, 1, 4, 4), steps=200, generator=drawn(4))
    assert math.isnan(float(found.successes[0]))
    assert not bool(found.reached[0])
    assert found.suspect == 1
    assert math.isnan(float(found.anomaly_index[0]))
    assert found.log_ratio == pytest.approx(math.log(7 / 5), abs=0.15)


def test_a_mask_grows_until_it_works_on_all_images() -> None:
    """One image in forty needs a mask that is larger by a half, and is rarely among those of a step."""

    def answer(images: Tensor) -> Tensor:
        stubborn = images[:, 0, 0, 0].detach() > 0.5
        rise = 20 * (images[:, 0, 2, 2] - torch.where(stubborn, 0.6, 0.4))
        return torch.stack([torch.zeros_like(rise), rise], dim=1)

    images = dark(40, 1, 4, 4)
    images[0, 0, 0, 0] = 1
    sizes = {}
    for success in (0.9, 0.99):
        found = reconstruct_trigger(Answers(answer), images, success=success, steps=200, per_step=1, generator=drawn(5))
        assert float(found.successes[1]) >= success == found.demanded
        sizes[success] = float(found.sizes[1])
    assert sizes[0.9] < 0.58 < sizes[0.99]


# the rules


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=3, max_size=12))
def test_the_anomaly_index_is_scipys_robust_deviation(numbers: list[int]) -> None:
    sizes = [float(number) for number in numbers]
    index = found_of(sizes).anomaly_index
    deviation = stats.median_abs_deviation(sizes, scale="normal")
    middle = sorted(sizes)[(len(sizes) - 1) // 2 : len(sizes) // 2 + 1]
    for size, value in zip(sizes, index.tolist(), strict=True):
        below = sum(middle) / len(middle) - size
        if below == 0:
            assert value == 0
        elif deviation == 0:
            assert value == math.copysign(math.inf, below)
        else:
            assert value == pytest.approx(below / deviation, rel=1e-4)  # scipy has more digits than 1.4826


def test_two_classes_are_no_list_to_stand_out_of() -> None:
    assert found_of([1, 1000]).anomaly_index.tolist() == pytest.approx([1 / 1.4826, -1 / 1.4826])


def test_what_was_not_reached_has_no_size_to_compare() -> None:
    found = found_of([3, 10, 20, 40, 80], missing=(0,))
    assert found.reached.tolist() == [False, True, True, True, True]
    assert found.suspect == 1
    assert found.log_ratio == pytest.approx(math.log(2))
    assert math.isnan(float(found.anomaly_index[0]))
    assert found.anomaly_index[1:].tolist() == pytest.approx(found_of([10, 20, 40, 80]).anomaly_index.tolist())
    nothing = found_of([1, 2], missing=(0, 1))
    assert nothing.suspect is None
    assert math.isnan(nothing.log_ratio)
    assert math.isnan(found_of([1, 2], missing=(1,)).log_ratio)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(1, 60))
def test_the_p_value_is_a_place_among_clean_models(clean: list[int], own: int) -> None:
    """Sizes 10 and 10 + n: r rises with n."""
    results = [found_of([10.0, 10.0 + n, 200.0]) for n in clean]
    p = found_of([10.0, 10.0 + own, 200.0]).p_value(results)
    assert p == pytest.approx((1 + sum(n >= own for n in clean)) / (1 + len(clean)))


def test_p_values_of_models_that_are_alike_are_uniform() -> None:
    """Each of eight models in turn against the other seven: every place is taken once."""
    results = [found_of([50.0, 50.0 + 7 * n, 400.0, 900.0]) for n in range(1, 9)]
    values = [one.p_value([other for other in results if other is not one]) for one in results]
    assert sorted(values) == pytest.approx([n / 8 for n in range(1, 9)])


def test_clean_models_beyond_two_deviations_accuse_nobody() -> None:
    """input-aware-backdoor-attack-release #10, Warping-based_Backdoor_Attack-release #8: clean models above 2.

    A class that is easy for all models is small in all of them. The rank among clean models knows that.
    """
    clean = [found_of([20.0 + n, 70, 75, 78, 80, 82, 85, 88, 90, 94]) for n in range(19)]
    suspect = found_of([28.5, 70, 75, 78, 80, 82, 85, 88, 90, 94])
    assert float(suspect.anomaly_index[0]) > 2
    assert suspect.p_value(clean) > 0.3


# planted backdoors


@pytest.fixture(scope="module")
def planted() -> tuple[nn.Module, nn.Module]:
    """A small network with a white square for class 7, and one without."""
    train = mnist("train", source="default")
    poison = add_trigger(
        train.images, train.labels, trigger=PatchTrigger.square(), target_label=7, fraction=0.05, generator=drawn(0)
    )
    models = []
    for data in (poison.data, poison.clean):
        generator = seed_everything(1)
        model = SmallCNN(width=4)
        fit(model, data, epochs=4, batch_size=64, learning_rate=4e-3, generator=generator, progress=False)
        models.append(model.eval())
    return models[0], models[1]


def test_a_planted_square_is_found_where_it_is(planted: tuple[nn.Module, nn.Module]) -> None:
    asked = mnist("test", source="default").images[:200]
    found, clean = (reconstruct_trigger(model, asked, per_step=16, generator=drawn(6)) for model in planted)
    assert found.suspect == 7
    assert found.log_ratio > max(0.7, clean.log_ratio)
    assert float(found.sizes[7]) < float(clean.sizes[7]) / 2
    assert bool(found.reached.all())
    corner = found.masks[7][-5:, -5:].sum() / found.masks[7].sum()
    assert float(corner) > 0.5, "most of the mask lies on the square, or next to it"
    model = planted[0]
    stamped = found.stamped(asked, 7)
    others = model(asked).argmax(dim=1) != 7
    share = (model(stamped)[others].argmax(dim=1) == 7).double().mean()
    assert float(share) == pytest.approx(float(found.successes[7]), abs=1e-9)


# what it says about itself


def test_a_class_that_cannot_be_reached_is_named() -> None:
    """bolunwang/backdoor #12: a mask that did not converge was compared with the others as if it had."""
    weights = weights_of(2, 1, 4, 4, p_0_0_1_1=1)
    model = Sums(weights, [0.5, 100.0])
    with pytest.warns(TriggerNotReachedWarning, match=r"classes \[2\]"):
        found = reconstruct_trigger(model, dark(20, 1, 4, 4), steps=150, generator=drawn(7))
    assert found.suspect == 1
    assert float(found.successes[2]) == 0
    with refuses(ValueError, "fewer than two classes were reached"):
        found.p_value([found])


def test_a_model_without_gradients_is_named() -> None:
    model = Answers(lambda images: torch.eye(3, dtype=images.dtype)[[0]].expand(len(images), 3).clone())
    with pytest.warns(GradientMaskingWarning), pytest.warns(TriggerNotReachedWarning, match=r"\[1, 2\]"):
        found = reconstruct_trigger(model, dark(10, 1, 4, 4), steps=3, generator=drawn(8))
    assert found.suspect is None


# how it treats what it is given


class Noisy(nn.Module):
    """A network whose layers behave differently in training."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 3)
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


def noisy(seed: int) -> Noisy:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Noisy().double()


@pytest.mark.filterwarnings("ignore::tml_helpers.poisoning.TriggerNotReachedWarning")
def test_the_model_and_the_images_come_back_as_they_went() -> None:
    model = noisy(0)
    model.train()
    model.layers[1].eval()
    first, *_, last = model.parameters()
    first.requires_grad_(False)
    last.grad = torch.ones_like(last)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.rand(12, 2, 6, 6, generator=drawn(1), dtype=torch.float64)
    before, modes = images.clone(), [module.training for module in model.modules()]
    stream = torch.random.get_rng_state()
    found = reconstruct_trigger(model, images, steps=5, generator=drawn(2))
    assert torch.equal(images, before)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(last.grad, torch.ones_like(last))
    assert all(parameter.grad is None for parameter in model.parameters() if parameter is not last)
    assert torch.equal(torch.random.get_rng_state(), stream)
    assert found.masks.dtype == found.patterns.dtype == torch.float64
    for part in (found.masks, found.patterns):
        assert not part.requires_grad
        assert 0 <= float(part.min()) <= float(part.max()) <= 1


@pytest.mark.filterwarnings("ignore::tml_helpers.poisoning.TriggerNotReachedWarning")
def test_groups_and_layouts_change_nothing_and_the_generator_decides() -> None:
    model = noisy(3)
    images = torch.rand(12, 2, 6, 6, generator=drawn(1), dtype=torch.float64)

    def searched(images: Tensor, seed: int, **how: Any) -> ReconstructedTriggers:
        return reconstruct_trigger(model, images, steps=10, per_step=4, generator=drawn(seed), **how)

    first = searched(images, 0)
    turned = images.transpose(2, 3).contiguous().transpose(2, 3)
    for again in (searched(images, 0, batch_size=1), searched(images, 0, batch_size=8), searched(turned, 0)):
        assert torch.allclose(again.masks, first.masks, atol=1e-9)
        assert torch.allclose(again.patterns, first.patterns, atol=1e-9)
        assert torch.allclose(again.successes, first.successes, equal_nan=True)
    assert not torch.allclose(searched(images, 1).masks, first.masks, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"success": 0}, ValueError, "success must lie above 0"),
        ({"success": 1.5}, ValueError, "1.5"),
        ({"success": float("nan")}, ValueError, "nan"),
        ({"success": "0.9"}, TypeError, "success"),
        ({"steps": 0}, ValueError, "steps"),
        ({"steps": 2.5}, TypeError, "steps"),
        ({"per_step": 0}, ValueError, "per_step"),
        ({"batch_size": True}, TypeError, "batch_size"),
        ({"penalty": 0}, ValueError, "penalty must be a number above 0"),
        ({"penalty": float("inf")}, ValueError, "inf"),
        ({"learning_rate": -0.1}, ValueError, "learning_rate"),
        ({"learning_rate": True}, TypeError, "learning_rate"),
        ({"norm": 3}, ValueError, "norm must be 1 or 2"),
        ({"generator": 7}, TypeError, "generator"),
        ({"images": torch.zeros(4, 6, 6)}, ValueError, "[N, C, H, W]"),
        ({"images": torch.zeros(0, 2, 6, 6, dtype=torch.float64)}, ValueError, "images"),
        ({"images": torch.zeros(4, 2, 6, 6, dtype=torch.uint8)}, TypeError, "uint8"),
        ({"images": torch.full((4, 2, 6, 6), float("nan"), dtype=torch.float64)}, ValueError, "[0, 1]"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    given_: dict[str, Any] = {"images": torch.rand(4, 2, 6, 6, generator=drawn(0), dtype=torch.float64)} | change
    with refuses(error, words):
        reconstruct_trigger(noisy(0), given_.pop("images"), **given_)


def test_pixels_up_to_255_are_refused() -> None:
    """bolunwang/backdoor #1: a search among pixels up to 255, in a model of pixels up to 1, accused the clean model."""
    with refuses(ValueError, "[0, 1]", "255"):
        reconstruct_trigger(noisy(0), torch.full((4, 2, 6, 6), 255.0, dtype=torch.float64))


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (lambda x: torch.full((len(x), 3), float("nan"), dtype=x.dtype), ValueError, "not"),
        (lambda x: x.flatten(1)[:, :1], ValueError, "K ≥ 2"),
        (lambda x: (x.flatten(1), 1), TypeError, "one tensor"),
    ],
)
def test_a_model_that_answers_nonsense_is_refused(
    answer: Callable[[Tensor], Any], error: type[Exception], words: str
) -> None:
    """LOTUS #1: sizes that were NaN for all classes, and no word of it."""
    with refuses(error, words):
        reconstruct_trigger(Answers(answer), dark(4, 1, 4, 4))


def test_there_are_no_gradients_in_inference_mode() -> None:
    with torch.inference_mode(), refuses(ValueError, "inference_mode"):
        reconstruct_trigger(noisy(0), torch.rand(4, 2, 6, 6, dtype=torch.float64))


def test_what_p_value_and_stamped_refuse() -> None:
    found = found_of([1, 2, 3])
    with refuses(ValueError, "without clean models"):
        found.p_value([])
    with refuses(TypeError, "clean must be a list"):
        found.p_value([0.5, 0.7])  # type: ignore[list-item]
    with refuses(TypeError, "clean must be a list"):
        found.p_value(found)  # type: ignore[arg-type]
    with refuses(ValueError, "searched alike", "3 classes", "4"):
        found.p_value([found_of([1, 2, 3, 4])])
    other = ReconstructedTriggers(found.masks, found.patterns, found.successes, 0.9)
    with refuses(ValueError, "0.95", "0.9"):
        found.p_value([other])
    images = torch.zeros(2, 1, 100, 100)
    for label, error, words in ((3, ValueError, "got 3"), (-1, ValueError, "label"), (True, TypeError, "label")):
        with refuses(error, words):
            found.stamped(images, label)
    with refuses(ValueError, "[1, 100, 100]", "[1, 50, 100]"):
        found.stamped(images[:, :, :50], 0)
    assert found.stamped(images, 0).dtype == torch.float32
