"""What attacks on training and their defences cost, beside the Adversarial Robustness Toolbox and beside plain loops.

python benchmarks/poisoning.py      writes results/poisoning.json, on the default digits

Every pair does the same work on the same images. `seconds` are of this machine, on one thread; the ratios are medians
over rounds in which the runs take turns.
"""

import contextlib
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from _measure import medians, speedups, wall_times, write
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from tml_helpers._console import on_any_console
from tml_helpers.data import ImageSet, mnist
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.poisoning import gradient_matching, retrain
from tml_helpers.training import fit

EPSILON, STEPS, CLASS = 0.4, 80, 3
Line = dict[str, Any]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quietly(run: Callable[[], Any]) -> Any:
    """The toolbox prints its progress."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return run()


def line(what: str, times: dict[str, list[float]], of: str, **more: Any) -> Line:
    seconds = {name: round(value, 4) for name, value in medians(times).items()}
    return {"what": what, "seconds": seconds, "times_as_fast": speedups(times, of), **more}


def trained(train: ImageSet, epochs: int = 2, seed: int = 0) -> SmallCNN:
    torch.manual_seed(seed)
    model = SmallCNN()
    fit(model, train, epochs=epochs, batch_size=64, generator=seeded(seed), progress=False)
    return model.eval()


def peer(model: nn.Module, classes: int = 10) -> Any:
    """The model as the toolbox asks for it."""
    from art.estimators.classification import PyTorchClassifier

    shape = (1, 28, 28)
    return PyTorchClassifier(
        model, loss=nn.CrossEntropyLoss(), input_shape=shape, nb_classes=classes, clip_values=(0, 1)
    )


# --- gradient matching: 40 images, one surrogate, 80 steps ---


def brewing(train: ImageSet, test: ImageSet) -> Line:
    from art.attacks.poisoning import GradientMatchingAttack

    model = trained(train)
    target = test.images[(test.labels == 5).nonzero()[0, 0]]
    of_class = (train.labels == CLASS).nonzero().squeeze(1)[:40]
    images, labels = train.images[of_class], train.labels[of_class]
    others = (train.labels != CLASS).nonzero().squeeze(1)[:1]  # two classes, or there is nothing to confuse
    both = torch.cat([images, train.images[others]]), torch.cat([labels, train.labels[others]])
    attack = partial(
        GradientMatchingAttack,
        peer(model),
        percent_poison=1.0,
        epsilon=EPSILON,
        max_trials=1,
        max_epochs=STEPS,
        learning_rate_schedule=([1e-1, 1e-2], [50, STEPS]),
        verbose=0,
    )

    def theirs() -> Tensor:
        given = target[None].numpy(), np.array([CLASS]), images.numpy(), labels.numpy()
        return torch.from_numpy(quietly(lambda: attack().poison(*given))[0])

    def ours() -> Tensor:
        poison = gradient_matching(
            model,
            *both,
            target_image=target,
            target_label=CLASS,
            fraction=40 / 41,
            epsilon=EPSILON,
            steps=STEPS,
            bases="random",
            generator=seeded(),
            progress=False,
        )
        return poison.images[poison.indices]

    cosines = {name: round(aligned(model, run(), labels, target), 3) for name, run in (("ours", ours), ("ART", theirs))}
    times = wall_times({"ours": ours, "ART": theirs}, rounds=5, warm_up=1)
    return line(f"gradient matching, 40 images, {STEPS} steps, one surrogate", times, "ours", cosine=cosines)


def aligned(model: nn.Module, images: Tensor, labels: Tensor, target: Tensor) -> float:
    """The cosine by hand, for both alike."""

    def slope(inputs: Tensor, classes: Tensor) -> Tensor:
        loss = F.cross_entropy(model(inputs), classes)
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))])

    aim, found = slope(target[None], torch.tensor([CLASS])), slope(images, labels)
    return float(torch.cosine_similarity(aim, found, dim=0))


def one_target(train: ImageSet, test: ImageSet) -> Line:
    """Everything that one target costs: four surrogates of 1, 2, 2 and 3 epochs, and the poison."""
    target = test.images[(test.labels == 5).nonzero()[0, 0]]

    def whole() -> object:
        first, *others = (trained(train, epochs, seed) for seed, epochs in enumerate((1, 2, 2, 3)))
        return gradient_matching(
            first,
            train.images,
            train.labels,
            target_image=target,
            target_label=CLASS,
            epsilon=EPSILON,
            steps=STEPS,
            ensemble=others,
            generator=seeded(),
            progress=False,
        )

    return line("gradient matching, one target, surrogates included", wall_times({"ours": whole}, rounds=1), "ours")


# --- trainings from scratch: one after the other, or all in one batch ---


def together(build: Callable[[], nn.Module], train: ImageSet, runs: int) -> None:
    """One epoch of several networks at once, by `torch.func`: each has its own weights and its own order."""
    models = [build() for _ in range(runs)]
    parameters, _ = stack_module_state(models)
    buffers = dict(models[0].named_buffers())
    weights = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    optimizer = torch.optim.Adam(weights.values())

    def loss(own: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(models[0], {**own, **buffers}, (images,)), labels)

    orders = torch.stack([torch.randperm(len(train)) for _ in range(runs)])
    for start in range(0, len(train), 64):
        rows = orders[:, start : start + 64]
        optimizer.zero_grad()
        vmap(loss)(weights, train.images[rows], train.labels[rows]).sum().backward()
        optimizer.step()


def retrainings(train: ImageSet) -> list[Line]:
    builds: dict[str, Callable[[], nn.Module]] = {
        "SmallCNN": SmallCNN,
        "SmallCNN(width=4)": partial(SmallCNN, width=4),
        "MLP(32)": partial(MLP, 32),
    }
    some, lines = train.select(slice(1000)), []
    for name, build in builds.items():
        for runs in (5, 20):
            by = {
                "one after the other": partial(retrain, build, some, runs=runs, epochs=1, progress=False),
                "torch.func": partial(together, build, some, runs),
            }
            times = wall_times(by, rounds=5, warm_up=1)
            lines.append(line(f"{runs} trainings of {name}, an epoch of 1,000", times, "torch.func"))
    return lines


def main() -> None:
    train, test = mnist("train", source="default"), mnist("test", source="default")
    table = [brewing(train, test), one_target(train, test), *retrainings(train)]
    for row in table:
        print(row)
    print(write("poisoning", {"data": "mnist, default", "table": table}))


if __name__ == "__main__":
    on_any_console()
    main()
