"""Answers to a homework that its author keeps beside the source: wrong ones, and right ones of another shape.

A file of `right/` or `wrong/` holds functions, classes and values that replace those of the same name in the model
solution. The docstring of a wrong one ends with two lines: `loses:` the questions that must get no points (all others
must get theirs), and `says:` the words that the student must read.
"""

import ast
import copy
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tml_helpers.grading import notebook

KINDS = ("right", "wrong")


@dataclass(frozen=True)
class Answer:
    """One such file; `loses` and `says` are empty for a right answer."""

    name: str
    imports: str
    parts: dict[str, str]
    loses: frozenset[str]
    says: str

    @property
    def part(self) -> str:
        """The task, or part of a task, that a wrong answer is to: its name begins with it."""
        return self.name.partition("_")[0]

    @classmethod
    def read(cls, file: Path) -> "Answer":
        """Raises ValueError for a file that is not Python, and for a wrong answer that does not say what it loses."""
        text = file.read_text(encoding="utf-8")
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            raise ValueError(f"{file} is not Python: {error}") from error
        said = [line.split(": ", 1) for line in (ast.get_docstring(tree) or "").splitlines()[1:] if ": " in line]
        facts = {what: words for what, words in said if what in ("loses", "says")}
        if file.parent.name == "wrong" and len(facts) < 2:
            raise ValueError(f"the docstring of {file} does not end with the lines `loses:` and `says:`")
        imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        homework = file.parents[1].name  # what the notebook defines is imported here for the reader's sake alone
        needed = [ast.unparse(n) for n in imports if getattr(n, "module", "") != homework]
        loses = frozenset(facts.get("loses", "").split())
        return cls(file.stem, "\n".join(needed), parts(text), loses, facts.get("says", ""))

    def instead_of(self, answered: Any) -> Any:
        """The answered notebook with this answer's parts in place of its own, and its imports in a cell added."""
        from nbformat.v4 import new_code_cell

        changed = copy.deepcopy(answered)
        changed.cells.insert(1, new_code_cell(self.imports))
        for name, text in self.parts.items():
            owner = next(c for c in changed.cells if is_answer(c) and name in parts(c.source))
            owner.source = owner.source.replace(parts(owner.source)[name], text)
        return changed


def beside(source: Path) -> list[Answer]:
    """The answers of `right/` and `wrong/` in the folder of a homework's source."""
    return [Answer.read(file) for kind in KINDS for file in sorted((source / kind).glob("*.py"))]


def parts(text: str) -> dict[str, str]:
    """The source of each function, class and named value at the top of a file or cell."""
    return dict(_named(text, ast.parse(text).body))


def _named(text: str, statements: Iterable[ast.stmt]) -> Iterable[tuple[str, str]]:
    for node in statements:
        targets = node.targets if isinstance(node, ast.Assign) else []
        name = getattr(targets[0], "id", "") if len(targets) == 1 else getattr(node, "name", "")
        if name:
            yield name, ast.get_source_segment(text, node) or ""


def is_answer(cell: Any) -> bool:
    """Whether students write into the cell, and it is code."""
    return bool(cell.cell_type == "code" and notebook.grade_id(cell) and cell.metadata.nbgrader.solution)
