# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # H5 · Audit a credit model, and repair it
#
# A bank asks a model who will pay a credit back. Does it treat the young as it treats all
# others? Here you audit such a model with functions of your own, repair it in three ways,
# before, during and after training, and then defend what you would do. The lectures that
# derive the methods are [5.3](../../lectures/50_fairness/definitions.ipynb) and
# [5.4](../../lectures/50_fairness/mitigation.ipynb).
#
# | task | what you write | points | minutes | difficulty |
# |---|---|---|---|---|
# | 1 | the audit: counts and rates of each group | 2 | 40 | ●○○ |
# | 2 | before training: weights | 2 | 30 | ●●○ |
# | 3 | in training: a penalty for unequal mistakes | 2 | 30 | ●●○ |
# | 4 | after training: a threshold for each group | 2 | 50 | ●●● |
# | 5 | choose, and defend (graded by a human) | 2 | 40 | ●●○ |
#
# **How to work.** `tml start h5` puts a copy of this notebook in a folder of your own.
# Open the copy in JupyterLab or on Colab and work there. Run the cells from the top. Where
# a cell says `raise NotImplementedError`, replace that line by your own code. Below each
# answer stand tests: when one fails, its last line says what probably went wrong. After you
# have submitted, further tests run on other inputs, so write what the task says, not what
# one test needs. The second part of Task 4 builds on the first; all else is tested by
# itself. Each task has hints: open them one by one, if you need them. You may add cells of
# your own; please leave the test cells as they are.
#
# **How to submit.** Restart the kernel, run everything once more, and save. Then ask what
# is missing, in the folder of your copy:
#
# ```
# tml check h5_fairness.ipynb
# ```
#
# It runs nothing and answers in plain words. When it says `ready to submit`, submit that
# one file, under that name, where your course says.
#
# Everything here runs in about fifteen seconds on a laptop, without a GPU.

# %% nbgrader={"grade": false, "grade_id": "0a_setup", "locked": true, "schema_version": 3, "solution": false, "task": false} tml={"withhold": ["tml_helpers.fairness", "tml_helpers.kernels", "fairlearn", "aif360"]}
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.data import german_credit

torch.set_num_threads(1)
TOLERANCE = 1e-6

# %% [markdown]
# The data are 1,000 credits of a German bank from the 1970s, and whether they were paid
# back. Before you go on, read their
# [card](../../book/data_cards/german_credit.md): who these people were, which columns were
# misread for 25 years, and what the table cannot say. Those who did not pay back were drawn
# more often than they occurred, and who was refused is not in it.
#
# Group 1 are the 190 people of 25 years or younger, group 0 all others. The model does not
# see age, marital status or foreign work. `Split` divides the people at random: from half
# of them the model learns, a quarter is there to choose thresholds, and the last quarter
# judges.


# %% nbgrader={"grade": false, "grade_id": "0b_people", "locked": true, "schema_version": 3, "solution": false, "task": false}
GROUPS = ("over 25", "25 or younger")
UNSEEN = ["good", "age", "foreign_worker", "personal_status_sex"]

people = german_credit()
paid = people["good"].to_numpy()  # (1000,): 1 where the credit was paid back
young = (people["age"] <= 25).to_numpy().astype(np.int64)  # (1000,): the group
facts = pd.get_dummies(people.drop(columns=UNSEEN), dtype=float)
inputs = torch.tensor(((facts - facts.mean()) / facts.std()).to_numpy()).float()


@dataclass(frozen=True)
class Split:
    """Row numbers: 500 people to learn from, 250 to choose thresholds, 250 to judge."""

    learn: np.ndarray
    choose: np.ndarray
    judge: np.ndarray


def split(seed: int) -> Split:
    """The thousand people, divided at random."""
    order = np.random.default_rng(seed).permutation(len(people))
    return Split(*np.split(order, [500, 750]))


def train(learn: np.ndarray, loss: Callable[[Tensor], Tensor]) -> np.ndarray:
    """Scores of all people, from 0 to 1, by a logistic regression.

    learn: the row numbers of the people to learn from. loss: of their logits (N,).
    """
    model = nn.Linear(inputs.shape[1], 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=0.02)
    for _ in range(100):
        optimiser.zero_grad()
        loss(model(inputs[learn])[:, 0]).backward()
        optimiser.step()
    return torch.sigmoid(model(inputs)[:, 0]).detach().double().numpy()


def plain_scores(learn: np.ndarray) -> np.ndarray:
    """Scores of all people, without any repair."""
    labels = torch.tensor(paid[learn]).float()
    return train(learn, lambda z: F.binary_cross_entropy_with_logits(z, labels))


for group, name in enumerate(GROUPS):
    rows = young == group
    print(f"{name}: {rows.sum()} people, {paid[rows].mean():.0%} paid back")

# %% [markdown]
# ## Task 1 · The audit
#
# *2 points (counts 1, rates 1) · 40 minutes · ●○○*
#
# Read [lecture 5.3](../../lectures/50_fairness/definitions.ipynb), section *A table of four
# counts*.
#
# Write $A$ for the group of a person, $Y$ for the label (1: paid back), and $\hat Y$ for the
# decision (1: gets the credit). All that an audit of decisions needs are the counts of each
# group: how many have this label and got that decision.
#
# **Goal of the first part.** Write `confusion_tables`. A group in which there is nobody has
# a table too, of zeros.
#
# <details><summary>Hint 1: where a person belongs</summary>
#
# The array of the result has eight places for two groups. A person belongs to one: group,
# label and decision are its three indices.
#
# </details>
#
# <details><summary>Hint 2: how to count</summary>
#
# `np.add.at(array, (i, j, k), 1)` counts also where indices repeat. Or give each place one
# number, and count with `np.bincount(numbers, minlength=...)`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1a_counts_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def confusion_tables(
    labels: np.ndarray, decisions: np.ndarray, groups: np.ndarray, count: int
) -> np.ndarray:
    """How many people of each group have each label and got each decision.

    labels, decisions: 0 or 1, int64 (N,). groups: int64 (N,), from 0 to count - 1.
    Returns integers (count, 2, 2): group, label, decision.
    """
    ### BEGIN SOLUTION
    places = 4 * groups + 2 * labels + decisions
    return np.bincount(places, minlength=4 * count).reshape(count, 2, 2)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "1a_counts", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
found = confusion_tables(
    np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 0, 1]), np.array([0, 0, 0, 0, 2]), 3
)
assert found.shape == (3, 2, 2), (
    "return (groups, 2, 2): a group in which there is nobody has a table of zeros"
)
assert abs(found.sum() - 5) < TOLERANCE, "count people, not shares: here are five"
assert found[0, 1, 0] == 1, (
    "one person of group 0 paid back (label 1) and was refused (decision 0): the indices "
    "are group, label, decision, in this order"
)
assert found[0, 1, 1] == 2, "two of group 0 paid back and got the credit"
### BEGIN HIDDEN TESTS
for count, empty in ((2, 0), (4, 1), (5, 4)):
    exact = 1 + np.random.permutation(4 * count).reshape(count, 2, 2)  # all different
    exact[empty] = 0
    cells = np.repeat(np.arange(4 * count), exact.ravel())
    cells = np.random.permutation(cells)
    found = confusion_tables(cells // 2 % 2, cells % 2, cells // 4, count)
    assert found.shape == (count, 2, 2), (
        "return (groups, 2, 2): a group in which there is nobody has a table of zeros"
    )
    assert np.abs(found - exact).max() < TOLERANCE, (
        "not the number of people: the indices are group, label and decision, in this "
        "order, and each person counts once"
    )
### END HIDDEN TESTS

# %% [markdown]
# **Rates.** The usual definitions of fairness compare four shares:
#
# | rate | of whom | which share |
# |---|---|---|
# | selection rate | all | $\hat Y = 1$ |
# | true positive rate | those with $Y = 1$ | $\hat Y = 1$ |
# | false positive rate | those with $Y = 0$ | $\hat Y = 1$ |
# | positive predictive value | those with $\hat Y = 1$ | $Y = 1$ |
#
# A share of nobody is no number. A 0 in its place would be a claim about people who are not
# there, and NaN gets lost in the next mean. So it is `None` here.
#
# **Goal of the second part.** Write `rates`, for the table of one group.
#
# <details><summary>Hint 1: numerator and denominator</summary>
#
# Three rates have the same numerator, and one of these stands in the table's lower right
# corner. The denominator is always the number of the people "of whom".
#
# </details>
#
# <details><summary>Hint 2: None or zero</summary>
#
# A rate may well be 0: nobody of forty. It is undefined where the denominator is 0. Look at
# the denominator, before you divide.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1b_rates_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def rates(table: np.ndarray) -> dict[str, float | None]:
    """The four rates of one group; None where there is nobody of whom to take a share.

    table: integers (2, 2): label, decision. The keys are `selection_rate`,
    `true_positive_rate`, `false_positive_rate` and `positive_predictive_value`.
    """
    ### BEGIN SOLUTION
    accepted = table[:, 1]
    shares = {
        "selection_rate": (accepted.sum(), table.sum()),
        "true_positive_rate": (accepted[1], table[1].sum()),
        "false_positive_rate": (accepted[0], table[0].sum()),
        "positive_predictive_value": (accepted[1], accepted.sum()),
    }
    return {name: float(n / of) if of else None for name, (n, of) in shares.items()}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "1b_rates", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
NAMES = {
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
    "positive_predictive_value",
}
found = rates(np.array([[15, 5], [10, 70]]))
assert set(found) == NAMES, f"the keys are {', '.join(sorted(NAMES))}"
assert abs(found["true_positive_rate"] - 70 / 80) < TOLERANCE, (
    "80 paid back, and 70 of these got the credit"
)
found = rates(np.array([[20, 0], [0, 0]]))
assert found["true_positive_rate"] is None, (
    "nobody paid back, so a share of those who did is undefined: None, not 0 and not NaN"
)
assert found["selection_rate"] is not None, (
    "twenty people, and nobody got a credit: that is a rate of 0, not an undefined one"
)
### BEGIN HIDDEN TESTS
sizes = np.random.choice(np.arange(2, 60), size=4, replace=False).reshape(2, 2)
for empty in np.ndindex(2, 2, 2, 2):  # at first there are people in all cells
    table = sizes * (1 - np.reshape(empty, (2, 2)))
    (tn, fp), (fn, tp) = table.tolist()
    exact = {
        "selection_rate": (tp + fp, tp + fp + tn + fn),
        "true_positive_rate": (tp, tp + fn),
        "false_positive_rate": (fp, fp + tn),
        "positive_predictive_value": (tp, tp + fp),
    }
    found = rates(table)
    assert set(found) == NAMES, "the keys are the names of the four rates"
    for name, (numerator, denominator) in exact.items():
        if denominator == 0:
            assert found[name] is None, (
                f"{name} is a share of nobody here: None, not 0 and not NaN"
            )
        else:
            assert found[name] is not None, (
                f"{name} is defined here: it is 0 where nobody of them is in the "
                "numerator, and None only where the denominator is 0"
            )
            assert abs(found[name] - numerator / denominator) < TOLERANCE, (
                f"{name} is a share of other people: look at the column `of whom`"
            )
### END HIDDEN TESTS

# %% [markdown]
# **Your audit.** One split at random says little: of the 250 people who judge, about 47 are
# young. So here are the means over twenty splits, and the gaps (older minus young) with their
# standard deviation over the splits. That is no confidence interval. It says how far one
# split lies from another. The means are steadier than that; but all splits shuffle the same
# 190 young people, and how others would have come out is not in it.


# %%
@dataclass(frozen=True)
class Case:
    """One split, and the scores of the model without repair."""

    parts: Split
    scores: np.ndarray
    seed: int


cases = [Case(p, plain_scores(p.learn), n) for n, p in enumerate(map(split, range(20)))]
summary: dict[str, dict[str, str]] = {}


def audit(name: str, decide: Callable[[Case], np.ndarray]) -> pd.DataFrame:
    """Add a row to the summary. decide: 0 or 1 for each person who judges."""
    shares, right = [], []
    for case in cases:
        judge = case.parts.judge
        tables = confusion_tables(paid[judge], decide(case), young[judge], 2)
        shares.append([rates(table) for table in tables])
        right.append(tables[:, [0, 1], [0, 1]].sum() / len(judge))
    row = {"accuracy": f"{np.mean(right):.1%}"}
    for rate, short in (
        ("selection_rate", "accepted"),
        ("true_positive_rate", "TPR"),
        ("false_positive_rate", "FPR"),
    ):
        older, younger = np.array([[r[rate] for r in each] for each in shares]).T
        gap = 100 * (older - younger)
        row[short] = f"{older.mean():.0%} | {younger.mean():.0%}"
        row[f"{short} gap"] = f"{gap.mean():+.0f} ± {gap.std():.0f}"
    summary[name] = row
    return pd.DataFrame(summary).T


def without_repair(case: Case) -> np.ndarray:
    """The credit goes to those whose score is at least one half."""
    return (case.scores[case.parts.judge] >= 0.5).astype(np.int64)


audit("without repair", without_repair)

# %% [markdown]
# Expect about 73 % of decisions right, and acceptance rates that lie some ten points apart.
# The model never saw anybody's age.

# %% [markdown]
# ## Task 2 · Before training: weights
#
# *2 points (weights 1, loss 1) · 30 minutes · ●●○*
#
# Read [lecture 5.4](../../lectures/50_fairness/mitigation.ipynb), section *Before training:
# weights*.
#
# In the table, label and group are dependent: the young have paid back less often. Count
# each person $w$ times, with
#
# $$ w = \frac{P(A)\, P(Y)}{P(A, Y)}, $$
#
# where $P(A)$ is the share of the person's group among all, $P(Y)$ that of their label, and
# $P(A, Y)$ that of the people who have both. Then group and label are independent, and each
# keeps the share that it had.
#
# **Goal of the first part.** Write `reweighing`, for any number of groups.
#
# <details><summary>Hint 1: a share</summary>
#
# The mean of an array of `True` and `False` is the share of `True`.
#
# </details>
#
# <details><summary>Hint 2: a loop over places</summary>
#
# For each group that occurs and each label: which people have both? All of these get the
# same weight.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2a_weights_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def reweighing(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """A weight for each person; with them label and group are independent.

    labels: 0 or 1, int64 (N,). groups: int64 (N,). Each group has people of both labels.
    Returns (N,), more than 0.
    """
    ### BEGIN SOLUTION
    weights = np.empty(len(labels))
    for group in np.unique(groups):
        for label in (0, 1):
            mine, same = groups == group, labels == label
            weights[mine & same] = mine.mean() * same.mean() / (mine & same).mean()
    return weights
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "2a_weights", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
labels = np.array([1, 1, 1, 0, 1, 0, 0, 0])
groups = np.array([0, 0, 0, 0, 1, 1, 1, 1])
found = reweighing(labels, groups)
assert found.shape == (8,), "return one weight for each person"
assert abs(found[0] - 2 / 3) < TOLERANCE, (
    "half belong to group 0, half have label 1, and 3 of 8 have both: 1/2 · 1/2 / (3/8)"
)
assert abs(found[4] - 2) < TOLERANCE, (
    "one of eight has label 1 and is in group 1: rare pairs get large weights"
)
### BEGIN HIDDEN TESTS
for count in (2, 3, 4):
    cells = 3 + np.random.permutation(2 * count)  # all different
    cells[np.random.randint(2 * count)] += 30
    drawn = np.random.permutation(np.repeat(np.arange(2 * count), cells))
    labels, groups = drawn % 2, drawn // 2
    found = reweighing(labels, groups)
    assert found.shape == labels.shape, "return one weight for each person"
    for group in range(count):
        mine = groups == group
        share = found[mine & (labels == 1)].sum() / found[mine].sum()
        assert abs(share - labels.mean()) < 1e-4, (
            "with these weights the share of label 1 is not the same in each group as it "
            "is among all people without weights"
        )
        assert abs(found[mine].sum() - mine.sum()) < 1e-4 * len(labels), (
            "with these weights a group is not as large as it was: each group and each "
            "label keeps its share"
        )
        for label in (0, 1):
            both = mine & (labels == label)
            exact = mine.sum() * (labels == label).sum() / (both.sum() * len(labels))
            assert np.abs(found[both] - exact).max() < 1e-4, (
                "not P(A) P(Y) / P(A, Y) of the person's own group and label"
            )
### END HIDDEN TESTS

# %% [markdown]
# **The loss.** Training must count each person that often. The weighted loss is the sum of
# weight times cross-entropy, over the people, divided by the sum of the weights.
#
# **Goal of the second part.** Write `weighted_loss`. `F.binary_cross_entropy_with_logits`
# gives the cross-entropy of each person with `reduction="none"`; it asks for labels as
# floats.
#
# <details><summary>Hint: how to check yours</summary>
#
# A weight of 2 counts like two people who are alike, and weights that are all the same count
# like none.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2b_loss_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of the cross-entropy. logits, weights: (N,). labels: int64 (N,).

    Returns a scalar, to call backward on.
    """
    ### BEGIN SOLUTION
    each = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
    return (weights * each).sum() / weights.sum()
    ### END SOLUTION


# Given, for the tests: keep these functions in the same cell.
def try_weighted_loss(
    logits: Tensor, labels: Tensor, weights: Tensor
) -> tuple[float, Tensor | None]:
    """The loss, and its gradient with respect to the logits, if it has one."""
    leaf = logits.clone().requires_grad_()
    loss = weighted_loss(leaf, labels, weights)
    if loss.requires_grad:
        loss.backward()
    return float(loss.detach()), leaf.grad


def reweighed(case: Case) -> np.ndarray:
    """Decisions of a model that learnt from weighted people."""
    learn, judge = case.parts.learn, case.parts.judge
    weights = torch.tensor(reweighing(paid[learn], young[learn])).float()
    labels = torch.tensor(paid[learn])
    scores = train(learn, lambda z: weighted_loss(z, labels, weights))
    return (scores[judge] >= 0.5).astype(np.int64)


# %% nbgrader={"grade": true, "grade_id": "2b_loss", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
value, slope = try_weighted_loss(
    torch.tensor([0.0, 2.0]), torch.tensor([1, 1]), torch.tensor([3.0, 1.0])
)
assert abs(value - 0.551592) < 1e-4, (
    "the cross-entropies are 0.6931 and 0.1269: (3 · 0.6931 + 1 · 0.1269) / 4 = 0.5516"
)
assert slope is not None, (
    "no gradient reaches the logits: return a tensor, not a number"
)
### BEGIN HIDDEN TESTS
for size in (6, 15):
    logits = (0.5 + 2 * torch.rand(size)) * (2 * torch.randint(2, (size,)) - 1)
    labels = torch.randint(2, (size,))
    labels[:2] = torch.tensor([0, 1])
    logits[:2] = torch.tensor([2.0, -1.0])  # two are misread, by unequal amounts
    weights = 2 + torch.rand(size)
    weights[0] = 9
    toward = logits * (2 * labels - 1)  # positive where the label is the likelier one
    exact = float((weights * torch.log1p(torch.exp(-toward))).sum() / weights.sum())
    value, slope = try_weighted_loss(logits, labels, weights)
    assert abs(value - exact) < 1e-4, (
        "not the weighted mean: is each person's cross-entropy multiplied by the weight, "
        "and the sum divided by the sum of the weights?"
    )
    assert slope is not None, "no gradient reaches the logits: return a tensor"
    known = weights * (torch.sigmoid(logits) - labels) / weights.sum()
    assert (slope - known).abs().max() < 1e-4, (
        "the gradient is not the weighted loss's: does every part of it stay a tensor?"
    )
### END HIDDEN TESTS

# %%
audit("reweighed", reweighed)

# %% [markdown]
# ## Task 3 · In training: a penalty for unequal mistakes
#
# *2 points (value 1, gradient 1) · 30 minutes · ●●○*
#
# Read [lecture 5.4](../../lectures/50_fairness/mitigation.ipynb), section *In training: three
# penalties*.
#
# Equal mistakes would mean the same false positive rate and the same false negative rate in
# both groups. But a decision is a step, and a step has no gradient. So the score
# $R = \operatorname{sigmoid}(\text{logit})$ takes its place, and the penalty is
#
# $$ \big(\mathrm{E}[R \mid Y = 0, A = 0] - \mathrm{E}[R \mid Y = 0, A = 1]\big)^2 +
#    \big(\mathrm{E}[R \mid Y = 1, A = 0] - \mathrm{E}[R \mid Y = 1, A = 1]\big)^2, $$
#
# in words: among those who did not pay back, how far apart are the mean scores of the two
# groups? And among those who did? Training minimises the loss plus a price times this.
#
# **Goal.** Write `mistakes_gap`.
#
# <details><summary>Hint 1: four means</summary>
#
# A mean over the people with label 0 in group 1 takes a mask with `&`, and both conditions
# in brackets.
#
# </details>
#
# <details><summary>Hint 2: the gradient</summary>
#
# All that is done with the scores must be done with tensors: without `float`, `item`,
# `detach` or NumPy, and without a comparison such as "at least one half".
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "3_gap_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mistakes_gap(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """(gap of mean scores where the label is 0)² + (the same where it is 1)².

    logits: (N,). labels, groups: 0 or 1, int64 (N,); all four pairs occur.
    Returns a scalar, to call backward on.
    """
    ### BEGIN SOLUTION
    scores = torch.sigmoid(logits)

    def gap(label: int) -> Tensor:
        first, second = (
            scores[(labels == label) & (groups == g)].mean() for g in (0, 1)
        )
        return first - second

    return gap(0) ** 2 + gap(1) ** 2
    ### END SOLUTION


# Given, for the tests: keep these functions in the same cell.
def try_mistakes_gap(
    logits: Tensor, labels: Tensor, groups: Tensor
) -> tuple[float, Tensor | None]:
    """The penalty, and its gradient with respect to the logits, if it has one."""
    leaf = logits.clone().requires_grad_()
    penalty = torch.as_tensor(mistakes_gap(leaf, labels, groups))
    if penalty.requires_grad:
        penalty.backward()
    return float(penalty.detach()), leaf.grad


def penalised(case: Case, price: float = 10) -> np.ndarray:
    """Decisions of a model that paid for unequal mistakes while it learnt."""
    learn, judge = case.parts.learn, case.parts.judge
    labels, groups = torch.tensor(paid[learn]), torch.tensor(young[learn])

    def loss(logits: Tensor) -> Tensor:
        likely = F.binary_cross_entropy_with_logits(logits, labels.float())
        return likely + price * mistakes_gap(logits, labels, groups)

    return (train(learn, loss)[judge] >= 0.5).astype(np.int64)


# %% [markdown]
# **Value.**


# %% nbgrader={"grade": true, "grade_id": "3a_value", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
def logits_of(scores: Tensor) -> Tensor:
    """The logits whose sigmoid is these scores."""
    return torch.log(scores / (1 - scores))


z = logits_of(torch.tensor([0.2, 0.4, 0.5, 0.9, 0.7, 0.9]))
y, a = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 0, 1, 0, 1, 1])
value, _ = try_mistakes_gap(z, y, a)
assert abs(value - 0.05) < 1e-4, (
    "mean scores are 0.3 and 0.5 for label 0, and 0.9 and 0.8 for label 1: 0.2² + 0.1²"
)
### BEGIN HIDDEN TESTS
for _ in range(3):
    # Group 0 is read with more confidence than group 1, where labels are 0 and where 1.
    y = torch.arange(2).repeat(20)
    a = torch.cat([torch.zeros(18 + torch.randint(5, ())), torch.ones(22)])[:40].long()
    z = (2.0 - 1.5 * a) * (2 * y - 1) + 0.4 * (torch.rand(40) - 0.5)
    drawn = torch.randperm(40)
    y, a, z = y[drawn], a[drawn], z[drawn]
    cells = {(i, j): [] for i in (0, 1) for j in (0, 1)}
    for logit, *cell in zip(z.tolist(), y.tolist(), a.tolist(), strict=True):
        cells[tuple(cell)].append(1 / (1 + math.exp(-logit)))
    mean = {cell: sum(scores) / len(scores) for cell, scores in cells.items()}
    exact = sum((mean[i, 0] - mean[i, 1]) ** 2 for i in (0, 1))
    value, _ = try_mistakes_gap(z, y, a)
    assert abs(value - exact) < 1e-4, (
        "not the sum of the two squared gaps: mean scores (not logits, not decisions) of "
        "the groups are compared among those with label 0, and among those with label 1"
    )
    value, _ = try_mistakes_gap(z, y, 1 - a)
    assert abs(value - exact) < 1e-4, "which group is called 0 must change nothing"
### END HIDDEN TESTS

# %% [markdown]
# **Gradient.**

# %% nbgrader={"grade": true, "grade_id": "3b_gradient", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
z = torch.tensor([-1.0, 0.5, 1.0, 0.2])
y, a = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
_, slope = try_mistakes_gap(z, y, a)
assert slope is not None, (
    "no gradient reaches the logits: a penalty without one changes nothing in training"
)
assert slope[0] < 0 < slope[1], (
    "the gap shrinks as the lower of two scores rises, and as the higher one falls: both "
    "need a gradient"
)
### BEGIN HIDDEN TESTS
for _ in range(3):
    y = torch.arange(2).repeat(20)
    a = torch.cat([torch.zeros(18 + torch.randint(5, ())), torch.ones(22)])[:40].long()
    z = (2.0 - 1.5 * a) * (2 * y - 1) + 0.4 * (torch.rand(40) - 0.5)
    s = torch.sigmoid(z)
    exact = torch.zeros(40)
    for label in (0, 1):
        first, second = (y == label) & (a == 0), (y == label) & (a == 1)
        gap = float(s[first].mean() - s[second].mean())
        inner = s * (1 - s)
        exact += 2 * gap * inner * (first / first.sum() - second / second.sum())
    _, slope = try_mistakes_gap(z, y, a)
    assert slope is not None, "no gradient reaches the logits"
    assert (slope - exact).norm() < 1e-2 * exact.norm(), (
        "the gradient is not the penalty's: does each of the four means stay a tensor "
        "with a gradient, and are scores compared, not decisions?"
    )
### END HIDDEN TESTS

# %%
audit("penalised", penalised)

# %% [markdown]
# ## Task 4 · After training: a threshold for each group
#
# *2 points (rule 1, choice 1) · 50 minutes · ●●●*
#
# Read [lecture 5.3](../../lectures/50_fairness/definitions.ipynb), section *Equal
# opportunity*, and [lecture 5.4](../../lectures/50_fairness/mitigation.ipynb), section *After
# training: a derived predictor*.
#
# The model stays as it is; only what is done with its scores changes, and group by group.
# *Equal opportunity* asks for the same true positive rate in both groups. With few people
# thresholds alone rarely do that exactly, so a coin helps. A **rule** is a pair of numbers:
# who has a score above the `threshold` gets the credit; who has exactly that score gets it
# with probability `chance`; who has less does not.
#
# **Goal of the first part.** Write `rule_for`. Its threshold is the score of somebody who
# paid back. Of those who paid back, it accepts the share `target`, in expectation and
# exactly: with `target` 0.5 and five of them, two and one half.
#
# <details><summary>Hint 1: where the threshold lies</summary>
#
# Sort the scores of those with label 1, the highest first. How many of them are needed? At
# whose score has one reached that number?
#
# </details>
#
# <details><summary>Hint 2: the chance</summary>
#
# Count those with label 1 above the threshold, and at it. There may be several at it, with
# equal scores. Above they are all accepted: how many are still missing, and of how many?
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "4a_rule_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def rule_for(
    scores: np.ndarray, labels: np.ndarray, target: float
) -> tuple[float, float]:
    """Threshold and chance that accept the share `target` of those with label 1.

    scores: (N,). labels: 0 or 1, (N,). target: more than 0, and at most 1.
    """
    ### BEGIN SOLUTION
    good = np.sort(scores[labels == 1])[::-1]
    needed = target * len(good)
    threshold = good[math.ceil(needed - 1e-9) - 1]
    above, at = (good > threshold).sum(), (good == threshold).sum()
    return float(threshold), float((needed - above) / at)
    ### END SOLUTION


# Given: keep it in the same cell.
def chances(scores: np.ndarray, rule: tuple[float, float]) -> np.ndarray:
    """The probability with which a rule accepts each person: (N,)."""
    threshold, chance = rule
    return np.where(scores > threshold, 1.0, np.where(scores == threshold, chance, 0.0))


# %% nbgrader={"grade": true, "grade_id": "4a_rule", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
six = np.array([0.75, 0.9, 0.8, 0.4, 0.7, 0.6])
who_paid = np.array([0, 1, 0, 1, 1, 1])
threshold, chance = map(float, rule_for(six, who_paid, 0.4))
assert abs(threshold - 0.7) < TOLERANCE, (
    "four paid back, with scores 0.9, 0.7, 0.6 and 0.4, and 0.4 · 4 = 1.6 are to be "
    "accepted: the threshold is 0.7"
)
assert abs(chance - 0.6) < TOLERANCE, (
    "0.9 is accepted for sure: so 0.6 of a person is still missing, and 0.7 is accepted "
    "with probability 0.6"
)
### BEGIN HIDDEN TESTS
for each in (1, 2, 3):  # so many people have each score
    values = np.random.permutation(1024)[:27] / 1024
    good, others = np.repeat(values[:9], each), np.repeat(values[3:], 2)
    drawn = np.random.permutation(len(good) + len(others))
    scores = np.concatenate([good, others])[drawn]
    y = np.repeat([1, 0], [len(good), len(others)])[drawn]
    for k in (0, len(good) // 3, len(good) // 2, len(good) - 1):
        target = (k + 0.1 + 0.8 * np.random.rand()) / len(good)
        threshold, chance = map(float, rule_for(scores, y, target))
        assert threshold in good, (
            "the threshold is the score of somebody who paid back, and exactly that score"
        )
        assert 0 <= chance <= 1, "the chance is a probability"
        sure, maybe = (good > threshold).sum(), (good == threshold).sum()
        assert abs((sure + chance * maybe) / len(good) - target) < TOLERANCE, (
            "the share of those with label 1 who are accepted is not the target: the sure "
            "ones, and the chance times all who stand at the threshold"
        )
### END HIDDEN TESTS

# %% [markdown]
# **The choice.** Any target makes the groups' true positive rates equal. Which one costs
# least? That with the highest accuracy over *all* people: the expected share of right
# decisions, where somebody with label 1 is decided rightly with the probability of being
# accepted, and somebody with label 0 with that of being refused.
#
# **Goal of the second part.** Write `equal_opportunity`. `chances` gives the probability of
# each person.
#
# <details><summary>Hint 1: one target</summary>
#
# For one target: make a rule for each group, from its people alone. Fill an array with the
# probability of each person, and average over all people what is right.
#
# </details>
#
# <details><summary>Hint 2: many targets</summary>
#
# Keep the best accuracy so far and its rules, in a loop over the targets.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "4b_choice_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def equal_opportunity(
    scores: np.ndarray, labels: np.ndarray, groups: np.ndarray, targets: np.ndarray
) -> list[tuple[float, float]]:
    """The rules of group 0 and group 1 with one target for both, that of highest accuracy.

    scores: (N,). labels, groups: 0 or 1, (N,). targets: true positive rates to try, (T,).
    """
    ### BEGIN SOLUTION
    best, chosen = -1.0, []
    for target in targets:
        rules, accepted = [], np.empty(len(scores))
        for group in (0, 1):
            mine = groups == group
            rules.append(rule_for(scores[mine], labels[mine], target))
            accepted[mine] = chances(scores[mine], rules[-1])
        accuracy = np.where(labels == 1, accepted, 1 - accepted).mean()
        if accuracy > best:
            best, chosen = accuracy, rules
    return chosen
    ### END SOLUTION


# Given: keep it in the same cell.
def with_two_thresholds(case: Case) -> np.ndarray:
    """Decisions by the rule of each person's group, from scores without repair."""
    some, judge = case.parts.choose, case.parts.judge
    rules = equal_opportunity(
        case.scores[some], paid[some], young[some], np.linspace(0.02, 1, 50)
    )
    by_group = np.stack([chances(case.scores[judge], rule) for rule in rules])
    accepted = by_group[young[judge], np.arange(len(judge))]
    coins = np.random.default_rng(case.seed).random(len(judge))
    return (coins < accepted).astype(np.int64)


# %% nbgrader={"grade": true, "grade_id": "4b_choice", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
def accepted_of(scores: np.ndarray, rule: tuple[float, float]) -> np.ndarray:
    """The probability with which a rule accepts each person: (N,)."""
    threshold, chance = map(float, rule)
    assert 0 <= chance <= 1, "the chance is a probability"
    return (scores > threshold) + chance * (scores == threshold)


eight = np.array([0.9, 0.8, 0.7, 0.3, 0.6, 0.5, 0.4, 0.2])
who_paid, group = np.array([1, 1, 0, 0, 1, 1, 0, 0]), np.array([0, 0, 0, 0, 1, 1, 1, 1])
rules = equal_opportunity(eight, who_paid, group, np.array([0.25, 0.5, 1.0]))
assert len(rules) == 2, "return two rules, that of group 0 first"
for k, rule in enumerate(rules):
    assert abs(accepted_of(eight, rule)[(group == k) & (who_paid == 1)].mean() - 1) < (
        TOLERANCE
    ), "here both groups can be told apart without a mistake, with target 1"
### BEGIN HIDDEN TESTS
# In the large group it is best to stop after those who score high, in the small one to go
# on: the label, how high the score, how many of them in the large and in the small group.
KINDS = np.array([[1, 2, 58, 18], [1, 1, 39, 11], [0, 1, 60, 0], [0, 0, 40, 10]])
for large in (0, 1, 0, 1):
    rows = np.repeat(np.tile(KINDS, (2, 1)), KINDS[:, 2:].T.ravel(), axis=0)
    a = np.repeat([large, 1 - large], KINDS[:, 2:].sum(axis=0))
    drawn = np.random.permutation(len(rows))
    rows, a = rows[drawn], a[drawn]
    y = rows[:, 0]
    heights = [np.random.choice(1024, size=3, replace=False) for group in (0, 1)]
    s = np.sort(heights, axis=1)[a, rows[:, 1]] / 1024  # three scores in each group
    targets = np.linspace(0.03, 0.99, 25)
    best = 0.0
    for target in targets:
        right = 0.0
        for group in (0, 1):
            ones = np.sort(s[(a == group) & (y == 1)])[::-1]
            needed = target * len(ones)
            at = ones[int(needed)]
            chance = (needed - (ones > at).sum()) / (ones == at).sum()
            zeros = s[(a == group) & (y == 0)]
            right += needed + (zeros < at).sum() + (1 - chance) * (zeros == at).sum()
        best = max(best, right / len(s))
    rules = equal_opportunity(s, y, a, targets)
    assert len(rules) == 2, "return two rules, that of group 0 first"
    p = np.where(a == 0, accepted_of(s, rules[0]), accepted_of(s, rules[1]))
    first, second = (p[(y == 1) & (a == group)].mean() for group in (0, 1))
    assert abs(first - second) < TOLERANCE, (
        f"the true positive rates are {first:.3f} and {second:.3f}: one target for both "
        "groups, and each rule from the people of its own group"
    )
    assert np.abs(targets - first).min() < TOLERANCE, "the target is one of those given"
    reached = np.where(y == 1, p, 1 - p).mean()
    assert reached > best - TOLERANCE, (
        f"{reached:.1%} of decisions are right, and with another target {best:.1%} would "
        "be: the accuracy counts over all people, those with label 0 as well, and who "
        "stands at the threshold is accepted with probability `chance`"
    )
### END HIDDEN TESTS

# %%
audit("two thresholds", with_two_thresholds)

# %% [markdown]
# Expect about the same accuracy in all four rows, within a point or so. Each repair brings
# acceptance and true positive rates nearer to each other, and takes the false positive
# rates further apart. The two thresholds spread most over the splits: they are chosen from
# about 47 young people, and judged by 47 others.

# %% [markdown]
# ## Task 5 · Choose, and defend
#
# *2 points · 40 minutes · graded by a human, with the rubrics below*
#
# ### a. Who gains, who pays (1 point)
#
# Read [lecture 5.4](../../lectures/50_fairness/mitigation.ipynb), section *Whose price?*, and
# [lecture 5.5](../../lectures/50_fairness/individuals_and_audits.ipynb), section *What an
# audit is, and is not*.
#
# In four to six sentences: what does your audit say of the model without repair? For two of
# the three repairs: who gains and who pays, in people and in your numbers, and which of these
# differences can your table not tell from chance?
#
# *Rubric.* ½ point: for two repairs, a group of people that gains and one that pays, named
# as people (such as "young applicants who would have paid back and are refused", the bank,
# borrowers who do not pay back), each with a number from the table. ½ point: a difference
# that is too small for this sample, and why (how many people it rests on, or how far it
# spreads).
#
# <details><summary>Hint: how many people</summary>
#
# A true positive rate of the young rests on those of them who paid back: 110 in the whole
# table. A share of 110 people has a standard error of about four points.
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "5a_who_pays", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# Without repair the model accepts 77 % of the older and 67 % of the young applicants, though
# it was never told an age; of those who pay back it accepts 86 % and 78 %. With the penalty,
# young people who pay back gain: 83 % of them get the credit. Young people who do not pay
# back get it more often as well, 57 % instead of 52 %: the bank pays for that, and so do
# they, with a debt that they do not pay off. With two thresholds the good borrowers of both
# groups gain, 87 % and 85 %, and the price is higher: two thirds of the young who do not pay
# back are accepted, instead of half, and more of the older, 58 % instead of 53 %. What my
# table cannot tell apart are the repairs: gaps of 4, 2 and 2 points rest on 110 young people
# who paid back, where one standard error is four points, and the table does not compare the
# repairs person by person. Even the 8 points without repair are hardly two standard errors:
# more than I expect from chance, and not proved.

# %% [markdown]
# ### b. The decision (1 point)
#
# Read [lecture 5.3](../../lectures/50_fairness/definitions.ipynb), section *They cannot all
# hold*, and [lecture 5.5](../../lectures/50_fairness/individuals_and_audits.ipynb), section
# *Labels only for those who were accepted*.
#
# The bank's committee asks you which of the four it should use; "none" and "not this model"
# are answers, too. In five to eight sentences: decide, give your reason, say what no number
# in your table can decide, and give the best argument of those who would decide otherwise.
#
# *Rubric.* Every decision can get full marks. ½ point: a decision, and a reason that names
# the harm which it prevents, and who bears the cost of it. ½ point: a question that these
# numbers cannot decide (what the label and the sample leave out, which mistake is worse, who
# may be treated by group, whether it is the model's task at all), *and* the other side's best
# argument, put so that the other side would agree with the wording.
#
# <details><summary>Hint 1: what the table leaves out</summary>
#
# Read the data card once more: who is in the table, how were they drawn, and what does 0
# mean for the one who could not pay?
#
# </details>
#
# <details><summary>Hint 2: the other side</summary>
#
# Write down the sentence that you would least like to hear from somebody whom you respect.
# If it is easy to refute, look for a better one.
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "5b_decide", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# I would use the model that was trained with the penalty. The harm that I want to prevent
# is that a young person who would pay back is refused, perhaps at the first credit of a
# life; the cost falls on the bank, and on young people who are lent what they cannot pay.
# I prefer it to two thresholds, for those judge two people with the same score differently
# by their age alone, and by a coin. But my model learnt from ages, too; whether the law
# allows the one or the other is a question for a lawyer.
# My numbers cannot decide whether a good customer who is refused weighs as much as a credit
# that is lost, as accuracy has it. Nor do they know anything of those whom the bank refused
# before, or of how often people really fail, for bad credits were drawn more often. The best
# argument against me: in this table 42 % of the young did not pay back and 27 % of the
# others. A score that follows this treats each applicant by the risk that the bank bears,
# and nobody is helped by a debt that ends in court. If a society wants more credits for the
# young, it should say so and stand surety for them, in the open, and not move a line inside
# a loss function that no applicant will ever read. I hold against it only that to follow a
# group's past is a choice, too.

# %% [markdown]
# ## Before you submit
#
# Restart the kernel, run all cells, save, and run `tml check h5_fairness.ipynb`. It lists
# what is missing, and says `ready to submit` when nothing is.
