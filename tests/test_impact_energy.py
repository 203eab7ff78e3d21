"""Energy: counters that are made here, read, come round, vanish or may not be read; the model; what is said."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import refuses

from tml_helpers.impact import CounterWarning, Energy, energy, measure

Counter = Callable[..., Path]


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counter:
    """`counters(0, 5_000_000)` makes package 0, or sets what its counter says, in microjoules."""
    monkeypatch.setattr(energy, "COUNTERS", tmp_path)

    def put(package: str | int, microjoules: int, *, name: str | None = None, most: int = 262_143_328_850) -> Path:
        folder = tmp_path / f"intel-rapl:{package}"
        folder.mkdir(exist_ok=True)
        (folder / "name").write_text(f"{name or f'package-{package}'}\n")
        (folder / "max_energy_range_uj").write_text(f"{most}\n")
        (folder / "energy_uj").write_text(f"{microjoules}\n")
        return folder

    return put


def test_counters_of_all_packages_are_added_and_their_parts_are_not(counters: Counter) -> None:
    """`intel-rapl:0:0` is a part of package 0, and psys holds the packages: either would count twice."""
    counters(0, 1_000_000)
    counters(1, 2_000_000)
    counters("0:0", 500_000, name="core")
    counters(2, 9_000_000, name="psys")
    with measure() as meter:
        counters(0, 4_000_000)
        counters(1, 2_500_000)
        counters("0:0", 5_000_000, name="core")
        counters(2, 99_000_000, name="psys")
    assert meter.energy.joules == pytest.approx(3.5)
    assert (meter.energy.source, meter.energy.estimated) == ("counter", False)
    assert "2 processor package(s)" in meter.energy.counted
    assert str(meter.energy).startswith("3.5 J in ")
    assert "measured" in str(meter.energy)


def test_a_counter_that_came_round_counts_on(counters: Counter) -> None:
    counters(0, 262_143_000_000)
    with measure() as meter:
        counters(0, 1_000_000)
    assert meter.energy.joules == pytest.approx((262_143_328_850 - 262_143_000_000 + 1_000_000) / 1e6)


def test_a_counter_that_may_have_come_round_twice_is_told(counters: Counter) -> None:
    counters(0, 5, most=1000)
    with pytest.warns(CounterWarning, match="shorter blocks"), measure():
        time.sleep(0.001)


def test_a_counter_that_may_not_be_read_is_no_counter(counters: Counter) -> None:
    """codecarbon #232 and #244: readable for root alone since Linux 5.10; it crashed, or fell back unseen."""
    folder = counters(0, 5)
    (folder / "energy_uj").unlink()
    (folder / "energy_uj").mkdir()  # as root may read any file, this is a file that nobody can
    with refuses(OSError, "no counter", "energy_uj"):
        measure(source="counter")
    with measure() as meter:
        pass
    assert meter.energy.source == "model"
    assert meter.energy.estimated


def test_a_counter_that_vanishes_is_an_error_and_no_small_number(counters: Counter) -> None:
    folder = counters(0, 5)
    counters(1, 7)
    meter = measure()
    meter.__enter__()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    with refuses(OSError, "has gone"):
        meter.__exit__(None, None, None)


def test_a_reading_is_in_microjoules(counters: Counter) -> None:
    """codecarbon #286: a power reported a thousand times too small."""
    counters(0, 0)
    with measure() as meter:
        counters(0, 3_600_000_000)
    assert meter.energy.joules == 3600
    assert meter.energy.kilowatt_hours == pytest.approx(0.001)


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_model_is_watts_times_cpu_seconds_and_not_seconds_on_the_wall() -> None:
    with measure(source="model", watts_per_core=10) as meter:
        burn(0.2)
        time.sleep(0.3)
    found = meter.energy
    assert found.joules == pytest.approx(10 * found.cpu_seconds)
    assert 0.19 < found.cpu_seconds < 0.45
    assert found.seconds >= 0.5
    assert "10 W a core" in found.counted
    assert "no idling" in found.counted


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell what children took")
def test_children_that_were_waited_for_are_counted() -> None:
    code = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    with measure(source="model") as meter:
        subprocess.run([sys.executable, "-I", "-c", code], check=True)
    assert meter.energy.cpu_seconds > 0.25


def test_energy_is_known_when_the_block_has_ended_also_by_an_error() -> None:
    meter = measure(source="model")
    with refuses(RuntimeError, "has ended"):
        _ = meter.energy
    with pytest.raises(KeyError), meter:
        raise KeyError
    assert meter.energy.joules >= 0
    with refuses(RuntimeError, "one block"):
        meter.__enter__()


def test_meters_may_be_nested() -> None:
    with measure(source="model") as outer:
        with measure(source="model") as inner:
            burn(0.05)
        burn(0.05)
    assert outer.energy.joules > inner.energy.joules > 0


@pytest.mark.parametrize("watts", [0, -1.0, float("nan"), float("inf")])
def test_watts_are_above_0(watts: float) -> None:
    with refuses(ValueError, "watts_per_core"):
        measure(source="model", watts_per_core=watts)


def test_words_and_kinds_are_checked() -> None:
    with refuses(ValueError, "source", "'rapl'"):
        measure(source="rapl")  # type: ignore[arg-type]
    with refuses(TypeError, "watts_per_core"):
        measure(watts_per_core="4")  # type: ignore[arg-type]


def test_codecarbon_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with refuses(ModuleNotFoundError, "pip install codecarbon"):
        measure(source="codecarbon")


def test_carbon_is_kilowatt_hours_times_intensity() -> None:
    found = Energy(7.2e6, 1, 1, "model", "")
    assert found.carbon(grams_per_kwh=264) == pytest.approx(528)
    assert found.carbon(grams_per_kwh=0) == 0
    for wrong in (-1, float("nan"), float("inf")):
        with refuses(ValueError, "grams_per_kwh"):
            found.carbon(grams_per_kwh=wrong)
