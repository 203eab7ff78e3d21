"""Real data by default, from packages that are installed anyway; the full data sets where they can be had.

`source="auto"` takes the full data where the folder `TML_DATA_DIR` (or the download cache) has them, else the default,
and says which. `"default"` and `"full"` ask for one or the other; `"full"` downloads what is missing.
Each data set has a card with its origin, licence and harms: `book/data_cards/`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tml_helpers.data._folders import Source, Split, cache_folder, check_name, data_folder
from tml_helpers.data.images import (
    DIGITS,
    MNIST_FILES,
    MNIST_MIRROR,
    NO_CLASS,
    PHOTOS,
    ImageSet,
    digits,
    imagenet_classes,
    mnist,
    photos,
)
from tml_helpers.data.tables import bike_sharing
from tml_helpers.data.texts import DOCUMENTED, NEWSGROUPS, TextSet, docstrings, newsgroups

__all__ = [
    "DIGITS",
    "DOCUMENTED",
    "LOADERS",
    "MNIST_FILES",
    "MNIST_MIRROR",
    "NEWSGROUPS",
    "NO_CLASS",
    "PHOTOS",
    "ImageSet",
    "Source",
    "Split",
    "TextSet",
    "bike_sharing",
    "cache_folder",
    "data_folder",
    "digits",
    "docstrings",
    "imagenet_classes",
    "load",
    "mnist",
    "newsgroups",
    "photos",
]

if TYPE_CHECKING:
    import pandas

LOADERS: dict[str, "Callable[[], ImageSet | TextSet | pandas.DataFrame]"] = {
    name: made
    for name, made in tuple(globals().items())
    if getattr(made, "__annotations__", {}).get("return") in (ImageSet, TextSet, "pandas.DataFrame")
}
"""What is offered here and returns a data set."""


def load(name: str) -> "ImageSet | TextSet | pandas.DataFrame":
    """The training part of a data set.

    Args:
        name: one of `LOADERS`.

    Returns:
        What its loader returns.

    Raises:
        ValueError: an unknown name; it says which there are.
    """
    check_name("data set", name, tuple(LOADERS))
    return LOADERS[name]()
