"""The distillation loss on the CPU, forward and backward: plain PyTorch, torch.compile, torchdistill, ours.

python benchmarks/distillation.py      writes results/distillation.json
"""

from collections.abc import Callable

import torch
from _measure import medians, speedups, wall_times, write
from torch import Tensor

from tml_helpers import _torchvision
from tml_helpers._console import on_any_console
from tml_helpers.distillation import distillation_loss
from tml_helpers.kernels.distillation_loss import reference

TEMPERATURE, ALPHA, THREADS = 4.0, 0.9, 2
SIZES = {(256, 1000): 300, (64, 32_000): 60}  # rows and classes: rounds
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


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


def forward_and_backward(loss: Loss, student: Tensor, teacher: Tensor, labels: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        student.grad = None
        loss(student, teacher, labels).backward()
        assert student.grad is not None
        return student.grad

    return run


def main() -> None:
    torch.set_num_threads(THREADS)
    losses = {"eager": eager, "torch.compile": torch.compile(eager, dynamic=False), "torchdistill": torchdistill()}
    losses["ours"] = ours
    table = []
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
    settings = {"temperature": TEMPERATURE, "alpha": ALPHA, "threads": THREADS, "dtype": "float32"}
    print(write("distillation", {**settings, "table": table}))


if __name__ == "__main__":
    on_any_console()
    main()
