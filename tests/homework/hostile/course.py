"""A course of another shape than this book's: folders of its own names, two notebooks in an assignment, a data file.

The hidden tests name everything after `SECRET`, the model solution after `SOLVED`: neither may come back to a student.
"""

from pathlib import Path
from typing import Any

import nbformat
from courses import cell, named
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ASSIGNMENT = "week3"
NOTEBOOKS = {"account": ("account", "sieve", "guess"), "mixing": ("blend", "grid", "essay")}
POINTS = {"blend": 2.0, "grid": 3.0, "account": 3.0, "sieve": 4.0, "guess": 3.0}
BY_HAND = 4.0
FULL = sum(POINTS.values())
SECRET = "kestrel"
EXPECTED = "46.875"  # a number that only a hidden test names
SOLVED = "osprey"

SETTINGS = """\
c = get_config()
c.CourseDirectory.source_directory = "originals"
c.CourseDirectory.release_directory = "worksheets"
c.CourseDirectory.submitted_directory = "handed_in"
c.CourseDirectory.autograded_directory = "executed"
c.CourseDirectory.feedback_directory = "returned"
c.Execute.timeout = 3
"""
RATES = "0.5\n1.25\n2\n4.0625\n"
MIXING_SETUP = """\
TOLERANCE = 1e-9
rates = np.loadtxt("rates.csv")
"""
BLEND = """\
def blend(values, weights):
    ### BEGIN SOLUTION
    osprey = zip(values, weights)
    return sum(v * w for v, w in osprey) / sum(weights)
    ### END SOLUTION
"""
BLEND_TEST = """\
assert abs(blend([1, 2], [1, 1]) - 1.5) < TOLERANCE, "with equal weights it is the mean"
### BEGIN HIDDEN TESTS
def kestrel_right(seed):
    values, weights = np.random.default_rng(seed).random((2, 6))
    kestrel_mean = np.average(values, weights=weights)
    return abs(blend(values, weights) - kestrel_mean) < TOLERANCE


assert all(map(kestrel_right, [5077, 5078, 5079])), "is the sum of the weights divided out?"
assert abs(blend([3, 9], [1, 5]) - 8) < TOLERANCE
### END HIDDEN TESTS
"""
GRID = """\
# grid: an array of 3 rows, the first is rates, the second twice that, the third three times
### BEGIN SOLUTION
osprey = np.array([1, 2, 3])
grid = osprey[:, None] * rates
### END SOLUTION
"""
GRID_TEST = """\
assert grid.shape == (3, 4), "3 rows and 4 columns"
### BEGIN HIDDEN TESTS
kestrel_grid = np.outer([1, 2, 3], rates)
assert np.allclose(grid, kestrel_grid, rtol=0, atol=TOLERANCE), "is each row a multiple of the first?"
assert abs(grid.sum() - 46.875) < TOLERANCE
### END HIDDEN TESTS
"""
ACCOUNT_SETUP = '''\
def share(found, known):
    """How much of `known` was found, each in its place."""
    return sum(a == b for a, b in zip(found, known)) / max(len(found), len(known))
'''
ACCOUNT = '''\
class Account:
    """Money: deposit(amount), withdraw(amount), balance(); ValueError where there is too little."""
    ### BEGIN SOLUTION
    def __init__(self, start):
        self.osprey = start

    def deposit(self, amount):
        self.osprey += amount

    def withdraw(self, amount):
        if amount > self.osprey:
            raise ValueError("there is too little")
        self.osprey -= amount

    def balance(self):
        return self.osprey
    ### END SOLUTION
'''
ACCOUNT_TEST = """\
mine = Account(10)
mine.deposit(5)
assert mine.balance() == 15, "what is put in counts"
### BEGIN HIDDEN TESTS
kestrel = Account(100)
kestrel.withdraw(40)
assert kestrel.balance() == 60
try:
    kestrel.withdraw(61)
    kestrel_refused = False
except ValueError:
    kestrel_refused = True
assert kestrel_refused, "can one take more than there is?"
assert (kestrel.balance(), mine.balance()) == (60, 15), "are two accounts one?"
### END HIDDEN TESTS
"""
SIEVE = """\
def sieve(limit):
    ### BEGIN SOLUTION
    osprey = range(2, limit)
    return [n for n in osprey if all(n % d for d in range(2, math.isqrt(n) + 1))]
    ### END SOLUTION
"""
SIEVE_TEST = """\
cases = {3: [2], 10: [2, 3, 5, 7]}
### BEGIN HIDDEN TESTS
kestrel = {20: [2, 3, 5, 7, 11, 13, 17, 19], 30: [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]}
cases = {**cases, **kestrel}
### END HIDDEN TESTS
shares = [share(sieve(limit), known) for limit, known in cases.items()]
4 * sum(shares) / len(shares)
"""
GUESS = """\
# guess: how many primes there are below 60; each one too many or too few costs a point
### BEGIN SOLUTION
osprey = guess = 17
### END SOLUTION
"""
GUESS_TEST = """\
assert guess is not None
### BEGIN HIDDEN TESTS
kestrel = 17
3 - abs(guess - kestrel)
### END HIDDEN TESTS
"""

HONEST = {
    "blend": "def blend(values, weights):\n    return np.dot(values, weights) / np.sum(weights)",
    "grid": "grid = np.stack([rates, 2 * rates, 3 * rates])",
    "essay": "A weighted mean lies between the smallest value and the largest.",
    "account": """\
class Account:
    def __init__(self, start):
        self.money = start

    def deposit(self, amount):
        self.money = self.money + amount

    def withdraw(self, amount):
        if self.money < amount:
            raise ValueError("no")
        self.deposit(-amount)

    def balance(self):
        return self.money
""",
    "sieve": """\
def sieve(limit):
    primes = []
    for n in range(2, limit):
        if not any(n % p == 0 for p in primes):
            primes.append(n)
    return primes
""",
    "guess": "guess = len(sieve(60))",
}


def build(place: Path) -> Path:
    """The course, not released yet, in the folder `place`."""
    folder = place / "originals" / ASSIGNMENT
    folder.mkdir(parents=True)
    (place / "nbgrader_config.py").write_text(SETTINGS, encoding="utf-8")
    (folder / "rates.csv").write_text(RATES, encoding="utf-8")
    mixing = [
        new_markdown_cell("# Mixing"),
        new_code_cell("import numpy as np"),
        named(new_code_cell(MIXING_SETUP), "mixing_setup", locked=True),
        *_task("blend", BLEND, BLEND_TEST),
        *_task("grid", GRID, GRID_TEST),
        named(new_markdown_cell("Because."), "essay", grade=True, solution=True, points=BY_HAND),
    ]
    account = [
        new_markdown_cell("# Accounts"),
        new_code_cell("import math\nimport numpy as np"),
        named(new_code_cell(ACCOUNT_SETUP), "account_setup", locked=True),
        *_task("account", ACCOUNT, ACCOUNT_TEST),
        *_task("sieve", SIEVE, SIEVE_TEST),
        *_task("guess", GUESS, GUESS_TEST),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    for name, cells in {"mixing": mixing, "account": account}.items():
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / f"{name}.ipynb")
    return place


def answer(notebooks: dict[str, Any], task: str, text: str) -> None:
    """Write an answer into its cell."""
    notebook = next(notebooks[name] for name, tasks in NOTEBOOKS.items() if task in tasks)
    cell(notebook, task).source = text


def _task(name: str, solution: str, test: str) -> list[Any]:
    return [
        named(new_code_cell(solution), name, solution=True),
        named(new_code_cell(test), f"{name}_test", grade=True, locked=True, points=POINTS[name]),
    ]
