"""An invisible mark in a picture: the message's bits as the signs of secret patterns, spread over all pixels."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from tml_helpers.common import check_counts, check_numbers
from tml_helpers.watermark import _tiles
from tml_helpers.watermark._messages import bits_of
from tml_helpers.watermark.evidence import SMALLEST, Evidence, signed_rank_evidence
from tml_helpers.watermark.keys import check_key

LONGEST_MESSAGE = 256  # bits
LEVELS = {torch.uint8: 255, torch.uint16: 65535}
SEARCH_POWER = 0.15  # of the mark's, for the carrier that finds the offset
ROUNDS, STEP = 4, 0.7  # of evening out the bits


class UnreadableMarkWarning(UserWarning):
    """Bits of a message cannot be read from the picture in which they were just embedded."""


@dataclass(frozen=True, eq=False)
class ImageEvidence(Evidence):
    """What `detect_image` found: a mark of this key, whatever it says; and what it says."""

    message: Tensor  # [n] bool: the bits as they were read
    margins: Tensor  # [n] float64: what each carrier found, in standard deviations of what it finds without a mark
    offset: tuple[int, int]  # row and column, modulo 64, at which a tile begins
    search_score: float  # of the search carrier there: the best of 4,096, and so no evidence
    of_message: Evidence | None  # that it says the message that was asked for, not another of n bits
    wrong_bits: int | None  # of that message; n coins, if it was not embedded


def embed_image(images: Tensor, message: Sequence[int] | Tensor, *, key: bytes, psnr: float = 38.0) -> Tensor:
    """x + a Σⱼ wⱼ bⱼ cⱼ, tiled: carriers cⱼ that the key draws, weights wⱼ with which all bits are read equally well.

    The carriers are orthonormal patterns of 64×64 pixels, of 0.06 to 0.28 cycles a pixel, and one more finds the
    offset. The same values are added to red, green and blue. The size a is the largest that the PSNR allows, after
    clamping and rounding.

    Args:
        images: `[N, C, H, W]` or one `[C, H, W]`, grey (C = 1) or RGB (C = 3), at least 64×64 pixels: floats in
            [0, 1], uint8, or uint16 with all of its 16 bits in use.
        message: n bits, 0/1 or bool, 1 to 256. The same for all images.
        key: the secret, 16 to 32 bytes.
        psnr: peak signal-to-noise ratio in dB, −10·log₁₀ of the mean squared change, which no image falls below;
            20 to 60.

    Returns:
        The marked images, as `images` in shape, type and device, without a gradient.

    Raises:
        TypeError: images of another type, bits or a key of another kind.
        ValueError: images that are neither grey nor RGB, too small, empty or out of range; a message that is no row of
            0 and 1, or too long; another PSNR.

    Warns:
        UnreadableMarkWarning: where the picture can't hold the message at this PSNR.

    Source: Cox, Kilian, Leighton and Shamoon, 1997. Derived in: lectures/70_watermarking/images
    """
    pictures = _pictures(images)
    if min(images.shape[-2:]) < _tiles.SIDE:
        raise ValueError(f"a mark needs at least {_tiles.SIDE}×{_tiles.SIDE} pixels, got {list(images.shape[-2:])}")
    signs = 2 * _bits(message).double() - 1
    check_key(key)
    check_numbers(psnr=psnr)
    if not 20 <= psnr <= 60:
        raise ValueError(f"psnr must be 20 to 60 dB, got {psnr}")
    frame = _tiles.carriers(key, len(signs)).to(images.device)
    signs, levels = signs.to(images.device), LEVELS.get(images.dtype)
    marked = torch.empty_like(images, requires_grad=False).view(-1, *images.shape[-3:])
    for index, picture in enumerate(pictures):
        found = _embedded(picture, signs, frame, 10 ** (-psnr / 10), images.dtype)
        marked[index] = found if levels is None else (found * levels).round()
        unread = _found(_tiles.folded(found), frame, signs.cpu() > 0).wrong_bits
        if unread:
            warnings.warn(
                f"{unread} of {len(signs)} bits cannot be read from image {index} as it is now: "
                "embed fewer bits, or lower psnr",
                UnreadableMarkWarning,
                stacklevel=2,
            )
    return marked.view(images.shape)


def detect_image(
    images: Tensor, *, key: bytes, bits: int | None = None, message: Sequence[int] | Tensor | None = None
) -> ImageEvidence | list[ImageEvidence]:
    """‖projection of the picture's tile onto the bits' carriers‖² / ‖tile‖² ~ Beta(n/2, (d − 1 − n)/2) over the key.

    The search carrier finds the offset, and says nothing more; what it holds is taken out. At that offset the bits'
    carriers, which are drawn independently of the picture and of the search, testify: so the search costs nothing,
    and the law is exact for every picture. A message that was known before adds the evidence for itself: the
    signed ranks of its margins.

    Args:
        images: one `[C, H, W]`, or `[N, C, H, W]`, grey or RGB, of any size: floats in [0, 1], uint8 or uint16.
        key: the secret, 16 to 32 bytes.
        bits: how many to read, 1 to 256; None for as many as `message` has, or 32. The first bits of a longer message
            can be read alone.
        message: n bits that were fixed before anybody looked, or None. One that was read from this picture proves
            nothing about it.

    Returns:
        The evidence for one image, a list of them for a batch. A picture without detail gives a p-value of 1.

    Raises:
        TypeError: images of another type, bits or a key of another kind.
        ValueError: images that are neither grey nor RGB, empty or out of range; a message that is no row of 0 and 1,
            or too long, or of another length than `bits`.

    Derived in: lectures/70_watermarking/images
    """
    pictures = _pictures(images)
    check_key(key)
    asked = None if message is None else _bits(message)
    count = bits if bits is not None else 32 if asked is None else len(asked)
    check_counts(bits=count)
    if count > LONGEST_MESSAGE or (asked is not None and len(asked) != count):
        expected = f"1 to {LONGEST_MESSAGE}" if asked is None else f"{len(asked)}, as many as the message has,"
        raise ValueError(f"bits must be {expected} got {count}")
    frame = _tiles.carriers(key, count).to(images.device)
    found = [_found(_tiles.folded(picture), frame, asked) for picture in pictures]
    return found if images.ndim == 4 else found[0]


def _found(pattern: Tensor, frame: Tensor, asked: Tensor | None) -> ImageEvidence:
    """The search, then the testimony of the bits' carriers at the offset that it found."""
    scores = _tiles.search_scores(pattern, frame[0])
    row, column = divmod(int(scores.argmax()), _tiles.SIDE)
    found = _margins(pattern.roll((-row, -column), (0, 1)), frame).cpu()
    cosines, freedom = found[1:], _tiles.DIMENSIONS - 1
    share, count = float(cosines.square().sum()), len(cosines)
    p_value = max(float(stats.beta.sf(share, count / 2, (freedom - count) / 2)), SMALLEST)
    read, of_message, wrong = cosines > 0, None, None
    if asked is not None:
        wrong = int((read != asked).sum())
        of_message = signed_rank_evidence(cosines * (2 * asked.double() - 1))
    return ImageEvidence(
        statistic=share,
        p_value=p_value,
        p_beyond=p_value if share > 0 else 0.0,
        message=read,
        margins=cosines * math.sqrt(freedom),
        offset=(row, column),
        search_score=float(scores.max()) * math.sqrt(_tiles.DIMENSIONS),
        of_message=of_message,
        wrong_bits=wrong,
    )


def _margins(pattern: Tensor, frame: Tensor) -> Tensor:
    """Cosines `[1 + n]`: of the pattern with the search carrier, and of what remains with the others."""
    vector = _tiles.coordinates(pattern)
    along = frame[0] @ vector
    rest = vector - along * frame[0]
    cosines = torch.cat([(along / vector.norm())[None], frame[1:] @ rest / rest.norm()])
    return cosines.nan_to_num(0.0)


def _embedded(picture: Tensor, signs: Tensor, frame: Tensor, error: float, dtype: torch.dtype) -> Tensor:
    """The marked picture, after rounds in which the bits that are read less well than others get more weight."""
    weights = torch.full_like(signs, math.sqrt((1 - SEARCH_POWER) / len(signs)))
    for _ in range(ROUNDS):
        marked = _added(picture, _mark(weights * signs, frame, picture), error)
        read = (_margins(_tiles.folded(marked), frame)[1:] * signs) * math.sqrt(_tiles.DIMENSIONS)
        goal = read.clamp_min(0.5).mean()
        weights = (weights * (1 + STEP * (1 - read / goal))).clamp_min(0.02)
        weights = weights / weights.norm() * math.sqrt(1 - SEARCH_POWER)
    return _added(picture, _mark(weights * signs, frame, picture), error, dtype)


def _mark(of_bits: Tensor, frame: Tensor, picture: Tensor) -> Tensor:
    """`[H, W]`: the pattern over the whole picture, with a mean square of 1."""
    height, width = picture.shape[-2:]
    pattern = _tiles.tile(of_bits @ frame[1:] + math.sqrt(SEARCH_POWER) * frame[0])
    whole = pattern.repeat(-(-height // _tiles.SIDE), -(-width // _tiles.SIDE))[:height, :width]
    return whole / whole.square().mean().sqrt()


def _added(picture: Tensor, mark: Tensor, error: float, dtype: torch.dtype | None = None) -> Tensor:
    """Picture and mark, clamped (and rounded, for a type), with a mean squared change of just under `error`."""
    size = math.sqrt(error)
    for _ in range(8):
        marked = _rounded((picture + size * mark).clamp(0, 1), dtype)
        change = float((marked - picture).square().mean())
        if 0.999 * error < change <= error or change == 0:
            break
        size *= min(math.sqrt(0.9995 * error / change), 2.0)
    while change > error:
        size *= 0.995
        marked = _rounded((picture + size * mark).clamp(0, 1), dtype)
        change = float((marked - picture).square().mean())
    return marked


def _rounded(picture: Tensor, dtype: torch.dtype | None) -> Tensor:
    """float64, at the values that a type has."""
    if dtype is None:
        return picture
    levels = LEVELS.get(dtype)
    return picture.to(dtype).double() if levels is None else (picture * levels).round() / levels


def _bits(message: Sequence[int] | Tensor) -> Tensor:
    """`[n]`, bool, on the CPU; not more than carriers are made for."""
    bits = bits_of(message)
    if len(bits) > LONGEST_MESSAGE:
        raise ValueError(f"message must have at most {LONGEST_MESSAGE} bits, got {len(bits)}")
    return bits


def _pictures(images: Tensor) -> Tensor:
    """`[N, C, H, W]`, float64 in [0, 1]."""
    if not isinstance(images, Tensor) or not (images.is_floating_point() or images.dtype in LEVELS):
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images must be a tensor of floats in [0, 1], uint8 or uint16, got {kind}")
    if images.ndim not in (3, 4) or images.shape[-3] not in (1, 3) or images.numel() == 0:
        raise ValueError(
            f"images must be [N, C, H, W] or [C, H, W], grey (C = 1) or RGB (C = 3), got {list(images.shape)}"
        )
    pictures = images.detach().double() / LEVELS.get(images.dtype, 1)
    lowest, highest = (float(bound) for bound in pictures.aminmax())
    if not (lowest >= 0 and highest <= 1):  # false for NaN as well
        raise ValueError(f"images must lie in [0, 1], got values from {lowest:g} to {highest:g}")
    return pictures.reshape(-1, *images.shape[-3:])
