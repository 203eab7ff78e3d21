"""Gradients along the straight way from a baseline to the image."""

import numpy as np
import torch
from torch import Tensor, nn

from tml_helpers.common import check_counts, per_image
from tml_helpers.explain._common import baseline_like, check_explainable, input_gradients, warn_of_no_gradient


def integrated_gradients(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    baseline: Tensor | float = 0.0,
    steps: int = 50,
    batch_size: int = 16,
) -> Tensor:
    """(x − x⁰) · ∫₀¹ ∂z_t / ∂x at x⁰ + τ (x − x⁰) dτ: what each value adds on the way from the baseline x⁰ to x.

    Args:
        model, images, targets: as of `saliency`.
        baseline: x⁰, finite: a number, or what broadcasts to the images, where they are.
        steps: points of Gauss and Legendre at which the integral is taken, 1 or more: exact for a polynomial of degree
            2·steps − 1, less so across many kinks.
        batch_size: how many points go through the model at a time.

    Returns:
        `[N, C, H, W]`, signed. The sum over an image is z_t(x) − z_t(x⁰), up to the error of the integral. Zeros, with
        a `GradientMaskingWarning`, where the logit has no gradient.

    Raises:
        TypeError: another kind, type or device.
        ValueError: as of `saliency`, a baseline that does not fit, or a number out of its range.

    Source: Sundararajan, Taly and Yan, 2017. Derived in: lectures/40_interpretability/attributions
    """
    check_explainable(model, images, targets)
    check_counts(steps=steps, batch_size=batch_size)
    images = images.detach()
    start = baseline_like(baseline, images)
    nodes, masses = np.polynomial.legendre.leggauss(steps)  # on [−1, 1]
    taus = torch.as_tensor((nodes + 1) / 2, dtype=images.dtype, device=images.device)
    weights = torch.as_tensor(masses / 2, dtype=images.dtype, device=images.device)
    mean = torch.zeros_like(images)
    for points in torch.arange(steps * len(images), device=images.device).split(batch_size):
        index, step = points % len(images), points // len(images)
        way = images[index] - start[index]
        gradient = input_gradients(model, start[index] + per_image(taus[step]) * way, targets[index])
        mean.index_add_(0, index, per_image(weights[step]) * gradient)
    warn_of_no_gradient(mean)
    return (images - start) * mean
