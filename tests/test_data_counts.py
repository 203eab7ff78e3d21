"""Tables of counts: ProPublica's published rates, the Federal Reserve's groups, and a row a person again."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest
from bad_input import refuses
from data_places import own_cache
from pandas import DataFrame

from tml_helpers import data
from tml_helpers.data import counts

ROOT = Path(__file__).parents[1]
FULL = Path(os.environ.get("TML_FULL_DATA") or "nowhere")


@pytest.fixture(autouse=True)
def _nothing_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_cache(tmp_path, monkeypatch)


# --- COMPAS ---


def rates(table: DataFrame, race: str) -> tuple[float, float]:
    """False positives and false negatives in %, as ProPublica counts them."""
    chosen = table[table["race"] == race]
    high = chosen["score_text"] != "Low"
    again = chosen["rearrested"] == 1
    return tuple(round(100 * float(share.mean()), 2) for share in (high[~again], ~high[again]))  # type: ignore[return-value]


def test_compas_has_propublicas_rates() -> None:
    table = data.expand_counts(data.compas())
    assert rates(table, "African-American") == (44.85, 27.99)
    assert rates(table, "Caucasian") == (23.45, 47.72)


def test_compas_counts_everybody_once() -> None:
    table = data.compas()
    assert table["people"].sum() == 7214
    assert len(table) == 178
    assert not table.duplicated(["race", "sex", "decile", "score_text", "rearrested"]).any()
    by_race = table.groupby("race")["people"].sum()
    assert by_race["African-American"] == 3696
    assert by_race["Caucasian"] == 2454
    assert table[table["rearrested"] == 1]["people"].sum() == 3251
    high = table["decile"] >= 5
    assert (high == (table["score_text"] != "Low")).all()


def test_compas_has_no_second_outcome_and_nothing_of_a_person() -> None:
    """mlr3fairness' issue 77: `is_recid`, another outcome, was a feature."""
    assert list(data.compas()) == ["race", "sex", "decile", "score_text", "rearrested", "people"]


@pytest.mark.skipif(not (FULL / "compas").is_dir(), reason="TML_FULL_DATA or TML_DATA_DIR names no folder with compas")
def test_the_table_of_compas_is_what_its_script_writes(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    import compas

    written = [",".join(row) for row in compas.counted(FULL / "compas" / compas.NAME)]
    assert counts.COMPAS.read_text(encoding="utf-8").splitlines()[1:] == written


def test_the_script_counts_the_general_risk_and_refuses_another_file(tmp_path: Path) -> None:
    header = "race,sex,decile_score,decile_score,score_text,two_year_recid,name"
    (tmp_path / "small.csv").write_text(f"{header}\nOther,Male,9,1,High,0,A\n", encoding="utf-8")
    script = [sys.executable, str(ROOT / "tools/compas.py")]
    for argument, said in (("small.csv", "1 rows instead of 7,214"), ("none.csv", "is not there")):
        run = subprocess.run(
            [*script, str(tmp_path / argument)], capture_output=True, encoding="utf-8", cwd=ROOT, check=False
        )
        assert run.returncode == 1
        assert said in run.stderr
    assert data.compas()["people"].sum() == 7214


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace("people", "persons"),
        lambda text: text.replace(",73\n", ",74\n"),
        lambda text: text + "Other,Male\n",
    ],
    ids=["cut", "empty", "another column", "one more", "a short line"],
)
def test_a_damaged_table_of_counts_is_one_sentence(
    damage: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "compas.csv"
    file.write_text(damage(counts.COMPAS.read_text(encoding="utf-8")), encoding="utf-8")
    monkeypatch.setattr(counts, "COMPAS", file)
    with refuses(ValueError, "compas.csv", "damaged", "install the library again"):
        data.compas()
    file.unlink()
    with refuses(FileNotFoundError, "compas.csv", "missing", "install the library again"):
        data.compas()


# --- a row a person ---


def test_expanding_counts_is_counting_backwards() -> None:
    table = data.compas()
    everybody = data.expand_counts(table)
    assert len(everybody) == 7214
    assert "people" not in everybody.columns
    assert everybody.attrs == table.attrs
    keys = list(everybody.columns)
    counted = everybody.groupby(keys, sort=False).size().reset_index(name="people")
    pandas.testing.assert_frame_equal(counted, table)


def test_rows_that_count_nobody_vanish_and_the_index_is_not_asked() -> None:
    table = DataFrame({"sex": ["Female", "Male", "Female"], "n": [2, 0, 1]}, index=[7, 7, 3])
    rows = data.expand_counts(table, "n")
    assert rows["sex"].tolist() == ["Female"] * 3
    assert rows.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("number", [-1, 0.5, float("nan"), float("inf")])
def test_what_is_no_number_of_people_is_refused(number: float) -> None:
    with refuses(ValueError, "'people'", "whole numbers"):
        data.expand_counts(DataFrame({"people": [1, number]}))


def test_a_table_without_the_column_is_refused() -> None:
    with refuses(ValueError, "'people'", "race, n"):
        data.expand_counts(DataFrame({"race": ["a"], "n": [1]}))


# --- FICO ---


def test_fico_has_the_groups_of_the_federal_reserves_report() -> None:
    table = data.fico()
    assert table.attrs["totals"] == {"White": 133_165, "Black": 18_274, "Hispanic": 14_702, "Asian": 7_906}
    assert table.groupby("race").size().to_dict() == dict.fromkeys(table.attrs["totals"], 198)
    for race, group in table.groupby("race"):
        assert group["score"].is_monotonic_increasing
        assert (group["score"].iloc[0], group["score"].iloc[-1]) == (0, 100)
        assert (group["share"] >= 0).all()
        assert group["share"].sum() == pytest.approx(1, abs=1e-12)
        assert group["share"].cumsum().to_numpy() == pytest.approx(group["cumulative"].to_numpy(), abs=1e-12)
        assert group["people"].sum() == pytest.approx(table.attrs["totals"][race])


def test_a_higher_score_is_paid_back_more_often_and_the_groups_differ() -> None:
    """The source gives the share that defaults: read as that which paid back, all is upside down."""
    table = data.fico()
    by_race = dict(list(table.groupby("race")))
    for group in by_race.values():
        assert group["repaid"].iloc[0] < 0.1
        assert group["repaid"].iloc[-1] > 0.98
    base = {race: float((group["share"] * group["repaid"]).sum()) for race, group in by_race.items()}
    assert sorted(base, key=base.__getitem__) == ["Black", "Hispanic", "White", "Asian"]
