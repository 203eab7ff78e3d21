"""Carlini & Wagner beyond MNIST: two data sets, two networks, beside three learning rates of Foolbox and adv-lib.

python benchmarks/carlini_wagner.py      writes results/carlini_wagner.json
"""

import sys
import time
import types
from collections.abc import Callable
from functools import partial
from itertools import pairwise, product
from typing import Any

import torch
from _measure import medians, wall_times, write
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers import _torchvision
from tml_helpers._console import on_any_console
from tml_helpers.attacks import carlini_wagner, deepfool
from tml_helpers.common import norms
from tml_helpers.data import mnist
from tml_helpers.training import fit, predict, seed_everything

_torchvision.load()  # which adv_lib imports
sys.modules.setdefault("visdom", types.ModuleType("visdom"))  # which adv_lib imports, for plots that are not drawn here

import adv_lib.attacks  # noqa: E402
import foolbox  # noqa: E402

THREADS, FEW, ROUNDS = 1, 32, 2
RATES = (0.03, 0.1, 0.3)
RUNS, STEPS = 5, 100
EPOCHS = {"MNIST": 4, "digits of 8 × 8": 15}
Run = Callable[[], Tensor]


def split(name: str) -> tuple[TensorDataset, TensorDataset]:
    if name == "MNIST":
        return mnist("train", source="default"), mnist("test", source="default")
    from sklearn.datasets import load_digits

    loaded = load_digits()
    images, labels = torch.tensor(loaded.images / 16).float()[:, None], torch.tensor(loaded.target).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, test = order[:1300], order[1300:]
    return TensorDataset(images[train], labels[train]), TensorDataset(images[test], labels[test])


def network(normalised: bool) -> nn.Module:
    widths, layers = (1, 16, 32, 32), []
    for i, (before, after) in enumerate(pairwise(widths)):
        layers.append(nn.Conv2d(before, after, 3, stride=1 if i == 0 else 2, padding=1))
        layers += [nn.BatchNorm2d(after), nn.ReLU()] if normalised else [nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * 32, 10))


def attacks(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Run]:
    in_foolbox = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    runs: dict[str, Run] = {
        "ours": partial(carlini_wagner, model, images, labels),
        "our DeepFool": partial(deepfool, model, images, labels),
    }
    for rate in RATES:
        attack = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=RUNS, steps=STEPS, stepsize=rate)
        runs[f"Foolbox, {rate}"] = lambda attack=attack: attack(in_foolbox, images, labels, epsilons=None)[1]
        how = {"binary_search_steps": RUNS, "max_iterations": STEPS, "learning_rate": rate}
        runs[f"adv-lib, {rate}"] = partial(adv_lib.attacks.carlini_wagner_l2, model, images, labels, **how)
    return runs


def measured(name: str, normalised: bool) -> dict[str, Any]:
    train, test = split(name)
    generator = seed_everything(0)
    model = network(normalised)
    fit(model, train, epochs=EPOCHS[name], learning_rate=2e-3, batch_size=64, generator=generator)
    model.eval()
    images, labels = test.tensors
    right = (predict(model, images).argmax(dim=1) == labels).nonzero().squeeze(1)[:FEW]
    images, labels = images[right], labels[right]
    found: dict[str, Tensor] = {}

    def kept(name: str, run: Run) -> None:
        found[name] = run().detach()

    runs = attacks(model, images, labels)
    calls = {key: partial(kept, key, run) for key, run in runs.items()}
    times = medians(wall_times(calls, rounds=ROUNDS, warm_up=0, clock=time.process_time))  # the CPU's, of one thread
    rows = {}
    for key, adversarial in found.items():
        fooled = predict(model, adversarial).argmax(dim=1) != labels
        distances = norms(adversarial - images, "l2").masked_fill(~fooled, torch.inf)
        rows[key] = {
            "median L2": round(float(distances.median()), 4),
            "fooled": round(float(fooled.float().mean()), 3),
            "time, as a multiple of ours": round(times[key] / times["ours"], 2),
        }
        print(name, "BatchNorm" if normalised else "plain", key, rows[key], flush=True)
    return rows


def main() -> None:
    torch.set_num_threads(THREADS)
    cases = product(EPOCHS, (False, True))
    results = {f"{name}, {'BatchNorm' if bn else 'plain'} CNN": measured(name, bn) for name, bn in cases}
    write("carlini_wagner", {"images": FEW, "runs": RUNS, "steps": STEPS, "threads": THREADS, "results": results})


if __name__ == "__main__":
    on_any_console()
    main()
