"""Clipped gradients, summed on the CPU: plain PyTorch, torch.compile, ours.

python benchmarks/clip_and_sum.py      writes results/clip_and_sum.json
"""

from functools import partial
from time import process_time
from typing import Any

import torch
from _measure import medians, speedups, wall_times, write

from tml_helpers._console import on_any_console
from tml_helpers.kernels import clip_and_sum
from tml_helpers.kernels.clip_and_sum import reference

SIZES = [(256, 206_922), (256, 1000), (16, 2_000_000)]  # the first: a small network for digits
ROUNDS = 15


def measured(examples: int, parameters: int) -> dict[str, Any]:
    """One line of the table, in milliseconds of one core."""
    torch.compiler.reset()
    gradients = torch.randn(examples, parameters, generator=torch.Generator().manual_seed(0))
    gradients[::2] *= 2
    clip_norm = 1.5 * parameters**0.5
    runs = {
        "eager": partial(reference, gradients, clip_norm),
        "torch.compile": partial(torch.compile(reference, dynamic=False), gradients, clip_norm),
        "ours": partial(clip_and_sum, gradients, clip_norm=clip_norm),
    }
    for run in runs.values():  # the same work
        torch.testing.assert_close(run(), reference(gradients.double(), clip_norm).float(), rtol=1e-4, atol=1e-3)
    times = wall_times(runs, rounds=ROUNDS, clock=process_time)
    ms = {name: round(1e3 * value, 3) for name, value in medians(times).items()}
    return {"examples": examples, "parameters": parameters, "ms": ms, "times_as_fast": speedups(times, "ours")}


def main() -> None:
    torch.set_num_threads(1)
    table = [measured(*size) for size in SIZES]
    for line in table:
        print(line["examples"], line["parameters"], line["ms"], line["times_as_fast"])
    print(write("clip_and_sum", {"threads": 1, "clock": "CPU time", "table": table}))


if __name__ == "__main__":
    on_any_console()
    main()
