"""Run the tests under other seeds than theirs, again and again: no verdict may hang on a draw.

    python tools/chance.py [--runs N] [TEST ...]        default: 10 runs of what tests the library

In each run every seed that a test or the library sets is moved, and hypothesis draws other examples. A table says which
tests failed, in how many runs, and under which shifts: `TML_SHIFT=3 pytest -p shifted TEST` repeats one (with `tools`
on PYTHONPATH). What pins a seed, as a test of `seed_everything`, fails in every run. The exit status is 1 where a test
fails in some runs and not in all.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
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


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tests", nargs="*", default=LIBRARY, help="as pytest takes them")
    parser.add_argument("--runs", type=int, default=10, help="how many (default 10)")
    options, others = parser.parse_known_args()
    failed: dict[str, list[int]] = defaultdict(list)
    for shift in range(1, options.runs + 1):
        for test in failures([*options.tests, *others], shift):
            failed[test].append(shift)
        print(f"run {shift}: {sum(shift in shifts for shifts in failed.values())} failed", flush=True)
    for test, shifts in sorted(failed.items(), key=lambda one: len(one[1])):
        print(f"{len(shifts):4} of {options.runs}  {test}  {shifts if len(shifts) < options.runs else ''}")
    return int(any(len(shifts) < options.runs for shifts in failed.values()))


if __name__ == "__main__":
    sys.exit(main())
