"""The commands for homework on a student's system, and on a console that knows no more than ASCII."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from courses import executed

TESTS = Path(__file__).parents[1]
COMMANDS = """
import sys, warnings
from tml_helpers import cli

warnings.filterwarnings("error", category=EncodingWarning, module=r"tml_helpers(\\.|$)")
for command in sys.argv[1:]:
    print(cli.main(command.splitlines()))
"""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def run(python: list[str], course: Path, commands: list[list[object]], **environment: str) -> tuple[list[str], str]:
    """What these commands of `tml` print in one process, each with its status after it; and the errors."""
    lines = ["\n".join(map(str, [*command, "--course", course])) for command in commands]
    done = subprocess.run(
        [sys.executable, *python, COMMANDS, *lines],
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def test_release_and_check_work_on_windows_and_collecting_says_that_it_does_not(
    released: Path, answered: Any, tmp_path: Path
) -> None:
    mine, in_place = tmp_path / "sums.ipynb", released / "handouts/sums/sums.ipynb"
    executed(answered)
    nbformat.write(answered, mine)
    commands: list[list[object]] = [
        ["release", "sums"],
        ["check", in_place],
        ["check", mine],
        ["collect", "sums", tmp_path],
    ]
    said, errors = run([str(TESTS / "on_windows.py")], released, commands)
    assert said == [
        f"wrote {in_place}",
        "0",
        "- Question `double`: no answer yet, in the cell that begins `def double`",
        '- Question `why`: no answer yet, in the text cell below "Sums"',
        "- no cell was run: restart the kernel, run all cells, and save",
        f"{in_place}: fix this before you submit",
        "1",
        f"{mine}: ready to submit",
        "0",
        "1",
    ]
    assert errors == "tml: collecting needs Linux or macOS: use a virtual machine, a container or a server\n"


def test_every_command_works_where_text_is_ascii_unless_told_otherwise(
    released: Path, answered: Any, tmp_path: Path
) -> None:
    executed(answered).cells[2].source += "  # 2 × 2"
    answered.cells[4].source = "Zweimal x ist so groß wie x und x."
    mine = tmp_path / "sent/Zoë/×.ipynb"
    mine.parent.mkdir(parents=True)
    nbformat.write(answered, mine)
    points = tmp_path / "points of Zoë.csv"
    commands: list[list[object]] = [
        ["release", "sums"],
        ["check", mine],
        ["collect", "sums", tmp_path / "sent"],
        ["grade", "sums"],
        ["report", "--csv", points],
    ]
    python = ["-X", "warn_default_encoding", "-W", "ignore::EncodingWarning", "-c"]
    said, errors = run(python, released, commands, **ASCII)
    assert errors == ""
    assert [said[n] for n in (1, 4, 6, 8, 10)] == ["0", "1", "0", "0", "0"], said
    assert said[2:4] == [
        "- the file is called \\udcc3\\udc97.ipynb: rename it to sums.ipynb",
        f"{tmp_path}/sent/Zo\\udcc3\\udcab/\\udcc3\\udc97.ipynb: fix this before you submit",
    ]
    assert "'Zo\\udcc3\\udcab' was renamed Zo__" in said[5]
    assert said[7].split()[:5] == ["Zo__", "2", "of", "5", "ok"]
    assert said[9] == f"wrote 2 rows to {tmp_path}/points of Zo\\udcc3\\udcab.csv"
    assert points.is_file()
    assert "so groß wie" in (released / "feedback/Zo__/sums/sums.html").read_text(encoding="utf-8")
