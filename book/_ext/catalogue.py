"""What the book has, read from its sources: chapters, lectures, homework, data cards, and modules of the library.

A lecture's and a homework's number stand in their title, `4.6 When explanations lie` or `H4 · Explain a photograph`, a
data set's facts at the head of its card, a module's sentence in its docstring. No list of them is written by hand.
"""

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

FACTS = ("shows", "size", "people")
LECTURE = re.compile(r"^# # (\d+)\.(\d+) (\S.*)$", re.MULTILINE)
HOMEWORK = re.compile(r"^# # H(\d+) · (\S.*)$", re.MULTILINE)
COMMAND_LINE = "cli"  # no module for readers


@dataclass(frozen=True)
class Page:
    """A page of the book: its path without suffix, its title, and its number in the chapter; a homework has none."""

    path: str
    title: str
    chapter: int
    number: int = 0

    @property
    def name(self) -> str:
        """`4.6` of a lecture, `H4` of a homework."""
        return f"{self.chapter}.{self.number}" if self.number else f"H{self.chapter}"

    def place(self) -> tuple[int, int]:
        """The order in the book."""
        return self.chapter, self.number


@dataclass(frozen=True)
class Chapter:
    """A chapter, the question that it answers, and what there is of it."""

    number: int
    title: str
    question: str
    complete: bool
    lectures: tuple[Page, ...]
    homework: tuple[Page, ...]

    @property
    def heading(self) -> str:
        """`2 Adversarial examples`."""
        return f"{self.number} {self.title}"


@dataclass(frozen=True)
class Card:
    """A data set's card: what it shows, its default size, and the people in it."""

    name: str
    title: str
    shows: str
    size: str
    people: str
    carrier: str | None
    """The package that carries the data and is installed alone, for it asks for many others that no lecture needs."""


@dataclass(frozen=True)
class Catalogue:
    """What the book under `root` has; ValueError where a page has no number, or no chapter of that number is planned.

    What else is missing, in the head of a card or in a docstring, is empty.
    """

    root: Path

    @cached_property
    def lectures(self) -> list[Page]:
        """In the order of their numbers."""
        files = sorted(self.root.glob("lectures/*/*.py"))
        pages = sorted((self._page(file, LECTURE, "# # 4.6 Title") for file in files), key=Page.place)
        for one, other in pairwise(pages):
            if one.name == other.name:
                raise ValueError(f"{one.path} and {other.path} have one number, {one.name}")
        return pages

    @cached_property
    def homework(self) -> list[Page]:
        """The pages that students get."""
        folders = [folder for folder in self.root.glob("solutions/[!._]*") if folder.is_dir()]
        pages = [self._page(folder / f"{folder.name}.py", HOMEWORK, "# # H4 · Title") for folder in folders]
        return sorted(pages, key=Page.place)

    @cached_property
    def chapters(self) -> list[Chapter]:
        """All that are planned, with what there is of each."""
        rows = yaml.safe_load((self.root / "book/chapters.yml").read_text(encoding="utf-8"))
        found = [
            Chapter(
                row["number"],
                row["title"],
                row["question"],
                row.get("complete", False),
                tuple(page for page in self.lectures if page.chapter == row["number"]),
                tuple(page for page in self.homework if page.chapter == row["number"]),
            )
            for row in rows
        ]
        for page in [*self.lectures, *self.homework]:
            if page.chapter not in {chapter.number for chapter in found}:
                raise ValueError(f"book/chapters.yml has no chapter {page.chapter}, to which {page.path} belongs")
        return found

    @cached_property
    def cards(self) -> list[Card]:
        """In the order of their names."""
        files = sorted(self.root.glob("book/data_cards/*.md"))
        return [self._card(file) for file in files if file.stem != "index"]

    @cached_property
    def modules(self) -> dict[str, str]:
        """The public modules of the library, each with the first line of its docstring."""
        library = self.root / "tml_helpers"
        files = {file.stem: file for file in library.glob("*.py")}
        files |= {file.parent.name: file for file in library.glob("*/__init__.py")}
        public = sorted(name for name in files if not name.startswith("_") and name != COMMAND_LINE)
        words = {name: ast.get_docstring(ast.parse(files[name].read_text(encoding="utf-8"))) for name in public}
        return {name: (said or "").partition("\n")[0] for name, said in words.items()}

    def _page(self, file: Path, title: re.Pattern[str], example: str) -> Page:
        place = file.relative_to(self.root)
        if not file.is_file():
            raise ValueError(f"{place} is missing: it is the source of its folder")
        found = title.search(file.read_text(encoding="utf-8"))
        if found is None:
            raise ValueError(f"{place} begins with no title such as `{example}`")
        *numbers, words = found.groups()
        path = re.sub("^solutions/", "exercises/", str(place.with_suffix("")))
        return Page(path, words, *map(int, numbers))

    def _card(self, file: Path) -> Card:
        found = re.match(r"---\n(.*?)\n---\s+# ([^\n]+)\n", file.read_text(encoding="utf-8"), re.DOTALL)
        if found is None:
            return Card(file.stem, file.stem, *[""] * len(FACTS), carrier=None)
        head: dict[str, Any] = yaml.safe_load(found[1])
        return Card(file.stem, found[2], *(str(head.get(fact, "")) for fact in FACTS), head.get("carrier"))
