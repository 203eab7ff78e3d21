"""Change an image a little, so that its explanation changes at will and its answer does not."""

import torch
from torch import Tensor, nn

from tml_helpers.explain._common import check, check_counts, finite, scores
from tml_helpers.training import evaluating

MOMENTUM = 0.9


def fool_explanation(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    wanted: Tensor,
    *,
    epsilon: float = 8 / 255,
    steps: int = 100,
    step_size: float | None = None,
    keep: float = 1.0,
) -> Tensor:
    """min over ‖x' − x‖∞ ≤ ε of ‖h(x') − ĥ‖² / ‖h(x) − ĥ‖² + keep · mean (z(x') − z(x))² / var z(x).

    h is the saliency map Σ_c |∂z_t / ∂x|, scaled to the sum 1, and ĥ is `wanted` `[N, H, W]`, 0 or more, scaled alike.
    `images` `[N, C, H, W]` in [0, 1], `targets` `[N]`; returns images of the same shape, in [0, 1] and in the ball.
    Each step goes along the signs of the averaged slope, by `step_size`, ε / 10 unless given, and ever less.

    The slope of h is H v, with the Hessian H of z_t and v = ∂loss / ∂(∂z_t / ∂x). It is measured as a difference of the
    gradients at x' ± r v, where r v is at most ε / 2 large: over such a distance even a network of ReLUs is bent,
    whose second derivative is 0 almost everywhere, and it needs no smooth stand-in.

    Raises TypeError or ValueError for what this is not defined on.
    Source: Dombrowski et al., 2019, who swap ReLU for softplus and differentiate twice.
    Derived in: lectures/40_interpretability/when_explanations_lie.
    """
    check(model, images, targets)
    check_counts(steps=steps)
    _check_wanted(wanted, images, epsilon, keep)
    images = images.detach()
    if epsilon == 0:
        return images.clone()
    goal = _to_sum_one(wanted.detach().to(images))
    size = epsilon / 10 if step_size is None else step_size
    delta, direction = torch.zeros_like(images), torch.zeros_like(images)
    with evaluating(model), torch.enable_grad():
        _, logits, gradient = _ask(model, images, targets)
        if not gradient.flatten(1).any(dim=1).all():
            raise ValueError("the gradient of some image is zero: it has no explanation that could be changed")
        answer, spread = logits.detach(), logits.detach().var(dim=1).clamp_min(1e-12)
        distance = (_explanation(gradient) - goal).square().sum(dim=(1, 2)).clamp_min(1e-30)
        for step in range(steps):
            leaf, logits, gradient = _ask(model, images + delta, targets)
            drift = (logits - answer).square().mean(dim=1) / spread
            (slope,) = torch.autograd.grad(keep * drift.sum(), leaf)
            gradient.requires_grad_()
            away = (_explanation(gradient) - goal).square().sum(dim=(1, 2)) / distance
            (v,) = torch.autograd.grad(away.sum(), gradient)
            slope = slope + _hessian_times(v, model, images + delta, targets, reach=epsilon / 2)
            direction = MOMENTUM * direction + slope / slope.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-30)
            delta = (delta - size * (1 - step / steps) * direction.sign()).clamp(-epsilon, epsilon)
            delta = (images + delta).clamp(0, 1) - images
    return (images + delta).clamp(0, 1)


def _ask(model: nn.Module, points: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The points as a leaf, the logits with their graph, and ∂z_t / ∂x without one."""
    leaf = points.detach().requires_grad_()
    logits = model(leaf.clone())
    value = scores(logits, targets).sum()
    if not value.requires_grad:
        raise ValueError("the model's logits have no gradient with respect to the images: nothing can be explained")
    (gradient,) = torch.autograd.grad(value, leaf, retain_graph=True)
    return leaf, logits, finite(gradient)


def _hessian_times(v: Tensor, model: nn.Module, points: Tensor, targets: Tensor, *, reach: float) -> Tensor:
    """H v ≈ (∇z_t(x + r v) − ∇z_t(x − r v)) / 2r, with r so that the pixel that moves most moves by `reach`."""
    r = reach / v.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-30)
    _, _, above = _ask(model, points + r * v, targets)
    _, _, below = _ask(model, points - r * v, targets)
    return (above - below) / (2 * r)


def _explanation(gradient: Tensor) -> Tensor:
    return _to_sum_one(gradient.abs().sum(dim=1))


def _to_sum_one(maps: Tensor) -> Tensor:
    return maps / maps.sum(dim=(1, 2), keepdim=True).clamp_min(1e-30)


def _check_wanted(wanted: Tensor, images: Tensor, epsilon: float, keep: float) -> None:
    n, _, h, w = images.shape
    if not isinstance(wanted, Tensor) or wanted.shape != (n, h, w) or wanted.device != images.device:
        got = f"{list(wanted.shape)} on {wanted.device}" if isinstance(wanted, Tensor) else type(wanted).__name__
        raise ValueError(f"wanted must be maps {[n, h, w]} on {images.device}, got {got}")
    if not (wanted >= 0).all() or not torch.isfinite(wanted).all() or not wanted.flatten(1).any(dim=1).all():
        raise ValueError("wanted must be finite, 0 or more, and not 0 everywhere: it is a share of the explanation")
    if not 0 <= epsilon <= 1:
        hint = f": for {epsilon:g} grey levels pass {epsilon:g}/255" if 1 < epsilon <= 255 else ""
        raise ValueError(f"epsilon must lie between 0 and 1, got {epsilon}{hint}")
    if not keep >= 0:
        raise ValueError(f"keep must be 0 or more, got {keep}")
