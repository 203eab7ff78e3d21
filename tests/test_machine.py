"""What the machine is, against what the system says; where the course is on the web, against what git says."""

import importlib.metadata
import json
import os
import platform
import stat
import subprocess
import sys
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest
import torch

from tml_helpers import machine

# --- where the course is on the web ---

REPOSITORY, SITE = "https://github.com/Ada/course", "https://ada.github.io/course"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A checkout of a course with these addresses in its pyproject.toml, cloned from `origin`."""
    monkeypatch.setattr(machine, "ROOT", tmp_path)

    def make(origin: str = "", **urls: str) -> None:
        lines = [f"{label} = {json.dumps(address)}" for label, address in urls.items()]
        text = "\n".join(["[project]", 'name = "tml-helpers"', "[project.urls]", *lines])
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
        if origin:
            subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
            subprocess.run(["git", "-C", str(tmp_path), "remote", "add", "origin", origin], check=True)

    return make


def addresses(**options: bool) -> tuple[str | None, str | None]:
    return machine.repository(**options), machine.site(**options)


@pytest.mark.parametrize("committed", [False, True])
def test_the_address_is_what_pyproject_says_wherever_the_clone_is_from(
    checkout: Callable[..., None], committed: bool
) -> None:
    checkout(origin="https://github.com/bob/fork", Repository=f"{REPOSITORY}/")
    assert addresses(committed=committed) == (REPOSITORY, SITE)
    checkout(Repository=REPOSITORY, Documentation="https://example.org/book/")
    assert addresses(committed=committed) == (REPOSITORY, "https://example.org/book")


def test_without_a_setting_a_clone_has_its_origins_address_but_nothing_committed_has(
    checkout: Callable[..., None],
) -> None:
    checkout(origin="git@github.com:Ada/course.git")
    assert addresses() == (REPOSITORY, SITE)
    assert addresses(committed=True) == (None, None)


@pytest.mark.parametrize("origin", ["", "/srv/course.git"])
def test_a_copy_that_is_from_nowhere_on_the_web_has_no_address(checkout: Callable[..., None], origin: str) -> None:
    checkout(origin=origin)
    assert addresses() == (None, None)


def test_without_git_there_is_no_address(checkout: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    checkout(origin=REPOSITORY)
    monkeypatch.setenv("PATH", "")
    assert addresses() == (None, None)


def test_a_copy_inside_another_repository_has_not_that_ones_address(
    checkout: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout(origin=REPOSITORY)
    monkeypatch.setattr(machine, "ROOT", tmp_path / "vendor")
    monkeypatch.setattr(machine, "version", lambda _: None)
    (tmp_path / "vendor").mkdir()
    assert addresses() == (None, None)


def test_where_the_library_is_installed_the_address_is_in_its_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = Message()
    metadata["Project-URL"] = "Documentation, https://example.org/book"
    metadata["Project-URL"] = "Repository, https://example.org/sources"
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _: metadata)
    assert addresses(committed=True) == ("https://example.org/sources", "https://example.org/book")
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _: Message())
    assert addresses() == (None, None)
    monkeypatch.setattr(machine, "version", lambda _: None)  # a copied folder, which nothing installed
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _: pytest.fail("there are none"))
    assert addresses() == (None, None)


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://github.com/Ada/course.git\n", REPOSITORY),
        ("https://ada:to@ken@github.com/Ada/course.git/", REPOSITORY),
        ("https://github.com/Ada/course.git?token=secret#secret", REPOSITORY),
        ("git@github.com:Ada/course.git", REPOSITORY),
        ("ssh://git@github.com:22/Ada/course", REPOSITORY),
        ("ssh://ada:secret@gitlab.example.org/group/sub/course.git", "https://gitlab.example.org/group/sub/course"),
        ("http://example.org:3000/Ada/course", "http://example.org:3000/Ada/course"),
        *((local, None) for local in ("", "../course", "/srv/course.git", "file:///srv/course.git", "C:/course")),
        *((local, None) for local in (r"C:\course", r"\\server\course", "git@example.org:/srv/course.git")),
        *((local, None) for local in ("git@work:Ada/course.git", "ssh://work/Ada/course", "https://github.com/")),
    ],
)
def test_an_address_of_git_is_a_web_page_without_a_password_or_none(remote: str, page: str | None) -> None:
    assert machine.web_address(remote) == page


@pytest.mark.parametrize(
    ("repository", "site"),
    [
        (REPOSITORY, SITE),
        ("https://github.com/Ada/Ada.github.io", "https://ada.github.io"),
        ("https://gitlab.com/group/sub/course", "https://group.gitlab.io/sub/course"),
        ("https://gitlab.example.org/group/course", None),
        ("https://github.com.example.org/Ada/course", None),
    ],
)
def test_the_site_is_where_the_host_shows_the_pages_of_a_repository(
    checkout: Callable[..., None], repository: str, site: str | None
) -> None:
    checkout(Repository=repository)
    assert machine.site(committed=True) == site


# --- the machine ---


def test_a_version_is_that_of_the_module_and_none_where_it_is_missing() -> None:
    assert machine.version("torch") == torch.__version__ or torch.__version__.startswith(f"{machine.version('torch')}+")
    assert machine.version("no-such-package") is None


def test_a_description_can_be_written_to_a_result_file() -> None:
    facts = machine.describe()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["torch"] == machine.version("torch")
    assert {"system", "processor", "cores", "numpy", "triton"} <= facts.keys()
    assert (facts["processor"], facts["cores"]) == (machine.processor(), machine.cores())
    assert facts["system"] == f"{os.uname().sysname} {os.uname().machine}"


CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
stepping\t: 8

processor\t: 1
model name\t: another
"""


def test_the_processor_is_called_by_its_models_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO, encoding="utf-8")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.processor() == "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"


@pytest.mark.parametrize("content", [None, "Hardware\t: a board without a name\n"])
@pytest.mark.parametrize(("said", "called"), [("a chip", "a chip"), ("", "riscv64")])
def test_elsewhere_the_processor_is_what_python_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, said: str, called: str
) -> None:
    if content is not None:
        (tmp_path / "cpuinfo").write_text(content, encoding="utf-8")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: said)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert machine.processor() == called


def test_the_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    assert machine.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    for counted, cores in ((5, 5), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda counted=counted: counted)
        assert machine.cores() == cores


def test_the_first_program_that_is_there_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("second", "third"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(stat.S_IRWXU)
    (tmp_path / "first").touch()  # a file, but not a program
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.program("first", "second", "third") == str(tmp_path / "second")
    assert machine.program("first", "fourth") is None
