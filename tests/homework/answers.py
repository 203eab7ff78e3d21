"""A homework's answered notebook, and its cells."""

from typing import Any

from tml_helpers.grading.answers import Answer, is_answer, parts

__all__ = ["Answer", "is_answer", "is_test", "name_of", "parts", "with_model_answers"]


def with_model_answers(released: Any, solution: Any) -> Any:
    """The students' notebook with the model solution's answers, the written ones too."""
    answers = {name_of(c): c.source for c in solution.cells if c.metadata.get("nbgrader", {}).get("solution")}
    for cell in released.cells:
        cell.source = answers.get(name_of(cell), cell.source)
    return released


def name_of(cell: Any) -> str | None:
    """The cell's `grade_id`, if it has one."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def is_test(cell: Any) -> bool:
    """Whether the cell is code that gives points."""
    return bool(cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade"))
