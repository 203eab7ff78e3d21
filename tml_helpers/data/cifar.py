"""CIFAR-10: small photographs in colour, which no package ships."""

import hashlib
import lzma
import os
import tarfile
from pathlib import Path

import numpy as np
import torch

from tml_helpers._console import say
from tml_helpers.data import _folders
from tml_helpers.data._folders import Source, Split, check_name, data_folder
from tml_helpers.data.images import ImageSet

CIFAR10_MIRROR = "https://www.cs.toronto.edu/~kriz/"
CIFAR10_ARCHIVE = {"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}
CIFAR10_FILES = {
    "train": {
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    },
    "test": {"test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"},
}
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDER = "cifar-10-batches-bin"
RECORD = 1 + 3 * 32 * 32  # bytes: a label, then red, green and blue, row by row


def cifar10(split: Split = "train", *, source: Source = "auto") -> ImageSet:
    """Photographs of ten kinds of things, 32×32 in colour, in [0, 1]; Krizhevsky, 2009.

    There is no default: no package ships them. Full: the files of the binary version, in
    `TML_DATA_DIR/cifar-10-batches-bin`, each as it is or packed by xz (`data_batch_1.bin.xz`), or in the download
    cache; `source="full"` fetches them, 170 MB. What is packed is unpacked once, into the cache.

    Args:
        split: `"train"` or `"test"`.
        source: `"auto"`, `"default"` or `"full"`.

    Returns:
        50,000 images to train or 10,000 to test, `[N, 3, 32, 32]`; 614 MB of memory for those to train.

    Raises:
        ValueError: an unknown split or source, or a damaged file.
        OSError: a file that is missing or cannot be fetched.

    Source: Krizhevsky, 2009.
    """
    check_name("split", split, tuple(CIFAR10_FILES))
    check_name("source", source, ("auto", "default", "full"))
    folder = _find_cifar10(split) if source != "default" else None
    if folder is None and source != "full":
        raise FileNotFoundError(
            "no package ships CIFAR-10: fetch it with cifar10(source='full'), set TML_DATA_DIR to a folder with "
            f"{FOLDER}, or take mnist(), digits() or photos(), which are on every machine"
        )
    folder = folder or _download_cifar10()
    parts = [_records(folder / file, sha256) for file, sha256 in CIFAR10_FILES[split].items()]
    records = np.concatenate(parts)
    images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32)).float() / 255
    labels = torch.from_numpy(records[:, 0].astype(np.int64))
    found = ImageSet(images, labels, classes=CIFAR10_CLASSES, source=str(folder))
    if source == "auto":
        say(f"CIFAR-10, {split}: {found}")
    return found


def _cached_cifar10() -> Path:
    return _folders.cache_folder() / FOLDER


def _find_cifar10(split: str) -> Path | None:
    """The folder that has all files of a split, in `TML_DATA_DIR` or the cache; None where neither has.

    A part of them in `TML_DATA_DIR` is an error; a part in the cache is a download that was interrupted.
    """
    named = data_folder()
    for folder in ([named / FOLDER] if named else []) + [_cached_cifar10()]:
        files = CIFAR10_FILES[split]
        missing = [file for file in files if not ((folder / file).is_file() or (folder / f"{file}.xz").is_file())]
        if not missing:
            return folder
        if folder != _cached_cifar10() and len(missing) < len(files):
            raise FileNotFoundError(f"{folder} has a part of CIFAR-10 but not {missing[0]}: add it, or remove the rest")
    return None


def _records(path: Path, sha256: str) -> np.ndarray:
    """The records of a file, `[N, 3073]`, verified; a packed one is unpacked into the cache, and found there."""
    kept = _cached_cifar10() / path.name
    if path.is_file():
        content = path.read_bytes()
    elif kept.is_file():
        path, content = kept, kept.read_bytes()
    else:
        path = path.with_name(f"{path.name}.xz")
        try:
            content = lzma.decompress(path.read_bytes())
        except (lzma.LZMAError, EOFError) as error:
            raise ValueError(f"{path} is damaged ({error}): {_remedy(path)}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{path} is damaged (its SHA-256 is not that of CIFAR-10): {_remedy(path)}")
    if path.suffix == ".xz":
        _keep(content, kept)
    return np.frombuffer(content, np.uint8).reshape(-1, RECORD)


def _remedy(path: Path) -> str:
    return f"remove it and load again with source='full', or set TML_DATA_DIR to an undamaged copy of {path.name}"


def _keep(content: bytes, path: Path) -> None:
    """Written under another name and then renamed: never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _download_cifar10() -> Path:
    """Fetch the archive and take its files out into the cache."""
    folder = _cached_cifar10()
    instead = "mnist(), digits() or photos(), which are on every machine"
    _folders.fetch(CIFAR10_ARCHIVE, folder.parent, mirror=CIFAR10_MIRROR, instead=instead)
    with tarfile.open(folder.parent / next(iter(CIFAR10_ARCHIVE))) as archive:
        for files in CIFAR10_FILES.values():
            for file in files:
                member = archive.extractfile(f"{FOLDER}/{file}")
                assert member is not None  # a folder by this name: not in the archive of that checksum
                _keep(member.read(), folder / file)
    return folder
