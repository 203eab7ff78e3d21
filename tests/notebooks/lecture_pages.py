"""The lectures as the tests see them: sources, twins, and what their cells say and draw."""

import ast
import functools
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import nbformat
from nbformat import NotebookNode
from words import Page

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "lectures").glob("*/*.py"))
KERNEL_PAGES = "09_kernels"


def tool() -> ModuleType:
    """A fresh import of `tools/notebooks.py`, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("notebooks_tool", ROOT / "tools/notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def name_of(source: Path) -> str:
    return f"{source.parent.name}/{source.stem}"


def is_kernel_page(source: Path) -> bool:
    return source.parent.name == KERNEL_PAGES


@functools.cache
def twin(source: Path) -> NotebookNode:
    """The committed notebook."""
    file = source.with_suffix(".ipynb")
    assert file.exists(), f"{file.relative_to(ROOT)} is missing: run `make notebooks`"
    return nbformat.read(file, as_version=4)


def code_cells(source: Path) -> list[NotebookNode]:
    """The code that a reader sees: all but the line that installs the library on Colab."""
    return [c for c in twin(source).cells if c.cell_type == "code" and "remove-cell" not in c.metadata.get("tags", [])]


@functools.cache
def page(source: Path) -> Page:
    """The source, as it is written."""
    return Page(ROOT, source)


def text(source: Path) -> str:
    """All Markdown of a page, as it is written."""
    return "\n\n".join(cell.source for cell in page(source).cells if cell.cell_type == "markdown")


def figures(cell: NotebookNode) -> list[NotebookNode]:
    return [output for output in cell.get("outputs", []) if {"image/png", "image/jpeg"} & set(output.get("data", {}))]


def printed(cell: NotebookNode) -> str:
    """What a cell printed."""
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")


def runs(code: str) -> Iterator[ast.AST]:
    """Every node that runs when the cell runs: the bodies of functions and classes are left out."""
    waiting: list[ast.AST] = [ast.parse(code)]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def called(code: str) -> set[str]:
    """What a cell calls itself, as it is written: `print`, `plt.show`."""
    return {ast.unparse(node.func) for node in runs(code) if isinstance(node, ast.Call)}


def questions(markdown: str) -> int:
    """How many questions the page's quizzes ask."""
    quizzes = re.findall(r"^```\{quiz\}(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    return sum(len(re.findall(r"^\? \S", quiz, re.MULTILINE)) for quiz in quizzes)
