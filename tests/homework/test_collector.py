"""The collector believes nothing: what a report may say, what it depends on, and what becomes of it."""

import json
import math
import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tml_helpers.grading import run, sandbox
from tml_helpers.grading.assignment import Paper
from tml_helpers.grading.collect import Download
from tml_helpers.grading.course import Course
from tml_helpers.grading.gradebook import HandedIn, Points
from tml_helpers.grading.roster import Person, Roster
from tml_helpers.grading.run import Grade, _checked, _Collector, _Work
from tml_helpers.grading.sandbox import Submission, Task

TASK = Task("{}", [], b"", [], "", 30.0, [], 3.0)
PAPER = Paper("sums", TASK, {"double": 2.0, "third": 1.0, "why": 3.0}, frozenset({"why"}))
REPORT: dict[str, Any] = {
    "status": "ok",
    "remarks": ["fine"],
    "scores": {"double": 2, "third": 1 / 3, "why": None},
    "unanswered": [],
    "messages": {"third": "almost"},
    "notebook": {"cells": []},
    "fragments": [{"name": "double", "html": "<p>x</p>"}],
}
NOT_IN_FORM = {"status": "failed", "remarks": ["what came back from grading it has not the right form"]}


def scores(**changed: Any) -> dict[str, Any]:
    return {**REPORT, "scores": {**REPORT["scores"], **changed}}


@pytest.mark.parametrize("report", [
    REPORT, scores(double=0), scores(double=0.0, third=1.0), scores(why=0), scores(why=0.0),
    {**REPORT, "status": "timeout"}, {**REPORT, "status": "failed"},
])  # fmt: skip
def test_a_report_in_form_is_taken_as_it_is(report: dict[str, Any]) -> None:
    assert _checked(report, PAPER) == report


@pytest.mark.parametrize("report", [
    scores(double=2.0001), scores(double=100), scores(double=-1e-9), scores(double=math.nan), scores(double=math.inf),
    scores(double="2"), scores(double=True), scores(double=None), scores(double=[2]), scores(why=3), scores(why=-1),
    scores(why=1e-9), scores(more=1), {**REPORT, "scores": {"double": 2}}, {**REPORT, "scores": []},
    {**REPORT, "scores": {}}, {**REPORT, "status": "rejected"}, {**REPORT, "status": "no_notebook"},
    {**REPORT, "status": "fine"}, {**REPORT, "status": ["ok"]}, {**REPORT, "remarks": None}, {**REPORT, "remarks": [1]},
    {**REPORT, "notebook": None}, {**REPORT, "notebook": {"cells": {}}}, {**REPORT, "notebook": []},
    {**REPORT, "messages": ["x"]}, {**REPORT, "unanswered": None}, {**REPORT, "fragments": [{"name": "x"}]},
    {**REPORT, "fragments": None},
    {**REPORT, "fragments": [{"name": "x", "html": 1}]}, {}, {"status": "ok"}, {"status": "ok", "remarks": []},
])  # fmt: skip
def test_a_report_in_another_form_gives_no_points(report: dict[str, Any]) -> None:
    assert _checked(report, PAPER) == NOT_IN_FORM


@pytest.mark.parametrize("status", ["rejected", "failed", "timeout"])
def test_a_report_without_points_says_why(status: str) -> None:
    given = {"status": status, "remarks": ["a\nb\ud800", "x" * 501], "scores": {}, "notebook": {"cells": []}}
    assert _checked(given, PAPER) == {"status": status, "remarks": ["a\ufffdb\ufffd", "x" * 500]}


def test_what_a_report_says_is_harmless() -> None:
    evil = "<script>alert(1)</script>"
    given = {**REPORT, "messages": {"third": "\x1b[31mno\x07"}, "fragments": [{"name": 1, "html": f"<b>x</b>{evil}"}]}
    found = _checked(given, PAPER)
    assert found["messages"] == {"third": "no"}
    assert found["fragments"] == [{"name": "1", "html": "<b>x</b>"}]


@pytest.fixture
def collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Collector:
    """The collector of a course with an assignment of one notebook."""
    monkeypatch.setattr(run, "_environment", lambda: "packages")
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\n", encoding="utf-8")
    (tmp_path / "source/sums").mkdir(parents=True)
    (tmp_path / "source/sums/sums.ipynb").touch()
    return _Collector(Course.open(tmp_path), "sums", [PAPER])


SUBMISSION = Submission("sums.ipynb", b"content", b"files")


@pytest.mark.parametrize(
    ("submission", "paper"),
    [
        (replace(SUBMISSION, name="sums (1).ipynb"), PAPER),
        (replace(SUBMISSION, content=b"contents"), PAPER),
        (replace(SUBMISSION, files=b"file"), PAPER),
        (replace(SUBMISSION, content=b"contentf", files=b"iles"), PAPER),
        (SUBMISSION, replace(PAPER, task=replace(TASK, exam="{ }"))),
        (SUBMISSION, replace(PAPER, task=replace(TASK, isolated=False))),
    ],
)
def test_a_report_is_kept_for_one_submission_and_one_exam(
    collector: _Collector, submission: Submission, paper: Paper
) -> None:
    key = collector._key(PAPER, SUBMISSION)
    assert key == collector._key(PAPER, replace(SUBMISSION))
    assert key != collector._key(paper, submission)
    collector.environment += " "
    assert key != collector._key(PAPER, SUBMISSION)


def test_the_environment_is_python_the_packages_and_the_grader() -> None:
    text = run._environment()
    assert text == run._environment()
    assert {f"nh3=={run.importlib.metadata.version('nh3')}", run.sys.version.splitlines()[0]} <= set(text.splitlines())
    assert len(text.splitlines()[-1]) == 64


@pytest.mark.parametrize("status", ["ok", "rejected", "failed", "timeout"])
def test_only_what_came_to_an_end_is_kept_for_the_next_run(collector: _Collector, status: str) -> None:
    """What failed, or took too long, may do better on a quiet machine."""
    collector._keep("key", {"status": status})
    assert collector._kept("key") == ({"status": status} if status in ("ok", "rejected") else None)
    assert collector._kept("another") is None
    (collector.state / "reports/key.json").write_text("{", encoding="utf-8")
    assert collector._kept("key") is None


def work(**reports: str) -> _Work:
    return _Work("ada", {name: {"status": status, "remarks": []} for name, status in reports.items()})


@pytest.mark.parametrize(
    ("statuses", "status"),
    [("ok ok", "ok"), ("ok failed", "failed"), ("timeout failed", "timeout"), ("failed timeout", "failed"), ("", "ok")],
)
def test_the_first_status_that_is_not_ok_counts(statuses: str, status: str) -> None:
    assert work(**dict(zip("ab", statuses.split(), strict=False))).status == status


def test_only_what_was_executed_is_published() -> None:
    made = work(a="ok", b="failed", c="timeout", d="rejected", e="no_notebook", f="failed")
    for name in "abcde":
        made.reports[name]["notebook"] = {}
    assert list(made.graded) == ["a", "b", "c"]


POINTS = [Points("double", 1 / 3, 2, False), Points("essay", 0, 3, True), Points("why", 0, 1.5, True)]


def test_a_grade_says_what_waits_and_what_went_wrong(collector: _Collector) -> None:
    made = work(sums="timeout")
    made.notes = ["late\x1b"]
    made.reports["sums"]["remarks"] = ["the cell x was stopped"]
    expected = "late\ufffd; the cell x was stopped; 4.5 points wait to be graded by hand"
    assert collector._judged(made, POINTS, HandedIn()) == Grade("ada", 1 / 3, 6, "timeout", expected)
    assert collector._judged(work(sums="ok"), [], HandedIn()) == Grade("ada", 0, 6, "ok", "")
    assert collector._judged(work(sums="ok"), POINTS[:1], HandedIn()).reason == ""


def test_a_grade_says_how_late_it_was_and_what_that_cost(collector: _Collector) -> None:
    """The score is that before; where nobody knows when it came, Canvas's word counts."""
    late = HandedIn(late=timedelta(hours=25), penalty=0.5)
    said = "handed in 1 day 1 hour late: 0.5 points are taken off"
    assert collector._judged(work(sums="ok"), POINTS[:1], late) == Grade("ada", 1 / 3, 6, "ok", said)
    collector.downloads = {"ada": {"sums": Download("canvas", "a_LATE_1_2_sums.ipynb", late=True)}}
    assert collector._judged(work(sums="ok"), [], late).reason == said
    assert collector._judged(work(sums="ok"), [], HandedIn()).reason == "late, says Canvas"


def test_who_handed_in_nothing_is_a_line(collector: _Collector) -> None:
    collector.roster = Roster([Person("ada"), Person("b\nob")], {})
    assert collector._missing(["ada"]) == [Grade("b\ufffdob", 0, 6, "missing", "nothing was handed in")]


def test_a_reason_is_no_longer_than_a_reader_reads(collector: _Collector) -> None:
    made = work(sums="ok")
    made.reports["sums"]["remarks"] = [str(n) for n in range(20)]
    assert collector._judged(made, [], HandedIn()).reason == "; ".join(map(str, range(20)))
    made.reports["sums"]["remarks"].append("20")
    assert collector._judged(made, [], HandedIn()).reason == "; ".join(map(str, range(20))) + "; and 1 more"


def test_of_several_notebooks_each_is_named(collector: _Collector) -> None:
    made = work(a="ok", b="ok")
    for name in "ab":
        made.reports[name]["remarks"] = [f"in {name}"]
    collector.papers = [PAPER, PAPER]
    assert collector._judged(made, [], HandedIn()).reason == "a: in a; b: in b"


def test_the_log_says_where_a_grade_is_from(collector: _Collector) -> None:
    grade = Grade("ada", 1.5, 6.0, "ok", "")
    for made in (_Work("ada", keys={"sums": "k"}, fresh=True), _Work("ada", keys={"sums": "k"}), _Work("ada")):
        collector._log(grade, made)
    lines = [json.loads(line) for line in (collector.state / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line.pop("from") for line in lines] == ["graded", "kept", "not graded"]
    assert all(line.pop("time")[4] == "-" for line in lines)
    expected = {"assignment": "sums", "student": "ada", "score": 1.5, "max_score": 6.0, "status": "ok", "reason": ""}
    assert lines == [expected] * 3


def test_files_are_written_whatever_their_text(tmp_path: Path) -> None:
    run._write(tmp_path / "new/file", "a\ud800b\n")
    run._write(tmp_path / "new/file", "é\ud800\n")
    assert (tmp_path / "new/file").read_bytes() == "é?\n".encode()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["file"]


class TestRead:
    """A file as it was handed in, or the reason why there is none to examine."""

    @pytest.fixture
    def folder(self, collector: _Collector) -> Path:
        place = collector.course.folder("submitted", "ada", "sums")
        place.mkdir(parents=True)
        return place

    def test_a_notebook_and_what_lies_beside_it(self, collector: _Collector, folder: Path) -> None:
        (folder / "sums.ipynb").write_bytes(b"mine")
        (folder / "notes.txt").write_bytes(b"n")
        (folder / "link").symlink_to("notes.txt")
        collector.papers = [replace(PAPER, task=replace(TASK, files=sandbox.archive(folder, set())[0]))]
        made = _Work("ada")
        submission = collector._read(collector.papers[0], made)
        assert submission is not None
        assert (submission.name, submission.content) == ("sums.ipynb", b"mine")
        assert made.notes == ["link was left out, it is no plain file"]
        assert made.reports == {}

    def test_another_name(self, collector: _Collector, folder: Path) -> None:
        (folder / "mine.ipynb").write_bytes(b"mine")
        collector.papers = [replace(PAPER, task=replace(TASK, files=sandbox.archive(Path(os.devnull), set())[0]))]
        made = _Work("ada")
        assert collector._read(collector.papers[0], made) is not None
        assert made.notes == ["mine.ipynb was taken for sums.ipynb"]

    @pytest.mark.parametrize(("size", "refused"), [(64 * 2**20, False), (64 * 2**20 + 1, True)])
    def test_its_size(self, collector: _Collector, folder: Path, size: int, refused: bool) -> None:
        with open(folder / "sums.ipynb", "wb") as file:
            file.truncate(size)
        collector.papers = [replace(PAPER, task=replace(TASK, files=sandbox.archive(Path(os.devnull), set())[0]))]
        made = _Work("ada")
        assert (collector._read(collector.papers[0], made) is None) == refused
        said = {"status": "rejected", "remarks": ["sums.ipynb is larger than 64 MiB: clear its outputs"]}
        assert made.reports == ({"sums": said} if refused else {})

    @pytest.mark.parametrize("linked", ["file", "folder"])
    def test_a_link_is_not_followed(self, collector: _Collector, folder: Path, linked: str) -> None:
        """Neither to a secret, nor into another student's folder."""
        (folder / "sums.ipynb").write_bytes(b"ada's")
        elsewhere = collector.course.folder("submitted", "bob", "sums")
        if linked == "folder":
            elsewhere.parent.symlink_to(folder.parent)
        else:
            elsewhere.mkdir(parents=True)
            (elsewhere / "sums.ipynb").symlink_to(folder / "sums.ipynb")
        made = _Work("bob")
        assert collector._read(PAPER, made) is None
        said = ["sums.ipynb is a link to elsewhere: hand in the file itself"]
        assert made.reports == {"sums": {"status": "rejected", "remarks": said}}

    def test_a_name_that_no_student_has(self, collector: _Collector) -> None:
        for name, status in (("a\nb", "rejected"), ("\ud800", "rejected"), ("ä b", "no_notebook")):
            made = _Work(name)
            assert collector._read(PAPER, made) is None
            assert made.reports["sums"]["status"] == status


def test_a_question_that_a_human_has_graded_waits_no_more(
    collector: _Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions stand in the order of the notebook; one whose cell is not there comes last."""

    def grade(name: str, score: float, waits: bool, by_hand: float | None) -> Any:
        return SimpleNamespace(name=name, score=score, max_score=3, needs_manual_grade=waits, manual_score=by_hand)

    grades = [
        grade("gone", 0, False, None),
        grade("essay", 0, True, None),
        grade("again", 2.5, True, 2.5),
        grade("test", 1, False, None),
    ]
    comments = [SimpleNamespace(name="essay", comment="soon"), SimpleNamespace(name="test", comment=None)]
    found = SimpleNamespace(grades=grades, comments=comments, late_submission_penalty=1.5)
    book = SimpleNamespace(find_submission_notebook=lambda *_: found)
    shown: list[Any] = []
    monkeypatch.setattr(run.feedback, "page", lambda *given, **about: shown.append((*given, about)) or "<p>")
    collector.roster = Roster([Person("ada", "Ada", "Lovelace")], {})
    handed_in = HandedIn(datetime(2026, 3, 1, 12), datetime(2026, 3, 2, 9, 5))
    fragments = [{"name": name, "html": ""} for name in ("", "test", "essay", "again")]
    report = {"messages": {"test": "no"}, "fragments": fragments}
    collector._write_feedback(book, "ada", "sums", report, "remarks", handed_in)
    collector._write_feedback(book, "bob", "sums", report, "remarks", HandedIn())
    (title, questions, given, remarks, about), (*_, other) = shown
    facts = {"student": "Ada Lovelace (ada)", "due": "2026-03-01 12:00 UTC", "handed in": "2026-03-02 09:05 UTC"}
    assert (about, other["facts"]) == ({"facts": facts, "penalty": 1.5}, {"student": "bob"})
    assert (title, given, remarks) == ("sums", fragments, "remarks")
    assert [tuple(question.values()) for question in questions] == [
        ("test", 1, 3, "no", ""),
        ("essay", None, 3, "", "soon"),
        ("again", 2.5, 3, "", ""),
        ("gone", 0, 3, "", ""),
    ]
    file = collector.course.folder("feedback", "ada", "sums") / "sums.html"
    assert file.read_text(encoding="utf-8") == "<p>"
