"""What must be there and lacks is a failure: in CI all but a GPU and the full data, in the weekly run all but a GPU."""

import pytest

pytest_plugins = ["pytester"]

HOOKS = "from skips import pytest_make_collect_report, pytest_runtest_makereport\n"
TESTS = """
import pytest

@pytest.mark.skipif(True, reason="needs a CUDA device")
def test_gpu(): ...

@pytest.mark.skipif(True, reason="TML_FULL_DATA or TML_DATA_DIR names no folder with the full MNIST")
def test_full_data(): ...

@pytest.fixture
def browser():
    pytest.skip("the browser tests need Chromium: apt-get install chromium")

def test_browser(browser): ...

def test_database():
    pytest.importorskip("no_such_database")

@pytest.mark.xfail(reason="a known fault")
def test_known_fault():
    assert False

def test_that_passes(): ...
"""
PEERS = 'import pytest\npytest.importorskip("no_such_peer", reason="the extra [peers] is not installed")'


@pytest.mark.parametrize(
    ("variable", "failing"),
    [
        (None, set()),
        ("CI=true", {"test_browser", "test_database"}),
        ("TML_NO_SKIPS=1", {"test_browser", "test_database", "test_full_data"}),
    ],
)
def test_a_skip_that_is_not_excused_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, variable: str | None, failing: set[str]
) -> None:
    for name in ("CI", "TML_NO_SKIPS"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(*variable.split("="))
    pytester.makeconftest(HOOKS)
    pytester.makepyfile(test_many=TESTS, test_peers=PEERS)
    reports = pytester.inline_run("--continue-on-collection-errors").getreports()
    failed = {report.nodeid.rpartition("::")[2] for report in reports if report.failed}
    assert failed == failing | ({"test_peers.py"} if variable else set())
    for report in reports:
        if report.failed:
            assert "a skip is a failure here" in str(report.longrepr)
            assert any(words in str(report.longrepr) for words in ("Chromium", "no_such_database", "MNIST", "[peers]"))
    passed = {report.nodeid.rpartition("::")[2] for report in reports if report.passed and report.when == "call"}
    assert passed == {"test_that_passes"}
