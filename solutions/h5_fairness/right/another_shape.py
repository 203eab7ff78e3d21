"""Every task answered rightly, in another way than the model solution does."""

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor
from torch.nn import functional as F


def confusion_tables(
    labels: np.ndarray, decisions: np.ndarray, groups: np.ndarray, count: int
) -> np.ndarray:
    tables = np.zeros((count, 2, 2), dtype=int)
    for group in set(groups.tolist()):
        mine = groups == group
        tables[group] = confusion_matrix(labels[mine], decisions[mine], labels=[0, 1])
    return tables


def rates(table: np.ndarray) -> dict[str, float | None]:
    def share(part: int, whole: int) -> float | None:
        return None if whole == 0 else part / whole

    return {
        "selection_rate": share(table[0, 1] + table[1, 1], table.sum()),
        "true_positive_rate": share(table[1, 1], table[1, 0] + table[1, 1]),
        "false_positive_rate": share(table[0, 1], table[0, 0] + table[0, 1]),
        "positive_predictive_value": share(table[1, 1], table[0, 1] + table[1, 1]),
    }


def reweighing(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    people = pd.DataFrame({"label": labels, "group": groups})
    likely = people["label"].map(people["label"].value_counts(normalize=True))
    in_group = people.groupby("group")["label"]
    share = in_group.transform("mean")  # of label 1, in the person's group
    return (likely / share.where(people["label"] == 1, 1 - share)).to_numpy()


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    two = torch.stack([torch.zeros_like(logits), logits], dim=1)
    each = -torch.log_softmax(two, dim=1)[torch.arange(len(labels)), labels]
    return torch.dot(each, weights / weights.sum())


def mistakes_gap(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    cells = F.one_hot(2 * labels + groups, 4).to(logits.dtype)
    means = (logits.sigmoid() @ cells / cells.sum(dim=0)).view(2, 2)
    return means.diff(dim=1).square().sum()


def rule_for(
    scores: np.ndarray, labels: np.ndarray, target: float
) -> tuple[float, float]:
    values, counts = np.unique(-scores[labels == 1], return_counts=True)
    reached = np.cumsum(counts)
    needed = target * reached[-1]
    place = int(np.searchsorted(reached, needed - 1e-9))
    return -values[place], 1 - (reached[place] - needed) / counts[place]


def equal_opportunity(
    scores: np.ndarray, labels: np.ndarray, groups: np.ndarray, targets: np.ndarray
) -> list[tuple[float, float]]:
    people = [(scores[groups == g], labels[groups == g]) for g in (0, 1)]

    def mistakes(target: float) -> float:
        total = 0.0
        for s, y in people:
            threshold, chance = rule_for(s, y, target)
            accepted = (s > threshold) + chance * (s == threshold)
            total += np.abs(y - accepted).sum()
        return total

    cheapest = min(targets, key=mistakes)
    return [rule_for(s, y, cheapest) for s, y in people]
