"""One source, two faces: the Markdown of a page as its notebook says it, and as the site does.

The source `name.py` is written in MyST, which JupyterLab and Colab do not read. `notebook_words` puts plain Markdown
and HTML in the place of roles, quizzes and links to files; `site_words` leaves MyST what MyST knows. Figures and
equations are counted page by page: figures are the code cells with an alt text, equations all displayed ones.

As an extension, it gives the site the words of the source where a notebook still has those that were made from them.
"""

import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jupytext
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pybtex.database import BibliographyData, Entry, parse_file
from quiz import Option, Question, parse
from sphinx.application import Sphinx
from sphinx.util import logging

from tml_helpers.machine import site

logger = logging.getLogger(__name__)
TIMINGS = "benchmarks/results/notebooks.json"
REFERENCES = "book/references.bib"
CAPTION = re.compile(r"\*[^*\s][^*]*[.?!]\*")
NUMBER = re.compile(r"# (\d+\.\d+)\b")
API = {"func", "class", "mod", "meth", "attr", "data", "exc"}
TOKENS = re.compile(
    r"""
      (?P<fenced> ^[ ]*(?P<fence>`{3,}|:{3,})(?P<info>[^\n]*)\n(?P<body>.*?)^[ ]*(?P=fence)[ ]*$)
    | (?P<role> \{(?P<name>[\w:-]+)\}`(?P<content>[^`]+)`)
    | (?P<code> (?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))
    | (?P<escape> \\[\\`$\[\]{}*_])
    | (?P<display> \$\$(?P<formula>.+?)\$\$(?:[ ]*\((?P<label>[\w:-]+)\)(?=[ ]*$))?)
    | (?P<inline> \$[^$]+\$)
    | (?P<link> (?<!!)\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)\))
    | (?P<substitution> \{\{[ ]*(?P<key>\w+)[ ]*\}\})
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
Match = re.Match[str]


@dataclass(frozen=True)
class Page:
    """The source `name.py` of a lecture or a homework, in the course under `root`."""

    root: Path
    source: Path

    @property
    def path(self) -> str:
        """Where the site shows it, without suffix."""
        place = self.source.relative_to(self.root).with_suffix("").as_posix()
        return re.sub("^solutions/", "exercises/", place)

    @cached_property
    def cells(self) -> list[Any]:
        """As they are written, each with an id that is a hash of it."""
        cells = jupytext.read(self.source).cells
        seen: dict[str, int] = {}
        for cell in cells:
            cell.metadata.pop("lines_to_next_cell", None)
            text = cell.cell_type + cell.source
            seen[text] = seen.get(text, 0) + 1
            cell.id = identity(text, seen[text])
        return list(cells)

    @property
    def name(self) -> str:
        """As other pages call it: `lecture 4.6`, from its title."""
        found = NUMBER.match(self.cells[0].source)
        return f"lecture {found[1]}" if found else self.path

    @cached_property
    def figures(self) -> dict[int, int]:
        """Number of the figure that the cell at a place draws."""
        drawn = [n for n, cell in enumerate(self.cells) if cell.metadata.get("mystnb", {}).get("image", {}).get("alt")]
        return {place: number for number, place in enumerate(drawn, 1)}

    @cached_property
    def equations(self) -> dict[int, list[str]]:
        """The labels of all equations in the cell at a place; empty for one without a label."""
        found = {}
        for place, cell in enumerate(self.cells):
            if cell.cell_type == "markdown" and not is_answer(cell):
                tokens = TOKENS.finditer(cell.source)
                found[place] = [token["label"] or "" for token in tokens if token.lastgroup == "display"]
        return found

    @property
    def figure_names(self) -> dict[str, int]:
        """The numbers of the figures that can be pointed at: NAME of the tag `fig-NAME`."""
        tags = {place: self.cells[place].metadata.get("tags", []) for place in self.figures}
        named = {tag.removeprefix("fig-"): place for place in tags for tag in tags[place] if tag.startswith("fig-")}
        return {name: self.figures[place] for name, place in named.items()}

    @property
    def equation_names(self) -> dict[str, int]:
        """The numbers of the equations that have a label."""
        labels = [label for place in sorted(self.equations) for label in self.equations[place]]
        return {label: number for number, label in enumerate(labels, 1) if label}

    def others(self) -> Iterator["Page"]:
        """The other lectures, whose figures and equations can be pointed at."""
        for source in sorted(self.root.glob("lectures/*/*.py")):
            if source != self.source:
                yield Page(self.root, source)

    def cpu_seconds(self) -> str:
        """What it took when it was last executed."""
        name = self.source.relative_to(self.root).with_suffix(".ipynb").as_posix()
        file = self.root / TIMINGS
        costs = json.loads(file.read_text(encoding="utf-8"))["notebooks"] if file.exists() else {}
        if name not in costs:
            raise ValueError(f"{TIMINGS} does not know what {name} takes: run `make notebooks`")
        return f"{costs[name]['cpu_seconds']:.0f} CPU-seconds"


def identity(text: str, times: int = 1) -> str:
    """The id of a cell: a hash of what it says, and of how often that has been said."""
    return hashlib.sha256(f"{times}{text}".encode()).hexdigest()[:12]


def is_answer(cell: Any) -> bool:
    """Whether the cell is a model answer, which students do not see."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def site_words(text: str, page: Page) -> str:
    """The Markdown of a source as MyST reads it: with what was measured filled in."""
    return TOKENS.sub(lambda found: page.cpu_seconds() if found["key"] == "cpu_seconds" else found[0], text)


def notebook_words(page: Page, place: int) -> str:
    """The Markdown cell at a place in a source, as any notebook program reads it. ValueError for what has no words."""
    words = TOKENS.sub(Words(page, place), page.cells[place].source)
    figure = page.figures.get(place - 1)
    return f"**Figure {figure}.** {words}" if figure and CAPTION.match(words) else words


class Words:
    """What stands in the notebook in the place of one piece of MyST."""

    def __init__(self, page: Page, place: int) -> None:
        self.page = page
        self.numbered = place in page.equations
        self.equation = sum(len(page.equations[before]) for before in page.equations if before < place)

    def __call__(self, found: Match) -> str:
        kinds = {
            "fenced": self.fenced,
            "role": self.role,
            "display": self.display,
            "link": self.link,
            "substitution": self.substitution,
        }
        return kinds.get(found.lastgroup or "", keep)(found)

    def fenced(self, found: Match) -> str:
        info = found["info"].strip()
        if info == "{quiz}":
            return "\n\n<br>\n\n".join(map(self.question, parse(found["body"].splitlines())))
        if info.startswith("{") or found["fence"].startswith(":"):
            raise ValueError(f"the directive {info} has no words in a notebook: write it without a directive")
        return found[0]

    def role(self, found: Match) -> str:
        name, content = found["name"].removeprefix("py:"), found["content"]
        words = re.sub(r"\s*<[^<>]+>$", "", content)
        if name in ("cite", "cite:p"):
            return f"({'; '.join(cited(key, self.page.root, '{}, {}') for key in content.split(','))})"
        if name == "cite:t":
            return ", ".join(cited(key, self.page.root, "{} ({})") for key in content.split(","))
        if name == "fig":
            return self.pointed(content, "Figure {}", lambda page: page.figure_names)
        if name == "eq":
            return self.pointed(content, "({})", lambda page: page.equation_names)
        if name in API:
            return f"`{words.rpartition('.')[2] if content.startswith('~') else words}`"
        if name == "term" or words != content:
            return words
        raise ValueError(f"the role {found[0]} has no words in a notebook: write `text <target>` in it, or a link")

    def pointed(self, name: str, words: str, numbers: Callable[[Page], dict[str, int]]) -> str:
        """The number of a figure or an equation, on this page or on another."""
        if name in (own := numbers(self.page)):
            return words.format(own[name])
        for other in self.page.others():
            if name in (theirs := numbers(other)):
                target = posixpath.relpath(f"{other.path}.ipynb", posixpath.dirname(self.page.path))
                return self.linked(f"{words.format(theirs[name])} of {other.name}", target)
        raise ValueError(f"{self.page.path} points at {name!r}, which no page has")

    def display(self, found: Match) -> str:
        self.equation += 1
        return f"$${found['formula']} \\tag{{{self.equation}}}$$" if self.numbered else found[0]

    def link(self, found: Match) -> str:
        return self.linked(TOKENS.sub(self, found["text"]), found["target"])

    def linked(self, words: str, target: str) -> str:
        """A link to the site, where its address is known; else to a notebook beside this one, or no link."""
        path, anchor = re.fullmatch("([^#]*)(.*)", target).groups()
        if re.match(r"[a-z]+:", target):
            return f"[{words}]({target})"
        if not words:
            raise ValueError(f"the link to {target} has no words: a notebook cannot fill in the page's title")
        if address := site(committed=True):
            page = posixpath.join(posixpath.dirname(self.page.path), path) if path else self.page.path
            return f"[{words}]({address}/{posixpath.splitext(posixpath.normpath(page))[0]}.html{anchor})"
        return f"[{words}]({path})" if path.endswith(".ipynb") else words

    def substitution(self, found: Match) -> str:
        if found["key"] != "cpu_seconds":
            raise ValueError(f"{found[0]} has no words in a notebook")
        return self.page.cpu_seconds()

    def question(self, asked: Question) -> str:
        """A question, and under each of its options what is folded: whether it is right, and why (not)."""
        return "\n".join([f"<p><b>{self.inline(asked.text)}</b></p>", *map(self.option, asked.options)])

    def option(self, option: Option) -> str:
        verdict = "Right." if option.right else "Not this one."
        answer, reason = self.inline(option.text), self.inline(option.reason)
        return f"<details><summary>{answer}</summary><p>{verdict} {reason}</p></details>"

    def inline(self, text: str) -> str:
        """A sentence of MyST as HTML."""
        return markdown().renderInline(TOKENS.sub(self, text))


def keep(found: Match) -> str:
    return found[0]


@cache
def markdown() -> MarkdownIt:
    """Markdown to HTML; formulas stay as they are, for MathJax, without the two signs that HTML would take for tags."""

    def formula(_: Any, tokens: Any, index: int, *__: Any) -> str:
        return "$" + tokens[index].content.replace("<", r"\lt ").replace(">", r"\gt ") + "$"

    made = MarkdownIt("commonmark").use(dollarmath_plugin)
    made.add_render_rule("math_inline", formula)
    return made


@cache
def bibliography(file: Path) -> BibliographyData:
    return parse_file(str(file), encoding="utf-8")


def cited(key: str, root: Path, form: str) -> str:
    """Authors and year of an entry, in the form `{}, {}` or `{} ({})`, linked to where it can be read."""
    entries = bibliography(root / REFERENCES).entries
    if key.strip() not in entries:
        raise ValueError(f"{REFERENCES} has no entry {key.strip()!r}")
    entry = entries[key.strip()]
    words = form.format(authors(entry), entry.fields["year"])
    address = where(entry)
    return f"[{words}]({address})" if address else words


def authors(entry: Entry) -> str:
    """Last names: of one or two authors, else of the first."""
    people = entry.persons["author"]
    names = [" ".join(map(str, [*person.rich_prelast_names, *person.rich_last_names])) for person in people]
    return " and ".join(names) if len(names) <= 2 else f"{names[0]} et al."


def where(entry: Entry) -> str | None:
    """The address of an entry: by its DOI, on arXiv, or as it is written."""
    fields = entry.fields
    if "doi" in fields:
        return f"https://doi.org/{fields['doi']}".replace("(", "%28").replace(")", "%29")
    return f"https://arxiv.org/abs/{fields['eprint']}" if "eprint" in fields else fields.get("url")


def show_source(app: Sphinx, docname: str, content: list[str]) -> None:
    """Give the site the source's words. What differs from the words made from them, as a stub for an answer, stays."""
    root = Path(app.srcdir)
    source = root / re.sub("^exercises/", "solutions/", f"{docname}.py")
    if not source.exists() or not content[0].startswith("{"):
        return
    app.env.note_dependency(str(source))
    page = Page(root, source)
    try:
        shown = {notebook_words(page, n): site_words(c.source, page) for n, c in enumerate(page.cells) if is_text(c)}
    except ValueError as error:
        logger.warning(f"words: {error}", location=docname)
        return
    notebook = json.loads(content[0])
    for cell in filter(is_text, notebook["cells"]):
        text = "".join(cell["source"])
        cell["source"] = shown.get(text, text)
    content[0] = json.dumps(notebook)


def is_text(cell: Any) -> bool:
    return bool(cell["cell_type"] == "markdown")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", show_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
