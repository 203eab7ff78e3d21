"""A plugin of pytest under coverage: each line remembers the tests that reach it, a fixture's the first one."""

import json
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

SECONDS: dict[str, float] = {}
OUTPUT = Path(__file__).parents[1] / "_build/mutants/seconds.json"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if measuring := coverage.Coverage.current():
        measuring.switch_context(item.nodeid)
    yield


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    SECONDS[report.nodeid] = SECONDS.get(report.nodeid, 0.0) + report.duration


def pytest_sessionfinish() -> None:
    OUTPUT.write_text(json.dumps(SECONDS), encoding="utf-8")
