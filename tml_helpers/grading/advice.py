"""What a student should mend in a notebook, said by task and by what they see of a cell: one plain sentence each."""

import ast
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from tml_helpers.grading.notebook import UNANSWERED, Notebook, grade_id, is_test, without_magics

HEADING = re.compile(r"^#{1,6} +(.+?)(?: *\([^)]*\))? *$", re.MULTILINE)  # without "(1 point)"
TASK = re.compile(r"Task \d+")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
LONGEST = 120  # characters of an error's message
RUN_ALL = "restart the kernel, run all cells, and save"


@dataclass(frozen=True)
class Known:
    """A cell of the released notebook, and how a student is told of it: `Task 2`, `its second test cell`."""

    cell: Any
    task: str
    called: str

    @property
    def is_answer(self) -> bool:
        """Whether students write into it."""
        return bool(self.cell.metadata.nbgrader.solution)


def sentences(submission: Notebook, released: Notebook) -> list[str]:
    """What would go wrong, that which costs most first."""
    known = cells(released)
    last = _last(submission, known)
    own = [cell for cell in submission.cells if grade_id(cell) not in known]
    answers = [s for name, of in known.items() if of.is_answer for s in _answer(of, last.get(name))]
    said = {"NotImplementedError"} if answers else set()
    return [
        *answers,
        *_errors(submission, known, said),
        *(f"a cell of yours, which begins {begin(cell)}: {error}" for cell in own if (error := syntax_error(cell))),
        *(sentence for name, of in known.items() if not of.is_answer for sentence in _locked(of, last.get(name))),
        *_doubled(submission, known),
        *_moved(list(last), known),
        *_run([(known[name], cell) for name, cell in last.items() if cell.cell_type == "code"]),
    ]


def cells(released: Notebook) -> dict[str, Known]:
    """The cells that nbgrader knows, by their names, in their order."""
    found: dict[str, Known] = {}
    tests: defaultdict[str, list[str]] = defaultdict(list)
    numbered = [task for cell in released.cells for heading in _headings(cell) if (task := _task(heading))]
    task, below = f"Before {numbered[0]}" if numbered else "", ""
    for cell in released.cells:
        name = grade_id(cell)
        for heading in _headings(cell):
            task, below = (_task(heading), "") if _task(heading) else (task, heading)
        if name:
            found[name] = Known(cell, task or f"Question `{name}`", _called(cell, below))
        if name and is_test(cell):
            tests[found[name].task].append(name)
    for several in tests.values():
        for name, ordinal in zip(several, ORDINALS, strict=False):
            called = f"its {ordinal} test cell" if len(several) > 1 else "its test cell"
            found[name] = replace(found[name], called=called)
    return found


def begin(cell: Any) -> str:
    """The begin of a cell, as a student finds it: `def soften`."""
    line = next(iter(cell.source.strip().splitlines()), "")
    definition = re.match(r"(?:async +)?(?:def|class) +\w+", line)
    return f"`{definition[0] if definition else line[:40].rstrip()}`"


def syntax_error(cell: Any) -> str:
    """Why Python cannot read a cell of code; empty where it can. IPython's magics and shell lines are left out."""
    if cell.cell_type != "code" or cell.source.lstrip().startswith("%%"):
        return ""
    try:
        ast.parse(without_magics(cell.source))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else "it is too deep"
        return f"Python cannot read it ({where}): mend it, and run it again"
    return ""


def _last(submission: Notebook, known: dict[str, Known]) -> dict[str, Any]:
    """The submission's cells that are known, in its order; of a doubled one the last, which is graded."""
    found: dict[str, Any] = {}
    for cell in reversed(submission.cells):
        if grade_id(cell) in known:
            found.setdefault(grade_id(cell), cell)
    return dict(reversed(found.items()))


def _headings(cell: Any) -> list[str]:
    return HEADING.findall(cell.source) if cell.cell_type == "markdown" else []


def _task(heading: str) -> str:
    """`Task 2`, where the heading begins so."""
    number = TASK.match(heading)
    return number[0] if number else ""


def _called(cell: Any, below: str) -> str:
    if cell.cell_type == "code":
        return f"the cell that begins {begin(cell)}"
    return f'the text cell below "{below}"' if below else "its text cell"


def _answer(of: Known, cell: Any) -> list[str]:
    """What is wrong with an answer; `cell` is None where it is gone."""
    if cell is None:
        return [f"{of.task}: {of.called} is gone: copy it from a fresh copy of the homework, and answer in it"]
    kinds = {"code": "a code cell", "markdown": "a Markdown cell", "raw": "a raw cell"}
    if cell.cell_type != of.cell.cell_type:
        is_now, was = kinds[cell.cell_type], kinds[of.cell.cell_type]
        return [f"{of.task}: {of.called} must be {was} and is {is_now}: change it back"]
    if cell.source.strip() in ("", of.cell.source.strip()):
        return [f"{of.task}: no answer yet, in {of.called}"]
    if cell.cell_type == "code" and UNANSWERED.search(cell.source):
        return [f"{of.task}: `raise NotImplementedError` still stands in {of.called}"]
    error = syntax_error(cell)
    return [f"{of.task}: {of.called}: {error}"] if error else []


def _locked(of: Known, cell: Any) -> list[str]:
    """What is wrong with a cell of the course's; `cell` is None where it is gone."""
    if cell is None:
        return [f"{of.task}: {of.called} is gone: grading puts it back; a fresh copy of the homework shows it"]
    if cell.source.rstrip() != of.cell.source.rstrip():
        return [f"{of.task}: {of.called} was changed, but the released one is graded: write in cells of your own"]
    return []


def _errors(submission: Notebook, known: dict[str, Known], said: set[str]) -> list[str]:
    """The errors that stand below cells, but for those of which the cells that they come from say enough."""
    found = []
    for cell in submission.cells:
        error = next((o for o in cell.get("outputs", []) if o.output_type == "error"), None)
        if error is not None and error.ename not in said and not syntax_error(cell):
            of = known.get(grade_id(cell))
            where = f"{of.task}: {of.called}" if of else f"a cell of yours, which begins {begin(cell)},"
            found.append(f"{where} shows {_message(error)}")
    return found


def _message(error: Any) -> str:
    first = next(iter(error.evalue.strip().splitlines()), "")
    text = f"{error.ename}: {first}" if first else error.ename
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _doubled(submission: Notebook, known: dict[str, Known]) -> list[str]:
    count = Counter(map(grade_id, submission.cells))
    times = {name: "twice" if count[name] == 2 else f"{count[name]} times" for name in known if count[name] > 1}
    return [f"{known[n].task}: {known[n].called} is there {t}, and only the last is graded: keep one"
            for n, t in times.items()]  # fmt: skip


def _moved(names: list[str], known: dict[str, Known]) -> list[str]:
    """A sentence for the first cell that stands at another place."""
    order = [name for name in known if name in names]
    place = next((n for n, (was, now) in enumerate(zip(order, names, strict=True)) if was != now), None)
    if place is None:
        return []
    went_up = names[place + 1] == order[place]
    of = known[names[place] if went_up else order[place]]
    where = "down" if went_up else "up"
    return [f"{of.task}: {of.called} is not at its place, where it is graded: move it {where} again"]


def _run(code: list[tuple[Known, Any]]) -> list[str]:
    """A sentence where cells were not run, or not from the top; empty ones cannot be run."""
    code = [(of, cell) for of, cell in code if cell.source.strip()]
    never = [of for of, cell in code if not cell.execution_count]
    if never:
        which = "no cell was run" if len(never) == len(code) else f"{never[0].task}: {never[0].called} was never run"
        return [f"{which}: {RUN_ALL}"]
    for (_, above), (of, cell) in pairwise(code):
        if cell.execution_count <= above.execution_count:
            return [f"{of.task}: {of.called} was run before a cell above it: {RUN_ALL}"]
    return []
