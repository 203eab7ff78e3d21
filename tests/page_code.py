"""The functions and classes that a lecture defines, to be tried on other data than the page's."""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


def page_code(lecture: str, **constants: Any) -> SimpleNamespace:
    """What `lectures/{lecture}.py` defines, without running its cells.

    Args:
        lecture: as `00_foundations/learning`.
        constants: values for names of the page that its functions use.

    Returns:
        Imports, functions and classes, by name; of two with one name the last.
    """
    tree = ast.parse((ROOT / "lectures" / f"{lecture}.py").read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if isinstance(node, KEPT)]
    names: dict[str, Any] = {"__name__": f"lectures.{lecture}", **constants}
    exec(compile(tree, f"{lecture}.py", "exec"), names)
    return SimpleNamespace(**names)
