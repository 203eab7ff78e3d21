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
from tml_helpers.defenses.friendly import friendly_pgd, tau_schedule
from tml_helpers.defenses.trades import trades_loss
from tml_helpers.training import cross_entropy, fit


def adversarial_training(
    model: nn.Module,
    data: Dataset[Any] | DataLoader[Any],
    *,
    epochs: int,
    epsilon: float,
    method: str = "madry",
    norm: str = "linf",
    steps: int = 10,
    step_size: float | None = None,
    alpha: float = 0.5,
    beta: float = 6.0,
    tau: int | None = None,
    warm_up: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> list[float]:
    """min over θ of the mean of max over ‖x' − x‖ ≤ ε of L(f(x'), y): train on attacks; returns each epoch's mean loss.

    `method` says what stands for the inner maximum: `"fgsm"`, α · L(x) + (1 − α) · L(x_fgsm); `"madry"`, L at the end
    of PGD; `"friendly"`, L where PGD rests under τ; `"trades"`, L(x) + β · KL(f(x) ‖ f(x')); `"friendly_trades"`, the
    same with τ. `steps`, `step_size` and `norm` are those of `attacks.pgd`; τ follows `tau_schedule` unless given. In
    the first `warm_up` epochs ε rises in equal stairs: a network that meets a large ε at once may give one answer to
    all images and stay so. `data` yields images and labels; the other arguments are those of `training.fit`.

    Raises TypeError or ValueError for an unknown method and for what the attacks are not defined on.
    Source: Goodfellow et al., 2015; Madry et al., 2018; Zhang et al., 2019; Zhang et al., 2020.
    Derived in: lectures/20_adversarial/defenses.
    """
    search: dict[str, Any] = {"steps": steps, "step_size": step_size}
    losses: dict[str, Callable[..., Tensor]] = {
        "fgsm": partial(fgsm_loss, alpha=alpha),
        "madry": partial(madry_loss, **search),
        "friendly": partial(friendly_loss, **search),
        "trades": partial(trades_loss, beta=beta, **search),
        "friendly_trades": partial(trades_loss, beta=beta, **search),
    }
    if method not in losses:
        raise ValueError(f"method must be one of {', '.join(losses)}, got {method!r}")
    if epochs < 0 or warm_up < 0:
        raise ValueError(f"epochs and warm_up must be 0 or more, got {epochs} and {warm_up}")
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=learning_rate)
    generator = generator or torch.Generator().manual_seed(torch.initial_seed() % 2**63)
    history: list[float] = []
    for epoch in trange(epochs, desc="epochs", disable=None if progress is None else not progress):
        now: dict[str, Any] = {"epsilon": epsilon * min(1.0, (epoch + 1) / (warm_up + 1)), "norm": norm}
        if "friendly" in method:
            now["tau"] = tau_schedule(epoch, epochs, method=method) if tau is None else tau
        trained = fit(
            model,
            data,
            epochs=epoch + 1 if checkpoint else 1,  # a checkpoint knows of the epochs before
            loss=partial(seeded, loss=partial(losses[method], **now), generator=generator),
            optimizer=optimizer,
            batch_size=batch_size,
            generator=generator,
            checkpoint=checkpoint,
            progress=False,
        )
        history = trained if checkpoint else history + trained
    return history


def seeded(
    model: nn.Module, images: Tensor, labels: Tensor, *, loss: Callable[..., Tensor], generator: torch.Generator
) -> Tensor:
    """The loss of a batch with a generator on the images' device, seeded by a draw from the one that also shuffles:
    one seed, and one state in a checkpoint, decides on everything."""
    seed = int(torch.randint(2**31, (), generator=generator))
    return loss(model, images, labels, generator=torch.Generator(images.device).manual_seed(seed))


def fgsm_loss(model: nn.Module, images: Tensor, labels: Tensor, *, alpha: float, **attack: Any) -> Tensor:
    """α · L(x) + (1 − α) · L(x + ε · sign ∇ₓL(x)): Goodfellow's mixture."""
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
