"""Figures and displayed equations have numbers, page by page; a figure has a caption, and both can be pointed at.

A code cell whose metadata give a picture's alt text makes a figure. Its caption is the paragraph after the cell that
begins with an emphasised sentence. The cell's tag `fig-NAME` names it, and {fig}`NAME` becomes "Figure 3"; an equation
is named `$$ … $$ (eq-NAME)`, and {eq}`eq-NAME` becomes "(4)". From another page: "Figure 3 of lecture 2.2".
"""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.roles import XRefRole
from sphinx.util import logging
from sphinx.util.nodes import make_refnode
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)
# For each (role, name): the page, and the number on it.
Places = dict[tuple[str, str], tuple[str, int]]


class numbered_figure(nodes.General, nodes.Element):
    """A picture, or several of one cell, and what they show."""


class numbered_caption(nodes.TextElement):
    """What a figure shows, after its number."""


def places(env: BuildEnvironment) -> Places:
    if not hasattr(env, "numbered_places"):
        env.numbered_places = {}  # type: ignore[attr-defined]
    return env.numbered_places  # type: ignore[attr-defined,no-any-return]


def tags(cell: nodes.container) -> list[str]:
    return list(cell["cell_metadata"].get("tags", []))


def figure_cells(doctree: nodes.document) -> Iterator[nodes.container]:
    """The code cells whose metadata say what their picture shows."""
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") == "cell_code" and "alt" in cell["cell_metadata"].get("mystnb", {}).get("image", {}):
            yield cell


def equations(doctree: nodes.document) -> list[nodes.math_block]:
    """The displayed equations of the text."""
    return list(doctree.findall(nodes.math_block))


def caption(cell: nodes.container) -> nodes.paragraph | None:
    """The paragraph after a cell, where it begins with an emphasised sentence."""
    after = cell.next_node(descend=False, siblings=True)
    starts = isinstance(after, nodes.paragraph) and isinstance(after.children[0], nodes.emphasis)
    return after if starts else None


def frame(cell: nodes.container, number: int) -> None:
    """Put the pictures of a cell, and the caption that follows it, into a figure."""
    shown = [one for one in cell.findall(nodes.container) if one.get("nb_element") == "mime_bundle"]
    pictures = [one for one in shown if next(one.findall(nodes.image), None) is not None]
    if not pictures:
        return
    figure = numbered_figure(ids=[f"figure-{number}"])
    pictures[0].replace_self(figure)
    for picture in pictures[1:]:
        picture.parent.remove(picture)
    figure += pictures
    text = caption(cell)
    if text is not None:
        text.parent.remove(text)
        figure += numbered_caption("", "", *text.children, number=number, anchor=f"figure-{number}")


def note(env: BuildEnvironment, role: str, name: str, number: int, node: nodes.Node) -> None:
    """Remember what a name means."""
    page, _ = places(env).setdefault((role, name), (env.docname, number))
    if places(env)[role, name] != (env.docname, number):
        logger.warning(f"numbering: {role} {name!r} is named on {page}, too", location=node)


def number(app: Sphinx, doctree: nodes.document) -> None:
    """Number the figures and the equations of a page."""
    for n, cell in enumerate(figure_cells(doctree), start=1):
        frame(cell, n)
        for tag in tags(cell):
            if tag.startswith("fig-"):
                note(app.env, "fig", tag.removeprefix("fig-"), n, cell)
    for n, block in enumerate(equations(doctree), start=1):
        block["number"] = n
        block["ids"].insert(0, f"equation-{n}")
        if block.get("label"):
            note(app.env, "eq", block["label"], n, block)


def forget(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    """The page is read anew."""
    for key in [key for key, (where, _) in places(env).items() if where == page]:
        del places(env)[key]


def page_name(title: str) -> str:
    """How another page speaks of this one: `lecture 2.2`, `H4`, or the title."""
    numbered = re.match(r"(\d+\.\d+|H\d+)\b", title)
    if numbered is None:
        return title
    return numbered[0] if numbered[0].startswith("H") else f"lecture {numbered[0]}"


def point(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Node) -> nodes.reference | None:
    """What {fig}`NAME` and {eq}`eq-NAME` become; None for what is not known, which Sphinx warns of."""
    role = node["reftype"]
    page, number = places(env).get((role, node["reftarget"]), (None, 0))
    if page is None:
        return None
    words = f"Figure {number}" if role == "fig" else f"({number})"
    if page != node["refdoc"]:
        words += f" of {page_name(env.titles[page].astext())}"
    anchor = f"figure-{number}" if role == "fig" else f"equation-{number}"
    return make_refnode(app.builder, node["refdoc"], page, anchor, nodes.inline("", words))


def open_figure(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "figure", CLASS="numbered"))


def close_figure(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append("</figure>\n")


def open_caption(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append(f'<figcaption><span class="figure-number">Figure {node["number"]}.</span> ')


def close_caption(self: HTML5Translator, node: nodes.Element) -> None:
    link = f'<a class="headerlink" href="#{node["anchor"]}" title="Link to this figure">#</a>'
    self.body.append(f"{link}</figcaption>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(numbered_figure, html=(open_figure, close_figure))
    app.add_node(numbered_caption, html=(open_caption, close_caption))
    app.add_role("fig", XRefRole(warn_dangling=True))
    app.add_role("eq", XRefRole(warn_dangling=True), override=True)
    app.connect("env-purge-doc", forget)
    app.connect("doctree-read", number)
    app.connect("missing-reference", point)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
