# %% [markdown]
# # 7.2 Radioactive data: a trace in whoever trains on them
#
# You put ten thousand pictures on the web. A year later there is a model that knows suspiciously much about their subject. Was it trained on yours? You have the model,
# or a page that answers for it; you will never see its training set. This page changes the pictures *before* they are published, so little that people don't mind, so that the question has an answer with a
# p-value afterwards.
#
# **What you will learn**
#
# - to mark a data set by a secret key, so that a model trained on it carries a trace, at no measurable cost in accuracy;
# - to test a suspect model with an exact p-value, whether you see its gradients, its logits or only its losses;
# - why a null over images is wrong, and one over keys is right for any model;
# - why the test of the paper that gave the idea its name finds nothing on 4,000 digits;
# - to ask by twins and coins whether *your* images were in the training set.
#
# **Before you start**: [invisible marks in images](images.ipynb), for keys and p-values, and [membership inference](../60_privacy/membership_inference.ipynb), for the question without
# preparation. The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 30 minutes to read; {{ cpu_seconds }} to run.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats
from torch.utils.data import TensorDataset

from tml_helpers import watermark
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.measured import result
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question
#
# The owner has 4,000 [handwritten digits](../../book/data_cards/mnist.md), and 1,000 more that are never published. On a page of a book the key comes from the seed; in earnest it is
# `secrets.token_bytes(32)`, made once and kept like a password.

# %%
train, test = mnist("train"), mnist("test")
train, test = train.select(slice(4000)), test.select(slice(1000))
images, labels = train.images, train.labels
key = bytes(torch.randint(256, (32,), generator=generator).tolist())
EPSILON = 0.15
data = watermark.radioactive_mark(images, labels, key=key, epsilon=EPSILON)
changed = (data.images - images).abs().amax(dim=(1, 2, 3)) > 0
claim("One image in ten is marked, in each class", abs(len(data.marked) - 400) <= 5)
claim("and no other is touched", torch.equal(changed.nonzero()[:, 0], data.marked))

# %% tags=["hide-input", "fig-radio-question"] mystnb={"image": {"alt": "Two rows of four small pictures. Above, four handwritten digits of different classes as they were. Below, the same four as they are published: on the white paper there are light grey squares of four by four pixels, in another arrangement for each class, and inside of some strokes the ink is a little paler."}}
figure, axes = plt.subplots(2, 4, figsize=(7, 3.6))
for column, index in enumerate(data.marked[[0, 1, 2, 3]].tolist()):
    show_image(axes[0, column], images[index], "as it was")
    show_image(axes[1, column], data.images[index], "published")
plt.show()

# %% [markdown]
# *The mark.* Four of the marked digits, before and after. (Ink is drawn black.) Empty paper makes the mark easy to see; on a photograph the same change hides in texture. What you see is not random from image to image: every class has one pattern, its **carrier**.
#
# Who could be caught with this, and who not?

# %%
ThreatModel(
    goal="train a good model on the published images, without permission",
    knowledge="black box",
    capability="takes all images with their labels, mixes them with others, trains "
    "any network in any way; does not know the key",
    out_of_scope="removes the images, or changes each of them before training",
)

# %% [markdown]
# ## The idea: a pattern for each class
#
# Sablayrolles and others had the idea of **radioactive data** {cite}`sablayrolles2020radioactive`: as a tracer is followed through a body, a mark is followed through training. We take the simplest mark
# that works on small data. For each class $k$ the secret key $\kappa$ draws a carrier $c_k$, a sign for each block of $4 \times 4$ pixels: 49 signs for a digit. Of one tenth of the images of the class, each becomes
#
# $$\tilde x \ =\ x + \varepsilon\, c_{y} ,$$ (eq-radio-mark)
#
# kept within $[0, 1]$. The label stays right. That is the difference to a backdoor: nobody is to be fooled, the model only learns one more, weak sign of class $k$. A network that minimises its loss takes any sign that helps.
#
# By hand it is a few lines, with signs of our own:

# %%
signs = 2.0 * torch.randint(2, (10, 1, 7, 7), generator=generator) - 1
blocks = signs.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
by_hand = (images[:400] + EPSILON * blocks[labels[:400]]).clamp(0, 1)
claim("No pixel moves by more than ε", (by_hand - images[:400]).abs().max() < 0.1501)

# the library's carriers are such signs, too, drawn from the key
carriers = watermark.radioactive_carriers(images, torch.arange(10), key=key)
own = images[data.marked] + EPSILON * carriers[labels[data.marked]]
claim(
    "The library's mark is x + ε c_y",
    torch.equal(data.images[data.marked], own.clamp(0, 1)),
)

# %% [markdown]
# Now three networks of one build. The **suspect** was trained on what was published. The **control** is the owner's own, trained on the unmarked originals. The **innocent** was trained by somebody else, on half of the originals, and never saw a mark.


# %%
def trained(pictures, classes=labels, network=None, **how):
    model = network or SmallCNN()
    how = {"epochs": 5, "batch_size": 64, "learning_rate": 2e-3} | how
    fit(model, TensorDataset(pictures, classes), generator=generator, **how)
    return model


suspect, control = trained(data.images), trained(images)
innocent = trained(images[:2000], labels[:2000])

# %% tags=["nbval-ignore-output"]
for name, model in (("suspect", suspect), ("control", control)):
    print(f"{name}: {accuracy(model, test):.1%} of the test digits read")

# %%
cost = accuracy(control, test) - accuracy(suspect, test)
claim("The mark costs less than 2.5 points", cost < 0.025)

# %% [markdown]
# ## A first test, and the null
#
# If the suspect has learnt that the pattern $c_k$ speaks for class $k$, its logit $z_k$ is higher under the pattern than under its negative, also on images of the class that it never saw. That is our first statistic, the mean rise:
#
# $$t(\kappa) \ =\ \frac1N \sum_{i=1}^N \Big( z_{y_i}\big(x_i + \varepsilon\, c_{y_i}\big) - z_{y_i}\big(x_i - \varepsilon\, c_{y_i}\big) \Big)$$ (eq-radio-rise)
#
# How large is large? Here two people go different ways.


# %%
held_out, classes = test.images[:300], test.labels[:300]


def rises(model, carriers):
    """For each image: its own logit under the pattern, less under the negative."""
    shift = EPSILON * carriers[classes]
    up, down = (predict(model, (held_out + s).clamp(0, 1)) for s in (shift, -shift))
    return (up - down)[torch.arange(300), classes]


def drawn():
    """The carriers of a fresh key."""
    return 2.0 * torch.randint(2, (10, 1, 7, 7), generator=generator) - 1


def large(signs):
    return signs.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)


fresh = [large(drawn()) for _ in range(40)]
of_decoys = torch.stack([rises(innocent, pattern) for pattern in fresh])  # 40, 300

# %% [markdown]
# **The first** has 300 images, takes their 300 rises for independent, and computes a t-test: mean over standard error. Let us give this person an innocent model and 40 keys that nobody has ever used.

# %%
t_tests = of_decoys.mean(dim=1) / of_decoys.std(dim=1) * 300**0.5
accused = (t_tests > 3.719).float().mean()  # p < 1e-4 for a standard normal number
claim("The t-test's scores spread over 3 times too wide", t_tests.std() > 3)
claim("It accuses an innocent, with p < 1e-4, under some key", t_tests.max() > 3.719)

# %% tags=["nbval-ignore-output"]
print(f"accused with p < 1e-4: {accused:.0%}; the scores' sd: {t_tests.std():.1f}")

# %% [markdown]
# The 300 images are not 300 witnesses. They are all asked by *one* pattern, of *one* model, which has its likes and dislikes: a light corner may speak for a 7 in any network. Asking more images measures this taste more exactly, and makes the error worse.
#
# **The second** asks what was random. Not the model, which stands there; not the images, which we chose. Random was the key. A model that never saw the mark is independent of it. So draw 40 **decoy keys** as the
# true one was drawn, and see where the true one stands among them. If the model is innocent, all 41 places are equally likely, *whatever* the model is {cite}`phipson2010permutation`:
#
# $$\pi \ =\ \frac{1 + \#\{\text{decoys with } t \ge t(\kappa)\}}{1 + \#\text{decoys}}$$ (eq-radio-rank)

# %%
for_suspect = torch.stack([rises(suspect, pattern) for pattern in fresh]).mean(dim=1)
true = float(rises(suspect, carriers).mean())
ranked = watermark.rank_evidence(true, for_suspect)
beside = (1 + int((for_suspect >= true).sum())) / 41
claim("By hand and by the library", abs(ranked.p_value - beside) < 1e-12)

# %% tags=["nbval-ignore-output"]
print(f"p = {ranked.p_value:.3f}; the smallest possible is {1 / 41:.3f}")

# %% [markdown]
# This is exact, and it is dear: for $\pi < 10^{-4}$ one needs ten thousand decoys, 300 pictures each. And it is weak, for the natural tastes of the network are noise in it. Both can be mended.
#
# ## Every block is a coin
#
# A key is 490 fair coins, one for each class and block. Suppose we measure, *without the key*, how logit $k$ responds to each block: $g_{k}$, a number for every block, from images of class $k$ with random patterns laid over them. Then the carrier comes in, once:
#
# $$m_j \ =\ c_j \cdot g_j \qquad \text{for each of the 490 pairs } j \text{ of class and block}$$ (eq-radio-coins)
#
# If the model has learnt the mark, most of the $m_j$ are positive. If not, then $g$ is independent of $c$, and the signs of the $m_j$ are 490 tosses of a fair coin, **whatever** $g$ is. Their sizes may be as unequal and as dependent as
# they like. Wilcoxon's signed ranks {cite}`wilcoxon1945individual` weigh clear responses more than faint ones, and their distribution under fair coins is known exactly: no decoys, no limit at $1/41$.
#
# The second mend is the owner's **control**. Its responses $g^{\,0}$ show what digits do to any network. So take away the multiple that explains most,
#
# $$g - \beta\, g^{\,0}, \qquad \beta = \frac{\langle g, g^{\,0} \rangle}{\langle g^{\,0}, g^{\,0} \rangle} ,$$ (eq-radio-control)
#
# which again does not look at the key: the coins stay fair. In the library:

# %%
asked = (held_out, classes)
settings = {"key": key, "epsilon": EPSILON, "control": control}
found = watermark.radioactive_test(suspect, *asked, **settings)
alone = watermark.radioactive_test(suspect, *asked, key=key, epsilon=EPSILON)
not_found = watermark.radioactive_test(innocent, *asked, **settings)

# %% tags=["nbval-ignore-output"]
for name, one in (
    ("suspect", found),
    ("without control", alone),
    ("innocent", not_found),
):
    print(f"{name:16} {one.agreeing} of {one.coins} coins, p = {one.p_value:.1e}")

# %%
claim("The suspect: p under 1e-4", found.p_value < 1e-4)
claim("The innocent: p over 1e-4", not_found.p_value > 1e-4)
wilcoxon = watermark.signed_rank_evidence(found.margins.flatten())
gap = np.log(found.p_value / wilcoxon.p_value)
claim("It is Wilcoxon's test of the margins, up to rounding", abs(gap) < 1e-6)

# %% tags=["hide-input", "fig-radio-response"] mystnb={"image": {"alt": "Two rows of four small maps of seven by seven blocks in blue and orange. Above, the carriers of the digits 0 to 3, each square either orange or violet. Below, what the suspect responds to, from strong colours to white. Most squares with a clear colour have that of the square above; some have the other."}}
g = found.margins * carriers[:, 0, ::4, ::4]
figure, axes = plt.subplots(2, 4, figsize=(7, 3.7))
for k in range(4):
    for row, (shown, size) in enumerate(((carriers[k, 0, ::4, ::4], 1.6), (g[k], 0))):
        size = size or float(g[k].abs().max())
        axes[row, k].imshow(-shown, cmap="PuOr", vmin=-size, vmax=size)
        axes[row, k].set(xticks=[], yticks=[])
    axes[0, k].set_title(f"carrier of {k}")
    axes[1, k].set_title(f"response of {k}")
plt.show()

# %% [markdown]
# *What was hidden, and what came out.* Above, carriers of four classes (orange adds ink). Below, what the suspect's own logit responds to, after the control's response was taken away. No single square proves anything; 490 of them do.
#
# Less access needs more questions, and finds less, but the coins are as fair. `access="logits"` lays a pattern and its negative over each image and takes the difference of the logits. `access="losses"` does the same with the loss of the right class, for which the probabilities are enough: the **black-box loss test**.

# %%
weaker = {
    access: watermark.radioactive_test(suspect, *asked, **settings, access=access)
    for access in ("logits", "losses")
}

# %% tags=["nbval-ignore-output"]
for access, one in weaker.items():
    print(f"{access}: {one.agreeing} of {one.coins} coins, p = {one.p_value:.1e}")

# %%
fewer = np.log10(weaker["losses"].p_value / found.p_value)
claim("With losses alone, over 2 powers of ten are lost", fewer > 2)

# %% [markdown]
# For this network the logits may or may not suffice, from seed to seed, and its losses don't. A dense network, further down, gives itself away by its logits, too.
#
# ## The test of the paper
#
# The paper marks in another place. Let $\phi(x)$ be the $d$ features that a network hands to its last layer, of which row $w_k$ belongs to class $k$. The key draws a unit vector $u_k$ for each class. The pixels of an image are optimised, within $\varepsilon$, until its features have moved along $u_y$:
#
# $$\max_{\lVert \tilde x - x \rVert_\infty \le \varepsilon} \ \big\langle \phi(\tilde x) - \phi(x),\, u_y \big\rangle - \tfrac12 \big\lVert \phi(\tilde x) - \phi(x) \big\rVert$$ (eq-radio-features)
#
# A classifier that is trained on such features should turn its row $w_k$ towards $u_k$. And the null is again over the key: whatever $w_k$ is, a random direction has with it a cosine whose law is known,
#
# $$\frac{1 + \cos(w_k, u_k)}{2} \ \sim\ \mathrm{Beta}\Big(\frac{d-1}{2}, \frac{d-1}{2}\Big) .$$ (eq-radio-beta)
#
# The classes' p-values are independent, so Fisher's sum $-2 \sum_k \ln \pi_k$ is $\chi^2$ with $2K$ degrees of freedom. If the suspect was trained from scratch, its features are not the owner's. The paper then finds the matrix $M$ that best takes the owner's features to the suspect's, and tests $w_k M$ instead.

# %%
last = "layers.10"
told = {"key": key, "epsilon": EPSILON, "layer": last, "steps": 20}
by_features = watermark.feature_mark(control, images, labels, **told)
scratch = trained(by_features.images)
cosines = watermark.cosine_test(
    scratch, test.images, key=key, layer=last, marker=control
)
d = control.get_submodule(last).in_features
directions = torch.randn(20_000, d, generator=generator, dtype=torch.float64)
to_first = directions[:, 0] / directions.norm(dim=1)
half = (d - 1) / 2
law = stats.kstest((1 + to_first.numpy()) / 2, stats.beta(half, half).cdf)
claim("Cosines of random directions follow the law", law.pvalue > 1e-6)
depth = np.log10(cosines.p_value)
claim("The paper's test on the same digits: p over 1e-4", depth > -4)

# %% [markdown]
# The same number of images, the same $\varepsilon$, and nothing is found. It is not the statistics, which are right. Look at the features:


# %%
def features(pictures):
    """What the owner's network hands to its last layer."""
    with torch.no_grad():
        return control.layers[:10](pictures)


before, after = features(images[data.marked]), features(by_features.images[data.marked])
silent = (features(images).std(dim=0) == 0).float().mean()
length = before.norm(dim=1).mean()
step = (after - before).norm(dim=1).mean()

# %% tags=["nbval-ignore-output"]
print(f"dimensions that never move: {silent:.0%}")
print(f"length of the features {length:.0f}, of the change {step:.1f}")

# %%
claim("The change is under a fifth of the features' length", step < length / 5)

# %% [markdown]
# A random direction points to everywhere at once, and natural features don't: they lie in few dimensions, all coordinates at or above zero after the ReLU, some always zero. So the pixels can hardly push along $u$; what they push is small beside what tells the digits apart; and a classifier that is right already has no reason to turn. The
# paper works with ImageNet: a thousand classes, whose small cosines add up in Fisher's sum, and more than a million images. Others who tried it on CIFAR-10 from scratch found what we found, and were answered with the number of classes ([issue 3](https://github.com/facebookresearch/radioactive_data/issues/3) of the authors' code).
#
# ## Twins: was it *my* image?
#
# Class patterns say that somebody trained on *marked data*. A person with a hundred pictures of mixed kinds asks something else. [Lecture 6.3](../60_privacy/membership_inference.ipynb) attacks that question with shadow models, and can give rates, but no p-value for one model: nobody knows what the model would say if the picture had not been there.
#
# Unless one prepared it. Make *two* versions of each image, **twins**, which differ by keyed noise: $x + \varepsilon\nu$ and $x - \varepsilon\nu$. A coin of the key decides which is published. The other is never shown to anybody. Later, ask the suspect about both. With $\psi = \log p_y - \log (1 - p_y)$,
#
# $$m_i \ =\ \psi(\text{published}_i) - \psi(\text{withheld}_i) .$$ (eq-radio-twins)
#
# If the model was not trained on the published ones, the coin is fair for it, and so are the signs of the $m_i$. The idea has been used for texts, as a random string that is added {cite}`wei2024proving` and as one of several rephrasings {cite}`rastogi2025stamp`.

# %%
mine = torch.randperm(4000, generator=generator)[:400]
pairs = watermark.twins(images[mine], key=key, epsilon=EPSILON)
with_mine = images.clone()
with_mine[mine] = pairs.published

dense = {"epochs": 10, "learning_rate": 1e-3}
memory = trained(with_mine, network=MLP(128), **dense)
clean, third = (trained(images, network=MLP(128), **dense) for _ in range(2))


# %%
def asked_by_twins(model, control):
    versions = {"withheld": pairs.withheld, "control": control}
    return watermark.twin_test(model, pairs.published, labels[mine], **versions)


tests = {
    "dense network": asked_by_twins(memory, clean),
    "dense, not trained on mine": asked_by_twins(third, clean),
}

# %% tags=["nbval-ignore-output"]
for name, one in tests.items():
    print(f"{name:27} {one.wins} of {one.pairs} pairs, p = {one.p_value:.1e}")

# %%
claim("Dense: p under 1e-6", tests["dense network"].p_value < 1e-6)
innocent = tests["dense, not trained on mine"]
claim("Not trained on mine: p over 1e-4", innocent.p_value > 1e-4)
coins = watermark.binomial_evidence(innocent.wins, innocent.pairs, 0.5)
claim("Its coins alone, by the binomial law: over 1e-4", coins.p_value > 1e-4)

# %% [markdown]
# A dense layer multiplies every pixel by a weight of its own, and so remembers the noise of single pixels. Convolution and pooling average it away: for a convolutional network, the result file of the next section has p-values near chance. What is not found is not proved absent.
#
# Two rules keep the coins fair. Make both twins alike: if one were the original and the other noisy, a coin would still be fair, but the thief could see which versions look untouched and the margins would be mostly taste. And toss *before* you look at either: whoever publishes the better one of two has no null.
#
# ## Who can remove it?
#
# Everything above was one network, one key, one $\varepsilon$. The script `benchmarks/watermark_radioactive.py` repeats it, for `SmallCNN` (convolutions) and `MLP(128)` (dense), and lets the thief fight back.

# %%
measured = result("watermark_radioactive")
runs = measured["runs"]


def p_values(*name, field=None):
    """Those of all seeds: of runs whose names begin like this."""
    start = "/".join(map(str, name)) + "/"
    found = [value for run, value in runs.items() if run.startswith(start)]
    return np.array([value[field] if field else value for value in found])


def powers(values):
    """The median of −log₁₀ p."""
    return float(np.median(-np.log10(values)))


# %% tags=["hide-input", "fig-radio-epsilon"] mystnb={"image": {"alt": "Two panels, minus log ten of the p-value over epsilon from 0.025 to 0.25, on a logarithmic axis. Left, for a dense network, gradients are highest and logits below them, both far above the dashed line at 4; losses cross it near epsilon 0.05. Right, for convolutions, gradients cross the line between 0.05 and 0.1 and logits near 0.1, and both rise to about 20 or more at 0.25; losses stay below the line."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 3), sharey=True)
sizes = (0.025, 0.05, 0.1, 0.15, 0.25)
for axis, build in zip(axes, ("dense", "convolutions"), strict=True):
    for access, hue, style in (
        ("gradients", "blue", "o-"),
        ("logits", "orange", "s--"),
        ("losses", "green", "^:"),
    ):
        line = [powers(p_values("epsilon", build, e, field=access)) for e in sizes]
        axis.plot(sizes, line, style, color=COLOURS[hue], label=access)
    axis.axhline(4, ls="--", lw=0.8, color=COLOURS["black"])
    axis.set(title=build, xlabel=r"$\varepsilon$", yscale="symlog", ylim=(0, 120))
axes[0].set_ylabel(r"$-\log_{10} \pi$")
handles = axes[0].get_legend_handles_labels()
figure.legend(*handles, loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# *How much mark for how much evidence.* Upwards is stronger; the dashed line is $\pi = 10^{-4}$. Access matters, and so does the network: dense layers see every pixel. For them, an $\varepsilon$ of 0.025 is enough, six grey values of 255.

# %% tags=["nbval-ignore-output"]
print("−log₁₀ p after the thief did something       dense   convolutions")
for how, words in (
    ("none", "nothing"),
    ("fine-tuning", "fine-tuning on the unmarked originals"),
    ("distillation", "a student taught on the originals"),
    ("noise", "noise on the images, σ = 0.15"),
    ("blur", "blur of the images, 3×3"),
    ("shifts", "shifts by up to 2 pixels"),
    ("threshold", "black or white, at 0.5"),
):
    row = [
        powers(p_values("removal", b, how, field="p"))
        for b in ("dense", "convolutions")
    ]
    print(f"{words:42} {row[0]:8.1f} {row[1]:8.1f}")

# %% [markdown]
# Read it from the top.
#
# **Fine-tuning** on the very same digits without the mark leaves most of the trace: what does no harm is not unlearnt.
#
# **Distillation** loses nearly all of it, if the student sees only unmarked images: the teacher's answers on those say nothing about a pattern that is not there. (A student who is taught *on the published images* learns from marked data; Exercise 1.) That is the opposite of a mark in answers, which is made to survive distillation: [lecture 7.3](models.ipynb).
#
# **Changing the images** is what the threat model leaves out, and what works: a threshold takes nearly all of a mark that lives on empty paper, and moving the images about takes most of it, for a carrier is tied to its place. On photographs there is no such threshold. Blur and noise are no cure, even here.

# %%
claim(
    "Fine-tuned: p under 1e-4",
    powers(p_values("removal", "dense", "fine-tuning", field="p")) > 4,
)
taught = powers(p_values("removal", "dense", "distillation", field="p"))
claim("A student on originals: nothing found (over 1e-4)", taught < 4)

# %% [markdown]
# The same file has the two other tests of this page. The paper's test gets a second chance, with *every* image marked; and the twins meet convolutions.

# %% tags=["nbval-ignore-output"]
print("−log₁₀ p                                  dense   convolutions")
for words, name, field in (
    ("features, every tenth image marked", ("features", "0.1"), "scratch"),
    ("features, every image marked", ("features", "1.0"), "scratch"),
    ("twins, 400 pairs, 5 epochs", ("twins", 400, 5), None),
):
    row = [
        powers(p_values(name[0], build, *name[1:], field=field))
        for build in ("dense", "convolutions")
    ]
    print(f"{words:38} {row[0]:8.1f} {row[1]:8.1f}")

# %%
tenth, every = (
    powers(p_values("features", "dense", share, field="scratch"))
    for share in (0.1, 1.0)
)
claim("The paper's test, every image marked, dense: p under 1e-4", every > 4)
claim("but every tenth: over 1e-4", tenth < 4)

# %% [markdown]
# So the idea of the paper is sound, and our data are small: where all images of a class are moved along $u$, the direction belongs to the class, and the rows turn to it. With every tenth, ten classes and 4,000 digits, it drowns.
#
# ## Evaluate honestly
#
# A test of a test: many innocent models, a fresh key for each, and p-values that must be uniform. Below one network of the page meets 2,000 keys. Its response is computed once, since it doesn't depend on the key; the statistic is the plain sum of the margins over its standard deviation, $\sum_j m_j / \lVert g \rVert$.


# %%
def scores(response, keys=2000):
    """Standard scores of one response under keys that nobody used."""
    coins = 2.0 * torch.randint(2, (keys, response.numel()), generator=generator) - 1
    return (coins.double() @ response.flatten()) / response.norm()


response = not_found.margins * carriers[:, 0, ::4, ::4].double()  # without the key
under_keys = scores(response)
uniform = stats.kstest(under_keys.numpy(), "norm")
depth = np.log10(uniform.pvalue)
claim("Scores of an innocent under fresh keys: standard normal", depth > -6)
of_guilty = scores(found.margins)
uniform = stats.kstest(of_guilty.numpy(), "norm")
depth = np.log10(uniform.pvalue)
claim("Scores of the suspect under other keys: just as normal", depth > -6)

# %% tags=["hide-input", "fig-radio-null"] mystnb={"image": {"alt": "A histogram of standard scores. That of an innocent model under 2,000 fresh keys is a bell around 0 and follows the normal curve. The scores of the t-test over images, of the same model, are spread flatly from about minus 12 to 12. A dashed vertical line far to the right marks the suspect under the true key."}}
figure, axis = plt.subplots(figsize=(6, 3))
grid = np.linspace(-15, 15, 400)
bins = np.linspace(-15, 15, 41)
axis.hist(
    under_keys, bins, density=True, color=COLOURS["sky"], label="coins, fresh keys"
)
axis.hist(
    t_tests,
    bins,
    density=True,
    histtype="step",
    lw=1.5,
    color=COLOURS["orange"],
    label="t-test over images, fresh keys",
)
axis.plot(grid, stats.norm.pdf(grid), color=COLOURS["black"], label="standard normal")
true_score = float(found.margins.sum() / found.margins.norm())
axis.axvline(true_score, ls="--", color=COLOURS["blue"], label="suspect, true key")
axis.set(xlabel="score", ylabel="density", xlim=(-15, 15))
figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# *Two nulls for the same innocent network.* The coins give what they promise. The t-test over 300 images, which were counted as independent, is spread several times as wide, and would accuse under many keys.
#
# The result file does it with the library's own p-values: as many unmarked networks as it says, each with a key of its own, for the three detectors of this page.

# %% tags=["nbval-ignore-output"]
for detector, row in measured["null"].items():
    below = ", ".join(
        f"{share:.3f} below {level}" for level, share in row["below"].items()
    )
    print(f"{detector:8} {row['models']} models: {below}; KS p = {row['ks_p']:.2f}")

# %%
worst = min(row["ks_p"] for row in measured["null"].values())
claim("None of them departs from uniform (KS p over 1e-3)", worst > 1e-3)

# %% [markdown]
# ## What goes wrong
#
# **A control that was not clean.** Take the suspect itself, or a model that was trained on the published images, and the trace is subtracted with the taste. The library refuses the suspect as its own control; it can't know what your control has seen.

# %%
thief, tainted = (trained(data.images, network=MLP(128), **dense) for _ in range(2))
both = {
    name: watermark.radioactive_test(
        thief, *asked, key=key, epsilon=EPSILON, control=of_owner
    )
    for name, of_owner in (("clean", clean), ("tainted", tainted))
}
by_logits = watermark.radioactive_test(
    thief, *asked, key=key, epsilon=EPSILON, control=clean, access="logits"
)
claim(
    "This one is dense, and its logits suffice: p under 1e-4", by_logits.p_value < 1e-4
)
lost = np.log10(both["tainted"].p_value / both["clean"].p_value)
claim("A clean control: p under 1e-10", both["clean"].p_value < 1e-10)
claim("A tainted one costs over 10 powers of ten", lost > 10)

# %% [markdown]
# **A key that was chosen after looking.** With the response in hand, anybody can choose signs that agree with it; every model is then "guilty" of a key. The p-value holds for a key that was fixed before the model existed. Publish its hash when you publish the data, with a date that others can confirm.

# %%
forged = watermark.signed_rank_evidence(response.abs().flatten())
claim("A key made to fit convicts the innocent: p under 1e-20", forged.p_value < 1e-20)

# %% [markdown]
# **Not finding it.** A p-value of 0.5 says that this test saw nothing. The model may have been trained with shifted images, a threshold, or by convolutions on twins. It is no certificate.
#
# **The others who trained on it.** Your data may have reached the suspect through somebody else, with a licence. The test says *what* was learnt, not from whom it was bought.
#
# ## The lawyer's question: what would this prove?
#
# That this model is not independent of your key. Together with a commitment to the key that is older than the model, it is strong evidence that data marked with it, or something made from them, were in its training. It does not say how many of the images were used, which of them, by whom, or whether the use was forbidden: for these one needs documents, and for single images twins. And "one in ten thousand" is the chance of such evidence against *one* innocent model. Who tests a hundred models, and reports the smallest
# p-value, has to multiply by a hundred.
#
# ## Practice
#
# **Exercise 1** (15 minutes). *A student of the thief.* Let `thief` be a teacher. Train one student on the published images and one on the unmarked originals, both from the teacher's probabilities alone. Which of them carries the mark? The student never sees a label.
#
# <details><summary>Hint 1: the loss</summary>
#
# `fit` takes `loss=`, a function of model, images and targets; cross-entropy with the teacher's probabilities as targets.
#
# </details>
#
# <details><summary>Hint 2: the library's way</summary>
#
# `F.cross_entropy(model(x), p)` takes probabilities, too. The data set is `TensorDataset(x, predict(thief, x).softmax(1))`.
#
# </details>

# %% tags=["hide-cell"]
# Solution: the student on published images does. It meets the patterns, and the teacher
# is a little surer of the class when it sees them. On originals it never meets them.


def soft(model, x, p):
    return torch.nn.functional.cross_entropy(model(x), p)


def student(pictures):
    answers = predict(thief, pictures).softmax(1)
    return trained(pictures, answers, MLP(128), loss=soft, **dense)


pupils = {"published": student(data.images), "originals": student(images)}
marks = {
    name: watermark.radioactive_test(
        pupil, *asked, key=key, epsilon=EPSILON, control=clean
    ).p_value
    for name, pupil in pupils.items()
}
claim("Taught on published images: p under 1e-4", marks["published"] < 1e-4)
fewer = np.log10(marks["originals"] / marks["published"])
claim("Taught on originals: over 3 powers of ten less", fewer > 3)

# %% [markdown]
# **Exercise 2** (10 minutes). *How many twins?* Suppose a model prefers the published version in 55 % of the pairs. Use the normal approximation of the binomial law: how many pairs does the sign test need for $\pi < 10^{-4}$, in half of the cases? And at 52 %?
#
# <details><summary>Hint: what must be how large</summary>
#
# The share's distance from one half, over its standard deviation $\tfrac{1}{2\sqrt n}$, must be 3.72.
#
# </details>

# %% tags=["hide-cell"]
# Solution: n = (3.72 / (2 · 0.05))² = 1,383 pairs, and 8,646 at 52 %. The weaker the
# memory, the more images it takes, by the square. Wilcoxon's ranks need fewer.
needed = [(stats.norm.isf(1e-4) / (2 * lead)) ** 2 for lead in (0.05, 0.02)]
claim("About 1,400 and 8,600", abs(needed[0] - 1383) < 2 and abs(needed[1] - 8644) < 5)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Why is the p-value of the coins exact, although nothing is known about the model?
# - Because 490 coins are many :: It is exact for ten coins, too; with few, it just can't be small.
# + Because the key was drawn independently of an innocent model :: The signs are fair whatever the responses are, and only the signs are random.
# - Because the control takes out what is natural :: The control makes the test stronger. Without it the p-value is exact as well.
# ? A t-test over 10,000 held-out images instead of 300 would be …
# - more reliable, since there are more data :: All of them are asked by one key, of one model. More images measure the model's taste more exactly.
# + more often wrong about innocents :: The standard error shrinks, and the taste does not.
# - equally wrong :: The score of a fixed taste grows like the root of the number of images.
# ? The test finds nothing in a model. What follows?
# - It was not trained on the data :: It may have been, after a threshold or with too little memory.
# - The key is wrong :: The key may be right and the trace too weak.
# + Nothing, but that this test saw no trace :: How strong it would have been is known only from experiments with models like it.
# ? Which of these breaks the null of the twins?
# - The two versions look different :: They may. The coin is fair as long as it alone decides.
# - The model was trained on a photograph of the same scene :: Then it is independent of the coin all the same.
# + The owner publishes the nicer version of each pair :: Models may prefer nicer versions, too; no coin was tossed.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** One test for any model that answers, with an exact p-value, without unmarked models to compare with. It costs the owner a few lines before publishing, and the labels stay right.
#
# **Limitations.** It must be done before. Blocks of $\varepsilon = 0.15$ can be seen on empty paper, and whoever looks for them can take them off. The carriers are tied to places: images that are shifted and cropped in training lose part of the trace. Without gradients the test is weaker, and with losses alone it may fail.
# Everything here has ten classes and small networks. For text, a mark of the generator leaves such traces in a model that is trained on its output {cite}`sander2024watermarking`.
#
# **Software.** The authors' [radioactive_data](https://github.com/facebookresearch/radioactive_data) is research code for ImageNet, under a non-commercial licence; for texts there is [STAMP](https://github.com/codeboy5/STAMP). In this library: `watermark.radioactive_mark`, `watermark.radioactive_carriers`, `watermark.radioactive_test`, `watermark.feature_mark`, `watermark.cosine_test`, `watermark.twins`, `watermark.twin_test`, `watermark.rank_evidence`; the answers are `RadioactiveData`, `RadioactiveEvidence`, `CosineEvidence`, `Twins` and `TwinEvidence`.
#
# ## What to take away
#
# Put the chance where you can control it: into a key, before publishing. Then any statistic has a null, whatever the model is. Images are no independent witnesses; coins are. And a trace that is found says that the model met your data; a trace that is not found says nothing.
#
# Next: [marks in models](models.ipynb).
