"""Write where the course is on the web, for `make address`: `python tools/address.py https://github.com/me/course`.

It goes to `[project.urls]` in pyproject.toml, from where all else reads it, and to CITATION.cff.
"""

import re
import sys
from pathlib import Path

from tml_helpers._console import on_any_console
from tml_helpers.machine import web_address

ROOT = Path(__file__).parents[1]


def with_entry(text: str, entry: str, after: str) -> str:
    """The text with this line in the place of the one with the same key, or after the line that begins with `after`."""
    key = re.match(r"\S+", entry)[0]  # type: ignore[index]
    made, there = re.subn(rf"^{key} .*$", lambda _: entry, text, flags=re.MULTILINE)
    return (
        made
        if there
        else re.sub(rf"^{after}.*$", lambda line: f"{line[0]}\n{entry}", text, count=1, flags=re.MULTILINE)
    )


def main() -> None:
    address = web_address(sys.argv[1]) if len(sys.argv) == 2 else None
    if address is None:
        sys.exit("Expected the course's address on the web, as https://github.com/me/course.")
    for name, entry, after in (
        ("pyproject.toml", f'Repository = "{address}"', "# The one place where the course's address"),
        ("CITATION.cff", f"repository-code: {address}", "type: "),
    ):
        file = ROOT / name
        file.write_text(with_entry(file.read_text(encoding="utf-8"), entry, after), encoding="utf-8")
    print(f"The course is at {address}.")


if __name__ == "__main__":
    on_any_console()
    main()
