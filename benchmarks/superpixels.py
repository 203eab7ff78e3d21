"""Masked images on the CPU: plain PyTorch, torch.compile, ours.

python benchmarks/superpixels.py      writes results/superpixels.json
"""

from functools import partial
from typing import Any

import torch
from _measure import medians, speedups, wall_times, write
from torch import Tensor

from tml_helpers._console import on_any_console
from tml_helpers.kernels import superpixels
from tml_helpers.kernels.superpixels import reference

THREADS, ROUNDS, SEGMENTS = 2, 60, 39
SHAPES = [(16, 3, 224, 224), (256, 1, 28, 28)]  # masks, and the image that they hide in part


def eager(image: Tensor, segments: Tensor, masks: Tensor, *, fill: Tensor, channels_last: bool) -> Tensor:
    order = torch.channels_last if channels_last else torch.contiguous_format
    return reference(image, segments, masks, fill).contiguous(memory_format=order)


def measured(masks: int, image: tuple[int, ...], channels_last: bool) -> dict[str, Any]:
    """One line of the table."""
    generator = torch.Generator().manual_seed(0)
    scene, fill = torch.rand(2, *image, generator=generator)
    segments = torch.randint(SEGMENTS, image[1:], generator=generator)
    visible = torch.rand(masks, SEGMENTS, generator=generator) < 0.5
    functions = {"eager": eager, "torch.compile": torch.compile(eager, dynamic=False), "ours": superpixels}
    settings = {"fill": fill, "channels_last": channels_last}
    runs = {name: partial(function, scene, segments, visible, **settings) for name, function in functions.items()}
    for name, run in runs.items():  # the same work
        assert torch.equal(run(), reference(scene, segments, visible, fill)), name
    times = wall_times(runs, rounds=ROUNDS)
    ms = {name: round(1e3 * value, 3) for name, value in medians(times).items()}
    line = {"shape": [masks, *image], "channels_last": channels_last, "ms": ms}
    return {**line, "times_as_fast": speedups(times, "ours")}


def main() -> None:
    torch.set_num_threads(THREADS)
    table = [measured(masks, tuple(image), last) for masks, *image in SHAPES for last in (False, True)]
    for line in table:
        print(line["shape"], "NHWC" if line["channels_last"] else "NCHW", line["ms"])
    print(write("superpixels", {"threads": THREADS, "segments": SEGMENTS, "table": table}))


if __name__ == "__main__":
    on_any_console()
    main()
