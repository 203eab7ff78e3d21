"""Linear bounds: each ReLU between two lines, and the lines carried back through the network to the image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from tml_helpers.common import check_counts
from tml_helpers.defenses.interval_bounds import (
    Bounds,
    Box,
    ball,
    box_between,
    checked_chain,
    differences,
    interval_margins,
    joined,
    through,
)
from tml_helpers.defenses.layers import FINE, Affine, Pool, Rectifier, Step


def linear_bounds(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    batch_size: int = 1024,
    progress: bool | None = None,
) -> Bounds:
    """min of A x + c over the ball: each ReLU is replaced by a line below and a line above it, back to the pixels.

    Where a unit's input lies in [l, u] with l < 0 < u, the line above goes from (l, 0) to (u, u), and the line below
    is 0 or the identity, whichever has the smaller area. The l and u of each layer are found in the same way, from the
    first layer to the last. Nowhere are the bounds wider than `interval_bounds`, and they are rounded as carefully.

    Args:
        model, images, labels, epsilon: as of `interval_bounds`.
        batch_size: how many units are followed back at a time: fewer need less memory.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        Bounds of the logits and of the margins.

    Raises:
        TypeError, ValueError: as of `interval_bounds`.

    Source: Zhang et al., 2018; Singh et al., 2019. Derived in: lectures/20_adversarial/proofs
    """
    steps = checked_chain(model, images, labels, epsilon)
    check_counts(batch_size=batch_size)
    unit = torch.finfo(images.dtype).eps / 2
    parts = []
    with torch.inference_mode(False), torch.no_grad():
        starts = ball(images.detach().clone(), epsilon)
        for i in tqdm(range(len(images)), desc="images", disable=None if progress is None else not progress):
            start = Box(starts.center[i : i + 1], starts.radius[i : i + 1])
            boxes = refined(steps, start, unit=unit, batch_size=batch_size)
            parts.append(_last(steps, boxes, labels[i : i + 1].clone(), unit, batch_size))
    return joined(parts)


def _last(steps: Sequence[Step], boxes: list[Box], label: Tensor, unit: float, batch_size: int) -> Bounds:
    """Bounds of one image's logits and margins, none wider than what the boxes say."""
    classes = boxes[-1].center.shape[1]
    eye = torch.eye(classes, dtype=torch.float64, device=label.device)
    rows = torch.cat([eye, -eye, differences(label, classes)[0].to(eye)])
    parts = [lower_bound(steps, boxes, chunk, unit=unit) for chunk in rows.split(batch_size)]
    lower, upper, margins = torch.cat(parts).split(classes)
    return Bounds(
        torch.maximum(lower[None], boxes[-1].lower),
        torch.minimum(-upper[None], boxes[-1].upper),
        torch.maximum(margins[None], interval_margins(steps, boxes, label, unit=unit)),
    )


def refined(steps: Sequence[Step], start: Box, *, unit: float, batch_size: int) -> list[Box]:
    """The box of one image before each step and after the last, by linear bounds where a ReLU or maximum bends.

    Args:
        steps: of `layers.chain`.
        start: the box of the pixels, `[1, C, H, W]`.
        unit: what the model's type rounds by, relatively.
        batch_size: units at a time.

    Returns:
        One more than there are steps.
    """
    boxes = [start]
    for place, step in enumerate(steps):
        bends = not isinstance(step, Affine) and place > 0 and isinstance(steps[place - 1], Affine)
        if bends and any(not isinstance(earlier, Affine) for earlier in steps[:place]):
            boxes[-1] = _narrowed(steps[:place], boxes, step, unit, batch_size)
        boxes.append(through(step, boxes[-1], unit=unit))
    return boxes


def _narrowed(steps: Sequence[Step], boxes: list[Box], step: Step, unit: float, batch_size: int) -> Box:
    """The last box, with the units that the next step bends bounded by lines."""
    shape = boxes[-1].center.shape
    lower, upper = boxes[-1].lower.flatten(), boxes[-1].upper.flatten()
    if isinstance(step, Rectifier):
        chosen = ((lower < 0) & (upper > 0)).nonzero().flatten()
    else:
        chosen = torch.arange(len(lower), device=lower.device)
    for part in chosen.split(batch_size):
        if len(part):
            one = F.one_hot(part, len(lower)).to(lower).view(len(part), *shape[1:])
            lower[part] = torch.maximum(lower[part], lower_bound(steps, boxes, one, unit=unit))
            upper[part] = torch.minimum(upper[part], -lower_bound(steps, boxes, -one, unit=unit))
    return box_between(lower.view(shape), upper.view(shape))


def lower_bound(steps: Sequence[Step], boxes: Sequence[Box], rows: Tensor, *, unit: float) -> Tensor:
    """The least value of A · (output of the steps) for one image, for each row A.

    Args:
        steps: of `layers.chain`, or its first ones.
        boxes: before each of them.
        rows: A, `[S, *outputs]`, float64.
        unit: what the model's type rounds by, relatively.

    Returns:
        `[S]`.
    """
    constant = torch.zeros(len(rows), dtype=rows.dtype, device=rows.device)
    for step, box in zip(reversed(steps), reversed(boxes[: len(steps)]), strict=True):
        if isinstance(step, Affine):
            lost = (rows.abs() * step.rounding(box.sizes, unit)).flatten(1).sum(dim=1)
            constant = constant + step.constant(rows) - lost
            rows = step.transposed(rows, box.center.shape[1:])
        else:
            below, above = relaxed(step, box)
            positive, negative = rows.clamp(min=0), rows.clamp(max=0)
            constant = constant + (negative * above.offset).flatten(1).sum(dim=1)
            rows = below.transposed(positive) + above.transposed(negative)
    start = boxes[0]
    reach = (rows.abs() * start.radius).flatten(1).sum(dim=1)
    doubt = (rows.abs() * start.sizes).flatten(1).sum(dim=1) + constant.abs()
    least = constant + (rows * start.center).flatten(1).sum(dim=1) - reach
    return least - 4 * start.center[0].numel() * FINE * doubt


@dataclass(frozen=True, eq=False)
class Line:
    """A linear function below or above a step: its slopes, by their transpose, and its offset `[1, *outputs]`."""

    transposed: Callable[[Tensor], Tensor]
    offset: Tensor


def relaxed(step: Rectifier | Pool, box: Box) -> tuple[Line, Line]:
    """Lines below and above a ReLU or a maximum, for one image's inputs in the box; the one below has no offset."""
    if isinstance(step, Pool):
        return _relaxed_maximum(step, box)
    lower, upper = box.lower, box.upper
    bent = (lower < 0) & (upper > 0)
    span = torch.where(bent, upper - lower, 1.0)
    steep = torch.where(bent, upper / span, (lower >= 0).to(lower))
    flat = torch.where(bent, (upper >= -lower).to(lower), steep)
    offset = torch.where(bent, -steep * lower + 8 * FINE * span, 0.0)
    none = torch.zeros_like(offset)
    return Line(lambda rows: rows * flat, none), Line(lambda rows: rows * steep, offset)


def _relaxed_maximum(step: Pool, box: Box) -> tuple[Line, Line]:
    """Below: the input with the largest lower end. Above: that input where no other can pass it, else a constant."""
    lower, upper = box.lower, box.upper
    places = step.places(lower)
    shape = lower.shape[1:]
    winner_lower, highest = step(lower), step(upper)
    others = upper.flatten(2).scatter(2, places.flatten(2), -torch.inf).view_as(upper)  # a winner of any window
    sure = (winner_lower >= step(others)) & (_apart(step, places, lower))
    offset = torch.where(sure, 0.0, highest)

    def spread(rows: Tensor) -> Tensor:
        flat = torch.zeros(len(rows), shape[0], shape[1] * shape[2], dtype=rows.dtype, device=rows.device)
        where = places.flatten(2).expand(len(rows), -1, -1)
        return flat.scatter_add(2, where, rows.flatten(2)).view(len(rows), *shape)

    return Line(spread, torch.zeros_like(offset)), Line(lambda rows: spread(rows * sure), offset)


def _apart(step: Pool, places: Tensor, values: Tensor) -> bool:
    """Whether windows don't overlap, so that no window's winner hides another window's rival."""
    settings = step.settings
    size, stride = settings["kernel_size"], settings["stride"]
    return bool(size == stride and settings["padding"] == 0 and settings["dilation"] == 1)
