"""Secret images with chosen answers: the binomial law over keys, for any network, and images that were made to fit."""

import copy
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import fit
from tml_helpers.watermark import trigger_set, trigger_test

KEY = bytes(range(32))


def keys(count: int) -> list[bytes]:
    generator = torch.Generator().manual_seed(7)
    return [bytes(torch.randint(256, (16,), generator=generator).tolist()) for _ in range(count)]


def noise(count: int, seed: int = 0, side: int = 28) -> Tensor:
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(seed))


class Constant(nn.Module):
    """Says one class, whatever it sees."""

    def __init__(self, answer: int, classes: int) -> None:
        super().__init__()
        self.answer, self.classes = answer, classes

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.one_hot(torch.full((len(images),), self.answer), self.classes).float()


class Parrot(nn.Module):
    """Reads its answer from the first pixel, k/K."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.one_hot((images[:, 0, 0, 0] * self.classes).long(), self.classes).float()


def test_the_key_chooses_images_and_targets_and_another_key_others() -> None:
    images = noise(300)
    first, again, other = (trigger_set(images, key=key, classes=10, count=50) for key in (KEY, KEY, KEY[:31]))
    assert torch.equal(first.images, images[first.indices])
    assert len(first.indices.unique()) == 50
    assert first.targets.shape == (50,)
    assert (first.labels, first.classes) == (None, 10)
    assert torch.equal(first.indices, again.indices)
    assert torch.equal(first.targets, again.targets)
    assert not torch.equal(first.indices, other.indices)
    assert not torch.equal(first.targets, other.targets)


def test_targets_are_uniform_and_never_right() -> None:
    """Chi-squared over 100 keys, with and without labels; fails where a target is drawn from K instead of K − 1."""
    images, labels = noise(60), torch.arange(60) % 4
    free, wrong = [], []
    for key in keys(100):
        free.append(trigger_set(images, key=key, classes=4, count=60).targets)
        known = trigger_set(images, labels, key=key, classes=4, count=60)
        assert known.labels is not None
        assert torch.equal(known.labels, labels[known.indices])
        assert (known.targets != known.labels).all()
        wrong.append((known.targets - known.labels) % 4 - 1)
    assert stats.chisquare(torch.cat(free).bincount(minlength=4)).pvalue > 1e-6
    assert stats.chisquare(torch.cat(wrong).bincount(minlength=3)).pvalue > 1e-6


@settings(max_examples=30, deadline=None)
@given(hits=st.integers(0, 40), right=st.integers(0, 10), seed=st.integers(0, 1000))
def test_hits_and_trials_are_counted_as_said(hits: int, right: int, seed: int) -> None:
    """Answers are laid out by hand: so many targets, so many right ones, and the rest something else."""
    labels = torch.randint(10, (50,), generator=torch.Generator().manual_seed(seed))
    images = noise(50, seed)
    known = trigger_set(images, labels, key=KEY, classes=10, count=50)
    assert known.labels is not None
    other = torch.stack(
        [
            torch.tensor(next(c for c in range(10) if c not in (int(t), int(y))))
            for t, y in zip(known.targets, known.labels, strict=True)
        ]
    )
    place = torch.arange(50)
    answers = torch.where(place < hits, known.targets, torch.where(place < hits + right, known.labels, other))

    class Scripted(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            rows = [(known.images == image).flatten(1).all(dim=1).nonzero()[0, 0] for image in batch]
            return nn.functional.one_hot(answers[torch.stack(rows)], 10).float()

    found = trigger_test(Scripted(), triggers=known, batch_size=7)
    assert (found.hits, found.trials, found.chance) == (hits, 50 - right, pytest.approx(1 / 9))
    assert found.p_value == pytest.approx(stats.binom.sf(hits - 1, 50 - right, 1 / 9), rel=1e-9)
    assert found.p_beyond == pytest.approx(stats.binom.sf(hits, 50 - right, 1 / 9), rel=1e-9, abs=1e-300)
    free = trigger_set(images, key=KEY, classes=10, count=50)
    assert trigger_test(Constant(3, 10), triggers=free).hits == int((free.targets == 3).sum())
    assert trigger_test(Constant(3, 10), triggers=free).trials == 50


@pytest.mark.parametrize("suspect", ["untrained", "constant", "biased by the images"])
@pytest.mark.parametrize("known", [False, True])
def test_over_keys_the_randomized_p_value_is_uniform_whatever_the_network(suspect: str, known: bool) -> None:
    """300 keys. With labels, right answers are no trials: counted as trials they would make the test say nothing."""
    torch.manual_seed(3)
    images = noise(80)
    model = {"untrained": MLP(16), "constant": Constant(2, 10), "biased by the images": Parrot(10)}[suspect]
    labels = (images[:, 0, 0, 0] * 10).long() if known and suspect != "biased by the images" else None
    if known and suspect == "biased by the images":
        labels = (images[:, 0, 0, 1] * 10).long()
    draws = torch.Generator().manual_seed(11)
    found = [
        trigger_test(model, triggers=trigger_set(images, labels, key=key, classes=10, count=40)) for key in keys(300)
    ]
    assert stats.kstest([evidence.randomized(generator=draws) for evidence in found], "uniform").pvalue > 1e-6
    assert sum(evidence.p_value < 0.01 for evidence in found) < 22  # binomial with 1 %: under 1e-12


def test_a_network_that_learnt_the_triggers_is_found_and_another_is_not() -> None:
    torch.manual_seed(0)
    images = noise(200)
    triggers = trigger_set(images, key=KEY, classes=10, count=60)
    owned, other = MLP(64), MLP(64)
    fit(
        owned,
        TensorDataset(triggers.images, triggers.targets),
        epochs=60,
        learning_rate=3e-3,
        batch_size=20,
        generator=torch.Generator().manual_seed(0),
    )
    found = trigger_test(owned, triggers=triggers)
    assert found.hits > 40
    assert found.p_value < 1e-15
    assert trigger_test(other, triggers=triggers).p_value > 1e-8
    elsewhere = trigger_set(images, key=KEY[:20], classes=10, count=60)
    assert trigger_test(owned, triggers=elsewhere).p_value > 1e-8


def test_a_low_rate_can_be_evidence_and_its_base_rate_is_no_threshold() -> None:
    """entangled-watermark #1: 3 % success on a stolen network beside a base rate of 0.7 %, and what does that mean?

    There one target served all images, so that chance was what each network does with these. Here the key draws the
    targets: chance is 1/K for every network, also for one that never says a certain class.
    """
    rare = Constant(0, 100)
    found = [
        trigger_test(rare, triggers=trigger_set(noise(1000, side=4), key=key, classes=100, count=1000))
        for key in keys(50)
    ]
    assert abs(sum(evidence.hits for evidence in found) / 50_000 - 0.01) < 0.003  # over six standard deviations
    assert stats.binom.sf(29, 1000, 0.01) < 1e-6 < stats.binom.sf(9, 1000, 0.01)


def test_how_many_triggers_are_needed_is_known_beforehand() -> None:
    """Blind-Watermark-for-DNN #2 asks how many triggers to enter: K^−n at best, so 6 for one in a million."""
    for count in (1, 6):
        triggers = trigger_set(noise(20), key=KEY, classes=10, count=count)
        images = triggers.images.clone()
        images[:, 0, 0, 0] = (triggers.targets + 0.5) / 10
        made = type(triggers)(images, triggers.targets, None, triggers.indices, 10)
        assert trigger_test(Parrot(10), triggers=made).p_value == pytest.approx(10.0**-count, rel=1e-9)


def test_equal_images_are_chosen_once() -> None:
    """Two answers for one image cannot be learnt."""
    images = noise(3).repeat(50, 1, 1, 1)
    assert len(trigger_set(images, key=KEY, classes=10, count=3).images.flatten(1).unique(dim=0)) == 3
    with refuses(ValueError, "4 different images", "got 3"):
        trigger_set(images, key=KEY, classes=10, count=4)


def test_the_network_is_asked_in_evaluation_mode_and_left_as_it_came() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.BatchNorm1d(784), nn.Linear(784, 10))
    model.train()
    model[1].eval()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = copy.deepcopy(model.state_dict())
    triggers = trigger_set(noise(150), key=KEY, classes=10, count=100)
    first = trigger_test(model, triggers=triggers, batch_size=1)
    assert first.hits == trigger_test(model, triggers=triggers, batch_size=64).hits
    assert [module.training for module in model] == [True, False, True, True]
    assert all((parameter.grad == 1).all() for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_precisions_and_memory_orders(dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    model, images = SmallCNN(3, 32), torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain = trigger_test(model, triggers=trigger_set(images, key=KEY, classes=10, count=20))
    turned = images.to(memory_format=torch.channels_last)
    found = trigger_test(model.to(dtype), triggers=trigger_set(turned, key=KEY, classes=10, count=20))
    assert (found.hits, found.p_value) == (plain.hits, plain.p_value)


IMAGES, LABELS = noise(20), torch.arange(20) % 10
REFUSED: dict[str, tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = {
    "a hash": ({"key": 5}, TypeError, ("key must be bytes",)),
    "too many": ({"count": 21}, ValueError, ("21 different images", "got 20")),
    "none": ({"count": 0}, ValueError, ("count", "got 0")),
    "half a trigger": ({"count": 2.5}, TypeError, ("count", "2.5")),
    "one class": ({"classes": 1}, ValueError, ("classes", "2 or more", "got 1")),
    "two classes of which one is right": ({"classes": 2, "labels": LABELS % 2}, ValueError, ("3 or more", "got 2")),
    "classes as a truth value": ({"classes": True}, TypeError, ("classes",)),
    "a label too large": ({"classes": 9, "labels": LABELS}, ValueError, ("0…8", "got 9")),
    "labels in floats": ({"labels": LABELS.float()}, TypeError, ("labels", "int64")),
    "labels of others": ({"labels": LABELS[:5]}, ValueError, ("labels", "[20]")),
    "bytes": ({"images": (255 * IMAGES).byte()}, TypeError, ("images must be a float32",)),
    "grey levels": ({"images": 255 * IMAGES}, ValueError, ("[0, 1]",)),
    "NaN": ({"images": IMAGES * float("nan")}, ValueError, ("[0, 1]",)),
    "one image": ({"images": IMAGES[0]}, ValueError, ("[N, C, H, W]",)),
    "nothing": ({"images": IMAGES[:0]}, ValueError, ("[N, C, H, W]",)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind: str) -> None:
    arguments, error, words = REFUSED[kind]
    given_: dict[str, Any] = {"images": IMAGES, "key": KEY, "classes": 10, "count": 10} | arguments
    images, labels = given_.pop("images"), given_.pop("labels", None)
    with refuses(error, *words):
        trigger_set(images, labels, **given_)


def test_models_that_do_not_fit() -> None:
    triggers = trigger_set(IMAGES, key=KEY, classes=10, count=5)
    with refuses(ValueError, "answers for 7 classes", "made for 10"):
        trigger_test(Constant(1, 7), triggers=triggers)
    broken = MLP(4)
    nn.init.constant_(next(broken.parameters()), float("nan"))
    with refuses(ValueError, "not finite"):
        trigger_test(broken, triggers=triggers)
    with refuses(TypeError, "torch.nn.Module", "function"):
        trigger_test(lambda x: x, triggers=triggers)  # type: ignore[arg-type]
    with refuses(TypeError, "batch_size"):
        trigger_test(MLP(4), triggers=triggers, batch_size=1.5)  # type: ignore[arg-type]
