"""Adversarial examples that survive a change of angle, light and focus: one for every picture that may be taken."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tml_helpers.attacks.aim import Aim
from tml_helpers.attacks.protocol import check_batch, check_step
from tml_helpers.attacks.transforms import Transformation, transformed
from tml_helpers.common import check_ball, check_counts, check_gradient, differentiable, warn_of_masking
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

    It starts at the image. N · samples images go through the model together.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        transformations: one or more, applied one after the other, each as `transform(images, generator)`, which draws
            for each image, keeps the shape and can be differentiated.
        epsilon: ε, the ball's radius: from 0 to 1 in `"linf"`, to √(C·H·W) in `"l2"`.
        norm: `"linf"`, or `"l2"`, where a step is α · g / ‖g‖.
        samples: how many draws the mean is over, made anew in each step, 1 or more.
        steps: 0 or more.
        step_size: α, in the norm's unit; 2.5 · ε / steps unless given.
        targets: `[N]`, int64, none of them the label; None for any other class.
        generator: of the transformations; on any device.

    Returns:
        Images of the same shape, not transformed, in the ball and in [0, 1]. Warns where a gradient is zero.

    Raises:
        TypeError, ValueError: what an attack is not defined on, as no transformation.

    Source: Athalye et al., 2018. Derived in: lectures/20_adversarial/other_threat_models
    """
    check_batch(model, images, labels, targets)
    check_ball(epsilon, norm, images)
    check_step(step_size=step_size)
    check_counts(samples=samples)
    check_counts(0, steps=steps)
    if not transformations or not all(callable(transform) for transform in transformations):
        raise TypeError("transformations must be a list of one or more functions transform(images, generator)")
    images = current = images.detach()
    aim = Aim(labels.repeat(samples), None if targets is None else targets.repeat(samples))
    step_size = 2.5 * epsilon / max(steps, 1) if step_size is None else step_size

    def seen(images: Tensor) -> Tensor:
        """The logits of all draws of all images, `[samples · N, K]`."""
        logits: Tensor = model(transformed(images.repeat(samples, 1, 1, 1), transformations, generator))
        return logits

    with differentiable(model):
        for step in range(steps):
            logits, gradient = aim.uphill(seen, current, first=step == 0)
            if step == 0:
                warn_of_masking(gradient, ~aim.reached(logits).view(samples, -1).all(dim=0))
            current = ball_step(current, images, gradient, step_size=step_size, epsilon=epsilon, norm=norm)
    return check_gradient(current.clone())
