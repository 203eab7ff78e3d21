"""What a cell's text says: names that it defines, reads, imports and changes; the course's cells beside a student's."""

import ast
import copy
import math
from typing import Any

import pytest
from courses import SOLUTION, TEST, cell, named
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tml_helpers.grading import examiner, names, notebook


@pytest.mark.parametrize(("code", "found"), [
    ("x = 1\ny: int = 2\nz += 1", "x y z"), ("a, (b, *c) = d", "a b c"), ("import os.path, re as r", "os r"),
    ("from math import pi as p, e", "p e"), ("def f(a):\n    b = 1", "f"), ("class A:\n    b = 1", "A"),
    ("for i in j:\n    k = i", "i k"), ("with a as b: pass", "b"), ("(n := 3)", "n"), ("print(x)", ""),
    ("def f():\n    global g\n    g = 1", "f"), ("lambda: 1", ""), ("x = (", ""), ("x\0 = 1", ""), ("del x", "x"),
])  # fmt: skip
def test_defined(code: str, found: str) -> None:
    assert names.defined(code) == set(found.split())


@pytest.mark.parametrize(("code", "now", "later"), [
    ("x + y", "x y", ""), ("x = 1", "", ""), ("def f(a):\n    return a + b", "b", "b"), ("f(1)", "f", ""),
    ("class A(B):\n    c = d\n    def e(self): return g", "B d g", "d g"), ("[h(i) for i in j]", "h j", "h"),
    ("def f():\n    def g():\n        return h\n    return k", "h k", "h k"), ("x = (", "", ""), ("x\0", "", ""),
])  # fmt: skip
def test_used(code: str, now: str, later: str) -> None:
    assert names.used(code) == (set(now.split()), set(later.split()))


@pytest.mark.parametrize(("code", "found"), [
    ("'a' in globals()", "a"), ("globals()['a'] != 'blue'", "a"), ("eval('a') == 'blue'", "a"),
    ("check(eval('a'), 'blue')", "a"), ("self.assertIn('a', globals())", "a"), ("set(dir()).isdisjoint(['a'])", "a"),
    ("all(eval(n) == 'blue' for n in ['a'])", "a"), ("{n: vars()[n] for n in ('a', 'b')}", "a b"),
    ("any(map(lambda n: n in dir(), ['a']))", "a"), ("{'a'} & set(globals())", "a"), ("{'a'} <= set(vars())", "a"),
    ("banned = ['a', 'b']\nfor n in banned:\n    n in globals(), 'blue'", "a b"), ("x = 'a'\nx in dir(y)", ""),
    ("eval('a') in ('red', 'blue')", "a"), ("vars()['a'] not in ['red']", "a"), ("'a' not in locals()", "a"),
])  # fmt: skip
def test_what_code_looks_up_by_name(code: str, found: str) -> None:
    """And not the words that it compares with what it finds: a submission that has such a name would hear it."""
    read = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    assert names.used(code).now - read == set(found.split())


@pytest.mark.parametrize(("code", "found"), [
    ("import a.b", {"a": "a"}), ("import a.b as c", {"c": "a.b"}), ("from a.b import c", {"c": "a.b.c"}),
    ("from a import b as c", {"c": "a.b"}), ("from . import a", {}), ("from .b import a", {}),
    ("def f():\n    import a", {"a": "a"}), ("import a, b", {"a": "a", "b": "b"}), ("import (", {}), ("a\0", {}),
])  # fmt: skip
def test_modules(code: str, found: dict[str, str]) -> None:
    assert names.modules(code) == found


def test_an_import_is_a_help_where_something_else_is_the_answer() -> None:
    assert names.helpers("from math import pi\ndef area(r): return pi * r") == {"pi": "math.pi"}
    assert names.helpers("from math import pi") == {}


def test_imported() -> None:
    assert names.imported("math") is math
    assert names.imported("math.pi") is math.pi
    with pytest.raises(ImportError):
        names.imported("nowhere.at_all")


@pytest.mark.parametrize(("code", "found"), [
    ("a[0] = 1", "a"), ("b.c = 1", "b"), ("d.e[1].f = 2", "d"), ("del g[0]", "g"), ("h.append(1)", "h"),
    ("i.j.k()", "i"), ("x = l.m()", ""), ("n[0]", ""), ("def f():\n    o[0] = 1", ""), ("class C:\n    p.q = 1", ""),
    ("f = lambda: r.s()", ""), ("for t in u:\n    v[t] += 1", "v"), ("w()", ""), ("x = 1", ""), ("a[", ""),
])  # fmt: skip
def test_changed(code: str, found: str) -> None:
    assert names.changed(code) == set(found.split())


def test_definitions() -> None:
    kept = "import a\nfrom b import c\n\ndef f():\n    pass\n\nasync def g():\n    pass\n\nclass H:\n    pass"
    assert names.definitions(f"x = 1\n{kept}\nprint(x)\nif x:\n    import d") == kept
    assert names.definitions("x = (") == ""


def test_python_of_a_cell() -> None:
    assert names.python("%%time\nx = 1") == "x = 1\n"
    assert "run_line_magic('timeit'" in names.python("%timeit x")
    assert names.python("x = 7 %2\n") == "x = 7 %2\n"


@pytest.mark.parametrize(("source", "text"), [
    ("%time x", "pass"), ("  !ls", "  pass"), ("double?", "pass"), ("double??", "pass"), ("x = 7 %2", "x = 7 %2"),
    ("a = 1\n%b\nc = 2", "a = 1\npass\nc = 2"), ("x = '?'", "x = '?'"),
])  # fmt: skip
def test_without_magics(source: str, text: str) -> None:
    assert notebook.without_magics(source) == text


def released() -> Any:
    return new_notebook(
        cells=[
            new_markdown_cell("# Sums"),
            new_code_cell("import math"),
            named(new_code_cell("start = 0"), "setup", locked=True),
            named(new_code_cell(SOLUTION), "double", solution=True),
            named(new_code_cell(TEST), "double_test", grade=True, locked=True, points=2),
            named(new_markdown_cell("Because."), "why", grade=True, solution=True, points=3),
            named(new_markdown_cell("Draw."), "task", task=True, points=3),
        ]
    )


def test_kinds_of_cells() -> None:
    """Only a locked cell of code with points is a test: no student's cell, and no text."""
    made = released()
    kinds = {
        notebook.grade_id(c): [examiner.is_locked(c), notebook.is_test(c), examiner.is_by_hand(c)] for c in made.cells
    }
    assert kinds == {
        "": [False, False, False],
        "setup": [True, False, False],
        "double": [False, False, False],
        "double_test": [False, True, False],
        "why": [False, False, True],
        "task": [False, False, True],
    }
    code_by_hand = named(new_code_cell("x"), "code", grade=True, solution=True, points=1)
    assert (notebook.is_test(code_by_hand), examiner.is_by_hand(code_by_hand)) == (False, True)
    assert [c.source for c in examiner.leading(made)] == ["import math", "start = 0"]
    made.cells = [c for c in made.cells if notebook.grade_id(c) in ("", "setup")]
    assert len(examiner.leading(made)) == 2


@pytest.mark.parametrize(("kept", "same"), [
    (["setup", "double", "double_test"], True), (["setup", "double"], False), ([], False), (["x", "y", "z"], False),
])  # fmt: skip
def test_half_of_the_cells_make_a_submission(kept: list[str], same: bool) -> None:
    """At least half of the five that have names."""
    submission = new_notebook(cells=[named(new_code_cell(""), name) for name in kept])
    assert notebook.resembles(submission, released()) == same
    assert not notebook.resembles(submission, new_notebook())
    assert notebook.resembles(new_notebook(cells=released().cells[2:3]), new_notebook(cells=released().cells[2:3]))


def test_the_course_s_cells_are_put_back() -> None:
    """At their places, with the course's points; answers stay, of a doubled one the last; other names go."""
    original, submission = released(), released()
    for name in ("setup", "double_test", "task"):
        submission.cells.remove(cell(submission, name))
    cell(submission, "why").source = "Mine."
    cell(submission, "why").metadata.nbgrader.points = 100
    submission.cells.insert(0, named(new_code_cell("first"), "double", solution=True))
    submission.cells.append(named(new_code_cell("x"), "more", grade=True, points=9))
    submission.cells[3].update(cell_type="raw", source="def double(x): return 1")
    made = notebook.restored(copy.deepcopy(submission), original)
    assert [notebook.grade_id(c) for c in made.cells] == [
        "",
        "",
        "",
        "setup",
        "double",
        "double_test",
        "why",
        "",
        "task",
    ]
    assert [c.metadata for c in made.cells if "nbgrader" in c.metadata] == [c.metadata for c in original.cells[2:]]
    assert [cell(made, name).source for name in ("setup", "double_test", "why")] == ["start = 0", TEST, "Mine."]
    assert (cell(made, "double").cell_type, cell(made, "double").source) == ("code", "def double(x): return 1")
    assert made.cells[0].source == "first"


def test_unanswered() -> None:
    original, submission = released(), released()
    assert notebook.unanswered(submission, original) == {"double", "why"}
    cell(submission, "double").source = "def double(x): return 2 * x"
    cell(submission, "why").source = " Because. \n"
    assert notebook.unanswered(submission, original) == {"why"}
    cell(submission, "why").source = " \n"
    assert notebook.unanswered(submission, original) == {"why"}
    submission.cells.remove(cell(submission, "double"))
    assert notebook.unanswered(submission, original) == {"double", "why"}
