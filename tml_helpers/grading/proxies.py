"""The tests' side of the wire: values of a submission, and handles for what stays there.

A handle is neither equal nor unequal to anything, has no truth and no attributes, unless the model solution hands over
an object at the same place of the same test: then what its test does to it is done to the submission's object too.
"""

import builtins
import itertools
import operator
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

from tml_helpers.grading import pickles
from tml_helpers.grading.arguments import changeable, overwrite
from tml_helpers.grading.everyday import classes
from tml_helpers.grading.names import imported
from tml_helpers.grading.streams import Streams
from tml_helpers.grading.wire import Broken, Wire, decode, encode
from tml_helpers.grading.withhold import Texts

GRACE = 5.0  # seconds beyond its time in which a process may say that it was interrupted
SEVERAL = 256  # items that come over at once
LONGEST = 10**6  # items of an iterator that goes over
UNSEEN = "(an object of the submission)"  # what a message says of one that the model solution's test does not show
READABLE = {"__name__", "__doc__", "__qualname__", "__annotations__"}
LEARNED = {"__dict__", "__code__", "__defaults__", "__kwdefaults__", "__module__"}  # what libraries look for, too
REPLACED = {"input": builtins.input, "print": builtins.print}  # what a test puts something else in the place of
TYPES = {kind.__qualname__: kind for kind in (types.GeneratorType, types.CoroutineType, types.FunctionType)}


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
        self.known: set[str] = set()
        self.test = ""
        self.until = time.monotonic()
        self.callbacks: list[Callable[..., Any]] = []
        self.streams = Streams()
        self.stdin = sys.stdin

    def begin(self, test: str, seconds: float) -> None:
        """What follows belongs to this cell, and has so many seconds in all."""
        self.test, self.refused, self.callbacks = test, "", []
        self.until = time.monotonic() + seconds
        self.streams.begin()

    def run(self, source: str, given: Texts | None = None) -> list[Any]:
        """Run a cell of the submission, which from there on has these modules; returns its outputs as it tells them."""
        self.cells.append(source)
        reply, _ = self._ask({"do": "run", "source": source, "given": given or {}}, [])
        outputs = reply.get("outputs")
        return outputs if isinstance(outputs, list) else []

    def names(self) -> set[str]:
        """The names that the submission has."""
        reply, _ = self._ask({"do": "known"}, [])
        if not isinstance(reply.get("names"), list):
            raise self.end("it does not answer as it should")
        self.known = set(map(str, reply["names"]))
        return self.known

    def _knows(self, name: str) -> bool:
        """Whether the submission has this name; of one that it has not it does not hear."""
        return name in self.known or name in self.names()

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
        parts = [encode(part, sent, self._refer) for part in (list(arguments), keywords, self.streams.news())]
        message = {"do": operation, "arguments": parts[0], "keywords": parts[1], "streams": parts[2]}
        message["instead"] = {name: self._call_back(function) for name, function in self._replaced().items()}
        places = dict(enumerate(arguments)) | keywords if operation == "call" else {}
        places = {place: value for place, value in places.items() if changeable(value)}
        message["look"] = bool(places) and self.may(origin, "change")
        reply, buffers = self._ask(message, sent)
        sys.stdout.write(str(reply.get("printed", "")))
        if "changed" in reply and message["look"]:
            self._change(places, self._decoded(reply["changed"], buffers, origin), origin)
        if "raised" in reply:
            raise self._raised(reply, operation)
        return self._decoded(reply.get("value"), buffers, origin)

    def _replaced(self) -> dict[str, Callable[..., Any]]:
        """What this test has put in the place of functions of Python's own, or of what they read from."""
        found = {name: getattr(builtins, name) for name in REPLACED}
        typed = sys.stdin is not self.stdin
        return {name: f for name, f in found.items() if f is not REPLACED[name] or (name == "input" and typed)}

    def _change(self, places: dict[Any, Any], changed: Any, origin: str) -> None:
        """Make arguments what the submission's function made of its copies of them."""
        if type(changed) is not dict:
            raise self.end("it does not answer as it should")
        for place, value in changed.items():
            self.permit(origin, "change")
            try:
                overwrite(places[place], value)
            except (KeyError, TypeError, ValueError) as error:
                raise self.refuse(f"`{origin}` made something of its argument that cannot come over") from error

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
        if isinstance(value, type) and self._knows(value.__name__):
            return {"name": value.__name__}
        functions = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
        if isinstance(value, functions) or type(value).__name__ in ("partial", "ufunc", "vectorize"):
            return self._call_back(value)
        if isinstance(value, Iterator):
            value = iter(list(itertools.islice(value, LONGEST)))
        try:
            return {"pickle": pickles.dumps(value, self._knows).hex()}
        except Exception as error:  # whatever an object says of what it cannot do
            if callable(value) and not isinstance(value, type):
                return self._call_back(value)
            kind = type(value).__name__
            raise TypeError(
                f"a test cannot hand over a {kind}: make it in a locked cell's function, or there"
            ) from error

    def _call_back(self, function: Callable[..., Any]) -> dict[str, int]:
        self.callbacks.append(function)
        return {"callback": len(self.callbacks) - 1}


class Handle:
    """Something of a submission that stays there."""

    __slots__ = ("_tml_families", "_tml_items", "_tml_number", "_tml_origin", "_tml_peer")
    __array_ufunc__ = None

    def __init__(self, peer: Peer, number: int, origin: str) -> None:
        object.__setattr__(self, "_tml_peer", peer)
        object.__setattr__(self, "_tml_number", number)
        object.__setattr__(self, "_tml_origin", origin)
        object.__setattr__(self, "_tml_items", None)
        object.__setattr__(self, "_tml_families", {})

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._tml_peer.operate("call", self._tml_origin, self, *arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        known = name in READABLE or (name in LEARNED and self._tml_peer.may(self._tml_origin, "attribute"))
        if name.startswith("__") and name.endswith("__") and not known:
            raise AttributeError(name)
        return _forward(self, "attribute", name)

    def __setattr__(self, name: str, value: Any) -> None:
        _forward(self, "set attribute", name, value)

    def __delattr__(self, name: str) -> None:
        _forward(self, "delete attribute", name)

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        return _forward(self, "attribute", "__doc__")

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """The first class known here that it says it is of: for `isinstance`, where the model solution's is asked."""
        return next(iter(_family(self, "family")), Handle)

    @property
    def __bases__(self) -> tuple[type, ...]:
        """For `issubclass`, in the same way."""
        found = _family(self, "bases")
        if not found:
            raise AttributeError("__bases__")
        return tuple(found)

    @property
    def __signature__(self) -> Any:
        if not self._tml_peer.may(self._tml_origin, "signature"):
            raise AttributeError("__signature__")
        return _forward(self, "signature")

    def __dir__(self) -> Any:
        return _forward(self, "names")

    def __deepcopy__(self, _: Any) -> Any:
        return _forward(self, "deep copy")

    def __copy__(self) -> Any:
        return _forward(self, "copy")

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
        if type(value) is not Handle:
            return False
        self._tml_peer.permit(self._tml_origin, "instance")
        return self._tml_peer.operate("instance", self._tml_origin, value, self) is True

    def __subclasscheck__(self, value: Any) -> Any:
        if type(value) is not Handle:
            return False
        self._tml_peer.permit(self._tml_origin, "subclass")
        return self._tml_peer.operate("subclass", self._tml_origin, value, self) is True

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


def _family(handle: Handle, operation: str) -> list[type]:
    """The classes known here that an object says it is of, or a class is derived from: all that `isinstance` asks.

    None of them is a class of values: what claims to be a number or a table and does not cross as one is neither.
    """
    if not handle._tml_peer.may(handle._tml_origin, operation):
        return []
    if operation not in handle._tml_families:
        names = _forward(handle, operation)
        found = [_class(*str(name).split(":", 1)) for name in names] if type(names) is list else []
        handle._tml_families[operation] = [kind for kind in found if kind is not None]
    families: list[type] = handle._tml_families[operation]
    return families


def _class(module: str, path: str = "") -> type | None:
    """The class of that name, if it is one of objects that stay."""
    found = TYPES.get(path) if module == "builtins" else _found(module, path)
    of_values = module.partition(".")[0] in ("numpy", "pandas") or found in classes().values()
    return found if issubclass(type(found), type) and not of_values else None


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
