"""What stands before and around the examination of a class: the settings, the canaries, the time, the sandboxes."""

import os
import time
import types
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import nbformat
import pytest
from courses import TEST, cell, named
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.preprocessors import Execute
from traitlets.config import Config

from tml_helpers.grading import assignment, engines, pool
from tml_helpers.grading.pool import Pool, Wrong
from tml_helpers.grading.sandbox import Submission, Task
from tml_helpers.grading.wire import Broken

DAY = 24 * 3600.0
MODEL, BLANK = Submission("model.ipynb", b"m", b""), Submission("blank.ipynb", b"b", b"")
RIGHT = {"status": "ok", "scores": {"a": 1 / 3, "b": 2 / 3, "essay": None}, "remarks": [], "allowed": [["a/x", "y"]]}
NOTHING = {"status": "ok", "scores": {"a": 0.0, "b": 0.0, "essay": None}}


def task(seconds: float = 30.0, due: float = 1.0) -> Task:
    canaries = [("the model solution", MODEL), ("the notebook without answers", BLANK)]
    return Task("{}", [], b"the course's", [], "", seconds, canaries, due)


@pytest.mark.parametrize("limit", [5, 90, None, -1, 0])
@pytest.mark.parametrize("step", ["Execute", "ExecutePreprocessor", "NotebookClient"])
def test_the_time_of_a_cell_is_what_nbgrader_reads(step: str, limit: int | None) -> None:
    """Under its own name and the older ones; for it, None and -1 are no limit."""
    settings = Config({step: {"timeout": limit}})
    theirs = Execute(config=settings).timeout
    assert theirs == limit
    assert assignment._seconds(settings) == (theirs if theirs and theirs > 0 else DAY)


def test_the_nearest_name_of_the_time_counts() -> None:
    settings = Config({"NotebookClient": {"timeout": 3}, "ExecutePreprocessor": {"timeout": 5}})
    assert assignment._seconds(settings) == Execute(config=settings).timeout == 5
    settings.Execute.timeout = 7
    assert assignment._seconds(settings) == Execute(config=settings).timeout == 7
    settings.Execute.timeout = None
    assert assignment._seconds(settings) == DAY
    assert assignment._seconds(Config()) == Execute().timeout == 30


def test_canaries_answer_every_answer_cell_and_change_no_other() -> None:
    def notebook(solution: str) -> Any:
        return new_notebook(
            cells=[
                new_code_cell("plain = 1"),
                named(new_code_cell(solution), "double", solution=True),
                named(new_code_cell(TEST), "double_test", grade=True, points=2),
                named(new_markdown_cell("why"), "why", solution=True, grade=True, points=3),
            ]
        )

    answer = "%time x = 1\nfrom math import pi\ndef double(n): return n"
    made = assignment.canaries(notebook("raise"), {"double": answer, "why": "Because."})
    found = {name: nbformat.reads(submission.content.decode(), as_version=4) for name, submission in made}
    assert list(found) == [
        "the model solution",
        "the notebook without answers",
        "a notebook that skips the tests",
        "a notebook whose answers equal everything",
        "a notebook that takes over what the course's cells made",
        "a notebook that ends its process",
    ]
    answers = [cell(n, "double").source for n in found.values()]
    assert answers[:2] == [answer, "raise"]
    assert "input_transformers" in answers[2]
    assert answers[3].endswith("double = Anything()\npi = Anything()")
    assert answers[4].startswith(assignment.TAKE_OVER)
    assert answers[5] == "import os\nos._exit(0)\n"
    assert {cell(n, "double_test").source for n in found.values()} == {TEST}
    assert [cell(n, "why").source for n in found.values()] == ["Because.", *["why"] * 5]
    assert {n.cells[0].source for n in found.values()} == {"plain = 1"}
    namespace: dict[str, Any] = {}
    exec(assignment.EQUAL_TO_ALL + "x = Anything()", namespace)
    x = namespace["x"]
    equal = [x == 1, x != 1, x < 1, x <= 1, x > 1, x >= 1, 1 in x, abs(x - 1) < 1e-9, bool(x), x.any(2)[3] == 4]
    assert equal == [True] * 10
    shell = {"np": types.ModuleType("np"), "judge": types.SimpleNamespace(right=lambda x: False), "bound": 1}
    shell["np"].testing = types.ModuleType("np.testing")
    shell["np"].testing.assert_allclose = shell["np"].allclose = shell["np"].mean = lambda *_: False
    exec(answers[4], shell)
    np = shell["np"]
    assert [np.testing.assert_allclose(1), np.allclose(1), shell["judge"].right(1), np.mean(1)] == [True] * 3 + [False]
    assert [shell["bound"], shell["double"](3), shell["pi"]()] == [1, None, None]


class Machine:
    """Sandboxes that need no machine. `says`: what each submission comes to; a sandbox starts in 10 seconds."""

    def __init__(self, says: dict[str, Any], seconds: float = 0.0) -> None:
        self.says, self.seconds, self.clock = says, seconds, 0.0
        self.started: list[FakeSandbox] = []
        self.asked: list[tuple[Any, ...]] = []

    def start(self, _: Task) -> "FakeSandbox":
        self.clock += 10
        self.started.append(FakeSandbox(self))
        return self.started[-1]

    def monotonic(self) -> float:
        return self.clock


class FakeSandbox:
    def __init__(self, machine: Machine) -> None:
        self.machine, self.dead, self.closed = machine, False, False

    def examine(self, submission: Submission, seconds: float, allowed: Any) -> Any:
        self.machine.asked.append((submission, seconds, allowed))
        self.machine.clock += self.machine.seconds
        answer = self.machine.says[submission.name]
        if isinstance(answer, Exception):
            self.dead = isinstance(answer, Broken)
            raise answer
        return answer

    def alive(self) -> bool:
        return not self.dead

    def close(self) -> None:
        self.closed = True


Begin = Callable[..., tuple[Pool, Machine]]


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Open a pool on a machine of this kind."""

    def begun(made: Task, says: dict[str, Any], seconds: float = 0.0) -> tuple[Pool, Machine]:
        machine = Machine({"model.ipynb": RIGHT, "blank.ipynb": NOTHING, **says}, seconds)
        monkeypatch.setattr(pool, "Sandbox", machine.start)
        monkeypatch.setattr(time, "monotonic", machine.monotonic)
        return Pool(made), machine

    return begun


@pytest.mark.parametrize(
    ("seconds", "model", "most"), [(30, 0, 60), (30, 1.5, 90), (60, 2, 100), (300, 0, 300), (300, 4, 380)]
)
def test_time_for_a_whole_notebook(begin: Begin, seconds: float, model: float, most: float) -> None:
    """A minute, or a cell's time if that is more, and twenty times what the model solution took."""
    opened, machine = begin(task(seconds), {"bob.ipynb": NOTHING}, model)
    opened.examine(Submission("bob.ipynb", b"", b""))
    assert [round(asked[1], 6) for asked in machine.asked] == [3600, most, most]


def test_canaries_are_examined_with_the_course_s_files_and_what_the_model_solution_may_do(begin: Begin) -> None:
    opened, machine = begin(task(), {})
    assert [(s.name, s.content, s.files, allowed) for s, _, allowed in machine.asked] == [
        ("model.ipynb", b"m", b"the course's", None),
        ("blank.ipynb", b"b", b"the course's", RIGHT["allowed"]),
    ]
    assert opened.allowed == RIGHT["allowed"]


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ({"model.ipynb": {**RIGHT, "status": "timeout", "remarks": ["slow", "late"]}}, r"as timeout \(slow; late\)"),
        ({"model.ipynb": {**RIGHT, "scores": {"a": 0.3}, "messages": {"a": "no"}}}, r"0\.3 of 1 points \(a: no\)"),
        ({"model.ipynb": {**RIGHT, "scores": {"a": 1.001}, "messages": {}}}, "1.001 of 1 points"),
        ({"blank.ipynb": {"status": "ok", "scores": {"a": 0.0, "b": 0.25, "c": None}}}, r"points \(0\.25 for b\)"),
        ({"blank.ipynb": {"status": "failed", "scores": {"a": 1e-9}}}, "without answers would get points"),
    ],
)
def test_a_canary_that_is_not_right(begin: Begin, says: dict[str, Any], words: str) -> None:
    with pytest.raises(Wrong, match=words):
        begin(task(), says)


def test_what_canaries_told_before_is_taken_instead_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine({"bob.ipynb": NOTHING})
    monkeypatch.setattr(pool, "Sandbox", machine.start)
    begun = Pool(task(30.0), pool.Learned([["a/x", "y"]], 7.0))
    begun.examine(Submission("bob.ipynb", b"", b""))
    assert [(given.name, seconds, allowed) for given, seconds, allowed in machine.asked] == [
        ("bob.ipynb", 60 + 20 * 7.0, [["a/x", "y"]])
    ]


def test_sandboxes_end_where_a_canary_is_not_right(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine({"model.ipynb": {**RIGHT, "status": "failed"}})
    monkeypatch.setattr(pool, "Sandbox", machine.start)
    with pytest.raises(Wrong):
        Pool(task())
    assert [sandbox.closed for sandbox in machine.started] == [True]


def test_a_canary_without_points_need_not_run_to_its_end(begin: Begin) -> None:
    begin(task(), {"blank.ipynb": {"status": "failed", "remarks": ["it ended"]}})


def test_a_sandbox_is_used_again_unless_it_ended(begin: Begin) -> None:
    late, ended = TimeoutError(), Broken("gone")
    opened, machine = begin(task(), {"late.ipynb": late, "ended.ipynb": ended, "bob.ipynb": NOTHING})
    found = [opened.examine(Submission(f"{n}.ipynb", b"", b"")) for n in ("late", "ended", "bob", "bob")]
    assert [report["status"] for report in found] == ["timeout", "failed", "ok", "ok"]
    assert found[0]["remarks"] == ["it took longer than 60 seconds in all"]
    assert found[1]["remarks"][0].startswith("the process that reads it and runs its tests ended")
    assert [sandbox.closed for sandbox in machine.started] == [True, False]
    opened.close()
    assert [sandbox.closed for sandbox in machine.started] == [True, True]


def test_another_sandbox_is_started_where_the_work_takes_as_long(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start takes 10 seconds, a submission 2; there are three cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set() if process else {0, 1, 2})  # 0 is this one
    opened, _ = begin(task(), {}, 2.0)
    assert [opened.worth(submissions) for submissions in (1, 4, 5, 9, 10, 1000)] == [1, 1, 2, 2, 3, 3]


def test_each_report_comes_back_under_its_student(monkeypatch: pytest.MonkeyPatch) -> None:
    """By as many at once as were asked for, else as are worth it; every sandbox ends."""
    machine = Machine({name: {"status": name} for name in "abc"})
    monkeypatch.setattr(pool, "Sandbox", machine.start)
    counted: list[int] = []
    threads = engines.ThreadPoolExecutor
    monkeypatch.setattr(engines, "ThreadPoolExecutor", lambda most: counted.append(most) or threads(most))
    monkeypatch.setattr(Pool, "worth", lambda _, submissions: submissions - 1)
    alone = Task("{}", [], b"", [], "", 30.0, [], 0.0)
    submissions = {f"student {name}": Submission(name, b"", b"") for name in "abc"}
    for jobs in (None, 1):
        found = dict(engines.local(alone, submissions, jobs))
        assert found == {f"student {name}": {"status": name} for name in "abc"}
    assert counted == [2, 1]
    told: list[pool.Learned] = []
    before = pool.Learned([["a/x", "y"]], 3.0)
    assert len(dict(engines.local(alone, submissions, 1, learned=before, learn=told.append))) == 3
    assert told == [before]
    assert all(sandbox.closed for sandbox in machine.started)


def test_a_cluster_examines_equal_submissions_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask takes equal calls for one, unless it is told that they are not pure."""
    distributed = pytest.importorskip("distributed")
    ended: list[Any] = []

    class Client:
        loop = None
        scatter = staticmethod(lambda given, broadcast: given)
        run = staticmethod(ended.append)

        def __init__(self) -> None:
            self.futures: dict[Any, Any] = {}

        def submit(self, function: Any, *given: Any, pure: bool = True, retries: int = 0) -> Any:
            made = Future(lambda: {"status": "ok", "of": given, "retries": retries})
            return self.futures.setdefault(given, made) if pure else made

    class Future:
        def __init__(self, result: Any) -> None:
            self.result = result

    monkeypatch.setattr(engines, "_client", lambda address: nullcontext(Client()))
    monkeypatch.setattr(distributed, "as_completed", lambda futures, loop: reversed(futures))
    found = dict(engines.dask(task(), {"ada": MODEL, "bob": MODEL}, "tls://x"))
    assert found.keys() == {"ada", "bob"}
    assert found["ada"] == {"status": "ok", "of": (task(), MODEL), "retries": 3}
    assert ended == [engines._end_pools]


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("10.0.0.1:8786", "in the clear"),
        ("tcp://example.org:8786", "in the clear"),
        ("ucx://10.0.0.1:1", "in the clear"),
        ("tls://10.0.0.1:8786", "needs certificates"),
        ("tls://localhost:8786", "needs certificates"),
    ],
)
def test_a_cluster_that_others_could_listen_to(address: str, refused: str) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(ValueError, match=refused), engines._client(address):
        pass


@pytest.mark.parametrize(("certificate", "authority"), [("c", ""), ("", "a"), ("c", "a")])
def test_a_cluster_with_certificates(certificate: str, authority: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are needed. This machine itself needs none."""
    distributed = pytest.importorskip("distributed")
    asked: list[Any] = []

    class Client:
        def __init__(self, address: str, security: Any, **_: Any) -> None:
            asked.append((address, security is not None))

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *_: None  # noqa: E731
        scheduler_info = lambda self: {"workers": {"one": {}}}  # noqa: E731

    security = type("S", (), {"tls_ca_file": authority, "tls_client_cert": certificate})
    monkeypatch.setattr(distributed, "Client", Client)
    monkeypatch.setattr("distributed.security.Security", security)
    for local in ("127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1"):
        with engines._client(local):
            pass
    assert asked == [("127.0.0.1:1", False), ("tcp://localhost:1", False), ("tcp://[::1]:1", False)]
    if certificate and authority:
        with engines._client("tls://10.0.0.1:1"):
            assert asked[-1] == ("tls://10.0.0.1:1", True)
    else:
        with pytest.raises(ValueError, match="needs certificates"), engines._client("tls://10.0.0.1:1"):
            pass


def test_a_worker_keeps_one_pool_for_one_homework(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which begins with its own canaries, and ends when another homework comes."""
    machine = Machine({"a": {"status": "ok"}})
    monkeypatch.setattr(pool, "Sandbox", machine.start)
    monkeypatch.setattr(engines, "_pools", {})
    homework = [Task(exam, [], b"", [], "", 30.0, [], 0.0) for exam in ("{}", "{}", "[]")]
    for given in homework:
        assert engines._on_worker(given, Submission("a", b"", b"")) == {"status": "ok"}
    assert [sandbox.closed for sandbox in machine.started] == [True, False]
    engines._end_pools()
    assert [sandbox.closed for sandbox in machine.started] == [True, True]
