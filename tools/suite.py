"""Run everything that can be checked without a GPU, whichever part is red, and say at the end which is.

    python tools/suite.py [--jobs N] [--all]

The parts: lint, the tests, and the lectures' notebooks. The notebooks are checked as a student has them: each alone in
an empty folder, with the library from a wheel; and under another rounding than the one that wrote them, so that a cell
that prints what was measured is found here. With `--all` the tests that are marked slow run, too.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roundings import ROUNDINGS

from tml_helpers._console import on_any_console

ROOT = Path(__file__).parents[1]
ROUNDING = "compatible"  # notebooks are written as this machine rounds; "oldest" takes twice the time
NBVAL = ["--nbval", "--nbval-cell-timeout", "300", "--nbval-kernel-startup-timeout", "180"]
# Seconds of an area, over both workers, on two quiet cores: 40 minutes in all. The limit is 45.
BUDGET = {
    "lint": 40,
    "homework and grading": 1020,
    "pages and browser": 1060,
    "peers": 140,
    "library": 740,
    "lectures": 1800,
}
AREAS = {
    "tests.homework": "homework and grading",
    "tests.browser": "pages and browser",
    "tests.book": "pages and browser",
    "tests.notebooks": "pages and browser",
    "tests.peers": "peers",
    "tests": "library",
}


@dataclass
class Part:
    """One part of the run: its name, whether it is green, and its seconds by area."""

    name: str
    green: bool
    wall: float
    cpu: float
    areas: dict[str, float]


def timed(name: str, run: Callable[[], tuple[bool, dict[str, float]]]) -> Part:
    """Run a part, and measure what it and its processes take."""
    print(f"\n=== {name} ===", flush=True)
    began, before = time.monotonic(), os.times()
    green, areas = run()
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    wall = time.monotonic() - began
    return Part(name, green, wall, cpu, areas or {name: wall})


def command(*program: str, **environment: str) -> bool:
    """Whether a program ends well; it prints where we do."""
    return subprocess.run(program, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode == 0


def lint() -> tuple[bool, dict[str, float]]:
    return command("tools/lint"), {}


def tests(jobs: int, marked: str) -> tuple[bool, dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        program = ["pytest", "-n", str(jobs), "--dist", "loadscope", "-m", marked, f"--junitxml={report}"]
        return command(*program), seconds(report, area)


def notebooks(jobs: int) -> tuple[bool, dict[str, float]]:
    """Each lecture's notebook alone in an empty folder, with the library from a wheel."""
    with tempfile.TemporaryDirectory() as folder:
        library, pages, report = Path(folder, "library"), Path(folder, "pages"), Path(folder, "report.xml")
        if not command(sys.executable, "tools/wheel.py", str(library)):
            return False, {}
        for page in sorted((ROOT / "lectures").glob("*/*.ipynb")):
            alone = pages / f"{page.parent.name}-{page.stem}"
            alone.mkdir(parents=True)
            shutil.copy(page, alone)
        program = ["pytest", *NBVAL, "-p", "no:cacheprovider", "-n", str(jobs), "--dist", "loadscope"]
        environment = {"PYTHONPATH": str(library), **ROUNDINGS[ROUNDING]}
        os.environ.pop("TML_DATA_DIR", None)  # their stored outputs come from the default data
        green = command(*program, f"--rootdir={pages}", f"--junitxml={report}", str(pages), **environment)
        return green, seconds(report, lambda _: "lectures")


def area(module: str) -> str:
    """The area of a test module, as `tests.homework.test_run`."""
    return next(name for prefix, name in AREAS.items() if module.startswith(prefix))


def seconds(report: Path, of: Callable[[str], str]) -> dict[str, float]:
    """The seconds that a report of pytest has for each area."""
    found: dict[str, float] = {}
    for case in xml.parse(report).iter("testcase") if report.exists() else ():
        place = of(case.get("classname", ""))
        found[place] = found.get(place, 0.0) + float(case.get("time", 0))
    return found


def table(parts: list[Part]) -> str:
    """What was green, what it took, and what each area may take."""
    lines = [f"{'part':<24}{'':<8}{'minutes':>9}{'CPU-minutes':>13}"]
    for part in parts:
        verdict = "green" if part.green else "RED"
        lines.append(f"{part.name:<24}{verdict:<8}{part.wall / 60:9.1f}{part.cpu / 60:13.1f}")
    wall, cpu = (sum(getattr(part, name) for part in parts) / 60 for name in ("wall", "cpu"))
    lines += [f"{'all':<32}{wall:9.1f}{cpu:13.1f}", "", f"{'area':<32}{'seconds':>9}{'budget':>13}"]
    for name, took in ((name, took) for part in parts for name, took in part.areas.items()):
        over = "  over its budget, if the machine was quiet" if took > BUDGET[name] else ""
        lines.append(f"{name:<32}{took:9.0f}{BUDGET[name]:13}{over}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2, help="how many tests at once (default 2)")
    parser.add_argument("--all", action="store_true", help="the tests marked slow, too")
    options = parser.parse_args()
    parts = [
        timed("lint", lint),
        timed("tests", lambda: tests(options.jobs, "" if options.all else "not slow")),
        timed("notebooks", lambda: notebooks(options.jobs)),
    ]
    print(f"\n{table(parts)}")
    return int(not all(part.green for part in parts))


if __name__ == "__main__":
    on_any_console()
    sys.exit(main())
