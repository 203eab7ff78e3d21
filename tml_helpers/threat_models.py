"""The card at the head of every attack and defence: who attacks, what they know, what they can do."""

from dataclasses import dataclass
from html import escape
from typing import Literal

from tml_helpers._console import legible

__all__ = ["Knowledge", "ThreatModel"]

Knowledge = Literal["white box", "grey box", "black box"]


@dataclass(frozen=True, kw_only=True)
class ThreatModel:
    """Goal, knowledge, capability and queries of an attacker, shown by a notebook as a table.

    Args:
        goal: what the attacker wants, in words.
        knowledge: `"white box"` (weights and gradients), `"grey box"` (some of training data, architecture, defence) or
            `"black box"` (answers only).
        capability: what may be changed and by how much, in words.
        queries: how many answers the attacker gets, 0 or more; None where that does not matter.
        out_of_scope: what the card does not cover, in words.

    Raises:
        ValueError: another knowledge, empty words, or queries that are no whole number of 0 or more.

    Derived in: lectures/00_foundations/trust.
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
        count = isinstance(self.queries, int) and not isinstance(self.queries, bool)
        if self.queries is not None and not (count and self.queries >= 0):
            raise ValueError(f"queries is a whole number of 0 or more, or None for no limit; got {self.queries!r}")

    def rows(self) -> dict[str, str]:
        """The card's lines.

        Returns:
            What is asked, and the answer, in the card's order.
        """
        asked = "as many as the attacker likes" if self.queries is None else f"{self.queries:,}"
        rows = {"goal": self.goal, "knowledge": self.knowledge, "capability": self.capability, "queries": asked}
        return rows | ({"out of scope": self.out_of_scope} if self.out_of_scope else {})

    def __str__(self) -> str:
        return legible("\n".join(f"{name:<12}  {answer}" for name, answer in self.rows().items()))

    def _repr_html_(self) -> str:
        lines = "".join(
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(answer)}</td></tr>\n'
            for name, answer in self.rows().items()
        )
        return f'<table class="threat-model">\n<caption>Threat model</caption>\n<tbody>\n{lines}</tbody>\n</table>'

    def _repr_markdown_(self) -> str:
        lines = "\n".join(f"| **{name}** | {answer} |" for name, answer in self.rows().items())
        return f"| threat model | |\n|---|---|\n{lines}\n"
