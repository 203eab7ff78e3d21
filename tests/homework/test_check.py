"""What `tml check` tells a student, in one sentence for each thing that would go wrong."""

import copy
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from courses import cell, read, submit
from nbformat.v4 import new_code_cell

from tml_helpers import grading


def check(course: Path, notebook: Any, name: str = "sums.ipynb") -> list[str]:
    """What is said of a file with this content, which stays as it is."""
    file = submit(course, "me", "sums", notebook, name=name)
    before = file.read_bytes()
    found = grading.check(file, course=course)
    assert file.read_bytes() == before
    assert all("\n" not in sentence for sentence in found)
    return found


def said(found: list[str], *words: str) -> bool:
    """Whether there is one sentence, and it has all of the words."""
    return len(found) == 1 and all(word in found[0] for word in words)


def test_answered_notebook_is_ready(released: Path, answered: Any) -> None:
    answered.cells.append(new_code_cell("%matplotlib inline\n!ls\ndouble?\nprint(double(3))"))
    answered.cells.append(new_code_cell("%%bash\nfor f in *; do echo $f; done"))
    assert check(released, answered) == []


def test_released_notebook_has_no_answers_yet(released: Path, handout: Any) -> None:
    assert check(released, handout) == ["the cell double has no answer yet", "the cell why has no answer yet"]


def test_answers_written_into_the_released_file_itself(released: Path, answered: Any) -> None:
    file = released / "handouts/sums/sums.ipynb"
    cell(answered, "why").source = "YOUR ANSWER HERE"
    cell(answered, "double_test").source = "assert True"
    nbformat.write(answered, file)
    (released / "gradebook.db").unlink()
    found = grading.check(file, course=released)
    assert len(found) == 2
    assert said(found[:1], "double_test", "was edited")
    assert found[1] == "the cell why has no answer yet"
    assert not (released / "gradebook.db").exists()


def test_missing_file(released: Path) -> None:
    assert said(grading.check(released / "sums.ipynb", course=released), "there is no file", "sums.ipynb")


@pytest.mark.parametrize("text", ["", "<html>", '{"cells": [', "\ud800".encode("utf-8", "surrogatepass")])
def test_not_json(released: Path, handout: Any, text: str | bytes) -> None:
    file = submit(released, "me", "sums", "")
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert said(
        grading.check(file, course=released), "sums.ipynb is not a notebook", "not JSON", "save or download it again"
    )


@pytest.mark.parametrize("content", [[], {}, 7, {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{}]}])
def test_json_that_is_no_notebook(released: Path, handout: Any, content: Any) -> None:
    assert said(check(released, json.dumps(content)), "JSON but not a whole notebook", "save or download it again")


def test_deleted_test(released: Path, answered: Any) -> None:
    answered.cells.remove(cell(answered, "double_test"))
    assert said(check(released, answered), "double_test", "is gone", "will be put back")


def test_deleted_answer(released: Path, answered: Any) -> None:
    answered.cells.remove(cell(answered, "double"))
    assert said(check(released, answered), "the answer cell double is gone", "fresh download")


def test_doubled_cell(released: Path, answered: Any) -> None:
    answered.cells.insert(3, copy.deepcopy(cell(answered, "double")))
    assert said(check(released, json.dumps(answered)), "double", "2 times", "keep one")


def test_edited_test(released: Path, answered: Any) -> None:
    cell(answered, "double_test").source = "assert double(2) == 5"
    assert said(check(released, answered), "double_test", "was edited", "cells of your own")


def test_edited_setup(released: Path, answered: Any) -> None:
    cell(answered, "setup").source += "\nstart = 1"
    assert said(check(released, answered), "setup", "was edited")


def test_answer_cell_turned_into_text(released: Path, answered: Any) -> None:
    answered.cells[2] = nbformat.v4.new_markdown_cell("x + x", metadata=cell(answered, "double").metadata)
    assert said(check(released, answered), "double", "must be a code cell", "change it back")


def test_syntax_error_in_an_answer(released: Path, answered: Any) -> None:
    cell(answered, "double").source = "def double(x)\n    return 2 * x"
    assert said(check(released, answered), "the cell double is not Python", "line 1", "expected ':'")


def test_syntax_error_in_a_cell_of_their_own(released: Path, answered: Any) -> None:
    answered.cells.append(new_code_cell("print(double(3)"))
    assert said(check(released, answered), "'print(double(3)'", "is not Python", "never closed")


def test_half_an_answer(released: Path, answered: Any) -> None:
    cell(answered, "double").source = "def double(x):\n    y = x\n    raise NotImplementedError"
    assert said(check(released, answered), "the cell double has no answer yet")


def test_other_file_name(released: Path, answered: Any) -> None:
    assert said(check(released, answered, "sums (1).ipynb"), "sums (1).ipynb", "rename it to sums.ipynb")


def test_another_homeworks_file(released: Path, answered: Any) -> None:
    answered.cells = answered.cells[:2]
    assert said(check(released, answered), "lacks most cells", "fresh download")


def test_notebook_of_an_older_format_is_read(released: Path, answered: Any) -> None:
    """Colab saves notebooks of format 4.0, whose cells have no ids."""
    for c in answered.cells:
        c.pop("id")
    answered.nbformat_minor = 0
    assert check(released, json.dumps(answered)) == []


def test_homework_of_a_course_with_several_is_found_by_its_cells(released: Path, answered: Any) -> None:
    other = read(released / "masters/sums/sums.ipynb")
    for c in other.cells[1:]:
        c.metadata.nbgrader.grade_id += "_of_products"
    (released / "masters/products").mkdir()
    nbformat.write(other, released / "masters/products/products.ipynb")
    assert said(check(released, answered, "homework.ipynb"), "rename it to sums.ipynb")
