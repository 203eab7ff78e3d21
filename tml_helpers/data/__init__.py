"""Real data by default, from packages that are installed anyway; the full data sets where they can be had.

`source="auto"` takes the full data where the folder `TML_DATA_DIR` (or the download cache) has them, else the default,
and says which. `"default"` and `"full"` ask for one or the other; `"full"` downloads what is missing.
Each data set has a card with its origin, licence and harms: `book/data_cards/`.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from tml_helpers.data._folders import Source, Split, cache_folder, check_name, data_folder
from tml_helpers.data.cifar import CIFAR10_CLASSES, cifar10
from tml_helpers.data.counts import compas, expand_counts, fico
from tml_helpers.data.graphs import Graph, cora, digits_graph
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
from tml_helpers.data.people import adult, german_credit, loan_applications, recidivism
from tml_helpers.data.tables import bike_sharing
from tml_helpers.data.texts import DOCUMENTED, NEWSGROUPS, TextSet, docstrings, newsgroups
from tml_helpers.data.words import GenderScores, WeatTest, WordVectors, word_vectors

__all__ = [
    "CIFAR10_CLASSES",
    "DIGITS",
    "DOCUMENTED",
    "LOADERS",
    "MNIST_FILES",
    "MNIST_MIRROR",
    "NEWSGROUPS",
    "NO_CLASS",
    "PHOTOS",
    "GenderScores",
    "Graph",
    "ImageSet",
    "Source",
    "Split",
    "TextSet",
    "WeatTest",
    "WordVectors",
    "adult",
    "bike_sharing",
    "cache_folder",
    "cifar10",
    "compas",
    "cora",
    "data_folder",
    "digits",
    "digits_graph",
    "docstrings",
    "expand_counts",
    "fico",
    "german_credit",
    "imagenet_classes",
    "load",
    "loan_applications",
    "mnist",
    "newsgroups",
    "photos",
    "recidivism",
    "word_vectors",
]

if TYPE_CHECKING:
    import pandas


def _is_loader(made: object) -> bool:
    """Whether it returns a data set and needs to be told nothing."""
    returned = getattr(made, "__annotations__", {}).get("return")
    return returned in (Graph, ImageSet, TextSet, WordVectors, "pandas.DataFrame") and all(
        parameter.default is not parameter.empty
        for parameter in inspect.signature(made).parameters.values()  # type: ignore[arg-type]
    )


LOADERS: dict[str, "Callable[[], Graph | ImageSet | TextSet | WordVectors | pandas.DataFrame]"] = {
    name: made for name, made in tuple(globals().items()) if _is_loader(made)
}
"""What is offered here and returns a data set."""


def load(name: str) -> "Graph | ImageSet | TextSet | WordVectors | pandas.DataFrame":
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
