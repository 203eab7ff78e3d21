"""What a student is told of a test that failed: its author's words, or Python's about the student's own code."""

import ast
import traceback
from pathlib import Path

from tml_helpers.grading import names
from tml_helpers.grading.exam import Exam
from tml_helpers.grading.proxies import Gone, Refused

HERE = str(Path(__file__).parent)


class Overrun(BaseException):
    """A test ran over its time on this side."""


def message(failure: BaseException, visible: str, exam: Exam, *, learning: bool) -> str:
    """The words for this failure of a test whose cell shows the text `visible`; `learning`: of the model solution."""
    if isinstance(failure, Overrun):
        return f"this took longer than {exam.limit}"
    if isinstance(failure, Gone):
        return f"your notebook's process answered no more: {failure}"
    if isinstance(failure, Refused):
        return str(failure)
    if isinstance(failure, SyntaxError):
        return "this test is not Python: please tell your instructor"
    theirs = getattr(failure, "said_by_submission", None)
    if theirs is not None:
        return f"your code raised {theirs}"
    frames = [f for f in traceback.extract_tb(failure.__traceback__) if f.filename.startswith("<cell ")]
    last = traceback.extract_tb(failure.__traceback__)[-1:]
    inside = last == frames[-1:]
    ours = inside or any(frame.filename.startswith(HERE) for frame in last)
    safe = (NameError, TypeError, AttributeError) if ours else NameError  # a library's words may hold what it compares
    statement = _statement(frames, exam)
    seen = bool(statement) and _squeezed(statement) in _squeezed(visible)
    open_test = _squeezed(visible) in [_squeezed(full) for full in exam.full.values()]
    kind = "" if isinstance(failure, AssertionError) else f"{type(failure).__name__}: "
    if (inside and kind == "") or (seen and open_test) or isinstance(failure, safe):
        words = str(failure).strip()
        if words:
            place = f", in `{statement}`" if learning and kind else ""
            return kind + words + place
    return f"this failed: {statement}" if seen else "a hidden test failed" + (f" ({kind[:-2]})" if kind else "")


def _statement(frames: list[traceback.FrameSummary], exam: Exam) -> str:
    """The innermost statement of a cell of the course that was running."""
    for frame in reversed(frames):
        source = names.python(exam.full.get(frame.filename[6:-1], ""))
        statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
        around = [s for s in statements if s.lineno <= (frame.lineno or 0) <= (s.end_lineno or 0)]
        if around:
            inner = min(around, key=lambda s: (s.end_lineno or 0) - s.lineno)
            return ast.get_source_segment(source, inner) or ""
    return ""


def _squeezed(text: str) -> str:
    return "".join(text.split())
