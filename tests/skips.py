"""A skip is a failure where what it asks for must be there: in CI, and in the weekly run, which has everything."""

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

# What no runner of ours has: a GPU, both root and not, both the lock's torch and the newest.
NOWHERE = ("CUDA", "GPU", "only root", "another torch")
FULL_DATA = "TML_DATA_DIR"
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def excused() -> tuple[str, ...]:
    """Words of the reasons for which a test may be skipped here; the empty one is in every reason."""
    if os.environ.get("TML_NO_SKIPS") == "1":
        return NOWHERE
    return (*NOWHERE, FULL_DATA) if os.environ.get("CI") == "true" else ("",)


def held(report: Report) -> Report:
    """The report, failed if the skip that it tells of is not excused."""
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        if not any(word in reason for word in excused()):
            report.outcome = "failed"
            report.longrepr = f"a skip is a failure here, where all that tests need must be there. {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return held((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return held((yield))
