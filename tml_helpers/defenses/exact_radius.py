"""The exact distance to the nearest image of another class: a small network as a mixed-integer program."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from tml_helpers.common import check_numbers, evaluating
from tml_helpers.defenses.interval_bounds import Box, ball, checked_chain
from tml_helpers.defenses.layers import Affine, Pool, Step
from tml_helpers.defenses.linear_bounds import refined

TOLERANCE = 1e-4  # of ε: bounds that are nearer to one another are one number; the solver stops at 1e-6
TIE = 1e-4  # of what a margin can be on the ball: an image whose rival is that near is on the border


@dataclass(frozen=True, eq=False)
class ExactRadius:
    """How far each image is, in L∞, from the nearest one that is answered otherwise, and that one.

    Derived in: lectures/20_adversarial/proofs
    """

    lower: Tensor
    """`[N]`, float64: nothing nearer is answered otherwise; `max_epsilon` where that much was searched."""
    upper: Tensor
    """`[N]`, float64: how far `adversarial` is, of which the network's own answer was asked; ∞ where none was found."""
    adversarial: Tensor
    """`[N, C, H, W]`, as the images: the nearest that was found; the image itself where none was."""
    max_epsilon: float
    """How far it was searched."""

    @property
    def solved(self) -> Tensor:
        """`[N]`, bool: the radius is known, or is known to be `max_epsilon` or more. False where time ran out."""
        return (self.upper - self.lower <= TOLERANCE) | (self.lower >= self.max_epsilon)


def exact_radius(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    max_epsilon: float,
    time_limit: float = 60.0,
    progress: bool | None = None,
) -> ExactRadius:
    """min ε such that z_k(x') ≥ z_y(x') for some k ≠ y and some x' in [0, 1] with |x' − x| ≤ ε.

    A ReLU is a choice between two lines, hence a variable that is 0 or 1; all else is linear. HiGHS tries the choices,
    in the worst case all of them: for networks with some dozens of ReLUs that can go either way. It works with
    tolerances of 1e-6 of what each unit can reach, so a radius is exact up to about as much.

    Args:
        model: as of `interval_bounds`, without MaxPool2d.
        images: `[N, C, H, W]` in [0, 1].
        labels: `[N]`, int64.
        max_epsilon: how far it is searched, above 0 and at most 1; the smaller, the faster.
        time_limit: seconds for each image, above 0.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        What is known of each radius. It is 0 where the model is wrong.

    Raises:
        TypeError, ValueError: as of `interval_bounds`; a number out of its range; a MaxPool2d.

    Source: Tjeng, Xiao and Tedrake, 2019. Derived in: lectures/20_adversarial/proofs
    """
    check_numbers(max_epsilon=max_epsilon, time_limit=time_limit)
    if not (0 < max_epsilon <= 1 and time_limit > 0):
        raise ValueError(
            f"max_epsilon must be above 0 and at most 1, and time_limit above 0, got {max_epsilon} and {time_limit}"
        )
    steps = checked_chain(model, images, labels, max_epsilon)
    if any(isinstance(step, Pool) for step in steps):
        raise ValueError("a MaxPool2d has no exact program here: use AvgPool2d, or a convolution with a stride")
    shown = tqdm(images.detach(), desc="images", disable=None if progress is None else not progress)
    with evaluating(model), torch.no_grad():
        right = model(images).argmax(1) == labels
        found = [
            _nearest(steps, image, int(label), max_epsilon, time_limit) if known else (0.0, 0.0, image)
            for image, label, known in zip(shown, labels, right, strict=True)
        ]
    lower, upper, nearest = zip(*found, strict=True)
    least, most = (torch.tensor(ends, dtype=torch.float64) for ends in (lower, upper))
    return ExactRadius(least, most, torch.stack(nearest), max_epsilon)


def _nearest(
    steps: Sequence[Step], image: Tensor, label: int, max_epsilon: float, seconds: float
) -> tuple[float, float, Tensor]:
    """Bounds of one image's radius, and the nearest image of another class that was found."""
    end, lower = time.monotonic() + seconds, 0.0
    for reach in (max_epsilon / 8, max_epsilon / 4, max_epsilon / 2, max_epsilon):  # near boxes leave few choices
        boxes = refined(steps, ball(image[None], reach), unit=0.0, batch_size=1024)
        program, nothing, upper, nearest = Program(steps, boxes, image), reach, math.inf, image
        for rival in boxes[-1].upper[0].argsort(descending=True).tolist():
            if rival != label:
                bound, pixels = program.solve(label, rival, min(upper, reach), end - time.monotonic())
                nothing = min(nothing, bound)
                if pixels is not None:
                    there = torch.from_numpy(pixels).view_as(image).to(image).clamp(0, 1)
                    if _overtaken(steps, boxes[-1], there, label, rival):
                        nearest, upper = there, float((there - image).abs().max())
        lower = max(lower, min(nothing, upper))
        if nothing < reach or upper < math.inf:
            break
    return lower, upper, nearest


def _overtaken(steps: Sequence[Step], logits: Box, image: Tensor, label: int, rival: int) -> bool:
    """Whether the network itself, in float64, puts the rival ahead of the label, or next to it: solvers may err."""
    values = image[None].double()
    for step in steps:
        values = step(values)
    reach = logits.upper[0] - logits.lower[0]
    return bool(values[0, label] - values[0, rival] <= TIE * (reach[label] + reach[rival]))


class Program:
    """A network on a box as rows of a mixed-integer program, low ≤ A · variables ≤ high.

    The variables are the pixels, ε, and for each ReLU its value and, where it can go either way, its choice.

    Args:
        steps: of `layers.chain`, without a maximum.
        boxes: of one image's ball, before each step and after the last.
        image: `[C, H, W]`.
    """

    def __init__(self, steps: Sequence[Step], boxes: Sequence[Box], image: Tensor) -> None:
        self.least, self.most, self.whole = [0.0], [1.0], [0]  # of ε, the first variable
        self.columns: list[np.ndarray] = []
        self.values: list[np.ndarray] = []
        self.low: list[float] = []
        self.high: list[float] = []
        ends = zip(*(end.flatten().tolist() for end in (boxes[0].lower, boxes[0].upper)), strict=True)
        values = np.array([self._variable(*both) for both in ends])
        for pixel, grey in zip(values, image.flatten().tolist(), strict=True):
            self._row([pixel, 0], [1, -1], high=grey)
            self._row([pixel, 0], [1, 1], low=grey)
        self.pixels = slice(1, 1 + len(values))
        sizes = np.ones(len(values))
        for weight, bias, box in _layers(steps, boxes):
            weight = weight * sizes  # for variables that are parts of these sizes
            if box is None:
                self.last = values, weight, bias
            else:
                limits = np.stack([end.flatten().cpu().numpy() for end in (box.lower, box.upper)], axis=1)
                # a solver's tolerances are absolute: a unit that reaches 1e-8 only would be lost in them
                sizes = _size(limits)
                units = zip(weight / sizes[:, None], bias / sizes, (limits / sizes[:, None]).tolist(), strict=True)
                values = np.array([self._relu(values, *unit) for unit in units])

    def solve(self, label: int, rival: int, most: float, seconds: float) -> tuple[float, np.ndarray | None]:
        """How far off the rival overtakes the label at least, up to `most`; and the pixels where it does, if found."""
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        if seconds <= 0:
            return 0.0, None
        values, weight, bias = self.last
        lead, needed = weight[rival] - weight[label], bias[label] - bias[rival]
        size = float(_size(np.append(lead, needed)))
        columns, numbers = [*self.columns, values], [*self.values, lead / size]
        start = np.cumsum([0, *map(len, columns)])
        shape = len(columns), len(self.whole)
        rows = csr_array((np.concatenate(numbers), np.concatenate(columns), start), shape=shape)
        low, high = [*self.low, needed / size], [*self.high, np.inf]
        found = milp(
            np.eye(1, shape[1])[0],
            integrality=self.whole,
            bounds=Bounds(self.least, [most, *self.most[1:]]),
            constraints=LinearConstraint(rows, low, high),
            options={"time_limit": seconds, "mip_rel_gap": 1e-6},
        )
        if found.status == 2:  # no image within reach
            return most, None
        pixels = None if found.x is None else found.x[self.pixels]
        if found.status == 0:
            return float(found.fun), pixels
        bound = found.mip_dual_bound  # time is over: what the branches still allow
        return max(0.0, bound) if bound is not None and math.isfinite(bound) else 0.0, pixels

    def _variable(self, least: float, most: float, whole: int = 0) -> int:
        self.least.append(least)
        self.most.append(most)
        self.whole.append(whole)
        return len(self.whole) - 1

    def _row(self, columns: Any, values: Any, *, low: float = -np.inf, high: float = np.inf) -> None:
        self.columns.append(np.asarray(columns))
        self.values.append(np.asarray(values, dtype=float))
        self.low.append(low)
        self.high.append(high)

    def _relu(self, inputs: np.ndarray, weight: np.ndarray, bias: float, ends: tuple[float, float]) -> int:
        """The variable max(0, weight · inputs + bias), whose argument lies between the ends."""
        least, most = ends
        value = self._variable(max(least, 0.0), max(most, 0.0))
        columns, numbers = [*inputs, value], [*-weight, 1.0]
        if least >= 0:
            self._row(columns, numbers, low=bias, high=bias)
        elif most > 0:
            choice = self._variable(0, 1, whole=1)
            self._row(columns, numbers, low=bias)
            self._row([*columns, choice], [*numbers, -least], high=bias - least)
            self._row([value, choice], [1.0, -most], high=0.0)
        return value


def _size(values: np.ndarray) -> np.ndarray:
    """The largest absolute value of each row; 1 where all are 0."""
    largest = np.abs(values).max(axis=-1)
    return np.where(largest > 0, largest, 1.0)


def _layers(steps: Sequence[Step], boxes: Sequence[Box]) -> Iterator[tuple[np.ndarray, np.ndarray, Box | None]]:
    """W and b of what is affine up to each ReLU, with the box before that ReLU; None after the last."""
    first = 0
    for place in range(len(steps) + 1):
        if place == len(steps) or not isinstance(steps[place], Affine):
            shape = boxes[first].center.shape[1:]
            size = math.prod(shape)
            basis = torch.cat([torch.zeros(1, size), torch.eye(size)]).double().view(-1, *shape)
            for step in steps[first:place]:
                basis = step(basis)
            bias, columns = basis.flatten(1)[0], basis.flatten(1)[1:]
            yield (columns - bias).T.numpy(), bias.numpy(), boxes[place] if place < len(steps) else None
            first = place + 1
