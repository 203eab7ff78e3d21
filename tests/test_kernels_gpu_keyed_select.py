"""The keyed hash on a GPU: `pytest --noconftest -m gpu tests/test_kernels_gpu*.py` runs every kernel's.

That needs torch, triton, pytest and numpy alone. With TRITON_INTERPRET=1 the kernel runs in Triton's interpreter, on
the CPU, at a second for each block of 64 bytes: what is long is marked slow, or left to the GPU. A hash is right to the
last bit or not at all; the definition is Python's hashlib.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch
from kernel_checks import DEVICE, on_a_device, on_a_gpu_or_interpreted, slow
from torch import Tensor

from tml_helpers.kernels import keyed_hash, keyed_select
from tml_helpers.kernels.keyed_select import BLOCK, LEAF, _launch, as_bytes, fused, node, reference

pytestmark = on_a_gpu_or_interpreted

KEY = bytes(range(200, 232))  # words above 2³¹ among it


def calls() -> Iterator[tuple[int, Callable[[], object]]]:
    """The most launches that a call may make, and the call: leaves and roots, and a comparison."""
    for dtype in (torch.float32, torch.bfloat16, torch.uint8, torch.int64):
        digits = torch.zeros(7, 1, 28, 28, dtype=dtype, device="cuda")
        yield 2, partial(keyed_hash, digits, key=KEY)
        yield 3, partial(keyed_select, digits, key=KEY, fraction=0.1)
    yield 2, partial(keyed_hash, torch.zeros(3, 0, device="cuda"), key=KEY)


def sample(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randint(0, 200, shape, generator=generator).to(dtype).to(DEVICE)


def by_definition(inputs: Tensor, key: bytes = KEY) -> np.ndarray:
    digests = b"".join(reference(row.tobytes(), key) for row in as_bytes(inputs.cpu()).numpy())
    return np.frombuffer(digests, dtype="<u4").reshape(-1, 8)


def check(inputs: Tensor, key: bytes = KEY) -> None:
    words = fused(inputs, key)
    assert words.dtype == torch.int64
    assert words.device == inputs.device
    np.testing.assert_array_equal(words.cpu().numpy(), by_definition(inputs, key))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((3, 5), torch.uint8),
        ((2, 3, 2), torch.float32),
        ((2, 0), torch.float32),
        ((1, 65), torch.bool),
        ((1,), torch.int64),
        slow((BLOCK + 6, 3), torch.float16),
        slow((1, 64), torch.uint8),
        slow((2, 8), torch.complex64),
        slow((2, LEAF), torch.uint8),
        slow((1, LEAF + 1), torch.uint8),
        slow((1, 1, 28, 28), torch.float32),
    ],
)
def test_every_size_and_dtype(shape, dtype):
    check(sample(shape, dtype))


def test_a_short_key():
    check(sample((2, 3), torch.float32), key=bytes(range(240, 256)))


def test_no_inputs():
    words = fused(sample((0, 3), torch.float32), KEY)
    assert (words.shape, words.dtype) == ((0, 8), torch.int64)


def test_bytes_that_begin_at_an_odd_place_and_numbers_with_gaps():
    inputs = sample((3, 8), torch.uint8).flatten()[1:17].view(2, 8)
    assert inputs.storage_offset() == 1
    check(inputs)
    check(sample((2, 6), torch.float32)[:, ::2])


@pytest.mark.parametrize("size", [130, 128])
def test_nodes_know_their_place_and_nothing_is_written_beyond_the_end(size):
    """Three nodes of 64 bytes an input, or two: each as hashlib makes it, the last one marked as the last."""
    inputs = sample((2, size), torch.uint8)
    nodes = -(-size // 64)
    words = torch.full((2 * nodes + 1, 8), 7, dtype=torch.int32, device=DEVICE)
    data = inputs.view(torch.int32) if size % 4 == 0 else inputs
    _launch(data, words[: 2 * nodes], KEY, nodes, size, 64, 0)
    for n, row in enumerate(inputs.cpu().numpy()):
        for place in range(nodes):
            one = node(KEY, place, 0, last=place == nodes - 1)
            one.update(row[64 * place : 64 * (place + 1)])
            expected = np.frombuffer(one.digest(), dtype="<i4")
            np.testing.assert_array_equal(words[n * nodes + place].cpu().numpy(), expected)
    assert (words[2 * nodes :] == 7).all()


@on_a_device
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("shape", [(1000, 1, 28, 28), (3, 3, 224, 224), (300, 3, 32, 11), (5, LEAF * 2 + 7)])
def test_the_public_functions_take_the_kernel(shape, dtype):
    inputs = sample(shape, dtype)
    expected = by_definition(inputs)
    np.testing.assert_array_equal(keyed_hash(inputs, key=KEY).cpu().numpy(), expected)
    chosen = keyed_select(inputs, key=KEY, fraction=0.25)
    assert chosen.device == inputs.device
    np.testing.assert_array_equal(chosen.cpu().numpy(), expected[:, 0] < 2**30)


@on_a_device
def test_more_bytes_than_an_int32_counts():
    inputs = torch.zeros(2200, 1000, 1000, dtype=torch.uint8, device=DEVICE)
    inputs[-1, -1, -1] = 1
    words = keyed_hash(inputs, key=KEY)
    np.testing.assert_array_equal(words[-2:].cpu().numpy(), by_definition(inputs[-2:]))
    assert (words[:-1] == words[0]).all()
