"""The kernels on a GPU: bytes per second over those of a measured copy; plain PyTorch and torch.compile beside them.

python benchmarks/gpu.py      writes results/gpu.json; takes about four minutes
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from _measure import Runs, copy_bandwidth, device_times, medians, speedups, write, write_bandwidth
from torch import Tensor

from tml_helpers._console import on_any_console
from tml_helpers.kernels import ball_step, distillation_loss, superpixels
from tml_helpers.kernels.ball_step import reference as ball_step_reference
from tml_helpers.kernels.distillation_loss import reference as distillation_loss_reference
from tml_helpers.kernels.superpixels import reference as superpixels_reference

SIZES = [(8192, 32_000), (64, 32_000), (256, 1000)]  # the first is beyond the cache, the others are bound by launches
IMAGES = [(256, 3, 224, 224), (256, 1, 28, 28), (8, 3, 32, 32)]  # likewise
DTYPES = [torch.bfloat16, torch.float32]
ALPHA = 0.9
SCENES = [(1000, 3, 224, 224), (32, 3, 224, 224), (256, 1, 28, 28)]  # masks, and the image that they hide in part
SEGMENTS = 39
RADIUS = {"linf": 8 / 255, "l2": 0.5}


def columns(reference: Callable[..., Tensor], ours: Callable[..., Tensor]) -> dict[str, Callable[..., Tensor]]:
    """The competitors of one line, compiled afresh: a shape that was seen before must not make this one dynamic."""
    torch.compiler.reset()
    return {"eager": reference, "torch.compile": torch.compile(reference, dynamic=False), "ours": ours}


def measured(runs: Runs, fewest: int, copy: float) -> dict[str, Any]:
    """What is noted of each line: its fewest bytes, microseconds, and those bytes per second over the copy's."""
    times = device_times(runs, rounds=50)
    seconds = medians(times)
    return {
        "fewest_bytes": fewest,
        "us": {name: round(1e6 * value, 1) for name, value in seconds.items()},
        "of_copy": {name: round(fewest / value / copy, 3) for name, value in seconds.items()},
        "times_as_fast": speedups(times, "ours"),
    }


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
    losses = columns(distillation_loss_reference, distillation_loss)
    runs = {name: forward_and_backward(loss, inputs, temperature) for name, loss in losses.items()}
    kind = str(dtype).removeprefix("torch.")
    size = {"rows": rows, "classes": classes, "dtype": kind, "temperature": temperature}
    return {**size, **measured(runs, 3 * student.nbytes, copy)}


def distillation_table(copy: float) -> Iterator[dict[str, Any]]:
    print("Distillation loss, forward and backward: median µs (fewest bytes per second, as a share of the copy's)")
    for rows, classes in SIZES:
        for dtype in DTYPES:
            for temperature in (4.0, 2.5):  # a whole temperature spares the kernel one exponential in three
                line = distillation(rows, classes, dtype, temperature, copy)
                show(f"[{rows}, {classes}] {line['dtype']:8} T={temperature:<4}", line)
                yield line


def step(shape: tuple[int, ...], dtype: torch.dtype, norm: str, copy: float) -> dict[str, Any]:
    """One line of the table. Fewest bytes: read where the attack stands, the images and the gradient, write the end."""
    images, noise, gradient = (torch.rand(shape, device="cuda", dtype=dtype) for _ in range(3))
    epsilon = RADIUS[norm]
    tensors = (images + epsilon * (noise - 0.5)).clamp(0, 1), images, gradient - 0.5
    settings = {"step_size": epsilon / 4, "epsilon": epsilon, "norm": norm}
    steps = columns(ball_step_reference, ball_step)
    runs = {name: partial(function, *tensors, **settings) for name, function in steps.items()}
    kind = str(dtype).removeprefix("torch.")
    return {"shape": list(shape), "dtype": kind, "norm": norm, **measured(runs, 4 * images.nbytes, copy)}


def step_table(copy: float) -> Iterator[dict[str, Any]]:
    print("Ball step: median µs (fewest bytes per second, as a share of the copy's)")
    for shape in IMAGES:
        for dtype in DTYPES:
            for norm in RADIUS:
                line = step(shape, dtype, norm, copy)
                show(f"{line['shape']!s:20} {line['dtype']:8} {norm:4}", line)
                yield line


def composed(shape: tuple[int, ...], dtype: torch.dtype, channels_last: bool, written: float) -> dict[str, Any]:
    """One line of the table. Fewest bytes: write the batch. Beside the bandwidth of a fill, which only writes too."""
    masks, *image = shape
    scene, fill = torch.rand(2, *image, device="cuda", dtype=dtype)
    segments = torch.randint(SEGMENTS, tuple(image[1:]), device="cuda")
    visible = torch.rand(masks, SEGMENTS, device="cuda") < 0.5
    order = torch.channels_last if channels_last else torch.contiguous_format
    batches = columns(
        lambda: superpixels_reference(scene, segments, visible, fill).contiguous(memory_format=order),
        lambda: superpixels(scene, segments, visible, fill=fill, channels_last=channels_last),
    )
    kind = str(dtype).removeprefix("torch.")
    line = measured(batches, masks * scene.nbytes, written)
    line["of_write"] = line.pop("of_copy")
    return {"shape": list(shape), "dtype": kind, "channels_last": channels_last, **line}


def composed_table(written: float) -> Iterator[dict[str, Any]]:
    print("Superpixels: median µs (fewest bytes per second, as a share of a fill's)")
    for shape in SCENES:
        for dtype in DTYPES:
            for channels_last in (False, True):
                line = composed(shape, dtype, channels_last, written)
                show(f"{line['shape']!s:20} {line['dtype']:8} {'NHWC' if channels_last else 'NCHW'}", line)
                yield line


def show(name: str, line: dict[str, Any]) -> None:
    share = line["of_copy"] if "of_copy" in line else line["of_write"]
    cells = (f"{n} {line['us'][n]:.1f} ({share[n]:.0%})" for n in line["us"])
    print(name, " ".join(f"{cell:>28}" for cell in cells))


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py needs a CUDA device, and torch sees none here: run it on a machine that has one.")
    torch.manual_seed(0)
    copy, written = copy_bandwidth(), write_bandwidth()
    print(f"{torch.cuda.get_device_name()}: a copy of 1 GiB moves {copy / 1e12:.2f} TB/s, a fill {written / 1e12:.2f}")
    tables = {
        "distillation_loss": list(distillation_table(copy)),
        "ball_step": list(step_table(copy)),
        "superpixels": list(composed_table(written)),
    }
    ceilings = {"copy_bytes_per_second": copy, "write_bytes_per_second": written}
    print(write("gpu", {"alpha": ALPHA, "radius": RADIUS, "segments": SEGMENTS, **ceilings, **tables}))


if __name__ == "__main__":
    on_any_console()
    main()
