"""From a submission's replies to its points, and to what its student is told of them."""

import copy
import json
import math
import random
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any, ClassVar

import nbformat
import numpy as np
import pytest
import sympy
import torch
from courses import cell, named
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from scripted import Line, fetched, peer

from tml_helpers.grading import draws, examiner
from tml_helpers.grading.exam import Exam, Request
from tml_helpers.grading.examiner import Examiner
from tml_helpers.grading.messages import Overrun, message
from tml_helpers.grading.proxies import Gone, Handle, Refused
from tml_helpers.grading.wire import Broken


class TestPoints:
    """What the last line of a test that ran to its end is worth, of 2 points."""

    @pytest.fixture
    def told(self) -> Callable[..., Any]:
        def points(value: Any, *, counts: bool, learning: bool = False) -> Any:
            made = Examiner.__new__(Examiner)
            made.peer, _ = peer(allowed=None if learning else {("t/", "points")} if counts else set())
            score, failure = made._points("t", value, 2.0)
            return score, failure is None, ("t/", "points") in made.peer.allowed

        return points

    @pytest.mark.parametrize(("value", "score"), [
        (2, 2), (0, 0), (1.5, 1.5), (2 * (1 + 1e-10), 2), (np.float32(0.5), 0.5), (np.int64(1), 1), (np.array(1.0), 1),
        (torch.tensor(0.25), 0.25), (Fraction(1, 3), 1 / 3),
    ])  # fmt: skip
    def test_a_number(self, told: Callable[..., Any], value: Any, score: float) -> None:
        assert told(value, counts=True) == (score, True, True)
        assert type(told(value, counts=True)[0]) is float

    @pytest.mark.parametrize("value", [
        2.001, -1e-9, math.nan, math.inf, True, False, None, "2", np.ones(2), torch.ones(1), 2j, 2 * (1 + 1e-8),
    ])  # fmt: skip
    def test_no_number_from_none_to_all(self, told: Callable[..., Any], value: Any) -> None:
        assert told(value, counts=True) == (0, False, True)

    @pytest.mark.parametrize("value", [None, True, 0, 0.5, "x", 100, [], np.zeros(2)])
    def test_where_it_counts_nothing_only_false_loses(self, told: Callable[..., Any], value: Any) -> None:
        assert told(value, counts=False) == (2, True, False)
        assert told(False, counts=False) == (0, False, False)
        assert told(fetched()[0], counts=False) == (0, False, False)

    def test_the_model_solution_says_whether_it_counts(self, told: Callable[..., Any]) -> None:
        assert told(1.0, counts=False, learning=True) == (1, True, True)
        for value in (None, True, "1"):
            assert told(value, counts=False, learning=True) == (2, True, False)


class TestMessage:
    """What a student is told of a failure; nothing of a hidden test but its author's words."""

    SEEN = 'assert f(1) == 1, "look at one"\n'
    FULL = SEEN + 'secret = 42\nassert f(2) == secret, "look at two"\nassert f(3) == secret\n'
    FULL += 'assert f(4) < secret + 1\nraise ValueError("no")\n'

    @pytest.fixture
    def heard(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
        monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
        exam = Exam(
            "a", "n", {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, {"t": self.FULL}, {}, 3.5, "k"
        )
        made = Examiner(exam)

        def told(f: Callable[[int], Any], visible: str = self.SEEN) -> str:
            vars(made.main)["f"] = f
            failure, _ = made._trusted("t", self.FULL)
            assert failure is not None
            return message(failure, visible, exam, learning=False)

        return told

    @pytest.mark.parametrize(("answers", "words"), [
        ({}, "look at one"), ({1: 1}, "look at two"), ({1: 1, 2: 42}, "a hidden test failed"),
        ({1: 1, 2: 42, 3: 42, 4: 42}, "a hidden test failed (ValueError)"),
    ])  # fmt: skip
    def test_words_of_the_author(self, heard: Callable[..., str], answers: dict[int, int], words: str) -> None:
        assert heard(answers.get) == words

    def test_all_of_a_test_that_hides_nothing(self, heard: Callable[..., str]) -> None:
        assert heard({1: 1, 2: 42}.get, self.FULL) == "this failed: assert f(3) == secret"
        assert heard({1: 1, 2: 42, 3: 42, 4: 42}.get, self.FULL) == "ValueError: no"

    def test_no_words_of_a_library_that_hold_what_it_compared(self, heard: Callable[..., str]) -> None:
        assert heard({1: 1, 2: 42, 3: 42}.get).startswith("TypeError: '<' not supported between instances of 'None")
        assert heard({1: 1, 2: 42, 3: 42, 4: sympy.Symbol("x")}.get) == "a hidden test failed (TypeError)"

    def test_python_s_words_on_the_student_s_own_code(self, heard: Callable[..., str]) -> None:
        def fails(_: int) -> Any:
            error = KeyError("mine")
            error.said_by_submission = "KeyError: 'mine'"
            raise error

        assert heard(fails) == "your code raised KeyError: 'mine'"
        assert heard(None) == "TypeError: 'NoneType' object is not callable"

    def test_what_is_no_failure_of_the_test(self) -> None:
        exam = Exam("a", "n", {}, {}, {}, 3.5, "k")
        told = {type(failure): message(failure, "", exam, learning=False) for failure in (
            Overrun(), Gone("it ended"), Refused("a plain value"), SyntaxError("secret"),
        )}  # fmt: skip
        assert told == {
            Overrun: "this took longer than 3.5 seconds",
            Gone: "your notebook's process answered no more: it ended",
            Refused: "a plain value",
            SyntaxError: "this test is not Python: please tell your instructor",
        }


def test_only_functions_that_a_test_puts_in_place_of_an_answer_go_over() -> None:
    """So it can see whether one function calls another; no value that it computes is told, nor a model's helper."""
    made, line = peer({"value": None}, {"value": None}, {"value": None})
    made.cells = ["def f(x): return h(x)"]
    mirror = examiner.Mirror({"start": 1}, {"f", "helper"}, made)
    handle = Handle(made, 7, "x")
    for name, value in [("f", 42), ("g", len), ("g", lambda: 1), ("f", handle), ("f", lambda: 1), ("helper", handle)]:
        mirror[name] = value
    del mirror["g"], mirror["f"], mirror["helper"]
    assert [(sent["do"], sent["arguments"]) for sent in line.sent] == [
        ("bind", {"list": ["f", {"own": 7}]}),
        ("bind", {"list": ["f", {"callback": 0}]}),
        ("unbind", {"list": ["f"]}),
    ]
    assert dict(mirror) == {"start": 1}


def drawn() -> tuple[float, ...]:
    """What each generator gives next."""
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_draws_are_the_course_s_secret_and_each_test_has_its_own() -> None:
    said = []
    for key, test in (("a", "q"), ("a", "q"), ("b", "q"), ("a", "r")):
        for generator in (random.seed, np.random.seed, torch.manual_seed):
            generator(len(said))  # a locked cell may seed, and other tests may draw before
        with draws.of_test(key, test):
            said.append(drawn())
    assert said[0] == said[1]
    assert all(len(set(values)) == 3 for values in zip(*said, strict=True))


def test_a_test_s_draws_move_no_others() -> None:
    """What locked cells draw below a test is the same here and where submissions run, which see no test."""
    draws.seed("a")
    before = drawn(), drawn()
    draws.seed("a")
    assert drawn() == before[0]
    with draws.of_test("a", "q"):
        drawn()
    assert drawn() == before[1]


class TestExaminer:
    """A submission of `sums` whose process gives these replies: what comes of it."""

    CELLS = (
        new_markdown_cell("# Sums"),
        named(new_code_cell("start = 0"), "setup", locked=True),
        named(new_code_cell("raise NotImplementedError"), "double", solution=True),
        named(
            new_code_cell('assert double(2) == 4, "did you add 1?"'), "double_test", grade=True, locked=True, points=2
        ),
        named(new_markdown_cell("Because."), "why", grade=True, solution=True, points=3),
    )
    HIDDEN = 'assert double(2) == 4, "did you add 1?"\nassert double(3) == 6 + start, "did you square x?"\n'
    SOLUTION = "def double(x):\n    return x + x"
    RAN: ClassVar[dict[str, Any]] = {"outputs": []}
    FETCHED: ClassVar[list[dict[str, Any]]] = [
        {"names": ["double", "In"]},
        {"values": {"double": {"reference": [0, "object", "function", []]}}},
    ]

    @pytest.fixture
    def examined(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
        monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])

        def report(*replies: Any, full: str = self.HIDDEN, answer: str = "double = max", **request: Any) -> Any:
            cells = copy.deepcopy(list(self.CELLS))
            exam = Exam("sums", "sums", new_notebook(cells=cells), {}, {"double": self.SOLUTION}, 3.0, "k")
            exam.full.update({"setup": "start = 0", "double_test": full})
            made = Examiner(exam)
            made.prepare()
            submission = copy.deepcopy(new_notebook(cells=cells))
            cell(submission, "double").source = answer
            asked = {"allowed": set(), "prepared": False, "seconds": 60.0, **request}
            self.line, self.begun = Line(*replies), list[bool]()
            connect = lambda begun: self.begun.append(begun) or self.line  # noqa: E731
            content = nbformat.writes(submission).encode()
            found = made.examine(Request("sums.ipynb", content, **asked), connect)
            assert self.line.replies == [], "as many were asked for"
            return found

        return report

    def test_a_right_answer(self, examined: Callable[..., Any]) -> None:
        report = examined(self.RAN, self.RAN, *self.FETCHED, {"value": 4}, {"value": 6})
        assert (report.status, report.scores, report.messages) == ("ok", {"double_test": 2, "why": 0}, {})
        assert report.unanswered == ["why"]
        assert report.allowed == [], "only the model solution's report says it"
        assert [sent["do"] for sent in self.line.sent] == ["run", "run", "known", "fetch", "call", "call"]
        assert [sent["source"] for sent in self.line.sent[:2]] == ["start = 0", "double = max"]
        assert report.notebook["cells"][3]["outputs"] == []
        assert "did you square" not in json.dumps(report.notebook) + json.dumps(report.fragments)

    def test_a_submission_hears_of_no_name_of_the_tests(self, examined: Callable[..., Any]) -> None:
        """Neither of a hidden test's own, nor of what it may look up: it could search its memory for them."""
        full = "def plover(x):\n    return finch + double(x)\nfinch = 1\nassert plover(1) == 3\n"
        full += "assert str(finch) != 'robin' and 'robin' not in globals() and 'double' in globals()"
        examined(self.RAN, self.RAN, *self.FETCHED, {"value": 2}, full=full)
        assert [sent["names"] for sent in self.line.sent if sent["do"] == "fetch"] == [["double"]]
        assert not any(bird in json.dumps(self.line.sent) for bird in ("plover", "finch", "robin"))

    @pytest.mark.parametrize(("values", "message"), [((4, 9), "did you square x?"), ((5,), "did you add 1?")])
    def test_a_wrong_answer(self, examined: Callable[..., Any], values: tuple[int, ...], message: str) -> None:
        report = examined(self.RAN, self.RAN, *self.FETCHED, *({"value": value} for value in values))
        assert (report.scores["double_test"], report.messages) == (0, {"double_test": message})
        assert report.notebook["cells"][3]["outputs"][0]["evalue"] == message

    def test_a_part_of_the_points(self, examined: Callable[..., Any]) -> None:
        full = "found = double(2)\n0.5 * found"
        report = examined(
            self.RAN, self.RAN, *self.FETCHED, {"value": 3}, full=full, allowed={("double_test/", "points")}
        )
        assert (report.scores["double_test"], report.messages) == (1.5, {})
        assert report.notebook["cells"][3]["outputs"][0]["text"] == "1.5 of 2 points"

    def test_what_a_test_swallows_is_not_forgotten(self, examined: Callable[..., Any]) -> None:
        swallow = "try:\n    double == 1\nexcept BaseException:\n    pass"
        report = examined(self.RAN, self.RAN, *self.FETCHED, full=swallow)
        assert report.scores["double_test"] == 0
        assert "a plain value is expected" in report.messages["double_test"]
        swallow = swallow.replace("double == 1", "double(1)")
        report = examined(self.RAN, self.RAN, *self.FETCHED, Broken("it ended"), full=swallow)
        assert (report.status, report.scores["double_test"]) == ("failed", 0)
        assert report.remarks[-1] == "in the test double_test your notebook's process answered no more: it ended"

    def test_a_process_that_ends_or_hangs(self, examined: Callable[..., Any]) -> None:
        report = examined(self.RAN, Broken("it ended"))
        assert (report.status, report.scores["double_test"]) == ("failed", 0)
        assert "after the cell double your notebook's process answered no more: it ended" in report.remarks
        report = examined(self.RAN, {"outputs": [{"ename": "TookTooLong"}]}, {"names": []})
        assert (report.status, report.scores["double_test"]) == ("timeout", 0)
        assert "the cell double was stopped, it took longer than 3 seconds" in report.remarks
        assert report.messages == {"double_test": "NameError: name 'double' is not defined"}

    def test_no_time_is_left(self, examined: Callable[..., Any]) -> None:
        report = examined(seconds=0.0)
        assert (report.status, report.scores["double_test"]) == ("timeout", 0)
        assert report.remarks[-1] == "what followed was not run: the time for the whole notebook was up"

    def test_cells_that_were_run_before_are_not_run_again(self, examined: Callable[..., Any]) -> None:
        examined(self.RAN, *self.FETCHED, {"value": 4}, {"value": 6}, prepared=True)
        assert self.begun == [True]
        assert self.line.sent[0]["source"] == "double = max"
        examined(self.RAN, self.RAN, *self.FETCHED, {"value": 4}, {"value": 6}, prepared=False)
        assert self.begun == [False]

    def test_the_model_solution_says_what_is_allowed(self, examined: Callable[..., Any]) -> None:
        full = "double == 1\n2 * double(2)"
        report = examined(self.RAN, self.RAN, *self.FETCHED, {"value": True}, {"value": 1}, full=full, allowed=None)
        assert report.allowed == [("double_test/", "points"), ("double_test/double", "eq")]
        assert report.scores["double_test"] == 2

    def test_a_file_that_is_none(self, examined: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nbformat, "writes", lambda _: "{")
        assert examined().status == "rejected"
        monkeypatch.setattr(nbformat, "writes", lambda _: json.dumps(new_notebook()))
        report = examined()
        assert (report.status, report.scores) == ("rejected", {})
        assert report.remarks == ["sums.ipynb lacks most cells of sums: is it another homework's file?"]
