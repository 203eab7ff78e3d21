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
# **Time**: 50 minutes to read; at most 60 CPU-seconds to run.

# %%
import json
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import attacks, defenses
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.plotting import COLOURS, show_images, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, cross_entropy, fit, predict, seed_everything

use_style()

# %% [markdown]
# ## The question
#
# Two thousand digits train a small convolutional network well. Under PGD, within $\epsilon = 0.2$, nothing is left of it.

# %%
digits, test = mnist("train"), mnist("test")
train, held_out = digits.select(slice(2000)), digits.select(slice(2000, 2500))
test = test.select(slice(0, None, len(test) // 200))  # 200 images to attack
epsilon = 0.2


def new_network():
    return SmallCNN().to(memory_format=torch.channels_last)  # faster on a CPU


generator = seed_everything(seed())
standard = new_network()
how = {"epochs": 6, "learning_rate": 2e-3, "batch_size": 64}
fit(standard, train, generator=generator, **how)


# %%
def accuracy_under(attack, model, **how):
    """The share of test images that the model still reads correctly."""
    adversarial = attack(model, test.images, test.labels, **how)
    return accuracy(model, TensorDataset(adversarial, test.labels))


generator = torch.Generator().manual_seed(seed())
pgd = partial(attacks.pgd, steps=20, generator=generator)
natural = accuracy(standard, test)
robust = accuracy_under(pgd, standard, epsilon=epsilon)
claim("The network reads over 93 % of the digits", natural > 0.93)
claim("Under PGD it reads less than 15 %", robust < 0.15)

# %% [markdown]
# What can be done? Three families of answers are on this page. *Train better*, so that the answer does not change within
# the ball. *Detect*: refuse images that look tampered with. *Hide*, so that the attacker finds no gradient to follow.
# And what only seems to help? The test is always the same: would it still help if the attacker knew of it? This is
# Kerckhoffs's principle, a century older than computers: assume that the enemy knows the system.
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
# weighs the loss on the images and the loss on their FGSM versions, made anew in each step:
#
# $$L = \alpha\, L(x, y) + (1 - \alpha)\, L\big(x + \epsilon \operatorname{sign} \nabla_x L(x, y),\; y\big).$$
#
# In words: learn the image, and learn what the quickest attack makes of it. The gradient of the weights takes the
# attacked image as given, and does not run through the attack.


# %%
def mixture(model, images, labels, epsilon, alpha):
    x = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(model, x, labels), x)
    attacked = (images + epsilon * slope.sign()).clamp(0, 1)
    clean = cross_entropy(model, images, labels)
    return alpha * clean + (1 - alpha) * cross_entropy(model, attacked, labels)


batch = train.select(slice(64))
mine = mixture(standard, *batch.tensors, epsilon, alpha=0.5)
(theirs,) = defenses.adversarial_training(
    standard, batch, epochs=1, epsilon=epsilon, method="fgsm", learning_rate=0.0
)
claim("Six lines and the library agree", abs(mine.item() / theirs - 1) < 1e-4)

# %% [markdown]
# Madry and others {cite}`madry2018towards` said what is really wanted. The defender chooses weights; then the attacker
# chooses, knowing them, the worst image in the ball; so the defender should minimise the worst case:
#
# $$\min_\theta\; \frac1N \sum_{i=1}^N \;\max_{\|x' - x_i\|_\infty \le \epsilon} L\big(f_\theta(x'), y_i\big).$$
#
# In words: make the worst that can happen to each image as harmless as possible. The inner maximum cannot be found
# exactly. PGD stands in for it, which costs as many more passes through the network as PGD has steps. One remark
# from practice: a network that meets a large $\epsilon$ in its first steps may learn to give all images the same answer,
# and stay there. `warm_up` raises $\epsilon$ in stairs over the first epochs.

# %%
networks = {"standard": standard}
for method in ("fgsm", "madry"):
    generator = seed_everything(seed())
    networks[method] = new_network()
    hard = how | {"epsilon": epsilon, "steps": 4, "warm_up": 2}
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
claim("Madry's network keeps over 60 % under PGD", table["madry"][2] > 0.6)
claim("Trained on FGSM, FGSM takes it below 60 % no more", fgsm_fgsm > 0.6)
claim("PGD costs it 20 points more than FGSM", fgsm_fgsm - fgsm_pgd > 0.2)

# %% mystnb={"image": {"alt": "Grouped bars of accuracy without attack, under FGSM and under PGD for three networks. Standard: high, low, almost nothing. Trained on FGSM: high, high, low. Madry: high, high, high."}}
figure, axis = plt.subplots(figsize=(6, 3))
for k, kind in enumerate(["no attack", "FGSM", "PGD, 20 steps"]):
    place = [row + 0.27 * (k - 1) for row in range(len(table))]
    colour = COLOURS[("sky", "orange", "blue")[k]]
    heights = [100 * values[k] for values in table.values()]
    axis.bar(place, heights, 0.25, label=kind, color=colour)
axis.set(xticks=range(3), ylabel="accuracy (%)", ylim=(0, 118))
axis.set_xticklabels(["standard training", "trained on FGSM", "trained on PGD (Madry)"])
axis.legend(ncols=3, loc="upper center")
plt.show()

# %% [markdown]
# *The same 200 digits, ε = 0.2, three ways of training.* Look at the middle. The network that was trained on FGSM withstands
# FGSM; asked no further, one would call it robust. PGD shows that it is not: it learned to bend its loss so that one long
# step ends nowhere, without learning to be right in the ball. This is **catastrophic overfitting**
# {cite}`wong2020fast`, and the first trap of evaluation: *a defence that is tried only against the attack it was trained
# on*. Madry's network holds against both, and against the attacks of [lecture 2.6](honest_evaluation.ipynb) too.
#
# ## What robustness costs
#
# It is not free. To see why, take a problem that one can draw: two classes of points on either side of a wave, so close
# that the balls of radius $\epsilon = 0.12$ overlap.


# %%
def waves(count, seed):
    """Points [count, 1, 1, 2] in the unit square, and the side of the wave they are on."""
    random = torch.Generator().manual_seed(seed)
    x = torch.rand(count, generator=random)
    side = torch.arange(count) % 2
    distance = 0.06 + 0.16 * torch.rand(count, generator=random)
    y = 0.5 + 0.22 * torch.sin(7 * x) + (2 * side - 1) * distance
    return TensorDataset(torch.stack([x, y], dim=1).view(-1, 1, 1, 2), side)


points, new_points = waves(240, 0), waves(2000, 1)
slow = {"epochs": 150, "learning_rate": 5e-3, "batch_size": 240}
plain = MLP(64, 64, in_features=2, classes=2)
fit(plain, points, generator=seed_everything(seed()), **slow)

# %% [markdown]
# What does PGD make of these points? It maximises the loss, so it runs as deep into the other class as the ball allows.
# The attacked points of the two classes then lie *among the points of the other class*. Zhang and others
# {cite}`zhang2020attacks` call this the **cross-over mixture**: the network is asked to learn labels that contradict
# each other, and gives up accuracy on clean points to do so.
#
# Their remedy: stop early. **Friendly** adversarial data come from a PGD that rests once the point is on the wrong side,
# or $\tau$ steps later. It says where the boundary is, and no more.


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


# %% mystnb={"image": {"alt": "Two panels of the unit square with a wavy decision boundary. Left, PGD: the crosses of each class lie spread among the dots of the other class. Right, friendly: the crosses lie in a thin band along the boundary."}}
def draw(axis, model, moved, title):
    """The model's two regions, the points as dots, and what became of them as crosses."""
    ticks = torch.linspace(0, 1, 100)
    grid = torch.cartesian_prod(ticks, ticks).view(-1, 1, 1, 2)
    classes = predict(model, grid).argmax(dim=1).view(100, 100).T
    colours = [COLOURS["blue"], COLOURS["orange"]]
    axis.contourf(ticks, ticks, classes, levels=[-0.5, 0.5, 1.5], colors=colours, alpha=0.15)
    for side, colour in enumerate(colours):
        for places, mark in ((points.tensors[0], "."), (moved, "x")):
            x, y = places[points.tensors[1] == side].flatten(1).T
            axis.plot(x, y, mark, color=colour, markersize=4, markeredgewidth=0.8)
    axis.set(title=title, xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    axis.grid(False)


figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
draw(left, plain, pushed, "what PGD makes of the points")
draw(right, plain, friends, "what PGD makes of them that stops early")
plt.show()

# %% [markdown]
# *Dots are the points, crosses what an attack makes of them; colours are labels, shades the network's answer.* On the left,
# blue crosses stand among orange dots and orange among blue. On the right all crosses are in a thin band behind the
# boundary. Now train on the one and on the other.

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
claim("Under attack the standard one is last", min(survive, key=survive.get) == "standard")

# %% mystnb={"image": {"alt": "Three panels of the unit square: the standard boundary follows the wave between the points; Madry's is flattened and cuts through dots of both classes; the friendly one lies between the two."}}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.2))
for axis, (name, model) in zip(axes, squares.items(), strict=True):
    shares = f"{natural[name]:.0%} clean, {survive[name]:.0%} attacked"
    draw(axis, model, points.tensors[0], f"{name}: {shares}")
plt.show()

# %% [markdown]
# *Three boundaries, and the accuracy on 2,000 new points.* The standard network follows the wave and leaves no room. Madry's
# pays for room with the tips of the wave: it gives up points that it could have had. The friendly one lies between, in
# both numbers. There is no winner here, only a choice on a curve. On problems of another kind one can prove that
# every robust classifier must give up accuracy {cite}`tsipras2019robustness`.
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
# $$L = \mathrm{CE}\big(y, f(x)\big) + \beta \max_{\|x' - x\| \le \epsilon} \mathrm{KL}\big(f(x) \,\|\, f(x')\big).$$
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
result = json.loads(Path("../../benchmarks/results/adversarial_training.json").read_text())
rows = [row for row in result["rows"] if row["data"] == "mnist"]
columns = {"natural": "no attack", "fgsm": "FGSM", "pgd_20": "PGD-20", "cw_20": "C&W"}
print(f"{'accuracy (%)':<16}    ε" + "".join(f"{name:>11}" for name in columns.values()))
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
claim("At ε = 0.3 standard training keeps less than 5 %", priced["standard", 0.3]["pgd_20"] < 5)
claim("Madry's keeps over 70 %", kept > 70)
claim(
    "At every ε friendly training is the better one on clean images, or equal to 0.3 points",
    all(
        priced["friendly", e]["natural"] > priced["madry", e]["natural"] - 0.3
        for e in (0.1, 0.2, 0.3)
    ),
)

# %% mystnb={"image": {"alt": "Two panels against epsilon 0.1, 0.2 and 0.3. Left, accuracy without attack: all lines above ninety per cent, falling a little with epsilon. Right, accuracy under the stronger of PGD and C&W: standard training falls to zero, the adversarially trained networks stay high and fall slowly."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
styles = {"standard": ("black", "x"), "madry": ("blue", "o"), "friendly": ("green", "s")}
styles |= {"trades": ("orange", "^"), "friendly_trades": ("pink", "v")}
for method, (colour, mark) in styles.items():
    chosen = [row for row in rows if row["method"] == method]
    radii = [row["epsilon"] for row in chosen]
    look = {"color": COLOURS[colour], "marker": mark, "label": method.replace("_", " ")}
    left.plot(radii, [row["natural"] for row in chosen], **look)
    right.plot(radii, [min(row["pgd_20"], row["cw_20"]) for row in chosen], **look)
left.set(title="no attack", ylabel="accuracy (%)")
right.set(title="the worse of PGD-20 and C&W", ylim=(-3, 103))
for axis in (left, right):
    axis.set(xlabel="ε, in training and test", xticks=[0.1, 0.2, 0.3])
right.legend(fontsize=8, loc="center left")
plt.show()

# %% [markdown]
# *Left what one pays, right what one gets; mind the two scales.* On MNIST the price is a point or two of clean accuracy and several
# times the computing time. It is a cheap lesson: on CIFAR-10 at $\epsilon = 8/255$, networks a hundred times as large lose
# ten points or more of clean accuracy and keep about half of their images under attack
# {cite}`madry2018towards,zhang2020attacks`. Nobody has found training that costs nothing.
#
# ## Detection: feature squeezing
#
# Instead of a better answer, one may refuse to answer. Xu, Evans and Qi {cite}`xu2018feature` ask the network twice: about
# the image, and about the image with fewer details. A true digit survives that; a perturbation of many tiny changes
# does not.

# %%
ThreatModel(
    goal="any wrong class, without being refused",
    knowledge="grey box",
    capability="each pixel moves by at most ε in L∞, and stays in [0, 1]",
    out_of_scope="an attacker who knows of the detector: see below what happens then",
)

# %% [markdown]
# A *squeezer* $s$ removes detail: a black-and-white version (1 bit for each pixel), or the median of each 2 × 2
# pixels. The score is how far the answer moves, and a threshold on clean images allows for 5 % false alarms:
#
# $$\text{score}(x) = \max_s \big\| \operatorname{softmax} f(x) - \operatorname{softmax} f(s(x)) \big\|_1 .$$


# %%
def how_far(model, images):
    views = [defenses.reduce_bit_depth(images, 1), defenses.median_filter(images, 2)]
    p = F.softmax(predict(model, images), dim=1)
    answers = [F.softmax(predict(model, view), dim=1) for view in views]
    return torch.stack([(p - q).abs().sum(dim=1) for q in answers]).amax(dim=0)


detector = defenses.FeatureSqueezing(standard)
detector.calibrate(held_out.images, false_positive_rate=0.05)
difference = how_far(standard, test.images) - detector.score(test.images)
claim("Four lines and the library agree", bool(difference.abs().max() < 1e-5))
