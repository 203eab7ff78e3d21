"""kernels.group_counts without a GPU: against the definition and scikit-learn, its laws and edges; compiled."""

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
from sklearn.metrics import confusion_matrix
from torch import Tensor

from tml_helpers.kernels import GroupCounts, group_counts
from tml_helpers.kernels.group_counts import (
    BLOCK,
    WARPS,
    _add_up,
    _count,
    _wide_enough,
    _write_cells,
    programs,
    reference,
    scale,
    table,
)

module = import_module("tml_helpers.kernels.group_counts")
FIELDS = ("true_positives", "false_positives", "false_negatives", "true_negatives")
LEVELS = [-math.inf, -2.5, -1.0, -0.0, 0.0, 0.25, 0.5, 1.0, 3.0, math.inf]  # scores and thresholds: ties are frequent
people = st.lists(st.tuples(st.sampled_from(LEVELS), st.integers(0, 1), st.integers(0, 3)), max_size=60)
cuts = st.lists(st.sampled_from(LEVELS), min_size=1, max_size=12).map(sorted)


def columns(rows: list[tuple[float, int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    scores, labels, groups = zip(*rows, strict=True) if rows else ((), (), ())
    return torch.tensor(scores, dtype=torch.float32), torch.tensor(labels).long(), torch.tensor(groups).long()


def sample(rows: int, groups: int = 4, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of two decimals, labels and groups."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(101, (rows,), generator=generator) / 100
    labels = torch.randint(2, (rows,), generator=generator)
    return scores, labels, torch.randint(groups, (rows,), generator=generator)


def by_definition(scores: Tensor, labels: Tensor, groups: Tensor, thresholds: list[float], count: int) -> np.ndarray:
    """TP, FP, FN and TN, `[4, groups, thresholds]`: each number counted by itself, in float64."""
    s, y, g = scores.double().numpy(), labels.numpy() != 0, groups.numpy().astype(int)
    result = np.empty((4, count, len(thresholds)), dtype=np.int64)
    for group, t in np.ndindex(count, len(thresholds)):
        mine, positive = g == group, s >= thresholds[t]
        result[:, group, t] = [
            np.sum(mine & positive & y),
            np.sum(mine & positive & ~y),
            np.sum(mine & ~positive & y),
            np.sum(mine & ~positive & ~y),
        ]
    return result


def stacked(counts: GroupCounts) -> np.ndarray:
    return np.stack([getattr(counts, field).numpy() for field in FIELDS])


def assert_counts(counts: GroupCounts, expected: np.ndarray) -> None:
    assert all(getattr(counts, field).dtype == torch.int64 for field in FIELDS)
    np.testing.assert_array_equal(stacked(counts), expected)
    assert counts.left_out == 0


# ------------------------------------------------------------------------------------------------- the definition


@given(rows=people, thresholds=cuts)
def test_equals_the_definition(rows, thresholds):
    scores, labels, groups = columns(rows)
    expected = by_definition(scores, labels, groups, thresholds, 4)
    assert_counts(group_counts(scores, labels, groups, thresholds=thresholds, group_count=4), expected)
    found = reference(scores, labels, groups, torch.tensor(thresholds), 4)
    np.testing.assert_array_equal(found.numpy(), expected)


def test_equals_scikit_learn_on_hard_predictions():
    scores, labels, groups = sample(500)
    predictions = scores > 0.3
    counts = group_counts(predictions, labels, groups, group_count=4)
    for group in range(4):
        mine = groups == group
        tn, fp, fn, tp = confusion_matrix(labels[mine], predictions[mine]).ravel()
        assert [int(getattr(counts, field)[group, 0]) for field in FIELDS] == [tp, fp, fn, tn]


@given(rows=people, thresholds=cuts, seed=st.integers(0, 2**31))
def test_neither_order_nor_the_names_of_groups_nor_parts_matter(rows, thresholds, seed):
    scores, labels, groups = columns(rows)
    counts = stacked(group_counts(scores, labels, groups, thresholds=thresholds, group_count=4))
    generator = torch.Generator().manual_seed(seed)
    order, names = torch.randperm(len(rows), generator=generator), torch.randperm(4, generator=generator)
    again = group_counts(scores[order], labels[order], names[groups[order]], thresholds=thresholds, group_count=4)
    np.testing.assert_array_equal(stacked(again)[:, names], counts)
    half = len(rows) // 2
    parts = [
        stacked(group_counts(scores[part], labels[part], groups[part], thresholds=thresholds, group_count=4))
        for part in (slice(half), slice(half, None))
    ]
    np.testing.assert_array_equal(sum(parts), counts)


def test_a_score_that_equals_a_threshold_reaches_it_and_infinite_ones_are_ordered():
    scores = torch.tensor([-math.inf, 0.25, math.inf])
    ones, zeros = torch.ones(3, dtype=torch.uint8), torch.zeros(3, dtype=torch.uint8)
    thresholds = [-math.inf, 0.25, 0.250001, math.inf]
    counts = group_counts(scores, ones, zeros, thresholds=thresholds, group_count=1)
    assert counts.true_positives.tolist() == [[3, 2, 1, 1]]
    assert counts.false_negatives.tolist() == [[0, 1, 2, 2]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_threshold_is_rounded_as_the_scores_are(dtype):
    decimals = torch.arange(101, dtype=torch.float64) / 100
    zeros = torch.zeros(101, dtype=torch.bool)
    counts = group_counts(decimals.to(dtype), zeros, zeros, thresholds=decimals, group_count=1)
    assert counts.false_positives.tolist() == [list(range(101, 0, -1))]


# --------------------------------------------------------------------------------------------- the ways to a bin


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("first", "step", "number"), [(0, 0.01, 101), (0.1, 0.1, 9), (-7, 1e-3, 5000), (1e6, 3, 40), (0, 1, 8)]
)
@pytest.mark.parametrize("off", [0.0, 0.24])
def test_among_even_thresholds_the_guess_is_put_right(first, step, number, dtype, off):
    generator = torch.Generator().manual_seed(number)
    places = torch.arange(number) + off * (2 * torch.rand(number, generator=generator, dtype=torch.float64) - 1)
    places[0], places[-1] = 0, number - 1
    steps = (first + step * places).to(dtype)
    assert scale(steps) == pytest.approx(1 / step, rel=1e-4)
    largest = torch.finfo(dtype).max
    beyond = torch.tensor([-math.inf, -largest, -1e-40, 0, 1e-40, largest, math.inf], dtype=dtype)
    infinity = torch.tensor(math.inf, dtype=dtype)
    scores = torch.cat([steps, torch.nextafter(steps, infinity), torch.nextafter(steps, -infinity), beyond])
    zeros = torch.zeros(len(scores), dtype=torch.bool)
    counts = group_counts(scores, zeros, zeros, thresholds=steps, group_count=1)
    expected = len(scores) - np.searchsorted(np.sort(scores.numpy()), steps.numpy(), side="left")
    np.testing.assert_array_equal(counts.false_positives[0].numpy(), expected)


def test_what_is_not_even_is_searched():
    for uneven in ([0.0, 1], [0.0, 0.1, 1], [1.0] * 9, [0.0, 0.5, math.inf], [-math.inf, 0, 1, 2], [0, 1e-31, 2e-31]):
        assert scale(torch.tensor(uneven, dtype=torch.float64)) == 0
    assert scale(torch.arange(2**16 + 1.0)) == 0, "a place among so many is not exact in float32"
    assert scale(torch.tensor([-1e30, 0, 1e30])) == 0, "in float32 a distance may be infinite"
    off = torch.arange(20.0)
    off[7] += 0.26
    assert scale(off) == 0


@pytest.mark.parametrize("number", [1, 2, 3, 4, 7, 8, 100])
def test_every_step_of_a_search_finds_an_entry(number):
    padded = table(torch.arange(float(number)))
    steps = number.bit_length()
    assert len(padded) > max(number + 1, 2**steps - 1)
    assert padded[0] == -math.inf
    assert padded[1 : number + 1].tolist() == list(range(number))
    assert padded[number + 1 :].isnan().all()


@pytest.mark.parametrize("number", [1, 5, 6, 7, 8, 30])
@pytest.mark.parametrize("even", [True, False])
def test_every_number_of_thresholds(number, even):
    scores, labels, groups = sample(300)
    thresholds = ((torch.arange(number) + 0.5) / number) ** (1 if even else 2)
    expected = by_definition(scores, labels, groups, thresholds.tolist(), 4)
    assert_counts(group_counts(scores, labels, groups, thresholds=thresholds, group_count=4), expected)


@pytest.mark.parametrize("groups", [1, 2, 63, 64, 65, 255, 256, 257, 1000])
@pytest.mark.parametrize("thresholds", [[0.5], [0.25, 0.5, 0.875]])
def test_every_number_of_groups_in_one_byte_and_beyond(groups, thresholds):
    """64 groups, two labels and two bins are 256 cells, the most that a byte can name."""
    scores, labels, members = sample(3000, groups)
    scores[-1], labels[-1], members[-1] = 1, 1, groups - 1  # the last cell
    expected = by_definition(scores, labels, members, thresholds, groups)
    assert_counts(group_counts(scores, labels, members, thresholds=thresholds, group_count=groups), expected)


def test_rows_are_counted_a_part_at_a_time(monkeypatch):
    scores, labels, groups = sample(100)
    monkeypatch.setattr(module, "ROWS", 7)
    thresholds = [0.25, 0.5]
    expected = by_definition(scores, labels, groups, thresholds, 4)
    assert_counts(group_counts(scores, labels, groups, thresholds=thresholds, group_count=4), expected)


# --------------------------------------------------------------------------------------------------- what comes in


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_whole_numbers_of_any_width(dtype):
    scores, labels, groups = sample(200, groups=2)
    predictions = scores > 0.4
    expected = by_definition(predictions, labels, groups, [0.5], 2)
    assert_counts(group_counts(predictions.to(dtype), labels.to(dtype), groups.to(dtype), group_count=2), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_scores_of_any_width(dtype):
    scores, labels, groups = sample(200)
    scores, thresholds = scores.to(dtype), [0.0, 0.125, 0.5, 1.0]  # exact in each
    expected = by_definition(scores, labels, groups, thresholds, 4)
    assert_counts(group_counts(scores, labels, groups, thresholds=thresholds, group_count=4), expected)


def test_deciles_are_scores_and_large_whole_numbers_are_compared_exactly():
    deciles = torch.arange(1, 11).repeat(3)
    ones, zeros = torch.ones(30, dtype=torch.bool), torch.zeros(30, dtype=torch.bool)
    counts = group_counts(deciles, ones, zeros, thresholds=range(1, 11), group_count=1)
    assert counts.true_positives.tolist() == [[3 * n for n in range(10, 0, -1)]]
    large = torch.tensor([2**24, 2**24 + 1, 2**53 - 1])  # the second is no float32
    counts = group_counts(large, ones[:3], zeros[:3], thresholds=[2**24, 2**24 + 1, 2**53 - 1], group_count=1)
    assert counts.true_positives.tolist() == [[3, 2, 1]]


def test_any_strides_and_the_inputs_are_left_as_they_are():
    scores, labels, groups = sample(120)
    wide = torch.stack([scores, labels.float(), groups.float()], dim=1)
    every_second = wide[::2, 0], labels[::2], groups[::2]
    expected = by_definition(*every_second, [0.5], 4)
    before = [column.clone() for column in every_second]
    assert_counts(group_counts(*every_second, group_count=4), expected)
    assert all(map(torch.equal, every_second, before))
    once = torch.zeros(1, dtype=torch.uint8).expand(60)  # stride 0
    assert group_counts(every_second[0], every_second[1], once, group_count=1).true_positives.sum() == expected[0].sum()


def test_no_rows_and_no_members_are_zeros():
    nothing = torch.empty(0)
    counts = group_counts(nothing, nothing.bool(), nothing.long(), thresholds=[0, 1], group_count=3)
    assert_counts(counts, np.zeros((4, 3, 2)))
    scores, labels, groups = sample(50, groups=2)
    counts = stacked(group_counts(scores, labels, groups + 1, group_count=4))
    assert counts[:, [0, 3]].sum() == 0
    assert counts[:, [1, 2]].sum() == 50


def test_bad_input_is_one_sentence():
    scores, labels, groups = sample(20)
    with refuses(TypeError, "scores", "list"):
        group_counts([0.5], labels, groups, group_count=4)
    with refuses(TypeError, "scores", "complex64"):
        group_counts(scores.to(torch.complex64), labels, groups, group_count=4)
    with refuses(TypeError, "labels", "bool", "float32"):
        group_counts(scores, labels.float(), groups, group_count=4)
    with refuses(TypeError, "groups", "whole numbers", "float32"):
        group_counts(scores, labels, groups.float(), group_count=4)
    with refuses(ValueError, "labels", "[20]", "[19]"):
        group_counts(scores, labels[1:], groups, group_count=4)
    with refuses(ValueError, "[N]", "[4, 5]"):
        group_counts(scores.view(4, 5), labels.view(4, 5), groups.view(4, 5), group_count=4)
    with refuses(ValueError, "groups", "meta"):
        group_counts(scores, labels, groups.to("meta"), group_count=4)
    for count in (0, -1, 2.0, True):
        with refuses(ValueError, "group_count", repr(count)):
            group_counts(scores, labels, groups, group_count=count)
    with refuses(ValueError, "thresholds", "cells"):
        group_counts(scores, labels, groups, group_count=2**30)
    with refuses(ValueError, "groups", "0 to 2", "got 3"):
        group_counts(scores, labels, groups, group_count=3)
    with refuses(ValueError, "groups", "0 to 3", "got -1"):
        group_counts(scores, labels, groups - 1, group_count=4)
    for wrong in (2, -1):
        with refuses(ValueError, "labels", "0 to 1", f"got {wrong}"):
            group_counts(scores, labels.index_fill(0, torch.tensor([7]), wrong), groups, group_count=4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_score_that_is_not_a_number_is_refused(dtype):
    scores, labels, groups = sample(20)
    scores[11] = math.nan
    with refuses(ValueError, "scores", "NaN"):
        group_counts(scores.to(dtype), labels, groups, group_count=4)


def test_thresholds_ascend_and_are_numbers():
    scores, labels, groups = sample(20)
    for thresholds in ([0.5, 0.4], [0.1, math.nan], [math.nan], math.nan):
        with refuses(ValueError, "thresholds", "ascend"):
            group_counts(scores, labels, groups, thresholds=thresholds, group_count=4)
    for thresholds in ([], [[0.1, 0.2]], torch.zeros(3, device="meta")):
        with refuses(ValueError, "thresholds", "CPU"):
            group_counts(scores, labels, groups, thresholds=thresholds, group_count=4)


# --------------------------------------------------------------------------------------------------- on a GPU


@pytest.mark.parametrize("rows", [1, BLOCK, BLOCK + 1, 10**8, 2**31 + 1, 2**40, 2**62])
@pytest.mark.parametrize("processors", [1, 132])
def test_no_program_counts_more_rows_than_its_32_bits_hold(rows, processors):
    count = programs(rows, processors)
    blocks = -(-rows // BLOCK)
    assert 1 <= count <= blocks
    assert -(-blocks // count) * BLOCK + BLOCK < 2**31  # with the rest, which the last program counts, too
    if rows < 2**31:
        assert count <= 2 * processors


def test_a_histogram_in_memory_multiplies_and_counts_without_overflow():
    assert _wide_enough(10, 46_340) == torch.int32  # its square is less than 2³¹
    assert _wide_enough(10, 46_341) == torch.int64
    assert _wide_enough(2**31, 600) == torch.int64
    assert _wide_enough(2**31 - 1, 600) == torch.int32


@pytest.mark.parametrize(("version", "cells"), [("3.7.1", 128), ("3.8.0", 8192), ("3.10.0", 8192), ("4.0.0", 8192)])
def test_how_many_cells_a_program_holds_depends_on_the_compiler(version, cells, monkeypatch):
    monkeypatch.setattr(module, "triton", type("Triton", (), {"__version__": version}))
    assert module.most_cells() == cells


COLUMNS = {"scores": "*fp32", "labels": "*u8", "groups": "*u8", "table": "*fp32"}
NUMBERS = {"total": "i64", "thresholds": "i32", "group_count": "i32", "per_unit": "fp32"}


def hopper(cells: int, steps: int, even: bool, scores: str = "*fp32", whole: str = "*u8") -> dict:
    types = {**COLUMNS, "scores": scores, "labels": whole, "groups": whole, "counts": "*i32", **NUMBERS}
    run = {"*fp32": 4, "*bf16": 8, "*u8": 16}[scores]
    values = {"STEPS": steps, "EVEN": even, "RUN": run, "CELLS": cells, "BLOCK": BLOCK}
    return compiled(_count, types, values, warps=WARPS, aligned=[*COLUMNS, "counts"])


@needs_triton
@pytest.mark.parametrize(
    ("cells", "steps", "even", "scores", "whole", "wide"),
    [
        (32, 1, False, "*fp32", "*u8", 2),
        (32, 1, False, "*u8", "*u8", 0),
        (128, 3, True, "*fp32", "*i64", 2 + 4 + 4),
    ],
)
def test_the_kernel_for_a_hopper_gpu(cells, steps, even, scores, whole, wide):
    """Eight rows a thread in loads of 16 bytes, if rows have so many; no spills; no counter in the GPU's memory."""
    code = hopper(cells, steps, even, scores, whole)
    assert resources(code)["STACK"] == 0
    assert resources(code)["REG"] <= 128, "the registers hold one program of 512 threads at least"
    found = instructions(code)
    assert sum(count for name, count in found.items() if name.startswith("LDG") and "128" in name) == wide
    assert not [name for name in found if name.startswith(("RED", "ATOMG"))]
    assert [name for name in found if name.startswith("ATOMS")], "counters in shared memory"
    assert "i64" in offsets(code, {"*fp32": "f32", "*u8": "i8"}[scores]), "there may be more than 2³¹ rows"


@needs_triton
def test_what_compiles_for_tables_that_no_program_holds():
    values = {"STEPS": 7, "EVEN": False, "RUN": 4, "BLOCK": BLOCK}
    for cells in ("*i32", "*i64"):
        code = compiled(
            _write_cells, {**COLUMNS, "cells": cells, **NUMBERS}, values, warps=WARPS, aligned=[*COLUMNS, "cells"]
        )
        assert resources(code)["STACK"] <= 16, "newer compilers put one or two numbers aside"
        found = instructions(code)
        assert sum(count for name, count in found.items() if name.startswith("LDG") and "128" in name) == 2
        assert sum(count for name, count in found.items() if name.startswith("STG") and "128" in name) >= 2
        assert "i64" in offsets(code, cells[1:])


@needs_triton
def test_the_sum_over_programs_is_of_64_bits():
    types = {"counts": "*i32", "tables": "*i64", "programs": "i32", "thresholds": "i32", "group_count": "i32"}
    code = compiled(_add_up, types, {"PART": 32, "BINS": 128}, warps=8)
    assert "arith.extsi" in code["ttir"]
    assert resources(code)["STACK"] == 0


def test_without_triton_it_counts_all_the_same():
    code = (
        "import sys; sys.modules['triton'] = None; import torch; from tml_helpers.kernels import group_counts\n"
        "y = torch.tensor([1, 0, 1]); print(group_counts(y / 2, y, y, group_count=2).true_positives.tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[[0], [2]]"
