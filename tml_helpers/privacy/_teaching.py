"""The warning of all cryptography here: it teaches, and it protects nobody."""

import warnings


class TeachingCryptographyWarning(UserWarning):
    """This cryptography is for teaching: nobody has audited it, and its running time depends on its secrets."""


def warn_of_teaching(what: str, instead: str) -> None:
    """Warn from the line that calls this: Python shows such a warning once."""
    warn_once(
        f"{what} is for teaching: not audited, not constant-time, not for anybody's data. In earnest: {instead}", 3
    )


def warn_once(sentence: str, stacklevel: int = 2) -> None:
    """A sentence about this cryptography, from the line that calls this."""
    warnings.warn(sentence, TeachingCryptographyWarning, stacklevel=stacklevel)
