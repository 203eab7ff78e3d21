"""Gradients along the straight way from a baseline to the image."""

import numpy as np
import torch
from torch import Tensor, nn

from tml_helpers.explain._common import baseline_like, check, check_counts, input_gradients


def integrated_gradients(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    baseline: Tensor | float = 0.0,
    steps: int = 50,
    batch_size: int = 16,
) -> Tensor:
    """(x − x⁰) · ∫₀¹ ∂z_t / ∂x at x⁰ + α (x − x⁰) dα: what each value adds on the way from the baseline x⁰ to x.

    `images` `[N, C, H, W]` in [0, 1], `targets` `[N]`; returns `[N, C, H, W]`, signed. The sum over an image is
    z_t(x) − z_t(x⁰), up to the error of the integral, which is taken at the `steps` points of Gauss and Legendre:
    exact for a polynomial of degree 2·steps − 1, less so across many kinks. `baseline` is a number or what broadcasts
    to the images. `batch_size` points go through the model at a time.

    Raises TypeError or ValueError for what cannot be explained.
    Source: Sundararajan, Taly and Yan, 2017. Derived in: lectures/40_interpretability/attributions.
    """
    check(model, images, targets)
    check_counts(steps=steps, batch_size=batch_size)
    images = images.detach()
    start = baseline_like(baseline, images)
    nodes, masses = np.polynomial.legendre.leggauss(steps)  # on [−1, 1]
    alphas = torch.as_tensor((nodes + 1) / 2, dtype=images.dtype, device=images.device)
    weights = torch.as_tensor(masses / 2, dtype=images.dtype, device=images.device)
    mean = torch.zeros_like(images)
    for points in torch.arange(steps * len(images), device=images.device).split(batch_size):
        index, step = points % len(images), points // len(images)
        way = images[index] - start[index]
        gradient = input_gradients(model, start[index] + alphas[step].view(-1, 1, 1, 1) * way, targets[index])
        mean.index_add_(0, index, weights[step].view(-1, 1, 1, 1) * gradient)
    return (images - start) * mean
