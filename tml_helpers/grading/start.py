"""The homework that travels with the package, and a copy of it for a student to work in."""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from tml_helpers import machine

_PACKAGE = Path(__file__).parents[1]
_INSTALLED, _CHECKOUT = _PACKAGE / "exercises", _PACKAGE.parent / "exercises"
FOLDER = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
FROM = "exercises/name"  # as deep as the folders of the released notebooks
# Code and formulas are matched to be left alone. A link to another page is neither a picture, nor does it lead to
# another host or within the page.
OTHER_PAGE = r"\((?!\w+:|#)(?P<page>[^)\s#]+)(?P<part>#[^)\s]*)?\)"
LINK = re.compile(r"`+[^`]+`+|\$+[^$]+\$+|(?<!!)\[(?P<words>[^\]]*)\]" + OTHER_PAGE)


def homework() -> dict[str, Path]:
    """The released notebooks by name, as `h1_distillation`."""
    return {file.stem: file for file in sorted(FOLDER.glob("*/*.ipynb"))}


def start(name: str, *, to: Path | None = None) -> Path:
    """Copy a homework to a folder of the student's. Links in it lead to the course's site, where that has an address.

    Args:
        name: of the homework, as `h1` or `h1_distillation`.
        to: the folder, which is made; default: one of the homework's name, here.

    Returns:
        The notebook's path.

    Raises:
        ValueError: an unknown homework; it says which there are.
        FileExistsError: the notebook is there already: nothing is overwritten.
        OSError: the disk.
    """
    there = homework()
    full = next((n for n in there if name.lower() in (n, n.partition("_")[0])), None)
    if full is None:
        raise ValueError(f"there is no homework {name!r}; there are: {', '.join(there) or 'none'}")
    folder = Path(full) if to is None else to
    file = folder / f"{full}.ipynb"
    if file.exists():
        raise FileExistsError(f"{file} is there already and stays as it is: go on with it, or name a folder with --to")
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: name another folder with --to")
    folder.mkdir(parents=True, exist_ok=True)
    made = with_links_to(machine.site(), json.loads(there[full].read_text(encoding="utf-8")))
    with open(file, "x", encoding="utf-8", newline="\n") as copy:
        copy.write(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    return file


def with_links_to(site: str | None, notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook with the links of its text leading to the course's site; a cell that is graded stays as it is."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown" and "nbgrader" not in cell["metadata"]:
            cell["source"] = linked(site, "".join(cell["source"]))
    return notebook


def linked(site: str | None, text: str) -> str:
    """The text with its links to other pages of the course leading to its site, or only their words without one."""

    def link(found: re.Match[str]) -> str:
        words, page = found["words"], found["page"]
        if page is None or not site:
            return found[0] if page is None else words
        path = posixpath.normpath(posixpath.join(FROM, page))
        return f"[{words}]({site}/{re.sub('[.](ipynb|md)$', '.html', path)}{found['part'] or ''})"

    return LINK.sub(link, text)
