"""How each kernel is checked: on a GPU, in Triton's interpreter on the CPU, and by a compiler that needs no device."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
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


def compiled(kernel: Any, types: dict[str, str], values: dict[str, Any], warps: int) -> dict[str, Any]:
    """A kernel's machine code for a Hopper GPU, `cubin`, and the `ptx` before it: ptxas, which comes with Triton,
    needs no device. `types` are those of the arguments; `values` are known to the compiler."""
    from triton import compile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = kernel.arg_names
    signature = {name: "constexpr" if name in values else types[name] for name in names}
    source = ASTSource(kernel, signature, {(names.index(name),): value for name, value in values.items()})
    code: dict[str, Any] = compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps}).asm
    return code


def offsets(code: dict[str, Any], kind: str) -> list[str]:
    """The types of the offsets that a compiled kernel adds to pointers to entries of this kind, in order."""
    pattern = rf"tt\.addptr [^:]*: (?:tensor<[\dx]*)?!tt\.ptr<{kind}>>?, (?:tensor<[\dx]*)?(i\d+)"
    return re.findall(pattern, code["ttir"])
