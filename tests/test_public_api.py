"""The public names and signatures of the library are those of `public_api.txt`: a reader's code keeps working.

Public is what a module of `tml_helpers` offers: its own `__all__`, or, where it has none, every name that it defines
without an underscore. All is read from the source text, so nothing heavy is imported. After a change that is meant (say
so in a file of `changes/`), `make register` renews the snapshot, or alone

    python tests/test_public_api.py
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "book/_ext"))
from catalogue import Catalogue  # noqa: E402

SNAPSHOT = Path(__file__).with_name("public_api.txt")
RENEW = "the public names are not those of tests/public_api.txt: if this is meant, run `make register`"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def source(root: Path, module: str) -> ast.Module:
    """The parsed source of a module or package, found without importing it."""
    path = root.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def definitions(tree: ast.Module) -> dict[str, ast.stmt]:
    """Every name that a module binds at its top, with the statement that does."""
    bound: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef):
            bound[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            bound |= {alias.asname or alias.name: node for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            bound |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return bound


def offered(tree: ast.Module) -> list[str]:
    bound = definitions(tree)
    if isinstance(listed := bound.get("__all__"), ast.Assign):
        return sorted(ast.literal_eval(listed.value))
    return sorted(n for n, node in bound.items() if n[0] != "_" and not isinstance(node, ast.ImportFrom))


def signature(name: str, function: Function) -> str:
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{name}({ast.unparse(function.args)}){returns}"


def members(name: str, body: ast.ClassDef) -> Iterator[str]:
    """A class: its bases, its public fields, and its public methods with `__init__`."""
    yield f"class {name}({', '.join(map(ast.unparse, body.bases))})"
    for node in body.body:
        if isinstance(node, Function) and (node.name[0] != "_" or node.name == "__init__"):
            yield signature(f"{name}.{node.name}", node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id[0] != "_":
            yield f"{name}.{node.target.id}: {ast.unparse(node.annotation)}"


def described(root: Path, module: str, name: str) -> Iterator[str]:
    """What a caller sees of one name; one that is taken from another module of ours is looked up there."""
    node = definitions(source(root, module))[name]
    if isinstance(node, Function):
        yield signature(name, node)
    elif isinstance(node, ast.ClassDef):
        yield from members(name, node)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tml_helpers."):
        yield from described(root, str(node.module), name)
    else:
        yield name


def public_api(root: Path) -> str:
    """One line for each public name of the package `tml_helpers` under `root`."""
    return "".join(
        f"tml_helpers.{module}: {line}\n"
        for module in Catalogue(root).modules
        for name in offered(source(root, f"tml_helpers.{module}"))
        for line in described(root, f"tml_helpers.{module}", name)
    )


def test_the_public_api_is_the_recorded_one() -> None:
    now, then = set(public_api(ROOT).splitlines()), set(SNAPSHOT.read_text(encoding="utf-8").splitlines())
    gone, new = "\n".join(sorted(then - now)), "\n".join(sorted(now - then))
    assert now == then, f"{RENEW}\ngone:\n{gone}\nnew:\n{new}"


MODULE = """
from elsewhere import tool
from tml_helpers._private import moved
LIMIT = 3
Size: type = int
def work(a: int, *, b: str = "x") -> None: ...
class Thing(Base):
    field: int
    def __init__(self, size): ...
    def turn(self, by=1): ...
    def _hidden(self): ...
"""


def library(root: Path, module: str, listed: str, private: str = "def moved(a, b): ...") -> str:
    package = root / "tml_helpers"
    package.mkdir(exist_ok=True)
    (package / "_private.py").write_text(private)
    (package / "module.py").write_text(f'"""A module."""\n{module}{listed}')
    return public_api(root)


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ('b: str = "x"', 'b: str = "y"', True),
        ("a: int", "c: int", True),
        ("*, ", "", True),
        ("-> None", "-> int", True),
        ("turn(self, by=1)", "turn(self, by=2)", True),
        ("(self, size)", "(self)", True),
        ("field: int", "field: str", True),
        ("Thing(Base)", "Thing", True),
        ("LIMIT = 3", "LIMITS = 3", True),
        ("LIMIT = 3", "LIMIT = 4", False),  # a value is not a name
        ("_hidden(self)", "_hidden(self, more)", False),
        ("import tool", "import another", False),
    ],
)
def test_the_snapshot_sees_what_a_caller_would_notice(tmp_path: Path, old: str, new: str, seen: bool) -> None:
    before = library(tmp_path, MODULE, listed="")
    assert before.count("\n") == 7
    assert old in MODULE
    assert (library(tmp_path, MODULE.replace(old, new), listed="") != before) == seen


def test_a_name_that_is_offered_from_elsewhere_has_the_signature_that_it_has_there(tmp_path: Path) -> None:
    listed = '__all__ = ["tool", "moved"]'
    assert library(tmp_path, MODULE, listed) == "tml_helpers.module: moved(a, b)\ntml_helpers.module: tool\n"
    assert "moved(a)" in library(tmp_path, MODULE, listed, private="def moved(a): ...")


if __name__ == "__main__":
    SNAPSHOT.write_text(public_api(ROOT), encoding="utf-8")
    print(f"wrote {SNAPSHOT.relative_to(ROOT)}")
