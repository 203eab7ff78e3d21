"""Perturbations: their sizes, the balls that bound them, and what counts as success."""

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from tml_helpers.common.draws import draw
from tml_helpers.common.inputs import check_numbers


def cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """−log p(label) of each image.

    Args:
        logits: `[N, K]`.
        labels: `[N]`, int64, class indices below K.

    Returns:
        `[N]`, 0 or more.
    """
    return F.cross_entropy(logits, labels, reduction="none")


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The largest other logit minus the label's: positive where the image is misclassified.

    Args:
        logits: `[N, K]`.
        labels: `[N]`, int64, class indices below K.

    Returns:
        `[N]`, in units of a logit.
    """
    others = logits.scatter(1, labels[:, None], -math.inf).amax(dim=1)
    return others - logits.gather(1, labels[:, None]).squeeze(1)


def fooled(logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
    """Whether each image is no longer called its label or, if there are targets, is called its target.

    Args:
        logits: `[N, K]`.
        labels: `[N]`, int64, class indices below K.
        targets: `[N]`, int64; None for any other class.

    Returns:
        `[N]`, bool.
    """
    answers = logits.argmax(dim=1)
    return answers != labels if targets is None else answers == targets


def norms(delta: Tensor, norm: str) -> Tensor:
    """The size of each perturbation.

    Args:
        delta: `[N, C, H, W]`.
        norm: `"linf"`, `"l2"`, `"l1"`, or `"l0"`, the number of pixels that changed.

    Returns:
        `[N]`, 0 or more.
    """
    if norm == "l0":
        return (delta != 0).any(dim=1).flatten(1).sum(dim=1)
    order = {"linf": math.inf, "l2": 2.0, "l1": 1.0}[norm]
    sizes: Tensor = torch.linalg.vector_norm(delta.flatten(1), order, dim=1)
    return sizes


def per_image(values: Tensor) -> Tensor:
    """One number for each image, shaped to be multiplied with images.

    Args:
        values: `[N]`.

    Returns:
        `[N, 1, 1, 1]`.
    """
    return values.view(-1, 1, 1, 1)


def project(delta: Tensor, epsilon: float, norm: str) -> Tensor:
    """The nearest perturbation within the ball of radius ε.

    Args:
        delta: `[N, C, H, W]`.
        epsilon: ε, 0 or more.
        norm: `"linf"` or `"l2"`.

    Returns:
        `[N, C, H, W]`; what lies within the ball stays as it is.
    """
    if norm == "linf":
        return delta.clamp(-epsilon, epsilon)
    return delta * per_image((epsilon / norms(delta, "l2").clamp_min(1e-12)).clamp_max(1.0))


def uniform_in_ball(images: Tensor, epsilon: float, norm: str, generator: torch.Generator | None) -> Tensor:
    """A point drawn uniformly from the ball of radius ε around each image, cut to [0, 1].

    Args:
        images: `[N, C, H, W]` in [0, 1].
        epsilon: ε, 0 or more.
        norm: `"linf"` or `"l2"`.
        generator: on any device; None draws from PyTorch's own.

    Returns:
        `[N, C, H, W]` in [0, 1].
    """
    sample = functools.partial(draw, device=images.device, generator=generator, dtype=images.dtype)
    if norm == "linf":
        noise = epsilon * (2 * sample(torch.rand, images.shape) - 1)
    else:
        direction = sample(torch.randn, images.shape)
        radius = sample(torch.rand, len(images))
        radius = epsilon * radius ** (1 / images[0].numel())  # uniform in the volume: most of it is near the surface
        noise = direction * per_image(radius / norms(direction, "l2"))
    return (images + noise).clamp(0, 1)


def check_ball(epsilon: float, norm: str, images: Tensor) -> None:
    """A ball that is of use to images in [0, 1]: no radius above 1 in L∞ or √(C·H·W) in L2.

    Args:
        epsilon: ε, the radius, in units of a pixel in [0, 1].
        norm: `"linf"` or `"l2"`.
        images: `[N, C, H, W]`.

    Raises:
        TypeError: a radius that is no number.
        ValueError: another norm, or a radius outside of it.
    """
    if norm not in ("linf", "l2"):
        raise ValueError(f"norm must be one of linf, l2, got {norm!r}")
    check_numbers(epsilon=epsilon)
    largest = 1.0 if norm == "linf" else math.sqrt(images[0].numel())
    if not 0 <= epsilon <= largest:
        hint = f": for {epsilon:g} grey levels pass {epsilon:g}/255" if norm == "linf" and 1 < epsilon <= 255 else ""
        raise ValueError(f"epsilon must lie between 0 and {largest:g} for {norm}, got {epsilon}{hint}")
