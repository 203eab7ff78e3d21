"""Detectors of poison against attacks, over five seeds: what is found, at what price, and what the attack still does.

    python benchmarks/poisoning_defenses.py

Six CPU-minutes, one thread; goes on where it was stopped. `--data cifar10` adds a part of it, where it is found.
"""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from _measure import RESULTS, write
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers import poisoning
from tml_helpers._console import on_any_console
from tml_helpers.data import cifar10, mnist
from tml_helpers.models import SmallCNN
from tml_helpers.training import accuracy, predict

NAME = "poisoning_defenses"
SEEDS = range(5)
HOW: dict[str, Any] = {"epochs": 5, "learning_rate": 2e-3, "batch_size": 64}
COMPONENTS = 5
LAYERS = {"convolutions": "layers.6", "hidden": "layers.9"}
SQUARE = poisoning.PatchTrigger.square()
ATTACKS = (
    "none",
    "square 0.04",
    "faint blend 0.015",
    "square 0.0025",
    "blend 0.04",
    "warp 0.04",
)


class Bench:
    """One data set, and the attacks on it."""

    def __init__(self, data: str) -> None:
        self.data = data
        if data == "mnist":
            self.train, self.test = mnist("train", source="default"), mnist("test", source="default")
            self.build: Callable[[], nn.Module] = partial(SmallCNN, width=8)
        else:
            self.train, self.test = cifar10("train").select(slice(5000)), cifar10("test").select(slice(1000))
            self.build = partial(SmallCNN, in_channels=3, size=32)

    def trained(self, data: TensorDataset, seed: int) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        return poisoning.retrain(self.build, data, runs=1, **HOW, generator=generator, progress=False)[0]

    def poisoned(self, attack: str, seed: int) -> tuple[poisoning.Poison, poisoning.Trigger, int]:
        """The training set, the trigger that the attacker uses in the end, and the attacker's class."""
        images, labels = self.train.images, self.train.labels
        generator = torch.Generator().manual_seed(1000 + seed)
        target = int(torch.randint(10, (1,), generator=generator))
        if attack == "none":
            nobody = torch.zeros(0, dtype=torch.int64)
            return poisoning.Poison(images, labels, nobody, images[:0], labels[:0]), SQUARE, target
        name, _, fraction = attack.rpartition(" ")
        pattern = torch.rand(images.shape[1:], generator=generator)
        planted: dict[str, poisoning.Trigger] = {
            "blend": poisoning.BlendTrigger(pattern, 0.2),
            "faint blend": poisoning.BlendTrigger(pattern, 0.1),
            "warp": poisoning.WarpTrigger.drawn(2.5, generator=generator),
        }
        used: dict[str, poisoning.Trigger] = planted | {"faint blend": poisoning.BlendTrigger(pattern, 0.4)}
        poison = poisoning.add_trigger(
            images,
            labels,
            trigger=planted.get(name, SQUARE),
            target_label=target,
            fraction=float(fraction),
            generator=generator,
        )
        return poison, used.get(name, SQUARE), target

    def judged(self, model: nn.Module, trigger: poisoning.Trigger, target: int) -> dict[str, float]:
        others = trigger(self.test.images[self.test.labels != target])
        success = float((predict(model, others).argmax(dim=1) == target).double().mean())
        return {"accuracy": accuracy(model, self.test), "success": success}


def defended(bench: Bench, attack: str, seed: int) -> dict[str, Any]:
    """Both detectors in two layers, and what is left after training without whom they suspect in the convolutions."""
    poison, trigger, target = bench.poisoned(attack, seed)
    images, labels = poison.images, poison.labels
    model = bench.trained(poison.data, seed)
    found: dict[str, Any] = {"undefended": bench.judged(model, trigger, target)}
    for place, layer in LAYERS.items():
        suspects: dict[str, poisoning.Suspects] = {
            "spectral": poisoning.spectral_signatures(
                model, images, labels, layer=layer, fraction=poison.budget or 0.01
            ),
            "clusters": poisoning.activation_clustering(
                model,
                images,
                labels,
                layer=layer,
                components=COMPONENTS,
                generator=torch.Generator().manual_seed(seed),
            ),
        }
        for name, suspected in suspects.items():
            rates = {key: known(value) for key, value in asdict(poisoning.detection_rates(suspected, poison)).items()}
            found[f"{name}, {place}"] = rates
            if isinstance(suspected, poisoning.ClusterSuspects):
                rates["classes"] = int(suspected.suspicious.sum())
                rates["target suspected"] = bool(suspected.suspicious[target])
            if place == "convolutions" and attack != "none":
                cleaned = bench.trained(suspected.without(images, labels), 100 + seed)
                rates["retrained"] = bench.judged(cleaned, trigger, target)
                if isinstance(suspected, poisoning.ClusterSuspects):
                    rates["ratios"] = reread(cleaned, images, labels, suspected)
    return found


def reread(model: nn.Module, images: Tensor, labels: Tensor, suspects: poisoning.ClusterSuspects) -> dict[str, Any]:
    """Exclusionary reclassification of the suspicious classes."""
    again = poisoning.exclusionary_reclassification(model, images, labels, suspects=suspects)
    return {str(label): known(float(again.ratios[label])) for label in suspects.classes[suspects.suspicious].tolist()}


def known(number: float) -> float | None:
    return number if math.isfinite(number) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=("mnist", "cifar10"), default="mnist")
    bench = Bench(parser.parse_args().data)
    torch.set_num_threads(1)
    file = RESULTS / f"{NAME}.json"
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    kept = {name: content[name] for name in ("mnist", "cifar10") if name in content}
    runs = kept.setdefault(bench.data, {"data": f"{bench.train}; {bench.test}", "training": HOW, "runs": {}})["runs"]
    for seed in SEEDS:
        for attack in ATTACKS:
            if (name := f"{attack}/{seed}") not in runs:
                runs[name] = defended(bench, attack, seed)
                write(NAME, kept)
                print(f"{name:24} {runs[name]}", flush=True)


if __name__ == "__main__":
    on_any_console()
    main()
