"""Texts: the docstrings that are on every machine, and twenty newsgroups."""

import ast
import contextlib
import functools
import io
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from tml_helpers._console import legible, say
from tml_helpers.data import _folders
from tml_helpers.data._folders import Source, Split, check_name, data_folder, first_words, package_folder

DOCUMENTED = ("matplotlib", "numpy", "scipy", "skimage", "sklearn")
NEWSGROUPS = (
    "alt.atheism",
    "comp.graphics",
    "comp.os.ms-windows.misc",
    "comp.sys.ibm.pc.hardware",
    "comp.sys.mac.hardware",
    "comp.windows.x",
    "misc.forsale",
    "rec.autos",
    "rec.motorcycles",
    "rec.sport.baseball",
    "rec.sport.hockey",
    "sci.crypt",
    "sci.electronics",
    "sci.med",
    "sci.space",
    "soc.religion.christian",
    "talk.politics.guns",
    "talk.politics.mideast",
    "talk.politics.misc",
    "talk.religion.misc",
)


class TextSet(Dataset[tuple[str, int]]):
    """Texts with labels, one by one or by index.

    Args:
        texts: the texts.
        labels: `[N]`, int64.
        classes: the names of the classes, by label.
        source: where the texts come from, in words.
    """

    def __init__(self, texts: list[str], labels: Tensor, *, classes: tuple[str, ...], source: str) -> None:
        self.texts, self.labels, self.classes, self.source = texts, labels, classes, source

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return self.texts[index], int(self.labels[index])

    def __repr__(self) -> str:
        return legible(f"{len(self):,} texts, {len(self.classes)} classes, from {self.source}")


def docstrings(split: Split = "train") -> TextSet:
    """Docstrings of five scientific packages, labelled by the package: text that is on every machine.

    They are read from the installed source files, which are parsed but not imported, so the set depends on the
    installed versions. A docstring's place is decided by a hash of its text: a fifth goes to test, and a text that
    occurs twice is never on both sides.

    Args:
        split: `"train"` or `"test"`.

    Returns:
        Texts of eight words or more, of the packages' own code: tests and vendored code are left out.

    Raises:
        ValueError: an unknown split.
    """
    check_name("split", split, ("train", "test"))
    texts: dict[str, int] = {}
    for label, package in enumerate(DOCUMENTED):
        for text in _docstrings_of(package):
            texts.setdefault(text, label)
    wanted = [t for t in texts if (zlib.crc32(t.encode()) % 5 == 0) == (split == "test")]
    labels = torch.tensor([texts[t] for t in wanted], device="cpu")
    return TextSet(wanted, labels, classes=DOCUMENTED, source="the installed packages' source files")


def newsgroups(
    split: Split = "train", *, source: Source = "auto", classes: Sequence[str] = NEWSGROUPS, whole: bool = False
) -> TextSet:
    """Posts to newsgroups, split by date; Lang, 1995.

    There is no default: no package ships them. Full: scikit-learn's cache, in `TML_DATA_DIR/scikit_learn_data` or the
    download cache; `source="full"` fetches it. The cache is a pickle, which can run code when it is read: use
    your own only.

    Args:
        split: `"train"` or `"test"`.
        source: `"auto"`, `"default"` or `"full"`.
        classes: names of newsgroups, one or more.
        whole: keep headers, footers and quotations, which hold most of the addresses and give the class away, and posts
            that are empty without them.

    Returns:
        Texts, labelled by the place of their newsgroup in `classes`.

    Raises:
        ValueError: unknown names, or a damaged file.
        OSError: a file that is missing or cannot be fetched.
    """
    check_name("split", split, ("train", "test"))
    check_name("source", source, ("auto", "default", "full"))
    if not classes:
        raise ValueError("classes names one newsgroup or more; got none")
    for name in classes:
        check_name("newsgroup", name, NEWSGROUPS)
    folder = _find_newsgroups() if source != "default" else None
    if folder is None and source != "full":
        raise FileNotFoundError(
            "no package ships the newsgroups: fetch them with newsgroups(source='full'), set TML_DATA_DIR to a folder "
            "with scikit_learn_data/20news-bydate_py3.pkz, or take docstrings(), texts that are on every machine"
        )
    posts, labels = _posts(split, folder, whole)
    place = {NEWSGROUPS.index(name): index for index, name in enumerate(classes)}
    chosen = [(post, place[label]) for post, label in zip(posts, labels, strict=True) if label in place]
    chosen = [(post, index) for post, index in chosen if whole or post.strip()]
    found = TextSet(
        [post for post, _ in chosen],
        torch.tensor([index for _, index in chosen], device="cpu"),
        classes=tuple(classes),
        source=str(folder or _cached_newsgroups()),
    )
    if source == "auto":
        say(f"newsgroups, {split}: {found}")
    return found


def _cached_newsgroups() -> Path:
    return _folders.cache_folder() / "scikit_learn_data"


def _find_newsgroups() -> Path | None:
    """The folder with scikit-learn's file, in `TML_DATA_DIR` or the cache; None where neither has it."""
    named = data_folder()
    folders = ([named / "scikit_learn_data"] if named else []) + [_cached_newsgroups()]
    return next((folder for folder in folders if (folder / "20news-bydate_py3.pkz").is_file()), None)


def _posts(split: str, folder: Path | None, whole: bool) -> tuple[list[str], list[int]]:
    """Texts and their newsgroups; without a folder they are fetched into the cache."""
    from sklearn.datasets import fetch_20newsgroups

    home = folder or _cached_newsgroups()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # where scikit-learn says that its cache cannot be read
            bunch = fetch_20newsgroups(
                data_home=home,
                subset=split,
                shuffle=False,
                download_if_missing=folder is None,
                remove=() if whole else ("headers", "footers", "quotes"),
            )
    except OSError as error:
        if folder is not None:
            raise ValueError(
                f"{folder}/20news-bydate_py3.pkz is damaged: remove it and load again with source='full'"
            ) from error
        raise OSError(
            f"could not fetch the newsgroups ({first_words(error)}): try again with a network, or take docstrings(), "
            "texts that are on every machine"
        ) from error
    return list(bunch.data), [int(label) for label in bunch.target]


@functools.cache  # parsing takes seconds, and the other split needs the same texts
def _docstrings_of(package: str) -> tuple[str, ...]:
    """Every docstring of at least eight words in a package's source files, tests left out, in the files' order."""
    folder = package_folder(package)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = []
    for file in sorted(folder.rglob("*.py")):
        if re.search(r"/(tests?|_?vendor\w*|externals?|_external)/", file.relative_to(folder.parent).as_posix()):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, documented) else None
            if text and len(text.split()) >= 8:
                texts.append(text)
    return tuple(texts)
