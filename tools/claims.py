"""Run every lecture under other seeds and other roundings than the page's: a claim must hold under all of them.

    python tools/claims.py [LECTURE.py ...] [--seeds N] [--jobs N]

Runs seeds 0 to N − 1 as this machine rounds, and seed 0 under each other rounding of `tools/roundings.py`. For every
comparison in a claim it prints the least margin of these runs (how far it is from being false, and in which run), how
far the roundings moved it, and how far the seeds did. A margin that is smaller than what a rounding moves is marked
THIN: on another processor the claim may be false. The exit status is 1 where a claim is false or thin.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundings import ROUNDINGS

from tml_helpers._console import on_any_console

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Run:
    """One way to run a lecture, and what came of it."""

    seed: int
    rounding: str
    claims: dict[str, Any]
    margins: dict[str, float]
    error: str = ""

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.rounding}"


def run(lecture: Path, way: tuple[int, str]) -> Run:
    """Run a lecture's source with this seed, under this rounding."""
    seed, rounding = way
    environment = {**os.environ, "TML_SEED": str(seed), "MPLBACKEND": "Agg", **ROUNDINGS[rounding]}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "margins.json")
        program = [sys.executable, str(ROOT / "tools/margins.py"), str(lecture), str(output)]
        done = subprocess.run(program, env=environment, capture_output=True, encoding="utf-8", errors="replace")
        if done.returncode:
            return Run(seed, rounding, {}, {}, (done.stderr.splitlines() or ["it ended without a word"])[-1])
        return Run(seed, rounding, **json.loads(output.read_text(encoding="utf-8")))


def spread(runs: list[Run], key: str) -> float:
    """How far a margin moves between these runs."""
    values = [one.margins[key] for one in runs if key in one.margins]
    return max(values) - min(values) if values else 0.0


def judge(lecture: Path, runs: list[Run]) -> bool:
    """Print what the runs found, and return whether all claims hold with room to spare."""
    print(f"\n{lecture.relative_to(ROOT)}")
    good = True
    for one in runs:
        false = [f"{line}: {found['sentence']}" for line, found in one.claims.items() if not found["holds"]]
        for complaint in filter(None, [one.error, *false]):
            print(f"  FALSE under {one}: {complaint}")
            good = False
    print(f"  {'least margin':>12} {'roundings':>10} {'seeds':>10}       {len(runs[0].claims)} claims; comparisons:")
    for key in dict.fromkeys(key for one in runs for key in one.margins):
        least = min((one for one in runs if key in one.margins), key=lambda one: one.margins[key])
        by_rounding = spread([one for one in runs if one.seed == 0], key)
        by_seed = spread([one for one in runs if one.rounding == "native"], key)
        thin = by_rounding > 0 and least.margins[key] <= by_rounding
        good = good and not thin
        mark = "THIN" if thin else ""
        print(f"  {least.margins[key]:12.3g} {by_rounding:10.2g} {by_seed:10.2g}  {mark:4} {key}  ({least})")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lectures", nargs="*", type=Path, help="default: all")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0 (default 5)")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at once (default 1)")
    options = parser.parse_args()
    lectures = [file.resolve() for file in options.lectures] or sorted((ROOT / "lectures").glob("*/*.py"))
    ways = [(seed, "native") for seed in range(options.seeds)] + [(0, name) for name in ROUNDINGS if name != "native"]
    good = True
    with ThreadPoolExecutor(options.jobs) as pool:
        waiting = {lecture: [pool.submit(run, lecture, way) for way in ways] for lecture in lectures}
        for lecture, runs in waiting.items():
            good = judge(lecture, [one.result() for one in runs]) and good
            sys.stdout.flush()
    return int(not good)


if __name__ == "__main__":
    on_any_console()
    sys.exit(main())
