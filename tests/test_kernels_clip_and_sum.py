"""kernels.clip_and_sum without a GPU: the definition, PyTorch's own clipping, laws and edges; compiled for one."""

import math
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from kernel_checks import compiled, instructions, needs_triton, offsets, resources
from torch import Tensor

from tml_helpers.kernels import clip_and_sum
from tml_helpers.kernels.clip_and_sum import (
    BLOCK,
    MANY,
    PARTS,
    TILE,
    WARPS,
    _squares,
    _weighted_sum,
    _weights,
    parts_of_a_row,
    reference,
    tile,
)

module = import_module("tml_helpers.kernels.clip_and_sum")
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
shapes = st.tuples(st.integers(1, 9), st.integers(1, 30))
seeds = st.integers(0, 2**31)
norms = st.sampled_from([1e-3, 0.5, 1.0, 2.0, 4.0, 1e3])


def sample(shape: tuple[int, int], seed: int = 0) -> Tensor:
    """Rows of lengths from a fiftieth to about fifty, float64."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(shape, generator=generator, dtype=torch.float64)
    return rows * torch.exp(4 * torch.rand(shape[0], 1, generator=generator, dtype=torch.float64) - 2)


def by_definition(gradients: Tensor, clip_norm: float) -> np.ndarray:
    """Row by row, in float64."""
    total = np.zeros(gradients.shape[1])
    for row in gradients.double().numpy():
        length = math.sqrt(math.fsum(row * row))
        total += row if length <= clip_norm else row * (clip_norm / length)
    return total


# ------------------------------------------------------------------------------------------------- the definition


@given(shape=shapes, clip_norm=norms, seed=seeds)
def test_equals_the_definition(shape, clip_norm, seed):
    gradients = sample(shape, seed)
    expected = by_definition(gradients, clip_norm)
    for function in (lambda x: clip_and_sum(x, clip_norm=clip_norm), lambda x: reference(x, clip_norm)):
        found = function(gradients)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12 * shape[0] * clip_norm)
        assert found.dtype == torch.float64


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_dtype_is_summed_in_32_bits_at_least(dtype):
    gradients = sample((40, 3000)).to(dtype)
    found = clip_and_sum(gradients, clip_norm=1.5)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    np.testing.assert_allclose(found.numpy(), by_definition(gradients, 1.5), rtol=0, atol=2e-6)


def test_each_row_is_clipped_as_pytorch_clips_a_parameter():
    """Which divides by the norm plus one millionth."""
    gradients = sample((12, 50)).float()
    expected = torch.zeros(50)
    for row in gradients:
        parameter = torch.zeros(50, requires_grad=True)
        parameter.grad = row.clone()
        torch.nn.utils.clip_grad_norm_([parameter], 0.7)
        expected += parameter.grad
    torch.testing.assert_close(clip_and_sum(gradients, clip_norm=0.7), expected, rtol=0, atol=2e-5)


def test_by_hand():
    gradients = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.6, 0.8], [0.0, -0.5], [-6.0, 8.0]])
    found = clip_and_sum(gradients, clip_norm=1.0)  # 5, 0, exactly 1, 0.5 and 10 long
    torch.testing.assert_close(found, torch.tensor([0.6 + 0.6 - 0.6, 0.8 + 0.8 - 0.5 + 0.8]))


@given(shape=shapes, clip_norm=norms, seed=seeds)
def test_without_one_row_the_sum_moves_by_the_clip_norm_at_most(shape, clip_norm, seed):
    """The law that private training rests on; a row that is longer moves it by just that."""
    gradients = sample(shape, seed)
    moved = clip_and_sum(gradients, clip_norm=clip_norm) - clip_and_sum(gradients[1:], clip_norm=clip_norm)
    length = float(gradients[0].norm())
    assert float(moved.norm()) == pytest.approx(min(length, clip_norm), rel=1e-9, abs=1e-9)


@given(shape=shapes, clip_norm=norms, seed=seeds)
def test_neither_the_order_of_rows_nor_a_common_scale_nor_parts_matter(shape, clip_norm, seed):
    gradients = sample(shape, seed)
    found = clip_and_sum(gradients, clip_norm=clip_norm)
    near = {"rtol": 1e-11, "atol": 1e-11 * clip_norm}
    order = torch.randperm(shape[0], generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(clip_and_sum(gradients[order], clip_norm=clip_norm), found, **near)
    torch.testing.assert_close(clip_and_sum(gradients / 4, clip_norm=clip_norm / 4), found / 4, **near)
    torch.testing.assert_close(clip_and_sum(-gradients, clip_norm=clip_norm), -found, **near)
    half = shape[0] // 2
    parts = clip_and_sum(gradients[:half], clip_norm=clip_norm) + clip_and_sum(gradients[half:], clip_norm=clip_norm)
    torch.testing.assert_close(parts, found, **near)


def test_rows_that_are_short_are_added_as_they_are():
    gradients = torch.randint(-8, 9, (20, 33), generator=torch.Generator().manual_seed(0)).float()
    assert torch.equal(clip_and_sum(gradients, clip_norm=1000.0), gradients.sum(dim=0))
    of_length_5 = torch.tensor([[3.0, 0.0, -4.0]])
    assert torch.equal(clip_and_sum(of_length_5, clip_norm=5.0), of_length_5[0])


# ------------------------------------------------------------------------------------------------------- the edges


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_zero_row_adds_zeros(dtype):
    gradients = torch.zeros(3, 5, dtype=dtype)
    assert clip_and_sum(gradients, clip_norm=1.0).tolist() == 5 * [0.0]
    gradients[1, 2] = 2
    assert clip_and_sum(gradients, clip_norm=1.0).tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize(("shape", "expected"), [((0, 4), 4 * [0.0]), ((3, 0), []), ((0, 0), [])])
@pytest.mark.parametrize("dtype", FLOATS)
def test_no_rows_and_no_columns(shape, expected, dtype):
    found = clip_and_sum(torch.empty(shape, dtype=dtype), clip_norm=1.0)
    assert found.tolist() == expected
    assert found.dtype == torch.promote_types(dtype, torch.float32)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_is_not_left_out_in_silence(dtype, wrong):
    """PyTorch #46849: there an infinite norm makes the weight zero, and the gradient vanishes without a word."""
    gradients = torch.ones(4, 6, dtype=dtype)
    gradients[2, 3] = wrong
    assert clip_and_sum(gradients, clip_norm=1.0).isnan().all()


def test_a_length_that_overflows_is_not_left_out_in_silence():
    """PyTorch #193006: 1e20 is a float32 and its square is not, so the norm is infinite, and C over it is 0."""
    gradients = torch.zeros(2, 3)
    gradients[0, 0] = 1e20
    assert reference(gradients, 1.0).tolist() == [0, 0, 0], "plain PyTorch leaves the row out"
    assert clip_and_sum(gradients, clip_norm=1.0).isnan().all()
    assert clip_and_sum(gradients.double(), clip_norm=1.0).tolist() == [1, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_squares_of_16_bits_neither_overflow_nor_vanish(dtype):
    """fairscale #263: the square of 5,000 is no float16, so the norm was infinite. Nor is that of 1e-4."""
    gradients = torch.tensor([[5000.0, 0.0], [0.0, 1e-4]], dtype=dtype)
    found = clip_and_sum(gradients, clip_norm=2e-5)
    torch.testing.assert_close(found, torch.tensor([2e-5, 2e-5]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("clip_norm", [1e-15, 1e15])
def test_the_smallest_and_the_largest_clip_norm(clip_norm, dtype):
    gradients = clip_norm * torch.tensor([[30.0, 40.0], [0.3, 0.4], [0.0, 2e-3]], dtype=dtype)
    expected = clip_norm * torch.tensor([0.6 + 0.3, 0.8 + 0.4 + 2e-3], dtype=dtype)
    torch.testing.assert_close(clip_and_sum(gradients, clip_norm=clip_norm), expected, rtol=1e-6, atol=0)


def test_16_bits_are_not_what_the_sum_is_rounded_to():
    """In bfloat16, 128 and 129 are neighbours: rounded, the sum of 128.4 would move by one, and not by 0.2."""
    gradients = torch.full((643, 1), 0.2, dtype=torch.bfloat16)
    with_it, without = clip_and_sum(gradients, clip_norm=0.2), clip_and_sum(gradients[1:], clip_norm=0.2)
    assert float(with_it - without) == pytest.approx(0.2, rel=1e-3)
    assert abs(float(with_it.bfloat16() - without.bfloat16())) != pytest.approx(0.2, rel=0.5)


def test_any_strides_and_the_input_is_left_as_it_is():
    wide = sample((10, 60))
    views = [wide[::2, :31], wide.T, wide[:, ::3], wide[:1].expand(4, 60), wide[:, :1].expand(10, 7), wide[:, 5:6]]
    for view in views:
        before = view.clone()
        found = clip_and_sum(view, clip_norm=1.0).numpy()
        np.testing.assert_allclose(found, by_definition(view, 1.0), rtol=1e-10, atol=1e-12)
        assert torch.equal(view, before)


def test_rows_are_taken_a_part_at_a_time(monkeypatch):
    gradients = sample((11, 20))
    monkeypatch.setattr(module, "FEWEST", 2)
    for entries in (1, 59, 60, 219, 220):
        monkeypatch.setattr(module, "CACHE", entries)
        found = clip_and_sum(gradients, clip_norm=0.8).numpy()
        np.testing.assert_allclose(found, by_definition(gradients, 0.8), rtol=1e-10, atol=1e-12)


def test_no_gradient_flows_through_it():
    gradients = torch.ones(2, 3, requires_grad=True)
    assert not clip_and_sum(gradients, clip_norm=1.0).requires_grad


def test_bad_input_is_one_sentence():
    gradients = torch.ones(2, 3)
    with refuses(TypeError, "gradients", "floating-point", "list"):
        clip_and_sum([[1.0]], clip_norm=1.0)
    for dtype in (torch.int64, torch.bool, torch.complex64):
        with refuses(TypeError, "gradients", "floating-point", str(dtype)):
            clip_and_sum(gradients.to(dtype), clip_norm=1.0)
    for shape in ([6], [2, 3, 1], []):
        with refuses(ValueError, "[N, P]", str(shape)):
            clip_and_sum(torch.ones(shape), clip_norm=1.0)
    for norm, kind in ((True, "bool"), ("1", "str"), (None, "NoneType"), (torch.tensor(1.0), "tensor")):
        with refuses(TypeError, "clip_norm", kind):
            clip_and_sum(gradients, clip_norm=norm)
    for norm in (0, 0.0, -1.0, math.nan, math.inf, 9e-16, 1.1e15):
        with refuses(ValueError, "clip_norm", "1e-15", f"got {norm}"):
            clip_and_sum(gradients, clip_norm=norm)
    assert clip_and_sum(gradients, clip_norm=1).dtype == torch.float32


# --------------------------------------------------------------------------------------------------- on a GPU


@pytest.mark.parametrize("batch", [1, 3, 256, 2047, 2048, 10**6])
@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, 5 * BLOCK + 1, 10**6, 2**33])
def test_how_many_programs_share_a_row(batch, size):
    parts = parts_of_a_row(batch, size)
    assert 1 <= parts <= max(1, size // BLOCK), "each has a block to read"
    assert parts <= PARTS
    assert parts == 1 or batch * (parts - 1) < PARTS
    assert batch * parts >= PARTS or parts == max(1, size // BLOCK)


@needs_triton
@pytest.mark.parametrize("batch", [1, 3, 33, 256, 10**6])
@pytest.mark.parametrize("size", [1, MANY - 1, MANY])
@pytest.mark.parametrize("entry", [2, 4])
def test_a_tile_keeps_every_thread_at_work_and_is_made_of_powers_of_two(batch, size, entry):
    rows, columns, warps = tile(batch, size, entry)
    assert all(number & (number - 1) == 0 for number in (rows, columns, warps))
    assert warps == WARPS or rows * columns * entry <= max(512 * warps, 256), "a thread reads 16 bytes or more"
    assert 512 * warps <= max(512, rows * columns * entry)
    assert rows * columns * entry <= TILE
    assert rows < 2 * batch
    assert rows >= batch or rows * columns * entry == TILE
    assert columns * entry == (1024 if size >= MANY else 256)


KINDS = {"*fp32": 4, "*bf16": 2, "*fp16": 2}
NUMBERS = {"batch": "i32", "size": "i32", "stride": "i32", "parts": "i32", "clip_norm": "fp32"}


@needs_triton
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alone", [True, False])
def test_the_kernel_of_lengths_for_a_hopper_gpu(kind, alone):
    """Sixteen entries a thread and block, in loads of 16 bytes; no spills; no sum in an order that depends on luck."""
    types = {"gradients": kind, "squares": "*fp32", **NUMBERS}
    aligned = ["gradients", "squares", "size", "stride"]
    code = compiled(_squares, types, {"ALONE": alone, "BLOCK": BLOCK}, warps=WARPS, aligned=aligned)
    assert resources(code)["STACK"] == 0
    assert resources(code)["REG"] <= 64, "four programs of 256 threads fit a processor's registers"
    found = instructions(code)
    a_block = BLOCK * KINDS[kind] // (32 * WARPS * 16)
    assert found["LDG.E.128"] == 2 * a_block, "the loop's, and those of the rest"
    assert sum(count for name, count in found.items() if name.startswith("LDG")) == 2 * a_block
    assert not [name for name in found if name.startswith(("RED.", "ATOM"))]
    assert "i64" in offsets(code, kind[1:].replace("fp", "f")), "there may be more than 2³¹ entries"
    assert ("div.rn.f32" in code["ptx"]) == alone, "the weight C / C must be 1"


@needs_triton
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1000, 10**6])
@pytest.mark.parametrize("batch", [4, 256])
def test_the_kernel_of_the_sum_for_a_hopper_gpu(kind, size, batch):
    """A tile in loads of 16 bytes, even where P is odd and rows begin at multiples of 16; no spills, no atomics."""
    rows, columns, warps = tile(batch, size, KINDS[kind])
    types = {"gradients": kind, "weights": "*fp32", "total": "*fp32", **NUMBERS}
    tensors = ["gradients", "weights", "total", "stride"]
    for aligned in ([*tensors, "size"], tensors):
        code = compiled(_weighted_sum, types, {"ROWS": rows, "COLUMNS": columns}, warps=warps, aligned=aligned)
        assert resources(code)["STACK"] == 0
        assert resources(code)["REG"] <= (64 if "size" in aligned else 128)
        found = instructions(code)
        a_tile = rows * columns * KINDS[kind] // (32 * warps * 16)
        assert found["LDG.E.128"] >= a_tile * (2 if "size" in aligned else 1)
        assert not [name for name in found if name.startswith(("RED.", "ATOM"))]
    assert "i64" in offsets(code, kind[1:].replace("fp", "f")), "there may be more than 2³¹ entries"


@needs_triton
@pytest.mark.parametrize("ones", [("size", "stride"), ("size", "stride", "batch"), ("parts",)])
def test_what_is_1_is_known_to_the_compiler_and_compiles_all_the_same(ones):
    known = dict.fromkeys(ones, 1)
    pointers = {"gradients": "*fp32", "squares": "*fp32", "weights": "*fp32", "total": "*fp32"}
    for kernel, flags in (
        (_squares, {"ALONE": True, "BLOCK": BLOCK}),
        (_weights, {"PARTS": 1}),
        (_weighted_sum, {"ROWS": 1, "COLUMNS": 64}),
    ):
        values = {name: value for name, value in known.items() if name in kernel.arg_names}
        assert resources(compiled(kernel, {**pointers, **NUMBERS}, {**values, **flags}, warps=WARPS))["STACK"] == 0


@needs_triton
@pytest.mark.parametrize("wide", ["size", "stride"])
def test_more_than_an_int32_of_columns_compiles(wide):
    numbers = {**NUMBERS, wide: "i64", "stride": "i64"}
    for kernel, flags in ((_squares, {"ALONE": False, "BLOCK": BLOCK}), (_weighted_sum, {"ROWS": 16, "COLUMNS": 256})):
        pointers = dict.fromkeys(set(kernel.arg_names) - set(NUMBERS) - set(flags), "*fp32")
        code = compiled(kernel, {**pointers, **numbers}, flags, warps=WARPS, aligned=[*pointers, "size", "stride"])
        assert instructions(code)["LDG.E.128"] == 8


def test_without_triton_it_sums_all_the_same():
    code = (
        "import sys; sys.modules['triton'] = None; import torch; from tml_helpers.kernels import clip_and_sum\n"
        "print(clip_and_sum(torch.tensor([[3.0, 4.0], [0.0, 0.5]]), clip_norm=2.5).tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[1.5, 2.5]"


def test_a_clip_norm_of_numpy() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    wanted = clip_and_sum(rows, clip_norm=1.0)
    for number in (np.float32(1), np.float64(1), np.int64(1)):
        assert torch.equal(clip_and_sum(rows, clip_norm=number), wanted)
