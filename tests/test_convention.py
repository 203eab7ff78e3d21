"""Every public function is called in one way, and says what it takes and gives in one form: see CONTRIBUTING.

    method(model, inputs, labels or targets, *, its own numbers, batch_size=…, generator=None, progress=None)

All is read from the signatures and docstrings of what the modules of `tml_helpers.__all__` offer.
"""

import ast
import dataclasses
import inspect
import pkgutil
import re
import textwrap
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pandas
import pytest
import torch
from torch import nn

import tml_helpers

INPUTS = {"image", "images", "inputs", "data", "loader"}
CLASSES = {"labels", "targets"}
TAIL = ["batch_size", "generator", "checkpoint", "progress"]
STANDARD = {"forward", "__init__"}  # called by PyTorch, described by the class
# `seed` is NumPy's word: of functions that draw with NumPy, and of those that seed generators
NUMPY = {"explain.shapley", "explain.shapley_of_game", "training.seed_everything", "common.seeded"} | {
    f"fairness.{name}" for name in ("audit", "bootstrap_counts", "weat", "ThresholdPolicy.predict")
}
LATE = {"pandas": pandas}  # imported where it is made, not where it is named
# COVERAGE's own order: a student learns from a teacher. And what layers are is asked of a model without inputs.
OF_TWO_MODELS = {f"distillation.{name}" for name in ("distill", "distill_data_free", "cross_modal")}
OF_LAYERS = {"common.layer_names", "common.recorded", "common.representations"}
# A file stands where inputs do
OF_A_FILE = {"compression.save_compressed", "compression.load_compressed"}
# What is drawn is said after the generator: a shape, a device, a sampler's own settings
SAMPLERS = {"common.draw", "common.uniform", "common.offspring"}


def offered(module: Any) -> Iterator[tuple[str, Any]]:
    """What a module offers and defines, or its package does: by name."""
    names = getattr(module, "__all__", [name for name in vars(module) if name[0] != "_"])
    for name in names:
        made = getattr(module, name)
        if getattr(made, "__module__", "").startswith("tml_helpers"):
            yield name, made


def public() -> dict[str, Callable[..., Any]]:
    """Every public function, and every public method that a public class defines, by its place."""
    found: dict[str, Callable[..., Any]] = {}
    for module in tml_helpers.__all__:
        for name, made in offered(import_module(f"tml_helpers.{module}")):
            if inspect.isfunction(made):
                found[f"{module}.{name}"] = made
            elif inspect.isclass(made):
                called = {"forward"} if dataclasses.is_dataclass(made) else STANDARD  # a record is filled, not called
                for method, function in vars(made).items():
                    if method == "__init__" and getattr(made, "_is_protocol", False):
                        continue  # made by typing, called by nobody
                    if inspect.isfunction(function) and (method in called or method[0] != "_"):
                        found[f"{module}.{name}.{method}"] = function
    return found


def classes() -> dict[str, type]:
    return {
        f"{module}.{name}": made
        for module in tml_helpers.__all__
        for name, made in offered(import_module(f"tml_helpers.{module}"))
        if inspect.isclass(made)
    }


FUNCTIONS, CLASSES_OFFERED = public(), classes()
every_function = pytest.mark.parametrize("place", FUNCTIONS)


def parameters(place: str) -> list[inspect.Parameter]:
    found = list(inspect.signature(FUNCTIONS[place]).parameters.values())
    return found[1:] if found and found[0].name == "self" else found


def body(function: Callable[..., Any]) -> ast.FunctionDef:
    """A function's source, without its docstring."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    if ast.get_docstring(tree):
        tree.body = tree.body[1:]
    return tree


def test_there_is_something_to_look_at() -> None:
    assert len(FUNCTIONS) > 100
    assert {"attacks.pgd", "explain.saliency", "training.fit", "defenses.DefenseGAN.forward"} <= set(FUNCTIONS)


@every_function
def test_model_then_inputs_then_classes_and_the_rest_by_keyword(place: str) -> None:
    names = [p.name for p in parameters(place) if p.kind is not p.KEYWORD_ONLY]
    models = [p for p in parameters(place) if p.annotation is nn.Module]
    if not models or place in OF_TWO_MODELS | OF_LAYERS | OF_A_FILE:
        return
    assert names[0] == models[0].name == "model", "the model that is trained, attacked or explained comes first"
    order = [next((n for n, known in enumerate((INPUTS, CLASSES)) if name in known), None) for name in names[1:]]
    assert order in ([], [0], [0, 1]), f"after the model: inputs, then labels or targets, not {names[1:]}"


@every_function
def test_the_last_arguments_are_the_same_everywhere(place: str) -> None:
    names = [p.name for p in parameters(place)]
    tail = [name for name in TAIL if name in names]
    assert names[len(names) - len(tail) :] == tail or place in SAMPLERS, f"{' , '.join(tail)} come last, in this order"


@every_function
def test_what_draws_takes_a_generator_and_uses_it(place: str) -> None:
    by_name = {p.name: p for p in parameters(place)}
    assert not {"random", "rng", "random_state"} & set(by_name), "the word is generator"
    assert "seed" not in by_name or place in NUMPY
    if generator := by_name.get("generator"):
        assert generator.annotation == torch.Generator | None
        assert generator.default is None or place.startswith("common.")
        used = {node.id for node in ast.walk(body(FUNCTIONS[place])) if isinstance(node, ast.Name)}
        assert "generator" in used, "a function that draws nothing takes no generator"


def several(annotation: Any) -> bool:
    """Whether an annotation is of several things of different kinds, without names."""
    parts = typing.get_args(annotation)
    return typing.get_origin(annotation) is tuple and parts[-1:] != (...,) and len(parts) > 1


@every_function
def test_several_things_are_returned_with_names(place: str) -> None:
    if place.startswith("common.") or place.split(".")[-1] == "__init__":
        return
    returned = typing.get_type_hints(inspect.unwrap(FUNCTIONS[place]), localns=LATE).get("return")
    assert not several(returned), "return a frozen dataclass"


@pytest.mark.parametrize("place", CLASSES_OFFERED)
def test_what_is_returned_cannot_be_changed(place: str) -> None:
    made = CLASSES_OFFERED[place]
    assert not hasattr(made, "_fields"), "a frozen dataclass, not a tuple"
    if dataclasses.is_dataclass(made):
        assert made.__dataclass_params__.frozen  # type: ignore[attr-defined]


def sections(text: str) -> dict[str, str]:
    """The parts of a docstring by their headings: `Args`, `Returns`, `Raises`."""
    parts = re.split(r"^(Args|Returns|Raises|Yields):\n", text, flags=re.MULTILINE)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


def stated(section: str) -> list[str]:
    """The names that a section lists, in order."""
    return re.findall(r"^ {4}([\w, ]+):", section, flags=re.MULTILINE)


@every_function
def test_docstrings_say_what_is_taken_given_and_refused(place: str) -> None:
    function = FUNCTIONS[place]
    owner = CLASSES_OFFERED.get(place.rpartition(".")[0])
    if place.endswith("__init__"):
        function = owner  # type: ignore[assignment]
        if owner is None or dataclasses.is_dataclass(owner):
            return
    text = inspect.getdoc(function)
    assert text, "it has no docstring"
    first = text.partition("\n")[0]
    assert first.endswith((".", ":", "]", ")")), f"the first line is a whole sentence: {first}"
    if place.endswith(".forward"):
        return  # the class says it
    found = sections(text)
    names = [name for line in stated(found.get("Args", "")) for name in re.split(r", ", line)]
    assert names == [p.name for p in parameters(place)], "Args names every argument, in order"
    annotation = inspect.signature(inspect.unwrap(FUNCTIONS[place])).return_annotation
    if annotation not in (None, "None", inspect.Signature.empty) and not place.endswith("__init__"):
        assert "Returns" in found or "Yields" in found, "Returns says the shape and the unit"
    code = body(FUNCTIONS[place])
    raises = any(isinstance(node, ast.Raise) for node in ast.walk(code))
    called = {node.func.id for node in ast.walk(code) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    if raises or any(name.startswith("check") for name in called):
        assert "Raises" in found, "Raises says what can be caught"


def records() -> dict[str, Any]:
    """Every dataclass of the library, by its place."""
    modules = [import_module(module.name) for module in pkgutil.walk_packages(tml_helpers.__path__, "tml_helpers.")]
    return {
        f"{module.__name__}.{name}": made
        for module in modules
        for name, made in vars(module).items()
        if inspect.isclass(made) and dataclasses.is_dataclass(made) and made.__module__ == module.__name__
    }


RECORDS = records()


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_of_arrays_is_compared_by_what_it_is(name: str) -> None:
    """Two of them would be compared by arrays of truths, which are neither true nor false."""
    record = RECORDS[name]
    arrays = [field.name for field in dataclasses.fields(record) if re.search("Tensor|ndarray|Frame", str(field.type))]
    assert not arrays or "__eq__" not in vars(record), f"eq=False: {', '.join(arrays)}"
