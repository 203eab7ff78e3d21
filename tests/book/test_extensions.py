"""The book's own Sphinx extensions: what they make of good input, and the one warning that bad input gets."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import accessible
import docstrings
import offline
import pytest
import quiz
import timings
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

GOOD = "- no :: why not $x$\n+ yes,\n  in two lines :: why\n  indeed"
Build = Callable[..., tuple[BeautifulSoup, list[str]]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build a page with some extensions; returns the page and the warnings."""

    def run(text: str, *extensions: str) -> tuple[BeautifulSoup, list[str]]:
        (tmp_path / "index.md").write_text(text, encoding="utf-8")
        settings = {
            "source_suffix": {".md": "markdown"},
            "extensions": ["myst_parser", *extensions],
            "myst_enable_extensions": ["dollarmath"],
        }
        warnings = io.StringIO()
        out = tmp_path / "out"
        with docutils_namespace():
            Sphinx(tmp_path, None, out, out, "html", settings, status=None, warning=warnings).build(force_all=True)
        lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in warnings.getvalue().splitlines()]
        return BeautifulSoup((out / "index.html").read_text(encoding="utf-8"), "html.parser"), lines

    return run


def fence(*lines: str) -> str:
    return "\n".join(["# Page", "", "```{quiz}", *lines, "```", ""])


def test_quiz_is_a_form_that_works_without_javascript(build: Build) -> None:
    page, warnings = build(fence("? Is $x$ *so*?", GOOD), "quiz")
    assert warnings == []
    form = page.find("form", class_="quiz")
    assert form.fieldset.legend.get_text(strip=True).startswith("Is")
    assert form.fieldset.legend.find("em")
    radios = form.find_all("input", type="radio")
    assert [radio["name"] for radio in radios] == [form["id"]] * 2
    assert [radio.find_parent("label").get_text(strip=True) for radio in radios] == ["no", "yes, in two lines"]
    reasons = [reason.get_text(" ", strip=True) for reason in form.find_all("details")]
    assert "Not this one. why not" in reasons[0]
    assert reasons[1].endswith("Right. why indeed")
    assert form.find(attrs={"aria-live": "polite"})


def test_one_fence_may_ask_several_questions(build: Build) -> None:
    page, warnings = build(fence("? Why?", GOOD, "", "? How?", GOOD), "quiz")
    assert warnings == []
    assert [legend.get_text() for legend in page.find_all("legend")] == ["Why?", "How?"]
    assert len({form["id"] for form in page.find_all("form", class_="quiz")}) == 2


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "question is missing"),
        ([GOOD], "question is missing"),
        (["? Why?"], "at least two options for 'Why?', got 0"),
        (["? Why?", "+ one :: r"], "at least two options for 'Why?', got 1"),
        (["? Why?", "? How?", GOOD], "at least two options for 'Why?', got 0"),
        (["? Why?", GOOD.replace("+", "-")], "one right option `+` for 'Why?', got 0"),
        (["? Why?", GOOD, "+ also :: r"], "one right option `+` for 'Why?', got 2"),
        (["? Why?", GOOD, "- bare"], "the option 'bare' has no reason"),
        (["? Why?", GOOD, "- bare :: "], "the option 'bare ::' has no reason"),
        (["? Why?", GOOD, "and more"], "got 'and more'"),
        (["? # Why?", GOOD], "expected a sentence, got '# Why?'"),
        (["? Why?", GOOD, "? Why?", GOOD], "twice on this page"),
    ],
)
def test_bad_quiz_gets_one_clear_warning(build: Build, lines: list[str], complaint: str) -> None:
    page, warnings = build(fence(*lines), "quiz")
    assert len(warnings) == 1, warnings
    assert complaint in warnings[0]
    assert "index.md:3" in warnings[0]
    assert page.find("form", class_="quiz") is None


def test_same_question_in_two_fences_is_refused(build: Build) -> None:
    _, warnings = build(fence("? Why?", GOOD) + fence("? Why?", GOOD).removeprefix("# Page\n"), "quiz")
    assert len(warnings) == 1
    assert "twice" in warnings[0]


def test_quiz_is_named_by_its_words() -> None:
    options = GOOD.splitlines()
    (why,), (again,), (how,) = (quiz.parse([question, *options]) for question in ("? Why?", "? Why?", "? How?"))
    assert why.name == again.name != how.name


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="https://cdn.example/x.js"></script>', ["https://cdn.example/x.js"]),
        ('<img src="//cdn.example/x.png">', ["//cdn.example/x.png"]),
        ('<img srcset="a.png, https://cdn.example/x.png 2x">', ["https://cdn.example/x.png 2x"]),
        ('<link rel="stylesheet" href="https://cdn.example/x.css">', ["https://cdn.example/x.css"]),
        ('<link rel="dns-prefetch" href="//cdn.example">', ["//cdn.example"]),
        ('<iframe src="https://video.example"></iframe>', ["https://video.example"]),
        ('<style>@import "https://cdn.example/x.css";</style>', ["https://cdn.example/x.css"]),
        ('<p style="background: url(https://cdn.example/x.png)">', ["https://cdn.example/x.png"]),
        ('<a href="https://example.org">', []),
        ('<link rel="license" href="https://example.org">', []),
        ('<script src="../_static/x.js?digest=1"></script><p>@import "https://x.example"</p>', []),
    ],
)
def test_requests_of_a_page(tmp_path: Path, html: str, found: list[str]) -> None:
    (tmp_path / "page.html").write_text(html)
    assert offline.remote_requests(tmp_path / "page.html") == found


def test_requests_of_a_style_sheet(tmp_path: Path) -> None:
    (tmp_path / "x.css").write_text("@font-face{src:url('https://fonts.example/a.woff2')} a{b:url(c.png)}")
    assert offline.remote_requests(tmp_path / "x.css") == ["https://fonts.example/a.woff2"]


def test_a_page_that_would_make_a_request_fails_the_strict_build(build: Build) -> None:
    _, warnings = build('# Page\n\n<img src="https://cdn.example/x.png" alt="x">\n', "offline")
    assert [line for line in warnings if "offline" in line] == [
        "WARNING: offline: index.html would fetch https://cdn.example/x.png"
    ]


def test_thebe_is_removed(build: Build) -> None:
    with_it, _ = build("# Page\n", "sphinx_thebe")
    without, _ = build("# Page\n", "sphinx_thebe", "offline")
    assert "thebe" in str(with_it)
    assert "thebe" not in str(without)


MACHINE = {"cores": 2, "processor": "P", "system": "Linux", "python": "3.11.2", "torch": "2.13.0"}


def course(root: Path) -> Path:
    """A course of two chapters, with a homework in the first."""
    for name, text in {
        "book/chapters.yml": "".join(f"- {{number: {n}, title: T, question: Q}}\n" for n in (2, 1)),
        "lectures/10_x/z.py": "# %% [markdown]\n# # 1.1 First\n",
        "lectures/10_x/a.py": "# %% [markdown]\n# # 1.2 Second\n",
        "lectures/20_y/m.py": "# %% [markdown]\n# # 2.1 Other\n",
        "solutions/h1/h1.py": "# %% [markdown]\n# # H1 · Home\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_timings_stand_in_the_books_order_below_the_machine_that_they_were_taken_on(tmp_path: Path) -> None:
    costs = {
        "solutions/h1/h1.ipynb": {"cpu_seconds": 30.6, "wall_seconds": 20, "machine": MACHINE},
        "lectures/10_x/a.ipynb": {"cpu_seconds": 50, "machine": MACHINE},
        "lectures/10_x/z.ipynb": {"cpu_seconds": 1.4, "wall_seconds": 0.6, "machine": MACHINE},
        "lectures/20_y/m.ipynb": {"cpu_seconds": 40, "wall_seconds": 51, "machine": MACHINE | {"processor": "Q"}},
    }
    lines = timings.table({"notebooks": costs}, course(tmp_path))
    rows = [
        "| [](/lectures/10_x/z.ipynb) | 1 | 1 |",
        "| [](/lectures/10_x/a.ipynb) | 50 | – |",
        "| [](/exercises/h1/h1.ipynb), solved | 31 | 20 |",
    ]
    second, first = (n for n, line in enumerate(lines) if line.startswith("Measured on 2 cores of "))
    assert "of Q (Linux)" in lines[second], "chapters.yml begins with chapter 2"
    assert [line for line in lines[second:first] if line.startswith("| [")] == [
        "| [](/lectures/20_y/m.ipynb) | 40 | 51 |"
    ]
    assert [line for line in lines[first:] if line.startswith("| [")] == rows


def test_costs_of_grading_stand_side_by_side() -> None:
    rows = [
        {"assignment": "plain", "grader": "nbgrader", "each": 0.8, "start": 3, "again": 2.9, "memory": 100},
        {"assignment": "plain", "grader": "tml grade", "each": 0.2, "start": 4.96, "again": 2.04, "memory": 90.4},
    ]
    class_ = {"submissions": 300, "jobs": 2, "wall": 59.6, "cpu": 61.2}
    lines = timings.grading({"machine": MACHINE, "rows": rows, "class": class_}, Path())
    assert "| plain | 0.80 | 0.20 | 0.25 | 3.0 | 5.0 | 2.0 | 100 | 90 |" in lines
    assert lines[-1] == "300 trivial submissions took 60 seconds with 2 at once, 61 CPU seconds in all."


@pytest.mark.parametrize("content", [None, "{", "[]", json.dumps({"notebooks": {}})])
def test_timings_that_cannot_be_read_get_one_warning(build: Build, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / timings.RESULTS.format("notebooks")).parent.mkdir(parents=True)
        (tmp_path / timings.RESULTS.format("notebooks")).write_text(content)
    _, warnings = build("# Page\n\n```{timings}\n```\n", "timings")
    assert len(warnings) == 1, warnings
    assert "run `make notebooks`" in warnings[0]


@pytest.mark.parametrize(("name", "complaint"), [("chapters", "chapters.yml"), ("pages", "'pages'")])
def test_a_table_that_cannot_be_made_gets_one_warning(build: Build, name: str, complaint: str) -> None:
    _, warnings = build(f"# Page\n\n```{{catalogue}} {name}\n```\n", "tables")
    assert len(warnings) == 1, warnings
    assert complaint in warnings[0]


def test_docstrings_are_plain_text_with_code() -> None:
    assert docstrings.to_rst(["α*T^2*KL(p||q) of `a*b`, see x_", "- one", "- `two`"]) == [
        r"α\*T^2\*KL(p\|\|q) of ``a*b``, see x\_",
        "",
        "- one",
        "- ``two``",
    ]


def test_indented_block_of_a_docstring_is_shown_as_it_stands() -> None:
    assert docstrings.to_rst(["So:", "    a *b*", "", "Then."]) == ["So:", "", "::", "", "    a *b*", "", "Then."]


def test_sections_of_a_docstring_are_lists_and_paragraphs() -> None:
    lines = [
        "Fact.",
        "",
        "Args:",
        "    a, b_c: x|y of",
        "        `z`: more.",
        "    d: last.",
        "",
        "Returns:",
        "    `[N]`, or",
        "    0.",
    ]
    lines += ["", "Raises:", "    ValueError: no.", "", "So:", "    code: here"]
    assert [line for line in docstrings.to_rst(lines) if line] == [
        "Fact.",
        "**Args**",
        r"- ``a``, ``b_c``: x\|y of",
        "  ``z``: more.",
        "- ``d``: last.",
        "**Returns**",
        "``[N]``, or",
        "0.",
        "**Raises**",
        "- ``ValueError``: no.",
        "So:",
        "::",
        "    code: here",
    ]


def test_docstring_leads_to_the_lecture_that_derives_it() -> None:
    link = "Derived in: :doc:`/lectures/10_distillation/response_based`."
    assert docstrings.to_rst(["Derived in: lectures/10_distillation/response_based."]) == [link]
    assert docstrings.to_rst(["Derived in: lectures/10_distillation/response_based.ipynb."]) == [link]


def test_sidebar_toggles_have_names() -> None:
    sidebar = '<a href="a.html">Data cards</a><details><summary><i></i></summary></details>'
    sidebar += '<a href="b.html"><code><span>tml</span></code></a><details open="open"><summary></summary></details>'
    named = BeautifulSoup(accessible.name_toggles(sidebar), "html.parser").find_all("summary")
    assert [one["aria-label"] for one in named] == ["Pages below Data cards", "Pages below tml"]
