"""TRADES: be right on the image, and say the same all around it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.attacks import ascend
from tml_helpers.attacks.protocol import check_step
from tml_helpers.common import (
    check_ball,
    check_counts,
    check_images,
    check_labels,
    check_logits,
    check_numbers,
    draw,
    evaluating,
    fooled,
    project,
)

NEARBY = 1e-3  # standard deviation of the start: at the image itself the divergence is smallest and has no gradient


def trades_loss(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    beta: float = 6.0,
    steps: int = 10,
    step_size: float | None = None,
    tau: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """CE(y, f(x)) + β · KL(f(x) ‖ f(x')), where x' is the point of the ball at which the model disagrees most.

    Args:
        model: f, maps images to logits `[N, K]`.
        images: x, `[N, C, H, W]` in [0, 1], where the model is.
        labels: y, `[N]`, int64.
        epsilon, norm: the ball, as of `attacks.pgd`.
        beta: β, 0 or more; a larger one trades accuracy for robustness.
        steps, step_size: of the search for x', as of `attacks.pgd`.
        tau: τ, 0 or more: an image rests once it has been found misclassified more than τ times; None makes all steps.
        generator: draws the start, x and a little noise; on any device.

    Returns:
        A scalar, with a gradient through both f(x) and f(x').

    Raises:
        TypeError: images or labels of another type.
        ValueError: what PGD is not defined on, or `beta` below 0.

    Source: Zhang et al., 2019; τ from Zhang et al., 2020. Derived in: lectures/20_adversarial/defenses.
    """
    check_numbers(beta=beta)
    if not beta >= 0:
        raise ValueError(f"beta must be 0 or more, got {beta}")
    away = most_divergent(
        model,
        images,
        labels,
        epsilon=epsilon,
        norm=norm,
        steps=steps,
        step_size=step_size,
        tau=tau,
        generator=generator,
    )
    logits = model(images)
    return F.cross_entropy(logits, labels) + beta * divergence(logits, model(away)).mean()


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """KL(softmax(logits) ‖ softmax(others)) of each row, `[N]`: zero where both say the same."""
    each = F.kl_div(F.log_softmax(others, dim=1), F.log_softmax(logits, dim=1), reduction="none", log_target=True)
    return each.sum(dim=1)


def most_divergent(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str,
    steps: int,
    step_size: float | None,
    tau: int | None,
    generator: torch.Generator | None,
) -> Tensor:
    """PGD on KL(f(x) ‖ f(x')), from x plus a little noise; the labels only say when a friendly search rests."""
    check_images(model, images)
    check_labels("labels", labels, images)
    check_ball(epsilon, norm, images)
    check_step(step_size=step_size)
    check_counts(0, steps=steps, tau=tau or 0)
    images = images.detach()
    with evaluating(model), torch.no_grad():
        natural = model(images)
    check_logits(natural, labels=labels)
    noise = NEARBY * draw(torch.randn, images.shape, device=images.device, generator=generator, dtype=images.dtype)
    return ascend(
        model,
        images,
        start=(images + project(noise, epsilon, norm)).clamp(0, 1),
        objective=lambda logits, index: divergence(natural[index], logits),
        reached=lambda logits, index: fooled(logits, labels[index]),
        check_first=lambda logits: check_logits(logits, labels=labels),
        step_size=2.5 * epsilon / max(steps, 1) if step_size is None else step_size,
        epsilon=epsilon,
        norm=norm,
        steps=steps,
        tau=tau,
    )
