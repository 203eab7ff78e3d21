# %% [markdown]
# # 1.3 Many at once: peers, exits and several teachers
#
# Until now there was one teacher. It was large, it was trained before, and it never changed. None of this is necessary.
# Students can teach **each other** while all of them learn. A network can teach **itself**, the deep layers the shallow
# ones. And a student can have **several teachers**, each of whom saw something else. This lecture asks of each of the
# three: what is there to learn from somebody who knows no more than you do, and when is it worth the trouble?
#
# **What you will learn**
#
# - to train students together, so that each is teacher and student at once, and to measure what that gains;
# - why a mean of answers teaches nothing that the single answers do not, and which combination does;
# - to build a network with early exits, to train it as its own teacher, and to read what an exit costs and gives;
# - to learn from several teachers without pooling their data, and what one bad teacher does.
#
# **Before you start**: the loss and the fair comparison of
# [lecture 1.1](response_based.ipynb), and the hint of [lecture 1.2](features_and_relations.ipynb). The symbols are those
# of the [notation page](../../book/notation.md).
#
# **Time**: 30 minutes to read; {{ cpu_seconds }} to run.

# %%
import copy
from functools import partial
from statistics import mean, stdev

import matplotlib.pyplot as plt
import torch
from scipy.stats import t as student_t
from torch.nn import functional as F
from torch.utils.data import TensorDataset

# %%
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.distillation import (
    SelfDistillation,
    distill_online,
    distillation_loss,
    min_logit,
    multi_teacher_loss,
)
from tml_helpers.measured import result
from tml_helpers.models import MLP, SmallCNN, multiply_adds
from tml_helpers.plotting import COLOURS, use_style
from tml_helpers.training import accuracy, fit, predict, seed_everything

torch.set_num_threads(1)  # networks as small as these run fastest on one core
use_style()

# %% [markdown]
# ## The question
#
# The survey that this chapter follows sorts distillation by who is trained when {cite}`gou2021distillation`. *Offline*, a
# finished teacher answers. *Online*, teacher and student are trained at the same time. In *self-distillation* they are
# one network.

# %% tags=["hide-input", "fig-many-schemes"] mystnb={"image": {"alt": "Four small diagrams. Offline: an arrow from a large square, the teacher, to a small circle, the student. Online: two circles with arrows in both directions. Self: three circles in a column, with arrows from the last to the two before it. Several teachers: three squares with an arrow each to one circle."}}
schemes = {
    "offline": ([(0, 1, "s"), (0, 0, "o")], [(0, 1)]),
    "online": ([(-0.6, 0.5, "o"), (0.6, 0.5, "o")], [(0, 1), (1, 0)]),
    "self": ([(0, 1, "o"), (0, 0.5, "o"), (0, 0, "o")], [(2, 1), (2, 0)]),
    "several": (
        [(-0.8, 1, "s"), (0, 1, "s"), (0.8, 1, "s"), (0, 0, "o")],
        [(0, 3), (1, 3), (2, 3)],
    ),
}
figure, axes = plt.subplots(1, 4, figsize=(6.5, 1.9))
for axis, (name, (places, arrows)) in zip(axes, schemes.items(), strict=True):
    for a, b in arrows:
        bend = -0.5 if name == "self" and b == 0 else 0.25 * (name == "online")
        axis.annotate(
            "",
            places[b][:2],
            places[a][:2],
            arrowprops={
                "arrowstyle": "-|>",
                "color": COLOURS["orange"],
                "lw": 1.8,
                "shrinkA": 11,
                "shrinkB": 11,
                "connectionstyle": f"arc3,rad={bend}",
            },
        )
    for x, y, marker in places:
        colour = COLOURS["black"] if marker == "s" else COLOURS["blue"]
        axis.plot(x, y, marker, color=colour, markersize=13)
    axis.set(title=name, xlim=(-1.3, 1.3), ylim=(-0.4, 1.4))
    axis.axis("off")
plt.show()

# %% [markdown]
# *Who teaches whom.* Squares are trained before and stay as they are. Circles learn. An arrow goes from whoever answers to
# whoever listens. In the third picture the circles are the exits of one network, the first exit at the top.
#
# The data are the 4,000 handwritten digits of lecture 1.1; their [data card](../../book/data_cards/mnist.md) says where
# they come from and what they hide. Labels are scarce here, 300 of them, since that is where a teacher was worth
# something. The student is a convolutional network with 4 and 8 channels.

# %%
train, test = mnist("train"), mnist("test")
train = train.select(slice(4000))
few = train.select(slice(300))
how = {"epochs": 40, "learning_rate": 5e-3, "batch_size": 64}  # 12,000 looks
seeds = [100 * seed() + k for k in range(4)]


# %%
def score(model):
    """Test accuracy in per cent."""
    return 100 * accuracy(model, test)


def order(k):
    """The order in which the images come: the same for whoever is compared."""
    return torch.Generator().manual_seed(k)


# %%
def gain(taught, alone):
    """Mean of the paired differences, and half of its 95 % interval (Student's t)."""
    pairs = [a - b for a, b in zip(taught, alone, strict=True)]
    half = student_t.ppf(0.975, len(pairs) - 1) * stdev(pairs) / len(pairs) ** 0.5
    return mean(pairs), half


# %% [markdown]
# Everything on this page is compared with **the same network alone**: the same start, the same images in the same order,
# the same number of looks. Then the two differ in what they were told and in nothing else, and the difference between them,
# pair by pair, scatters far less than two accuracies do. The function `gain` gives its mean and a 95 % interval. With four
# pairs such an interval is wide. That is not a flaw of the interval, it is what four pairs know.
#
# ## Online: students who teach each other
#
# Let $M$ students start from nothing, each from its own random weights. Student $m$ has logits $z^{(m)}$ and the answer
# $p^{(m)}(T) = \operatorname{softmax}(z^{(m)}/T)$. It learns the labels, and it learns what its **peers** say at this
# moment:
#
# $$L^{(m)} = (1 - \alpha)\, \mathrm{CE}\big(y, p^{(m)}(1)\big)
# + \frac{\alpha\, T^2}{M - 1} \sum_{j \ne m} \mathrm{KL}\big(p^{(j)}(T) \,\|\, p^{(m)}(T)\big).$$ (eq-many-mutual)
#
# In words: be right, and find likely what the others find likely, on average over them. This is *deep mutual learning*
# {cite}`zhang2018deep`; the paper has $T = 1$ and weighs both terms equally. The peers' answers are constants: no
# gradient flows into them. Otherwise a student could lower its loss by making its teacher say something easier. The
# students move in turn. After the first has made its step, the second hears what the first says *now*.
#
# Why should this help? Nobody in the room knows more than the labels say. But each network starts elsewhere, so each
# makes its own mistakes in its own way. Where the students are right, they agree. Where one has merely memorised, the others
# disagree, and pull it away.


# %%
def one_round(students, optimizers, images, labels, *, alpha):
    """Each student makes one step of the loss above, with T = 1."""
    for own, optimizer in zip(students, optimizers, strict=True):
        log_p = F.log_softmax(own(images), dim=1)
        soft = 0.0
        for peer in students:
            if peer is not own:
                q = F.softmax(predict(peer, images), dim=1)  # a constant
                soft += (q * (q.log() - log_p)).sum(dim=1).mean()
        hard = F.nll_loss(log_p, labels)
        loss = (1 - alpha) * hard + alpha * soft / (len(students) - 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


# %% [markdown]
# `distill_online` does the same for whole data sets, asks each peer only once after it has moved, and takes networks of any
# build. Both make the same step:

# %%
seed_everything(seed())
by_hand = [MLP(16), MLP(32), MLP()]
by_library = copy.deepcopy(by_hand)
batch = TensorDataset(few.images[:64], few.labels[:64])
optimizers = [torch.optim.Adam(s.parameters(), lr=1e-3) for s in by_hand]
one_round(by_hand, optimizers, *batch.tensors, alpha=0.7)
distill_online(by_library, batch, alpha=0.7, epochs=1, batch_size=64)
apart = [
    (predict(a, batch.tensors[0]) - predict(b, batch.tensors[0])).abs().max().item()
    for a, b in zip(by_hand, by_library, strict=True)
]
claim("After one round, logits agree to 1 part in 1,000", max(apart) < 1e-3)

# %% [markdown]
# Now pairs of students, alone and together. Each pair starts from the same two sets of weights both times.

# %% tags=["nbval-ignore-output"]
alone, together = [], []
for k in seeds:
    seed_everything(k)
    pair = [SmallCNN(width=4) for _ in range(2)]
    lone = copy.deepcopy(pair)
    for student in lone:
        fit(student, few, generator=order(k), **how)
    distill_online(pair, few, alpha=0.7, generator=order(k), **how)
    alone.append(lone)
    together.append(pair)
lone_scores = [[score(s) for s in pair] for pair in alone]
peer_scores = [[score(s) for s in pair] for pair in together]
online_gain = gain([mean(p) for p in peer_scores], [mean(p) for p in lone_scores])
print(f"alone    {mean(map(mean, lone_scores)):.1f} %")
print(f"together {mean(map(mean, peer_scores)):.1f} %")
print("gain of a student: {:.1f} ± {:.1f} points".format(*online_gain))

# %%
claim(
    "A peer is worth less than 4 points, and costs less than 1", -1 < online_gain[0] < 4
)


def contradiction(pairs):
    """KL between the answers of a pair, in nats, mean over the test images."""
    answers = [[F.log_softmax(predict(s, test.images), 1) for s in p] for p in pairs]
    return mean(((a - b) * a.exp()).sum(dim=1).mean().item() for a, b in answers)


# %%
claim(
    "Apart, two students contradict each other more than together",
    contradiction(alone) > contradiction(together),
)

# %% tags=["hide-input", "fig-many-online"] mystnb={"image": {"alt": "Eight lines, one for each student, from its test accuracy when it learned alone to its accuracy when it learned with a peer: most of the lines rise by one or two points."}}
figure, axis = plt.subplots(figsize=(6.5, 2.9))
for before, after in zip(lone_scores, peer_scores, strict=True):
    for student, marker in enumerate("os"):
        ends = [before[student], after[student]]
        axis.plot([0, 1], ends, marker + "-", color=COLOURS["blue"], alpha=0.7)
axis.set(
    xticks=[0, 1],
    xticklabels=["alone", "with a peer"],
    xlim=(-0.3, 1.3),
    ylabel="test accuracy (%)",
)
plt.show()

# %% [markdown]
# *Eight students, each alone and with a peer; a line joins the two runs from one start.* Most of the lines rise, some fall,
# and the mean is near one point, which four pairs can hardly tell from none. Ten pairs can: see the end of this page. It
# cost no teacher. It did cost time: each student is also asked for its answers. And it
# cost variety. Students who listen to each other become alike: their answers differ less. Whoever wants
# to *average* several networks in the end should know that learning together uses up part of what an average lives on.
#
# ### An answer of all
#
# *Collaborative learning* goes one step further {cite}`guo2020online`: first make one answer of all the students', then let
# everybody follow it. Which one? The mean is the first idea, and it is none. The exercise below shows that following the
# mean of all answers, one's own among them, is {eq}`eq-many-mutual` with a smaller $\alpha$. One of the paper's
# proposals uses the labels: for each class, take the **least** that any student believes of it, compared with the true
# class,
#
# $$z^{\min}_k = \min_m \big(z^{(m)}_k - z^{(m)}_y\big).$$ (eq-many-min)
#
# In words: a wrong class is only as likely as the most sceptical student finds it. So this answer is surer of
# the label than each of the students, image by image.

# %%
logits = torch.stack([predict(s, few.images) for s in alone[0]])  # (M, n, classes)
combined = min_logit(logits, few.labels)
of_label = logits.gather(2, few.labels.expand(2, -1)[..., None])
claim(
    "One line and the library agree exactly",
    torch.equal(combined, (logits - of_label).amin(dim=0)),
)
surer = F.cross_entropy(combined, few.labels, reduction="none")
single = [F.cross_entropy(z, few.labels, reduction="none") for z in logits]
claim(
    "The combined answer is never less sure of the label",
    all(bool((surer <= one + 1e-5).all()) for one in single),
)

# %% [markdown]
# `distill_online(…, answer="min_logit")` trains with it. Such an answer is nearer to the label, and so has less of the doubt
# that made a peer worth hearing. This page does not measure what it gains.
#
# ## Self-distillation: be your own teacher
#
# Cut a network, the *trunk*, into sections. Put an **exit** behind each: a small *bottleneck* that turns what the section
# returns into $D$ features $h$, and a linear classifier. The deepest exit $E$ is the network's usual output. It sees the
# most, so let it teach the exits before it {cite}`zhang2019teacher`. With $p^{(e)}$, $h^{(e)}$ for exit $e$,
#
# $$L = \mathrm{CE}\big(y, p^{(E)}\big) + \sum_{e < E} \Big[ (1 - \alpha)\, \mathrm{CE}\big(y, p^{(e)}\big)
# + \alpha\, T^2\, \mathrm{KL}\big(p^{(E)}(T) \,\|\, p^{(e)}(T)\big)
# + \beta\, \tfrac1D \lVert h^{(e)} - h^{(E)} \rVert^2 \Big].$$ (eq-many-self)
#
# In words: every exit learns the labels; each early exit also learns the deepest exit's answer and, as a hint, its
# features. Again the teacher's side is constant. What can the deepest exit itself gain from this? Nobody teaches it. But the
# early exits pull on the layers that it stands on.
#
# We cut the student in three: after each convolution, and before the last layer. The deepest exit is then exactly the
# network that was trained alone above, from the same start.


# %%
def with_exits(student):
    """A SmallCNN in three sections; its own last layer is the deepest classifier."""
    layers = copy.deepcopy(student).layers
    cut = [layers[:4], layers[4:7], layers[7:10]]
    network = SelfDistillation(cut, few.images[:1], classes=10)
    network.classifiers[-1] = layers[10]
    return network


# %%
seed_everything(seeds[0])
plain = SmallCNN(width=4)
network = with_exits(plain)
claim(
    "The deepest exit is the plain network",
    torch.allclose(predict(network, test.images), predict(plain, test.images)),
)

# %%
x, y = few.images[:64], few.labels[:64]
early, middle, deep = network.exits(x)  # (n, classes) each
first = network.sections[0](x)
second = network.sections[1](first)
h_deep = network.sections[2](second).detach()  # a constant
h_early, h_middle = network.bottlenecks[0](first), network.bottlenecks[1](second)
by_hand = F.cross_entropy(deep, y)
for z, h in ((early, h_early), (middle, h_middle)):
    by_hand += distillation_loss(z, deep, y, temperature=2.0, alpha=0.3)
    by_hand += 0.1 * (h - h_deep).square().mean()
by_library = network.loss(x, y, temperature=2.0, alpha=0.3, beta=0.1)
claim(
    "By hand and by the library: equal to 1 part in 10,000",
    abs(by_hand.item() / by_library.item() - 1) < 1e-4,
)

# %% [markdown]
# Two ways to train the exits: with labels alone ($\alpha = \beta = 0$, which is called *deep supervision*), and with the
# deepest exit as a teacher. Both stand beside the plain network. The weights are small on purpose, $T = 1$, $\alpha = 0.3$,
# $\beta = 0.001$, the library's defaults; larger ones did harm in trials.

# %% tags=["nbval-ignore-output"]
ways = {"labels": {"alpha": 0.0, "beta": 0.0}, "own teacher": {}}
exits = {name: [] for name in ways}
for k in seeds[:3]:
    seed_everything(k)
    start = SmallCNN(width=4)  # where the first of each pair started
    for name, weights in ways.items():
        network = with_exits(start)
        loss = partial(SelfDistillation.loss, **weights)
        fit(network, few, loss=loss, generator=order(k), **how)
        exits[name].append([score(network.until(exit)) for exit in range(3)])
plain_scores = [pair[0] for pair in lone_scores]
self_gain = {
    name: gain([deepest for *_, deepest in found], plain_scores[:3])
    for name, found in exits.items()
}
for name, found in exits.items():
    means = "  ".join(f"{mean(column):.1f}" for column in zip(*found, strict=True))
    middle_of, half = self_gain[name]
    print(
        f"{name:<12} exits: {means} %   deepest: {middle_of:+.1f} ± {half:.1f} points"
    )
print(f"plain        {mean(plain_scores):.1f} %")

# %%
claim(
    "The deepest exit differs from the plain network by less than 5 points",
    all(abs(middle_of) < 5 for middle_of, _ in self_gain.values()),
)
first = {name: mean(found[0] for found in exits[name]) for name in ways}
claim(
    "Its own teacher gives the first exit less than 2 points more than labels do",
    first["own teacher"] - first["labels"] < 2,
)
# %%
image = test.images[:1]
costs = [multiply_adds(network.until(exit), image) for exit in range(3)]
claim("The first exit multiplies less than half as much", costs[0] < 0.5 * costs[2])
claim(
    "The deepest costs what the plain network costs",
    costs[2] == multiply_adds(plain, image),
)

# %% [markdown]
# **Nothing is gained that three pairs could show**, neither at the deepest exit nor, beyond what labels give, at the early
# ones. For most of a training this short the teacher has not learned yet what it should teach. What this network
# gets are its exits: networks of several prices in one file. And an image may choose its price itself: stop at the
# first exit that is sure {cite}`teerapittayanon2016branchynet`.


# %%
def stop_when_sure(network, images, confidence):
    """Answers `[N]`, and the exit at which each image stopped."""
    logits = predict_exits(network, images)
    sure = F.softmax(logits, dim=2).amax(dim=2) >= confidence
    sure[-1] = True  # the deepest exit has to answer
    stopped = sure.int().argmax(dim=0)  # the first that is sure
    return logits[stopped, torch.arange(len(images))].argmax(dim=1), stopped


def predict_exits(network, images):
    network.eval()
    with torch.no_grad():
        return network.exits(images)


# %%
curve = []
for confidence in (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.01):
    answers, stopped = stop_when_sure(network, test.images, confidence)
    right = 100 * (answers == test.labels).float().mean().item()
    curve.append(
        (confidence, torch.tensor(costs)[stopped].float().mean().item(), right)
    )
price = {confidence: cost / costs[2] for confidence, cost, _ in curve}
claim("At 90 % confidence an image costs less than the deepest exit", price[0.9] < 1)
lost = curve[-1][2] - curve[4][2]
claim("and less than 4 points of accuracy are lost", lost < 4)

# %% tags=["hide-input", "fig-many-exits"] mystnb={"image": {"alt": "Test accuracy against thousands of multiply-adds an image. Three squares for the exits rise from left to right. A line of circles for stopping when sure rises faster, and comes near the deepest exit's accuracy, or passes it, at a lower cost."}}
figure, axis = plt.subplots(figsize=(6.5, 3.2))
last = exits["own teacher"][-1]
axis.plot(
    [c / 1000 for c in costs],
    last,
    "s",
    color=COLOURS["orange"],
    markersize=9,
    label="one exit for all images",
)
axis.plot(
    [cost / 1000 for _, cost, _ in curve],
    [right for *_, right in curve],
    "o-",
    color=COLOURS["blue"],
    label="each image stops when sure",
)
axis.set(xlabel="multiply-adds an image (thousands)", ylabel="test accuracy (%)")
axis.legend()
plt.show()

# %% [markdown]
# *What an exit costs and what it gives, for one network.* Squares: all images leave by one exit. Circles: each leaves by
# the first exit that is sure enough, from any confidence at all (left) to never (right). Most digits are easy, and need
# no deep layers. Multiply-adds are counted, not timed; in a batch, images that stop early must be taken out of it before
# anything is saved.
#
# ### Where it pays: a trunk that cannot be trained
#
# The same loss on another trunk. Eight layers of 32 units are too deep and too thin for 300 labels and a hundred steps: what
# reaches the first layers of the gradient is little, and it says little.

# %% tags=["nbval-ignore-output"]
short = {"epochs": 20, "learning_rate": 5e-3, "batch_size": 64}
deep_plain, deep_self = [], []
for k in seeds[:3]:
    seed_everything(k)
    layers = MLP(*[32] * 8).layers
    cut = [layers[:4], *(layers[i : i + 2] for i in range(4, 18, 2))]
    network_deep = SelfDistillation(cut, few.images[:1], classes=10)
    network_deep.classifiers[-1] = layers[18]
    deepest_alone = copy.deepcopy(network_deep).until(7)
    fit(deepest_alone, few, generator=order(k), **short)
    fit(network_deep, few, loss=SelfDistillation.loss, generator=order(k), **short)
    deep_plain.append(score(deepest_alone))
    deep_self.append([score(network_deep.until(exit)) for exit in range(8)])
deep_gain = gain([found[-1] for found in deep_self], deep_plain)
print(f"plain {mean(deep_plain):.1f} %")
print("gain: {:.1f} ± {:.1f} points".format(*deep_gain))

# %%
claim("With exits the deepest one gains over 3 points", deep_gain[0] > 3)
claim(
    "The first exit is better than the deepest: the depth was no use",
    mean(found[0] for found in deep_self) > mean(found[-1] for found in deep_self),
)

# %% tags=["hide-input", "fig-many-deep"] mystnb={"image": {"alt": "Test accuracy of the eight exits of a deep, thin network: highest at the first exit and falling slowly to the eighth, which still lies far above a dashed line, the same trunk trained without exits."}}
figure, axis = plt.subplots(figsize=(6.5, 2.9))
for found in deep_self:
    axis.plot(range(1, 9), found, "o-", color=COLOURS["blue"], alpha=0.6)
axis.axhline(
    mean(deep_plain),
    color=COLOURS["orange"],
    linestyle="--",
    label="the same trunk without exits",
)
axis.set(xlabel="exit", ylabel="test accuracy (%)", xticks=range(1, 9))
axis.legend()
plt.show()

# %% [markdown]
# *Eight exits of a deep, thin network; a line for each of three seeds.* The deepest exit gains many points over the
# same trunk alone, because the exits hand the labels to the first layers directly. This is the effect that made the
# method known, in networks of over a hundred layers. But look at the left end: the *first* exit is the best one. Whoever
# reports the gain of the deepest exit alone has not said that the trunk should have been shorter.
#
# A close relative trains a whole network, then a second one of the same build on the answers of the first. Such *born-again*
# networks {cite}`furlanello2018born` are ordinary offline distillation with a teacher of the student's own size.
#
# ## Several teachers
#
# Four schools have 300 labelled digits each. They may not pool them: the law, or a competitor, forbids it. Each can train a
# network, and can let it answer for images that have no label. A student hears all of them. With teacher $m$'s answer
# $q^{(m)}(T)$ and its weight $w_m \ge 0$, $\sum_m w_m = 1$, the soft term is {cite}`you2017learning`
#
# $$\alpha\, T^2 \sum_{m=1}^{M} w_m\, \mathrm{KL}\big(q^{(m)}(T) \,\|\, p(T)\big)
# = \alpha\, T^2 \Big[ \mathrm{KL}\big(\bar q(T) \,\|\, p(T)\big)
# + \underbrace{\textstyle\sum_m w_m \mathrm{KL}\big(q^{(m)}(T) \,\|\, \bar q(T)\big)}_{\text{how far the teachers disagree}}
# \Big], \qquad \bar q = \sum_m w_m\, q^{(m)}.$$ (eq-many-mean)
#
# To see it, put $\log (q/p) = \log(q/\bar q) + \log(\bar q/p)$ into the left side; the second part, summed with the
# weights, is the divergence of the mean. In words: **to listen to all teachers is to listen to their mean answer.** The rest
# does not contain the student, so it has no gradient. It is a constant that says how far the teachers disagree.


# %%
def by_loop(z, teachers, labels, *, temperature, alpha, weights):
    """The left side: one distillation loss for each teacher."""
    losses = [
        distillation_loss(z, z_t, labels, temperature=temperature, alpha=alpha)
        for z_t in teachers
    ]
    return sum(w * loss for w, loss in zip(weights, losses, strict=True))


# %%
draws = torch.Generator().manual_seed(seed())
z_s = torch.randn(64, 10, generator=draws, dtype=torch.float64, requires_grad=True)
z_t = 3 * torch.randn(4, 64, 10, generator=draws, dtype=torch.float64)
weights = [0.1, 0.2, 0.3, 0.4]
numbers = {"temperature": 2.0, "alpha": 0.9}
loop = by_loop(z_s, z_t, y, **numbers, weights=weights)
once = multi_teacher_loss(z_s, z_t, y, **numbers, weights=weights)
claim("Loop and library agree to 10 digits", abs((loop / once).item() - 1) < 1e-10)

# %%
shares = torch.tensor(weights, dtype=torch.float64)[:, None, None]
q_mean = (shares * F.softmax(z_t / 2, dim=2)).sum(dim=0)
follow = distillation_loss(z_s, 2 * q_mean.log(), y, **numbers)
slopes = [torch.autograd.grad(loss, z_s)[0] for loss in (once, follow)]
claim("The mean answer gives the same gradient", torch.allclose(*slopes, atol=1e-12))
claim("and a smaller loss: the teachers disagree", bool(follow < once))

# %% [markdown]
# Note what the mean is taken of. It is the *answers*, not the logits. A mean of logits is another answer, nearer to
# whoever shouts loudest, and programs have mixed up the two. A check:

# %%
of_logits = distillation_loss(z_s, (shares * z_t).sum(dim=0), y, **numbers)
(other,) = torch.autograd.grad(of_logits, z_s)
turned = 1 - F.cosine_similarity(other.flatten(), slopes[0].flatten(), dim=0).item()
claim("The mean of the logits turns the gradient", turned > 1e-3)

# %% [markdown]
# Now the four schools. The student has the schools' answers for 4,000 images and **no label at all**. Beside it: the same
# student who hears one school only, and the lone student with one school's labels.

# %%
schools = []
for m in range(4):
    seed_everything(seeds[0] + 50 + m)
    teacher = SmallCNN(width=4)
    own = train.select(slice(300 * m, 300 * (m + 1)))
    fit(teacher, own, generator=order(m), **how)
    schools.append(teacher)
answers = torch.stack([predict(teacher, train.images) for teacher in schools], dim=1)
unlabelled = TensorDataset(train.images, answers)  # (n, M, classes)


# %%
def listen(student, images, answers, *, to=slice(None)):
    """The loss of a student who hears some of the schools."""
    heard = answers[:, to].transpose(0, 1)  # (M, n, classes)
    blend = {"temperature": 2.0, "alpha": 1.0}
    return multi_teacher_loss(student(images), heard, None, **blend)


# %% tags=["nbval-ignore-output"]
heard = {"one school": slice(1), "four schools": slice(4)}
several = {name: [] for name in heard}
for k in seeds[:3]:
    for name, to in heard.items():
        seed_everything(k)
        student = SmallCNN(width=4)
        loss = partial(listen, to=to)
        fit(student, unlabelled, loss=loss, generator=order(k), **how | {"epochs": 3})
        several[name].append(score(student))
for name, values in several.items():
    middle_of, half = gain(values, plain_scores[:3])
    print(f"{name:<13} {mean(values):.1f} %, gain: {middle_of:+.1f} ± {half:.1f}")

# %%
school_scores = [score(teacher) for teacher in schools]
votes = [F.softmax(predict(teacher, test.images) / 2, dim=1) for teacher in schools]


def read(votes, weights):
    """Test accuracy of a weighted mean of answers, in per cent."""
    answer = sum(w * vote for w, vote in zip(weights, votes, strict=True))
    return 100 * (answer.argmax(dim=1) == test.labels).float().mean().item()


# %%
all_four = read(votes, [1, 1, 1, 1])
claim("The mean answer beats every single school", all_four > max(school_scores))
listener = mean(several["four schools"])
claim(
    "Its student beats the average school by over 1", listener > mean(school_scores) + 1
)
claim("and the student of one school", listener > mean(several["one school"]))
several_gain = gain(several["four schools"], plain_scores[:3])

# %% tags=["hide-input", "fig-many-schools"] mystnb={"image": {"alt": "Horizontal bars of test accuracy: four schools of about equal height, their mean answer clearly higher, the student of one school at a school's height, and the student of all four near the mean answer."}}
rows = {f"school {m + 1}": [value] for m, value in enumerate(school_scores)}
rows |= {"mean answer": [all_four]}
rows |= {f"student of {name}": values for name, values in several.items()}
figure, axis = plt.subplots(figsize=(6.5, 3.1))
for row, (name, values) in enumerate(rows.items()):
    colour = COLOURS["blue"] if "student" in name else COLOURS["black"]
    axis.barh(row, mean(values), color=colour, alpha=0.35)
    axis.plot(values, [row] * len(values), "o", color=colour)
lowest = min(min(values) for values in rows.values())
axis.set(
    yticks=range(len(rows)),
    yticklabels=list(rows),
    xlabel="test accuracy (%)",
    xlim=(lowest - 4, 98),
)
axis.invert_yaxis()
plt.show()

# %% [markdown]
# *Four schools, their mean, and two students; a dot for each seed. The axis does not start at 0.* No school had more than
# 300 labels. The student had none, and reads better than the average school. It did not see a single image of theirs with its
# label. What one school got wrong, three others got right, and the mean kept what they have in common. This is also the
# heart of a defence: chapter 6 adds noise to such votes, until no single person's data can be read from the student.
#
# ## The three side by side
#
# Four pairs of runs are what a page can afford. `benchmarks/distillation_knowledge.py` makes ten of each, chooses the
# numbers of each method on held-out images, and takes large networks for its several teachers.

# %%
ten = result("distillation_knowledge")["default"]["labels"]["300"]
claim("Ten pairs: a peer is worth 0 to 2 points", 0 < ten["online"]["gain"] < 2)
claim("Exits on the same network: less than 1", ten["self-distillation"]["gain"] < 1)
claim("Several large teachers: over 3", ten["several teachers"]["gain"] > 3)

# %% tags=["hide-input", "fig-many-gains"] mystnb={"image": {"alt": "Mean gain with a 95 percent interval for eight comparisons. On this page: a peer, about one point; exits on the small network, around zero; exits on the deep, thin network, far above zero with a wide interval; one school, around zero; four schools, some points. Over ten pairs: a peer, about one point; exits, around zero; large teachers, between five and six."}}
table = {
    "a peer": online_gain,
    "exits, small network": self_gain["own teacher"],
    "exits, deep and thin": deep_gain,
    "one school": gain(several["one school"], plain_scores[:3]),
    "four schools": several_gain,
}
names = {
    "online": "a peer",
    "self-distillation": "exits",
    "several teachers": "large teachers",
}
for method, name in names.items():
    low, high = ten[method]["interval"]
    table[f"{name}, ten pairs"] = (ten[method]["gain"], (high - low) / 2)
figure, axis = plt.subplots(figsize=(6.5, 3.3))
for row, (name, (middle_of, half)) in enumerate(table.items()):
    colour = COLOURS["orange"] if "ten" in name else COLOURS["blue"]
    axis.errorbar(middle_of, row, xerr=half, fmt="o", capsize=4, color=colour)
axis.axvline(0, color=COLOURS["black"], linewidth=1)
axis.set(
    yticks=range(len(table)),
    yticklabels=list(table),
    xlabel="gain in test accuracy (points), with a 95 % interval",
)
axis.invert_yaxis()
plt.show()

# %% [markdown]
# *What was gained over the same network alone, and how well three, four (blue) or ten (orange) pairs know it.* The rows are
# not a ranking: the schools bring labels that a lone student does not have, the large teachers were trained on 4,000,
# and the deep, thin network starts from so low that almost anything would help. The rows that are fair to the lone
# student in every respect are those of the peer and of the exits.
#
# ## What goes wrong
#
# **Threat model, in one line.** Nobody attacks here, but a student believes whoever it is told to believe. Three ways to
# believe the wrong one:
#
# **Peers without labels.** With $\alpha = 1$ nobody hears the labels. The students come to agree, and know nothing.

# %%
seed_everything(seed())
chorus = [MLP(32) for _ in range(2)]
distill_online(
    chorus, few, alpha=1.0, epochs=20, generator=order(0), learning_rate=5e-3
)
p, q = (F.softmax(predict(s, test.images), dim=1) for s in chorus)
claim(
    "Two such students agree to 0.1 in probability", (p - q).abs().mean().item() < 0.1
)
claim("and read less than 40 % of the digits", max(map(score, chorus)) < 40)

# %% [markdown]
# **A bad teacher among good ones.** One school has exchanged its class names: it calls each digit by the next one. The mean
# forgives one of four. It does not forgive two that make the same mistake, and nothing in the loss can tell who is right.
# A few labels can: weigh the teachers by what they are worth on them.

# %%
shifted = [votes[0].roll(1, dims=1), *votes[1:]]
two_shifted = [votes[0].roll(1, dims=1), votes[1].roll(1, dims=1), *votes[2:]]
one_bad, two_bad = (read(v, [1, 1, 1, 1]) for v in (shifted, two_shifted))
claim("One bad teacher of four costs less than 10 points", all_four - one_bad < 10)
claim("Two that agree cost over 15", all_four - two_bad > 15)

checked = train.select(slice(3000, 3050))  # 50 labels that no school had
worth = [(predict(t, checked.images).argmax(1) == checked.labels) for t in schools]
worth[0] = (predict(schools[0], checked.images).argmax(1) + 1) % 10 == checked.labels
worth[1] = (predict(schools[1], checked.images).argmax(1) + 1) % 10 == checked.labels
weighed = read(two_shifted, [right.float().mean().item() for right in worth])
claim("Weights from 50 labels: less than 10 are lost", all_four - weighed < 10)

# %% [markdown]
# **A teacher who is no constant.** If the gradient flows into the teacher's side as well, the deepest exit is pulled towards
# the shallow ones, and both can lower their loss by saying less. In `network.loss` the deepest classifier hears the labels
# alone:

# %%
(own,) = torch.autograd.grad(
    network.loss(x, y, temperature=2.0, alpha=0.9, beta=1.0),
    network.classifiers[-1].bias,
)
deep = network.exits(x)[-1]
(labels_alone,) = torch.autograd.grad(
    F.cross_entropy(deep, y), network.classifiers[-1].bias
)
claim(
    "Its gradient is that of the labels", torch.allclose(own, labels_alone, atol=1e-5)
)

# %% [markdown]
# **How to evaluate it honestly.** Start the lone network from the same weights, and show it the same images as often. Count
# what each side had: four schools have 1,200 labels between them, so compare also with a student who has all of these, where
# the law allows it. Report every exit, not the deepest alone. Report what training cost: a pair of peers is two trainings,
# and the answers in between. And if you have $M$ networks in the end, compare with their mean, not only with one.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *The mean is no news.* Three students follow the mean of **all** answers, each student's own
# answer among them (as a constant). Show that the gradient is that of {eq}`eq-many-mutual` times a number, and find the
# number. Check it at $T = 1$.
#
# <details><summary>Hint 1: where to start</summary>
#
# For one image the gradient of $\mathrm{KL}(q \,\|\, p)$ with respect to the logits is $p - q$, as in
# [lecture 1.1](response_based.ipynb).
#
# </details>
#
# <details><summary>Hint 2: the next step</summary>
#
# Put $q = \tfrac1M \sum_j p^{(j)}$ in, and take the student's own answer out of the sum.
#
# </details>

# %% tags=["hide-cell"]
# Solution: p − (1/M) Σ_j p_j = (1 − 1/M) p − (1/M) Σ_{j≠m} p_j
#         = (M − 1)/M · (p − mean of the peers): the peers' gradient, times (M − 1)/M.
own, *peers = (z.detach() for z in z_t[:3])
own.requires_grad_()
soft = {"temperature": 1.0, "alpha": 1.0}
of_all = multi_teacher_loss(own, [own, *peers], None, **soft)
of_peers = multi_teacher_loss(own, peers, None, **soft)
with_own, without = (torch.autograd.grad(v, own)[0] for v in (of_all, of_peers))
claim(
    "With three students the number is 2/3",
    torch.allclose(with_own, 2 / 3 * without, atol=1e-12),
)

# %% [markdown]
# **Exercise 2** (15 minutes). *How sure is sure enough?* Choose the confidence of `stop_when_sure` on 200 images that were not
# used for training: the cheapest one that loses at most one point there against the deepest exit. What does it lose on
# the test images?
#
# <details><summary>Hint 1: what is there already</summary>
#
# `train.select(slice(3500, 3700))` has images that this network never saw. `stop_when_sure` and `costs` do the rest.
#
# </details>
#
# <details><summary>Hint 2: what to expect</summary>
#
# 200 images measure a point with an error of about two. A threshold chosen on them will be a little too bold or too timid.
#
# </details>

# %% tags=["hide-cell"]
# Solution: the choice holds on the test images up to a few points. More images for the
# choice make it hold better; choosing on the test images would make it look better.
held_out = train.select(slice(3500, 3700))


def accuracy_at(data, confidence):
    answers, stopped = stop_when_sure(network, data.images, confidence)
    cost = torch.tensor(costs)[stopped].float().mean().item()
    return 100 * (answers == data.labels).float().mean().item(), cost


best, _ = accuracy_at(held_out, 1.01)
candidates = [c / 100 for c in range(50, 100)] + [1.01]
fine = [c for c in candidates if accuracy_at(held_out, c)[0] >= best - 1]
chosen = min(fine, key=lambda c: accuracy_at(held_out, c)[1])
(at_chosen, cost), (at_full, _) = (accuracy_at(test, c) for c in (chosen, 1.01))
claim("On the test images less than 6 points are lost", at_full - at_chosen < 6)
claim("and the price is no higher than the deepest exit's", cost <= costs[2])

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Two untrained students teach each other, without any label. What do they learn?
# - The digits, slowly :: Nothing tells them what a digit is called.
# + To agree :: Each moves to where the other is. Agreement is all that the loss asks for.
# - Nothing changes :: Their answers do change, until they are the same.
# ? Four teachers, equal weights. What is the same as adding their four losses, up to a constant?
# + Following the mean of their answers :: The rest is how far they disagree, and does not contain the student.
# - Following the mean of their logits :: That is a geometric mean of the answers, and another gradient.
# - Following the surest of them :: Then three would not be heard at all.
# ? A paper's network with exits gains 15 points at the deepest exit over the same trunk without. What should you ask first?
# - Whether T was tuned :: It may matter, but it does not question the trunk.
# + How good the earlier exits are :: If the first is the best, a shorter trunk would have done it.
# - Whether the exits cost parameters :: They do, a little; that is no reason for 15 points.
# ? Which of these did this page find to gain least?
# - Four schools instead of one :: Each brings labels that the others lack.
# + Exits for a small network that trains well anyway :: The deepest exit stayed where it was.
# - Exits for a deep, thin network :: There the gain was largest.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Online distillation needs no teacher, and ends with as many networks as one likes. A network with exits has
# several prices in one file, and can choose one for each image. Several teachers bring together what may not be pooled, and
# cost the student no more than one.
#
# **Limitations.** Peers know only what the labels say: expect a point, not five, and expect it where labels are few. Peers
# train together and so must fit into memory together. An early teacher who has learned nothing yet does harm: a high
# temperature, a large $\alpha$ or $\beta$ in a short training hold everybody back. Averaged teachers hand on the mistakes
# that they share. And in all three the student is at best as good as what somebody, somewhere, was taught by labels.
#
# **Software.** In this library: `tml_helpers.distillation.distill_online`, `SelfDistillation`, `multi_teacher_loss` and
# `min_logit`. [torchdistill](https://github.com/yoshitomo-matsubara/torchdistill) trains from configuration files, also
# with several teachers. For each of the papers there is a program of its authors or readers. Read it before you use it: the
# factor $T^2$, the constant teacher and the mean over peers are where they differ.
#
# ## What to take away
#
# A teacher need not be large, finished or somebody else. Peers gain a little by contradicting what each has merely
# memorised, and become alike. Exits make cheap answers possible, and rescue trunks that cannot be trained, which
# one should perhaps not have built. Several teachers are their mean answer, no more and no less, and that mean is better
# than each of them as long as they err in different places.
#
# Next: [lecture 1.4](without_the_data.ipynb) takes away the images, too.
