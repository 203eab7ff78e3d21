"""Each homework through the whole cycle: released, answered rightly in another way than the course's, not answered."""

from collections.abc import Callable
from pathlib import Path

import pytest
from answers import is_answer, is_test
from courses import ROOT, errors, read
from homeworks import HOMEWORK, Graded, Homework

from tml_helpers import grading

each_homework = pytest.mark.parametrize("homework", HOMEWORK, ids=lambda homework: homework.name)


def test_the_list_has_every_homework() -> None:
    folders = {file.name for file in (ROOT / "solutions").iterdir() if file.is_dir()}
    assert {homework.name for homework in HOMEWORK} == folders


@each_homework
def test_release_makes_the_committed_notebook_byte_for_byte(homework: Homework, ours: Path) -> None:
    made = grading.release(homework.name, course=ours)
    assert made == ours / homework.released.relative_to(ROOT)
    assert made.read_bytes() == homework.released.read_bytes(), f"run `tml release {homework.name}`"


@each_homework
def test_students_get_one_file_without_solutions_and_hidden_tests(homework: Homework) -> None:
    assert [file.name for file in homework.released.parent.iterdir()] == [homework.released.name]
    text, cells = homework.released.read_text(), read(homework.solution).cells
    for secret in ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS", *homework.secrets):
        assert secret not in text
    for secret in homework.secrets:
        assert any(secret in c.source for c in cells), f"{secret!r} is no secret of this homework"
    released = read(homework.released).cells
    answers = [c for c in released if is_answer(c)]
    assert len(answers) == sum(map(is_answer, cells)) >= 5
    assert all("raise NotImplementedError" in c.source for c in answers)
    assert not any(c.get("outputs") or c.get("execution_count") for c in released)


@each_homework
def test_points_are_as_announced(homework: Homework) -> None:
    points = {
        c.metadata.nbgrader.grade_id: c.metadata.nbgrader.points
        for c in read(homework.released).cells
        if c.metadata.get("nbgrader", {}).get("grade")
    }
    assert points == homework.autograded | homework.by_hand
    assert sum(points.values()) == 10
    assert homework.points == 8


@each_homework
def test_every_test_cell_has_a_hidden_part(homework: Homework) -> None:
    tests = {c.metadata.nbgrader.grade_id: c for c in read(homework.solution).cells if is_test(c)}
    assert set(tests) == set(homework.autograded)
    assert all("### BEGIN HIDDEN TESTS" in c.source for c in tests.values())


@each_homework
def test_right_answers_get_every_point_that_a_machine_gives(
    homework: Homework, graded_class: Callable[[Homework], Graded]
) -> None:
    """Those of another shape; the model solution is the canary without whose points nobody is graded."""
    assert homework.right
    for name, answer in homework.right.items():
        own = {f for c in read(homework.released).cells if is_answer(c) for f in answer.functions if f in c.source}
        assert own == set(answer.functions)
        due = grading.Grade(name, homework.points, 10, "ok", "2 points wait to be graded by hand")
        assert graded_class(homework).grades[name] == due


@each_homework
def test_blank_notebook_gets_nothing_and_hears_so(
    homework: Homework, graded_class: Callable[[Homework], Graded]
) -> None:
    graded = graded_class(homework)
    blank = graded.grades["blank"]
    assert (blank.score, blank.status) == (0, "ok")
    cells = sum(map(is_answer, read(homework.released).cells)) + len(homework.by_hand)
    assert blank.reason.count("has no answer yet") == cells
    assert set(homework.autograded) <= set(errors(graded.course, "blank", homework.name))


@each_homework
def test_report_has_a_row_for_each_student_and_question(
    homework: Homework, graded_class: Callable[[Homework], Graded]
) -> None:
    graded, (right, *_) = graded_class(homework), homework.right
    questions = homework.autograded | homework.by_hand
    assert [(row["student"], row["question"]) for row in graded.rows] == [
        (student, question) for student in sorted(graded.grades) for question in sorted(questions)
    ]
    mine = {row["question"]: row for row in graded.rows if row["student"] == right}
    assert {q: float(row["score"]) for q, row in mine.items()} == homework.autograded | dict.fromkeys(
        homework.by_hand, 0
    )
    assert {q for q, row in mine.items() if row["state"] == "by hand"} == set(homework.by_hand)


@each_homework
def test_feedback_is_a_page_for_each_student(homework: Homework, graded_class: Callable[[Homework], Graded]) -> None:
    graded, name = graded_class(homework), homework.name
    for student, grade in graded.grades.items():
        page = (graded.course / "feedback" / student / name / f"{name}.html").read_text(encoding="utf-8")
        assert f"(Score: {grade.score:.1f} / 10.0)" in page
