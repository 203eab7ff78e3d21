"""Where a course keeps what: the folders that its `nbgrader_config.py` names."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

Step = Literal["source", "release", "submitted", "autograded", "feedback"]
ANYBODY = "\N{WHITE STAR}"  # stands for a student or an assignment in a path: none is called so


@dataclass(frozen=True)
class Course:
    """A course folder; `settings` is what its `nbgrader_config.py` sets, a traitlets `Config`."""

    root: Path
    settings: Any

    @classmethod
    def open(cls, root: Path) -> "Course":
        """Read a course folder's settings. Raises FileNotFoundError where it is none, ValueError for bad settings."""
        root = root.resolve()
        if not (root / "nbgrader_config.py").is_file():
            raise FileNotFoundError(
                f"{root} is not a course folder, it has no nbgrader_config.py: go to the course's folder, "
                "or name it with --course"
            )
        try:
            from traitlets.config.loader import PyFileConfigLoader
        except ModuleNotFoundError as error:
            raise OSError(f"{error.name} is not installed: run `make setup`, or `pip install nbgrader`") from error
        try:
            return cls(root, PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config())
        except Exception as error:  # the settings are a program of the course's: it can raise anything
            raise ValueError(f"{root / 'nbgrader_config.py'} cannot be read: {error}") from error

    @cached_property
    def directory(self) -> Any:
        """nbgrader's idea of this folder, an `nbgrader.coursedir.CourseDirectory`.

        Raises OSError without nbgrader, ValueError for a gradebook on a server and no name of the course in it.
        """
        try:
            from nbgrader.coursedir import CourseDirectory
        except ModuleNotFoundError as error:
            raise OSError(f"{error.name} is not installed: run `make setup`, or `pip install nbgrader`") from error
        directory = CourseDirectory(config=self.settings)
        directory.root = str(self.root)
        if not directory.course_id and not directory.db_url.startswith("sqlite"):
            config = self.root / "nbgrader_config.py"
            raise ValueError(
                f"a gradebook on a server needs the course's name: set c.CourseDirectory.course_id in {config}"
            )
        return directory

    def folder(self, step: Step, student: str, assignment: str) -> Path:
        """Where an assignment is at a step; `student` is "." for the source and the release."""
        name: str = getattr(self.directory, f"{step}_directory")
        return Path(self.directory.format_path(name, student, assignment))

    def top(self, step: Step) -> Path:
        """The folder of everybody's and everything of a step, as `release`: `exercises/` in this book."""
        name: str = getattr(self.directory, f"{step}_directory")
        return self.root / name

    @property
    def state(self) -> Path:
        """Where grading keeps what it has to remember between runs."""
        return self.root / ".tml-grading"

    def notebooks(self, assignment: str, step: Step = "source") -> list[str]:
        """The names, without `.ipynb`, of an assignment's notebooks."""
        return sorted(p.stem for p in self.folder(step, ".", assignment).glob("*.ipynb"))

    def assignments(self, step: Step = "source") -> list[str]:
        """The names of all assignments that have a source, or a release."""
        folders = _up_to(ANYBODY, self.folder(step, ".", ANYBODY)).parent.glob("*")
        return sorted(p.name for p in folders if self.notebooks(p.name, step))

    def require(self, assignment: str) -> None:
        """Raise ValueError, with the names that there are, where there is no such assignment."""
        known = self.assignments()
        if assignment not in known:
            there = f"this course has {', '.join(known)}" if known else f"{self.top('source')} holds none"
            raise ValueError(f"there is no assignment {assignment!r}: {there}")

    def submission(self, assignment: str, student: str, notebook: str) -> Path:
        """The file to grade: the one with the right name, or the only notebook where only one is asked for."""
        folder = self.folder("submitted", student, assignment)
        right = folder / f"{notebook}.ipynb"
        others = list(folder.glob("*.ipynb")) if self.notebooks(assignment) == [notebook] else []
        return others[0] if not right.exists() and len(others) == 1 else right

    def students(self, assignment: str) -> list[str]:
        """Everybody who handed something in for this assignment, even if in the wrong place."""
        pattern = self.folder("submitted", ANYBODY, assignment)
        everybody = _up_to(ANYBODY, pattern)
        folders = [p for p in everybody.parent.glob("*") if p.is_dir()]
        return sorted(p.name for p in folders if self._handed_in(p, p / pattern.relative_to(everybody)))

    @staticmethod
    def _handed_in(student: Path, folder: Path) -> bool:
        return folder.is_dir() or any(student.glob("*.ipynb"))


def _up_to(name: str, path: Path) -> Path:
    """The part of a path that ends in this name."""
    return next(p for p in (path, *path.parents) if p.name == name)


@contextmanager
def workspace(beside: Path) -> Iterator[Path]:
    """A folder on the same disk as `beside`'s content, gone afterwards: what is made in it is renamed into place."""
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=beside) as folder:
        yield Path(folder)


@contextmanager
def alone(course: Course) -> Iterator[None]:
    """Inside, no other run changes grades or submissions of this course; what an interrupted one left behind goes.

    Raises OSError where another run is at it, and on Windows.
    """
    try:
        import fcntl
    except ModuleNotFoundError as error:
        raise OSError("collecting needs Linux or macOS: use a virtual machine, a container or a server") from error
    course.state.mkdir(exist_ok=True)
    with open(course.state / "lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OSError(f"another run is at work in {course.root}: wait until it ends") from error
        for place in (course.state, course.top("submitted"), course.top("autograded"), course.top("feedback")):
            for left in place.rglob(".unfinished-*"):
                shutil.rmtree(left, ignore_errors=True)
        yield


def put(made: Path, place: Path) -> None:
    """Move the folder `made` to `place`; what was there stays if that fails."""
    place.parent.mkdir(parents=True, exist_ok=True)
    former = made.with_name(made.name + ".former")
    if place.exists():
        shutil.move(place, former)
    try:
        shutil.move(made, place)
    except OSError:
        if former.exists():
            shutil.move(former, place)
        raise
