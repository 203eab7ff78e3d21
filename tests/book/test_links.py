"""Links that the book makes by itself: terms, citations, names of the library, homework, chapters in preparation."""

import io
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import docstrings
import pytest
import yaml
from bs4 import BeautifulSoup, Tag
from built_site import ROOT, Site
from catalogue import Catalogue, Chapter, Page
from docutils import nodes
from links import is_running_text
from numbering import numbered_caption
from sidebar import with_planned
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace
from terms import mention

Pages = dict[str, BeautifulSoup]
Build = Callable[..., Pages]
CATALOGUE = Catalogue(ROOT)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build pages with some extensions, without a warning."""

    def run(pages: dict[str, str], *extensions: str) -> Pages:
        contents = "\n".join(["# Book", "", "```{toctree}", *pages, "```", ""])
        for name, text in {"index": contents, **pages}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / f"{name}.md").write_text(text, encoding="utf-8")
        settings = {
            "source_suffix": {".md": "markdown"},
            "extensions": ["myst_parser", *extensions],
            "myst_enable_extensions": ["dollarmath"],
        }
        if "citations" in extensions:
            settings["bibtex_bibfiles"] = ["references.bib"]
        warnings = io.StringIO()
        out = tmp_path / "out"
        with docutils_namespace():
            Sphinx(tmp_path, None, out, out, "html", settings, status=None, warning=warnings).build(force_all=True)
        assert warnings.getvalue() == ""
        return {name: BeautifulSoup((out / f"{name}.html").read_text("utf-8"), "html.parser") for name in pages}

    return run


def shown(page: BeautifulSoup, class_: str) -> list[tuple[str, str]]:
    """The links of a class: their words, and where they lead."""
    return [(" ".join(link.get_text().split()), str(link["href"])) for link in page.find_all("a", class_=class_)]


# --- terms ---

GLOSSARY = """\
# Glossary

```{glossary}
adversarial patch
  A picture.

  % forms: adversarial patch, patch
  % pages: 2.3

ball
  Images nearby.

claim
  A sentence.

  % forms: none

PGD
  Many steps.

  % forms: PGD, projected gradient descent

temperature
  What logits are divided by.

  % pages: 1
```
"""
FIRST = """\
# 2.3 Balls and PGD

```{quiz}
? A ball?
+ ball :: ball
- no :: no
```

`PGD` and [the ball](glossary.md) and $ball$, a balloon, a patch-wise or Pgd idea.

PGD-like, but the PGD of *many balls*; a claim, none, at a temperature, by Projected
gradient-descents, a patch in the ball.

| PGD | ball |
|---|---|
| patch | adversarial patches |

```python
PGD
```
"""


def test_the_first_mention_of_a_term_leads_to_its_entry(build: Build) -> None:
    pages = build(
        {"glossary": GLOSSARY, "first": FIRST, "other": "# 1.1 One\n\nBalls of high temperature, a patch.\n"},
        "quiz",
        "terms",
    )
    assert shown(pages["first"], "term") == [
        ("PGD", "glossary.html#term-PGD"),
        ("balls", "glossary.html#term-ball"),
        ("patch", "glossary.html#term-adversarial-patch"),
    ]
    assert shown(pages["other"], "term") == [
        ("Balls", "glossary.html#term-ball"),
        ("temperature", "glossary.html#term-temperature"),
    ]
    assert shown(pages["glossary"], "term") == []
    assert "forms:" not in pages["glossary"].get_text()


def test_of_two_terms_that_begin_together_the_longer_is_meant(build: Build) -> None:
    glossary = "# G\n\n```{glossary}\ntransfer\n  One.\n\ntransfer matrix\n  Two.\n```\n"
    pages = build({"g": glossary, "p": "# 2.1 P\n\nA transfer\nmatrix of transfer.\n"}, "terms")
    assert [words for words, _ in shown(pages["p"], "term")] == ["transfer matrix", "transfer"]


@pytest.mark.parametrize(
    ("form", "text", "found"),
    [
        ("ball", "A ball, Balls, BALL, football, ball-like, balls'", ["ball", "Balls", "balls"]),
        ("black box", "black-box, black\nboxes, Black box", ["black-box", "black\nboxes", "Black box"]),
        ("query", "query, queries, querys", ["query", "queries"]),
        ("key", "keys, keies", ["keys"]),
        ("LIME", "LIME, lime, Lime, SLIME, LIME's", ["LIME", "LIME"]),
        ("t-SNE", "t-SNE and T-SNE", ["t-SNE", "T-SNE"]),
        ("Kullback-Leibler", "Kullback–Leibler, Kullback Leibler", ["Kullback–Leibler", "Kullback Leibler"]),
    ],
)
def test_forms_of_a_term(form: str, text: str, found: list[str]) -> None:
    assert re.findall(mention(form), text) == found


def test_what_a_cell_printed_is_no_running_text_but_the_caption_of_its_figure_is() -> None:
    caption, printed, code = nodes.Text("a"), nodes.Text("b"), nodes.Text("c")
    words = numbered_caption("", "", caption, nodes.literal("", "", code))
    nodes.container("", nodes.container("", words), nodes.paragraph("", "", printed), classes=["cell"])
    assert [is_running_text(text) for text in (caption, printed, code)] == [True, False, False]


def entries(site: Site) -> dict[str, Tag]:
    """The terms of the glossary, with what is said of them."""
    page = soup(site, "book/glossary")
    return {term["id"]: term.find_next("dd") for term in page.find_all("dt")}


@cache
def soup(site: Site, page: str) -> BeautifulSoup:
    """The article of a page."""
    return BeautifulSoup((site.html / f"{page}.html").read_text(encoding="utf-8"), "html.parser").find("article")


def test_every_entry_of_the_glossary_names_the_page_that_explains_it(site: Site) -> None:
    planned = {str(chapter.number) for chapter in CATALOGUE.chapters if not chapter.complete}
    for term, said in entries(site).items():
        last = said.find_all("p")[-1]
        chapter = re.fullmatch(r"Explained in chapter (\d), in preparation\.", last.get_text())
        if chapter:
            assert chapter[1] in planned, term
        else:
            assert re.match(r"Explained (in|on) ", last.get_text()), term
            assert last.a["href"].endswith(".html"), term


def test_lectures_lead_to_the_glossary_and_no_word_that_means_something_else_does(site: Site) -> None:
    """A weather's temperature, a graduate student, a tennis ball."""
    lead = {
        page.name: {href.partition("#term-")[2] for _, href in shown(soup(site, page.path), "term")}
        for page in CATALOGUE.lectures
    }
    assert all(lead.values())
    assert set().union(*lead.values()) <= {term.removeprefix("term-") for term in entries(site)}
    assert {"temperature", "student", "teacher"} <= lead["1.1"]
    assert not {"temperature", "margin", "kernel"} & lead["4.2"]
    assert "student" not in lead["4.6"]
    assert not {"ball", "margin", "overshoot"} & lead["2.1"]
    assert not {"kernel", "claim"} & lead["4.3"]


# --- citations ---

BIBLIOGRAPHY = "# Bibliography\n\n```{bibliography}\n:all:\n:style: plain\n```\n"
PAPER = "@misc{{{0}, author={{A B}}, title={{T {0}}}, year={{2020}}, eprint={{2001.00001}}}}\n"


def test_an_entry_of_the_bibliography_leads_to_the_paper_and_back_to_the_pages(build: Build, tmp_path: Path) -> None:
    (tmp_path / "references.bib").write_text(PAPER.format("one") + PAPER.format("two"))
    cited = {"z": "# 2.10 Z\n\n{cite}`one` {cite}`one`\n", "a": "# H4 · A\n\n{cite}`one`\n"}
    pages = build({"bibliography": BIBLIOGRAPHY, **cited}, "sphinxcontrib.bibtex", "citations")
    first, second = pages["bibliography"].find_all("div", class_="citation")
    assert first.find("a", href="https://arxiv.org/abs/2001.00001")
    assert first.get_text(" ", strip=True).endswith("Cited in 2.10 , H4 .")
    anchors = [link["href"].split("#") for link in first.select(".cited a")]
    assert [page for page, _ in anchors] == ["z.html", "a.html"]
    assert [pages[page].find(class_="bibtex-citation")["id"] for page in "za"] == [anchor for _, anchor in anchors]
    assert "Cited" not in second.get_text()


def papers() -> dict[str, dict[str, str]]:
    """The fields of each entry of the bibliography."""
    text = (ROOT / "book/references.bib").read_text(encoding="utf-8")
    found = {}
    for entry in re.split(r"^@", text, flags=re.MULTILINE)[1:]:
        found[entry.partition("{")[2].partition(",")[0]] = dict(
            re.findall(r"^  (\w+) *= *\{(.*)\},?$", entry, re.MULTILINE)
        )
    return found


ADDRESS = {
    "doi": r"10\.\d{4,5}/[\w.()/-]+",
    "eprint": r"(0[7-9]|1[0-4])\d\d\.\d{4}|(1[5-9]|2\d)(0[1-9]|1[0-2])\.\d{5}",
    "url": r"https://[\w-]+(\.[\w-]+)+/\S*",
}


@pytest.mark.parametrize(("key", "fields"), papers().items(), ids=papers())
def test_a_paper_has_an_address(key: str, fields: dict[str, str]) -> None:
    addresses = {name: fields[name] for name in ADDRESS if name in fields}
    assert addresses, f"{key} has neither doi nor eprint (the number of arXiv) nor url"
    for name, address in addresses.items():
        assert re.fullmatch(ADDRESS[name], address), f"{key}: {name} is {address}"


def test_no_two_papers_have_one_address() -> None:
    seen = [fields[name] for fields in papers().values() for name in ADDRESS if name in fields]
    assert len(seen) == len(set(seen)) >= len(papers()) > 100


def test_the_year_of_a_preprint_is_not_after_the_paper() -> None:
    """A number of arXiv begins with year and month; a paper appears up to four years later."""
    for key, fields in papers().items():
        if "eprint" in fields:
            late = int(fields["year"]) - 2000 - int(fields["eprint"][:2])
            assert 0 <= late <= 4, key


def test_every_page_that_cites_is_named_by_the_entry(site: Site) -> None:
    there = "book/bibliography.html"
    listed = {str(entry["id"]): entry for entry in soup(site, "book/bibliography").find_all("div", class_="citation")}
    for page in [*CATALOGUE.lectures, *CATALOGUE.homework]:
        for link in soup(site, page.path).select(".bibtex-citation a"):
            entry = listed[str(link["href"]).partition(f"{there}#")[2]]
            assert page.name in [back.get_text() for back in entry.select(".cited a")], f"{page.path}: {link}"
            assert entry.find("a", class_="external"), entry


# --- names of the library ---

API = """\
# API

```{eval-rst}
.. py:module:: tml_helpers.attacks
.. py:function:: pgd(x)
.. py:function:: fgsm(x)
.. py:module:: tml_helpers.common
.. py:class:: Warned
.. py:module:: tml_helpers.defenses
.. py:function:: fgsm(x)
```
"""
USES = """\
# `attacks.pgd`

`tml_helpers.attacks.pgd`, `attacks.pgd(x,
y)`, `pgd`, `attacks.Warned`, `tml_helpers.attacks`; [`pgd`](/api.md), `fgsm`, `Warned`, `attacks`, `F.pgd`, `pgd=1`.

```python
%magic
```
```python
from tml_helpers import attacks, defenses
```
"""


def test_inline_code_that_names_a_function_leads_to_its_entry(build: Build) -> None:
    own = USES + "```python\ndef pgd(): ...\n```\n"
    pages = build({"api": API, "lectures/a": USES, "lectures/own": own, "exercises/b": USES, "c": USES}, "api_names")
    always = ["tml_helpers.attacks.pgd", "attacks.pgd(x, y)", "attacks.Warned", "tml_helpers.attacks"]
    found = shown(pages["lectures/a"], "api")
    assert [words for words, _ in found] == [*always[:2], "pgd", *always[2:], "attacks"]
    assert [href.partition("#")[2].partition(".")[2] for _, href in found] == [
        *["attacks.pgd"] * 3,
        "common.Warned",
        *["attacks"] * 2,
    ]
    assert [words for words, _ in shown(pages["lectures/own"], "api")] == [*always, "attacks"]
    assert [words for words, _ in shown(pages["exercises/b"], "api")] == always
    assert shown(pages["c"], "api") == []


def test_lectures_lead_to_the_library(site: Site) -> None:
    hrefs = {href.rpartition("#")[2] for page in CATALOGUE.lectures for _, href in shown(soup(site, page.path), "api")}
    assert {"tml_helpers.attacks.pgd", "tml_helpers.explain.lime_image", "tml_helpers.distillation.distill"} <= hrefs


# --- what a lecture derives ---


def test_a_docstring_may_name_two_lectures() -> None:
    one, two = "lectures/10_one/first", "lectures/20_two/second"
    found = docstrings.DERIVED.findall(
        f"Source: lectures/0_x/y. Derived in: {one} and {two}. As in lectures/30_three/third"
    )
    assert docstrings.LECTURE.findall(" ".join(found)) == [one, two]


def test_the_foot_of_a_lecture_names_what_it_derives_and_not_what_it_uses(site: Site) -> None:
    feet = {page.name: soup(site, page.path).find("p", class_="derived") for page in CATALOGUE.lectures}
    derived = {name: [code.get_text() for code in foot.find_all("code")] if foot else [] for name, foot in feet.items()}
    assert derived["1.1"] == ["distillation.distill", "kernels.distillation_loss"]
    assert "kernels.distillation_loss" in derived["9.1"]
    assert derived["0.5"] == ["models.CourseCNN"]
    assert "models.VAE" in derived["0.7"]
    used = ("data.", "models.", "training.", "plotting.")
    others = [names for lecture, names in derived.items() if lecture not in ("0.5", "0.7")]
    assert [name for names in others for name in names if name.startswith(used)] == []


# --- homework ---

LECTURE = "# 2.{0} One\n\n## Practice\n\nExercise.\n\n## Practice more\n"
TASKS = """\
# H2 · Attack

[The chapter](../lectures/b.md).

## Task 1 · Step

See [lecture 2.1](../lectures/a.md).

### Hint

Again [lecture 2.1](../lectures/a.md).

## Task 2 · Walk

[Lecture 2.1](../lectures/a.md) and [the web](https://example.org).
"""


def test_practice_leads_to_the_tasks_that_name_the_lecture(build: Build) -> None:
    sources = {"lectures/a": LECTURE.format(1), "lectures/b": LECTURE.format(2), "exercises/h": TASKS}
    pages = build(sources, "homework_tasks")
    (line,) = pages["lectures/a"].find_all("p", class_="homework")
    assert line.get_text() == "In the homework: H2, task 1; H2, task 2"
    assert line.find_previous_sibling().name == "h2"
    assert line.parent["id"] == "practice"
    targets = [link["href"].split("#") for link in line.find_all("a")]
    assert [pages["exercises/h"].find(id=anchor).h2.get_text()[:6] for _, anchor in targets] == ["Task 1", "Task 2"]
    assert pages["lectures/b"].find("p", class_="homework") is None


def tasks(homework: Page) -> dict[str, list[str]]:
    """For each task of a homework's source, the lectures to which its text leads."""
    source = (ROOT / re.sub("^exercises/", "solutions/", f"{homework.path}.py")).read_text(encoding="utf-8")
    pieces = re.split(r"^# ## Task (\d+)\b", source, flags=re.MULTILINE)[1:]
    return {
        number: re.findall(r"^# .*\]\(\.\./\.\./(lectures/\w+/\w+)\.ipynb\)", text, re.MULTILINE)
        for number, text in zip(pieces[::2], pieces[1::2], strict=True)
    }


@pytest.mark.parametrize("homework", CATALOGUE.homework, ids=lambda page: page.name)
def test_every_task_names_its_lecture_whose_practice_names_the_task(site: Site, homework: Page) -> None:
    found = tasks(homework)
    assert found
    for number, lectures in found.items():
        assert lectures, f"{homework.name}, task {number}: name the lecture, [lecture 2.2](../../lectures/…ipynb)"
        for lecture in lectures:
            line = soup(site, lecture).find("p", class_="homework")
            assert line is not None, f"{lecture}, from {homework.name}, task {number}: run `make exercises`"
            assert f"{homework.name}, task {number}" in line.get_text()


# --- chapters ---


def test_what_is_in_preparation_stands_in_its_place_in_the_sidebar() -> None:
    chapters = [
        Chapter(n, title, "", n == 1, (), ()) for n, title in enumerate(["Zero", "One", "Two & a half", "Three"])
    ]
    lists = "".join(f'<p class="caption">{name}</p><ul><li>x</li></ul>' for name in ("Begin", "1 One", "3 Three"))
    made = BeautifulSoup(with_planned(lists, chapters), "html.parser")
    assert [(" ".join(p.stripped_strings), "in-preparation" in p["class"]) for p in made.find_all("p")] == [
        ("Begin", False),
        ("0 Zero in preparation", True),
        ("1 One", False),
        ("2 Two & a half in preparation", True),
        ("3 Three", False),
    ]
    assert [li.get_text() for li in made.find_all("li", class_="in-preparation")] == ["the rest in preparation"]
    assert made.find_all("ul")[-1].find("li", class_="in-preparation")


def test_the_sidebar_names_every_chapter_by_its_number(site: Site) -> None:
    planned = [
        chapter["number"] for chapter in yaml.safe_load((ROOT / "book/chapters.yml").read_text(encoding="utf-8"))
    ]
    for page in ("book/index", "lectures/20_adversarial/defenses"):
        text = (site.html / f"{page}.html").read_text(encoding="utf-8")
        captions = BeautifulSoup(text, "html.parser").select("nav.bd-links p.caption")
        numbers = [re.match(r"\d+", caption.get_text()) for caption in captions]
        assert [int(number[0]) for number in numbers if number] == planned
        for caption, chapter in zip(
            [c for c, n in zip(captions, numbers, strict=True) if n], CATALOGUE.chapters, strict=True
        ):
            assert ("in-preparation" in caption["class"]) == (not chapter.lectures)
