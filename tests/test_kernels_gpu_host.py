"""The host never waits for a GPU, and asks little of it: every public function of `kernels`, by its own examples.

Each kernel's file of tests for a GPU, test_kernels_gpu_FILE.py, has `calls()`: pairs of the most launches that a call
may make, and the call. Where there is no GPU the tensors are of a device that is not there, and nothing is computed.
"""

import importlib
from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from kernel_checks import INTERPRETED, asked_of_a_device, needs_triton
from torch._subclasses.fake_tensor import FakeTensorMode

from tml_helpers import kernels

FUNCTIONS = [name for name in kernels.__all__ if not isinstance(getattr(kernels, name), type)]
pytestmark = [
    needs_triton,
    pytest.mark.skipif(INTERPRETED, reason="the interpreter launches nothing"),
    pytest.mark.filterwarnings("ignore:Synchronization debug mode"),
]
on_a_device = pytest.param(
    torch.device, marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
on_none = pytest.param(FakeTensorMode, marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device"))


def calls(name: str) -> list[tuple[int, Callable[[], object]]]:
    file = getattr(kernels, name).__module__.rpartition(".")[2]  # which may have several functions
    return list(importlib.import_module(f"test_kernels_gpu_{file}").calls())


@pytest.mark.parametrize("place", [on_a_device, on_none])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_host_never_waits_and_launches_no_more_than_it_says(name, place, monkeypatch):
    with FakeTensorMode(allow_non_fake_inputs=True) if place is FakeTensorMode else nullcontext():
        for most, call in calls(name):
            if place is torch.device:
                call()  # compiled
            host = asked_of_a_device(monkeypatch, call)
            assert not host.waits
            assert 0 < len(host.launches) <= most, host.launches


WAITING = {
    "a number read back": lambda x: float(x.sum()),
    "bounds read back": lambda x: tuple(map(int, x.aminmax())),
    "a choice by a mask": lambda x: x[x > 0],
    "a tensor from the CPU": lambda x: torch.as_tensor(0.5, device="cuda"),
    "a tensor to the CPU": lambda x: x.cpu(),
}


@pytest.mark.skipif(torch.cuda.is_available(), reason="a real device raises a RuntimeError")
@pytest.mark.parametrize("wait", WAITING.values(), ids=WAITING.keys())
def test_what_waits_is_seen(wait, monkeypatch):
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.rand(4, device="cuda")
        try:
            host = asked_of_a_device(monkeypatch, lambda: wait(x))
        except RuntimeError:  # what is not there cannot be read
            return
        assert host.waits
