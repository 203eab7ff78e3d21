"""Gradients of noisy copies, averaged."""

import torch
from torch import Tensor, nn

from tml_helpers.common import check_counts, draw
from tml_helpers.explain._common import check_explainable, input_gradients, warn_of_no_gradient


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

    Args:
        model, images, targets: as of `saliency`.
        samples: how many noisy copies of each image, 1 or more. They are not cut to [0, 1].
        sigma: σ, in the unit of the pixels, 0 or more.
        absolute: False leaves out the absolute value, which is taken of the mean, not before.
        batch_size: how many copies go through the model at a time.
        generator: draws the noise, on any device.

    Returns:
        `[N, C, H, W]`. Zeros, with a `GradientMaskingWarning`, where the logit has no gradient.

    Raises:
        TypeError: another kind, type or device.
        ValueError: as of `saliency`, or a number out of its range.

    Source: Smilkov et al., 2017. Derived in: lectures/40_interpretability/attributions
    """
    check_explainable(model, images, targets)
    check_counts(samples=samples, batch_size=batch_size)
    if not 0 <= sigma < float("inf"):
        raise ValueError(f"sigma must be 0 or more, in the unit of the pixels, got {sigma}")
    images = images.detach()
    total = torch.zeros_like(images)
    for copies in torch.arange(samples * len(images), device=images.device).split(batch_size):
        index = copies % len(images)
        shape = (len(index), *images.shape[1:])
        noise = draw(torch.randn, shape, device=images.device, generator=generator, dtype=images.dtype)
        total.index_add_(0, index, input_gradients(model, images[index] + sigma * noise, targets[index]))
    warn_of_no_gradient(total)
    mean = total / samples
    return mean.abs() if absolute else mean
