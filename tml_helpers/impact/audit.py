"""A log of decisions in which a record that was changed, dropped, added or moved is found."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tml_helpers.impact.records import canonical

__all__ = ["AuditLog", "LogHead", "LogReport", "SigningKey", "signing_key"]

START = "0" * 64  # what stands before the first entry
FIELDS = {"index": int, "previous": str, "record": dict, "hash": str}


@dataclass(frozen=True)
class SigningKey:
    """With the private key the owner signs; with the public one anybody checks.

    Attributes:
        private: 32 bytes; not shown where the pair is printed.
        public: 32 bytes.

    Derived in: lectures/80_impact/audit_trail.
    """

    private: bytes = field(repr=False)
    public: bytes


@dataclass(frozen=True)
class LogHead:
    """What a log promises: so many entries, of which the last has this hash. Signed, it can be given away.

    Attributes:
        count: entries of the log.
        hash: of the last one, 64 hexadecimal digits; 64 zeros where there is none.
        signature: Ed25519, 128 hexadecimal digits; empty where it is not signed.

    Derived in: lectures/80_impact/audit_trail.
    """

    count: int
    hash: str
    signature: str = ""

    @property
    def promise(self) -> bytes:
        """The bytes that are signed."""
        return canonical({"count": self.count, "hash": self.hash, "kind": "head of an audit log"})

    def signed_by(self, public_key: bytes) -> bool:
        """Whether the owner of this key signed this head.

        Args:
            public_key: 32 bytes.

        Returns:
            False also where there is no signature.

        Raises:
            TypeError, ValueError: a key of another kind or length.

        Source: RFC 8032, 2017.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        _check_key(public_key, "public_key")
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(self.signature), self.promise)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class LogReport:
    """What a check of a log found.

    Attributes:
        intact: whether all holds that was checked.
        entries: how many, from the first, are as they were written.
        line: where the first fault is, counted from 1; None where the fault is in no line, or there is none.
        problem: one sentence; empty where there is none.

    Derived in: lectures/80_impact/audit_trail.
    """

    intact: bool
    entries: int
    line: int | None
    problem: str

    def __str__(self) -> str:
        if self.intact:
            return f"intact: {self.entries} entries"
        return f"line {self.line}: {self.problem}" if self.line else self.problem


class AuditLog:
    """h_i = SHA-256(index, h_{i−1}, record): each entry holds the hash of all that came before it.

    A file with one line of JSON for each decision, to which one program at a time appends. Whoever changes, drops, adds
    or moves a line inside must write all later lines anew; whoever has a signed head from before sees that. What was
    never logged, and what was logged falsely, no chain shows.

    Args:
        path: the file; it is made where it is not there.

    Raises:
        ValueError: the file is no intact log; the sentence names the line.
        OSError: it cannot be read or made.

    Source: Haber and Stornetta, 1991; Schneier and Kelsey, 1999. Derived in: lectures/80_impact/audit_trail.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.touch()
        found, last = _walk(self.path.read_bytes())
        if not found.intact:
            raise ValueError(f"{self.path} is no intact log: {found}")
        self._count, self._last, self._size = found.entries, last, self.path.stat().st_size

    def append(self, record: dict[str, Any]) -> str:
        """Add one decision, and wait until it is on the disk.

        Args:
            record: what is worth knowing later, as `canonical` takes it. Its time is a field like any other.

        Returns:
            The entry's hash, which the person whom the decision is about can be given.

        Raises:
            TypeError: no dict, or something in it that JSON does not give back as it is.
            ValueError: see `canonical`; or the file has changed since this log was opened.
            OSError: the disk is full; the log is as it was before.
        """
        if type(record) is not dict:
            raise TypeError(f"a record is a dict, got {type(record).__name__}")
        entry = {"index": self._count, "previous": self._last, "record": record}
        made = _hash(entry)
        line = canonical(entry | {"hash": made}) + b"\n"
        if not self.path.exists() or self.path.stat().st_size != self._size:
            raise ValueError(f"{self.path} has changed since this log was opened: another program wrote to it")
        _write(self.path, line, self._size)
        self._count, self._last, self._size = self._count + 1, made, self._size + len(line)
        return made

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The records, the first first, read from the file."""
        with open(self.path, encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield json.loads(line)["record"]

    def head(self) -> LogHead:
        """How many entries there are, and the last one's hash.

        Returns:
            The head, without a signature.
        """
        return LogHead(self._count, self._last)

    def sign(self, private_key: bytes) -> LogHead:
        """The head, signed, to be given to somebody who keeps it.

        Args:
            private_key: 32 bytes, of `signing_key`.

        Returns:
            The head with its signature.

        Raises:
            TypeError, ValueError: a key of another kind or length.

        Source: RFC 8032, 2017.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        _check_key(private_key, "private_key")
        head = self.head()
        signature = Ed25519PrivateKey.from_private_bytes(private_key).sign(head.promise)
        return LogHead(head.count, head.hash, signature.hex())

    @staticmethod
    def verify(path: str | Path, *, head: LogHead | None = None, public_key: bytes | None = None) -> LogReport:
        """Walk along the chain; then compare with a head that was kept from before.

        Args:
            path: the file.
            head: what was promised earlier: the log may have grown since, and its first `head.count` entries must be
                the same. Without it, a log whose end was cut off, or that was written anew, is not found.
            public_key: 32 bytes; where it is given, the head must be signed with it.

        Returns:
            What was found.

        Raises:
            ValueError: a key without a head, or a key of another length.
            TypeError: a key of another kind.
            OSError: there is no such file.
        """
        if public_key is not None and head is None:
            raise ValueError("public_key checks a head's signature: pass head, too")
        if head is not None and public_key is not None and not head.signed_by(public_key):
            return LogReport(False, 0, None, "the head is not signed with this key, so it promises nothing")
        content = Path(path).read_bytes()
        found, _ = _walk(content)
        return found if head is None or not found.intact else _compared(found, content, head)

    @staticmethod
    def set_aside_torn_line(path: str | Path) -> bytes:
        """Move what a crash left of the last line to a file beside the log, `NAME.torn`; whole lines are not touched.

        Args:
            path: the log's file.

        Returns:
            What was moved; empty where the last line is whole.

        Raises:
            OSError: there is no such file, or no room.
        """
        path = Path(path)
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        torn = content[whole:]
        if torn:
            with open(path.with_name(path.name + ".torn"), "ab") as beside:
                beside.write(torn + b"\n")
            os.truncate(path, whole)
        return torn


def signing_key() -> SigningKey:
    """A fresh pair of keys for Ed25519.

    Returns:
        Both keys, from the system's source of secrets, which takes no seed.

    Source: RFC 8032, 2017. Derived in: lectures/80_impact/audit_trail.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    return SigningKey(private.private_bytes_raw(), private.public_key().public_bytes_raw())


def _hash(entry: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(entry)).hexdigest()


def _write(path: Path, line: bytes, size: int) -> None:
    """Append a line and wait for the disk; where that fails, cut off what was written of it."""
    with open(path, "ab", buffering=0) as file:
        try:
            if file.write(line) != len(line):
                raise OSError(f"no room for a whole line in {path}")
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def _walk(content: bytes) -> tuple[LogReport, str]:
    """Check line after line, up to the first that is wrong; the hash of the last good one."""
    last = START
    lines = content.split(b"\n")
    for index, line in enumerate(lines[:-1]):
        entry, problem = _read(line)
        problem = problem or _fault(entry, index, last)
        if problem:
            return LogReport(False, index, index + 1, problem), last
        last = entry["hash"]
    if lines[-1]:
        return LogReport(False, len(lines) - 1, len(lines), "the line is torn: it has no end"), last
    return LogReport(True, len(lines) - 1, None, ""), last


def _read(line: bytes) -> tuple[dict[str, Any], str]:
    """A line's entry, or why it is none: only the one text that `canonical` writes is taken."""
    try:
        entry = json.loads(line)
        same = isinstance(entry, dict) and canonical(entry) == line
    except (ValueError, TypeError, RecursionError):
        return {}, "the line is no record that this log has written"
    if not same or {name: type(value) for name, value in entry.items()} != FIELDS:
        return {}, "the line is written otherwise than this log writes"
    return entry, ""


def _fault(entry: dict[str, Any], index: int, last: str) -> str:
    """What is wrong with an entry at its place, or nothing."""
    made = _hash({name: entry[name] for name in ("index", "previous", "record")})
    if made != entry["hash"]:
        return "the record was changed: its hash is another"
    if entry["index"] != index:
        return f"entry {entry['index']} stands where entry {index} belongs: a line was dropped, added or moved"
    if entry["previous"] != last:
        return "the entry does not follow on the one before it: that was replaced"
    return ""


def _compared(found: LogReport, content: bytes, head: LogHead) -> LogReport:
    """An intact log beside an earlier promise."""
    if found.entries < head.count:
        missing = f"the log has {found.entries} entries, and {head.count} were promised: its end was cut off"
        return LogReport(False, found.entries, None, missing)
    promised = START if head.count == 0 else json.loads(content.split(b"\n")[head.count - 1])["hash"]
    if promised != head.hash:
        anew = f"the first {head.count} entries are not those that were promised: the log was written anew"
        return LogReport(False, 0, None, anew)
    return found


def _check_key(key: bytes, name: str) -> None:
    if type(key) is not bytes:
        raise TypeError(f"{name} is 32 bytes, got {type(key).__name__}")
    if len(key) != 32:
        raise ValueError(f"{name} is 32 bytes, got {len(key)}")
