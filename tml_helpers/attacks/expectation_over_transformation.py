"""Adversarial examples that survive a change of angle, light and focus: one for every picture that may be taken."""

from collections.abc import Sequence

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
from tml_helpers.attacks.transforms import Transformation, transformed
from tml_helpers.kernels import ball_step


def expectation_over_transformation(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    transformations: Sequence[Transformation],
    epsilon: float,
    norm: str = "linf",
    samples: int = 10,
    steps: int = 40,
    step_size: float | None = None,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """xᵗ⁺¹ = Π(xᵗ + α · sign(E_t[∇ₓ L(t(xᵗ), y)])): PGD on the loss that is expected over random transformations t.

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns images of the same shape, not transformed, within ε.
    `transformations` are applied one after the other, each as `transform(images, generator)`, which draws for each
    image and can be differentiated. The expectation is a mean over `samples` draws, made anew in each of `steps`
    steps; N · samples images go through the model together. `norm` is `"linf"` or `"l2"` (whose step is
    α · g / ‖g‖); `step_size` is α, 2.5 · ε / steps unless given. It starts at the image.

    Raises TypeError or ValueError for what the attack is not defined on. Warns where a gradient is zero.
    Source: Athalye et al., 2018. Derived in: lectures/20_adversarial/other_threat_models.
    """
    check(model, images, labels, targets=targets, epsilon=epsilon, norm=norm)
    if samples < 1 or steps < 0:
        raise ValueError(f"samples must be 1 or more and steps 0 or more, got {samples} and {steps}")
    if not transformations or not all(callable(transform) for transform in transformations):
        raise TypeError("transformations must be a list of one or more functions transform(images, generator)")
    images = images.detach()
    aim, sign = (labels, 1.0) if targets is None else (targets, -1.0)
    step_size = sign * (2.5 * epsilon / max(steps, 1) if step_size is None else step_size)
    current = images.clone()
    with attacked(model):
        for step in range(steps):
            leaf = current.detach().requires_grad_()
            logits = model(transformed(leaf.repeat(samples, 1, 1, 1), transformations, generator))
            if step == 0:
                check_logits(logits.detach(), labels, targets)
            gradient = input_gradient(cross_entropy(logits, aim.repeat(samples)).sum(), leaf)
            if step == 0:
                repeated = labels.repeat(samples), None if targets is None else targets.repeat(samples)
                warn_of_masking(gradient, ~fooled(logits, *repeated).view(samples, -1).all(dim=0))
            current = ball_step(current, images, gradient, step_size=step_size, epsilon=epsilon, norm=norm)
    return check_finite(current)
