"""Further types of Python's own as they cross: dates and times, paths, plain classes, and signatures."""

import inspect
import pathlib
import sys
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tml_helpers.grading.wire import place

Inner = Callable[[Any], Any]
PATHS = {kind.__name__: kind for kind in (type(pathlib.Path()), pathlib.PurePosixPath, pathlib.PureWindowsPath)}
PLAIN = (bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict, range, type(None))
NAMED = (Counter, OrderedDict, defaultdict, deque, date, datetime, time, timedelta, Decimal, Fraction, pathlib.Path)
CLASSES = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in (*PLAIN, *NAMED)}
OF_PACKAGES = ("numpy.ndarray", "torch.Tensor", "pandas.DataFrame", "pandas.Series", "pandas.Index")


def encode(value: Any, inner: Inner, _: list[bytes]) -> dict[str, Any] | None:
    """What stands for a value of these types; None for anything else."""
    kind = type(value)
    if kind is date:
        return {"date": [value.year, value.month, value.day]}
    if kind is time:
        return {"time": [value.hour, value.minute, value.second, value.microsecond, inner(value.tzinfo), value.fold]}
    if kind is datetime:
        return {"datetime": [inner(value.date()), inner(value.timetz())]}
    if kind is timedelta:
        return {"timedelta": [value.days, value.seconds, value.microseconds]}
    if kind is timezone:
        return {"offset": inner(value.utcoffset(None))}
    if kind is zoneinfo.ZoneInfo and value.key:
        return {"zone": value.key}
    if kind.__name__ in PATHS and kind is PATHS[kind.__name__]:
        return {"path": [kind.__name__, str(value)]}
    if isinstance(value, type):
        name = next((name for name, known in classes().items() if known is value), None)
        return None if name is None else {"type": name}
    if kind is inspect.Signature:
        parts = value.parameters.values()
        return {"signature": [[inner(p.name), int(p.kind), inner(p.default), inner(p.annotation)] for p in parts]}
    return None


def classes() -> dict[str, type]:
    """The classes that cross, by name: those of packages that are loaded, too."""
    loaded = [(name, name.rpartition(".")) for name in OF_PACKAGES if name.partition(".")[0] in sys.modules]
    others = {"inspect._empty": inspect.Parameter.empty}
    return CLASSES | others | {name: getattr(sys.modules[package], kind) for name, (package, _, kind) in loaded}


def _time(content: Any, _: list[bytes], inner: Inner) -> Any:
    *clock, zone, fold = content
    return time(*map(place, clock), tzinfo=inner(zone), fold=place(fold))


def _signature(content: Any, _: list[bytes], inner: Inner) -> Any:
    parts = [
        inspect.Parameter(str(name), _kind(kind), default=inner(default), annotation=inner(annotation))
        for name, kind, default, annotation in content
    ]
    return inspect.Signature(parts)


def _kind(number: Any) -> Any:
    return (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    )[place(number)]


def _datetime(content: Any, _: list[bytes], inner: Inner) -> Any:
    day, clock = map(inner, content)
    if type(day) is not date or type(clock) is not time:
        raise TypeError("no date and time")
    return datetime.combine(day, clock)


DECODERS: dict[str, Callable[[Any, list[bytes], Inner], Any]] = {
    "date": lambda c, b, i: date(*map(place, c)),
    "time": _time,
    "datetime": _datetime,
    "timedelta": lambda c, b, i: timedelta(*(int(n) for n in c)),
    "offset": lambda c, b, i: timezone(i(c)) if i(c) else timezone.utc,
    "zone": lambda c, b, i: zoneinfo.ZoneInfo(str(c)),
    "path": lambda c, b, i: PATHS[c[0]](str(c[1])),
    "type": lambda c, b, i: classes()[c],
    "signature": _signature,
}
