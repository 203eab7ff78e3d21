"""Answers to a homework that are kept beside its source: wrong ones, and right ones of another shape.

A file of `wrong/` holds functions that replace those of the same name in the model solution. Its docstring ends with
two lines: `loses:` the questions that must get no points (all others must get theirs), and `says:` the words that the
student must read.
"""

import ast
import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell


@dataclass(frozen=True)
class Answer:
    """One such file; `loses` and `says` are empty for a right answer."""

    name: str
    imports: str
    functions: dict[str, str]
    loses: frozenset[str]
    says: str

    @property
    def part(self) -> str:
        """The task, or part of a task, that a wrong answer is to: its name begins with it."""
        return self.name.partition("_")[0]

    @classmethod
    def read(cls, file: Path) -> "Answer":
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        facts = dict(line.split(": ", 1) for line in (ast.get_docstring(tree) or "").splitlines()[1:] if line)
        imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        homework = file.parents[1].name  # what the notebook defines is imported here for the reader's sake alone
        needed = [ast.unparse(n) for n in imports if getattr(n, "module", "") != homework]
        loses = frozenset(facts.get("loses", "").split())
        return cls(file.stem, "\n".join(needed), functions(text), loses, facts.get("says", ""))

    def instead_of(self, answered: Any) -> Any:
        """The answered notebook with this answer's functions in place of its own, and its imports in a cell added."""
        changed = copy.deepcopy(answered)
        changed.cells.insert(1, new_code_cell(self.imports))
        for name, text in self.functions.items():
            owner = next(c for c in changed.cells if is_answer(c) and name in functions(c.source))
            owner.source = owner.source.replace(functions(owner.source)[name], text)
        return changed


def with_model_answers(released: Any, solution: Any) -> Any:
    """The students' notebook with the model solution's answers, the written ones too."""
    answers = {name_of(c): c.source for c in solution.cells if c.metadata.get("nbgrader", {}).get("solution")}
    for cell in released.cells:
        cell.source = answers.get(name_of(cell), cell.source)
    return released


def name_of(cell: Any) -> str | None:
    """The cell's `grade_id`, if it has one."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def functions(text: str) -> dict[str, str]:
    """The source of each function at the top of a file or cell."""
    found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_source_segment(text, node) or "" for node in found}


def is_answer(cell: Any) -> bool:
    """Whether students write into the cell, and it is code."""
    return bool(cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution"))


def is_test(cell: Any) -> bool:
    """Whether the cell is code that gives points."""
    return bool(cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade"))
