"""Values of packages' own types cross as themselves or stay; what lies about itself is refused, and nothing runs."""

import datetime
import inspect
import pathlib
import zoneinfo
from collections import namedtuple
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sympy
from PIL import Image
from test_wire import across, resolve

from tml_helpers.grading import arrays, everyday, pictures, sparse, tables, tensors, terms
from tml_helpers.grading.wire import DECODERS, ROOMS, Broken, decode

NONE = np.nan
COLUMNS = {
    "numbers": np.arange(3), "floats": [1.0, NONE, 2.0], "texts": list("abc"), "truth": [True, False, True],
    "complex": [1j, 2, 3], "objects": pd.Series([1, "a", None], dtype=object),
    "category": pd.Categorical(list("aba"), categories=list("cab"), ordered=True),
    "cut": pd.cut([0.5, 1.5, 0.1], [0, 1, 2]), "days": pd.to_datetime(["2020-01-01", None, "2021-05-05"]),
    "seconds": np.array(["2020-01-01"] * 3, "datetime64[s]"),
    "zone": pd.date_range("2024-03-30 12:00", periods=3, tz="Europe/Berlin"),
    "offset": pd.date_range("2024", periods=3, tz=datetime.timezone(datetime.timedelta(hours=2))),
    "months": pd.period_range("2024-01", periods=3, freq="M"), "spans": pd.interval_range(0, 3, closed="left"),
    "hours": pd.to_timedelta([1, 2, 3], unit="h"), "Int64": pd.array([1, None, 3], dtype="Int64"),
    "UInt8": pd.array([1, None, 3], dtype="UInt8"), "Float32": pd.array([1, None, 3], dtype="Float32"),
    "boolean": pd.array([True, None, False], dtype="boolean"), "string": pd.array(["a", None, "b"], dtype="string"),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_any_type_crosses_with_its_type(name: str) -> None:
    frame = pd.DataFrame({name: COLUMNS[name]})
    frame.attrs = {"unit": "m"}
    came = across(frame)
    pd.testing.assert_frame_equal(came, frame, check_column_type=True)
    assert came.attrs == frame.attrs
    assert across(frame.dtypes[name]) == frame.dtypes[name]
    value = across(frame[name].iloc[0])
    assert (type(value), value) == (type(frame[name].iloc[0]), frame[name].iloc[0])
    index = frame.set_index(name).index
    pd.testing.assert_index_equal(across(index), index, exact=True)
    array = across(frame[name].array)
    assert array is not None
    assert type(array) is type(frame[name].array)


LONG = pd.DataFrame({"d": pd.date_range("2024", periods=3), "k": list("aab"), "v": [1.0, 3.0, 5.0]})
TABLES = {
    "grouped": LONG.groupby("k").v.agg(["mean", "sum"]),
    "pivot": LONG.pivot_table(index="d", columns="k", values="v"),
    "two_levels": LONG.set_index(["k", "d"]),
    "two_headers": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None])),
    "numbered": pd.DataFrame({"a": [1, 2, 3]}, index=pd.RangeIndex(5, 11, 2, name="row")),
    "double_names": pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]),
    "empty": pd.DataFrame(),
    "no_columns": pd.DataFrame(index=[1, 2]),
    "no_rows": pd.DataFrame({"a": pd.Series([], dtype="Int64")}),
    "all_types": pd.DataFrame(COLUMNS),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_crosses_with_its_labels_and_their_names(name: str) -> None:
    table, came = TABLES[name], across(TABLES[name])
    pd.testing.assert_frame_equal(came, table, check_index_type=True, check_column_type=True)
    for axis in (0, 1):
        assert type(came.axes[axis]) is type(table.axes[axis])
        assert came.axes[axis].names == table.axes[axis].names
    if came.shape[1]:
        pd.testing.assert_series_equal(across(table.iloc[:, 0]), table.iloc[:, 0])
        assert across(table.iloc[:, 0]).name == table.iloc[:, 0].name


@pytest.mark.parametrize("index", [
    pd.date_range("2024", periods=3, freq="W", name="week"), pd.timedelta_range("0h", periods=3, freq="h"),
    pd.date_range("2024", periods=3, freq="D", tz="Europe/Berlin"), pd.DatetimeIndex(["2024", "2027"]),
], ids=str)  # fmt: skip
def test_an_index_of_times_keeps_its_frequency(index: Any) -> None:
    assert across(index).freq == index.freq
    pd.testing.assert_index_equal(across(index), index, exact=True)


ZONE = zoneinfo.ZoneInfo("Europe/Berlin")
POINT = namedtuple("POINT", "x y", defaults=[2])


class Signed(NamedTuple):
    a: int
    b: str = "b"


def signed(a: int, /, b: float = 3.0, *c: int, d: str, **e: float) -> None: ...


VALUES = [
    datetime.date(2024, 2, 29), datetime.time(1, 2, 3, 4, ZONE, fold=1),
    datetime.datetime(2024, 10, 27, 2, tzinfo=ZONE),
    datetime.datetime(2024, 1, 2, 3, 4, 5, 6), datetime.timedelta(-1, 2, 3), datetime.UTC, ZONE,
    datetime.timezone(datetime.timedelta(hours=-3)), pathlib.Path("/a/b"), pathlib.PureWindowsPath("a\\b"),
    float, dict, type(None), datetime.date, np.ndarray, pd.DataFrame, inspect.signature(signed),
    POINT(1, [2]), [POINT(3)], Signed(1), POINT, Signed,
    np.array([("a", 1, (0.5, 2))], dtype=[("n", "U3"), ("i", "i4"), ("p", [("u", "f8"), ("v", "f8")])]),
    np.dtype([("n", "U3"), ("i", "i4")]), np.matrix([[1, 2]]), pd.NaT, pd.NA, pd.Interval(0, 1.5), pd.Period("2024-01"),
    pd.Timestamp("2024-01-01 01:02:03.000004", tz="Europe/Berlin"), pd.Timedelta("1h"),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_everyday_values_cross_as_themselves(value: Any) -> None:
    came = across(value)
    assert type(came) is type(value)
    assert came is value if value is pd.NA or value is pd.NaT or isinstance(value, type) else np.all(came == value)
    assert repr(came) == repr(value)


def test_two_named_tuples_of_one_class_stay_of_one_class() -> None:
    first, second, kind = across([POINT(1), POINT(2), POINT])
    assert type(first) is type(second) is kind
    assert kind(5) == (5, 2)


SYMBOL, POSITIVE, FUNCTION = sympy.Symbol("x"), sympy.Symbol("x", positive=True), sympy.Function("f")
FORMULAS = [
    SYMBOL, POSITIVE, POSITIVE**2 + sympy.sin(SYMBOL) / 3, sympy.pi * sympy.E**SYMBOL + sympy.I, sympy.oo, sympy.true,
    sympy.Integral(SYMBOL**2, (SYMBOL, 0, 1)), sympy.Eq(SYMBOL, 2), sympy.Matrix([[SYMBOL, 1]]), FUNCTION,
    FUNCTION(SYMBOL).diff(SYMBOL), sympy.Float("0.1", 50), sympy.Float(0.1), sympy.FiniteSet(1, 2),
    sympy.Piecewise((SYMBOL, SYMBOL > 0), (0, True)), sympy.Sum(1 / SYMBOL, (SYMBOL, 1, sympy.oo)),
    sympy.Integer(10**30),
]  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS, ids=str)
def test_a_formula_crosses_as_a_tree(formula: Any) -> None:
    came = across(formula)
    assert type(came) is type(formula)
    assert came == formula


@pytest.mark.parametrize("name", sparse.TYPES)
def test_a_sparse_matrix_crosses_with_its_form(name: str) -> None:
    matrix = getattr(scipy.sparse, name)(np.array([[1.0, 0], [0, 2.5], [0, 0]]))
    came = across(matrix)
    assert (type(came), came.shape, came.dtype) == (type(matrix), (3, 2), matrix.dtype)
    assert (came.toarray() == matrix.toarray()).all()


def test_masks_and_pictures_cross() -> None:
    masked = across(np.ma.masked_less(np.array([1.0, -1.0]), 0))
    assert type(masked) is np.ma.MaskedArray
    assert (masked.mask.tolist(), masked.sum(), masked.data[1]) == ([False, True], 1, -1)
    for mode, colour in (("RGB", (1, 2, 3)), ("1", 1), ("L", 7)):
        picture = Image.new(mode, (3, 2), colour)
        came = across(picture)
        assert (type(came), came.mode, came.size, came.tobytes()) == (Image.Image, mode, (3, 2), picture.tobytes())


class Frame(pd.DataFrame): ...


class Date(datetime.date): ...


class Delta(datetime.timedelta): ...


class Path(pathlib.PurePosixPath): ...


class Masked(np.ma.MaskedArray): ...


class Matrix(np.matrix): ...


class Sparse(scipy.sparse.csr_matrix): ...


class Picture(Image.Image): ...


class Symbol(sympy.Symbol): ...


class Stamp(pd.Timestamp): ...


class Point(POINT): ...


class Zone(zoneinfo.ZoneInfo): ...


class Equal(NamedTuple):
    a: int

    def __eq__(self, other: object) -> bool:
        return True


Sparse.__name__ = "csr_matrix"


class Lying:
    """Says that it is a table, as `isinstance` sees it."""

    __class__ = pd.DataFrame  # type: ignore[assignment]


LIARS = [
    Frame(), Date(2024, 1, 1), Delta(1), Path("a"), np.zeros(2).view(Masked), np.zeros((1, 1)).view(Matrix), Lying(),
    Sparse((1, 1)), Picture(), Symbol("x"), Symbol("x") + 1, Point(1), Equal(1), Point, Equal, Zone("UTC"),
    Signed.__eq__, pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}), np.zeros(1, dtype=[("a", "O")]),
    np.dtype([("a", "O")]), pd.bdate_range("2024", periods=3, freq="C", holidays=["2024-01-02"]), LONG.groupby("k"),
    int.__add__, Lying,
    np.zeros(1, dtype=np.dtype([("a", "i1"), ("b", "i8")], align=True)),
]  # fmt: skip


@pytest.mark.parametrize("liar", LIARS, ids=lambda value: type(value).__name__)
def test_what_is_of_a_type_of_its_own_or_not_known_stays(liar: Any) -> None:
    assert across(liar) == "a handle"
    assert across({"k": [liar]}) == {"k": ["a handle"]}


X = {"array": ["<i8", [2], 0]}
TEXT = {"objects": [[1], ["__import__('os').abort()"]]}
NUMBER = {"integer": "0x1"}
ROWS = {"numbered": [0, 2, 1, None]}
MALFORMED: list[Any] = [
    {"frame": []}, {"frame": [ROWS, ROWS, [], {"dict": []}]},
    {"frame": [{"numbered": [0, 3, 1, None]}, ROWS, [{"plain": X}] * 2, {"dict": []}]},
    {"frame": [5, ROWS, [{"plain": X}] * 2, {"dict": []}]}, {"frame": [ROWS, ROWS, [{"plain": X}] * 2, 7]},
    {"series": [ROWS, {"plain": {"array": ["<i8", [1, 2], 0]}}, None, {"dict": []}]},
    {"series": [ROWS, {"nothing": X}, None, {"dict": []}]}, {"series": [ROWS, 3, None, {"dict": []}]},
    {"series": [ROWS, {"plain": X}, {"list": []}, {"dict": []}]}, {"index": [{"plain": X}, None, "W"]},
    {"index": [{"categorical": [X, {"index": [{"plain": X}, None, None]}, True]}, None, None]},
    {"index": [{"zoned": [X, "No/Where"]}, None, None]}, {"index": [{"zoned": [X, "../../etc/passwd"]}, None, None]},
    {"index": [{"periods": [X, "period[never]"]}, None, None]},
    {"index": [{"texts": [TEXT, "pickle", "na"]}, None, None]}, {"index": [{"nullable": [X, X]}, None, None]},
    {"index": [{"intervals": [ROWS, {"numbered": [0, 9, 1, None]}, "left"]}, None, None]},
    {"levels": [[ROWS], [{"array": ["<i8", [1], 1]}], {"list": [None]}]},
    {"levels": [[ROWS], [X, X], {"list": [None]}]}, {"numbered": [0, 2.5, 1, None]}, {"numbered": [0, 2, 0, None]},
    {"element": {"plain": {"array": ["<i8", [0], 2]}}}, {"element": {"missing": "all"}}, {"interval": [2, 1, "left"]},
    {"interval": [1, 2, "maybe"]}, {"column": {}}, {"kind": {"plain": 3}}, {"date": [2024, 13, 1]},
    {"date": ["2024", 1, 1]}, {"time": [25, 0, 0, 0, None, 0]}, {"time": [1, 0, 0, 0, 5, 0]}, {"datetime": [X, X]},
    {"timedelta": [10**12, 0, 0]}, {"offset": {"timedelta": [2, 0, 0]}}, {"zone": "../../../etc/passwd"},
    {"zone": "No/Where"}, {"path": ["Path", "a"]}, {"path": ["str", "a"]}, {"type": "os.system"},
    {"type": "subprocess.Popen"}, {"signature": [[["a b", 1, 0, 0]], 0]}, {"signature": [[["a", 9, 0, 0]], 0]},
    {"fields": ["a b", ["x"], []]}, {"fields": ["P", ["_x"], []]}, {"fields": ["P", ["x", "x"], []]},
    {"record": ["P", ["x"], [], [1, 2]]}, {"fields": ["P", ["__import__('os').abort()"], []]},
    {"masked": [X, {"array": ["<i8", [1], 1]}, X]}, {"masked": [3, X, X]}, {"matrix": X}, {"dtype": [["a", "O"]]},
    {"array": [[["a", "|O8"]], [2], 0]}, {"array": [[["a", "<i8"], ["a", "<i8"]], [1], 0]}, {"objects": [[3], [1]]},
    {"scalar": ["<i8", [2], 0]}, {"sparse": ["csr_matrix", [1, 1], X, X, X]},
    {"sparse": ["save_npz", [9, 9], X, X, X]}, {"sparse": ["csr_matrix", [-1, 9], X, X, X]},
    {"sparse": ["csr_matrix", [9, 9], TEXT, X, X]},
    {"sparse": ["csr_matrix", [9, 9], X, X, {"array": ["<i8", [1], 1]}]}, {"picture": ["RGB", [2, 3], 0]},
    {"picture": ["RGB", [10**6, 10**6], 0]}, {"picture": ["../x", [1, 1], 0]}, {"picture": ["L", [-1, 1], 0]},
    {"term": ["Add", ["1"]]}, {"term": ["Add", ["__import__('os').abort()"]]}, {"term": ["sympify", [NUMBER]]},
    {"term": ["Lambda_", []]}, {"term": ["parse_expr", [NUMBER]]}, {"term": [{"float": "1"}, [NUMBER]]},
    {"term": ["Symbol", ["x"]]}, {"term": ["Point", [NUMBER, NUMBER]]},
    {"symbol": ["x", {"positive": "yes"}]}, {"integer": "1+1"}, {"rational": ["0x1"]},
    {"decimals": ["x()", 53]}, {"entries": ["Matrix", 2, 2, [NUMBER]]}, {"entries": ["Matrix", 1, 1, ["1"]]},
]  # fmt: skip


@pytest.mark.parametrize("message", MALFORMED, ids=str)
def test_what_lies_about_itself_is_refused(message: Any) -> None:
    buffers = [np.array([5, 6]).tobytes(), np.array([7]).tobytes(), b""]
    with pytest.raises(Broken):
        decode(message, buffers, resolve)


def test_every_kind_has_one_room() -> None:
    rooms = {"arrays": arrays, "everyday": everyday, "pictures": pictures, "sparse": sparse, "tables": tables}
    rooms |= {"tensors": tensors, "terms": terms}
    assert {name: sorted(room.DECODERS) for name, room in rooms.items()} == {
        n: sorted(k) for n, (_, k) in ROOMS.items()
    }
    every = [kind for _, kinds in ROOMS.values() for kind in kinds] + list(DECODERS)
    assert len(set(every)) == len(every)


def test_what_says_that_it_is_huge_takes_no_room() -> None:
    """Numbers of rows without rows, and no entries of a matrix that no memory holds."""
    empty = {"array": ["<f8", [0], 0]}, {"array": ["<i4", [0], 0]}, {"array": ["<i4", [0], 0]}
    assert decode({"sparse": ["coo_matrix", [2**31 - 2, 2**31 - 2], *empty]}, [b""], resolve).nnz == 0
    assert len(decode({"numbered": [0, 10**15, 1, None]}, [], resolve)) == 10**15
