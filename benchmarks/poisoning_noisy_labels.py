"""Wrong labels: what remedies save at 40 % wrong, over seeds and kinds of noise, and flips chosen against an SVM.

    python benchmarks/poisoning_noisy_labels.py
    TML_DATA_DIR=… python benchmarks/poisoning_noisy_labels.py --data cifar10

Fifteen minutes, one thread; goes on where it was stopped.
"""

import argparse
from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from _measure import resume
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers import poisoning
from tml_helpers._console import on_any_console
from tml_helpers.data import ImageSet, cifar10, mnist
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import Loss, accuracy, cross_entropy, fit, predict, seed_everything

NAME = "poisoning_noisy_labels"
SEEDS = range(5)
RATE, HELD, EPOCHS = 0.4, 400, 20
BUILDS: dict[str, Callable[[], nn.Module]] = {
    "dense": lambda: MLP(256),
    "colour": lambda: SmallCNN(3, 32, width=8),
}
SETTINGS = {"batch_size": 64, "progress": False}


def pairs(rate: float) -> Tensor:
    """Every class is called the next one, with this probability."""
    return (1 - rate) * torch.eye(10) + rate * torch.eye(10).roll(1, dims=1)


def uniform(rate: float) -> Tensor:
    return torch.full((10, 10), rate / 9).fill_diagonal_(1 - rate)


def by_image(train: ImageSet, seed: int) -> poisoning.Poison:
    """The images that a small network finds hardest get the name that it would have given them instead."""
    generator = seed_everything(900 + seed)
    reader = MLP(16)
    fit(reader, train, epochs=3, learning_rate=2e-3, generator=generator, **SETTINGS)
    logits = predict(reader, train.images)
    rows = torch.arange(len(train))
    own = logits[rows, train.labels].clone()
    logits[rows, train.labels] = -torch.inf
    hardest = (own - logits.amax(dim=1)).argsort()[: round(RATE * len(train))].sort().values
    seen = train.labels.clone()
    seen[hardest] = logits.argmax(dim=1)[hardest]
    return poisoning.Poison(train.images, seen, hardest, train.images[hardest], train.labels[hardest])


def noisy(kind: str, train: ImageSet, seed: int) -> tuple[poisoning.Poison, Tensor]:
    """The training set with its wrong labels, and what somebody who knows the noise would write down as T."""
    if kind == "by image":
        poison = by_image(train, seed)
        counts = torch.zeros(10, 10).index_put_((train.labels, poison.labels), torch.ones(len(train)), accumulate=True)
        return poison, counts / counts.sum(dim=1, keepdim=True)
    name, rate = kind.split()
    matrix = {"uniform": uniform, "pairs": pairs}[name](float(rate))
    generator = torch.Generator().manual_seed(700 + seed)
    flips = poisoning.flip_labels(
        *(train.images, train.labels), fraction=float(rate), classes=10, transition=matrix, generator=generator
    )
    return flips, matrix


def trained(
    build: str, data: TensorDataset, held: TensorDataset, test: ImageSet, seed: int, loss: Loss
) -> tuple[list[float], int, nn.Module]:
    """Test accuracy after each epoch; which epoch the held-out labels, as wrong as the others, like best; its model."""
    generator = seed_everything(seed)
    model = BUILDS[build]()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    curve, best, liked = [], (-1.0, 0), deepcopy(model)
    for epoch in range(EPOCHS):
        fit(model, data, epochs=1, optimizer=optimizer, loss=loss, generator=generator, **SETTINGS)
        curve.append(accuracy(model, test))
        if (agreed := accuracy(model, held)) > best[0]:
            best, liked = (agreed, epoch), deepcopy(model)
    return curve, best[1], liked


def remedies(data: str, build: str, kind: str, seed: int) -> dict[str, Any]:
    """All remedies on one noisy training set, of which the last 400 are held out for stopping early."""
    train, test = sets(data)
    poison, matrix = noisy(kind, train, seed)
    cut = len(train) - HELD
    given = TensorDataset(poison.images[:cut], poison.labels[:cut])
    held = TensorDataset(poison.images[cut:], poison.labels[cut:])
    run = partial(trained, build, given, held, test, seed)
    found: dict[str, Any] = {}

    def note(name: str, loss: Loss) -> nn.Module:
        curve, epoch, model = run(loss)
        found[name] = {"curve": curve, "last": curve[-1], "stopped": curve[epoch], "epoch": epoch + 1}
        return model

    early = note("plain", cross_entropy)
    estimate = poisoning.confident_transition(early, *given.tensors).transition
    anchors = poisoning.estimate_transition(early, given.tensors[0]).transition
    found["off"] = {  # how far each row of the estimate is from the truth: total variation, the mean over rows
        "counts": float((estimate - matrix).abs().sum(dim=1).mean()) / 2,
        "anchors": float((anchors - matrix).abs().sum(dim=1).mean()) / 2,
    }
    note("true T", poisoning.forward_correction(matrix))
    note("estimated T", poisoning.forward_correction(estimate))
    if kind.startswith("uniform") and build == "dense":
        note("T of 20 %", poisoning.forward_correction(uniform(0.2)))
        note("T of 60 %", poisoning.forward_correction(uniform(0.6)))
    note("mixup", poisoning.mixup(1.0, generator=torch.Generator().manual_seed(seed)))
    generator = seed_everything(seed)
    model, partner = BUILDS[build](), BUILDS[build]()
    taught = poisoning.co_teaching(
        *(model, *given.tensors),
        partner=partner,
        forget_rate=poison.budget,
        epochs=EPOCHS,
        learning_rate=2e-3,
        generator=generator,
        **SETTINGS,
    )
    right = (poison.labels == train.labels)[:cut]
    purity = [float(right[kept].float().mean()) for kept in taught.kept]
    found["co-teaching"] = {"last": accuracy(model, test), "partner": accuracy(partner, test), "purity": purity}
    return found


def flips(first: int, second: int, seed: int, fraction: float) -> dict[str, float]:
    """Test errors of learners on 300 digits of two classes, with flips by chance and flips by the enemy."""
    train, test = sets("mnist")
    generator = torch.Generator().manual_seed(300 + seed)

    def two(images: ImageSet) -> tuple[Tensor, Tensor]:
        of_them = (images.labels == first) | (images.labels == second)
        return images.images[of_them], images.labels[of_them]

    pictures, labels = two(train)
    drawn = torch.randperm(len(labels), generator=generator)[:300]
    pictures, labels = pictures[drawn], labels[drawn]
    asked, truth = two(test)
    x, others = pictures.flatten(1).numpy(), asked.flatten(1).numpy()
    two_classes = (labels == second).long()
    by_chance = poisoning.flip_labels(pictures, two_classes, fraction=fraction, classes=2, generator=generator).labels
    enemy = poisoning.adversarial_label_flips(pictures, labels, fraction=fraction, gamma=0.02, generator=generator)
    answers: dict[str, float] = {"cosine": enemy.cosine}
    for name, seen in (
        ("none", labels),
        ("chance", torch.where(by_chance == 1, second, first)),
        ("enemy", enemy.labels),
    ):
        learners = {
            "svm": SVC(C=1.0, gamma=0.02),
            "linear": LogisticRegression(C=0.1, max_iter=500),
            "neighbours": KNeighborsClassifier(5),
        }
        for learner, machine in learners.items():
            guesses = machine.fit(x, seen.numpy()).predict(others)
            answers[f"{learner}, {name}"] = float((guesses != truth.numpy()).mean())
        for rate in (0.2, 0.4):
            guesses = corrected(x, seen.numpy(), others, rate)
            answers[f"corrected {rate}, {name}"] = float((guesses != truth.numpy()).mean())
    return answers


def corrected(x: Any, seen: Any, others: Any, rate: float) -> Any:
    """The machine of the expected kernel: off the diagonal (1 − 2 ρ)² of it, if each label is wrong with chance ρ."""
    kernel, asked = (rbf_kernel(rows, x, gamma=0.02) for rows in (x, others))
    factor = (1 - 2 * rate) ** 2
    machine = SVC(C=1.0, kernel="precomputed").fit(factor * kernel + (1 - factor) * np.eye(len(x)), seen)
    return machine.predict(asked)


KINDS = ("uniform 0.4", "pairs 0.4", "pairs 0.6", "by image")


@cache
def sets(data: str) -> tuple[ImageSet, ImageSet]:
    if data == "mnist":
        return mnist("train", source="default"), mnist("test", source="default")
    return cifar10("train").select(slice(5000)), cifar10("test").select(slice(2000))


def plan(data: str) -> list[tuple[str, Callable[[], Any]]]:
    """All runs by name: what is done is not repeated."""
    if data == "cifar10":
        kind = "uniform 0.4"
        return [(f"{data}/colour/{kind}/{s}", partial(remedies, data, "colour", kind, s)) for s in SEEDS]
    runs: list[tuple[str, Callable[[], Any]]] = []
    for seed in SEEDS:
        for first, second in ((3, 8), (4, 9), (1, 7)):
            for share in (0.05, 0.1, 0.2, 0.3):
                runs.append((f"flips/{first}{second}/{share}/{seed}", partial(flips, first, second, seed, share)))
    for seed in SEEDS:
        runs += [(f"mnist/dense/{kind}/{seed}", partial(remedies, "mnist", "dense", kind, seed)) for kind in KINDS]
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=("mnist", "cifar10"), default="mnist")
    data = parser.parse_args().data
    torch.set_num_threads(1)
    resume(NAME, plan(data), wrong=RATE, epochs=EPOCHS, held=HELD)


if __name__ == "__main__":
    on_any_console()
    main()
