"""Values cross unchanged or not at all; whatever else is on the wire is refused, and nothing of it runs."""

import contextlib
import math
import socket
import threading
import time
from collections import Counter, OrderedDict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tml_helpers.grading.wire import DECODERS, HEAD, Broken, Wire, decode, encode

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
KEYS = st.booleans() | st.integers() | st.text() | st.binary() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.sets(KEYS, max_size=4)
        | st.frozensets(KEYS, max_size=4)
    ),
    max_leaves=20,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(sorted({*DECODERS, "list", "dict", "set"})),
            inner,
            max_size=2,
        )
    ),
    max_leaves=20,
)
DTYPES = arrays.boolean_dtypes() | arrays.integer_dtypes() | arrays.floating_dtypes() | arrays.complex_number_dtypes()
EXAMPLES = [
    OrderedDict(b=1, a=2),
    Counter("aab"),
    deque([1, 2]),
    Decimal("0.10"),
    Fraction(1, 3),
    range(5, -1, -2),
    slice(1, None, 2),
    Ellipsis,
    10**5000,
    bytearray(b"ab"),
    "\ud800",
    np.float32(0.1),
    np.dtype("int16"),
    np.array(["a", None, 3], dtype=object),
    np.array(["ab", "c"]),
    torch.Size([2, 3]),
    torch.float16,
    torch.device("cpu"),
]


def refer(value: Any) -> Any:
    return {"reference": [0, "object", type(value).__name__, []]}


def resolve(kind: str, content: Any) -> Any:
    if kind != "reference":
        raise Broken(kind)
    return "a handle"


def across(value: Any) -> Any:
    """The value after its way over a real socket."""
    ends = socket.socketpair()
    buffers: list[bytes] = []
    encoded = encode(value, buffers, refer)
    with ends[0], ends[1]:
        sender = threading.Thread(target=Wire(ends[0]).send, args=(encoded, buffers))
        sender.start()
        received, blocks = Wire(ends[1]).receive()
        sender.join()
    return decode(received, blocks, resolve)


def same(a: Any, b: Any) -> bool:
    """Equal in value and in exact type, NaN being equal to NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float | complex):
        return a == b or (repr(a) == repr(b) and a != a) or (a != a and b != b)
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) and same(a[x], b[y]) for x, y in zip(a, b, strict=True))
    if isinstance(a, list | tuple | deque):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return bool(a == b)


@given(VALUES)
def test_values_cross_unchanged(value: Any) -> None:
    assert same(across(value), value)


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_further_types_cross_unchanged(value: Any) -> None:
    if isinstance(value, np.ndarray) and value.dtype == object:
        assert across(value).tolist() == value.tolist()
    else:
        assert same(across(value), value)


@given(arrays.arrays(DTYPES, arrays.array_shapes(min_dims=0, min_side=0)))
def test_arrays_cross_bit_by_bit(array: np.ndarray) -> None:
    came = across(array)
    assert (came.dtype, came.shape, came.tobytes()) == (array.dtype, array.shape, array.tobytes())
    came.fill(0)  # it is the receiver's own


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.complex64]
)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_tensors_cross_bit_by_bit(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.arange(math.prod(shape)).reshape(shape).to(dtype)
    came = across(tensor)
    assert type(came) is torch.Tensor
    assert came.dtype is dtype
    assert torch.equal(came, tensor)


def test_a_tensor_of_any_layout_in_memory() -> None:
    tensor = torch.arange(12.0).reshape(3, 4).T[1:, ::2]
    assert torch.equal(across(tensor), tensor)
    assert torch.equal(across(torch.tensor([1 + 2j]).conj()), torch.tensor([1 - 2j]))
    assert across(torch.nn.Parameter(tensor)).requires_grad


def test_tables_cross() -> None:
    frame = pd.DataFrame({"n": [1, 2], "x": [0.5, np.nan], "word": ["a", "b"]}, index=[3, 4])
    pd.testing.assert_frame_equal(across(frame), frame, check_dtype=False)
    series = pd.Series([1.5, 2.5], name="x")
    pd.testing.assert_series_equal(across(series), series)


class Int(int):
    pass


class List(list):
    pass


class Array(np.ndarray):
    pass


class Tensor(torch.Tensor):
    pass


@pytest.mark.parametrize(
    "liar",
    [Int(3), List(), np.zeros(2).view(Array), torch.zeros(2).as_subclass(Tensor), object(), len],
    ids=lambda value: type(value).__name__,
)
def test_a_subclass_of_a_known_type_stays_where_it_is(liar: Any) -> None:
    assert across(liar) == "a handle"
    assert across([liar]) == ["a handle"]


def test_a_structure_without_end_is_cut() -> None:
    endless: list[Any] = []
    endless.append(endless)
    depth, value = 0, across(endless)
    while isinstance(value, list):
        depth, value = depth + 1, value[0]
    assert value == "a handle"
    assert depth < 100


@given(JSON, st.lists(st.binary(max_size=9), max_size=2))
def test_what_no_sender_writes_is_refused_or_a_value(message: Any, buffers: list[bytes]) -> None:
    with contextlib.suppress(Broken):
        decode(message, buffers, resolve)


@pytest.mark.parametrize(
    "message",
    [
        {"array": ["<f8", [1], 0]},
        {"array": ["|O", [1], 0]},
        {"array": ["<f4", [-1], 0]},
        {"array": ["<f4", [2**40], 0]},
        {"tensor": ["load", [1], 0, False]},
        {"tensor": ["float32", [1], True, False]},
        {"float": "not a number"},
        {"dict": [[[1], 2]]},
        {"set": [{"list": []}]},
        {"list": 5},
        {"nobody": "knows"},
        {"list": [], "tuple": []},
        [],
        1.5,
    ],
)
def test_malformed_values_are_refused(message: Any) -> None:
    with pytest.raises(Broken):
        decode(message, [b"abcd"], resolve)


def received(content: bytes, **settings: Any) -> Any:
    ends = socket.socketpair()
    with ends[1]:
        with ends[0]:
            ends[0].sendall(content)
        return Wire(ends[1], **settings).receive()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(content: bytes) -> None:
    with contextlib.suppress(Broken):
        received(content)


@pytest.mark.parametrize("sizes", [(2**31, 0), (10, 2**32 - 1)])
def test_a_message_that_claims_to_be_too_large_is_not_waited_for(sizes: tuple[int, int]) -> None:
    with pytest.raises(Broken, match="too much"):
        received(HEAD.pack(*sizes) + bytes(100))


def test_a_buffer_too_many_bytes_long_is_not_waited_for() -> None:
    with pytest.raises(Broken, match="too much"):
        received(HEAD.pack(4, 1) + (2**40).to_bytes(8) + b"null" + bytes(100))


def test_a_message_may_be_as_large_as_it_may_be() -> None:
    """Its text and its buffers together; and so many buffers."""
    assert received(HEAD.pack(4, 1) + (6).to_bytes(8) + b"null" + bytes(6), largest=10) == (None, [bytes(6)])
    for sizes in ([7], [3, 4], [2**63]):
        content = HEAD.pack(4, len(sizes)) + b"".join(size.to_bytes(8) for size in sizes)
        with pytest.raises(Broken, match="too much"):
            received(content + b"null" + bytes(7), largest=10)
    with pytest.raises(Broken, match="it ended"):
        received(HEAD.pack(4, 100_000))
    with pytest.raises(Broken, match="too much"):
        received(HEAD.pack(4, 100_001))


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, -(2**63), -(2**63) + 1, 2**64, 0])
def test_integers_that_no_machine_word_holds(number: int) -> None:
    assert across(number) == number
    assert (type(encode(number, [], refer)) is int) == (abs(number) < 2**63), "for other readers of JSON"


def test_sixty_levels_cross_and_the_next_stays() -> None:
    def nested(levels: int) -> Any:
        value: Any = 1 + 2j
        for _ in range(levels):
            value = [value]
        return value

    assert across(nested(60)) == nested(60)
    found = across(nested(61))
    for _ in range(61):
        (found,) = found
    assert found == "a handle"
    message: Any = {"complex": ["1", "2"]}
    for _ in range(63):
        message = {"list": [message]}
    with pytest.raises(Broken):
        decode(message, [], resolve)
    assert decode(message["list"][0], [], resolve) == nested(62)


def test_the_end_of_a_wire_is_not_waited_for() -> None:
    """Where nobody reads, or writes, any more; or where the time was up before."""
    ends = socket.socketpair()
    ends[0].close()
    for step in (Wire(ends[1]).receive, lambda: Wire(ends[1]).send("x" * 10**7)):
        with pytest.raises(Broken, match="it ended"):
            step()
    late = Wire(socket.socket())
    late.until = time.monotonic()
    for step in (late.receive, lambda: late.send(1)):
        with pytest.raises(TimeoutError):
            step()


def test_dripping_bytes_do_not_put_off_the_end() -> None:
    """Each byte comes in time, the message does not."""
    ends = socket.socketpair()
    wire = Wire(ends[1])
    wire.until = time.monotonic() + 0.5
    stop = threading.Event()

    def drip() -> None:
        ends[0].sendall(HEAD.pack(10**6, 0))
        while not stop.wait(0.05):
            ends[0].sendall(b" ")

    dripping = threading.Thread(target=drip)
    dripping.start()
    with pytest.raises(TimeoutError):
        wire.receive()
    stop.set()
    dripping.join()
    for end in ends:
        end.close()
