"""The clipping kernels on a GPU: `pytest --noconftest -m gpu tests/test_kernels_gpu*.py` runs every kernel's.

That needs torch, triton, pytest and numpy alone. With TRITON_INTERPRET=1 the kernels run in Triton's interpreter, on
the CPU; what is large, or needs a device, is left to the GPU.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module

import numpy as np
import pytest
import torch
from kernel_checks import DEVICE, on_a_device, on_a_gpu_or_interpreted
from torch import Tensor

from tml_helpers.kernels import clip_and_sum
from tml_helpers.kernels.clip_and_sum import BLOCK, _squares, _weighted_sum, _weights, fused, parts_of_a_row

module = import_module("tml_helpers.kernels.clip_and_sum")
pytestmark = on_a_gpu_or_interpreted

FLOATS = [torch.float32, torch.bfloat16, torch.float16]


def calls() -> Iterator[tuple[int, Callable[[], object]]]:
    """The most launches that a call may make, and the call: lengths, weights and sum; no weights, where a program reads
    all of a row; zeros, where there is nothing."""
    for shape, most in (((4, 100), 2), ((4, BLOCK), 2), ((4, 3 * BLOCK), 3), ((3000, 2 * BLOCK), 2), ((0, 5), 1)):
        for dtype in FLOATS:
            yield most, partial(clip_and_sum, torch.zeros(shape, dtype=dtype, device="cuda"), clip_norm=1.0)
    wide = torch.zeros(100, 60, device="cuda")
    yield 2, partial(clip_and_sum, wide.as_strided((50, 31), (120, 1)), clip_norm=1.0)


def sample(rows: int, columns: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Rows of lengths from a tenth to ten, in no order."""
    generator = torch.Generator().manual_seed(rows + columns)
    directions = torch.nn.functional.normalize(torch.randn(rows, columns, generator=generator), dim=1)
    lengths = 10 ** (2 * torch.rand(rows, 1, generator=generator) - 1)
    return (lengths * directions).to(DEVICE, dtype)


def by_definition(gradients: Tensor, clip_norm: float) -> np.ndarray:
    """In float64, on the CPU."""
    rows = gradients.double().cpu().numpy()
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows * np.where(lengths <= clip_norm, 1, clip_norm / np.maximum(lengths, clip_norm))).sum(axis=0)


def check(gradients: Tensor, clip_norm: float = 1.0) -> None:
    found = fused(gradients, clip_norm)
    assert found.dtype == torch.float32
    assert found.shape == gradients.shape[1:]
    bound = 1e-6 * clip_norm * math.sqrt(1 + len(gradients))
    np.testing.assert_allclose(found.cpu().numpy(), by_definition(gradients, clip_norm), rtol=1e-5, atol=bound)


@pytest.fixture(params=["a program a row", "programs that share a row"])
def way(request, monkeypatch):
    """Both ways to a row's length, whatever its size: with few rows and long ones programs share them."""
    parts = {"a program a row": lambda batch, size: 1, "programs that share a row": lambda batch, size: 3}
    monkeypatch.setattr(module, "parts_of_a_row", parts[request.param])


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("columns", [1, 7, 64, 65, 1000, BLOCK - 1, BLOCK, 2 * BLOCK + 5])
@pytest.mark.parametrize("rows", [1, 5])
def test_every_number_of_columns(rows, columns):
    check(sample(rows, columns))


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 31, 64, 65, 200])
@pytest.mark.parametrize("columns", [65, 256])
def test_every_number_of_rows(rows, columns):
    check(sample(rows, columns))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("columns", [130, BLOCK + 16])
@pytest.mark.parametrize("clip_norm", [1e-15, 0.5, 1e15])
def test_every_dtype_and_clip_norm(dtype, columns, clip_norm):
    check(sample(9, columns, dtype), clip_norm)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("many", [0, 10**9])
def test_wide_and_narrow_pieces(many, dtype, monkeypatch):
    monkeypatch.setattr(module, "MANY", many)
    check(sample(40, 1100, dtype))


def test_many_programs_share_few_rows():
    rows = sample(2, 9 * BLOCK + 3)
    assert parts_of_a_row(*rows.shape) == 9
    check(rows)


@pytest.mark.parametrize("dtype", FLOATS)
def test_any_strides(dtype):
    wide = sample(12, 90, dtype)
    for view in (wide[::2, :31], wide[:, 3:67], wide.T, wide[:, ::3], wide[:1].expand(4, 90), wide[:, :1]):
        check(view)


def test_no_rows_and_no_columns():
    assert fused(torch.empty(0, 3, device=DEVICE), 1.0).tolist() == [0, 0, 0]
    assert fused(torch.empty(3, 0, device=DEVICE), 1.0).tolist() == []


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("columns", [50, 2 * BLOCK + 7])
def test_a_zero_row_adds_zeros_and_one_that_is_as_long_as_allowed_is_whole(columns):
    gradients = torch.zeros(3, columns, device=DEVICE)
    assert not fused(gradients, 1.0).any()
    gradients[1, -1], gradients[2, 0] = -2, 8
    found = fused(gradients, 2.0)
    assert (found[0].item(), found[-1].item()) == (2, -2)
    assert found.count_nonzero() == 2


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("clip_norm", [3.3, 0.7 * 7, 1e15])
def test_rows_that_are_short_are_added_to_the_bit(clip_norm):
    """A division or a root that is only nearly right would make of C / C a little less than 1."""
    gradients = torch.randint(-2, 3, (40, 4), device=DEVICE) / 2.0
    gradients = torch.nn.functional.pad(gradients, (BLOCK, 3))
    assert torch.equal(fused(gradients, clip_norm), gradients.sum(dim=0))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("columns", [50, BLOCK + 7])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e20])
def test_a_row_that_is_not_finite_or_too_long_is_not_left_out_in_silence(columns, place, wrong):
    gradients = torch.ones(4, columns, device=DEVICE)
    gradients[2, place] = wrong
    assert fused(gradients, 1.0).isnan().all()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_squares_of_16_bits_neither_overflow_nor_vanish(dtype):
    gradients = torch.zeros(2, 2 * BLOCK + 7, dtype=dtype, device=DEVICE)
    gradients[0, 0], gradients[1, -1] = 5000, 1e-4
    found = fused(gradients, 2e-5)
    assert found[[0, -1]].tolist() == pytest.approx([2e-5, 2e-5], rel=1e-5)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("rows", [1, 33])
def test_the_same_bits_twice(rows):
    gradients = sample(rows, BLOCK + 9)
    assert torch.equal(fused(gradients, 0.7), fused(gradients.clone(), 0.7))


def test_nothing_is_written_beyond_the_end():
    gradients = sample(3, 50)
    squares, weights, total = (torch.full((80,), -7.0, device=DEVICE) for _ in range(3))
    _squares[(6,)](gradients, squares, 50, 50, 2, 1.0, ALONE=False, BLOCK=32)
    assert (squares[6:] == -7).all()
    assert (squares[:6] >= 0).all()
    _weights[(3,)](squares, weights, 2, 1.0, PARTS=2)
    assert (weights[3:] == -7).all()
    assert ((weights[:3] > 0) & (weights[:3] <= 1)).all()
    _weighted_sum[(2,)](gradients, weights, total, 3, 50, 50, ROWS=4, COLUMNS=32)
    assert (total[50:] == -7).all()
    np.testing.assert_allclose(total[:50].cpu().numpy(), by_definition(gradients, 1.0), atol=1e-5)


@pytest.mark.slow
def test_as_many_columns_as_take_wide_pieces():
    check(sample(5, module.MANY + 17))


@on_a_device
@pytest.mark.parametrize("dtype", [*FLOATS, torch.float64])
@pytest.mark.parametrize("shape", [(256, 100_000), (256, 1000), (3, 1_000_001), (5000, 33)])
def test_the_public_function_is_right_on_a_device(dtype, shape):
    gradients = sample(*shape).to(dtype)
    found = clip_and_sum(gradients, clip_norm=0.7)
    assert found.is_cuda
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    np.testing.assert_allclose(found.cpu().numpy(), by_definition(gradients, 0.7), rtol=1e-5, atol=1e-4)


@on_a_device
def test_more_entries_than_an_int32_counts():
    rows, columns = 4400, 500_000
    if torch.cuda.mem_get_info()[0] < 3 * rows * columns:
        pytest.skip("needs 7 GB of free GPU memory")
    gradients = torch.zeros(rows, columns, dtype=torch.bfloat16, device=DEVICE)
    gradients[:, -1] = 1
    gradients[-1] = 0
    gradients[-1, 7] = -4
    found = clip_and_sum(gradients, clip_norm=0.5)
    assert found[[7, -1]].tolist() == [-0.5, 0.5 * (rows - 1)]
    assert found.count_nonzero() == 2
