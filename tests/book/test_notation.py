"""The notation page is a contract: a letter of a formula has a row for its lecture, and a row that lecture's letter."""

import re
from dataclasses import dataclass
from functools import cache
from html.entities import name2codepoint
from pathlib import Path

import pytest
from words import TOKENS, Page

ROOT = Path(__file__).parents[2]
NAMES = re.compile(r"\\(?:text|mathrm|operatorname)\*?\{[^{}]*\}|\\(?:begin|end)\{\w+\}")
SOURCES = sorted([*(ROOT / "lectures").glob("*/*.py"), *(ROOT / "solutions").glob("h*/h*.py")])


@dataclass(frozen=True)
class Row:
    """A line of the notation page."""

    symbols: tuple[str, ...]
    lectures: tuple[str, ...]  # none where the whole chapter has it

    @property
    def letters(self) -> set[str]:
        return set().union(*map(letters, self.symbols))


def formulas(text: str) -> list[str]:
    """What stands between dollars, outside of code."""
    found = [m["formula"] or (m["inline"] or "").strip("$") for m in TOKENS.finditer(text)]
    return [formula for formula in found if formula]


def letters(formula: str) -> set[str]:
    r"""The letters of a formula, without accents and names in words: `\hat g_{\text{last}, i}` has `g` and `i`."""
    parts = re.findall(r"\\([a-zA-Z]+)|([a-zA-Z])", NAMES.sub(" ", formula))
    return {letter for _, letter in parts if letter} | {command for command, _ in parts if is_letter(command)}


def is_letter(command: str) -> bool:
    r"""Whether a command of TeX is a letter, as `\varepsilon` is, and not an accent or a sign."""
    return command in {"ell", "nabla"} or 0x370 <= name2codepoint.get(command.removeprefix("var"), 0) < 0x400


@cache
def page() -> dict[str, tuple[Row, ...]]:
    """The rows of the notation page: under "All" those of all chapters, under "2" those of chapter 2."""
    text = (ROOT / "book/notation.md").read_text(encoding="utf-8")
    parts = re.findall(r"^## (?:Chapter )?(\d+|All)\b.*\n((?:(?!## ).*\n)*)", text, re.MULTILINE)
    return {chapter: tuple(map(row, re.findall(r"^\| (\$.*) \|$", part, re.MULTILINE))) for chapter, part in parts}


def row(line: str) -> Row:
    """A row from its text between the first and the last bar; commas in brackets divide no symbols."""
    cells = line.split("|")
    symbols = [symbol for formula in formulas(cells[0]) for symbol in re.split(r", (?![^(]*\))", formula)]
    return Row(tuple(symbols), tuple(re.findall(r"\d\.\d+|H\d", cells[-1])))


@cache
def used() -> dict[str, set[str]]:
    """The letters in the formulas of each lecture and homework, under its number."""
    return dict(map(written, SOURCES))


def written(source: Path) -> tuple[str, set[str]]:
    """`4.6` or `H1`, from a page's title, and the letters in its formulas."""
    words = [cell.source for cell in Page(ROOT, source).cells if cell.cell_type == "markdown"]
    return words[0].split()[1], set().union(*(letters(formula) for text in words for formula in formulas(text)))


def chapter_of(lecture: str) -> str:
    """`4` of `4.6` and of `H4`."""
    return lecture.strip("H").split(".")[0]


@pytest.mark.parametrize("chapter", sorted(page().keys() - {"All"}))
def test_no_symbol_has_two_rows_in_a_chapter(chapter: str) -> None:
    symbols = [symbol for row in (*page()["All"], *page()[chapter]) for symbol in row.symbols]
    assert not sorted({symbol for symbol in symbols if symbols.count(symbol) > 1}), "rename one of the two"


@pytest.mark.parametrize("lecture", used())
def test_each_letter_of_a_formula_has_a_row(lecture: str) -> None:
    rows = [row for row in page().get(chapter_of(lecture), ()) if not row.lectures or lecture in row.lectures]
    known = set().union(*(row.letters for row in (*page()["All"], *rows)))
    assert not sorted(used()[lecture] - known), "give them rows in book/notation.md that name the lecture"


@pytest.mark.parametrize("lecture", used())
def test_each_row_that_names_a_lecture_is_about_its_letters(lecture: str) -> None:
    mine = [row for row in page().get(chapter_of(lecture), ()) if lecture in row.lectures]
    idle = [row.symbols for row in mine if not any(letters(symbol) <= used()[lecture] for symbol in row.symbols)]
    assert not idle, "no formula of the lecture has these"
