"""nbgrader's own example course and submissions: each question gets the points that nbgrader gives."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from courses import read, rows

from tml_helpers import grading
from tml_helpers.grading import stock
from tml_helpers.grading.course import Course

SETTINGS = """\
c = get_config()
c.CourseDirectory.course_id = "course101"
c.IncludeHeaderFooter.header = "source/header.ipynb"
"""
NESTED = 'c.CourseDirectory.directory_structure = "{nbgrader_step}/{assignment_id}/{student_id}/files"\n'


def example() -> Path:
    spec = find_spec("nbgrader")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "docs/source/user_guide"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with its two submissions, the model solution, no answers, and one of which a part is missing."""
    course = tmp_path_factory.mktemp("example")
    (course / "nbgrader_config.py").write_text(SETTINGS, encoding="utf-8")
    for folder in ("source", "submitted"):
        shutil.copytree(example() / folder, course / folder)
    released = grading.release("ps1", course=course)
    assert sorted(file.name for file in released.iterdir()) == ["jupyter.png", "problem1.ipynb", "problem2.ipynb"]
    shutil.copytree(course / "source/ps1", course / "submitted/model/ps1")
    shutil.copytree(released, course / "submitted/blank/ps1")
    shutil.copytree(course / "source/ps1", course / "submitted/half/ps1", ignore=shutil.ignore_patterns("problem2*"))
    return course


def points(course: Path) -> dict[tuple[str, str], tuple[str, str]]:
    return {(row["student"], row["question"]): (row["score"], row["state"]) for row in rows(course)}


def test_points_are_nbgrader_s(course: Path, tmp_path: Path) -> None:
    theirs = shutil.copytree(course, tmp_path / "theirs")
    grades = {grade.student: grade for grade in grading.grade("ps1", course=course)}
    with stock._this_python_first():
        command = [sys.executable, "-m", "nbgrader", "autograde", "ps1"]
        subprocess.run(command, cwd=theirs, check=True, capture_output=True)
    expected = points(theirs)
    found = points(course)
    assert len(found) == 5 * 9
    assert found == expected
    assert {student: grade.status for student, grade in grades.items()} == {
        "bitdiddle": "ok",
        "blank": "ok",
        "hacker": "ok",
        "half": "no_notebook",
        "model": "ok",
    }
    assert grades["model"].score == 3


def test_another_order_of_folders(course: Path, tmp_path: Path) -> None:
    nested = tmp_path / "nested"
    nested.mkdir()
    (nested / "nbgrader_config.py").write_text(SETTINGS + NESTED, encoding="utf-8")
    shutil.copytree(course / "source/ps1", nested / "source/ps1/files")
    shutil.copy(course / "source/header.ipynb", nested / "source/header.ipynb")
    place = Course.open(nested)
    assert place.assignments() == ["ps1"]
    shutil.copytree(course / "source/ps1", nested / "submitted/ps1/ada/files")
    assert place.students("ps1") == ["ada"]
    (grade,) = grading.grade("ps1", course=nested)
    assert grade.score == 3
    assert read(nested / "autograded/ps1/ada/files/problem1.ipynb").cells
