"""The kernels on a GPU: bytes per second over those of a measured copy; plain PyTorch and torch.compile beside them.

python benchmarks/gpu.py      writes results/gpu.json; takes about two minutes
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from _measure import copy_bandwidth, device_times, medians, speedups, write
from torch import Tensor

from tml_helpers.kernels import distillation_loss
from tml_helpers.kernels.distillation_loss import reference

SIZES = [(8192, 32_000), (64, 32_000), (256, 1000)]  # the first is beyond the cache, the others are bound by launches
DTYPES = [torch.bfloat16, torch.float32]
ALPHA = 0.9


def forward_and_backward(
    loss: Callable[..., Tensor], inputs: tuple[Tensor, ...], temperature: float
) -> Callable[[], None]:
    student, teacher, labels = inputs

    def run() -> None:
        student.grad = None
        loss(student, teacher, labels, temperature=temperature, alpha=ALPHA).backward()

    return run


def distillation(rows: int, classes: int, dtype: torch.dtype, temperature: float, copy: float) -> dict[str, Any]:
    """One line of the table. Fewest bytes: read both logits, write the gradient."""
    student, teacher = (3 * torch.randn(rows, classes, device="cuda", dtype=dtype) for _ in range(2))
    inputs = student.requires_grad_(), teacher, torch.randint(classes, (rows,), device="cuda")
    torch.compiler.reset()
    losses = {"eager": reference, "torch.compile": torch.compile(reference, dynamic=False), "ours": distillation_loss}
    runs = {name: forward_and_backward(loss, inputs, temperature) for name, loss in losses.items()}
    times = device_times(runs, rounds=50)
    seconds, fewest = medians(times), 3 * student.nbytes
    return {
        "rows": rows,
        "classes": classes,
        "dtype": str(dtype).removeprefix("torch."),
        "temperature": temperature,
        "fewest_bytes": fewest,
        "us": {name: round(1e6 * value, 1) for name, value in seconds.items()},
        "of_copy": {name: round(fewest / value / copy, 3) for name, value in seconds.items()},
        "times_as_fast": speedups(times, "ours"),
    }


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py needs a CUDA device, and torch sees none here: run it on a machine that has one.")
    torch.manual_seed(0)
    copy = copy_bandwidth()
    print(f"{torch.cuda.get_device_name()}: a copy of 1 GiB moves {copy / 1e12:.2f} TB/s")
    print("Distillation loss, forward and backward: median µs (fewest bytes per second, as a share of the copy's)")
    table = []
    for rows, classes in SIZES:
        for dtype in DTYPES:
            for temperature in (4.0, 2.5):  # a whole temperature spares the kernel one exponential in three
                line = distillation(rows, classes, dtype, temperature, copy)
                table.append(line)
                cells = (f"{n} {line['us'][n]:.1f} ({line['of_copy'][n]:.0%})" for n in line["us"])
                print(f"[{rows}, {classes}] {line['dtype']:8} T={temperature:<4}", " ".join(f"{c:>28}" for c in cells))
    print(write("gpu", {"alpha": ALPHA, "copy_bytes_per_second": copy, "distillation_loss": table}))


if __name__ == "__main__":
    main()
