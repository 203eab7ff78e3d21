"""Pictures of Pillow as they cross: size, mode and pixels, without where they came from."""

from typing import Any

from PIL import Image

from tml_helpers.grading.wire import Decoder, append, place

MODES = ("1", "L", "LA", "RGB", "RGBA", "CMYK", "HSV", "I", "F")


def encode(value: Any, _: Any, buffers: list[bytes]) -> dict[str, Any] | None:
    """What stands for a picture of exactly Pillow's own type; None for anything else."""
    if type(value) is not Image.Image or value.mode not in MODES:
        return None
    return {"picture": [value.mode, list(value.size), append(value.tobytes(), buffers)]}


def _picture(content: Any, buffers: list[bytes], _: Any) -> Any:
    mode, size, where = content
    if mode not in MODES:
        raise ValueError(mode)
    width, height = map(place, size)
    pixels = buffers[place(where)]
    if len(pixels) * 8 < width * height:
        raise ValueError("fewer pixels than it says")
    return Image.frombytes(mode, (width, height), pixels)


DECODERS: dict[str, Decoder] = {"picture": _picture}
