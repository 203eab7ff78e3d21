"""`{catalogue} NAME`, the name one of `TABLES`: a table of what there is, made while the book is built."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from catalogue import Catalogue, Chapter, Page
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from tml_helpers import doctor

logger = logging.getLogger(__name__)


def link(page: Page) -> str:
    return f"[{page.name} {page.title}](/{page.path})" if page.number else f"[Homework {page.name}](/{page.path})"


def state(chapter: Chapter) -> str:
    """Links to all that there is of a chapter, and whether more is in preparation."""
    there = [*map(link, [*chapter.lectures, *chapter.homework])]
    if not there:
        return "in preparation"
    return "<br>".join([*there, *([] if chapter.complete else ["the rest in preparation"])])


def chapters(catalogue: Catalogue) -> list[str]:
    rows = [f"| {one.number} | {one.title} | {one.question} | {state(one)} |" for one in catalogue.chapters]
    return ["| | chapter | the question | state |", "|---|---|---|---|", *rows]


def data_cards(catalogue: Catalogue) -> list[str]:
    rows = [
        f"| [{card.title}](/book/data_cards/{card.name}) | {card.shows} | {card.size} | {card.people} |"
        for card in catalogue.cards
    ]
    return ["| data set | what it shows | default size | people in it |", "|---|---|---|---|", *rows]


def modules(catalogue: Catalogue) -> list[str]:
    rows = [f"| [`{name}`](/book/api/{name}) | {sentence} |" for name, sentence in catalogue.modules.items()]
    return ["| module | what it is for |", "|---|---|", *rows]


TABLES: dict[str, Callable[[Catalogue], list[str]]] = {
    "chapters": chapters,
    "data_cards": data_cards,
    "modules": modules,
    "needs": lambda _: doctor.table(),
}


class Table(SphinxDirective):
    """The table, or one warning that says what a source lacks."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        (name,) = self.arguments
        try:
            lines = TABLES[name](Catalogue(Path(self.env.srcdir)))
        except (KeyError, OSError, ValueError) as error:
            logger.warning(f"catalogue: {error}", location=self.get_location())
            return []
        holder = nodes.Element()
        self.state.nested_parse(StringList(lines, source="catalogue"), self.content_offset, holder)
        return holder.children


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("catalogue", Table)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
