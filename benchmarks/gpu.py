"""The kernels on a GPU: bytes per second over those of a measured copy; PyTorch, torch.compile and Liger beside them.

python benchmarks/gpu.py      writes results/gpu.json after each line, the most important first; under three minutes

After three minutes it ends, and the next run goes on where it ended, as long as card, PyTorch and kernels are the same.
The columns `replayed` launch one CUDA graph of all that the column before them launches: the host does next to nothing.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _measure import RESULTS, copy_bandwidth, device_times, medians, speedups, write, write_bandwidth
from torch import Tensor

from tml_helpers._console import on_any_console
from tml_helpers.kernels import ball_step, clip_and_sum, distillation_loss, group_counts, keyed_select, superpixels
from tml_helpers.kernels.ball_step import reference as ball_step_reference
from tml_helpers.kernels.clip_and_sum import reference as clip_and_sum_reference
from tml_helpers.kernels.distillation_loss import reference as distillation_loss_reference
from tml_helpers.kernels.group_counts import launch, scale, table
from tml_helpers.kernels.group_counts import reference as group_counts_reference
from tml_helpers.kernels.keyed_select import picked, plain
from tml_helpers.kernels.superpixels import reference as superpixels_reference

ALPHA, SEGMENTS, ROUNDS, SECONDS = 0.9, 39, 20, 150
RADIUS = {"linf": 8 / 255, "l2": 0.5}
Run = Callable[[], object]
Size = dict[str, Any]


def batch(rows: int, classes: int, dtype: str, temperature: float = 4.0) -> tuple[str, Size]:
    return "distillation_loss", {"rows": rows, "classes": classes, "dtype": dtype, "temperature": temperature}


def step(shape: list[int], dtype: str, norm: str) -> tuple[str, Size]:
    return "ball_step", {"shape": shape, "dtype": dtype, "norm": norm}


def scenes(shape: list[int], dtype: str, channels_last: bool = False) -> tuple[str, Size]:
    """The shape is of masks, and of the image that they hide in part."""
    return "superpixels", {"shape": shape, "dtype": dtype, "channels_last": channels_last}


def people(rows: int, scores: str, whole: str, groups: int, thresholds: int) -> tuple[str, Size]:
    """`whole` is the dtype of labels and groups."""
    size = {"rows": rows, "scores": scores, "whole": whole, "groups": groups, "thresholds": thresholds}
    return "group_counts", size


def examples(rows: int, parameters: int, dtype: str) -> tuple[str, Size]:
    """A gradient for each row."""
    return "clip_and_sum", {"rows": rows, "parameters": parameters, "dtype": dtype}


def queries(shape: list[int], dtype: str) -> tuple[str, Size]:
    """A batch of inputs to be hashed."""
    return "keyed_select", {"shape": shape, "dtype": dtype}


PHOTOS, THOUSAND = [256, 3, 224, 224], [1000, 3, 224, 224]
SIZES = [
    batch(8192, 32_000, "bfloat16"),
    step(PHOTOS, "bfloat16", "l2"),
    scenes(THOUSAND, "bfloat16"),
    step(PHOTOS, "float32", "l2"),
    scenes([32, 3, 224, 224], "float32"),
    people(10**8, "float32", "uint8", 8, 101),
    people(10**8, "float32", "uint8", 8, 1),
    examples(256, 10**6, "float32"),
    examples(256, 10**6, "bfloat16"),
    queries([1, 1, 28, 28], "float32"),
    queries([256, 1, 28, 28], "float32"),
    queries(PHOTOS, "float32"),
    batch(8192, 32_000, "float32"),
    scenes(THOUSAND, "bfloat16", channels_last=True),
    batch(256, 1000, "float32"),
    step([8, 3, 32, 32], "float32", "l2"),
    step(PHOTOS, "bfloat16", "linf"),
    scenes(THOUSAND, "float32"),
    batch(64, 32_000, "bfloat16"),
    batch(8192, 32_000, "bfloat16", temperature=2.5),
    step([256, 1, 28, 28], "float32", "linf"),
    batch(8192, 50_257, "bfloat16"),
    people(10**8, "uint8", "uint8", 8, 1),
    people(10**4, "float32", "uint8", 8, 1),
    step([64, 3, 512, 512], "float32", "l2"),
    scenes(THOUSAND, "float32", channels_last=True),
    scenes([256, 1, 28, 28], "float32"),
    examples(256, 206_922, "float32"),
    examples(4, 10**8, "bfloat16"),
    examples(256, 10**6 + 1, "float32"),
    examples(64, 1000, "float32"),
    people(10**8, "float64", "int64", 8, 101),
    people(10**8, "float32", "int64", 1000, 101),
    people(10**6, "float32", "uint8", 8, 101),
    queries([1, 3, 224, 224], "float32"),
    queries([65_536, 1, 28, 28], "uint8"),
]


# ------------------------------------------------------------------------------- what is timed: runs, fewest bytes


def distillation(rows: int, classes: int, dtype: str, temperature: float) -> tuple[dict[str, Run], int]:
    """Fewest bytes: read both logits, write the gradient."""
    student, teacher = (3 * torch.randn(rows, classes, device="cuda", dtype=getattr(torch, dtype)) for _ in range(2))
    inputs = student.requires_grad_(), teacher, torch.randint(classes, (rows,), device="cuda")
    losses = columns(distillation_loss_reference, distillation_loss)
    if (peer := liger()) is not None:
        losses["liger-kernel"] = peer

    def forward_and_backward(loss: Callable[..., Tensor]) -> None:
        student.grad = None
        loss(*inputs, temperature=temperature, alpha=ALPHA).backward()

    return {name: partial(forward_and_backward, loss) for name, loss in losses.items()}, 3 * student.nbytes


def liger() -> Callable[..., Tensor] | None:
    """Liger's divergence, which takes the answers of PyTorch's softmax, and PyTorch's cross-entropy."""
    try:
        from liger_kernel.transformers import LigerKLDIVLoss
    except ImportError:
        return None
    divergence = LigerKLDIVLoss(reduction="batchmean")

    def loss(student: Tensor, teacher: Tensor, labels: Tensor, *, temperature: float, alpha: float) -> Tensor:
        soft = divergence(F.log_softmax(student / temperature, dim=1), F.softmax(teacher / temperature, dim=1))
        whole: Tensor = alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student, labels)
        return whole

    return loss


def stepped(shape: list[int], dtype: str, norm: str) -> tuple[dict[str, Run], int]:
    """Fewest bytes: read the current images, the clean ones and the gradient, write the end."""
    images, noise, gradient = (torch.rand(shape, device="cuda", dtype=getattr(torch, dtype)) for _ in range(3))
    epsilon = RADIUS[norm]
    tensors = (images + epsilon * (noise - 0.5)).clamp(0, 1), images, gradient - 0.5
    settings = {"step_size": epsilon / 4, "epsilon": epsilon, "norm": norm}
    steps = columns(ball_step_reference, ball_step)
    return {name: partial(function, *tensors, **settings) for name, function in steps.items()}, 4 * images.nbytes


def composed(shape: list[int], dtype: str, channels_last: bool) -> tuple[dict[str, Run], int]:
    """Fewest bytes: write the batch."""
    masks, *image = shape
    scene, fill = torch.rand(2, *image, device="cuda", dtype=getattr(torch, dtype))
    segments = torch.randint(SEGMENTS, tuple(image[1:]), device="cuda")
    visible = torch.rand(masks, SEGMENTS, device="cuda") < 0.5
    order = torch.channels_last if channels_last else torch.contiguous_format
    batches = columns(
        lambda *tensors: superpixels_reference(*tensors).contiguous(memory_format=order),
        lambda *tensors: superpixels(*tensors[:3], fill=tensors[3], channels_last=channels_last),
    )
    tensors = scene, segments, visible, fill
    return {name: partial(function, *tensors) for name, function in batches.items()}, masks * scene.nbytes


def counted(rows: int, scores: str, whole: str, groups: int, thresholds: int) -> tuple[dict[str, Run], int]:
    """Fewest bytes: read scores, labels and groups. Recorded: its launches alone, for thresholds come from the host."""
    score = torch.rand(rows, device="cuda")
    score = (score >= 0.5).to(torch.uint8) if scores == "uint8" else score.to(getattr(torch, scores))
    label = (torch.rand(rows, device="cuda") < 0.4).to(getattr(torch, whole))
    group = torch.randint(groups, (rows,), device="cuda").to(getattr(torch, whole))
    wide = torch.float64 if scores == "float64" else torch.float32
    steps = torch.tensor([0.5], dtype=wide) if thresholds == 1 else torch.linspace(0, 1, thresholds, dtype=wide)
    plain = score.to(wide), label, group, steps.cuda(), groups
    counts = columns(group_counts_reference, group_counts)
    runs: dict[str, Run] = {name: partial(count, *plain) for name, count in counts.items() if name != "ours"}
    runs["ours"] = partial(group_counts, score, label, group, group_count=groups, thresholds=steps)
    recorded = [score, label, group], table(steps).cuda(), thresholds, scale(steps), groups
    runs["recorded"] = partial(launch, *recorded)
    return runs, score.nbytes + label.nbytes + group.nbytes


def clipped(rows: int, parameters: int, dtype: str) -> tuple[dict[str, Run], int]:
    """Fewest bytes: read the gradients twice. Every other row is longer than is allowed."""
    gradients = torch.randn(rows, parameters, device="cuda", dtype=getattr(torch, dtype))
    gradients[::2] *= 2
    sums = columns(clip_and_sum_reference, lambda rows, clip_norm: clip_and_sum(rows, clip_norm=clip_norm))
    clip_norm = 1.5 * parameters**0.5
    return {name: partial(function, gradients, clip_norm) for name, function in sums.items()}, 2 * gradients.nbytes


def selected(shape: list[int], dtype: str) -> tuple[dict[str, Run], int]:
    """Fewest bytes: read the inputs. Eager is the host: inputs copied to it, hashlib, and the answer copied back."""
    key, fraction = bytes(range(32)), 0.01
    inputs = (255 * torch.rand(shape, device="cuda")).to(getattr(torch, dtype))
    runs: dict[str, Run] = {
        "eager": lambda: picked(plain(inputs.cpu(), key), fraction).cuda(),
        "ours": partial(keyed_select, inputs, key=key, fraction=fraction),
    }
    return runs, inputs.nbytes


def columns(reference: Callable[..., Any], ours: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """The competitors of one line, compiled afresh: a shape that was seen before must not make this one dynamic."""
    torch.compiler.reset()
    return {"eager": reference, "torch.compile": torch.compile(reference, dynamic=False), "ours": ours}


MEASURED: dict[str, Callable[..., tuple[dict[str, Run], int]]] = {
    "distillation_loss": distillation,
    "ball_step": stepped,
    "superpixels": composed,
    "group_counts": counted,
    "clip_and_sum": clipped,
    "keyed_select": selected,
}


# ------------------------------------------------------------------------------------------------ how it is timed


def replayed(run: Run) -> Run:
    """All that a run launches as one launch: what a user takes where launches are most of the time."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        run()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def measured(kernel: str, size: Size, ceiling: float) -> dict[str, Any]:
    """One line: its size, its fewest bytes, microseconds, and those bytes per second over the ceiling."""
    runs, fewest = MEASURED[kernel](**size)
    compiled = [name for name in ("torch.compile", "ours") if name in runs]
    for name in compiled:
        runs[name]()
    recorded = {"ours": runs.pop("recorded")} if "recorded" in runs else {name: runs[name] for name in compiled}
    runs |= {f"{name}, replayed": replayed(run) for name, run in recorded.items()}
    seconds = medians(times := device_times(runs, rounds=ROUNDS))
    return {
        **size,
        "fewest_bytes": fewest,
        "us": {name: round(1e6 * value, 1) for name, value in seconds.items()},
        "of_ceiling": {name: round(fewest / value / ceiling, 3) for name, value in seconds.items()},
        "times_as_fast": speedups(times, "ours"),
    }


def code() -> str:
    """A fingerprint of what is measured: the kernels and this file."""
    kernels = Path(__file__).parents[1] / "tml_helpers/kernels"
    files = [kernels / f"{name}.py" for name in MEASURED] + [Path(__file__)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def earlier(measurement: dict[str, str]) -> dict[str, Any]:
    """What a run of the same card, PyTorch and kernels has left; ceilings that are measured now, if none."""
    path = RESULTS / "gpu.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if {**found.get("measured", {}), "date": ""} == {**measurement, "date": ""}:
        return {name: value for name, value in found.items() if name != "machine"}
    settings = {"alpha": ALPHA, "radius": RADIUS, "segments": SEGMENTS}
    ceilings = {"copy_bytes_per_second": copy_bandwidth(), "write_bytes_per_second": write_bandwidth()}
    return {"measured": measurement, **settings, **ceilings, **{kernel: [] for kernel in MEASURED}}


def show(kernel: str, line: dict[str, Any]) -> None:
    cells = (f"{name} {us:.1f} ({line['of_ceiling'][name]:.0%})" for name, us in line["us"].items())
    size = [value for name, value in line.items() if name not in ("fewest_bytes", "us", "of_ceiling", "times_as_fast")]
    print(kernel, *size, "·", *cells, sep="  ", flush=True)


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py needs a CUDA device, and torch sees none here: run it on a machine that has one.")
    start = time.monotonic()
    torch.manual_seed(0)
    card = torch.cuda.get_device_name()
    result = earlier({"card": card, "date": date.today().isoformat(), "torch": torch.__version__, "code": code()})
    copy, written = result["copy_bytes_per_second"], result["write_bytes_per_second"]
    print(f"{card}: a copy of 1 GiB moves {copy / 1e12:.2f} TB/s, a fill {written / 1e12:.2f}; median µs (share of it)")
    left = [
        (kernel, size) for kernel, size in SIZES if not any(size.items() <= line.items() for line in result[kernel])
    ]
    while left and time.monotonic() - start < SECONDS:
        kernel, size = left.pop(0)
        line = measured(kernel, size, written if kernel == "superpixels" else copy)
        result[kernel].append(line)
        show(kernel, line)
        write("gpu", result)
    print(f"{len(left)} lines are left: run it again." if left else RESULTS / "gpu.json")


if __name__ == "__main__":
    on_any_console()
    main()
