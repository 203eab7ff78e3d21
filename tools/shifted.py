"""A plugin of pytest: every seed that is set, by a test or by the library, is another one, moved by TML_SHIFT."""

import os
import random
from typing import Any

import numpy as np
import torch

SHIFT = int(os.environ.get("TML_SHIFT", "0"))


class Generator(torch.Generator):
    """PyTorch's generator, whose seeds are moved."""

    def manual_seed(self, seed: int) -> torch.Generator:
        return super().manual_seed((seed + SHIFT) % 2**63)


def moved(function: Any) -> Any:
    """A function of a seed, whose seed is moved; of none, as it is."""

    def call(seed: Any = None, *rest: Any, **settings: Any) -> Any:
        return function(seed + SHIFT if isinstance(seed, int) else seed, *rest, **settings)

    return call


def pytest_configure() -> None:
    torch.Generator = Generator  # type: ignore[misc]
    torch.manual_seed = moved(torch.manual_seed)
    np.random.seed = moved(np.random.seed)
    np.random.default_rng = moved(np.random.default_rng)
    random.seed = moved(random.seed)
