"""A pattern of 64×64 pixels that is laid over a picture again and again, and what a picture holds of such patterns.

Patterns are built of waves alone that are fine enough to be hard to see and coarse enough to survive a JPEG. In the
orthonormal basis of these waves a pattern is a vector of `DIMENSIONS` numbers, and a shift keeps its length.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from tml_helpers.watermark.keys import normals

SIDE = 64  # pixels of a tile
COARSEST, FINEST = 0.06, 0.28  # cycles a pixel
MARGIN = 16  # pixels that are mirrored around a picture, so that its edges are no steps
NEIGHBOURS = 3.0  # pixels, σ of the window in which a picture's local deviation is measured
FLAT = 1e-9  # a picture of less deviation holds nothing
CLIP, FLOOR = 2.0, 0.3  # in local deviations; in mean deviations
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, as in JPEG


def _waves() -> Tensor:
    """`[d/2, 2]`: row and column frequency of each wave, one of each pair ±f."""
    steps = torch.fft.fftfreq(SIDE, dtype=torch.float64, device="cpu")
    down, right = steps[:, None], steps[None]
    size = (down**2 + right**2).sqrt()
    one_of_two = (down > 0) | ((down == 0) & (right > 0))
    return torch.nonzero((size >= COARSEST) & (size <= FINEST) & one_of_two)


WAVES = _waves()
DIMENSIONS = 2 * len(WAVES)


def carriers(key: bytes, bits: int) -> Tensor:
    """`[bits + 1, d]`, orthonormal rows, uniform among all such frames over the key: row 0 is for the search.

    The first rows are the same for any number of bits.
    """
    search = normals(key, "images: search", 1, DIMENSIONS)
    drawn = torch.cat([search, normals(key, "images: bits", bits, DIMENSIONS)])
    frame, triangle = torch.linalg.qr(drawn.T)
    rows: Tensor = (frame * triangle.diag().sign()).T  # without the signs LAPACK's choice would be in them
    return rows


def tile(vector: Tensor) -> Tensor:
    """`[d]` → `[64, 64]`: the pattern that has these coordinates, of the same length."""
    spectrum = torch.zeros(SIDE, SIDE, dtype=torch.complex128, device=vector.device)
    half = torch.view_as_complex(vector.reshape(-1, 2)) / math.sqrt(2)
    spectrum[WAVES[:, 0], WAVES[:, 1]] = half
    spectrum[-WAVES[:, 0], -WAVES[:, 1]] = half.conj()
    pattern: Tensor = torch.fft.ifft2(spectrum, norm="ortho").real
    return pattern


def coordinates(pattern: Tensor) -> Tensor:
    """`[64, 64]` → `[d]`: what the pattern holds of each wave; the inverse of `tile`."""
    spectrum = torch.fft.fft2(pattern, norm="ortho")[WAVES[:, 0], WAVES[:, 1]]
    return torch.view_as_real(spectrum).flatten() * math.sqrt(2)


def folded(image: Tensor) -> Tensor:
    """`[C, H, W]`, float64 → `[64, 64]`: the picture's fine detail, evened out, and its tiles added up.

    Detail is luminance in the waves' band, each frequency times its size, since pictures have less of the fine ones.
    It is divided by its local deviation, clipped, and divided again: smooth places say most of a mark, and no edge
    outvotes them.
    """
    light = image[0]
    if len(image) == 3:
        light = torch.einsum("c,chw->hw", image.new_tensor(LUMINANCE), image)
    down, right = (min(MARGIN, side - 1) for side in light.shape)
    padded = F.pad((light - light.mean())[None, None], (right, right, down, down), mode="reflect")[0, 0]
    height, width = padded.shape
    rows = torch.fft.fftfreq(height, dtype=torch.float64, device=image.device)[:, None]
    columns = torch.fft.rfftfreq(width, dtype=torch.float64, device=image.device)[None]
    size = (rows**2 + columns**2).sqrt()
    inside = (size >= COARSEST - 0.01) & (size <= FINEST + 0.01)
    detail = torch.fft.irfft2(torch.fft.rfft2(padded) * size * inside, s=(height, width))
    window = torch.exp(-2 * (math.pi * NEIGHBOURS * size) ** 2)
    power = torch.fft.irfft2(torch.fft.rfft2(detail**2) * window, s=(height, width)).clamp_min(0)
    mean = power.sqrt().mean()
    if mean < FLAT:
        return image.new_zeros(SIDE, SIDE)
    deviation = (power + (FLOOR * mean) ** 2).sqrt()
    even = (detail / deviation).clamp(-CLIP, CLIP) * (mean / deviation)
    even = even[down : height - down, right : width - right]
    even = F.pad(even, (0, -even.shape[1] % SIDE, 0, -even.shape[0] % SIDE))
    rows_of_tiles: Tensor = even.unflatten(0, (-1, SIDE)).unflatten(2, (-1, SIDE))
    return rows_of_tiles.sum(dim=(0, 2))


def search_scores(pattern: Tensor, search: Tensor) -> Tensor:
    """`[64, 64]`: the cosine of a pattern with the search carrier, at every offset; zeros for an empty pattern."""
    spectrum = torch.fft.fft2(pattern) * torch.fft.fft2(tile(search)).conj()
    length = coordinates(pattern).norm()
    return torch.fft.ifft2(spectrum).real / length if length > 0 else torch.zeros_like(pattern)
