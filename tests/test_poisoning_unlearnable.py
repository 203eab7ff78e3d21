"""Data that refuse to be learnt: against linear makers whose best noise is known, and networks that must fail."""

from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.common import GradientMaskingWarning
from tml_helpers.data import mnist
from tml_helpers.models import MLP
from tml_helpers.poisoning import Poison, separable_noise, unlearnable_noise
from tml_helpers.training import accuracy, fit

STILL = {"learning_rate": 1e-12, "train_steps": 1}  # a maker that does not learn: its best noise is known


def of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(seed: int, *shape: int, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Images between 0.3 and 0.7, so that small noise is never cut, and labels of all classes."""
    return 0.3 + 0.4 * torch.rand(*shape, generator=of(seed)), torch.arange(shape[0]) % classes


def linear(weights: Tensor) -> nn.Module:
    """Logits ⟨w_k, x⟩."""
    layer = nn.Linear(weights[0].numel(), len(weights), bias=False)
    layer.weight.data = weights.flatten(1).clone()
    return nn.Sequential(nn.Flatten(), layer).to(weights.dtype)


def random_linear(seed: int, *shape: int, classes: int = 3) -> nn.Module:
    return linear(torch.randn(classes, *shape, generator=of(seed)))


# the minimum


@pytest.mark.parametrize("class_wise", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_for_two_classes_and_a_linear_maker_the_best_noise_is_known(dtype: torch.dtype, class_wise: bool) -> None:
    """⟨w_y − w_other, x + δ⟩ is largest at δ = ε sign(w_y − w_other), whatever the image is."""
    images, labels = pictures(0, 20, 1, 4, 5, classes=2)
    images = images.to(dtype)
    weights = torch.randn(2, 1, 4, 5, generator=of(1)).to(dtype)
    best = 0.1 * torch.stack([weights[0] - weights[1], weights[1] - weights[0]]).sign()
    made = unlearnable_noise(
        linear(weights), images, labels, epsilon=0.1, class_wise=class_wise, rounds=1, batch_size=6, **STILL
    )
    assert (made.perturbation - best[labels]).abs().max() < 1e-5
    assert (made.noise - (best if class_wise else best[labels])).abs().max() < 1e-5
    assert made.images.dtype == made.noise.dtype == dtype


def test_for_a_class_the_slopes_of_its_images_are_added() -> None:
    """Two images of one class that pull a pixel in opposite ways, one of them harder: the harder one decides."""
    weights = torch.zeros(3, 1, 1, 2, dtype=torch.float64)
    weights[1, 0, 0], weights[2, 0, 0] = torch.tensor([9.0, 0.0]), torch.tensor([-9.0, 0.0])
    images = torch.full((4, 1, 1, 2), 0.5, dtype=torch.float64)
    images[0, 0, 0, 0], images[1, 0, 0, 0] = 1.0, 0.5  # class 0: the first is taken for class 1, at a great loss
    labels = torch.tensor([0, 0, 1, 2])
    model = nn.Sequential(_Shift(0.5), linear(weights))
    made = unlearnable_noise(model, images, labels, epsilon=0.01, class_wise=True, rounds=1, steps=1, **STILL)
    assert made.noise[0, 0, 0, 0] == pytest.approx(-0.001)  # darker, away from class 1
    assert made.noise[1, 0, 0, 0] == pytest.approx(0.001)
    assert made.noise[2, 0, 0, 0] == pytest.approx(-0.001)
    assert not made.noise[..., 1].any()


class _Shift(nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        return x - self.by


def test_the_loss_is_the_least_in_the_ball() -> None:
    """No other noise of the ball has a smaller loss under the maker, which is convex in the noise."""
    images, labels = pictures(2, 12, 2, 3, 3)
    model = random_linear(3, 2, 3, 3)
    made = unlearnable_noise(model, images, labels, epsilon=0.2, rounds=8, step_size=0.01, **STILL)

    def losses(x: Tensor) -> Tensor:
        return nn.functional.cross_entropy(model(x), labels, reduction="none").detach()

    least = losses(made.images)
    for seed in range(50):
        other = images + 0.2 * (2.0 * torch.randint(2, images.shape, generator=of(seed)) - 1)
        assert (losses(other) >= least - 1e-3).all()


def test_each_image_keeps_its_own_noise_in_whatever_order_it_comes() -> None:
    """Unlearnable-Examples #5 and #7: noise that was made for each image was laid over images by their class."""
    images, labels = pictures(0, 30, 1, 5, 5)
    model = random_linear(4, 1, 5, 5)
    asked: dict[str, Any] = {"epsilon": 0.1, "rounds": 1, "batch_size": 7} | STILL
    made = unlearnable_noise(model, images, labels, **asked)
    order = torch.randperm(30, generator=of(0))
    mixed = unlearnable_noise(model, images[order], labels[order], **asked)
    assert (mixed.perturbation - made.perturbation[order]).abs().max() < 1e-5
    of_one_class = made.perturbation[labels == labels.mode().values]
    assert (of_one_class[1:] - of_one_class[0]).abs().amax() > 0.05, "images of one class have noise of their own"


def test_one_noise_a_class_needs_no_choice_of_a_subset_and_leaves_no_class_out() -> None:
    """Unlearnable-Examples #4: class-wise noise stopped with KeyError: 'train_subset'."""
    images, _ = pictures(0, 40, 1, 5, 5)
    labels = torch.tensor([0, 1, 3, 4]).repeat(10)  # nobody shows class 2
    made = unlearnable_noise(random_linear(0, 1, 5, 5, classes=6), images, labels, epsilon=0.1, class_wise=True)
    assert made.noise.shape == (5, 1, 5, 5)
    assert [bool(own.any()) for own in made.noise] == [True, True, False, True, True]


class _Turning(nn.Module):
    """A maker that changes its mind: at first its slopes ask for darker pixels of class 0, later for lighter."""

    def __init__(self, turn: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.turn, self.asked = turn, 0

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad:
            self.asked += 1
        z = (1 if self.asked > self.turn else -1) * self.weight * x.flatten(1).sum(1)
        return torch.stack([z, -z], 1)


@pytest.mark.parametrize("class_wise", [False, True])
def test_noise_that_went_beyond_black_can_come_back(class_wise: bool) -> None:
    """Taken through the cut at 0, its slope is 0: it would stay there for ever."""
    images, labels = torch.zeros(2, 1, 2, 2), torch.tensor([0, 1])
    images[1] = 1.0
    made = unlearnable_noise(
        _Turning(20), images, labels, epsilon=0.1, class_wise=class_wise, rounds=1, steps=60, **STILL
    )
    assert (made.images[0] - 0.1).abs().max() < 1e-5
    assert (made.images[1] - 0.9).abs().max() < 1e-5


# what is published


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    epsilon=st.floats(0.01, 1.0),
    fraction=st.floats(0.2, 1.0),
    way=st.sampled_from(["image", "class", "blocks", "scattered"]),
    channels=st.sampled_from([1, 3]),
)
def test_what_is_published_is_within_its_budget(
    seed: int, epsilon: float, fraction: float, way: str, channels: int
) -> None:
    images, labels = torch.rand(30, channels, 5, 7, generator=of(seed)), torch.arange(30) % 3
    before = images.clone()
    asked: dict[str, Any] = {"epsilon": epsilon, "fraction": fraction, "generator": of(seed)}
    made: Poison
    if way in ("image", "class"):
        model = random_linear(seed, channels, 5, 7)
        made = unlearnable_noise(model, images, labels, class_wise=way == "class", rounds=2, steps=5, **asked)
    else:
        made = separable_noise(images, labels, block=2, spread=float(way == "scattered"), **asked)
    assert torch.equal(images, before), "what was given stays"
    assert len(made.indices) == round(fraction * 30)
    assert made.epsilon == epsilon
    assert float(made.linf.max()) <= epsilon * (1 + 1e-5) + 1e-6
    assert 0 <= float(made.images.min()) <= float(made.images.max()) <= 1
    assert torch.equal(made.labels, labels)
    assert all(map(torch.equal, made.clean.tensors, (images, labels)))
    others = torch.ones(30, dtype=torch.bool)
    others[made.indices] = False
    assert torch.equal(made.images[others], images[others])
    if way in ("image", "class"):
        laid = made.noise if way == "image" else made.noise[labels[made.indices]]  # type: ignore[attr-defined]
        assert (made.images[made.indices] - (made.clean_images + laid).clamp(0, 1)).abs().max() < 1e-6


def test_the_maker_learns_from_protected_images_alone() -> None:
    """Of the others there is nothing: their labels may be what they like."""
    images, labels = pictures(0, 40, 1, 5, 5)
    asked: dict[str, Any] = {"epsilon": 0.1, "fraction": 0.5, "rounds": 3, "learning_rate": 0.1}
    made = unlearnable_noise(random_linear(0, 1, 5, 5), images, labels, generator=of(0), **asked)
    others = torch.ones(40, dtype=torch.bool)
    others[made.indices] = False
    changed = torch.where(others, (labels + 1) % 3, labels)
    again = unlearnable_noise(random_linear(0, 1, 5, 5), images, changed, generator=of(0), **asked)
    assert torch.equal(made.noise, again.noise)


def test_the_control_is_noise_of_the_same_size() -> None:
    images, labels = pictures(0, 30, 1, 5, 5)
    control = separable_noise(images, labels, epsilon=0.1).noise_control(generator=of(0))
    assert (control.linf - 0.1).abs().max() < 1e-6


# the maker


def test_its_errors_are_those_of_its_answers_and_end_the_rounds() -> None:
    """At a maker that stays as it is, both errors can be counted by hand; on clean images they never change."""
    images, labels = pictures(0, 60, 1, 5, 5)
    model = random_linear(5, 1, 5, 5)

    def wrong(x: Tensor) -> float:
        return float((model(x).argmax(1) != labels).double().mean())

    asked: dict[str, Any] = {"epsilon": 0.06, "rounds": 6, "steps": 1, "step_size": 0.01} | STILL
    never = unlearnable_noise(model, images, labels, stop_error=0.0, **asked)
    assert len(never.maker_errors) == len(never.clean_errors) == 6
    assert not never.converged
    assert float(never.maker_errors[-1]) == pytest.approx(wrong(never.images))
    assert never.clean_errors.tolist() == pytest.approx([wrong(images)] * 6)
    errors = never.maker_errors.tolist()
    soon = unlearnable_noise(model, images, labels, stop_error=min(errors), **asked)
    assert soon.converged
    assert soon.maker_errors.tolist() == errors[: errors.index(min(errors)) + 1]


def test_an_error_near_zero_may_be_that_of_a_network_that_has_learnt_the_images() -> None:
    """At an ε that hides nothing the maker is content, too: its error on clean images tells the difference."""
    labels = torch.arange(60) % 3
    images = 0.05 * torch.rand(60, 1, 3, 3, generator=of(0))
    images[torch.arange(60), 0, labels, labels] += 0.9
    made = unlearnable_noise(
        linear(torch.zeros(3, 1, 3, 3)), images, labels, epsilon=1e-3, rounds=30, learning_rate=0.1, stop_error=0.0
    )
    assert made.converged
    assert float(made.clean_errors[-1]) == 0


def noisy_network(classes: int = 3) -> nn.Module:
    """Buffers that remember what they saw, and layers that draw."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.BatchNorm1d(25), nn.Linear(25, classes)).train()


def test_the_model_stays_as_it_is_and_all_draws_are_the_generators() -> None:
    images, labels = pictures(0, 30, 1, 5, 5)
    model = noisy_network()
    model[1].eval()
    model[3].weight.grad = torch.ones_like(model[3].weight)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        with torch.no_grad():
            made.append(unlearnable_noise(model, images, labels, epsilon=0.1, rounds=2, generator=of(7)))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(made[0].noise, made[1].noise)
    assert [m.training for m in model.modules()] == [True, True, False, True, True]
    assert torch.equal(model[3].weight.grad, torch.ones_like(model[3].weight))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())
    other = unlearnable_noise(model, images, labels, epsilon=0.1, rounds=2, generator=of(8))
    assert not torch.equal(made[0].noise, other.noise)


def test_images_that_lie_otherwise_in_memory_give_the_same() -> None:
    images, labels = pictures(0, 30, 2, 5, 5)
    turned = images.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
    asked: dict[str, Any] = {"epsilon": 0.1, "rounds": 2}
    model = random_linear(0, 2, 5, 5)
    first, second = (unlearnable_noise(model, x, labels, generator=of(0), **asked) for x in (images, turned))
    assert (first.noise - second.noise).abs().max() < 1e-6
    blocks = [separable_noise(x, labels, epsilon=0.1, generator=of(0)).images for x in (images, turned)]
    assert torch.equal(*blocks)


def test_a_maker_without_slopes_is_named() -> None:
    class Rounding(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = super().forward((255 * images).round() / 255)
            return logits

    images, labels = pictures(0, 30, 1, 5, 5)
    model = Rounding(nn.Flatten(), nn.Linear(25, 3))
    with pytest.warns(GradientMaskingWarning, match="30 of 30"):
        made = unlearnable_noise(model, images, labels, epsilon=0.1)
    assert not made.perturbation.any()


# blocks


@pytest.mark.parametrize("shape", [(60, 1, 8, 8), (60, 3, 9, 7)])
def test_blocks_are_fair_signs_of_their_class(shape: tuple[int, ...]) -> None:
    images, labels = pictures(0, *shape, classes=30)
    made = separable_noise(images, labels, epsilon=0.1, block=2, generator=of(0))
    moved = made.perturbation / 0.1
    assert (moved.abs() - 1).abs().max() < 1e-4
    signs = moved.sign()
    assert torch.equal(signs[:30], signs[30:]), "all images of a class get the same"
    for row in range(shape[2]):
        for column in range(shape[3]):
            assert torch.equal(signs[..., row, column], signs[..., row // 2 * 2, column // 2 * 2])
    coins = signs[:30, :, ::2, ::2]
    assert abs(float(coins.mean())) < 7 / coins.numel() ** 0.5, "as many up as down, within 7 standard deviations"
    assert len({tuple(own.flatten().tolist()) for own in coins}) == 30


def test_scattered_blocks_can_still_be_told_apart_by_a_line() -> None:
    """What Yu and others found of all noises that spoil training: a linear classifier tells their classes apart."""
    images, labels = pictures(0, 300, 1, 28, 28, classes=10)
    made = separable_noise(images, labels, epsilon=0.1, spread=0.5, generator=of(0))
    noise = made.perturbation.flatten(1).numpy()
    within = torch.tensor(noise).view(30, 10, -1).std(dim=0).mean() / 0.1
    assert 0.2 < float(within) < 0.5, "images of a class scatter, less what was cut"
    line = LogisticRegression(max_iter=1000, C=100.0).fit(noise[:150], labels.numpy()[:150])
    assert line.score(noise[150:], labels.numpy()[150:]) == 1.0


# what it does to a network, and what undoes it


def digits() -> tuple[Tensor, Tensor, TensorDataset]:
    train, test = mnist("train", source="default"), mnist("test", source="default")
    return train.images[:1000], train.labels[:1000], TensorDataset(test.images, test.labels)


def trained(data: TensorDataset, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = MLP(32)
    fit(model, data, epochs=10, batch_size=32, learning_rate=2e-3, generator=of(seed), progress=False)
    return model


@pytest.fixture(scope="module")
def protected() -> dict[str, Poison]:
    images, labels, _ = digits()
    torch.manual_seed(1)
    of_class = unlearnable_noise(
        MLP(32),
        images,
        labels,
        epsilon=0.4,
        class_wise=True,
        rounds=20,
        train_steps=1,
        stop_error=None,
        generator=of(1),
    )
    return {"minimised": of_class, "blocks": separable_noise(images, labels, epsilon=0.4, generator=of(1))}


@pytest.mark.parametrize("way", ["minimised", "blocks"])
def test_a_network_that_learns_protected_digits_fails_on_others(protected: dict[str, Poison], way: str) -> None:
    """15 points less than from noise of the same size, and 10 or more are got back by a threshold.

    adversarial_poisons #1: a network of somebody else lost less than the paper's; so it is judged by its control.
    """
    _, _, test = digits()
    made = protected[way]
    success = accuracy(trained(made.data), test)
    control = accuracy(trained(made.noise_control(generator=of(2)).data), test)
    assert accuracy(trained(made.data), made.data) > 0.97, "and nobody sees it on what it was trained on"
    assert control - success > 0.15
    cut = TensorDataset((made.images > 0.5).float(), made.labels)
    undone = accuracy(trained(cut), TensorDataset((test.tensors[0] > 0.5).float(), test.tensors[1]))
    assert undone - success > 0.1


def test_who_carries_the_noise_is_read_whatever_is_shown(protected: dict[str, Poison]) -> None:
    """Unlearnable-Examples #22: with the noise in the test set, too, nothing seems to be wrong."""
    images, _, _ = digits()
    made = protected["blocks"]
    model = trained(made.data)
    blocks = torch.stack([made.perturbation[made.labels == k].amax(dim=0) for k in range(10)])
    other = torch.arange(1000) % 10  # any digit with the blocks of any class
    assert accuracy(model, TensorDataset((images + blocks[other]).clamp(0, 1), other)) > 0.8


# what is refused

MODEL = random_linear(0, 1, 5, 5)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"images": torch.full((30, 1, 5, 5), 128.0)}, ValueError, "is a division missing"),
        ({"images": torch.full((30, 1, 5, 5), float("nan"))}, ValueError, "[0, 1]"),
        ({"images": torch.rand(0, 1, 5, 5)}, ValueError, "non-empty"),
        ({"images": torch.rand(30, 5, 5)}, ValueError, "[N, C, H, W]"),
        ({"images": torch.zeros(30, 1, 5, 5, dtype=torch.uint8)}, TypeError, "uint8"),
        ({"labels": torch.arange(29) % 3}, ValueError, "[30]"),
        ({"labels": (torch.arange(30) % 3).float()}, TypeError, "int64"),
        ({"labels": torch.arange(30) % 3 - 1}, ValueError, "0 or more"),
        ({"labels": torch.full((30,), 2)}, ValueError, "two classes"),
        ({"epsilon": 0.0}, ValueError, "epsilon"),
        ({"epsilon": 8}, ValueError, "epsilon"),
        ({"epsilon": float("nan")}, ValueError, "epsilon"),
        ({"epsilon": "0.1"}, TypeError, "epsilon"),
        ({"epsilon": True}, TypeError, "epsilon"),
        ({"fraction": 0}, ValueError, "fraction"),
        ({"fraction": 1.5}, ValueError, "fraction"),
        ({"fraction": 0.01}, ValueError, "less than one example"),
        ({"fraction": 0.04}, ValueError, "two classes"),
        ({"generator": 7}, TypeError, "torch.Generator"),
    ],
)
@pytest.mark.parametrize("way", ["minimised", "blocks"])
def test_what_both_refuse(way: str, change: dict[str, Any], error: type[Exception], words: str) -> None:
    images, labels = pictures(0, 30, 1, 5, 5)
    given = {"images": images, "labels": labels, "epsilon": 0.1} | change
    place = given.pop("images"), given.pop("labels")
    with refuses(error, words):
        if way == "minimised":
            unlearnable_noise(MODEL, *place, **given)
        else:
            separable_noise(*place, block=2, **given)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"class_wise": 1}, TypeError, "class_wise"),
        ({"rounds": 0}, ValueError, "rounds"),
        ({"train_steps": 1.0}, TypeError, "train_steps"),
        ({"steps": -1}, ValueError, "steps"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"step_size": 0.0}, ValueError, "step_size"),
        ({"step_size": float("inf")}, ValueError, "step_size"),
        ({"stop_error": 1.1}, ValueError, "stop_error"),
        ({"stop_error": "0"}, TypeError, "stop_error"),
        ({"learning_rate": 0}, ValueError, "learning_rate"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate"),
        ({"labels": torch.arange(30) % 4}, ValueError, "0…2"),
        ({"model": random_linear(0, 1, 5, 5).double(), "images": torch.rand(30, 1, 5, 5)}, TypeError, "float64"),
        ({"model": nn.Flatten()}, ValueError, "no parameters that can be trained"),
        ({"model": linear(torch.full((3, 1, 5, 5), float("nan")))}, ValueError, "not finite"),
        ({"model": nn.Sequential(nn.Flatten(0), nn.Linear(750, 3))}, ValueError, "logits [N, K]"),
    ],
)
def test_makers_that_cannot_work_are_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    images, labels = pictures(0, 30, 1, 5, 5)
    given = {"model": random_linear(0, 1, 5, 5), "images": images, "labels": labels, "epsilon": 0.1} | change
    with refuses(error, words):
        unlearnable_noise(given.pop("model"), given.pop("images"), given.pop("labels"), **given)


def test_a_frozen_maker_is_refused() -> None:
    images, labels = pictures(0, 30, 1, 5, 5)
    with refuses(ValueError, "no parameters that can be trained"):
        unlearnable_noise(random_linear(0, 1, 5, 5).requires_grad_(False), images, labels, epsilon=0.1)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"block": 0}, ValueError, "block"),
        ({"block": 6}, ValueError, "at most the side of the 5×5 images"),
        ({"block": 2.0}, TypeError, "block"),
        ({"spread": -0.1}, ValueError, "spread"),
        ({"spread": float("nan")}, ValueError, "spread"),
        ({"spread": True}, TypeError, "spread"),
    ],
)
def test_blocks_that_cannot_be_laid_are_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    images, labels = pictures(0, 30, 1, 5, 5)
    with refuses(error, words):
        separable_noise(images, labels, **{"epsilon": 0.1} | change)
