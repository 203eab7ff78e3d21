"""Adversarial examples that change few pixels, by as much as they like."""

import torch
from torch import Tensor, nn

from tml_helpers.attacks.aim import Aim
from tml_helpers.attacks.protocol import check_batch, check_step
from tml_helpers.common import check_counts, check_gradient, differentiable, norms, per_image, uniform, warn_of_masking


def sparse_l0(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: int,
    steps: int = 40,
    step_size: float | None = None,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """xᵗ⁺¹ = x + Π(xᵗ + α · ∇L / ‖∇L‖₁ − x), where Π is `project_l0`: the ε pixels that matter most, the rest at zero.

    The start is drawn from [0, 1]. Each image's best iterate is kept, since the path jumps.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        epsilon: ε, how many pixels may change, from 0 to H·W; a pixel is all its channels.
        steps: 0 or more.
        step_size: α, in units of a pixel's value; half of C·H·W unless given: half a unit for a mean entry.
        targets: `[N]`, int64, none of them the label; None for any other class.
        generator: of the start; on any device.

    Returns:
        Images of the same shape, in [0, 1], that differ in at most ε pixels. Warns where a gradient is zero.

    Raises:
        TypeError, ValueError: what an attack is not defined on, as an ε that is no whole number.

    Source: Croce and Hein, 2019 (PGD₀). Derived in: lectures/20_adversarial/other_threat_models
    """
    check_batch(model, images, labels, targets)
    check_pixels(epsilon, images)
    check_step(step_size=step_size)
    check_counts(0, steps=steps)
    images, aim = images.detach(), Aim(labels, targets)
    step_size = images[0].numel() / 2 if step_size is None else step_size
    drawn = uniform(0, 1, images, generator, *images.shape[1:])
    current = images + project_l0(drawn - images, images, epsilon)
    best, best_lead = images.clone(), torch.full_like(images[:, 0, 0, 0], -torch.inf)
    with differentiable(model):
        for step in range(steps + 1):
            logits, gradient = aim.uphill(model, current, first=step == 0)
            if step == 0:
                warn_of_masking(gradient, ~aim.reached(logits))
            lead = aim.lead(logits)
            better = lead > best_lead
            best, best_lead = torch.where(per_image(better), current, best), torch.where(better, lead, best_lead)
            direction = gradient / per_image(norms(gradient, "l1").clamp_min(1e-12))
            current = images + project_l0(check_gradient(current + step_size * direction) - images, images, epsilon)
    return best


def project_l0(delta: Tensor, images: Tensor, pixels: int) -> Tensor:
    """The nearest perturbation, in L2, that keeps images + delta in [0, 1] and is zero but for `pixels` pixels.

    A pixel that is kept costs the distance to the box, one that is dropped its whole length: the largest savings stay.
    """
    boxed = (images + delta).clamp(0, 1) - images
    saved = (delta.square() - (delta - boxed).square()).sum(dim=1).flatten(1)  # (N, H·W)
    kept = torch.zeros_like(saved).scatter(1, saved.topk(pixels, dim=1).indices, 1.0)
    return boxed * kept.view(len(images), 1, *images.shape[2:])


def check_pixels(epsilon: int, images: Tensor) -> None:
    most = images[0, 0].numel()
    if isinstance(epsilon, bool) or not isinstance(epsilon, int):
        raise TypeError(f"epsilon must be a whole number of pixels, got {epsilon!r}")
    if not 0 <= epsilon <= most:
        raise ValueError(f"epsilon must be a number of pixels from 0 to {most}, got {epsilon}")
