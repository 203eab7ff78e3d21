"""The book is read without a network: no page may ask another host for a script, a style, a font or a picture.

Removes thebe, which Jupyter Book always loads and which needs a server. Warns of whatever else would make a request, so
that a strict build fails. A link that a reader clicks is no request.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
REMOTE = re.compile(r"\s*(https?:)?//", re.IGNORECASE)
CSS_URL = re.compile(r"""(?:@import\s+|url\(\s*)["']?((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
# <link> makes a request for these, not for "canonical", "next" or "license".
FETCHED = {"stylesheet", "icon", "preload", "prefetch", "modulepreload", "preconnect", "dns-prefetch", "manifest"}


class Requests(HTMLParser):
    """Collects the addresses on other hosts that a browser would fetch to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.in_style = tag == "style"
        self.found += CSS_URL.findall(values.get("style", ""))
        fetched = [values.get(name, "") for name in ("src", "poster", "data")]
        fetched += values.get("srcset", "").split(",")
        if tag == "link" and FETCHED & set(values.get("rel", "").lower().split()):
            fetched.append(values.get("href", ""))
        self.found += [address.strip() for address in fetched if REMOTE.match(address)]

    def handle_endtag(self, tag: str) -> None:
        self.in_style = False

    def handle_data(self, data: str) -> None:
        if self.in_style:
            self.found += CSS_URL.findall(data)


def remote_requests(file: Path) -> list[str]:
    """The addresses on other hosts that this page or style sheet makes a browser fetch."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".css":
        return CSS_URL.findall(text)
    page = Requests()
    page.feed(text)
    return page.found


def built_files(site: Path) -> Iterator[Path]:
    """Every page and style sheet of a built site."""
    yield from sorted([*site.rglob("*.html"), *site.rglob("*.css")])


def warn_of_requests(app: Sphinx, error: Exception | None) -> None:
    """After the build: one warning for each address that would be fetched."""
    if error is not None or app.builder.format != "html":
        return
    for file in built_files(Path(app.outdir)):
        for address in remote_requests(file):
            logger.warning(f"offline: {file.relative_to(app.outdir)} would fetch {address}")


def remove_thebe(app: Sphinx) -> None:
    """Jupyter Book has no switch for it: take away what the extension has hooked in."""
    for listeners in app.events.listeners.values():
        listeners[:] = [one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")]
    app.registry.css_files[:] = [css for css in app.registry.css_files if css[0] != "sphinx-thebe.css"]


def setup(app: Sphinx) -> dict[str, bool]:
    remove_thebe(app)
    app.add_css_file("style.css", priority=900)
    app.add_js_file("page.js")
    app.connect("build-finished", warn_of_requests)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
