"""What a function makes lies where its inputs lie and is as exact as they are, whatever PyTorch's defaults are.

A tensor that is made without saying where would lie on the processor beside images on a GPU. No device is needed to see
it: here the default is a device on which nothing can be computed, and a type of two digits.
"""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import test_attacks_arguments as of_attacks
import test_defenses_arguments as of_defenses
import test_explain as of_explanations
import torch

from tml_helpers import attacks

Call = Callable[[], Any]


MODULES = ("ProtoPNet", "defence DefenseGAN")  # a network is made as the defaults say


def calls() -> dict[str, Call]:
    """Every call of the tables of arguments, with its usual arguments."""

    def attack(name: str) -> Call:
        return lambda: of_attacks.outcome(name)

    def explanation(function: Callable[..., Any], arguments: Callable[[], dict[str, Any]]) -> Call:
        usual = arguments()
        return lambda: function(**copy.deepcopy(usual))

    def defence(function: Callable[..., Any], values: dict[str, tuple[Any, Any]]) -> Call:
        usual = {name: of_defenses.MADE[name](one) if name == "teacher" else one for name, (one, _) in values.items()}
        seeds = {name: of_defenses.seeded for name in usual if name == "generator"}
        return lambda: function(**copy.deepcopy(usual) | {name: seeded() for name, seeded in seeds.items()})

    found = {name: attack(name) for name in of_attacks.CASES}
    found |= {name: explanation(function, usual) for name, (function, usual, _) in of_explanations.CASES.items()}
    return found | {f"defence {name}": defence(*case) for name, case in of_defenses.VALUES.items()}


CALLS = {name: call for name, call in calls().items() if not name.startswith(MODULES)}


@contextmanager
def two_digits() -> Iterator[None]:
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(usual)


def outcome(call: Call) -> Any:
    torch.manual_seed(0)
    np.random.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return of_explanations.plain(call())


@pytest.mark.parametrize("name", CALLS)
def test_no_result_depends_on_a_default(name: str) -> None:
    usual = outcome(CALLS[name])
    with two_digits():
        assert outcome(CALLS[name]) == usual
    with torch.device("meta"):
        assert outcome(CALLS[name]) == usual


def test_pixels_of_double_images_have_all_their_digits() -> None:
    """7 and 9 pixels: their middles are no short binary fractions."""
    spot = (0.3, 0.6, 0.5, 0.2)
    found = attacks.infrared_spots(torch.zeros(1, 1, 7, 9).double(), torch.tensor([[spot]], dtype=torch.float64))
    rows, columns = (np.arange(7)[:, None] + 0.5) / 7, (np.arange(9) + 0.5) / 9
    squared = (rows - spot[0]) ** 2 + ((columns - spot[1]) * 9 / 7) ** 2
    light = spot[2] * np.exp(-squared / (2 * spot[3] ** 2))
    np.testing.assert_allclose(found[0, 0].numpy(), light, rtol=0, atol=1e-14)
