"""kernels.superpixels without a GPU: against loops, its laws, its edges; the kernel compiled."""

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from kernel_checks import compiled, instructions, needs_triton, offsets, resources
from torch import Tensor

from tml_helpers.kernels import superpixels
from tml_helpers.kernels.superpixels import BLOCK, GROUP, WARPS, _compose, reference

scenes = {
    "channels": st.integers(1, 4),
    "height": st.integers(1, 6),
    "width": st.integers(1, 6),
    "segments": st.integers(1, 7),
    "masks": st.integers(0, 5),
    "channels_last": st.booleans(),
    "seed": st.integers(0, 2**31),
}


def scene(
    channels: int, height: int, width: int, segments: int, masks: int, seed: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image, fill = torch.rand(2, channels, height, width, generator=generator)
    place = torch.randint(segments, (height, width), generator=generator)
    return image, place, torch.rand(masks, segments, generator=generator) < 0.5, fill


def written_out(image: Tensor, segments: Tensor, masks: Tensor, fill: Tensor) -> np.ndarray:
    """The definition, pixel by pixel."""
    batch = np.empty((len(masks), *image.shape), np.float32)
    for m, mask in enumerate(masks):
        for c, h, w in np.ndindex(*image.shape):
            batch[m, c, h, w] = image[c, h, w] if mask[segments[h, w]] else fill[c, h, w]
    return batch


@given(**scenes)
def test_equals_the_definition(channels_last, **size):
    image, segments, masks, fill = scene(**size)
    batch = superpixels(image, segments, masks, fill=fill, channels_last=channels_last)
    np.testing.assert_array_equal(batch.numpy(), written_out(image, segments, masks, fill))
    np.testing.assert_array_equal(
        reference(image, segments, masks, fill).numpy(), written_out(image, segments, masks, fill)
    )
    order = torch.channels_last if channels_last else torch.contiguous_format
    assert batch.is_contiguous(memory_format=order)


@given(**scenes)
def test_all_visible_is_the_image_and_a_mask_and_its_complement_make_image_and_fill(channels_last, **size):
    image, segments, masks, fill = scene(**size)
    everything = torch.ones(2, masks.shape[1], dtype=torch.bool)
    shown = superpixels(image, segments, everything, fill=fill, channels_last=channels_last)
    assert torch.equal(shown, image.expand(2, -1, -1, -1))
    one, other = (superpixels(image, segments, m, fill=fill, channels_last=channels_last) for m in (masks, ~masks))
    swapped = superpixels(fill, segments, masks, fill=image, channels_last=channels_last)
    assert torch.equal(other, swapped)
    assert torch.equal(one + other, (image + fill).expand_as(one))


@given(**scenes)
def test_the_names_of_the_segments_do_not_matter(channels_last, **size):
    image, segments, masks, fill = scene(**size)
    names = torch.randperm(masks.shape[1])
    renamed = torch.empty_like(masks)
    renamed[:, names] = masks
    batch = superpixels(image, names[segments], renamed, fill=fill)
    assert torch.equal(batch, superpixels(image, segments, masks, fill=fill))


def test_the_fill_may_be_a_number_a_colour_or_an_image():
    image, segments, masks, _ = scene(3, 4, 5, 6, 7, seed=0)
    colour = torch.tensor([0.1, 0.5, 0.9])
    spread = colour[:, None, None].expand_as(image)
    for fill, wide in ((0.25, torch.full_like(image, 0.25)), (colour, spread), (colour[:, None, None], spread)):
        assert torch.equal(superpixels(image, segments, masks, fill=fill), reference(image, segments, masks, wide))
    assert torch.equal(
        superpixels(image, segments, masks), superpixels(image, segments, masks, fill=torch.zeros_like(image))
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_dtype_is_copied_exactly(dtype):
    image, segments, masks, fill = scene(3, 4, 5, 6, 7, seed=1)
    image = image.to(dtype)
    batch = superpixels(image, segments, masks, fill=fill)
    assert batch.dtype == dtype
    assert torch.equal(batch, reference(image, segments, masks, fill.to(dtype)))


def test_any_strides_and_no_gradient():
    image, segments, masks, fill = scene(3, 6, 6, 5, 9, seed=2)
    expected = reference(image, segments, masks, fill)
    for views in (
        [image.permute(1, 2, 0).contiguous().permute(2, 0, 1), segments.T.contiguous().T, masks, fill],
        [image, segments, masks.T.contiguous().T, fill.repeat_interleave(2, dim=2)[..., ::2]],
    ):
        assert torch.equal(superpixels(*views[:3], fill=views[3]), expected)
    assert not superpixels(image.requires_grad_(), segments, masks).requires_grad


def test_the_inputs_are_left_as_they_are():
    tensors = scene(3, 4, 5, 6, 7, seed=3)
    superpixels(*tensors[:3], fill=tensors[3], channels_last=True)
    assert all(map(torch.equal, tensors, scene(3, 4, 5, 6, 7, seed=3)))


def test_bad_input_is_one_sentence():
    image, segments, masks, _ = scene(3, 4, 5, 6, 7, seed=4)
    with refuses(TypeError, "image", "floating-point", "uint8"):
        superpixels((255 * image).byte(), segments, masks)
    with refuses(ValueError, "image", "[C, H, W]", "images[0]"):
        superpixels(image[None], segments, masks)
    with refuses(TypeError, "segments", "int64", "int32"):
        superpixels(image, segments.int(), masks)
    with refuses(TypeError, "masks", "bool", "float32"):
        superpixels(image, segments, masks.float())
    with refuses(ValueError, "segments", "[4, 5]", "[5, 4]"):
        superpixels(image, segments.T, masks)
    with refuses(ValueError, "masks", "a column for each segment"):
        superpixels(image, segments + 1, masks[:, : int(segments.max()) + 1])
    with refuses(ValueError, "masks", "-1"):
        superpixels(image, segments - 1, masks)


@pytest.mark.parametrize(
    "shape", [(4,), (1,), (3, 1, 5), (3, 4, 1), (1, 1, 1), (1, 4, 5), (3, 2, 2), (4, 5), (1, 3, 4, 5)]
)
def test_a_fill_of_another_shape_is_refused_and_not_spread(shape):
    image, segments, masks, _ = scene(3, 4, 5, 6, 7, seed=4)
    with refuses(ValueError, "fill", "a colour [3]", "[3, 4, 5]", f"got {list(shape)}"):
        superpixels(image, segments, masks, fill=torch.zeros(shape))


def test_a_fill_that_is_neither_a_tensor_nor_a_number_or_lies_elsewhere_is_refused():
    image, segments, masks, fill = scene(3, 4, 5, 6, 7, seed=4)
    with refuses(TypeError, "fill", "a tensor or a number", "list"):
        superpixels(image, segments, masks, fill=[0.1, 0.5, 0.9])
    with refuses(ValueError, "fill", "on cpu", "got meta"):
        superpixels(image, segments, masks, fill=fill.to("meta"))


@needs_triton
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("kind", "each"), [("bf16", 8), ("fp32", 4)])
def test_the_kernel_compiled_for_a_gpu_writes_16_bytes_at_a_time_and_spills_nothing(kind, each, last):
    pointers = {"image": f"*{kind}", "fill": f"*{kind}", "segments": "*i64", "masks": "*u8", "batch": f"*{kind}"}
    types = pointers | dict.fromkeys(("size", "fill_channel", "mask_row", "width", "count"), "i32")
    values = {"mask_column": 1, "fill_pixel": 1, "CHANNELS": 3, "LAST": last}
    values |= {"BLOCK": BLOCK, "GROUP": GROUP, "UNROLL": 4}
    code = compiled(_compose, types, values, WARPS, aligned=[*pointers, "size", "fill_channel"])
    assert set(offsets(code, kind.replace("fp", "f"))) >= {"i64"}, "a batch may have more than 2³¹ entries"
    assert resources(code)["STACK"] == 0
    vectors = BLOCK // (32 * WARPS) // each  # stores of 16 bytes that a thread needs for one channel of one image
    done = instructions(code)
    stores = {name: count for name, count in done.items() if name.startswith("STG")}
    # four turns of the unrolled loop and one of what is left; a loop for each channel where channels come first
    assert stores == {"STG.E.128": vectors * 5 * (1 if last else 3)}
    assert done["LDG.E.U8"] == BLOCK // (32 * WARPS) * 5, "a mask is looked up once for a pixel, not for each channel"
