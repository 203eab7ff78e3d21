"""A log whose every change is found, ten attacks and more; what only a kept head finds; what nothing finds."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bad_input import full_disk, refuses
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tml_helpers.impact import AuditLog, LogHead, canonical, commit, model_digest, signing_key

RECORDS = [{"case": n, "score": n / 7, "decision": "refuse" if n % 2 else "grant"} for n in range(6)]


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    made = AuditLog(tmp_path / "log.jsonl")
    for record in RECORDS:
        made.append(record)
    return made


def lines(log: AuditLog) -> list[bytes]:
    return log.path.read_bytes().splitlines(keepends=True)


def rechained(records: list[dict[str, object]], path: Path) -> AuditLog:
    """The owner writes a whole new log."""
    path.unlink()
    made = AuditLog(path)
    for record in records:
        made.append(record)
    return made


def test_an_entry_hash_is_sha256_of_index_previous_hash_and_record(log: AuditLog) -> None:
    """By hand, with the standard library's own digest."""
    import hashlib

    first, second = (json.loads(line) for line in lines(log)[:2])
    text = f'{{"index":1,"previous":"{first["hash"]}","record":{{"case":1,"decision":"refuse","score":{1 / 7}}}}}'
    assert second["hash"] == hashlib.sha256(text.encode()).hexdigest()
    assert first["previous"] == "0" * 64
    assert log.head() == LogHead(6, json.loads(lines(log)[-1])["hash"])


def test_a_log_gives_back_what_was_logged_and_goes_on(log: AuditLog) -> None:
    assert list(log) == RECORDS
    assert AuditLog.verify(log.path).intact
    again = AuditLog(log.path)
    assert (len(again), again.head()) == (6, log.head())
    again.append({"case": 6, "é": "naïve \u2028 \n 日本"})
    assert list(AuditLog(log.path))[-1] == {"case": 6, "é": "naïve \u2028 \n 日本"}
    assert str(AuditLog.verify(log.path)) == "intact: 7 entries"


Attack = Callable[[list[bytes]], list[bytes]]


def edited(line: bytes) -> bytes:
    return line.replace(b'"decision":"refuse"', b'"decision":"grant"')


def with_its_own_hash(line: bytes) -> bytes:
    """A changed record whose own hash is right again: only the chain gives it away."""
    import hashlib

    entry = json.loads(edited(line))
    del entry["hash"]
    return canonical(entry | {"hash": hashlib.sha256(canonical(entry)).hexdigest()}) + b"\n"


ATTACKS: dict[str, tuple[Attack, int, str]] = {
    "a record is changed": (lambda a: [*a[:3], edited(a[3]), *a[4:]], 4, "changed"),
    "changed, its own hash mended": (lambda a: [*a[:3], with_its_own_hash(a[3]), *a[4:]], 5, "does not follow"),
    "dropped": (lambda a: [*a[:2], *a[3:]], 3, "dropped, added or moved"),
    "the first is dropped": (lambda a: a[1:], 1, "dropped, added or moved"),
    "two are exchanged": (lambda a: [*a[:2], a[3], a[2], *a[4:]], 3, "dropped, added or moved"),
    "one stands twice": (lambda a: [*a[:3], a[2], *a[3:]], 4, "dropped, added or moved"),
    "written with spaces": (lambda a: [a[0], a[1].replace(b":", b": ", 1), *a[2:]], 2, "otherwise"),
    "keys in another order": (
        lambda a: [json.dumps(dict(reversed(json.loads(a[0]).items()))).encode() + b"\n", *a[1:]], 1, "otherwise"
    ),
    "a key twice": (lambda a: [a[0].replace(b'"case":0', b'"case":9,"case":0'), *a[1:]], 1, "otherwise"),
    "a field more": (lambda a: [a[0][:-2] + b',"note":1}\n', *a[1:]], 1, "otherwise"),
    "lines end as on Windows": (lambda a: [line.replace(b"\n", b"\r\n") for line in a], 1, "otherwise"),
    "an empty line": (lambda a: [*a[:2], b"\n", *a[2:]], 3, "no record"),
    "NaN": (lambda a: [a[0].replace(b"0.0", b"NaN"), *a[1:]], 1, "no record"),
    "no JSON": (lambda a: [*a[:5], b"hello\n"], 6, "no record"),
    "torn": (lambda a: [*a[:5], a[5][:20]], 6, "torn"),
    "true for 1": (lambda a: [a[0], a[1].replace(b'"index":1', b'"index":true'), *a[2:]], 2, "otherwise"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_inside_is_found_at_its_line(log: AuditLog, name: str) -> None:
    """LegionIO #149: records that were dropped were not missed. Basekick-Labs/arc #703: of a key twice the last won."""
    attack, line, words = ATTACKS[name]
    log.path.write_bytes(b"".join(attack(lines(log))))
    found = AuditLog.verify(log.path)
    assert (found.intact, found.line, found.entries) == (False, line, line - 1)
    assert words in found.problem
    assert str(found).startswith(f"line {line}: ")
    with refuses(ValueError, f"line {line}", words):
        AuditLog(log.path)


@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_any_byte_that_is_changed_is_found(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    log = AuditLog(path)
    for record in RECORDS[:3]:
        log.append(record)
    content = bytearray(path.read_bytes())
    before, content[place % len(content)] = content[place % len(content)], byte
    path.write_bytes(content)
    assert AuditLog.verify(path).intact == (byte == before)


def test_a_line_of_another_log_is_found(log: AuditLog, tmp_path: Path) -> None:
    other = AuditLog(tmp_path / "other.jsonl")
    for record in RECORDS:
        other.append(record | {"case": 99})
    mine, theirs = lines(log), lines(other)
    log.path.write_bytes(b"".join([*mine[:3], theirs[3], *mine[4:]]))
    assert AuditLog.verify(log.path).line == 4


def test_what_the_chain_alone_does_not_find_a_kept_head_does(log: AuditLog) -> None:
    """A cut end, and a log written anew, are chains without a fault: block/buzz #2620, msaad00/agent-bom #3697."""
    head = log.head()
    log.path.write_bytes(b"".join(lines(log)[:4]))
    assert AuditLog.verify(log.path).intact
    cut = AuditLog.verify(log.path, head=head)
    assert (cut.intact, cut.line, cut.entries) == (False, None, 4)
    assert "6 were promised" in cut.problem
    anew = rechained([*RECORDS[:3], {"case": 3, "decision": "grant"}, *RECORDS[4:]], log.path)
    assert AuditLog.verify(anew.path).intact
    assert "written anew" in AuditLog.verify(anew.path, head=head).problem
    rechained(RECORDS, log.path).append({"case": 6})
    assert AuditLog.verify(log.path, head=head).entries == 7, "a log may grow after its head was given away"
    assert AuditLog.verify(log.path, head=LogHead(0, "0" * 64)).intact


def test_a_head_is_promised_by_its_owner_alone(log: AuditLog) -> None:
    mine, other = signing_key(), signing_key()
    public, head = mine.public, log.sign(mine.private)
    assert AuditLog.verify(log.path, head=head, public_key=public).intact
    assert (head.count, head.hash) == (6, log.head().hash)
    for forged in (
        log.sign(other.private),
        log.head(),
        LogHead(5, head.hash, head.signature),
        LogHead(6, "1" * 64, head.signature),
        LogHead(6, head.hash, "zz"),
        LogHead(6, head.hash, head.signature[:-2]),
    ):
        assert not forged.signed_by(public)
        assert "not signed" in AuditLog.verify(log.path, head=forged, public_key=public).problem
    assert log.sign(other.private).signed_by(other.public)
    assert repr(mine.private) not in repr(mine)


def test_signatures_are_those_of_the_library_and_of_a_published_pair_of_keys(log: AuditLog) -> None:
    """The first test vector of RFC 8032, section 7.1: this private key has this public key."""
    private = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    head = log.sign(private)
    assert head.signed_by(public)
    assert bytes.fromhex(head.signature) == Ed25519PrivateKey.from_private_bytes(private).sign(head.promise)
    fresh, again = signing_key(), signing_key()
    assert {len(key) for key in (fresh.private, fresh.public, again.private)} == {32}
    assert len({fresh.private, fresh.public, again.private, again.public}) == 4


def test_a_second_program_is_noticed_and_nothing_is_lost(log: AuditLog) -> None:
    second = AuditLog(log.path)
    second.append({"by": "the second"})
    with refuses(ValueError, "another program"):
        log.append({"by": "the first"})
    assert list(AuditLog(log.path))[-1] == {"by": "the second"}
    log.path.unlink()
    with refuses(ValueError, "has changed"):
        second.append({})


def test_a_full_disk_leaves_the_log_as_it_was(log: AuditLog) -> None:
    before = log.path.read_bytes()
    with full_disk(after=len(before) + 40), pytest.raises(OSError):
        log.append({"long": "x" * 200})
    assert log.path.read_bytes() == before
    log.append({"case": 6})
    assert AuditLog.verify(log.path).entries == 7


def test_a_torn_line_is_set_aside_and_not_thrown_away(log: AuditLog) -> None:
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + b'{"hash":"12')
    assert AuditLog.set_aside_torn_line(log.path) == b'{"hash":"12'
    assert log.path.read_bytes() == whole
    assert log.path.with_name("log.jsonl.torn").read_bytes() == b'{"hash":"12\n'
    assert AuditLog.set_aside_torn_line(log.path) == b""
    assert len(AuditLog(log.path)) == 6


def test_an_empty_log_is_intact_and_there_must_be_a_file(tmp_path: Path) -> None:
    log = AuditLog(str(tmp_path / "new.jsonl"))
    assert (len(log), list(log), log.head()) == (0, [], LogHead(0, "0" * 64))
    assert AuditLog.verify(log.path, head=log.head()).intact
    with pytest.raises(FileNotFoundError):
        AuditLog.verify(tmp_path / "none.jsonl")
    if os.geteuid():
        log.path.chmod(0o400)
        with pytest.raises(OSError):
            log.append({})


@pytest.mark.parametrize(
    ("record", "kind", "words"),
    [
        ([], TypeError, ["dict", "list"]),
        ({"a": (1, 2)}, TypeError, ["tuple", "['a']"]),
        ({"a": [{"b": torch.tensor(1.0)}]}, TypeError, ["Tensor", "['a'][0]['b']"]),
        ({1: "a"}, TypeError, ["key 1", "int"]),
        ({"a": float("nan")}, ValueError, ["finite", "nan"]),
        ({"a": float("inf")}, ValueError, ["finite"]),
        ({"a": "\ud800"}, ValueError, ["surrogate"]),
        ({"a": b"x"}, TypeError, ["bytes"]),
    ],
    ids=str,
)
def test_what_json_would_not_give_back_is_refused(
    log: AuditLog, record: object, kind: type[Exception], words: list[str]
) -> None:
    with refuses(kind, *words):
        log.append(record)  # type: ignore[arg-type]
    assert AuditLog.verify(log.path).entries == 6


def test_a_record_too_deep_is_refused_in_one_sentence(log: AuditLog) -> None:
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with refuses(ValueError, "levels"):
        log.append(deep)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_canonical_text_is_json_that_gives_the_value_back(value: object) -> None:
    text = canonical(value)
    assert repr(json.loads(text)) == repr(value) or json.loads(text) == value
    assert canonical(json.loads(text)) == text


def test_equal_means_equal_in_kind() -> None:
    """mozilla/normandy #1210: 0.00001 had two canonical texts, and signatures did not fit."""
    assert canonical(0.00001) == b"1e-05"
    texts = [canonical(value) for value in (1, 1.0, True, "1", [1], {"1": 1}, "é", "e\u0301")]
    assert len(set(texts)) == len(texts)
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1}) == b'{"a":2,"b":1}'


def test_a_commitment_hides_its_value_and_opens_only_with_it() -> None:
    first, second = commit({"income": 2100}), commit({"income": 2100})
    assert first.digest != second.digest
    assert first.salt != second.salt
    assert first.opens({"income": 2100})
    assert not first.opens({"income": 2101})
    assert not second.opens({"income": 2100.0})
    assert first.salt not in repr(first)


def test_a_commitment_is_hmac_sha256() -> None:
    """By the standard library: the salt is the key, so that nobody can try out all incomes without it."""
    import hashlib
    import hmac

    made = commit("yes")
    assert made.digest == hmac.digest(bytes.fromhex(made.salt), b'"yes"', hashlib.sha256).hex()


def test_a_digest_is_of_all_numbers_and_of_nothing_else() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    digest = model_digest(model)
    assert len(digest) == 64
    model.eval()
    assert model_digest(model) == digest
    model[1].running_mean[1] += 1e-6
    changed = model_digest(model)
    assert changed != digest
    with torch.no_grad():
        model[0].weight[1, 2] = torch.nextafter(model[0].weight[1, 2], torch.tensor(9.0))
    assert model_digest(model) not in (changed, digest)
    assert model_digest(nn.Linear(2, 3, dtype=torch.bfloat16)) != model_digest(nn.Linear(2, 3, dtype=torch.bfloat16))
    flat, square = nn.ParameterList([torch.zeros(4)]), nn.ParameterList([torch.zeros(2, 2)])
    assert model_digest(flat) != model_digest(square)
    assert model_digest(nn.ParameterList([torch.zeros(4, dtype=torch.float16)])) != model_digest(flat)
    assert model_digest(nn.ParameterList([torch.tensor(1.0)])) != model_digest(nn.ParameterList([torch.tensor(2.0)]))


@pytest.mark.parametrize(("key", "kind"), [("a" * 32, TypeError), (b"short", ValueError), (b"", ValueError)])
def test_keys_are_32_bytes(log: AuditLog, key: object, kind: type[Exception]) -> None:
    with refuses(kind, "private_key", "32 bytes"):
        log.sign(key)  # type: ignore[arg-type]
    with refuses(kind, "public_key", "32 bytes"):
        log.head().signed_by(key)  # type: ignore[arg-type]


def test_a_key_checks_a_head_and_nothing_else(log: AuditLog) -> None:
    with refuses(ValueError, "public_key", "head"):
        AuditLog.verify(log.path, public_key=signing_key().public)
