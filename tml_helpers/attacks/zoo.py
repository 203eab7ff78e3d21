"""ZOO: an attack by optimisation whose slopes are measured, pixel by pixel, by asking the model."""

import math

import torch
from torch import Tensor, nn

from tml_helpers.attacks.aim import Aim
from tml_helpers.attacks.finite_differences import both_sides, curvature, slope
from tml_helpers.attacks.protocol import check_batch
from tml_helpers.common import check_counts, check_numbers, draw, evaluating, norms


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

    Each step asks about both sides of some pixels of each image, never about an image outside [0, 1]: at the border a
    difference is one-sided. Logits serve as well as log-probabilities: they have the same differences. With targets the
    second term is max(max log pₖ − log pₜ, −κ).

    Args:
        model: maps images to logits `[N, K]`; no gradient is used. It answers in evaluation mode, and comes back as it
            went in.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        queries: the most answers about each image, 1 or more.
        constant: c, above 0.
        confidence: κ, 0 or more, in units of a logit.
        solver: moves the pixels by `"adam"`, or by `"newton"`: slope over curvature.
        coordinates: how many pixels are drawn for a step, 1 or more.
        learning_rate: the factor of a step, above 0.
        h: the distance to both sides, above 0, in units of a pixel's value.
        targets: `[N]`, int64, none of them the label; None for any other class.
        generator: draws the pixels; on any device.

    Returns:
        Image by image, the nearest that was misclassified, in [0, 1], and the image itself where none was.

    Raises:
        TypeError, ValueError: what an attack is not defined on, as another solver.

    Source: Chen et al., 2017. Derived in: lectures/20_adversarial/black_box
    """
    check_batch(model, images, labels, targets)
    check_counts(queries=queries, coordinates=coordinates)
    check_numbers(constant=constant, confidence=confidence, learning_rate=learning_rate, h=h)
    check_choices(constant, confidence, solver, learning_rate, h)
    result = images.detach().clone(memory_format=torch.contiguous_format)
    nearest = torch.full_like(images[:, 0, 0, 0], math.inf)
    aim = Aim(labels, targets)
    with evaluating(model), torch.no_grad():
        logits = model(result)
        aim.check(logits)
        index = (~aim.reached(logits)).nonzero().flatten()
        if len(index) == 0:
            return result
        origin = result[index]

        def lead(images: Tensor) -> Tensor:
            """How far the model is misled on k·N images, k of each in turn."""
            return aim.lead(model(images), index.repeat_interleave(len(images) // len(index)))

        def loss(asked: Tensor) -> Tensor:
            return -lead(asked.clamp(0, 1)).clamp_max(confidence)

        current, ahead = origin.clone(), aim.lead(logits[index], index)
        moments = origin.new_zeros(3, *origin.flatten(1).shape)
        count = min(coordinates, images[0].numel())
        for _ in range((queries - 1) // (2 * count + 1)):
            order = draw(torch.rand, moments[0].shape, device=origin.device, generator=generator, dtype=origin.dtype)
            chosen = order.argsort(dim=1)[:, :count]  # [N, B]
            plus, minus = both_sides(loss, current, chosen, h)
            away = (current - origin).flatten(1).gather(1, chosen)
            slopes = 2 * away + constant * slope(plus, minus, h)
            if solver == "adam":
                move = adam(moments, chosen, slopes)
            else:
                curvatures = 2 + constant * curvature(plus, -ahead.clamp_max(confidence), minus, h)
                move = torch.where(curvatures > 0, slopes / curvatures, slopes)
            current = current.flatten(1).scatter_add(1, chosen, -learning_rate * move).clamp(0, 1).view_as(origin)
            ahead = lead(current)
            distance = norms(current - origin, "l2")
            better = (ahead > 0) & (ahead >= confidence) & (distance < nearest[index])
            result[index[better]], nearest[index[better]] = current[better], distance[better]
    return result


def check_choices(constant: float, confidence: float, solver: str, learning_rate: float, h: float) -> None:
    if solver not in ("adam", "newton"):
        raise ValueError(f"solver must be adam or newton, got {solver!r}")
    for name, number in (("constant", constant), ("learning_rate", learning_rate), ("h", h)):
        if not number > 0:
            raise ValueError(f"{name} must be above 0, got {number}")
    if not confidence >= 0:
        raise ValueError(f"confidence must be 0 or more, got {confidence}")


def adam(moments: Tensor, chosen: Tensor, slopes: Tensor) -> Tensor:
    """Adam's step for the chosen pixels; `moments` `[3, N, C·H·W]`: two moments of each pixel, and its visits."""
    first, second, visits = (moment.gather(1, chosen) for moment in moments)
    first, second, visits = 0.9 * first + 0.1 * slopes, 0.999 * second + 0.001 * slopes**2, visits + 1
    for moment, updated in zip(moments, (first, second, visits), strict=True):
        moment.scatter_(1, chosen, updated)
    move: Tensor = first / (1 - 0.9**visits) / ((second / (1 - 0.999**visits)).sqrt() + 1e-8)
    return move
