# %% [markdown]
# # 2.1 A step too small to see
#
# A network that names a thousand kinds of things in photographs can be made to call a cat a tennis ball, by a change
# that you will not find when you look for it. This lecture shows that it is so, explains why with a little linear
# algebra, and derives from the explanation the simplest attack there is: the *fast gradient sign method*.
#
# **What you will learn**
#
# - why many tiny changes add up in high dimension, and how large they must be: the linear explanation;
# - to derive the fast gradient sign method in three lines, and to know for which models it is the best attack;
# - to write a threat model: what the attacker wants, knows, and may do;
# - to tell the four goals of an attacker apart, and to measure each;
# - which mistakes make an attack look stronger or weaker than it is.
#
# **Before you start**: the [pipeline](../00_foundations/trust.ipynb) and where inputs are attacked; gradients of a network with
# respect to its input ([0.4](../00_foundations/networks.ipynb)); the first chapter's
# [networks](../10_distillation/response_based.ipynb). The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 40 minutes to read; {{ cpu_seconds }} to run.

# %%
import copy
import math

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F

from tml_helpers import attacks
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist, photos
from tml_helpers.models import MLP, SmallCNN, imagenet_classifier
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The question
#
# Take a photograph of a cat and a network that was trained on ImageNet. Let every value of every pixel change by at
# most two of its 255 grey levels. A camera's own noise is larger than that. What can such a change do?

# %%
network = imagenet_classifier()
names = list(network.classes)
cat = photos().images[:1]  # (1, 3, 224, 224), in [0, 1]
egyptian_cat = predict(network, cat).argmax(dim=1)  # what the network calls it
tennis_ball = torch.tensor([names.index("tennis ball")])

noise = torch.empty_like(cat).bernoulli_(0.5, generator=seed_everything(seed()))
random = (cat + 2 / 255 * (2 * noise - 1)).clamp(0, 1)
chosen = attacks.pgd(
    network,
    cat,
    egyptian_cat,
    targets=tennis_ball,
    epsilon=2 / 255,
    steps=10,
    random_start=False,
)


# %%
def answer(images):
    """The name and the probability of the network's first choice."""
    p = predict(network, images).softmax(dim=1)[0]
    return names[p.argmax()], p.max().item()


claim("The network calls the photograph a cat", answer(cat)[0] == "Egyptian cat")
claim(
    "Random noise of two grey levels leaves it a cat", answer(random)[0].endswith("cat")
)
claim(
    "Chosen noise of two grey levels makes it a tennis ball, at over 99 %",
    answer(chosen)[0] == "tennis ball" and answer(chosen)[1] > 0.99,
)
claim(
    "No value moved by more than two grey levels",
    (chosen - cat).abs().max().item() <= 2 / 255 + 1e-6,
)

# %% tags=["hide-input", "fig-cat"] mystnb={"image": {"alt": "Four pictures in two rows. Top left: a tabby cat, called an Egyptian cat. Top right: the same with random noise, still called a cat. Bottom left: the chosen change, magnified sixty times, a coloured grain without any shape. Bottom right: the cat plus the chosen change, which looks the same and is called a tennis ball at one hundred per cent."}}
figure, axes = plt.subplots(2, 2, figsize=(5.2, 6.2))
magnified = 0.5 + 60 * (chosen - cat)
pictures = {
    "photograph": cat,
    "+ random noise, ε = 2/255": random,
    "the chosen change, × 60": magnified,
    "+ the chosen change, ε = 2/255": chosen,
}
for axis, (title, picture) in zip(axes.flat, pictures.items(), strict=True):
    said = "" if picture is magnified else "\n{}, {:.0%}".format(*answer(picture))
    show_image(axis, picture[0], title + said)
plt.show()

# %% [markdown]
# *Three pictures that look the same, and one that was magnified sixty times so that there is something to see.* The
# random noise is exactly as large as the chosen change: each value goes up or down by two levels. One does nothing, the
# other does everything. So the size of a change is not what matters. Its *direction* is.
#
# An **adversarial example** is an input that a person reads as before and that a model does not
# {cite}`szegedy2014intriguing`. Much of machine learning rests on a **smoothness assumption**: in a small enough
# ball around a training image, everything gets the label of that image. Kernel methods are built on it. It was never safe
# from people who mean harm: spam filters {cite}`dalvi2004adversarial,lowd2005adversarial` and support vector machines
# {cite}`biggio2013evasion` were led astray by small changes years before deep networks were. {fig}`cat` says that it fails
# for a network that is right on most photographs, too, at a radius at which a person cannot tell two images apart.
#
# Pictures like this one became the emblem of the field: a school bus that turns into an ostrich, a pig into an
# airliner, a turtle from a 3-D printer into a rifle from every side {cite}`athalye2018synthesizing`. Whoever lets a
# network read road signs, cheques or X-ray images has to know why this happens.
#
# ## Who attacks, and how
#
# "The model was fooled" means nothing until one has said who may do what. The book puts a card before each attack and
# each defence. It says the attacker's **goal**, **knowledge** and **capability**, how often the model may be asked, and
# what the card leaves out. The same card is what a defence must hold against.

# %%
ThreatModel(
    goal="any class but the true one",
    knowledge="white box",
    capability="each value of each pixel moves by at most ε, within [0, 1]",
    out_of_scope="changes that people see; attacks on the training data",
)

# %% [markdown]
# **White box** means that weights and gradients are known. It sounds generous, but it is the right case to begin with:
# networks are published, copied and stolen, and [lecture 2.4](black_box.ipynb) shows how little one loses without them.
# The set of allowed changes is a **ball**: here $\|\eta\|_\infty \le \varepsilon$, the largest change of any value. Other
# balls, and changes that are no ball, fill [lecture 2.3](other_threat_models.ipynb).
#
# ## The linear explanation
#
# One might think that networks fail here because they are wild and bent. The explanation of Goodfellow, Shlens and
# Szegedy {cite}`goodfellow2015explaining` says the opposite: they fail because they are so *straight*. Take a linear
# score $w^\top x$ and a change $\eta$:
#
# $$w^\top (x + \eta) = w^\top x + w^\top \eta.$$
#
# In words: the score moves by $w^\top \eta$, wherever $x$ is. How far can it move when no entry of $\eta$ may exceed
# $\varepsilon$? Each term $w_i \eta_i$ is at most $\varepsilon |w_i|$, and all of them reach it at once when
# $\eta = \varepsilon\, \operatorname{sign}(w)$:
#
# $$\max_{\|\eta\|_\infty \le \varepsilon} w^\top \eta = \varepsilon \sum_i |w_i| = \varepsilon \|w\|_1 .$$ (eq-l1-norm)
#
# A random $\eta$ of the same size, each sign decided by the toss of a coin, moves the score by a sum of terms that
# cancel. Its standard deviation is $\varepsilon \|w\|_2$. The attacker's advantage over chance is the ratio of the two
# norms. For $d$ weights of similar size it is about $\sqrt{d}$. **That is all.** An image has many values; a small push
# on each, all in the right direction, is a large push on the sum. Watch the ratio grow with the dimension:

# %%
dimensions = [10, 100, 1000, 10_000, 100_000]
draw = torch.Generator().manual_seed(seed())
advantage = []
for d in dimensions:
    w = torch.randn(200, d, generator=draw)  # 200 random directions at a time
    advantage.append((w.abs().sum(dim=1) / w.norm(dim=1)).mean().item())
law = [math.sqrt(2 * d / math.pi) for d in dimensions]  # E|w| = √(2/π) for a Gaussian
claim(
    "From 100 values on, the advantage is √(2d/π) within 2 %",
    all(abs(a / b - 1) < 0.02 for a, b in zip(advantage[1:], law[1:], strict=True)),
)

# %% [markdown]
# ### Is a deep network linear enough?
#
# Near one image, every smooth score $\ell$ is nearly linear: $\ell(x + \eta) \approx \ell(x) + g^\top \eta$ with the
# gradient $g = \nabla_x \ell(x)$. The question is how far "near" reaches. Let $\ell$ be the **lead** of the first choice:
# its logit minus that of the second. It starts above zero, and the class changes where it falls below zero. We walk from
# the cat along $-\operatorname{sign}(g)$, and along random signs, and watch.

# %%
leaf = cat.clone().requires_grad_()
first, second = network(leaf)[0].topk(2).indices
logits = network(leaf)[0]
lead = logits[first] - logits[second]
(g,) = torch.autograd.grad(lead, leaf)
lead = lead.item()


def lead_at(eta):
    """Logit of the first choice minus that of the second, at the cat plus eta."""
    z = predict(network, (cat + eta).clamp(0, 1))[0]
    return (z[first] - z[second]).item()


levels = [0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1]  # grey levels
signs = 2 * noise - 1
along = [lead_at(-level / 255 * g.sign()) for level in levels]
by_chance = [lead_at(level / 255 * signs) for level in levels]
far_by_chance = lead_at(4 / 255 * signs)
tangent = [lead - level / 255 * g.abs().sum().item() for level in levels]

# %%
claim(
    "A twentieth of a grey level in the right direction changes the class",
    along[2] < 0,
)
claim(
    "There the straight line predicts the lead's fall within a third",
    abs((lead - along[2]) / (lead - tangent[2]) - 1) < 1 / 3,
)
claim(
    "Four grey levels at random change the lead less than that twentieth",
    abs(far_by_chance - lead) < lead - along[2],
)
ratio = (g.abs().sum() / g.norm()).item()
claim("The attacker's advantage over chance is more than 100-fold here", ratio > 100)

# %% tags=["hide-input", "fig-lead"] mystnb={"image": {"alt": "Lead of the first choice against the size of the change in grey levels. Along random signs it stays level. Along the sign of the gradient it falls below zero at once, first on the straight line that the gradient predicts, then more slowly."}}
figure, axis = plt.subplots(figsize=(6, 3.4))
axis.plot(levels, by_chance, "s-", color=COLOURS["green"], label="random signs")
axis.plot(levels, along, "o-", color=COLOURS["blue"], label="signs of the gradient")
axis.plot(levels, tangent, "--", color=COLOURS["orange"], label="straight line")
axis.axhline(0, color=COLOURS["black"], linewidth=0.8)
axis.text(1, -0.1, "below: another class", ha="right", va="top", fontsize=9)
axis.set(ylim=(-5, 1), xlabel="ε in grey levels (of 255)", ylabel="lead (logits)")
axis.legend(loc="lower left", bbox_to_anchor=(0.48, 0.4))
plt.show()

# %% [markdown]
# *The network is straight just as far as the attacker needs.* The dashed line is the linear prediction
# $\ell(x) - \varepsilon \|g\|_1$. The network follows it at first, long enough for the lead to change its sign, and then
# bends away. The random signs go nowhere. Two things follow. A single step in the right direction is a strong attack
# for its price. And for larger $\varepsilon$, where the line has long been left, one step is not the best that can be
# done: [lecture 2.2](iterative_attacks.ipynb) takes many small ones. One thing does not follow. The nearest other class is
# another breed of cat, an error that worries nobody. How far a network is from seeing *no cat* is another question, and
# [lecture 2.9](in_the_world.ipynb) asks it.
#
# ## The fast gradient sign method
#
# Training changes the parameters so that the loss falls, with the images fixed. An attack changes the image so that the
# loss rises, with the parameters fixed. Replace the loss by its linear approximation around $x$, and the best change
# within the ball is the one that equation {eq}`eq-l1-norm` gave for a linear score:
#
# $$x' = x + \varepsilon \cdot \operatorname{sign}\Big(\nabla_x L\big(f_\theta(x), y\big)\Big), \quad \text{cut to } [0, 1].$$ (eq-fgsm)
#
# In words: ask in which direction each value raises the loss, and move it that way as far as is allowed. One forward
# pass, one backward pass.


# %%
def fgsm_in_four_lines(model, images, labels, epsilon):
    images = images.clone().requires_grad_()
    loss = F.cross_entropy(model(images), labels)
    (gradient,) = torch.autograd.grad(loss, images)  # (n, channels, height, width)
    return (images + epsilon * gradient.sign()).clamp(0, 1).detach()


# %% [markdown]
# Now three networks that read digits: a linear one, one with a hidden layer, and a convolutional one.

# %% tags=["nbval-ignore-output"]
train, test = mnist("train"), mnist("test")
train = train.select(slice(4000))  # the full MNIST gives as many images: same budget
x, y = test.images[:1000], test.labels[:1000]
test = test.select(slice(1000))
readers = {"linear": MLP(), "one hidden layer": MLP(100), "convolutional": SmallCNN()}
for name, model in readers.items():
    generator = seed_everything(seed())
    fit(model, train, epochs=4, learning_rate=2e-3, batch_size=64, generator=generator)
    print(f"{name:<17} {accuracy(model, test):.1%} of the test images right")

# %% [markdown]
# Do the four lines and the library agree? Where a gradient is zero up to rounding, rounding decides on its sign, and two
# ways to the same sum may differ. So we compare in double precision, where next to nothing is as near to zero as that.

# %%
cnn = readers["convolutional"]
exact, images = copy.deepcopy(cnn).double(), x[:100].double()
by_hand = fgsm_in_four_lines(exact, images, y[:100], 0.1)
by_library = attacks.fgsm(exact, images, y[:100], epsilon=0.1)
share = torch.isclose(by_hand, by_library).double().mean().item()
claim("Four lines and the library agree on 999 of 1,000 pixels, or more", share > 0.999)

# %% [markdown]
# ### For a linear model it is not an approximation
#
# Where the logits are linear, so is the lead of class $y$ over class $k$, and no change within the ball does better than
# FGSM: the lead falls by exactly $\varepsilon \|w_y - w_k\|_1$. We check this on the linear network, for pairs of digits,
# without the cut to $[0, 1]$, which can only weaken the attack.

# %%
_, _, layer = readers["linear"].layers  # normalisation, flattening, weights
weights = layer.weight / 0.3081  # the normalisation divides by this: (10, 784)
label, other = y[:100], (y[:100] + 1) % 10
w = weights[label] - weights[other]  # (100, 784)
eta = -0.05 * w.sign().view(-1, 1, 28, 28)
before, after = (predict(readers["linear"], v) for v in (x[:100], x[:100] + eta))
rows = torch.arange(100)
lost = before - after
fall = lost[rows, label] - lost[rows, other]
claim(
    "A linear lead falls by ε‖w‖₁, to one part in 1,000",
    torch.allclose(fall, 0.05 * w.abs().sum(dim=1), rtol=1e-3),
)

# %% [markdown]
# ## What ε does
#
# Accuracy alone, at one $\varepsilon$, says little. A **robustness curve** shows it for many. And each curve needs its
# control: noise of the same size without a direction.

# %%
sizes = [0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3]


def accuracy_on(model, images):
    """Share of these 1,000 test images that are still read correctly, in per cent."""
    return 100 * (predict(model, images).argmax(dim=1) == y).float().mean().item()


attacked, shaken = {}, {}
coins = torch.empty_like(x).bernoulli_(0.5, generator=draw) * 2 - 1
for name, model in readers.items():
    attacked[name] = [
        accuracy_on(model, attacks.fgsm(model, x, y, epsilon=e)) for e in sizes
    ]
    shaken[name] = [accuracy_on(model, (x + e * coins).clamp(0, 1)) for e in sizes]

# %%
claim(
    "At ε = 0.1 the linear network reads fewer than 25 % correctly",
    attacked["linear"][3] < 25,
)
claim(
    "The convolutional one, more than the linear one",
    attacked["convolutional"][3] > attacked["linear"][3],
)
claim(
    "At ε = 0.3 no network reads more than 25 % correctly",
    max(curve[-1] for curve in attacked.values()) < 25,
)
claim(
    "Random signs of the same size cost none of them more than 10 points at ε = 0.1",
    all(curve[0] - curve[3] < 10 for curve in shaken.values()),
)

# %% tags=["hide-input", "fig-curves"] mystnb={"image": {"alt": "Accuracy against epsilon for three networks: with random signs, dashed, it stays high up to one tenth; with the fast gradient sign method, solid, it falls steeply, fastest for the linear network and slowest for the convolutional one."}}
figure, axis = plt.subplots(figsize=(6, 3.6))
styles = zip(readers, ("orange", "green", "blue"), "so^", strict=True)
for name, colour, marker in styles:
    axis.plot(sizes, attacked[name], marker + "-", color=COLOURS[colour], label=name)
    axis.plot(sizes, shaken[name], marker + "--", color=COLOURS[colour], alpha=0.5)
axis.plot([], [], "-", color="grey", label="FGSM")
axis.plot([], [], "--", color="grey", label="random signs")
axis.set(xlabel="ε (pixels lie in [0, 1])", ylabel="accuracy (%)", ylim=(0, 100))
axis.legend(fontsize=9)
plt.show()

# %% [markdown]
# *Solid: FGSM. Dashed: random signs of the same size.* The gap between the two is what the direction is worth. The
# linear network falls first, which fits the explanation: it has nothing but its straight line. The curved ones hold out
# a little longer. None holds out.
#
# Are these changes still small? For MNIST, papers use $\varepsilon$ up to 0.3, and nobody would call that invisible:

# %% tags=["hide-input", "fig-grain"] mystnb={"image": {"alt": "A handwritten digit in six versions, attacked at epsilon 0, 0.05, 0.1, 0.15, 0.2 and 0.3, with the network's reading above each: a grey texture grows over the picture, the digit stays readable for a person, and the network's reading changes."}}
one = slice(3, 4)
figure, axes = plt.subplots(2, 3, figsize=(5, 3.9))
for axis, e in zip(axes.flat, (0, 0.05, 0.1, 0.15, 0.2, 0.3), strict=True):
    picture = attacks.fgsm(cnn, x[one], y[one], epsilon=e)
    read = predict(cnn, picture).argmax(dim=1).item()
    show_image(axis, picture[0], f"ε = {e}: read as {read}")
plt.show()

# %% [markdown]
# *You can see the grain from $\varepsilon = 0.1$ on, and you still read the digit.* That is the definition that counts:
# not "invisible", but "read by a person as before". MNIST images are nearly black and white, so a network could in
# principle withstand any $\varepsilon$ below 0.5 by asking of each pixel only whether it is above one half. That it does
# not is the network's failure.
#
# ## What an attacker may want
#
# Four goals, from the weakest to the strongest {cite}`papernot2016limitations`:
#
# - **confidence reduction**: the stop sign is still a stop sign, but the model is less sure;
# - **misclassification**: anything but a stop sign;
# - **targeted misclassification**: whatever is shown becomes a go sign;
# - **source/target misclassification**: a stop sign, of all signs, becomes a go sign.
#
# Let the target be 0, as on a cheque where 7 should become 0. For a targeted attack the loss of the *target* is made
# small instead of making that of the label large; one step does this badly, so we borrow twenty steps from the next
# lecture.

# %% tags=["nbval-ignore-output"]
others = (y != 0).nonzero().flatten()[:300]  # the target must differ from the label
images, labels = x[others], y[others]
zeros = torch.zeros_like(labels)
aimed = attacks.pgd(cnn, images, labels, targets=zeros, epsilon=0.25, steps=20)
free = attacks.pgd(cnn, images, labels, epsilon=0.25, steps=20)
share = {}
for name, adversarial in (("not aimed", free), ("aimed at 0", aimed)):
    met = attacks.goals(
        cnn, images, labels, adversarial=adversarial, targets=zeros, source=7
    )
    share[name] = met.shares()
for name, met in share.items():
    print(f"{name}:", ", ".join(f"{goal} {part:.0%}" for goal, part in met.items()))

# %%
claim(
    "Aimed at 0, over half of the images become a 0",
    share["aimed at 0"]["targeted misclassification"] > 0.5,
)
claim(
    "Not aimed, under a quarter of them do",
    share["not aimed"]["targeted misclassification"] < 0.25,
)
claim(
    "Each goal is at most as easy as the one before it, to 5 points",
    share["aimed at 0"]["targeted misclassification"]
    < share["aimed at 0"]["misclassification"] + 0.05
    < share["aimed at 0"]["confidence reduction"] + 0.1,
)

# %% tags=["hide-input", "fig-goals"] mystnb={"image": {"alt": "Bars of the share of images for four goals, once for an attack that is not aimed and once for one that is aimed at zero: without aim nearly all images are misclassified and few become a zero; with aim, most become a zero, and so do most sevens."}}
figure, axis = plt.subplots(figsize=(6, 3))
for row, (name, colour) in enumerate(zip(share, ("sky", "blue"), strict=True)):
    bars = [position + 0.4 * row for position in range(4)]
    heights = [100 * value for value in share[name].values()]
    axis.bar(bars, heights, width=0.38, color=COLOURS[colour], label=name)
axis.set_xticks([position + 0.2 for position in range(4)])
axis.set_xticklabels(["confidence\nlower", "misread", "read as 0", "7 read as 0"])
axis.set(ylabel="share of images (%)", ylim=(0, 119))
axis.legend(ncols=2, loc="upper right")
plt.show()

# %% [markdown]
# *The attack gets what it is aimed at.* Both spend the same $\varepsilon$ and the same twenty steps. Without aim,
# images land on whichever class is nearest, and that is seldom a 0. So "success rate" has no meaning without its goal:
# a paper that counts targeted successes and one that counts mistakes do not report the same thing.
#
# ## The same change for others
#
# A change that was made for one network often works on another that was trained apart from it. Move the images of the
# convolutional network to the one with a hidden layer, which never saw a gradient of the attack.

# %%
moved = attacks.fgsm(cnn, x, y, epsilon=0.3)
other = readers["one hidden layer"]
by_transfer = accuracy_on(other, moved)
by_coins = shaken["one hidden layer"][-1]
claim(
    "What was made for one network costs another 20 points more than random signs do",
    by_coins - by_transfer > 20,
)

# %% [markdown]
# Adversarial examples **transfer**. The linear explanation says why: networks that learn the same task from similar
# data end up with similar straight lines. It is also why a network whose weights are secret is not safe, and
# [lecture 2.4](black_box.ipynb) builds on it.
#
# ## What goes wrong
#
# Each of these runs without an error message, and each changes a number that would be printed in a paper.
#
# **No cut to [0, 1].** The images are then no images. The attack looks stronger than it is.

# %%
leaf = x.clone().requires_grad_()
(gradient,) = torch.autograd.grad(F.cross_entropy(cnn(leaf), y), leaf)
honest = accuracy_on(cnn, attacks.fgsm(cnn, x, y, epsilon=0.1))
uncut = accuracy_on(cnn, x + 0.1 * gradient.sign())
claim("Without the cut, accuracy seems 2 points lower, or more", honest - uncut > 2)

# %% [markdown]
# **No sign.** The mean loss over a thousand images has a tiny gradient. Without the sign, or without bringing it to
# length $\varepsilon$, next to nothing happens, and the network looks robust.

# %%
unsigned = accuracy_on(cnn, (x + 0.1 * gradient).clamp(0, 1))
claim(
    "Without the sign, the attack costs less than half a point",
    abs(unsigned - accuracy_on(cnn, x)) < 0.5,
)

# %% [markdown]
# **The wrong way.** Descending the loss of the label instead of ascending it helps the network.

# %%
helped = accuracy_on(cnn, (x - 0.1 * gradient.sign()).clamp(0, 1))
claim("With the sign turned, accuracy rises", helped > accuracy_on(cnn, x))

# %% [markdown]
# **Pictures are saved in steps.** A file has 256 levels. A change below half a level is gone once the picture has been
# saved; the attack was one on numbers that no camera and no file can hold. (Fooled means any other class here, also a near
# one, as a motor scooter for a moped.)

# %%
all_photos = torch.round(photos().images * 255) / 255  # as they come out of a file
called = predict(network, all_photos).argmax(dim=1)
fooled = {}
for level in (0.25, 0.75):
    fine = attacks.fgsm(network, all_photos, called, epsilon=level / 255)
    saved = torch.round(fine * 255) / 255
    fooled[level] = [
        int((predict(network, v).argmax(dim=1) != called).sum()) for v in (fine, saved)
    ]
claim(
    "A quarter of a level fools the network on 3 of 5 photographs", fooled[0.25][0] > 2
)
claim("Once they are saved, on none", fooled[0.25][1] == 0)
claim("Three quarters of a level survive being saved", fooled[0.75][1] > 2)

# %% [markdown]
# **More is not always more.** One step over a bent surface can overshoot. Beyond some $\varepsilon$ the straight line
# has been left, and FGSM grows *weaker*. An evaluation by FGSM alone may then call a network robust that is merely
# bent.

# %%
espresso = slice(2, 3)
coffee = [
    attacks.fgsm(network, all_photos[espresso], called[espresso], epsilon=level / 255)
    for level in (2, 8)
]
near, far = (predict(network, v).argmax(dim=1) == called[espresso] for v in coffee)
claim(
    "At 2 grey levels the espresso is lost; at 8 it is back",
    not near.item() and far.item(),
)

# %% [markdown]
# ## How to evaluate honestly
#
# Report accuracy on **all** test images after the attack, with those counted that the network gets wrong anyway. Say
# $\varepsilon$, the norm and the range of the pixels, for $\varepsilon = 8$ on a scale of 255 and $\varepsilon = 0.03$
# on a scale of 1 are the same. Show random noise of the same size as a control. Give an error bar: a share of $N$
# images is itself uncertain by about $\sqrt{\text{share}\,(1 - \text{share})/N}$. And never conclude from FGSM that a
# model is safe. It is the weakest attack of this chapter. As code:


# %%
def report(model, images, labels, epsilon):
    """Accuracy and its standard error in per cent: clean, control, attacked."""
    signs = 2 * torch.empty_like(images).bernoulli_(0.5, generator=draw) - 1
    rows = {
        "clean": images,
        "random signs": (images + epsilon * signs).clamp(0, 1),
        "FGSM": attacks.fgsm(model, images, labels, epsilon=epsilon),
    }
    for name, pictures in rows.items():
        share = (predict(model, pictures).argmax(dim=1) == labels).float().mean().item()
        rows[name] = 100 * share, 100 * math.sqrt(share * (1 - share) / len(labels))
    return rows


rows = report(cnn, x, y, epsilon=0.1)
cost = {name: rows["clean"][0] - rows[name][0] for name in rows}
claim("The control costs less than 2 points", cost["random signs"] < 2)
claim("The attack costs over 5", cost["FGSM"] > 5)
claim("1,000 images give an error bar of under 2 points", rows["FGSM"][1] < 2)

# %% [markdown]
# ## Practice
#
# **Exercise 1** (15 minutes). *Attack and defence in one formula.* For logistic regression with labels $y = \pm 1$ the
# loss is $\log(1 + \exp(-y\, w^\top x))$. Show that the largest loss within the $\varepsilon$-ball is
# $\log(1 + \exp(-y\, w^\top x + \varepsilon \|w\|_1))$, and check it on random numbers with autograd's FGSM. What does
# training on this loss have in common with L1 regularisation, and what not?
#
# <details><summary>Hint 1: where to look</summary>
#
# The loss depends on $x$ only through the number $y\, w^\top x$. Does it rise or fall with that number? So which
# question about $y\, w^\top (x + \eta)$ has to be answered?
#
# </details>
#
# <details><summary>Hint 2: the key idea</summary>
#
# $y\, w$ is a vector of weights like any other: equation {eq}`eq-l1-norm` says how far its product with $\eta$ can be
# moved. For the comparison, look at where $\|w\|_1$ stands in each of the two losses: inside or outside of the
# logarithm?
#
# </details>

# %% tags=["hide-cell"]
# Solution: the loss falls with y·wᵀx, which FGSM lowers by ε‖w‖₁. Like an L1 penalty
# it pulls weights to zero; unlike one, it stops once y·wᵀx exceeds ε‖w‖₁ by far.
v = torch.randn(50, generator=draw, dtype=torch.float64)
points = torch.randn(20, 50, generator=draw, dtype=torch.float64).requires_grad_()
signs = torch.where(torch.randn(20, generator=draw) > 0, 1.0, -1.0)
(slope,) = torch.autograd.grad(F.softplus(-signs * (points @ v)).sum(), points)
worst = F.softplus(-signs * ((points + 0.1 * slope.sign()) @ v))
formula = F.softplus(-signs * (points @ v) + 0.1 * v.abs().sum())
claim("FGSM reaches the formula exactly", torch.allclose(worst, formula))

# %% [markdown]
# **Exercise 2** (10 minutes). *Another ball.* Which change within $\|\eta\|_1 \le \varepsilon$ raises $g^\top \eta$
# most? Derive it as in the linear explanation. With $\varepsilon = 3$ and the cut to $[0, 1]$, how many pixels of a
# digit does it change?
#
# <details><summary>Hint 1: where to look</summary>
#
# Bound each term $g_i \eta_i$ by the same number, the largest $|g_i|$, times $|\eta_i|$. When is the bound reached?
#
# </details>
#
# <details><summary>Hint 2: the key idea</summary>
#
# The whole budget goes where it earns most. For the second part, ask how far one pixel can move before $[0, 1]$ ends.
#
# </details>

# %% tags=["hide-cell"]
# Solution: |gᵀη| ≤ ‖η‖₁ · max|gᵢ|: put all of ε on the value with the largest |gᵢ|.
# After the cut it can have moved by 1 at most, so one pixel changes and most of the
# budget is lost: within the box, the best change spreads over the largest few.
largest = gradient.flatten(1).abs().argmax(dim=1, keepdim=True)
push = torch.zeros_like(gradient.flatten(1)).scatter(1, largest, 3.0)
one_pixel = (x + (push * gradient.flatten(1).sign()).view_as(x)).clamp(0, 1)
claim(
    "At most one pixel of each image changes",
    int((one_pixel != x).flatten(1).sum(dim=1).max()) <= 1,
)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Why does a change by 2 grey levels in chosen directions do what random noise of 2 grey levels does not?
# - The chosen change is larger :: Both move each value by the same amount. Their size in the norm L∞ is equal.
# + All of its small contributions add up, where those of random noise cancel :: The score moves by ε‖w‖₁ instead of about ε‖w‖₂.
# - Networks are trained with noise, and so are used to it :: These networks were not, and random signs still do little.
# ? For which model is FGSM, before the cut to [0, 1], the strongest attack in the L∞ ball?
# + For a linear score :: There the linear approximation is the score, and the sign of its weights is optimal.
# - For any network, since it follows the gradient :: The gradient is right at the image, and the ball reaches further.
# - For none :: For a linear score, Hölder's inequality says that nothing in the ball does better.
# ? A paper reports that FGSM at ε = 8/255 succeeds less often than at ε = 2/255. What is the likeliest reason?
# - The images at 8/255 were cut to [0, 1] :: The cut costs little, and a larger ball contains the smaller one.
# - The model is robust against large changes :: A larger ball can only make a model's worst case worse.
# + One long step overshoots where the loss is bent :: The attack failed, not the ball. Several small steps would tell.
# ? Which sentence is a complete threat model?
# - The attacker fools the network with imperceptible noise :: It lacks what the attacker knows, and what imperceptible means.
# + White box; any wrong class; each value moves by at most 8/255 within [0, 1] :: Knowledge, goal and capability are all there.
# - FGSM with ε = 0.1 :: This is an attack. A defence must hold against all attacks that the card allows.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** One forward and one backward pass. No number to tune but $\varepsilon$. Optimal for a linear score.
# Fast enough to be part of training, which [lecture 2.5](defenses.ipynb) makes use of.
#
# **Limitations.** For a bent surface it is weak, and it may overshoot. What it fails to fool is not thereby safe. The
# linear explanation is a part of the truth: it says why small changes suffice, but not why training finds weights that
# are so easily exploited. A later answer is that the directions in question are *useful*: they predict the label on new
# images as well, but people do not see them {cite}`ilyas2019adversarial`.
#
# **Software.** In this library: `tml_helpers.attacks.fgsm`, `attacks.goals`, and `threat_models.ThreatModel`. To use in
# earnest: [Foolbox](https://github.com/bethgelab/foolbox) {cite}`rauber2017foolbox`,
# [torchattacks](https://github.com/Harry24k/adversarial-attacks-pytorch) {cite}`kim2020torchattacks`, and the
# [Adversarial Robustness Toolbox](https://github.com/Trusted-AI/adversarial-robustness-toolbox) {cite}`nicolae2018art`,
# the broadest.
#
# ## What to take away
#
# An image has many values, and many tiny changes in the right directions make a large one. The right directions are the
# signs of the gradient, and one step along them is the fast gradient sign method. Whether that is a danger depends on
# who may do what: write the card first. Next: [many small steps](iterative_attacks.ipynb) instead of a long one.
