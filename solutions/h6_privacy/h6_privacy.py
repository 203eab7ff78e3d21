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
# # H6 · Promise privacy, then attack the promise
#
# A promise of privacy is a number, $\varepsilon$. Here you make that promise twice with code
# of your own: for a survey with an awkward question, and for a model that learns from
# images. Then you attack your own model, hold what you find against what was promised, and
# find out whether a colleague's promise is true. The lectures that derive the methods are
# [6.1](../../lectures/60_privacy/differential_privacy.ipynb),
# [6.2](../../lectures/60_privacy/dp_sgd.ipynb) and
# [6.3](../../lectures/60_privacy/membership_inference.ipynb).
#
# | task | what you write | points | minutes | difficulty |
# |---|---|---|---|---|
# | 1 | a survey in which everybody can deny | 3 | 40 | ●○○ |
# | 2 | DP-SGD by hand | 3 | 50 | ●●○ |
# | 3 | an attack on your own model | 2 | 40 | ●●● |
# | 4 | what is promised, and what was measured (graded by a human) | 2 | 40 | ●●○ |
#
# **How to work.** `tml start h6` puts a copy of this notebook in a folder of your own.
# Open the copy in JupyterLab or on Colab and work there. Run the cells from the top. Where
# a cell says `raise NotImplementedError`, replace that line by your own code. Below each
# answer stand tests: when one fails, its last line says what probably went wrong. After you
# have submitted, further tests run on other inputs, so write what the task says, not what
# one test needs. Each of your functions is tested by itself: a slip in one costs you nothing
# in the next. No function of yours draws at random: coins and noise are handed in, so what
# you return can be checked. Each task has hints: open them one by one, if you need them. You
# may add cells of your own; please leave the test cells as they are.
#
# **How to submit.** Restart the kernel, run everything once more, and save. Then ask what
# is missing, in the folder of your copy:
#
# ```
# tml check h6_privacy.ipynb
# ```
#
# It runs nothing and answers in plain words. When it says `ready to submit`, submit that
# one file, under that name, where your course says.
#
# Everything here runs in about ten seconds on a laptop, without a GPU.

# %% nbgrader={"grade": false, "grade_id": "0a_setup", "locked": true, "schema_version": 3, "solution": false, "task": false} tml={"withhold": ["tml_helpers.privacy", "tml_helpers.kernels", "opacus", "dp_accounting", "diffprivlib"]}
import math
from collections.abc import Callable
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.stats import binom
from torch import Tensor
from torch.nn import functional as F

from tml_helpers.data import mnist

torch.set_num_threads(1)
TOLERANCE = 1e-6


def error(found: np.ndarray | Tensor, right: np.ndarray | Tensor) -> float:
    """The largest difference; infinite where the shapes differ."""
    found, right = np.asarray(found, dtype=float), np.asarray(right, dtype=float)
    return np.abs(found - right).max() if found.shape == right.shape else np.inf


# %% [markdown]
# **The measuring stick.** A promise is an upper bound; an attack gives a lower one. Take a
# secret that a fair coin decides: somebody's answer is yes or no, somebody's record is in
# the data or is not. An attacker who sees only what was published guesses which. Where
# $\varepsilon$ was promised, and $\delta$ is 0, a guess is right with a probability of at
# most $e^\varepsilon / (1 + e^\varepsilon)$. So whoever is right clearly more often has
# *refuted* the promise. `lower_bound` gives the $\varepsilon$ that so many right guesses
# prove, with 95 % confidence: against a mechanism that keeps a smaller one, an attacker is
# so lucky in at most one of twenty runs. It is given, and you need not read it; lecture 6.1
# explains it in the section *Attack every ε*.


# %% nbgrader={"grade": false, "grade_id": "0b_bound", "locked": true, "schema_version": 3, "solution": false, "task": false}
def lower_bound(right: int, guesses: int, records: int, delta: float) -> float:
    """The ε that so many right guesses prove, with 95 % confidence (Steinke et al. 2023).

    records: how many were in or out by a coin of their own; guesses: on how many of them.
    """

    def probability(epsilon: float) -> float:
        """The most likely it can be, with ε and δ, that so many guesses are right."""
        tails = binom.sf(
            np.arange(right, -1, -1) - 1, guesses, 1 / (1 + math.exp(-epsilon))
        )
        slack = ((tails[1:] - tails[0]) / np.arange(1, right + 1)).max(initial=0)
        return tails[0] + 2 * records * delta * slack

    low, high = 0.0, 20.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if probability(middle) < 0.05 else (low, middle)
    return low


# %% [markdown]
# ## Task 1 · A survey in which everybody can deny
#
# *3 points (report 1, estimate 1, epsilon 1) · 40 minutes · ●○○*
#
# Read [lecture 6.1](../../lectures/60_privacy/differential_privacy.ipynb), sections *The
# question: would you tell?* and *From an excuse to a number*.
#
# Have you ever cheated in an exam? Asked like that, many lie. So everybody draws first, in
# secret: with probability $\tau$ you tell the truth. Otherwise you toss a fair coin and say
# what *it* says, yes or no. A yes then proves nothing about you, and yet the share of those
# who cheated can be found out.
#
# **Goal of the first part.** Write `respond`. Each person has a row of two draws, uniform
# between 0 and 1. The first decides whether the truth is told: it is, where this draw is
# less than `truth`. The second is the coin: it says yes where this draw is less than one
# half.
#
# <details><summary>Hint 1: one person</summary>
#
# Write down what a person says who cheated and draws (0.9, 0.2), with a `truth` of 0.5.
# Does the answer matter at all?
#
# </details>
#
# <details><summary>Hint 2: all of them</summary>
#
# `np.where(condition, one, other)` takes, row by row, from `one` where the condition is
# true, and from `other` where it is not.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1a_report_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def respond(answers: np.ndarray, draws: np.ndarray, truth: float) -> np.ndarray:
    """What each person says: the truth, or what a fair coin says.

    answers: bool (N,), True for yes. draws: (N, 2), uniform in [0, 1): whether the truth
    is told, and the coin. truth: the probability of telling it. Returns bool (N,).
    """
    ### BEGIN SOLUTION
    told, coin = draws[:, 0] < truth, draws[:, 1] < 0.5
    return np.where(told, answers, coin)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "1a_report", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
answers = np.array([True, False, True, False])
draws = np.array([[0.1, 0.7], [0.3, 0.2], [0.9, 0.8], [0.6, 0.4]])
said = np.asarray(respond(answers, draws, 0.5), dtype=float)
assert said.shape == (4,), "return one report for each person"
assert [said[0], said[1]] == [1, 0], (
    "the first draws of the first two are below 0.5: they tell the truth, yes and no"
)
assert said[2] == 0, (
    "the third person says what the coin says: 0.8 is no. It is a draw of its own"
)
assert said[3] == 1, "the fourth person's answer is no, and the coin says yes: 0.4"
### BEGIN HIDDEN TESTS
for truth in (0.25, 0.5, 0.8):
    # Truth told, coin, answer, and whether the first draw lies close to `truth`.
    kinds = np.array(list(product((0, 1), repeat=4)) * 3)
    kinds = kinds[np.random.permutation(len(kinds))]
    told, coin, answer, close = kinds.T
    u = 0.02 + 0.96 * np.random.rand(2, len(kinds))
    off = np.where(close, 0.2, 1) * u[0]
    first = np.where(told, truth - truth * off, truth + (1 - truth) * off)
    second = np.where(coin, 0.5 * u[1], 0.5 + 0.5 * u[1])
    said = np.asarray(
        respond(answer == 1, np.stack([first, second], axis=1), truth), dtype=float
    )
    assert said.shape == answer.shape, "return one report for each person"
    assert np.abs(said - answer)[told == 1].max() < TOLERANCE, (
        "where the first draw is less than `truth`, the report is the answer, whatever "
        "the coin says"
    )
    assert np.abs(said - coin)[told == 0].max() < TOLERANCE, (
        "where the truth is not told, the report is the coin, yes or no: not the opposite "
        "of the answer, not always the same, and not drawn from the first number again"
    )
### END HIDDEN TESTS

# %% [markdown]
# **The share.** Of the reports, too many say yes where few cheated, for the coins say yes
# half of the time. But how many too many is known on average, and can be taken off.
#
# **Goal of the second part.** Write `estimate`. It must be *unbiased*: its mean over all
# that could be drawn is the true share, whatever that is. A single estimate may be off, and
# even lie below 0 or above 1; who cuts it off there makes the mean wrong.
#
# <details><summary>Hint 1: forwards</summary>
#
# If a share $P$ cheated, which share of reports says yes on average? Those who tell the
# truth give $\tau P$. What do the coins add?
#
# </details>
#
# <details><summary>Hint 2: backwards</summary>
#
# Set the share of reports that say yes equal to that, and solve for $P$.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1b_estimate_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def estimate(reports: np.ndarray, truth: float) -> float:
    """The share of people whose answer is yes, without bias.

    reports: bool (N,). truth: the probability that a person told the truth, above 0.
    """
    ### BEGIN SOLUTION
    return float((reports.mean() - (1 - truth) / 2) / truth)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "1b_estimate", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
eight = np.array([True, False, False, True, False, True, False, False])
assert abs(estimate(eight, 1.0) - 3 / 8) < TOLERANCE, (
    "when all tell the truth, three of eight reports are three of eight people"
)
assert abs(estimate(eight, 0.5) - 0.25) < TOLERANCE, (
    "half of all reports are coins, so a quarter of all say yes by a coin alone: "
    "3/8 - 1/4 is what the truth gave, and it was told by one half"
)
### BEGIN HIDDEN TESTS
for count, truth in ((4, 0.5), (6, 0.25), (5, 0.7)):
    outcomes = np.array(list(product((False, True), repeat=count)))
    estimates = np.array([float(estimate(each, truth)) for each in outcomes])
    for yes in range(count + 1):
        # The probability of each outcome where the first `yes` people say yes.
        says_yes = truth * (np.arange(count) < yes) + (1 - truth) / 2
        likely = np.where(outcomes, says_yes, 1 - says_yes).prod(axis=1)
        assert abs(likely @ estimates - yes / count) < TOLERANCE, (
            "the mean over all that could be drawn is not the true share: a coin says yes "
            "half of the time, and the truth is told by the share `truth`; nothing is cut "
            "off at 0 and 1"
        )
    assert np.ptp(estimates[outcomes.sum(axis=1) == 1]) < TOLERANCE, (
        "who said yes must not matter, only how many"
    )
### END HIDDEN TESTS

# %% [markdown]
# **The promise.** Somebody's answer can be yes or no: the two *inputs*. Write down the
# probability of each report for each of them, in a table with a row for each input and a
# column for each output. The mechanism is $\varepsilon$-differentially private if no output
# is more than $e^\varepsilon$ times as probable for one input as for another, *whichever two
# inputs* and *whichever output*. The best promise is the smallest such $\varepsilon$.
#
# **Goal of the third part.** Write `epsilon`, for a table of any size. An output that no
# input can give tells nothing. One that some inputs can give, and another cannot, gives
# somebody away for sure: then $\varepsilon$ is infinite, `math.inf`.
#
# <details><summary>Hint 1: which ratio</summary>
#
# Each ratio is taken within one column. In a column, the largest ratio is that of its
# largest number to its smallest.
#
# </details>
#
# <details><summary>Hint 2: zeros</summary>
#
# Take off the columns that are 0 everywhere before you divide. A 0 that is left stands in a
# column with a number above 0.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1c_epsilon_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def epsilon(table: np.ndarray) -> float:
    """The smallest ε that a mechanism keeps; `math.inf` where there is none.

    table: (inputs, outputs), the probability of each output; each row adds up to 1.
    """
    ### BEGIN SOLUTION
    possible = table[:, table.max(axis=0) > 0]
    if possible.min() == 0:
        return math.inf
    return float(np.log(possible.max(axis=0) / possible.min(axis=0)).max())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "1c_epsilon", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
coins = np.array([[0.75, 0.25], [0.25, 0.75]])
assert abs(epsilon(coins) - math.log(3)) < TOLERANCE, (
    "each report is three times as probable for one answer as for the other: log 3, the "
    "natural logarithm of the ratio"
)
assert abs(epsilon(np.array([[0.4, 0.5, 0.1], [0.4, 0.5, 0.1]]))) < TOLERANCE, (
    "both rows are the same: what comes out tells nothing, and ε is 0. Ratios are taken "
    "within a column"
)
assert epsilon(np.array([[0.5, 0.5], [1.0, 0.0]])) == math.inf, (
    "the second output is possible for the first input alone: whoever sees it knows"
)
### BEGIN HIDDEN TESTS
for inputs, outputs in ((2, 4), (4, 3), (5, 5)):
    base = np.random.permutation(np.linspace(1, 4, outputs)) / 4  # unequal columns
    rows = np.tile(base, (inputs, 1)) * (1 + 0.1 * np.random.rand(inputs, outputs))
    worst = np.random.randint(outputs)
    for row in (0, inputs - 1):
        unequal = rows.copy()
        unequal[row, worst] *= 0.05 + 0.05 * np.random.rand()
        unequal[1:-1, worst] *= 0.3  # those between are nearer to both
        unequal /= unequal.sum(axis=1, keepdims=True)
        exact = max(
            math.log(column[a] / column[b])
            for column in unequal.T
            for a, b in product(range(inputs), repeat=2)
        )
        assert abs(epsilon(unequal) - exact) < TOLERANCE, (
            "not the logarithm of the largest ratio: over all outputs, over all pairs of "
            "inputs, and in both directions"
        )
        silent = np.insert(unequal, np.random.randint(outputs + 1), 0.0, axis=1)
        assert abs(epsilon(silent) - exact) < TOLERANCE, (
            "an output that no input can give tells nothing: leave its column out"
        )
        unequal[row, worst] = 0
        unequal /= unequal.sum(axis=1, keepdims=True)
        assert epsilon(unequal) == math.inf, (
            "an output that one input cannot give and another can: no ε is large enough"
        )
### END HIDDEN TESTS

# %% [markdown]
# **Your survey.** Each row below is 300 surveys of 1,000 people, of whom 12 % cheated, with
# another $\tau$: the promise, and how far a survey's estimate lies from the true share. The
# last column attacks the promise. Here 1,000 answers are tossed by a fair coin, and the
# attacker believes every report.

# %%
rng = np.random.default_rng(6)
cheated, tossed = np.arange(1000) < 120, rng.random(1000) < 0.5
rows = {}
for truth in (0.9, 0.5, 0.25, 0.1):
    table = np.array([[1 + truth, 1 - truth], [1 - truth, 1 + truth]]) / 2
    surveys = rng.random((300, 1000, 2))
    found = [estimate(respond(cheated, draws, truth), truth) for draws in surveys]
    right = (respond(tossed, rng.random((1000, 2)), truth) == tossed).sum()
    rows[f"truth {truth}"] = {
        "estimate": f"{np.mean(found):.1%} ± {np.std(found):.1%}",
        "promised ε": f"{epsilon(table):.2f}",
        "right guesses": f"{right} of 1000",
        "ε at least": f"{lower_bound(right, 1000, 1000, 0.0):.2f}",
    }
pd.DataFrame.from_dict(rows, orient="index")

# %% [markdown]
# Expect all means near 12 %, and a spread that grows as the promise gets stronger, from about
# one point to more than ten. The lower bounds come near the promises and stay below: this
# attacker has used all that the mechanism gives away.

# %% [markdown]
# ## Task 2 · DP-SGD by hand
#
# *3 points (gradients 1, clipping 1, step 1) · 50 minutes · ●●○*
#
# Read [lecture 6.2](../../lectures/60_privacy/dp_sgd.ipynb), sections *The idea: shorten,
# add, blur* and *By hand, in four ways*.
#
# The model reads digits by one matrix $\theta$ of weights, with a row for each class: its
# logits are $\theta x$. One value of each image is always 1, so that a class can have a
# bias. Such a model is small enough to write all of DP-SGD by hand, and large enough to
# learn a few hundred people by heart.
#
# An ordinary step of training follows the mean gradient, and one odd image can turn that
# as far as it likes. To bound what *each image* can do, one needs the gradient of each image
# by itself.
#
# **Goal of the first part.** Write `per_sample_gradients`: of each image, the gradient of
# *its own* cross-entropy with respect to the weights.
#
# <details><summary>Hint 1: the slow way</summary>
#
# In a loop over the images, one at a time, `torch.autograd.grad(loss, leaf)` gives the
# gradient, where `leaf` is a copy of the weights with `requires_grad_()`.
#
# </details>
#
# <details><summary>Hint 2: the fast way</summary>
#
# The cross-entropy's gradient with respect to the logits is softmax minus one-hot label.
# Each weight's gradient is one of these numbers times one pixel: an outer product for each
# image. A loop is as right, and slower: training below then takes some seconds longer.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2a_gradients_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def per_sample_gradients(weights: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """The gradient of each image's own cross-entropy with respect to the weights.

    weights: (K, D). images: (B, D). labels: int64 (B,). Returns (B, K, D).
    """
    ### BEGIN SOLUTION
    excess = torch.softmax(images @ weights.T, dim=1)
    excess -= F.one_hot(labels, len(weights))
    return excess[:, :, None] * images[:, None, :]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "2a_gradients", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
found = per_sample_gradients(
    torch.zeros(2, 3),
    torch.tensor([[1.0, 2.0, 0.0], [0.0, 4.0, 1.0]]),
    torch.tensor([0, 1]),
)
assert found.shape == (2, 2, 3), "return (images, classes, pixels): one for each image"
assert abs(found[0, 0, 1] + 1) < 1e-4, (
    "weights of zero give each of two classes one half, so the first image moves the "
    "logit of its own class by 1/2 - 1, times its pixel 2: -1. It is the gradient of its "
    "own loss, not a share of the mean's"
)
assert abs(found[1, 0, 1] - 2) < 1e-4, "the second image, class 0: (1/2 - 0) times 4"
### BEGIN HIDDEN TESTS
for count, classes, pixels in ((1, 3, 4), (6, 4, 7), (9, 10, 5)):
    weights, images = torch.randn(classes, pixels), torch.rand(count, pixels) + 0.1
    labels = torch.randint(classes, (count,))
    chances = torch.softmax((images @ weights.T).double(), dim=1)
    chances[torch.arange(count), labels] -= 1
    exact = torch.einsum("bk,bd->bkd", chances, images.double())
    found = per_sample_gradients(weights, images, labels)
    assert found.shape == exact.shape, "return (images, classes, pixels)"
    assert (found - exact).abs().max() < 1e-4, (
        "not the gradient of each image's own cross-entropy: nothing is divided by the "
        "number of images, and nothing is left over from the image before"
    )
    found = per_sample_gradients(100 * weights.abs() + 300, images, labels)
    assert found.isfinite().all(), (
        "large logits overflow: let softmax or cross_entropy of PyTorch see the logits"
    )
### END HIDDEN TESTS

# %% [markdown]
# **Clipping.** Let $g_i$ be the gradient of image $i$, with all of its numbers, and
# $\lVert g_i \rVert$ its length, the root of the sum of all their squares. Clipped to the
# bound $C$, which the lecture calls the clip norm, it is
#
# $$ \bar g_i = g_i \cdot \min\big(1, C / \lVert g_i \rVert\big). $$
#
# What is longer than $C$ is made as long as $C$ and keeps its direction, and what is shorter
# stays as it is. Then no image can move the sum of the gradients by more than $C$, whatever
# is in it.
#
# **Goal of the second part.** Write `clip`. An image that the model reads perfectly has a
# gradient of zeros: it stays zeros.
#
# <details><summary>Hint 1: one length for each image</summary>
#
# `gradients.flatten(1)` makes a row of all the numbers of an image. Each row has one length.
#
# </details>
#
# <details><summary>Hint 2: shapes, and zero</summary>
#
# A factor of shape (B, 1, 1) multiplies each image's gradient by its own number. `C / 0` is
# infinite, and `clamp(max=1)` makes 1 of it.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2b_clipping_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def clip(gradients: Tensor, bound: float) -> Tensor:
    """Each image's gradient, shortened to the length `bound` where it is longer.

    gradients: (B, K, D). bound: the length, more than 0. Returns (B, K, D).
    """
    ### BEGIN SOLUTION
    lengths = gradients.flatten(1).norm(dim=1)
    return gradients * (bound / lengths).clamp(max=1)[:, None, None]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "2b_clipping", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
two = torch.tensor([[[6.0, 0.0], [0.0, 8.0]], [[0.3, 0.0], [0.0, 0.4]]])
found = clip(two, 5.0)
assert found.shape == (2, 2, 2), "return a gradient for each image, in the same shape"
assert error(found[0], torch.tensor([[3.0, 0.0], [0.0, 4.0]])) < 1e-4, (
    "the first gradient has length 10, the root of 6² + 8², and the bound is 5: all of "
    "its numbers are halved"
)
assert error(found[1], two[1]) < 1e-4, (
    "the second has length 0.5 and is short enough: it stays as it is"
)
### BEGIN HIDDEN TESTS
for count, bound in ((8, 0.5), (12, 3.0)):
    half = count // 2
    g = torch.randn(count, 4, 6) * torch.tensor([0.2, 1.0, 2.0, 0.5])[:, None]
    g /= g.flatten(1).norm(dim=1)[:, None, None]
    times = torch.cat([0.1 + 0.5 * torch.rand(half), 1.5 + 4 * torch.rand(half)])
    times[0] = 0
    times = times[torch.randperm(count)]
    g *= (bound * times)[:, None, None]
    found = clip(g, bound)
    assert found.shape == g.shape, "return a gradient for each image, in the same shape"
    assert found.isfinite().all(), "a gradient of zeros stays zeros: 0/0 is no number"
    lengths = found.flatten(1).norm(dim=1)
    assert lengths.max() < bound * (1 + 1e-4), (
        "an image's gradient is longer than the bound: its length is the root of the sum "
        "of the squares of all its numbers, not of each row and not of each number"
    )
    assert (found - g)[times < 1].abs().max() < 1e-4 * bound, (
        "a gradient that is shorter than the bound stays as it is, whatever the others are"
    )
    assert (lengths - bound)[times > 1].abs().max() < 1e-3 * bound, (
        "a gradient that is longer than the bound is made as long as the bound, each by "
        "its own factor"
    )
    turned = (
        found / lengths.clamp(min=1e-9)[:, None, None] * (bound * times)[:, None, None]
    )
    assert (turned - g).abs().max() < 1e-3 * bound, (
        "the direction must stay: multiply all numbers of a gradient by one factor"
    )
### END HIDDEN TESTS

# %% [markdown]
# **The step.** One image can now move the sum by $C$ at most. Gaussian noise of that scale
# hides whether it was there: of standard deviation $\sigma C$ in every weight, once for the
# whole batch. The batch is drawn as the theory wants it: each image takes part with the
# same probability, by a coin of its own. So its size varies, and the size itself would tell
# something. That is why the sum is divided by the size that was *expected*, a fixed number.
#
# **Goal of the third part.** Write `private_step`, one step of gradient descent:
#
# $$ \theta \leftarrow \theta - \text{rate} \cdot
#    \frac{\sum_i \bar g_i + \sigma C \cdot \text{noise}}{\text{expected size}} . $$
#
# The noise is handed in, standard normal. A batch can be empty: then the step is noise
# alone.
#
# <details><summary>Hint: how to check yours</summary>
#
# With the same noise, twice the images make twice the sum, and the noise stays what it was.
# A sum over no images has the right shape, if it is taken along the first dimension.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2c_step_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def private_step(
    weights: Tensor,
    clipped: Tensor,
    noise: Tensor,
    *,
    bound: float,
    noise_multiplier: float,
    expected: float,
    rate: float,
) -> Tensor:
    """The weights after one step of gradient descent with noise.

    weights: (K, D). clipped: (B, K, D), one gradient for each image, none longer than
    `bound`; B may be 0. noise: standard normal (K, D). noise_multiplier: σ, how many
    bounds the noise's standard deviation is. expected: the batch's expected size.
    """
    ### BEGIN SOLUTION
    noisy = clipped.sum(dim=0) + noise_multiplier * bound * noise
    return weights - rate * noisy / expected
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "2c_step", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
numbers = {"bound": 2.0, "noise_multiplier": 3.0, "expected": 4.0, "rate": 0.5}
zero, ones = torch.zeros(1, 2), torch.ones(1, 2)
found = private_step(zero, torch.tensor([[[1.0, 0.0]]] * 8), zero, **numbers)
assert found.shape == (1, 2), "return the weights, (classes, pixels)"
assert error(found, torch.tensor([[-1.0, 0.0]])) < 1e-4, (
    "eight gradients of 1 add up to 8, and 4 images were expected: downhill by "
    "0.5 · 8/4. The sum is not divided by how many came"
)
found = private_step(zero, torch.zeros(8, 1, 2), ones, **numbers)
assert error(found, -0.75 * ones) < 1e-4, (
    "the noise is 3 · 2 = 6, σ times the bound, once for the whole batch: 0.5 · 6/4"
)
### BEGIN HIDDEN TESTS
for count in (1, 5, 12, 0):
    weights, noise = torch.randn(3, 4), torch.randn(3, 4)
    bound, sigma = 2 + torch.rand(()).item(), 3 + torch.rand(()).item()
    expected, rate = 7 + torch.rand(()).item(), 0.5 + torch.rand(()).item()
    clipped = torch.rand(count, 3, 4) * bound / 4
    numbers = {
        "bound": bound,
        "noise_multiplier": sigma,
        "expected": expected,
        "rate": rate,
    }
    found = private_step(weights, clipped, noise, **numbers)
    assert found.shape == weights.shape, "return the weights, (classes, pixels)"
    assert found.isfinite().all(), (
        "an empty batch is a step of noise alone: the sum of no gradients is 0"
    )
    for part, z, right in (
        (clipped, torch.zeros(3, 4), clipped.sum(dim=0)),
        (torch.zeros_like(clipped), noise, sigma * bound * noise),
        (clipped, noise, clipped.sum(dim=0) + sigma * bound * noise),
    ):
        step = (weights - private_step(weights, part, z, **numbers)) * expected / rate
        assert (step - right).abs().max() < 1e-3, (
            "not the step of the formula: the sum of the gradients, plus σ times the bound "
            "times the noise, once, all of it divided by the expected size, downhill"
        )
### END HIDDEN TESTS

# %% [markdown]
# **What a training run promises.** The noise of all steps together gives one pair
# $(\varepsilon, \delta)$ for the whole run. `promised` computes it from the noise, the
# probability $q$ with which an image takes part in a step, and the number of steps, as
# lecture 6.2 derives it. It is given. So is the training loop: it draws each batch and each
# noise, and leaves the step to the function that is handed in. Its seed stands in the code,
# so that you can compare your table. In earnest the seed is a secret, and the generator one
# of cryptography: who can draw the same noise can take it off again.


# %% nbgrader={"grade": false, "grade_id": "2d_training", "locked": true, "schema_version": 3, "solution": false, "task": false}
DELTA = 1e-5


def promised(noise_multiplier: float, sample_rate: float, steps: int) -> float:
    """An ε that a run of DP-SGD keeps, with δ = DELTA (Mironov et al. 2019)."""
    best = math.inf
    for order in range(2, 200):
        k = np.arange(order + 1)
        ways = [math.log(math.comb(order, j)) for j in k]
        parts = ways + k * math.log(sample_rate) + (order - k) * np.log1p(-sample_rate)
        parts += k * (k - 1) / (2 * noise_multiplier**2)
        divergence = steps * np.logaddexp.reduce(parts) / (order - 1)
        spent = math.log1p(-1 / order) - math.log(DELTA * order) / (order - 1)
        best = min(best, divergence + spent)
    return best


Update = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def train(
    update: Update, images: Tensor, labels: Tensor, sample_rate: float, steps: int
) -> Tensor:
    """Weights (10, D) after so many steps; update: weights, images, labels, noise."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.zeros(10, images.shape[1])
    for _ in range(steps):
        batch = torch.rand(len(images), generator=generator) < sample_rate
        noise = torch.randn(weights.shape, generator=generator)
        weights = update(weights, images[batch], labels[batch], noise)
    return weights


# %% [markdown]
# ## Task 3 · An attack on your own model
#
# *2 points (scores 1, true positive rate 1) · 40 minutes · ●●●*
#
# Read [lecture 6.3](../../lectures/60_privacy/membership_inference.ipynb), sections *The
# game* and *Attack 1: a threshold*.
#
# Somebody holds an image with its label, sees what a model says to it, and asks: was it one
# of those that the model was trained on? To have been in some sets, as that of a clinic, is
# a secret by itself. The simplest attack looks at the loss: what a model has seen, it
# usually reads with less of it.
#
# **Goal of the first part.** Write `membership_scores`: for each image $\log p_y$, which is
# minus its cross-entropy, where $p_y$ is the probability that the model gives to the image's
# *label*. Higher means: more likely a member. Logits may be large.
#
# <details><summary>Hint: large logits</summary>
#
# Probabilities below about $10^{-45}$ are 0 for the computer, and the logarithm of 0 is
# minus infinity. `log_softmax` and `cross_entropy` never compute the probability itself.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "3a_scores_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def membership_scores(logits: Tensor, labels: Tensor) -> Tensor:
    """Minus the cross-entropy of each image; higher: more likely a member.

    logits: (N, K). labels: int64 (N,). Returns (N,).
    """
    ### BEGIN SOLUTION
    return -F.cross_entropy(logits, labels, reduction="none")
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "3a_scores", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
z = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]]))
found = membership_scores(z, torch.tensor([0, 1]))
assert found.shape == (2,), "return one score for each image"
assert found[0] > found[1], (
    "the first image's label has probability 0.7, the second's 0.2: the first is more "
    "likely a member, and its score is higher"
)
assert abs(found[1] - math.log(0.2)) < 1e-4, (
    "the score is the logarithm of the probability of the label, here log 0.2, whatever "
    "the model's first choice is"
)
### BEGIN HIDDEN TESTS
for count, classes, scale in ((5, 3, 1.0), (40, 10, 3.0), (30, 6, 200.0)):
    logits = scale * torch.randn(count, classes)
    logits[:, 0] += 3 * scale  # so the first choice is often another than the label
    labels = torch.randint(classes, (count,))
    labels[0] = classes - 1
    exact = torch.log_softmax(logits.double(), dim=1)[torch.arange(count), labels]
    found = membership_scores(logits, labels)
    assert found.shape == (count,), "return one score for each image"
    assert found.isfinite().all(), (
        "with large logits a probability rounds to 0, and its logarithm is no number: "
        "never compute the probability itself"
    )
    assert (found - exact).abs().max() < 1e-4 * (1 + scale), (
        "not minus the cross-entropy of each image and its label"
    )
### END HIDDEN TESTS

# %% [markdown]
# **How good is an attack?** Not its accuracy: an attacker who is right about a few people,
# and sure of them, has done the harm. So fix how many may be accused wrongly. The attacker
# picks a threshold and says "member" of everybody whose score is *at least* that high. Then
# the false positive rate is the share of non-members of whom this is said, and the true
# positive rate that of members.
#
# **Goal of the second part.** Write `true_positive_rate`: the highest true positive rate
# that any threshold reaches, while the false positive rate is at most `allowed`.
#
# <details><summary>Hint 1: how many non-members</summary>
#
# With 10 non-members and `allowed` 0.25, how many may be above the threshold? Sort their
# scores, the highest first. Which of them must stay below it?
#
# </details>
#
# <details><summary>Hint 2: equal scores</summary>
#
# A threshold cannot tell two people with the same score apart: a member who ties with the
# first non-member that must stay below stays below as well.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "3b_rate_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def true_positive_rate(
    members: np.ndarray, others: np.ndarray, allowed: float
) -> float:
    """The highest true positive rate with a false positive rate of at most `allowed`.

    members: scores (M,). others: the scores of non-members (N,). allowed: from 0 to 1.
    """
    ### BEGIN SOLUTION
    wrongly = math.floor(allowed * len(others) + 1e-9)
    if wrongly >= len(others):
        return 1.0
    stays_below = np.sort(others)[::-1][wrongly]
    return float((members > stays_below).mean())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "3b_rate", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
five = np.array([0.9, 0.8, 0.6, 0.5, 0.1])
four = np.array([0.7, 0.5, 0.3, 0.2])
assert abs(true_positive_rate(five, four, 0.0) - 0.4) < TOLERANCE, (
    "nobody may be accused wrongly: the threshold lies above 0.7, and two of five members "
    "are as high"
)
assert abs(true_positive_rate(five, four, 0.25) - 0.6) < TOLERANCE, (
    "one of four may be accused wrongly: 0.9, 0.8 and 0.6 are found. The member with 0.5 "
    "ties with a second non-member"
)
assert abs(true_positive_rate(five, four, 1.0) - 1) < TOLERANCE, (
    "if all may be accused, all members are found"
)
### BEGIN HIDDEN TESTS
for ties in (1, 3):
    for count in (16, 40):
        places = np.random.permutation(60)[:count] + np.arange(0, 3 * count, 3)
        others = np.sort(np.random.permutation(places.astype(float)))
        gaps = np.concatenate([others[1:] + others[:-1], [2 * others[-1] + 9]]) / 2
        members = np.repeat(np.concatenate([others, gaps, gaps - 0.01]), 2)
        members = np.random.permutation(members[members > others[2]])
        others = np.random.permutation(np.repeat(others, ties))
        for k in (0, 1, count // 2, count - 2):
            allowed = (k + 0.2 + 0.6 * np.random.rand()) / len(others)
            exact = max(
                [
                    (members >= t).mean()
                    for t in {*members}
                    if (others >= t).mean() <= allowed
                ],
                default=0.0,
            )
            found = float(true_positive_rate(members, others, allowed))
            assert found < exact + TOLERANCE, (
                "no threshold reaches so many while so few are accused wrongly: who has "
                "the threshold's score is accused as well, and the share that is allowed "
                "is one of the non-members"
            )
            assert found > exact - TOLERANCE, (
                "a lower threshold finds more members, and does not accuse more than the "
                "allowed share of non-members"
            )
### END HIDDEN TESTS

# %% [markdown]
# **Your model, and your attack.** There are 2,000 candidates, and for each a fair coin
# decides whether it is a member: about 1,000 are. Of the candidates, 200 are *canaries*: odd
# cases, here images with a wrong label. A model can read them as labelled only if it learns
# them by heart, as it does with the rare patient in a clinic's data.
#
# **Threat model.** The attacker has the finished model, with its weights, and all candidates
# with their labels, but not the coins: which of them were members is the secret.
#
# Three models are trained. The first is an ordinary one, without noise: nothing is promised
# for it. The second is yours, by your three functions of Task 2. The third is a colleague's,
# who found DP-SGD too slow: "Why should I take every gradient by itself? I clip the mean. I
# even use far more noise than you, so my promise is stronger."

# %%
digits, test = mnist("train", source="default"), mnist("test", source="default")
coins = np.random.default_rng(6)
labels = digits.labels[:2000].clone()
canary = torch.arange(2000) < 200
labels[canary] = (labels[canary] + torch.tensor(coins.integers(1, 10, 200))) % 10
member = torch.tensor(coins.random(2000) < 0.5)


def with_a_one(images: Tensor) -> Tensor:
    """Each image as a row of its pixels, and a 1 for the bias: (N, 785)."""
    return F.pad(images.flatten(1), (0, 1), value=1.0)


def mean_gradient(weights: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the mean cross-entropy."""
    leaf = weights.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(images @ leaf.T, labels), leaf)[0]


def ordinary(weights: Tensor, images: Tensor, labels: Tensor, noise: Tensor) -> Tensor:
    """A step without any privacy."""
    return weights - mean_gradient(weights, images, labels)


SIGMA = 3.0  # the noise of your model, in bounds: try others, too


def yours(weights: Tensor, images: Tensor, labels: Tensor, noise: Tensor) -> Tensor:
    """A step of DP-SGD: bound 1, 200 images expected."""
    clipped = clip(per_sample_gradients(weights, images, labels), 1.0)
    numbers = {"bound": 1.0, "noise_multiplier": SIGMA, "expected": 200, "rate": 2.0}
    return private_step(weights, clipped, noise, **numbers)


def colleague(weights: Tensor, images: Tensor, labels: Tensor, noise: Tensor) -> Tensor:
    """The colleague's step: bound 0.05, noise of 40 bounds, 500 images expected."""
    gradient = mean_gradient(weights, images, labels)
    clipped = gradient * min(1, 0.05 / gradient.norm())
    return weights - 5 * (clipped + 40 * 0.05 * noise / 500)


candidates = with_a_one(digits.images[:2000])
data = candidates[member], labels[member]
models = {
    "ordinary": (train(ordinary, *data, 0.2, 400), math.inf),
    "yours": (train(yours, *data, 0.2, 100), promised(SIGMA, 0.2, 100)),
    "colleague": (train(colleague, *data, 0.5, 400), promised(40, 0.5, 400)),
}

# %% [markdown]
# The attacker says "in" of the 50 canaries with the highest scores and "out" of the 50 with
# the lowest, and is silent about the others: 100 guesses.


# %%
def attacked(weights: Tensor) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The scores of members and of others, among the canaries and the other digits."""
    scores = membership_scores(candidates @ weights.T, labels).double().numpy()
    kinds = {"canaries": canary.numpy(), "other digits": ~canary.numpy()}
    inside = member.numpy()
    return {k: (scores[w & inside], scores[w & ~inside]) for k, w in kinds.items()}


def right_guesses(members: np.ndarray, others: np.ndarray) -> int:
    """How many of 100 guesses are right."""
    order = np.argsort(np.concatenate([members, others]))
    inside = order < len(members)
    return int(inside[-50:].sum() + (~inside[:50]).sum())


scores = {name: attacked(weights) for name, (weights, _) in models.items()}
rows = {}
for name, (weights, promise) in models.items():
    choices = (with_a_one(test.images) @ weights.T).argmax(dim=1)
    right = right_guesses(*scores[name]["canaries"])
    rows[name] = {"accuracy": f"{(choices == test.labels).float().mean():.0%}"}
    for kind, both in scores[name].items():
        rows[name][f"TPR, {kind}"] = f"{true_positive_rate(*both, 0.05):.0%}"
    rows[name] |= {
        "right guesses": f"{right} of 100",
        "promised ε": f"{promise:.2f}",
        "ε at least": f"{lower_bound(right, 100, 200, DELTA):.2f}",
    }
pd.DataFrame.from_dict(rows, orient="index")

# %% [markdown]
# The columns `TPR` allow 5 % of non-members to be accused. And for every share that may be:

# %% mystnb={"image": {"alt": "Two panels of true positive rate over false positive rate, both axes logarithmic. For the canaries, the ordinary and the colleague's model lie far above the line of guessing, and the one with DP-SGD a little above it. For the other digits all three lie near the line."}}
figure, panels = plt.subplots(1, 2, figsize=(7, 3.2), sharey=True)
allowed = np.geomspace(0.01, 1, 60)
for panel, kind in zip(panels, ("canaries", "other digits"), strict=True):
    for style, name in zip(("-", "--", ":"), models, strict=True):
        curve = [true_positive_rate(*scores[name][kind], a) for a in allowed]
        panel.plot(allowed, curve, style, label=name)
    panel.plot(allowed, allowed, color="grey", linewidth=0.8)
    panel.set(xscale="log", yscale="log", title=kind, xlabel="false positive rate")
panels[0].set(ylabel="true positive rate", ylim=(0.008, 1.1))
panels[0].legend(fontsize=9)
plt.show()

# %% [markdown]
# *How often the attack is right, over how often it is wrong. The grey line is guessing.*
# Expect about the same accuracy for all three models. The ordinary one gives most of its
# canaries away and few of the other digits. Against yours the attack does hardly better
# than guessing. And the colleague's promise?

# %% [markdown]
# ## Task 4 · What is promised, and what was measured
#
# *2 points · 40 minutes · graded by a human, with the rubrics below*
#
# ### a. Read your table (1 point)
#
# Read [lecture 6.1](../../lectures/60_privacy/differential_privacy.ipynb), section *Attack
# every ε*, and [lecture 6.2](../../lectures/60_privacy/dp_sgd.ipynb), sections *The attack*
# and *What goes wrong*.
#
# In five to seven sentences: is your colleague's promise true? Show it with two numbers of
# the table, and name the line of code that breaks it, with what one odd image can do there.
# Then your own model: what does the last column prove about it, and what not? In Task 1 the
# lower bounds came close to the promises. Why not here?
#
# *Rubric.* ½ point: the colleague's promise is refuted because the lower bound is larger
# than it, both numbers given; and it is broken because the *mean* is clipped, so one image is
# not bounded by what the noise was measured for (either: the sensitivity is not bound divided
# by batch size). ½ point: a lower bound near 0 does not prove that the model keeps any
# $\varepsilon$, nor that nothing leaks: only that *this* attack found nothing; and a reason
# why the attack is weaker than the theory allows for (it sees the last model and not every
# step; it looks at one loss; few canaries; the accounting is for the worst case).
#
# <details><summary>Hint 1: the colleague</summary>
#
# Let one image have a gradient a thousand times longer than all others. How far does it turn
# the mean? How far the sum of your clipped gradients? Which of the two did the noise's scale
# assume?
#
# </details>
#
# <details><summary>Hint 2: two bounds</summary>
#
# The true $\varepsilon$ of a run lies between two numbers. Which of them is a theorem about
# every attacker, and which an experiment with one?
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "4a_table", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# The colleague's promise is false. Promised is 1.01, and a mechanism that keeps it lets an
# attacker be right about 73 times in a hundred. Mine is right 96 times, which proves, with
# 95 % confidence, that $\varepsilon$ is at least 2.32. What breaks it is
# `clipped = gradient * min(1, 0.05 / gradient.norm())`: there all images are added up
# already, and one image whose gradient is long enough turns the whole mean, by up to
# 2 · 0.05, while the noise is scaled as if one image could move it by 0.05 / 500. About my
# own model 59 right guesses prove next to nothing, 0.01. That is no proof that
# $\varepsilon$ is small, nor that the model gives nothing away: one attack failed, and a
# better one may not. What holds against every attacker is the theorem's 3.26, if my code
# does what the theorem assumes. In Task 1 the report was all that there is to see, and
# believing it is the best attack. Here the theorem also covers an attacker who sees the
# weights after every step, knows all other images and brings the worst possible one; mine
# sees one loss of the last model, and has 200 canaries to show it.

# %% [markdown]
# ### b. Put it right (1 point)
#
# Read [lecture 6.1](../../lectures/60_privacy/differential_privacy.ipynb), sections *The
# definition* and *What an ε means to an attacker*.
#
# A clinic wants to publish a model that it trained with your code, on one record for each
# *visit* of its patients, and writes: "The model was trained with $\varepsilon = 3.3$ and
# $\delta = 10^{-5}$. So it contains no information about any patient, and nobody can learn
# anything about your health from it."
#
# In five to eight sentences: write the text anew so that it is true and a patient
# understands it; say what the numbers promise, in terms of odds or probabilities; name two
# things that they do not promise; and say what you would want to check or change before you
# sign.
#
# *Rubric.* ½ point: what is promised is about *taking part*: whatever somebody sees is at
# most $e^{3.3} \approx 27$ times as probable with the record as without it (or: even
# odds become at most about 27 to 1, an attacker is right at most 96 % of the time), but for
# the small $\delta$; and a judgement that this is not "no information". ½ point: two of what
# is not promised (what the model teaches about people in general, also about one who never
# took part; patients with several visits, for whom $\varepsilon$ multiplies; relatives or
# others with the same data; what leaks elsewhere; the choice of settings by looking at the
# data), *and* a check or change that is to the point (privacy per patient, a smaller
# $\varepsilon$, an audit with canaries, somebody else who reads the code, a secure random
# generator).
#
# <details><summary>Hint 1: odds</summary>
#
# Before, the attacker finds it as likely as not that a record was used: odds of 1 to 1.
# Whatever comes out, the odds are multiplied by $e^\varepsilon$ at most.
#
# </details>
#
# <details><summary>Hint 2: what it learns from others</summary>
#
# A model that has learnt from other patients that a drug harms the kidneys says so of you,
# too. Would it say anything else if you had stayed at home?
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "4b_promise", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# "We trained the model with noise, so that it comes out almost as it would have if any one
# visit had been left out. This limits what anybody can find out about that visit, and does
# not make it nothing." In numbers: whatever is computed from the model is at most 27 times
# as probable with the record as without it, apart from a leak with a probability of about
# one in 100,000. Who held it for as likely as not that a visit was used can be 96 % sure
# afterwards, at worst. I would not call that "no information". It is not promised that ten
# visits of one patient are hidden: each record has its own limit, and for all ten together
# $\varepsilon$ is 33, which is none. Nor that nobody learns anything about your health: if
# the model has learnt from others that smokers of your age fall ill, it says so of you,
# whether you came or not. That is what it was made for. Before I sign, I want it trained
# again with the patient as the unit, with an $\varepsilon$ near 1, and the code read by
# somebody else and attacked with canaries. Such an attack can find a fault, though it cannot
# show that there is none.

# %% [markdown]
# ## Before you submit
#
# Restart the kernel, run all cells, save, and run `tml check h6_privacy.ipynb`. It lists
# what is missing, and says `ready to submit` when nothing is.
