"""The fast gradient sign method: one step as long as the ball allows."""

import torch
from torch import Tensor, nn

from tml_helpers.attacks._common import (
    attacked,
    check,
    check_finite,
    check_logits,
    cross_entropy,
    fooled,
    input_gradient,
    warn_of_masking,
)
from tml_helpers.kernels import ball_step


def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """x + ε · sign(∇ₓ L(x, y)), cut to [0, 1]: the largest step that a linear loss would want within the ball.

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns images of the same shape. With `norm="l2"` the step is
    ε · ∇L / ‖∇L‖. With `targets` `[N]` it descends the loss of the target. Nothing is drawn: `generator` is accepted
    as by every attack. Warns where a gradient is zero.

    Raises TypeError or ValueError for what the attack is not defined on, as ε outside [0, 1].
    Source: Goodfellow, Shlens and Szegedy, 2015. Derived in: lectures/20_adversarial/linear_explanation.
    """
    check(model, images, labels, targets=targets, epsilon=epsilon, norm=norm)
    aim, step_size = (labels, epsilon) if targets is None else (targets, -epsilon)
    with attacked(model):
        leaf = images.detach().clone().requires_grad_()
        logits = model(leaf)
        check_logits(logits.detach(), labels, targets)
        gradient = input_gradient(cross_entropy(logits, aim).sum(), leaf)
    warn_of_masking(gradient, ~fooled(logits, labels, targets))
    return check_finite(
        ball_step(images.detach(), images.detach(), gradient, step_size=step_size, epsilon=epsilon, norm=norm)
    )
