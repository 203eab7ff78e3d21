"""Tables of people, a row each: published counts, and the faults that other loaders of these sets had."""

from collections.abc import Callable
from pathlib import Path

import pandas
import pytest
from data_places import own_cache
from pandas import DataFrame

from tml_helpers import data

FRAMES: dict[str, Callable[[], DataFrame]] = {
    name: getattr(data, name) for name in ("adult", "compas", "german_credit", "loan_applications", "recidivism")
}


@pytest.fixture(autouse=True)
def _nothing_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_cache(tmp_path, monkeypatch)


# --- what every table promises ---


@pytest.mark.parametrize("name", FRAMES)
def test_a_table_says_what_it_is_and_keeps_it(name: str) -> None:
    table = FRAMES[name]()
    label, sensitive, favourable = (table.attrs[key] for key in ("label", "sensitive", "favourable"))
    assert set(table[label]) == {0, 1}
    assert table[label].dtype == "int64"
    assert favourable in (0, 1)
    assert table.index.tolist() == list(range(len(table)))
    lacking = {column: int(count) for column, count in table.isna().sum().items() if count}
    assert table.attrs["missing"] == lacking
    assert table.attrs["source"]
    for column in sensitive:
        values = table[column].dropna()
        assert column == "age" or all(type(value) is str for value in values)
        assert not isinstance(table[column].dtype, pandas.CategoricalDtype)
        assert all(value == value.strip() for value in values if isinstance(value, str))


# --- Adult: the counts of UCI's description, adult.names ---


@pytest.mark.parametrize(("split", "rows", "complete"), [("train", 32_561, 30_162), ("test", 16_281, 15_060)])
def test_adult_keeps_every_row_also_the_incomplete(split: data.Split, rows: int, complete: int) -> None:
    """AIF360's loader drops 3,620 rows; red-datasets (pull request 30) counted an empty line as a person."""
    table = data.adult(split)
    assert len(table) == rows
    assert len(table.dropna()) == complete
    assert set(table.attrs["missing"]) == {"workclass", "occupation", "native_country"}
    assert table["age"].between(17, 90).all()
    assert not (table == "?").to_numpy().any()


def test_adults_label_is_the_same_in_both_parts() -> None:
    """adult.test writes `>50K.`: deepchecks' issue 1970 had four labels, and whoever compares with `>50K` has no 1."""
    train, test = data.adult(), data.adult("test")
    both = pandas.concat([train, test])
    assert round(100 * both["above_50k"].mean(), 2) == 23.93
    assert round(100 * both.dropna()["above_50k"].mean(), 2) == 24.78
    assert train["above_50k"].sum() == 7_841
    assert test["above_50k"].sum() == 3_846


def test_adults_first_person_is_the_files() -> None:
    first = data.adult().iloc[0]
    assert first["age"] == 39
    assert first["education_num"] == 13
    assert first["capital_gain"] == 2174
    assert first["hours_per_week"] == 40
    assert (first["race"], first["sex"], first["workclass"]) == ("White", "Male", "State-gov")
    assert set(data.adult()["race"]) == {"White", "Black", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other"}


# --- German credit: Grömping's table ---


def test_german_credit_is_as_published() -> None:
    table = data.german_credit()
    assert table.shape == (1000, 21)
    assert table["good"].sum() == 700, "UCI's file has 1 for good and 2 for bad"
    assert not table.isna().to_numpy().any(), "a code without words"
    assert (table["duration"][0], table["amount"][0], table["age"][0]) == (6, 1169, 67)


def test_who_is_young_in_german_credit() -> None:
    """Kamiran and Calders count 190 young people, up to 25 years: AIF360's issue 128 had put the 25-year-olds aside."""
    assert (data.german_credit()["age"] <= 25).sum() == 190


def test_no_code_of_german_credit_is_read_as_a_sex_that_it_is_not() -> None:
    """Issues 325 of AIF360 and 31 of scorecard: A92 is read as female, and A91, men, was as well."""
    table = data.german_credit()
    status = table["personal_status_sex"].value_counts()
    assert status["female, not single, or male, single"] == 310
    assert status["male, divorced or separated"] == 50
    assert status["male, married or widowed"] == 548
    assert status["female, single"] == 92
    assert "sex" not in table.columns


def test_the_words_of_german_credit_go_the_way_that_money_does() -> None:
    """UCI's description has 96 % foreign workers, and the best risks without an account or with a critical one."""
    table = data.german_credit()
    assert (table["foreign_worker"] == "yes").sum() == 37
    assert (table["people_liable"] == "3 or more").sum() == 155
    repaid = table.groupby("status")["good"].mean()
    assert repaid.idxmax() == "200 DM or more, or a salary for a year"
    assert repaid.idxmin() == "no checking account"
    history = table.groupby("credit_history")["good"].mean()
    assert history.idxmax() == "all credits at this bank paid back"
    assert history["critical account, or credits elsewhere"] < 0.5
    assert table.groupby("savings")["good"].mean().idxmin() == "unknown or none"


# --- the tables of the textbook ---


def test_loan_applications_are_those_of_the_textbook() -> None:
    table = data.loan_applications()
    assert len(table) == 1989
    assert table["approve"].sum() == 1745
    assert table["race"].value_counts().to_dict() == {"White": 1681, "Black": 197, "Hispanic": 111}
    assert table["sex"].value_counts().to_dict() == {"Male": 1605, "Female": 369}
    assert table.attrs["missing"]["sex"] == 15
    white = table["race"] == "White"
    slope = table["approve"][white].mean() - table["approve"][~white].mean()
    assert round(slope, 3) == 0.201, "Wooldridge, exercises of chapter 7: approve on white"


def test_nothing_in_loan_applications_tells_the_label() -> None:
    table = data.loan_applications()
    numbers = table.select_dtypes("number").drop(columns="approve")
    agreement = numbers.corrwith(table["approve"]).abs()
    assert agreement.max() < 0.9
    assert agreement.notna().all(), "a column that is the same for all"


def test_a_code_for_missing_is_no_amount() -> None:
    table = data.loan_applications()
    assert (
        table.attrs["missing"] | {"gdlin": 2, "review": 223, "liq": 9, "lines": 1, "term": 4} == table.attrs["missing"]
    )
    assert set(table["gdlin"].dropna()) == {0, 1}
    assert table["term"].max() == 480
    assert table["liq"].max() == 8650


def test_recidivism_is_that_of_the_textbook() -> None:
    table = data.recidivism()
    assert len(table) == 1445
    assert (table["returned"] == 0).sum() == 893, "Wooldridge, example 17.4: 893 durations are censored"
    assert (table["durat"] < table["follow"]).tolist() == (table["returned"] == 1).tolist()
    assert (table["race"] == "Black").sum() == 701
    assert table["age"].between(16, 80).all()
    assert table["age"][0] == 441 / 12
    assert "cens" not in table.columns
    assert table.attrs["favourable"] == 0
