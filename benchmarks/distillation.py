"""The losses of distillation on the CPU, forward and backward, beside others'; then deep compression, end to end.

python benchmarks/distillation.py      writes results/distillation.json, and what benchmarks/small_networks.py writes

The loss of the answers: plain PyTorch, torch.compile, torchdistill, ours, on two threads. The losses of the relations:
plain loops, torchdistill, ours, in CPU time of one thread, with the memory that they add. The loops are Python's, over
pairs and triples, and give no gradient; they are timed once, at 64 images. torchdistill's angles of 1,024 images are
left out where less memory is free than twice what its angles of 256 images foretell.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from math import dist
from operator import mul
from pathlib import Path
from typing import Any

import psutil
import torch
from _measure import added_bytes, medians, speedups, wall_times, write
from torch import Tensor
from torch.nn import functional as F

from tml_helpers import _torchvision
from tml_helpers._console import on_any_console
from tml_helpers.distillation import distillation_loss, rkd_angle_loss, rkd_distance_loss
from tml_helpers.kernels.distillation_loss import reference

TEMPERATURE, ALPHA, THREADS = 4.0, 0.9, 2
SIZES = {(256, 1000): 300, (64, 32_000): 60}  # rows and classes: rounds
IMAGES = {64: 20, 256: 6, 1024: 2}  # of a batch whose relations are compared, four times as many each: rounds
WIDTH = 128  # of both embeddings
Loss = Callable[..., Tensor]
Row = dict[str, Any]


def forward_and_backward(loss: Loss, student: Tensor, *rest: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        student.grad = None
        loss(student, *rest).backward()
        assert student.grad is not None
        return student.grad

    return run


# -------------------------------------------------------------------------------------------------- the answers


def eager(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    return reference(student, teacher, labels, temperature=TEMPERATURE, alpha=ALPHA)


def ours(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    return distillation_loss(student, teacher, labels, temperature=TEMPERATURE, alpha=ALPHA)


def torchdistill() -> Loss:
    """KDLoss as torchdistill's training loop calls it; its alpha weighs the hard labels."""
    _torchvision.load()  # which torchdistill imports
    from torchdistill.losses.mid_level import KDLoss

    loss = KDLoss("logits", "output", "logits", "output", temperature=TEMPERATURE, alpha=1 - ALPHA)
    return lambda s, t, y: loss({"logits": {"output": s}}, {"logits": {"output": t}}, y)


def inputs(rows: int, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Student logits, teacher logits, labels: the same tensors for all, as warm as the last one left them."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = 3 * torch.randn(2, rows, classes, generator=generator)
    return student.requires_grad_(), teacher, torch.randint(classes, (rows,), generator=generator)


def answers() -> list[Row]:
    torch.set_num_threads(THREADS)
    losses = {"eager": eager, "torch.compile": torch.compile(eager, dynamic=False), "torchdistill": torchdistill()}
    losses["ours"] = ours
    table: list[Row] = []
    for (rows, classes), rounds in SIZES.items():
        batch = inputs(rows, classes)
        runs = {name: forward_and_backward(loss, *batch) for name, loss in losses.items()}
        for run in runs.values():
            torch.testing.assert_close(run(), runs["eager"](), rtol=1e-4, atol=1e-7)
        times = wall_times(runs, rounds=rounds)
        milliseconds = {name: round(1e3 * seconds, 2) for name, seconds in medians(times).items()}
        table.append({"rows": rows, "classes": classes, "ms": milliseconds, "times_as_fast": speedups(times, "ours")})
    print(f"Forward and backward in float32, T = {TEMPERATURE:g}, alpha = {ALPHA:g}, {THREADS} threads: median ms")
    print(f"{'':14}" + "".join(f"{name:>15}" for name in losses))
    for row in table:
        print(f"{(row['rows'], row['classes'])!s:14}" + "".join(f"{row['ms'][name]:15.2f}" for name in losses))
        ratios = (f"{row['times_as_fast'].get(name, 1):.2f} ×" for name in losses)
        print(f"{'  / ours':14}" + "".join(f"{ratio:>15}" for ratio in ratios))
    return table


# ------------------------------------------------------------------------------------------------ the relations


def torchdistills_relations(*, distances: float, angles: float) -> Loss:
    _torchvision.load()
    from torchdistill.losses.mid_level import RKDLoss

    loss = RKDLoss("hidden", "hidden", dist_factor=distances, angle_factor=angles, reduction="mean")
    return lambda s, t: loss({"hidden": {"output": s}}, {"hidden": {"output": t}})


def distances_by_loops(points: Tensor) -> list[float]:
    found = [dist(a, b) for a in points.tolist() for b in points.tolist()]
    apart = [distance for distance in found if distance > 0]
    return [distance * len(apart) / sum(apart) for distance in found]


def angles_by_loops(points: Tensor) -> list[float]:
    found = []
    for a in points:
        rays = F.normalize(points - a, dim=1).tolist()
        found += [sum(map(mul, to_b, to_c)) for to_b in rays for to_c in rays]
    return found


def relations() -> list[Row]:
    torch.set_num_threads(1)
    losses: dict[str, tuple[Loss, Loss, Callable[[Tensor], list[float]]]] = {
        "distances": (rkd_distance_loss, torchdistills_relations(distances=1.0, angles=0.0), distances_by_loops),
        "angles": (rkd_angle_loss, torchdistills_relations(distances=0.0, angles=1.0), angles_by_loops),
    }
    table: list[Row] = []
    for kind, (own, theirs, by_loops) in losses.items():
        foretold = 0
        for images, rounds in IMAGES.items():
            student, teacher = torch.randn(2, images, WIDTH, generator=torch.Generator().manual_seed(0))
            student.requires_grad_()
            runs = {"ours": forward_and_backward(own, student, teacher)}
            if 2 * foretold < psutil.virtual_memory().available:
                runs = {"torchdistill": forward_and_backward(theirs, student, teacher), **runs}
                torch.testing.assert_close(runs["ours"](), runs["torchdistill"](), rtol=1e-3, atol=1e-6)
            times = wall_times(runs, rounds=rounds, warm_up=1, clock=time.process_time)
            milliseconds = {name: round(1e3 * seconds, 2) for name, seconds in medians(times).items()}
            added = {name: added_bytes(run) for name, run in runs.items()}
            row: Row = {"relation": kind, "images": images, "ms": milliseconds, "added_bytes": added}
            if images == min(IMAGES):
                start = time.process_time()
                said = F.smooth_l1_loss(torch.tensor(by_loops(student.detach())), torch.tensor(by_loops(teacher)))
                milliseconds["loops, forward"] = round(1e3 * (time.process_time() - start), 2)
                torch.testing.assert_close(own(student, teacher), said, rtol=1e-4, atol=0)
            table.append(row | {"times_as_fast": speedups(times, "ours"), "foretold_bytes": foretold or None})
            foretold = round(added.get("torchdistill", 0) * 4 ** (3 if kind == "angles" else 2))
    print(
        f"\nRelations of embeddings [B, {WIDTH}], forward and backward in float32: CPU ms of one thread, memory added"
    )
    for row in table:
        cells = (f"{name} {row['ms'][name]:.1f}" for name in row["ms"])
        memory = (f"{name} {size / 2**20:.1f} MiB" for name, size in row["added_bytes"].items())
        print(f"{row['relation']:10} B = {row['images']:5}: {', '.join(cells)}; {', '.join(memory)}")
    return table


def main() -> None:
    table = answers()
    settings = {"temperature": TEMPERATURE, "alpha": ALPHA, "threads": THREADS, "dtype": "float32"}
    print(write("distillation", {**settings, "table": table, "relations": {"width": WIDTH, "table": relations()}}))
    subprocess.run([sys.executable, Path(__file__).with_name("small_networks.py")], check=True)


if __name__ == "__main__":
    on_any_console()
    main()
