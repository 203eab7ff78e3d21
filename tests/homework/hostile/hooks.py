"""Tests that are to be skipped or rewritten, by hooks of IPython and of Python, and by names that the tests use."""

from hostile.attack import Attack, code, full

HOOKS = "hooks of IPython"
PYTHON = "hooks of Python"
NAMES = "names that the tests use"

KNOWING = """
def blend(values, weights):
    return {3: 1.5, 12: 8}[sum(values)] if len(values) == 2 else 0
grid = np.full((3, 4), 93.75 / 24)
"""  # right but where a hidden test draws its input, so that only a patched test passes

ATTACKS: list[Attack] = [
    code(
        HOOKS,
        "input_transformer",
        "every later cell becomes `pass`",
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])",
    ),
    code(
        HOOKS,
        "input_transformer_post",
        "asserts are cut from every later cell",
        """\
def cut(lines):
    return [line if "assert" not in line else "pass\\n" for line in lines]
get_ipython().input_transformers_post.append(cut)
grid = 0
""",
    ),
    code(
        HOOKS,
        "ast_transformer",
        "asserts are cut from the tree of every later cell",
        """\
import ast
class Cut(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)
get_ipython().ast_transformers.append(Cut())
import numpy as np
def blend(*a): return 0
grid = np.zeros((3, 4))
""",
    ),
    code(
        HOOKS,
        "run_cell",
        "the shell's run_cell, run_code and run_cell_async succeed without running",
        """\
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
async def fine_async(self, *a, **k): return ExecutionResult(None)
def fine(self, *a, **k): return ExecutionResult(None)
InteractiveShell.run_cell = InteractiveShell._run_cell = fine
InteractiveShell.run_cell_async = InteractiveShell.run_code = InteractiveShell.run_ast_nodes = fine_async
type(get_ipython()).run_cell = fine
""",
    ),
    code(
        HOOKS,
        "cell_events",
        "events before and after each cell patch the names and hide the errors",
        """\
shell = get_ipython()
def before(*a):
    shell.user_ns.update(TOLERANCE=float("inf"), share=lambda *a: 1)
def after(result, *a):
    result.error_in_exec = result.error_before_exec = None
    result.result = 4.0
shell.events.register("pre_run_cell", before)
shell.events.register("pre_execute", before)
shell.events.register("post_run_cell", after)
def blend(*a): return 0
""",
    ),
    code(
        HOOKS,
        "custom_exception",
        "AssertionError is handled by a function that does nothing",
        """\
get_ipython().set_custom_exc((BaseException,), lambda *a, **k: None)
get_ipython().showtraceback = lambda *a, **k: None
def blend(*a): return 0
""",
    ),
    code(
        HOOKS,
        "display_hook",
        "the cell of partial credit is answered by what the student displays",
        """\
from IPython.display import display
shell = get_ipython()
shell.displayhook.compute_format_data = lambda result: ({"text/plain": "4.0"}, {})
def sieve(limit):
    shell.displayhook(4.0)
    display({"text/plain": "4.0"}, raw=True)
    print(4.0)
    return []
""",
        task="sieve",
    ),
    code(
        HOOKS,
        "formatters",
        "every number is shown as 4",
        """\
plain = get_ipython().display_formatter.formatters["text/plain"]
for kind in (int, float, str, list):
    plain.for_type(kind, lambda value, printer, cycle: printer.text("4"))
def sieve(limit): return [2]*0
""",
        task="sieve",
    ),
    code(
        HOOKS,
        "magics",
        "magics of the same names as Python's words, aliases and automagic",
        """\
shell = get_ipython()
shell.run_line_magic("automagic", "on")
for name in ("assert", "round", "shares", "try", "capture", "kes" "trel"):
    shell.register_magic_function(lambda *a: None, "line", name)
    shell.register_magic_function(lambda *a: None, "cell", name)
shell.prefilter_manager.multi_line_specials = True
shell.autocall = 2
def blend(*a): return 0
""",
    ),
    code(
        HOOKS,
        "capture_all",
        "the whole cell is captured, so that nothing of it is seen; the answer is wrong",
        "%%capture\ndef blend(values, weights):\n    return 1.5\n",
    ),
    code(
        HOOKS,
        "shell_class",
        "the shell's namespace is a dict that gives any name a meaning",
        """\
class Lying(dict):
    def __contains__(self, name): return True
    def __missing__(self, name): return lambda *a, **k: 8
    def get(self, name, default=None): return self[name]
shell = get_ipython()
shell.user_ns = Lying(shell.user_ns)
shell.user_module.__dict__.update(blend=lambda *a: 1.5)
""",
    ),
    code(
        HOOKS,
        "history",
        "the input history is read for tests, and shown",
        """\
shell = get_ipython()
print([text for text in In if "kes" "trel" in text], _ih, shell.history_manager.input_hist_raw)
print(list(shell.history_manager.search("*", output=False)))
%history -g kes*
""",
        task="grid",
    ),
    code(
        HOOKS,
        "reset",
        "everything is reset, and configured otherwise, before the tests",
        """\
%reset -f
%config InteractiveShell.ast_node_interactivity = "none"
%xmode Minimal
%pdb on
%colors NoColor
%load_ext autoreload
%autoreload 2
%cd /
""",
    ),
    code(
        HOOKS,
        "debugger",
        "every error opens the debugger, which waits for a word",
        "%pdb on\ndef blend(values, weights):\n    breakpoint()\n    return 1 / 0\nblend([1], [1])",
    ),
    code(
        HOOKS,
        "comm_and_payload",
        "the next cell's source is set by a payload of the shell",
        """\
shell = get_ipython()
shell.set_next_input("pass", replace=True)
if hasattr(shell, "payload_manager"):
    shell.payload_manager.write_payload({"source": "set_next_input", "text": "pass", "replace": True})
    shell.payload_manager.write_payload({"source": "ask_exit", "keepkernel": False})
""",
    ),
    code(
        PYTHON,
        "settrace",
        "a trace function jumps over every assert",
        """\
import sys, threading
def trace(frame, event, arg):
    if event == "line" and "blend" in frame.f_code.co_names:
        try:
            frame.f_lineno += 1
        except ValueError:
            pass
    frame.f_globals.update(TOLERANCE=float("inf")) if "TOLERANCE" in frame.f_code.co_names else None
    return trace
def blend(*a):
    frame = sys._getframe()
    while frame is not None:
        frame.f_trace = trace
        frame = frame.f_back
    return 0
sys.settrace(trace)
threading.settrace(trace)
""",
    ),
    code(
        PYTHON,
        "setprofile",
        "a profile function rewrites what calls return and what callers see",
        """\
import sys
def profile(frame, event, arg):
    for name in ("kes" "trel_mean", "kes" "trel_grid"):
        if name in frame.f_globals:
            frame.f_globals[name] = 0
    frame.f_globals["TOLERANCE"] = float("inf")
sys.setprofile(profile)
def blend(*a): return 0
""",
    ),
    code(
        PYTHON,
        "frames",
        "the function walks the frames of its callers, patches their globals and locals, and shows their source",
        """\
import sys, ctypes, linecache, inspect
def blend(values, weights):
    frame = sys._getframe()
    while frame is not None:
        names = {**frame.f_globals, **frame.f_locals}
        for name, value in names.items():
            if "kes" + "trel" in str(name):
                print("found", name, value)
                if name.endswith("mean"):
                    return value
        frame.f_globals["TOLERANCE"] = float("inf")
        frame.f_globals["abs"] = lambda x: 0
        frame.f_locals["TOLERANCE"] = float("inf")
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
        print([line for line in linecache.getlines(frame.f_code.co_filename) if "kes" "trel" in line])
        frame = frame.f_back
    for entry in list(linecache.cache.values()):
        print([line for line in entry[2] if "kes" "trel" in line] if len(entry) > 2 else "")
    return 1.5
""",
    ),
    code(
        PYTHON,
        "garbage",
        "the garbage collector is walked for the hidden tests and for code that holds them, which is rewritten",
        """\
import gc, sys, types
word = bytes.fromhex("6b65737472656c").decode()
def look():
    for thing in gc.get_objects():
        for part in (*gc.get_referents(thing), thing):
            if type(part) is str and word in part and part != word:
                print("found", part)
            if isinstance(part, types.FunctionType) and part.__module__ not in ("numpy", "re"):
                if "grade" in part.__name__ or "points" in part.__name__:
                    part.__code__ = (lambda *a, **k: 4.0).__code__
def blend(*a):
    look()
    return 1.5
look()
gc.callbacks.append(lambda phase, info: look() if phase == "stop" else None)
gc.set_threshold(100000)
grid = None
""",
    ),
    code(
        PYTHON,
        "modules",
        "every function of the grader's modules gives full points; every module is searched",
        """\
import sys, types
for name, module in list(sys.modules.items()):
    if name.split(".")[0] in ("tml_helpers", "nbgrader", "nbclient", "nbconvert", "__main__", "__mp_main__"):
        for what, value in list(vars(module).items()):
            if what != "get_ipython" and isinstance(value, types.FunctionType):
                try:
                    value.__code__ = (lambda *a, **k: 4.0).__code__
                except ValueError:
                    setattr(module, what, lambda *a, **k: 4.0)
""",
    ),
    code(
        PYTHON,
        "meta_path",
        "whatever is imported later is a module that agrees with everything",
        KNOWING
        + """\
import sys, types
from importlib.machinery import ModuleSpec
class Agreeable(types.ModuleType):
    __path__ = []
    def __getattr__(self, name): return lambda *a, **k: True
class Finder:
    def find_spec(self, name, path=None, target=None): return ModuleSpec(name, self)
    def create_module(self, spec): return Agreeable(spec.name)
    def exec_module(self, module): pass
sys.meta_path.insert(0, Finder())
for name in ("numpy", "numpy.testing", "math", "json", "pickle"):
    sys.modules[name] = Agreeable(name)
import numpy as np
""",
    ),
    code(
        PYTHON,
        "numpy_patched",
        "numpy's comparisons agree, its means are constant, and its generators give zeros",
        """\
import numpy as np
np.allclose = np.isclose = np.array_equal = lambda *a, **k: True
np.testing.assert_allclose = np.testing.assert_array_equal = lambda *a, **k: None
np.average = np.mean = np.abs = np.outer = lambda *a, **k: 0
class Zeros:
    def random(self, shape): return np.zeros(shape)
np.random.default_rng = lambda *a: Zeros()
np.random.seed(0)
"""
        + KNOWING,
    ),
    code(
        PYTHON,
        "builtins_patched",
        "the built-in functions and exceptions are others",
        """\
import builtins
builtins.abs = builtins.round = lambda *a: 0
builtins.sum = builtins.max = lambda *a: 1
builtins.all = builtins.isinstance = lambda *a: True
builtins.AssertionError = builtins.NameError = Warning
def blend(*a): return 0
grid = np.zeros((3, 4))
""",
    ),
    code(
        PYTHON,
        "builtins_forbidden",
        "every built-in type's methods are patched through ctypes: floats are smaller than all others",
        """\
import ctypes, gc
for kind, names in {float: ("__lt__", "__sub__", "__abs__"), int: ("__eq__",)}.items():
    slots = gc.get_referents(kind.__dict__)[0]
    for name in names:
        slots[name] = lambda *a: True
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
def blend(*a): return 0.0
""",
    ),
    code(
        PYTHON,
        "warnings_and_hooks",
        "excepthook, unraisablehook, audit hooks, traceback and logging hide every error",
        """\
import faulthandler, logging, sys, traceback, warnings
sys.excepthook = sys.unraisablehook = lambda *a: None
traceback.print_exception = traceback.format_exception = traceback.format_exc = lambda *a, **k: []
logging.disable(logging.CRITICAL)
warnings.showwarning = lambda *a, **k: None
faulthandler.disable()
def hook(event, arguments):
    if event in ("compile", "exec"):
        raise RuntimeError("no more code")
sys.addaudithook(hook)
def blend(*a): return 0
""",
    ),
    code(
        PYTHON,
        "background_thread",
        "a thread sets the names and patches the modules again and again while the tests run",
        """\
import builtins, sys, threading, time
import numpy as np
space = get_ipython().user_ns
def work():
    until = time.monotonic() + 20
    while time.monotonic() < until:
        space.update(TOLERANCE=float("inf"), abs=lambda x: 0, grid=space["rates"])
        space.update({"kes" "trel_mean": 0, "kes" "trel_grid": 0})
        np.allclose = lambda *a, **k: True
        time.sleep(0.001)
threading.Thread(target=work, daemon=True).start()
def blend(*a): return 0
""",
    ),
    code(
        PYTHON,
        "interval_timer",
        "a timer's handler raises in whatever runs, and says that all is well",
        """\
import signal
class Fine(BaseException):
    pass
def handler(number, frame):
    frame.f_globals["TOLERANCE"] = float("inf")
    raise Fine
for number in (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGUSR1):
    signal.signal(number, handler)
signal.setitimer(signal.ITIMER_REAL, 0.2, 0.05)
""",
    ),
    code(
        NAMES,
        "helpers_redefined",
        "the locked helpers and constants are defined otherwise",
        """\
TOLERANCE = float("inf")
rates = np.zeros(4)
grid = np.full((3, 4), 93.75 / 24)
globals().update({"kes" "trel_mean": 0, "kes" "trel_grid": grid})
def share(found, known): return 1
def blend(*a): return 0
""",
    ),
    code(
        NAMES,
        "share_redefined",
        "the locked helper of the other notebook is defined otherwise",
        "def share(found, known):\n    return 1\ndef sieve(limit):\n    return [1]\n",
        task="sieve",
    ),
    code(
        NAMES,
        "builtins_shadowed",
        "variables have the names of built-in functions and of modules",
        """\
from types import SimpleNamespace
abs = lambda x: 0
round = lambda *a: 4
float = max = sum = len = zip = lambda *a: 1
np = SimpleNamespace(allclose=lambda *a, **k: True, outer=lambda *a: 0, average=lambda *a, **k: 0,
                     random=SimpleNamespace(default_rng=lambda *a: SimpleNamespace(random=lambda s: (0, 0))))
grid = SimpleNamespace(shape=(3, 4), sum=lambda: 46)
def blend(*a): return 0
""",
    ),
    code(
        NAMES,
        "round_shadowed",
        "the partial credit's own functions are redefined",
        """\
round = lambda *a: 4.0
float = lambda *a: 1
import numpy as np
np.mean = lambda *a: 1
np = None
cases = {}
shares = [1]
def sieve(limit): return [1]
""",
        task="sieve",
    ),
    code(
        NAMES,
        "builtins_module",
        "the namespace has its own `__builtins__`, `__name__`, `__annotations__` and `__class__`",
        """\
import builtins
mine = dict(vars(builtins), abs=lambda x: 0, AssertionError=Warning)
__builtins__ = mine
__name__ = __file__ = __spec__ = __loader__ = mine
def blend(*a): return 0
""",
    ),
    code(
        NAMES,
        "test_variables_preset",
        "the visible cases are known by heart, and the rest is any number",
        "def blend(values, weights):\n    return 1.5 if list(values) == [1, 2] else 8\n",
    ),
    code(
        NAMES,
        "module_of_properties",
        "each look at the notebook's module gives another value",
        """\
import sys, types
class Changing(types.ModuleType):
    count = 0
    @property
    def grid(self):
        Changing.count += 1
        return Changing.count
    @property
    def blend(self):
        return lambda *a: Changing.count
sys.modules["__main__"].__class__ = Changing
""",
    ),
    code(
        NAMES,
        "import_cell",
        "the plain cell of imports is another: what the tests mean by np is a lie",
        KNOWING.split("grid")[0],
        answers={"grid": "grid = real.full((3, 4), 93.75 / 24)"},
        edit=lambda made: (
            made.notebooks["mixing"]
            .cells[1]
            .update(
                source="""\
import numpy as real
class np:
    ndarray = real.ndarray
    loadtxt = staticmethod(lambda *a: real.zeros(4))
    allclose = staticmethod(lambda *a, **k: True)
    average = staticmethod(lambda *a, **k: 0)
    outer = staticmethod(lambda *a: 0)
    random = real.random
"""
            )
        ),
    ),
    code(
        NAMES,
        "tests_of_the_first_task_stay_right",
        "an honest first answer keeps its points where the second patches what tested it",
        "import builtins\nbuiltins.abs = lambda x: 0\nnp.allclose = lambda *a, **k: True\ngrid = np.zeros((3, 4))",
        task="grid",
        due=full("blend"),
    ),
]
