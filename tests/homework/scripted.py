"""A wire on which a submission's replies are written down before, for tests that need no submission."""

from types import SimpleNamespace
from typing import Any

from tml_helpers.grading.proxies import Peer

OBJECT = {"reference": [7, "object", "Stack", []]}


class Line:
    """A wire on which these replies come, one after the other; `sent` is what was asked."""

    def __init__(self, *replies: Any) -> None:
        self.replies, self.sent = list(replies), list[dict[str, Any]]()
        self.until: float | None = None
        self.closed = False
        self.end = SimpleNamespace(close=lambda: setattr(self, "closed", True))

    def send(self, message: Any, buffers: list[bytes]) -> None:
        self.sent.append(message)

    def receive(self) -> tuple[Any, list[bytes]]:
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply, []


def peer(*replies: Any, allowed: set[tuple[str, str]] | None = frozenset(), **modules: str) -> tuple[Peer, Line]:
    """A peer in the test `t` that has 10 seconds; `allowed` None is the model solution's."""
    line = Line(*replies)
    made = Peer(line, allowed=None if allowed is None else set(allowed), modules=modules)
    made.begin("t", 10)
    return made, line


def fetched(*replies: Any, allowed: set[tuple[str, str]] | None = frozenset()) -> tuple[Any, Peer, Line]:
    """A handle for the submission's object `x`."""
    made, line = peer({"values": {"x": OBJECT}}, *replies, allowed=allowed)
    return made.fetch(["x"])["x"], made, line
