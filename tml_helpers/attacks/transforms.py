"""What the world does to an image before a model sees it: pose, light, blur, noise, and spots of infrared light.

A random transformation is made once and then called as `transform(images, generator)`: it draws anew for each image,
keeps the shape and can be differentiated.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tml_helpers.common import check_numbers, draw, uniform

Transformation = Callable[[Tensor, torch.Generator | None], Tensor]
"""`transform(images, generator)`: images of the same shape."""


def transformed(
    images: Tensor, transformations: Sequence[Transformation], generator: torch.Generator | None = None
) -> Tensor:
    """The images after each of the transformations, in their order.

    Args:
        images: `[N, C, H, W]`.
        transformations: each called as `transform(images, generator)`.
        generator: on any device.

    Returns:
        `[N, C, H, W]`.

    Raises:
        ValueError: a transformation changed the shape.

    Derived in: lectures/20_adversarial/other_threat_models
    """
    seen = images
    for transform in transformations:
        seen = transform(seen, generator)
        if seen.shape != images.shape:
            raise ValueError(f"a transformation must keep the shape {list(images.shape)}, got {list(seen.shape)}")
    return seen


def rotate_and_shift(images: Tensor, degrees: Tensor, shifts: Tensor, scales: Tensor | None = None) -> Tensor:
    """Each image turned about its centre, enlarged and shifted: bilinear, with black from beyond the border.

    Args:
        images: `[N, C, H, W]`.
        degrees: `[N]`, counter-clockwise as one sees it.
        shifts: `[N, 2]`, down and right, in pixels.
        scales: `[N]`, above 0, factors of the size; None for 1.

    Returns:
        `[N, C, H, W]`: zero degrees, zero shifts and a scale of one give the images back, to rounding.

    Derived in: lectures/20_adversarial/other_threat_models
    """
    height, width = images.shape[2:]
    scales = torch.ones_like(degrees) if scales is None else scales
    cos, sin = degrees.deg2rad().cos() / scales, degrees.deg2rad().sin() / scales
    down, right = shifts.unbind(1)
    # where a pixel of the result comes from: turn and shrink back what lies between it and the shifted centre
    x_row = torch.stack([cos, -sin * height / width, (sin * down - cos * right) * 2 / width], dim=1)
    y_row = torch.stack([sin * width / height, cos, (-sin * right - cos * down) * 2 / height], dim=1)
    grid = F.affine_grid(torch.stack([x_row, y_row], dim=1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def random_pose(
    *, max_rotation: float = 0.0, max_shift: float = 0.0, scales: tuple[float, float] = (1.0, 1.0)
) -> Transformation:
    """An angle up to `max_rotation` degrees either way, a shift up to `max_shift` pixels, a scale between two.

    Args:
        max_rotation: in degrees, 0 or more.
        max_shift: down, up, left and right, in pixels, 0 or more.
        scales: the least and the largest factor of the size, above 0.

    Returns:
        `transform(images, generator)`.

    Raises:
        ValueError: a number outside its range.

    Derived in: lectures/20_adversarial/other_threat_models
    """
    check_numbers(max_rotation=max_rotation, max_shift=max_shift)
    if not 0 <= max_rotation < math.inf or not 0 <= max_shift < math.inf or not 0 < scales[0] <= scales[1]:
        raise ValueError(
            f"max_rotation and max_shift are 0 or more and scales rise from above 0, "
            f"got {max_rotation}, {max_shift} and {scales}"
        )

    def pose(images: Tensor, generator: torch.Generator | None) -> Tensor:
        return rotate_and_shift(
            images,
            uniform(-max_rotation, max_rotation, images, generator),
            uniform(-max_shift, max_shift, images, generator, 2),
            uniform(*scales, images, generator),
        )

    return pose


def random_light(*, brightness: float = 0.0, contrast: float = 0.0) -> Transformation:
    """x ↦ (1 + c)·x + b, cut to [0, 1], with |b| ≤ brightness and |c| ≤ contrast: the lamp, the sun, the printer.

    Args:
        brightness: the largest |b|, in units of a pixel's value, 0 or more.
        contrast: the largest |c|, from 0 to 1.

    Returns:
        `transform(images, generator)`.

    Raises:
        ValueError: a number outside its range.

    Derived in: lectures/20_adversarial/other_threat_models
    """
    check_numbers(brightness=brightness, contrast=contrast)
    if not 0 <= brightness < math.inf or not 0 <= contrast <= 1:
        raise ValueError(f"brightness is 0 or more and contrast from 0 to 1, got {brightness} and {contrast}")

    def light(images: Tensor, generator: torch.Generator | None) -> Tensor:
        gain = 1 + uniform(-contrast, contrast, images, generator, 1, 1, 1)
        return (gain * images + uniform(-brightness, brightness, images, generator, 1, 1, 1)).clamp(0, 1)

    return light


def random_blur(*, max_sigma: float) -> Transformation:
    """A Gaussian blur of at most `max_sigma` pixels: the camera out of focus.

    Args:
        max_sigma: the largest standard deviation, in pixels, above 0.

    Returns:
        `transform(images, generator)`.

    Raises:
        ValueError: a number outside its range.

    Derived in: lectures/20_adversarial/other_threat_models
    """
    check_numbers(max_sigma=max_sigma)
    if not 0 < max_sigma < math.inf:
        raise ValueError(f"max_sigma is a width in pixels above 0, got {max_sigma}")

    def blur(images: Tensor, generator: torch.Generator | None) -> Tensor:
        count, channels, height, _ = images.shape
        reach = math.ceil(2 * max_sigma)
        places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
        sigma = uniform(0.1, max(max_sigma, 0.1), images, generator, 1)
        kernel = (-0.5 * (places / sigma).square()).softmax(dim=1)  # (N, 2·reach + 1), rows add up to 1
        kernel = kernel.repeat_interleave(channels, dim=0)[:, None]
        pixels = F.pad(images, [reach] * 4, mode="replicate").view(1, count * channels, height + 2 * reach, -1)
        pixels = F.conv2d(pixels, kernel[..., None], groups=count * channels)
        return F.conv2d(pixels, kernel[..., None, :], groups=count * channels).view(images.shape)

    return blur


def random_noise(*, deviation: float) -> Transformation:
    """Gaussian noise on every pixel, cut to [0, 1]: the sensor.

    Args:
        deviation: the noise's standard deviation, in units of a pixel's value, 0 or more.

    Returns:
        `transform(images, generator)`.

    Raises:
        ValueError: a number outside its range.

    Derived in: lectures/20_adversarial/other_threat_models
    """
    check_numbers(deviation=deviation)
    if not 0 <= deviation < math.inf:
        raise ValueError(f"deviation is 0 or more, got {deviation}")

    def noise(images: Tensor, generator: torch.Generator | None) -> Tensor:
        drawn = draw(torch.randn, images.shape, device=images.device, generator=generator, dtype=images.dtype)
        return (images + deviation * drawn).clamp(0, 1)

    return noise


def infrared_spots(images: Tensor, spots: Tensor) -> Tensor:
    """x + Σ brightness · exp(−distance² / 2·size²), cut to [0, 1]: light that a camera sees and a person does not.

    Args:
        images: x, `[N, C, H, W]` in [0, 1].
        spots: `[N, S, 4]`: of each spot the centre (down and right, from 0 to 1 across the image), the brightness in
            units of a pixel's value, and the size in units of the image's height.

    Returns:
        `[N, C, H, W]`, differentiable in all four.

    Raises:
        ValueError: spots of another shape.

    Source: after the light model of Zhou et al., 2018. Derived in: lectures/20_adversarial/other_threat_models
    """
    if spots.ndim != 3 or spots.shape[0] != len(images) or spots.shape[2] != 4:
        raise ValueError(f"spots must be [{len(images)}, S, 4], got {list(spots.shape)}")
    height, width = images.shape[2:]
    rows = (torch.arange(height, device=images.device, dtype=images.dtype) + 0.5) / height
    columns = (torch.arange(width, device=images.device, dtype=images.dtype) + 0.5) / width
    down, right, brightness, size = (part[..., None, None] for part in spots.unbind(-1))  # each (N, S, 1, 1)
    squared = (rows[:, None] - down).square() + ((columns - right) * width / height).square()
    light = (brightness * (-0.5 * squared / size.clamp_min(1e-3).square()).exp()).sum(dim=1)
    return (images + light[:, None]).clamp(0, 1)
