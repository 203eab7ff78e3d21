"""`make test`: all parts run whichever is red, and the table at the end says which, and what each area took."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import suite

REPORT = """<testsuites><testsuite>
<testcase classname="tests.homework.test_run" name="a" time="1.5"/>
<testcase classname="tests.homework.test_hostile" name="b" time="2"/>
<testcase classname="tests.test_lime" name="c" time="4"/></testsuite></testsuites>"""


@pytest.mark.parametrize("red", ["lint", "tests", "notebooks", None])
def test_every_part_runs_whichever_is_red(
    red: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = []

    def part(name: str, area: str) -> None:
        def run(*_: object) -> tuple[bool, dict[str, float]]:
            ran.append(name)
            return name != red, {area: 2.0}

        monkeypatch.setattr(suite, name, run)

    for name, area in (("lint", "lint"), ("tests", "library"), ("notebooks", "lectures")):
        part(name, area)
    monkeypatch.setattr(sys, "argv", ["suite.py"])
    assert suite.main() == int(red is not None)
    assert ran == ["lint", "tests", "notebooks"]
    shown = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert all([name, "RED" if name == red else "green"] in shown for name in ran)


def test_seconds_go_to_their_area(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT, encoding="utf-8")
    assert suite.seconds(tmp_path / "report.xml", suite.area) == {"homework and grading": 3.5, "library": 4.0}
    assert suite.seconds(tmp_path / "none.xml", suite.area) == {}


def test_every_test_has_an_area_and_every_area_a_budget() -> None:
    root = Path(__file__).parent
    for file in root.rglob("test_*.py"):
        module = ".".join(["tests", *file.relative_to(root).with_suffix("").parts])
        assert suite.area(module) in suite.BUDGET
    assert "over its budget" in suite.table([suite.Part("lint", True, 1, 1, {"lint": suite.BUDGET["lint"] + 1.0})])
    assert "over its budget" not in suite.table([suite.Part("lint", True, 1, 1, {"lint": float(suite.BUDGET["lint"])})])


def test_the_budgets_are_forty_minutes_on_two_workers() -> None:
    assert sum(suite.BUDGET.values()) == 2 * 60 * 40
