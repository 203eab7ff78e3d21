"""The address of the course's sources on the web, where `tml_helpers.machine.repository` knows one.

Feeds the buttons at the top of each page, and `{{ repository }}`, `{{ issues }}` and `{{ clone }}` in Markdown.
"""

import re

from sphinx.application import Sphinx
from sphinx.config import Config

from tml_helpers.machine import repository

KNOWN = re.compile(r"https?://[^/]*(github|gitlab)[^/]*/[^/]+/.+")
"""Addresses for which the theme can make buttons."""
CLONE = """\
```bash
git clone {address}
cd {name}
```"""


def words(address: str | None) -> dict[str, str]:
    """What stands for the three names on a page."""
    if address is None:
        return {
            "repository": "the course's folder",
            "issues": "an issue where you got the course",
            "clone": "Open a terminal in the course's folder.",
        }
    return {
        "repository": f"<{address}>",
        "issues": f"[an issue]({address}/issues)",
        "clone": CLONE.format(address=address, name=address.rpartition("/")[2]),
    }


def set_address(app: Sphinx, config: Config) -> None:
    address = repository()
    config.myst_substitutions = config.myst_substitutions | words(address)
    theme = config.html_theme_options
    if address and KNOWN.fullmatch(address):
        theme["repository_url"] = address
    else:
        theme["use_repository_button"] = theme["use_issues_button"] = False
    if not (address or "").startswith("https://github.com/"):
        theme["launch_buttons"] = {}  # Colab opens notebooks from nowhere else


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", set_address, priority=100)  # before MyST reads its substitutions
    return {"parallel_read_safe": True, "parallel_write_safe": True}
