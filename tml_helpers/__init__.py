"""Helpers of the course book on trustworthy machine learning.

`import tml_helpers` costs next to nothing: a module such as `tml_helpers.data` is imported when it is first used.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"


def _modules() -> list[str]:
    """What is imported from here: every module and package of this folder but the command line."""
    import pkgutil

    names = {found.name for found in pkgutil.iter_modules(__path__)} - {"cli"}
    return sorted(name for name in names if name[0] != "_")


def __getattr__(name: str) -> ModuleType | list[str]:
    modules = _modules()
    if name == "__all__":
        return modules
    if name in modules:
        return importlib.import_module(f"tml_helpers.{name}")
    raise AttributeError(f"tml_helpers has no module {name!r}; it has {', '.join(modules)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_modules()])
