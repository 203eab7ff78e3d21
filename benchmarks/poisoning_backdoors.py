"""Backdoors over five trainings: the budget, kinds of trigger, controls, clean labels, and what survives.

    python benchmarks/poisoning_backdoors.py

Six CPU-minutes, one thread; goes on where it was stopped. `--data cifar10` adds a part of CIFAR-10, where it is found.
"""

import argparse
import json
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from _measure import RESULTS, write
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import poisoning
from tml_helpers._console import on_any_console
from tml_helpers.attacks import pgd
from tml_helpers.compression import prune
from tml_helpers.data import cifar10, mnist
from tml_helpers.models import SmallCNN
from tml_helpers.training import accuracy, fit, predict

NAME = "poisoning_backdoors"
SEEDS = range(5)
TARGET = 0
SETTINGS: dict[int, dict[str, Any]] = {  # of the networks, by their width
    16: {"epochs": 6, "learning_rate": 2e-3, "batch_size": 64},
    8: {"epochs": 4, "learning_rate": 4e-3, "batch_size": 64},
}
BUDGETS = (0.0025, 0.005, 0.01, 0.02, 0.05)
SQUARE = poisoning.PatchTrigger.square()


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(1000 + seed)


class Bench:
    """One data set and one kind of network, each trained once a run."""

    def __init__(self, data: str, width: int) -> None:
        if data == "mnist":
            self.train, self.test = mnist("train", source="default"), mnist("test", source="default")
            self.build: Callable[[], nn.Module] = partial(SmallCNN, width=width)
        else:
            self.train, self.test = cifar10("train").select(slice(5000)), cifar10("test").select(slice(1000))
            self.build = partial(SmallCNN, in_channels=3, size=32, width=width)
        self.settings = SETTINGS[width]
        self.others = self.test.images[self.test.labels != TARGET]
        self.known: dict[Any, nn.Module] = {}

    def trained(self, name: Any, data: TensorDataset, seed: int) -> nn.Module:
        if name not in self.known:
            (self.known[name],) = poisoning.retrain(
                self.build, data, runs=1, **self.settings, generator=torch.Generator().manual_seed(seed), progress=False
            )
        return self.known[name]

    def clean(self, seed: int) -> nn.Module:
        return self.trained(("clean", seed), TensorDataset(self.train.images, self.train.labels), seed)

    def poison(self, trigger: poisoning.Trigger, fraction: float, seed: int, **more: Any) -> poisoning.BackdoorPoison:
        return poisoning.add_trigger(
            self.train.images,
            self.train.labels,
            trigger=trigger,
            target_label=TARGET,
            fraction=fraction,
            generator=generator_of(seed),
            **more,
        )

    def backdoored(self, fraction: float, seed: int) -> nn.Module:
        name = ("square", fraction, seed)
        return self.known.get(name) or self.trained(name, self.poison(SQUARE, fraction, seed).data, seed)

    def judged(self, model: nn.Module, trigger: poisoning.Trigger) -> dict[str, float]:
        return {"success": self.success(model, trigger), "accuracy": accuracy(model, self.test)}

    def success(self, model: nn.Module, trigger: poisoning.Trigger) -> float:
        return float((predict(model, trigger(self.others)).argmax(dim=1) == TARGET).double().mean())

    def triggers(self, seed: int) -> dict[str, poisoning.Trigger]:
        generator = generator_of(seed)
        pattern = torch.rand(self.train.images.shape[1:], generator=generator)
        return {
            "square": SQUARE,
            "blend 0.2": poisoning.BlendTrigger(pattern, 0.2),
            "sinusoid 0.1": poisoning.SinusoidTrigger(0.1),
            "warp 2": poisoning.WarpTrigger.drawn(2.0, generator=generator),
        }


def budget(bench: Bench, fraction: float, seed: int) -> dict[str, float]:
    return bench.judged(bench.backdoored(fraction, seed), SQUARE)


def without_poison(bench: Bench, seed: int) -> dict[str, Any]:
    model = bench.clean(seed)
    found = {name: bench.success(model, trigger) for name, trigger in bench.triggers(seed).items()}
    return {"accuracy": accuracy(model, bench.test), "success": found}


def kind(bench: Bench, name: str, covered: bool, seed: int) -> dict[str, float]:
    trigger = bench.triggers(seed)[name]
    cover = None
    if isinstance(trigger, poisoning.WarpTrigger) and covered:
        cover = partial(trigger.jittered, generator=generator_of(seed))
    data = bench.poison(trigger, 0.05, seed, cover=cover)
    model = bench.trained((name, covered, seed), data.data, seed)
    found = bench.judged(model, trigger) | {"l2": float(data.l2.mean()), "linf": float(data.linf.mean())}
    if isinstance(trigger, poisoning.WarpTrigger):
        found["another warp"] = bench.success(model, bench.triggers(seed + 100)["warp 2"])
        found["jittered"] = bench.success(model, partial(trigger.jittered, generator=generator_of(seed + 100)))
    return found


def clean_label(bench: Bench, name: str, epsilon: float, seed: int) -> dict[str, float]:
    """Images of the class are first made hard to read, by the attacker's own network, and then get the trigger."""
    triggers: dict[str, poisoning.Trigger] = {"square": SQUARE, "four corners": corners}
    trigger = triggers[name]
    generator, own = generator_of(seed), bench.clean((seed + 1) % len(SEEDS)) if epsilon else None

    def hardened(images: Tensor) -> Tensor:
        if own is None:
            return trigger(images)
        labels = torch.full((len(images),), TARGET)
        return trigger(pgd(own, images, labels, epsilon=epsilon, steps=20, generator=generator))

    data = bench.poison(hardened, 0.05, seed, clean_label=True)
    return bench.judged(bench.trained(("clean label", name, epsilon, seed), data.data, seed), trigger)


def corners(images: Tensor) -> Tensor:
    """The square in each corner."""
    for row in (0, None):
        for column in (0, None):
            images = poisoning.PatchTrigger.square(row=row, column=column)(images)
    return images


def control(bench: Bench, name: str, seed: int) -> dict[str, float]:
    """As many wrong labels and as much ink, but nothing that the changed images have in common."""
    if name == "wrong labels alone":
        poison = bench.poison(SQUARE, 0.05, seed)
        data = TensorDataset(poison.clean.tensors[0], poison.labels)
    else:
        data = bench.poison(partial(scattered, seed=seed), 0.05, seed).data
    return bench.judged(bench.trained((name, seed), data, seed), SQUARE)


def scattered(images: Tensor, seed: int) -> Tensor:
    """Nine pixels of ink, as the square has, at places drawn for each image."""
    generator, result = generator_of(seed), images.clone()
    pixels = result.flatten(2)
    for image in pixels:
        image[:, torch.randperm(pixels.shape[2], generator=generator)[:9]] = 1
    return result


def survival(bench: Bench, seed: int) -> dict[str, Any]:
    """The owner has clean data: some of the training set's, never the poison."""
    model, poison = bench.backdoored(0.05, seed), bench.poison(SQUARE, 0.05, seed)
    images, labels = poison.without.tensors
    found = {"nothing": bench.judged(model, SQUARE)}
    for count in (200, 1000):
        tuned = deepcopy(model)
        tune(tuned, TensorDataset(images[:count], labels[:count]), seed)
        found[f"fine-tuned on {count}"] = bench.judged(tuned, SQUARE)
    for sparsity in (0.5, 0.9, 0.95):
        found[f"pruned {sparsity}"] = bench.judged(prune(model, sparsity=sparsity), SQUARE)
    pruned = prune(model, sparsity=0.9)
    tune(pruned, TensorDataset(images[:1000], labels[:1000]), seed)
    found["pruned 0.9, fine-tuned on 1000"] = bench.judged(pruned, SQUARE)
    for name, pictures in (("clean", images), ("poisoned", poison.images)):
        student = bench.build()
        answers = TensorDataset(pictures, predict(model, pictures).softmax(1))
        fit(student, answers, loss=soft, generator=generator_of(seed), progress=False, **bench.settings)
        found[f"distilled on {name} images"] = bench.judged(student, SQUARE)
    return found


def soft(model: nn.Module, images: Tensor, probabilities: Tensor) -> Tensor:
    return F.cross_entropy(model(images), probabilities)


def tune(model: nn.Module, data: TensorDataset, seed: int) -> None:
    how = {"epochs": 10, "learning_rate": 1e-3, "batch_size": 64}
    fit(model, data, generator=generator_of(seed), progress=False, **how)  # type: ignore[arg-type]


def plan(wide: Bench, small: Bench) -> list[tuple[str, Callable[[], Any]]]:
    runs: list[tuple[str, Callable[[], Any]]] = []
    runs += [(f"kind/none/{seed}", partial(without_poison, small, seed)) for seed in SEEDS]
    for seed in SEEDS:
        runs.append((f"clean/{seed}", partial(without_poison, wide, seed)))
        runs += [(f"budget/{fraction}/{seed}", partial(budget, wide, fraction, seed)) for fraction in BUDGETS]
        runs.append((f"survival/{seed}", partial(survival, small, seed)))
        for name in small.triggers(0):
            runs.append((f"kind/{name}/{seed}", partial(kind, small, name, False, seed)))
        runs.append((f"kind/warp 2 with cover/{seed}", partial(kind, small, "warp 2", True, seed)))
        for name in ("wrong labels alone", "scattered ink"):
            runs.append((f"control/{name}/{seed}", partial(control, small, name, seed)))
        for name in ("square", "four corners"):
            for epsilon in (0.0, 0.3):
                runs.append((f"clean label/{name}/{epsilon}/{seed}", partial(clean_label, small, name, epsilon, seed)))
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=("mnist", "cifar10"), default="mnist")
    data = parser.parse_args().data
    wide, small = (Bench(data, width) for width in SETTINGS)
    torch.set_num_threads(1)
    file = RESULTS / f"{NAME}.json"
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    kept = {name: content[name] for name in ("mnist", "cifar10") if name in content}
    said = {"data": f"{wide.train}; {wide.test}", "settings by width": SETTINGS, "runs": {}}
    runs = kept.setdefault(data, said)["runs"]
    for name, run in plan(wide, small):
        if name not in runs:
            runs[name] = run()
            write(NAME, kept)
            print(f"{name:40} {runs[name]}", flush=True)


if __name__ == "__main__":
    on_any_console()
    main()
