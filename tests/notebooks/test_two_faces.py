"""One source, two faces: what a program without MyST opens, what the site shows, and that both count alike."""

import functools
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import words
from bs4 import BeautifulSoup, Tag
from built_site import Site
from lecture_pages import ROOT, SOURCES, name_of, page, text, tool
from words import TOKENS, Page, Words, notebook_words, show_source, site_words

ADDRESS = "https://me.example.org/course"
PAGES = tool().sources()
COMMITTED = [*(s.with_suffix(".ipynb") for s in PAGES), *sorted((ROOT / "exercises").glob("*/*.ipynb"))]
MYST = {
    "a role": r"\{[\w:-]+\}`",
    "a directive": r"^[ ]*(`{3,}|:{3,})\{",
    "a fence of colons": r"^:::",
    "a substitution": r"\{\{",
    "a target": r"^\([\w-]+\)=$",
    "a link to a raw file": r"\]\([^)]*\.md[)#]",
    "an equation's label": r"\$\$[ ]*\(",
}
each_lecture = pytest.mark.parametrize("source", SOURCES, ids=name_of)

# --- every page, as it is committed and as it is built ---


def markdown(notebook: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "markdown"]


@pytest.mark.parametrize("notebook", COMMITTED, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_committed_notebook_has_nothing_that_only_myst_reads(notebook: Path) -> None:
    for cell in markdown(notebook):
        prose = re.sub(r"^```\w*\n.*?^```$|`[^`]+`(?<!\}`)", "", cell, flags=re.DOTALL | re.MULTILINE)
        for what, pattern in MYST.items():
            assert not re.search(pattern, prose, re.MULTILINE), f"{what} in: {cell[:300]}"


@functools.cache
def opened(site: Site, source: Path) -> Tag:
    """The text of a page of the site."""
    file = site.html / f"{page(source).path}.html"
    return BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser").find("article")


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def letters(text: str) -> str:
    return re.sub(r"\W+", "", text)


def test_what_can_be_pointed_at_has_a_name_of_its_own() -> None:
    """Pages point at each other's figures and equations by name alone."""
    pages = [page(source) for source in SOURCES]
    figures = Counter(name for one in pages for name in one.figure_names)
    equations = Counter(name for one in pages for name in one.equation_names)
    assert [name for name, count in (figures + equations).items() if count > 1] == []


@each_lecture
def test_both_faces_have_the_same_figures(site: Site, source: Path) -> None:
    """Number and first sentence of each."""
    cells = markdown(source.with_suffix(".ipynb"))
    captions = [found for cell in cells if (found := re.match(r"\*\*Figure (\d+)\.\*\* \*([^*]+)\*", cell))]
    notebook = [(int(found[1]), found[2]) for found in captions]
    drawn = opened(site, source).find_all("figure", id=re.compile(r"^figure-\d+$"))
    numbers = [int(figure["id"].removeprefix("figure-")) for figure in drawn]
    assert [number for number, _ in notebook] == numbers == [*range(1, len(numbers) + 1)]
    for (number, sentence), figure in zip(notebook, drawn, strict=True):
        caption = figure.figcaption.get_text()
        assert caption.startswith(f"Figure {number}.")
        if not re.search(r"[$`]", sentence):
            assert letters(figure.figcaption.em.get_text()) == letters(sentence)


@pytest.mark.parametrize("source", PAGES, ids=name_of)
def test_both_faces_have_the_same_equations(site: Site, source: Path) -> None:
    """Number and formula of each."""
    whole = "\n\n".join(markdown(source.with_suffix(".ipynb")))
    notebook = {
        int(number): squeezed(formula) for formula, number in re.findall(r"\$\$([^$]+)\\tag\{(\d+)\}\$\$", whole)
    }
    blocks = opened(site, source).find_all("div", class_="math")
    assert [*notebook] == [*range(1, len(blocks) + 1)]
    for number, block in enumerate(blocks, 1):
        assert notebook[number] in squeezed(block.get_text())
        assert block["id"] == f"equation-{number}" or block.find_previous(id=f"equation-{number}")


@each_lecture
def test_both_faces_point_at_figures_and_equations_by_the_same_words(site: Site, source: Path) -> None:
    notebook = [
        re.sub(r"^\[(.+)\]\(.+\)$", r"\1", Words(page(source), 0)(token))
        for token in TOKENS.finditer(text(source))
        if token.lastgroup == "role" and token["name"] in ("fig", "eq")
    ]
    links = opened(site, source).find_all("a", class_="reference", href=re.compile("#(figure|equation)-"))
    assert [link.get_text() for link in links] == notebook


def quizzes(html: Tag) -> Iterator[tuple[str, list[Tag]]]:
    """Each question of a notebook's cell, with the folded options below it."""
    for question in html.find_all("p", recursive=False):
        options = []
        for sibling in question.find_next_siblings():
            if sibling.name != "details":
                break
            options.append(sibling)
        yield question.get_text(), options


@each_lecture
def test_the_notebooks_quiz_asks_what_the_source_asks_and_does_not_tell(source: Path) -> None:
    asked = [
        question
        for token in TOKENS.finditer(text(source))
        if token.lastgroup == "fenced" and token["info"] == "{quiz}"
        for question in words.parse(token["body"].splitlines())
    ]
    cell = next(cell for cell in markdown(source.with_suffix(".ipynb")) if "\n<p><b>" in cell)
    html = BeautifulSoup("\n".join(line for line in cell.splitlines() if line.startswith("<")), "html.parser")
    shown = [(question, options) for question, options in quizzes(html) if options]
    assert len(shown) == len(asked)
    for question, (_, options) in zip(asked, shown, strict=True):
        verdicts = [option.p.get_text().startswith("Right.") for option in options]
        assert verdicts == [option.right for option in question.options]
        for option in options:
            assert not option.attrs, "it is folded, and looks like the others"
            assert not option.summary.attrs
            assert option.get_text() == option.summary.get_text() + option.p.get_text()
    for reason in html.select("details > p"):
        reason.decompose()
    assert not re.search(r"Right\.|Not this one\.", html.get_text())


# --- what becomes of each piece ---

ONE = """\
# %% [markdown]
# # 2.1 One
#
# It takes {{ cpu_seconds }}.

# %% tags=["fig-first"] mystnb={"image": {"alt": "A line."}}
plt.show()

# %% [markdown]
# *A line.* It rises.
#
# $$a$$
#
# and
#
# $$
# b
# $$ (eq-b)

# %%
plt.show()

# %% [markdown]
# *No caption.*
"""
REFERENCES = r"""
@misc{one, author = {M{\"u}ller, A.}, year = {2001}, doi = {10.1/x(2)}}
@misc{two, author = {van den Berg, A. and {Court of Justice}}, year = {2002}, eprint = {2002.1}}
@misc{three, author = {A, A. and B, B. and C, C.}, year = {2003}, url = {https://three.org}}
@misc{bare, author = {D, D.}, year = {2004}}
"""


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "course" in request.fixturenames:
        monkeypatch.setattr(words, "site", lambda *, committed: None if committed else ADDRESS)


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course of one lecture, with references and costs."""
    for name, content in {
        "lectures/20_one/one.py": ONE,
        "book/references.bib": REFERENCES,
        words.TIMINGS: json.dumps(
            {"notebooks": {f"lectures/20_one/{name}.ipynb": {"cpu_seconds": 7.6} for name in ("one", "two")}}
        ),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def written(course: Path, *cells: str) -> Page:
    """Another lecture, of these Markdown cells."""
    source = course / "lectures/20_one/two.py"
    commented = [re.sub("^", "# ", cell, flags=re.MULTILINE) for cell in cells]
    source.write_text("".join(f"# %% [markdown]\n{cell}\n\n" for cell in commented), encoding="utf-8")
    return Page(course, source)


@pytest.mark.parametrize(
    ("myst", "plain"),
    [
        ("so {cite}`one`.", "so ([Müller, 2001](https://doi.org/10.1/x%282%29))."),
        ("{cite:p}`two`", "([van den Berg and Court of Justice, 2002](https://arxiv.org/abs/2002.1))"),
        ("{cite:t}`three` say", "[A et al. (2003)](https://three.org) say"),
        ("{cite}`bare, one`", "(D, 2004; [Müller, 2001](https://doi.org/10.1/x%282%29))"),
        ("a {term}`margin`, {term}`two margins <margin>`", "a margin, two margins"),
        ("{func}`~a.b.fit` {class}`a.b.Net` {mod}`the module <a.b>`", "`fit` `a.b.Net` `the module`"),
        ("{doc}`the page <../x>`", "the page"),
        ("{fig}`first` and {eq}`eq-b`", "[Figure 1 of lecture 2.1](one.ipynb) and [(2) of lecture 2.1](one.ipynb)"),
        ("$$x$$ (eq-x)\n\nby {eq}`eq-x`", "$$x \\tag{1}$$\n\nby (1)"),
        ("$$x$$ and {{ cpu_seconds }}", "$$x \\tag{1}$$ and 8 CPU-seconds"),
        (
            "[notation](../../book/notation.md#x) [one](one.ipynb#a) [web](https://a.b/c#d)",
            "notation [one](one.ipynb) [web](https://a.b/c#d)",
        ),
        ("[the `a` of {cite}`bare`](one.ipynb)", "[the `a` of (D, 2004)](one.ipynb)"),
        ("`{cite}` is code, ``[a](b.md)`` too, and $[a](b.md)$ a formula", None),
        ("```python\n{{ x }} [a](b.md)\n```", None),
        ("<details><summary>Hint 1: look</summary>\n\nAt *this*.\n\n</details>", None),
        ("5 \\$ or [a](b.ipynb) 6 \\$", None),
        ("![a](b.png)", None),
    ],
)
def test_what_the_notebook_says(course: Path, myst: str, plain: str | None) -> None:
    assert notebook_words(written(course, myst), 0) == (myst if plain is None else plain)


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("../../book/notation.md#x", f"{ADDRESS}/book/notation.html#x"),
        ("../10_a/b.ipynb", f"{ADDRESS}/lectures/10_a/b.html"),
        ("one.ipynb", f"{ADDRESS}/lectures/20_one/one.html"),
        ("#here", f"{ADDRESS}/lectures/20_one/two.html#here"),
        ("https://a.b", "https://a.b"),
    ],
)
def test_links_lead_to_the_site_where_its_address_is_known(
    course: Path, monkeypatch: pytest.MonkeyPatch, target: str, address: str
) -> None:
    monkeypatch.setattr(words, "site", lambda *, committed: ADDRESS if committed else None)
    assert notebook_words(written(course, f"[words]({target})"), 0) == f"[words]({address})"


@pytest.mark.parametrize(
    ("myst", "complaint"),
    [
        ("{cite}`four`", "no entry 'four'"),
        ("{fig}`second`", "points at 'second', which no page has"),
        ("{eq}`eq-a`", "points at 'eq-a', which no page has"),
        ("{doc}`../x`", "role {doc}`../x` has no words"),
        ("{nosuch}`x`", "role {nosuch}`x` has no words"),
        ("```{note}\nx\n```", "directive {note} has no words"),
        (":::{note}\nx\n:::", "directive {note} has no words"),
        ("{{ repository }}", "{{ repository }} has no words"),
        ("[](one.ipynb)", "link to one.ipynb has no words"),
        ("```{quiz}\n? Why?\n```", "at least two options"),
    ],
)
def test_what_a_notebook_cannot_say_is_refused(course: Path, myst: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        notebook_words(written(course, myst), 0)


def test_captions_and_equations_are_numbered_from_the_top_of_the_page(course: Path) -> None:
    one = Page(course, course / "lectures/20_one/one.py")
    assert notebook_words(one, 0) == "# 2.1 One\n\nIt takes 8 CPU-seconds."
    assert notebook_words(one, 2) == "**Figure 1.** *A line.* It rises.\n\n$$a \\tag{1}$$\n\nand\n\n$$\nb\n \\tag{2}$$"
    assert notebook_words(one, 4) == "*No caption.*", "the cell above has no alt text: it is no figure"
    two = written(course, "# 2.2 Two\n\n$$a$$", "$$b$$\n\n$$c$$")
    assert notebook_words(two, 1) == "$$b \\tag{2}$$\n\n$$c \\tag{3}$$"


def test_a_page_that_was_never_measured_says_what_to_do(course: Path) -> None:
    (course / words.TIMINGS).unlink()
    with pytest.raises(ValueError, match="run `make notebooks`"):
        notebook_words(Page(course, course / "lectures/20_one/one.py"), 0)


def test_a_quiz_is_html_that_needs_no_markdown(course: Path) -> None:
    fence = "```{quiz}\n? Is *a* < b?\n+ `yes` :: as $x < y$\n- no :: {cite}`bare`\n? Why?\n- a :: b\n+ c :: d\n```"
    assert notebook_words(written(course, f"**Quiz**\n\n{fence}"), 0) == (
        "**Quiz**\n\n<p><b>Is <em>a</em> &lt; b?</b></p>\n"
        "<details><summary><code>yes</code></summary><p>Right. as $x \\lt  y$</p></details>\n"
        "<details><summary>no</summary><p>Not this one. (D, 2004)</p></details>\n\n<br>\n\n"
        "<p><b>Why?</b></p>\n"
        "<details><summary>a</summary><p>Not this one. b</p></details>\n"
        "<details><summary>c</summary><p>Right. d</p></details>"
    )


def test_the_site_keeps_what_myst_reads(course: Path) -> None:
    myst = "{cite}`one` {fig}`first` [notation](../../book/notation.md)\n\n$$x$$ (eq-x)\n\n{{ repository }}"
    assert site_words(f"{myst} in {{{{ cpu_seconds }}}}", written(course, "")) == f"{myst} in 8 CPU-seconds"


HOMEWORK = """\
# %% [markdown]
# # H2 · Two
#
# As {cite}`one` says:
#
# $$a$$

# %% [markdown] nbgrader={"solution": true, "grade": true, "grade_id": "1", "points": 1}
# The secret of {cite}`two`:
#
# $$s$$

# %% [markdown]
# $$b$$
"""


def test_the_site_shows_the_sources_words_and_no_answer(course: Path) -> None:
    source = course / "solutions/h2/h2.py"
    source.parent.mkdir(parents=True)
    source.write_text(HOMEWORK, encoding="utf-8")
    page = Page(course, source)
    made = [notebook_words(page, place) for place in range(3)]
    assert made[1].endswith("$$s$$"), "what students do not see has no number"
    assert made[2] == "$$b \\tag{2}$$"
    released = [made[0], "YOUR ANSWER HERE", made[2], "a student's {cite}`three`"]
    cells = [{"cell_type": "markdown", "source": words.splitlines(keepends=True)} for words in released]
    content = [json.dumps({"cells": [*cells, {"cell_type": "code", "source": released[2]}]})]
    noted: list[str] = []
    env = SimpleNamespace(note_dependency=noted.append)
    show_source(SimpleNamespace(srcdir=str(course), env=env), "exercises/h2/h2", content)
    assert noted == [str(source)]
    shown = ["# H2 · Two\n\nAs {cite}`one` says:\n\n$$a$$", released[1], "$$b$$", released[3], released[2]]
    assert ["".join(cell["source"]) for cell in json.loads(content[0])["cells"]] == shown


def test_other_pages_are_left_alone(course: Path) -> None:
    content = ["# Words\n\n{{ cpu_seconds }}"]
    show_source(SimpleNamespace(srcdir=str(course)), "book/notation", content)
    assert content == ["# Words\n\n{{ cpu_seconds }}"]
