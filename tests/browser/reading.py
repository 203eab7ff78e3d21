"""A reader of the book, and what every page shows: in light, in dark, on wide screens, a phone, and from its file."""

from accessibility import bad_colours, violations
from playwright.sync_api import Browser, BrowserContext, Page, expect

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
WIDE = (1200, 1280, 1920)


class Reader:
    """A reader with a new profile, who notes every request that leaves and every error in the console."""

    def __init__(self, browser: Browser, origin: str, **options: object) -> None:
        self.origin = origin
        self.complaints: list[str] = []
        self.approved: set[str] = set()  # the looks of text that everybody can read
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


def cut_code(page: Page) -> list[str]:
    """Cells of code, and what they printed, that go on where one must scroll to; also in what is folded."""
    return page.evaluate(
        """() => {
          for (const one of document.querySelectorAll('article details')) one.open = true;
          return [...document.querySelectorAll('article div.cell pre')].filter(one => one.scrollWidth > one.clientWidth)
            .map(one => one.textContent.slice(0, 60));
        }"""
    )


def cut_formulas(page: Page) -> list[str]:
    """Formulas of which the beginning lies where nobody can scroll to."""
    return page.evaluate(
        """[...document.querySelectorAll('div.math mjx-container')].filter(one => one.scrollLeft === 0 &&
             one.firstElementChild.getBoundingClientRect().left < one.parentElement.getBoundingClientRect().left - 1)
           .map(one => one.parentElement.textContent)"""
    )


def faults(name: str, served: Reader, from_file: Reader) -> dict[str, list[str]]:
    """What is wrong with a page: served in light, in dark, on wide screens and a phone; then from the file, in dark."""
    served.complaints.clear()
    from_file.complaints.clear()
    served.page.set_viewport_size(DESK)
    served.page.emulate_media(color_scheme="light")
    page = served.open(f"{name}.html")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    found = {"untypeset": untypeset(page), "rules": violations(page), "light": bad_colours(page, served.approved)}
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    found["dark"] = bad_colours(page, served.approved)
    for width in WIDE:
        page.set_viewport_size({"width": width, "height": 900})
        found[f"cut code at {width} pixels"] = cut_code(page)
    page.set_viewport_size(PHONE)
    found |= {"too wide": too_wide(page), "cut": cut_formulas(page)}

    page = from_file.open(f"{name}.html")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    found |= {"untypeset from the file": untypeset(page), "complaints": served.complaints + from_file.complaints}
    return {what: where for what, where in found.items() if where}
