"""Run the lectures as Colab does: the newest releases, no lock, no checkout.

    python tools/newest.py [NAME.ipynb ...]      default: every lecture

A fresh environment gets the package as anybody installs it, without its extras, and what runs a notebook. Each lecture
runs alone in an empty folder; what else it needs, its own second cell installs. Needs a package index.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from wheel import ROOT, copied

SECONDS = 600  # for one cell


def environment(folder: Path) -> Path:
    """Make the environment; returns the folder of its programs."""
    venv.create(folder, symlinks=True, with_pip=True)
    programs = folder / "bin"
    with copied() as package:
        subprocess.run([programs / "pip", "install", "--quiet", package, "ipykernel", "nbclient"], check=True)
    return programs


def runs(page: Path, programs: Path) -> bool:
    """Whether a notebook runs to its end, alone in an empty folder."""
    apart = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "TML_DATA_DIR")}
    apart["PATH"] = f"{programs}{os.pathsep}{apart['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        alone = shutil.copy(page, folder)
        program = [programs / "jupyter-execute", f"--timeout={SECONDS}", alone]
        return subprocess.run(program, cwd=folder, env=apart, check=False).returncode == 0


def main(names: list[str]) -> int:
    pages = [Path(name).resolve() for name in names] or sorted((ROOT / "lectures").glob("*/*.ipynb"))
    with tempfile.TemporaryDirectory() as folder:
        programs = environment(Path(folder))
        verdicts = {page: runs(page, programs) for page in pages}
    for page, good in verdicts.items():
        print(f"{'runs' if good else 'STOPS':<8}{page.parent.name}/{page.name}")
    return int(not all(verdicts.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
