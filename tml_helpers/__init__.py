"""Helpers of the course book on trustworthy machine learning.

`import tml_helpers` costs next to nothing: a module such as `tml_helpers.data` is imported when it is first used.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"
__all__ = [
    "attacks",
    "claims",
    "data",
    "defenses",
    "distillation",
    "explain",
    "grading",
    "kernels",
    "machine",
    "measured",
    "models",
    "plotting",
    "threat_models",
    "training",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"tml_helpers.{name}")
    raise AttributeError(f"tml_helpers has no module {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
