"""Arrays of numpy as they cross: their bytes, with a type that holds no object; arrays of objects item by item."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tml_helpers.grading.wire import Decoder, append, place

Inner = Callable[[Any], Any]
KINDS = "biufcSUmM"
OBJECTS = np.dtype(object)


def encode(value: Any, inner: Inner, buffers: list[bytes]) -> dict[str, Any] | None:
    """What stands for an array, a scalar or a type of numpy; None for anything else."""
    kind = type(value)
    if kind is np.ndarray:
        if _crosses(value.dtype):
            return {"array": [_code(value.dtype), list(value.shape), append(value.tobytes(), buffers)]}
        if value.dtype.kind == "O":
            return {"objects": [list(value.shape), [inner(item) for item in value.ravel().tolist()]]}
    elif kind is np.ma.MaskedArray:
        parts = (np.asarray(value.data), np.ma.getmaskarray(value), np.asarray(value.fill_value))
        return {"masked": [inner(part) for part in parts]}
    elif kind is np.matrix:
        return {"matrix": inner(np.asarray(value))}
    elif issubclass(kind, np.generic) and kind is value.dtype.type and _crosses(value.dtype):
        return {"scalar": [_code(value.dtype), [], append(value.tobytes(), buffers)]}
    elif issubclass(kind, np.dtype) and (value == OBJECTS or _crosses(value)):
        return {"dtype": _code(value)}
    return None


def _code(dtype: Any) -> Any:
    """A type's name, or for one with fields their names and types."""
    return [[name, _code(dtype[name])] for name in dtype.names] if dtype.names else dtype.str


def _dtype(code: Any) -> Any:
    if type(code) is list:
        return np.dtype([(str(name), _dtype(inner)) for name, inner in code])
    return np.dtype(str(code))


def _known(code: Any) -> Any:
    dtype = _dtype(code)
    if dtype != OBJECTS and not _crosses(dtype):
        raise ValueError(code)
    return dtype


def _crosses(dtype: Any) -> bool:
    plain = dtype.kind in KINDS or (dtype.names and all(_crosses(dtype[name]) for name in dtype.names))
    return bool(plain) and _dtype(_code(dtype)) == dtype


def _array(content: Any, buffers: list[bytes], _: Inner) -> Any:
    code, shape, where = content
    dtype = _dtype(code)
    if not _crosses(dtype):
        raise ValueError(code)
    return np.frombuffer(buffers[place(where)], dtype=dtype).reshape([place(n) for n in shape]).copy()


def _objects(content: Any, _: list[bytes], inner: Inner) -> Any:
    shape, items = content
    found = np.empty(len(items), dtype=object)
    for number, item in enumerate(items):
        found[number] = inner(item)
    return found.reshape([place(n) for n in shape])


def _masked(content: Any, _: list[bytes], inner: Inner) -> Any:
    data, mask, fill = map(_own, map(inner, content))
    if mask.shape != data.shape:
        raise ValueError("a mask of another shape")
    return np.ma.MaskedArray(data, mask=mask, fill_value=fill)


def _matrix(content: Any, _: list[bytes], inner: Inner) -> Any:
    rows = _own(inner(content))
    if rows.ndim != 2:
        raise ValueError("a matrix has rows and columns")
    return rows.view(np.matrix)


def _own(value: Any) -> Any:
    if type(value) is not np.ndarray:
        raise TypeError("no array")
    return value


DECODERS: dict[str, Decoder] = {
    "array": _array,
    "scalar": lambda c, b, i: _array([c[0], [], c[2]], b, i)[()],
    "objects": _objects,
    "dtype": lambda c, b, i: _known(c),
    "masked": _masked,
    "matrix": _matrix,
}
