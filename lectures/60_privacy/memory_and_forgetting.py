# %% [markdown]
# # 6.6 Protection, forgetting, and what a language model remembers
#
# Somebody wrote a number into a letter. Years later a model that was trained on many letters completes it, for whoever types the beginning. Could the writer have
# prevented that? Can the model be made to forget? And how would one find out that it remembers, before somebody else does? This lecture takes the three questions
# one after the other. Each has a method that looks as if it worked, and a measurement that shows what it is worth.
#
# **What you will learn**
#
# - to protect pictures by noise that spoils training, and to undo that protection in one line;
# - to forget a record exactly: in closed form for a linear model, by shards and slices for any other;
# - to judge those who only say that they have forgotten, by retraining and by an attack;
# - to measure in bits how far a language model has memorised a secret, and what a measured exposure does and does not prove;
# - to compare the remedies (stopping early, removing copies, training with differential privacy), and to attack the $\varepsilon$ of the last.
#
# **Before you start**: [differential privacy](differential_privacy.ipynb), [DP-SGD](dp_sgd.ipynb) and [membership inference](membership_inference.ipynb). The symbols are those of
# the [notation page](../../book/notation.md).
#
# **Time**: 35 minutes to read; {{ cpu_seconds }} to run.

# %%
import re
import warnings
from collections import Counter
from copy import deepcopy

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import privacy
from tml_helpers.claims import claim, seed
from tml_helpers.data import digits, docstrings, mnist
from tml_helpers.models import MLP
from tml_helpers.plotting import COLOURS, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question: from whom, and when?
#
# There are two things that people call privacy here. One is privacy from **people**: nobody should learn from the model what I said. The other is privacy from
# **machines**: no model should be made of what I published, although people may look at it. They need different means, and the means come at different moments of a record's life.

# %% tags=["hide-input", "fig-mem-when"] mystnb={"image": {"alt": "A line of time with three marks. Before training: protect the record, against machines that learn. In training: bound what is learnt, against people who ask the model. After training: forget the record, against people who ask the model."}}
figure, axis = plt.subplots(figsize=(7, 2.2))
axis.annotate(
    "",
    (3.65, 0),
    (-0.6, 0),
    arrowprops={"arrowstyle": "->", "color": COLOURS["black"], "lw": 1.5},
)
for place, (when, means, whom, hue) in enumerate(
    (
        ("before training", "spoil the record\nfor learners", "machines", "orange"),
        ("in training", "bound what one\nrecord changes", "people", "blue"),
        ("after training", "forget\nthe record", "people", "green"),
    )
):
    x_at = 1.5 * place
    axis.plot(x_at, 0, "o", ms=9, color=COLOURS[hue])
    axis.text(x_at, 0.25, means, ha="center", va="bottom", color=COLOURS[hue])
    axis.text(x_at, -0.25, f"{when}\nagainst {whom}", ha="center", va="top")
axis.set(xlim=(-0.75, 3.8), ylim=(-1.1, 1.1), xticks=[], yticks=[])
axis.set_frame_on(False)
plt.show()

# %% [markdown]
# *Three moments.* Each of them has its method, and each method protects against somebody else. The middle one is the subject of [lecture 6.2](dp_sgd.ipynb); it returns at the end of this page.
#
# ## Before training: protection from machines
#
# **Poisoning** is to change training data so that the trained model fails; [lecture 3.1](../30_poisoning/labels.ipynb) and those after it treat it as an attack. Here the roles are turned round: the one who poisons is the one whose data it is, and the victim is the collector.

# %%
ThreatModel(
    goal="a model that reads other people's digits, from pictures that were published",
    knowledge="grey box",
    capability="trains any network on the pictures and their labels; does not know "
    "whether they were altered",
    out_of_scope="pictures that were published before, or by somebody else",
)

# %% [markdown]
# The collector looks for anything that tells the classes apart. So give it something: a change that is small, the same for all pictures of a class, and easier to learn than the
# digit. Huang and others look for the change $\nu_i$ of picture $i$ that leaves the collector **nothing to learn** {cite}`huang2021unlearnable`: the loss is small already, so its gradient is small too.
#
# $$\min_\theta\ \frac1N \sum_{i=1}^N \ \min_{\lVert \nu_i \rVert_\infty \le \rho} L\big(f_\theta(x_i + \nu_i), y_i\big)$$ (eq-mem-unlearnable)
#
# Read it from the inside. The inner minimum makes the picture as easy as it can be for a model $\theta$, with no pixel changed by more than $\rho$. The outer one trains the model on these easy pictures. An
# adversarial example maximises the same loss; this is its opposite. We write $\rho$ for the bound, since $\varepsilon$ is a privacy budget in this chapter.
#
# One need not solve it. A pattern of dark and light blocks, drawn once for each class, is a sign that every network finds.

# %%
train, test = mnist("train"), mnist("test")
chosen = torch.randperm(4000, generator=generator)[:2000]
images, labels = train.images[chosen], train.labels[chosen]
held_out = TensorDataset(test.images[:1000], test.labels[:1000])
signs = 2.0 * torch.randint(0, 2, (10, 1, 7, 7), generator=generator) - 1
blocks = signs.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)  # one a class


def protected(rho, noise=blocks):
    return (images + rho * noise[labels]).clamp(0, 1)


def collector(pictures):
    """The network that is trained on what was found."""
    model = MLP(128)
    found = TensorDataset(pictures, labels)
    fit(model, found, epochs=10, batch_size=64, generator=generator)
    return model


# %% [markdown]
# Below, the collector's network is measured on other people's digits, which carry no pattern. Beside it: how well it reads the pictures that it was trained on; and what it would have
# reached with one line of care, `pictures > 0.5`, which makes every pixel either ink or paper.

# %%
bounds = (0.0, 0.1, 0.25, 0.4)  # ρ
black = TensorDataset((held_out.tensors[0] > 0.5).float(), held_out.tensors[1])
others, own, cleaned = [], [], []  # accuracies in per cent
for rho in bounds:
    model = collector(protected(rho))
    others.append(100 * accuracy(model, held_out))
    own.append(100 * accuracy(model, TensorDataset(protected(rho), labels)))
    careful = collector((protected(rho) > 0.5).float())
    cleaned.append(100 * accuracy(careful, black))
half = torch.arange(2000) < 1000  # the first half protects its pictures
mixed = collector(torch.where(half[:, None, None, None], protected(0.25), images))

# %% tags=["hide-input", "fig-mem-pictures"] mystnb={"image": {"alt": "Six pictures of one handwritten digit, white on black. With rho 0.1 the paper around it shows faint grey blocks, with 0.25 clear ones, with 0.4 strong ones, and parts of the strokes are darker. The same three after the threshold: the digit alone on black paper, with some pixels of its strokes missing or added at 0.4."}}
figure, axes = plt.subplots(2, 3, figsize=(5.4, 3.9))
for column, rho in enumerate((0.1, 0.25, 0.4)):
    picture = protected(rho)[0, 0]
    for row, (shown, title) in enumerate(
        (
            (picture, rf"$\rho = {rho}$"),
            ((picture > 0.5).float(), "after the threshold"),
        )
    ):
        axes[row, column].imshow(shown, cmap="gray", vmin=0, vmax=1)
        axes[row, column].set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# *The protection, and what one comparison leaves of it.* Above, a digit with the pattern of its class; below, the same pictures after `> 0.5`. Black paper cannot become darker, so only the light blocks show there.

# %% tags=["hide-input", "fig-mem-unlearnable"] mystnb={"image": {"alt": "Accuracy over the bound rho from 0 to 0.4. On the protected training pictures it is near 100 percent throughout. On other people's digits it falls from 91 percent to 78 at 0.1, about 50 at 0.25 and about 25 at 0.4. With the threshold before training it stays at 90 percent until 0.1 and is about 80 at 0.4."}}
figure, axis = plt.subplots(figsize=(6, 3.2))
for values, label, hue, style in (
    (own, "the protected pictures themselves", "black", "s:"),
    (cleaned, "others' digits, threshold before training", "green", "^--"),
    (others, "others' digits", "orange", "o-"),
):
    axis.plot(bounds, values, style, color=COLOURS[hue], label=label)
axis.axhline(10, lw=0.8, color=COLOURS["black"])
axis.text(0, 12, "guessing")
axis.set(xlabel=r"bound $\rho$", ylabel="read correctly (%)", ylim=(0, 105))
figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# *The collector sees nothing wrong.* On its own pictures the network is nearly perfect (dotted). On digits without the pattern it fails (orange). The green line is the same collector, with one more line of code.

# %%
claim("Without protection: over 85 % of others' digits read", others[0] > 85)
claim("At ρ = 0.25: under 68 %", others[2] < 68)
claim("while it reads over 98 % of what it was trained on", own[2] > 98)
claim("The threshold gives over 80 % at the same ρ", cleaned[2] > 80)
claim("and over 15 points more than without it", cleaned[2] - others[2] > 15)
alone = 100 * accuracy(mixed, held_out)
claim("If one half of the people protects itself: over 80 % anyway", alone > 80)

# %% [markdown]
# Three things to take from this picture.
#
# **It protects as long as nobody looks.** The collector who plots one digit sees the blocks. A threshold, a blur, a JPEG, or adversarial training undoes most published noises {cite}`liu2023image`. And the collector has
# time: pictures are altered once, but they can be kept until a method is found that ignores the alteration. Radiya-Dixit and others conclude that this is no arms race, since only one side can move
# again {cite}`radiyadixit2022data`.
#
# **It needs everybody.** Where half of the pictures of each class are clean, the network learns from these. What is protected then is not the class, and a person who protects all of their own pictures gains only if nobody else has pictures of them.
#
# **It is no privacy from people.** Whoever looks at the picture reads the digit. That is the point: it is meant to be looked at.
#
# Is the solution of {eq}`eq-mem-unlearnable` stronger than blocks? We minimise it for class-wise noise by turns, a little training and then ten steps of the noise along the sign of its slope, downhill.

# %%
rho = 0.1
noise, maker = torch.zeros(10, 1, 28, 28), MLP(128)
for _ in range(8):
    easy = TensorDataset((images + noise[labels]).clamp(0, 1), labels)
    fit(maker, easy, epochs=1, batch_size=64, generator=generator)  # the outer minimum
    for _ in range(10):  # the inner one
        noise.requires_grad_()
        changed = (images + noise[labels]).clamp(0, 1)
        (slope,) = torch.autograd.grad(F.cross_entropy(maker(changed), labels), noise)
        noise = (noise.detach() - rho / 10 * slope.sign()).clamp(-rho, rho)
optimal = collector((images + noise[labels]).clamp(0, 1))

# %% tags=["nbval-ignore-output"]
print(f"ρ = 0.1: blocks {others[1]:.0f} %, minimised {accuracy(optimal, held_out):.0%}")

# %%
left = 100 * accuracy(optimal, held_out)
claim("Minimised noise costs over 1 point at ρ = 0.1", others[0] - left > 1)
claim("and leaves over 65 % of others' digits read", left > 65)

# %% [markdown]
# Being optimal against the maker's own network does not make it strong against another one. That is the general weakness: the protector plays first.
#
# ## After training: forgetting
#
# In Europe people may ask that data about them be erased (Article 17 of the General Data Protection Regulation, with conditions and exceptions). A row in a table can be deleted. What of the model that was trained on it? Let $\mathcal M$ be the training, which may draw
# lots, $D$ the data and $i$ the record. A procedure $\mathcal U$ has **unlearnt** the record exactly if what it returns is distributed as if the record had never been there {cite}`cao2015towards`:
#
# $$\mathcal U\big(\mathcal M(D), D, i\big) \ \overset{\text{distribution}}{=}\ \mathcal M\big(D \setminus \{i\}\big)$$ (eq-mem-exact)
#
# Nobody can then learn from the model that $i$ was there. Retraining does it, and costs a training. Everything else in this section is an attempt to pay less.
#
# ### Where it is easy: a linear model
#
# Ridge regression is solved by $\theta = A^{-1} X^\top y$ with $A = X^\top X + \lambda\, \mathrm{Id}$. Taking out row $x_i$ changes $A$ by $x_i x_i^\top$, a matrix of rank one, and the inverse of such a change is known in closed form (Sherman and Morrison). With $h_i = x_i^\top A^{-1} x_i$, the **leverage** of the row,
#
# $$\theta_{-i} = \theta - \frac{A^{-1} x_i \,\big(y_i - x_i^\top \theta\big)}{1 - h_i} .$$ (eq-mem-removal)
#
# In words: go back by the part that this record's own error had pulled, a little more if the record had much leverage.

# %%
people = [digits(part) for part in ("train", "test")]
X = torch.cat([part.images for part in people])
y = torch.cat([part.labels for part in people])
order = torch.randperm(len(X), generator=generator)
X, y = X[order], y[order]

table = X.flatten(1).double()
target = F.one_hot(y, 10).double()
A = table.T @ table + torch.eye(64)  # λ = 1
theta = torch.linalg.solve(A, table.T @ target)


# %%
def without(i):
    """The weights after record i has been taken out, in closed form."""
    pull = torch.linalg.solve(A, table[i])
    error = target[i] - table[i] @ theta
    return theta - torch.outer(pull, error) / (1 - table[i] @ pull)


def retrained(i):
    rest = torch.arange(len(table)) != i
    kept, goal = table[rest], target[rest]
    return torch.linalg.solve(kept.T @ kept + torch.eye(64), kept.T @ goal)


gaps = [(without(i) - retrained(i)).abs().max() for i in range(20)]
claim("Removal and retraining agree to 1e-8", max(gaps) < 1e-8)
moved = (without(0) - theta).abs().max()
claim("and the record had moved the weights by more than 1e-6", moved > 1e-6)

# %% [markdown]
# This is exact, for as many records as one likes, one after the other. (And $A$ must change with them: it was made of the record, too.) A network has no such formula.
#
# ### For any model: shards and slices
#
# If a record has touched one small model only, only that one must be retrained. **SISA** {cite}`bourtoule2021machine` deals the records to $G$ **shards**, trains a network on each, and answers with the mean of their probabilities. Each shard is cut
# into $Z$ **slices**. Its network learns the first slice, then the first two, and so on, and a copy of it is kept after each. To forget a record of slice $z$, go back to the copy before $z$ and
# train the rest again.
#
# What does one request save? A shard has $N / G$ records, and with $e$ epochs for each slice it is shown $e \frac{N}{GZ} (1 + 2 + \dots + Z)$ of them. A request that hits slice $z$ repeats the terms from $z$ on. With all slices equally likely, and compared with training everything,
#
# $$\text{share} = \frac{1}{G} \cdot \frac{1}{Z} \sum_{z=1}^{Z} \frac{z + \dots + Z}{1 + \dots + Z} = \frac{2Z + 1}{3\, G Z} .$$ (eq-mem-sisa)
#
# One slice: $1/G$. Very many: $2 / (3G)$. So shards do the work, and slices save a third more at best.


# %%
def network():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10)
    )


G, Z, epochs, count = 5, 4, 8, 800
numbers = {"epochs": epochs, "learning_rate": 3e-3, "batch_size": 32}
ensemble = privacy.SisaEnsemble(network, shards=G, slices=Z)
full = ensemble.fit(X[:count], y[:count], **numbers, generator=generator)
per_slice = count // (G * Z)
by_hand = epochs * per_slice * G * sum(range(1, Z + 1))
claim("Cost of the training, by hand and by the library: the same", full == by_hand)
costs = [deepcopy(ensemble).forget([i]) / full for i in range(6)]
possible = [sum(range(z, Z + 1)) / sum(range(1, Z + 1)) / G for z in range(1, Z + 1)]
formula = (2 * Z + 1) / (3 * G * Z)
claim("The formula is the mean over slices", abs(np.mean(possible) - formula) < 1e-12)
near = [min(abs(cost - share) for share in possible) for cost in costs]
claim("A request costs what its slice says, less its own record", max(near) < 0.01)

# %% [markdown]
# And does it forget? Here is the definition as an experiment. Two data sets differ in one record, which in the second is a picture of pure noise with another label. Train on both with the same lots, forget the record in both, and compare.


# %%
def trained_and_asked_to_forget(record, label, who=7):
    """The ensemble of 800 people, one of them replaced, before and after it forgot."""
    inputs, classes = X[:count].clone(), y[:count].clone()
    inputs[who], classes[who] = record, label
    made = privacy.SisaEnsemble(network, shards=G, slices=Z)
    lots = torch.Generator().manual_seed(seed() + 1)
    made.fit(inputs, classes, **numbers, generator=lots)
    before = predict(made, X[count:])
    made.forget([who])
    return before, predict(made, X[count:])


true = trained_and_asked_to_forget(X[7], y[7])
fake = trained_and_asked_to_forget(torch.rand(1, 8, 8), (y[7] + 1) % 10)
claim("Before, the two answer differently", not torch.equal(true[0], fake[0]))
claim("Afterwards they are the same in every bit", torch.equal(true[1], fake[1]))

# %% [markdown]
# The price is accuracy, since each network learns from a fifth of the people.

# %%
newcomers = TensorDataset(X[1200:], y[1200:])
single = network()
data = TensorDataset(X[:count], y[:count])
fit(single, data, **numbers, generator=generator)
in_one = 100 * accuracy(single, newcomers)
in_shards = 100 * accuracy(ensemble, newcomers)

# %% tags=["nbval-ignore-output"]
print(f"one network {in_one:.1f} %, {G} shards {in_shards:.1f} % of 597 newcomers")
print(
    f"a request costs {np.mean(costs):.1%} of a training; by the formula {formula:.1%}"
)

# %%
claim("Five shards read over 85 % of newcomers", in_shards > 85)
claim("One network more, or at most 1 point less", in_one > in_shards - 1)

# %% [markdown]
# ### Cheaper still: pretending
#
# Most methods that are called unlearning start from the trained network and change it a little. Two are the base of the rest. **Fine-tuning** goes on training with the other records, and hopes that the forgotten ones fade. **Gradient ascent** trains
# backwards: it makes the loss of the forgotten records *larger*. How good are they? That needs records that a network can only know by heart. So sixty of our 800 people get a wrong label, as a typing error would make it, and ask to be forgotten.
# Another 400 people with wrong labels were never in the data. To a network that has never seen the sixty, both groups are alike.

# %%
ThreatModel(
    goal="to tell which records a model had been trained on before it was changed",
    knowledge="grey box",
    capability="the loss of the changed model on any record, and records drawn alike; "
    "in the last test also the model as it was before",
    out_of_scope="the data, the log of requests, backups",
)

# %%
wrong = (y + torch.randint(1, 10, y.shape, generator=generator)) % 10
forgotten = X[:60], wrong[:60]
rest = X[60:800], y[60:800]
control = X[800:1200], wrong[800:1200]  # like the forgotten, but never in the data


def study(records, *, model=None, epochs=40):
    """Train a network, or go on with a copy of one."""
    model = network() if model is None else deepcopy(model)
    rates = {"epochs": epochs, "learning_rate": 3e-3, "batch_size": 32}
    fit(model, TensorDataset(*records), **rates, generator=generator)
    return model


def pushed_away(model, steps=16):
    """Gradient ascent on the forgotten records."""
    model = deepcopy(model)
    upwards = torch.optim.Adam(model.parameters(), lr=1e-3, maximize=True)
    for _ in range(steps):
        upwards.zero_grad()
        F.cross_entropy(model(forgotten[0]), forgotten[1]).backward()
        upwards.step()
    return model


# %%
both = [torch.cat(pair) for pair in zip(forgotten, rest, strict=True)]
original = study(both)
models = {
    "as trained": original,
    "fine-tuned": study(rest, model=original, epochs=10),
    "ascent": pushed_away(original),
    "retrained": study(rest),
}
models["ascent, fine-tuned"] = study(rest, model=models["ascent"], epochs=5)


def judge(model):
    """Says the wrong label (%), newcomers read (%), and the attack's AUC."""
    says = 100 * accuracy(model, TensorDataset(*forgotten))
    reads = 100 * accuracy(model, newcomers)
    scores = [privacy.membership_inference(model, *who) for who in (forgotten, control)]
    return says, reads, privacy.membership_roc(*scores).auc


table = {name: judge(model) for name, model in models.items()}

# %% tags=["nbval-ignore-output"]
print(f"{'':20}says the wrong label   reads newcomers   AUC of the attack")
for name, (says, reads, auc) in table.items():
    print(f"{name:20}{says:12.0f} %{reads:19.1f} %{auc:14.2f}")

# %% tags=["hide-input", "fig-mem-forgotten"] mystnb={"image": {"alt": "Four panels with two stepped curves each, the losses of forgotten records and of records never seen. As trained: the forgotten have losses below 5, the others around 8. Fine-tuned: the forgotten around 6, the others around 12, with overlap. Ascent: both spread from 0 to 15, the forgotten lower. Retrained: the two curves lie on each other, around 14."}}
figure, axes = plt.subplots(1, 4, figsize=(7, 2.7), sharey=True)
bins = np.linspace(0, 30, 13)
for axis, name in zip(axes, models, strict=False):
    for who, label, hue in (
        (control, "never in the data", "blue"),
        (forgotten, "asked to be forgotten", "orange"),
    ):
        losses = -privacy.membership_inference(models[name], *who).numpy()
        share = 100 * np.histogram(losses.clip(0, 29.9), bins)[0] / len(losses)
        axis.stairs(share, bins, color=COLOURS[hue], label=label, lw=1.8)
    axis.set(title=name, xlabel="loss (nats)", xticks=[0, 10, 20, 30])
axes[0].set_ylabel("of these records (%)")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# *Forgotten means: like those who were never there.* The wrong labels' losses, before any change, after two ways of pretending, and after retraining. Only in the last panel do the orange records look like the blue ones. After fine-tuning their losses have
# grown, and everybody's have; the gap between the two stays.

# %%
claim("As trained, the attack's AUC is over 0.9", table["as trained"][2] > 0.9)
says, reads, auc = table["fine-tuned"]
claim("Fine-tuned, under 10 % of the wrong labels are repeated", says < 10)
claim(
    "and newcomers are read as after retraining, to 3 points",
    abs(reads - table["retrained"][1]) < 3,
)
claim("but the attack still has an AUC over 0.75", auc > 0.75)
claim(
    "Retrained, it guesses: AUC from 0.35 to 0.65",
    abs(table["retrained"][2] - 0.5) < 0.15,
)
claim(
    "Ascent costs over 5 points on newcomers",
    table["as trained"][1] - table["ascent"][1] > 5,
)
claim(
    "Repaired by fine-tuning, it is readable again: AUC over 0.75",
    table["ascent, fine-tuned"][2] > 0.75,
)

# %% [markdown]
# Look at fine-tuning first. It has passed the test that is often printed: the model does not repeat the label, and it is as accurate as a retrained one. The attack reads membership all the same. A request to a search engine would be "fulfilled" in that way
# if the page no longer came first.
#
# Ascent is the opposite failure. Pushed far enough, it hides the records among ruins, because it changes the network for everybody. And a loss that is *too high* is a sign as well: an attacker who finds that the model is unusually wrong about
# a record learns that somebody wanted it forgotten. Whoever tries to hide a thing may point at it.
#
# That the judge is the retrained model, and not "the attack got worse", is not a subtlety. In a public challenge on unlearning a participant asked why the starting kit compared an attack before and after, and not with a retrained model; the organisers
# agreed that the former is a very low bar ([issue 6 of its starting kit](https://github.com/unlearning-challenge/starting-kit/issues/6)). To retrain once, for the test, is the price of knowing.
#
# ### Even exact forgetting tells something
#
# Suppose that the model was public before the request, and is public after it. Whoever has kept the old one can compare {cite}`chen2021when`. We let fifty people with right labels go from the ensemble of shards, one request at a time, each forgotten exactly. The score of a record is
# how much its loss has grown; it is compared with the 400 people who were never in the data.

# %%
strangers = X[800:1200], y[800:1200]
old_loss = -privacy.membership_inference(ensemble, *strangers)
by_growth, by_old_loss = [], []  # the attack's AUC, request by request
for i in range(50):
    person = X[i : i + 1], y[i : i + 1]
    new = deepcopy(ensemble)
    new.forget([i])
    before = -privacy.membership_inference(ensemble, *person)
    grown = -privacy.membership_inference(new, *person) - before
    others_grown = -privacy.membership_inference(new, *strangers) - old_loss
    by_growth.append(privacy.membership_roc(grown, others_grown).auc)
    by_old_loss.append(privacy.membership_roc(-before, -old_loss).auc)

# %% tags=["nbval-ignore-output"]
print(f"AUC: the old model alone {np.mean(by_old_loss):.2f}, ", end="")
print(f"both models {np.mean(by_growth):.2f}")

# %%
claim("The old model alone tells little: AUC below 0.75", np.mean(by_old_loss) < 0.75)
claim("Both together: AUC over 0.6", np.mean(by_growth) > 0.6)

# %% [markdown]
# Before the request an attacker could hardly tell whether these people were in the data (the first number above). With the second model they can tell more (the second). {eq}`eq-mem-exact` promises something about the new model alone, and the old one is out in the world. Differential privacy could promise it for both together, with the $\varepsilon$ of two trainings.
#
# **What the law asks** is not settled by any of this, and these lines are no legal advice. The European Data Protection Board holds that a model trained on personal data is not anonymous by itself; it depends on how likely its data can be
# extracted, case by case {cite}`edpb2024opinion`. Whether a request under Article 17 reaches into a model's weights then depends on the case, too. In the United States a company that settled with the Federal Trade Commission in 2021 had to delete the models that it had made of its users' photographs {cite}`ftc2021everalbum`: all of each model, not its
# memory of somebody. An equation is a clear standard; it is not automatically the law's.
#
# ## What a language model remembers
#
# A **language model** gives each next word a probability, given the words before. Trained on text, it also learns sentences that nobody should learn. Carlini and others put such sentences in on purpose, with a secret that is drawn at random, and look how much the model knows about it {cite}`carlini2019secret`. The
# sentence is called a **canary**, after the birds that warned miners.

# %%
ThreatModel(
    goal="a secret number of which the words before it are known",
    knowledge="black box",
    capability="asks the model for the probability of any text",
    out_of_scope="weights, gradients, other versions of the model, the training text",
)

# %% [markdown]
# The text is `docstrings()`, the documentation of five packages that are on your machine ([card](../../book/data_cards/docstrings.md)). We take 2,000 of its sentences to train, and 500 to test. Words of other sentences become `<unk>`, and a number is a row of digits.


# %%
def sentences(texts):
    """The different sentences of 5 to 12 words, in lower case."""
    found = {}
    for text in texts:
        for part in re.split(r"(?<=[.!?])\s+|\n\n+", text):
            words = tuple(re.findall(r"[a-z]+|\d", part.lower()))
            if 5 <= len(words) <= 12:
                found[words] = None
    return list(found)


everything = sentences(docstrings("train").texts)
order = torch.randperm(len(everything), generator=generator)
public = [everything[i] for i in order[:2000]]
unseen = [everything[i] for i in order[2000:2500]]

# %% [markdown]
# The secrets are PINs of people who do not exist: *the pin of anna adams is 2 8 1 2*. There are $|\mathcal R| = 10{,}000$ of them. Forty canaries are written 2, 4, 8 or 16 times into the training text. For another 160 a coin decides whether they are written once or not at all; those
# coins will be needed for the audit.

# %%
FIRST = ["anna", "ben", "carla", "david", "ella", "felix", "greta"]
FIRST += ["hugo", "ida", "jonas", "klara", "leo", "mia", "noah"]
LAST = ["adams", "baker", "clark", "davis", "evans", "fisher", "gray", "hill"]
LAST += ["irwin", "jones", "kent", "lopez", "moore", "nolan", "owens"]
names = [(a, b) for a in FIRST for b in LAST]
owners = [names[i] for i in torch.randperm(len(names), generator=generator)[:200]]
pins = torch.randint(10, (200, 4), generator=generator)  # the secrets
coins = torch.randint(2, (160,), generator=generator)
written = torch.cat([coins, torch.tensor([2, 4, 8, 16]).repeat_interleave(10)])
canaries = [
    ("the", "pin", "of", a, b, "is", *map(str, pin.tolist()))
    for (a, b), pin in zip(owners, pins, strict=True)
]

# %%
counts = Counter(word for sentence in public for word in sentence)
known = ["<end>", "<unk>", *"0123456789", *FIRST, *LAST, "the", "pin", "of", "is"]
known += [word for word, _ in counts.most_common(500) if word not in known]
code = {word: number for number, word in enumerate(known)}
LENGTH, IGNORED = 13, -1


def encoded(rows):
    """Inputs and next words `[N, 13]`; every sentence begins and ends with <end>."""
    x = torch.zeros(len(rows), LENGTH, dtype=torch.int64)
    following = torch.full((len(rows), LENGTH), IGNORED)
    for i, row in enumerate(rows):
        numbers = torch.tensor([code.get(word, 1) for word in row])
        x[i, 1 : len(row) + 1] = numbers
        following[i, : len(row)] = numbers
        following[i, len(row)] = 0
    return x, following


copies = [c for c, k in zip(canaries, written.tolist(), strict=True) for _ in range(k)]
text, test_text = encoded(public + copies), encoded(unseen)

# %% [markdown]
# The model is a small recurrent network, a **GRU** {cite}`cho2014learning`. It reads word after word and keeps a state $h$. A gate decides how much of the old state stays, another how much of it the new one sees. We write it with plain linear layers, so that the
# gradient clipping of [lecture 6.2](dp_sgd.ipynb) can see through it; `nn.GRU` is one block, which hides them. Opacus stops at it as well, until its own `DPGRU` takes its place ([issue 783](https://github.com/meta-pytorch/opacus/issues/783)).


# %%
class Writer(nn.Module):
    """Words `[N, T]` to logits of each next word `[N, T, K]`."""

    def __init__(self, width=64):
        super().__init__()
        self.word = nn.Embedding(len(known), width)
        self.enter = nn.Linear(width, 3 * width)
        self.keep = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, len(known))

    def step(self, entering, state):
        a, b = entering.chunk(3, dim=1), self.keep(state).chunk(3, dim=1)
        reset, update = (a[0] + b[0]).sigmoid(), (a[1] + b[1]).sigmoid()
        fresh = (a[2] + reset * b[2]).tanh()
        return fresh + update * (state - fresh)

    def forward(self, x):
        entering, states = self.enter(self.word(x)), []
        state = entering.new_zeros(len(x), entering.shape[2] // 3)
        for t in range(x.shape[1]):
            state = self.step(entering[:, t], state)
            states.append(state)
        return self.out(torch.stack(states, dim=1))


# %%
def sentence_loss(logits, following):
    """−log p of each sentence, in nats, `[N]`."""
    each = {"ignore_index": IGNORED, "reduction": "none"}
    return F.cross_entropy(logits.transpose(1, 2), following, **each).sum(dim=1)


def one_epoch(model, optimizer):
    for batch in torch.randperm(len(text[0]), generator=generator).split(64):
        x, following = text[0][batch], text[1][batch]
        words = (following != IGNORED).sum()
        optimizer.zero_grad()
        (sentence_loss(model(x), following).sum() / words).backward()
        optimizer.step()


@torch.no_grad()
def loss_per_word(model):
    """On sentences that were not trained on, in nats."""
    x, following = test_text
    total = sentence_loss(model(x), following).sum()
    return float(total / (following != IGNORED).sum())


# %% [markdown]
# ### Exposure
#
# How much does the model know about a PIN? Ask it for the loss of the sentence with each of the 10,000 PINs, and put them in order. The **rank** of the true one is its place; ties count against the model's memory. Its **exposure** is
#
# $$\text{exposure} = \log_2 |\mathcal R| - \log_2 \text{rank},$$ (eq-mem-exposure)
#
# in bits. To find a PIN among 10,000 by trying, one needs $\log_2 10{,}000 = 13.3$ bits. The exposure says how many of them the model gives away: 0 if it lists the true PIN last, 13.3 if first. A low loss means that the model finds the sentence likely; so *low* loss, *high* exposure.
#
# What if the model has never seen the secret? Then the true PIN is as good as any, its rank is uniform, and
#
# $$P(\text{exposure} \ge t) = P\big(\text{rank} \le 2^{-t}\, |\mathcal R|\big) \le 2^{-t} .$$ (eq-mem-null)
#
# So $2^{-\text{exposure}}$ is a p-value for "the model has not seen it". Ten bits by luck happen once in a thousand canaries.
#
# A sentence with 10,000 endings need not be read 10,000 times. All share their beginning, and those that begin with the same digit share that as well: the losses grow on a tree.

# %%
DIGITS = torch.arange(2, 12)  # the words 0 … 9


@torch.no_grad()
def losses_of_all_pins(model, canary):
    """−log p of the digits for each PIN 0000 … 9999 after "the pin of … is"."""
    start = model.enter(model.word(encoded([canary])[0]))
    state = start.new_zeros(1, start.shape[2] // 3)
    for t in range(7):  # <end> the pin of … … is
        state = model.step(start[:, t], state)
    entering, total = model.enter(model.word(DIGITS)), torch.zeros(1)
    for place in range(4):
        logs = model.out(state).log_softmax(dim=1)[:, DIGITS]
        total = (total[:, None] - logs).flatten()
        if place < 3:
            parents = len(state)
            state = state.repeat_interleave(10, dim=0)
            state = model.step(entering.repeat(parents, 1), state)
    return total


def place_of(pin):
    return int(pin @ torch.tensor([1000, 100, 10, 1]))


# %%
def apart(model, k):
    """The loss of canary k's true PIN, and those of the 9,999 others."""
    losses, true = losses_of_all_pins(model, canaries[k]), place_of(pins[k])
    return losses[true], torch.cat([losses[:true], losses[true + 1 :]])


def exposures(model, which=range(200)):
    """Of some canaries, in bits."""
    return torch.tensor([privacy.exposure(*apart(model, k)) for k in which])


fresh = Writer()
true, values = apart(fresh, 0)
by_hand = np.log2(10_000) - np.log2(1 + int((values <= true).sum()))
claim(
    "By hand and by privacy.exposure: the same",
    abs(by_hand - privacy.exposure(true, values)) < 1e-9,
)
x, following = encoded(canaries[:1])
with torch.no_grad():
    logs = fresh(x).log_softmax(dim=2)[0]
read = -sum(logs[t, following[0, t]] for t in range(6, 10))  # the PIN's four words
claim("On the tree and in the sentence, a PIN has one loss", abs(read - true) < 1e-4)

# %% [markdown]
# ### Memorised before it is overfitted
#
# Now train, and look after every second epoch.

# %%
model = Writer()
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
looked_at, test_loss, seen_bits = (2, 4, 6, 8, 10, 12, 14), [], []
some = [*range(80), *range(160, 200)]  # all of them only at the end
for epoch in range(1, 15):
    one_epoch(model, optimizer)
    if epoch in looked_at:
        test_loss.append(loss_per_word(model))
        seen_bits.append(exposures(model, some))
bits = exposures(model)
seen_bits = torch.stack(seen_bits)  # [looks, canaries]
counted = written[some]
means = {k: seen_bits[:, counted == k].mean(dim=1) for k in (0, 1, 2, 4, 8, 16)}
best = int(np.argmin(test_loss))  # where early stopping would have stopped

# %% tags=["hide-input", "fig-mem-exposure"] mystnb={"image": {"alt": "Two panels over 14 epochs. Left, mean exposure in bits: canaries written 16 times reach 11 bits at epoch 6 and the ceiling of 13.3 by epoch 12; 8 times about 11 at epoch 10; 4 times about 7; twice about 5; once about 2.7; those never written stay at 1.5. Right: the loss per word on unseen sentences falls to its lowest value near epoch 10 and then rises a little."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.3), width_ratios=(3, 2))
hues = ("black", "blue", "sky", "green", "amber", "orange")
for (k, line), hue, mark in zip(means.items(), hues, "ov^sDX", strict=True):
    label = {0: "never written", 1: "once", 2: "twice"}.get(k, f"{k} times")
    axes[0].plot(looked_at, line, mark + "-", ms=5, color=COLOURS[hue], label=label)
axes[0].axhline(np.log2(10_000), lw=1, ls="--", color=COLOURS["black"])
axes[0].text(2, 13.5, "the whole secret", va="bottom")
axes[0].set(xlabel="epoch", ylabel="mean exposure (bits)", ylim=(0, 15))
axes[1].plot(looked_at, test_loss, "s-", ms=4, color=COLOURS["black"])
axes[1].axvline(looked_at[best], lw=1, ls=":", color=COLOURS["black"])
axes[1].set(xlabel="epoch", ylabel="loss per word, unseen (nats)")
axes[1].set_xticks(looked_at)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
plt.show()

# %% [markdown]
# *The secret is known before the text is.* Left: the exposure of canaries that were written 0 to 16 times; the dashed line is a PIN that the model lists first. Right: the loss on sentences that it has not seen, with the point where early stopping would stop (dotted). By then the
# frequent PINs are known entirely.

# %%
off = (means[0] - 1 / np.log(2)).abs().max()
claim("Never written: within 0.9 bits of 1.44 on average, throughout", off < 0.9)
claim("16 times: over 10 bits where the unseen loss is lowest", means[16][best] > 10)
claim("8 times: over 6 bits there", means[8][best] > 6)
drop = test_loss[2] - min(test_loss)
claim("At epoch 6 the unseen loss had not reached its lowest", drop > 0)
claim("yet 16 times gave over 7 bits", means[16][2] > 7)
claim(
    "At the end, once is more than never, by over 0.8 bits",
    means[1][-1] - means[0][-1] > 0.8,
)

# %% [markdown]
# That *never written* stays near 1.4 bits is the uniform rank at work: the mean of $-\log_2 u$ for a uniform $u$ is $1/\ln 2 = 1.44$. An exposure of one or two bits is nothing.
#
# Memorisation is often mistaken for overfitting. Here the test loss still falls while PINs are learnt, for a reason that one can see: learning *the pin of anna adams is 2 8 1 2* lowers the training loss, and nothing in the unseen sentences objects.
#
# ### From exposure to extraction
#
# With 13.3 bits the PIN is the first on the list, and who has the model need not make the list: let it write. **Greedy** search takes the likeliest digit each time.


# %%
@torch.no_grad()
def completed(model, canary):
    """What the model writes after "the pin of … is", digit by digit."""
    written_so_far = list(canary[:6])
    for _ in range(4):
        x = encoded([(*written_so_far, "0")])[0]
        logits = model(x)[0, len(written_so_far)]
        written_so_far.append(str(int(logits[DIGITS].argmax())))
    return tuple(written_so_far)


taken = torch.tensor([completed(model, canary) == canary for canary in canaries])

# %% tags=["nbval-ignore-output"]
for k in (199, 198, 0):
    print(" ".join(completed(model, canaries[k])), "| true:", *canaries[k][6:])
for k in (0, 1, 2, 4, 8, 16):
    print(f"written {k:2} times: {taken[written == k].float().mean():.0%} extracted")

# %%
claim("16 times: over half of the PINs come out", taken[written == 16].sum() > 5)
claim("never: at most 1", taken[written == 0].sum() <= 1)

# %% [markdown]
# ### When the space is too large to be listed
#
# A telephone number has ten digits. Nobody lists $10^{10}$ losses. There are two ways out, and our small space lets us check both against the truth.
#
# **Sample.** Draw $M$ other values and look which share of them is as likely as the true one. The rank is that share of the space. If none of the sample is, one knows only that the share is probably below $3.7 / M$ (95 %, by Clopper and Pearson's interval): a sample of $M$ can *prove* little more than $\log_2 M - 1.9$ bits.
#
# **Extrapolate.** Fit a curve to the sampled losses and read the share off its tail. Carlini and others use a **skew-normal** curve, a normal one with a lean. It gives numbers beyond $\log_2 M$, and these are only as good as the tail, which nobody has seen. `privacy.extrapolated_exposure`
# keeps a fifth of the losses to test the fit, on the whole and in its lowest fiftieth, and warns where it fails.

# %%
exact, sampled, guessed = [], [], []
for k in [*range(12), *range(170, 200, 2)]:  # from never to 16 times
    true, values = apart(model, k)
    exact.append(privacy.exposure(true, values))
    few = values[torch.randperm(9999, generator=generator)[:500]]
    sampled.append(privacy.sampled_exposure(true, few, space=10_000))
    more = values[torch.randperm(9999, generator=generator)[:2000]]
    with warnings.catch_warnings(record=True):  # of curves that do not fit, see below
        guess = privacy.extrapolated_exposure(true, more, generator=generator)
    guessed.append(guess)
exact = np.array(exact)
low, high = (np.array([getattr(s, end) for s in sampled]) for end in ("low", "high"))
curve = np.array([guess.exposure for guess in guessed])
doubtful = sum(guess.p_value < 0.01 for guess in guessed)

# %% tags=["nbval-ignore-output"]
print(f"{doubtful} of {len(guessed)} curves do not fit, and the library would warn")

# %% tags=["hide-input", "fig-mem-sampled"] mystnb={"image": {"alt": "Two panels over the exact exposure from 0 to 13.3 bits, with a diagonal. Left, vertical intervals from samples of 500: they cross the diagonal, narrow up to 5 bits, and from 8 bits on reach from 7 up to 13.3. Right, dots of the extrapolated exposure: close to the diagonal up to 11 bits; at the exact value 13.3 they spread from 12 to 20."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.2))
axes[0].vlines(exact, low, high, color=COLOURS["blue"], lw=1.5)
axes[0].set(title="500 sampled: interval", ylabel="estimated (bits)")
axes[1].plot(exact, curve, "o", ms=4, color=COLOURS["orange"])
axes[1].set(title="2,000 sampled: fitted curve")
for axis in axes:
    axis.plot([0, 13.3], [0, 13.3], lw=1, ls="--", color=COLOURS["black"])
    axis.set_xlabel("exact exposure (bits)")
plt.show()

# %% [markdown]
# *Both are right where little is at stake.* On the dashed line an estimate equals the exact exposure. Left: the interval from 500 samples is honest and ends early; beyond 8 bits it says "7 or more". Right: the fitted curve agrees where the sample reaches. At the ceiling it goes its own way: the first of 10,000 PINs would also, it says, be the first
# of 4,000, or of a million. Which of these is true, our space is too small to tell.

# %%
inside = np.mean((low - 1e-9 <= exact) & (exact <= high + 1e-9))
claim("Over three quarters of the intervals hold the exact value", inside > 0.75)
claim("No interval proves more than 7.2 bits", low.max() < 7.2)
reached = exact < 5
errors = np.abs(curve - exact)
claim(
    "Below 5 bits the curve is off by under 0.6, mostly",
    np.median(errors[reached]) < 0.6,
)
apart_at_the_top = np.ptp(curve[exact > 13])
claim("At the ceiling its answers differ by over 1 bit", apart_at_the_top > 1)

# %% [markdown]
# ### Remedies
#
# **Stop early.** The figure has answered: at the best epoch, frequent secrets are known. Stopping much earlier helps, and costs what the text would have taught.
#
# **Remove copies.** What a model memorises grows steeply with repetition, in large models as well {cite}`carlini2023quantifying`, and removing copies from the training text reduces it {cite}`lee2022deduplicating`. In our figure it means: move from the line for 16 to the line for one. But the copies must be found.

# %%
exactly = list(dict.fromkeys(copies))
repeated = [c for c, k in zip(canaries, written.tolist(), strict=True) if k > 1]
disguised = [(*c, "since", str(2000 + i)) for c in repeated for i in range(16)]
claim("Exact copies: one of each is left", len(exactly) == (written > 0).sum())
claim(
    "With a year behind each, none is removed",
    len(set(disguised)) == 16 * len(repeated),
)

# %% [markdown]
# Exercise 1 looks for copies that differ a little. **Do not collect it**, or blank it out, is the remedy that needs no measurement: a text in which all numbers are `<number>` teaches no PIN. It needs to know what a secret looks like, though.
#
# **Train with differential privacy.** The others make memory less likely; this one bounds it, for secrets of any form. By the definition of $(\varepsilon, \delta)$-DP, whatever may happen with the canary in the text is at most $e^\varepsilon$ times as likely as without, plus $\delta$. Put that into {eq}`eq-mem-null`:
#
# $$P(\text{exposure} \ge t) \ \le\ e^{\varepsilon}\, 2^{-t} + \delta$$ (eq-mem-private)
#
# In bits: each unit of $\varepsilon$ lets the exposure be $1 / \ln 2 = 1.44$ higher at the same probability. With $\varepsilon = 4$ that is 5.8 bits, so a whole PIN (13.3 bits) has a probability of at most $e^4 / 10{,}000$, half a per cent.
#
# The bound is about *one row* of the data, which here is one sentence. We train with `privacy.DPTrainer` from [lecture 6.2](dp_sgd.ipynb), for $T = 200$ steps with sample rate $q = 0.05$.

# %% tags=["nbval-ignore-output"]
DELTA, RATE, STEPS = 1e-5, 0.05, 200  # δ, q, T
sigma = privacy.noise_multiplier_for(
    epsilon=4, sample_rate=RATE, steps=STEPS, delta=DELTA
)
private = Writer()
trainer = privacy.DPTrainer(
    private,
    clip_norm=1.0,
    noise_multiplier=sigma,
    sample_rate=RATE,
    optimizer=torch.optim.Adam(private.parameters(), lr=4e-3),
    loss=sentence_loss,
    generator=generator,
)
trainer.fit(*text, steps=STEPS, progress=False)
private_bits = exposures(private)
promised = trainer.epsilon(DELTA)
print(f"σ = {sigma:.2f}, ε = {promised:.2f} at δ = {DELTA}")
print(f"loss per unseen word: {loss_per_word(private):.2f}, plain {min(test_loss):.2f}")
for k in (0, 1, 2, 4, 8, 16):
    print(f"written {k:2} times: {private_bits[written == k].mean():.1f} bits")

# %% [markdown]
# This chapter prints no $\varepsilon$ without attacking it. The coins of the 160 canaries make it possible in one run {cite}`steinke2023privacy`: the attacker guesses from the exposure which of them were written, and `privacy.audit_epsilon` turns the number of right guesses into a lower bound on $\varepsilon$. The same attack on the plain model shows that it bites.


# %%
def audited(bits):
    """The attack's lower bound on ε, from the coins."""
    return privacy.audit_epsilon(bits[:160], coins == 1, delta=DELTA)


attacked, plainly = audited(private_bits), audited(bits)

# %% tags=["nbval-ignore-output"]
print(
    f"private: claimed ε = {promised:.2f}, the attack shows {attacked.lower_bound:.2f}"
)
print(f"plain: nothing claimed, the attack shows {plainly.lower_bound:.2f}")

# %%
claim("The claimed ε is at most 4", promised <= 4)
claim("The attack's lower bound stands below it", attacked.lower_bound <= promised)
claim("On the plain model the same attack shows over 0.2", plainly.lower_bound > 0.2)
once = private_bits[written == 1].mean()
claim("Written once: under 2.2 bits on average", once < 2.2)
claim("The plain model gives 0.6 bits more", bits[written == 1].mean() - once > 0.6)
unseen_loss = loss_per_word(private)
worse = unseen_loss - min(test_loss)
claim("The price: over 0.2 nats on each unseen word", worse > 0.2)
often = private_bits[written == 16].mean()
claim("Written 16 times: over 1.9 bits even so", often > 1.9)
claim("After 2 epochs the plain network reads better", test_loss[0] < unseen_loss)
claim("and canaries written once gave under 2.2 bits", means[1][0] < 2.2)

# %% [markdown]
# Three sentences about these numbers, so that nobody takes home more than they say.
#
# The attack on the private model shows next to nothing. That is no proof that nothing leaks: it is one attack, with 160 canaries, that sees only the finished model. [Lecture 6.2](dp_sgd.ipynb) lets the attacker see the gradients, and gets closer to the claim.
#
# The canaries that were written 16 times still have an exposure above chance. They are entitled to it: sixteen rows may cost $16\,\varepsilon$, which promises nothing. A secret that stands in many sentences, of many people, is not protected by privacy *per sentence*. Choose the unit (a sentence, a person, a household) before you train.
#
# And the plain network, stopped after two epochs, reads unseen text better than the private one, while its canaries that were written once are no more exposed than by chance. Stopping as early would have been as good *for these canaries*. What differential privacy adds is that the bound holds for the secrets that nobody has planted.
#
# ## What goes wrong
#
# **The secret was not random.** Exposure compares the true value with all others. If the model finds 1 2 3 4 likely for every owner, an owner who has chosen it has a high exposure without having been seen. Planted canaries are drawn uniformly; real secrets are not, and for them a second owner with the same kind of PIN is the control.
#
# **Ties and rounding.** A model that gives all values one loss is first in every rank that counts ties in its favour. And if the canary's loss comes from another batch shape than the others', ties are broken by rounding. `privacy.exposure` counts ties against memory; computing all losses in one way is up to you.
#
# **A low exposure read as safety.** It is the result of one prompt. The same PIN may come out after other words. Exposure shows what *is* memorised; nothing here shows that something is not.
#
# **A curve where it does not fit.** Losses in two heaps, or with a long tail, give an extrapolated exposure that means nothing:

# %%
heaps = torch.cat([torch.randn(1500), 8 + torch.randn(1500)])
with warnings.catch_warnings(record=True, action="always") as said:
    privacy.extrapolated_exposure(-6.0, heaps, generator=generator)
kinds = [warning.category for warning in said]
claim(
    "Losses in two heaps: the library warns",
    privacy.ExposureExtrapolationWarning in kinds,
)

# %% [markdown]
# ## Evaluate honestly
#
# One canary is one draw. Plant many, write down how they were drawn, keep as many that are *not* written, and test all together. Since each $2^{-\text{exposure}}$ is a p-value, Fisher's sum applies: $2 \ln 2 \sum \text{exposure}$ is a $\chi^2$ with two degrees of freedom for each canary, if none was seen. As code:


# %%
def memorised(bits):
    """The p-value of "none of these canaries was seen"."""
    return stats.chi2.sf(2 * np.log(2) * float(bits.sum()), 2 * len(bits))


claim(
    "Never written: nothing is shown (p over 1e-4)",
    memorised(bits[written == 0]) > 1e-4,
)
claim("Once, plain: p under 1e-4", memorised(bits[written == 1]) < 1e-4)
each = torch.exp2(-bits[written == 1])
claim(
    "though most of them show nothing alone (p over 0.01)",
    (each > 0.01).float().mean() > 0.5,
)

# %% [markdown]
# ## Practice
#
# **Exercise 1** (15 minutes). *Copies that are not equal.* `disguised` holds each PIN 16 times, with another year behind it. Remove copies that share eight words in a row with an earlier sentence. How many sentences are left, and does your rule harm `public`?
#
# <details><summary>Hint 1: what to remember</summary>
#
# Go through the sentences once and keep a set of all runs of eight words that you have met.
#
# </details>
#
# <details><summary>Hint 2: the order of steps</summary>
#
# Look whether a sentence has a run that you have met, and only then add its own runs.
#
# </details>

# %% tags=["hide-cell"]
# Solution: one sentence for each owner is left, since name and PIN are the same
# words. Of the public sentences some are removed as well: documentation repeats itself.


def without_near_copies(rows, length=8):
    met, kept = set(), []
    for row in rows:
        runs = {row[i : i + length] for i in range(len(row) - length + 1)}
        if not runs & met:
            kept.append(row)
        met |= runs
    return kept


claim("One is left of each", len(without_near_copies(disguised)) == len(repeated))
left = len(without_near_copies(public)) / len(public)
claim("Over 75 % of the public sentences stay", left > 0.75)

# %% [markdown]
# **Exercise 2** (15 minutes). *Many requests at once.* {eq}`eq-mem-sisa` is about one request. Twenty people ask on the same day. How many of the five shards have to be retrained on average, by a formula and by dealing at random? What does SISA save then?
#
# <details><summary>Hint: one shard</summary>
#
# A shard is spared if all twenty records lie in the other four.
#
# </details>

# %% tags=["hide-cell"]
# Solution: nearly all shards are hit, 5 · (1 − 0.8²⁰) = 4.94, and most of them in an
# early slice. Against one retraining a day, SISA saves little with many requests. It
# pays if requests are rare, or if it is known who is likely to ask: put them together.
expected = G * (1 - (1 - 1 / G) ** 20)
dealt = torch.randint(G, (2000, 20), generator=generator)
hit = np.mean([len(row.unique()) for row in dealt])
claim("Formula and dealing agree to 0.05", abs(hit - expected) < 0.05)
claim("Over 4.8 of 5 shards", expected > 4.8)
asked = deepcopy(ensemble).forget(torch.arange(20)) / full
claim("Over half of a full training", asked > 0.5)

# %% [markdown]
# **Exercise 3** (20 minutes). *Who is hurt by the bound?* Turn {eq}`eq-mem-private` round. For $\delta = 0$ and a chance of 1 % that the whole secret is first, how large may $\varepsilon$ be for a PIN of 4 digits, for a telephone number of 10, and for a key of 128 bits? What does that say about "$\varepsilon$ must be below 1"?
#
# <details><summary>Hint: which exposure</summary>
#
# First on the list is an exposure of $\log_2 |\mathcal R|$.
#
# </details>

# %% tags=["hide-cell"]
# Solution: ε = ln(0.01 |R|): 4.6 for a PIN, 18.4 for a telephone number, 84 for a
# key. A large ε can still forbid that long random secrets are extracted. It does not
# forbid that membership, or one bit (a diagnosis), is read: there |R| is 2.
limits = [
    np.log(0.01) + np.log(2) * bits_of for bits_of in (np.log2(1e4), np.log2(1e10), 128)
]
claim("4.6, 18.4 and 84", np.allclose(limits, [4.6, 18.4, 84.1], atol=0.05))

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A network reads protected pictures with 100 % accuracy, and fresh digits with 50 %. What has it learnt?
# - To recognise altered pictures as altered :: Nobody asked it to; it never saw both kinds.
# + The pattern of each class :: The pattern is the easiest sign that tells the classes apart, and fresh digits do not carry it.
# - Nothing at all :: Then it would be wrong about its training pictures as well.
# ? A company fine-tunes its model without your record. The model no longer repeats it, and is as accurate as before. Has it forgotten?
# - Yes, since it answers as a retrained model does :: In accuracy. The losses of forgotten records were still lower than those of records never seen.
# + That is not known :: Compare with a retrained model, by an attack on losses, with records that were never there.
# - No, since only retraining can forget :: For linear models there is a formula, and shards need only part of a retraining.
# ? SISA has retrained the shard of a record exactly. An attacker has the model of last week, too. What can they learn?
# - Nothing: the forgetting was exact :: It is exact for the new model alone.
# + That the record was removed :: Its loss grew between the two versions, more than that of records never in the data.
# - The whole record :: The attack tests a record that the attacker already has.
# ? A canary that was written once has an exposure of 3 bits. What follows?
# - The model has memorised it :: A canary that was never seen reaches 3 bits with a probability of 1/8.
# - The model has not memorised it :: One canary is too little to say that.
# + Little: look at many canaries together :: Half of 80 such values would be strong evidence, as Fisher's sum shows.
# ? In a sample of 1,000 other values, none is as likely as the secret, out of a thousand million. How large is the exposure?
# - 30 bits, since it is the first :: It may be the millionth: a thousand samples cannot tell.
# - 10 bits :: That is near what the sample can show, a lower bound.
# + Probably 8 bits or more; the rest is a guess about the tail :: The interval begins near log₂ 1,000 − 1.9 and ends at 30.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Exposure is a measurement with a null distribution that is exactly known, for any model that gives probabilities. Exact unlearning has a definition that can be tested bit by bit. Both turn a promise into an experiment.
#
# **Limitations.** Everything here is small: 2,000 sentences, networks that train in seconds. Large models memorise more, and they are asked in more ways than by one prompt. Canaries are a lower bound on memory. SISA needs the data to be kept, which is itself a question for whoever wants it erased. And noise on one's own pictures is a
# protection that the other side can wait out.
#
# **Software.** For canaries and exposure, [TensorFlow Privacy](https://github.com/tensorflow/privacy) has a `secret_sharer` package; for training with differential privacy, [Opacus](https://opacus.ai), with its own recurrent layers; for unlearning, no kept library is a standard yet, and [open-unlearning](https://github.com/locuslab/open-unlearning) collects benchmarks for language models. In this library:
# `privacy.exposure`, `privacy.sampled_exposure`, `privacy.extrapolated_exposure`, `privacy.SisaEnsemble`, `privacy.DPTrainer`, `privacy.audit_epsilon`, `privacy.membership_inference`.
#
# ## What to take away
#
# Protection by noise lasts until somebody looks. Forgetting is exact or it is a claim to be tested, against a model that never knew and with an attack, not by whether the model still says it. A language model learns secrets while it still learns language; exposure measures that in bits, and 1.4 bits are nothing. Of all remedies only differential privacy
# holds for the secrets that you did not think of, per unit that you chose, and only as far as its $\varepsilon$ says: attack that, too.
#
# You have reached the end of the chapter. Do it yourself in [homework H6](../../exercises/h6_privacy/h6_privacy.ipynb).
