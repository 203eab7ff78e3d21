"""An assignment as it is graded: its tests with what is hidden in them, and the canaries that come first."""

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tml_helpers.grading.names as names
from tml_helpers.grading import gradebook, key, notebook, withhold
from tml_helpers.grading.course import Course, workspace
from tml_helpers.grading.exam import Exam
from tml_helpers.grading.examiner import leading
from tml_helpers.grading.release import generate
from tml_helpers.grading.sandbox import Submission, Task, archive

SECONDS = 30.0  # for one cell where the course does not say: nbgrader's own default
NO_LIMIT = 24 * 3600.0  # where it says that there is none

# What canaries write into every answer. None may earn a point.
SKIP_TESTS = """\
ip = get_ipython()
ip.input_transformers_cleanup.append(lambda lines: ["pass\\n"])
ip.ast_transformers.append(type("T", (), {"visit": lambda self, tree: type(tree)([], [])})())
"""
EQUAL_TO_ALL = """\
class Anything:
    __call__ = __getattr__ = __getitem__ = __sub__ = __rsub__ = __add__ = __mul__ = __abs__ = lambda self, *a, **k: self
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = lambda self, other: True
    __hash__ = __len__ = lambda self: 0
    __iter__ = lambda self: iter([])
    __bool__ = lambda self: True
"""
TAKES_OVER = "a notebook that takes over what the course's cells made"
TAKE_OVER = """\
import types
def yes(*arguments, **keywords):
    return True
def take_over(owner, names):
    for name in names:
        try:
            setattr(owner, name, yes)
        except Exception:
            pass
def checks(module):
    judge = ("assert", "all", "any", "array_eq", "equal", "is")
    return [name for name in vars(module) if name.startswith(judge)]
for value in [value for name, value in globals().items() if not name.startswith("_")]:
    if isinstance(value, types.ModuleType):
        inner = [part for part in vars(value).values() if isinstance(part, types.ModuleType)]
        for module in [value, *(part for part in inner if part.__name__.startswith(value.__name__))]:
            take_over(module, checks(module))
    elif not isinstance(value, type):
        take_over(value, [name for name in dir(value) if not name.startswith("_")])
"""
END_PROCESS = "import os\nos._exit(0)\n"


@dataclass(frozen=True)
class Paper:
    """One notebook of an assignment: the task for a sandbox, the points of its questions, and which a human gives."""

    name: str
    task: Task
    worth: dict[str, float]
    by_hand: frozenset[str]


def papers(course: Course, assignment: str, *, isolated: bool) -> list[Paper]:
    """All notebooks of an assignment. Enters it into the gradebook. Raises ValueError, OSError as `release` does."""
    with workspace(course.top("autograded")) as unfinished:
        folder = generate(course, assignment, unfinished, enter=True)
        found = [_paper(course, assignment, file, isolated) for file in sorted(folder.glob("*.ipynb"))]
    if not any(paper.worth for paper in found):
        raise ValueError(f"{assignment} has no cell that gives points: mark its tests in nbgrader's toolbar")
    return found


def _paper(course: Course, assignment: str, file: Path, isolated: bool) -> Paper:
    released = notebook.read(file)
    language = released.metadata.get("kernelspec", {}).get("language") or "python"
    if language != "python":
        raise ValueError(f"{file.name} is written in {language}: only notebooks in Python can be graded")
    full = gradebook.sources(course, assignment, file.stem)
    source = course.folder("source", ".", assignment) / file.name
    model = notebook.read(source)
    answers = {name: c.source for c in model.cells if (name := notebook.grade_id(c)) and c.metadata.nbgrader.solution}
    code = [notebook.without_magics(cell.source) for cell in model.cells if cell.cell_type == "code"]
    modules = sorted({module for text in code for module in names.modules(text).values()})
    seconds = _seconds(course.settings)
    exam = Exam(
        assignment, file.stem, json.loads(json.dumps(released)), full, answers, seconds, key.of(course, assignment),
        *withhold.read(source),
    )  # fmt: skip
    cells = [cell for cell in released.cells if notebook.grade_id(cell)]
    worth = {notebook.grade_id(c): float(c.metadata.nbgrader.get("points") or 0) for c in cells if _gives_points(c)}
    by_hand = frozenset(notebook.grade_id(c) for c in cells if _gives_points(c) and not notebook.is_test(c))
    task = Task(
        exam=exam.as_json(),
        cells=[cell.source for cell in leading(released)],
        files=archive(file.parent, {name.name for name in file.parent.glob("*.ipynb")})[0],
        modules=modules,
        hidden=str(course.root),
        seconds=seconds,
        canaries=canaries(released, answers),
        due=sum(points for name, points in worth.items() if name not in by_hand),
        isolated=isolated,
        withheld=exam.withheld,
    )
    return Paper(file.stem, task, worth, by_hand)


def _seconds(settings: Any) -> float:
    """The time that the course gives one cell, under the name of nbgrader's step, or of those that it stands on."""
    steps = ("Execute", "ExecutePreprocessor", "NotebookClient")
    given = next((settings[step]["timeout"] for step in steps if "timeout" in settings[step]), SECONDS)
    return float(given) if given and given > 0 else NO_LIMIT


def canaries(released: notebook.Notebook, answers: dict[str, str]) -> list[tuple[str, Submission]]:
    """The model solution, which must get all points, and what must get none: no answers, and attempts at cheating."""
    asked = sorted({name for text in answers.values() for name in _names(text)})
    everything = "\n".join(f"{name} = Anything()" for name in asked)
    wrong = "\n".join(f"{name} = lambda *arguments, **keywords: None" for name in asked)
    return [
        ("the model solution", _submission(_answered(released, answers))),
        ("the notebook without answers", _submission(released)),
        ("a notebook that skips the tests", _submission(_said(released, SKIP_TESTS))),
        ("a notebook whose answers equal everything", _submission(_said(released, EQUAL_TO_ALL + everything))),
        (
            "a notebook that takes over what the course's cells made",
            _submission(_said(released, TAKE_OVER + wrong)),
        ),
        ("a notebook that ends its process", _submission(_said(released, END_PROCESS))),
    ]


def _answered(released: notebook.Notebook, answers: dict[str, str]) -> notebook.Notebook:
    """The released notebook with these answers, by the names of their cells."""
    made = copy.deepcopy(released)
    for cell in made.cells:
        cell.source = answers.get(notebook.grade_id(cell), cell.source)
    return made


def _said(released: notebook.Notebook, text: str) -> notebook.Notebook:
    """The released notebook with this text in every answer that is code."""
    cells = [c for c in released.cells if c.cell_type == "code" and notebook.grade_id(c)]
    return _answered(released, {notebook.grade_id(c): text for c in cells if c.metadata.nbgrader.solution})


def _submission(made: notebook.Notebook) -> Submission:
    empty = archive(Path(os.devnull), set())[0]
    return Submission("canary.ipynb", json.dumps(made).encode(), empty)


def _names(source: str) -> set[str]:
    return names.defined(notebook.without_magics(source))


def _gives_points(cell: notebook.Notebook) -> bool:
    settings = cell.metadata.nbgrader
    return bool(settings.grade or settings.get("task"))
