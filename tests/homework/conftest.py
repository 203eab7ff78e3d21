import shutil
from pathlib import Path
from typing import Any

import pytest
from courses import copy_of_our_course, read, tiny_course

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


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A copy of this book's course."""
    return copy_of_our_course(tmp_path)
