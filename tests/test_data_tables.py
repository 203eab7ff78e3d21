"""The bicycles against the file that they were made from, and every way in which tables and posts can be wrong."""

import codecs
import hashlib
import http.server
import os
import pickle
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from bad_input import refuses
from data_places import install_as, own_cache
from pandas import DataFrame

from tml_helpers import data
from tml_helpers.data import _folders, tables

FULL = os.environ.get("TML_FULL_DATA")
DAYS = Path(FULL or "") / "bike_sharing/day.csv"
POSTS = Path(FULL or "") / "scikit_learn_data/20news-bydate_py3.pkz"
HEADER = (
    "instant,dteday,season,yr,mnth,holiday,weekday,workingday,weathersit,temp,atemp,hum,windspeed,casual,registered,cnt"
)
FIRST = "1,2011-01-01,1,0,1,0,6,0,2,0.5,0.36,0.8,0.1,331,654,985"
SECOND = "2,2012-01-02,3,1,12,1,1,1,3,0,0.3,0.5,1,1,2,3"
SMALL = f"{HEADER}\n{FIRST}\n{SECOND}\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return own_cache(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def bicycles() -> DataFrame:
    return data.bike_sharing(source="default")


# --- the default: hours added up to days ---


def test_the_bicycles_are_the_days_of_2011(bicycles: DataFrame) -> None:
    assert len(bicycles) == 365
    assert bicycles["days"].tolist() == list(range(365))
    assert bicycles["rentals"].sum() == 1_243_103  # all rentals of 2011, as UCI's day.csv has them
    assert bicycles["rentals"][:3].tolist() == [985, 801, 1349]


def test_their_units_are_those_of_the_world(bicycles: DataFrame) -> None:
    first = bicycles.iloc[0]
    assert first["temperature"] == pytest.approx(0.344167 * 47 - 8, abs=1e-4)  # day.csv: temp of 1 January
    assert first["humidity"] == pytest.approx(80.5833, abs=1e-3)
    assert first["windspeed"] == pytest.approx(0.160446 * 67, abs=1e-3)
    assert (first["season"], first["month"], first["holiday"], first["workingday"], first["weather"]) == (
        "winter",
        "Jan",
        "no",
        "no",
        "misty",
    )
    weather = ["misty"] * 2 + ["clear"] * 4 + ["misty"] * 2 + ["clear"] * 2
    assert bicycles["weather"][:10].tolist() == weather, "day.csv: the first ten days"
    assert bicycles["weather"].value_counts().to_dict() == {"clear": 226, "misty": 124, "rain or snow": 15}
    july = bicycles["temperature"][bicycles["month"] == "Jul"].mean()
    assert 25 < july < 32, "a July in Washington, in °C"


def test_a_working_day_is_no_holiday_and_each_season_is_a_quarter(bicycles: DataFrame) -> None:
    assert not ((bicycles["workingday"] == "yes") & (bicycles["holiday"] == "yes")).any()
    assert (bicycles["holiday"] == "yes").sum() == 10
    assert list(bicycles["season"].cat.categories) == ["winter", "spring", "summer", "autumn"]
    for season in bicycles["season"].cat.categories:
        assert 85 < (bicycles["season"] == season).sum() < 95


@pytest.mark.skipif(not DAYS.is_file(), reason="TML_FULL_DATA or TML_DATA_DIR names no folder with bike_sharing")
def test_the_default_is_the_first_year_of_ucis_file(bicycles: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TML_DATA_DIR", str(FULL))
    full = data.bike_sharing(source="full")
    assert len(full) == 731
    pandas.testing.assert_frame_equal(full.iloc[:365], bicycles, atol=1e-4, check_categorical=False)


# --- the table ---


def test_a_table_says_what_it_is(bicycles: DataFrame) -> None:
    assert bicycles.attrs["source"] == "the package ISLP"
    categories = ["season", "month", "holiday", "workingday", "weather"]
    assert list(bicycles.select_dtypes("category")) == categories
    assert all(bicycles.drop(columns=categories).dtypes == "float64")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: data.bike_sharing(source="ful"), ("source", "'ful'", "auto, default, full")),
    ],
)
def test_wrong_names_and_lengths_are_refused(call: Callable[[], object], words: tuple[str, ...]) -> None:
    with refuses(ValueError, *words):
        call()


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    install_as(None, monkeypatch)
    with refuses(FileNotFoundError, "ISLP", "pip install --no-deps ISLP"):
        data.bike_sharing(source="default")


def test_the_file_is_found_without_importing_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def watched(name: str, *rest: Any, **named: Any) -> Any:
        assert name.partition(".")[0] != "ISLP"
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", watched)
    assert len(data.bike_sharing(source="default")) == 365


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("bikers", "riders"),
        lambda text: text.replace("clear", "sunny"),
        lambda text: "",
        lambda text: text + text.splitlines()[-1],
    ],
    ids=["cut", "another column", "another word", "empty", "a line twice"],
)
def test_a_damaged_package_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[str], str]
) -> None:
    text = (_folders.package_folder("ISLP") / "data/Bikeshare.csv").read_text(encoding="utf-8")
    install_as(tmp_path, monkeypatch)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/Bikeshare.csv").write_text(damage(text), encoding="utf-8")
    with refuses(ValueError, "Bikeshare.csv", "damaged", "pip install --no-deps ISLP"):
        data.bike_sharing(source="default")


# --- UCI's file: a small one of the same format stands for it ---


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BIKE_SHARING_FILE", hashlib.sha256(SMALL.encode()).hexdigest())


@pytest.fixture
def named(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "sets/bike_sharing"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path / "sets"))
    (folder / "day.csv").write_text(SMALL, encoding="utf-8", newline="")
    return folder / "day.csv"


@pytest.mark.parametrize("source", ["auto", "full"])
def test_the_named_file_is_read_in_units(named: Path, source: data.Source) -> None:
    table = data.bike_sharing(source=source)
    assert table.attrs["source"] == str(named)
    assert table["temperature"].tolist() == [15.5, -8.0]
    assert table["humidity"].tolist() == [80.0, 50.0]
    assert table["windspeed"].tolist() == pytest.approx([6.7, 67.0])
    assert table["weather"].tolist() == ["misty", "rain or snow"]
    assert table["season"].tolist() == ["winter", "summer"]
    assert table["month"].tolist() == ["Jan", "Dec"]
    assert table["rentals"].tolist() == [985, 3]
    assert list(table["weather"].cat.categories) == ["misty", "rain or snow"], "levels that do not occur have no weight"


@pytest.mark.parametrize("damage", [SMALL[:-9], "", SMALL.replace("985", "986")], ids=["cut", "empty", "one digit"])
def test_a_file_with_another_checksum_is_refused(named: Path, damage: str) -> None:
    named.write_text(damage, encoding="utf-8")
    with refuses(ValueError, str(named), "damaged", "SHA-256", "remove it"):
        data.bike_sharing()


def test_auto_says_which_it_took(named: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.bike_sharing(source="auto")
    assert str(named) in capsys.readouterr().out
    data.bike_sharing(source="default")
    assert capsys.readouterr().out == ""
    named.unlink()
    assert data.bike_sharing().attrs["source"] == "the package ISLP"


def archive(folder: Path, member: str, content: str) -> str:
    """An archive with one member; its SHA-256."""
    with zipfile.ZipFile(folder / "bike.zip", "w") as members:
        members.writestr(member, content)
    return hashlib.sha256((folder / "bike.zip").read_bytes()).hexdigest()


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Puts an archive with one member onto the server."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def serve(member: str, content: str, sha256: str | None = None) -> None:
        made = archive(folder, member, content)
        address = f"http://127.0.0.1:{server.server_port}/bike.zip"
        monkeypatch.setattr(tables, "BIKE_SHARING_ARCHIVE", {address: sha256 or made})

    yield serve
    server.shutdown()
    server.server_close()


def test_full_fetches_once(mirror: Callable[..., None], cache: Path) -> None:
    mirror("day.csv", SMALL)
    assert data.bike_sharing(source="full").attrs["source"] == str(cache / "bike_sharing/day.csv")
    (cache / "bike_sharing/archive.zip").unlink()
    mirror("none", "")
    assert len(data.bike_sharing(source="full")) == len(data.bike_sharing()) == 2


@pytest.mark.parametrize("wrong", [{"member": "other.csv"}, {"sha256": "0" * 64}], ids=["no member", "checksum"])
def test_a_wrong_archive_is_one_sentence_and_leaves_no_table(
    mirror: Callable[..., None], cache: Path, wrong: dict[str, str]
) -> None:
    mirror(**{"member": "day.csv", "content": SMALL, **wrong})
    with refuses(OSError, "could not fetch", "TML_DATA_DIR/bike_sharing", "source='default'"):
        data.bike_sharing(source="full")
    assert not (cache / "bike_sharing/day.csv").exists()


# --- newsgroups ---


def test_without_the_posts_the_texts_that_are_there_are_named() -> None:
    for source in ("auto", "default"):
        with refuses(FileNotFoundError, "newsgroups", "docstrings()", "TML_DATA_DIR"):
            data.newsgroups(source=source)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: data.newsgroups("valid"), ("split", "'valid'")),
        (lambda: data.newsgroups(source="ful"), ("source", "'ful'")),
        (lambda: data.newsgroups(classes=("alt.theism",)), ("newsgroup", "'alt.theism'", "alt.atheism")),
        (lambda: data.newsgroups(classes=()), ("one newsgroup", "none")),
    ],
)
def test_wrong_names_of_posts_are_refused(call: Callable[[], object], words: tuple[str, ...]) -> None:
    with refuses(ValueError, *words):
        call()


def test_damaged_posts_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scikit_learn_data").mkdir()
    (tmp_path / "scikit_learn_data/20news-bydate_py3.pkz").write_bytes(b"cut")
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path))
    with refuses(ValueError, "20news-bydate_py3.pkz", "damaged", "remove it"):
        data.newsgroups()
    assert capsys.readouterr().out == ""


def test_posts_that_cannot_be_fetched_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn.datasets

    def unreachable(**named: Any) -> None:
        assert named["download_if_missing"]
        raise OSError("no route")

    monkeypatch.setattr(sklearn.datasets, "fetch_20newsgroups", unreachable)
    with refuses(OSError, "no route", "docstrings()"):
        data.newsgroups(source="full")


POST = """From: somebody@example.org (Some Body)
Subject: Re: a telescope

In article <1@example.org>, another@example.org writes:
> Which one should I buy?

The one with the larger mirror.

--
Some Body, somebody@example.org
"""
SILENT = "From: somebody@example.org\nSubject: Re: a telescope\n\n> Which one should I buy?\n"


@pytest.fixture
def few_posts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn's cache with three posts to train and one to test, in a named folder."""
    from sklearn.utils import Bunch

    space, atheism = (data.NEWSGROUPS.index(name) for name in ("sci.space", "alt.atheism"))

    def part(*posts: tuple[str, int]) -> Any:
        texts, labels = zip(*posts, strict=True)
        names = [f"{n}" for n in range(len(texts))]
        return Bunch(
            data=list(texts), target=np.array(labels), target_names=list(data.NEWSGROUPS), filenames=np.array(names)
        )

    parts = {
        "train": part((POST, space), (SILENT, space), (POST.replace("mirror", "church"), atheism)),
        "test": part((POST.replace("mirror", "lens"), space)),
    }
    (tmp_path / "scikit_learn_data").mkdir()
    packed = codecs.encode(pickle.dumps(parts), "zlib_codec")
    (tmp_path / "scikit_learn_data/20news-bydate_py3.pkz").write_bytes(packed)
    monkeypatch.setenv("TML_DATA_DIR", str(tmp_path))


def test_headers_footers_and_quotations_are_left_out_and_posts_without_more(few_posts: None) -> None:
    bare = data.newsgroups(classes=("sci.space", "alt.atheism"))
    assert [text.strip() for text in bare.texts] == [
        "The one with the larger mirror.",
        "The one with the larger church.",
    ]
    assert bare.labels.tolist() == [0, 1]
    assert [text.strip() for text in data.newsgroups("test").texts] == ["The one with the larger lens."]


def test_whole_posts_are_as_they_were_written(few_posts: None) -> None:
    whole = data.newsgroups(classes=("sci.space",), whole=True)
    assert whole.texts == [POST, SILENT]
    assert whole.labels.tolist() == [0, 0]


@pytest.mark.skipif(not POSTS.is_file(), reason="TML_FULL_DATA or TML_DATA_DIR names no folder with the newsgroups")
def test_the_posts_are_scikit_learns_in_the_order_of_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.datasets import fetch_20newsgroups

    classes = ("soc.religion.christian", "alt.atheism")
    theirs = fetch_20newsgroups(data_home=POSTS.parent, subset="test", categories=classes, download_if_missing=False)
    expected = {(post, theirs.target_names[k]) for post, k in zip(theirs.data, theirs.target, strict=True)}
    monkeypatch.setenv("TML_DATA_DIR", str(FULL))
    whole = data.newsgroups("test", classes=classes, whole=True)
    assert {(post, classes[k]) for post, k in zip(whole.texts, whole.labels.tolist(), strict=True)} == expected
    assert whole.classes == classes
    bare = data.newsgroups("test", classes=classes)
    assert 0 < len(bare) <= len(whole)
    assert all(post.strip() for post in bare.texts)
    headed = [sum(post.startswith("From: ") for post in part.texts) / len(part) for part in (whole, bare)]
    assert headed[0] > 0.9
    assert headed[1] < 0.05, "some posts repeat a header in their text"
