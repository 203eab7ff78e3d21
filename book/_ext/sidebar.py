"""The sidebar shows all chapters that are planned: what is in preparation stands in its place, greyed.

A chapter that has lectures has its number and title as the caption of its list, from book/_toc.yml.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from catalogue import Catalogue, Chapter
from docutils import nodes
from sphinx.application import Sphinx

PLANNED = '<p class="caption in-preparation"><span class="caption-text">{} <small>in preparation</small></span></p>'
MORE = '<li class="toctree-l1 in-preparation"><small>the rest in preparation</small></li>'


def with_planned(html: str, chapters: list[Chapter]) -> str:
    """The sidebar, with what is in preparation."""
    page = BeautifulSoup(html, "html.parser")
    captions = {caption.get_text(): caption for caption in page.find_all("p", class_="caption")}
    place = None
    for chapter in reversed(chapters):
        caption = captions.get(chapter.heading)
        if caption is None and place is not None:
            place.insert_before(fragment(PLANNED.format(chapter.heading)))
            place = place.previous_sibling
        elif caption is not None:
            place = caption
            if not chapter.complete:
                caption.find_next("ul").append(fragment(MORE))
    return str(page)


def fragment(html: str) -> Any:
    return BeautifulSoup(html, "html.parser").contents[0]


def mend(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    chapters = Catalogue(Path(app.srcdir)).chapters
    make: Callable[..., Any] = context["generate_toctree_html"]
    context["generate_toctree_html"] = lambda *args, **options: with_planned(str(make(*args, **options)), chapters)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", mend, priority=910)  # after the theme has made the sidebar
    return {"parallel_read_safe": True, "parallel_write_safe": True}
