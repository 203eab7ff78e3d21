"""Where the tests of data sets let packages and downloads be found."""

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tml_helpers.data import _folders


def install_as(folder: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every package is found in `folder`, or nowhere."""
    found = SimpleNamespace(submodule_search_locations=[str(folder)]) if folder else None
    monkeypatch.setattr(_folders.importlib.util, "find_spec", lambda name: found)


def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A download cache of the test's own; nothing of the user's is read or written."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(_folders, "cache_folder", lambda: folder)
    monkeypatch.delenv("TML_DATA_DIR", raising=False)
    return folder


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def mirror_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server on this machine that gives the files of a folder."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
