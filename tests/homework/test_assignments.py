"""Each homework through the whole cycle: released, answered rightly in another way than the course's, not answered."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from answers import is_answer, is_test
from courses import ROOT, errors, read
from homeworks import BY_MACHINE, HOMEWORK, Graded, Homework

from tml_helpers import grading

each_homework = pytest.mark.parametrize("homework", HOMEWORK, ids=lambda homework: homework.name)
each_with_tests = pytest.mark.parametrize("homework", BY_MACHINE, ids=lambda homework: homework.name)


@each_homework
def test_a_folder_of_solutions_has_all_parts_of_a_homework(homework: Homework) -> None:
    folder = homework.solution.parent
    parts = {f"{homework.name}.ipynb": "run `make notebooks`"}
    answers = {
        "right/*.py": "write a right answer of another shape",
        "wrong/*.py": "write at least three wrong answers to each task",
    }
    missing = [
        f"{folder.name}/{part} is missing: {remedy}"
        for part, remedy in (parts | (answers if homework.autograded else {})).items()
        if not [*folder.glob(part)]
    ]
    assert missing == []
    assert homework.released.is_file(), f"run `tml release {homework.name}`"


def test_every_homework_of_the_students_has_a_source() -> None:
    assert {folder.name for folder in (ROOT / "exercises").iterdir()} <= {homework.name for homework in HOMEWORK}


@each_homework
def test_release_makes_the_committed_notebook_byte_for_byte(homework: Homework, ours: Path) -> None:
    made = grading.release(homework.name, course=ours)
    assert made == ours / homework.released.relative_to(ROOT)
    assert made.read_bytes() == homework.released.read_bytes(), f"run `tml release {homework.name}`"


@each_homework
def test_students_get_one_file_without_solutions_and_hidden_tests(homework: Homework) -> None:
    assert [file.name for file in homework.released.parent.iterdir()] == [homework.released.name]
    released = read(homework.released).cells
    for name, secrets in homework.secrets.items():
        assert secrets, f"{name} hides nothing from students"
        shown = [line for c in released for line in c.source.splitlines() if line.strip() in secrets]
        assert shown == [], f"students see what {name} hides"
    answers = [c for c in released if is_answer(c)]
    assert len(answers) == sum(map(is_answer, homework.cells))
    assert bool(answers) == bool(homework.autograded)
    assert all("raise NotImplementedError" in c.source for c in answers)
    assert not any(c.get("outputs") or c.get("execution_count") for c in released)


@each_homework
def test_points_are_as_the_students_read_them(homework: Homework) -> None:
    """In the table at the head, and again above each task: what nbgrader's metadata give must be the same."""
    tasks: dict[str, dict[str, int]] = {}
    for question, points in (homework.autograded | homework.by_hand).items():
        tasks.setdefault(re.match(r"\d+", question)[0], {})[question] = points
    assert list(tasks) == list(homework.announced)
    for number, task in homework.announced.items():
        questions = tasks[number]
        assert sum(questions.values()) == task.points == task.again, f"task {number}"
        assert task.shares(len(questions)) in ([], [*questions.values()]), f"task {number}"
        assert questions.keys() <= (homework.by_hand if task.by_hand else homework.autograded).keys(), f"task {number}"
    assert (homework.points, sum(homework.by_hand.values())) == ((8, 2) if homework.autograded else (0, 5))


@each_with_tests
def test_every_test_cell_has_a_hidden_part(homework: Homework) -> None:
    tests = [c for c in homework.cells if is_test(c)]
    assert tests
    assert [c.metadata.nbgrader.grade_id for c in tests if "### BEGIN HIDDEN TESTS" not in c.source] == []


@each_with_tests
def test_right_answers_get_every_point_that_a_machine_gives(
    homework: Homework, graded_class: Callable[[Homework], Graded]
) -> None:
    """Those of another shape; the model solution is the canary without whose points nobody is graded."""
    assert homework.right
    for name, answer in homework.right.items():
        own = {f for c in read(homework.released).cells if is_answer(c) for f in answer.parts if f in c.source}
        assert own == set(answer.parts)
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


@each_with_tests
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
    most = sum(task.points for task in homework.announced.values())
    for student, grade in graded.grades.items():
        page = (graded.course / "feedback" / student / name / f"{name}.html").read_text(encoding="utf-8")
        assert f"(Score: {grade.score:.1f} / {most:.1f})" in page
