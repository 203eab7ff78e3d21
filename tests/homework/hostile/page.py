"""What a browser would do with a page."""

from collections import Counter
from html.parser import HTMLParser


class Page(HTMLParser):
    """What a page would run or fetch: scripts, handlers of events, addresses that are code, elements that embed."""

    EMBED = (
        "script",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "link",
        "meta",
        "frame",
        "applet",
        "style",
        "noscript",
        "template",
    )

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.inside = tag if tag in ("script", "style") else ""
        if tag in self.EMBED:
            self.found[f"<{tag} {sorted((name, value or '') for name, value in attributes)}>"] += 1
        for name, value in attributes:
            address = "".join((value or "").split()).lower()
            if name.startswith("on") or name in ("srcdoc", "formaction", "http-equiv"):
                self.found[f"{name}={value}"] += 1
            if address.startswith(("javascript:", "vbscript:", "data:text", "data:image/svg", "data:application")):
                self.found[f"{name}={value}"] += 1

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_comment(self, data: str) -> None:
        """What this parser takes for a comment, a browser may not."""
        self.found += Page(data.lstrip("->!")).found

    handle_decl = handle_pi = unknown_decl = handle_comment

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.found[f"script: {data}"] += 1
