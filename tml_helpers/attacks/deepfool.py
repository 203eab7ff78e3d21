"""DeepFool: step by step onto the nearest boundary of the linearised model."""

import torch
from torch import Tensor, nn

from tml_helpers.attacks._common import (
    attacked,
    check,
    check_finite,
    check_logits,
    fooled,
    input_gradient,
    per_image,
    project,
    warn_of_masking,
)

NUDGE = 1e-4  # added to each step's length, as the authors do: a step that ends on the boundary has not crossed it
TINY = 1e-12  # the length of a gradient of zeros: it moves nothing
DUAL = {"l2": 2.0, "linf": 1.0}  # the norm that measures a gradient, for steps that are measured by the other


def deepfool(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    norm: str = "l2",
    steps: int = 50,
    overshoot: float = 0.02,
    candidates: int = 9,
    epsilon: float | None = None,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """r ← r + |z_k − z_y| / ‖w_k‖² · w_k until x + (1 + overshoot) · r is misclassified: short, not within a given ε.

    w_k is the gradient of z_k − z_y at the current point, and k the class whose linearised boundary is nearest, among
    the `candidates` that the model finds likeliest after y. `norm` is `"l2"` or `"linf"` (whose step is
    |z_k − z_y| / ‖w_k‖₁ · sign w_k). With `targets` each step leads to the boundary between the class that the model
    sees and the target. `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns images of the same shape. What is
    misclassified already stays as it is. With `epsilon`, longer perturbations are cut back to the ball. Nothing is
    drawn: `generator` is accepted as by every attack.

    Raises TypeError or ValueError for what the attack is not defined on. Warns where a gradient is zero.
    Source: Moosavi-Dezfooli, Fawzi and Frossard, 2016. Derived in: lectures/20_adversarial/iterative_attacks.
    """
    check(model, images, labels, targets=targets, epsilon=epsilon, norm=norm)
    if steps < 0 or candidates < 1 or not overshoot >= 0:
        raise ValueError(
            "steps and overshoot must be 0 or more and candidates 1 or more, "
            f"got steps={steps}, overshoot={overshoot}, candidates={candidates}"
        )
    images = images.detach()
    total = torch.zeros_like(images)  # r, without the overshoot
    standing = torch.arange(len(images), device=images.device)  # the images that are not misclassified yet
    with attacked(model):
        for step in range(steps):
            leaf = overshot(images[standing], total[standing], overshoot).requires_grad_()
            logits = model(leaf)
            if step == 0:
                check_logits(logits.detach(), labels, targets)
                rivals = logits.scatter(1, labels[:, None], -torch.inf).topk(min(candidates, logits.shape[1] - 1))[1]
            down = fooled(logits, labels[standing], None if targets is None else targets[standing])
            if down.any():  # once more for the rest: a forward pass costs less than the gradients of the fallen
                standing = standing[~down]
                if len(standing) == 0:
                    break
                leaf = leaf.detach()[~down].requires_grad_()
                logits = model(leaf)
            if targets is None:
                here, there = labels[standing, None], rivals[standing]
            else:
                here, there = logits.argmax(dim=1, keepdim=True), targets[standing, None]
            gaps = (logits.gather(1, there) - logits.gather(1, here)).T  # [M, N]
            slopes = torch.stack([input_gradient(gap.sum(), leaf, again=True) for gap in gaps])  # [M, N, C, H, W]
            if step == 0:
                warn_of_masking(slopes.transpose(0, 1), torch.ones_like(standing, dtype=torch.bool))
            total[standing] += shortest(gaps.detach(), slopes, norm)
    perturbed = overshot(images, total, overshoot)
    return check_finite(perturbed if epsilon is None else images + project(perturbed - images, epsilon, norm))


def overshot(images: Tensor, total: Tensor, overshoot: float) -> Tensor:
    return (images + (1 + overshoot) * total).clamp(0, 1)


def shortest(gaps: Tensor, slopes: Tensor, norm: str) -> Tensor:
    """The step `[N, C, H, W]` onto the nearest of the hyperplanes gap + ⟨slope, step⟩ = 0 of each image."""
    lengths = torch.linalg.vector_norm(slopes.flatten(2), DUAL[norm], dim=2).clamp_min(TINY)  # [M, N]
    distances, nearest = (gaps.abs() / lengths).min(dim=0)
    image = torch.arange(len(nearest), device=nearest.device)
    slope, length = slopes[nearest, image], lengths[nearest, image]
    direction = slope / per_image(length) if norm == "l2" else slope.sign()
    return per_image(distances + NUDGE) * direction
