"""Distillation without data: one step of both networks by hand, what nobody may notice, and what the student learns."""

import copy
import itertools
import math
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.data import digits
from tml_helpers.distillation import DataFree, GeneratorCollapseWarning, ImageGenerator, distill_data_free
from tml_helpers.models import MLP
from tml_helpers.training import accuracy, fit, seed_everything

SHAPE = (1, 8, 8)


def linear(seed: int, *hidden: int, classes: int = 10) -> MLP:
    seed_everything(seed)
    return MLP(*hidden, in_features=64, classes=classes)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distilled(student: nn.Module, teacher: nn.Module, **how: Any) -> DataFree:
    """A short run, whose warnings are not looked at."""
    usual: dict[str, Any] = {"shape": SHAPE, "steps": 1, "looks": 1, "batch_size": 8, "generator": seeded()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeneratorCollapseWarning)
        return distill_data_free(student, teacher, **usual | how)


@pytest.fixture
def heard() -> Iterator[list[Tensor]]:
    """The noise of every batch that any generator network was given."""
    noise: list[Tensor] = []

    def listen(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, ImageGenerator):
            noise.append(inputs[0].detach().clone())

    handle = nn.modules.module.register_module_forward_pre_hook(listen)
    yield noise
    handle.remove()


class Listening(nn.Module):
    """A network that keeps what it was asked in each mode."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.asked: dict[bool, list[Tensor]] = {True: [], False: []}

    def forward(self, images: Tensor) -> Tensor:
        self.asked[self.training].append(images.detach().clone())
        answer: Tensor = self.model(images)
        return answer


def gap(z_s: Tensor, z_t: Tensor) -> Tensor:
    """Mean absolute difference of centred logits, one row at a time."""
    rows = [(t - t.mean()) - (s - s.mean()) for s, t in zip(z_s, z_t, strict=True)]
    return torch.stack([row.abs().mean() for row in rows]).mean()


@pytest.mark.parametrize("adversary", [0.0, 0.7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_step_of_both_networks_follows_the_formula(
    heard: list[Tensor], adversary: float, dtype: torch.dtype
) -> None:
    """Fast-Datafree #11: there the student of the generator's loss was the teacher once more."""
    teacher, student = linear(0, 16).to(dtype), linear(1).to(dtype)
    start = distilled(copy.deepcopy(student), teacher, generator_rate=0.0, latent=5).network.train()
    heard.clear()
    learner, pupil = copy.deepcopy(student), Listening(copy.deepcopy(student))
    made = distilled(
        pupil, teacher, balance=3.0, adversary=adversary, latent=5, generator_rate=0.01, learning_rate=0.02
    )

    images = start(heard[0])
    assert images.dtype == dtype
    assert heard[0].shape == (8, 5)
    z_t = teacher(images)
    mean = z_t.softmax(dim=1).mean(dim=0)
    sure, varied = F.cross_entropy(z_t, z_t.argmax(dim=1)), -(mean * mean.log()).sum()
    painter = torch.optim.Adam(start.parameters(), lr=0.01)
    (sure - 3.0 * varied - adversary * gap(learner(images), z_t)).backward()
    painter.step()
    for name, value in start.named_parameters():
        if name not in {
            "layers.0.bias",
            "layers.4.bias",
            "layers.8.bias",
            "layers.12.bias",
        }:  # of no effect: a norm follows
            torch.testing.assert_close(made.network.get_parameter(name), value, atol=1e-5, rtol=1e-4)

    images = images.detach()
    torch.testing.assert_close(pupil.asked[True][0], images)
    adam = torch.optim.Adam(learner.parameters(), lr=0.02)
    adam.zero_grad()
    distance = gap(learner(images), teacher(images).detach())
    distance.backward()
    adam.step()
    for name, value in learner.state_dict().items():
        torch.testing.assert_close(pupil.model.state_dict()[name], value, atol=1e-5, rtol=0)
    for found, expected in ((made.losses, distance), (made.one_hot, sure), (made.entropy, varied)):
        assert found == pytest.approx([expected.item()], rel=1e-5)
    counts = [(z_t.argmax(dim=1) == k).sum().item() / 8 for k in range(10)]
    assert made.shares.tolist() == pytest.approx(counts)


def test_a_student_learns_digits_of_which_it_has_seen_none() -> None:
    """COVERAGE's check: above chance, and far above it, without one image. A tenth of the digits is chance."""
    train, test = digits("train"), digits("test")
    teacher = linear(0, 64)
    fit(teacher, train, epochs=30, learning_rate=5e-3, generator=seeded())
    mean, std = train.images.mean().item(), train.images.std().item()
    student = linear(1, 32)
    before = accuracy(student, test)
    made = distill_data_free(
        student, teacher, shape=SHAPE, steps=120, statistics=([mean], [std]), memory=30, generator=seeded()
    )
    assert before < 0.35
    assert accuracy(student, test) > 0.75
    assert made.missing == []
    assert sum(made.losses[-10:]) < 0.5 * sum(made.losses[:10])
    assert sum(made.entropy[-10:]) / 10 > 0.8 * math.log(10)


class Always(nn.Module):
    """Sees the image, and hardly cares: it is always this class."""

    def __init__(self, answer: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(64, classes)
        with torch.no_grad():
            self.linear.weight.mul_(1e-3)
            self.linear.bias.copy_(10.0 * F.one_hot(torch.tensor(answer), classes))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.flatten(1))
        return logits


def test_a_generator_that_paints_one_class_is_told_of() -> None:
    """Efficient-Computing #6 (DAFL): all images alike, a distillation loss of nearly 0, and an accuracy that fell."""
    with pytest.warns(GeneratorCollapseWarning, match=r"2 of 3 classes \(0, 2\)") as caught:
        made = distill_data_free(
            linear(0, classes=3), Always(1, 3), shape=SHAPE, steps=3, batch_size=8, generator=seeded()
        )
    assert made.missing == [0, 2]
    assert made.shares.tolist() == [0, 1, 0]
    assert caught[0].filename == __file__  # the line of the caller


def test_a_class_is_missing_below_a_tenth_of_its_fair_share() -> None:
    network = ImageGenerator(SHAPE)
    shares = torch.tensor([0.024, 0.026, 0.0, 0.95])
    assert DataFree(network, [], [], [], shares).missing == [0, 2]


def test_the_teacher_stays_as_it_is_and_answers_in_evaluation_mode() -> None:
    """vrvlive/knowlege-distillation #2: a teacher in training mode contradicts itself and moves its statistics."""
    teacher = nn.Sequential(linear(0), nn.Dropout(0.9), nn.BatchNorm1d(10)).train()
    teacher[2].eval()  # a mode that differs from layer to layer must come back so
    for parameter in teacher.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    next(teacher.parameters()).requires_grad_(False)
    before = copy.deepcopy(teacher.state_dict())
    students = [linear(1), linear(1)]
    for student in students:
        distilled(student, teacher, steps=3, looks=2)
    for one, other in zip(*(student.parameters() for student in students), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)  # dropout would have made them differ
    assert [m.training for m in teacher] == [True, True, False]
    assert [p.requires_grad for p in teacher.parameters()] == [False, True, True, True]
    assert all(bool((p.grad == 7).all()) for p in teacher.parameters() if p.grad is not None)
    assert all(p.grad is not None for p in teacher.parameters())
    for name, value in before.items():
        torch.testing.assert_close(teacher.state_dict()[name], value, atol=0, rtol=0)


def test_the_student_is_trained_in_training_mode_and_asked_for_the_gap_in_evaluation_mode() -> None:
    student = Listening(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))).eval()
    made = distilled(student, linear(0), steps=4, looks=3)
    assert student.training
    assert len(student.asked[True]) == 12
    assert len(student.asked[False]) == 4 + 1  # one batch each, and a look at the shape of its answer
    assert not made.network.training
    assert student.model[1].num_batches_tracked == 12


def test_the_generator_decides_and_pytorchs_own_is_left_alone() -> None:
    teacher = linear(0)
    seed_everything(3)
    state = torch.get_rng_state()
    made = [distilled(linear(1), teacher, steps=3, generator=seeded(seed)) for seed in (5, 5, 6)]
    seed_everything(3)
    assert torch.equal(torch.get_rng_state(), state)
    alone, student = linear(1), linear(1)
    before = torch.get_rng_state()
    distilled(student, teacher, generator=seeded())
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(student.layers[2].weight, alone.layers[2].weight)
    assert made[0].losses == made[1].losses
    assert made[0].losses != made[2].losses
    first, second, third = (m.network.layers[0].weight for m in made)
    assert torch.equal(first, second)
    assert (first - third).abs().max() > 0.01


def test_without_a_generator_two_runs_differ() -> None:
    teacher, students = linear(0), [linear(1), linear(1)]  # made first: they seed PyTorch's own
    made = [distilled(student, teacher, generator=None) for student in students]
    assert made[0].losses != made[1].losses


def test_memory_and_batch_size_are_what_the_student_sees() -> None:
    student, teacher = Listening(linear(1)), Listening(linear(0))
    distilled(student, teacher, steps=5, looks=2, memory=1, batch_size=6, adversary=0.0)
    assert {len(images) for images in teacher.asked[False]} == {6}
    painted = [images for images in teacher.asked[False] for _ in range(2)]
    for seen, made in zip(student.asked[True], painted, strict=True):
        torch.testing.assert_close(seen, made, atol=0, rtol=0)

    student, teacher = Listening(linear(1)), Listening(linear(0))
    distilled(student, teacher, steps=30, looks=3, memory=4, batch_size=2)
    ages = set()
    for look, seen in enumerate(student.asked[True]):
        step = look // 3
        (made_in,) = (k for k, images in enumerate(teacher.asked[False]) if torch.equal(images, seen))
        ages.add(step - made_in)
    assert ages == {0, 1, 2, 3}


def test_the_students_rate_falls_along_half_a_cosine() -> None:
    """With a gap whose sign never changes, Adam's first steps have the length of the rate."""
    steps, student = 4, nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    student[1].weight.requires_grad_(False)
    with torch.no_grad():
        student[1].weight.zero_()
        student[1].bias.zero_()
    moved = []
    student[1].register_forward_hook(lambda module, _, __: moved.append(module.bias.detach().clone()))
    distilled(student, Always(1, 2), steps=steps, adversary=0.0, learning_rate=0.1)
    moved = [*moved[1:], student[1].bias.detach().clone()]  # the first asks for the shape
    lengths = [(b - a)[1].item() for a, b in itertools.pairwise(moved)]
    expected = [0.05 * (1 + math.cos(math.pi * k / steps)) for k in range(steps)]
    assert lengths == pytest.approx(expected, rel=1e-3)


def test_a_rate_of_0_leaves_the_generator_as_it_starts() -> None:
    short, long = (distilled(linear(1), linear(0), steps=k, generator_rate=0.0).network for k in (1, 6))
    for one, other in zip(short.parameters(), long.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("statistics", [None, ((0.1307,), (0.3081,)), ((0.2, 0.5, 0.9), (0.1, 0.3, 0.05))])
def test_channels_have_the_statistics_asked_for(statistics: Any) -> None:
    """Before the sigmoid a channel is standard, so its logit has this mean and this deviation to the first order."""
    means, stds = statistics or ((0.5,), (0.25,))
    seed_everything(0)
    network = ImageGenerator((len(means), 12, 8), latent=6, statistics=statistics).double()
    images = network(torch.randn(40, 6, dtype=torch.float64, generator=seeded()))
    assert images.shape == (40, len(means), 12, 8)
    for channel, mean, std in zip(images.unbind(1), means, stds, strict=True):
        logit = torch.logit(channel)
        assert logit.mean().item() == pytest.approx(math.log(mean / (1 - mean)), abs=1e-6)
        assert logit.std(correction=0).item() == pytest.approx(std / (mean * (1 - mean)), rel=1e-3)


def test_a_small_deviation_is_that_of_the_images() -> None:
    seed_everything(0)
    network = ImageGenerator((2, 16, 16), statistics=((0.3, 0.6), (0.01, 0.02))).double()
    images = network(torch.randn(60, 64, dtype=torch.float64, generator=seeded()))
    assert images.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.3, 0.6], abs=1e-3)
    assert images.std(dim=(0, 2, 3)).tolist() == pytest.approx([0.01, 0.02], rel=0.02)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 7, 5), (1, 1, 1), (4, 1, 9)])
def test_images_of_any_shape_in_the_unit_interval(shape: tuple[int, int, int]) -> None:
    images = ImageGenerator(shape, latent=3)(torch.randn(5, 3))
    assert images.shape == (5, *shape)
    assert images.min() >= 0
    assert images.max() <= 1
    assert images.std() > 0.01


def test_a_teacher_from_outside_with_three_channels_and_two_classes() -> None:
    seed_everything(0)
    teacher = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2))
    student = nn.Sequential(nn.Flatten(), nn.Linear(3 * 9 * 6, 2))
    teacher(torch.rand(1, 3, 9, 6))
    made = distilled(student, teacher, shape=(3, 9, 6), steps=4)
    assert len(made.losses) == len(made.one_hot) == len(made.entropy) == 4
    assert made.shares.shape == (2,)
    assert max(made.entropy) <= math.log(2) + 1e-6
    assert made.shares.sum().item() == pytest.approx(1)


class NoGradient(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = linear(0)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        answer: Tensor = self.model(images)
        return answer


NUMBERS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no step": ({"steps": 0}, ValueError, "steps"),
    "half a step": ({"steps": 1.5}, TypeError, "steps"),
    "true": ({"looks": True}, TypeError, "looks"),
    "no look": ({"looks": 0}, ValueError, "looks"),
    "no memory": ({"memory": 0}, ValueError, "memory"),
    "a batch of one": ({"batch_size": 1}, ValueError, "batch_size must be a whole number of 2 or more"),
    "no latent": ({"latent": 0}, ValueError, "latent"),
    "balance below 0": ({"balance": -1.0}, ValueError, "balance must be 0 or more"),
    "balance NaN": ({"balance": math.nan}, ValueError, "balance"),
    "adversary infinite": ({"adversary": math.inf}, ValueError, "adversary"),
    "adversary true": ({"adversary": True}, TypeError, "adversary"),
    "a word": ({"adversary": "much"}, TypeError, "adversary must be a number"),
    "rate below 0": ({"generator_rate": -0.1}, ValueError, "generator_rate"),
    "a rate of 0": ({"learning_rate": 0.0}, ValueError, "learning_rate must be above 0"),
    "two sizes": ({"shape": (8, 8)}, ValueError, "(channels, height, width)"),
    "no channel": ({"shape": (0, 8, 8)}, ValueError, "channels"),
    "half a pixel": ({"shape": (1, 8.5, 8)}, TypeError, "height"),
    "statistics of three": ({"statistics": ([0.1] * 3, [0.1] * 3)}, ValueError, "each of 1 channels"),
    "a mean of 0": ({"statistics": ([0.0], [0.1])}, ValueError, "means in (0, 1)"),
    "pixels to 255": ({"statistics": ([33.3], [78.6])}, ValueError, "images in [0, 1]"),
    "no deviation": ({"statistics": ([0.1], [0.0])}, ValueError, "above 0"),
    "NaN": ({"statistics": ([0.1], [math.nan])}, ValueError, "above 0"),
    "a seed": ({"generator": 3}, TypeError, "torch.Generator"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_that_make_no_sense(kind: str) -> None:
    how, error, words = NUMBERS[kind]
    with refuses(error, words):
        distilled(linear(1), linear(0), **how)


def test_networks_that_do_not_fit() -> None:
    teacher = linear(0)
    with refuses(ValueError, "share parameters"):
        distilled(teacher, teacher)
    with refuses(ValueError, "share parameters"):
        distilled(nn.Sequential(teacher), teacher)
    with refuses(ValueError, "[8, 7]", "[8, 10]", "the same classes"):
        distilled(linear(1, classes=7), teacher)
    with refuses(ValueError, "torch.float64", "torch.float32"):
        distilled(linear(1).double(), teacher)
    with refuses(ValueError, "no parameters to train"):
        distilled(nn.Flatten(), teacher)
    with refuses(ValueError, "no parameters to train"):
        distilled(linear(1).requires_grad_(False), teacher)
    with refuses(ValueError, "no gradient", "no_grad"):
        distilled(linear(1), NoGradient())
    with refuses(ValueError, "is on cpu", "is on meta"):
        distilled(linear(1), linear(0).to("meta"))


def test_answers_that_are_no_logits() -> None:
    broken = linear(0)
    with torch.no_grad():
        broken.layers[2].weight[0, 0] = math.nan
    with refuses(ValueError, "not finite"):
        distilled(linear(1), broken)
    with refuses(ValueError, "logits [N, K]"):
        distilled(linear(1), nn.Sequential(linear(0), nn.Unflatten(1, (2, 5))))


def test_a_loss_that_runs_away_is_told_of() -> None:
    with refuses(ValueError, "not finite", "lower the learning rate"):
        distilled(linear(1, 8), linear(0), steps=50, looks=4, learning_rate=1e30)


class Twice(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.model = linear(seed)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.model(images), images


def test_networks_that_answer_with_two_things_or_are_none() -> None:
    with refuses(TypeError, "the teacher must answer with a tensor", "tuple"):
        distilled(linear(1), Twice(0), adversary=0.0)
    with refuses(TypeError, "the student must answer with a tensor", "tuple"):
        distilled(Twice(1), linear(0))
    with refuses(TypeError, "teacher must be a torch.nn.Module", "function"):
        distilled(linear(1), lambda images: images)  # type: ignore[arg-type]
