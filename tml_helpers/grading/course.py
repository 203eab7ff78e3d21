"""Where a course keeps what: the folders that its `nbgrader_config.py` names."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Step = Literal["source", "release", "submitted", "autograded", "feedback"]
DEFAULTS: dict[Step, str] = {step: step for step in ("source", "release", "submitted", "autograded", "feedback")}


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

    def folder(self, step: Step) -> Path:
        """The folder of a step, as `release`: `exercises/` in this book."""
        name: str = self.settings.CourseDirectory.get(f"{step}_directory", DEFAULTS[step])
        return self.root / name

    def notebook(self, step: Step, assignment: str) -> Path:
        """An assignment's notebook in the source or the release."""
        return self.folder(step) / assignment / f"{assignment}.ipynb"

    def assignments(self) -> list[str]:
        """The names of all assignments that have a source."""
        return sorted(p.stem for p in self.folder("source").glob("*/*.ipynb") if p.stem == p.parent.name)

    def released(self) -> list[str]:
        """The names of all assignments that students have been given."""
        return sorted(p.stem for p in self.folder("release").glob("*/*.ipynb") if p.stem == p.parent.name)

    def require(self, assignment: str) -> None:
        """Raise ValueError, with the names that there are, where there is no such assignment."""
        known = self.assignments()
        if assignment not in known:
            there = f"this course has {', '.join(known)}" if known else f"{self.folder('source')} holds none"
            raise ValueError(f"there is no assignment {assignment!r}: {there}")

    def submission(self, assignment: str, student: str) -> Path:
        """The file to grade: the one with the right name, or the only notebook in the student's folder."""
        folder = self.folder("submitted") / student / assignment
        right = folder / f"{assignment}.ipynb"
        others = list(folder.glob("*.ipynb"))
        return others[0] if not right.exists() and len(others) == 1 else right

    def students(self, assignment: str) -> list[str]:
        """Everybody who handed something in for this assignment, were it in the wrong place."""
        folders = [p for p in self.folder("submitted").glob("*") if p.is_dir()]
        return sorted(p.name for p in folders if (p / assignment).is_dir() or any(p.glob("*.ipynb")))


@contextmanager
def workspace(beside: Path) -> Iterator[Path]:
    """A folder on the same disk as `beside`'s content, gone afterwards: what is made in it is renamed into place."""
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=beside) as folder:
        yield Path(folder)


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
