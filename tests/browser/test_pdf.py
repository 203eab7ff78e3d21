"""The book as one PDF: its pages in order, links that lead within it, and a sentence where nothing can print it."""

import re
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from built_site import ROOT, toc_pages
from playwright.sync_api import Browser

sys.path.append(str(ROOT / "tools"))
import pdf

ONE = """<html><head><link rel="stylesheet" href="_static/style.css?v=1"></head><body><a href="b/two.html">bar</a>
<article class="bd-article"><h1 id="one">One<a href="#one">#</a></h1><a href="b/two.html#part">part</a>
<a href="b/two.html">page</a><a href="https://example.org/x">out</a><a href="file.csv">file</a>
<details><summary>s</summary><p>folded</p></details><script>1</script></article></body></html>"""
TWO = """<html><body><article class="bd-article"><h1>Two</h1><h2 id="part">Part</h2><span class="math">\\(x\\)</span>
<a href="../one.html#one">back</a><a href="#part">here</a>
<img src="../_images/x%20y.png" alt="x"></article></body></html>"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A site of two pages."""
    (tmp_path / "b").mkdir()
    (tmp_path / "one.html").write_text(ONE)
    (tmp_path / "b/two.html").write_text(TWO)
    return tmp_path.resolve()


def test_the_pages_are_those_of_the_contents_in_their_order() -> None:
    assert pdf.pages(ROOT / "book/_toc.yml") == toc_pages()


def test_links_lead_within_the_joined_page(small: Path) -> None:
    whole = BeautifulSoup(pdf.joined(small, ["one", "b/two"]), "html.parser")
    names = [str(one["id"]) for one in whole(id=True)]
    assert len(names) == len(set(names))
    targets = {link.get_text(): link.get("href") for link in whole("a")}
    assert targets["out"] == "https://example.org/x"
    assert targets["file"] is None
    assert "bar" not in targets
    for words, start in {"part": "Part", "here": "Part", "page": "Two", "back": "One"}.items():
        there = whole.find(id=targets[words].removeprefix("#"))
        assert there.get_text().strip().startswith(start)
    assert [article.h1.get_text() for article in whole("article")] == ["One#", "Two"]


def test_pictures_are_found_and_all_is_open(small: Path) -> None:
    whole = BeautifulSoup(pdf.joined(small, ["one", "b/two"]), "html.parser")
    assert whole.img["src"] == (small / "_images/x y.png").as_uri()
    assert all(folded.has_attr("open") for folded in whole("details"))
    assert whole.title.get_text() == "One"
    assert whole("script") == []


@pytest.mark.browser
def test_each_page_of_the_book_begins_on_a_page_of_the_pdf(browser: Browser, small: Path, tmp_path: Path) -> None:
    head = f"<style>{(ROOT / 'book/_static/style.css').read_text(encoding='utf-8')}</style>"
    (small / "one.html").write_text(ONE.replace("<script>1</script>", head))
    pdf.write(pdf.joined(small, ["one", "b/two"]), browser, tmp_path / "book.pdf")
    written = (tmp_path / "book.pdf").read_bytes()
    assert written.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", written)) == 2
    assert b"/Outlines" in written


def test_without_chromium_one_sentence_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pdf.doctor, "find", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["pdf.py"])
    assert pdf.main() == 1
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert "install" in printed
    assert "Chromium" in printed
