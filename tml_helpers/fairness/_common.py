"""What fairness measures share: columns read by position, 0s and 1s, scores, and the group of each row."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    import pandas

ONE_BYTE = 256
MOST_GROUPS = 65_536
"""Of crossed attributes: more would be a table that nobody reads."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Which group each row is in."""

    index: "pandas.Index"
    """The groups in order, `[G]`; of crossed attributes, a MultiIndex of all combinations."""
    codes: np.ndarray
    """The place of each row's group in `index`, `[N]`: uint8 where they fit, else int64."""

    def __len__(self) -> int:
        return len(self.index)


def read_array(name: str, values: Any) -> np.ndarray:
    """Values by position: of an array, a tensor, a list, a column or frame of pandas whatever its index."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return np.asarray((values.float() if values.dtype == torch.bfloat16 else values).numpy())
    if np.ma.is_masked(values):
        raise ValueError(f"{name} has masked entries: leave these rows out, and say so")
    array = np.asarray(values)
    if array.dtype.kind in "US" and isinstance(values, list | tuple):  # of a missing value it made the word nan
        return np.asarray(values, dtype=object)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def read_column(name: str, values: Any) -> np.ndarray:
    """One value a row, `[N]`, as `read_array` reads it."""
    column = read_array(name, values)
    if column.ndim != 1:
        raise ValueError(f"{name} must be one column [N], got shape {list(column.shape)}")
    if len(column) == 0:
        raise ValueError(f"{name} must have at least one row")
    return column


def read_numbers(name: str, values: Any, meaning: str) -> np.ndarray:
    """A column of numbers, `[N]`, none of them missing."""
    column = read_column(name, values)
    if column.dtype == object:
        check_present(name, column)
        column = np.asarray(column.tolist())
    if column.dtype.kind not in "biuf" or column.ndim != 1:
        raise TypeError(f"{name} must be {meaning}, got {_kind(column)}")
    if column.dtype.kind == "f":
        check_present(name, column)
    return column


def read_matrix(name: str, values: Any, meaning: str) -> np.ndarray:
    """Rows of numbers, `[N, K]`, float64; some may be NaN."""
    matrix = read_array(name, values)
    if matrix.dtype == object:  # as pandas keeps numbers that may be missing
        matrix = np.asarray(matrix.tolist())
    if matrix.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be {meaning}, got {_kind(matrix)}")
    if matrix.ndim != 2 or not matrix.size:
        raise ValueError(f"{name} must be {meaning}, got shape {list(matrix.shape)}")
    return matrix.astype(np.float64)


def read_binary(name: str, values: Any) -> np.ndarray:
    """A column of 0 and 1, `[N]`, uint8."""
    column = read_numbers(name, values, "0 or 1")
    if column.dtype == np.bool_:
        return column.view(np.uint8)
    whole = column.dtype.kind != "f"
    if (as_unsigned(column).max() > 1) if whole else ((column != 0) & (column != 1)).any():
        wrong = column[(column != 0) & (column != 1)][0]
        hint = ": cut the scores first, as scores >= 0.5" if 0 < wrong < 1 else ""
        raise ValueError(f"{name} must be 0 or 1, got {wrong:g}{hint}")
    return column.astype(np.uint8, copy=False)


def read_scores(name: str, values: Any) -> np.ndarray:
    """A column of numbers in [0, 1], `[N]`, float16, float32 or float64."""
    column = read_numbers(name, values, "numbers in [0, 1]")
    if column.min() < 0 or column.max() > 1:
        wrong = column[(column < 0) | (column > 1)][0]
        raise ValueError(f"{name} must lie in [0, 1], got {wrong:g}: of logits, pass their sigmoid")
    return column if column.dtype in (np.float16, np.float32) else column.astype(np.float64)


def read_groups(groups: Any, rows: int, *, looked_up: bool = False) -> Groups:
    """The group of each of `rows` rows: of one attribute, or of several crossed. Declared categories stay, if empty.

    An attribute with a value of its own for most rows is refused, unless groups are only `looked_up` among known ones.
    """
    import pandas

    read = {name: _classes(name, values) for name, values in _attributes(groups).items()}
    for name, (codes, levels) in read.items():
        if len(codes) != rows:
            raise ValueError(f"{name} has {len(codes)} rows, but {'y_score' if looked_up else 'y_true'} has {rows}")
        if not looked_up:
            _check_few(name, codes, len(levels))
    if len(read) == 1:
        ((name, (codes, levels)),) = read.items()
        index = pandas.Index(levels, name=name)
    else:
        sizes = [len(levels) for _, levels in read.values()]
        if np.prod(sizes, dtype=np.float64) > MOST_GROUPS:
            raise ValueError(f"{' × '.join(map(str, sizes))} groups are too many: merge values, or cross fewer")
        codes = np.ravel_multi_index([codes for codes, _ in read.values()], sizes)
        index = pandas.MultiIndex.from_product([levels for _, levels in read.values()], names=list(read))
    small = len(index) <= ONE_BYTE
    return Groups(index, codes.astype(np.uint8 if small else np.int64, copy=False))


def check_lengths(**columns: np.ndarray) -> None:
    """Raises ValueError where columns differ in length."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"all must have one value a row, got {said}")


def check_present(name: str, column: Any) -> None:
    """Raises ValueError where a column has missing values."""
    import pandas

    missing = int(pandas.isna(column).sum())
    if missing:
        raise ValueError(f"{name} is missing in {missing} of {len(column)} rows: leave these rows out, and say so")


def as_unsigned(column: np.ndarray) -> np.ndarray:
    """The same bits of whole numbers: a negative one is then larger than all others, so that the maximum shows both."""
    return column.view(f"u{column.dtype.itemsize}")


def _attributes(groups: Any) -> dict[str, Any]:
    """The columns by name."""
    if isinstance(groups, str) or not hasattr(groups, "__len__"):
        raise TypeError(f"sensitive_features must be one value a row, or columns of them, got {type(groups).__name__}")
    if hasattr(groups, "keys") and getattr(groups, "ndim", 2) == 2:  # a dict, a frame; a Series has one dimension
        columns = {str(name): groups[name] for name in groups.keys()}  # noqa: SIM118
        if len(columns) < len(groups.keys()):
            raise ValueError(f"sensitive_features must have different names, got {', '.join(map(str, groups.keys()))}")
    elif getattr(groups, "ndim", 1) == 2:
        columns = {f"group {j + 1}": groups[:, j] for j in range(groups.shape[1])}
    elif isinstance(groups, list | tuple) and groups and not np.isscalar(groups[0]) and hasattr(groups[0], "__len__"):
        columns = {str(getattr(c, "name", None) or f"group {j + 1}"): c for j, c in enumerate(groups)}
        if len(columns) < len(groups):
            raise ValueError("sensitive_features must have different names, got one twice")
    else:
        return {str(getattr(groups, "name", None) or "group"): groups}
    if not columns:
        raise ValueError("sensitive_features must have at least one column")
    return columns


def _classes(name: str, values: Any) -> tuple[np.ndarray, Any]:
    """The class of each row, `[N]`, and the classes in order."""
    import pandas

    if isinstance(getattr(values, "dtype", None), pandas.CategoricalDtype):
        column = pandas.Categorical(values)
        codes, levels = column.codes.astype(np.int64), column.categories
    else:
        array = read_column(name, values)
        found = _small_whole_numbers(array)
        try:
            codes, levels = pandas.factorize(array, sort=True) if found is None else found
        except TypeError as error:
            raise TypeError(f"{name} must hold words, numbers or dates, one a row: {error}") from error
    missing = int((codes < 0).sum()) if codes.dtype != np.uint8 else 0
    if missing:
        raise ValueError(
            f"{name} is missing in {missing} of {len(codes)} rows: name them a group, as 'not stated', or leave them "
            "out and say so"
        )
    return codes, levels


def _check_few(name: str, codes: np.ndarray, levels: int) -> None:
    """Raises ValueError where most rows have a value of their own; not all that are declared need occur."""
    many = max(50, len(codes) / 2)
    if levels > many and (there := np.count_nonzero(np.bincount(codes))) > many:
        raise ValueError(
            f"{name} has {there} values in {len(codes)} rows, as a name or a measurement has: cut it into classes"
        )


def _small_whole_numbers(column: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The classes of whole numbers from 0 to 255, without hashing; None for others."""
    if column.dtype.kind not in "biu":
        return None
    highest = int(as_unsigned(column).max())
    if highest >= ONE_BYTE or (column.dtype == np.int8 and highest > 127):
        return None
    codes = column.astype(np.uint8, copy=False)
    present = np.flatnonzero(np.bincount(codes[:10_000]))  # most often, these rows have all
    if len(present) <= highest:
        present = np.flatnonzero(np.bincount(codes))
    if len(present) <= highest:  # some values below the largest do not occur
        places = np.zeros(ONE_BYTE, dtype=np.uint8)
        places[present] = np.arange(len(present))
        codes = places[codes]
    return codes, present.astype(column.dtype)


def _kind(column: np.ndarray) -> str:
    return {"U": "strings", "S": "bytes", "O": "objects", "M": "dates", "c": "complex numbers"}.get(
        column.dtype.kind, str(column.dtype)
    )
