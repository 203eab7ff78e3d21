"""Run a lecture's source, and note for each comparison in a claim how far it is from being false.

    python tools/margins.py LECTURE.py OUTPUT.json

`claim("…", accuracy < 0.2)` has the margin 0.2 − accuracy: positive where the claim holds. In `all(a < b for …)`, in a
loop, and for an array, the least counts; `allclose` has the least of what its tolerance leaves. Of a comparison inside
another, as in `(a < b).mean() > 0.9`, the outer one counts. A false claim does not end the run. What compares no
numbers has no margin.
"""

import ast
import json
import operator
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tml_helpers._console import on_any_console

SIGN = {"Lt": 1, "LtE": 1, "Gt": -1, "GtE": -1}
TRUTH: dict[str, Callable[[Any, Any], Any]] = {
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
}


class Marked(ast.NodeTransformer):
    """Hands each claim's comparisons to the recorder, with the claim's line and their own text."""

    def __init__(self) -> None:
        self.line: int | None = None

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if ast.unparse(node.func) == "claim" and len(node.args) == 2:
            self.line = node.lineno
            self.generic_visit(node)
            self.line = None
            return self.recorded("claim", [ast.Constant(node.lineno)], node, node.args)
        text = ast.unparse(node)
        self.generic_visit(node)
        if self.line is not None and text.startswith(("torch.allclose(", "np.allclose(")):
            return self.recorded("allclose", [ast.Constant(self.line), ast.Constant(text)], node, node.args)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        text, names = ast.unparse(node), [type(one).__name__ for one in node.ops]
        if self.line is None or not set(names) <= set(SIGN):
            self.generic_visit(node)
            return node
        line, self.line = self.line, None  # what is compared inside, as to count it, decides nothing by itself
        self.generic_visit(node)
        self.line = line
        facts: list[ast.expr] = [ast.Constant(self.line), ast.Constant(text), ast.Constant(" ".join(names))]
        return self.recorded("compare", facts, node, [node.left, *node.comparators])

    @staticmethod
    def recorded(method: str, facts: list[ast.expr], node: ast.expr, values: list[ast.expr]) -> ast.Call:
        function = ast.Attribute(ast.Name("__recorder__", ast.Load()), method, ast.Load())
        return ast.copy_location(ast.Call(function, [*facts, *values], getattr(node, "keywords", [])), node)


class Recorder:
    """What a run found: each claim by its line, and the least margin of each comparison."""

    def __init__(self) -> None:
        self.claims: dict[int, dict[str, Any]] = {}
        self.margins: dict[str, float] = {}

    def claim(self, line: int, sentence: str, holds: bool) -> None:
        known = self.claims.setdefault(line, {"sentence": sentence, "holds": True})
        known["holds"] = known["holds"] and bool(holds)

    def compare(self, line: int, text: str, names: str, *values: Any) -> Any:
        truth: Any = True
        for name, left, right in zip(names.split(), values, values[1:], strict=False):
            held = TRUTH[name](left, right)
            truth = held if truth is True else truth and held
            self.note(line, text, left, right, lambda a, b, sign=SIGN[name]: sign * (b - a))
        return truth

    def allclose(self, line: int, text: str, a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
        self.note(line, text, a, b, lambda a, b: atol + rtol * abs(b) - abs(a - b))
        return torch.allclose(a, b, rtol, atol) if isinstance(a, torch.Tensor) else np.allclose(a, b, rtol, atol)

    def note(self, line: int, text: str, left: Any, right: Any, margin: Callable[..., Any]) -> None:
        try:
            least = float(np.min(margin(number(left), number(right))))
        except (TypeError, ValueError):  # not numbers: shapes, words, an empty array
            return
        key = f"{line}: {text}"
        self.margins[key] = min(least, self.margins.get(key, np.inf))


def number(value: Any) -> Any:
    """A number, or an array of them, in float64."""
    return np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value, dtype=np.float64)


def run(lecture: Path) -> Recorder:
    """Execute the lecture in its folder, as a script."""
    recorder = Recorder()
    tree = ast.fix_missing_locations(Marked().visit(ast.parse(lecture.read_text(encoding="utf-8"))))
    os.chdir(lecture.parent)
    sys.path.insert(0, "")
    exec(compile(tree, lecture.name, "exec"), {"__name__": "__main__", "__recorder__": recorder})
    return recorder


def main() -> None:
    lecture, output = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    found = run(lecture)
    output.write_text(json.dumps({"claims": found.claims, "margins": found.margins}), encoding="utf-8")


if __name__ == "__main__":
    on_any_console()
    main()
