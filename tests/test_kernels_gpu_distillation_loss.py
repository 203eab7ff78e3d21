"""The distillation loss's kernel on a GPU: `pytest --noconftest -m gpu tests/test_kernels_gpu*.py` runs every kernel's.

That needs torch, triton, pytest and numpy alone. With TRITON_INTERPRET=1 the kernels run in Triton's interpreter, on
the CPU. It takes about a millisecond a program, so what is large, or needs a device, is left to the GPU.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from kernel_checks import DEVICE, on_a_device, on_a_gpu_or_interpreted
from torch import Tensor

from tml_helpers.kernels import distillation_loss
from tml_helpers.kernels.distillation_loss import (
    SMALL,
    TILE,
    _DistillationLoss,
    _row,
    _scale_in_place,
    closed_form,
    fused,
    reference,
)

pytestmark = on_a_gpu_or_interpreted

# Relative to float64 on the same inputs. A loss is float32 in any case; a gradient is rounded to its own dtype.
# (To bfloat16 the interpreter cuts, where a GPU rounds to the nearest: twice the error.)
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 8e-3, torch.float16: 6e-4}
SHORT = [(1, 1), (3, 2), (2, 7), (5, 10), (3, 1000), (2, TILE - 1), (2, TILE), (2, TILE + 1), (1, 2 * TILE + 40)]
LONG = [(4096, 10), (1000, 1000), (64, 32000), (300, 50257), (3, 151_936)]


def batch(rows: int, classes: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows + classes)
    student, teacher = 3 * torch.randn(2, rows, classes, generator=generator)
    labels = torch.randint(classes, (rows,), generator=generator)
    return student.to(DEVICE, dtype), teacher.to(DEVICE, dtype), labels.to(DEVICE)


def exact(
    student: Tensor, teacher: Tensor, labels: Tensor | None, temperature: float, alpha: float
) -> tuple[Tensor, Tensor]:
    """Loss and gradient by autograd in float64."""
    z = student.detach().double().requires_grad_()
    loss = reference(z, teacher.double(), labels, temperature=temperature, alpha=alpha)
    return loss.detach(), torch.autograd.grad(loss, z)[0]


def assert_close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    error = float((actual.double() - expected.double()).norm())
    bound = tolerance * float(expected.double().norm()) + 2e-6 * (expected.ndim == 0)
    assert error <= bound, f"error {error:.2e}, allowed {bound:.2e}"


def check(rows: int, classes: int, dtype: torch.dtype, temperature: float, alpha: float, teacher_dtype=None) -> None:
    student, teacher, labels = batch(rows, classes, dtype)
    teacher = teacher.to(teacher_dtype or dtype)
    wanted = None if alpha == 1 else labels
    expected, slope = exact(student, teacher, wanted, temperature, alpha)
    loss, gradient = fused(student, teacher, wanted, temperature, alpha, True)
    assert loss.dtype == torch.float32
    assert gradient.dtype == dtype
    assert_close(loss, expected, 1e-5 * max(1.0, temperature**2 / 16))
    if classes > 1:
        assert_close(gradient, slope, TOLERANCE[dtype])
    alone, none = fused(student, teacher, wanted, temperature, alpha, False)
    assert none is None
    torch.testing.assert_close(alone, loss, rtol=1e-6, atol=1e-6)  # two kernels to the compiler: equal up to rounding


def calls() -> Iterator[tuple[int, Callable[[], object]]]:
    """The most launches of the loss alone, a kernel and a sum; and with what autograd asks of it, one for a factor."""
    for rows, classes in ((8, 100), (1100, 1000)):
        student, teacher = torch.rand(2, rows, classes, device="cuda")
        labels = torch.zeros(rows, dtype=torch.int64, device="cuda")
        yield 2, partial(distillation_loss, student, teacher, labels, temperature=4, alpha=0.5)
        yield 3, partial(forward_and_backward, student, teacher, labels)


def forward_and_backward(*tensors: Tensor) -> None:
    """As autograd does it, without autograd, which wants a device that is there."""
    context = SimpleNamespace()
    context.save_for_backward = lambda gradient: setattr(context, "saved_tensors", (gradient,))
    with torch.no_grad():
        loss = _DistillationLoss.forward(context, *tensors, 4.0, 0.5)
        _DistillationLoss.backward(context, torch.empty_like(loss))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHORT)
def test_every_dtype_and_shape(shape, dtype):
    check(*shape, dtype, temperature=4.0, alpha=0.7)


@on_a_device
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", LONG)
def test_large_shapes(shape, dtype):
    check(*shape, dtype, temperature=4.0, alpha=0.7)


@pytest.mark.parametrize("temperature", [0.5, 1, 1.5, 2, 3, 5, 7, 8.0, 9, 20])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_every_temperature_whole_or_not_and_alpha(temperature, alpha):
    check(3, 200, torch.float32, temperature, alpha)


@pytest.mark.parametrize("label", [0, TILE - 1, TILE, 2 * TILE + 39])
def test_a_label_in_any_tile(label):
    student, teacher, _ = batch(1, 2 * TILE + 40, torch.float32)
    labels = torch.tensor([label], device=DEVICE)
    _, slope = exact(student, teacher, labels, 4.0, 0.5)
    assert_close(fused(student, teacher, labels, 4.0, 0.5, True)[1], slope, 1e-5)


def test_nothing_is_written_beyond_a_row():
    student, teacher, labels = batch(1, 13, torch.float32)
    losses, gradient = torch.full((2,), 7.0, device=DEVICE), torch.full((16,), 7.0, device=DEVICE)
    flags = {"HARD": True, "POWER": 4, "GRADIENT": True, "LANES": 2, "WIDTH": 8, "STAGES": 1}
    _row[(1,)](student, teacher, labels, losses, gradient, 13, 13, 13, 4.0, 0.5, **flags)
    assert losses[1] == 7
    assert (gradient[13:] == 7).all()
    assert not (gradient[:13] == 7).any()


def test_dtypes_may_differ():
    check(3, 100, torch.bfloat16, 4.0, 0.5, teacher_dtype=torch.float32)
    check(3, 100, torch.float32, 4.0, 0.5, teacher_dtype=torch.float16)


def test_any_strides():
    student, teacher, labels = batch(5, 300, torch.float32)
    plain = fused(student, teacher, labels, 4.0, 0.5, True)
    rows = torch.cat([student, student], dim=1)[:, :300]  # a longer stride from row to row
    columns = teacher.T.contiguous().T
    strided = fused(rows, columns, labels, 4.0, 0.5, True)
    assert_close(strided[0], plain[0], 1e-6)
    assert_close(strided[1], plain[1], 1e-6)
    assert strided[1].is_contiguous()
    once = teacher[:1].expand(5, 300)  # stride 0
    assert_close(fused(student, once, labels, 4.0, 0.5, True)[1], exact(student, once, labels, 4.0, 0.5)[1], 1e-5)


def test_classes_that_both_rule_out_count_nothing():
    student, teacher, labels = batch(4, 60, torch.float32)
    expected = closed_form(student, teacher, labels, 4.0, 0.5, True)
    masked = (torch.nn.functional.pad(z, (0, 40), value=-math.inf) for z in (student, teacher))
    loss, gradient = fused(*masked, labels, 4.0, 0.5, True)
    assert_close(loss, expected[0], 1e-5)
    assert_close(gradient[:, :60], expected[1], 1e-5)
    assert not gradient[:, 60:].any()


def test_rows_that_climb_or_fall_by_thousands():
    """The maximum moves from tile to tile: old sums must be brought to the new one, or new terms vanish beside them."""
    ramp = torch.linspace(0, 3000, 2 * TILE + 9, device=DEVICE)[None]
    for student in (ramp, ramp.flip(1)):
        for teacher in (ramp, ramp.flip(1)):
            expected, slope = exact(student, teacher, None, 4.0, 1.0)
            loss, gradient = fused(student, teacher, None, 4.0, 1.0, True)
            assert_close(loss, expected, 1e-5)
            assert float((gradient.double() - slope).abs().max()) < 1e-5


def test_a_student_that_equals_its_teacher_has_nothing_to_learn():
    student, _, _ = batch(3, 500, torch.float32)
    loss, gradient = fused(student, student, None, 4.0, 1.0, True)
    assert abs(float(loss)) < 1e-5
    assert float(gradient.abs().max()) < 1e-7


@pytest.mark.parametrize("label", [-1, 10, -100, 2**32])
def test_a_label_out_of_range_makes_loss_and_gradient_nan(label):
    student, teacher, labels = batch(3, 10, torch.float32)
    labels[1] = label
    loss, gradient = fused(student, teacher, labels, 4.0, 0.5, True)
    assert loss.isnan()
    assert gradient[1].isnan().all()
    assert not gradient[[0, 2]].isnan().any()


@pytest.mark.parametrize("factor", [1.0, -3.0])
@pytest.mark.parametrize("dtype", [*TOLERANCE, torch.float64])
def test_scaling_in_place(factor, dtype):
    values = torch.arange(1.0, 17.0, device=DEVICE, dtype=dtype)
    _scale_in_place[(2,)](values, torch.tensor(factor, device=DEVICE), 10, BLOCK=8)
    assert values.tolist() == [factor * n for n in range(1, 11)] + list(range(11, 17))


@on_a_device
@pytest.mark.parametrize("rows", [8, SMALL // 100 + 1])
def test_autograd_scales_and_survives_a_retained_graph(rows):
    """A small gradient is scaled by PyTorch, a large one in place."""
    student, teacher, labels = batch(rows, 100, torch.float32)
    expected, slope = exact(student, teacher, labels, 4.0, 0.5)
    student.requires_grad_()
    loss = distillation_loss(student, teacher, labels, temperature=4, alpha=0.5)
    assert_close(loss, expected, 1e-5)
    for factor in (1.0, 3.0, 0.5):
        assert_close(torch.autograd.grad(factor * loss, student, retain_graph=True)[0], factor * slope, 1e-5)


@on_a_device
def test_float64_takes_the_closed_form():
    student, teacher, labels = batch(8, 100, torch.float64)
    student.requires_grad_()
    expected, slope = exact(student, teacher, labels, 4.0, 0.5)
    loss = distillation_loss(student, teacher, labels, temperature=4, alpha=0.5)
    assert loss.dtype == torch.float64
    assert_close(loss, expected, 1e-12)
    assert_close(torch.autograd.grad(3.1 * loss, student)[0], 3.1 * slope, 1e-12)


@on_a_device
def test_more_elements_than_an_int32_counts():
    rows, classes = 70_000, 32_000  # 2.24e9 elements of two bytes, three tensors
    if torch.cuda.mem_get_info()[0] < 6 * 2 * rows * classes:
        pytest.skip("needs 27 GB of free GPU memory")
    student = torch.randn(rows, classes, device=DEVICE, dtype=torch.bfloat16)
    teacher = torch.randn(rows, classes, device=DEVICE, dtype=torch.bfloat16)
    _, gradient = fused(student, teacher, None, 4.0, 1.0, True)
    _, tail = fused(student[-2:], teacher[-2:], None, 4.0, 1.0, True)
    assert_close(gradient[-2:].float() * rows / 2, tail, 4e-3)
