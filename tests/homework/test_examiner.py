"""Test cells as nbgrader has them, run against right and wrong answers that are in another process."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from courses import SETTINGS, cell, errors, named, read, rows, submit
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tml_helpers import grading


@dataclass(frozen=True)
class Task:
    """A task of one point. test: what stands below a line `---` is hidden.

    right, wrong: answers, the wrong ones with words of what their author is told. plain, locked, after: cells before
    the task, and a locked one after it. edited: what the wrong answers' authors make of the plain one.
    """

    name: str
    solution: str
    test: str
    right: tuple[str, ...] = ()
    wrong: dict[str, str] = field(default_factory=dict)
    plain: str = ""
    locked: str = ""
    after: str = ""
    edited: str = ""


HELPER = """\
import numpy as np
TOLERANCE = 1e-9
def close(a, b):
    return bool(abs(a - b) < TOLERANCE)
"""
TASKS = [
    Task(
        "function",
        "def half(x):\n    return x / 2",
        'assert close(half(3.0), 1.5), "divide by two"\n---\nassert close(half(5.0), 2.5), "did you round?"',
        right=("half = lambda x: 0.5 * x", "from operator import truediv\ndef half(x): return truediv(x, 2)"),
        wrong={
            "def half(x): return x // 2": "divide by two",
            "def half(x): return {3.0: 1.5}.get(x, 0.0)": "did you round?",
            "def half(x): return None": "TypeError",
            "def half(x): raise KeyError('no')": "your code raised KeyError: 'no'",
            "half = 3": "TypeError: 'int' object is not callable",
            "pass": "NameError: name 'half' is not defined",
            "close = lambda a, b: True\nTOLERANCE = 1e9\nhalf = lambda x: 0.0": "divide by two",
            "def half(x):\n    while True: pass": "your code was stopped",
            "def half(x): raise SystemExit": "ended with SystemExit",
        },
    ),
    Task(
        "array",
        "grid = np.arange(6.0).reshape(2, 3)",
        "assert grid.shape == (2, 3)\nassert isinstance(grid, np.ndarray)\n---\n"
        "assert grid.sum() == 15 and grid[1, 0] == 3",
        right=("grid = np.array([[0.0, 1, 2], [3, 4, 5]])",),
        wrong={
            "grid = np.zeros((2, 3))": "a hidden test failed",
            "grid = np.zeros((3, 2))": "this failed: assert grid.shape == (2, 3)",
            "class A(np.ndarray):\n    sum = lambda self: 15\n"
            "grid = np.full((2, 3), 3.0).view(A)": "plain value is expected",
        },
    ),
    Task(
        "builtin_name",
        "def sum(values):\n    total = 0\n    for v in values: total += v\n    return total",
        "assert sum([1, 2]) == 3\n---\nassert sum([]) == 0 and sum(range(5)) == 10",
        wrong={"def sum(values): return 3": "a hidden test failed", "pass": "NameError"},
    ),
    Task(
        "no_builtin",
        "def biggest(values):\n    return max(values)",
        "---\nassert biggest([1, 5, 2]) == 5 and len(str(abs(-12))) == 2",
        wrong={
            "import builtins\nmax = lambda v: 5\nlen = lambda x: 2\n"
            "builtins.abs = print\nbiggest = lambda v: 0": "your code raised"
        },
    ),
    Task(
        "class",
        "class Stack:\n    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x)\n"
        "    def pop(self): return self.items.pop()\n    def __len__(self): return len(self.items)",
        "s = Stack()\ns.push(1)\ns.push([2])\nassert len(s) == 2\nassert s.pop() == [2], 'last in, first out'\n---\n"
        "assert s.items == [1] and isinstance(s, Stack)",
        right=(
            "from collections import deque\nclass Stack(deque):\n    push = deque.append\n"
            "    items = property(lambda self: list(self))",
        ),
        wrong={
            "class Stack(list):\n    push = list.append\n    pop = lambda self: list.pop(self, 0)\n"
            "    items = property(list)": "last in",
            "class Stack:\n    def __getattr__(self, name): return lambda *a: [2]\n"
            "    __len__ = lambda self: 2": "plain value is expected",
        },
    ),
    Task(
        "exception",
        "class TooFew(Exception): pass\n"
        "def mean(v):\n    if not v: raise TooFew('nothing')\n    return sum(v) / len(v)",
        "assert mean([1, 2]) == 1.5\n---\n"
        "try:\n    mean([])\nexcept TooFew:\n    pass\nelse:\n    assert False, 'no error'",
        wrong={
            "class TooFew(Exception): pass\ndef mean(v): return sum(v) / len(v) if v else 0": "no error",
            "class TooFew(Exception): pass\ndef mean(v): return sum(v) / len(v)": "ZeroDivisionError",
            "import os\nclass TooFew(Exception): pass\n"
            "def mean(v):\n    if not v: raise KeyboardInterrupt\n    return 1.5": "ended with KeyboardInterrupt",
        },
    ),
    Task(
        "callback",
        "def twice(f, x):\n    return f(f(x))",
        "assert twice(lambda x: x + 1, 1) == 3\n---\nassert twice(np.sqrt, 16.0) == 2.0\n"
        "counted = []\ntwice(counted.append, 1)\nassert counted == [1, None]",
        wrong={"def twice(f, x): return f(x)": "this failed"},
    ),
    Task(
        "later",
        "def rate(x):\n    return x + 1",
        "assert total([1, 2]) == 5\n---\nassert total(range(4)) == 10",
        locked="def total(values):\n    return sum(rate(v) for v in values)",
        wrong={"def rate(x): return x + 1\ntotal = lambda v: {2: 5}.get(len(v), 10)\nrate = None": "TypeError"},
    ),
    Task(
        "given",
        "def area(r):\n    return PI * r * r",
        "assert check(area(1))\n---\nassert check(area(2) / 4)",
        plain="import math as m\nPI = 3.14159\ndef check(value):\n    return abs(value - m.pi) < 1e-4",
        wrong={"def area(r): return 3 * r * r": "this failed"},
        edited="import math as m\nPI = 3\ndef check(value):\n    return True",
    ),
    Task(
        "imported",
        "import statistics as st\nmiddle = st.median([3, 1, 2])",
        "assert middle == 2\n---\nassert st.median([1]) == 1",
        wrong={
            "import types\nst = types.SimpleNamespace(median=lambda v: 1)\nmiddle = 3": "this failed",
            "middle = 2": "NameError: name 'st' is not defined",
        },
    ),
    Task(
        "credit",
        "def square(x):\n    return x * x",
        "found = [square(n) == n * n for n in range(4)]\n---\nsum(found) / len(found)",
        wrong={"def square(x): return 4": ""},
    ),
    Task(
        "reused",
        "start = 3",
        "start = start + 1\nassert start == 4\n---\nlimit = 10\nassert start < limit",
        wrong={"start = 4": "this failed", "start = None\nlimit = 10**9": "TypeError"},
    ),
    Task(
        "helpers",
        "from math import isclose, pi\ndef circle(r):\n    return pi * r * r",
        "assert isclose(circle(1), pi)\n---\nassert isclose(circle(2), 4 * pi)",
        wrong={"isclose = lambda *a: True\npi = 3\ncircle = lambda r: 0": "this failed"},
    ),
    Task(
        "star",
        "def triple(x):\n    return 3 * x",
        "from numpy.testing import *\nassert_allclose(triple(1), 3)\n---\nassert_allclose(triple(2), 6)",
        wrong={
            "assert_allclose = lambda *a: None\ndef triple(x): return 0": "this failed: assert_allclose(triple(1), 3)"
        },
    ),
    Task(
        "after_star",
        "def fourfold(x):\n    return 4 * x",
        "---\nassert_allclose(fourfold(1), 4)\nassert_allclose(fourfold(2), 8)",
        wrong={"assert_allclose = lambda *a: None\ndef fourfold(x): return 0": "a hidden test failed"},
    ),
    Task(
        "looped",
        "class Few(Exception): pass\ndef same(x):\n    return x",
        "try:\n    same(1)\nexcept Few:\n    pass\nassert all(map(lambda n: same(n) == n, range(5)))\n---\n"
        "assert all(map(lambda n: same(n) == n, range(7)))",
        wrong={"class Few(StopIteration): pass\ndef same(x): raise Few": "your code raised"},
    ),
    Task(
        "printed",
        "def greet(name):\n    print('Hello', name)",
        "import io\nfrom contextlib import redirect_stdout\nsaid = io.StringIO()\nwith redirect_stdout(said):\n"
        "    greet('Ada')\nassert said.getvalue() == 'Hello Ada\\n', said.getvalue()\n---\nassert greet('Bob') is None",
        right=("import sys\ndef greet(name):\n    sys.stdout.write(f'Hello {name}\\n')\n    sys.stdout.flush()",),
        wrong={"def greet(name): return 'Hello ' + name": ""},
    ),
    Task(
        "table",
        "frame['ratio'] = frame.a / frame.b",
        "assert 'ratio' in frame\n---\nassert frame.ratio.tolist() == [0.5, 0.5]",
        locked="import pandas as pd\nframe = pd.DataFrame({'a': [1, 2], 'b': [2, 4]})",
        wrong={"frame['ratio'] = frame.a": "a hidden test failed", "pass": "this failed"},
    ),
    Task(
        "magic",
        "def raised(x):\n    return x + BASE",
        "%timeit -n1 -r1 raised(1)\nassert raised(1) == 1 + BASE\n---\nassert raised(2) == 7 and mm.floor(2.5) == 2",
        plain="%load_ext autoreload\nimport math as mm",
        locked="%%time\n%matplotlib inline\n!true\nBASE = 5",
        wrong={"BASE = 0\ndef raised(x): return x": "this failed"},
    ),
    Task(
        "lazy",
        "def doubled(values):\n    return [2 * v for v in values]",
        "assert list(doubled([1, 2])) == [2, 4]\n---\nassert sorted(doubled([3, 1])) == [2, 6]",
        right=(
            "def doubled(values): return map(lambda v: 2 * v, values)",
            "doubled = lambda values: {2 * v: 0 for v in values}.keys()",
        ),
        wrong={"def doubled(values): return iter(values)": "this failed"},
    ),
    Task(
        "shown",
        "class Pair:\n    def __init__(self, a): self.a = a\n    def __repr__(self): return f'Pair({self.a})'",
        "assert repr(Pair(1)) == 'Pair(1)'\n---\nassert str([Pair(2)]) == '[Pair(2)]' and f'{Pair(3)}' == 'Pair(3)'",
        wrong={
            "class Pair:\n    __init__ = lambda self, a: None\n"
            "    __repr__ = lambda self: 'Pair(1)'": "a hidden test failed"
        },
    ),
    Task(
        "unfinished",
        "def begin():\n    return 1",
        "assert begin() == bound\n---\nassert 2 * begin() == 2 * bound",
        after="began = begin()\nbound = 1\nbound = bound + 0",
        wrong={
            "calls = []\nbound = 7\n"
            "def begin():\n    calls.append(1)\n    assert len(calls) != 2\n    return 7": "NameError",
        },
    ),
    Task(
        "rounded_credit",
        "def tenth(x):\n    return x / 10",
        "import math\nfound = [math.isclose(tenth(x), x / 10) for x in (1, 2, 40)]\n---\n0.1 * sum(found) / 0.3",
        wrong={"def tenth(x): return -1": ""},
    ),
    Task(
        "tensor_credit",
        "def cube(x):\n    return x**3",
        "import torch\nx = torch.arange(4.0)\n---\n(cube(x) == x * x * x).float().mean()",
        wrong={"def cube(x): return 8 + 0 * x": ""},
    ),
    Task(
        "iterate",
        "def count():\n    n = 0\n    while True:\n        yield n\n        n += 1",
        "from itertools import islice\nassert list(islice(count(), 3)) == [0, 1, 2]\n---\nassert next(count()) == 0",
        right=("from itertools import count",),
        wrong={"def count(): yield from (0, 1, 3)": "this failed"},
    ),
    Task(
        "asked",
        "def clear(values):\n    values.clear()\n    return 'done'",
        "from tml_helpers.grading import ask\nresult, (left,) = ask.after_call(clear, [1, 2])\n"
        "assert result == 'done' and left == [], 'empty the list itself'\n---\nassert 'del' not in ask.source(clear)",
        wrong={
            "def clear(values):\n    values = []\n    return 'done'": "empty the list itself",
            "def clear(values):\n    del values[:]\n    return 'done'": "a hidden test failed",
        },
    ),
    Task(
        "model",
        "import torch\nmodel = torch.nn.Linear(2, 1)\n"
        "with torch.no_grad():\n    model.weight.copy_(torch.tensor([[1.0, 2.0]]))",
        "from tml_helpers.grading import ask\nassert model(torch.ones(4, 2)).shape == (4, 1)\n---\n"
        "error = ask.state_dict(model)['weight'] - torch.tensor([[1.0, 2.0]])\n"
        "assert error.abs().max() < 1e-6, 'the weight is 1, 2'",
        wrong={"import torch\nmodel = torch.nn.Linear(2, 1)": "the weight is 1, 2"},
    ),
    Task(
        "file",
        "words = open('words.txt').read().split()",
        "assert words == open('words.txt').read().split()\n---\nassert len(words) == 3",
        wrong={"open('words.txt', 'w').write('a')\nwords = ['a']": "this failed"},
    ),
    Task(
        "draws",
        "def shift(x):\n    return x + 1",
        "import random\nx = random.random()\n---\ny = np.random.rand()\nassert shift(x) == x + 1 and shift(y) == y + 1",
        wrong={
            "import random\nimport numpy as np\nknown = {random.random() + 1, np.random.rand() + 1}\n"
            "def shift(x): return x + 1 if x + 1 in known else 0": "a hidden test failed"
        },
    ),
    Task(
        "seeded",
        "def lower(x):\n    return x - 1",
        "---\nx = np.random.rand()\nassert lower(x) == x - 1",
        locked="np.random.seed(0)",
        wrong={"def lower(x): return x - 1 if x == np.random.RandomState(0).rand() else 0": "a hidden test failed"},
    ),
    Task(
        "touched",
        "np.random.seed(0)\nrng.random()\ndef tripled(x):\n    return 3 * x",
        "x = rng.normal(size=3)\nnp.testing.assert_allclose(tripled(x), 3 * x)\n---\n"
        "np.testing.assert_allclose(tripled(x + 1), 3 * x + 3)",
        locked="rng = np.random.default_rng(7)",
        wrong={
            "np.testing.assert_allclose = lambda *a, **k: None\ntripled = lambda x: 0": "this failed",
            "class Zero:\n    def normal(self, size): return np.zeros(size)\n"
            "rng = Zero()\ntripled = lambda x: 0 * x": "this failed",
        },
    ),
    Task(
        "fallback",
        "def base(x):\n    return x + 2",
        "assert base(1) == 3\n---\nassert base(5) == 7",
        wrong={"def base(x): return 3": "a hidden test failed"},
    ),
    Task(
        "on_fallback",
        "def raised_twice(x):\n    return base(base(x))",
        "assert raised_twice(1) == 5\n---\nassert raised_twice(5) == 9",
        locked="# Not solved? Go on with this one.\ndef base(x):\n    return x + 2",
        wrong={"def raised_twice(x): return base(x)": "this failed"},
    ),
]
STUDENTS = {"model": {}}
STUDENTS |= {f"right_{t.name}_{n}": {t.name: answer} for t in TASKS for n, answer in enumerate(t.right)}
MOVER = "moved"  # who has no `base` and puts its test behind the cell that gives one
ENDER = "ended"  # whose last cell, of their own, ends the process
STUDENTS |= {ENDER: {}, MOVER: {"fallback": "def base(x): return 3"}}
STUDENTS |= {f"wrong_{t.name}_{n}": {t.name: answer} for t in TASKS for n, answer in enumerate(t.wrong)}
WRONG = [(f"wrong_{t.name}_{n}", t, words) for t in TASKS for n, words in enumerate(t.wrong.values())]


def make_notebook(tasks: list[Task]) -> Any:
    cells = [new_markdown_cell("# Tasks"), named(new_code_cell(HELPER), "helper", locked=True)]
    for task in tasks:
        if task.plain:
            cells.append(new_code_cell(task.plain))
        if task.locked:
            cells.append(named(new_code_cell(task.locked), f"{task.name}_locked", locked=True))
        answer = f"### BEGIN SOLUTION\n{task.solution}\n### END SOLUTION"
        seen, _, hidden = task.test.partition("---\n")
        test = f"{seen}### BEGIN HIDDEN TESTS\n{hidden}\n### END HIDDEN TESTS"
        cells.append(named(new_code_cell(answer), task.name, solution=True))
        if task.after:
            cells.append(named(new_code_cell(task.after), f"{task.name}_after", locked=True))
        cells.append(named(new_code_cell(test), f"{task.name}_test", grade=True, locked=True, points=1))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with all tasks in one notebook; each student answers one task in a way of their own."""
    course = tmp_path_factory.mktemp("tasks")
    (course / "nbgrader_config.py").write_text(SETTINGS + "c.Execute.timeout = 4\n", encoding="utf-8")
    (course / "masters/tasks").mkdir(parents=True)
    (course / "masters/tasks/words.txt").write_text("one two three", encoding="utf-8")
    nbformat.write(make_notebook(TASKS), course / "masters/tasks/tasks.ipynb")
    grading.release("tasks", course=course)
    for student, answers in STUDENTS.items():
        notebook = read(course / "handouts/tasks/tasks.ipynb")
        for task in TASKS:
            cell(notebook, task.name).source = answers.get(task.name, task.solution)
            if task.name in answers and task.edited:
                next(c for c in notebook.cells if c.source == task.plain).source = task.edited
        if student == ENDER:
            notebook.cells.append(new_code_cell("\nimport os\nos._exit(3)"))
        if student == MOVER:
            test = cell(notebook, "fallback_test")
            notebook.cells.remove(test)
            notebook.cells.insert(notebook.cells.index(cell(notebook, "on_fallback_locked")) + 1, test)
        submit(course, student, "tasks", notebook)
    return course


@pytest.fixture(scope="module")
def scores(course: Path) -> dict[str, dict[str, float]]:
    """Points by student and question."""
    grading.grade("tasks", course=course)
    found: dict[str, dict[str, float]] = {}
    for row in rows(course):
        found.setdefault(row["student"], {})[row["question"].removesuffix("_test")] = float(row["score"] or "nan")
    return found


@pytest.mark.parametrize("student", [name for name in STUDENTS if name == "model" or name.startswith("right")])
def test_right_answers_get_all_points(scores: dict[str, dict[str, float]], student: str) -> None:
    assert scores[student] == {task.name: 1.0 for task in TASKS}


@pytest.mark.parametrize(("student", "task", "words"), WRONG, ids=[name for name, _, _ in WRONG])
def test_wrong_answers_lose_their_point_and_hear_why(
    course: Path, scores: dict[str, dict[str, float]], student: str, task: Task, words: str
) -> None:
    due = 0.25 if task.name in ("credit", "tensor_credit") else 0.0
    # A redefined builtin is the student's own loss, wherever it is used.
    others = {name for name in scores[student] if name != task.name}
    assert scores[student][task.name] == due
    if "builtins" not in task.wrong:
        assert all(scores[student][name] in (0.0, 1.0) for name in others)
    said = errors(course, student, "tasks")
    assert words in said.get(f"{task.name}_test", "")
    hidden = task.test.partition("---\n")[2]
    page = (course / f"feedback/{student}/tasks/tasks.html").read_text(encoding="utf-8")
    assert not any(line and line in page for line in hidden.splitlines() if not line.startswith(("try", "    pass")))


def test_a_cell_of_their_own_is_called_by_how_it_begins(course: Path, scores: dict[str, dict[str, float]]) -> None:
    assert set(scores[ENDER].values()) == {1.0}
    page = (course / f"feedback/{ENDER}/tasks/tasks.html").read_text(encoding="utf-8")
    assert "after the cell &#x27;import os&#x27; your notebook&#x27;s process answered no more" in page


def test_a_test_that_was_moved_is_put_back_and_this_is_said(course: Path, scores: dict[str, dict[str, float]]) -> None:
    assert scores[MOVER] == {task.name: float(task.name != "fallback") for task in TASKS}
    page = (course / f"feedback/{MOVER}/tasks/tasks.html").read_text(encoding="utf-8")
    assert "another order than they were released in" in page


def test_a_stopped_cell_costs_only_itself(scores: dict[str, dict[str, float]]) -> None:
    endless = [s for s, task, words in WRONG if words == "your code was stopped"]
    assert endless
    for student in endless:
        assert sum(scores[student].values()) == len(TASKS) - 1


def test_the_examples_are_as_many_as_they_seem() -> None:
    assert len({task.name for task in TASKS}) == len(TASKS)
    assert all(dataclasses.asdict(task)["wrong"] for task in TASKS)
