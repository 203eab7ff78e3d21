"""Tables, as frames of pandas: columns of numbers and of categories. What a frame came from is in its `attrs`."""

import csv
import hashlib
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tml_helpers._console import say
from tml_helpers.data import _folders
from tml_helpers.data._folders import Source, check_name, data_folder, existing, first_words, package_folder

if TYPE_CHECKING:
    import pandas  # costs half a second, which the other data sets need not

BIKE_SHARING_FILE = "a6bcf826782d3c0fbfdcbeead17cd0884185a0dafe8ff10cd48a874ee7ba18be"
"""SHA-256 of day.csv as UCI publishes it."""
BIKE_SHARING_ARCHIVE = {
    "https://archive.ics.uci.edu/static/public/275/bike+sharing+dataset.zip": (
        "b70182d0d0508e9abbb79306ce5c0cec34869000f8220175ac83d11dbe845401"
    )
}
LEVELS = {
    "season": ("winter", "spring", "summer", "autumn"),
    "month": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "holiday": ("no", "yes"),
    "workingday": ("no", "yes"),
    "weather": ("clear", "misty", "rain or snow", "heavy rain or snow"),
}
ISLP_MONTHS = ("Jan", "Feb", "March", "April", "May", "June", "July", "Aug", "Sept", "Oct", "Nov", "Dec")
ISLP_WEATHER = ("clear", "cloudy/misty", "light rain/snow", "heavy rain/snow")


def bike_sharing(*, source: Source = "auto") -> "pandas.DataFrame":
    """Bicycles that were hired in Washington, D.C., on each day, with the weather; Fanaee-T and Gama, 2014.

    Columns: `rentals` (bicycles a day), `season`, `month`, `holiday`, `workingday`, `weather` (categories),
    `temperature` (°C), `humidity` (%), `windspeed` (km/h), `days` (since 1 January 2011); weather values are means over
    the day. Default: the 365 days of 2011, added up from the hours that come with the package ISLP. Full: the 731 days
    of 2011 and 2012, UCI's day.csv, in `TML_DATA_DIR/bike_sharing` or the cache.

    Args:
        source: `"auto"`, `"default"` or `"full"`.

    Returns:
        A row for each day; categories in their natural order, those that occur. `attrs["source"]` says where from.

    Raises:
        ValueError: an unknown source, or a damaged file.
        OSError: a file that cannot be had.
    """
    check_name("source", source, ("auto", "default", "full"))
    file = _find_days() if source != "default" else None
    if source == "full" and file is None:
        file = _download_days()
    table = _from_hours() if file is None else _from_days(file)
    if source == "auto":
        say(f"bike sharing: {len(table):,} days, from {table.attrs['source']}")
    return table


def _from_hours() -> "pandas.DataFrame":
    """ISLP's hours, added up to days: rentals as a sum, weather as the mean, its kind as the rounded mean."""
    remedy = "run `pip install --no-deps ISLP`"
    try:
        folder = package_folder("ISLP")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"the package ISLP, which has the bicycles, is not installed: {remedy}") from error
    file = existing(folder / "data/Bikeshare.csv", "ISLP")
    days: dict[int, list[dict[str, str]]] = {}
    try:
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
            days.setdefault(int(row["day"]), []).append(row)
        if sum(map(len, days.values())) != 8645 or len(days) != 365:
            raise ValueError(f"{sum(map(len, days.values())):,} hours of {len(days)} days instead of 8,645 of 365")
        rows = [_day(number, hours) for number, hours in sorted(days.items())]
    except (KeyError, TypeError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{file} is damaged ({first_words(error)}): {remedy} again") from error
    return _table(rows, "the package ISLP")


def _day(number: int, hours: list[dict[str, str]]) -> dict[str, float]:
    """One day in UCI's own terms: what its file day.csv says of it."""

    def mean(name: str) -> float:
        return sum(float(hour[name]) for hour in hours) / len(hours)

    kind = sum(ISLP_WEATHER.index(hour["weathersit"]) for hour in hours) / len(hours)
    return {
        "cnt": float(sum(int(hour["bikers"]) for hour in hours)),
        "season": float(hours[0]["season"]),
        "mnth": 1.0 + ISLP_MONTHS.index(hours[0]["mnth"]),
        "holiday": float(hours[0]["holiday"]),
        "workingday": float(hours[0]["workingday"]),
        "weathersit": 1.0 + int(kind + 0.5),
        "temp": mean("temp"),
        "hum": mean("hum"),
        "windspeed": mean("windspeed"),
        "instant": float(number),
    }


def _from_days(file: Path) -> "pandas.DataFrame":
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != BIKE_SHARING_FILE:
        raise ValueError(
            f"{file} is damaged or another file (its SHA-256 is not that of UCI's day.csv): "
            "remove it, and load again with source='full'"
        )
    kept = {"cnt", "season", "mnth", "holiday", "workingday", "weathersit", "temp", "hum", "windspeed", "instant"}
    rows = [{name: float(row[name]) for name in kept} for row in csv.DictReader(content.decode().splitlines())]
    return _table(rows, str(file))


def _table(rows: list[dict[str, float]], source: str) -> "pandas.DataFrame":
    """UCI's codes and shares of a maximum as words and units."""
    from pandas import Categorical, DataFrame

    def column(name: str) -> np.ndarray:
        return np.array([row[name] for row in rows])

    def words(name: str, codes: np.ndarray) -> Categorical:
        return Categorical.from_codes(codes.astype(int), LEVELS[name]).remove_unused_categories()

    columns = {
        "rentals": column("cnt"),
        "season": words("season", column("season") - 1),
        "month": words("month", column("mnth") - 1),
        "holiday": words("holiday", column("holiday")),
        "workingday": words("workingday", column("workingday")),
        "weather": words("weather", column("weathersit") - 1),
        "temperature": column("temp") * 47 - 8,  # UCI: from −8 °C, which is 0, to 39 °C, which is 1
        "humidity": column("hum") * 100,
        "windspeed": column("windspeed") * 67,
        "days": column("instant") - 1,
    }
    table = DataFrame(columns)
    table.attrs["source"] = source
    return table


def _find_days() -> Path | None:
    named = data_folder()
    folders = ([named] if named else []) + [_folders.cache_folder()]
    files = [folder / "bike_sharing/day.csv" for folder in folders]
    return next((file for file in files if file.is_file()), None)


def _download_days() -> Path:
    """Fetch UCI's archive into the cache, and take day.csv out of it under another name before it gets its own."""
    import pooch

    folder = _folders.cache_folder() / "bike_sharing"
    fetch = pooch.HTTPDownloader(progressbar=True, timeout=30)
    ((address, sha256),) = BIKE_SHARING_ARCHIVE.items()
    try:
        archive = pooch.retrieve(address, f"sha256:{sha256}", fname="archive.zip", path=folder, downloader=fetch)
        with zipfile.ZipFile(archive) as members:
            part = folder / "day.csv.part"
            part.write_bytes(members.read("day.csv"))
        os.replace(part, folder / "day.csv")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise OSError(
            f"could not fetch the bicycles ({first_words(error)}): put UCI's day.csv into TML_DATA_DIR/bike_sharing, "
            "or take the 365 days that are installed with source='default'"
        ) from error
    return folder / "day.csv"
