"""The essay, which no machine grades: written, checked, graded by hand, given back with points and comments."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from answers import name_of, with_model_answers
from courses import copy_of_our_course, read, rows, submit
from homeworks import HOMEWORK, Homework
from nbgrader.api import Gradebook

from tml_helpers import grading

ESSAY = "h0_essay"
RUBRIC = {"1a_essay": 2, "2a_trust": 2, "3a_wow": 1}
GIVEN = {
    "1a_essay": (1.5, "the fourth paragraph has **five** thoughts"),
    "2a_trust": (0.5, ""),
    "3a_wow": (1, "a turn"),
}


@pytest.fixture(scope="module")
def essay() -> Homework:
    return next(homework for homework in HOMEWORK if homework.name == ESSAY)


def written(essay: Homework, *, without: tuple[str, ...] = ()) -> Any:
    """The students' notebook with the model essay, without some of its answers."""
    notebook, blank = with_model_answers(read(essay.released), read(essay.solution)), read(essay.released)
    for cell, empty in zip(notebook.cells, blank.cells, strict=True):
        if name_of(cell) in without:
            cell.source = empty.source
    return notebook


def give(course: Path, student: str) -> None:
    """What formgrader writes when a human types points and comments."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        for question, (points, comment) in GIVEN.items():
            grade = book.find_grade(question, ESSAY, ESSAY, student)
            grade.manual_score, grade.needs_manual_grade = points, False
            book.find_comment(question, ESSAY, ESSAY, student).manual_comment = comment
        book.db.commit()


def test_the_rubric_is_clarity_two_trust_two_wow_one(essay: Homework) -> None:
    assert essay.by_hand == RUBRIC
    assert essay.autograded == {}
    text = "\n".join(cell.source for cell in read(essay.released).cells)
    assert [text.count(f"*Rubric: {what}") for what in ("clarity", "relation to trust", "the wow")] == [1, 1, 1]


def test_students_read_an_example_and_its_grading_and_not_the_model_essay(essay: Homework) -> None:
    text = "\n".join(cell.source for cell in read(essay.released).cells)
    assert "What it got: 2½ of 5 points" in text
    assert "The form that knew too much" not in text
    model = next(cell.source for cell in essay.cells if name_of(cell) == "1a_essay")
    assert 500 <= len(model.split("*Sources.*")[0].split()) <= 900, "the model essay is as long as it may be"


@pytest.mark.parametrize("missing", [(), ("2a_trust",), ("1a_essay", "3a_wow")])
def test_a_student_hears_what_is_missing(essay: Homework, missing: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / f"{ESSAY}.ipynb"
    nbformat.write(written(essay, without=missing), file)
    said = grading.check(file)
    assert [line for line in said if "no answer yet" in line] == [
        f"Task {name[0]}: no answer yet, in its text cell" for name in missing
    ]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
def test_points_and_comments_go_by_hand_into_report_and_feedback(essay: Homework, tmp_path: Path) -> None:
    course = copy_of_our_course(tmp_path)
    submit(course, "ada", ESSAY, written(essay))
    submit(course, "bob", ESSAY, written(essay, without=("3a_wow",)))
    waits = {g.student: g.reason for g in grading.grade(ESSAY, course=course, jobs=1)}
    assert waits["ada"] == "5 points wait to be graded by hand"
    assert waits["bob"] == "the cell 3a_wow has no answer yet; 4 points wait to be graded by hand"

    give(course, "ada")
    ada, bob = grading.grade(ESSAY, course=course, jobs=1)
    assert (ada.score, ada.max_score, ada.reason) == (3, 5, "")
    assert (bob.score, bob.reason) == (0, waits["bob"])
    mine = [row for row in rows(course) if row["student"] == "ada"]
    assert {row["question"]: (float(row["score"]), row["state"]) for row in mine} == {
        question: (points, "graded") for question, (points, _) in GIVEN.items()
    }
    page = (course / "feedback/ada" / ESSAY / f"{ESSAY}.html").read_text(encoding="utf-8")
    assert "(Score: 3.0 / 5.0)" in page
    assert "<strong>five</strong> thoughts" in page
    assert "The form that knew too much" in page
