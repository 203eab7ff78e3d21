"""nbgrader's own converter, driven quietly: it writes the students' version of an assignment."""

import copy
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tml_helpers.grading import gradebook
from tml_helpers.grading.course import Course


class NotConverted(Exception):
    """nbgrader gave up on a notebook; the text is the last line of its reason."""


def generate(course: Course, assignment: str, into: Path, *, enter: bool) -> Path:
    """Write the students' version of an assignment; returns its folder in `into`.

    With `enter`, the assignment goes into the course's gradebook; otherwise that is not touched.
    """
    settings = copy.deepcopy(course.settings)
    settings.CourseDirectory.root = str(course.root)
    # Relative: nbgrader makes a regular expression of a path, and escapes only the root in it.
    settings.CourseDirectory.release_directory = os.path.relpath(into, course.root)
    if not enter:
        settings.CourseDirectory.db_url = f"sqlite:///{into / 'gradebook.db'}"
    _convert(Course(course.root, settings), assignment)
    return Course(course.root, settings).folder("release", ".", assignment)


def _convert(course: Course, assignment: str) -> None:
    """Run nbgrader's converter quietly. A gradebook that it has just begun goes where it fails.

    Raises NotConverted with the reason that nbgrader logs, OSError where the disk or the gradebook is at fault.
    """
    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException
    from sqlalchemy.exc import SAWarning

    directory = course.directory
    directory.assignment_id = assignment
    book = gradebook.file(course)
    begun = book if book is not None and not book.exists() else None
    reasons = _Reasons()
    log = logging.Logger("nbgrader", logging.ERROR)
    log.addHandler(reasons)
    try:
        with _this_python_first(), _version_from_here(), warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # nbgrader's queries, which an instructor cannot mend
            GenerateAssignment(coursedir=directory, config=course.settings, log=log).start()
    except (NbGraderException, SystemExit) as error:
        if begun is not None:
            begun.unlink(missing_ok=True)
        reason = reasons.last or str(error)
        if "(sqlite3." in reason or "psycopg" in reason:
            raise OSError(gradebook.sentence(directory.db_url, reason)) from error
        if reason.startswith("OSError: "):
            raise OSError(f"{reason.removeprefix('OSError: ')}: free disk space, and try again") from error
        raise NotConverted(reason) from error


@contextmanager
def _version_from_here() -> Iterator[None]:
    """Inside, a gradebook that nbgrader begins has its version from this process.

    nbgrader would start the program `alembic`, which imports all of nbgrader anew, for the one word that it prints.
    """
    from nbgrader import api, dbutil

    def version() -> str | None:
        from alembic.script import ScriptDirectory

        return ScriptDirectory(dbutil.ALEMBIC_DIR).get_current_head()

    asked = api.get_alembic_version
    api.get_alembic_version = version
    try:
        yield
    finally:
        api.get_alembic_version = asked


class _Reasons(logging.Handler):
    """Keeps the error in which the last traceback that was logged ends."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        ends = re.findall(r"^(?:\w+\.)*(\w+(?:Error|Exception)\b.*)", record.getMessage(), re.MULTILINE)
        self.last = ends[-1] if ends else self.last


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
