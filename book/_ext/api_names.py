"""Inline code that names a public function or class of the library leads to its entry on the API pages.

On lectures and homework `tml_helpers.attacks.pgd` and `attacks.pgd` do, and `tml_helpers.attacks` to its page. `pgd`
does on a lecture that imports it, or a package that has it, and has no `pgd` of its own.
"""

import ast
import re
from collections.abc import Iterator

from docutils import nodes
from links import is_running_text
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

LIBRARY = "tml_helpers"
NAME = re.compile(r"([A-Za-z_][\w.]*\w)(?:\(.*\))?", re.DOTALL)
KINDS = {"function", "class", "exception", "module"}


def statements(doctree: nodes.document) -> Iterator[ast.AST]:
    """All that the page's cells of Python consist of."""
    for block in doctree.findall(nodes.literal_block):
        if "python" in block.get("language", ""):
            try:
                yield from ast.walk(ast.parse(block.astext()))
            except SyntaxError:  # a cell that begins with `%` or `!`
                continue


def names_of_page(doctree: nodes.document, known: dict[str, tuple[str, str]]) -> dict[str, str]:
    """What a name without a dot means on this page: the full name of one thing in the library."""
    found: dict[str, set[str]] = {}
    own: set[str] = set()
    for node in statements(doctree):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == LIBRARY:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}."
                found.setdefault(alias.name, set()).add(inside[:-1])
                for name in known:
                    if name.startswith(inside) and "." not in name.removeprefix(inside):
                        found.setdefault(name.removeprefix(inside), set()).add(name)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
    return {name: meant.pop() for name, meant in found.items() if len(meant) == 1 and name not in own}


def entry(written: str, known: dict[str, tuple[str, str]]) -> str | None:
    """The full name under which the API pages have what is written; another module's, where that defines it."""
    full = f"{LIBRARY}.{written.removeprefix(f'{LIBRARY}.')}"
    module, _, last = full.rpartition(".")
    same = [full] if full in known else [one for one in known if one.endswith(f".{last}")]
    return same[0] if "." in written and module in {LIBRARY, *known} and len(same) == 1 else None


def link_names(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Lead from inline code to the API pages."""
    if not docname.startswith(("lectures/", "exercises/")):
        return
    objects = app.env.get_domain("py").get_objects()
    known = {name: (page, anchor) for name, _, kind, page, anchor, _ in objects if kind in KINDS}
    bare = names_of_page(doctree, known) if docname.startswith("lectures/") else {}
    for code in list(doctree.findall(nodes.literal)):
        written = NAME.fullmatch(code.astext())
        if written is None or not is_running_text(code):
            continue
        name = entry(bare.get(written[1], written[1]), known)
        if name is not None:
            page, anchor = known[name]
            link = make_refnode(app.builder, docname, page, anchor, code.deepcopy(), name)
            link["classes"].append("api")
            code.parent.replace(code, link)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
