"""What a reader has who installed the package and has no checkout: all that a lecture shows, from an empty folder."""

import ast
import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# Not in a lecture's way: what grades and what checks the machine, and a kernel that runs where Triton is.
APART = ("grading/", "cli.py", "doctor.py", "kernels/_triton.py")
# What a dependency brings with it (matplotlib), and what every notebook runs on.
BROUGHT = {"cycler", "ipython", "matplotlib-inline"}
PROGRAM = """
import json, sys
import tml_helpers
from tml_helpers import data, measured, models

print(json.dumps({
    "library": tml_helpers.__file__,
    "measured": {name: sorted(measured.result(name)) for name in measured.names()},
    "images": len(data.mnist("test", source="default")),
    "days": len(data.bike_sharing(source="default")),
    "people": int(data.compas()["people"].sum()),
    "weights": sum(part.numel() for part in models.mnist_gan().generator.parameters()),
}))
"""


@pytest.fixture(scope="module")
def found(library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a Python finds that has this library first on its path, in an empty folder."""
    empty = tmp_path_factory.mktemp("empty")
    environment = {**os.environ, "PYTHONPATH": str(library)}
    program = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(program, cwd=empty, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
    assert list(empty.iterdir()) == []
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def asked_for() -> dict[str, set[str]]:
    """The measurements that each lecture asks for by name."""
    asked = {}
    for lecture in sorted((ROOT / "lectures").glob("*/*.py")):
        calls = [n for n in ast.walk(ast.parse(lecture.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        asked[str(lecture.relative_to(ROOT))] = {
            ast.literal_eval(call.args[0])
            for call in calls
            if ast.unparse(call.func) in ("result", "measured.result", "pages.result")
        }
    return asked


def test_the_library_is_that_of_the_wheel(library: Path, found: dict[str, Any]) -> None:
    assert Path(found["library"]) == library / "tml_helpers/__init__.py"


def test_what_a_lecture_shows_is_in_the_wheel_as_it_is_in_the_checkout(found: dict[str, Any]) -> None:
    asked = {name for names in asked_for().values() for name in names}
    assert {"attacks", "explanations", "superpixels"} <= asked
    for name in asked:
        committed = json.loads((ROOT / f"benchmarks/results/{name}.json").read_text(encoding="utf-8"))
        assert found["measured"].get(name) == sorted(committed)


def test_no_lecture_looks_for_a_file_of_the_checkout() -> None:
    for lecture in sorted((ROOT / "lectures").glob("*/*.py")):
        texts = [
            n.value for n in ast.walk(ast.parse(lecture.read_text(encoding="utf-8"))) if isinstance(n, ast.Constant)
        ]
        assert [text for text in texts if isinstance(text, str) and text.startswith("../")] == [], lecture


def test_weights_and_data_are_found(found: dict[str, Any]) -> None:
    assert found["images"] == 1000
    assert found["days"] == 365
    assert found["people"] == 7214
    assert found["weights"] > 100_000


def test_the_wheel_holds_the_package_and_nothing_else(library: Path) -> None:
    assert (library / "tml_helpers/py.typed").is_file()
    assert (library / "bin/tml").is_file()
    here = {str(file.relative_to(ROOT)) for file in (ROOT / "tml_helpers").rglob("*.py")}
    there = {str(file.relative_to(library)) for file in library.rglob("*.py")}
    assert here == there


def imported(file: Path) -> Iterator[str]:
    """The packages that a file imports, anywhere in it, and does not do without where they are missing."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    tried = [node for node in ast.walk(tree) if isinstance(node, ast.Try) and does_without(node)]
    spared = {part for node in tried for statement in node.body for part in ast.walk(statement)}
    for node in ast.walk(tree):
        if node in spared:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


def does_without(node: ast.Try) -> bool:
    return any(isinstance(handler.type, ast.Name) and handler.type.id == "ImportError" for handler in node.handlers)


def test_a_lecture_needs_nothing_that_pip_does_not_install_with_the_library() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]} | BROUGHT
    packages = importlib.metadata.packages_distributions()
    library = ROOT / "tml_helpers"
    ours = [file for file in library.rglob("*.py") if not file.relative_to(library).as_posix().startswith(APART)]
    for file in [*(ROOT / "lectures").glob("*/*.py"), *(ROOT / "solutions").glob("*/h*.py"), *ours]:
        for name in set(imported(file)) - {"tml_helpers", *sys.stdlib_module_names}:
            assert installed & {*map(canonicalize_name, packages.get(name, [name]))}, (
                f"{file.relative_to(ROOT)}: {name}"
            )
