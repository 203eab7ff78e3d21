"""Modules that a homework withholds from those who are to write what is in them.

A cell of the source says so in its metadata: `tml={"withhold": ["course.attacks"]}`; a locked cell from which on they
may be used says `tml={"give": ["course.attacks"]}`. Where submissions run, an import of what is withheld fails with one
sentence, its files are hidden, and nothing of it was ever loaded; what is given comes as text from the tests' side. So
what a submission does to this module is its own loss.
"""

import contextlib
import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

WITHHELD = "{} is withheld while this homework is graded: you are asked to write it yourself"
Texts = dict[str, list[str]]
"""Of each module the name of its file, and what stands in it."""


def read(source: Path) -> tuple[list[str], dict[str, list[str]]]:
    """What the notebook in this file withholds, and which of it each cell gives, by the cell's name.

    Raises ValueError for a module that its package does not have, and for one that is given without being withheld.
    """
    cells = [cell.get("metadata", {}) for cell in json.loads(source.read_bytes()).get("cells", [])]
    withheld = [module for cell in cells for module in cell.get("tml", {}).get("withhold", [])]
    giving = [cell for cell in cells if cell.get("tml", {}).get("give")]
    gives = {cell.get("nbgrader", {}).get("grade_id", ""): list(cell["tml"]["give"]) for cell in giving}
    for module in withheld:
        if spec(module) is None and spec(module.partition(".")[0]) is not None:
            raise ValueError(f"there is no module {module} to withhold: is the name right?")
    for name, given in gives.items():
        if not name or not set(given) <= set(withheld):
            raise ValueError(f"the cell {name!r} gives {', '.join(given)}: a locked cell gives what is withheld")
    return withheld, gives


def spec(module: str) -> ModuleSpec | None:
    """Where a module is, found without importing it or a package that it is in."""
    names = module.split(".")
    found = importlib.util.find_spec(names[0])
    for end in range(2, len(names) + 1):
        if found is None:
            return None
        found = PathFinder.find_spec(".".join(names[:end]), found.submodule_search_locations)
    return found


def places(modules: Sequence[str]) -> list[str]:
    """The folders of packages and the files of modules: with those hidden, nobody can read what is in them."""
    found: list[str] = []
    for module in modules:
        where = spec(module)
        if where is not None and where.submodule_search_locations:
            found += where.submodule_search_locations
        elif where is not None and where.origin:
            cached = importlib.util.cache_from_source(where.origin)
            found += [place for place in (where.origin, cached) if Path(place).is_file()]
    return found


def texts(modules: Sequence[str]) -> Texts:
    """The text of these modules, and of all that is in those that are packages."""
    found: Texts = {}
    for module in modules:
        where = spec(module)
        if where is None or where.origin is None or not Path(where.origin).is_file():
            continue
        file = Path(where.origin)
        top = file.parent if where.submodule_search_locations else file
        for each in sorted(top.rglob("*.py")) if top.is_dir() else [file]:
            parts = each.relative_to(top).with_suffix("").parts if top.is_dir() else ()
            name = ".".join((module, *(part for part in parts if part != "__init__")))
            found[name] = [str(Path("given", *module.split("."), each.name)), each.read_text(encoding="utf-8")]
    return found


class Withheld(MetaPathFinder, SourceLoader):  # type: ignore[misc]  # of the two, one is right at run time
    """Python's way to these modules: there is none, until they are given as text."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.prefixes = tuple(f"{module}." for module in modules)
        self.given: Texts = {}

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname in self.given:
            return importlib.util.spec_from_file_location(fullname, self.given[fullname][0], loader=self)
        if self.covers(fullname):
            raise ImportError(WITHHELD.format(fullname))
        return None

    def covers(self, name: str) -> bool:
        """Whether this is one of the modules, or in one of them."""
        return f"{name}.".startswith(self.prefixes)

    def get_filename(self, fullname: str) -> str:
        return self.given[fullname][0]

    def get_data(self, path: str) -> bytes:
        return next(text.encode() for file, text in self.given.values() if file == path)


def told(outputs: Sequence[Any]) -> list[str]:
    """The sentences among a cell's outputs that say what is withheld."""
    errors = [output for output in outputs if isinstance(output, dict) and output.get("ename") == "ImportError"]
    return [text for error in errors if (text := str(error.get("evalue"))).endswith(WITHHELD.format(""))]


def give(modules: Texts) -> None:
    """From now on these modules can be imported here."""
    for finder in sys.meta_path:
        if isinstance(finder, Withheld):
            finder.given |= modules


@contextlib.contextmanager
def absent(modules: Sequence[str]) -> Iterator[None]:
    """Inside, these modules cannot be imported, also where they have been before."""
    finder = Withheld(modules)
    gone = {name: sys.modules.pop(name) for name in list(sys.modules) if finder.covers(name)}
    inside = [(sys.modules.get(name.rpartition(".")[0]), name.rpartition(".")[2], gone[name]) for name in gone]
    inside = [(package, name, module) for package, name, module in inside if package is not None]
    for package, name, _ in inside:
        vars(package).pop(name, None)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.modules.update(gone)
        for package, name, module in inside:
            setattr(package, name, module)
