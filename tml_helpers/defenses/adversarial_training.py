"""Adversarial training: learn from the images that an attacker would show."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import trange

from tml_helpers.attacks.fgsm import fgsm
from tml_helpers.attacks.pgd import pgd
from tml_helpers.common import check_absent, check_counts, check_network, check_numbers, offspring, own_generator
from tml_helpers.defenses.friendly import friendly_pgd, tau_schedule
from tml_helpers.defenses.trades import trades_loss
from tml_helpers.training import cross_entropy, fit, own_optimizer


def fgsm_loss(
    model: nn.Module, images: Tensor, labels: Tensor, *, alpha: float, generator: torch.Generator, **attack: Any
) -> Tensor:
    """α · L(x) + (1 − α) · L(x + ε · sign ∇ₓL(x)): Goodfellow's mixture, in which nothing is drawn."""
    check_numbers(alpha=alpha)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha, the weight of the clean images, must lie in [0, 1], got {alpha}")
    adversarial = fgsm(model, images, labels, **attack)
    return alpha * cross_entropy(model, images, labels) + (1 - alpha) * cross_entropy(model, adversarial, labels)


def madry_loss(model: nn.Module, images: Tensor, labels: Tensor, **attack: Any) -> Tensor:
    """L at the worst point that PGD finds: Madry's inner maximum."""
    return cross_entropy(model, pgd(model, images, labels, **attack), labels)


def friendly_loss(model: nn.Module, images: Tensor, labels: Tensor, **attack: Any) -> Tensor:
    """L where PGD rests once it has fooled the model more than τ times."""
    return cross_entropy(model, friendly_pgd(model, images, labels, **attack), labels)


SEARCH: dict[str, float | None] = {"steps": 10, "step_size": None}
# What each method minimises, and the numbers that it takes unless others are given; None for τ is the schedule.
METHODS: dict[str, tuple[Callable[..., Tensor], dict[str, float | None]]] = {
    "fgsm": (fgsm_loss, {"alpha": 0.5}),
    "madry": (madry_loss, SEARCH),
    "friendly": (friendly_loss, {**SEARCH, "tau": None}),
    "trades": (trades_loss, {**SEARCH, "beta": 6.0}),
    "friendly_trades": (trades_loss, {**SEARCH, "beta": 6.0, "tau": None}),
}


def adversarial_training(
    model: nn.Module,
    data: Dataset[Any] | DataLoader[Any],
    *,
    epochs: int,
    epsilon: float,
    method: str = "madry",
    norm: str = "linf",
    steps: int | None = None,
    step_size: float | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    tau: int | None = None,
    warm_up: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
    learning_rate: float | None = None,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> list[float]:
    """min over θ of the mean of max over ‖x' − x‖ ≤ ε of L(f(x'), y): train on attacks.

    Args:
        model: f, maps images to logits `[N, K]`; it is trained.
        data: yields images `[N, C, H, W]` in [0, 1] and labels `[N]`.
        epochs: 0 or more.
        epsilon: ε, the ball's radius, as of `attacks.pgd`.
        method: what stands for the inner maximum. `"fgsm"`: α · L(x) + (1 − α) · L(x_fgsm). `"madry"`: L at the end of
            PGD. `"friendly"`: L where PGD rests under τ. `"trades"`: L(x) + β · KL(f(x) ‖ f(x')). `"friendly_trades"`:
            the same with τ.
        norm: the ball's, as of `attacks.pgd`.
        steps, step_size: as of `attacks.pgd`, 10 steps unless given; for all methods but `"fgsm"`.
        alpha: α, from 0 to 1, ½ unless given; for `"fgsm"`.
        beta: β, 0 or more, 6 unless given; for `"trades"` and `"friendly_trades"`.
        tau: τ, 0 or more; `tau_schedule` unless given; for `"friendly"` and `"friendly_trades"`.
        warm_up: in so many epochs ε rises in equal stairs: a network that meets a large ε at once may give one answer
            to all images and stay so.
        optimizer, learning_rate, batch_size: as of `training.fit`.
        generator: shuffles, and draws the attacks' starts; on any device.
        checkpoint, progress: as of `training.fit`.

    Returns:
        The mean loss of each epoch.

    Raises:
        TypeError: a number of another type, or images and labels of one.
        ValueError: an unknown method, a number that its method does not take, or what the attacks are not defined on.

    Source: Goodfellow et al., 2015; Madry et al., 2018; Zhang et al., 2019; Zhang et al., 2020.
    Derived in: lectures/20_adversarial/defenses.
    """
    check_network(model)
    check_numbers(epsilon=epsilon)
    check_counts(0, epochs=epochs, warm_up=warm_up)
    minimised = loss_of(method, {"steps": steps, "step_size": step_size, "alpha": alpha, "beta": beta, "tau": tau})
    scheduled = "friendly" in method and tau is None
    optimizer = own_optimizer(model, optimizer=optimizer, learning_rate=learning_rate)
    generator = own_generator(generator)
    history: list[float] = []
    for epoch in trange(epochs, desc="epochs", disable=None if progress is None else not progress):
        now: dict[str, Any] = {"epsilon": epsilon * min(1.0, (epoch + 1) / (warm_up + 1)), "norm": norm}
        if scheduled:
            now["tau"] = tau_schedule(epoch, epochs, method=method)
        trained = fit(
            model,
            data,
            epochs=epoch + 1 if checkpoint else 1,  # a checkpoint knows of the epochs before
            loss=partial(drawing, loss=partial(minimised, **now), generator=generator),
            optimizer=optimizer,
            batch_size=batch_size,
            generator=generator,
            checkpoint=checkpoint,
            progress=False,
        )
        history = trained if checkpoint else history + trained
    return history


def loss_of(method: str, given: dict[str, float | None]) -> Callable[..., Tensor]:
    """What a method minimises, with the numbers that were given; one that does not belong to it is refused."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    loss, defaults = METHODS[method]
    check_absent(f"method is {method!r}", **{name: given[name] for name in given.keys() - defaults.keys()})
    return partial(loss, **defaults | {name: value for name, value in given.items() if value is not None})


def drawing(
    model: nn.Module, images: Tensor, labels: Tensor, *, loss: Callable[..., Tensor], generator: torch.Generator
) -> Tensor:
    """The loss of a batch, with draws made on the images' device; one generator, and one state in a checkpoint, decides
    on them and on the order of the batches."""
    return loss(model, images, labels, generator=offspring(generator, images.device))
