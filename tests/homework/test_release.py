import os
import shutil
import sqlite3
import sys
from pathlib import Path

import nbformat
import pytest
from bad_input import full_disk, refuses
from courses import cell, read, unfinished
from nbgrader.api import get_alembic_version

from tml_helpers import grading


def rewrite(course: Path, name: str, text: str) -> None:
    """Put other text into a cell of the source of `sums`."""
    file = course / "masters/sums/sums.ipynb"
    source = read(file)
    cell(source, name).source = text
    nbformat.write(source, file)


def test_release_removes_solution_hidden_test_and_outputs(tiny: Path) -> None:
    file = grading.release("sums", course=tiny)
    assert file == tiny / "handouts/sums/sums.ipynb"
    released = read(file)
    assert "raise NotImplementedError" in cell(released, "double").source
    assert cell(released, "double_test").source.rstrip() == 'assert double(2) == 4, "did you add 1?"'
    assert cell(released, "why").source == "YOUR ANSWER HERE"
    assert cell(released, "setup").source == "start = 0"
    assert unfinished(tiny) == []


def test_release_again_gives_the_same_bytes(tiny: Path) -> None:
    first = grading.release("sums", course=tiny).read_bytes()
    assert grading.release("sums", course=tiny).read_bytes() == first


def test_release_replaces_what_was_there(tiny: Path) -> None:
    old = tiny / "handouts/sums/old.txt"
    old.parent.mkdir(parents=True)
    old.touch()
    grading.release("sums", course=tiny)
    assert not old.exists()


def test_release_refuses_to_give_a_solution_away(tiny: Path) -> None:
    before = grading.release("sums", course=tiny).read_bytes()
    (tiny / "masters/sums/notes.txt").write_text("### BEGIN SOLUTION\n42\n", encoding="utf-8")
    with refuses(ValueError, "notes.txt", "BEGIN SOLUTION"):
        grading.release("sums", course=tiny)
    assert (tiny / "handouts/sums/sums.ipynb").read_bytes() == before
    assert unfinished(tiny) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("### BEGIN SOLUTION\nx = 1", "no end solution statement found"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION", "nested begin solution"),
    ],
)
def test_release_says_what_is_wrong_with_the_source(tiny: Path, text: str, word: str) -> None:
    rewrite(tiny, "double", text)
    with refuses(ValueError, "sums cannot be released", word):
        grading.release("sums", course=tiny)
    assert not (tiny / "handouts/sums").exists()
    assert not (tiny / "gradebook.db").exists()
    assert unfinished(tiny) == []


def test_unknown_assignment_names_those_that_there_are(tiny: Path) -> None:
    for command in (grading.release, grading.grade):
        with refuses(ValueError, "'sum'", "this course has sums"):
            command("sum", course=tiny)


def test_folder_without_settings_is_no_course(tmp_path: Path) -> None:
    with refuses(FileNotFoundError, "nbgrader_config.py", "--course"):
        grading.release("sums", course=tmp_path)


def test_broken_settings_are_named(tiny: Path) -> None:
    (tiny / "nbgrader_config.py").write_text("c = get_config(\n", encoding="utf-8")
    with refuses(ValueError, "nbgrader_config.py", "never closed"):
        grading.release("sums", course=tiny)


def test_release_without_the_environment_in_the_path(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `.venv/bin/tml` is called: no program of the environment is found by its name."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    assert grading.release("sums", course=tiny).exists()
    assert os.environ["PATH"] == "/usr/bin:/bin"
    assert "JUPYTER_PATH" not in os.environ


def test_a_gradebook_is_begun_at_the_version_that_nbgrader_would_give_it(
    released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nbgrader asks the program `alembic`; a later nbgrader upgrades from there."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    with sqlite3.connect(released / "gradebook.db") as book:
        assert book.execute("SELECT version_num FROM alembic_version").fetchall() == [(get_alembic_version(),)]


def test_missing_nbgrader_says_how_to_install_it(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "nbgrader.coursedir", None)
    with refuses(OSError, "nbgrader", "is not installed", "make setup"):
        grading.release("sums", course=tiny)


def test_full_disk_leaves_the_former_release_and_nothing_else(tiny: Path) -> None:
    before = grading.release("sums", course=tiny).read_bytes()
    rewrite(tiny, "setup", "start = 0  # " + 5000 * "long ")
    with refuses(OSError, "free disk space"), full_disk(2000):
        grading.release("sums", course=tiny)
    assert (tiny / "handouts/sums/sums.ipynb").read_bytes() == before
    assert unfinished(tiny) == []


def test_release_that_cannot_be_put_in_place_leaves_the_former(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moves = iter([shutil.move, None, shutil.move])

    def move(source: Path, place: Path) -> None:
        now = next(moves)
        if now is None:
            raise OSError("No space left on device")
        now(source, place)

    before = (released / "handouts/sums/sums.ipynb").read_bytes()
    monkeypatch.setattr(shutil, "move", move)
    with refuses(OSError, "No space left"):
        grading.release("sums", course=released)
    assert (released / "handouts/sums/sums.ipynb").read_bytes() == before
    assert unfinished(released) == []


def test_full_disk_leaves_no_gradebook_that_was_only_begun(tiny: Path) -> None:
    with refuses(OSError, "gradebook.db", "free disk space"), full_disk(2000):
        grading.release("sums", course=tiny)
    assert not (tiny / "gradebook.db").exists()
    assert not (tiny / "handouts/sums").exists()
    grading.release("sums", course=tiny)
