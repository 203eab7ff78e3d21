"""A headless Chromium that asks for nothing by itself, the two places where the book is read, and its readers."""

import functools
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))
sys.path.insert(0, str(Path(__file__).parents[1] / "homework"))

from built_site import Site, site
from reading import Reader

from tml_helpers import doctor

CHROMIUM = doctor.find("Chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("the browser tests need Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: what a page asks for is recorded in the browser."""


@pytest.fixture(scope="session")
def origins(site: Site) -> Iterator[dict[str, str]]:
    """Where the book is read from: a server on this machine, and the folder itself."""
    handler = functools.partial(Quiet, directory=str(site.html))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"http": f"http://127.0.0.1:{server.server_port}/", "file": f"{site.html.as_uri()}/"}
        server.shutdown()


@pytest.fixture(params=["http", "file"])
def origin(request: pytest.FixtureRequest, origins: dict[str, str]) -> str:
    return origins[request.param]


@pytest.fixture
def reader(browser: Browser, origin: str) -> Iterator[Reader]:
    reader = Reader(browser, origin)
    yield reader
    reader.context.close()
    assert reader.complaints == []


@pytest.fixture(scope="module")
def served(browser: Browser, origins: dict[str, str]) -> Iterator[Reader]:
    """One reader who opens page after page, as people do."""
    reader = Reader(browser, origins["http"])
    yield reader
    reader.context.close()


@pytest.fixture(scope="module")
def from_file(browser: Browser, origins: dict[str, str]) -> Iterator[Reader]:
    """The same, without a server and in the dark."""
    reader = Reader(browser, origins["file"], color_scheme="dark")
    yield reader
    reader.context.close()


__all__ = ["browser", "site"]
