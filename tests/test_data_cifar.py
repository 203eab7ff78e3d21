"""CIFAR-10: its binary files as they are, packed, missing, damaged and fetched: a dozen images in place of 60,000."""

import hashlib
import io
import lzma
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from bad_input import refuses
from data_places import mirror_of, own_cache

from tml_helpers import data
from tml_helpers.data import cifar

NAMED = [os.environ[name] for name in ("TML_FULL_DATA", "TML_DATA_DIR") if name in os.environ]
FULL = next((folder for folder in NAMED if Path(folder, cifar.FOLDER).is_dir()), None)


def record(label: int, first: int) -> bytes:
    """An image whose red plane counts up from `first`, with a green plane of 100 and a blue one of 200."""
    return bytes([label]) + bytes((first + i) % 256 for i in range(1024)) + bytes([100]) * 1024 + bytes([200]) * 1024


FILES = {f"data_batch_{n}.bin": record(n, 0) + record(9 - n, 7 * n) for n in range(1, 6)}
FILES["test_batch.bin"] = record(3, 255) + record(0, 1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    of_split = {s: {n: hashes[n] for n in names} for s, names in cifar.CIFAR10_FILES.items()}
    monkeypatch.setattr(cifar, "CIFAR10_FILES", of_split)
    return own_cache(tmp_path, monkeypatch)


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds the files, in the one that `TML_DATA_DIR` names."""
    folder = tmp_path / "sets/cifar-10-batches-bin"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path / "sets"))
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


def assert_is_small(split: data.Split, source: data.Source = "auto") -> None:
    found = data.cifar10(split, source=source)
    expected = [1, 8, 2, 7, 3, 6, 4, 5, 5, 4] if split == "train" else [3, 0]
    assert found.labels.tolist() == expected
    assert found.images.shape == (len(expected), 3, 32, 32)
    assert found.images.dtype == torch.float32
    first = found.images[0] * 255
    start = 0 if split == "train" else 255
    assert first[0, 0, :3].tolist() == pytest.approx([start, (start + 1) % 256, (start + 2) % 256])
    assert first[0, 1, 0].item() == pytest.approx((start + 32) % 256)  # row by row
    assert first[1].unique().tolist() == pytest.approx([100])
    assert first[2].unique().tolist() == pytest.approx([200])
    assert found.classes[3] == "cat"


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("source", ["auto", "full"])
def test_the_named_folder_is_read(named: Path, split: data.Split, source: data.Source) -> None:
    assert_is_small(split, source)
    assert data.cifar10(split).source == str(named)


def test_what_is_packed_is_unpacked_once(named: Path, cache: Path) -> None:
    for name, content in FILES.items():
        (named / name).unlink()
        (named / f"{name}.xz").write_bytes(lzma.compress(content))
    assert_is_small("test")
    assert (cache / "cifar-10-batches-bin/test_batch.bin").read_bytes() == FILES["test_batch.bin"]
    (named / "test_batch.bin.xz").write_bytes(b"never opened again")
    assert_is_small("test")
    assert_is_small("train")


def test_auto_says_which_it_took_and_full_is_silent(named: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.cifar10("test")
    assert str(named) in capsys.readouterr().out
    data.cifar10("test", source="full")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("source", ["auto", "default"])
def test_without_the_files_the_way_to_them_is_named(source: data.Source) -> None:
    with refuses(FileNotFoundError, "source='full'", "TML_DATA_DIR", "cifar-10-batches-bin", "mnist()"):
        data.cifar10(source=source)


def test_an_unknown_split_or_source_is_refused() -> None:
    with refuses(ValueError, "split", "'valid'", "train, test"):
        data.cifar10("valid")  # type: ignore[arg-type]
    with refuses(ValueError, "source", "'ful'", "auto, default, full"):
        data.cifar10(source="ful")  # type: ignore[arg-type]


def test_one_missing_file_is_named_and_the_other_split_is_not_asked_for_it(named: Path) -> None:
    (named / "data_batch_4.bin").unlink()
    with refuses(FileNotFoundError, str(named), "data_batch_4.bin", "add it, or remove the rest"):
        data.cifar10("train")
    assert_is_small("test")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("damage", ["cut", "empty", "one bit"])
def test_a_damaged_file_is_one_sentence_and_is_not_kept(named: Path, cache: Path, damage: str, packed: bool) -> None:
    whole = FILES["test_batch.bin"]
    damaged = {"cut": whole[:-1], "empty": b"", "one bit": whole[:9] + bytes([whole[9] ^ 1]) + whole[10:]}[damage]
    (named / "test_batch.bin").unlink()
    file = named / ("test_batch.bin.xz" if packed else "test_batch.bin")
    file.write_bytes(lzma.compress(damaged) if packed else damaged)
    with refuses(ValueError, str(file), "damaged", "SHA-256", "remove it"):
        data.cifar10("test")
    if packed:
        file.write_bytes(lzma.compress(whole)[:-7])
        with refuses(ValueError, str(file), "damaged", "remove it"):
            data.cifar10("test")
    assert not list(cache.rglob("test_batch*"))


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The archive on a server on this machine."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    archive = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for name, content in FILES.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(cifar, "CIFAR10_ARCHIVE", {archive.name: checksum})
    with mirror_of(folder, monkeypatch) as address:
        monkeypatch.setattr(cifar, "CIFAR10_MIRROR", address)
        yield folder


def test_full_fetches_once_and_auto_finds_it_afterwards(mirror: Path) -> None:
    assert_is_small("train", "full")
    (mirror / "cifar-10-binary.tar.gz").unlink()
    assert_is_small("train")
    assert_is_small("test")


def test_a_download_that_fails_is_one_sentence(mirror: Path) -> None:
    (mirror / "cifar-10-binary.tar.gz").write_bytes(b"another file")
    with refuses(OSError, "cifar-10-binary.tar.gz", "try again", "mnist()"):
        data.cifar10(source="full")
    with refuses(FileNotFoundError, "source='full'"):
        data.cifar10()


@pytest.mark.skipif(not FULL, reason="neither TML_FULL_DATA nor TML_DATA_DIR names a folder with the full data")
def test_the_whole_set_is_what_its_author_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """6,000 images of each class; the means and deviations of the training pixels that papers print."""
    monkeypatch.undo()
    monkeypatch.setenv("TML_DATA_DIR", str(FULL))
    train, test = data.cifar10("train"), data.cifar10("test")
    assert train.labels.bincount().tolist() == [5000] * 10
    assert test.labels.bincount().tolist() == [1000] * 10
    assert train.images.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)
    assert train.images.std(dim=(0, 2, 3)).tolist() == pytest.approx([0.2470, 0.2435, 0.2616], abs=5e-5)
