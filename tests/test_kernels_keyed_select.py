"""kernels.keyed_hash and keyed_select without a GPU: hashlib, the standard's vectors, laws; the kernel compiled."""

import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from kernel_checks import compiled, instructions, needs_triton, offsets, resources
from scipy import stats

from tml_helpers.kernels import keyed_hash, keyed_select
from tml_helpers.kernels.keyed_select import BLOCK, IV, LEAF, SIGMA, WARPS, _nodes, check_key, reference
from tml_helpers.watermark import check_key as the_same_check

KEY = bytes(range(32))
keys = st.binary(min_size=16, max_size=32)


def digests(inputs: torch.Tensor, key: bytes = KEY) -> list[bytes]:
    """The words, put together again by Python's own whole numbers."""
    return [b"".join(word.to_bytes(4, "little") for word in row) for row in keyed_hash(inputs, key=key).tolist()]


def row_of(data: bytes) -> torch.Tensor:
    return torch.tensor(list(data), dtype=torch.uint8)[None]


# ------------------------------------------------------------------------------------------------ the definition


@given(data=st.binary(max_size=200), key=keys)
def test_a_short_input_is_a_leaf_and_a_root(data, key):
    """Written out once more, word for word as hashlib's documentation has its tree of two levels."""
    tree = {"key": key, "digest_size": 32, "fanout": 0, "depth": 2, "leaf_size": 1024, "inner_size": 32}
    leaf = hashlib.blake2s(data, node_offset=0, node_depth=0, last_node=True, **tree).digest()
    root = hashlib.blake2s(leaf, node_offset=0, node_depth=1, last_node=True, **tree).digest()
    assert digests(row_of(data), key) == [root] == [reference(data, key)]


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128, LEAF - 1, LEAF, LEAF + 1, 2 * LEAF, 3 * LEAF + 7, 12_288])
def test_every_length_and_above_all_whole_blocks_and_leaves(size):
    """Konscious.Security.Cryptography #23 and dint-dev/cryptography #145: hashes were wrong where a message filled its
    last block, or had 64 bytes and more."""
    rng = np.random.default_rng(size)
    data = rng.integers(256, size=(3, size), dtype=np.uint8)
    tree = {"key": KEY, "digest_size": 32, "fanout": 0, "depth": 2, "leaf_size": 1024, "inner_size": 32}
    expected = []
    for row in data:
        root = hashlib.blake2s(node_offset=0, node_depth=1, last_node=True, **tree)
        count = max(1, math.ceil(size / 1024))
        for n in range(count):
            leaf = hashlib.blake2s(node_offset=n, node_depth=0, last_node=n + 1 == count, **tree)
            leaf.update(row[1024 * n :][:1024].tobytes())
            root.update(leaf.digest())
        expected.append(root.digest())
    assert digests(torch.from_numpy(data)) == expected


def test_the_last_node_of_a_layer_is_marked_as_such():
    """hacl-star #934: a BLAKE2 without this flag gives other hashes in tree mode than hashlib."""
    tree = {"key": KEY, "digest_size": 32, "fanout": 0, "depth": 2, "leaf_size": 1024, "inner_size": 32}
    leaf = hashlib.blake2s(b"abc", node_offset=0, node_depth=0, **tree).digest()
    unmarked = hashlib.blake2s(leaf, node_offset=0, node_depth=1, **tree).digest()
    assert digests(row_of(b"abc")) != [unmarked]


def test_a_hash_is_the_same_on_every_machine_and_in_every_version():
    """Computed once by hashlib alone, in another process: a key deposited today must convict in ten years."""
    expected = "3c4431e39e9877ef26df2c15a3ef48f3da45dc31c5dd6a8c833d67813f0df2f3"
    assert digests(row_of(b"who made this picture?"))[0].hex() == expected


@given(key=keys, other=keys)
def test_another_key_is_another_hash(key, other):
    inputs = torch.arange(12.0).view(2, 6)
    assert (digests(inputs, key) == digests(inputs, other)) == (key == other)


# ------------------------------------------------------------------------------------------------------- its laws

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.int64, torch.bool]


@pytest.mark.parametrize("dtype", [*DTYPES, torch.complex64])
def test_the_bytes_of_every_dtype(dtype):
    inputs = torch.randint(0, 200, (4, 3, 5), generator=torch.Generator().manual_seed(0)).to(dtype)
    size = inputs[0].numel() * inputs.element_size()
    raw = bytes(inputs.contiguous().view(torch.uint8).flatten().tolist())
    assert digests(inputs) == [reference(raw[size * n : size * (n + 1)], KEY) for n in range(4)]


def test_the_batch_its_order_its_strides_and_its_shape_make_no_difference():
    inputs = torch.rand(9, 3, 8, 6, generator=torch.Generator().manual_seed(1))
    words = keyed_hash(inputs, key=KEY)
    order = torch.tensor([4, 2, 8, 0, 1, 7, 3, 6, 5])
    assert torch.equal(keyed_hash(inputs[order], key=KEY), words[order])
    assert torch.equal(torch.cat([keyed_hash(part, key=KEY) for part in inputs.split(4)]), words)
    assert torch.equal(keyed_hash(inputs.flatten(1), key=KEY), words)
    views = (
        inputs.contiguous(memory_format=torch.channels_last),
        inputs.repeat_interleave(2, dim=3)[..., ::2],
        inputs.flip(0).flip(0),
        torch.cat([torch.zeros(1), inputs.flatten()])[1:].view(inputs.shape),
    )
    for view in views:
        assert torch.equal(keyed_hash(view, key=KEY), words)
    same = inputs[:1].expand(5, -1, -1, -1)
    assert torch.equal(keyed_hash(same, key=KEY), words[:1].expand(5, -1))


def test_conjugates_and_negatives_that_are_only_noted_are_hashed_as_they_read():
    numbers = torch.randn(3, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    assert torch.equal(keyed_hash(numbers.conj(), key=KEY), keyed_hash(numbers.conj().resolve_conj(), key=KEY))
    negative = numbers.conj().imag
    assert negative.is_neg()
    assert torch.equal(keyed_hash(negative, key=KEY), keyed_hash(-numbers.imag.clone(), key=KEY))


def test_equal_numbers_of_other_bytes_are_other_inputs():
    zeros = torch.tensor([[0.0], [-0.0]])
    words = keyed_hash(zeros, key=KEY)
    assert zeros[0] == zeros[1]
    assert not torch.equal(words[0], words[1])
    ones = torch.ones(1, 4)
    assert not torch.equal(keyed_hash(ones, key=KEY), keyed_hash(ones.double(), key=KEY))


def test_one_bit_changes_half_of_all_bits():
    """Of 2 × 2,000 single-bit changes: each of 256 bits of the hash flips as often as a fair coin."""
    base = torch.randint(256, (1, 250), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    changed = base.repeat(2000, 1)
    places = torch.arange(2000)
    changed[places, places // 8] ^= (1 << (places % 8)).to(torch.uint8)
    difference = keyed_hash(changed, key=KEY) ^ keyed_hash(base, key=KEY)
    flips = torch.stack([(difference >> bit) & 1 for bit in range(32)], dim=2).sum(0)
    assert stats.binomtest(int(flips.sum()), 2000 * 256, 0.5).pvalue > 1e-6
    assert abs(flips - 1000).max() < 6.5 * math.sqrt(500)


@pytest.mark.parametrize("word", range(8))
def test_words_are_uniform(word):
    """Chi-squared over 64 cells of 6,400 inputs that differ in a counter alone; all is fixed, so no luck."""
    words = keyed_hash(torch.arange(6400), key=KEY)[:, word]
    assert words.min() >= 0
    assert words.max() < 2**32
    counts = np.bincount((words // 2**26).numpy(), minlength=64)
    assert stats.chisquare(counts).pvalue > 1e-6


def test_selection_is_the_first_word_below_the_fraction_and_grows_with_it():
    inputs = torch.arange(500)
    first = keyed_hash(inputs, key=KEY)[:, 0]
    before = torch.zeros(500, dtype=torch.bool)
    for fraction in (0, 1e-3, 0.25, np.float32(0.5), 0.75, 1 - 2**-33, 1):
        chosen = keyed_select(inputs, key=KEY, fraction=fraction)
        assert chosen.dtype == torch.bool
        assert chosen.tolist() == [word < round(float(fraction) * 2**32) for word in first.tolist()]
        assert (chosen | ~before).all()
        before = chosen
    assert not keyed_select(inputs, key=KEY, fraction=0).any()
    assert keyed_select(inputs, key=KEY, fraction=1).all()
    exactly = first[7].item() / 2**32
    assert not keyed_select(inputs[7:8], key=KEY, fraction=exactly)
    assert keyed_select(inputs[7:8], key=KEY, fraction=exactly + 2**-32)


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5])
def test_the_share_of_inputs_that_keys_select_is_the_fraction(fraction):
    inputs = torch.arange(100)
    chosen = sum(
        int(keyed_select(inputs, key=hashlib.sha256(bytes([n])).digest(), fraction=fraction).sum()) for n in range(60)
    )
    assert stats.binomtest(chosen, 6000, fraction).pvalue > 1e-6


def test_an_empty_batch_and_inputs_without_a_number():
    for shape in ((0,), (0, 3), (0, 3, 0)):
        words = keyed_hash(torch.zeros(shape), key=KEY)
        assert (words.shape, words.dtype) == ((0, 8), torch.int64)
        assert keyed_select(torch.zeros(shape), key=KEY, fraction=0.5).shape == (0,)
    assert digests(torch.zeros(2, 0)) == [reference(b"", KEY)] * 2


def test_the_inputs_are_left_as_they_are_and_no_gradient_flows():
    inputs = torch.rand(3, 4, requires_grad=True)
    before = inputs.detach().clone()
    assert not keyed_hash(inputs, key=KEY).requires_grad
    assert torch.equal(inputs, before)


# ---------------------------------------------------------------------------------------------------- bad input


def test_a_key_is_16_to_32_bytes():
    """for-all-dev/git-history-evals #120: Python salts `hash` anew in each process, so a sample that is drawn by it is
    never drawn again. A number is therefore no key, and the error says why."""
    assert the_same_check is check_key
    with refuses(TypeError, "key", "bytes", "int", "hash() of a text changes"):
        keyed_hash(torch.zeros(1, 1), key=hash("mine"))
    for wrong in ("sixteen letters and more", bytearray(32), [1] * 32, None):
        with refuses(TypeError, "key", "bytes", type(wrong).__name__):
            keyed_select(torch.zeros(1, 1), key=wrong, fraction=0.5)
    for size in (0, 15, 33):
        with refuses(ValueError, "16 to 32", f"got {size}"):
            check_key(bytes(size))
    for size in (16, 32):
        check_key(bytes(size))


def test_bad_inputs_and_fractions_are_one_sentence():
    with refuses(TypeError, "inputs", "[N, …]", "ndarray"):
        keyed_hash(np.zeros((2, 2)), key=KEY)
    with refuses(ValueError, "inputs", "[N, …]", "inputs[None]"):
        keyed_hash(torch.tensor(1.0), key=KEY)
    with refuses(TypeError, "dense", "sparse"):
        keyed_hash(torch.eye(2).to_sparse(), key=KEY)
    with refuses(TypeError, "dense", "meta"):
        keyed_hash(torch.eye(2, device="meta"), key=KEY)
    for wrong in (True, "0.5", None, torch.tensor(0.5), 1j):
        with refuses(TypeError, "fraction", "number from 0 to 1"):
            keyed_select(torch.zeros(1, 1), key=KEY, fraction=wrong)
    for wrong in (-1e-9, 1.1, math.nan, math.inf):
        with refuses(ValueError, "fraction", "from 0 to 1", str(wrong)):
            keyed_select(torch.zeros(1, 1), key=KEY, fraction=wrong)


def test_without_triton_it_is_hashlib():
    code = (
        "import sys; sys.modules['triton'] = None; import torch; from tml_helpers.kernels import keyed_hash\n"
        "print(keyed_hash(torch.arange(3.0)[:, None], key=bytes(32)).tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(keyed_hash(torch.arange(3.0)[:, None], key=bytes(32)).tolist())


# ------------------------------------------------------------------------------------------------------- compiled


@needs_triton
def test_the_kernel_compiled_for_a_gpu_makes_960_instructions_a_block_and_spills_nothing():
    """80 mixings of 4 rotations, 4 exclusive ors, and 4 additions of two or three numbers each; and the loads."""
    numbers = ("count", "leaves", "size", "part", "blocks", "first", "second", "fourth", *(f"k{n}" for n in range(8)))
    types = {"data": "*i32", "words": "*i32"} | dict.fromkeys(numbers, "i32")
    values = {"WORDS": True, "IV": IV, "SIGMA": SIGMA, "BLOCK": BLOCK}
    code = compiled(_nodes, types, values, WARPS, aligned=["data", "words", "size", "part"])
    assert set(offsets(code, "i32")) == {"i32", "i64"}, "a batch may have more than 2³¹ bytes"
    use = resources(code)
    assert use["STACK"] == 0
    assert use["REG"] <= 64, "32 of a multiprocessor's programs run side by side"
    done = instructions(code)
    assert sum(count for name, count in done.items() if name.startswith("SHF.L")) == 320
    assert done["LDG.E"] == 16, "a word is loaded once"
    assert sum(done.values()) < 1500
