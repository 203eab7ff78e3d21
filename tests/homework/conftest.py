import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from courses import cell, copy_of_our_course, read, submit, tiny_course
from homeworks import Graded, Homework, graded

from tml_helpers import grading


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A course with the homework `sums`, not released yet."""
    return tiny_course(tmp_path)


@pytest.fixture(scope="session")
def released_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny course after its release, to be copied: nbgrader takes seconds to begin a gradebook."""
    course = tiny_course(tmp_path_factory.mktemp("released"))
    grading.release("sums", course=course)
    return course


@pytest.fixture
def released(released_once: Path, tmp_path: Path) -> Path:
    """A course with the homework `sums`, released."""
    return shutil.copytree(released_once, tmp_path / "course")


@pytest.fixture
def handout(released: Path) -> Any:
    """The released notebook of `sums`."""
    return read(released / "handouts/sums/sums.ipynb")


@pytest.fixture
def answered(handout: Any) -> Any:
    """`sums` with right answers."""
    handout.cells[2].source = "def double(x):\n    return 2 * x"
    handout.cells[4].source = "Twice x is x and x."
    return handout


@pytest.fixture(scope="session")
def graded_once(released_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny course where ada's right answer was graded, to be copied: it takes seconds to start a sandbox."""
    course = shutil.copytree(released_once, tmp_path_factory.mktemp("graded") / "course")
    handout = read(course / "handouts/sums/sums.ipynb")
    cell(handout, "double").source = "def double(x):\n    return 2 * x"
    cell(handout, "why").source = "Twice x is x and x."
    submit(course, "ada", "sums", handout)
    grading.grade("sums", course=course)
    return course


@pytest.fixture
def graded_course(graded_once: Path, tmp_path: Path) -> Path:
    """A course where ada's right answer to `sums` was graded."""
    return shutil.copytree(graded_once, tmp_path / "graded")


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A copy of this book's course."""
    return copy_of_our_course(tmp_path)


@pytest.fixture(scope="session")
def graded_class(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Homework], Graded]:
    """A homework's students, graded once for a whole test run, also where several workers share it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    return lambda homework: graded(homework, shared)
