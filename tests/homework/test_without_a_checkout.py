"""A student who has installed the package and nothing else does a homework, in an empty folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

from answers import with_model_answers
from courses import ROOT, cell, executed, read

COPY = Path("h1_distillation/h1_distillation.ipynb")


def tml(library: Path, folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """The status of `tml` with this library, and what it prints; it has nothing to warn of."""
    done = subprocess.run(
        [sys.executable, "-m", "tml_helpers.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(library)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_start_answer_check(library: Path, tmp_path: Path) -> None:
    status, said = tml(library, tmp_path, "start", "h1")
    assert (status, said[0]) == (0, f"wrote {COPY}")
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")] == [COPY.parent.name, str(COPY)]
    mine = read(tmp_path / COPY)
    with_model_answers(mine, read(ROOT / "solutions" / COPY))
    cell(mine, "2_loss_answer").source = cell(read(ROOT / "exercises" / COPY), "2_loss_answer").source
    for c in executed(mine).cells:
        del c["id"]  # as some tools leave a notebook; nbformat would warn of it
    (tmp_path / COPY).write_text(json.dumps(mine), encoding="utf-8")
    status, said = tml(library, tmp_path / COPY.parent, "check", COPY.name)
    assert status == 1
    assert said == [
        "- Task 2: no answer yet, in the cell that begins `def distillation_loss`",
        f"{COPY.name}: fix this before you submit",
    ]
