"""What axe-core calls serious or critical on a page; its colours are asked of each look, not of each word."""

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

AXE = Axe().axe_script
CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
# `region` finds what is moderate. Colours are asked in both schemes; the others find the same in light and dark.
LEFT_OUT = {name: {"enabled": False} for name in ("region", "color-contrast", "link-in-text-block")}
OPTIONS = {"resultTypes": ["violations"], "preload": False, "rules": LEFT_OUT}
# Colours that change take their time.
STILL = "Promise.all(document.getAnimations().map(one => one.finished.catch(() => null))).then(() => null)"


def grave(found: list[dict]) -> list[str]:
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def violations(page: Page) -> list[str]:
    """All rules but those of colour."""
    page.evaluate(AXE)
    return grave(page.evaluate("options => axe.run(document, options)", OPTIONS)["violations"])


def bad_colours(page: Page, approved: set[str]) -> list[str]:
    """The rules of colour, once the colours have changed, on looks that are not approved yet; after `violations`."""
    page.evaluate(STILL)
    found = page.evaluate(CONTRAST, list(approved))
    assert found["looks"], "the page has no text"
    approved |= set(found["approved"])
    return grave(found["violations"])
