"""Tables of pandas as they cross: values, labels, names, types and notes, each of exactly pandas' own types.

A column or index of a type that is not known here, as a sparse one, keeps its whole table where it is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas

Inner = Callable[[Any], Any]
Encoded = dict[str, Any]
TIMED = (pandas.DatetimeIndex, pandas.TimedeltaIndex)
INDEXES = (pandas.Index, *TIMED, pandas.PeriodIndex, pandas.IntervalIndex, pandas.CategoricalIndex)
SCALARS = (pandas.Timestamp, pandas.Timedelta, pandas.Period)
NULLABLE = {"b": pandas.arrays.BooleanArray, "i": pandas.arrays.IntegerArray, "u": pandas.arrays.IntegerArray}
NULLABLE |= {"f": pandas.arrays.FloatingArray}
MISSING = {"NaT": pandas.NaT, "<NA>": pandas.NA}


class Stays(Exception):
    """A part of a table is of a type that does not cross."""


def encode(value: Any, inner: Inner, _: list[bytes]) -> Encoded | None:
    """What stands for a table, its index, one value or a type of it; None for anything else. `inner` encodes parts."""
    try:
        return _encode(value, inner)
    except Stays:
        return None


def _encode(value: Any, inner: Inner) -> Encoded | None:
    kind = type(value)
    if value is pandas.NaT or value is pandas.NA:
        return {"element": {"missing": str(value)}}
    if kind is pandas.DataFrame:
        columns = [_values(value.iloc[:, place].array, inner) for place in range(value.shape[1])]
        return {"frame": [_index(value.index, inner), _index(value.columns, inner), columns, inner(value.attrs)]}
    if kind is pandas.Series:
        parts = [_index(value.index, inner), _values(value.array, inner), inner(value.name), inner(value.attrs)]
        return {"series": parts}
    if kind in (*INDEXES, pandas.RangeIndex, pandas.MultiIndex):
        return _index(value, inner)
    if kind in SCALARS:
        return {"element": _values(pandas.array([value]), inner)}
    if kind is pandas.Interval:
        return {"interval": [inner(value.left), inner(value.right), value.closed]}
    if issubclass(kind, pandas.api.extensions.ExtensionArray):
        return {"column": _values(value, inner)}
    if issubclass(kind, pandas.api.extensions.ExtensionDtype):
        return {"kind": _values(pandas.array([], dtype=value), inner)}
    return None


def _index(index: Any, inner: Inner) -> Encoded:
    if type(index) is pandas.RangeIndex:
        return {"numbered": [index.start, index.stop, index.step, inner(index.name)]}
    if type(index) is pandas.MultiIndex:
        levels = [_index(level, inner) for level in index.levels]
        return {"levels": [levels, [inner(np.asarray(codes)) for codes in index.codes], inner(list(index.names))]}
    if type(index) not in INDEXES:
        raise Stays
    frequency = getattr(index, "freqstr", None) if isinstance(index, TIMED) else None
    if frequency is not None and pandas.tseries.frequencies.to_offset(frequency) != index.freq:
        raise Stays  # as business days with holidays of their own
    return {"index": [_values(index.array, inner), inner(index.name), frequency]}


def _values(array: Any, inner: Inner) -> Encoded:
    """What stands for a column's or an index's values."""
    dtype = array.dtype
    if type(array) is pandas.arrays.NumpyExtensionArray or isinstance(dtype, np.dtype):
        return {"plain": inner(np.asarray(array))}
    if type(dtype) is pandas.CategoricalDtype:
        return {"categorical": [inner(np.asarray(array.codes)), _index(array.categories, inner), bool(array.ordered)]}
    if type(dtype) is pandas.DatetimeTZDtype and _zone(dtype.unit, str(dtype.tz)) == dtype:
        return {"zoned": [inner(np.asarray(array.tz_convert(None))), str(dtype.tz)]}
    if type(dtype) is pandas.PeriodDtype:
        return {"periods": [inner(np.asarray(array.asi8)), str(dtype)]}
    if type(dtype) is pandas.IntervalDtype:
        return {"intervals": [_index(array.left, inner), _index(array.right, inner), array.closed]}
    if type(dtype) is pandas.StringDtype:
        missing = "na" if getattr(dtype, "na_value", pandas.NA) is pandas.NA else "nan"  # pandas 2.1 has one alone
        return {"texts": [inner(array.to_numpy(dtype=object, na_value=None)), dtype.storage, missing]}
    if type(array) in NULLABLE.values():
        known = array.to_numpy(dtype=dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0))
        return {"nullable": [inner(known), inner(np.asarray(array.isna()))]}
    raise Stays


def _zone(unit: str, zone: str) -> Any:
    try:
        return pandas.DatetimeTZDtype(unit, zone)
    except (TypeError, ValueError, KeyError):
        return None


def _frame(content: Any, inner: Inner) -> Any:
    index, names, columns, notes = content
    rows = inner(index)
    data = {place: pandas.Series(_column(column, inner), index=rows) for place, column in enumerate(columns)}
    frame = pandas.DataFrame(data, index=rows)
    frame.columns = _of(pandas.Index, inner(names))
    frame.attrs = _of(dict, inner(notes))
    return frame


def _series(content: Any, inner: Inner) -> Any:
    index, values, name, notes = content
    series = pandas.Series(_column(values, inner), index=inner(index), name=inner(name))
    series.attrs = _of(dict, inner(notes))
    return series


def _flat_index(content: Any, inner: Inner) -> Any:
    values, name, frequency = content
    found = _column(values, inner)
    index = pandas.Index(found, name=inner(name), dtype=found.dtype)
    if frequency is not None:
        if not isinstance(index, TIMED):
            raise TypeError("no index of times")
        index.freq = str(frequency)  # refused where the dates do not follow it
    return index


def _levels(content: Any, inner: Inner) -> Any:
    levels, codes, names = content
    return pandas.MultiIndex(list(map(inner, levels)), list(map(inner, codes)), names=inner(names))


def _numbered(content: Any, inner: Inner) -> Any:
    start, stop, step, name = content
    return pandas.RangeIndex(_of(int, start), _of(int, stop), _of(int, step), name=inner(name))


def _column(content: Any, inner: Inner) -> Any:
    """The values again, as an array of numpy's or pandas'."""
    ((kind, parts),) = content.items()
    return COLUMNS[kind](parts, inner)


def _plain(parts: Any, inner: Inner) -> Any:
    found = _of(np.ndarray, inner(parts))
    return (
        pandas.array(found, dtype=found.dtype) if found.dtype.kind in "mM" else pandas.arrays.NumpyExtensionArray(found)
    )


def _categorical(parts: Any, inner: Inner) -> Any:
    codes, categories, ordered = parts
    return pandas.Categorical.from_codes(inner(codes), categories=inner(categories), ordered=ordered is True)


def _zoned(parts: Any, inner: Inner) -> Any:
    moments, zone = parts
    return pandas.DatetimeIndex(inner(moments)).tz_localize("UTC").tz_convert(str(zone)).array


def _periods(parts: Any, inner: Inner) -> Any:
    ordinals, frequency = parts
    return pandas.arrays.PeriodArray(_of(np.ndarray, inner(ordinals)), dtype=pandas.PeriodDtype(str(frequency)))


def _intervals(parts: Any, inner: Inner) -> Any:
    left, right, closed = parts
    return pandas.arrays.IntervalArray.from_arrays(inner(left), inner(right), closed=str(closed))


def _texts(parts: Any, inner: Inner) -> Any:
    texts, storage, missing = parts
    kind = pandas.StringDtype(str(storage), **({} if missing == "na" else {"na_value": np.nan}))
    return pandas.array(_of(np.ndarray, inner(texts)), dtype=kind)


def _nullable(parts: Any, inner: Inner) -> Any:
    known, missing = map(inner, parts)
    return NULLABLE[known.dtype.kind](known, missing)


def _of(kind: type, value: Any) -> Any:
    """The value, if it is of that kind."""
    if not issubclass(type(value), kind):
        raise TypeError(kind.__name__)
    return value


COLUMNS: dict[str, Callable[[Any, Inner], Any]] = {
    "plain": _plain,
    "categorical": _categorical,
    "zoned": _zoned,
    "periods": _periods,
    "intervals": _intervals,
    "texts": _texts,
    "nullable": _nullable,
    "missing": lambda parts, _: [MISSING[parts]],
}
MAKERS: dict[str, Callable[[Any, Inner], Any]] = {
    "frame": _frame,
    "series": _series,
    "index": _flat_index,
    "numbered": _numbered,
    "levels": _levels,
    "element": lambda content, inner: _column(content, inner)[0],
    "column": _column,
    "kind": lambda content, inner: _column(content, inner).dtype,
    "interval": lambda content, inner: pandas.Interval(inner(content[0]), inner(content[1]), str(content[2])),
}


def _decoder(make: Callable[[Any, Inner], Any]) -> Callable[[Any, list[bytes], Inner], Any]:
    return lambda content, _, inner: make(content, inner)


DECODERS = {kind: _decoder(make) for kind, make in MAKERS.items()}
