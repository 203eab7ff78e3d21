"""Numbers, captions and references of figures and equations; labels of folded cells; what a shared link shows."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import folded
import numbering
import pytest
import sharing
from bs4 import BeautifulSoup
from nbformat import NotebookNode, from_dict
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, writes
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

Build = Callable[[dict[str, str]], tuple[dict[str, BeautifulSoup], list[str]]]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build pages, the first of which has the others below it; returns them and the warnings."""

    def run(pages: dict[str, str]) -> tuple[dict[str, BeautifulSoup], list[str]]:
        for name, text in pages.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        names = [Path(name).stem for name in pages]
        settings = {
            "source_suffix": {".md": "myst-nb", ".ipynb": "myst-nb"},
            "extensions": ["myst_nb", "numbering", "folded", "sharing"],
            "myst_enable_extensions": ["deflist", "dollarmath"],
            "nb_execution_mode": "off",
            "math_numfig": False,
            "root_doc": names[0],
            "html_title": "A course",
        }
        warnings = io.StringIO()
        out = tmp_path / "out"
        with docutils_namespace():
            app = Sphinx(tmp_path, None, out, out, "html", settings, status=None, warning=warnings)
            app.build(force_all=True)
        lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in warnings.getvalue().splitlines()]
        html = {
            name: BeautifulSoup((out / f"{name}.html").read_text(encoding="utf-8"), "html.parser") for name in names
        }
        return html, [line for line in lines if "pandoc" not in line]

    return run


def drawing(*tags: str, pictures: int = 1) -> NotebookNode:
    """A code cell that drew something."""
    size = from_dict({"image/png": {"width": 70, "height": 30}})
    shown = [new_output("display_data", {"image/png": PIXEL, "text/plain": "<Figure>"}, metadata=size)] * pictures
    printed = new_output("stream", text="printed\n")
    metadata = {"tags": list(tags), "mystnb": {"image": {"alt": "a line that rises"}}}
    return new_code_cell("draw()", metadata=metadata, outputs=[printed, *shown])


def page(*cells: str | NotebookNode) -> str:
    """A notebook; what is text is a Markdown cell."""
    ready = [new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    language = {"language_info": {"name": "python"}, "kernelspec": {"name": "python3", "display_name": "P"}}
    return writes(new_notebook(cells=ready, metadata=language))


FIRST = page(
    "# 2.2 Many steps\n\nLook at {fig}`fall` and {eq}`eq-law`, or at {eq}`eq-own`.",
    drawing("fig-rise"),
    "*It rises.* As {fig}`rise` says.\n\nMore.",
    drawing("fig-fall", "hide-input", pictures=2),
    "*It falls.* Then it stops.",
    new_code_cell("1 + 1", outputs=[new_output("stream", text="2\n")]),
    "*An emphasised sentence* after a cell without a picture.\n\n$$a = b$$\n\n$$c = d$$ (eq-law)\n\n$$e = f$$ (eq-own)",
)
SECOND = "# H4 · Homework\n\nAs {fig}`fall` and {eq}`eq-law`.\n\n$$g = h$$ (eq-other)\n\nSee {eq}`eq-other`."


def words(tag: object) -> str:
    return " ".join(tag.get_text().split())  # type: ignore[attr-defined]


def links(html: BeautifulSoup) -> dict[str, str]:
    found = html.find("div", class_="body").select("p a.internal:not(.headerlink), figcaption a.internal")
    return {words(link): str(link["href"]) for link in found if link.find("img") is None}


def test_figures_have_numbers_and_captions(build: Build) -> None:
    html, warnings = build({"a.ipynb": FIRST, "b.md": "---\norphan: true\n---\n" + SECOND})
    assert warnings == []
    figures = html["a"]("figure")
    assert [figure["id"] for figure in figures] == ["figure-1", "figure-2"]
    assert [words(figure.figcaption).rstrip("#") for figure in figures] == [
        "Figure 1. It rises. As Figure 1 says.",
        "Figure 2. It falls. Then it stops.",
    ]
    assert [len(figure("img")) for figure in figures] == [1, 2]
    assert all("width: 70px" in picture["style"] for picture in html["a"]("img"))
    text = words(html["a"].find("div", class_="body"))
    assert text.count("It rises.") == text.count("It falls.") == text.count("An emphasised sentence") == 1
    assert all("printed" not in words(figure) for figure in figures)


def test_every_displayed_equation_has_a_number(build: Build) -> None:
    html, _ = build({"a.ipynb": FIRST})
    shown = html["a"].select("div.math[id^=equation-]")
    assert [(one["id"], words(one.select_one(".eqno")).rstrip("#¶")) for one in shown] == [
        ("equation-1", "(1)"),
        ("equation-2", "(2)"),
        ("equation-3", "(3)"),
    ]


def test_figures_and_equations_are_pointed_at_from_their_page_and_from_others(build: Build) -> None:
    html, _ = build({"a.ipynb": FIRST, "b.md": "---\norphan: true\n---\n" + SECOND})
    assert links(html["a"]) == {
        "Figure 1": "#figure-1",
        "Figure 2": "#figure-2",
        "(2)": "#equation-2",
        "(3)": "#equation-3",
    }
    assert links(html["b"]) == {
        "Figure 2 of lecture 2.2": "a.html#figure-2",
        "(2) of lecture 2.2": "a.html#equation-2",
        "(1)": "#equation-1",
    }


@pytest.mark.parametrize(
    ("title", "name"), [("2.2 Many steps", "lecture 2.2"), ("H4 · Explain", "H4"), ("Notation", "Notation")]
)
def test_a_page_is_spoken_of_by_its_number_or_its_title(title: str, name: str) -> None:
    assert numbering.page_name(title) == name


@pytest.mark.parametrize("text", ["{fig}`nothing`", "{eq}`eq-nothing`"])
def test_an_unknown_name_gets_one_warning(build: Build, text: str) -> None:
    _, warnings = build({"a.md": f"# Page\n\n{text}\n"})
    assert len(warnings) == 1, warnings
    assert "nothing" in warnings[0]


def test_a_name_that_is_taken_gets_one_warning(build: Build) -> None:
    _, warnings = build({"a.ipynb": page("# Page", drawing("fig-x"), "*One.*", drawing("fig-x"), "*Two.*")})
    assert len(warnings) == 1, warnings
    assert "fig 'x' is named on a, too" in warnings[0]


def test_folded_cells_say_what_is_in_them(build: Build) -> None:
    solution = new_code_cell("answer = 42", metadata={"tags": ["hide-cell"]})
    html, _ = build({"a.ipynb": page("# Page", drawing("hide-input"), "A plain paragraph.", solution)})
    assert html["a"].figure.figcaption is None, "a plain paragraph is no caption"
    labels = [words(summary) for summary in html["a"].select("details > summary")]
    assert labels == [f"Show {what} Hide {what}" for what in ("the code of this figure", "the solution")]
    assert set(folded.FOLDED) >= {"all", "input"}


def facts(html: BeautifulSoup) -> dict[str, str]:
    return {tag.get("name") or tag["property"]: tag["content"] for tag in html("meta", content=True)}


TALE = """\
# A page

Term
: A definition is no opening.

It *asks* "why" & <how>, in
2 lines. Of $\\sqrt{n}$ it says nothing. The third sentence is long enough to say it all. This one is left out.
"""


def test_a_shared_link_shows_how_the_text_opens(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "site", lambda: None)
    html, _ = build({"a.md": TALE})
    shown = facts(html["a"])
    opening = "It asks “why” & <how>, in 2 lines. The third sentence is long enough to say it all."
    assert shown["description"] == shown["og:description"] == opening
    assert shown["og:title"] == "A page"
    assert shown["og:site_name"] == "A course"
    assert not {"og:image", "og:url"} & shown.keys()


def test_where_the_address_is_known_a_shared_link_has_a_picture(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "site", lambda: "https://example.org/course")
    html, _ = build({"a.md": TALE})
    assert facts(html["a"])["og:url"] == "https://example.org/course/a.html"
    assert facts(html["a"])["og:image"] == f"https://example.org/course/{sharing.PICTURE}"
    assert (Path(__file__).parents[2] / "book" / sharing.PICTURE).is_file()
