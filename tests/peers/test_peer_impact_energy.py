"""CodeCarbon as the kept library: asked without a network, a file or a word; its own numbers passed on."""

import logging
import time
from pathlib import Path

import pytest

from tml_helpers.impact import measure

codecarbon = pytest.importorskip("codecarbon", reason="the extra [energy] is not installed")


def test_codecarbons_joules_are_passed_on_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    kept: list[float] = []
    stop = codecarbon.OfflineEmissionsTracker.stop

    def watched(tracker: object) -> object:
        out = stop(tracker)
        kept.append(tracker.final_emissions_data.energy_consumed)  # type: ignore[attr-defined]
        return out

    monkeypatch.setattr(codecarbon.OfflineEmissionsTracker, "stop", watched)
    level = logging.getLogger("codecarbon").level
    with measure(source="codecarbon") as meter:
        end = time.process_time() + 1.2
        while time.process_time() < end:
            pass
    assert meter.energy.joules == pytest.approx(kept[0] * 3.6e6)
    assert meter.energy.joules > 0
    assert meter.energy.estimated
    assert "CodeCarbon" in meter.energy.counted
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().out == ""
    assert logging.getLogger("codecarbon").level in (level, logging.CRITICAL)
