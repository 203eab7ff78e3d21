"""out[m] = image where masks[m, segments], else fill: one image, hidden in parts, as often as there are masks.

Fewest bytes: the batch is written once, M·C·H·W·b bytes. Image, fill and segments are read once for 32 masks, which
an integer holds as 32 bits; they are small and stay in the cache. Plain PyTorch gathers a mask for each image and
pixel, writes it and reads it back. Derived in: lectures/09_kernels/superpixels
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tml_helpers.kernels._kind import kind
from tml_helpers.kernels._triton import jit, tl, triton

BITS = 32  # masks of a program: the bits of one word
BLOCK = 1024  # entries of a program


def reference(image: Tensor, segments: Tensor, masks: Tensor, fill: Tensor) -> Tensor:
    """The batch as one writes it in plain PyTorch: what the kernel is checked against."""
    return torch.where(masks[:, segments][:, None], image, fill)  # (m, s) -> (m, h, w) -> (m, c, h, w)


# ---------------------------------------------------------------------------------------------- without a GPU


def plain(image: Tensor, segments: Tensor, masks: Tensor, fill: Tensor, channels_last: bool) -> Tensor:
    """The same; what is far in memory is not visited twice, and NumPy gathers single bytes faster than PyTorch."""
    if not channels_last:
        return torch.where(_take(masks, segments)[:, None], image, fill)
    seen, place, hidden = _entries(image, segments, fill, channels_last)
    batch = torch.where(_take(masks, place), seen, hidden)  # (m, h · w · c)
    return batch.view(len(masks), *image.permute(1, 2, 0).shape).permute(0, 3, 1, 2)


def _take(masks: Tensor, segments: Tensor) -> Tensor:
    """Whether each image shows each place, `[M, …]`."""
    if masks.device.type != "cpu":
        return masks[:, segments]
    return torch.from_numpy(np.take(masks.numpy(), segments.numpy(), axis=1))


def _entries(image: Tensor, segments: Tensor, fill: Tensor, channels_last: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Image, segments and fill, a number for each entry in the order of the batch's memory, `[C · H · W]`."""
    if channels_last:
        places = segments.flatten().repeat_interleave(len(image))
        return image.permute(1, 2, 0).flatten(), places, fill.permute(1, 2, 0).flatten()
    return image.flatten(), segments.flatten().repeat(len(image)), fill.flatten()


# --------------------------------------------------------------------------------------------------- on a GPU


def pack(masks: Tensor) -> Tensor:
    """`[M, S]` → int32 `[⌈M/32⌉, S]`: bit j of word g tells whether the segment is visible in image 32·g + j."""
    groups = -(-len(masks) // BITS)
    rows = torch.zeros(groups * BITS, masks.shape[1], dtype=torch.int64, device=masks.device)
    rows[: len(masks)] = masks
    places = torch.arange(BITS, device=masks.device)[:, None]
    words = (rows.view(groups, BITS, -1) << places).sum(dim=1)  # from 0 to 2³² − 1
    return words.to(torch.int32)  # the same 32 bits


@jit
def _compose(  # type: ignore[no-untyped-def]
    image, fill, segments, words, batch,  # pointers
    size, width, count,
    BLOCK: tl.constexpr, BITS: tl.constexpr,
):  # fmt: skip
    """A block of entries of up to 32 images: reads what is common to them, then only writes."""
    entry = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = entry < size
    seen = tl.load(image + entry, inside)
    hidden = tl.load(fill + entry, inside)
    segment = tl.load(segments + entry, inside, 0)
    word = tl.load(words + tl.program_id(1) * width + segment, inside, 0)
    first = tl.program_id(1).to(tl.int64) * BITS  # of the images; a batch may have more than 2³¹ entries
    for bit in tl.static_range(BITS):
        visible = ((word >> bit) & 1) != 0
        here = batch + (first + bit) * size + entry
        tl.store(here, tl.where(visible, seen, hidden), inside & (first + bit < count))


def fused(image: Tensor, segments: Tensor, masks: Tensor, fill: Tensor, channels_last: bool) -> Tensor:
    """The same in one launch."""
    order = torch.channels_last if channels_last else torch.contiguous_format
    batch = torch.empty(len(masks), *image.shape, dtype=image.dtype, device=image.device, memory_format=order)
    if batch.numel() == 0:
        return batch
    seen, place, hidden = _entries(image, segments, fill, channels_last)
    words = pack(masks)
    programs = (triton.cdiv(len(seen), BLOCK), len(words))
    with torch.cuda.device_of(image):
        _compose[programs](
            seen, hidden, place.int(), words, batch, len(seen), words.shape[1], len(masks), BLOCK=BLOCK, BITS=BITS
        )
    return batch


# --------------------------------------------------------------------------------------------------- the function


@torch.no_grad()
def superpixels(
    image: Tensor,
    segments: Tensor,
    masks: Tensor,
    *,
    fill: Tensor | float = 0.0,
    channels_last: bool = False,
) -> Tensor:
    """out[m] = image where masks[m, segments], else fill: the batch that LIME, occlusion and Shapley values ask about.

    Args:
        image: `[C, H, W]`, any floating-point dtype; any strides.
        segments: int64 `[H, W]`, the superpixel of each pixel, from 0 to S − 1.
        masks: bool `[M, S]`, True where a superpixel is visible.
        fill: what a hidden pixel shows: `[C, H, W]`, one colour `[C]` or `[C, 1, 1]`, or a number.
        channels_last: lay the batch out as [M, H, W, C] in memory, in which convolutions are often faster.

    Returns:
        The masked images, `[M, C, H, W]`, of the image's dtype: copies, so exact to the last bit, and no gradient flows
        through them.

    Raises:
        TypeError: a dtype is not the one that is named above.
        ValueError: shapes or devices do not fit, or a segment has no column in `masks`.

    Source: Ribeiro et al., 2016. Derived in: lectures/09_kernels/superpixels
    """
    _check(image, segments, masks)
    compose = fused if image.is_cuda and triton is not None else plain
    return compose(image, segments, masks, _spread(fill, image), channels_last)


def _spread(fill: Tensor | float, image: Tensor) -> Tensor:
    """The fill as `[C, H, W]`, like the image."""
    hidden = torch.as_tensor(fill, dtype=image.dtype, device=image.device)
    if hidden.shape == image.shape[:1]:
        hidden = hidden[:, None, None]
    if hidden.ndim not in (0, 3) or (hidden.ndim == 3 and hidden.shape not in (image.shape, (*image.shape[:1], 1, 1))):
        channels = image.shape[0]
        raise ValueError(
            f"fill must be a number, a colour [{channels}] or an image {list(image.shape)}, got {list(hidden.shape)}"
        )
    return hidden.expand(image.shape)


def _check(image: Tensor, segments: Tensor, masks: Tensor) -> None:
    """Raises TypeError or ValueError, in one sentence, for what cannot be composed."""
    if not isinstance(image, Tensor) or not image.is_floating_point():
        raise TypeError(f"image must be a floating-point tensor, got {kind(image)}")
    if image.ndim != 3 or image.numel() == 0:
        raise ValueError(f"image must be one image [C, H, W], got shape {list(image.shape)}: take images[0] of a batch")
    for name, tensor, dtype in (("segments", segments, torch.int64), ("masks", masks, torch.bool)):
        if not isinstance(tensor, Tensor) or tensor.dtype != dtype:
            raise TypeError(f"{name} must be a tensor of {dtype}, got {kind(tensor)}")
        if tensor.device != image.device:
            raise ValueError(f"{name} must be on {image.device}, as the image is, got {tensor.device}")
    if segments.shape != image.shape[1:]:
        raise ValueError(f"segments must be [H, W] = {list(image.shape[1:])}, got shape {list(segments.shape)}")
    lowest, highest = (int(bound) for bound in segments.aminmax())
    if masks.ndim != 2 or lowest < 0 or highest >= masks.shape[1]:
        raise ValueError(
            f"masks must be [M, S] with a column for each segment, got {list(masks.shape)} for segments "
            f"{lowest}…{highest}"
        )
