"""What a student wants to know before submitting."""

import json
import warnings
from codecs import BOM_UTF8
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tml_helpers import machine
from tml_helpers.grading import notebook
from tml_helpers.grading.advice import sentences
from tml_helpers.grading.course import Course, workspace
from tml_helpers.grading.release import generate
from tml_helpers.grading.start import homework

ITSELF = "submit the notebook itself, the file that ends in .ipynb"
AGAIN = "open it in JupyterLab or on Colab, and save it again"
BEGINS = {b"%PDF": "a PDF", b"PK": "a zip archive or a document", b"<": "a web page"}

Candidate = tuple[str, Callable[[], notebook.Notebook]]  # the name of a homework, and what reads its released notebook


def check(file: Path, *, course: Path | None = None) -> list[str]:
    """What would go wrong with a homework file, in plain sentences. Nothing in the file is executed.

    Args:
        file: the notebook that a student is about to submit.
        course: the course's folder; default: that which the file or this folder is in, and the homework of this book.

    Returns:
        The sentences, the most important first; none means: ready to submit.

    Raises:
        FileNotFoundError: `course` is not a course's folder.
        ValueError: the course's settings cannot be read, or the file is the book's own copy.
    """
    try:
        submission = read(file)
    except (ValueError, OSError) as reason:
        return [str(reason)]
    candidates = _in_course(course, file) if course else _anywhere(file)
    for name, released in sorted(candidates, key=lambda candidate: candidate[0] != file.stem):
        original = released()
        if notebook.resembles(submission, original):
            if file.stem != name and file.stem in dict(candidates):
                return [f"{file.name} holds the homework {name}: take the right file, or rename this one {name}.ipynb"]
            rename = f"the file is called {file.name}: rename it to {name}.ipynb"
            return [rename] * (file.name != f"{name}.ipynb") + sentences(submission, original)
    names = ", ".join(sorted(dict(candidates)))
    return [f"{file.name} is no homework that is known here ({names}): begin with a fresh copy of yours"]


def read(file: Path) -> notebook.Notebook:
    """The notebook in a file. Raises ValueError or OSError with a sentence for a student where there is none."""
    if file.is_dir():
        inside = sorted(file.glob("*.ipynb"))
        raise ValueError(f"{file} is a folder: name the notebook in it{f', {inside[0]}' if len(inside) == 1 else ''}")
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}: is it in another folder, or has it another name?")
    content = file.read_bytes().removeprefix(BOM_UTF8).strip()
    if not content:
        raise ValueError(f"{file.name} is empty: save your notebook again")
    for begin, what in BEGINS.items():
        if content.startswith(begin):
            raise ValueError(f"{file.name} is {what}: {ITSELF}")
    if not content.startswith(b"{"):
        raise ValueError(f"{file.name} is {'a Python file' if file.suffix == '.py' else 'not a notebook'}: {ITSELF}")
    try:
        told = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file.name} is cut off or damaged: {AGAIN}") from error
    if told.get("nbformat") in (1, 2, 3):
        raise ValueError(f"{file.name} was saved by a Jupyter of long ago: {AGAIN}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a student can do nothing about what nbformat says of ids
            return notebook.parse(content, file.name)
    except ValueError as error:
        raise ValueError(f"{file.name} is not a whole notebook: {AGAIN}") from error


def _anywhere(file: Path) -> list[Candidate]:
    """The homework of the course around this file, or around this folder, and that of this book."""
    here = Path.cwd()
    around = [*file.resolve().parents, here, *here.parents]
    course = next((folder for folder in around if (folder / "nbgrader_config.py").is_file()), None)
    found = _in_course(course, file) if course and machine.version("nbgrader") else []
    if not found and file.resolve() in map(Path.resolve, homework().values()):
        raise ValueError(
            f"{file} is the book's own copy: run `tml start`, and move your answers to the copy that it makes"
        )
    return found + [(name, partial(notebook.read, path)) for name, path in homework().items()]


def _in_course(folder: Path, file: Path) -> list[Candidate]:
    course = Course.open(folder)
    assignments = {*course.assignments(), *course.assignments("release")}
    names = {(n, a) for a in assignments for n in [*course.notebooks(a), *course.notebooks(a, "release")]}
    return [(name, partial(_released, course, assignment, name, file)) for name, assignment in sorted(names)]


def _released(course: Course, assignment: str, name: str, file: Path) -> notebook.Notebook:
    """The notebook as students get it: made anew where the file is the released one, with answers written into it."""
    released = course.folder("release", ".", assignment) / f"{name}.ipynb"
    if released.is_file() and released.resolve() != file.resolve():
        return notebook.read(released)
    with workspace(course.top("release")) as unfinished:
        return notebook.read(generate(course, assignment, unfinished, enter=False) / released.name)
