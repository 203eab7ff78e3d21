"""Printing that never fails: a console that cannot show a sign gets what stands for it."""

import codecs
import io
import sys

STANDS_FOR = {
    "✓": "OK",
    "×": "x",
    "−": "-",
    "≤": "<=",
    "≥": ">=",
    "…": "...",
    "–": "-",
    "·": "*",
    "°": "deg ",
    "ε": "eps",
}
LEGIBLE = "tml_helpers.legible"
"""The name of the error handler, as in `text.encode("ascii", LEGIBLE)`."""


def legible(text: str) -> str:
    """The text as the console can show it: `✓` as `OK`, `×` as `x`, and an unknown sign by its number."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, LEGIBLE).decode(encoding)


def say(text: str) -> None:
    """Print the text, legible."""
    print(legible(text))


def on_any_console() -> None:
    """From now on this program prints whatever the console can show: a program says it first."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=LEGIBLE)


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    return "".join(STANDS_FOR.get(sign, sign.encode("ascii", "backslashreplace").decode()) for sign in signs), error.end


codecs.register_error(LEGIBLE, _stand_in)
