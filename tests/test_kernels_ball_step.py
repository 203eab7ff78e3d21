"""kernels.ball_step without a GPU: against NumPy in float64, its laws, its edges; the kernels compiled."""

import math
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from kernel_checks import compiled, instructions, needs_triton, offsets, resources
from torch import Tensor

from tml_helpers.kernels import ball_step
from tml_helpers.kernels.ball_step import _held, _linf, _move, _path, _sums, _together, fused, in_place, reference

EPSILON = {"linf": 0.1, "l2": 0.5}
each_norm = pytest.mark.parametrize("norm", EPSILON)


def batch(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Current images in the box (mostly in the ball, too), clean images, gradients: `[N, 3, 4, 5]` each."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, 4, 5, generator=generator, dtype=torch.float64)
    spread = 0.12 * torch.rand(count, 1, 1, 1, generator=generator, dtype=torch.float64)
    current = (images + spread * torch.randn(images.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)
    gradient = torch.randn(images.shape, generator=generator, dtype=torch.float64)
    return current.to(dtype), images.to(dtype), gradient.to(dtype)


def written_out(
    current: Tensor, images: Tensor, gradient: Tensor, step_size: float, epsilon: float, norm: str
) -> Tensor:
    """The definition in NumPy and float64: bounds in L∞, one image after the other in L2."""
    moved = []
    for x, x0, g in zip(*(tensor.double().numpy() for tensor in (current, images, gradient)), strict=True):
        if norm == "linf":
            x = np.clip(x + step_size * np.sign(g), x0 - epsilon, x0 + epsilon)
        else:
            delta = x + step_size * g / np.sqrt((g**2).sum()) - x0
            length = np.sqrt((delta**2).sum())
            x = x0 + (delta if length <= epsilon else epsilon * delta / length)
        moved.append(np.clip(x, 0, 1))
    return torch.tensor(np.array(moved))


settings = {
    "count": st.integers(1, 4),
    "seed": st.integers(0, 2**31),
    "step_size": st.floats(-1, 1),
    "epsilon": st.floats(0, 2),
    "norm": st.sampled_from(list(EPSILON)),
}


@pytest.mark.parametrize("step", [reference, ball_step])
@given(**settings)
def test_equals_the_definition(step, count, seed, step_size, epsilon, norm):
    tensors = batch(count, seed)
    moved = step(*tensors, step_size=step_size, epsilon=epsilon, norm=norm)
    expected = written_out(*tensors, step_size, epsilon, norm)
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-14)


@given(**settings)
def test_lands_in_the_ball_and_in_the_box(count, seed, step_size, epsilon, norm):
    current, images, gradient = batch(count, seed, torch.float32)
    moved = ball_step(current, images, gradient, step_size=step_size, epsilon=epsilon, norm=norm)
    order = math.inf if norm == "linf" else 2
    lengths = torch.linalg.vector_norm((moved - images).flatten(1), order, dim=1)
    assert float(lengths.max()) <= epsilon + 1e-6
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1


@given(**settings)
def test_a_step_of_0_projects_and_projecting_again_changes_nothing(count, seed, step_size, epsilon, norm):
    current, images, gradient = batch(count, seed)
    once = ball_step(current, images, gradient, step_size=0, epsilon=epsilon, norm=norm)
    again = ball_step(once, images, gradient, step_size=0, epsilon=epsilon, norm=norm)
    torch.testing.assert_close(again, once, rtol=0, atol=1e-15)
    order = math.inf if norm == "linf" else 2
    inside = torch.linalg.vector_norm((current - images).flatten(1), order, dim=1) <= epsilon
    torch.testing.assert_close(once[inside], current[inside], rtol=0, atol=1e-15)


@given(**settings, other=st.integers(0, 2**31))
def test_projecting_brings_no_two_images_further_apart(count, seed, other, step_size, epsilon, norm):
    current, images, gradient = batch(count, seed)
    elsewhere = batch(count, other)[0]
    here, there = (
        ball_step(x, images, gradient, step_size=0, epsilon=epsilon, norm=norm) for x in (current, elsewhere)
    )
    apart = (current - elsewhere).flatten(1).norm(dim=1)
    assert ((here - there).flatten(1).norm(dim=1) <= apart + 1e-12).all()


@given(**settings, scale=st.floats(1e-6, 1e6))
def test_the_gradients_scale_does_not_matter(count, seed, step_size, epsilon, norm, scale):
    current, images, gradient = batch(count, seed)
    moved = ball_step(current, images, gradient, step_size=step_size, epsilon=epsilon, norm=norm)
    scaled = ball_step(current, images, scale * gradient, step_size=step_size, epsilon=epsilon, norm=norm)
    torch.testing.assert_close(scaled, moved, rtol=0, atol=1e-14)


@given(**settings)
def test_a_negative_step_is_a_step_against_the_gradient(count, seed, step_size, epsilon, norm):
    current, images, gradient = batch(count, seed)
    back = ball_step(current, images, gradient, step_size=-step_size, epsilon=epsilon, norm=norm)
    against = ball_step(current, images, -gradient, step_size=step_size, epsilon=epsilon, norm=norm)
    torch.testing.assert_close(back, against, rtol=0, atol=1e-15)


@given(count=st.integers(1, 4), seed=st.integers(0, 2**31), epsilon=st.floats(0.001, 0.4))
@each_norm
def test_a_step_of_epsilon_gains_the_dual_norm_of_a_linear_loss(norm, count, seed, epsilon):
    """No perturbation of the ball gains more than ε‖g‖₁ in L∞, or ε‖g‖₂ in L2; the step gains just that."""
    gradient = batch(count, seed)[2]
    images = torch.full_like(gradient, 0.5)  # the box is out of reach
    moved = ball_step(images, images, gradient, step_size=epsilon, epsilon=epsilon, norm=norm)
    gain = ((moved - images) * gradient).flatten(1).sum(dim=1)
    most = epsilon * gradient.flatten(1).norm(p=1 if norm == "linf" else 2, dim=1)
    torch.testing.assert_close(gain, most, rtol=1e-12, atol=0)


@each_norm
def test_each_image_is_moved_as_if_it_were_alone(norm):
    tensors = batch(4)
    moved = ball_step(*tensors, step_size=0.1, epsilon=EPSILON[norm], norm=norm)
    alone = [
        ball_step(*(x[n, None] for x in tensors), step_size=0.1, epsilon=EPSILON[norm], norm=norm) for n in range(4)
    ]
    torch.testing.assert_close(torch.cat(alone), moved, rtol=0, atol=1e-15)


@each_norm
@pytest.mark.parametrize(
    ("dtype", "rounding"),
    [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.bfloat16, 2**-9), (torch.float16, 2**-12)],
)
def test_every_dtype_is_rounded_once(dtype, rounding, norm):
    """Half of the last digit below 1, and no more: step by step, 16 bits would lose several."""
    tensors = batch(4, dtype=dtype)
    moved = ball_step(*tensors, step_size=0.1, epsilon=EPSILON[norm], norm=norm)
    assert moved.dtype == dtype
    expected = written_out(*tensors, 0.1, EPSILON[norm], norm)
    torch.testing.assert_close(moved.double(), expected, rtol=0, atol=rounding + 2e-6 * (rounding > 1e-6))


@each_norm
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 7), (2, 5, 6), (1, 1, 28, 28), (2, 3, 2, 3, 2)])
def test_every_shape(shape, norm):
    images, gradient = torch.rand(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
    moved = ball_step(images, images, gradient, step_size=0.2, epsilon=0.1, norm=norm)
    torch.testing.assert_close(moved, written_out(images, images, gradient, 0.2, 0.1, norm), rtol=0, atol=1e-14)


@each_norm
@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (0, 5), (2, 0)])
def test_nothing_to_move_is_moved(shape, norm):
    empty = torch.empty(shape)
    assert ball_step(empty, empty, empty, step_size=0.1, epsilon=0.1, norm=norm).shape == shape


@each_norm
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_a_zero_gradient_only_projects(dtype, norm):
    current, images, gradient = batch(3, dtype=dtype)
    gradient[1] = 0
    for step_size in (0.1, 1e4):
        moved = ball_step(current, images, gradient, step_size=step_size, epsilon=EPSILON[norm], norm=norm)
        stayed = ball_step(current, images, gradient, step_size=0, epsilon=EPSILON[norm], norm=norm)
        assert torch.equal(moved[1], stayed[1])
        assert not torch.equal(moved[0], stayed[0])
        assert torch.isfinite(moved).all()


def test_a_gradient_shorter_than_1e_12_makes_a_shorter_step():
    gradient = torch.tensor([[3e-13, 4e-13]])  # 5e-13 long
    middle = torch.full((1, 2), 0.5)
    moved = ball_step(middle, middle, gradient, step_size=0.1, epsilon=1, norm="l2")
    torch.testing.assert_close(moved, torch.tensor([[0.53, 0.54]]))


@pytest.mark.parametrize("position", range(3))
def test_what_is_not_a_number_stays_visible_in_its_image_alone(position):
    """torch.sign makes 0 of it, so that an attack on a broken gradient would seem to fail."""
    tensors = batch(3)
    tensors[position][1, 2, 0, 3] = math.nan
    moved = ball_step(*tensors, step_size=0.1, epsilon=0.1, norm="linf")
    assert moved.isnan().nonzero().tolist() == [[1, 2, 0, 3]]
    moved = ball_step(*tensors, step_size=0.1, epsilon=0.5, norm="l2")
    assert moved[1].isnan().all()
    assert not moved[[0, 2]].isnan().any()


VIEWS = {
    "channels last": lambda x: x.to(memory_format=torch.channels_last),
    "every other column": lambda x: x.repeat_interleave(2, dim=3)[..., ::2],
    "transposed": lambda x: x.mT.contiguous().mT,
    "some channels of more": lambda x: torch.cat([x, x], dim=1)[:, :3],
    "one image repeated": lambda x: x[:1].expand(len(x), -1, -1, -1),
}


@each_norm
@pytest.mark.parametrize("which", [(0,), (1,), (2,), (0, 1, 2)])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_any_strides(view, which, norm):
    tensors = [view(x) if n in which else x for n, x in enumerate(batch(3))]
    assert not all(x.is_contiguous() for x in tensors)
    moved = ball_step(*tensors, step_size=0.1, epsilon=EPSILON[norm], norm=norm)
    torch.testing.assert_close(moved, written_out(*tensors, 0.1, EPSILON[norm], norm), rtol=0, atol=1e-14)


@each_norm
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_inputs_are_left_as_they_are(dtype, norm):
    tensors = batch(3, dtype=dtype)
    moved = ball_step(*tensors, step_size=0.1, epsilon=EPSILON[norm], norm=norm)
    assert all(map(torch.equal, tensors, batch(3, dtype=dtype)))
    assert moved.data_ptr() not in {x.data_ptr() for x in tensors}


def test_no_gradient_flows_through_a_step():
    tensors = [x.requires_grad_() for x in batch(2)]
    assert not ball_step(*tensors, step_size=0.1, epsilon=0.1).requires_grad


def test_the_norm_is_linf_unless_said():
    tensors = batch(2)
    assert torch.equal(
        ball_step(*tensors, step_size=0.1, epsilon=0.1), ball_step(*tensors, step_size=0.1, epsilon=0.1, norm="linf")
    )


X = torch.zeros(2, 3)
TENSORS = ("current", "images", "gradient", "moved")


@pytest.mark.parametrize(
    ("error", "words", "arguments"),
    [
        (TypeError, ("current", "int64"), (X.long(), X, X, 0.1, 0.1, "linf")),
        (TypeError, ("images", "list"), (X, [[0.0]], X, 0.1, 0.1, "linf")),
        (TypeError, ("gradient", "NoneType"), (X, X, None, 0.1, 0.1, "linf")),
        (ValueError, ("[N, …]", "[3]", "images[None]"), (X[0], X[0], X[0], 0.1, 0.1, "linf")),
        (ValueError, ("gradient", "[2, 3]", "[3, 2]"), (X, X, X.T, 0.1, 0.1, "linf")),
        (ValueError, ("current", "[2, 3]", "[1, 3]"), (X[:1], X, X, 0.1, 0.1, "linf")),
        (ValueError, ("gradient", "float32", "float64"), (X, X, X.double(), 0.1, 0.1, "linf")),
        (ValueError, ("current", "cpu", "meta"), (X.to("meta"), X, X, 0.1, 0.1, "linf")),
        (ValueError, ("norm", "linf, l2", "'l1'"), (X, X, X, 0.1, 0.1, "l1")),
        (ValueError, ("epsilon", "-0.1"), (X, X, X, 0.1, -0.1, "linf")),
        (ValueError, ("epsilon", "nan"), (X, X, X, 0.1, math.nan, "l2")),
        (ValueError, ("epsilon", "inf"), (X, X, X, 0.1, math.inf, "l2")),
        (ValueError, ("step_size", "nan"), (X, X, X, math.nan, 0.1, "linf")),
        (ValueError, ("step_size", "-inf"), (X, X, X, -math.inf, 0.1, "linf")),
    ],
)
def test_bad_input_is_one_clear_sentence(error, words, arguments):
    current, images, gradient, step_size, epsilon, norm = arguments
    with refuses(error, *words):
        ball_step(current, images, gradient, step_size=step_size, epsilon=epsilon, norm=norm)


@needs_triton
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize(
    ("kernel", "values", "warps"),
    [
        (_linf, {"BLOCK": 1024}, 4),
        (_held, {"TILE": 1024}, 4),
        (_held, {"TILE": 16384}, 16),
        (_sums, {"CHUNK": 4096}, 8),
        (_move, {"CHUNK": 4096, "CHUNKS": 64}, 8),
        (_together, {"CHUNK": 4096, "CHUNKS": 64}, 8),
    ],
)
def test_the_kernels_compile_for_a_gpu_that_need_not_be_there(kernel, values, warps, dtype):
    """The interpreter takes what the compiler refuses. And its minimum keeps what is not a number; a GPU's does not."""
    types = dict.fromkeys(TENSORS, f"*{dtype}") | {"sums": "*fp32"}
    types |= dict.fromkeys(("total", "size", "chunks"), "i32") | dict.fromkeys(("step_size", "epsilon"), "fp32")
    types["state"] = "*i32"
    whole = [name for name in (*TENSORS, "sums", "state", "total", "size") if name in kernel.arg_names]
    code = compiled(kernel, types, values, warps, aligned=whole)
    _reads_and_writes_16_bytes_at_a_time(code, kernel, 4 if dtype == "fp32" else 8, max(values.values()), warps)
    assert not re.search(r"\b(min|max)\.f32", code["ptx"])
    if dtype != "fp32":  # as the sums are, whose number is small
        assert set(offsets(code, dtype.replace("fp", "f"))) == {"i64"}, "a batch may have more than 2³¹ entries"
    if kernel in (_linf, _held):
        assert not re.search(r"arith\.muli .*: i32", code["ttir"]), "an offset is made wide before it grows large"


def _reads_and_writes_16_bytes_at_a_time(code, kernel, each, entries, warps):
    """Each entry of x, x₀ and g is read once and each of the result written once; nothing is spilled."""
    vectors = entries // (32 * warps) // each
    done = instructions(code)
    assert done["LDG.E.128"] == 3 * vectors
    assert done["STG.E.128"] == (kernel is not _sums) * vectors
    assert resources(code)["STACK"] == 0


@needs_triton
@pytest.mark.parametrize(("dtype", "registers"), [("fp32", 80), ("bf16", 64)])
def test_programs_that_wait_are_many_on_a_processor_and_each_waits_for_memory_once(dtype, registers):
    """65,536 registers hold three programs in float32, 48 kB each, four in bfloat16. Sums are told before an image's
    chunk counts as arrived, and read when all have."""
    types = dict.fromkeys(TENSORS, f"*{dtype}") | {"sums": "*fp32", "state": "*i32", "size": "i32", "chunks": "i32"}
    types |= dict.fromkeys(("step_size", "epsilon"), "fp32")
    values = {"CHUNK": 4096, "CHUNKS": 64}
    code = compiled(_together, types, values, warps=8, aligned=[*TENSORS, "sums", "state", "size"])
    assert resources(code)["REG"] <= registers
    order = re.findall(r"(?:atom|ld)\.global\.gpu\.(\w+)|(bar\.sync)|(st\.global)\.b32|(ld\.global\.cg)", code["ptx"])
    order = [next(filter(None, step)) for step in order]
    last_sum, release = len(order) - 1 - order[::-1].index("st.global"), order.index("release")
    assert order.index("relaxed") < last_sum < release < order.index("acquire") < order.index("ld.global.cg")
    assert "bar.sync" in order[last_sum:release]
    assert "bar.sync" in order[order.index("acquire") : order.index("ld.global.cg")], (
        "all threads see what one has seen"
    )


@needs_triton
def test_the_kernels_take_what_is_on_a_gpu_and_not_wider_than_32_bits():
    for cuda, dtype, path in (
        (True, torch.float32, fused),
        (True, torch.bfloat16, fused),
        (True, torch.float64, in_place),
        (False, torch.float32, in_place),
    ):
        assert _path(SimpleNamespace(is_cuda=cuda, dtype=dtype)) is path


def test_the_library_works_where_triton_is_missing():
    code = "import sys; sys.modules['triton'] = None; import torch; from tml_helpers.kernels import ball_step\n"
    code += "x = torch.zeros(1, 2); print(ball_step(x, x, x + 1, step_size=1, epsilon=0.5).tolist())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "[[0.5, 0.5]]\n", run.stderr
