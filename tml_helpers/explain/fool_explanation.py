"""Change an image a little, so that its explanation changes at will and its answer does not."""

import torch
from torch import Tensor, nn

from tml_helpers.common import check_ball, check_counts, check_gradient, differentiable, input_gradient
from tml_helpers.explain._common import check_explainable, check_home, scores, warn_of_no_gradient

MOMENTUM = 0.9


def fool_explanation(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    wanted: Tensor,
    epsilon: float = 8 / 255,
    steps: int = 100,
    step_size: float | None = None,
    keep: float = 1.0,
) -> Tensor:
    """min over ‖x' − x‖∞ ≤ ε of ‖h(x') − ĥ‖² / ‖h(x) − ĥ‖² + keep · mean (z(x') − z(x))² / var z(x).

    h is the saliency map Σ_c |∂z_t / ∂x|, scaled to the sum 1, and ĥ is `wanted`, scaled alike. The slope of h is H v,
    with the Hessian H of z_t and v = ∂loss / ∂(∂z_t / ∂x). It is measured as a difference of the gradients at x' ± r v,
    where r v is at most ε / 2 large: over such a distance even a network of ReLUs is bent, whose second derivative is 0
    almost everywhere, and it needs no smooth stand-in.

    Args:
        model, images, targets: as of `saliency`.
        wanted: the explanation that is to come out, `[N, H, W]`, finite, 0 or more, not 0 everywhere.
        epsilon: ε, the ball's radius in L∞, from 0 to 1.
        steps: 1 or more; each goes along the signs of the averaged slope.
        step_size: of the first step, above 0, in the unit of the pixels; the later ones are ever smaller. ε / 10 unless
            given.
        keep: how much it counts that the logits stay, 0 or more.

    Returns:
        `[N, C, H, W]` in [0, 1] and in the ball. An image whose gradient is zero, so that it has no explanation that
        could be changed, comes back as it is, with a `GradientMaskingWarning`.

    Raises:
        TypeError: another kind, type or device.
        ValueError: as of `saliency`, a map that cannot be wanted, or a number out of its range.

    Source: Dombrowski et al., 2019, who swap ReLU for softplus and differentiate twice.
    Derived in: lectures/40_interpretability/when_explanations_lie
    """
    check_explainable(model, images, targets)
    check_counts(steps=steps)
    _check_wanted(wanted, images)
    check_ball(epsilon, "linf", images)
    if step_size is not None and not step_size > 0:
        raise ValueError(f"step_size must be above 0, or None for epsilon / 10, got {step_size}")
    if not keep >= 0:
        raise ValueError(f"keep must be 0 or more, got {keep}")
    images = images.detach()
    if epsilon == 0:
        return images.clone()
    goal = _to_sum_one(wanted.detach().to(images))
    size = epsilon / 10 if step_size is None else step_size
    delta, direction = torch.zeros_like(images), torch.zeros_like(images)
    with differentiable(model):
        _, logits, gradient = _logits_and_gradient(model, images, targets)
        warn_of_no_gradient(gradient)
        answer, spread = logits.detach(), logits.detach().var(dim=1).clamp_min(1e-12)
        distance = (_explanation(gradient) - goal).square().sum(dim=(1, 2)).clamp_min(1e-30)
        for step in range(steps):
            leaf, logits, gradient = _logits_and_gradient(model, images + delta, targets)
            drift = (logits - answer).square().mean(dim=1) / spread
            slope = input_gradient(keep * drift.sum(), leaf)
            gradient.requires_grad_()
            away = (_explanation(gradient) - goal).square().sum(dim=(1, 2)) / distance
            (v,) = torch.autograd.grad(away.sum(), gradient)
            slope = slope + _hessian_times(v, model, images + delta, targets, reach=epsilon / 2)
            direction = MOMENTUM * direction + slope / slope.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-30)
            delta = (delta - size * (1 - step / steps) * direction.sign()).clamp(-epsilon, epsilon)
            delta = (images + delta).clamp(0, 1) - images
    return (images + delta).clamp(0, 1)


def _logits_and_gradient(model: nn.Module, points: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The points as a leaf, the logits with their graph, and ∂z_t / ∂x without one."""
    leaf = points.detach().requires_grad_()
    logits = model(leaf.clone())
    return leaf, logits, check_gradient(input_gradient(scores(logits, targets).sum(), leaf, again=True))


def _hessian_times(v: Tensor, model: nn.Module, points: Tensor, targets: Tensor, *, reach: float) -> Tensor:
    """H v ≈ (∇z_t(x + r v) − ∇z_t(x − r v)) / 2r, with r so that the pixel that moves most moves by `reach`."""
    r = reach / v.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-30)
    _, _, above = _logits_and_gradient(model, points + r * v, targets)
    _, _, below = _logits_and_gradient(model, points - r * v, targets)
    return (above - below) / (2 * r)


def _explanation(gradient: Tensor) -> Tensor:
    return _to_sum_one(gradient.abs().sum(dim=1))


def _to_sum_one(maps: Tensor) -> Tensor:
    return maps / maps.sum(dim=(1, 2), keepdim=True).clamp_min(1e-30)


def _check_wanted(wanted: Tensor, images: Tensor) -> None:
    n, _, h, w = images.shape
    if not isinstance(wanted, Tensor) or wanted.shape != (n, h, w):
        got = list(wanted.shape) if isinstance(wanted, Tensor) else type(wanted).__name__
        raise ValueError(f"wanted must be maps {[n, h, w]}, got {got}")
    check_home("wanted", wanted, images)
    if not (wanted >= 0).all() or not torch.isfinite(wanted).all() or not wanted.flatten(1).any(dim=1).all():
        raise ValueError("wanted must be finite, 0 or more, and not 0 everywhere: it is a share of the explanation")
