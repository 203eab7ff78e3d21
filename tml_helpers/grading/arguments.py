"""Arguments that a function changes: it changed a copy, and where the test looks at its own, that is made the same."""

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

BUILTIN = (list, dict, set, bytearray, deque, Counter, OrderedDict, defaultdict)
OTHERS = ("numpy.ndarray", "torch.Tensor", "pandas.DataFrame", "pandas.Series")


def changeable(value: Any) -> bool:
    """Whether a function can change this, and the change can come back."""
    return type(value) in BUILTIN or _name(value) in OTHERS


def overwrite(target: Any, value: Any) -> None:
    """Give the target the content of a value of its kind. Raises TypeError or ValueError where it cannot have it."""
    name = _name(target)
    if not isinstance(value, dict) if isinstance(target, dict) else type(value) is not type(target):
        raise TypeError(f"a {type(value).__name__} cannot become a {type(target).__name__}")
    if isinstance(target, list | bytearray):
        target[:] = value
    elif isinstance(target, deque):
        target.clear()
        target.extend(value)
    elif isinstance(target, dict | set):
        target.clear()
        target.update(value)
    elif name == "numpy.ndarray":
        if value.shape != target.shape or value.dtype != target.dtype:
            raise ValueError("an array of another shape or type")
        target[...] = value
    elif name == "torch.Tensor":
        target.data = value.data
    else:
        target._update_inplace(value)


def _name(value: Any) -> str:
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    known = getattr(sys.modules.get(package), kind.__name__, None)
    return f"{package}.{kind.__name__}" if known is kind else ""
