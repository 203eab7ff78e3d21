"""Write the whole book, as `make book` built it, to one PDF: python tools/pdf.py [--site FOLDER] [--out FILE.pdf]

The text of each page, in the order of the table of contents, is joined to one page, and Chromium prints it. A link from
page to page leads to its place in the PDF.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser, sync_playwright

from tml_helpers import doctor
from tml_helpers._console import on_any_console

ROOT = Path(__file__).parents[1]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu"]
FRAME = """\
<!DOCTYPE html>
<html lang="en" data-theme="light">
<head><meta charset="utf-8"><title>{title}</title>{head}</head>
<body><main class="bd-main"><div class="bd-content"><div class="bd-article-container">
{articles}
</div></div></main></body>
</html>
"""


def pages(toc: Path) -> list[str]:
    """The pages that a table of contents names, in their order, without suffix."""

    def files(entry: dict[str, object]) -> Iterator[str]:
        for key, value in entry.items():
            if key in ("root", "file"):
                yield str(value)
            elif isinstance(value, list):
                for one in value:
                    yield from files(one)

    return list(files(yaml.safe_load(toc.read_text(encoding="utf-8"))))


def anchor(page: str, fragment: str = "") -> str:
    """The name in the joined page of a place on a page; without a fragment, of its beginning."""
    return f"{page.replace('/', '.')}:{fragment}"


def place(site: Path, page: str, address: str) -> str | None:
    """Where a link of a page leads in the joined page; None for a file that is no page."""
    parts = urlsplit(address)
    if parts.scheme or address.startswith("//"):
        return address
    there = (site / page).parent / unquote(parts.path) if parts.path else (site / f"{page}.html")
    target = there.resolve()
    if target.suffix != ".html" or not target.is_relative_to(site):
        return None
    return "#" + anchor(target.relative_to(site).with_suffix("").as_posix(), unquote(parts.fragment))


def article(site: Path, page: str) -> Tag:
    """The text of a page, with all of it open, and with names and addresses that hold in the joined page."""
    text = BeautifulSoup((site / f"{page}.html").read_text(encoding="utf-8"), "html.parser").find("article")
    assert isinstance(text, Tag), f"{page} has no text"
    for named in text.find_all(id=True):
        named["id"] = anchor(page, str(named["id"]))
    text["id"] = anchor(page)
    for link in text.find_all("a", href=True):
        there = place(site, page, str(link["href"]))
        if there is None:
            del link["href"]
        else:
            link["href"] = there
    for picture in text.find_all("img", src=True):
        if not urlsplit(str(picture["src"])).scheme:
            picture["src"] = ((site / page).parent / unquote(str(picture["src"]))).resolve().as_uri()
    for folded in text.find_all("details"):
        folded["open"] = ""
    for script in text.find_all("script"):
        script.decompose()
    return text


def head(site: Path, page: str) -> str:
    """The style sheets, and what sets the formulas, of a page."""
    soup = BeautifulSoup((site / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
    parts = soup.find_all("link", rel="stylesheet") + [
        one for one in soup.find_all("script") if "mathjax" in str(one).lower()
    ]
    for part in parts:
        for key in ("href", "src"):
            if part.get(key):
                part[key] = ((site / page).parent / urlsplit(str(part[key])).path).resolve().as_uri()
    return "".join(map(str, parts))


def joined(site: Path, names: list[str]) -> str:
    """All pages as one; the style is that of the page with the most kinds of content, a lecture."""
    texts = {name: article(site, name) for name in names}
    with_formulas = next((name for name, text in texts.items() if text.select_one(".math")), names[0])
    title = str(texts[names[0]].find("h1").get_text()).rstrip("#")  # type: ignore[union-attr]
    return FRAME.format(title=title, head=head(site, with_formulas), articles="".join(map(str, texts.values())))


def write(html: str, browser: Browser, out: Path) -> None:
    """Print a page to a PDF with an outline."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "book.html"
        whole.write_text(html, encoding="utf-8")
        page = browser.new_page()
        page.set_default_timeout(0)
        page.goto(whole.as_uri())
        page.evaluate("window.MathJax && MathJax.startup.promise.then(() => null)")
        page.pdf(path=out, prefer_css_page_size=True, print_background=True, outline=True, tagged=True)
        page.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--site", type=Path, default=ROOT / "_build/html", help="the built book")
    parser.add_argument("--out", type=Path, default=ROOT / "_build/book.pdf")
    arguments = parser.parse_args()
    chromium = doctor.find("Chromium")
    if chromium is None:
        print("The PDF is printed by Chromium, which is not here: install it, on Debian by `apt-get install chromium`.")
        return 1
    print("Printing the book takes some minutes.", flush=True)
    html = joined(arguments.site.resolve(), pages(ROOT / "book/_toc.yml"))
    with sync_playwright() as playwright:
        write(html, playwright.chromium.launch(executable_path=chromium, args=FLAGS), arguments.out)
    print(f"The book is at {arguments.out}.")
    return 0


if __name__ == "__main__":
    on_any_console()
    sys.exit(main())
