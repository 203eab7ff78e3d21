"""Sparse matrices of SciPy as they cross: the entries with their rows and columns, which are checked on arrival."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

from tml_helpers.grading.wire import Decoder, place

Inner = Callable[[Any], Any]
FORMATS = ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")
TYPES = {f"{form}_{kind}": form for form in FORMATS for kind in ("matrix", "array")}


def encode(value: Any, inner: Inner, _: list[bytes]) -> dict[str, Any] | None:
    """What stands for a sparse matrix of exactly SciPy's own type; None for anything else."""
    name = type(value).__name__
    if name not in TYPES or type(value) is not getattr(scipy.sparse, name) or value.ndim != 2:
        return None
    entries = value.tocoo()
    return {"sparse": [name, list(value.shape), inner(entries.data), inner(entries.row), inner(entries.col)]}


def _sparse(content: Any, _: list[bytes], inner: Inner) -> Any:
    name, shape, *parts = content
    data, rows, columns = map(inner, parts)
    if not all(type(part) is np.ndarray for part in (data, rows, columns)) or data.dtype.kind not in "biufc":
        raise TypeError("no entries")
    entries = scipy.sparse.coo_matrix((data, (rows, columns)), shape=[place(n) for n in shape])
    return getattr(scipy.sparse, name if name in TYPES else "")(entries)


DECODERS: dict[str, Decoder] = {"sparse": _sparse}
