"""What `tml check` tells a student, in one sentence for each thing that would go wrong."""

import copy
import json
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from answers import with_model_answers
from courses import ROOT, cell, executed, named, read, submit
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tml_helpers import grading
from tml_helpers.grading import advice

H1 = ROOT / "exercises/h1_distillation/h1_distillation.ipynb"
SOLUTION = ROOT / "solutions/h1_distillation/h1_distillation.ipynb"
RUN_ALL = "restart the kernel, run all cells, and save"


@pytest.fixture
def done() -> Any:
    """H1 with the model solution's answers, all cells run."""
    return executed(with_model_answers(read(H1), read(SOLUTION)))


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What is said of a file with this content, which stays as it is, in a folder that is no course's."""
    monkeypatch.chdir(tmp_path)

    def said(content: Any, name: str = "h1_distillation.ipynb") -> list[str]:
        file = tmp_path / name
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        before = file.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = grading.check(file)
        assert file.read_bytes() == before
        assert all("\n" not in sentence for sentence in found)
        return found

    return said


def error(name: str, value: str) -> Any:
    return new_output("error", ename=name, evalue=value, traceback=[])


# --- right ---


def test_a_finished_homework_is_ready(mine: Any, done: Any) -> None:
    done.cells.append(new_code_cell("%matplotlib inline\n!ls\nsoften?\nprint(soften(z, 3.0))"))
    done.cells.append(new_code_cell("%%bash\nfor f in *; do echo $f; done"))
    done.cells.insert(9, new_markdown_cell("# My notes\n\nTask 7"))
    cell(done, "5a_why").source = "raise NotImplementedError would say the same of everybody's answer."
    cell(done, "0b_teacher").outputs = [new_output("execute_result", data={"text/plain": "1"}, execution_count=3)]
    assert mine(done) == []


def test_what_colab_and_old_tools_save_is_ready_without_a_warning(mine: Any, done: Any) -> None:
    """Colab saves format 4.0, whose cells have no ids, and other tools 4.5 without the ids that it should have."""
    done.metadata.colab = {"provenance": []}
    for c in done.cells:
        c.pop("id")
        c.metadata.id = "k3Y"
    assert mine(done) == []
    done.nbformat_minor = 0
    assert mine(done) == []
    assert mine(b"\xef\xbb\xbf" + json.dumps(done).encode()) == [], "with a mark of Windows editors at its begin"


# --- the file ---


ITSELF = "submit the notebook itself, the file that ends in .ipynb"
AGAIN = "open it in JupyterLab or on Colab, and save it again"
OLD = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": []}]}
EMPTY = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}
ALL = ", ".join(sorted(folder.name for folder in (ROOT / "solutions").glob("h*_*")))


@pytest.mark.parametrize(("content", "name", "sentence"), [
    ("", "h1.ipynb", "is empty: save your notebook again"),
    (" \n", "h1.ipynb", "is empty: save your notebook again"),
    ("%PDF-1.7 ...", "h1.pdf", f"is a PDF: {ITSELF}"),
    ("PK\3\4", "h1.docx", f"is a zip archive or a document: {ITSELF}"),
    ("<!DOCTYPE html>", "h1.ipynb", f"is a web page: {ITSELF}"),
    ("# -*- coding: utf-8 -*-\n", "h1.py", f"is a Python file: {ITSELF}"),
    ("Task 1\n", "h1.ipynb", f"is not a notebook: {ITSELF}"),
    ("[]", "h1.ipynb", f"is not a notebook: {ITSELF}"),
    ('{"cells": [', "h1.ipynb", f"is cut off or damaged: {AGAIN}"),
    (b'{"\xed\xa0\x80": 1}', "h1.ipynb", f"is cut off or damaged: {AGAIN}"),
    (OLD, "h1.ipynb", f"was saved by a Jupyter of long ago: {AGAIN}"),
    ({}, "h1.ipynb", f"is not a whole notebook: {AGAIN}"),
    (EMPTY | {"cells": {}}, "h1.ipynb", f"is not a whole notebook: {AGAIN}"),
    (EMPTY, "h1.ipynb", f"is no homework that is known here ({ALL}): begin with a fresh copy of yours"),
])  # fmt: skip
def test_what_is_no_homework(mine: Any, content: Any, name: str, sentence: str) -> None:
    assert mine(content, name) == [f"{name} {sentence}"]


def test_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "h1"
    folder.mkdir()
    assert grading.check(folder) == [f"{folder} is a folder: name the notebook in it"]
    (folder / "a.ipynb").touch()
    assert grading.check(folder) == [f"{folder} is a folder: name the notebook in it, {folder / 'a.ipynb'}"]
    (folder / "b.ipynb").touch()
    assert grading.check(folder) == [f"{folder} is a folder: name the notebook in it"]


def test_a_missing_file(tmp_path: Path) -> None:
    (said,) = grading.check(tmp_path / "h1.ipynb")
    assert said.startswith(
        f"there is no file {tmp_path / 'h1.ipynb'}: is it in another folder, or has it another name?"
    )


@pytest.mark.parametrize("name", ["h1_distillation (1).ipynb", "h1_distillation.ipynb.txt", "h1_distillation.json"])
def test_another_name(mine: Any, done: Any, name: str) -> None:
    assert mine(done, name) == [f"the file is called {name}: rename it to h1_distillation.ipynb"]


def test_another_homework_under_this_name(mine: Any, done: Any) -> None:
    sentence = "holds the homework h1_distillation: take the right file, or rename this one h1_distillation.ipynb"
    assert mine(done, "h4_explanations.ipynb") == [f"h4_explanations.ipynb {sentence}"]


# --- answers ---


def test_nothing_was_written_yet(mine: Any) -> None:
    assert mine(read(H1)) == [
        "Task 1: no answer yet, in the cell that begins `def soften`",
        "Task 2: no answer yet, in the cell that begins `def distillation_loss`",
        "Task 3: no answer yet, in the cell that begins `def training_step`",
        "Task 3: no answer yet, in the cell that begins `def distil`",
        "Task 4: no answer yet, in the cell that begins `def distil_without`",
        'Task 5: no answer yet, in the text cell below "a. Why T²?"',
        'Task 5: no answer yet, in the text cell below "b. When would you not distil?"',
        f"no cell was run: {RUN_ALL}",
    ]


@pytest.mark.parametrize(("source", "sentence"), [
    ("", "Task 1: no answer yet, in the cell that begins `def soften`"),
    ("def soften(z, T):\n    z = z / T\n    raise NotImplementedError",
     "Task 1: `raise NotImplementedError` still stands in the cell that begins `def soften`"),
    ("def soften(z, T)\n    return z", "Task 1: the cell that begins `def soften`: Python cannot read it "
     "(line 1: expected ':'): mend it, and run it again"),
])  # fmt: skip
def test_a_bad_answer(mine: Any, done: Any, source: str, sentence: str) -> None:
    cell(done, "1_soften_answer").source = source
    assert mine(done) == [sentence]


def test_an_answer_that_is_gone(mine: Any, done: Any) -> None:
    done.cells.remove(cell(done, "2_loss_answer"))
    done.cells.remove(cell(done, "5b_when_not"))
    fresh = "is gone: copy it from a fresh copy of the homework, and answer in it"
    assert mine(done) == [
        f"Task 2: the cell that begins `def distillation_loss` {fresh}",
        f'Task 5: the text cell below "b. When would you not distil?" {fresh}',
    ]


def test_an_answer_cell_of_another_kind(mine: Any, done: Any) -> None:
    place = done.cells.index(cell(done, "1_soften_answer"))
    done.cells[place] = new_markdown_cell("z / T", metadata=done.cells[place].metadata)
    assert mine(done) == [
        "Task 1: the cell that begins `def soften` must be a code cell and is a Markdown cell: change it back"
    ]


# --- what stands below the cells ---


def test_a_test_that_shows_an_error(mine: Any, done: Any) -> None:
    """Named by its place among those of its task."""
    cell(done, "2b_loss_gradient").outputs = [error("AssertionError", "the gradient is wrong\nand more")]
    cell(done, "1_soften").outputs = [new_output("stream", text="?"), error("AssertionError", "")]
    assert mine(done) == [
        "Task 1: its test cell shows AssertionError",
        "Task 2: its second test cell shows AssertionError: the gradient is wrong",
    ]


def test_that_nothing_was_written_is_said_once(mine: Any, done: Any) -> None:
    """Of the answer; where that is there, its test was not run again."""
    cell(done, "3a_step").outputs = [error("NotImplementedError", "")]
    assert mine(done) == ["Task 3: its first test cell shows NotImplementedError"]
    cell(done, "3a_step_answer").update(source="", execution_count=None)  # Jupyter does not count what is empty
    assert mine(done) == ["Task 3: no answer yet, in the cell that begins `def training_step`"]


def test_that_an_answer_is_not_python_is_said_once(mine: Any, done: Any) -> None:
    cell(done, "1_soften_answer").outputs = [error("SyntaxError", "invalid syntax")]
    assert mine(done) == ["Task 1: the cell that begins `def soften` shows SyntaxError: invalid syntax"]
    cell(done, "1_soften_answer").source = "def soften(z, T)"
    assert [sentence.partition(" (")[0] for sentence in mine(done)] == [
        "Task 1: the cell that begins `def soften`: Python cannot read it"
    ]


def test_another_cell_that_shows_an_error(mine: Any, done: Any) -> None:
    cell(done, "0a_setup").outputs = [error("ModuleNotFoundError", "No module named 'tml_helpers'")]
    done.cells.insert(9, new_code_cell("print(nothing)", outputs=[error("NameError", "x" * 200)]))
    assert mine(done) == [
        "Before Task 1: the cell that begins `import math` shows ModuleNotFoundError: No module named 'tml_helpers'",
        f"a cell of yours, which begins `print(nothing)`, shows NameError: {'x' * 109}…",
    ]


def test_a_cell_of_their_own_that_is_not_python(mine: Any, done: Any) -> None:
    done.cells.append(new_code_cell("%matplotlib inline\nprint(soften(z)"))
    assert mine(done) == [
        "a cell of yours, which begins `%matplotlib inline`: Python cannot read it (line 2: '(' was never closed): "
        "mend it, and run it again"
    ]


# --- the course's cells ---


def test_a_test_cell_that_is_gone_or_changed(mine: Any, done: Any) -> None:
    done.cells.remove(cell(done, "2a_loss_value"))
    cell(done, "1_soften").source = "assert True"
    cell(done, "3_networks").source += "\n\nx = 1"
    cell(done, "4_choose").source += "\n"
    changed = "was changed, but the released one is graded: write in cells of your own"
    assert mine(done) == [
        f"Task 1: its test cell {changed}",
        "Task 2: its first test cell is gone: grading puts it back; a fresh copy of the homework shows it",
        f"Task 3: the cell that begins `from tml_helpers import distillation` {changed}",
    ]


def test_a_doubled_cell(mine: Any, done: Any) -> None:
    place = done.cells.index(cell(done, "1_soften_answer"))
    for _ in range(2):
        done.cells.insert(place, copy.deepcopy(cell(done, "1_soften_answer")))
    done.cells.insert(place, copy.deepcopy(cell(done, "1_soften")))
    assert mine(done) == [
        "Task 1: the cell that begins `def soften` is there 3 times, and only the last is graded: keep one",
        "Task 1: its test cell is there twice, and only the last is graded: keep one",
    ]


@pytest.mark.parametrize(("name", "by", "which", "back"), [
    ("1_soften_answer", 12, "Task 1: the cell that begins `def soften`", "up"),
    ("2a_loss_value", -6, "Task 2: its first test cell", "down"),
    ("4_never_seen", -20, "Task 4: its test cell", "down"),
])  # fmt: skip
def test_cells_in_another_order(mine: Any, done: Any, name: str, by: int, which: str, back: str) -> None:
    moved = cell(done, name)
    place = done.cells.index(moved)
    done.cells.remove(moved)
    done.cells.insert(place + by, moved)
    assert mine(executed(done)) == [f"{which} is not at its place, where it is graded: move it {back} again"]


# --- whether they were run ---


def test_a_cell_that_was_never_run(mine: Any, done: Any) -> None:
    cell(done, "2c_loss_properties").execution_count = None
    cell(done, "4_never_seen").execution_count = None
    assert mine(done) == [f"Task 2: its third test cell was never run: {RUN_ALL}"]


@pytest.mark.parametrize("count", [3, 1])
def test_a_cell_that_was_run_before_one_above_it(mine: Any, done: Any, count: int) -> None:
    cell(done, "0b_teacher").execution_count = 3
    cell(done, "1_soften_answer").execution_count = count
    assert mine(done) == [f"Task 1: the cell that begins `def soften` was run before a cell above it: {RUN_ALL}"]


def test_cells_of_their_own_may_be_run_whenever_they_like(mine: Any, done: Any) -> None:
    done.cells.insert(9, new_code_cell("!tml check h1_distillation.ipynb"))
    done.cells.insert(9, new_code_cell("1 + 1", execution_count=700))
    assert mine(done) == []


# --- which homework ---


@pytest.fixture
def sums(answered: Any) -> Any:
    """The homework of the tiny course, whose text has no "Task 1", with answers, all cells run."""
    return executed(answered)


def test_a_course_without_numbered_tasks_has_questions(released: Path, handout: Any) -> None:
    file = submit(released, "me", "sums", handout)
    cell(handout, "double_test").source = "assert True"
    submit(released, "me", "sums", handout)
    assert grading.check(file, course=released) == [
        "Question `double`: no answer yet, in the cell that begins `def double`",
        'Question `why`: no answer yet, in the text cell below "Sums"',
        "Question `double_test`: its test cell was changed, but the released one is graded: write in cells of your own",
        f"no cell was run: {RUN_ALL}",
    ]


@pytest.mark.parametrize("where", ["in the course", "beside it"])
def test_the_course_is_found_around_the_file_or_around_this_folder(
    released: Path, sums: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere" if where == "in the course" else released / "handouts")
    file = (released / "mine" if where == "in the course" else tmp_path / "elsewhere") / "sums.ipynb"
    file.parent.mkdir(exist_ok=True)
    nbformat.write(sums, file)
    assert grading.check(file) == []


def test_of_two_homeworks_with_the_same_cells_the_one_of_that_name_is_taken(
    mine: Any, done: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = read(H1)
    cell(released, "1_soften").source += "\nassert True"
    for name in ("h0_before", "h5_after"):
        (tmp_path / "released" / name).mkdir(parents=True)
        nbformat.write(released, tmp_path / "released" / name / f"{name}.ipynb")
    (tmp_path / "released/h1_distillation").mkdir()
    shutil.copy(H1, tmp_path / "released/h1_distillation")
    monkeypatch.setitem(vars(sys.modules["tml_helpers.grading.start"]), "FOLDER", tmp_path / "released")
    assert mine(done) == []


def test_this_book_s_homework_is_known_in_another_course(released: Path, done: Any) -> None:
    file = released / "h1_distillation.ipynb"
    nbformat.write(done, file)
    assert grading.check(file) == []
    assert grading.check(file, course=released) == [
        "h1_distillation.ipynb is no homework that is known here (sums): begin with a fresh copy of yours"
    ]


def test_the_course_s_own_homework_comes_before_this_book_s_of_the_same_name(ours: Path, done: Any) -> None:
    released = ours / "exercises/h1_distillation/h1_distillation.ipynb"
    changed = read(released)
    cell(changed, "1_soften").source += "\nassert True"
    nbformat.write(changed, released)
    file = ours / "h1_distillation.ipynb"
    nbformat.write(done, file)
    (said,) = grading.check(file)
    assert said.startswith("Task 1: its test cell was changed")


def test_without_nbgrader_a_course_is_not_looked_for(ours: Path, done: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(ours / "exercises")
    shutil.rmtree(ours / "solutions")
    (ours / "nbgrader_config.py").write_text("this is not Python", encoding="utf-8")
    file = ours / "h1_distillation.ipynb"
    nbformat.write(done, file)
    monkeypatch.setattr("tml_helpers.machine.version", lambda package: None)
    assert grading.check(file) == []


def test_answers_written_into_the_course_s_own_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be made anew."""
    monkeypatch.setattr("tml_helpers.machine.version", lambda package: None)
    with pytest.raises(ValueError, match="is the book's own copy: run `tml start`"):
        grading.check(H1)


def test_answers_written_into_the_released_file_itself(
    released: Path, sums: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The released notebook is made anew, without touching the gradebook, also where it is this book's own copy."""
    file = released / "handouts/sums/sums.ipynb"
    monkeypatch.setitem(vars(sys.modules["tml_helpers.grading.start"]), "FOLDER", released / "handouts")
    cell(sums, "why").source = "YOUR ANSWER HERE"
    cell(sums, "double_test").source = "assert True"
    nbformat.write(sums, file)
    (released / "gradebook.db").unlink()
    found = grading.check(file)
    assert [sentence.partition(":")[0] for sentence in found] == ["Question `why`", "Question `double_test`"]
    assert not (released / "gradebook.db").exists()


def test_homework_of_a_course_with_several_is_found_by_its_cells(released: Path, sums: Any) -> None:
    other = read(released / "masters/sums/sums.ipynb")
    for c in other.cells[1:]:
        c.metadata.nbgrader.grade_id += "_of_products"
    (released / "masters/products").mkdir()
    nbformat.write(other, released / "masters/products/products.ipynb")
    file = submit(released, "me", "sums", sums, name="homework.ipynb")
    assert grading.check(file, course=released) == ["the file is called homework.ipynb: rename it to sums.ipynb"]


def test_a_task_may_be_set_in_a_cell_that_is_locked() -> None:
    made = new_notebook(
        cells=[
            named(new_markdown_cell("# Sheet 1"), "title", locked=True),
            named(new_markdown_cell("## Task 1 (2 points)\n\nAdd."), "text", locked=True),
            named(new_code_cell("async def add(x):\n    ..."), "add", solution=True),
            named(new_code_cell("assert add(1)"), "test", grade=True, locked=True),
            named(new_code_cell("class A: ..."), "by_hand", grade=True, solution=True),
        ]
    )
    assert {name: (k.task, k.called) for name, k in advice.cells(made).items()} == {
        "title": ("Before Task 1", 'the text cell below "Sheet 1"'),
        "text": ("Task 1", "its text cell"),
        "add": ("Task 1", "the cell that begins `async def add`"),
        "test": ("Task 1", "its test cell"),
        "by_hand": ("Task 1", "the cell that begins `class A`"),
    }


def test_every_cell_of_this_book_s_homework_belongs_to_a_task() -> None:
    for file in sorted((ROOT / "exercises").glob("*/*.ipynb")):
        known = advice.cells(read(file))
        assert all(k.task.startswith(("Task ", "Before Task 1")) for k in known.values()), file
        said = [f"{k.task}: {k.called}" for k in known.values()]
        assert len(said) == len(set(said)), "two cells of one task are told apart"
