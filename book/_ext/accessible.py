"""What the theme and docutils leave out for readers who listen to a page: names of toggles, items of lists."""

import re
from collections.abc import Callable
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

# In the sidebar: a link to a page, then an arrow without a name that unfolds the pages below it.
TOGGLE = re.compile(r">([^<>]+)((?:</\w+>)*</a>\s*<details[^>]*>\s*)<summary>")


def name_toggles(html: str) -> str:
    """Each arrow is named after the page that it unfolds."""
    return TOGGLE.sub(r'>\1\2<summary aria-label="Pages below \1">', html)


def mend(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    make: Callable[..., Any] = context["generate_toctree_html"]
    context["generate_toctree_html"] = lambda *args, **options: name_toggles(str(make(*args, **options)))
    # docutils writes a list of citations whose members are not list items.
    context["body"] = context.get("body", "").replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", mend, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
