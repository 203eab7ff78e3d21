"""The built book: strict, complete, and without a link, button or picture that leads nowhere."""

import ast
import importlib
import inspect
import json
import re
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import offline
import pytest
from bs4 import BeautifulSoup, Tag
from built_site import BUILD, ROOT, Site, toc_pages
from catalogue import Catalogue

MODULES = list(Catalogue(ROOT).modules)


@cache
def page(file: Path) -> BeautifulSoup:
    return BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")


def pages(site: Site) -> list[Path]:
    """Every page of the book; index.html in the root only leads to the first of them, and 404.html, too."""
    found = [file for file in sorted(site.html.rglob("*.html")) if "_static" not in file.parts]
    assert len(found) > 20
    return [file for file in found if file not in (site.html / "index.html", site.html / "404.html")]


@cache
def links(site: Site, tag: str = "a", attribute: str = "href") -> list[tuple[Path, str]]:
    return [
        (file, element[attribute]) for file in pages(site) for element in page(file).find_all(tag, **{attribute: True})
    ]


@cache
def anchors(file: Path) -> set[str]:
    """What a fragment can lead to on a page."""
    named = page(file).find_all(lambda tag: tag.has_attr("id") or tag.has_attr("name"))
    return {tag[key] for tag in named for key in ("id", "name") if tag.has_attr(key)}


def target(site: Site, file: Path, address: str) -> tuple[Path, str]:
    """The file and the fragment that an address without a host means, seen from `file`."""
    parts = urlsplit(address)
    there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    return there, unquote(parts.fragment)


def test_strict_build_has_no_warning(site: Site) -> None:
    complaints = [line for line in site.log.splitlines() if re.search("WARNING|ERROR|Error", line)]
    assert complaints == []
    assert site.status == 0, site.log[-2000:]


def test_make_book_strict_is_the_build_that_is_tested_and_a_readers_warns_only() -> None:
    def build(*variables: str) -> list[str]:
        command = ["make", "--dry-run", "--old-file=setup", "book", *variables]
        printed = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
        return re.findall(r"^jupyter-book (.*?) +\|\|", printed, re.MULTILINE)

    assert build("STRICT=1") == [BUILD]
    assert build() == [BUILD.partition(" -W")[0]]


def test_first_page_leads_to_the_book(site: Site) -> None:
    refresh = page(site.html / "index.html").find("meta", attrs={"http-equiv": "refresh"})["content"]
    assert (site.html / refresh.partition("url=")[2]).samefile(site.html / "book/index.html")


def test_every_page_of_the_contents_is_built(site: Site) -> None:
    for name in toc_pages():
        assert (site.html / f"{name}.html").is_file()


def test_every_picture_says_what_it_shows(site: Site) -> None:
    for file in pages(site):
        for image in page(file).find_all("img"):
            words = re.findall(r"[^\W\d_]{2,}", image.get("alt", ""))
            shown = f"{file.relative_to(site.html)}: {str(image)[:200]}"
            assert image.get("alt") is not None, shown
            assert not re.search(r"[0-9a-f]{16}", image["alt"]), shown
            in_text = image.find_parent("article") is not None
            assert len(words) >= (3 if in_text else 1), shown


def test_every_figure_of_a_lecture_has_the_width_that_it_was_drawn_for(site: Site) -> None:
    figures = [picture for file in pages(site) for picture in page(file).select("figure.numbered img")]
    assert len(figures) > 30
    assert [picture["src"] for picture in figures if "width:" not in picture.get("style", "")] == []


def test_every_page_says_what_it_is_about(site: Site) -> None:
    for file in pages(site):
        if file.name != "search.html":
            sentence = page(file).find("meta", attrs={"name": "description"})
            assert sentence is not None, file
            assert len(sentence["content"].split()) >= 3, file


def test_every_internal_link_leads_somewhere(site: Site) -> None:
    found = links(site) + links(site, "script", "src") + links(site, "img", "src") + links(site, "link")
    # A relative address means the same on all pages of a folder: each sidebar's is followed once a folder.
    once = {(file if address.startswith("#") else file.parent, address): file for file, address in found}
    for (_, address), file in once.items():
        if urlsplit(address).scheme or address.startswith("//"):
            continue
        there, fragment = target(site, file, address)
        shown = f"{file.relative_to(site.html)} links to {address}"
        assert there.is_file(), shown
        if fragment and there.suffix == ".html":
            assert fragment in anchors(there), shown


def test_no_page_asks_another_host(site: Site) -> None:
    files = list(offline.built_files(site.html))
    assert len(files) > 30
    assert {str(file): offline.remote_requests(file) for file in files if offline.remote_requests(file)} == {}


def public_names(module: str) -> list[str]:
    """The functions and classes that a module offers and defines; what it has from another is on the other's page."""
    loaded = importlib.import_module(f"tml_helpers.{module}")
    if hasattr(loaded, "__all__"):
        found = {name: getattr(loaded, name) for name in loaded.__all__}
        offered = {name: value for name, value in found.items() if loaded.__name__ in getattr(value, "__module__", "")}
        return [name for name, value in offered.items() if inspect.isroutine(value) or inspect.isclass(value)]
    tree = ast.parse(inspect.getsource(loaded))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [name for name in defined if not name.startswith("_")]


@pytest.mark.parametrize("module", MODULES)
def test_page_of_a_module_lists_its_public_names(site: Site, module: str) -> None:
    shown = page(site.html / f"book/api/{module}.html")
    names = public_names(module)
    assert names
    for name in names:
        entry = shown.find(id=f"tml_helpers.{module}.{name}")
        assert entry is not None, f"{module}.{name} is not on its page: has it a docstring?"
        assert isinstance(entry.find_next("dd"), Tag)
        assert entry.find_next("dd").get_text(strip=True)


def test_library_and_lectures_lead_to_each_other(site: Site) -> None:
    derived = {
        (site.html / f"{lecture}.html", module)
        for module in MODULES
        for lecture in re.findall(r"Derived in: (lectures/\w+/\w+)", source(module))
    }
    assert derived
    for lecture, module in derived:
        helper = site.html / f"book/api/{module}.html"
        for here, there in ((lecture, helper), (helper, lecture)):
            assert there in linked(site, here), f"{here} to {there}"


@cache
def linked(site: Site, file: Path) -> set[Path]:
    """Where a page's text leads to; the sidebar leads to every page."""
    in_text = page(file).find("article").find_all("a", href=True)
    return {target(site, file, link["href"])[0] for link in in_text}


def source(module: str) -> str:
    """The text of a module, or of all files of a package."""
    file = Path(importlib.import_module(f"tml_helpers.{module}").__file__ or "")
    files = file.parent.glob("*.py") if file.name == "__init__.py" else [file]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def test_glossary_is_sorted_and_reachable(site: Site) -> None:
    terms = [term.get_text(strip=True).rstrip("#") for term in page(site.html / "book/glossary.html").find_all("dt")]
    assert len(terms) > 30
    assert terms == sorted(terms, key=str.lower)
    for term in terms:
        anchor = "term-" + re.sub(r"[^\w]+", "-", term)
        assert anchor in anchors(site.html / "book/glossary.html"), term


def test_every_citation_leads_to_the_bibliography(site: Site) -> None:
    keys = set(re.findall(r"^@\w+\{([\w]+),", (ROOT / "book/references.bib").read_text(), re.MULTILINE))
    listed = page(site.html / "book/bibliography.html").find_all("div", class_="citation")
    entries = {str(entry["id"]) for entry in listed}
    assert len(entries) == len(keys)
    cited = [
        target(site, file, address)
        for file, address in links(site)
        if address.partition("#")[0].endswith("bibliography.html") and "#" in address
    ]
    assert cited
    assert {fragment for _, fragment in cited} <= entries


def test_timings_list_every_measured_notebook(site: Site) -> None:
    measured = json.loads((ROOT / "benchmarks/results/notebooks.json").read_text())["notebooks"]
    rows = page(site.html / "book/timings.html").find("article").select("table tr:has(td)")
    shown = {row.find("a")["href"]: row.find_all("td")[1].get_text(strip=True) for row in rows}
    assert shown == {
        f"../{name.removesuffix('.ipynb').replace('solutions', 'exercises')}.html": f"{cost['cpu_seconds']:.0f}"
        for name, cost in measured.items()
    }
