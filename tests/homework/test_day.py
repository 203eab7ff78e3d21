"""A class with late, missing, resubmitted and hand-graded work, from Canvas's download back to Canvas; no sandbox: what
each submission earns is said by the submission."""

import csv
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bad_input import refuses
from nbgrader.api import Gradebook

from tml_helpers import grading
from tml_helpers.grading import run
from tml_helpers.grading.assignment import Paper
from tml_helpers.grading.run import Grade
from tml_helpers.grading.sandbox import Submission, Task, archive

STUDENTS = """Student,ID,SIS User ID,SIS Login ID,Section
    Points Possible,,,,
"Lovelace, Ada",101,,ada,
"Turing, Alan",102,,alan,
"Gauss, Carl",105,,carl,
"""
SETTINGS = """
from nbgrader.plugins import LateSubmissionPlugin

class TenthPerDay(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 0.1 * score * -(-total_seconds_late // 86400)

c.AssignLatePenalties.plugin_class = TenthPerDay
"""


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Whose submissions were examined: a file's content is the points that it earns."""
    (tmp_path / "empty").mkdir()
    task = Task("{}", [], archive(tmp_path / "empty", set())[0], [], "", 30.0, [], 2.0)
    paper = Paper("sums", task, {"double_test": 2.0, "why": 3.0}, frozenset({"why"}))
    names: list[str] = []

    def local(
        _: Task, submissions: dict[str, Submission], *__: Any, **___: Any
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for student, submission in submissions.items():
            names.append(student)
            yield (
                student,
                {
                    "status": "ok",
                    "remarks": [],
                    "scores": {"double_test": float(submission.content), "why": None},
                    "unanswered": [],
                    "messages": {},
                    "notebook": {"cells": []},
                    "fragments": [{"name": "why", "html": ""}],
                },
            )

    monkeypatch.setattr(run.sandbox, "missing", lambda: "")
    monkeypatch.setattr(run.assignments, "papers", lambda *_, isolated: [paper])
    monkeypatch.setattr(run.engines, "local", local)
    return names


@pytest.fixture
def course(released: Path) -> Path:
    """Due at noon; the settings take off a tenth for each day."""
    with open(released / "nbgrader_config.py", "a", encoding="utf-8") as settings:
        settings.write(SETTINGS)
    (released / "students.csv").write_text(STUDENTS, encoding="utf-8")
    with gradebook(released) as book:
        book.find_assignment("sums").duedate = datetime(2026, 3, 1, 12)
        book.db.commit()
    return released


def gradebook(course: Path) -> Any:
    return Gradebook(f"sqlite:///{course / 'gradebook.db'}")


def collect(course: Path, **files: str) -> None:
    source = course.parent / "download.zip"
    with zipfile.ZipFile(source, "w") as archived:
        for name, content in files.items():
            archived.writestr(f"{name}_sums.ipynb", content)
    grading.collect("sums", source, course=course)


def grade_by_hand(course: Path, points: dict[str, float]) -> None:
    with gradebook(course) as book:
        for student, score in points.items():
            grade = book.find_grade("why", "sums", "sums", student)
            grade.manual_score, grade.needs_manual_grade = score, False
            book.find_comment("why", "sums", "sums", student).manual_comment = "say **why** $2x$"
        book.db.commit()


def exported(course: Path, layout: str) -> list[list[str]]:
    file = course.parent / "points.csv"
    grading.report(file, course=course, layout=layout, assignment="sums")  # type: ignore[arg-type]
    with open(file, newline="", encoding="utf-8") as table:
        return list(csv.reader(table))


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
def test_a_class_from_canvas_to_canvas(course: Path, examined: list[str]) -> None:
    collect(course, ada_101_9001="0", alan_LATE_102_9002="2")
    (course / "submitted/102/sums/timestamp.txt").write_text("2026-03-02 20:00:00 UTC", encoding="utf-8")
    missing = Grade("105", 0, 5, "missing", "nothing was handed in")
    waits = "3 points wait to be graded by hand"
    late = "handed in 1 day 8 hours late: 0.4 points are taken off"
    assert grading.grade("sums", course=course) == [
        Grade("101", 0, 5, "ok", waits), Grade("102", 2, 5, "ok", f"{late}; {waits}"), missing
    ]  # fmt: skip
    collect(course, ada_101_9055="1.5")  # handed in again
    assert [g.score for g in grading.grade("sums", course=course)] == [1.5, 2, 0]
    assert examined == ["101", "102", "101"], "what had been graded is not run again"

    grade_by_hand(course, {"101": 3, "102": 2.5})
    assert [row[5:] for row in exported(course, "canvas")[2:]] == [["4.5", "", ""], ["3.6", "4.5", "0.9"], ["", "", ""]]
    grades = grading.grade("sums", course=course)
    assert [g.reason for g in grades] == ["", late.replace("0.4", "0.9"), missing.reason]

    rows = exported(course, "questions")[1:]
    assert [row[1:] for row in rows if row[1] != "101"] == [
        ["102", "double_test", "2.0", "2.0", "graded"],
        ["102", "why", "2.5", "3.0", "graded"],
        ["102", "handed in late", "-0.9", "0", "penalty"],
        ["105", "double_test", "", "2.0", "missing"],
        ["105", "why", "", "3.0", "missing"],
    ]
    page = (course / "feedback/102/sums/sums.html").read_text(encoding="utf-8")
    for part in (
        "<h1>sums (Score: 3.6 / 5.0)</h1>",
        "<dd>Alan Turing (102)</dd><dt>due</dt><dd>2026-03-01 12:00 UTC</dd>"
        "<dt>handed in</dt><dd>2026-03-02 20:00 UTC</dd>",
        "&minus;0.9",
        "say <strong>why</strong> <math",
    ):
        assert part in page
    given = grading.give_back("sums", course.parent / "back.zip", platform="canvas", course=course)
    assert [g.pages for g in given] == [("ada_101_9055_feedback.html",), ("alan_LATE_102_9002_feedback.html",)]


def test_one_student_is_graded_alone(course: Path, examined: list[str]) -> None:
    collect(course, ada_101_9001="1", alan_102_9002="2")
    assert [(g.student, g.score) for g in grading.grade("sums", course=course, student="102")] == [("102", 2)]
    assert examined == ["102"]
    assert [p.name for p in (course / "feedback").iterdir()] == ["102"]
    with refuses(ValueError, "105 has not submitted sums: there are 101, 102"):
        grading.grade("sums", course=course, student="105")


def test_a_class_list_that_cannot_be_read_stops_the_run(course: Path, examined: list[str]) -> None:
    collect(course, ada_101_9001="1")
    (course / "students.csv").write_text("name\nada\n", encoding="utf-8")
    with refuses(ValueError, "is no class list"):
        grading.grade("sums", course=course)
    assert examined == []
