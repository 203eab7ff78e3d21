"""Cards of models and sheets of data, whose numbers are read from result files or counted, never typed."""

import hashlib
from dataclasses import dataclass
from html import escape
from typing import Any

import torch
from torch import Tensor, nn

from tml_helpers import measured
from tml_helpers.common import check_counts
from tml_helpers.impact.records import model_digest
from tml_helpers.models import multiply_adds, parameter_count

__all__ = ["DataSheet", "Measured", "ModelCard", "data_sheet", "model_card"]

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Measured:
    """A number that stands in a file of `benchmarks/results/`: where, and how it is read.

    Args:
        result: the file's name, as `measured.result` takes it.
        path: keys and places that lead to the number, as `("rows", 0, "natural")`.
        unit: what follows the number, as `" %"`.

    Raises:
        ValueError: there is no such file, or nothing lies there.
        TypeError: what lies there is no number.

    Derived in: lectures/80_impact/cards.
    """

    result: str
    path: tuple[str | int, ...]
    unit: str = ""

    def __post_init__(self) -> None:
        _ = self.value

    @property
    def value(self) -> float:
        """The number, read anew."""
        found: Any = measured.result(self.result)
        for step in self.path:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError) as error:
                raise ValueError(f"nothing lies at {step!r} of {self.path} in the result {self.result!r}") from error
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise TypeError(f"{self.path} of the result {self.result!r} is no number but {type(found).__name__}")
        return found

    def __str__(self) -> str:
        where = ", ".join(map(str, self.path))
        said = f"{self.value:,}" if isinstance(self.value, int) else f"{self.value:.4g}"
        return f"{said}{self.unit} ({self.result}.json: {where})"


@dataclass(frozen=True)
class ModelCard:
    """What a model is for, on what it was trained, how well it does for whom, and what it must not be used for.

    A notebook shows it as a page. It says nothing that was not handed to `model_card` or counted by it.

    Attributes:
        name: of the model.
        sections: title and rows of each part, in the card's order.
        digest: of the model's numbers, by `model_digest`: a card belongs to one model.

    Source: Mitchell et al., 2019. Derived in: lectures/80_impact/cards.
    """

    name: str
    sections: tuple[tuple[str, Rows], ...]
    digest: str

    def belongs_to(self, model: nn.Module) -> bool:
        """Whether the model has the very numbers that the card was written for.

        Args:
            model: the one in front of you.

        Returns:
            False also where it was trained on by one step.
        """
        return model_digest(model) == self.digest

    def markdown(self) -> str:
        """The card as a page.

        Returns:
            Markdown, with a table for each part.
        """
        return _page(f"Model card: {self.name}", self.sections)

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_html_(self) -> str:
        return _tables(f"Model card: {self.name}", self.sections)


@dataclass(frozen=True)
class DataSheet:
    """What is in a data set, counted from its two parts, beside the words of its card.

    Attributes:
        name: of the data set.
        sections: title and rows of each part.
        digest: of all images and labels.

    Source: Gebru et al., 2021. Derived in: lectures/80_impact/cards.
    """

    name: str
    sections: tuple[tuple[str, Rows], ...]
    digest: str

    def markdown(self) -> str:
        """The sheet as a page.

        Returns:
            Markdown, with a table for each part.
        """
        return _page(f"Data sheet: {self.name}", self.sections)

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_html_(self) -> str:
        return _tables(f"Data sheet: {self.name}", self.sections)


def model_card(
    model: nn.Module,
    image: Tensor,
    *,
    name: str,
    intended_use: str,
    out_of_scope: str,
    trained_on: str,
    evaluated_on: str,
    metrics: dict[str, Measured],
    by_group: dict[str, Measured],
    caveats: str,
) -> ModelCard:
    """A model's page: details counted, words given, numbers by where they stand in a result file.

    Args:
        model: any network that takes `image`.
        image: `[1, …]`, one input, for counting multiplications.
        name: of the model.
        intended_use: what it is for, and who is to use it.
        out_of_scope: what it must not be used for.
        trained_on, evaluated_on: the data, with their card.
        metrics: overall numbers, by what they say.
        by_group: the same for groups or classes; an average alone is refused.
        caveats: what the numbers do not show.

    Returns:
        The card.

    Raises:
        TypeError: a number that was typed, in place of a `Measured`.
        ValueError: empty words, no metric, or none by group.

    Source: Mitchell et al., 2019. Derived in: lectures/80_impact/cards.
    """
    words = {
        "name": name, "intended_use": intended_use, "out_of_scope": out_of_scope,
        "trained_on": trained_on, "evaluated_on": evaluated_on, "caveats": caveats,
    }  # fmt: skip
    _check_words(words)
    for title, numbers in (("metrics", metrics), ("by_group", by_group)):
        if not numbers:
            raise ValueError(f"{title} is empty: a card without {title} says how good the model is for nobody")
        typed = [what for what, number in numbers.items() if not isinstance(number, Measured)]
        if typed:
            raise TypeError(f"{title} takes numbers from result files, by Measured; typed by hand: {', '.join(typed)}")
    digest = model_digest(model)
    details: Rows = (
        ("kind", type(model).__name__),
        ("parameters", f"{parameter_count(model):,}"),
        ("multiplications for one input", f"{multiply_adds(model, image):,}"),
        ("digest of its numbers", f"{digest[:16]}…"),
    )
    sections: tuple[tuple[str, Rows], ...] = (
        ("Details", details),
        ("Use", (("intended", intended_use), ("out of scope", out_of_scope))),
        ("Data", (("trained on", trained_on), ("evaluated on", evaluated_on))),
        ("Numbers", tuple((what, str(number)) for what, number in metrics.items())),
        ("Numbers by group", tuple((what, str(number)) for what, number in by_group.items())),
        ("Caveats", (("what the numbers do not show", caveats),)),
    )
    return ModelCard(name, sections, digest)


def data_sheet(
    train_images: Tensor,
    train_labels: Tensor,
    *,
    test_images: Tensor,
    test_labels: Tensor,
    name: str,
    origin: str,
    people: str,
    not_for: str,
    classes: int = 10,
) -> DataSheet:
    """A data set's page: sizes, ranges, balance and doubles counted; origin, people and limits in words.

    Args:
        train_images: `[N, …]`.
        train_labels: int64 `[N]`.
        test_images: `[M, …]`, of the same shape.
        test_labels: int64 `[M]`.
        name: of the data set.
        origin: who collected it, from what, under which licence.
        people: who is in it, and whether they know.
        not_for: what must not be concluded from it.
        classes: how many there are, 1 or more.

    Returns:
        The sheet. An image that is in both parts, bit by bit, is counted: near-doubles are not.

    Raises:
        TypeError: a number of classes that is not whole.
        ValueError: empty words, no image, images of two shapes, or as many labels as there are not images.

    Source: Gebru et al., 2021. Derived in: lectures/80_impact/cards.
    """
    _check_words({"name": name, "origin": origin, "people": people, "not_for": not_for})
    check_counts(classes=classes)
    parts = {"train": (train_images, train_labels), "test": (test_images, test_labels)}
    for part, (images, labels) in parts.items():
        if len(images) == 0 or len(images) != len(labels):
            said = f"{len(images)} images and {len(labels)} labels"
            raise ValueError(f"{part} has {said}: there must be some, and as many of each")
    if train_images.shape[1:] != test_images.shape[1:]:
        shapes = f"{tuple(train_images.shape[1:])} and {tuple(test_images.shape[1:])}"
        raise ValueError(f"both parts must have images of one shape, got {shapes}")
    prints = {part: [_print(image) for image in images] for part, (images, _) in parts.items()}
    whole = hashlib.sha256()
    for images, labels in parts.values():
        whole.update(_bytes(images) + _bytes(labels))
    rows: list[tuple[str, str]] = [("shape of an image", " × ".join(map(str, train_images.shape[1:])))]
    for part, (images, labels) in parts.items():
        counts = torch.bincount(labels.long(), minlength=classes).tolist()
        rows += [
            (f"{part}: images", f"{len(images):,}"),
            (f"{part}: range", f"{images.min().item():.3g} to {images.max().item():.3g}"),
            (f"{part}: smallest and largest class", f"{min(counts):,} and {max(counts):,}"),
            (f"{part}: images that stand there more than once", f"{len(prints[part]) - len(set(prints[part])):,}"),
        ]
    shared = sum(one in set(prints["train"]) for one in prints["test"])
    rows += [("test images that are in train, too", f"{shared:,}"), ("digest", f"{whole.hexdigest()[:16]}…")]
    sections: tuple[tuple[str, Rows], ...] = (
        ("Origin", (("from", origin), ("people", people))),
        ("Counted", tuple(rows)),
        ("Limits", (("not for", not_for),)),
    )
    return DataSheet(name, sections, whole.hexdigest())


def _check_words(words: dict[str, str]) -> None:
    for what, text in words.items():
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{what} is a sentence in words, got {text!r}")


def _bytes(values: Tensor) -> bytes:
    return values.detach().cpu().contiguous().numpy().tobytes()


def _print(image: Tensor) -> bytes:
    return hashlib.sha256(_bytes(image)).digest()


def _page(title: str, sections: tuple[tuple[str, Rows], ...]) -> str:
    """Markdown: a heading, and a table for each section; a bar in a text does not break its table."""
    lines = [f"**{title}**", ""]
    for heading, rows in sections:
        lines += [f"| {heading} | |", "|---|---|"]
        lines += [f"| {_cell(what)} | {_cell(said)} |" for what, said in rows]
        lines.append("")
    return "\n".join(lines)


def _tables(title: str, sections: tuple[tuple[str, Rows], ...]) -> str:
    """HTML: one table, with a heading for each section."""
    lines = [f'<table class="threat-model">\n<caption>{escape(title)}</caption>']
    for heading, rows in sections:
        lines.append(f'<tbody>\n<tr><th scope="rowgroup" colspan="2">{escape(heading)}</th></tr>')
        lines += [f'<tr><th scope="row">{escape(what)}</th><td>{escape(said)}</td></tr>' for what, said in rows]
        lines.append("</tbody>")
    return "\n".join([*lines, "</table>"])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
