# %% [markdown]
# # 2.8 What is proven: attack ≥ truth ≥ bound
#
# An attack that fails proves nothing: the next one may succeed. This page goes the other way. It computes a radius within
# which *no* image is misread, whatever an attacker does. There are cheap bounds and sharp ones, and for small networks
# there is the exact value, so that we can see how much each of them leaves open.
#
# **What you will learn**
#
# - to carry a box around an image through a network, and to read a proof off the other end;
# - to sharpen the box by lines, and why each ReLU that can go either way costs something;
# - to compute the exact distance to the nearest misread image, as a mixed-integer program;
# - to train a network so that the cheapest bound is enough;
# - what a proof says, and what it does not.
#
# **Before you start**: [projected gradient descent](iterative_attacks.ipynb), and
# [how to evaluate honestly](honest_evaluation.ipynb), whose randomised smoothing is a proof of another kind. The symbols
# are those of the [notation page](../../book/notation.md).
#
# **Time**: 30 minutes to read; {{ cpu_seconds }} to run.

# %%
import functools
import itertools
import math

import matplotlib.pyplot as plt
import torch
from scipy.stats import binomtest
from torch import nn

from tml_helpers import attacks
from tml_helpers.attacks import rotate_and_shift
from tml_helpers.claims import claim, seed
from tml_helpers.data import digits
from tml_helpers.defenses import (
    RandomizedSmoothing,
    exact_radius,
    interval_bounds,
    interval_loss,
    linear_bounds,
)
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question
#
# Here is a small network, 64 pixels in, two layers of 16 units, that reads [digits of 8 × 8 pixels](../../book/data_cards/digits.md). PGD looks for
# a misread image in a ball of growing size.


# %%
def dense(*sizes):
    layers = [nn.Flatten()]
    for one, other in itertools.pairwise(sizes):
        layers += [nn.Linear(one, other), nn.ReLU()]
    return nn.Sequential(*layers[:-1])  # no ReLU after the logits


train, test = digits("train"), digits("test")
plain = dense(64, 16, 16, 10)
how = {"batch_size": 32, "generator": generator}
history = fit(plain, train, epochs=30, learning_rate=3e-3, **how)
claim("It reads over 90 % of the test digits", accuracy(plain, test) > 0.90)

right = predict(plain, test.images).argmax(1) == test.labels
first = int(right.int().argmax())
image, label = test.images[[first]], test.labels[[first]]
strength = {"steps": 20, "generator": generator}
sizes = torch.linspace(0.01, 0.3, 30).tolist()
tried = [attacks.pgd(plain, image, label, epsilon=e, **strength) for e in sizes]
hits = [e for e, x in zip(sizes, tried, strict=True) if plain(x).argmax() != label]
claim("In the larger balls PGD finds a misread image", len(hits) >= 5)
claim("In the smallest it finds none", min(hits) > 0.01)

# %% tags=["hide-input", "fig-proof-question"] mystnb={"image": {"alt": "Three pictures of the same small digit on eight by eight pixels. Left as it is. In the middle, with the largest change under which PGD found nothing, a little speckled. Right, with the smallest change that PGD found, a little more speckled; its title names another class."}}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.8))
near = sizes.index(min(hits))
shown = (0.0, image), (sizes[near - 1], tried[near - 1]), (sizes[near], tried[near])
for axis, (size, picture) in zip(axes, shown, strict=True):
    title = rf"$\varepsilon$ = {size:.2f}: read as {plain(picture).argmax()}"
    show_image(axis, picture[0], title)
plt.show()

# %% [markdown]
# *A digit, a change within a ball in which PGD finds nothing, and the smallest one that it finds.* In the middle the attack gave up. Was there
# nothing to be found? Twenty steps from one start cannot know.
#
# What we want is a number below the truth. The attacker is the strongest there can be:

# %%
ThreatModel(
    goal="any other class",
    knowledge="white box",
    capability="moves every pixel by up to 0.05, by any means and at any cost",
    out_of_scope="changes of another kind, as a shift or a sticker",
)

# %% [markdown]
# ## Intervals
#
# The ball around $x$ is a box: pixel $j$ lies within $c_j \pm r_j$. (At the edges of $[0, 1]$ it is cut, so $c$ is not always $x$.) A linear layer takes a box
# with middle $c$ and radius $r$ to values that lie in the box
#
# $$c' = W c + b, \qquad r' = \lvert W \rvert \, r ,$$ (eq-proof-box)
#
# since $\sum_j W_{ij} (\pm r_j)$ is largest when every sign agrees with that of $W_{ij}$. A ReLU rises with its input, so it may be applied to both ends. Layer
# by layer, the box arrives at the logits. This is **interval bound propagation** {cite}`gowal2018effectiveness`. By hand:


# %%
def box_of_logits(network, images, epsilon):
    low, high = (images - epsilon).clamp(min=0), (images + epsilon).clamp(max=1)
    for layer in network:
        if isinstance(layer, nn.Linear):
            middle, radius = (
                layer((low + high) / 2),
                (high - low) / 2 @ layer.weight.abs().T,
            )
            low, high = middle - radius, middle + radius
        else:
            low, high = layer(low), layer(high)
    return low, high


# %%
low, high = box_of_logits(plain, test.images, 0.02)
intervals = interval_bounds(plain, test.images, test.labels, epsilon=0.02)
gaps = low - intervals.lower, high - intervals.upper
claim("The library finds the same lower ends", gaps[0].abs().max() < 0.01)
claim("and the same upper ends", gaps[1].abs().max() < 0.01)
corners = (2 * torch.rand(100, 1, 1, 8, 8, generator=generator) - 1).sign()
logits = plain((test.images + 0.02 * corners).clamp(0, 1).flatten(0, 1)).view(
    100, -1, 10
)
inside = (logits >= low - 1e-4) & (logits <= high + 1e-4)
claim("100 corners of each ball stay inside of it", inside.all())

# %% [markdown]
# The answer is proven when the label's logit stays above each other one. Comparing the label's lower end with the others' upper ends would waste something: both logits come from the same
# units. So the last layer is read as the **margin** $z_y - z_k$, one more linear function, and
#
# $$\text{proven} \quad \Longleftrightarrow \quad \min_{\text{box}} \ (z_y - z_k) > 0 \quad \text{for all } k \ne y .$$ (eq-proof-margin)
#
# An arrow to the right only: where the bound is not positive, we know nothing.

# %%
naive = (low.gather(1, test.labels[:, None]) - high).scatter(1, test.labels[:, None], 9)
proven = intervals.proven
claim(
    "The margin's bound proves more than the difference of ends",
    (naive.amin(1) > 0).sum() < proven.sum(),
)
claim("What is proven is read right", right[proven].all())

# %% [markdown]
# ## Lines
#
# Intervals forget that two units see the same pixels: each is allowed its own worst image. To remember, keep every value as a *linear function of the pixels*. A ReLU is
# not linear. But if its input $u$ is known to lie in $[\underline u, \overline u]$, and 0 lies inside, it lies between two lines,
#
# $$a\, u \ \le \ \mathrm{ReLU}(u) \ \le \ \frac{\overline u}{\overline u - \underline u}\,(u - \underline u), \qquad a \in \{0, 1\},$$ (eq-proof-lines)
#
# the upper one through the ends of the bend, the lower one $0$ or $u$, whichever wastes less area. (Units with $\underline u \ge 0$ or $\overline u \le 0$ are linear already.) To bound a margin from below, walk
# back from it: a unit that enters with a positive weight is replaced by its lower line, one with a negative weight by its upper line. At the pixels a linear function is left, and its least value on
# a box is known exactly: equation {eq}`eq-proof-box`. The method is called CROWN {cite}`zhang2018efficient` or DeepPoly {cite}`singh2019abstract`. For one hidden layer:


# %%
def margin_by_lines(network, image, label, rival, epsilon):
    one, two = network[1], network[3]
    low, high = (image - epsilon).clamp(min=0), (image + epsilon).clamp(max=1)
    c, r = (high + low).flatten() / 2, (high - low).flatten() / 2
    u, reach = one(c), one.weight.abs() @ r
    least, most = u - reach, u + reach
    bent = (least < 0) & (most > 0)
    steep = torch.where(bent, most / (most - least), (least >= 0).float())
    flat = torch.where(bent, (most >= -least).float(), steep)
    weight = two.weight[label] - two.weight[rival]
    slope = torch.where(weight >= 0, flat, steep)
    lost = torch.where(
        bent & (weight < 0), -steep * least, 0.0
    )  # what the upper line adds
    row = (weight * slope) @ one.weight  # back at the pixels
    constant = weight @ (slope * one.bias + lost) + two.bias[label] - two.bias[rival]
    return row @ c + constant - row.abs() @ r


# %%
shallow = dense(64, 16, 10)
history = fit(shallow, train, epochs=10, learning_rate=3e-3, **how)
by_hand = [margin_by_lines(shallow, image, label[0], k, 0.05) for k in range(10)]
lines = linear_bounds(shallow, image, label, epsilon=0.05)
others = torch.arange(10) != label
gap = (torch.stack(by_hand) - lines.margins[0]).abs()[others]
claim("By hand and by the library, up to rounding", gap.max() < 1e-3)

# %% [markdown]
# With more layers the walk goes through all of them, and the ends $\underline u$, $\overline u$ of each layer come from the same walk, begun there. It costs one pass backwards for every unit that bends, where intervals cost one
# pass forwards for the whole network.

# %%
grid = [0.005, 0.015, 0.03, 0.05, 0.075, 0.1]
data = test.select(slice(150)).tensors


def shares(network):
    """Of 150 test digits: proven by intervals, by lines, and not misread by PGD."""
    rows = []
    for epsilon in grid:
        attacked = attacks.pgd(network, *data, epsilon=epsilon, **strength)
        known = [
            interval_bounds(network, *data, epsilon=epsilon).proven,
            linear_bounds(network, *data, epsilon=epsilon).proven,
            predict(network, attacked).argmax(1) == data[1],
        ]
        rows.append([float(one.float().mean()) for one in known])
    return torch.tensor(rows).T


of_plain = shares(plain)
at = grid.index(0.03)
more = of_plain[1, at] - of_plain[0, at]
claim("Intervals ≤ lines ≤ what survives PGD", (of_plain.diff(dim=0) >= 0).all())
claim("At ε = 0.03 lines prove over 50 points more", more > 0.50)

# %% tags=["hide-input", "fig-proof-shares"] mystnb={"image": {"alt": "Three falling curves over the radius from 0 to 0.1. The lowest, intervals, is near zero from 0.03 on. The middle one, lines, falls later, to a few per cent at 0.1. The highest, what PGD does not misread, is a little above it. The stripe between lines and PGD is shaded."}}
figure, axis = plt.subplots(figsize=(6, 3.2))
names = ("proven by intervals", "proven by lines", "not misread by PGD")
for row, name, hue, style in zip(
    of_plain, names, ("blue", "green", "orange"), ("o-", "s-", "^--"), strict=True
):
    axis.plot(grid, row, style, color=COLOURS[hue], label=name)
axis.fill_between(
    grid, of_plain[1], of_plain[2], color=COLOURS["black"], alpha=0.12, lw=0
)
axis.set(xlabel=r"$\varepsilon$", ylabel="share of the digits", ylim=(0, 1))
figure.legend(loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# *What is known of the plain network.* Below the green line: proven right. Above the orange one: shown to be misread. The shaded stripe between them is our ignorance, and intervals leave a much larger one.
#
# ## The exact value
#
# For a small network the stripe can be closed. A ReLU is a choice: either $u \ge 0$ and it passes $u$ on, or not and it gives 0. Let $g \in \{0, 1\}$ be the choice, and $v$ the unit's value. Four inequalities say all:
#
# $$v \ge u, \qquad v \ge 0, \qquad v \le u - \underline u\,(1 - g), \qquad v \le \overline u\, g .$$ (eq-proof-milp)
#
# With $g = 1$ the third one says $v \le u$, with $g = 0$ the fourth says $v \le 0$; the other of the two is then no restriction, because $\underline u$ and $\overline u$ are bounds. All the rest of the network is linear. So
#
# $$\min \ \varepsilon \quad \text{with} \quad \lvert x'_j - x_j \rvert \le \varepsilon, \quad x' \in [0, 1]^d, \quad z_k(x') \ge z_y(x') ,$$ (eq-proof-exact)
#
# once for every rival $k$, is a **mixed-integer linear program** {cite}`tjeng2019evaluating`, which general solvers solve by trying the choices in a clever order. How many tries it takes, nobody can promise: the problem is
# NP-complete {cite}`katz2017reluplex`. Good bounds $\underline u$ and $\overline u$ help twice, for they are the sharper, and units that cannot bend need no choice. `exact_radius` takes them from the lines, and looks in small balls first.

# %% tags=["nbval-ignore-output"]
chosen = right.nonzero()[:8, 0]
some, classes = test.images[chosen], test.labels[chosen]
exact = exact_radius(plain, some, classes, max_epsilon=0.3, time_limit=60)
print(f"nearest: {exact.upper.min():.3f}, farthest: {exact.upper.max():.3f}")

# %%
claim("All radii were found in time", exact.solved.all())
distance = (exact.adversarial - some).abs().flatten(1).amax(1)
claim("The images are as far as is said", (distance - exact.upper).abs().max() < 1e-5)
on_the_border = plain(exact.adversarial).topk(2).values
tie = (on_the_border[:, 0] - on_the_border[:, 1]).max()
claim("and on the border between two classes", tie < 1e-3)
beyond = [
    bool(linear_bounds(plain, x[None], y[None], epsilon=1.02 * float(e)).proven)
    for x, y, e in zip(some, classes, exact.upper, strict=True)
]
claim("Two per cent beyond the radius, lines prove none", not any(beyond))

# %% [markdown]
# ## One picture
#
# For each digit we now have four numbers: the radius up to which intervals prove it, that of the lines, the exact one, and the smallest ball in which PGD succeeded. Radii of the two bounds are found by halving.


# %%
def largest(holds, most=0.3, halvings=8):
    """For each digit, the largest ε at which something holds, by halving."""
    low, high = torch.zeros(len(some)), torch.full((len(some),), most)
    for _ in range(halvings):
        middle = (low + high) / 2
        known = [holds(some[[i]], classes[[i]], float(e)) for i, e in enumerate(middle)]
        known = torch.tensor(known)
        low, high = torch.where(known, middle, low), torch.where(known, high, middle)
    return low


# %%
def four_radii(network, exact):
    """Of each digit: intervals, lines, exact, PGD."""

    def boxed(x, y, epsilon):
        return bool(interval_bounds(network, x, y, epsilon=epsilon).proven)

    def lined(x, y, epsilon):
        return bool(linear_bounds(network, x, y, epsilon=epsilon).proven)

    def survives(x, y, epsilon):
        attacked = attacks.pgd(network, x, y, epsilon=epsilon, **strength)
        return bool(network(attacked).argmax() == y)

    radii = largest(boxed), largest(lined), exact.upper.float(), largest(survives)
    return torch.stack(radii)


ladder = four_radii(plain, exact)
rising = ladder.diff(dim=0) > -0.003  # the halving ends at steps of 0.001
claim("Intervals ≤ lines ≤ truth ≤ attack, digit by digit", rising.all())

# %% [markdown]
# ## To train for the proof
#
# The plain network was never asked to be provable. Let us ask. If $\underline m_k$ is the interval bound of the margin $z_y - z_k$, then logits $\hat z_k = -\underline m_k$, $\hat z_y = 0$ are worse than those of any image in the
# ball. Their cross-entropy can be trained on, beside the usual one:
#
# $$L \ =\ (1 - w)\, \mathrm{CE}\big(z, y\big) + w\, \mathrm{CE}\big(\hat z, y\big) .$$ (eq-proof-train)
#
# The whole second term is a few matrix products, so this costs about as much as training with one step of FGSM, and no attack is run. At once, $\varepsilon = 0.1$ would drown everything; it grows from 0 over the first half of the
# epochs.


# %%
def provable(epsilon, epochs=24):
    network = dense(64, 16, 16, 10)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for epoch in range(epochs):
        now = epsilon * min(1.0, 2 * epoch / epochs)
        loss = functools.partial(interval_loss, epsilon=now, weight=0.5)
        fit(network, train, epochs=1, optimizer=optimizer, loss=loss, **how)
    return network


trained = provable(0.1)
worst = interval_loss(trained, *data, epsilon=0.1, weight=1.0)
attacked = attacks.pgd(trained, *data, epsilon=0.1, **strength)
found = nn.functional.cross_entropy(trained(attacked), data[1])
claim("The worst logits cost at least what PGD finds", worst >= found)

# %% tags=["nbval-ignore-output"]
of_trained = shares(trained)
for name, network in (("plain", plain), ("trained", trained)):
    print(f"{name} network: {accuracy(network, test):.1%} read right")
print("ε        intervals   lines    PGD")
for epsilon, row in zip(grid, of_trained.T, strict=True):
    print(f"{epsilon:.3f}" + "".join(f"{share:10.0%}" for share in row))

# %%
claim("At ε = 0.03 intervals alone now prove over 60 %", of_trained[0, at] > 0.60)
claim(
    "30 points more than of the plain network",
    of_trained[0, at] - of_plain[0, at] > 0.30,
)
claim("Lines add under 10 points here", of_trained[1, at] - of_trained[0, at] < 0.10)

# %% tags=["nbval-ignore-output"]
exact_trained = exact_radius(trained, some, classes, max_epsilon=0.3, time_limit=60)
ladder_trained = four_radii(trained, exact_trained)
wider = exact_trained.upper.clamp(max=0.3).median() / exact.upper.median()
print(f"median exact radius: {wider:.1f} times that of the plain network")

# %% [markdown]
# Beside them stands a proof of another kind. [Randomised smoothing](honest_evaluation.ipynb) asks the network about noisy copies and proves, with high probability, an $L_2$ radius for the *smoothed* network. A ball of $L_\infty$ radius $\varepsilon$ lies in
# the ball of $L_2$ radius $\varepsilon \sqrt d$, so an $L_2$ radius $R$ proves $R / \sqrt{d}$ here, with $\sqrt d = 8$.

# %%
smooth = RandomizedSmoothing(plain, sigma=0.25)
certificate = smooth.certify(some, n=2000, generator=generator)
smoothed = torch.where(
    certificate.classes == classes, certificate.radii, 0.0
) / math.sqrt(64)

# %% tags=["hide-input", "fig-proof-ladder"] mystnb={"image": {"alt": "Two panels with eight columns each, one for an image, and a radius upwards. In each column four marks stand in the same order from below: intervals, lines, exact, PGD. Left, the plain network: intervals far below, lines near the exact value, PGD on it or just above. Right, the network that was trained for the bound: all marks are higher and close together. Small crosses mark randomised smoothing."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.4), sharey=True)
marks = (
    ("intervals", "_", "blue"),
    ("lines", "s", "green"),
    ("exact", "o", "black"),
    ("PGD", "^", "orange"),
)
for axis, rows, title in zip(
    axes, (ladder, ladder_trained), ("plain", "trained for the bound"), strict=True
):
    for row, (name, shape, hue) in zip(rows, marks, strict=True):
        size = 9 if shape == "_" else 5
        look = {"ms": size, "mew": size / 5 - 0.5, "color": COLOURS[hue]}
        axis.plot(range(8), row.clamp(max=0.3), shape, label=name, **look)
    axis.set(title=title, xlabel="image", xticks=range(8), ylim=(0, 0.3))
axes[0].plot(range(8), smoothed, "x", color=COLOURS["pink"], label="smoothing")
axes[0].set_ylabel(r"radius in $L_\infty$")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
plt.show()

# %% [markdown]
# *Attack ≥ truth ≥ bound, image by image.* Left, the plain network: intervals prove little, lines come near the truth, PGD stands on it or above. Right, the network that was trained for intervals: the truth is higher, and the cheap
# bound has come up to it. The crosses are the smoothed plain network, another function and another norm.
#
# Two things to see. PGD may stop *above* the truth; then no image nearer was found although there is one. And the exact radius of the right network is larger, too: training for the bound made it robust, not only provable.
# On larger networks the price is accuracy {cite}`wong2018provable`, and a riddle: training with sharper bounds than intervals proves *less* in the end {cite}`jovanovic2022paradox`.
#
# ## Evaluate honestly
#
# A share of proven digits is a share of a sample, and a share that survives is one, too. Both get an interval, and both are printed: the truth lies between them.


# %%
def judged(right):
    count = binomtest(int(right.sum()), len(right))
    ends = count.proportion_ci(method="wilson")
    return f"{right.float().mean():.0%} [{ends.low:.0%}, {ends.high:.0%}]"


report = {}
for name, network in (("plain", plain), ("trained", trained)):
    strong = attacks.evaluate(network, *data, epsilon=0.05, generator=generator)
    lines = linear_bounds(network, *data, epsilon=0.05).proven
    report[name] = lines, strong.standing
    claim(
        f"No attack on the {name} network breaks a proof", strong.standing[lines].all()
    )

# %% tags=["nbval-ignore-output"]
for name, (lines, robust) in report.items():
    print(f"{name:8} at ε = 0.05: proven {judged(lines)}, not broken {judged(robust)}")

# %% [markdown]
# ## What goes wrong
#
# **Depth.** Every layer adds its own waste. Here are untrained networks of more and more layers, whose first 16 units are the same width throughout. How far does the box of the logits reach, compared with what 1,000 random corners of the ball
# reach?

# %%
ratios = []
for depth in (1, 2, 3, 4, 5):
    network = dense(64, *[16] * depth, 10)
    bounds = interval_bounds(network, image, label, epsilon=0.02)
    corner = (2 * torch.rand(1000, 1, 8, 8, generator=generator) - 1).sign()
    reached = predict(network, (image + 0.02 * corner).clamp(0, 1))
    seen = reached.amax(0) - reached.amin(0)
    ratios.append(float(((bounds.upper - bounds.lower)[0] / seen).mean()))
claim(
    "Five layers: intervals are over 4 times as loose as one", ratios[4] > 4 * ratios[0]
)

# %% tags=["nbval-ignore-output"]
for depth, ratio in enumerate(ratios, 1):
    print(
        f"{depth} hidden layers: the interval is {ratio:.0f} times what corners reach"
    )

# %% [markdown]
# **Rounding.** A proof in exact arithmetic is about a network that nobody runs. Yours adds in float32, in an order that your processor chooses. Against a verifier that ignored this, misread images were found inside of proven balls {cite}`jia2021exploiting`.
# `interval_bounds` and `linear_bounds` widen their boxes by all that a sum may be rounded; `exact_radius` works to $10^{-6}$, and is as exact as that.

# %%
fragile = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
with torch.no_grad():
    fragile[1].weight.copy_(torch.tensor([[3e7, -3e7], [0.0, 0.0]]))
    fragile[1].bias.copy_(torch.tensor([0.5, 0.0]))
point, zero = torch.full((1, 1, 1, 2), 0.7), torch.tensor([0])
claim("On paper the margin is 0.5", abs(fragile(point)[0, 0] - 0.5) < 3)
claim(
    "in float32 nothing is proven",
    not interval_bounds(fragile, point, zero, epsilon=0.0).proven,
)

# %% [markdown]
# **The wrong ball.** Proven in $L_\infty$ says nothing of a shift. Move the digits by one pixel of eight, which no reader minds:

# %%
safe = linear_bounds(trained, *data, epsilon=0.05).proven
shifts = torch.zeros(int(safe.sum()), 2)
shifts[:, 1] = 1.0
moved = rotate_and_shift(data[0][safe], torch.zeros(len(shifts)), shifts)
lost = (predict(trained, moved).argmax(1) != data[1][safe]).float().mean()
claim("Of digits that are proven at ε = 0.05, over 15 % are lost", lost > 0.15)

# %% [markdown]
# **Time.** The exact program grows with the number of units that can go either way, not with the number of units. On MNIST, with hundreds of them, a minute is often not enough; `ExactRadius.solved` says so, and `lower` and `upper` are
# still bounds.
#
# ## Practice
#
# **Exercise 1** (15 minutes). *Train for another ball.* Train for $\varepsilon = 0.2$ instead of 0.1. What do intervals prove at 0.03, and how many digits are read right without an attack?
#
# <details><summary>Hint 1: the call</summary>
#
# `provable(0.2)`; `interval_bounds(network, *data, epsilon=0.03).proven`.
#
# </details>
#
# <details><summary>Hint 2: what to expect</summary>
#
# A network that must bear a large ball gives up what is fine. Look at the accuracy first.
#
# </details>

# %% tags=["hide-cell"]
# Solution: at 0.2 it proves what the other network cannot. It pays at 0.03, and in
# accuracy: boxes of that size overlap for many digits.
greedy = provable(0.2)
at_two = [
    interval_bounds(network, *test.tensors, epsilon=0.2).proven.float().mean()
    for network in (trained, greedy)
]
claim("At ε = 0.2 it proves over 5 points more", at_two[1] - at_two[0] > 0.05)

# %% tags=["hide-cell", "nbval-ignore-output"]
for name, network in (("for 0.1", trained), ("for 0.2", greedy)):
    proven = interval_bounds(network, *test.tensors, epsilon=0.03).proven
    share = float(proven.float().mean())
    print(
        f"{name}: {accuracy(network, test):.0%} read right, {share:.0%} proven at 0.03"
    )

# %% [markdown]
# **Exercise 2** (15 minutes). *How many choices?* Count, for the plain and the trained network, how many of the 16 units of the first layer can go either way on the ball of $\varepsilon = 0.05$ around the digits of `some`. Which network is easier for the exact program?
#
# <details><summary>Hint: ends of the first layer</summary>
#
# `box_of_logits(network[:2], some, 0.05)` gives the ends of the first layer's inputs.
#
# </details>

# %% tags=["hide-cell"]
# Solution: the trained network has fewer. Training for intervals makes units firm.
bending = []
for network in (plain, trained):
    low, high = box_of_logits(network[:2], some, 0.05)
    bending.append(((low < 0) & (high > 0)).float().sum(1).mean())
claim("Fewer units of the trained network bend", bending[1] < bending[0])

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Intervals prove 3 % at ε = 0.03, and PGD misreads 10 %. What is the accuracy under the worst attack?
# - 3 % :: That much is certain. The other digits may be safe all the same.
# - 90 % :: A stronger attack may misread more.
# + Somewhere between 3 and 90 % :: Bounds from below and from above, and nothing in between is known.
# ? Why are intervals looser than lines?
# - They are rounded more :: Both are widened by the same rounding.
# + They let each unit have a worst image of its own :: Lines carry every unit back to the same pixels.
# - They ignore the ReLU :: A ReLU is exact for an interval.
# ? What does the choice g decide in the exact program?
# + On which side of its bend a ReLU is :: With the sides of all units given, the network is linear.
# - Which class wins :: Each rival has a program of its own.
# - Which pixels are changed :: Pixels are continuous variables.
# ? A network is proven at ε = 0.1 for an image. Somebody prints the image, photographs it, and it is misread.
# - The proof was wrong :: The photograph differs by more than 0.1 in some pixel.
# + The photograph is not in the ball :: A proof holds for its threat set, and for nothing else.
# - The network has changed :: It need not have.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** A proof ends the race between attacks and defences, for one image, one ball and one network. Intervals are nearly free, lines are sharp on small networks, and the exact value tells how sharp.
#
# **Limitations.** Networks whose layers follow one another, of ReLUs; other bends need other lines. Bounds grow loose with depth unless the network was trained for them, and training for them costs accuracy as networks and balls grow. Our digits
# have 64 pixels and our networks 32 units: the exact value ends not far above. And the ball is a mathematician's idea of a small change.
#
# **Software.** [auto_LiRPA](https://github.com/Verified-Intelligence/auto_LiRPA) {cite}`xu2020automatic` carries lines through nearly any network, and [α,β-CROWN](https://github.com/Verified-Intelligence/alpha-beta-CROWN) adds the search over choices. The tutorial of Kolter and Madry,
# [Adversarial Robustness: Theory and Practice](https://adversarial-ml-tutorial.org/introduction/), derives all of this at more length. In this library: `defenses.interval_bounds` and `defenses.linear_bounds`, which return `Bounds`; `defenses.exact_radius`, which returns `ExactRadius`; `defenses.interval_loss`.
#
# ## What to take away
#
# An attack bounds robustness from above, a proof from below, and only both together are a measurement. Carry a box through the network; if that is too loose, carry lines; if the network is small, let a solver try the choices. And say of which ball it is a proof.
#
# Next: [in the world](in_the_world.ipynb), where the ball is a sticker.
