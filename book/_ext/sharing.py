"""What a shared link shows: the page's title, its first words, and, where the site's address is known, a picture."""

import re
from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from tml_helpers.machine import site

SENTENCES = re.compile(r"(?<=[.!?])\s+")
ENOUGH = 60  # letters
PICTURE = "_static/book.png"


def opening(doctree: nodes.document) -> str:
    """The first sentence of the text, without a formula in it, and the next ones where it is short."""
    paragraphs = sorted(doctree.findall(nodes.paragraph), key=lambda one: not isinstance(one.parent, nodes.section))
    said = ""
    for sentence in SENTENCES.split(paragraphs[0].astext()) if paragraphs else []:
        if "\\" not in sentence and len(said) < ENOUGH:
            said = " ".join([*said.split(), *sentence.split()])
    return said


def tags(facts: dict[str, str]) -> str:
    """One `<meta>` for each fact; Open Graph's names are properties."""
    kind = {True: "property", False: "name"}
    return "".join(
        f'<meta {kind[name.startswith("og:")]}="{name}" content="{escape(value)}">\n' for name, value in facts.items()
    )


def describe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    if doctree is None:
        return
    words = opening(doctree)
    facts = {
        "description": words,
        "og:title": app.env.titles[page].astext(),
        "og:description": words,
        "og:type": "article",
        "og:site_name": app.config.html_title,
    }
    address = site()
    if address is not None:
        facts |= {"og:url": f"{address}/{page}.html", "og:image": f"{address}/{PICTURE}"}
    context["metatags"] = context.get("metatags", "") + tags(facts)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
