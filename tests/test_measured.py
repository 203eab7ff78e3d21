"""A committed measurement is read by its name."""

import json
from pathlib import Path

import pytest
from bad_input import refuses

from tml_helpers import measured


def test_every_committed_measurement_is_found_with_its_machine() -> None:
    folder = Path(__file__).parents[1] / "benchmarks/results"
    assert measured.names() == sorted(file.stem for file in folder.glob("*.json"))
    for name in measured.names():
        assert measured.result(name) == json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def test_an_unknown_one_is_named_with_those_that_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refuses(ValueError, "no measurement 'atacks'", *measured.names()):
        measured.result("atacks")
    with refuses(ValueError, "no measurement '../results/attacks'"):
        measured.result("../results/attacks")
    monkeypatch.setattr(measured, "_FOLDER", tmp_path)
    with refuses(ValueError, "there are: none"):
        measured.result("attacks")
