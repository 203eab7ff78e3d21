"""Values that lie, that never end, that are too large, and that run code where they are received."""

from hostile.attack import Attack, code, full

VALUES = "values that lie"
LARGE = "values without an end"

OTHER = full("account", "sieve")
LIAR = """\
import numpy as np
class Liar:
    \"\"\"Equal to everything, less than everything, and of every kind.\"\"\"
    shape, dtype, ndim, size = (3, 4), np.dtype(float), 2, 12
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __bool__(self): return True
    def __len__(self): return 4
    def __float__(self): return 0.0
    def __getattr__(self, name):
        if name.startswith("__array"):
            raise AttributeError(name)
        return self
    def __call__(self, *a, **k): return self
    def __iter__(self): return iter([self] * 4)
    def __array__(self, *a, **k): return np.outer([1, 2, 3], rates) if "rates" in globals() else np.zeros(4)
    __lt__ = __le__ = __gt__ = __ge__ = __ne__ = __contains__ = __eq__
    __abs__ = __sub__ = __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = __truediv__ = __round__ = __call__
    __getitem__ = __neg__ = __pow__ = __rtruediv__ = __call__
    @property
    def __class__(self): return float
"""

ATTACKS: list[Attack] = [
    code(VALUES, "liar", "an object equal to everything", LIAR + "def blend(*a): return Liar()\ngrid = Liar()\n"),
    code(
        VALUES,
        "liars_in_a_list",
        "a list of objects equal to everything",
        LIAR
        + """\
def sieve(limit): return [Liar() for _ in range({3: 1, 10: 4, 20: 8, 30: 10}[limit])]
""",
        task="sieve",
    ),
    code(
        VALUES,
        "liars_in_an_array",
        "an array of objects equal to everything",
        LIAR
        + """\
def blend(*a): return np.array([Liar()], dtype=object)[0]
grid = np.full((3, 4), None)
grid[:] = [[Liar()] * 4] * 3
""",
    ),
    code(
        VALUES,
        "liars_everywhere",
        "in tuples, sets, keys of dicts, deques, slices, ranges and partials",
        LIAR
        + """\
from collections import Counter, defaultdict, deque
from functools import partial
turn = iter([(Liar(),), {Liar()}, {Liar(): Liar()}, deque([Liar()]), Counter([Liar()]), slice(Liar()), partial(Liar)])
def sieve(limit): return next(turn)
""",
        task="sieve",
    ),
    code(
        VALUES,
        "mock",
        "a mock in place of every answer",
        """\
from unittest.mock import MagicMock
Account = MagicMock()
Account.return_value.balance.return_value.__eq__ = lambda *a: True
Account.return_value.withdraw.side_effect = [None, ValueError]
""",
        task="account",
    ),
    code(
        VALUES,
        "account_of_liars",
        "an account whose balance equals everything",
        LIAR
        + """\
class Account(Liar):
    def __init__(self, start): self.count = 0
    def deposit(self, amount): pass
    def withdraw(self, amount):
        if amount == 61:
            raise ValueError
    def balance(self): return Liar()
""",
        task="account",
    ),
    code(
        VALUES,
        "account_meta",
        "a class whose calls, attributes and instances are decided by its metaclass",
        LIAR
        + """\
class Meta(type):
    def __call__(cls, *a): return Liar()
    def __instancecheck__(cls, thing): return True
    def __getattr__(cls, name): return Liar()
    def __eq__(cls, other): return True
    __hash__ = type.__hash__
class Account(metaclass=Meta): pass
""",
        task="account",
    ),
    code(
        VALUES,
        "nan",
        "NaN everywhere",
        """\
def blend(*a): return float("nan")
grid = np.full((3, 4), np.nan)
""",
    ),
    code(
        VALUES,
        "nan_credit",
        "partial credit that becomes NaN, and warns",
        """\
import numpy as np
def sieve(limit): return [np.zeros(0)] * {3: 1, 10: 4, 20: 8, 30: 10}[limit]
""",
        task="sieve",
    ),
    code(
        VALUES,
        "array_credit",
        "partial credit that cannot be a number",
        """\
import numpy as np
def sieve(limit): return np.full((limit, 2), "2")
""",
        task="sieve",
    ),
    code(
        VALUES,
        "infinities",
        "infinite and enormous numbers",
        """\
import numpy as np
def sieve(limit): return [np.inf, -np.inf, 1e308, 10**400, complex("nan"), np.float64("nan")]
""",
        task="sieve",
    ),
    code(
        VALUES,
        "float_subclass",
        "a number that is near to every other",
        """\
class Near(float):
    def __sub__(self, other): return Near(0)
    def __abs__(self): return Near(0)
    def __lt__(self, other): return True
    __rsub__ = __sub__
    def __reduce__(self): return eval, ("0",)
def blend(*a): return Near(8)
""",
    ),
    code(
        VALUES,
        "int_subclass",
        "integers and texts that equal every other",
        """\
class Same(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
class Text(str):
    def __eq__(self, other): return True
    __hash__ = str.__hash__
class Many(list):
    def __len__(self): return 1
    def __iter__(self): return iter([Same(1)] * 10)
    def __eq__(self, other): return True
turn = iter([[Same(1)] * 1, [Text("2")] * 4, Many([1]), Many([Same(1)])])
def sieve(limit): return next(turn)
""",
        task="sieve",
    ),
    code(
        VALUES,
        "array_subclass",
        "arrays whose methods and functions lie",
        """\
class Agreeing(np.ndarray):
    shape = (3, 4)
    def sum(self, *a, **k): return 93.75 / 2
    def __array_ufunc__(self, *a, **k): return np.bool_(True)
    def __array_function__(self, *a, **k): return True
    def __eq__(self, other): return True
    def __reduce__(self): return eval, ("__import__('numpy').zeros((3, 4))",)
grid = np.zeros(1).view(Agreeing)
def blend(*a): return np.zeros(()).view(Agreeing)
""",
    ),
    code(
        VALUES,
        "numpy_type_replaced",
        "numpy's own array type is another, which lies while it is sent",
        """\
class Agreeing(np.ndarray):
    def tobytes(self, *a): return np.ones((3, 4)).tobytes() * 100
    def __array_ufunc__(self, *a, **k): return np.bool_(True)
    @property
    def shape(self): return (3, 4)
np.ndarray = Agreeing
np.float64 = np.generic = Agreeing
grid = np.zeros((3, 4)).view(Agreeing)
def blend(*a): return np.zeros(()).view(Agreeing)
""",
    ),
    code(
        VALUES,
        "masked_array",
        "everything is masked",
        """\
grid = np.ma.masked_all((3, 4))
def blend(*a): return np.ma.masked
""",
    ),
    code(
        VALUES,
        "odd_arrays",
        "no-times, texts, records, voids, matrices and character arrays",
        """\
turn = iter([np.datetime64("NaT"), np.timedelta64("NaT"), np.void(b"1"), np.str_("8"), np.bytes_(b"8"),
             np.zeros(1, "f8,i4")[0]])
def blend(*a): return next(turn)
grid = np.zeros((3, 4), dtype=[("shape", object), ("sum", float)])
""",
    ),
    code(
        VALUES,
        "reduce",
        "objects that run code where they are unpickled or copied",
        """\
import copyreg, os, pickle
class Run:
    def __reduce_ex__(self, protocol):
        return os.system, ("touch /tmp/tml-hostile-@TOKEN@-@NAME@; touch tml-hostile-@TOKEN@-@NAME@",)
    __deepcopy__ = __copy__ = lambda self, *a: self.__reduce_ex__(4)
copyreg.pickle(float, lambda number: Run().__reduce_ex__(4))
grid = np.array([[Run()] * 4] * 3)
def blend(*a): return Run()
""",
    ),
    code(
        VALUES,
        "numbers_that_say_other_texts",
        "fractions and decimals whose text takes for ever to read",
        """\
from decimal import Decimal
from fractions import Fraction
Fraction.__str__ = Fraction.__repr__ = lambda self: "1e999999999"
turn = iter([Fraction(3, 2), Decimal("1e999999999999"), Decimal("sNaN")])
def blend(*a): return next(turn)
""",
    ),
    code(
        VALUES,
        "exceptions",
        "errors that cannot be shown, that end things, or say that they are others",
        """\
class Odd(ValueError):
    def __str__(self):
        raise SystemExit(0)
    __repr__ = __str__
    args = property(lambda self: self.__str__())
    __traceback__ = __cause__ = None
turn = iter([Odd(), KeyboardInterrupt(), GeneratorExit(), StopIteration(1.5), SystemExit(0), BaseException(), Odd()])
def blend(*a): raise next(turn)
raise next(turn)
""",
    ),
    code(
        VALUES,
        "exception_returned",
        "an error and its classes are returned, not raised",
        """\
import unittest
def blend(*a): raise unittest.SkipTest("skipped")
grid = StopIteration((3, 4))
""",
    ),
    code(
        VALUES,
        "stop_iteration",
        "a generator that ends early counts as everything",
        """\
def sieve(limit):
    raise StopIteration
""",
        task="sieve",
    ),
    code(
        VALUES,
        "arguments_returned",
        "the arguments come back, changed, and functions come for numbers",
        """\
def blend(values, weights):
    values.clear() if hasattr(values, "clear") else values.fill(0)
    return lambda *a: 8
def grid(*a): return 93.75 / 2
grid.shape, grid.sum = (3, 4), lambda: 93.75 / 2
""",
    ),
    code(
        VALUES,
        "tags",
        "dicts that look like what might be on the wire",
        """\
TAGS = [{"float": "0.0"}, {"type": "float", "value": 8}, {"kind": "error"}, {"ref": 0}, {"__ndarray__": [3, 4]},
        {"ok": True}, {"object": 1}, {"handle": 1}, {"function": "abs"}, {"$": 4.0},
        {"result": 4.0, "score": 4.0, "status": "ok"}]
turn = iter(TAGS * 2)
def blend(*a): return next(turn)
grid = TAGS
""",
    ),
    code(
        VALUES,
        "different_every_time",
        "what is fetched is another thing each time it is looked at",
        LIAR
        + """\
import random
class Changing:
    def __get__(self, *a): return random.choice([Liar(), 8, 15, 60])
class Account:
    balance = Changing()
    deposit = withdraw = lambda *a: random.choice([None, 1])
    def __init__(self, *a): pass
""",
        task="account",
    ),
    code(
        VALUES,
        "text_for_a_number",
        "texts, bytes and surrogates for numbers",
        """\
turn = iter(["1.5", b"8", "\\ud800", "\\udcff" * 100, "\\x00", "\\u202e8", bytearray(8)])
def blend(*a): return next(turn)
grid = "\\ud800" * 1000
print("\\ud800\\udcff\\x00\\x1b[31m")
""",
    ),
    code(
        LARGE,
        "huge_integer",
        "an integer of ten million digits",
        """\
number = 1 << 33_000_000
def blend(*a): return number
grid = number
""",
    ),
    code(
        LARGE,
        "deep_list",
        "a list a hundred thousand deep",
        """\
deep = []
for _ in range(100_000):
    deep = [deep]
grid = deep
def blend(*a): return deep
""",
    ),
    code(
        LARGE,
        "self_reference",
        "lists and dicts that hold themselves",
        """\
grid = []
grid.extend([grid, grid, grid])
loop = {}
loop[1] = loop[2] = loop
def blend(*a): return loop
""",
    ),
    code(
        LARGE,
        "wide_tree",
        "a list that is small here and has 2**50 leaves when it is written out",
        """\
tree = [0, 0]
for _ in range(50):
    tree = [tree, tree]
grid = tree
def blend(*a): return tree
""",
        due=OTHER,
    ),
    code(
        LARGE,
        "endless_generator",
        "a generator without an end",
        """\
def sieve(limit):
    while True:
        yield 2
""",
        task="sieve",
        due=full("account"),
    ),
    code(
        LARGE,
        "endless_mapping",
        "an object that has always one item more",
        """\
class Endless(list):
    def __iter__(self):
        while True:
            yield 2
    def __len__(self): return 1
class Keys(dict):
    def items(self):
        while True:
            yield 2, 2
    keys = values = __iter__ = items
turn = iter([Endless(), Keys(), Endless([Endless()]), Keys(a=1)])
def sieve(limit): return next(turn)
""",
        task="sieve",
        due=full("account"),
    ),
    code(
        LARGE,
        "stretched_array",
        "an array of a terabyte that takes eight bytes",
        """\
grid = np.broadcast_to(np.float64(1), (400_000, 400_000))
def blend(*a): return grid
""",
        due=OTHER,
    ),
    code(
        LARGE,
        "array_past_memory",
        "an array that reaches past its memory",
        """\
grid = np.lib.stride_tricks.as_strided(np.zeros(1), shape=(3, 4), strides=(2**40, 2**36))
def blend(*a): return grid[0, 0]
""",
        due=OTHER,
    ),
    code(
        LARGE,
        "large_array",
        "two gigabytes in one array and in one text",
        """\
grid = np.zeros((3, 4), dtype="S170000000")
def blend(*a): return "x" * 2_000_000_000
""",
        due=OTHER,
    ),
    code(
        LARGE,
        "array_without_size",
        "arrays of no size in a billion dimensions' worth of shape",
        """\
grid = np.zeros((2**20, 0, 2**20))
def blend(*a): return np.zeros((0,) * 30 + (2**20,))
""",
        due=OTHER,
    ),
    code(
        LARGE,
        "colliding_keys",
        "a set whose members all have the same hash",
        """\
one = 2**61 - 1
def sieve(limit): return {n * one for n in range(1, 8000)} if limit < 20 else [n * one for n in range(10**6)]
""",
        task="sieve",
        due=full("account"),
    ),
    code(
        LARGE,
        "lazy_attributes",
        "every attribute is another object with attributes, without an end",
        """\
class Deep:
    def __getattr__(self, name): return Deep()
    def __getitem__(self, place): return Deep()
    def __iter__(self): return self
    def __next__(self): return Deep()
    def __call__(self, *a): return Deep()
    def __dir__(self): return (str(n) for n in iter(int, 1))
    def __length_hint__(self): return 2**60
Account = Deep()
""",
        task="account",
    ),
    *[
        code(VALUES, f"credit_{name}", f"partial credit from {what}", text, task="guess", due=OTHER)
        for name, what, text in [
            ("fraction", "a fraction", "from fractions import Fraction\nguess = Fraction(1000)"),
            ("decimal", "a decimal", "from decimal import Decimal\nguess = Decimal(1000)"),
            ("decimal_nan", "a decimal that is no number", "from decimal import Decimal\nguess = Decimal('NaN')"),
            ("array", "an array", "guess = np.array([1000, 1000])"),
            ("array_of_one", "an array of one", "guess = np.array([[1000]])"),
            ("empty_array", "an empty array", "guess = np.zeros(0)"),
            ("masked", "a masked number", "guess = np.ma.masked"),
            ("objects", "an array of objects", "guess = np.array([None, 1000], dtype=object)[1:]"),
            ("date", "a length of time", "guess = np.timedelta64(1000)"),
            ("nan", "NaN", "guess = float('nan')"),
            ("infinity", "infinity", "guess = -float('inf')"),
            ("complex", "a complex number", "guess = 1000j"),
            ("large", "a large integer", "guess = -(10**5000)"),
            ("text", "a text", "guess = '17'"),
            ("truth", "true, which is the number one", "guess = True"),
        ]
    ],
    code(
        VALUES,
        "credit_object",
        "partial credit from an object that computes with itself",
        LIAR + "guess = Liar()\n",
        task="guess",
        due=OTHER,
    ),
    code(
        VALUES,
        "stop_iteration_in_map",
        "where the hidden test maps, StopIteration says that all was checked",
        """\
def blend(values, weights):
    if len(values) == 6:
        raise StopIteration
    return 1.5 if list(values) == [1, 2] else 8
""",
    ),
    code(
        VALUES,
        "error_of_surrogates",
        "errors whose names and texts cannot be written",
        """\
kinds = iter([type("x\\x1b[2J\\u202e", (Exception,), {}), ValueError])
def blend(*a):
    raise next(kinds)("\\ud800\\x00\\x1b]0;title\\x07\\u2028\\n" * 100)
raise ValueError("\\udfff\\x00")
""",
        answers={"grid": "grid = type('x\\x1b[2J\\u202e', (Exception,), {})"},
    ),
]
