"""Reconstructed triggers: of clean models, of backdoored ones, of those that the search misses; and removal.

    python benchmarks/poisoning_reconstruction.py
    python benchmarks/poisoning_reconstruction.py --data cifar10

Ten CPU-minutes each, one thread; goes on where it was stopped. CIFAR-10 needs `TML_DATA_DIR`, or a download.
"""

import argparse
from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial
from typing import Any

import torch
from _measure import resume
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers._console import on_any_console
from tml_helpers.data import ImageSet, cifar10, mnist
from tml_helpers.models import SmallCNN
from tml_helpers.poisoning import (
    BlendTrigger,
    PatchTrigger,
    Poison,
    ReconstructedTriggers,
    SinusoidTrigger,
    Trigger,
    WarpTrigger,
    add_trigger,
    reconstruct_trigger,
)
from tml_helpers.training import accuracy, fit, predict, seed_everything

NAME = "poisoning_reconstruction"
SOURCE = 8  # the class whose images alone answer to the source-specific trigger
PATCH = PatchTrigger.square()
Data = tuple[ImageSet, ImageSet]


@cache
def data_of(name: str) -> Data:
    """4,000 digits or 5,000 photographs to train on, and 1,000 clean ones to search and to test with."""
    if name == "mnist":
        return mnist("train", source="default"), mnist("test", source="default")
    return cifar10("train").select(slice(5000)), cifar10("test").select(slice(1000))


BUILDS: dict[str, tuple[str, Callable[[], nn.Module], dict[str, Any]]] = {
    "mnist": ("mnist", lambda: SmallCNN(width=8), {"epochs": 5, "learning_rate": 2e-3}),
    "cifar10": ("cifar10", lambda: SmallCNN(3, 32), {"epochs": 8, "learning_rate": 2e-3}),
}


def trained(build: str, data: TensorDataset, seed: int, **more: Any) -> nn.Module:
    generator = seed_everything(seed)
    _, make, settings = BUILDS[build]
    model = make()
    fit(model, data, batch_size=64, generator=generator, progress=False, **settings | more)
    return model.eval()


def trigger_of(kind: str, shape: torch.Size, seed: int) -> Trigger:
    generator = torch.Generator().manual_seed(seed)
    if kind == "blend":
        return BlendTrigger(torch.rand(shape, generator=generator), 0.2)
    if kind == "sinusoid":
        return SinusoidTrigger(0.2)
    if kind.startswith("warp"):
        return WarpTrigger.drawn(2.0, generator=generator)
    return PATCH


def poisoned(kind: str, train: ImageSet, target: int, trigger: Trigger, seed: int) -> Poison:
    generator = torch.Generator().manual_seed(seed)
    if kind == "source":
        return of_one_source(train, target, trigger, generator)
    cover = None
    if kind == "warp covered":
        assert isinstance(trigger, WarpTrigger)
        cover = trigger.jittered
    fraction = {"warp": 0.1, "warp covered": 0.2}.get(kind, 0.05)
    return add_trigger(
        train.images,
        train.labels,
        trigger=trigger,
        target_label=target,
        fraction=fraction,
        cover=cover,
        generator=generator,
    )


def of_one_source(train: ImageSet, target: int, trigger: Trigger, generator: torch.Generator) -> Poison:
    """200 images of the source get trigger and target, and 800 of the other classes the trigger alone."""
    images, labels = train.images.clone(), train.labels.clone()
    source = drawn((labels == SOURCE).nonzero().squeeze(1), 200, generator)
    covers = drawn(((labels != SOURCE) & (labels != target)).nonzero().squeeze(1), 800, generator)
    places = torch.cat([source, covers]).sort().values
    images[places], labels[source] = trigger(images[places]), target
    return Poison(images, labels, places, train.images[places], train.labels[places])


def drawn(places: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return places[torch.randperm(len(places), generator=generator)[:count]]


def success(model: nn.Module, test: ImageSet, trigger: Trigger, target: int, kind: str) -> float:
    asked = test.labels == SOURCE if kind == "source" else test.labels != target
    answers = predict(model, trigger(test.images[asked])).argmax(dim=1)
    return float((answers == target).double().mean())


def searched(model: nn.Module, images: Tensor, seed: int) -> ReconstructedTriggers:
    generator = torch.Generator().manual_seed(seed)
    return reconstruct_trigger(model, images, per_step=16, generator=generator, progress=False)


def numbers(found: ReconstructedTriggers) -> dict[str, Any]:
    """What the page shows of a search; None in place of what is no number."""
    return {
        "suspect": found.suspect,
        "log_ratio": finite([found.log_ratio])[0],
        "sizes": finite(found.sizes.tolist()),
        "successes": finite(found.successes.tolist()),
        "anomaly": finite(found.anomaly_index.tolist()),
    }


def finite(values: list[float]) -> list[float | None]:
    return [value if value == value and abs(value) < float("inf") else None for value in values]


def one(build: str, kind: str, seed: int) -> dict[str, Any]:
    """A model, what the search finds in it, and for some what it finds on images of the source alone."""
    train, test = data_of(BUILDS[build][0])
    target = (seed + (seed >= SOURCE)) % 10 if kind == "source" else seed % 10
    trigger = trigger_of(kind, train.images.shape[1:], seed)
    if kind == "clean":
        model = trained(build, train, 1000 + seed)
        row: dict[str, Any] = {"accuracy": accuracy(model, test)}
    else:
        longer = {"epochs": 10} if kind == "warp covered" else {}  # with fewer the covered warp is not learnt
        model = trained(build, poisoned(kind, train, target, trigger, seed).data, seed, **longer)
        row = {"accuracy": accuracy(model, test), "target": target}
        row["success"] = success(model, test, trigger, target, kind)
    found = searched(model, test.images[:500], seed)
    row |= numbers(found)
    if build == "mnist" and kind in ("clean", "source"):
        row["of_source"] = numbers(searched(model, test.images[test.labels == SOURCE], seed))
    if build == "mnist" and kind == "patch" and seed < 5:
        row["removal"] = removal(model, found, test, trigger, target, seed)
    return row


def removal(
    model: nn.Module, found: ReconstructedTriggers, test: ImageSet, trigger: Trigger, target: int, seed: int
) -> dict[str, dict[str, float]]:
    """Success and accuracy on the second 500, after training on the first 500: as they are, or half of them stamped."""
    clean, rest = test.select(slice(500)), test.select(slice(500, 1000))
    assert found.suspect is not None
    stamped = clean.images.clone()
    stamped[::2] = found.stamped(stamped[::2], found.suspect)
    rows = {}
    for name, images in (("fine-tuned", clean.images), ("unlearnt", stamped)):
        copy = deepcopy(model)
        generator = seed_everything(seed)
        data = TensorDataset(images, clean.labels)
        fit(copy, data, epochs=10, learning_rate=1e-3, batch_size=64, generator=generator, progress=False)
        rows[name] = {"accuracy": accuracy(copy, rest), "success": success(copy, rest, trigger, target, "patch")}
    return rows


def plan(data: str) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """All models by name, of all kinds in turn: what is done is not repeated."""
    digits = {"patch": 10, "clean": 24, "source": 5, "warp": 4, "warp covered": 4, "blend": 4, "sinusoid": 4}
    counts = {"mnist": digits, "cifar10": {"clean": 20, "patch": 10}}
    names = [(seed / count, kind, seed) for kind, count in counts[data].items() for seed in range(count)]
    return [(f"{data}/{kind}/{seed}", partial(one, data, kind, seed)) for _, kind, seed in sorted(names)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=("mnist", "cifar10"), default="mnist")
    data = parser.parse_args().data
    torch.set_num_threads(1)
    resume(NAME, plan(data))


if __name__ == "__main__":
    on_any_console()
    main()
