"""TP[g, t] = #{i : groups_i = g, labels_i = 1, scores_i ≥ t}, and so FP, FN and TN: all confusion tables in one pass.

T thresholds part the scores into T + 1 bins. Whoever knows how many rows of each group and label lie in each bin knows
all tables: sums from above give TP and FP, and what is left of the totals is FN and TN. A row adds one to its cell:

    cell(i) = (2·groups_i + labels_i)·(T + 1) + #{t : t ≤ scores_i}

Fewest bytes: each score, label and group is read once, from 3 bytes a row (uint8 all three) to 24 (float64 and int64).
Plain PyTorch writes codes of 8 bytes and reads them, several times. Derived in: lectures/09_kernels/group_counts
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from tml_helpers.kernels._kind import kind
from tml_helpers.kernels._triton import jit, tl, triton

ROWS = 2**17  # rows that the CPU counts at a time: what it computes of them stays in its cache
FEW = 6  # thresholds that the CPU compares one by one
BLOCK = 4096  # rows that a program reads at a time
WARPS = 16  # of a program: eight rows for each thread
PROGRAMS = 2  # for each processor of a GPU: as many as its registers hold
WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True, eq=False)
class GroupCounts:
    """How many rows of each group each threshold puts right and wrong: int64 `[groups, thresholds]`, four times."""

    true_positives: Tensor
    false_positives: Tensor
    false_negatives: Tensor
    true_negatives: Tensor
    rows: int  # that were given

    @property
    def left_out(self) -> Tensor:
        """How many rows are in no table: those that the CPU refuses and a GPU passes over, else 0."""
        tables = self.true_positives + self.false_positives + self.false_negatives + self.true_negatives
        return self.rows - tables[:, 0].sum()


def reference(scores: Tensor, labels: Tensor, groups: Tensor, thresholds: Tensor, group_count: int) -> Tensor:
    """TP, FP, FN and TN as one writes them in plain PyTorch, int64 `[4, groups, thresholds]`."""
    bins = len(thresholds) + 1
    reached = torch.bucketize(scores, thresholds, right=True)  # how many thresholds each score reaches
    cells = (2 * groups.long() + labels) * bins + reached
    return _from_above(torch.bincount(cells, minlength=2 * group_count * bins).view(group_count, 2, bins))


def _from_above(counts: Tensor) -> Tensor:
    """Rows in each bin, `[G, 2, T + 1]` → TP, FP, FN and TN, `[4, G, T]`."""
    sums = counts.flip(-1).cumsum(-1).flip(-1).transpose(0, 1)  # (2, G, T + 1): rows in a bin or above it
    above = sums[..., 1:]  # FP, TP
    below = sums[..., :1] - above  # TN, FN
    return torch.cat([above.flip(0), below.flip(0)])


# ---------------------------------------------------------------------------------------------- the thresholds


def table(thresholds: Tensor) -> Tensor:
    """−∞, the thresholds, and NaN, which no score reaches, up to 2ᵏ + 1 entries: so every step of a search has one."""
    padded = torch.full((2 ** len(thresholds).bit_length() + 1,), math.nan, dtype=thresholds.dtype)
    padded[0] = -math.inf
    padded[1 : len(thresholds) + 1] = thresholds
    return padded


def scale(thresholds: Tensor) -> float:
    """Thresholds per unit of score where they are evenly spaced, up to a quarter of a step; else 0."""
    count, first, last = len(thresholds), float(thresholds[0]), float(thresholds[-1])
    if not 2 < count <= 2**16 or not 1e-30 < last - first < 1e30:
        return 0.0
    per_unit = (count - 1) / (last - first)
    places = (thresholds.double() - first) * per_unit
    return per_unit if (places - torch.arange(count)).abs().max() < 0.25 else 0.0


# ---------------------------------------------------------------------------------------------- without a GPU


def closed_form(scores: Tensor, labels: Tensor, groups: Tensor, thresholds: Tensor, group_count: int) -> Tensor:
    """The same: cells of one byte where 256 are enough, and some rows at a time, so that all stay in the cache."""
    bins = len(thresholds) + 1
    size = 2 * group_count * bins
    dtype = torch.uint8 if size <= 256 else torch.int32
    steps, padded, per_unit = thresholds.to(scores.device), table(thresholds).to(scores.device), scale(thresholds)
    counts = torch.zeros(size, dtype=torch.int64, device=scores.device)
    columns = [_as_numbers(column) for column in (scores, labels, groups)]
    for start in range(0, len(scores), ROWS):
        score, label, group = (column[start : start + ROWS] for column in columns)
        _check_rows(score, label, group, group_count)
        cells = torch.add(label.to(dtype), group.to(dtype), alpha=2)
        reached = _reached(score, steps, padded, per_unit)
        counts += torch.bincount(torch.add(reached.to(dtype), cells, alpha=bins), minlength=size)
    return _from_above(counts.view(group_count, 2, bins))


def _as_numbers(column: Tensor) -> Tensor:
    """In one piece; yes and no as the bytes 1 and 0."""
    column = column.contiguous()
    return column.view(torch.uint8) if column.dtype == torch.bool else column


def _reached(scores: Tensor, thresholds: Tensor, padded: Tensor, per_unit: float) -> Tensor:
    """How many thresholds each score reaches: compared one by one, or guessed and put right, or searched."""
    if len(thresholds) <= FEW:
        return reduce(torch.add, (_at_least(scores, threshold) for threshold in thresholds))
    scores = scores.to(thresholds.dtype)
    if per_unit:
        guess = (scores - thresholds[0]).mul_(per_unit).floor_().add_(1).clamp_(0, len(thresholds)).int()
        return guess + (scores >= padded[guess + 1]).int() - (scores < padded[guess]).int()
    return torch.bucketize(scores, thresholds, right=True, out_int32=True)


def _at_least(scores: Tensor, threshold: Tensor) -> Tensor:
    """1 where a score reaches the threshold, else 0, in bytes: NumPy compares faster, whole numbers as they are."""
    whole = not scores.is_floating_point() and math.isfinite(threshold)
    if whole and scores.device.type == "cpu":
        return torch.from_numpy(scores.numpy() >= math.ceil(threshold)).view(torch.uint8)
    scores = scores.to(threshold.dtype)
    if scores.device.type == "cpu":
        return torch.from_numpy(scores.numpy() >= threshold.numpy()).view(torch.uint8)
    return (scores >= threshold).byte()


def _check_rows(scores: Tensor, labels: Tensor, groups: Tensor, group_count: int) -> None:
    """Raises ValueError, in one sentence, for rows that belong in no cell."""
    if scores.is_floating_point() and scores.max().isnan():
        raise ValueError("scores must be numbers: at least one is NaN, which is neither above nor below a threshold")
    for name, column, most in (("labels", labels, 1), ("groups", groups, group_count - 1)):
        low, high = (int(bound) for bound in column.aminmax())
        if low < 0 or high > most:
            raise ValueError(f"{name} must lie from 0 to {most}, got {low if low < 0 else high}")


# --------------------------------------------------------------------------------------------------- on a GPU


@jit
def _cells(  # type: ignore[no-untyped-def]
    scores, labels, groups, table,  # pointers
    rows, inside, thresholds, group_count, per_unit,
    STEPS: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """The cell of each row, and whether it has one: a number as score, 0 or 1 as label, a group that exists."""
    score = tl.load(scores + rows, inside, 0).to(table.dtype.element_ty)
    label = tl.load(labels + rows, inside, 0)
    group = tl.load(groups + rows, inside, 0)
    counted = inside & (score == score) & (label >= 0) & (label <= 1) & (group >= 0) & (group < group_count)
    if EVEN:
        place = (score - tl.load(table + 1)) * per_unit + 1
        reached = tl.where(place > 0, tl.where(place < thresholds, place, thresholds), 0).to(tl.int32)  # a guess
        above, below = score >= tl.load(table + reached + 1), score < tl.load(table + reached)
        reached += above.to(tl.int32) - below.to(tl.int32)
    else:
        reached = tl.zeros_like(label).to(tl.int32)
        for step in tl.static_range(STEPS):  # by halves
            ahead = reached + (1 << (STEPS - 1 - step))
            reached = tl.where(score >= tl.load(table + ahead), ahead, reached)
    return (2 * group.to(tl.int32) + label.to(tl.int32)) * (thresholds + 1) + reached, counted


@jit
def _count(  # type: ignore[no-untyped-def]
    scores, labels, groups, table, counts,
    total, thresholds, group_count, per_unit,
    STEPS: tl.constexpr, EVEN: tl.constexpr, RUN: tl.constexpr, CELLS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A program's share of the rows, a block at a time, counted in a table of its own, which is written once."""
    block = tl.arange(0, BLOCK)
    held = tl.zeros((CELLS,), tl.int32)
    whole = total // BLOCK * BLOCK
    first = tl.program_id(0).to(tl.int64) * BLOCK  # may exceed 2³¹
    for start in range(first, whole, tl.num_programs(0) * BLOCK):
        rows = tl.max_contiguous(start + block, RUN)  # a thread reads 16 bytes of scores at a time
        everywhere = tl.full((BLOCK,), 1, tl.int1)
        cell, counted = _cells(
            scores, labels, groups, table, rows, everywhere, thresholds, group_count, per_unit, STEPS, EVEN
        )
        held += tl.histogram(cell, CELLS, counted)
    if tl.program_id(0) == tl.num_programs(0) - 1:  # what is left of the rows
        rest = whole + block.to(tl.int64)
        cell, counted = _cells(
            scores, labels, groups, table, rest, rest < total, thresholds, group_count, per_unit, STEPS, EVEN
        )
        held += tl.histogram(cell, CELLS, counted)
    cell = tl.arange(0, CELLS)
    size = 2 * group_count * (thresholds + 1)
    tl.store(counts + tl.program_id(0).to(tl.int64) * size + cell, held, cell < size)


@jit
def _add_up(  # type: ignore[no-untyped-def]
    counts, tables,
    programs, thresholds, group_count,
    PART: tl.constexpr, BINS: tl.constexpr,
):  # fmt: skip
    """A group and a label: the programs' counts of its bins, summed in 64 bits, and then from above."""
    group, label = tl.program_id(0) // 2, tl.program_id(0) % 2
    bin = tl.arange(0, BINS)
    size = 2 * group_count * (thresholds + 1)
    here = counts + tl.program_id(0) * (thresholds + 1) + bin[None, :]
    held = tl.zeros((BINS,), tl.int64)
    for first in range(0, programs, PART):
        program = first + tl.arange(0, PART)[:, None]
        part = tl.load(here + program.to(tl.int64) * size, (program < programs) & (bin[None, :] <= thresholds), 0)
        held += tl.sum(part.to(tl.int64), 0)
    above = tl.cumsum(held, 0, reverse=True)
    plane = group_count * thresholds
    there = tables + group * thresholds + bin - 1
    inside = (bin > 0) & (bin <= thresholds)
    tl.store(there + (1 - label) * plane, above, inside)  # TP, or FP
    tl.store(there + (3 - label) * plane, tl.sum(held, 0) - above, inside)  # FN, or TN


@jit
def _write_cells(  # type: ignore[no-untyped-def]
    scores, labels, groups, table, cells,
    total, thresholds, group_count, per_unit,
    STEPS: tl.constexpr, EVEN: tl.constexpr, RUN: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The cell of each row, or −1, for tables that no program can hold."""
    rows = tl.max_contiguous(tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK), RUN)
    if (tl.program_id(0) + 1).to(tl.int64) * BLOCK <= total:  # without a condition, 16 bytes can be one load
        inside = tl.full((BLOCK,), 1, tl.int1)
        cell, counted = _cells(
            scores, labels, groups, table, rows, inside, thresholds, group_count, per_unit, STEPS, EVEN
        )
        tl.store(cells + rows, tl.where(counted, cell, -1))
    else:
        inside = rows < total
        cell, counted = _cells(
            scores, labels, groups, table, rows, inside, thresholds, group_count, per_unit, STEPS, EVEN
        )
        tl.store(cells + rows, tl.where(counted, cell, -1), inside)


def _shared_counters() -> bool:
    """Whether `tl.histogram` adds one to a counter in shared memory for each row, as it does since Triton 3.8.

    Before, a warp votes on each bit of its rows' cells, and each thread counts the rows of its share of the cells: a
    few cells cost less so, and many cost more.
    """
    major, minor = (int(part) for part in triton.__version__.split(".")[:2])
    return (major, minor) >= (3, 8)


def most_cells() -> int:
    """Of a table that a program holds."""
    return 2**13 if _shared_counters() else 2**7


def programs(rows: int, processors: int) -> int:
    """Enough to keep the processors at work, and so many that none counts 2³¹ rows, which its 32 bits could not."""
    return min(-(-rows // BLOCK), max(PROGRAMS * processors, -(-rows // 2**30)))


def fused(scores: Tensor, labels: Tensor, groups: Tensor, thresholds: Tensor, group_count: int) -> Tensor:
    """The same; the host waits for nothing."""
    padded = table(thresholds).to(scores.device, non_blocking=True)
    columns = [_as_numbers(column) for column in (scores, labels, groups)]
    return launch(columns, padded, len(thresholds), scale(thresholds), group_count)


def launch(columns: list[Tensor], padded: Tensor, thresholds: int, per_unit: float, group_count: int) -> Tensor:
    """The same in two launches; a table that no program can hold is left to PyTorch's histogram of the rows' cells."""
    device, rows, bins = padded.device, len(columns[0]), thresholds + 1
    if rows == 0:
        return torch.zeros(4, group_count, thresholds, dtype=torch.int64, device=device)
    numbers = rows, thresholds, group_count, per_unit
    flags = {"STEPS": thresholds.bit_length(), "EVEN": per_unit > 0, "BLOCK": BLOCK, "num_warps": WARPS}
    flags["RUN"] = 16 // columns[0].element_size()
    size = 2 * group_count * bins
    with torch.cuda.device_of(padded):
        if size > most_cells():
            cells = torch.empty(rows, dtype=_wide_enough(rows, size), device=device)
            _write_cells[(triton.cdiv(rows, BLOCK),)](*columns, padded, cells, *numbers, **flags)
            return _from_above(_histogram(cells, size).view(group_count, 2, bins))
        count, width = programs(rows, _processors(device)), triton.next_power_of_2(bins)
        held = torch.empty(count, size, dtype=torch.int32, device=device)
        counted = torch.empty(4, group_count, thresholds, dtype=torch.int64, device=device)
        _count[(count,)](*columns, padded, held, *numbers, **flags, CELLS=max(32, triton.next_power_of_2(size)))
        _add_up[(2 * group_count,)](
            held, counted, count, thresholds, group_count, PART=max(1, BLOCK // width), BINS=width, num_warps=8
        )
    return counted


def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def _wide_enough(rows: int, size: int) -> torch.dtype:
    """For the cells of PyTorch's histogram, which multiplies a cell by `size`, and counts in the cells' dtype."""
    return torch.int32 if rows < 2**31 and size**2 < 2**31 else torch.int64


def _histogram(cells: Tensor, size: int) -> Tensor:
    """How often each cell occurs; negative ones are passed over. `bincount` would make the host wait for a GPU."""
    if cells.is_cuda:
        return torch.histc(cells, size, 0, size).long()
    return torch.bincount(cells[cells >= 0], minlength=size)


# --------------------------------------------------------------------------------------------------- the function


@torch.no_grad()
def group_counts(
    scores: Tensor,
    labels: Tensor,
    groups: Tensor,
    *,
    group_count: int,
    thresholds: float | Sequence[float] | Tensor = 0.5,
) -> GroupCounts:
    """TP[g, t] = #{i : groups_i = g, labels_i = 1, scores_i ≥ t}, and so FP, FN and TN: exact, in one pass.

    Args:
        scores: `[N]`, floating-point, whole numbers or bool: hard predictions are scores with one threshold, 0.5.
        labels: `[N]`, 0 or 1: bool or whole numbers.
        groups: `[N]`, from 0 to group_count − 1: bool or whole numbers.
        group_count: G, at least 1. A group without rows has zeros.
        thresholds: a number, or T of them in ascending order, of which some may be equal or infinite; if they are a
            tensor, on the CPU. They are rounded to the scores' dtype, as PyTorch rounds a number that it compares with
            a tensor; so a float32 score of 0.7 reaches the threshold 0.7.

    Returns:
        The four counts, int64 `[G, T]` each, on the scores' device. Nothing makes the host wait for a GPU, so there no
        value is checked: a row whose score is NaN, whose label is neither 0 nor 1, or whose group does not exist, is in
        no table, and `left_out` tells how many they are.

    Raises:
        TypeError: a dtype is not one that is named above.
        ValueError: shapes or devices differ, thresholds do not ascend, or, on the CPU, a row belongs in no table.

    Source: Hardt, Price and Srebro, 2016. Derived in: lectures/09_kernels/group_counts
    """
    _check(scores, labels, groups, group_count)
    steps = _ascending(thresholds, scores.dtype)
    if 2 * group_count * (len(steps) + 1) >= 2**31:
        raise ValueError(f"{group_count} groups and {len(steps)} thresholds make more than 2³¹ cells: take fewer")
    count = fused if scores.is_cuda and triton is not None else closed_form
    tp, fp, fn, tn = count(scores, labels, groups, steps, group_count)
    return GroupCounts(tp, fp, fn, tn, rows=len(scores))


def _ascending(thresholds: float | Sequence[float] | Tensor, dtype: torch.dtype) -> Tensor:
    """The thresholds as `[T]`, rounded to the scores' dtype, in float32 or, where that is not exact, in float64."""
    steps = torch.as_tensor(thresholds, dtype=torch.float64)
    if steps.ndim > 1 or steps.numel() == 0 or steps.device.type != "cpu":
        raise ValueError(
            f"thresholds must be a number, or at least one in a row and on the CPU, got {list(steps.shape)} on "
            f"{steps.device}"
        )
    steps = steps.flatten()
    if not (steps[1:] >= steps[:-1]).all() or steps.isnan().any():
        raise ValueError("thresholds must ascend, and be numbers: sort them")
    if dtype.is_floating_point:
        steps = steps.to(dtype)
    return steps.to(torch.float64 if dtype in (torch.float64, torch.int32, torch.int64) else torch.float32)


def _check(scores: Tensor, labels: Tensor, groups: Tensor, group_count: int) -> None:
    """Raises TypeError or ValueError, in one sentence, for what can be seen without a look at the values."""
    if not isinstance(scores, Tensor) or not (scores.is_floating_point() or scores.dtype in WHOLE):
        raise TypeError(f"scores must be a tensor of real numbers, got {kind(scores)}")
    for name, column in (("labels", labels), ("groups", groups)):
        if not isinstance(column, Tensor) or column.dtype not in WHOLE:
            raise TypeError(f"{name} must be a tensor of bool or of whole numbers, got {kind(column)}")
        if column.device != scores.device:
            raise ValueError(f"{name} must be on {scores.device}, as the scores are, got {column.device}")
        if column.shape != scores.shape or scores.ndim != 1:
            raise ValueError(
                f"scores, labels and groups must be [N], got {list(scores.shape)}, and {list(column.shape)} as {name}"
            )
    if isinstance(group_count, bool) or not isinstance(group_count, int) or group_count < 1:
        raise ValueError(f"group_count must be a whole number of 1 or more, got {group_count!r}")
