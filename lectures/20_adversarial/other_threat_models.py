# %% [markdown]
# # 2.3 What "small" means is a choice
#
# The last two lectures let an attacker move every pixel by at most $\varepsilon$. Nobody who wants to fool a camera works
# like that. They put a sticker on a sign, wear printed glasses, or turn the picture a little. This lecture keeps the
# question of the chapter, *what is the worst that can happen?*, and changes what may happen. There are five new sets
# of allowed changes, one attack for each, and a way to make attacks that survive the world outside the computer.
#
# **What you will learn**
#
# - to choose a set of allowed changes because an attacker can make them, not because it is a ball;
# - how to change few pixels, move an image's mass, stick on a patch, turn and shift, or fool with one change for all;
# - to make a change that survives another angle, another light and another camera;
# - to measure one network under every set, and to see that robustness to one ball is not robustness to another;
# - which mistakes make a network look robust to changes that nobody really tried.
#
# **Before you start**: [projected gradient descent](iterative_attacks.ipynb) and
# [threat models](linear_explanation.ipynb). The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 50 minutes to read; {{ cpu_seconds }} to run.

# %%
import copy
import math

import matplotlib.pyplot as plt
import torch
from scipy.special import wrightomega

from tml_helpers import attacks
from tml_helpers.attacks import (
    infrared_spots,
    random_light,
    random_noise,
    random_pose,
    rotate_and_shift,
    transformed,
)
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist, photos
from tml_helpers.defenses import adversarial_training
from tml_helpers.models import SmallCNN, imagenet_classifier
from tml_helpers.plotting import COLOURS, show_image, show_images, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The question
#
# Here is a digit, and the same digit after four changes. A person reads all of them. Which change is small?

# %%
test = mnist("test")
five_each = [(test.labels == k).nonzero()[:5, 0] for k in range(10)]
few = test.select(torch.cat(five_each))
images, labels = few.tensors  # (50, 1, 28, 28) and (50,)
digit = images[35:36]  # a seven, (1, 1, 28, 28)
generator = seed_everything(seed())

noise = torch.empty_like(digit).bernoulli_(0.5, generator=generator)
ink = digit.clone()
ink[:, :, 3:6, 20:23] = 1  # a drop of ink, 3 by 3 pixels
still, pixel_right = torch.zeros(1, 2), torch.tensor([[0.0, 2.0]])
changed = {
    "noise of ± 0.1": (digit + 0.2 * noise - 0.1).clamp(0, 1),
    "a drop of ink": ink,
    "2 pixels right": rotate_and_shift(digit, torch.zeros(1), pixel_right),
    "turned by 15°": rotate_and_shift(digit, torch.tensor([15.0]), still),
}


# %%
def sizes(change):
    """How large a change is: its largest entry, its length, how many pixels it has."""
    return {
        "L∞": change.abs().max().item(),
        "L2": change.norm().item(),
        "L0": int((change.abs() > 1e-6).sum()),
    }


size = {name: sizes(picture - digit) for name, picture in changed.items()}
claim(
    "In L∞ the noise is the smallest", min(size, key=lambda n: size[n]["L∞"])[0] == "n"
)
claim("In L0 the ink is the smallest", min(size, key=lambda n: size[n]["L0"])[0] == "a")
shift = size["2 pixels right"]["L2"]
claim(
    "In L2 the shift is over three times the noise",
    shift > 3 * size["noise of ± 0.1"]["L2"],
)

# %% tags=["hide-input", "fig-rulers"] mystnb={"image": {"alt": "A handwritten seven and four changed copies, each with its size in three norms: grey noise all over, a black square of ink in a corner, the seven two pixels to the right, and the seven turned by fifteen degrees. All read as a seven."}}
figure, axes = plt.subplots(2, 3, figsize=(5.6, 5))
show_image(axes.flat[0], digit[0], "the digit")
axes.flat[5].axis("off")
for axis, (name, picture) in zip(axes.flat[1:5], changed.items(), strict=True):
    numbers = size[name]
    said = f"L∞ {numbers['L∞']:.1f}, L2 {numbers['L2']:.1f}\nL0 {numbers['L0']}"
    show_image(axis, picture[0], f"{name}\n{said}")
plt.show()

# %% [markdown]
# *Four changes that a person does not mind, and three rulers that disagree about which is small.* For L∞ the drop of
# ink is as large as a change can be. For L0, which counts pixels, the noise is. A shift is large in all three. None of
# the rulers measures what a person sees, and none was chosen because an attacker is bound by it
# {cite}`gilmer2018motivating`. So let us say it in general. An attacker who is shown $x$ may hand in any image of a
# **threat set** $\Delta(x)$, and looks for
#
# $$\max_{x' \in \Delta(x)} L\big(f_\theta(x'), y\big).$$ (eq-threat-set)
#
# The L∞ ball is one choice of $\Delta$. An honest evaluation says which choice it made and why.
#
# We need two networks to measure. The first is trained as usual. The second is a copy of it that goes on training for
# three epochs on its own L∞ adversarial examples: [lecture 2.5](defenses.ipynb) explains how and why.

# %% tags=["nbval-ignore-output"]
train = mnist("train").select(slice(2000))
plain = SmallCNN().to(memory_format=torch.channels_last)  # faster on a CPU
how = {"learning_rate": 2e-3, "batch_size": 64, "generator": generator}
fit(plain, train, epochs=4, **how)
hardened = copy.deepcopy(plain)
how |= {"epsilon": 0.2, "steps": 3, "step_size": 0.1}
adversarial_training(hardened, train, epochs=3, **how)
networks = {"plain": plain, "hardened for L∞": hardened}
for name, network in networks.items():
    print(f"{name:<16} {accuracy(network, test):.1%} of the test images right")


# %%
def score(network, attacked):
    """Per cent of the few images that are still read correctly."""
    return (
        100 * (predict(network, attacked).argmax(dim=1) == labels).float().mean().item()
    )


def draws(offset=0):
    """A fresh generator, the same at each call."""
    return torch.Generator().manual_seed(1000 * seed() + offset)


def linf(network):
    return attacks.pgd(network, *few.tensors, epsilon=0.2, steps=20, generator=draws())


results = {"none": {n: score(net, images) for n, net in networks.items()}}
results["L∞, ε = 0.2"] = {n: score(net, linf(net)) for n, net in networks.items()}
claim(
    "In the ball of its training, hardening is worth over 25 points",
    results["L∞, ε = 0.2"]["hardened for L∞"] > results["L∞, ε = 0.2"]["plain"] + 25,
)

# %% [markdown]
# So the second network is robust. To what? We come back to that with five more answers.
#
# ## Few pixels
#
# A dead pixel, a speck of dust, a scratch: few places change, but there is no limit on how much.

# %%
ThreatModel(
    goal="any class but the true one",
    knowledge="white box",
    capability="up to ε = 10 of the 784 pixels take any value in [0, 1]",
    out_of_scope="changes spread over the image, however faint",
)

# %% [markdown]
# The set is $\Delta(x) = \{x' \in [0,1]^d : \|x' - x\|_0 \le \varepsilon\}$, where $\|\cdot\|_0$ counts the pixels that
# are not zero. It is not convex: the middle of two one-pixel changes changes two pixels. But its projection has a
# closed form all the same. Say a step has led to the change $\eta$. Keeping a pixel, cut to the box, costs the
# distance to the box; dropping it costs its whole length. So the pixels to keep are those with the largest *saving*
#
# $$\text{saving}_i = \eta_i^2 - \big(\eta_i - \bar\eta_i\big)^2, \qquad \bar\eta = \mathrm{clamp}(x + \eta, 0, 1) - x .$$
#
# Projected gradient descent with this projection is PGD₀ {cite}`croce2019sparse`. Its steps are long, $\alpha\, g /
# \|g\|_1$ with $\alpha$ of half a unit a pixel, since a pixel that is going to change at all may as well change
# entirely.


# %%
def keep_the_best(delta, x, pixels):
    """The nearest change that keeps x + delta in the box and touches so many pixels."""
    boxed = (x + delta).clamp(0, 1) - x
    saving = (delta**2 - (delta - boxed) ** 2).flatten(1)  # (n, 784)
    smallest_kept = saving.sort(dim=1).values[:, -pixels].view(-1, 1, 1, 1)
    return boxed * (saving.view_as(delta) >= smallest_kept)


# %%
start = torch.rand(images.shape, generator=draws())  # the library's start, too
current = images + keep_the_best(start - images, images, 10)
mine, best = images.clone(), torch.full((50,), -torch.inf)
for _ in range(31):
    x = current.detach().requires_grad_()
    logits = plain(x)
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    (g,) = torch.autograd.grad(loss, x)
    margin = attacks.margin(logits.detach(), labels)
    mine[margin > best] = current[margin > best]
    best = torch.maximum(best, margin)
    step = 392 * g / g.abs().sum(dim=(1, 2, 3), keepdim=True)
    current = images + keep_the_best(current + step - images, images, 10)


def sparse(network):
    how = {"epsilon": 10, "steps": 30, "generator": draws()}
    return attacks.sparse_l0(network, images, labels, **how)


difference = abs(score(plain, mine) - score(plain, sparse(plain)))
claim("The loop and the library's attack agree to 8 points", difference <= 8)

# %%
by_pixels = {name: sparse(network) for name, network in networks.items()}
results["10 pixels"] = {n: score(networks[n], x) for n, x in by_pixels.items()}
touched = (by_pixels["plain"] != images).flatten(1).sum(dim=1)
claim("No image has more than 10 changed pixels", int(touched.max()) <= 10)
claim(
    "Ten pixels bring the plain network below 70 %", results["10 pixels"]["plain"] < 70
)

# %% tags=["hide-input", "fig-pixels"] mystnb={"image": {"alt": "Eight digits, each with up to ten pixels that were set to black or white, most of them near the strokes, and above each the class that the network reads now, which is wrong."}}
answers = predict(plain, by_pixels["plain"]).argmax(dim=1)
shown = (answers != labels).nonzero().flatten()[:8]
titles = [f"{labels[i]} → {answers[i]}" for i in shown]
show_images(by_pixels["plain"][shown], titles, columns=4, size=1.4)
plt.show()

# %% [markdown]
# *Ten pixels each; before the arrow the label, behind it the class that the plain network reads.* The pixels do not lie
# just anywhere, but where a stroke could begin or break off. **How it fails.** The path of PGD₀ jumps, since one step
# can exchange all ten pixels; the library therefore keeps the best point of the path, and a second start from other
# random pixels helps. **How to evaluate it.** Try more than one start, and for one or two pixels try *all* of them,
# which exercise 1 does.
#
# ## Mass that moves
#
# A stroke that is a little thicker, bent or shifted: seen pixel by pixel the change is large, but only a little ink
# went a little way.

# %%
ThreatModel(
    goal="any class but the true one",
    knowledge="white box",
    capability="ink may move: over all ink of the image, 0.3 pixels in the mean",
    out_of_scope="ink that appears or vanishes; ways of more than 2 pixels at a time",
)

# %% [markdown]
# Treat an image as a heap of sand at each pixel. A **transport plan** $Q_{ij} \ge 0$ says how much goes from pixel
# $i$ to pixel $j$. It must take away what was there, $\sum_j Q_{ij} = x_i$, and it makes the image $x'_j = \sum_i
# Q_{ij}$. Its cost is the mass times the distance, $\sum_{ij} Q_{ij} D_{ij}$, for an image that is scaled to mass
# one. The cheapest plan's cost is the **Wasserstein distance** of $x$ and $x'$, and the ball of radius $\varepsilon$ is
# our threat set {cite}`wong2019wasserstein`. $\varepsilon = 0.1$ means that a tenth of the ink moves by one pixel.
#
# PGD needs a projection onto this ball. That is a quadratic programme with a variable for each pair of pixels, too
# slow to be solved in each step. The trick of projected Sinkhorn is to subtract a little of the plan's entropy,
# $-\frac1\gamma \sum Q_{ij} \log Q_{ij}$, from what is to be minimised. Then the dual problem has three kinds of
# variables, and each has an easy optimum while the others rest: $\mu_i$ makes the rows add up to $x$, the **price**
# $\psi$ of distance keeps the cost within the budget, and $\mu'_j$ makes the columns add up to an $x'$ near the wanted
# image $\tilde x$:
#
# $$
# \begin{aligned}
# Q_{ij} &= \exp(\mu_i + \mu'_j - \psi D_{ij}), \\
# x'_j &= \tfrac1\gamma\, \omega\big(\log(\gamma\, q_j) + \gamma\, \tilde x_j\big),
# \qquad q_j = \sum_i \exp(\mu_i - \psi D_{ij}).
# \end{aligned}
# $$ (eq-sinkhorn)
#
# Here $\omega$ is Wright's function, the inverse of $\omega + \log \omega$. Lambert's function, the inverse of
# $\omega \exp(\omega)$, gives the same at the exponential of the argument; in Wright's form nothing overflows.


# %%
def projected_sinkhorn(wanted, x, distance, budget, gamma, rounds):
    """The nearest image to the wanted one that x (d,) can be moved to, on a budget."""
    columns, price = torch.zeros_like(x), torch.tensor(1.0)  # μ' and ψ
    for _ in range(rounds):
        rows = x.log() - (columns - price * distance).logsumexp(dim=1)  # μ
        plan = (rows[:, None] + columns - price * distance).exp()  # rows add up to x
        overspent = (plan * distance).sum() - budget
        newton = overspent / (plan * distance**2).sum()
        price = (price + newton).clamp(price / 2, 2 * price + 1)
        log_q = (rows[:, None] - price * distance).logsumexp(dim=0)
        exponent = math.log(gamma) + gamma * wanted + log_q
        nearest = torch.from_numpy(wrightomega(exponent.numpy())) / gamma
        columns = nearest.log() - log_q
    return nearest


# %%
places = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0)).double()
x, wanted = 0.2 + 0.6 * torch.rand(2, 36, generator=draws()).double()
distance = torch.cdist(places, places)
nearest = projected_sinkhorn(wanted, x, distance, 0.2 * x.sum(), 50, 300)
how = {"epsilon": 0.2, "regularization": 50.0, "rounds": 300, "window": 11}
pair = wanted.view(1, 1, 6, 6), x.view(1, 1, 6, 6)
library = attacks.project_wasserstein(*pair, **how)
claim(
    "Twelve lines and the library agree to 1 part in 1,000",
    bool((library.flatten() - nearest).abs().max() < 1e-3),
)
claim(
    "The library's result has exactly as much ink as before",
    bool((library.sum() / x.sum() - 1).abs() < 1e-6),
)

# %% [markdown]
# The library lets each pixel send mass only into a window around it (the paper's local transport plans), does all
# images at once, respects the box, and returns an image that is in the ball whether the rounds have converged or not.


# %%
def moved(network, **how):
    how = {"epsilon": 0.3, "steps": 10} | how
    return attacks.wasserstein(network, images, labels, **how)


by_mass = {name: moved(network) for name, network in networks.items()}
results["moved mass, ε = 0.3"] = {n: score(networks[n], x) for n, x in by_mass.items()}
kept = by_mass["plain"].sum(dim=(1, 2, 3)) / images.sum(dim=(1, 2, 3))
claim(
    "All ink is still there, to one part in 1,000", bool((kept - 1).abs().max() < 1e-3)
)
claim(
    "It costs the plain network over 15 points",
    results["moved mass, ε = 0.3"]["plain"] < results["none"]["plain"] - 15,
)

# %% tags=["hide-input", "fig-mass"] mystnb={"image": {"alt": "Two rows of four digits: the originals above, below them the same digits after their ink was moved a little, with blurred and frayed strokes, and the wrong class that the network reads."}}
answers = predict(plain, by_mass["plain"]).argmax(dim=1)
shown = (answers != labels).nonzero().flatten()[:4]
pairs = torch.cat([images[shown], by_mass["plain"][shown]])
titles = [f"{labels[i]}" for i in shown] + [f"read as {answers[i]}" for i in shown]
show_images(pairs, titles, columns=len(shown), size=1.4)
plt.show()

# %% [markdown]
# *Above, digits; below, the same ink, moved by 0.3 pixels in the mean.* No grey haze in the empty parts, as L∞ attacks
# leave: there was no ink to carry there. **How it fails.** The entropy blurs the plan. With a small $\gamma$ the
# projection is far from the true one, the attack is weak, and the network looks robust; "What goes wrong" on this page
# shows it, and Wu and others found it at scale {cite}`wu2020stronger`. **How to evaluate it.** Raise $\gamma$ and the
# rounds until the accuracy no longer falls.
#
# ## A patch
#
# Now an attacker who does not mind being seen. A sticker may look like anything; nobody looks for an attack in it.

# %%
ThreatModel(
    goal="any class but the true one",
    knowledge="white box",
    capability="one picture of 9 by 9 pixels, made once, stuck anywhere on any image",
    out_of_scope="a patch made for one image and one place, which can be smaller",
)

# %% [markdown]
# The set is $\Delta(x) = \{M \odot u + (1 - M) \odot x\}$, where $u$ is the patch and the mask $M$ says where it
# lies. The attacker sticks it on by hand and knows neither the scene nor the exact place, so the patch must work *on
# average* {cite}`brown2017adversarial`:
#
# $$\max_{0 \le u \le 1} \; \mathbb{E}_{x, M}\, L\big(f_\theta(M \odot u + (1 - M) \odot x), y\big).$$ (eq-patch)
#
# Descent on a mean is what training does; so train the patch like a network, with another batch and another place in
# each step.

# %%
some = train.select(slice(0, 2000, 2))  # the attacker's 1,000 images
spot = {"location": (9, 9)}
by_hand = images.clone()
square = torch.rand(1, 9, 9, generator=draws())
by_hand[:, :, 9:18, 9:18] = square
placed = attacks.place_patch(images, square, **spot)
claim(
    "To place a patch is to overwrite pixels",
    bool((by_hand - placed).abs().max() < 1e-5),
)


# %%
def stuck(picture, images=images, **how):
    """Images that the patch has not met, with it at random places."""
    return attacks.place_patch(images, picture, generator=draws(1), **how)


made = {}
for name, network in networks.items():
    how = {"size": 9, "steps": 70, "generator": draws()}
    made[name] = attacks.adversarial_patch(network, *some.tensors, **how)
by_patch = {name: stuck(picture) for name, picture in made.items()}
results["patch, 9 × 9"] = {n: score(networks[n], x) for n, x in by_patch.items()}

# %%
unseen, truth = test.images[:1000], test.labels[:1000]


def still_right(picture, **how):
    """Per cent of 1,000 images that the plain network reads under a patch."""
    answers = predict(plain, stuck(picture, unseen, **how)).argmax(dim=1)
    return 100 * (answers == truth).float().mean().item()


straight = still_right(made["plain"])
claim(
    "A patch of random pixels costs over 5 points less than the made one",
    still_right(square) > straight + 5,
)

# %% tags=["hide-input", "fig-patch"] mystnb={"image": {"alt": "Eight digits, each with the same square patch of black and white blotches in another place, and the wrong class that the network reads."}}
answers = predict(plain, by_patch["plain"]).argmax(dim=1)
shown = (answers != labels).nonzero().flatten()[:8]
titles = [f"{labels[i]} → {answers[i]}" for i in shown]
show_images(by_patch["plain"][shown], titles, columns=4, size=1.4)
plt.show()

# %% [markdown]
# *The same patch wherever it happened to land, and what the digits under it are read as.* Here it covers a tenth of the
# image and sometimes part of the digit, so the fair control is a patch of *random* pixels: the damage that any sticker
# does must not be counted as the attack's. **How it fails.** It falls with the size, with a turn that it was not made
# for, and with another network. **How to evaluate it.** On images *and places* that it was not made on, beside a
# harmless patch of the same size.
#
# ## A turn and a shift
#
# The next attacker adds nothing at all. The picture is held at an angle.

# %%
ThreatModel(
    goal="any class but the true one",
    knowledge="black box",
    capability="turns by up to 30°, shifts by up to 2 pixels in both directions",
    queries=9 * 3 * 3 + 1,
    out_of_scope="noise; changes of scale and of perspective",
)

# %% [markdown]
# The set has three numbers in place of 784, so no gradient is needed: try a grid {cite}`engstrom2019exploring`.
# Along an angle one can even see the whole curve:

# %%
angles = torch.linspace(-45, 45, 91)
turned = rotate_and_shift(digit.expand(91, -1, -1, -1), angles, torch.zeros(91, 2))
margins = {
    n: attacks.margin(predict(net, turned), labels[35].expand(91))
    for n, net in networks.items()
}
grid = torch.linspace(-45, 45, 91)[:, None]
one = {"max_rotation": 45, "max_translation": 0, "rotations": 91, "translations": 1}
worst = attacks.spatial(plain, digit, labels[35:36], **one)
by_library = attacks.margin(predict(plain, worst), labels[35:36])
claim(
    "The library finds the highest point of this curve",
    bool((by_library - margins["plain"].max()).abs() < 1e-3),
)

# %% tags=["hide-input", "fig-angle"] mystnb={"image": {"alt": "Margin of the largest wrong logit over that of the class seven against the angle from minus 45 to 45 degrees, for both networks: two curves that rise with a few bumps from far below zero on one side to above zero on the other."}}
figure, axis = plt.subplots(figsize=(6, 3.4))
for (name, values), style in zip(margins.items(), ("-", "--"), strict=True):
    axis.plot(angles, values, style, label=name)
axis.axhline(0, color=COLOURS["black"], linewidth=0.8)
axis.set(
    xlabel="angle (degrees, counter-clockwise)", ylabel="margin of the wrong classes"
)
axis.legend()
plt.show()

# %% [markdown]
# *One digit, turned; above the line it is misread.* To one side a few degrees are enough, to the other no turn is. A
# gradient that climbs from zero can stop at the first bump; a grid steps over it. When the grid is too large, a few
# random poses do nearly as well:


# %%
def posed(network, **how):
    how = {"max_rotation": 30, "max_translation": 2} | how
    return attacks.spatial(network, images, labels, **how)


grid = {"rotations": 9, "translations": 3}
results["turn and shift"] = {
    n: score(net, posed(net, **grid)) for n, net in networks.items()
}
ten = score(plain, posed(plain, samples=10, generator=draws()))
claim(
    "Turned and shifted, neither network is right on 20 %",
    max(results["turn and shift"].values()) < 20,
)
claim("Ten random poses already cost over 35 points", ten < score(plain, images) - 35)

# %% [markdown]
# **How it fails.** It does not: this is the strongest row of the page, and its attacker needs no gradient, only about
# 80 questions. MNIST's digits are all upright and centred, so no network here had a reason to learn otherwise. **How
# to evaluate it.** Say what lies beyond the border of a turned image (here black, as is MNIST's paper in these
# images), and leave out angles at which a 6 becomes a 9 for a person, too.
#
# ## One change for all
#
# The attacks so far look at the image before they change it. A sheet of foil over the lens cannot.

# %%
ThreatModel(
    goal="any class but the one given to the clean image",
    knowledge="white box",
    capability="one change, at most 0.2 in each pixel, made before the images are seen",
    out_of_scope="changes that depend on the image",
)

# %% [markdown]
# A **universal perturbation** $\eta$ is added to every image {cite}`moosavi2017universal`. Again it is a mean that
# must be made large, so again stochastic gradient ascent finds it, a batch at a time {cite}`shafahi2020universal`:
#
# $$\max_{\|\eta\|_\infty \le \varepsilon} \mathbb{E}_{(x, y)} \min\big(L(f_\theta(x + \eta), y),\, L_{\max}\big).$$
#
# The cap $L_{\max}$ keeps a few images that are hopelessly wrong from attracting all of the effort.


# %%
def overlay(network):
    """One change for all, made from the attacker's 1,000 images."""
    how = {"epsilon": 0.2, "epochs": 5, "generator": draws()}
    return attacks.universal_perturbation(network, *some.tensors, **how)


foil = {name: overlay(network) for name, network in networks.items()}
under_foil = {n: (images + delta).clamp(0, 1) for n, delta in foil.items()}
results["one for all, ε = 0.2"] = {
    n: score(networks[n], x) for n, x in under_foil.items()
}

# %%
clean = predict(plain, unseen).argmax(dim=1)


def fooling_rate(delta):
    """The share of the plain network's answers that change, delta (1, 28, 28)."""
    answers = predict(plain, (unseen + delta).clamp(0, 1)).argmax(dim=1)
    return (answers != clean).float().mean().item()


random_signs = 0.2 * torch.randn(1, 28, 28, generator=draws()).sign()
rate = {"made": fooling_rate(foil["plain"]), "random": fooling_rate(random_signs)}
claim(
    "On 1,000 images that it never met it changes over 8 % of the answers",
    rate["made"] > 0.08,
)
claim("That is over 3 times what random signs do", rate["made"] > 3 * rate["random"])

# %% tags=["hide-input", "fig-universal"] mystnb={"image": {"alt": "Six pictures in two rows. The first is the universal perturbation, a pattern of black and white blotches that covers all but the margins; the others are five digits with it, all still readable."}}
shown = (
    (predict(plain, under_foil["plain"]).argmax(dim=1) != labels)
    .nonzero()
    .flatten()[:5]
)
answers = predict(plain, under_foil["plain"])[shown].argmax(dim=1)
pictures = torch.cat([0.5 + foil["plain"][None] / 0.4, under_foil["plain"][shown]])
titles = ["the change"] + [
    f"{labels[i]} → {a}" for i, a in zip(shown, answers, strict=True)
]
show_images(pictures, titles, columns=3, size=1.5)
plt.show()

# %% [markdown]
# *First the one change (grey is zero), then digits that it turns into others.* **How it fails.** With the same
# $\varepsilon$ it is far weaker than PGD, which may look at the image. On photographs it is stronger than here, since
# large networks share directions in which most images are vulnerable. **How to evaluate it.** By its *fooling rate*,
# the share of answers that change, on images that it was not made from.
#
# ## Out into the world
#
# An image file that is fed into a network is one thing. A printed picture before a camera is another: angle, distance
# and lamp change, and the printer changes the colours. Does any of this survive? People tried:
#
# - **Glasses.** Frames with a printed pattern let a person pass a face recogniser as someone else
#   {cite}`sharif2016accessorize`. The change lies in a mask that has the shape of glasses, its colours are ones that
#   a printer can print, and it is optimised over several photographs of the same face.
# - **Stickers.** A few black and white rectangles on a stop sign, which look like graffiti, make a classifier read a
#   speed limit from many distances and angles {cite}`eykholt2018robust`.
# - **T-shirts.** Cloth bends. With a model of how it bends inside the expectation, a printed shirt hides its wearer
#   from a person detector part of the time {cite}`xu2020tshirt`.
# - **Infrared.** Small lamps under the peak of a cap throw spots onto the face that the camera sees and people nearby
#   do not {cite}`zhou2018invisible`. The attacker does not choose pixels, but where each spot lies, how bright and
#   how large it is.
#
# All four use the same idea, **expectation over transformation** {cite}`athalye2018synthesizing`. Let $v$ be a random
# view: a change such as the world makes. Do not climb the loss of the image. Climb the loss of what the camera will
# see, in the mean:
#
# $$
# \max_{x' \in \Delta(x)} \mathbb{E}_v\, L\big(f_\theta(v(x')), y\big),
# \qquad
# \nabla\, \mathbb{E}_v\, L \approx \frac1n \sum_{j=1}^n \nabla_{x'} L\big(f_\theta(v_j(x')), y\big).
# $$ (eq-expectation)
#
# The only condition is that $v$ can be differentiated: a turn, a shift, a zoom, another lamp, a blur and noise all can.

# %%
ThreatModel(
    goal="the class that the attacker names: a cat that is called a toaster",
    knowledge="white box",
    capability="each pixel moves by up to 16/255; then the world turns it by up to "
    "20°, shifts, zooms and lights it anew, and the camera adds noise",
    out_of_scope="the printer's colours, reflections, other cameras",
)

# %%
network = imagenet_classifier()
photograph = photos(size=160).images[:1]  # (1, 3, 160, 160): the cat
names = list(network.classes)
cats = torch.tensor(
    [
        i
        for i, name in enumerate(names)
        if name in ("tabby", "tiger cat", "Egyptian cat")
    ]
)
called = predict(network, photograph).argmax(dim=1)
toaster = torch.tensor([names.index("toaster")])
world = [
    random_pose(max_rotation=20, max_shift=8, scales=(0.85, 1.15)),
    random_light(brightness=0.1, contrast=0.2),
    random_noise(deviation=0.02),
]
claim("Untouched, it is called a cat", bool(torch.isin(called, cats)))

# %%
aim = {"epsilon": 16 / 255, "targets": toaster}
digital = attacks.pgd(network, photograph, called, steps=20, generator=draws(), **aim)
physical = attacks.expectation_over_transformation(
    network,
    photograph,
    called,
    transformations=world,
    samples=6,
    steps=20,
    generator=draws(),
    **aim,
)


# %%
def seen(picture, times=24):
    """What the network answers to fresh views of a picture, drawn by another seed."""
    views = transformed(picture.repeat(times, 1, 1, 1), world, draws(5))
    return predict(network, views).argmax(dim=1)


def share(answers, classes):
    return torch.isin(answers, classes).float().mean().item()


claim(
    "PGD's picture itself is called a toaster",
    bool((predict(network, digital).argmax(1) == toaster).all()),
)
claim(
    "Seen from elsewhere, it is a cat again in most of the views",
    share(seen(digital), cats) > 0.5,
)
claim("The other is a toaster in most of them", share(seen(physical), toaster) > 0.5)

# %%
angles = torch.linspace(-40, 40, 17)
pictures = {"plain PGD": digital, "expectation over transformation": physical}
sureness = {}  # the probability of "toaster" at each angle
for name, picture in pictures.items():
    views = rotate_and_shift(picture.expand(17, -1, -1, -1), angles, torch.zeros(17, 2))
    sureness[name] = predict(network, views).softmax(dim=1)[:, toaster]

# %% tags=["hide-input", "fig-world"] mystnb={"image": {"alt": "Top, two noisy pictures of a cat, which differ little. Bottom, the probability of toaster against the angle from minus 40 to 40 degrees: for plain PGD a spike at zero only, for expectation over transformation high over about 20 degrees to both sides, perhaps with a dip at exactly zero."}}
layout = [["plain PGD", "expectation over transformation"], ["curves", "curves"]]
figure, axes = plt.subplot_mosaic(layout, figsize=(5.4, 6), height_ratios=[1, 0.9])
styles = zip(sureness.items(), ("s--", "o-"), ("orange", "blue"), strict=True)
for (name, p), style, colour in styles:
    show_image(axes[name], pictures[name][0], name)
    axes["curves"].plot(angles, p, style, color=COLOURS[colour], label=name)
axes["curves"].set(xlabel="angle (degrees)", ylabel="probability of toaster")
axes["curves"].set_ylim(0, 1.02)
axes["curves"].legend(loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=9)
plt.show()

# %% [markdown]
# *Both pictures were made to be toasters, and only one still is after a turn.* Plain PGD uses the exact place of each
# pixel, and a turn of a few degrees undoes it. This once was thought to be good news for self-driving cars. The other
# picture was made for a range of angles and holds there. If its curve dips at exactly zero, look at what is special
# there: no pixel is interpolated, and every view that it was made for was a little soft. An expectation covers what is
# in it, and nothing else. The price is a larger change: $\varepsilon$ is 16/255 here, eight times what
# [lecture 2.1](linear_explanation.ipynb) needed to fool the same network from one point of view.
#
# ### Spots of infrared light
#
# The lamps on the cap have few knobs: for each spot, two for its place, one for its brightness, one for its size. The
# map from knobs to pixels is smooth, so the gradient can go through it, and through the world behind it. We use no
# faces here; three lamps shine on each digit.

# %%
ThreatModel(
    goal="any class but the true one",
    knowledge="white box",
    capability="three round spots of light on an image, each of brightness up to 0.8 "
    "and of size up to 0.08 of the image; then the world turns and shifts it a little",
    out_of_scope="the colour of the lamps; skin, which reflects unevenly",
)


# %%
def lamps(knobs):
    """Any numbers (n, 3, 4) → spots within what the lamps can do."""
    low = torch.tensor([0.0, 0.0, 0.0, 0.03])
    high = torch.tensor([1.0, 1.0, 0.8, 0.08])
    return infrared_spots(images, low + (high - low) * knobs.sigmoid())


def aimed(network):
    """The knobs of spots that gradient ascent through lamps and world has placed."""
    knobs = torch.randn(50, 3, 4, generator=draws()).requires_grad_()
    optimizer, wobble = torch.optim.Adam([knobs], lr=0.3, maximize=True), draws(2)
    shaky = [random_pose(max_rotation=10, max_shift=1)]
    for _ in range(30):
        views = transformed(lamps(knobs).repeat(3, 1, 1, 1), shaky, wobble)
        losses = attacks.cross_entropies(network(views), labels.repeat(3))
        (knobs.grad,) = torch.autograd.grad(losses.sum(), knobs)
        optimizer.step()
    return knobs.detach()


# %%
knobs = {name: aimed(network) for name, network in networks.items()}
by_light = {name: lamps(found) for name, found in knobs.items()}
results["3 spots of light"] = {n: score(networks[n], x) for n, x in by_light.items()}
elsewhere = torch.randn(50, 3, 2, generator=draws(3))
careless = lamps(torch.cat([elsewhere, knobs["plain"][..., 2:]], dim=2))
claim(
    "The same three lamps at random places leave over 15 points more",
    score(plain, careless) > results["3 spots of light"]["plain"] + 15,
)
claim(
    "In chosen places they leave less than 55 %",
    results["3 spots of light"]["plain"] < 55,
)

# %% tags=["hide-input", "fig-light"] mystnb={"image": {"alt": "Two rows of four digits with three dark blotches each. Above, the blotches lie at random; below, equally dark and large ones lie where they bridge gaps and lengthen strokes, and the digits are misread."}}
answers = predict(plain, by_light["plain"]).argmax(dim=1)
shown = (answers != labels).nonzero().flatten()[:4]
read = predict(plain, careless)[shown].argmax(dim=1)
titles = [f"{labels[i]} → {r}" for i, r in zip(shown, read, strict=True)]
titles += [f"{labels[i]} → {answers[i]}" for i in shown]
pictures = torch.cat([careless[shown], by_light["plain"][shown]])
show_images(pictures, titles, columns=4, size=1.4)
plt.show()

# %% [markdown]
# *Three spots of light on each digit: above at random places, below where gradient ascent put them.* Behind the arrow
# stands what the plain network reads. Light
# adds to a pixel's value; the book prints large values dark, so the light looks like ink. Twelve numbers are enough,
# if they are the right ones. We see the spots because the picture shows what the *camera* records. Whoever stands
# next to the wearer of such a cap sees nothing: what is "small" for a person is here decided by the eye and not by
# any norm.
#
# ## Robust to what?
#
# Now the promised table: two networks, one row for each threat set.

# %% tags=["nbval-ignore-output"]
for threat, row in results.items():
    print(
        f"{threat:<22}",
        "  ".join(f"{name}: {right:5.1f} %" for name, right in row.items()),
    )

# %%
gain = {t: row["hardened for L∞"] - row["plain"] for t, row in results.items()}
others = ["10 pixels", "patch, 9 × 9", "3 spots of light", "turn and shift"]
claim(
    "For pixels, patch, light and pose the mean gain is less than half of that in L∞",
    sum(gain[threat] for threat in others) / 4 < gain["L∞, ε = 0.2"] / 2,
)
claim(
    "Ten pixels still cost the hardened network over 15 points",
    results["10 pixels"]["hardened for L∞"] < results["none"]["hardened for L∞"] - 15,
)
claim(
    "Turned and shifted it is no better than the plain one, to 15 points",
    gain["turn and shift"] < 15,
)

# %% tags=["hide-input", "fig-sets"] mystnb={"image": {"alt": "Accuracy of the two networks as pairs of dots, a row for each threat set: equal without an attack; the hardened one far ahead for the L infinity ball; a smaller lead, or hardly any, for moved mass, ten pixels, the patch, the one change for all and spots of light; both near zero when turned and shifted."}}
figure, axis = plt.subplots(figsize=(6, 3.6))
rows = range(len(results))
for name, style in {"plain": "o", "hardened for L∞": "s"}.items():
    colour = COLOURS["orange" if name == "plain" else "blue"]
    axis.plot(
        [r[name] for r in results.values()], rows, style, color=colour, label=name
    )
for row, pair in enumerate(results.values()):
    axis.plot(
        pair.values(), [row, row], color=COLOURS["black"], linewidth=0.8, zorder=1
    )
axis.set(
    yticks=rows,
    yticklabels=list(results),
    xlabel="accuracy under attack (%)",
    xlim=(-3, 103),
)
axis.invert_yaxis()
axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.18), ncols=2)
plt.show()

# %% [markdown]
# *Accuracy of the same two networks under every threat set of this page.* The hardened network is better at what it was
# trained for. Something of that carries over to other sets. To few pixels, a patch and spots of light it is far less,
# and a turn undoes it all. Tramèr and Boneh proved that for simple data this is no accident: robustness to one set can
# exclude robustness to another {cite}`tramer2019multiple`.
#
# ## What goes wrong
#
# **Threat model, in one line.** Nobody attacks here; honest people measure, and each of these mistakes makes a
# network look better than it is.
#
# **A weak projection passes for a robust network.** The plain network under the same Wasserstein ball, with the
# entropy weighed as for MNIST in the paper ($\gamma$ of about 10):

# %%
blurred = score(plain, moved(plain, regularization=10.0))
gain_by_sharpness = blurred - results["moved mass, ε = 0.3"]["plain"]
claim(
    "The blurred projection makes the same network look over 5 points better",
    gain_by_sharpness > 5,
)

# %% [markdown]
# **A patch is judged in the place that it was made for**, and a picture by the very views that it was made with. Here
# is the patch of {fig}`patch` after a turn, which its maker did not think of:

# %%
aslant = still_right(made["plain"], max_rotation=180)
claim(
    "Turned any way, the patch fools less: the network gains over 1 point",
    aslant > straight + 1,
)

# %% [markdown]
# **Radii of two balls are compared as if they had one unit.** $\varepsilon = 0.2$ in L∞, 10 in L0 and 0.3 in Wasserstein
# are a grey value, a number of pixels and a way. "Robust up to 0.3" means nothing. What can be compared is the
# accuracy under sets that an attacker can afford equally.
#
# **Each set is reported alone.** A real attacker picks the best attack for each image. So ask of each image whether
# it survives *all* of them:

# %%
name = "hardened for L∞"
tried = {
    "L∞, ε = 0.2": linf(hardened),
    "10 pixels": by_pixels[name],
    "moved mass, ε = 0.3": by_mass[name],
    "patch, 9 × 9": by_patch[name],
    "one for all, ε = 0.2": under_foil[name],
    "3 spots of light": by_light[name],
}
survives = [predict(hardened, x).argmax(dim=1) == labels for x in tried.values()]
union = 100 * torch.stack(survives).all(dim=0).float().mean().item()  # (6, n) -> (n,)
noise_alone = results["L∞, ε = 0.2"][name]
worst_alone = min(results[threat][name] for threat in tried)
claim(
    "Together they leave at least 15 points less than noise of ε = 0.2 alone",
    union < noise_alone - 15,
)

# %% tags=["nbval-ignore-output"]
print(f"noise alone: {noise_alone:.0f} %; worst set alone: {worst_alone:.0f} %")
print(f"whatever fits the image: {union:.0f} %")

# %% [markdown]
# ## Practice
#
# **Exercise 1** (15 minutes). *All of them.* For one pixel no cleverness is needed: an image has 784 pixels, each can
# be made black or white, and 1,568 images go through the network in no time. Predict first: how many of 10 images
# fall to one pixel? And how many of those does `sparse_l0` with `epsilon=1` find?
#
# <details><summary>Hint 1: where to look</summary>
#
# All neighbours of an image fit into one batch. How do you write the 784 images that differ from it in one pixel?
#
# </details>
#
# <details><summary>Hint 2: the key idea</summary>
#
# `torch.eye(784)`, viewed as images, marks one pixel in each. An image has fallen if *any* of its neighbours is misread;
# `sparse_l0` shows you one of them only.
#
# </details>

# %% tags=["hide-cell"]
# Solution: few or none fall. How many of them PGD₀ misses is the measure of how far to
# trust it for ten pixels, where nobody can try them all.
place = torch.eye(784).view(784, 1, 28, 28)
falls = []
for image, label in zip(images[::5], labels[::5], strict=True):
    without = image * (1 - place)
    every = torch.cat([without, without + place])  # (1568, 1, 28, 28)
    falls.append(bool((predict(plain, every).argmax(dim=1) != label).any()))
found = attacks.sparse_l0(plain, images[::5], labels[::5], epsilon=1, generator=draws())
missed = sum(falls) - int((predict(plain, found).argmax(dim=1) != labels[::5]).sum())
claim("PGD₀, free to choose greys, finds at most two more", missed >= -2)

# %% [markdown]
# **Exercise 2** (15 minutes). *Sets can be put together.* An attacker may turn the picture by at most 10° *and* add
# L∞ noise of at most 0.1. Write this attack with two calls. Is the hardened network's accuracy the product of the two
# alone?
#
# <details><summary>Hint 1: where to look</summary>
#
# Each attack takes images and returns images. Which of the two should come first, and around which image does the ball of
# the second then lie?
#
# </details>
#
# <details><summary>Hint 2: the key idea</summary>
#
# The product would be right if each attack spoiled its images without regard to the other. Think of an image that the
# turn does *not* spoil: where does it lie now, seen from the border between two classes?
#
# </details>


# %% tags=["hide-cell", "nbval-ignore-output"]
# Solution: first the pose, then PGD from there. The two help each other: a turn brings
# the image near the border between classes, and a little noise carries it across.
def noisy(x):
    return attacks.pgd(hardened, x, labels, epsilon=0.1, steps=20, generator=draws())


pose_only = posed(hardened, max_rotation=10, max_translation=1, **grid)
both = score(hardened, noisy(pose_only))
alone = score(hardened, pose_only), score(hardened, noisy(images))
print(f"pose {alone[0]:.0f} %, noise {alone[1]:.0f} %, both {both:.0f} %")

# %% tags=["hide-cell"]
claim("Both together are stronger than each alone", both <= min(alone) + 1e-3)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Why does the projection onto the L0 ball rank pixels by their saving and not by the size of their change?
# - Because large changes are easier to see :: The L0 ball does not bound how much a pixel changes.
# + Because a change that leads out of [0, 1] is cut off, and what is cut off was not saved :: Only the part that the box allows counts, and the cut costs.
# - Because the ball is convex :: It is not: the middle of two one-pixel changes changes two pixels.
# ? A paper reports 80 % accuracy in a Wasserstein ball, with strongly blurred plans. What follows?
# - At least 80 % for every attack in that ball :: An attack gives an upper bound of the robust accuracy, never a lower one.
# + At most 80 %, perhaps far less :: A weak projection makes a weak attack; raise γ until the figure stops falling.
# - Nothing about L∞, but 80 % is certain here :: No attack makes anything certain.
# ? Plain PGD's toaster is a cat again after a turn of ten degrees. Does that protect a camera that moves?
# - Yes, since cameras never stand still :: An attacker who knows this puts the motion into the expectation.
# + No: the attack did not try to survive :: A failed attack that was not made for the case says nothing.
# - Only if the attacker has no gradients :: Expectation over transformation works with queries too, at a price.
# ? The hardened network holds in the L∞ ball. What about a rotation by 20 degrees?
# - It is covered, if ε is large enough :: A turn moves whole strokes: in L∞ it is as large as a change can be.
# + Nothing follows; it must be measured :: On this page it falls as the plain one does.
# - It must be worse, since robustness is a fixed budget :: Some sets do compete, but there is no law of a fixed sum.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** A threat set that an attacker can really use makes the result mean something. The attacks need one
# new line each: a projection, a mask, a grid, or a mean. Expectation over transformation carries over to anything
# that can be simulated and differentiated.
#
# **Limitations.** Each attack here is a lower bound of the damage, none a proof. PGD₀ and the Wasserstein attack are
# weaker than the newest ones of their kind. Our world of turns and lamps is a model of the world: nothing on this
# page was printed or photographed. Our networks are small, and 50 images give an accuracy to within about ten points;
# the differences that count are larger.
#
# **Software.** [Foolbox](https://github.com/bethgelab/foolbox) {cite}`rauber2017foolbox` and the [Adversarial
# Robustness Toolbox](https://github.com/Trusted-AI/adversarial-robustness-toolbox) {cite}`nicolae2018art` have
# spatial, patch, universal and Wasserstein attacks. In this library: `attacks.sparse_l0`, `wasserstein` (with
# `project_wasserstein`), `patch` (with `adversarial_patch` and `place_patch`), `spatial`, `universal` (with
# `universal_perturbation`), and `expectation_over_transformation` with the transformations `random_pose`,
# `random_light`, `random_blur`, `random_noise` and `infrared_spots`.
#
# ## What to take away
#
# "Small" is not a property of a change. It is a decision about the attacker, and it belongs on the card. Robustness
# in one set says little about another; so measure in the sets that matter, and for each image take the worst. And an
# attack that fails in the world may only not have been made for it.
#
# Next: [attackers who see answers only](black_box.ipynb).
