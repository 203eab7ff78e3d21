"""The trusted process of a submission: it has the tests, runs them, and tells the collector what came out.

Locked cells of the course run here; what students write runs in a process of its own, and is reached by proxies.
"""

import ast
import contextlib
import inspect
import math
import numbers
import os
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import asdict
from typing import Any

from tml_helpers.grading import ask, draws, feedback, names, notebook, withhold
from tml_helpers.grading.exam import Exam, Report, Request
from tml_helpers.grading.messages import Overrun, message
from tml_helpers.grading.proxies import GRACE, REPLACED, Gone, Handle, Peer, Refused
from tml_helpers.grading.sanitize import Room, clean
from tml_helpers.grading.wire import Wire

TIME_IS_UP = "the time for the whole notebook was up"
ROUNDED = 1 + 1e-9  # points may be a sum of thirds
GENERATORS = {("random", "Random"), ("numpy", "Generator"), ("numpy", "RandomState"), ("torch", "Generator")}
MOST_STORED = 2000  # characters of a message to a student


class Examiner:
    """The tests of one notebook, and the names that the course itself defined so far."""

    def __init__(self, exam: Exam) -> None:
        import nbformat

        self.exam = exam
        self.released = nbformat.from_dict(exam.released)
        self.main = types.ModuleType("__main__")
        self.trusted: set[str] = set()
        self.asked: set[str] = set()
        self.tested: set[str] = set()
        self.later: set[str] = set()
        self.position = 0
        self.late = False
        self.until = math.inf
        self.peer: Peer | None = None
        answers = [names.python(source) for source in exam.answers.values()]
        self.modules = {name: module for code in answers for name, module in names.modules(code).items()}
        self.answers = {name for code in answers for name in names.defined(code)}
        self.helpers = {name: module for code in answers for name, module in names.helpers(code).items()}
        sys.modules["__main__"] = self.main
        vars(self.main)["get_ipython"] = NoIPython
        draws.seed(exam.key)

    def prepare(self) -> None:
        """Run the cells with which every submission begins."""
        cells = [n for n, cell in enumerate(self.released.cells) if cell.cell_type == "code"]
        number = len(leading(self.released))
        if number:
            self._advance(cells[number - 1])

    def examine(self, request: Request, connect: Callable[[bool], Wire]) -> Report:
        """Grade a submission's file; `connect` starts its process, in which the leading cells have been run or not."""
        report = Report()
        self.until = time.monotonic() + request.seconds
        try:
            submission = notebook.parse(request.content, request.name)
        except ValueError as reason:
            return Report("rejected", [str(reason)])
        if not notebook.resembles(submission, self.released):
            text = f"{request.name} lacks most cells of {self.exam.notebook}: is it another homework's file?"
            return Report("rejected", [text])
        report.remarks += notebook.problems(submission, self.released)
        report.unanswered = sorted(notebook.unanswered(submission, self.released))
        submission = notebook.restored(submission, self.released)
        code = [cell for cell in submission.cells if cell.cell_type == "code"]
        first = leading(self.released) if request.prepared else []
        same = [(notebook.grade_id(cell), cell.source) for cell in code[: len(first)]]
        begun = len(first) if same == [(notebook.grade_id(cell), cell.source) for cell in first] else 0
        self.peer = Peer(connect(begun > 0), allowed=request.allowed, modules=self.modules)
        self.peer.streams.watch()
        inspect.getsource = ask.source  # type: ignore[assignment]
        for place, cell in enumerate(code):
            if notebook.is_test(cell):
                self._grade(cell, report)
            elif place >= begun:
                self._run(cell, report)
            else:
                cell.outputs = []
        for cell in submission.cells:
            if is_by_hand(cell):
                report.scores[notebook.grade_id(cell)] = 0.0 if notebook.grade_id(cell) in report.unanswered else None
        report.allowed = sorted(self.peer.allowed) if self.peer.learning else []
        self._finish(report, submission)
        return report

    def _run(self, cell: Any, report: Report) -> None:
        """Run a cell of the submission over there; a locked one here, too."""
        assert self.peer is not None
        name = notebook.grade_id(cell)
        cell.outputs = []
        self._begin(name)
        if not self.peer.gone:
            try:
                cell.outputs = self.peer.run(cell.source, withhold.texts(self.exam.gives.get(name, [])))
            except Gone as gone:
                report.remarks.append(
                    f"after the cell {self._called(cell)} your notebook's process answered no more: {gone}"
                )
            report.remarks += [f"in the cell {self._called(cell)}, {text}" for text in withhold.told(cell.outputs)]
            self.peer.late |= any(o.get("ename") == "TookTooLong" for o in cell.outputs if isinstance(o, dict))
            if self.peer.late and not self.peer.gone:
                limit = self.exam.limit
                report.remarks.append(f"the cell {self._called(cell)} was stopped, it took longer than {limit}")
            self._note_delay()
        if is_locked(cell):
            self._advance(self._place(name))

    def _grade(self, cell: Any, report: Report) -> None:
        """Run a test cell, and note its points and what its student should know."""
        assert self.peer is not None
        name, worth = notebook.grade_id(cell), float(cell.metadata.nbgrader.points)
        self._advance(self._place(name))
        gone = self.peer.gone
        with draws.of_test(self.exam.key, name):
            failure, value = self._trusted(name, self.exam.full[name], mirrored=True)
        if failure is None and self.peer.refused:
            failure = Refused(self.peer.refused)
        if failure is None and self.peer.gone:
            failure = Gone(self.peer.gone)
        score = worth if failure is None else 0.0
        if failure is None:
            score, failure = self._points(name, value, worth)
        report.scores[name] = score
        if failure is not None:
            shown = self.exam.full[name] if self.peer.learning else cell.source  # the instructor reads of the model's
            report.messages[name] = message(failure, shown, self.exam, learning=self.peer.learning)[:MOST_STORED]
        if self.peer.gone and not gone:
            report.remarks.append(f"in the test {name} your notebook's process answered no more: {self.peer.gone}")
        elif self.peer.late:
            report.remarks.append(f"your code was stopped in the test {name}, it took longer than {self.exam.limit}")
        self._note_delay()
        text = f"{score:g} of {worth:g} points"
        cell.outputs = []
        if name in report.messages:
            error = {"ename": "Test failed", "evalue": report.messages[name], "traceback": [report.messages[name]]}
            cell.outputs = [{"output_type": "error", **error}]
        elif score < worth:
            cell.outputs = [{"output_type": "stream", "name": "stdout", "text": text}]

    def _points(self, name: str, value: Any, worth: float) -> tuple[float, BaseException | None]:
        """The points of a test that ran to its end, given the value of its last line.

        Where that is a number for the model solution, it is the points; elsewhere it only must not be False.
        """
        assert self.peer is not None
        counts = (f"{name}/", "points")
        if type(value).__module__.partition(".")[0] in ("numpy", "torch") and getattr(value, "size", None) is not None:
            value = value.item() if value.ndim == 0 else value
        number = type(value) is not Handle and isinstance(value, numbers.Real) and not isinstance(value, bool)
        if self.peer.learning and number:
            self.peer.allowed.add(counts)
        if counts in self.peer.allowed:
            good = number and 0 <= value <= worth * ROUNDED
            return (min(float(value), worth), None) if good else (0.0, AssertionError(f"no number from 0 to {worth:g}"))
        if type(value) is Handle or value is False:
            return 0.0, AssertionError("")
        return worth, None

    def _place(self, name: str) -> int:
        return next(n for n, cell in enumerate(self.released.cells) if notebook.grade_id(cell) == name)

    def _advance(self, to: int) -> None:
        """Run here what the course defines up to that cell of the released notebook, tests excepted."""
        while self.position <= to:
            cell = self.released.cells[self.position]
            self.position += 1
            name = notebook.grade_id(cell)
            if cell.cell_type != "code":
                continue
            if not name:
                self._trusted(f"released {self.position}", names.definitions(names.python(cell.source)))
            elif cell.metadata.nbgrader.solution:
                code = names.python(self.exam.answers.get(name, ""))
                touched = {n for n in names.changed(code) if not is_tool(vars(self.main).get(n))}
                answered = names.defined(code) | touched - set(self.modules)
                for answer in answered | self.tested:
                    vars(self.main).pop(answer, None)
                self.trusted -= answered
                self.asked = (self.asked - self.tested) | names.defined(code) & names.BUILTINS
                self.tested = set()
            elif not cell.metadata.nbgrader.grade:
                self._trusted(name, self.exam.full[name])

    def _trusted(self, name: str, source: str, *, mirrored: bool = False) -> tuple[BaseException | None, Any]:
        """Run code of the course; returns what it raised, and the value of its last line if that is an expression.

        mirrored: whether the functions that it gives to names of the answers are those of the submission, too. A locked
        cell runs over there by itself.
        """
        namespace = vars(self.main)
        try:
            tree = ast.parse(names.python(source))
        except SyntaxError as error:
            return error, None
        defined, fetched = names.defined(ast.unparse(tree)), set[str]()
        before = dict(namespace)
        try:
            with self._in_time(), silence():
                fetched = self._fetch(name, names.used(ast.unparse(tree)))
                before = dict(namespace)
                top = Mirror(namespace, self.answers, self.peer) if mirrored and self.peer else namespace
                return None, self._execute(tree, f"<cell {name}>", namespace, top)
        except BaseException as error:
            for name in defined & fetched:  # perhaps still the submission's
                namespace.pop(name, None)
            return error, None
        finally:
            self.trusted |= defined  # and what a star import brought, or a function made global
            self.trusted |= {n for n, value in namespace.items() if n not in before or value is not before[n]}

    def _execute(self, tree: ast.Module, file: str, namespace: dict[str, Any], top: MutableMapping[str, Any]) -> Any:
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, file, "exec"), namespace, top)
        return (
            eval(compile(ast.Expression(last.value), file, "eval"), namespace) if isinstance(last, ast.Expr) else None
        )

    def _fetch(self, name: str, used: names.Used) -> set[str]:
        """Bring over what this code, and the course's functions so far, read and the course has not defined."""
        self.later |= used.later
        if self.peer is None:
            return set()
        self._begin(name)
        namespace = vars(self.main)
        looked_up = self.answers if used.now & names.LOOKS_UP else set()
        wanted = (used.now | self.later | looked_up) - self.trusted - {"get_ipython"}
        wanted = {name for name in wanted if name not in names.BUILTINS} | (self.asked & used.now)
        self.tested |= self.asked & wanted  # theirs until the next answer; Python's own afterwards
        for former in wanted | self.asked:
            namespace.pop(former, None)
        namespace |= {name: undefined(name) for name in self.asked & wanted}  # not Python's own of that name
        theirs = wanted & self.peer.names() if wanted else set()  # of no other name does it hear, as of a test's own
        if theirs:
            found = self.peer.fetch(sorted(theirs))
            namespace |= found | {name: names.imported(self.helpers[name]) for name in found if name in self.helpers}
        return wanted

    @contextlib.contextmanager
    def _in_time(self) -> Iterator[None]:
        """Inside, time is up some seconds after it is for the submission's process: so only if this side is slow."""

        def stop(*_: Any) -> None:
            if self.peer is not None:
                self.peer.late, self.peer.gone = True, self.peer.gone or "a test took too long"
            raise Overrun

        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, self.exam.seconds + 2 * GRACE)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _begin(self, name: str) -> None:
        """Give a cell its time, or what is left of the time for the whole notebook; none is left at the end."""
        assert self.peer is not None
        left = self.until - time.monotonic()
        if left <= 0 and not self.peer.gone:
            self.peer.late = True
            self.peer.end(TIME_IS_UP)
        self.peer.begin(name, min(self.exam.seconds, max(left, 0.1)))

    def _note_delay(self) -> None:
        """Remember that something took too long, and look out for the next."""
        assert self.peer is not None
        self.late, self.peer.late = self.late or self.peer.late, False

    def _called(self, cell: Any) -> str:
        first = (cell.source.strip().splitlines() or [""])[0]
        return notebook.grade_id(cell) or repr(first[:40])

    def _finish(self, report: Report, submission: Any) -> None:
        """Say how it went as a whole, and what may be shown of it."""
        assert self.peer is not None
        report.remarks += [f"what followed was not run: {TIME_IS_UP}"] if self.peer.gone == TIME_IS_UP else []
        if self.late:
            report.status = "timeout"
        elif self.peer.gone:
            report.status = "failed"
        submission.metadata = self.released.metadata
        cleaned = clean(submission, self.released)
        report.notebook = cleaned
        room = Room()
        for cell in cleaned["cells"]:
            name = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
            said = report.messages.get(name, "")
            report.fragments.append({"name": name, "html": feedback.fragment(cell, said, room)})


class NoIPython:
    """What magics and shell lines reach on this side: they do nothing."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *arguments, **keywords: None


class Mirror(MutableMapping[str, Any]):
    """The names of a test cell at its top level. What it deletes or replaces of an answer, it does over there, too.

    So a test can see whether one function calls another. Only functions go over: no value that a test computes, and no
    name of the model solution's that a submission does not use.
    """

    def __init__(self, namespace: dict[str, Any], answers: set[str], peer: Peer) -> None:
        self.namespace, self.answers, self.peer = namespace, answers, peer

    def __getitem__(self, name: str) -> Any:
        return self.namespace[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.namespace)

    def __len__(self) -> int:
        return len(self.namespace)

    def __setitem__(self, name: str, value: Any) -> None:
        if self._theirs(name) and isinstance(value, Handle | types.FunctionType):
            self.peer.operate("bind", name, name, value)
        self.namespace[name] = value

    def __delitem__(self, name: str) -> None:
        del self.namespace[name]
        if self._theirs(name):
            self.peer.operate("unbind", name, name)

    def _theirs(self, name: str) -> bool:
        return name in REPLACED or (name in self.answers and any(name in cell for cell in self.peer.cells))


def serve(link: Wire, connect: Callable[[bool], Wire], *, examiner: Examiner) -> None:
    """Examine the one submission that the collector sends, and answer."""
    asked, buffers = link.receive()
    allowed = None if asked["allowed"] is None else {(place, what) for place, what in asked["allowed"]}
    try:
        report = examiner.examine(
            Request(asked["name"], buffers[0], allowed, asked["prepared"], asked["seconds"]), connect
        )
    except Exception as error:
        report = Report("failed", [f"grading it broke down ({type(error).__name__}: {error})"])
    link.send(asdict(report))


def is_locked(cell: Any) -> bool:
    """Whether the cell is code of the course that gives no points."""
    settings = cell.metadata.get("nbgrader", {})
    return bool(cell.cell_type == "code" and notebook.grade_id(cell) and not settings.solution and not settings.grade)


def is_tool(value: Any) -> bool:
    """Whether this is what tests work with: a module, a function, a class, a generator of random numbers.

    An answer that touches it, as `np.random.seed(0)` does, does not make it the submission's.
    """
    kind = type(value)
    if kind is Handle:
        return False
    draws = (kind.__module__.partition(".")[0], kind.__name__) in GENERATORS
    return draws or isinstance(value, types.ModuleType | types.FunctionType | types.BuiltinFunctionType | type)


def leading(released: notebook.Notebook) -> list[Any]:
    """The cells of code before the first answer and the first test: what no student need change."""
    code = [cell for cell in released.cells if cell.cell_type == "code"]
    first = next((n for n, cell in enumerate(code) if notebook.grade_id(cell) and not is_locked(cell)), len(code))
    return code[:first]


def is_by_hand(cell: Any) -> bool:
    """Whether a human gives this cell's points."""
    settings = cell.metadata.get("nbgrader", {})
    return bool(notebook.grade_id(cell) and (settings.get("task") or (settings.grade and not notebook.is_test(cell))))


def undefined(name: str) -> Callable[..., Any]:
    """What stands for a function that a submission should define and does not."""

    def function(*_: Any, **__: Any) -> Any:
        raise NameError(f"name {name!r} is not defined")

    return function


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """What a test prints could tell its inputs."""
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield
