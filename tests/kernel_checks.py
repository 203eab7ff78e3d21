"""How each kernel is checked: on a GPU, in Triton's interpreter on the CPU, and by a compiler that needs no device."""

import importlib.util
import inspect
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
H200 = SimpleNamespace(multi_processor_count=132)  # what a device that is not there says of itself
on_a_gpu_or_interpreted = [
    pytest.mark.gpu,
    pytest.mark.skipif(not INTERPRETED and not torch.cuda.is_available(), reason="no CUDA device"),
]
on_a_device = pytest.mark.skipif(INTERPRETED, reason="needs a CUDA device: the interpreter has none")
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


def slow(*values: Any) -> Any:
    """A case that the quick run leaves out: a large size, whose other cases stay in."""
    return pytest.param(*values, marks=pytest.mark.slow)


def interpret(cases: str) -> int:
    """Runs the tests for a GPU in Triton's interpreter; says how many passed. `cases` chooses among them, by marker.

    In one process, which is not this one: Triton reads its variable once.
    """
    tests = Path(__file__).parent
    files = sorted(map(str, tests.glob("test_kernels_gpu*.py")))
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", "-m", cases, *files],
        cwd=tests.parent,
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stdout
    return int(re.findall(r"(\d+) passed", run.stdout)[-1])


def programs_as_threads(monkeypatch: pytest.MonkeyPatch, at_a_time: int) -> None:
    """Makes Triton's interpreter run so many programs of a kernel side by side, where it would run one after another.

    A kernel whose programs wait for each other comes to no end otherwise. A grid of one axis, and tensors on the CPU.
    """
    from triton.runtime import interpreter

    builder, here = interpreter.interpreter_builder, threading.local()
    monkeypatch.setattr(type(builder), "grid_idx", property(lambda _: here.place, lambda _, place: None), raising=False)

    def call(self: Any, *values: Any, **keywords: Any) -> None:
        known = {name: value for name, value in keywords.items() if name in self.arg_names}
        given = inspect.getcallargs(self.fn, *values, **known)
        scope = interpreter._patch_lang(self.fn)

        def program(number: int) -> None:
            here.place = (number, 0, 0)
            self.fn(**arguments)

        try:
            convert = interpreter._implicit_cvt
            arguments = {n: value if n in self.constexprs else convert(value) for n, value in given.items()}
            builder.set_grid_dim(*self.grid, 1, 1)
            with ThreadPoolExecutor(at_a_time) as pool:
                list(pool.map(program, range(*self.grid)))
        finally:
            scope.restore()

    monkeypatch.setattr(interpreter.GridExecutor, "__call__", call)


class Host(TorchDispatchMode):
    """Notes what the host asks of a device: `launches`, by name, and `waits`, the copies that it waits for."""

    FREE = ("empty", "empty_like", "empty_strided", "new_empty", "detach", "alias", "lift_fresh", "set_")

    def __init__(self) -> None:
        super().__init__()
        self.launches: list[str] = []
        self.waits: list[str] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        place = torch.device((kwargs or {}).get("device") or "cpu").type
        on_a_cpu = place == "cpu" and not any(isinstance(x, FakeTensor) for x in tree_leaves((args, kwargs)))
        with unset_fake_temporarily() if on_a_cpu else nullcontext():
            result = operation(*args, **(kwargs or {}))
        name = operation.overloadpacket.__name__
        devices = {x.device.type for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor)}
        free = operation.namespace == "prim" or operation.is_view or name in self.FREE
        if "cuda" in devices and not free:
            self.launches.append(name)
            copies = name in ("copy_", "_to_copy") and len(devices) > 1
            if copies and not (kwargs or {}).get("non_blocking", len(args) > 2 and args[2]):
                self.waits.append(name)
        return result


class Views(TorchFunctionMode):
    """Takes `x[1:]` of a tensor whose device is not there: indexing alone asks PyTorch for the device."""

    def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if function is not Tensor.__getitem__ or not isinstance(args[0], FakeTensor):
            return function(*args, **(kwargs or {}))
        x, key = args
        if any(isinstance(part, Tensor) for part in tree_leaves(key)):
            raise RuntimeError("How many a mask chooses, the host must wait for; by numbers, take `index_select`.")
        with unset_fake_temporarily():
            view = torch.empty_strided(x.shape, x.stride(), device="meta")[key]
        return x.as_strided(view.shape, view.stride(), x.storage_offset() + view.storage_offset())


def asked_of_a_device(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> Host:
    """What `call` asks of a device, Triton's launches among it: of a real one, or of one that is not there.

    Without a device, which wants a `FakeTensorMode` around it, nothing is computed but what the CPU computes, and an
    operation whose outcome the host must wait for raises a RuntimeError.
    """
    from triton.runtime import JITFunction

    host, real = Host(), torch.cuda.is_available()
    run = JITFunction.run

    def noted(kernel: Any, *args: Any, **kwargs: Any) -> Any:
        host.launches.append(kernel.fn.__name__)
        return run(kernel, *args, **kwargs) if real else None

    with monkeypatch.context() as patch:
        patch.setattr(JITFunction, "run", noted)
        if real:
            torch.cuda.set_sync_debug_mode("error")
        else:
            for name in ("_exchange_device", "_maybe_exchange_device"):
                patch.setattr(torch.cuda, name, lambda index: -1)
            patch.setattr(torch.cuda, "get_device_properties", lambda device: H200)
        try:
            with host, nullcontext() if real else Views():
                call()
        finally:
            if real:
                torch.cuda.set_sync_debug_mode("default")
    return host


def compiled(
    kernel: Any,
    types: dict[str, str],
    values: dict[str, Any],
    warps: int,
    aligned: Iterable[str] = (),
    **options: Any,
) -> dict[str, Any]:
    """A kernel's machine code for a Hopper GPU, `cubin`, and the `ptx` before it: ptxas, which comes with Triton,
    needs no device. `types` are those of the arguments; `values` are known to the compiler; those that are `aligned`
    are multiples of 16, as addresses of whole tensors are, so that 16 bytes may be one load."""
    from triton import compile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = kernel.arg_names
    signature = {name: "constexpr" if name in values else types[name] for name in names}
    constants = {(names.index(name),): value for name, value in values.items()}
    hints = {(names.index(name),): [["tt.divisibility", 16]] for name in aligned if name not in values}
    source = ASTSource(kernel, signature, constants, hints)
    code: dict[str, Any] = compile(
        source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps, **options}
    ).asm
    return code


def instructions(code: dict[str, Any]) -> Counter[str]:
    """How often each instruction stands in a compiled kernel's machine code, by its full name, `LDG.E.128`."""
    return Counter(
        re.findall(r"^\s+/\*\w{4}\*/\s+(?:@!?U?P\w+ +)?([A-Z][\w.]+)", _tool("cuobjdump", "-sass", code), re.MULTILINE)
    )


def resources(code: dict[str, Any]) -> dict[str, int]:
    """What a compiled kernel takes: `REG` registers a thread, `SHARED` bytes a program; `STACK` bytes are spills."""
    usage = _tool("cuobjdump", "-res-usage", code)
    return {name: int(value) for name, value in re.findall(r"(REG|STACK|SHARED|LOCAL):(\d+)", usage)}


def _tool(name: str, option: str, code: dict[str, Any]) -> str:
    """What a tool of CUDA says of the machine code; skips where Triton brings no such tool."""
    import triton

    places = Path(triton.__file__).parent.glob(f"backends/nvidia/bin/{name}*")
    tool = next((place for place in places if place.stem == name), None)
    if tool is None:
        pytest.skip(f"this Triton has no {name}")
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(code["cubin"])
        # nvdisasm, which lies beside it, does the work
        path = os.pathsep.join([str(tool.parent), os.environ.get("PATH", "")])
        run = subprocess.run(
            [tool, option, cubin], capture_output=True, text=True, check=True, env={**os.environ, "PATH": path}
        )
    return run.stdout


def offsets(code: dict[str, Any], kind: str) -> list[str]:
    """The types of the offsets that a compiled kernel adds to pointers to entries of this kind, in order."""
    pattern = rf"tt\.addptr [^:]*: (?:tensor<[\dx]*)?!tt\.ptr<{kind}>>?, (?:tensor<[\dx]*)?(i\d+)"
    return re.findall(pattern, code["ttir"])
