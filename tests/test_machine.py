"""What the machine is, against what the system says."""

import importlib.metadata
import json
import os
import platform
import stat
import sys
import tomllib
from email.message import Message
from pathlib import Path

import pytest
import torch
from bad_input import refuses

from tml_helpers import machine

ROOT = Path(__file__).parents[1]


def test_the_repository_is_the_one_in_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert machine.repository() == project["urls"]["Repository"]


def test_the_repository_is_found_among_other_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = Message()
    metadata["Project-URL"] = "Documentation, https://example.org/book"
    metadata["Project-URL"] = "Repository, https://example.org/sources"
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _: metadata)
    assert machine.repository() == "https://example.org/sources"


def test_an_installation_without_the_address_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _: Message())
    with refuses(ValueError, "Project-URL", "make setup"):
        machine.repository()


def test_a_version_is_that_of_the_module_and_none_where_it_is_missing() -> None:
    assert machine.version("torch") == torch.__version__ or torch.__version__.startswith(f"{machine.version('torch')}+")
    assert machine.version("no-such-package") is None


def test_a_description_can_be_written_to_a_result_file() -> None:
    facts = machine.describe()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["torch"] == machine.version("torch")
    assert {"system", "processor", "cores", "numpy", "triton"} <= facts.keys()
    assert (facts["processor"], facts["cores"]) == (machine.processor(), machine.cores())
    assert facts["system"] == f"{os.uname().sysname} {os.uname().machine}"


CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
stepping\t: 8

processor\t: 1
model name\t: another
"""


def test_the_processor_is_called_by_its_models_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO, encoding="utf-8")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.processor() == "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"


@pytest.mark.parametrize("content", [None, "Hardware\t: a board without a name\n"])
@pytest.mark.parametrize(("said", "called"), [("a chip", "a chip"), ("", "riscv64")])
def test_elsewhere_the_processor_is_what_python_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, said: str, called: str
) -> None:
    if content is not None:
        (tmp_path / "cpuinfo").write_text(content, encoding="utf-8")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: said)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert machine.processor() == called


def test_the_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    assert machine.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    for counted, cores in ((5, 5), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda counted=counted: counted)
        assert machine.cores() == cores


def test_the_first_program_that_is_there_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("second", "third"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(stat.S_IRWXU)
    (tmp_path / "first").touch()  # a file, but not a program
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.program("first", "second", "third") == str(tmp_path / "second")
    assert machine.program("first", "fourth") is None
