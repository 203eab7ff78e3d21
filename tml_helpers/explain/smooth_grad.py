"""Gradients of noisy copies, averaged."""

import torch
from torch import Tensor, nn

from tml_helpers.explain._common import check, check_counts, input_gradients


def smooth_grad(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    samples: int = 50,
    sigma: float = 0.15,
    absolute: bool = True,
    batch_size: int = 16,
    generator: torch.Generator | None = None,
) -> Tensor:
    """|mean of ∂z_t / ∂x at x + noise|, with `samples` draws of noise from N(0, σ²) for each image.

    `images` `[N, C, H, W]` in [0, 1], `targets` `[N]`; returns `[N, C, H, W]`. `sigma` is in the unit of the pixels.
    The gradients are averaged with their signs, and the absolute value is taken at the end; `absolute=False` leaves
    it out. Noisy copies are not cut to [0, 1]. `batch_size` of them go through the model at a time.

    Raises TypeError or ValueError for what cannot be explained.
    Source: Smilkov et al., 2017. Derived in: lectures/40_interpretability/attributions.
    """
    check(model, images, targets)
    check_counts(samples=samples, batch_size=batch_size)
    if not 0 <= sigma < float("inf"):
        raise ValueError(f"sigma must be 0 or more, in the unit of the pixels, got {sigma}")
    images = images.detach()
    total = torch.zeros_like(images)
    for copies in torch.arange(samples * len(images), device=images.device).split(batch_size):
        index = copies % len(images)
        noise = torch.empty_like(images[index], memory_format=torch.contiguous_format).normal_(generator=generator)
        total.index_add_(0, index, input_gradients(model, images[index] + sigma * noise, targets[index]))
    mean = total / samples
    return mean.abs() if absolute else mean
