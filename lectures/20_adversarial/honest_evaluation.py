# %% [markdown]
# # 2.6 How would you know that a defence works?
#
# A new defence keeps nine images of ten right under an attack that leaves one or two of ten on other networks. Is the
# network robust, or did the attack fail? This page gives two answers. The first half attacks honestly and looks for the
# signs of an attack that failed. The second half needs no attack: it *proves* for each image how far its answer holds.
#
# **What you will learn**
#
# - to tell four goals of an attacker apart, and to count them;
# - to judge a defence by the worst of several attacks, image by image, with an error bar;
# - to recognise obfuscated gradients by eight checks, and to answer them with an adaptive attack;
# - to derive randomised smoothing, to certify images with it, and to say what its certificate leaves out.
#
# **Before you start**: projected gradient descent ([lecture 2.2](iterative_attacks.ipynb)), attacks without gradients
# ([2.4](black_box.ipynb)), and the defences that are judged here ([2.5](defenses.ipynb)). Symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 50 minutes to read; {{ cpu_seconds }} to run.

# %%
import functools
import math

import matplotlib.pyplot as plt
import torch
from scipy.stats import binom, binomtest, norm
from torch import nn
from torch.nn import functional as F

from tml_helpers import attacks, defenses
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.models import MLP
from tml_helpers.plotting import COLOURS, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The question
#
# A defence without a threat model cannot be wrong, and so says nothing. Here is the one of the first half.

# %%
ThreatModel(
    goal="any class but the label",
    knowledge="white box",
    capability="every pixel may change by ε = 0.1 at most (L∞), within [0, 1]",
    out_of_scope="poisoned training data; rotations, patches; more than ε",
)

# %% [markdown]
# The network is small, one hidden layer, because this page will ask it very many times. Handwritten digits are its
# data ([data card](../../book/data_cards/mnist.md)).

# %% tags=["nbval-ignore-output"]
train, test = mnist("train"), mnist("test")
train = train.select(slice(4000))  # the full MNIST gives as many images: same budget
images, labels = test.images[:200], test.labels[:200]
generator = seed_everything(seed())
plain = MLP(256)
fit(plain, train, epochs=10, generator=generator)
print(f"plain network: {accuracy(plain, test):.1%} of the test images right")

# %% [markdown]
# Two defences, each a line of code. Neither was invented for this page: the literature has both. The first, *loud*,
# multiplies the logits by 1,000, as [defensive distillation](defenses.ipynb) does in effect. The second, *rounded*,
# gives the network images with eight grey levels only, so that small perturbations are rounded away
# {cite}`xu2018feature`.


# %%
class Louder(nn.Module):
    def forward(self, logits):
        return 1000 * logits


class EightLevels(nn.Module):
    def forward(self, images):
        return (images * 7).round() / 7


loud = nn.Sequential(plain, Louder())
rounded = nn.Sequential(EightLevels(), plain)

# %% [markdown]
# The defender runs PGD, written in a few lines as one finds it in many repositories:


# %%
def pgd_as_often_written(model, x0, labels, epsilon, steps=20):
    x = x0.clone()
    for _ in range(steps):
        x.requires_grad_()
        loss = F.cross_entropy(model(x), labels)
        (gradient,) = torch.autograd.grad(loss, x)
        x = x.detach() + 2.5 * epsilon / steps * gradient.sign()
        x = x0 + (x - x0).clamp(-epsilon, epsilon)
        x = x.clamp(0, 1)
    return x


def right(model, x):
    """Which images are still read correctly."""
    return predict(model, x).argmax(dim=1) == labels


# %%
epsilons = [0.0, 0.03, 0.06, 0.08, 0.1, 0.15, 0.2]
networks = {"plain": plain, "loud": loud, "rounded": rounded}
reported = {name: [] for name in networks}
for name, model in networks.items():
    for epsilon in epsilons:
        x = pgd_as_often_written(model, images, labels, epsilon)
        reported[name].append(right(model, x).double().mean().item())
at = epsilons.index(0.1)
claim("PGD leaves the plain network less than 30 %", reported["plain"][at] < 0.3)
claim("PGD leaves the loud one more than 80 %", reported["loud"][at] > 0.8)
claim("PGD leaves the rounded one more than 80 %", reported["rounded"][at] > 0.8)

# %% tags=["hide-input", "fig-reported"] mystnb={"image": {"alt": "Accuracy under PGD against epsilon from 0 to 0.2: the plain network falls to zero, the loud and the rounded one stay flat near 90 per cent."}}
figure, axis = plt.subplots(figsize=(6, 3.2))
styles = {
    "plain": ("o-", "black"),
    "loud": ("s-", "orange"),
    "rounded": ("^--", "blue"),
}
for name, (style, colour) in styles.items():
    values = [100 * value for value in reported[name]]
    axis.plot(epsilons, values, style, color=COLOURS[colour], label=name)
axis.set(xlabel="ε (L∞)", ylabel="accuracy under PGD (%)", ylim=(0, 100))
axis.set_xticks([0, 0.05, 0.1, 0.15, 0.2])
axis.legend()
plt.show()

# %% [markdown]
# *Judged by this attack, both defences are perfect.* No accuracy is lost, and hardly an image falls. Should we believe
# it? For the loud network there is a proof that we must not. Multiplying all logits by 1,000 changes no answer on any
# image: the plain and the loud network are **the same classifier**. Whatever fools one fools the other.

# %%
broken = pgd_as_often_written(plain, images, labels, 0.1)
claim(
    "What breaks the plain network breaks the loud one, image by image",
    bool((right(loud, broken) == right(plain, broken)).all()),
)

# %% [markdown]
# The attack failed, and the network did not resist. Such **obfuscated gradients** {cite}`athalye2018obfuscated` are
# common: of nine defences that one conference had accepted in one year, all said to withstand white-box attackers, seven
# rested on them, and six of these fell entirely once somebody looked. The flat lines of {fig}`reported` were a sign
# themselves: at some ε everything is allowed, and then *every* network must fall.
#
# ## What counts as a success
#
# Before attacks are compared, one must agree on what they are after. [Lecture 2.1](linear_explanation.ipynb) met four
# goals in one picture; here they are counted. From easy to hard {cite}`papernot2016limitations`:
#
# | goal | reached when |
# |---|---|
# | confidence reduction | $p_y(x') < p_y(x)$: the answer may stay right, but less sure |
# | misclassification | $\arg\max_k z_k(x') \ne y$ |
# | targeted misclassification | $\arg\max_k z_k(x') = t$, whatever the image was |
# | source/target misclassification | the same, for images of one class: stop signs to "go" |
#
# `attacks.goals` tells for each image which of them were reached, and `Goals.shares` counts. Say the target is an 8:

# %%
eight = torch.full_like(labels, 8)
others = labels != 8
x, y, t = images[others], labels[others], eight[others]
aimed = attacks.pgd(plain, x, y, epsilon=0.1, targets=t, generator=generator)
shares = attacks.goals(plain, x, y, adversarial=aimed, targets=t, source=0).shares()
names = list(shares)
claim("Confidence falls for over 9 in 10", shares["confidence reduction"] > 0.9)
claim(
    "Each harder goal on all images is reached less often",
    shares[names[0]] > shares[names[1]] >= shares[names[2]],
)
claim(
    "A 0 becomes an 8 less often than other digits, by 20 points",
    shares[names[3]] < shares[names[2]] - 0.2,
)

# %% tags=["hide-input", "fig-goals-counted"] mystnb={"image": {"alt": "Four bars, the share of images on which each goal is reached: confidence reduction nearly all, misclassification over half, targeted misclassification slightly fewer, from 0 to 8 less than a third."}}
figure, axis = plt.subplots(figsize=(6.2, 2.4))
axis.barh(names, [100 * share for share in shares.values()], color=COLOURS["blue"])
axis.set(xlabel="images on which the goal is reached (%)", xlim=(0, 100))
axis.invert_yaxis()
plt.show()

# %% [markdown]
# *One attack, four numbers.* All are called "success rate" somewhere. A paper that reports the third where another
# reports the second looks more robust and is not. The last bar says that classes differ as well: to turn a 0 into an 8
# is hard, a 4 into a 9 would be easy. From here on the goal is plain misclassification, the easiest one that does harm;
# a defence must stand against it.
#
# ## The worst case, image by image
#
# An attack that finds nothing shows one thing: that *it* found nothing. So several attacks are run that fail for
# different reasons, and an image counts as robust only if it survives all. With $A(x)$ for what attack $A$ makes of an
# image:
#
# $$\text{robust accuracy} = \mathbb{E}_{(x, y)} \min_{A}\; \mathbb 1\big[\arg\max_k
# z_k(A(x)) = y\big].$$ (eq-robust-accuracy)
#
# In words: the minimum stands *inside* the mean over the images. The best single attack gives the minimum outside,
# which is larger: different attacks break different images. Every number of this kind is an **upper bound** on the true
# robust accuracy; a better attack can only lower it.

# %%
from_the_image = functools.partial(attacks.pgd, random_start=False)
on_the_margin = functools.partial(from_the_image, loss=attacks.margin)
three = {"FGSM": attacks.fgsm, "PGD": from_the_image, "margin": on_the_margin}
stands = torch.stack(
    [right(plain, A(plain, images, labels, epsilon=0.1)) for A in three.values()]
)
survives = stands.all(dim=0)  # (attacks, N) -> (N)
inside = survives.double().mean().item()
library = attacks.evaluate(plain, images, labels, epsilon=0.1, ensemble=three)
claim("What survives all survives each member", bool((survives <= stands).all()))
claim("attacks.evaluate counts the same", abs(library.robust_accuracy - inside) < 0.006)

# %% [markdown]
# If it is given no attacks, `attacks.evaluate` runs five (`attacks.standard_attacks`), in the spirit of AutoAttack
# {cite}`croce2020reliable`:
#
# 1. **FGSM**, one step: cheap, and the yardstick for the rest;
# 2. **PGD on cross-entropy** from a random point;
# 3. **PGD on the margin** $\max_{k \ne y} z_k - z_y$, which no softmax can saturate, however loud the logits;
# 4. **targeted PGD** on the second, third and fourth class (`attacks.runner_up_pgd`), where the nearest way out is
#    blocked;
# 5. **Square** {cite}`andriushchenko2020square`, which sees scores and never asks for a gradient.
#
# Each gets only the images that still stand, so the expensive ones have little to do. What an attack returns is
# measured before it is believed: it must lie in the ball and in [0, 1].

# %%
found = {
    name: attacks.evaluate(model, images, labels, epsilon=0.1, generator=generator)
    for name, model in networks.items()
}
robust = {name: result.robust_accuracy for name, result in found.items()}
claim("The loud network keeps less than 30 %", robust["loud"] < 0.3)
claim("The rounded one keeps less than 30 %", robust["rounded"] < 0.3)
claim(
    "Loud is as weak as plain, within 3 points",
    abs(robust["loud"] - robust["plain"]) < 0.03,
)

# %% tags=["hide-input", "fig-ensemble"] mystnb={"image": {"alt": "For each of three networks, accuracy before the attack and after each of five attacks in turn: plain falls at FGSM, loud only at PGD on the margin, rounded only at Square; all end below 30 per cent."}}
figure, axis = plt.subplots(figsize=(6.5, 3.6))
stages = ["clean", *attacks.standard_attacks()]
for name, (style, colour) in styles.items():
    values = [found[name].clean_accuracy, *found[name].after.values()]
    percent = [100 * value for value in values]
    axis.plot(range(6), percent, style, color=COLOURS[colour], label=name)
axis.set(ylabel="images still right (%)", ylim=(0, 100))
axis.set_xticks(range(6), [stage.replace(", ", ",\n") for stage in stages])
axis.legend()
plt.show()

# %% [markdown]
# *Images that still stand after each attack and all before it.* Read it as a diagnosis. The plain network falls at
# once. The loud one is untouched by two attacks on cross-entropy and collapses at the first that looks at the margin:
# its softmax had rounded to 0 and 1, where cross-entropy has slope zero. The rounded one defeats every gradient and
# falls to random search, since a step function has slope zero almost everywhere, but not the same value.
#
# ## Eight things that must hold
#
# The ensemble found the truth here. The checks tell *that there is something to find*, also to someone whose attacks
# all failed. They come from two papers that broke many defences {cite}`athalye2018obfuscated`
# {cite}`carlini2019evaluating`, and `attacks.obfuscated_gradients` makes them (`attacks.evaluate` does so by itself);
# each is an `attacks.Check`.


# %% tags=["nbval-ignore-output"]
def show_checks(result):
    for check in result.checks:
        mark = "ok  " if check.passed else "FAIL"
        print(f"{mark} {check.name:<26} {check.sentence}")


show_checks(found["plain"])

# %% tags=["nbval-ignore-output"]
show_checks(found["rounded"])

# %%
failed = {
    name: {check.name for check in result.checks if not check.passed}
    for name, result in found.items()
}
telling = {"gradients are there", "without a bound all fall", "scores find no more"}
claim("The plain network passes all eight", not failed["plain"])
claim("The loud one fails the telling three", telling <= failed["loud"])
claim("The rounded one fails them too", telling <= failed["rounded"])

# %% [markdown]
# Why each of them must hold where gradients can be trusted:
#
# - *answers repeat*: a network that draws noise shows an attack another landscape at each step;
# - *gradients are there*: where the slope is zero, PGD stays where it is;
# - *many steps beat one*, *more steps are no weaker*: with more steps an attack can do all that it could do with fewer;
# - *a larger ball is no safer*: it contains the smaller one;
# - *without a bound all fall*: at ε = 1 an image can be replaced by any other;
# - *chance finds no more*, *scores find no more*: a gradient is knowledge, and knowledge cannot make an attacker worse.
#
# `Evaluation.notes` repeats what failed in words. No check proves robustness. They catch attacks that failed.
#
# ## The adaptive attack
#
# A standard attack does not know the defence; the threat model says that the attacker does. The rounded network's
# attacker knows that $\text{round}(x) \approx x$, so they round on the way forward, and on the way back pretend that
# nothing was rounded. This is *backward pass differentiable approximation* {cite}`athalye2018obfuscated`, one line:


# %%
class EightLevelsForTheAttacker(EightLevels):
    def forward(self, images):
        return images + (super().forward(images) - images).detach()


seen = nn.Sequential(EightLevelsForTheAttacker(), plain)
claim(
    "The answers are the same", torch.allclose(seen(images), rounded(images), atol=1e-3)
)
adaptive = attacks.evaluate(seen, images, labels, epsilon=0.1, generator=generator)
left = right(rounded, adaptive.adversarial).double().mean().item()
claim("On the defence itself, less than 15 % survive", left < 0.15)
claim("No check fails any more", all(check.passed for check in adaptive.checks))

# %% [markdown]
# Every defence needs an attack of this kind, made for it, by someone who wants it to fail. Of thirteen defences that
# *had* been evaluated with adaptive attacks by their authors, all thirteen fell to better ones
# {cite}`tramer2020adaptive`.
#
# ## What one ε hides
#
# Was rounding worthless, then? One number at one ε cannot say. `attacks.robustness_curve` evaluates at many; images
# broken in a small ball count as broken in each larger one, so the curve never rises. Square found nothing more where
# gradients work, so we leave it out here.

# %%
gradient_attacks = attacks.standard_attacks()
del gradient_attacks["Square"]
how = {"epsilons": epsilons, "ensemble": gradient_attacks, "generator": generator}
curves = {
    "plain": attacks.robustness_curve(plain, images, labels, **how),
    "rounded": attacks.robustness_curve(seen, images, labels, **how),
}
near, far = epsilons.index(0.06), epsilons.index(0.1)
claim(
    "At ε = 0.06 rounding keeps 15 points more than none",
    curves["rounded"][near] > curves["plain"][near] + 0.15,
)
claim(
    "At ε = 0.1 it keeps fewer than none", curves["rounded"][far] < curves["plain"][far]
)


# %%
def interval(share):
    """Where the share may lie, judged by our images: per cent, (low, high)."""
    n = len(images)
    exact = binomtest(round(share * n), n).proportion_ci(method="exact")
    return 100 * exact.low, 100 * exact.high


# %% tags=["hide-input", "fig-crossing"] mystnb={"image": {"alt": "Robust accuracy against epsilon with shaded 95 per cent intervals: the rounded network stays near 90 per cent until about 0.06 and then drops below the plain one, which falls steadily."}}
figure, axis = plt.subplots(figsize=(6, 3.2))
for name, values in curves.items():
    style, colour = styles[name][0], COLOURS[styles[name][1]]
    axis.plot(epsilons, [100 * v for v in values], style, color=colour, label=name)
    band = zip(*map(interval, values), strict=True)
    axis.fill_between(epsilons, *band, color=colour, alpha=0.2)
axis.axvline(1 / 14, color=COLOURS["orange"], linestyle=":", label="half a grey step")
axis.set(xlabel="ε (L∞)", ylabel="robust accuracy (%)", ylim=(0, 100))
axis.set_xticks([0, 0.05, 0.1, 0.15, 0.2])
axis.legend()
plt.show()

# %% [markdown]
# *The two curves cross; the bands are 95 % intervals for 200 images.* Below half a grey step, rounding undoes most of
# what the attacker did, and it truly helps. Beyond, the attacker pushes a pixel over the edge and the rounding adds to
# the damage. A paper with ε = 0.06 would praise this defence and one with ε = 0.1 would reject it. Both would be
# right, and both would hide half. Report the curve.
#
# ### How many images
#
# The bands are wide. A robust accuracy is a share of $N$ images, and its 95 % interval is about
# $\pm 1.96\sqrt{\text{share}\,(1 - \text{share})/N}$. `Evaluation.interval` gives the exact one, of Clopper and
# Pearson, which equation {eq}`eq-clopper-pearson` defines for another purpose. A gain of three points, on 200 images,
# is not a finding.

# %% tags=["nbval-ignore-output"]
halves = {n: 1.96 * math.sqrt(0.5 * 0.5 / n) for n in (100, 200, 1000, 10_000)}
for n, half in halves.items():
    print(f"{n:>6,} images: 50 % ± {100 * half:.1f} points")

# %%
exact = found["plain"].interval()
claim("200 images leave an interval of over 7 points", exact.high - exact.low > 0.07)
claim("A hundred images cannot tell 50 % from 58 %", halves[100] > 0.08)

# %% [markdown]
# ## A defence that needs no attack
#
# Attacks give upper bounds. To know that an image is safe one needs a **lower** bound: a proof that nothing within the
# radius changes the answer. Proofs about a network's insides hardly scale. *Randomised smoothing*
# {cite}`cohen2019certified`, which grew out of differential privacy {cite}`lecuyer2019certified`, needs to know nothing
# about them.

# %%
ThreatModel(
    goal="any other answer than the smoothed network's",
    knowledge="white box",
    capability="a perturbation of L2 length below the certified radius",
    out_of_scope="L∞, rotations, patches; errors of the network on clean images",
)

# %% [markdown]
# Take any classifier $F$, which answers with a class. Add Gaussian noise to the image, and ask which comes most often:
#
# $$\bar F(x) = \arg\max_k\; P\big(F(x + \delta) = k\big), \qquad \delta_i \sim \mathcal N(0, \sigma^2).$$ (eq-smoothing)
#
# Suppose that the winner has probability $\pi > \tfrac12$. Now the attacker moves $x$ by $\eta$. How far can $\pi$ fall?
# All we know of $F$ is that the region in which it answers with the winner catches a share $\pi$ of the cloud around
# $x$. The worst region puts its share where the moved cloud is thinnest. By the lemma of Neyman and Pearson, the region
# of given mass that loses most when the cloud moves is cut off where the ratio of the two densities is constant. For
# two Gaussians of equal width that is a **straight line** across $\eta$: a half-space. In {fig}`half-space` a
# half-space, a disc and a strip all catch 90 % of the same cloud.

# %%
cloud = torch.randn(200_000, 2, generator=generator)  # σ = 1, in two dimensions
score = {  # a region holds the points whose score is below its edge
    "half-space": lambda points: points[:, 0],
    "disc": lambda points: points.norm(dim=1),
    "strip": lambda points: points[:, 0].abs(),
}
edge = {name: score[name](cloud).sort().values[180_000] for name in score}  # π = 0.9
moves = torch.linspace(0, 2.5, 26)


def kept(name, move):
    """The share of the cloud, moved to the right, that lies in the region."""
    moved = cloud + torch.tensor([float(move), 0.0])
    return (score[name](moved) < edge[name]).double().mean().item()


mass = {name: torch.tensor([kept(name, move) for move in moves]) for name in score}
for name in ("disc", "strip"):
    no_better = bool((mass["half-space"] <= mass[name] + 0.005).all())
    claim(f"No move costs the {name} more than the half-space", no_better)

# %% tags=["hide-input", "fig-half-space"] mystnb={"image": {"alt": "Left: a Gaussian cloud of points, with a vertical line, a dashed circle and two dotted lines that each bound 90 per cent of it, and an arrow to the right. Right: the mass that each region keeps as the cloud moves; the half-space lies lowest and crosses one half at 1.28."}}
figure, (plane, graph) = plt.subplots(1, 2, figsize=(6.5, 3.2), width_ratios=[1, 1.1])
plane.scatter(*cloud[:1500].T, s=2, color=COLOURS["black"], alpha=0.25)
orange, blue, green = (COLOURS[name] for name in ("orange", "blue", "green"))
plane.axvline(edge["half-space"], color=orange)
plane.add_patch(plt.Circle((0, 0), edge["disc"], fill=False, ec=blue, lw=2, ls="--"))
for side in (-1, 1):
    plane.axvline(side * edge["strip"], color=green, ls=":")
plane.annotate("", (1.28, 0), (0, 0), arrowprops={"arrowstyle": "->", "lw": 2})
plane.set(aspect="equal", xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), xlabel="x₁", ylabel="x₂")
for name, look in {"half-space": "-", "disc": "--", "strip": ":"}.items():
    colour = {"half-space": orange, "disc": blue, "strip": green}[name]
    graph.plot(moves, mass[name], look, color=colour, label=name)
graph.axhline(0.5, color=COLOURS["black"], linewidth=0.8)
graph.set(xlabel="‖η‖ / σ", ylabel="share of the cloud kept", ylim=(0, 1))
graph.legend()
plt.show()

# %% [markdown]
# *Three regions with 90 % of the cloud (left), and what is left of it as the cloud moves along the arrow (right).* The
# half-space loses fastest: it is the worst case, so it is safe to assume it. And for it the sum is easy. Its edge lies at
# $R = \sigma\,\Phi^{-1}(\pi)$ from $x$, where $\Phi$ is the normal distribution function. After a move $\eta$ towards the
# edge, its share is $\Phi((R - \|\eta\|)/\sigma)$, and that is one half when $\|\eta\| = R$. Up to there the winner wins:
#
# $$\boxed{\;\bar F(x + \eta) = \bar F(x) \quad\text{whenever}\quad \|\eta\|_2 < R = \sigma\,\Phi^{-1}(\pi)\;}$$ (eq-certificate)
#
# That is all. Nothing is asked of $F$; not a gradient, not even that it is a network.

# %%
radius = norm.ppf(0.9)  # 1.28: where the half-space's curve meets one half
formula = torch.tensor(norm.cdf(radius - moves))
error = (mass["half-space"] - formula).abs().max().item()
claim("The half-space's curve is Φ(1.28 − ‖η‖/σ), within 0.01", error < 0.01)

# %% [markdown]
# ### The probability is not known
#
# We can only draw, count $n_1$ agreeing answers among $n$, and be careful. Careful means: choose $\underline\pi$ so small
# that a true $\pi$ below it would give $n_1$ or more with probability $\nu$ at most (`alpha` in the code). This is the
# bound of Clopper and Pearson {cite}`clopper1934use`, the solution of
#
# $$P\big(\mathrm{Binomial}(n, \underline\pi) \ge n_1\big) = \nu.$$ (eq-clopper-pearson)
#
# The left side grows with $\underline\pi$, so halving an interval finds it.


# %%
def bound_by_bisection(agreeing, n, alpha):
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if binom.sf(agreeing - 1, n, middle) < alpha:  # P(so many or more)
            low = middle
        else:
            high = middle
    return low


counts = torch.tensor([400, 700, 990, 1000])
mine = [bound_by_bisection(count, 1000, 0.001) for count in counts.tolist()]
theirs = defenses.clopper_pearson_bound(counts, n=1000, alpha=0.001).tolist()
claim(
    "The library's bound is the same",
    max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) < 1e-9,
)

# %% [markdown]
# Now the whole method fits into a cell. One thing is easily done wrong: the class must be guessed by *other* draws than
# those that bound its probability, or the bound comes out too high.


# %%
def certify_one(model, image, sigma, n0=100, n=1000, alpha=0.001):
    """(class, radius) for one image `[1, C, H, W]`, or (−1, 0)."""

    def answers(draws):
        noise = sigma * torch.randn(draws, *image.shape[1:], generator=generator)
        return predict(model, image + noise).argmax(dim=1)

    guess = answers(n0).mode().values
    agreeing = int((answers(n) == guess).sum())
    least = bound_by_bisection(agreeing, n, alpha)
    return (int(guess), sigma * norm.ppf(least)) if least > 0.5 else (-1, 0.0)


# %% [markdown]
# `defenses.RandomizedSmoothing` does it for a batch. Its network should have seen noise before: the loss
# `defenses.noisy_cross_entropy` is cross-entropy on $x + \delta$, with a new $\delta$ each time. We train three, for
# three $\sigma$.

# %% tags=["nbval-ignore-output"]
smoothed = {}
for sigma in (0.25, 0.5, 1.0):
    network = MLP(256)
    noisy = functools.partial(
        defenses.noisy_cross_entropy, sigma=sigma, generator=generator
    )
    fit(network, train, epochs=12, loss=noisy, generator=generator)
    smoothed[sigma] = defenses.RandomizedSmoothing(network, sigma=sigma)
    print(f"σ = {sigma}: {accuracy(network, test):.1%} right without noise")

# %%
mine = [certify_one(smoothed[0.5].model, image[None], 0.5) for image in images[:20]]
theirs = smoothed[0.5].certify(images[:20], generator=generator)
pairs = zip(mine, theirs.classes, theirs.radii, strict=True)
gap = [abs(own - radius) for (one, own), two, radius in pairs if one == two != -1]
claim("Certified by both, at least 15 of 20", len(gap) >= 15)
claim(
    "Their radii differ by less than 0.1 on average: other draws",
    sum(gap) / len(gap) < 0.1,
)

# %% [markdown]
# ## Proven, and not yet broken
#
# **Certified accuracy** at $\varepsilon$ is the share of images with the right class and an $R$ above $\varepsilon$: a
# lower bound. For an upper bound we attack the same smoothed network. The attacker must average over the noise, or
# follow the slope of a single draw: *expectation over transformations*, [lecture 2.3](other_threat_models.ipynb), where
# the transformation is the noise.

# %%
subject, x, y = smoothed[0.5], images[:100], labels[:100]
proof = subject.certify(x, generator=generator)
certified = torch.where(proof.classes == y, proof.radii, -1.0)  # −1: not even at 0


def noise(images, generator):
    delta = torch.empty_like(images).normal_(generator=generator)
    return images + subject.sigma * delta


attack = functools.partial(
    attacks.expectation_over_transformation,
    transformations=[noise],
    samples=8,
    steps=20,
    norm="l2",
    generator=generator,
)

# %%
lengths = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
fallen = []
for length in lengths:
    found_x = attack(subject.model, x, y, epsilon=float(length))
    said = subject.predict(found_x, n=300, generator=generator)
    fallen.append((said != y) & (said != -1))  # an abstention is no success
fallen = torch.stack(fallen).cummax(dim=0).values  # (lengths, N)
contradicted = (fallen & (certified > lengths[:, None])).sum().item()
claim("The attack breaks no certificate", contradicted == 0)
standing = 1 - fallen.double().mean(dim=1)
proven_at_1 = (certified > 1).double().mean().item()
claim("At radius 1, over a quarter of the images is certified", proven_at_1 > 0.25)
claim("The attack leaves 15 points more, at least", standing[2] > proven_at_1 + 0.15)

# %%
grid = torch.linspace(0, 3, 121)


def certified_share(proof):
    """Per cent of the images with the right class and a radius above r, on the grid."""
    right, far = proof.classes == y, proof.radii[:, None] > grid
    return 100 * (right[:, None] & far).double().mean(dim=0)


proven = {0.5: certified_share(proof)}
for sigma in (0.25, 1.0):
    proven[sigma] = certified_share(smoothed[sigma].certify(x, generator=generator))
claim(
    "At radius 0.25, σ = 0.25 proves more than σ = 1",
    proven[0.25][10] > proven[1.0][10],
)
claim("At radius 1.25, σ = 1 is the only one", proven[1.0][50] > 2 > proven[0.5][50])

# %% tags=["hide-input", "fig-gap"] mystnb={"image": {"alt": "Left: accuracy against L2 radius for sigma 0.5; the certified curve falls to zero at about 1.2, the curve under attack lies above it, the gap is shaded. Right: certified accuracy for sigma 0.25, 0.5 and 1: small sigma starts high and ends early, large sigma starts low and reaches far."}}
figure, (gap, price) = plt.subplots(1, 2, figsize=(6.5, 4.2), sharey=True)
step = (grid[:, None] >= lengths).sum(dim=1) - 1  # what fell at a length stays fallen
upper = 100 * standing[step]
gap.fill_between(grid, proven[0.5], upper, color="#dddddd", label="not known")
gap.plot(grid, upper, "--", color=COLOURS["orange"], label="not yet broken")
gap.plot(grid, proven[0.5], color=COLOURS["blue"], label="proven")
gap.set(xlabel="L2 radius", ylabel="accuracy (%)", title="σ = 0.5")
looks = {0.25: (":", "green"), 0.5: ("-", "blue"), 1.0: ("--", "pink")}
for sigma, (look, colour) in looks.items():
    price.plot(grid, proven[sigma], look, color=COLOURS[colour], label=f"σ = {sigma}")
price.set(xlabel="L2 radius", title="what is proven", ylim=(0, 100))
for axis in (gap, price):
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
plt.show()

# %% [markdown]
# *Left: below the blue line is proven, above the orange line is broken, and what lies between nobody knows.* The true
# robust accuracy runs somewhere in the grey. A stronger attack moves the upper edge down; more draws, a better bound or
# a better network move the lower one up. An evaluation that reports one edge alone says half of what it knows.
# *Right: the price.* A small σ costs little accuracy and proves little; a large one reaches far for the images that it
# still reads. And every answer costs a thousand passes instead of one.
#
# ### What a certificate does not say
#
# - It speaks of the **smoothed** network, with its draws, and not of $F$.
# - It errs with probability $\nu$ for each image: at $\nu = 0.001$, one in a thousand certificates may be wrong.
# - It promises a **constant** answer and not a right one. A misread image can be certified as well.
# - It knows **one norm**. An L2 radius $R$ holds an L∞ ball of $R / \sqrt{784} = R / 28$ only, and it is silent about
#   a turned image.
# - Its radius is limited by counting: $n$ draws that all agree prove $\sigma\,\Phi^{-1}(\nu^{1/n})$ and no more.

# %%
certain = subject.sigma * norm.ppf(0.001 ** (1 / 1000))
claim("No radius exceeds what 1,000 draws can prove", certified.max() < certain + 1e-3)
claim("And that is less than 1.25", certain < 1.25)
claim("In L∞ nothing is proven at ε = 0.1", certain / 28 < 0.1)
wrong = (proof.classes != y) & (proof.classes != -1)
claim("Some images are certified with a wrong class", bool(wrong.any()))

# %% [markdown]
# ## What goes wrong
#
# **The plain estimate.** Putting $n_1/n$ in place of $\underline\pi$ looks harmless. Let the true probability be
# $\Phi(1)$, so that the true radius is $\sigma$, and certify two thousand times:

# %%
truth = norm.cdf(1.0)
counts = torch.tensor(binom.rvs(1000, truth, size=2000, random_state=seed()))
careless = (counts / 1000 > truth).double().mean().item()
bound = defenses.clopper_pearson_bound(counts, n=1000, alpha=0.001)
careful = (bound > truth).double().mean().item()
claim("The plain estimate claims too much about every other time", 0.4 < careless < 0.6)
claim("The bound does so less than once in 200 times", careful < 0.005)

# %% [markdown]
# **Other ways to be wrong**, all seen in print:
#
# - guessing the class and bounding its probability by the same draws;
# - cutting noisy images to [0, 1]: the cloud is then no Gaussian, and the proof is about another one;
# - attacking a network that draws noise through a single draw;
# - choosing the attack's step size for another network, or stopping PGD before its curve is flat;
# - comparing two defences at one ε, on different images, without an interval;
# - calling "robust" what only the standard attacks could not break.
#
# **Honest evaluation as code.** The worst case over everything tried, standard and adaptive, measured on the defence
# itself; an interval; and what speaks against the number.


# %%
def verdict(model, *evaluations):
    """Robust accuracy over all evaluations, its interval in per cent, failed checks."""
    stands = torch.stack([right(model, each.adversarial) for each in evaluations])
    share = stands.all(dim=0).double().mean().item()
    failed = {c.name for each in evaluations for c in each.checks if not c.passed}
    return share, *interval(share), failed


share, low, high, doubts = verdict(rounded, found["rounded"], adaptive)
claim(
    "The worst case is no better than either attack",
    share < min(left, robust["rounded"]) + 0.01,
)
claim("Rounding at ε = 0.1: surely below 20 %", high < 20)
claim("The doubts stay on record", len(doubts) >= 3)

# %% [markdown]
# A report on a defence, then: the threat model; clean accuracy; the robustness curve under the worst of several attacks,
# one of which was made for this defence; the interval and $N$; the eight checks; the code, so that others can do
# better. Where a certificate exists: its norm, its $\nu$, its radius, its price.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *How many draws?* With $\nu = 0.001$ you want to certify a radius of $3\sigma$. How
# many draws do you need at least, even if all of them agree? Predict whether it is nearer to 1,000 or to 10,000.
#
# <details><summary>Hint 1: where to look</summary>
#
# All draws agree: $n_1 = n$. What does the left side of equation {eq}`eq-clopper-pearson` become?
#
# </details>
#
# <details><summary>Hint 2: the key idea</summary>
#
# Equation {eq}`eq-certificate` says how large $\underline\pi$ must be. That leaves an equation for $n$, which stands in
# an exponent.
#
# </details>

# %% tags=["hide-cell"]
# Solution: ν^(1/n) must reach Φ(3), so n ≥ ln ν / ln Φ(3).
n = math.ceil(math.log(0.001) / norm.logcdf(3.0))
claim("It takes over 5,000 draws", 5000 < n < 5200)
enough, too_few = (
    norm.ppf(defenses.clopper_pearson_bound(torch.tensor([m]), n=m, alpha=0.001))
    for m in (n, n - 1)
)
claim("That many are enough, and one less is not", enough >= 3 > too_few)

# %% [markdown]
# **Exercise 2** (20 minutes). *Noise as a defence.* Build a network that adds Gaussian noise, σ = 0.25, to each image
# before it answers, once, and evaluate it at ε = 0.1. Which check fails? Then attack the average over eight draws, and
# compare.
#
# <details><summary>Hint 1: where to look</summary>
#
# One of the eight checks asks the same question twice. Why would a network with noise fail it?
#
# </details>
#
# <details><summary>Hint 2: the key idea</summary>
#
# An attack can follow a slope only where the loss is the same function at every step. What must you do with the eight
# draws to make it so?
#
# </details>


# %% tags=["hide-cell"]
# Solution: the second answer differs from the first, so "answers repeat" fails: one
# draw is no judge. The average over fixed draws repeats, and PGD can follow its slope.
class Draws(nn.Module):
    def __init__(self, network, count, fixed):
        super().__init__()
        self.network, self.count, self.fixed = network, count, fixed

    def forward(self, images):
        draw = torch.Generator().manual_seed(seed()) if self.fixed else generator
        copies = images.repeat(self.count, 1, 1, 1)
        noisy = copies + 0.25 * torch.empty_like(copies).normal_(generator=draw)
        return self.network(noisy).view(self.count, len(images), -1).mean(dim=0)


noisy_network = Draws(smoothed[0.25].model, 1, fixed=False)
average = Draws(smoothed[0.25].model, 8, fixed=True)
few = {"ensemble": {"PGD": attacks.pgd}, "epsilon": 0.1, "generator": generator}
once = attacks.evaluate(noisy_network, images[:30], labels[:30], **few)
steady = attacks.evaluate(average, images[:30], labels[:30], **few)
claim("Answers do not repeat", not once.checks[0].passed)
claim("Those of the average do", steady.checks[0].passed)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? PGD leaves a network 92 % at ε = 0.1, and 92 % at ε = 1. What follows?
# - It is robust at every ε :: At ε = 1 any image can become any other. No network can be right on all of them.
# + The attack failed :: An unbounded attack must succeed, so this one met gradients that mislead it.
# - ε = 1 is too large to tell :: It tells most of all: there the right result, 0 %, is known without an experiment.
# ? Three attacks leave 40 %, 42 % and 45 %. What does their ensemble leave?
# - 40 %, the least of them :: Only if the strongest breaks everything that the others break.
# + 40 % or less :: The minimum is taken image by image, and different attacks break different images.
# - Their mean :: An attacker is not obliged to use an average attack.
# ? All eight checks pass, and robust accuracy is 60 %. What do you know?
# - The true robust accuracy is 60 % :: Attacks give upper bounds; a better one may come.
# + It is 60 % or less on these images, and no sign of masking was found :: A check that passes removes one doubt.
# - 60 % of all images are certified :: A certificate is a proof. Nothing here was proved.
# ? An image is certified with L2 radius 0.5. Which is safe?
# - Any change of each pixel by 0.5 :: That is an L∞ ball, with corners 14 away in L2.
# - A rotation by one degree :: It may move the image by more than 0.5 in L2, and the certificate knows no angles.
# + Any perturbation of L2 length 0.4, but for a chance of ν :: This is what was proven, up to the error of counting.
# ? The curves of two defences cross at ε = 0.07. Which is better?
# - The one that is better at ε = 0.1 :: For an attacker who stays below 0.07 it is the worse one.
# + It depends on the threat model :: The attacker's ε decides, and no one but you knows it.
# - They are equally good :: They agree at one ε only.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** An ensemble with checks costs a few lines and finds most false claims. A certificate is true whatever
# attack comes next, holds for any network of any size, and its radius is one formula.
#
# **Limitations.** An evaluation is an upper bound and stays one; checks miss defences that mislead in a new way, and only
# an adaptive attack, thought out anew each time, goes further. Smoothing certifies small radii, in L2, at a thousand
# passes an image, with accuracy as the price. The more pixels an image has, the smaller the L∞ ball that it can certify
# {cite}`kumar2020curse`. MNIST shows the mechanism. It is too easy to rank defences by.
#
# **Software.** [AutoAttack](https://github.com/fra31/auto-attack) and the leaderboard
# [RobustBench](https://robustbench.github.io) for evaluations; [the authors' code](https://github.com/locuslab/smoothing)
# for smoothing; ART and Foolbox for attacks of all kinds. In this library: `attacks.evaluate`,
# `attacks.robustness_curve`, `attacks.obfuscated_gradients`, `attacks.goals`, and `defenses.RandomizedSmoothing`.
#
# ## What to take away
#
# A defence works if those who want to break it have tried, knowing all of it, and say so with numbers: the worst of many
# attacks on each image, along a curve, with an interval. That is an upper bound. A certificate is a lower one. The truth
# lies between, and an honest evaluation shows both edges and the gap.
#
# Next: [adversarial training, looked at closely](adversarial_training.ipynb). How an attack's step runs at the speed of
# memory, [lecture 9.2](../09_kernels/ball_step.ipynb) shows.
