"""The superpixel kernel on a GPU: `pytest --noconftest -m gpu tests/test_kernels_gpu*.py` runs every kernel's.

That needs torch, triton, pytest and numpy alone. With TRITON_INTERPRET=1 the kernel runs in Triton's interpreter, on
the CPU; what is large, or needs a device, is left to the GPU. Masked images are copies: all is exact to the last bit.
"""

import math

import pytest
import torch
from kernel_checks import DEVICE, on_a_device, on_a_gpu_or_interpreted
from torch import Tensor

from tml_helpers.kernels import superpixels
from tml_helpers.kernels.superpixels import BITS, _compose, fused, pack, reference

pytestmark = on_a_gpu_or_interpreted

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
SHAPES = [(1, 1, 1), (3, 5, 7), (1, 28, 28), (3, 32, 11), (2, 32, 16), (5, 1, 205)]  # below, at and beyond a BLOCK
COUNTS = [1, 2, 31, 32, 33, 65]


def scene(
    shape: tuple[int, int, int], masks: int, segments: int = 9, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    """An image, its segments (one of which has no pixel), masks, and what a hidden pixel shows."""
    generator = torch.Generator().manual_seed(masks + sum(shape))
    image, fill = torch.rand(2, *shape, generator=generator).to(dtype)
    place = torch.randint(segments - 1, shape[1:], generator=generator)
    visible = torch.rand(masks, segments, generator=generator) < 0.5
    return [tensor.to(DEVICE) for tensor in (image, place, visible, fill)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels_last", [False, True])
def test_every_dtype_shape_and_order(shape, dtype, channels_last):
    tensors = scene(shape, 5, dtype=dtype)
    batch = fused(*tensors, channels_last)
    assert batch.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    assert torch.equal(batch, reference(*tensors))


@pytest.mark.parametrize("count", COUNTS)
def test_every_number_of_masks(count):
    tensors = scene((3, 6, 5), count)
    assert torch.equal(fused(*tensors, channels_last=False), reference(*tensors))


@pytest.mark.parametrize("segments", [2, 31, 32, 33, 300])
def test_every_number_of_segments(segments):
    tensors = scene((2, 9, 8), 40, segments)
    assert torch.equal(fused(*tensors, channels_last=False), reference(*tensors))


@pytest.mark.parametrize("count", COUNTS)
def test_a_bit_of_a_word_is_an_image_of_a_segment(count):
    _, _, masks, _ = scene((1, 2, 2), count)
    words = pack(masks)
    assert words.shape == (math.ceil(count / BITS), masks.shape[1])
    for m in range(len(words) * BITS):
        bits = (words[m // BITS].to(torch.int64) >> (m % BITS)) & 1
        expected = masks[m] if m < count else torch.zeros_like(masks[0])
        assert torch.equal(bits.bool(), expected)


def test_what_is_not_a_number_is_copied_or_hidden_as_it_is():
    image, segments, masks, fill = scene((1, 4, 4), 3)
    image[0, 0, 0], fill[0, 3, 3] = math.nan, -math.inf
    torch.testing.assert_close(
        fused(image, segments, masks, fill, False),
        reference(image, segments, masks, fill),
        rtol=0,
        atol=0,
        equal_nan=True,
    )


def test_nothing_is_written_beyond_the_end():
    image, segments, masks, fill = scene((1, 3, 5), 3)
    batch = torch.full((100,), 7.0, device=DEVICE)
    words = pack(masks)
    _compose[(1, 1)](image, fill, segments, words, batch, 15, words.shape[1], 3, BLOCK=32, BITS=BITS)
    assert torch.equal(batch[:45].view(3, 1, 3, 5), reference(image, segments, masks, fill))
    assert (batch[45:] == 7).all()


@on_a_device
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_public_function_takes_the_kernel(dtype, channels_last):
    image, segments, masks, fill = scene((3, 224, 224), 200, 40, dtype)
    batch = superpixels(image, segments, masks, fill=fill, channels_last=channels_last)
    order = torch.channels_last if channels_last else torch.contiguous_format
    assert batch.is_contiguous(memory_format=order)
    assert torch.equal(batch, reference(image, segments, masks, fill))
    assert torch.equal(superpixels(image, segments, masks[:0], fill=fill), batch[:0])


@on_a_device
def test_more_entries_than_an_int32_counts():
    image, segments, masks, fill = scene((3, 224, 224), 15_000, 40, torch.bfloat16)
    if torch.cuda.mem_get_info()[0] < 3 * 2 * len(masks) * image.numel():
        pytest.skip("needs 14 GB of free GPU memory")
    batch = superpixels(image, segments, masks, fill=fill)
    assert batch.numel() > 2**31
    assert torch.equal(batch[-40:], reference(image, segments, masks[-40:], fill))
