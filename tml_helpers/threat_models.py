"""The card that stands before every attack and defence: who attacks, what they know, what they can do."""

from dataclasses import dataclass
from typing import Literal

from tml_helpers._console import legible

Knowledge = Literal["white box", "grey box", "black box"]


@dataclass(frozen=True, kw_only=True)
class ThreatModel:
    """Goal, knowledge, capability and queries of an attacker, shown by a notebook as a table.

    `knowledge` is `"white box"` (weights and gradients), `"grey box"` (some of training data, architecture, defence)
    or `"black box"` (answers only). `capability` says what may be changed and by how much. `queries` is how many
    answers the attacker gets: None where that does not matter. `out_of_scope` says what the card does not cover.

    Raises ValueError for another knowledge, empty words, or fewer than 0 queries.
    Derived in: lectures/20_adversarial/linear_explanation.
    """

    goal: str
    knowledge: Knowledge
    capability: str
    queries: int | None = None
    out_of_scope: str = ""

    def __post_init__(self) -> None:
        if self.knowledge not in ("white box", "grey box", "black box"):
            raise ValueError(f"knowledge is white box, grey box or black box; got {self.knowledge!r}")
        if not self.goal.strip() or not self.capability.strip():
            raise ValueError("a threat model says the attacker's goal and capability, in words")
        if self.queries is not None and self.queries < 0:
            raise ValueError(f"queries is 0 or more, or None for no limit; got {self.queries}")

    def rows(self) -> dict[str, str]:
        """The card's lines: what is asked, and the answer."""
        asked = "as many as the attacker likes" if self.queries is None else f"{self.queries:,}"
        rows = {"goal": self.goal, "knowledge": self.knowledge, "capability": self.capability, "queries": asked}
        return rows | ({"out of scope": self.out_of_scope} if self.out_of_scope else {})

    def __str__(self) -> str:
        return legible("\n".join(f"{name:<12}  {answer}" for name, answer in self.rows().items()))

    def _repr_markdown_(self) -> str:
        lines = "\n".join(f"| **{name}** | {answer} |" for name, answer in self.rows().items())
        return f"| threat model | |\n|---|---|\n{lines}\n"
