"""Model inversion: which image does the model take for the surest one of a class?"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from tml_helpers.common import (
    answer_and_gradient,
    check_absent,
    check_counts,
    check_gradient,
    check_logits,
    cross_entropies,
    differentiable,
    draw,
    home,
    warn_of_masking,
)
from tml_helpers.privacy._numbers import check_not_negative, check_positive, check_rate, kind
from tml_helpers.training import predict

Access = Literal["gradient", "confidence"]


class InversionWarning(UserWarning):
    """The search ended at images that the model does not take for their class."""


@dataclass(frozen=True, eq=False)
class Inversion:
    """What a class looks like to the model.

    Args:
        images: `[N, C, H, W]` in [0, 1].
        confidences: `[N]`, the model's probability of the target.
        queries: how many images the model was asked about.
    """

    images: Tensor
    confidences: Tensor
    queries: int


def model_inversion(
    model: nn.Module,
    *,
    targets: Tensor,
    shape: Sequence[int],
    steps: int = 200,
    access: Access = "gradient",
    smoothness: float = 0.3,
    learning_rate: float | None = None,
    start: float = 0.0,
    frequencies: int | None = None,
    directions: int | None = None,
    batch_size: int = 512,
    generator: torch.Generator | None = None,
) -> Inversion:
    """argmin over x in [0, 1] of −log p_target(x) + λ TV(x): Adam's steps, from an image of one grey.

    TV, the total variation, is the mean difference of neighbours down and to the right; without it, noise does.
    With `"gradient"` the attacker has the weights. With `"confidence"` they only ask: an image is a sum of cosines, in
    each channel `frequencies` × `frequencies`, and its slope is measured along random directions, two questions each.

    What comes out is the image of the class that the model finds most typical. If all images of the class show one
    person, or one thing, it resembles them. If they differ, it is nobody's.

    Args:
        model: maps images to logits `[N, K]`; it answers in evaluation mode and comes back in its own.
        targets: classes, int64 `[N]`, where the model is; an image is made for each.
        shape: of one image: C, H, W.
        steps: 1 or more.
        access: `"gradient"` or `"confidence"`.
        smoothness: λ, 0 or more.
        learning_rate: Adam's, positive: by how much a pixel (0.05 unless given) or a cosine (0.01) changes in a step.
        start: the grey at which the search starts, in [0, 1]; 0 is black.
        frequencies: up to H and W; 10, or as many as there are, unless given. With `"confidence"` only.
        directions: for each image and step; 16 unless given. With `"confidence"` only.
        batch_size: images at a time.
        generator: draws the directions; on any device.

    Returns:
        Images, the model's confidences, and the number of questions. Warns where a gradient is zero, and where the
        model does not call an image its target.

    Raises:
        TypeError: targets or numbers of another kind.
        ValueError: a number outside of its range, another shape, an unknown access, answers that are not finite, or
            frequencies or directions where the gradient is had.

    Source: Fredrikson, Jha and Ristenpart, 2015. Derived in: lectures/60_privacy/inversion_and_stealing
    """
    channels, height, width = _shape(shape)
    _check(model, targets, steps=steps, batch_size=batch_size, access=access)
    rate = (0.05 if access == "gradient" else 0.01) if learning_rate is None else learning_rate
    check_positive(learning_rate=rate)
    check_not_negative(smoothness=smoothness)
    check_rate(start=start)
    weight = next(model.parameters(), None)
    kind = weight.dtype if weight is not None and weight.is_floating_point() else torch.float32
    grey = torch.full((len(targets), channels, height, width), start, dtype=kind, device=targets.device)
    check_logits(predict(model, grey[:1]), targets=targets)
    if access == "gradient":
        check_absent('access is "gradient"', frequencies=frequencies, directions=directions)
        images = _descend(model, grey, targets, steps, smoothness, rate)
        queries = len(targets) * steps
    else:
        basis = cosines(height, width, min(10, height, width) if frequencies is None else frequencies).to(grey)
        count = 16 if directions is None else directions
        check_counts(directions=count)
        search = _Search(model, grey, targets, basis, smoothness, batch_size)
        images = search.run(steps, count, rate, generator)
        queries = 2 * count * len(targets) * steps
    logits = predict(model, images, batch_size=batch_size)
    confidences = logits.softmax(dim=1).gather(1, targets[:, None]).squeeze(1)
    missed = int((logits.argmax(dim=1) != targets).sum())
    if missed:
        warnings.warn(
            f"the model calls {missed} of {len(targets)} images something else than their target: these show nothing",
            InversionWarning,
            stacklevel=2,
        )
    return Inversion(images, confidences, queries + 1 + len(targets))


def total_variation(images: Tensor) -> Tensor:
    """mean |x[h+1, w] − x[h, w]| + mean |x[h, w+1] − x[h, w]|: how rough each image is.

    Args:
        images: `[N, C, H, W]`.

    Returns:
        `[N]`, from 0 to 2 for images in [0, 1]; a side of one pixel adds nothing.
    """
    down, right = images.diff(dim=2).abs().flatten(1), images.diff(dim=3).abs().flatten(1)
    rough: Tensor = sum((part.mean(dim=1) for part in (down, right) if part.shape[1]), images.new_zeros(len(images)))
    return rough


def cosines(height: int, width: int, frequencies: int) -> Tensor:
    """cos(π a (h + ½) / H) · cos(π b (w + ½) / W) for a, b below `frequencies`: the smoothest images of the size.

    Args:
        height, width: H and W, 1 or more.
        frequencies: 1 or more, at most H and W.

    Returns:
        `[frequencies², H, W]`, float64: the rows that a discrete cosine transform (type II) keeps of low frequencies.

    Raises:
        ValueError: more frequencies than pixels.
    """
    check_counts(frequencies=frequencies)
    if frequencies > min(height, width):
        raise ValueError(f"frequencies must be at most {min(height, width)}, the shorter side, got {frequencies}")
    waves = torch.arange(frequencies, dtype=torch.float64, device="cpu")[:, None]
    rows, columns = (
        torch.cos(math.pi * waves * (torch.arange(side, dtype=torch.float64, device="cpu") + 0.5) / side)
        for side in (height, width)
    )
    return torch.einsum("ah,bw->abhw", rows, columns).flatten(0, 1)


def _descend(
    model: nn.Module, images: Tensor, targets: Tensor, steps: int, smoothness: float, learning_rate: float
) -> Tensor:
    """The gradient's way: pixels are what Adam changes."""
    step = _adam(images, learning_rate)
    with differentiable(model):
        for number in range(steps):
            _, gradient = answer_and_gradient(model, images, lambda logits: cross_entropies(logits, targets))
            if number == 0:
                warn_of_masking(gradient, so='there is nothing to follow; try access="confidence"')
            leaf = images.detach().requires_grad_()
            (rough,) = torch.autograd.grad(total_variation(leaf).sum(), leaf)
            images = step(images, check_gradient(gradient + smoothness * rough)).clamp(0, 1)
    return images


@dataclass(frozen=True, eq=False)
class _Search:
    """The questioner's way: coefficients of cosines are what Adam changes, along slopes that were measured."""

    model: nn.Module
    grey: Tensor
    targets: Tensor
    basis: Tensor  # [F, H, W]
    smoothness: float
    batch_size: int
    reach: float = 0.1  # how far along a direction the model is asked

    def run(self, steps: int, directions: int, learning_rate: float, generator: torch.Generator | None) -> Tensor:
        count, channels = self.grey.shape[:2]
        found = self.grey.new_zeros(count, channels, len(self.basis))
        step = _adam(found, learning_rate)
        for number in range(steps):
            shape = (directions, *found.shape)
            ways = draw(torch.randn, shape, device=found.device, generator=generator, dtype=found.dtype)
            there = self.costs(torch.cat([found + self.reach * ways, found - self.reach * ways]))
            rise = (there[:directions] - there[directions:]) / (2 * self.reach)  # [D, N]
            if number == 0:
                warn_of_masking(rise.T, so="the confidences shown do not change, and there is nothing to follow")
            slope = (rise[..., None, None] * ways).mean(dim=0)
            found = step(found, slope)
        return self.images(found)

    def images(self, found: Tensor) -> Tensor:
        """Images of coefficients `[…, N, C, F]`."""
        return (self.grey + torch.einsum("...f,fhw->...hw", found, self.basis)).clamp(0, 1)

    def costs(self, found: Tensor) -> Tensor:
        """−log p_target + λ TV of coefficients `[D, N, C, F]`: `[D, N]`."""
        images = self.images(found).flatten(0, 1)
        logits = predict(self.model, images, batch_size=self.batch_size)
        costs = cross_entropies(logits, self.targets.repeat(len(found)))
        return (costs + self.smoothness * total_variation(images)).view(len(found), -1)


def _adam(like: Tensor, learning_rate: float) -> Callable[[Tensor, Tensor], Tensor]:
    """x, ∇ ↦ x − η m̂ / (√v̂ + 10⁻⁸), which keeps its two means from one call to the next."""
    mean, square, count = torch.zeros_like(like), torch.zeros_like(like), 0

    def step(value: Tensor, gradient: Tensor) -> Tensor:
        nonlocal mean, square, count
        count += 1
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient.square()
        root = (square / (1 - 0.999**count)).sqrt()
        return value - learning_rate * mean / (1 - 0.9**count) / (root + 1e-8)

    return step


def _shape(shape: Sequence[int]) -> tuple[int, int, int]:
    if not isinstance(shape, Sequence):
        raise TypeError(f"shape must be that of one image, C, H, W, got {shape!r}")
    sides = tuple(shape)
    if len(sides) != 3:
        raise ValueError(f"shape must be that of one image, C, H, W, got {list(sides)}")
    check_counts(**dict(zip(("channels", "height", "width"), sides, strict=True)))
    return sides[0], sides[1], sides[2]


def _check(model: nn.Module, targets: Tensor, *, access: str, **counts: int) -> None:
    check_counts(**counts)
    if access not in get_args(Access):
        raise ValueError(f"access must be one of {', '.join(get_args(Access))}, got {access!r}")
    if not isinstance(targets, Tensor) or targets.dtype != torch.int64:
        raise TypeError(f"targets must be an int64 tensor of classes, got {kind(targets)}")
    if targets.ndim != 1 or len(targets) == 0 or int(targets.min()) < 0:
        raise ValueError(f"targets must be at least one class [N], each 0 or more, got {targets.tolist()}")
    if home(model) not in (None, targets.device):
        raise ValueError(f"targets are on {targets.device}, but the model is on {home(model)}: move one to the other")
