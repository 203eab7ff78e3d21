"""What editors write into notebooks that is not quite the format: it is read, and costs nobody a point."""

import copy
import json
from typing import Any

import nbformat
import pytest
from bad_input import refuses

from tml_helpers.grading import notebook
from tml_helpers.grading.repair import repaired

CODE = {"cell_type": "code", "metadata": {}, "source": "x = 1", "outputs": [], "execution_count": None}
TEXT = {"cell_type": "markdown", "metadata": {}, "source": "Why?"}
STREAM = {"output_type": "stream", "name": "stdout", "text": "1"}
SHOWN = {"output_type": "display_data", "data": {"text/plain": "1"}, "metadata": {}}
RAISED = {"output_type": "error", "ename": "E", "evalue": "no", "traceback": ["a", "b"]}


def given(*cells: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **parts}


def read(content: dict[str, Any]) -> Any:
    return notebook.parse(json.dumps(content).encode(), "h.ipynb")


def parts(cell: Any, **changes: Any) -> dict[str, Any]:
    """A cell with these parts instead; None takes one away."""
    return {name: part for name, part in {**copy.deepcopy(cell), **changes}.items() if part is not None}


ODD = {
    "ids in a format that has none": given({**CODE, "id": "a"}, nbformat_minor=4),
    "no ids": given(CODE),
    "a long id": given({**CODE, "id": "a" * 65}),
    "an id of other signs": given({**CODE, "id": "a b"}),
    "two equal ids": given({**TEXT, "id": "a"}, {**CODE, "id": "a"}),
    "a later format": given(CODE, nbformat_minor=9),
    "no minor format": parts(given(CODE), nbformat_minor=None),
    "no metadata": parts(given(CODE), metadata=None),
    "a cell without metadata": given(parts(CODE, metadata=None)),
    "a cell with metadata that are none": given({**CODE, "metadata": []}),
    "tags twice": given({**CODE, "metadata": {"tags": ["a", "a"]}}),
    "collapsed": given({**CODE, "metadata": {"collapsed": "false", "scrolled": 3, "name": ""}}),
    "a kernel without a name": given(CODE, metadata={"kernelspec": {"language": "python"}, "language_info": {}}),
    "lines": given({**CODE, "source": ["x = ", "1"]}),
    "no outputs": given(parts(CODE, outputs=None)),
    "no count": given(parts(CODE, execution_count=None)),
    "a count that is none": given({**CODE, "execution_count": "3"}),
    "an output of another kind": given({**CODE, "outputs": [{"output_type": "update_display_data"}, None, STREAM]}),
    "a stream without a name": given({**CODE, "outputs": [parts(STREAM, name=None)]}),
    "an error without its lines": given({**CODE, "outputs": [parts(RAISED, traceback=None)]}),
    "data that are no text": given({**CODE, "outputs": [{**SHOWN, "data": {"application/json": {"a": 1}, "x": 3}}]}),
    "a result without a count": given({**CODE, "outputs": [{**SHOWN, "output_type": "execute_result"}]}),
    "parts of its own": given({**CODE, "attachments": {}, "prompt_number": 3}, orig_nbformat=2, signature="sha"),
    "another mark at the begin": given(CODE),
}


@pytest.mark.parametrize("name", ODD)
def test_what_jupyter_reads_is_read(name: str) -> None:
    content = json.dumps(ODD[name]).encode()
    found = notebook.parse(b"\xef\xbb\xbf" * ("mark" in name) + content, "h.ipynb")
    nbformat.validate(found)
    assert found.cells[-1].source == "x = 1"


def test_line_ends_of_windows_are_no_edits() -> None:
    windows = read(given({**CODE, "source": "x = 1\r\ny = 2"}, {**TEXT, "source": ["a\r\n", "b\rc"]}))
    assert [cell.source for cell in windows.cells] == ["x = 1\ny = 2", "a\nb\nc"]


def test_outputs_that_can_be_read_stay_as_they_are() -> None:
    result = {**SHOWN, "output_type": "execute_result", "execution_count": 2}
    shown = [STREAM, {**STREAM, "name": "stderr"}, SHOWN, result, RAISED]
    cell = read(given({**CODE, "outputs": shown, "execution_count": 7})).cells[0]
    assert ([dict(output) for output in cell.outputs], cell.execution_count) == (shown, 7)
    assert read(given({**CODE, "outputs": [{**STREAM, "text": ["1", "2"]}]})).cells[0].outputs[0].text == "12"


def test_what_grading_needs_stays_and_nothing_else() -> None:
    settings = {"grade_id": "q", "grade": True, "points": 2, "solution": False, "locked": True}
    kernel = {"name": "python3", "display_name": "Python", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python", "version": "3"}, "colab": {}}
    picture = {"a.png": {"image/png": "AAAA"}}
    cells = [{**TEXT, "id": "t1", "attachments": picture, "metadata": {"nbgrader": settings, "x": 1}}, CODE]
    found = read(given(*cells, metadata=metadata))
    assert found.metadata == {"kernelspec": kernel, "language_info": {"name": "python", "version": "3"}}
    assert (found.cells[0].metadata, found.cells[0].id) == ({"nbgrader": settings}, "t1")
    assert found.cells[0].attachments == picture
    assert "attachments" not in read(given({**TEXT, "attachments": {"a": 3, "b": {"image/png": 3}}})).cells[0]


def test_a_cell_of_an_unknown_kind_is_text_and_what_is_no_cell_is_nothing() -> None:
    found = read(given({"cell_type": "heading", "level": 1, "source": "Title"}, 3, "cell", parts(CODE, source=None)))
    assert [(cell.cell_type, cell.source) for cell in found.cells] == [("markdown", "Title"), ("code", "")]


@pytest.mark.parametrize("source", [[1, [2], None], 3, {"a": "b"}, [["x = 1"]]])
def test_an_answer_that_cannot_be_read_is_not_taken_for_none(source: Any) -> None:
    with refuses(ValueError, "h.ipynb is JSON but not a whole notebook", "the source of a cell is no text"):
        read(given({**CODE, "source": source}))


def test_what_has_no_cells_is_no_notebook() -> None:
    with refuses(ValueError, "it has no list of cells"):
        repaired({"nbformat": 4, "cells": {}})
    with refuses(ValueError, "h.ipynb is JSON but not a whole notebook"):
        read({"nbformat": 4, "metadata": {}})
