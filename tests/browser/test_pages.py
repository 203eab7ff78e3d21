"""Every page in Chromium, served and from a file, light and dark: nothing leaves the machine, everybody can read it."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from axe_playwright_python.sync_playwright import Axe
from built_site import Site, toc_pages
from playwright.sync_api import Browser, BrowserContext, Page, expect

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
COLOUR_RULES = ["color-contrast", "link-in-text-block"]  # the others find the same in light and dark
LECTURE = "lectures/10_distillation/response_based"
WITH_QUIZ = "book/how_to_use"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: what a page asks for is recorded in the browser."""


@pytest.fixture(scope="session")
def origins(site: Site) -> Iterator[dict[str, str]]:
    """Where the book is read from: a server on this machine, and the folder itself."""
    handler = functools.partial(Quiet, directory=str(site.html))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"http": f"http://127.0.0.1:{server.server_port}/", "file": f"{site.html.as_uri()}/"}
        server.shutdown()


class Reader:
    """A reader with a new profile, who notes every request that leaves and every error in the console."""

    def __init__(self, browser: Browser, origin: str, **options: object) -> None:
        self.origin = origin
        self.complaints: list[str] = []
        self.context: BrowserContext = browser.new_context(viewport=DESK, **options)
        self.context.on("request", lambda request: self.note_request(request.url))
        self.context.on("response", lambda reply: reply.status < 400 or self.note(f"{reply.status} {reply.url}"))
        self.context.on("console", lambda line: line.type != "error" or self.note(f"console: {line.text}"))
        self.context.on("weberror", lambda error: self.note(f"error: {error.error}"))
        self.page: Page = self.context.new_page()

    def note(self, complaint: str) -> None:
        self.complaints.append(complaint)

    def note_request(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", "blob:")):
            self.note(f"asked another host: {url}")

    def open(self, name: str) -> Page:
        self.page.goto(self.origin + name)
        self.page.evaluate("window.MathJax && MathJax.startup.promise.then(() => null)")
        return self.page


@pytest.fixture(params=["http", "file"])
def origin(request: pytest.FixtureRequest, origins: dict[str, str]) -> str:
    return origins[request.param]


@pytest.fixture
def reader(browser: Browser, origin: str) -> Iterator[Reader]:
    reader = Reader(browser, origin)
    yield reader
    reader.context.close()
    assert reader.complaints == []


def untypeset(page: Page) -> list[str]:
    """The formulas that a reader would see as TeX."""
    return page.evaluate(
        """[...document.querySelectorAll('.math')]
           .filter(one => !one.querySelector('mjx-container') || one.querySelector(
             'mjx-merror, mjx-mtext[style*="color: red"]'))
           .map(one => one.textContent)"""
    )


def too_wide(page: Page) -> list[str]:
    """What makes the page scroll sideways; nothing where it does not."""
    return page.evaluate(
        """document.documentElement.scrollWidth <= innerWidth ? [] :
           [...document.querySelectorAll('main *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1)
           .map(one => `${one.tagName}.${one.className}`).concat(`${document.documentElement.scrollWidth} px`)"""
    )


def cut_formulas(page: Page) -> list[str]:
    """Formulas of which the beginning lies where nobody can scroll to."""
    return page.evaluate(
        """[...document.querySelectorAll('div.math mjx-container')].filter(one => one.scrollLeft === 0 &&
             one.firstElementChild.getBoundingClientRect().left < one.parentElement.getBoundingClientRect().left - 1)
           .map(one => one.parentElement.textContent)"""
    )


def violations(page: Page, **options: object) -> list[str]:
    """What axe-core calls serious or critical, once the colours have changed; it needs no request of its own."""
    page.evaluate("Promise.all(document.getAnimations().map(one => one.finished.catch(() => null))).then(() => null)")
    options |= {"resultTypes": ["violations"], "preload": False}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.fixture(scope="module")
def served(browser: Browser, origins: dict[str, str]) -> Iterator[Reader]:
    """One reader who opens page after page, as people do."""
    reader = Reader(browser, origins["http"])
    yield reader
    reader.context.close()


@pytest.fixture(scope="module")
def from_file(browser: Browser, origins: dict[str, str]) -> Iterator[Reader]:
    """The same, without a server and in the dark."""
    reader = Reader(browser, origins["file"], color_scheme="dark")
    yield reader
    reader.context.close()


@pytest.mark.parametrize("name", [*toc_pages(), "search"])
def test_page(name: str, served: Reader, from_file: Reader) -> None:
    """Served in light, in dark and on a phone; then from the file, in dark."""
    served.complaints.clear()
    from_file.complaints.clear()
    served.page.set_viewport_size(DESK)
    served.page.emulate_media(color_scheme="light")
    page = served.open(f"{name}.html")
    assert untypeset(page) == []
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert violations(page, runOnly=COLOUR_RULES) == []
    page.set_viewport_size(PHONE)
    assert too_wide(page) == []
    assert cut_formulas(page) == []

    page = from_file.open(f"{name}.html")
    assert untypeset(page) == []
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert served.complaints + from_file.complaints == []


def test_first_page_opens_by_itself(reader: Reader) -> None:
    reader.page.goto(f"{reader.origin}index.html")
    reader.page.wait_for_url("**/book/index.html")
    expect(reader.page.locator("article h1")).to_contain_text("Trustworthy Machine Learning")


def test_search_finds_the_lecture(reader: Reader) -> None:
    page = reader.open("book/index.html")
    page.keyboard.press("Control+k")
    page.locator("#pst-search-dialog input").fill("temperature")
    page.keyboard.press("Enter")
    found = page.locator(f"#search-results a[href*='{LECTURE}.html']").first
    expect(found).to_be_visible()
    found.click()
    expect(page.locator("article h1")).to_be_visible()


def test_chosen_colours_stay(reader: Reader) -> None:
    page = reader.open("book/index.html")
    page.locator("button.theme-switch-button:visible").click()
    chosen = page.locator("html").get_attribute("data-mode")
    assert chosen in ("light", "dark")
    reader.open("book/notation.html")
    expect(page.locator("html")).to_have_attribute("data-theme", chosen)


@pytest.mark.parametrize("name", [WITH_QUIZ, LECTURE])
def test_every_option_of_a_quiz_says_why(reader: Reader, name: str) -> None:
    quizzes = reader.open(f"{name}.html").locator("form.quiz")
    assert quizzes.count() > 0
    for quiz in quizzes.all():
        options = quiz.locator(".quiz-option")
        for option in options.all():
            expect(option.locator("details > :not(summary)").first).to_be_hidden()
        for option in options.all():
            option.locator("input").check()
            expect(option.locator("details > :not(summary)").last).to_be_visible()
            right = option.get_attribute("data-verdict") == "right"
            expect(quiz.locator(".quiz-verdict")).to_contain_text("Right." if right else "Not this one")
            quiz.locator(".quiz-reset").click()


def test_quiz_by_keyboard_survives_a_reload(reader: Reader) -> None:
    page = reader.open(f"{WITH_QUIZ}.html")
    quiz = page.locator("form.quiz")
    first, second, third = quiz.locator(".quiz-option").all()
    first.locator("input").focus()
    page.keyboard.press("Space")
    expect(first.locator(".quiz-mark")).to_have_text("Not this one.")
    page.keyboard.press("ArrowDown")
    expect(second.locator(".quiz-mark")).to_have_text("Right.")
    expect(third.locator(".quiz-mark")).to_be_visible()  # who has found the answer may read all reasons

    page.reload()
    expect(second.locator("input")).to_be_checked()
    expect(second.locator(".quiz-mark")).to_be_visible()
    quiz.locator(".quiz-reset").click()
    page.reload()
    expect(second.locator("input")).not_to_be_checked()
    expect(second.locator(".quiz-mark")).to_be_hidden()


def test_quiz_without_javascript(browser: Browser, origin: str) -> None:
    reader = Reader(browser, origin, java_script_enabled=False)
    reader.page.goto(f"{origin}{WITH_QUIZ}.html")
    option = reader.page.locator("form.quiz .quiz-option").first
    option.locator("summary").click()
    expect(option.locator(".quiz-mark")).to_be_visible()
    reader.context.close()
    assert reader.complaints == []
