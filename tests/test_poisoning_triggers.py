"""Triggers: against their formulas, by hand, at every place and on every shape; what doesn't fit is refused."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from tml_helpers.poisoning import BlendTrigger, PatchTrigger, SinusoidTrigger, Trigger, WarpTrigger


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def constant_field(right: float, down: float) -> Tensor:
    return torch.tensor([float(right), float(down)])[:, None, None].expand(2, 3, 3).clone()


# patches


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 2**31), st.sampled_from([1, 3]), st.sampled_from([torch.float32, torch.float64]))
def test_a_patch_is_the_pattern_inside_and_the_image_outside(
    data: st.DataObject, seed: int, channels: int, dtype: torch.dtype
) -> None:
    """At every place, of every shape, up to the whole image: adversarial-robustness-toolbox #2141, non-square
    triggers turned on their side and those as large as the image refused."""
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    h, w = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    row, column = data.draw(st.integers(0, height - h)), data.draw(st.integers(0, width - w))
    images, pattern = drawn(seed, 2, channels, height, width).to(dtype), drawn(seed + 1, channels, h, w)
    result = PatchTrigger(pattern, row, column)(images)
    assert result.dtype == dtype
    for i in range(height):
        for j in range(width):
            inside = row <= i < row + h and column <= j < column + w
            wanted = pattern[:, i - row, j - column].to(dtype) if inside else images[:, :, i, j]
            assert torch.equal(result[:, :, i, j], wanted.expand(2, channels))


def test_places_are_counted_from_the_far_edge_below_zero_and_lie_there_without_a_word() -> None:
    images, pattern = drawn(0, 1, 1, 6, 8), drawn(1, 1, 2, 3)
    assert torch.equal(PatchTrigger(pattern)(images), PatchTrigger(pattern, 4, 5)(images))
    assert torch.equal(PatchTrigger(pattern, -2, -3)(images), PatchTrigger(pattern, 4, 5)(images))
    assert torch.equal(PatchTrigger(pattern, -6, -8)(images), PatchTrigger(pattern, 0, 0)(images))


def test_the_square_is_white_three_by_three_and_in_the_lower_right_corner_of_every_channel() -> None:
    """Channels come first here: adversarial-robustness-toolbox #1006, the triggers turned at the axes."""
    result = PatchTrigger.square()(torch.zeros(2, 3, 5, 7))
    assert torch.equal(
        result.nonzero()[:, 1:].unique(dim=0)[:9], torch.tensor([[0, i, j] for i in (2, 3, 4) for j in (4, 5, 6)])
    )
    assert float(result.sum()) == 2 * 3 * 9
    grey = PatchTrigger.square(2, value=0.25, row=1, column=0)(torch.ones(1, 1, 4, 4))
    assert torch.equal(grey[0, 0] < 1, torch.tensor([[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]) > 0)
    assert float(grey.min()) == 0.25


# blends and stripes


def test_a_blend_is_the_weighted_mean_with_the_pattern() -> None:
    images, pattern = drawn(0, 4, 3, 5, 6), drawn(1, 3, 5, 6)
    by_hand = 0.7 * images.double().numpy() + 0.3 * pattern.double().numpy()
    assert np.abs(BlendTrigger(pattern, 0.3)(images).numpy() - by_hand).max() < 1e-6
    of_one_channel = BlendTrigger(pattern[:1], 1.0)(images)
    assert torch.equal(of_one_channel, pattern[:1].expand_as(images)), "one channel stands for all, and all of it"


def test_a_blend_never_leaves_the_range() -> None:
    white = torch.ones(1, 1, 8, 8)
    for alpha in np.linspace(0.01, 1, 50):
        result = BlendTrigger(white[0], float(alpha))(white)
        assert float(result.max()) <= 1


@pytest.mark.parametrize("frequency", [1, 6, 2.5])
def test_stripes_are_a_sine_of_the_column(frequency: float) -> None:
    images = drawn(2, 2, 3, 4, 10).double()
    wave = 0.2 * np.sin(2 * math.pi * np.arange(10) * frequency / 10)
    by_hand = np.clip(images.numpy() + wave, 0, 1)
    assert np.abs(SinusoidTrigger(0.2, frequency)(images).numpy() - by_hand).max() < 1e-12


# warps


@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-2, 1), (1, -1)])
def test_a_constant_field_moves_the_image_and_repeats_its_edge(right: int, down: int) -> None:
    images = drawn(0, 2, 3, 7, 9).double()
    moved = WarpTrigger(constant_field(right, down), 1.0)(images)
    rows, columns = torch.arange(7) + down, torch.arange(9) + right
    wanted = images[:, :, rows.clamp(0, 6)][:, :, :, columns.clamp(0, 8)]
    assert (moved - wanted).abs().max() < 1e-6


def test_shifts_of_half_a_pixel_are_read_between_pixels_as_scipy_does() -> None:
    images = drawn(0, 1, 1, 8, 12).double()
    warp = WarpTrigger.drawn(1.7, generator=torch.Generator().manual_seed(3))
    u = F.interpolate(1.7 * warp.field.double()[None], size=(8, 12), mode="bicubic", align_corners=True)[0].numpy()
    rows, columns = np.mgrid[:8, :12].astype(float)
    by_scipy = ndimage.map_coordinates(images[0, 0].numpy(), [rows + u[1], columns + u[0]], order=1, mode="nearest")
    assert np.abs(warp(images)[0, 0].numpy() - by_scipy).max() < 1e-9


def test_on_squares_it_is_the_warp_of_the_paper() -> None:
    """Their grid runs from −1 to 1, and s is divided by the height: 2 s / (H − 1) there is our pixel."""
    height, warp = 16, WarpTrigger.drawn(1.5, generator=torch.Generator().manual_seed(4))
    images = drawn(1, 3, 3, height, height)
    theirs = 2 * 1.5 * height / (height - 1)
    noise = F.interpolate(warp.field[None], size=height, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    axis = torch.linspace(-1, 1, steps=height)
    down, right = torch.meshgrid(axis, axis, indexing="ij")
    grid = (torch.stack((right, down), 2)[None] + theirs * noise / height).clamp(-1, 1)
    wanted = F.grid_sample(images, grid.repeat(3, 1, 1, 1), align_corners=True)
    assert (warp(images) - wanted).abs().max() < 1e-4


def test_a_drawn_field_has_shifts_of_mean_size_one_and_belongs_to_its_generator() -> None:
    one, same, other = (WarpTrigger.drawn(2.0, grid=5, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert one.field.shape == (2, 5, 5)
    assert float(one.field.abs().mean()) == pytest.approx(1)
    assert torch.equal(one.field, same.field)
    assert not torch.equal(one.field, other.field)
    assert float(one.field.min()) < 0 < float(one.field.max())


def test_colours_and_oblong_images_are_warped_alike() -> None:
    """backdoor-toolbox #7: WaNet's grid was made for one square size, and failed on ImageNet's."""
    grey = drawn(0, 2, 1, 6, 11)
    warp = WarpTrigger.drawn(1.0, generator=torch.Generator().manual_seed(0))
    colour = warp(grey.expand(2, 3, 6, 11))
    assert torch.equal(colour[:, 0], warp(grey)[:, 0])
    assert torch.equal(colour[:, 0], colour[:, 2])


def test_jitter_is_noise_on_top_of_the_warp_and_at_most_half_a_pixel() -> None:
    """BackdoorBox #68: the noisy grid was computed and thrown away. On a ramp a shift shows as a grey value."""
    ramp = (torch.arange(20) / 40 + 0.25).expand(5, 1, 8, 20).double()
    warp = WarpTrigger(constant_field(2, 0), 1.0)
    jittered = warp.jittered(ramp, generator=torch.Generator().manual_seed(0))
    shift = 40 * (jittered - warp(ramp))[..., 1:-4]  # away from the edges
    assert 0.4 < float(shift.abs().max()) <= 0.5 + 1e-9
    assert abs(float(shift.mean())) < 0.06, "as often to the left as to the right"  # 600 draws: over 5 deviations
    assert not torch.equal(jittered[0], jittered[1]), "each image has its own noise"


# all of them

EACH: dict[str, Trigger] = {
    "patch": PatchTrigger.square(),
    "blend": BlendTrigger(drawn(9, 1, 8, 8), 0.2),
    "sinusoid": SinusoidTrigger(0.1),
    "warp": WarpTrigger.drawn(1.0, generator=torch.Generator().manual_seed(9)),
}


@pytest.mark.parametrize("name", EACH)
def test_triggers_keep_shape_type_range_and_their_input(name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        images = drawn(0, 3, 1, 8, 8).round().to(dtype)
        before = images.clone()
        result = EACH[name](images)
        assert torch.equal(images, before)
        assert (result.shape, result.dtype) == (images.shape, dtype)
        assert 0 <= float(result.min()) <= float(result.max()) <= 1
        assert not torch.equal(result, images)


@pytest.mark.parametrize("name", EACH)
def test_an_image_is_treated_alike_in_any_batch_and_layout(name: str) -> None:
    images = drawn(0, 4, 1, 8, 8)
    result = EACH[name](images)
    assert (EACH[name](images[2:3]) - result[2:3]).abs().max() < 1e-6
    turned = images.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
    assert (EACH[name](turned) - result).abs().max() < 1e-6


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        (torch.full((1, 1, 8, 8), 255.0), ValueError, "is a division missing"),
        (torch.full((1, 1, 8, 8), float("nan")), ValueError, "[0, 1]"),
        (torch.zeros(8, 8), ValueError, "[N, C, H, W]"),
        (torch.zeros(0, 1, 8, 8), ValueError, "non-empty"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), TypeError, "uint8"),
        (np.zeros((1, 1, 8, 8)), TypeError, "ndarray"),
    ],
)
def test_what_is_no_image_is_refused(name: str, images: Any, error: type[Exception], words: str) -> None:
    with refuses(error, words):
        EACH[name](images)


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (PatchTrigger.square(9), "9 × 9 does not fit into images of 8 × 8"),
        (PatchTrigger(torch.zeros(1, 1, 9)), "1 × 9 does not fit"),
        (PatchTrigger.square(row=6), "row 6 puts a patch of 3 pixels beyond the image's 8"),
        (PatchTrigger.square(column=-2), "column -2 puts"),
        (PatchTrigger.square(row=-9), "row -9"),
        (PatchTrigger(torch.zeros(3, 2, 2)), "3 channels, and the images 1"),
        (BlendTrigger(torch.zeros(2, 8, 8), 0.5), "2 channels"),
        (BlendTrigger(torch.zeros(1, 8, 7), 0.5), "8 × 7, and the images 8 × 8"),
    ],
)
def test_a_trigger_that_does_not_fit_is_refused(trigger: Trigger, words: str) -> None:
    with refuses(ValueError, words):
        trigger(torch.zeros(1, 1, 8, 8))


GOOD = torch.zeros(1, 2, 2)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: PatchTrigger(torch.zeros(2, 2)), ValueError, "[C, h, w]"),
        (lambda: PatchTrigger(torch.zeros(1, 0, 2)), ValueError, "[1, 0, 2]"),
        (lambda: PatchTrigger(255 * torch.ones(1, 2, 2)), ValueError, "to 255"),
        (lambda: PatchTrigger(GOOD / 0), ValueError, "[0, 1]"),
        (lambda: PatchTrigger(GOOD.long()), TypeError, "int64"),
        (lambda: PatchTrigger([[[1.0]]]), TypeError, "list"),  # type: ignore[arg-type]
        (lambda: PatchTrigger(GOOD, row=1.0), TypeError, "row"),  # type: ignore[arg-type]
        (lambda: PatchTrigger(GOOD, column=True), TypeError, "column"),
        (lambda: PatchTrigger.square(0), ValueError, "size"),
        (lambda: PatchTrigger.square(2.0), TypeError, "size"),  # type: ignore[arg-type]
        (lambda: PatchTrigger.square(value=255), ValueError, "value must lie in [0, 1]"),
        (lambda: PatchTrigger.square(value=float("nan")), ValueError, "nan"),
        (lambda: PatchTrigger.square(value="white"), TypeError, "value"),  # type: ignore[arg-type]
        (lambda: BlendTrigger(GOOD, 0), ValueError, "alpha must lie above 0"),
        (lambda: BlendTrigger(GOOD, 1.5), ValueError, "1.5"),
        (lambda: BlendTrigger(GOOD, float("nan")), ValueError, "nan"),
        (lambda: BlendTrigger(GOOD, True), TypeError, "alpha"),
        (lambda: BlendTrigger(GOOD - 1, 0.5), ValueError, "from -1"),
        (lambda: SinusoidTrigger(0), ValueError, "amplitude"),
        (lambda: SinusoidTrigger(20), ValueError, "20"),
        (lambda: SinusoidTrigger(0.1, 0), ValueError, "frequency"),
        (lambda: SinusoidTrigger(0.1, math.inf), ValueError, "inf"),
        (lambda: SinusoidTrigger("0.1"), TypeError, "amplitude"),  # type: ignore[arg-type]
        (lambda: WarpTrigger(torch.ones(2, 1, 4), 1.0), ValueError, "[2, k, k]"),
        (lambda: WarpTrigger(torch.ones(3, 4, 4), 1.0), ValueError, "[3, 4, 4]"),
        (lambda: WarpTrigger(torch.zeros(2, 4, 4), 1.0), ValueError, "zero everywhere"),
        (lambda: WarpTrigger(torch.ones(2, 4, 4) / 0, 1.0), ValueError, "finite"),
        (lambda: WarpTrigger(torch.ones(2, 4, 4).long(), 1.0), TypeError, "int64"),
        (lambda: WarpTrigger(torch.ones(2, 4, 4), 0.0), ValueError, "strength"),
        (lambda: WarpTrigger(torch.ones(2, 4, 4), math.nan), ValueError, "nan"),
        (lambda: WarpTrigger.drawn(math.inf), ValueError, "inf"),
        (lambda: WarpTrigger.drawn(1.0, grid=1), ValueError, "grid"),
        (lambda: WarpTrigger.drawn(1.0, generator=0), TypeError, "torch.Generator"),  # type: ignore[arg-type]
        (lambda: EACH["warp"].jittered(torch.full((1, 1, 8, 8), 2.0)), ValueError, "[0, 1]"),  # type: ignore[attr-defined]
    ],
)
def test_what_is_no_trigger_is_refused(make: Any, error: type[Exception], words: str) -> None:
    with refuses(error, words):
        make()
