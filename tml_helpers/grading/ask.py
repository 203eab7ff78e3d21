"""What a test asks for by name, because it does not come by itself: source text, parameters, arguments after a call.

While homework is graded, a test sees values of a submission, but not the text of its functions, the inside of its
models, or what a function did to its arguments. These functions ask for it, and give the same in a notebook that is
simply run.
"""

import ast
from collections.abc import Callable
from inspect import getsource
from typing import Any

from tml_helpers.grading import names
from tml_helpers.grading.proxies import Handle


def source(function: Callable[..., Any]) -> str:
    """The text with which the submission last defines this function or class.

    Text can be checked for what it should not use (a loop, a library's function), but says nothing about what runs:
    test that by calling. Raises OSError where there is no text, as for a function of a library.
    """
    if type(function) is not Handle:
        return getsource(function)
    for cell in reversed(function._tml_peer.cells):
        text = names.python(cell)
        for statement in reversed(_statements(text)):
            if function._tml_origin in names.defined(ast.unparse(statement)):
                return ast.get_source_segment(text, statement) or ""
    raise OSError(f"no cell defines {function._tml_origin}")


def state_dict(model: Any) -> dict[str, Any]:
    """The parameters and buffers of a PyTorch model, copied, by name."""
    if type(model) is Handle:
        state: dict[str, Any] = model._tml_peer.operate("state", model._tml_origin, model)
        return state
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def after_call(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[Any, list[Any]]:
    """What the function returns, and its positional arguments as they are afterwards."""
    if type(function) is Handle:
        both = function._tml_peer.operate("after call", function._tml_origin, function, *arguments, **keywords)
        return both[0], both[1]
    return function(*arguments, **keywords), list(arguments)


def _statements(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError):
        return []
