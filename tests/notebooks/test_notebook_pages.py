"""Every lecture has all parts of the template, in their order; cells and figures keep the house style."""

import ast
import re
import statistics
from pathlib import Path

import pytest
from lecture_pages import (
    ROOT,
    SOURCES,
    called,
    code_cells,
    figures,
    is_kernel_page,
    name_of,
    page,
    questions,
    runs,
    text,
    twin,
)

each_lecture = pytest.mark.parametrize("source", SOURCES, ids=name_of)

HEAD = (
    ("title", r"\A# \S"),
    ("what you will learn", r"^(#+ |\*\*)What you will learn"),
    ("before you start", r"^(#+ |\*\*)Before you start"),
    ("minutes to read", r"\b\d+ minutes\b"),
    ("what it takes to run", r"\{\{ cpu_seconds \}\} to run"),
)
LECTURE = (
    ("the question", r"^#+ .*[Qq]uestion"),
    ("what goes wrong", r"^#+ What goes wrong"),
)
KERNEL = (
    ("why it exists", r"^#+ Why it exists"),
    ("the bytes that move", r"\bbytes\b"),
    ("the kernel", r"^#+ The kernel"),
    ("the check", r"^#+ The check"),
    ("what was measured", r"^#+ What was measured"),
    ("where it loses", r"^#+ Where it loses"),
)
TAIL = (
    ("practice", r"^#+ Practice"),
    ("an exercise", r"\*\*Exercise 1\*\*|\{exercise\}"),
    ("a quiz", r"^```\{quiz\}"),
    ("strengths", r"\*\*Strengths"),
    ("limitations", r"\*\*Limitations"),
    ("software", r"\*\*Software"),
    ("what to take away", r"^#+ What to take away"),
)


@each_lecture
def test_every_part_of_the_template_is_there_in_its_order(source: Path) -> None:
    words, place = text(source), 0
    for part, pattern in (*HEAD, *(KERNEL if is_kernel_page(source) else LECTURE), *TAIL):
        found = re.compile(pattern, re.MULTILINE).search(words, place)
        assert found, f"{part} is missing, or stands before what it should follow"
        place = found.end()


@each_lecture
def test_the_first_cell_says_what_is_learnt_and_what_is_needed(source: Path) -> None:
    first = page(source).cells[0]
    assert first.cell_type == "markdown", "the line for Colab is put after the first cell"
    learn, start = re.split(r"Before you start", first.source)
    assert 3 <= len(re.findall(r"^[-*] ", learn, re.MULTILINE)) <= 5
    assert re.search(r"\]\([^)]+\)", start), "what is needed is linked"


@each_lecture
def test_there_is_something_to_try(source: Path) -> None:
    words = text(source)
    assert questions(words) >= 3
    assert len(re.findall(r"\*\*Exercise \d+\*\*|\{exercise\}", words)) >= 2


@each_lecture
def test_every_figure_has_alt_text_of_its_own(source: Path) -> None:
    alts = [
        cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "") for cell in code_cells(source) if figures(cell)
    ]
    for alt in alts:
        assert len(alt.split()) >= 8, f"{alt!r} does not say what the figure shows"
        assert alt[-1] == "."
    assert len(set(alts)) == len(alts)


@each_lecture
def test_every_figure_has_a_caption_below_it_that_says_what_it_shows(source: Path) -> None:
    cells, number = twin(source).cells, 0
    for cell, below in zip(cells, [*cells[1:], None], strict=True):
        if figures(cell):
            number += 1
            assert below is not None
            assert below.cell_type == "markdown", cell.source
            caption = rf"\*\*Figure {number}\.\*\* \*[^*\s][^*]*[.?!]\*"
            assert re.match(caption, below.source), f"not a caption: {below.source[:60]!r}"


@each_lecture
def test_an_image_in_the_text_has_alt_text(source: Path) -> None:
    assert not re.findall(r"!\[\s*\]\(", text(source))
    for tag in re.findall(r"<img[^>]*>", text(source)):
        assert re.search(r'alt="[^"]+"', tag)


@each_lecture
def test_cells_are_short_enough_to_read(source: Path) -> None:
    lengths = []
    for cell in code_cells(source):
        lines = cell.source.splitlines()
        lengths.append(len(lines))
        most = 35 if "hide-input" in cell.metadata.get("tags", []) or not lengths[1:] else 25  # folded, or imports
        assert len(lines) <= most, f"{len(lines)} lines:\n{cell.source}"
        for line in lines:
            assert len(line) <= 88, f"{len(line)} characters: {line}"
    assert statistics.median(lengths) <= 12


@each_lecture
def test_a_cell_that_draws_ends_with_show_and_none_with_a_semicolon(source: Path) -> None:
    for cell in code_cells(source):
        if figures(cell) or called(cell.source) & {"plt.subplots", "plt.figure", "show_images"}:
            assert cell.source.rstrip().endswith("plt.show()"), cell.source
        assert not re.search(r";\s*(#.*)?$", cell.source, re.MULTILINE), f"nbval sees what a `;` hides: {cell.source}"


@each_lecture
def test_nothing_is_hidden_but_the_line_for_colab(source: Path) -> None:
    hidden = [c for c in twin(source).cells if {"remove-cell", "remove-input"} & set(c.metadata.get("tags", []))]
    assert len(hidden) == 1
    assert hidden[0] is twin(source).cells[1]
    assert 'find_spec("tml_helpers") is None' in hidden[0].source


FORBIDDEN = {
    **dict.fromkeys(("urlopen", "urlretrieve", "urllib", "requests", "httpx", "socket", "pooch"), "the network"),
    **dict.fromkeys(("download", "load_state_dict_from_url", "retrieve", "system", "Popen"), "the network"),
    **dict.fromkeys(("filterwarnings", "simplefilter"), "a blanket filter of warnings"),
}


def reaches_for(code: str) -> set[str]:
    """What a page must not use, wherever it stands in its code."""
    found = set()
    for line in code.splitlines():
        if line.lstrip().startswith(("!", "%")):
            return {"a shell or a magic command"}
    for node in ast.walk(ast.parse(code)):
        names = {getattr(node, "id", None), getattr(node, "attr", None)}
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {part for alias in node.names for part in alias.name.split(".")}
            names |= set((getattr(node, "module", None) or "").split("."))
        elif isinstance(node, ast.keyword):
            names.add(node.arg)
            if node.arg == "source" and isinstance(node.value, ast.Constant) and node.value.value == "full":
                found.add("the full data, which must be fetched")
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and re.match(r"(https?|ftp)://", node.value)
        ):
            found.add("the network")
        found |= {FORBIDDEN[name] for name in names if name in FORBIDDEN}
    return found


@each_lecture
def test_it_asks_nothing_of_the_network(source: Path) -> None:
    for cell in code_cells(source):
        assert reaches_for(cell.source) == set(), cell.source


@pytest.mark.parametrize(
    "code",
    [
        "import requests",
        "import urllib.request as u",
        "from urllib.request import urlopen",
        "mnist('train', source='full')",
        "datasets.MNIST('.', download=True)",
        "pandas.read_csv('https://example.org/table.csv')",
        "!curl example.org",
        "x = 1\n%pip install lime",
        "def later():\n    import socket",
        "warnings.filterwarnings('ignore')",
    ],
)
def test_the_search_for_the_network_finds_it(code: str) -> None:
    assert reaches_for(code)


def test_the_search_for_the_network_spares_the_rest() -> None:
    assert (
        reaches_for("x = mnist('train', source='default')  # requests and downloads\nprint('see https://a.b')") == set()
    )


# --- a helper and the page that derives it link to each other ---

LIBRARY = ROOT / "tml_helpers"
BASE = {"claims", "cli", "data", "machine", "measured", "models", "plotting", "training"}
DERIVED = re.compile(r"Derived in: (lectures/\w+/\w+)")


def documented() -> dict[tuple[str, str], str]:
    """(module, name) → docstring, for every module, function and class of the library."""
    found = {}
    for file in sorted(LIBRARY.rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module):
                found[module, module.rpartition(".")[2]] = ast.get_docstring(node) or ""
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[module, node.name] = ast.get_docstring(node) or ""
    return found


DOCSTRINGS = documented()
LINKS = [(name, page) for (_, name), words in DOCSTRINGS.items() for page in DERIVED.findall(words)]


def test_some_helpers_are_linked() -> None:
    assert LINKS


@pytest.mark.parametrize(("name", "page"), LINKS)
def test_the_page_that_derives_a_helper_is_there_and_names_it(name: str, page: str) -> None:
    source = ROOT / f"{page}.py"
    assert source in SOURCES, f"{name} says that it is derived in {page}"
    assert any(re.search(rf"\b{name}\b", cell.source) for cell in twin(source).cells)


@each_lecture
def test_a_method_that_a_page_uses_says_where_it_is_derived(source: Path) -> None:
    for cell in code_cells(source):
        for node in runs(cell.source):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("tml_helpers."):
                continue
            module = str(node.module).split(".")[1]
            for alias in node.names if module not in BASE else ():
                said = [words for (place, name), words in DOCSTRINGS.items() if name == alias.name and module in place]
                said += [words for (place, name), words in DOCSTRINGS.items() if name == alias.name and not said]
                assert any(map(DERIVED.search, said)), f"the docstring of {alias.name} says `Derived in: lectures/…`"
