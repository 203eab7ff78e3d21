# %% [markdown]
# # 6.3 Membership inference: was this digit in the training set?
#
# A model has been published, its training data have not. Somebody holds one record and asks a single question about it: *was it in there?* Nothing is stolen, nothing is reconstructed. Still, if the model was trained on the patients of
# a clinic, the answer is a diagnosis. This page puts the question in four ways, from one look at a confidence to a proper test of two hypotheses. Then it asks how one should measure such an attack, which is where most of the trouble is.
#
# **What you will learn**
#
# - to write membership inference as a game, and to read an attack as a true-positive rate at a false-positive rate;
# - to attack by a threshold, by comparing two models, by shadow models and by a likelihood ratio, each by hand and by the library;
# - why overfitting helps the attacker, and why little overfitting is no protection;
# - which digits are exposed, and which are not;
# - to recognise evaluations that measure something else, and to say what an attack proves about a person, and what it does not.
#
# **Before you start**: [differential privacy](differential_privacy.ipynb) for the promise that bounds all attacks of this page, and what a threat model says ([lecture 2.1](../20_adversarial/linear_explanation.ipynb)). The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 35 minutes to read; {{ cpu_seconds }} to run.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.ticker import MultipleLocator, PercentFormatter
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import privacy
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.models import MLP
from tml_helpers.plotting import COLOURS, show_image, show_images, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The question
#
# A thousand digits of [MNIST](../../book/data_cards/mnist.md) are put on a table. Seventeen people draw about half of them, each for themselves, and train the same network on what they drew: one hidden layer of 128 units, 30 epochs. Each digit
# is drawn by eight of the seventeen, so that every digit has been seen by some networks and not by others. Digits are harmless. Think of them as patients.

# %%
generator = seed_everything(seed())
everyone = mnist("train")
order = torch.randperm(len(everyone), generator=generator)
table, spare = everyone.select(order[:1000]), everyone.select(order[1000:2000])
images, labels = table.tensors  # (1000, 1, 28, 28), (1000,)


def network():
    return MLP(128)


how = {"epochs": 30, "batch_size": 32}  # everybody trains like this
trained = privacy.train_shadow_models(
    network, images, labels, count=17, generator=generator, **how
)
models, saw = trained.models, trained.included  # 17 networks, (17, 1000) bool

# %%
answers = torch.stack([predict(model, images) for model in models])  # (17, 1000, 10)
right = answers.argmax(dim=2) == labels
claim("Eight networks of 17 saw each digit", bool((saw.sum(dim=0) == 8).all()))
claim(
    "Each reads all digits that it saw, but 1 in 100", right[saw].double().mean() > 0.99
)
claim(
    "and of the others between 83 and 91 %", 0.83 < right[~saw].double().mean() < 0.91
)

# %% [markdown]
# Here are three of the digits, and how sure two of the networks are of the right label. One of the two networks saw the digit. Which one?


# %%
def psi_of(logits):
    """log p_y − log(1 − p_y), by hand: (…, 1000, 10) -> (…, 1000)."""
    p = logits.double().softmax(dim=-1)
    p_y = p.gather(-1, labels.expand(logits.shape[:-1])[..., None]).squeeze(-1)
    return p_y.log() - (1 - p_y).log()


psi = trained.confidences(images, labels)  # the same without rounding, (17, 1000)
a, b = 0, 1
apart = ((psi[a] - psi[b]) * (saw[a].int() - saw[b].int())).argsort(descending=True)
one_way = [int(i) for i in apart[:300] if saw[a, i]]
other_way = [int(i) for i in apart[:300] if saw[b, i]]
shown = [one_way[0], other_way[0], one_way[1]]

# %% tags=["hide-input", "fig-mia-question"] mystnb={"image": {"alt": "Three handwritten digits, a 9, a 3 and a 5, each a little crooked. Below each, two bars: the probability of the right label under network A and under network B. One bar of each pair is long, the other close to zero; first A is the sure one, then B, then A."}}
figure, axes = plt.subplots(2, 3, figsize=(7, 3.4), height_ratios=(2, 1))
for column, index in enumerate(shown):
    show_image(axes[0, column], images[index], f"a {int(labels[index])}?")
    p = answers[[a, b], index].softmax(dim=1)[:, labels[index]]
    axes[1, column].barh([1, 0], p, color=[COLOURS["blue"], COLOURS["orange"]])
    axes[1, column].set(xlim=(0, 1), xticks=[0, 0.5, 1], yticks=[1, 0], xlabel="$p_y$")
    axes[1, column].set_yticklabels(["A", "B"])
    axes[1, column].grid(visible=False, axis="y")
plt.show()

# %% [markdown]
# *Which of two networks saw the digit?* It was the surer one each time: A, B, A. The three were chosen because the difference is so plain.

# %%
seen_by = ["A" if saw[a, i] else "B" for i in shown]
claim("Seen by A, by B and by A", seen_by == ["A", "B", "A"])

# %% [markdown]
# ## The game
#
# What does it mean that an attack works? A game says it {cite}`yeom2018privacy`. A coin decides whether a record $x$ with label $y$ is among the training data of a model $f$ or not. The attacker gets the record and the model, and says "member" or "non-member". Nearly all attackers do this by a **score** $s(x)$, large where they suspect
# membership, and a threshold $t$. Two rates describe what comes out:
#
# $$\mathrm{TPR}(t) = P\big(s(x) \ge t \mid x \text{ is a member}\big), \qquad \mathrm{FPR}(t) = P\big(s(x) \ge t \mid x \text{ is none}\big)$$ (eq-mia-rates)
#
# $\mathrm{TPR}$ is the share of the members who are found, $\mathrm{FPR}$ the share of the others who are accused wrongly. A coin has $\mathrm{TPR} = \mathrm{FPR}$ at every threshold. The curve of one against the other, over all $t$, is the ROC curve, and the area under it, the **AUC**, is the probability that a member scores higher than a non-member, where a tie counts half.
#
# The last of the 17 networks will be the **target**. The other sixteen belong to the attacker, who knows what *they* saw, and we use them later.

# %%
target, member = models[16], saw[16]  # member: (1000,) bool
own_answers, own_psi = answers[16], psi[16]

# %% [markdown]
# ## Attack 1: a threshold

# %%
ThreatModel(
    goal="say whether a record was in the training data",
    knowledge="black box",
    capability="reads the probabilities of all classes for a record with its label",
    queries=1,
    out_of_scope="other data, other models, weights",
)

# %% [markdown]
# Training makes the loss small on members and cares for nobody else. So the loss itself is a score: $s(x) = \log p_y$, the higher, the likelier a member (Yeom and others {cite}`yeom2018privacy`). If one has no label, the largest probability or the entropy will do (Salem and others {cite}`salem2019leaks`). The entropy has a weakness: a network that is sure of a *wrong* label looks as sure as
# for a member. Song and Mittal's modified entropy puts this right {cite}`song2021systematic`:
#
# $$s(x) = (1 - p_y) \log p_y + \sum_{k \ne y} p_k \log (1 - p_k)$$ (eq-mia-modified-entropy)
#
# It is 0, its largest value, where the network is sure of the label, and goes to $-\infty$ where it is sure of another one.

# %%
p = own_answers.double().softmax(dim=1)
by_hand = p[torch.arange(1000), labels].log()
loss = privacy.membership_inference(target, images, labels)
claim("By hand and by the library: log p_y", torch.allclose(by_hand, loss, atol=1e-6))

p_y = by_hand.exp()
terms = p * torch.log1p(-p).nan_to_num(neginf=0)  # p_k log(1 − p_k)
terms[torch.arange(1000), labels] = (1 - p_y) * by_hand
library = privacy.membership_inference(target, images, labels, score="modified_entropy")
claim(
    "and the modified entropy",
    torch.allclose(terms.sum(dim=1)[p_y > 1e-9], library[p_y > 1e-9], atol=1e-6),
)


# %%
def rates(scores, member, threshold):
    """TPR and FPR of one threshold, by counting."""
    says = scores >= threshold
    return says[member].double().mean().item(), says[~member].double().mean().item()


roc = privacy.membership_roc(loss[member], loss[~member])
point = roc.tpr_at(0.01)
tpr, fpr = rates(loss, member, point.threshold)
claim("By hand and by the library: TPR", abs(tpr - point.true_positive_rate) < 1e-9)
claim("FPR", abs(fpr - point.false_positive_rate) < 1e-9)
above = loss[member][:, None] - loss[~member]
wins = (above > 0).double().mean() + (above == 0).double().mean() / 2
claim("and AUC", abs(wins.item() - roc.auc) < 1e-9)

# %% tags=["nbval-ignore-output"]
names = ("loss", "confidence", "entropy", "modified_entropy", "margin")
for name in names:
    score = privacy.membership_inference(target, images, labels, score=name)
    found = privacy.membership_roc(score[member], score[~member])
    at = found.tpr_at(0.01)
    print(
        f"{name:16}  AUC {found.auc:.2f}   TPR at 1 % FPR {at.true_positive_rate:5.1%}"
        f"   (95 %: {at.low:.1%} to {at.high:.1%})"
    )

# %%
claim("The loss has an AUC of more than 0.57", roc.auc > 0.57)
claim("and finds fewer than 6 % of the members at 1 % FPR", tpr < 0.06)

# %% [markdown]
# Two facts that don't seem to fit. The AUC is well above one half: for two records, one of each kind, the attacker does better than a coin. And yet where false alarms are rare, members are hardly found more often than others are accused. The next picture explains it. It shows
#
# $$\psi(x) = \log \frac{p_y}{1 - p_y}$$ (eq-mia-psi)
#
# in place of the probability: most probabilities are so close to 1 that one could not tell them apart in a drawing. $\psi$ is the **scaled confidence**; $\psi = 7$ is $p_y = 0.999$, and $\psi = 0$ is one half. It orders records as the loss does, so it is the same attack.

# %%
claim(
    "ψ by hand and by the library",
    torch.allclose(psi_of(own_answers), own_psi, atol=1e-4),
)
by_psi = privacy.membership_roc(own_psi[member], own_psi[~member])
claim("ψ and the loss have one AUC", abs(by_psi.auc - roc.auc) < 1e-9)

# %% tags=["hide-input", "fig-mia-threshold"] mystnb={"image": {"alt": "Two panels. Left, stepped histograms of the scaled confidence of members and non-members. Members lie between 3 and 14; non-members share that hump and have a long tail below 3, down to minus 8. At the upper end both are alike. Right, the ROC curve of the loss threshold: it lies on the diagonal at low false positive rates, rises above it from about 0.2 on, and reaches 1 at about 0.65."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.1))
bins = np.linspace(-10, 16, 27)
for who, label, hue in (
    (member, "members", "blue"),
    (~member, "non-members", "orange"),
):
    share = np.histogram(own_psi[who].clamp(-10, 16), bins)[0] / int(who.sum())
    axes[0].stairs(100 * share, bins, color=COLOURS[hue], label=label, lw=1.8)
axes[0].set(xlabel=r"scaled confidence $\psi$", ylabel="of these digits (%)")
axes[0].legend(loc="upper left")
axes[1].plot(roc.false_positive_rates, roc.true_positive_rates, color=COLOURS["blue"])
axes[1].plot([0, 1], [0, 1], "--", color=COLOURS["black"], lw=1, label="a coin")
axes[1].set(xlabel="false-positive rate", ylabel="true-positive rate")
axes[1].legend(loc="lower right")
plt.show()

# %% [markdown]
# *What one threshold can see.* Left: members and non-members share their upper half. Most digits are easy, and a network is sure of an easy digit whether it saw it or not. Low confidence means "not a member", but high confidence means nearly nothing. Right: so the curve gains its area where the false-positive rate is high, and none where it is low.
#
# A threshold can say with some certainty who was *not* there. An attacker wants the opposite.
#
# ### Overfitting, and the gap
#
# The bluntest attack looks only at whether the answer is right. Its $\mathrm{TPR}$ is the training accuracy, its $\mathrm{FPR}$ is the accuracy on new data, and so what it gains over a coin, the **advantage** $\mathrm{TPR} - \mathrm{FPR}$, is
#
# $$\mathrm{TPR} - \mathrm{FPR} = \text{accuracy on members} - \text{accuracy on others}$$ (eq-mia-gap)
#
# which is the generalisation gap itself. So whoever publishes a training and a test accuracy has published a bound from below. Let us train one network for a long time, and attack it after each few epochs.

# %%
correct = privacy.membership_inference(target, images, labels, score="margin") > 0
blunt = privacy.membership_roc(correct[member].double(), correct[~member].double())
gap = right[16, member].double().mean() - right[16, ~member].double().mean()
claim("The advantage is the gap", abs(blunt.advantage - gap.item()) < 1e-9)
claim("It resolves no small rate: 0 at 1 %", blunt.tpr_at(0.01).true_positive_rate == 0)

# %%
epochs = [1, 2, 4, 7, 12, 20, 35, 60]
student = network()
optimizer = torch.optim.Adam(student.parameters(), lr=1e-3)
inside = TensorDataset(images[member], labels[member])
outside = TensorDataset(images[~member], labels[~member])
course, before = [], 0
for epoch in epochs:
    more = epoch - before
    fit(
        student,
        inside,
        epochs=more,
        optimizer=optimizer,
        batch_size=32,
        generator=generator,
    )
    score = privacy.membership_inference(student, images, labels)
    found = privacy.membership_roc(score[member], score[~member])
    ends = accuracy(student, inside), accuracy(student, outside)
    course.append((*ends, found.auc, found.tpr_at(0.01).true_positive_rate))
    before = epoch
course = np.array(course)  # (8, 4)

# %% tags=["hide-input", "fig-mia-overfitting"] mystnb={"image": {"alt": "Two panels over epochs from 1 to 60 on a logarithmic axis. Left, accuracy on members rises from 80 percent to 100, accuracy on others from 76 to about 87 and stays. Right, the AUC of the loss threshold rises from one half to over 0.6 and goes on rising after the accuracy on others has stopped; the true positive rate at 1 percent false positives stays near 1 percent throughout."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.0))
for column, label, hue in ((0, "members", "blue"), (1, "others", "orange")):
    axes[0].plot(epochs, course[:, column], "o-", ms=4, color=COLOURS[hue], label=label)
axes[0].set(ylabel="accuracy")
for column, label, hue in ((2, "AUC", "green"), (3, "TPR at 1 % FPR", "pink")):
    axes[1].plot(epochs, course[:, column], "o-", ms=4, color=COLOURS[hue], label=label)
axes[1].axhline(0.5, ls="--", lw=1, color=COLOURS["black"])
axes[1].set(ylabel="loss threshold", ylim=(0, 0.8))
for axis in axes:
    axis.set(xscale="log", xlabel="epochs")
    axis.set_xticks([1, 4, 12, 60], ["1", "4", "12", "60"])
    axis.minorticks_off()
axes[0].legend(loc="lower right")
axes[1].legend(loc="upper left", bbox_to_anchor=(0, 0.6))
plt.show()

# %% [markdown]
# *The longer a network trains, the more it tells.* Left: from about a dozen epochs on, training improves nothing but the memory of what was seen. Right: the AUC goes on rising meanwhile. The rate at few false alarms does not follow: this attack cannot use what the network remembers.

# %%
claim("From epoch 1 to 60 the AUC gains over 0.04", course[-1, 2] - course[0, 2] > 0.04)
claim(
    "From epoch 12 to 60, others gain under 4 points",
    abs(course[-1, 1] - course[4, 1]) < 0.04,
)

# %% [markdown]
# Overfitting is enough for an attack, but an attack does not need it: a network may generalise well on average and remember single records all the same {cite}`yeom2018privacy`. Some *must* be remembered if they are to be read at all, as rare kinds of which the data hold one example {cite}`feldman2020does`. So the small gap of a good model proves nothing about its most unusual record.
#
# ## Attack 2: two models

# %%
ThreatModel(
    goal="say which of two models saw a record",
    knowledge="grey box",
    capability="reads the probabilities of both, or trains the second themselves",
    queries=2,
    out_of_scope="weights; who else was in the data",
)

# %% [markdown]
# A hard digit has a low confidence even for networks that saw it, an easy one a high confidence always. So one should not ask "is the network sure?" but "is it *surer than it would be otherwise*?" The simplest "otherwise" is a second model. Train $f$ on data $D$ and $f'$ on $D$ and $x$, and compare them at $x$:
#
# $$s(x) = \psi_{f'}(x) - \psi_f(x)$$ (eq-mia-two-models)
#
# Difficulty is in both terms, and cancels. This is the attack by difference against which [differential privacy](differential_privacy.ipynb) was made: its definition speaks of $D$ and $D$ with one record more, and demands that nobody can tell which of the two a model came from. As a game: take two of our seventeen networks and a digit that one of them saw; say "the surer one". (Our pairs differ in more than this digit. What they do not share is noise, and exercise 1 takes it away.)

# %%
first, second = models[0], models[1]
compared = privacy.compare_two_models(first, images, labels, other=second)
claim(
    "By hand and by the library: the difference of ψ",
    torch.allclose(compared, psi_of(answers[0]) - psi_of(answers[1]), atol=1e-3),
)
guess_right, rounds = 0, 0
for i in range(17):
    for j in range(i):
        asked = saw[i] != saw[j]  # digits that one of the two saw
        surer = psi[i] > psi[j]
        guess_right += int((surer == saw[i])[asked].sum())
        rounds += int(asked.sum())

# %% tags=["nbval-ignore-output"]
print(f"{rounds:,} rounds, {guess_right / rounds:.1%} won")

# %%
claim("Of over 60,000 rounds", rounds > 60_000)
claim("over 70 % are won; a coin wins half", guess_right / rounds > 0.70)

# %% [markdown]
# One reference model is a noisy "otherwise": it may have started from lucky weights, and may have seen $x$ itself. The two attacks that follow use many, and learn from them in different ways.
#
# ## Attack 3: shadow models

# %%
ThreatModel(
    goal="say whether a record was in the training data",
    knowledge="grey box",
    capability="has similar data, knows the kind of network, trains 16 copies",
    queries=1,
    out_of_scope="weights of the target; its training data",
)

# %% [markdown]
# Shokri and others {cite}`shokri2017membership` turned the question into a problem of supervised learning. The attacker trains **shadow models** which imitate the target, on data of their own. Of the shadow models they know who was a member. So they can collect pairs, (what a shadow model answers about a record, whether it saw it), and train a classifier on these: *this is what an answer about a member looks
# like*. Then they show it the target's answers. For each class it is a classifier of its own, since networks are sure of some classes by nature.
#
# $$s(x) = g_y\big(\psi_y(x),\ \text{sorted } \psi_k(x),\, k \ne y\big), \qquad g_y \text{ trained on the shadow models' answers about class } y$$ (eq-mia-shadow)
#
# Here $\psi_k$ is $\log p_k - \log (1 - p_k)$, and $g_y$ a small network that gives log-odds. Sixteen shadow models with a thousand answers each make sixteen thousand pairs. Its training data are our table; in earnest an attacker collects similar data, or makes them.

# %%
shadows = privacy.ShadowModels(models[:16], saw[:16], images, labels)


def evidence(logits, truth):
    """ψ of the label, then of the other classes from large to small, (n, 10)."""
    every = torch.logit(logits.double().softmax(dim=1), eps=1e-9)
    own = every.gather(1, truth[:, None])
    rest = every.scatter(1, truth[:, None], -torch.inf).sort(descending=True).values
    return torch.cat([own, rest[:, :-1]], dim=1)


# %%
def log_loss(g, answered, was_member):
    return F.binary_cross_entropy_with_logits(g(answered)[:, 0], was_member)


def attack_class(k):
    """The by-hand attack on the target's answers about class k."""
    of_class = labels == k
    seen = saw[:16, of_class].flatten().double()
    known = torch.cat([evidence(z[of_class], labels[of_class]) for z in answers[:16]])
    middle, spread = known.mean(dim=0), known.std(dim=0)
    g = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 1)).double()
    pairs = TensorDataset((known - middle) / spread, seen)
    fit(g, pairs, epochs=20, loss=log_loss, generator=generator)
    asked = evidence(own_answers[of_class], labels[of_class])
    return predict(g, (asked - middle) / spread)[:, 0]


# %%
by_hand = torch.zeros(1000, dtype=torch.float64)
for k in range(10):
    by_hand[labels == k] = attack_class(k)
shadow = privacy.shadow_attack(
    target, images, labels, shadow_models=shadows, generator=generator
)
both = torch.stack([by_hand, shadow])
claim(
    "By hand and by the library: correlated over 0.8", torch.corrcoef(both)[0, 1] > 0.8
)
area = [privacy.membership_roc(s[member], s[~member]).auc for s in both]
claim("with AUCs that differ by less than 0.06", abs(area[0] - area[1]) < 0.06)
claim("and an AUC over 0.02 above the threshold's", area[1] - roc.auc > 0.02)

# %% [markdown]
# The two networks started from other random weights, so they agree roughly and not to the last digit. The AUC is clearly higher. Wherein lies the gain? A threshold says "the surer, the likelier", the attack's network has learnt better: an answer can be *too* sure for a member that was hard. But it treats all records of a class alike, and has forgotten which record a shadow model's answer was about. There is more in these models.
#
# ## Attack 4: the likelihood ratio

# %%
ThreatModel(
    goal="say whether a record was in the training data, with few false alarms",
    knowledge="grey box",
    capability="has similar data and this record, trains 16 copies, 8 with it",
    queries=1,
    out_of_scope="weights of the target; its training data",
)

# %% [markdown]
# Carlini and others {cite}`carlini2022membership` ask what a statistician would ask. There are two hypotheses about $x$. Under one the target is a draw from the models that were trained *with* $x$, under the other from those trained *without*. By the lemma of Neyman and Pearson, the best test between two hypotheses compares how likely each makes what was observed, $\psi(x)$. Over repeated training $\psi(x)$ is roughly normal, which $p_y$ is not, and a
# normal distribution is known from a mean and a variance. So eight models on each side are enough to begin with:
#
# $$\Lambda(x) = \log \mathcal N\big(\psi(x); \mu_{\text{in}}, v_{\text{in}}\big) - \log \mathcal N\big(\psi(x); \mu_{\text{out}}, v_{\text{out}}\big)$$ (eq-mia-ratio)
#
# $\mathcal N(\psi; \mu, v)$ is the normal density; $\mu_{\text{in}}$ and $\mu_{\text{out}}$ are the means of this record's $\psi$ over the shadow models that saw it and over those that did not. A variance from eight numbers is poor, so all records share one for each side, $v = \sum (\psi - \mu)^2 / \sum (n - 1)$, where $n$ is the number of models on that side and the sums run over all records. With hundreds of models each record can have its own. Here are two records.

# %%
mu_in = (psi[:16] * saw[:16]).sum(dim=0) / saw[:16].sum(dim=0)
mu_out = (psi[:16] * ~saw[:16]).sum(dim=0) / (~saw[:16]).sum(dim=0)
off = psi[:16] - torch.where(saw[:16], mu_in, mu_out)  # from the own side's mean
v_in = off[saw[:16]].square().sum() / (saw[:16].sum() - 1000)
v_out = off[~saw[:16]].square().sum() / ((~saw[:16]).sum() - 1000)


def log_normal(value, mean, variance):
    return -((value - mean) ** 2) / (2 * variance) - variance.log() / 2


by_hand = log_normal(own_psi, mu_in, v_in) - log_normal(own_psi, mu_out, v_out)
ratio = privacy.likelihood_ratio_attack(target, images, labels, shadow_models=shadows)
claim("By hand and by the library: Λ", torch.allclose(by_hand, ratio, atol=1e-6))

# %% tags=["hide-input", "fig-mia-two-records"] mystnb={"image": {"alt": "Two panels, each with a digit in it, two normal curves over the scaled confidence, and small ticks for the shadow models below. For an easy digit, the curve of models that saw it and that of models that did not overlap almost wholly. For an unusual digit the two curves are far apart, and the target's own value, a dashed line, lies under the curve of models that saw it."}}
apart = torch.where(member, mu_in - mu_out, 0.0)
easy, unusual = int((apart + 99 * ~member).abs().argmin()), int(apart.argmax())
figure, axes = plt.subplots(1, 2, figsize=(7, 3.1), sharex=True, sharey=True)
grid = torch.linspace(-22, 16, 300, dtype=torch.float64)
for axis, index, title in zip(axes, (easy, unusual), ("easy", "unusual"), strict=True):
    sides = (("saw it", saw[:16, index], mu_in, v_in, "blue", -0.01),)
    sides += (("did not", ~saw[:16, index], mu_out, v_out, "orange", -0.025),)
    for label, side, mean, variance, hue, height in sides:
        density = (log_normal(grid, mean[index], variance)).exp() / np.sqrt(2 * np.pi)
        axis.plot(grid, density, color=COLOURS[hue], label=label)
        ticks = psi[:16, index][side]
        axis.plot(ticks, height + 0 * ticks, "|", ms=9, mew=1.5, color=COLOURS[hue])
    axis.axvline(
        own_psi[index], ls="--", lw=1.2, color=COLOURS["black"], label="target"
    )
    axis.set(title=f"an {title} digit", xlabel=r"scaled confidence $\psi$")
    corner = axis.inset_axes((0.34, 0.55, 0.24, 0.42))
    show_image(corner, images[index])
axes[0].set_ylabel("density")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# *Two hypotheses about two digits.* Ticks: what the sixteen shadow models answered. Left, it makes no difference whether a network saw the digit, and no attack of this kind will ever know. Right, it makes all the difference. A threshold uses one line for both; the likelihood ratio knows where to put it for each.
#
# There is an **offline** variant for an attacker who got the record only after training the shadow models. None of them saw it, so there is no $\mu_{\text{in}}$. What remains is to ask how unusual the target is among models that did not see it, $(\psi(x) - \mu_{\text{out}}) / \sqrt{v_{\text{out}}}$, on the high side only: a target that is unusually *un*sure did not see the record.

# %%
offline = privacy.likelihood_ratio_attack(
    target, images, labels, shadow_models=shadows, online=False
)
by_hand = (own_psi - mu_out) / v_out.sqrt()
claim(
    "By hand and by the library: offline", torch.allclose(by_hand, offline, atol=1e-6)
)

# %% [markdown]
# ## All four, where it matters
#
# What should be compared? Suppose that a hospital's model is attacked with 10,000 records of which 10 are members. At a false-positive rate of 10 % the attacker accuses a thousand people wrongly; whatever the $\mathrm{TPR}$, nobody will believe them. At 0.1 %, ten. What counts is how many members are found *where false alarms are rare*, and so both axes are logarithmic {cite}`carlini2022membership`. Every rate is an estimate from counts, so it has an interval: Clopper and Pearson's, which holds for any counts.

# %%
scores = {
    "threshold": loss,
    "two models": privacy.compare_two_models(target, images, labels, other=models[0]),
    "shadow models": shadow,
    "likelihood ratio": ratio,
    "… offline": offline,
}
curves = {
    name: privacy.membership_roc(score[member], score[~member])
    for name, score in scores.items()
}

# %% tags=["nbval-ignore-output"]
for name, curve in curves.items():
    at = curve.tpr_at(0.01)
    print(
        f"{name:17} AUC {curve.auc:.2f} ({curve.auc_low:.2f} to {curve.auc_high:.2f})"
        f"   TPR at 1 % FPR {at.true_positive_rate:5.1%}"
        f" ({at.low:.1%} to {at.high:.1%})"
    )

# %% tags=["hide-input", "fig-mia-roc"] mystnb={"image": {"alt": "ROC curves of five attacks on logarithmic axes, false positive rates from 0.2 to 100 percent, with an interval bar on each at 1 percent. The likelihood ratio is highest, with about 20 percent true positives at 1 percent false ones; its offline variant is a little below; two models and the shadow attack are between 5 and 10 percent; the threshold runs along the dashed diagonal up to 10 percent. At the right end all meet at 100 percent."}}
figure, axis = plt.subplots(figsize=(6.2, 4.2))
hues = ("orange", "sky", "green", "blue", "pink")
marks = ("-", "-.", "--", "-", ":")
for turn, ((name, curve), hue, mark) in enumerate(
    zip(curves.items(), hues, marks, strict=True)
):
    axis.step(
        curve.false_positive_rates,
        curve.true_positive_rates,
        mark,
        where="post",
        color=COLOURS[hue],
        label=name,
    )
    at = curve.tpr_at(0.01)
    low, high = at.true_positive_rate - at.low, at.high - at.true_positive_rate
    place = 0.01 * 1.06 ** (turn - 2)
    axis.errorbar(place, at.true_positive_rate, [[low], [high]], color=COLOURS[hue])
axis.plot([2e-3, 1], [2e-3, 1], "--", lw=1, color=COLOURS["black"], label="a coin")
axis.set(xscale="log", yscale="log", xlim=(2e-3, 1), ylim=(2e-3, 1.1))
axis.set(xlabel="false-positive rate", ylabel="true-positive rate")
for side in (axis.xaxis, axis.yaxis):
    side.set_major_formatter(PercentFormatter(1, decimals=0))
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# *Where false alarms are rare, it pays to know the single record.* The bars are 95 % intervals at a false-positive rate of 1 %. The threshold, whose curve looked respectable on ordinary axes, runs along the coin's line here. What the two middle attacks reach at 1 % changes much from one target to the next.
#
# One target is one draw. With seventeen networks of which all is known, each can be the target once while the other sixteen are shadow models. `likelihood_ratios` takes the $\psi$ that we have, so this costs next to nothing.

# %%
turns = {"threshold": psi, "likelihood ratio": torch.zeros_like(psi)}
for t in range(17):
    others = torch.arange(17) != t
    turns["likelihood ratio"][t] = privacy.likelihood_ratios(
        psi[t], shadow_confidences=psi[others], included=saw[others]
    )
each = {
    name: [
        privacy.membership_roc(score[saw[t]], score[~saw[t]]).tpr_at(0.01)
        for t, score in enumerate(every)
    ]
    for name, every in turns.items()
}
mean = {n: np.mean([at.true_positive_rate for at in e]) for n, e in each.items()}

# %% tags=["nbval-ignore-output"]
for name, share in mean.items():
    print(f"{name:17} TPR at 1 % FPR, mean over 17 targets {share:.1%}")

# %%
claim("The threshold finds under 3 % of members, on average", mean["threshold"] < 0.03)
claim("The likelihood ratio over 14 %", mean["likelihood ratio"] > 0.14)
ahead = [
    better.true_positive_rate > 2 * worse.true_positive_rate
    for worse, better in zip(each["threshold"], each["likelihood ratio"], strict=True)
]
claim("against each single target more than twice as many", all(ahead))

# %% [markdown]
# ## Who is exposed?
#
# An average over a thousand digits says nothing about any one of them. For each digit we can ask how far the models that saw it stand from those that did not, in standard deviations of one model. We measure it with eight of the networks, and check on the other nine what it predicts:
#
# $$\text{exposure of } x = \frac{\mu_{\text{in}} - \mu_{\text{out}}}{\sqrt{(v_{\text{in}} + v_{\text{out}}) / 2}}$$ (eq-mia-exposed)
#
# (The same word has another meaning for canaries in language models, in [lecture 6.6](memory_and_forgetting.ipynb).)

# %%
early, late = slice(0, 8), slice(8, 17)  # exposure by eight networks, checked on nine
seen, unseen = saw[early].sum(dim=0), (~saw[early]).sum(dim=0)
gained = (psi * saw)[early].sum(dim=0) / seen - (psi * ~saw)[early].sum(dim=0) / unseen
exposed = gained / ((v_in + v_out) / 2).sqrt()
exposed[(seen == 0) | (unseen == 0)] = 0  # hardly ever: no network on one side
ranks = exposed.argsort(descending=True)
top, bottom = ranks[:100], ranks[-500:]
read = (right & ~saw)[late].sum(dim=0) / (~saw)[late].sum(dim=0).clamp(min=1)

# %% tags=["hide-input", "fig-mia-exposed"] mystnb={"image": {"alt": "Two rows of eight handwritten digits with their labels. The upper row, the most exposed, has digits that are hard to read: crooked, cut, or close to another digit. The lower row, the least exposed, has clean and ordinary digits."}}
picked = torch.cat([ranks[:8], ranks[-8:]])
show_images(
    images[picked], [f"label {int(y)}" for y in labels[picked]], columns=8, size=0.85
)
plt.show()

# %% [markdown]
# *The exposed and the others.* Upper row: the eight digits with the largest exposure. Lower row: the eight with the least. Who is like nobody else can only be learnt by heart.

# %%
claim(
    "Networks that did not see them read under 40 % of the 100 most exposed",
    read[top].mean() < 0.40,
)
claim("and over 93 % of the 500 least", read[bottom].mean() > 0.93)
cut = [at.threshold for at in each["likelihood ratio"]]
found = torch.stack([turns["likelihood ratio"][t] >= cut[t] for t in range(17)])
of_top = (found & saw)[late, top].sum() / saw[late, top].sum()
of_rest = (found & saw)[late, bottom].sum() / saw[late, bottom].sum()
claim("At 1 % FPR over 85 % of the most exposed are found", of_top > 0.85)
claim("and under 3 % of the 500 least", of_rest < 0.03)

# %% [markdown]
# So a mean over all records hides what matters: for most people the risk is small, for a few it is large, and these are the ones who are unlike the others, by an illness, an age, an accent. Note also that exposure is relative to the company: remove the exposed, and others will stand at the edge {cite}`carlini2022onion`.
#
# ## What defences do
#
# Whatever makes a model depend less on a single record helps, and the attacker must be allowed to adapt: the shadow models are trained *with the defence*. We try what costs nothing but a line, early stopping, weight decay and a network without a hidden layer, and train our own shadow models for each. `ShadowModels` takes any models of which you know what they saw.


# %%
def defended_by(epochs, decay=0.0, build=network):
    """Accuracy of 9 new networks and the mean TPR at 1 % FPR, each the target once."""
    confidence, answers = [], []
    for included in saw[:9]:
        seen = TensorDataset(images[included], labels[included])
        model = build()
        rule = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=decay)
        fit(
            model,
            seen,
            epochs=epochs,
            optimizer=rule,
            batch_size=32,
            generator=generator,
        )
        z = predict(model, images)
        confidence.append(privacy.scaled_confidence(z, labels))
        answers.append((z.argmax(dim=1) == labels)[~included].double().mean().item())
    return np.mean(answers), attacked(torch.stack(confidence), saw[:9])


# %%
def attacked(confidence, included):
    """The mean over targets of the likelihood ratio's TPR at 1 % FPR."""
    known = (included.sum(dim=0) >= 2) & ((~included).sum(dim=0) >= 2)
    found = []
    for t in range(len(included)):
        others = torch.arange(len(included)) != t
        ratio = privacy.likelihood_ratios(
            confidence[t, known],
            shadow_confidences=confidence[others][:, known],
            included=included[others][:, known],
        )
        member = included[t, known]
        curve = privacy.membership_roc(ratio[member], ratio[~member])
        found.append(curve.tpr_at(0.01).true_positive_rate)
    return np.mean(found)


# %%
defended = {
    "no defence": (
        right[:9][~saw[:9]].double().mean().item(),
        attacked(psi[:9], saw[:9]),
    ),
    "8 epochs": defended_by(8),
    "linear": defended_by(30, build=MLP),
    "4 epochs": defended_by(4),
    "weight decay": defended_by(20, decay=0.1),
}

# %% tags=["nbval-ignore-output"]
for name, (share, rate) in defended.items():
    print(f"{name:13} accuracy on others {share:.1%}   TPR at 1 % FPR {rate:.1%}")

# %%
plain, early = defended["no defence"], defended["4 epochs"]
claim("Four epochs: the rate falls by a third or more", early[1] < plain[1] * 2 / 3)
claim("for less than 6 points of accuracy", plain[0] - early[0] < 0.06)
claim("and stays over three times that of a coin", early[1] > 0.03)
claim("A linear model is no defence: over 8 %", defended["linear"][1] > 0.08)

# %% tags=["hide-input", "fig-mia-defences"] mystnb={"image": {"alt": "Five points: accuracy on others against the true positive rate at 1 percent false positives. No defence is at about 87 percent accuracy and 18 percent. Eight epochs: 86 and 13. A linear model: 86 and 14. Four epochs: 85 and 7. Weight decay: 85 and 11. A dashed line at 1 percent is a coin."}}
figure, axis = plt.subplots(figsize=(5.6, 3.2))
for (name, (share, rate)), hue in zip(
    defended.items(), ("black", "blue", "pink", "green", "orange"), strict=True
):
    axis.plot(100 * share, 100 * rate, "o", ms=8, color=COLOURS[hue])
    axis.text(100 * share, 100 * rate + 1.2, name, ha="center")
axis.axhline(1, ls="--", lw=1, color=COLOURS["black"])
axis.text(0.98, 0.07, "a coin", ha="right", transform=axis.transAxes)
axis.set(xlabel="accuracy on others (%)", ylabel="TPR at 1 % FPR (%)", ylim=(0, 30))
axis.margins(x=0.15)
axis.xaxis.set_major_locator(MultipleLocator(1))
plt.show()

# %% [markdown]
# *What two simple defences buy, against an attacker who knows them.* Stopping early and a strong weight decay cost a little accuracy and take away a good part of the attack. A network without a hidden layer, which can remember far less, is hardly safer. None comes near the coin's line.
#
# None of them promises anything, either: a better attack may come. Differential privacy is a promise about all attacks, known or not. If training is $(\varepsilon, \delta)$-private, then for every score and every threshold {cite}`kairouz2015composition`
#
# $$\mathrm{TPR}(t) \le e^{\varepsilon}\, \mathrm{FPR}(t) + \delta$$ (eq-mia-bound)
#
# Read from left to right it protects; read from right to left it is an audit, since a rate that was measured refutes each $\varepsilon$ that would forbid it. [Lecture 6.2](dp_sgd.ipynb) trains with such a promise, says what it costs, and attacks what it trained. There the promise is about the most exposed record, not about the average one.
#
# And **hiding** the probabilities? A model that shows its first answer only leaves the blunt attack of the gap, and makes the others' scores useless. But a record's label can be asked for many slightly changed copies of it, and the distance to the decision boundary takes the place of the confidence {cite}`choquette2021label`. The network remembers as much as before. [Lecture 6.4](inversion_and_stealing.ipynb) measures what a narrow interface costs and buys.
#
# ## What goes wrong
#
# **Two kinds of data.** Members were collected last year, non-members this year; or members come from one file and non-members from another. Then an attack may tell apart the files, and no membership at all. Das, Zhang and Tramèr found this in eight published benchmarks for large models: a "blind" attack that never asks the model did better than the best that asked it {cite}`das2025blind`. Here is a model that saw neither of two sets. One set are digits as they are. The others went through a program that moved them by one pixel, down and to the right.

# %%
set_one, set_two = spare.select(slice(0, 500)), spare.select(slice(500, 1000))
moved = set_two.images.roll((1, 1), dims=(2, 3))
both_sets = torch.cat([set_one.images, moved])
both_labels = torch.cat([set_one.labels, set_two.labels])
score = privacy.membership_inference(target, both_sets, both_labels)
vacuous = privacy.membership_roc(score[:500], score[500:])


def off_centre(images):
    """How far the ink's centre of mass is from the middle, in pixels; blind."""
    place = torch.arange(28.0) - 13.5
    ink = images.sum(dim=(1, 2, 3))
    down = (images.sum(dim=3)[:, 0] * place).sum(dim=1) / ink
    right = (images.sum(dim=2)[:, 0] * place).sum(dim=1) / ink
    return (down**2 + right**2).sqrt()


blind = privacy.membership_roc(-off_centre(set_one.images), -off_centre(moved))
fair = privacy.membership_inference(target, set_two.images, set_two.labels)
control = privacy.membership_roc(score[:500], fair)
claim("The attack's AUC is over 0.56, and the model saw neither", vacuous.auc > 0.56)
claim("Blind, it is over 0.9", blind.auc > 0.9)
claim(
    "With both sets as they are it is over 0.06 lower", vacuous.auc - control.auc > 0.06
)

# %% [markdown]
# So draw members and non-members by lot from one pile, as this page does; and if you cannot, try a blind attack first. If it succeeds, nothing can be said about the model.
#
# **More precision than there are records.** Some five hundred non-members cannot show a rate of one in ten thousand. The library refuses:

# %% tags=["nbval-ignore-output"]
try:
    roc.tpr_at(0.0001)
except ValueError as error:
    print(error)

# %% [markdown]
# **The average.** An accuracy of 60 % may be a small advantage everywhere, or all about a few people. AUC and accuracy cannot tell these two apart; the curve at low rates can.
#
# **The threshold of hindsight.** Our $\mathrm{TPR}$ at 1 % takes the threshold that fits the non-members we have. A real attacker must fix it beforehand, on shadow models, and will have a somewhat other $\mathrm{FPR}$. `tpr_at` gives its interval.
#
# **Ties.** Many records with the same score, as behind a model that shows the first answer only, make a curve with few points. Between two of them lies a lottery, not an attack. `tpr_at` gives no rate that no threshold reached.
#
# **A weak attacker.** A defence that was tested with the threshold attack alone has been tested against somebody who did not try. Use the strongest attack that you can pay for, and shadow models with the same defence.
#
# As code, the questions to ask before a number is believed:


# %%
def believable(curve, blind, *, fpr=0.01):
    """What is wrong with an evaluation of an attack; nothing if all is well."""
    wrong = []
    if curve.non_members * fpr < 1:
        wrong.append("too few non-members for this rate")
    elif curve.tpr_at(fpr).low <= curve.tpr_at(fpr).false_positive_high:
        wrong.append("the intervals of both rates overlap: it may be a coin")
    if blind.auc_low > 0.5:
        wrong.append("the two sets differ without any model")
    return wrong


ours = privacy.membership_roc(-off_centre(images[member]), -off_centre(images[~member]))
claim(
    "Likelihood ratio: nothing wrong",
    believable(curves["likelihood ratio"], ours) == [],
)
claim("Threshold: it may be a coin", len(believable(curves["threshold"], ours)) == 1)
claim("Two kinds of data: found", "without any model" in believable(vacuous, blind)[-1])

# %% [markdown]
# ## What membership gives away
#
# That somebody's record was used is often harmless, and sometimes the secret itself. Whoever is in the data of a clinic for one illness has it. In 2008 it was shown that the published frequencies of gene variants in a study let one tell whether a given person's DNA was in it {cite}`homer2008resolving`; such tables, with no person in them, had been taken for harmless.
#
# The law asks more carefully than "does the attack work?" The European Data Protection Board holds that a model trained on personal data is not anonymous by default: the likelihood of getting such data out of it, also by queries, must be *insignificant*, with all means that are reasonably likely to be used, and this is judged case by case {cite}`edpb2024opinion`. So
#
# - **a failed attack does not show that a model is anonymous.** It shows what one attacker with sixteen shadow models could not do.
# - **a successful one does not identify anybody by itself.** The attacker must hold the record already. What is learnt is one more fact about a person who is known: that they belong to the set.
# - **a high score is no proof in court** that a company trained on your text or picture. A proof needs a false-positive rate, and that means models which are known *not* to have seen the work. For a model that nobody can train again there are none {cite}`zhang2025cannot`. Canaries, random records planted beforehand, give such a proof; an [audit](differential_privacy.ipynb) rests on the same idea.
# - **the rare are at risk.** The average over all hides them, and they are often those whom the law protects most.
#
# This is a description, not legal advice; outside the European Union other rules apply.
#
# ## Practice
#
# **Exercise 1** (15 minutes). *One record more.* Take attack 2 at its word: train $f$ on $D$ and $f'$ on $D$ and $x$ from the same first weights, once for the most exposed digit and once for the least exposed one. How far does $\psi(x)$ move?
#
# <details><summary>Hint 1: the data</summary>
#
# `member` with entry `x` switched off is $D$; switched on, it is $D$ and $x$.
#
# </details>
#
# <details><summary>Hint 2: the same first weights</summary>
#
# Call `torch.manual_seed(seed())` before `network()`, and give `fit` a generator with a seed of its own.
#
# </details>

# %% tags=["hide-cell"]
# Solution: from far below 0 to far above it for the one, next to nothing for the other.


def psi_after(x, included):
    """ψ of digit x under a network that saw the target's data, with x or without."""
    data = member.clone()
    data[x] = included
    torch.manual_seed(seed())
    model, own = network(), torch.Generator().manual_seed(seed())
    fit(model, TensorDataset(images[data], labels[data]), generator=own, **how)
    logits = predict(model, images[x : x + 1])
    return privacy.scaled_confidence(logits, labels[x : x + 1]).item()


most, least = int(ranks[0]), int(exposed.abs().argmin())
claim(
    "The most exposed moves by over 5",
    psi_after(most, True) - psi_after(most, False) > 5,
)
still = psi_after(least, True) - psi_after(least, False)
claim("the one of exposure nearest 0 by less than 4", abs(still) < 4)

# %% [markdown]
# **Exercise 2** (15 minutes). *What does a hit mean?* The likelihood ratio at 1 % false positives says "member". How likely is it to be one, if half of the records in question are members? And if it is one in a thousand?
#
# <details><summary>Hint 1: count</summary>
#
# Of 1,000 records, how many members are found, and how many others are accused?
#
# </details>
#
# <details><summary>Hint 2: Bayes</summary>
#
# With a share $P$ of members: $P \cdot \mathrm{TPR} / \big(P \cdot \mathrm{TPR} + (1 - P) \cdot \mathrm{FPR}\big)$.
#
# </details>

# %% tags=["hide-cell"]
# Solution: over 9 in 10 with even odds, under 1 in 20 where members are rare. The same
# attack, the same score: what it proves depends on what was likely before.
found_rate = mean["likelihood ratio"]


def precision(share, tpr, fpr=0.01):
    return share * tpr / (share * tpr + (1 - share) * fpr)


claim("Half are members: over 9 in 10 hits are right", precision(0.5, found_rate) > 0.9)
claim("One in a thousand: under 1 in 20", precision(0.001, found_rate) < 0.05)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? The loss threshold has an AUC of 0.63 and finds 1 % of the members at 1 % false positives. How can both be true?
# - One of the two was computed wrongly :: Both are right; they look at different parts of one curve.
# + It recognises non-members by their low confidence, and members by nothing :: High confidence is what easy digits have, seen or not.
# - There were too few members :: With more of them the intervals shrink around the same two numbers.
# ? Why does the likelihood ratio have a mean for each record, and one variance for all?
# - Records differ in difficulty, but their variances are equal :: They are not equal. They are only hard to know.
# + Eight models give a usable mean, and a poor variance :: With hundreds of models, each record can have its own variance.
# - The variance cancels :: It cancels only where both sides have the same one.
# ? A provider lets its model show the first answer only. What follows for membership?
# - It cannot be inferred any more :: Asking about changed copies of the record brings a confidence back.
# + The cheapest attacks lose their score, and the model remembers as much as before :: The right or wrong answer alone still has the gap for an advantage.
# - The ROC curve is now exact :: It has three points, and lines between them that no threshold reaches.
# ? An attack on a chatbot has an AUC of 0.9. Members are articles from before its training, non-members those of last month. What is shown?
# - That the chatbot remembers its articles :: Perhaps it does, but this number does not say so.
# + Perhaps only that old and new articles differ :: Try a blind attack: names and dates may be enough.
# - That the false-positive rate is low :: Nobody has measured it, on articles of the same kind that were not seen.
# ? All attacks that you tried fail on a model. May you call it anonymous?
# - Yes, if they include the likelihood ratio :: A stronger attack, or more shadow models, may succeed.
# + No; you may say who failed, with what :: A promise about all attacks needs differential privacy, and the law judges the case.
# - Yes, if the model does not overfit :: Little overfitting on average can hide a few who are fully exposed.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Membership inference is the smallest leak that one can ask about: whoever can do more, such as reconstructing a record, can do this. So it is the natural test of a model's privacy, and of every $\varepsilon$ that is claimed. The likelihood ratio finds a sizeable share of the members at few false alarms, with networks that train in seconds.
#
# **Limitations.** These were small networks on few digits, which they learnt by heart; large models that see each record once are harder to attack {cite}`duan2024membership`. Our attacker knew the architecture, the number of epochs, and had the record in question together with data of just the same kind; each of these helps. Shadow models for a large model cost as much as the large model, each. The intervals take records for independent, and records that were learnt by one model are not quite.
#
# **Software.** [Privacy Meter](https://github.com/privacytrustlab/ml_privacy_meter), [LeakPro](https://github.com/aidotse/LeakPro), the [Adversarial Robustness Toolbox](https://github.com/Trusted-AI/adversarial-robustness-toolbox) and [TensorFlow Privacy](https://github.com/tensorflow/privacy). In this library: `privacy.membership_inference`, `privacy.scaled_confidence`, `privacy.compare_two_models`, `privacy.train_shadow_models`, `privacy.ShadowModels`, `privacy.shadow_attack`,
# `privacy.likelihood_ratio_attack`, `privacy.likelihood_ratios`, `privacy.membership_roc`.
#
# ## What to take away
#
# Don't ask whether a model is sure, but whether it is surer than it would be without the record. Report true positives at few false ones, with intervals, for members and non-members that were drawn by lot. Look at the records with the highest scores, for the average protects nobody. And say of a failed attack only who failed. Do it yourself in [homework H6](../../exercises/h6_privacy/h6_privacy.ipynb).
# Next: [reading attributes, faces and whole models from answers](inversion_and_stealing.ipynb).
