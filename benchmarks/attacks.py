"""White-box attacks on the CPU: FGSM, PGD, DeepFool, Carlini & Wagner, beside four libraries.

python benchmarks/attacks.py      writes results/attacks.json
"""

import math
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _measure import medians, speedups, wall_times, write
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers import _torchvision
from tml_helpers._console import on_any_console
from tml_helpers.attacks.carlini_wagner import carlini_wagner
from tml_helpers.attacks.deepfool import deepfool
from tml_helpers.attacks.fgsm import fgsm
from tml_helpers.attacks.pgd import pgd
from tml_helpers.data import mnist
from tml_helpers.models import SmallCNN
from tml_helpers.training import fit, predict, seed_everything

_torchvision.load()  # which torchattacks and adv_lib import
sys.modules.setdefault("visdom", types.ModuleType("visdom"))  # which adv_lib imports, for plots that are not drawn here

import adv_lib.attacks  # noqa: E402
import foolbox  # noqa: E402
import torchattacks  # noqa: E402
from art.attacks import evasion as art  # noqa: E402
from art.estimators.classification import PyTorchClassifier  # noqa: E402

THREADS, BATCH, FEW = 2, 256, 64
EPSILON, STEPS = 0.1, 40
PGD = {f"PGD, ε = {e}": e for e in (0.1, 0.15, 0.2)}  # each with steps of ε / 10, from the image itself
SEARCH = {"runs": 5, "steps": 100, "learning_rate": 0.1}  # of Carlini & Wagner; each library's own first constant
Run = Callable[[], Tensor]


def trained() -> nn.Module:
    generator = seed_everything(0)
    model = SmallCNN()
    fit(model, mnist("train", source="default"), epochs=8, learning_rate=2e-3, batch_size=64, generator=generator)
    return model.eval()


def plain_pgd(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """PGD as one writes it by hand."""
    adversarial = images.clone()
    for _ in range(STEPS):
        adversarial.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(adversarial), labels), adversarial)
        stepped = adversarial.detach() + epsilon / 10 * gradient.sign()
        adversarial = (images + (stepped - images).clamp(-epsilon, epsilon)).clamp(0, 1)
    return adversarial


class Peers:
    """The other libraries' attacks, with the same settings as ours."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        self.model, self.images, self.labels = model, images, labels
        self.in_foolbox = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        self.in_art = PyTorchClassifier(
            model, nn.CrossEntropyLoss(), images.shape[1:], 10, clip_values=(0.0, 1.0), device_type="cpu"
        )

    def foolbox(self, attack: Any, epsilon: float | None) -> Run:
        return lambda: attack(self.in_foolbox, self.images, self.labels, epsilons=epsilon)[1]

    def art(self, attack: Any) -> Run:
        images, labels = self.images.numpy(), np.eye(10)[self.labels.numpy()]
        return lambda: torch.from_numpy(attack.generate(images, labels))

    def fgsm(self) -> dict[str, Run]:
        return {
            "torchattacks": lambda: torchattacks.FGSM(self.model, eps=EPSILON)(self.images, self.labels),
            "foolbox": self.foolbox(foolbox.attacks.LinfFastGradientAttack(), EPSILON),
            "ART": self.art(art.FastGradientMethod(self.in_art, eps=EPSILON, batch_size=BATCH)),
        }

    def pgd(self, epsilon: float) -> dict[str, Run]:
        model, images, labels, step = self.model, self.images, self.labels, epsilon / 10
        by_torchattacks = torchattacks.PGD(model, eps=epsilon, alpha=step, steps=STEPS, random_start=False)
        by_foolbox = foolbox.attacks.LinfPGD(abs_stepsize=step, steps=STEPS, random_start=False)
        by_art = art.ProjectedGradientDescentPyTorch(
            self.in_art, eps=epsilon, eps_step=step, max_iter=STEPS, batch_size=BATCH, verbose=False
        )
        how = {"ε": epsilon, "steps": STEPS, "random_init": False, "absolute_step_size": step}
        return {
            "plain loop": lambda: plain_pgd(model, images, labels, epsilon),
            "torchattacks": lambda: by_torchattacks(images, labels),
            "foolbox": self.foolbox(by_foolbox, epsilon),
            "ART": self.art(by_art),
            "adv_lib": lambda: adv_lib.attacks.pgd_linf(model, images, labels, **how),
        }

    def deepfool(self) -> dict[str, Run]:
        by_art = art.DeepFool(self.in_art, max_iter=50, epsilon=0.02, batch_size=FEW, verbose=False)
        by_torchattacks = torchattacks.DeepFool(self.model, steps=50, overshoot=0.02)
        return {
            "foolbox": self.foolbox(foolbox.attacks.L2DeepFoolAttack(steps=50, overshoot=0.02), None),
            "adv_lib": lambda: adv_lib.attacks.df(self.model, self.images, self.labels, steps=50, overshoot=0.02),
            "ART": self.art(by_art),
            "torchattacks": lambda: by_torchattacks(self.images, self.labels),
        }

    def carlini_wagner(self) -> dict[str, Run]:
        runs, steps, rate = SEARCH.values()
        by_foolbox = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=runs, steps=steps, stepsize=rate)
        how = {"binary_search_steps": runs, "max_iterations": steps, "learning_rate": rate}
        return {
            "adv_lib": lambda: adv_lib.attacks.carlini_wagner_l2(self.model, self.images, self.labels, **how),
            "foolbox": self.foolbox(by_foolbox, None),
        }


def ours(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, dict[str, Run]]:
    def by_pgd(epsilon: float, tau: int | None) -> Run:
        how = {"epsilon": epsilon, "steps": STEPS, "step_size": epsilon / 10, "random_start": False}
        return lambda: pgd(model, images, labels, tau=tau, **how)

    few, few_labels = images[:FEW], labels[:FEW]
    how = {"search_steps": SEARCH["runs"], "steps": SEARCH["steps"], "learning_rate": SEARCH["learning_rate"]}
    return {
        "FGSM": {"ours": lambda: fgsm(model, images, labels, epsilon=EPSILON)},
        **{name: {"ours": by_pgd(e, None), "ours, tau = 0": by_pgd(e, 0)} for name, e in PGD.items()},
        "DeepFool": {"ours": lambda: deepfool(model, few, few_labels)},
        "Carlini & Wagner": {"ours": lambda: carlini_wagner(model, few, few_labels, **how)},
    }


def quality(model: nn.Module, images: Tensor, labels: Tensor, adversarial: Tensor) -> dict[str, float]:
    """The share that is misclassified, and those images' median distance."""
    wrong = predict(model, adversarial).argmax(dim=1) != labels
    delta = (adversarial - images).flatten(1)[wrong]
    return {
        "success": round(float(wrong.float().mean()), 4),
        "median_l2": round(float(delta.norm(dim=1).median()), 4),
        "median_linf": round(float(torch.linalg.vector_norm(delta, math.inf, dim=1).median()), 4),
    }


def measure(runs: dict[str, Run], rounds: int, model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """Each attack once for its quality, which warms it up, then `rounds` side by side."""
    found = {name: quality(model, images, labels, run()) for name, run in runs.items()}
    times = wall_times(runs, rounds=rounds, warm_up=0)
    milliseconds = {name: round(1e3 * seconds, 1) for name, seconds in medians(times).items()}
    ratios = {name: speedups(times, name) for name in runs if name.startswith("ours")}
    return {"images": len(images), "rounds": rounds, "ms": milliseconds, "times_as_fast": ratios, "quality": found}


def show(name: str, row: dict[str, Any]) -> None:
    print(f"{name}, {row['images']} images, median of {row['rounds']}")
    for library, milliseconds in row["ms"].items():
        good = row["quality"][library]
        ratios = "".join(f"{ratio[library]:8.2f} ×" for ratio in row["times_as_fast"].values() if library in ratio)
        distances = f"L2 {good['median_l2']:.3f}   L∞ {good['median_linf']:.3f}"
        print(f"  {library:<16}{milliseconds:10.1f} ms   {good['success']:7.1%}   {distances} {ratios}")


def main() -> None:
    torch.set_num_threads(THREADS)
    model = trained()
    test = mnist("test", source="default")
    chosen = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:BATCH]
    images, labels = test.images[chosen], test.labels[chosen]
    many, few = Peers(model, images, labels), Peers(model, images[:FEW], labels[:FEW])
    peers = {
        "FGSM": many.fgsm(),
        **{name: many.pgd(epsilon) for name, epsilon in PGD.items()},
        "DeepFool": few.deepfool(),
        "Carlini & Wagner": few.carlini_wagner(),
    }
    rounds = {"FGSM": 15, **dict.fromkeys(PGD, 5), "DeepFool": 3, "Carlini & Wagner": 3}
    table = {}
    for name, runs in peers.items():
        count = FEW if name in ("DeepFool", "Carlini & Wagner") else BATCH
        runs |= ours(model, images, labels)[name]
        table[name] = measure(runs, rounds[name], model, images[:count], labels[:count])
        show(name, table[name])
    settings = {"threads": THREADS, "model": "SmallCNN", "fgsm_epsilon": EPSILON, "pgd_steps": STEPS, "search": SEARCH}
    print(write("attacks", {**settings, "attacks": table}))


if __name__ == "__main__":
    on_any_console()
    main()
