"""Adversarial examples that change few pixels, by as much as they like."""

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
    margin,
    norms,
    per_image,
    warn_of_masking,
)
from tml_helpers.attacks.transforms import uniform


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

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns images of the same shape that differ in at most `epsilon`
    pixels (a pixel is all its channels). `step_size` is α, half of C·H·W unless given: half a unit for a mean entry.
    The start is drawn from [0, 1] by `generator`; each image's best iterate is kept, since the path jumps.

    Raises TypeError or ValueError for what the attack is not defined on. Warns where a gradient is zero.
    Source: Croce and Hein, 2019 (PGD₀). Derived in: lectures/20_adversarial/other_threat_models.
    """
    check(model, images, labels, targets=targets)
    check_pixels(epsilon, images)
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, got {steps}")
    images = images.detach()
    aim, sign = (labels, 1.0) if targets is None else (targets, -1.0)
    step_size = sign * (images[0].numel() / 2 if step_size is None else step_size)
    drawn = uniform(0, 1, images, generator, *images.shape[1:])
    current = images + project_l0(drawn - images, images, epsilon)
    best, best_score = images.clone(), torch.full_like(images[:, 0, 0, 0], -torch.inf)
    with attacked(model):
        for step in range(steps + 1):
            leaf = current.detach().requires_grad_()
            logits = model(leaf)
            if step == 0:
                check_logits(logits.detach(), labels, targets)
            gradient = input_gradient(cross_entropy(logits, aim).sum(), leaf)
            if step == 0:
                warn_of_masking(gradient, ~fooled(logits, labels, targets))
            score = sign * margin(logits.detach(), aim)
            better = score > best_score
            best, best_score = torch.where(per_image(better), current, best), torch.where(better, score, best_score)
            direction = gradient / per_image(norms(gradient, "l1").clamp_min(1e-12))
            current = images + project_l0(check_finite(current + step_size * direction) - images, images, epsilon)
    return best.detach()


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
