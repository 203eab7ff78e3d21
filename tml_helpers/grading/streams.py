"""What a test seeds by itself, as `np.random.seed(1)`, a submission's function draws from as well.

Python's, numpy's and torch's own generators on the tests' side are seeded from a secret key. Their state goes over
only after the test that runs has seeded them with a number of its own.
"""

import importlib
import pickle
import sys
from collections.abc import Callable
from typing import Any

# The module that has the generator; how it is seeded; how its state is read and set.
GENERATORS = {
    "random": ("seed", "getstate", "setstate"),
    "numpy.random": ("seed", "get_state", "set_state"),
    "torch": ("manual_seed", "get_rng_state", "set_rng_state"),
}


class Streams:
    """The generators that the test which runs has seeded, and the states that the submission has."""

    def __init__(self) -> None:
        self.seeded: set[str] = set()
        self.sent: dict[str, bytes] = {}
        self.secret: set[bytes] = set()

    def watch(self) -> None:
        """From now on, notice when one is seeded, and when it is put back to where it stood before that."""
        for module, (seed, get, put) in GENERATORS.items():
            if module in sys.modules:
                owner = sys.modules[module]
                setattr(owner, seed, self._noticed(module, getattr(owner, seed)))
                setattr(owner, get, self._read(module, getattr(owner, get)))
                setattr(owner, put, self._put_back(module, getattr(owner, put)))

    def _noticed(self, module: str, seed: Callable[..., Any]) -> Callable[..., Any]:
        def function(*arguments: Any, **keywords: Any) -> Any:
            if any(value is not None for value in (*arguments, *keywords.values())):
                self.seeded.add(module)
                self.sent.pop(module, None)
            return seed(*arguments, **keywords)

        return function

    def _read(self, module: str, get: Callable[..., Any]) -> Callable[..., Any]:
        def function(*arguments: Any, **keywords: Any) -> Any:
            state = get(*arguments, **keywords)
            if module not in self.seeded:
                self.secret.add(pickle.dumps(state))
            return state

        return function

    def _put_back(self, module: str, put: Callable[..., Any]) -> Callable[..., Any]:
        def function(*arguments: Any, **keywords: Any) -> None:
            put(*arguments, **keywords)
            self.sent.pop(module, None)
            if any(pickle.dumps(state) in self.secret for state in (*arguments, *keywords.values())):
                self.seeded.discard(module)

        return function

    def begin(self) -> None:
        """Another cell runs, which has seeded nothing."""
        self.seeded, self.sent, self.secret = set(), {}, set()

    def news(self) -> dict[str, Any]:
        """The states that have to go over before the submission runs on."""
        found = {}
        for module in self.seeded:
            state = getattr(sys.modules[module], GENERATORS[module][1])()
            written = pickle.dumps(state)
            if self.sent.get(module) != written:
                self.sent[module], found[module] = written, state
        return found


def follow(states: dict[str, Any]) -> None:
    """Take over these states."""
    for module, state in states.items():
        getattr(importlib.import_module(module), GENERATORS[module][2])(state)
