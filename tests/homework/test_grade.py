"""A class of honest, careless and broken submissions: everybody gets what is due, and nobody stops the others."""

import copy
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bad_input import full_disk, refuses
from courses import cell, errors, read, rows, submit, unfinished
from nbformat.v4 import new_code_cell

from tml_helpers import grading
from tml_helpers.grading import Grade, gradebook
from tml_helpers.grading.course import Course

WAITS = "3 points wait to be graded by hand"


def without(notebook: Any, *names: str) -> Any:
    for name in names:
        notebook.cells.remove(cell(notebook, name))
    return notebook


@pytest.fixture(scope="module")
def course(released_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with one submission of each kind."""
    course = shutil.copytree(released_once, tmp_path_factory.mktemp("class") / "course")
    blank = read(course / "handouts/sums/sums.ipynb")
    honest = copy.deepcopy(blank)
    cell(honest, "double").source = "def double(x):\n    return 2 * x"
    cell(honest, "why").source = "Twice x is x and x."

    def hand_in(student: str, change: Any = lambda notebook: notebook, name: str = "") -> None:
        submit(course, student, "sums", change(copy.deepcopy(honest)), name=name)

    def code(text: str) -> Any:
        return lambda notebook: cell(notebook, "double").update(source=text) or notebook

    def doubled(notebook: Any) -> Any:
        notebook.cells.insert(2, copy.deepcopy(cell(notebook, "double")))
        cell(notebook, "double").source = "def double(x):\n    return 0"
        notebook.cells.insert(2, copy.deepcopy(cell(blank, "why")))
        return json.dumps(notebook)

    def cheated(notebook: Any) -> Any:
        cell(notebook, "double_test").source = "assert True"
        cell(notebook, "double_test").metadata.nbgrader.update(points=100, locked=False)
        cell(notebook, "setup").source = "start = -6"
        return code("def double(x):\n    return x * x")(notebook)

    def unlabelled(notebook: Any) -> Any:
        return without(notebook, "double").cells.insert(2, new_code_cell("def double(x): return 2 * x")) or notebook

    def from_colab(notebook: Any) -> Any:
        without(notebook, "double_test")
        for c in notebook.cells:
            del c["id"]  # Colab saves notebooks of format 4.0, whose cells have none
        notebook.nbformat_minor = 0
        return json.dumps(notebook)

    hand_in("a_honest")
    submit(course, "b_blank", "sums", blank)
    hand_in("c_not_json", lambda _: '{"cells": [')
    hand_in("d_wrong", code("def double(x):\n    return x * x"))
    hand_in("e_doubled_cell", doubled)
    hand_in("f_test_deleted", lambda notebook: without(notebook, "setup", "double_test"))
    hand_in("g_answer_deleted", lambda notebook: without(notebook, "double"))
    hand_in("h_all_deleted", lambda notebook: without(notebook, "setup", "double", "double_test"))
    hand_in("i_kills_its_kernel", code("import os\nos._exit(1)"))
    hand_in("j_edited_test", cheated)
    hand_in("k_other_name", name="sums (1).ipynb")
    hand_in("l_two_other_names", name="one.ipynb")
    hand_in("l_two_other_names", name="two.ipynb")
    (course / "submitted/m_nothing/sums").mkdir(parents=True)
    (course / "submitted/n_wrong_place").mkdir()
    nbformat.write(honest, course / "submitted/n_wrong_place/sums.ipynb")
    (course / "submitted/o_other_homework/products").mkdir(parents=True)
    hand_in("p_answer_in_own_cell", unlabelled)
    hand_in("q_syntax_error", code("def double(x) return 2 * x"))
    hand_in("r_from_colab", from_colab)
    hand_in("z_honest")
    return course


@pytest.fixture(scope="module")
def grades(course: Path) -> dict[str, Grade]:
    return {grade.student: grade for grade in grading.grade("sums", course=course)}


def test_everybody_who_submitted_has_a_grade(grades: dict[str, Grade]) -> None:
    assert "".join(student[0] for student in grades) == "abcdefghijklmnpqrz"
    assert all(grade.max_score == 5 for grade in grades.values())
    assert all("\n" not in grade.reason for grade in grades.values())


def test_honest_students_before_and_after_the_others(grades: dict[str, Grade]) -> None:
    for student in ("a_honest", "z_honest"):
        assert grades[student] == Grade(student, 2, 5, "ok", WAITS)


@pytest.mark.parametrize(
    ("student", "score", "status", "words"),
    [
        ("b_blank", 0, "ok", ["double has no answer yet", "why has no answer yet"]),
        ("c_not_json", 0, "rejected", ["not JSON", "save or download it again"]),
        ("d_wrong", 0, "ok", [WAITS]),
        ("e_doubled_cell", 2, "ok", ["double is there 2 times", "only the last is graded", WAITS]),
        ("f_test_deleted", 2, "ok", ["setup is gone", "double_test is gone", "put back"]),
        ("g_answer_deleted", 0, "ok", ["the answer cell double is gone"]),
        ("h_all_deleted", 0, "rejected", ["lacks most cells of sums"]),
        ("i_kills_its_kernel", 0, "failed", ["after the cell double", "it ended"]),
        ("j_edited_test", 0, "ok", ["double_test was edited", "setup was edited"]),
        ("k_other_name", 2, "ok", ["sums (1).ipynb was taken for sums.ipynb"]),
        ("l_two_other_names", 0, "no_notebook", ["there is no file", "sums.ipynb"]),
        ("m_nothing", 0, "no_notebook", ["there is no file", "sums.ipynb"]),
        ("n_wrong_place", 0, "no_notebook", ["there is no file", "n_wrong_place/sums/sums.ipynb"]),
        ("p_answer_in_own_cell", 2, "ok", ["the answer cell double is gone"]),
        ("q_syntax_error", 0, "ok", ["double is not Python"]),
        ("r_from_colab", 2, "ok", ["double_test is gone"]),
    ],
)
def test_grade(grades: dict[str, Grade], student: str, score: float, status: str, words: list[str]) -> None:
    assert (grades[student].score, grades[student].status) == (score, status)
    for word in words:
        assert word in grades[student].reason


def test_a_wrong_answer_hears_its_misconception(course: Path, grades: dict[str, Grade]) -> None:
    assert errors(course, "d_wrong", "sums") == {"double_test": "did you square x?"}
    assert "did you square x?" in (course / "feedback/d_wrong/sums/sums.html").read_text(encoding="utf-8")


def test_only_what_was_executed_has_files_and_points(course: Path, grades: dict[str, Grade]) -> None:
    executed = {student for student, grade in grades.items() if grade.status in ("ok", "failed")}
    assert {p.name for p in (course / "autograded").iterdir()} == executed
    assert {p.name for p in (course / "feedback").iterdir()} == executed
    assert set(gradebook.graded_students(Course.open(course), "sums")) == executed
    assert unfinished(course) == []


def test_submissions_stay_as_they_were(course: Path, grades: dict[str, Grade]) -> None:
    assert "NotImplementedError" in (course / "submitted/b_blank/sums/sums.ipynb").read_text(encoding="utf-8")
    assert (course / "submitted/c_not_json/sums/sums.ipynb").read_text(encoding="utf-8") == '{"cells": ['


def test_report(course: Path, grades: dict[str, Grade]) -> None:
    table = rows(course)
    assert len(table) == 2 * len(grades)
    assert set(table[0]) == {"assignment", "student", "question", "score", "max_score", "state"}
    by_key = {(row["student"], row["question"]): (row["score"], row["max_score"], row["state"]) for row in table}
    assert by_key["a_honest", "double_test"] == ("2.0", "2.0", "graded")
    assert by_key["a_honest", "why"] == ("0.0", "3.0", "by hand")
    assert by_key["b_blank", "why"] == ("0.0", "3.0", "graded")
    assert by_key["c_not_json", "why"] == ("", "3.0", "not graded")
    assert by_key["m_nothing", "double_test"] == ("", "2.0", "not graded")
    assert [(row["student"], row["question"]) for row in table] == sorted(by_key)


def test_points_given_by_hand_stay_when_the_class_is_graded_again(graded_course: Path) -> None:
    with gradebook.opened(Course.open(graded_course)) as book:
        grade = book.find_grade("why", "sums", "sums", "ada")
        grade.manual_score, grade.needs_manual_grade = 2.5, False
        book.db.commit()
    assert grading.grade("sums", course=graded_course)[0].score == 4.5


def test_a_submission_that_cannot_be_read_keeps_the_points_of_the_former(graded_course: Path) -> None:
    submit(graded_course, "ada", "sums", "{")
    assert grading.grade("sums", course=graded_course)[0].status == "rejected"
    assert {row["score"] for row in rows(graded_course)} == {"2.0", "0.0"}


def test_plain_files_beside_a_notebook_go_along_and_others_do_not(released: Path, answered: Any) -> None:
    os.mkfifo(submit(released, "ada", "sums", answered).with_name("pipe"))
    submit(released, "grace", "sums", answered)
    cell(answered, "double").source = "from mine import double"
    submit(released, "kay", "sums", answered).with_name("mine.py").write_text(
        "def double(x):\n    return 2 * x\n", encoding="utf-8"
    )
    ada, grace, kay = grading.grade("sums", course=released)
    assert (ada.status, ada.score) == (grace.status, grace.score) == (kay.status, kay.score) == ("ok", 2)
    assert "pipe was left out" in ada.reason


def test_nobody_submitted(released: Path) -> None:
    with refuses(ValueError, "nobody has submitted sums", "submitted/STUDENT/sums/sums.ipynb"):
        grading.grade("sums", course=released)


def test_tasks_changed_after_grading(graded_course: Path) -> None:
    file = graded_course / "masters/sums/sums.ipynb"
    nbformat.write(without(read(file), "why"), file)
    with refuses(ValueError, "cannot be released", "there are submissions"):
        grading.grade("sums", course=graded_course)


def test_damaged_gradebook(released: Path, answered: Any) -> None:
    submit(released, "anna", "sums", answered)
    (released / "gradebook.db").write_bytes(100 * b"no database ")
    with refuses(OSError, "gradebook.db cannot be used", "restore it from a copy"):
        grading.grade("sums", course=released)
    with refuses(OSError, "gradebook.db cannot be used"):
        grading.report(released / "points.csv", course=released)


def test_report_before_anything_was_graded(released: Path) -> None:
    (released / "gradebook.db").rename(released / "kept")
    with refuses(ValueError, "nothing was graded", "tml grade"):
        grading.report(released / "points.csv", course=released)
    assert not list(released.glob("*.csv")) + list(released.glob("gradebook.db"))
    (released / "kept").rename(released / "gradebook.db")
    with refuses(ValueError, "nothing was graded"):
        grading.report(released / "points.csv", course=released)


def test_report_that_cannot_be_written(course: Path, grades: dict[str, Grade]) -> None:
    with refuses(FileNotFoundError, "there is no folder"):
        grading.report(course / "no/points.csv", course=course)
    file = course / "points.csv"
    file.write_text("former", encoding="utf-8")
    with pytest.raises(OSError, match="too large"), full_disk(100):
        grading.report(file, course=course)
    assert file.read_text(encoding="utf-8") == "former"
    assert unfinished(course) == []


def test_no_message_of_nbgrader_reaches_the_terminal(
    released: Path, answered: Any, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    submit(released, "anna", "sums", answered)
    submit(released, "bob", "sums", "{")
    grading.grade("sums", course=released)
    shown = capfd.readouterr()
    assert re.sub(r".*\r", "", shown.out + shown.err) == ""
    assert list(recwarn) == []
