"""What of an executed submission may be opened in a browser or in Jupyter: text, and pictures without programs."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from tml_helpers.grading import formulas
from tml_helpers.grading.notebook import Notebook, grade_id

MOST_OUTPUTS, MOST_CHARACTERS, MOST_PICTURE = 200, 100_000, 4_000_000
LEFT_OUT = "(left out: the notebook shows more than is kept)"
BEGINNINGS = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
HERE = r"[^:/?#\\]*([/?#](?![/\\])|$)"  # a path relative to the page
PASTED = r"attachment:[^:/?#\\]+\.(?i:png|jpe?g)$"  # a picture that the cell brings
ADDRESSES = {"a": {"href"}, "img": {"src"}}
ATTRIBUTES = {
    "*": {"class"},
    "a": {"href"},
    "img": {"src", "alt"},
    "ol": {"start"},
    "th": {"style"},
    "td": {"style"},
    **formulas.ELEMENTS,
}
# What nh3 does not ask: a picture is in the page or beside it, and no link holds a page in itself.
SAFE = {
    "href": re.compile(rf"https?://|mailto:|#|{HERE}", re.IGNORECASE),
    "src": re.compile(rf"data:image/(png|jpeg);base64,|{PASTED}|{HERE}"),
}
TERMINAL_CODE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def _harmless(element: str, name: str, value: str) -> str | None:
    """An attribute's value, where it may stay. A browser reads an address without its tabs and line ends."""
    if element in formulas.ELEMENTS:
        return value if formulas.is_plain(element, name, value) else None
    return value if name not in SAFE or SAFE[name].match("".join(value.split())) else None


POLICY: dict[str, Any] = {
    "url_schemes": {"http", "https", "mailto", "data", "attachment"},
    "attribute_filter": _harmless,
}


@dataclass
class Room:
    """The characters that a notebook as a whole may still show: a report must not grow without end."""

    pictures: int = 12_000_000
    text: int = 1_500_000
    formulas: int = 100_000

    def has(self, kind: str, content: str) -> bool:
        """Whether there is room for this, which is taken."""
        left: int = getattr(self, kind) - len(content)
        if left >= 0:
            setattr(self, kind, left)
        return left >= 0


def clean(notebook: Notebook, released: Notebook) -> dict[str, Any]:
    """The notebook as plain JSON, rebuilt from what is known to be harmless; everything else is left out.

    Text that stands in the released notebook is the course's own, and stays as it is.
    """
    given, room = {cell.source for cell in released.cells}, Room()
    cells = [_cell(cell, place, given, room) for place, cell in enumerate(notebook.cells)]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": dict(notebook.metadata), "cells": cells}


def _cell(cell: Any, place: int, given: set[str], room: Room) -> dict[str, Any]:
    settings = cell.metadata.get("nbgrader") if grade_id(cell) else None
    source = text(cell.source)
    if cell.source not in given and not room.has("text", source):
        source = f"# {LEFT_OUT}"
    if cell.cell_type == "markdown" and cell.source not in given:
        source = markdown(source)
    made: dict[str, Any] = {"id": f"cell-{place}", "cell_type": cell.cell_type, "source": source}
    made["metadata"] = {"nbgrader": dict(settings)} if settings is not None else {}
    if cell.cell_type == "code":
        made["execution_count"] = None
        made["outputs"] = outputs(cell.get("outputs"), room)
    elif pasted := _pasted(cell.get("attachments"), room):
        made["attachments"] = pasted
    return made


def _pasted(found: Any, room: Room) -> dict[str, dict[str, str]]:
    """The pictures that a cell of text brings, by name."""
    files = {name: file for name, file in found.items() if isinstance(file, dict)} if isinstance(found, dict) else {}
    kept = {name: {k: v for k, v in file.items() if _is_picture(k, v, room)} for name, file in files.items()}
    return {text(name): file for name, file in kept.items() if file}


def outputs(found: Any, room: Room | None = None) -> list[dict[str, Any]]:
    """A cell's outputs as nbformat has them: streams, errors, plain text, and PNG or JPEG pictures; what has no room
    is left out."""
    room = room or Room()
    given = found[:MOST_OUTPUTS] if isinstance(found, list) else []
    made = [_output(output, room) for output in given if isinstance(output, dict)]
    return [output for output in made if output is not None]


def _output(output: dict[str, Any], room: Room) -> dict[str, Any] | None:
    def shown(value: Any) -> str:
        kept = text(value)
        return kept if room.has("text", kept) else LEFT_OUT

    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return {"output_type": "stream", "name": name, "text": shown(output.get("text"))}
    if kind == "error":
        lines = output.get("traceback")
        traceback = [shown(line) for line in lines[:500]] if isinstance(lines, list) else []
        return {
            "output_type": "error",
            "ename": shown(output.get("ename")),
            "evalue": shown(output.get("evalue")),
            "traceback": traceback,
        }
    if kind in ("display_data", "execute_result") and isinstance(output.get("data"), dict):
        data = {"text/plain": shown(output["data"].get("text/plain"))}
        data |= {k: v for k, v in output["data"].items() if _is_picture(k, v, room)}
        return {"output_type": "display_data", "data": data, "metadata": {}}
    return None


def text(value: Any) -> str:
    """The text as UTF-8 can hold it, without control characters, and not longer than a reader would read."""
    if not isinstance(value, str):
        return ""
    value = TERMINAL_CODE.sub("", value[: 2 * MOST_CHARACTERS].encode("utf-8", "replace").decode("utf-8"))
    return "".join(c for c in value[:MOST_CHARACTERS] if c >= " " or c in "\n\t")


def markdown(source: str) -> str:
    """The text without HTML of its author's; with a link to no page or a picture from elsewhere, as it was typed."""
    import mistune
    import nh3

    escaped = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", source)
    renderer = mistune.HTMLRenderer(allow_harmful_protocols=True)  # what another renderer might do is looked for
    shown = str(mistune.create_markdown(renderer=renderer)(escaped))
    links = nh3.clean(shown, tags=set(ADDRESSES), attributes=ADDRESSES, link_rel=None, **POLICY)
    if "<a>" not in links and "<img>" not in links:  # each kept its address
        return escaped
    return "\n".join(f"    {line}" for line in escaped.splitlines())


def html(fragment: str) -> str:
    """A part of a page without what could run or fetch something, whoever made it."""
    import nh3

    tags = nh3.ALLOWED_TAGS | formulas.ELEMENTS.keys()
    return nh3.clean(fragment, tags=tags, attributes=ATTRIBUTES, filter_style_properties={"text-align"}, **POLICY)


def _is_picture(kind: str, content: Any, room: Room) -> bool:
    """Whether this is a picture for which there is room, which is taken."""
    if kind not in BEGINNINGS or not isinstance(content, str) or len(content) > MOST_PICTURE:
        return False
    try:
        begins = base64.b64decode("".join(content.split()), validate=True).startswith(BEGINNINGS[kind])
    except (binascii.Error, ValueError):
        return False
    return begins and room.has("pictures", content)
