"""Run every lecture under other seeds than the one on the page: a claim must hold for all of them.

python tools/claims.py [--seeds N]
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def holds(lecture: Path, seed: int) -> bool:
    """Run a lecture's source as a script with this seed; whether it ended without an error."""
    environment = {**os.environ, "TML_SEED": str(seed), "MPLBACKEND": "Agg"}
    run = subprocess.run([sys.executable, lecture.name], cwd=lecture.parent, env=environment, capture_output=True)
    said = run.stdout.decode().count("✓")
    print(f"{lecture.relative_to(ROOT)}, seed {seed}: {said} claims hold", flush=True)
    if run.returncode:
        print(run.stderr.decode().splitlines()[-1])
    return run.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0 (default 5)")
    seeds = parser.parse_args().seeds
    lectures = sorted((ROOT / "lectures").glob("*/*.py"))
    return sum(not holds(lecture, seed) for lecture in lectures for seed in range(seeds)) and 1


if __name__ == "__main__":
    sys.exit(main())
