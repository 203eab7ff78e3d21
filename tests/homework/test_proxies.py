"""The tests' side of the wire against a submission that may answer anything: what is believed, and what is not."""

import builtins
import copy
import functools
import inspect
import io
import math
import operator
import pickle
import random
import sys
import threading
import time
import types
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from scripted import OBJECT, fetched, peer

from tml_helpers.grading import ask
from tml_helpers.grading.arguments import changeable, overwrite
from tml_helpers.grading.proxies import Gone, Handle, Refused
from tml_helpers.grading.streams import GENERATORS, follow
from tml_helpers.grading.student import OPERATIONS, Recorder, Student
from tml_helpers.grading.wire import Broken


def test_values_come_over_and_objects_stay() -> None:
    made, line = peer({"values": {"a": 1, "b": {"list": [OBJECT]}, "more": 3}})
    found = made.fetch(["a", "b", "none"])
    assert found.keys() == {"a", "b"}
    assert found["a"] == 1
    assert type(found["b"][0]) is Handle
    assert (found["b"][0]._tml_number, found["b"][0]._tml_origin) == (7, "b")
    assert line.sent[0] | {"seconds": 0} == {"do": "fetch", "names": ["a", "b", "none"], "seconds": 0}


def test_the_names_that_a_submission_has() -> None:
    made, line = peer({"names": ["a", "b", "a"]}, {"names": "a"})
    assert made.names() == {"a", "b"}
    assert line.sent[0] | {"seconds": 0} == {"do": "known", "seconds": 0}
    with pytest.raises(Gone):
        made.names()


def test_a_cell_has_its_time_and_a_little_to_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    made, line = peer({"outputs": [1]}, {"outputs": "none"})
    clock[0] = 104
    assert made.run("x = 1") == [1]
    assert (line.sent[0]["seconds"], line.until) == (6, 115)
    assert made.run("y = 1") == []
    assert made.cells == ["x = 1", "y = 1"]


@pytest.mark.parametrize(("reply", "late"), [
    (TimeoutError(), True), (Broken("it ended"), False), ([], False), (7, False), ({"values": []}, False), ({}, False),
    ({"values": {"x": {"reference": [7, "object", "X"]}}}, False), ({"values": {"x": {"own": 7}}}, False),
    ({"values": {"x": {"reference": ["7", "", "", []]}}}, False), ({"values": {"x": {"pickle": "80"}}}, False),
    ({"values": {"x": []}}, False),
    ({"callback": 0}, False), ({"callback": -1}, False), ({"callback": True}, False), ({"callback": "0"}, False),
])  # fmt: skip
def test_a_submission_that_does_not_answer_as_it_should_is_left(reply: Any, late: bool) -> None:
    made, line = peer(reply)
    with pytest.raises(Gone):
        made.fetch(["x"])
    assert (bool(made.gone), line.closed, made.late) == (True, True, late)
    first, asked = made.gone, len(line.sent)
    with pytest.raises(Gone, match=first):
        made.run("x = 1")
    assert len(line.sent) == asked, "and is asked no more"


def test_what_a_test_does_to_an_object_the_model_solution_s_test_did_too() -> None:
    """In the same test, at the same place, by the same operation."""
    for allowed, may in [
        ({("t/x", "length")}, True),
        ({("u/x", "length")}, False),
        ({("t/y", "length")}, False),
        ({("t/x", "truth")}, False),
    ]:
        handle, made, _ = fetched({"value": 3}, allowed=allowed)
        if may:
            assert len(handle) == 3
        else:
            with pytest.raises(TypeError, match="no length"):
                len(handle)
        assert made.refused == "", "`list` asks for a length, and goes on"


def test_the_model_solution_teaches_what_is_allowed() -> None:
    handle, made, _ = fetched({"value": True}, {"value": 2}, allowed=None)
    assert handle == 1
    assert handle + 1 == 2
    assert made.allowed == {("t/x", "eq"), ("t/x", "add")}


OPERATED: list[Callable[[Any], Any]] = [
    lambda x: x == x, lambda x: x != 1, lambda x: x < 1, lambda x: x <= 1, lambda x: x + 1, lambda x: 1 - x,
    lambda x: x[0], lambda x: 1 in x, lambda x: -x, lambda x: abs(x), bool, hash, int, float, str, lambda x: x.name,
    lambda x: next(x), lambda x: isinstance(x, x), lambda x: setattr(x, "a", 1), lambda x: operator.delitem(x, 0),
    lambda x: x & 1, lambda x: operator.setitem(x, 0, 1), lambda x: delattr(x, "a"), lambda x: x.__enter__(),
    lambda x: np.ones(2) * x,
]  # fmt: skip


@pytest.mark.parametrize("operation", OPERATED)
def test_an_object_says_nothing_that_a_test_could_believe(operation: Callable[[Any], Any]) -> None:
    """It is neither equal nor unequal; and no test can swallow that."""
    handle, made, line = fetched()
    with pytest.raises(Refused, match="a plain value is expected"):
        operation(handle)
    assert not issubclass(Refused, Exception)
    assert "`x`" in made.refused
    assert len(line.sent) == 1, "the submission is not even asked"
    made.refuse("another reason")
    assert "`x`" in made.refused, "the first counts"
    made.begin("u", 1)
    assert made.refused == ""


def test_an_object_has_a_face_but_no_inside() -> None:
    handle, made, _ = fetched()
    assert repr(handle) == f"{handle}" == "(an object of the submission)"
    with pytest.raises(AttributeError):
        handle.__array__  # noqa: B018
    assert made.refused == ""
    assert isinstance(handle, Handle)
    assert isinstance(1, handle) is False


def test_items_that_no_one_counted_come_once() -> None:
    """All at once, and the same every time; one by one where the model solution's are."""
    handle, _, line = fetched({"value": OBJECT}, {"value": {"list": [1, 2]}})
    assert list(handle) == list(handle) == [1, 2]
    assert [sent["do"] for sent in line.sent] == ["fetch", "iterate", "several"]
    replies = [{"value": OBJECT}, {"value": {"list": [1]}}, {"value": {"list": [2]}}, {"value": {"list": []}}]
    handle, _, _ = fetched(*replies, allowed={("t/x", "iterate")})
    assert list(handle) == [1, 2]


@pytest.mark.parametrize(("names", "kind"), [
    (["KeyError", "LookupError", "Exception"], KeyError), (["Mine", "ValueError", "Exception"], ValueError),
    (["Mine", "Exception"], Exception), (["UnicodeDecodeError", "Exception"], RuntimeError),
    (["StopIteration", "Exception"], RuntimeError), (["print", "Exception"], Exception),
])  # fmt: skip
def test_an_error_is_the_nearest_of_python_s(names: list[str], kind: type[Exception]) -> None:
    handle, made, _ = fetched({"raised": names, "text": "why" * 1000})
    with pytest.raises(Exception) as caught:
        handle(1)
    assert type(caught.value) is kind
    assert caught.value.said_by_submission == f"{names[0]}: {'why' * 1000}"[: len(names[0]) + 2002]
    assert made.refused == ""


def test_the_end_of_an_iterator_ends_a_loop() -> None:
    handle, _, _ = fetched({"raised": ["StopIteration", "Exception"], "text": ""}, allowed={("t/x", "next")})
    assert next(handle, "end") == "end"


@pytest.mark.parametrize(("raised", "said", "late"), [
    (["SystemExit", "BaseException"], "ended with SystemExit", False), ([], "ended with an error", False),
    (["TookTooLong", "KeyboardInterrupt", "BaseException"], "was stopped", True), ("Exception", "ended", False),
    (None, "ended", False), (["GeneratorExit"], "ended with GeneratorExit", False),
])  # fmt: skip
def test_what_ends_a_program_is_no_answer(raised: Any, said: str, late: bool) -> None:
    handle, made, _ = fetched({"raised": raised, "text": "x"})
    with pytest.raises(Refused, match=said):
        handle()
    assert (said in made.refused, made.late) == (True, late)


def test_an_exception_class_of_the_submission_is_one_here() -> None:
    """The same each time; so a test can catch it."""
    own = {"reference": [1, "class", "TooFew", ["TooFew", "LookupError", "Exception", "BaseException", "object"]]}
    plain = {"reference": [2, "class", "Stack", ["Stack", "object"]]}
    raised = {"raised": ["TooFew", "LookupError", "Exception"], "text": "few"}
    made, _ = peer({"values": {"a": own, "b": own, "c": plain, "d": OBJECT}}, raised)
    found = made.fetch(["a", "b", "c", "d"])
    assert found["a"] is found["b"]
    assert issubclass(found["a"], LookupError)
    assert type(found["c"]) is Handle
    with pytest.raises(found["a"], match="few"):
        found["d"]()


def test_a_module_is_the_one_that_the_model_solution_imports() -> None:
    module = {"reference": [1, "module", "math", []]}
    made, _ = peer({"values": {"m": module, "n": module}}, m="json")
    found = made.fetch(["m", "n"])
    assert found["m"] is sys.modules["json"]
    assert type(found["n"]) is Handle


def test_a_function_of_the_test_runs_here() -> None:
    calls = [{"callback": 0, "arguments": {"list": [2]}, "keywords": {"dict": [["more", 3]]}}, {"value": 5}]
    handle, made, line = fetched(*calls)
    assert handle(lambda x, more: x + more) == 5
    assert line.sent[1]["arguments"] == {"list": [{"own": 7}, {"callback": 0}]}
    assert line.sent[2] == {"value": 5}
    line.replies = [{"callback": 1, "arguments": {"list": []}, "keywords": {"dict": []}}, {"value": 1}]
    handle(lambda: 1 / 0)
    assert line.sent[4] == {"raised": "ZeroDivisionError", "text": "division by zero"}
    made.begin("t", 10)
    assert made.callbacks == [], "those of one cell are gone in the next"


@pytest.mark.parametrize("call", [
    {"callback": 1, "arguments": {"list": []}, "keywords": {"dict": []}},
    {"callback": 0, "arguments": {"dict": []}, "keywords": {"dict": []}}, {"callback": 0, "arguments": {"list": []}},
])  # fmt: skip
def test_a_call_that_is_none_is_not_served(call: dict[str, Any]) -> None:
    called: list[int] = []
    handle, made, _ = fetched(call, {"value": 1})
    try:
        handle(lambda *_, **__: called.append(1))
    except Gone:
        assert made.gone
    assert called == []


@pytest.mark.parametrize(("value", "stands"), [
    (math, {"import": ["math", ""]}), (math.sqrt, {"import": ["math", "sqrt"]}), (np.linalg.norm, None),
    (functools.partial(max, 1), {"callback": 0}), (lambda: 1, {"callback": 0}), ([].append, {"callback": 0}),
    (Fraction, {"import": ["fractions", "Fraction"]}), (types.new_class("Mine"), {"name": "Mine"}),
])  # fmt: skip
def test_what_stands_for_an_object_of_the_tests(value: Any, stands: Any) -> None:
    made, _ = peer({"names": ["Mine"]})
    assert made._refer(value) == stands or (stands is None and made._refer(value)["import"][1] == "norm")


def test_asking_is_the_same_for_what_is_here_and_for_what_is_not() -> None:
    state = {"dict": [["w", {"float": "2.0"}]]}
    handle, _, line = fetched({"value": state}, {"value": {"tuple": [1, {"list": [{"list": []}]}]}})
    assert ask.state_dict(handle) == {"w": 2.0}
    assert ask.after_call(handle, [1]) == (1, [[]])
    assert [sent["do"] for sent in line.sent] == ["fetch", "state", "after call"]
    model = torch.nn.Linear(2, 1)
    assert ask.state_dict(model)["weight"].data_ptr() != model.weight.data_ptr()
    assert not ask.state_dict(model)["weight"].requires_grad
    assert ask.after_call(list.append, [1], 2) == (None, [[1, 2], 2])


def test_the_source_of_what_is_defined_last() -> None:
    handle, made, _ = fetched()
    made.cells = ["def x(): return 1\ndef x(): return 2", "def y(): return 3", "x = ("]
    assert ask.source(handle) == "def x(): return 2"
    made.cells = ["y = 1"]
    with pytest.raises(OSError, match="no cell defines x"):
        ask.source(handle)
    assert "def source" in ask.source(ask.source)


@pytest.mark.parametrize(("operation", "arguments", "value"), [
    ("reversed", (3, 10, "sub"), 7), ("several", (iter("abc"), 2), ["a", "b"]), ("contains", ([1], 1), True),
    ("after call", (list.append, [], 1), (None, [[1], 1])), ("attribute", (1j, "imag"), 1.0),
    ("length", ("ab",), 2), ("truth", ("",), False), ("integer", (1.5,), 1), ("number", (1,), 1.0),
    ("text", (1,), "1"),
    ("representation", ("a",), "'a'"), ("instance", (1, int), True), ("next", (iter([5]),), 5),
    ("getitem", ([4], 0), 4),
])  # fmt: skip
def test_operations_are_python_s(operation: str, arguments: tuple[Any, ...], value: Any) -> None:
    assert OPERATIONS[operation](*arguments) == value


def test_what_a_cell_shows_is_kept_up_to_a_length() -> None:
    recorder = Recorder()
    recorder.text("stdout", "x" * 99_990)
    recorder.text("stdout", "y")
    recorder.text("stderr", "z")
    recorder.data("display_data", {"text/plain": "p" * 20, "image/png": "i" * (4 * 10**6 - 1), "text/html": "h"})
    recorder.text("stdout", "more")
    assert recorder.outputs == [
        {"output_type": "stream", "name": "stdout", "text": "x" * 99_990 + "y"},
        {"output_type": "stream", "name": "stderr", "text": "z"},
        {
            "output_type": "display_data",
            "data": {"text/plain": "p" * 8, "image/png": "i" * (4 * 10**6 - 1)},
            "metadata": {},
        },
    ]
    recorder.data("display_data", {"image/jpeg": "i" * 4 * 10**6})
    assert recorder.outputs[-1]["data"] == {"text/plain": ""}
    recorder.error("E", "v" * 3000, ["first", "x" * 9_999, "last"])
    assert len(recorder.outputs[-1]["evalue"]) == 2000
    assert recorder.outputs[-1]["traceback"][-1] == "last"
    assert "first" not in recorder.outputs[-1]["traceback"]
    for _ in range(200):
        recorder.data("display_data", {"image/png": "i"})
    assert sum("image/png" in o["data"] for o in recorder.outputs if "data" in o) == 1 + 100 - 5


def test_the_pictures_of_a_notebook_have_a_bound_together() -> None:
    recorder = Recorder(pictures=10)
    for content in ("123456", "12345", "123", "1"):
        recorder.data("display_data", {"text/plain": "shown", "image/png": content})
    kept = [output["data"].get("image/png") for output in recorder.outputs]
    assert (kept, recorder.pictures) == (["123456", None, "123", None], 1)
    assert [output["data"]["text/plain"] for output in recorder.outputs] == ["shown"] * 4
    assert Recorder().pictures == 12 * 10**6


def named(*lineage: str) -> dict[str, Any]:
    return {"value": {"list": list(lineage)}}


def test_an_object_is_of_the_classes_that_it_names_where_the_model_solution_is_asked() -> None:
    """But never of one of values: those cross, or are none."""
    liar = named("__main__:Mine", "torch.nn.modules.module:Module", "builtins:object")
    handle, made, line = fetched(liar, allowed=None)
    assert isinstance(handle, torch.nn.Module)
    assert not isinstance(handle, torch.nn.Linear)
    assert made.allowed == {("t/x", "family")}
    assert len(line.sent) == 2, "and is asked once"
    handle, _, line = fetched(liar)
    assert not isinstance(handle, torch.nn.Module)
    assert len(line.sent) == 1
    claims = "builtins:float builtins:dict numpy:ndarray numpy:float64 pandas:DataFrame torch:Tensor decimal:Decimal"
    for claim in [*claims.split(), "datetime:datetime", "builtins:object", "os:system", "", "a:b:c"]:
        handle, _, _ = fetched(named(claim), allowed={("t/x", "family")})
        assert handle.__class__ is Handle, claim
    handle, _, _ = fetched({"value": 7}, allowed={("t/x", "family")})
    assert handle.__class__ is Handle
    handle, _, _ = fetched(named("builtins:generator"), allowed={("t/x", "family")})
    assert isinstance(handle, types.GeneratorType)


def test_a_class_is_derived_from_what_it_names_in_the_same_way() -> None:
    lineage = named("__main__:Net", "torch.nn.modules.module:Module", "builtins:object")
    handle, _, _ = fetched(lineage, allowed=None)
    assert issubclass(handle, torch.nn.Module)
    handle, _, line = fetched({"value": True}, allowed={("t/x", "subclass")})
    assert issubclass(handle, handle)
    assert issubclass(int, handle) is False
    assert line.sent[1]["do"] == "subclass"
    handle, _, line = fetched()
    with pytest.raises(TypeError):
        issubclass(handle, torch.nn.Module)
    with pytest.raises(Refused):
        issubclass(handle, handle)
    assert len(line.sent) == 1


def test_what_libraries_look_for_is_there_only_where_it_was_learned() -> None:
    handle, made, _ = fetched()
    for name in ("__dict__", "__code__", "__signature__", "__bases__", "__array__", "__wrapped__"):
        assert not hasattr(handle, name)
    assert made.refused == ""
    signature = {
        "signature": [[["a", 1, {"type": "inspect._empty"}, {"type": "builtins.int"}]], {"type": "inspect._empty"}]
    }
    plain = named("builtins:builtin_function_or_method")
    names = {"value": {"list": ["a", "b"]}}
    handle, _, line = fetched(plain, {"value": signature}, names, allowed=None)
    assert str(inspect.signature(handle)) == "(a: int)"
    assert dir(handle) == ["a", "b"]
    assert [sent["do"] for sent in line.sent[1:]] == ["family", "signature", "names"]


def test_arguments_change_where_the_model_solution_changes_them() -> None:
    """In the same test, at the same place; and become nothing that they were not."""
    frame = pd.DataFrame({"a": [1]})
    for mine, then, after in [
        ([3, 1], {"list": [1, 3]}, [1, 3]), ({"a": 1}, {"dict": []}, {}), ({1}, {"set": [2]}, {2}),
        (bytearray(b"a"), None, None), (deque([1]), {"deque": [2]}, deque([2])),
        (defaultdict(int), {"dict": [[1, 2]]}, {1: 2}),
    ]:  # fmt: skip
        for allowed in (None, {("t/x", "change")}):
            target = copy.copy(mine)
            handle, _, line = fetched({"value": 1, "changed": {"dict": [[1, then]]}}, allowed=allowed)
            if then is None:
                with pytest.raises(Refused, match="cannot come over"):
                    handle(target)
            else:
                assert handle(target) == 1
                assert (target, type(target)) == (after, type(mine))
            assert line.sent[1]["look"] is True
        handle, _, line = fetched({"value": 1, "changed": {"dict": [[1, then]]}})
        target = copy.copy(mine)
        handle(target)
        assert (target, line.sent[1]["look"]) == (mine, False), "not where the model solution's stays"
    for target, value in [(np.zeros(2), np.ones(2)), (torch.zeros(2), torch.ones(3)), (frame, frame * 2)]:
        overwrite(target, value)
        assert type(target) is type(value)
        assert np.array_equal(target, value)
    for target, value in [
        (np.zeros(2), np.ones(1)),
        (np.zeros(2, int), np.ones(2)),
        (np.zeros(2), [1, 1]),
        ([1], (1,)),
        ({1}, [1]),
        (frame, 1),
    ]:
        with pytest.raises((TypeError, ValueError)):
            overwrite(target, value)
    assert [changeable(value) for value in ([], np.ones(1), frame, (), "a", 1, object())] == [True] * 3 + [False] * 4


@pytest.mark.parametrize("changed", [7, {"dict": [[9, 1]]}, {"dict": [["a", {"list": []}]]}, {"list": []}])
def test_changes_of_what_was_not_handed_over_are_none(changed: Any) -> None:
    handle, _, _ = fetched({"value": 1, "changed": changed}, allowed={("t/x", "change")})
    mine = [1]
    with pytest.raises((Gone, Refused)):
        handle(mine)
    assert mine == [1]


@pytest.fixture
def generators(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """They stand afterwards where they stood, and none is watched any more."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    with monkeypatch.context() as patched:
        for module, functions in GENERATORS.items():
            for name in functions:
                patched.setattr(f"{module}.{name}", getattr(sys.modules[module], name))
        yield
    random.setstate(before[0])
    np.random.set_state(before[1])
    torch.set_rng_state(before[2])


@pytest.mark.usefixtures("generators")
def test_only_what_a_test_seeds_itself_goes_over() -> None:
    """The secret state of its generators does not; nothing that comes back sets them. The same seed twice counts."""
    handle, made, line = fetched(*[{"value": 1}] * 6)
    made.streams.watch()
    random.seed(3)
    made.begin("t", 10)
    random.seed(None)
    handle()
    np.random.seed(4)
    state = np.random.get_state()[1].tolist()
    handle()
    handle()
    np.random.seed(4)
    handle()
    np.random.random()
    handle()
    made.begin("u", 10)
    handle()
    sent = [[name for name, _ in message["streams"]["dict"]] for message in line.sent[1:]]
    assert sent == [[], ["numpy.random"], [], ["numpy.random"], ["numpy.random"], []]
    np.random.seed(9)
    follow({"numpy.random": ("MT19937", np.array(state, dtype=np.uint32), 624, 0, 0.0)})
    assert np.random.get_state()[1].tolist() == state


@pytest.mark.usefixtures("generators")
def test_a_generator_that_a_test_puts_back_is_secret_again() -> None:
    """As after torch's `fork_rng`: its state would tell what the test drew before, from the course's key."""
    handle, made, line = fetched(*[{"value": 1}] * 5)
    made.streams.watch()
    random.seed(3)
    made.begin("t", 10)
    former = random.getstate()
    with torch.random.fork_rng(devices=[]):
        random.seed(4)
        torch.manual_seed(4)
        own = random.getstate()
        handle()
    random.setstate(former)
    handle()
    random.seed(5)
    random.setstate(own)
    handle()
    sent = [[name for name, _ in message["streams"]["dict"]] for message in line.sent[1:]]
    assert list(map(sorted, sent)) == [["random", "torch"], [], ["random"]]


def test_what_a_test_puts_in_the_place_of_input_is_called_here(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"callback": 0, "arguments": {"list": ["Age?"]}, "keywords": {"dict": []}}
    handle, _, line = fetched(asked, {"value": 42}, {"value": 1}, asked, {"value": 2}, {"value": 3})
    with mock.patch("builtins.input", return_value="41") as typed:
        assert handle() == 42
    typed.assert_called_once_with("Age?")
    assert (line.sent[1]["instead"], line.sent[2]) == ({"input": {"callback": 0}}, {"value": "41"})
    handle()
    assert line.sent[3]["instead"] == {}
    handle._tml_peer.begin("t", 10)
    monkeypatch.setattr("sys.stdin", io.StringIO("7\n"))
    assert handle() == 2
    assert line.sent[5] == {"value": "7"}


def test_an_argument_that_cannot_go_over_is_called_here_or_said() -> None:
    made, _ = peer()
    assert made._refer(mock.Mock()) == {"callback": 0}
    with pytest.raises(TypeError, match="a test cannot hand over a lock"):
        made._refer(threading.Lock())


def test_no_name_of_a_test_s_own_goes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as a class, nor in a pickle of its objects, nor of others that hold them."""
    given, own = (type(name, (), {"__module__": "__main__"}) for name in ("Given", "Own"))
    monkeypatch.setattr(sys.modules["__main__"], "Given", given, raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "Own", own, raising=False)
    holder = given()
    holder.inner = own()
    for value in (own, own(), holder):
        made, line = peer({"names": ["Given"]}, {"names": ["Given"]})
        with pytest.raises(TypeError, match="a test cannot hand over a"):
            made.operate("call", "f", value)
        assert {sent["do"] for sent in line.sent} == {"known"}
    made, _ = peer({"names": ["Given"]})
    assert made._refer(given) == {"name": "Given"}
    assert "pickle" in made._refer(given())


def test_what_lies_beside_a_tensor_stays_here() -> None:
    """As the held-out rows behind those that a test puts into a data set: torch would pickle all that are stored."""
    made, _ = peer()
    rows = torch.arange(1000.0).requires_grad_()
    sent = bytes.fromhex(made._refer(torch.utils.data.TensorDataset(rows[:3]))["pickle"])
    (found,) = pickle.loads(sent).tensors
    assert (found.tolist(), found.requires_grad) == ([0, 1, 2], True)
    assert found.untyped_storage().nbytes() == found.nbytes
    layer = torch.nn.Linear(2, 2, bias=False)
    layer.again = layer.weight
    both = pickle.loads(bytes.fromhex(made._refer(layer)["pickle"]))
    assert both.again is both.weight


def test_a_submission_s_process_follows_and_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over there: changed arguments are told, and only those; `input` is the test's while it is called."""
    shell = types.SimpleNamespace(display_pub=types.SimpleNamespace(), displayhook=types.SimpleNamespace(), user_ns={})
    student = Student(shell)

    def asked(function: Callable[..., Any], *arguments: Any, look: bool, **instead: Any) -> dict[str, Any]:
        student.objects = [function]
        message = {"do": "call", "keywords": {"dict": []}, "streams": {"dict": []}, "look": look, "instead": instead}
        return student._operate({**message, "arguments": {"list": [{"own": 0}, *arguments]}}, [], [])

    two = {"list": [2, 1]}, {"list": [5]}
    assert asked(lambda a, b: a.sort(), *two, look=True) == {
        "value": None,
        "changed": {"dict": [[1, {"list": [1, 2]}]]},
    }
    assert asked(lambda a, b: a.sort(), *two, look=False) == {"value": None}
    assert asked(lambda a, b: sorted(a), *two, look=True) == {"value": {"list": [1, 2]}}
    monkeypatch.setattr(student, "_callback", lambda number: lambda prompt: f"{prompt}{number}")
    assert asked(lambda: input("n"), look=False, input={"callback": 3}) == {"value": "n3"}
    assert builtins.input is not None
    assert input.__module__ != __name__
