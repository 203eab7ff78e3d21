"""What may happen to an image between its marking and its reading, with a gradient, so that a mark is trained for it.

`watermark.tampering` has the real attacks, as a JPEG file is one; these are their differentiable stand-ins.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from tml_helpers.common import draw, uniform

BLOCK = 8  # JPEG's
LUMINANCE = (  # the table of its standard's annex K, for quality 50
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def tampered(images: Tensor, generator: torch.Generator | None) -> Tensor:
    """A quarter of the images each: left as they are, noisy, with a hole, and rounded as in a JPEG file."""
    groups = torch.arange(len(images), device=images.device) % 4
    parts = (images[groups == 0], *(change(images[groups == n], generator) for n, change in enumerate(CHANGES, 1)))
    order = torch.cat([torch.nonzero(groups == group)[:, 0] for group in range(4)])
    return torch.cat(parts)[order.argsort()]


def noisy(images: Tensor, generator: torch.Generator | None) -> Tensor:
    """Normal noise, for each image of a σ of its own, up to 0.1."""
    size = uniform(0, 0.1, images, generator, 1, 1, 1)
    noise = draw(torch.randn, images.shape, device=images.device, generator=generator, dtype=images.dtype)
    return (images + size * noise).clamp(0, 1)


def with_hole(images: Tensor, generator: torch.Generator | None) -> Tensor:
    """A rectangle of half the height and half the width is black, for each image at a place of its own."""
    inside = []
    for side in images.shape[2:]:
        start = (uniform(0, 1, images, generator, 1) * (side - side // 2 + 1)).floor()
        places = torch.arange(side, device=images.device)
        inside.append((places >= start) & (places < start + side // 2))  # [N, side]
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(hole, 0.0)


def rounded(images: Tensor, generator: torch.Generator | None) -> Tensor:
    """The cosine waves of 8×8 blocks, rounded as by JPEG at a quality from 50 to 90; the slope is 1."""
    quality = 50 + 40 * float(draw(torch.rand, (), device="cpu", generator=generator))
    steps = images.new_tensor(LUMINANCE) * (2 - quality / 50)
    height, width = images.shape[-2:]
    padded = F.pad(images, [0, -width % BLOCK, 0, -height % BLOCK], mode="replicate")
    rows, columns = (side // BLOCK for side in padded.shape[-2:])
    blocks = padded.unflatten(3, (columns, BLOCK)).unflatten(2, (rows, BLOCK)).transpose(3, 4)
    basis = cosines(images)
    waves = basis @ (255 * blocks) @ basis.T
    waves = waves + (steps * (waves / steps).round() - waves).detach()
    restored = (basis.T @ waves @ basis / 255).transpose(3, 4).flatten(4, 5).flatten(2, 3)
    cut: Tensor = restored[..., :height, :width].clamp(0, 1)
    return cut


CHANGES = (noisy, with_hole, rounded)


def cosines(like: Tensor) -> Tensor:
    """The orthonormal cosine transform `[8, 8]`, one wave in each row."""
    places = torch.arange(BLOCK, dtype=torch.float64)
    waves = torch.cos(math.pi / BLOCK * (places + 0.5) * places[:, None]) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2)
    return waves.to(like.device, like.dtype)
