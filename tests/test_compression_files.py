"""One small file for a network: exact, decoded by a second decoder, refused when anything in it is wrong."""

import contextlib
import copy
import itertools
import math
import random
import struct
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import full_disk, refuses
from file_decoder import decoded
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils import prune as torch_prune
from torch.utils.data import TensorDataset

from tml_helpers.compression import (
    LayerCollapseWarning,
    Mask,
    Quantized,
    SharedValues,
    codebook,
    load_compressed,
    low_rank,
    plain,
    prune,
    quantize,
    save_compressed,
)
from tml_helpers.compression._streams import Reader, numbers_from_bytes, numbers_to_bytes
from tml_helpers.models import MLP, SmallCNN, parameter_count
from tml_helpers.training import fit, seed_everything

HEAD = 22  # magic, version, length, checksum
Step = Callable[[nn.Module], nn.Module]
STEPS: dict[str, Step] = {
    "prune": lambda model: prune(model, sparsity=0.7),
    "codebook": lambda model: codebook(model, bits=3),
    "quantize": lambda model: quantize(model, bits=4),
    "affine": lambda model: quantize(model, bits=5, scheme="affine"),
    "whole": lambda model: quantize(model, bits=9, per_channel=False),
    "one bit": lambda model: quantize(model, bits=1),
    "low_rank": lambda model: low_rank(model, rank=1, layers=["layers.4"]),
}
ORDERS = [
    pytest.param(order, id=" ".join(order), marks=[pytest.mark.slow] if size == 3 else [])
    for size in (0, 1, 2, 3)
    for order in itertools.permutations(STEPS, size)
]


def student(seed: int = 0) -> MLP:
    seed_everything(seed)
    return MLP(6, in_features=16)


def built(order: tuple[str, ...], seed: int = 0) -> nn.Module:
    """A student to which these steps were done; those that no network can do are left out."""
    model: nn.Module = student(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LayerCollapseWarning)
        for step in order:
            if step == "one bit" and any((weight == 0).any() for name, weight in plain(model).named_parameters()):
                continue  # a sign has no zero
            model = STEPS[step](model)
    return model


def same(found: nn.Module, expected: nn.Module) -> None:
    """Equal weights to the last bit, of the same types, held by the same parametrisations."""
    theirs, ours = plain(expected).state_dict(), plain(found).state_dict()
    assert theirs.keys() == ours.keys()
    for name, tensor in theirs.items():
        assert tensor.dtype == ours[name].dtype
        assert torch.equal(tensor, ours[name]), name


def parts(model: nn.Module) -> dict[str, list[type]]:
    return {
        name: [type(part) for part in module.parametrizations["weight"]]  # type: ignore[index, union-attr]
        for name, module in model.named_modules()
        if parametrize.is_parametrized(module)
    }


@pytest.mark.parametrize("order", ORDERS)
def test_every_combination_comes_back_exactly(order: tuple[str, ...], tmp_path: Path) -> None:
    model = built(order)
    empty = built(("low_rank",) if "low_rank" in order else (), seed=1)
    written = save_compressed(model, tmp_path / "student")
    assert written == (tmp_path / "student").stat().st_size
    assert [file.name for file in tmp_path.iterdir()] == ["student"]
    loaded = load_compressed(empty, tmp_path / "student")
    same(loaded, model)
    images = torch.rand(3, 1, 4, 4)
    assert torch.equal(loaded(images), model(images))
    for name, tensor in decoded((tmp_path / "student").read_bytes()).items():
        np.testing.assert_allclose(tensor, plain(model).state_dict()[name].double(), rtol=1e-6, atol=0)
    again = save_compressed(loaded, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "student").read_bytes()
    assert again == written


def test_weights_come_back_as_what_they_were(tmp_path: Path) -> None:
    kinds: list[tuple[tuple[str, ...], type]] = [(("prune",), Mask), (("codebook",), SharedValues)]
    kinds += [(("quantize",), Quantized), (("prune", "codebook"), SharedValues), (("codebook", "prune"), SharedValues)]
    kinds += [(("quantize", "prune"), Quantized), (("one bit", "prune"), Mask)]
    for order, kind in kinds:
        model = built(order)
        save_compressed(model, tmp_path / "student")
        loaded = load_compressed(student(1), tmp_path / "student")
        assert parts(loaded) == {"layers.2": [kind], "layers.4": [kind]}
        if len(order) == 1 or (kind is SharedValues and order[1] == "codebook"):
            for name, tensor in model.state_dict().items():
                assert torch.equal(loaded.state_dict()[name], tensor), name


def test_training_goes_on_as_if_nothing_had_been_saved(tmp_path: Path) -> None:
    data = TensorDataset(torch.rand(64, 1, 4, 4), torch.randint(10, (64,)))
    for order in (("prune",), ("codebook",), ("prune", "codebook"), ("quantize",)):
        model = built(order)
        save_compressed(model, tmp_path / "student")
        loaded = load_compressed(student(1), tmp_path / "student")
        for network in (model, loaded):
            fit(network, data, epochs=3, generator=torch.Generator().manual_seed(0))
        same(loaded, model)


@pytest.mark.parametrize("sparsity", [0.92, 0.95])
@pytest.mark.parametrize("bits", [4, 5])
def test_the_file_is_really_small(sparsity: float, bits: int, tmp_path: Path) -> None:
    """xinyaoliu/Deep-Compression #1, model-optimization #570: three methods, and files of one size."""
    seed_everything(0)
    model = SmallCNN()
    for layer in model.layers:
        if isinstance(layer, nn.Linear | nn.Conv2d):  # as spread as trained weights, which are not uniform
            nn.init.normal_(layer.weight, std=0.05)
    dense = save_compressed(model, tmp_path / "dense")
    assert 4 * parameter_count(model) < dense < 4 * parameter_count(model) + 500
    pruned = prune(model, sparsity=sparsity)
    masked = save_compressed(pruned, tmp_path / "masked")
    shared = codebook(pruned, bits=bits)
    written = save_compressed(shared, tmp_path / "shared")
    assert dense > 8 * masked > 20 * written
    assert written < 4 * parameter_count(model) / 38
    kept, weights = (1 - sparsity) * 206_736, 206_736
    where = weights * -(sparsity * math.log2(sparsity) + (1 - sparsity) * math.log2(1 - sparsity)) / 8
    assert where + kept * 2 / 8 < written < where + kept * bits / 8 + 3_500  # what no code can go below, and the tables
    same(load_compressed(SmallCNN(), tmp_path / "shared"), shared)


@pytest.mark.parametrize("gap", [253, 254, 255, 256, 508, 509, 510, 511, 1020])
@pytest.mark.parametrize("after", [0, 1, 300])
def test_long_runs_of_zeros(gap: int, after: int, tmp_path: Path) -> None:
    """A gap of 255 zeros or more takes several numbers: 254 is the last that takes one."""
    layer = nn.Linear(2 * gap + 2 + after, 1, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, [gap, 2 * gap + 1]] = torch.tensor([0.5, -2.0])
    pruned = prune(layer, sparsity=1 - 2 / layer.in_features)
    save_compressed(pruned, tmp_path / "layer")
    same(load_compressed(nn.Linear(layer.in_features, 1, bias=False), tmp_path / "layer"), layer)
    np.testing.assert_array_equal(decoded((tmp_path / "layer").read_bytes())["weight"], layer.weight.detach())


@pytest.mark.parametrize("bits", [1, 4, 8, 12])
def test_integers_take_their_bits(bits: int, tmp_path: Path) -> None:
    seed_everything(0)
    written = save_compressed(quantize(SmallCNN(), bits=bits), tmp_path / "integers")
    assert written < 206_736 * bits / 8 + 4 * 186 * 2 + 400


class Everything(nn.Module):
    """Layers in no `Sequential`, buffers, odd types, a number without dimensions, a name of two words."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3, dtype=dtype)
        self.norm = nn.BatchNorm2d(3, dtype=dtype)
        self.back = nn.ConvTranspose2d(3, 4, 2, dtype=dtype)
        self.größe = nn.Parameter(torch.tensor(2.5, dtype=torch.float64))
        self.register_buffer("flags", torch.tensor([True, False]))
        self.register_buffer("bytes", torch.arange(3, dtype=torch.uint8))
        self.register_buffer("none", torch.zeros(0, 3))
        self.register_buffer("passing", torch.ones(1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.back(self.norm(self.first(images)))
        return out


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("step", [None, "prune", "codebook", "quantize", "affine"])
def test_networks_from_outside_of_every_type(dtype: torch.dtype, step: str | None, tmp_path: Path) -> None:
    seed_everything(0)
    model: Any = Everything(dtype)
    model.first.weight.data = model.first.weight.data.to(memory_format=torch.channels_last)
    model.norm.running_mean += 0.5
    model = STEPS[step](model) if step else model
    save_compressed(model, tmp_path / "file")
    loaded: Any = load_compressed(Everything(dtype), tmp_path / "file")
    same(loaded, model)
    found = decoded((tmp_path / "file").read_bytes())
    assert found["größe"] == 2.5
    tolerance = {torch.float16: 1e-3, torch.bfloat16: 1e-2}.get(dtype, 1e-6)
    for name, tensor in plain(model).state_dict().items():
        np.testing.assert_allclose(found[name], tensor.double().numpy(), rtol=tolerance, atol=0)


def test_tied_weights_stand_in_the_file_once_and_stay_tied(tmp_path: Path) -> None:
    def model(tied: bool = True) -> nn.Module:
        seed_everything(0)
        made = nn.ModuleDict({"words": nn.Embedding(50, 8), "answer": nn.Linear(8, 50)})
        if tied:
            made["answer"].weight = made["words"].weight
        return made

    sizes = [save_compressed(model(tied), tmp_path / str(tied)) for tied in (False, True)]
    assert sizes[0] - sizes[1] == 4 * 50 * 8 - 4
    for name, step in STEPS.items():
        if name != "low_rank":
            save_compressed(step(model()), tmp_path / "tied")
            loaded: Any = load_compressed(model(), tmp_path / "tied")
            same(loaded, step(model()))
            with torch.no_grad():
                next(loaded["words"].parameters()).add_(1)
            assert torch.equal(loaded["words"].weight, loaded["answer"].weight)
    for tied in (False, True):
        with refuses(ValueError, "another network", "answer.weight is tied to another tensor in one of the two alone"):
            load_compressed(model(not tied), tmp_path / str(tied))


def test_what_stands_in_the_place_of_the_weights_is_of_no_account(tmp_path: Path) -> None:
    model = built(("prune", "codebook"))
    save_compressed(model, tmp_path / "file")
    for order in (("quantize",), ("codebook",), ("prune",)):
        before = built(order, seed=2).eval()
        state = copy.deepcopy(before.state_dict())
        loaded = load_compressed(before, tmp_path / "file")
        same(loaded, model)
        assert not loaded.training
        assert all(torch.equal(before.state_dict()[name], tensor) for name, tensor in state.items())


def test_other_parametrisations_are_kept_as_the_weight_that_they_make(tmp_path: Path) -> None:
    model = student()
    parametrizations.weight_norm(model.layers[2])  # type: ignore[arg-type]
    save_compressed(model, tmp_path / "file")
    same(load_compressed(student(1), tmp_path / "file"), model)
    pruned = prune(model, sparsity=0.5)
    save_compressed(pruned, tmp_path / "pruned")
    loaded = load_compressed(student(1), tmp_path / "pruned")
    same(loaded, pruned)
    assert parts(loaded)["layers.2"] == [Mask]


def test_a_layer_without_any_weight_left(tmp_path: Path) -> None:
    model = student()
    model.layers[2].weight.data.zero_()  # type: ignore[union-attr, operator]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LayerCollapseWarning)
        for step in ("prune", "codebook", "quantize", "affine"):
            ready = STEPS[step](model)
            save_compressed(ready, tmp_path / "file")
            same(load_compressed(student(1), tmp_path / "file"), ready)
            assert (decoded((tmp_path / "file").read_bytes())["layers.2.weight"] == 0).all()


def test_the_model_that_is_saved_stays_as_it_is(tmp_path: Path) -> None:
    model = built(("prune", "codebook"))
    model(torch.rand(2, 1, 4, 4)).sum().backward()
    state = copy.deepcopy(model.state_dict())
    gradients = [parameter.grad for parameter in model.parameters()]
    save_compressed(model, tmp_path / "file")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in state.items())
    assert all(a is b.grad for a, b in zip(gradients, model.parameters(), strict=True))


@given(st.lists(st.integers(0, 2**16) | st.integers(0, 3), max_size=300))
def test_numbers_in_few_bytes(numbers: list[int]) -> None:
    import io

    data = numbers_to_bytes(np.array(numbers, dtype=np.int64))
    width = max(numbers, default=0).bit_length()
    assert len(data) <= 2 + math.ceil(width * len(numbers) / 8)
    reader = Reader(io.BytesIO(data), len(data))
    assert numbers_from_bytes(reader, len(numbers), most=2**16).tolist() == numbers
    assert reader.left == 0


# What is wrong with a file


@pytest.fixture(name="file", scope="module")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of each kind of tensor one, in some 600 bytes."""
    path = tmp_path_factory.mktemp("files") / "small"
    save_compressed(mixed(0), path)
    return path


def mixed(seed: int) -> nn.Module:
    seed_everything(seed)
    layers: dict[str, nn.Module] = {
        "plain": nn.Linear(3, 2),
        "masked": prune(nn.Linear(6, 4), sparsity=0.5),
        "shared": codebook(prune(nn.Linear(12, 9), sparsity=0.6), bits=2),
        "integers": quantize(nn.Linear(7, 5), bits=3),
        "affine": quantize(nn.Linear(5, 5), bits=4, scheme="affine"),
        "signs": quantize(nn.Linear(4, 2), bits=1),
    }
    model = nn.ModuleDict(layers)
    model["tied"] = nn.Linear(3, 2)
    model["tied"].weight = layers["plain"].weight  # type: ignore[assignment]
    return model


def test_a_file_of_each_kind_of_tensor(file: Path) -> None:
    same(load_compressed(mixed(1), file), mixed(0))


def test_a_file_that_is_cut_anywhere(file: Path, tmp_path: Path) -> None:
    whole, part, skeleton = file.read_bytes(), tmp_path / "cut", mixed(1)
    for size in range(len(whole)):
        part.write_bytes(whole[:size])
        with refuses(ValueError, str(part)):
            load_compressed(skeleton, part)


def test_a_bit_that_is_flipped_anywhere(file: Path, tmp_path: Path) -> None:
    whole, part, skeleton = file.read_bytes(), tmp_path / "flipped", mixed(1)
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << (place * 5 + 3) % 8
        part.write_bytes(flipped)
        with refuses(ValueError, str(part)):
            load_compressed(skeleton, part)
    for bit in range(8 * HEAD):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        part.write_bytes(flipped)
        with refuses(ValueError, str(part)):
            load_compressed(skeleton, part)


def sealed(body: bytes, *, version: int = 1, length: int | None = None) -> bytes:
    """A file with the right checksum, whatever its body is."""
    size = len(body) if length is None else length
    return struct.pack("<8sHQI", b"TMLSMALL", version, size, zlib.crc32(body)) + body


def test_a_body_that_nobody_wrote_ends_in_no_other_error(file: Path, tmp_path: Path) -> None:
    """With a right checksum, a body of other bytes is refused in a sentence, or it is what one could have written."""
    body, part, skeleton = file.read_bytes()[HEAD:], tmp_path / "crafted", mixed(1)
    dice, read = random.Random(0), 0
    for _ in range(400):
        crafted = bytearray(body)
        for _ in range(dice.choice([1, 1, 2, 5])):
            place = dice.randrange(len(body) - 4)
            other = bytes([dice.randrange(256)]) + body[place + 1 : place + 4]
            crafted[place : place + 4] = dice.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", other])
        part.write_bytes(sealed(bytes(crafted)))
        with contextlib.suppress(ValueError):
            loaded: Any = load_compressed(skeleton, part)
            for name, layer in loaded.named_children():
                assert layer.weight.shape == skeleton.get_submodule(name).weight.shape
            read += 1
    assert 0 < read < 300


MANY = b"\xff\xff\xff\xff"
FORM = b"\1\0\0\0" + b"\6\0weight" + b"%c\0\2" + b"\1\0\0\0\2\0\0\0"  # one float32 weight of 1×2, of some kind
ABSURD = {
    "tensors": MANY,
    "a name": b"\1\0\0\0\xff\xff",
    "dimensions": b"\1\0\0\0\6\0weight\0\0\xff" + 255 * MANY,
    "sides": b"\1\0\0\0\6\0weight\0\0\2" + 2 * MANY,
    "numbers of a mask": FORM % 1 + MANY,
    "gaps of a mask": FORM % 1 + b"\2\0\0\0" + MANY,
    "values of a codebook": FORM % 2 + MANY,
    "an index": FORM % 2 + b"\1\0\0\0" + b"\0\0\0\0" + b"\0" + b"\0\x40" + 20 * b"\xff",
    "a table": FORM % 2 + b"\1\0\0\0" + b"\0\0\0\0" + b"\0" + b"\1" + MANY + b"\1\0\0\0",
    "code words": FORM % 2 + b"\1\0\0\0" + b"\0\0\0\0" + b"\0" + b"\1\1\0\0\0" + MANY,
    "no value for an index": FORM % 2 + b"\0\0\0\0" + b"\1" + b"\1\0\0\0\1\0\0\0" + b"\0\0" + b"\0\0",
    "bits": FORM % 3 + b"\x20\0\0\xff",
    "no bit": FORM % 3 + b"\0\0\0\xff",
    "scales that are integers": FORM % 3 + b"\2\0\4\xff" + 30 * b"\0",
    "scales of no dimension": FORM % 3 + b"\2\0\0\2" + 30 * b"\0",
    "another kind": FORM % 5,
    "another type": b"\1\0\0\0\6\0weight\0\x0a\2",
    "what it is tied to": FORM % 4 + MANY,
    "an unequal code": FORM % 2 + b"\1\0\0\0" + 4 * b"\0" + b"\0\1\2\0\0\0\1\0\0\0" + b"\3\3" + b"\0",
    "no code word": FORM % 2 + b"\1\0\0\0" + 4 * b"\0" + b"\0\1\0\0\0\0\0\0\0\0",
    "a filled last byte": FORM % 2 + b"\1\0\0\0" + 4 * b"\0" + b"\0\0\1" + b"\xff",
}


@pytest.mark.parametrize("kind", ABSURD)
def test_what_a_file_states_is_looked_at_before_it_costs_memory(kind: str, tmp_path: Path) -> None:
    """tensorizer #208, fastllm #713: sizes that a file states were allocated before they were looked at."""
    crafted, model = tmp_path / "crafted", nn.Linear(2, 1, bias=False)
    crafted.write_bytes(sealed(ABSURD[kind]))
    tracemalloc.start()
    with refuses(ValueError, str(crafted)):
        load_compressed(model, crafted)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def test_truth_values_are_0_or_1(tmp_path: Path) -> None:
    model, path = nn.Module(), tmp_path / "file"
    model.register_buffer("flag", torch.tensor([True]))
    save_compressed(model, path)
    assert load_compressed(model, path).flag.tolist() == [True]  # type: ignore[operator, union-attr]
    path.write_bytes(sealed(path.read_bytes()[HEAD:-1] + b"\2"))
    with refuses(ValueError, "truth value"):
        load_compressed(model, path)


def test_bytes_after_the_last_tensor(file: Path, tmp_path: Path) -> None:
    """ComfyUI #15602: a file with bytes at its end was read by one reader and refused by another."""
    whole, longer = file.read_bytes(), tmp_path / "longer"
    longer.write_bytes(whole + b"\0")
    with refuses(ValueError, f"has {len(whole) + 1} bytes, and says that it has {len(whole)}"):
        load_compressed(mixed(1), longer)
    longer.write_bytes(sealed(whole[HEAD:] + b"\0"))
    with refuses(ValueError, "1 bytes follow the last tensor"):
        load_compressed(mixed(1), longer)


def test_a_file_of_another_program_or_of_a_later_version(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    torch.save(student().state_dict(), other)
    with refuses(ValueError, "no file that save_compressed wrote", "TMLSMALL"):
        load_compressed(student(), other)
    other.write_bytes(b"")
    with refuses(ValueError, "no file that save_compressed wrote"):
        load_compressed(student(), other)
    other.write_bytes(sealed(file.read_bytes()[HEAD:], version=2))
    with refuses(ValueError, "version 2", "reads version 1"):
        load_compressed(mixed(1), other)
    other.write_bytes(file.read_bytes()[:12])
    with refuses(ValueError, "damaged", "ends after 12 bytes"):
        load_compressed(mixed(1), other)


def test_a_file_that_claims_to_be_huge(tmp_path: Path) -> None:
    """A hole of 64 GiB on the disk is neither read into memory nor waited for."""
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.write(sealed(b"", length=2**63))
    with refuses(ValueError, "damaged", "22 bytes"):
        load_compressed(student(), huge)


def test_a_file_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_compressed(student(), path)
    cases: list[tuple[nn.Module, str]] = [
        (MLP(7, in_features=16), "layers.2.weight is torch.float32 [6, 16], the model's is torch.float32 [7, 16]"),
        (MLP(6, in_features=16).double(), "is torch.float32"),
        (MLP(in_features=16), "is torch.float32 [6, 16], the model's is torch.float32 [10, 16]"),
        (MLP(6, 10, in_features=16), "it has no tensor 'layers.6."),
        (nn.Linear(16, 6), "the model has no tensor"),
        (built(("low_rank",)), "the model has no tensor 'layers.4.weight'"),
    ]
    for model, words in cases:
        with refuses(ValueError, str(path), "another network", words):
            load_compressed(model, path)


def test_models_that_cannot_be_saved(tmp_path: Path) -> None:
    class Said(nn.Linear):
        def get_extra_state(self) -> str:
            return "more"

        def set_extra_state(self, state: str) -> None:
            pass

    path = tmp_path / "file"
    with refuses(ValueError, "_extra_state", "no tensor"):
        save_compressed(Said(2, 2), path)
    with refuses(ValueError, "complex64", "convert"):
        save_compressed(nn.ParameterDict({"z": torch.zeros(2, dtype=torch.complex64)}), path)
    held = nn.Linear(2, 2)
    torch_prune.l1_unstructured(held, "weight", 1)
    with refuses(ValueError, "hook", "prune.remove"):
        save_compressed(held, path)
    with refuses(TypeError, "torch.nn.Module, got OrderedDict"):
        save_compressed(student().state_dict(), path)  # type: ignore[arg-type]
    assert not path.exists()
    save_compressed(student(), path)
    with refuses(TypeError, "torch.nn.Module, got str"):
        load_compressed("model", path)  # type: ignore[arg-type]


def test_a_full_disk_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_compressed(student(), path)
    before = path.read_bytes()
    with full_disk(after=1000), refuses(OSError, "could not write", str(path), "free disk space"):
        save_compressed(SmallCNN(), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_folders_are_made_and_a_missing_file_is_said_to_be(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "file"
    assert save_compressed(student(), str(deep)) == deep.stat().st_size
    same(load_compressed(student(1), str(deep)), student())
    with pytest.raises(FileNotFoundError):
        load_compressed(student(), tmp_path / "none")
    with refuses(OSError, "could not write"):
        save_compressed(student(), deep / "below a file")
