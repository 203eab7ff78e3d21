"""Every way to a small network, and deep compression end to end: accuracy, bytes on disk, multiply-adds, time.

    python benchmarks/small_networks.py                               the default digits, then the times
    TML_DATA_DIR=… python benchmarks/small_networks.py --data full    all of MNIST

Writes results/compression.json after every network, and goes on from there; the times are taken anew in each run.

Every network has looked at every training image equally often, in each of five seeds: the teacher in the first epochs;
in the rest the networks that were made of it, and the teacher itself as their control; students in all of them. The
control teaches the students. A student alone and a student that is taught start from the same weights and see the same
batches. The pipeline's sparsity and bits were chosen on 1,000 held-out training images of another seed. Who teaches the
students, and the last learning rate, were changed once each after a look at test accuracies of earlier runs. `bytes` is
the length of a file that `compression.save_compressed` wrote; agreement and divergence are with the network that a
network was made of, or that teaches the students.
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import torch
from _measure import RESULTS, Runs, medians, wall_times
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers._console import on_any_console
from tml_helpers.compression import (
    codebook,
    low_rank,
    nonzero_count,
    plain,
    prune,
    prune_channels,
    quantize,
    save_compressed,
)
from tml_helpers.data import ImageSet, mnist
from tml_helpers.distillation import distill
from tml_helpers.machine import describe
from tml_helpers.models import MLP, SmallCNN, multiply_adds, parameter_count
from tml_helpers.training import fit, predict, seed_everything

RESULT = RESULTS / "compression.json"
SEEDS = range(5)
SETTINGS: dict[str, dict[str, Any]] = {  # epochs of the teacher, and after it
    "default": {"images": 4000, "first": 5, "then": 4, "batch_size": 64},
    "full": {"images": 60_000, "first": 2, "then": 2, "batch_size": 128},
}
ON_FULL = (
    "teacher",
    "teacher, trained on",
    "width 4, alone",
    "width 4, taught",
    "pruned 95 %",
    "cut to width 4",
    "cut to width 4, taught",
)
FIRST_RATES, LAST_RATE = {"teacher": 2e-3, "student": 5e-3}, 1e-3  # in the first epochs, and in the rest
SPARSITY, BITS = 0.95, 4  # of the pipeline
RANKS = {"layers.4": 8, "layers.8": 8}
SOFT = 4.0  # temperature
Row = dict[str, Any]


@dataclass
class Course:
    """One seed: the data, a trained teacher, and how networks are trained beside it."""

    train: ImageSet
    test: ImageSet
    teacher: nn.Module
    settings: dict[str, Any]
    seed: int

    @cached_property
    def control(self) -> nn.Module:
        """The teacher after all epochs: what networks that were made of it compete with, and what teaches students."""
        return self.fitted(plain(self.teacher))

    def fitted(self, model: nn.Module, *, rate: float = LAST_RATE, epochs: int | None = None) -> nn.Module:
        """The network, trained on labels; without a number, for the epochs after the teacher's."""
        fit(model, self.train, **self._how(rate, epochs))
        return model

    def taught(self, model: nn.Module, *, rate: float = LAST_RATE, epochs: int | None = None) -> nn.Module:
        """The network, trained on labels and on what the control answers."""
        distill(model, self.control, self.train, temperature=SOFT, alpha=0.9, **self._how(rate, epochs))
        return model

    def _how(self, rate: float, epochs: int | None) -> dict[str, Any]:
        return {
            "epochs": self.settings["then"] if epochs is None else epochs,
            "learning_rate": rate,
            "batch_size": self.settings["batch_size"],
            "generator": seed_everything(self.seed),
        }

    def student(self, build: Callable[[], nn.Module], *, taught: bool) -> nn.Module:
        """From a random start, in as many epochs as the teacher and what is made of it have together."""
        train = self.taught if taught else self.fitted
        seed_everything(self.seed)
        model = build().to(memory_format=torch.channels_last)
        train(model, rate=FIRST_RATES["student"], epochs=self.settings["first"])
        return train(model)

    def measured(self, model: nn.Module, *, beside: nn.Module | None = None) -> Row:
        """What a network costs and how it answers the test images, the teacher's or another one's answers beside."""
        dense = plain(model)
        logits, labels = predict(dense, self.test.images), self.test.labels
        answers = predict(beside or self.teacher, self.test.images)
        right = logits.argmax(dim=1) == labels
        lead = answers.topk(2, dim=1).values
        hardest = (lead[:, 0] - lead[:, 1]).argsort()[: len(labels) // 10]
        soft = [F.log_softmax(z / SOFT, dim=1) for z in (logits, answers)]
        return {
            "accuracy": per_cent(right),
            "classes": [per_cent(right[labels == k]) for k in range(10)],
            "hardest_tenth": per_cent(right[hardest]),
            "agreement": per_cent(logits.argmax(dim=1) == answers.argmax(dim=1)),
            "divergence": round(F.kl_div(*soft, reduction="batchmean", log_target=True).item(), 5),
            "parameters": parameter_count(dense),
            "nonzero": nonzero_count(dense),
            "bytes": size_on_disk(model),
            "multiply_adds": multiply_adds(dense, self.test.images[:1]),
            "useful_multiply_adds": useful_multiply_adds(dense, self.test.images[:1]),
        }


def per_cent(right: Tensor) -> float:
    return round(100 * right.float().mean().item(), 2)


def size_on_disk(model: nn.Module) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tml"
        save_compressed(model, path)
        return path.stat().st_size


def useful_multiply_adds(model: nn.Module, image: Tensor) -> int:
    """Multiply-adds whose weight is not 0: what a chip would do that skips the others."""
    total = 0

    def count(layer: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        total += output[0, 0].numel() * int(layer.weight.count_nonzero())  # type: ignore[operator]

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    predict(model, image)
    for hook in hooks:
        hook.remove()
    return total


def networks(course: Course) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """Each network by its name, and how it is made; the sizes are the chapter's."""
    teacher, image = course.teacher, course.train.images[:1]
    yield "teacher", lambda: teacher
    yield "teacher, trained on", lambda: course.control
    builds: dict[str, Callable[[], nn.Module]] = {
        "width 4": lambda: SmallCNN(width=4),
        "width 2": lambda: SmallCNN(width=2),
        "32 units": lambda: MLP(32),
    }
    for name, build in builds.items():
        yield f"{name}, alone", lambda build=build: course.student(build, taught=False)
        yield f"{name}, taught", lambda build=build: course.student(build, taught=True)
    for percent in (90, 95):
        yield f"pruned {percent} %", lambda share=percent / 100: course.fitted(prune(teacher, sparsity=share))
    yield "cut to width 4", lambda: course.fitted(prune_channels(teacher, image, sparsity=0.75))
    cut = lambda: prune_channels(teacher, image, sparsity=0.75)  # noqa: E731
    yield "cut to width 4, taught", lambda: course.taught(cut())
    yield "low rank", lambda: course.fitted(low_rank(teacher, rank=RANKS))
    yield f"codebook, {BITS} bits", lambda: course.fitted(codebook(teacher, bits=BITS))
    for bits in (8, 4):
        yield f"{bits} bits", lambda bits=bits: quantize(teacher, bits=bits)
    student = cache(lambda: course.student(builds["width 4"], taught=True))
    yield "width 4, taught, 8 bits", lambda: quantize(student(), bits=8)
    yield "width 4, taught, codebook", lambda: course.fitted(codebook(student(), bits=BITS), epochs=1)


def pipeline(course: Course) -> list[Row]:
    """Prune, retrain, share values, retrain, code: what is measured after each stage."""
    half = course.settings["then"] // 2
    pruned = prune(course.teacher, sparsity=SPARSITY)
    stages = [("teacher", course.teacher), ("pruned", pruned)]
    rows = [{"stage": name, **course.measured(model)} for name, model in stages]
    rows.append({"stage": "retrained", **course.measured(course.fitted(pruned, epochs=half))})
    shared = codebook(pruned, bits=BITS)
    rows.append({"stage": "shared", **course.measured(shared)})
    course.fitted(shared, epochs=course.settings["then"] - half)
    rows.append({"stage": "retrained, shared", **course.measured(shared), "without_huffman": fixed_bytes(shared)})
    return rows


def fixed_bytes(model: nn.Module) -> int:
    """Bytes with `BITS` for each weight that stays, and gaps of one fixed length, the best, for each layer.

    A gap that is too long for its bits is bridged by zeros that are stored, as Han, Mao and Dally do.
    """
    bits = 0
    dense = plain(model)
    for layer in dense.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            places = layer.weight.detach().flatten().nonzero().flatten()
            gaps = places.diff(prepend=torch.tensor([-1])) - 1
            bits += min(int(len(gaps) + (gaps >> g).sum()) * (BITS + g) for g in range(1, 17))
            bits += 32 * 2**BITS
    others = sum(p.numel() for name, p in dense.named_parameters() if not name.endswith("weight"))
    return bits // 8 + 4 * others


def int8_kernels(model: nn.Module, images: Tensor) -> nn.Module:
    """The network with PyTorch's own 8-bit kernels, activations too; `images` set the activations' ranges."""
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in favour of torchao, which is another package
        prepared = prepare_fx(plain(model).eval(), get_default_qconfig_mapping("x86"), (images[:1],))
        predict(prepared, images)
        converted: nn.Module = convert_fx(prepared)
    return converted


class SparseLinear(nn.Module):
    """A linear layer whose zeros are not stored: PyTorch's compressed sparse rows."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch calls them a beta
            self.weight = layer.weight.detach().to_sparse_csr()
        self.bias = layer.bias.detach()

    def forward(self, inputs: Tensor) -> Tensor:
        return (self.weight @ inputs.T).T + self.bias


def timed_networks() -> dict[str, nn.Module]:
    """What is timed: time does not depend on what a network has learned, so that none is trained."""
    generator = seed_everything(0)
    teacher = SmallCNN().eval()
    images = torch.rand(256, 1, 28, 28, generator=generator)
    pruned = prune(teacher, sparsity=SPARSITY)
    sparse = plain(pruned)
    sparse.layers[8] = SparseLinear(sparse.layers[8])  # type: ignore[index, operator, arg-type]
    found: dict[str, nn.Module] = {
        "teacher": teacher,
        "pruned 95 %": plain(pruned),
        "pruned 95 %, mask in place": pruned,
        "pruned 95 %, sparse kernel": sparse,
        "width 4": SmallCNN(width=4),
        "cut to width 4": prune_channels(teacher, images[:1], sparsity=0.75),
        "width 2": SmallCNN(width=2),
        "32 units": MLP(32),
        "low rank": low_rank(teacher, rank=RANKS),
        "8 bits, float kernel": plain(quantize(teacher, bits=8)),
        "8 bits, int8 kernel": int8_kernels(teacher, images),
        "width 4, int8 kernel": int8_kernels(SmallCNN(width=4), images),
    }
    kept = ("pruned 95 %, mask in place", "pruned 95 %, sparse kernel", "8 bits, int8 kernel", "width 4, int8 kernel")
    return {name: (model if name in kept else plain(model)).eval() for name, model in found.items()}


def answer_twice(model: nn.Module, images: Tensor) -> None:
    """The first answer finds caches and memory as another network left them, the second as in steady use."""
    model(images)
    model(images)


@torch.no_grad()
def latencies() -> Row:
    """Milliseconds for 1 and for 256 images, by the clock on the wall and of the processor; one thread, interleaved."""
    before = os.getloadavg()
    models = timed_networks()
    table: Row = {name: {} for name in models}
    for batch, rounds in ((1, 200), (256, 15)):
        images = torch.rand(batch, 1, 28, 28, generator=torch.Generator().manual_seed(1))
        runs: Runs = {name: partial(answer_twice, model, images) for name, model in models.items()}
        for kind, clock in (("wall", time.perf_counter), ("cpu", time.thread_time)):
            found = medians(wall_times(runs, rounds=rounds, clock=clock))
            for name, seconds in found.items():
                table[name][f"{kind}_ms_{batch}"] = round(1e3 * seconds / 2, 4)
    load = {"before": [round(x, 1) for x in before], "after": [round(x, 1) for x in os.getloadavg()]}
    return {"threads": 1, "load": load, "machine": describe(), "networks": table}


def load() -> Row:
    return json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {"machine": describe()}


def save(change: Callable[[Row], Any]) -> None:
    """Change the file's content, and write it whole under another name first."""
    content = load()
    change(content)
    RESULT.parent.mkdir(exist_ok=True)
    part = RESULT.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(RESULT)


def trained_teacher(train: ImageSet, settings: Row, seed: int, checkpoint: Path) -> nn.Module:
    """The seed's teacher; its training goes on from where it was stopped."""
    generator = seed_everything(seed)
    teacher = SmallCNN().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU
    how = {"epochs": settings["first"], "learning_rate": FIRST_RATES["teacher"], "batch_size": settings["batch_size"]}
    fit(teacher, train, **how, generator=generator, checkpoint=checkpoint)
    return teacher


def measure(data: str, seed: int) -> None:
    """All networks of one seed that the file does not have yet."""
    settings, key = SETTINGS[data], str(seed)
    said = settings | {"first_rates": FIRST_RATES, "last_rate": LAST_RATE, "ranks": RANKS}
    done = load().get(data, {}).get("seeds", {}).get(key, {})
    if "pipeline" in done:  # the last one
        return
    sets = [mnist(split, source="full" if data == "full" else "default") for split in ("train", "test")]
    train, test = sets[0].select(slice(settings["images"])), sets[1]
    checkpoint = Path(tempfile.gettempdir()) / f"tml_compression_{data}_{seed}.pt"
    course = Course(train, test, trained_teacher(train, settings, seed, checkpoint), settings, seed)

    def keep(name: str, value: Any) -> None:
        def change(content: Row) -> None:
            part = content.setdefault(data, {"settings": said, "seeds": {}})
            part["seeds"].setdefault(key, {})[name] = value

        save(change)

    for name, make in networks(course):
        if name not in done and (data == "default" or name in ON_FULL):
            student = name.endswith(("alone", "taught")) or name.startswith("width")
            row = course.measured(make(), beside=course.control if student else None)
            keep(name, row)
            print(f"{data}, seed {seed}: {name:<28}{row['accuracy']:6.2f} %{row['bytes']:>10,} bytes", flush=True)
    keep("pipeline", pipeline(course))
    checkpoint.unlink()


def show(content: Row) -> None:
    """The bill as a table: means over the seeds."""
    for data in SETTINGS:
        seeds = list(content.get(data, {}).get("seeds", {}).values())
        if not seeds:
            continue
        print(f"\n{data}: means over {len(seeds)} seeds\n{'':<28}accuracy     bytes  parameters  multiply-adds")
        for name in (name for name in seeds[0] if name != "pipeline"):
            rows = [rows[name] for rows in seeds if name in rows]
            mean = {what: sum(row[what] for row in rows) / len(rows) for what in ("accuracy", "bytes")}
            counts = f"{rows[0]['parameters']:>12,}{rows[0]['multiply_adds']:>15,}"
            print(f"{name:<28}{mean['accuracy']:8.2f}{mean['bytes']:>10,.0f}{counts}")
        for stages in zip(*(rows["pipeline"] for rows in seeds if "pipeline" in rows), strict=True):
            accuracy = sum(stage["accuracy"] for stage in stages) / len(stages)
            size = sum(stage["bytes"] for stage in stages) / len(stages)
            print(f"  pipeline: {stages[0]['stage']:<20}{accuracy:8.2f}{size:>12,.0f} bytes")
    print(f"\nmilliseconds, one thread; load {content['latency']['load']}")
    for name, row in content["latency"]["networks"].items():
        print(f"{name:<28}" + "".join(f"{what:>14}{value:9.3f}" for what, value in row.items()))


def main(data: str = "default") -> None:
    torch.set_num_threads(1)
    for seed in SEEDS:
        measure(data, seed)
    latency = latencies()
    save(lambda content: content.update(latency=latency))
    show(load())


if __name__ == "__main__":
    on_any_console()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=SETTINGS, default="default")
    main(parser.parse_args().data)
