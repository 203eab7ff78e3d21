"""Nothing on a page but what its author meant a reader to see: no markup that was left over, no stock words, no gap."""

import re
from collections.abc import Callable, Iterator

import pytest
from bs4 import BeautifulSoup, Tag
from built_site import Site

# Code, signatures and quoted texts show what they show, and MathJax sets the formulas.
NO_PROSE = "code, pre, script, style, noscript, dialog, svg, .sig, .math, [style*='white-space:pre-wrap']"
HEADINGS = [f"h{n}" for n in range(1, 7)]
LEFT_OVER = {
    "pipes of a table": r"^\s*\|.*\|\s*$",
    "a raw role": r"\{[a-z][\w:+-]+\}(?=\S)",
    "a raw substitution": r"\{\{|\}\}",
    "raw emphasis": r"\*\*",
    "a raw formula": r"(?<!\\)\$",
    "a raw fence": r"^\s*(```|:::)",
    "a raw link": r"\]\(",
    "stock words": r"Show code cell|Hide code cell|Click to (?:show|hide)|content \{type\}",
    "an object": r"\[object|<[\w.]+ object at 0x|^\s*undefined\s*$",
}


def prose(page: Tag) -> str:
    """What stands on a page, less code and formulas; one paragraph, cell or item a line or more."""
    text = BeautifulSoup(str(page), "html.parser")
    for part in text.select(NO_PROSE):
        part.decompose()
    for part in text(["p", "li", "td", "th", "summary", *HEADINGS]):
        part.append("\n")
    return text.get_text()


def left_over(page: Tag) -> Iterator[str]:
    """What a reader sees of Markdown, of a template or of a script."""
    text = prose(page)
    for what, pattern in LEFT_OVER.items():
        yield from (f"{what}: {found[0].strip()[:80]}" for found in re.finditer(pattern, text, re.MULTILINE))


def empty_headings(page: Tag) -> Iterator[str]:
    """A heading without a word: its sign for a link is none."""
    for heading in page(HEADINGS):
        signs = "".join(link.get_text() for link in heading("a", class_="headerlink"))
        if heading.get_text(strip=True) == signs.strip():
            yield f"an empty heading: {heading.get('id') or heading}"


def bare_pictures(page: Tag) -> Iterator[str]:
    """A picture that code drew, or a figure, without a caption in words."""
    drawn = [picture for picture in page.select(".cell_output img") if picture.find_parent("figure") is None]
    for picture in [*drawn, *page("figure")]:
        caption = picture.find("figcaption")
        words = re.sub(r"^Figure \d+\.", "", caption.get_text(" ", strip=True)).strip("# ") if caption else ""
        if not words:
            yield f"no caption: {str(picture)[:80]}"


CHECKS: list[Callable[[Tag], Iterator[str]]] = [left_over, empty_headings, bare_pictures]


def faults(html: str) -> list[str]:
    page = BeautifulSoup(html, "html.parser")
    return [found for check in CHECKS for found in check(page)]


def test_no_page_shows_what_no_reader_should_see(site: Site) -> None:
    pages = [file for file in sorted(site.html.rglob("*.html")) if "_static" not in file.parts]
    assert len(pages) > 20
    seen = {str(file.relative_to(site.html)): faults(file.read_text(encoding="utf-8")) for file in pages}
    assert {name: found for name, found in seen.items() if found} == {}


@pytest.mark.parametrize(
    ("html", "what"),
    [
        ("<p>| goal | any |\n|—|—|\n| knowledge | all |</p>", "pipes of a table"),
        ("<p>as in {cite}`goodfellow2015explaining`</p>", "a raw role"),
        ("<p>as in {cite}goodfellow2015explaining</p>", "a raw role"),
        ("<p>{{ cpu_seconds }} to run</p>", "a raw substitution"),
        ("<li>**Time**: an hour</li>", "raw emphasis"),
        ("<td>where $x$ is</td>", "a raw formula"),
        ("<p>```{quiz}</p>", "a raw fence"),
        ("<p>see [the page](other.md)</p>", "a raw link"),
        ("<details><summary><p>Show code cell content</p></summary></details>", "stock words"),
        ("<p>the answer is [object Object]</p>", "an object"),
        ("<td>undefined</td>", "an object"),
        ("<h2><a class='headerlink' href='#x'>#</a></h2>", "an empty heading"),
        ("<div class='cell_output'><img src='x.png'></div>", "no caption"),
        ("<figure><img src='x.png'><figcaption>Figure 1.<a>#</a></figcaption></figure>", "no caption"),
    ],
)
def test_each_fault_is_found(html: str, what: str) -> None:
    assert {found.partition(":")[0] for found in faults(f"<article>{html}</article>")} == {what}


@pytest.mark.parametrize(
    "html",
    [
        "<pre>| a | b | ** $x$ {{ y }} {cite}`z` [object] ](</pre><p>of <code>{cite}`x`</code></p>",
        "<dt class='sig'>f(**options)</dt>",
        "<div style='color:#000;white-space:pre-wrap'>**kwargs : dict</div>",
        "<div class='math'>\\[\\{x\\} |y|\\]</div><p>the set <span class='math'>\\({{x}}\\)</span></p>",
        "<h2>Practice<a class='headerlink' href='#x'>#</a></h2>",
        "<figure><div class='cell_output'><img src='x.png'></div><figcaption>Figure 1. A cat.</figcaption></figure>",
        "<p>a set {0, 1} and |x|, 5 * 3</p>",
        "<p>where nobody is, a rate is undefined</p>",
    ],
)
def test_what_an_author_meant_passes(html: str) -> None:
    assert faults(f"<article>{html}</article>") == []
