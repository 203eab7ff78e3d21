"""One way to write a record down, and digests of records and of models: the same bytes on every machine."""

import hashlib
import hmac
import json
import math
import secrets
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

__all__ = ["Commitment", "canonical", "commit", "model_digest"]


def canonical(record: Any) -> bytes:
    """The one JSON text of a record, in UTF-8: keys sorted, no spaces, the shortest digits of each float.

    Two records have the same text only where they are equal, also in kind: 1, 1.0 and true are three. Letters that look
    alike and are encoded apart, as é in one sign and in two, stay apart.

    Args:
        record: text, whole and finite floating numbers, booleans, None, and lists and dicts of these; a dict's keys are
            text.

    Returns:
        The bytes.

    Raises:
        TypeError: something else in it, as a tuple, a tensor, or a key that is a number.
        ValueError: NaN, an infinite number, half of a surrogate pair in a text, or too many levels.

    Derived in: lectures/80_impact/audit_trail.
    """
    try:
        _check(record, "the record")
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")
    except RecursionError as error:
        raise ValueError("the record has more levels, one inside another, than Python can follow") from error
    except UnicodeEncodeError as error:
        raise ValueError("a record's text has half of a surrogate pair, which UTF-8 cannot write") from error


def _check(part: Any, where: str) -> None:
    """Raise unless JSON gives this part back as it is."""
    if type(part) is dict:
        for key, value in part.items():
            if type(key) is not str:
                raise TypeError(f"keys are text; {where} has the key {key!r} of type {type(key).__name__}")
            _check(value, f"{where}[{key!r}]")
    elif type(part) is list:
        for place, value in enumerate(part):
            _check(value, f"{where}[{place}]")
    elif type(part) is float:
        if not math.isfinite(part):
            raise ValueError(f"numbers are finite; {where} is {part}")
    elif part is not None and type(part) not in (str, int, bool):
        kinds = "text, numbers, booleans, None, lists and dicts"
        raise TypeError(f"a record holds {kinds}; {where} is a {type(part).__name__}")


def model_digest(model: nn.Module) -> str:
    """SHA-256 of all that a model's answers are made of: names, types, shapes and bytes of parameters and buffers.

    Two models with the same digest have the same numbers. The code that uses them is not in it.

    Args:
        model: any network, on any device.

    Returns:
        64 hexadecimal digits.

    Derived in: lectures/80_impact/audit_trail.
    """
    running = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        content = value.detach().cpu().contiguous()
        running.update(f"{name}\n{content.dtype}\n{list(content.shape)}\n".encode())
        running.update(content.reshape(-1).view(torch.uint8).numpy().tobytes())
    return running.hexdigest()


@dataclass(frozen=True)
class Commitment:
    """A value that is promised and not shown: its digest is public, and the salt opens it.

    Without the salt nobody can find the value by trying all that it may be. Where the salt is deleted, the value is
    gone, and what was built on the digest still stands.

    Attributes:
        digest: 64 hexadecimal digits, for the log.
        salt: 64 hexadecimal digits, kept apart from it; not shown where the commitment is printed.

    Derived in: lectures/80_impact/audit_trail.
    """

    digest: str
    salt: str = field(repr=False)

    def opens(self, value: Any) -> bool:
        """Whether this is the value that was promised.

        Args:
            value: as `canonical` takes it.

        Returns:
            True where digest and salt belong to it.

        Raises:
            TypeError, ValueError: see `canonical`.
        """
        return hmac.compare_digest(self.digest, _sealed(value, self.salt))


def commit(value: Any) -> Commitment:
    """HMAC-SHA256(salt, value) under a fresh salt of 32 bytes.

    Args:
        value: as `canonical` takes it.

    Returns:
        The commitment; each call draws another salt, from the system's source of secrets, which takes no seed.

    Raises:
        TypeError, ValueError: see `canonical`.

    Source: RFC 2104, 1997. Derived in: lectures/80_impact/audit_trail.
    """
    salt = secrets.token_hex(32)
    return Commitment(_sealed(value, salt), salt)


def _sealed(value: Any, salt: str) -> str:
    return hmac.new(bytes.fromhex(salt), canonical(value), "sha256").hexdigest()
