"""What a cell's code defines and uses, read from its text."""

import ast
import builtins
import symtable
from typing import NamedTuple

BUILTINS = frozenset(dir(builtins))
DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def python(source: str) -> str:
    """A cell's text as Python, its magics and shell lines made calls of IPython's."""
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(source)


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
    return Used(outer | inner, inner)


def modules(code: str) -> dict[str, str]:
    """The modules that this code imports anywhere, by the names that it gives them."""
    found: dict[str, str] = {}
    for node in ast.walk(_parsed(code)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def definitions(code: str) -> str:
    """Only the imports, functions and classes at the top level of this code."""
    tree = _parsed(code)
    return ast.unparse(ast.Module([node for node in tree.body if isinstance(node, DEFINITIONS)], []))


def _parsed(code: str) -> ast.Module:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError):
        return ast.Module([], [])
