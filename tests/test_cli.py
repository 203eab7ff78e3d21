"""The command `tml`: every subcommand has help, every mistake is one line and exit status 1."""

import importlib.metadata
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

COMMANDS = ("doctor", "data", "check", "collect", "release", "grade", "report")


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


# --- doctor ---


def diagnosis(capsys: pytest.CaptureFixture[str], status: int) -> dict[str, tuple[str, str]]:
    """What the doctor said of each thing: name → ("ok" or "--", the rest)."""
    assert cli.main(["doctor"]) == status
    lines = capsys.readouterr().out.splitlines()
    found = [re.fullmatch(r"(ok|--) +(\w[\w-]*(?: \w+)?) +(.+)", line) for line in lines]
    assert all(found), lines
    return {match[2]: (match[1], match[3]) for match in found if match}


def test_the_doctor_finds_what_is_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text("vendor_id : Z\nmodel name : Z80 at 4 MHz\n", encoding="utf-8")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3}, raising=False)
    said = diagnosis(capsys, status=0)
    assert said["torch"] == ("ok", importlib.metadata.version("torch"))
    assert said["processor"] == ("ok", "Z80 at 4 MHz, 2 cores")
    assert said["Python"][0] == "ok"
    assert "not set" in said["TML_DATA_DIR"][1]
    assert set(said) >= {"mlxtend", "triton", "nbgrader", "bubblewrap", "Chromium", "processor", "GPU", "free disk"}


def test_the_doctor_names_the_package_of_a_missing_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    said = diagnosis(capsys, status=0)  # reading and running the lectures needs neither
    for name, remedy in (("bubblewrap", "apt-get install bubblewrap"), ("Chromium", "apt-get install chromium")):
        assert said[name][0] == "--"
        assert remedy in said[name][1]


@pytest.mark.parametrize(("system", "remedy"), [("linux", "make setup"), ("win32", "made for Linux alone")])
def test_the_doctor_sends_nobody_after_what_there_is_not_for_the_system(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], system: str, remedy: str
) -> None:
    monkeypatch.setattr(machine, "version", lambda package: None if package == "triton" else "1.0")
    monkeypatch.setattr(machine, "program", lambda *names: None)
    monkeypatch.setattr(sys, "platform", system)
    said = diagnosis(capsys, status=0)
    assert remedy in said["triton"][1]
    assert ("apt-get" in said["bubblewrap"][1]) == (system == "linux")


def test_the_doctor_fails_where_torch_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "version", lambda package: None if package in ("torch", "nbgrader") else "1.0")
    said = diagnosis(capsys, status=1)
    for package in ("torch", "nbgrader"):
        assert said[package][0] == "--"
        assert "make setup" in said[package][1]


def test_the_doctor_fails_on_an_old_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 2, "final", 0))
    said = diagnosis(capsys, status=1)
    assert said["Python"][0] == "--"
    assert "3.11 or later" in said["Python"][1]


def test_the_doctor_sees_a_wrong_data_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path))
    assert diagnosis(capsys, status=0)["TML_DATA_DIR"] == ("ok", str(tmp_path))
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path / "nowhere"))
    state, text = diagnosis(capsys, status=0)["TML_DATA_DIR"]
    assert state == "--"
    assert "correct it, or unset it" in text


# --- data ---


def test_data_says_what_a_set_is_and_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "digits"]) == 0
    assert re.fullmatch(r"digits +1,438 images of 1×8×8, 10 classes, from .*scikit-learn\n", capsys.readouterr().out)


def test_data_without_a_name_says_of_every_set_what_it_is_or_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tml_helpers.data import digits, newsgroups

    monkeypatch.setattr("tml_helpers.data.LOADERS", {"newsgroups": newsgroups, "digits": digits})
    monkeypatch.setattr("tml_helpers.data._folders.cache_folder", lambda: Path("/nowhere"))
    assert cli.main(["data"]) == 0
    lost, found = capsys.readouterr().out.splitlines()
    assert re.match(r"newsgroups +no package ships", lost)
    assert re.match(r"digits +1,438 images", found)
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
    del grades[1]
    assert cli.main(["grade", "h9"]) == 0


def test_grade_passes_its_options_on(course: SimpleNamespace) -> None:
    asked: list[dict[str, Any]] = []
    course.grade = lambda assignment, **options: asked.append({"assignment": assignment, **options}) or []
    assert cli.main(["grade", "h9"]) == 0
    assert (
        cli.main(["grade", "h9", "--engine", "dask", "--address", "tls://host:8786", "--jobs", "3", "--course", "c"])
        == 0
    )
    assert cli.main(["grade", "h9", "--let-submissions-do-whatever-i-can-do"]) == 0
    here = {
        "assignment": "h9",
        "engine": "local",
        "address": None,
        "jobs": None,
        "unsandboxed": False,
        "course": Path(),
    }
    there = {"engine": "dask", "address": "tls://host:8786", "jobs": 3, "course": Path("c")}
    assert asked == [here, here | there, here | {"unsandboxed": True}]


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
    [("release", "h9_nothing"), ("grade", "h9_nothing"), ("check", "nowhere.ipynb"), ("report", "--csv", "points.csv")],
)
def test_homework_that_is_not_there_is_one_line(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fails(capsys, *arguments)
    assert os.listdir(tmp_path) == [], "nothing half-written stays behind"
