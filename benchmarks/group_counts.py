"""Confusion tables of groups on the CPU: plain PyTorch, torch.compile, ours, and one bincount of ready-made codes.

python benchmarks/group_counts.py      writes results/group_counts.json
"""

from functools import partial
from time import process_time
from typing import Any

import torch
from _measure import medians, speedups, wall_times, write
from torch import Tensor

from tml_helpers._console import on_any_console
from tml_helpers.kernels import group_counts
from tml_helpers.kernels.group_counts import reference

ROWS, GROUPS, ROUNDS = 1_000_000, 8, 15
HUNDRED = torch.arange(101) / 100


def rows(hard: bool, whole: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions or scores, labels and groups."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(ROWS, generator=generator)
    labels = torch.rand(ROWS, generator=generator) < 0.4
    groups = torch.randint(GROUPS, (ROWS,), generator=generator).to(whole)
    return (scores >= 0.5).to(whole) if hard else scores, labels.to(whole), groups


def ours(scores: Tensor, labels: Tensor, groups: Tensor, thresholds: Tensor, group_count: int) -> Tensor:
    counts = group_counts(scores, labels, groups, thresholds=thresholds, group_count=group_count)
    return torch.stack([counts.true_positives, counts.false_positives, counts.false_negatives, counts.true_negatives])


def measured(hard: bool, whole: torch.dtype) -> dict[str, Any]:
    """One line of the table, in milliseconds of one core."""
    scores, labels, groups = rows(hard, whole)
    thresholds = torch.tensor([0.5]) if hard else HUNDRED
    inputs = scores.to(torch.float32), labels, groups, thresholds, GROUPS  # a search wants both of one kind
    codes = (4 * groups + 2 * labels + (scores >= 0.5)).to(whole)
    runs = {
        "eager": partial(reference, *inputs),
        "torch.compile": partial(torch.compile(reference, dynamic=False), *inputs),
        "ours": partial(ours, scores, labels, groups, thresholds, GROUPS),
    }
    for name, run in runs.items():  # the same work
        assert torch.equal(run(), reference(*inputs)), name
    runs["bincount"] = partial(torch.bincount, codes)
    times = wall_times(runs, rounds=ROUNDS, clock=process_time)
    ms = {name: round(1e3 * value, 3) for name, value in medians(times).items()}
    size = {"thresholds": len(thresholds), "whole": str(whole).removeprefix("torch."), "rows": ROWS, "groups": GROUPS}
    return {**size, "ms": ms, "times_as_fast": speedups(times, "ours")}


def main() -> None:
    torch.set_num_threads(1)
    table = [measured(hard, whole) for hard in (True, False) for whole in (torch.uint8, torch.int64)]
    for line in table:
        print(line["thresholds"], line["whole"], line["ms"], line["times_as_fast"])
    print(write("group_counts", {"threads": 1, "clock": "CPU time", "table": table}))


if __name__ == "__main__":
    on_any_console()
    main()
