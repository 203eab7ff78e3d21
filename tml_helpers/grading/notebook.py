"""A student's notebook beside the released one: read it, find what would go wrong, put back what is not theirs."""

import ast
import contextlib
import copy
import json
import re
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from tml_helpers.grading.repair import repaired

Notebook = Any  # nbformat.NotebookNode, a dict with attributes; nbformat carries no types
GRAMMAR = "rfc3987_syntax"
MOVED = "the cells stand in another order than they were released in, in which they are graded"
UNANSWERED = re.compile(r"^\s*raise NotImplementedError", re.MULTILINE)


def load_format() -> None:
    """Import nbformat, if it is there, without the grammar of international addresses.

    jsonschema, which nbformat asks, would build it: a second of work, for a format that no notebook's schema names.
    """
    apart = GRAMMAR not in sys.modules
    if apart:
        sys.modules[GRAMMAR] = None  # type: ignore[assignment]
    try:
        with contextlib.suppress(ImportError):
            import nbformat  # noqa: F401
    finally:
        if apart:
            del sys.modules[GRAMMAR]


def read(file: Path) -> Notebook:
    """The notebook in `file`. Raises FileNotFoundError, or ValueError saying why it is none and what to do."""
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}: save your notebook under that name")
    return parse(file.read_bytes(), file.name)


def parse(content: bytes, name: str) -> Notebook:
    """The notebook in a file's content. Raises ValueError saying why it is none and what to do."""
    import nbformat

    again = "open it in Jupyter or Colab and save or download it again as .ipynb"
    try:
        text = content.decode("utf-8-sig")
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not a notebook, for it is not JSON ({error}): {again}") from error
    try:
        if not isinstance(found, dict) or found.get("nbformat") != 4:
            found = nbformat.convert(nbformat.reader.reads(text), 4)
        notebook = _with_own_ids(nbformat.from_dict(repaired(found)))
        nbformat.validate(notebook)
    except Exception as error:  # whatever nbformat makes of a malformed notebook
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{name} is JSON but not a whole notebook ({first[:300]}): {again}") from error
    return notebook


def write(notebook: Notebook, file: Path) -> None:
    """Write the notebook."""
    import nbformat

    nbformat.write(_with_own_ids(notebook), file)


def grade_id(cell: Any) -> str:
    """The name by which nbgrader knows a cell; empty for a cell that it does not know."""
    settings = cell.metadata.get("nbgrader", {})
    return str(settings.get("grade_id", "")) if isinstance(settings, dict) else ""


def is_test(cell: Any) -> bool:
    """Whether the cell is code of the course that gives points."""
    settings = cell.metadata.get("nbgrader", {})
    return bool(cell.cell_type == "code" and grade_id(cell) and settings.grade and not settings.solution)


def resembles(submission: Notebook, released: Notebook) -> bool:
    """Whether at least half of the released cells are in the submission."""
    known = set(_known(released))
    return 2 * len(known & {grade_id(c) for c in submission.cells}) >= len(known) > 0


def problems(submission: Notebook, released: Notebook) -> list[str]:
    """What would go wrong when this is graded: one plain sentence each, in the order of the released notebook."""
    found = [MOVED] if moved(submission, released) else []
    count = Counter(map(grade_id, submission.cells))
    last = {grade_id(cell): cell for cell in submission.cells}
    for name, original in _known(released).items():
        if name not in last:
            found.append(_missing(name, original))
            continue
        if count[name] > 1:
            found.append(f"the cell {name} is there {count[name]} times and only the last is graded: keep one")
        found += _problems_of(name, last[name], original)
    return found + [s for c in submission.cells if grade_id(c) not in _known(released) for s in _syntax(c)]


def restored(submission: Notebook, released: Notebook) -> Notebook:
    """The submission with the course's own cells as they were released, in their order; answers and added cells stay.

    Of a doubled cell the last counts. A deleted test is put back before the next cell that is known. A cell that was
    added follows the one that it followed.
    """
    known = _known(released)
    seen: set[str] = set()
    for cell in reversed(submission.cells):
        name = grade_id(cell)
        cell.metadata.pop("nbgrader", None)
        if name in known and name not in seen:
            seen.add(name)
            _make_official(cell, known[name])
    submission.cells = _in_order(submission.cells, list(known))
    following: str | None = None
    for name, original in reversed(known.items()):
        if name not in seen and not _is_answer_only(original):
            place = [grade_id(c) for c in submission.cells].index(following) if following else None
            submission.cells.insert(len(submission.cells) if place is None else place, copy.deepcopy(original))
            seen.add(name)
        following = name if name in seen else following
    return submission


def moved(submission: Notebook, released: Notebook) -> bool:
    """Whether the cells that are the course's stand in another order than they were released in."""
    known = list(_known(released))
    last = {name: place for place, cell in enumerate(submission.cells) if (name := grade_id(cell)) in known}
    order = sorted(last, key=lambda name: last[name])
    return order != sorted(order, key=known.index)


def _in_order(cells: list[Any], order: list[str]) -> list[Any]:
    """The cells, those with a name in this order, each with those without one that follow it."""
    groups: list[list[Any]] = [[]]
    for cell in cells:
        if grade_id(cell):
            groups.append([])
        groups[-1].append(cell)
    begin, *named = groups
    return [*begin, *(cell for group in sorted(named, key=lambda g: order.index(grade_id(g[0]))) for cell in group)]


def unanswered(submission: Notebook, released: Notebook) -> set[str]:
    """The names of the answer cells that say what they said when they were released, or are gone."""
    last = {grade_id(cell): cell.source.strip() for cell in submission.cells}
    answers = {name: cell for name, cell in _known(released).items() if cell.metadata.nbgrader.solution}
    return {name for name, cell in answers.items() if last.get(name, "") in ("", cell.source.strip())}


def _with_own_ids(notebook: Notebook) -> Notebook:
    """The notebook with an id of its own for each cell: a doubled cell, or one put back, may have that of another."""
    from nbformat.validator import normalize
    from nbformat.warnings import DuplicateCellId, MissingIDFieldWarning

    with warnings.catch_warnings():
        for known in (DuplicateCellId, MissingIDFieldWarning):
            warnings.simplefilter("ignore", known)
        return normalize(notebook)[1]


def _known(released: Notebook) -> dict[str, Any]:
    return {grade_id(cell): cell for cell in released.cells if grade_id(cell)}


def _is_answer_only(cell: Any) -> bool:
    """Whether the cell is an answer that other cells test: if it is gone, there is nothing to put back."""
    return bool(cell.metadata.nbgrader.solution and not cell.metadata.nbgrader.grade)


def _make_official(cell: Any, original: Any) -> None:
    cell.metadata["nbgrader"] = copy.deepcopy(original.metadata.nbgrader)
    if not original.metadata.nbgrader.solution:
        cell.source = original.source
    if cell.cell_type != original.cell_type:
        source = cell.source
        cell.clear()
        cell.update(copy.deepcopy(original), source=source)


def _missing(name: str, original: Any) -> str:
    if _is_answer_only(original):
        return f"the answer cell {name} is gone: copy it from a fresh download, and put your answer in it"
    return f"the cell {name} is gone and will be put back for grading: take a fresh download to see what it says"


def _problems_of(name: str, cell: Any, original: Any) -> list[str]:
    """What is wrong with one cell that is there."""
    if not original.metadata.nbgrader.solution:
        changed = cell.source.rstrip() != original.source.rstrip()
        return [f"the cell {name} was edited, but the released one is graded: put code in cells of your own"] * changed
    if cell.cell_type != original.cell_type:
        return [f"the cell {name} must be a {original.cell_type} cell and is a {cell.cell_type} cell: change it back"]
    if cell.source.strip() == original.source.strip() or (cell.cell_type == "code" and UNANSWERED.search(cell.source)):
        return [f"the cell {name} has no answer yet"]
    return _syntax(cell)


def without_magics(source: str) -> str:
    """A code cell's text with `pass` in place of IPython's magics, shell lines and questions."""
    return re.sub(r"^(\s*)[%!].*|^(.*\S)\?+\s*$", r"\1pass", source, flags=re.MULTILINE)


def _syntax(cell: Any) -> list[str]:
    """A sentence where Python cannot read the cell; IPython's magics and shell lines are left out."""
    if cell.cell_type != "code" or cell.source.lstrip().startswith("%%"):
        return []
    try:
        ast.parse(without_magics(cell.source))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
        begin = cell.source.strip().splitlines()[0][:40]
        return [f"the cell {grade_id(cell) or repr(begin)} is not Python ({where}): mend it, and run it again"]
    return []
