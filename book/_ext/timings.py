"""`{timings}`: the table of what each notebook costs, from the file that `make notebooks` writes."""

import json
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)
RESULTS = "benchmarks/results/notebooks.json"


def link(notebook: str) -> str:
    """A link to the notebook's page; the page of a homework is the students', what was run is the solution."""
    if notebook.startswith("solutions/"):
        return f"[](/{notebook.replace('solutions', 'exercises', 1)}), solved"
    return f"[](/{notebook})"


def table(results: dict[str, Any]) -> list[str]:
    """Markdown: a sentence on the machine, then a row for each notebook, dearest first."""
    machine, notebooks = results["machine"], results["notebooks"]
    if not notebooks:
        raise ValueError("it lists no notebook")
    rows = sorted(notebooks.items(), key=lambda item: -item[1]["cpu_seconds"])
    return [
        f"Measured on {machine['cores']} cores of {machine['processor']} ({machine['system']}), with",
        f"Python {machine['python']} and torch {machine['torch']}.",
        "",
        "| notebook | CPU seconds | seconds on the clock |",
        "|---|---:|---:|",
        *(f"| {link(name)} | {cost['cpu_seconds']:.0f} | {cost['wall_seconds']:.0f} |" for name, cost in rows),
    ]


class Timings(SphinxDirective):
    """The table, or one warning that says how to make the file."""

    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        file = Path(self.env.srcdir) / RESULTS
        self.env.note_dependency(str(file))
        try:
            lines = table(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            remedy = f"timings: cannot read {RESULTS} ({reason}): run `make notebooks`"
            logger.warning(remedy, location=self.get_location())
            return []
        holder = nodes.Element()
        self.state.nested_parse(StringList(lines, source=RESULTS), self.content_offset, holder)
        return holder.children


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("timings", Timings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
