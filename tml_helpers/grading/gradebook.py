"""The course's gradebook, which is nbgrader's: an SQLite file or a database server. Written by one process only."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tml_helpers.grading.course import Course

LONGEST_TIME = 200  # bytes of a `timestamp.txt`


@dataclass(frozen=True)
class Points:
    """One question's points; `by_hand` where a human has yet to give them."""

    question: str
    score: float
    max_score: float
    by_hand: bool


@dataclass(frozen=True)
class HandedIn:
    """When a submission was due and when it came, in UTC and None where nobody knows.

    late: by how much. penalty: the points that the course's settings take off for it.
    """

    due: datetime | None = None
    came: datetime | None = None
    late: timedelta = timedelta()
    penalty: float = 0

    @property
    def lateness(self) -> str:
        """How late it was and what that costs; empty where it was not."""
        if not self.late:
            return ""
        cost = f"{self.penalty:g} points are taken off" if self.penalty else "no points are taken off"
        return f"handed in {_span(self.late)} late: {cost}"


def _span(time: timedelta) -> str:
    """A time in its two largest units."""
    minutes = int(time.total_seconds()) // 60
    counts = {"day": minutes // 1440, "hour": minutes // 60 % 24, "minute": minutes % 60}
    parts = [f"{count} {unit}{'s' * (count > 1)}" for unit, count in counts.items() if count]
    return " ".join(parts[:2]) or "less than a minute"


@contextmanager
def opened(course: Course) -> Iterator[Any]:
    """The course's gradebook, an `nbgrader.api.Gradebook`. Raises OSError where it cannot be read or written."""
    directory = course.directory
    from nbgrader.api import Gradebook
    from sqlalchemy.exc import SAWarning, SQLAlchemyError

    try:
        with warnings.catch_warnings(), Gradebook(directory.db_url, directory.course_id) as book:
            warnings.simplefilter("ignore", SAWarning)  # nbgrader's queries, which an instructor cannot mend
            yield book
    except SQLAlchemyError as error:
        raise OSError(sentence(directory.db_url, str(error).splitlines()[0])) from error


def has_gradebook(course: Course) -> bool:
    """Whether anything was ever graded or released here; a database server counts as yes."""
    place = file(course)
    return place is None or place.exists()


def points(course: Course, assignment: str, student: str) -> list[Points]:
    """A student's points, sorted by the questions' names; empty where nothing of theirs was graded."""
    with opened(course) as book:
        return points_in(book, assignment, student)


def points_in(book: Any, assignment: str, student: str) -> list[Points]:
    """As `points`, from a gradebook that is open."""
    from nbgrader.api import MissingEntry

    try:
        notebooks = book.find_submission(assignment, student).notebooks
    except MissingEntry:
        return []
    found = [Points(g.name, g.score, g.max_score, bool(g.needs_manual_grade)) for n in notebooks for g in n.grades]
    return sorted(found, key=lambda p: p.question)


def handed_in(book: Any, course: Course, assignment: str, student: str) -> HandedIn:
    """When a submission came, and what that costs in all notebooks, with the points that a human gave since."""
    from nbgrader.api import MissingEntry

    try:
        found = book.find_submission(assignment, student)
    except MissingEntry:
        return HandedIn()
    due = found.duedate if found.assignment.duedate else None
    late = timedelta(seconds=found.total_seconds_late if due else 0)
    penalty = sum(_penalty(course, found, n) or 0 for n in found.notebooks) if late else found.late_submission_penalty
    return HandedIn(due, found.timestamp, late, float(penalty))


def questions(course: Course) -> dict[str, dict[str, float]]:
    """The points of each question of each assignment in the gradebook, sorted by name."""
    with opened(course) as book:
        return {
            assignment.name: {
                c.name: c.max_score for n in assignment.notebooks for c in [*n.grade_cells, *n.task_cells]
            }
            for assignment in sorted(book.assignments, key=lambda a: str(a.name))
        }


def graded_students(course: Course, assignment: str) -> list[str]:
    """Everybody who has points in this assignment."""
    with opened(course) as book:
        return sorted(s.student.id for s in book.assignment_submissions(assignment))


def sources(course: Course, assignment: str, notebook: str) -> dict[str, str]:
    """The text of each of the course's own cells as it was released, but with its hidden tests, by name."""
    with opened(course) as book:
        return {cell.name: cell.source for cell in book.find_notebook(notebook, assignment).source_cells}


def enter(
    book: Any,
    course: Course,
    assignment: str,
    student: str,
    scores: dict[str, dict[str, float | None]],
    unanswered: set[str],
    *,
    anew: bool,
) -> None:
    """Enter the points of each notebook, None for those that a human gives, in one transaction.

    Points that a human gave stay; where the submission is graded anew, nbgrader marks them to be looked at again.
    """
    with _one_transaction(book):
        book.update_or_create_student(student)
        when = _time_of_submission(course.folder("submitted", student, assignment))
        submission = book.update_or_create_submission(assignment, student, timestamp=when)
        for notebook in submission.notebooks:
            given = scores.get(notebook.name)
            for grade in notebook.grades:
                score = 0.0 if given is None else given.get(grade.name)
                if anew or grade.auto_score != score:
                    grade.auto_score = score
                    grade.needs_manual_grade = score is None or grade.manual_score is not None
            for comment in notebook.comments:
                comment.auto_comment = "No response." if comment.name in unanswered else None
            _penalise(course, submission, notebook)


def _time_of_submission(folder: Path) -> Any:
    """What `timestamp.txt` says, as nbgrader's exchange writes it; None where it is no such file."""
    from nbgrader.utils import parse_utc

    stamp = folder / "timestamp.txt"
    if stamp.is_symlink() or not stamp.is_file() or stamp.stat().st_size > LONGEST_TIME:
        return None
    try:
        when = parse_utc(stamp.read_text(encoding="utf-8").strip())
        return when if 1970 < when.year < 9000 else None
    except Exception:  # whatever a date's parser makes of a text that is none
        return None


def _penalise(course: Course, submission: Any, notebook: Any) -> None:
    """Enter what the course takes off for being late."""
    notebook.late_submission_penalty = _penalty(course, submission, notebook)


def _penalty(course: Course, submission: Any, notebook: Any) -> float | None:
    """What the course takes off a notebook for being late, if its settings say so."""
    from nbgrader.preprocessors import AssignLatePenalties

    late = submission.total_seconds_late
    if late <= 0:
        return None
    rule = AssignLatePenalties(config=course.settings)
    rule.init_plugin()
    penalty = rule.plugin_inst.late_submission_penalty(submission.student.id, notebook.score, late)
    return None if penalty is None else float(rule._check_late_penalty(notebook, penalty))


@contextmanager
def _one_transaction(book: Any) -> Iterator[None]:
    """Inside, nothing that nbgrader commits is final: all of it is, at the end, or nothing."""
    commit = book.db.commit
    book.db.commit = book.db.flush
    try:
        yield
        commit()
    except BaseException:
        book.db.rollback()
        raise
    finally:
        book.db.commit = commit


def file(course: Course) -> Path | None:
    """The file of an SQLite gradebook; None for a database server."""
    kind, _, path = course.directory.db_url.partition(":///")
    return Path(path) if kind == "sqlite" else None


def sentence(url: str, reason: str) -> str:
    """What to say where the gradebook cannot be used."""
    from sqlalchemy.engine import make_url

    place = make_url(url)
    remedy = "close what else uses it, free disk space, or restore it from a copy"
    if not url.startswith("sqlite"):
        remedy = "is the server up, the driver installed, and are the names and the password right?"
    return f"the gradebook {place.render_as_string(hide_password=True)} cannot be used ({reason}): {remedy}"
