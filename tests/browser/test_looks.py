"""How a page looks at each width, in a large picture, and on paper; and what it weighs."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from built_site import ROOT, Site
from playwright.sync_api import Browser, Page, expect
from reading import PHONE, Reader, cut_code

pytestmark = pytest.mark.browser

LECTURE = "lectures/20_adversarial/linear_explanation"
MEGABYTE = 1_000_000
# The longest line that a lecture may have, in the letters of a cell of code.
LONGEST = """() => {
  const pre = document.querySelector('article div.cell_input pre');
  pre.textContent = 'm'.repeat(88);
  return pre.scrollWidth <= pre.clientWidth;
}"""


def test_the_column_holds_the_longest_line_beside_both_side_bars_and_a_scroll_bar(served: Reader) -> None:
    page = served.open(f"{LECTURE}.html")
    page.add_style_tag(content="body { margin-right: 15px }")
    for width in range(1200, 1960, 40):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(LONGEST), width
        for bar in (".bd-sidebar-primary", ".bd-sidebar-secondary"):
            expect(page.locator(bar)).to_be_in_viewport()


def test_the_text_begins_where_a_hidden_side_bar_began(served: Reader) -> None:
    page = served.open(f"{LECTURE}.html")
    page.set_viewport_size({"width": 1920, "height": 900})
    page.locator("button.primary-toggle").click()
    expect(page.locator(".bd-sidebar-primary")).to_be_hidden()
    page.evaluate("Promise.all(document.getAnimations().map(one => one.finished.catch(() => null))).then(() => null)")
    left = [page.locator(one).bounding_box()["x"] for one in ("main.bd-main", ".bd-container__inner")]
    assert left[0] == pytest.approx(left[1], abs=1)


def figure(reader: Reader) -> Page:
    page = reader.open(f"{LECTURE}.html")
    page.locator("figure.numbered a").first.scroll_into_view_if_needed()
    return page


def test_a_figure_opens_large_by_click_and_closes_by_escape(reader: Reader) -> None:
    page = figure(reader)
    link, dialog = page.locator("figure.numbered a").first, page.locator("dialog.large")
    small = link.locator("img")
    link.click()
    expect(dialog).to_be_visible()
    large = dialog.locator("img")
    expect(large).to_have_attribute("alt", str(small.get_attribute("alt")))
    assert large.bounding_box()["width"] > 1.2 * small.bounding_box()["width"]
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(link).to_be_focused()


def test_a_figure_opens_by_keyboard_and_the_cross_closes_it(reader: Reader) -> None:
    page = figure(reader)
    dialog = page.locator("dialog.large")
    page.locator("figure.numbered a").first.focus()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()


def test_on_a_phone_a_figure_opens_larger_than_the_screen_and_on_white(browser: Browser, origin: str) -> None:
    reader = Reader(browser, origin, color_scheme="dark", has_touch=True)
    reader.page.set_viewport_size(PHONE)
    page = figure(reader)
    page.locator("figure.numbered a").first.tap()
    dialog = page.locator("dialog.large")
    assert dialog.locator("img").bounding_box()["width"] > 1.5 * PHONE["width"]
    expect(dialog).to_have_css("background-color", "rgb(255, 255, 255)")
    assert dialog.evaluate("one => one.scrollWidth > one.clientWidth")
    dialog.locator("img").tap()
    expect(dialog).to_be_hidden()
    reader.context.close()
    assert reader.complaints == []


def test_without_javascript_a_figure_leads_to_its_picture(browser: Browser, origin: str) -> None:
    reader = Reader(browser, origin, java_script_enabled=False)
    reader.page.goto(f"{origin}{LECTURE}.html")
    reader.page.locator("figure.numbered a").first.click()
    reader.page.wait_for_url(re.compile(r"_images/.*\.(png|jpe?g)$"))
    reader.context.close()


def test_paper_shows_all_and_cuts_nothing(browser: Browser, origins: dict[str, str]) -> None:
    reader = Reader(browser, origins["http"], color_scheme="dark")
    page = reader.open(f"{LECTURE}.html")
    folded = page.locator("article details:not([open])")
    before = folded.count()
    assert before > 5
    page.set_viewport_size({"width": 672, "height": 1000})  # the text's width on A4
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert folded.count() == 0
    for solution in page.locator("details.hide .cell_input, .quiz-mark").all():
        expect(solution).to_be_visible()
    # what fades in would be printed at the beginning, where nothing is seen
    expect(page.locator("details.hide > .cell_input").first).to_have_css("animation-name", "none")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert cut_code(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for gone in (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", ".prev-next-footer"):
        expect(page.locator(gone).first).to_be_hidden()
    expect(page.locator("article h1")).to_be_visible()
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert folded.count() == before
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    reader.context.close()


def test_a_page_weighs_at_most_a_megabyte_before_its_figures(browser: Browser, origins: dict[str, str]) -> None:
    """As web servers send it, compressed."""
    reader = Reader(browser, origins["http"])
    received: dict[str, int] = {}

    def weigh(url: str, body: bytes) -> None:
        packed = url.rsplit("?")[0].endswith((".woff2", ".png", ".jpg", ".jpeg"))
        received[url] = len(body) if packed else len(gzip.compress(body))

    reader.context.on("requestfinished", lambda request: weigh(request.url, request.response().body()))
    reader.open(f"{LECTURE}.html").wait_for_load_state("networkidle")
    reader.context.close()
    assert any("tex-mml-chtml" in url for url in received)
    assert not any("fontawesome.js" in url for url in received)
    assert sum(size for url, size in received.items() if "/_images/" not in url) <= MEGABYTE


def test_icons_come_from_the_font(served: Reader) -> None:
    page = served.open(f"{LECTURE}.html")
    icon = page.locator(".theme-switch-button:visible i, .theme-switch-button:visible svg").first
    assert page.evaluate("document.fonts.ready.then(() => document.fonts.check('900 16px \"Font Awesome 6 Free\"'))")
    assert icon.evaluate("one => getComputedStyle(one, '::before').content") not in ("none", "normal")


@pytest.fixture
def lost(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.mark.parametrize("course", ["", "course/"])
@pytest.mark.parametrize("address", ["nothing.html", "lectures/20_adversarial/nothing.html", "a/b/c/d/"])
def test_the_page_for_lost_readers_leads_home_from_any_depth(lost: Page, site: Site, course: str, address: str) -> None:
    host = "https://example.org/"
    text = (ROOT / "book/_root/404.html").read_text(encoding="utf-8")

    def answer(route) -> None:  # type: ignore[no-untyped-def]
        path = route.request.url.removeprefix(host + course)
        file = Path(site.html) / path
        known = route.request.url.startswith(host + course) and file.is_file()
        route.fulfill(status=200 if known else 404, body=file.read_bytes() if known else text, content_type="text/html")

    lost.route("**/*", answer)
    lost.goto(host + course + address)
    expect(lost.locator("#start")).to_have_attribute("href", f"/{course}book/index.html")
    assert lost.locator("[src], link[href]:not([href^='data:'])").count() == 0
