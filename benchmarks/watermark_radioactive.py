"""Radioactive data and twins: false positives over many unmarked models, curves over ε and the share, and removal.

    python benchmarks/watermark_radioactive.py

Seven minutes, one thread; goes on where it was stopped.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from _measure import RESULTS, write
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import watermark
from tml_helpers._console import on_any_console
from tml_helpers.data import mnist
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import accuracy, fit, predict, seed_everything

NAME = "watermark_radioactive"
SEEDS = range(2)
EPSILON = 0.15
MODELS = 200
BUILDS: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "dense": (lambda: MLP(128), {"epochs": 10, "learning_rate": 1e-3}),
    "convolutions": (SmallCNN, {"epochs": 5, "learning_rate": 2e-3}),
}
LAST = {"convolutions": "layers.10", "dense": "layers.4"}

train, test = mnist("train", source="default"), mnist("test", source="default")
images, labels = train.images, train.labels
asked = test.select(slice(500))


def key_of(seed: int) -> bytes:
    return bytes(torch.randint(256, (32,), generator=torch.Generator().manual_seed(1000 + seed)).tolist())


def trained(pictures: Tensor, classes: Tensor, build: str, seed: int, **how: Any) -> nn.Module:
    generator = seed_everything(seed)
    make, settings = BUILDS[build]
    model = make()
    fit(model, TensorDataset(pictures, classes), batch_size=64, generator=generator, progress=False, **settings | how)
    return model


class Made:
    """Models that several experiments need, trained once a run."""

    def __init__(self) -> None:
        self.known: dict[tuple[Any, ...], nn.Module] = {}

    def control(self, build: str, seed: int) -> nn.Module:
        return self._get(("control", build, seed), lambda: trained(images, labels, build, 50 + seed))

    def suspect(self, build: str, seed: int, epsilon: float = EPSILON, fraction: float = 0.1) -> nn.Module:
        def make() -> nn.Module:
            data = watermark.radioactive_mark(images, labels, key=key_of(seed), epsilon=epsilon, fraction=fraction)
            return trained(data.images, labels, build, seed)

        return self._get(("suspect", build, seed, epsilon, fraction), make)

    def _get(self, name: tuple[Any, ...], make: Callable[[], nn.Module]) -> nn.Module:
        if name not in self.known:
            self.known[name] = make()
        return self.known[name]


made = Made()


def found(model: nn.Module, build: str, seed: int, epsilon: float = EPSILON, **more: Any) -> float:
    settings = {"control": made.control(build, seed), "probes": 2} | more
    return watermark.radioactive_test(
        model, asked.images, asked.labels, key=key_of(seed), epsilon=epsilon, **settings
    ).p_value


def false_positives(number: int) -> dict[str, float]:
    """Three detectors on one unmarked network with a fresh key: numbers that are uniform by right."""
    generator = seed_everything(10_000 + number)
    chosen = torch.randperm(len(images), generator=generator)[:1000]
    pictures, classes = images[chosen], labels[chosen]
    model, control = MLP(32), MLP(32)
    for network in (model, control):
        fit(network, TensorDataset(pictures, classes), epochs=5, batch_size=32, generator=generator, progress=False)
    key = bytes(torch.randint(256, (32,), generator=generator).tolist())
    pairs = watermark.twins(pictures[:200], key=key, epsilon=EPSILON)
    evidence = {
        "blocks": watermark.radioactive_test(model, *test[:200], key=key, epsilon=EPSILON, control=control, probes=1),
        "twins": watermark.twin_test(model, pairs.published, classes[:200], withheld=pairs.withheld, control=control),
        "cosines": watermark.cosine_test(model, test.images[:200], key=key, layer="layers.4", marker=control),
    }
    return {name: one.randomized(generator=generator) for name, one in evidence.items()}


def curve(build: str, seed: int, epsilon: float, fraction: float) -> dict[str, float]:
    model = made.suspect(build, seed, epsilon, fraction)
    accesses = ("gradients", "logits", "losses") if fraction == 0.1 else ("gradients",)
    answer = {access: found(model, build, seed, epsilon, access=access) for access in accesses}
    cost = accuracy(made.control(build, seed), test) - accuracy(model, test)
    return answer | {"no control": found(model, build, seed, epsilon, control=None), "cost": cost}


def shifted(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Each image moved by up to two pixels."""
    padded = F.pad(pictures, (2, 2, 2, 2))
    moves = torch.randint(5, (len(pictures), 2), generator=generator).tolist()
    return torch.stack([one[:, y : y + 28, x : x + 28] for one, (y, x) in zip(padded, moves, strict=True)])


def soft_loss(model: nn.Module, pictures: Tensor, answers: Tensor) -> Tensor:
    return F.cross_entropy(model(pictures), answers.softmax(dim=1))


def removed(build: str, seed: int, how: str) -> dict[str, float]:
    """The p-value after somebody tried to lose the mark, and the accuracy that is left."""
    data = watermark.radioactive_mark(images, labels, key=key_of(seed), epsilon=EPSILON)
    generator = torch.Generator().manual_seed(seed)
    marked = data.images
    before: dict[str, Callable[[], Tensor]] = {
        "threshold": lambda: (marked > 0.5).float(),
        "blur": lambda: F.avg_pool2d(marked, 3, 1, 1),
        "noise": lambda: (marked + 0.15 * torch.randn(marked.shape, generator=generator)).clamp(0, 1),
        "shifts": lambda: shifted(marked, generator),
    }
    suspect = made.suspect(build, seed)
    if how == "none":
        model = suspect
    elif how in before:
        model = trained(before[how](), labels, build, seed)
    elif how == "fine-tuning":
        model = deepcopy(suspect)
        clean = TensorDataset(images, labels)
        fit(model, clean, epochs=3, learning_rate=1e-3, batch_size=64, generator=generator, progress=False)
    else:  # distillation on the unmarked originals
        model = trained(images, predict(suspect, images), build, 70 + seed, loss=soft_loss)
    return {"p": found(model, build, seed), "accuracy": accuracy(model, test)}


def by_features(build: str, seed: int, fraction: float) -> dict[str, float]:
    """The paper's marks and test: the classifier alone trained anew on the owner's features, and all from scratch."""
    control, layer, key = made.control(build, seed), LAST[build], key_of(seed)
    data = watermark.feature_mark(
        control, images, labels, key=key, epsilon=EPSILON, layer=layer, fraction=fraction, steps=20
    )
    frozen = deepcopy(control).requires_grad_(False)
    classifier = frozen.get_submodule(layer).requires_grad_()
    seed_everything(seed)
    classifier.reset_parameters()
    optimizer = torch.optim.Adam(classifier.parameters(), lr=2e-3)
    fit(frozen, TensorDataset(data.images, labels), epochs=3, batch_size=64, optimizer=optimizer, progress=False)
    scratch = trained(data.images, labels, build, seed)
    settings = {"key": key, "layer": layer}
    return {
        "frozen": watermark.cosine_test(frozen, asked.images, **settings).p_value,
        "scratch": watermark.cosine_test(scratch, asked.images, **settings, marker=control).p_value,
    }


def twins(build: str, seed: int, count: int, epochs: int) -> float:
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:count]
    pairs = watermark.twins(images[chosen], key=key_of(seed), epsilon=EPSILON)
    published = images.clone()
    published[chosen] = pairs.published
    model = trained(published, labels, build, seed, epochs=epochs)
    settings = {"withheld": pairs.withheld, "control": made.control(build, seed)}
    return watermark.twin_test(model, pairs.published, labels[chosen], **settings).p_value


REMOVALS = ("none", "threshold", "blur", "noise", "shifts", "fine-tuning", "distillation")


Runs = list[tuple[str, Callable[[], Any]]]


def plan() -> Runs:
    """All runs by name: what is done is not repeated."""
    runs: Runs = []
    for seed in SEEDS:
        for build in BUILDS:
            runs += [(f"removal/{build}/{how}/{seed}", partial(removed, build, seed, how)) for how in REMOVALS]
        if seed == 0:
            runs += [(f"null/{number}", partial(false_positives, number)) for number in range(MODELS)]
        for build in BUILDS:
            for epsilon in (0.025, 0.05, 0.1, 0.15, 0.25):
                runs.append((f"epsilon/{build}/{epsilon}/{seed}", partial(curve, build, seed, epsilon, 0.1)))
            for count, epochs in ((400, 5), (400, 10), (1600, 10)):
                runs.append((f"twins/{build}/{count}/{epochs}/{seed}", partial(twins, build, seed, count, epochs)))
            for fraction in (0.1, 1.0):
                runs.append((f"features/{build}/{fraction}/{seed}", partial(by_features, build, seed, fraction)))
            for fraction in (0.02, 0.05, 0.2):
                runs.append((f"fraction/{build}/{fraction}/{seed}", partial(curve, build, seed, EPSILON, fraction)))
    return runs


def summary(runs: dict[str, Any]) -> dict[str, Any]:
    """Of each detector on unmarked networks: the distance to uniform, and the share below some levels."""
    drawn = [value for name, value in runs.items() if name.startswith("null/")]
    if not drawn:
        return {}
    found = {}
    for detector in drawn[0]:
        values = [one[detector] for one in drawn]
        below = {str(level): sum(value < level for value in values) / len(values) for level in (0.1, 0.05, 0.01)}
        test_of = stats.kstest(values, "uniform")
        found[detector] = {
            "models": len(values),
            "ks": float(test_of.statistic),
            "ks_p": float(test_of.pvalue),
            "below": below,
        }
    return found


def main() -> None:
    torch.set_num_threads(1)
    file = RESULTS / f"{NAME}.json"
    runs = json.loads(file.read_text(encoding="utf-8"))["runs"] if file.exists() else {}
    for name, run in plan():
        if name not in runs:
            runs[name] = run()
            write(NAME, {"null": summary(runs), "runs": runs})
            print(f"{name:40} {runs[name]}", flush=True)
    for detector, row in summary(runs).items():
        print(f"{detector:10} {row}")


if __name__ == "__main__":
    on_any_console()
    main()
