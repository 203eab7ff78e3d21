"""One small file for a compressed network, which holds numbers alone and can be decoded by this description.

All numbers are little-endian; u8, u16, u32, u64 and i32 are integers of so many bits. *Bits* are packed with the first
bit worth most, eight to a byte, and zeros fill the last byte.

    file      = "TMLSMALL", u16 version (1), u64 length of the body in bytes, u32 CRC-32 of the body, body
    body      = u32 number of tensors, tensor …
    tensor    = u16 length of its name, its name in UTF-8 as `state_dict()` of the plain network has it, u8 kind,
                u8 type, u8 number of dimensions, u32 each dimension, content by its kind
    type      = 0 float32, 1 float64, 2 float16, 3 bfloat16, 4 int64, 5 int32, 6 int16, 7 int8, 8 uint8, 9 bool

    content of the n numbers of a tensor, row by row:
    kind 0    = plain: n numbers of its type
    kind 1    = masked: gaps; then the numbers that the gaps lead to, of its type; all others are 0
    kind 2    = shared: u32 k; the k values of its type; sparse numbers: 0 for a zero, j for the j-th value
    kind 3    = quantised: u8 bits b; u8 scheme (0 symmetric, 1 affine); u8 type of the scales; u8 dimension that has a
                scale for each of its indices, or 255 for one scale; the scales; if affine, as many i32 zero points z;
                sparse numbers (q − z) mod 2ᵇ of the integers q, in −2ᵇ⁻¹ … 2ᵇ⁻¹ − 1; the number is s (q − z). Of
                one symmetric bit, 0 stands for q = 1 and 1 for q = −1.
    kind 4    = tied: u32 place in the file, from 0, of an earlier tensor that is the same parameter

    sparse    = u8 0; numbers: all n         or  u8 1; gaps; numbers: those above 0, each less 1
    gaps      = u32 how many numbers they lead to; u32 g; g numbers: 255 passes 255 zeros, and a smaller one passes so
                many zeros and ends at what stands there
    numbers   = u8 0; u8 width w; as many bits as w times their count, each number in w bits
            or  u8 1; u32 t; u32 length of the code words in bytes; t times u8: of the symbol 0, 1, …, t − 1 the length
                of its code word plus 1, or 0 if there is none; the code words' bits: see `huffman.PrefixCode`, which
                says how the lengths make the code words. Of a symbol that is alone, the length is 0.
"""

import contextlib
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from tml_helpers.compression._contents import PLAIN, TIED, TYPES, Content, pack, type_code, unpack
from tml_helpers.compression._holding import hold
from tml_helpers.compression._streams import DamagedError, Reader
from tml_helpers.compression._weights import Holder, holders, own_copy, source
from tml_helpers.compression.pruning import plain

__all__ = ["load_compressed", "save_compressed"]

MAGIC, VERSION = b"TMLSMALL", 1
HEAD = struct.Struct("<8sHQI")


@torch.no_grad()
def save_compressed(model: nn.Module, path: str | Path) -> int:
    """Write what a network has learned, in as few bytes as its masks, shared values and integers allow.

    A masked weight takes the gaps between its numbers, and these; a weight of shared values its codebook, and the
    indices by Huffman's code; integers take Huffman's code or their bits, whichever is shorter, and their scales. All
    else is kept as it is. Numbers come back exactly. The module's docstring describes each byte of the file.

    The network's build is not in the file: `load_compressed` asks for a network that has it.

    Args:
        model: any network, compressed or not, on any device; other parametrisations, as a weight norm, are kept as
            the weight that they make.
        path: the file; missing folders are made. It is whole or not there: what an interruption leaves ends in `.part`.

    Returns:
        The number of bytes written.

    Raises:
        TypeError: something that is no network.
        ValueError: a weight that is not finite or is made by a hook, or a state that is no tensor or of a type that
            the file does not know.
        OSError: a file that cannot be written.

    Source: Han, Mao and Dally, 2016. Derived in: lectures/10_distillation/the_bill.
    """
    parts: list[bytes] = []
    earlier: dict[int, int] = {}
    for name, (module, tensor) in _tensors(own_copy(model)).items():
        value = getattr(module, tensor, None)
        if not isinstance(value, Tensor):
            raise ValueError(f"the model keeps {name}, which is no tensor, in its state: it cannot be saved so")
        identity, called = id(source(module, tensor)), name.encode()
        kind, content = (TIED, struct.pack("<I", earlier[identity])) if identity in earlier else pack(module, tensor)
        earlier.setdefault(identity, len(parts))
        head = struct.pack("<BBB", kind, type_code(name, value), value.ndim)
        head += struct.pack(f"<{value.ndim}I", *value.shape)
        parts.append(struct.pack("<H", len(called)) + called + head + content)
    body = struct.pack("<I", len(parts)) + b"".join(parts)
    content = HEAD.pack(MAGIC, VERSION, len(body), zlib.crc32(body)) + body
    _write(Path(path), content)
    return len(content)


@torch.no_grad()
def load_compressed(model: nn.Module, path: str | Path) -> nn.Module:
    """Read what `save_compressed` wrote, into a copy of a network of the same build.

    Weights come back as what they were: masked, of shared values or of integers. A network that was factorised or lost
    channels is built so first, as `low_rank(SmallCNN(), rank=8)`. A damaged file never becomes a network.

    Args:
        model: a network with tensors of the same names, shapes and types; it stays as it is. What its own weights are
            is of no account, nor is their compression.
        path: the file.

    Returns:
        A copy of the model, with the file's numbers, on the model's device.

    Raises:
        TypeError: something that is no network.
        ValueError: a file that is damaged, of another program, of another version, or of another network.
        OSError: a file that cannot be read.

    Source: Han, Mao and Dally, 2016. Derived in: lectures/10_distillation/the_bill.
    """
    path = Path(path)
    with path.open("rb") as file:
        reader = _checked(file, path)
        loaded = plain(model)
        try:
            contents = _read(reader, _tensors(loaded), path)
        except DamagedError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
    tied = holders(loaded)
    for (module, tensor), content in contents:
        before: Tensor = getattr(module, tensor)
        if content.held_by is None:
            before.copy_(content.weight)
        else:
            hold(tied[id(before)], content.held_by, content.weight)
            if content.values is not None:
                module.parametrizations[tensor].original.copy_(content.values)  # type: ignore[union-attr, index]
    return loaded


def _tensors(model: nn.Module) -> dict[str, Holder]:
    """Where the tensors of the model's state stand, by the names that these have without parametrisations."""
    found: dict[str, Holder] = {}
    for key in model.state_dict():
        owner, inside, rest = f".{key}".partition(".parametrizations.")
        owner, tensor = (owner, rest.partition(".")[0]) if inside else owner.rsplit(".", 1)
        found[f"{owner}.{tensor}"[1:]] = (model.get_submodule(owner[1:]), tensor)
    return found


def _read(reader: Reader, places: dict[str, Holder], path: Path) -> list[tuple[Holder, Content]]:
    """Each tensor of the file, with its place in the model; a tied one once."""
    contents: list[tuple[Holder, Content]] = []
    order: list[str] = []
    earlier: dict[int, int] = {}
    for _ in range(reader.number("I", most=2**32)):
        name = reader.take(reader.number("H", most=2**16)).decode(errors="replace")
        if name in order or name not in places:
            raise ValueError(f"{path} is of another network: the model has no tensor {name!r}, or only one")
        place = places[name]
        like: Tensor = getattr(*place)
        kind = _read_form(reader, name, like, path)
        first = earlier.get(id(like))
        if (kind == TIED) != (first is not None) or (kind == TIED and reader.number("I", most=2**32) != first):
            raise ValueError(f"{path} is of another network: {name} is tied to another tensor in one of the two alone")
        if kind != TIED:
            contents.append((place, unpack(reader, kind, like)))
            earlier[id(like)] = len(order)
        order.append(name)
    if missing := places.keys() - order:
        raise ValueError(f"{path} is of another network: it has no tensor {min(missing)!r}")
    if reader.left:
        raise DamagedError(f"{reader.left} bytes follow the last tensor")
    return contents


def _read_form(reader: Reader, name: str, like: Tensor, path: Path) -> int:
    """The kind of the next tensor, whose type and shape are the model's."""
    kind, dtype = reader.number("B", most=TIED), TYPES[reader.number("B", most=len(TYPES) - 1)]
    shape = [reader.number("I", most=2**32) for _ in range(reader.number("B", most=64))]
    if (dtype, shape) != (like.dtype, list(like.shape)):
        raise ValueError(
            f"{path} is of another network: its {name} is {dtype} {shape}, the model's is {like.dtype} "
            f"{list(like.shape)}"
        )
    if kind not in (PLAIN, TIED) and not isinstance(like, nn.Parameter):
        raise DamagedError(f"{name} is no weight")
    return kind


def _checked(file: BinaryIO, path: Path) -> Reader:
    """A reader of the body, of which each byte is as it was written."""
    size, head = os.fstat(file.fileno()).st_size, file.read(HEAD.size)
    if head[: len(MAGIC)] != MAGIC:
        raise ValueError(f"{path} is no file that save_compressed wrote: it does not begin with {MAGIC.decode()}")
    if len(head) < HEAD.size:
        raise ValueError(f"{path} is damaged: it ends after {size} bytes")
    _, version, length, checksum = HEAD.unpack(head)
    if version != VERSION:
        raise ValueError(
            f"{path} is of version {version} of the format, and this library reads version {VERSION} alone"
        )
    if length != size - HEAD.size:
        raise ValueError(f"{path} is damaged: it has {size} bytes, and says that it has {length + HEAD.size}")
    found = 0
    while part := file.read(1 << 20):
        found = zlib.crc32(part, found)
    if found != checksum:
        raise ValueError(f"{path} is damaged: its checksum is {found:08x}, and says that it is {checksum:08x}")
    file.seek(HEAD.size)
    return Reader(file, length)


def _write(path: Path, content: bytes) -> None:
    """Write under another name, then rename: an interruption leaves the former file."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise OSError(f"could not write {path} ({error.strerror}): free disk space, or name another file") from error
