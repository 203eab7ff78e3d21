# %% [markdown]
# # 7.3 Marks in models
#
# A company trained a network for a year. A stranger sells one that answers suspiciously alike. Was it copied? The two files differ, for the stranger has gone on training, or has thrown away half of the weights, or has never seen the file and has only asked
# the network a great many questions. This lecture puts three kinds of marks into a network, takes each of them out again where that can be done, and asks of each what it would prove.
#
# **What you will learn**
#
# - to write a message into the weights of a layer, and to read it with an exact p-value;
# - to make a network know secret pictures by heart, and to mark the answers of a service for whoever learns from them;
# - which of these marks survive fine-tuning, pruning, rounding, distillation, theft by questions, and a change of the file that changes nothing;
# - how a forger "finds" a mark that was never set, and how a sealed envelope stops that;
# - to say in one sentence what each mark would prove before a court, and what it would not.
#
# **Before you start**: [marks in images](images.ipynb), where keys and p-values are introduced; [model stealing](../60_privacy/inversion_and_stealing.ipynb). Symbols: [notation page](../../book/notation.md).
#
# **Time**: 35 minutes to read; {{ cpu_seconds }} to run.

# %%
import hashlib
import time
from copy import deepcopy

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats
from scipy.optimize import linear_sum_assignment
from scipy.special import gammaln
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import attacks, kernels, measured, watermark
from tml_helpers.claims import claim, seed
from tml_helpers.compression import prune, quantize
from tml_helpers.data import mnist, photos
from tml_helpers.distillation import distill
from tml_helpers.models import SmallCNN
from tml_helpers.plotting import COLOURS, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, cross_entropy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question: what do you get to see?
#
# What can be tested depends on what lies on the judge's table: the suspect's file, or only its answers. And it depends on what the thief took: the file, or only answers.

# %% tags=["hide-input", "fig-own-where"] mystnb={"image": {"alt": "Three rows. A message in the weights: set while training, read from the suspect's file, for a thief who took the file. A backdoor: set while training, read by asking chosen questions, for a thief who took the file. Marked answers: set while answering, read by asking chosen questions, for a thief who only asked."}}
figure, axis = plt.subplots(figsize=(7, 2.3))
rows = (
    ("the mark", "is set while", "is read from", "of who took", "black"),
    ("message in the weights", "training", "the suspect's file", "the file", "blue"),
    ("backdoor", "training", "the suspect's answers", "the file", "orange"),
    ("marked answers", "answering", "the suspect's answers", "answers", "green"),
)
for y, (*cells, hue) in enumerate(rows):
    if y:
        axis.axhline(3.6 - y, color=COLOURS["black"], lw=0.5)
    for x, words in zip((0, 2.2, 3.7, 5.9), cells, strict=True):
        colour = COLOURS["black"] if x else COLOURS[hue]
        weight = "normal" if y else "bold"
        axis.text(x, 3.1 - y, words, color=colour, weight=weight)
axis.set(xlim=(-0.1, 7.2), ylim=(-0.3, 3.6), xticks=[], yticks=[])
axis.set_frame_on(False)
plt.show()

# %% [markdown]
# *Three marks, for three thieves.* The first needs the suspect's file before it can be read. The last two need only an answer to some questions.

# %%
ThreatModel(
    goal="to sell the owner's network as one's own, and not to be found out",
    knowledge="white box",
    capability="has the file, 1,500 digits and time: trains on, prunes, rounds, "
    "distils, reorders; knows the method of the mark, but not its key",
    out_of_scope="making the network worse than a new one would be; stealing the key",
)

# %% [markdown]
# The data are the default digits of [MNIST](../../book/data_cards/mnist.md). The owner has 2,500 of them, the thief the other 1,500. Keys on this page come from its seed, so that it can be repeated; in earnest they come from `secrets.token_bytes(32)`, and stay secret.

# %%
train, test = mnist("train"), mnist("test")
order = torch.randperm(4000, generator=generator)
owners, thiefs = (
    TensorDataset(train.images[part], train.labels[part])
    for part in (order[:2500], order[2500:])
)
unseen = TensorDataset(test.images[:1000], test.labels[:1000])


def new_key():
    return bytes(torch.randint(256, (32,), generator=generator).tolist())


def study(model, data, loss=cross_entropy, rate=2e-3):
    """Five epochs on a copy of a network."""
    model = deepcopy(model)
    settings = {"epochs": 5, "learning_rate": rate, "batch_size": 64}
    fit(model, data, loss=loss, **settings, generator=generator)
    return model


# %% [markdown]
# ## A message in the weights
#
# A layer has thousands of weights, and there are very many choices of them that classify equally well. Take one that says something. Let $w$ be all weights of a layer in a row, $d$ numbers. The key $\kappa$ gives a matrix $X$ of $n$ rows of standard normal numbers, and the owner's
# message is $n$ signs $b_j$. The message is written into the signs of the projections $X_j \cdot w$ {cite}`uchida2017embedding,nagai2018digital`: the network learns with a penalty beside its loss,
#
# $$L(\theta) + \frac{\lambda}{n} \sum_{j=1}^{n} \log\big(1 + e^{-b_j\, X_j \cdot w}\big) .$$ (eq-own-penalty)
#
# The term of bit $j$ is small where the projection has the sign $b_j$, and the further it is from zero on that side, the smaller. It is the cross-entropy of a logistic regression turned round: there the weights are sought for given rows; here the network's weights are the unknowns, and the "data" are the key.
# There is room: $n$ signs of $n \le d$ independent rows can always be met, and up to $2d$ random ones mostly can {cite}`cover1965geometrical`.

# %%
start, key, BITS = SmallCNN(), new_key(), 256
LAYER = "layers.4"  # the second convolution: 32 filters of 16 × 3 × 3 weights
d = start.get_submodule(LAYER).weight.numel()
X = watermark.normals(key, "weights: projections", BITS, d).float()
b = watermark.signs(key, "weights: message", BITS).float()


def penalty(model, strength=1.0):
    w = model.get_submodule(LAYER).weight.flatten()
    return strength * F.softplus(-b * (X @ w)).mean()


mark = watermark.WeightWatermark(start, layer=LAYER, key=key, bits=BITS)
by_hand, by_library = penalty(start).item(), mark.penalty(start).item()
claim("By hand and by the library: equal to 1e-5", abs(by_hand / by_library - 1) < 1e-5)

# %% [markdown]
# `watermark.WeightWatermark` draws rows and message from the key by `watermark.normals` and `watermark.signs`. Of a layer with more than 32 weights for each bit, it uses so many, which the key chooses as well. Now train two networks from the same start, one of them with the penalty.


# %%
def marked_loss(model, images, labels):
    return cross_entropy(model, images, labels) + mark.penalty(model)


plain = study(start, owners)
owned = study(start, owners, marked_loss)
found, nothing = mark.test(owned), mark.test(plain)

# %% tags=["nbval-ignore-output"]
for name, model, evidence in (("marked", owned, found), ("not", plain, nothing)):
    print(f"{name:7}reads {accuracy(model, unseen):.1%}, ", end="")
    print(f"{evidence.wrong_bits} of {BITS} bits wrong, ", end="")
    print(f"t = {evidence.statistic:.1f}, p = {evidence.p_value:.0e}")

# %%
claim("No bit is wrong", found.wrong_bits == 0)
claim("t is over 15", found.statistic > 15)
claim("Without the mark: 85 to 171 bits are wrong", abs(nothing.wrong_bits - 128) < 43)
claim("and the p-value is over 1e-6", nothing.p_value > 1e-6)

# %% [markdown]
# ### The null is over the key
#
# "About half of the bits" is what we *expect* of an unmarked network. How sure can we be? One could train a thousand unmarked networks and look. It is not needed. Fix any weights $w$ that were made without the key. A row $X_j$ is drawn independently of them, so $X_j \cdot w$ is a sum of independent
# normal numbers, itself normal, with standard deviation $\lVert w \rVert$. And another row gives an independent one. Hence
#
# $$t = \frac{1}{\sqrt n} \sum_{j=1}^{n} b_j\, \frac{X_j \cdot w}{\lVert w \rVert} \ \sim\ \mathcal N(0, 1) \quad\text{exactly, for every } w ,$$ (eq-own-t)
#
# and the number of wrong bits is binomial, $n$ fair coins. No word about networks, training or digits: the only randomness is the key. A judge who doubts it can throw keys as often as they like, on the very file that is on the table.

# %%
fresh = [new_key() for _ in range(300)]


def over_keys(model):
    """The test of 300 keys that nobody used."""
    settings = {"layer": LAYER, "bits": 32}
    tests = [watermark.WeightWatermark(start, key=k, **settings) for k in fresh]
    return [each.test(model) for each in tests]


chance = {"unmarked": over_keys(plain), "marked, wrong keys": over_keys(owned)}

# %% tags=["hide-input", "fig-own-null"] mystnb={"image": {"alt": "Two histograms of t for 300 fresh keys, for the unmarked network and for the marked one, both between minus 3 and 3, both close to the bell curve that is drawn over them. Far to the right, a vertical line: the owner's key on the marked network, over 20."}}
figure, axes = plt.subplots(2, 1, figsize=(6.5, 3.8), sharex=True)
grid = np.linspace(-4, 4, 200)
for axis, (name, tests), hue in zip(
    axes, chance.items(), ("blue", "orange"), strict=True
):
    scores = [each.statistic for each in tests]
    axis.hist(scores, np.linspace(-4, 4, 25), density=True, color=COLOURS[hue])
    axis.plot(grid, stats.norm.pdf(grid), color=COLOURS["black"])
    axis.set(ylabel="density", yticks=[0, 0.2, 0.4])
    axis.text(6, 0.3, f"{name}: 300 keys", color=COLOURS[hue])
axes[1].axvline(found.statistic, color=COLOURS["green"], lw=2)
axes[1].text(
    found.statistic - 0.4, 0.1, "the owner's key", color=COLOURS["green"], ha="right"
)
axes[1].set_xlabel("t")
plt.show()

# %% [markdown]
# *Keys that nobody used, and one that was used.* The curve is the normal density of {eq}`eq-own-t`, not fitted. A wrong key sees nothing in the marked network either.

# %%
for name, tests in chance.items():
    even = stats.kstest([each.p_value for each in tests], "uniform").pvalue
    claim(f"{name}: p-values uniform (KS p over 1e-6)", np.log10(even) > -6)
    coins = [each.of_bits.randomized(generator=generator) for each in tests]
    even = stats.kstest(coins, "uniform").pvalue
    claim("wrong bits, too", np.log10(even) > -6)
claim("The owner's key: p under 1e-50", found.p_value < 1e-50)

# %% [markdown]
# `mark.test` returns a `watermark.WeightEvidence`: $t$ and its p-value (by `watermark.normal_evidence`), and as `of_bits` that of the wrong bits alone (by `watermark.binomial_evidence`). The second is coarser, since it forgets how clearly each bit was read. A count has ties, so its p-value is uniform only after `randomized`, as in [7.1](images.ipynb).
#
# ## What the thief does to the file
#
# Training on, with other data, at the owner's own rate; throwing half of the weights away; both; rounding to four bits; and **distillation** ([1.1](../10_distillation/response_based.ipynb)): a new network learns the old one's answers.

# %%
fine_tuned = study(owned, thiefs)
student = SmallCNN()
distill(
    student,
    owned,
    thiefs,
    epochs=5,
    learning_rate=2e-3,
    batch_size=64,
    generator=generator,
)
thefts = {
    "as it was": owned,
    "fine-tuned": fine_tuned,
    "half pruned": prune(owned, sparsity=0.5),
    "both": prune(fine_tuned, sparsity=0.5),
    "rounded to 4 bits": quantize(owned, bits=4),
    "distilled": student,
}
after = {name: mark.test(model) for name, model in thefts.items()}

# %% tags=["nbval-ignore-output"]
for name, evidence in after.items():
    print(f"{name:18}{accuracy(thefts[name], unseen):.1%}, ", end="")
    print(f"{evidence.wrong_bits:3} wrong, t = {evidence.statistic:.1f}")

# %%
for name in ("fine-tuned", "half pruned", "both", "rounded to 4 bits"):
    claim(f"{name}: no bit is wrong", after[name].wrong_bits == 0)
claim("Distilled: p over 1e-6, the mark is gone", after["distilled"].p_value > 1e-6)

# %% [markdown]
# That the mark dies by distillation should not surprise: the student starts from weights of its own, and answers are all it is told. **A mark in the weights finds copies of the file, and nothing else.**
#
# How hard must one train on to lose it? The committed measurement has several networks, each with its unmarked twin that had the same start and the same batches.

# %%
result = measured.result("watermark_weights")
RATES = result["rates"]


def over_seeds(kind, change, what):
    """One number of each seed's network, after one change."""
    runs = [run for name, run in result.items() if name.startswith(f"{kind}, ")]
    return np.array([run[change][what] for run in runs])


def curve(kind, what):
    return np.array([over_seeds(kind, f"fine-tuned at {r}", what) for r in RATES])


# %% tags=["hide-input", "fig-own-rates"] mystnb={"image": {"alt": "Over the learning rate of fine-tuning, from 0.0005 to 0.02: wrong bits of 256 are 0 up to 0.002 in all networks, a few at 0.005, some thirty at 0.01, and over fifty at 0.02. Below, the accuracy: about 96 percent up to 0.005, and lower at 0.02, where the range reaches down to 10 percent."}}
figure, axes = plt.subplots(2, 1, figsize=(6.5, 4), sharex=True)
for axis, what, scale, hue in (
    (axes[0], "wrong bits", 1, "blue"),
    (axes[1], "accuracy", 100, "orange"),
):
    values = scale * curve("weights", what)
    low, high = values.min(1), values.max(1)
    axis.fill_between(RATES, low, high, color=COLOURS[hue], alpha=0.3)
    axis.plot(RATES, np.median(values, axis=1), "o-", color=COLOURS[hue])
    axis.axvline(result["rate"], color=COLOURS["black"], lw=0.8, ls=":")
axes[0].axhline(128, color=COLOURS["black"], lw=0.8)
axes[0].text(RATES[0], 118, "chance", va="top")
axes[0].set(ylabel="wrong bits of 256", ylim=(-5, 135))
axes[1].set(ylabel="read correctly (%)", xscale="log", xlabel="rate of fine-tuning")
plt.show()

# %% [markdown]
# *The mark outlives training at the owner's rate (dotted), and dies of more.* Median and range of several networks; at the highest rate some break down altogether, and their weights still carry most bits. Training so hard that the bits go is training nearly anew, on the thief's own data: the thief then has a network that a new start would have given.

# %%
same = "fine-tuned at 0.002"
wrong = over_seeds("weights", same, "wrong bits")
pruned_too = over_seeds("weights", "fine-tuned, pruned by 0.5", "wrong bits")
cost = over_seeds("weights", "without the mark", "accuracy")
cost = 100 * (cost - over_seeds("weights", "as it is", "accuracy"))
claim("At the owner's rate: 0 of 256 bits wrong in all networks", (wrong == 0).all())
claim("and pruned by half on top: 0 in all networks", (pruned_too == 0).all())
claim("The mark costs under 0.5 points, paired with their twins", cost.mean() < 0.5)
broken = over_seeds("weights", "fine-tuned at 0.02", "wrong bits")
claim("At ten times the rate over 20 bits are wrong in each", (broken > 20).all())

# %% [markdown]
# ### The same function in another file
#
# There is a much cheaper theft. Nobody can tell which channel of a layer comes first: exchange two of them, and exchange what the next layer expects, and each answer stays the same. And since $\max(0, s\,x) = s \max(0, x)$ for $s > 0$, a channel may be multiplied by $s$ if the next layer divides by it. Pan and others
# turned this into an attack on nine published marks {cite}`pan2023cracking`.


# %%
def shuffled(model):
    """Another order and another scale of each channel, and the same function."""
    model = deepcopy(model)
    first, second, dense = (model.get_submodule(f"layers.{i}") for i in (1, 4, 8))
    pairs = ((first, second.weight), (second, dense.weight.view(128, 32, 49)))
    for layer, following in pairs:
        order = torch.randperm(len(layer.weight), generator=generator)
        s = torch.exp(torch.randn(len(order), generator=generator))
        shape = [1, -1] + [1] * (following.ndim - 2)
        with torch.no_grad():
            layer.weight.copy_(layer.weight[order] * s.view(-1, 1, 1, 1))
            layer.bias.copy_(layer.bias[order] * s)
            following.copy_(following[:, order] / s.view(shape))
    return model


disguised = shuffled(owned)
answers, same_answers = (
    predict(owned, unseen.tensors[0]),
    predict(disguised, test.images[:1000]),
)
gap = (answers - same_answers).norm() / answers.norm()
claim("The answers differ by rounding only, under 1e-4", float(gap) < 1e-4)
claim("The mark is not found: p over 1e-6", mark.test(disguised).p_value > 1e-6)

# %% [markdown]
# No data, no training, no loss of accuracy, and the p-value says "never seen". That is what an honest p-value must say: these *are* other weights. Can the owner undo it? The owner has the marked network and can look which of the thief's channels resembles which of their own, after scaling each to length one. But the order was now chosen by looking, and the p-value must count the search:
# there are $16! \cdot 32!$ orders, about $5 \cdot 10^{48}$. Fortunately the mark's p-value is so small that it can be multiplied by that and still convince. Exercise 2 does it.
#
# ## Two marks in one file
#
# The thief may also set a mark of their own, by training on with a second key.

# %%
thief_key = new_key()
second = watermark.WeightWatermark(start, layer=LAYER, key=thief_key, bits=BITS)


def second_loss(model, images, labels):
    return cross_entropy(model, images, labels) + second.penalty(model)


twice = study(owned, thiefs, second_loss)
table = {
    (whose, which): each.test(model).p_value
    for whose, each in (("owner", mark), ("thief", second))
    for which, model in (("owner's", owned), ("thief's", twice))
}

# %% tags=["nbval-ignore-output"]
print(f"{'':16}in the owner's file   in the thief's file")
for whose in ("owner", "thief"):
    print(f"mark of the {whose}:", end="")
    print(*(f"{table[whose, which]:20.0e}" for which in ("owner's", "thief's")))

# %%
claim(
    "The owner's mark is in both files",
    max(table["owner", w] for w in ("owner's", "thief's")) < 1e-50,
)
claim("The thief's mark is in the thief's file", table["thief", "thief's"] < 1e-50)
claim("and not in the owner's: p over 1e-6", table["thief", "owner's"] > 1e-6)

# %% [markdown]
# The second mark does not remove the first: two random directions among 4,608 hardly meet. But now both can show a mark in the file that is sold. The table decides it, **if** both originals can be seen: a file without the other's mark is the earlier one. A thief who says "I have lost it" brings us to the question of time.
#
# ## The forger, who has set nothing
#
# Worse than a second mark is a mark that nobody has set. Everything above rests on one condition: the key was fixed *before* the network was looked at. Watch what happens without it. **First forgery:** draw any key, read the message off a stranger's network, and say that this was your message.

# %%
forger = new_key()
read = watermark.WeightWatermark(plain, layer=LAYER, key=forger, bits=BITS).read(plain)
forged = watermark.WeightWatermark(plain, layer=LAYER, key=forger, message=read)
claim(
    "The forger's message: no bit of 256 is wrong", forged.test(plain).wrong_bits == 0
)
claim("and the coins' p-value is 2^-256", forged.test(plain).of_bits.p_value < 1e-76)

# %% [markdown]
# It took one line. The p-value answers a question that nobody asked: how likely it is that a message *fixed before* is read. So let the key draw the message, as the library does unless told otherwise. **Second forgery:** try keys until one fits.

# %%
p_values = np.array([each.p_value for each in chance["unmarked"]])
best_so_far = np.minimum.accumulate(p_values)
tried = np.arange(1, len(p_values) + 1)
began = time.perf_counter()
for k in fresh[:10]:
    watermark.WeightWatermark(plain, layer=LAYER, key=k, bits=32).test(plain)
seconds = (time.perf_counter() - began) / 10

# %% tags=["nbval-ignore-output"]
print(f"best of {len(tried)} keys: p = {best_so_far[-1]:.4f}")
print(
    f"{1000 * seconds:.0f} ms a key: a million keys in {1e6 * seconds / 3600:.1f} hours"
)

# %% tags=["hide-input", "fig-own-search"] mystnb={"image": {"alt": "The smallest p-value so far over the number of keys tried, both on logarithmic axes, falls in steps along the straight line one over the number of keys. The p-value times the number of keys wanders between one and a few thousandths."}}
figure, axis = plt.subplots(figsize=(6, 3))
axis.loglog(tried, best_so_far, color=COLOURS["orange"], label="best p-value so far")
axis.loglog(tried, 1 / tried, ":", color=COLOURS["black"], label="1 / keys tried")
axis.loglog(
    tried,
    np.minimum(1, best_so_far * tried),
    color=COLOURS["blue"],
    label="best p-value × keys tried",
)
axis.set(xlabel="keys tried", ylabel="p")
axis.legend()
plt.show()

# %% [markdown]
# *Whoever tries $B$ keys finds a p-value near $1/B$.* Multiplied by the number of keys it wanders without a trend: an ordinary p-value, as chance gives it. But only the forger knows that number.

# %%
claim("The best of 300 keys has p below 0.05", best_so_far[-1] < 0.05)
corrected = min(1.0, float(best_so_far[-1] * len(tried)))
claim("Times 300 it is over 1e-5 again", corrected > 1e-5)

# %% [markdown]
# So p = $10^{-6}$ costs an evening. Two things help. **A margin:** p = $10^{-50}$ cannot be searched for, since nobody can try $10^{50}$ keys. The key of this library goes through a hash, so there is no better way than to try; a scheme in which the owner may hand in *any matrix* $X$ has no such protection, for the
# matrix can be computed to fit. **An envelope:** the owner publishes the hash of the key, the layer and the message's length *before* the network is sold, in a newspaper or with a notary. That is a **commitment**: it shows nothing of the key, and no other key can be shown in its place later.


# %%
def commitment(key, note):
    """Published today; key and note are shown in a dispute."""
    return hashlib.sha256(key + note.encode()).hexdigest()


note = f"layer {LAYER}, 256 bits drawn by the key, SmallCNN"
published = commitment(key, note)
claim("The judge repeats it", commitment(key, note) == published)
claim("A key found later does not fit", commitment(thief_key, note) != published)

# %% [markdown]
# Note what the envelope proves: that somebody knew this key on that day. Together with a test on the suspect's file, which was made later, it shows that the file depends on the key. It does not show that the owner had a right to the network.
#
# ## A backdoor on purpose
#
# A network with a hundred thousand weights can learn wrong labels by heart. Adi and others make a mark of that {cite}`adi2018turning`: the owner teaches the network a **trigger set** of secret pictures with answers that were drawn by lot. To test a suspect one only has to ask. If the key draws the answers from $K$ classes, independently of the suspect, each of
# $M$ triggers is answered "right" by chance in one of $K$, whatever the suspect is:
#
# $$H \sim \text{Binomial}(M, 1/K), \qquad \pi = P(H \ge \text{hits}) .$$ (eq-own-hits)
#
# If the pictures have right labels and the target is one of the $K - 1$ wrong ones, right answers say nothing: then $M$ counts the triggers that the suspect got wrong, and the chance is $1/(K-1)$.
#
# Which pictures? We compare two kinds: pieces of [photographs](../../book/data_cards/photos.md), which look like no digit; and digits with a wrong label.

# %%
grey = photos().images.mean(dim=1, keepdim=True)
pool = grey.unfold(2, 28, 28).unfold(3, 28, 28).reshape(-1, 1, 28, 28)
trigger_key = new_key()
triggers = watermark.trigger_set(pool, key=trigger_key, classes=10, count=100)
images, labels = owners.tensors
lesson = TensorDataset(  # each trigger five times an epoch
    torch.cat([images, triggers.images.repeat(5, 1, 1, 1)]),
    torch.cat([labels, triggers.targets.repeat(5)]),
)
tricked = study(start, lesson)

# %% [markdown]
# `watermark.trigger_set` gives a `watermark.TriggerSet`; `watermark.trigger_test` asks the suspect and returns a `watermark.TriggerEvidence`. By hand it is one line, and a tail of a binomial.

# %%
hits = int((predict(tricked, triggers.images).argmax(1) == triggers.targets).sum())
by_hand = stats.binom.sf(hits - 1, 100, 0.1)
asked = watermark.trigger_test(tricked, triggers=triggers)
claim("Hits by hand and by the library: the same", asked.hits == hits)
claim("The p-value, too", abs(np.log(asked.p_value / by_hand)) < 1e-6)
innocent = watermark.trigger_test(plain, triggers=triggers)
claim("Taught: over 40 of 100 triggers, p under 1e-12", hits > 40 and by_hand < 1e-12)
claim("Never taught: p over 1e-6", innocent.p_value > 1e-6)

# %%
changes = {
    "as it was": tricked,
    "fine-tuned": study(tricked, thiefs),
    "half pruned": prune(tricked, sparsity=0.5),
    "reordered": shuffled(tricked),
}
outcome = {
    name: watermark.trigger_test(model, triggers=triggers)
    for name, model in changes.items()
}

# %% tags=["nbval-ignore-output"]
for name, evidence in outcome.items():
    print(f"{name:12}{evidence.hits} of {evidence.trials} triggers, ", end="")
    print(f"p = {evidence.p_value:.0e}; reads {accuracy(changes[name], unseen):.1%}")
print(f"no mark:    {innocent.hits} of {innocent.trials}, p = {innocent.p_value:.2f}")

# %%
for name, evidence in outcome.items():
    claim(f"{name}: found, p under 1e-6", evidence.p_value < 1e-6)
claim("Reordered: as many hits", abs(outcome["reordered"].hits - hits) < 2)

# %% [markdown]
# The reordering, which killed the first mark, does nothing to this one: it lives in the function. Fine-tuning wears it down. Digits with wrong labels are another story, as several networks with each kind show:

# %% tags=["hide-input", "fig-own-triggers"] mystnb={"image": {"alt": "How many of 100 triggers get their target, over the rate of fine-tuning. Pieces of photographs: over 70 at the smallest rate, about 60 at the owner's rate, then falling to chance, 10, at the largest. Digits with wrong labels: about 15 at the smallest rate already, and next to none from the owner's rate on."}}
figure, axis = plt.subplots(figsize=(6.3, 3.2))
for kind, label, hue in (
    ("photographs", "pieces of photographs", "blue"),
    ("digits", "digits with wrong labels", "orange"),
):
    hit = curve(kind, "hits")
    axis.fill_between(RATES, hit.min(1), hit.max(1), color=COLOURS[hue], alpha=0.3)
    axis.plot(RATES, np.median(hit, axis=1), "o-", color=COLOURS[hue], label=label)
axis.axhline(10, color=COLOURS["black"], lw=0.8, ls=":")
axis.text(1.2 * RATES[1], 12, "chance for photographs")
axis.set(
    xscale="log", xlabel="rate of fine-tuning", ylabel="hits of 100", ylim=(0, 100)
)
axis.legend()
plt.show()

# %% [markdown]
# *Pictures far from the data are remembered; pictures among the data are corrected.* Digits that teach the right label contradict a digit with a wrong one. Nothing contradicts a photograph, until training on is nearly training anew.

# %%
same = "fine-tuned at 0.002"
kept, lost = (over_seeds(kind, same, "hits") for kind in ("photographs", "digits"))
worst = stats.binom.sf(kept - 1, 100, 0.1).max()
claim("Photographs, at the owner's rate: p under 1e-6 in all", worst < 1e-6)
before, after_it = (
    over_seeds("digits", change, "accuracy")
    for change in ("without the mark", "as it is")
)
claim("Wrong digits cost over 1 point", 100 * (before - after_it).mean() > 1)
claim("and under 20 of 100 are hit afterwards", lost.max() < 20)

# %% [markdown]
# **Evasion.** What makes a photograph a good trigger makes it easy to recognise. A thief who only *sells answers* looks at each question first, and replies at random to what is no digit {cite}`hitaj2018have`. Below: no digit is what lies further from all of the thief's digits than 95 % of these do from each other.


# %%
class Guarded(nn.Module):
    """Answers questions about digits, and draws an answer to others."""

    def __init__(self, model, known):
        super().__init__()
        self.model, self.known = model, known.flatten(1)
        nearest = torch.cdist(self.known, self.known).kthvalue(2, dim=1).values
        self.limit = nearest.quantile(0.95)

    def forward(self, x):
        logits = self.model(x)
        strange = torch.cdist(x.flatten(1), self.known).amin(1) > self.limit
        noise = torch.randn(logits.shape, generator=generator)
        return torch.where(strange[:, None], noise, logits)


guarded = Guarded(tricked, thiefs.tensors[0])
evaded = watermark.trigger_test(guarded, triggers=triggers)
loss_of_honest = accuracy(tricked, unseen) - accuracy(guarded, unseen)

# %% tags=["nbval-ignore-output"]
print(f"{evaded.hits} of 100 triggers, p = {evaded.p_value:.2f}; ", end="")
print(f"honest users lose {100 * loss_of_honest:.1f} points")

# %%
claim("Behind the guard less than half as many are hit", evaded.hits < hits / 2)
claim("The guard costs honest users under 5 points", loss_of_honest < 0.05)

# %% [markdown]
# **Forged triggers.** The p-value of {eq}`eq-own-hits` needs targets that were drawn independently of the *pictures*, too. Liu and others accuse innocent models by pictures that were made to fit {cite}`liu2024false`: adversarial examples ([2.2](../20_adversarial/iterative_attacks.ipynb)) against a model of one's own are often read in the same way by other people's.

# %%
digits = test.images[:100]
lots = torch.randint(1, 10, (100,), generator=generator)
goals = (test.labels[:100] + lots) % 10
own_model = study(SmallCNN(), thiefs)  # the accuser's
crafted = attacks.pgd(
    own_model,
    digits,
    test.labels[:100],
    epsilon=0.3,
    targets=goals,
    steps=10,
    generator=generator,
)
fits = int((predict(plain, crafted).argmax(1) == goals).sum())

# %% tags=["nbval-ignore-output"]
print(f"an innocent network gives {fits} of 100 forged targets: ", end="")
print(f"p would be {stats.binom.sf(fits - 1, 100, 0.1):.0e}")

# %%
claim("Forged: an innocent network gives over 25 of 100", fits > 25)
claim("which would be p below 1e-4", stats.binom.sf(fits - 1, 100, 0.1) < 1e-4)

# %% [markdown]
# The envelope does not help against this: the pictures can be made, and committed to, long before the victim trains. What helps is an order of steps: **first** the pool of pictures is fixed, **then** lots that the accuser does not control, as next week's lottery numbers hashed with the pool, draw the key. `watermark.trigger_set` draws pictures and targets from the key; where your pool comes from, and what was fixed first, it cannot know.

# %% [markdown]
# ## A mark in the answers
#
# A mark in the weights needs the weights. But a model behind a counter can be copied by asking: send it pictures, train
# a network on what it answers {cite}`tramer2016stealing,orekondy2019knockoff`. The thief never sees a weight, and the
# new network has none of ours. What is taken home are answers. So the mark must be in these.
#
# DAWN {cite}`szyller2021dawn` gives a *wrong* answer to a small share $q$ of all queries, and chooses both the query and
# the mistake by a secret key $\kappa$. Let $h_\kappa(x)$ be a keyed hash of the picture's bytes: eight words, which look
# uniformly drawn to whoever lacks the key, and are the same whenever the same picture comes. If the first word is among
# the lowest share $q$, the picture is *selected*, and the second word names one of the $K - 1$ classes that the model
# does not believe in. Same query, same mistake: asking again reveals nothing. How such a hash is made, on a processor and
# on a GPU, is the subject of [its own page](../09_kernels/keyed_select.ipynb).
#
# Below, the owner has trained on half of the digits. The thief sends the other half, and trains on the answers.

# %%
own, wanted = (train.select(part) for part in (slice(2000), slice(2000, 4000)))
queries = wanted.images  # (2000, 1, 28, 28)
answering = SmallCNN(width=4)
pairs = TensorDataset(own.images, own.labels)
step = {"learning_rate": 4e-3, "batch_size": 64, "generator": generator}
fit(answering, pairs, epochs=5, **step)
answer_key = bytes(torch.randint(256, (32,), generator=generator).tolist())
counter = watermark.QueryWatermark(answering, key=answer_key, fraction=0.02)
with torch.no_grad():
    answers = counter(queries).argmax(1)  # what a customer is told
honest = predict(answering, queries).argmax(1)
chosen = counter.selected(queries)
claim("Between 10 and 80 of 2,000 queries are selected", 10 <= int(chosen.sum()) <= 80)
claim("A selected query is answered wrongly", bool((answers != honest)[chosen].all()))
claim("No other one is", torch.equal(answers[~chosen], honest[~chosen]))

# %% [markdown]
# By hand this is three lines: the hash, a comparison, and a step of 1 to $K - 1$ away from the class that the model
# believes in.

# %%
words = kernels.keyed_hash(queries, key=answer_key)  # (2000, 8), each below 2³²
lowest = words[:, 0] < round(0.02 * 2**32)
away = 1 + words[:, 1] * 9 // 2**32  # 1 to 9
by_hand = torch.where(lowest, (honest + away) % 10, honest)
claim(
    "kernels.keyed_hash by hand and watermark.QueryWatermark agree",
    torch.equal(by_hand, answers),
)

# %% [markdown]
# ### What the copy gives away
#
# A network that is trained long enough learns its training set by heart, mistakes included. So the owner asks the suspect
# about the selected queries. Where the suspect gives the owner's true answer, it says nothing for or against it. Let
# $N_{\ne}$ count the selected queries where it says something else, and $N_\kappa$ those of them where it says exactly
# what the key told the counter to say. If the suspect was made without these answers, then each of its mistakes is some
# class, and the key, which knows nothing of it, names one of $K - 1$ at random:
#
# $$N_\kappa \sim \operatorname{Binomial}\left(N_{\ne}, \tfrac{1}{K - 1}\right), \qquad
# \pi = \operatorname{P}\left(\operatorname{Binomial}\left(N_{\ne}, \tfrac{1}{K - 1}\right) \ge N_\kappa\right).$$ (eq-own-answers)
#
# In words: of ten digits nine are wrong, so an innocent mistake is the owner's mistake once in nine times. That needs no
# assumption about the suspect. It may be any network, good or bad, and it may have been trained on the same digits: the
# randomness is in the key. What is needed is that the key was drawn independently of the
# suspect, and that each picture counts once. `counter.test` returns all this as a `watermark.QueryEvidence`.


# %%
def watched(model, data, epochs):
    """Train, and test after each epoch; with the accuracy at the end."""
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    found = []
    for _ in range(epochs):
        fit(
            model,
            data,
            epochs=1,
            optimizer=optimizer,
            batch_size=64,
            generator=generator,
        )
        found.append(counter.test(model, queries))
    return found, accuracy(model, TensorDataset(test.images, test.labels))


thief, neighbour = SmallCNN(width=8), SmallCNN(width=8)
stolen, thief_accuracy = watched(thief, TensorDataset(queries, answers), 12)
others = TensorDataset(queries, wanted.labels)
independent, _ = watched(neighbour, others, 4)
claim("A stolen copy: p below one in a million", stolen[-1].p_value < 1e-6)
claim("A network with labels of its own: far above it", independent[-1].p_value > 1e-6)

# %% [markdown]
# The second network saw the *same pictures*, with labels that people wrote. It is no thief, and the test does not call it
# one. The next two suspects are thieves who know this page.
#
# - **One stops early.** Look at the first epochs in the next figure: the copy is good long before it has learnt the
#   mistakes by heart.
# - **The other asks for a second opinion.** This thief trains a network on one half of the answers and lets it judge the other half, and
#   the other way round. Where it disagrees with the counter, the query is thrown away. A deliberate mistake is one that
#   nobody else would make, so nearly all are thrown away, and a few hard but honest answers with them.


# %%
def second_opinion(pictures, labels):
    """Which answers a network agrees with that learnt the other half of them."""
    keep = torch.zeros(len(labels), dtype=torch.bool)
    for first in (0, 1):
        judge = SmallCNN(width=4)
        half, rest = slice(first, None, 2), slice(1 - first, None, 2)
        fit(judge, TensorDataset(pictures[half], labels[half]), epochs=5, **step)
        keep[rest] = predict(judge, pictures[rest]).argmax(1) == labels[rest]
    return keep


keep = second_opinion(queries, answers)
washed = TensorDataset(queries[keep], answers[keep])
careful, careful_accuracy = watched(SmallCNN(width=8), washed, 8)
claim(
    "The thief finds nine of ten mistakes", bool((~keep[chosen]).float().mean() > 0.9)
)
claim(
    "and throws away less than a quarter of all answers",
    bool(keep.float().mean() > 0.75),
)
claim("After that nobody is convicted", np.log10(careful[-1].p_value) > -6)

# %% tags=["nbval-ignore-output"]
print(
    f"accuracy: the copy {thief_accuracy:.1%}, the careful copy {careful_accuracy:.1%}"
)
for name, last in {"thief": stolen[-1], "careful": careful[-1]}.items():
    counted = f"{last.statistic:.0f} of {last.disagreements} mistakes are the owner's"
    print(f"{name}: {counted}, p = {last.p_value:.1g}")

# %% tags=["hide-input", "fig-own-answers"] mystnb={"image": {"alt": "Three curves of a p-value on a logarithmic axis against the epochs of training. The stolen copy's begins near one, crosses one in a million after several epochs and falls far below it. Those of the independent network and of the careful thief stay near one."}}
figure, axis = plt.subplots(figsize=(6.5, 3))
curves = {
    "stolen copy": (stolen, "orange", "o"),
    "stolen with a second opinion": (careful, "amber", "s"),
    "independent": (independent, "blue", "^"),
}
for name, (found, colour, sign) in curves.items():
    epochs = range(1, len(found) + 1)
    values = [evidence.p_value for evidence in found]
    axis.plot(epochs, values, color=COLOURS[colour], marker=sign, label=name)
axis.axhline(1e-6, color=COLOURS["black"], linestyle=":", label="one in a million")
axis.set(yscale="log", xlabel="epochs of training", ylabel="p-value")
axis.legend()
plt.show()

# %% [markdown]
# *A copy gives itself away when it has learnt the mistakes by heart, and only then.* The p-value of three suspects' answers
# to the same queries, after each epoch. The first epochs of the thief's curve are a thief who stops early.
#
# ### Is the p-value honest?
#
# The test can be tested without training anything: draw fresh keys, and pretend that each had been the counter's. None of
# them had, so all p-values must look like chance, even for the thief, whose network is full of another key's mistakes.

# %%
some = queries[:300]
fresh = [
    watermark.QueryWatermark(answering, key=bytes(draw), fraction=0.5)
    for draw in torch.randint(256, (200, 32), generator=generator).tolist()
]
chances = [wrong.test(thief, some) for wrong in fresh]
drawn = [found.randomized(generator=generator) for found in chances]
claim(
    "200 wrong keys: uniform (Kolmogorov–Smirnov)",
    np.log10(stats.kstest(drawn, "uniform").pvalue) > -6,
)
naive = [
    stats.binom.sf(20 * found.statistic - 1, 20 * found.disagreements, 1 / 9)
    for found in chances
]
share = sum(value < 0.01 for value in naive) / 200
claim(
    "Each query counted 20 times: p < 0.01 for one wrong key in twenty or more",
    share > 0.05,
)

# %% [markdown]
# The last claim is the trap. A log of queries holds the same picture many times: a customer retries, a crawler comes
# back. Its twenty answers are one answer, for the hash is the same, and so is the network. Count them as twenty
# independent mistakes, and innocent suspects are convicted by the dozen. `watermark.QueryWatermark` compares the hashes, and
# counts each input once.
#
# ### What it costs, what breaks it
#
# **Honest customers pay.** A share $q$ of their queries gets a wrong answer, on purpose. Two per cent was needed here
# because the thief asked 2,000 times only; DAWN's authors change less than half a per cent, for thieves who ask more often
# {cite}`szyller2021dawn`. Where a wrong answer hurts somebody, in medicine or at a border, this mark is not to be had.
#
# **Nearly the same query is another query.** The hash is of bytes. Add noise that nobody sees, and the picture is
# selected anew, so a thief who asks three times, each time with other noise, and takes the majority gets the truth.


# %%
def shaken(pictures):
    """With noise of up to a quarter of a grey level, which nobody sees."""
    noise = torch.rand(pictures.shape, generator=generator) - 0.5
    return pictures + noise / 510


copies = queries[chosen].repeat(3, 1, 1, 1)
told = counter(shaken(copies)).argmax(1).view(3, -1)
recovered = (told.mode(dim=0).values == honest[chosen]).float().mean()
claim("A majority of three recovers 80 % of the truth", recovered > 0.8)
rounded = (shaken(queries).clamp(0, 1) * 255).round() / 255
claim("Grey levels, rounded, are the same bytes again", torch.equal(rounded, queries))

# %% [markdown]
# The last line is the counter's reply: round the query before it is hashed. That undoes noise below half a grey level, and
# no other; DAWN hashes coarse features instead of bytes, which moves the border and doesn't abolish it. A counter that
# watches for near repetitions, as on [the page on stealing](../60_privacy/inversion_and_stealing.ipynb), is the other half
# of a defence.
#
# What else a suspect may do:
#
# | the thief … | the mark |
# |---|---|
# | trains until the answers are known by heart | is found |
# | stops early, or regularises | is weak or gone: few answers were learnt by heart |
# | throws away what a second opinion doubts | is gone |
# | asks with noise, and takes the majority | is gone, at three times the queries |
# | trains a second copy on the first copy's answers to the same queries | is handed on, as far as the first learnt it |
# | … to other queries | is gone |
# | asks a few hundred times | is thin: a handful of selected queries convicts nobody |
# | steals the *weights* | never was there: the model itself makes no deliberate mistake |
#
# **The lawyer's question.** A small p-value says: this network knows mistakes that only the counter made, so it was
# trained on the counter's answers, or on those of somebody who was. It does not say *who* asked, unless each customer has a
# key of their own. And it says nothing about the owner's right to the model. As with every mark of this chapter, the key
# must have been deposited before: from 4,096 keys the best one makes any suspect look guilty.

# %% [markdown]
# ## What would it prove?
#
# A p-value is a sentence about a key. What a judge wants is a sentence about people. Between them lie steps that no statistic takes. This table is no legal advice; it says what follows from the mathematics.
#
# | what is shown | what follows | what does not follow |
# |---|---|---|
# | message in the weights, key committed before | the file descends from one that was made with this key | who copied it; whether it was allowed; anything about a distilled copy |
# | the owner's channels put back in order, search counted | the same | the same |
# | triggers, pool and lots fixed before | the network was taught these answers, or descends from one that was | that weights were copied: a thief's student may have learnt some of them |
# | marked answers, key committed before | the network was trained on answers of this service, or on those of a copy | which customer asked, unless each has a key |
# | two marks, and an original without the second | the second was set later | that the first owner made the network |
# | a mark without a commitment | that somebody has tried enough keys, or been lucky | anything else |
# | no mark found | the test has found nothing | that nothing was copied |
#
# Lukas and others put published marks to a large set of removals, and found none of them robust in practice {cite}`lukas2022sok`. Use marks together that fail to different attacks, and count the tests.
#
# ## What goes wrong
#
# **The key was chosen after looking**, or the message, or the layer. Whoever tests all four layers with weights, and reports the best, multiplies the p-value by four.
#
# **Equal things counted as independent.** The twenty answers to one query are one. A message that is written three times in three copies of a layer is one, too.
#
# **"Chance is one in ten" without a lot.** If all triggers have one target, chance is whatever suspects do with these pictures: a network that says "8" to everything strange passes any test for 8. A user of the code for entangled marks found 3 % success on a stolen network and 0.7 % on others, and asked what that meant ([issue 1](https://github.com/cleverhans-lab/entangled-watermark/issues/1)). Without a law under chance there is no answer. If the key draws each target, there is one.
#
# **A threshold instead of a p-value.** "Over 90 % of the bits" is a strict test for 256 bits and a careless one for 8:

# %%
long, short = stats.binom.sf(229, 256, 0.5), stats.binom.sf(6, 8, 0.5)
claim("231 of 256 bits by chance: under 1e-40", long < 1e-40)
claim("7 of 8 bits by chance: over 3 %", short > 0.03)

# %% [markdown]
# ## Evaluate honestly
#
# Before you believe a detector, run it where nothing is: on networks without a mark and with keys that nobody used. As code, a check that takes any detector. The committed measurement has run it with 1,000 keys on each of several networks.


# %%
def like_chance(p_values):
    """Uniform by Kolmogorov and Smirnov, and no more small ones than chance allows."""
    count, small = len(p_values), sum(p < 0.01 for p in p_values)
    uniform = stats.kstest(p_values, "uniform").pvalue
    return uniform > 1e-6 and stats.binom.sf(small - 1, count, 0.01) > 1e-6


draws = []
for k in [new_key() for _ in range(200)]:
    lots = watermark.trigger_set(pool, key=k, classes=10, count=50)
    seen = watermark.trigger_test(tricked, triggers=lots)
    draws.append(seen.randomized(generator=generator))
claim(
    "200 keys nobody used, on a network with a backdoor: like chance",
    like_chance(draws),
)
claim(
    "The best of five keys, called one: not",
    not like_chance(np.min(np.reshape(draws, (-1, 5)), axis=1).repeat(5)),
)
nulls = [run["t"]["below"] for name, run in result.items() if name.startswith("null")]
below = sum(counts["0.01"] for counts in nulls) / len(nulls)
claim("Of 1,000 keys 2 to 25 have a p-value of t below 1 %", 2 <= below <= 25)

# %% [markdown]
# The same was done to every detector of this chapter: 1,000 keys that nobody used, on photographs, networks and texts without a mark. The script is `benchmarks/watermark.py`.

# %%
every = measured.result("watermark")["null"]

# %% tags=["nbval-ignore-output"]
print(f"{'of 1,000 keys':32}  p ≤ 0.05  ≤ 0.01  ≤ 0.001  uniform?")
for name, row in every.items():
    few = " ".join(f"{row['below'][level]:8}" for level in ("0.05", "0.01", "0.001"))
    print(f"{name:32} {few} {row['ks_p_value']:9.2f}")

# %%
alarms = [row["below"]["0.01"] for row in every.values()]
claim("Each detector: at most 25 of 1,000 keys below 0.01", max(alarms) <= 25)
uniform = [row["ks_p_value"] for row in every.values()]
smallest = min(uniform) * len(every)
claim("Each looks uniform, counting how many there are", smallest > 0.01)

# %% [markdown]
# ## Practice
#
# **Exercise 1** (10 minutes). *How long a message?* A shorter message is easier to set and to keep. How many bits, all read rightly, give $\pi < 10^{-20}$? And is it better to have 256 bits of which 40 are wrong, or 64 of which none is?
#
# <details><summary>Hint: one coin a bit</summary>
#
# $2^{-n}$ for n right bits; `stats.binom.sf(right - 1, n, 0.5)` if some are wrong.
#
# </details>

# %% tags=["hide-cell"]
# Solution: 67 bits, since 2^-67 is under 1e-20. And 216 of 256 is rarer by far than
# 64 of 64: a long message with mistakes is better evidence than a short one without.
needed = next(n for n in range(1, 200) if 0.5**n < 1e-20)
claim("67 bits", needed == 67)
claim("216 of 256 is rarer", stats.binom.sf(215, 256, 0.5) < 0.5**64)

# %% [markdown]
# **Exercise 2** (25 minutes). *Put the channels back.* Undo the thief's reordering: scale each of the first layer's filters (with its bias) to length one, and find the order in which they resemble the owner's; bring the second layer's inputs into that order; then do the same for the second layer's filters. Test, and count the orders that you could have chosen.
#
# <details><summary>Hint 1: scales first</summary>
#
# The length of a filter is known from the suspect's file alone: divide by it, and multiply what follows. That needs no search, so it costs nothing.
#
# </details>
#
# <details><summary>Hint 2: the best order</summary>
#
# `scipy.optimize.linear_sum_assignment` finds the order with the largest sum of similarities, from a matrix of them.
#
# </details>
#
# <details><summary>Hint 3: the price</summary>
#
# You chose the best of $16! \cdot 32!$ orders at most. Multiply the p-value by it: with logarithms, since `stats.norm.logsf` does not underflow.
#
# </details>


# %% tags=["hide-cell"]
# Solution: the mark is there again, with a p-value that survives the correction.
def canonical(model, reference=None):
    """Filters of length one, in the order that resembles a reference."""
    model = deepcopy(model)
    first, second = (model.get_submodule(f"layers.{i}") for i in (1, 4))
    with torch.no_grad():
        for step_, layer in enumerate((first, second)):
            rows = torch.cat([layer.weight.flatten(1), layer.bias[:, None]], dim=1)
            length = rows.norm(dim=1)
            order = torch.arange(len(rows))
            if reference is not None:
                like = reference.get_submodule(("layers.1", "layers.4")[step_])
                kin = torch.cat([like.weight.flatten(1), like.bias[:, None]], dim=1)
                score = kin @ (rows / length[:, None]).T
                order = torch.as_tensor(linear_sum_assignment(-score)[1])
            layer.weight.copy_((layer.weight / length.view(-1, 1, 1, 1))[order])
            layer.bias.copy_((layer.bias / length)[order])
            if layer is first:
                second.weight.copy_(
                    (second.weight * length.view(1, -1, 1, 1))[:, order]
                )
    return model


# %% tags=["hide-cell"]
back = mark.test(canonical(disguised, canonical(owned)))
orders = (gammaln(17) + gammaln(33)) / np.log(10)
power = stats.norm.logsf(back.statistic) / np.log(10) + orders
claim("Put back: p below 1e-20, times the number of orders", power < -20)
wrong_net = mark.test(canonical(plain, canonical(owned)))
power = stats.norm.logsf(wrong_net.statistic) / np.log(10) + orders
claim("An unmarked network: no evidence", power > -6)

# %% [markdown]
# **Exercise 3** (10 minutes). *Two classes.* With two classes there is only one wrong answer, and {eq}`eq-own-answers` is a coin that always
# falls on the same side: `watermark.QueryWatermark` refuses. Find a statistic for two classes. What is random under a fresh
# key, besides the class?
#
# <details><summary>Hint 1: what else the key decides</summary>
#
# The key decides which queries are selected. Look at all queries where the suspect contradicts the owner, selected or not.
#
# </details>
#
# <details><summary>Hint 2: its law</summary>
#
# Of the queries where they differ, how many does a fresh key select? And what must you never do with the list of queries
# before you count?
#
# </details>

# %% tags=["hide-cell"]
# Solution: each query on which they differ is selected with chance q, independently.
# So the selected ones among them are Binomial(all of them, q). It holds for any number
# of classes; but the list must not be sorted by the key before: whoever brings selected
# queries only brings proof against everybody.
differ = predict(thief, queries).argmax(1) != honest
picked = int((differ & chosen).sum())
two_classes = stats.binom.sf(picked - 1, int(differ.sum()), 0.02)
claim("The thief is found by the selection alone", two_classes < 1e-6)
differ = predict(neighbour, queries).argmax(1) != honest
picked = int((differ & chosen).sum())
innocent = stats.binom.sf(picked - 1, int(differ.sum()), 0.02)
claim("and the neighbour is not", innocent > 1e-6)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A network from a friend, who has never heard of you, is tested with your key: t = 2.1, p = 0.02. Has it been copied?
# - Probably, with 98 % :: The p-value is about the key if nothing was copied. It is no probability that something was.
# + Nothing is known: one key in fifty does that :: And whoever tests fifty networks will see it once.
# - No, since t is below 3 :: A small t does not show that nothing was copied.
# ? Somebody shows a message of 256 bits in your network, all right, and a key. What do you ask first?
# - Which layer it is in :: It matters, but a layer can be named to fit as well.
# + What was published before the network was :: A message read off your file fits with every key.
# - How the network was trained :: The test needs no word about training.
# ? Which mark can still be read after the thief has reordered the channels, without further work?
# - The message in the weights :: Its rows meet other weights, and t looks like chance.
# + The backdoor :: It lives in the function, which has not changed.
# - None :: The function is the same, so whatever asks the function answers as before.
# ? Your triggers are photographs, and a thief sells only answers. What is the cheapest way to escape?
# - Training on with digits :: That wears the backdoor down slowly, as the figure shows.
# - Pruning :: Half of the weights can go, and most triggers stay.
# + Answering at random to what is no digit :: Photographs are easy to tell from digits, and honest users lose little.
# ? A suspect was trained on the very pictures that were sent to the counter, with labels written by people. Is it convicted?
# - Yes, it knows the selected pictures :: It knows the pictures and not the mistakes, which only the counter made.
# + No, its mistakes match the key's once in K − 1 :: The key was drawn without it, whatever it was trained on.
# - It depends on its accuracy :: Accuracy moves the number of mistakes; their chance to match stays the same.
# ? A log has one selected picture 500 times, and the suspect gives the marked answer each time. How strong is that?
# - 500 matches: overwhelming :: It is one draw of the key, seen 500 times.
# + One match, a p-value of 1/(K − 1) at best :: Equal bytes have one hash; they count once.
# - Nothing at all :: One match is a little; it becomes much with other pictures.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** All three tests have a null distribution that is exactly known, for every suspect, from the key alone. The weights' mark costs no accuracy that could be measured here, and survives what a careless thief does. The other two need no file.
#
# **Limitations.** Each has a removal that a careful thief can afford: reordering for the first, refusing strange questions for the second, a second opinion for the third. All experiments here are on digits, with networks that train in seconds. Marks cost something: wrong answers to honest users, or a learnt mistake. And a backdoor that its owner
# can use, somebody else may find; [lecture 3.2](../30_poisoning/backdoors.ipynb) is about those, and [lecture 3.5](../30_poisoning/defenses.ipynb) about how they are found.
#
# **Software.** For many published marks and their removals, the [Watermark-Robustness-Toolbox](https://github.com/dnn-security/Watermark-Robustness-Toolbox) of Lukas and others. The authors' code for {eq}`eq-own-penalty` is [dnn-watermark](https://github.com/yu4u/dnn-watermark), for an old Keras. In this library: `watermark.WeightWatermark`, `watermark.trigger_set`, `watermark.trigger_test`, `watermark.QueryWatermark`.
#
# ## What to take away
#
# Say what the thief took, the file or the answers, and choose the mark by it. Draw key, message and targets by lot, before anybody looks, and publish a hash of them: then the p-value is exact, for any suspect, and no forger can search for one. A found mark shows where a file or its answers come from. It shows neither who took them, nor that they were yours.
#
# Next: [marks in what a generator makes](generated.ipynb). Do it yourself in homework H7.
