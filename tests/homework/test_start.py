"""A student's copy of a homework: made, never overwritten, its links leading to the course's site."""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from courses import ROOT, read

from tml_helpers import cli, grading, machine
from tml_helpers.grading.start import homework, linked

NAMES = sorted(folder.name for folder in (ROOT / "solutions").glob("h*_*"))
SITE = "https://me.github.io/course"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This folder, which is empty; the course's address is not known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "site", lambda: None)
    return tmp_path


@pytest.mark.parametrize("name", ["h1", "H1", "h1_distillation", "H1_Distillation"])
def test_a_homework_is_named_in_short_or_in_full(name: str) -> None:
    file = grading.start(name)
    assert file == Path("h1_distillation/h1_distillation.ipynb")
    copy, released = read(file), read(ROOT / "exercises" / file)
    assert [c for c in copy.cells if c.cell_type == "code"] == [c for c in released.cells if c.cell_type == "code"]
    assert [c.metadata for c in copy.cells] == [c.metadata for c in released.cells]
    assert copy.metadata == released.metadata


@pytest.mark.parametrize("name", ["h10", "h", "", "distillation", "h1_", "../h1_distillation"])
def test_an_unknown_homework_is_told_which_there_are(name: str, here: Path) -> None:
    with pytest.raises(ValueError, match=rf"no homework '{name}'; there are: {', '.join(NAMES)}$"):
        grading.start(name)
    assert list(here.iterdir()) == []


def test_every_homework_is_ready_to_be_started(here: Path) -> None:
    assert list(homework()) == NAMES
    for name in NAMES:
        assert any(": no answer yet" in said for said in grading.check(grading.start(name)))


def test_work_is_never_overwritten(here: Path) -> None:
    file = grading.start("h1")
    file.write_text("my work", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"is there already and stays as it is.*--to$"):
        grading.start("h1")
    assert file.read_text(encoding="utf-8") == "my work"


def test_the_folder_may_be_named_and_be_there(here: Path) -> None:
    (here / "my course").mkdir()
    (here / "my course/notes.txt").write_text("mine", encoding="utf-8")
    assert grading.start("h1", to=Path("my course")) == Path("my course/h1_distillation.ipynb")
    assert (here / "my course/notes.txt").read_text(encoding="utf-8") == "mine"
    assert grading.start("h1", to=Path("a/b")).is_file()
    (here / "taken").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"^taken is a file"):
        grading.start("h1", to=Path("taken"))


PAGE = "exercises/h1/h1.ipynb"
AS_THEY_ARE = [
    "[a](https://x.org/b.md) [b](#task-1) [c](mailto:x@y.z)",
    "![alt](picture.png), [0, 1] (x), `f[i](../x.md)`, $[0, 1](x)$",
    "```\n[a](b.md)\n```",
    "$$\n[a](b)\n$$",
]


@pytest.mark.parametrize(("text", "to_the_site", "alone"), [
    ("see [1.1](../../lectures/10/a.ipynb).", f"see [1.1]({SITE}/lectures/10/a.html).", "see 1.1."),
    ("[a *b*](../../book/n.md#p-t), [c](x.md)", f"[a *b*]({SITE}/book/n.html#p-t), [c]({SITE}/exercises/name/x.html)",
     "a *b*, c"),
    *((text, text, text) for text in AS_THEY_ARE),
])  # fmt: skip
def test_links_to_the_course_lead_to_its_site_or_keep_their_words(text: str, to_the_site: str, alone: str) -> None:
    assert linked(SITE, text) == to_the_site
    assert linked(None, text) == alone


def test_links_of_a_copy_lead_to_the_site(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    """Those of the course's text alone: a cell that is graded stays as it is, or it would count as changed."""
    released = read(homework()["h1_distillation"])
    graded = next(c for c in released.cells if c.cell_type == "markdown" and "nbgrader" in c.metadata)
    released.cells[0].source = graded.source = "[lecture 1.1](../../lectures/10_distillation/response_based.ipynb)"
    (here / "released/h1_distillation").mkdir(parents=True)
    nbformat.write(released, here / "released/h1_distillation/h1_distillation.ipynb")
    monkeypatch.setitem(vars(sys.modules["tml_helpers.grading.start"]), "FOLDER", here / "released")
    monkeypatch.setattr(machine, "site", lambda: SITE)
    copy = read(grading.start("h1"))
    assert copy.cells[0].source == f"[lecture 1.1]({SITE}/lectures/10_distillation/response_based.html)"
    for mine, original in zip(copy.cells, released.cells, strict=True):
        if mine.cell_type == "code" or "nbgrader" in mine.metadata:
            assert mine == original


def test_it_says_what_to_do_next(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    assert cli.main(["start", "h1"]) == 0
    file = Path("h1_distillation/h1_distillation.ipynb")
    assert capsys.readouterr().out.splitlines() == [
        f"wrote {file}",
        f"to work in it, run `jupyter lab {file}`, or upload it to Colab: File, Upload notebook",
        f"before you submit it, run `tml check {file}`",
    ]
    assert cli.main(["start", "h1"]) == 1
    assert capsys.readouterr().err.startswith(f"tml: {file} is there already and stays as it is")
    assert cli.main(["start", "h1", "--to", "my course"]) == 0
    assert f'`tml check "{Path("my course/h1_distillation.ipynb")}"`' in capsys.readouterr().out


def test_the_way_is_the_same_wherever_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["start", "h1"])
    open_it, check_it = re.findall(r"`([^`]+)`", capsys.readouterr().out)
    for page in ("README.md", "book/how_to_use.md"):
        lines = [line.partition("#")[0].strip() for line in (ROOT / page).read_text(encoding="utf-8").splitlines()]
        places = [lines.index(command) for command in ("tml start h1", open_it, check_it)]
        assert places == sorted(places), page
    for name in NAMES:
        (source,) = (ROOT / "solutions" / name).glob("*.py")
        first = source.read_text(encoding="utf-8").split("# %%")[1]
        assert f"`tml start {name.partition('_')[0]}`" in first
        assert f"\n# tml check {name}.ipynb\n" in first
