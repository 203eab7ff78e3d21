"""The counting kernels on a GPU: `pytest --noconftest -m gpu tests/test_kernels_gpu*.py` runs every kernel's.

That needs torch, triton, pytest and numpy alone. With TRITON_INTERPRET=1 the kernels run in Triton's interpreter, on
the CPU; what is large, or needs a device, is left to the GPU. Counts are whole numbers: all is exact.
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

from tml_helpers.kernels import group_counts
from tml_helpers.kernels.group_counts import BLOCK, _add_up, _ascending, _count, fused, table

module = import_module("tml_helpers.kernels.group_counts")
pytestmark = on_a_gpu_or_interpreted

FLOATS = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
WHOLE = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
DECIMALS = [k / 100 for k in range(101)]


def calls() -> Iterator[tuple[int, Callable[[], object]]]:
    """The most launches that counting may make, and the counting: thresholds sent, rows counted, sums from above; in
    memory PyTorch's histogram, and its own way to the sums."""
    scores, yes = torch.rand(50, device="cuda"), torch.ones(50, dtype=torch.bool, device="cuda")
    for groups, thresholds, most in (
        (1, 0.5, 3),
        (20, 0.5, 3),
        (2, [0.1, 0.2, 0.3], 3),
        (3000, 0.5, 11),
        (100, DECIMALS, 11),
    ):
        yield most, partial(group_counts, scores, yes, yes, thresholds=thresholds, group_count=groups)


def sample(rows: int, groups: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of two decimals, labels and groups; the last row lies in the last cell."""
    generator = torch.Generator().manual_seed(rows + groups)
    scores = torch.randint(101, (rows,), generator=generator) / 100
    labels = torch.randint(2, (rows,), generator=generator)
    members = torch.randint(groups, (rows,), generator=generator)
    scores[-1], labels[-1], members[-1] = 1, 1, groups - 1
    return scores.to(DEVICE), labels.to(DEVICE), members.to(DEVICE)


def by_definition(scores: Tensor, labels: Tensor, groups: Tensor, steps: Tensor, count: int) -> np.ndarray:
    """TP, FP, FN and TN of the rows that belong in a table, `[4, groups, thresholds]`, in float64."""
    s, y, g, t = (column.double().cpu().numpy() for column in (scores, labels, groups, steps))
    counted = ~np.isnan(s) & np.isin(y, (0, 1)) & np.isin(g, np.arange(count))
    result = np.zeros((4, count, len(t)), dtype=np.int64)
    for group in range(count):
        for label in (0, 1):
            mine = np.sort(s[counted & (g == group) & (y == label)])
            below = np.searchsorted(mine, t, side="left")
            result[1 - label, group], result[3 - label, group] = len(mine) - below, below
    return result


def check(scores: Tensor, labels: Tensor, groups: Tensor, thresholds: list[float], count: int = 4) -> None:
    steps = _ascending(thresholds, scores.dtype)
    found = fused(scores, labels, groups, steps, count)
    assert found.dtype == torch.int64
    np.testing.assert_array_equal(found.cpu().numpy(), by_definition(scores, labels, groups, steps, count))


@pytest.fixture(params=["in programs", "in memory"])
def way(request, monkeypatch):
    """Both ways, whatever the size of the table."""
    most = {"in programs": 2**13, "in memory": 0}[request.param]
    monkeypatch.setattr(module, "most_cells", lambda: most)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("rows", [1, 5, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7])
@pytest.mark.parametrize("thresholds", [[0.5], DECIMALS])
def test_every_number_of_rows(rows, thresholds):
    check(*sample(rows), thresholds)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_dtype_of_scores(dtype):
    scores, labels, groups = sample(BLOCK + 99)
    check(scores.to(dtype), labels, groups, DECIMALS)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", WHOLE)
def test_every_width_of_whole_numbers(dtype):
    scores, labels, groups = sample(BLOCK + 99, groups=2)
    check((scores > 0.4).to(dtype), labels.to(dtype), groups.to(dtype), [0.5], count=2)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 7, 8, 15, 16, 60])
@pytest.mark.parametrize("power", [1, 2])  # even steps, which the kernel guesses, and others, which it searches
def test_every_number_of_thresholds(number, power):
    check(*sample(300), [((k + 0.5) / number) ** power for k in range(number)])


@pytest.mark.parametrize("groups", [1, 2, 3, 64, 65, 1000])
@pytest.mark.parametrize("thresholds", [[0.5], [0.1, 0.2, 0.7, 0.7, 0.9]])
def test_every_number_of_groups(groups, thresholds):
    check(*sample(3000, groups), thresholds, groups)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("thresholds", [[k / 7 for k in range(8)], [-math.inf, 0.1, 0.5, math.inf], [-3, -2, -1]])
def test_the_neighbours_of_a_threshold_and_what_is_far_from_all(thresholds, dtype):
    steps = torch.tensor(thresholds, dtype=dtype)
    infinity, largest = torch.tensor(math.inf, dtype=dtype), torch.finfo(dtype).max
    far = torch.tensor([-math.inf, -largest, -1e-40, -0.0, 0.0, 1e-40, largest, math.inf], dtype=dtype)
    scores = torch.cat([steps, torch.nextafter(steps, infinity), torch.nextafter(steps, -infinity), far]).to(DEVICE)
    ones = torch.ones(len(scores), dtype=torch.uint8, device=DEVICE)
    check(scores, ones, 0 * ones, thresholds, count=1)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("thresholds", [[0.5], DECIMALS, [-math.inf, 0.3, 0.4]])
def test_what_belongs_in_no_table_is_left_out(thresholds):
    scores, labels, groups = sample(BLOCK + 50)
    scores[:3], labels[3:5], labels[5], groups[6:8], groups[8] = math.nan, 2, -1, 4, -1
    groups[9], groups[10], labels[11] = 2**40, -(2**40), 2**32 + 1  # which are 0, 0 and 1 in 32 bits
    check(scores, labels, groups, thresholds)


def test_any_strides():
    scores, labels, groups = sample(900)
    wide = torch.stack([scores, scores], dim=1)
    check(wide[::2, 1], labels[::2], groups[1::2], DECIMALS)
    check(scores, labels, groups[:1].expand(900), DECIMALS)


def test_no_rows():
    nothing = torch.empty(0, device=DEVICE)
    assert fused(nothing, nothing.byte(), nothing.byte(), torch.tensor([0.5, 0.7]), 3).tolist() == 4 * [3 * [[0, 0]]]


def test_nothing_is_written_beyond_the_end():
    scores, labels, groups = sample(10)
    counts = torch.full((40,), -7, dtype=torch.int32, device=DEVICE)
    padded = table(torch.tensor([0.5])).to(DEVICE)
    flags = {"STEPS": 1, "EVEN": False, "RUN": 4, "CELLS": 16, "BLOCK": 32}
    _count[(2,)](scores, labels, groups, padded, counts, 10, 1, 3, 0.0, **flags)
    assert (counts[24:] == -7).all()
    assert (counts[:24] >= 0).all()
    tables = torch.full((20,), -7, dtype=torch.int64, device=DEVICE)
    _add_up[(6,)](counts, tables, 2, 1, 3, PART=4, BINS=2)
    assert (tables[12:] == -7).all()
    assert tables[:12].sum() == (groups < 3).sum()


def test_sums_over_programs_exceed_32_bits():
    """Five programs, one group, two labels and one threshold: cells [label, bin]."""
    counts = torch.tensor([[1, 2, 3, 2**30]] * 5, dtype=torch.int32, device=DEVICE)
    tables = torch.empty(4, 1, 1, dtype=torch.int64, device=DEVICE)
    _add_up[(2,)](counts, tables, 5, 1, 1, PART=2, BINS=2)
    assert tables.flatten().tolist() == [5 * 2**30, 10, 15, 5]


@on_a_device
@pytest.mark.parametrize("scores_dtype", [*FLOATS, torch.uint8])
@pytest.mark.parametrize("groups", [1, 8, 300])
def test_the_public_function_takes_the_kernels(scores_dtype, groups):
    scores, labels, members = sample(300_000, groups)
    scores = (scores > 0.5).byte() if scores_dtype == torch.uint8 else scores.to(scores_dtype)
    thresholds = [0.5] if scores_dtype == torch.uint8 else DECIMALS
    counts = group_counts(scores, labels.bool(), members.short(), thresholds=thresholds, group_count=groups)
    expected = by_definition(scores, labels, members, _ascending(thresholds, scores.dtype), groups)
    found = (counts.true_positives, counts.false_positives, counts.false_negatives, counts.true_negatives)
    np.testing.assert_array_equal(torch.stack(found).cpu().numpy(), expected)
    scores[7] = 0 if scores_dtype == torch.uint8 else math.nan
    labels[7] = 3
    again = group_counts(scores, labels, members, thresholds=thresholds, group_count=groups)
    assert counts.left_out == 0
    assert again.left_out == 1


@on_a_device
@pytest.mark.usefixtures("way")
def test_more_rows_than_an_int32_counts():
    rows = 2**31 + 2 * BLOCK + 5
    if torch.cuda.mem_get_info()[0] < 16 * rows:
        pytest.skip("needs 34 GB of free GPU memory")
    ones = torch.ones(rows, dtype=torch.uint8, device=DEVICE)
    labels = ones.clone()
    labels[-3:] = 0
    counts = group_counts(ones, labels, torch.zeros_like(ones), group_count=1)
    assert counts.true_positives.item() == rows - 3
    assert counts.false_positives.item() == 3
    assert counts.left_out == 0
