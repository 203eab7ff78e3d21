"""Gradient matching: flips over ε and the ease of the target, for two networks and two data sets; what each part does.

    python benchmarks/poisoning_gradient_matching.py
    python benchmarks/poisoning_gradient_matching.py --data cifar10

A quarter of an hour, one thread; goes on where it was stopped. CIFAR-10 is found in TML_DATA_DIR.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch
from _measure import resume
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers import poisoning
from tml_helpers._console import on_any_console
from tml_helpers.data import ImageSet, cifar10, mnist
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import accuracy, predict

NAME = "poisoning_gradient_matching"
FRACTION = 0.01
RUNS = 5
AGES = {"dense": (1, 2, 2, 3), "convolutions": (1, 2, 3, 5), "photographs": (1, 2, 3, 5)}
BUILDS: dict[str, tuple[str, Callable[[], nn.Module], int]] = {  # data, network, epochs of the victim
    "dense": ("mnist", lambda: MLP(128), 8),
    "convolutions": ("mnist", SmallCNN, 5),
    "photographs": ("cifar10", lambda: SmallCNN(3, 32, width=8), 6),
}
CURVES: dict[str, dict[float, Sequence[int]]] = {  # ε: the seeds
    "dense": {16 / 255: (0, 1), 0.1: (0, 1), 0.15: (0, 1), 0.25: (0, 1), 0.4: (0, 1)},
    "convolutions": {0.4: (0, 1), 0.25: (0,), 0.1: (0,)},
    "photographs": {16 / 255: (0, 1), 32 / 255: (0, 1), 8 / 255: (0,)},
}
EASE = {"dense": (5, 20, 50, 80), "convolutions": (5, 20, 50), "photographs": (20, 50)}
NOISE = {"dense": 0.15, "convolutions": 0.4, "photographs": 32 / 255}
"""From which ε on the control is run; above, the percentiles of ease: the nearest call first."""


class Shifted(nn.Module):
    """A network that sees each batch moved by up to two pixels while it is trained."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            images = images.roll(torch.randint(-2, 3, (2,)).tolist(), dims=(2, 3))
        logits: Tensor = self.network(images)
        return logits


@cache
def data(name: str) -> tuple[ImageSet, ImageSet]:
    if name == "mnist":
        return tuple(mnist(split, source="default") for split in ("train", "test"))  # type: ignore[return-value]
    return cifar10("train").select(slice(5000)), cifar10("test").select(slice(1000))


def trained(build: str, images: Tensor, labels: Tensor, *, seed: int, **how: Any) -> tuple[nn.Module, ...]:
    _, make, epochs = BUILDS[build]
    settings: dict[str, Any] = {"runs": RUNS, "epochs": epochs, "learning_rate": 2e-3, "progress": False} | how
    generator = torch.Generator().manual_seed(seed)
    return poisoning.retrain(settings.pop("make", make), TensorDataset(images, labels), generator=generator, **settings)


@cache
def surrogates(build: str, seed: int, ages: Sequence[int] | None = None) -> tuple[nn.Module, ...]:
    train, _ = data(BUILDS[build][0])
    return tuple(
        trained(build, train.images, train.labels, seed=1000 * seed + place, runs=1, epochs=age)[0]
        for place, age in enumerate(ages or AGES[build])
    )


@cache
def target(build: str, seed: int, percentile: int) -> tuple[int, int, float]:
    """Which test image, the runner-up that the attacker wants, and how near it is: p₂ / p₁."""
    _, test = data(BUILDS[build][0])
    mean = torch.stack([predict(model, test.images).softmax(1) for model in surrogates(build, seed)]).mean(0)
    best, classes = mean.topk(2, dim=1)
    ease = best[:, 1] / best[:, 0]
    places = [place for place in ease.argsort(descending=True).tolist() if classes[place, 0] == test.labels[place]]
    place = places[percentile * len(places) // 100]
    return place, int(classes[place, 1]), float(ease[place])


def flips(models: Sequence[nn.Module], image: Tensor, label: int) -> int:
    return int(poisoning.attack_success(tuple(models), image[None], torch.tensor([label])).rates.sum())


def brewed(build: str, seed: int, percentile: int, epsilon: float, **how: Any) -> poisoning.GradientMatchingPoison:
    train, test = data(BUILDS[build][0])
    place, wanted, _ = target(build, seed, percentile)
    first, *others = how.pop("surrogates", surrogates(build, seed))
    return poisoning.gradient_matching(
        first,
        train.images,
        train.labels,
        target_image=test.images[place],
        target_label=wanted,
        fraction=FRACTION,
        epsilon=epsilon,
        ensemble=others,
        steps=60,
        generator=torch.Generator().manual_seed(seed),
        progress=False,
        **how,
    )


def curve(build: str, seed: int, percentile: int, epsilon: float) -> dict[str, Any]:
    """How many of five victims the poison flips, and how many random noise of its size does."""
    _, test = data(BUILDS[build][0])
    place, wanted, ease = target(build, seed, percentile)
    start = time.process_time()
    poison = brewed(build, seed, percentile, epsilon)
    seconds = time.process_time() - start
    victims = trained(build, poison.images, poison.labels, seed=seed)
    found: dict[str, Any] = {
        "target": place,
        "true": int(test.labels[place]),
        "wanted": wanted,
        "ease": ease,
        "before": float(poison.before.mean()),
        "after": float(poison.after.mean()),
        "seconds": seconds,
        "poison": flips(victims, test.images[place], wanted),
        "accuracy": sum(accuracy(victim, test) for victim in victims) / RUNS,
    }
    if epsilon >= NOISE[build]:
        noise = poison.noise_control(generator=torch.Generator().manual_seed(seed))
        noisy = trained(build, noise.images, noise.labels, seed=seed)
        found["noise"] = flips(noisy, test.images[place], wanted)
    return found


def clean(build: str, seed: int) -> dict[str, Any]:
    """The same trainings without poison: how often they take each target for the class that the attacker wants."""
    train, test = data(BUILDS[build][0])
    victims = trained(build, train.images, train.labels, seed=seed)
    found: dict[str, Any] = {"accuracy": sum(accuracy(victim, test) for victim in victims) / RUNS}
    for percentile in EASE[build]:
        place, wanted, _ = target(build, seed, percentile)
        found[str(percentile)] = flips(victims, test.images[place], wanted)
    return found


ABLATIONS: dict[str, Callable[[int], dict[str, Any]]] = {
    "as it is": lambda seed: {},
    "random bases": lambda seed: {"bases": "random"},
    "one surrogate of 1 epoch": lambda seed: {"surrogates": surrogates("dense", seed)[:1]},
    "four surrogates of 8 epochs": lambda seed: {"surrogates": surrogates("dense", seed, (8, 8, 8, 8))},
    "best of 4 restarts": lambda seed: {"restarts": 4},
}
VICTIMS: dict[str, dict[str, Any]] = {
    "a smaller dense network": {"make": lambda: MLP(32)},
    "a deeper dense network": {"make": lambda: MLP(128, 64)},
    "convolutions": {"make": SmallCNN, "epochs": 5},
    "shifts by up to 2 pixels": {"make": lambda: Shifted(MLP(128)), "epochs": 16},
    "30 epochs": {"epochs": 30},
}


def ablated(seed: int, percentile: int, how: str) -> dict[str, Any]:
    """The dense network at ε = 0.25, with one part of the recipe changed."""
    _, test = data("mnist")
    place, wanted, _ = target("dense", seed, percentile)
    poison = brewed("dense", seed, percentile, 0.25, **ABLATIONS[how](seed))
    victims = trained("dense", poison.images, poison.labels, seed=seed)
    return {"after": float(poison.after.mean()), "poison": flips(victims, test.images[place], wanted)}


def transferred(seed: int, percentile: int, to: str) -> dict[str, Any]:
    """Poison that was made for the dense network at ε = 0.25, in the hands of another victim."""
    _, test = data("mnist")
    place, wanted, _ = target("dense", seed, percentile)
    poison = brewed("dense", seed, percentile, 0.25)
    victims = trained("dense", poison.images, poison.labels, seed=seed, **VICTIMS[to])
    return {"poison": flips(victims, test.images[place], wanted), "accuracy": accuracy(victims[0], test)}


Runs = list[tuple[str, Callable[[], Any]]]


def plan(name: str) -> Runs:
    """All runs by name: what is done is not repeated."""
    runs: Runs = []
    for build, (of, _, _) in BUILDS.items():
        if of != name:
            continue
        seeds = sorted({seed for some in CURVES[build].values() for seed in some})
        runs += [(f"clean/{build}/{seed}", partial(clean, build, seed)) for seed in seeds]
        for epsilon, some in CURVES[build].items():
            for seed in some:
                for percentile in EASE[build]:
                    place = f"curve/{build}/{epsilon:.4g}/{percentile}/{seed}"
                    runs.append((place, partial(curve, build, seed, percentile, epsilon)))
        if build == "dense":
            for seed in (0, 1):
                for percentile in (20, 50):
                    for how in ABLATIONS:
                        runs.append((f"part/{how}/{percentile}/{seed}", partial(ablated, seed, percentile, how)))
            for percentile in (20, 50):
                for to in VICTIMS:
                    runs.append((f"victim/{to}/{percentile}/0", partial(transferred, 0, percentile, to)))
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=("mnist", "cifar10"), default="mnist")
    data = parser.parse_args().data
    torch.set_num_threads(1)
    resume(NAME, plan(data), images={"mnist": 4000, "cifar10": 5000}, trainings=RUNS)


if __name__ == "__main__":
    on_any_console()
    main()
