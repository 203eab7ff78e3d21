"""The check of colours asks a few elements of each look, and misses no look."""

from collections.abc import Iterator

import pytest
from accessibility import bad_colours, violations
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

WORDS = "".join(f"<p>word {n}</p>" for n in range(20))
PALE = "color: #bbb"
LINK = "<a href='#x' style='text-decoration: none; color: #333'>a link</a>"
LARGE = "<p style='color: #888; font-size: 30px'>large</p>"


def among(body: str) -> str:
    """Something among much else, neither first nor last nor in the middle."""
    return WORDS + body + 3 * WORDS


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def faults(page: Page, body: str, approved: set[str] | None = None) -> list[str]:
    """The rules that a page breaks, one for each element that is named."""
    page.set_content(f"<!DOCTYPE html><html lang='en'><title>Page</title><main><h1>Page</h1>{body}</main>")
    found = violations(page) + bad_colours(page, set() if approved is None else approved)
    return [one.partition(":")[0] for one in found]


def test_text_that_everybody_can_read_passes(tab: Page) -> None:
    assert faults(tab, WORDS) == []


@pytest.mark.parametrize(
    "body",
    [
        f"<p style='{PALE}'>word</p>",
        "<p style='background: #444'>word</p>",
        "<div style='background: #444'><section><p>word</p></section></div>",
        "<div style='opacity: .3'><p>word</p></div>",
        f"{LARGE}<p style='color: #888'>small</p>{4 * LARGE}",
        f"<p style='{PALE}'>(</p><p style='{PALE}'>word</p><p style='{PALE}'>)</p>",
        f"<details><p style='{PALE}'>hidden</p></details><p style='{PALE}'>word</p>",
        f"<textarea style='{PALE}' aria-label='a field'>word</textarea>",
    ],
)
def test_one_pale_word_among_many_is_found(tab: Page, body: str) -> None:
    assert faults(tab, among(body)) == ["color-contrast"]


def test_where_something_lies_above_the_few_all_of_a_look_are_asked(tab: Page) -> None:
    pale = "".join(f"<p style='{PALE}; margin: 0; line-height: 20px'>word</p>" for _ in range(9))
    lids = "".join(
        f"<div style='position: absolute; background: red; left: 0; width: 30px; height: 20px; top: {y}px'></div>"
        for y in (0, 80, 160)
    )
    assert faults(tab, f"<div style='position: absolute; top: 0; left: 0'>{pale}{lids}</div>") == ["color-contrast"] * 6


def test_a_link_in_a_text_is_told_from_it_by_more_than_colour(tab: Page) -> None:
    alone = f"<p>{LINK}</p>" * 20
    assert faults(tab, alone) == []
    assert faults(tab, f"{alone}<p>A text with {LINK} in it.</p>{3 * alone}") == ["link-in-text-block"]


def test_a_look_that_was_approved_is_not_asked_again(tab: Page) -> None:
    approved: set[str] = set()
    assert faults(tab, WORDS, approved) == []
    assert tab.locator("[data-look]").count() > 0
    assert faults(tab, WORDS, approved) == []
    assert tab.locator("[data-look]").count() == 0


@pytest.mark.parametrize("bad", [f"<p style='{PALE}'>word</p>", f"<p>A text with {LINK} in it.</p>"])
def test_a_bad_look_is_found_on_every_page(tab: Page, bad: str) -> None:
    approved: set[str] = set()
    assert len(faults(tab, WORDS + bad, approved)) == 1
    assert len(faults(tab, WORDS + bad, approved)) == 1


def test_the_rules_that_are_not_of_colour_see_the_whole_page(tab: Page) -> None:
    assert faults(tab, f"{WORDS}<img src='data:,'>{WORDS}<button></button>{WORDS}") == ["button-name", "image-alt"]
