"""Feedback in one archive: the names that Canvas and Moodle look for, read as they read them."""

import re
import zipfile
from pathlib import Path

import nbformat
import pytest
from courses import tiny_course, unfinished
from nbformat.v4 import new_notebook

from tml_helpers.grading import GivenBack, collect, give_back


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course with `sums` of one notebook, and `pairs` of the two notebooks `left` and `link`."""
    place = tmp_path / "course"
    place.mkdir()
    tiny_course(place)
    (place / "masters/pairs").mkdir()
    for name in ("left", "link"):
        nbformat.write(new_notebook(), place / f"masters/pairs/{name}.ipynb")
    return place


def collected(course: Path, assignment: str, names: list[str], *, page: bool = True) -> None:
    """What was downloaded under these names, and a page for each notebook of everybody's."""
    source = course.parent / "download.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    for found in collect(assignment, source, course=course):
        folder = course / "feedback" / found.student / assignment
        folder.mkdir(parents=True, exist_ok=True)
        for file in (course / "submitted" / found.student / assignment).glob("*.ipynb") if page else []:
            (folder / f"{file.stem}.html").write_text(f"{found.student}'s {file.stem}", encoding="utf-8")


def archive(course: Path, assignment: str, platform: str) -> tuple[dict[str, str], list[GivenBack]]:
    """What is written, by the names in it."""
    file = course.parent / "back.zip"
    given = give_back(assignment, file, platform=platform, course=course)
    assert not [*unfinished(course), *file.parent.glob(".unfinished-*")]
    with zipfile.ZipFile(file) as opened:
        return {name: opened.read(name).decode() for name in opened.namelist()}, given


def in_canvas(name: str) -> tuple[str, str] | None:
    """The student and the file that Canvas takes a name for, as its `infer_comment_context_from_filename` does."""
    parts = [part for part in name.split("_") if part != "LATE"]
    if parts[-1].startswith("link"):
        return None
    if parts[0] == "anon":
        return parts[1], parts[2]
    numbers = [part for part in parts if re.fullmatch(r"\d+", part)]
    return (numbers[0], numbers[1]) if len(numbers) > 1 else None


def in_moodle(path: str) -> tuple[str, str] | None:
    """The participant, and the file's name, as Moodle's `is_valid_filename_for_import` does."""
    parts = path.split("/")
    while parts:
        info = parts.pop(0).split("_", 4)
        if len(info) >= 4 and info[1].isdecimal() and info[2:4] == ["assignsubmission", "file"]:
            return info[1], "/".join([info[4] if len(info) == 5 else "", *parts]).lstrip("/")
    return None


def test_canvas(course: Path) -> None:
    """Each comes to its student's file, also where Canvas added that it was late, or hid the name."""
    names = [
        "doejane_12345_678910_sums.ipynb",
        "roe_LATE_234_678911_my_home_work_1_2-1.ipynb",
        "anon_aB3xY_7_sums.ipynb",
        "LATE_anon_Zz9Qq_8_link.ipynb",
    ]
    collected(course, "sums", names)
    pages, given = archive(course, "sums", "canvas")
    assert {in_canvas(name): text for name, text in pages.items()} == {
        ("12345", "678910"): "12345's sums",
        ("234", "678911"): "234's sums",
        ("aB3xY", "7"): "anon_aB3xY's sums",
        ("Zz9Qq", "8"): "anon_Zz9Qq's sums",
    }
    assert all(name.endswith(".html") and "/" not in name for name in pages)
    assert GivenBack("12345", ("doejane_12345_678910_feedback.html",)) in given


@pytest.mark.parametrize("end", ["_assignsubmission_file_/", "_assignsubmission_file/", "_assignsubmission_file_"])
def test_moodle(course: Path, end: str) -> None:
    """With folders, of older and newer Moodle, and without."""
    collected(course, "sums", [f"Jane Doe_12345{end}mine.ipynb", f"Jürgen O'Neil_7{end}sums.ipynb"])
    pages, given = archive(course, "sums", "moodle")
    assert {in_moodle(name): text for name, text in pages.items()} == {
        ("12345", "sums.html"): "Jane_Doe_12345's sums",
        ("7", "sums.html"): "Jürgen_O_Neil_7's sums",
    }
    assert [g.student for g in given] == ["Jane_Doe_12345", "Jürgen_O_Neil_7"]


def test_several_notebooks(course: Path) -> None:
    """A name that begins with `link` is one that Canvas passes over."""
    collected(course, "pairs", ["doe_1_10_left.ipynb", "doe_1_11_link.ipynb"])
    pages, given = archive(course, "pairs", "canvas")
    assert {in_canvas(name): text for name, text in pages.items()} == {("1", "10"): "1's left", ("1", "11"): "1's link"}
    assert [len(g.pages) for g in given] == [2]
    collected(course, "pairs", [f"J D_2_assignsubmission_file_/x/{name}.ipynb" for name in ("left", "link")])
    pages, _ = archive(course, "pairs", "moodle")
    assert {in_moodle(name) for name in pages} == {("2", "left.html"), ("2", "link.html")}


def test_the_latest_hand_in_gets_the_page(course: Path) -> None:
    """In Canvas a file belongs to one attempt: the page of another would be passed over."""
    collected(course, "sums", ["doe_1_10_sums.ipynb"])
    collected(course, "sums", ["doe_1_22_sums-1.ipynb"])
    assert [in_canvas(name) for name in archive(course, "sums", "canvas")[0]] == [("1", "22")]


def test_who_gets_none_is_told(course: Path) -> None:
    collected(course, "sums", ["doe_1_10_sums.ipynb"])
    collected(course, "sums", ["poe_2_11_sums.ipynb"], page=False)
    collected(course, "sums", ["zoe/sums.ipynb"])
    by_hand = course / "submitted/ann/sums/sums.ipynb"
    by_hand.parent.mkdir(parents=True)
    by_hand.touch()
    pages, given = archive(course, "sums", "canvas")
    assert len(pages) == 1
    assert {g.student: g.note for g in given} == {
        "1": "",
        "2": "there is no page yet: run `tml grade`",
        "ann": "it did not come from Canvas: send the page yourself",
        "zoe": "it did not come from Canvas: send the page yourself",
    }


def test_one_sentence_says_what_to_do(course: Path) -> None:
    file = course.parent / "back.zip"
    for assignment, platform, to, kind, words in [
        ("sums", "excel", file, ValueError, "no layout 'excel': take canvas or moodle"),
        ("nose", "canvas", file, ValueError, "there is no assignment 'nose'"),
        ("sums", "canvas", file, ValueError, "no page of sums can go back to Canvas: first run"),
        ("sums", "moodle", course / "no/back.zip", FileNotFoundError, "there is no folder"),
    ]:
        with pytest.raises(kind, match=words):
            give_back(assignment, to, platform=platform, course=course)  # type: ignore[arg-type]
    assert not file.exists()
