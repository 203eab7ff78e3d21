# %% [markdown]
# # 2.7 Adversarial training, looked at closely
#
# Training on attacks is the defence that still stands. It has a price, a way to fail that one sees only late, and another that one sees only with the right attack. This page measures all three, looks at
# the loss around an image, and asks what such a network says about inputs that are no digits at all.
#
# **What you will learn**
#
# - to read what the β of TRADES buys, and when, and to compare it with Madry's and friendly training, with intervals;
# - what robust overfitting and catastrophic overfitting are, and how to stop in time;
# - to draw the loss around a point, and to read from it whether it is flat or sharp;
# - in which eight ways adversarial training has been improved, one of each measured;
# - why a detector of strange inputs is no detector of adversarial ones.
#
# **Before you start**: [what helps, and what only seems to](defenses.ipynb), where the methods are derived, and [honest evaluation](honest_evaluation.ipynb). The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 25 minutes to read; {{ cpu_seconds }} to run.

# %%
import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional as F

from tml_helpers import attacks, defenses
from tml_helpers.claims import claim, seed
from tml_helpers.data import digits, mnist, photos
from tml_helpers.measured import result
from tml_helpers.models import SmallCNN
from tml_helpers.plotting import COLOURS, show_images, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import cross_entropy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The question
#
# Two thousand [handwritten digits](../../book/data_cards/mnist.md), and an attacker who may change each pixel by $\varepsilon = 0.2$. Three networks start from the same weights, two epochs of ordinary training, and go on
# in three ways: on the images as they are, on FGSM images alone, and on PGD images.

# %%
train = mnist("train").select(slice(2000))
test = mnist("test").select(slice(200))
images, labels = test.images, test.labels
EPSILON = 0.2
how = {"learning_rate": 2e-3, "batch_size": 64}

start = SmallCNN(width=8)
losses = fit(start, train, epochs=2, generator=seed_everything(seed()), **how)

# %%
networks = {"standard": copy.deepcopy(start)}
generator = seed_everything(seed())
losses = fit(networks["standard"], train, epochs=5, generator=generator, **how)
for method, own in (("fgsm", {"alpha": 0.0}), ("madry", {"steps": 5})):
    generator = seed_everything(seed())
    networks[method] = copy.deepcopy(start)
    hard = how | own | {"epochs": 5, "epsilon": EPSILON, "generator": generator}
    defenses.adversarial_training(networks[method], train, method=method, **hard)

# %%
ThreatModel(
    goal="any wrong class",
    knowledge="white box",
    capability="each pixel moves by at most 0.2 in L∞, and stays in [0, 1]",
    out_of_scope="larger ε, other norms, rotations: nothing is promised there",
)

# %% [markdown]
# How good are they? [Lecture 2.6](honest_evaluation.ipynb) says: not by one start of one search. We take PGD on the cross-entropy and on the margin (the largest other logit minus the label's), each from two random
# starts, and an image counts only if *all four* leave it. The method of Wilson {cite}`wilson1927probable` gives the interval: of $N$ images a share $\hat p$ stands, and the true share $p$ is every one that is at most $z = 1.96$ of
# its own standard errors away,
#
# $$\lvert \hat p - p \rvert \ \le\ z \sqrt{p\,(1 - p) / N} .$$ (eq-adv-wilson)
#
# In words: keep the values of $p$ for which what was seen is no surprise. Solved for $p$, it is the four lines below.


# %%
def standing(model, images, labels, restarts=2):
    """Which images are read correctly, whatever was tried."""
    still = predict(model, images).argmax(dim=1) == labels
    for loss in ({}, {"loss": attacks.margin}):
        for _ in range(restarts):
            search = {"epsilon": EPSILON, "steps": 20, "tau": 0} | loss
            found = attacks.pgd(model, images, labels, generator=generator, **search)
            still &= predict(model, found).argmax(dim=1) == labels
    return still


def wilson(share, n, z=1.96):
    """The interval for a share of n."""
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return centre - half, centre + half


# %%
left = {name: standing(net, images, labels) for name, net in networks.items()}
robust = {name: float(still.float().mean()) for name, still in left.items()}
low, high = wilson(0.5, 100)
claim("50 of 100 mean: between 40.4 % and 59.6 %", abs(low - 0.404) < 1e-3)
claim("Madry's network keeps over a third", robust["madry"] > 0.34)
claim("and the standard one under a fifth", robust["standard"] < 0.2)
claim("Trained on FGSM alone: less", robust["fgsm"] < robust["madry"])

# %% tags=["nbval-ignore-output"]
for name, share in robust.items():
    low, high = wilson(share, len(images))
    print(f"{name:9} {share:6.1%}   from {low:.1%} to {high:.1%}")

# %% [markdown]
# ## TRADES over β: which price do you want?
#
# TRADES {cite}`zhang2019theoretically` adds to the loss of the clean image $\beta$ times the largest change of mind in the ball (equation {eq}`eq-trades`). How much does $\beta$ really move? `benchmarks/robust_training.py` has trained it
# for several $\beta$, beside Madry's and the friendly training {cite}`zhang2020attacks` that stops its search just behind the boundary. Each was trained several times from other weights, and judged as above on 400 test digits.

# %%
runs = result("robust_training")["runs"]


def of(name, field):
    """The values of all runs of one setting, in per cent."""
    values = [row[field] for place, row in runs.items() if place.startswith(name + "/")]
    return 100 * np.array(values)


# %% tags=["nbval-ignore-output"]
lines = {name: f"method/{name}" for name in ("standard", "fgsm", "madry", "friendly")}
betas = (0.5, 1, 3, 6, 12)
lines |= {f"TRADES, β = {beta:g}": f"trades/{beta:g}" for beta in betas}
print(f"{'accuracy (%)':20}  runs  natural  FGSM   all four searches")
for words, place in lines.items():
    natural, one_step, kept = (of(place, f) for f in ("natural", "fgsm", "robust"))
    low, high = wilson(kept.mean() / 100, 400)
    print(
        f"{words:20} {len(kept):5} {natural.mean():8.1f} {one_step.mean():6.1f}"
        f" {kept.mean():6.1f}  ({100 * low:.1f} to {100 * high:.1f})"
    )

# %% tags=["hide-input", "fig-adv-beta"] mystnb={"image": {"alt": "A plane with natural accuracy to the right and robust accuracy upwards. Circles joined by a line are TRADES with growing beta: from beta 1 on they fall and go to the left. A square for Madry and a diamond for friendly training lie above the line. Vertical lines are intervals."}}
figure, axis = plt.subplots(figsize=(6, 3.6))
points = np.array(
    [[of(f"trades/{b:g}", f).mean() for b in betas] for f in ("natural", "robust")]
)
axis.plot(*points, "o-", color=COLOURS["blue"], label="TRADES")
for beta, x, y in zip(betas, *points, strict=True):
    axis.annotate(f"β = {beta:g}", (x, y), (8, -16), textcoords="offset points")
for name, mark, hue in (("madry", "s", "orange"), ("friendly", "D", "green")):
    x, y = (of(f"method/{name}", f).mean() for f in ("natural", "robust"))
    low, high = wilson(y / 100, 400)
    reach = [[y - 100 * low], [100 * high - y]]
    axis.errorbar(x, y, reach, fmt=mark, color=COLOURS[hue], capsize=3, label=name)
axis.set(xlabel="natural accuracy (%)", ylabel="robust accuracy (%)", ylim=(0, 70))
axis.margins(x=0.12)
figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# *Every point is a way to train; right is better without an attacker, up is better with one.* The bars are Wilson's intervals for 400 images: methods whose bars overlap cannot be ranked by them. One expects a curve that rises to the left: more β, more
# robustness, fewer clean images. From β = 0.5 to 1 it begins like that. Then it turns round: with β = 6, the authors' choice for photographs, *both* accuracies are lower.
#
# Is the search too weak, or the training too short? The same file has trained three networks for 15 epochs instead of 5.

# %% tags=["nbval-ignore-output"]
print("accuracy (%)      5 epochs: natural, robust    15 epochs: natural, robust")
for words, short, long in (
    ("Madry", "method/madry", "long/madry"),
    ("TRADES, β = 1", "trades/1", "long/trades 1"),
    ("TRADES, β = 6", "trades/6", "long/trades 6"),
):
    row = [
        of(place, f).mean() for place in (short, long) for f in ("natural", "robust")
    ]
    print(f"{words:17}" + "{:16.1f} {:6.1f} {:20.1f} {:6.1f}".format(*row))

# %%
short, long = of("trades/6", "robust").mean(), of("long/trades 6", "robust").mean()
claim(
    "Within 5 epochs, β = 6 is over 10 points below β = 1",
    short < of("trades/1", "robust").mean() - 10,
)
claim("10 more epochs give β = 6 over 15 points of robustness", long > short + 15)
madry, friendly = (of(f"method/{m}", "robust").mean() for m in ("madry", "friendly"))
claim(
    "Madry and friendly beat FGSM training",
    min(madry, friendly) > of("method/fgsm", "robust").mean(),
)

# %% [markdown]
# The training was too short. A large β asks the network first of all to say the same everywhere; it does, and learns the classes slowly. So "TRADES is worse" would have been a statement about our patience. **Compare methods when each has been trained to its end**, or say for how long.
#
# One number is missing here: CIFAR-10 at 2, 4 and 8/255 has not been measured, for it needs a GPU; `python benchmarks/adversarial_training.py --data cifar10` does it.
#
# ## Robust overfitting: stop in time
#
# Ordinary networks can be trained for long past the point where the training error is zero, and the test error hardly suffers. Rice, Wong and Kolter {cite}`rice2020overfitting` found that adversarial training is different: at some
# epoch the *robust* test accuracy is best, and then it falls, while the robust training accuracy goes on rising. To see it with digits, take few of them, 300, and train for long.

# %%
curves = [rows for place, rows in runs.items() if place.startswith("overfitting/")]
epochs = np.array([row["epoch"] for row in curves[0]])


def curve(field):
    return np.mean([[100 * row[field] for row in rows] for rows in curves], axis=0)


best = [max(rows, key=lambda row: row["validation"]) for rows in curves]
stopped = 100 * np.mean([row["test"] for row in best])
to_the_end = 100 * np.mean([rows[-1]["test"] for rows in curves])

# %% tags=["hide-input", "fig-adv-overfitting"] mystnb={"image": {"alt": "Four curves of accuracy against the epoch. Robust accuracy on the training images rises to near one hundred per cent. Robust accuracy on validation and test images stays far below it, close together. Natural test accuracy is above them."}}
figure, axis = plt.subplots(figsize=(6, 3.4))
for field, hue, style, words in (
    ("train", "orange", "-", "robust, training"),
    ("validation", "sky", "--", "robust, validation"),
    ("test", "blue", "-", "robust, test"),
    ("natural", "black", ":", "natural, test"),
):
    axis.plot(epochs, curve(field), style, color=COLOURS[hue], label=words)
axis.set(xlabel="epoch", ylabel="accuracy (%)", ylim=(0, 103))
figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# *Madry's training on 300 digits, judged after every second epoch, one run.* The gap between orange and blue is what the network knows about its training images and about nothing else. The remedy of the paper is the oldest one: hold images back, measure **robust** accuracy on
# them after every epoch, and keep the weights of the best.

# %% tags=["nbval-ignore-output"]
print(f"robust test accuracy, stopped by validation: {stopped:.1f} %")
print(f"at the last epoch: {to_the_end:.1f} %")

# %%
gap = curve("train")[-1] - curve("test")[-1]
claim("At the end, training is over 15 points above test", gap > 15)
claim("The fall does not show: 5 points at most", abs(stopped - to_the_end) < 5)

# %% [markdown]
# Say what was found, and what was not. The gap is here: nearly all training images hold, and little more than half of the others. The *fall* of the paper is not: with so small a network and so easy images, the robust test accuracy stops rising about the
# thirtieth epoch, and stays. On CIFAR-10 the paper reports a loss of several points, as much as many a new method had won. Stopping costs nothing where there is no fall. But the best epoch must be chosen by *validation* images: chosen by the test
# images, it is too good by construction.
#
# ## The loss around a point: flat or sharp?
#
# A network is robust at $x$ if its loss stays low in the whole ball. The ball has 784 dimensions. Look at a slice of it, spanned by the sign of the gradient and by random signs $r$ as long:
#
# $$\ell(a, b) \ =\ L\big(f_\theta(x + a \,\operatorname{sign} \nabla_{\!x} L + b\, r),\ y\big), \qquad -\varepsilon \le a, b \le \varepsilon .$$ (eq-adv-surface)
#
# In words: how does the loss change towards the attack, and how to the side?


# %%
def slopes(model, images, labels):
    """The signs of the loss's gradient at each image."""
    x = images.clone().requires_grad_()
    loss = F.cross_entropy(model(x), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, x)
    return gradient.sign()


def surface(model, image, label, side, ticks):
    """The loss on a grid around one image; rows go to the side."""
    ahead = slopes(model, image[None], label[None])[0]
    a, b = torch.meshgrid(ticks, ticks, indexing="xy")
    places = image + a[..., None, None, None] * ahead + b[..., None, None, None] * side
    logits = predict(model, places.flatten(0, 1))
    return F.cross_entropy(logits, label.expand(len(logits)), reduction="none").view_as(
        a
    )


# %%
draws = torch.Generator().manual_seed(seed())
side = 2.0 * torch.randint(2, images[0].shape, generator=draws) - 1
ticks = torch.linspace(-EPSILON, EPSILON, 25)
read = torch.stack([predict(n, images).argmax(1) == labels for n in networks.values()])
shown = int(read.all(dim=0).nonzero()[0])
around = {
    name: surface(model, images[shown], labels[shown], side, ticks)
    for name, model in networks.items()
}

# %% tags=["hide-input", "fig-adv-surface"] mystnb={"image": {"alt": "Three square maps of the loss around one digit, for the standard network, the one trained on FGSM and Madry's, in one scale of colours. The standard network's map is dark on the left and bright on the right. Madry's and the FGSM network's grow bright only towards the right edge."}}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.9), layout="constrained")
for axis, (name, heights) in zip(axes, around.items(), strict=True):
    reach = (-EPSILON, EPSILON, -EPSILON, EPSILON)
    seen = axis.imshow(
        heights, vmin=0, vmax=3, extent=reach, origin="lower", cmap="viridis"
    )
    axis.set(
        title=name,
        xlabel="gradient",
        xticks=(-0.2, 0, 0.2),
        yticks=(-0.2, 0, 0.2),
    )
    axis.grid(False)
axes[0].set_ylabel("random signs")
figure.colorbar(seen, ax=axes, label="loss", shrink=0.7)
plt.show()

# %% [markdown]
# *One digit, three networks; the image is in the middle of each map.* To the side all of them are calm: random noise is no attack. Towards the gradient the standard network's loss climbs like a wall, the others' like a ramp. One image may mislead, so the same for all test images: how
# much does the loss rise at $\varepsilon$, along the sign, to the side, and along what PGD finds?


# %%
def rise(model, moved):
    """How much the loss grows on average, from the images to where they were moved."""
    before, after = (
        cross_entropy(model, images, labels),
        cross_entropy(model, moved, labels),
    )
    return float((after - before).detach())


rises = {}
for name, model in networks.items():
    model.eval()
    ahead = (images + EPSILON * slopes(model, images, labels)).clamp(0, 1)
    beside = (images + EPSILON * side).clamp(0, 1)
    worst = attacks.pgd(model, images, labels, epsilon=EPSILON, generator=generator)
    rises[name] = [rise(model, moved) for moved in (beside, ahead, worst)]

# %% tags=["nbval-ignore-output"]
print("rise of the loss    to the side   the sign   PGD")
for name, (beside, ahead, worst) in rises.items():
    print(f"{name:18} {beside:12.2f} {ahead:10.2f} {worst:7.2f}")

# %%
claim(
    "The standard loss rises over 3 times as much as Madry's",
    rises["standard"][2] > 3 * rises["madry"][2],
)
by_sign, by_search = rises["fgsm"][1:]
times = by_search / by_sign
claim("After FGSM training, PGD finds over 1.1 times what FGSM finds", times > 1.1)

# %% [markdown]
# Madry's network has made its surroundings flat. A flat picture is not a proof: it is a slice, and a network that hides its gradient has a flat slice, too. The last number of each row, from a search that is not bound to the slice, is the one to trust.
#
# ## What goes wrong
#
# **Catastrophic overfitting.** The network that was trained on FGSM images alone has learnt about *one* point of each ball, the corner that its gradient shows. Wong, Rice and Kolter {cite}`wong2020fast` saw robustness under PGD vanish within an epoch, while
# accuracy under FGSM jumped. Does it show at this size? The result file follows twelve epochs at three radii.

# %% tags=["hide-input", "fig-adv-catastrophe"] mystnb={"image": {"alt": "Three panels, for epsilon 0.1, 0.2 and 0.3, of accuracy against the epoch, under FGSM and under PGD, one thin line for each run. The lines of FGSM lie above those of PGD, and the gap grows with epsilon."}}
figure, axes = plt.subplots(1, 3, figsize=(7, 3), sharey=True)
for axis, radius in zip(axes, ("0.1", "0.2", "0.3"), strict=True):
    for place, rows in runs.items():
        if place.startswith(f"catastrophe/{radius}/"):
            for kind, hue in (("fgsm", "orange"), ("pgd", "blue")):
                line = [100 * row[kind] for row in rows]
                axis.plot(
                    range(1, len(line) + 1),
                    line,
                    color=COLOURS[hue],
                    label=kind.upper(),
                )
    axis.set(title=f"ε = {radius}", xlabel="epoch", ylim=(0, 103))
axes[0].set_ylabel("accuracy (%)")
handles, names = axes[0].get_legend_handles_labels()
figure.legend(handles[:2], names[:2], loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# *Training on FGSM images alone, judged by FGSM and by PGD of the same radius.* It does show, and the radius decides. At 0.1 one step is enough. At 0.2 robustness comes, and is lost again, while accuracy under FGSM goes on rising. At 0.3 it never comes: in the end
# the network withstands most FGSM images and no PGD image. Whoever tries only the attack of the training sees the orange lines.


# %%
def last(radius, kind):
    prefix = f"catastrophe/{radius}/"
    ends = [rows[-1][kind] for place, rows in runs.items() if place.startswith(prefix)]
    return 100 * np.mean(ends)


gaps = {
    radius: last(radius, "fgsm") - last(radius, "pgd") for radius in (0.1, 0.2, 0.3)
}
claim("At 0.1 the gap is under 10 points", gaps[0.1] < 10)
claim("At 0.2 it is over 30, at 0.3 over 60", gaps[0.2] > 30 and gaps[0.3] > 60)

# %% [markdown]
# ## Eight ways to improve it
#
# A survey {cite}`bai2021recent` collects what has been tried. We put it under eight headings of our own, with one simple example of each, trained in the same five epochs on the same 2,000 digits:
#
# | direction | idea | our example |
# |---|---|---|
# | regularisation | ask for the same answer in the ball | TRADES, β = 6 {cite}`zhang2019theoretically` |
# | friendlier data | do not push images further than needed | friendly training {cite}`zhang2020attacks` |
# | curriculum | begin with easy attacks | ε rises over four epochs {cite}`cai2018curriculum` |
# | ensembles | learn from attacks on other networks | half the FGSM images from a fixed one {cite}`tramer2018ensemble` |
# | adaptive ε | a ball of its own for each image | ε/2 where ε/2 already fools {cite}`balaji2019instance` |
# | unlabelled data | more images, labelled by a network | 1,500 digits {cite}`carmon2019unlabeled` |
# | efficiency | fewer gradients for each step | one step of 1.25 ε from a random start {cite}`wong2020fast` |
# | generalisation | stop earlier, average weights | mean of the last three epochs' weights {cite}`izmailov2018averaging` |

# %% tags=["nbval-ignore-output"]
directions = {
    "Madry, to compare": "method/madry",
    "regularisation": "trades/6",
    "friendlier data": "method/friendly",
}
for name in (
    "curriculum",
    "ensemble",
    "adaptive",
    "unlabelled",
    "efficient",
    "averaged",
):
    directions[name] = f"direction/{name}"
print(f"{'accuracy (%)':20}  natural   FGSM  all four searches")
for words, place in directions.items():
    natural, one_step, kept = (of(place, f) for f in ("natural", "fgsm", "robust"))
    low, high = (100 * end for end in wilson(kept.mean() / 100, 400))
    print(
        f"{words:20} {natural.mean():8.1f} {one_step.mean():6.1f} {kept.mean():6.1f}"
        f"  ({low:.1f} to {high:.1f})"
    )

# %% [markdown]
# Read it with the intervals. Most of these rows differ from Madry's by less than 400 images can tell. Five epochs on a small network rank nobody's method; the table shows what each idea *is*, and how one would find out.

# %%
ensemble = of("direction/ensemble", "robust").mean()
claim(
    "An ensemble of single steps is no match for PGD: 10 points less",
    ensemble < madry - 10,
)

# %% [markdown]
# ## Strange inputs beside adversarial ones
#
# A network trained on digits answers any picture with a digit. An input of another kind than the training data is called **out of distribution**. Hendrycks and Gimpel {cite}`hendrycks2017baseline` gave the baseline: refuse the input if the largest
# probability, $\max_k p_k(x)$, is small. How well that separates is measured by the **AUROC**, the chance that a test digit gets more confidence than a strange input; one half is guessing. Six kinds, from far to near:

# %%
crops = photos(size=224).images.mean(dim=1, keepdim=True).unfold(2, 28, 28)
crops = crops.unfold(3, 28, 28).reshape(-1, 1, 28, 28)[::3][:200]
small = digits("test").images[:200]
strange = {
    "noise": torch.rand(images.shape, generator=draws),
    "photographs": crops,
    "inverted": 1 - images,
    "turned by 90°": torch.rot90(images, 1, dims=(2, 3)),
    "other digits": F.interpolate(small, size=28, mode="bilinear").clamp(0, 1),
}
strange["adversarial"] = attacks.pgd(
    networks["standard"], images, labels, epsilon=EPSILON, generator=generator
)

# %% tags=["hide-input", "fig-adv-strange"] mystnb={"image": {"alt": "Six small pictures: noise, a piece of a photograph, a white digit on black, a digit turned by ninety degrees, a coarse digit from another data set, and a digit with the blotchy background of an attack."}}
show_images(
    torch.stack([kind[3] for kind in strange.values()]), list(strange), columns=3
)
plt.show()

# %% [markdown]
# *One of each kind.* "Other digits" come from [another data set](../../book/data_cards/digits.md), eight by eight pixels, and are enlarged. The first four have no right answer, or not the network's; these do.


# %%
def confidence(model, images):
    """The largest probability of each image."""
    return predict(model, images).softmax(dim=1).amax(dim=1)


def auroc(inside, outside):
    """How often something inside gets more confidence than something outside."""
    more = (inside[:, None] > outside).double().mean()
    return float(more + (inside[:, None] == outside).double().mean() / 2)


found = {
    kind: [
        auroc(confidence(networks[n], images), confidence(networks[n], inputs))
        for n in ("standard", "madry")
    ]
    for kind, inputs in strange.items()
}

# %% tags=["nbval-ignore-output"]
print("AUROC of the confidence    standard   Madry")
for kind, (plain, robustly) in found.items():
    print(f"{kind:26} {plain:8.2f} {robustly:7.2f}")
sure = confidence(networks["standard"], strange["adversarial"])
print(f"median confidence on adversarial digits: {float(sure.median()):.3f}")

# %%
claim("Turned digits are found better than by chance", found["turned by 90°"][0] > 0.6)
claim(
    "Adversarial ones are harder to find than photographs, by over 0.1",
    found["adversarial"][0] < found["photographs"][0] - 0.1,
)
claim("The standard network is sure of them: over 90 %", sure.median() > 0.9)

# %% [markdown]
# There is the difference. A strange input is strange by accident, and the network often hesitates. An adversarial one was *made* to raise another class's logit; PGD does not stop at the boundary, so the network is as sure of its error as of many a true digit. (In the column of
# Madry's network, these images were made for the other one.) And the two can be combined: nothing hinders an attacker to start from noise.

# %%
noise, subject = strange["noise"], networks["standard"]
seen = predict(subject, noise).argmax(dim=1)
made = attacks.pgd(
    subject,
    noise,
    seen,
    targets=(seen + 1) % 10,
    epsilon=EPSILON,
    generator=generator,
)
surest = confidence(subject, images)
before, after = (auroc(surest, confidence(subject, x)) for x in (noise, made))

# %% tags=["nbval-ignore-output"]
print(f"noise: AUROC {before:.2f}; noise that was pushed to a class: {after:.2f}")

# %%
claim("Pushed noise is found less often, by 0.05 or more", after < before - 0.05)

# %% [markdown]
# So the detector of strange inputs works against accidents, and an attacker walks past it. Judge a detector by attacks that know of it, as [lecture 2.5](defenses.ipynb) does with feature squeezing.
#
# ## Evaluate honestly
#
# The ensemble of [lecture 2.6](honest_evaluation.ipynb) adds FGSM, targets and Square, which needs no gradient. Does it find more than our four searches?

# %%
judged = attacks.evaluate(
    networks["madry"],
    images[:80],
    labels[:80],
    epsilon=EPSILON,
    sanity=False,
    generator=generator,
)
ours = float(left["madry"][:80].float().mean())
reach = judged.interval()

# %% tags=["nbval-ignore-output"]
print(f"four searches leave {ours:.0%}, the ensemble {judged.robust_accuracy:.0%}")
print(f"95 % interval: {reach.low:.0%} to {reach.high:.0%}")

# %%
claim(
    "The ensemble's number is at most 5 points above ours",
    judged.robust_accuracy < ours + 0.05,
)

# %% [markdown]
# A report on a training method, then: the clean and the robust accuracy, each with its interval and $N$; the attack of the training *and* stronger ones; several seeds; the epoch, and on which images it was chosen; the same number of epochs and gradients for all
# that are compared.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *What does stopping by the test set claim?* In the runs of the result file, choose the best epoch once by validation and once by test images. Predict which robust test accuracy is higher, and which one you may report.
#
# <details><summary>Hint: where the rows are</summary>
#
# `curves` is a list of runs; each is a list of rows with `"validation"` and `"test"`.
#
# </details>

# %% tags=["hide-cell"]
# Solution: the maximum over test images can't be lower. The difference is the optimism
# of choosing on the images by which one judges; only the first number is a fair one.
by_test = 100 * np.mean([max(row["test"] for row in rows) for rows in curves])
claim("Chosen by the test images it is never lower", by_test >= stopped)

# %% [markdown]
# **Exercise 2** (15 minutes). *TRADES without its second term.* What is `defenses.trades_loss` at β = 0? And by how much does it grow from β = 1 to β = 2? Predict both, then try a batch.
#
# <details><summary>Hint: what depends on β</summary>
#
# The search for $x'$ maximises the divergence, whatever β is. Use one seed for both.
#
# </details>

# %% tags=["hide-cell"]
# Solution: cross-entropy on clean images; and a straight line in β, with the same slope
# from 0 to 1 as from 1 to 2, for the point that was found doesn't depend on β.
few = images[:32], labels[:32]
loss = [
    defenses.trades_loss(
        networks["madry"].eval(),
        *few,
        epsilon=EPSILON,
        beta=beta,
        generator=torch.Generator().manual_seed(0),
    ).item()
    for beta in (0.0, 1.0, 2.0)
]
clean = cross_entropy(networks["madry"], *few).item()
claim("β = 0 is the cross-entropy", abs(loss[0] - clean) < 1e-4)
claim("A straight line", abs(loss[2] - 2 * loss[1] + loss[0]) < 1e-3)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Robust training accuracy rises from epoch to epoch, and robust test accuracy falls. What do you do?
# - Go on, the network is learning :: It learns its training images, and loses others.
# + Keep the weights of the epoch that was best on validation images under attack :: Early stopping, by the number that matters, on images that nobody else uses.
# - Keep the epoch that was best on the test images :: Then the test images have chosen, and can't judge any more.
# ? Two methods keep 61 % and 64 % of the same 400 images. Which is better?
# - The second :: Each share has an interval of about five points to either side.
# + One can't tell from this :: More images, more seeds, or a comparison image by image would be needed.
# - They are equally good :: Not being able to tell is not being equal.
# ? The loss is flat along the gradient's sign. What follows?
# - The network is robust :: A slice of two dimensions says little about 784.
# - The network hides its gradient :: It may; a flat slice fits both.
# + Nothing yet: search the ball with attacks that are not bound to the slice :: PGD on several losses, and an attack without gradients.
# ? A detector refuses inputs of low confidence. Which does it miss most easily?
# - Photographs :: Many of them get little confidence, by accident.
# + Digits changed by PGD :: They were made to raise a wrong class's logit, and have high confidence.
# - Turned digits :: Some get high confidence, but as a kind they are found better than by chance.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Adversarial training flattens the loss in the ball, against attacks that it has never met. Its price can be chosen, and its two failures are found by simple means: validation under attack, and an attack other than that of the training.
#
# **Limitations.** Nothing is promised outside of the ball, and nothing is proven inside of it. Small networks and few digits show the mechanisms; they do not rank methods, and differences here need not carry over to photographs. The confidence baseline for
# strange inputs has better successors, and none that is safe against an attacker who knows it.
#
# **Software.** [The authors' code for robust overfitting](https://github.com/locuslab/robust_overfitting) and for [TRADES](https://github.com/yaodongyu/TRADES); [RobustBench](https://robustbench.github.io) for trained networks. In this library: `defenses.adversarial_training`,
# `defenses.trades_loss`, `defenses.friendly_pgd`, `attacks.evaluate`.
#
# ## What to take away
#
# Robustness is bought, with clean accuracy and with time. Judge it by an attack that was not in the training, on images that did not choose the epoch, with an interval. And a network that is sure of itself may be sure because somebody wanted it to be.
#
# Next: [what can be proven](proofs.ipynb) instead of measured.
