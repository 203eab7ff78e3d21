"""Adversarial training of SmallCNN: what it gains under attack, what it costs without one.

    TML_DATA_DIR=… python benchmarks/adversarial_training.py --data mnist       about an hour and a half on one core
    TML_DATA_DIR=… python benchmarks/adversarial_training.py --data cifar10     needs a GPU

Writes results/adversarial_training.json after every row, and goes on from there. A row is a method and an ε, the same
in training and in test, and its accuracy in per cent on the full test set: on the images as they are, under FGSM,
under PGD, and under PGD on the margin of Carlini and Wagner (the largest other logit minus the label's), as the paper
on friendly adversarial training reports it. Both searches start at random in the L∞ ball and an image counts as lost as
soon as one of their steps is misclassified, or the last.
"""

import argparse
import json
import lzma
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tml_helpers._console import on_any_console
from tml_helpers.attacks import fgsm, margin, pgd
from tml_helpers.data import ImageSet, data_folder, mnist
from tml_helpers.defenses import adversarial_training
from tml_helpers.machine import describe
from tml_helpers.models import SmallCNN
from tml_helpers.training import accuracy, fit, predict, seed_everything

RESULT = Path(__file__).parent / "results/adversarial_training.json"
SETTINGS: dict[str, dict[str, Any]] = {
    "mnist": {"epochs": 3, "warm_up": 1, "learning_rate": 2e-3, "batch_size": 128, "steps": 10, "seed": 0},
    "cifar10": {"epochs": 40, "warm_up": 0, "learning_rate": 1e-3, "batch_size": 128, "steps": 10, "seed": 0},
}
EPSILONS = {"mnist": (0.1, 0.2, 0.3), "cifar10": (2 / 255, 4 / 255, 8 / 255)}
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
Row = dict[str, Any]


def cifar10(split: str) -> ImageSet:
    """The binary version of CIFAR-10, packed by xz or not, in TML_DATA_DIR/cifar-10-batches-bin."""
    folder = (data_folder() or Path()) / "cifar-10-batches-bin"
    names = [f"data_batch_{k}.bin" for k in range(1, 6)] if split == "train" else ["test_batch.bin"]
    parts = [folder / name for name in names]
    packed = [part.with_name(part.name + ".xz") for part in parts]
    if missing := [part for part, other in zip(parts, packed, strict=True) if not (part.exists() or other.exists())]:
        sys.exit(f"{missing[0]} is missing: set TML_DATA_DIR to a folder that has CIFAR-10's binary version")
    content = b"".join(
        p.read_bytes() if p.exists() else lzma.decompress(q.read_bytes()) for p, q in zip(parts, packed, strict=True)
    )
    records = torch.from_numpy(np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32).copy())
    images = records[:, 1:].view(-1, 3, 32, 32).float() / 255
    return ImageSet(images, records[:, 0].long(), classes=CIFAR10, source=str(folder))


def survivors(model: nn.Module, test: ImageSet, attack: Callable[..., Tensor]) -> float:
    """Accuracy in per cent under attack."""
    device = next(model.parameters()).device
    right = 0
    for images, labels in zip(test.images.split(500), test.labels.split(500), strict=True):
        images, labels = images.to(device), labels.to(device)
        right += int((predict(model, attack(model, images, labels)).argmax(dim=1) == labels).sum())
    return round(100 * right / len(test), 2)


def evaluate(model: nn.Module, test: ImageSet, epsilon: float, seed: int) -> Row:
    """The four accuracies of a row."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    search = partial(pgd, epsilon=epsilon, steps=20, tau=0, generator=generator)
    return {
        "natural": round(100 * accuracy(model, test), 2),
        "fgsm": survivors(model, test, partial(fgsm, epsilon=epsilon)),
        "pgd_20": survivors(model, test, search),
        "cw_20": survivors(model, test, partial(search, loss=margin)),
    }


def train(data: str, method: str, epsilon: float, training: ImageSet, device: str, settings: Row) -> nn.Module:
    """A SmallCNN, trained by the method; `"standard"` is training on the images as they are."""
    generator = seed_everything(settings["seed"])
    model = SmallCNN() if data == "mnist" else SmallCNN(3, 32)
    model.to(device, memory_format=torch.channels_last)  # on a CPU in half the time
    how = {key: settings[key] for key in ("epochs", "learning_rate", "batch_size")}
    if method == "standard":
        fit(model, training, generator=generator, progress=True, **how)
    else:
        how |= {"warm_up": settings["warm_up"], "steps": settings["steps"]}
        adversarial_training(model, training, epsilon=epsilon, method=method, generator=generator, progress=True, **how)
    return model


def load() -> list[Row]:
    return json.loads(RESULT.read_text(encoding="utf-8"))["rows"] if RESULT.exists() else []


def save(row: Row) -> None:
    """Put the row in the place of an older one for the same data, method and ε."""
    name = ("data", "method", "epsilon")
    rows = [other for other in load() if any(other[key] != row[key] for key in name)]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"rows": [*rows, row]}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=SETTINGS, required=True)
    parser.add_argument("--slowly", action="store_true", help="train on CIFAR-10 without a GPU: days")
    given = parser.parse_args()
    data, settings = given.data, SETTINGS[given.data]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if data == "cifar10" and device == "cpu" and not given.slowly:
        sys.exit("CIFAR-10 needs a GPU and there is none here; --slowly does it all the same, in days")
    torch.set_num_threads(1)
    machine = describe() | ({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {})
    first = [("standard", epsilon) for epsilon in EPSILONS[data]]
    then = [(method, epsilon) for epsilon in EPSILONS[data] for method in ("madry", "friendly")]
    last = [(method, epsilon) for method in ("trades", "friendly_trades") for epsilon in EPSILONS[data]]
    sets = (mnist("train", source="full"), mnist("test", source="full")) if data == "mnist" else None
    training, test = sets or (cifar10("train"), cifar10("test"))
    models: dict[str, nn.Module] = {}  # the standard network is trained once for its three rows
    for method, epsilon in first + then + last:
        row: Row = {"data": data, "method": method, "epsilon": epsilon, **settings}
        if any(row.items() <= other.items() for other in load()):
            continue
        start = time.process_time()
        model = models.get(method) or train(data, method, epsilon, training, device, settings)
        if method == "standard":
            models[method] = model
        trained = time.process_time()
        row |= evaluate(model, test, epsilon, settings["seed"])
        row |= {"cpu_seconds_training": round(trained - start), "cpu_seconds": round(time.process_time() - start)}
        save(row | {"machine": machine})
        print({key: value for key, value in row.items() if key not in settings}, flush=True)


if __name__ == "__main__":
    on_any_console()
    main()
