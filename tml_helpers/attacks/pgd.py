"""Projected gradient ascent: many small steps, each followed by the way back into the ball."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tml_helpers.attacks._common import (
    Loss,
    attacked,
    channels_last,
    check,
    check_finite,
    check_logits,
    cross_entropy,
    fooled,
    input_gradient,
    warn_of_masking,
)
from tml_helpers.attacks._common import random_start as a_random_start
from tml_helpers.kernels import ball_step


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    steps: int = 40,
    step_size: float | None = None,
    random_start: bool = True,
    tau: int | None = None,
    loss: Loss = cross_entropy,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """xᵗ⁺¹ = Π(xᵗ + α · sign(∇ₓ L(xᵗ, y))), where Π leads back into the ball of radius ε and into [0, 1].

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns images of the same shape. `norm` is `"linf"` or `"l2"`
    (whose step is α · ∇L / ‖∇L‖). `step_size` is α, 2.5 · ε / steps unless given. The start is drawn from the ball by
    `generator`, or is the image itself. `loss(logits, labels)` gives a number for each image. With `targets` the loss
    of the target is made small. With `tau`, an image rests once it has been found misclassified more than `tau` times:
    `tau=0` stops each at its first success, and the batch shrinks; None always makes all steps. A network rounds
    differently in smaller batches, and with `tau` the memory layout is the faster one too: only None repeats another
    library's PGD to the last digit.

    Raises TypeError or ValueError for what the attack is not defined on. Warns where a gradient is zero.
    Source: Madry et al., 2018; τ from Zhang et al., 2020. Derived in: lectures/20_adversarial/iterative_attacks.
    """
    check(model, images, labels, targets=targets, epsilon=epsilon, norm=norm)
    check_steps(steps, tau)
    images = images.detach()
    aim, sign = (labels, 1.0) if targets is None else (targets, -1.0)
    return ascend(
        model,
        images,
        a_random_start(images, epsilon, norm, generator) if random_start else images.clone(),
        objective=lambda logits, index: loss(logits, aim[index]),
        fallen=lambda logits, index: fooled(logits, labels[index], None if targets is None else targets[index]),
        check_first=lambda logits: check_logits(logits, labels, targets),
        step_size=sign * (2.5 * epsilon / max(steps, 1) if step_size is None else step_size),
        epsilon=epsilon,
        norm=norm,
        steps=steps,
        tau=tau,
    )


def check_steps(steps: int, tau: int | None) -> None:
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, got {steps}")
    if tau is not None and tau < 0:
        raise ValueError(f"tau must be None (make all steps) or 0 or more, got {tau}")


def ascend(
    model: nn.Module,
    images: Tensor,
    start: Tensor,
    *,
    objective: Callable[[Tensor, Tensor], Tensor],
    fallen: Callable[[Tensor, Tensor], Tensor],
    check_first: Callable[[Tensor], None],
    step_size: float,
    epsilon: float,
    norm: str,
    steps: int,
    tau: int | None,
) -> Tensor:
    """The loop of PGD and of friendly training: `objective` and `fallen` get logits and the indices of their images."""
    result = start.clone()
    index = torch.arange(len(images), device=images.device)
    patience = torch.full_like(index, steps if tau is None else tau)
    current, origin = start, images
    with attacked(model):
        for step in range(steps):
            leaf = (current if tau is None else channels_last(current)).detach().requires_grad_()
            logits = model(leaf)
            if step == 0:
                check_first(logits.detach())
            gradient = input_gradient(objective(logits, index).sum(), leaf)
            logits = logits.detach()
            if step == 0:
                warn_of_masking(gradient, ~fallen(logits, index))
            if tau is not None:
                down = fallen(logits, index)
                rest = down & (patience == 0)
                patience = patience - down.long()
                if rest.any():
                    result[index[rest]] = current[rest]
                    moving = (~rest).nonzero().squeeze(1)
                    current, origin, gradient, index, patience = (
                        tensor[moving] for tensor in (current, origin, gradient, index, patience)
                    )
                if len(index) == 0:
                    return check_finite(result)
            current = ball_step(current, origin, gradient, step_size=step_size, epsilon=epsilon, norm=norm)
    result[index] = current
    return check_finite(result)
