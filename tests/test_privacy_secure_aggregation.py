"""The sum is exact whoever drops out, the server sees noise, and no client shows both secrets of another."""

from fractions import Fraction
from itertools import combinations
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from test_privacy_secret_sharing import looks_uniform

from tml_helpers import privacy
from tml_helpers.privacy import AggregationClient, secure_aggregation, shamir_reconstruct
from tml_helpers.privacy.secure_aggregation import GROUP, noise, pair_mask

pytestmark = pytest.mark.filterwarnings("ignore::tml_helpers.privacy.TeachingCryptographyWarning")
singles = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**62), max_value=2.0**62)
MODULUS = 256**32


def protocol(parties: int, threshold: int) -> list[AggregationClient]:
    """Clients that have exchanged keys and shares."""
    clients = [AggregationClient(n, parties=parties, threshold=threshold) for n in range(parties)]
    keys = {client.number: client.public_key for client in clients}
    for client in clients:
        for other, shares in client.share_secrets(keys).items():
            clients[other].receive(client.number, shares)
    return clients


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(singles, singles), min_size=3, max_size=4))
def test_the_sum_is_exact_and_rounded_once(rows: list[tuple[float, float]]) -> None:
    found = secure_aggregation([np.array(row) for row in rows], threshold=len(rows) // 2 + 1)
    assert found.dtype == torch.float64
    assert found.tolist() == [float(sum(map(Fraction, column))) for column in zip(*rows, strict=True)]


def test_any_clients_may_be_lost_up_to_the_threshold() -> None:
    updates = [torch.tensor([[10.0**n, -0.1 * n]], dtype=torch.float64).float() for n in range(5)]
    for count in (1, 2):
        for lost in combinations(range(5), count):
            if count == 2 and 0 not in lost and 4 not in lost:
                continue
            found = secure_aggregation(updates, threshold=3, dropped=lost)
            expected = sum(update.double() for n, update in enumerate(updates) if n not in lost)
            assert found.shape == (1, 2)
            assert torch.equal(found, expected)


@pytest.mark.parametrize(("threshold", "lost"), [(3, [0, 1, 2]), (4, [0, 4]), (5, [2])])
def test_more_lost_than_the_threshold_bears(threshold: int, lost: list[int]) -> None:
    with refuses(ValueError, f"only {5 - len(lost)} of 5", f"takes {threshold}", "nothing has been revealed"):
        secure_aggregation([[1.0]] * 5, threshold=threshold, dropped=lost)


def test_whole_numbers_and_the_ends_of_their_range() -> None:
    largest = 2**63
    found = secure_aggregation([[largest, -largest, 1]] * 3, threshold=2)
    assert found.dtype == torch.float64  # an int64 ends at 2^63 − 1
    assert found.tolist() == [3 * 2.0**63, -3 * 2.0**63, 3]
    mixed = secure_aggregation([[1], [0.5], [-2]], threshold=2)
    assert mixed.tolist() == [-0.5]
    assert secure_aggregation([[1], [2], [-9]], threshold=2).dtype == torch.int64


@pytest.mark.parametrize("bound", [7, 42, 43, 85, 127, 128])
def test_sums_at_the_bound_do_not_wrap_around(bound: int) -> None:
    """One byte holds −128 to 127: three clients at the bound may need two."""
    for value in (bound, -bound):
        found = secure_aggregation([[value]] * 3, threshold=2, bound=bound)
        assert found.tolist() == [3 * value]


def test_the_server_sees_noise() -> None:
    """Of one client, of two together, and of one whose pairwise masks are known."""
    clients = protocol(4, 3)
    same = np.full(3000, 5, dtype=object)
    seen = [client.mask(same, modulus=MODULUS) for client in clients]
    for masked in seen:
        assert looks_uniform(masked, MODULUS)
    for one, two in combinations(seen, 2):
        assert looks_uniform((one - two) % MODULUS, MODULUS)
        assert looks_uniform((one + two) % MODULUS, MODULUS)
    assert looks_uniform(sum(seen) % MODULUS, MODULUS)  # the clients' own masks are still on the sum
    known = seen[1]
    for other in (0, 2, 3):
        key = clients[other].public_key
        known = known - pair_mask(1, other, clients[1]._private_key, key, same, MODULUS)
    assert looks_uniform(known % MODULUS, MODULUS)  # a client that was called lost, and whose update comes late
    assert [*((known - noise(clients[1]._seed, same, MODULUS)) % MODULUS)] == [*same]


def test_masks_cancel_in_pairs() -> None:
    clients = protocol(3, 2)
    like = np.zeros(5, dtype=object)
    for one, two in combinations(clients, 2):
        there = pair_mask(one.number, two.number, one._private_key, two.public_key, like, MODULUS)
        back = pair_mask(two.number, one.number, two._private_key, one.public_key, like, MODULUS)
        assert not np.any((there + back) % MODULUS)
        assert len(set(there)) == 5


def test_shares_of_the_threshold_give_the_secrets_and_fewer_do_not() -> None:
    clients = protocol(5, 3)
    points = {client.number + 1: client._received[2] for client in clients}
    keys, seeds = ({x: pair[k] for x, pair in points.items()} for k in (0, 1))
    for some in combinations(points, 3):
        assert shamir_reconstruct({x: keys[x] for x in some}, threshold=3) == clients[2]._private_key
        assert shamir_reconstruct({x: seeds[x] for x in some}, threshold=3) == clients[2]._seed
    with refuses(ValueError, "3 points"):
        shamir_reconstruct({x: keys[x] for x in (1, 2)}, threshold=3)


def test_a_client_answers_once_and_never_shows_both_secrets() -> None:
    clients = protocol(4, 3)
    for client in clients:
        client.mask(np.zeros(1, dtype=object), modulus=MODULUS)
    for present, lost in (([0, 1, 2, 3], [3]), ([0, 1, 2], []), ([0, 1, 2, 2], []), ([0, 1, 2, 9], [])):
        with refuses(ValueError, "either present or lost"):
            clients[0].reveal(present=present, lost=lost)
    with refuses(ValueError, "only 2 of 4"):
        clients[0].reveal(present=[0, 1], lost=[2, 3])
    answer = clients[0].reveal(present=[0, 1, 2], lost=[3])
    assert answer == {j: clients[0]._received[j][1] for j in range(3)} | {3: clients[0]._received[3][0]}
    with refuses(ValueError, "answered already"):
        clients[0].reveal(present=[0, 1, 3], lost=[2])
    with refuses(ValueError, "second under the same masks"):
        clients[0].mask(np.ones(1, dtype=object), modulus=MODULUS)


def test_what_has_not_been_exchanged() -> None:
    client = AggregationClient(0, parties=3, threshold=2)
    with refuses(ValueError, "keys come first"):
        client.mask(np.zeros(1, dtype=object), modulus=MODULUS)
    client.receive(1, (1, 2))
    with refuses(ValueError, "clients [0, 2] have not arrived"):
        client.reveal(present=[0, 1, 2], lost=[])
    with refuses(ValueError, "number must be below 3", "got 3"):
        AggregationClient(3, parties=3, threshold=2)


def test_the_group_is_that_of_rfc_3526() -> None:
    """2^2048 − 2^1984 − 1 + 2^64 · (⌊2^1918 π⌋ + 124476), a prime whose half is a prime."""
    with mpmath.workprec(2200):
        digits = int(mpmath.floor(mpmath.pi * mpmath.mpf(2) ** 1918))
    assert 2**2048 - 2**1984 - 1 + 2**64 * (digits + 124476) == GROUP
    assert sympy.isprime(GROUP)
    assert sympy.isprime((GROUP - 1) // 2)


def test_keys_that_are_none() -> None:
    clients = [AggregationClient(n, parties=3, threshold=2) for n in range(3)]
    keys = {client.number: client.public_key for client in clients}
    for wrong in (0, 1, GROUP - 1, GROUP):
        with refuses(ValueError, "public key"):
            clients[0].share_secrets(keys | {2: wrong})
    with refuses(ValueError, "each of the 3 clients", "[0, 1]"):
        clients[0].share_secrets({0: keys[0], 1: keys[1]})


def test_noise_is_that_of_its_seed() -> None:
    like = np.zeros((3, 2), dtype=object)
    first, again, other = noise(5, like, MODULUS), noise(5, like, MODULUS), noise(6, like, MODULUS)
    assert first.shape == (3, 2)
    assert np.array_equal(first, again)
    assert len({*first.flat} | {*other.flat}) == 12
    assert all(0 <= value < MODULUS for value in first.flat)


ERRORS: dict[str, tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = {
    "two clients": ({"updates": [[1.0]] * 2}, ValueError, ("3 clients", "got 2")),
    "one array": ({"updates": np.zeros((3, 2))}, TypeError, ("list", "ndarray")),
    "one tensor": ({"updates": torch.zeros(3, 2)}, TypeError, ("list",)),
    "shapes": ({"updates": [[1.0], [1.0, 2.0], [1.0]]}, ValueError, ("one shape", "[1]", "[2]")),
    "NaN": ({"updates": [[1.0], [float("nan")], [1.0]]}, ValueError, ("finite",)),
    "words": ({"updates": [["a"]] * 3}, TypeError, ("real numbers",)),
    "too large": ({"bound": 1, "updates": [[1.0], [2.0], [0.0]]}, ValueError, ("within ±1",)),
    "tiny": ({"updates": [[1e-60]] * 3}, ValueError, ("more fraction_bits",)),
    "half": ({"threshold": 2, "updates": [[1.0]] * 4}, ValueError, ("more than half", "got 2")),
    "more than all": ({"threshold": 4}, ValueError, ("at most all",)),
    "no threshold": ({"threshold": 0}, ValueError, ("threshold",)),
    "a share": ({"threshold": 2.0}, TypeError, ("threshold",)),
    "a stranger": ({"dropped": [3]}, ValueError, ("from 0 to 2", "[3]")),
    "devices": ({"updates": [torch.zeros(1), torch.zeros(1, device="meta"), torch.zeros(1)]}, ValueError, ("device",)),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_bad_input(kind: str) -> None:
    arguments, error, words = ERRORS[kind]
    with refuses(error, *words):
        secure_aggregation(**({"updates": [[1.0]] * 3, "threshold": 2} | arguments))


def test_it_says_what_it_is() -> None:
    with pytest.warns(privacy.TeachingCryptographyWarning, match="for teaching"):
        secure_aggregation([[1]] * 3, threshold=2)


def test_an_error_names_the_argument() -> None:
    updates = [[1, 2], [3, 4], [5, 6]]
    for wrong in (1, None):
        with refuses(TypeError, "dropped must be a list of clients' numbers", str(wrong)):
            secure_aggregation(updates, threshold=2, dropped=wrong)  # type: ignore[arg-type]
    for threshold in (1, 4):
        with pytest.raises(ValueError, match=f"threshold must be .* got {threshold}$"):
            secure_aggregation(updates, threshold=threshold)
    with pytest.raises(ValueError, match=r"^number must be below 3"):
        AggregationClient(3, parties=3, threshold=2)
