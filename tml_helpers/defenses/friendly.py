"""Friendly adversarial data: PGD that stops soon after it has fooled the model, and when it may go further."""

import bisect

import torch
from torch import Tensor, nn

from tml_helpers.attacks._common import Loss, cross_entropy
from tml_helpers.attacks.pgd import pgd

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
    loss: Loss = cross_entropy,
    generator: torch.Generator | None = None,
) -> Tensor:
    """PGD-K-τ: xᵗ⁺¹ = Π(xᵗ + α · sign(∇ₓ L)) for K steps at most, while x was misclassified τ times at most.

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns images of the same shape, just beyond the decision
    boundary rather than deep in another class. `tau=0` stops each image at its first success; with `tau=steps` it is
    plain PGD. The other arguments are those of `attacks.pgd`; `step_size` is α, 2.5 · ε / steps unless given.

    Raises TypeError or ValueError for what PGD is not defined on. Warns where a gradient is zero.
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
    """τ of an epoch, counted from 0: the network learns to crawl before it is pushed.

    For `method="friendly"` τ is 0 in the first 50 of 120 epochs, 1 up to the 90th, then 2; for `"friendly_trades"` it
    is 0, 1, 2, 3 with changes after 30, 50 and 70 of 85 epochs. Other numbers of epochs are scaled.

    Raises ValueError for an unknown method or an epoch that is not one of them.
    Source: Zhang et al., 2020. Derived in: lectures/20_adversarial/defenses.
    """
    if method not in STAGES:
        raise ValueError(f"method must be one of {', '.join(STAGES)}, got {method!r}")
    if not 0 <= epoch < epochs:
        raise ValueError(f"epoch must lie in 0…{epochs - 1}, got {epoch}")
    return bisect.bisect_right(STAGES[method], epoch / epochs)
