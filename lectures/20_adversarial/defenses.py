# %% [markdown]
# # 2.5 What helps, and what only seems to
#
# A defence is easy to propose. It is tried against the attacks that its authors know, the numbers are good, and it is
# published. Then someone writes an attack for this one defence, and the numbers are gone. This lecture trains a network
# that really is harder to fool, says what that costs, and breaks three defences that only seem to help.
#
# **What you will learn**
#
# - to train on attacks: Goodfellow's mixture, Madry's min-max, TRADES and friendly adversarial training;
# - what robustness costs in accuracy on clean images, and why;
# - how feature squeezing, NULL labels, Defense-GAN and defensive distillation work;
# - how each of these four is got past, in a few lines, by an attacker who knows of it;
# - to tell a network that is robust from one that hides its gradient.
#
# **Before you start**: [projected gradient descent](iterative_attacks.ipynb), and
# [temperature](../10_distillation/response_based.ipynb). The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 50 minutes to read; {{ cpu_seconds }} to run.

# %%
import copy
import warnings
from functools import partial

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import attacks, defenses
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.measured import result
from tml_helpers.models import MLP, SmallCNN, mnist_gan
from tml_helpers.plotting import COLOURS, show_images, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, cross_entropy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The question
#
# Two thousand digits train a small convolutional network well. Under PGD, within $\varepsilon = 0.2$, little is left of
# it.

# %%
digits, unseen = mnist("train"), mnist("test").select(slice(1000))
train, held_out = digits.select(slice(2000)), digits.select(slice(2000, 2500))
test = unseen.select(slice(0, None, 7))  # 143 images to attack
epsilon = 0.2

generator = seed_everything(seed())
standard = SmallCNN().to(memory_format=torch.channels_last)  # faster on a CPU
how = {"learning_rate": 2e-3, "batch_size": 64}
losses = fit(standard, train, epochs=4, generator=generator, **how)


# %%
def accuracy_under(attack, model, **how):
    """The share of test images that the model still reads correctly."""
    adversarial = attack(model, test.images, test.labels, **how)
    return accuracy(model, TensorDataset(adversarial, test.labels))


generator = torch.Generator().manual_seed(seed())
pgd = partial(attacks.pgd, steps=20, generator=generator)
robust = accuracy_under(pgd, standard, epsilon=epsilon)
claim("It reads over 90 % of 1,000 other digits", accuracy(standard, unseen) > 0.9)
claim("Under PGD it reads less than 35 %", robust < 0.35)

# %% [markdown]
# What can be done? Three families of answers are on this page. *Train better*, so that the answer does not change within
# the ball. *Detect*: refuse images that look tampered with. *Hide*, so that the attacker finds no gradient to follow.
# And what only seems to help? The test is always the same: would it still help if the attacker knew of it? This is
# Kerckhoffs's principle, from 1883: assume that the enemy knows the system.
#
# ## Adversarial training

# %%
ThreatModel(
    goal="any wrong class",
    knowledge="white box",
    capability="each pixel moves by at most ε in L∞, and stays in [0, 1]",
    out_of_scope="larger ε, other norms, rotations: nothing is promised there",
)

# %% [markdown]
# If the attacker will show such images, show them in training. Goodfellow's mixture {cite}`goodfellow2015explaining`
# weighs, by a number $\lambda$ between 0 and 1, the loss on the images and the loss on their FGSM versions $x'$, made
# anew in each step by equation {eq}`eq-fgsm`:
#
# $$\lambda\, L\big(f_\theta(x), y\big) + (1 - \lambda)\, L\big(f_\theta(x'), y\big).$$ (eq-mixture)
#
# In words: learn the image, and learn what the quickest attack makes of it. The gradient of the weights takes the
# attacked image as given, and does not run through the attack.


# %%
def mixture(model, images, labels, epsilon, weight):
    x = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(model, x, labels), x)
    attacked = (images + epsilon * slope.sign()).clamp(0, 1)
    clean = cross_entropy(model, images, labels)
    return weight * clean + (1 - weight) * cross_entropy(model, attacked, labels)


batch = train.select(slice(64))
mine = mixture(standard, *batch.tensors, epsilon, weight=0.5)
(theirs,) = defenses.adversarial_training(
    standard, batch, epochs=1, epsilon=epsilon, method="fgsm", learning_rate=0.0
)
claim("Six lines and the library agree", abs(mine.item() / theirs - 1) < 1e-4)

# %% [markdown]
# Madry and others {cite}`madry2018towards` said what is really wanted. The defender chooses weights; then the attacker
# chooses, knowing them, the worst image in the ball; so the defender should minimise the worst case:
#
# $$\min_\theta\; \mathbb{E}_{(x, y)} \;\max_{\|x' - x\|_\infty \le \varepsilon} L\big(f_\theta(x'), y\big).$$ (eq-min-max)
#
# In words: make the worst that can happen to each image as harmless as possible. The inner maximum cannot be found
# exactly. PGD stands in for it, which costs as many more passes through the network as PGD has steps. One remark from
# practice: a network that meets a large $\varepsilon$ in its first steps may learn to give all images the same answer,
# and stay there. So we go on from the standard network. If you start from an untrained one, set `warm_up`, which raises
# $\varepsilon$ step by step over the first epochs.

# %%
networks = {"standard": standard}
for method, steps in (("fgsm", None), ("madry", 3)):
    generator = seed_everything(seed())
    networks[method] = copy.deepcopy(standard)
    hard = how | {"epochs": 3, "epsilon": epsilon, "steps": steps}
    defenses.adversarial_training(
        networks[method], train, method=method, generator=generator, **hard
    )

# %%
table = {
    name: [
        accuracy(model, test),
        accuracy_under(attacks.fgsm, model, epsilon=epsilon),
        accuracy_under(pgd, model, epsilon=epsilon),
    ]
    for name, model in networks.items()
}
_, fgsm_fgsm, fgsm_pgd = table["fgsm"]
claim("Trained on FGSM, a network keeps over half under FGSM", fgsm_fgsm > 0.5)
claim("PGD costs it 20 points more than FGSM", fgsm_fgsm - fgsm_pgd > 0.2)
claim("Under PGD Madry's keeps 20 points more", table["madry"][2] > fgsm_pgd + 0.2)

# %% tags=["hide-input", "fig-training"] mystnb={"image": {"alt": "Grouped bars of accuracy without attack, under FGSM and under PGD for three networks. Standard: high, low, almost nothing. Trained on FGSM: high, high, low. Madry: high, high, high."}}
figure, axis = plt.subplots(figsize=(6, 3.2))
for k, kind in enumerate(["no attack", "FGSM", "PGD, 20 steps"]):
    place = [row + 0.27 * (k - 1) for row in range(len(table))]
    colour = COLOURS[("sky", "orange", "blue")[k]]
    heights = [100 * values[k] for values in table.values()]
    axis.bar(place, heights, 0.25, label=kind, color=colour)
axis.set(xticks=range(3), ylabel="accuracy (%)", ylim=(0, 118))
axis.set_xticklabels(["standard training", "trained on FGSM", "on PGD (Madry)"])
axis.legend(ncols=3, loc="upper center")
plt.show()

# %% [markdown]
# *The same 143 digits, ε = 0.2, three ways of training.* Look at the middle. The network that was trained on FGSM
# withstands FGSM; without a further question, one would call it robust. PGD shows that it is not: it learned to bend
# its loss so that one long step ends nowhere, without learning to be right in the ball. This is **catastrophic
# overfitting** {cite}`wong2020fast`, and the first trap of evaluation: *a defence that is tried only against the attack
# it was trained on*. Madry's network holds against both. Whether it holds against stronger attacks,
# [lecture 2.7](adversarial_training.ipynb) asks, with four searches and an ensemble.
#
# ## What robustness costs
#
# It is not free. To see why, take a problem that one can draw: two classes of points on either side of a wave, so close
# that the balls of radius $\varepsilon = 0.12$ overlap.


# %%
def waves(count, seed):
    """Points [count, 1, 1, 2] in the unit square, and their sides of a wave."""
    random = torch.Generator().manual_seed(seed)
    x = torch.rand(count, generator=random)
    side = torch.arange(count) % 2
    distance = 0.06 + 0.16 * torch.rand(count, generator=random)
    y = 0.5 + 0.22 * torch.sin(7 * x) + (2 * side - 1) * distance
    return TensorDataset(torch.stack([x, y], dim=1).view(-1, 1, 1, 2), side)


points, new_points = waves(240, 0), waves(2000, 1)
slow = {"epochs": 150, "learning_rate": 5e-3, "batch_size": 240}
plain = MLP(64, 64, in_features=2, classes=2)
losses = fit(plain, points, generator=seed_everything(seed()), **slow)

# %% [markdown]
# What does PGD make of these points? It maximises the loss, so it runs as deep into the other class as the ball allows.
# The attacked points of the two classes then lie *among the points of the other class*. Zhang and others
# {cite}`zhang2020attacks` call this the **cross-over mixture**: the network is asked to learn labels that contradict
# each other, and gives up accuracy on clean points to do so.
#
# Their remedy is to stop early. **Friendly** adversarial data come from a PGD that rests once the point is on the wrong
# side, or $\tau$ steps later. It says where the boundary is, and no more.


# %%
def stop_early(model, images, labels, epsilon, step_size, steps, tau):
    x, patience = images.clone(), torch.full_like(labels, tau)
    rests = torch.zeros_like(labels, dtype=torch.bool)
    for _ in range(steps):
        x.requires_grad_()
        logits = model(x)
        wrong = logits.argmax(dim=1) != labels
        rests |= wrong & (patience == 0)
        patience = patience - wrong.long()
        loss = F.cross_entropy(logits, labels, reduction="sum")
        (slope,) = torch.autograd.grad(loss, x)
        step = step_size * slope.sign() * ~rests.view(-1, 1, 1, 1)
        x = (images + (x.detach() + step - images).clamp(-epsilon, epsilon)).clamp(0, 1)
    return x


ball = {"epsilon": 0.12, "steps": 10, "step_size": 0.03}
mine = stop_early(plain, *points.tensors, tau=0, **ball)
pushed = attacks.pgd(plain, *points.tensors, random_start=False, **ball)
friends = defenses.friendly_pgd(
    plain, *points.tensors, tau=0, random_start=False, **ball
)
claim("Both stop at the same points", bool((mine - friends).abs().max() < 1e-5))


# %% tags=["hide-input", "fig-crosses"] mystnb={"image": {"alt": "Two panels of the unit square with a wavy decision boundary. Left, PGD: the crosses of each class lie spread among the dots of the other class. Right, friendly: the crosses lie in a thin band along the boundary."}}
def draw(axis, model, title, moved=None):
    """The model's two regions, the points as dots, what became of them as crosses."""
    ticks = torch.linspace(0, 1, 100)
    grid = torch.cartesian_prod(ticks, ticks).view(-1, 1, 1, 2)
    classes = predict(model, grid).argmax(dim=1).view(100, 100).T
    colours = [COLOURS["blue"], COLOURS["orange"]]
    axis.contourf(
        ticks, ticks, classes, levels=[-0.5, 0.5, 1.5], colors=colours, alpha=0.15
    )
    for side, colour in enumerate(colours):
        marks = {".": points.tensors[0]} | ({} if moved is None else {"x": moved})
        for mark, places in marks.items():
            x, y = places[points.tensors[1] == side].flatten(1).T
            axis.plot(x, y, mark, color=colour, markersize=4, markeredgewidth=0.8)
    axis.set(title=title, xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    axis.grid(False)


figure, (left, right) = plt.subplots(1, 2, figsize=(6.5, 3.5))
draw(left, plain, "what PGD makes of them", pushed)
draw(right, plain, "the same PGD, stopped early", friends)
plt.show()

# %% [markdown]
# *Dots are the points, crosses what an attack makes of them; colours are labels, shades the network's answer.* On the
# left, blue crosses stand among orange dots and orange among blue. On the right all crosses are in a thin band behind
# the boundary. Now train on the one and on the other.

# %%
squares = {"standard": plain}
for method in ("madry", "friendly"):
    generator = seed_everything(seed())
    squares[method] = MLP(64, 64, in_features=2, classes=2)
    tau = 0 if method == "friendly" else None
    options = slow | {"epsilon": 0.12, "tau": tau, "generator": generator}
    defenses.adversarial_training(squares[method], points, method=method, **options)

natural = {name: accuracy(model, new_points) for name, model in squares.items()}
survive = {}
for name, model in squares.items():
    moved = attacks.pgd(model, *new_points.tensors, epsilon=0.12, steps=20)
    survive[name] = accuracy(model, TensorDataset(moved, new_points.tensors[1]))
claim(
    "Without attack: standard, then friendly, then Madry",
    natural["standard"] > natural["friendly"] > natural["madry"],
)
claim(
    "Under attack the standard one is last", min(survive, key=survive.get) == "standard"
)

# %% tags=["hide-input", "fig-waves"] mystnb={"image": {"alt": "Three panels of the unit square: the standard boundary follows the wave between the points; Madry's is flattened and cuts through dots of both classes; the friendly one lies between the two."}}
figure, axes = plt.subplots(1, 3, figsize=(6.5, 2.9))
for axis, (name, model) in zip(axes, squares.items(), strict=True):
    shares = f"clean {natural[name]:.0%}\nattacked {survive[name]:.0%}"
    draw(axis, model, f"{name}\n{shares}")
plt.show()

# %% [markdown]
# *Three boundaries among the training points, and the accuracy on 2,000 new points.* The standard network follows the
# wave and leaves no room. Madry's pays for room with the tips of the wave: it gives up points that it could have had.
# The friendly one lies between, in both numbers. There is no winner here, only a choice on a curve. On problems of
# another kind one can prove that every robust classifier must give up accuracy {cite}`tsipras2019robustness`.
#
# In training one begins with $\tau = 0$ and lets it grow as the network gets stronger; `defenses.tau_schedule` has the
# paper's plan. **The trap**: friendly training looks best where one evaluates with a weak attack, because it was trained
# on weak ones. Evaluate at full strength.
#
# ### TRADES: name the price
#
# TRADES {cite}`zhang2019theoretically` writes both wishes into the loss: be right on the image, and say the same all
# around it, right or wrong.
#
# $$L = \mathrm{CE}\big(y, p(x)\big) + \beta \max_{\|x' - x\| \le \varepsilon} \mathrm{KL}\big(p(x) \,\|\, p(x')\big),
# \qquad p(x) = \operatorname{softmax} f_\theta(x).$$ (eq-trades)
#
# In words: accuracy, plus $\beta$ times the largest change of mind in the ball. $\beta$ sets the price; the authors
# take 6. At $x' = x$ the divergence is zero and so is its gradient: the search must start a little beside the image.


# %%
def trades(model, images, labels, epsilon, beta, steps, generator):
    p = F.softmax(model(images), dim=1)
    noise = torch.empty_like(images).normal_(generator=generator)
    x = (images + 0.001 * noise).clamp(0, 1)
    for _ in range(steps):
        x.requires_grad_()
        kl = F.kl_div(F.log_softmax(model(x), dim=1), p.detach(), reduction="sum")
        (slope,) = torch.autograd.grad(kl, x)
        x = x.detach() + 2.5 * epsilon / steps * slope.sign()
        x = (images + (x - images).clamp(-epsilon, epsilon)).clamp(0, 1)
    kl = F.kl_div(F.log_softmax(model(x), dim=1), p, reduction="batchmean")
    return cross_entropy(model, images, labels) + beta * kl


search = {"epsilon": epsilon, "beta": 6.0, "steps": 5}
seeds = [torch.Generator().manual_seed(0) for _ in range(2)]
mine = trades(standard, *batch.tensors, generator=seeds[0], **search)
theirs = defenses.trades_loss(standard, *batch.tensors, generator=seeds[1], **search)
claim("The formula and the library agree", abs(mine.item() / theirs.item() - 1) < 1e-2)

# %% [markdown]
# ### The price list
#
# On this page there is time for 2,000 digits. The table below was made with all 60,000 and measured on all 10,000 test
# images, by `benchmarks/adversarial_training.py`. It is the table that
# [homework H2](../../exercises/h2_adversarial_training/h2_adversarial_training.ipynb) asks for.

# %%
measured = result("adversarial_training")
rows = [row for row in measured["rows"] if row["data"] == "mnist"]
columns = {"natural": "no attack", "fgsm": "FGSM", "pgd_20": "PGD-20", "cw_20": "C&W"}
print(
    f"{'accuracy (%)':<16}    ε" + "".join(f"{name:>11}" for name in columns.values())
)
for row in rows:
    values = "".join(f"{row[key]:11.1f}" for key in columns)
    print(f"{row['method']:<16}{row['epsilon']:5.1f}{values}")

# %% [markdown]
# "C&W" is PGD on the margin of Carlini and Wagner, the largest other logit minus the label's, within the same ball. It
# need not be weaker or stronger than PGD on the cross-entropy: a defence is worth the lower of the two.

# %%
priced = {(row["method"], row["epsilon"]): row for row in rows}
for (method, radius), row in priced.items():
    worst = min(row["pgd_20"], row["cw_20"])
    assert worst <= row["fgsm"] <= row["natural"], f"{method} at {radius}"
kept = min(priced["madry", 0.3][key] for key in ("pgd_20", "cw_20"))
claim(
    "At ε = 0.3 standard training keeps less than 5 %",
    priced["standard", 0.3]["pgd_20"] < 5,
)
claim("Madry's keeps over 80 %", kept > 80)
price = priced["standard", 0.3]["natural"] - priced["madry", 0.3]["natural"]
claim("There Madry's pays 1 to 2 points of clean accuracy", 1 < price < 2)
claim(
    "On clean images friendly training is better at every ε, or equal to 0.3 points",
    all(
        priced["friendly", e]["natural"] > priced["madry", e]["natural"] - 0.3
        for e in (0.1, 0.2, 0.3)
    ),
)

# %% tags=["hide-input", "fig-price"] mystnb={"image": {"alt": "Two panels against epsilon 0.1, 0.2 and 0.3. Left, accuracy without attack: all lines above ninety per cent, falling a little with epsilon. Right, accuracy under PGD or C&W, whichever is lower: standard training falls to zero, the adversarially trained networks stay high and fall slowly."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(6.5, 3.7))
styles = {
    "standard": ("black", "x"),
    "madry": ("blue", "o"),
    "friendly": ("green", "s"),
}
styles |= {"trades": ("orange", "^"), "friendly_trades": ("pink", "v")}
for method in dict.fromkeys(row["method"] for row in rows):
    colour, mark = styles[method]
    chosen = [row for row in rows if row["method"] == method]
    radii = [row["epsilon"] for row in chosen]
    look = {"color": COLOURS[colour], "marker": mark, "label": method.replace("_", " ")}
    left.plot(radii, [row["natural"] for row in chosen], **look)
    right.plot(radii, [min(row["pgd_20"], row["cw_20"]) for row in chosen], **look)
left.set(title="no attack", ylabel="accuracy (%)")
right.set(title="lower of PGD-20 and C&W", ylim=(-3, 103))
for axis in (left, right):
    axis.set(xlabel="ε, in training and test", xticks=[0.1, 0.2, 0.3])
figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()

# %% [markdown]
# *Left what one pays, right what one gets; mind the two scales.* On MNIST the price at $\varepsilon = 0.3$ is a point
# or two of clean accuracy, and several times the computing time. At $\varepsilon = 0.1$ it is nothing: there the
# attacks act as more training data. Friendly training pays less. These are single runs of three epochs, so differences
# of half a point between the trained networks are not a finding. And it is a cheap lesson: on CIFAR-10 at
# $\varepsilon = 8/255$, networks a hundred times as large lose several points of clean accuracy and keep about half of
# their images under attack {cite}`madry2018towards,zhang2020attacks`. Nobody has found robust training that costs
# nothing.
#
# ## Detection: feature squeezing
#
# Instead of a better answer, one may refuse to answer. Xu, Evans and Qi {cite}`xu2018feature` ask the network twice:
# about the image, and about the image with fewer details. A true digit survives that; a perturbation of many tiny
# changes does not.

# %%
ThreatModel(
    goal="any wrong class, without being refused",
    knowledge="grey box",
    capability="a change of at most 0.2 in L∞, or of at most 3 in L2",
    out_of_scope="an attacker who knows of the detector: see below what happens then",
)

# %% [markdown]
# A *squeezer* $S$ removes detail: a black-and-white version (1 bit for each pixel), or the median of each 2 × 2
# pixels. The score is how far the answer moves, and a threshold on clean images allows for 5 % false alarms:
#
# $$\text{score}(x) = \max_S \big\| p(x) - p(S(x)) \big\|_1 , \qquad p(x) = \operatorname{softmax} f_\theta(x).$$ (eq-squeezing)


# %%
def how_far(model, images):
    views = [
        defenses.reduce_bit_depth(images, bits=1),
        defenses.median_filter(images, size=2),
    ]
    p = F.softmax(predict(model, images), dim=1)
    answers = [F.softmax(predict(model, view), dim=1) for view in views]
    return torch.stack([(p - q).abs().sum(dim=1) for q in answers]).amax(dim=0)


detector = defenses.FeatureSqueezing(standard)
detector.calibrate(held_out.images, false_positive_rate=0.05)
difference = how_far(standard, test.images) - detector.score(test.images)
claim("Four lines and the library agree", bool(difference.abs().max() < 1e-5))

# %%
moved = attacks.pgd(
    standard, test.images, test.labels, epsilon=epsilon, steps=20, generator=generator
)
fooled = predict(standard, moved).argmax(dim=1) != test.labels
alarms = detector.detect(unseen.images).float().mean().item()
found = detector.detect(moved)[fooled].float().mean().item()
claim("On new clean images it raises less than 12 % false alarms", alarms < 0.12)
claim("It finds over half of the attacks that fool the network", found > 0.5)

# %% tags=["hide-input", "fig-scores"] mystnb={"image": {"alt": "Two histograms of the detector's score on a scale from 0 to 2: clean images pile up at 0, attacked ones between 1 and 2, with the threshold between them."}}
figure, axis = plt.subplots(figsize=(6, 3.2))
bins = torch.linspace(0, 2, 41)
axis.hist(detector.score(test.images), bins, color=COLOURS["sky"], label="clean")
line = {"histtype": "step", "color": COLOURS["orange"], "linewidth": 1.8}
axis.hist(detector.score(moved[fooled]), bins, label="PGD", **line)
axis.axvline(detector.threshold, color="black", linestyle="--", label="threshold")
axis.set(xlabel="score: how far the answer moves", ylabel="images", yscale="log")
axis.legend()
plt.show()


# %% [markdown]
# *An attacker who does not know of the detector is found, mostly.* Note the logarithmic axis: nearly all clean images
# have a score of almost zero. The published numbers look like this one, too. Now let the attacker know of the detector.
# What do they want? That the network gives *the same wrong answer to all three views*. So they attack the three views
# at once. Rounding has no gradient, but that stops nobody: forward it stays as it is, and backward a steep sigmoid
# stands in for it. The trick is called backward pass differentiable approximation, BPDA {cite}`athalye2018obfuscated`.
# And who knows the detector can ask it: they try the attack on the network alone as well, and keep what gets past.


# %%
class AllViews(nn.Module):
    """The mean log-probabilities of an image and its two squeezed versions."""

    def forward(self, images):
        soft = torch.sigmoid(8 * (images - 0.5))  # what the backward pass sees
        rounded = soft + (defenses.reduce_bit_depth(images, bits=1) - soft).detach()
        views = [images, rounded, defenses.median_filter(images, size=2)]
        answers = [F.log_softmax(standard(view), dim=1) for view in views]
        return torch.stack(answers).mean(dim=0)


half = test.select(slice(0, None, 2))  # 72 images


def gets_past(*models, **ball):
    """The share of images that an attack on one of these gets past without alarm."""
    size = {"step_size": 0.4 * ball["epsilon"], "generator": generator}
    past = torch.zeros(len(half), dtype=torch.bool)
    for model in models:
        moved = attacks.pgd(model, half.images, half.labels, steps=20, **size, **ball)
        wrong = predict(standard, moved).argmax(dim=1) != half.labels
        past |= wrong & ~detector.detect(moved)
    return past.float().mean().item()


# %%
small, large = {"epsilon": 0.2}, {"epsilon": 3.0, "norm": "l2"}
aware = standard, AllViews()
past = {
    "L∞, 0.2": [gets_past(standard, **small), gets_past(*aware, **small)],
    "L2, 3": [gets_past(standard, **large), gets_past(*aware, **large)],
}
claim("In L∞, fewer than half get past, unaware", past["L∞, 0.2"][0] < 0.5)
claim("In L2, over 1 in 3 get past even unaware", past["L2, 3"][0] > 0.33)
claim("In L2, aware of the detector, over half get past", past["L2, 3"][1] > 0.5)
claim("There awareness helps the attacker", past["L2, 3"][1] > past["L2, 3"][0])

# %% tags=["hide-input", "fig-aware"] mystnb={"image": {"alt": "Pairs of bars: the share of images misread without an alarm by an attacker who is unaware and one who is aware of the detector. Within L infinity 0.2 both are low; within L2 3 the aware one is far higher."}}
figure, axis = plt.subplots(figsize=(5.5, 2.8))
for k, name in enumerate(["unaware of the detector", "aware of it"]):
    place = [row + 0.36 * (k - 0.5) for row in range(len(past))]
    colour = COLOURS[("blue", "orange")[k]]
    axis.bar(place, [100 * v[k] for v in past.values()], 0.33, label=name, color=colour)
axis.set(xticks=range(len(past)), ylabel="misread, no alarm (%)", ylim=(0, 100))
axis.set_xticklabels([f"PGD within {name}" for name in past])
axis.legend(loc="upper left")
plt.show()

# %% [markdown]
# *What gets past the detector, of 72 images.* Two lessons. In the L2 ball most of the aware attacker's images get past:
# several weak views make no strong defence, because one can attack all of them at once {cite}`he2017adversarial`. And
# where the detector holds, in the small L∞ ball, ask what it is that holds. Most pixels of a digit are black or white,
# and rounding undoes any change by less than a half. That is a property of MNIST. On colour photographs one bit would
# leave nothing to recognise, and the weaker squeezers that are used there undo less. **The trap**: to evaluate a
# detector on attacks that were not told of it.
#
# ## Hiding the gradient: defensive distillation
#
# If attacks follow the gradient, take it away. Papernot and others {cite}`papernot2016distillation` train a teacher whose
# softmax has temperature $T = 100$, train a student of the same kind on the teacher's soft answers at the same
# temperature, and deploy the student at $T = 1$.

# %%
ThreatModel(
    goal="any wrong class",
    knowledge="white box",
    capability="each pixel moves by at most ε in L∞, and stays in [0, 1]",
    out_of_scope="nothing: in a white box the attacker may use the logits",
)

# %%
generator = seed_everything(seed())
student = MLP(64)
defenses.defensive_distillation(
    student, train, temperature=100, epochs=8, learning_rate=2e-2, generator=generator
)
generator = seed_everything(seed())
usual = MLP(64)
fit(usual, train, epochs=8, generator=generator)
for model in (usual, student):
    claim("It reads over 80 % of the digits", accuracy(model, unseen) > 0.8)

# %% [markdown]
# What did that do? To answer well at $T = 100$, the logits must be a hundred times as large as usual. At $T = 1$ the
# softmax of such logits is 1 for one class and 0 for the others, to the last digit that a float has. The gradient of
# the cross-entropy, $p - \mathrm{onehot}(y)$, is then exactly zero, and an attack that follows it stands still. The
# library says so.


# %%
def gap(model):
    """The median of the largest logit minus the second."""
    first, second = predict(model, test.images).topk(2, dim=1).values.T
    return (first - second).median().item()


def hot(logits, labels):
    """The cross-entropy at the temperature of training."""
    return F.cross_entropy(logits / 100, labels, reduction="none")


claim(
    "The student's logits are over 20 times as far apart",
    gap(student) > 20 * gap(usual),
)
claim("exp(−gap) is 0 in float32", torch.tensor(-gap(student)).exp().item() == 0)

# %%
tried = {"FGSM": attacks.fgsm, "PGD": pgd}
tried |= {"PGD on the margin": partial(pgd, loss=attacks.margin)}
tried |= {"PGD at T = 100": partial(pgd, loss=hot)}
with warnings.catch_warnings(record=True) as caught:
    left_over = {
        name: [
            accuracy_under(attack, model, epsilon=epsilon) for model in (usual, student)
        ]
        for name, attack in tried.items()
    }
claim(
    "The library warned of masked gradients",
    any(warning.category is attacks.GradientMaskingWarning for warning in caught),
)
claim("PGD leaves the usual network under 10 %", left_over["PGD"][0] < 0.1)
claim("It leaves the student over 50 %: a triumph?", left_over["PGD"][1] > 0.5)
claim(
    "On the margin, or with the temperature put back, it leaves under 15 %",
    max(left_over["PGD on the margin"][1], left_over["PGD at T = 100"][1]) < 0.15,
)

# %% tags=["hide-input", "fig-distilled"] mystnb={"image": {"alt": "Pairs of bars of accuracy under four attacks. FGSM and PGD on the cross-entropy: the distilled student far above the usual network. PGD on the margin and PGD at temperature 100: both near zero."}}
figure, axis = plt.subplots(figsize=(6.2, 3.2))
for k, name in enumerate(["trained as usual", "defensive distillation"]):
    place = [row + 0.36 * (k - 0.5) for row in range(len(left_over))]
    colour = COLOURS[("blue", "orange")[k]]
    heights = [100 * values[k] for values in left_over.values()]
    axis.bar(place, heights, 0.33, label=name, color=colour)
axis.set(xticks=range(len(left_over)), ylabel="accuracy (%)", ylim=(0, 118))
axis.set_xticklabels(
    [name.replace(" on", "\non").replace(" at", "\nat") for name in left_over]
)
axis.legend(ncols=2, loc="upper center")
plt.show()

# %% [markdown]
# *Two attacks fail, two that are as simple succeed.* The adversarial examples were there all the time; what was gone
# was the signpost. Carlini and Wagner {cite}`carlini2017towards` broke this defence within a year, with a loss on the
# logits. The general name is **gradient masking**, and the trap is to take a failed attack for a robust network. A
# `GradientMaskingWarning` is the first sign of it; lecture 2.6 has a list of others {cite}`athalye2018obfuscated`.

# %% [markdown]
# ## A class for "this was tampered with": NULL labels
#
# Hosseini and others {cite}`hosseini2017blocking` add an output to the network, NULL, and train on perturbed images: the
# more an image was perturbed, the more of its label goes to NULL. How much is measured, by `defenses.null_probability`:
# as much as the perturbation costs a plain network of its accuracy. They aim at one threat in particular, adversarial
# examples that were made on *another* network and are passed on.

# %%
ThreatModel(
    goal="a wrong digit, not NULL",
    knowledge="black box",
    capability="images made on another network, at most ε away in L∞",
    out_of_scope="an attacker with the gradients of this network: see below",
)

# %%
generator = seed_everything(seed())
wary = MLP(100, classes=11)  # another kind of network; NULL is class 10
options = {"learning_rate": 2e-3, "batch_size": 64, "generator": generator}
defenses.null_label_training(wary, train, initial_epochs=6, epochs=6, **options)


def three_ways(images):
    """The shares of images that are read, rejected as NULL, and misread."""
    answer = predict(wary, images).argmax(dim=1)
    right, rejected = answer == test.labels, answer == 10
    wrong = ~right & ~rejected
    return [kind.float().mean().item() for kind in (right, rejected, wrong)]


# %% [markdown]
# There are three outcomes now, and one must count all three: a rejection is neither a success nor a failure. The
# attacker who has the network's gradients wants a wrong *digit*, and so maximises the best wrong digit over both the
# label and NULL.


# %% tags=["nbval-ignore-output"]
def avoiding_null(logits, labels):
    wrong = logits[:, :10].scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    guard = logits.gather(1, torch.stack([labels, labels * 0 + 10], dim=1)).amax(dim=1)
    return wrong - guard


ball = {"epsilon": 0.3, "steps": 20, "generator": generator}
pair = test.images, test.labels
noise = 0.4 * torch.empty_like(test.images).normal_(generator=generator)
shown = {
    "clean images": test.images,
    "PGD, passed on": attacks.pgd(standard, *pair, **ball),
    "PGD on this network": attacks.pgd(wary, *pair, **ball),
    "PGD that avoids NULL": attacks.pgd(wary, *pair, loss=avoiding_null, **ball),
    "harmless noise": (test.images + noise).clamp(0, 1),
}
outcome = {name: three_ways(images) for name, images in shown.items()}
for name, shares in outcome.items():
    print(f"{name:<21}" + "".join(f"{100 * share:6.0f} %" for share in shares))

# %%
passed_on, avoiding = outcome["PGD, passed on"], outcome["PGD that avoids NULL"]
clean, noisy = outcome["clean images"], outcome["harmless noise"]
claim("Over 75 % of clean digits are read", clean[0] > 0.75)
claim(
    "It rejects passed-on images more than clean ones", passed_on[1] > clean[1] + 0.05
)
claim("The attack that avoids NULL: over 90 % wrong digits", avoiding[2] > 0.9)
claim("Over 5 % of noisy digits are rejected, too", noisy[1] > 0.05)

# %% [markdown]
# Against passed-on images the extra class helps: many that would be misread are rejected. Against an attacker who has
# the gradients and who avoids NULL, nothing is left. And the price is not only clean accuracy: harmless noise is
# rejected as well, which papers do not always report. **The trap**: to count "not the label" as success, so that a
# rejection looks like a triumph of the attacker, or to forget that the attacker can avoid NULL as easily as the label.
#
# ## Project onto what is possible: Defense-GAN
#
# Samangouei and others {cite}`samangouei2018defense` train a generator $G$ of images, and classify in place of $x$ the
# nearest image that the generator can make:
#
# $$x \;\mapsto\; f_\theta\big(G(\zeta^*)\big), \qquad \zeta^* = \arg\min_\zeta \|G(\zeta) - x\|_2^2 .$$ (eq-defense-gan)
#
# In words: what the generator cannot draw, such as a faint pattern over a digit, is not seen by the classifier. The
# latent $\zeta^*$ is found by gradient descent from several starts, for every image that is classified. The authors take
# 200 steps from each of 10 starts. To save time we take 40 from each of 2, so our projections are coarser than theirs.

# %%
ThreatModel(
    goal="any wrong class",
    knowledge="white box",
    capability="each pixel moves by at most ε in L∞; or any digit that a person reads",
    out_of_scope="nothing: generator and classifier are known",
)

# %%
gan = mnist_gan()
guarded = defenses.DefenseGAN(
    standard,
    decoder=gan.generator,
    steps=40,
    restarts=2,
    generator=torch.Generator().manual_seed(seed()),
)
few = half.select(slice(0, None, 4))  # 18 images: each is projected anew in each step
ball = {"epsilon": 0.3, "steps": 6, "step_size": 0.1, "generator": generator}
moved = attacks.pgd(standard, *half.tensors, **ball)
through = attacks.pgd(guarded.straight_through(), *few.tensors, **ball)


# %% [markdown]
# Inside the ball, BPDA takes the gradient at $G(\zeta^*)$ for the gradient at $x$: `straight_through()`. Outside of any
# ball one can walk among the images that the generator draws, by the gradient with respect to $\zeta$, until the
# classifier is wrong and sure of it.


# %%
def walk(images, labels, steps=60, size=0.2):
    """Images of the generator that the classifier misreads by 2 logits or more."""
    latents = gan.inverter(images).detach()  # about where the image is, (n, 64)
    for _ in range(steps):
        latents.requires_grad_()
        ahead = attacks.margin(standard(gan.generator(latents)), labels)
        (slope,) = torch.autograd.grad(ahead.sum(), latents)
        step = size * slope / slope.norm(dim=1, keepdim=True)
        latents = latents.detach() + step * (ahead < 2)[:, None]
    return gan.generator(latents.detach()).detach()


# %% tags=["nbval-ignore-output"]
drawn = walk(*few.tensors)
shown = {
    "unaware": TensorDataset(moved, half.labels),
    "BPDA": TensorDataset(through, few.labels),
    "drawn by G": TensorDataset(drawn, few.labels),
}
right = predict(guarded, test.images).argmax(dim=1) == test.labels
kept = {"clean": right.float().mean().item()}
kept |= {name: accuracy(guarded, images) for name, images in shown.items()}
for name, share in kept.items():
    print(f"{name:<11}{100 * share:4.0f} %")

# %%
bare = accuracy(standard, TensorDataset(moved, half.labels))
read = predict(standard, test.images).argmax(dim=1) == test.labels
spoilt = (~right)[read].float().mean().item()
claim("PGD leaves the bare network less than 15 %", bare < 0.15)
claim("Behind Defense-GAN over 20 points more survive", kept["unaware"] > bare + 0.2)
claim("It misreads over 1 % of the clean digits that the bare one reads", spoilt > 0.01)
claim("Of the images drawn by G less than 20 % survive", kept["drawn by G"] < 0.2)

# %%
given = torch.cat([half.images[12:17:4], moved[12:17:4], drawn[3:5]])
projected = guarded.reconstruct(given)

# %% tags=["hide-input", "fig-projection"] mystnb={"image": {"alt": "Three rows of two pairs of digits: what is shown to the network, and beside it its projection. First row: clean digits, whose projections may lose a stroke. Second row: the same digits with PGD's pattern, which is gone in the projections. Third row: digits drawn by the generator, whose projections resemble them."}}
pairs = torch.stack([given, projected], dim=1).flatten(0, 1)
titles = [name for name in ("clean", "unaware", "drawn by G") for _ in range(2)]
titles = [title for name in titles for title in (name, "seen as")]
show_images(pairs, titles, columns=4, size=1.4)
plt.show()

# %% [markdown]
# *What comes in, and to the right of it what the classifier sees.* The projection wipes out the pattern of PGD (second
# row), and now and then a stroke of the digit with it. What the generator itself has drawn passes through with little
# change, and among the images that it can draw there are many that the classifier misreads
# ([lecture 2.4](black_box.ipynb)). Look at all 18 before you trust the number: some are still the digit that they were,
# others have become another one. Where no $\varepsilon$ bounds an attack, a person has to judge, and a success rate
# alone says little. Within the ball, BPDA is a cheap attack, and its authors report that it breaks the defence in part
# {cite}`athalye2018obfuscated`. The price: 80 passes through the generator for every image that is classified (the
# authors take 2,000), and clean digits that it draws wrongly. **The trap**: the defence has no gradient, so every
# attack by gradients fails, and the failure looks like robustness.
#
# ## What goes wrong
#
# Every trap of this page is the same mistake: an attack that was too weak for this defence. It runs without an error
# message. So make the checks part of the code, for every defence, your own first.


# %%
def looks_honest(model):
    """Four signs that robust accuracy means something; each must be true."""
    one = accuracy_under(attacks.fgsm, model, epsilon=epsilon)
    smaller, many, unbounded = (
        accuracy_under(pgd, model, epsilon=e) for e in (0.1, epsilon, 1.0)
    )
    margin = accuracy_under(pgd, model, epsilon=epsilon, loss=attacks.margin)
    return {
        "PGD is no weaker than FGSM": many <= one + 0.02,
        "a larger ball is no harder to attack": many <= smaller,
        "another loss finds no more": margin > many - 0.1,
        "without a bound nothing is left": unbounded < 0.05,
    }


# %%
signs = {"Madry": looks_honest(networks["madry"])}
with warnings.catch_warnings(record=True):  # of masked gradients, once more
    signs["distilled"] = looks_honest(student)
for sign in signs["Madry"]:
    answers = (f"{name}: {found[sign]!s:<7}" for name, found in signs.items())
    print(f"{sign:<38}", *answers)
claim("Madry's network passes all four", all(signs["Madry"].values()))
claim("The distilled one does not", not all(signs["distilled"].values()))

# %% [markdown]
# **How to evaluate a defence honestly.** Write the card, and let the attacker know the defence. Attack with steps and
# starts enough that more of them change nothing. Follow another loss than the one that was trained on, and an attack
# without gradients. Take the worst over all attacks, image by image. Give the accuracy on clean images and the cost
# beside it. For a detector, count what is misread *and* unseen. Then ask someone else to break it
# {cite}`tramer2020adaptive`.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *Predict, then measure.* Take the standard network and multiply its logits by 1,000. No
# training, no distillation. Which share of the images survives PGD at $\varepsilon = 0.2$, and which PGD on the margin?
#
# <details><summary>Hint 1: where to look</summary>
#
# On which images does the answer change when all logits are multiplied by 1,000? What does that say about how robust the
# network is, whatever an attack may find?
#
# </details>
#
# <details><summary>Hint 2: the key idea</summary>
#
# The gradient of the cross-entropy is $p - \mathrm{onehot}(y)$. What becomes of $p$, and what of the margin?
#
# </details>


# %% tags=["hide-cell"]
# Solution: the same triumph as defensive distillation, and the same end. The classes
# have not changed, so robustness has not; only the softmax is saturated.
class Loud(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return 1000 * self.model(images)


loud = Loud(standard)
with warnings.catch_warnings(record=True) as caught:
    unmoved = accuracy_under(pgd, loud, epsilon=epsilon)
claim("The library warns of it", len(caught) > 0)
broken = accuracy_under(pgd, loud, epsilon=epsilon, loss=attacks.margin)
claim("Over 60 % survive PGD on the cross-entropy", unmoved > 0.6)
claim("On the margin it is as weak as the quiet one, to 0.1", broken < robust + 0.1)

# %% [markdown]
# **Exercise 2** (10 minutes). *How much is an alarm worth?* One image in 1,000 that a service receives was tampered
# with. A detector finds 80 % of these, with 5 % false alarms. Of 100 alarms, how many are real? Work it out by hand,
# then simulate it.
#
# <details><summary>Hint 1: where to look</summary>
#
# Take a million images. How many of them were tampered with, and for how many of these does the alarm ring?
#
# </details>
#
# <details><summary>Hint 2: the key idea</summary>
#
# The alarm rings for some of the others, too, and there are 999 times as many of them. Compare the two numbers of alarms.
#
# </details>

# %% tags=["hide-cell"]
# Solution: 0.001 · 0.8 of all images are real alarms and 0.999 · 0.05 are false ones,
# so fewer than 2 of 100 alarms are real. Rare attacks need far fewer false alarms.
random = torch.Generator().manual_seed(seed())
tampered = torch.rand(1_000_000, generator=random) < 0.001
alarm = torch.rand(1_000_000, generator=random) < torch.where(tampered, 0.8, 0.05)
real = tampered[alarm].float().mean().item()
claim("By hand and by simulation: 1.6 of 100", abs(real - 0.0008 / 0.05075) < 0.003)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A network keeps 90 % under FGSM and 10 % under PGD, at the same ε. How was it trained, most likely?
# - On clean images alone :: FGSM would take it far below 90 % as well.
# + On FGSM images alone or mostly :: It has learned to defeat one long step, and nothing else.
# - On PGD images :: Then it would hold against both.
# ? What does friendly adversarial training change?
# - The loss that the weights minimise :: It is the cross-entropy on attacked images, as before.
# + The attack: it stops soon after the image is misclassified :: The images lie just behind the boundary, and no longer deep in another class.
# - The ball: it is smaller :: The ball has the same ε; the search just doesn't go to its edge where it need not.
# ? PGD finds nothing, and warns that the gradient is zero for most images. What follows?
# - The network is robust within the ball :: A search that could not move has searched nothing.
# - The network must be retrained :: Perhaps, but the warning says nothing about that.
# + Nothing yet: attack the margin of the logits, or without gradients :: A zero gradient says that this attack cannot see, not that nothing is there.
# ? A detector finds 95 % of the PGD images of a paper. Which number is missing?
# - The accuracy of the network on clean images :: Useful, but the claim is about the detector.
# + How much an attacker who knows of the detector gets past it :: Until someone has tried that, the detector has not been evaluated.
# - The area under the ROC curve :: It sums up the same attacks, made by someone who did not know.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Adversarial training works: after years of attempts to break it, it is the defence that stands. It
# needs nothing but an attack in the training loop. TRADES and friendly training let one choose how much clean accuracy
# to pay.
#
# **Limitations.** It costs several times the training, and accuracy on clean images. It promises nothing outside of its
# ball, and nothing at all in the strict sense: robust accuracy is what *these* attacks left. A certificate is another
# thing, and comes in lecture 2.6. The other four defences of this page are worth knowing for how they fail. Each raises
# the effort of an attacker who does not know of it, and no more. MNIST, moreover, is kind to defences: nearly black and
# white, and easy.
#
# **Software.** In this library: `defenses.adversarial_training` with `trades_loss` and `friendly_pgd`,
# `FeatureSqueezing`, `defensive_distillation`, `null_label_training`, `DefenseGAN`. To use in earnest:
# [the authors' TRADES](https://github.com/yaodongyu/TRADES) and
# [friendly training](https://github.com/zjfheart/Friendly-Adversarial-Training), the networks of
# [RobustBench](https://github.com/RobustBench/robustbench) to start from, and AutoAttack {cite}`croce2020reliable` to
# evaluate.
#
# ## What to take away
#
# Training on attacks makes a network harder to fool, at a price that is known. Detecting, hiding and projecting help
# against attackers who do not know of them. What separates the two is an attack that was made for the defence; so make
# it yourself, before someone else does.
#
# Next: [how to measure all this honestly](honest_evaluation.ipynb), and do it yourself in
# [homework H2](../../exercises/h2_adversarial_training/h2_adversarial_training.ipynb).
