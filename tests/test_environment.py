"""One lock, wide ranges, and one place for the repository's address."""

import fnmatch
import importlib.metadata
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
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
    assert text.count("pip install -c constraints.txt --no-deps ISLP\n") == 3
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
    assert all("$(LOCK)" in line for line in lines if "pip install" in line)


def test_ci_runs_the_make_targets_that_people_run() -> None:
    assert "\nmake test\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    commands = {
        command
        for file in (ROOT / ".github/workflows").glob("*.yml")
        for job in yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values()
        for command in (step["run"] for step in job["steps"] if "run" in step)
    }
    targets = {f"make {name}" for name in ("book", "claims", "full-data", "luck", "mutants", "test", "test-all")}
    assert {command for command in commands if not command.startswith("sudo")} == targets


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


def test_the_address_of_the_repository_stands_in_one_place() -> None:
    address = PROJECT["urls"]["Repository"].removeprefix("https://")
    places = {str(p.relative_to(ROOT)) for p in sources() if address.encode() in p.read_bytes()}
    assert places == {"pyproject.toml"}


def test_the_version_is_the_same_wherever_it_stands() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert f"\n## {PROJECT['version']}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f'__version__ = "{PROJECT["version"]}"' in (ROOT / "tml_helpers/__init__.py").read_text(encoding="utf-8")
