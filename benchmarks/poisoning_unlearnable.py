"""Data that refuse to be learnt: accuracy over ε, beside random noise of the same size, and what undoes it.

    python benchmarks/poisoning_unlearnable.py [--data cifar10]

Ten minutes, one thread; goes on where it was stopped. On CIFAR-10 another ten: it needs the files.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from _measure import resume
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import data, poisoning
from tml_helpers._console import on_any_console
from tml_helpers.defenses import adversarial_training
from tml_helpers.models import SmallCNN
from tml_helpers.training import accuracy, cross_entropy, fit

NAME = "poisoning_unlearnable"
SEEDS = range(5)
SIZE = 4000
EPSILONS = (0.1, 0.25, 0.4)
REMEDIES = ("threshold", "shifts", "jpeg")
PHOTO_EPSILON = 8 / 255


@lru_cache
def loaded(name: str) -> tuple[Tensor, Tensor, TensorDataset, Callable[[], nn.Module], dict[str, Any]]:
    """Training images and labels, the test set, what builds the network, and how it is trained."""
    if name == "mnist":
        train, test = data.mnist("train", source="default"), data.mnist("test", source="default")
        build, how = partial(SmallCNN, width=4), {"epochs": 5, "learning_rate": 2e-3, "batch_size": 64}
    else:
        train, test = data.cifar10("train").select(slice(SIZE)), data.cifar10("test").select(slice(1000))
        build, how = partial(SmallCNN, 3, 32, width=8), {"epochs": 5, "learning_rate": 2e-3, "batch_size": 64}
    return train.images, train.labels, TensorDataset(test.images, test.labels), build, how


@lru_cache
def made(name: str, way: str, epsilon: float) -> poisoning.Poison:
    """The protected training set: one for all trainings."""
    images, labels, _, build, _ = loaded(name)
    generator = torch.Generator().manual_seed(7)
    torch.manual_seed(7)
    if way == "blocks":
        block = 4 if name == "mnist" else 8
        return poisoning.separable_noise(images, labels, epsilon=epsilon, block=block, generator=generator)
    if way == "noise":
        return made(name, "blocks", epsilon).noise_control(generator=generator)
    return poisoning.unlearnable_noise(
        build(),
        images,
        labels,
        epsilon=epsilon,
        class_wise=True,
        rounds=15,
        train_steps=5,
        steps=10,
        stop_error=None,
        generator=generator,
    )


def jpeg(images: Tensor, quality: int = 10) -> Tensor:
    """Each image, written and read as a JPEG."""
    found = []
    for image in (255 * images).round().byte().permute(0, 2, 3, 1).squeeze(-1).numpy():
        content = io.BytesIO()
        Image.fromarray(image).save(content, "JPEG", quality=quality)
        found.append(np.asarray(Image.open(content)))
    read = torch.from_numpy(np.stack(found)).float() / 255
    return read[:, None] if read.ndim == 3 else read.permute(0, 3, 1, 2).contiguous()


def grey(images: Tensor) -> Tensor:
    return images.mean(dim=1, keepdim=True).expand_as(images).contiguous()


def threshold(images: Tensor) -> Tensor:
    return (images > 0.5).float()


FILTERS: dict[str, Callable[[Tensor], Tensor]] = {"threshold": threshold, "grey": grey, "jpeg": jpeg}


def shifted(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The batch, moved by up to four pixels."""
    side = images.shape[-1]
    row, column = torch.randint(9, (2,)).tolist()
    moved = F.pad(images, (4, 4, 4, 4))[..., row : row + side, column : column + side]
    return cross_entropy(model, moved, labels)


def trained(name: str, way: str, epsilon: float, remedy: str, seed: int) -> dict[str, Any]:
    """Accuracy on the test set after each epoch, and on what was trained on."""
    images, labels, test, build, how = loaded(name)
    published = images if way == "clean" else made(name, way, epsilon).images
    prepared = FILTERS.get(remedy, lambda x: x)
    learnt = TensorDataset(prepared(published), labels)
    asked = TensorDataset(prepared(test.tensors[0]), test.tensors[1])
    torch.manual_seed(seed)
    model = SmallCNN() if remedy in ("wide", "adversarial") else build()
    generator = torch.Generator().manual_seed(seed)
    if remedy == "adversarial":
        rest = {key: value for key, value in how.items() if key != "epochs"}
        adversarial_training(model, learnt, epochs=2, epsilon=0.1, steps=3, **rest, generator=generator, progress=False)
        return {"test": [accuracy(model, asked)], "own": accuracy(model, learnt)}
    optimizer = torch.optim.Adam(model.parameters(), lr=how["learning_rate"])
    loss = shifted if remedy == "shifts" else cross_entropy
    curve = []
    for _ in range(how["epochs"]):
        fit(
            model,
            learnt,
            epochs=1,
            loss=loss,
            optimizer=optimizer,
            batch_size=how["batch_size"],
            generator=generator,
            progress=False,
        )
        curve.append(accuracy(model, asked))
    return {"test": curve, "own": accuracy(model, learnt)}


def plan(name: str) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Every unit by its name, what matters most first: data, way, ε, remedy, seed."""

    def unit(way: str, epsilon: float, remedy: str, seed: int) -> tuple[str, Callable[[], dict[str, Any]]]:
        return f"{name}/{way}/{epsilon:.3f}/{remedy}/{seed}", partial(trained, name, way, epsilon, remedy, seed)

    for seed in SEEDS:
        yield unit("clean", 0.0, "none", seed)
        for epsilon in EPSILONS if name == "mnist" else (PHOTO_EPSILON,):
            for way in ("blocks", "class", "noise"):
                yield unit(way, epsilon, "none", seed)
    for seed in SEEDS:
        if name == "mnist":
            for way in ("blocks", "class"):
                for remedy in REMEDIES:
                    yield unit(way, 0.4, remedy, seed)
                for remedy in ("wide", "adversarial"):  # a network that can bear it
                    yield unit(way, 0.1, remedy, seed)
        else:
            for way in ("clean", "blocks", "class"):
                for remedy in ("grey", "jpeg"):
                    yield unit(way, 0.0 if way == "clean" else PHOTO_EPSILON, remedy, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=("mnist", "cifar10"), default="mnist")
    data = parser.parse_args().data
    torch.set_num_threads(1)
    resume(NAME, plan(data), images=SIZE)


if __name__ == "__main__":
    on_any_console()
    main()
