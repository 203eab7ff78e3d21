"""The energy that a piece of work takes: read from the processor's counter where it may be read, else estimated."""

import logging
import math
import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from tml_helpers.common import check_numbers

__all__ = ["CounterWarning", "Energy", "Meter", "Source", "measure"]

Source = Literal["counter", "codecarbon", "model"]
COUNTERS = Path("/sys/class/powercap")  # Linux: Intel's and AMD's counters, one folder for each package
WATTS = 4.0  # of a busy core, where nobody knows: what CodeCarbon takes for a processor that is not in its table
SWIFTEST = 1000.0  # watts of one package, more than any has: how soon a counter may come round unseen
JOULES = 3.6e6  # of a kilowatt-hour


class CounterWarning(UserWarning):
    """The counter may have come round more than once between its two readings: the energy is at least what is said."""


@dataclass(frozen=True)
class Energy:
    """What a piece of work took, and how that is known.

    Attributes:
        joules: of what `counted` names.
        seconds: by the clock on the wall.
        cpu_seconds: of this process and of those that it has started and waited for.
        source: `"counter"`, `"codecarbon"` or `"model"`.
        counted: what is in the number and what is not, in words.

    Derived in: lectures/80_impact/energy.
    """

    joules: float
    seconds: float
    cpu_seconds: float
    source: Source
    counted: str

    @property
    def estimated(self) -> bool:
        """Whether no counter was read."""
        return self.source != "counter"

    @property
    def kilowatt_hours(self) -> float:
        """The joules in the unit of the electricity bill."""
        return self.joules / JOULES

    def carbon(self, *, grams_per_kwh: float) -> float:
        """Grams of CO₂ equivalent, at a grid's carbon intensity.

        Args:
            grams_per_kwh: of the grid and the year, 0 or more; it is between some tens and 750 in Europe.

        Returns:
            The grams that making this much electricity gives off; making the machine is not in it.

        Raises:
            TypeError: no number.
            ValueError: an intensity below 0, or not finite.
        """
        check_numbers(grams_per_kwh=grams_per_kwh)
        if not (math.isfinite(grams_per_kwh) and grams_per_kwh >= 0):
            raise ValueError(f"grams_per_kwh must be 0 or more, got {grams_per_kwh}")
        return self.kilowatt_hours * grams_per_kwh

    def __str__(self) -> str:
        kind = "estimated" if self.estimated else "measured"
        return f"{self.joules:.3g} J in {self.seconds:.3g} s, {kind}: {self.counted}"


class Meter:
    """`with measure() as meter: work()`, and then `meter.energy`: made by `measure`.

    Args:
        source: `"counter"`, `"codecarbon"` or `"model"`.
        watts_per_core: of the model.

    Derived in: lectures/80_impact/energy.
    """

    def __init__(self, source: Source, watts_per_core: float) -> None:
        self._source, self._watts = source, watts_per_core
        self._energy: Energy | None = None
        self._running = False

    @property
    def energy(self) -> Energy:
        """What the block took; there also where it ended by an error."""
        if self._energy is None:
            raise RuntimeError("the energy is known when the `with` block has ended")
        return self._energy

    def __enter__(self) -> "Meter":
        if self._running or self._energy is not None:
            raise RuntimeError("a meter measures one block: make another one by measure()")
        self._running = True
        self._tracker = _tracker() if self._source == "codecarbon" else None
        self._counters = _readings() if self._source == "counter" else {}
        self._began, self._cpu = time.perf_counter(), _cpu_seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        seconds, cpu = time.perf_counter() - self._began, _cpu_seconds() - self._cpu
        if self._source == "counter":
            joules = _passed(self._counters, _readings(), seconds)
            counted = f"{len(self._counters)} processor package(s), all programs and idling; no memory, GPU or cooling"
        elif self._tracker is not None:
            self._tracker.stop()
            joules = self._tracker.final_emissions_data.energy_consumed * JOULES
            counted = "CodeCarbon's estimate for this process's processor, memory and GPU; no cooling"
        else:
            joules = self._watts * cpu
            counted = f"{cpu:.3g} CPU-seconds at {self._watts:g} W a core; no idling, memory, GPU or cooling"
        self._energy = Energy(joules, seconds, cpu, self._source, counted)


def measure(*, source: Source | None = None, watts_per_core: float = WATTS) -> Meter:
    """The joules of a block of code: `with measure() as meter: …`, then `meter.energy`.

    Args:
        source: `"counter"` reads the processor's own (Linux, where the files may be read); `"codecarbon"` asks
            CodeCarbon, without a network; `"model"` multiplies CPU-seconds by watts. None takes the counter where it
            can be read, else the model; it never takes a library that you did not ask for.
        watts_per_core: of the model, above 0. The default is what CodeCarbon takes for a processor that it does not
            know; it may be off by several times.

    Returns:
        The meter. Its `energy` says which source was used.

    Raises:
        TypeError: watts that are no number.
        ValueError: another source, or watts that are not above 0.
        OSError: the counter was asked for and cannot be read.
        ModuleNotFoundError: CodeCarbon was asked for and is not installed.

    Source: Schmidt et al., CodeCarbon, 2021. Derived in: lectures/80_impact/energy.
    """
    check_numbers(watts_per_core=watts_per_core)
    if not (math.isfinite(watts_per_core) and watts_per_core > 0):
        raise ValueError(f"watts_per_core must be above 0, got {watts_per_core}")
    if source is None:
        source = "counter" if _readable() else "model"
    if source not in ("counter", "codecarbon", "model"):
        raise ValueError(f"source is counter, codecarbon, model or None; got {source!r}")
    if source == "counter" and not _readable():
        needs = "it needs Linux, a real machine and leave to read energy_uj"
        raise OSError(f"no counter can be read in {COUNTERS}: {needs}")
    if source == "codecarbon":
        _codecarbon()
    return Meter(source, watts_per_core)


def _packages() -> list[Path]:
    """The counters' folders, one for each processor package: what lies inside a package is in its number already."""
    folders = sorted(COUNTERS.glob("intel-rapl:*"))
    whole = [folder for folder in folders if folder.name.count(":") == 1]
    return [folder for folder in whole if _text(folder / "name").startswith("package")]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _readable() -> bool:
    packages = _packages()
    return bool(packages) and all(_text(folder / "energy_uj").isdigit() for folder in packages)


def _readings() -> dict[Path, int]:
    """Microjoules of each package."""
    return {folder: int((folder / "energy_uj").read_text(encoding="utf-8")) for folder in _packages()}


def _passed(before: dict[Path, int], after: dict[Path, int], seconds: float) -> float:
    """Joules between two readings; a counter that is lower than before has come round."""
    total = 0
    for folder, start in before.items():
        if folder not in after:
            raise OSError(f"the counter {folder} has gone while it was being read")
        most = int(_text(folder / "max_energy_range_uj") or 2**32)
        if seconds * SWIFTEST * 1e6 > most:
            said = "the counter may have come round more than once: measure in shorter blocks and add them up"
            warnings.warn(said, CounterWarning, stacklevel=3)
        total += after[folder] - start + (most if after[folder] < start else 0)
    return total / 1e6


def _cpu_seconds() -> float:
    """Of this process, and of those that it has waited for, where the system tells."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _codecarbon() -> Any:
    """The package, or the sentence that says how to have it."""
    try:
        import codecarbon
    except ImportError as missing:
        say = "codecarbon is not installed: run `pip install codecarbon`, or take another source"
        raise ModuleNotFoundError(say) from missing
    return codecarbon


def _tracker() -> Any:
    """A tracker of CodeCarbon that asks no network, writes no file and says nothing, started."""
    logger = logging.getLogger("codecarbon")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        tracker = _codecarbon().OfflineEmissionsTracker(
            country_iso_code="FRA",  # for its grams, which we do not take
            save_to_file=False,
            log_level="critical",
            measure_power_secs=1,
            tracking_mode="process",
            allow_multiple_runs=True,
        )
        tracker.start()
    finally:
        logger.setLevel(level)
    return tracker
