"""One style for all figures: readable on light and dark pages, by colour-blind readers, and in print."""

import sys
from collections.abc import Sequence

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

__all__ = ["COLOURS", "show_image", "show_images", "use_style"]

COLOURS = {  # Okabe and Ito's palette, less its yellow, which is too pale on white
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "pink": "#CC79A7",
    "sky": "#56B4E9",
    "amber": "#E69F00",
    "black": "#000000",
}


def use_style() -> None:
    """Set matplotlib's defaults for the book: opaque white card, palette, sizes, light grid; in a notebook, 200 dpi."""
    _draw_twice_as_fine()
    plt.rcParams.update(
        {
            "figure.figsize": (7, 3.2),
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "axes.prop_cycle": cycler(color=list(COLOURS.values())),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.titlesize": 10,
            "axes.labelsize": 10,
            "grid.color": "#dddddd",
            "grid.linewidth": 0.6,
            "font.size": 10,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "image.cmap": "gray_r",
        }
    )


def _draw_twice_as_fine() -> None:
    """In a notebook, pictures get twice the dots, and the width that they have with once as many."""
    notebook = sys.modules.get("IPython")
    if notebook is not None and notebook.get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina")


def show_images(images: Tensor, titles: Sequence[str] | None = None, *, columns: int = 8, size: float = 1.1) -> Figure:
    """Draw images in rows, with a title above each.

    Args:
        images: `[N, C, H, W]` in [0, 1], one or more, grey or in colour.
        titles: one for each image; None for none.
        columns: images in a row; fewer images get a narrower figure.
        size: the width of an image, in inches.

    Returns:
        The figure.

    Raises:
        ValueError: no image, another shape, or another number of titles.
    """
    if images.dim() != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(f"images are [N, 1 or 3, H, W] with N at least 1; got {list(images.shape)}")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"there are {len(images)} images but {len(titles)} titles")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height = size * (1.25 if titles else 1.05)
    figure, axes = plt.subplots(rows, columns, figsize=(size * columns, height * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for index, image in enumerate(images):
        show_image(axes.flat[index], image, titles[index] if titles else "")
    return figure


def show_image(axis: Axes, image: Tensor, title: str = "") -> None:
    """Draw one image: grey ones with ink as black, colour ones as they are.

    Args:
        axis: where to draw.
        image: `[C, H, W]` in [0, 1], grey or in colour; what is beyond is cut.
        title: the words above it.
    """
    pixels = image.detach().cpu().clamp(0, 1).numpy()
    axis.axis("off")
    axis.imshow(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0), vmin=0, vmax=1)
    axis.set_title(title, fontsize=9)
