"""The ball step's kernels on a GPU: `pytest --noconftest -m gpu tests/test_kernels_gpu*.py` runs every kernel's.

That needs torch, triton, pytest and numpy alone. With TRITON_INTERPRET=1 the kernels run in Triton's interpreter, on
the CPU; what is large, or needs a device, is left to the GPU.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from kernel_checks import DEVICE, INTERPRETED, on_a_device, on_a_gpu_or_interpreted, programs_as_threads, slow
from torch import Tensor

from tml_helpers.kernels import ball_step
from tml_helpers.kernels.ball_step import (
    BLOCK,
    CHUNK,
    HELD,
    _held,
    _linf,
    _move,
    _sums,
    _together,
    fused,
    reference,
)

pytestmark = on_a_gpu_or_interpreted

# From float64 on the same inputs, pixels in [0, 1]. (To bfloat16 the interpreter cuts, where a GPU rounds to the
# nearest: twice the error.)
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2**-8 + 2e-6, torch.float16: 2**-11 + 2e-6}
EPSILON = {"linf": 0.05, "l2": 0.5}
HELD_SHAPES = [(1, 1), (3, 2), (2, 7), (4, 1, 28, 28), (2, 3, 5, 4, 3), (3, BLOCK - 1), (2, BLOCK + 1), (1, HELD)]
SPLIT_SHAPES = [(1, HELD + 1), (3, 5 * CHUNK), (2, 5 * CHUNK - 1), (2, 6 * CHUNK + 13)]
LARGE = [(256, 3, 224, 224), (8, 3, 512, 512), (4096, 3, 32, 32), (1, 3, 1999, 2003), (70_000, 9)]


def batch(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Current images in the box and, for some entries, beyond the ball; clean images; gradients of various sizes."""
    generator = torch.Generator().manual_seed(sum(shape))
    images = torch.rand(shape, generator=generator)
    current = (images + 0.04 * torch.randn(shape, generator=generator)).clamp(0, 1)
    sizes = 10.0 ** -torch.arange(shape[0]).remainder(4).view(-1, *[1] * (len(shape) - 1))
    gradient = sizes * torch.randn(shape, generator=generator)
    current, images, gradient = (x.to(DEVICE, dtype) for x in (current, images, gradient))
    return current, images, gradient


def exact(*tensors: Tensor, step_size: float, epsilon: float, norm: str) -> Tensor:
    doubles = (tensor.double() for tensor in tensors)
    return reference(*doubles, step_size=step_size, epsilon=epsilon, norm=norm)


def check(current: Tensor, images: Tensor, gradient: Tensor, step_size: float, epsilon: float, norm: str) -> Tensor:
    moved = fused(current, images, gradient, step_size, epsilon, norm)
    expected = exact(current, images, gradient, step_size=step_size, epsilon=epsilon, norm=norm)
    assert moved.dtype == images.dtype
    assert moved.shape == images.shape
    error = float((moved.double() - expected).abs().max())
    assert error <= TOLERANCE[images.dtype], f"error {error:.2e}"
    return moved


def calls() -> Iterator[tuple[int, Callable[[], object]]]:
    """The most launches that a step may make, and the step: in one piece, in chunks that wait, in two readings."""
    for norm, size, most in (("linf", 50, 1), ("l2", 50, 1), ("l2", 5 * CHUNK, 2), ("l2", 100 * CHUNK, 2)):
        images = torch.rand(3, size, device="cuda")
        yield most, partial(ball_step, images, images, images, step_size=0.1, epsilon=0.1, norm=norm)


@pytest.mark.parametrize("norm", EPSILON)
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [(shape, dtype) for shape in HELD_SHAPES for dtype in TOLERANCE]
    + [(shape, torch.float32) for shape in SPLIT_SHAPES]
    + [(SPLIT_SHAPES[0], dtype) for dtype in (torch.bfloat16, torch.float16)]
    + [slow(shape, dtype) for shape in SPLIT_SHAPES[1:] for dtype in (torch.bfloat16, torch.float16)],
)
def test_every_norm_dtype_and_shape(shape, dtype, norm):
    check(*batch(shape, dtype), 0.3 * EPSILON[norm], EPSILON[norm], norm)


@on_a_device
@pytest.mark.parametrize("norm", EPSILON)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", LARGE)
def test_large_shapes(shape, dtype, norm):
    check(*batch(shape, dtype), 0.3 * EPSILON[norm], EPSILON[norm], norm)


def test_linf_in_float32_is_the_reference_to_the_last_bit():
    current, images, gradient = batch((3, 700))
    settings = {"step_size": 0.013, "epsilon": 0.05, "norm": "linf"}
    assert torch.equal(fused(current, images, gradient, *settings.values()), reference(*batch((3, 700)), **settings))


STEPS, RADII = (0.0, -0.2, 1e-6, 3.0, 1e4), (0.0, 1e-4, 0.5, 100.0)
SOME = list(zip(STEPS, (0.5, 0.0, 1e-4, 100.0, 0.5), strict=True))


@pytest.mark.parametrize(
    ("step_size", "epsilon", "size"),
    [(*pair, 50) for pair in itertools.product(STEPS, RADII)]
    + [(*pair, HELD + 50) for pair in SOME]
    + [slow(*pair, HELD + 50) for pair in itertools.product(STEPS, RADII) if pair not in SOME],
)
@pytest.mark.parametrize("norm", EPSILON)
def test_every_step_and_radius(norm, epsilon, step_size, size):
    check(*batch((2, size)), step_size, epsilon, norm)


RATIOS = (0.5, 0.999, 1.0, 1.5, 1.99, 2.0, 2.01, 3.0, 50.0)


@pytest.mark.parametrize(
    ("ratio", "size"),
    [(ratio, 50) for ratio in RATIOS]
    + [(ratio, HELD + 50) for ratio in (0.999, 2.0, 50.0)]
    + [slow(ratio, HELD + 50) for ratio in RATIOS if ratio not in (0.999, 2.0, 50.0)],
)
def test_a_step_straight_back_from_the_sphere_keeps_its_digits(ratio, size):
    """‖d‖² + 2a⟨d, g⟩ + a²‖g‖² cancels most here. In the ball it costs a digit at most, and only there is it used."""
    generator = torch.Generator().manual_seed(size)
    away = torch.randn(2, size, generator=generator)
    away *= 0.2 / away.norm(dim=1, keepdim=True)
    images = torch.full((2, size), 0.5)
    tensors = [x.to(DEVICE) for x in (images + away, images, -1e-3 * away)]
    check(*tensors, 0.2 * ratio, 0.2, "l2")


@pytest.mark.parametrize("norm", EPSILON)
@pytest.mark.parametrize("size", [40, HELD + 40])
def test_a_zero_gradient_leaves_the_image_where_it_is_and_its_neighbours_move(size, norm):
    current, images, gradient = batch((3, size))
    current[1] = (images[1] + 1e-4).clamp(0, 1)  # inside both balls
    gradient[1] = 0
    moved = check(current, images, gradient, 0.02, 1.0, norm)
    assert float((moved[1] - current[1]).abs().max()) < 1e-7
    assert not torch.equal(moved[0], current[0])


@pytest.mark.parametrize("size", [40, HELD + 40])
def test_a_gradient_shorter_than_1e_12_makes_a_shorter_step(size):
    current, images, gradient = batch((1, size))
    moved = check(current, images, gradient * (2e-13 / gradient.norm()), 0.5, 100.0, "l2")
    assert not torch.equal(moved, current)


@pytest.mark.parametrize("size", [40, HELD + 40])
def test_what_is_not_a_number_stays_visible_in_its_image_alone(size):
    for position in range(3):
        tensors = batch((3, size))
        tensors[position][1, 7] = math.nan
        assert fused(*tensors, 0.02, 0.05, "linf").isnan().nonzero().tolist() == [[1, 7]]
        moved = fused(*tensors, 0.02, 0.05, "l2")
        assert moved[1].isnan().all()
        assert not moved[[0, 2]].isnan().any()


@pytest.fixture(params=[3, 12])
def waiting(request, monkeypatch):
    """Programs that wait for each other: on a GPU they do; interpreted they must run side by side, at least a few."""
    monkeypatch.setitem(fused.__globals__, "CHUNK", 1024)
    monkeypatch.setitem(fused.__globals__, "HELD", 64)
    if INTERPRETED:
        monkeypatch.setitem(fused.__globals__, "_side_by_side", lambda device: 2 * request.param)
        programs_as_threads(monkeypatch, request.param)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(5, 3 * 1024), (4, 2, 1030), (6, 1000)])
def test_programs_that_wait_for_each_other_take_the_same_step(waiting, shape, dtype):
    """As many programs at a time as an image has chunks, and no more, come to an end."""
    check(*batch(shape, dtype), 0.3 * EPSILON["l2"], EPSILON["l2"], "l2")


def test_programs_that_wait_show_what_is_not_a_number_and_leave_what_has_no_gradient(waiting):
    current, images, gradient = batch((4, 2100))
    current[3] = (images[3] + 1e-4).clamp(0, 1)
    gradient[1, 7], gradient[3] = math.nan, 0
    moved = fused(current, images, gradient, 0.02, 1.0, "l2")
    assert moved[1].isnan().all()
    assert not moved[[0, 2, 3]].isnan().any()
    assert float((moved[3] - current[3]).abs().max()) < 1e-7
    kept = [0, 2]
    assert torch.equal(moved[kept], fused(current[kept], images[kept], gradient[kept], 0.02, 1.0, "l2"))


@on_a_device
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_programs_that_wait_give_the_same_bits_in_every_run(dtype, monkeypatch):
    tensors = batch((256, 3, 224, 224), dtype)
    moved = fused(*tensors, 0.1, 0.5, "l2")
    for _ in range(20):
        assert torch.equal(fused(*tensors, 0.1, 0.5, "l2"), moved)
    monkeypatch.setitem(fused.__globals__, "_side_by_side", lambda device: 1)
    torch.testing.assert_close(fused(*tensors, 0.1, 0.5, "l2"), moved, rtol=0, atol=2 * TOLERANCE[dtype])


def test_held_or_in_chunks_the_step_is_one(monkeypatch):
    tensors = batch((3, 3 * CHUNK + 5))
    held = fused(*tensors, 0.1, 0.5, "l2")
    monkeypatch.setitem(fused.__globals__, "HELD", CHUNK)
    torch.testing.assert_close(fused(*tensors, 0.1, 0.5, "l2"), held, rtol=0, atol=1e-6)


def test_nothing_is_written_beyond_the_end():
    current, images, gradient = (x.flatten() for x in batch((2, 13)))
    for kernel, grid, sizes in ((_linf, (1,), (26,)), (_held, (2,), (13,))):
        moved = torch.full((40,), 7.0, device=DEVICE)
        constant = {"BLOCK" if kernel is _linf else "TILE": 32}
        kernel[grid](current, images, gradient, moved, *sizes, 0.1, 0.5, **constant)
        assert (moved[26:] == 7).all()
        assert not (moved[:26] == 7).any()
    moved, sums = torch.full((40,), 7.0, device=DEVICE), torch.full((20,), 7.0, device=DEVICE)
    _sums[(4,)](current, images, gradient, sums, 13, 2, CHUNK=8)
    _move[(4,)](current, images, gradient, sums, moved, 13, 2, 0.1, 0.5, CHUNK=8, CHUNKS=2)
    assert (moved[26:] == 7).all()
    assert not (moved[:26] == 7).any()
    assert (sums[12:] == 7).all()
    moved, sums = torch.full((40,), 7.0, device=DEVICE), torch.full((20,), 7.0, device=DEVICE)
    state = torch.zeros(3, dtype=torch.int32, device=DEVICE)
    _together[(2,)](current, images, gradient, state, sums, moved, 13, 1, 0.1, 0.5, CHUNK=16, CHUNKS=1)
    assert state.tolist() == [2, 1, 1]
    assert (moved[26:] == 7).all()
    assert not (moved[:26] == 7).any()
    assert (sums[6:] == 7).all()


def test_the_sums_are_those_of_each_chunk():
    current, images, gradient = batch((2, 13))
    sums = torch.empty(3, 2, 2, device=DEVICE)
    _sums[(4,)](current, images, gradient, sums, 13, 2, CHUNK=8)
    d = current - images
    for row, product in zip(sums, (gradient * gradient, d * gradient, d * d), strict=True):
        expected = torch.stack([product[:, :8].sum(dim=1), product[:, 8:].sum(dim=1)], dim=1)
        torch.testing.assert_close(row, expected)


@pytest.mark.parametrize("norm", EPSILON)
def test_any_strides(norm):
    tensors = batch((4, 3, 6, 5))
    plain = fused(*tensors, 0.02, EPSILON[norm], norm)
    last = [x.to(memory_format=torch.channels_last) for x in tensors]
    moved = fused(*last, 0.02, EPSILON[norm], norm)
    assert moved.is_contiguous(memory_format=torch.channels_last), "no copy: each image is in one piece"
    torch.testing.assert_close(moved, plain, rtol=0, atol=1e-6)
    for views in (
        (last[0], tensors[1], last[2]),
        [x.repeat_interleave(2, dim=3)[..., ::2] for x in tensors],
        [x.transpose(2, 3).contiguous().transpose(2, 3) for x in tensors],
        [torch.cat([x, x], dim=1)[:, :3] for x in tensors],
    ):
        torch.testing.assert_close(fused(*views, 0.02, EPSILON[norm], norm), plain, rtol=0, atol=1e-6)
    one = [x[:1].expand(4, -1, -1, -1) for x in tensors]  # stride 0
    torch.testing.assert_close(fused(*one, 0.02, EPSILON[norm], norm), plain[:1].expand(4, -1, -1, -1))


@pytest.mark.parametrize("norm", EPSILON)
@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (2, 0)])
def test_nothing_to_move_is_moved(shape, norm):
    empty = torch.empty(shape, device=DEVICE)
    assert fused(empty, empty, empty, 0.1, 0.1, norm).shape == shape


def test_the_inputs_are_left_as_they_are():
    for norm in EPSILON:
        tensors = batch((2, 50))
        fused(*tensors, 0.1, 0.05, norm)
        assert all(map(torch.equal, tensors, batch((2, 50))))


@on_a_device
@pytest.mark.parametrize("norm", EPSILON)
def test_the_public_function_takes_the_kernels(norm):
    tensors = batch((4, 3, 150, 150))
    moved = ball_step(*tensors, step_size=0.02, epsilon=0.5, norm=norm)
    assert torch.equal(moved, fused(*tensors, 0.02, 0.5, norm)), "the same sums in the same order, run for run"
    wide = [x.double() for x in tensors]
    expected = exact(*wide, step_size=0.02, epsilon=0.5, norm=norm)
    torch.testing.assert_close(ball_step(*wide, step_size=0.02, epsilon=0.5, norm=norm), expected, rtol=0, atol=1e-14)


@on_a_device
@pytest.mark.parametrize("norm", EPSILON)
def test_more_entries_than_an_int32_counts(norm):
    shape = (15_000, 3, 224, 224)  # 2.26e9 entries of two bytes
    if torch.cuda.mem_get_info()[0] < 6 * 2 * math.prod(shape):
        pytest.skip("needs 27 GB of free GPU memory")
    images = torch.rand(shape, device=DEVICE, dtype=torch.bfloat16)
    gradient = torch.randn(shape, device=DEVICE, dtype=torch.bfloat16)
    moved = fused(images, images, gradient, 0.02, 0.5, norm)
    tail = fused(images[-2:], images[-2:], gradient[-2:], 0.02, 0.5, norm)
    torch.testing.assert_close(moved[-2:], tail, rtol=0, atol=2**-8)
