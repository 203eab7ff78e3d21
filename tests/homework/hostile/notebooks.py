"""Cells that are edited, doubled, swapped, deleted or flipped, forged metadata, and text that is no notebook."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from courses import named
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from hostile.attack import EVERYTHING, Attack, Handin, code, full
from hostile.course import HONEST, NOTEBOOKS, POINTS

CELLS = "cells that are not the released ones"
FORGED = "forged metadata"
BROKEN = "text that is no notebook"
SOURCES = "source that is hard to read"

OTHER = full("account", "sieve")
TESTS = [f"{task}_test" for task in POINTS]
TAGS = ["skip-execution", "raises-exception", "remove_cell", "remove-cell", "hide-input", "nbval-skip"]


def _each(names: list[str], change: Callable[[Any], Any]) -> Callable[[Handin], object]:
    """Change the cells with these names."""

    def edit(made: Handin) -> None:
        for name in names:
            change(made.cell(name))

    return edit


def _claims(cell: Any) -> None:
    plain = {"text/plain": str(POINTS[cell.metadata.nbgrader.grade_id.removesuffix("_test")])}
    cell.outputs = [new_output("execute_result", plain, execution_count=1)]
    cell.execution_count = 1


def _doubled_tests(made: Handin) -> None:
    for name in TESTS:
        again = copy.deepcopy(made.cell(name))
        again.source = "4.0"
        made.add(name, again)


def _swapped(made: Handin) -> None:
    first, second = made.cell("blend_test"), made.cell("grid_test")
    first.metadata.nbgrader.grade_id, second.metadata.nbgrader.grade_id = "grid_test", "blend_test"
    first.source = second.source = "pass"


def _only_honest_doubled(made: Handin) -> None:
    for name in ("blend", "blend_test", "grid_test", "mixing_setup", "account", "essay"):
        made.add(name, copy.deepcopy(made.cell(name)))


def _deleted(*names: str) -> Callable[[Handin], object]:
    def edit(made: Handin) -> None:
        for name in names:
            made.of(name).cells.remove(made.cell(name))

    return edit


def _moved_first(made: Handin) -> None:
    for name in ("grid_test", "blend_test"):
        cells, cell = made.of(name).cells, made.cell(name)
        cells.remove(cell)
        cells.insert(0, cell)


def _own_tests(made: Handin) -> None:
    made.add("grid_test", named(new_code_cell("100.0"), "bonus", grade=True, locked=True, points=100))
    made.add("grid_test", named(new_markdown_cell("Bonus."), "essay2", grade=True, solution=True, points=100))
    made.add("grid_test", named(new_code_cell("1"), "blend_test ", grade=True, locked=True, points=2))


def _everywhere(**settings: Any) -> Callable[[Handin], object]:
    """Set these in nbgrader's metadata of every cell and of both notebooks."""

    def edit(made: Handin) -> None:
        for notebook in made.notebooks.values():
            notebook.metadata["nbgrader"] = dict(settings)
            for cell in notebook.cells:
                cell.metadata.setdefault("nbgrader", {}).update(settings)

    return edit


def _in_both(change: Callable[[Any], Any]) -> Callable[[Handin], object]:
    def edit(made: Handin) -> None:
        for notebook in made.notebooks.values():
            change(notebook)

    return edit


def _texts(text: str | bytes, only: str = "") -> Callable[[Path], None]:
    """Write this in place of the notebooks."""

    def files(folder: Path) -> None:
        for name in [only] if only else NOTEBOOKS:
            (folder / f"{name}.ipynb").write_bytes(text.encode() if isinstance(text, str) else text)

    return files


def _rewritten(change: Callable[[str], str | bytes]) -> Callable[[Path], None]:
    """Change the text of both notebooks."""

    def files(folder: Path) -> None:
        for name in NOTEBOOKS:
            file = folder / f"{name}.ipynb"
            text = change(file.read_text(encoding="utf-8"))
            file.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)

    return files


def _parsed(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Change the JSON of both notebooks, as nbformat would not let one."""

    def rewrite(text: str) -> str:
        notebook = json.loads(text)
        return json.dumps(change(notebook) or notebook)

    return _rewritten(rewrite)


def _renumbered(notebook: Any) -> None:
    for cell in notebook["cells"]:
        cell["id"] = "same"
        if cell["cell_type"] == "code":
            cell["execution_count"] = 10**30


def _old_format(notebook: Any) -> dict[str, Any]:
    """As notebooks were in 2013, with forged points."""
    cells = []
    for cell in notebook["cells"]:
        text = {"input": cell["source"], "language": "python", "outputs": [], "prompt_number": 1, "collapsed": False}
        kind = {"cell_type": cell["cell_type"], "metadata": cell["metadata"]}
        cells.append({**kind, **(text if cell["cell_type"] == "code" else {"source": cell["source"]})})
    return {
        "metadata": {"name": ""},
        "nbformat": 3,
        "nbformat_minor": 0,
        "worksheets": [{"cells": cells, "metadata": {}}],
    }


def _task(name: str, source: str) -> Callable[[Handin], object]:
    return lambda made: made.cell(name).update(source=source)


def cells(name: str, summary: str, edit: Callable[[Handin], object], **more: Any) -> Attack:
    return Attack(name, CELLS, summary, edit=edit, **more)


def forged(name: str, summary: str, edit: Callable[[Handin], object], **more: Any) -> Attack:
    return Attack(name, FORGED, summary, edit=edit, **more)


def broken(name: str, summary: str, files: Callable[[Path], None], **more: Any) -> Attack:
    return Attack(name, BROKEN, summary, files=files, **{"status": ("rejected",), **more})


ATTACKS: list[Attack] = [
    cells("tests_edited", "every test passes", _each(TESTS, lambda c: c.update(source="pass"))),
    cells("tests_edited_to_credit", "every test says 4.0", _each(TESTS, lambda c: c.update(source="4.0"))),
    cells("tests_doubled", "every test has a second copy that passes", _doubled_tests),
    cells("tests_swapped", "two tests have each other's names, and both pass", _swapped),
    cells(
        "tests_markdown",
        "every test is a Markdown cell",
        _each(TESTS, lambda c: (c.update(cell_type="markdown"), c.pop("outputs", 0), c.pop("execution_count", 0))),
    ),
    cells(
        "tests_raw",
        "every test is a raw cell",
        _each(TESTS, lambda c: (c.update(cell_type="raw"), c.pop("outputs", 0), c.pop("execution_count", 0))),
    ),
    cells("tests_deleted", "every test is gone; the answers are right", _deleted(*TESTS), due=EVERYTHING),
    cells("tests_first", "the tests stand before the answers", _moved_first, due=OTHER, unclear=("blend", "grid")),
    cells(
        "setup_edited",
        "the locked set-up says that anything is near, and the rates are zero",
        lambda made: (
            made.cell("mixing_setup").update(source="TOLERANCE = float('inf')\nrates = np.zeros(4)"),
            made.cell("account_setup").update(source="share = lambda *a: 1"),
            made.cell("blend").update(source="def blend(*a): return 0"),
            made.cell("grid").update(source="grid = np.zeros((3, 4))"),
            made.cell("sieve").update(source="def sieve(limit): return [1]"),
        ),
    ),
    cells("setup_deleted", "both locked set-ups are gone", _deleted("mixing_setup", "account_setup"), due=EVERYTHING),
    cells(
        "doubled_by_accident", "cells pasted twice, as in nbgrader's issue 1083", _only_honest_doubled, due=EVERYTHING
    ),
    cells(
        "doubled_answer_first_wrong",
        "an answer twice, the first of them wrong",
        lambda made: made.add("mixing_setup", named(new_code_cell("blend = 1 / 0"), "blend", solution=True)),
        due=EVERYTHING,
    ),
    cells("own_tests", "three more tests, of a hundred points each", _own_tests),
    cells(
        "answer_after_its_test",
        "code that patches the tests stands in copies of the locked cells",
        lambda made: made.cell("mixing_setup").update(
            source="get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])"
        ),
    ),
    cells(
        "essay_as_code",
        "the text that a human grades is a test that passes",
        lambda made: (
            made.cell("essay").update(cell_type="code", source="4.0", outputs=[], execution_count=None),
            made.cell("essay").metadata.nbgrader.update(solution=False, locked=True, cell_type="code"),
        ),
    ),
    cells(
        "all_cells_gone",
        "nothing but one cell of its own",
        lambda made: [n.update(cells=[new_code_cell("4.0")]) for n in made.notebooks.values()],
    ),
    cells(
        "notebooks_swapped",
        "each notebook under the other's name",
        lambda made: made.notebooks.update(mixing=made.notebooks["account"], account=made.notebooks["mixing"]),
        unclear=tuple(POINTS),
    ),
    forged(
        "points_raised",
        "each test is worth a thousand",
        _each(TESTS, lambda c: c.metadata.nbgrader.update(points=1000)),
    ),
    forged(
        "points_odd", "points that are no numbers", _everywhere(points="NaN", grade=True, solution=False, locked=True)
    ),
    forged(
        "all_flags",
        "every cell is test, answer, task and locked",
        _everywhere(grade=True, solution=True, locked=True, task=True),
    ),
    forged("no_flags", "no cell is test or answer", _everywhere(grade=False, solution=False, locked=False, task=False)),
    forged("ids_all_equal", "every cell is called blend_test", _everywhere(grade_id="blend_test", points=2)),
    forged("ids_odd", "cells are called by lists, numbers and paths", _everywhere(grade_id=["../..", 1, None])),
    forged("schema", "an nbgrader of the future", _everywhere(schema_version=999, checksum="0" * 32)),
    forged("schema_old", "an nbgrader of the past", _everywhere(schema_version=0, cell_type="code", points=1000)),
    forged(
        "scores",
        "the metadata says what the score is",
        _everywhere(score=12, auto_score=4, manual_score=4, extra_credit=100, needs_manual_grade=False, max_score=0),
    ),
    forged(
        "skip_execution",
        "tags by which tools skip a cell, or its errors",
        _each(TESTS, lambda c: c.metadata.update(tags=TAGS, nbclient={"allow_errors": True}, editable=False)),
    ),
    forged(
        "metadata_not_dicts",
        "nbgrader's metadata are texts and lists",
        lambda made: (
            [cell.metadata.update(nbgrader=["grade", True]) for n in made.notebooks.values() for cell in n.cells]
        ),
    ),
    forged(
        "other_kernel",
        "the notebook asks for other kernels, of other languages, in other folders",
        _in_both(
            lambda n: n.metadata.update(
                kernelspec={"name": "../../../tmp/evil", "display_name": "bash", "language": "bash"},
                language_info={
                    "name": "bash",
                    "file_extension": ".sh",
                    "mimetype": "text/x-sh",
                    "pygments_lexer": "bash",
                },
            )
        ),
        due=EVERYTHING,
    ),
    forged(
        "no_kernel",
        "the notebook names no kernel and no language",
        _in_both(lambda n: (n.metadata.pop("kernelspec", None), n.metadata.pop("language_info", None))),
        due=EVERYTHING,
    ),
    forged("stale_outputs", "blank answers, and outputs that claim full points", _each(TESTS, _claims)),
    forged(
        "stale_errors",
        "right answers, and outputs that show errors",
        _each(TESTS, lambda c: c.update(outputs=[new_output("error", ename="E", evalue="E", traceback=["E"])])),
        due=EVERYTHING,
    ),
    forged(
        "stale_outputs_many",
        "two hundred thousand stale outputs",
        lambda made: made.cell("blend").update(outputs=[new_output("stream", text=".")] * 200_000),
        unclear=tuple(POINTS),
    ),
    forged(
        "stale_outputs_large",
        "a stale output of twenty megabytes",
        lambda made: made.cell("blend").update(outputs=[new_output("stream", name="stdout", text="x" * 20_000_000)]),
        due=EVERYTHING,
    ),
    broken("cut_off", "the file ends in its middle", _rewritten(lambda text: text[: len(text) // 2])),
    broken("empty", "the files are empty", _texts("")),
    broken("zeros", "the files are zeros", _texts(bytes(100_000))),
    broken("not_a_notebook", "the files are pictures", _texts(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))),
    broken("number", "JSON, but a number", _texts("42")),
    broken("list", "JSON, but a list", _texts("[]")),
    broken("object", "JSON, but an empty object", _texts("{}")),
    broken("deep", "JSON a hundred thousand deep", _texts("[" * 100_000 + "]" * 100_000)),
    broken("deep_objects", "objects a hundred thousand deep", _texts('{"cells":' * 100_000 + "0" + "}" * 100_000)),
    broken(
        "deep_metadata",
        "a notebook whose metadata are five hundred deep",
        _rewritten(lambda text: text[:-1] + ', "deep": ' + '{"a":' * 500 + "0" + "}" * 500 + "}"),
        status=(),
        unclear=tuple(POINTS),
    ),
    broken(
        "huge",
        "a hundred megabytes",
        _rewritten(lambda text: text + " " * 100_000_000),
        status=(),
        unclear=tuple(POINTS),
    ),
    broken(
        "huge_numbers",
        "integers of a hundred thousand digits, and numbers that are none",
        _rewritten(
            lambda text: text.replace('"nbformat": 4', f'"nbformat": 4, "x": [NaN, -Infinity, {"9" * 100_000}]', 1)
        ),
        status=(),
        unclear=tuple(POINTS),
    ),
    broken(
        "cells_of_other_types", "cells are texts and numbers", _parsed(lambda n: n.update(cells=["pass", 4.0, None]))
    ),
    broken("cells_a_dict", "cells are a dict", _parsed(lambda n: n.update(cells=dict(enumerate(n["cells"]))))),
    broken(
        "sources_of_other_types",
        "the cells' sources are numbers and lists of lists",
        _parsed(lambda n: [c.update(source=[1, [2], None]) for c in n["cells"]] and n),
    ),
    broken("format_5", "a format of the future", _parsed(lambda n: n.update(nbformat=5, nbformat_minor=99)), status=()),
    broken("format_3", "a format of the past", _parsed(_old_format), status=()),
    broken(
        "format_negative",
        "formats that are no numbers",
        _parsed(lambda n: n.update(nbformat="4'; import os", nbformat_minor=-1)),
        status=(),
    ),
    broken("same_cell_ids", "each cell has the same id", _parsed(_renumbered), due=EVERYTHING, status=("ok",)),
    broken(
        "keys_twice",
        "`cells` and `metadata` are there twice",
        _rewritten(lambda text: '{"cells": [], "metadata": {"nbgrader": 4},' + text[1:]),
        due=EVERYTHING,
        status=("ok",),
    ),
    broken(
        "byte_order_mark",
        "UTF-8 with a mark before it, and Windows' line ends",
        _rewritten(lambda text: "\ufeff" + json.dumps(json.loads(text), indent=1).replace("\n", "\r\n")),
        unclear=tuple(POINTS),
        status=(),
    ),
    broken(
        "utf_16", "the file is UTF-16", _rewritten(lambda text: text.encode("utf-16")), status=(), unclear=tuple(POINTS)
    ),
    broken(
        "lone_surrogates",
        "half a character in every source and every name, as bytes",
        _rewritten(
            lambda text: text.replace("# YOUR CODE HERE", "'\ud800'").replace(
                '"display_name": "', '"display_name": "\udfff'
            )
        ),
        status=(),
    ),
    Attack(
        "escaped_surrogates",
        BROKEN,
        "half a character, properly escaped, in an answer that is right",
        answers={"blend": HONEST["blend"] + "\nodd = '\\ud800'", "essay": "half a \ud800 character"},
        due=full("account", "sieve", "grid"),
        unclear=("blend",),
        edit=lambda made: made.add("essay", new_code_cell("'\udcff'  # \x00 \x1b \u2028")),
    ),
    broken(
        "one_of_two",
        "one of two notebooks is no notebook",
        _texts("{", only="mixing"),
        status=(),
        unclear=("account", "sieve"),
    ),
    code(
        SOURCES, "minus", "a hundred thousand minus signs", "x = " + "-" * 100_000 + "1\n", due=OTHER, unclear=("grid",)
    ),
    code(
        SOURCES,
        "parentheses",
        "ten thousand parentheses, brackets, lambdas",
        "x = " + "(" * 10_000 + ")" * 10_000 + "\n",
        due=OTHER,
        unclear=("grid",),
        answers={"grid": "x = " + "lambda: " * 30_000 + "0\ny = " + "[" * 20_000},
    ),
    code(
        SOURCES, "long_sum", "a sum of a million terms", "x = " + "1 + " * 200_000 + "1\n", due=OTHER, unclear=("grid",)
    ),
    code(
        SOURCES,
        "attributes",
        "a hundred thousand attributes, decorators and conditions in one another",
        "x = x" + ".x" * 100_000 + "\n",
        due=OTHER,
        answers={"grid": "".join(f"{' ' * n}if 1:\n" for n in range(99)) + " " * 99 + "pass\n" + "@x\n" * 50_000},
    ),
    code(
        SOURCES,
        "null_bytes",
        "null bytes, form feeds, odd line ends and signs that turn the text around",
        "def blend(*a):\x00\n    return 8\x0c\x1b[2J\u2028\u202e\r\r\n\x85",
        due=full("grid", "account", "sieve"),
    ),
    code(
        SOURCES,
        "highlighter",
        "text on which regular expressions of highlighters go back and forth",
        "x = '" + "\\" * 30_000 + "\n" + "'''" * 9_999 + "f'{" * 10_000 + "%%" * 10_000 + "!" * 10_000 + "?" * 10_000,
        due=full("grid", "account", "sieve"),
    ),
    code(
        SOURCES,
        "magic_lines",
        "ten thousand lines of magics, shell commands and half-finished strings",
        "%time !ls ??\n" * 3_000 + "!!\n%%\n" * 3_000 + "\\\n" * 5_000,
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        SOURCES,
        "encoding_line",
        "the source says that it is written in another encoding, where a plus sign opens code",
        "# -*- coding: utf-7 -*-\n# +AAo-import os\ndef blend(*a): return 8\n",
        due=full("grid", "account", "sieve"),
    ),
    code(
        SOURCES,
        "many_lines",
        "three hundred thousand lines",
        "x = 1\n" * 300_000,
        due=OTHER,
        unclear=("grid",),
    ),
    Attack(
        "many_remarks",
        SOURCES,
        "three hundred cells with something to say about each",
        due=EVERYTHING,
        edit=lambda made: [made.add("grid_test", new_code_cell(f"for {'x' * 200} {n} in")) for n in range(300)],
    ),
    Attack(
        "many_cells",
        SOURCES,
        "two thousand cells, after right answers",
        due=EVERYTHING,
        edit=lambda made: made.of("grid").cells.extend(new_code_cell(f"x{n} = {n}") for n in range(2000)),
        status=(),
    ),
]
