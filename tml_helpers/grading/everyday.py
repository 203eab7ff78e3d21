"""Further types of Python's own as they cross: dates and times, paths, plain classes, and signatures."""

import inspect
import pathlib
import sys
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tml_helpers.grading.wire import Decoder, place

Inner = Callable[[Any], Any]
PATHS = {kind.__name__: kind for kind in (type(pathlib.Path()), pathlib.PurePosixPath, pathlib.PureWindowsPath)}
PLAIN = (bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict, range, type(None))
NAMED = (Counter, OrderedDict, defaultdict, deque, date, datetime, time, timedelta, Decimal, Fraction, pathlib.Path)
CLASSES = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in (*PLAIN, *NAMED)}
NAMED_TUPLES: dict[tuple[str, tuple[str, ...]], Any] = {}
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
    if issubclass(kind, type) and _is_named_tuple(value):
        return {"fields": _fields(value, inner)}
    if _is_named_tuple(kind):
        return {"record": [*_fields(kind, inner), [inner(item) for item in tuple(value)]]}
    if issubclass(kind, type):
        name = next((name for name, known in classes().items() if known is value), None)
        return None if name is None else {"type": name}
    if kind is inspect.Signature:
        parts = value.parameters.values()
        listed = [[inner(p.name), int(p.kind), inner(p.default), inner(p.annotation)] for p in parts]
        return {"signature": [listed, inner(value.return_annotation)]}
    return None


def _is_named_tuple(kind: type) -> bool:
    """Whether this is a class as `namedtuple` makes it, without anything of its own."""
    if not issubclass(type(kind), type) or kind.__bases__ != (tuple,) or type(vars(kind).get("_fields")) is not tuple:
        return False
    try:
        plain = namedtuple(kind.__name__, vars(kind)["_fields"])  # type: ignore[misc]
    except (TypeError, ValueError):
        return False
    return set(vars(kind)) <= set(vars(plain)) | {"__annotations__", "__orig_bases__"}


def _fields(kind: Any, inner: Inner) -> list[Any]:
    defaults = [inner(value) for value in kind._field_defaults.values()]
    NAMED_TUPLES[kind.__name__, kind._fields] = kind
    return [kind.__name__, list(kind._fields), defaults]


def _named_tuple(content: Any, inner: Inner) -> Any:
    """The class of that name and these fields: the submission's own over there, always the same one here."""
    name, fields, defaults = content
    known = (str(name), tuple(map(str, fields)))
    if known not in NAMED_TUPLES:
        NAMED_TUPLES[known] = namedtuple(*known, defaults=[inner(d) for d in defaults])
    return NAMED_TUPLES[known]


def classes() -> dict[str, type]:
    """The classes that cross, by name: those of packages that are loaded, too."""
    loaded = [(name, name.rpartition(".")) for name in OF_PACKAGES if name.partition(".")[0] in sys.modules]
    others = {"inspect._empty": inspect.Parameter.empty}
    return CLASSES | others | {name: getattr(sys.modules[package], kind) for name, (package, _, kind) in loaded}


def _time(content: Any, _: list[bytes], inner: Inner) -> Any:
    hour, minute, second, microsecond, zone, fold = content
    return time(place(hour), place(minute), place(second), place(microsecond), tzinfo=inner(zone), fold=place(fold))


def _signature(content: Any, _: list[bytes], inner: Inner) -> Any:
    parts = [
        inspect.Parameter(str(name), _kind(kind), default=inner(default), annotation=inner(annotation))
        for name, kind, default, annotation in content[0]
    ]
    return inspect.Signature(parts, return_annotation=inner(content[1]))


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


DECODERS: dict[str, Decoder] = {
    "date": lambda c, b, i: date(*map(place, c)),
    "time": _time,
    "datetime": _datetime,
    "timedelta": lambda c, b, i: timedelta(*(int(n) for n in c)),
    "offset": lambda c, b, i: timezone(i(c)) if i(c) else UTC,
    "zone": lambda c, b, i: zoneinfo.ZoneInfo(str(c)),
    "path": lambda c, b, i: PATHS[c[0]](str(c[1])),
    "type": lambda c, b, i: classes()[c],
    "signature": _signature,
    "fields": lambda c, b, i: _named_tuple(c, i),
    "record": lambda c, b, i: _named_tuple(c[:3], i)(*map(i, c[3])),
}
