"""A submission full of scripts, graded and opened: nothing of it runs, asks for anything, or leads to a script."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from courses import cell, read, submit, tiny_course
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from playwright.sync_api import Browser, Page

from tml_helpers import grading
from tml_helpers.grading import sanitize

pytestmark = pytest.mark.browser

RUN = "window.pwned = 1"
MARKDOWN = [
    f"<script>{RUN}</script>",
    f"<img src=x onerror='{RUN}'>",
    f"<svg onload='{RUN}'></svg>",
    f"[link](javascript:{RUN.replace(' ', '')})",
    f"[link](JaVaScRiPt&colon;{RUN.replace(' ', '')})",
    f"[link](&#106;avascript:{RUN.replace(' ', '')})",
    f"<javascript:{RUN.replace(' ', '')}>",
    f"![x](data:text/html,<script>{RUN}</script>)",
    f"[x]: javascript:{RUN.replace(' ', '')}\n\n[text][x]",
    f"```\n</code></pre><script>{RUN}</script>\n```",
    f"<<script>script>{RUN}<</script>/script>",
    f"<!-- --><iframe srcdoc='<script>{RUN}</script>'></iframe>",
    f"<details open ontoggle='{RUN}'>",
    "<style>@import 'http://127.0.0.1:9/x.css';</style>",
    "<meta http-equiv='refresh' content='0;url=http://127.0.0.1:9/'>",
    "![pixel](http://127.0.0.1:9/pixel.png)",
    "$$\\href{javascript:window.pwned=1}{x}$$",
    "$\\text{<img src=x onerror='window.pwned=1'>}$ and $x^2$",
]
HTML = f"<script>{RUN}</script><img src=x onerror='{RUN}'>"
OUTPUTS = {
    "text/html": HTML,
    "image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg' onload='{RUN}'><script>{RUN}</script></svg>",
    "application/javascript": RUN,
    "text/markdown": HTML,
    "text/latex": HTML,
    "text/plain": HTML,
    "image/png": HTML,
}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with this one submission, graded."""
    course = tiny_course(tmp_path_factory.mktemp("scripts"))
    notebook = read(grading.release("sums", course=course))
    show = f"from IPython.display import display\ndisplay({OUTPUTS!r}, raw=True)\nprint({HTML!r})\n"
    cell(notebook, "double").source = f"{show}class X(Exception): pass\nraise X({HTML!r})"
    cell(notebook, "why").source = "\n\n".join(MARKDOWN)
    stale = new_code_cell(f"# {HTML}", outputs=[new_output("display_data", data=copy.deepcopy(OUTPUTS))])
    notebook.cells += [*map(new_markdown_cell, MARKDOWN), stale]
    notebook.cells[-2]["attachments"] = {"x.svg": {"image/svg+xml": OUTPUTS["image/svg+xml"]}}
    notebook.metadata["title"] = HTML
    submit(course, "eve", "sums", json.dumps(notebook))
    (grade,) = grading.grade("sums", course=course)
    assert (grade.status, grade.score) == ("ok", 0)
    return course


def opened(page: Page, file: Path) -> list[str]:
    """Open a page, click all of its links; returns what it asked for beside itself."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_timeout(300)
    for link in page.locator("main a, body a").all():
        address = link.get_attribute("href") or ""
        assert address.partition(":")[0].strip().lower() not in ("javascript", "data", "vbscript"), address
    assert page.evaluate("window.pwned") is None
    return [url for url in asked if url != file.as_uri() and not url.startswith("data:image")]


def test_feedback_runs_nothing_and_asks_for_nothing(page: Page, course: Path) -> None:
    assert opened(page, course / "feedback/eve/sums/sums.html") == []
    assert page.locator("script, iframe, object, embed, svg, [onload], [onerror], [ontoggle]").count() == 0
    assert "window.pwned = 1" in page.locator("main").inner_text(), "the attempt is shown as text"
    assert page.locator("math msup").first.text_content() == "x2", "formulas are typeset without a script"


def test_the_executed_notebook_runs_nothing_where_instructors_open_it(page: Page, course: Path, tmp_path: Path) -> None:
    """Formgrader renders it with nbconvert, without a policy of the page's."""
    from nbconvert import HTMLExporter

    notebook = nbformat.read(course / "autograded/eve/sums/sums.ipynb", as_version=4)
    nbformat.validate(notebook)
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    file = tmp_path / "formgrader.html"
    file.write_text(f"<!DOCTYPE html><html><body>{body}</body></html>")
    opened(page, file)
    assert page.locator("iframe, object, embed, svg, [onload], [onerror], [ontoggle]").count() == 0


@pytest.mark.parametrize(
    "text", ["a < b and `x<y>`", "$a<b$", "1. [page](https://example.org/a?b#c)\n2. [here](#part)"]
)
def test_harmless_text_keeps_its_form(text: str) -> None:
    assert sanitize.markdown(text).replace("&lt;", "<") == text
