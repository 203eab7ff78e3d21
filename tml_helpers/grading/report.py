"""Points as a table for a spreadsheet or a learning platform."""

import csv as tables
import os
from collections.abc import Iterator
from pathlib import Path

from tml_helpers.grading import stock
from tml_helpers.grading.course import Course, workspace

COLUMNS = ("assignment", "student", "question", "score", "max_score", "state")


def report(csv: Path, *, course: Path) -> int:
    """Write one row per student and question to the file `csv`; returns how many.

    Columns: assignment, student, question, score, max_score, and state, which is `graded`, `by hand` (a human has yet
    to grade it) or `not graded` (submitted, but it could not be graded: the score is empty).

    Raises ValueError where nothing was graded yet, OSError where the file cannot be written.
    """
    place = Course.open(course)
    rows = list(_rows(place)) if stock.has_gradebook(place) else []
    if not rows:
        raise ValueError(f"nothing was graded in {place.root} yet: run `tml grade ASSIGNMENT` first")
    if not csv.resolve().parent.is_dir():
        raise FileNotFoundError(f"there is no folder {csv.resolve().parent}: make it, or name another file")
    with workspace(csv.resolve().parent) as unfinished:
        with open(unfinished / csv.name, "w", newline="", encoding="utf-8") as file:
            tables.writer(file).writerows([COLUMNS, *rows])
        os.replace(unfinished / csv.name, csv)
    return len(rows)


def _rows(course: Course) -> Iterator[tuple[str, str, str, float | str, float, str]]:
    for assignment, questions in stock.questions(course).items():
        for student in sorted({*stock.graded_students(course, assignment), *course.students(assignment)}):
            points = stock.points(course, assignment, student)
            for p in points:
                yield assignment, student, p.question, p.score, p.max_score, "by hand" if p.by_hand else "graded"
            if not points:
                yield from ((assignment, student, q, "", worth, "not graded") for q, worth in sorted(questions.items()))
