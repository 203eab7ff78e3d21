"""The book as `make book` builds it: once for a whole test run, also where several workers share the run."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[2]
BUILD = "build . --toc book/_toc.yml --all -W -n --keep-going"  # make book STRICT=1


@dataclass(frozen=True)
class Site:
    """A built book: the folder with its pages, what the build printed, and its exit status."""

    html: Path
    log: str
    status: int


def toc_pages() -> list[str]:
    """The pages that book/_toc.yml lists, in their order, without suffix."""

    def files(entry: dict) -> list[str]:
        below = entry.get("parts", []) + entry.get("chapters", []) + entry.get("sections", [])
        own = [entry[key] for key in ("root", "file") if key in entry]
        return own + [name for one in below for name in files(one)]

    return files(yaml.safe_load((ROOT / "book/_toc.yml").read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    log, status = shared / "book.log", shared / "book.status"
    with FileLock(shared / "book.lock"):
        if not status.exists():
            program = [str(Path(sys.executable).with_name("jupyter-book")), *BUILD.split()]
            done = subprocess.run(
                [*program, "--path-output", str(shared / "book")], cwd=ROOT, capture_output=True, encoding="utf-8"
            )
            log.write_text(done.stdout + done.stderr, encoding="utf-8")
            status.write_text(str(done.returncode), encoding="utf-8")
    return Site(shared / "book/_build/html", log.read_text(encoding="utf-8"), int(status.read_text(encoding="utf-8")))
