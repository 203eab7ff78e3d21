"""The ball step on the CPU: plain PyTorch, torch.compile, ours.

python benchmarks/ball_step.py      writes results/ball_step.json
"""

from functools import partial

import torch
from _measure import medians, speedups, wall_times, write

from tml_helpers._console import on_any_console
from tml_helpers.kernels import ball_step
from tml_helpers.kernels.ball_step import reference

THREADS = 2
SIZES = {(256, 1, 28, 28): 300, (64, 3, 224, 224): 30}  # rounds
RADIUS = {"linf": 8 / 255, "l2": 0.5}


def main() -> None:
    torch.set_num_threads(THREADS)
    steps = {"eager": reference, "torch.compile": torch.compile(reference, dynamic=False), "ours": ball_step}
    table = []
    for shape, rounds in SIZES.items():
        generator = torch.Generator().manual_seed(0)
        images, noise, gradient = (torch.rand(shape, generator=generator) for _ in range(3))
        for norm, epsilon in RADIUS.items():
            tensors = (images + epsilon * (noise - 0.5)).clamp(0, 1), images, gradient - 0.5
            settings = {"step_size": epsilon / 4, "epsilon": epsilon, "norm": norm}
            runs = {name: partial(step, *tensors, **settings) for name, step in steps.items()}
            expected = runs["eager"]()
            for name, run in runs.items():  # the same work
                torch.testing.assert_close(run(), expected, rtol=0, atol=1e-6, msg=name)
            times = wall_times(runs, rounds=rounds)
            ms = {name: round(1e3 * value, 3) for name, value in medians(times).items()}
            table.append({"shape": list(shape), "norm": norm, "ms": ms, "times_as_fast": speedups(times, "ours")})
            print(shape, norm, ms)
    print(write("ball_step", {"threads": THREADS, "radius": RADIUS, "table": table}))


if __name__ == "__main__":
    on_any_console()
    main()
