"""Gradient matching: cosines and slopes by hand and in closed form, the laws of the budget, and what it refuses."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers.data import mnist
from tml_helpers.models import MLP
from tml_helpers.poisoning import (
    GradientMatchingPoison,
    NoAlignmentWarning,
    gradient_alignment,
    gradient_matching,
    retrain,
)
from tml_helpers.training import predict

CLASSES = 3

pytestmark = pytest.mark.filterwarnings("ignore::tml_helpers.poisoning.NoAlignmentWarning")


def smooth(seed: int = 0, *, channels: int = 1, size: int = 36, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """A network without kinks, in which the first class is no answer to anything."""
    torch.manual_seed(seed)
    first, last = nn.Linear(channels * size, 8), nn.Linear(8, CLASSES)
    first.weight.data *= 4
    last.bias.data[0] = -2
    return nn.Sequential(nn.Flatten(), first, nn.Tanh(), last).to(dtype)


def grey(seed: int, count: int = 24, *shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Images between 0.3 and 0.7, so that small changes are never cut, and labels of all classes."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 + 0.4 * torch.rand(count, *(shape or (1, 6, 6)), generator=generator, dtype=dtype)
    return images, torch.arange(count) % CLASSES


def made(seed: int = 0, **how: Any) -> GradientMatchingPoison:
    images, labels = grey(seed)
    wanted: dict[str, Any] = {
        "target_image": grey(seed + 1)[0][0],
        "target_label": 0,
        "fraction": 0.25,
        "epsilon": 0.2,
        "steps": 12,
        "generator": torch.Generator().manual_seed(seed),
    }
    return gradient_matching(how.pop("model", smooth(seed)), images, labels, **wanted | how)


def by_hand(model: nn.Module, images: Tensor, labels: Tensor, target: Tensor, wanted: int) -> Tensor:
    """The cosine from two calls of backward, with a graph to the images."""
    flat = []
    for x, y in ((target[None], torch.tensor([wanted])), (images, labels)):
        loss = F.cross_entropy(model(x), y)
        flat.append(
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()), create_graph=True)])
        )
    return F.cosine_similarity(flat[0], flat[1], dim=0)


@pytest.mark.parametrize("seed", range(3))
def test_the_alignment_is_the_cosine_of_two_gradients_of_autograd(seed: int) -> None:
    model, (images, labels), target = smooth(seed), grey(seed), grey(seed + 9)[0][0]
    found = gradient_alignment(model, images, labels, target_image=target, target_label=0)
    assert abs(found - float(by_hand(model, images, labels, target, 0).detach())) < 1e-12


def test_the_alignment_of_a_linear_model_is_the_closed_form() -> None:
    """The gradient of softmax regression is (p − e_y) xᵀ, and p − e_y for the bias: the cosine in NumPy."""
    images, labels = grey(3)
    target = grey(4)[0][0]
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES)).double()
    weight, bias = (parameter.detach().numpy() for parameter in linear.parameters())

    def gradient(x: Tensor, y: int) -> Any:
        ones = np.append(x.numpy().ravel(), 1.0)
        logits = np.column_stack([weight, bias]) @ ones
        p = np.exp(logits) / np.exp(logits).sum()
        return np.outer(p - np.eye(CLASSES)[y], ones).ravel()

    g = sum(gradient(x, int(y)) for x, y in zip(images, labels, strict=True))
    h = gradient(target, 1)
    expected = g @ h / np.sqrt(g @ g) / np.sqrt(h @ h)
    assert abs(gradient_alignment(linear, images, labels, target_image=target, target_label=1) - expected) < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_a_small_step_raises_the_cosine_by_its_size_times_the_slope(seed: int) -> None:
    """A signed step of size s raises a smooth objective by s‖slope‖₁: with the slope of a naive double backward."""
    surrogates, size = [smooth(seed), smooth(seed + 50)], 1e-6
    target = grey(seed + 1)[0][0]
    poison = made(seed, model=surrogates[0], ensemble=surrogates[1:], steps=1, step_size=size)
    leaf = poison.images[poison.indices].requires_grad_()
    own = poison.labels[poison.indices]
    total = sum(by_hand(model, leaf, own, target, 0) for model in surrogates)
    assert isinstance(total, Tensor)
    (slope,) = torch.autograd.grad(total, leaf)
    free = poison.perturbation.abs() < 0.2 - 2 * size  # a start at the bound may be cut
    rise = float((poison.after - poison.alignments[0]).sum())
    assert free.double().mean() > 0.99
    assert abs(rise / (size * float(slope[free].abs().sum())) - 1) < 1e-2


def test_the_fields_are_the_cosines_of_what_is_handed_out() -> None:
    surrogates = [smooth(0), smooth(1), smooth(2)]
    poison = made(0, model=surrogates[0], ensemble=surrogates[1:])
    target: dict[str, Any] = {"target_image": poison.target_image, "target_label": poison.target_label}
    own = poison.labels[poison.indices]
    for place, model in enumerate(surrogates):
        clean = gradient_alignment(model, poison.clean_images, own, **target)
        poisoned = gradient_alignment(model, poison.images[poison.indices], own, **target)
        assert abs(float(poison.before[place]) - clean) < 1e-12
        assert abs(float(poison.after[place]) - poisoned) < 1e-12
    assert poison.alignments.shape == (12, 3)
    assert poison.after.mean() > max(poison.before.mean(), poison.alignments[0].mean())


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    fraction=st.sampled_from([1 / 24, 0.1, 0.25, 1 / 3]),
    epsilon=st.floats(0.01, 1),
    bases=st.sampled_from(["loss", "random"]),
    restarts=st.integers(1, 2),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_the_budget_is_kept_to_the_pixel(
    seed: int, fraction: float, epsilon: float, bases: Any, restarts: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(24, 1, 6, 6, generator=generator, dtype=dtype)
    labels = (torch.arange(24) % CLASSES)[torch.randperm(24, generator=generator)]
    kept, target = images.clone(), torch.rand(1, 6, 6, generator=generator, dtype=dtype)
    poison = gradient_matching(
        smooth(seed, dtype=dtype),
        images,
        labels,
        target_image=target,
        target_label=0,
        fraction=fraction,
        epsilon=epsilon,
        bases=bases,
        steps=3,
        restarts=restarts,
        generator=generator,
    )
    assert torch.equal(images, kept), "the caller's images are as they were"
    assert torch.equal(poison.labels, labels), "no label is touched"
    assert len(poison.indices) == round(24 * fraction)
    assert bool((labels[poison.indices] == 0).all())
    assert torch.equal(poison.clean.tensors[0], images)
    others = torch.ones(24, dtype=torch.bool)
    others[poison.indices] = False
    assert torch.equal(poison.images[others], images[others])
    assert float(poison.linf.max()) <= epsilon + 1e-6
    assert float(poison.images.min()) >= 0
    assert float(poison.images.max()) <= 1
    assert poison.images.dtype == dtype
    assert poison.epsilon == epsilon


def test_the_bases_are_those_of_the_largest_mean_loss() -> None:
    surrogates, (images, labels) = [smooth(0), smooth(7)], grey(0)
    poison = made(0, model=surrogates[0], ensemble=surrogates[1:])
    losses = sum(-model(images).log_softmax(1)[:, 0] for model in surrogates)
    assert isinstance(losses, Tensor)
    own = losses.detach()[poison.indices]
    left = sorted(set((labels == 0).nonzero()[:, 0].tolist()) - set(poison.indices.tolist()))
    assert len(left) == 2
    assert own.min() > losses.detach()[left].max()


def test_random_bases_are_drawn_from_the_generator() -> None:
    def places(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return made(0, bases="random", fraction=0.125, steps=1, generator=generator).indices.tolist()

    assert places(1) == places(1)
    assert len({tuple(places(seed)) for seed in range(12)}) > 3


def test_batches_decide_on_nothing_and_neither_do_equal_surrogates() -> None:
    """poisoning-gradient-matching #4 and #6: the step in batches failed where the poison had no .grad yet."""
    whole, model = made(2), smooth(2)
    for how in ({"batch_size": 1}, {"batch_size": 4}, {"ensemble": [copy.deepcopy(model)]}):
        other = made(2, model=model, **how)
        assert torch.equal(other.indices, whole.indices)
        assert float((other.images - whole.images).abs().max()) < 1e-9, how
        assert abs(float(other.after[0] - whole.after[0])) < 1e-9


@pytest.mark.parametrize("shape", [(3, 10, 14), (1, 28, 28), (2, 5, 9)])
def test_any_shape_that_the_model_takes(shape: tuple[int, ...]) -> None:
    """adversarial-robustness-toolbox #1624: the shape comes from the data, for a model of any size."""
    torch.manual_seed(1)
    last = nn.Linear(4, CLASSES)
    last.bias.data[1] = -2
    edges = nn.Conv2d(shape[0], 4, 3)
    edges.weight.data *= 3
    pooled = nn.Sequential(edges, nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)
    images, labels = grey(0, 12, *shape, dtype=torch.float32)
    images *= torch.linspace(0.1, 1, 12).view(-1, 1, 1, 1)
    turned = images.transpose(2, 3).contiguous().transpose(2, 3)  # not contiguous
    target: dict[str, Any] = {"target_image": images[2], "target_label": 1, "fraction": 0.25, "epsilon": 0.3}
    poisons = [
        gradient_matching(
            pooled, x, labels, **target, steps=20, batch_size=2, generator=torch.Generator().manual_seed(0)
        )
        for x in (images, turned)
    ]
    assert poisons[0].perturbation.shape == (3, *shape)
    assert poisons[0].after > poisons[0].before
    assert torch.equal(poisons[0].images, poisons[1].images)


def test_the_best_restart_is_kept() -> None:
    one = [float(made(0, steps=2, restarts=count).after.mean()) for count in (1, 2, 3, 12)]
    assert one == sorted(one)
    assert one[-1] > one[0]


def test_equal_generators_give_equal_poison_and_nothing_else_is_drawn() -> None:
    model = smooth(0)
    state = torch.get_rng_state()
    first, second = made(0, model=model), made(0, model=model)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.images, second.images)
    other = made(0, model=model, generator=torch.Generator().manual_seed(5))
    assert not torch.equal(first.images, other.images)


class Scaled(nn.Module):
    """A network that works in place on what it is given, and has layers that answer otherwise in training."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.drop, self.rest = nn.BatchNorm2d(1), nn.Dropout(), smooth()
        self.double()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.rest(self.drop(self.norm(images.mul_(2).sub_(1))))
        return logits


def test_the_models_come_back_as_they_went_in() -> None:
    model, friend = Scaled(), Scaled()
    model.train()
    model.drop.eval()
    friend.eval()
    friend.rest[1].weight.requires_grad_(False)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        poison = made(0, model=model, ensemble=[friend])
    assert [module.training for module in (model, model.norm, model.drop, model.rest)] == [True, True, False, True]
    assert not any(module.training for module in friend.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(bool((parameter.grad == 1).all()) for parameter in model.parameters() if parameter.grad is not None)
    assert all(parameter.grad is not None and parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in friend.parameters())
    assert not friend.rest[1].weight.requires_grad
    assert not poison.images.requires_grad
    assert not poison.alignments.requires_grad
    assert not poison.after.requires_grad


def test_only_parameters_that_can_be_trained_are_matched() -> None:
    model, (images, labels), target = smooth(0), grey(0), grey(1)[0][0]
    whole = gradient_alignment(model, images, labels, target_image=target, target_label=0)
    model[1].requires_grad_(False)
    last = gradient_alignment(model, images, labels, target_image=target, target_label=0)
    p, features = model(images).softmax(1).detach(), model[:3](images).detach()
    q, feature = model(target[None]).softmax(1).detach(), model[:3](target[None]).detach()
    error = p - F.one_hot(labels, CLASSES)
    wanted = q - F.one_hot(torch.tensor([0]), CLASSES)
    g = torch.cat([(error.T @ features).flatten(), error.sum(0)])
    h = torch.cat([(wanted.T @ feature).flatten(), wanted.sum(0)])
    assert abs(last - float(F.cosine_similarity(g, h, dim=0))) < 1e-12
    assert abs(last - whole) > 1e-9


class Constant(nn.Module):
    """The same logits for every image."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return self.bias.expand(len(images), -1)


def test_a_surrogate_that_does_not_look_is_warned_of() -> None:
    with pytest.warns(NoAlignmentWarning, match="nothing was aligned"):
        poison = made(0, model=Constant())
    assert abs(float(poison.after[0]) - 1) < 1e-12, "all images of a class have one gradient, the target's"
    assert torch.equal(poison.after, poison.before)


def test_the_target_is_learnt_wrongly_and_noise_of_the_same_size_does_nothing() -> None:
    """Five trainings from scratch each: the poison, its noise, and clean data, in pairs."""
    train, test = mnist("train").select(slice(1500)), mnist("test").select(slice(300))
    clean = TensorDataset(train.images, train.labels)
    how: dict[str, Any] = {"epochs": 10, "learning_rate": 2e-3, "progress": False}
    surrogates = [
        retrain(lambda: MLP(32), clean, runs=1, generator=torch.Generator().manual_seed(age), **how | {"epochs": age})[
            0
        ]
        for age in (1, 2, 3)
    ]
    p = torch.stack([predict(model, test.images).softmax(1) for model in surrogates]).mean(0)
    rest = p.scatter(1, test.labels[:, None], -1)
    place = int((rest.max(1).values * (p.argmax(1) == test.labels)).argsort(descending=True)[5])
    target, wanted = test.images[place], int(rest[place].argmax())
    poison = gradient_matching(
        surrogates[0],
        train.images,
        train.labels,
        target_image=target,
        target_label=wanted,
        epsilon=0.4,
        ensemble=surrogates[1:],
        steps=40,
        generator=torch.Generator().manual_seed(0),
    )
    assert poison.after.min() > poison.before.max() - 0.2
    sure = []
    for data in (poison.data, poison.noise_control(generator=torch.Generator().manual_seed(1)).data, poison.clean):
        models = retrain(lambda: MLP(32), data, generator=torch.Generator().manual_seed(2), **how)
        sure.append(torch.stack([predict(model, target[None]).softmax(1)[0, wanted] for model in models]))
    poisoned, noisy, untouched = sure
    assert int((poisoned > 0.5).sum()) >= 3
    assert bool((poisoned > noisy).all())
    assert poisoned.mean() > untouched.mean()


IMAGES, LABELS = grey(0)
TARGET = grey(1)[0][0]
WRONG: dict[str, tuple[type[Exception], str, dict[str, Any]]] = {
    "a budget of nothing": (ValueError, "fraction must lie above 0", {"fraction": 0.0}),
    "a budget below one image": (ValueError, "less than one example", {"fraction": 0.01}),
    "more than the class has": (ValueError, "class 0 has only 8", {"fraction": 0.5}),
    "more than the data": (ValueError, "at most 1", {"fraction": 1.5}),
    "no budget": (TypeError, "fraction", {"fraction": True}),
    "no epsilon": (ValueError, "epsilon must lie above 0", {"epsilon": 0.0}),
    "epsilon of 255 grey values": (ValueError, "at most 1", {"epsilon": 16}),
    "epsilon that is no number": (ValueError, "epsilon", {"epsilon": float("nan")}),
    "no steps": (ValueError, "steps", {"steps": 0}),
    "no restart": (ValueError, "restarts", {"restarts": 0}),
    "half a step": (TypeError, "steps", {"steps": 2.5}),
    "no batch": (ValueError, "batch_size", {"batch_size": 0}),
    "a step of nothing": (ValueError, "step_size must be above 0", {"step_size": 0.0}),
    "a step without end": (ValueError, "step_size", {"step_size": float("inf")}),
    "a step in words": (TypeError, "step_size", {"step_size": "small"}),
    "other bases": (ValueError, "bases must be one of loss, random", {"bases": "gradient"}),
    "a seed": (TypeError, "generator must be a torch.Generator", {"generator": 3}),
    "a class that nobody knows": (ValueError, "target_label must lie in 0…2, got 3", {"target_label": 3}),
    "a class below 0": (ValueError, "target_label", {"target_label": -1}),
    "a class as a truth value": (TypeError, "target_label", {"target_label": True}),
    "a class as a tensor": (TypeError, "target_label", {"target_label": torch.tensor(0)}),
    "a batch of targets": (ValueError, "one image of shape [1, 6, 6]", {"target_image": IMAGES[:1]}),
    "a target of another size": (ValueError, "one image of shape", {"target_image": TARGET[:, 1:]}),
    "a target of grey values": (ValueError, "target_image must lie in [0, 1]", {"target_image": 255 * TARGET}),
    "a target that is no number": (ValueError, "target_image", {"target_image": TARGET * float("nan")}),
    "a target of another type": (TypeError, "target_image must be torch.float64", {"target_image": TARGET.float()}),
    "images of grey values": (ValueError, "images must lie in [0, 1]", {"images": 255 * IMAGES}),
    "images of another type": (TypeError, "float32", {"images": IMAGES.float(), "target_image": TARGET.float()}),
    "no images": (ValueError, "non-empty", {"images": IMAGES[:0], "labels": LABELS[:0]}),
    "too few labels": (ValueError, "labels", {"labels": LABELS[1:]}),
    "labels below 0": (ValueError, "labels", {"labels": LABELS - 1}),
    "labels beyond the classes": (ValueError, "labels must lie in 0…2", {"labels": LABELS + 1}),
    "labels in bytes": (TypeError, "int64", {"labels": LABELS.byte()}),
    "one class": (ValueError, "two classes", {"labels": LABELS * 0}),
    "one more surrogate without a list": (TypeError, "sequence of surrogates", {"ensemble": smooth(1)}),
    "a surrogate that is a function": (TypeError, "torch.nn.Module", {"ensemble": [lambda x: x]}),
    "a surrogate of other classes": (
        ValueError,
        "same classes",
        {"ensemble": [nn.Sequential(nn.Flatten(), nn.Linear(36, 5)).double()]},
    ),
    "a surrogate that learns nothing": (ValueError, "no parameter", {"model": smooth(0).requires_grad_(False)}),
    "a surrogate without parameters": (ValueError, "no parameter", {"ensemble": [nn.Flatten()]}),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_one_clear_sentence(name: str) -> None:
    kind, words, how = WRONG[name]
    settings: dict[str, Any] = {"target_image": TARGET, "target_label": 0, "fraction": 0.25, "epsilon": 0.2, "steps": 1}
    settings |= how
    model, images, labels = (
        settings.pop(key, default) for key, default in (("model", smooth(0)), ("images", IMAGES), ("labels", LABELS))
    )
    with refuses(kind, words):
        gradient_matching(model, images, labels, **settings)


def test_a_target_that_is_taken_for_the_class_already() -> None:
    model = smooth(0)
    said = int(model(TARGET[None]).argmax())
    with refuses(ValueError, f"take the target for class {said} already"):
        made(0, model=model, target_image=TARGET, target_label=said)


def broken(spoil: Callable[[Any], object]) -> nn.Module:
    model = smooth(0)
    spoil(model)
    return model


def test_surrogates_without_numbers() -> None:
    with refuses(ValueError, "logits are not finite"):
        made(0, model=broken(lambda model: model[3].weight.data.fill_(float("nan"))))
    with refuses(ValueError, "inference_mode"), torch.inference_mode():
        made(0)


class Root(nn.Module):
    """Finite answers, whose gradient is not."""

    def __init__(self) -> None:
        super().__init__()
        self.rest = smooth(0)
        self.zero = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.rest(images) + self.zero.sqrt()
        return logits


def test_a_gradient_that_is_no_number() -> None:
    with refuses(ValueError, "gradient is not finite"):
        made(0, model=Root())


@pytest.mark.parametrize(
    ("kind", "words", "how"),
    [
        (ValueError, "one image of shape", {"target_image": IMAGES}),
        (ValueError, "target_label must lie in", {"target_label": 9}),
        (ValueError, "labels must lie in", {"labels": LABELS + 5}),
        (ValueError, "batch_size", {"batch_size": 0}),
        (ValueError, "no parameter", {"model": nn.Flatten()}),
        (TypeError, "float32", {"images": IMAGES.float(), "target_image": TARGET.float()}),
    ],
)
def test_an_alignment_of_nothing(kind: type[Exception], words: str, how: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"target_image": TARGET, "target_label": 0} | how
    model, images, labels = (
        settings.pop(key, default) for key, default in (("model", smooth(0)), ("images", IMAGES), ("labels", LABELS))
    )
    with refuses(kind, words):
        gradient_alignment(model, images, labels, **settings)
