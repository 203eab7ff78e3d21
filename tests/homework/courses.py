"""Courses to try the grading on: a tiny one of another shape than ours, graded in a second, and a copy of ours."""

import csv
import shutil
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tml_helpers import grading
from tml_helpers.grading.answers import KINDS

ROOT = Path(__file__).parents[2]
KEY = "5ec2e7" + 58 * "0"  # of our course, so that its tests draw the same on every machine
SETTINGS = """\
c = get_config()
c.CourseDirectory.source_directory = "masters"
c.CourseDirectory.release_directory = "handouts"
"""
SOLUTION = """\
def double(x):
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION
"""
TEST = """\
assert double(2) == 4, "did you add 1?"
### BEGIN HIDDEN TESTS
assert double(3) == 6 + start, "did you square x?"
### END HIDDEN TESTS
"""


def named(cell: Any, name: str, **settings: Any) -> Any:
    """The cell with nbgrader's metadata: `grade`, `solution`, `locked`, `points`."""
    common = {"schema_version": 3, "grade_id": name, "grade": False, "solution": False, "locked": False, "task": False}
    cell.metadata["nbgrader"] = {**common, **settings}
    return cell


def tiny_course(place: Path) -> Path:
    """A course with the homework `sums`: a locked set-up, a tested task of 2 points, one of 3 that a human grades."""
    cells = [
        new_markdown_cell("# Sums"),
        named(new_code_cell("start = 0"), "setup", locked=True),
        named(new_code_cell(SOLUTION), "double", solution=True),
        named(new_code_cell(TEST), "double_test", grade=True, locked=True, points=2),
        named(new_markdown_cell("Because."), "why", grade=True, solution=True, points=3),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    (place / "nbgrader_config.py").write_text(SETTINGS, encoding="utf-8")
    (place / "masters/sums").mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), place / "masters/sums/sums.ipynb")
    return place


def copy_of_our_course(place: Path) -> Path:
    """This book's settings, sources and released notebooks, in another folder, with a key of its own."""
    shutil.copy(ROOT / "nbgrader_config.py", place)
    for folder in ("solutions", "exercises"):
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns(*KINDS))
    (place / ".tml-grading").mkdir()
    (place / ".tml-grading/key").write_text(KEY, encoding="utf-8")
    return place


def read(file: Path) -> Any:
    return nbformat.read(file, as_version=4)


def cell(notebook: Any, name: str) -> Any:
    """The cell with that `grade_id`."""
    return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)


def executed(notebook: Any) -> Any:
    """The notebook as it is when all of its cells were run from the top."""
    for number, code in enumerate((c for c in notebook.cells if c.cell_type == "code"), start=1):
        code.execution_count = number
    return notebook


def submit(course: Path, student: str, assignment: str, notebook: Any, *, name: str = "") -> Path:
    """Put a notebook, or any text, where a student's submission belongs."""
    file = course / "submitted" / student / assignment / (name or f"{assignment}.ipynb")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(notebook if isinstance(notebook, str) else nbformat.writes(notebook), encoding="utf-8")
    return file


def rows(course: Path) -> list[dict[str, str]]:
    """What `report` writes, read back; as many rows as it says."""
    file = course / "points.csv"
    count = grading.report(file, course=course).rows
    with open(file, newline="", encoding="utf-8") as table:
        found = list(csv.DictReader(table))
    assert len(found) == count
    return found


def errors(course: Path, student: str, assignment: str) -> dict[str, str]:
    """What each failing cell of an executed submission says, by the cell's name."""
    executed = read(course / "autograded" / student / assignment / f"{assignment}.ipynb")
    return {
        c.metadata.nbgrader.grade_id: output.evalue
        for c in executed.cells
        for output in c.get("outputs", [])
        if output.output_type == "error" and "nbgrader" in c.metadata
    }


def unfinished(course: Path) -> list[Path]:
    """Whatever a command left behind of what it did not finish."""
    return [*course.rglob(".unfinished-*"), *course.rglob("*.former")]
