"""Several teachers, against a loop over teachers, images and classes; and what a mean of answers is."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from tml_helpers.distillation import distillation_loss, min_logit, multi_teacher_loss


def drawn(
    teachers: int = 3, images: int = 5, classes: int = 4, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    """The student's logits, the teachers', and labels."""
    generator = torch.Generator().manual_seed(seed)
    student = 2 * torch.randn(images, classes, generator=generator, dtype=torch.float64)
    answers = 2 * torch.randn(teachers, images, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (images,), generator=generator)
    return student.to(dtype).requires_grad_(), answers.to(dtype), labels


def softmax(row: list[float], temperature: float) -> list[float]:
    highest = max(row)
    powers = [math.exp((z - highest) / temperature) for z in row]
    return [power / sum(powers) for power in powers]


def by_loops(
    student: Tensor, teachers: Tensor, labels: Tensor | None, temperature: float, alpha: float, weights: list[float]
) -> float:
    """The formula, one teacher, image and class at a time."""
    total = 0.0
    for n, z in enumerate(student.tolist()):
        p = softmax(z, temperature)
        for w, answers in zip(weights, teachers.tolist(), strict=True):
            q = softmax(answers[n], temperature)
            kl = sum(q_k * math.log(q_k / p_k) for q_k, p_k in zip(q, p, strict=True) if q_k > 0)
            total += alpha * temperature**2 * w / sum(weights) * kl
        if labels is not None:
            total -= (1 - alpha) * math.log(softmax(z, 1.0)[int(labels[n])])
    return total / len(student)


def gradient(loss: Tensor, student: Tensor) -> Tensor:
    return torch.autograd.grad(loss, student)[0]


@pytest.mark.parametrize("shape", [(1, 1, 2), (3, 5, 4), (2, 7, 10), (5, 2, 3)])
@pytest.mark.parametrize(("temperature", "alpha"), [(1.0, 0.5), (4.0, 0.9), (0.5, 1.0), (2.0, 0.0)])
def test_the_loss_is_the_formula(shape: tuple[int, int, int], temperature: float, alpha: float) -> None:
    """The factor T², the mean over images and not over classes, and the student's logits where labml's
    annotated_deep_learning_paper_implementations #66 had the teacher's."""
    student, teachers, labels = drawn(*shape)
    weights = [1.0 + m for m in range(len(teachers))]
    found = multi_teacher_loss(student, teachers, labels, temperature=temperature, alpha=alpha, weights=weights)
    expected = by_loops(student.detach(), teachers, labels, temperature, alpha, weights)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_the_gradient_is_the_derivative() -> None:
    student, teachers, labels = drawn()
    for weights in (None, [0.0, 1.0, 2.5]):
        assert torch.autograd.gradcheck(
            lambda z, weights=weights: multi_teacher_loss(
                z, teachers, labels, temperature=3.0, alpha=0.7, weights=weights
            ),
            student,
        )


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_one_teacher_is_ordinary_distillation(alpha: float) -> None:
    student, (teacher,), labels = drawn(1)
    one = multi_teacher_loss(student, [teacher], labels, temperature=3.0, alpha=alpha)
    ordinary = distillation_loss(student, teacher, labels, temperature=3.0, alpha=alpha)
    torch.testing.assert_close(one, ordinary, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(gradient(one, student), gradient(ordinary, student), rtol=1e-10, atol=1e-14)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.floats(0.3, 8.0))
def test_the_gradient_is_that_of_one_teacher_who_gives_the_mean_answer(
    seed: int, teachers: int, temperature: float
) -> None:
    """And the loss is larger by what the teachers disagree, which no student can change."""
    student, answers, labels = drawn(teachers, seed=seed)
    mean = F.softmax(answers / temperature, dim=2).mean(dim=0)
    all_of_them = multi_teacher_loss(student, answers, labels, temperature=temperature, alpha=0.8)
    the_mean = distillation_loss(student, temperature * mean.log(), labels, temperature=temperature, alpha=0.8)
    torch.testing.assert_close(gradient(all_of_them, student), gradient(the_mean, student), rtol=1e-8, atol=1e-12)
    other = student.detach() + 1
    elsewhere = multi_teacher_loss(other**3, answers, labels, temperature=temperature, alpha=0.8)
    mean_elsewhere = distillation_loss(other**3, temperature * mean.log(), labels, temperature=temperature, alpha=0.8)
    gap, gap_elsewhere = all_of_them - the_mean, elsewhere - mean_elsewhere
    torch.testing.assert_close(gap.detach(), gap_elsewhere, rtol=1e-7, atol=1e-9)
    assert gap > -1e-10
    assert teachers > 1 or gap.abs() < 1e-10


def test_the_mean_of_the_logits_is_another_answer() -> None:
    """composer #1819 takes the mean of the logits, and asks whether it is the mean of the losses; so does
    knowledge_distillation_caffe #1. It is not: the best student of the losses gives the mean of the answers."""
    _, teachers, _ = drawn()
    of_answers = F.softmax(teachers, dim=2).mean(dim=0).log().requires_grad_()
    of_logits = teachers.mean(dim=0).requires_grad_()
    slopes = []
    for student in (of_answers, of_logits):
        loss = multi_teacher_loss(student, teachers, None, temperature=1.0, alpha=1.0)
        slopes.append(gradient(loss, student).abs().max().item())
    assert slopes[0] < 1e-12
    assert slopes[1] > 1e-3


def test_a_teacher_gets_no_gradient_and_is_not_touched() -> None:
    student, teachers, labels = drawn()
    before = teachers.clone()
    listening = [teacher.clone().requires_grad_() for teacher in teachers]
    multi_teacher_loss(student, listening, labels, temperature=2.0, alpha=0.5).backward()
    assert student.grad is not None
    assert all(teacher.grad is None for teacher in listening)
    for teacher, was in zip(listening, before, strict=True):
        torch.testing.assert_close(teacher.detach(), was, atol=0, rtol=0)


def loss_of(student: Tensor, teachers: Any, labels: Tensor | None, weights: Any = None, alpha: float = 0.5) -> float:
    return multi_teacher_loss(student, teachers, labels, temperature=2.0, alpha=alpha, weights=weights).item()


def test_weights_are_shares() -> None:
    student, teachers, labels = drawn(2)
    one_to_three = loss_of(student, teachers, labels, [1, 3])
    for same in ([0.25, 0.75], [10, 30], torch.tensor([1.0, 3.0]), np.array([0.5, 1.5], dtype=np.float32)):
        assert loss_of(student, teachers, labels, same) == pytest.approx(one_to_three, rel=1e-12)
    assert loss_of(student, teachers, labels, [3, 1]) != pytest.approx(one_to_three, rel=1e-3)
    assert loss_of(student, teachers.flip(0), labels, [3, 1]) == pytest.approx(one_to_three, rel=1e-12)
    assert loss_of(student, teachers, labels) == pytest.approx(loss_of(student, teachers, labels, [7, 7]), rel=1e-12)


def test_a_teacher_without_weight_is_not_heard() -> None:
    student, teachers, labels = drawn(3)
    assert loss_of(student, teachers, labels, [0, 1, 1]) == pytest.approx(loss_of(student, teachers[1:], labels))
    teachers[0] = 1e4 * teachers[0]  # whatever it says
    assert loss_of(student, teachers, labels, [0, 1, 1]) == pytest.approx(loss_of(student, teachers[1:], labels))


def test_a_class_that_a_teacher_rules_out_counts_nothing_for_it() -> None:
    student, teachers, labels = drawn()
    teachers[0, :, 1] = teachers[1, :2, 1] = teachers[2, :2, 1] = -math.inf  # for two images by all three
    found = loss_of(student, teachers, labels)
    assert found == pytest.approx(by_loops(student.detach(), teachers, labels, 2.0, 0.5, [1, 1, 1]), rel=1e-12)
    slope = gradient(multi_teacher_loss(student, teachers, labels, temperature=2.0, alpha=0.5), student)
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_precision(dtype: torch.dtype) -> None:
    student, teachers, labels = drawn(dtype=dtype)
    found = multi_teacher_loss(student, teachers, labels, temperature=2.0, alpha=0.5)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = by_loops(student.detach().double(), teachers.double(), labels, 2.0, 0.5, [1, 1, 1])
    assert found.item() == pytest.approx(expected, rel=1e-12 if dtype == torch.float64 else 1e-5)
    assert gradient(found, student).dtype == dtype


def test_a_teacher_of_another_precision() -> None:
    student, teachers, labels = drawn()
    mixed = [teachers[0].float(), teachers[1], teachers[2].bfloat16()]
    found = loss_of(student, mixed, labels)
    same = torch.stack([teacher.double() for teacher in mixed])
    assert found == pytest.approx(by_loops(student.detach(), same, labels, 2.0, 0.5, [1, 1, 1]), rel=1e-12)


def test_the_layout_in_memory_does_not_matter() -> None:
    student, teachers, labels = drawn()
    expected = loss_of(student, teachers, labels)
    turned = student.detach().T.contiguous().T
    strided = teachers.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    assert not turned.is_contiguous()
    assert not strided.is_contiguous()
    assert loss_of(turned, strided, labels) == pytest.approx(expected, rel=1e-12)
    assert loss_of(student, list(teachers), labels) == pytest.approx(expected, rel=1e-12)


WRONG_TEACHERS = {
    "none": ([], ValueError, ("at least one teacher",)),
    "one alone": (torch.zeros(5, 4), ValueError, ("teacher_logits[0]", "[5, 4]", "[4]")),
    "other classes": (torch.zeros(2, 5, 3), ValueError, ("teacher_logits[0]", "[5, 4]", "[5, 3]")),
    "other images in the second": ([torch.zeros(5, 4), torch.zeros(6, 4)], ValueError, ("[1]", "[6, 4]")),
    "one row for all": (torch.zeros(2, 1, 4), ValueError, ("[1, 4]",)),
    "whole numbers": (torch.zeros(2, 5, 4, dtype=torch.int64), TypeError, ("floating-point", "int64")),
    "lists": ([[[0.0] * 4] * 5], TypeError, ("teacher_logits[0]", "list")),
    "elsewhere": ([torch.zeros(5, 4, device="meta")], ValueError, ("cpu", "meta")),
}


@pytest.mark.parametrize("kind", WRONG_TEACHERS)
def test_teachers_that_do_not_fit(kind: str) -> None:
    teachers, error, words = WRONG_TEACHERS[kind]
    student, _, labels = drawn()
    with refuses(error, *words):
        loss_of(student, teachers, labels)


WRONG_WEIGHTS = {
    "negative": ([1, -1, 1], ValueError, "got [1, -1, 1]"),
    "all 0": ([0, 0, 0], ValueError, "not all 0"),
    "too few": ([1, 1], ValueError, "each of the 3 teachers"),
    "too many": ([1, 1, 1, 1], ValueError, "each of the 3 teachers"),
    "NaN": ([1, math.nan, 1], ValueError, "nan"),
    "infinite": ([1, math.inf, 1], ValueError, "inf"),
    "too large to add up": ([1e308, 1e308, 1e308], ValueError, "each of the 3 teachers"),
    "words": (["1", "1", "1"], TypeError, "numbers"),
    "truth values": ([True, True, False], TypeError, "numbers"),
}


@pytest.mark.parametrize("kind", WRONG_WEIGHTS)
def test_weights_that_are_none(kind: str) -> None:
    weights, error, words = WRONG_WEIGHTS[kind]
    student, teachers, labels = drawn()
    with refuses(error, "weights", words):
        loss_of(student, teachers, labels, weights)


NUMBERS = {
    "T = 0": ({"temperature": 0.0}, ValueError, "temperature must be a positive number, got 0"),
    "T < 0": ({"temperature": -1.0}, ValueError, "got -1"),
    "T is NaN": ({"temperature": math.nan}, ValueError, "got nan"),
    "T is infinite": ({"temperature": math.inf}, ValueError, "got inf"),
    "T is a word": ({"temperature": "4"}, TypeError, "'4'"),
    "T is true": ({"temperature": True}, TypeError, "True"),
    "alpha below 0": ({"alpha": -0.1}, ValueError, "alpha must lie in [0, 1], got -0.1"),
    "alpha above 1": ({"alpha": 1.1}, ValueError, "got 1.1"),
    "alpha is NaN": ({"alpha": math.nan}, ValueError, "got nan"),
    "alpha is a word": ({"alpha": "half"}, TypeError, "'half'"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_out_of_their_range(kind: str) -> None:
    wrong, error, words = NUMBERS[kind]
    student, teachers, labels = drawn()
    with refuses(error, words):
        multi_teacher_loss(student, teachers, labels, **({"temperature": 2.0, "alpha": 0.5} | wrong))


def test_labels_that_do_not_fit() -> None:
    student, teachers, labels = drawn()
    with refuses(ValueError, "labels may be None only when alpha is 1"):
        loss_of(student, teachers, None)
    with refuses(ValueError, "labels", "4"):
        loss_of(student, teachers, torch.full_like(labels, 4))
    assert loss_of(student, teachers, None, alpha=1.0) == pytest.approx(loss_of(student, teachers, labels, alpha=1.0))


def test_a_teacher_that_says_nan_is_not_hidden() -> None:
    student, teachers, labels = drawn()
    teachers[1, 2, 3] = math.nan
    assert math.isnan(loss_of(student, teachers, labels))


# --- the least that any network believes ---


def test_min_logit_of_two_networks_by_hand() -> None:
    first, second = torch.tensor([[1.0, 4.0, 2.0]]), torch.tensor([[3.0, 5.0, -1.0]])
    found = min_logit([first, second], torch.tensor([1]))
    torch.testing.assert_close(found, torch.tensor([[-3.0, 0.0, -6.0]]))  # of (−3, 0, −2) and (−2, 0, −6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_its_answer_is_surer_of_the_label_than_every_network(seed: int, networks: int) -> None:
    _, logits, labels = drawn(networks, seed=seed)
    combined = F.cross_entropy(min_logit(logits, labels), labels, reduction="none")
    for single in logits:
        assert (combined <= F.cross_entropy(single, labels, reduction="none") + 1e-12).all()


def test_min_logit_sees_differences_of_logits_and_no_order() -> None:
    _, logits, labels = drawn()
    found = min_logit(logits, labels)
    shifted = logits + torch.randn(3, 5, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(min_logit(shifted, labels), found)
    torch.testing.assert_close(min_logit(list(logits.flip(0)), labels), found, atol=0, rtol=0)
    alone = logits[0] - logits[0].gather(1, labels[:, None])
    torch.testing.assert_close(min_logit(logits[:1], labels), alone, atol=0, rtol=0)
    assert not min_logit(logits.requires_grad_(), labels).requires_grad


def test_min_logit_of_what_it_cannot_read() -> None:
    _, logits, labels = drawn()
    with refuses(ValueError, "at least one teacher"):
        min_logit([], labels)
    with refuses(ValueError, "labels must lie in 0…3, got 4"):
        min_logit(logits, torch.full_like(labels, 4))
    with refuses(ValueError, "labels", "[5]", "[2]"):
        min_logit(logits, labels[:2])
    with refuses(TypeError, "labels must be an int64 tensor", "float32"):
        min_logit(logits, labels.float())
    with refuses(ValueError, "not finite"):
        min_logit(logits.index_fill(2, torch.tensor(1), math.nan), labels)
    with refuses(ValueError, "first teacher's [5, 4]", "[5, 3]"):
        min_logit([logits[0], logits[1, :, :3]], labels)
    with refuses(ValueError, "at least one image", "[3, 0, 4]"):
        min_logit(logits[:, :0], labels[:0])


@pytest.mark.parametrize("wrong", [None, 3, torch.zeros(5, 4).numpy(), {"a": torch.zeros(5, 4)}])
def test_teachers_that_are_no_tensors(wrong: Any) -> None:
    student, _, labels = drawn()
    with refuses(TypeError, "teacher_logits must be a tensor [M, N, K] or M tensors", type(wrong).__name__):
        loss_of(student, wrong, labels)
    with refuses(TypeError, "teacher_logits must be a tensor [M, N, K] or M tensors", type(wrong).__name__):
        min_logit(wrong, labels)


@pytest.mark.parametrize("wrong", [None, "logits", torch.zeros(5, 4).numpy(), torch.zeros(5, 4, dtype=torch.int64)])
def test_a_student_that_says_no_logits(wrong: Any) -> None:
    _, teachers, labels = drawn()
    with refuses(TypeError, "student_logits must be a floating-point tensor"):
        loss_of(wrong, teachers, labels)
