"""`make luck` on tests: every seed is moved, and a test that hangs on its draw is told from one that pins its seed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = """
import numpy as np, random, torch

def number(generator):
    return int(torch.randint(1000, (), generator=generator))

def test_that_holds():
    torch.manual_seed(0)
    assert 0 <= torch.rand(()) < 1

def test_that_pins_its_seed():
    assert torch.Generator().manual_seed(7).initial_seed() == 7

def test_that_hangs_on_its_draw():  # moved by 1 and by 2 it is even and odd
    torch.manual_seed(0)
    random.seed(0)
    seeds = [torch.Generator().manual_seed(0).initial_seed(), torch.initial_seed()]
    assert seeds[0] == seeds[1] and seeds[0] % 2

def test_that_draws_with_numpy():
    a, b = np.random.default_rng(0).integers(10**9), np.random.Generator(np.random.PCG64(0)).integers(10**9)
    assert a != b, "the seed was moved"
"""


def test_a_test_that_hangs_on_its_draw_is_told_from_one_that_pins_its_seed(tmp_path: Path) -> None:
    profile = "from hypothesis import settings\nsettings.register_profile('explore')\n"
    (tmp_path / "conftest.py").write_text(profile, encoding="utf-8")
    (tmp_path / "test_some.py").write_text(TESTS, encoding="utf-8")
    program = [sys.executable, str(ROOT / "tools/chance.py"), "--runs", "2", str(tmp_path), f"--rootdir={tmp_path}"]
    done = subprocess.run(program, capture_output=True, encoding="utf-8", check=False)
    table = [line.strip() for line in done.stdout.splitlines() if " of 2 " in line]
    assert done.returncode == 1
    assert [line.split("::")[0].split()[0] + line.split("::")[1] for line in table] == [
        "1test_that_hangs_on_its_draw  [2]",
        "2test_that_pins_its_seed",
    ], done.stdout


def test_without_a_shift_nothing_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import shifted

    assert shifted.SHIFT == 0
    assert shifted.moved(lambda seed=None: seed)(5) == 5
    assert shifted.Generator().manual_seed(5).initial_seed() == 5
