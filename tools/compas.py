"""Count the people of ProPublica's file, and write the table that `data.compas` reads: a count for each group.

    python tools/compas.py compas-scores-two-years.csv
    python tools/compas.py                               the file is in TML_DATA_DIR/compas

The file is that of github.com/propublica/compas-analysis. All its 7,214 rows are counted: ProPublica's error rates are
those of the whole file, not of the 6,172 rows that its logistic regression keeps.
"""

import csv
import os
import sys
from collections import Counter
from pathlib import Path

from tml_helpers._console import on_any_console
from tml_helpers.data.counts import COMPAS, COMPAS_COLUMNS, COMPAS_PEOPLE

NAME = "compas-scores-two-years.csv"
KEYS = ("race", "sex", "decile_score", "score_text", "two_year_recid")


def counted(file: Path) -> list[tuple[str, ...]]:
    """A row for each combination of `KEYS`, with the number of people, in order."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        header, *rows = csv.reader(lines)
    places = [header.index(key) for key in KEYS]  # the first of two columns of the same name: the general risk
    people = Counter(tuple(row[place] for place in places) for row in rows)
    if people.total() != COMPAS_PEOPLE:
        sys.exit(f"{file} has {people.total():,} rows instead of 7,214: it is not ProPublica's {NAME}.")
    ordered = sorted(people, key=lambda key: (*key[:2], int(key[2]), *key[3:]))
    return [(*key, str(people[key])) for key in ordered]


def main(*named: str) -> None:
    file = Path(named[0]) if named else Path(os.environ.get("TML_DATA_DIR", "."), "compas", NAME)
    if not file.is_file():
        sys.exit(f"{file} is not there: name the file, or set TML_DATA_DIR to a folder with compas/{NAME}.")
    rows = counted(file)
    COMPAS.write_text("".join(",".join(row) + "\n" for row in [COMPAS_COLUMNS, *rows]), encoding="utf-8", newline="\n")
    print(f"{len(rows)} rows in {COMPAS}")


if __name__ == "__main__":
    on_any_console()
    main(*sys.argv[1:])
