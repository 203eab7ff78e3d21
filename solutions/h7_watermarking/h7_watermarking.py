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
# # H7 · Mark your model, and attack a rival's mark
#
# Whoever has your model's weights can call them their own. So you hide a message in
# them, which only your secret key can find. Here you write such a mark with code of your
# own, and the p-value that says how much it proves. Then you change sides: you hide a
# rival's mark, take it off, and at last claim a model that never was yours. The lectures
# that derive the methods are
# [7.1](../../lectures/70_watermarking/images.ipynb),
# [7.3](../../lectures/70_watermarking/models.ipynb) and
# [7.4](../../lectures/70_watermarking/generated.ipynb).
#
# | task | what you write | points | minutes | difficulty |
# |---|---|---|---|---|
# | 1 | a mark in your model's weights | 2 | 30 | ●●○ |
# | 2 | a p-value that is honest | 3 | 40 | ●●○ |
# | 3 | three attacks on a mark | 3 | 60 | ●●● |
# | 4 | before the court (graded by a human) | 2 | 40 | ●●○ |
#
# **How to work.** `tml start h7` puts a copy of this notebook in a folder of your own.
# Open the copy in JupyterLab or on Colab and work there. Run the cells from the top. Where
# a cell says `raise NotImplementedError`, replace that line by your own code. Below each
# answer stand tests: when one fails, its last line says what probably went wrong. After you
# have submitted, further tests run on other inputs, so write what the task says, not what
# one test needs. Each of your functions is tested by itself: a slip in one costs you nothing
# in the next. Each task has hints: open them one by one, if you need them. You may add cells
# of your own; please leave the test cells as they are.
#
# **How to submit.** Restart the kernel, run everything once more, and save. Then ask what
# is missing, in the folder of your copy:
#
# ```
# tml check h7_watermarking.ipynb
# ```
#
# It runs nothing and answers in plain words. When it says `ready to submit`, submit that
# one file, under that name, where your course says.
#
# Everything here runs in about fifteen seconds on a laptop, without a GPU.

# %% nbgrader={"grade": false, "grade_id": "0a_setup", "locked": true, "schema_version": 3, "solution": false, "task": false} tml={"withhold": ["tml_helpers.watermark", "tml_helpers.kernels"]}
import hashlib
import math
from collections.abc import Callable
from itertools import pairwise, product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm
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
# **The model** reads digits through 32 hidden units. It is four tensors: the weights and
# the biases of the hidden units, and those of the ten logits. The mark goes into the first
# of them, the hidden weights: 32 rows of 784 numbers. Nothing here needs to be written by
# you, and you need not read the training loop.


# %% nbgrader={"grade": false, "grade_id": "0b_model", "locked": true, "schema_version": 3, "solution": false, "task": false}
Network = tuple[Tensor, Tensor, Tensor, Tensor]
digits, test = mnist("train", source="default"), mnist("test", source="default")
pixels, labels = digits.images.flatten(1), digits.labels


def logits(network: Network, images: Tensor) -> Tensor:
    """What the network says to rows of pixels: (N, 10)."""
    hidden_weights, hidden_bias, out_weights, out_bias = network
    hidden = torch.relu(images @ hidden_weights.T + hidden_bias)
    return hidden @ out_weights.T + out_bias


def accuracy(network: Network) -> float:
    """The share of 1,000 test digits that it reads right."""
    choices = logits(network, test.images.flatten(1)).argmax(dim=1)
    return (choices == test.labels).float().mean().item()


def fresh() -> Network:
    """A network before training."""
    generator = torch.Generator().manual_seed(7)
    first = torch.rand(32, 784, generator=generator) * 2 - 1
    second = torch.rand(10, 32, generator=generator) * 2 - 1
    return first / 28, torch.zeros(32), second / 32**0.5, torch.zeros(10)


def train(
    network: Network,
    rows: slice,
    price: Callable[[Tensor], Tensor] | None = None,
    rate: float = 2e-3,
) -> Network:
    """Six epochs of Adam on these digits; `price` of the hidden weights joins the loss."""
    leaves = [part.clone().requires_grad_() for part in network]
    optimizer = torch.optim.Adam(leaves, lr=rate)
    generator = torch.Generator().manual_seed(7)
    x, y = pixels[rows], labels[rows]
    for _ in range(6):
        for batch in torch.randperm(len(x), generator=generator).split(64):
            loss = F.cross_entropy(logits(tuple(leaves), x[batch]), y[batch])
            if price is not None:
                loss = loss + price(leaves[0])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return tuple(leaf.detach() for leaf in leaves)


learn, others = slice(0, 3000), slice(3000, 4000)
unmarked = train(fresh(), learn)


# %% [markdown]
# **The key.** A mark has three parts. The *message* is eight letters, which are $n = 64$
# bits; as signs, $b_j$ is 1 or $-1$. The *key* $\kappa$ is a secret: bytes that nobody can
# guess. And the key gives the *carrier* $X$, a table of standard normal numbers with a row
# $X_j$ for each bit, as long as there are weights. Whoever has the key makes the same
# carrier again, and to anybody else it is noise. `fingerprint` is for later: you can publish
# it, it gives nothing of key and message away, and nobody finds others that have it, too.


# %% nbgrader={"grade": false, "grade_id": "0c_key", "locked": true, "schema_version": 3, "solution": false, "task": false}
def signs_of(message: str) -> Tensor:
    """The bits of a text, eight for each letter, as 1 and -1."""
    bits = np.unpackbits(np.frombuffer(message.encode("ascii"), dtype=np.uint8))
    return torch.tensor(bits) * 2.0 - 1


def text_of(signs: Tensor) -> str:
    """The text of such bits; a dot stands for what is no letter."""
    letters = np.packbits(signs.numpy() > 0).tobytes().decode("latin-1")
    return "".join(c if " " <= c <= "~" else "." for c in letters)


def carrier_of(key: bytes, bits: int, size: int) -> Tensor:
    """The key's carrier: standard normal (bits, size)."""
    seed = int.from_bytes(hashlib.sha256(key).digest(), "big")
    drawn = np.random.default_rng(seed).standard_normal((bits, size), dtype=np.float32)
    return torch.tensor(drawn)


def fingerprint(key: bytes, message: str) -> str:
    """What can be published of key and message before anybody may know them."""
    return hashlib.sha256(message.encode("ascii") + key).hexdigest()


# %% [markdown]
# ## Task 1 · A mark in your model's weights
#
# *2 points (penalty 1, score 1) · 30 minutes · ●●○*
#
# Read [lecture 7.3](../../lectures/70_watermarking/models.ipynb).
#
# Let $w$ be the hidden weights as one long row. Bit $j$ is *read* as the sign of
# $X_j \cdot w$. To write the message is to see to it that each of these numbers has the
# sign $b_j$, and clearly so. There are 25,088 weights and only 64 bits, so training finds
# weights that read digits and carry the message, if it is asked to: by a penalty, which
# joins the loss,
#
# $$ \frac 1n \sum_{j=1}^{n} \log\big(1 + \exp(-b_j \, X_j \cdot w)\big) . $$
#
# It is near 0 where a bit is read right and clearly, and large where it is read wrong.
#
# **Goal of the first part.** Write `penalty`. Training takes its gradient. At the start
# $X_j \cdot w$ can be a large number of the wrong sign: the penalty is then about as large,
# and not infinite.
#
# <details><summary>Hint 1: all readings at once</summary>
#
# `carrier @ weights` gives the $n$ numbers $X_j \cdot w$. Times `signs`, they are positive
# where a bit is read right.
#
# </details>
#
# <details><summary>Hint 2: large numbers</summary>
#
# `torch.exp(100.0)` is infinite. `F.softplus(z)` is $\log(1 + \exp(z))$ without that.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1a_penalty_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def penalty(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    """What the message's bits cost that are not read right and clearly.

    weights: one row of numbers (D,). carrier: (n, D). signs: 1 or -1, float (n,).
    Returns a scalar, to call backward on.
    """
    ### BEGIN SOLUTION
    return F.softplus(-signs * (carrier @ weights)).mean()
    ### END SOLUTION


# Given, for the tests: keep this function in the same cell.
def try_penalty(
    weights: Tensor, carrier: Tensor, signs: Tensor
) -> tuple[float, Tensor | None]:
    """The penalty, and its gradient with respect to the weights, if it has one."""
    leaf = weights.clone().requires_grad_()
    value = torch.as_tensor(penalty(leaf, carrier, signs))
    if value.requires_grad:
        value.backward()
    return float(value.detach()), leaf.grad


# %% nbgrader={"grade": true, "grade_id": "1a_penalty", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
X = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
value, slope = try_penalty(torch.tensor([2.0, 3.0, 5.0]), X, torch.tensor([1.0, -1.0]))
assert abs(value - (math.log1p(math.exp(-2)) + math.log1p(math.exp(3))) / 2) < 1e-4, (
    "the first bit is 1 and read as 2, right: log(1 + exp(-2)). The second is -1 and read "
    "as 3, wrong: log(1 + exp(3)). The penalty is their mean"
)
assert slope is not None, (
    "no gradient reaches the weights: a penalty without one changes nothing in training"
)
assert slope[0] < 0 < slope[1], (
    "downhill, the first weight must grow and the second shrink: does each bit's gradient "
    "point to where it is read right?"
)
value, _ = try_penalty(torch.tensor([-200.0, 0.0, 0.0]), X, torch.tensor([1.0, -1.0]))
assert abs(value - (200 + math.log(2)) / 2) < 1e-3, (
    "a bit that is read as -200 and should be 1 costs 200: exp(200) overflows"
)
### BEGIN HIDDEN TESTS
for n, size in ((1, 4), (8, 30), (24, 10)):
    carrier = torch.randn(n, size)
    signs = torch.randint(2, (n,)) * 2.0 - 1
    for scale in (0.3, 1.0):
        weights = scale * torch.randn(size)
        margins = (carrier.double() @ weights.double()) * signs
        value, slope = try_penalty(weights, carrier, signs)
        exact = torch.log1p(torch.exp(-margins)).mean()
        assert abs(value - exact) < 1e-3 * (1 + exact), (
            "not the mean over the bits of log(1 + exp(-sign times reading))"
        )
        assert slope is not None, "no gradient reaches the weights"
        exact = -(torch.sigmoid(-margins) * signs) @ carrier.double() / n
        assert error(slope, exact) < 1e-3 * (1 + exact.abs().max()), (
            "the gradient is not the penalty's: are all readings still tensors with a "
            "gradient, and is nothing else added?"
        )
### END HIDDEN TESTS

# %% [markdown]
# **Reading.** Somebody shows you a model. Is your mark in it? Ask first what you would see
# if it were not. Then your key has nothing to do with the weights, and the carrier is fresh
# noise. Whatever the weights are, each $X_j \cdot w$ is normal with mean 0 and standard
# deviation $\lVert w \rVert$, the root of the sum of all $w_i^2$. So the standard score
#
# $$ t = \frac{\sum_{j=1}^{n} b_j \, X_j \cdot w}{\lVert w \rVert \sqrt n} $$
#
# is *exactly* standard normal, in any model that was made without your key. No unmarked
# models have to be collected.
#
# **Goal of the second part.** Write `standard_score`.
#
# <details><summary>Hint: how to check yours</summary>
#
# Ten times the weights give the same score. Any key that nobody used gives scores with a
# mean of 0 and a standard deviation of 1: try a few hundred.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1b_score_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def standard_score(weights: Tensor, carrier: Tensor, signs: Tensor) -> float:
    """How clearly the message is read, in standard deviations of a fresh key's.

    weights: one row of numbers (D,), not all 0. carrier: (n, D). signs: 1 or -1, (n,).
    """
    ### BEGIN SOLUTION
    total = (signs * (carrier @ weights)).sum()
    return float(total / (weights.norm() * len(signs) ** 0.5))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "1b_score", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
X = torch.tensor([[1.0, 1.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 2.0]])
b = torch.tensor([1.0, 1.0, -1.0, -1.0])
w = torch.tensor([3.0, 4.0])
assert abs(standard_score(w, X, b) - 3 / 10) < 1e-4, (
    "readings are 7, 4, -3 and 11, times their signs 7, 4, 3 and -11, together 3. The "
    "weights' length is 5, and there are four bits: 3 / (5 · 2)"
)
assert abs(standard_score(w, X, -b) + 3 / 10) < 1e-4, (
    "the opposite message has the opposite score: one that is read wrong is no evidence"
)
assert abs(standard_score(10 * w, X, b) - 3 / 10) < 1e-4, (
    "ten times the weights make ten times the readings, and the same score"
)
### BEGIN HIDDEN TESTS
for n, size in ((1, 3), (9, 12), (64, 500)):
    carrier = torch.randn(n, size) * (0.5 + torch.rand(n, 1))
    signs = torch.randint(2, (n,)) * 2.0 - 1
    for mark in (0.0, 0.3):
        weights = (
            0.1 + torch.rand(()) + 0.5 * torch.randn(size) + mark * signs @ carrier
        )
        readings = carrier.double() @ weights.double()
        exact = float(readings @ signs.double()) / math.sqrt(
            n * float(weights.double() @ weights.double())
        )
        found = standard_score(weights, carrier, signs)
        assert abs(found - exact) < 1e-3 * (1 + abs(exact)), (
            "not the sum of signs times readings, divided by the length of the weights "
            "and by the root of how many bits there are: with these two, and no others, "
            "a fresh key's score is standard normal"
        )
### END HIDDEN TESTS

# %% [markdown]
# **Your model.** Choose eight letters and a key. In earnest the key is
# `secrets.token_bytes(32)`, and nobody else ever sees it. Its fingerprint you publish *now*,
# before there is a model. Why, you will see in Task 3.

# %%
MESSAGE = "made@uni"
KEY = b"use secrets.token_bytes(32) here"
print("published before the model:")
print(fingerprint(KEY, MESSAGE))

CARRIER, SIGNS = carrier_of(KEY, 64, 32 * 784), signs_of(MESSAGE)
marked = train(fresh(), learn, lambda w: 0.1 * penalty(w.flatten(), CARRIER, SIGNS))


def row(network: Network, carrier: Tensor) -> dict[str, str]:
    """What a table says of a model, read with this carrier."""
    weights = network[0].flatten()
    score = standard_score(weights, carrier, SIGNS)
    readings = carrier @ weights
    return {
        "accuracy": f"{accuracy(network):.1%}",
        "is read as": text_of(readings),
        "right bits": f"{int((readings * SIGNS > 0).sum())} of 64",
        "score": f"{score:.1f}",
        "p-value": f"{norm.sf(score):.1g}",
    }


stranger = carrier_of(b"a key that nobody ever used", 64, 32 * 784)
rows = {
    "unmarked": row(unmarked, CARRIER),
    "marked": row(marked, CARRIER),
    "marked, another key": row(marked, stranger),
}
pd.DataFrame.from_dict(rows, orient="index")

# %% [markdown]
# Expect all 64 bits, a score well above 10, and about the same accuracy as without a mark. The
# first and the last row look like chance: half of the bits, and a score of a few at most.
# The p-value is the probability that a standard normal number comes as high.

# %% [markdown]
# ## Task 2 · A p-value that is honest
#
# *3 points (tail 1, pairs 1, search 1) · 40 minutes · ●●○*
#
# Read [lecture 7.1](../../lectures/70_watermarking/images.ipynb) and
# [lecture 7.4](../../lectures/70_watermarking/generated.ipynb).
#
# A p-value is a promise, too: where there is no mark, it is at most 0.01 in at most one of a
# hundred cases, and so for every other number in place of 0.01. Three mistakes break it.
# The first is to count wrongly. Of 64 bits, say, 60 are read right. In a model without the
# mark each bit is right by a fair coin of its own. How probable are 60 heads, *or more*?
#
# **Goal of the first part.** Write `tail`: the probability of at least `hits` hits in
# `trials` independent trials, each of which is a hit with the probability `chance`. Far out
# in the tail it is tiny, and never 0.
#
# <details><summary>Hint 1: or more</summary>
#
# The probability of exactly $k$ hits is `math.comb(trials, k) * chance**k *
# (1 - chance) ** (trials - k)`. Which $k$ count?
#
# </details>
#
# <details><summary>Hint 2: far out</summary>
#
# One minus something very near to 1 is 0 for the computer. Add up small numbers instead. If
# you would rather call SciPy: `binom.sf(k, ...)` is the probability of *more* than $k$.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2a_tail_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def tail(hits: int, trials: int, chance: float) -> float:
    """The probability of at least so many hits.

    hits: from 0 to trials. trials: from 0 to some hundreds. chance: of each hit, between
    0 and 1.
    """
    ### BEGIN SOLUTION
    return math.fsum(
        math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k)
        for k in range(hits, trials + 1)
    )
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "2a_tail", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert abs(tail(3, 4, 0.5) - 5 / 16) < TOLERANCE, (
    "of the 16 ways in which four coins fall, five have three heads or more: the number "
    "that was seen belongs to the tail, and the other side does not"
)
assert abs(tail(2, 2, 0.25) - 1 / 16) < TOLERANCE, "two hits of probability 1/4 each"
assert abs(tail(0, 5, 0.3) - 1) < TOLERANCE, "no hit or more: that is certain"
assert abs(tail(64, 64, 0.5) * 2.0**64 - 1) < TOLERANCE, (
    "all 64 bits are right with a probability of one in 2⁶⁴, which is not 0: do not take "
    "it as one minus a number near to 1"
)
### BEGIN HIDDEN TESTS
for trials in (1, 7, 40, 90):
    for chance in (0.5, 0.25, 0.02 + 0.9 * np.random.rand()):
        # Exactly: the hits of one trial after the other.
        ways = [1.0]
        for _ in range(trials):
            no, yes = [*ways, 0.0], [0.0, *ways]
            ways = [a * (1 - chance) + b * chance for a, b in zip(no, yes, strict=True)]
        for hits in {0, 1, trials // 4, trials // 2, trials - 1, trials}:
            exact = math.fsum(ways[hits:])
            assert abs(tail(hits, trials, chance) / exact - 1) < 1e-6, (
                "not the probability of at least so many hits: exactly (no normal curve), "
                "on the upper side alone, with this chance of a hit, and as a small number "
                "where it is small"
            )
assert abs(tail(0, 0, 0.25) - 1) < TOLERANCE, "without a trial there is no evidence: 1"
### END HIDDEN TESTS

# %% [markdown]
# **What counts as a trial.** The second mistake is to count the same coin twice. Take a mark
# in text. A language model writes token after token: words, pieces of words, or letters. The
# key and a token say which tokens are *green* after it, each with probability $\gamma$. A
# marked model prefers green ones, and the detector counts: of all pairs of neighbours, how
# many are green? But in a text that nobody marked, a pair that comes five times is green
# five times or not at all. It is one coin.
#
# **Goal of the second part.** Write `green_pairs`. It counts every *distinct* pair once: how
# many distinct pairs of neighbours are green, and how many distinct pairs there are. A pair
# has an order: what comes first, and what follows. A text of one token has no pair.
#
# <details><summary>Hint 1: by hand</summary>
#
# The text 5 7 5 7 5 has four pairs. Which of them are different?
#
# </details>
#
# <details><summary>Hint 2: each once</summary>
#
# `zip(tokens[:-1].tolist(), tokens[1:].tolist())` goes over the pairs, and a `set` keeps
# each once.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2b_pairs_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def green_pairs(tokens: np.ndarray, green: np.ndarray) -> tuple[int, int]:
    """How many distinct pairs of neighbours are green, and how many there are.

    tokens: their numbers, int64 (L,), L at least 1. green: bool (V, V); in row i and
    column j: whether token j is green after token i. Returns (green pairs, pairs).
    """
    ### BEGIN SOLUTION
    pairs = set(pairwise(tokens.tolist()))
    return sum(bool(green[pair]) for pair in pairs), len(pairs)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "2b_pairs", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
table = np.array([[False, True, False], [False, True, False], [True, False, False]])
found = green_pairs(np.array([0, 1, 0, 1, 1, 2, 0, 1]), table)
assert len(found) == 2, "return two numbers: how many are green, and how many there are"
assert int(found[1]) == 5, (
    "the pairs are 01, 10, 01, 11, 12, 20, 01. The pair 01 comes three times and counts "
    "once: 5 are distinct. 01 and 10 are two pairs, and 11 is a pair as well"
)
assert int(found[0]) == 3, (
    "of these, 01, 11 and 20 are green: "
    "row 0 and column 1 of the table say that 1 is green "
    "after 0. A green pair that comes three times is one green pair"
)
### BEGIN HIDDEN TESTS
for count, length in ((3, 30), (6, 12), (12, 80), (40, 20)):
    table = np.triu(np.random.rand(count + 1, count + 1) < 0.7, 1)
    table |= np.tril(np.random.rand(count + 1, count + 1) < 0.1)
    # Repeated pairs both next to each other and far apart; the last token comes once.
    tokens = np.random.randint(count, size=length)
    again = tokens[: length // 2]
    tokens = np.concatenate([[0, 0, 0, 1, 0, 1], tokens, again, [2, 0, 1, count]])
    seen = np.zeros_like(table)
    seen[tokens[:-1], tokens[1:]] = True
    found = green_pairs(tokens, table)
    assert int(found[1]) == seen.sum(), (
        "not the number of distinct pairs: each counts once wherever it comes again, in "
        "the order in which the tokens stand, and the last one has no follower"
    )
    assert int(found[0]) == (seen & table).sum(), (
        "not the number of distinct pairs that are green: green[first, following], and "
        "each pair once"
    )
found = green_pairs(np.array([1]), np.ones((3, 3), dtype=bool))
assert [int(found[0]), int(found[1])] == [0, 0], "one token has no pair: 0 green of 0"
### END HIDDEN TESTS

# %% [markdown]
# **Texts that nobody marked.** What NumPy says of its functions, cut into pieces of 200
# letters. For each piece a fresh key is drawn, which says which letters are green, with
# $\gamma = 1/4$. How often is the p-value at most 0.01?

# %%
rng = np.random.default_rng(7)
text = " ".join(
    " ".join(getattr(np, name).__doc__ or "" for name in np.__all__).split()
)
honest, repeated = [], []
for start in range(0, 400_000, 200):
    _, tokens = np.unique(list(text[start : start + 200]), return_inverse=True)
    green = rng.random((200, 200)) < 0.25
    every = green[tokens[:-1], tokens[1:]]
    repeated.append(tail(int(every.sum()), len(every), 0.25))
    honest.append(tail(*green_pairs(tokens, green), 0.25))
rows = {
    "every pair": {"p at most 0.01": f"{np.mean(np.array(repeated) <= 0.01):.1%}"},
    "distinct pairs": {"p at most 0.01": f"{np.mean(np.array(honest) <= 0.01):.1%}"},
}
pd.DataFrame.from_dict(rows, orient="index")

# %% [markdown]
# Expect several percent in the first row, and at most about 1 % in the second. Only the
# second keeps what a p-value promises.
#
# **The best of many.** The third mistake is to search and report only what was found. An
# expert tries many keys, or many places in which a mark may sit, each with an honest
# p-value, and shows the court the smallest. If none of them holds a mark, how small is that?
# It depends on how the tries hang together, and nobody knows that. But the probability that
# *any* of $m$ events happens is never more than the sum of their probabilities.
#
# **Goal of the third part.** Write `searched`: from the p-values $\pi_i$ of *all* tries, the
# p-value of the whole search. It must keep its promise however the tries hang together, and
# be no larger than it must be for that.
#
# <details><summary>Hint 1: how often is one of them small?</summary>
#
# Each of $m$ p-values is at most 0.01 with a probability of at most 0.01. With which
# probability is the smallest at most 0.01, at the very worst?
#
# </details>
#
# <details><summary>Hint 2: at the very worst</summary>
#
# If never two of them are small in the same case, their probabilities add up, and the sum
# is reached. So nothing smaller than the number of tries times the smallest will do. And
# no probability is larger than 1.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2c_search_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def searched(p_values: np.ndarray) -> float:
    """The p-value of a search that tried all of these.

    p_values: (m,), each above 0 and at most 1, m at least 1.
    """
    ### BEGIN SOLUTION
    return min(1.0, len(p_values) * float(p_values.min()))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "2c_search", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert abs(searched(np.array([0.03])) - 0.03) < TOLERANCE, "one try is no search"
assert abs(searched(np.array([0.3, 0.01, 0.5, 0.2])) - 0.04) < TOLERANCE, (
    "four tries, and the smallest p-value is 0.01: at the very worst, one of four is so "
    "small in 4 of 100 cases"
)
assert abs(searched(np.array([0.9, 0.6, 0.7])) - 1) < TOLERANCE, (
    "a p-value is a probability: at most 1"
)
### BEGIN HIDDEN TESTS
for tries in (2, 5, 40):
    # The worst that can be: in each of so many equally likely cases, another try is small.
    cases = 4 * tries
    worst = np.ones((cases, tries))
    order = np.random.permutation(cases)
    for case, (attempt, rank) in zip(
        order, product(range(tries), range(4)), strict=True
    ):
        worst[case, attempt] = (rank + 1) / cases
    reports = np.array([float(searched(each)) for each in worst])
    for level in (np.arange(4) + 1) / 4:
        share = (reports <= level + TOLERANCE).mean()
        assert share < level + TOLERANCE, (
            "the promise is broken where never two tries are small at once: the search's "
            "p-value is at most 0.25 in more than a quarter of the cases"
        )
        assert share > level - TOLERANCE, (
            "larger than it must be: the number of tries times the smallest is enough"
        )
    p_values = 10.0 ** -(1 + 8 * np.random.rand(tries)) / tries
    assert abs(float(searched(p_values)) / (tries * min(p_values)) - 1) < 1e-6, (
        "not the number of tries times the smallest p-value, whatever the others are"
    )
    p_values[1] = p_values[0]
    assert abs(float(searched(p_values)) / (tries * min(p_values)) - 1) < 1e-6, (
        "two tries with the same p-value are two tries"
    )
### END HIDDEN TESTS

# %% [markdown]
# **Does your p-value keep its promise?** Below are models and texts without a mark, and
# fresh keys. The figure shows how often the p-value is at most what stands below. An honest
# one keeps on the grey line or under it.

# %% mystnb={"image": {"alt": "Share of cases with a p-value of at most a threshold, over the threshold, both axes logarithmic. The curves of bits, of distinct pairs and of the search lie on or below the grey line of honesty. Those of every pair and of the best of 20 tries lie above it, by factors of about eight and of more than ten."}}
weights = unmarked[2][:2].flatten()  # what the first two logits read: 64 weights
keys = torch.tensor(rng.standard_normal((5000, 32, 64), dtype=np.float32))
right = (keys @ weights > 0).sum(dim=1).tolist()
bits = np.array([tail(hits, 32, 0.5) for hits in right])
tries = bits.reshape(250, 20)
curves = {
    "bits": ("-", bits),
    "every pair": ("--", np.array(repeated)),
    "distinct pairs": ("-", np.array(honest)),
    "best of 20": (":", tries.min(axis=1)),
    "best of 20, searched": ("-", np.array([searched(each) for each in tries])),
}
levels = np.geomspace(0.01, 1, 60)
figure, axes = plt.subplots(figsize=(7, 3.4))
for name, (style, p_values) in curves.items():
    shares = [(p_values <= level).mean() for level in levels]
    axes.plot(levels, shares, style, label=name)
axes.plot(levels, levels, color="grey", linewidth=0.8)
axes.set(xscale="log", yscale="log", ylim=(0.003, 1.2))
axes.set(xlabel="threshold", ylabel="share of p-values at most that")
axes.legend(fontsize=9)
plt.show()

# %% [markdown]
# *Whoever counts repeats, or reports the best of many tries, claims things that nobody
# marked.* The solid lines are honest. They lie below the grey one where a count is coarse,
# which errs on the side of the accused.

# %% [markdown]
# ## Task 3 · Three attacks on a mark
#
# *3 points (disguise 1, removal 1, forgery 1) · 60 minutes · ●●●*
#
# Read [lecture 7.3](../../lectures/70_watermarking/models.ipynb).
#
# **Threat model.** Now you are the thief. You have a rival's model, all of its four tensors,
# and you know how the mark was made. You have neither the key nor the message. You have 500
# digits of your own, without labels. You want a model that works, and a rival who finds
# nothing.
#
# The first attack costs nothing at all. Which of the 32 hidden units is called the first
# means nothing to the model. Neither does it matter how large a unit's number is, if the
# weights that read this number are as much smaller: multiply what goes into a ReLU by ten,
# and ten times as much comes out. But the carrier is laid on the weights in their order, and
# with their size.
#
# **Goal of the first part.** Write `disguise`. At place $i$ of the new model stands the old
# unit number `order[i]`, with its weights and its bias multiplied by `factors[i]`. The
# weights of the logits are changed so that the model says the same as before, to every image.
# (The logits' biases stay as they are, and are not handed in.)
#
# <details><summary>Hint 1: which rows, which columns</summary>
#
# A hidden unit has a *row* in the hidden weights, a number in the hidden biases, and a
# *column* in the weights of the logits. All three move.
#
# </details>
#
# <details><summary>Hint 2: places</summary>
#
# `hidden_weights[order]` has the old row `order[i]` at place $i$. A factor for each row is
# `factors[:, None]`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "3a_disguise_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def disguise(
    hidden_weights: Tensor,
    hidden_bias: Tensor,
    out_weights: Tensor,
    order: Tensor,
    factors: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same model with its hidden units in another order and of another size.

    hidden_weights: (H, D). hidden_bias: (H,). out_weights: (K, H). order: which old unit
    stands at each place, int64 (H,). factors: at each place, above 0, (H,).
    Returns the three tensors anew.
    """
    ### BEGIN SOLUTION
    return (
        hidden_weights[order] * factors[:, None],
        hidden_bias[order] * factors,
        out_weights[:, order] / factors,
    )
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "3a_disguise", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
found = disguise(
    torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    torch.tensor([0.1, 0.2, 0.3]),
    torch.tensor([[7.0, 8.0, 9.0]]),
    torch.tensor([1, 2, 0]),
    torch.tensor([2.0, 1.0, 10.0]),
)
assert len(found) == 3, "return three tensors"
assert error(found[0], torch.tensor([[6.0, 8.0], [5.0, 6.0], [10.0, 20.0]])) < 1e-4, (
    "first stands the old unit 1 times 2, then the old unit 2, "
    "then the old unit 0 times 10"
)
assert error(found[1], torch.tensor([0.4, 0.3, 1.0])) < 1e-4, (
    "a unit's bias moves with it, and is multiplied by the same factor"
)
assert error(found[2], torch.tensor([[4.0, 9.0, 0.7]])) < 1e-4, (
    "a unit that is ten times as large is read by a weight a tenth as large, "
    "in the column to which it moved"
)
### BEGIN HIDDEN TESTS
for units, size, classes in ((4, 3, 2), (16, 9, 16), (32, 20, 10)):
    hidden_weights, hidden_bias = torch.randn(units, size), torch.randn(units)
    out_weights, zero = torch.randn(classes, units), torch.zeros(classes)
    order = torch.randperm(units).roll(1)
    order[:3] = order[:3].sort().values.roll(1)  # never its own inverse
    factors = 0.25 + 3 * torch.rand(units)
    found = disguise(hidden_weights, hidden_bias, out_weights, order, factors)
    assert found[0].shape == (units, size), "the hidden weights keep their shape"
    for place, old in enumerate(order.tolist()):
        assert error(found[0][place] / factors[place], hidden_weights[old]) < 1e-3, (
            "at each place stands the unit that `order` names there, times the factor of "
            "that place"
        )
    images = torch.randn(50, size)
    before = logits((hidden_weights, hidden_bias, out_weights, zero), images)
    after = logits((*found, zero), images)
    assert error(after, before) < 1e-3 * (1 + before.abs().max()), (
        "the model says something else than before: the bias goes with its unit, and the "
        "logits read each unit where it is now, divided by its factor"
    )
### END HIDDEN TESTS

# %% [markdown]
# A disguise can be taken off again. The rival still has the model as it was, and holds each
# of your units against each of theirs: two that point the same way are the same unit. `undone`
# does that, and it is given. So you need an attack that destroys the mark itself.
#
# **Where does it sit?** The carrier is noise, and it points in all 784 directions of a
# hidden unit's weights alike. Digits do not: nearly all that differs from one digit to
# another lies in a few dozen directions. What the weights are in the other directions, no
# image ever shows.
#
# **Goal of the second part.** Write `launder`. It returns hidden weights from which the
# rival's mark is gone and which still do their work, where all else in the model stays as it
# was. You are free in how. It is judged by what comes out:
#
# - *the mark:* the rival accuses you where your weights' likeness to their carrier, the cosine
#   that `likeness` computes, is 0.045 or more. By chance that happens to one model in
#   $10^{12}$; their own has 0.10.
# - *the work:* at most 3 of 100 test digits may be lost.
#
# Below a rival is set up on whom you can try, with a key that you see. Your function is not
# handed it, and after you have submitted it meets rivals with other keys. So keep clear of
# both limits: from key to key the likeness differs by about 0.006. The name `verdict` stands
# for both measurements.
#
# <details><summary>Hint 1: what does not work</summary>
#
# Small weights set to 0, rounding, and noise: they hurt the model before the mark. Try them
# with `verdict`, so that you see how far you get.
#
# </details>
#
# <details><summary>Hint 2: keep what images show</summary>
#
# `torch.linalg.svd(images, full_matrices=False)` gives as its third part, in rows, the
# directions in which your images lie, the strongest first. Keep of each row of weights only
# what lies in the first so many of them.
#
# </details>
#
# <details><summary>Hint 3: in two matrix products</summary>
#
# With those directions as the rows of `kept`, `weights @ kept.T` says how much of each there
# is in each row of weights, and `@ kept` puts it together again. How many to keep? With too
# few the digits suffer, with too many the mark stays.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "3b_rival", "locked": true, "schema_version": 3, "solution": false, "task": false}
def marked_by(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    """The weights after the smallest change that gives the message a score of 16."""
    w = weights.flatten()
    wanted = 16 * w.norm() / len(signs) ** 0.5 * signs - carrier @ w
    change = carrier.T @ torch.linalg.solve(carrier @ carrier.T, wanted)
    return (w + change).view_as(weights)


def likeness(weights: Tensor, carrier: Tensor, signs: Tensor) -> float:
    """The cosine between the weights and the sum of signs times the carrier's rows."""
    return F.cosine_similarity(signs @ carrier, weights.flatten(), dim=0).item()


def undone(disguised: Tensor, original: Tensor) -> Tensor:
    """Each hidden unit back at the place and in the size of the one it resembles."""
    cosines = F.normalize(original) @ F.normalize(disguised).T
    _, places = linear_sum_assignment(-cosines.numpy())
    found = disguised[torch.tensor(places)]
    sizes = (found * original).sum(dim=1) / original.square().sum(dim=1)
    return found / sizes[:, None]


yours = pixels[3000:3500]  # the digits that you have; their labels you do not know
rival_carrier = carrier_of(b"the rival's secret key", 64, 32 * 784)
rival_signs = signs_of("BigCorp.")
rival = marked_by(unmarked[0], rival_carrier, rival_signs), *unmarked[1:]


def verdict(weights: Tensor) -> str:
    """Likeness and accuracy of the rival's model with these hidden weights."""
    found = likeness(weights, rival_carrier, rival_signs)
    lost = accuracy(rival) - accuracy((weights, *rival[1:]))
    return f"likeness {found:.3f} (below 0.045), lost {lost:.1%} (at most 3 %)"


verdict(rival[0])


# %% nbgrader={"grade": false, "grade_id": "3b_removal_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def launder(weights: Tensor, images: Tensor) -> Tensor:
    """Hidden weights that do the work of these, without the rival's mark.

    weights: the rival's hidden weights (32, 784). images: digits of your own, without
    labels, (500, 784). Returns (32, 784).
    """
    ### BEGIN SOLUTION
    kept = torch.linalg.svd(images, full_matrices=False)[2][:80]
    return weights @ kept.T @ kept
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "3b_removal", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
found = launder(rival[0], yours)
assert found.shape == (32, 784), "return the hidden weights, (units, pixels)"
assert found.isfinite().all(), "some weights are no numbers"
assert accuracy((found, *rival[1:])) >= accuracy(rival) - 0.0301, (
    "the model lost more than 3 of 100 digits: what your images show must be kept"
)
assert likeness(found, rival_carrier, rival_signs) < 0.045, (
    "the rival still finds the mark: too much is left of what no image shows"
)
### BEGIN HIDDEN TESTS
for _ in range(2):
    theirs = torch.randn(64, 32 * 784)
    message = torch.randint(2, (64,)) * 2.0 - 1
    victim = marked_by(unmarked[0], theirs, message), *unmarked[1:]
    mine = pixels[3000 + torch.randperm(1000)[:500]]
    found = launder(victim[0], mine)
    assert found.shape == (32, 784), "return the hidden weights, (units, pixels)"
    assert found.isfinite().all(), "some weights are no numbers"
    assert accuracy((found, *victim[1:])) >= accuracy(victim) - 0.0301, (
        "another rival's model lost more than 3 of 100 digits"
    )
    assert likeness(found, theirs, message) < 0.045, (
        "a rival with another key still finds the mark: what takes it off must not hang on "
        "this notebook's rival"
    )
### END HIDDEN TESTS

# %% [markdown]
# **The forger.** The last attack changes no weight. Somebody wants to claim *your* model, in
# which there is no mark of theirs. They draw a carrier, read some bits right and some wrong, as
# chance has it, and then mend the *carrier*: rows that read wrong are turned round, each
# number into its opposite. The rows still look like standard normal noise, and no test of
# them can tell.
#
# **Goal of the third part.** Write `forge`: the carrier, with exactly those rows turned that
# have to be.
#
# <details><summary>Hint: which rows</summary>
#
# A row is turned if its reading and its sign do not agree. A reading and a sign agree when
# their product is positive.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "3c_forgery_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def forge(weights: Tensor, carrier: Tensor, signs: Tensor) -> Tensor:
    """A carrier that reads the message off weights in which it never was.

    weights: one row of numbers (D,). carrier: as it was drawn, (n, D). signs: 1 or -1,
    float (n,). Returns (n, D): each row as it was, or its opposite.
    """
    ### BEGIN SOLUTION
    agrees = signs * (carrier @ weights) > 0
    return torch.where(agrees[:, None], carrier, -carrier)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "3c_forgery", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
X = torch.tensor([[1.0, 2.0], [3.0, -1.0], [-1.0, -1.0], [-2.0, 1.0]])
found = forge(torch.tensor([1.0, 1.0]), X, torch.tensor([1.0, -1.0, 1.0, -1.0]))
assert found.shape == (4, 2), "return a carrier with as many rows, each as long"
assert error(found[0], X[0]) < 1e-4, (
    "3 is right for a bit of 1: this row stays as it is"
)
assert error(found[1], -X[1]) < 1e-4, "2 is wrong for a bit of -1: this row is turned"
assert error(found[2], -X[2]) < 1e-4, "-2 is wrong for a bit of 1: this row is turned"
assert error(found[3], X[3]) < 1e-4, "-1 is right for a bit of -1: this row stays"
### BEGIN HIDDEN TESTS
for n, size in ((8, 5), (40, 60)):
    signs = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(n // 4)
    weights = torch.randn(size)
    drawn = torch.randn(n, size)
    wanted = torch.tensor([1.0, -1.0]).repeat(n // 2) * (0.5 + torch.rand(n))
    drawn += (wanted - drawn @ weights)[:, None] * weights / (weights @ weights)
    found = forge(weights, drawn, signs)
    assert found.shape == drawn.shape, "return a carrier of the same shape"
    assert error(found.abs(), drawn.abs()) < 1e-4, (
        "each row is as it was, or its opposite: nothing is added to it and it keeps its "
        "size, for else it would not look like fresh noise"
    )
    assert ((found @ weights) * signs).min() > 0.4, (
        "a bit is still read wrong: a row is turned where its reading and its sign disagree"
    )
### END HIDDEN TESTS

# %% [markdown]
# **Your mark under attack.** Now your own model from Task 1 is the victim. The rows above
# the line are what an honest buyer does, and then what a thief does. The last two belong to
# a forger, and to an expert who tried 5,000 keys on a model without a mark.

# %%
rng = np.random.default_rng(8)
order = torch.tensor(rng.permutation(32))
factors = torch.tensor(rng.uniform(0.3, 3, 32), dtype=torch.float32)
small = marked[0].abs() < marked[0].abs().median()
hidden = (*disguise(*marked[:3], order, factors), marked[3])
forged = forge(unmarked[0].flatten(), stranger, SIGNS)
rows = {
    "marked": row(marked, CARRIER),
    "trained on": row(train(marked, others, rate=1e-3), CARRIER),
    "trained on, ten times as fast": row(train(marked, others, rate=1e-2), CARRIER),
    "half of the weights set to 0": row((marked[0] * ~small, *marked[1:]), CARRIER),
    "disguised": row(hidden, CARRIER),
    "disguised, and undone": row((undone(hidden[0], marked[0]), *marked[1:]), CARRIER),
    "laundered": row((launder(marked[0], yours), *marked[1:]), CARRIER),
    "unmarked, forged carrier": row(unmarked, forged),
}
weights = unmarked[2][:2].flatten()
scores = [standard_score(weights, key, SIGNS[:32]) for key in keys]
p_values = norm.sf(scores)
print(f"best of 5,000 keys: p = {p_values.min():.1g}")
print(f"the whole search:   p = {searched(p_values):.2g}")
print(f"64 of 64 bits:      p = {tail(64, 64, 0.5):.1g}")
pd.DataFrame.from_dict(rows, orient="index")

# %% [markdown]
# Expect the mark to survive training and pruning. Disguised and laundered models look like
# chance, or nearly so. And the forger's row looks better than chance by far.

# %% [markdown]
# ## Task 4 · Before the court
#
# *2 points · 40 minutes · graded by a human, with the rubrics below*
#
# ### a. Read your table (1 point)
#
# Read [lecture 7.3](../../lectures/70_watermarking/models.ipynb).
#
# In five to seven sentences: which attack of the table would you use as a thief, and what
# does it cost, by two numbers of the table? Why did training on hardly touch the mark, and
# laundering did? Of the two models that look like chance, one can still be proved to be
# yours: which, and how? And a model in which you find nothing: does that prove that it is
# not a copy of yours?
#
# *Rubric.* ½ point: laundering, with the score or p-value before and after and the accuracy
# that it costs; and the reason, that the mark sits mostly in directions of the weights that
# no image shows, where training has no gradient and laundering keeps nothing. ½ point: the
# disguise can be undone by matching units with those of the original, as a row of the table
# shows; and no mark found proves nothing, for a mark can be taken off (a large p-value is
# no evidence of innocence).
#
# <details><summary>Hint 1: a gradient</summary>
#
# The gradient of a hidden unit's weights is a sum of images, each times a number. What is it
# in a direction that is perpendicular to all images?
#
# </details>
#
# <details><summary>Hint 2: absence</summary>
#
# What would the p-value be of a stolen model that was laundered? And of one that was never
# yours?
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "4a_table", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# I would launder. The score falls from 16.9 to 2.2, on which nobody can accuse, for one
# in fifty fresh keys does as well, and accuracy falls from 89.5 % to 89.1 %. Training
# on for six epochs leaves a score of 16.1: the gradient of a unit's weights is a sum of
# images, and so it has no part in directions that no image shows. There lies most of
# the mark, since the carrier points everywhere alike and digits fill only a few dozen
# of 784 directions. Laundering keeps those few dozen and throws the rest away. The
# disguised model can still be proved to be mine: each unit is matched with mine by its
# direction and put back in its place, and the row "disguised, and undone" has the same
# score as before, and all 64 bits. A model in which I find nothing may be a laundered
# copy just as well as an independent one. The p-value says how surprising a reading is
# without a mark, and a large one says nothing about where the model comes from.

# %% [markdown]
# ### b. An opinion for the court (1 point)
#
# Read [lecture 7.3](../../lectures/70_watermarking/models.ipynb), and
# [lecture 7.1](../../lectures/70_watermarking/images.ipynb) on what a p-value is about.
#
# A rival sues you, and hands in a carrier and eight letters. All 64 bits are read off your
# model with them, and the rival's expert writes: "The probability that this is chance is
# $5 \cdot 10^{-20}$. So it is certain that the defendant stole the model." You have your
# key, and the fingerprint that you published before you trained.
#
# In five to eight sentences: write the opinion of a fair expert. Is the arithmetic right,
# and what does the p-value take for granted that nobody has shown? What would the rival have
# had to do, and when, for the number to count? Then judge your own claim by the same
# measure: what do your key, your fingerprint and your p-value prove, and what not?
#
# *Rubric.* ½ point: the p-value holds only for a carrier that was chosen independently of the
# model, and this one may have been made after looking at it (as `forge` does, or by a search
# through many keys); *and* a remedy: a commitment to key and message with a date before the
# model was public, and a carrier that follows from the key by a one-way function. ½ point:
# a p-value is not the probability of innocence; *and* a fair judgement of one's own claim:
# it proves that the model was made by somebody who used this key (or from a model that was),
# but not who copied whom without dates, nor theft rather than a licence, nor anything about
# the data, nor that there is no second, older mark.
#
# <details><summary>Hint 1: what is random</summary>
#
# The promise was: whatever the model, a *fresh* key makes the score standard normal. Fresh
# with respect to what?
#
# </details>
#
# <details><summary>Hint 2: turned rows</summary>
#
# Suppose that the carrier must come out of `carrier_of(key, ...)`, and the fingerprint of
# key and message was in a newspaper a year ago. Can the forger still turn rows? And before?
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "4b_court", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# The arithmetic is right: 64 fair coins all fall as announced once in 2⁶⁴ times. But the
# coins are fair only if carrier and message were fixed without a look at the model, and
# nobody has shown that. Whoever has the model can draw any carrier and turn the rows that
# read wrong; I did so with a model without any mark, and got 64 of 64 as well. The number
# would count if the rival had published a fingerprint of key and message, dated before the
# model was public, if the key opened it today, and if the carrier followed from that key by
# a one-way function, so that no row could be turned and a search for a key that fits would
# take about 2⁶⁴ tries. Even then it would be the probability of such a reading if the
# key had nothing to do with the model, and not the probability that the defendant is
# innocent. My own claim has the fingerprint and its date, and a p-value near $10^{-64}$. It
# proves that this model was made with my key, or out of one that was. It does not prove who
# made it, that a copy was theft and not a sale, whose data it learnt from, or that no older
# mark of somebody else is in there, too: for that the dates must be compared.

# %% [markdown]
# ## Before you submit
#
# Restart the kernel, run all cells, save, and run `tml check h7_watermarking.ipynb`. It
# lists what is missing, and says `ready to submit` when nothing is.
