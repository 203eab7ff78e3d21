"""Friendly adversarial data: PGD that stops soon after it has fooled the model, and when it may go further."""

import bisect
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tml_helpers.attacks.pgd import pgd
from tml_helpers.common import cross_entropies

STAGES = {  # the authors' epochs at which τ grows by one, as shares of their 120 and 85 epochs
    "friendly": (50 / 120, 90 / 120),
    "friendly_trades": (30 / 85, 50 / 85, 70 / 85),
}


def friendly_pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    steps: int = 10,
    step_size: float | None = None,
    random_start: bool = True,
    tau: int = 0,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropies,
    generator: torch.Generator | None = None,
) -> Tensor:
    """PGD-K-τ: xᵗ⁺¹ = Π(xᵗ + α · sign(∇ₓ L)) for K steps at most, while x was misclassified τ times at most.

    Args:
        model: maps images to logits `[N, K]`.
        images: `[N, C, H, W]` in [0, 1], where the model is.
        labels: `[N]`, int64.
        epsilon, norm: the ball, as of `attacks.pgd`.
        steps: K, 0 or more.
        step_size: α, 2.5 · ε / K unless given.
        random_start: start at a point of the ball, rather than at the image.
        tau: τ, 0 or more: 0 stops each image at its first success, K is plain PGD.
        loss: L, of logits and labels: one number for each image.
        generator: draws the start; on any device.

    Returns:
        Images of the same shape, just beyond the decision boundary rather than deep in another class. Warns where a
        gradient is zero.

    Raises:
        TypeError: images or labels of another type.
        ValueError: what PGD is not defined on.

    Source: Zhang et al., 2020, algorithm 1. Derived in: lectures/20_adversarial/defenses.
    """
    return pgd(
        model,
        images,
        labels,
        epsilon=epsilon,
        norm=norm,
        steps=steps,
        step_size=step_size,
        random_start=random_start,
        tau=tau,
        loss=loss,
        generator=generator,
    )


def tau_schedule(epoch: int, epochs: int, *, method: str = "friendly") -> int:
    """τ of an epoch: small while the network is weak, larger as it gets stronger.

    Args:
        epoch: counted from 0.
        epochs: of the whole training; the authors' numbers are scaled to it.
        method: `"friendly"`: 0 in the first 50 of 120 epochs, 1 up to the 90th, then 2. `"friendly_trades"`: 0, 1, 2,
            3, with changes after 30, 50 and 70 of 85 epochs.

    Returns:
        τ, from 0 to 3.

    Raises:
        ValueError: an unknown method, or an epoch that is not one of them.

    Source: Zhang et al., 2020. Derived in: lectures/20_adversarial/defenses.
    """
    if method not in STAGES:
        raise ValueError(f"method must be one of {', '.join(STAGES)}, got {method!r}")
    if not 0 <= epoch < epochs:
        raise ValueError(f"epoch must lie in 0…{epochs - 1}, got {epoch}")
    return bisect.bisect_right(STAGES[method], epoch / epochs)
