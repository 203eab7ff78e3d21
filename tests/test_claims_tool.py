"""`make claims`: margins as they are defined, other seeds and roundings, and no claim that is thin unnoticed."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import claims  # noqa: E402
from margins import run  # noqa: E402
from roundings import ROUNDINGS  # noqa: E402

HEAD = "import numpy as np\nimport torch\nfrom tml_helpers.claims import claim, seed\n"


def margins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> tuple[dict[int, Any], list[float]]:
    """The claims of this code, and the margin of each comparison."""
    (tmp_path / "page.py").write_text(HEAD + code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))  # undoes what a run adds
    monkeypatch.chdir(tmp_path)
    found = run(tmp_path / "page.py")
    return found.claims, list(found.margins.values())


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("0.25 < 1", [0.75]),
        ("0.25 >= 1", [-0.75]),
        ("0 < 3 <= 10", [3]),  # the nearer end
        ("0 < 9 <= 10", [1]),
        ("1 < 2 and 5 > 2", [1, 3]),
        ("bool((torch.tensor([1.0, 4.0]) < 5).all())", [1]),
        ("all(x < 3 for x in (0, 2.5))", [0.5]),
        ("torch.tensor(2.0) > 1.5", [0.5]),
        ("(torch.tensor([1.0, 9.0]) < 5).float().mean() > 0.25", [0.25]),  # the share, not what is counted
        ("torch.allclose(torch.ones(2), torch.ones(2), rtol=0, atol=0.125)", [0.125]),
        ("np.allclose(1.0, 1.5, rtol=0.5, atol=0)", [0.25]),
        ("max([1, 2]) == 2", []),
        ("'a' < 'b'", []),
        ("'key' in {'key': 1}", []),
    ],
)
def test_a_margin_is_the_distance_from_false(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, condition: str, expected: list[float]
) -> None:
    claims_, found = margins(tmp_path, monkeypatch, f"claim('a sentence', {condition})")
    assert found == pytest.approx(expected)
    assert claims_[4]["holds"] == eval(condition, {"torch": torch, "np": np})


def test_a_loop_keeps_the_least_and_a_false_claim_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "for x in (1, 5, 2):\n    claim(f'{x} is small', x < 4)\nclaim('true', 1 < 2)\nx = 1 < 0\n"
    found, least = margins(tmp_path, monkeypatch, code)
    assert [one["holds"] for one in found.values()] == [False, True]
    assert least == [-1, 1], "a comparison outside of a claim has no margin"


def test_what_a_chain_may_not_evaluate_it_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = margins(tmp_path, monkeypatch, "claim('never', 5 < 1 < 2)\nclaim('nor', not 1 < 0)")
    assert [one["holds"] for one in found.values()] == [False, True]


def made_up(moves: dict[tuple[int, str], float], holds: bool = True) -> list[claims.Run]:
    return [claims.Run(seed, name, {"1": {"sentence": "it is", "holds": holds}}, {"1: a < b": value})
            for (seed, name), value in moves.items()]  # fmt: skip


@pytest.mark.parametrize(
    ("moves", "good"),
    [
        ({(0, "native"): 1.0, (1, "native"): 0.5, (0, "oldest"): 0.9}, True),
        (
            {(0, "native"): 1.0, (1, "native"): 0.05, (0, "oldest"): 0.9},
            False,
        ),  # a seed comes nearer than roundings move
        ({(0, "native"): 1.0, (0, "oldest"): 0.4}, False),
        ({(0, "native"): 1e-6, (0, "oldest"): 1e-6}, True),  # nothing moves it
    ],
)
def test_a_margin_less_than_a_rounding_moves_is_thin(
    moves: dict[tuple[int, str], float], good: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert claims.judge(ROOT / "lectures/page.py", made_up(moves)) is good
    assert ("THIN" in capsys.readouterr().out) is not good


def test_a_false_claim_and_a_run_that_fails_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [*made_up({(3, "native"): -1.0}, holds=False), claims.Run(0, "oldest", {}, {}, "KeyError: 'x'")]
    assert not claims.judge(ROOT / "lectures/page.py", runs)
    said = capsys.readouterr().out
    assert "FALSE under seed 3, native: 1: it is" in said
    assert "FALSE under seed 0, oldest: KeyError: 'x'" in said


def test_each_run_has_its_seed_and_its_rounding(tmp_path: Path) -> None:
    page, isa = tmp_path / "page.py", ROUNDINGS["oldest"]["DNNL_MAX_CPU_ISA"]
    found = "len(os.environ.get('DNNL_MAX_CPU_ISA', ''))"
    page.write_text(f"{HEAD}import os\nclaim('a', seed() > -1)\nclaim('b', {found} >= 0)", encoding="utf-8")
    assert next(iter(claims.run(page, (3, "native")).margins.values())) == 4
    assert [*claims.run(page, (0, "oldest")).margins.values()] == [1, len(isa)]
    page.write_text("raise KeyError('x')", encoding="utf-8")
    assert claims.run(page, (0, "native")).error == "KeyError: 'x'"


def test_there_are_three_roundings_and_torch_obeys_them() -> None:
    assert len(ROUNDINGS) >= 3
    assert ROUNDINGS["native"] == {}
    program = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    for name, expected in (("avx2", "AVX2"), ("oldest", "DEFAULT")):
        environment = {**os.environ, **ROUNDINGS[name]}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        assert done.stdout.decode().strip() == expected or platform.machine() not in ("x86_64", "AMD64")


def test_a_run_writes_what_it_found(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(f"{HEAD}claim('a', 1 < 3)", encoding="utf-8")
    program = [sys.executable, str(ROOT / "tools/margins.py"), str(tmp_path / "page.py"), str(tmp_path / "out.json")]
    subprocess.run(program, check=True)
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == {
        "claims": {"4": {"sentence": "a", "holds": True}},
        "margins": {"4: 1 < 3": 2.0},
    }
