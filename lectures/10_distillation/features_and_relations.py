# %% [markdown]
# # 1.2 Hints, factors and relations
#
# A teacher's answer is ten numbers. Before it answers, the teacher makes ten thousand others, layer after layer, and
# lecture 1.1 threw them all away. This lecture listens inside. A student can learn *what a hidden layer says*, or only
# *how the images lie to each other* in that layer: which are near, and at what angle one sees two others. We ask which
# of these is worth anything, and the answer is not the one that the names of the methods suggest.
#
# **What you will learn**
#
# - to cut a network open at a layer, and to make a student's layer learn from a teacher's: hints and factors;
# - to write the losses of relations by distances and by angles, and to say what they cannot see;
# - to compare kinds of knowledge fairly: same start, same images, same looks, and an interval for each gain;
# - where each of them gains much, and where it gains nothing.
#
# **Before you start**: [lecture 1.1](response_based.ipynb), the distillation loss and the honest comparison. You should
# know what a convolution and a mean of squares are. The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 35 minutes to read; {{ cpu_seconds }} to run.

# %%
from functools import cache
from math import sqrt
from statistics import mean, stdev

import matplotlib.pyplot as plt
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.distillation import (
    FactorTransfer,
    distillation_loss,
    hint_loss,
    rkd_angle_loss,
    rkd_distance_loss,
)
from tml_helpers.measured import result
from tml_helpers.models import SmallCNN, parameter_count
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.training import accuracy, fit, predict, seed_everything

torch.set_num_threads(1)  # networks as small as these run fastest on one core
use_style()

# %% [markdown]
# ## The question
#
# The data are the handwritten digits of lecture 1.1; their [data card](../../book/data_cards/mnist.md) says where they
# come from. The teacher is the same small convolutional network. The student now has the teacher's build and a quarter
# of its channels, so that each of its layers has a counterpart in the teacher.

# %%
train, test = mnist("train"), mnist("test")
train = train.select(slice(4000))  # the full MNIST gives as many images: same budget
few = train.select(slice(300))  # the images, and labels, that the student has

# %% tags=["nbval-ignore-output"]
generator = seed_everything(seed())
teacher = SmallCNN()
fit(teacher, train, epochs=5, learning_rate=2e-3, batch_size=64, generator=generator)
print(f"teacher: {accuracy(teacher, test):.1%} of the test images right")

# %%
ratio = parameter_count(teacher) / parameter_count(SmallCNN(width=4))
claim("The student has 16 times fewer parameters", round(ratio) == 16)


# %% [markdown]
# PyTorch lets us listen: a *hook* on a layer is called with what the layer returns while the network answers. This works
# for any network, also for one that somebody else wrote.


# %%
def listened(model, images, layer):
    """The logits, and what a layer said on the way."""
    said = []
    listening = model.get_submodule(layer).register_forward_hook(
        lambda layer, given, returned: said.append(returned)
    )
    logits = model(images)
    listening.remove()
    return logits, said[0]


@torch.no_grad()
def hints_of(model, images, layer):
    """What a layer says when the network answers: in evaluation mode, no gradient."""
    mode = model.training
    said = listened(model.eval(), images, layer)[1]
    model.train(mode)
    return said


# %%
CONVOLUTION = "layers.6"  # after the second convolution, ReLU and pooling
HIDDEN = "layers.9"  # the hidden units, from which the last layer makes the logits
digit = test.images[:1]
inside = {
    layer: hints_of(teacher, digit, layer)[0] for layer in ("layers.2", CONVOLUTION)
}
units, answer = hints_of(teacher, digit, HIDDEN)[0], predict(teacher, digit)[0]
shapes = [list(part.shape) for part in (*inside.values(), units, answer)]
claim(
    "One image becomes 12,544 numbers, 1,568, 128, and ten",
    shapes == [[16, 28, 28], [32, 7, 7], [128], [10]],
)

# %% tags=["hide-input", "fig-feat-inside"] mystnb={"image": {"alt": "Eight panels in two rows. Top: a handwritten digit, and three maps of 28 by 28 in which its strokes and edges can still be seen. Bottom: two coarse maps of 7 by 7 in which the digit is hardly recognisable, the 128 hidden units as a grid of which most squares are dark, and the ten logits as bars to the left and right of zero."}}
figure, axes = plt.subplots(2, 4, figsize=(7, 3.8), layout="constrained")
show_image(axes[0, 0], digit[0], "the image")
panels = [*axes[0, 1:], *axes[1, :2]]
places = [("layers.2", n) for n in range(3)] + [(CONVOLUTION, n) for n in range(2)]
for axis, (layer, place) in zip(panels, places, strict=True):
    maps = inside[layer]
    strongest = maps.flatten(1).norm(dim=1).argsort(descending=True)
    axis.imshow(maps[strongest[place]], cmap="gray")
    axis.set_title("first convolution" if layer == "layers.2" else "second convolution")
axes[1, 2].imshow(units.view(8, 16), cmap="gray")
axes[1, 2].set_title("128 hidden units")
axes[1, 3].barh(range(10), answer, color=COLOURS["blue"])
axes[1, 3].set(title="10 logits")
axes[1, 3].invert_yaxis()
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
axes[1, 3].set_yticks(range(0, 10, 3))
plt.show()

# %% [markdown]
# *The teacher, cut open at three layers, while it reads one digit.* Top: the strongest three of the first convolution's
# 16 maps still show the image, its strokes and its edges. Bottom: two of the second convolution's 32 maps are coarse, and
# harder to read. Then come 128 hidden units, many of them 0 (black), and the ten logits, which were all that lecture 1.1
# used. What a layer says about an image is called its **features** {cite}`gou2021distillation`.
#
# Two ways lead from the teacher's features to the student. The student can be told to *say the same*. Or it can be told
# to *keep the same company*: to put near each other the images that the teacher puts near each other.
#
# ## Say the same: hints
#
# Romero and others called a teacher's hidden layer that teaches a **hint**, and the student's layer that listens the
# **guided layer** {cite}`romero2015fitnets`. Write $h^t$ for the teacher's features and $h^s$ for the student's. They
# cannot be compared at once, because the teacher's layer is wider. So a small layer of its own, the **regressor** $r$,
# translates the student's features into the teacher's shape, and the loss is a mean of squares:
#
# $$L_{\text{hint}} = \frac1D \big\lVert r(h^s) - h^t \big\rVert_2^2,$$ (eq-feat-hint)
#
# averaged over the images, where $D$ is how many numbers the teacher's layer has. In words: from what you say, one must
# be able to compute what the teacher says. The regressor is trained with the student and thrown away at the end. The
# paper takes half of the sum instead of the mean; that changes only the weight that the term needs. It also trains the
# hint first and the labels afterwards. Below, as in most later work, both are trained together.

# %%
seed_everything(seed())
novice = SmallCNN(width=4)
h_t = hints_of(teacher, few.images, CONVOLUTION)  # (n, 32, 7, 7)
h_s = hints_of(novice, few.images, CONVOLUTION)  # (n, 8, 7, 7)
regressor = nn.Conv2d(8, 32, 1)  # from the student's channels to the teacher's

by_hand = ((regressor(h_s) - h_t) ** 2).mean()
by_library = hint_loss(h_s, h_t, regressor=regressor)
claim(
    "One line and the library agree to one part in 100,000",
    abs(by_library.item() / by_hand.item() - 1) < 1e-5,
)

# %% [markdown]
# The regressor stands on the student's side for a reason. On the teacher's side it would be easy to please: student and
# regressor could agree to say 0 about everything. We try both, with nothing but the hint, for 150 steps.


# %%
def loss_left(on_teacher, steps=150):
    """The loss at the end, and how much the student's features still vary."""
    seed_everything(seed())
    student = SmallCNN(width=4).layers[:7]  # up to the guided layer
    regressor = nn.Conv2d(32, 8, 1) if on_teacher else nn.Conv2d(8, 32, 1)
    both = [*student.parameters(), *regressor.parameters()]
    optimizer = torch.optim.Adam(both, lr=1e-2)
    for step in range(steps):
        batch = torch.arange(64 * step, 64 * (step + 1)) % len(few)
        said, to_say = student(few.images[batch]), h_t[batch]
        if on_teacher:
            loss = F.mse_loss(said, regressor(to_say))
        else:
            loss = hint_loss(said, to_say, regressor=regressor)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item(), said.std(dim=0).mean().item()


# %% tags=["nbval-ignore-output"]
wrong_side, right_side = loss_left(on_teacher=True), loss_left(on_teacher=False)
for name, (left, varies) in {"teacher": wrong_side, "student": right_side}.items():
    print(
        f"regressor on the {name}: loss {left:.4f}, the features vary by {varies:.3f}"
    )

# %%
claim(
    "On the teacher's side, the loss falls over 20 times lower",
    wrong_side[0] < right_side[0] / 20,
)
claim(
    "and the student's features vary less than half as much",
    wrong_side[1] < right_side[1] / 2,
)

# %% [markdown]
# A loss near 0 and a student that has learned next to nothing: a small loss is no proof of learning when the loss may
# choose its own target.
#
# ## Say it in fewer words: factors
#
# Teacher and student have different channels, and a hint asks the student to say all of the teacher's, noise included.
# Kim, Park and Kwak first let the teacher summarise itself {cite}`kim2018paraphrasing`. A **paraphraser** $P$ is the
# first half of an autoencoder: three convolutions squeeze the teacher's features into fewer channels, the *factor*, and
# three more must rebuild the features from it. It is trained on the teacher's features alone, without a label. Then a
# **translator** $R$, three convolutions as well, learns with the student to say the same factor. Only its direction
# counts:
#
# $$L_{\text{factor}} = \bigg\lVert \frac{R(h^s)}{\lVert R(h^s) \rVert_2} - \frac{P(h^t)}{\lVert P(h^t) \rVert_2}
# \bigg\rVert_1,$$ (eq-feat-factor)
#
# averaged over the images. In words: make your factor point where the teacher's points; how long it is does not matter.

# %% tags=["nbval-ignore-output"]
all_hints = hints_of(teacher, train.images, CONVOLUTION)  # of images, without a label
generator = seed_everything(seed())
transfer = FactorTransfer(32, 8, rate=0.5)  # the teacher's channels, the student's
rebuilding = fit(
    transfer,
    TensorDataset(all_hints),
    epochs=2,
    loss=FactorTransfer.reconstruction_loss,
    learning_rate=2e-3,
    batch_size=64,
    generator=generator,
)
variance = all_hints.var(dim=0).mean().item()
kept = 1 - rebuilding[-1] / variance
print(f"half of the channels keep {kept:.0%} of what varies in the features")

# %%
claim("Half of the channels keep over half of what varies", kept > 0.5)
with torch.no_grad():
    said = transfer.translator(h_s).flatten(1)  # (n, 16·7·7)
    to_say = transfer.paraphraser(h_t).flatten(1)
    directions = F.normalize(said), F.normalize(to_say)  # rows of length 1
    by_hand = (directions[0] - directions[1]).abs().sum(dim=1).mean()
    by_library = transfer(h_s, h_t)
claim(
    "Three lines and the library agree to one part in 10,000",
    abs(by_library.item() / by_hand.item() - 1) < 1e-4,
)

# %% [markdown]
# ## Keep the same company: distances
#
# Hints and factors fix *where* an image lies in the space of features. But that is the teacher's private matter: turn
# the whole space, and the teacher is as good as before. What matters is how the images lie to each other. Here are fifty
# digits, five of each class, and the distance between each two in the teacher's hidden units.


# %%
def distances(points):
    """All pairs' distances, over their mean: one is an average pair."""
    apart = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    return apart / apart[apart > 0].mean()


fifty = torch.cat([torch.where(test.labels == k)[0][:5] for k in range(10)])
matrices = {
    "pixels": distances(test.images[fifty].flatten(1)),
    "untaught student": distances(hints_of(novice, test.images[fifty], HIDDEN)),
    "teacher": distances(hints_of(teacher, test.images[fifty], HIDDEN)),
}

# %%
alike = torch.block_diag(*[torch.ones(5, 5)] * 10).bool()  # pairs of one class
nearness = {
    name: (matrix[alike].sum() / 200 / matrix[~alike].mean()).item()
    for name, matrix in matrices.items()  # 200: an image and itself are no pair
}
claim(
    "To the teacher, digits of one class are less than 0.65 as far apart as others",
    nearness["teacher"] < 0.65,
)
claim(
    "To pixels and to an untaught student, more than 0.7",
    min(nearness["pixels"], nearness["untaught student"]) > 0.7,
)

# %% tags=["hide-input", "fig-feat-distances"] mystnb={"image": {"alt": "Three square tables of distances between fifty digits, sorted by class and shaded from dark for near to bright for far. Among pixels and in an untaught student the tables are nearly even, with faint dark squares. In the teacher, ten dark squares along the diagonal stand out, one for each class, and outside of them some pairs of classes are clearly farther apart than others."}}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.8), layout="constrained")
for axis, (name, matrix) in zip(axes, matrices.items(), strict=True):
    shown = axis.imshow(matrix, vmin=0.3, vmax=1.6, cmap="cividis")
    axis.set(title=name, xticks=range(2, 50, 15), yticks=range(2, 50, 5))
    axis.set(xticklabels=range(0, 10, 3), yticklabels=range(10))
    axis.grid(visible=False)
figure.colorbar(shown, ax=axes, shrink=0.75, label="distance / mean")
plt.show()

# %% [markdown]
# *Distances between fifty digits, sorted by class, in units of their mean.* Dark is near. To pixels, and to a student with
# its first random weights, two digits of one class are hardly nearer than any other two. The teacher has opinions: ten
# dark squares, and outside of them classes that are near to each other and classes that are not. It is the dark
# knowledge of lecture 1.1 again, told without naming a class.
#
# Park and others let the student learn just this table {cite}`park2019relational`. Let $h_a$ be the features of image
# $a$ in a batch of $N$, and $\mu$ the mean of the positive distances in the batch, for each network its own. The
# *potential* of two images is their relative distance, and the loss compares the student's $\psi^s$ with the teacher's
# $\psi^t$:
#
# $$\psi_D(a, b) = \frac{\lVert h_a - h_b \rVert_2}{\mu},
# \qquad
# L_D = \frac{1}{N^2} \sum_{a, b} \ell_\delta\big(\psi^s_D(a, b) - \psi^t_D(a, b)\big).$$ (eq-feat-distance)
#
# Huber's loss $\ell_\delta$ with $\delta = 1$ is $\tfrac12 u^2$ for a small difference $u$ and $|u| - \tfrac12$ beyond
# 1, so that one odd image cannot dominate. In words: put far apart what the teacher puts far apart, in proportion. There
# is no regressor, because a distance has no channels.


# %%
def distances_in_four_lines(student_embeddings, teacher_embeddings):
    psi_s = distances(student_embeddings)
    psi_t = distances(teacher_embeddings)
    huber = F.huber_loss(psi_s, psi_t, delta=1.0, reduction="sum")
    return huber / len(psi_s) ** 2


x_s = hints_of(novice, few.images[:64], HIDDEN)  # (n, 32)
x_t = hints_of(teacher, few.images[:64], HIDDEN)  # (n, 128)
by_hand, by_library = distances_in_four_lines(x_s, x_t), rkd_distance_loss(x_s, x_t)
claim(
    "Four lines and the library agree to one part in 10,000",
    abs(by_library.item() / by_hand.item() - 1) < 1e-4,
)

# %% [markdown]
# ## Keep the same company: angles
#
# Three images make a triangle. Its angle at one of them says in which direction the other two lie, as seen from there.
# With $e_{ab}$ for the unit vector from $h_a$ to $h_b$, the potential of three images is the cosine at the middle one:
#
# $$\psi_A(b, a, c) = \langle e_{ab}, e_{ac} \rangle,
# \qquad
# L_A = \frac{1}{N^3} \sum_{a, b, c} \ell_\delta\big(\psi^s_A(b, a, c) - \psi^t_A(b, a, c)\big).$$ (eq-feat-angle)
#
# In words: seen from every image, the others lie in the directions in which the teacher sees them. An angle needs no
# $\mu$, since scaling changes no angle. But there are $N^3$ of them: for 1,024 images over a thousand million. The few
# lines below hold them all at once. The library's function goes through them a few middle points at a time and makes the
# gradient in the same pass, so its memory grows like $N^2$.


# %%
def cosines(points):
    """The cosine of every triple's angle at its middle point, (n, n, n)."""
    to = points[None, :] - points[:, None]  # (n, n, d): from a to b
    e = F.normalize(to, dim=2)
    return e @ e.mT


def angles_in_a_line(student_embeddings, teacher_embeddings):
    psi_s, psi_t = cosines(student_embeddings), cosines(teacher_embeddings)
    return F.huber_loss(psi_s, psi_t, delta=1.0)


by_hand, by_library = angles_in_a_line(x_s, x_t), rkd_angle_loss(x_s, x_t)
claim(
    "A few lines and the library agree to one part in 10,000",
    abs(by_library.item() / by_hand.item() - 1) < 1e-4,
)
claim("1,024 images have over a thousand million angles", 1024**3 > 1e9)

# %% [markdown]
# ### What relations cannot see
#
# Move all of the teacher's points, turn them, make the whole cloud 30 times smaller. No relation changes: both losses
# are 0 up to rounding. To a hint without a regressor the two clouds have nothing in common.

# %%
generator = seed_everything(seed())
turn = torch.linalg.qr(torch.randn(128, 128, generator=generator)).Q  # a rotation
moved = x_t @ turn / 30 + torch.randn(128, generator=generator)
claim(
    "Distances and angles don't notice: below one in a million",
    max(rkd_distance_loss(moved, x_t), rkd_angle_loss(moved, x_t)) < 1e-6,
)
claim("A hint does: over one, in squares", hint_loss(moved, x_t) > 1)

# %% [markdown]
# This is a freedom and a danger. The student may arrange its space as suits it. But nothing tells it where a class lies,
# so a relation alone trains no classifier: the labels, or the teacher's answers, must do that.
#
# ## An honest experiment
#
# Now the comparison for which this chapter was written. The student has 300 labelled images. It learns their labels,
# and beside them one kind of knowledge about the same 300 images, with weight $\beta$:
#
# $$L = \mathrm{CE}\big(y, p(1)\big) + \beta\, L_{\text{kind}}.$$ (eq-feat-total)
#
# Every kind starts from the same weights as the student alone of the same seed, sees the same batches, and looks as
# often: 25 times at each image. The weights $\beta$ are the best of three each, judged on 1,000 other training images and
# with other seeds; which three, earlier trials had suggested. Hints are tried at two depths, since the layer must be chosen as well. Factors have an advantage that
# the others have not: their paraphraser has seen 4,000 images.


# %%
class Hint(nn.Module):
    """A hint with a regressor of its own."""

    def __init__(self, regressor):
        super().__init__()
        self.regressor = regressor

    def forward(self, h_s, h_t):
        return hint_loss(h_s, h_t, regressor=self.regressor)


def factors():
    """A new translator, and the paraphraser that was trained above."""
    new = FactorTransfer(32, 8, rate=0.5)
    new.paraphraser = transfer.paraphraser
    return new


# %%
KINDS = {  # what is compared, at which layer, with which weight
    "hint, convolution": (lambda: Hint(nn.Conv2d(8, 32, 1)), CONVOLUTION, 10.0),
    "factors, convolution": (factors, CONVOLUTION, 0.1),
    "hint, hidden units": (lambda: Hint(nn.Linear(32, 128)), HIDDEN, 1.0),
    "distances, hidden units": (lambda: rkd_distance_loss, HIDDEN, 300.0),
    "angles, hidden units": (lambda: rkd_angle_loss, HIDDEN, 100.0),
}


@cache
def lesson(by, layer):
    """What a teacher's layer says about the 300 images, and its answers: asked once."""
    return hints_of(by, few.images, layer), predict(by, few.images)


# %%
def student_of(kind, k, by=teacher):
    """A student that learns from 300 labels, and from `by` what the kind says."""
    generator = seed_everything(k)
    student = SmallCNN(width=4)  # the same seed, the same start
    make, layer, beta = KINDS.get(kind, (None, HIDDEN, 0.0))
    term = make() if make else None
    tools = list(term.parameters()) if isinstance(term, nn.Module) else []
    optimizer = torch.optim.Adam([*student.parameters(), *tools], lr=5e-3)

    def loss(model, images, labels, hints, answers):
        logits, own = listened(model, images, layer)
        if kind == "answers":
            how = {"temperature": 4.0, "alpha": 0.9}
            return distillation_loss(logits, answers, labels, **how)
        hard = F.cross_entropy(logits, labels)
        return hard + beta * term(own, hints) if term else hard

    data = TensorDataset(few.images, few.labels, *lesson(by, layer))
    how = {"loss": loss, "optimizer": optimizer, "generator": generator}
    fit(student, data, epochs=25, batch_size=64, **how)
    return student


# %% tags=["nbval-ignore-output"]
seeds = [100 * seed() + k for k in range(4)]
students, results = {}, {}
for kind in ("alone", "answers", *KINDS):
    students[kind] = [student_of(kind, k) for k in seeds]
    results[kind] = [100 * accuracy(student, test) for student in students[kind]]
    print(f"{kind:<24} {mean(results[kind]):5.1f} ± {stdev(results[kind]):.1f} %")

# %% [markdown]
# A difference between two means hides that the runs are pairs. We subtract seed by seed, so that what a lucky start
# gives to both goes out, and put a 95 % interval around the mean of the differences: the mean plus or minus
# $t \cdot s / \sqrt{n}$, with the standard deviation $s$ of the $n$ differences and $t$ from Student's distribution with
# $n - 1$ degrees of freedom.


# %%
def paired_gain(taught, alone, level=0.95):
    """The mean gain in points, and how far its interval reaches on either side."""
    gains = [one - other for one, other in zip(taught, alone, strict=True)]
    t = stats.t.ppf((1 + level) / 2, len(gains) - 1)
    return mean(gains), float(t) * stdev(gains) / sqrt(len(gains))


gains = {
    kind: paired_gain(values, results["alone"])
    for kind, values in results.items()
    if kind != "alone"
}

# %% tags=["nbval-ignore-output"]
for kind, (gain, reach) in gains.items():
    print(f"{kind:<24} {gain:+5.1f} ± {reach:.1f} points")

# %%
for kind in ("hint, convolution", "factors, convolution"):
    claim(f"{kind}: less than 3.5 points either way", abs(gains[kind][0]) < 3.5)
claim("hint, hidden units: a gain", gains["hint, hidden units"][0] > 0)
at_convolution = max(gains[f"{name}, convolution"][0] for name in ("hint", "factors"))
for kind in ("distances, hidden units", "angles, hidden units"):
    claim(f"{kind}: more than 2.5 points gained", gains[kind][0] > 2.5)
    claim("and more than each kind at the convolution", gains[kind][0] > at_convolution)


# %% tags=["hide-input", "fig-feat-gains"] mystnb={"image": {"alt": "Gain over the student alone in points for six kinds of knowledge, four dots and a 95 percent interval each. Hint and factors at the convolution lie around zero, with intervals across it. Answers, hint at the hidden units, distances and angles lie to the right of zero, the two relations clearly."}}
def show_gains(axis, gains, values=None):
    """One row per kind: the interval of its gain, and a dot for each seed."""
    for row, (kind, (gain, reach)) in enumerate(gains.items()):
        colour = COLOURS["orange" if "convolution" in kind else "blue"]
        axis.errorbar(gain, row, xerr=reach, fmt="|", color=colour, capsize=4)
        if values:
            dots = [a - b for a, b in zip(values[kind], values["alone"], strict=True)]
            axis.plot(dots, [row] * len(dots), "o", color=colour, alpha=0.5)
    axis.axvline(0, color=COLOURS["black"], linewidth=1)
    axis.set(yticks=range(len(gains)), yticklabels=list(gains))
    axis.invert_yaxis()


figure, axis = plt.subplots(figsize=(6.5, 3))
show_gains(axis, gains, results)
axis.set(xlabel="gain over the same student alone (points)")
plt.show()

# %% [markdown]
# *What each kind adds to 300 labels; dots are pairs of students with one start, bars are 95 % intervals of the mean.*
# Where one listens counts for more than what one compares. The same loss, the hint, is worth little at the second
# convolution (orange), and more at the hidden units (blue). Factors, with all their machinery, move the result
# no further than the plain hint at the same place. And the two relations, which have no regressor and never name a
# class, stand beside the answers.
#
# Why should depth decide? The convolution's features are still mostly about the image: strokes, edges, places. The
# student can find those by itself, from 300 images. What it cannot find from 300 labels is *which differences matter*,
# and that is what the last hidden layer has learned from 4,000. We can see it: the taught students copy the teacher's
# table of distances, on digits that neither was trained on.

# %%
names = ("alone", "hint, convolution", "distances, hidden units")
sample = test.images[:200]
table = distances(hints_of(teacher, sample, HIDDEN))
upper = torch.triu(torch.ones_like(table), diagonal=1).bool()


def agreement(student):
    """The correlation of all pairs' distances with the teacher's."""
    own = distances(hints_of(student, sample, HIDDEN))
    return torch.corrcoef(torch.stack([own[upper], table[upper]]))[0, 1].item()


alike = {name: [agreement(student) for student in students[name]] for name in names}
claim(
    "Taught by distances, every student agrees with the teacher more than any alone",
    min(alike["distances, hidden units"]) > max(alike["alone"]),
)

# %% tags=["nbval-ignore-output"]
for name, values in alike.items():
    print(f"{name:<24} correlation with the teacher's distances {mean(values):.2f}")

# %% [markdown]
# ### Is it the teacher?
#
# A further term in a loss may help for a dull reason: it keeps a small network busy, and so from memorising its 300
# labels. The control is a teacher that knows nothing, the same network with its first random weights.

# %% tags=["nbval-ignore-output"]
seed_everything(seed() + 1)
untrained = SmallCNN()
control = {}
for kind in ("hint, hidden units", "angles, hidden units"):
    values = [100 * accuracy(student_of(kind, k, untrained), test) for k in seeds[:3]]
    control[kind] = paired_gain(values, results["alone"][:3])
    print(f"{kind:<24} {control[kind][0]:+5.1f} ± {control[kind][1]:.1f} points")

# %%
lost = gains["angles, hidden units"][0] - control["angles, hidden units"][0]
claim("Angles of an untrained teacher gain over 2 points less", lost > 2)

# %% [markdown]
# The angles of a teacher that knows nothing are worth nothing, so what angles gave above is knowledge, and not mere
# company. For the hint the answer is less clean: a part of its gain can be had from any random target. Few papers print
# these two lines, and each costs one more run.
#
# ### With more labels, and more seeds
#
# Four seeds and one budget show a mechanism. `benchmarks/distillation_knowledge.py` repeats the comparison with more
# seeds, with weights and a learning rate that were chosen for each method with the same effort, and with 4,000 labels,
# which is as many images as the teacher had.

# %%
TABLE = result("distillation_knowledge")["default"]["labels"]
NAMES = {
    "response": "answers",
    "hint": "hint, convolution",
    "factor transfer": "factors, convolution",
    "hint, hidden units": "hint, hidden units",
    "distances": "distances, hidden units",
    "angles": "angles, hidden units",
    "response and relations": "answers and relations",
}
measured = {}
for labels, methods in TABLE.items():
    intervals = {name: methods[method]["interval"] for method, name in NAMES.items()}
    measured[labels] = {
        name: ((low + high) / 2, (high - low) / 2)
        for name, (low, high) in intervals.items()
    }

# %%
scarce, plenty = measured["300"], measured["4000"]
at_convolution = [scarce[f"{kind}, convolution"] for kind in ("hint", "factors")]
at_hidden = [
    scarce[f"{kind}, hidden units"] for kind in ("hint", "distances", "angles")
]
claim(
    "300 labels: each interval at the hidden units lies above each at the convolution",
    min(gain - reach for gain, reach in at_hidden)
    > max(gain + reach for gain, reach in at_convolution),
)
late = [gain for gain, _ in (*at_hidden, scarce["answers"])]
claim(
    "At the hidden units or after, the mean gains differ by less than 1 point",
    max(late) - min(late) < 1,
)
claim(
    "4,000 labels: no kind moves the mean by 2 points",
    all(abs(gain) < 2 for gain, _ in plenty.values()),
)

# %% tags=["hide-input", "fig-feat-budgets"] mystnb={"image": {"alt": "Two panels of 95 percent intervals of the gain over the student alone, for seven kinds of knowledge. Left, 300 labels: answers, hint at the hidden units, distances, angles, and answers with relations lie side by side several points to the right of zero, hint and factors at the convolution near it. Right, 4,000 labels, on the same axis: all seven lie close to zero."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), sharex=True, layout="constrained")
for axis, labels in zip(axes, ("300", "4000"), strict=True):
    show_gains(axis, measured[labels])
    axis.set(title=f"{int(labels):,} labels", xlabel="gain (points)")
axes[1].set_yticklabels([])
plt.show()

# %% [markdown]
# *The same comparison from the committed file: 95 % intervals, paired over seeds, on one axis for both budgets.* With 300
# labels it sharpens this page's: at the convolution little, and from the hidden units on the same gain for everybody. Hint,
# distances, angles and plain answers, which look so different as formulas, can hardly be told apart. What they carry is
# the same knowledge. With 4,000 labels there is little left to gain, whatever the kind: most of what the teacher would
# tell, the student has found by itself. A kind of knowledge has no value of its own. It is worth what the labels do not
# say already.

# %% [markdown]
# ## A map that nobody labelled
#
# Relations ask for no classes and for no width. So the student may be *any* network with any number of outputs. Take the
# same student with two outputs instead of ten, show it 4,000 images **without a label**, and let it learn nothing but
# the teacher's distances between 128 hidden units. Its two outputs are then places on a map.

# %%
generator = seed_everything(seed())
mapper = SmallCNN(width=4, classes=2)
hidden = hints_of(teacher, train.images, HIDDEN)
fit(
    mapper,
    TensorDataset(train.images, hidden),
    epochs=4,
    loss=lambda model, images, h_t: rkd_distance_loss(model(images), h_t),
    learning_rate=5e-3,
    batch_size=64,
    generator=generator,
)
places, known = predict(mapper, test.images), predict(mapper, train.images)
nearest = torch.cdist(places, known).topk(5, largest=False).indices
votes = train.labels[nearest].mode(dim=1).values
right = (votes == test.labels).float().mean().item()
claim("Asking five neighbours on the map finds over 45 % of the classes", right > 0.45)
middles = torch.stack(
    [places[test.labels == k].median(dim=0).values for k in range(10)]
)
between = distances(middles)
claim(
    "4 and 9, and 3 and 5, lie nearer to each other than two classes on average",
    max(between[4, 9], between[3, 5]) < 1,
)

# %% tags=["hide-input", "fig-feat-map"] mystnb={"image": {"alt": "A thousand test digits as coloured dots at the places that the student gave them in the plane, with a numeral at the middle of each class. Digits of one class lie together; 4 and 9 are neighbours, and so are 3, 5 and 8, whose patches overlap most."}}
figure, axis = plt.subplots(figsize=(6.5, 5))
palette = plt.get_cmap("tab10")
for k in range(10):
    own = places[test.labels == k]
    axis.plot(*own.T, ".", color=palette(k), alpha=0.45, markersize=5)
for k in range(10):
    middle = places[test.labels == k].median(dim=0).values
    box = {"boxstyle": "circle", "facecolor": "white", "edgecolor": palette(k)}
    axis.text(*middle, str(k), ha="center", va="center", color="black", bbox=box)
axis.set(xlabel="first output", ylabel="second output", aspect="equal")
plt.show()

# %% [markdown]
# *A thousand test digits, put in the plane by a student that learned only distances and never saw a label.* A colour is
# a class, which the student never knew; a numeral stands at the median of its class. Digits that resemble each other are
# neighbours, as 4 and 9 or 3 and 5. Two dimensions are too few to keep them all apart, and the
# picture shows where they run out.

# %% [markdown]
# ## What goes wrong
#
# **Threat model, in one line.** Nobody attacks on this page; all of this is done by honest people, and none of it raises
# an error in plain PyTorch. The first mistake was measured above: a hint at a layer that has nothing to teach. Four more,
# with a number each.

# %%
per_number = F.l1_loss(*directions).item()
claim(
    "Mean over a factor's 784 numbers, not their sum: 784 times less",
    abs(transfer(h_s, h_t).item() / per_number / 784 - 1) < 1e-3,
)

# %%
regressor = nn.Linear(32, 128)
nn.init.zeros_(regressor.weight)
nn.init.zeros_(regressor.bias)
before, after = (hint_loss(x_s, k * x_t, regressor=regressor) for k in (1, 2))
claim(
    "Double the hidden units, halve the next layer: one teacher, a fourfold hint",
    abs(after.item() / before.item() - 4) < 1e-3,
)
before, after = (rkd_distance_loss(x_s, k * x_t) for k in (1, 2))
claim(
    "while its distances teach the same, up to rounding",
    abs(after.item() / before.item() - 1) < 1e-4,
)

# %%
same = x_t.norm(dim=1)
broadcast = ((same[:, None] - same) ** 2).mean().item()
claim("Shapes (n, 1) and (n,): equal features, and a hint above 0", broadcast > 0.01)

# %%
pair = x_s[:2], x_t[:2]
claim(
    "Two images have nothing to relate: both losses are 0, whoever says what",
    max(rkd_distance_loss(*pair), rkd_angle_loss(*pair)) < 1e-10,
)

# %% [markdown]
# The last one bites at the end of an epoch, when two images are left over for the last batch, and more quietly when the
# memory is small: relations are among the images of *one batch*, so a smaller batch is a smaller lesson.
#
# **How to evaluate it honestly.** Compare each kind with the same student alone: same start, same batches, same number
# of looks. Subtract seed by seed, and show the interval (`paired_gain`). Choose layer and weight on images that you
# don't report, with as many tries for every kind, the student alone included. Put the plain answers of lecture 1.1 into
# the table: a method with a regressor, a second network and a chosen layer has to beat five lines. And run the control
# with a teacher that knows nothing.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *Predict, then compute.* Take the teacher's hidden units for the 300 images, and the same
# points turned, shrunk 30-fold and moved, as above. Relations see no difference, and a plain hint sees a large one. What
# is the smallest hint that a linear regressor with a bias can reach from the moved points to the teacher's?
#
# <details><summary>Hint 1: what to ask</summary>
#
# Can what was done to the points be undone by a matrix and a vector?
#
# </details>
#
# <details><summary>Hint 2: how to compute the best regressor</summary>
#
# A linear regressor under a mean of squares is linear regression. Append a column of ones to the moved points, and let
# `torch.linalg.lstsq(…, driver="gelsd")` find the rest, in float64.
#
# </details>

# %% tags=["hide-cell"]
# Solution: 0. Turning, scaling and moving are undone by a matrix and a vector, so a
# hint with a linear regressor is as blind to them as relations are. It is blind to
# more: to every invertible matrix, which would change distances and angles.
points = hints_of(teacher, few.images, HIDDEN).double()
moved = points @ turn.double() / 30 + 1
with_ones = torch.cat([moved, torch.ones(len(moved), 1).double()], dim=1)
best = torch.linalg.lstsq(with_ones, points, driver="gelsd").solution
left = hint_loss(with_ones @ best, points).item()
plain = hint_loss(moved, points).item()
claim("With the best regressor less than a millionth is left", left < plain / 1e6)

# %% [markdown]
# **Exercise 2** (10 minutes). *Translate a weight.* The authors of factor transfer publish a program in which the loss is
# the mean over all numbers of the factor, with weight 500, for factors of 32 maps of 8×8. Which weight has the same
# effect on this page's loss, which sums over a factor's numbers as the paper does? And which weight would their program
# need for this page's factors, to keep that effect?
#
# <details><summary>Hint 1: what stays the same</summary>
#
# For one and the same factor, weight times loss must be one number. By what do the two losses differ?
#
# </details>
#
# <details><summary>Hint 2: the numbers</summary>
#
# Their factor has 32·8·8 = 2,048 numbers, this page's 16·7·7 = 784.
#
# </details>

# %% tags=["hide-cell"]
# Solution: a mean over D numbers is the sum divided by D. So 500 becomes 500/2048,
# about a quarter; and for 784 numbers their program needs 784 times that, about 191.
weight = 500 / 2048
claim("On this page's loss: about a quarter", round(weight, 2) == 0.24)
claim("In their program, for 784 numbers: about 191", round(784 * weight) == 191)
claim(
    "Both then weigh the same, to one part in a thousand",
    abs(784 * weight * per_number / (weight * transfer(h_s, h_t).item()) - 1) < 1e-3,
)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Why does the regressor of a hint stand on the student's side?
# - Because the teacher's features are too large to be computed twice :: They are computed once either way.
# + Because on the teacher's side, student and regressor could agree to say 0 :: The loss then chooses its own target, and is small without any learning.
# - Because the student is narrower, and a regressor can only widen :: A regressor may narrow as well; that is what makes the wrong side possible.
# ? The student's embedding is mirrored, and every distance is three times the teacher's. What do the relations say?
# + Both losses are 0 :: Distances are divided by their mean, and neither distances nor angles change in a mirror.
# - The distance loss is large, the angle loss is 0 :: The distances are relative: each network's are divided by its own mean.
# - Both are large, for the points lie elsewhere :: Where points lie is just what relations do not ask.
# ? On this page a hint at the second convolution gave next to nothing. What follows?
# - Hints don't work :: The same loss at the hidden units gave more.
# - The student is too small to follow :: It followed at the hidden units.
# + Where one listens must be chosen like any other number, on images that are not reported :: Depth changed the result more than the kind of loss did.
# ? A method gains 4 points over the student alone. Which control tells whether the teacher's knowledge did it?
# - A larger teacher :: It changes how much there is to know, and does not show what no knowledge would give.
# + The same term with an untrained teacher :: If that gains as much, the term only kept the student from memorising.
# - The same student with more parameters :: That compares sizes, not sources.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Features and relations need no common classes: the teacher may have been trained for something else, and
# the images need no labels. Relations need no common shape either, no regressor and no further network, and on this
# page they gave a student with 300 labels several points. A map in the plane is the same loss.
#
# **Limitations.** They need the teacher's inside, not only its answers. Layer, weight and regressor must be chosen, and a
# wrong layer is worth little. Relations alone train no classifier, and their lesson is as large as the batch. With many
# labels there is little left to gain. MNIST shows the mechanism; on another task another depth may be right.
#
# **Software.** [torchdistill](https://github.com/yoshitomo-matsubara/torchdistill) has these losses and many more, with
# configuration files; mind that its factor loss is a mean over numbers where the paper's is a sum.
# [RepDistiller](https://github.com/HobbitLong/RepDistiller) puts a dozen of them side by side on CIFAR-100. Relatives
# worth knowing: attention transfer compares where a layer looks {cite}`zagoruyko2017paying`, and centred kernel alignment
# measures how alike two layers' relations are {cite}`kornblith2019similarity`. In this library:
# `tml_helpers.distillation.hint_loss`, `FactorTransfer`, `rkd_distance_loss` and `rkd_angle_loss`.
#
# ## What to take away
#
# A teacher can be heard before it answers. A hint asks the student to say what a layer says, a factor to say its
# summary, a relation to keep the same company. Where one listens matters more than how one compares: at the last hidden
# layer, which knows which differences count, each of them helped when labels were few; at an earlier one, they gave little. And a
# gain is a gain only beside the same student alone, with an interval, and beside a teacher that knows nothing.
#
# Next: [many networks at once](many_at_once.ipynb), where nobody has to be the teacher.
