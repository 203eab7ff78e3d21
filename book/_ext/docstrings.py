"""Docstrings are plain text with `code` in it: an asterisk or a bar in a formula is no markup on the API pages.

`Args:` and `Raises:` become lists, `Returns:` a paragraph; another indented block is shown as it stands.
`Derived in: lectures/NN_topic/name`, or two of them with `and` between, leads there, and the lectures' last lines back.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

CODE_OR_LECTURE = re.compile(r"(`+[^`]+`+|lectures/\w+/\w+(?:\.\w+)?)")
LISTS, PARAGRAPHS = ("Args", "Raises"), ("Returns", "Yields")
ENTRY = re.compile(r"(\w+(?:, \w+)*): (.*)")
LECTURE = re.compile(r"lectures/\w+/\w+")
DERIVED = re.compile(rf"Derived in: {LECTURE.pattern}(?: and {LECTURE.pattern})?")


def mark_up(piece: str) -> str:
    """A piece of `code`, or the path of a lecture, as reStructuredText."""
    if piece.startswith("`"):
        return f"``{piece.strip('`')}``"
    return f":doc:`/{piece.partition('.')[0]}`"


def escape(text: str) -> str:
    """Plain text with `code` and lectures in it, as reStructuredText."""
    pieces = CODE_OR_LECTURE.split(text)
    pieces[::2] = [re.sub(r"([\\*|_])", r"\\\1", plain) for plain in pieces[::2]]
    pieces[1::2] = map(mark_up, pieces[1::2])
    return "".join(pieces)


def of_section(section: str, line: str) -> str:
    """A line below `Args:`, `Raises:` or `Returns:`: the beginning of an entry, or more of it."""
    if section in PARAGRAPHS:
        return escape(line.strip())
    if entry := ENTRY.fullmatch(line.removeprefix("    ")):
        return f"- {', '.join(f'``{name}``' for name in entry[1].split(', '))}: {escape(entry[2])}"
    return f"  {escape(line.strip())}"


def to_rst(lines: list[str]) -> list[str]:
    """A docstring's lines as reStructuredText."""
    written: list[str] = []
    section = ""
    for line in lines:
        before = written[-1] if written else ""
        if line.removesuffix(":") in LISTS + PARAGRAPHS and line.endswith(":"):
            section = line[:-1]
            written += ["", f"**{section}**", ""]
        elif section and line[:1].isspace():
            written.append(of_section(section, line))
        elif line[:1].isspace() and not before.lstrip().startswith("- "):
            if not before[:1].isspace():
                written += ["", "::", ""]
            written.append(line)
        else:
            section = "" if line else section
            starts_list = line.startswith("- ") and before and not before.startswith("- ")
            written += [*([""] if starts_list else []), escape(line)]
    return written


def process(app: Sphinx, what: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    """Rewrite one docstring, and note which lectures it names, once for what stands on two pages."""
    if str(getattr(thing, "__module__", name)).startswith(name.rpartition(".")[0]):
        for lecture in LECTURE.findall(" ".join(DERIVED.findall(" ".join(lines)))):
            anchor = f"module-{name}" if what == "module" else name
            derived(app).setdefault(lecture, {})[name] = (app.env.docname, anchor)
    lines[:] = to_rst(lines)


def derived(app: Sphinx) -> dict[str, dict[str, tuple[str, str]]]:
    """For each lecture, the names that it derives, each with its page and anchor."""
    if not hasattr(app.env, "tml_derived"):
        app.env.tml_derived = {}
    return app.env.tml_derived  # type: ignore[no-any-return]


def lead_back(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """End a lecture with links to what it derives."""
    found = sorted(derived(app).get(docname, {}).items())
    if not found:
        return
    line = nodes.paragraph("", "Derived here, and kept in the library: ", classes=["derived"])
    for count, (name, (page, anchor)) in enumerate(found):
        line += [nodes.Text(", ")] * (count > 0)
        text = nodes.literal("", name.removeprefix("tml_helpers."))
        line += make_refnode(app.builder, docname, page, anchor, text, name)
    doctree.children[0].append(line)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process)
    app.connect("doctree-resolved", lead_back)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
