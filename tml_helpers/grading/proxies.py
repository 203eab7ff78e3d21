"""The tests' side of the wire: values of a submission, and handles for what stays there.

A handle is neither equal nor unequal to anything, has no truth and no attributes, unless the model solution hands over
an object at the same place of the same test: then what its test does to it is done to the submission's object too.
"""

import builtins
import itertools
import operator
import pickle
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

from tml_helpers.grading.names import imported
from tml_helpers.grading.wire import Broken, Wire, decode, encode
from tml_helpers.grading.withhold import Texts

GRACE = 5.0  # seconds beyond its time in which a process may say that it was interrupted
SEVERAL = 256  # items that come over at once
LONGEST = 10**6  # items of an iterator that goes over
UNSEEN = "(an object of the submission)"  # what a message says of one that the model solution's test does not show
READABLE = {"__name__", "__doc__", "__qualname__", "__annotations__"}


class Refused(BaseException):
    """A test would have believed what only the submission can know. Not an Exception: no test may swallow it."""


class Gone(BaseException):
    """The submission's process ended, broke the protocol, or did not answer in time."""


class Peer:
    """A submission's process, as the tests see it."""

    def __init__(self, wire: Wire, *, allowed: set[tuple[str, str]] | None, modules: dict[str, str]) -> None:
        """`allowed`: what may be done to handles, as (place, operation); None to learn it from the model solution.

        `modules`: the modules that the model solution imports, by the names that it gives them.
        """
        self.wire = wire
        self.modules = modules
        self.exceptions: dict[str, type[Exception]] = {}
        self.cells: list[str] = []
        self.learning = allowed is None
        self.allowed: set[tuple[str, str]] = allowed or set()
        self.gone = ""
        self.late = False
        self.refused = ""
        self.test = ""
        self.until = time.monotonic()
        self.callbacks: list[Callable[..., Any]] = []

    def begin(self, test: str, seconds: float) -> None:
        """What follows belongs to this cell, and has so many seconds in all."""
        self.test, self.refused, self.callbacks = test, "", []
        self.until = time.monotonic() + seconds

    def run(self, source: str, given: Texts | None = None) -> list[Any]:
        """Run a cell of the submission, which from there on has these modules; returns its outputs as it tells them."""
        self.cells.append(source)
        reply, _ = self._ask({"do": "run", "source": source, "given": given or {}}, [])
        outputs = reply.get("outputs")
        return outputs if isinstance(outputs, list) else []

    def fetch(self, names: list[str]) -> dict[str, Any]:
        """The values of those names that the submission has."""
        reply, buffers = self._ask({"do": "fetch", "names": names}, [])
        values = reply.get("values")
        if not isinstance(values, dict):
            raise self.end("it does not answer as it should")
        return {name: self._decoded(values[name], buffers, name) for name in names if name in values}

    def operate(self, operation: str, origin: str, *arguments: Any, **keywords: Any) -> Any:
        """Do something over there; raises what it raises, as the nearest of Python's own exceptions."""
        sent: list[bytes] = []
        parts = [encode(part, sent, self._refer) for part in (list(arguments), keywords)]
        reply, buffers = self._ask({"do": operation, "arguments": parts[0], "keywords": parts[1]}, sent)
        sys.stdout.write(str(reply.get("printed", "")))
        if "raised" in reply:
            raise self._raised(reply, operation)
        return self._decoded(reply.get("value"), buffers, origin)

    def may(self, origin: str, operation: str) -> bool:
        """Whether the model solution's object was used so, too."""
        return self.learning or (f"{self.test}/{origin}", operation) in self.allowed

    def permit(self, origin: str, operation: str) -> None:
        """Raises Refused unless the model solution's object was used so, too."""
        if self.learning:
            self.allowed.add((f"{self.test}/{origin}", operation))
        elif (f"{self.test}/{origin}", operation) not in self.allowed:
            raise self.refuse(f"`{origin}` is not of a type that this test can use: a plain value is expected")

    def refuse(self, reason: str) -> Refused:
        self.refused = self.refused or reason
        return Refused(reason)

    def _ask(self, message: dict[str, Any], buffers: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """Send a request, and serve the callbacks that come before its reply."""
        if self.gone:
            raise Gone(self.gone)
        self.wire.until = self.until + GRACE
        message["seconds"] = self.until - time.monotonic()
        try:
            self.wire.send(message, buffers)
            while True:
                reply, received = self.wire.receive()
                if not isinstance(reply, dict):
                    raise Broken("it does not answer as it should")
                if "callback" not in reply:
                    return reply, received
                self._serve(reply, received)
        except TimeoutError as error:
            self.late = True
            raise self.end("it did not answer in time") from error
        except Broken as error:
            raise self.end(str(error)) from error

    def _raised(self, reply: dict[str, Any], operation: str) -> BaseException:
        """What the submission raised, as an exception of Python's own; what ends a program is no answer at all."""
        names = [str(name) for name in reply["raised"]] if isinstance(reply["raised"], list) else []
        text = str(reply.get("text", ""))[:2000]
        if "Exception" not in names:
            self.late = self.late or "TookTooLong" in names
            ended = "was stopped" if "TookTooLong" in names else f"ended with {names[0] if names else 'an error'}"
            return self.refuse(f"your code {ended}: {text}")
        kind = self.exceptions.get(names[0], _nearest(names))
        if operation != "next" and issubclass(kind, StopIteration | StopAsyncIteration):
            kind = RuntimeError  # or a loop of the test would end early, and be content
        try:
            error = kind(text)
        except TypeError:  # some want more than a text
            error = RuntimeError(text)
        error.said_by_submission = f"{names[0]}: {text}"  # type: ignore[attr-defined]
        return error

    def _serve(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        """Run a function of the test that the submission calls."""
        number = message["callback"]
        if type(number) is not int or not 0 <= number < len(self.callbacks):
            raise Broken("it calls what is not there")
        sent: list[bytes] = []
        try:
            arguments = self._decoded(message.get("arguments"), buffers, "argument")
            keywords = self._decoded(message.get("keywords"), buffers, "argument")
            if type(arguments) is not list or type(keywords) is not dict:
                raise Broken("it calls with what are no arguments")
            value = self.callbacks[number](*arguments, **keywords)
            reply: dict[str, Any] = {"value": encode(value, sent, self._refer)}
        except Exception as error:
            sent.clear()
            reply = {"raised": type(error).__name__, "text": str(error)[:2000]}
        self.wire.send(reply, sent)

    def end(self, reason: str) -> Gone:
        """Speak to the submission's process no more."""
        self.gone = self.gone or reason
        self.wire.end.close()
        return Gone(reason)

    def _decoded(self, value: Any, buffers: list[bytes], origin: str) -> Any:
        def resolve(kind: str, content: Any) -> Any:
            if kind != "reference" or type(content) is not list or len(content) != 4 or type(content[0]) is not int:
                raise Broken("a value is malformed")
            return self._handle(content, origin)

        try:
            return decode(value, buffers, resolve)
        except Broken as error:
            raise self.end(str(error)) from error

    def _handle(self, content: list[Any], origin: str) -> Any:
        number, kind, name, bases = content
        if kind == "class" and type(bases) is list and "BaseException" in bases:
            return self.exceptions.setdefault(str(name), type(str(name), (_nearest(bases),), {}))
        if kind == "module" and origin in self.modules:
            return imported(self.modules[origin])
        return Handle(self, number, origin)

    def _refer(self, value: Any) -> Any:
        """What stands for an object of the tests on its way to the submission."""
        if isinstance(value, Handle):
            return {"own": value._tml_number}
        if isinstance(value, types.ModuleType):
            return {"import": [value.__name__, ""]}
        module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if callable(value) and module != "__main__" and _found(module, path) is value:
            return {"import": [module, path]}
        if isinstance(value, type):
            return {"name": value.__name__}
        functions = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
        if isinstance(value, functions) or type(value).__name__ in ("partial", "ufunc", "vectorize"):
            self.callbacks.append(value)
            return {"callback": len(self.callbacks) - 1}
        if isinstance(value, Iterator):
            value = iter(list(itertools.islice(value, LONGEST)))
        return {"pickle": pickle.dumps(value).hex()}


class Handle:
    """Something of a submission that stays there."""

    __slots__ = ("_tml_items", "_tml_number", "_tml_origin", "_tml_peer")
    __array_ufunc__ = None

    def __init__(self, peer: Peer, number: int, origin: str) -> None:
        object.__setattr__(self, "_tml_peer", peer)
        object.__setattr__(self, "_tml_number", number)
        object.__setattr__(self, "_tml_origin", origin)
        object.__setattr__(self, "_tml_items", None)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._tml_peer.operate("call", self._tml_origin, self, *arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in READABLE:
            raise AttributeError(name)
        return _forward(self, "attribute", name)

    def __setattr__(self, name: str, value: Any) -> None:
        _forward(self, "set attribute", name, value)

    def __delattr__(self, name: str) -> None:
        _forward(self, "delete attribute", name)

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        return _forward(self, "attribute", "__doc__")

    def __iter__(self) -> Iterator[Any]:
        """Its items, as the model solution's may be taken one by one; else all at once, and the same every time."""
        if self._tml_peer.may(self._tml_origin, "iterate"):
            iterator = _forward(self, "iterate")
            while several := self._tml_peer.operate("several", self._tml_origin, iterator, SEVERAL):
                yield from several
            return
        if self._tml_items is None:
            iterator = self._tml_peer.operate("iterate", self._tml_origin, self)
            items = self._tml_peer.operate("several", self._tml_origin, iterator, LONGEST)
            object.__setattr__(self, "_tml_items", items)
        yield from self._tml_items

    def __len__(self) -> int:
        if self._tml_peer.may(self._tml_origin, "length"):
            return int(_forward(self, "length"))
        raise TypeError(f"`{self._tml_origin}` has no length that this test can use")  # `list` asks, and goes on

    def __instancecheck__(self, value: Any) -> Any:
        if not isinstance(value, Handle):
            return False
        self._tml_peer.permit(self._tml_origin, "instance")
        return self._tml_peer.operate("instance", self._tml_origin, value, self) is True

    def __setitem__(self, key: Any, value: Any) -> None:
        _forward(self, "setitem", key, value)

    def __exit__(self, *_: Any) -> None:
        _forward(self, "leave")

    def __repr__(self) -> str:
        allowed = self._tml_peer.may(self._tml_origin, "representation")
        return str(_forward(self, "representation")) if allowed else UNSEEN

    def __str__(self) -> str:
        return str(_forward(self, "text"))

    def __format__(self, form: str) -> str:
        return format(str(self), form) if self._tml_peer.may(self._tml_origin, "text") else UNSEEN


def _forward(handle: Handle, operation: str, *arguments: Any) -> Any:
    handle._tml_peer.permit(handle._tml_origin, operation)
    return handle._tml_peer.operate(operation, handle._tml_origin, handle, *arguments)


def _binary(name: str) -> Callable[[Any, Any], Any]:
    return lambda self, other: _forward(self, name, other)


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    return lambda self, other: _forward(self, "reversed", other, name)


def _unary(operation: str) -> Callable[[Any], Any]:
    return lambda self: _forward(self, operation)


for _name in ("lt", "le", "gt", "ge", "eq", "ne", "getitem", "delitem", "contains"):
    setattr(Handle, f"__{_name}__", _binary(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
    setattr(Handle, f"__{_name.rstrip('_')}__", _binary(_name))
    setattr(Handle, f"__r{_name.rstrip('_')}__", _reflected(_name))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(Handle, f"__{_name}__", _unary(_name))
for _name, _operation in (
    ("bool", "truth"),
    ("hash", "hash"),
    ("int", "integer"),
    ("float", "number"),
    ("next", "next"),
    ("enter", "enter"),
):
    setattr(Handle, f"__{_name}__", _unary(_operation))


def _nearest(names: list[Any]) -> type[Exception]:
    """The first of Python's own exceptions among the names of a class and its bases."""
    for name in names:
        found = getattr(builtins, str(name), None)
        if isinstance(found, type) and issubclass(found, Exception):
            return found
    return RuntimeError


def _found(module: Any, path: str) -> Any:
    """What stands at that path of a module that is loaded."""
    try:
        return operator.attrgetter(path)(sys.modules[module])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
