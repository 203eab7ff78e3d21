"""What a homework withholds is not there for a submission, by whatever way it is looked for, until it is given."""

import inspect
import json
import sys
from pathlib import Path

import nbformat
import pytest
from courses import SETTINGS, cell, errors, named, read, submit
from nbformat.v4 import new_code_cell, new_notebook

from tml_helpers import grading
from tml_helpers.grading import assignment, withhold
from tml_helpers.grading.course import Course
from tml_helpers.grading.exam import Exam

SENTENCE = "colorsys is withheld while this homework is graded: you are asked to write it yourself"
ATTACKS = """\
import ctypes, gc, glob, importlib, importlib.util, marshal, os, runpy, subprocess, sys
from importlib.machinery import PathFinder
library = os.path.dirname(os.__file__)
path = os.path.join(library, "colorsys.py")
compiled = importlib.util.cache_from_source(path)

def by_import():
    import colorsys
    return colorsys.rgb_to_hsv
def by_name():
    return __import__("color" + "sys").rgb_to_hsv
def loaded():
    return sys.modules["colorsys"].rgb_to_hsv
def without_hooks():
    kept, sys.meta_path[:] = sys.meta_path[:], [PathFinder]
    try:
        importlib.invalidate_caches()
        return importlib.import_module("colorsys").rgb_to_hsv
    finally:
        sys.meta_path[:] = kept
def from_a_file(place=path):
    spec = importlib.util.spec_from_file_location("mine", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.rgb_to_hsv
def run():
    return runpy.run_path(path)["rgb_to_hsv"]
def run_as_module():
    return runpy.run_module("colorsys")["rgb_to_hsv"]
def read(place=path):
    space = {}
    exec(open(place).read(), space)
    return space["rgb_to_hsv"]
def read_compiled():
    space = {}
    exec(marshal.loads(open(compiled, "rb").read()[16:]), space)
    return space["rgb_to_hsv"]
def of_another_process():
    return next(read(place) for place in glob.glob("/proc/*/root" + path) if os.path.getsize(place))
def uncovered():
    ctypes.CDLL(None).umount2(path.encode(), 2)
    subprocess.run(["umount", "-l", path])
    return read()
def in_a_new_process():
    program = "import colorsys; print(colorsys.rgb_to_hsv(0.5, 0.5, 0.5))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return lambda *_: eval(told.stdout)
def in_memory():
    gc.unfreeze()
    return next(o for o in gc.get_objects() if getattr(o, "__name__", "") == "rgb_to_hsv" and callable(o))

ways = [by_import, by_name, loaded, without_hooks, from_a_file, run, run_as_module, read, read_compiled,
        of_another_process, uncovered, in_a_new_process, in_memory]
found = {}
for way in ways:
    try:
        found[way.__name__] = way()(0.5, 0.5, 0.5)
    except BaseException:
        pass
print("found by", sorted(found), len(ways))
def grey(x):
    return next(iter(found.values()))
"""
ANSWERS = {
    "honest": "def grey(x):\n    return 0.0, 0.0, x",
    "caller": "def grey(x):\n    from colorsys import rgb_to_hsv\n    return rgb_to_hsv(x, x, x)",
    "importer": "from colorsys import rgb_to_hsv\ndef grey(x):\n    return rgb_to_hsv(x, x, x)",
    "attacker": ATTACKS,
    "stranger": ATTACKS,  # in a process where the course's first cells have not been run
}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A homework that withholds a module for its first task, and gives it for the second."""
    course = tmp_path_factory.mktemp("withheld")
    (course / "nbgrader_config.py").write_text(SETTINGS, encoding="utf-8")
    (course / "masters/grey").mkdir(parents=True)
    grey, red = "def grey(x):\n    return 0.0, 0.0, x", "def red():\n    return colorsys.rgb_to_hsv(1.0, 0.0, 0.0)"
    test = "import colorsys\nassert grey(0.5) == colorsys.rgb_to_hsv(0.5, 0.5, 0.5)"
    cells = [
        new_code_cell("note = 1"),
        named(new_code_cell("import math"), "setup", locked=True),
        named(new_code_cell(grey), "grey", solution=True),
        named(new_code_cell(test), "grey_test", grade=True, locked=True, points=1),
        named(new_code_cell("import colorsys"), "library", locked=True),
        named(new_code_cell(red), "red", solution=True),
        named(new_code_cell("assert red() == (0, 1, 1)"), "red_test", grade=True, locked=True, points=1),
    ]
    cells[1].metadata["tml"], cells[4].metadata["tml"] = {"withhold": ["colorsys"]}, {"give": ["colorsys"]}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), course / "masters/grey/grey.ipynb")
    grading.release("grey", course=course)
    for student, answer in ANSWERS.items():
        notebook = read(course / "handouts/grey/grey.ipynb")
        cell(notebook, "grey").source, cell(notebook, "red").source = answer, red
        notebook.cells[0].source = "note = 2" if student == "stranger" else "note = 1"
        submit(course, student, "grey", notebook)
    grading.grade("grey", course=course, jobs=1)
    return course


def said(course: Path, student: str) -> dict[str, str]:
    """What the tests say that a student fails, and what the first answer prints."""
    answer = cell(read(course / f"autograded/{student}/grey/grey.ipynb"), "grey")
    printed = "".join(output.get("text", "") for output in answer.outputs)
    return errors(course, student, "grey") | {"printed": printed}


def test_what_is_given_later_can_be_used_from_there_on(course: Path) -> None:
    assert said(course, "honest") == {"printed": ""}


def test_an_answer_that_calls_it_loses_its_point_and_hears_why(course: Path) -> None:
    assert said(course, "caller") == {"grey_test": f"your code raised ImportError: {SENTENCE}", "printed": ""}
    undefined = "NameError: name 'grey' is not defined"
    assert said(course, "importer") == {"grey": SENTENCE, "grey_test": undefined, "printed": ""}
    log = (course / ".tml-grading/grey/log.jsonl").read_text(encoding="utf-8").splitlines()
    reasons = {line["student"]: line["reason"] for line in map(json.loads, log)}
    assert reasons == dict.fromkeys(ANSWERS, "") | {
        "importer": f"in the cell grey, {SENTENCE}",
        "stranger": reasons["stranger"],
    }


@pytest.mark.parametrize("student", ["attacker", "stranger"])
def test_no_way_leads_to_it(course: Path, student: str) -> None:
    told = said(course, student)
    assert told["printed"] == "found by [] 13\n"
    assert set(told) == {"grey_test", "printed"}


def test_what_is_withheld_is_part_of_what_a_report_depends_on(course: Path) -> None:
    (paper,) = assignment.papers(Course.open(course), "grey", isolated=True)
    exam = Exam.from_json(paper.task.exam)
    assert (exam.withheld, exam.gives, paper.task.withheld) == (["colorsys"], {"library": ["colorsys"]}, ["colorsys"])


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two modules that can be imported."""
    folder = tmp_path / "shelf/books"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("from .pages import count\n", encoding="utf-8")
    (folder / "pages.py").write_text("def count():\n    return 7\n", encoding="utf-8")
    monkeypatch.syspath_prepend(folder.parent)
    return folder


def test_a_package_is_withheld_whole_and_given_as_text(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert withhold.places(["books", "books.pages"]) == [str(library), str(library / "pages.py")]
    assert "books" not in sys.modules, "to find it is not to import it"
    given = withhold.texts(["books"])
    for file in library.iterdir():
        file.unlink()
    monkeypatch.setattr(sys, "meta_path", [withhold.Withheld(["books"]), *sys.meta_path])
    for name in ("books", "books.pages"):
        with pytest.raises(ImportError, match=r"^books is withheld"):
            __import__(name)
    withhold.give(given)
    import books  # type: ignore[import-not-found]

    assert books.count() == 7
    assert inspect.getsource(books.count) == "def count():\n    return 7\n"
    for name in ("books", "books.pages"):
        monkeypatch.delitem(sys.modules, name)


def test_a_module_that_is_not_here_or_has_no_file_has_no_text() -> None:
    assert withhold.texts(["no_such_module", "sys"]) == {}
    assert withhold.places(["no_such_module"]) == []


def test_what_is_absent_for_a_while_comes_back_as_it_was() -> None:
    import xml.dom

    with withhold.absent(["xml.dom"]):
        with pytest.raises(ImportError, match=r"^xml\.dom is withheld"):
            from xml import dom
        assert not hasattr(sys.modules["xml"], "dom")
    from xml import dom

    assert dom is xml.dom


@pytest.mark.parametrize(("cells", "words"), [
    ([{"withhold": ["json.nothing"]}], "there is no module json.nothing to withhold"),
    ([{"give": ["json"]}], "gives json: a locked cell gives what is withheld"),
    ([{"withhold": ["json"]}, {"give": ["json", "csv"]}], "gives json, csv"),
])  # fmt: skip
def test_a_source_that_says_what_cannot_be_is_refused(
    tmp_path: Path, cells: list[dict[str, list[str]]], words: str
) -> None:
    made = [{"metadata": {"tml": tml, "nbgrader": {"grade_id": f"c{n}"}}} for n, tml in enumerate(cells)]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": made}), encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        withhold.read(tmp_path / "a.ipynb")
