"""The course's address on the web: what the pages make of it, and that nothing leads anywhere where there is none."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import repository
from bs4 import BeautifulSoup
from built_site import ROOT, Site
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from tml_helpers import machine

COLAB = "https://colab.research.google.com"
PAGE = """# Page

{{ clone }}

Open {{ issues }}, or look at {{ repository }}.
"""
NOTEBOOK = """{
"cells": [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# Lecture"}],
"metadata": {"kernelspec": {"display_name": "Python 3", "name": "python3"}},
"nbformat": 4, "nbformat_minor": 5}
"""
Build = Callable[[str | None], dict[str, BeautifulSoup]]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A page and a notebook of the course that has this address, as the book's theme shows them."""

    def run(address: str | None) -> dict[str, BeautifulSoup]:
        monkeypatch.setattr(repository, "repository", lambda: address)
        (tmp_path / "index.md").write_text(f"{PAGE}\n```{{toctree}}\nlecture\n```\n", encoding="utf-8")
        (tmp_path / "lecture.ipynb").write_text(NOTEBOOK, encoding="utf-8")
        theme = {"use_repository_button": True, "use_issues_button": True, "repository_branch": "main"}
        settings = {
            "source_suffix": {".md": "myst-nb", ".ipynb": "myst-nb"},
            "extensions": ["myst_nb", "sphinx_book_theme", "repository"],
            "myst_enable_extensions": ["substitution"],
            "nb_execution_mode": "off",
            "html_theme": "sphinx_book_theme",
            "html_theme_options": theme | {"launch_buttons": {"colab_url": COLAB}},
        }
        warnings, out = io.StringIO(), tmp_path / "out"
        with docutils_namespace():
            Sphinx(tmp_path, None, out, tmp_path, "html", settings, status=None, warning=warnings).build()
        assert warnings.getvalue() == ""
        return {file.stem: read(file) for file in out.glob("*.html")}

    return run


def read(file: Path) -> BeautifulSoup:
    return BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")


def buttons(page: BeautifulSoup) -> list[str]:
    """Where the buttons lead that need an address."""
    kinds = ("btn-source-repository-button", "btn-source-issues-button")
    found = [link["href"] for kind in kinds for link in page.find_all("a", class_=kind)]
    return found + [link["href"] for link in page.find_all("a") if link.get("href", "").startswith(COLAB)]


def test_with_an_address_words_and_buttons_lead_there(build: Build) -> None:
    address = "https://github.com/ada/course"
    pages = build(address)
    article = pages["index"].article
    assert article.pre.get_text() == f"git clone {address}\ncd course\n"
    assert [link["href"] for link in article.p.find_all("a")] == [f"{address}/issues", address]
    source, issues, colab = buttons(pages["lecture"])
    assert source == address
    assert issues.startswith(f"{address}/issues/new")
    assert colab == f"{COLAB}/github/ada/course/blob/main/lecture.ipynb"


@pytest.mark.parametrize("address", [None, "https://git.example.org/ada/course"])
def test_without_an_address_that_the_theme_knows_no_button_is_shown(build: Build, address: str | None) -> None:
    pages = build(address)
    assert buttons(pages["index"]) + buttons(pages["lecture"]) == []
    article = pages["index"].article
    links = [link["href"] for link in article.p.find_all("a")]
    assert links == ([f"{address}/issues", address] if address else [])
    if address is None:
        said = [paragraph.get_text() for paragraph in article.find_all("p")]
        assert said[:2] == [
            "Open a terminal in the course’s folder.",
            "Open an issue where you got the course, or look at the course’s folder.",
        ]


def test_from_gitlab_there_is_no_button_for_colab_which_cannot_open_it(build: Build) -> None:
    source, issues = buttons(build("https://gitlab.com/group/sub/course")["lecture"])
    assert source == "https://gitlab.com/group/sub/course"
    assert issues.startswith(f"{source}/-/issues/new")


def test_each_page_of_the_book_leads_to_the_course_where_it_has_an_address(site: Site) -> None:
    address = machine.repository()
    known = address is not None and repository.KNOWN.fullmatch(address)
    files = [file for name in ("book", "lectures") for file in sorted((site.html / name).rglob("*.html"))]
    assert len(files) > 20
    for file in files:
        found = buttons(read(file))
        assert bool(found) == bool(known), file
        for there in found:
            if there.startswith(COLAB):
                assert (ROOT / there.partition("/blob/main/")[2]).is_file(), there
