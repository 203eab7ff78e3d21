"""How everything here is timed: side by side in one run, warmed up, medians, the machine beside the numbers."""

import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch

from tml_helpers.machine import describe

RESULTS = Path(__file__).parent / "results"
Runs = Mapping[str, Callable[[], object]]
Times = dict[str, list[float]]

BEYOND_THE_CACHE = 2**28  # bytes: written between two runs, so that a GPU's L2 cache (50 MB) keeps nothing of the first


def wall_times(runs: Runs, *, rounds: int, warm_up: int = 3, clock: Callable[[], float] = time.perf_counter) -> Times:
    """Seconds of each run in each round. Each round calls all of them, so that a slow moment hits all alike."""
    times: Times = {name: [] for name in runs}
    for step in range(warm_up + rounds):
        for name, run in runs.items():
            start = clock()
            run()
            if step >= warm_up:
                times[name].append(clock() - start)
    return times


def device_times(runs: Runs, *, rounds: int, warm_up: int = 5) -> Times:
    """Seconds on the GPU of each run in each round, between two CUDA events, each from a cold L2 cache."""
    flush = torch.empty(BEYOND_THE_CACHE, dtype=torch.int8, device="cuda")
    events: dict[str, list[tuple[torch.cuda.Event, torch.cuda.Event]]] = {name: [] for name in runs}
    for step in range(warm_up + rounds):
        for name, run in runs.items():
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            flush.zero_()  # while it runs, the host queues what follows: launches are hidden, as in training
            start.record()
            run()
            end.record()
            if step >= warm_up:
                events[name].append((start, end))
    torch.cuda.synchronize()
    return {name: [start.elapsed_time(end) / 1e3 for start, end in pairs] for name, pairs in events.items()}


def added_bytes(run: Callable[[], object]) -> int:
    """Bytes that PyTorch holds at most during a run on the CPU, beyond what it held before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = profile.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    return int(max(accumulate((size for _, size in changes), initial=0)))


def copy_bandwidth() -> float:
    """Bytes per second that a copy of 1 GiB reads and writes on the GPU: the ceiling for whatever moves memory."""
    source = torch.randn(2**28, device="cuda")
    target = torch.empty_like(source)
    times = device_times({"copy": lambda: target.copy_(source)}, rounds=30)
    return 2 * source.nbytes / statistics.median(times["copy"])


def write_bandwidth() -> float:
    """Bytes per second that filling 1 GiB writes on the GPU: the ceiling for whatever only writes."""
    target = torch.empty(2**28, device="cuda")
    return target.nbytes / statistics.median(device_times({"fill": lambda: target.fill_(1.0)}, rounds=30)["fill"])


def medians(times: Times) -> dict[str, float]:
    """The median of each run's seconds."""
    return {name: statistics.median(values) for name, values in times.items()}


def speedups(times: Times, of: str) -> dict[str, float]:
    """How many times as fast the run `of` is as each other: the median of the rounds' ratios, two digits."""
    return {
        name: round(statistics.median(a / b for a, b in zip(values, times[of], strict=True)), 2)
        for name, values in times.items()
        if name != of
    }


def write(name: str, content: dict[str, Any]) -> Path:
    """`results/NAME.json`, with what the machine is."""
    machine = describe()
    if torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
        machine["cuda"] = torch.version.cuda
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, **content}, indent=1) + "\n", encoding="utf-8")
    return path


def resume(name: str, runs: Iterable[tuple[str, Callable[[], Any]]], **head: Any) -> None:
    """Each run that `results/NAME.json` does not have yet, written at once: an interruption loses one at the most.

    The file is read anew before each, as the same script may be running on other data.
    """

    def done() -> dict[str, Any]:
        file = RESULTS / f"{name}.json"
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["runs"] if file.exists() else {}
        return kept

    for place, run in runs:
        if place not in done():
            found = run()
            write(name, {**head, "runs": done() | {place: found}})
            print(f"{place:44} {found}", flush=True)
