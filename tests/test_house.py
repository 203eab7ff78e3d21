"""Imports point one way: from a topic to what topics share. No room uses what another keeps to itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tml_helpers"
# Each floor stands on those before it. A room that is not named is a topic.
SHARED = [
    {"_console", "_torchvision", "machine", "measured"},
    {"claims", "threat_models", "common", "kernels"},
    {"training", "plotting", "data"},
    {"models"},
]
ABOVE_TOPICS = {"grading", "doctor", "cli"}
# What a topic needs of another.
NEEDS = {"defenses": {"attacks", "distillation"}, "doctor": {"grading"}, "cli": {"grading", "doctor"}}


def rooms() -> set[str]:
    return {file.stem for file in PACKAGE.glob("*.py")} | {p.parent.name for p in PACKAGE.glob("*/__init__.py")}


def imports(file: Path) -> Iterator[str]:
    """The modules of the package, and the names in them, that a file imports: as `attacks.pgd.ascend`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tml_helpers":
            place = (node.module or "").removeprefix("tml_helpers").strip(".")
            yield from (f"{place}.{alias.name}".strip(".") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("tml_helpers.") for a in node.names if a.name.startswith("tml_helpers."))


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(file: Path) -> str:
    """The module or package of the library that a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    shared = (n for n, names in enumerate(SHARED) if name in names)
    return next(shared, len(SHARED) + (name in ABOVE_TOPICS))


def test_every_name_here_is_a_room() -> None:
    assert set().union(*SHARED, ABOVE_TOPICS, NEEDS, *NEEDS.values()) <= rooms()


@pytest.mark.parametrize("file", files(), ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_imports_point_down(file: Path) -> None:
    here = room(file)
    for imported in imports(file):
        there = imported.partition(".")[0]
        if there in rooms() and there != here:
            allowed = floor(there) < floor(here) or there in NEEDS.get(here, set())
            assert allowed, f"{here} may not use {there}: move what both need down to common, or say so in NEEDS"


@pytest.mark.parametrize("file", files(), ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_no_room_uses_what_another_keeps_to_itself(file: Path) -> None:
    for imported in imports(file):
        first, *rest = imported.split(".")
        if first != room(file):
            private = [part for part in rest if part.startswith("_")]
            assert not private, f"{imported} is private: name it without an underscore, in __all__"


def test_there_is_no_circle() -> None:
    for here, others in NEEDS.items():
        assert not [there for there in others if here in NEEDS.get(there, set())]
