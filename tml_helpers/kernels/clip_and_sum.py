"""Σ_i g_i · min(1, C/‖g_i‖): the gradients of a batch, each cut to length C, added up.

The length of a row has to be known before its first entry can be added, so all rows are read twice: for the lengths,
and for the sum. Fewest bytes: 2·N·P·b for N rows of P entries of b bytes; the second reading is free as far as the
cache still has the first. (One reading would do if all processors held their share of some rows and waited for each
other's sums.) Plain PyTorch, operation by operation, writes all clipped rows, and reads them: 4·N·P·b.

What is summed is the sensitive part of private training: in float32 at least, in an order that does not change from
run to run, and without a row that is left out in silence. Derived in: lectures/09_kernels/clip_and_sum
"""

from __future__ import annotations

from numbers import Real

import torch
from torch import Tensor

from tml_helpers.kernels._kind import kind
from tml_helpers.kernels._triton import jit, tl, triton

CACHE = 2**20  # entries that the CPU takes at a time, but not fewer than so many rows:
FEWEST = 16
BLOCK = 4096  # entries of a row that a program reads at a time
PARTS = 2048  # programs that share the rows: on every GPU as many, so that the order of the sums is the same
WARPS = 8  # of a program
TILE = 2**14  # bytes that a program reads at a time for the sum
MANY = 2**17  # columns: from here on there are enough of them to take wide pieces
SMALLEST, LARGEST = 1e-15, 1e15  # clip norms whose squares, and those of what is shorter, stay far inside of float32


def reference(gradients: Tensor, clip_norm: float) -> Tensor:
    """The sum as one writes it in plain PyTorch: what the kernel is checked against."""
    wide = gradients.to(wide_dtype(gradients))
    weights = (clip_norm / torch.linalg.vector_norm(wide, dim=1)).clamp_max(1.0)  # a zero row's is min(1, ∞)
    total: Tensor = (weights[:, None] * wide).sum(dim=0)
    return total


def wide_dtype(gradients: Tensor) -> torch.dtype:
    """What is summed in: float32, or float64 for float64."""
    return torch.promote_types(gradients.dtype, torch.float32)


# ---------------------------------------------------------------------------------------------- without a GPU


def by_parts(gradients: Tensor, clip_norm: float) -> Tensor:
    """The same, some rows at a time, which a cache may have when they are read again; no clipped row is written."""
    at_a_time = max(FEWEST, CACHE // max(1, gradients.shape[1]))
    total = torch.zeros(gradients.shape[1], dtype=wide_dtype(gradients), device=gradients.device)
    for rows in torch.split(gradients, at_a_time):
        wide = rows.to(total.dtype)
        lengths = torch.linalg.vector_norm(wide, dim=1)
        weights = (clip_norm / lengths).clamp_max_(1.0)
        weights += 0 * lengths  # an infinite length makes it no number, and not 0, which would leave the row out
        total.addmv_(wide.T, weights)
    return total


# --------------------------------------------------------------------------------------------------- on a GPU


@jit
def _weight(square, clip_norm):  # type: ignore[no-untyped-def]
    """min(1, C/‖g‖) from ‖g‖²; not a number where ‖g‖² is none, or beyond float32."""
    weight = tl.div_rn(clip_norm, tl.maximum(tl.sqrt_rn(square), clip_norm))  # rounded as IEEE says, so that 1 is 1
    return tl.where(square < float("inf"), weight, float("nan"))


@jit
def _squares(  # type: ignore[no-untyped-def]
    gradients, squares,  # pointers
    size, stride, parts, clip_norm,
    ALONE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Every so many-th block of a row: its share of ‖g‖²; the row's weight, if the program reads all of it."""
    row, part = tl.program_id(0) // parts, tl.program_id(0) % parts
    block = tl.arange(0, BLOCK)
    here = gradients + row.to(tl.int64) * stride  # may exceed 2³¹
    whole = size // BLOCK * BLOCK
    held = tl.zeros((BLOCK,), tl.float32)
    for first in range(part.to(tl.int64) * BLOCK, whole, parts * BLOCK):
        x = tl.load(here + first + block).to(tl.float32)  # without a condition, 16 bytes can be one load
        held += x * x
    if part == parts - 1:  # what is left of the row
        x = tl.load(here + whole + block, whole + block < size, 0.0).to(tl.float32)
        held += x * x
    square = tl.sum(held, 0)
    tl.store(squares + tl.program_id(0), _weight(square, clip_norm) if ALONE else square)


@jit
def _weights(  # type: ignore[no-untyped-def]
    squares, weights,
    parts, clip_norm,
    PARTS: tl.constexpr,  # the least power of 2 that is `parts` or more
):  # fmt: skip
    """The weight of a row, from what its parts add to ‖g‖²."""
    row, part = tl.program_id(0), tl.arange(0, PARTS)
    square = tl.sum(tl.load(squares + row.to(tl.int64) * parts + part, part < parts, 0.0), 0)
    tl.store(weights + row, _weight(square, clip_norm))


@jit
def _sum_of(  # type: ignore[no-untyped-def]
    gradients, weights, columns, inside, batch, stride,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Σ_i weights_i · g_i in these columns: ROWS sums side by side, of every so many-th row, and then their sum."""
    held = tl.zeros((ROWS, COLUMNS), tl.float32)
    for first in range(0, batch, ROWS):
        row = first + tl.arange(0, ROWS)
        weight = tl.load(weights + row, row < batch, 0.0)
        here = gradients + row.to(tl.int64)[:, None] * stride + columns[None, :]  # may exceed 2³¹
        held += weight[:, None] * tl.load(here, (row < batch)[:, None] & inside[None, :], 0.0).to(tl.float32)
    return tl.sum(held, 0)


@jit
def _weighted_sum(  # type: ignore[no-untyped-def]
    gradients, weights, total,
    batch, size, stride,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Some columns of all rows, the last ones first: they were read last, so the cache may still have them."""
    program = tl.num_programs(0) - 1 - tl.program_id(0)
    columns = program.to(tl.int64) * COLUMNS + tl.arange(0, COLUMNS)
    if (program + 1).to(tl.int64) * COLUMNS <= size:
        everywhere = tl.full((COLUMNS,), 1, tl.int1)
        tl.store(total + columns, _sum_of(gradients, weights, columns, everywhere, batch, stride, ROWS, COLUMNS))
    else:
        inside = columns < size
        found = _sum_of(gradients, weights, columns, inside, batch, stride, ROWS, COLUMNS)
        tl.store(total + columns, found, inside)


def parts_of_a_row(batch: int, size: int) -> int:
    """How many programs share a row: so many that all rows keep a GPU busy, but none of them without a block."""
    return max(1, min(-(-PARTS // batch), size // BLOCK))


def tile(batch: int, size: int, entry: int) -> tuple[int, int, int]:
    """Rows and columns that a program of the sum reads at a time, and its warps; an entry has so many bytes."""
    width = 1024 if size >= MANY else 256
    rows = min(triton.next_power_of_2(batch), TILE // width)
    return rows, width // entry, min(WARPS, max(1, rows * width // 512))  # 32 threads of 16 bytes


def fused(gradients: Tensor, clip_norm: float) -> Tensor:
    """The same in three launches, or two where a program reads all of a row; the host waits for nothing."""
    if gradients.stride(1) != 1:
        gradients = gradients.contiguous()
    (batch, size), device, stride = gradients.shape, gradients.device, gradients.stride(0)
    if batch == 0 or size == 0:
        return torch.zeros(size, device=device)
    parts = parts_of_a_row(batch, size)
    rows, columns, warps = tile(batch, size, gradients.element_size())
    squares, total = torch.empty(batch * parts, device=device), torch.empty(size, device=device)
    weights = squares if parts == 1 else torch.empty(batch, device=device)
    with torch.cuda.device_of(gradients):
        _squares[(batch * parts,)](
            gradients, squares, size, stride, parts, clip_norm, ALONE=parts == 1, BLOCK=BLOCK, num_warps=WARPS
        )
        if parts > 1:
            _weights[(batch,)](squares, weights, parts, clip_norm, PARTS=triton.next_power_of_2(parts), num_warps=1)
        _weighted_sum[(triton.cdiv(size, columns),)](
            gradients, weights, total, batch, size, stride, ROWS=rows, COLUMNS=columns, num_warps=warps
        )
    return total


# --------------------------------------------------------------------------------------------------- the function


@torch.no_grad()
def clip_and_sum(gradients: Tensor, *, clip_norm: float) -> Tensor:
    """Σ_i g_i · min(1, C/‖g_i‖): rows longer than C are cut to that length, and all are added up.

    Without one row the sum moves by C at most, up to rounding: that is what the noise of private training hides.

    Args:
        gradients: g, `[N, P]`, a row for each example, of float16, bfloat16, float32 or float64; any strides. A GPU
            reads 16 bytes at a time only if each row begins at a multiple of 16 entries, so for an odd P it pays to
            give the first P columns of a wider tensor.
        clip_norm: C, from 1e-15 to 1e15.

    Returns:
        The sum `[P]`, zeros for an empty batch; float64 for float64, else float32, for two sums that are rounded to 16
        bits may differ by far more than C. A zero row adds zeros. No value is checked, since the host would have to
        wait for a GPU. A row with an entry that is NaN or infinite, or whose length exceeds 1e19 in float32, makes the
        whole sum NaN: none is left out in silence. The same input gives the same bits on the same device. No gradient
        flows through it.

    Raises:
        TypeError: `gradients` is not a floating-point tensor, or `clip_norm` is not a number.
        ValueError: `gradients` is not `[N, P]`, or `clip_norm` lies out of range.

    Source: Abadi et al., 2016. Derived in: lectures/09_kernels/clip_and_sum
    """
    _check(gradients, clip_norm)
    on_a_gpu = gradients.is_cuda and triton is not None and gradients.dtype != torch.float64
    return (fused if on_a_gpu else by_parts)(gradients, float(clip_norm))


def _check(gradients: Tensor, clip_norm: float) -> None:
    """Raises TypeError or ValueError, in one sentence, for what can be seen without a look at the gradients."""
    if not isinstance(gradients, Tensor) or not gradients.is_floating_point():
        raise TypeError(f"gradients must be a floating-point tensor, got {kind(gradients)}")
    if gradients.ndim != 2:
        raise ValueError(f"gradients must be [N, P], a row for each example, got shape {list(gradients.shape)}")
    if isinstance(clip_norm, bool) or not isinstance(clip_norm, Real):
        raise TypeError(f"clip_norm must be a number, got {kind(clip_norm)}")
    if not SMALLEST <= clip_norm <= LARGEST:
        raise ValueError(f"clip_norm must be a positive number, from {SMALLEST:g} to {LARGEST:g}, got {clip_norm}")
