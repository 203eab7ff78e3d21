"""Proportional fairness: does each one get what its contribution deserves?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tml_helpers.fairness._common import check_lengths, read_numbers

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class ProportionalFairness:
    """How the rewards of n agents go with their contributions."""

    table: "pandas.DataFrame"
    """A row for each agent: `contribution`, `reward`, `deserved` (the reward in proportion), `ratio` of reward and
    deserved, 1 where it is fair."""
    violations: "pandas.DataFrame"
    """A row for each pair out of order: `agent`, `other` (rows of `table`), and the `reason`."""

    @property
    def ordered(self) -> bool:
        """Whether more contribution always has more reward, and equal contributions have equal rewards."""
        return len(self.violations) == 0

    @property
    def largest_gap(self) -> float:
        """The largest |ratio − 1|: 0 where all rewards are in proportion."""
        return float((self.table["ratio"] - 1).abs().max())


def proportional_fairness(contributions: Any, rewards: Any, *, tolerance: float = 1e-9) -> ProportionalFairness:
    """rewardᵢ / Σ rewards = contributionᵢ / Σ contributions: you get what you deserve.

    Two demands, the second weaker. In proportion: an agent that gave twice as much gets twice as much. In order, the
    hierarchy of contribution levels: of two agents the one that gave more gets more, and those on one level get the
    same. What counts as a contribution is agreed on beforehand; the numbers do not say whether that was fair.

    Args:
        contributions: what each agent gave, `[n]`, above 0, in any unit: examples, levels, money.
        rewards: what each got, `[n]`, 0 or more and not all 0: accuracy above that of a model of its own, money.
        tolerance: contributions, and rewards, that differ by no more, relative to the largest, are equal.

    Returns:
        A table of the agents, and the pairs that are out of order.

    Raises:
        TypeError: what holds no numbers.
        ValueError: fewer than two agents, lengths that differ, values that are not finite or out of range.

    Source: Zhang, Li, Robles-Kelly and Kankanhalli, 2020. Derived in: lectures/50_fairness/individuals_and_audits
    """
    import pandas

    gave, got = _amounts("contributions", contributions), _amounts("rewards", rewards)
    check_lengths(contributions=gave, rewards=got)
    if len(gave) < 2:
        raise ValueError("two agents or more can be compared, got one")
    if gave.min() <= 0:
        raise ValueError(f"contributions must be above 0, got {gave.min():g}")
    if got.max() <= 0:
        raise ValueError("rewards must not all be 0: there is nothing to share")
    deserved = got.sum() * gave / gave.sum()
    table = pandas.DataFrame({"contribution": gave, "reward": got, "deserved": deserved, "ratio": got / deserved})
    lead, gain = np.subtract.outer(gave, gave), np.subtract.outer(got, got)
    close, even = tolerance * gave.max(), tolerance * got.max()
    kinds = {
        "gave more and did not get more": (lead > close) & (gain <= even),
        "gave the same and got more": (np.abs(lead) <= close) & (gain > even),
    }
    found = [(int(i), int(j), reason) for reason, pairs in kinds.items() for i, j in np.argwhere(pairs)]
    return ProportionalFairness(table, pandas.DataFrame(found, columns=["agent", "other", "reason"]))


def _amounts(name: str, values: Any) -> np.ndarray:
    """Finite numbers of 0 or more, `[n]`."""
    amounts = read_numbers(name, values, "numbers").astype(np.float64)
    wrong = amounts[~(np.isfinite(amounts) & (amounts >= 0))]
    if len(wrong):
        raise ValueError(f"{name} must be finite and 0 or more, got {wrong[0]:g}")
    return amounts
