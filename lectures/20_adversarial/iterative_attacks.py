# %% [markdown]
# # 2.2 Many small steps
#
# One long step along the gradient is a strong attack for its price, and a poor one for an evaluation: where the loss
# is bent, it misses. This lecture walks instead. It asks two questions about the same image. How much harm does a
# given ball allow? And, turned round: how small a change suffices? Each has its attacks.
#
# **What you will learn**
#
# - to derive projected gradient ascent (PGD) in six lines, for two norms, with and without a target;
# - why it starts at random, and when it should start again;
# - to walk to the nearest boundary of a linearised network: DeepFool;
# - to turn "as near as possible, but misread" into one loss that Adam can lower: Carlini and Wagner;
# - to test an attack before you believe what it says about a defence.
#
# **Before you start**: [the fast gradient sign method](linear_explanation.ipynb) and its threat model. The symbols are
# those of the [notation page](../../book/notation.md).
#
# **Time**: 50 minutes to read; {{ cpu_seconds }} to run.

# %%
import copy
import warnings

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from tml_helpers import attacks
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.measured import result
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## Two questions
#
# One network, the same as in the lecture before, and a hundred digits that it reads correctly. An attack can only
# spoil what was right.

# %%
train, test = mnist("train"), mnist("test")
train = train.select(slice(4000))  # the full MNIST gives as many images: same budget
generator = seed_everything(seed())
model = SmallCNN().to(memory_format=torch.channels_last)  # faster on a CPU
fit(model, train, epochs=3, learning_rate=2e-3, batch_size=64, generator=generator)
model.eval().requires_grad_(False)
right = predict(model, test.images).argmax(dim=1) == test.labels
x, y = test.images[right][:900:9], test.labels[right][:900:9]  # 100 images


def read(images):
    """The digit that the network sees in each image."""
    return predict(model, images).argmax(dim=1)


def left(images):
    """Per cent of the images that are still read correctly."""
    return 100 * (read(images) == y).float().mean().item()


claim("There are 100 digits, all read correctly", len(x) == 100 and left(x) == 100)

# %% [markdown]
# The first question is what a whole **ball** of changes can do. It fits a card that limits the change:

# %%
ThreatModel(
    goal="any class but the true one; later on, a class that the attacker chooses",
    knowledge="white box",
    capability="a change of norm at most ε (L∞ or L2), within [0, 1]",
    out_of_scope="changes that are no small perturbation; attacks on the training",
)

# %% [markdown]
# In symbols, the attacker wants
#
# $$\max_{\|\eta\| \le \varepsilon} L\big(f_\theta(x + \eta), y\big), \qquad x + \eta \in [0, 1]^d .$$ (eq-worst-in-ball)
#
# In words: among all allowed images, the one whose loss is largest. FGSM answers with one step along the signs of the
# gradient **at the image**. Does it still point uphill where the step ends? Compare each image's two directions:


# %% tags=["nbval-ignore-output"]
def signs(images):
    """The sign of each value's gradient."""
    leaf = images.clone().requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(model(leaf), y), leaf)
    return g.sign()


def agreement(epsilon):
    """Per cent of values whose sign is the same after a step of epsilon."""
    here = signs(x)
    there = signs((x + epsilon * here).clamp(0, 1))
    return 100 * (here == there)[here != 0].float().mean().item()


kept = [agreement(epsilon) for epsilon in (0.01, 0.1, 0.2)]
print("signs that stay after ε = 0.01, 0.1, 0.2:", *(f"{k:.0f} %" for k in kept))

# %%
claim("After a short step more than 60 % of the signs stay", kept[0] > 60)
claim("After a long one 5 points fewer: a coin would keep half", kept[2] < kept[0] - 5)

# %% [markdown]
# So the direction is right at the start of a long step and wrong at its end. The obvious remedy: take a small step, ask
# for the gradient again, and repeat.
#
# ## Projected gradient ascent
#
# A small step may leave the ball, so each is followed by the way back:
#
# $$x^{(i+1)} = \Pi\Big(x^{(i)} + \alpha \cdot \operatorname{sign} \nabla_x L\big(f_\theta(x^{(i)}), y\big)\Big),
# \qquad x^{(0)} = x + \text{noise from the ball}.$$ (eq-pgd)
#
# In words: a step of length $\alpha$ uphill, then to the nearest allowed image. $\Pi$ is the **projection**. For the L∞
# ball it cuts each entry of the change to $[-\varepsilon, \varepsilon]$; for the L2 ball it shortens the whole change
# to length $\varepsilon$ where it is longer. Then both cut to $[0, 1]$. The attack is called PGD
# {cite}`madry2018towards`, with the D of *descent*, although the attacker climbs. Without the random start it is older,
# as the *basic iterative method* {cite}`kurakin2017physical`. It takes six lines. We compare them with the library
# in double precision: in single precision the sign of a gradient that is zero up to rounding may come out either way,
# and each step goes on from there.


# %%
def pgd_in_six_lines(model, images, labels, epsilon, step_size, steps):
    x = images.clone()
    for _ in range(steps):
        x.requires_grad_()
        (g,) = torch.autograd.grad(F.cross_entropy(model(x), labels), x)
        delta = x.detach() + step_size * g.sign() - images  # the images' shape
        x = (images + delta.clamp(-epsilon, epsilon)).clamp(0, 1)
    return x


exact, thirty = copy.deepcopy(model).double(), (x[:30].double(), y[:30])
how = {"epsilon": 0.1, "step_size": 0.02, "steps": 10}
by_hand = pgd_in_six_lines(exact, *thirty, **how)
by_library = attacks.pgd(exact, *thirty, random_start=False, **how)
share = torch.isclose(by_hand, by_library).double().mean().item()
claim("Six lines and the library agree on 99 of 100 pixels, or more", share > 0.99)

# %% [markdown]
# The lines of the loop that are not the network's move the whole batch through memory about a dozen times. On a
# GPU one kernel does it in one pass; [its page](../09_kernels/ball_step.ipynb) counts the bytes.
#
# ### Why start at random?
#
# Because the gradient at the image itself may be a bad guide, and because another start may end on another hill. Take
# the image that is hardest to spoil, start twenty times, and record the loss after every step.

# %%
few = {"epsilon": 0.12, "step_size": 0.02}
survivors = read(attacks.pgd(model, x, y, steps=30, random_start=False, **few)) == y
cross = F.cross_entropy(predict(model, x), y, reduction="none")
hard = torch.where(survivors, cross, -torch.inf).argmax()
starts = 20
many, labels = x[hard].expand(starts, -1, -1, -1), y[hard].expand(starts)
climbs = []
for steps in (0, 1, 2, 4, 8, 16, 32, 64):
    draw = torch.Generator().manual_seed(seed())  # the same twenty starts each time
    moved = attacks.pgd(model, many, labels, steps=steps, generator=draw, **few)
    climbs.append(F.cross_entropy(predict(model, moved), labels, reduction="none"))
climbs = torch.stack(climbs)  # (checkpoints, starts)
claim(
    "From every start, 64 steps raise the loss at least fourfold",
    bool((climbs[-1] > 4 * climbs[0]).all()),
)

# %%
grid = [0, 0.03, 0.06, 0.1, 0.15, 0.2]
mean_loss = {"one step": [], "ten steps": []}
for e in grid:
    once = attacks.fgsm(model, x, y, epsilon=e)
    often = attacks.pgd(model, x, y, epsilon=e, steps=10, random_start=False)
    for name, moved in zip(mean_loss, (once, often), strict=True):
        mean_loss[name].append(F.cross_entropy(predict(model, moved), y).item())
one, ten = mean_loss.values()
claim(
    "At ε = 0.03 one step reaches over 60 % of ten steps' loss", one[1] > 0.6 * ten[1]
)
claim("At ε = 0.2, less than 60 %", one[-1] < 0.6 * ten[-1])

# %% tags=["hide-input", "fig-climbs"] mystnb={"image": {"alt": "Left: mean loss against epsilon for one step and for ten steps; both curves start together, and that of ten steps rises ever faster above the other. Right: loss of one digit after 0 to 64 steps of projected gradient ascent from twenty random starts; all curves rise steeply and then level off, not all at the same height."}}
figure, (ball, walk) = plt.subplots(1, 2, figsize=(6.5, 3.1))
for (name, losses), colour in zip(mean_loss.items(), ("amber", "blue"), strict=True):
    ball.plot(grid, losses, "o-", color=COLOURS[colour], label=name)
ball.set(title="100 digits", xlabel="ε (L∞)", ylabel="mean loss (nats)")
ball.legend()
walk.plot(climbs, color=COLOURS["blue"], alpha=0.4, linewidth=1)
walk.set(title="one digit, 20 random starts", xlabel="steps", ylabel="loss (nats)")
walk.set_xticks(range(8), labels=["0", "1", "2", "4", "8", "16", "32", "64"])
plt.show()

# %% [markdown]
# *Many steps climb higher, and from every start.* Left: in a small ball the straight line is as good as the walk; the
# larger the ball, the more is lost by looking at the gradient only once. Right: one digit that the walk finds hard. All
# starts climb, and none is stuck at the bottom, but not all end equally high: the loss has many maxima. Madry and
# others found that most of them are of similar height {cite}`madry2018towards`, which is why a single start goes a long
# way.
#
# It is not always so. A defence may bend the loss so that most starts get stuck. **Random restarts** are the test: an
# image is lost if any one of them succeeds, so they can only help the attacker, and if they help much, one was not
# enough.

# %% tags=["nbval-ignore-output"]
fallen = torch.zeros(len(x), dtype=torch.bool)
lost_after = []
draw = torch.Generator().manual_seed(seed())
for _ in range(4):
    moved = attacks.pgd(model, x, y, epsilon=0.1, steps=10, tau=0, generator=draw)
    fallen |= read(moved) != y
    lost_after.append(int(fallen.sum()))
print("images lost after 1, 2, 3 and 4 starts:", *lost_after)

# %%
claim(
    "Three more restarts win at most 10 more of 100",
    lost_after[3] <= lost_after[0] + 10,
)

# %% [markdown]
# Here the second, third and fourth start find next to nothing new, which is what one hopes to see. `tau=0` lets an image
# rest as soon as it is misread: the batch shrinks, and the same images fall for fewer gradients.
#
# ### Another norm, and a target
#
# With `norm="l2"` the step of equation {eq}`eq-pgd` is $\alpha \nabla L / \|\nabla L\|_2$. With `targets` the loss of
# the *target* is lowered instead of raising that of the label. Each takes one other sign or length in the code, and
# each leaves its mark on the picture.

# %%
how = {"steps": 20, "random_start": False}
flat = attacks.pgd(model, x, y, epsilon=0.15, **how)
round_ = attacks.pgd(model, x, y, epsilon=2.0, norm="l2", **how)
shown = ((read(flat) != y) & (read(round_) != y)).nonzero().flatten()[:3]
classes = torch.arange(10)
zero = (y == 0).nonzero().flatten()[0]
others = classes[classes != y[zero]]
nine = x[zero].expand(9, -1, -1, -1)
aimed = attacks.pgd(
    model, nine, y[zero].expand(9), targets=others, norm="l2", epsilon=6.0, steps=60
)
claim("A 0 becomes each other digit", torch.equal(read(aimed), others))

# %% tags=["hide-input", "fig-norms"] mystnb={"image": {"alt": "Three digits in columns. For each, from top to bottom: the image; the change in the maximum norm, a hard pattern of black, grey and white over the whole picture; the attacked image; then the change in the Euclidean norm, which is concentrated on the strokes and fades out; and the attacked image."}}
titles = ["image", "L∞ change", "L∞, ε = 0.15", "L2 change", "L2, ε = 2"]
figure, axes = plt.subplots(5, 3, figsize=(5.1, 8.6))
for column, i in zip(axes.T, shown, strict=True):
    pictures = [x[i], flat[i] - x[i], flat[i], round_[i] - x[i], round_[i]]
    for axis, title, picture in zip(column, titles, pictures, strict=True):
        if "change" in title:
            show_image(axis, 0.5 + 0.5 * picture / picture.abs().max(), title)
        else:
            show_image(axis, picture, f"{title}: read as {read(picture[None]).item()}")
plt.show()

# %% [markdown]
# *The ball decides what the change looks like.* In the two changes, black is more ink, white is less, and grey is no
# change. In L∞ every pixel may move by $\varepsilon$, and nearly each does that can: where the paper is white and
# should become whiter, the cut to $[0, 1]$ leaves it. In L2 the budget is shared, and the attack spends it where it
# counts, on and beside the strokes. Neither norm is "how people see"; [lecture 2.3](other_threat_models.ipynb) goes on
# from there.

# %% tags=["hide-input", "fig-targets"] mystnb={"image": {"alt": "A handwritten zero in nine versions, each changed so that the network reads it as one of the digits 1 to 9; most still look like a zero with smudges."}}
figure, axes = plt.subplots(3, 3, figsize=(4.4, 5))
for axis, picture, target in zip(axes.flat, aimed, others, strict=True):
    show_image(axis, picture, f"read as {target.item()}")
plt.show()

# %% [markdown]
# *One zero, aimed at nine classes.* Most still look like a smudged 0 to you; one or two begin to look like what the
# network reads. For the ball is large here (L2, $\varepsilon = 6$): a target far away needs more room than the nearest
# wrong answer.
#
# ## The nearest boundary: DeepFool
#
# Now the second question: not how much harm $\varepsilon$ allows, but how small a change suffices.
#
# $$\min_\eta \|\eta\|_2 \quad \text{so that} \quad \arg\max_k z_k(x + \eta) \ne y .$$ (eq-nearest)
#
# The card changes with the question. Nothing is forbidden; the size of the change is the result.

# %%
ThreatModel(
    goal="any class but the true one, by the smallest change",
    knowledge="white box",
    capability="any change within [0, 1]; its L2 norm is reported",
    out_of_scope="other norms; what a person would notice",
)

# %% [markdown]
# For a linear network the answer is a formula. Between class $y$ and class $k$ lies a plane, where
# $z_k = z_y$. Its distance from $x$, and the step that leads onto it, are
#
# $$R_k = \frac{|z_k - z_y|}{\|w_k\|_2}, \qquad r_k = \frac{|z_k - z_y|}{\|w_k\|_2^2}\, w_k,
# \qquad w_k = \nabla_x (z_k - z_y).$$ (eq-deepfool)
#
# In words: the gap between two logits, divided by how fast it closes. The nearest plane wins, which is the class with the
# least $R_k$, and need not be the one with the second largest logit. DeepFool {cite}`moosavi2016deepfool` does this
# for any network: it takes the network for linear, steps onto the nearest plane, and repeats where it has landed
# until the class has changed. The whole change is lengthened by 2 %, the **overshoot**, to get across.


# %%
def deepfool_for_one(model, image, label, steps=50, overshoot=0.02):
    total = torch.zeros_like(image)
    for _ in range(steps):
        leaf = (image + (1 + overshoot) * total).clamp(0, 1).requires_grad_()
        z = model(leaf)[0]  # (classes,)
        if z.argmax() != label:
            break
        best = torch.inf
        for k in [k for k in range(len(z)) if k != label]:
            gap = z[k] - z[label]
            (w,) = torch.autograd.grad(gap, leaf, retain_graph=True)
            if gap.abs() / w.norm() < best:
                best = gap.abs().item() / w.norm()
                step = (best + 1e-4) * w / w.norm()  # 1e-4: never zero
        total += step
    return leaf.detach()


# %% [markdown]
# First on a toy, where the truth is known: three classes in the plane with linear scores.

# %%
W = torch.tensor([[1.0, 0.2], [-0.9, 0.5], [0.1, -1.1]], dtype=torch.float64)
toy = nn.Sequential(nn.Flatten(), nn.Linear(2, 3).double())
toy[1].weight.data, toy[1].bias.data = W, -W.sum(dim=1) / 2  # all lines meet at ½, ½
place = torch.tensor([0.72, 0.62], dtype=torch.float64).view(1, 1, 1, 2)  # an "image"
z_toy = toy(place)[0].detach()
label = z_toy.argmax()
rivals = torch.tensor([k for k in range(3) if k != label])
w = W[rivals] - W[label]  # (2, 2)
gaps = (z_toy[rivals] - z_toy[label]).abs()
distances = gaps / w.norm(dim=1)
feet = place.flatten() + distances[:, None] * w / w.norm(dim=1, keepdim=True)
landed = attacks.deepfool(toy, place, label[None])
claim(
    "On linear scores DeepFool's step is the distance to the nearest line, plus 2 %",
    abs((landed - place).norm() / distances.min() - 1.02) < 1e-3,
)
claim(
    "The loop and the library agree on it",
    torch.allclose(deepfool_for_one(toy, place, label), landed),
)

# %% tags=["hide-input", "fig-deepfool"] mystnb={"image": {"alt": "A square divided into three coloured regions that meet in its middle. A point lies in one of them; two dashed lines lead from it at right angles to its two boundaries. A cross, just beyond the foot of the shorter one, marks where DeepFool ends."}}
figure, axis = plt.subplots(figsize=(5.4, 3.8))
ticks = torch.linspace(0, 1, 201, dtype=torch.float64)
grid = torch.cartesian_prod(ticks, ticks).view(-1, 1, 1, 2)
region = toy(grid).argmax(dim=1).view(201, 201).T
hues = [COLOURS[name] for name in ("sky", "amber", "pink")]
axis.contourf(ticks, ticks, region, levels=[-1, 0, 1, 2], colors=hues, alpha=0.35)
for foot, d in zip(feet, distances, strict=True):
    line = torch.stack([place.flatten(), foot])
    axis.plot(line[:, 0], line[:, 1], "--", color=COLOURS["black"], linewidth=1.2)
    middle = line.mean(dim=0)
    axis.annotate(f"{d:.2f}", middle, xytext=(8, 0), textcoords="offset points")
axis.plot(*place.flatten(), "o", color=COLOURS["black"], label="x")
axis.plot(*landed.flatten(), "x", color=COLOURS["orange"], mew=2.5, label="DeepFool")
axis.set(xlabel="first value", ylabel="second value", aspect="equal")
axis.grid(False)
axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# *Three classes, two lines to cross, and the shorter way.* The dashed lines meet the boundaries at right angles, since
# the nearest point of a plane always lies straight ahead. DeepFool takes the shorter one and ends 2 % beyond it.
#
# A network is not linear, so the first step falls short or goes too far, and more follow. One step asks for the
# gradient of every class, which makes it expensive; but an image that has been fooled needs no more steps, and the
# library drops it from the batch. The loop above serves one image, the library a hundred:

# %%
near = attacks.deepfool(model, x, y)
claim("DeepFool fools the network on every image", left(near) == 0)
one = deepfool_for_one(exact, thirty[0][:1], y[0])
same = attacks.deepfool(exact, thirty[0][:1], y[:1])
claim("Loop and library agree on a digit", torch.allclose(one, same, atol=1e-4))
first_step = attacks.deepfool(model, x, y, steps=1)
claim("One step is not enough for more than half of them", left(first_step) > 50)

# %% [markdown]
# ## As near as possible: Carlini and Wagner
#
# DeepFool stops at the first boundary that it meets. Nothing says that it met it at the nearest place. Carlini and
# Wagner {cite}`carlini2017towards` write down what is wanted, and let an optimiser do the rest. The wish has two
# constraints, and neither is something that gradient descent can handle:
#
# $$\min_\eta \|\eta\|_2^2 \quad \text{so that} \quad f_\theta(x + \eta) \text{ is fooled}
# \quad \text{and} \quad x + \eta \in [0, 1]^d .$$
#
# **The box** goes by a change of variable: $x' = \tfrac12 (\tanh s + 1)$ lies in $[0, 1]$ for every $s$. Adam may move
# $s$ wherever it likes.
#
# **"Is fooled"** becomes a penalty that is zero once it holds, weighted by $c$:
#
# $$\min_s\; \|x' - x\|_2^2 + c \cdot \max\big(0,\; \kappa + z_y(x') - \max_{k \ne y} z_k(x')\big).$$ (eq-carlini-wagner)
#
# In words: stay near, and pay $c$ for each unit by which the label's logit still leads. With $\kappa > 0$ the network
# should not only be wrong but *sure*: one pays until the label is $\kappa$ behind. With a target $t$, pay for what the
# target is behind.
#
# ### Why this penalty, and not cross-entropy?
#
# Cross-entropy never ends: after the image is fooled, it goes on pulling and trades distance for
# confidence that nobody asked for. Before, for an image that the network is sure of, its gradient is nearly zero,
# because it contains the factor $1 - p_y$. The logits do not saturate. Measure both:

# %%
z = predict(model, x)
sure = F.softmax(z.double(), dim=1).gather(1, y[:, None]).squeeze(1).argsort()


def slope(loss, images, labels):
    """Length of the gradient for each image."""
    leaf = images.clone().requires_grad_()
    (g,) = torch.autograd.grad(loss(model(leaf), labels).sum(), leaf)
    return g.flatten(1).norm(dim=1)


by_loss = {
    name: slope(loss, x, y)[sure]
    for name, loss in (("entropy", attacks.cross_entropies), ("margin", attacks.margin))
}
spread = {name: (g.max() / g.min()).item() for name, g in by_loss.items()}
claim("Cross-entropy's pull differs 1,000-fold between images", spread["entropy"] > 1e3)
claim("The margin's, less than 20-fold", spread["margin"] < 20)

# %% [markdown]
# One $c$ can serve all images only where their penalties pull alike. With the margin, a good $c$ lies within a factor
# of ten or so; with cross-entropy no $c$ serves two images.
#
# ### Twelve lines, for a given $c$


# %%
def nearest_for(c, model, images, labels, steps=100, learning_rate=0.1):
    """The best images found, and their distances: infinite where none was found."""
    s = torch.atanh((2 * images - 1) * (1 - 1e-6)).requires_grad_()
    adam = torch.optim.Adam([s], lr=learning_rate)
    best, closest = images.clone(), torch.full((len(images),), torch.inf)
    for _ in range(steps):
        moved = (s.tanh() + 1) / 2
        behind = -attacks.margin(model(moved), labels)  # > 0 while read correctly
        far = (moved - images).flatten(1).square().sum(dim=1)  # (n,)
        better = (behind < 0) & (far < closest)
        best[better], closest[better] = moved[better].detach(), far[better].detach()
        adam.zero_grad()
        (far + c * behind.clamp_min(0)).sum().backward()
        adam.step()
    return best, closest.sqrt()


# %% [markdown]
# The network's parameters are frozen on this page, so `backward` leaves nothing in them. How does the distance depend
# on $c$?

# %%
constants = [0.03, 0.1, 0.3, 1, 3, 10, 30]
some = slice(0, 100, 10)  # 10 images
by_constant = torch.stack(
    [nearest_for(c, model, x[some], y[some], steps=60)[1] for c in constants]
)  # (constants, images)
found = by_constant.isfinite().sum(dim=1).tolist()
claim("With c = 0.03 fewer than half are fooled", found[0] < 5)
claim("With c = 30 all are", found[-1] == 10)
always = by_constant[-3:].isfinite().all(dim=0)
typical = by_constant[-3:, always].median(dim=1).values
claim("But with c = 30 they end farther away than with c = 3", typical[2] > typical[0])

# %% tags=["hide-input", "fig-constants"] mystnb={"image": {"alt": "Two panels against the constant c on a logarithmic axis. Left, the share of images that are fooled rises from few to all of them. Right, the distance at which each of ten images ended, one line an image: each line begins where its image is first fooled, and most grow towards large c."}}
figure, (success, distance) = plt.subplots(1, 2, figsize=(6.5, 3))
success.semilogx(constants, [10 * n for n in found], "o-", color=COLOURS["blue"])
success.set(xlabel="constant c", ylabel="images fooled (%)", ylim=(-4, 104))
for row in by_constant.T:
    distance.semilogx(constants, row, "o-", color=COLOURS["sky"], ms=3, linewidth=1)
distance.set(xlabel="constant c", ylabel="L2 distance of the best")
distance.set_xlim(success.get_xlim())
plt.show()

# %% [markdown]
# *Too small a c does not fool; too large a c overshoots.* Left, the images that are fooled. Right, one line an image,
# drawn where it was fooled. Each has its own smallest constant that still works, and near it the distance is least. So
# $c$ is searched for each image by itself: ten times larger until it works, then halfway between the largest that
# failed and the smallest that worked, and so on. Five such **binary search** steps with a hundred steps of Adam
# {cite}`kingma2015adam` each are 500 gradients an image: the price of the strongest L2 attack of this page.

# %%
carlini = attacks.carlini_wagner(model, x, y)
claim("Carlini and Wagner fool the network on every image", left(carlini) == 0)


def length(changed):
    """L2 norm of each change, (n,)."""
    return (changed - x).flatten(1).norm(dim=1)


shorter = 1 - (length(carlini).median() / length(near).median()).item()
claim("Their typical change is over 5 % shorter than DeepFool's", shorter > 0.05)
for_all = [c for c, n in zip(constants, found, strict=True) if n == 10]
by_one = min(by_constant[constants.index(c)].mean().item() for c in for_all)
claim(
    "A constant for each image beats the best constant that serves them all",
    length(carlini)[some].mean().item() < by_one,
)

# %% [markdown]
# The library's version writes Adam out, so that nothing is computed twice, and takes four liberties with the paper,
# which its docstring admits: each search step starts from the best image so far instead of from the clean one, and the
# first from DeepFool's; Adam's memory is a little shorter; its rate falls along the way; and an image whose loss has
# stopped falling leaves the batch. So the tests compare what it finds with what other libraries find.
#
# ### What $\kappa$ is for
#
# An image that barely crosses the boundary of *this* network may still lie on the right side for *another*. With
# $\kappa > 0$ it must go on until the wrong class leads by $\kappa$ logits. It costs distance and buys **transfer**.
# The other network here has one hidden layer and was never asked.

# %% tags=["nbval-ignore-output"]
generator = seed_everything(seed() + 1)
other = MLP(100)
fit(other, train, epochs=5, learning_rate=2e-3, batch_size=64, generator=generator)
agreed = (predict(other, x).argmax(dim=1) == y).nonzero().flatten()[:40]
price = {}
for kappa in (0, 12):
    moved = attacks.carlini_wagner(
        model, x[agreed], y[agreed], confidence=kappa, search_steps=3
    )
    misread = predict(other, moved).argmax(dim=1) != y[agreed]
    far = (moved - x[agreed]).flatten(1).norm(dim=1).mean().item()
    price[kappa] = far, 100 * misread.float().mean().item()
for kappa, (far, share) in price.items():
    print(f"κ = {kappa:>2}: mean distance {far:.2f}, the other misreads {share:.0f} %")

# %%
claim("Confidence costs distance: over 1.3 times", price[12][0] > 1.3 * price[0][0])
claim(
    "At κ = 12 the other network misreads at least 20 points more than at κ = 0",
    price[12][1] >= price[0][1] + 20,
)

# %% [markdown]
# ## The same images, four attacks
#
# How near is the nearest misread image? Each attack gives an upper bound; the smallest is the best guess. FGSM and PGD
# answer for a given $\varepsilon$, so we try many and keep the first that works. All in L2.

# %%
radii = [0.25 * step for step in range(1, 25)]


def smallest(attack, **settings):
    """The first radius at which the attack works on each image; infinite if none."""
    least = torch.full((len(x),), torch.inf)
    for radius in radii:
        todo = least.isinf().nonzero().flatten()
        if len(todo):
            how = {"epsilon": radius, "norm": "l2", **settings}
            fooled = read(attack(model, x[todo], y[todo], **how)) != y[todo]
            least[todo[fooled]] = radius
    return least


needed = {
    "FGSM": smallest(attacks.fgsm),
    "PGD": smallest(attacks.pgd, steps=20, tau=0, random_start=False),
    "DeepFool": length(near),
    "Carlini & Wagner": length(carlini),
}

# %%
median = {name: distances.median().item() for name, distances in needed.items()}
claim(
    "FGSM needs changes at least a quarter larger than the best attack",
    median["FGSM"] > 1.25 * min(median.values()),
)
*others, best = needed.values()
ahead = (best < torch.stack(others).amin(dim=0) + 0.05).float().mean().item()
claim(
    "Carlini & Wagner's is the smallest, or 0.05 from it, on 2 of 3 images",
    ahead > 0.66,
)
claim(
    "PGD, in steps of 0.25, comes within 0.4 of them",
    median["PGD"] - median["Carlini & Wagner"] < 0.4,
)
beaten = (length(near) < length(carlini) - 1e-3).float().mean().item()
claim("On some image DeepFool may win, but on less than 1 in 3", beaten < 0.33)

# %% tags=["hide-input", "fig-distances"] mystnb={"image": {"alt": "Top: four histograms of the smallest L2 change that fools the network, one above the other. That of the fast gradient sign method is the widest and lies farthest right; DeepFool's, PGD's and that of Carlini and Wagner lie close together, the last farthest left. Bottom: the share of digits that are still read correctly against the L2 radius, one falling curve for each attack in the same order."}}
figure, (histogram, curve) = plt.subplots(2, 1, figsize=(5.6, 6.2), sharex=True)
colours = [COLOURS[name] for name in ("amber", "green", "sky", "blue")]
edges = [0, *radii]
for row, ((name, far), colour) in enumerate(zip(needed.items(), colours, strict=True)):
    counts = torch.histogram(far, torch.tensor(edges) + 1e-4).hist
    heights = 0.9 * counts / counts.max()
    histogram.bar(edges[:-1], heights, 0.25, -row, color=colour, align="edge")
    histogram.plot(median[name], -row, "k|", ms=14, mew=2)
    still = [100 * (far > radius).float().mean().item() for radius in edges]
    curve.plot(edges, still, color=colour, label=name)
histogram.set_yticks([0.3 - row for row in range(4)], labels=list(needed))
histogram.set(title="smallest L2 change", xlim=(0, 6), ylim=(-3.3, 1))
histogram.grid(False)
curve.set(xlabel="ε (L2)", ylabel="still read correctly (%)", ylim=(0, 103))
curve.legend(fontsize=9)
plt.show()

# %% [markdown]
# *Four answers to one question; the truth lies at or to the left of the leftmost.* Top: how far each attack had to go;
# the black strokes are medians. Bottom: the same numbers as **robustness curves**: the share of images that need more
# than $\varepsilon$. A minimum-norm attack gives the whole curve at once, while FGSM and PGD are run again for each
# $\varepsilon$. FGSM needs far larger changes, and some images it never fools. With FGSM alone, one would have called
# this network much more robust than it is.
#
# One more thing: the penalty of equation {eq}`eq-carlini-wagner` attacks whichever wrong class leads *now*. Where
# several boundaries are near, it may walk to the second nearest, and DeepFool, which compares them all, can be closer.
# That is why no attack alone is the judge.
#
# ### What they cost
#
# Here are times beside those of four other libraries, from a script that anyone can run again
# (`benchmarks/attacks.py`), on the same network and images, with the same settings:

# %%
measured = result("attacks")
for name, row in measured["attacks"].items():
    print(f"{name}, {row['images']} images")
    for library, milliseconds in row["ms"].items():
        good = row["quality"][library]
        print(
            f"  {library:<14}{milliseconds:9,.0f} ms{good['success']:8.1%} fooled,"
            f" median L2 {good['median_l2']:.2f}"
        )

# %%
speed = {name: row["times_as_fast"] for name, row in measured["attacks"].items()}
peers = {"torchattacks", "foolbox", "ART", "adv_lib"}


def lead(attack, ours="ours"):
    """How many times as fast as the fastest of the other libraries."""
    return min(ratio for name, ratio in speed[attack][ours].items() if name in peers)


claim(
    "Where most images fall, letting them rest makes PGD twice as fast",
    lead("PGD, ε = 0.2", "ours, tau = 0") > 2,
)
claim(
    "A shrinking batch makes DeepFool twice as fast as Foolbox's",
    speed["DeepFool"]["ours"]["foolbox"] > 2,
)

# %% [markdown]
# Nearly all of the time goes into the network's forward and backward passes, so nobody can be much faster at the same
# number of them; FGSM and the full PGD are a draw, and so is DeepFool with the one library that also asks each gradient
# once. What can be saved is work on images that are done.
#
# ## What goes wrong
#
# **Steps that cannot reach the surface.** Forty steps of $\varepsilon / 100$ end less than halfway.

# %%
how = {"epsilon": 0.2, "random_start": False, "tau": 0}
timid = attacks.pgd(model, x, y, step_size=0.002, **how)
usual = attacks.pgd(model, x, y, **how)
claim(
    "With timid steps over 30 points more images seem safe",
    left(timid) > left(usual) + 30,
)

# %% [markdown]
# **No projection.** The steps add up, and the attack is one with a ball ten times as large.

# %%
strayed = x.clone()
for _ in range(20):
    leaf = strayed.clone().requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(model(leaf), y), leaf)
    strayed = (strayed + 0.05 * g.sign()).clamp(0, 1)
claim("Without projection it leaves the ball of 0.1", (strayed - x).abs().max() > 0.5)
claim("... and then every image falls", left(strayed) == 0)

# %% [markdown]
# **A loss that saturates.** Multiply all logits by 1,000. No answer changes, so the network is exactly as robust as
# before. But the cross-entropy is now 0 to the last digit on most images, and so is its gradient. The library says so
# in a warning. The margin's gradient does not saturate, and the sign does not care for its size.


# %% tags=["nbval-ignore-output"]
class Loud(nn.Module):
    """The same network, a thousand times as sure of itself."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return 1000 * self.model(images)


loud = Loud(model)
how = {"epsilon": 0.15, "steps": 20, "random_start": False}  # as for `flat`, above
with warnings.catch_warnings(record=True) as said:
    by_entropy = attacks.pgd(loud, x, y, **how)
print(*(warning.message for warning in said))
by_margin = attacks.pgd(loud, x, y, loss=attacks.margin, **how)

# %%
claim(
    "PGD on cross-entropy now spares 30 points more", left(by_entropy) > left(flat) + 30
)
claim("On the margin it is as strong, to 15 points", left(by_margin) < left(flat) + 15)

# %% [markdown]
# **Medians over successes alone.** An attack that fails on the difficult images has the smaller median. Never show a
# distance without the success rate beside it.

# %%
ball = {"epsilon": 0.8 * length(carlini).median().item(), "norm": "l2"}
hasty = attacks.pgd(model, x, y, **ball, steps=20, random_start=False)
fooled = read(hasty) != y
claim("In a short ball, fewer than 9 in 10 are fooled", fooled.float().mean() < 0.9)
claim(
    "... and the median of those looks smaller than that of all",
    length(hasty)[fooled].median() < length(carlini).median(),
)

# %% [markdown]
# ## How to evaluate honestly
#
# Before an attack may judge a defence, the attack itself is on trial. A strong attack obeys laws, and each is a line of
# code {cite}`carlini2019evaluating`. [Lecture 2.6](honest_evaluation.ipynb) makes them a habit.

# %%
draw = torch.Generator().manual_seed(seed())


def pgd(epsilon, steps):
    """Per cent still read correctly after PGD."""
    how = {"epsilon": epsilon, "steps": steps, "tau": 0, "generator": draw}
    return left(attacks.pgd(model, x, y, **how))


by_size = [pgd(epsilon, 20) for epsilon in (0.05, 0.1, 0.15, 0.2)]
by_steps = [pgd(0.1, steps) for steps in (2, 5, 20)]
once = left(attacks.fgsm(model, x, y, epsilon=0.1))
claim("A larger ball is never safer", by_size == sorted(by_size, reverse=True))
claim(
    "More steps are at least as strong",
    by_steps[0] >= by_steps[1] - 1 >= by_steps[2] - 2,
)
claim("Many steps are at least as strong as one", by_steps[-1] <= once)
claim("Without a bound, no image is left", pgd(1.0, 40) == 0)

# %% [markdown]
# ## Practice
#
# **Exercise 1** (10 minutes). *The nearest in another norm.* For a linear score, which step onto the plane $z_k = z_y$
# is the shortest in L∞, and how long is it? Use Hölder's inequality, then check your formula against `norm="linf"` on
# the toy.
#
# <details><summary>Hint 1: where to look</summary>
#
# The step $r$ must close the gap: $|w_k^\top r| = |z_k - z_y|$. Bound the left side by a product of two norms, one of
# which is $\|r\|_\infty$. Which norm of $w_k$ is the other?
#
# </details>
#
# <details><summary>Hint 2: the key idea</summary>
#
# The bound is reached by the change of equation {eq}`eq-l1-norm`. In equation {eq}`eq-deepfool`, see which norm has to
# be exchanged.
#
# </details>

# %% tags=["hide-cell"]
# Solution: gap = |wᵀr| ≤ ‖w‖₁ ‖r‖∞, with equality for r = ± sign(w): the length is
# gap / ‖w‖₁. The gradient is measured by the dual norm, as in the linear explanation.
flat_landed = attacks.deepfool(toy, place, label[None], norm="linf")
formula = (gaps / w.abs().sum(dim=1)).min()
claim(
    "The L∞ distance is gap / ‖w‖₁, plus 2 %",
    abs((flat_landed - place).abs().max() / formula - 1.02) < 2e-3,
)

# %% [markdown]
# **Exercise 2** (15 minutes). *A target is farther.* Give Carlini and Wagner a target: once, for each image, the class
# with the second largest logit, and once the one with the smallest. Predict the order of the three median distances,
# untargeted included, then measure.
#
# <details><summary>Hint 1: where to look</summary>
#
# An attack without a target may pick the class. So one of the three medians can hardly be the largest. Which one?
#
# </details>
#
# <details><summary>Hint 2: the key idea</summary>
#
# `predict(model, images).argsort(dim=1, descending=True)` ranks the classes of each image. The label comes first on these
# images; two of the other columns are your `targets`.
#
# </details>

# %% tags=["hide-cell"]
# Solution: untargeted ≤ second ≤ last. Untargeted may choose, so it is never farther
# than a fixed target (up to what the search misses). The last class is far off.
ranks = predict(model, x[some]).argsort(dim=1, descending=True)
far = {"any": length(carlini)[some].median().item()}
for name, rank in (("second", 1), ("last", 9)):
    target = ranks[:, rank]
    aimed = attacks.carlini_wagner(model, x[some], y[some], targets=target)
    claim(f"Every image becomes its {name} class", torch.equal(read(aimed), target))
    far[name] = (aimed - x[some]).flatten(1).norm(dim=1).median().item()
claim("The second is about as near as any", far["second"] < 1.3 * far["any"])
claim(
    "The last is over 1.3 times as far as the second", far["last"] > 1.3 * far["second"]
)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? What does the projection in PGD do in the L∞ ball?
# - It shortens the whole change to length ε :: That is the L2 ball. In L∞ each entry has its own bound.
# + It cuts each entry of the change to between −ε and ε :: The nearest point of a cube is found entry by entry.
# - It cuts the image to [0, 1] :: That is done as well, but it is another constraint.
# ? DeepFool steps onto the boundary with the class …
# - that has the second largest logit :: A large logit is near only if the gap also closes fast.
# + with the least ratio of gap to slope :: That ratio is the distance to the linearised boundary.
# - with the largest gradient :: A steep way is short only if the gap is not large.
# ? Why do Carlini and Wagner search for c?
# - A larger c makes the optimiser faster :: It makes the penalty louder, and the image ends farther away.
# + Too small a c does not fool, too large a c goes too far, and each image has its own :: So the smallest c that works is found for each image.
# - To stay in [0, 1] :: The change of variable sees to that.
# ? PGD with cross-entropy leaves 60 % right; with the margin, 20 %. What is the network's accuracy under attack?
# - 40 %, the mean :: Attacks do not vote. One image that falls is a fact.
# - 60 %, since cross-entropy is what it was trained with :: The attacker may use any loss.
# + At most 20 % :: Each attack gives an upper bound, and the smallest is the best known. Lower ones may follow.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** PGD is simple, has one loss and two numbers, and is hard to beat in a given ball: the first attack to
# run against any defence. DeepFool needs no $\varepsilon$ and few steps. Carlini and Wagner find the smallest L2
# changes here, with or without a target, also where the probabilities are saturated.
#
# **Limitations.** All need gradients that mean something. All give upper bounds on robustness, never a proof. PGD wants
# its step size and its loss chosen with care. DeepFool can stop far from the nearest boundary. Carlini and Wagner cost
# hundreds of gradients, and their result depends on how long one searches.
#
# **Software.** In this library: `tml_helpers.attacks.pgd`, `deepfool` and `carlini_wagner`. In earnest:
# [Foolbox](https://github.com/bethgelab/foolbox) {cite}`rauber2017foolbox`, the
# [Adversarial Robustness Toolbox](https://github.com/Trusted-AI/adversarial-robustness-toolbox) {cite}`nicolae2018art`,
# and for defences [AutoAttack](https://github.com/fra31/auto-attack) {cite}`croce2020reliable`, which needs no
# settings.
#
# ## What to take away
#
# Small steps, each followed by the way back: PGD is the yardstick for a given ball. DeepFool and Carlini and Wagner
# turn the question round and ask how little suffices. All of them are searches, so what they fail to find may still be
# there. Test the attack first. Next: changes that are [no ball at all](other_threat_models.ipynb).
