"""How test cells of other courses are written: the model solution gets its points, or no release is made, with why."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
import test_examiner
from bad_input import refuses
from courses import ROOT, SETTINGS, named, read, unfinished
from hostile.course import build
from nbformat.v4 import new_code_cell, new_notebook
from patterns import PATTERNS, REFUSED, SETUP, Pattern, Refused

from tml_helpers import grading
from tml_helpers.grading import names, patterns

KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def cells_of(task: Pattern | Refused) -> list[Any]:
    given = getattr(task, "locked", "")
    solution = task.answer if task.answer.startswith("%%") else f"### BEGIN SOLUTION\n{task.answer}\n### END SOLUTION"
    return [
        *([named(new_code_cell(given), f"{task.name}_given", locked=True)] if given else []),
        named(new_code_cell(solution), task.name, solution=True),
        named(new_code_cell(task.test), f"{task.name}_test", grade=True, locked=True, points=1),
    ]


def notebook_of(*tasks: Pattern | Refused) -> Any:
    setup = named(new_code_cell(SETUP), "setup", locked=True)
    return new_notebook(cells=[setup, *(c for task in tasks for c in cells_of(task))], metadata=KERNEL)


@pytest.fixture(scope="module")
def scores() -> dict[str, dict[str, float]]:
    """Points by answers and test: the model solution's, wrong ones', and those of an object that equals everything."""
    done = subprocess.run(
        [sys.executable, "apart.py"],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("task", PATTERNS, ids=lambda task: task.name)
def test_the_model_solution_gets_its_point_and_a_wrong_answer_none(
    scores: dict[str, dict[str, float]], task: Pattern
) -> None:
    points = {name: given[f"{task.name}_test"] for name, given in scores.items()}
    assert points == {"right": 1, "wrong": 0, "equal": 0}


@pytest.mark.parametrize("task", REFUSED, ids=lambda task: task.name)
def test_what_cannot_work_is_named_with_its_line_and_a_remedy(task: Refused, tmp_path: Path) -> None:
    found = patterns.problems(notebook_of(task), tmp_path)
    line = task.test.splitlines()[task.line - 1]
    assert found
    assert found[0].startswith(f"the test {task.name}_test, line {task.line}, `{line}`: ")
    assert task.says in found[0]


def test_nothing_is_released_then(tmp_path: Path) -> None:
    (tmp_path / "nbgrader_config.py").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "masters/all").mkdir(parents=True)
    nbformat.write(notebook_of(REFUSED[0], PATTERNS[-1], REFUSED[-1]), tmp_path / "masters/all/all.ipynb")
    with refuses(ValueError, "nothing was released", "all.ipynb: the test counter_test, line 3", "derived_class_test"):
        grading.release("all", course=tmp_path)
    assert not (tmp_path / "handouts/all").exists()
    assert unfinished(tmp_path) == []


def test_nothing_is_refused_that_works(tmp_path: Path) -> None:
    """The patterns above, this book's homework, and the tasks of the grader's other tests."""
    (tmp_path / "words.txt").touch()
    ours = [(read(file), file.parent) for file in ROOT.glob("solutions/*/*.ipynb")]
    hostile = [(read(file), file.parent) for file in build(tmp_path / "hostile").rglob("*.ipynb")]
    tried = [(notebook_of(*PATTERNS), tmp_path), (test_examiner.make_notebook(test_examiner.TASKS), tmp_path)]
    assert len(ours) >= 3
    assert len(hostile) >= 2
    assert [patterns.problems(source, folder) for source, folder in ours + hostile + tried] == [
        [] for _ in ours + hostile + tried
    ]


# What looks like a refused form and works: the test's own files, figures, gradients, classes and replacements.
PLAIN = "def f(x):\n    return x"
ENGINE = "class Value:\n    grad = 0\n    def backward(self): self.grad = 1"
WORKS = {
    "own_file": (PLAIN, "open('mine.txt', 'w').write('3')\nassert open('mine.txt').read() == f('3')"),
    "data_file": (PLAIN, "assert f(open('data.txt').read()) == ''\nassert pd.read_csv('https://a.b/c.csv') is f(0)"),
    "own_figure": (PLAIN, "plt.plot([f(1)])\nassert plt.gca().lines[0].get_ydata()[0] == 1"),
    "returned_axes": ("def f(ax):\n    return ax", "fig, ax = plt.subplots()\nax = f(ax)\nassert not ax.get_title()"),
    "own_gradient": (PLAIN, "w = torch.ones(1, requires_grad=True)\n(w * 2).sum().backward()\nassert f(2) == w.grad"),
    "own_engine": (ENGINE, "v = Value()\nv.backward()\nassert v.grad == 1"),
    "read_before": ("hits = 0\ndef hit():\n    global hits\n    hits += 1", "n = hits\nassert not hit() and n == 0"),
    "own_names": ("memo = {}\ndef f(memo):\n    memo = dict(memo)\n    memo[1] = 2", "f({})\nassert memo == {}"),
    "plain_type": (PLAIN, "assert type(f(1)) is int and type(f(np.ones(1))) == np.ndarray"),
    "asynchronous": ("async def f(x):\n    return x", "import inspect\nassert inspect.iscoroutinefunction(f)"),
    "own_text": (PLAIN, "assert f(eval('1 + 1')) == 2"),
    "patched_input": (PLAIN, "with mock.patch('builtins.input', lambda *_: 'a'):\n    assert f('a') == 'a'"),
    "own_class": (PLAIN, "class Case(unittest.TestCase):\n    runTest = lambda self: self.assertTrue(f(1))\nCase()"),
}  # fmt: skip


@pytest.mark.parametrize("name", WORKS)
def test_what_only_looks_like_it_is_let_through(name: str, tmp_path: Path) -> None:
    (tmp_path / "data.txt").touch()
    answer, test = WORKS[name]
    assert patterns.problems(notebook_of(Pattern(name, answer, test, "")), tmp_path) == []


def test_there_are_many_and_each_is_its_own() -> None:
    every = [task.name for task in (*PATTERNS, *REFUSED)]
    assert len(set(every)) == len(every) >= 80


def test_a_name_that_a_test_looks_up_is_used_by_it() -> None:
    assert names.used("'ready' in globals()").now == {"globals", "ready"}
    assert names.used("for n in ('a', 'b'):\n    f('c'), vars()[n]").now == {"vars", "f", "n", "a", "b"}
    assert names.used("all(n in dir() for n in ['a'])").now >= {"dir", "a"}
    assert names.used("globals().get('a'), eval('two words')").now == {"globals", "eval", "a"}
    assert names.used("'ready' in {}\nanswer == 'blue'\nglobals()").now == {"answer", "globals"}


def test_the_page_tells_all_of_them() -> None:
    page = (ROOT / "book/writing_tests.md").read_text(encoding="utf-8")
    table = page.partition("| what tests look at | patterns |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(task.name for task in PATTERNS)
