"""One perturbation for all images, also for those that it has never met."""

import functools
import math

import torch
from torch import Tensor, nn

from tml_helpers.attacks.aim import Aim
from tml_helpers.attacks.protocol import check_batch, check_step
from tml_helpers.common import (
    check_ball,
    check_counts,
    check_gradient,
    check_numbers,
    cross_entropies,
    differentiable,
    draw,
    norms,
    project,
    warn_of_masking,
)

CAP = 9.0  # of the loss, unless given


def universal_perturbation(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    epochs: int = 10,
    step_size: float | None = None,
    loss_cap: float | None = None,
    targets: Tensor | None = None,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
) -> Tensor:
    """argmax over ‖δ‖ ≤ ε of the mean of min(L(x + δ, y), cap), by stochastic gradient ascent: one δ for all images.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64, from which δ is made.
        labels: `[N]`, int64, class indices below K.
        epsilon: ε, the ball's radius: from 0 to 1 in `"linf"`, to √(C·H·W) in `"l2"`.
        norm: `"linf"`, where a step is α · sign(g) with the batch's gradient g, or `"l2"`, where it is α · g / ‖g‖.
        epochs: passes over the images, 0 or more.
        step_size: α, in the norm's unit; ε / 5 unless given.
        loss_cap: above 0, keeps one image that is badly wrong from deciding for all; 9 unless given. Not with targets.
        targets: `[N]`, int64, none of them the label: their loss is made small, uncapped; None for any other class.
        batch_size: images in a step, 1 or more.
        generator: shuffles the images; on any device.

    Returns:
        δ `[C, H, W]`, to be added as `(images + delta).clamp(0, 1)`. Warns where the first batch has zero gradients.

    Raises:
        TypeError, ValueError: what an attack is not defined on, as a cap with targets.

    Source: Moosavi-Dezfooli et al., 2017; in the stochastic-gradient form of Shafahi et al., 2020.
    Derived in: lectures/20_adversarial/other_threat_models
    """
    check_batch(model, images, labels, targets)
    check_ball(epsilon, norm, images)
    check_step(step_size=step_size)
    if loss_cap is not None:
        check_numbers(loss_cap=loss_cap)
    check_counts(0, epochs=epochs)
    check_counts(batch_size=batch_size)
    if loss_cap is not None and (targets is not None or not loss_cap > 0):
        raise ValueError(f"loss_cap must be above 0, and is of no use with targets, whose loss falls; got {loss_cap}")
    cap = math.inf if targets is not None else CAP if loss_cap is None else loss_cap
    aim = Aim(labels, targets, loss=lambda logits, classes: cross_entropies(logits, classes).clamp_max(cap))
    step_size = epsilon / 5 if step_size is None else step_size
    images, delta = images.detach(), torch.zeros_like(images[:1])

    def seen(chosen: Tensor, delta: Tensor) -> Tensor:
        """The logits of some images with the perturbation."""
        logits: Tensor = model((images[chosen] + delta).clamp(0, 1))
        return logits

    with differentiable(model):
        for epoch in range(epochs):
            order = draw(torch.randperm, len(images), device=images.device, generator=generator)
            for step, chosen in enumerate(order.split(batch_size)):
                first = epoch == step == 0
                _, gradient = aim.uphill(functools.partial(seen, chosen), delta, chosen, first=first)
                if first:
                    warn_of_masking(gradient)
                direction = gradient.sign() if norm == "linf" else gradient / norms(gradient, "l2").clamp_min(1e-12)
                delta = project(check_gradient(delta + step_size * direction), epsilon, norm)
    return delta[0]


def universal(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    epochs: int = 10,
    step_size: float | None = None,
    loss_cap: float | None = None,
    targets: Tensor | None = None,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
) -> Tensor:
    """clamp(x + δ, 0, 1) with the one δ that `universal_perturbation` makes from these images.

    Call `universal_perturbation` for δ itself, to be added to images that it has not seen.

    Args:
        model, images, labels, epsilon, norm, epochs, step_size: as of `universal_perturbation`.
        loss_cap, targets, batch_size, generator: as of `universal_perturbation`.

    Returns:
        Images of the same shape, in the ball and in [0, 1].

    Raises:
        TypeError, ValueError: as `universal_perturbation`.

    Source: Moosavi-Dezfooli et al., 2017. Derived in: lectures/20_adversarial/other_threat_models
    """
    delta = universal_perturbation(
        model,
        images,
        labels,
        epsilon=epsilon,
        norm=norm,
        epochs=epochs,
        step_size=step_size,
        loss_cap=loss_cap,
        targets=targets,
        batch_size=batch_size,
        generator=generator,
    )
    return (images.detach() + delta).clamp(0, 1)
