"""ZOO: an attack by optimisation whose slopes are measured, pixel by pixel, by asking the model."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tml_helpers.attacks._common import attacked, check, check_logits, fooled, margin, norms

Score = Callable[[Tensor], Tensor]
"""One number for each image: `[M, C, H, W]` → `[M]`."""


def estimate_gradient(function: Score, images: Tensor, *, coordinates: Tensor | None = None, h: float = 1e-2) -> Tensor:
    """(f(x + h·eᵢ) − f(x − h·eᵢ)) / 2h: the slope of f along pixel i, from two of its values.

    `images` `[N, C, H, W]`; `function` maps images `[M, C, H, W]` to numbers `[M]`. `coordinates` `[N, B]` are indices
    into the C·H·W pixels of each image: all of them, in order, unless given. Returns `[N, B]`. The error has two parts:
    h² times a third derivative, and the rounding of f divided by h: in float32 the paper's h, 1e-4, leaves two digits.

    Raises ValueError for h of 0 or less.
    Source: Chen et al., 2017. Derived in: lectures/20_adversarial/black_box.
    """
    plus, minus = both_sides(function, images, coordinates, h)
    return slope(plus, minus, h)


def estimate_hessian(function: Score, images: Tensor, *, coordinates: Tensor | None = None, h: float = 1e-1) -> Tensor:
    """(f(x + h·eᵢ) − 2f(x) + f(x − h·eᵢ)) / h²: the curvature of f along pixel i, on the diagonal of its Hessian.

    Takes and returns what `estimate_gradient` does, and asks for one more value of each image. Rounding is divided by
    h² here, so h must be larger than for a slope: in float32, 1e-4 leaves no digit.

    Raises ValueError for h of 0 or less.
    Source: Chen et al., 2017. Derived in: lectures/20_adversarial/black_box.
    """
    plus, minus = both_sides(function, images, coordinates, h)
    return curvature(plus, function(images), minus, h)


def zoo(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    queries: int = 20_000,
    constant: float = 3.0,
    confidence: float = 0.0,
    solver: str = "adam",
    coordinates: int = 128,
    learning_rate: float = 0.1,
    h: float = 1e-2,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """min ‖x' − x‖₂² + c · max(log pᵧ(x') − max log pₖ(x'), −κ) over x', with slopes that are measured by asking.

    `images` `[N, C, H, W]` in [0, 1], `labels` `[N]`; returns, image by image, the nearest that was misclassified, and
    the image itself where none was. c is `constant`, κ is `confidence`. Each step draws `coordinates` pixels of each
    image, asks about both sides of each at distance `h`, and moves them by Adam or, with `solver="newton"`, by slope
    over curvature. The model is asked at most `queries` times about each image, and never about one outside [0, 1]:
    at the border a difference is one-sided. Logits serve as well as log-probabilities: they have the same differences.
    With `targets` `[N]` the second term is max(max log pₖ − log pₜ, −κ).

    Raises TypeError or ValueError for what the attack is not defined on.
    Source: Chen et al., 2017. Derived in: lectures/20_adversarial/black_box.
    """
    check(model, images, labels, targets=targets)
    check_choices(queries, constant, confidence, solver, coordinates, learning_rate, h)
    result, nearest = (
        images.detach().clone(memory_format=torch.contiguous_format),
        torch.full_like(images[:, 0, 0, 0], math.inf),
    )
    with attacked(model), torch.no_grad():
        logits = model(result)
        check_logits(logits, labels, targets)
        index = (~fooled(logits, labels, targets)).nonzero().flatten()
        origin = result[index]
        aim, sign = (labels[index], 1.0) if targets is None else (targets[index], -1.0)

        def lead(logits: Tensor) -> Tensor:
            """How far the model is misled on k·N images, k of each in turn."""
            return sign * margin(logits, aim.repeat_interleave(len(logits) // len(aim)))

        def loss(asked: Tensor) -> Tensor:
            return -lead(model(asked.clamp(0, 1))).clamp_max(confidence)

        current, ahead = origin.clone(), lead(logits[index]) if len(index) else origin
        moments = origin.new_zeros(3, *origin.flatten(1).shape)
        count = min(coordinates, images[0].numel())
        for _ in range((queries - 1) // (2 * count + 1) if len(index) else 0):
            chosen = torch.rand_like(moments[0], generator=generator).argsort(dim=1)[:, :count]  # [N, B]
            plus, minus = both_sides(loss, current, chosen, h)
            away = (current - origin).flatten(1).gather(1, chosen)
            slopes = 2 * away + constant * slope(plus, minus, h)
            if solver == "adam":
                move = adam(moments, chosen, slopes)
            else:
                curvatures = 2 + constant * curvature(plus, -ahead.clamp_max(confidence), minus, h)
                move = torch.where(curvatures > 0, slopes / curvatures, slopes)
            current = current.flatten(1).scatter_add(1, chosen, -learning_rate * move).clamp(0, 1).view_as(origin)
            ahead = lead(model(current))
            distance = norms(current - origin, "l2")
            better = (ahead > 0) & (ahead >= confidence) & (distance < nearest[index])
            result[index[better]], nearest[index[better]] = current[better], distance[better]
    return result


def check_choices(
    queries: int, constant: float, confidence: float, solver: str, coordinates: int, learning_rate: float, h: float
) -> None:
    if solver not in ("adam", "newton"):
        raise ValueError(f"solver must be adam or newton, got {solver!r}")
    for name, value, least in (("queries", queries, 1), ("coordinates", coordinates, 1)):
        if value < least:
            raise ValueError(f"{name} must be {least} or more, got {value}")
    for name, number in (("constant", constant), ("learning_rate", learning_rate), ("h", h)):
        if not number > 0:
            raise ValueError(f"{name} must be above 0, got {number}")
    if not confidence >= 0:
        raise ValueError(f"confidence must be 0 or more, got {confidence}")


def both_sides(function: Score, images: Tensor, coordinates: Tensor | None, h: float) -> tuple[Tensor, Tensor]:
    """f(x + h·eᵢ) and f(x − h·eᵢ) for the chosen pixels i of each image, `[N, B]` each, from one call."""
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
    return (plus - minus) / (2 * h)


def curvature(plus: Tensor, centre: Tensor, minus: Tensor, h: float) -> Tensor:
    return (plus - 2 * centre[:, None] + minus) / h**2


def adam(moments: Tensor, chosen: Tensor, slopes: Tensor) -> Tensor:
    """Adam's step for the chosen pixels; `moments` `[3, N, C·H·W]`: two moments of each pixel, and its visits."""
    first, second, visits = (moment.gather(1, chosen) for moment in moments)
    first, second, visits = 0.9 * first + 0.1 * slopes, 0.999 * second + 0.001 * slopes**2, visits + 1
    for moment, updated in zip(moments, (first, second, visits), strict=True):
        moment.scatter_(1, chosen, updated)
    move: Tensor = first / (1 - 0.9**visits) / ((second / (1 - 0.999**visits)).sqrt() + 1e-8)
    return move
