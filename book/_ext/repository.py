"""The address of the book's sources, from the one place where it stands: `[project.urls]` in pyproject.toml.

Feeds the buttons at the top of each page, and `{{ repository }}`, `{{ issues }}` and `{{ clone }}` in Markdown.
"""

from sphinx.application import Sphinx
from sphinx.config import Config

from tml_helpers.machine import repository


def set_address(app: Sphinx, config: Config) -> None:
    address = repository()
    config.html_theme_options["repository_url"] = address
    config.myst_substitutions = config.myst_substitutions | {
        "repository": address,
        "issues": f"[an issue]({address}/issues)",
        "clone": f"```bash\ngit clone {address}\ncd {address.rpartition('/')[2]}\n```",
    }


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", set_address, priority=100)  # before MyST reads its substitutions
    return {"parallel_read_safe": True, "parallel_write_safe": True}
