"""What nbval compares is the same on every processor: no number that was measured, no value shown by accident."""

import ast
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from lecture_pages import ROOT, SOURCES, called, code_cells, name_of
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output

NOT_COMPARED = {"nbval-ignore-output", "nbval-skip"}
DRAWN = {"image/png", "image/jpeg", "application/vnd.jupyter.widget-view+json"}
MEASUREMENTS = ROOT / "benchmarks/results"
MEASURED = re.compile(r"\d+\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+|\d+(?= ?%)")
NUMBER = "a measured number is compared: put it in a claim, or print it in a cell with the tag nbval-ignore-output"
VALUE = "the value of the last expression is shown and compared: assign it, or print what the reader should see"


def written(code: str) -> set[float]:
    """The decimal numbers and per cents that stand in a text, and each as per cent."""
    found = {float(number) for number in MEASURED.findall(code)}
    return found | {round(100 * number, 9) for number in found}


def numbers(value: object) -> Iterator[float]:
    """Every number in a measurement, and as per cent."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from numbers(one)
    elif isinstance(value, int | float):
        yield from (value, 100 * value)


@functools.cache
def committed(name: str, places: int) -> set[str]:
    """The numbers of the measurement `benchmarks/results/NAME.json`, rounded."""
    found = json.loads((MEASUREMENTS / f"{name}.json").read_text(encoding="utf-8"))
    return {f"{abs(number):.{places}f}" for number in numbers(found)}


@functools.cache
def library_lines() -> set[str]:
    """The lines of the library, as a page lists them."""
    files = (ROOT / "tml_helpers").rglob("*.py")
    return {line.split("  # type:")[0].strip() for file in files for line in file.read_text("utf-8").splitlines()}


def is_committed(number: str, code: str) -> bool:
    """Whether a number is one of a measurement that the cell reads."""
    words = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
    files = {file.stem for file in MEASUREMENTS.glob("*.json")} & words
    if {"pages.on_a_gpu", "pages.show_microseconds"} & set(called(code)):
        files.add("gpu")
    places = len(number.partition(".")[2])
    return any(number in committed(name, places) for name in files)


def shown(cell: NotebookNode) -> Iterator[str]:
    """Every line that a cell prints or shows, as a reader sees it; the words that stand for a picture are left out."""
    for output in cell.outputs:
        data = output.get("data", {})
        if DRAWN & set(data):
            continue
        page = BeautifulSoup(data.get("text/html", ""), "html.parser").get_text("\n")
        for text in (output.get("text", ""), data.get("text/plain", ""), data.get("text/markdown", ""), page):
            yield from text.splitlines()


def measured(cell: NotebookNode, page: str) -> list[str]:
    """The lines with a decimal number that neither the cell writes, nor the library, nor a committed measurement.

    A claim's sentence may name a number that stands anywhere in the code of the page: its threshold.
    """
    found = []
    for line in shown(cell):
        constants = written(page if line.startswith("✓ ") else cell.source)
        strange = [n for n in MEASURED.findall(line) if float(n) not in constants and not is_committed(n, cell.source)]
        if strange and line.strip() not in library_lines():
            found.append(line)
    return found


def shown_by_accident(cell: NotebookNode) -> str:
    """The expression at the end of a cell whose value is shown as Python writes it; empty where there is none."""
    last = (ast.parse(cell.source).body or [None])[-1]
    if not isinstance(last, ast.Expr):
        return ""
    forms = [set(output.data) for output in cell.outputs if output.output_type == "execute_result"]
    for_the_page = bool(forms) and all(form & {"text/html", "text/markdown"} for form in forms)
    silent = not forms and isinstance(last.value, ast.Call)
    return "" if for_the_page or silent else ast.unparse(last)


def complaints(cell: NotebookNode, page: str) -> Iterator[str]:
    """What makes a cell differ on another processor, and what its author can do."""
    if NOT_COMPARED & set(cell.metadata.get("tags", [])):
        return
    if lines := measured(cell, page):
        yield "\n".join([NUMBER, *lines])
    if expression := shown_by_accident(cell):
        yield f"{VALUE}\n{expression}"


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_what_is_compared_is_the_same_on_every_processor(source: Path) -> None:
    page = "\n".join(cell.source for cell in code_cells(source))
    found = [one for cell in code_cells(source) for one in complaints(cell, page)]
    assert not found, "\n\n".join(found)


PAGE = "EPSILON = 0.3"
ACCURACY = "accuracy = score(net)\nprint(accuracy)"


def cell(code: str, *outputs: NotebookNode, tags: tuple[str, ...] = ()) -> NotebookNode:
    return new_code_cell(code, outputs=list(outputs), metadata={"tags": list(tags)})


def prints(text: str) -> NotebookNode:
    return new_output("stream", text=text)


def shows(kind: str = "execute_result", **data: str) -> NotebookNode:
    return new_output(kind, data={name.replace("_", "/"): text for name, text in data.items()})


@pytest.mark.parametrize(
    ("code", "output"),
    [
        (ACCURACY, prints("0.9712\n")),
        (ACCURACY, prints("1.0\n")),
        (ACCURACY, prints("3.1e-07\n")),
        (ACCURACY, prints("1e-07\n")),
        (ACCURACY, prints("fooled: 62 %\n")),
        (ACCURACY, prints("fooled: 62%\n")),
        ("print(torch.__version__)", prints("2.13.0\n")),
        ("print(f'{epsilon}: {accuracy}')", prints("0.3: yes\n")),  # no claim: the number stands in another cell
        ("for epsilon in (0.1, 0.2):\n    print(epsilon, score(epsilon))", prints("0.1 0.97\n0.2 0.91\n")),
        ("claim('Most are right', accuracy > 0.9)\nprint(accuracy)", prints("✓ Most are right\n0.97\n")),
        ("claim(f'{accuracy} is right', True)", prints("✓ 0.97 is right\n")),
        ("display(table)", shows("display_data", text_plain="a table", text_html="<td>0.97</td>")),
        ("table", shows(text_plain="   share\n0  0.97", text_html="<td>many</td>")),
        ("card", shows(text_plain="a card", text_markdown="| ε | 0.97 |")),
        ("for row in result('attacks')['rows']:\n    print(row)", prints("12345.678\n")),
        ("listing(f)\nprint(0 * x)", prints("0.0\n")),
    ],
)
def test_a_measured_number_is_found(code: str, output: NotebookNode) -> None:
    assert [one.splitlines()[0] for one in complaints(cell(code, output), PAGE)] == [NUMBER]


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("print(mnist)", prints("4,000 images of 1×28×28, 10 classes\n")),
        ("print('at ε = 0.1 it is so')", prints("at ε = 0.1 it is so\n")),
        ("print(f'{1e-3}')", prints("0.001\n")),
        ("for share in (0.25, 0.5):\n    print(f'{share:.0%}')", prints("25%\n50%\n")),
        ("print('about 20 % of all')", prints("about 20 % of all\n")),
        ("claim(f'At ε = {EPSILON} most are wrong', wrong > half)", prints("✓ At ε = 0.3 most are wrong\n")),
        ("fit(net)\nplt.show()", shows("display_data", text_plain="<Figure 6.5x4.8>", image_png="")),
        ("display(table)", shows("display_data", text_plain="a table", text_html="<td width='33.3%'>3</td>")),
    ],
)
def test_what_is_no_measured_number_passes(code: str, output: NotebookNode) -> None:
    assert [*complaints(cell(code, output), PAGE)] == []


def test_what_the_library_and_a_committed_measurement_say_passes() -> None:
    listed = next(line for line in sorted(library_lines()) if re.search(r"\d\.\d", line))
    assert [*complaints(cell("pages.listing(f)", prints(f"    {listed}\n")), PAGE)] == []
    table = "".join(f"{number} ms\n" for number in sorted(committed("attacks", 2)))
    assert [*complaints(cell("print(result('attacks'))", prints(table)), PAGE)] == []
    assert [*complaints(cell("print(result(name))", prints(table)), PAGE)] != []


@pytest.mark.parametrize(
    ("code", "outputs"),
    [
        ("fit(net)", [shows(text_plain="[many losses]")]),
        ("net.eval()", [shows(text_plain="SmallCNN()")]),
        ("losses", [shows(text_plain="[]")]),
        ("x = 3\nx == 3", [shows(text_plain="True")]),
        ("losses", []),  # a notebook that was not executed
    ],
)
def test_a_value_that_is_shown_by_accident_is_found(code: str, outputs: list[NotebookNode]) -> None:
    assert [one.splitlines()[0] for one in complaints(cell(code, *outputs), PAGE)] == [VALUE]


@pytest.mark.parametrize(
    ("code", "outputs"),
    [
        ("losses = fit(net)", []),
        ("net.train()\nx = 3", []),
        ("print(len(losses))", [prints("6\n")]),
        ("plt.show()", [shows("display_data", text_plain="<Figure>", image_png="")]),
        ("ThreatModel(goal='any class')", [shows(text_plain="ThreatModel(…)", text_markdown="| goal |")]),
        ("table", [shows(text_plain="rows", text_html="<table></table>")]),
        ("# nothing yet", []),
    ],
)
def test_a_value_that_is_shown_on_purpose_passes(code: str, outputs: list[NotebookNode]) -> None:
    assert [*complaints(cell(code, *outputs), PAGE)] == []


def test_what_nbval_does_not_compare_may_show_anything() -> None:
    made = (prints("0.97\n"), shows(text_plain="0.97"))
    for tag in NOT_COMPARED:
        assert [*complaints(cell("accuracy", *made, tags=(tag, "hide-input")), PAGE)] == []
    assert len([*complaints(cell("accuracy", *made, tags=("hide-input",)), PAGE)]) == 2
