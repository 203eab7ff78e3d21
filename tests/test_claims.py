"""A claim prints its sentence or stops; the seed comes from outside."""

import numpy as np
import pytest
import torch
from bad_input import refuses

from tml_helpers.claims import claim, seed


@pytest.mark.parametrize("holds", [True, np.bool_(True), torch.tensor(1.0) < 2])
def test_a_claim_that_holds_is_printed(holds: bool, capsys: pytest.CaptureFixture[str]) -> None:
    claim("The sun is hot", holds)
    assert capsys.readouterr().out == "✓ The sun is hot\n"


@pytest.mark.parametrize("holds", [False, np.bool_(False), torch.tensor(3.0) < 2, float("nan") > 0])
def test_a_claim_that_does_not_hold_stops_and_prints_nothing(holds: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="does not hold here: The sun is cold"):
        claim("The sun is cold", holds)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("given", "expected"), [(None, 0), ("0", 0), ("4", 4)])
def test_the_seed_is_zero_or_what_make_claims_sets(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: int
) -> None:
    monkeypatch.delenv("TML_SEED", raising=False)
    if given is not None:
        monkeypatch.setenv("TML_SEED", given)
    assert seed() == expected


@pytest.mark.parametrize("given", ["", "-1", "1.5", "one"])
def test_a_seed_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("TML_SEED", given)
    with refuses(ValueError, "TML_SEED", "whole number", repr(given)):
        seed()
