"""The picture of an audit."""

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tml_helpers.fairness.intervals import percent
from tml_helpers.fairness.metrics import said
from tml_helpers.plotting import COLOURS, use_style

if TYPE_CHECKING:
    from tml_helpers.fairness.audit import Audit

GREY = "#666666"
PANELS = {
    "demographic parity": ("selection_rate", "selected,\nof all"),
    "equal opportunity": ("true_positive_rate", "selected, of those\nwith label 1"),
    "predictive equality": ("false_positive_rate", "selected, of those\nwith label 0"),
    "predictive parity": ("positive_predictive_value", "label 1, of those\nselected"),
}
SHORT = {"the groups differ": "groups differ", "cannot be told from chance": "may be chance"}


def draw(audit: "Audit") -> Figure:
    """One panel a metric: a group's rate with its interval, hollow where it is not compared, everybody's as a line."""
    use_style()
    rates = audit.rates
    names = [said(group) for group in audit.metrics.groups]
    figure, axes = plt.subplots(1, len(PANELS), figsize=(7, 1.7 + 0.26 * len(names)), sharey=True)
    for axis, (criterion, (metric, meaning)) in zip(axes, PANELS.items(), strict=True):
        shown = rates[rates["metric"] == metric].reset_index(drop=True)
        for place, row in shown[shown["count"] > 0].iterrows():
            large = row["count"] >= audit.minimum
            colour = COLOURS["blue"] if large else GREY
            axis.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.6)
            axis.plot(row["rate"], place, "o", color=colour, markersize=5, markerfacecolor=colour if large else "white")
        everybody = audit.overall.loc[metric]
        if everybody["count"]:
            axis.axvline(everybody["rate"], color=GREY, linewidth=1, linestyle="--")
        verdict = audit.differences.loc[criterion, "verdict"]
        title = criterion.replace(" ", "\n")
        axis.set_title(f"{title}:\n{SHORT.get(verdict, 'not compared')}", fontsize=9)
        axis.set_xlabel(meaning, fontsize=9)
        axis.set_xlim(-0.03, 1.03)
        axis.set_xticks([0, 0.5, 1], ["0", "½", "1"])
    axes[0].set_yticks(range(len(names)), names, fontsize=9, parse_math=False)  # a dollar sign begins no formula
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    figure.legend(handles=_legend(audit), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def _legend(audit: "Audit") -> list[Line2D]:
    dot: dict[str, Any] = {"marker": "o", "markersize": 5}
    return [
        Line2D([], [], color=COLOURS["blue"], label=f"rate, {percent(audit.confidence)} interval", **dot),
        Line2D([], [], color=GREY, markerfacecolor="white", label=f"fewer than {audit.minimum}", **dot),
        Line2D([], [], color=GREY, linestyle="--", linewidth=1, label="everybody"),
    ]
