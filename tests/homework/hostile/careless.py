"""Submissions that mean no harm: what is due to them must not be lost."""

from nbformat.v4 import new_code_cell, new_markdown_cell

from hostile.attack import EVERYTHING, Attack, Handin, code, full
from hostile.course import HONEST

CARELESS = "careless"


def right(name: str, summary: str, *cells: str, **answers: str) -> Attack:
    """Right answers, some of them written otherwise, and cells that were added before the second task."""

    def edit(made: Handin) -> None:
        for text in reversed(cells):
            made.add("blend_test", new_code_cell(text))

    return Attack(name, CARELESS, summary, answers=answers, due=EVERYTHING, edit=edit)


ATTACKS: list[Attack] = [
    right(
        "talkative",
        "functions that print on both streams",
        blend="""\
import sys
def blend(values, weights):
    print("values", values)
    print("weights", weights, file=sys.stderr)
    return sum(v * w for v, w in zip(values, weights)) / sum(weights)
""",
    ),
    right(
        "warns",
        "functions that warn, and log",
        sieve="""\
import logging, warnings
def sieve(limit):
    warnings.warn("slow", DeprecationWarning)
    logging.warning("slower")
    np.float64(1) / np.float64(0)
    return [n for n in range(2, limit) if all(n % d for d in range(2, n))]
""",
    ),
    right(
        "uses_magics",
        "cells with magics",
        "%time 1 + 1\n%timeit -n1 -r1 1\n!echo hello\n%who\nnp?\n",
        blend="%%time\n" + HONEST["blend"],
    ),
    right(
        "shell_lines",
        "an answer that begins with a line for the shell, as notebooks from Colab do",
        blend="!echo installing\n%pip --version\n" + HONEST["blend"],
    ),
    right("error_in_a_cell", "a cell of its own ends in an error", "1 / 0"),
    right("syntax_error_in_a_cell", "a cell of its own is half written", "for x in"),
    right("exit_in_a_cell", "a cell of its own says sys.exit()", "import sys\nsys.exit()"),
    right(
        "own_helpers",
        "an answer needs functions and imports of other cells",
        "half = 0.5",
        blend="""\
import operator as op
from functools import reduce
def _total(numbers):
    return reduce(op.add, numbers)
def blend(values, weights):
    return _total(map(op.mul, values, weights)) / _total(list(weights))
""",
    ),
    right(
        "lambda_and_partial",
        "a lambda for a function, a partial for a function",
        blend="""\
blend = lambda values, weights: float(np.average(values, weights=weights))
""",
        sieve="""\
from functools import partial
def count(rest, limit):
    return [n for n in range(2, limit) if n in (2, 3) or all(n % d for d in rest if d < n)]
sieve = partial(count, (2, 3, 5, 7))
""",
    ),
    right(
        "numpy_scalars",
        "numpy's numbers and arrays for Python's",
        sieve="""\
def sieve(limit):
    numbers = np.arange(2, limit)
    return numbers[[all(n % d for d in range(2, int(n))) for n in numbers]]
""",
        blend="""\
def blend(values, weights):
    return np.asarray(np.array(values) @ np.array(weights) / np.sum(weights))[()]
""",
    ),
    right("tuple", "a tuple for a list", sieve=HONEST["sieve"].replace("return primes", "return tuple(primes)")),
    right(
        "decorated",
        "recursion, a decorator, a nested class, properties",
        sieve="""\
from functools import cache
@cache
def divides(n, d=2):
    return d < n and (n % d == 0 or divides(n, d + 1))
def sieve(limit: int) -> "list[int]":
    return [n for n in range(2, limit) if not divides(n)]
""",
        account="""\
from dataclasses import dataclass
@dataclass
class Account:
    money: float
    class TooLittle(ValueError):
        pass
    def deposit(self, amount): self.money += amount; return self
    def withdraw(self, amount):
        if amount > self.money:
            raise Account.TooLittle(f"only {self.money}")
        self.money -= amount
    def balance(self): return self.money
""",
    ),
    right(
        "own_file",
        "a file is written, and read in a later cell",
        "import pathlib\npathlib.Path('mine.txt').write_text('2 3')",
        grid="a, b = map(int, open('mine.txt').read().split())\ngrid = np.stack([rates, a * rates, b * rates])",
    ),
    right(
        "own_reading",
        "the data file is read once more",
        grid="""\
import csv
mine = np.array([float(row[0]) for row in csv.reader(open("rates.csv"))])
grid = mine * np.arange(1, 4).reshape(-1, 1)
""",
    ),
    Attack(
        "own_module",
        CARELESS,
        "a module of its own lies beside the notebook",
        answers={"blend": "from my_mixing import blend"},
        due=EVERYTHING,
        files=lambda folder: (folder / "my_mixing.py").write_text(
            f"import numpy as np\n{HONEST['blend']}\n", encoding="utf-8"
        ),
    ),
    right("awaits", "a cell that awaits", "import asyncio\nawait asyncio.sleep(0.01)"),
    right("plots_nothing", "a library that is not there", "import a_library_that_is_not_installed"),
    right(
        "thread_pool",
        "a pool of threads computes the answer",
        sieve="""\
from concurrent.futures import ThreadPoolExecutor
def prime(n):
    return all(n % d for d in range(2, n))
def sieve(limit):
    with ThreadPoolExecutor(2) as pool:
        return [n for n, yes in zip(range(2, limit), pool.map(prime, range(2, limit))) if yes]
""",
    ),
    right(
        "moved",
        "the working folder, the random seed, the recursion limit and the locale are changed",
        """\
import os, sys, random, locale, tempfile
os.chdir(tempfile.gettempdir())
np.random.seed(0); random.seed(0)
sys.setrecursionlimit(500)
np.set_printoptions(precision=1); np.seterr(all="raise")
""",
    ),
    right("cleaned", "the plain import cell's names are deleted again, after the answers", "x = np.pi\ndel x"),
    Attack(
        "cleared_imports",
        CARELESS,
        "the plain import cell is emptied; the answers import for themselves",
        answers={"blend": "import numpy as np\n" + HONEST["blend"]},
        due=full("account", "sieve"),
        unclear=("blend", "grid"),
        edit=lambda made: made.notebooks["mixing"].cells[1].update(source=""),
    ),
    Attack(
        "texts_between",
        CARELESS,
        "texts, empty cells and cells without ids between the tasks",
        due=EVERYTHING,
        edit=lambda made: (
            [made.add("blend_test", new) for new in (new_code_cell(""), new_markdown_cell(""), new_code_cell("# ?"))]
        ),
    ),
    Attack("blank", CARELESS, "nothing is answered", status=("ok",)),
    code(
        CARELESS,
        "wrong",
        "plainly wrong",
        "def blend(values, weights):\n    return 0\n",
        due=full("grid", "account"),
        answers={"sieve": "def sieve(limit):\n    return []\n"},
    ),
    code(
        CARELESS,
        "half_right",
        "two of the four cases of partial credit",
        "def sieve(limit):\n    return {3: [2], 10: [2, 3, 5, 7]}.get(limit, [])\n",
        task="sieve",
        due={**full("blend", "grid", "account"), "sieve": 2.0},
    ),
    code(
        CARELESS,
        "syntax_error",
        "an answer that is not Python",
        "def blend(values weights)\n    return 0\n",
        due=full("grid", "account", "sieve"),
    ),
    code(
        CARELESS,
        "list_for_an_array",
        "a list where an array was asked for",
        "grid = [[0.5] * 4] * 3",
        task="grid",
        due=full("blend", "account", "sieve"),
    ),
]
