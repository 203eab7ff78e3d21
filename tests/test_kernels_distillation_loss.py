"""kernels.distillation_loss without a GPU: against float64, its laws, its edges; the kernel compiled."""

import math
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from kernel_checks import compiled, instructions, needs_triton, offsets, resources
from torch import Tensor

from tml_helpers import distillation, kernels
from tml_helpers.kernels import distillation_loss
from tml_helpers.kernels.distillation_loss import (
    CHUNK,
    REGISTERS,
    STAGES,
    TILE,
    _DistillationLoss,
    _path,
    _row,
    closed_form,
    fused,
    reference,
)

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 8e-3, torch.float16: 1e-3}


def batch(rows: int, classes: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Student logits that want a gradient, teacher logits, labels."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = 3 * torch.randn(2, rows, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (rows,), generator=generator)
    return student.to(dtype).requires_grad_(), teacher.to(dtype), labels


def written_out(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float) -> Tensor:
    """The definition in float64, from torch's own kl_div and cross_entropy."""
    student, teacher = student.double(), teacher.double()
    log_p, log_q = (F.log_softmax(z / temperature, dim=1) for z in (student, teacher))
    soft = F.kl_div(log_p, log_q, log_target=True, reduction="sum") / len(student)
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student, labels)


def gradient(loss: Tensor, student: Tensor) -> Tensor:
    return torch.autograd.grad(loss, student)[0]


def assert_close(actual: Tensor, expected: Tensor, tolerance: float, least: float = 0.0) -> None:
    """‖actual − expected‖ ≤ tolerance · max(‖expected‖, least), and nothing is NaN."""
    error, size = (actual.double() - expected.double()).norm(), expected.double().norm().clamp(min=least)
    assert error <= tolerance * size, f"relative error {error / size:.2e}"


sizes = {"rows": st.integers(1, 6), "classes": st.integers(2, 40), "seed": st.integers(0, 2**31)}
temperatures, alphas = st.floats(0.5, 20), st.floats(0, 1)
settings = sizes | {"temperature": temperatures, "alpha": alphas}


@given(**settings)
def test_equals_kl_div_and_cross_entropy_and_so_does_its_gradient(rows, classes, seed, temperature, alpha):
    student, teacher, labels = batch(rows, classes, seed)
    expected = written_out(student, teacher, labels, temperature, alpha)
    loss = distillation_loss(student, teacher, labels, temperature=temperature, alpha=alpha)
    assert_close(loss, expected, 1e-9)
    assert_close(gradient(loss, student), gradient(expected, student), 1e-9)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (7, 10), (256, 1000), (5, 1 + CHUNK // 2), (2, CHUNK + 3)])
def test_every_dtype_and_shape(dtype, shape):
    student, teacher, labels = batch(*shape, dtype=dtype)
    expected = written_out(student, teacher, labels, 4.0, 0.7)
    loss = distillation_loss(student, teacher, labels, temperature=4.0, alpha=0.7)
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert loss.shape == ()
    # Plain float32 PyTorch is no nearer; of a single class the loss is 0, and what is rounded are its logits.
    assert_close(loss, expected, 1e-12 if dtype == torch.float64 else 2e-5, least=1.0)
    slope = gradient(loss, student)
    assert slope.dtype == dtype
    if shape != (1, 1):  # one class alone: the gradient is 0
        assert_close(slope, gradient(expected, student), TOLERANCE[dtype])


@pytest.mark.parametrize("function", [reference, distillation_loss])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_gradcheck(function, alpha):
    student, teacher, labels = batch(4, 5)
    assert torch.autograd.gradcheck(
        lambda z: function(z, teacher, labels, temperature=3.0, alpha=alpha), (student,), check_batched_grad=False
    )


@given(**settings, shift=st.floats(-50, 50))
def test_shifting_a_rows_logits_changes_nothing(rows, classes, seed, temperature, alpha, shift):
    student, teacher, labels = batch(rows, classes, seed)
    loss = distillation_loss(student, teacher, labels, temperature=temperature, alpha=alpha)
    shifted = distillation_loss(student + shift, teacher - 2 * shift, labels, temperature=temperature, alpha=alpha)
    torch.testing.assert_close(shifted, loss, rtol=1e-9, atol=1e-9 * temperature**2)
    torch.testing.assert_close(gradient(shifted, student), gradient(loss, student), rtol=1e-9, atol=1e-9)


@given(**sizes, temperature=temperatures)
def test_a_student_that_equals_its_teacher_has_nothing_to_learn(rows, classes, seed, temperature):
    student, _, _ = batch(rows, classes, seed)
    loss = distillation_loss(student, student.detach(), None, temperature=temperature, alpha=1)
    assert loss == 0
    assert not gradient(loss, student).any()


@given(**sizes, temperature=temperatures)
def test_alpha_0_is_cross_entropy(rows, classes, seed, temperature):
    student, teacher, labels = batch(rows, classes, seed)
    loss = distillation_loss(student, teacher, labels, temperature=temperature, alpha=0)
    expected = F.cross_entropy(student, labels)
    assert_close(loss, expected, 1e-12)
    assert_close(gradient(loss, student), gradient(expected, student), 1e-12)


@given(**settings)
def test_each_rows_gradient_sums_to_zero_because_a_shift_changes_nothing(rows, classes, seed, temperature, alpha):
    student, teacher, labels = batch(rows, classes, seed)
    loss = distillation_loss(student, teacher, labels, temperature=temperature, alpha=alpha)
    assert gradient(loss, student).sum(dim=1).abs().max() < 1e-12 * max(1, temperature)


@given(**sizes)
def test_as_t_grows_the_gradient_becomes_that_of_matching_logits(rows, classes, seed):
    """½·mean over rows and classes of the squared gap between centred logits, which only the factor T² keeps finite."""
    student, teacher, _ = batch(rows, classes, seed)
    gap = student - teacher
    gap = (gap - gap.mean(dim=1, keepdim=True)).detach()
    loss = distillation_loss(student, teacher, None, temperature=1e5, alpha=1)
    assert_close(gradient(loss, student), gap / gap.numel(), 1e-3)


def test_the_batch_is_averaged_so_repeating_it_changes_nothing():
    student, teacher, labels = batch(5, 7)
    once = distillation_loss(student, teacher, labels, temperature=2, alpha=0.5)
    twice = distillation_loss(student.repeat(2, 1), teacher.repeat(2, 1), labels.repeat(2), temperature=2, alpha=0.5)
    assert_close(twice, once, 1e-12)


def test_no_gradient_reaches_the_teacher():
    student, teacher, labels = batch(4, 6)
    teacher.requires_grad_()
    distillation_loss(student, teacher, labels, temperature=4, alpha=0.9).backward()
    assert student.grad is not None
    assert teacher.grad is None
    assert not distillation_loss(student.detach(), teacher, labels, temperature=4, alpha=0.9).requires_grad


def test_labels_may_be_none_or_anything_in_range_when_the_teacher_is_alone():
    student, teacher, labels = batch(4, 6)
    with_labels = distillation_loss(student, teacher, labels, temperature=4, alpha=1)
    assert with_labels == distillation_loss(student, teacher, None, temperature=4, alpha=1)
    assert_close(with_labels, reference(student, teacher, None, temperature=4, alpha=1), 1e-12)


def test_without_a_gradient_wanted_none_is_made(monkeypatch):
    made = []
    module = sys.modules["tml_helpers.kernels.distillation_loss"]
    closed_form = module.closed_form
    monkeypatch.setattr(module, "closed_form", lambda *a: made.append(closed_form(*a)) or made[-1])
    student, teacher, labels = batch(4, 6)
    with torch.no_grad():
        loss = distillation_loss(student, teacher, labels, temperature=4, alpha=0.5)
    assert not loss.requires_grad
    distillation_loss(student.detach(), teacher, labels, temperature=4, alpha=0.5)
    assert [slope for _, slope in made] == [None, None]
    distillation_loss(student, teacher, labels, temperature=4, alpha=0.5)
    assert made[-1][1] is not None


def test_the_gradient_is_handed_on_without_a_copy_and_scaled_when_it_must_be():
    student, teacher, labels = batch(4, 6)
    loss = distillation_loss(student, teacher, labels, temperature=4, alpha=0.5)
    (saved,) = loss.grad_fn.saved_tensors
    address, expected = saved.data_ptr(), saved.clone()
    del saved
    (3 * loss).backward(retain_graph=True)
    assert_close(student.grad, 3 * expected, 1e-12)
    student.grad = None
    loss.backward()
    assert student.grad.data_ptr() == address
    assert_close(student.grad, expected, 1e-12)


def test_a_gradient_of_the_gradient_is_refused():
    student, teacher, labels = batch(4, 6)
    loss = distillation_loss(student, teacher, labels, temperature=4, alpha=0.5)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(loss, student, create_graph=True)


VIEWS = {
    "columns first": lambda z: z.T.contiguous().T,
    "every other column": lambda z: z.repeat_interleave(2, dim=1)[:, ::2],
    "longer rows": lambda z: torch.cat([z, z], dim=1)[:, : z.shape[1]],
    "one row repeated": lambda z: z[:1].expand(len(z), -1),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_any_strides(view):
    student, teacher, labels = batch(6, 9)
    assert not view(teacher).is_contiguous()
    loss = distillation_loss(view(student), view(teacher), labels, temperature=4, alpha=0.5)
    expected = written_out(view(student), view(teacher), labels, 4, 0.5)
    assert_close(loss, expected, 1e-12)
    assert_close(gradient(loss, student), gradient(expected, student), 1e-12)


def test_dtypes_may_differ_and_the_gradient_is_the_students():
    student, teacher, labels = batch(6, 9, dtype=torch.float32)
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        loss = distillation_loss(student, teacher.to(kind), labels.int(), temperature=4, alpha=0.5)
        expected = written_out(student, teacher.to(kind), labels, 4, 0.5)
        assert loss.dtype == torch.promote_types(kind, torch.float32)
        assert_close(loss, expected, 2e-6)
        assert gradient(loss, student).dtype == torch.float32


def test_classes_that_both_rule_out_by_minus_infinity_count_nothing():
    student, teacher, labels = batch(6, 9)
    masked_student, masked_teacher = (F.pad(z, (0, 3), value=-math.inf) for z in (student, teacher))
    loss = distillation_loss(masked_student, masked_teacher, labels, temperature=4, alpha=0.5)
    expected = written_out(student, teacher, labels, 4, 0.5)
    assert_close(loss, expected, 1e-12)
    assert_close(gradient(loss, student), gradient(expected, student), 1e-12)


def test_a_class_that_only_the_student_rules_out_costs_infinitely_much():
    student, teacher, _ = batch(2, 3)
    student = student.detach().clone()
    student[0, 1] = -math.inf
    assert distillation_loss(student, teacher, None, temperature=4, alpha=1) == math.inf


def test_nan_is_not_hidden():
    student, teacher, labels = batch(2, 3)
    teacher[1, 2] = math.nan
    assert distillation_loss(student, teacher, labels, temperature=4, alpha=0.5).isnan()


def test_large_logits_do_not_overflow():
    student, teacher, labels = batch(4, 6, dtype=torch.float32)
    loss = distillation_loss(1e4 * student, 1e4 * teacher, labels, temperature=1, alpha=0.5)
    assert_close(loss, written_out(1e4 * student, 1e4 * teacher, labels, 1, 0.5), 1e-6)


Z = torch.zeros(2, 3)
Y = torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, "non-empty", (torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), 4, 0.5)),
        (ValueError, "non-empty", (torch.zeros(2, 0), torch.zeros(2, 0), Y, 4, 0.5)),
        (ValueError, r"\(N, K\).*\(2, 3, 4\)", (torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), Y, 4, 0.5)),
        (ValueError, r"\(2, 3\).*\(2, 4\)", (Z, torch.zeros(2, 4), Y, 4, 0.5)),
        (ValueError, "on meta", (Z, Z.to("meta"), Y, 4, 0.5)),
        (TypeError, "student_logits.*int64", (Z.long(), Z, Y, 4, 0.5)),
        (TypeError, "teacher_logits.*list", (Z, [[0.0]], Y, 4, 0.5)),
        (ValueError, "temperature.*got 0", (Z, Z, Y, 0, 0.5)),
        (ValueError, "temperature.*got -1", (Z, Z, Y, -1, 0.5)),
        (ValueError, "temperature.*got nan", (Z, Z, Y, math.nan, 0.5)),
        (ValueError, "temperature.*got inf", (Z, Z, Y, math.inf, 0.5)),
        (ValueError, r"alpha.*got 1\.1", (Z, Z, Y, 4, 1.1)),
        (ValueError, r"alpha.*got -0\.1", (Z, Z, Y, 4, -0.1)),
        (ValueError, "labels may be None only", (Z, Z, None, 4, 0.5)),
        (TypeError, "labels.*float32", (Z, Z, Y.float(), 4, 0.5)),
        (ValueError, r"shape \(2,\).*\(3,\)", (Z, Z, torch.zeros(3, dtype=torch.int64), 4, 0.5)),
        (ValueError, "0…2, got 0…3", (Z, Z, torch.tensor([0, 3]), 4, 0.5)),
        (ValueError, "0…2, got -100…1", (Z, Z, torch.tensor([1, -100]), 4, 0.5)),
    ],
)
def test_bad_input_is_one_clear_sentence(error, message, arguments):
    student, teacher, labels, temperature, alpha = arguments
    with pytest.raises(error, match=message):
        distillation_loss(student, teacher, labels, temperature=temperature, alpha=alpha)


def test_one_function_under_both_of_its_names():
    assert distillation.distillation_loss is kernels.distillation_loss


@needs_triton
@pytest.mark.parametrize(
    ("dtype", "hard", "power", "slope"),
    [
        ("bf16", True, 4, True),
        ("fp32", True, 4, True),
        ("fp16", True, 0, True),
        ("fp32", True, 0, True),
        ("fp32", False, 4, True),
        ("bf16", True, 4, False),
    ],
)
def test_the_kernel_compiles_for_a_gpu_and_makes_as_few_exponentials_as_it_says(dtype, hard, power, slope):
    """The interpreter takes what the compiler refuses. Two exponentials an element, a third where T is not whole, in
    each of the loops and once for the tile that is held; a lane's bounds cost none."""
    values = {"HARD": hard, "POWER": power, "GRADIENT": slope, "LANES": TILE // 8, "WIDTH": 8, "STAGES": STAGES}
    types = dict.fromkeys(("student", "teacher", "gradient"), f"*{dtype}") | {"labels": "*i64", "losses": "*fp32"}
    types |= dict.fromkeys(("student_stride", "teacher_stride", "classes"), "i32")
    types |= dict.fromkeys(("temperature", "alpha"), "fp32")
    values |= {} if hard else {"labels": None}
    values |= {} if slope else {"gradient": None}
    whole = [name for name, kind in types.items() if kind != "fp32" and name not in values]
    code = compiled(_row, types, values, warps=TILE // 256, aligned=whole, maxnreg=REGISTERS)
    entries = {"bf16": "bf16", "fp16": "f16", "fp32": "f32"}[dtype]
    assert offsets(code, entries).count("i64") >= 2 + slope, "row · stride may exceed 2³¹: student, teacher, gradient"
    done, taken = instructions(code), resources(code)
    assert done["MUFU.EX2"] == 8 * (2 + (hard and not power)) * (2 + slope)
    assert taken["STACK"] == 0
    assert taken["REG"] <= REGISTERS
    vectors = 2 if dtype == "fp32" else 1  # of 16 bytes, for the 8 elements of a thread
    asked = sum(count for name, count in done.items() if name.startswith("LDGSTS") and name.endswith(".128"))
    assert asked == 2 * vectors * STAGES * (1 + slope), "each loop asks for the next tiles before it needs them"
    assert sum(count for name, count in done.items() if re.fullmatch(r"LDG\.E.*\.128", name)) == 2 * vectors
    assert sum(count for name, count in done.items() if re.fullmatch(r"STG\.E.*\.128", name)) == 2 * vectors * slope


@needs_triton
@pytest.mark.parametrize("power", [4, 0])
def test_rows_whose_length_is_no_multiple_of_16_spill_nothing_either(power):
    values = {"HARD": True, "POWER": power, "GRADIENT": True, "LANES": TILE // 8, "WIDTH": 8, "STAGES": STAGES}
    pointers = {"student": "*bf16", "teacher": "*bf16", "gradient": "*bf16", "labels": "*i64", "losses": "*fp32"}
    types = pointers | dict.fromkeys(("student_stride", "teacher_stride", "classes"), "i32")
    types |= dict.fromkeys(("temperature", "alpha"), "fp32")
    assert resources(compiled(_row, types, values, warps=TILE // 256, aligned=pointers))["STACK"] == 0


@needs_triton
def test_the_kernel_takes_what_is_on_a_gpu_and_not_wider_than_32_bits(monkeypatch):
    single, double, half = (
        [SimpleNamespace(is_cuda=cuda, dtype=dtype) for cuda in (True, False)]
        for dtype in (torch.float32, torch.float64, torch.bfloat16)
    )
    for (student, teacher), path in (
        ((single, single), fused),
        ((half, single), fused),
        ((single, double), closed_form),
        ((double, single), closed_form),
        ((double, double), closed_form),
    ):
        assert _path(student[0], teacher[0]) is path
        assert _path(student[1], teacher[1]) is closed_form
    monkeypatch.setattr(sys.modules["tml_helpers.kernels.distillation_loss"], "triton", None)
    assert _path(single[0], single[0]) is closed_form


class OnAGpu(Tensor):
    """A tensor that says it is on a GPU, where the gradient is scaled in place."""

    is_cuda = True


@torch.no_grad()
def test_a_gradient_that_was_scaled_in_place_is_scaled_from_there(monkeypatch):
    monkeypatch.setattr(
        sys.modules["tml_helpers.kernels.distillation_loss"], "_scaled", lambda g, factor: g.mul_(factor)
    )
    gradient = torch.tensor([1.0, -2.0])
    context = SimpleNamespace(saved_tensors=(gradient.clone().as_subclass(OnAGpu),), factor=None)
    for factor in (2.0, 3.0, 0.5, 1.0):
        found, *others = _DistillationLoss.backward(context, torch.tensor(factor))
        assert others == [None] * 4
        torch.testing.assert_close(found.as_subclass(Tensor), factor * gradient)


def test_the_library_works_where_triton_is_missing():
    code = "import sys; sys.modules['triton'] = None; import torch; from tml_helpers.kernels import distillation_loss\n"
    code += "z = torch.eye(3); print(distillation_loss(z, z, None, temperature=1, alpha=1).item())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "0.0\n", run.stderr
