"""Graphs: digits tied to their like against a plain count, and Cora's files, as they are and as they can be wrong."""

import hashlib
import os
import pickle
import socket
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from data_places import mirror_of, own_cache

from tml_helpers import data
from tml_helpers.data import Graph, graphs

FULL = os.environ.get("TML_FULL_DATA")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return own_cache(tmp_path, monkeypatch)


def pairs(graph: Graph) -> list[tuple[int, int]]:
    return [(i, j) for i, j in graph.edges.T.tolist()]


def assert_is_simple(graph: Graph) -> None:
    """Both directions, none twice, no loop, sorted."""
    found = pairs(graph)
    assert found == sorted(set(found))
    assert all(i != j for i, j in found)
    assert {(j, i) for i, j in found} == set(found)
    assert graph.edges.dtype == graph.labels.dtype == torch.int64
    assert graph.features.dtype == torch.float32
    assert torch.equal(graph.nodes, torch.arange(len(graph)))


# --- digits ---


@pytest.fixture(scope="module")
def digits_graph() -> Graph:
    return data.digits_graph()


@pytest.fixture(scope="module")
def orders(digits_graph: Graph) -> list[list[int]]:
    """For each node all others, the nearest first, of equal distances the earlier."""
    grey = (digits_graph.features.numpy() * 16).astype(np.int64)
    order = [((grey - one) ** 2).sum(axis=1).argsort(kind="stable").tolist() for one in grey]
    return [[other for other in others if other != node] for node, others in enumerate(order)]


@pytest.mark.parametrize("neighbours", [1, 8, 30])
def test_an_edge_is_where_one_is_among_the_nearest_of_the_other(neighbours: int, orders: list[list[int]]) -> None:
    graph = data.digits_graph(neighbours=neighbours)
    near = {(node, other) for node, others in enumerate(orders) for other in others[:neighbours]}
    assert set(pairs(graph)) == near | {(other, node) for node, other in near}
    assert_is_simple(graph)


def test_nodes_are_the_digits_in_their_order_and_the_test_part_is_theirs(digits_graph: Graph) -> None:
    train, test = data.digits("train"), data.digits("test")
    assert torch.equal(digits_graph.features, torch.cat([train.images, test.images]).flatten(1))
    assert torch.equal(digits_graph.labels, torch.cat([train.labels, test.labels]))
    assert digits_graph.nodes[digits_graph.test].tolist() == list(range(len(train), 1797))


@pytest.mark.parametrize("labels", [[0], [1, 0, 1, 1, 0], [2, 2, 0, 2, 1, 0]])
def test_ranks_count_the_earlier_ones_of_a_class(labels: list[int]) -> None:
    counted = [labels[:i].count(label) for i, label in enumerate(labels)]
    assert graphs._rank_in_class(torch.tensor(labels)).tolist() == counted


def test_five_of_each_digit_are_labelled_and_no_node_has_two_parts(digits_graph: Graph) -> None:
    labelled = digits_graph.labels[digits_graph.train].bincount()
    assert labelled.tolist() == [5] * 10
    first_zeros = (digits_graph.labels == 0).nonzero().flatten()[:5]
    assert digits_graph.train[first_zeros].all()
    parts = torch.stack([digits_graph.train, digits_graph.validation, digits_graph.test]).sum(dim=1)
    assert parts.tolist() == [50, 300, 359]
    assert int(torch.stack([digits_graph.train, digits_graph.validation, digits_graph.test]).sum(dim=0).max()) == 1


@pytest.mark.parametrize(("wrong", "error"), [(0, ValueError), (1797, ValueError), (2.5, TypeError), (True, TypeError)])
def test_neighbours_out_of_their_range_are_refused(wrong: Any, error: type[Exception]) -> None:
    with refuses(error, "neighbours", str(wrong)):
        data.digits_graph(neighbours=wrong)


def test_every_node_may_be_tied_to_all_others() -> None:
    assert data.digits_graph(neighbours=1796).edges.shape[1] == 1797 * 1796


def test_both_graphs_are_data_sets_and_say_what_they_are(digits_graph: Graph) -> None:
    assert {"digits_graph", "cora"} <= data.LOADERS.keys()
    assert repr(digits_graph) == "1,797 nodes, 9,929 edges, 10 classes, from the package scikit-learn"


# --- a part of a graph ---


@pytest.mark.parametrize("choice", ["mask", "slice", "indices"])
def test_a_part_has_the_edges_inside_it_and_its_nodes_in_the_order_asked_for(digits_graph: Graph, choice: str) -> None:
    chosen: torch.Tensor | slice = {
        "mask": ~digits_graph.test,
        "slice": slice(100, 700, 2),
        "indices": torch.randperm(1797, generator=torch.Generator().manual_seed(0))[:300],
    }[choice]
    part = digits_graph.select(chosen)
    kept = torch.arange(1797)[chosen].tolist()
    assert_is_simple(part)
    place = {node: new for new, node in enumerate(kept)}
    inside = {(place[i], place[j]) for i, j in pairs(digits_graph) if i in place and j in place}
    assert set(pairs(part)) == inside
    for name in ("features", "labels", "train", "validation", "test"):
        assert torch.equal(getattr(part, name), getattr(digits_graph, name)[kept])


def test_a_part_may_be_empty_or_without_edges(digits_graph: Graph) -> None:
    assert len(digits_graph.select(slice(0))) == 0
    assert digits_graph.select(torch.tensor([4])).edges.shape == (2, 0)


def test_a_node_that_is_chosen_twice_is_refused(digits_graph: Graph) -> None:
    with refuses(ValueError, "chosen", "once"):
        digits_graph.select(torch.tensor([3, 5, 3]))


# --- Cora: small files in the format of Python 2 stand for it ---


def old_text(text: bytes) -> bytes:
    return b"T" + len(text).to_bytes(4, "little") + text


def old_array(array: np.ndarray) -> bytes:
    """An array as NumPy pickled it under Python 2, with raw bytes for its values."""
    kind, shape = array.dtype.str[1:].encode(), b"(" + b"".join(b"I%d\n" % n for n in array.shape) + b"t"
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\nt" + old_text(b"b") + b"tR"
    dtype = b"cnumpy\ndtype\n(" + old_text(kind) + b"I0\nI1\ntR(I3\n" + old_text(b"<") + b"NNNI-1\nI-1\nI0\ntb"
    return made + b"(I1\n" + shape + dtype + b"I00\n" + old_text(array.tobytes()) + b"tb"


def old_table(table: np.ndarray) -> bytes:
    """A table as SciPy pickled it: what is there, in which column, and where each row begins."""
    rows, columns = table.nonzero()
    parts = {
        b"_shape": b"(" + b"".join(b"I%d\n" % n for n in table.shape) + b"t",
        b"data": old_array(table[rows, columns].astype(np.float32)),
        b"indices": old_array(columns.astype(np.int32)),
        b"indptr": old_array(np.searchsorted(rows, np.arange(len(table) + 1)).astype(np.int32)),
    }
    state = b"".join(old_text(name) + part + b"s" for name, part in parts.items())
    return b"cscipy.sparse.csr\ncsr_matrix\n)\x81}" + state + b"b."


def old_lists(lists: dict[int, list[int]]) -> bytes:
    entries = b"".join(
        b"I%d\n(" % node + b"".join(b"I%d\n" % other for other in others) + b"ls" for node, others in lists.items()
    )
    return b"ccollections\ndefaultdict\n(c__builtin__\nlist\ntR" + entries + b"."


WORDS = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]), np.array([[0, 0, 1, 1], [1, 1, 1, 1]])
ONEHOT = np.eye(7, dtype=np.int32)[[2, 0, 6]], np.eye(7, dtype=np.int32)[[5, 1]]
FILES = {
    "ind.cora.allx": old_table(WORDS[0]),
    "ind.cora.ally": old_array(ONEHOT[0]) + b".",
    "ind.cora.tx": old_table(WORDS[1]),
    "ind.cora.ty": old_array(ONEHOT[1]) + b".",
    "ind.cora.graph": old_lists({0: [1, 4, 4, 0], 1: [0], 2: [], 3: [4], 4: [0, 0, 3]}),
    "ind.cora.test.index": b"4\n3\n",  # not in order: the first of tx is paper 4
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five papers take the place of the 2,708."""
    monkeypatch.setattr(graphs, "CORA_FILES", {name: hashlib.sha256(made).hexdigest() for name, made in FILES.items()})
    monkeypatch.setattr(graphs, "LABELLED", 1)
    monkeypatch.setattr(graphs, "VALIDATED", 1)


@pytest.fixture
def named(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds the files, in the one that `TML_DATA_DIR` names."""
    folder = tmp_path / "sets/Cora/raw"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path / "sets"))
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


def assert_is_small(found: Graph, folder: Path) -> None:
    assert found.features.tolist() == [*WORDS[0].tolist(), WORDS[1][1].tolist(), WORDS[1][0].tolist()]
    assert found.labels.tolist() == [2, 0, 6, 1, 5]
    assert pairs(found) == [(0, 1), (0, 4), (1, 0), (3, 4), (4, 0), (4, 3)]
    masks = [found.train, found.validation, found.test]
    assert [mask.nonzero().flatten().tolist() for mask in masks] == [[0], [1], [3, 4]]
    assert found.source == str(folder)
    assert_is_simple(found)


@pytest.mark.parametrize("source", ["auto", "full"])
def test_the_named_folder_is_read_and_each_paper_keeps_its_words(named: Path, source: data.Source) -> None:
    """A citation that stands twice counts once (pyg-team/pytorch_geometric #343), and one of itself not at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy and SciPy warn of their old names
        assert_is_small(data.cora(source=source), named)


def test_auto_says_which_it_took_and_full_is_silent(named: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.cora()
    assert str(named) in capsys.readouterr().out
    data.cora(source="full")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("source", ["auto", "default"])
def test_without_the_files_the_other_graph_is_named(source: data.Source) -> None:
    with refuses(FileNotFoundError, "source='full'", "TML_DATA_DIR", "Cora/raw", "digits_graph()"):
        data.cora(source=source)


def test_an_unknown_source_is_refused() -> None:
    with refuses(ValueError, "source", "'ful'", "auto, default, full"):
        data.cora(source="ful")  # type: ignore[arg-type]


@pytest.mark.parametrize("gone", list(FILES))
def test_one_missing_file_is_named(named: Path, gone: str) -> None:
    (named / gone).unlink()
    with refuses(FileNotFoundError, str(named), gone, "add it, or remove the rest"):
        data.cora()


class Bomb:
    """What a pickle can do to whoever reads it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("file", list(FILES))
@pytest.mark.parametrize("damage", ["cut", "empty", "one bit", "bomb"])
def test_a_file_with_another_checksum_is_never_opened(named: Path, tmp_path: Path, file: str, damage: str) -> None:
    whole, struck = FILES[file], tmp_path / "struck"
    damaged = {
        "cut": whole[:-1],
        "empty": b"",
        "one bit": whole[:2] + bytes([whole[2] ^ 1]) + whole[3:],
        "bomb": pickle.dumps(Bomb(struck)),
    }
    (named / file).write_bytes(damaged[damage])
    with refuses(ValueError, file, "damaged", "SHA-256", "remove it"):
        data.cora()
    assert not struck.exists()


def test_nothing_but_arrays_is_made_even_of_a_file_with_the_right_checksum(
    named: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = pickle.dumps(Bomb(tmp_path / "struck"))
    (named / "ind.cora.graph").write_bytes(content)
    monkeypatch.setitem(graphs.CORA_FILES, "ind.cora.graph", hashlib.sha256(content).hexdigest())
    with refuses(pickle.UnpicklingError, "which no table of words needs"):
        data.cora()
    assert not (tmp_path / "struck").exists()


# --- downloads, from a server on this machine ---


@pytest.fixture
def mirror(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files stand on the mirror."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    with mirror_of(folder, monkeypatch) as address:
        monkeypatch.setattr(graphs, "CORA_MIRROR", address)
        yield folder


def test_full_fetches_once_and_auto_finds_it_afterwards(mirror: Path, cache: Path) -> None:
    assert_is_small(data.cora(source="full"), cache / "Cora/raw")
    for name in FILES:
        (mirror / name).unlink()
    assert_is_small(data.cora(source="auto"), cache / "Cora/raw")


def test_a_download_that_fails_is_one_sentence_and_the_next_goes_on(mirror: Path, cache: Path) -> None:
    (mirror / "ind.cora.graph").write_bytes(b"another file")
    with refuses(OSError, "ind.cora.graph", "try again", "digits_graph()"):
        data.cora(source="full")
    assert not (cache / "Cora/raw/ind.cora.graph").exists()
    with refuses(FileNotFoundError, "source='full'"):  # a part of the cache is no data set
        data.cora(source="auto")
    (mirror / "ind.cora.graph").write_bytes(FILES["ind.cora.graph"])
    assert_is_small(data.cora(source="full"), cache / "Cora/raw")


def test_auto_never_asks_the_network(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    data.cora()
    monkeypatch.delenv("TML_DATA_DIR")
    with refuses(FileNotFoundError, "no package ships Cora"):
        data.cora()


@pytest.mark.skipif(FULL is None, reason="TML_FULL_DATA or TML_DATA_DIR names no folder with the full data")
def test_cora_is_what_its_papers_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,278 edges of 5,429 citations (pyg-team/pytorch_geometric #852): papers 4 and 2176 cite each other twice."""
    monkeypatch.setenv("TML_DATA_DIR", str(FULL))
    graph = data.cora(source="full")
    assert graph.features.shape == (2708, 1433)
    assert graph.edges.shape == (2, 2 * 5278)
    assert_is_simple(graph)
    assert (4, 2176) in pairs(graph)
    # Sen et al.: each class of the original Cora by its name
    sizes = dict(zip(graph.classes, graph.labels.bincount().tolist(), strict=True))
    assert sizes == {
        "neural networks": 818,
        "probabilistic methods": 426,
        "genetic algorithms": 418,
        "theory": 351,
        "case-based reasoning": 298,
        "reinforcement learning": 217,
        "rule learning": 180,
    }
    assert [int(mask.sum()) for mask in (graph.train, graph.validation, graph.test)] == [140, 500, 1000]
    assert graph.labels[graph.train].bincount().tolist() == [20] * 7
    folder = Path(str(FULL)) / "Cora/raw"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # SciPy's, of its old name
        read = {
            name: pickle.loads((folder / f"ind.cora.{name}").read_bytes(), encoding="latin1") for name in ("x", "tx")
        }
    order = [int(line) for line in (folder / "ind.cora.test.index").read_text(encoding="utf-8").split()]
    np.testing.assert_array_equal(graph.features[:140].numpy(), read["x"].toarray())
    np.testing.assert_array_equal(graph.features[order].numpy(), read["tx"].toarray())
