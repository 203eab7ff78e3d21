"""Graphs: the papers of Cora with their citations, and digits that are tied to those that look like them."""

import hashlib
import io
import pickle
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tml_helpers._console import legible, say
from tml_helpers.common import check_counts
from tml_helpers.data import _folders
from tml_helpers.data._folders import Source, check_name, data_folder
from tml_helpers.data.images import DIGITS, digits

CORA_MIRROR = "https://raw.githubusercontent.com/kimiyoung/planetoid/af6abf468a772cc055bec88c52e4d6f51b7c37e3/data/"
CORA_FILES = {
    "ind.cora.allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
    "ind.cora.ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
    "ind.cora.tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
    "ind.cora.ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
    "ind.cora.graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
    "ind.cora.test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
}
CORA_CLASSES = (
    "theory",
    "reinforcement learning",
    "genetic algorithms",
    "neural networks",
    "probabilistic methods",
    "case-based reasoning",
    "rule learning",
)
"""The files have numbers only: each class is known by its size, as no two are equally large."""

LABELLED, VALIDATED = 140, 500  # nodes of Cora to train and to validate, by Yang et al.
LABELLED_EACH, VALIDATED_DIGITS = 5, 300


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes with features and labels, and the edges between them."""

    features: Tensor
    """`[N, D]`, float32."""
    edges: Tensor
    """`[2, E]`, int64, sorted: each edge in both directions, none twice, none from a node to itself."""
    labels: Tensor
    """`[N]`, int64."""
    train: Tensor
    """`[N]`, bool: the nodes whose labels may be used to train."""
    validation: Tensor
    """`[N]`, bool: the nodes whose labels may be used to choose."""
    test: Tensor
    """`[N]`, bool: the nodes whose labels judge."""
    classes: tuple[str, ...]
    """Their names, by label."""
    source: str
    """Where the graph comes from, in words."""
    nodes: Tensor = field(init=False)
    """`[N]`, the numbers 0…N − 1."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", torch.arange(len(self.labels), device=self.labels.device))

    def select(self, chosen: Tensor | slice) -> "Graph":
        """A part of the nodes, with the edges that both ends of belong to it.

        Args:
            chosen: indices without repetition, a mask, or a slice.

        Returns:
            The graph of these nodes, numbered anew in their order.

        Raises:
            ValueError: an index that occurs twice.
        """
        kept = self.nodes[chosen]
        if len(kept.unique()) != len(kept):
            raise ValueError("chosen must name each node once: a node that stands twice has no edges of its own")
        place = torch.full_like(self.nodes, -1)
        place[kept] = torch.arange(len(kept), device=kept.device)
        ends = place[self.edges]
        parts = {name: getattr(self, name)[kept] for name in ("features", "labels", "train", "validation", "test")}
        return replace(self, **parts, edges=_ordered(ends[:, (ends >= 0).all(dim=0)], len(kept)))

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        edges, classes = self.edges.shape[1] // 2, len(self.classes)
        return legible(f"{len(self):,} nodes, {edges:,} edges, {classes} classes, from {self.source}")


def digits_graph(*, neighbours: int = 8) -> Graph:
    """scikit-learn's 1,797 digits, each tied to those that look most like it: a graph that is on every machine.

    Two digits are tied where one is among the k nearest of the other, by the Euclidean distance of all 64 pixels; of
    equal distances the earlier node's is nearer. Nodes are `digits("train")`, then `digits("test")`, in their order.

    Args:
        neighbours: k, from 1 to 1,796.

    Returns:
        Features `[1797, 64]` in [0, 1]. Trained on are the first 5 of each digit, validated on the next 300, tested on
        the 359 of `digits("test")`.

    Raises:
        TypeError: a k that is no whole number.
        ValueError: a k out of its range.
    """
    parts = digits("train"), digits("test")
    features = torch.cat([part.images.flatten(1) for part in parts])
    labels = torch.cat([part.labels for part in parts])
    count, learned = len(labels), len(parts[0])
    check_counts(neighbours=neighbours)
    if neighbours >= count:
        raise ValueError(f"neighbours must lie in 1…{count - 1}, got {neighbours}")
    learning = torch.arange(count, device="cpu") < learned
    train = learning & (_rank_in_class(labels) < LABELLED_EACH)
    others = (learning & ~train).nonzero().flatten()
    return Graph(
        features=features,
        edges=_ordered(_nearest(features, neighbours), count),
        labels=labels,
        train=train,
        validation=torch.zeros(count, dtype=torch.bool, device="cpu").index_fill(0, others[:VALIDATED_DIGITS], True),
        test=~learning,
        classes=DIGITS,
        source=parts[0].source,
    )


def cora(*, source: Source = "auto") -> Graph:
    """2,708 papers on machine learning and who cites whom, with the words of each; Sen et al. 2008, Yang et al. 2016.

    There is no default: no package ships them. Full: the files of Planetoid, in `TML_DATA_DIR/Cora/raw` or the download
    cache; `source="full"` fetches them. They are pickles of Python 2, which could run code when they are read: none is
    opened before its checksum is verified, and nothing but arrays, lists and dictionaries is made of it.

    Args:
        source: `"auto"`, `"default"` or `"full"`.

    Returns:
        Features `[2708, 1433]`, 1 where a paper has the word, else 0; 5,278 edges, as 151 of the 5,429 citations join
        papers that are joined already. The split is Planetoid's: 140 to train, 500 to validate, 1,000 to test, and
        1,068 for none.

    Raises:
        ValueError: an unknown source, or a damaged file.
        OSError: a file that is missing or cannot be fetched.

    Source: Sen, Namata, Bilgic, Getoor, Galligher and Eliassi-Rad 2008; Yang, Cohen and Salakhutdinov 2016.
    """
    check_name("source", source, ("auto", "default", "full"))
    folder = _find_cora() if source != "default" else None
    if folder is None and source != "full":
        raise FileNotFoundError(
            "no package ships Cora: fetch it with cora(source='full'), set TML_DATA_DIR to a folder with Cora/raw, "
            "or take digits_graph(), a graph that is on every machine"
        )
    found = _read_cora(folder or _download_cora())
    if source == "auto":
        say(f"Cora: {found}")
    return found


def _ordered(edges: Tensor, nodes: int) -> Tensor:
    """The edges in both directions, sorted, without those that stand twice or go from a node to itself."""
    first, second = edges[:, edges[0] != edges[1]]
    numbers = torch.cat([first * nodes + second, second * nodes + first]).unique()
    return torch.stack([numbers // max(nodes, 1), numbers % max(nodes, 1)])


def _nearest(features: Tensor, neighbours: int) -> Tensor:
    """`[2, N·k]`: each node and the k nearest, exact: grey values are whole sixteenths, and so are sums of squares."""
    whole = (features * 16).round().double()
    squares = whole.square().sum(dim=1)
    distances = squares[:, None] + squares - 2 * whole @ whole.T
    distances.fill_diagonal_(torch.inf)
    near = distances.sort(dim=1, stable=True).indices[:, :neighbours]
    return torch.stack([torch.arange(len(whole), device="cpu").repeat_interleave(neighbours), near.flatten()])


def _rank_in_class(labels: Tensor) -> Tensor:
    """How many earlier nodes have the same label, `[N]`."""
    members = torch.nn.functional.one_hot(labels)
    return (members.cumsum(dim=0) * members).sum(dim=1) - 1


def _cached_cora() -> Path:
    return _folders.cache_folder() / "Cora/raw"


def _find_cora() -> Path | None:
    """The folder that has all files, in `TML_DATA_DIR` or the cache; None where neither has.

    A part of them in `TML_DATA_DIR` is an error; a part in the cache is a download that was interrupted.
    """
    named = data_folder()
    for folder in ([named / "Cora/raw"] if named else []) + [_cached_cora()]:
        missing = [file for file in CORA_FILES if not (folder / file).is_file()]
        if not missing:
            return folder
        if folder != _cached_cora() and len(missing) < len(CORA_FILES):
            raise FileNotFoundError(f"{folder} has a part of Cora but not {missing[0]}: add it, or remove the rest")
    return None


def _download_cora() -> Path:
    instead = "digits_graph(), a graph that is on every machine"
    return _folders.fetch(CORA_FILES, _cached_cora(), mirror=CORA_MIRROR, instead=instead)


def _read_cora(folder: Path) -> Graph:
    """The six files put together: papers to learn from, then those to be tested, in an order of their own."""
    content = {file.removeprefix("ind.cora."): _verified(folder / file, sha) for file, sha in CORA_FILES.items()}
    allx, ally, tx, ty, cited = (_unpickled(content[name]) for name in ("allx", "ally", "tx", "ty", "graph"))
    learned, tested = len(ally), torch.tensor([int(line) for line in content["test.index"].split()], device="cpu")
    count = learned + len(tested)
    features = torch.zeros(count, allx._shape[1], device="cpu")
    labels = torch.zeros(count, dtype=torch.int64, device="cpu")
    for place, words, onehot in ((torch.arange(learned, device="cpu"), allx, ally), (tested, tx, ty)):
        features[place] = _dense(words)
        labels[place] = torch.from_numpy(onehot.argmax(axis=1))
    pairs = [(paper, other) for paper, others in cited.items() for other in others]
    nodes = torch.arange(count, device="cpu")
    return Graph(
        features=features,
        edges=_ordered(torch.tensor(pairs, device="cpu").T, count),
        labels=labels,
        train=nodes < LABELLED,
        validation=(nodes >= LABELLED) & (nodes < LABELLED + VALIDATED),
        test=torch.zeros(count, dtype=torch.bool, device="cpu").index_fill(0, tested, True),
        classes=CORA_CLASSES,
        source=str(folder),
    )


def _verified(path: Path, sha256: str) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(
            f"{path} is damaged (its SHA-256 is not that of Cora): remove it and load again with source='full', or set "
            f"TML_DATA_DIR to an undamaged copy of {path.name}"
        )
    return content


def _dense(sparse: Any) -> Tensor:
    """The table of a sparse one: where each row ends, which columns it has, and what is there."""
    table = np.zeros(sparse._shape, np.float32)
    table[np.repeat(np.arange(len(table)), np.diff(sparse.indptr)), sparse.indices] = sparse.data
    return torch.from_numpy(table)


_KNOWN: dict[tuple[str, str], Any] = {  # as NumPy and SciPy called them in the days of Python 2
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("scipy.sparse.csr", "csr_matrix"): SimpleNamespace,
    ("collections", "defaultdict"): defaultdict,
    ("__builtin__", "list"): list,
}


class _Reader(pickle.Unpickler):
    """Makes arrays, lists and dictionaries, whatever a pickle asks for; scipy's tables become bags of arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"the file asks for {module}.{name}, which no table of words needs")
        return _KNOWN[module, name]


def _unpickled(content: bytes) -> Any:
    return _Reader(io.BytesIO(content), encoding="latin1").load()
