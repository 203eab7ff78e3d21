"""Change the library at random places, one token each, and see whether the tests notice.

    python tools/mutants.py [--count N] [--seed N] [--only PART]

Each change is made in a copy of the library, and the tests that reach its line run against the copy, the fastest first.
What was found goes to `benchmarks/results/mutants.json`; changes that stand there are not made again, so a run that was
interrupted goes on. `--only attacks` draws from the files whose path has that word.

A change with which the code does the same, so that no test can notice it, gets by hand a field `same` in that file,
which says why: it does not count.
"""

import argparse
import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from coverage import CoverageData

from tml_helpers._console import on_any_console

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "tml_helpers"
REACH = ROOT / "_build/mutants"  # which test reaches which line, and how long it takes
RESULTS = ROOT / "benchmarks/results/mutants.json"
SANDBOXED = ("assignments", "commands_anywhere", "engines", "grade", "hostile", "peer_nbgrader", "run", "wrong_answers")
LEFT_OUT = ["browser", "book", "notebooks", *(f"homework/test_{name}.py" for name in SANDBOXED)]  # far from a line
TESTS = ["tests", *(f"--ignore=tests/{place}" for place in LEFT_OUT)]
APART = {  # what runs a folder's files in another process, or reads them
    "tml_helpers/kernels/": ["tests/test_kernels_interpreted.py"],
    "tml_helpers/grading/": ["tests/homework/test_examiner.py"],
    "tml_helpers/": ["tests/test_convention.py", "tests/test_public_api.py"],
}
FASTEST, SLOWEST = 30, 10  # of the tests that reach a line; the slow ones check most
OPPOSITES = [
    *[(ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot), (ast.In, ast.NotIn)],
    *[(ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.And, ast.Or)],
]
SWAPS: dict[type, type] = dict([*OPPOSITES, *((new, old) for old, new in OPPOSITES)])
NAMES = {
    "min": "max",
    "max": "min",
    "amin": "amax",
    "amax": "amin",
    "any": "all",
    "all": "any",
    "sum": "mean",
    "mean": "sum",
}


@dataclass(frozen=True)
class Mutant:
    """One change: where, and the line before and after it."""

    file: str
    line: int
    old: str
    new: str


def changes(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.AST]]:
    """(node, what it becomes), for every place that can change, but for `strict` of `zip`: a guard that never acts."""
    keywords = [node for node in ast.walk(tree) if isinstance(node, ast.keyword)]
    guards = {keyword.value for keyword in keywords if keyword.arg == "strict"}
    for node in ast.walk(tree):
        if node in guards:
            continue
        match node:
            case ast.Compare(ops=[operator]) if type(operator) in SWAPS:
                yield node, ast.Compare(node.left, [SWAPS[type(operator)]()], node.comparators)
            case ast.BinOp() if type(node.op) in SWAPS:
                yield node, ast.BinOp(node.left, SWAPS[type(node.op)](), node.right)
            case ast.BoolOp():
                yield node, ast.BoolOp(SWAPS[type(node.op)](), node.values)
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                yield node, node.operand
            case ast.Constant(value=bool()):
                yield node, ast.Constant(not node.value)
            case ast.Constant(value=int() | float() as number):
                yield node, ast.Constant(number + 1)
            case ast.Call(keywords=[_, *_]) if node.keywords[0].arg != "strict":
                for place in range(len(node.keywords)):
                    yield node, ast.Call(node.func, node.args, [k for n, k in enumerate(node.keywords) if n != place])
            case ast.Attribute(attr=name) if name in NAMES:
                yield node, ast.Attribute(node.value, NAMES[name], node.ctx)
            case ast.Name(id=name) if name in NAMES:
                yield node, ast.Name(NAMES[name], node.ctx)


def mutants(file: Path) -> Iterator[Mutant]:
    """Every change of a file whose node stands on one line; the rest of the line stays as it is written."""
    text = file.read_text(encoding="utf-8")
    lines = text.encode().splitlines()
    for node, changed in changes(ast.parse(text)):
        if node.lineno != node.end_lineno:  # type: ignore[attr-defined]
            continue
        old = lines[node.lineno - 1]  # type: ignore[attr-defined]
        written = ast.unparse(ast.fix_missing_locations(changed))
        inner = f"({written})" if isinstance(changed, ast.BinOp | ast.BoolOp | ast.Compare) else written
        new = old[: node.col_offset] + inner.encode() + old[node.end_col_offset :]  # type: ignore[attr-defined]
        if new != old:
            yield Mutant(str(file.relative_to(ROOT)), node.lineno, old.decode(), new.decode())  # type: ignore[attr-defined]


def measure_reach() -> None:
    """Run the tests once under coverage, each line with the tests that reach it."""
    REACH.mkdir(parents=True, exist_ok=True)
    (REACH / "coveragerc").write_text(
        f"[run]\nsource = {LIBRARY}\ndata_file = {REACH / 'coverage'}\n", encoding="utf-8"
    )
    program = [sys.executable, "-m", "coverage", "run", f"--rcfile={REACH / 'coveragerc'}", "-m", "pytest", "-q"]
    paths = os.pathsep.join([str(ROOT / "tools"), os.environ.get("PYTHONPATH", "")])
    subprocess.run([*program, "-p", "reach", *TESTS], cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, check=False)


def reaching(data: CoverageData, seconds: dict[str, float], mutant: Mutant) -> list[str]:
    """The tests that reach the mutant's line, the fastest first.

    A line that runs when the file is imported, as a default or a constant, is reached by those that reach what it
    belongs to: the rest of its function, or of its file.
    """
    contexts = data.contexts_by_lineno(str(ROOT / mutant.file))
    found = {test for test in contexts.get(mutant.line, []) if test}
    for first, last in around(mutant):
        found = found or {test for line in range(first, last + 1) for test in contexts.get(line, []) if test}
    apart = [test for folder, tests in APART.items() if mutant.file.startswith(folder) for test in tests]
    ordered = sorted(found, key=lambda test: seconds.get(test, 0.0))
    return ordered[:FASTEST] + ordered[FASTEST:][-SLOWEST:] + apart


def around(mutant: Mutant) -> list[tuple[int, int]]:
    """First and last line of each function and class around the mutant, the innermost first; then of the file."""
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    spans = [(n.lineno, n.end_lineno or n.lineno) for n in nodes if n.lineno <= mutant.line <= (n.end_lineno or 0)]
    return [*sorted(spans, key=lambda span: span[1] - span[0]), (1, len(text.splitlines()))]


def verdict(mutant: Mutant, tests: list[str]) -> str:
    """`noticed` where a test turns red, `missed` where all stay green, `unreached` where there is none."""
    if not tests:
        return "unreached"
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(LIBRARY, Path(folder, "tml_helpers"), ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / Path(mutant.file).relative_to("tml_helpers")
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        lines[mutant.line - 1] = mutant.new + "\n"
        file.write_text("".join(lines), encoding="utf-8")
        program = [sys.executable, "-P", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, timeout=600, check=False)
        except subprocess.TimeoutExpired:
            return "noticed"  # it never ends
        return "missed" if done.returncode == 0 else "noticed"


def show(found: list[dict[str, object]]) -> None:
    """The score by module and in all, and every change that nothing noticed."""
    modules: dict[str, list[bool]] = defaultdict(list)
    for one in found:
        if "same" not in one:
            for name in (re.sub(r"\.py$", "", str(one["file"]).split("/")[1]), "all"):
                modules[name].append(one["verdict"] == "noticed")
    for name, verdicts in sorted(modules.items()):
        print(f"{name:<20}{sum(verdicts):4} of {len(verdicts)} noticed")
    for one in found:
        if one["verdict"] != "noticed":
            why = f" ({one['same']})" if "same" in one else ""
            print(f"\n{one['verdict']}{why}: {one['file']}:{one['line']}\n  - {one['old']}\n  + {one['new']}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="how many changes (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default 0)")
    parser.add_argument("--only", default="", metavar="PART", help="only files whose path has this word")
    options = parser.parse_args()
    if not (REACH / "coverage").exists():
        measure_reach()
    data = CoverageData(str(REACH / "coverage"))
    data.read()
    seconds = json.loads((REACH / "seconds.json").read_text(encoding="utf-8"))
    known = json.loads(RESULTS.read_text(encoding="utf-8"))["changes"] if RESULTS.exists() else []
    done = {(one["file"], one["old"], one["new"]) for one in known}
    places = [m for file in sorted(LIBRARY.rglob("*.py")) if options.only in str(file) for m in mutants(file)]
    for mutant in random.Random(options.seed).sample(places, min(options.count, len(places))):
        if (mutant.file, mutant.old, mutant.new) not in done:
            known.append({**asdict(mutant), "verdict": verdict(mutant, reaching(data, seconds, mutant))})
            RESULTS.write_text(json.dumps({"changes": known}, indent=1) + "\n", encoding="utf-8")
    show(known)
    return 0


if __name__ == "__main__":
    on_any_console()
    sys.exit(main())
