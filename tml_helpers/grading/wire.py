"""What crosses between a submission and its tests: frames on a socket, and values of known types inside them.

Nothing that arrives is ever executed or unpickled here. An object of a type that is not known stays where it is, and a
reference to it crosses.
"""

import json
import socket
import struct
import sys
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

HEAD = struct.Struct("!II")
MIB = 2**20
DEEPEST = 60
MOST_BUFFERS = 100_000


class Broken(Exception):
    """The other side closed the wire, sent what cannot be read, or too much of it."""


class Wire:
    """One end of a connection that carries messages: a JSON value and buffers of bytes.

    `until`: when waiting ends, on the clock of `time.monotonic`; None waits for ever.
    """

    def __init__(self, end: socket.socket, *, largest: int = 256 * MIB) -> None:
        self.end = end
        self.largest = largest
        self.until: float | None = None

    def send(self, message: Any, buffers: list[bytes] | None = None) -> None:
        """Send one message. Raises Broken where nobody reads any more, TimeoutError where nobody reads in time."""
        text = json.dumps(message).encode("utf-8", "surrogatepass")
        buffers = buffers or []
        sizes = struct.pack(f"!{len(buffers)}Q", *map(len, buffers))
        try:
            for part in (HEAD.pack(len(text), len(buffers)) + sizes + text, *buffers):
                self._wait_no_longer()
                self.end.sendall(part)
        except TimeoutError:
            raise
        except OSError as error:
            raise Broken("it ended") from error

    def receive(self) -> tuple[Any, list[bytes]]:
        """The next message. Raises Broken for anything but a whole message, TimeoutError where it is late."""
        length, count = HEAD.unpack(self._exactly(HEAD.size))
        if length > self.largest or count > MOST_BUFFERS:
            raise Broken("it sent too much")
        sizes = struct.unpack(f"!{count}Q", self._exactly(8 * count))
        if length + sum(sizes) > self.largest:
            raise Broken("it sent too much")
        text = self._exactly(length)
        buffers = [self._exactly(size) for size in sizes]
        try:
            return json.loads(text.decode("utf-8", "surrogatepass")), buffers
        except (ValueError, RecursionError) as error:
            raise Broken("it sent what cannot be read") from error

    def _exactly(self, size: int) -> bytes:
        found = bytearray(size)
        view, got = memoryview(found), 0
        while got < size:
            try:
                self._wait_no_longer()
                more = self.end.recv_into(view[got:])
            except TimeoutError:
                raise
            except OSError as error:
                raise Broken("it ended") from error
            if more == 0:
                raise Broken("it ended")
            got += more
        return bytes(found)

    def _wait_no_longer(self) -> None:
        if self.until is not None:
            left = self.until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.end.settimeout(left)


Refer = Callable[[Any], Any]
PLAIN: set[type] = {type(None), bool, str}
SEQUENCES: dict[str, type] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}
MAPPINGS: dict[str, type] = {"dict": dict, "ordered": OrderedDict, "counter": Counter}
TEXTUAL: dict[str, type] = {"decimal": Decimal, "fraction": Fraction}
VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
SEQUENCE_NAMES = {kind: name for name, kind in SEQUENCES.items()} | dict.fromkeys(VIEWS, "list")
MAPPING_NAMES = {kind: name for name, kind in MAPPINGS.items()} | {defaultdict: "dict"}
TEXTUAL_NAMES = {kind: name for name, kind in TEXTUAL.items()}


def encode(value: Any, buffers: list[bytes], refer: Refer, depth: int = 0) -> Any:
    """The value as JSON, its arrays appended to `buffers`; `refer` says what stands for an object of another type."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is int:
        return value if abs(value) < 2**63 else {"int": hex(value)}
    if kind is float:
        return {"float": repr(value)}
    if depth > DEEPEST:
        return refer(value)
    if kind in SEQUENCE_NAMES:
        return {SEQUENCE_NAMES[kind]: [encode(item, buffers, refer, depth + 1) for item in list(value)]}
    if kind in MAPPING_NAMES:
        pairs = [[encode(part, buffers, refer, depth + 1) for part in item] for item in list(value.items())]
        return {MAPPING_NAMES[kind]: pairs}
    if kind is complex:
        return {"complex": [repr(value.real), repr(value.imag)]}
    if kind in (bytes, bytearray):
        return {kind.__name__: _append(bytes(value), buffers)}
    if kind is range:
        return {"range": [hex(n) for n in (value.start, value.stop, value.step)]}
    if kind is slice:
        return {"slice": [encode(n, buffers, refer, depth + 1) for n in (value.start, value.stop, value.step)]}
    if kind is type(Ellipsis):
        return {"ellipsis": 0}
    if kind in TEXTUAL_NAMES:
        return {TEXTUAL_NAMES[kind]: str(value)}
    for package, encoded in (("numpy", _from_numpy), ("torch", _from_torch), ("pandas", _from_pandas)):
        if package in sys.modules:
            found = encoded(value, buffers, refer, depth)
            if found is not None:
                return found
    return refer(value)


def decode(value: Any, buffers: list[bytes], resolve: Callable[[str, Any], Any], depth: int = 0) -> Any:
    """The value again; `resolve` gives what a reference stands for. Raises Broken for what `encode` does not write."""
    if type(value) in (type(None), bool, int, str):
        return value
    if type(value) is not dict or len(value) != 1 or depth > DEEPEST + 2:
        raise Broken("a value is malformed")
    ((kind, content),) = value.items()

    def inner(item: Any) -> Any:
        return decode(item, buffers, resolve, depth + 1)

    try:
        if kind in SEQUENCES:
            return SEQUENCES[kind]([inner(item) for item in content])
        if kind in MAPPINGS:
            return MAPPINGS[kind]({inner(key): inner(item) for key, item in content})
        if kind in DECODERS:
            return DECODERS[kind](content, buffers, inner)
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, ArithmeticError, RuntimeError) as error:
        raise Broken(f"a value of kind {kind} is malformed") from error
    return resolve(kind, content)


def _append(content: bytes, buffers: list[bytes]) -> int:
    buffers.append(content)
    return len(buffers) - 1


def _from_numpy(value: Any, buffers: list[bytes], refer: Refer, depth: int) -> Any:
    import numpy as np

    if type(value) is np.ndarray:
        if value.dtype.kind in "biufcSUmM":
            return {"array": [value.dtype.str, list(value.shape), _append(value.tobytes(), buffers)]}
        if value.dtype.kind == "O":
            items = [encode(item, buffers, refer, depth + 1) for item in value.ravel().tolist()]
            return {"objects": [list(value.shape), items]}
    elif isinstance(value, np.generic) and type(value) is value.dtype.type and value.dtype.kind in "biufcSUmM":
        return {"scalar": [value.dtype.str, [], _append(value.tobytes(), buffers)]}
    elif isinstance(value, np.dtype) and value.kind in "biufcSUmMO":
        return {"dtype": value.str}
    return None


def _array(content: Any, buffers: list[bytes], _: Any) -> Any:
    import numpy as np

    code, shape, where = content
    kind = np.dtype(str(code))
    if kind.kind not in "biufcSUmM" or kind.hasobject:
        raise ValueError(code)
    return np.frombuffer(buffers[_index(where)], dtype=kind).reshape([_index(n) for n in shape]).copy()


def _objects(content: Any, _: list[bytes], inner: Callable[[Any], Any]) -> Any:
    import numpy as np

    shape, items = content
    found = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        found[place] = inner(item)
    return found.reshape([_index(n) for n in shape])


def _from_torch(value: Any, buffers: list[bytes], _: Refer, __: int) -> Any:
    import torch

    if type(value) in (torch.Tensor, torch.nn.Parameter) and value.layout is torch.strided and not value.is_quantized:
        flat = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        content = _append(flat.view(torch.uint8).numpy().tobytes(), buffers)
        return {"tensor": [str(value.dtype)[6:], list(value.shape), content, value.requires_grad]}
    if type(value) is torch.Size:
        return {"size": list(value)}
    if type(value) is torch.dtype:
        return {"torch": str(value)[6:]}
    if type(value) is torch.device:
        return {"device": str(value)}
    return None


def _tensor(content: Any, buffers: list[bytes], _: Any) -> Any:
    import torch

    name, shape, where, requires_grad = content
    content = bytearray(buffers[_index(where)])
    kind = _torch_dtype(name)
    flat = torch.frombuffer(content, dtype=kind) if content else torch.empty(0, dtype=kind)
    tensor = flat.reshape([_index(n) for n in shape]).clone()
    return tensor.requires_grad_() if requires_grad is True else tensor


def _torch_dtype(name: Any) -> Any:
    import torch

    kind = getattr(torch, str(name), None)
    if not isinstance(kind, torch.dtype):
        raise ValueError(name)
    return kind


def _size(content: Any, _: list[bytes], __: Any) -> Any:
    import torch

    return torch.Size([_index(n) for n in content])


def _device(content: Any, _: list[bytes], __: Any) -> Any:
    import torch

    return torch.device(str(content))


def _from_pandas(value: Any, buffers: list[bytes], refer: Refer, depth: int) -> Any:
    import pandas

    def column(series: Any) -> Any:
        simple = series.dtype.kind in "biufcmM" and not hasattr(series.dtype, "na_value")
        return encode(series.to_numpy() if simple else series.to_numpy(dtype=object), buffers, refer, depth + 2)

    if type(value) is pandas.DataFrame:
        columns = [column(value.iloc[:, place]) for place in range(value.shape[1])]
        return {"frame": [column(value.index), column(value.columns), columns]}
    if type(value) is pandas.Series:
        return {"series": [column(value.index), encode(value.name, buffers, refer, depth + 1), column(value)]}
    if type(value) in (pandas.Index, pandas.RangeIndex):
        return {"index": column(value)}
    return None


def _frame(content: Any, _: list[bytes], inner: Callable[[Any], Any]) -> Any:
    import pandas

    index, names, columns = content
    frame = pandas.DataFrame({place: inner(column) for place, column in enumerate(columns)}, index=inner(index))
    frame.columns = pandas.Index(inner(names))
    return frame


def _series(content: Any, _: list[bytes], inner: Callable[[Any], Any]) -> Any:
    import pandas

    index, name, values = map(inner, content)
    return pandas.Series(values, index=index, name=name)


def _pandas_index(content: Any, _: list[bytes], inner: Callable[[Any], Any]) -> Any:
    import pandas

    return pandas.Index(inner(content))


def _dtype(content: Any, _: list[bytes], __: Any) -> Any:
    import numpy as np

    return np.dtype(str(content))


def _index(value: Any) -> int:
    """A length or a place: never negative, never another type."""
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


DECODERS: dict[str, Callable[[Any, list[bytes], Callable[[Any], Any]], Any]] = {
    "int": lambda c, b, i: int(str(c), 16),
    "float": lambda c, b, i: float(str(c)),
    "complex": lambda c, b, i: complex(float(str(c[0])), float(str(c[1]))),
    "bytes": lambda c, b, i: b[_index(c)],
    "bytearray": lambda c, b, i: bytearray(b[_index(c)]),
    "range": lambda c, b, i: range(*(int(str(n), 16) for n in c)),
    "slice": lambda c, b, i: slice(*map(i, c)),
    "ellipsis": lambda c, b, i: Ellipsis,
    "decimal": lambda c, b, i: Decimal(str(c)),
    "fraction": lambda c, b, i: Fraction(str(c)),
    "array": _array,
    "scalar": lambda c, b, i: _array(c, b, i)[()],
    "objects": _objects,
    "dtype": _dtype,
    "tensor": _tensor,
    "size": _size,
    "torch": lambda c, b, i: _torch_dtype(c),
    "device": _device,
    "frame": _frame,
    "series": _series,
    "index": _pandas_index,
}
