"""What a test cell cannot do where answers run in another process, found in its text before any student works.

A form is named only where it is certain that the model solution could not pass, or that a test would run what a
submission wrote. What depends on values shows when the model solution is graded.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tml_helpers.grading import names, notebook

CURRENT = {"gca", "gcf"}
REPLACEABLE = {"builtins.input", "builtins.print", "sys.stdin", "sys.stdout", "sys.stderr"}
READERS = {"open", "os.path.exists", "os.path.isfile", "os.path.getsize", "pandas.read_csv", "pandas.read_json"}
READERS |= {"pandas.read_excel", "numpy.load", "numpy.loadtxt", "numpy.genfromtxt", "PIL.Image.open"}
READING = {"read_text", "read_bytes", "exists", "is_file", "open"}
WRITERS = {"to_csv", "to_json", "to_excel", "savetxt", "savefig", "imsave"}
RUNNERS = {"eval", "exec", "pickle.loads", "dill.loads", "cloudpickle.loads", "marshal.loads"}
OBJECTS = ("sklearn.", "torch.nn.", "networkx.", "matplotlib.", "statsmodels.", "keras.", "tensorflow.")
BY_VALUE = (ast.Dict, ast.List, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.Constant, ast.BinOp, ast.UnaryOp)
EMPTY = {"dict", "list", "set", "Counter", "defaultdict", "deque", "collections.Counter", "collections.defaultdict"}
Found = Iterator[tuple[ast.AST, str]]


@dataclass
class Answers:
    """What the model solution's cells define, and what the whole notebook imports."""

    names: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    methods: set[str] = field(default_factory=set)
    coroutines: set[str] = field(default_factory=set)
    changes: dict[str, set[str]] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    modules: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)

    def add(self, text: str) -> None:
        """Learn what one answer defines."""
        code = names.python(text)
        tree = names.parsed(code)
        self.names |= names.defined(code) - set(names.modules(code))
        plain = {
            name
            for node in tree.body
            if isinstance(node, ast.Assign) and _is_value(node.value)
            for name in _targets(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                self.classes.add(node.name)
            elif isinstance(node, ast.AsyncFunctionDef):
                self.coroutines.add(node.name)
            elif isinstance(node, ast.FunctionDef):
                self.methods.add(node.name)
                self.changes[node.name] = _changed(node) & plain
        first = text.lstrip().partition("\n")[0].split()
        if first[:1] in (["%%writefile"], ["%%file"]):
            self.written.add(first[-1])


@dataclass
class Test:
    """A test cell: its tree, and the names in it that hold what came from an answer."""

    tree: ast.Module
    answers: Answers
    theirs: set[str]

    def calls(self) -> Iterator[ast.Call]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def path(self, node: ast.AST) -> str:
        """The dotted name that a function or class has in its module; of a local name that name."""
        text = _dotted(node)
        first, dot, rest = text.partition(".")
        return self.answers.modules.get(first, first) + dot + rest

    def comes_from_answer(self, node: ast.AST) -> bool:
        """Whether an answer's value is in this expression."""
        return any(isinstance(part, ast.Name) and part.id in self.theirs for part in ast.walk(node))


def problems(source: notebook.Notebook, folder: Path) -> list[str]:
    """One sentence for each form in this notebook's tests that cannot work: the cell, the line, and what to do."""
    code = [cell for cell in source.cells if cell.cell_type == "code"]
    answers = Answers()
    for cell in code:
        text = names.python(cell.source)
        answers.modules |= names.modules(text)
        if _setting(cell, "solution"):
            answers.add(cell.source)
        else:
            answers.files |= set(_written(names.parsed(text)))
    answers.files |= {file.name for file in folder.iterdir()}
    return [sentence for cell in code if notebook.is_test(cell) for sentence in _of_cell(cell, answers)]


def _of_cell(cell: Any, answers: Answers) -> Iterator[str]:
    tree = names.parsed(names.python(cell.source))
    test = Test(tree, answers, _theirs(tree, answers))
    lines = cell.source.splitlines()
    found = [(getattr(node, "lineno", 1), reason) for rule in RULES for node, reason in rule(test)]
    found += [(n, _RUN) for n, line in enumerate(lines, start=1) if line.lstrip().startswith("%run ")]
    for number, reason in sorted(set(found)):
        shown = lines[number - 1].strip() if number <= len(lines) else ""
        yield f"the test {notebook.grade_id(cell)}, line {number}, `{shown}`: {reason}"


_RUN = "a magic does nothing in a test; call the answer's functions"


def _gradient(test: Test) -> Found:
    if "backward" in test.answers.methods or "torch" not in {
        m.partition(".")[0] for m in test.answers.modules.values()
    }:
        return
    for call in test.calls():
        if (
            isinstance(call.func, ast.Attribute)
            and call.func.attr == "backward"
            and test.comes_from_answer(call.func.value)
        ):
            yield (
                call,
                (
                    "a tensor comes from an answer without its history; let the answer return the gradient, "
                    "or compare with finite differences"
                ),
            )


def _training(test: Test) -> Found:
    for call in test.calls():
        if test.path(call.func).startswith("torch.optim.") and any(map(test.comes_from_answer, call.args)):
            yield (
                call,
                "this would train copies of the parameters; let an answer's function train, and test what it returns",
            )


def _coroutine(test: Test) -> Found:
    for call in test.calls():
        if isinstance(call.func, ast.Name) and call.func.id in test.answers.coroutines:
            yield (
                call,
                (
                    f"`{call.func.id}` is asynchronous, and cannot be awaited from here; "
                    "let the answer have an ordinary function that runs it with asyncio.run, and test that"
                ),
            )


def _current_figure(test: Test) -> Found:
    drawn = {test.path(call.func) for call in test.calls()}
    own = {path for path in drawn if path.startswith("matplotlib.pyplot.")}
    if own - {f"matplotlib.pyplot.{name}" for name in CURRENT | {"close", "get_fignums"}}:
        return
    for call in test.calls():
        if test.path(call.func) in {f"matplotlib.pyplot.{name}" for name in CURRENT}:
            yield (
                call,
                (
                    "the current figure is that of the test's process; let the answer end with `ax = plt.gca()` "
                    "or return its axes, and test these"
                ),
            )


def _axes_handed_over(test: Test) -> Found:
    makers = {f"matplotlib.pyplot.{name}" for name in ("subplots", "gca", "axes", "subplot")}
    made = {
        name
        for node in ast.walk(test.tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and test.path(node.value.func) in makers
        for name in _targets(node)
    }
    for node in ast.walk(test.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and test.comes_from_answer(node.value.func):
            parts = [*node.value.args, *(keyword.value for keyword in node.value.keywords)]
            if any(isinstance(part, ast.Name) and part.id in made for part in parts):
                yield node, "the answer draws into a copy; let it return the axes that it drew into, and test these"


def _files(test: Test) -> Found:
    for call in test.calls():
        reads = test.path(call.func) in READERS
        if isinstance(call.func, ast.Attribute) and call.func.attr in READING:
            owner = call.func.value
            if isinstance(owner, ast.Call) and test.path(owner.func) == "pathlib.Path":
                reads, call = True, owner
        name = _constant(call.args[0]) if reads and call.args else ""
        if name and "://" not in name and Path(name).parts[0] not in test.answers.files:
            yield (
                call,
                (
                    f"{name!r} is not beside the notebook, and what an answer writes is not where the test runs; "
                    "let a function return the content"
                ),
            )
    mine = set(_written(test.tree))
    for call in test.calls():
        shared = [_constant(part) for part in call.args if _constant(part) in mine]
        if shared and test.comes_from_answer(call.func):
            yield (
                call,
                (
                    f"{shared[0]!r} is written where the answer does not run; lay the file beside the notebook, "
                    "or let a function take the content"
                ),
            )


def _counters(test: Test) -> Found:
    called = {call.func.id: call.lineno for call in reversed(list(test.calls())) if isinstance(call.func, ast.Name)}
    read = [node for node in ast.walk(test.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    for function in sorted(set(called) & set(test.answers.changes)):
        for node in read:
            if node.id in test.answers.changes[function] and node.lineno >= called[function]:
                yield (
                    node,
                    (
                        f"the test has the value of `{node.id}` from before `{function}` changes it; "
                        "let a function return it, or make it an attribute of an object"
                    ),
                )


def _exact_class(test: Test) -> Found:
    for node in ast.walk(test.tree):
        sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        asked = [side for side in sides if isinstance(side, ast.Call) and _dotted(side.func) == "type"]
        for side in sides if asked and test.comes_from_answer(asked[0]) else []:
            path = test.path(side) if isinstance(side, ast.Name | ast.Attribute) else ""
            if path in test.answers.classes or path.startswith(OBJECTS):
                yield node, f"the type of an answer's object is a handle's; write isinstance(..., {_dotted(side)})"


def _replaced(test: Test) -> Found:
    for call in test.calls():
        path = test.path(call.func)
        target = _constant(call.args[0]) if call.args else ""
        if path.endswith(("mock.patch.object", "mock.patch.dict")) or (
            path.endswith("mock.patch") and target not in REPLACEABLE
        ):
            yield (
                call,
                (
                    "this is replaced where the answer does not run; let the function take it as an argument, "
                    "or give an answer's name another function by an assignment"
                ),
            )


def _written_modules(test: Test) -> Found:
    for node in ast.walk(test.tree):
        found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in found:
            if f"{module}.py" in test.answers.written:
                yield (
                    node,
                    f"an answer writes {module}.py where the test does not run; let it define its functions in a cell",
                )


def _runs_text(test: Test) -> Found:
    for call in test.calls():
        if test.path(call.func) in RUNNERS and any(map(test.comes_from_answer, call.args)):
            yield (
                call,
                "this would run here what a submission wrote; let the answer be a function, and call it",
            )


def _own_classes(test: Test) -> Found:
    own = {node.name: node for node in ast.walk(test.tree) if isinstance(node, ast.ClassDef)}
    for node in own.values():
        if any(isinstance(base, ast.Name) and base.id in test.answers.classes for base in node.bases):
            yield node, "a class of a test cannot derive from an answer's; let the answer have the derived class, too"
    for call in test.calls():
        made = [part.func for part in call.args if isinstance(part, ast.Call)]
        if test.comes_from_answer(call.func) and any(isinstance(f, ast.Name) and f.id in own for f in made):
            yield call, "an object of a test's own class cannot go over; define the class in a locked cell"


RULES: tuple[Callable[[Test], Found], ...] = (
    _gradient,
    _training,
    _coroutine,
    _current_figure,
    _axes_handed_over,
    _files,
    _counters,
    _exact_class,
    _replaced,
    _written_modules,
    _runs_text,
    _own_classes,
)


def _theirs(tree: ast.Module, answers: Answers) -> set[str]:
    """The names of answers, and those of the test that are given what comes from them."""
    found, before = set(answers.names), set[str]()
    while found != before:
        before = set(found)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and any(
                isinstance(part, ast.Name) and part.id in found for part in ast.walk(node.value)
            ):
                found |= _targets(node)
    return found


def _changed(function: ast.FunctionDef) -> set[str]:
    """The names outside of a function that it gives a value, or whose items or content it changes."""
    parts = list(ast.walk(function))
    declared = {name for node in parts if isinstance(node, ast.Global) for name in node.names}
    arguments = {node.arg for node in parts if isinstance(node, ast.arg)}
    bound = {node.id for node in parts if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    inner = names.changed(ast.unparse(ast.Module(function.body, [])))
    return (declared & bound) | (inner - arguments - (bound - declared))


def _written(tree: ast.Module) -> Iterator[str]:
    """The names of the files that this code writes."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        mode = _constant(node.args[1]) if len(node.args) > 1 else ""
        mode = mode or next((_constant(k.value) for k in node.keywords if k.arg == "mode"), "")
        path = _dotted(node.func)
        if (path == "open" and mode[:1] in tuple("wax")) or path.rpartition(".")[2] in WRITERS:
            yield from filter(None, [_constant(node.args[0])])
        if path.endswith(("write_text", "write_bytes")) or (
            isinstance(node.func, ast.Attribute) and node.func.attr in ("write_text", "write_bytes")
        ):
            yield from filter(None, map(_constant, getattr(node.func.value, "args", [])))  # type: ignore[attr-defined]


def _is_value(node: ast.AST) -> bool:
    return isinstance(node, BY_VALUE) or (isinstance(node, ast.Call) and _dotted(node.func) in EMPTY)


def _targets(node: ast.Assign) -> set[str]:
    parts = [part for target in node.targets for part in ast.walk(target)]
    return {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return node.id if isinstance(node, ast.Name) else ""


def _constant(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _setting(cell: Any, name: str) -> bool:
    settings = cell.metadata.get("nbgrader", {})
    return bool(settings.get(name))
