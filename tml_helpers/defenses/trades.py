"""TRADES: be right on the image, and say the same all around it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.attacks._common import attacked, check, check_logits, fooled, project
from tml_helpers.attacks.pgd import ascend, check_steps

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

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns a scalar, with a gradient through both f(x) and f(x').
    A larger `beta` buys robustness with accuracy. With `tau` the search for x' is the friendly one: an image rests
    once it has been found misclassified more than `tau` times. The other arguments are those of `attacks.pgd`.

    Raises TypeError or ValueError for what PGD is not defined on and for `beta` below 0.
    Source: Zhang et al., 2019; τ from Zhang et al., 2020. Derived in: lectures/20_adversarial/defenses.
    """
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
    check(model, images, labels, epsilon=epsilon, norm=norm)
    check_steps(steps, tau)
    images = images.detach()
    with attacked(model), torch.no_grad():
        natural = model(images)
    check_logits(natural, labels)
    noise = NEARBY * torch.empty_like(images).normal_(generator=generator)
    return ascend(
        model,
        images,
        (images + project(noise, epsilon, norm)).clamp(0, 1),
        objective=lambda logits, index: divergence(natural[index], logits),
        fallen=lambda logits, index: fooled(logits, labels[index], None),
        check_first=lambda logits: check_logits(logits, labels),
        step_size=2.5 * epsilon / max(steps, 1) if step_size is None else step_size,
        epsilon=epsilon,
        norm=norm,
        steps=steps,
        tau=tau,
    )
