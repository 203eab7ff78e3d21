"""Each wrong answer loses the points of its own task, and only those, with the words that name the misconception.

To grade a notebook costs some ten CPU-seconds. So the students here answer wrongly in all of their tasks, the first
with the first wrong answer to each, the second with the second, and so on: no task uses another's code.
"""

import html
import re
from itertools import zip_longest
from pathlib import Path

import pytest
from answers import Answer, with_model_answers
from courses import ROOT, copy_of_our_course, errors, read, rows, submit

from tml_helpers import grading

HOMEWORK = ROOT / "solutions/h1_distillation"
TASKS = ("1_", "2_", "3a_", "3b_", "4_")
WRONG = {task: [Answer.read(f) for f in sorted((HOMEWORK / "wrong").glob(f"{task}*.py"))] for task in TASKS}
STUDENTS = {f"s{n}": list(filter(None, row)) for n, row in enumerate(zip_longest(*WRONG.values()))}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with these students, graded."""
    course = copy_of_our_course(tmp_path_factory.mktemp("course"))
    released = read(course / "exercises/h1_distillation/h1_distillation.ipynb")
    honest = with_model_answers(released, read(HOMEWORK / "h1_distillation.ipynb"))
    for student, answers in STUDENTS.items():
        notebook = honest
        for answer in answers:
            notebook = answer.instead_of(notebook)
        submit(course, student, "h1_distillation", notebook)
    grades = grading.grade("h1_distillation", course=course)
    assert [(g.student, g.status) for g in grades] == [(student, "ok") for student in STUDENTS]
    return course


def test_every_task_has_three_wrong_answers() -> None:
    assert {task for task in TASKS if len(WRONG[task]) < 3} == set()
    assert sum(map(len, WRONG.values())) == len(list((HOMEWORK / "wrong").glob("*.py")))


def test_each_student_loses_what_the_wrong_answers_cost_and_no_more(course: Path) -> None:
    graded = [row for row in rows(course) if row["state"] == "graded"]
    for student, answers in STUDENTS.items():
        mine = {row["question"]: row for row in graded if row["student"] == student}
        assert sum(float(row["max_score"]) for row in mine.values()) == 8
        lost = {question for question, row in mine.items() if float(row["score"]) == 0}
        assert lost == set().union(*(answer.loses for answer in answers)), student
        assert all(row["score"] == row["max_score"] for q, row in mine.items() if q not in lost)


@pytest.mark.parametrize(
    ("student", "answer"),
    [pytest.param(student, answer, id=answer.name) for student, answers in STUDENTS.items() for answer in answers],
)
def test_wrong_answer_hears_why(student: str, answer: Answer, course: Path) -> None:
    said = errors(course, student, "h1_distillation")
    assert answer.loses
    assert answer.loses <= set(said)
    assert any(answer.says in said[question] for question in answer.loses), said
    page = (course / "feedback" / student / "h1_distillation/h1_distillation.html").read_text()
    assert answer.says in html.unescape(re.sub(r"<[^>]+>", "", page))
