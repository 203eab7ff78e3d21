"""Where the tests of data sets let packages and downloads be found."""

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
