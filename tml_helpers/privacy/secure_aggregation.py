"""The sum of everybody's updates, and nobody's update: masks that cancel in pairs, and shares for those who drop out.

A teaching version, in which all clients and the server live in one process. Shares go from client to client unseen by
the server: in earnest they are encrypted, and keys are signed. Sums are exact, modulo a power of two that they cannot
reach.
"""

import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tml_helpers.common import check_counts
from tml_helpers.privacy._fixed_point import BOUND, from_whole, read, signed
from tml_helpers.privacy._teaching import warn_of_teaching
from tml_helpers.privacy.secret_sharing import shamir_reconstruct, shamir_share

GROUP = int(  # RFC 3526, group 14: a prime of 2,048 bits, with a prime half; 2 generates the squares
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)
SECRET_BITS = 256  # of a private key, and of a seed


class AggregationClient:
    """One client of the protocol, in the order of its methods. It never shows its update, only the update plus masks.

    Args:
        number: which client it is, from 0 to parties − 1.
        parties: how many there are, 3 or more.
        threshold: how many must stay until the end; more than half of the parties, so that no two groups of them can be
            told different stories about who is left.

    Raises:
        TypeError: no whole numbers.
        ValueError: a number or a threshold outside of its range.

    Source: Bonawitz et al., 2017. Derived in: lectures/60_privacy/computing_on_the_unseen.
    """

    def __init__(self, number: int, *, parties: int, threshold: int) -> None:
        check_counts(3, parties=parties)
        check_counts(threshold=threshold)
        check_counts(0, number=number)
        if not parties < 2 * threshold <= 2 * parties:
            raise ValueError(f"threshold must be more than half of the {parties} clients, at most all, got {threshold}")
        if number >= parties:
            raise ValueError(f"number must be below {parties}, the clients that there are, got {number}")
        self.number, self.parties, self.threshold = number, parties, threshold
        self._private_key, self._seed = secrets.randbits(SECRET_BITS), secrets.randbits(SECRET_BITS)
        self.public_key = pow(2, self._private_key, GROUP)
        self._keys: dict[int, int] = {}
        self._received: dict[int, tuple[int, int]] = {}
        self._masked = self._revealed = False

    def share_secrets(self, public_keys: Mapping[int, int]) -> dict[int, tuple[int, int]]:
        """Shamir's shares of the private key and of the seed, one pair for each client.

        Args:
            public_keys: every client's, by its number.

        Returns:
            What goes to each client, by its number, hidden from the server.

        Raises:
            ValueError: keys of other clients than there are, or a key that is no member of the group.
        """
        if sorted(public_keys) != list(range(self.parties)):
            raise ValueError(f"a key of each of the {self.parties} clients is needed, got {sorted(public_keys)}")
        if any(not 1 < key < GROUP - 1 for key in public_keys.values()):
            raise ValueError("a public key must lie between 1 and the group's prime minus 1")
        self._keys = dict(public_keys)
        made = [
            shamir_share(secret, threshold=self.threshold, parties=self.parties)
            for secret in (self._private_key, self._seed)
        ]
        return {other: (made[0][other + 1], made[1][other + 1]) for other in range(self.parties)}

    def receive(self, sender: int, shares: tuple[int, int]) -> None:
        """Keep the shares of another client's private key and seed.

        Args:
            sender: whose they are.
            shares: of the private key, and of the seed.
        """
        self._received[sender] = shares

    def mask(self, update: np.ndarray, *, modulus: int) -> np.ndarray:
        """update + G(seed) + Σ_{j > i} G(s_ij) − Σ_{j < i} G(s_ij) mod modulus: uniform, whatever the update.

        Args:
            update: whole numbers, dtype object, any shape.
            modulus: a power of 256, larger than any sum.

        Returns:
            What the server sees, of the update's shape.

        Raises:
            ValueError: before keys were exchanged; or a second update: under the same masks, the difference would show.
        """
        if not self._keys:
            raise ValueError("keys come first: without those of the others there is nothing to mask an update with")
        if self._masked:
            raise ValueError("this client has sent an update: a second under the same masks would show the difference")
        self._masked = True
        total = update + noise(self._seed, update, modulus)
        for other, key in self._keys.items():
            if other != self.number:
                total = total + pair_mask(self.number, other, self._private_key, key, update, modulus)
        return np.asarray(total % modulus, dtype=object)

    def reveal(self, *, present: Collection[int], lost: Collection[int]) -> dict[int, int]:
        """Shares of the seeds of those who are present, and of the private keys of those who are lost.

        Both secrets of one client would show its update. So a client answers once, and never both.

        Args:
            present: whose masked update has arrived.
            lost: whose has not.

        Returns:
            One share for each of them.

        Raises:
            ValueError: a client that is in both, or in neither; too few that are present; a second question; or
                shares that have not arrived.
        """
        if sorted([*present, *lost]) != list(range(self.parties)):
            raise ValueError("each client must be either present or lost: both its secrets would show its update")
        if len(present) < self.threshold:
            raise ValueError(too_few(len(present), self.parties, self.threshold))
        if self._revealed:
            raise ValueError("this client has answered already: a second answer could show somebody's update")
        if missing := sorted(set(range(self.parties)) - set(self._received)):
            raise ValueError(f"the shares of clients {missing} have not arrived")
        self._revealed = True
        return {j: self._received[j][1] for j in present} | {j: self._received[j][0] for j in lost}


def secure_aggregation(
    updates: Sequence[Any],
    *,
    threshold: int,
    dropped: Collection[int] = (),
    bound: int = BOUND,
    fraction_bits: int | None = None,
) -> Tensor:
    """Σ_i update_i over those who did not drop out, while the server sees updates under masks only.

    Each pair of clients agrees on a mask, by Diffie and Hellman's exchange; one adds it, the other takes it off. Each
    adds one of its own. Where a client is lost, the others give shares of its key; else, of the seed of its own mask.

    The sum itself is shown, and may say much about one client where few take part; it is no differential privacy.

    Args:
        updates: one array or tensor for each client, 3 or more, all of one shape, finite; float32 is summed exactly.
        threshold: how many clients must stay until the end, more than half of them.
        dropped: numbers of clients that are lost after keys and shares were exchanged, before their update arrives.
        bound: what no value exceeds in size; public.
        fraction_bits: places behind the binary point; None takes 0 if all are whole numbers, else 149.

    Returns:
        The sum, on the device of the updates: int64 of whole numbers that it can hold, else float64, each rounded once.

    Raises:
        TypeError: what is no real number.
        ValueError: fewer than 3 clients, shapes or devices that differ, NaN, a value beyond the bound or with more
            places, a client that is not there, or more lost than the threshold bears.

    Source: Bonawitz et al., 2017. Derived in: lectures/60_privacy/computing_on_the_unseen.
    """
    whole, bits, device = _read_updates(updates, bound, fraction_bits)
    parties = len(whole)
    clients = [AggregationClient(number, parties=parties, threshold=threshold) for number in range(parties)]
    if not isinstance(dropped, Collection):
        raise TypeError(f"dropped must be a list of clients' numbers, got {dropped!r}")
    lost = set(dropped)
    if not lost <= set(range(parties)):
        raise ValueError(f"dropped must be numbers of clients from 0 to {parties - 1}, got {sorted(lost)}")
    present = [number for number in range(parties) if number not in lost]
    if len(present) < threshold:
        raise ValueError(too_few(len(present), parties, threshold))
    warn_of_teaching("privacy.secure_aggregation", "a maintained framework, as Flower")

    modulus = 256 ** -(-(1 + bits + (bound * parties).bit_length()) // 8)
    keys = {client.number: client.public_key for client in clients}
    for client in clients:
        for number, shares in client.share_secrets(keys).items():
            clients[number].receive(client.number, shares)
    seen = {number: clients[number].mask(whole[number], modulus=modulus) for number in present}
    answers = {number: clients[number].reveal(present=present, lost=lost) for number in present}
    total = _unmask(seen, answers, keys, threshold=threshold, modulus=modulus)
    found = from_whole(signed(total, modulus), bits)
    return torch.as_tensor(found.astype(np.float64) if found.dtype == object else found, device=device)


def _unmask(
    seen: Mapping[int, np.ndarray],
    answers: Mapping[int, Mapping[int, int]],
    keys: Mapping[int, int],
    *,
    threshold: int,
    modulus: int,
) -> np.ndarray:
    """The server: the sum of what it saw, less the masks that no other client takes off."""
    total = np.asarray(sum(seen.values()), dtype=object)
    for owner in keys:
        points = {number + 1: answer[owner] for number, answer in answers.items()}
        secret = shamir_reconstruct(points, threshold=threshold)
        if owner in seen:
            total = total - noise(secret, total, modulus)
        else:
            for number in seen:
                total = total + pair_mask(owner, number, secret, keys[number], total, modulus)
    return np.asarray(total % modulus, dtype=object)


def pair_mask(number: int, other: int, private_key: int, public_key: int, like: np.ndarray, modulus: int) -> np.ndarray:
    """± G(s), where s is the secret of two clients: plus for the one with the smaller number."""
    shared = pow(public_key, private_key, GROUP).to_bytes(256, "big")
    seed = int.from_bytes(hashlib.sha256(shared).digest(), "big")
    return np.asarray(noise(seed, like, modulus) * (1 if number < other else -1), dtype=object)


def noise(seed: int, like: np.ndarray, modulus: int) -> np.ndarray:
    """G(seed): residues that look uniform to whoever does not know the seed, by SHAKE-256."""
    width = (modulus.bit_length() - 1) // 8
    stream = hashlib.shake_256(seed.to_bytes(SECRET_BITS // 8, "big")).digest(like.size * width)
    found = np.empty(like.size, dtype=object)
    found[:] = [int.from_bytes(stream[start : start + width], "big") for start in range(0, len(stream), width)]
    return found.reshape(like.shape)


def too_few(present: int, parties: int, threshold: int) -> str:
    """The sentence of a protocol that stops."""
    return (
        f"only {present} of {parties} clients are left, and it takes {threshold} to remove the masks: nothing has been "
        "revealed; begin again with those who are there"
    )


def _read_updates(
    updates: Sequence[Any], bound: int, fraction_bits: int | None
) -> tuple[list[np.ndarray], int, torch.device]:
    if isinstance(updates, Tensor | np.ndarray) or not isinstance(updates, Sequence):
        raise TypeError(f"updates must be a list with one array for each client, got {type(updates).__name__}")
    if len(updates) < 3:
        raise ValueError(
            f"updates must come from 3 clients or more, got {len(updates)}: of two, each knows the other's"
        )
    devices = {update.device for update in updates if isinstance(update, Tensor)} or {torch.device("cpu")}
    if len(devices) > 1:
        raise ValueError(f"updates must be on one device, got {', '.join(sorted(map(str, devices)))}")
    found = [read("updates", update, fraction_bits=fraction_bits, bound=bound) for update in updates]
    bits = max(places for _, places in found)
    if len({places for _, places in found}) > 1:
        found = [read("updates", update, fraction_bits=bits, bound=bound) for update in updates]
    shapes = {array.shape for array, _ in found}
    if len(shapes) > 1:
        raise ValueError(f"updates must have one shape, got {', '.join(str(list(s)) for s in sorted(shapes))}")
    return [array for array, _ in found], bits, devices.pop()
