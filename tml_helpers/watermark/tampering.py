"""What happens to published pictures, by accident or on purpose: each is a function from pictures to pictures."""

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from tml_helpers.common import check_counts, check_numbers, draw

LONGEST_SIDE = 65_500  # of a JPEG


def add_noise(images: Tensor, *, sigma: float, generator: torch.Generator | None = None) -> Tensor:
    """clamp(x + σ·z, 0, 1), z standard normal for each value.

    Args:
        images: `[N, C, H, W]` or one `[C, H, W]`, float32 or float64 in [0, 1].
        sigma: standard deviation, 0 or more; 0.05 is 13 of 255 grey values.
        generator: draws z.

    Returns:
        As `images`.

    Raises:
        TypeError: images of another type; a sigma that is no number.
        ValueError: images of another shape or range; a sigma below 0.

    Derived in: lectures/70_watermarking/images
    """
    _check(images)
    _check_finite(sigma=sigma)
    drawn = draw(torch.randn, images.shape, device=images.device, generator=generator, dtype=images.dtype)
    return (images + sigma * drawn).clamp(0, 1)


def blur(images: Tensor, *, sigma: float) -> Tensor:
    """Each value becomes the mean of those around it, with weights exp(−r²/2σ²) out to 3σ; edges are reflected.

    Args:
        images: `[N, C, H, W]` or one `[C, H, W]`, float32 or float64 in [0, 1].
        sigma: in pixels, 0 or more; 0 changes nothing. 3σ must be less than height and width.

    Returns:
        As `images`.

    Raises:
        TypeError: images of another type; a sigma that is no number.
        ValueError: images of another shape or range, or too small for sigma; a sigma below 0.

    Derived in: lectures/70_watermarking/images
    """
    _check(images)
    _check_finite(sigma=sigma)
    reach = math.ceil(3 * sigma)
    if reach == 0:
        return images.clone()
    if reach >= min(images.shape[-2:]):
        raise ValueError(f"a blur of {sigma:g} pixels needs a side over {reach}, got {list(images.shape[-2:])}")
    steps = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weights = torch.softmax(-(steps**2) / (2 * sigma**2), dim=0)
    flat = F.pad(images.reshape(-1, 1, *images.shape[-2:]), (reach, reach, reach, reach), mode="reflect")
    flat = F.conv2d(F.conv2d(flat, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    return flat.view(images.shape).clamp(0, 1)


def crop(images: Tensor, *, share: float, generator: torch.Generator | None = None) -> Tensor:
    """A window of (1 − share)·H times (1 − share)·W pixels, at a place that is drawn for each image.

    Args:
        images: `[N, C, H, W]` or one `[C, H, W]`, float32 or float64 in [0, 1].
        share: of the height, and of the width, that is cut off, from 0 to below 1.
        generator: draws the places, uniformly.

    Returns:
        `[N, C, H', W']` or `[C, H', W']`: smaller, and not scaled.

    Raises:
        TypeError: images of another type; a share that is no number.
        ValueError: images of another shape or range; a share outside [0, 1), or one that leaves nothing.

    Derived in: lectures/70_watermarking/images
    """
    _check(images)
    check_numbers(share=share)
    if not 0 <= share < 1:
        raise ValueError(f"share is of each side, from 0 to below 1, got {share}")
    height, width = (round((1 - share) * side) for side in images.shape[-2:])
    if min(height, width) == 0:
        raise ValueError(f"a crop of {share:g} leaves nothing of {list(images.shape[-2:])} pixels")
    batch = images.reshape(-1, *images.shape[-3:])
    room = torch.tensor([batch.shape[-2] - height + 1, batch.shape[-1] - width + 1], device="cpu")
    drawn = draw(torch.rand, len(batch), 2, device="cpu", generator=generator, dtype=torch.float64)
    places = [[int(place) for place in row] for row in drawn * room]
    kept = [image[:, y : y + height, x : x + width] for image, (y, x) in zip(batch, places, strict=True)]
    return torch.stack(kept) if images.ndim == 4 else kept[0].clone()


def jpeg(images: Tensor, *, quality: int) -> Tensor:
    """What a JPEG file of this quality keeps: written and read again, by Pillow, colours at half resolution.

    Args:
        images: `[N, C, H, W]` or one `[C, H, W]`, float32 or float64 in [0, 1]; C is 1 (grey) or 3 (RGB).
        quality: 1 (worst) to 100. Even 100 rounds to 256 levels.

    Returns:
        As `images`, without a gradient.

    Raises:
        TypeError: images of another type; a quality that is no whole number.
        ValueError: images of another shape or range, neither grey nor RGB, or larger than a JPEG can be; another
            quality.

    Source: Wallace, 1991. Derived in: lectures/70_watermarking/images
    """
    _check(images)
    check_counts(quality=quality)
    if quality > 100:
        raise ValueError(f"quality must be 1 to 100, got {quality}")
    if images.shape[-3] not in (1, 3) or max(images.shape[-2:]) > LONGEST_SIDE:
        raise ValueError(
            f"a JPEG is grey or RGB and at most {LONGEST_SIDE} pixels wide and high, got {list(images.shape[-3:])}"
        )
    batch = images.detach().reshape(-1, *images.shape[-3:]).mul(255).round().to("cpu", torch.uint8)
    read = torch.stack([_through_jpeg(image, quality) for image in batch])
    return (read.to(images.device, images.dtype) / 255).view(images.shape)


def resize_and_back(images: Tensor, *, factor: float) -> Tensor:
    """Scaled to `factor` times the size and back again, bilinear with a low-pass filter: the fine detail goes.

    Args:
        images: `[N, C, H, W]` or one `[C, H, W]`, float32 or float64 in [0, 1].
        factor: over 0; below 1 detail is lost, above 1 nearly nothing happens.

    Returns:
        As `images`. For the smaller picture itself, see `resize`.

    Raises:
        TypeError: images of another type; a factor that is no number.
        ValueError: images of another shape or range; a factor that is not positive, or that leaves no pixel.

    Derived in: lectures/70_watermarking/images
    """
    return _scaled(resize(images, factor=factor), *images.shape[-2:])


def resize(images: Tensor, *, factor: float) -> Tensor:
    """Scaled to `factor` times the height and width, bilinear with a low-pass filter.

    Args:
        images: `[N, C, H, W]` or one `[C, H, W]`, float32 or float64 in [0, 1].
        factor: over 0; H' and W' are rounded.

    Returns:
        `[N, C, H', W']` or `[C, H', W']`.

    Raises:
        TypeError: images of another type; a factor that is no number.
        ValueError: images of another shape or range; a factor that is not positive, or that leaves no pixel.

    Derived in: lectures/70_watermarking/images
    """
    _check(images)
    _check_finite(factor=factor)
    height, width = (round(factor * side) for side in images.shape[-2:])
    if min(height, width) == 0:
        raise ValueError(f"a factor of {factor:g} leaves no pixel of {list(images.shape[-2:])}")
    return _scaled(images, height, width)


def rotate(images: Tensor, *, degrees: float) -> Tensor:
    """Turned about the middle, counter-clockwise, bilinear; what comes in from outside is the nearest edge.

    Args:
        images: `[N, C, H, W]` or one `[C, H, W]`, float32 or float64 in [0, 1].
        degrees: any angle.

    Returns:
        As `images`.

    Raises:
        TypeError: images of another type; an angle that is no number.
        ValueError: images of another shape or range; an angle that is not finite.

    Derived in: lectures/70_watermarking/images
    """
    _check(images)
    check_numbers(degrees=degrees)
    if not math.isfinite(degrees):
        raise ValueError(f"degrees must be finite, got {degrees}")
    batch = images.reshape(-1, *images.shape[-3:])
    height, width = batch.shape[-2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = torch.tensor([[cos, -sin * height / width, 0], [sin * width / height, cos, 0]], dtype=torch.float64)
    turns = turn.to(batch.device, batch.dtype).expand(len(batch), 2, 3)
    grid = F.affine_grid(turns, list(batch.shape), align_corners=False)
    return F.grid_sample(batch, grid, padding_mode="border", align_corners=False).view(images.shape).clamp(0, 1)


def psnr(images: Tensor, originals: Tensor) -> float:
    """−10 log₁₀ of the mean squared difference, in dB for values in [0, 1]; infinite where nothing was changed."""
    error = float((images.double() - originals.double()).square().mean())
    return -10 * math.log10(error) if error else math.inf


def _scaled(images: Tensor, height: int, width: int) -> Tensor:
    batch = images.reshape(-1, *images.shape[-3:])
    scaled = F.interpolate(batch, (height, width), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    return scaled if images.ndim == 4 else scaled[0]


def _through_jpeg(image: Tensor, quality: int) -> Tensor:
    """uint8 `[C, H, W]` on the CPU, written and read."""
    pixels = image.permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)).save(
        file, "JPEG", quality=quality
    )
    read = np.array(Image.open(file))
    return torch.from_numpy(read.reshape(pixels.shape)).permute(2, 0, 1)


def _check(images: Tensor) -> None:
    """One picture or several, floating-point, in [0, 1]."""
    if not isinstance(images, Tensor) or images.dtype not in (torch.float32, torch.float64):
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images must be a float32 or float64 tensor in [0, 1], got {kind}")
    if images.ndim not in (3, 4) or images.numel() == 0:
        raise ValueError(f"images must be [N, C, H, W] or [C, H, W] and not empty, got {list(images.shape)}")
    lowest, highest = (float(bound) for bound in images.detach().aminmax())
    if not (lowest >= 0 and highest <= 1):  # false for NaN as well
        raise ValueError(f"images must lie in [0, 1], got values from {lowest:g} to {highest:g}")


def _check_finite(**numbers: float) -> None:
    """σ or a factor: 0 or more for σ, above 0 for a factor."""
    check_numbers(**numbers)
    for name, number in numbers.items():
        if not math.isfinite(number) or number < 0 or (name == "factor" and number == 0):
            least = "more than 0" if name == "factor" else "0 or more"
            raise ValueError(f"{name} must be finite and {least}, got {number}")
