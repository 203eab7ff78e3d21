"""The only module that speaks to nbgrader: its converters, and its gradebook."""

import contextlib
import copy
import glob
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tml_helpers.grading.course import Course


@dataclass(frozen=True)
class Points:
    """One question's points; `by_hand` where a human has yet to give them."""

    question: str
    score: float
    max_score: float
    by_hand: bool


class NotConverted(Exception):
    """nbgrader gave up on a notebook; the text is the last line of its reason."""


def generate(course: Course, assignment: str, into: Path, *, enter: bool) -> Path:
    """Write the students' version of an assignment; returns its folder in `into`.

    With `enter`, the assignment goes into the course's gradebook; otherwise that is not touched.
    """
    directory = _directory(course, assignment, ".", release=into)
    if not enter:
        directory.db_url = f"sqlite:///{into / 'gradebook.db'}"
    _convert("GenerateAssignment", directory)
    return into / assignment


def autograde(course: Course, assignment: str, student: str, *, submitted: Path, into: Path) -> Path:
    """Execute a submission with its tests and enter its points; returns the executed folder in `into`."""
    first_time = not points(course, assignment, student)
    try:
        _convert("Autograde", _directory(course, assignment, student, submitted=submitted, autograded=into))
    except BaseException:
        if first_time:
            _forget(course, assignment, student)
        raise
    return into / student / assignment


def write_feedback(course: Course, assignment: str, student: str, *, autograded: Path, into: Path) -> Path:
    """Write an executed submission with its points as HTML; returns the folder in `into`."""
    _convert("GenerateFeedback", _directory(course, assignment, student, autograded=autograded, feedback=into))
    return into / student / assignment


@contextmanager
def gradebook(course: Course) -> Iterator[Any]:
    """The course's gradebook, an `nbgrader.api.Gradebook`. Raises OSError where it cannot be read or written."""
    directory = _directory(course, "", "*")
    from nbgrader.api import Gradebook
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with Gradebook(directory.db_url, directory.course_id) as book:
            yield book
    except SQLAlchemyError as error:
        raise OSError(_gradebook_sentence(directory.db_url, str(error).splitlines()[0])) from error


def has_gradebook(course: Course) -> bool:
    """Whether anything was ever graded or released here; a database server counts as yes."""
    file = _gradebook_file(_directory(course, "", "*").db_url)
    return file is None or file.exists()


def points(course: Course, assignment: str, student: str) -> list[Points]:
    """A student's points, sorted by the questions' names; empty where nothing of theirs was graded."""
    from nbgrader.api import MissingEntry

    with gradebook(course) as book:
        try:
            notebooks = book.find_submission(assignment, student).notebooks
        except MissingEntry:
            return []
        found = [Points(g.name, g.score, g.max_score, bool(g.needs_manual_grade)) for n in notebooks for g in n.grades]
    return sorted(found, key=lambda p: p.question)


def questions(course: Course) -> dict[str, dict[str, float]]:
    """The points of each question of each assignment in the gradebook, sorted by name."""
    with gradebook(course) as book:
        return {
            assignment.name: {c.name: c.max_score for n in assignment.notebooks for c in n.grade_cells}
            for assignment in sorted(book.assignments, key=lambda a: str(a.name))
        }


def graded_students(course: Course, assignment: str) -> list[str]:
    """Everybody who has points in this assignment."""
    with gradebook(course) as book:
        return sorted(s.student.id for s in book.assignment_submissions(assignment))


def _forget(course: Course, assignment: str, student: str) -> None:
    """Take back the empty entry that nbgrader makes before it executes a submission."""
    from nbgrader.api import MissingEntry

    with gradebook(course) as book, contextlib.suppress(MissingEntry):
        book.remove_submission(assignment, student)


def _directory(course: Course, assignment: str, student: str, **folders: Path) -> Any:
    """nbgrader's idea of the course folder, with some of its folders elsewhere inside the course."""
    try:
        from nbgrader.coursedir import CourseDirectory
    except ModuleNotFoundError as error:
        raise OSError(f"{error.name} is not installed: run `make setup`, or `pip install nbgrader`") from error
    settings = copy.deepcopy(course.settings)
    settings.CourseDirectory.root = str(course.root)
    settings.Execute.extra_arguments = ["--log-level=ERROR"]  # a kernel warns of its own transport at every start
    for step, folder in folders.items():
        # Relative: nbgrader makes a regular expression of a path, and escapes only the root in it.
        settings.CourseDirectory[f"{step}_directory"] = os.path.relpath(folder, course.root)
    return CourseDirectory(config=settings, assignment_id=assignment, student_id=glob.escape(student))


def _convert(converter: str, directory: Any) -> None:
    """Run one of nbgrader's converters quietly. A gradebook that it has just begun goes where it fails.

    Raises NotConverted with the reason that nbgrader logs, OSError where the disk or the gradebook is at fault.
    """
    from nbgrader import converters
    from nbgrader.converters.base import NbGraderException
    from sqlalchemy.exc import SAWarning

    book = _gradebook_file(directory.db_url)
    begun = book if book is not None and not book.exists() else None
    reasons = _Reasons()
    log = logging.Logger("nbgrader", logging.ERROR)
    log.addHandler(reasons)
    try:
        with _this_python_first(), warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # nbgrader's queries, which an instructor cannot mend
            getattr(converters, converter)(coursedir=directory, config=directory.config, log=log).start()
    except (NbGraderException, SystemExit) as error:
        if begun is not None:
            begun.unlink(missing_ok=True)
        reason = reasons.last or str(error)
        if "(sqlite3." in reason or "psycopg" in reason:
            raise OSError(_gradebook_sentence(directory.db_url, reason)) from error
        if reason.startswith("OSError: "):
            raise OSError(f"{reason.removeprefix('OSError: ')}: free disk space, and try again") from error
        raise NotConverted(reason) from error


class _Reasons(logging.Handler):
    """Keeps the error in which the last traceback that was logged ends."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        ends = re.findall(r"^(?:\w+\.)*(\w+(?:Error|Exception)\b.*)", record.getMessage(), re.MULTILINE)
        self.last = ends[-1] if ends else self.last


def _gradebook_file(url: str) -> Path | None:
    """The file of an SQLite gradebook; None for a database server."""
    kind, _, path = url.partition(":///")
    return Path(path) if kind == "sqlite" else None


def _gradebook_sentence(url: str, reason: str) -> str:
    remedy = "close what else uses it, free disk space, or restore it from a copy"
    return f"the gradebook {url} cannot be used ({reason}): {remedy}"


@contextmanager
def _this_python_first() -> Iterator[None]:
    """Inside, `alembic`, which nbgrader calls by name, and the kernel `python3` are those of the Python that runs now,
    whatever else of that name the user has installed."""
    first = {"PATH": Path(sys.executable).parent, "JUPYTER_PATH": Path(sys.prefix, "share/jupyter")}
    before = {name: os.environ.get(name) for name in first}
    for name, folder in first.items():
        os.environ[name] = os.pathsep.join(filter(None, [str(folder), before[name]]))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({name: value} if value is not None else {})
