"""The one who writes the gradebook: whose points count, what stays, and that all of it is written or nothing."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.preprocessors import AssignLatePenalties
from traitlets.config import Config

from tml_helpers.grading import gradebook
from tml_helpers.grading.course import Course
from tml_helpers.grading.gradebook import HandedIn, Points


class Book:
    """A gradebook that is open, with one submission of ada's."""

    def __init__(self, course: Course, book: Any) -> None:
        self.course, self.book = course, book

    def enter(self, scores: dict[str, Any], unanswered: set[str] = frozenset(), *, anew: bool = True) -> list[Points]:
        gradebook.enter(self.book, self.course, "sums", "ada", scores, unanswered, anew=anew)
        return self.points()

    def points(self) -> list[Points]:
        return gradebook.points_in(self.book, "sums", "ada")

    def give(self, score: float) -> None:
        """As a human does, in formgrader."""
        grade = self.book.find_grade("why", "sums", "sums", "ada")
        grade.manual_score, grade.needs_manual_grade = score, False
        self.book.db.commit()


@pytest.fixture
def book(released: Path) -> Iterator[Book]:
    course = Course.open(released)
    with gradebook.opened(course) as opened:
        yield Book(course, opened)


TEST, WHY = Points("double_test", 2 / 3, 2, False), Points("why", 0, 3, True)
SCORES = {"sums": {"double_test": 2 / 3, "why": None}}


def test_points_and_what_waits_for_a_human(book: Book) -> None:
    assert book.points() == []
    assert book.enter(SCORES) == [TEST, WHY]
    assert book.enter({"sums": {"double_test": 2, "why": 0.0}}, anew=False) == [
        Points("double_test", 2, 2, False),
        Points("why", 0, 3, False),
    ]
    assert book.enter({}) == [Points("double_test", 0, 2, False), Points("why", 0, 3, False)], (
        "a notebook that is not there"
    )


def test_what_a_human_gave_stays(book: Book) -> None:
    """And is to be looked at again where the submission is another one, or its points are."""
    book.enter(SCORES)
    book.give(2.5)
    given = Points("why", 2.5, 3, False)
    assert book.enter(SCORES, anew=False) == [TEST, given]
    assert book.enter(SCORES, anew=True) == [TEST, Points("why", 2.5, 3, True)]
    book.give(1.5)
    changed = {"sums": {"double_test": 2 / 3, "why": 0.0}}
    assert book.enter(changed, anew=False) == [TEST, Points("why", 1.5, 3, True)]


def test_who_did_not_answer_hears_it(book: Book) -> None:
    def comments() -> dict[str, Any]:
        return {c.name: c.comment for c in book.book.find_submission_notebook("sums", "sums", "ada").comments}

    book.enter(SCORES, {"why"})
    assert comments() == {"double": None, "why": "No response."}
    book.enter(SCORES)
    assert comments() == {"double": None, "why": None}


class Halved(LateSubmissionPlugin):
    """A course's own rule: half of the points are taken off for each day."""

    def late_submission_penalty(self, _: str, score: float, seconds: float) -> float:
        return score * 0.5 * seconds / 86400


@pytest.fixture
def late(book: Book, monkeypatch: pytest.MonkeyPatch) -> Book:
    """Due at noon; a timestamp says when ada's came, and the course's rule takes points off."""
    book.book.find_assignment("sums").duedate = datetime(2026, 3, 1, 12)
    monkeypatch.setattr(AssignLatePenalties, "init_plugin", lambda rule: setattr(rule, "plugin_inst", Halved()))
    (book.course.root / "submitted/ada/sums").mkdir(parents=True)
    return book


def stamp(book: Book, time: str) -> Path:
    file = book.course.root / "submitted/ada/sums/timestamp.txt"
    file.write_text(f"{time} UTC", encoding="utf-8")
    return file


def test_what_is_taken_off_for_being_late(late: Book) -> None:
    scores = {"sums": {"double_test": 2, "why": 1.0}}
    stamp(late, "2026-03-02 00:00:00")
    late.enter(scores)
    found = gradebook.handed_in(late.book, late.course, "sums", "ada")
    assert found == HandedIn(datetime(2026, 3, 1, 12), datetime(2026, 3, 2), timedelta(hours=12), 0.75)
    assert found.lateness == "handed in 12 hours late: 0.75 points are taken off"
    late.give(3)
    again = gradebook.handed_in(late.book, late.course, "sums", "ada")
    assert again.penalty == 1.25, "of all points, also of those that a human gave after the run"
    stamp(late, "2026-03-01 12:00:00")
    late.enter(scores)
    assert gradebook.handed_in(late.book, late.course, "sums", "ada").lateness == "", "handed in again, in time"
    stamp(late, "2026-03-01 12:00:01")
    late.enter(scores)
    assert gradebook.handed_in(late.book, late.course, "sums", "ada").penalty > 0, "a second late"


def test_a_submission_whose_time_nobody_knows_is_not_as_late_as_the_former(late: Book) -> None:
    file = stamp(late, "2026-03-09 00:00:00")
    late.enter(SCORES)
    assert gradebook.handed_in(late.book, late.course, "sums", "ada").penalty > 0
    file.unlink()
    late.enter(SCORES)
    assert gradebook.handed_in(late.book, late.course, "sums", "ada") == HandedIn(datetime(2026, 3, 1, 12))


def test_nothing_is_late_without_a_due_date(book: Book) -> None:
    assert gradebook.handed_in(book.book, book.course, "sums", "ada") == HandedIn()
    book.enter(SCORES)
    assert gradebook.handed_in(book.book, book.course, "sums", "ada") == HandedIn()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(59, "less than a minute"), (60, "1 minute"), (7260, "2 hours 1 minute"), (86400 * 3 + 60, "3 days 1 minute"),
     (86400 + 3600 * 5 + 120, "1 day 5 hours")],
)  # fmt: skip
def test_how_late_it_was_in_words(seconds: int, said: str) -> None:
    assert HandedIn(late=timedelta(seconds=seconds)).lateness == f"handed in {said} late: no points are taken off"


def test_all_is_written_or_nothing(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gradebook, "_penalise", fail)
        with pytest.raises(KeyboardInterrupt):
            book.enter(SCORES)
    assert gradebook.points(book.course, "sums", "ada") == []
    assert gradebook.graded_students(book.course, "sums") == []
    book.enter(SCORES)
    assert gradebook.points(book.course, "sums", "ada") == [TEST, WHY], "also for whoever opens it anew"
    assert gradebook.graded_students(book.course, "sums") == ["ada"]


def test_what_an_assignment_asks(book: Book) -> None:
    assert gradebook.questions(book.course) == {"sums": {"double_test": 2, "why": 3}}
    sources = gradebook.sources(book.course, "sums", "sums")
    assert sources.keys() == {"setup", "double", "double_test", "why"}
    assert "assert double(3) == 6 + start" in sources["double_test"], "with its hidden tests"
    assert "x + x" not in sources["double"]


@pytest.mark.parametrize(("text", "year"), [
    ("2026-03-01 12:00:00 UTC\n", 2026), ("1971-01-01 00:00:00 UTC", 1971), ("8999-01-01 00:00:00 UTC", 8999),
    ("1970-01-01 00:00:00 UTC", None), ("9000-01-01 00:00:00 UTC", None), ("tomorrow-ish", None), ("", None),
    ("2026-03-01 12:00:00 UTC" + " " * 177, 2026), ("2026-03-01 12:00:00 UTC" + " " * 178, None), ("é", None),
])  # fmt: skip
def test_the_time_of_a_submission(tmp_path: Path, text: str, year: int | None) -> None:
    (tmp_path / "timestamp.txt").write_text(text, encoding="utf-8")
    found = gradebook._time_of_submission(tmp_path)
    assert (found and found.year) == year


def test_no_time_of_a_submission(tmp_path: Path) -> None:
    assert gradebook._time_of_submission(tmp_path) is None
    (tmp_path / "real").write_text("2026-03-01 12:00:00 UTC", encoding="utf-8")
    (tmp_path / "timestamp.txt").symlink_to("real")
    assert gradebook._time_of_submission(tmp_path) is None
    os.unlink(tmp_path / "timestamp.txt")
    (tmp_path / "timestamp.txt").mkdir()
    assert gradebook._time_of_submission(tmp_path) is None


@pytest.mark.parametrize(("address", "file"), [
    ("sqlite:////a/b.db", "/a/b.db"), ("postgresql://u:p@h/n", None), ("postgresql+psycopg://u@/n?host=/x", None),
])  # fmt: skip
def test_the_file_of_a_gradebook(tmp_path: Path, address: str, file: str | None) -> None:
    settings = Config({"CourseDirectory": {"db_url": address, "course_id": "c"}})
    course = Course(tmp_path, settings)
    assert gradebook.file(course) == (Path(file) if file else None)
    assert gradebook.has_gradebook(course) == (file is None)


def test_what_to_do_where_it_cannot_be_used() -> None:
    """No password is shown."""
    said = gradebook.sentence("postgresql://u:secret@h/n", "gone")
    assert said.startswith("the gradebook postgresql://u:***@h/n cannot be used (gone): is the server up")
    assert gradebook.sentence("sqlite:////a", "locked").endswith(
        "(locked): close what else uses it, free disk space, or restore it from a copy"
    )
