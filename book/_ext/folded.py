"""Folded cells say what is in them: a solution, or the code of a figure."""

from docutils import nodes
from sphinx.application import Sphinx

# myst-nb's word for what a cell's tag folds, and what stands there instead.
FOLDED = {
    "all": "the solution",
    "input": "the code of this figure",
    "output": "the output",
    "input+output": "{type}",
}


def name_folds(app: Sphinx, doctree: nodes.document) -> None:
    for cell in doctree.findall(lambda node: isinstance(node, nodes.Element) and "hide_mode" in node):
        what = FOLDED[cell["hide_mode"]]
        cell["prompt_show"], cell["prompt_hide"] = f"Show {what}", f"Hide {what}"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", name_folds)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
