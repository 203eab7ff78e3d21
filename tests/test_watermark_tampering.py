"""What happens to pictures, against Pillow and SciPy."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from PIL import Image
from scipy import ndimage
from torch import Tensor

from tml_helpers import watermark

GENERATOR = torch.Generator


def pictures(count: int = 3, channels: int = 3, height: int = 40, width: int = 52, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, height, width, generator=GENERATOR().manual_seed(seed))


ATTACKS: dict[str, Callable[[Tensor], Tensor]] = {
    "add_noise": lambda x: watermark.add_noise(x, sigma=0.1, generator=GENERATOR().manual_seed(1)),
    "blur": lambda x: watermark.blur(x, sigma=1.5),
    "crop": lambda x: watermark.crop(x, share=0.25, generator=GENERATOR().manual_seed(1)),
    "jpeg": lambda x: watermark.jpeg(x, quality=60),
    "resize": lambda x: watermark.resize(x, factor=0.7),
    "resize_and_back": lambda x: watermark.resize_and_back(x, factor=0.7),
    "rotate": lambda x: watermark.rotate(x, degrees=10),
}
each_attack = pytest.mark.parametrize("name", ATTACKS)


@each_attack
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_type_range_and_input_stay(name: str, dtype: torch.dtype, channels: int) -> None:
    images = pictures(channels=channels).to(dtype)
    before = images.clone()
    after = ATTACKS[name](images)
    assert after.dtype == dtype
    assert after.ndim == 4
    assert after.shape[:2] == images.shape[:2]
    assert float(after.min()) >= 0
    assert float(after.max()) <= 1
    assert torch.equal(images, before)
    assert name in ("crop", "resize") or after.shape == images.shape


@each_attack
def test_one_picture_is_as_a_batch_of_one(name: str) -> None:
    image = pictures()[0]
    assert torch.equal(ATTACKS[name](image), ATTACKS[name](image[None])[0])


@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in ("add_noise", "crop")])
def test_each_picture_of_a_batch_is_by_itself(name: str) -> None:
    images = pictures()
    alone = torch.stack([ATTACKS[name](image) for image in images])
    assert float((ATTACKS[name](images) - alone).abs().max()) < 1e-5


@each_attack
def test_memory_order_does_not_matter(name: str) -> None:
    images = pictures()
    turned = images.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
    assert not turned.is_contiguous()
    assert float((ATTACKS[name](turned) - ATTACKS[name](images)).abs().max()) < 1e-5


@pytest.mark.parametrize("quality", [1, 50, 95, 100])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_is_pillows(quality: int, channels: int) -> None:
    image = pictures(channels=channels)[1]
    pixels = (image * 255).round().byte().permute(1, 2, 0).squeeze(2).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=quality)
    expected = torch.from_numpy(np.array(Image.open(file))).reshape(40, 52, channels).permute(2, 0, 1) / 255
    assert torch.equal(watermark.jpeg(image, quality=quality), expected)


def test_a_jpeg_of_256_levels_that_is_good_keeps_a_smooth_picture() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    errors = [float((watermark.jpeg(ramp, quality=q) - ramp).abs().mean()) for q in (5, 50, 100)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1 / 255


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_a_blur_is_scipys(sigma: float) -> None:
    images = pictures().double()
    expected = ndimage.gaussian_filter(images.numpy(), (0, 0, sigma, sigma), mode="mirror", truncate=3)
    assert float((watermark.blur(images, sigma=sigma) - torch.from_numpy(expected)).abs().max()) < 1e-12
    assert torch.equal(watermark.blur(images, sigma=0), images)


@pytest.mark.parametrize("factor", [0.5, 0.73, 1.4])
def test_scaling_is_pillows(factor: float) -> None:
    image = pictures(channels=1)[0]
    size = (round(52 * factor), round(40 * factor))
    expected = Image.fromarray(image[0].numpy()).resize(size, Image.Resampling.BILINEAR)
    found = watermark.resize(image, factor=factor)
    assert found.shape == (1, *size[::-1])
    assert float((found[0] - torch.from_numpy(np.array(expected))).abs().max()) < 1e-5
    back = expected.resize((52, 40), Image.Resampling.BILINEAR)
    there = watermark.resize_and_back(image, factor=factor)
    assert float((there[0] - torch.from_numpy(np.array(back))).abs().max()) < 1e-5


@pytest.mark.parametrize("degrees", [7.0, -30.0, 400.0])
def test_turning_is_scipys(degrees: float) -> None:
    image = pictures(channels=1, height=41, width=61)[0].double()
    expected = ndimage.rotate(image[0].numpy(), degrees, reshape=False, order=1, mode="nearest")
    found = watermark.rotate(image, degrees=degrees)
    assert float((found[0] - torch.from_numpy(expected)).abs().max()) < 1e-9


def test_turning_by_a_quarter_and_by_half() -> None:
    square = pictures(height=30, width=30)
    assert float((watermark.rotate(square, degrees=90) - square.rot90(1, (2, 3))).abs().max()) < 1e-4
    assert float((watermark.rotate(pictures(), degrees=180) - pictures().flip(2, 3)).abs().max()) < 1e-4


def test_a_crop_is_a_window_at_a_place_that_is_drawn_for_each() -> None:
    place = torch.arange(100 * 80).view(1, 1, 100, 80).double() / 8000
    images = place.expand(400, 1, 100, 80)
    cut = watermark.crop(images, share=0.1, generator=GENERATOR().manual_seed(0))
    assert cut.shape == (400, 1, 90, 72)
    corner = (cut[:, 0, 0, 0] * 8000).round().long()
    rows, columns = corner // 80, corner % 80
    for one, y, x in zip(cut, rows, columns, strict=True):
        assert torch.equal(one, place[0, :, y : y + 90, x : x + 72])
    assert set(rows.tolist()) == set(range(11))
    assert set(columns.tolist()) == set(range(9))
    assert torch.equal(cut, watermark.crop(images, share=0.1, generator=GENERATOR().manual_seed(0)))
    assert watermark.crop(images[:2], share=0.0).shape == (2, 1, 100, 80)


def test_noise_is_normal_of_its_size_and_from_the_generator() -> None:
    grey = torch.full((4, 1, 100, 100), 0.5)
    noisy = watermark.add_noise(grey, sigma=0.05, generator=GENERATOR().manual_seed(3))
    change = noisy - grey
    assert abs(float(change.mean())) < 0.05 / 200 * 7
    assert abs(float(change.std()) / 0.05 - 1) < 0.03
    assert not torch.equal(change[0], change[1])
    assert torch.equal(noisy, watermark.add_noise(grey, sigma=0.05, generator=GENERATOR().manual_seed(3)))
    assert torch.equal(watermark.add_noise(grey, sigma=0.0), grey)


def test_noise_of_fine_pictures_is_fine() -> None:
    """It is drawn in the picture's own type, not drawn coarsely and widened."""
    grey = torch.full((1, 1, 20, 20), 0.5, dtype=torch.float64)
    drawn = torch.randn(grey.shape, generator=GENERATOR().manual_seed(4), dtype=torch.float64)
    noisy = watermark.add_noise(grey, sigma=0.05, generator=GENERATOR().manual_seed(4))
    assert torch.allclose(noisy, grey + 0.05 * drawn, rtol=0, atol=1e-15)


WRONG_IMAGES: dict[str, tuple[Any, type[Exception], str]] = {
    "bytes": (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), TypeError, "uint8"),
    "a list": ([[0.0]], TypeError, "list"),
    "halves": (torch.zeros(1, 3, 32, 32).half(), TypeError, "float16"),
    "no channels": (torch.zeros(32, 32), ValueError, "[32, 32]"),
    "empty": (torch.zeros(0, 3, 32, 32), ValueError, "[0, 3, 32, 32]"),
    "NaN": (torch.full((1, 3, 32, 32), float("nan")), ValueError, "nan"),
    "0 to 255": (torch.full((1, 3, 32, 32), 255.0), ValueError, "255"),
    "negative": (torch.full((1, 3, 32, 32), -0.1), ValueError, "-0.1"),
}


@pytest.mark.parametrize("kind", WRONG_IMAGES)
@each_attack
def test_what_is_no_picture_is_refused(name: str, kind: str) -> None:
    wrong, error, word = WRONG_IMAGES[kind]
    with refuses(error, "images", word):
        ATTACKS[name](wrong)


WRONG_NUMBERS: list[tuple[Callable[..., Tensor], dict[str, Any], type[Exception], str]] = [
    (watermark.add_noise, {"sigma": -0.1}, ValueError, "sigma"),
    (watermark.add_noise, {"sigma": float("nan")}, ValueError, "sigma"),
    (watermark.add_noise, {"sigma": "0.1"}, TypeError, "sigma"),
    (watermark.add_noise, {"sigma": 0.1, "generator": 7}, TypeError, "generator"),
    (watermark.blur, {"sigma": float("inf")}, ValueError, "sigma"),
    (watermark.blur, {"sigma": 20.0}, ValueError, "20"),
    (watermark.crop, {"share": 1.0}, ValueError, "share"),
    (watermark.crop, {"share": -0.1}, ValueError, "share"),
    (watermark.crop, {"share": True}, TypeError, "share"),
    (watermark.crop, {"share": 0.999}, ValueError, "leaves nothing"),
    (watermark.jpeg, {"quality": 0}, ValueError, "quality"),
    (watermark.jpeg, {"quality": 101}, ValueError, "quality"),
    (watermark.jpeg, {"quality": 50.0}, TypeError, "quality"),
    (watermark.resize, {"factor": 0.0}, ValueError, "factor"),
    (watermark.resize, {"factor": 0.001}, ValueError, "no pixel"),
    (watermark.resize_and_back, {"factor": -1.0}, ValueError, "factor"),
    (watermark.rotate, {"degrees": float("inf")}, ValueError, "degrees"),
    (watermark.rotate, {"degrees": None}, TypeError, "degrees"),
]


@pytest.mark.parametrize(("function", "settings", "error", "word"), WRONG_NUMBERS)
def test_numbers_out_of_range_are_refused(
    function: Callable[..., Tensor], settings: dict[str, Any], error: type[Exception], word: str
) -> None:
    with refuses(error, word):
        function(pictures(), **settings)


def test_a_jpeg_has_one_or_three_channels() -> None:
    with refuses(ValueError, "grey or RGB", "[4, 40, 52]"):
        watermark.jpeg(pictures(channels=4), quality=50)
