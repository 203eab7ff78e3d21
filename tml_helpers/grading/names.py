"""What a cell's code defines and uses, read from its text."""

import ast
import builtins
import importlib
import re
import symtable
from typing import Any, NamedTuple

BUILTINS = frozenset(dir(builtins))
LOOKS_UP = {"globals", "locals", "vars", "dir", "eval"}
COMPREHENSIONS = (ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)
COLLECTIONS = (ast.List, ast.Tuple, ast.Set, ast.Dict)
VALUES = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot)
DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def python(source: str) -> str:
    """A cell's text as Python: magics and shell lines are calls of IPython's, a cell magic as `%%time` is left out."""
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(re.sub(r"\A\s*%%.*\n", "", source))


def defined(code: str) -> set[str]:
    """The names that this code binds at its top level; none where it is not Python."""
    try:
        symbols = symtable.symtable(code, "cell", "exec").get_symbols()
    except (SyntaxError, ValueError):
        return set()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()}


class Used(NamedTuple):
    """Global names that code reads: at once, and when its functions are called."""

    now: set[str]
    later: set[str]


def used(code: str) -> Used:
    """The global names that this code reads; none where it is not Python."""
    try:
        top = symtable.symtable(code, "cell", "exec")
    except (SyntaxError, ValueError):
        return Used(set(), set())
    inner, tables = set(), top.get_children()
    while tables:
        table = tables.pop()
        inner |= {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
        tables += table.get_children()
    outer = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    return Used(outer | inner | _looked_up(code), inner)


def _looked_up(code: str) -> set[str]:
    """What code looks up by its name, as `"x" in globals()` does, or a loop over names: no other text in it.

    A text that it compares with what it found may be what it expects.
    """
    tree = parsed(code)
    lists = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, COLLECTIONS)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    places = [place for node in ast.walk(tree) if _looks_up(node) for place in _places(node)]
    parts = [part for place in places for part in ast.walk(place)]
    parts += [part for name in parts if isinstance(name, ast.Name) for part in ast.walk(lists.get(name.id, name))]
    texts = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    return {text for text in texts if text.isidentifier()}


def _looks_up(node: ast.AST) -> bool:
    return any(getattr(part, "id", "") in LOOKS_UP for part in ast.walk(node))


def _places(node: ast.AST) -> list[ast.AST]:
    """Where the names stand that this part of code looks up."""
    if isinstance(node, ast.For):
        return [node.iter]
    if isinstance(node, COMPREHENSIONS):
        return [part.iter for part in node.generators]
    if isinstance(node, ast.Call):
        whole = [part for part in node.args if isinstance(part, ast.Call) and not part.args and _looks_up(part.func)]
        each = getattr(node.func, "id", "") in ("map", "filter")
        return [node] if whole or each or _looks_up(node.func) else []
    if isinstance(node, ast.Compare):
        one_of = isinstance(node.ops[-1], ast.In | ast.NotIn) and not _looks_up(node.comparators[-1])
        return [] if one_of or any(isinstance(way, VALUES) for way in node.ops) else [node]
    both = isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.Sub)
    return [node] if both or isinstance(node, ast.Subscript) else []


def modules(code: str) -> dict[str, str]:
    """The modules that this code imports anywhere, by the names that it gives them."""
    found: dict[str, str] = {}
    for node in ast.walk(parsed(code)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def helpers(code: str) -> dict[str, str]:
    """What this code imports, by name, if it defines something else too: then no import is what was asked for."""
    found = modules(code)
    return found if defined(code) - set(found) else {}


def imported(path: str) -> Any:
    """The module, or the object in a module, with this dotted name."""
    try:
        return importlib.import_module(path)
    except ImportError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


def changed(code: str) -> set[str]:
    """The names whose items or attributes this code sets at its top level, or whose methods it calls for an effect."""
    found: set[str] = set()
    todo: list[ast.AST] = list(parsed(code).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        todo += ast.iter_child_nodes(node)
        effect = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        inner: ast.AST = node.value.func if effect else node  # type: ignore[attr-defined]
        stored = isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load)
        while isinstance(inner, ast.Subscript | ast.Attribute) and (effect or stored):
            inner = inner.value
            if isinstance(inner, ast.Name):
                found.add(inner.id)
    return found


def definitions(code: str) -> str:
    """Only the imports, functions and classes at the top level of this code."""
    tree = parsed(code)
    return ast.unparse(ast.Module([node for node in tree.body if isinstance(node, DEFINITIONS)], []))


def parsed(code: str) -> ast.Module:
    """The code as a tree; an empty one where it is not Python."""
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError):
        return ast.Module([], [])
