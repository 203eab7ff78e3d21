"""Clean-label poison: collisions over ε and the epochs of the head, their end-to-end failure, and looking ahead.

    python benchmarks/poisoning_clean_label.py [--data cifar10]

About fifteen minutes for each data set, one thread; goes on where it was stopped.
"""

import argparse
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from _measure import resume
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import poisoning
from tml_helpers._console import on_any_console
from tml_helpers.data import cifar10, mnist
from tml_helpers.models import SmallCNN
from tml_helpers.training import fit, predict, seed_everything

NAME = "poisoning_clean_label"
EXTRACTORS, TARGETS, RUNS = range(3), range(4), 5
EPOCHS = (15, 100)
EPSILONS = {"mnist": (0.5, 0.3, 0.1), "cifar10": (32 / 255, 16 / 255, 8 / 255)}


class Scene:
    """A victim who keeps the features of a network and trains a last layer on 1,000 images of their own."""

    def __init__(self, data: str) -> None:
        self.data = data
        load = cifar10 if data == "cifar10" else partial(mnist, source="default")
        self.train, self.test = load("train").select(slice(4000)), load("test").select(slice(1000))
        self.build: Callable[[], nn.Module] = SmallCNN if data == "mnist" else partial(SmallCNN, 3, 32)
        self.known: dict[int, tuple[nn.Module, Tensor]] = {}

    def victim(self, seed: int) -> tuple[nn.Module, Tensor]:
        """A network trained on 3,000 of the images, and the places of the other 1,000."""
        if seed not in self.known:
            generator = seed_everything(seed)
            order = torch.randperm(4000, generator=generator)
            network, old = self.build(), order[:3000]
            data = TensorDataset(self.train.images[old], self.train.labels[old])
            fit(network, data, epochs=5, learning_rate=2e-3, batch_size=64, generator=generator, progress=False)
            self.known[seed] = (network.eval().requires_grad_(False), order[3000:])
        return self.known[seed]

    def target(self, seed: int, number: int) -> tuple[Tensor, int, int]:
        """A test image that the network reads rightly, drawn; its class, and the runner-up."""
        network, _ = self.victim(seed)
        logits = predict(network, self.test.images)
        right = (logits.argmax(dim=1) == self.test.labels).nonzero().flatten()
        place = right[torch.randperm(len(right), generator=torch.Generator().manual_seed(seed))[number]]
        first, second = logits[place].topk(2).indices.tolist()
        return self.test.images[place], first, second


def heads(features: Tensor, labels: Tensor, asked: Tensor, seed: int) -> dict[int, list[int]]:
    """What five last layers, trained side by side from their own weights and orders, call a row, after some epochs."""
    generator = torch.Generator().manual_seed(1000 + seed)
    bound = features.shape[1] ** -0.5
    weight = bound * (2 * torch.rand(RUNS, features.shape[1], 10, generator=generator) - 1)
    bias = bound * (2 * torch.rand(RUNS, 1, 10, generator=generator) - 1)
    optimizer = torch.optim.Adam([weight.requires_grad_(), bias.requires_grad_()], lr=0.01)
    answers = {}
    for epoch in range(max(EPOCHS)):
        order = torch.stack([torch.randperm(len(features), generator=generator) for _ in range(RUNS)])
        for chosen in order.split(64, dim=1):
            logits = torch.baddbmm(bias, features[chosen], weight)
            loss = RUNS * F.cross_entropy(logits.flatten(0, 1), labels[chosen].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch + 1 in EPOCHS:
            with torch.no_grad():
                answers[epoch + 1] = (asked @ weight + bias[:, 0]).argmax(dim=-1).tolist()
    return answers


def collision(scene: Scene, seed: int, number: int, epsilon: float, bases: str) -> dict[str, Any]:
    network, mine = scene.victim(seed)
    extractor = nn.Sequential(*network.layers[:10])
    image, _, wanted = scene.target(seed, number)
    images, labels = scene.train.images[mine], scene.train.labels[mine]
    made = poisoning.feature_collision(
        extractor,
        images,
        labels,
        target_image=image,
        target_label=wanted,
        fraction=0.01,
        epsilon=epsilon,
        bases=bases,
        generator=torch.Generator().manual_seed(seed),
        progress=False,
    )
    noise = made.noise_control(generator=torch.Generator().manual_seed(seed))
    asked = predict(extractor, image[None])[0]
    sets = {"poison": made.images, "noise": noise.images} | (
        {"clean": images} if epsilon == max(EPSILONS[scene.data]) else {}
    )
    flips = {}
    for name, pictures in sets.items():
        answers = heads(predict(extractor, pictures), labels, asked, 10 * seed + number)
        flips[name] = {epochs: sum(one == wanted for one in found) for epochs, found in answers.items()}
    return {
        "flips": flips,
        "before": float(made.clean_distances.mean()),
        "after": float(made.distances.mean()),
        "nearest_clean": made.nearest_clean,
        "l2": float(made.l2.mean()),
    }


def end_to_end(scene: Scene, seed: int, number: int, how: str) -> int:
    """How many of five victims are fooled who train all layers on the same poison, on from there or from scratch."""
    network, mine = scene.victim(seed)
    image, _, wanted = scene.target(seed, number)
    images, labels = scene.train.images[mine], scene.train.labels[mine]
    made = poisoning.feature_collision(
        nn.Sequential(*network.layers[:10]),
        images,
        labels,
        target_image=image,
        target_label=wanted,
        fraction=0.01,
        epsilon=max(EPSILONS[scene.data]),
        progress=False,
    )
    generator = torch.Generator().manual_seed(seed)
    if how == "scratch":
        pictures = scene.train.images.index_copy(0, mine, made.images)
        data = TensorDataset(pictures, scene.train.labels)
        settings = {"epochs": 5, "learning_rate": 2e-3}
        models = poisoning.retrain(scene.build, data, runs=RUNS, generator=generator, progress=False, **settings)
    else:
        start = deepcopy(network).requires_grad_()
        models = poisoning.retrain(lambda: deepcopy(start), made.data, runs=RUNS, epochs=10, generator=generator)
    return sum(int(predict(one, image[None]).argmax()) == wanted for one in models)


def ahead(scene: Scene, seed: int, number: int) -> dict[str, Any]:
    """Looking ahead over four ages: the margin that it promises, and victims trained from scratch."""
    images, labels = scene.train.images, scene.train.labels
    build = partial(SmallCNN, width=8) if scene.data == "mnist" else partial(SmallCNN, 3, 32, width=8)
    data, settings = TensorDataset(images, labels), {"learning_rate": 2e-3, "progress": False}
    young = []
    for place, epochs in enumerate((1, 1, 2, 3)):
        generator = seed_everything(100 * seed + place)
        young.append(build())
        fit(young[-1], data, epochs=epochs, batch_size=64, generator=generator, **settings)
    image, true, wanted = easy(young, scene, number)
    made = poisoning.meta_poison(
        young[0],
        images,
        labels,
        target_image=image,
        target_label=wanted,
        fraction=0.01,
        epsilon=0.4 if scene.data == "mnist" else 32 / 255,
        ensemble=young[1:],
        generator=torch.Generator().manual_seed(seed),
        progress=False,
    )
    noise = made.noise_control(generator=torch.Generator().manual_seed(seed))
    found: dict[str, Any] = {"clean_margin": made.clean_margin, "poisoned_margin": made.poisoned_margin}
    for name, one in (("poison", made), ("noise", noise)):
        generator = torch.Generator().manual_seed(seed)
        models = poisoning.retrain(build, one.data, runs=RUNS, epochs=5, generator=generator, **settings)
        logits = torch.cat([predict(model, image[None]) for model in models])
        found[name] = int((logits.argmax(dim=1) == wanted).sum())
        found[f"{name}_margins"] = (logits[:, true] - logits[:, wanted]).tolist()
    return found


def easy(models: list[nn.Module], scene: Scene, number: int) -> tuple[Tensor, int, int]:
    """A test image at the 2nd, 5th, 10th or 20th percentile of the margin of those read rightly; class, runner-up."""
    logits = torch.stack([predict(one, scene.test.images) for one in models]).mean(dim=0)
    top = logits.topk(2)
    right = (top.indices[:, 0] == scene.test.labels).nonzero().flatten()
    margins = (top.values[:, 0] - top.values[:, 1])[right]
    place = right[margins.argsort()[int((0.02, 0.05, 0.1, 0.2)[number] * len(right))]]
    first, second = top.indices[place].tolist()
    return scene.test.images[place], first, second


Runs = list[tuple[str, Callable[[], Any]]]


def plan(data: str) -> Runs:
    """All runs by name: what is done is not repeated."""
    scene, runs = Scene(data), Runs()
    places = [(seed, number) for number in TARGETS for seed in EXTRACTORS]
    for seed, number in places:
        for epsilon in EPSILONS[data]:
            name = f"{data}/collision/{epsilon:.3g}/nearest/{seed}/{number}"
            runs.append((name, partial(collision, scene, seed, number, epsilon, "nearest")))
    for seed, number in places[:6]:
        runs.append((f"{data}/ahead/{seed}/{number}", partial(ahead, scene, seed, number)))
        for how in ("on", "scratch")[: 2 if number == 0 else 1]:
            runs.append((f"{data}/{how}/{seed}/{number}", partial(end_to_end, scene, seed, number, how)))
    for seed, number in places:
        name = f"{data}/collision/{max(EPSILONS[data]):.3g}/random/{seed}/{number}"
        runs.append((name, partial(collision, scene, seed, number, max(EPSILONS[data]), "random")))
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=EPSILONS, default="mnist")
    data = parser.parse_args().data
    torch.set_num_threads(1)
    resume(NAME, plan(data))


if __name__ == "__main__":
    on_any_console()
    main()
