"""What the extensions that make links share: how a page is called in few words, and where a text takes no links."""

import re

from docutils import nodes
from numbering import numbered_caption
from quiz import quiz
from sphinx import addnodes
from sphinx.environment import BuildEnvironment

NUMBERED = re.compile(r"(\d+\.\d+|H\d+)\b")  # as in `2.2 Many small steps` and `H2 · Attack it`
NOT_RUNNING_TEXT = (
    nodes.Titular,
    nodes.reference,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.comment,
    addnodes.download_reference,
    quiz,
)


def page_name(env: BuildEnvironment, docname: str) -> str:
    """`2.2` of a lecture, `H2` of a homework, the title of another page."""
    title = env.titles[docname].astext()
    found = NUMBERED.match(title)
    return found[1] if found else title


def is_lecture(env: BuildEnvironment, docname: str) -> bool:
    return "." in page_name(env, docname).partition(" ")[0]


def is_running_text(node: nodes.Node) -> bool:
    """Whether the node is no heading, link, code, formula or quiz, and not what a cell printed; a caption may be."""
    above = node.parent
    while above is not None:
        if isinstance(above, NOT_RUNNING_TEXT):
            return False
        if isinstance(above, numbered_caption) or "cell" in above.get("classes", ()):
            return isinstance(above, numbered_caption)
        above = above.parent
    return True


def join_texts(doctree: nodes.document) -> None:
    """Make one text of those that stand side by side: MyST has one for each line."""
    for element in doctree.findall(nodes.TextElement):
        joined: list[nodes.Node] = []
        for child in element.children:
            if isinstance(child, nodes.Text) and joined and isinstance(joined[-1], nodes.Text):
                joined[-1] = nodes.Text(joined[-1] + child)
            else:
                joined.append(child)
        element.children = []
        element.extend(joined)
