"""Slopes and curvatures of a function that can only be asked, from its values on both sides."""

from collections.abc import Callable

import torch
from torch import Tensor

from tml_helpers.common import check_numbers

Score = Callable[[Tensor], Tensor]
"""One number for each image: `[M, C, H, W]` → `[M]`."""


def estimate_gradient(function: Score, images: Tensor, *, coordinates: Tensor | None = None, h: float = 1e-2) -> Tensor:
    """(f(x + h·eᵢ) − f(x − h·eᵢ)) / 2h: the slope of f along pixel i, from two of its values.

    The error has two parts: h² times a third derivative, and the rounding of f divided by h: in float32 the paper's h,
    1e-4, leaves two digits.

    Args:
        function: f, maps images `[M, C, H, W]` to numbers `[M]`.
        images: x, `[N, C, H, W]`.
        coordinates: `[N, B]`, int64, indices i into the C·H·W pixels of each image; None for all of them, in order.
        h: above 0, in units of a pixel's value.

    Returns:
        `[N, B]`.

    Raises:
        ValueError: h of 0 or less.

    Source: Chen et al., 2017. Derived in: lectures/20_adversarial/black_box
    """
    plus, minus = both_sides(function, images, coordinates, h)
    return slope(plus, minus, h)


def estimate_hessian(function: Score, images: Tensor, *, coordinates: Tensor | None = None, h: float = 1e-1) -> Tensor:
    """(f(x + h·eᵢ) − 2f(x) + f(x − h·eᵢ)) / h²: the curvature of f along pixel i, on the diagonal of its Hessian.

    It asks for one more value of each image than `estimate_gradient`. Rounding is divided by h² here, so h must be
    larger than for a slope: in float32, 1e-4 leaves no digit.

    Args:
        function, images, coordinates: as of `estimate_gradient`.
        h: above 0, in units of a pixel's value.

    Returns:
        `[N, B]`.

    Raises:
        ValueError: h of 0 or less.

    Source: Chen et al., 2017. Derived in: lectures/20_adversarial/black_box
    """
    plus, minus = both_sides(function, images, coordinates, h)
    return curvature(plus, function(images), minus, h)


def both_sides(function: Score, images: Tensor, coordinates: Tensor | None, h: float) -> tuple[Tensor, Tensor]:
    """f(x + h·eᵢ) and f(x − h·eᵢ) for the chosen pixels i of each image, `[N, B]` each, from one call."""
    check_numbers(h=h)
    if not h > 0:
        raise ValueError(f"h, the step of the difference, must be above 0, got {h}")
    flat = images.flatten(1)[:, None]
    if coordinates is None:
        coordinates = torch.arange(flat.shape[2], device=images.device).expand(len(images), -1)
    step = torch.zeros(*coordinates.shape, flat.shape[2], device=images.device, dtype=images.dtype)  # [N, B, C·H·W]
    step.scatter_(2, coordinates[:, :, None], h)
    asked = torch.cat([flat + step, flat - step], dim=1)  # of each image, all its questions in turn
    plus, minus = function(asked.view(-1, *images.shape[1:])).view(len(images), 2, -1).unbind(dim=1)
    return plus, minus


def slope(plus: Tensor, minus: Tensor, h: float) -> Tensor:
    """Of f, from its values on both sides, `[N, B]` each."""
    return (plus - minus) / (2 * h)


def curvature(plus: Tensor, centre: Tensor, minus: Tensor, h: float) -> Tensor:
    """Of f, from its values on both sides, `[N, B]` each, and between them, `[N]`."""
    return (plus - 2 * centre[:, None] + minus) / h**2
