"""Try the tests of a homework under many keys: no verdict may hang on what a test draws.

    python tools/luck.py HOMEWORK [--keys N]        default: 200 keys

A course's secret key seeds what hidden tests draw. The model solution and the answers of `right/` must pass every test
under every key. An answer of `wrong/` must fail the questions that it names (`loses:`) under every key, hear its words
(`says:`) in one of them under every key, and pass all other tests. What is not as due is marked, and the exit status 1.

It all runs in this process, without a sandbox. What is locked runs once. Of the answers runs what a test needs, and a
test runs once for all answers that do not differ in that. The key is set anew before each test, and a test that draws
nothing is run under one. What a function draws that the test calls does not count (a locked one that builds a network
draws parameters, to replace them): a test must draw its inputs itself.
"""

import argparse
import ast
import contextlib
import functools
import linecache
import os
import random
import sys
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import numpy as np
import torch

from tml_helpers._console import on_any_console
from tml_helpers.grading.draws import seed

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests/homework"))
from answers import Answer, is_answer, is_test, name_of  # noqa: E402

HERE = "homework"  # the module of what is defined in a homework's cells
Messages = list[str | None]
"""What a test said under each key; None where it passed."""


@dataclass(frozen=True)
class Statement:
    """One statement of an answer's cell, the names that it defines, and those that it reads."""

    text: str
    defines: frozenset[str]
    reads: frozenset[str]


@dataclass(frozen=True)
class Homework:
    """The code of a homework's source: what is locked, the answers' cells, and the tests by question."""

    locked: list[str]
    answers: list[str]
    tests: dict[str, str]

    @classmethod
    def read(cls, source: Path) -> "Homework":
        cells = [cell for cell in jupytext.read(source).cells if cell.cell_type == "code" and name_of(cell)]
        given = [cell.source for cell in cells if not is_answer(cell) and not is_test(cell)]
        answered = [cell.source for cell in cells if is_answer(cell)]
        return cls(given, answered, {name_of(cell): cell.source for cell in cells if is_test(cell)})

    def with_answer(self, answer: Answer | None) -> list[Statement]:
        """The statements of the answers' cells, with this answer's functions instead of the model solution's."""
        instead = answer.functions if answer else {}
        parts = [part for text in self.answers for part in statements(text)]
        return [statement(instead.get(name, text)) for name, text in parts]


def statements(text: str) -> list[tuple[str, str]]:
    """Each statement at the top of a cell, with its name if it is a function."""
    return [(getattr(node, "name", ""), ast.get_source_segment(text, node) or "") for node in ast.parse(text).body]


def statement(text: str) -> Statement:
    (node,) = ast.parse(text).body
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        defines = {node.name}
    elif isinstance(node, ast.Import | ast.ImportFrom):
        defines = {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    else:
        defines = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return Statement(text, frozenset(defines), frozenset(read(text)))


def read(code: str) -> set[str]:
    """The names that code reads and does not set itself."""
    nodes = list(ast.walk(ast.parse(code)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - own


def needed(test: str, given: Iterable[Statement]) -> tuple[Statement, ...]:
    """The statements that define what a test reads, and what these read, in their order."""
    wanted, found = read(test), set[Statement]()
    while new := {part for part in given if part.defines & wanted} - found:
        found |= new
        wanted |= {name for part in new for name in part.reads}
    return tuple(part for part in given if part in found)


def generators() -> tuple[Any, ...]:
    """The state of all that a test may draw from without a seed of its own."""
    return random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()


def set_generators(state: tuple[Any, ...]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])


def drew(since: tuple[Any, ...]) -> bool:
    """Whether anything was drawn since the generators were in this state."""
    pythons, numpys, torchs = generators()
    same = pythons == since[0] and numpys["state"]["pos"] == since[1]["state"]["pos"] and torch.equal(torchs, since[2])
    return not (same and np.array_equal(numpys["state"]["key"], since[1]["state"]["key"]))


class Answered:
    """What an answer and the locked cells define. Their functions draw from other generators than the test does."""

    def __init__(self, locked: dict[str, Any], imports: str, parts: Iterable[Statement]) -> None:
        self.namespace = dict(locked)
        exec(imports, self.namespace)
        for number, part in enumerate(parts):
            file = f"<answer {number}>"
            linecache.cache[file] = len(part.text), None, part.text.splitlines(keepends=True), file
            exec(compile(part.text, file, "exec"), self.namespace)
        self.generators = generators()

    def for_a_test(self) -> dict[str, Any]:
        """What a test sees."""
        return {
            name: self.apart(it) if isinstance(it, types.FunctionType) and it.__module__ == HERE else it
            for name, it in self.namespace.items()
        }

    def apart(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*arguments: Any, **keywords: Any) -> Any:
            of_the_test = generators()
            set_generators(self.generators)
            try:
                return function(*arguments, **keywords)
            finally:
                self.generators = generators()
                set_generators(of_the_test)

        return called


def messages(test: str, answered: Answered, keys: int) -> Messages:
    """What a test says under each key; it is run under one where it draws nothing."""
    code = compile(test, "<test>", "exec")
    said: Messages = []
    for key in range(keys):
        seed(str(key))
        start = generators()
        said.append(message(code, answered))
        if key == 0 and not drew(start):
            return said * keys
    return said


def message(code: types.CodeType, answered: Answered) -> str | None:
    """What a test says, or None where it passes."""
    try:
        exec(code, answered.for_a_test())
    except Exception as error:
        return str(error) or type(error).__name__
    return None


def prepared(homework: Homework) -> dict[str, Any]:
    """What the locked cells define."""
    namespace: dict[str, Any] = {"__name__": HERE}
    for text in homework.locked:
        exec(compile(text, "<locked>", "exec"), namespace)
    return namespace


class Trial:
    """The tests of a homework under many keys. It keeps what a test said of the statements that it needs."""

    def __init__(self, homework: Homework, keys: int) -> None:
        self.homework, self.keys = homework, keys
        self.locked = prepared(homework)
        self.generators = generators()
        self.known: dict[tuple[str, tuple[Statement, ...]], Messages] = {}

    def of(self, answer: Answer | None) -> dict[str, Messages]:
        """What each test said of an answer; None stands for the model solution."""
        given = self.homework.with_answer(answer)
        for question, test in self.homework.tests.items():
            parts = needed(test, given)
            if (question, parts) not in self.known:
                set_generators(self.generators)
                answered = Answered(self.locked, answer.imports if answer else "", parts)
                self.known[question, parts] = messages(test, answered, self.keys)
        return {q: self.known[q, needed(test, given)] for q, test in self.homework.tests.items()}


def shares(said: dict[str, Messages]) -> dict[str, float]:
    """Of each question, the share of keys under which its test passes."""
    return {question: heard.count(None) / len(heard) for question, heard in said.items()}


def told(answer: Answer, said: dict[str, Messages]) -> float:
    """The share of keys under which one of the tests that the answer fails says its words."""
    rounds = list(zip(*(said[question] for question in answer.loses), strict=True))
    return sum(any(answer.says in (text or "") for text in texts) for texts in rounds) / len(rounds)


def row(answer: Answer | None, said: dict[str, Messages]) -> tuple[list[str], bool]:
    """An answer's line of the table, what is not as due marked by `!`; and whether all is as due."""
    pairs = [(share, float(answer is None or question not in answer.loses)) for question, share in shares(said).items()]
    if answer and answer.loses:
        pairs.append((told(answer, said), 1.0))
    cells = [f"{share:.3f}" + " !"[share != due] for share, due in pairs]
    return [answer.name if answer else "model solution", *cells], all(share == due for share, due in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("homework", help="a folder of solutions/")
    parser.add_argument("--keys", type=int, default=200, help="how many (default 200)")
    arguments = parser.parse_args()
    folder = ROOT / "solutions" / arguments.homework
    answers = [Answer.read(file) for kind in ("right", "wrong") for file in sorted((folder / kind).glob("*.py"))]
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        trial = Trial(Homework.read(folder / f"{folder.name}.py"), arguments.keys)
    print(f"{folder.name}: the share of {arguments.keys} keys under which an answer passes, and hears its words")
    head = ["", *trial.homework.tests, "words"]
    widths = [max(len(answer.name) for answer in answers), *(len(name) + 2 for name in head[1:])]
    print("".join(map(str.rjust, head, widths)))
    good = True
    for answer in [None, *answers]:
        cells, as_due = row(answer, trial.of(answer))
        print(cells[0].ljust(widths[0]) + "".join(map(str.rjust, cells[1:], widths[1:])), flush=True)
        good &= as_due
    return 0 if good else 1


if __name__ == "__main__":
    on_any_console()
    sys.exit(main())
