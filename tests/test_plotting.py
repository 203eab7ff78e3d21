"""Colours by the published formulas for contrast and colour blindness; pictures by the numbers that they draw."""

import io
import itertools
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from bad_input import refuses
from skimage.color import deltaE_ciede2000, rgb2lab

from tml_helpers.plotting import COLOURS, show_image, show_images, use_style

AREAS = {"pink", "sky", "amber"}
"""Paler than WCAG asks of a line or a letter on white: the palette keeps them for areas and for lines with a label."""

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.fixture(autouse=True)
def style() -> object:
    with plt.rc_context():
        use_style()
        yield
    plt.close("all")


def linear(colour: str) -> np.ndarray:
    """Linear RGB of `#rrggbb`: the formula that WCAG and sRGB share."""
    c = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast_with_white(colour: str) -> float:
    """WCAG 2: (1 + 0.05) / (L + 0.05) with the relative luminance L."""
    return float(1.05 / (linear(colour) @ [0.2126, 0.7152, 0.0722] + 0.05))


def seen_with(blindness: str, colour: str) -> np.ndarray:
    """CIELAB of what somebody with this blindness sees."""
    c = np.clip(np.array(BLINDNESS[blindness]) @ linear(colour), 0, 1)
    return rgb2lab(np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055))


def test_the_contrast_formula_gives_the_published_values() -> None:
    assert contrast_with_white("#ffffff") == pytest.approx(1)
    assert contrast_with_white("#000000") == pytest.approx(21)
    assert contrast_with_white("#767676") == pytest.approx(4.54, abs=0.005)  # WCAG's own example of the limit


@pytest.mark.parametrize("name", sorted(COLOURS.keys() - AREAS))
def test_a_line_has_the_contrast_that_wcag_asks_of_graphics(name: str) -> None:
    assert contrast_with_white(COLOURS[name]) >= 3


def test_the_first_lines_that_are_drawn_are_the_dark_ones() -> None:
    cycle = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    assert set(cycle) == set(COLOURS.values())
    assert all(contrast_with_white(colour) >= 3 for colour in cycle[:3])


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_no_two_colours_look_alike_to_a_colour_blind_reader(blindness: str) -> None:
    for one, other in itertools.combinations(COLOURS, 2):
        distance = deltaE_ciede2000(seen_with(blindness, COLOURS[one]), seen_with(blindness, COLOURS[other]))
        assert distance > 10, f"{one} and {other}"  # matplotlib's own palette falls to 1.3


def test_a_figure_is_an_opaque_white_card_on_any_page() -> None:
    figure, axis = plt.subplots(figsize=(1, 1))
    axis.plot([0, 1])
    file = io.BytesIO()
    figure.savefig(file, format="png")
    file.seek(0)
    pixels = plt.imread(file)
    assert (pixels[..., 3] == 1).all()
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1], :3] == 1).all()


def test_the_grid_lies_below_what_is_drawn() -> None:
    figure, axis = plt.subplots(figsize=(2, 2))
    axis.set(xlim=(0, 2), ylim=(0, 2), xticks=[1], yticks=[1])
    axis.bar([1], [2], width=2, color="black")
    figure.canvas.draw()
    inside = np.asarray(figure.canvas.buffer_rgba())[60:140, 80:160, :3]
    assert inside.max() == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_is_drawn_under_its_title_in_its_row(channels: int) -> None:
    images = torch.rand(5, channels, 4, 6)
    figure = show_images(images, titles=list("abcde"), columns=2)
    drawn = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in drawn] == list("abcde")
    for axis, image in zip(drawn, images, strict=True):
        shown = np.asarray(axis.images[0].get_array())
        np.testing.assert_array_equal(shown, image[0] if channels == 1 else image.permute(1, 2, 0))
        assert axis.images[0].get_clim() == (0, 1), "the same grey means the same value in every image"
    places = [axis.get_subplotspec() for axis in drawn]
    assert [(p.rowspan.start, p.colspan.start) for p in places] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert not any(axis.axison for axis in figure.axes), "the empty place has no frame either"


@pytest.mark.parametrize(
    ("count", "how", "width", "height"),
    [
        (3, {}, 3, 1),  # fewer images than columns: no empty places beside them
        (8, {}, 8, 1),
        (9, {}, 8, 2),
        (5, {"columns": 2, "size": 2.0}, 2, 3),
    ],
)
@pytest.mark.parametrize(("titles", "room"), [(False, 1.05), (True, 1.25)])
def test_a_figure_is_as_wide_and_high_as_its_images(
    count: int, how: dict[str, Any], width: int, height: int, titles: bool, room: float
) -> None:
    figure = show_images(torch.rand(count, 1, 4, 4), ["a"] * count if titles else None, **how)
    size = how.get("size", 1.1)
    assert tuple(figure.get_size_inches()) == pytest.approx((size * width, size * height * room))


def test_ink_is_black() -> None:
    _, axis = plt.subplots()
    show_image(axis, torch.ones(1, 2, 2))
    assert axis.images[0].get_cmap()(1.0)[:3] == (0, 0, 0)


def test_values_outside_the_range_are_drawn_as_its_ends() -> None:
    _, axis = plt.subplots()
    show_image(axis, torch.tensor([[[-1.0, 0.5, 2.0]]]).requires_grad_())
    assert np.asarray(axis.images[0].get_array()).tolist() == [[0.0, 0.5, 1.0]]


@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (1, 4, 4), (2, 2, 4, 4), (4, 4)])
def test_what_are_no_images_is_refused(shape: tuple[int, ...]) -> None:
    with refuses(ValueError, "[N, 1 or 3, H, W]", str(list(shape))):
        show_images(torch.zeros(shape))


def test_a_title_too_few_is_refused() -> None:
    with refuses(ValueError, "3 images", "2 titles"):
        show_images(torch.zeros(3, 1, 4, 4), titles=["a", "b"])
