"""A homework's task names its lecture by a link; the lecture's section Practice then leads to the task."""

import re

from docutils import nodes
from links import is_lecture, page_name
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

TASK = re.compile(r"Task (\d+)\b")
HOMEWORK = re.compile(r"H\d+")


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Note for each task of a homework its number, its anchor, and the pages that it leads to."""
    tasks = []
    for section in doctree.findall(nodes.section):
        if found := TASK.match(section.next_node(nodes.title).astext()):
            pages = dict.fromkeys(link["reftarget"] for link in section.findall(addnodes.pending_xref))
            tasks.append((found[1], section["ids"][0], list(pages)))
    noted(app.env)[app.env.docname] = tasks


def noted(env: BuildEnvironment) -> dict[str, list[tuple[str, str, list[str]]]]:
    if not hasattr(env, "tml_tasks"):
        env.tml_tasks = {}
    return env.tml_tasks  # type: ignore[no-any-return]


def lead_to_tasks(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Begin a lecture's Practice with links to the tasks that belong to it."""
    if not is_lecture(app.env, docname):
        return
    links = [
        make_refnode(app.builder, docname, page, anchor, nodes.Text(f"{page_name(app.env, page)}, task {number}"))
        for page, tasks in sorted(noted(app.env).items())
        for number, anchor, pages in tasks
        if docname in pages and HOMEWORK.fullmatch(page_name(app.env, page))
    ]
    for section in doctree.findall(nodes.section):
        if links and section.next_node(nodes.title).astext() == "Practice":
            line = nodes.paragraph("", "In the homework: ", classes=["homework"])
            for count, link in enumerate(links):
                line += [nodes.Text("; ")] * (count > 0)
                line += link
            section.insert(1, line)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", collect)
    app.connect("doctree-resolved", lead_to_tasks)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
