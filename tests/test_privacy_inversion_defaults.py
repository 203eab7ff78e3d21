"""Results lie where inputs lie, and are as exact as they are, whatever PyTorch's defaults are.

The default device is one on which nothing can be computed, and the default type has two digits: what is made without
saying where and how would show.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tml_helpers import privacy


def tensors(found: Any) -> list[Tensor]:
    parts = [found] if isinstance(found, Tensor) else vars(found).values()
    return [part for part in parts if isinstance(part, Tensor)]


def network() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.linspace(-1, 1, 48).double().view(3, 16).sin())
    return model


CALLS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "limited": lambda given: privacy.LimitedAPI(nn.Identity(), top=2, decimals=2, clip=0.9)(given["rows"]),
    "attribute": lambda given: privacy.attribute_inference(
        given["line"],
        given["rows"],
        given["doses"],
        feature=0,
        values=given["values"],
        error=0.5,
        prior=given["values"],
    ),
    "classes": lambda given: privacy.attribute_inference(
        given["table"], given["rows"], given["labels"], feature=0, values=given["values"], error=given["eye"]
    ),
    "gradient": lambda given: privacy.model_inversion(
        given["network"], targets=given["labels"][:2], shape=(1, 4, 4), steps=3
    ),
    "confidence": lambda given: privacy.model_inversion(
        given["network"],
        targets=given["labels"][:2],
        shape=(1, 4, 4),
        steps=3,
        access="confidence",
        generator=copy.deepcopy(given["generator"]).set_state(given["generator"].get_state()),
    ),
    "steal": lambda given: privacy.steal_linear_model(given["line"], features=3, answers="values"),
    "steal from an array": lambda given: privacy.steal_linear_model(
        lambda rows: rows.numpy() @ np.arange(3.0), features=3
    ),
}


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    torch.manual_seed(0)
    line, table = nn.Linear(3, 1).double(), nn.Linear(3, 3).double()
    rows = torch.randn(5, 3, dtype=torch.float64)
    return {
        "line": line,
        "table": table,
        "network": network(),
        "rows": rows,
        "doses": torch.randn(5, dtype=torch.float64),
        "labels": torch.tensor([0, 1, 2, 0, 1]),
        "values": torch.tensor([0.25, 1.0]),
        "eye": torch.full((3, 3), 0.1) + torch.eye(3),
        "generator": torch.Generator().manual_seed(0),
    }


@pytest.fixture
def odd_defaults() -> Iterator[Callable[[], None]]:
    usual = torch.get_default_dtype()

    def change() -> None:
        torch.set_default_dtype(torch.bfloat16)
        torch.set_default_device("meta")

    yield change
    torch.set_default_dtype(usual)
    torch.set_default_device(None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_defaults_change_nothing(name: str, given: dict[str, Any], odd_defaults: Callable[[], None]) -> None:
    usual = tensors(CALLS[name](given))
    odd_defaults()
    again = tensors(CALLS[name](given))
    assert usual
    for first, second in zip(usual, again, strict=True):
        assert (first.device, first.dtype) == (second.device, second.dtype)
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)
