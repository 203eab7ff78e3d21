"""Interval bounds: a box around the image, carried through the network, layer by layer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tml_helpers.common import (
    check_ball,
    check_counts,
    check_images,
    check_labels,
    check_logits,
    check_numbers,
    evaluating,
)
from tml_helpers.defenses.layers import FINE, Affine, Step, chain


@dataclass(frozen=True, eq=False)
class Bounds:
    """Between which values a network's logits lie, for each image, wherever in the ball the image is moved.

    Derived in: lectures/20_adversarial/proofs
    """

    lower: Tensor
    """`[N, K]`, float64: no logit falls below."""
    upper: Tensor
    """`[N, K]`, float64: no logit rises above."""
    margins: Tensor
    """`[N, K]`, float64: z_y − z_k is never smaller; ∞ for the label's own class."""

    @property
    def proven(self) -> Tensor:
        """`[N]`, bool: the answer is the label in all of the ball. False says only that it was not proven."""
        return self.margins.amin(dim=1) > 0


@dataclass(frozen=True, eq=False)
class Box:
    """What is known of a layer's values, `[N, …]`: the middle, and how far they reach to both sides."""

    center: Tensor
    radius: Tensor

    @property
    def lower(self) -> Tensor:
        return self.center - self.radius

    @property
    def upper(self) -> Tensor:
        return self.center + self.radius

    @property
    def sizes(self) -> Tensor:
        """No value is farther from 0."""
        return self.center.abs() + self.radius


def box_between(lower: Tensor, upper: Tensor) -> Box:
    """The box with these ends; float64 rounds its middle, so it is wider by that."""
    center = (lower + upper) / 2
    return Box(center, (upper - lower) / 2 + 4 * FINE * (lower.abs() + upper.abs()))


def interval_bounds(
    model: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float, batch_size: int = 64
) -> Bounds:
    """Middle W c + b, radius |W| r: an interval for each unit in turn, as if all units could be at their worst at once.

    The ball is L∞, cut to [0, 1]. The intervals hold for the network in exact arithmetic and for the one that your
    machine runs: they are computed in float64, and widened by all that a sum in the model's own type may be rounded by,
    whatever the order of its terms. In float32 that is about 10⁻⁴ of a logit; `model.double()` makes it nothing.

    Args:
        model: one layer after the other: Linear, Conv2d, ReLU, pooling, BatchNorm, Dropout, Flatten,
            `models.Normalize`; in evaluation mode.
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        epsilon: ε, the ball's radius in L∞, from 0 to 1.
        batch_size: images at a time.

    Returns:
        Bounds of the logits and of the margins; the last layer is read as margins, which makes these narrower than a
        difference of logits' bounds.

    Raises:
        TypeError: a model, images or labels of another kind.
        ValueError: a layer of which no bound is known, a network with branches, or what an attack is not defined on.

    Source: Gowal et al., 2018. Derived in: lectures/20_adversarial/proofs
    """
    steps = checked_chain(model, images, labels, epsilon)
    check_counts(batch_size=batch_size)
    unit = torch.finfo(images.dtype).eps / 2
    with torch.no_grad():
        parts = [
            _bounds(steps, ball(x, epsilon), y, unit=unit)
            for x, y in zip(images.detach().split(batch_size), labels.split(batch_size), strict=True)
        ]
    return joined(parts)


def joined(parts: Sequence[Bounds]) -> Bounds:
    """The bounds of all batches, in their order."""
    return Bounds(
        torch.cat([part.lower for part in parts]),
        torch.cat([part.upper for part in parts]),
        torch.cat([part.margins for part in parts]),
    )


def _bounds(steps: Sequence[Step], start: Box, labels: Tensor, *, unit: float) -> Bounds:
    boxes = propagate(steps, start, unit=unit)
    last = boxes[-1]
    return Bounds(last.lower, last.upper, interval_margins(steps, boxes, labels, unit=unit))


def ball(images: Tensor, epsilon: float) -> Box:
    """The cube of half-side ε, cut to [0, 1], in float64; wider by what the images' own type cannot resolve."""
    x = images.double()
    reach = epsilon + torch.finfo(images.dtype).eps / 2 if epsilon > 0 else 0.0
    return box_between((x - reach).clamp(min=0), (x + reach).clamp(max=1))


def propagate(steps: Sequence[Step], start: Box, *, unit: float = 0.0) -> list[Box]:
    """The box before each step and, at the end, that of the logits.

    Args:
        steps: of `chain`.
        start: the box of the inputs.
        unit: what the model's type rounds by, relatively.

    Returns:
        One more than there are steps.
    """
    boxes = [start]
    for step in steps:
        boxes.append(through(step, boxes[-1], unit=unit))
    return boxes


def through(step: Step, box: Box, *, unit: float) -> Box:
    """The box after a step."""
    if isinstance(step, Affine):
        return Box(step(box.center), step.magnitude(box.radius) + step.rounding(box.sizes, unit))
    return box_between(step(box.lower), step(box.upper))  # both are monotone


def interval_margins(steps: Sequence[Step], boxes: Sequence[Box], labels: Tensor, *, unit: float = 0.0) -> Tensor:
    """The least z_y − z_k on a box, `[N, K]`, ∞ for k = y: affine steps at the end are joined with the difference."""
    n, classes = boxes[-1].center.shape
    rows = differences(labels, classes).to(boxes[-1].center)
    constant = torch.zeros(n * classes, dtype=rows.dtype, device=rows.device)
    rows = rows.flatten(0, 1)
    place = len(steps)
    while place > 0 and isinstance(step := steps[place - 1], Affine):
        place -= 1
        before = boxes[place]
        constant = constant + step.constant(rows) - _weighted(rows.abs(), step.rounding(before.sizes, unit))
        rows = step.transposed(rows, before.center.shape[1:])
    box = boxes[place]
    least = constant + _weighted(rows, box.center) - _weighted(rows.abs(), box.radius)
    own = torch.arange(classes, device=labels.device) == labels[:, None]
    return least.view(n, classes).masked_fill(own, math.inf)


def differences(labels: Tensor, classes: int) -> Tensor:
    """`[N, K, K]`: row k of an image gives z_y − z_k."""
    eye = torch.eye(classes, device=labels.device)
    return eye[labels][:, None] - eye


def _weighted(rows: Tensor, values: Tensor) -> Tensor:
    """Σ rows · values for rows `[N·S, …]` and values `[N, …]`: `[N·S]`."""
    n = len(values)
    split = rows.view(n, len(rows) // n, -1)
    return torch.einsum("nsd,nd->ns", split, values.reshape(n, -1)).flatten()


def checked_chain(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> list[Step]:
    """The steps of a model that can be bounded; an error for what can't, or whose answers its layers do not give.

    Args:
        model: as of `interval_bounds`.
        images: as of `interval_bounds`.
        labels: as of `interval_bounds`.
        epsilon: as of `interval_bounds`.

    Returns:
        The steps, in order.

    Raises:
        TypeError: a model, images or labels of another kind.
        ValueError: what bounds are not defined on.
    """
    steps = chain(model)
    check_images(model, images)
    check_labels("labels", labels, images)
    check_numbers(epsilon=epsilon)
    check_ball(epsilon, "linf", images)
    with evaluating(model), torch.no_grad():
        answer = model(images[:1])
    if not isinstance(answer, Tensor):
        raise TypeError(f"the model must return one tensor, of logits, got {type(answer).__name__}")
    check_logits(answer, labels=labels)
    with torch.no_grad():
        point = propagate(steps, ball(images[:1], 0.0), unit=torch.finfo(images.dtype).eps / 2)[-1]
    if point.center.shape != answer.shape or not ((answer >= point.lower) & (answer <= point.upper)).all():
        raise ValueError(
            "the model's answer is not that of its layers one after the other: does its forward do more, has it hooks, "
            "or does it compute in TF32 or half precision?"
        )
    return steps
