"""The check of colours asks a few elements of each look, and misses no look."""

from collections.abc import Iterator

import pytest
from accessibility import bad_colours, violations
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

WORDS = "".join(f"<p>word {n}</p>" for n in range(20))
PALE = "color: #bbb"


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
        f"{WORDS}<p style='{PALE}'>word</p>{WORDS}",
        f"{WORDS}<p style='background: #444'>word</p>{WORDS}",
        f"{WORDS}<div style='background: #444'><section><p>word</p></section></div>{WORDS}",
        f"{WORDS}<div style='opacity: .3'><p>word</p></div>{WORDS}",
        f"<p style='color: #888; font-size: 30px'>large</p>{WORDS}<p style='color: #888'>small</p>{WORDS}",
        f"<p style='{PALE}'>(</p>{WORDS}<p style='{PALE}'>word</p>{WORDS}<p style='{PALE}'>)</p>",
        f"<details><p style='{PALE}'>hidden</p></details>{WORDS}<p style='{PALE}'>word</p>",
        f"{WORDS}<textarea style='{PALE}' aria-label='a field'>word</textarea>",
    ],
)
def test_one_pale_word_among_many_is_found(tab: Page, body: str) -> None:
    assert faults(tab, body) == ["color-contrast"]


def test_where_something_lies_above_the_few_all_of_a_look_are_asked(tab: Page) -> None:
    pale = "".join(f"<p style='{PALE}; margin: 0; line-height: 20px'>word</p>" for _ in range(9))
    lids = "".join(
        f"<div style='position: absolute; background: red; left: 0; width: 30px; height: 20px; top: {y}px'></div>"
        for y in (0, 80, 160)
    )
    assert faults(tab, f"<div style='position: absolute; top: 0; left: 0'>{pale}{lids}</div>") == ["color-contrast"] * 6


def test_a_link_in_a_text_is_told_from_it_by_more_than_colour(tab: Page) -> None:
    link = "<a href='#x' style='text-decoration: none; color: #333'>a link</a>"
    alone = f"<p>{link}</p>" * 20
    assert faults(tab, alone) == []
    assert faults(tab, f"{alone}<p>A text with {link} in it.</p>{alone}") == ["link-in-text-block"]


def test_a_look_that_was_approved_is_not_asked_again_and_a_bad_one_is(tab: Page) -> None:
    approved: set[str] = set()
    body = f"{WORDS}<p style='{PALE}'>word</p>"
    assert faults(tab, body, approved) == ["color-contrast"]
    seen = set(approved)
    assert seen
    assert faults(tab, body, approved) == ["color-contrast"]
    assert approved == seen


def test_the_rules_that_are_not_of_colour_see_the_whole_page(tab: Page) -> None:
    assert faults(tab, f"{WORDS}<img src='data:,'>{WORDS}<button></button>{WORDS}") == ["button-name", "image-alt"]
