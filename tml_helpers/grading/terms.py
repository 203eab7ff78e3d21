"""Formulas of SymPy as they cross: trees of its own classes over symbols and numbers; no text is read as a formula."""

from collections.abc import Callable
from typing import Any

import sympy
from sympy.core.function import AppliedUndef, UndefinedFunction
from sympy.functions.elementary.piecewise import ExprCondPair

from tml_helpers.grading.wire import Decoder, place

Inner = Callable[[Any], Any]
MATRICES = {"Matrix": sympy.Matrix, "ImmutableMatrix": sympy.ImmutableMatrix}
SINGLE = {type(getattr(sympy.S, name)).__name__: getattr(sympy.S, name) for name in (
    "Pi", "Exp1", "ImaginaryUnit", "Infinity", "NegativeInfinity", "ComplexInfinity", "NaN", "GoldenRatio",
    "EulerGamma", "EmptySet", "Reals", "Integers", "Naturals", "Naturals0", "Complexes", "true", "false",
)}  # fmt: skip
ROOMS = ("core", "functions", "concrete", "integrals", "logic", "sets", "series")


class Stays(Exception):
    """A part of a formula is of a type that does not cross."""


def encode(value: Any, inner: Inner, _: list[bytes]) -> dict[str, Any] | None:
    """What stands for a formula, or a matrix of them; None for anything else."""

    def part_of(term: Any) -> Any:
        found = inner(term)
        if type(found) is not dict or not found.keys() <= DECODERS.keys():
            raise Stays
        return found

    try:
        return _encode(value, part_of)
    except Stays:
        return None


def _encode(value: Any, inner: Inner) -> dict[str, Any] | None:
    kind = type(value)
    for name, matrix in MATRICES.items():
        if kind is matrix:
            return {"entries": [name, value.rows, value.cols, [inner(part) for part in value.flat()]]}
    if kind is UndefinedFunction:
        return {"function": value.__name__}
    if not issubclass(kind, sympy.Basic):
        return None
    if kind.__name__ in SINGLE and value is SINGLE[kind.__name__]:
        return {"term": [kind.__name__, []]}
    if kind in (sympy.Symbol, sympy.Dummy):
        return {"symbol": [value.name, {k: v for k, v in value._assumptions_orig.items() if v in (True, False)}]}
    if issubclass(kind, sympy.Integer):
        return {"integer": hex(value.p)}
    if issubclass(kind, sympy.Rational):
        return {"rational": [hex(value.p), hex(value.q)]}
    if kind is sympy.Float:
        return {"decimals": [str(value), int(value._prec)]}
    if issubclass(kind, AppliedUndef):
        return {"term": [inner(value.func), [inner(part) for part in value.args]]}
    known = _class(kind.__name__)
    return {"term": [kind.__name__, [inner(part) for part in value.args]]} if known is kind and value.args else None


def _class(name: Any) -> Any:
    """The class of SymPy's own that has this name, if trees are made of it."""
    found = ExprCondPair if name == "ExprCondPair" else getattr(sympy, str(name), None)
    if not isinstance(found, type) or not issubclass(found, sympy.Basic):
        return None
    return found if found.__module__.startswith(tuple(f"sympy.{room}." for room in ROOMS)) else None


def _term(content: Any, _: list[bytes], inner: Inner) -> Any:
    name, parts = content
    if type(name) is str and name in SINGLE:
        return SINGLE[name]
    kind = inner(name) if type(name) is dict else _class(name)
    found = list(map(inner, parts))
    if kind is None or not all(issubclass(type(part), sympy.Basic) for part in found):
        raise TypeError("no formula")  # SymPy would run a text
    return kind(*found)


def _symbol(content: Any, _: list[bytes], __: Inner) -> Any:
    name, facts = content
    if not all(type(known) is bool for known in facts.values()):
        raise TypeError("no facts")
    return sympy.Symbol(str(name), **facts)


def _entries(content: Any, _: list[bytes], inner: Inner) -> Any:
    name, rows, columns, parts = content
    found = list(map(inner, parts))
    if not all(issubclass(type(part), sympy.Basic) for part in found):
        raise TypeError("no formula")
    return MATRICES[name](place(rows), place(columns), found)


DECODERS: dict[str, Decoder] = {
    "term": _term,
    "symbol": _symbol,
    "integer": lambda c, b, i: sympy.Integer(int(str(c), 16)),
    "rational": lambda c, b, i: sympy.Rational(int(str(c[0]), 16), int(str(c[1]), 16)),
    "decimals": lambda c, b, i: sympy.Float(float(str(c[0])) if c[1] == 53 else str(c[0]), precision=place(c[1])),
    "function": lambda c, b, i: sympy.Function(str(c)),
    "entries": _entries,
}
