"""Each wrong answer loses the points of its own task, and only those, with the words that name the misconception.

To grade a notebook costs ten CPU-seconds and more. So the students here answer wrongly in all of their tasks, the first
with the first wrong answer to each, the second with the second, and so on: no task uses another's code.
"""

import functools
import html
import re
from itertools import zip_longest
from pathlib import Path

import pytest
from answers import Answer, with_model_answers
from courses import ROOT, copy_of_our_course, errors, read, rows, submit

from tml_helpers import grading

TASKS = {
    "h1_distillation": ("1_", "2_", "3a_", "3b_", "4_"),
    "h2_adversarial_training": ("1_", "2_", "3_", "4_", "5_"),
    "h4_explanations": ("1_", "2a_", "2b_", "2c_", "3_", "4a_", "4b_"),
}
MACHINE_POINTS = 8


@functools.cache
def wrong(homework: str) -> dict[str, list[Answer]]:
    """The wrong answers to each task."""
    folder = ROOT / "solutions" / homework / "wrong"
    return {task: [Answer.read(file) for file in sorted(folder.glob(f"{task}*.py"))] for task in TASKS[homework]}


def students(homework: str) -> dict[str, list[Answer]]:
    return {f"s{n}": list(filter(None, row)) for n, row in enumerate(zip_longest(*wrong(homework).values()))}


@functools.cache
def graded(homework: str, folder: Path) -> Path:
    """A course with these students, graded."""
    course = copy_of_our_course(folder)
    name = f"{homework}/{homework}.ipynb"
    honest = with_model_answers(read(course / "exercises" / name), read(ROOT / "solutions" / name))
    for student, answers in students(homework).items():
        notebook = honest
        for answer in answers:
            notebook = answer.instead_of(notebook)
        submit(course, student, homework, notebook)
    grades = grading.grade(homework, course=course)
    assert [(g.student, g.status) for g in grades] == [(student, "ok") for student in students(homework)]
    return course


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {homework: tmp_path_factory.mktemp(homework) for homework in TASKS}


@pytest.mark.parametrize("homework", TASKS)
def test_every_task_has_three_wrong_answers(homework: str) -> None:
    answers = wrong(homework)
    assert {task for task in answers if len(answers[task]) < 3} == set()
    assert sum(map(len, answers.values())) == len(list((ROOT / "solutions" / homework / "wrong").glob("*.py")))


@pytest.mark.parametrize("homework", TASKS)
def test_each_student_loses_what_the_wrong_answers_cost_and_no_more(homework: str, folders: dict[str, Path]) -> None:
    table = [row for row in rows(graded(homework, folders[homework])) if row["state"] == "graded"]
    for student, answers in students(homework).items():
        mine = {row["question"]: row for row in table if row["student"] == student}
        assert sum(float(row["max_score"]) for row in mine.values()) == MACHINE_POINTS
        lost = {question for question, row in mine.items() if float(row["score"]) == 0}
        assert lost == set().union(*(answer.loses for answer in answers)), student
        assert all(row["score"] == row["max_score"] for q, row in mine.items() if q not in lost)


@pytest.mark.parametrize(
    ("homework", "student", "answer"),
    [
        pytest.param(homework, student, answer, id=f"{homework}-{answer.name}")
        for homework in TASKS
        for student, answers in students(homework).items()
        for answer in answers
    ],
)
def test_wrong_answer_hears_why(homework: str, student: str, answer: Answer, folders: dict[str, Path]) -> None:
    course = graded(homework, folders[homework])
    said = errors(course, student, homework)
    assert answer.loses
    assert answer.loses <= set(said)
    assert any(answer.says in said[question] for question in answer.loses), said
    page = (course / "feedback" / student / homework / f"{homework}.html").read_text()
    assert answer.says in html.unescape(re.sub(r"<[^>]+>", "", page))
