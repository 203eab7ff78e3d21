"""A notebook's pictures in their smallest honest form: what is committed with a page stays in every clone for good."""

import base64
import io

import numpy as np
from nbformat import NotebookNode
from PIL import Image

COLOURS = 256
VISIBLE = 0.5  # levels of 255 by which a palette may be off on average; for a drawing it is 0.2, for a photograph 1
QUALITY = 75  # of a JPEG with twice the dots that a page shows


def smallest(png: bytes) -> tuple[str, bytes]:
    """The kind and the content: a PNG of 256 colours where they hold the picture, else a JPEG, or a PNG of all colours.

    A drawing has few colours, and a palette is the smaller form. A photograph has more than any palette, and is smaller
    as a JPEG; some pictures with many colours and sharp edges are not. One that has a palette stays as it is.
    """
    given = Image.open(io.BytesIO(png))
    if given.mode == "P":
        return "image/png", png
    picture = flat(given)
    few = picture.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    if error(picture, few.convert("RGB")) <= VISIBLE:
        return "image/png", saved(few, "PNG")
    return min(
        ("image/jpeg", saved(picture, "JPEG", quality=QUALITY)),
        ("image/png", saved(picture, "PNG")),
        key=lambda form: len(form[1]),
    )


def flat(picture: Image.Image) -> Image.Image:
    """The picture on white: what is transparent would be black in a JPEG."""
    above = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), above).convert("RGB")


def error(one: Image.Image, other: Image.Image) -> float:
    """Mean over the pixels of the largest difference in a colour, in levels of 255."""
    difference = np.asarray(one).astype(int) - np.asarray(other)
    return float(np.abs(difference).max(axis=2).mean())


def saved(picture: Image.Image, form: str, **how: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, optimize=True, **how)
    return file.getvalue()


def shrink(output: NotebookNode) -> None:
    """Put an output's picture into its smallest form; its width and height on the page go with it."""
    if "image/png" not in output.get("data", {}):
        return
    kind, content = smallest(base64.b64decode(output.data.pop("image/png")))
    output.data[kind] = base64.b64encode(content).decode()
    if "image/png" in output.metadata:
        output.metadata[kind] = output.metadata.pop("image/png")
