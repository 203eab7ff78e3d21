"""Each wrong answer loses the points of its own task, and only those, with the words that name the misconception."""

import html
import re
from collections.abc import Callable

import pytest
from answers import Answer
from courses import errors
from homeworks import HOMEWORK, Graded, Homework

from tml_helpers.grading import luck

# From the last to the first: where two workers share a run, the other one begins with the first.
BACKWARDS = HOMEWORK[::-1]
each_homework = pytest.mark.parametrize("homework", BACKWARDS, ids=lambda homework: homework.name)


@each_homework
def test_every_task_has_three_wrong_answers(homework: Homework) -> None:
    assert {part for part, answers in homework.wrong.items() if len(answers) < 3} == set()
    assert all(answer.loses and answer.says for answers in homework.wrong.values() for answer in answers)
    lost = {q for part, answers in homework.wrong.items() for a in answers for q in a.loses if q.startswith(part)}
    assert lost == set(homework.autograded), "each question is lost by a wrong answer to its own task"


@each_homework
def test_each_student_loses_what_the_wrong_answers_cost_and_no_more(
    homework: Homework, graded_class: Callable[[Homework], Graded]
) -> None:
    graded = graded_class(homework)
    for student, answers in homework.wrong_students.items():
        assert graded.grades[student].status == "ok"
        mine = {row["question"]: row for row in graded.rows if row["student"] == student and row["state"] == "graded"}
        assert {q: float(row["max_score"]) for q, row in mine.items()} == homework.autograded
        lost = {question for question, row in mine.items() if float(row["score"]) == 0}
        assert lost == set().union(*(answer.loses for answer in answers)), student
        assert all(row["score"] == row["max_score"] for q, row in mine.items() if q not in lost)


@pytest.mark.parametrize(
    ("homework", "student", "answer"),
    [
        pytest.param(homework, student, answer, id=f"{homework.name}-{answer.name}")
        for homework in BACKWARDS
        for student, answers in homework.wrong_students.items()
        for answer in answers
    ],
)
def test_wrong_answer_hears_why(
    homework: Homework, student: str, answer: Answer, graded_class: Callable[[Homework], Graded]
) -> None:
    course = graded_class(homework).course
    said = errors(course, student, homework.name)
    assert answer.loses <= set(said)
    assert any(answer.says in said[question] for question in answer.loses), said
    page = (course / "feedback" / student / homework.name / f"{homework.name}.html").read_text(encoding="utf-8")
    assert answer.says in html.unescape(re.sub(r"<[^>]+>", "", page))


@pytest.mark.slow
@each_homework
def test_no_verdict_hangs_on_a_key(homework: Homework) -> None:
    tried = luck.tried(homework.solution, [str(number) for number in range(200)])
    wrong = {answer.name if answer else "": luck.faults(answer, said) for answer, said in tried}
    assert set(wrong) == {
        "",
        *homework.right,
        *(answer.name for answers in homework.wrong.values() for answer in answers),
    }
    assert {name: found for name, found in wrong.items() if found} == {}
