"""The functions and classes that a lecture defines, to be tried on other data than the page's."""

import ast
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


def page_code(lecture: str, *tables: str, **constants: Any) -> Any:
    """What `lectures/{lecture}.py` defines, without running its cells.

    Args:
        lecture: as `00_foundations/learning`.
        tables: names of the page that are set once, by a plain assignment, and wanted as well.
        constants: values for names of the page that its functions use.

    Returns:
        A module of imports, functions, classes and tables; of two with one name the last.
    """
    tree = ast.parse((ROOT / "lectures" / f"{lecture}.py").read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if isinstance(node, KEPT) or _sets(node) & {*tables}]
    page = ModuleType(f"page {lecture}")
    sys.modules[page.__name__] = page  # where a dataclass looks for its own module
    vars(page).update(constants)
    exec(compile(tree, f"{lecture}.py", "exec"), vars(page))
    return page


def _sets(node: ast.stmt) -> set[str]:
    """The names that an assignment sets."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
