"""Adversarial training over β, its improvements, and robust overfitting, judged by restarts and the margin.

    python benchmarks/robust_training.py

Ten minutes, one thread, no GPU; goes on where it was stopped. A run is named by its experiment, its setting and its
seed. Accuracies are shares of the test images that all searches leave: PGD on the cross-entropy from two starts and on
the margin of Carlini and Wagner from two, 20 steps each. CIFAR-10 is not here: it needs a GPU, and
`benchmarks/adversarial_training.py --data cifar10` measures it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from _measure import resume
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, TensorDataset

from tml_helpers._console import on_any_console
from tml_helpers.attacks import fgsm, margin, pgd
from tml_helpers.data import ImageSet, mnist
from tml_helpers.defenses import adversarial_training
from tml_helpers.models import SmallCNN
from tml_helpers.training import cross_entropy, fit, predict, seed_everything

NAME = "robust_training"
EPSILON = 0.2
SEEDS = range(2)
HOW: dict[str, Any] = {"epsilon": EPSILON, "learning_rate": 2e-3, "batch_size": 64, "progress": False}
STEPS = 5
BETAS = (0.5, 1.0, 3.0, 6.0, 12.0)
FEW, LONG = 300, 60  # images and epochs of robust overfitting
Row = dict[str, Any]

digits, unseen = mnist("train", source="default"), mnist("test", source="default")
train, other, held_out = (digits.select(slice(*ends)) for ends in ((0, 2000), (2000, 3500), (3500, 3800)))
test = unseen.select(slice(400))
few, few_test = digits.select(slice(FEW)), unseen.select(slice(300))


def standing(model: nn.Module, data: ImageSet, generator: torch.Generator, *, restarts: int = 2) -> Tensor:
    """Which images are read correctly, whatever the searches tried."""
    still = predict(model, data.images).argmax(dim=1) == data.labels
    for loss in ({}, {"loss": margin}):
        for _ in range(restarts):
            if still.any():
                images, labels = data.images[still], data.labels[still]
                found = pgd(model, images, labels, epsilon=EPSILON, steps=20, tau=0, generator=generator, **loss)
                still[still.clone()] = predict(model, found).argmax(dim=1) == labels
    return still


def judged(model: nn.Module, seed: int) -> Row:
    """Natural accuracy, accuracy under one FGSM step, and what the searches leave."""
    generator = torch.Generator().manual_seed(seed)
    one_step = fgsm(model, test.images, test.labels, epsilon=EPSILON)
    return {
        "natural": share(predict(model, test.images).argmax(dim=1) == test.labels),
        "fgsm": share(predict(model, one_step).argmax(dim=1) == test.labels),
        "robust": share(standing(model, test, generator)),
        "images": len(test),
    }


def share(chosen: Tensor) -> float:
    return round(float(chosen.double().mean()), 4)


def started(seed: int, data: Any = train) -> tuple[nn.Module, torch.Generator]:
    """A network after two epochs on the images as they are."""
    generator = seed_everything(seed)
    model = SmallCNN(width=8)
    fit(model, data, epochs=2, learning_rate=2e-3, batch_size=64, generator=generator, progress=False)
    return model, generator


def by_method(seed: int, method: str, data: Any = train, **more: Any) -> Row:
    model, generator = started(seed)
    if method == "standard":
        fit(model, data, epochs=5, learning_rate=2e-3, batch_size=64, generator=generator, progress=False)
    else:
        steps = None if method == "fgsm" else STEPS
        how = HOW | {"epochs": 5, "steps": steps} | more
        adversarial_training(model, data, method=method, generator=generator, **how)
    return judged(model, seed)


def by_loss(seed: int, build: Callable[[int, torch.Generator], Callable[..., Tensor]], epochs: int = 5) -> Row:
    model, generator = started(seed)
    loss = build(seed, generator)
    how = {"learning_rate": 2e-3, "batch_size": 64, "generator": generator, "progress": False}
    fit(model, train, epochs=epochs, loss=loss, **how)
    return judged(model, seed)


def of_an_ensemble(seed: int, generator: torch.Generator) -> Callable[..., Tensor]:
    """Half the batch from the FGSM of another, fixed network, half from the network's own (Tramèr et al., 2018)."""
    fixed, _ = started(seed + 100)

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        half = len(images) // 2
        parts = ((fixed, slice(half)), (model, slice(half, None)))
        moved = [fgsm(source, images[part], labels[part], epsilon=EPSILON) for source, part in parts]
        return cross_entropy(model, torch.cat(moved), labels)

    return loss


def of_an_own_radius(seed: int, generator: torch.Generator) -> Callable[..., Tensor]:
    """ε where the image is read correctly at ε/2, else ε/2: each image gets the ball it can bear."""

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        search = partial(pgd, steps=STEPS, generator=generator)
        near = search(model, images, labels, epsilon=EPSILON / 2)
        bears = predict(model, near).argmax(dim=1) == labels
        if bears.any():
            near[bears] = search(model, images[bears], labels[bears], epsilon=EPSILON)
        return cross_entropy(model, near, labels)

    return loss


def of_one_random_step(seed: int, generator: torch.Generator) -> Callable[..., Tensor]:
    """One step of 1.25 ε from a random point of the ball (Wong, Rice & Kolter, 2020)."""

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        how = {"epsilon": EPSILON, "steps": 1, "step_size": 1.25 * EPSILON, "generator": generator}
        return cross_entropy(model, pgd(model, images, labels, **how), labels)

    return loss


def with_unlabelled(seed: int) -> Row:
    """1,500 more digits, with the labels that a network trained without attacks gives them."""
    model, generator = started(seed)
    fit(model, train, epochs=3, learning_rate=2e-3, batch_size=64, generator=generator, progress=False)
    guessed = TensorDataset(other.images, predict(model, other.images).argmax(dim=1))
    return by_method(seed, "madry", ConcatDataset([train, guessed]))


def averaged(seed: int) -> Row:
    """The mean of the weights after each of the last three of five epochs."""
    model, generator = started(seed)
    mean = torch.optim.swa_utils.AveragedModel(model)
    for epoch in range(5):
        adversarial_training(model, train, epochs=1, method="madry", steps=STEPS, generator=generator, **HOW)
        if epoch >= 2:
            mean.update_parameters(model)
    return judged(mean.module, seed)


def overfitting(seed: int) -> list[Row]:
    """Madry on few images for long: after every second epoch, the robust shares of training, validation and test."""
    model, generator = started(seed, few)
    judge = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    how: dict[str, Any] = HOW | {"learning_rate": None, "optimizer": optimizer}
    rows = []
    for epoch in range(2, LONG + 1, 2):
        adversarial_training(model, few, epochs=2, method="madry", steps=STEPS, generator=generator, **how)
        seen = {"train": few, "validation": held_out, "test": few_test}
        rows.append(
            {"epoch": epoch, "natural": share(predict(model, few_test.images).argmax(dim=1) == few_test.labels)}
            | {name: share(standing(model, data, judge, restarts=1)) for name, data in seen.items()}
        )
    return rows


def catastrophe(seed: int, epsilon: float) -> list[Row]:
    """Training on FGSM images alone: after every epoch, the share under FGSM and under PGD of the same ε."""
    model, generator = started(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    how: dict[str, Any] = HOW | {"learning_rate": None, "optimizer": optimizer, "epsilon": epsilon, "alpha": 0.0}
    rows = []
    for epoch in range(1, 13):
        adversarial_training(model, train, epochs=1, method="fgsm", generator=generator, **how)
        attacks = {"fgsm": fgsm, "pgd": partial(pgd, steps=20, tau=0, generator=generator)}
        left = {}
        for name, attack in attacks.items():
            moved = attack(model, few_test.images, few_test.labels, epsilon=epsilon)
            left[name] = share(predict(model, moved).argmax(dim=1) == few_test.labels)
        rows.append({"epoch": epoch, **left})
    return rows


def plan() -> list[tuple[str, Callable[[], Any]]]:
    """All runs of the first seed, then of the next; three times as many epochs only for the first."""
    runs: list[tuple[str, Callable[[], Any]]] = []
    for seed in SEEDS:
        for method in ("standard", "fgsm", "madry", "friendly"):
            runs.append((f"method/{method}/{seed}", partial(by_method, seed, method)))
        for beta in BETAS:
            runs.append((f"trades/{beta:g}/{seed}", partial(by_method, seed, "trades", beta=beta)))
        if seed == 0:
            for name, how in (("madry", {}), ("trades 1", {"beta": 1.0}), ("trades 6", {"beta": 6.0})):
                runs.append((f"long/{name}/{seed}", partial(by_method, seed, name.split()[0], epochs=15, **how)))
        for name, build in (
            ("ensemble", of_an_ensemble),
            ("adaptive", of_an_own_radius),
            ("efficient", of_one_random_step),
        ):
            runs.append((f"direction/{name}/{seed}", partial(by_loss, seed, build)))
        runs.append((f"direction/curriculum/{seed}", partial(by_method, seed, "madry", warm_up=3)))
        runs.append((f"direction/unlabelled/{seed}", partial(with_unlabelled, seed)))
        runs.append((f"direction/averaged/{seed}", partial(averaged, seed)))
        for epsilon in (0.1, 0.2, 0.3):
            runs.append((f"catastrophe/{epsilon:g}/{seed}", partial(catastrophe, seed, epsilon)))
        runs.append((f"overfitting/{seed}", partial(overfitting, seed)))
    return runs


def main() -> None:
    torch.set_num_threads(1)
    resume(NAME, plan(), epsilon=EPSILON, steps=STEPS, width=8, few=FEW)


if __name__ == "__main__":
    on_any_console()
    main()
