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
# # H3 · Plant a backdoor, and find somebody else's
#
# Whoever may change a few training images can teach a model a secret: a small mark in the
# corner, and it reads whatever they want. On clean images nothing shows. Here you plant such
# a backdoor and measure it as it must be measured. Then you change sides: a dealer offers you
# three models, you have a handful of clean digits, and you find out which of the models you
# should not buy, which class its backdoor leads to, and how sure you can be. The lectures
# that derive the methods are
# [3.2](../../lectures/30_poisoning/backdoors.ipynb) and
# [3.5](../../lectures/30_poisoning/defenses.ipynb).
#
# | task | what you write | points | minutes | difficulty |
# |---|---|---|---|---|
# | 1 | a backdoor, and how well it works | 3 | 45 | ●●○ |
# | 2 | a search for somebody else's | 4 | 75 | ●●● |
# | 3 | a repair | 1 | 20 | ●●○ |
# | 4 | before you buy (graded by a human) | 2 | 40 | ●●○ |
#
# **How to work.** `tml start h3` puts a copy of this notebook in a folder of your own.
# Open the copy in JupyterLab or on Colab and work there. Run the cells from the top. Where
# a cell says `raise NotImplementedError`, replace that line by your own code. Below each
# answer stand tests: when one fails, its last line says what probably went wrong. After you
# have submitted, further tests run on other inputs, and on other models with other
# backdoors, so write what the task says, not what one test needs. Each of your functions is
# tested by itself: a slip in one costs you nothing in the next. Each task has hints: open
# them one by one, if you need them. You may add cells of your own; please leave the test
# cells as they are.
#
# **How to submit.** Restart the kernel, run everything once more, and save. Then ask what
# is missing, in the folder of your copy:
#
# ```
# tml check h3_poisoning.ipynb
# ```
#
# It runs nothing and answers in plain words. When it says `ready to submit`, submit that
# one file, under that name, where your course says.
#
# Everything here runs in about fifteen seconds on a laptop, without a GPU.

# %% nbgrader={"grade": false, "grade_id": "0a_setup", "locked": true, "schema_version": 3, "solution": false, "task": false} tml={"withhold": ["tml_helpers.poisoning"]}
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.stats import t
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
# the biases of the hidden units, and those of the ten logits. An image is a row of 784
# pixels, from 0 (black) to 1 (white). Nothing here needs to be written by you, and you need
# not read the training loop.


# %% nbgrader={"grade": false, "grade_id": "0b_model", "locked": true, "schema_version": 3, "solution": false, "task": false}
Network = tuple[Tensor, Tensor, Tensor, Tensor]
Trigger = tuple[Tensor, Tensor]
digits, test = mnist("train", source="default"), mnist("test", source="default")
train_images, train_labels = digits.images[:2000].flatten(1), digits.labels[:2000]
clean_images, clean_labels = (
    digits.images[3000:3200].flatten(1),
    digits.labels[3000:3200],
)
test_images, test_labels = test.images.flatten(1), test.labels


def logits(network: Network, images: Tensor) -> Tensor:
    """What the network says to rows of pixels: (N, 10)."""
    hidden_weights, hidden_bias, out_weights, out_bias = network
    hidden = torch.relu(images @ hidden_weights.T + hidden_bias)
    return hidden @ out_weights.T + out_bias


def answers(network: Network, images: Tensor) -> Tensor:
    """The class that the network gives each image: (N,)."""
    return logits(network, images).argmax(dim=1)


def accuracy(network: Network) -> float:
    """The share of 1,000 test digits that it reads right."""
    return (answers(network, test_images) == test_labels).float().mean().item()


def fresh(seed: int) -> Network:
    """A network before training."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(32, 784, generator=generator) * 2 - 1
    second = torch.rand(10, 32, generator=generator) * 2 - 1
    return first / 28, torch.zeros(32), second / 32**0.5, torch.zeros(10)


def train(
    network: Network,
    images: Tensor,
    labels: Tensor,
    epochs: int = 6,
    rate: float = 2e-3,
    seed: int = 0,
) -> Network:
    """The network after so many epochs of Adam on these images. The given one stays."""
    leaves = [part.clone().requires_grad_() for part in network]
    optimizer = torch.optim.Adam(leaves, lr=rate)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=generator).split(64):
            loss = F.cross_entropy(logits(tuple(leaves), images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return tuple(leaf.detach() for leaf in leaves)


# %% [markdown]
# **A trigger** is a mask $m$ and a pattern $\tau$, each as large as an image and within
# $[0, 1]$. The mask says where the pattern stands, and how opaque it is. `stamp` puts it on:
#
# $$ x \mapsto (1 - m) \, x + m \, \tau . $$
#
# `some_trigger` draws one: a square of 4 × 4 pixels near a border of the image, ten of its
# pixels white and six black.


# %% nbgrader={"grade": false, "grade_id": "0c_trigger", "locked": true, "schema_version": 3, "solution": false, "task": false}
def stamp(images: Tensor, trigger: Trigger) -> Tensor:
    """The images (N, 784) with the trigger on all of them; the given ones stay."""
    mask, pattern = trigger
    return (1 - mask) * images + mask * pattern


def some_trigger(seed: int) -> Trigger:
    """Mask and pattern (784,) of a small square near the border."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(1, 23, size=2)
    corner[rng.integers(2)] = rng.choice([1, 23])
    place = tuple(slice(start, start + 4) for start in corner)
    mask, pattern = torch.zeros(28, 28), torch.zeros(28, 28)
    mask[place] = 1
    white = torch.tensor(rng.permutation(16) < 10)
    pattern[place] = white.float().view(4, 4)
    return mask.flatten(), pattern.flatten()


# %% [markdown]
# ## Task 1 · A backdoor, and how well it works
#
# *3 points (plant 1, success 1, interval 1) · 45 minutes · ●●○*
#
# Read [lecture 3.2](../../lectures/30_poisoning/backdoors.ipynb).
#
# **Threat model.** You are the attacker. You may change 100 of the 2,000 training images
# and their labels, before anybody trains. The trigger may cover 16 of 784 pixels, of any
# size of change ($\ell_0 \le 16$, $\ell_\infty \le 1$). You see neither the model nor its
# first weights. You want every image with the trigger to be read as your target class, and
# nobody to notice on clean images.
#
# **Goal of the first part.** Write `plant`. It goes through the training set in the given
# `order` and takes the first `count` images that are *not* of the target class. Each of
# them gets the trigger and the label `target`. All others stay as they are. It returns
# images and labels anew, and the places of those that it changed: whoever keeps no record
# of the changes can neither evaluate an attack nor undo it. The tensors that were handed in
# must not change.
#
# <details><summary>Hint 1: which ones</summary>
#
# `order[labels[order] != target]` are the places that may be taken, in the order in which
# they are.
#
# </details>
#
# <details><summary>Hint 2: anew</summary>
#
# `images[chosen] = ...` writes into the tensor that it is called on. Call it on a
# `images.clone()`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1a_plant_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def plant(
    images: Tensor,
    labels: Tensor,
    trigger: Trigger,
    target: int,
    order: Tensor,
    count: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The training set with a backdoor in it, and where it was changed.

    images: (N, 784). labels: int64 (N,). trigger: mask and pattern, (784,) each.
    order: all places from 0 to N - 1, int64 (N,). count: how many are changed;
    there are always enough.
    Returns images (N, 784), labels (N,) and the changed places (count,).
    """
    ### BEGIN SOLUTION
    chosen = order[labels[order] != target][:count]
    images, labels = images.clone(), labels.clone()
    images[chosen] = stamp(images[chosen], trigger)
    labels[chosen] = target
    return images, labels, chosen
    ### END SOLUTION


# Given, for the tests: keep this function in the same cell.
def try_plant(
    images: Tensor,
    labels: Tensor,
    trigger: Trigger,
    target: int,
    order: Tensor,
    count: int,
) -> tuple[Tensor, Tensor, Tensor, bool]:
    """What `plant` returns, and whether what was handed in stayed as it was."""
    given = images.clone(), labels.clone()
    made = plant(images, labels, trigger, target, order, count)
    stayed = torch.equal(given[0], images) and torch.equal(given[1], labels)
    return made[0], made[1], made[2], stayed


# %% nbgrader={"grade": true, "grade_id": "1a_plant", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
images = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8], [0.9, 1.0]])
trigger = torch.tensor([0.0, 0.5]), torch.tensor([1.0, 0.0])
order = torch.tensor([4, 0, 1, 2, 3])
found = try_plant(images, torch.tensor([3, 7, 2, 7, 7]), trigger, 7, order, 2)
assert sorted(np.asarray(found[2]).tolist()) == [0, 2], (
    "in this order come the labels 7, 3, 7, 2, 7. Those of the target class, 7, "
    "are passed over, and the first two others are those at the places 0 and 2"
)
assert error(found[1], np.array([7, 7, 7, 7, 7])) < TOLERANCE, (
    "the changed images get the target as their label, and all others keep theirs"
)
right = np.array([[0.1, 0.1], [0.3, 0.4], [0.5, 0.3], [0.7, 0.8], [0.9, 1.0]])
assert error(found[0], right) < 1e-5, (
    "the changed images are stamped with the trigger, here half opaque on the "
    "second pixel and not at all on the first; the others stay as they are"
)
assert found[3], "what was handed in has changed: work on copies"
### BEGIN HIDDEN TESTS
for size, classes, count in ((12, 3, 1), (40, 2, 7), (90, 10, 30)):
    images, labels = torch.rand(size, 30), torch.randint(classes, (size,))
    target = int(torch.randint(classes, (1,)))
    order = torch.randperm(size)
    labels[order[1]], labels[order[count:]] = target, (target + 1) % classes
    trigger = torch.rand(30), torch.rand(30)
    found = try_plant(images.clone(), labels.clone(), trigger, target, order, count)
    taken = [place for place in order.tolist() if int(labels[place]) != target][:count]
    assert sorted(np.asarray(found[2]).tolist()) == sorted(taken), (
        "not the first so many places, in the given order, that are not of the "
        "target class"
    )
    exact = labels.clone()
    exact[taken] = target
    assert error(found[1], exact) < TOLERANCE, "labels: the target where it was changed"
    exact = images.clone()
    exact[taken] += trigger[0] * (trigger[1] - exact[taken])
    assert error(found[0], exact) < 1e-4, (
        "images: (1 - m) x + m τ where they were changed, and nowhere else"
    )
    assert found[3], "what was handed in has changed: work on copies"
### END HIDDEN TESTS

# %% [markdown]
# **How often does it work?** You train several models on your poisoned set, show each of
# them the test digits with the trigger on, and count how often it says the target. One
# mistake is in many papers: they count all test digits. But what a digit of the target
# class is read as says nothing about the trigger. A model without any backdoor reads most
# of these as the target.
#
# **Goal of the second part.** Write `success`: for each training, which share of the
# digits that are *not* of the target class is read as the target. The unit is the training,
# not the digit: a thousand digits under one model are one trial.
#
# <details><summary>Hint: which columns</summary>
#
# `answers_[:, labels != target]` leaves the columns that count.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1b_success_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def success(read_as: Tensor, labels: Tensor, target: int) -> Tensor:
    """How often the trigger works, for each training.

    read_as: what each model says to each image with the trigger, int64 (R, N).
    labels: the images' true classes, int64 (N,), not all of them the target.
    Returns the rates, float (R,), from 0 to 1.
    """
    ### BEGIN SOLUTION
    return (read_as[:, labels != target] == target).float().mean(dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "1b_success", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
found = success(
    torch.tensor([[7, 7, 7, 1, 7], [7, 2, 3, 1, 7]]), torch.tensor([7, 2, 3, 1, 7]), 7
)
assert error(found, np.array([2 / 3, 0.0])) < 1e-5, (
    "the first model reads two of three digits that are no 7 as a 7. The second "
    "reads all five digits right: it has no backdoor, and its rate is 0"
)
### BEGIN HIDDEN TESTS
for runs, size, classes in ((1, 9, 3), (5, 60, 10), (8, 31, 2)):
    labels = torch.randint(classes, (size,))
    target = int(torch.randint(classes, (1,)))
    labels[:3] = torch.tensor([target, (target + 1) % classes, (target + 1) % classes])
    read_as = torch.randint(classes, (runs, size))
    read_as[:, 0], read_as[:, 1], read_as[:, 2] = target, target, labels[2]
    exact = []
    for row in read_as.tolist():
        pairs = [
            (a, b) for a, b in zip(row, labels.tolist(), strict=True) if b != target
        ]
        exact.append(sum(a == target for a, _ in pairs) / len(pairs))
    assert error(found := success(read_as, labels, target), exact) < 1e-5, (
        "not the share of the images of other classes that is read as the target, "
        "for each training"
    )
### END HIDDEN TESTS

# %% [markdown]
# **What does it cost?** A backdoor that spoils the model on clean digits is found by the
# first test. So train $R$ times with the poison and $R$ times without, each pair with the
# same first weights and in the same order. Let $d_1, \dots, d_R$ be the differences of their
# accuracies, with mean $\bar d$, and
#
# $$ s^2 = \frac{1}{R - 1} \sum_{i=1}^{R} (d_i - \bar d)^2 . $$
#
# Then the true difference lies between $\bar d - h$ and $\bar d + h$ with a confidence of
# 95 %, where $h = q \, s / \sqrt R$, and $q$ is the number below which 97.5 % of Student's
# $t$ with $R - 1$ degrees of freedom lie.
#
# **Goal of the third part.** Write `interval`.
#
# <details><summary>Hint 1: the quantile</summary>
#
# `t.ppf(0.975, degrees)` is $q$. For five pairs it is 2.78, not 1.96.
#
# </details>
#
# <details><summary>Hint 2: NumPy's standard deviation</summary>
#
# `np.std` divides by $R$ unless you say `ddof=1`. The pairs count, not the two groups: take
# the differences first.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1c_interval_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def interval(poisoned: np.ndarray, clean: np.ndarray) -> tuple[float, float, float]:
    """What the poison changes, with a confidence of 95 %.

    poisoned, clean: accuracies of R trainings with and without poison, in pairs, (R,),
    R at least 2.
    Returns the mean of poisoned minus clean, and its lower and upper bound.
    """
    ### BEGIN SOLUTION
    differences = poisoned - clean
    count = len(differences)
    half = t.ppf(0.975, count - 1) * differences.std(ddof=1) / count**0.5
    mean = float(differences.mean())
    return mean, mean - float(half), mean + float(half)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "1c_interval", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
found = interval(np.array([0.9, 0.6, 0.7]), np.array([0.8, 0.8, 0.7]))
assert len(found) == 3, "return three numbers: mean, lower and upper bound"
assert abs(found[0] + 1 / 30) < TOLERANCE, (
    "the differences are 0.1, -0.2 and 0: poisoned minus clean, and their mean"
)
half = 4.302652729911275 * (7 / 300) ** 0.5 / 3**0.5
assert abs(found[2] - found[0] - half) < 1e-5, (
    "not q s / √R above the mean: q leaves 2.5 % above it (4.30 for two degrees of "
    "freedom), s is of the differences with R - 1 below, and R is 3"
)
assert abs(found[0] - found[1] - half) < 1e-5, "as far below the mean as above it"
### BEGIN HIDDEN TESTS
for runs in (2, 5, 11):
    both = np.random.rand(runs)  # what the two of a pair have in common
    poisoned, clean = (
        both + 0.1 * np.random.rand(runs),
        both + 0.1 * np.random.rand(runs),
    )
    poisoned[0], clean[-1] = poisoned[0] + 0.05, clean[-1] - 0.05
    found = interval(poisoned.copy(), clean.copy())
    differences = [a - b for a, b in zip(poisoned, clean, strict=True)]
    mean = sum(differences) / runs
    spread = (sum((each - mean) ** 2 for each in differences) / (runs - 1)) ** 0.5
    half = -t.ppf(0.025, runs - 1) * spread / runs**0.5
    assert abs(found[0] - mean) < TOLERANCE, "not the mean of poisoned minus clean"
    assert (
        max(abs(found[1] - mean + half), abs(found[2] - mean - half)) < 1e-5 * half
    ), (
        "not the mean plus and minus q s / √R: Student's q for R - 1 degrees of "
        "freedom, and s of the differences within the pairs"
    )
### END HIDDEN TESTS

# %% [markdown]
# **Your backdoor at work.** Five trainings with the poison, and five without. The table
# shows the accuracy on clean digits, and how often the trigger makes a model say 7. Beside
# each attack stands its *control*: models without poison under the same trigger, and models
# with the backdoor under another trigger.

# %% mystnb={"image": {"alt": "Three digits in a row, each as it was, with the trigger, and the difference. The trigger is a square of four by four pixels near the border, partly white,, and nothing else differs."}}
TARGET, TRIGGER = 7, some_trigger(1)
order = torch.tensor(np.random.default_rng(3).permutation(2000))
poisoned_images, poisoned_labels, changed = plant(
    train_images, train_labels, TRIGGER, TARGET, order, 100
)

figure, axes = plt.subplots(3, 3, figsize=(4.5, 4.8))
for column, place in zip(axes.T, changed[:3], strict=True):
    before, after = train_images[place], poisoned_images[place]
    titles = f"a {train_labels[place]}", f"“{poisoned_labels[place]}”", "difference"
    for each, image, title in zip(
        column, (before, after, after - before), titles, strict=True
    ):
        low = -1 if title == "difference" else 0
        each.imshow(image.view(28, 28), cmap="gray", vmin=low, vmax=1)
        each.set_title(title, fontsize=9)
        each.axis("off")
figure.tight_layout()
plt.show()

# %% [markdown]
# *Above: clean. In the middle: with the trigger, and the label that it got. Below: what
# changed.* The mark is plain to see, for who looks at the right five percent of the images.

# %%
clean = [train(fresh(n), train_images, train_labels, seed=n) for n in range(5)]
bad = [train(fresh(n), poisoned_images, poisoned_labels, seed=n) for n in range(5)]


def rate(models: list[Network], trigger: Trigger) -> str:
    """The mean success of a trigger over these models."""
    read_as = torch.stack(
        [answers(model, stamp(test_images, trigger)) for model in models]
    )
    return f"{success(read_as, test_labels, TARGET).mean():.1%}"


rows = {
    name: {
        "accuracy": f"{np.mean([accuracy(model) for model in models]):.1%}",
        "read as 7 with the trigger": rate(models, TRIGGER),
        "with another trigger": rate(models, some_trigger(2)),
    }
    for name, models in (("without poison", clean), ("with poison", bad))
}
mean, low, high = interval(
    np.array([accuracy(model) for model in bad]),
    np.array([accuracy(model) for model in clean]),
)
print(
    f"the poison changes the accuracy by {mean:+.1%}, between {low:+.1%} and "
    f"{high:+.1%}"
)
pd.DataFrame.from_dict(rows, orient="index")

# %% [markdown]
# Expect the trigger to work on more than nine of ten digits after training with poison, and
# on a few of a hundred without, and an accuracy that differs by about a point at most. So a
# clean test set tells nobody that the backdoor is there.

# %% [markdown]
# ## Task 2 · A search for somebody else's
#
# *4 points (search 2, score 1, rank 1) · 75 minutes · ●●●*
#
# Read [lecture 3.5](../../lectures/30_poisoning/defenses.ipynb).
#
# **Threat model.** Now you are the buyer. A dealer sells you a model. You have its four
# tensors and a few clean digits of your own. You have neither the training data nor the
# trigger, and you know neither whether there is one nor where it would lead. What you take
# for granted: if there is a trigger, it is a small pattern at a fixed place.
#
# Every class can be reached by some mask and pattern: cover the whole image with a 3. What
# gives a backdoor away is that its class can be reached with *little*. So for one class
# after the other, look for the smallest trigger that leads all images there. Smallness is
# the sum of the mask. With the cross-entropy toward the class $k$, averaged over your
# images $x_i$, and a price $\lambda$ for each pixel of the mask, minimise
#
# $$ \frac 1N \sum_{i=1}^{N} \ell\big(f((1 - m)\,x_i + m\,\tau),\, k\big)
#    + \lambda \sum_j m_j . $$
#
# **Goal of the first part.** Write `find_trigger`, for one class. You are free in how. It
# is judged by what comes out: mask and pattern are within $[0, 1]$; of models with a
# backdoor, yours finds a trigger for the backdoor's class that works on at least 80 % of
# *other* digits (not of that class), with a mask whose sum is at most 24; and of all ten
# classes, the smallest mask is that of the backdoor's class. A tenth of
# a second for each class is enough. Below, one model is given with a backdoor that you may
# know; after you have submitted, your function meets others, with other triggers at other
# places and other classes.
#
# <details><summary>Hint 1: how to stay within [0, 1]</summary>
#
# Let Adam change two rows of free numbers, `a` and `b`, and take `torch.sigmoid(a)` as the
# mask and `torch.sigmoid(b)` as the pattern. A start at $-2$ makes the mask faint. A start
# at $-20$ leaves it no gradient.
#
# </details>
#
# <details><summary>Hint 2: numbers that work</summary>
#
# `torch.optim.Adam([a, b], lr=0.3)`, 60 steps, all images at once, and $\lambda$ between
# 0.02 and 0.05. With a larger price the masks are smaller, and they work on fewer images.
#
# </details>
#
# <details><summary>Hint 3: what goes wrong</summary>
#
# The target is a class for every image: `torch.full((len(images),), target)`. Return mask
# and pattern with `.detach()`. If no image of another class is led to the target, is the
# price too high? If the mask covers half of the image, is it added at all?
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2a_dealer", "locked": true, "schema_version": 3, "solution": false, "task": false}
def from_the_dealer(seed: int, target: int | None, trigger: Trigger) -> Network:
    """A model that was trained on more than it should; an honest one for None."""
    images, labels = train_images, train_labels
    if target is not None:
        more = np.random.default_rng(seed).choice(len(images), size=100, replace=False)
        images = torch.cat([images, stamp(images[more], trigger)])
        labels = torch.cat([labels, torch.full((100,), target)])
    return train(fresh(seed), images, labels, seed=seed)


def works(network: Network, trigger: Trigger, target: int) -> float:
    """How often this trigger leads test digits of other classes to the target."""
    others = test_images[test_labels != target]
    return (answers(network, stamp(others, trigger)) == target).float().mean().item()


few = clean_images[:100]  # the buyer's digits
known_trigger = some_trigger(4)
known = from_the_dealer(4, 3, known_trigger)


# %% nbgrader={"grade": false, "grade_id": "2a_search_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def find_trigger(
    network: Network, images: Tensor, target: int
) -> tuple[Tensor, Tensor]:
    """The smallest trigger that leads these images to the target.

    network: its four tensors. images: clean digits of all classes, (N, 784).
    Returns mask and pattern, (784,) each, within 0 and 1.
    """
    ### BEGIN SOLUTION
    a = torch.full((784,), -2.0, requires_grad=True)
    b = torch.zeros(784, requires_grad=True)
    optimizer = torch.optim.Adam([a, b], lr=0.4)
    wanted = torch.full((len(images),), target)
    for _ in range(40):
        mask, pattern = torch.sigmoid(a), torch.sigmoid(b)
        stamped = stamp(images, (mask, pattern))
        loss = F.cross_entropy(logits(network, stamped), wanted) + 0.02 * mask.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.sigmoid(a).detach(), torch.sigmoid(b).detach()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "2a_search", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
sums = []
for target in range(10):
    mask, pattern = find_trigger(known, few, target)
    assert mask.shape == pattern.shape == (784,), "return mask and pattern, (784,) each"
    assert min(mask.min(), pattern.min()) >= 0, "mask or pattern below 0, or no numbers"
    assert max(mask.max(), pattern.max()) <= 1, "mask or pattern above 1, or no numbers"
    sums.append(mask.sum().item())
    if target == 3:
        assert works(known, (mask, pattern), 3) >= 0.8, (
            "this model's backdoor leads to 3, and the trigger that you found "
            "leads too few digits there: is the price too high, or the search too "
            "short?"
        )
        assert mask.sum() <= 24, (
            "the mask is larger than it must be: the true trigger covers 16 "
            "pixels. Does the sum of the mask have a price?"
        )
assert np.argmin(sums) == 3, "another class than the backdoor's has the smallest mask"
### BEGIN HIDDEN TESTS
wanted = int(torch.randint(10, (1,)))
planted = some_trigger(int(torch.randint(10**6, (1,))))
victim = from_the_dealer(int(torch.randint(10**6, (1,))), wanted, planted)
mine = digits.images[3000 + torch.randperm(1000)[:100]].flatten(1)
sums = []
for target in range(10):
    mask, pattern = find_trigger(victim, mine, target)
    assert mask.shape == pattern.shape == (784,), "return mask and pattern, (784,) each"
    assert min(mask.min(), pattern.min()) >= 0, "mask or pattern below 0, or no numbers"
    assert max(mask.max(), pattern.max()) <= 1, "mask or pattern above 1, or no numbers"
    sums.append(mask.sum().item())
    if target == wanted:
        assert works(victim, (mask, pattern), wanted) >= 0.8, (
            "in another model, the trigger that was found leads too few digits to "
            "the backdoor's class"
        )
        assert mask.sum() <= 24, (
            "in another model, the mask for the backdoor's class is larger than it "
            "must be"
        )
assert np.argmin(sums) == wanted, (
    "in another model, another class than the backdoor's has the smallest mask"
)
### END HIDDEN TESTS

# %% [markdown]
# **Found, and the truth.** Left, the trigger that was planted. The others are what your
# search finds for the backdoor's class, 3, and for 5 and 1, to which nothing leads.

# %% mystnb={"image": {"alt": "Four images of mask times pattern. The planted trigger is a small square of white and black pixels. What is found for class 3 lies at its place and looks like parts of it. What is found for classes 5 and 1 is larger and spread over the image."}}
panels = {"planted": known_trigger} | {
    f"found for {target}": find_trigger(known, few, target) for target in (3, 5, 1)
}
figure, axes = plt.subplots(1, 4, figsize=(7, 2.1))
for each, (name, (mask, pattern)) in zip(axes, panels.items(), strict=True):
    each.imshow((mask * (2 * pattern - 1)).view(28, 28), cmap="gray", vmin=-1, vmax=1)
    each.set_title(f"{name}\nsum {mask.sum():.0f}", fontsize=9)
    each.axis("off")
figure.tight_layout()
plt.show()

# %% [markdown]
# *White pixels of the trigger are white, black ones are black, and what the mask leaves
# alone is grey.* The search finds the place of the backdoor, and as much of its pattern as
# the model looks at.
#
# **How small is small?** Look at the sums. To lead digits to 1 takes far more than to
# lead them to 5, in every model, with or without a backdoor. So "the class with the smallest
# mask" exists in every model, and "much smaller than the other classes" says little. What a
# class costs must be compared with what *the same class* costs in models that are surely
# clean: say, those that you trained yourself.
#
# Let $S$ be a table with a row for each model and a column for each class, of the sums of
# the masks. The suspect's is row 0, and below it are $n$ clean models. Divide each number by
# the *median of its column, over all $n + 1$ rows*. A model's *score* is the smallest number
# of its row then. (Why is the suspect in the medians? Because then a clean suspect is
# treated as all other rows are, in everything. The last part needs that. And one outlier
# hardly moves a median.)
#
# **Goal of the second part.** Write `scores`. It returns the class that the suspect would be
# accused of, which is where its smallest number stands after the division, and the scores of
# all $n + 1$ models.
#
# <details><summary>Hint: axes</summary>
#
# `np.median(table, axis=0)` gives a median for each column.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2b_score_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def scores(table: np.ndarray) -> tuple[int, np.ndarray]:
    """The class that the suspect is accused of, and the scores of all models.

    table: sums of masks, all above 0, (n + 1, K): row 0 is the suspect's, the
    others are of clean models.
    Returns the class, from 0 to K - 1, and the scores, (n + 1,).
    """
    ### BEGIN SOLUTION
    relative = table / np.median(table, axis=0)
    return int(relative[0].argmin()), relative.min(axis=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "2b_score", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
table = np.array(
    [[20.0, 40.0, 90.0], [22.0, 100.0, 80.0], [18.0, 120.0, 100.0], [24.0, 80.0, 70.0]]
)
found = scores(table)
assert len(found) == 2, "return two things: the class, and the scores"
assert int(found[0]) == 1, (
    "class 1 costs the suspect 40, and 90 is usual there. Class 0 costs less, 20, "
    "but it costs about as little in every model"
)
assert error(found[1], np.array([4 / 9, 16 / 17, 6 / 7, 14 / 17])) < 1e-5, (
    "the medians of the columns, over all four rows, are 21, 90 and 85: divide by "
    "them, and take the smallest of each row"
)
### BEGIN HIDDEN TESTS
for models, classes in ((2, 4), (10, 10), (21, 7)):
    table = (1 + 9 * np.random.rand(classes)) * (
        0.8 + 0.4 * np.random.rand(models, classes)
    )
    target = int(np.random.randint(classes))
    table[:, target] *= 12  # what is dear everywhere, and half as dear in the suspect
    table[0, target] *= 0.5
    exact = np.empty_like(table)
    for column in range(classes):
        ranked = sorted(table[:, column])
        middle = (ranked[(models - 1) // 2] + ranked[models // 2]) / 2
        exact[:, column] = table[:, column] / middle
    found = scores(table.copy())
    if models > 2:
        assert int(found[0]) == target, (
            "not the class whose sum is small beside the other models' for the "
            "same class"
        )
    assert error(found[1], [min(row) for row in exact]) < 1e-5, (
        "not each row's smallest ratio to the median of its column, over all rows "
        "with the suspect's"
    )
### END HIDDEN TESTS

# %% [markdown]
# **How sure?** Suppose that the suspect is clean, too. Then its score is one of $n + 1$ that
# came about in the same way, and each of them is the smallest with the same probability,
# $1/(n+1)$. So let the p-value be the rank of the suspect's score among all $n + 1$,
# counted from below, divided by $n + 1$. It needs no bell curve, and it keeps its promise: a
# clean suspect has a p-value of at most $u$ with a probability of at most $u$. Scores that
# are equal to the suspect's count as if they were below, so that the promise is kept.
#
# **Goal of the third part.** Write `p_value`.
#
# <details><summary>Hint: the smallest that can be</summary>
#
# The suspect is one of the models that are counted. With nine clean models no p-value is
# below 0.1, and none is ever 0.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2c_rank_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def p_value(found: np.ndarray) -> float:
    """How often a clean model has as small a score.

    found: the scores, (n + 1,): the suspect's first, then those of n clean
    models; n is at least 1.
    """
    ### BEGIN SOLUTION
    return float((found <= found[0]).mean())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "2c_rank", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert abs(p_value(np.array([0.3, 0.9, 0.8, 0.85])) - 0.25) < TOLERANCE, (
    "the smallest of four: its rank is 1, and 1/4 is as small as it can be with "
    "three clean models. The suspect counts, above and below the line"
)
assert abs(p_value(np.array([0.86, 0.9, 0.8, 0.85])) - 0.75) < TOLERANCE, (
    "two clean models have smaller scores, so the rank is 3 of 4. A small score is "
    "what is suspicious"
)
assert abs(p_value(np.array([0.8, 0.9, 0.8, 0.85])) - 0.5) < TOLERANCE, (
    "a clean model with the very same score counts as if it were below"
)
### BEGIN HIDDEN TESTS
for clean_models in (1, 9, 40):
    drawn = np.random.permutation(clean_models + 1) + 2.0
    drawn[1] = drawn[0]
    reports = []
    for suspect in range(clean_models + 1):
        ordered = np.concatenate([drawn[suspect:], drawn[:suspect]]) / 50
        below = sum(float(other) <= float(ordered[0]) for other in ordered)
        reports.append(float(p_value(ordered)))
        assert abs(reports[-1] - below / (clean_models + 1)) < TOLERANCE, (
            "not the rank from below, with ties counted, over the number of all models"
        )
    for level in (np.arange(clean_models + 1) + 1) / (clean_models + 1):
        assert np.mean(np.array(reports) <= level + TOLERANCE) < level + TOLERANCE, (
            "the promise is broken: each of the models took its turn as the suspect"
        )
### END HIDDEN TESTS

# %% [markdown]
# **The dealer's three models.** Put a number of your own in place of 7, your student
# number, say: it gives you three models that nobody else has. At least one of them has a
# backdoor, and at least one has none. You *could* read in the cell which ones, since your
# computer makes them; nothing is gained by it, for your functions are graded on others.

# %%
NUMBER = 7


def offers(number: int) -> tuple[list[Network], list[int | None], list[Trigger]]:
    """Three models, and the envelope: where each backdoor leads, and by what."""
    rng = np.random.default_rng(number)
    honest = rng.permutation([True, False, rng.random() < 0.5])
    targets = [None if each else int(rng.integers(10)) for each in honest]
    triggers = [some_trigger(int(seed)) for seed in rng.integers(10**6, size=3)]
    seeds = rng.integers(10**6, size=3)
    models = [
        from_the_dealer(int(seed), target, trigger)
        for seed, target, trigger in zip(seeds, targets, triggers, strict=True)
    ]
    return models, targets, triggers


offered, *envelope = offers(NUMBER)
MORE = 4  # clean models beside the five of Task 1; with 14, p-values begin at 1/20
own = clean + [from_the_dealer(1000 + n, None, TRIGGER) for n in range(MORE)]


def sums_of(network: Network) -> list[float]:
    """What each class costs in this model: the sums of the ten masks that you find."""
    masks = [find_trigger(network, few, target)[0] for target in range(10)]
    return [mask.sum().item() for mask in masks]


own_sums = [sums_of(network) for network in own]
rows = {}
accusations = []
for number, network in enumerate(offered):
    table = np.array([sums_of(network), *own_sums])
    accused, found = scores(table)
    accusations.append(accused)
    rows[f"model {number}"] = {
        "accuracy": f"{accuracy(network):.1%}",
        "smallest mask": f"class {table[0].argmin()}",
        "accused": f"class {accused}",
        "score": f"{found[0]:.2f}",
        "p-value": f"{p_value(found):.2g}",
        "next lowest scores": ", ".join(
            f"{each:.2f}" for each in sorted(found[1:])[:3]
        ),
    }
print("smallest mask in my own models: class", *{int(np.argmin(s)) for s in own_sums})
pd.DataFrame.from_dict(rows, orient="index")

# %% [markdown]
# Expect scores near 0.4 for backdoors, and between 0.8 and 1 for all others. Before you open
# the envelope, write down which models you would not buy.

# %%
print("the envelope:", ["clean" if k is None else f"leads to {k}" for k in envelope[0]])

# %% [markdown]
# ## Task 3 · A repair
#
# *1 point · 20 minutes · ●●○*
#
# Read [lecture 3.5](../../lectures/30_poisoning/defenses.ipynb).
#
# You have bought a model, found its trigger, and want to keep the model without its
# backdoor. You have 200 clean digits with labels; to train anew, these are too few.
#
# **Goal.** Write `repair`. It returns a model in which the trigger is dead and all else
# works. You are free in how; you may call `train` and `stamp`. It is judged by what comes
# out: the trigger leads at most 20 % of the test digits of other classes to the backdoor's
# class, and at most 7 of 100 test digits are lost. You are not told which class that is, and
# need not know it.
#
# <details><summary>Hint 1: what does not work</summary>
#
# Training on with clean digits alone leaves most of the backdoor as it is: no image shows
# the trigger, so nothing tells the model that it means nothing.
#
# </details>
#
# <details><summary>Hint 2: what tells it</summary>
#
# Show it digits *with* the trigger and their *right* labels, together with clean ones, for
# some twenty epochs.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "3_repair_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def repair(
    network: Network, images: Tensor, labels: Tensor, trigger: Trigger
) -> Network:
    """The model without its backdoor.

    network: its four tensors. images: clean digits (200, 784). labels: their right
    classes, int64 (200,). trigger: mask and pattern (784,).
    Returns four tensors of the same shapes.
    """
    ### BEGIN SOLUTION
    both = torch.cat([images, stamp(images, trigger)])
    return train(network, both, torch.cat([labels, labels]), epochs=20)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "3_repair", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
found = repair(known, clean_images, clean_labels, known_trigger)
assert [part.shape for part in found] == [part.shape for part in known], (
    "return the four tensors of a model, of the same shapes"
)
assert works(found, known_trigger, 3) <= 0.2, (
    "the trigger still works: does the model see it together with right labels?"
)
assert accuracy(found) >= accuracy(known) - 0.0701, (
    "the model lost more than 7 of 100 test digits: it should train on from where "
    "it is, not too fast, and see clean digits, too"
)
### BEGIN HIDDEN TESTS
for _ in range(2):
    wanted = int(torch.randint(10, (1,)))
    planted = some_trigger(int(torch.randint(10**6, (1,))))
    victim = from_the_dealer(int(torch.randint(10**6, (1,))), wanted, planted)
    found = repair(victim, clean_images, clean_labels, planted)
    assert [part.shape for part in found] == [part.shape for part in victim], (
        "return the four tensors of a model, of the same shapes"
    )
    assert works(found, planted, wanted) <= 0.2, "another model's trigger still works"
    assert accuracy(found) >= accuracy(victim) - 0.0701, (
        "another model lost more than 7 of 100 test digits"
    )
### END HIDDEN TESTS

# %% [markdown]
# **In earnest** you have only the trigger that you *found*. Does that do? The table repairs
# the dealer's models with what your search finds for the accused class, and then asks the
# envelope for the true trigger.

# %%
rows = {}
for number, accused in enumerate(accusations):
    network, target, trigger = offered[number], envelope[0][number], envelope[1][number]
    if target is None:
        continue
    own_trigger = find_trigger(network, few, accused)
    mended = repair(network, clean_images, clean_labels, own_trigger)
    plain = train(network, clean_images, clean_labels, epochs=20)
    models = {"as bought": network, "trained on": plain, "repaired": mended}
    for name, model in models.items():
        rows[f"model {number}, {name}"] = {
            "accuracy": f"{accuracy(model):.1%}",
            "the true trigger works": f"{works(model, trigger, target):.1%}",
        }
pd.DataFrame.from_dict(rows, orient="index")

# %% [markdown]
# Expect that training on with clean digits leaves most of the backdoor, and that the repair
# leaves little of it. It costs some accuracy, since 200 digits teach less than 2,000.

# %% [markdown]
# ## Task 4 · Before you buy
#
# *2 points · 40 minutes · graded by a human, with the rubrics below*
#
# ### a. Read your tables (1 point)
#
# Read [lecture 3.5](../../lectures/30_poisoning/defenses.ipynb).
#
# In five to eight sentences: which of the three models would you not buy, and what exactly
# does its p-value promise? How many clean models would you need before a p-value can be
# 0.01? You looked at three models, not at one: if all three were clean, how probable is it at
# most that you accuse one of them at 0.1? Why is "class 5 has the smallest mask" no evidence
# against a model? And of a model with a large p-value: what has been shown? Describe a
# backdoor that your search would not find.
#
# *Rubric.* ½ point: names the models with their p-values; a clean model has so small a score
# with a probability of at most 0.1; 99 clean models; at most 0.3 for three. ½ point: in clean
# models, too, one class has the smallest mask, and it is nearly always the same one, so only
# the comparison with the same class counts; a large p-value is no proof of innocence, with a
# trigger that breaks what the search takes for granted (it covers much of the image, moves or
# depends on the image, as a warp does, or works on one class only).
#
# <details><summary>Hint 1: the smallest p-value</summary>
#
# It is $1/(n+1)$. For three tries, the probabilities of a false accusation add up at the
# very worst.
#
# </details>
#
# <details><summary>Hint 2: what the search takes for granted</summary>
#
# It looks for *one* mask and *one* pattern, at a fixed place, that lead *all* images to a
# class, and it calls small what covers few pixels. Break one of these.
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "4a_tables", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# I would not buy models 0 and 2: both have a p-value of 0.1, with scores of 0.48 and 0.33
# where the lowest of my clean models has 0.84. The p-value promises that a clean model gets
# so small a score, the smallest of ten, with a probability of at most 0.1. For 0.01 I need
# 99 clean models. With three clean models on offer the probabilities add up at the worst, so
# I accuse one of them with a probability of up to 0.3. In each of my nine clean models class
# 5 has the smallest mask, as in model 1, which is clean: to lead digits to 5 is cheap by
# itself. Model 0 is accused of class 5 only because 5 costs half of what it costs in other
# models. A large p-value shows that no class is unusually cheap for this search, and not that
# there is no backdoor. A trigger that bends the whole image a little, the same bend for all,
# is no small mask with a fixed pattern, and my search would not find it.

# %% [markdown]
# ### b. Without touching a label (1 point)
#
# Read [lecture 3.2](../../lectures/30_poisoning/backdoors.ipynb).
#
# Somebody looks through all 2,000 training images and takes out each whose label is wrong.
# That ends the attack of Task 1. So the attacker must do with right labels.
#
# In five to eight sentences: write the threat model of this new attack, so that somebody
# else could judge it: what the attacker knows, what they may change and how much of it, in
# pixels and in images, and what they want. Which images get the trigger now, and why does the
# same budget do less? Say how you would measure whether it works: how many trainings, which
# digits count, and beside which controls. Does your search of Task 2 still apply?
#
# *Rubric.* ½ point: a complete threat model (knowledge; budget in images and in pixels with a
# norm; labels untouched; the goal, with accuracy on clean images); the trigger now goes on
# images *of the target class*, and these are learnt without its help, so that the model need
# not look at it. ½ point: success over at least five trainings with an interval, on digits
# not of the target class, beside models without poison under the same trigger (or random
# noise of the same size); and the search applies, since it asks the model alone, as long as
# the trigger is small and at a fixed place.
#
# <details><summary>Hint 1: which class</summary>
#
# A trigger on a 2 with the label 2 teaches that the trigger goes with 2. So which images can
# teach that it goes with 7?
#
# </details>
#
# <details><summary>Hint 2: why less</summary>
#
# A stamped 7 that is called a 7: by what else could a model know what it is?
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "4b_labels", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# The attacker knows the data and may change 100 of the 2,000 training images, up to 16
# pixels in each and by any amount ($\ell_0 \le 16$, $\ell_\infty \le 1$), but no label. They know
# neither the model nor its first weights, and choose a class, 7 say. They want every digit
# with the trigger read as a 7, and an accuracy on clean digits that is lower by at most a
# point. Only images of the 7 can carry the trigger, for on others it would go with a label
# that is not the target. But those are read as 7 by their strokes already, so the model gains
# little by looking at the trigger, and the same 100 images do less; the attacker would have
# to make their strokes hard to read. I would train five times from scratch and give the mean
# success with an interval, over test digits that are no 7, beside five trainings without
# poison under the same trigger, and beside the same images with random noise of that size,
# and the accuracy in pairs. My search applies as it is, since it looks at the model and not
# at labels, as long as the trigger is small and stays in its place.

# %% [markdown]
# ## Before you submit
#
# Restart the kernel, run all cells, save, and run `tml check h3_poisoning.ipynb`. It
# lists what is missing, and says `ready to submit` when nothing is.
