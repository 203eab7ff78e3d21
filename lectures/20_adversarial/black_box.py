# %% [markdown]
# # 2.4 A model that one can only ask
#
# The attacks so far followed gradients, and gradients need the weights. A bank's fraud filter, a spam filter, a paid
# interface that names what is in a photograph: none of these shows its weights. One sends an input, one gets an answer,
# and each question may cost money or raise suspicion. Is such a model safe?
#
# **What you will learn**
#
# - to write down what a black-box attacker knows, and how many questions they may ask;
# - why an adversarial image for one model often fools another, and how to measure it with a transfer matrix;
# - to steal a copy by asking, and to attack the copy;
# - to measure gradients with two questions each (ZOO), and to do without them (Square, Boundary, a GAN);
# - which defences cost such an attacker something, and which only look as if they did.
#
# **Before you start**: [PGD](iterative_attacks.ipynb), and what a threat model says
# ([lecture 2.1](linear_explanation.ipynb)). The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 50 minutes to read; {{ cpu_seconds }} to run.

# %%
import copy
import functools
import warnings

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.utils.data import TensorDataset

from tml_helpers import attacks
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.models import MLP, SmallCNN, mnist_gan
from tml_helpers.plotting import COLOURS, show_images, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The question
#
# **Can one fool a model that one can only ask?** We play both sides. The *victim* is the course's small network, trained
# on 2,000 digits. The *attacker* owns 2,000 other digits and may train what they like on them. No training image is
# shared.

# %%
train, test = mnist("train"), mnist("test")
hers, ours = train.select(slice(2000)), train.select(slice(2000, 4000))

# %% tags=["nbval-ignore-output"]
generator = seed_everything(seed())
victim = SmallCNN()
fit(victim, hers, epochs=4, learning_rate=2e-3, batch_size=64, generator=generator)
print(f"victim: {accuracy(victim, test):.1%} of the test images right")

# %% [markdown]
# `BlackBox` puts the victim behind a counter. It hands out answers and no gradient, adds up the images that it was asked
# about, and can be told to stop. It can also keep its scores to itself and say the class alone.

# %%
box = attacks.BlackBox(victim, limit=100)
leaf = test.images[:64].clone().requires_grad_()
claim("An answer carries no gradient", not box(leaf).requires_grad)
claim("64 images are 64 queries", box.queries == 64)
try:
    box(leaf)
except attacks.QueryLimitReached as error:
    print(error)

# %% [markdown]
# Knowledge comes in grades. A **white-box** attacker has the weights. A **grey-box** attacker knows something about
# them: the task, the kind of network, perhaps some of the data. A **black-box** attacker has answers: *scores* (the
# logits or probabilities of all classes) or the *decision* alone. The less an attacker knows, the more they must ask.
# That is why each card on this page states a number of queries.
#
# ## Transferability: no question at all
#
# Two networks that were trained for the same task tend to lean on the same features of the images. An input that
# leaves one of them on the wrong side then leaves the other there too. This is **transferability**; it was seen
# together with the first adversarial examples {cite}`szegedy2014intriguing`, and it needs no query at all.

# %%
ThreatModel(
    goal="misclassification of any kind",
    knowledge="grey box",
    capability="L∞ perturbation of at most ε = 0.25; 2,000 digits of their own",
    queries=0,
    out_of_scope="weights, gradients and training images of the victim",
)

# %% [markdown]
# The attacker trains three networks: one of the victim's kind, one without convolutions, and a linear one. All four
# attack and all four are attacked, on test images that all of them read correctly. A row says on which network the
# images were made, a column which network was shown them. The diagonal is the white box. Random noise of the same size
# is the control: without that row, one could not tell an attack from mere damage.


# %%
def trained(network):
    fit(network, ours, epochs=4, learning_rate=2e-3, batch_size=64, generator=generator)
    return network


models = {
    "victim": victim,
    "CNN": trained(SmallCNN()),
    "MLP": trained(MLP(64)),
    "linear": trained(MLP()),
}
right = torch.stack([predict(m, test.images) for m in models.values()]).argmax(dim=2)
chosen = (right == test.labels).all(dim=0).nonzero().flatten()
chosen = chosen[torch.randperm(len(chosen), generator=generator)[:80]]
images, labels = test.images[chosen], test.labels[chosen]  # (80, 1, 28, 28), (80,)


# %%
def fooled(model, adversarial, labels=labels):
    """The share of images, from 0 to 1, that the model misreads."""
    return (predict(model, adversarial).argmax(dim=1) != labels).float().mean().item()


epsilon = 0.25
sign = 2.0 * torch.randint(2, images.shape, generator=generator) - 1
made_on = {
    name: attacks.pgd(model, images, labels, epsilon=epsilon, steps=20)
    for name, model in models.items()
}
made_on["noise"] = (images + epsilon * sign).clamp(0, 1)
transfer = torch.tensor(
    [[fooled(m, made) for m in models.values()] for made in made_on.values()]
)  # (made on: 5, shown to: 4)

# %%
white, crossed = transfer[:4].diagonal(), transfer[:4]
claim("The white box is the best row of each column", bool((white >= crossed).all()))
claim("From CNN to victim, over 30 % transfer", transfer[1, 0].item() > 0.3)
claim("More than from the MLP", bool(transfer[1, 0] > transfer[2, 0]))
claim("Noise of this size fools it less than 15 times in 100", transfer[4, 0] < 0.15)

# %% tags=["hide-input", "fig-transfer-matrix"] mystnb={"image": {"alt": "A table of five rows and four columns in shades of blue: the share of images that are misread. The diagonal is darkest, rows of the two CNNs are dark in the other CNN's column and in the linear one's, and the row of random noise is nearly white but for the linear network."}}
figure, axis = plt.subplots(figsize=(5.4, 3.6))
axis.imshow(100 * transfer, cmap="Blues", vmin=0, vmax=100, aspect="auto")
for row, column in torch.cartesian_prod(torch.arange(5), torch.arange(4)).tolist():
    share = transfer[row, column].item()
    colour = "white" if share > 0.5 else "black"
    axis.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour)
axis.set(xticks=range(4), yticks=range(5), xlabel="shown to", ylabel="made on")
axis.set_xticklabels(models)
axis.set_yticklabels(made_on)
axis.grid(False)
plt.show()

# %% [markdown]
# *The transfer matrix: the share of images that fool the network of the column, when they were made on the network of
# the row, at ε = 0.25.* The diagonal is the white box, and nothing in a column exceeds it. Much of what was made on the
# attacker's CNN fools the victim, which was trained on other images from other initial weights. What was made on the
# networks without convolutions fools it less often, while these two fool each other nearly as often as themselves. The
# last row is the control: noise of the same size does next to nothing to a CNN, but it damages the linear network. A
# paper that reports transfer to a weak model without this row has reported little.
#
# ## A substitute: a copy that was bought with questions
#
# What if the attacker has hardly any data? Papernot and others {cite}`papernot2017practical` let the victim label it.
# They trained a copy, the **substitute**, on the victim's answers and attacked the copy; with 6,400 questions to a
# commercial service, 84 % of their images fooled it. This attacker sees nothing but classes.

# %%
ThreatModel(
    goal="misclassification of any kind",
    knowledge="black box",
    capability="L∞ perturbation of at most ε = 0.25; 50 digits of their own",
    queries=800,
    out_of_scope="scores, weights and gradients; more digits than these 50",
)

# %% [markdown]
# Random questions would waste the budget. The victim's answer is most telling where the copy is about to change its
# mind. So each round moves every image $x$ that the victim called $y$ along the copy's own gradient,
#
# $$x' = x + \alpha \cdot \operatorname{sign} \nabla_x \hat z_y(x),$$ (eq-substitute)
#
# asks about $x'$, and trains on all answers so far. $\hat z$ are the copy's logits. In words: step to where the copy is
# most sensitive, and ask there. Each round doubles the data, so $N$ images and $\rho$ rounds cost
# $N \cdot 2^{\rho - 1}$ questions.


# %%
def substitute_by_hand(oracle, asked, network, rounds, step_size=0.1):
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(rounds):
        answers = oracle(asked).argmax(dim=1)  # here, about old images once more
        fit(network, TensorDataset(asked, answers), epochs=10, optimizer=optimizer)
        leaf = asked.clone().requires_grad_()
        called = network(leaf).gather(1, answers[:, None])  # (n, 1)
        (gradient,) = torch.autograd.grad(called.sum(), leaf)
        moved = (asked + step_size * gradient.sign()).clamp(0, 1)
        asked = torch.cat([asked, moved])  # (n, 1, 28, 28) -> (2n, 1, 28, 28)
    return network.eval()


seed_everything(seed())
mine = substitute_by_hand(attacks.BlackBox(victim), ours.images[:50], MLP(64), 3)
seed_everything(seed())
box = attacks.BlackBox(victim, answers="labels")
theirs = attacks.train_substitute(MLP(64), ours.images[:50], oracle=box, rounds=3)
gap = (predict(mine, images) - predict(theirs, images)).abs().max().item()
claim("By hand and by the library, the same copy", gap < 1e-3)
claim("The library asks about each image once", box.asked == [50, 50, 100])

# %% [markdown]
# What does a budget buy? `attacks.substitute` trains the copy and attacks it with PGD in one call. We buy three times,
# with the same amount of training: 50 answers; 800 answers, fifteen sixteenths of them about images that the copy's
# gradient made; and, as a control, 800 answers about real digits, which this attacker does not have.


# %% tags=["nbval-ignore-output"]
def buy(own, rounds):
    """The share of images that fool the copy, and the victim, and what that cost."""
    box, network = attacks.BlackBox(victim, answers="labels"), SmallCNN()
    looks = 7500 // (own * (2**rounds - 1))  # epochs: equally many looks at images
    how = {"rounds": rounds, "epochs": looks, "step_size": 0.5, "learning_rate": 2e-3}
    made = attacks.substitute(
        box,
        images,
        labels,
        epsilon=epsilon,
        network=network,
        seed_images=ours.images[:own],
        attack=functools.partial(attacks.pgd, steps=20),
        generator=generator,
        **how,
    )
    shares = fooled(network, made), fooled(victim, made)
    print(
        f"{box.queries:4} queries: {shares[0]:.0%} fool the copy, "
        f"{shares[1]:.0%} the victim"
    )
    return shares


fifty, grown, real = buy(50, 1), buy(50, 5), buy(800, 1)

# %%
claim("The copy itself falls to over 90 % of them", min(fifty[0], real[0]) > 0.9)
claim(
    "800 answers about real digits fool the victim over 20 times in 100", real[1] > 0.2
)
claim("That is 10 points more than 50 answers buy", real[1] > fifty[1] + 0.1)
claim("and more than 800 about images made from 50", real[1] > grown[1])

# %% [markdown]
# The attack on the copy nearly always succeeds, the attack on the victim does not: the difference is the price of not
# knowing the weights. On these digits the images that the copy makes for itself help little, if at all. *Real* images do:
# data are the attacker's capital, and the card must say how many they own. What is bought lasts: on a trained copy, every
# further attack is free. (Stealing a model for its own sake is a subject of chapter 6.)
#
# ## ZOO: a gradient for two questions a pixel
#
# With scores there is no need of a copy. A slope can be measured: take a step of $h$ forward along pixel $i$ and a step
# back, ask for both values, and divide. Chen and others {cite}`chen2017zoo` do so, and get the curvature from the same
# answers. For a score $\ell$ of the network, and $e_i$ the image in which pixel $i$ is 1 and all others are 0:
#
# $$\hat g_i = \frac{\ell(x + h e_i) - \ell(x - h e_i)}{2h}, \qquad
# \hat g'_i = \frac{\ell(x + h e_i) - 2 \ell(x) + \ell(x - h e_i)}{h^2}.$$ (eq-zoo)
#
# Why these? Along pixel $i$, $\ell(x \pm h e_i) = \ell \pm h \ell' + \tfrac{1}{2} h^2 \ell'' \pm \tfrac{1}{6} h^3 \ell''' + \dots$
# In the first formula the even terms cancel, in the second the odd ones, and the errors that remain are of order $h^2$.
# To see them we need a model whose derivatives we know. For softmax regression with weights $w_k$ and
# $\ell = \log p_y$ they are, pixel by pixel, $w_y - \mathbb{E}_p[w]$ and $-\mathrm{Var}_p[w]$.


# %%
def by_hand(score, x, h):
    """Slope and curvature along every pixel of one image, two questions for each."""
    step = h * torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape[1:])
    plus, minus = score(x + step), score(x - step)  # (784,) each
    return (plus - minus) / (2 * h), (plus - 2 * score(x) + minus) / h**2


linear = copy.deepcopy(models["linear"]).double()
p = predict(linear, images.double()).softmax(dim=1)
unsure = p.gather(1, labels[:, None]).argmin()  # where p is not nearly 0 or 1
x, y, p = images[unsure : unsure + 1].double(), labels[unsure], p[unsure]


def log_p(asked):
    """log p of the true class, in the precision of the images."""
    model = linear if asked.dtype == torch.float64 else models["linear"]
    return predict(model, asked).log_softmax(dim=1)[:, y]


# %%
normalize, *_, last = linear.layers
w = last.weight.detach() / normalize.std.item()  # (10, 784), per unit of a pixel
slopes = w[y] - p @ w
curvatures = -(p @ w**2 - (p @ w) ** 2)

leaf = x.clone().requires_grad_()
(autograd,) = torch.autograd.grad(linear(leaf).log_softmax(dim=1)[0, y], leaf)
claim("The formula's slope is autograd's", torch.allclose(autograd.flatten(), slopes))
g, bend = by_hand(log_p, x, h=1e-3)
claim("Measured slopes are right to 1e-4", bool((g - slopes).abs().max() < 1e-4))
claim("and curvatures to 1e-4", bool((bend - curvatures).abs().max() < 1e-4))

# %%
library = attacks.estimate_gradient(log_p, x, h=1e-3)[0]
claim("The library measures the same slopes", torch.allclose(g, library))
library = attacks.estimate_hessian(log_p, x, h=1e-3)[0]
claim("and the same curvatures", torch.allclose(bend, library, atol=1e-6))

# %% [markdown]
# The paper takes $h = 10^{-4}$. We have just measured in double precision. Networks answer in single precision, with 7
# digits, and the difference of two nearly equal answers keeps few of them. So there is a best $h$: smaller ones drown in
# rounding, larger ones leave the region where the series holds.

# %%
steps = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 0.5]
errors = {}
for precision, there in (("single", x.float()), ("double", x)):
    for k, (name, truth) in enumerate((("slope", slopes), ("curvature", curvatures))):
        errors[name, precision] = [
            ((by_hand(log_p, there, h)[k] - truth).norm() / truth.norm()).item()
            for h in steps
        ]
paper, default = steps.index(1e-4), steps.index(1e-1)
curvature_errors = errors["curvature", "single"]
claim("At 1e-4 the curvature is off by 50 times its size", curvature_errors[paper] > 50)
claim("At 0.1 it is right to 2 %", curvature_errors[default] < 0.02)
claim("A slope at 0.01 is right to 0.1 %", errors["slope", "single"][3] < 0.001)

# %% tags=["hide-input", "fig-steps"] mystnb={"image": {"alt": "Relative error of measured slope and curvature against the step h on two logarithmic axes. All curves have the shape of a V. In double precision the lowest points lie near 0.0001 and 0.001, far down; in single precision near 0.1, and to the left of it the curvature's error rises steeply and exceeds one."}}
figure, axes = plt.subplots(1, 2, figsize=(6.5, 3.2), sharey=True)
for axis, name in zip(axes, ("slope", "curvature"), strict=True):
    for precision, style in (("single", "o-"), ("double", "s--")):
        axis.loglog(
            steps, errors[name, precision], style, label=f"{precision} precision"
        )
    axis.axvline(1e-4, color=COLOURS["black"], linewidth=1, linestyle=":")
    axis.axhline(1, color=COLOURS["black"], linewidth=1)
    axis.set(title=name, xlabel="step h")
axes[0].set_ylabel("relative error")
axes[0].legend()
plt.show()

# %% [markdown]
# *The error of a measured slope (left) and of a measured curvature (right); the dotted line is the paper's $h$.* For a
# large $h$ the truncated series makes the error, and it falls with $h^2$. For a small $h$ rounding makes it: it grows
# like $1/h$ for the slope and like $1/h^2$ for the curvature. Above the black line a number is noise and no
# measurement. The library's defaults, 0.01 for slopes and 0.1 for curvatures, lie in the valleys.
#
# `attacks.zoo` minimises the loss of Carlini and Wagner {cite}`carlini2017towards` with measured slopes: the squared
# distance, plus the lead of the true class's log-probability over the best other one for as long as it leads. Each step
# draws 128 pixels and moves each by Adam or by Newton's rule $-\hat g_i / \hat g'_i$. A ReLU network's scores are
# piecewise linear, so for Newton nearly all curvature comes from the distance.

# %%
ThreatModel(
    goal="misclassification, by a perturbation as short as possible (L2)",
    knowledge="black box",
    capability="any image in [0, 1]; the scores of all classes",
    queries=5000,
    out_of_scope="weights and gradients; a limit on how fast one may ask",
)

# %% tags=["nbval-ignore-output"]
few, few_labels = images[:4], labels[:4]
box = attacks.BlackBox(victim, limit=4 * 5000)
how = {"queries": 5000, "solver": "newton", "learning_rate": 0.3}
by_zoo = attacks.zoo(box, few, few_labels, **how, generator=generator)
zoo_length = (by_zoo - few).flatten(1).norm(dim=1)  # (4,)
print(f"{box.queries / 4:,.0f} queries an image; L2:", zoo_length.numpy().round(1))

# %%
claim("Shown no gradient, it fools 3 of 4", fooled(victim, by_zoo, few_labels) > 0.7)
claim("within its budget", box.queries <= 4 * 5000)

# %% [markdown]
# One step costs 256 questions for each image and moves a sixth of its pixels once. That is ZOO's weakness: the price
# grows with the number of pixels. On an ImageNet photograph, a single gradient would cost 300,000 questions.
#
# ## Square: guess, keep what helps
#
# Why measure a slope at all? On most models the best perturbation in an L∞ ball puts nearly every pixel at
# $+\varepsilon$ or $-\varepsilon$, and neighbouring pixels tend to agree. So the **Square attack**
# {cite}`andriushchenko2020square` does not measure. It guesses such perturbations: first vertical stripes, then squares
# at random places with random signs. It keeps a guess if the *margin* grows, the lead of the best wrong class over the
# true one. The squares are large at first and shrink on a fixed schedule. One guess is one question.


# %%
def square_by_hand(model, image, label, epsilon, queries, generator):
    def coin(*shape):
        return 2.0 * torch.randint(2, shape, generator=generator) - 1

    size = image.shape[-1]
    best = (image + epsilon * coin(1, 1, 1, size)).clamp(0, 1)  # stripes
    score = attacks.margin(model(best), label)
    for query in range(1, queries):
        side = max(1, round(size * (1 - query / queries) ** 2))
        top, left = torch.randint(size - side + 1, (2,), generator=generator).tolist()
        window = (..., slice(top, top + side), slice(left, left + side))
        candidate = best.clone()
        candidate[window] = (image[window] + epsilon * coin(1)).clamp(0, 1)
        gained = attacks.margin(model(candidate), label)
        if gained > score:
            best, score = candidate, gained
    return best


# %% [markdown]
# Where the answer is known, both forms must find it. For a linear score $w^\top x$ the worst perturbation is
# $-\varepsilon \operatorname{sign} w$: lecture 2.1 reads it off the weights. Random search finds it without them.

# %%
torch.manual_seed(seed())
toy = nn.Sequential(nn.Flatten(), nn.Linear(25, 2))
nn.init.constant_(toy[1].bias[0], 100.0)  # class 0 wins, whatever one does
grey, zero = torch.full((1, 1, 5, 5), 0.5), torch.tensor([0])
weight = (toy[1].weight[1] - toy[1].weight[0]).detach().view(1, 1, 5, 5)
worst = grey + 0.1 * weight.sign()

with torch.no_grad():
    mine = square_by_hand(toy, grey, zero, 0.1, 1500, generator)
theirs = attacks.square(toy, grey, zero, epsilon=0.1, queries=1500, generator=generator)
claim("By hand, it finds the worst corner of the ball", torch.allclose(mine, worst))
claim("So does the library", torch.allclose(theirs, worst))

# %%
ThreatModel(
    goal="misclassification of any kind",
    knowledge="black box",
    capability="L∞ perturbation of at most ε = 0.25; the scores of all classes",
    queries=300,
    out_of_scope="weights and gradients; a limit on how fast one may ask",
)

# %% [markdown]
# The library stops asking about an image as soon as it has fallen. So the box's log of how many images each call held is
# the curve that we want: the images in the next call are those that still stand.

# %% tags=["nbval-ignore-output"]
some, some_labels = images[:40], labels[:40]
box = attacks.BlackBox(victim)
by_square = attacks.square(
    box, some, some_labels, epsilon=epsilon, queries=300, generator=generator
)
fallen = [1 - standing / 40 for standing in box.asked]  # after 0, 1, 2, … questions
print(f"{box.queries / 40:.0f} questions an image, of 300 allowed")

# %%
square_rate = fooled(victim, by_square, some_labels)
claim("Square fools over 60 times in 100", square_rate > 0.6)
claim("for less than 200 questions an image", box.queries < 40 * 200)

# %% [markdown]
# ## Boundary: the answer is one word
#
# Let the interface say the class and nothing more. Then most guesses teach nothing: "a 7", "a 7", "still a 7". The
# **Boundary attack** {cite}`brendel2018decision` turns the problem round. It starts where the model is wrong, at noise
# or at another picture, and walks towards the image along the border, where a single word tells on which side one
# stands. A step has two halves: one *around* the image, at random but at the same distance; and, if the model is still
# wrong there, one *towards* it. If a half ends on the right side of the border, it is taken back. Both lengths follow
# their success: a step that nearly always succeeds is too timid, one that hardly ever does is too bold.
#
# With $\eta = x' - x$ and noise $\xi$ made orthogonal to it and as long as it, the first half is a turn that keeps the
# length. The second half is a step of share $b$ towards the image:
#
# $$\eta' = \|\eta\| \cdot \frac{\eta + a\, \xi}{\| \eta + a\, \xi \|},
# \qquad x'' = x + (1 - b)\, \eta'.$$ (eq-boundary)


# %%
def boundary_by_hand(wrong, x, start, queries, generator):
    delta, a, b = start - x, 0.1, 0.1
    for _ in range(queries // 2):
        xi = torch.randn(x.shape, generator=generator)
        xi = xi - delta * (xi * delta).sum() / delta.norm() ** 2
        turned = delta + a * delta.norm() * xi / xi.norm()
        turned = turned * delta.norm() / turned.norm()
        around = wrong(x + turned)
        towards = around and wrong(x + (1 - b) * turned)
        if around:
            delta = (1 - b) * turned if towards else turned
            b *= 1.2 if towards else 0.93
        a *= 1.1 if around else 0.95
    return x + delta


# %% [markdown]
# Two pixels make a plane that can be drawn. Let class 1 begin outside of a circle around $(0.3, 0.3)$: then we know how
# near the nearest point on the wrong side is, and we can see what the model was asked.


# %%
class Circle(nn.Module):
    """Two pixels; class 1 outside of a circle. Remembers what it was asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, images):
        self.asked += images.flatten(1).tolist()
        outside = (images.flatten(1) - 0.3).norm(dim=1) - 0.4
        return torch.stack([-outside, outside], dim=1)


x = torch.tensor([0.45, 0.2]).view(1, 1, 1, 2)
start = torch.tensor([0.05, 0.95]).view(1, 1, 1, 2)
nearest = 0.4 - (x - 0.3).norm().item()
model = Circle()
walked = attacks.boundary(
    model, x, torch.tensor([0]), start=start, queries=300, generator=generator
)
theirs = (walked - x).norm().item()


# %%
def wrong(point):
    return bool(Circle()(point).argmax(dim=1) == 1)


mine = (boundary_by_hand(wrong, x, start, 400, generator) - x).norm().item()
claim("By hand, within 5 % of the nearest mistake", nearest <= mine < 1.05 * nearest)
claim("The library too", nearest <= theirs < 1.05 * nearest)

# %% tags=["hide-input", "fig-boundary"] mystnb={"image": {"alt": "The square of all two-pixel images with a circle in it. The image lies inside the circle. Points that were asked about start far outside at the upper left, jump to the circle on a straight line, and then follow it round to the point of the circle that is nearest to the image."}}
figure, axis = plt.subplots(figsize=(5, 4))
axis.add_patch(plt.Circle((0.3, 0.3), 0.4, fill=False, color=COLOURS["black"]))
asked = torch.tensor(model.asked[1:])  # (queries, 2): the first was the image
order = axis.scatter(*asked.T, c=range(len(asked)), cmap="viridis", s=14)
axis.plot(*x.flatten(), "s", color=COLOURS["orange"], label="the image")
axis.plot(
    *walked.flatten(), "*", color=COLOURS["orange"], markersize=13, label="result"
)
figure.colorbar(order, label="question")
axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="first pixel", ylabel="second pixel")
axis.set_aspect("equal")
axis.legend(loc="upper right")
plt.show()

# %% [markdown]
# *Every point that the Boundary attack asked about, on images of two pixels; wrong is outside of the circle.* A straight
# run to the border comes first, by halving. Then the walk follows the border to the point that is nearest to the
# image. On real images the border has hundreds of dimensions and not one, and the walk takes accordingly longer.

# %%
ThreatModel(
    goal="misclassification, by a perturbation as short as possible (L2)",
    knowledge="black box",
    capability="any image in [0, 1]; the class alone; one digit of another class",
    queries=2000,
    out_of_scope="scores, weights and gradients",
)

# %% [markdown]
# We let it walk from a digit of another class, and look at the distance on the way. It can go on from where it was.

# %% tags=["nbval-ignore-output"]
start = torch.stack([ours.images[ours.labels != label][0] for label in some_labels[:8]])
walked, lengths = start, {}
for total, more in ((50, 50), (200, 150), (600, 400), (1300, 700), (2000, 700)):
    box = attacks.BlackBox(victim, answers="labels", limit=8 * more)
    walked = attacks.boundary(
        box,
        some[:8],
        some_labels[:8],
        queries=more,
        start=walked,
        generator=generator,
    )
    lengths[total] = (walked - some[:8]).flatten(1).norm(dim=1)  # (8,)
    print(f"{total:5,} questions: median L2 {lengths[total].median():.2f}")

# %%
median = torch.tensor([lengths[total].median() for total in lengths])
claim("The distance falls with every instalment", bool((median.diff() < 0).all()))
claim("2,000 single words take 15 % off it", bool(median[-1] < 0.85 * median[0]))
claim("and every image still fools", fooled(victim, walked, some_labels[:8]) == 1)

# %% tags=["hide-input", "fig-prices"] mystnb={"image": {"alt": "Left: the share of images that Square has fooled against the number of questions, rising steeply within the first hundred and slowly after. Right: the median L2 distance of the Boundary attack against the number of questions, falling steadily."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(6.5, 3.1))
left.plot(range(len(fallen)), [100 * share for share in fallen], color=COLOURS["blue"])
left.axhline(
    100 * white[0], color=COLOURS["black"], linestyle=":", label="white box, PGD"
)
left.set(title="Square, ε = 0.25", xlabel="questions", ylabel="images fooled (%)")
left.set_ylim(0, 103)
left.legend(loc="lower right")
right.plot(list(lengths), median, "o-", color=COLOURS["orange"])
right.set(title="Boundary", xlabel="questions", ylabel="median L2 distance")
right.set_ylim(0)
plt.show()

# %% [markdown]
# *What questions buy: images that Square fools (left), and how near Boundary comes (right).* Square's first hundred
# questions do most of its work. Boundary hears one word where Square hears ten numbers, and after 2,000 questions its
# walk is not over: the paper's own curves run to hundreds of thousands. Read both curves as prices. A number of fooled
# images without a number of questions beside it is half a result.
#
# ## White box against black box
#
# Now all of them at one ε, on the same images. This is also a test of our tools: who knows the weights can do all that
# somebody can who does not. If a black-box attack ever did better, the white-box attack would be broken, or the model's
# gradients would lie. [Lecture 2.6](honest_evaluation.ipynb) makes this one of its tests.

# %%
same = {"noise": made_on["noise"][:40], "transfer": made_on["CNN"][:40]}
same |= {"Square, 300 queries": by_square, "white box, PGD": made_on["victim"][:40]}
rates = {name: fooled(victim, made, some_labels) for name, made in same.items()}
best = rates["white box, PGD"]
excess = 40 * (max(rates.values()) - best)
claim("No black box beats the white box by over 1 image in 40", excess < 1.5)
claim("Each of them beats noise", min(rates.values()) == rates["noise"])

# %% tags=["hide-input", "fig-knowledge"] mystnb={"image": {"alt": "Four horizontal bars, the share of images that fool the victim: noise near zero, transfer in the middle, Square with 300 queries higher, and white-box PGD highest."}}
figure, axis = plt.subplots(figsize=(5.8, 2.4))
bars = axis.barh(list(rates), [100 * rate for rate in rates.values()])
axis.bar_label(bars, fmt="%.0f %%", padding=3)
axis.set(xlabel=f"images that fool the victim at ε = {epsilon} (%)", xlim=(0, 112))
axis.invert_yaxis()
plt.show()

# %% [markdown]
# *The same 40 images, the same ball, four degrees of knowledge.* Ignorance costs the attacker something, but not much:
# a few hundred questions nearly replace the weights.
#
# ## Natural examples: leave the ball
#
# Everything so far moved pixels. Zhao and others {cite}`zhao2018natural` move something else. A generative adversarial
# network has learned to draw digits: its generator $G$ turns a short vector of numbers, the *latent* $\zeta$, into an
# image, and a second network, the inverter $I$, finds a latent for a given image. Search for the smallest step in
# *that* space:
#
# $$\zeta^* = \arg\min_{\zeta} \|\zeta - I(x)\| \quad \text{such that the model misclassifies } G(\zeta).$$ (eq-natural)
#
# In words: draw a slightly different digit, and keep drawing until the model is wrong. The result is drawn by a
# generator of digits, so it looks like one. The book's `Generator` learned to please a `Critic`, which tells drawn
# digits from written ones, and its `Inverter` learned to find the latent of what was drawn; all three are in
# `tml_helpers.models`. The search asks for classes only: it draws latents from a ring around $I(x)$ and shrinks the
# ring whenever one of them fools the model.

# %%
ThreatModel(
    goal="misclassification of an image that looks natural",
    knowledge="black box",
    capability="any image that their GAN can draw; the class alone",
    queries=5000,
    out_of_scope="scores, weights and gradients; any bound on the change of pixels",
)

# %% tags=["nbval-ignore-output"]
box = attacks.BlackBox(victim, answers="labels", limit=8 * 5000)
found = attacks.natural_adversaries(
    box, some[:8], some_labels[:8], gan=mnist_gan(), samples=96, generator=generator
)
names = predict(victim, found.images).argmax(dim=1)
print(f"{box.queries / 8:,.0f} questions an image; latent distances:")
print(found.distances[-1].numpy().round(2))

# %%
rounds = found.distances.median(dim=1).values  # (rounds + 1,)
claim("The search shrinks its ring", bool((rounds[1:] <= rounds[:-1]).all()))
claim("All are misread", fooled(victim, found.images, some_labels[:8]) == 1)
only_images = attacks.latent_search(
    victim, some[:1], some_labels[:1], gan=mnist_gan(), samples=32, generator=generator
)
claim("`latent_search` gives the images alone", only_images.shape == some[:1].shape)

# %% tags=["hide-input", "fig-natural"] mystnb={"image": {"alt": "Three rows of four digits. The first row shows the originals; the second, made by Square, shows them under a grey checkerboard of patches; the third, made by the generator, shows strokes on white paper, smudged in places, each with the class that the victim reads."}}
pictures = torch.cat([some[:4], by_square[:4], found.images[:4]])
read = predict(victim, pictures).argmax(dim=1).tolist()
show_images(pictures, [f"read as {name}" for name in read], columns=4, size=1.4)
plt.show()

# %% [markdown]
# *Originals, Square's images at ε = 0.25, and natural ones, row by row, with what the victim reads.* Square leaves its
# marks: no hand writes like this. The third row has strokes on white paper, smudged where the generator hesitates
# between two digits. Be honest about it, though: look at each and ask what *you* read. Some are other digits by now, or
# none, and there the victim is not wrong. If you search among natural images, ask people, and not only the model.
#
# How would a defender notice? Two detectors, in two lines. The first compares with the original, where there is one. The
# second asks how far an image lies from the nearest training digit.


# %% tags=["nbval-ignore-output"]
def novelty(made):
    """L2 distance to the nearest of the victim's training images, the median."""
    far = torch.cdist(made.flatten(1), hers.images.flatten(1)).amin(dim=1)
    return far.median().item()


change = (found.images - some[:8]).flatten(1).norm(dim=1).median().item()
usual, marked, natural = map(novelty, (some[:8], by_square[:8], found.images))
print(
    f"change of a natural example {change:.1f}, of the Boundary attack {median[-1]:.1f}"
)
print(f"novelty: originals {usual:.1f}, Square {marked:.1f}, natural {natural:.1f}")

# %%
claim("In pixels, a natural example is a change of more than 2 in L2", change > 2)
claim("Square's images are the farther from all that was seen", marked > natural)

# %% [markdown]
# In pixels the change is large: whoever holds the original, or bounds the distance, sees it at once, and that is what is
# said against this attack. Whoever sees the new image alone does not. Which of the two a defender is depends on the
# application, and belongs on the card.
#
# ## What goes wrong
#
# **Hiding the gradient is no defence.** Let a model round its input to six grey levels before it reads it. Rounding is
# flat nearly everywhere, so its gradient is zero: PGD stands still, and the robustness looks perfect.


# %%
class Rounded(nn.Module):
    """Reads six grey levels."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model((5 * images).round() / 5)


rounded = Rounded(victim)
with warnings.catch_warnings(record=True) as caught:
    blind = attacks.pgd(rounded, some, some_labels, epsilon=epsilon, steps=5)
asked = attacks.square(
    rounded, some, some_labels, epsilon=epsilon, queries=300, generator=generator
)
claim("The library warns", caught[0].category is attacks.GradientMaskingWarning)
by_gradient, by_asking = (fooled(rounded, a, some_labels) for a in (blind, asked))
claim("PGD fools less than 15 in 100", by_gradient < 0.15)
claim("Square fools over 40 in 100", by_asking > 0.4)

# %% [markdown]
# A black-box attack that beats the white box is an alarm. It says that the gradients lie, and that the evaluation so far
# was worth nothing: see defences that fell to this in [lecture 2.5](defenses.ipynb).
#
# **Saying less** is a defence of a kind: it raises the price. Square needs scores. With labels alone every guess that
# leaves the class as it is scores alike, and only luck is left. Boundary does not mind, it only takes longer.

# %%
mute = attacks.BlackBox(victim, answers="labels")
half = some[:20], some_labels[:20]
lucky = attacks.square(mute, *half, epsilon=epsilon, queries=300, generator=generator)
lucky_rate = fooled(victim, lucky, half[1])
claim("Without scores, Square loses over 20 points", lucky_rate < square_rate - 0.2)

# %% [markdown]
# **Limiting the rate** raises the price too, and only for those who ask. Transfer asks nothing. And a limit for each
# account is a limit for those with one account.

# %% tags=["nbval-ignore-output"]
limited = attacks.BlackBox(victim, answers="labels", limit=1000)
try:
    attacks.boundary(limited, some[:8], some_labels[:8], queries=2000, start=start)
except attacks.QueryLimitReached as error:
    print(error)

# %%
claim("No question is answered beyond the limit", limited.queries <= 1000)
claim("Transfer passes any limit", rates["transfer"] > 0.3)

# %% [markdown]
# **How to evaluate honestly.** State the budget, and show success *against* queries, not at one number. Count every image
# that is asked about, those of failed tries and of the start included; a counter that sits in the model, as here, cannot
# forget any. Include the control of plain noise. Include the white box: it is the bound on what any of these can do.
# And when a defence withstands gradients alone, believe it only after an attack without them.

# %%
early, late = fallen[10], square_rate  # of the same 40 images
claim("Who stops Square after 10 questions misses over 20 in 100", late > early + 0.2)

# %% [markdown]
# ## Practice
#
# **Exercise 1** (10 minutes). *Ensembles transfer better.* Make images on the attacker's CNN, MLP and linear network at
# once: attack a model whose logits are the mean of theirs. Does it fool the victim more often than the CNN alone?
# Predict first.
#
# <details><summary>Hint 1: where to look</summary>
#
# An `nn.Module` that holds the three networks and returns the mean of their logits is a model like any other:
# `attacks.pgd` takes it. For the prediction, look at the rows of {fig}`transfer-matrix`.
#
# </details>
#
# <details><summary>Hint 2: the key idea</summary>
#
# In a mean of logits a network counts by how large its logits are, and not by how much it resembles the victim.
#
# </details>


# %% tags=["hide-cell", "nbval-ignore-output"]
# Solution: here, hardly. In the sum the linear network speaks loudest, and what
# fools it is not what fools a CNN. On large networks of similar strength, ensembles
# are what transfers best: an image that fools many is likelier to fool one more.
class Mean(nn.Module):
    def __init__(self, *models):
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, images):
        return torch.stack([model(images) for model in self.models]).mean(dim=0)


together = Mean(models["CNN"], models["MLP"], models["linear"])
made = attacks.pgd(together, images, labels, epsilon=epsilon, steps=20)
shares = fooled(victim, made), transfer[1, 0].item(), transfer[3, 0].item()
print(
    f"ensemble {shares[0]:.0%}, CNN alone {shares[1]:.0%}, linear alone {shares[2]:.0%}"
)

# %% tags=["hide-cell"]
claim("The ensemble beats its weakest member", shares[0] > shares[2])

# %% [markdown]
# **Exercise 2** (15 minutes). *A gradient from random directions.* ZOO asks twice for each pixel. Instead, draw 200
# random directions $e$ of length 1, measure the slope along each, and average $784 \cdot \text{slope} \cdot e$. For
# `log_p` and the image `images[unsure]` of the section on ZOO, how well does that point the way of the true gradient?
# Use the cosine of the angle between the two.
#
# <details><summary>Hint 1: where to look</summary>
#
# Equation {eq}`eq-zoo` works along any direction of length 1, and `log_p` takes a batch: ask about all 200 places ahead
# at once, then about all 200 behind.
#
# </details>
#
# <details><summary>Hint 2: the key idea</summary>
#
# A slope is the product of the gradient with a direction. A random direction holds, in the mean, 1/784 of the gradient's
# squared length. How much of it do 200 directions hold together?
#
# </details>

# %% tags=["hide-cell"]
# Solution: the cosine is about √(200 / 784) ≈ 0.5: rough, but for a fourth of the
# questions. With as many directions as pixels nothing would be gained.
x = images[unsure : unsure + 1].double()
e = torch.randn(200, 784, generator=generator, dtype=torch.float64)
e = e / e.norm(dim=1, keepdim=True)
ahead, behind = (log_p(x + s * 1e-3 * e.view(-1, 1, 28, 28)) for s in (1, -1))
rough = 784 * (((ahead - behind) / 2e-3)[:, None] * e).mean(dim=0)
cosine = (rough @ slopes / rough.norm() / slopes.norm()).item()
claim("The cosine lies between 0.3 and 0.6", 0.3 < cosine < 0.6)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A service returns the class alone, without scores. Which attack works as before?
# - Square :: It keeps a guess when the margin grows. Without scores it never sees a margin.
# - ZOO :: The difference of two equal words is zero: there is no slope to measure.
# + Boundary :: It never used more than one word. So do the substitute and the search in latent space.
# ? One gradient by ZOO, for a colour image of 32×32 pixels, costs …
# - 2 questions :: That is one slope, along one pixel value.
# + 6,144 questions :: 3·32·32 = 3,072 values, two questions each.
# - 1,024 questions :: Each pixel has three values, and each value needs both sides.
# ? Square fools a model more often than PGD, at the same ε. What follows?
# - Square is the better attack :: It knows less. Whatever it finds, the weights would have told as well.
# - The model is robust :: A model that falls more often is less robust, whoever attacks.
# + PGD was run badly, or the model hides its gradients :: The white box bounds the black box; if not, something is broken.
# ? Why must a measured slope in single precision not use h = 0.0001?
# - The series does not hold at such a distance :: It holds better and better as h shrinks.
# + The difference of two answers is mostly rounding :: Seven digits, less those that the two answers have in common.
# - It would take more questions :: It is two questions, whatever h is.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** These attacks need what any user has. They test whole systems, with all that stands before and behind the
# network. They see through hidden gradients, which makes them part of every honest evaluation.
#
# **Limitations.** They pay in questions: tens to hundreds for Square, thousands for Boundary and ZOO, and someone may
# be counting. A failure proves little, since the next budget may suffice. Transfer depends on how much the attacker's
# data and network resemble the victim's; ours resembled it closely. MNIST is easy to fool by large squares; on
# photographs the same attacks work at far smaller ε, with more questions.
#
# **Software.** The [Adversarial Robustness Toolbox](https://github.com/Trusted-AI/adversarial-robustness-toolbox) and
# [Foolbox](https://github.com/bethgelab/foolbox) have the query attacks, and newer ones: HopSkipJump
# {cite}`chen2020hopskipjump` needs far fewer questions than Boundary. AutoAttack {cite}`croce2020reliable` runs Square
# beside its gradient attacks. In this library: `attacks.BlackBox`, `substitute`, `train_substitute`, `zoo`,
# `estimate_gradient`, `estimate_hessian`, `square`, `boundary`, `latent_search`, `natural_adversaries`.
#
# ## What to take away
#
# Not knowing the weights costs the attacker questions, and little else. With no question at all, transfer works more
# often than chance; with hundreds and scores, Square comes near the white box; with a single word an answer, Boundary
# still gets there. A defender can raise the price: say less, count, limit. Hiding the gradient raises nothing but
# confidence.
#
# Next: what does help, in [lecture 2.5](defenses.ipynb).
