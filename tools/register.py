"""Write what is made from the book's folders, and must be committed.

    python tools/register.py [--check]

The lists in README.md and book/_toc.yml between the marks `register: NAME` and `register: end`, an API page for each
module that has none, the change log from `changes/`, and the snapshot of the public API. With `--check` nothing is
written: the exit status says whether all of it is what the sources say.
"""

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "book/_ext"), str(ROOT / "tests")]
from catalogue import Catalogue, Chapter, Page  # noqa: E402
from test_public_api import SNAPSHOT, public_api  # noqa: E402

from tml_helpers import doctor  # noqa: E402
from tml_helpers._console import on_any_console  # noqa: E402

API_PAGE = """\
# `tml_helpers.{name}`

```{{eval-rst}}
.. automodule:: tml_helpers.{name}
   :members:
   :show-inheritance:
```
"""
CHANGELOG = """\
# Changelog

The public names of `tml_helpers` are held by a snapshot in `tests/`; what changes them is listed here. Made from
`changes/`, one file a change, by `make register`.
"""


def with_list(text: str, name: str, lines: list[str]) -> str:
    """The text with these lines between the marks of the list `name`."""
    marks = re.compile(rf"^(.*\bregister: {name}\b.*\n)(?:.*\n)*?(.*\bregister: end\b.*\n)", re.MULTILINE)
    between = "".join(f"{line}\n" for line in lines)
    made, count = marks.subn(lambda found: found[1] + between + found[2], text)
    if count != 1:
        raise ValueError(f"expected one list between `register: {name}` and `register: end`, found {count}")
    return made


def span(lectures: tuple[Page, ...]) -> str:
    """The numbers of a chapter's lectures: `1.1`, `2.1–2.6`, `9.1, 9.3`."""
    runs = [list(run) for _, run in groupby(lectures, key=lambda page: page.number - lectures.index(page))]
    return ", ".join(run[0].name + (f"–{run[-1].name}" if run[1:] else "") for run in runs)


def state(chapter: Chapter) -> str:
    """What there is of a chapter, in words."""
    there = [f"lecture{'s'[: len(chapter.lectures) - 1]} {span(chapter.lectures)}"] if chapter.lectures else []
    there += [f"homework {page.name}" for page in chapter.homework]
    if chapter.complete:
        return ", ".join(there)
    return ", ".join([*there, "the rest in preparation"]) if there else "in preparation"


def readme(catalogue: Catalogue) -> list[str]:
    rows = [f"| {one.heading} | {state(one)} |" for one in catalogue.chapters]
    return ["| chapter | here |", "|---|---|", *rows]


def toc(catalogue: Catalogue) -> dict[str, list[str]]:
    """The lists of the table of contents."""
    lectures = []
    for chapter in catalogue.chapters:
        if chapter.lectures:
            lectures += [f"  - caption: {chapter.heading}", "    chapters:"]
            lectures += [f"      - file: {page.path}" for page in chapter.lectures]
    return {
        "lectures": lectures,
        "homework": [f"      - file: {page.path}" for page in catalogue.homework],
        "data cards": [f"          - file: book/data_cards/{card.name}" for card in catalogue.cards],
        "modules": [f"          - file: book/api/{name}" for name in catalogue.modules],
    }


def changelog(changes: Path) -> str:
    """The files of `changes/VERSION/` as the items of a list, the newest version first."""
    versions = sorted((folder for folder in changes.iterdir() if folder.is_dir()), key=newest, reverse=True)
    text = CHANGELOG
    for folder in versions:
        items = [file.read_text(encoding="utf-8").strip() for file in sorted(folder.glob("*.md"))]
        listed = ["- " + textwrap.indent(item, "  ").lstrip() for item in items]
        text += "\n".join([f"\n## {folder.name.capitalize()}\n", *listed, ""])
    return text


def newest(folder: Path) -> tuple[bool, list[int]]:
    """The order of versions: `unreleased` is the newest."""
    return folder.name == "unreleased", [int(part) for part in re.findall(r"\d+", folder.name)]


def made(root: Path) -> Iterator[tuple[Path, str | None]]:
    """Each file that is made from the folders, with the text that it should have; None where its module is gone."""
    catalogue = Catalogue(root)
    front, contents = root / "README.md", root / "book/_toc.yml"
    text = with_list(front.read_text(encoding="utf-8"), "needs", doctor.table())
    yield front, with_list(text, "chapters", readme(catalogue))
    text = contents.read_text(encoding="utf-8")
    for name, lines in toc(catalogue).items():
        text = with_list(text, name, lines)
    yield contents, text
    yield root / "CHANGELOG.md", changelog(root / "changes")
    pages = {page.stem: page for page in root.glob("book/api/*.md") if page.stem != "index"}
    for name in sorted(catalogue.modules.keys() - pages):
        yield root / f"book/api/{name}.md", API_PAGE.format(name=name)
    for name in sorted(pages.keys() - catalogue.modules):
        yield pages[name], None


def stale(root: Path) -> dict[Path, str | None]:
    """What differs from the text that it should have, with that text."""
    return {
        file: text for file, text in made(root) if text != (file.read_text(encoding="utf-8") if file.exists() else None)
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say what differs")
    check = parser.parse_args().check
    api = public_api(ROOT)
    differing = stale(ROOT) | ({SNAPSHOT: api} if SNAPSHOT.read_text(encoding="utf-8") != api else {})
    for file, text in differing.items():
        done = "run `make register`" if check else "removed" if text is None else "written"
        print(f"{file.relative_to(ROOT)}: {done}")
        if not check and text is None:
            file.unlink()
        elif not check:
            file.write_text(str(text), encoding="utf-8")
    return int(check and bool(differing))


if __name__ == "__main__":
    on_any_console()
    sys.exit(main())
