"""Ways in which test cells of other people's courses are written, each as the smallest task that has it.

Collected by reading test cells of public courses that are graded with nbgrader, otter or okpy; every line is our own.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pattern:
    """A task of one point: an answer, its test, an answer that must get nothing, and a locked cell before them."""

    name: str
    answer: str
    test: str
    wrong: str
    locked: str = ""


SETUP = """\
import hashlib, io, math, random, unittest
from contextlib import redirect_stdout
from unittest import mock
import numpy as np
import pandas as pd
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import scipy.sparse
import torch
from torch import nn
from sklearn.linear_model import LinearRegression, LogisticRegression
"""

PATTERNS = [
    Pattern(
        "grouped",
        "def by_key(df):\n    return df.groupby('k').mean()",
        "df = pd.DataFrame({'k': list('aab'), 'v': [1.0, 3.0, 5.0]})\n"
        "right = pd.DataFrame({'v': [2.0, 5.0]}, index=pd.Index(list('ab'), name='k'))\n"
        "pd.testing.assert_frame_equal(by_key(df), right)",
        "def by_key(df):\n    return df.groupby('k').mean().rename_axis('other')",
    ),
    Pattern(
        "pivoted",
        "def pivot(df):\n    return df.pivot_table(index='d', columns=['k', 'm'], values='v', aggfunc='sum')",
        "df = pd.DataFrame({'d': pd.to_datetime(['2020-01-01', '2020-01-02']), 'k': ['a', 'b'], 'm': [1, 2],\n"
        "                   'v': [1.0, 2.0]})\n"
        "pd.testing.assert_frame_equal(pivot(df), df.pivot_table(index='d', columns=['k', 'm'], "
        "values='v', aggfunc='sum'))",
        "def pivot(df):\n    return df.pivot_table(index='d', columns=['m', 'k'], values='v', aggfunc='sum')",
    ),
    Pattern(
        "typed_columns",
        "typed = pd.DataFrame({'c': ['x', 'y', 'x'], 'n': [1, None, 3]}).astype({'c': 'category', 'n': 'Int64'})",
        "assert typed.dtypes['c'] == 'category' and str(typed['n'].dtype) == 'Int64'\n"
        "assert list(typed['c'].cat.categories) == ['x', 'y'] and typed['n'].isna().sum() == 1",
        "typed = pd.DataFrame({'c': ['x', 'y', 'x'], 'n': [1, None, 3]})",
    ),
    Pattern(
        "zoned_times",
        "zoned = pd.date_range('2024-01-01', periods=3, freq='D', tz='Europe/Berlin', name='t')",
        "pd.testing.assert_index_equal(zoned, pd.date_range('2024-01-01', periods=3, freq='D', "
        "tz='Europe/Berlin', name='t'))\nassert zoned.freq == 'D'",
        "zoned = pd.date_range('2024-01-01', periods=3, freq='D', tz='UTC', name='t')",
    ),
    Pattern(
        "resampled",
        "def weekly(s):\n    return s.resample('W').sum()",
        "s = pd.Series(range(14), index=pd.date_range('2024-01-01', periods=14, name='day'), name='rides')\n"
        "pd.testing.assert_series_equal(weekly(s), s.resample('W').sum())",
        "def weekly(s):\n    return s.resample('W').mean()",
    ),
    Pattern(
        "cut_into_bins",
        "def bins(s):\n    return pd.cut(s, [0, 1, 2]).value_counts().sort_index()",
        "s = pd.Series([0.5, 1.5, 1.7], name='x')\n"
        "pd.testing.assert_series_equal(bins(s), pd.cut(s, [0, 1, 2]).value_counts().sort_index())",
        "def bins(s):\n    return pd.cut(s, [0, 1, 3]).value_counts().sort_index()",
    ),
    Pattern(
        "frame_equals",
        "best = cities.sort_values('size', ascending=False).reset_index(drop=True)",
        "assert isinstance(best, pd.DataFrame), 'a table'\nassert best.shape == (3, 2)\n"
        "assert best.equals(cities.sort_values('size', ascending=False).reset_index(drop=True))\n"
        "assert list(best.columns) == ['city', 'size'] and best.loc[0, 'city'] == 'Rome'",
        "best = cities",
        locked="cities = pd.DataFrame({'city': ['Bern', 'Rome', 'Oslo'], 'size': [1, 9, 4]})",
    ),
    Pattern(
        "hashed_number",
        "answer_number = round(2 ** 0.5, 3)",
        "assert hashlib.md5(str(answer_number).encode()).hexdigest() == hashlib.md5(b'1.414').hexdigest()",
        "answer_number = 1.5",
    ),
    Pattern(
        "hashed_array",
        "answer_array = np.arange(6, dtype=np.float64).reshape(2, 3)",
        "expected = np.arange(6, dtype=np.float64).reshape(2, 3)\n"
        "assert hashlib.sha256(answer_array.tobytes()).hexdigest() == "
        "hashlib.sha256(expected.tobytes()).hexdigest()",
        "answer_array = np.zeros((2, 3))",
    ),
    Pattern(
        "class_instance",
        "class Account:\n    def __init__(self, owner, balance=0):\n"
        "        self.owner, self.balance = owner, balance\n    def deposit(self, x):\n"
        "        if x < 0: raise ValueError('negative')\n        self.balance += x",
        "account = Account('Ada', balance=5)\naccount.deposit(3)\nassert isinstance(account, Account)\n"
        "assert account.balance == 8 and hasattr(account, 'owner')\n"
        "with unittest.TestCase().assertRaises(ValueError):\n    account.deposit(-1)",
        "class Account:\n    def __init__(self, owner, balance=0):\n"
        "        self.owner, self.balance = owner, 8\n    def deposit(self, x): pass",
    ),
    Pattern(
        "inheritance",
        "class Shape:\n    def area(self): return 0\nclass Square(Shape):\n"
        "    def __init__(self, a): self.a = a\n    def area(self): return self.a ** 2",
        "assert issubclass(Square, Shape)\nassert isinstance(Square(2), Shape)\nassert Square(3).area() == 9",
        "class Shape:\n    pass\nclass Square:\n    def __init__(self, a): self.a = a\n"
        "    def area(self): return self.a ** 2",
    ),
    Pattern(
        "module_class",
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.first = nn.Linear(4, 3)\n        self.last = nn.Linear(3, 2)\n"
        "    def forward(self, x):\n        return self.last(torch.relu(self.first(x)))",
        "net = Net()\nassert isinstance(net, nn.Module), 'inherit from nn.Module'\n"
        "assert net(torch.randn(5, 4)).shape == (5, 2)\n"
        "assert sum(p.numel() for p in net.parameters()) == 23\n"
        "assert isinstance(net.first, nn.Linear) and net.first.in_features == 4\n"
        "assert [tuple(p.shape) for _, p in net.named_parameters()] == [(3, 4), (3,), (2, 3), (2,)]",
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.first = nn.Linear(4, 2)\n    def forward(self, x):\n        return self.first(x)",
    ),
    Pattern(
        "train_and_eval",
        "dropped = nn.Sequential(nn.Dropout(0.5), nn.Flatten())",
        "dropped.eval()\nassert not dropped.training\nx = torch.randn(3, 4)\n"
        "assert torch.equal(dropped(x), x)\ndropped.train()\n"
        "assert not torch.equal(dropped(torch.ones(50, 4)), torch.ones(50, 4))",
        "dropped = nn.Sequential(nn.Flatten())",
    ),
    Pattern(
        "fitted_estimator",
        "line = LinearRegression().fit(X_line, y_line)",
        "assert isinstance(line, LinearRegression)\nassert hasattr(line, 'coef_'), 'fit it'\n"
        "np.testing.assert_allclose(line.coef_, [2.0])\nassert line.score(X_line, y_line) > 0.99\n"
        "assert line.predict(X_line).shape == (4,)",
        "line = LinearRegression().fit(X_line, -y_line)",
        locked="X_line = np.arange(4.0)[:, None]\ny_line = 2 * X_line[:, 0] + 1",
    ),
    Pattern(
        "pipeline",
        "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler\n"
        "pipe = make_pipeline(StandardScaler(), LogisticRegression(C=2.0)).fit(X_pipe, y_pipe)",
        "assert [name for name, _ in pipe.steps] == ['standardscaler', 'logisticregression']\n"
        "assert pipe.named_steps['logisticregression'].C == 2.0\n"
        "assert pipe.get_params()['logisticregression__C'] == 2.0\n"
        "assert pipe.score(X_pipe, y_pipe) >= 0.75",
        "pipe = LogisticRegression(C=2.0).fit(X_pipe, y_pipe)",
        locked="X_pipe = np.array([[0.0], [1.0], [2.0], [3.0]])\ny_pipe = np.array([0, 0, 1, 1])",
    ),
    Pattern(
        "axes_of_a_function",
        "def draw(x):\n    fig, ax = plt.subplots()\n    ax.plot(x, x ** 2, label='square')\n"
        "    ax.set_xlabel('x')\n    ax.set_title('Squares')\n    ax.legend()\n    return ax",
        "x = np.linspace(0, 1, 5)\nax = draw(x)\n"
        "assert ax.get_xlabel() == 'x' and ax.get_title() == 'Squares'\nassert len(ax.lines) == 1\n"
        "np.testing.assert_allclose(ax.lines[0].get_ydata(), x ** 2)\n"
        "assert ax.get_legend() is not None and ax.get_legend().get_texts()[0].get_text() == 'square'",
        "def draw(x):\n    fig, ax = plt.subplots()\n    ax.plot(x, x)\n    ax.set_xlabel('x')\n"
        "    ax.set_title('Squares')\n    ax.legend(['square'])\n    return ax",
    ),
    Pattern(
        "axes_of_a_cell",
        "fig_cell, ax_cell = plt.subplots()\nbars = ax_cell.bar(['a', 'b'], [3, 4])\nax_cell.set_ylabel('count')",
        "assert ax_cell.get_ylabel() == 'count'\n"
        "assert [p.get_height() for p in ax_cell.patches] == [3, 4]\n"
        "assert len(fig_cell.axes) == 1 and fig_cell.axes[0].get_ylabel() == 'count'\n"
        "assert isinstance(ax_cell, plt.Axes)",
        "fig_cell, ax_cell = plt.subplots()\nax_cell.set_ylabel('count')",
    ),
    Pattern(
        "frame_plot",
        "def plotted(df):\n    return df.plot(kind='bar', title='Sizes')",
        "ax = plotted(pd.DataFrame({'a': [1, 2]}))\nassert ax.get_title() == 'Sizes'\nassert len(ax.patches) == 2",
        "def plotted(df):\n    return df.plot(title='Sizes')",
    ),
    Pattern(
        "sparse_matrix",
        "def tridiagonal(n):\n    return scipy.sparse.diags([1, -2, 1], [-1, 0, 1], shape=(n, n), format='csr')",
        "A = tridiagonal(4)\nassert scipy.sparse.issparse(A) and A.format == 'csr'\nassert A.nnz == 10\n"
        "np.testing.assert_allclose(A.toarray().diagonal(), -2)\n"
        "np.testing.assert_allclose(A @ np.ones(4), [-1, 0, 0, -1])",
        "def tridiagonal(n):\n    return scipy.sparse.diags([1, -2], [-1, 0], shape=(n, n), format='csr')",
    ),
    Pattern(
        "dates",
        "from datetime import date, datetime, time, timedelta, timezone\ndef due(start, days):\n"
        "    return start + timedelta(days=days)\n"
        "stamps = [datetime(2024, 5, 1, 12, tzinfo=timezone.utc), time(9, 30), timedelta(hours=2)]",
        "import datetime as dt\nassert due(dt.date(2024, 2, 28), 2) == dt.date(2024, 3, 1)\n"
        "assert stamps == [dt.datetime(2024, 5, 1, 12, tzinfo=dt.timezone.utc), dt.time(9, 30), "
        "dt.timedelta(hours=2)]\nassert isinstance(stamps[0], dt.datetime)",
        "def due(start, days):\n    return start\nstamps = []",
    ),
    Pattern(
        "paths",
        "from pathlib import Path\ndef image(folder, n):\n    return Path(folder) / f'{n:03}.png'",
        "from pathlib import Path\nassert image('a', 7) == Path('a/007.png') and image('a', 7).suffix == '.png'",
        "from pathlib import Path\ndef image(folder, n):\n    return Path(folder) / f'{n}.png'",
    ),
    Pattern(
        "named_tuple",
        "from collections import namedtuple\nPoint = namedtuple('Point', 'x y')\ndef mirror(p):\n"
        "    return Point(-p.x, p.y)",
        "p = mirror(Point(1, 2))\nassert p.x == -1 and p.y == 2\n"
        "assert p == Point(-1, 2) and p == (-1, 2)\n"
        "assert isinstance(p, Point) and isinstance(p, tuple) and Point._fields == ('x', 'y')",
        "from collections import namedtuple\nPoint = namedtuple('Point', 'x y')\ndef mirror(p):\n    return p",
    ),
    Pattern(
        "data_class",
        "from dataclasses import dataclass\n@dataclass\nclass Track:\n    name: str\n"
        "    minutes: float = 3.0\ndef longest(tracks):\n    return max(tracks, key=lambda t: t.minutes)",
        "tracks = [Track('a'), Track('b', 5.0)]\nassert longest(tracks).name == 'b'\nassert tracks[0].minutes == 3.0",
        "from dataclasses import dataclass\n@dataclass\nclass Track:\n    name: str\n"
        "    minutes: float = 3.0\ndef longest(tracks):\n    return tracks[0]",
    ),
    Pattern(
        "enum_member",
        "from enum import Enum\nclass Colour(Enum):\n    RED = 1\n    BLUE = 2\ndef favourite():\n"
        "    return Colour.BLUE",
        "assert favourite().name == 'BLUE' and favourite().value == 2\n"
        "assert [c.name for c in Colour] == ['RED', 'BLUE']",
        "from enum import Enum\nclass Colour(Enum):\n    RED = 1\n    BLUE = 2\ndef favourite():\n"
        "    return Colour.RED",
    ),
    Pattern(
        "regex_match",
        "import re\ndef year(text):\n    return re.search(r'(\\d{4})-(\\d\\d)', text)",
        "found = year('on 2024-05-01')\nassert found is not None\n"
        "assert found.group(1) == '2024' and found.groups() == ('2024', '05')\nassert year('no') is None",
        "import re\ndef year(text):\n    return re.search(r'(\\d{2})(\\d\\d)', text)",
    ),
    Pattern(
        "raises_with_unittest",
        "def root(x):\n    if x < 0: raise ValueError('negative')\n    return x ** 0.5",
        "class TestRoot(unittest.TestCase):\n    def test_value(self):\n"
        "        self.assertAlmostEqual(root(9), 3)\n    def test_negative(self):\n"
        "        with self.assertRaises(ValueError):\n            root(-1)\n"
        "outcome = unittest.TextTestRunner(stream=io.StringIO()).run(\n"
        "    unittest.defaultTestLoader.loadTestsFromTestCase(TestRoot))\nassert outcome.wasSuccessful()\n"
        "assert outcome.testsRun == 2",
        "def root(x):\n    return abs(x) ** 0.5",
    ),
    Pattern(
        "raises_with_pytest",
        "def first(values):\n    if not values: raise IndexError('nothing there')\n    return values[0]",
        "import pytest\nwith pytest.raises(IndexError, match='nothing'):\n    first([])\nassert first([4]) == 4",
        "def first(values):\n    return values[0] if values else None",
    ),
    Pattern(
        "generator",
        "def countdown(n):\n    while n:\n        yield n\n        n -= 1",
        "steps = countdown(3)\nassert next(steps) == 3\nassert list(steps) == [2, 1]\nimport types\n"
        "assert isinstance(countdown(2), types.GeneratorType)",
        "def countdown(n):\n    return list(range(n, 0, -1))",
    ),
    Pattern(
        "decorator",
        "import functools\ndef counted(f):\n    @functools.wraps(f)\n    def inner(*a):\n"
        "        inner.calls += 1\n        return f(*a)\n    inner.calls = 0\n    return inner",
        "@counted\ndef tripled_here(x):\n    return 3 * x\n"
        "assert tripled_here(2) == 6 and tripled_here(3) == 9\nassert tripled_here.calls == 2",
        "def counted(f):\n    f.calls = 0\n    return f",
    ),
    Pattern(
        "closure",
        "def power(n):\n    return lambda x: x ** n",
        "square = power(2)\nassert callable(square) and square(4) == 16 and power(3)(2) == 8",
        "def power(n):\n    return lambda x: x * n",
    ),
    Pattern(
        "partial_argument",
        "def apply_all(fs, x):\n    return [f(x) for f in fs]",
        "from functools import partial\n"
        "assert apply_all([partial(pow, 2), math.sqrt, lambda v: -v], 4) == [16, 2.0, -4]",
        "def apply_all(fs, x):\n    return [fs[0](x)]",
    ),
    Pattern(
        "signature",
        "def convert(value: float, unit: str = 'km') -> float:\n    '''Convert to metres.'''\n"
        "    return value * {'km': 1000, 'm': 1}[unit]",
        "import inspect\nassert callable(convert)\n"
        "assert list(inspect.signature(convert).parameters) == ['value', 'unit']\n"
        "assert inspect.signature(convert).parameters['unit'].default == 'km'\n"
        "assert convert.__doc__ and convert.__annotations__['value'] is float\n"
        "assert convert.__name__ == 'convert' and convert(2) == 2000",
        "def convert(value, unit='m'):\n    return value * {'km': 1000, 'm': 1}[unit]",
    ),
    Pattern(
        "names_in_globals",
        "ready = 7",
        "assert 'ready' in globals(), 'name it ready'\n"
        "assert 'ready' in dir() and globals()['ready'] == 7\nassert 'ready' in locals()",
        "READY = 7",
    ),
    Pattern(
        "name_error",
        "summary = 'done'",
        "try:\n    summary\nexcept NameError:\n    assert False, 'define summary'\nassert summary == 'done'",
        "sumary = 'done'",
    ),
    Pattern(
        "printed_text",
        "def triangle(n):\n    for i in range(1, n + 1):\n        print('*' * i)",
        "said = io.StringIO()\nwith redirect_stdout(said):\n    triangle(3)\n"
        "assert said.getvalue().split() == ['*', '**', '***']",
        "def triangle(n):\n    print('*' * n)",
    ),
    Pattern(
        "typed_input",
        "def ask_age():\n    return int(input('Age? ')) + 1",
        "with mock.patch('builtins.input', return_value='41'):\n    assert ask_age() == 42",
        "def ask_age():\n    return 41",
    ),
    Pattern(
        "patched_print",
        "def shout(text):\n    print(text.upper())",
        "with mock.patch('builtins.print') as printed:\n    shout('hi')\nprinted.assert_called_once_with('HI')",
        "def shout(text):\n    print(text)",
    ),
    Pattern(
        "function_calls_other",
        "def helper_step(x):\n    return x + 1\ndef run_steps(x):\n    return helper_step(helper_step(x))",
        "original = helper_step\ncalls = []\ndef helper_step(x):\n    calls.append(x)\n"
        "    return original(x)\nassert run_steps(1) == 3\nassert calls == [1, 2], 'use helper_step'\n"
        "helper_step = original",
        "def helper_step(x):\n    return x + 1\ndef run_steps(x):\n    return x + 2",
    ),
    Pattern(
        "masked_array",
        "def hide(x):\n    return np.ma.masked_less(x, 0)",
        "found = hide(np.array([1.0, -2.0, 3.0]))\nassert isinstance(found, np.ma.MaskedArray)\n"
        "assert found.mask.tolist() == [False, True, False] and found.mean() == 2.0",
        "def hide(x):\n    return np.ma.masked_greater(x, 0)",
    ),
    Pattern(
        "structured_array",
        "people = np.array([('Ada', 36), ('Alan', 41)], dtype=[('name', 'U10'), ('age', 'i4')])",
        "assert people.dtype.names == ('name', 'age')\nassert people['age'].mean() == 38.5\n"
        "assert people[0]['name'] == 'Ada'",
        "people = np.array([('Ada', 36), ('Alan', 40)], dtype=[('name', 'U10'), ('age', 'i4')])",
    ),
    Pattern(
        "matrix_and_dates",
        "import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter('ignore')\n"
        "    rotation = np.matrix([[0, -1], [1, 0]])\n"
        "days = np.arange('2024-01', '2024-02', dtype='datetime64[D]')",
        "assert isinstance(rotation, np.matrix)\nassert (rotation * rotation == -np.eye(2)).all()\n"
        "assert days.size == 31 and days[0] == np.datetime64('2024-01-01')",
        "rotation = np.zeros((2, 2))\ndays = np.arange('2024-01', '2024-02', dtype='datetime64[D]')",
    ),
    Pattern(
        "plain_values",
        "big, roots, edges = 2 ** 200, [1j, -1j], {(1, 2), (2, 3)}\n"
        "nested = {'a': {'b': [1, (2, b'x')]}, ('k', 1): None}",
        "assert big == 2 ** 200 and roots == [1j, -1j] and edges == {(2, 3), (1, 2)}\n"
        "assert nested['a']['b'][1] == (2, b'x') and nested['k', 1] is None and type(big) is int",
        "big, roots, edges, nested = 2 ** 199, [], set(), {}",
    ),
    Pattern(
        "generator_argument",
        "def noisy(x, rng):\n    return x + rng.normal(size=x.shape)",
        "x = np.zeros(3)\nfound = noisy(x, np.random.default_rng(3))\n"
        "np.testing.assert_allclose(found, np.random.default_rng(3).normal(size=3))",
        "def noisy(x, rng):\n    return x + np.random.normal(size=x.shape)",
    ),
    Pattern(
        "random_state_argument",
        "def split(x, rng):\n    return rng.permutation(x)",
        "from sklearn.utils import check_random_state\n"
        "assert split([1, 2, 3, 4], np.random.RandomState(0)).tolist() == "
        "np.random.RandomState(0).permutation([1, 2, 3, 4]).tolist()",
        "def split(x, rng):\n    return np.array(x)",
    ),
    Pattern(
        "sql",
        "import sqlite3\ndb = sqlite3.connect(':memory:')\ndb.execute('create table t (n integer)')\n"
        "db.executemany('insert into t values (?)', [(1,), (2,)])\nquery = 'select sum(n) from t'",
        "rows = db.execute(query).fetchall()\nassert rows == [(3,)]\nimport sqlite3\n"
        "mine = sqlite3.connect(':memory:')\nmine.execute('create table t (n)')\n"
        "mine.execute('insert into t values (5)')\nassert pd.read_sql(query, mine).iloc[0, 0] == 5",
        "import sqlite3\ndb = sqlite3.connect(':memory:')\ndb.execute('create table t (n integer)')\n"
        "query = 'select 3 from t'",
    ),
    Pattern(
        "picture",
        "from PIL import Image\ndef thumbnail(image):\n    return image.resize((4, 4)).convert('L')",
        "from PIL import Image\nsmall = thumbnail(Image.new('RGB', (8, 8), (255, 0, 0)))\n"
        "assert small.size == (4, 4) and small.mode == 'L'\nassert isinstance(small, Image.Image)\n"
        "assert np.asarray(small).shape == (4, 4)",
        "from PIL import Image\ndef thumbnail(image):\n    return image.resize((4, 4))",
    ),
    Pattern(
        "graph",
        "import networkx as nx\ndef ring(n):\n    return nx.cycle_graph(n)",
        "import networkx as nx\nG = ring(5)\nassert isinstance(G, nx.Graph)\n"
        "assert G.number_of_edges() == 5 and set(G.nodes) == set(range(5))\n"
        "assert G.has_edge(0, 4) and dict(G.degree()) == {n: 2 for n in range(5)}\n"
        "assert nx.is_connected(G)",
        "import networkx as nx\ndef ring(n):\n    return nx.path_graph(n)",
    ),
    Pattern(
        "formula",
        "import sympy as sp\nt = sp.symbols('t')\ndef slope_of(f):\n    return sp.diff(f, t)",
        "import sympy as sp\nt = sp.symbols('t')\n"
        "assert sp.simplify(slope_of(t ** 2 + sp.sin(t)) - (2 * t + sp.cos(t))) == 0\n"
        "assert slope_of(t ** 3) == 3 * t ** 2",
        "import sympy as sp\nt = sp.symbols('t')\ndef slope_of(f):\n    return f",
    ),
    Pattern(
        "in_place",
        "def bubble(values):\n    values.sort()",
        "numbers_here = [3, 1, 2]\nassert bubble(numbers_here) is None\nassert numbers_here == [1, 2, 3]",
        "def bubble(values):\n    sorted(values)",
    ),
    Pattern(
        "in_place_array",
        "def clip(x):\n    x[x < 0] = 0\n    return x",
        "x = np.array([1.0, -1.0])\nclip(x)\nassert x.tolist() == [1.0, 0.0]",
        "def clip(x):\n    return np.maximum(x, 0)",
    ),
    Pattern(
        "source_of_answer",
        "def total(values):\n    return sum(values)",
        "import inspect\nassert 'for' not in inspect.getsource(total), 'no loop'\nassert total([1, 2]) == 3",
        "def total(values):\n    s = 0\n    for v in values: s += v\n    return s",
    ),
    Pattern(
        "seed_then_draw",
        "def roll(n):\n    return [random.randint(1, 6) for _ in range(n)]",
        "random.seed(5)\nfirst_rolls = roll(10)\nrandom.seed(5)\n"
        "assert first_rolls == [random.randint(1, 6) for _ in range(10)]",
        "def roll(n):\n    return [1] * n",
    ),
    Pattern(
        "seed_numpy_then_draw",
        "def sample_mean(n):\n    return np.random.normal(size=n).mean()",
        "np.random.seed(1)\nfound = sample_mean(50)\nnp.random.seed(1)\n"
        "assert np.isclose(found, np.random.normal(size=50).mean())",
        "def sample_mean(n):\n    return 0.0",
    ),
    Pattern(
        "timed",
        "def fast_sum(n):\n    return n * (n + 1) // 2",
        "import time, timeit\nstart_time = time.perf_counter()\nassert fast_sum(10 ** 6) == 500000500000\n"
        "assert time.perf_counter() - start_time < 5\n"
        "assert timeit.timeit(lambda: fast_sum(10), number=3) < 5",
        "def fast_sum(n):\n    return 0",
    ),
    Pattern(
        "method_of_class",
        "class Tree:\n    size = 3\n    def insert(self, x): pass\n    @staticmethod\n"
        "    def empty(): return Tree()\n    @property\n    def height(self): return 1",
        "assert callable(getattr(Tree, 'insert', None)) and hasattr(Tree, 'height')\n"
        "assert Tree.size == 3\nassert Tree.empty().height == 1 and 'insert' in dir(Tree)",
        "class Tree:\n    size = 3\n    @staticmethod\n    def empty(): return Tree()\n    height = 2",
    ),
    Pattern(
        "operators",
        "class Vector:\n    def __init__(self, x, y): self.x, self.y = x, y\n"
        "    def __add__(self, o): return Vector(self.x + o.x, self.y + o.y)\n"
        "    def __repr__(self): return f'Vector({self.x}, {self.y})'\n    def __len__(self): return 2\n"
        "    def __getitem__(self, i): return (self.x, self.y)[i]",
        "v = Vector(1, 2) + Vector(3, 4)\nassert (v.x, v.y) == (4, 6) and repr(v) == 'Vector(4, 6)'\n"
        "assert len(v) == 2 and v[1] == 6 and list(v) == [4, 6]",
        "class Vector:\n    def __init__(self, x, y): self.x, self.y = x, y\n"
        "    def __add__(self, o): return self\n    def __repr__(self): return 'Vector(4, 6)'\n"
        "    def __len__(self): return 2\n    def __getitem__(self, i): return 4",
    ),
    Pattern(
        "context_manager",
        "class Session:\n    def __enter__(self):\n        self.open = True\n        return self\n"
        "    def __exit__(self, *a):\n        self.open = False",
        "with Session() as session:\n    assert session.open\nassert not session.open",
        "class Session:\n    open = True\n    def __enter__(self): return self\n    def __exit__(self, *a): pass",
    ),
    Pattern(
        "training",
        "def train(model, x, y, steps):\n    losses = []\n    for _ in range(steps):\n"
        "        loss = ((model(x) - y) ** 2).mean()\n        model.zero_grad()\n        loss.backward()\n"
        "        with torch.no_grad():\n            for p in model.parameters():\n"
        "                p -= 0.1 * p.grad\n        losses.append(loss.item())\n    return losses",
        "x = torch.linspace(-1, 1, 8)[:, None]\nlosses = train(nn.Linear(1, 1), x, 3 * x, 20)\n"
        "assert len(losses) == 20 and losses[-1] < losses[0]",
        "def train(model, x, y, steps):\n    return [1.0] * steps",
    ),
    Pattern(
        "distribution",
        "from scipy import stats\ndef fitted_normal(x):\n    return stats.norm(x.mean(), x.std())",
        "from scipy import stats\nassert np.isclose(fitted_normal(np.array([1.0, 3.0])).cdf(2.0), 0.5)",
        "from scipy import stats\ndef fitted_normal(x):\n    return stats.norm(0, 1)",
    ),
    Pattern(
        "named_result",
        "from scipy import stats\ntest_result = stats.ttest_ind([1, 2, 3], [4, 5, 6])",
        "assert test_result.pvalue < 0.05\nstatistic, p = test_result\nassert p == test_result[1]",
        "from scipy import stats\ntest_result = stats.ttest_ind([1, 2, 3], [1, 2, 3])",
    ),
    Pattern(
        "linked_list",
        "class Node:\n    def __init__(self, value, rest=None): self.value, self.rest = value, rest\n"
        "def reverse(node):\n    before = None\n    while node is not None:\n"
        "        before, node = Node(node.value, before), node.rest\n    return before",
        "chain = reverse(Node(1, Node(2, Node(3))))\nfound = []\nwhile chain is not None:\n"
        "    found.append(chain.value)\n    chain = chain.rest\nassert found == [3, 2, 1]",
        "class Node:\n    def __init__(self, value, rest=None): self.value, self.rest = value, rest\n"
        "def reverse(node):\n    return node",
    ),
    Pattern(
        "locked_class_argument",
        "def deepest(tree):\n    return 1 + max([deepest(b) for b in tree.branches], default=0)",
        "assert deepest(GivenTree(1, [GivenTree(2, [GivenTree(3)])])) == 3 and deepest(GivenTree(1)) == 1",
        "def deepest(tree):\n    return 1",
        locked="class GivenTree:\n    def __init__(self, label, branches=()):\n"
        "        self.label, self.branches = label, list(branches)",
    ),
    Pattern(
        "multiple_choice",
        "q_choice = 'b'\nq_several = ['a', 'c']",
        "assert q_choice.lower() in ('a', 'b', 'c', 'd')\nassert type(q_choice) == str\n"
        "assert set(q_several) == {'a', 'c'} and len(q_several) == 2",
        "q_choice = 'b'\nq_several = ['a']",
    ),
    Pattern(
        "list_comparison_with_nose_style",
        "def squares(n):\n    if n < 1: raise ValueError('n must be at least 1')\n"
        "    return [i ** 2 for i in range(1, n + 1)]",
        "tc = unittest.TestCase()\ntc.assertEqual(squares(3), [1, 4, 9])\n"
        "tc.assertRaises(ValueError, squares, 0)\n"
        "np.testing.assert_array_equal(np.array(squares(2)), np.array([1, 4]))\n"
        "tc.assertIsInstance(squares(1), list)",
        "def squares(n):\n    return [i ** 2 for i in range(1, n + 1)]",
    ),
]


@dataclass(frozen=True)
class Refused:
    """A task that no release has: an answer, its test, the line that is named, and words of the remedy."""

    name: str
    answer: str
    test: str
    line: int
    says: str


REFUSED = [
    Refused(
        "counter",
        "hits = 0\ndef hit():\n    global hits\n    hits += 1",
        "before = hits\nhit()\nassert hits == before + 1",
        3,
        "let a function return it",
    ),
    Refused(
        "memory",
        "memo = {}\ndef fib(n):\n    if n not in memo: memo[n] = n if n < 2 else fib(n - 1) + fib(n - 2)\n"
        "    return memo[n]",
        "assert fib(9) == 34\nassert 5 in memo, 'remember what you computed'",
        2,
        "let a function return it",
    ),
    Refused(
        "written_file",
        "def save(rows, name):\n    with open(name, 'w') as file: file.write(','.join(rows))",
        "save(['a', 'b'], 'rows.txt')\nassert open('rows.txt').read() == 'a,b'",
        2,
        "return the content",
    ),
    Refused(
        "written_table",
        "frame.to_csv('out.csv')",
        "import os\nassert os.path.exists('out.csv')\nassert pd.read_csv('out.csv').shape == (2, 2)",
        2,
        "return the content",
    ),
    Refused(
        "written_path",
        "from pathlib import Path\nPath('notes.txt').write_text('a')",
        "from pathlib import Path\nassert Path('notes.txt').read_text() == 'a'",
        2,
        "return the content",
    ),
    Refused(
        "read_file",
        "def count_lines(name):\n    with open(name) as file: return len(file.readlines())",
        "with open('lines.txt', 'w') as file:\n    file.write('a')\nassert count_lines('lines.txt') == 1",
        3,
        "beside the notebook",
    ),
    Refused(
        "gradient",
        "def loss_of(w):\n    return (w ** 2).sum()",
        "w = torch.ones(2, requires_grad=True)\nloss = loss_of(w)\nloss.backward()\nassert w.grad[0] == 2",
        3,
        "return the gradient",
    ),
    Refused(
        "trained_by_the_test",
        "net = nn.Linear(1, 1)",
        "optimizer = torch.optim.SGD(net.parameters(), lr=0.1)\nnet(torch.ones(1, 1)).backward()\noptimizer.step()",
        1,
        "let an answer's function train",
    ),
    Refused(
        "coroutine",
        "async def fetch_all(names):\n    return [n.upper() for n in names]",
        "import asyncio\nassert asyncio.run(fetch_all(['a'])) == ['A']",
        2,
        "asyncio.run",
    ),
    Refused(
        "awaited",
        "async def fetch_one(name):\n    return name.upper()",
        "found = await fetch_one('a')\nassert found == 'A'",
        1,
        "asyncio.run",
    ),
    Refused(
        "current_axes",
        "plt.plot([1, 2, 3])\nplt.xlabel('time')",
        "axes = plt.gca()\nassert axes.get_xlabel() == 'time'",
        1,
        "`ax = plt.gca()`",
    ),
    Refused(
        "given_axes",
        "def draw_on(ax, x):\n    ax.plot(x)\n    ax.set_title('x')",
        "fig, ax = plt.subplots()\ndraw_on(ax, [1, 2])\nassert ax.get_title() == 'x'",
        2,
        "return the axes",
    ),
    Refused(
        "exact_class",
        "class Dog:\n    pass\nrex = Dog()",
        "assert type(rex) is Dog",
        1,
        "isinstance(..., Dog)",
    ),
    Refused(
        "exact_library_class",
        "fitted = LinearRegression().fit([[0], [1]], [0, 1])",
        "assert type(fitted) == LinearRegression",
        1,
        "isinstance(..., LinearRegression)",
    ),
    Refused(
        "patched_module",
        "import time\ndef pause():\n    time.sleep(9)\n    return 'done'",
        "from unittest.mock import patch\nwith patch('time.sleep') as sleeping:\n"
        "    assert pause() == 'done'\nsleeping.assert_called_once()",
        2,
        "take it as an argument",
    ),
    Refused(
        "patched_object",
        "def rolled():\n    return random.random()",
        "with mock.patch.object(random, 'random', return_value=0.5):\n    assert rolled() == 0.5",
        1,
        "take it as an argument",
    ),
    Refused(
        "written_module",
        "%%writefile answer.py\ndef f(x):\n    return 2 * x",
        "from answer import f\nassert f(2) == 4",
        1,
        "define its functions in a cell",
    ),
    Refused(
        "run_file",
        "def f(x):\n    return 2 * x",
        "%run answer.py\nassert f(2) == 4",
        1,
        "call the answer's functions",
    ),
    Refused(
        "evaluated",
        "expression = '2 + 3'",
        "assert eval(expression) == 5",
        1,
        "let the answer be a function",
    ),
    Refused(
        "own_object",
        "def label_of(tree):\n    return tree.label",
        "class Leaf:\n    label = 3\nassert label_of(Leaf()) == 3",
        3,
        "in a locked cell",
    ),
    Refused(
        "derived_class",
        "class Base:\n    def twice(self): return 2 * self.n",
        "class Three(Base):\n    n = 3\nassert Three().twice() == 6",
        1,
        "let the answer have the derived class",
    ),
]
