# %% [markdown]
# # 1.4 Without the data
#
# Distillation needs images for the teacher to answer. What if there are none? Data are thrown away, or secret, or somebody
# else's. Or there are images, but the student will not see what the teacher saw: it has another camera, or no
# neighbours to ask. This lecture keeps the teacher and takes the student's data away, in three ways.
#
# **What you will learn**
#
# - to teach a student without one real image, by a generator that paints what the teacher is sure of;
# - to ask of such a result how much of it the generator did, and how much a cloud would have done as well;
# - to recognise a generator that has collapsed, which no loss of the student shows;
# - to carry a teacher's knowledge from one modality to another by pairs without labels;
# - to let a student keep what a teacher learned from a graph, and to see when that is memory and not knowledge.
#
# **Before you start**: [lecture 1.1](response_based.ipynb). The symbols are those of the [notation
# page](../../book/notation.md).
#
# **Time**: 35 minutes to read; {{ cpu_seconds }} to run.

# %%
import warnings
from dataclasses import replace
from statistics import mean

import matplotlib.pyplot as plt
import torch
from matplotlib.collections import LineCollection
from scipy.stats import t as student_t
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers.claims import claim, seed
from tml_helpers.data import digits_graph, mnist
from tml_helpers.distillation import (
    GeneratorCollapseWarning,
    GraphNetwork,
    cross_modal,
    distill,
    distill_data_free,
    local_structure_loss,
    normalized_adjacency,
)
from tml_helpers.measured import result
from tml_helpers.models import STATISTICS, SmallCNN
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.training import accuracy, fit, predict, seed_everything

torch.set_num_threads(1)  # networks as small as these run fastest on one core
use_style()

# %% [markdown]
# ## The question: what can a teacher be asked, if not about data?
#
# The teacher is the one of lecture 1.1, and so is the rule: the student stands beside the same student without it. The
# data are MNIST's digits once more; the [data card](../../book/data_cards/mnist.md) says where they come from. In the first part of the page the student may not see any of them,
# labelled or not. We may: to train a teacher, which somebody else has done long ago, and to test.

# %%
train, test = mnist("train"), mnist("test")
train = train.select(slice(4000))  # the full MNIST gives as many images: same budget

# %% tags=["nbval-ignore-output"]
generator = seed_everything(seed())
teacher = SmallCNN()
fit(teacher, train, epochs=5, learning_rate=2e-3, batch_size=64, generator=generator)
print(f"teacher: {accuracy(teacher, test):.1%} of the test images right")

# %% [markdown]
# The student is a SmallCNN with a quarter of the channels and about a sixteenth of the weights. It needs a **transfer set**, images for the
# teacher to answer. They need no label, and so they need not be digits either. What else is there? Here are two sets that
# cost nothing. *Noise* draws each pixel by itself. *Clouds* draw 7×7 numbers and enlarge them, so that neighbouring pixels are
# alike, and make the result as bright as digits are (a bright pixel is ink; the figures show it dark). Where do we know that from? From the teacher: it carries
# two numbers, the mean and the standard deviation by which it normalises its input.


# %%
def noise(count, generator):
    return torch.rand(count, 1, 28, 28, generator=generator)


def clouds(count, generator):
    coarse = torch.randn(count, 1, 7, 7, generator=generator)
    smooth = F.interpolate(coarse, size=(28, 28), mode="bilinear")
    (centre,), (spread,) = STATISTICS["mnist"]
    slope = spread / (centre * (1 - centre))  # of a sigmoid: the spread comes out right
    logit = torch.logit(torch.tensor(centre)) + slope * smooth / smooth.std()
    return torch.sigmoid(logit)


free = torch.Generator().manual_seed(seed())
sets = {"noise": noise(4000, free), "clouds": clouds(4000, free)}
answers = {name: predict(teacher, images) for name, images in sets.items()}
counts = {name: z.argmax(dim=1).bincount(minlength=10) for name, z in answers.items()}
claim(
    "To the teacher, over half of the noises are one of three digits",
    counts["noise"].topk(3).values.sum().item() > 2000,
)
claim("It sees each digit in some cloud", counts["clouds"].min().item() > 0)

# %% [markdown]
# A teacher has to answer something, and its answer to nonsense is knowledge, too: it says where the borders between
# its classes run. The trouble with noise is that all of it lies on one side of nearly all borders.
#
# ## Paint what the teacher is sure of
#
# Data-free learning {cite}`chen2019datafree` trains a **generator** $G$, which turns random numbers $u$ into images $x = G(u)$. Nobody shows it
# an image. It is told by the teacher alone whether it does well. Let $q$ be the teacher's answer to one painted image, at $T = 1$, and
# $\bar q$ the mean of the answers to a batch. The generator makes small
#
# $$L_G = \mathrm{CE}\big(\operatorname{argmax} q,\, q\big) - \beta\, H(\bar q) - \gamma\, D(z^t, z^s),
# \qquad H(\bar q) = -\sum_k \bar q_k \log \bar q_k,$$ (eq-free-generator)
#
# where $D$ is the mean distance $|z^t - z^s|$ between the logits of teacher and student, each row less its mean. In words, term by term:
# the teacher should be *sure* of each image; the images of a batch should be of *all* classes, since $H$ is largest when the mean answer is
# flat; and they should be *hard*, so that student and teacher disagree {cite}`fang2019datafree,micaelli2019zero`. The student, for its part, makes $D$ small. The third term turns the two into
# adversaries. The paper on the first two has one more, which asks for large features; we leave it out.
#
# The generator here enlarges twice, as the clouds do, with small convolutions between, and its last layer gives all images
# the brightness that the teacher normalises away. The library's `distill_data_free` alternates: paint one batch and improve the generator, then let the
# student look at some of the latest batches. Once by hand, for one step:


# %%
class Overheard(nn.Module):
    """A teacher that remembers what it was asked."""

    def __init__(self, teacher):
        super().__init__()
        self.teacher, self.asked = teacher, []

    def forward(self, images):
        self.asked.append(images.detach())
        return self.teacher(images)


# %%
def terms_by_hand(images, teacher, student):
    z_t, z_s = teacher(images), student(images)
    q = F.softmax(z_t, dim=1)
    sure = -q.max(dim=1).values.log().mean()
    q_mean = q.mean(dim=0)
    entropy = -(q_mean * q_mean.log()).sum()
    difference = z_t - z_s
    distance = (difference - difference.mean(dim=1, keepdim=True)).abs().mean()
    return torch.stack([sure, entropy, distance])


def start(k):
    """A student before its first step, and the draws that follow."""
    generator = seed_everything(k)
    return SmallCNN(width=4), generator


# %%
how = {"shape": (1, 28, 28), "statistics": STATISTICS["mnist"], "batch_size": 64}
overheard, (student, generator) = Overheard(teacher), start(seed())
with warnings.catch_warnings(action="ignore", category=GeneratorCollapseWarning):
    made = distill_data_free(
        student, overheard, steps=1, looks=1, generator=generator, **how
    )
with torch.no_grad():
    mine = terms_by_hand(overheard.asked[0], teacher, start(seed())[0])
theirs = torch.tensor([made.one_hot[0], made.entropy[0], made.losses[0]])
claim(
    "The terms by hand are the library's", bool((mine / theirs - 1).abs().max() < 1e-4)
)

# %% [markdown]
# Now a hundred steps. The student looks eight times for each batch that is painted. Its rival is the same student,
# from the same start, which looks as often at noise.

# %% tags=["nbval-ignore-output"]
looks = {"learning_rate": 1e-2, "steps": 100, "looks": 8}
student, generator = start(seed())
made = distill_data_free(student, teacher, generator=generator, **looks, **how)
print(f"from painted images: {accuracy(student, test):.1%}")

rival, generator = start(seed())
distill(
    rival,
    teacher,
    TensorDataset(sets["noise"]),
    temperature=4.0,
    alpha=1.0,
    epochs=13,
    learning_rate=5e-3,
    batch_size=64,
    generator=generator,
)
print(f"from noise:          {accuracy(rival, test):.1%}")

# %%
claim("Without one real image, over 70 % of the digits", accuracy(student, test) > 0.7)
claim("From noise, less than half", accuracy(rival, test) < 0.5)
claim("No class is missing among the painted images", made.missing == [])

# %% tags=["hide-input", "fig-free-sets"] mystnb={"image": {"alt": "Four rows of eight images, ink dark on white. Noise: grey grain. Clouds: soft dark blobs. Painted: fewer and smoother dark shapes, read by the teacher as 0 to 7. Digits: handwritten digits."}}
with torch.no_grad():
    painted = made.network(torch.randn(64, made.network.latent, generator=free))
read = predict(teacher, painted).argmax(dim=1)
order = torch.stack([(read == k).float().argmax() for k in range(8)])
rows = {
    "noise": sets["noise"][:8],
    "clouds": sets["clouds"][:8],
    "painted": painted[order],
    "digits": train.images[:8],
}
figure, axes = plt.subplots(4, 8, figsize=(6.5, 3.6))
for line, (name, images) in zip(axes, rows.items(), strict=True):
    labels = predict(teacher, images).argmax(dim=1)
    for axis, image, label in zip(line, images, labels, strict=True):
        show_image(axis, image)
        axis.set_title(str(label.item()), fontsize=9, pad=2)
    line[0].text(-0.25, 0.5, name, transform=line[0].transAxes, ha="right", va="center")
plt.show()

# %% [markdown]
# *What the student may look at, and above each image what the teacher reads in it.* The third row was painted for the teacher's eyes only. It looks
# like no digit to us, and the teacher is sure of it all the same. That is the first lesson: a network can be sure of
# very many things that are nothing ([lecture 2.1](../20_adversarial/linear_explanation.ipynb) makes a weapon of it). The student does not need the digits themselves. It needs images on both sides of every border.
#
# ### How much of it did the generator do?
#
# The student learned without data. It does not follow that the *generator* taught it. So here are the controls, from
# `benchmarks/distillation_without_data.py`: several seeds, each with a teacher of its own; one start for all students of a seed,
# and for each as many looks, at the same rates and with the same loss.

# %% tags=["nbval-ignore-output"]
controls = result("distillation_without_data")["accuracy"]


def interval(gains):
    """Mean, and half the width of its 95 % interval by Student's t."""
    values = torch.tensor(gains)
    half = student_t.ppf(0.975, len(gains) - 1) * values.std() / len(gains) ** 0.5
    return values.mean().item(), half.item()


def gain_over(one, other):
    """Mean paired difference in points, and half of its interval."""
    pairs = zip(controls[one], controls[other], strict=True)
    return interval([a - b for a, b in pairs])


for way, values in controls.items():
    print(
        f"{way:<30} {mean(values):5.1f} %, from {min(values):.1f} to {max(values):.1f}"
    )
print(f"seeds: {len(controls['teacher'])}")

# %% tags=["hide-input", "fig-free-controls"] mystnb={"image": {"alt": "Accuracy of students by what they looked at, a dot for each seed. Noise: far below all others. Clouds, patches of photographs, an untrained generator and trained ones: all high, between about 80 and 95 percent, and overlapping; a generator that was not told the brightness: lower. Real digits: highest, near the teacher."}}
names = list(controls)[1:]
_, axis = plt.subplots(figsize=(6.5, 3.4))
for row, way in enumerate(names):
    colour = COLOURS["blue"] if way.startswith("generator") else COLOURS["orange"]
    colour = COLOURS["black"] if way == "digits" else colour
    values = controls[way]
    axis.plot(values, [row] * len(values), "o", color=colour, alpha=0.6)
    axis.plot(mean(values), row, "|", color=colour, markersize=18, mew=2)
axis.set(yticks=range(len(names)), yticklabels=names, xlabel="test accuracy (%)")
axis.invert_yaxis()
plt.show()

# %% [markdown]
# *A dot for each seed, a bar at the mean; orange, what nobody trained; blue, what a generator painted; black, the real digits, unlabelled.* All students looked
# equally often. Read it from below. Real images remain the best, though nobody has labelled them. Next come the trained generators. But
# the clouds and the patches of five photographs, in which there is no digit at all, lie beside them.

# %% tags=["nbval-ignore-output"]
claim("From noise, no student reads 40 %", max(controls["noise"]) < 40)
claim("From clouds, each reads over 65 %", min(controls["clouds"]) > 65)
trained, half = gain_over("generator, adversary", "generator, untrained")
print(f"trained against untrained: {trained:+.1f} ± {half:.1f} points")
claim("The generator's training is worth 0 to 5 points", 0 < trained < 5)
painted, half = gain_over("generator, adversary", "clouds")
print(f"trained against clouds: {painted:+.1f} ± {half:.1f} points")
claim("Whether it beats clouds, eight seeds do not settle", abs(painted) < half)
rivalry, half = gain_over("generator, adversary", "generator")
print(f"with against without adversary: {rivalry:+.1f} ± {half:.1f} points")
claim("The adversary is worth less than 5 points either way", abs(rivalry) < 5)
told, _ = gain_over("generator, adversary", "generator, brightness unknown")
claim("Two numbers, how bright digits are, are worth over 5 points", told > 5)
missed, _ = gain_over("digits", "generator, adversary")
claim("Real images are worth 1 to 15 points more", 1 < missed < 15)

# %% [markdown]
# So nearly all that this student knows it learned because the images were smooth and as bright as digits. The generator's
# training adds two points or so, and clouds that cost nothing do about as well. Had we shown the generator beside noise alone, as
# many papers do, it would have looked like magic. It is also the honest answer to "no data at all": two numbers
# about the data were known, and they mattered more than the adversary did. A paper in the same spirit distilled a
# thousand classes from patches of a single photograph {cite}`asano2023extrapolating`.

# %% [markdown]
# ### A generator that has lost its way
#
# The student cannot know which images it was never shown. If the generator paints ones and nothing else, a student that says "one" to
# everything agrees with its teacher perfectly. So watch the classes, not the student's loss. Without the second
# term of {eq}`eq-free-generator` nothing holds the generator:

# %%
lost, generator = start(seed())
with warnings.catch_warnings(record=True, action="always") as said:
    gone = distill_data_free(
        lost,
        teacher,
        balance=0.0,
        adversary=0.0,
        generator_rate=2e-2,
        memory=10,
        steps=40,
        looks=2,
        learning_rate=1e-2,
        generator=generator,
        **how,
    )
told = [w for w in said if w.category is GeneratorCollapseWarning]
claim("The library says that classes are missing", len(told) == 1)
claim("At least one is", len(gone.missing) >= 1)
claim("The student's loss falls all the same", gone.losses[-1] < gone.losses[0])

# %% [markdown]
# The warning names the classes: mostly about half of the ten, with other seeds a few more or fewer. Nothing else names them. The student's loss
# falls as it should, because few classes are easily learned. Users of the first data-free code met this on MNIST, too, all
# images alike and a loss of nearly 0, and were told that it happens: start again.
#
# All of this is also an attack. Whoever may ask a model, and has no data like its owner's, can still copy it
# {cite}`truong2021datafree`. The attacker's difficulty is the gradient, which the generator needs and a service does not
# give; it has to be estimated from more questions. "They don't have our data" protects a model less than one would like.
#
# ## Across modalities: the student sees something else
#
# Now there are images, but not the teacher's. A robot's depth camera, an infrared lens at night, a drawing: the labelled data are photographs.
# What there often is are **pairs**: the same scene seen in both ways at the same moment, by nobody labelled. Then the
# teacher looks at its side of the pair, the student at the other, and the student learns to say what the teacher says
# {cite}`gupta2016cross`:
#
# $$L = T^2\, \mathrm{KL}\big(\operatorname{softmax}(f_t(a) / T) \,\|\, \operatorname{softmax}(f_s(b) / T)\big)
# \quad\text{for pairs } (a, b).$$ (eq-free-cross)
#
# In words: it is the loss of lecture 1.1, and all that is new is that the two networks read different sides. (The paper compares
# features in the middle of the networks; answers are the simplest version.) Our second modality is an edge picture: how
# steeply brightness rises or falls at each pixel, whichever way. It keeps outlines and throws away whether a stroke is
# bright or dark.


# %%
def edges(images):
    """Length of the brightness gradient, by central differences, at most 1."""
    across = F.pad(images, (1, 1, 0, 0))
    down = F.pad(images, (0, 0, 1, 1))
    dx = across[..., 2:] - across[..., :-2]
    dy = down[..., 2:, :] - down[..., :-2, :]
    return (dx**2 + dy**2).sqrt().clamp(max=1)


train_edges, test_edges = edges(train.images), edges(test.images)
test_of_edges = TensorDataset(test_edges, test.labels)

# %% tags=["hide-input", "fig-free-edges"] mystnb={"image": {"alt": "Two rows of eight images: handwritten digits above, and below each its edge picture, a thin dark outline on both sides of each stroke."}}
figure, axes = plt.subplots(2, 8, figsize=(6.5, 1.9))
for line, images in zip(axes, (train.images, train_edges), strict=True):
    for axis, image in zip(line, images[:8], strict=True):
        show_image(axis, image)
plt.show()

# %% [markdown]
# *What the teacher sees, and what the student sees.* The upper row was labelled once, and a teacher was trained on it. The
# lower is a new camera's, and nobody has labelled it. The teacher itself is not at home there:

# %%
strange = 100 * (accuracy(teacher, test) - accuracy(teacher, test_of_edges))
claim("On edge pictures the teacher reads over 3 points less", strange > 3)

# %% [markdown]
# Three students, each over three seeds and with as many looks. The first has labels for 300 edge pictures: somebody sat down for an afternoon. The second has the same
# 300 pictures, no label, and the teacher's answers to their partners. The third has 4,000 pairs, which cost
# nothing but letting both cameras run.

# %%
few = slice(300)
SIGHTS = 12_000  # how often a student looks at an image


def from_labels(k):
    student, generator = start(k)
    labelled = TensorDataset(train_edges[few], train.labels[few])
    how = {"learning_rate": 5e-3, "batch_size": 64, "generator": generator}
    fit(student, labelled, epochs=SIGHTS // 300, **how)
    return 100 * accuracy(student, test_of_edges)


def from_pairs(k, a, b):
    student, generator = start(k)
    how = {"learning_rate": 5e-3, "batch_size": 64, "generator": generator}
    pairs = TensorDataset(a, b)
    cross_modal(
        student, teacher, pairs, temperature=4.0, epochs=SIGHTS // len(a), **how
    )
    return 100 * accuracy(student, test_of_edges)


seeds = [100 * seed() + k for k in range(3)]
both = train.images, train_edges

# %% tags=["nbval-ignore-output"]
across = {
    "300 labels, alone": [from_labels(k) for k in seeds],
    "300 pairs, taught": [from_pairs(k, *(side[few] for side in both)) for k in seeds],
    "4,000 pairs, taught": [from_pairs(k, *both) for k in seeds],
}
for name, values in across.items():
    print(f"{name:<20} {mean(values):.1f} % of the edge pictures")
differences = {
    name: [
        a - b for a, b in zip(across[name], across["300 labels, alone"], strict=True)
    ]
    for name in ("300 pairs, taught", "4,000 pairs, taught")
}
for name, gains in differences.items():
    print("{}: {:+.1f} ± {:.1f} points over labels".format(name, *interval(gains)))

# %%
claim(
    "4,000 pairs and no label beat 300 labels under each seed",
    min(differences["4,000 pairs, taught"]) > 0,
)
claim("By over 2 points on average", mean(differences["4,000 pairs, taught"]) > 2)
claim(
    "On the same 300 pictures, answers are no worse than labels by over 3 points",
    mean(differences["300 pairs, taught"]) > -3,
)

# %% [markdown]
# It is the result of lecture 1.1 in other clothes. On the same pictures the teacher's answers are worth a few points more than labels. What
# pays is that they cost nothing, so that there are more of them. Two things can go wrong here that could not before. The two sides
# of a pair may not belong together: cameras out of step teach the answer to something else (exercise 2). And the second modality
# may not hold what the teacher sees. A student of edge pictures that is asked whether ink was black or white cannot
# say so, whatever its teacher knows.
#
# ## On a graph: a student that asks nobody
#
# Some data come with ties. A paper cites papers, an account follows accounts, a shop's customers buy what others
# bought. The things are the **nodes** of a **graph**, the ties are its **edges**, and the nodes at the other ends of a
# node's edges are its **neighbours**. A network that may look at the neighbours often needs few labels: if the six
# papers around a paper are all on neural networks, it hardly matters what the paper says.
#
# But such a network is a burden in use. To answer for one node it must fetch the neighbours, and *their* neighbours,
# from wherever they are stored. And for a node that came in a second ago, with no tie yet, it has nothing to fetch. So
# here is the question: can a student learn what the neighbours say, and then answer from the node alone?
#
# Our graph is on every machine. Its nodes are the 1,797 digits of scikit-learn, and each is tied to the eight that look
# most like it ([data card](../../book/data_cards/digits_graph.md)). Only 50 of them have a label that may be used, five
# of each digit. And 359 are kept away from teacher and student alike, node, edges and all, until both are judged. A
# test on such nodes is called **inductive**; one on nodes that were there in training, without their label,
# **transductive**.

# %%
graph = digits_graph()
known = graph.select(~graph.test)  # its edges, too: none leads to an unseen node
unseen = graph.nodes[graph.test]
first, second = graph.edges
alike = (graph.labels[first] == graph.labels[second]).float().mean().item()
claim("Nineteen in twenty edges tie equal digits", alike > 0.95)
claim(
    "50 labels, 1,438 known nodes", (int(known.train.sum()), len(known)) == (50, 1438)
)

# %% tags=["hide-input", "fig-free-graph"] mystnb={"image": {"alt": "Left: a map of 1,438 digits as dots in the colours of their classes, with grey lines between neighbours; the classes are clouds that overlap a little, and five larger dots in each cloud are the labelled ones. Right: a handwritten digit in the middle of a three by three grid, around it eight others that look like it."}}
figure, (left, right) = plt.subplots(1, 2, width_ratios=[3, 2], figsize=(6.8, 3.6))
centred = known.features - known.features.mean(dim=0)
places = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
lines = places[known.edges.T].numpy()  # (edges, 2 ends, 2 coordinates)
left.add_collection(LineCollection(lines, colors="0.6", linewidths=0.2, zorder=0))
for digit in range(10):
    here, marked = known.labels == digit, known.train & (known.labels == digit)
    left.scatter(*places[here].T, s=4, color=plt.cm.tab10(digit), alpha=0.7)
    left.scatter(*places[marked].T, s=45, color=plt.cm.tab10(digit), edgecolor="black")
left.set(title="digits, tied to their like", xticks=[], yticks=[])
node = int(first.bincount().argmax())
around = second[first == node][:8].tolist()
square = [*around[:4], node, *around[4:]]
tiles = graph.features[square].reshape(3, 3, 8, 8)
tiles = F.pad(tiles, (1, 1, 1, 1), value=0.5).permute(0, 2, 1, 3).reshape(30, 30)
right.imshow(tiles, cmap="gray_r", vmin=0, vmax=1)
right.set(title="one node, and eight around it", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# *A graph of digits.* Left, all known nodes at their first two principal components, with their edges; the large dots
# are the 50 with a label. A label can travel along the edges through most of its cloud. Right, the node with the most
# edges, in the middle, and eight of its neighbours: what they are says much about what it is.
#
# ### A network that asks the neighbours
#
# Let $A_{ij}$ be 1 where nodes $i$ and $j$ are tied and 0 elsewhere, and $I$ the identity, so that in $A + I$ each node
# is tied to itself as well; $d_i$ counts the ties of node $i$ there. The table $X$ has a row of features for each node.
# Two **graph convolutions** {cite}`kipf2017semi` make a network:
#
# $$z = \tilde A\, \mathrm{relu}\big(\tilde A X W_1\big)\, W_2,
# \qquad \tilde A_{ij} = \frac{(A + I)_{ij}}{\sqrt{d_i\, d_j}}.$$ (eq-free-convolution)
#
# In words: give every node a weighted mean over itself and its neighbours, pass that through a layer, and do it once
# more. The weights $W_1$ and $W_2$ are the same for all nodes. The root keeps a node with a hundred edges from drowning
# its neighbours. After two layers, node $i$ has heard from the neighbours of its neighbours. In plain PyTorch, with a
# full matrix for $\tilde A$ (the biases, left out above, start at 0):


# %%
def two_convolutions(X, edges, W1, W2):
    A = torch.eye(len(X))
    A[edges[0], edges[1]] = 1
    root = A.sum(dim=1).rsqrt()
    A = root[:, None] * A * root
    return A @ torch.relu(A @ X @ W1) @ W2


seed_everything(seed())
network = GraphNetwork(known.features, known.edges, hidden=64, classes=10).eval()
weights = network.first.weight, network.second.weight
mine = two_convolutions(known.features, known.edges, *weights)
gap = (mine - network(known.nodes)).abs().max().item()
claim("Five lines and the library agree to 0.00001", gap < 1e-5)

# %% [markdown]
# The library's `GraphNetwork` is two layers `GraphConvolution` with a sparse $\tilde A$, and keeps the graph inside:
# one passes the numbers of nodes, and gets their logits. What it learned can be loaded into a network on a larger
# graph, which is how the teacher will answer for unseen nodes: with their edges at hand. How much does one answer read?

# %%
tied = normalized_adjacency(graph.edges, len(graph)).to_dense() > 0
heard = (tied.float() @ tied.float() > 0).sum(dim=1)  # nodes, for each answer
claim(
    "One answer reads the features of 54 nodes on average",
    round(float(heard.float().mean())) == 54,
)

# %% [markdown]
# ### The student sees the node, the teacher its surroundings
#
# That is cross-modal distillation once more. The teacher's modality is the node *in its graph*, the student's is the
# node's own features, and the pairs cost nothing. The student is an MLP, which Zhang and others called a graph-less
# neural network {cite}`zhang2022graphless`. The control is the same MLP, from the same start, with the 50 labels.


# %%
def graph_teacher(on, k):
    generator = seed_everything(k)
    network = GraphNetwork(on.features, on.edges, hidden=64, classes=10)
    adam = torch.optim.Adam(network.parameters(), lr=0.01, weight_decay=5e-4)
    labelled = TensorDataset(on.nodes[on.train], on.labels[on.train])
    fit(network, labelled, epochs=100, optimizer=adam, generator=generator)
    return network


def without_a_graph(on, k, by=None, epochs=20):
    """An MLP of the nodes' features: from 50 labels, or from a teacher's answers."""
    generator = seed_everything(1000 + k)
    student = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    how = {"learning_rate": 5e-3, "generator": generator}
    if by is None:
        labelled = TensorDataset(on.features[on.train], on.labels[on.train])
        fit(student, labelled, epochs=575, **how)  # as many looks: 28,750
    else:
        pairs = TensorDataset(on.nodes, on.features)  # for the teacher, the student
        cross_modal(student, by, pairs, temperature=1.0, epochs=epochs, **how)
    return student


# %% [markdown]
# Both look at nodes as often, 20 times at 1,438 or 575 times at 50, and draw the same start. Temperature 1 is right here: a
# graph teacher with 50 labels is unsure enough by itself.


# %%
def right(logits, nodes, of):
    """Per cent of these nodes whose largest logit is that of their label."""
    hits = logits.argmax(dim=1) == of.labels[nodes]
    return 100 * hits.float().mean().item()


def judged(on, k, whole=graph, epochs=20):
    """Accuracy on known nodes without a label, and on unseen ones, of three."""
    teacher = graph_teacher(on, k)
    larger = GraphNetwork(whole.features, whole.edges, hidden=64, classes=10)
    larger.load_state_dict(teacher.state_dict())
    rest = on.nodes[~on.train]
    rows = {"teacher": (predict(teacher, rest), predict(larger, unseen))}
    for name, by in (("alone", None), ("taught", teacher)):
        student = without_a_graph(on, k, by, epochs)
        seen_and_not = on.features[rest], whole.features[unseen]
        rows[name] = tuple(predict(student, features) for features in seen_and_not)
    return {
        n: (right(a, rest, on), right(b, unseen, whole)) for n, (a, b) in rows.items()
    }


# %% tags=["nbval-ignore-output"]
five = [judged(known, 10 * seed() + k) for k in range(5)]
for name in ("alone", "taught", "teacher"):
    transductive, inductive = (mean(run[name][i] for run in five) for i in (0, 1))
    print(f"{name:<8} known nodes {transductive:.1f} %, unseen nodes {inductive:.1f} %")


# %%
gain, half = interval([run["taught"][1] - run["alone"][1] for run in five])
short, _ = interval([run["teacher"][1] - run["taught"][1] for run in five])
claim("On unseen nodes the answers are worth 2 to 7 points", 2 < gain < 7)
claim("The interval of this gain stays above 0", gain - half > 0)
claim("The student, which asks nobody, is within 4 points of its teacher", short < 4)

# %% tags=["hide-input", "fig-free-nodes"] mystnb={"image": {"alt": "Accuracy on unseen nodes as dots, five to a row: the MLP with 50 labels around 86 per cent, the same MLP taught by the graph network around 90, the graph network itself, which needs the edges, slightly above."}}
_, axis = plt.subplots(figsize=(6.5, 2.1))
rows = {
    "MLP, 50 labels": ("alone", "orange"),
    "MLP, teacher's answers": ("taught", "blue"),
    "teacher, with the edges": ("teacher", "black"),
}
for row, (name, colour) in enumerate(rows.values()):
    values = [run[name][1] for run in five]
    axis.plot(values, [row] * 5, "o", color=COLOURS[colour], alpha=0.6)
    axis.plot(mean(values), row, "|", color=COLOURS[colour], markersize=18, mew=2)
axis.set(yticks=range(3), yticklabels=list(rows), xlabel="accuracy on unseen nodes (%)")
axis.set_ylim(2.5, -0.5)
plt.show()

# %% [markdown]
# *What the neighbours said has moved into the weights; a dot for each seed, a bar at the mean.* The student reads one
# row of features where the teacher reads more than fifty, and needs no edge for a node that has just arrived. It can do
# so because here the features say what the edges say: digits are tied *because* they look alike. The teacher has used
# the edges to turn 50 labels into 1,438 answers, and answers can be learned without the edges.
#
# ### When the node alone knows nothing
#
# Now break just that. Every node keeps its edges and its label, but its features are replaced by noise, drawn once. The
# teacher can still work: nodes of one cloud share neighbours, so their means of noise are alike. The student gets the
# teacher's answers for the known nodes, as before, and looks at them five times as often.

# %%
generator = torch.Generator().manual_seed(seed())
noise = torch.randn(graph.features.shape, generator=generator)
blank = replace(graph, features=noise)
lost = judged(blank.select(~blank.test), 10 * seed(), whole=blank, epochs=100)
claim("The teacher still reads over 45 % of the unseen nodes", lost["teacher"][1] > 45)
claim("On known nodes its student looks alive: over 35 %", lost["taught"][0] > 35)
claim("On unseen nodes it guesses: below 20 %", lost["taught"][1] < 20)

# %% [markdown]
# Look at the middle claim again, for it is how papers on graphs go wrong. The student has learned the teacher's answers
# for these nodes *by heart*; their labels were hidden, but what the teacher made of their edges was not. A transductive
# score of a student without a graph measures in part how well it remembers. Only nodes that were there for neither,
# with their edges cut, say what it will do tomorrow.
#
# One more control belongs beside every network on a graph: no network. Start with the 50 labels, and let each node
# take, fifty times over, nine tenths of its neighbours' mean and one tenth of its own label {cite}`zhou2003learning`.

# %%
adjacency = normalized_adjacency(known.edges, len(known))
given = F.one_hot(known.labels, 10) * known.train[:, None].float()
spread = given
for _ in range(50):
    spread = 0.9 * (adjacency @ spread) + 0.1 * given
rest = known.nodes[~known.train]
by_edges = right(spread[rest], rest, known)
networks = mean(run["teacher"][0] for run in five)
claim(
    "Labels spread along the edges beat the network on known nodes", by_edges > networks
)

# %% [markdown]
# A mean over neighbours is nearly all that the teacher has, and here the mean by itself does better. It cannot answer
# for a node without edges. But a student could be taught its answers as well: what counts is what a teacher says, not
# how it came to say it.
#
# ### Another thing to keep: who is like whom
#
# A student that *may* ask the neighbours, but has few units, can be given the teacher's **local structure**
# {cite}`yang2020distilling`: whom of its neighbours a node is most like. With hidden features $h$ of teacher and
# student,
#
# $$L = \frac1N \sum_i \mathrm{KL}\big(S^t_i \,\|\, S^s_i\big), \qquad
# S_{ij} = \frac{\exp \omega_{ij}}{\sum_{k \in \mathcal N(i)} \exp \omega_{ik}}, \qquad
# \omega_{ij} = e^{-\lVert h_i - h_j \rVert^2 / 2 \sigma^2}.$$ (eq-free-structure)
#
# In words: among the neighbours $\mathcal N(i)$ of each node, turn nearness $\omega$ into shares that add up to 1, and
# let the student's shares follow the teacher's. As with the relations of lecture 1.2, both may have any number of
# features. Where $\sigma$ is not given, the library takes the root mean square of each network's own distances along
# the edges, so that scale doesn't matter.


# %%
def structure_by_loops(h_s, h_t, edges):
    shares = []
    for h in (h_s, h_t):
        squares = (h[edges[0]] - h[edges[1]]).pow(2).sum(dim=1)
        kernel = torch.exp(-squares / (2 * squares.mean()))
        of_node = [kernel[edges[0] == i].softmax(dim=0) for i in range(len(h))]
        shares.append(of_node)
    pairs = zip(*shares, strict=True)
    return sum((t * (t / s).log()).sum() for s, t in pairs) / len(h_s)


part = known.select(slice(200))
h_s, h_t = (torch.randn(200, width) for width in (4, 64))
mine = structure_by_loops(h_s, h_t, part.edges)
theirs = local_structure_loss(h_s, h_t, part.edges)
claim("Loops and the library agree to 0.00001", (mine - theirs).abs().item() < 1e-5)

# %% [markdown]
# ### The same on Cora
#
# Cora {cite}`sen2008collective` has 2,708 papers on machine learning, the words of each, and who cites whom; 140 of
# them have a label that may be used {cite}`yang2016revisiting`. It is the graph that most papers on this subject report
# ([data card](../../book/data_cards/cora.md)). No package carries it, so `benchmarks/distillation_cora.py` ran both
# graphs through all of the above, with eight seeds each, and the page shows what it found. The last rows are a graph
# network of eight hidden units; alone, answers and structure had three settings each to choose from, on validation
# labels.

# %% tags=["nbval-ignore-output"]
measured = result("distillation_cora")


def gains(name, part, method, nodes="unseen"):
    """Paired differences to the same network alone, in points."""
    both = (measured[name][part][student][nodes] for student in (method, "alone"))
    return [taught - alone for taught, alone in zip(*both, strict=True)]


table = {
    (name, label): interval(gains(name, part, method))
    for name in ("digits", "cora")
    for label, part, method in (
        ("MLP, answers", "mlp", "taught"),
        ("small graph network, answers", "small", "answers"),
        ("small graph network, structure", "small", "structure"),
    )
}
for (name, label), (gain, half) in table.items():
    print(f"{name:<7} {label:<31} {gain:+5.1f} ± {half:.1f} points")

# %%
claim(
    "Cora's MLP gains over 12 points by answers", table["cora", "MLP, answers"][0] > 12
)
structure = [
    table[name, "small graph network, structure"] for name in ("digits", "cora")
]
claim(
    "What structure is worth can't be told from 0",
    all(h > abs(g) for g, h in structure),
)
on_known = mean(gains("cora", "mlp", "taught", "seen"))
larger = on_known / table["cora", "MLP, answers"][0] - 1
claim("On known papers that gain is a quarter to a half larger", 0.25 < larger < 0.5)

# %% tags=["hide-input", "fig-free-cora"] mystnb={"image": {"alt": "Mean gains with intervals over the same network alone, on the graph of digits and on Cora. The MLP taught by the graph network gains about 4 points on digits and 15 on Cora, far from 0. The small graph network gains about 3 from answers, with intervals that reach to about 0, and 1 or 2 from local structure, with intervals across 0."}}
_, axis = plt.subplots(figsize=(6.5, 2.9))
for row, ((name, _), (gain, half)) in enumerate(table.items()):
    colour = COLOURS["blue"] if name == "digits" else COLOURS["orange"]
    axis.errorbar(gain, row, xerr=half, fmt="o", color=colour, capsize=4)
names = [f"{'digits' if n == 'digits' else 'Cora'}: {label}" for n, label in table]
axis.set(yticks=range(6), yticklabels=names)
axis.set_xlabel("gain over the same network alone (points, unseen nodes)")
axis.axvline(0, color=COLOURS["black"], linewidth=0.8)
axis.invert_yaxis()
plt.show()

# %% [markdown]
# *What a graph teacher is worth, eight seeds each, with 95 % intervals of the paired differences.* On Cora the answers
# are worth three times as much to an MLP as on the digits: there the edges hold what the words don't say, and 140 labels
# are too few to learn what 1,433 words mean. A small network that sees the edges itself has little left to gain: perhaps
# three points by answers, and by structure less than eight seeds can tell from nothing. The last claim is the trap of the
# noise once more, on real data: on papers whose answers it has learned, the student looks better than on those
# that it will meet.
#
# ## What goes wrong
#
# **Threat model, in one line.** The owner of a teacher distils it without data, and nobody attacks; the same code in a stranger's
# hands copies a model that was never handed out with its data.
#
# - *A collapsed generator is silent.* The student's loss is small. Look at the classes of what is painted, as above.
# - *A number leaks data into "no data".* Mean and standard deviation were taken over the training images. That is honest as long
#   as one says so; the row without them shows what they are worth.
# - *Chosen on the test set.* Whoever has no data cannot choose steps and rates by accuracy either. Ours were chosen
#   with digits at hand, on these test images and partly on the page's own seeds, which somebody without data could not do.
# - *Pairs that are labelled in secret.* If pairs were selected by what is in them, somebody has labelled them.
# - *A test on nodes that were there in training* praises memory.
#
# **How to evaluate it honestly.** Put beside the generator what costs nothing: noise, clouds, the generator before training. Pair over
# seeds, give an interval, and say what was known. As code, for anything that makes images:


# %% tags=["nbval-ignore-output"]
def honest_row(name, values, control):
    """One line of a table: level, paired gain over a control, and its interval."""
    pairs = zip(values, control, strict=True)
    gain, half = interval([a - b for a, b in pairs])
    return f"{name}: {mean(values):.1f} %, {gain:+.1f} ± {half:.1f} points"


print(honest_row("generator", controls["generator"], controls["clouds"]))

# %% [markdown]
# ## Practice
#
# **Exercise 1** (10 minutes). *Predict, then compute.* Clouds differ from noise in two ways: they are smooth, and as bright as digits. Which of
# the two matters? Draw noise that is as bright as digits, but not smooth. How many classes does the teacher read in fewer
# than one in a hundred of these images, and how many in clouds?
#
# <details><summary>Hint 1: what to change</summary>
#
# In `clouds`, draw 28×28 numbers and leave the enlargement out. All else stays.
#
# </details>
#
# <details><summary>Hint 2: what to count</summary>
#
# `predict(teacher, images).argmax(dim=1).bincount(minlength=10)` counts how often each class is read.
#
# </details>

# %% tags=["hide-cell"]
# Solution: smoothness matters. Without it the right brightness leaves most classes
# unread, and of a class that its teacher never names a student learns little.
(centre,), (spread,) = STATISTICS["mnist"]
grain = torch.randn(4000, 1, 28, 28, generator=torch.Generator().manual_seed(seed()))
slope = spread / (centre * (1 - centre))
grain = torch.sigmoid(torch.logit(torch.tensor(centre)) + slope * grain)
counts["grain"] = predict(teacher, grain).argmax(dim=1).bincount(minlength=10)
rare = {name: int((counts[name] < 40).sum()) for name in ("grain", "clouds")}
claim("More classes are rare in grain than in clouds", rare["grain"] > rare["clouds"])

# %% [markdown]
# **Exercise 2** (10 minutes). *Cameras out of step.* Shift the pairs by one: the teacher sees image $i$, the student the edges of
# image $i + 1$. Predict the student's accuracy, and what its answers look like. Then compute.
#
# <details><summary>Hint 1: how to shift</summary>
#
# `train_edges.roll(1, dims=0)` moves each edge picture one place on.
#
# </details>
#
# <details><summary>Hint 2: what can still be learned</summary>
#
# The images stand in no order, so the answer to one says nothing about the next. What is the best answer to an image about
# which one knows nothing?
#
# </details>

# %% tags=["hide-cell"]
# Solution: a tenth, as guessing does. The best answer is the teacher's mean answer, to
# every image. The loss falls to a plateau, which looks like training that has ended.
shifted = from_pairs(seeds[0], train.images, train_edges.roll(1, dims=0))
claim("Out of step, less than 35 % are right", shifted < 35)

# %% [markdown]
# **Exercise 3** (10 minutes). *Predict, then compute.* Cut all edges, of the known graph and of the whole one. What is
# $\tilde A$ now, and what kind of network is the teacher? How much are its answers worth to the student, in points on
# the unseen nodes?
#
# <details><summary>Hint 1: what is left of the convolution</summary>
#
# With $A = 0$ every node is tied to itself only, so $d_i = 1$. Put both into {eq}`eq-free-convolution`.
#
# </details>
#
# <details><summary>Hint 2: how to compute it</summary>
#
# `replace(known, edges=known.edges[:, :0])` is the graph without edges, and `judged` does the rest. One seed scatters
# by a point or two, so take three.
#
# </details>

# %% tags=["hide-cell"]
# Solution: Ã is the identity, and the teacher an MLP that has seen the same 50 labels
# as the student's rival. It has nothing to tell: what helped was the edges.
bare = replace(known, edges=known.edges[:, :0])
bare_whole = replace(graph, edges=graph.edges[:, :0])
cut = [judged(bare, 10 * seed() + k, whole=bare_whole) for k in range(3)]
worth = mean(run["taught"][1] - run["alone"][1] for run in cut)
claim("Without edges the answers are worth less than 3 points", abs(worth) < 3)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A student that learned from a generator agrees with its teacher on 99 % of the painted images. What follows for real ones?
# - It will agree on about 99 % of them :: Only if real images are like the painted ones, and nothing on this page made them so.
# + Nothing yet: the painted images may all be of two classes :: Look first at which classes were painted. Agreement on few is easy.
# - The teacher must have been bad :: The teacher's quality does not enter into agreement.
# ? A paper's data-free student reaches 92 %. Which control says how much of it the generator taught?
# - The same student, trained on real images :: It says how much is lost by having no data, not what the generator did.
# + The same student, taught on what an untrained generator paints :: All that differs is the generator's training.
# - A larger student :: It changes what the student can hold, not what it is shown.
# ? Which labels does a student across modalities need?
# - One for each edge picture :: It hears the teacher's answer to the photograph instead.
# - One for each photograph :: The teacher answers without them. They were needed once, to train the teacher.
# + None: pairs are enough :: The teacher answers on its side of each pair.
# ? Why could the MLP on the graph of digits come so near to its teacher without an edge?
# - Because it has as many units as the teacher :: It has half as many. And with noise for features it guesses, at the same size.
# + Because there the features say what the edges say :: The edges were made of the features. The teacher turned edges into answers, and the features are enough to repeat them.
# - Because its test nodes were among those that the teacher answered for :: They were not: their edges were cut before anything was trained.
# ? With noise for features, a student reads about half of the nodes that its teacher answered for, and a tenth of new ones. What has it learned?
# - The classes, but new nodes are harder :: New nodes are drawn as the old ones were. A tenth is what guessing gives.
# + The teacher's answers for these nodes, by heart :: Its features say nothing of the class, but they tell the nodes apart, and that is enough to remember.
# - Nothing: half is what guessing gives :: With ten classes, guessing gives a tenth.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** A teacher can be distilled when its data are gone. Pairs without labels carry it into a modality that nobody has
# labelled. From a graph it can be carried into a network that answers from a node alone.
#
# **Limitations.** A generator needs gradients through the teacher, some luck, and a low resolution: the digits here are easy, and most
# of the work was done by smoothness and brightness. On photographs in a thousand classes generators take days, and statistics of the teacher's batch
# normalisation help them, which a small teacher like ours does not have. Strongly varied patches of one large photograph are a control that is hard to beat there, too
# {cite}`asano2023extrapolating`. Across modalities a student learns only what both sides show.
#
# **Software.** [PyTorch Geometric](https://pytorch-geometric.readthedocs.io) for networks on graphs. The authors' code of
# [DAFL](https://github.com/huawei-noah/Efficient-Computing) and [Fast-Datafree](https://github.com/zju-vipa/Fast-Datafree),
# which has many data-free methods behind one script. In this library: `distill_data_free` with its `ImageGenerator`, `cross_modal`,
# `GraphNetwork` and `local_structure_loss` of `tml_helpers.distillation`.
#
# ## What to take away
#
# A teacher answers anything, and its answers to images that are nothing still say where its borders run. A generator
# finds such images by itself; before you praise it, ask what a cloud would have done. Where there are pairs, knowledge crosses from one
# modality to the next without a label. On a graph, answers stand in for neighbours as long as the features say what
# the edges say. In none of the three does the student's loss say that something has gone wrong: look at
# classes, pairs and nodes.
#
# Next: [what small costs, all ways on one picture](the_bill.ipynb).
