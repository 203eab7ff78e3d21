"""DeepFool: step by step onto the nearest boundary of the linearised model."""

import torch
from torch import Tensor, nn

from tml_helpers.attacks.aim import Aim
from tml_helpers.attacks.protocol import check_batch
from tml_helpers.common import (
    check_ball,
    check_counts,
    check_gradient,
    check_numbers,
    differentiable,
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
    candidates: int | None = None,
    epsilon: float | None = None,
    targets: Tensor | None = None,
) -> Tensor:
    """r ← r + |z_k − z_y| / ‖w_k‖² · w_k until x + (1 + overshoot) · r is misclassified: short, not within a given ε.

    w_k is the gradient of z_k − z_y at the current point, and k the class whose linearised boundary is nearest. With
    targets each step leads to the boundary between the class that the model sees and the target.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode, and comes back as it went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        norm: `"l2"`, or `"linf"`, where a step is |z_k − z_y| / ‖w_k‖₁ · sign w_k.
        steps: 0 or more; an image takes no further step once it is misclassified.
        overshoot: 0 or more, as a share of r.
        candidates: how many classes k are tried, 1 or more: those that the model finds likeliest after y; 9 unless
            given. Not with targets.
        epsilon: longer perturbations are cut back to this ball; None leaves them.
        targets: `[N]`, int64, none of them the label; None for any other class.

    Returns:
        Images of the same shape, in [0, 1]. What is misclassified already stays as it is. Warns where a gradient is
        zero.

    Raises:
        TypeError, ValueError: what an attack is not defined on, as candidates with targets.

    Source: Moosavi-Dezfooli, Fawzi and Frossard, 2016. Derived in: lectures/20_adversarial/iterative_attacks
    """
    check_batch(model, images, labels, targets)
    check_ball(0.0 if epsilon is None else epsilon, norm, images)
    check_counts(0, steps=steps)
    if candidates is not None:
        check_counts(candidates=candidates)
        if targets is not None:
            raise ValueError("candidates are the classes that are tried where there are no targets: give one of them")
    check_numbers(overshoot=overshoot)
    if not overshoot >= 0:
        raise ValueError(f"overshoot must be 0 or more, got {overshoot}")
    images, aim = images.detach(), Aim(labels, targets)
    total = torch.zeros_like(images)  # r, without the overshoot
    standing = torch.arange(len(images), device=images.device)  # the images that are not misclassified yet
    with differentiable(model):
        for step in range(steps):
            leaf = overshot(images[standing], total[standing], overshoot).requires_grad_()
            logits = model(leaf.clone())
            if step == 0:
                aim.check(logits)
                others = logits.detach().scatter(1, labels[:, None], -torch.inf)
                rivals = others.topk(min(candidates or 9, logits.shape[1] - 1))[1]
            down = aim.reached(logits, standing)
            if down.any():  # once more for the rest: a forward pass costs less than gradients for all
                standing = standing[~down]
                if len(standing) == 0:
                    break
                leaf = leaf.detach()[~down].requires_grad_()
                logits = model(leaf.clone())
            if targets is None:
                here, there = labels[standing, None], rivals[standing]
            else:
                here, there = logits.argmax(dim=1, keepdim=True), targets[standing, None]
            gaps = (logits.gather(1, there) - logits.gather(1, here)).T  # [M, N]
            slopes = torch.stack([input_gradient(gap.sum(), leaf, again=True) for gap in gaps])  # [M, N, C, H, W]
            if step == 0:
                warn_of_masking(slopes.transpose(0, 1))
            total[standing] += shortest(gaps.detach(), slopes, norm)
    perturbed = overshot(images, total, overshoot)
    return check_gradient(perturbed if epsilon is None else images + project(perturbed - images, epsilon, norm))


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
