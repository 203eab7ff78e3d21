"""A homework's tests under many keys: no verdict may hang on what a test draws.

A course's secret key seeds what tests draw. The model solution and the answers of `right/` must pass every test under
every key. An answer of `wrong/` must fail the questions that it names (`loses:`) under every key, hear its words
(`says:`) in one of them, and pass all other tests.

All is tried in one process without a sandbox, for it is the author's own. Locked cells run once, but for those that an
answer can change. Of the answers runs what a test needs, and a test runs once for all that do not differ in that.
Answers draw from other generators than tests do, as while grading. A test that draws nothing is run under one key; one
where only functions of locked cells draw, as those do that build a network to load its parameters, under a few.
"""

import ast
import contextlib
import functools
import hashlib
import json
import linecache
import numbers
import os
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tml_helpers.grading import draws, key, names, notebook, withhold
from tml_helpers.grading.answers import Answer, beside, is_answer, parts
from tml_helpers.grading.course import Course
from tml_helpers.grading.examiner import NoIPython

HERE = "homework"  # the module of what is defined in a homework's cells
FEW = 3  # keys for a test that draws through locked functions alone
MOST = 5  # keys that a release tries
SERVE = "from tml_helpers.grading import luck; luck.serve()"
ENVIRONMENT = {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
Messages = list[str | None]
"""What a test said under each key; None where it passed."""


@dataclass(frozen=True)
class Statement:
    """Code of a cell, the names that it defines or changes, and those that it reads."""

    text: str
    defines: frozenset[str]
    reads: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "Statement":
        return cls(text, frozenset(names.defined(text) | names.changed(text)), frozenset(names.used(text).now))


@dataclass(frozen=True)
class Question:
    """A test's code, its points, how many of the homework's statements stand before it, and what is withheld there."""

    text: str
    points: float
    before: int
    withheld: tuple[str, ...] = ()


@dataclass
class Homework:
    """The code of a source: locked cells, what depends on answers in its order, the tests, and the names asked for."""

    locked: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    tests: dict[str, Question] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, source: Path) -> "Homework":
        cells = [cell for cell in notebook.read(source).cells if cell.cell_type == "code"]
        withheld, gives = withhold.read(source)
        found = cls(asked={name for cell in cells if is_answer(cell) for name in parts(names.python(cell.source))})
        theirs = set(found.asked)
        for cell in cells:
            name, code = notebook.grade_id(cell), names.python(cell.source)
            withheld = [module for module in withheld if module not in gives.get(name, [])]
            if not name:
                found.locked.append(names.definitions(code))
            elif is_answer(cell):
                found.given += [ast.get_source_segment(code, node) or "" for node in ast.parse(code).body]
            elif cell.metadata.nbgrader.grade:
                points = float(cell.metadata.nbgrader.points)
                found.tests[name] = Question(code, points, len(found.given), tuple(withheld))
            elif (part := Statement.of(code)) and (part.defines | part.reads) & theirs:
                found.given.append(code)
                theirs |= part.defines
            else:
                found.locked.append(code)
        return found

    def with_answer(self, answer: Answer | None) -> list[Statement]:
        """The statements that depend on answers, with this answer's instead of the model solution's."""
        instead = answer.parts if answer else {}
        named = [(next(iter(parts(text)), ""), text) for text in self.given]
        return [Statement.of(instead.get(name, text)) for name, text in named]


def needed(test: Question, given: Sequence[Statement]) -> tuple[Statement, ...]:
    """The statements before a test that define what it reads, and what these read, in their order."""
    given = given[: test.before]
    wanted, found = set(names.used(test.text).now), set[Statement]()
    while new := {part for part in given if part.defines & wanted} - found:
        found |= new
        wanted |= {name for part in new for name in part.reads}
    return tuple(part for part in given if part in found)


class Drawn:
    """Whether a test drew: by itself, and through functions of locked cells."""

    def __init__(self) -> None:
        self.itself = self.through_locked = False
        self.seen = _fingerprint()

    def look(self, *, locked: bool = False) -> None:
        """Note what was drawn since the last look."""
        now = _fingerprint()
        self.through_locked |= locked and now != self.seen
        self.itself |= not locked and now != self.seen
        self.seen = now


def _fingerprint() -> tuple[Any, ...]:
    pythons, numpys, torchs = draws.state()
    return pythons, numpys and (numpys[1].tobytes(), *numpys[2:]), None if torchs is None else torchs.numpy().tobytes()


class Answered:
    """What an answer and the locked cells define."""

    def __init__(
        self, locked: dict[str, Any], imports: str, given: Sequence[Statement], withheld: Sequence[str], asked: set[str]
    ) -> None:
        self.namespace = dict(locked)
        self.asked, self.withheld = asked, withheld
        for node in ast.parse(imports).body:  # one that is withheld there fails alone
            with contextlib.suppress(ImportError), withhold.absent(self.withheld):
                exec(ast.unparse(node), self.namespace)
        for number, part in enumerate(given):
            file = f"<answer {number}>"
            linecache.cache[file] = len(part.text), None, part.text.splitlines(keepends=True), file
            exec(compile(part.text, file, "exec"), self.namespace)
        self.generators = draws.state()

    def for_a_test(self, drawn: Drawn) -> dict[str, Any]:
        """What a test sees."""
        return {name: self._watched(name, value, drawn) for name, value in self.namespace.items()}

    def _watched(self, name: str, value: Any, drawn: Drawn) -> Any:
        if not isinstance(value, types.FunctionType) or value.__module__ != HERE:
            return value
        return self._apart(value) if name in self.asked else _locked(value, drawn)

    def _apart(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*arguments: Any, **keywords: Any) -> Any:
            of_the_test = draws.state()
            draws.restore(self.generators)
            try:
                with withhold.absent(self.withheld):
                    return function(*arguments, **keywords)
            finally:
                self.generators = draws.state()
                draws.restore(of_the_test)

        return called


def _locked(function: Callable[..., Any], drawn: Drawn) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*arguments: Any, **keywords: Any) -> Any:
        drawn.look()
        try:
            return function(*arguments, **keywords)
        finally:
            drawn.look(locked=True)

    return called


class Trial:
    """The tests of a homework under these keys. It keeps what a test said of the statements that it needs."""

    def __init__(self, homework: Homework, keys: Sequence[str]) -> None:
        self.homework, self.keys = homework, keys
        self.locked: dict[str, Any] = {"__name__": HERE, "get_ipython": NoIPython}
        for text in homework.locked:
            exec(compile(text, "<locked>", "exec"), self.locked)
        self.generators = draws.state()
        self.known: dict[tuple[str, str, tuple[Statement, ...]], Messages] = {}
        self.last: tuple[Any, Answered] | None = None

    def of(self, answer: Answer | None) -> dict[str, Messages]:
        """What each test said of an answer; None stands for the model solution."""
        given, said = self.homework.with_answer(answer), dict[str, Messages]()
        theirs = set(answer.parts.values()) if answer else set()
        for question, test in self.homework.tests.items():
            wanted = needed(test, given)
            imports = answer.imports if answer and any(part.text in theirs for part in wanted) else ""
            if (question, imports, wanted) not in self.known:
                answered = self._answered(imports, wanted, test.withheld)
                self.known[question, imports, wanted] = self._messages(question, test, answered)
            said[question] = self.known[question, imports, wanted]
        return said

    def _answered(self, imports: str, wanted: tuple[Statement, ...], withheld: tuple[str, ...]) -> Answered:
        """What these statements define: they run once for all tests in a row that need the same."""
        if self.last is None or self.last[0] != (imports, wanted, withheld):
            draws.restore(self.generators)
            made = Answered(self.locked, imports, wanted, withheld, self.homework.asked)
            self.last = (imports, wanted, withheld), made
        return self.last[1]

    def _messages(self, question: str, test: Question, answered: Answered) -> Messages:
        said: Messages = []
        drawn = None
        for number, each in enumerate(self.keys):
            with draws.of_test(each, question):
                watch = Drawn()
                said.append(_message(test, answered.for_a_test(watch)))
                watch.look()
            drawn = drawn or watch
            if not drawn.itself and (not drawn.through_locked or number + 1 == FEW):
                break
        return (said * len(self.keys))[: len(self.keys)]


def _message(test: Question, namespace: dict[str, Any]) -> str | None:
    """What a test says, or None where it gives all of its points."""
    tree = ast.parse(test.text)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else ast.parse("None").body[0]
    assert isinstance(last, ast.Expr)
    try:
        exec(compile(tree, "<test>", "exec"), namespace)
        value = eval(compile(ast.Expression(last.value), "<test>", "eval"), namespace)
    except Exception as error:
        return str(error) or type(error).__name__
    partial = isinstance(value, numbers.Real) and float(value) < test.points
    return f"{value} of {test.points:g} points" if partial else None


def serve() -> None:
    """The process where it runs: source and keys come over standard input, a line of JSON goes out for each answer.

    What the homework's cells print goes nowhere.
    """
    notebook.load_format()
    told = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    source = Path(told["source"])
    trial = Trial(Homework.read(source), told["keys"])
    for number, answer in enumerate([None, *beside(source.parent)]):
        if answer is None or set(answer.parts) <= trial.homework.asked:
            print(json.dumps([number, trial.of(answer)]), file=out, flush=True)


def tried(source: Path, keys: Sequence[str]) -> Iterator[tuple[Answer | None, dict[str, Messages]]]:
    """What the tests of the notebook `source` say of the model solution and each answer beside it that is to it.

    Raises ValueError where the notebook's own cells fail.
    """
    answers = [None, *beside(source.parent)]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        copied = shutil.copytree(source.parent, Path(folder, source.parent.name))  # cells may write files
        with subprocess.Popen(
            [sys.executable, "-c", SERVE], cwd=copied, env=os.environ | ENVIRONMENT, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
        ) as child:  # fmt: skip
            assert child.stdin is not None
            assert child.stdout is not None
            json.dump({"source": str(copied / source.name), "keys": list(keys)}, child.stdin)
            child.stdin.close()
            try:
                for line in child.stdout:
                    number, said = json.loads(line)
                    yield answers[number], said
            except GeneratorExit:  # nobody waits for the rest
                child.kill()
                raise
        if child.returncode:
            log.seek(0)
            last = log.read().strip().splitlines()[-1:]
            raise ValueError(f"{source.name} cannot be tried: {''.join(last) or 'it ended'}")


def told(answer: Answer, said: dict[str, Messages]) -> float:
    """The share of keys under which one of the tests that the answer fails says its words."""
    rounds = list(zip(*(said[question] for question in answer.loses if question in said), strict=True))
    return sum(any(answer.says in (text or "") for text in texts) for texts in rounds) / max(1, len(rounds))


def shares(answer: Answer | None, said: dict[str, Messages]) -> dict[str, tuple[float, float]]:
    """The share of keys under which each test passes, and the one due; of a wrong answer also that it hears why."""
    loses = answer.loses if answer else frozenset()
    found = {q: (heard.count(None) / len(heard), float(q not in loses)) for q, heard in said.items()}
    return found | ({"words": (told(answer, said), 1.0)} if answer and loses else {})


def faults(answer: Answer | None, said: dict[str, Messages]) -> list[str]:
    """The questions where this answer does not come out as is due under every key, and those that are not there."""
    unknown = sorted(answer.loses - set(said)) if answer else []
    return [question for question, (share, due) in shares(answer, said).items() if share != due] + unknown


def choose(course: Course, assignment: str) -> None:
    """See to it that no verdict on the answers beside the source is wrong under the assignment's key, or draw another.

    Does nothing where there are none, where students' work is there, and where the same was tried before.

    Raises ValueError where every key that was tried is wrong.
    """
    folder = course.folder("source", ".", assignment)
    if not beside(folder) or key.used(course, assignment):
        return
    for _ in range(MOST):
        made = _digest(folder, key.of(course, assignment))
        if key.kept(course, f"{assignment}/tried") == made:
            return
        wrong = _wrong(course, assignment, key.of(course, assignment))
        if not wrong:
            key.keep(course, f"{assignment}/tried", made)
            return
        print(f"{assignment} draws with another key: under the one before, {wrong}", flush=True)
        key.draw_another(course, assignment)
    raise ValueError(f"{assignment} has found no key: {wrong}. `tml luck {assignment}` shows all answers")


def _digest(folder: Path, tried_key: str) -> str:
    """Changes with the key, and with anything in the homework's folder."""
    made = hashlib.sha256(tried_key.encode())
    for file in sorted(filter(Path.is_file, folder.rglob("*"))):
        made.update(hashlib.sha256(str(file.relative_to(folder)).encode() + file.read_bytes()).digest())
    return made.hexdigest()


def _wrong(course: Course, assignment: str, tried_key: str) -> str:
    """What comes out wrong under this key, in words; empty if nothing does."""
    for _, answer, said in _all(course, assignment, [tried_key]):
        if found := faults(answer, said):
            who = "the model solution" if answer is None else f"the answer {answer.name}"
            return f"{who} came out wrong in {', '.join(found)}"
    return ""


def _all(
    course: Course, assignment: str, keys: Sequence[str]
) -> Iterator[tuple[str, Answer | None, dict[str, Messages]]]:
    """Every notebook's name, with the model solution and the answers that are to it.

    Raises ValueError for an answer that is to none.
    """
    folder = course.folder("source", ".", assignment)
    left = {answer.name for answer in beside(folder)}
    for name in course.notebooks(assignment):
        for answer, said in tried(folder / f"{name}.ipynb", keys):
            left -= {answer.name} if answer else set()
            yield name, answer, said
    if left:
        raise ValueError(f"{', '.join(sorted(left))}: these answers define what {assignment} does not ask for")


def table(course: Course, assignment: str, keys: int) -> bool:
    """Print, for each answer and question, the share of keys under which it passes; whether all are as is due.

    What is not is marked by `!`.
    """
    good, first = True, "model solution"
    width = max(len(name) for name in [first, *(a.name for a in beside(course.folder("source", ".", assignment)))])
    for name, answer, said in _all(course, assignment, [str(number) for number in range(keys)]):
        head = [*said, "words"]
        if answer is None:
            print(f"{name}: the share of {keys} keys under which an answer passes, and hears its words")
            print(" " * width + "".join(f"{question:>{max(8, len(question) + 2)}}" for question in head))
        found = shares(answer, said)
        cells = {q: f"{share:.3f}" + " !"[share != due] for q, (share, due) in found.items()}
        row = "".join(f"{cells.get(question, ''):>{max(8, len(question) + 2)}}" for question in head)
        print(f"{answer.name if answer else first:<{width}}{row}".rstrip(), flush=True)
        good &= not faults(answer, said)
    return good
