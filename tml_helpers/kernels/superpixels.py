"""out[m] = image where masks[m, segments], else fill: one image, hidden in parts, as often as there are masks.

Fewest bytes: the batch is written once, M·C·H·W·b bytes. Image, fill and segments are read once for a group of masks;
they and the masks, one byte for each segment, are small and stay in the cache. Plain PyTorch gathers a mask for each
image and pixel, writes it and reads it back. Derived in: lectures/09_kernels/superpixels
"""

from __future__ import annotations

from numbers import Real

import numpy as np
import torch
from torch import Tensor

from tml_helpers.kernels._kind import kind
from tml_helpers.kernels._triton import jit, tl, triton

GROUP = 16  # masks of a program
BLOCK = 512  # pixels of a program, or entries where the batch has channels last
WARPS = 2  # so that a thread stores 8 neighbours: 16 bytes, where a number has two


def reference(image: Tensor, segments: Tensor, masks: Tensor, fill: Tensor) -> Tensor:
    """The batch as one writes it in plain PyTorch: what the kernel is checked against."""
    return torch.where(masks[:, segments][:, None], image, fill)  # (m, s) -> (m, h, w) -> (m, c, h, w)


# ---------------------------------------------------------------------------------------------- without a GPU


def plain(image: Tensor, segments: Tensor, masks: Tensor, fill: Tensor, channels_last: bool) -> Tensor:
    """The same; what is far in memory is not visited twice, and NumPy gathers single bytes faster than PyTorch."""
    if not channels_last:
        return torch.where(_take(masks, segments)[:, None], image, fill)
    seen, hidden = (x.permute(1, 2, 0).flatten() for x in (image, fill))  # (h · w · c)
    places = segments.flatten().repeat_interleave(len(image))
    batch = torch.where(_take(masks, places), seen, hidden)  # (m, h · w · c)
    return batch.view(len(masks), *image.permute(1, 2, 0).shape).permute(0, 3, 1, 2)


def _take(masks: Tensor, segments: Tensor) -> Tensor:
    """Whether each image shows each place, `[M, …]`."""
    if masks.device.type != "cpu":
        return masks[:, segments]
    return torch.from_numpy(np.take(masks.numpy(), segments.numpy(), axis=1))


# --------------------------------------------------------------------------------------------------- on a GPU


@jit
def _compose(  # type: ignore[no-untyped-def]
    image, fill, segments, masks, batch,  # pointers
    size, fill_channel, fill_pixel, mask_row, mask_column, width, count,
    CHANNELS: tl.constexpr, LAST: tl.constexpr,  # are channels the last in the batch's memory?
    BLOCK: tl.constexpr, GROUP: tl.constexpr, UNROLL: tl.constexpr,
):  # fmt: skip
    """A block of up to GROUP images, all channels of its pixels: reads what is common to them, then only writes."""
    spot = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if LAST:  # entries, in the order of the batch's memory
        inside = spot < size * CHANNELS
        pixel, first_channel = spot // CHANNELS, spot % CHANNELS
    else:  # pixels; a channel is `size` further on
        inside = spot < size
        pixel, first_channel = spot, 0
    segment = tl.load(segments + pixel, inside, 0)
    known = (segment >= 0) & (segment < width)
    coins = masks + tl.where(known, segment, 0) * mask_column
    first = tl.program_id(1).to(tl.int64) * GROUP  # of the images; a batch may have more than 2³¹ entries
    images = tl.minimum(count - first, GROUP).to(tl.int32)
    word = tl.zeros([BLOCK], tl.int32)  # bit j: does image first + j show this pixel?
    for bit in tl.range(images, loop_unroll_factor=UNROLL):
        coin = tl.load(coins + (first + bit) * mask_row)
        word |= coin.to(tl.int32) << bit
    for further in tl.static_range(1 if LAST else CHANNELS):
        channel = first_channel + further
        seen = tl.load(image + channel * size + pixel, inside)
        hidden = tl.load(fill + channel * fill_channel + pixel * fill_pixel, inside)
        unknown = tl.full([BLOCK], float("nan"), tl.float32).to(seen.dtype)
        seen = tl.where(known, seen, unknown)  # a wrong segment must not pass in silence
        hidden = tl.where(known, hidden, unknown)
        here = batch + first * size * CHANNELS + further * size + spot
        for bit in tl.range(images, loop_unroll_factor=UNROLL):
            tl.store(here, tl.where(((word >> bit) & 1) != 0, seen, hidden), inside)
            here += size * CHANNELS


def fused(image: Tensor, segments: Tensor, masks: Tensor, fill: Tensor, channels_last: bool) -> Tensor:
    """The same in one launch."""
    order = torch.channels_last if channels_last else torch.contiguous_format
    batch = torch.empty(len(masks), *image.shape, dtype=image.dtype, device=image.device, memory_format=order)
    if batch.numel() == 0:
        return batch
    channels, size = len(image), segments.numel()
    one_colour = fill.stride()[1:] == (0, 0)
    fill_steps = (fill.stride(0), 0) if one_colour else (size, 1)
    if not one_colour:
        fill = fill.contiguous()
    entries = size * channels if channels_last else size
    with torch.cuda.device_of(image):
        _compose[(triton.cdiv(entries, BLOCK), triton.cdiv(len(masks), GROUP))](
            image.contiguous(), fill, segments.contiguous(), masks.view(torch.uint8), batch,
            size, *fill_steps, *masks.stride(), masks.shape[1], len(masks),
            CHANNELS=channels, LAST=channels_last, BLOCK=BLOCK, GROUP=GROUP, UNROLL=4, num_warps=WARPS,
        )  # fmt: skip
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
        fill: what a hidden pixel shows: `[C, H, W]`, one colour `[C]` or `[C, 1, 1]`, or a number; a tensor on the
            image's device.
        channels_last: lay the batch out as [M, H, W, C] in memory, in which convolutions are often faster.

    Returns:
        The masked images, `[M, C, H, W]`, of the image's dtype: copies, so exact to the last bit, and no gradient flows
        through them.

    A segment that has no column in `masks` is a ValueError on the CPU; on a GPU, where reading the segments would make
    the host wait, its pixels are NaN in every image.

    Raises:
        TypeError: a dtype is not the one that is named above, or the fill is neither a tensor nor a number.
        ValueError: shapes or devices do not fit, or (on the CPU) a segment has no column in `masks`.

    Source: Ribeiro et al., 2016. Derived in: lectures/09_kernels/superpixels
    """
    _check(image, segments, masks)
    compose = fused if image.is_cuda and triton is not None else plain
    return compose(image, segments, masks, _spread(fill, image), channels_last)


def _spread(fill: Tensor | float, image: Tensor) -> Tensor:
    """The fill as `[C, H, W]`, like the image."""
    if isinstance(fill, Real):
        # made on the device: the host would wait for a copy
        return image.new_full((), float(fill)).expand(image.shape)
    if not isinstance(fill, Tensor):
        raise TypeError(f"fill must be a tensor or a number, got {kind(fill)}")
    if fill.device != image.device:
        raise ValueError(f"fill must be on {image.device}, as the image is, got {fill.device}")
    hidden = fill.to(image.dtype)
    if hidden.shape == image.shape[:1]:
        hidden = hidden.view(-1, 1, 1)
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
    if masks.ndim != 2:
        raise ValueError(f"masks must be [M, S] with a column for each segment, got shape {list(masks.shape)}")
    if segments.device.type == "cpu":
        _check_segments(segments, masks)


def _check_segments(segments: Tensor, masks: Tensor) -> None:
    lowest, highest = (int(bound) for bound in segments.aminmax())
    if lowest < 0 or highest >= masks.shape[1]:
        raise ValueError(
            f"masks must be [M, S] with a column for each segment, got {list(masks.shape)} for segments "
            f"{lowest}…{highest}"
        )
