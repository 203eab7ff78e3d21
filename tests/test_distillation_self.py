"""A network that teaches itself: its exits, its loss by hand, and what the deepest exit gains."""

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.data import digits
from tml_helpers.distillation import SelfDistillation
from tml_helpers.models import MLP, SmallCNN, multiply_adds
from tml_helpers.training import accuracy, fit, predict, seed_everything


def network(classes: int = 5, dtype: torch.dtype = torch.float64) -> SelfDistillation:
    """Three sections: maps of 3 channels, then maps of 4, then 6 features."""
    seed_everything(0)
    sections = [
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh()),
        nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU()),
        nn.Sequential(nn.Flatten(), nn.Linear(4 * 3 * 2, 6), nn.Tanh()),
    ]
    return SelfDistillation([s.to(dtype) for s in sections], torch.zeros(1, 2, 9, 7, dtype=dtype), classes=classes)


def batch(number: int = 8, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(number, 2, 9, 7, generator=generator, dtype=torch.float64).to(dtype)
    return images, torch.randint(5, (number,), generator=generator)


def by_hand(
    net: SelfDistillation, images: Tensor, labels: Tensor, temperature: float, alpha: float, beta: float
) -> Tensor:
    """The formula, exit by exit; what the deepest exit says is detached where it teaches."""
    hidden, features = images, []
    for index, section in enumerate(net.sections):
        hidden = section(hidden)
        features.append(net.bottlenecks[index](hidden) if index < len(net.bottlenecks) else hidden)
    answers = [classifier(h) for classifier, h in zip(net.classifiers, features, strict=True)]
    total = F.cross_entropy(answers[-1], labels)
    q = F.softmax(answers[-1].detach() / temperature, dim=1)
    for h, z in zip(features[:-1], answers[:-1], strict=True):
        kl = (q * (q.log() - F.log_softmax(z / temperature, dim=1))).sum(dim=1).mean()
        total = total + (1 - alpha) * F.cross_entropy(z, labels) + alpha * temperature**2 * kl
        total = total + beta * ((h - features[-1].detach()) ** 2).mean()
    return total


@pytest.mark.parametrize(("temperature", "alpha", "beta"), [(1.0, 0.3, 0.001), (3.0, 0.5, 2.0), (2.0, 0.0, 0.0)])
def test_the_loss_and_its_gradient_are_the_formula(temperature: float, alpha: float, beta: float) -> None:
    """With the factor T² that the authors' program leaves out, and with the third source of loss, the features, that
    it left out at first (pytorch-self-distillation-final #1)."""
    net, (images, labels) = network(), batch()
    found = net.loss(images, labels, temperature=temperature, alpha=alpha, beta=beta)
    expected = by_hand(net, images, labels, temperature, alpha, beta)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    parameters = list(net.parameters())
    slopes = (torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (found, expected))
    for ours, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-14)


def test_every_argument_of_the_loss_counts() -> None:
    net, (images, labels) = network(), batch()
    basis: dict[str, Any] = {"temperature": 2.0, "alpha": 0.3, "beta": 0.1}
    for other in ({"temperature": 3.0}, {"alpha": 0.6}, {"beta": 0.5}):
        assert abs(net.loss(images, labels, **basis) - net.loss(images, labels, **(basis | other))) > 1e-9


def test_the_deepest_exit_is_a_constant_where_it_teaches() -> None:
    """mmrazor #100 and sentence-transformers #3757: a teacher that is not detached learns from its students."""
    net, (images, labels) = network(), batch()
    deepest = [*net.sections[-1].parameters(), *net.classifiers[-1].parameters()]
    taught = torch.autograd.grad(net.loss(images, labels, temperature=3.0, alpha=0.9, beta=5.0), deepest)
    alone = torch.autograd.grad(F.cross_entropy(net(images), labels), deepest)
    for ours, theirs in zip(taught, alone, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


def test_the_exits_are_the_trunk_cut_short() -> None:
    net, (images, _) = network(), batch()
    answers = net.exits(images)
    assert answers.shape == (3, 8, 5)
    for index, logits in enumerate(answers):
        torch.testing.assert_close(net.until(index)(images), logits, rtol=1e-12, atol=0)
    torch.testing.assert_close(net(images), answers[-1], rtol=1e-12, atol=0)
    trunk = nn.Sequential(*net.sections, net.classifiers[-1])
    torch.testing.assert_close(net(images), trunk(images), rtol=0, atol=0)
    assert (answers[0] - answers[1]).abs().max() > 1e-3


def test_the_answer_costs_what_the_trunk_costs_and_an_early_exit_less() -> None:
    net, (images, _) = network(), batch()
    costs = [multiply_adds(net.until(index), images[:1]) for index in range(3)]
    assert multiply_adds(net, images[:1]) == costs[2]
    assert costs[0] < costs[2]
    by_counting = 7 * 5 * 3 * 2 * 9 + 3 * 4 * 4 * 6 + 6 * 5  # convolution, bottleneck of 4×4 places, classifier
    assert costs[0] == by_counting


def test_until_shares_its_weights() -> None:
    net, (images, labels) = network(), batch()
    first = net.until(0)
    before = first(images)
    fit(net, torch.utils.data.TensorDataset(images, labels), epochs=1, loss=SelfDistillation.loss)
    assert (first(images) - before).abs().max() > 1e-6
    assert {id(p) for p in first.parameters()} < {id(p) for p in net.parameters()}


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 20, 8)])
def test_trunks_of_others(shape: tuple[int, int, int]) -> None:
    """Grey and coloured, not square, with batch norm, tokens instead of maps, and a last section that pools."""
    seed_everything(0)

    class Tokens(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            return maps.flatten(2).transpose(1, 2)

    class Mean(nn.Module):
        def forward(self, tokens: Tensor) -> Tensor:
            return tokens.mean(dim=1)

    sections = [
        nn.Sequential(nn.Conv2d(shape[0], 6, 4, stride=4), nn.BatchNorm2d(6)),
        Tokens(),
        nn.Sequential(nn.TransformerEncoderLayer(6, 2, 12, dropout=0.1, batch_first=True), Mean()),
    ]
    net = SelfDistillation(sections, torch.zeros(2, *shape), classes=7)
    images, labels = torch.rand(9, *shape), torch.arange(9) % 7
    net.loss(images, labels).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    assert predict(net, images).shape == (9, 7)


def test_own_bottlenecks() -> None:
    seed_everything(0)
    sections = [nn.Flatten(), nn.Linear(6, 4)]
    own = nn.Linear(6, 4)
    net = SelfDistillation(sections, torch.zeros(1, 2, 3), classes=3, bottlenecks=[own])
    assert net.bottlenecks[0] is own


def test_to_build_it_changes_nothing_in_the_sections() -> None:
    normal = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(6), nn.Dropout(0.5)).train()
    normal[2].eval()
    last = nn.Linear(6, 4)
    before = copy.deepcopy(normal.state_dict())
    SelfDistillation([normal, last], torch.rand(5, 2, 3), classes=3)
    assert [part.training for part in normal] == [True, True, False]
    for name, value in before.items():
        torch.testing.assert_close(normal.state_dict()[name], value, atol=0, rtol=0)
    assert last.weight.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_precision_and_a_copy(dtype: torch.dtype) -> None:
    net, (images, labels) = network(dtype=dtype), batch(dtype=dtype)
    assert net(images).dtype == dtype
    assert math.isfinite(net.loss(images, labels).item())
    twin = network(dtype=dtype)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    twin.load_state_dict(copy.deepcopy(net).state_dict())
    torch.testing.assert_close(twin.exits(images), net.exits(images), atol=0, rtol=0)


def test_the_deepest_exit_of_a_deep_and_thin_trunk_gains() -> None:
    """K6: at least what the trunk learns alone, from the same start; here far more."""
    train, test = digits("train"), digits("test")
    few = train.select(slice(300))
    how: dict[str, Any] = {"epochs": 20, "learning_rate": 5e-3, "batch_size": 32}
    gains = []
    for seed in range(3):
        seed_everything(seed)
        layers = MLP(*[32] * 8, in_features=64).layers
        cut = [layers[:4], *(layers[i : i + 2] for i in range(4, 18, 2))]
        net = SelfDistillation(cut, few.images[:1], classes=10)
        alone = copy.deepcopy(net).until(7)
        fit(alone, few, generator=torch.Generator().manual_seed(seed), **how)
        fit(net, few, loss=SelfDistillation.loss, generator=torch.Generator().manual_seed(seed), **how)
        gains.append(accuracy(net, test) - accuracy(alone, test))
    assert sum(gains) / 3 > 0.02  # 31 points, and 12 the standard deviation of one


def test_on_a_network_that_trains_well_the_deepest_exit_is_no_worse() -> None:
    """Another loss for the early exits, and the same accuracy for the deepest, within what 359 digits can tell."""
    train, test = digits("train"), digits("test")
    gaps = []
    for seed in range(3):
        seed_everything(seed)
        layers = SmallCNN(1, 8, width=4).layers
        net = SelfDistillation([layers[:4], layers[4:7], layers[7:10]], train.images[:1], classes=10)
        alone = copy.deepcopy(net).until(2)
        how: dict[str, Any] = {"epochs": 4, "learning_rate": 5e-3, "batch_size": 32}
        fit(alone, train, generator=torch.Generator().manual_seed(seed), **how)
        loss = partial(SelfDistillation.loss, temperature=1.0)
        fit(net, train, loss=loss, generator=torch.Generator().manual_seed(seed), **how)
        gaps.append(accuracy(net, test) - accuracy(alone, test))
    assert sum(gaps) / 3 > -0.05


# --- what is refused ---

SECTIONS: dict[str, tuple[Callable[[], Any], type[Exception], tuple[str, ...]]] = {
    "one": (lambda: [nn.Flatten()], ValueError, ("two or more, got 1",)),
    "none": (list, ValueError, ("two or more, got 0",)),
    "no module": (lambda: [nn.Flatten(), "linear"], TypeError, ("str for sections[1]",)),
    "one twice": (lambda: [nn.Flatten(), *[nn.Linear(126, 126)] * 2], ValueError, ("given twice",)),
    "maps at the end": (lambda: [nn.Identity(), nn.Conv2d(2, 3, 1)], ValueError, ("[N, D]", "[1, 3, 9, 7]")),
}


@pytest.mark.parametrize("kind", SECTIONS)
def test_sections_that_do_not_do(kind: str) -> None:
    make, error, words = SECTIONS[kind]
    with refuses(error, *words):
        SelfDistillation(make(), torch.zeros(1, 2, 9, 7), classes=3)


@pytest.mark.parametrize(
    ("bottlenecks", "words"),
    [
        ([], ("one for each section but the last, 1, got 0",)),
        ([nn.Linear(6, 5)], ("bottlenecks[0]", "[1, 4]", "[1, 5]")),
        ([nn.Linear(6, 4), nn.Linear(6, 4)], ("got 2",)),
    ],
)
def test_bottlenecks_that_do_not_fit(bottlenecks: list[nn.Module], words: tuple[str, ...]) -> None:
    with refuses(ValueError, *words):
        SelfDistillation([nn.Flatten(), nn.Linear(6, 4)], torch.zeros(1, 2, 3), classes=3, bottlenecks=bottlenecks)


LOSS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "T": ({"temperature": 0}, ValueError, "temperature must be a positive number, got 0"),
    "alpha": ({"alpha": 1.01}, ValueError, "alpha must lie in [0, 1]"),
    "beta": ({"beta": -1.0}, ValueError, "beta must be a number of 0 or more, got -1.0"),
    "beta, infinite": ({"beta": math.inf}, ValueError, "beta"),
    "beta, NaN": ({"beta": math.nan}, ValueError, "beta"),
    "beta, a word": ({"beta": "1"}, TypeError, "beta must be a number, got '1'"),
    "labels": ({"labels": torch.full((8,), 5)}, ValueError, "labels"),
}


@pytest.mark.parametrize("kind", LOSS)
def test_a_loss_that_is_not_defined(kind: str) -> None:
    wrong, error, words = LOSS[kind]
    images, labels = batch()
    with refuses(error, words):
        network().loss(**({"images": images, "labels": labels} | wrong))


def test_exits_and_classes_that_are_none() -> None:
    net = network()
    for exit in (3, -1, 1.5, 1.0, True, "deepest"):
        with refuses(ValueError, "exit must be a whole number from 0 to 2"):
            net.until(exit)  # type: ignore[arg-type]
    with refuses(ValueError, "classes"):
        network(classes=1)


class Twice(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


@pytest.mark.parametrize("sections", [[Twice(), nn.Flatten()], [nn.Flatten(), Twice()]])
def test_a_section_that_returns_two_things(sections: list[nn.Module]) -> None:
    with refuses(TypeError, "must return one tensor, got tuple", f"sections[{int(isinstance(sections[1], Twice))}]"):
        SelfDistillation(sections, torch.zeros(1, 2, 9, 7), classes=3)


def test_an_image_that_is_none() -> None:
    sections = [nn.Flatten(), nn.Linear(6, 4)]
    with refuses(TypeError, "image must be a tensor", "tuple"):
        SelfDistillation(sections, (2, 3), classes=3)  # type: ignore[arg-type]
    with refuses(ValueError, "one image or more", "[0, 2, 3]"):
        SelfDistillation(sections, torch.zeros(0, 2, 3), classes=3)


def test_labels_of_the_deepest_exit() -> None:
    """They are heard at every alpha, in any type of whole numbers."""
    net, (images, labels) = network().eval(), batch()
    torch.testing.assert_close(net.loss(images, labels.int()), net.loss(images, labels))
    with refuses(TypeError, "labels must be an int64 tensor", "got None"):
        net.loss(images, None, alpha=1.0)  # type: ignore[arg-type]


def test_the_loss_that_is_documented_is_the_one_without_arguments() -> None:
    net = network()
    images, labels = batch()
    assert torch.allclose(net.loss(images, labels), by_hand(net, images, labels, 1.0, 0.3, 0.001))
