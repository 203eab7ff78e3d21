"""Every lecture's notebook is its source, executed: equal cells, all outputs there, no error, inside its budget."""

import json
import re
from pathlib import Path

import pytest
from lecture_pages import ROOT, SOURCES, called, code_cells, figures, name_of, printed, tool, twin

BUDGET = 60  # CPU-seconds
LARGEST = 1_500_000  # bytes: what is committed once stays in every clone
TOOL = tool()
EVERY_SOURCE = TOOL.sources()
TIMINGS = json.loads((ROOT / "benchmarks/results/notebooks.json").read_text())["notebooks"]
each_lecture = pytest.mark.parametrize("source", SOURCES, ids=name_of)


def test_there_is_a_lecture() -> None:
    assert SOURCES, "without a lecture every other test here would pass"


def test_every_notebook_has_a_source() -> None:
    notebooks = {file.with_suffix(".py") for file in (ROOT / "lectures").glob("*/*.ipynb")}
    assert notebooks == set(SOURCES)


@pytest.mark.parametrize("source", EVERY_SOURCE, ids=name_of)
def test_its_cells_are_those_of_its_source(source: Path) -> None:
    assert not TOOL.stale(source), "run `make notebooks`"


@pytest.mark.parametrize("source", EVERY_SOURCE, ids=name_of)
def test_it_is_small_enough_to_be_committed_again_and_again(source: Path) -> None:
    assert source.with_suffix(".ipynb").stat().st_size < LARGEST


@each_lecture
def test_it_was_executed_from_the_top(source: Path) -> None:
    counts = [cell.execution_count for cell in twin(source).cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@each_lecture
def test_what_a_cell_prints_claims_or_draws_is_there(source: Path) -> None:
    for cell in code_cells(source):
        calls = called(cell.source)
        if "print" in calls:
            assert printed(cell).strip(), cell.source
        if "claim" in calls:
            assert re.search(r"^✓ ", printed(cell), re.MULTILINE), cell.source
        if "plt.show" in calls:
            assert figures(cell), cell.source
    assert any(map(figures, code_cells(source)))
    assert any(map(printed, code_cells(source)))


@each_lecture
def test_nothing_went_wrong_while_it_ran(source: Path) -> None:
    for cell in twin(source).cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error", output.get("evalue")
            assert output.get("name") != "stderr", output.text


@each_lecture
def test_the_page_states_what_was_measured(source: Path) -> None:
    cost = TIMINGS[source.with_suffix(".ipynb").relative_to(ROOT).as_posix()]["cpu_seconds"]
    assert f"{cost:.0f} CPU-seconds to run" in twin(source).cells[0].source


def test_every_page_is_measured_and_keeps_the_budget() -> None:
    assert set(TIMINGS) == {source.with_suffix(".ipynb").relative_to(ROOT).as_posix() for source in EVERY_SOURCE}
    for name, cost in TIMINGS.items():
        assert 0 < cost["cpu_seconds"] <= BUDGET, name
        assert cost.get("wall_seconds", 0) <= 2 * cost["cpu_seconds"] + 10, f"{name}: the machine was busy"


def test_student_files_hold_no_solution_and_no_hidden_test() -> None:
    files = [file for file in (ROOT / "exercises").rglob("*") if file.is_file()]
    assert [file for file in files if file.suffix == ".ipynb"]
    for file in files:
        content = file.read_bytes().upper()
        for secret in (b"BEGIN SOLUTION", b"END SOLUTION", b"HIDDEN TESTS"):
            assert secret not in content, f"{file.relative_to(ROOT)} shows students {secret.decode()}"
