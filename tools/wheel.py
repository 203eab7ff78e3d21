"""Install the library as somebody has it who has no checkout: `python tools/wheel.py TARGET`.

Put TARGET first on Python's path, by PYTHONPATH, and this library is the one that is imported.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("LICENSE", "README.md", "pyproject.toml", "setup.py", "tml_helpers", "benchmarks/results", "exercises")


@contextmanager
def copied() -> Iterator[str]:
    """A folder with all that the package is built from, so that nothing is left here."""
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            copy = Path(folder, part)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, copy)
        yield folder


def install_wheel(target: Path) -> None:
    """Build the package's wheel and install it in `target`. No network."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    with copied() as folder:
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--target", str(target), folder], check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit((__doc__ or "").strip())
    install_wheel(Path(sys.argv[1]))
