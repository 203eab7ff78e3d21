"""The committed measurements of `benchmarks/`: they travel with the package, so that a notebook finds them anywhere."""

import json
from pathlib import Path
from typing import Any

__all__ = ["names", "result"]

_PACKAGE = Path(__file__).parent
_INSTALLED, _CHECKOUT = _PACKAGE / "results", _PACKAGE.parent / "benchmarks/results"
_FOLDER = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def names() -> list[str]:
    """What has been measured.

    Returns:
        The names that `result` takes, sorted.
    """
    return sorted(file.stem for file in _FOLDER.glob("*.json"))


def result(name: str) -> dict[str, Any]:
    """The measurement `benchmarks/results/NAME.json`, with the machine that it was taken on.

    Args:
        name: one of `names()`.

    Returns:
        The file's content.

    Raises:
        ValueError: what has not been measured; it says what has.
    """
    if name not in names():
        raise ValueError(f"there is no measurement {name!r}; there are: {', '.join(names()) or 'none'}")
    measurement: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return measurement
