"""Distances and angles: loops in float64, laws, points that meet, memory, and what is refused."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from tml_helpers.distillation import CollapsedEmbeddingsWarning, relations, rkd_angle_loss, rkd_distance_loss

Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES = (rkd_distance_loss, rkd_angle_loss)
both = pytest.mark.parametrize("loss", LOSSES)


def huber(error: float) -> float:
    return error**2 / 2 if abs(error) <= 1 else abs(error) - 0.5


def distances_by_loop(student: Tensor, teacher: Tensor) -> float:
    def relative(points: list[list[float]]) -> list[float]:
        found = [sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) ** 0.5 for a in points for b in points]
        apart = [distance for distance in found if distance > 0]
        return [distance * len(apart) / sum(apart) for distance in found]

    pairs = list(zip(relative(student.tolist()), relative(teacher.tolist()), strict=True))
    return sum(huber(ours - theirs) for ours, theirs in pairs) / len(pairs)


def angles_by_loop(student: Tensor, teacher: Tensor) -> float:
    def cosine(points: list[list[float]], a: int, b: int, c: int) -> float:
        to_b, to_c = ([p - q for p, q in zip(points[end], points[a], strict=True)] for end in (b, c))
        lengths = sum(x * x for x in to_b) ** 0.5 * sum(x * x for x in to_c) ** 0.5
        return sum(x * y for x, y in zip(to_b, to_c, strict=True)) / lengths if lengths > 0 else 0.0

    ours, theirs, all_of = student.tolist(), teacher.tolist(), range(len(student))
    triples = [(a, b, c) for a in all_of for b in all_of for c in all_of]
    return sum(huber(cosine(ours, *triple) - cosine(theirs, *triple)) for triple in triples) / len(triples)


BY_LOOP: dict[Loss, Callable[[Tensor, Tensor], float]] = {
    rkd_distance_loss: distances_by_loop,
    rkd_angle_loss: angles_by_loop,
}


def points(*shapes: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, dtype=dtype, generator=generator) for shape in shapes)


def far_apart() -> tuple[Tensor, Tensor]:
    """Points whose relations differ by more than 1 somewhere: Huber's line counts, too."""
    student, teacher = points((7, 2), (7, 3))
    student[0] *= 30
    teacher[1] *= 30
    return student, teacher


SHAPES = {
    "two dimensions": ((5, 2), (5, 3)),
    "one dimension": ((6, 1), (6, 4)),
    "more dimensions than points": ((4, 9), (4, 30)),
    "as many dimensions as points": ((5, 5), (5, 5)),
    "two points": ((2, 3), (2, 3)),
    "feature maps": ((4, 3, 2, 2), (4, 2, 3, 3)),
}


@both
@pytest.mark.parametrize("kind", SHAPES)
def test_the_loss_is_that_of_plain_loops(loss: Loss, kind: str) -> None:
    student, teacher = points(*SHAPES[kind])
    expected = BY_LOOP[loss](student.flatten(1), teacher.flatten(1))
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-12, abs=1e-15)


@both
def test_hubers_line_counts_where_relations_differ_by_more_than_one(loss: Loss) -> None:
    student, teacher = far_apart()
    assert loss(student, teacher).item() == pytest.approx(BY_LOOP[loss](student, teacher), rel=1e-12)


@both
def test_points_that_meet_count_as_in_the_loops(loss: Loss) -> None:
    """Two students meet where the teachers do not, two teachers where the students do not, and a pair of both."""
    student, teacher = points((7, 3), (7, 2))
    student[1], student[5], teacher[3], teacher[5] = student[0], student[4], teacher[2], teacher[4]
    assert loss(student, teacher).item() == pytest.approx(BY_LOOP[loss](student, teacher), rel=1e-12)


def test_right_angles_of_a_square() -> None:
    """The corners of a square against four points in a row, counted by hand: 24 angles of three different points."""
    square = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    row = torch.tensor([[0.0], [1.0], [2.0], [3.0]], dtype=torch.float64)
    half = 0.5**0.5
    at_an_end = 2 * (huber(half - 1) * 2 + huber(0 - 1))  # vertices 0 and 3: all of the row lies on one side
    between = 2 * (huber(0 + 1) + huber(half + 1) + huber(half - 1))  # vertex 1: (0, 2), (0, 3), (2, 3); 2 mirrors it
    assert rkd_angle_loss(square, row).item() == pytest.approx((2 * at_an_end + 2 * between) / 64, rel=1e-12)


def test_distances_of_three_points_in_a_row() -> None:
    """0, 1, 3 against 0, 2, 3: distances 1, 2, 3 over their mean 2, two of the three pairs off by a half."""
    student, teacher = (torch.tensor([[0.0], [middle], [3.0]]) for middle in (1.0, 2.0))
    assert rkd_distance_loss(student, teacher).item() == pytest.approx(2 * 2 * huber(0.5) / 9, rel=1e-6)


@both
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10))
def test_moved_turned_and_scaled_points_have_the_same_relations(
    loss: Loss, seed: int, scale: float, shift: float
) -> None:
    student, matrix = points((6, 4), (4, 4), seed=seed)
    turned = scale * student @ torch.linalg.qr(matrix).Q + scale * shift
    assert loss(student, turned).item() == pytest.approx(0, abs=1e-20)
    assert loss(student, matrix[[0, 1, 2, 3, 0, 1]]).item() > 1e-4


@both
@pytest.mark.parametrize("shape", [(5, 3), (4, 7), (3, 2, 2)])
def test_gradcheck(loss: Loss, shape: tuple[int, ...]) -> None:
    student, teacher = points(shape, (shape[0], 6))
    assert torch.autograd.gradcheck(loss, (student.requires_grad_(), teacher))


@both
def test_gradcheck_on_hubers_line_and_beside_points_that_meet(loss: Loss) -> None:
    student, teacher = far_apart()
    assert torch.autograd.gradcheck(loss, (student.requires_grad_(), teacher))
    teacher[3], teacher[6] = teacher[2], teacher[2]
    assert torch.autograd.gradcheck(loss, (student, teacher))


@both
def test_a_batch_in_many_parts_is_the_batch(loss: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second part of the vertices, and the last, which is smaller, count as much as the first."""
    student, teacher = points((7, 3), (7, 4))
    whole, parts = (student.clone().requires_grad_() for _ in range(2))
    loss(whole, teacher).backward()
    monkeypatch.setattr(relations, "CHUNK", 3 * 7**2)
    value = loss(parts, teacher)
    value.backward()
    assert value.item() == pytest.approx(BY_LOOP[loss](student, teacher), rel=1e-12)
    torch.testing.assert_close(parts.grad, whole.grad, rtol=1e-10, atol=1e-17)


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_other_dtypes_are_read_exactly_and_computed_in_32_bits(loss: Loss, dtype: torch.dtype) -> None:
    student, teacher = points((12, 5), (12, 8), dtype=torch.float32)
    student, teacher = student.to(dtype).requires_grad_(), teacher.to(dtype)
    exact = student.detach().double().requires_grad_()
    found, expected = loss(student, teacher), loss(exact, teacher.double())
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()
    expected.backward()
    assert student.grad is not None
    assert exact.grad is not None
    assert student.grad.dtype == dtype
    tolerance = max(1e-5, torch.finfo(dtype).eps)
    torch.testing.assert_close(
        student.grad.double(), exact.grad, rtol=tolerance, atol=tolerance * exact.grad.abs().max().item()
    )


@both
def test_a_teacher_of_another_dtype_decides_with_the_student(loss: Loss) -> None:
    student, teacher = points((6, 3), (6, 4))
    found = loss(student.bfloat16(), teacher)
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(BY_LOOP[loss](student.bfloat16().double(), teacher), rel=1e-12)


@both
def test_mixed_precision_does_not_round_the_relations(loss: Loss) -> None:
    student, teacher = points((16, 40), (16, 8), dtype=torch.float32)
    plain = loss(student, teacher).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(student, teacher).item() == pytest.approx(plain, rel=1e-6)


@both
def test_strides_do_not_matter(loss: Loss) -> None:
    student, teacher = points((3, 8), (8, 10))
    student = student.T.requires_grad_()
    strided = teacher[:, ::2]
    assert not student.is_contiguous()
    assert not strided.is_contiguous()
    found = loss(student, strided)
    assert found.item() == pytest.approx(BY_LOOP[loss](student.detach(), strided), rel=1e-12)
    assert torch.autograd.gradcheck(loss, (student.detach().requires_grad_(), strided))


@both
def test_the_teacher_gets_no_gradient_and_the_students_is_scaled(loss: Loss) -> None:
    student, teacher = points((6, 3), (6, 4))
    student.requires_grad_(), teacher.requires_grad_()
    once, thrice = (torch.autograd.grad(k * loss(student, teacher), student)[0] for k in (1, 3))
    torch.testing.assert_close(thrice, 3 * once, rtol=1e-12, atol=0)
    loss(student, teacher).backward()
    assert teacher.grad is None


@both
def test_without_a_gradient_the_loss_is_the_same(loss: Loss) -> None:
    student, teacher = points((6, 3), (6, 4))
    plain = loss(student, teacher)
    assert not plain.requires_grad
    assert plain.item() == loss(student.requires_grad_(), teacher).item()


def test_a_second_derivative_of_angles_is_refused_rather_than_0() -> None:
    student, teacher = points((5, 3), (5, 3))
    student.requires_grad_()
    with refuses(RuntimeError, "rkd_angle_loss has no second derivative"):
        torch.autograd.grad(rkd_angle_loss(student, teacher), student, create_graph=True)


@both
def test_gradients_are_finite_where_points_meet(loss: Loss) -> None:
    """pytorch #37154: distances of 0 made the gradient NaN; the others' gradient is that of a batch that has none."""
    student, teacher = points((6, 3), (6, 4), dtype=torch.float32)
    student[4] = student[1]
    student.requires_grad_()
    loss(student, teacher).backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    assert student.grad.abs().max() < 1
    assert student.grad[[0, 2, 3, 5]].abs().amax(dim=1).min() > 0


@both
@pytest.mark.parametrize("wide", [2, 50])
def test_points_that_meet_have_no_direction_however_many_dimensions(loss: Loss, wide: int) -> None:
    """More dimensions than points are turned into fewer: what rounding then parts must not count as a direction."""
    student, teacher = points((6, wide), (6, 4), dtype=torch.float32)
    student[4] = student[1]
    found = loss(student, teacher).item()
    assert found == pytest.approx(BY_LOOP[loss](student.double(), teacher.double()), rel=1e-5)


def test_near_points_far_from_the_origin_keep_their_distance() -> None:
    """pytorch #42479: by products of the points, 512,695 and 512,804 have a distance of 0."""
    student = torch.tensor([[512695.0], [512804.0], [512900.0], [512700.0]])
    (teacher,) = points((4, 2), dtype=torch.float32)
    found = rkd_distance_loss(student, teacher).item()
    assert found == pytest.approx(distances_by_loop(student.double(), teacher.double()), rel=1e-5)


@both
@pytest.mark.parametrize("scale", [1e-42, 1e-25, 1e25, 3e37])
def test_very_small_and_very_large_embeddings_have_the_relations_of_usual_ones(loss: Loss, scale: float) -> None:
    whole = torch.tensor([[3.0, 1.0], [-2.0, 5.0], [0.0, 1.0], [4.0, -4.0]])  # exact even as subnormal numbers
    (teacher,) = points((4, 3), dtype=torch.float32)
    student = (whole * torch.tensor(scale)).requires_grad_()
    value = loss(student, teacher)
    value.backward()
    assert value.item() == pytest.approx(BY_LOOP[loss](student.detach().double(), teacher.double()), rel=1e-5)
    assert student.grad is not None
    assert not student.grad.isnan().any()


@both
@pytest.mark.parametrize("who", ["student", "teacher"])
def test_points_that_are_all_one_are_told_of(loss: Loss, who: str) -> None:
    student, teacher = points((4, 3), (4, 3))
    if who == "student":
        student = torch.ones(4, 3, dtype=torch.float64)
    else:
        teacher = torch.ones(4, 3, dtype=torch.float64)
    with pytest.warns(CollapsedEmbeddingsWarning, match=f"all {who} embeddings") as told:
        value = loss(student.requires_grad_(), teacher)
    assert [warning.filename for warning in told] == [__file__], "the warning names the caller's line"
    value.backward()
    expected = teacher if who == "student" else student.detach()
    sizes = F.pdist(expected) / F.pdist(expected).mean()
    if loss is rkd_distance_loss:
        assert value.item() == pytest.approx(2 * sum(huber(size) for size in sizes.tolist()) / 16, rel=1e-12)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    assert (student.grad == 0).all() == (who == "student")


@both
def test_points_of_which_some_differ_are_not_told_of(loss: Loss) -> None:
    student, teacher = torch.zeros(4, 3), torch.zeros(4, 3)
    student[0, 0] = teacher[1, 0] = 1e-20
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(student, teacher)


@both
def test_a_student_that_learns_the_relations_has_them(loss: Loss) -> None:
    teacher, noise = points((8, 2), (8, 2))
    student = (3 * teacher[:, [1, 0]] + noise / 3).requires_grad_()
    optimizer = torch.optim.Adam([student], lr=0.05)
    before = loss(student, teacher).item()
    for _ in range(150):
        optimizer.zero_grad()
        loss(student, teacher).backward()
        optimizer.step()
    assert loss(student, teacher).item() < before / 10


def test_two_points_have_no_angle() -> None:
    student, teacher = points((2, 3), (2, 3))
    value = rkd_angle_loss(student.requires_grad_(), teacher)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-15)
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-15


PEAK = """
import resource
import torch
from tml_helpers.distillation import rkd_angle_loss

def forward_and_backward(images: int) -> None:
    student, teacher = torch.randn(images, 8, requires_grad=True), torch.randn(images, 8)
    rkd_angle_loss(student, teacher).backward()

forward_and_backward(16)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
forward_and_backward(1024)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_a_thousand_images_need_no_tensor_of_all_angles() -> None:
    """pytorch-metric-learning #329, 100 GB for one batch, and RKD #9, 24 GB for 120 images.

    All 1,024³ cosines would be 4.3 GB, and plain PyTorch holds several such tensors.
    """
    ran = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 100e6


IMAGES = torch.ones(4, 3)
WRONG: dict[str, tuple[Any, Any, type[Exception], tuple[str, ...]]] = {
    "a list": ([[1.0]], IMAGES, TypeError, ("student_embeddings", "list")),
    "whole numbers": (torch.ones(4, 3, dtype=torch.int64), IMAGES, TypeError, ("student_embeddings", "int64")),
    "truth values": (IMAGES, torch.ones(4, 3, dtype=torch.bool), TypeError, ("teacher_embeddings", "bool")),
    "complex": (torch.ones(4, 3, dtype=torch.complex64), IMAGES, TypeError, ("student_embeddings", "complex64")),
    "None": (IMAGES, None, TypeError, ("teacher_embeddings", "NoneType")),
    "one dimension": (torch.ones(4), IMAGES, ValueError, ("student_embeddings", "[4]")),
    "no image": (torch.ones(0, 3), torch.ones(0, 3), ValueError, ("student_embeddings", "[0, 3]")),
    "no feature": (IMAGES, torch.ones(4, 0), ValueError, ("teacher_embeddings", "[4, 0]")),
    "other images": (IMAGES, torch.ones(5, 3), ValueError, ("teacher_embeddings", "4", "5")),
    "one image": (torch.ones(1, 3), torch.ones(1, 3), ValueError, ("at least 2", "1")),
    "NaN": (torch.tensor([[1.0], [torch.nan]]), torch.ones(2, 1), ValueError, ("student_embeddings", "nan")),
    "infinite": (torch.ones(2, 1), torch.tensor([[1.0], [-torch.inf]]), ValueError, ("teacher_embeddings", "inf")),
    "elsewhere": (IMAGES, torch.ones(4, 3, device="meta"), ValueError, ("teacher_embeddings", "cpu", "meta")),
}


@both
@pytest.mark.parametrize("kind", WRONG)
def test_what_has_no_relations_is_refused(loss: Loss, kind: str) -> None:
    """pytorch #197099: the gradient of an empty batch's distances ended the process."""
    student, teacher, error, words = WRONG[kind]
    with refuses(error, *words):
        loss(student, teacher)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@both
def test_a_gpu_gives_the_same(loss: Loss) -> None:
    here, teacher = points((40, 5), (40, 7))
    there = here.cuda().requires_grad_()
    here.requires_grad_()
    values = loss(here, teacher), loss(there, teacher.cuda())
    for value in values:
        value.backward()
    torch.testing.assert_close(values[1].cpu(), values[0], rtol=1e-10, atol=0)
    torch.testing.assert_close(there.grad.cpu(), here.grad, rtol=1e-8, atol=1e-15)
