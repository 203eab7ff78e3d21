"""Run the tests under other seeds than theirs, again and again: no verdict may hang on a draw.

    python tools/chance.py [--runs N] [TEST ...]        default: 10 runs of what tests the library

What the library's tests did goes to `benchmarks/results/chance.json`; runs that stand there are not repeated, so that a
long series goes on where it was interrupted. Tests that are named are run anew, and nothing is written. In each run
every seed that a test or the library sets is moved, and hypothesis draws other examples. A table says which tests
failed, in how many runs, and under which shifts: `TML_SHIFT=3 pytest -p shifted TEST` repeats one (with `tools` on
PYTHONPATH). What pins a seed, as a test of `seed_everything`, fails in every run. The exit status is 1 where a test
fails in some runs and not in all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from collections import defaultdict
from pathlib import Path

from tml_helpers._console import on_any_console

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results/chance.json"
LIBRARY = ["tests", *(f"--ignore=tests/{part}" for part in ("homework", "browser", "book", "notebooks"))]


def failures(tests: list[str], shift: int) -> list[str]:
    """The tests that fail when seeds are moved by `shift`."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        program = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "shifted", "-p", "no:cacheprovider"]
        program += ["--hypothesis-profile=explore", f"--hypothesis-seed={shift}", f"--junitxml={report}", *tests]
        paths = os.pathsep.join([str(ROOT / "tools"), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": paths, "TML_SHIFT": str(shift)}
        subprocess.run(program, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False)
        cases = xml.parse(report).iter("testcase")
        return [f"{case.get('classname')}::{case.get('name')}" for case in cases if case.find("failure") is not None]


def known() -> dict[int, list[str]]:
    """For each shift that was run, the tests that failed under it."""
    if not RESULTS.exists():
        return {}
    return {int(shift): tests for shift, tests in json.loads(RESULTS.read_text(encoding="utf-8")).items()}


def show(found: dict[int, list[str]]) -> bool:
    """A line for each test that failed, the rarest first; returns whether one failed in some runs and not in all."""
    failed: dict[str, list[int]] = defaultdict(list)
    for shift, tests in sorted(found.items()):
        for test in tests:
            failed[test].append(shift)
    for test, shifts in sorted(failed.items(), key=lambda one: len(one[1])):
        print(f"{len(shifts):4} of {len(found)}  {test}  {shifts if len(shifts) < len(found) else ''}")
    print(f"{len(found)} runs")
    return any(len(shifts) < len(found) for shifts in failed.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tests", nargs="*", help="as pytest takes them; default: what tests the library")
    parser.add_argument("--runs", type=int, default=10, help="how many (default 10)")
    options, others = parser.parse_known_args()
    named = [*options.tests, *others]
    found = {} if named else known()
    for shift in range(1, options.runs + 1):
        if shift not in found:
            found[shift] = failures(named or LIBRARY, shift)
            print(f"run {shift}: {len(found[shift])} failed", flush=True)
            if not named:
                RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(show(found))


if __name__ == "__main__":
    on_any_console()
    sys.exit(main())
