"""The superpixel kernel on a GPU: `pytest --noconftest -m gpu tests/test_kernels_gpu*.py` runs every kernel's.

That needs torch, triton, pytest and numpy alone. With TRITON_INTERPRET=1 the kernel runs in Triton's interpreter, on
the CPU; what is large, or needs a device, is left to the GPU. Masked images are copies: all is exact to the last bit.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from kernel_checks import DEVICE, on_a_device, on_a_gpu_or_interpreted
from torch import Tensor

from tml_helpers.kernels import superpixels
from tml_helpers.kernels.superpixels import BLOCK, GROUP, _compose, _spread, fused, reference

pytestmark = on_a_gpu_or_interpreted

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
SHAPES = [(1, 1, 1), (3, 5, 7), (1, 28, 28), (3, 32, 11), (2, 16, BLOCK // 16), (5, 1, BLOCK + 1), (4, 3, 171)]
COUNTS = [1, 2, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP + 1]


def scene(
    shape: tuple[int, int, int], masks: int, segments: int = 9, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    """An image, its segments (one of which has no pixel), masks, and what a hidden pixel shows."""
    generator = torch.Generator().manual_seed(masks + sum(shape))
    image, fill = torch.rand(2, *shape, generator=generator).to(dtype)
    place = torch.randint(segments - 1, shape[1:], generator=generator)
    visible = torch.rand(masks, segments, generator=generator) < 0.5
    return [tensor.to(DEVICE) for tensor in (image, place, visible, fill)]


def calls() -> Iterator[tuple[int, Callable[[], object]]]:
    """The most launches that a batch may make, and the batch; a fill that is a number is written somewhere first."""
    image, fill = torch.rand(2, 3, 40, 50, device="cuda")
    segments = torch.zeros(40, 50, dtype=torch.int64, device="cuda")
    masks = torch.ones(70, 9, dtype=torch.bool, device="cuda")
    for hidden, most in ((fill, 1), (torch.rand(3, device="cuda"), 1), (0.5, 2)):
        for channels_last in (False, True):
            yield most, partial(superpixels, image, segments, masks, fill=hidden, channels_last=channels_last)


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


FILLS = {
    "a number": lambda image: 0.25,
    "a colour": lambda image: torch.arange(3.0, device=DEVICE),
    "an image": lambda image: image.flip(1),
    "rows of more": lambda image: torch.cat([image, image], dim=2)[..., : image.shape[2]],
}


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS.keys())
def test_every_kind_of_fill(fill, channels_last):
    image, segments, masks, _ = scene((3, 7, 6), 5)
    hidden = _spread(fill(image), image)
    batch = fused(image, segments, masks, hidden, channels_last)
    assert torch.equal(batch, reference(image, segments, masks, hidden))


@pytest.mark.parametrize("channels_last", [False, True])
def test_any_strides(channels_last):
    image, segments, masks, fill = scene((3, 7, 6), GROUP + 3)
    expected = reference(image, segments, masks, fill)
    views = (
        image.permute(1, 2, 0).contiguous().permute(2, 0, 1),
        segments.T.contiguous().T,
        masks.T.contiguous().T,
        fill.repeat_interleave(2, dim=2)[..., ::2],
    )
    assert not any(view.is_contiguous() for view in views)
    assert torch.equal(fused(*views, channels_last), expected)
    assert torch.equal(
        fused(image, segments, masks[:1].expand(4, -1), fill, channels_last), expected[:1].expand(4, -1, -1, -1)
    )
    thin = fill[..., ::6]  # one column, six apart
    assert torch.equal(
        fused(image[..., :1], segments[:, :1], masks, thin, channels_last),
        reference(image[..., :1], segments[:, :1], masks, thin),
    )


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("wrong", [-1, 9, 2**40])
def test_a_segment_without_a_column_is_not_a_number_in_every_image_and_its_neighbours_are_as_they_were(
    wrong, channels_last
):
    image, segments, masks, fill = scene((3, 4, 5), 6)
    expected = reference(image, segments, masks, fill)
    segments[2, 3] = wrong
    batch = fused(image, segments, masks, fill, channels_last)
    assert batch[:, :, 2, 3].isnan().all()
    batch[:, :, 2, 3] = expected[:, :, 2, 3]
    assert torch.equal(batch, expected)


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
    flags = {"CHANNELS": 1, "LAST": False, "BLOCK": 32, "GROUP": 8, "UNROLL": 2}
    _compose[(1, 1)](image, fill, segments, masks.view(torch.uint8), batch, 15, 15, 1, *masks.stride(), 9, 3, **flags)
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
