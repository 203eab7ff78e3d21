"""The process that a submission's own code runs in. It never holds a test, and nothing that it says is believed.

It runs cells in an IPython shell when asked to, hands values over, and calls the functions that a test calls.
"""

import builtins
import contextlib
import copy
import inspect
import io
import operator
import os
import pickle
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from tml_helpers.grading import withhold
from tml_helpers.grading.arguments import changeable
from tml_helpers.grading.streams import follow
from tml_helpers.grading.wire import Broken, Wire, decode, encode

MOST_TEXT, MOST_IMAGE = 100_000, 4_000_000  # characters of text that a cell keeps, and of one picture
MOST_PICTURES = 12_000_000  # characters of all pictures of a notebook
IMAGES = ("image/png", "image/jpeg")


class TookTooLong(KeyboardInterrupt):
    """Raised in a cell that runs over its time."""


class Recorder:
    """The outputs of the cell that runs now, in nbformat's form, none longer than what a reader would read."""

    def __init__(self, pictures: int = MOST_PICTURES) -> None:
        """pictures: characters of pictures that the notebook may still show."""
        self.outputs: list[dict[str, Any]] = []
        self.left = MOST_TEXT
        self.pictures = pictures

    def text(self, stream: str, text: str) -> None:
        text = text[: self.left]
        self.left -= len(text)
        if text and self.outputs and self.outputs[-1].get("name") == stream:
            self.outputs[-1]["text"] += text
        elif text:
            self.outputs.append({"output_type": "stream", "name": stream, "text": text})

    def data(self, kind: str, data: dict[str, Any]) -> None:
        kept = {"text/plain": str(data.get("text/plain", ""))[: self.left]}
        self.left -= len(kept["text/plain"])
        for image in IMAGES:
            content = data.get(image)
            most = min(MOST_IMAGE, self.pictures)
            if isinstance(content, str) and len(content) < most and len(self.outputs) < 100:
                kept[image] = content
                self.pictures -= len(content)
        self.outputs.append({"output_type": kind, "data": kept, "metadata": {}})

    def error(self, name: str, text: str, traceback: list[str]) -> None:
        lines = "\n".join(traceback)[-10_000:].splitlines()
        self.outputs.append({"output_type": "error", "ename": name, "evalue": text[:2000], "traceback": lines})


class Stream(io.TextIOBase):
    """Standard output or error of a cell."""

    def __init__(self, student: "Student", name: str) -> None:
        self.student, self.stream = student, name

    def write(self, text: str) -> int:
        self.student.recorder.text(self.stream, str(text))
        return len(text)

    def writable(self) -> bool:
        return True


class Student:
    """The submission's side of the wire."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.recorder = Recorder()
        self.objects: list[Any] = []
        self.wire: Wire | None = None
        self.busy = False
        shell.display_pub.publish = self._publish
        shell.displayhook.write_output_prompt = lambda: None
        shell.displayhook.write_format_data = lambda data, metadata=None: self.recorder.data("display_data", data)
        shell._showtraceback = lambda kind, value, lines: self.recorder.error(kind.__name__, str(value), lines)
        shell.ask_exit = lambda: None
        shell.enable_gui = lambda gui=None: None
        shell.system = self._command

    def serve(self, wire: Wire) -> None:
        """Answer until the wire is closed."""
        self.wire = wire
        me = os.getpid()
        with contextlib.suppress(Broken):
            while True:
                self._answer(*wire.receive())
                if os.getpid() != me:  # a fork that a cell made and let run on
                    os._exit(0)

    def run(self, source: str) -> list[dict[str, Any]]:
        """Run one cell; returns its outputs."""
        self.recorder = Recorder(self.recorder.pictures)
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = Stream(self, "stdout"), Stream(self, "stderr")
        try:
            self.shell.run_cell(source, store_history=True)
        except BaseException as error:  # whatever a cell does to the shell
            self.recorder.error(type(error).__name__, _text(error), [])
        finally:
            sys.stdout, sys.stderr = before
        return self.recorder.outputs

    @contextlib.contextmanager
    def _in_time(self, seconds: float) -> Iterator[None]:
        """Interrupts what runs inside after so many seconds. What it calls back for runs in the same time."""

        def stop(*_: Any) -> None:
            raise TookTooLong("it took too long")

        if self.busy:
            yield
            return
        self.busy = True
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.busy = False

    def _command(self, line: str) -> None:
        """A shell line, as `!ls`: what it prints is the cell's output."""
        text = self.shell.var_expand(line, depth=1)
        done = subprocess.run(
            text, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        sys.stdout.write(done.stdout[:MOST_TEXT].decode(errors="replace"))
        self.shell.user_ns["_exit_code"] = done.returncode

    def _publish(self, data: dict[str, Any], *_: Any, **__: Any) -> None:
        self.recorder.data("display_data", data)

    def _answer(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        assert self.wire is not None
        sent: list[bytes] = []
        try:
            with self._in_time(message["seconds"]):
                reply = self._reply(message, buffers, sent)
        except Broken:
            raise
        except BaseException as error:
            sent.clear()
            reply = {"raised": [kind.__name__ for kind in type(error).__mro__], "text": _text(error)}
        self.wire.send(reply, sent)

    def _reply(self, message: dict[str, Any], buffers: list[bytes], sent: list[bytes]) -> dict[str, Any]:
        if message["do"] == "run":
            withhold.give(message["given"])
            return {"outputs": self.run(message["source"])}
        if message["do"] == "known":
            return {"names": list(map(str, self.shell.user_ns))}
        if message["do"] == "fetch":
            names = [name for name in message["names"] if name in self.shell.user_ns]
            return {"values": {name: encode(self.shell.user_ns[name], sent, self._refer) for name in names}}
        # What a test hands in, and the submission may print, is for the test and not for the author to see.
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            reply = self._operate(message, buffers, sent)
        return {**reply, "printed": printed.getvalue()[:MOST_TEXT]}

    def _operate(self, message: dict[str, Any], buffers: list[bytes], sent: list[bytes]) -> dict[str, Any]:
        """Apply one of Python's operators, or a call, to objects of the submission."""
        arguments, keywords, states = [
            decode(message[part], buffers, self._resolve) for part in ("arguments", "keywords", "streams")
        ]
        if message["do"] in ("bind", "unbind"):
            self._bind(*arguments)
            return {"value": None}
        follow(states)
        places = dict(enumerate(arguments)) | keywords if message["look"] else {}
        before = {place: self._written(value) for place, value in places.items()}
        with contextlib.ExitStack() as stack:
            for name, number in message["instead"].items():
                stack.enter_context(mock.patch.object(builtins, name, self._callback(number["callback"])))
            value = OPERATIONS[message["do"]](*arguments, **keywords)
        reply = {"value": encode(value, sent, self._refer)}
        changed = {place: value for place, value in places.items() if self._written(value) != before[place]}
        return {**reply, "changed": encode(changed, sent, self._refer)} if changed else reply

    def _written(self, value: Any) -> Any:
        """A value as it would cross, to see whether it changes."""
        buffers: list[bytes] = []
        return encode(value, buffers, id) if changeable(value) else None, buffers

    def _bind(self, name: str, *values: Any) -> None:
        """Give a name of the submission another value, or none."""
        self.shell.user_ns.pop(name, None)
        if values:
            self.shell.user_ns[name] = values[0]

    def _refer(self, value: Any) -> Any:
        """What stands for an object that does not cross by value."""
        self.objects.append(value)
        kind = "module" if isinstance(value, types.ModuleType) else "class" if isinstance(value, type) else "object"
        name = getattr(value, "__name__", "") if kind != "object" else type(value).__name__
        bases = [base.__name__ for base in value.__mro__] if isinstance(value, type) else []
        return {"reference": [len(self.objects) - 1, kind, str(name), bases]}

    def _resolve(self, kind: str, content: Any) -> Any:
        """An object that a test refers to: one of ours, or one of its own."""
        if kind == "own":
            return self.objects[content]
        if kind == "name":
            return self.shell.user_ns[content]
        if kind == "import":
            module, path = content
            __import__(module)
            return operator.attrgetter(path)(sys.modules[module]) if path else sys.modules[module]
        if kind == "pickle":
            return _unpickled(bytes.fromhex(content))  # from the trusted side
        if kind == "callback":
            return self._callback(content)
        raise Broken(f"a value of an unknown kind, {kind}")

    def _callback(self, number: int) -> Callable[..., Any]:
        """A function of the test, which runs over there."""

        def function(*arguments: Any, **keywords: Any) -> Any:
            assert self.wire is not None
            sent: list[bytes] = []
            parts = [encode(part, sent, self._refer) for part in (list(arguments), keywords)]
            self.wire.send({"callback": number, "arguments": parts[0], "keywords": parts[1]}, sent)
            while True:
                message, buffers = self.wire.receive()
                if "do" not in message:
                    break
                self._answer(message, buffers)
            if "raised" in message:
                raise getattr(builtins, message["raised"], RuntimeError)(message["text"])
            return decode(message["value"], buffers, self._resolve)

        return function


def _unpickled(content: bytes) -> Any:
    try:
        return pickle.loads(content)
    except (AttributeError, ImportError) as error:
        raise NameError(f"{error}: a class of a test's own is not here, one of a locked cell is") from error


def _text(error: BaseException) -> str:
    try:
        return str(error)[:2000]
    except BaseException:
        return ""


def _call(function: Any, *arguments: Any, **keywords: Any) -> Any:
    return function(*arguments, **keywords)


def _after_call(function: Any, *arguments: Any, **keywords: Any) -> Any:
    return function(*arguments, **keywords), list(arguments)


def _enter(manager: Any) -> Any:
    return type(manager).__enter__(manager)


def _leave(manager: Any) -> Any:
    return type(manager).__exit__(manager, None, None, None)


def _state(model: Any) -> Any:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _lineage(kind: Any) -> list[str]:
    return [f"{base.__module__}:{base.__qualname__}" for base in kind.__mro__] if isinstance(kind, type) else []


OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": _call,
    "after call": _after_call,
    "state": _state,
    "attribute": getattr,
    "set attribute": setattr,
    "delete attribute": delattr,
    "iterate": iter,
    "next": next,
    "several": lambda iterator, most: [item for item, _ in zip(iterator, range(most), strict=False)],
    "instance": isinstance,
    "subclass": issubclass,
    "family": lambda value: _lineage(type(value)),
    "bases": _lineage,
    "signature": inspect.signature,
    "names": dir,
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "enter": _enter,
    "leave": _leave,
    "length": len,
    "reversed": lambda left, right, name: OPERATORS[name](right, left),
    "truth": bool,
    "hash": hash,
    "integer": int,
    "number": float,
    "text": str,
    "representation": repr,
}
OPERATORS: dict[str, Callable[..., Any]] = {
    name: getattr(operator, name)
    for name in [
        "lt",
        "le",
        "gt",
        "ge",
        "eq",
        "ne",
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "pow",
        "matmul",
        "and_",
        "or_",
        "xor",
        "lshift",
        "rshift",
        "neg",
        "pos",
        "abs",
        "invert",
        "getitem",
        "setitem",
        "delitem",
        "contains",
    ]
}
OPERATIONS |= OPERATORS
