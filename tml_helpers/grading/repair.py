"""A notebook as the format has it, from what every Jupyter tool reads: how an editor writes it costs nobody a point."""

import re
from typing import Any

ID = re.compile(r"[a-zA-Z0-9-_]{1,64}")
KERNEL = {"kernelspec": ("name", "display_name"), "language_info": ("name",)}  # and what the format wants of each


def repaired(content: dict[str, Any]) -> dict[str, Any]:
    """The notebook of format 4 with the parts that graded work needs, each of the kind that the format wants.

    Args:
        content: a notebook's JSON, as an editor wrote it.

    Returns:
        The cells with text, attachments and outputs that can be read, with Unix line ends; of the metadata, those of
        nbgrader, the kernel and the language.

    Raises:
        ValueError: it has no list of cells, or a cell with a source that is no text: an answer would be lost.
    """
    if not isinstance(content.get("cells"), list):
        raise ValueError("it has no list of cells")
    cells = [_cell(cell) for cell in content["cells"] if isinstance(cell, dict)]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": _kernel(_dict(content.get("metadata"))), "cells": cells}


def _cell(cell: dict[str, Any]) -> dict[str, Any]:
    kind = cell.get("cell_type")
    made: dict[str, Any] = {"cell_type": kind if kind in ("code", "markdown", "raw") else "markdown"}
    if cell.get("source") is not None and not _is_text(cell["source"]):
        raise ValueError("the source of a cell is no text")
    made["source"] = _text(cell.get("source"))
    if isinstance(cell.get("id"), str) and ID.fullmatch(cell["id"]):
        made["id"] = cell["id"]
    settings = _dict(cell.get("metadata")).get("nbgrader")
    made["metadata"] = {"nbgrader": settings} if isinstance(settings, dict) else {}
    if made["cell_type"] == "code":
        made["execution_count"] = _count(cell.get("execution_count"))
        found = cell["outputs"] if isinstance(cell.get("outputs"), list) else []
        made["outputs"] = [output for one in found if (output := _output(_dict(one))) is not None]
    elif attachments := _attachments(cell.get("attachments")):
        made["attachments"] = attachments
    return made


def _output(output: dict[str, Any]) -> dict[str, Any] | None:
    """An output of a kind that the format knows; None of another."""
    match output.get("output_type"):
        case "stream":
            name = "stderr" if output.get("name") == "stderr" else "stdout"
            return {"output_type": "stream", "name": name, "text": _text(output.get("text"))}
        case "error":
            lines = output.get("traceback")
            lines = [_text(line) for line in lines] if isinstance(lines, list) else []
            return {
                "output_type": "error",
                "ename": _text(output.get("ename")),
                "evalue": _text(output.get("evalue")),
                "traceback": lines,
            }
        case "display_data" | "execute_result" as kind:
            data = {name: _text(value) for name, value in _dict(output.get("data")).items() if _is_text(value)}
            made: dict[str, Any] = {"output_type": kind, "data": data, "metadata": {}}
            if kind == "execute_result":
                made["execution_count"] = _count(output.get("execution_count"))
            return made
    return None


def _attachments(found: Any) -> dict[str, dict[str, str]]:
    """Pictures and other files in a cell of text, by name, as base64 by kind."""
    files = {name: _dict(file) for name, file in _dict(found).items()}
    made = {name: {k: _text(v) for k, v in file.items() if _is_text(v)} for name, file in files.items()}
    return {name: file for name, file in made.items() if file}


def _kernel(metadata: dict[str, Any]) -> dict[str, Any]:
    """What says which kernel and language a notebook has, where it says so as the format wants."""
    found = {part: _dict(metadata.get(part)) for part in KERNEL}
    return {
        part: {name: value for name, value in said.items() if isinstance(value, str)}
        for part, said in found.items()
        if all(isinstance(said.get(name), str) for name in KERNEL[part])
    }


def _text(value: Any) -> str:
    """A text or a list of its lines, as one text with Unix line ends."""
    parts = [part for part in value if isinstance(part, str)] if isinstance(value, list) else [value]
    return "".join(p for p in parts if isinstance(p, str)).replace("\r\n", "\n").replace("\r", "\n")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(line, str) for line in value))


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
