"""What of a submission may be opened: nothing that runs or fetches, and everything that a reader needs."""

import base64
import json
import re
from collections import Counter
from typing import Any

import mistune
import pytest
from courses import named
from hostile.page import Page
from hostile.pages import LINKS, SCRIPTS
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tml_helpers.grading import feedback, sanitize
from tml_helpers.grading.sandbox import LARGEST_REPLY

ROOM = sanitize.Room
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and more").decode()
JPEG = base64.b64encode(b"\xff\xd8\xff and more").decode()
ELSEWHERE = ["http://example.org/a.png", "https://example.org/a.png", "//example.org/a.png", "file:///a.png", "x:a.png"]


def shown(source: str) -> str:
    """A text cell as it is in a page."""
    return sanitize.html(feedback.fragment({"cell_type": "markdown", "source": source}, ""))


class TestHtml:
    """The last look at a page, whatever came back from grading."""

    @pytest.mark.parametrize("script", [*SCRIPTS, *(f'<p title="{s}">{s}' for s in SCRIPTS)])
    def test_nothing_runs(self, script: str) -> None:
        assert Page(sanitize.html(script)).found == Counter()
        assert Page(sanitize.html(f"<div class='x'><table><tr><td>{script}")).found == Counter()

    def test_links_of_markdown(self) -> None:
        renderer = mistune.HTMLRenderer(allow_harmful_protocols=True)
        made = str(mistune.create_markdown(renderer=renderer)(LINKS))
        assert Page(made).found != Counter(), "this would run"
        assert Page(sanitize.html(made)).found == Counter()

    @pytest.mark.parametrize(
        "address", [*ELSEWHERE, "/\\a.org/b", "\\\\a.org/b", " //a.org", "/\t/a.org/b", "/\n\\a.org", "\t//a.org"]
    )
    def test_no_picture_from_elsewhere(self, address: str) -> None:
        assert sanitize.html(f"<img src='{address}' alt='x'>") == '<img alt="x">'

    @pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "image/gif", "application/pdf", ""])
    def test_no_picture_that_could_be_a_page(self, kind: str) -> None:
        assert sanitize.html(f"<img src='data:{kind};base64,AAAA'>") == "<img>"

    @pytest.mark.parametrize("kind", ["png", "jpeg"])
    def test_a_picture_in_the_page_is_no_address_of_a_link(self, kind: str) -> None:
        address = f"data:image/{kind};base64,AAAA"
        assert sanitize.html(f'<img src="{address}">') == f'<img src="{address}">'
        assert sanitize.html(f'<a href="{address}">x</a>') == '<a rel="noopener noreferrer">x</a>'

    @pytest.mark.parametrize(
        "address", ["https://example.org/a?b#c", "http://a.b", "mailto:a@b.c", "#part", "a/b.html"]
    )
    def test_links_to_pages_stay(self, address: str) -> None:
        assert f'href="{address}"' in sanitize.html(f'<a href="{address}">x</a>')

    @pytest.mark.parametrize(
        "address", ["javascript:a", "vbscript:a", "file:///a", "//a.b", "data:text/html,a", "ftp://a"]
    )
    def test_other_links_go(self, address: str) -> None:
        assert "href" not in sanitize.html(f'<a href="{address}">x</a>')

    @pytest.mark.parametrize("part", [
        '<q cite="javascript:a">', '<p id="x">', '<p name="x">', '<img srcset="https://a.b/c 2x">', '<p title="x">',
        '<table background="https://a.b">', '<a href="#x" ping="https://a.b" target="_blank" download="x">',
    ])  # fmt: skip
    def test_no_other_attribute(self, part: str) -> None:
        assert set(re.findall(r"(\w+)=", sanitize.html(part))) <= {"href", "rel"}

    def test_styles_place_text_and_nothing_else(self) -> None:
        row = '<table><tbody><tr><td style="text-align:right{}">1</td></tr></tbody></table>'
        assert sanitize.html(row.format(";position:fixed;background:url(x)")) == row.format("")
        assert sanitize.html('<p style="text-align:right">x</p>') == "<p>x</p>"

    def test_what_a_page_needs_stays(self) -> None:
        """Tables with their columns placed, formulas, code in its colours, lists, crossed-out text, pictures."""
        text = "|a|b|\n|:-:|--:|\n|1|2|\n\n$x_1$ ~~no~~ **b** `a<b`\n\n3. x\n\n> q\n\n$$\\frac12$$\n\n# T\n"
        made = shown(text)
        for part in (
            '<th style="text-align:center">a</th>',
            '<td style="text-align:right">2</td>',
            '<math display="inline"><mrow><msub><mi>x</mi><mn>1</mn></msub></mrow></math>',
            '<math display="block"><mrow><mfrac><mn>1</mn><mn>2</mn></mfrac></mrow></math>',
            "<del>no</del> <strong>b</strong> <code>a&lt;b</code>",
            '<ol start="3">\n<li>x</li>',
            "<blockquote>\n<p>q</p>",
            "<h1>T</h1>",
        ):
            assert part in made
        cell = {"cell_type": "code", "source": "x = '<b>'", "outputs": sanitize.outputs([display({"image/png": PNG})])}
        made = sanitize.html(feedback.fragment(cell, ""))
        assert '<div class="highlight"><pre>' in made
        assert "<span class=\"s1\">'&lt;b&gt;'</span>" in made
        assert f'src="data:image/png;base64,{PNG}"' in made


class TestMarkdown:
    """A text cell's own text, which other programs will show."""

    @pytest.mark.parametrize("text", [
        "[x](https://a.b/c?d#e)", "[x](HTTP://a.b)", "[x](mailto:a@b.c)", "[x](#part)", "[x](a/b.html)", "[x](/a)",
        "![x](a/b.png)", f"![x](data:image/png;base64,{PNG})", "a < b, 1<2", "$a < b$",
        "| a |\n|---|\n| 1 |", "x\n\n* y",
    ])  # fmt: skip
    def test_harmless_text_stays(self, text: str) -> None:
        assert sanitize.markdown(text) == text

    @pytest.mark.parametrize("text", [
        *(f"![x]({address})" for address in ELSEWHERE), "[x](javascript:a)", "[x](JaVaScRiPt&colon;a)",
        "[x](vbscript:a)", "[x](&#106;avascript:a)", "[x]: javascript:a\n\n[y][x]", "[x](data:text/html,a)",
        "![x](data:text/html,a)", "![x](data:image/svg+xml;base64,AAAA)", "[x](file:///a)", "[x](//a.b)",
        "![img src=x](javascript:a)", "![x](attachment:a.svg)", "fine [x](https://a.b) and [y](javascript:a)",
    ])  # fmt: skip
    def test_a_link_to_no_page_is_shown_as_it_was_typed(self, text: str) -> None:
        assert sanitize.markdown(text) == "\n".join(f"    {line}" for line in text.splitlines())

    @pytest.mark.parametrize("script", SCRIPTS)
    def test_html_is_text(self, script: str) -> None:
        html = str(mistune.create_markdown(escape=False)(sanitize.markdown(script)))
        assert Page(html).found == Counter()
        assert "<" not in sanitize.markdown("<b> </b> <!-- --> <?x?>")


def display(data: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data}


class TestOutputs:
    def test_the_forms_that_stay(self) -> None:
        """And nothing else of them: no metadata, no kind that runs, no counter."""
        given = [
            {"output_type": "stream", "name": "stderr", "text": "e", "more": 1},
            {"output_type": "stream", "name": "<b>", "text": "o"},
            {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["1", 2, "\x1b[31m3"]},
            {"output_type": "error", "ename": None, "evalue": [], "traceback": "1"},
            {"output_type": "execute_result", "execution_count": 7, "metadata": {"x": 1}, "data": {
                "text/plain": "t", "text/html": "<b>", "image/png": PNG, "image/jpeg": JPEG, "image/svg+xml": "<svg>"}},
            display({}),
            display("text"),
            {"output_type": "update_display_data", "data": {}},
            "text",
            {},
        ]  # fmt: skip
        assert sanitize.outputs(given) == [
            {"output_type": "stream", "name": "stderr", "text": "e"},
            {"output_type": "stream", "name": "stdout", "text": "o"},
            {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["1", "", "3"]},
            {"output_type": "error", "ename": "", "evalue": "", "traceback": []},
            {**display({"text/plain": "t", "image/png": PNG, "image/jpeg": JPEG}), "metadata": {}},
            {**display({"text/plain": ""}), "metadata": {}},
        ]
        assert sanitize.outputs({"output_type": "stream"}) == sanitize.outputs(None) == []

    def test_most_of_them(self) -> None:
        stream = {"output_type": "stream", "name": "stdout", "text": "x"}
        assert len(sanitize.outputs([stream] * 200)) == 200
        assert len(sanitize.outputs([stream] * 201)) == 200
        error = {"output_type": "error", "ename": "", "evalue": "", "traceback": ["x"] * 501}
        assert len(sanitize.outputs([error])[0]["traceback"]) == 500

    @pytest.mark.parametrize("content", [
        JPEG, "", "\"><script>", PNG + "!", "not base64", [PNG], None, b"\x89PNG",
        base64.b64encode(b"<svg>\x89PNG\r\n\x1a\n").decode(), base64.b64encode(b"\x89PNG\r\n\x1a").decode(),
    ])  # fmt: skip
    def test_what_is_no_picture_goes(self, content: Any) -> None:
        assert sanitize.outputs([display({"image/png": content})])[0]["data"] == {"text/plain": ""}

    def test_a_picture_may_be_large_and_in_lines(self) -> None:
        lines = PNG[:8] + "\n" + PNG[8:]
        assert sanitize.outputs([display({"image/png": lines})])[0]["data"]["image/png"] == lines
        longest = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(3 * 10**6 - 8)).decode()
        assert len(longest) == 4 * 10**6
        assert "image/png" in sanitize.outputs([display({"image/png": longest})])[0]["data"]
        assert "image/png" not in sanitize.outputs([display({"image/png": longest + "\n"})])[0]["data"]


def test_a_notebook_has_a_bound_for_its_pictures_and_one_for_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report is never too large to be sent: what has no room is left out, and says so; the course's text stays."""
    room = ROOM(pictures=2 * len(PNG), text=20)
    monkeypatch.setattr(sanitize, "Room", lambda: room)
    stream = {"output_type": "stream", "name": "stdout", "text": "x" * 9}
    given = new_markdown_cell("the course's own text, of any length")
    pasted = new_markdown_cell("mine", attachments={"a.png": {"image/png": PNG}})
    cells = [
        given,
        pasted,
        new_code_cell("y" * 3, outputs=[{**display({"image/png": PNG}), "metadata": {}}] * 2 + [stream] * 2),
    ]
    made = sanitize.clean(new_notebook(cells=cells), new_notebook(cells=[given]))["cells"]
    assert [cell["source"] for cell in made] == [given.source, "mine", "yyy"]
    assert made[1]["attachments"] == {"a.png": {"image/png": PNG}}
    outputs = made[2]["outputs"]
    assert ["image/png" in output["data"] for output in outputs[:2]] == [True, False]
    assert [output["text"] for output in outputs[2:]] == ["x" * 9, sanitize.LEFT_OUT]
    room = ROOM(text=4)
    made = sanitize.clean(new_notebook(cells=[*cells, new_code_cell("z")]), new_notebook(cells=[given]))["cells"]
    assert [cell["source"] for cell in made] == [
        given.source,
        "mine",
        f"# {sanitize.LEFT_OUT}",
        f"# {sanitize.LEFT_OUT}",
    ]


def test_the_bounds_fit_into_what_a_collector_takes() -> None:
    """A picture stands twice in a report, and a character of text may take twelve bytes there, twice."""
    room = ROOM()
    assert 2 * room.pictures + 2 * 12 * room.text < LARGEST_REPLY


class TestPasted:
    """Pictures that a student pastes into an answer of text."""

    def test_png_and_jpeg_stay_and_nothing_else(self) -> None:
        files = {"a.png": {"image/png": PNG}, "b.jpg": {"image/jpeg": JPEG}, "c.svg": {"image/svg+xml": "<svg>"}}
        files |= {"d.png": {"image/png": JPEG}, "e.png": {"text/html": "<b>", "image/png": PNG}}
        cell = new_markdown_cell("![x](attachment:a.png)", attachments=files)
        (made,) = sanitize.clean(new_notebook(cells=[cell]), new_notebook())["cells"]
        assert made["source"] == "![x](attachment:a.png)"
        kept = {"a.png": {"image/png": PNG}, "b.jpg": {"image/jpeg": JPEG}, "e.png": {"image/png": PNG}}
        assert made["attachments"] == kept

    @pytest.mark.parametrize(("name", "written"), [
        ("a.png", "a.png"), ("my sketch.PNG", "my%20sketch.PNG"), ("ü&'.jpg", "ü&'.jpg"), ("ü.jpeg", "%C3%BC.jpeg"),
    ])  # fmt: skip
    def test_it_is_in_the_page(self, name: str, written: str) -> None:
        cell = {
            "cell_type": "markdown",
            "source": sanitize.markdown(f"![my sketch](attachment:{written}) and ![b](b.png)"),
        }
        page = sanitize.html(feedback.fragment({**cell, "attachments": {name: {"image/png": PNG}}}, ""))
        assert f'src="data:image/png;base64,{PNG}"' in page
        assert "attachment:" not in page
        assert "my sketch" in page


class TestText:
    @pytest.mark.parametrize(("given", "kept"), [
        ("a\tb\nc é ☆", "a\tb\nc é ☆"), ("a\r\x00\x07\x1fb", "ab"), ("\x1b[31;1mred\x1b[0m", "red"), ("\ud800x", "?x"),
        (None, ""), (7, ""), (["a"], ""),
    ])  # fmt: skip
    def test_what_can_be_read_stays(self, given: Any, kept: str) -> None:
        assert sanitize.text(given) == kept

    def test_its_length(self) -> None:
        """Codes for a terminal do not count, but are not read for ever."""
        assert sanitize.text("x" * 100_001) == "x" * 100_000
        assert sanitize.text("\x1b[m" * 30_000 + "x" * 110_001) == "x" * 100_000
        assert sanitize.text("\x1b[m" * 66_666 + "xyz") == "xy"


def test_a_notebook_is_made_anew() -> None:
    """Answers lose what could run; the course's own text stays; nothing else of a cell comes along."""
    course, evil = "<details>the course's</details>", "<script>"
    released = new_notebook(cells=[new_markdown_cell(course)], metadata={"title": "x"})
    text, code = new_markdown_cell(evil), named(new_code_cell("1 < 2", execution_count=3), "a")
    notebook = new_notebook(cells=[new_markdown_cell(course), text, code], metadata=released.metadata)
    text["attachments"] = {"x": {"text/html": evil}}
    code.update(outputs=[{"output_type": "stream", "text": "x", evil: evil}])
    code.metadata["tags"] = [evil]
    made = sanitize.clean(notebook, released)
    assert json.loads(json.dumps(made)) == {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"title": "x"},
        "cells": [
            {"id": "cell-0", "cell_type": "markdown", "source": course, "metadata": {}},
            {"id": "cell-1", "cell_type": "markdown", "source": "&lt;script>", "metadata": {}},
            {
                "id": "cell-2",
                "cell_type": "code",
                "source": "1 < 2",
                "metadata": {"nbgrader": dict(code.metadata.nbgrader)},
                "execution_count": None,
                "outputs": [{"output_type": "stream", "name": "stdout", "text": "x"}],
            },
        ],
    }


def test_room_is_used_up() -> None:
    room = ROOM(text=10)
    fits = [room.has("text", word) for word in ("four", "four", "four", "ab", "a", "")]
    assert fits == [True, True, False, True, False, True]
    assert (room.text, room.pictures) == (0, ROOM().pictures)
