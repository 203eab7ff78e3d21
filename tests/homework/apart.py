"""Grade the patterns as a grading job does, a test's process beside an answer's, but without sandbox and gradebook.

A program: prints the points of the model solution, of the wrong answers, and of an object that equals everything.
"""

import json
import os
import socket
import sys
from typing import Any

import nbformat
from courses import named
from nbformat.v4 import new_code_cell, new_notebook
from patterns import PATTERNS, SETUP

from tml_helpers.grading import notebook, roles
from tml_helpers.grading.assignment import EQUAL_TO_ALL
from tml_helpers.grading.exam import Exam, Report, Request
from tml_helpers.grading.examiner import Examiner
from tml_helpers.grading.names import defined
from tml_helpers.grading.student import Student
from tml_helpers.grading.wire import Wire

ANSWERS = {task.name: task.answer for task in PATTERNS}
WRONG = {task.name: task.wrong for task in PATTERNS}
EQUAL = {
    name: EQUAL_TO_ALL + "\n".join(f"{one} = Anything()" for one in defined(text)) for name, text in ANSWERS.items()
}


def cells_with(answers: dict[str, str]) -> list[Any]:
    """The notebook's cells with these answers."""
    cells = [named(new_code_cell(SETUP), "setup", locked=True)]
    for task in PATTERNS:
        if task.locked:
            cells.append(named(new_code_cell(task.locked), f"{task.name}_given", locked=True))
        cells.append(named(new_code_cell(answers[task.name]), task.name, solution=True))
        cells.append(named(new_code_cell(task.test), f"{task.name}_test", grade=True, locked=True, points=1))
    return cells


def graded(shell: Any, answers: dict[str, str], allowed: set[tuple[str, str]] | None) -> Report:
    """What becomes of these answers, whose code runs in a fork."""
    ends = socket.socketpair()
    if os.fork() == 0:
        ends[0].close()
        Student(shell).serve(Wire(ends[1]))
        os._exit(0)
    ends[1].close()
    cells = cells_with(ANSWERS)
    full = {notebook.grade_id(cell): cell.source for cell in cells if notebook.grade_id(cell) not in ANSWERS}
    exam = Exam("all", "all", new_notebook(cells=cells), full, ANSWERS, 20.0, "key")
    content = nbformat.writes(new_notebook(cells=cells_with(answers))).encode()
    return Examiner(exam).examine(Request("all.ipynb", content, allowed, False, 300.0), lambda _: Wire(ends[0]))


def main() -> None:
    exec(SETUP, {})  # once for all forks
    shell = roles._shell()
    model = graded(shell, ANSWERS, None)
    allowed = {(place, what) for place, what in model.allowed}
    reports = {"right": model, "wrong": graded(shell, WRONG, allowed), "equal": graded(shell, EQUAL, allowed)}
    json.dump({name: report.scores for name, report in reports.items()}, sys.stdout)
    json.dump({name: report.messages for name, report in reports.items()}, sys.stderr)


if __name__ == "__main__":
    main()
