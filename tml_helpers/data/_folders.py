"""Where data sets lie, and what their loaders share."""

import importlib.util
import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Source = Literal["auto", "default", "full"]
Split = Literal["train", "test"]


def data_folder() -> Path | None:
    """The folder named by `TML_DATA_DIR`.

    Returns:
        The folder; None where the variable is not set.

    Raises:
        FileNotFoundError: the folder does not exist.
    """
    named = os.environ.get("TML_DATA_DIR")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"TML_DATA_DIR names {folder}, which is not a folder: correct it, or unset it")
    return folder


def cache_folder() -> Path:
    """Where downloads are kept.

    Returns:
        The folder, which need not exist.
    """
    import pooch

    return Path(pooch.os_cache("tml_helpers"))


def check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}: it is one of {', '.join(known)}")


def package_folder(package: str) -> Path:
    """Where a package is installed, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {package} is not installed: run `make setup`")
    return Path(spec.submodule_search_locations[0])


def existing(path: Path, package: str) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: install {package} again")
    return path


def stratified(labels: np.ndarray, *, test_share: float) -> dict[str, Tensor]:
    """Indices of a fixed split with the same share of each class, each part in a fixed random order."""
    random = np.random.RandomState(0)  # its stream is frozen for good, unlike default_rng's
    train, test = [], []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        cut = round(len(members) * test_share)
        test.append(members[:cut])
        train.append(members[cut:])
    parts = {"train": np.concatenate(train), "test": np.concatenate(test)}
    return {name: torch.from_numpy(random.permutation(part)) for name, part in parts.items()}


def fetch(files: dict[str, str], folder: Path, *, mirror: str, instead: str) -> Path:
    """Fetch files into a folder: checksum, time-out, progress bar, written under another name and then renamed.

    Args:
        files: their SHA-256, by name.
        folder: where they go.
        mirror: the address before each name.
        instead: what an error offers in their place, after "or take".

    Returns:
        The folder, which has all of them.

    Raises:
        OSError: a file that cannot be had.
    """
    import pooch

    downloader = pooch.HTTPDownloader(progressbar=True, timeout=30)
    for file, sha256 in files.items():
        try:
            pooch.retrieve(mirror + file, f"sha256:{sha256}", fname=file, path=folder, downloader=downloader)
        except (OSError, ValueError) as error:
            raise OSError(
                f"could not fetch {file} ({first_words(error)}): free disk space or try again with a network, "
                f"or take {instead}"
            ) from error
    return folder


def first_words(error: Exception) -> str:
    """An error's first line, cut to a readable length."""
    line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {line[:120]}"
