# %% [markdown]
# # 4.5 Examples and counterfactuals
#
# Ask a doctor why, and you may hear "I have seen a case like this". Ask what would have changed her mind, and you may hear "if the
# left lung were clear". This lecture asks networks the same two things. Both answers are made of examples instead of weights, and
# both can be looked at.
#
# **What you will learn**
#
# - to look up the training images that resemble an image **to the network**, and to turn their votes into a measure of support;
# - to choose a few examples that stand for many, and to train a network that says "this looks like that";
# - to estimate what a prediction would have been without one training image, and to check the estimate by retraining;
# - to find the fewest patches that must be swapped before the class changes;
# - what none of these explanations promises.
#
# **Before you start**: [attributions](attributions.ipynb), which ask for pixels where this lecture asks for examples, and
# [projected gradient ascent](../20_adversarial/iterative_attacks.ipynb). The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 60 minutes to read; {{ cpu_seconds }} to run.

# %%
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Rectangle
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from tml_helpers import attacks, explain
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist, photos
from tml_helpers.models import SmallCNN, imagenet_classifier
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## Two questions
#
# **Which examples does this answer rest on? And what would have to be different for another answer?** The digits come from MNIST
# ([data card](../../book/data_cards/mnist.md)). A fifth of the training images are set aside: the network does not learn from them, and
# they will tell us what is usual.

# %%
train, test = mnist("train"), mnist("test").select(slice(1000))
generator = seed_everything(seed())
shuffled = torch.randperm(len(train), generator=generator)[:4000]
train, usual = train.select(shuffled[:3200]), train.select(shuffled[3200:])
model = SmallCNN()
fit(model, train, epochs=4, learning_rate=2e-3, batch_size=64, generator=generator)
model.eval().requires_grad_(False)
answers = predict(model, test.images).argmax(dim=1)
wrong = (answers != test.labels).nonzero().flatten()
right = (answers == test.labels).nonzero().flatten()

# %%
claim("The network reads more than 90 % of the test digits", len(right) > 0.9 * 1000)
claim("... and misreads at least ten", len(wrong) >= 10)


# %% [markdown]
# Start with the plainest explanation by example: the **nearest neighbours**. Near by which measure? In pixels, two digits are near
# if their ink overlaps. In a layer of the network, they are near if the layer says the same about both. Here the measure
# is the angle between the two vectors, or rather one minus its cosine, so that the length does not matter.


# %%
def codes(images):
    """Pixels, both convolutions and the hidden layer, as unit vectors."""
    outputs, h = {"pixels": images}, images
    names = {3: "convolution 1", 6: "convolution 2", 9: "hidden layer"}
    for position, layer in enumerate(model.layers):
        h = layer(h)
        if position in names:
            outputs[names[position]] = h
    return {name: F.normalize(h.flatten(1), dim=1) for name, h in outputs.items()}


# %%
known = codes(train.images)
near = {
    name: (code @ known[name].T).topk(8).indices  # (misread, 8)
    for name, code in codes(test.images[wrong]).items()
}
agreeing = torch.stack(
    [
        (train.labels[indices] == test.labels[wrong, None]).sum(dim=1)
        for indices in near.values()
    ]
)  # of eight, those that have the true label: (layers, misread)
torn = (agreeing[:2].sum(dim=0) - agreeing[2:].sum(dim=0)).argmax()

# %%
claim(
    "One misread digit has more true neighbours early than late",
    bool(agreeing[:2, torn].sum() > agreeing[2:, torn].sum()),
)

# %% tags=["nbval-ignore-output"]
written, read = test.labels[wrong[torn]].item(), answers[wrong[torn]].item()
print(f"a person wrote {written}, the network reads {read}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "A misread test digit on top of each of four columns, and below it its eight nearest training digits with their labels: by pixels in the first column, by the two convolutional layers in the next two, and by the hidden layer in the last. Labels that differ from the true one are orange; further to the right there are more of them."}}
figure, axes = plt.subplots(9, 4, figsize=(4.8, 8))
for column, (name, indices) in zip(axes.T, near.items(), strict=True):
    show_image(column[0], test.images[wrong[torn]], name)
    for axis, index in zip(column[1:], indices[torn], strict=True):
        label = train.labels[index].item()
        show_image(axis, train.images[index])
        hue = COLOURS["black" if label == written else "orange"]
        axis.text(29, 14, label, color=hue, va="center", weight="bold")
axes[0, 0].text(-2, 14, "test digit", ha="right", va="center")
axes[1, 0].text(-2, 14, "nearest", ha="right", va="center")
plt.show()

# %% [markdown]
# *One test digit that the network misreads, and its nearest training digits, layer by layer.* The number beside a neighbour is its label, orange
# where it is not what the person meant. The columns are lists of witnesses, and they do not agree: near in ink is not near in
# the hidden layer, where only what matters for the ten classes is left. Where the neighbours turn orange, there the error is made. This digit was chosen
# because its layers disagree; for many misread digits all columns are orange.
#
# ## Deep k-nearest neighbours
#
# Let the witnesses vote {cite}`papernot2018deep`. For an image $x$ and a class $j$, count the neighbours in all layers that have **another** class:
#
# $$\nu(x, j) = \sum_{\text{layers}} \big|\{\text{the nearest neighbours of } x \text{ that are not of class } j\}\big| .$$
#
# That is the **nonconformity** of calling it $j$: how strange it would be. How strange is too strange? The images that were set aside
# tell. Of each we know the class, so we know how strange right answers usually are. The **p-value** of $j$ is the share of them that are at least as
# strange:
#
# $$\text{p-value}(x, j) = \frac{\big|\{i : \nu(x_i, y_i) \ge \nu(x, j)\}\big|}{\text{number of images set aside}} .$$
#
# The prediction is the class with the largest p-value, and that value is its **credibility**: near 0, and no class has support in the training
# images. One minus the second largest is the **confidence**: near 0, and two classes have support.


# %%
def opponents(images, k=25):
    """ν(x, j): of k neighbours in each of three layers, how many have another class."""
    votes = 0
    for name, code in codes(images).items():
        if name != "pixels":
            nearest = (code @ known[name].T).topk(k).indices  # (images, k)
            votes = votes + F.one_hot(train.labels[nearest], 10).sum(dim=1)
    return 3 * k - votes


strange = opponents(usual.images).gather(1, usual.labels[:, None])  # (800, 1)
some = test.images[::5]
by_hand = (strange[:, :, None] >= opponents(some)).float().mean(dim=0)

# %%
layers = ["layers.3", "layers.6", "layers.9"]
calibration = {
    "calibration_images": usual.images,
    "calibration_labels": usual.labels,
}
neighbourhood = explain.DeepKNN(
    model, *train.tensors, **calibration, layers=layers, neighbours=25
)
support = neighbourhood(some)

# %%
claim(
    "By hand and by the library, 99 in 100 p-values are the same, up to rounding",
    ((support.p_values - by_hand).abs() < 0.02).float().mean() > 0.99,
)
same = (support.predictions == answers[::5]).float().mean()
claim(
    "The neighbours and the network give the same answer nine times in ten", same > 0.9
)

# %% [markdown]
# Now four kinds of image. Digits that the network reads rightly, digits that it misreads, digits that PGD has changed within
# $\varepsilon = 0.2$ so that it misreads them, and digits on their side, which are no digits at all. What does the softmax say about each, and what the
# neighbours?

# %%
attacked = test.images[right[::9]], test.labels[right[::9]]
adversarial = attacks.pgd(model, *attacked, epsilon=0.2, steps=20, generator=generator)
fooled = predict(model, adversarial).argmax(dim=1) != attacked[1]
sideways = test.images[torch.isin(test.labels, torch.tensor([2, 3, 4, 5, 7]))]
groups = {
    "read rightly": test.images[right[::9]],
    "misread": test.images[wrong],
    "adversarial": adversarial[fooled],
    "on its side": torch.rot90(sideways[::5], dims=(2, 3)),
}
found = {name: neighbourhood(images) for name, images in groups.items()}
sure = {
    name: predict(model, images).softmax(dim=1).amax(dim=1)
    for name, images in groups.items()
}

# %%
credible = {name: said.credibility.median().item() for name, said in found.items()}
claim("Most adversarial images do fool the network", fooled.float().mean() > 0.6)
claim(
    "Digits read rightly have a median credibility above 0.3",
    credible["read rightly"] > 0.3,
)
claim(
    "The other three have less than half of it",
    all(value < credible["read rightly"] / 2 for value in list(credible.values())[1:]),
)
claim(
    "Of the adversarial images the softmax is at least 80 % sure in the median",
    sure["adversarial"].median() > 0.8,
)

# %%
voters = train.labels[found["adversarial"].neighbours]  # (layers, images, neighbours)
as_written = voters == attacked[1][fooled][:, None]
by_layer = as_written.float().mean(dim=(1, 2))
claim(
    "Over half of the first layer's neighbours have the class that was written",
    by_layer[0] > 0.5,
)
claim("... but not a third of the hidden layer's", by_layer[2] < 1 / 3)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels with a row of dots for each of four groups of images: read rightly, misread, adversarial, on its side. Left, the softmax probability: high for most images of every group. Right, the credibility from neighbours: spread over all values for digits read rightly, and close to zero for the other three groups."}}
figure, panels = plt.subplots(1, 2, figsize=(7, 2.9), sharey=True)
jitter = np.random.default_rng(0)
values = sure, {name: said.credibility for name, said in found.items()}
for axis, by_group in zip(panels, values, strict=True):
    for row, group in enumerate(by_group.values()):
        heights = -row + jitter.uniform(-0.3, 0.3, len(group))
        colour = COLOURS["blue" if row == 0 else "orange"]
        axis.scatter(group, heights, s=9, alpha=0.5, color=colour, linewidths=0)
        axis.plot(group.median(), -row, "k|", ms=24, mew=2)
panels[0].set_yticks([0, -1, -2, -3], labels=list(groups))
panels[0].set_xlabel("largest softmax probability")
panels[1].set_xlabel("credibility")
plt.show()

# %% [markdown]
# *The softmax is sure of most images of every kind; the neighbours are not.* One dot is one image, the black stroke the median. To the softmax an attacked digit
# looks nearly as good as a real one. Its neighbours in the early layers mostly still have the class that a person sees, those in the hidden layer another,
# and so no class has much support. A credibility near 0 says: *do not trust this answer.* It does not say what is wrong.
#
# A dot at 1 is an image whose 75 neighbours all agree.
#
# Two warnings. A low credibility alone is no alarm: by construction about one ordinary image in twenty has a p-value of 0.05 or less for its true class. And this was not an evaluation of a **defence**. The attacker did not know of the
# neighbours; attacks that do know aim at the neighbours themselves, and succeed
# {cite}`sitawarin2019robustness`. [Lecture 2.6](../20_adversarial/honest_evaluation.ipynb) explains why only such an attack counts.

# %%
own = support.p_values.gather(1, test.labels[::5, None])
rare = (own <= 0.05).float().mean()
claim("Of ordinary images, fewer than one in eight has a p-value ≤ 0.05", rare < 1 / 8)

# %% [markdown]
# ## Prototypes: a few that stand for many
#
# Neighbours explain one image. To explain a *data set*, or what a network calls a 7, show a few typical examples, the
# **prototypes**, and a few that these do not stand for, the **criticisms**. MMD-critic {cite}`kim2016examples` makes "stand for"
# exact. With a kernel $\kappa(x_i, x_j) = \exp(-\|x_i - x_j\|^2 / 2\sigma^2)$, the squared maximum mean discrepancy between all $n$ samples and a chosen
# set $V$ of them is
#
# $$\mathrm{MMD}^2 = \frac{1}{n^2}\sum_{i,j} \kappa(x_i, x_j) - \frac{2}{n|V|}\sum_{i}\sum_{j \in V} \kappa(x_i, x_j) + \frac{1}{|V|^2}\sum_{i,j \in V} \kappa(x_i, x_j) .$$
#
# In words: how alike the samples are among themselves, minus twice how much the chosen resemble them, plus how much the chosen resemble each other. The
# last term keeps them apart. Prototypes are added one by one, each the one that lowers the sum most; criticisms are where the two averages
# of $\kappa$ differ most.

# %%
sevens = train.select(train.labels == 7)
vectors = codes(sevens.images)["hidden layer"]
chosen = explain.mmd_critic(vectors, prototypes=8, criticisms=8)


def discrepancy(indices):
    """MMD² up to its first term, which is the same for all choices."""
    squares = torch.cdist(vectors, vectors).square()
    kappa = (-squares / (2 * torch.pdist(vectors).median() ** 2)).exp()
    return (kappa[indices][:, indices].mean() - 2 * kappa[:, indices].mean()).item()


draws = [torch.randperm(len(vectors), generator=generator)[:8] for _ in range(200)]
of_draws = torch.tensor([discrepancy(draw) for draw in draws])

# %%
claim(
    "Eight prototypes stand for the sevens better than 19 of 20 random draws of eight",
    (of_draws > discrepancy(chosen.prototypes)).float().mean() > 0.95,
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four rows of four handwritten sevens. The eight prototypes in the upper two rows are plain and typical, with and without a bar through the stem; the eight criticisms in the lower two are unusual: slanted, curled, thick or hardly legible."}}
figure, axes = plt.subplots(4, 4, figsize=(4.6, 4.8))
halves = axes[:2], axes[2:]
for rows, (name, indices) in zip(halves, vars(chosen).items(), strict=True):
    for axis, index in zip(rows.flat, indices, strict=True):
        show_image(axis, sevens.images[index])
    rows[0, 0].set_title(name, fontsize=10, loc="left")
plt.show()

# %% [markdown]
# *What the network takes a 7 to be, and what it finds odd.* The upper two rows are the short version of some 300 sevens. The lower two are what that version leaves
# out, and the more useful of the two when you look for errors in the data.
#
# ## This looks like that
#
# So far the examples were found afterwards. A network can also be built to **decide** by them. ProtoPNet {cite}`chen2019this` has a layer
# of prototypes, each a vector $\mu_j$ the size of one cell of the feature map, each belonging to a class. An image has a grid of cells, $A(x, i)$;
# prototype $j$ looks for the one that is nearest, and reports a similarity:
#
# $$s_j(x) = \max_{\text{cells } i} \log \frac{\|A(x, i) - \mu_j\|_2^2 + 1}{\|A(x, i) - \mu_j\|_2^2 + 10^{-4}},
# \qquad z_k = \sum_j w_{kj}\, s_j(x) .$$
#
# In words: *this cell looks like that prototype*, this much; and the logit is the weighted sum. At first a prototype counts $1$ for its own class and
# $-\tfrac12$ for each other. Training goes in three steps.
#
# 1. **Learn** features and prototypes with cross-entropy, a reward for having a cell near a prototype of the own class (*cluster*), and one for
#    having none near another's (*separation*). The last layer rests.
# 2. **Push** each prototype onto the nearest cell of a training image of its class. Now it *is* a piece of an image, and can be shown.
# 3. **Fit the last layer** alone, with an L1 penalty on weights between classes: a convex problem.

# %%
parts = explain.ProtoPNet(prototypes_per_class=3, generator=generator)
costs = partial(explain.prototype_loss, cluster=0.3, separation=0.03)
how = {"epochs": 4, "learning_rate": 3e-3, "batch_size": 64, "generator": generator}
fit(parts, train, loss=costs, **how)
patches = parts.push(*train.tensors)
after_push = accuracy(parts, test)
_ = parts.fit_last_layer(*train.tensors)
reads = {
    "plain network": len(right) / 1000,
    "after the push": after_push,
    "with a new last layer": accuracy(parts, test),
}

# %%
claim("It reads at least 80 % of the test digits", reads["with a new last layer"] > 0.8)
claim(
    "The last step wins back what the push has cost",
    reads["with a new last layer"] > reads["after the push"],
)
claim(
    "The plain network reads more: so clear a reason has its price",
    reads["plain network"] > reads["with a new last layer"],
)

# %% tags=["nbval-ignore-output"]
for name, share in reads.items():
    print(f"{name:<22}{share:7.1%}")


# %%
def framed(axis, image, box, title="", colour="orange"):
    """An image with a box (top, left, bottom, right) drawn on it."""
    show_image(axis, image, title)
    top, left, bottom, right = box.tolist()
    corner, colour = (left - 0.5, top - 0.5), COLOURS[colour]
    size = right - left, bottom - top
    axis.add_patch(
        Rectangle(corner, *size, fill=False, color=colour, linewidth=2, clip_on=False)
    )


# %% tags=["hide-input"] mystnb={"image": {"alt": "Training digits in three blocks of at most four columns, one column for each class from 0 to 9, with three digits each. On each digit an orange box marks the 16 by 16 pixels, or fewer at the border, that are the prototype: a bend, a crossing, the end of a stroke."}}
figure, axes = plt.subplots(9, 4, figsize=(4.4, 9))
for axis in axes.flat:
    axis.axis("off")
columns = axes.reshape(3, 3, 4).swapaxes(1, 2)  # (blocks, classes, prototypes)
for j, axis in zip(range(30), columns.flat, strict=False):
    title = str(j // 3) if j % 3 == 0 else ""
    framed(axis, train.images[patches.images[j]], patches.boxes[j], title)
plt.show()

# %% [markdown]
# *All that the network compares with: three patches for each digit.* The box is the receptive field, everything that the cell sees. This page of thirty
# pictures and thirty rows of weights **is** the last layer, complete. Look for boxes that hold a stroke that you too would use. Then look for those that hold
# little but blank paper beside the ink: a digit is also where it is *not*, and no one told the network that a part should be a stroke.

# %%
readings = predict(parts, test.images).argmax(dim=1)
errors = (readings != test.labels).nonzero().flatten()
shown = torch.stack([(readings == test.labels).nonzero()[7, 0], errors[0]])
evidence = parts.evidence(test.images[shown])

# %%
claim(
    "The evidence adds up to the logit, up to rounding",
    torch.allclose(
        evidence.contributions.sum(dim=1),
        predict(parts, test.images[shown]).amax(dim=1),
        atol=1e-3,
    ),
)

# %% tags=["nbval-ignore-output"]
for i, index in enumerate(shown):
    three = evidence.contributions[i].topk(3).values
    rest = evidence.logits[i] - three.sum()
    print(
        f"written {test.labels[index]}, read {readings[index]}: "
        + " + ".join(f"{value:.1f}" for value in three)
        + f" + {rest:.1f} from the others = logit {evidence.logits[i]:.1f}"
    )

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two test digits, one read rightly and one misread, in two blocks of two rows and three columns. In the upper row of a block the test digit with a box around its patch, in the lower row the training digit with the box of the prototype that the patch resembles. Above each pair stands the similarity times the weight, below it their product."}}
figure, axes = plt.subplots(4, 3, figsize=(4.8, 7))
for i, (block, index) in enumerate(zip((axes[:2], axes[2:]), shown, strict=True)):
    best = evidence.contributions[i].topk(3).indices
    for column, j in zip(block.T, best, strict=True):
        s, w = evidence.similarities[i, j], evidence.weights[i, j]
        framed(
            column[0], test.images[index], evidence.boxes[i, j], f"{s:.1f} × {w:.2f}"
        )
        looks = f"like this {j // 3}: {s * w:.1f}"
        framed(column[1], train.images[patches.images[j]], patches.boxes[j], looks)
plt.show()

# %% [markdown]
# *Two rows for a digit that is read rightly, two for one that is misread: the patch, and below it what it looks like.* The titles are the sum itself: similarity times
# weight. Nothing is estimated, nothing left out but the remaining prototypes, which the lines above the figure add. And the misread digit can be argued
# with: one can point at the patch that resembles the wrong class, and say whether one agrees.
#
# ### What a prototype cannot promise
#
# The network says *this looks like that*. To whom? The similarity is measured in the network's space of features, and nothing ties
# that space to an eye {cite}`hoffmann2021this`. Take digits, change no pixel by more than 0.1, and ask for the largest similarity to a prototype of
# **another** class:

# %%
digits, labels = attacked[0][:40], attacked[1][:40]
other = 3 * ((labels + 5) % 10)  # the first prototype of a class five further on


def similarity(images):
    """How much each image resembles the prototype that was chosen for it."""
    every = parts.similarities(parts.distances(images))
    return every.gather(1, other[:, None]).squeeze(1)


moved = digits.clone()
for _ in range(20):
    moved.requires_grad_()
    (g,) = torch.autograd.grad(similarity(moved).sum(), moved)
    delta = moved.detach() + 0.02 * g.sign() - digits
    moved = (digits + delta.clamp(-0.1, 0.1)).clamp(0, 1)
with torch.no_grad():
    before, after = similarity(digits), similarity(moved)

# %%
claim(
    "The similarity rises on more than four images in five",
    (after > before).float().mean() > 0.8,
)
claim("... and in the median by more than 0.2", (after - before).median() > 0.2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "A training digit with the box of a prototype, then a test digit of another class with the patch that is nearest to the prototype, before and after a change that is hardly visible; the similarity in the titles has grown."}}
worst = (after - before).argmax()
j = other[worst]
figure, axes = plt.subplots(1, 3, figsize=(5.4, 2.1))
framed(
    axes[0], train.images[patches.images[j]], patches.boxes[j], f"prototype of {j // 3}"
)
for axis, image, name in zip(
    axes[1:], (digits, moved), ("before", "after"), strict=True
):
    one = image[worst : worst + 1]
    row = parts.evidence(one)
    title = f"{name}: {row.similarities[0, j]:.1f}"
    framed(axis, one[0], row.boxes[0, j], title, "blue")
plt.show()

# %% [markdown]
# *The same digit to you, and a far better likeness to the network.* The titles are similarities to the prototype on the left. A part-based explanation is
# faithful to the *arithmetic* of the network, exactly. That the parts mean to the network what they mean to you is an assumption, and here it fails.
#
# ## Influential training images
#
# Neighbours look alike. That does not mean that they *caused* the answer. The causal question is: **what would the network say if this training image
# had not been there?** It could be answered by training again without it, once for each image. Influence functions {cite}`koh2017understanding` estimate it without.
#
# Let $L_i(\theta)$ be the loss of training image $i$, and let $\hat\theta$ minimise $\frac1n \sum_i L_i(\theta) + \text{regulariser}$, with Hessian $H$ there.
# Leaving out image $i$ takes $\frac1n L_i(\theta)$ away from that objective. At the new minimum $\hat\theta_{-i}$ the gradient is 0 again; to first order,
#
# $$\hat\theta_{-i} - \hat\theta \approx \tfrac1n H^{-1} \nabla L_i(\hat\theta), \qquad
# L_{\text{test}}(\hat\theta_{-i}) - L_{\text{test}}(\hat\theta) \approx
# \tfrac1n \nabla L_{\text{test}}(\hat\theta)^\top H^{-1}\, \nabla L_i(\hat\theta) .$$ (eq-influence)
#
# In words: how the test loss would change if image $i$ were removed. **Positive: it was helpful. Negative: it did harm.** (The paper writes the effect of
# giving it more weight, which is $-n$ times this.)
#
# The theory wants a minimum and a curvature, so we take a model that has both: logistic regression on 14×14 pixels, 4 against 9. And because we want
# to know the culprits, we plant some: one training label in twelve is switched.


# %%
def pair(digits):
    """4 against 9, as 14×14 pixels and a 1 for the bias; labels 0 and 1."""
    chosen = digits.select((digits.labels == 4) | (digits.labels == 9))
    pixels = F.avg_pool2d(chosen.images, 2).flatten(1).double()
    inputs = torch.cat([pixels, torch.ones(len(pixels), 1)], dim=1)  # (n, 197)
    return chosen.images, inputs, (chosen.labels == 9).double()[:, None]


pictures, x, truth = pair(train)
test_pictures, x_test, y_test = pair(test)
n, strength = len(x), 0.01
switched = torch.rand(n, 1, generator=generator) < 1 / 12
y = torch.where(switched, 1 - truth, truth)


def minimum(keep):
    """argmin of 1/n Σ L over the samples to keep + λ/2 ‖w‖²; n stays what it was."""
    solver = LogisticRegression(C=1 / (strength * n), fit_intercept=False, tol=1e-8)
    return torch.tensor(solver.fit(x[keep], y[keep, 0]).coef_)


everyone = torch.ones(n, dtype=torch.bool)
linear = nn.Linear(197, 1, bias=False).double()
linear.weight.data = minimum(everyone)

# %% [markdown]
# For this loss everything is known in closed form: with $p = \operatorname{sigmoid}(Xw)$ the gradient of a sample is $(p - y)\,x$, and the Hessian
# $X^\top \operatorname{diag}(p(1 - p)) X / n + \lambda\, \mathrm{Id}$. Five lines, and the library, which asks nothing of the model but that it can be
# differentiated twice:

# %%
with torch.no_grad():
    p, p_test = linear(x).sigmoid(), linear(x_test).sigmoid()
    hessian = x.T @ (p * (1 - p) * x) / n + strength * torch.eye(197)
    g, g_test = (p - y) * x, (p_test - y_test) * x_test
    by_hand = g_test @ torch.linalg.solve(hessian, g.T) / n  # (test, n)
estimate = partial(
    explain.influence,
    linear,
    x,
    y,
    loss=F.binary_cross_entropy_with_logits,
    regulariser=lambda weights: strength / 2 * weights["weight"].square().sum(),
)
by_library = estimate(test_inputs=x_test, test_labels=y_test)

# %%
claim(
    "Five lines and the library agree, up to rounding",
    bool((by_hand - by_library).norm() < 1e-6 * by_library.norm()),
)
iterated = estimate(
    test_inputs=x_test[:3], test_labels=y_test[:3], solver="conjugate_gradients"
)
claim(
    "So does the way for larger models, which never builds H",
    bool((iterated - by_library[:3]).norm() < 1e-3 * by_library[:3].norm()),
)

# %% [markdown]
# Agreement with a formula is not yet agreement with the world. So remove images, train again to the minimum, and look. We take the test digit with the
# largest loss among those that are read rightly, and some sixty training images: the thirty that matter most by the estimate, and thirty at random.


# %%
def loss_at(weights):
    return F.binary_cross_entropy_with_logits(
        x_test @ weights.T, y_test, reduction="none"
    )


start = loss_at(minimum(everyone))
case = int(torch.where(start < 0.69, start, 0).argmax())
row = by_library[case]
drawn = torch.randperm(n, generator=generator)[:30]
removed = torch.cat([row.abs().topk(30).indices, drawn]).unique()
change = []
for i in removed:
    keep = everyone.clone()
    keep[i] = False
    change.append((loss_at(minimum(keep)) - start)[case, 0])
change = torch.stack(change)
correlation = torch.corrcoef(torch.stack([row[removed], change]))[0, 1]

# %%
claim("Estimate and retraining correlate to more than 0.95", correlation > 0.95)

# %% [markdown]
# ### Which labels are wrong?
#
# A mislabelled image is one that the model had to bend for. Its **self-influence**, the rise of its own loss if it were removed, is large. Sort by it,
# look at the top of the list, and count how many of the planted errors have been seen.

# %%
own = estimate(test_inputs=x, test_labels=y).diagonal()
orders = {
    "self-influence": own.argsort(descending=True),
    "loss": (linear(x) * (1 - 2 * y))[:, 0].argsort(descending=True),  # rises with it
    "random order": torch.randperm(n, generator=generator),
}
seen = {
    name: 100 * switched[order, 0].float().cumsum(0) / switched.sum()
    for name, order in orders.items()
}
fifth = n // 5

# %%
claim(
    "Of the errors, a fifth of the list has over 60 %",
    seen["self-influence"][fifth] > 60,
)
claim("... a random fifth has less than 40 %", seen["random order"][fifth] < 40)
claim(
    "Sorting by the loss alone does about as well",
    (seen["loss"][fifth] - seen["self-influence"][fifth]).abs() < 15,
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: change of a test loss after retraining without an image, against the estimate by influence, one dot for each of about sixty training images; the dots lie close to the diagonal. Right: share of switched labels that are seen against the share of training images inspected: by self-influence and by loss the curves rise steeply, in random order along the diagonal."}}
figure, (scatter, curve) = plt.subplots(1, 2, figsize=(7, 3.2))
ends = [
    1000 * min(row[removed].min(), change.min()),
    1000 * max(row[removed].max(), change.max()),
]
scatter.plot(ends, ends, color="#888888", linewidth=1)
scatter.scatter(1000 * row[removed], 1000 * change, s=16, color=COLOURS["blue"])
scatter.set(xlabel="estimate (10⁻³ nats)", ylabel="after retraining (10⁻³ nats)")
share = 100 * torch.arange(1, n + 1) / n
for (name, found_so_far), style in zip(seen.items(), ("-", "--", ":"), strict=True):
    curve.plot(share, found_so_far, style, label=name)
curve.set(xlabel="training images inspected (%)", ylabel="switched labels seen (%)")
curve.legend(loc="lower right")
plt.show()

# %% [markdown]
# *Left, the estimate against the truth; right, what it is good for.* On a convex model the estimate can be trusted, though it is a little too small for the most influential images: taking one
# away also changes the curvature, which the first order does not know. On the right, note the dashed curve. For finding wrong labels the plain loss of each training image does
# about as well, at no cost. Always draw the cheap method beside the costly one.

# %%
ranked = row.argsort()
columns = {"harmful": ranked[:5], "helpful": ranked.flip(0)[:5]}

# %% tags=["hide-input", "fig-influential"] mystnb={"image": {"alt": "A test digit on the left, and to its right a column of five harmful training images and a column of five helpful ones, each with the label that it has in the training set; labels that were switched are orange."}}
figure, axes = plt.subplots(5, 3, figsize=(4.2, 6))
name_of = ("4", "9")
for axis in axes[:, 0]:
    axis.axis("off")
show_image(axes[0, 0], test_pictures[case], f"test: {name_of[int(y_test[case])]}")
for column, (name, indices) in zip(axes.T[1:], columns.items(), strict=True):
    for axis, index in zip(column, indices, strict=True):
        show_image(axis, pictures[index], f"{name}: {name_of[int(y[index])]}")
        axis.title.set_color(COLOURS["orange" if switched[index] else "black"])
plt.show()

# %% [markdown]
# *One test digit, the training images that hurt it most, and those that help it most.* The number is the label in the training set, orange where we switched
# it. Most of the harmful ones look like the test digit and carry the other label. The helpful ones are not simply its nearest neighbours. Even an error can help: an orange image in
# the right column pushes the boundary to the right side of this digit, for the wrong reason.
#
# ## Counterfactuals: the smallest swap
#
# The last question goes the other way. Not what the answer rests on, but **what would have to be different**. In pixels the answer is an adversarial
# example, and explains nothing to anyone. So ask in larger pieces {cite}`goyal2019counterfactual`: take a second image, the **distractor** $\tilde x$, that the network sees as the other
# class $\tilde y$. Both become a grid of cells in some layer. Replace cells of the first by cells of the second until the class flips, and as few as possible:
#
# $$\min |E| \quad \text{so that} \quad \arg\max_k\, \text{head}\big(A(x) \text{ with } A(x, i) \leftarrow A(\tilde x, j) \text{ for } (i, j) \in E\big)_k = \tilde y .$$
#
# $E$ is the list of swaps, and each cell takes part once. There are as many single swaps as pairs of cells, and all of them fit into one batch through the head, which is the small part of
# the network. Take the one after which class $\tilde y$ is most probable; repeat until it wins.


# %%
def greedy_swaps(query, other, target):
    """Cells `(i, j)` to swap, one after the other, in maps `[D, h·w]`."""
    query, swaps = query.clone(), []
    while head(query[None]).argmax() != target:
        ours = [i for i in range(49) if i not in {i for i, _ in swaps}]
        theirs = [j for j in range(49) if j not in {j for _, j in swaps}]
        pairs = torch.cartesian_prod(torch.tensor(ours), torch.tensor(theirs))
        maps = query.repeat(len(pairs), 1, 1)  # (pairs, D, 49)
        maps[torch.arange(len(pairs)), :, pairs[:, 0]] = other.T[pairs[:, 1]]
        z = head(maps)
        score = z.log_softmax(dim=1)[:, target] + 100 * (z.argmax(dim=1) == target)
        i, j = pairs[score.argmax()].tolist()
        query[:, i] = other[:, j]
        swaps.append((i, j))
    return swaps


def head(maps):
    return model.layers[7:](maps.unflatten(2, (7, 7)))


# %%
def one(written):
    """The first test digit of this class that is read rightly."""
    return test.images[right][(test.labels[right] == written).nonzero()[0, 0]]


wanted = [(3, 5), (4, 9), (7, 2)]
swapped = [
    explain.counterfactual_patches(model, one(a), distractor=one(b), layer="layers.6")
    for a, b in wanted
]
features = [model.layers[:7](one(digit)[None])[0].flatten(1) for digit in wanted[0]]
cells = [7 * row + column for row, column in swapped[0].cells.tolist()]
by_hand = greedy_swaps(*features, target=5)

# %%
claim("The loop and the library swap the same cells", [i for i, _ in by_hand] == cells)
claim("Each becomes what was asked", [s.target for s in swapped] == [5, 9, 2])
claim("... within half of the 49 swaps", max(len(s.cells) for s in swapped) < 24.5)

# %% tags=["hide-input", "fig-swaps"] mystnb={"image": {"alt": "Three rows. In each, a digit with numbered boxes on the cells that were replaced, a second digit of another class with the same numbers on the cells that came in their place, and the probability of both classes after each swap: they cross within a few swaps. Rows: 3 to 5, 4 to 9, 7 to 2."}}
figure, axes = plt.subplots(3, 3, figsize=(7, 6.6), width_ratios=(1.1, 1.1, 1))
for line, (a, b), s in zip(axes, wanted, swapped, strict=True):
    for axis, digit, boxes in ((line[0], a, s.boxes), (line[1], b, s.distractor_boxes)):
        name = "image" if digit == a else "distractor"
        show_image(axis, 0.4 * one(digit), f"{name}: {digit}")  # pale, for the numbers
        for number, (top, left, bottom, _) in enumerate(boxes.tolist(), 1):
            corner, size = (left - 0.5, top - 0.5), bottom - top
            axis.add_patch(
                Rectangle(corner, size, size, color="k", fill=False, clip_on=False)
            )
            middle = left + 1.5, top + 1.5
            axis.text(*middle, number, ha="center", va="center", weight="bold")
    shares = 100 * s.logits.softmax(dim=1)
    for digit, colour in ((a, "blue"), (b, "orange")):
        line[2].plot(shares[:, digit], "o-", color=COLOURS[colour], label=f"“{digit}”")
    line[2].set(xlabel="swaps", ylabel="probability (%)", ylim=(-3, 103))
    line[2].set_xticks(range(len(shares)))
    line[2].legend(loc="center left")
plt.show()

# %% [markdown]
# *What would have to be different: the numbered cells.* Cell 1 on the left was replaced by cell 1 on the right, and so on; each box is the cell's share of the picture,
# though the cell sees a little more. That is a reason in terms of *this* image against *that* one, which is how people often ask: why a 3, **and not** a 5? Do not expect a person's
# answer. A piece of stroke may land on blank paper far from where a person would draw it, and it does its work all the same: the head asks whether that
# feature is there, not whether the whole is a digit.
#
# But mind what has been swapped. Cells of a feature map are not pieces of an image. There may be no image whose features look like that, and then the
# counterfactual describes a place where the network never is. It can be tested: paste the **pixels** of the same boxes, and see if the class flips as well.

# %% tags=["nbval-ignore-output"]
flips, needed, by_chance = [], [], []
for first, second in zip(right[5::47], right[16::47], strict=False):
    if answers[first] == answers[second]:
        continue
    image, distractor = test.images[first], test.images[second]
    s = explain.counterfactual_patches(
        model, image, distractor=distractor, layer="layers.6"
    )
    pasted = image.clone()
    for here, there in zip(s.boxes.tolist(), s.distractor_boxes.tolist(), strict=True):
        (top, left), (from_top, from_left) = here[:2], there[:2]
        patch = distractor[:, from_top : from_top + 4, from_left : from_left + 4]
        pasted[:, top : top + 4, left : left + 4] = patch
    flips.append(predict(model, pasted[None]).argmax().item() == s.target)
    needed.append(len(s.cells))
    query, other = (
        model.layers[:7](digit[None])[0].flatten(1) for digit in (image, distractor)
    )
    order, count = torch.randperm(49, generator=generator), 0
    while head(query[None]).argmax() != s.target:
        query[:, order[count]] = other[:, order[count]]
        count += 1
    by_chance.append(count)
print(f"{len(flips)} pairs; with pixels pasted instead, {sum(flips)} of them flip")
print(f"swaps: greedy {np.mean(needed):.1f}, in random order {np.mean(by_chance):.1f}")

# %%
claim(
    "In features every pair flips; with pixels pasted, one in six does not, or more",
    np.mean(flips) < 5 / 6,
)
claim(
    "Greedy search needs less than half of the swaps of a random order",
    np.mean(needed) < 0.5 * np.mean(by_chance),
)

# %% [markdown]
# So the explanation is about the network's **representation**: it names the internal features that would have to be others. It is not a recipe for changing the world.
# Someone who was refused a loan needs the latter.
#
# The same search works on photographs ([data card](../../book/data_cards/photos.md)) and a network for ImageNet's thousand classes. At 160×160 pixels its last
# feature map is a grid of 5×5 cells. What would have to be swapped before a cat becomes a cup of coffee?

# %%
network, pictures = imagenet_classifier(), photos(size=160).images
cat, coffee = pictures[0], pictures[2]
swaps = explain.counterfactual_patches(
    network, cat, distractor=coffee, layer="network._bn1"
)
words = [network.classes[k] for k in (swaps.prediction, swaps.target)]
claim(
    "The cat is seen as a cat, and then as coffee",
    words == ["Egyptian cat", "espresso"],
)
claim("Fewer than half of the 25 cells are swapped", len(swaps.cells) < 12.5)

# %% tags=["hide-input"] mystnb={"image": {"alt": "A photograph of a cat on which seven of 25 squares are framed and numbered, most of them on its face; a photograph of a cup of coffee with the same numbers on the squares that came in their place, most of them on the cup; and the probability of both classes after each swap: that of Egyptian cat falls step by step, and that of espresso rises above it in the last two."}}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.6))
sides = (cat, swaps.boxes, words[0]), (coffee, swaps.distractor_boxes, words[1])
for axis, (picture, boxes, word) in zip(axes, sides, strict=False):
    for number, box in enumerate(boxes, 1):
        framed(axis, picture, box, word)
        place = (box[1] + 16, box[0] + 16)  # the middle of the cell
        style = {"color": "white", "weight": "bold", "ha": "center", "va": "center"}
        axis.text(
            *place, number, **style, bbox={"color": COLOURS["orange"], "pad": 1.5}
        )
shares = 100 * swaps.logits.softmax(dim=1)
sides = (swaps.prediction, swaps.target)
for word, k, colour in zip(words, sides, ("blue", "orange"), strict=True):
    axes[2].plot(shares[:, k], "o-", color=COLOURS[colour], label=word)
axes[2].set(xlabel="swaps", ylabel="probability (%)")
axes[2].legend(fontsize=9)
plt.show()

# %% [markdown]
# *From cat to coffee.* Read the numbers as the network's list of what makes this a cat **rather than** an espresso. The head averages over all cells, so that it does not matter where
# a piece of the cup lands; only how much cat goes and how much coffee comes. Where the two curves meet, a third class may still be ahead; the
# search goes on until espresso leads. And the network never needed the whole of the cat.
#
# ## What goes wrong
#
# **Near in pixels is near in ink.** Move every test digit two pixels to the right. To a person nothing has happened.

# %%
moved_right = torch.roll(some, 2, dims=3)


def agree(images, name):
    """Per cent of images whose nearest training image has their class."""
    nearest = (codes(images)[name] @ known[name].T).argmax(dim=1)
    return 100 * (train.labels[nearest] == test.labels[::5]).float().mean().item()


pixels, hidden = (
    [agree(images, name) for images in (some, moved_right)]
    for name in ("pixels", "hidden layer")
)

# %%
claim("Pixel neighbours lose over 10 points", pixels[0] - pixels[1] > 10)
claim(
    "Neighbours in the hidden layer lose less",
    hidden[0] - hidden[1] < pixels[0] - pixels[1],
)

# %% [markdown]
# **No curvature, no influence.** Without a regulariser the corners of the images, which are always blank, have weights that nothing determines. The
# library says so instead of dividing by zero.

# %% tags=["nbval-ignore-output"]
try:
    estimate(test_inputs=x_test, test_labels=y_test, regulariser=None)
except ValueError as error:
    print(error)

# %% [markdown]
# A deep network is not at a minimum either, and its Hessian has negative eigenvalues. One damps it, or explains the last layer alone. The numbers that come out then can correlate
# poorly with retraining {cite}`basu2021influence`: use them as a ranking to look at, never as a measurement.
#
# **A prototype on blank paper, a neighbour with the wrong label.** An explanation by example is only as good as the examples, and it shows private
# training data to whoever asks.
#
# ## How to evaluate honestly
#
# Neighbours that look alike are convincing. They should not convince you that the network has learned anything. The control is a network that has **not** been
# trained:

# %% tags=["nbval-ignore-output"]
untrained = SmallCNN().eval().requires_grad_(False)
blank = explain.DeepKNN(
    untrained, *train.tensors, **calibration, layers=layers, neighbours=1
)
shares = {}
for name, said in (("untrained", blank(some)), ("trained", support)):
    nearest = said.neighbours[:, :, 0]  # (layers, images)
    same = train.labels[nearest] == test.labels[::5]
    shares[name] = [100 * share for share in same.float().mean(dim=1).tolist()]
print("layer by layer, neighbours of the right class (%):")
for name, row_ in shares.items():
    print(f"{name:<10}", *(f"{share:5.0f}" for share in row_))

# %%
claim(
    "Without training, 80 % of the neighbours have the right class",
    min(shares["untrained"]) > 80,
)
claim(
    "With it, the hidden layer's are better by 2 points or more",
    shares["trained"][2] > shares["untrained"][2] + 2,
)

# %% [markdown]
# Most of the resemblance comes from the pictures, not from the training. What counts is the difference to the control. For each method on this page there is such a check, and you have seen them run: for
# credibility, that ordinary images are not called strange too often; for prototypes, random draws of the same size; for influence, retraining, and the loss as a
# rival; for swaps, a random order, and the test with pixels.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *Several at once.* Influence speaks of one image. Remove the twenty most harmful images for the test digit of {fig}`influential` **together**. Is the change the
# sum of the estimates? Predict which is larger, then train again.
#
# <details><summary>Hint 1: where to look</summary>
#
# `row` holds the estimates for this digit, and harm is negative. `minimum(keep)` trains without the images that `keep` leaves out.
#
# </details>
#
# <details><summary>Hint 2: what an estimate assumes</summary>
#
# {eq}`eq-influence` takes one image away and leaves all others where they are. What does the second removal meet that the first has changed?
#
# </details>

# %% tags=["hide-cell"]
# Solution: the sum has the right sign and size. It is not exact: the twenty resemble
# each other, and each removal changes the curvature that the next one meets.
worst_twenty = row.argsort()[:20]
keep = everyone.clone()
keep[worst_twenty] = False
together = (loss_at(minimum(keep)) - start)[case, 0]
total = row[worst_twenty].sum()
claim("Removing the harmful images lowers the loss", together < 0)
claim("The sum is right within a factor of 2.5", 0.4 < together / total < 2.5)

# %% [markdown]
# **Exercise 2** (15 minutes). *Which distractor?* The 4 of {fig}`swaps` was turned into the first 9 that came along. Try twelve other nines, and for comparison the one nine of
# these that is nearest to the 4 in the second convolution. Do likenesses save swaps?
#
# <details><summary>Hint 1: what to count</summary>
#
# `explain.counterfactual_patches` takes one distractor; the number of its swaps is `len(s.cells)`. `codes` gives unit vectors, so that a product of two is their likeness.
#
# </details>
#
# <details><summary>Hint 2: what to expect</summary>
#
# A cell of the 9 may be put at any place of the 4. How alike must the two be, as wholes, for that?
#
# </details>

# %% tags=["hide-cell"]
# Solution: hardly. A cell may be put anywhere, so any 9 has the few that are needed,
# and the counts differ little.
nines = test.images[right][test.labels[right] == 9][1:13]
four = one(4)
counts = []
for nine in nines:
    s = explain.counterfactual_patches(model, four, distractor=nine, layer="layers.6")
    counts.append(len(s.cells))
likeness = codes(nines)["convolution 2"] @ codes(four[None])["convolution 2"].T
nearest = counts[likeness.argmax()]
claim("The nearest 9 saves at most two swaps", nearest >= np.mean(counts) - 2)
claim("... and costs at most two", nearest <= np.mean(counts) + 2)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A digit has credibility 0.03. What follows?
# - The network is wrong :: Right answers are strange as well now and then: of the digits set aside, 3 % are at least as strange.
# + Its neighbours disagree more than those of 97 % of the images set aside :: That is what the number counts. Why they disagree, it does not say.
# - The probability of the answer is 3 % :: A p-value is no probability of a class; the p-values of the classes need not add up to 1.
# ? After the push, a prototype of a ProtoPNet is …
# - the mean of the patches of its class :: That would be k-means. A mean is no piece of any image, and could not be shown.
# + the features of one patch of one training image :: So it can be shown, with a box around what it sees.
# - a picture made by gradient ascent :: Nothing is drawn; a patch is chosen.
# ? The influence of a training image on a test loss is −0.002. Its removal …
# + lowers the test loss by about 0.002 :: Negative is harmful, in this library's convention: the change of the loss when the image is removed.
# - raises the test loss by about 0.002 :: That would be a helpful image, with a positive sign.
# - changes the image's own loss by 0.002 :: That is self-influence, and cannot be negative at a minimum.
# ? Six swapped cells turn the features of a 4 into those of a 9. Then …
# - six is the fewest possible :: Greedy search gives an upper bound. Only trying all sets of five would show that.
# - pasting the six patches into the picture gives a 9 :: Sometimes. The page has counted how often it fails.
# + the head says 9 for these features, which no picture may have :: A counterfactual in representation space.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Examples need no training to be understood. Deep k-nearest neighbours notice answers without support, for any network, without training it again.
# ProtoPNet's evidence is the computation itself. Influence answers a causal question, and can be checked. Counterfactuals answer the question that people
# ask: why this and not that.
#
# **Limitations.** Neighbours are not causes. Likeness in a layer is not likeness to the eye. Credibility is no defence against an attacker who knows of it. ProtoPNet costs
# accuracy and must be trained its own way. Influence is exact only where training ends in a minimum. Greedy swaps may be too many, and the features that they
# make may belong to no image.
#
# **Software.** In this library: `explain.DeepKNN`, `ProtoPNet` with `prototype_loss`, `mmd_critic`, `influence` and `counterfactual_patches`. In earnest:
# [Captum](https://github.com/pytorch/captum) for influence by TracIn and Arnoldi iteration, [ProtoPNet](https://github.com/cfchen-duke/ProtoPNet) by its authors,
# [alibi](https://github.com/SeldonIO/alibi) for counterfactuals on tables, and [faiss](https://github.com/facebookresearch/faiss) for neighbours among millions.
#
# ## What to take away
#
# An explanation by example shows the witnesses: neighbours that look alike, prototypes that the network compares with, training images without which the
# answer would be another, and the smallest swap that makes it another. Each answers its own question, and each has a control that costs a few lines. Next: explanations that
# were made [to mislead](when_explanations_lie.ipynb), and how to catch them.
