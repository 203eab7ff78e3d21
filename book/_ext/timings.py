"""`{timings}`: what each notebook costs; `{timings} grading`: what grading costs. From files that measuring writes."""

import json
import re
from pathlib import Path
from typing import Any, ClassVar

from catalogue import Catalogue
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)
RESULTS = "benchmarks/results/{}.json"


def pages(root: Path) -> list[str]:
    """All pages that a notebook was made for, in the order of the book, without suffix."""
    chapters = Catalogue(root).chapters
    return [page.path for chapter in chapters for page in (*chapter.lectures, *chapter.homework)]


def page(notebook: str) -> str:
    """The page of a notebook; that of a homework is the students', what was run is the solution."""
    return re.sub("^solutions/", "exercises/", notebook.removesuffix(".ipynb"))


def row(notebook: str, cost: dict[str, Any]) -> str:
    """What a notebook costs; seconds on the clock only where the machine was not busy."""
    solved = ", solved" if notebook.startswith("solutions/") else ""
    clock = f"{cost['wall_seconds']:.0f}" if "wall_seconds" in cost else "–"
    return f"| [](/{page(notebook)}.ipynb){solved} | {cost['cpu_seconds']:.0f} | {clock} |"


def measured_on(machine: dict[str, Any]) -> str:
    return (
        f"Measured on {machine['cores']} cores of {machine['processor']} ({machine['system']}), with "
        f"Python {machine['python']} and torch {machine['torch']}."
    )


def table(results: dict[str, Any], root: Path) -> list[str]:
    """Markdown: for each machine a sentence on it, then a row for each notebook, in the order of the book."""
    if not results["notebooks"]:
        raise ValueError("it lists no notebook")
    order = pages(root)
    by_machine: dict[str, list[str]] = {}
    for name in sorted(results["notebooks"], key=lambda name: order.index(page(name))):
        cost = results["notebooks"][name]
        by_machine.setdefault(measured_on(cost["machine"]), []).append(row(name, cost))
    head = ["", "| notebook | CPU-seconds | seconds on the clock |", "|---|---:|---:|"]
    return [line for machine, rows in by_machine.items() for line in (machine, *head, *rows, "")]


def grading(results: dict[str, Any], _: Path) -> list[str]:
    """Markdown: what a submission costs in nbgrader and here, and how long a class takes."""
    machine, class_ = results["machine"], results["class"]
    rows = {(row["assignment"], row["grader"]): row for row in results["rows"]}
    lines = [
        f"Measured in one run on {machine['cores']} cores of {machine['processor']}.",
        "`nbgrader autograde` writes no feedback, `tml grade` does.",
        "",
        "| homework | CPU seconds each, nbgrader | ours | ratio | start, nbgrader | ours | next time | MiB, nbgrader "
        "| ours |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for assignment in dict.fromkeys(row["assignment"] for row in results["rows"]):
        theirs, ours = rows[assignment, "nbgrader"], rows[assignment, "tml grade"]
        columns = [f"{cost:.1f}" for cost in (theirs["start"], ours["start"], ours["again"])]
        columns += [f"{one['memory']:.0f}" for one in (theirs, ours)]
        each = f"{theirs['each']:.2f} | {ours['each']:.2f} | {ours['each'] / theirs['each']:.2f}"
        lines.append(f"| {assignment} | {each} | {' | '.join(columns)} |")
    took = f"took {class_['wall']:.0f} seconds with {class_['jobs']} at once, {class_['cpu']:.0f} CPU seconds in all."
    return [*lines, "", f"{class_['submissions']} trivial submissions {took}"]


TABLES = {"notebooks": (table, "make notebooks"), "grading": (grading, "python benchmarks/grading.py")}


class Timings(SphinxDirective):
    """The table, or one warning that says how to make the file."""

    optional_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0] if self.arguments else "notebooks"
        made, command = TABLES[name]
        results = RESULTS.format(name)
        file = Path(self.env.srcdir) / results
        self.env.note_dependency(str(file))
        try:
            lines = made(json.loads(file.read_text(encoding="utf-8")), Path(self.env.srcdir))
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            remedy = f"timings: cannot read {results} ({reason}): run `{command}`"
            logger.warning(remedy, location=self.get_location())
            return []
        holder = nodes.Element()
        self.state.nested_parse(StringList(lines, source=results), self.content_offset, holder)
        return holder.children


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("timings", Timings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
