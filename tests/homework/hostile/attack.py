"""What an attack is, and how it is handed in.

Texts may hold these words, which are replaced when they are handed in: @NAME@ the attack's name, @TOKEN@ a text of this
run's, @COURSE@ the course's folder, @HOME@ the grader's home, @PORT@ a port where this test listens, @HOST@ the
namespace of the test's processes. An attack that could hurt the machine which it runs on asks `CONFINED` first.
"""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from courses import cell

from hostile.course import HONEST, NOTEBOOKS, POINTS, answer

CONFINED = """\
import os
CONFINED = os.readlink("/proc/self/ns/pid") != "@HOST@"  # else this test's own machine would be hit
"""
MARK = "tml-hostile-@TOKEN@-@NAME@"  # the name of every file that an attack tries to leave
BOUNDLESS = "boundless"  # what an attack prints, put together, where it found no limit
ASLEEP = "98765"  # the argument of every `sleep` that an attack tries to leave


@dataclass
class Handin:
    """A submission while it is made: its notebooks, as JSON says them, and its folder."""

    notebooks: dict[str, Any]
    folder: Path

    def cell(self, name: str) -> Any:
        """The cell with that grade_id, in whichever notebook."""
        return cell(self.of(name), name)

    def of(self, name: str) -> Any:
        """The notebook that has the cell with that grade_id."""
        task = name.removesuffix("_test").removesuffix("_setup")
        return self.notebooks[next(n for n, tasks in NOTEBOOKS.items() if task in (*tasks, n))]

    def add(self, after: str, new: Any) -> None:
        """Put a new cell after the one with that grade_id."""
        cells = self.of(after).cells
        cells.insert(cells.index(self.cell(after)) + 1, new)


@dataclass(frozen=True)
class Attack:
    """One submission, and what is due to it.

    answers: what stands in the tasks' cells instead of right answers. due: the points of each task; 0 for any other.
    unclear: tasks answered rightly whose points may be given or not. Tasks in neither, and not in `answers`, stay
    blank. edit: changes the notebooks. files: changes the folder after they are written. status: which are right;
    empty for any. says: a text that the reason has. student: what its student is called, where that matters.
    """

    name: str
    family: str
    summary: str
    answers: Mapping[str, str] = field(default_factory=dict)
    due: Mapping[str, float] = field(default_factory=dict)
    unclear: tuple[str, ...] = ()
    edit: Callable[[Handin], object] | None = None
    files: Callable[[Path], object] | None = None
    status: tuple[str, ...] = ()
    says: str = ""
    student: str = ""

    def hand_in(self, blank: Mapping[str, Any], folder: Path, words: Mapping[str, str]) -> None:
        """Write the submission into `folder`, made from the released notebooks."""
        made = Handin(copy.deepcopy(dict(blank)), folder)
        right = {task: HONEST[task] for task in (*self.due, *self.unclear) if task in HONEST}
        for task, text in {**right, **self.answers}.items():
            answer(made.notebooks, task, text)
        if self.edit:
            self.edit(made)
        words = {**words, "NAME": self.name}
        for name, notebook in made.notebooks.items():
            text = json.dumps(notebook)
            for word, meaning in words.items():
                text = text.replace(f"@{word}@", meaning)
            (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")
        if self.files:
            self.files(folder)


def full(*tasks: str) -> dict[str, float]:
    """All points of these tasks."""
    return {task: POINTS[task] for task in tasks}


EVERYTHING = full(*POINTS)


def code(family: str, name: str, summary: str, text: str, *, task: str = "blend", **more: Any) -> Attack:
    """An attack that stands in the cell of one task; all others stay blank."""
    return Attack(name, family, summary, answers={task: text, **more.pop("answers", {})}, **more)
