"""What instructors download from Canvas and Moodle, put where it is graded.

The names are those of Canvas's `content_zipper.rb` (name, LATE, the user's id, the file's id, the file's name) and of
Moodle's `mod_assign\\downloader` (full name, a number, assignsubmission_file, the file's name).
"""

import importlib
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import nbformat
import pytest
from courses import tiny_course, unfinished
from nbformat.v4 import new_notebook

from tml_helpers.grading import Collected, collect
from tml_helpers.grading.collect import Download, downloads
from tml_helpers.grading.course import Course

module = importlib.import_module("tml_helpers.grading.collect")  # the function has its name

Members = dict[str, bytes]


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course with `sums` of one notebook, and `pairs` of the two notebooks `left` and `task-1`."""
    place = tmp_path / "course"
    place.mkdir()
    tiny_course(place)
    (place / "masters/pairs").mkdir()
    for name in ("left", "task-1"):
        nbformat.write(new_notebook(), place / f"masters/pairs/{name}.ipynb")
    return place


def as_zip(place: Path, members: Members) -> Path:
    file = place / "download.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


def as_folder(place: Path, members: Members) -> Path:
    for name, content in members.items():
        file = place / "download" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return place / "download"


PACKINGS = pytest.mark.parametrize("pack", [as_zip, as_folder])
Pack = Callable[[Path, Members], Path]


def submitted(course: Path, assignment: str = "sums") -> dict[str, bytes]:
    """All files in `submitted/`, by what comes after it."""
    assert unfinished(course) == []
    files = [p for p in (course / "submitted").rglob("*") if not p.is_dir()]
    return {p.relative_to(course / "submitted").as_posix(): p.read_bytes() for p in files}


def notes(found: list[Collected]) -> dict[str, str]:
    return {c.student: c.note for c in found}


@PACKINGS
def test_canvas(course: Path, tmp_path: Path, pack: Pack) -> None:
    source = pack(
        tmp_path,
        {
            "doejane_12345_678910_sums.ipynb": b"jane",
            "müllerhans_LATE_234_678911_my homework_1_2-1.ipynb": b"hans",
            "roe_345_678912_essay.pdf": b"%PDF",
            "poe_456_text.html": b"<p>",
        },
    )
    found = collect("sums", source, course=course)
    assert submitted(course) == {"12345/sums/sums.ipynb": b"jane", "234/sums/sums.ipynb": b"hans"}
    assert found == [
        Collected("12345", course / "submitted/12345/sums/sums.ipynb"),
        Collected(
            "234",
            course / "submitted/234/sums/sums.ipynb",
            "late, says Canvas; 'my homework_1_2-1.ipynb' was renamed sums.ipynb",
        ),
        Collected("345", None, "left out 'essay.pdf': it is no notebook; there is no sums.ipynb"),
        Collected("456", None, "left out 'text.html': it is no notebook; there is no sums.ipynb"),
    ]


def test_anonymous_canvas(course: Path, tmp_path: Path) -> None:
    source = as_zip(tmp_path, {"anon_aB3xY_7_sums.ipynb": b"a", "LATE_anon_Zz9Qq_8_sums.ipynb": b"b"})
    found = collect("sums", source, course=course)
    assert notes(found) == {"anon_Zz9Qq": "late, says Canvas", "anon_aB3xY": ""}
    assert submitted(course) == {"anon_aB3xY/sums/sums.ipynb": b"a", "anon_Zz9Qq/sums/sums.ipynb": b"b"}


def test_of_canvas_versions_the_latest_is_taken_by_its_number(course: Path, tmp_path: Path) -> None:
    """9 comes before 100 though not as text; the order in the zip file says nothing."""
    versions = {"doe_1_9_sums.ipynb": b"old", "doe_1_100_sums-2.ipynb": b"new", "doe_1_20_sums-1.ipynb": b"old"}
    found = collect("sums", as_zip(tmp_path, versions), course=course)
    assert submitted(course) == {"1/sums/sums.ipynb": b"new"}
    assert notes(found)["1"].startswith("of 3 versions the latest was taken, 'sums-2.ipynb'")


def test_two_in_canvas_of_the_same_name_stay_two(course: Path, tmp_path: Path) -> None:
    collect("sums", as_zip(tmp_path, {"doe_1_10_sums.ipynb": b"a", "doe_2_11_sums.ipynb": b"b"}), course=course)
    assert submitted(course) == {"1/sums/sums.ipynb": b"a", "2/sums/sums.ipynb": b"b"}


@PACKINGS
@pytest.mark.parametrize("end", ["_assignsubmission_file_/", "_assignsubmission_file/", "_assignsubmission_file_"])
def test_moodle(course: Path, tmp_path: Path, pack: Pack, end: str) -> None:
    """With folders (older and newer Moodle), and without; two students may have one name."""
    source = pack(
        tmp_path,
        {
            f"Jane Doe_12345{end}original.ipynb": b"jane",
            f"Jane Doe_12346{end}sums.ipynb": b"another",
            f"Jürgen O'Neil_7{end}sums.ipynb": b"j",
            "Ada L_8_assignsubmission_onlinetext_/onlinetext.html": b"<p>",
        },
    )
    found = collect("sums", source, course=course)
    assert submitted(course) == {
        "Jane_Doe_12345/sums/sums.ipynb": b"jane",
        "Jane_Doe_12346/sums/sums.ipynb": b"another",
        "Jürgen_O_Neil_7/sums/sums.ipynb": b"j",
    }
    assert notes(found) == {
        "Ada_L_8": "left out 'onlinetext.html': it is no notebook; there is no sums.ipynb",
        "Jane_Doe_12345": "'original.ipynb' was renamed sums.ipynb",
        "Jane_Doe_12346": "",
        "Jürgen_O_Neil_7": '"Jürgen_O\'Neil_7" was renamed Jürgen_O_Neil_7',
    }


def test_moodle_with_a_folder_inside_and_text_beside(course: Path, tmp_path: Path) -> None:
    source = as_zip(
        tmp_path,
        {
            "Jane Doe_1_assignsubmission_file_/work/sums.ipynb": b"jane",
            "Jane Doe_1_assignsubmission_onlinetext_/onlinetext.html": b"<p>",
        },
    )
    found = collect("sums", source, course=course)
    assert notes(found) == {"Jane_Doe_1": "left out 'onlinetext.html': it is no notebook"}
    assert submitted(course) == {"Jane_Doe_1/sums/sums.ipynb": b"jane"}


@pytest.mark.parametrize("name", ["doe_1_10_sums.ipynb", "Jane Doe_1_assignsubmission_file_/sums.ipynb"])
def test_download_that_was_packed_again_in_a_folder(course: Path, tmp_path: Path, name: str) -> None:
    source = as_zip(tmp_path, {f"class of 2026/{name}": b"x", f"__MACOSX/class of 2026/._{name}": b"junk"})
    assert [c.student for c in collect("sums", source, course=course)] == ["1" if "doe_1" in name else "Jane_Doe_1"]


@PACKINGS
def test_plain(course: Path, tmp_path: Path, pack: Pack) -> None:
    source = pack(
        tmp_path,
        {
            "anna/sums.ipynb": b"anna",
            "anna/data.csv": b"1",
            "anna/.ipynb_checkpoints/sums-checkpoint.ipynb": b"old",
            "bea/some/where/homework.ipynb": b"bea",
            "carl.ipynb": b"carl",
            "dora@example.org/sums (2).ipynb": b"dora",
            ".DS_Store": b"",
        },
    )
    found = collect("sums", source, course=course)
    assert submitted(course) == {
        "anna/sums/sums.ipynb": b"anna",
        "bea/sums/sums.ipynb": b"bea",
        "carl/sums/sums.ipynb": b"carl",
        "dora@example.org/sums/sums.ipynb": b"dora",
    }
    assert notes(found) == {
        "anna": "left out 'data.csv': it is no notebook",
        "bea": "'homework.ipynb' was renamed sums.ipynb",
        "carl": "'carl.ipynb' was renamed sums.ipynb",
        "dora@example.org": "'sums (2).ipynb' was renamed sums.ipynb",
    }


def test_plain_names_that_are_not_canvas_s(course: Path, tmp_path: Path) -> None:
    """Its numbers have no leading zeros. An umlaut may be written as two characters, as a Mac does."""
    source = as_zip(tmp_path, {"hw_01_2_anna.ipynb": b"a", "hw_01_2_bea.ipynb": b"b", "Mu\u0308ller.ipynb": b"m"})
    collect("sums", source, course=course)
    assert submitted(course) == {
        "hw_01_2_anna/sums/sums.ipynb": b"a",
        "hw_01_2_bea/sums/sums.ipynb": b"b",
        "M\u00fcller/sums/sums.ipynb": b"m",
    }


def test_another_assignments_file_is_not_taken_for_this(course: Path, tmp_path: Path) -> None:
    """A copy of a whole `submitted/` has everything of a student."""
    source = as_zip(tmp_path, {"anna/pairs/left.ipynb": b"pairs", "bea/sums/sums.ipynb": b"sums"})
    found = collect("sums", source, course=course)
    assert submitted(course) == {"bea/sums/sums.ipynb": b"sums"}
    assert "'anna/pairs/left.ipynb': it belongs to another assignment" in notes(found)["anna"]


def test_latest_of_plain_versions(course: Path, tmp_path: Path) -> None:
    """By its time; where that is the same, by the number that a browser adds."""
    source = tmp_path / "download.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr(zipfile.ZipInfo("anna/sums.ipynb", (2026, 3, 1, 12, 0, 0)), "new")
        archive.writestr(zipfile.ZipInfo("anna/sums (1).ipynb", (2026, 2, 28, 12, 0, 0)), "old")
        archive.writestr(zipfile.ZipInfo("bea/sums (9).ipynb", (2026, 3, 1, 12, 0, 0)), "old")
        archive.writestr(zipfile.ZipInfo("bea/sums (10).ipynb", (2026, 3, 1, 12, 0, 0)), "new")
        archive.writestr(zipfile.ZipInfo("bea/sums (2).ipynb", (2026, 3, 1, 12, 0, 0)), "old")
    found = collect("sums", source, course=course)
    assert set(submitted(course).values()) == {b"new"}
    assert notes(found)["anna"] == "of 2 versions the latest was taken, 'sums.ipynb'"


def test_latest_version_in_a_folder(course: Path, tmp_path: Path) -> None:
    source = as_folder(tmp_path, {"anna/sums.ipynb": b"old", "anna/again/sums.ipynb": b"new"})
    os.utime(source / "anna/sums.ipynb", (1e9, 1e9))
    collect("sums", source, course=course)
    assert submitted(course) == {"anna/sums/sums.ipynb": b"new"}


def test_right_name_wins_and_a_choice_is_not_guessed(course: Path, tmp_path: Path) -> None:
    source = as_zip(
        tmp_path,
        {
            "anna/notes.ipynb": b"1",
            "anna/Sums-1.ipynb": b"2",
            "bea/one.ipynb": b"3",
            "bea/two.ipynb": b"4",
        },
    )
    found = collect("sums", source, course=course)
    assert submitted(course) == {"anna/sums/sums.ipynb": b"2"}
    assert "left out 'notes.ipynb': no notebook of the assignment has this name" in notes(found)["anna"]
    assert found[1].file is None
    assert all(part in notes(found)["bea"] for part in ("'one.ipynb'", "'two.ipynb'", "there is no sums.ipynb"))


@pytest.mark.parametrize(
    "name", ["doejane_12345_sums.ipynb", "doejane_12345-678910_sums.ipynb", "doejane 12345 678910 sums.ipynb"]
)
def test_a_name_that_is_nearly_canvas_s_is_asked_about(course: Path, tmp_path: Path, name: str) -> None:
    """It would be a student of its own, and the one whose it is would have sent nothing."""
    source = as_zip(tmp_path, {"poe_1_10_sums.ipynb": b"a", "roe_2_11_sums.ipynb": b"b", name: b"c"})
    found = collect("sums", source, course=course)
    assert submitted(course) == {"1/sums/sums.ipynb": b"a", "2/sums/sums.ipynb": b"b"}
    assert found[2].file is None
    assert found[2].note == (
        f"{name!r} is not named as Canvas names the others: give it its name back, "
        "or put it by hand into submitted/STUDENT/sums/"
    )


def test_a_folder_that_is_nearly_moodle_s_is_asked_about(course: Path, tmp_path: Path) -> None:
    end = "_assignsubmission_file_/sums.ipynb"
    source = as_folder(tmp_path, {f"Ann A_1{end}": b"a", f"Bea B_2{end}": b"b", "Cy C_3_file_/sums.ipynb": b"c"})
    found = collect("sums", source, course=course)
    assert submitted(course) == {"Ann_A_1/sums/sums.ipynb": b"a", "Bea_B_2/sums/sums.ipynb": b"b"}
    assert [(c.student, c.file) for c in found][2] == ("Cy_C_3_file_", None)
    assert found[2].note.startswith("'Cy C_3_file_' is not named as Moodle names the others")


def test_half_a_platform_s_is_no_platform_s(course: Path, tmp_path: Path) -> None:
    """A plain class has a file that happens to look like Canvas's."""
    collect("sums", as_zip(tmp_path, {"hw_2026_1_anna.ipynb": b"a", "bea.ipynb": b"b"}), course=course)
    assert submitted(course) == {"2026/sums/sums.ipynb": b"a", "bea/sums/sums.ipynb": b"b"}


def test_how_a_file_was_named_is_remembered(course: Path, tmp_path: Path) -> None:
    """The latest name, also where its content was there already; what was not taken has none."""
    first = {"doe_1_10_sums.ipynb": b"a", "roe_LATE_2_11_sums.ipynb": b"b", "poe_3_12_essay.pdf": b"c"}
    collect("sums", as_zip(tmp_path, {f"all/{name}": content for name, content in first.items()}), course=course)
    collect("sums", as_zip(tmp_path, {"doe_1_20_sums-1.ipynb": b"a"}), course=course)
    assert downloads(Course.open(course), "sums") == {
        "1": {"sums": Download("canvas", "doe_1_20_sums-1.ipynb", late=False)},
        "2": {"sums": Download("canvas", "roe_LATE_2_11_sums.ipynb", late=True)},
        "3": {},
    }
    collect("pairs", as_zip(tmp_path, {"Ä B_4_assignsubmission_file_/x/left.ipynb": b"a"}), course=course)
    name = "Ä B_4_assignsubmission_file_/x/left.ipynb"
    assert downloads(Course.open(course), "pairs") == {"Ä_B_4": {"left": Download("moodle", name, late=False)}}


def test_several_notebooks(course: Path, tmp_path: Path) -> None:
    """The name that an assignment gives is no version: `task-1` is not `task`. A lone notebook is not guessed."""
    source = as_zip(
        tmp_path,
        {
            "doe_1_10_left-2.ipynb": b"left",
            "doe_1_11_task-1 (3).ipynb": b"task",
            "doe_1_12_right.ipynb": b"?",
            "roe_2_13_task-1.ipynb": b"task",
            "poe_3_14_task.ipynb": b"?",
        },
    )
    found = collect("pairs", source, course=course)
    assert submitted(course) == {
        "1/pairs/left.ipynb": b"left",
        "1/pairs/task-1.ipynb": b"task",
        "2/pairs/task-1.ipynb": b"task",
    }
    assert [c.file for c in found] == [course / "submitted/1/pairs", course / "submitted/2/pairs/task-1.ipynb", None]
    assert "left out 'right.ipynb'" in notes(found)["1"]
    assert notes(found)["2"] == "there is no left.ipynb"
    assert notes(found)["3"].endswith("there is no left.ipynb and no task-1.ipynb")


@pytest.mark.parametrize(
    ("name", "student"),
    [
        (".hidden", "_hidden"),
        ("a b:c*d", "a_b_c_d"),
        ("$(reboot)", "__reboot_"),
        ("line\nbreak", "line_break"),
        ("☆", "_"),
        ("李明", "李明"),
        ("o.k-_@+9", "o.k-_@+9"),
        ("x" * 200, "x" * 64),
        (200 * "x" + "_77", "x" * 64 + "_77"),
    ],
)
@PACKINGS
def test_students_ids_are_safe_as_folders(course: Path, tmp_path: Path, name: str, student: str, pack: Pack) -> None:
    found = collect("sums", pack(tmp_path, {f"{name}/sums.ipynb": b"x"}), course=course)
    assert submitted(course) == {f"{student}/sums/sums.ipynb": b"x"}
    assert found[0].student == student
    assert found[0].note == ("" if name == student else f"{name!r} was renamed {student}")


@pytest.mark.parametrize(
    "names",
    [
        ("a b/sums.ipynb", "a:b/sums.ipynb"),
        ("Anna/sums.ipynb", "anna/sums.ipynb"),
        ("x" * 70 + "/sums.ipynb", "x" * 71 + "/sums.ipynb"),
        ("7/sums.ipynb", "doe_7_8_sums.ipynb"),
        ("hw_2026_1_anna.ipynb", "hw_2026_1_bea.ipynb"),
        ("anna_2026_1_hw.ipynb", "bea_2026_2_hw.ipynb"),
    ],
)
def test_two_students_never_fall_together(course: Path, tmp_path: Path, names: tuple[str, str]) -> None:
    source = as_zip(tmp_path, {"zoe/sums.ipynb": b"z", names[0]: b"a", names[1]: b"b"})
    with pytest.raises(ValueError, match=r"would (both )?become") as refusal:
        collect("sums", source, course=course)
    assert "\n" not in str(refusal.value)
    assert submitted(course) == {}


@pytest.mark.parametrize(
    "evil",
    [
        "../../evil.ipynb",
        "anna/../../../evil.ipynb",
        "/tmp/evil.ipynb",
        "C:/evil.ipynb",
        "..\\..\\evil.ipynb",
        "C:\\evil.ipynb",
    ],
)
def test_member_that_climbs_out(course: Path, tmp_path: Path, evil: str) -> None:
    before = {p for p in tmp_path.rglob("*") if "course/submitted" not in str(p)}
    source = as_zip(tmp_path, {evil: b"evil", "bea/sums.ipynb": b"bea"})
    found = collect("sums", source, course=course)
    assert submitted(course) == {"bea/sums/sums.ipynb": b"bea"}
    left_out = [c for c in found if c.file is None]
    assert ["it is a path that leads elsewhere" in c.note for c in left_out] == [True]
    after = {p for p in tmp_path.rglob("*") if "course/submitted" not in str(p)}
    state = course / ".tml-grading"
    assert after - before == {source, state, state / "sums", state / "sums/downloads.json", state / "lock"}


def test_evil_member_does_not_stop_the_class(course: Path, tmp_path: Path) -> None:
    """Under a name that Canvas gave to another file."""
    source = as_zip(tmp_path, {"doe_1_10_sums.ipynb": b"doe", "../doe_1_10_sums.ipynb": b"evil"})
    assert len(collect("sums", source, course=course)) == 1
    assert submitted(course) == {"1/sums/sums.ipynb": b"doe"}


def test_links_and_pipes_are_not_followed(course: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.ipynb"
    secret.write_text("secret", encoding="utf-8")
    folder = as_folder(tmp_path, {"anna/notes.txt": b"", "zoe/sums.ipynb": b"zoe"})
    (folder / "anna/sums.ipynb").symlink_to(secret)
    os.mkfifo(folder / "bea.ipynb")
    (folder / "carl").symlink_to(folder / "zoe")
    link = zipfile.ZipInfo("anna/sums.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive = as_zip(tmp_path, {"zoe/sums.ipynb": b"zoe"})
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(link, str(secret))
    for source in (folder, archive):
        found = collect("sums", source, course=course)
        assert submitted(course) == {"zoe/sums/sums.ipynb": b"zoe"}
        assert "a link or no plain file" in notes(found)["anna"]
    left_out = {student for student, note in notes(collect("sums", folder, course=course)).items() if "a link" in note}
    assert left_out == {"anna", "bea", "carl"}


def test_too_large_a_file_is_left_out(course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ONE_FILE", 2**20)
    source = as_zip(tmp_path, {"anna/sums.ipynb": bytes(2**20 + 1), "bea/sums.ipynb": bytes(2**20)})
    found = collect("sums", source, course=course)
    assert list(submitted(course)) == ["bea/sums/sums.ipynb"]
    assert notes(found)["anna"] == "left out 'sums.ipynb': it has more than 1 MiB"


def test_header_that_lies_about_the_size(course: Path, tmp_path: Path) -> None:
    """Ten million zeros that call themselves 10 bytes."""
    source = as_zip(tmp_path, {"anna/sums.ipynb": bytes(10**7), "bea/sums.ipynb": b"bea"})
    content = source.read_bytes()
    assert content.count((10**7).to_bytes(4, "little")) == 2
    source.write_bytes(content.replace((10**7).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    found = collect("sums", source, course=course)
    assert list(submitted(course)) == ["bea/sums/sums.ipynb"]
    assert "it cannot be read" in notes(found)["anna"]


@pytest.mark.parametrize("sizes", [(600, 600), (2000, 2000)])
def test_bomb_of_many_files(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int]
) -> None:
    """The limit counts what is unpacked, also of files that are too large one by one."""
    monkeypatch.setattr(module, "ONE_FILE", 1000)
    monkeypatch.setattr(module, "ALL_FILES", 1100)
    source = as_zip(tmp_path, {f"student{i}/sums.ipynb": bytes(size) for i, size in enumerate(sizes)})
    with pytest.raises(ValueError, match="the notebooks hold more than"):
        collect("sums", source, course=course)
    assert submitted(course) == {}


@PACKINGS
def test_too_many_files(course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Pack) -> None:
    monkeypatch.setattr(module, "MEMBERS", 3)
    members = {f"student{i}/sums.ipynb": b"" for i in range(3)}
    assert len(collect("sums", pack(tmp_path, members), course=course)) == 3
    with pytest.raises(ValueError, match="holds more than 3 files"):
        collect("sums", pack(tmp_path, {**members, "one/more.txt": b""}), course=course)


def test_name_that_is_no_text(course: Path, tmp_path: Path) -> None:
    """The list of a zip file may say that a name is UTF-8 when it is not, or have an empty one."""
    source = as_zip(tmp_path, {"ä.ipynb": b"x"})
    source.write_bytes(source.read_bytes().replace("ä".encode(), b"\xff\xff"))
    with pytest.raises(ValueError, match="not a whole zip file"):
        collect("sums", source, course=course)
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"x")
    with pytest.raises(ValueError, match="is empty"):
        collect("sums", source, course=course)


def test_damaged_member_costs_only_its_owner(course: Path, tmp_path: Path) -> None:
    source = as_zip(tmp_path, {"anna/sums.ipynb": os.urandom(1000), "bea/sums.ipynb": b"bea"})
    content = bytearray(source.read_bytes())
    content[100:110] = bytes(10)
    source.write_bytes(content)
    found = collect("sums", source, course=course)
    assert submitted(course) == {"bea/sums/sums.ipynb": b"bea"}
    assert "it cannot be read" in notes(found)["anna"]


def test_former_submissions_are_kept(course: Path, tmp_path: Path) -> None:
    former = course / ".tml-grading/sums/former/1"
    for content in (b"one", b"two", b"two", b"three", b"four"):
        found = collect("sums", as_zip(tmp_path, {"doe_1_10_sums.ipynb": content}), course=course)
        assert submitted(course) == {"1/sums/sums.ipynb": content}
    assert {p.relative_to(former).as_posix(): p.read_bytes() for p in former.rglob("*.ipynb")} == {
        "1/sums.ipynb": b"one",
        "2/sums.ipynb": b"two",
        "3/sums.ipynb": b"three",
    }
    assert notes(found) == {"1": "the former sums.ipynb is now .tml-grading/sums/former/1/3/sums.ipynb"}


def test_equal_submission_stays_as_it_is(course: Path, tmp_path: Path) -> None:
    source = as_zip(tmp_path, {"anna.ipynb": b"same"})
    file = collect("sums", source, course=course)[0].file
    assert file
    os.utime(file, (1e9, 1e9))
    found = collect("sums", source, course=course)
    assert file.stat().st_mtime == 1e9
    assert found[0].file == file
    assert "sums.ipynb was there already" in found[0].note
    assert not (course / ".tml-grading/sums/former").exists()


def test_time_of_a_former_submission_goes_with_it(course: Path, tmp_path: Path) -> None:
    """For nbgrader, `timestamp.txt` tells when what lies beside it was handed in."""
    folder = course / "submitted/anna/sums"
    folder.mkdir(parents=True)
    (folder / "sums.ipynb").write_bytes(b"old")
    (folder / "timestamp.txt").write_text("2026-01-01 12:00:00 UTC", encoding="utf-8")
    (folder / "data.csv").write_text("1", encoding="utf-8")
    collect("sums", as_zip(tmp_path, {"anna.ipynb": b"new"}), course=course)
    assert submitted(course) == {"anna/sums/sums.ipynb": b"new", "anna/sums/data.csv": b"1"}
    assert sorted(p.name for p in (course / ".tml-grading/sums/former/anna/1").iterdir()) == [
        "sums.ipynb",
        "timestamp.txt",
    ]


def test_what_cannot_be_written_leaves_what_was_there(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect("sums", as_zip(tmp_path, {"anna.ipynb": b"old"}), course=course)
    copy = shutil.copyfile

    def full(source: Path, to: Path) -> Path:
        if "former" in str(to):
            return copy(source, to)
        Path(to).write_bytes(b"ne")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        collect("sums", as_zip(tmp_path, {"anna.ipynb": b"new"}), course=course)
    assert submitted(course) == {"anna/sums/sums.ipynb": b"old"}


def test_full_disk_is_no_student_s_fault(course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While unpacking it raises: it is not written down as a file that cannot be read."""
    source = as_zip(tmp_path, {"anna.ipynb": b"new"})

    def full_disk(*_: object) -> IO[bytes]:
        return open("/dev/full", "wb", buffering=0)

    monkeypatch.setattr(module, "open", full_disk, raising=False)
    with pytest.raises(OSError, match="No space left"):
        collect("sums", source, course=course)


def test_one_sentence_says_what_to_do(course: Path, tmp_path: Path) -> None:
    whole = as_zip(tmp_path, {"anna.ipynb": b"x"})
    half = tmp_path / "half.zip"
    half.write_bytes(whole.read_bytes()[:-10])
    text = tmp_path / "download.txt"
    text.write_text("no zip file", encoding="utf-8")
    empty, nothing = tmp_path / "empty", tmp_path / "nothing"
    empty.mkdir()
    as_folder(nothing, {"anna/essay.pdf": b""})
    no_members = tmp_path / "none.zip"
    zipfile.ZipFile(no_members, "w").close()
    for assignment, source, kind, words in [
        ("nose", whole, ValueError, "there is no assignment 'nose'"),
        ("sums", tmp_path / "gone.zip", FileNotFoundError, "name what you downloaded"),
        ("sums", half, ValueError, "not a whole zip file: download it again"),
        ("sums", text, ValueError, "not a whole zip file"),
        ("sums", empty, ValueError, "is empty"),
        ("sums", no_members, ValueError, "is empty"),
        ("sums", nothing, ValueError, "holds no notebooks"),
    ]:
        with pytest.raises(kind, match=words) as refusal:
            collect(assignment, source, course=course)
        assert "\n" not in str(refusal.value)
    assert submitted(course) == {}
