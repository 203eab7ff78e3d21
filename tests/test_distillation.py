"""Offline distillation: what the student learns, and what the teacher must not notice."""

import copy
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from tml_helpers.distillation import distill
from tml_helpers.models import MLP
from tml_helpers.training import predict, seed_everything


def images_and_labels(number: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(number, 1, 4, 4, generator=generator), torch.randint(10, (number,), generator=generator)


def linear(seed: int) -> MLP:
    """A student or teacher for which matching answers is a convex problem."""
    seed_everything(seed)
    return MLP(in_features=16)


def one_step(data: object, *, alpha: float, teacher: nn.Module, batch_size: int = 64) -> dict[str, Tensor]:
    student = linear(1)
    distill(student, teacher, data, temperature=3.0, alpha=alpha, epochs=1, batch_size=batch_size)  # type: ignore[arg-type]
    return student.state_dict()


def test_one_step_follows_the_gradient_of_the_formula() -> None:
    images, labels = images_and_labels()
    teacher, student = linear(0), linear(1)
    logits, answers = student(images), teacher(images).detach()
    soft = F.kl_div(F.log_softmax(logits / 3, 1), F.softmax(answers / 3, 1), reduction="batchmean")
    (0.7 * 9 * soft + 0.3 * F.cross_entropy(logits, labels)).backward()
    torch.optim.Adam(student.parameters(), lr=1e-3).step()
    found = one_step(TensorDataset(images, labels), alpha=0.7, teacher=teacher)
    for name, value in student.state_dict().items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=0)


def test_a_student_of_the_teachers_kind_becomes_the_teacher() -> None:
    images, _ = images_and_labels(256)
    teacher, student = linear(0), linear(1)
    distill(student, teacher, TensorDataset(images), temperature=1.0, alpha=1.0, epochs=400, learning_rate=0.02)
    p, q = (F.softmax(predict(model, images), dim=1) for model in (student, teacher))
    assert (p - q).abs().max() < 0.01


@pytest.mark.parametrize("labelled", [True, False])
def test_a_loader_and_a_data_set_teach_the_same(labelled: bool) -> None:
    images, labels = images_and_labels()
    data = TensorDataset(images, labels) if labelled else TensorDataset(images)
    alpha = 0.5 if labelled else 1.0
    asked_once = one_step(data, alpha=alpha, teacher=linear(0))
    asked_each_time = one_step(DataLoader(data, batch_size=64), alpha=alpha, teacher=linear(0))
    for name, value in asked_once.items():
        torch.testing.assert_close(asked_each_time[name], value, atol=1e-6, rtol=0)


@pytest.mark.parametrize("as_loader", [True, False])
def test_the_teacher_answers_in_evaluation_mode_and_stays_as_it_is(as_loader: bool) -> None:
    images, labels = images_and_labels()
    data = TensorDataset(images, labels)
    forgetful = nn.Sequential(linear(0), nn.Dropout(0.9), nn.BatchNorm1d(10)).train()
    forgetful[1].eval()  # a mode that differs from layer to layer must come back so
    before = copy.deepcopy(forgetful.state_dict())
    given = DataLoader(data, batch_size=64) if as_loader else data
    twice = [one_step(given, alpha=0.5, teacher=forgetful) for _ in range(2)]
    for name, value in twice[0].items():
        torch.testing.assert_close(twice[1][name], value)
    assert [m.training for m in forgetful] == [True, False, True]
    for name, value in before.items():
        torch.testing.assert_close(forgetful.state_dict()[name], value, atol=0, rtol=0)
    assert all(parameter.grad is None for parameter in forgetful.parameters())


def test_images_without_labels_need_alpha_one() -> None:
    images, _ = images_and_labels()
    with pytest.raises(ValueError, match="alpha is 1"):
        distill(linear(1), linear(0), TensorDataset(images), alpha=0.9, epochs=1)


def test_distilling_goes_on_where_it_was_interrupted(tmp_path) -> None:  # type: ignore[no-untyped-def]
    images, labels = images_and_labels()
    data, teacher = TensorDataset(images, labels), linear(0)

    def student_after(*parts: int, name: str) -> dict[str, Tensor]:
        for start, epochs in enumerate(parts, 1):
            student = linear(start)  # the second start is another: what was learned must come from the file
            generator = torch.Generator().manual_seed(5)
            distill(
                student, teacher, data, epochs=epochs, batch_size=16, generator=generator, checkpoint=tmp_path / name
            )
        return student.state_dict()

    whole, resumed = student_after(4, name="whole"), student_after(1, 4, name="resumed")
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, atol=0, rtol=0)


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "T = 0": ({"temperature": 0.0}, ValueError, "temperature must be a positive number, got 0"),
    "T is true": ({"temperature": True}, TypeError, "temperature must be a number, got True"),
    "T is a word": ({"temperature": "4"}, TypeError, "temperature must be a number, got '4'"),
    "alpha above 1": ({"alpha": 1.5}, ValueError, "alpha must lie in [0, 1], got 1.5"),
    "alpha is NaN": ({"alpha": float("nan")}, ValueError, "alpha must lie in [0, 1], got nan"),
    "alpha is nothing": ({"alpha": None}, TypeError, "alpha must be a number, got None"),
    "rate below 0": ({"learning_rate": -1.0}, ValueError, "learning_rate must be 0 or more and finite, got -1"),
    "rate infinite": ({"learning_rate": float("inf")}, ValueError, "learning_rate"),
    "teacher a function": ({"teacher": torch.relu}, TypeError, "teacher must be a torch.nn.Module"),
    "student nothing": ({"student": None}, TypeError, "student must be a torch.nn.Module, got NoneType"),
    "student frozen": ({"student": linear(1).requires_grad_(False)}, ValueError, "no parameters to train"),
    "no data set": ({"data": images_and_labels()}, TypeError, "must be a data set or a loader, got a tuple"),
    "images alone": ({"data": images_and_labels()[0]}, TypeError, "got a Tensor"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_is_one_sentence(kind: str) -> None:
    wrong, error, words = WRONG[kind]
    epochs = 1 if "data" in wrong else 0
    how: dict[str, Any] = {"student": linear(1), "teacher": linear(0), "data": TensorDataset(*images_and_labels())}
    numbers = {name: value for name, value in wrong.items() if name not in how}
    how |= {name: value for name, value in wrong.items() if name in how}
    with refuses(error, words):
        distill(how["student"], how["teacher"], how["data"], epochs=epochs, **numbers)


@pytest.mark.parametrize("as_loader", [True, False])
def test_a_teacher_cannot_be_its_own_student(as_loader: bool) -> None:
    """It would have changed while it was asked, or followed what it was before; what is frozen may be shared."""
    data = TensorDataset(*images_and_labels())
    given = DataLoader(data, batch_size=64) if as_loader else data
    trunk = nn.Linear(16, 16).requires_grad_(False)
    teacher, student = (nn.Sequential(nn.Flatten(), trunk, nn.Linear(16, 10)) for _ in range(2))
    with refuses(ValueError, "student and teacher share parameters"):
        distill(teacher, teacher, given, epochs=1)
    with refuses(ValueError, "student and teacher share parameters"):
        distill(nn.Sequential(teacher), teacher, given, epochs=1)
    assert len(distill(student, teacher, given, epochs=1)) == 1


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = linear(0)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.model(images), images


@pytest.mark.parametrize("as_loader", [True, False])
def test_answers_that_are_none(as_loader: bool) -> None:
    images, labels = images_and_labels()
    data = TensorDataset(images, labels)
    given = DataLoader(data, batch_size=64) if as_loader else data
    with refuses(TypeError, "one tensor", "tuple"):
        distill(linear(1), Twice(), given, epochs=1)
    untrained = linear(0)
    with torch.no_grad():
        untrained.layers[2].weight[0, 0] = float("nan")
    with refuses(ValueError, "the teacher's answers are NaN"):
        distill(linear(1), untrained, given, epochs=1)
    with refuses(ValueError, "(64, 10)", "(64, 7)"):
        distill(linear(1), MLP(in_features=16, classes=7), given, epochs=1)


@pytest.mark.parametrize("as_loader", [True, False])
def test_a_third_tensor_is_not_passed_over(as_loader: bool) -> None:
    images, labels = images_and_labels()
    data = TensorDataset(images, torch.rand(len(images)), labels)
    with refuses(ValueError, "images and maybe labels, got 3 tensors"):
        distill(linear(1), linear(0), DataLoader(data, batch_size=64) if as_loader else data, epochs=1)


def test_what_is_not_given_is_as_the_page_has_it() -> None:
    """T = 4, α = 0.9, and 128 images at a time by Adam at 0.001."""
    generator = torch.Generator().manual_seed(2)
    data = TensorDataset(torch.rand(130, 1, 4, 4, generator=generator), torch.arange(130) % 10)
    given = {"temperature": 4.0, "alpha": 0.9, "learning_rate": 1e-3, "batch_size": 128}
    states, sizes = [], []
    for how in ({}, given):
        student = linear(1)
        student.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
        distill(student, linear(0), data, epochs=1, generator=torch.Generator().manual_seed(3), **how)
        states.append(student.state_dict())
    assert sizes == [128, 2] * 2
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, atol=0, rtol=0)
