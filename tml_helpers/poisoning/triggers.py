"""Triggers: what an attacker adds to an image, so that a backdoored model knows it. Each maps images to images."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tml_helpers.common import check_counts, check_images, check_numbers, draw
from tml_helpers.poisoning._checks import _ANYWHERE

__all__ = ["BlendTrigger", "PatchTrigger", "SinusoidTrigger", "Trigger", "WarpTrigger"]

Trigger = Callable[[Tensor], Tensor]
"""Images `[N, C, H, W]` in [0, 1] to as many images of the same shape: any function will do."""


@dataclass(frozen=True, eq=False)
class PatchTrigger:
    """(1 − m) x + m τ, where the mask m is one on a rectangle: a patch τ is pasted over the image.

    Args:
        pattern: τ, `[C, h, w]` in [0, 1]; one channel stands for all.
        row: of its upper edge; below 0 counted from the lower edge of the image; None puts it into the last rows.
        column: of its left edge, likewise.

    Raises:
        TypeError: a pattern that is no float tensor, or a place that is no whole number.
        ValueError: a pattern of another shape or range; when called, images that it does not fit into.

    Source: Gu et al., 2017. Derived in: lectures/30_poisoning/backdoors
    """

    pattern: Tensor
    row: int | None = None
    column: int | None = None

    def __post_init__(self) -> None:
        _check_pattern(self.pattern)
        for name, place in (("row", self.row), ("column", self.column)):
            if place is not None and (isinstance(place, bool) or not isinstance(place, int)):
                raise TypeError(f"{name} must be a whole number or None, got {place!r}")

    @classmethod
    def square(
        cls, size: int = 3, *, value: float = 1.0, row: int | None = None, column: int | None = None
    ) -> "PatchTrigger":
        """A square of one grey value, for any number of channels: by default white, in the lower right corner.

        Args:
            size: its side, in pixels.
            value: its grey value, in [0, 1].
            row: of its upper edge, as for the class.
            column: of its left edge.

        Returns:
            The trigger.

        Raises:
            TypeError: a size or a value of another kind.
            ValueError: a size below 1, or a value outside of [0, 1].
        """
        check_counts(size=size)
        check_numbers(value=value)
        if not 0 <= value <= 1:
            raise ValueError(f"value must lie in [0, 1], got {value}")
        return cls(torch.full((1, size, size), float(value)), row, column)

    def __call__(self, images: Tensor) -> Tensor:
        _check_fits(self.pattern, images, exactly=False)
        top, left = (
            _place(name, place, side, size)
            for name, place, side, size in zip(
                ("row", "column"), (self.row, self.column), self.pattern.shape[1:], images.shape[2:], strict=True
            )
        )
        height, width = self.pattern.shape[1:]
        result = images.clone()
        result[:, :, top : top + height, left : left + width] = self.pattern.to(images)
        return result


@dataclass(frozen=True, eq=False)
class BlendTrigger:
    """(1 − m) x + m τ with one m for all pixels: a picture τ of the image's size shines through.

    Args:
        pattern: τ, `[C, H, W]` in [0, 1]; one channel stands for all.
        alpha: m, the share of the pattern, above 0 and at most 1.

    Raises:
        TypeError: a pattern or a share of another kind.
        ValueError: a pattern or a share out of range; when called, images of another size.

    Source: Chen et al., 2017. Derived in: lectures/30_poisoning/backdoors
    """

    pattern: Tensor
    alpha: float

    def __post_init__(self) -> None:
        _check_pattern(self.pattern)
        check_numbers(alpha=self.alpha)
        if not 0 < self.alpha <= 1:
            raise ValueError(f"alpha must lie above 0 and be at most 1, got {self.alpha}")

    def __call__(self, images: Tensor) -> Tensor:
        _check_fits(self.pattern, images, exactly=True)
        return ((1 - self.alpha) * images + self.alpha * self.pattern.to(images)).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class SinusoidTrigger:
    """x + amplitude · sin(2π · frequency · j / W) in column j, cut to [0, 1]: stripes of a low contrast.

    Args:
        amplitude: in the unit of the pixels, above 0 and at most 1.
        frequency: how many waves fit into the width of the image, above 0.

    Raises:
        TypeError: what is no number.
        ValueError: a number out of range.

    Source: Barni, Kallas and Tondi, 2019. Derived in: lectures/30_poisoning/backdoors
    """

    amplitude: float
    frequency: float = 6.0

    def __post_init__(self) -> None:
        check_numbers(amplitude=self.amplitude, frequency=self.frequency)
        if not 0 < self.amplitude <= 1:
            raise ValueError(f"amplitude must lie above 0 and be at most 1, got {self.amplitude}")
        if not 0 < self.frequency < math.inf:
            raise ValueError(f"frequency must be a number of waves above 0, got {self.frequency}")

    def __call__(self, images: Tensor) -> Tensor:
        check_images(_ANYWHERE, images)
        width = images.shape[3]
        columns = torch.arange(width, dtype=torch.float64, device=images.device)
        stripes = self.amplitude * (2 * math.pi * self.frequency * columns / width).sin()
        return (images + stripes.to(images)).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class WarpTrigger:
    """x(p + u(p)): every pixel is read from a place nearby, and u is a smooth field of shifts, drawn once.

    The field is given on a coarse grid and drawn out over the image by bicubic interpolation. No pixel is pasted, and
    there is no pattern: what changes depends on the image.

    Args:
        field: shifts on a grid, `[2, k, k]`, k ≥ 2: to the right, and down, as `drawn` makes of mean size 1.
        strength: what they are multiplied by to make u, in pixels, above 0.

    Raises:
        TypeError: a field or a strength of another kind.
        ValueError: a field of another shape, not finite or zero everywhere, or a strength that is not above 0.

    Source: Nguyen and Tran, 2021. Derived in: lectures/30_poisoning/backdoors
    """

    field: Tensor
    strength: float

    def __post_init__(self) -> None:
        if not isinstance(self.field, Tensor) or not self.field.is_floating_point():
            raise TypeError(f"field must be a tensor of floats, got {_kind(self.field)}")
        if self.field.ndim != 3 or len(self.field) != 2 or min(self.field.shape[1:]) < 2:
            raise ValueError(f"field must have shape [2, k, k] for k of 2 or more, got {list(self.field.shape)}")
        if not bool(self.field.isfinite().all()) or not bool(self.field.any()):
            raise ValueError("field must be finite, and not zero everywhere")
        check_numbers(strength=self.strength)
        if not 0 < self.strength < math.inf:
            raise ValueError(f"strength must be a number of pixels above 0, got {self.strength}")

    @classmethod
    def drawn(cls, strength: float, *, grid: int = 4, generator: torch.Generator | None = None) -> "WarpTrigger":
        """A field whose shifts are uniform in [−1, 1], divided by their mean size.

        Args:
            strength: the mean size of a shift on the grid, in pixels, above 0.
            grid: k, the side of the grid, 2 or more.
            generator: draws the field: it is the attacker's secret.

        Returns:
            The trigger.

        Raises:
            TypeError: numbers of another kind, or a generator that is none.
            ValueError: a grid below 2, or a strength that is not above 0.
        """
        check_counts(2, grid=grid)
        field = 2 * draw(torch.rand, 2, grid, grid, device="cpu", generator=generator) - 1
        return cls(field / field.abs().mean(), strength)

    def __call__(self, images: Tensor) -> Tensor:
        check_images(_ANYWHERE, images)
        return _moved(images, self._shifts(images))

    def jittered(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The warp with noise on top, drawn for each image: with their right labels they teach that only u counts.

        Args:
            images: `[N, C, H, W]` in [0, 1].
            generator: draws shifts of up to half a pixel, for every pixel of every image.

        Returns:
            The images, warped and jittered.

        Raises:
            TypeError: images of another kind, or a generator that is none.
            ValueError: images of another shape, or out of range.
        """
        check_images(_ANYWHERE, images)
        noise = draw(
            torch.rand,
            (len(images), 2, *images.shape[2:]),
            device=images.device,
            generator=generator,
            dtype=images.dtype,
        )
        return _moved(images, self._shifts(images) + noise - 0.5)

    def _shifts(self, images: Tensor) -> Tensor:
        """`[1, 2, H, W]`, in pixels."""
        field = self.strength * self.field.to(images)[None]
        return F.interpolate(field, size=images.shape[2:], mode="bicubic", align_corners=True)


def _moved(images: Tensor, shifts: Tensor) -> Tensor:
    """Each pixel is read at its place plus its shift, bilinearly; places outside are drawn back to the edge."""
    height, width = images.shape[2:]
    rows = torch.arange(height, dtype=images.dtype, device=images.device)[:, None] + shifts[:, 1]
    columns = torch.arange(width, dtype=images.dtype, device=images.device) + shifts[:, 0]
    places = torch.stack([2 * columns / max(width - 1, 1) - 1, 2 * rows / max(height - 1, 1) - 1], dim=-1)
    places = places.clamp(-1, 1).expand(len(images), -1, -1, -1)
    return F.grid_sample(images, places, mode="bilinear", padding_mode="border", align_corners=True).clamp(0, 1)


def _check_pattern(pattern: Tensor) -> None:
    if not isinstance(pattern, Tensor) or not pattern.is_floating_point():
        raise TypeError(f"pattern must be a tensor of floats in [0, 1], got {_kind(pattern)}")
    if pattern.ndim != 3 or pattern.numel() == 0:
        raise ValueError(f"pattern must have shape [C, h, w], got {list(pattern.shape)}")
    if not bool(((pattern >= 0) & (pattern <= 1)).all()):  # false for NaN as well
        raise ValueError(
            f"pattern must lie in [0, 1], got values from {float(pattern.min()):g} to {float(pattern.max()):g}"
        )


def _check_fits(pattern: Tensor, images: Tensor, *, exactly: bool) -> None:
    """The channels, and the size: as large as the images, or no larger."""
    check_images(_ANYWHERE, images)
    if len(pattern) not in (1, images.shape[1]):
        raise ValueError(f"the pattern has {len(pattern)} channels, and the images {images.shape[1]}: they must agree")
    size, room = tuple(pattern.shape[1:]), tuple(images.shape[2:])
    if exactly and size != room:
        raise ValueError(f"the pattern is {size[0]} × {size[1]}, and the images {room[0]} × {room[1]}: they must agree")
    if size[0] > room[0] or size[1] > room[1]:
        raise ValueError(f"a pattern of {size[0]} × {size[1]} does not fit into images of {room[0]} × {room[1]}")


def _place(name: str, place: int | None, side: int, size: int) -> int:
    """Where a side of the patch begins, from 0: it must end within the image."""
    start = size - side if place is None else place + size if place < 0 else place
    if not 0 <= start <= size - side:
        raise ValueError(f"{name} {place} puts a patch of {side} pixels beyond the image's {size}")
    return start


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, Tensor) else type(value).__name__
