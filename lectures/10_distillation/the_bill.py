# %% [markdown]
# # 1.5 Other ways to be small, and the bill
#
# A student is one way to a small network. There are older ones, which need no student: take the trained network itself,
# and leave out weights, or ranks, or different values, or bits. This lecture does each in a few lines, writes real files
# and counts their bytes, and puts everything on one bill: what is lost, what it weighs, what it costs to run. Then it
# asks who pays for the saving.
#
# **What you will learn**
#
# - to prune a network, to cut its channels, to factorise its layers, to share and to round its weights;
# - to write a Huffman code, and to say how long a file will be before it is written;
# - why a network with 95 % zeros is no faster, and one with a quarter of its channels is;
# - to read accuracy, bytes, multiplications, time and energy side by side, and to tell counted from measured from estimated;
# - to find the images and groups that small networks give up, and to say which kind of knowledge pays when.
#
# **Before you start**: [1.1](response_based.ipynb), and what a singular value decomposition is. The symbols are those of
# the [notation page](../../book/notation.md).
#
# **Time**: 50 minutes to read; {{ cpu_seconds }} to run.

# %%
import heapq
import io
import tempfile
from collections import Counter
from pathlib import Path
from statistics import mean, stdev

import matplotlib.pyplot as plt
import torch
from scipy.stats import t
from torch import nn
from torch.nn import functional as F

# %%
from tml_helpers.claims import claim, seed
from tml_helpers.compression import (
    codebook,
    huffman,
    load_compressed,
    low_rank,
    plain,
    prune,
    prune_channels,
    quantize,
    save_compressed,
    sparsity_of,
)
from tml_helpers.data import mnist
from tml_helpers.measured import result
from tml_helpers.models import SmallCNN, multiply_adds, parameter_count
from tml_helpers.plotting import COLOURS, show_images, use_style
from tml_helpers.training import accuracy, fit, predict, seed_everything

torch.set_num_threads(1)  # networks as small as these run fastest on one core
use_style()

# %% [markdown]
# ## The question: where does the weight sit?
#
# The data and the teacher are those of the whole chapter: MNIST, with its [data card](../../book/data_cards/mnist.md),
# and the small convolutional network that [1.1](response_based.ipynb) trained on 4,000 digits.

# %% tags=["nbval-ignore-output"]
train, test = mnist("train"), mnist("test")
train = train.select(slice(4000))  # the full MNIST gives as many images: same budget
generator = seed_everything(seed())
teacher = SmallCNN()
fit(teacher, train, epochs=5, learning_rate=2e-3, batch_size=64, generator=generator)
print(f"teacher: {accuracy(teacher, test):.1%} of the test images right")


# %%
def score(model):
    """Test accuracy in per cent."""
    return 100 * accuracy(model, test)


# %%
convolutions = [teacher.layers[1], teacher.layers[4]]
linears = [teacher.layers[8], teacher.layers[10]]
pixels = [28 * 28, 14 * 14, 1, 1]  # how often each weight is used for one image
weights = [layer.weight.numel() for layer in convolutions + linears]
products = [n * places for n, places in zip(weights, pixels, strict=True)]
claim("206,922 parameters", parameter_count(teacher) == 206_922)
claim("97 % of them in one linear layer", round(100 * weights[2] / 206_922) == 97)
claim(
    "1.2 million multiply-adds, as counted by the library",
    sum(products) == multiply_adds(teacher, test.images[:1]) == 1_218_048,
)
claim("That layer does 16 % of them", int(100 * products[2] / sum(products)) == 16)
claim("The second convolution does 74 %", int(100 * products[1] / sum(products)) == 74)

# %% tags=["hide-input", "fig-bill-where"] mystnb={"image": {"alt": "Two bars for each of four layers: share of the parameters and share of the multiply-adds. The first linear layer has 97 percent of the parameters and 16 percent of the multiply-adds; the second convolution has 2 percent of the parameters and 74 percent of the multiply-adds."}}
figure, axis = plt.subplots(figsize=(6.5, 2.8))
names = ["convolution 1", "convolution 2", "linear 1", "linear 2"]
for offset, counts, hue, label in (
    (-0.2, weights, "blue", "of the weights"),
    (0.2, products, "orange", "of the multiply-adds"),
):
    shares = [100 * n / sum(counts) for n in counts]
    places = [row + offset for row in range(4)]
    bars = axis.barh(places, shares, 0.36, color=COLOURS[hue], label=label)
    axis.bar_label(bars, fmt="%.1f", padding=3, fontsize=9)
axis.set(yticks=range(4), yticklabels=names, xlabel="share (%)", xlim=(0, 110))
axis.invert_yaxis()
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# *Bytes sit in one layer, work in another.* A weight of a linear layer is used once for an image, a weight of a
# convolution once for every place. Whoever leaves out weights wherever they are least missed empties the linear layer,
# and hardly touches the work. So before you make a network small, say which smallness you mean:
#
# | way | what is left out | the file | multiplications |
# |---|---|---|---|
# | pruning | single weights | smaller, if zeros are not stored | as many, unless the hardware skips zeros |
# | cutting channels | whole channels and units | smaller | fewer |
# | low rank | directions in which a layer hardly acts | smaller | fewer |
# | codebook, Huffman | differences between similar weights | smaller | as many |
# | quantisation | digits of every weight | smaller | as many, each cheaper on the right hardware |
#
# In what follows $W$ is a layer's weights, a matrix with $d'$ rows for outputs and $d$ columns for inputs, $w$ one of
# them, and $\hat W$, $\hat w$ what is left of them.
#
# ## Fewer weights: pruning
#
# Which weight is missed least? If the loss were known around the trained weights, one could compute it: to second order,
# setting $w$ to zero raises the loss by $\tfrac12 h w^2$, where $h$ is the curvature in the direction of that weight. Training has made the
# slope about zero. This is *optimal brain damage* {cite}`lecun1989optimal`. Take all curvatures for equal and the
# weights with the smallest magnitudes go first {cite}`han2015learning`:
#
# $$\hat w = w \cdot \mathbb 1\big[\,|w| > \tau\,\big], \qquad \tau \text{ such that a share } \rho \text{ of all weights becomes } 0 .$$ (eq-bill-prune)
#
# In words: sort all weights by size, drop the smallest share $\rho$, the **sparsity**. Many cleverer rules have been
# proposed since. A study of 81 papers found that they had been compared in so many ways that one can hardly say which
# of them is better {cite}`blalock2020what`.


# %%
def prune_by_hand(model, sparsity):
    """All weight matrices with the smallest magnitudes at 0."""
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    sizes = torch.cat([layer.weight.abs().flatten() for layer in layers])
    threshold = sizes.kthvalue(round(sparsity * len(sizes))).values
    return [layer.weight * (layer.weight.abs() > threshold) for layer in layers]


# %%
pruned = prune(teacher, sparsity=0.9)
theirs = [layer.weight for layer in pruned.layers if hasattr(layer, "weight")]
other = sum(
    int((a != b).sum())
    for a, b in zip(prune_by_hand(teacher, 0.9), theirs, strict=True)
)
claim("By hand and by compression.prune: the same weights, but for ties", other <= 3)
claim("90 % of them are zero", abs(sparsity_of(pruned) - 0.9) < 1e-5)
claim(
    "The convolutions keep over half of theirs",
    sparsity_of(pruned.layers[1]) < 0.5 and sparsity_of(pruned.layers[4]) < 0.5,
)

# %% [markdown]
# How far can one go? We leave out more and more, the smallest weights or, as the control, weights drawn by lot. Then
# the survivors may learn to do without the others, in one more epoch. During it, zeros stay zeros: the library holds
# them by a mask. The fair comparison for that epoch is the whole network after one more epoch.

# %%
shares = [0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98]
lots = torch.Generator().manual_seed(seed())
cut = {
    "smallest": [score(prune(teacher, sparsity=s)) for s in shares],
    "by lot": [
        score(prune(teacher, sparsity=s, criterion="random", generator=lots))
        for s in shares
    ],
}


def trained_on(model):
    """The network after one more epoch, in smaller steps."""
    how = {"learning_rate": 1e-3, "batch_size": 64}
    fit(model, train, epochs=1, generator=seed_everything(seed()), **how)
    return model


# %%
longer = trained_on(plain(teacher))
few = {s: trained_on(prune(teacher, sparsity=s)) for s in (0.9, 0.95, 0.98)}
cut["smallest, one more epoch"] = [score(few[s]) if s in few else None for s in shares]

# %% tags=["nbval-ignore-output"]
print(f"whole: {score(teacher):.1f} %; after one more epoch: {score(longer):.1f} %")
for name, values in cut.items():
    row = ("     –" if v is None else f"{v:6.1f}" for v in values)
    print(f"{name:<26}", *row)

# %%
whole, at = score(longer), shares.index
claim(
    "Without half of its weights, the network loses less than a point",
    cut["smallest"][at(0.5)] > score(teacher) - 1,
)
claim("Without 70 % by lot: over 20", cut["by lot"][at(0.7)] < score(teacher) - 20)
claim(
    "Without 98 %, untrained: over 10 points lost",
    cut["smallest"][at(0.98)] < whole - 10,
)
claim("Without 95 %, but trained on: less than 2", score(few[0.95]) > whole - 2)
claim("Its zeros are still zeros", abs(sparsity_of(few[0.95]) - 0.95) < 1e-5)

# %% tags=["hide-input", "fig-bill-prune"] mystnb={"image": {"alt": "Test accuracy against the share of weights left out, from 50 to 98 percent. Leaving out weights by lot destroys the network at once. Leaving out the smallest does little up to 80 percent and destroys it beyond 95. With one more epoch of training the accuracy stays near that of the whole network to 95 percent and beyond."}}
figure, axis = plt.subplots(figsize=(6.5, 3.2))
for (name, values), hue, form in zip(
    cut.items(), ("blue", "orange", "green"), ("o-", "s-", "^--"), strict=True
):
    known = [(s, v) for s, v in zip(shares, values, strict=True) if v is not None]
    places = [1 / (1 - s) for s, _ in known]
    axis.plot(places, [v for _, v in known], form, label=name, color=COLOURS[hue])
axis.axhline(whole, color=COLOURS["black"], ls=":", label="whole, one more epoch")
axis.set(xscale="log", xlabel="weights left out (%)", ylabel="test accuracy (%)")
axis.set_xticks([1 / (1 - s) for s in shares], [f"{100 * s:.0f}" for s in shares])
axis.minorticks_off()
axis.legend(loc="center right", bbox_to_anchor=(1, 0.37))
plt.show()

# %% [markdown]
# *Which weights one takes matters; what the rest does next matters more.* Nineteen of twenty weights can go. That says
# how much room a network has for training, rather than how much knowledge it holds: small networks of the same
# size are hard to train from a random start, as we shall see.
#
# ## Fewer channels: the zeros that one feels
#
# A pruned network multiplies by its zeros, for a processor asks for whole rows of numbers at once. To skip zeros costs
# more than to multiply by them, until nearly all are zeros. The other way is to leave out what the hardware notices: a
# whole channel of a convolution, a whole unit of a linear layer, with all weights that lead to it and from it. What is
# left is an ordinary smaller network {cite}`li2017pruning`.

# %%
narrow = prune_channels(teacher, train.images[:1], sparsity=0.75)
shapes = [tuple(p.shape) for p in narrow.parameters()]
student_shapes = [tuple(p.shape) for p in SmallCNN(width=4).parameters()]
claim("Without 3 of 4 channels it has the student's shape", shapes == student_shapes)
claim("13,242 parameters, 16 times fewer", parameter_count(narrow) == 13_242)
fewer = multiply_adds(teacher, test.images[:1]) / multiply_adds(narrow, test.images[:1])
claim("12 times fewer multiply-adds", int(fewer) == 12)
smaller = [
    (layer.weight == 0).float().mean().item()
    for layer in narrow.layers
    if hasattr(layer, "weight")
]
claim("None of its weights is zero", max(smaller) == 0)

# %% [markdown]
# It has exactly the shape of `SmallCNN(width=4)`, the student of this chapter. So there are now **four ways to the same network**: from a random start, alone or with the
# teacher's answers; or cut from the teacher, and trained on alone or with the teacher's answers. In each, every training image is looked at nine times: by the student nine times,
# by the cut network four times after the teacher's five. `benchmarks/small_networks.py` does it for five seeds, and for two on all of MNIST. In one seed all four see the same teacher.

# %%
measured = result("compression")
finished = {
    data: [rows for rows in measured[data]["seeds"].values() if "pipeline" in rows]
    for data in ("default", "full")
}


def column(name, what, data="default"):
    """One number for each seed, of one network."""
    return [rows[name][what] for rows in finished[data]]


def gain(name, other, what="accuracy", data="default"):
    """Mean of the paired differences over the seeds, and half of its 95 % interval."""
    pairs = zip(column(name, what, data), column(other, what, data), strict=True)
    differences = [mine - yours for mine, yours in pairs]
    n = len(differences)
    return mean(differences), t.ppf(0.975, n - 1) * stdev(differences) / n**0.5


# %% tags=["nbval-ignore-output"]
pairs = {
    "width 4: taught, over alone": ("width 4, taught", "width 4, alone"),
    "width 4: cut, over a random start": ("cut to width 4", "width 4, alone"),
    "width 4: cut, taught over alone": ("cut to width 4, taught", "cut to width 4"),
    "width 2: taught, over alone": ("width 2, taught", "width 2, alone"),
    "32 units: taught, over alone": ("32 units, taught", "32 units, alone"),
}
gains = {name: gain(*pair) for name, pair in pairs.items()}
for name, (points, half) in gains.items():
    print(f"{name:<36}{points:+.2f} ± {half:.2f} points")

# %%
claim(
    "Cut from the teacher: no lead over a random start of more than a point",
    gains["width 4: cut, over a random start"][0] < 1,
)
claim(
    "Width 4, taught with all labels: less than 2 points either way",
    abs(gains["width 4: taught, over alone"][0]) < 2,
)

# %% tags=["hide-input", "fig-bill-four-ways"] mystnb={"image": {"alt": "Two panels, for 4,000 and for 60,000 training images: test accuracy of networks of width 4 that were made in four ways, a dot for each seed. The students from a random start, alone and taught, lie close together and not far below the teacher; the networks that were cut from the teacher lie no higher."}}
ways = {
    "width 4, alone": "random start, alone",
    "width 4, taught": "random start, taught",
    "cut to width 4": "cut, alone",
    "cut to width 4, taught": "cut, taught",
}
figure, axes = plt.subplots(1, 2, figsize=(7, 2.4), sharey=True)
for axis, data in zip(axes, ("default", "full"), strict=True):
    for row, name in enumerate(ways):
        values = column(name, "accuracy", data)
        hue = COLOURS["orange" if "alone" in ways[name] else "blue"]
        axis.plot(values, [row] * len(values), "o", color=hue, alpha=0.6)
        axis.plot(mean(values), row, "|", color=hue, markersize=18, mew=2)
    axis.axvline(mean(column("teacher", "accuracy", data)), color="black", ls=":")
    axis.set(title={"default": "4,000 images", "full": "60,000 images"}[data])
    axis.set_xlabel("test accuracy (%)")
axes[0].set(yticks=range(4), yticklabels=list(ways.values()), ylim=(3.5, -0.5))
plt.show()

# %% [markdown]
# *Four ways to the same network; a dot for each seed, a bar for the mean, the dotted line for the teacher.* What was cut from the teacher is no better than what began at random and
# looked at the images as often. Others have found the same for larger networks {cite}`liu2019rethinking`: what channel pruning finds is a shape, and the shape can be had without a teacher. Nor does the teacher's
# answer help much here, where every image has its label. Lecture 1.1 said so, and its other half holds as well: where labels are few, it is worth a lot. The end of this page counts how much.
#
# ## Fewer ranks: a layer as two thin ones
#
# A linear layer maps $d$ numbers to $d'$. Often it hardly uses all of the directions that it could. The singular value
# decomposition sorts the directions by how much the layer does in each: $W = \sum_i \sigma_i\, u_i v_i^\top$ with
# $\sigma_1 \ge \sigma_2 \ge \dots \ge 0$. Keep the first $\kappa$:
#
# $$\hat W = \sum_{i=1}^{\kappa} \sigma_i\, u_i v_i^\top, \qquad \lVert W - \hat W \rVert^2 = \sum_{i > \kappa} \sigma_i^2 ,$$ (eq-bill-rank)
#
# where the norm is the root of the sum of all squares. In words: the error is what was cut, and no other matrix of rank
# $\kappa$ has a smaller one {cite}`eckart1936approximation`. Stored as two thin layers, $d \to \kappa \to d'$, it takes
# $\kappa (d + d')$ numbers instead of $d d'$. The kernels of a convolution can be laid out as a matrix and cut in the
# same way {cite}`denton2014exploiting`.

# %%
W = teacher.layers[8].weight.detach().double()  # 128 × 1568
u, sigma, v = torch.linalg.svd(W, full_matrices=False)


def best(rank):
    """The matrix of this rank that is nearest to W."""
    return u[:, :rank] * sigma[:rank] @ v[:rank]


error = (W - best(8)).square().sum()
claim(
    "The squared error is the sum of the squares that were cut",
    bool((error / sigma[8:].square().sum() - 1).abs() < 1e-9),
)
thin = low_rank(teacher, rank={"layers.8": 8})
theirs = thin.layers[8][1].weight @ thin.layers[8][0].weight
claim(
    "By hand and by compression.low_rank: the same product",
    torch.allclose(theirs.double(), best(8), atol=1e-5),
)
noise = torch.randn(128, 1568, generator=lots, dtype=torch.float64)
other = W @ torch.linalg.qr(noise[:8].T).Q  # a random pair of thin factors
guess = other @ torch.linalg.qr(noise[:8].T).Q.T
claim("Eight random directions: a larger error", (W - guess).square().sum() > error)
claim("13,568 numbers in place of 200,704", 8 * (128 + 1568) == 13_568)

# %%
ranks = [1, 2, 4, 8, 16, 32, 64]
by_rank = [score(low_rank(teacher, rank={"layers.8": rank})) for rank in ranks]
kept = [(sigma[:rank].square().sum() / sigma.square().sum()).item() for rank in ranks]
claim("Rank 32 of 128 loses less than a point", by_rank[5] > score(teacher) - 1)
claim("Rank 1 loses over 20", by_rank[0] < score(teacher) - 20)
claim(
    "What looks like a lot of error may cost little: at rank 16 over a quarter of the "
    "squares is gone, and less than 2 points",
    kept[4] < 0.75 and by_rank[4] > score(teacher) - 2,
)

# %% [markdown]
# The last claim is worth a moment. The singular values measure the error for inputs that come from all directions
# alike. Real inputs do not: after a ReLU and a pooling, they lie in a few directions, and there the error is small.
#
# ## Fewer different values: a codebook
#
# Here no weight is left out. Instead, all weights of a layer share a few values $c_1, \dots, c_{2^b}$, the
# **codebook**, and of each weight one stores only *which*: $b$ bits instead of 32. The best codebook makes the sum of squares
#
# $$\sum_i \big(w_i - c_{a(i)}\big)^2$$ (eq-bill-codebook)
#
# small, where $a(i)$ is the index of the value that weight $i$ takes. This is k-means on a line, and Lloyd's algorithm
# does what it does anywhere {cite}`lloyd1982least`: each weight takes the nearest value, each value becomes the mean of its weights, again and again.


# %%
def lloyd(w, b, rounds=200):
    """Shared values from an even start, and the index of each weight's."""
    c = torch.linspace(w.min(), w.max(), 2**b, dtype=w.dtype)
    for _ in range(rounds):
        a = (w[:, None] - c).abs().argmin(dim=1)
        sums = torch.zeros_like(c).index_add_(0, a, w)
        members = torch.bincount(a, minlength=len(c))
        c = torch.where(members > 0, sums / members.clamp_min(1), c)
    return c, a


# %%
w = teacher.layers[4].weight.detach().double().flatten()
c, a = lloyd(w, 3)
shared = codebook(teacher, bits=3).layers[4]
claim(
    "By hand and by compression.codebook: the same eight values",
    torch.allclose(shared.parametrizations.weight.original.double(), c, atol=1e-4),
)
error = (w - c[a]).square().mean() / w.var()
claim("Eight values leave less than 5 % of the variance", bool(error < 0.05))

# %% [markdown]
# Training can go on, with the values as its parameters. A value's gradient is the sum of the gradients of all weights
# that take it, because moving it moves them all; autograd finds that by itself {cite}`han2016deep`.

# %%
sharing = codebook(teacher, bits=3)
ordinary = plain(sharing)  # the same numbers, each a parameter of its own
for model in (sharing, ordinary):
    F.cross_entropy(model(train.images[:64]), train.labels[:64]).backward()
held = sharing.layers[4].parametrizations.weight
index = held[0].indices.flatten()  # 1 to 8
one_by_one = ordinary.layers[4].weight.grad.flatten()
added = torch.zeros(9).index_add_(0, index, one_by_one)[1:]
differ = (held.original.grad - added).norm() / added.norm()
claim("The gradient of a value is the sum over its weights", bool(differ < 1e-3))

# %% [markdown]
# ## Fewer bits to write: Huffman's code
#
# With $b$ bits for each index, all values cost the same. But some are taken by many more weights than others. Give
# the frequent ones short code words and the rare ones long ones. How short can it get? If a share $\pi_j$ of the weights
# takes value $j$, no code whatever needs fewer bits on average than the **entropy** {cite}`shannon1948mathematical`
#
# $$H = -\sum_j \pi_j \log_2 \pi_j \le \bar\ell = \sum_j \pi_j\, \ell_j < H + 1 ,$$ (eq-bill-entropy)
#
# and Huffman's code, whose word for $j$ has $\ell_j$ bits, comes within one bit of it {cite}`huffman1952method`. In
# words: what is surprising costs bits, what is expected is nearly free. The code is made from below: the two rarest
# symbols are joined to one, which is as frequent as both, and each of the two gets a bit more; and so on, until one is left.


# %%
def code_lengths(symbols):
    """Bits of the code word of each symbol, by Huffman's joining of the two rarest."""
    heap = [(n, symbol, {symbol: 0}) for symbol, n in Counter(symbols).items()]
    heapq.heapify(heap)
    while len(heap) > 1:
        (n, tie, one), (m, _, other) = heapq.heappop(heap), heapq.heappop(heap)
        longer = {symbol: bits + 1 for symbol, bits in (one | other).items()}
        heapq.heappush(heap, (n + m, tie, longer))
    return heap[0][2]


# %%
symbols = index.tolist()
lengths = code_lengths(symbols)
code = huffman(index)
mine = sum(lengths[symbol] for symbol in symbols) / len(symbols)
claim(
    "By hand and by compression.huffman: the same mean length",
    abs(mine - code.mean_length) < 1e-5,
)
claim("Not below the entropy", code.entropy <= code.mean_length)
claim("and less than one bit above it", code.mean_length < code.entropy + 1)
claim("Fewer bits than the three of a fixed length", code.mean_length < 3)

# %%
written = code.encode(index)
bits = sum(lengths[symbol] for symbol in symbols)
claim("As many bytes as the lengths say", len(written) == (bits + 7) // 8)
claim("And they say everything", torch.equal(code.decode(written, len(index)), index))

# %% [markdown]
# No separator stands between the words. None is needed, because no code word begins another one, so that a decoder knows
# when a word is over.
#
# Huffman's code alone, on weights as they are, saves nothing. Nearly all of them are different, so each is a surprise:

# %%
as_they_are = teacher.layers[4].weight.detach().flatten().view(torch.int32)
lone = huffman(as_they_are)
distinct = len(as_they_are.unique()) / len(as_they_are)
claim("Of the second convolution's weights, over 99 % are unique", distinct > 0.99)
with_table = lone.mean_length + 32 * distinct  # each value once in the table
claim("With its table, the code is longer than the weights", with_table > 32)

# %% [markdown]
# ## Fewer bits to reckon with: integers
#
# A codebook needs a look-up for each weight before it can be multiplied. **Quantisation** puts the values on a regular
# grid instead, so that the index itself is a number to compute with. With one scale $s$ for each output channel and $b$ bits,
#
# $$\hat w = s\, q, \qquad q = \operatorname{round}(w / s), \qquad s = \frac{\max |w|}{2^{b-1} - 1}, \qquad |w - \hat w| \le \tfrac{s}{2} .$$ (eq-bill-quantise)
#
# In words: count in steps of $s$, and be wrong by at most half a step. If the activations are rounded in the same way,
# sums of products of whole numbers are whole numbers, and one multiplies by $s$ once, at the end {cite}`jacob2018quantization`.

# %%
W = teacher.layers[8].weight.detach()
s = W.abs().amax(dim=1, keepdim=True) / (2**7 - 1)  # one for each of the 128 units
by_hand = s * (W / s).round()
eight = quantize(teacher, bits=8).layers[8].weight
claim(
    "By hand and by compression.quantize: the same weights, but for ties in rounding",
    ((by_hand - eight).abs() > 1e-6).sum() < 20,
)
claim(
    "None is wrong by more than half a step",
    bool(((W - eight).abs() <= 0.5001 * s).all()),
)

# %%
bit_counts = [8, 6, 5, 4, 3, 2]
rounded = {
    "integers": [score(quantize(teacher, bits=b)) for b in bit_counts],
    "integers, one scale a layer": [
        score(quantize(teacher, bits=b, per_channel=False)) for b in bit_counts
    ],
    "codebook": [score(codebook(teacher, bits=b)) for b in (4, 3, 2)],
}
claim(
    "At 8 bits, integers lose less than half a point",
    min(rounded["integers"][0], rounded["integers, one scale a layer"][0])
    > score(teacher) - 0.5,
)
claim(
    "At 4 bits, with a scale for each channel or a codebook, less than 2",
    min(rounded["integers"][3], rounded["codebook"][0]) > score(teacher) - 2,
)

# %% tags=["hide-input", "fig-bill-ranks-and-bits"] mystnb={"image": {"alt": "Two panels. Left: test accuracy against the rank of the first linear layer, from 1 to 64: it rises steeply and reaches that of the whole network at about 8 to 16. Right: test accuracy against bits for each weight, from 8 down to 2: level down to 4 bits and then falling, for integers earlier than for a codebook."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3), sharey=True)
left.plot(ranks, by_rank, "o-", color=COLOURS["blue"])
left.set(xscale="log", xlabel="rank of the first linear layer")
left.set_xticks(ranks, [str(rank) for rank in ranks])
left.minorticks_off()
left.set_ylabel("test accuracy (%)")
for (name, values), form in zip(rounded.items(), ("o-", "s--", "^-"), strict=True):
    right.plot(bit_counts[-len(values) :], values, form, label=name)
right.set(xlabel="bits for each weight", xticks=bit_counts)
right.invert_xaxis()
right.legend(loc="lower left")
for axis in (left, right):
    axis.axhline(score(teacher), color=COLOURS["black"], ls=":")
plt.show()

# %% [markdown]
# *Ranks and bits that a network can spare, without any training afterwards; the dotted line is the whole network.* Down
# to four bits nothing happens. At two and three bits it matters where the values stand: a codebook puts them where the
# weights are.
#
# ## All together: deep compression
#
# Pruning, a codebook and Huffman's code save different things, so they can be combined: prune and train on, share
# values and train on, write indices and gaps between the survivors in Huffman's code. This is **deep compression**
# {cite}`han2016deep`. In 2016 it made networks for ImageNet 35 and 49 times smaller, without loss. The whole of it:

# %%
small = trained_on(prune(teacher, sparsity=0.95))
small = trained_on(codebook(small, bits=4))
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "small.tml"
    size = save_compressed(small, path)
    on_disk = path.stat().st_size
    back = load_compressed(SmallCNN(), path)
    dense_size = save_compressed(teacher, path)

# %% tags=["nbval-ignore-output"]
print(
    f"{dense_size:,} bytes before, {on_disk:,} bytes after: {dense_size / size:.0f} ×"
)
print(f"{score(longer):.1f} % whole, {score(small):.1f} % compressed, same epochs")

# %%
claim("What was written is what lies on the disk", size == on_disk)
claim(
    "Read back, it answers the same",
    torch.equal(predict(back, test.images), predict(small, test.images)),
)
claim("It is over 50 times smaller than in float32", 4 * 206_922 / size > 50)
claim("and loses less than 2 points", score(small) > score(longer) - 2)

# %% [markdown]
# The file holds numbers alone, and each of its bytes is described in the documentation of `compression.files`, so that a decoder can be
# written in another language. It is no pickle: to read a file from a stranger should not run the stranger's code.
#
# What did each stage give? In five seeds on these digits, and in two on all of MNIST:

# %% tags=["nbval-ignore-output"]
stages = {}
for data in ("default", "full"):
    runs = [rows["pipeline"] for rows in finished[data]]
    stages[data] = {
        stage: [rows[place] for rows in runs]
        for place, stage in enumerate(row["stage"] for row in runs[0])
    }
names = list(stages["default"])
print(f"{'':<20}{'4,000 images':>20}{'60,000 images':>22}")
for name in names:
    row = f"{name:<20}"
    for data in stages:
        row += f"{mean(r['accuracy'] for r in stages[data][name]):8.2f} %"
        row += f"{mean(r['bytes'] for r in stages[data][name]):>10,.0f} B"
    print(row)

# %%
for data, words in (("default", "4,000 images"), ("full", "60,000 images")):
    first, *_, last = stages[data].values()
    factor = 4 * 206_922 / mean(r["bytes"] for r in last)
    claim(f"{words}: over 60 times smaller than in float32", factor > 60)
    lost = mean(r["accuracy"] for r in first) - mean(r["accuracy"] for r in last)
    claim(f"{words}: less than a point lost, against the teacher", lost < 1)
    control = mean(column("teacher, trained on", "accuracy", data))
    lost = control - mean(r["accuracy"] for r in last)
    claim(f"{words}: less than a point, against one trained as long", lost < 1)

# %%
sizes = [mean(r["bytes"] for r in rows) for rows in stages["default"].values()]
claim("Pruning: 17 times smaller", round(sizes[0] / sizes[1]) == 17)
claim("Shared values: four times smaller again", round(sizes[1] / sizes[3]) == 4)
fixed, coded = (
    mean(r[what] for r in stages["default"]["retrained, shared"])
    for what in ("without_huffman", "bytes")
)
claim("Of this, Huffman's code gives a tenth to a fifth", 0.8 < coded / fixed < 0.9)

# %% tags=["hide-input", "fig-bill-stages"] mystnb={"image": {"alt": "Two panels over the five stages of deep compression. Left: the size of the file falls from 828 kilobytes to 49 when weights are pruned and to 12 when they share values. Right: accuracy compared with the teacher; it falls by over ten points when weights are pruned, and is back after training."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 2.8))
for data, hue, form in (("default", "blue", "o"), ("full", "orange", "s")):
    start = stages[data]["teacher"]
    losses = [
        [a["accuracy"] - b["accuracy"] for a, b in zip(rows, start, strict=True)]
        for rows in stages[data].values()
    ]
    sizes = [mean(r["bytes"] for r in rows) / 1000 for rows in stages[data].values()]
    label = {"default": "4,000 images", "full": "60,000 images"}[data]
    axes[0].plot(sizes, range(5), form + "-", color=COLOURS[hue], label=label)
    for row, values in enumerate(losses):
        axes[1].plot(values, [row] * len(values), form, color=COLOURS[hue], alpha=0.6)
axes[0].set(xscale="log", xlabel="file (kB)", yticks=range(5), yticklabels=names)
axes[1].set(xlabel="points gained over the teacher", yticks=[])
axes[1].axvline(0, color=COLOURS["black"], ls=":")
for axis in axes:
    axis.invert_yaxis()
axes[0].legend()
plt.show()

# %% [markdown]
# *What each stage gave, in bytes and in points; a dot for each seed.* Pruning makes the file 17 times smaller, and breaks the network until it is trained on. Sharing values makes it four times
# smaller again, for nearly nothing. Huffman's share of that is the smallest, and it is free.
#
# ## The bill
#
# Now everything on one picture. **Counted**: parameters, bytes of the file, multiply-adds. **Measured**, over five seeds: accuracy, each network after as
# many looks at the images. **Measured**, in turns on one core of a machine that did other work as well, the median CPU time for one image and for 256: believe factors of two, not tenths. 8-bit numbers were multiplied by PyTorch's own 8-bit kernels, activations included.
# **Estimated**: energy.
#
# No program may read an energy counter on the machine where this was measured. So we count operations and bytes, and take the price of each from a table of 2014, for a chip of
# that time {cite}`horowitz2014computing`: in picojoules, 3.7 for a product and 0.9 for a sum of 32-bit floats, 0.2 and 0.1 for a product of 8-bit integers and its 32-bit sum, and 640 to fetch 32 bits from memory.
# The estimate leaves out all else: activations, caches, the clock, idling. Its numbers are wrong, and their *ratios* teach the one lesson of that table: **to fetch a weight costs a hundred times as much as to use it.**


# %%
def microjoules(multiply_adds, weight_bytes, integers=False):
    """Energy for one image whose weights come from memory: an estimate, 45 nm chip."""
    each = 0.2 + 0.1 if integers else 3.7 + 0.9  # picojoules
    return (multiply_adds * each + weight_bytes * 640 / 4) / 1e6


# %%
bill_rows = {  # name: in the result file, in its table of times, kind of numbers
    "teacher": ("teacher", "teacher"),
    "pruned 95 %": ("pruned 95 %", "pruned 95 %"),
    "codebook, 4 bits": ("codebook, 4 bits", "teacher"),
    "deep compression": ("pipeline", "pruned 95 %"),
    "8 bits": ("8 bits", "8 bits, int8 kernel"),
    "low rank": ("low rank", "low rank"),
    "cut to width 4": ("cut to width 4", "cut to width 4"),
    "student, 32 units": ("32 units, taught", "32 units"),
    "student, width 4": ("width 4, taught", "width 4"),
    "the same, 8 bits": ("width 4, taught, 8 bits", "width 4, int8 kernel"),
    "the same, codebook": ("width 4, taught, codebook", "width 4"),
    "student, width 2": ("width 2, taught", "width 2"),
}


# %%
def bill(data):
    """The bill's columns for each network: means over the seeds, medians of times."""
    lines = {}
    for name, (key, timed) in bill_rows.items():
        runs = [rows[key] for rows in finished[data]]
        runs = [run[-1] if key == "pipeline" else run for run in runs]
        size, parameters = mean(r["bytes"] for r in runs), runs[0]["parameters"]
        integers, times = "8 bits" in name, measured["latency"]["networks"][timed]
        in_memory = parameters * (1 if integers else 4)  # as it runs here
        useful = mean(r["useful_multiply_adds"] for r in runs)
        lines[name] = {
            "accuracy (%)": mean(r["accuracy"] for r in runs),
            "file (kB)": size / 1000,
            "multiply-adds (1,000)": runs[0]["multiply_adds"] / 1000,
            "1 image (ms)": times["cpu_ms_1"],
            "256 images (ms)": times["cpu_ms_256"],
            "energy (µJ)": microjoules(runs[0]["multiply_adds"], in_memory, integers),
            "on its own chip (µJ)": microjoules(useful, size, integers),
        }
    return lines


# %% tags=["nbval-ignore-output"]
whole_bill = bill("default")
print(f"{'':<20}  accuracy    file  mult-adds  1 image  256 im.   energy  own chip")
for name, line in whole_bill.items():
    row = [f"{value:9.3g}" for value in line.values()]
    print(f"{name:<20}", *row)

# %%
teachers, timed = whole_bill["teacher"], measured["latency"]["networks"]


def time_share(name, images=256):
    """Time in parts of the teacher's, by the processor's clock."""
    what = f"cpu_ms_{images}"
    return timed[name][what] / timed["teacher"][what]


# %%
claim(
    "With 95 % zeros: over 0.9 of the teacher's time", time_share("pruned 95 %") > 0.9
)
claim("so with a kernel for zeros", time_share("pruned 95 %, sparse kernel") > 0.9)
claim("Cut to a quarter of the channels: below 0.4", time_share("cut to width 4") < 0.4)
claim(
    "Low rank: three times fewer multiply-adds, and over 0.6 of the time",
    teachers[work := "multiply-adds (1,000)"] > 3 * whole_bill["low rank"][work]
    and time_share("low rank") > 0.6,
)

# %%
claim("8-bit kernels, 256 images: below 0.4", time_share("8 bits, int8 kernel") < 0.4)
claim("one image: no gain", time_share("8 bits, int8 kernel", 1) > 1)
smallest = min(whole_bill, key=lambda name: whole_bill[name]["file (kB)"])
claim("The smallest file: a student with a codebook", smallest == "the same, codebook")
files = [whole_bill[name]["file (kB)"] for name in ("teacher", smallest)]
claim("over a hundred times smaller than the teacher's", files[0] > 100 * files[1])
fetched, computed = microjoules(0, 4 * 206_922), microjoules(1_218_048, 0)
claim(
    "Of the teacher's energy, over 20 parts fetch and one computes",
    fetched > 20 * computed,
)
own = whole_bill["deep compression"]["on its own chip (µJ)"]
claim(
    "Deep compression on its own chip: below a twentieth of the teacher here",
    own < teachers["energy (µJ)"] / 20,
)

# %% tags=["hide-input", "fig-bill-picture"] mystnb={"image": {"alt": "Six panels of dots, one row for each of twelve networks: accuracy, file, multiply-adds, time for one and for 256 images, energy. The pruned and coded networks have small files and the teacher's accuracy, but its multiply-adds, time and energy; on a chip of their own their energy would be a small part. Networks of fewer channels are small in every panel and lose one to three points."}}
figure, axes = plt.subplots(2, 3, figsize=(7, 6.4), sharey=True)
hues = ["black"] + ["orange"] * 6 + ["blue"] * 5
places = range(len(whole_bill))
for axis, what in zip(axes.flat, list(whole_bill["teacher"])[:6], strict=True):
    values = [line[what] for line in whole_bill.values()]
    for place, value, hue in zip(places, values, hues, strict=True):
        axis.plot(value, place, "o", color=COLOURS[hue], markersize=5)
    if what == "energy (µJ)":
        own = [line["on its own chip (µJ)"] for line in whole_bill.values()]
        axis.plot(own, places, "o", mfc="none", color=COLOURS["green"], markersize=7)
    if not what.startswith("accuracy"):
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter("")
    axis.set_xlabel(what)
axes[0, 0].set_yticks(places, list(whole_bill), fontsize=9)
axes[0, 0].invert_yaxis()
plt.show()

# %% [markdown]
# *The bill. Black: the teacher; orange: what was made of it; blue: students. Green rings: energy on a chip that reads the file as it is and skips zeros.* Read it row by row. Pruned, coded, compressed: a tiny file, the teacher's accuracy,
# and with 256 images **no time saved**, since it is unpacked before it runs. Narrow networks save in every column, and pay in points. Time follows neither parameters nor multiplications: low rank does a third of the
# work and takes as long, because large intermediate pictures go through memory as before; 8-bit kernels shine with 256 images and lose with one, where calling them costs more than they do. And the ways can be combined: the student of width 4 with a codebook
# has the smallest file of all, over a hundred times smaller than the teacher's.
#
# The student here is the taught one. Which of the differences in accuracy are more than chance, the intervals above say; few are.
#
# ## What is left of the dark knowledge
#
# Accuracy looks at the largest logit alone. Lecture 1.1 found that a teacher's answers hold more: which other digits an image resembles. Is that still in the small
# networks? We measure, on the test images, how far their soft answers are from the teacher's, $\mathrm{KL}\big(q(4) \,\|\, p(4)\big)$, beside how often both name the same digit.

# %% tags=["nbval-ignore-output"]
compared = {
    "8 bits": "8 bits",
    "codebook, 4 bits": "codebook, 4 bits",
    "pruned 95 %": "pruned 95 %",
    "low rank": "low rank",
    "teacher, trained on": "teacher, trained on",
    "cut to width 4": "cut to width 4",
    "cut to width 4, taught": "cut to width 4, taught",
    "width 4, taught": "width 4, taught",
    "width 4, alone": "width 4, alone",
    "width 2, taught": "width 2, taught",
    "width 2, alone": "width 2, alone",
}
print(f"{'':<26}{'right':>8}{'as the teacher':>16}{'divergence':>12}")
for name in compared:
    right, same = mean(column(name, "accuracy")), mean(column(name, "agreement"))
    far_by = "divergence"
    print(f"{name:<26}{right:6.1f} %{same:14.1f} %{mean(column(name, far_by)):12.4f}")

# %%
far = {name: mean(column(name, "divergence")) for name in compared}
claim("Rounded to 8 bits, hardly anything has changed", far["8 bits"] < 0.001)
claim(
    "A student that was taught is nearer to its teacher's answers than one alone, by "
    "over half",
    far["width 4, taught"] < far["width 4, alone"] / 2
    and far["width 2, taught"] < far["width 2, alone"] / 2,
)
# %%
claim(
    "The teacher itself, trained on with labels, has moved farther from what it was",
    far["teacher, trained on"] > far["width 4, taught"],
)
claim(
    "although it names the same digits as often, within 1.5 points",
    abs(
        mean(column("teacher, trained on", "agreement"))
        - mean(column("width 4, taught", "agreement"))
    )
    < 1.5,
)

# %% [markdown]
# Here the methods part. What only rounds keeps the answers. Most of what trains on with labels has moved away from them, the teacher itself included: a label is one bar, and four more epochs of it sharpen every answer. (The pruned network has moved least, perhaps because it has few
# weights left to sharpen with.) What is taught keeps them, in a sixteenth of the parameters. (A student is compared with the network that taught it, which is the teacher after all nine epochs; all others with the teacher of which they were made.)
# So if the small network's *probabilities* matter, to say "I don't know", or to teach again, then compare divergences, and train on with the teacher's answers rather than with labels.
#
# ## Where the small ones fail
#
# A point of accuracy is ten of the thousand test images. Which ten? Here are two students of width 2, three seeds of each, and the teacher.


# %%
def student(k):
    """A student of width 2, alone, after four epochs."""
    generator = seed_everything(k)
    model = SmallCNN(width=2)
    fit(model, train, epochs=4, learning_rate=5e-3, batch_size=64, generator=generator)
    return model


# %%
students = [student(100 * seed() + k) for k in range(3)]
truth = test.labels
teacher_logits = predict(teacher, test.images)
teacher_right = teacher_logits.argmax(dim=1) == truth
best_two = teacher_logits.topk(2, dim=1).values
lead = best_two[:, 0] - best_two[:, 1]  # how sure the teacher is
unsure = lead.argsort().argsort() < len(lead) / 5  # the fifth with the smallest lead
wrong = torch.stack([predict(m, test.images).argmax(dim=1) != truth for m in students])
given_up = wrong & teacher_right  # (students, images)
share = (given_up & unsure).sum() / given_up.sum()

# %%
claim(
    "Of the images that a student gives up, over a third are in the fifth of which "
    "the teacher is least sure",
    bool(share > 1 / 3),
)
by_all = given_up.all(dim=0).float().mean()  # all three students give the image up
by_chance = given_up.float().mean(dim=1).prod()  # if each chose its own
claim(
    "All three give up the same ones, over 10 times as often as by chance",
    bool(by_all > 10 * by_chance),
)
by_digit = torch.stack([wrong[:, truth == k].float().mean() for k in range(10)])
claim(
    "They misread the worst digit over twice as often as the best",
    bool(by_digit.max() > 2 * by_digit.min()),
)

# %% tags=["hide-input", "fig-bill-given-up"] mystnb={"image": {"alt": "Twelve handwritten digits that the teacher reads and the small students do not: most are sloppy, broken or of an unusual shape. Above each stand the digit and what most students read."}}
votes = torch.stack([predict(m, test.images) for m in students]).mean(dim=0)
lost = (given_up.float().sum(dim=0) * 100 - lead).argsort(descending=True)[:12]
read = votes.argmax(dim=1)
titles = [f"{truth[i]}, read {read[i]}" for i in lost]
show_images(test.images[lost], titles, columns=6)
plt.show()

# %% [markdown]
# *Twelve digits that the teacher reads and the students give up.* What goes first is not a random tenth of everything. It is the sloppy, the rare, the unusual: what
# few training images resemble. Others have found the same in pruned and rounded networks for photographs {cite}`hooker2019what`. If the unusual images come from somebody, from people with
# another handwriting, another skin, another accent, then it is they who pay for the saving ([5.1](../50_fairness/where_bias_comes_from.ipynb)).
#
# ### A group of twenty
#
# To see it happen, we make one digit rare: 20 training images, where the others have some 400. Each digit takes its turn, in three seeds. The student of width 4, alone and
# taught, looks at the images as often as the teacher, `benchmarks/small_groups.py`.

# %% tags=["nbval-ignore-output"]
rare = result("small_groups")["rows"]


def read_well(who, pile):
    """Per cent of the rare, or of the other, test images that are read: one a run."""
    return [row[who][pile] for row in rare]


for who in ("teacher", "pruned", "alone", "taught"):
    numbers = [mean(read_well(who, pile)) for pile in ("rare", "others")]
    print(
        f"{who:<10}{numbers[0]:6.1f} % of the rare digit{numbers[1]:7.1f} % of others"
    )

# %%
drop = {
    who: mean(read_well(who, "rare")) - mean(read_well("alone", "rare"))
    for who in ("teacher", "pruned", "taught")
}
claim("The teacher reads over 4 points more of the rare digit", drop["teacher"] > 4)
claim("The taught student reads over 8 points fewer", drop["taught"] < -8)
others = mean(read_well("taught", "others")) - mean(read_well("alone", "others"))
claim("Of the other digits, as many, within a point", abs(others) < 1)
fewer = [row["taught"]["rare"] < row["alone"]["rare"] for row in rare]
claim("It reads fewer in over two thirds of the runs", mean(fewer) > 2 / 3)

# %% tags=["hide-input", "fig-bill-rare"] mystnb={"image": {"alt": "For each digit as the rare one: the share of it that is read by the teacher, by students alone and by taught students. For most digits the teacher reads most and the taught student fewest; for the rare 9 the taught students read almost none."}}
figure, axis = plt.subplots(figsize=(6.5, 3))
looks = {"teacher": ("black", "s"), "alone": ("orange", "o"), "taught": ("blue", "^")}
for shift, (who, (hue, form)) in enumerate(looks.items()):
    for digit in range(10):
        values = [row[who]["rare"] for row in rare if row["digit"] == digit]
        places = [digit + 0.22 * (shift - 1)] * len(values)
        label = who if digit == 0 else None
        axis.plot(
            places, values, form, color=COLOURS[hue], ms=5, alpha=0.7, label=label
        )
axis.set(xticks=range(10), xlabel="the rare digit", ylabel="of it read (%)")
axis.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1.18))
axis.set_ylim(-3, 103)
plt.show()

# %% [markdown]
# *Each digit made rare in turn; each mark is one network.* The small network pays with the small group, as expected. The surprise is who pays most: the student that was **taught**. On the other nine digits it is as good as the one alone, and its
# mean accuracy gives no alarm. But its teacher has seen twenty examples as well, is unsure of them, and at $T = 4$ its doubt is nearly all that the student hears; a label would have said plainly what the image is. A teacher's errors about a small
# group are passed on, and grow {cite}`lukasik2022teachers`. The pruned network, which starts from the teacher's weights and hears labels, has no such loss.
#
# ## Which kind of knowledge pays when
#
# The chapter met many kinds of knowledge: answers, features, relations, peers, one's own deeper layers, several teachers. Which of them is worth the trouble? Nobody knows
# for your task. But it can be measured for one student, fairly, and `benchmarks/distillation_knowledge.py` does: the student of width 4, once with 300 labels and once with 4,000; each method beside the same student alone, from the same start, with the
# same batches, in ten seeds; and the same effort for all to choose what must be chosen, on held-out training images, the student alone included.

# %% tags=["nbval-ignore-output"]
knowledge = result("distillation_knowledge")["default"]["labels"]
methods = [name for name in knowledge["300"] if name != "alone"]
print(f"{'points gained over alone, 95 %':<32}{'300 labels':>20}{'4,000 labels':>22}")
for name in methods:
    row = f"{name:<32}"
    for budget in ("300", "4000"):
        cell = knowledge[budget][name]
        low, high = cell["interval"]
        row += f"{cell['gain']:+8.2f} ({low:+.2f}, {high:+.2f})"
    print(row)

# %%
few_labels, many_labels = knowledge["300"], knowledge["4000"]
strong = ("response", "hint, hidden units", "distances", "angles")
for name in (*strong, "response and relations", "several teachers"):
    claim(f"300 labels, {name}: a gain, surely", few_labels[name]["joint"][0] > 0)
for name in ("hint", "factor transfer", "online", "self-distillation"):
    claim(f"300 labels, {name}: less than 2 points", few_labels[name]["gain"] < 2)
claim(
    "4,000 labels: no method gains more than 2.5 points",
    max(many_labels[name]["gain"] for name in methods) < 2.5,
)
claim(
    "The best with 300 labels is still behind the best with 4,000",
    max(mean(cell["accuracy"]) for cell in few_labels.values())
    < max(mean(cell["accuracy"]) for cell in many_labels.values()),
)

# %% tags=["hide-input", "fig-bill-knowledge"] mystnb={"image": {"alt": "Two panels of points with intervals, one row for each method: points gained over the same student alone. With 300 labels answers, distances, angles, their combination and several teachers gain about four to five points; hints of the hidden units as well; hints and factors of a convolution, peers and self-distillation about none. With 4,000 labels all gains are small."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 0.32 * len(methods) + 1), sharey=True)
for axis, (budget, title) in zip(
    axes, {"300": "300 labels", "4000": "4,000 labels"}.items(), strict=True
):
    for row, name in enumerate(methods):
        cell = knowledge[budget][name]
        hue = COLOURS["blue" if cell["joint"][0] > 0 else "orange"]
        axis.plot(cell["joint"], [row, row], color=hue, lw=1)
        axis.plot(cell["interval"], [row, row], color=hue, lw=3)
        axis.plot(cell["gain"], row, "o", color=hue)
    axis.axvline(0, color=COLOURS["black"], ls=":")
    axis.set(title=title, xlabel="points gained over alone")
axes[0].set_yticks(range(len(methods)), methods, fontsize=9)
axes[0].invert_yaxis()
plt.show()

# %% [markdown]
# *Points gained over the same student alone: mean, paired 95 % interval (thick), and the interval that holds for all methods of a panel together (thin); blue where this one lies above zero.* Three rules can be read off, for this student and these images.
#
# 1. **What pays is what the labels do not say already.** The teacher has learned from all 4,000 labels. A student with 300 can get about five points of that out of it; one that has the 4,000 labels itself gets about one, and for most methods even that one is not certain.
# 2. **Near the answer, the form matters little.** The answers themselves, the hidden units just before them, how images lie to each other there, in distances or in angles: all gain about as much, and together hardly more than each alone. They say the same thing twice.
# 3. **Far from the answer, it gives little.** Hints and factors of the second convolution ask a thin layer to imitate a wide one, in what the answer may not even need.
# 4. **What only rearranges what the student has gives little.** Peers and one's own deeper layers know no more labels than it does.
#
# On all of MNIST, whose teachers have seen 60,000 images, the same picture: five seeds with 1,000 labels, and two to four with all of them.

# %% tags=["nbval-ignore-output"]
full = result("distillation_knowledge")["full"]["labels"]
print(f"{'points gained over alone':<32}{'1,000 labels':>20}{'60,000 labels':>18}")
for name in methods:
    low, high = full["1000"][name]["interval"]
    row = f"{name:<32}{full['1000'][name]['gain']:+8.2f} ({low:+.2f}, {high:+.2f})"
    print(f"{row}{full['60000'][name]['gain']:+10.2f}")
for name in (*strong, "hint, hidden units", "several teachers"):
    claim(f"1,000 labels, {name}: a gain", full["1000"][name]["interval"][0] > 0)
claim(
    "60,000 labels: less than half a point either way",
    max(abs(full["60000"][name]["gain"]) for name in methods) < 0.5,
)

# %% [markdown]
# Relations and features need a teacher whose inside you can see. Answers do not, and they gain as much. If you do one thing from this chapter, do lecture 1.1, and spend the time you saved on finding unlabelled images.
#
#
# ## What goes wrong
#
# None of these mistakes causes an error message; one number shows each. **Zeros that are stored.** A pruned network saved as usual is as large as before:


# %%
def saved(model):
    """Bytes of PyTorch's own file."""
    buffer = io.BytesIO()
    torch.save(plain(model).state_dict(), buffer)
    return buffer.tell()


claim(
    "With 95 % zeros, PyTorch's file is as large as without",
    abs(saved(small) / saved(teacher) - 1) < 0.01,
)

# %% [markdown]
# **Zeros that come back.** Without the mask, training fills them again:

# %%
refilled = trained_on(plain(prune(teacher, sparsity=0.95)))
claim(
    "After one epoch without a mask, over a third are back", sparsity_of(refilled) < 0.6
)

# %% [markdown]
# **One outlier sets the scale.** With one scale for a layer, a single large weight makes all steps large:

# %%
outlier = plain(teacher)
with torch.no_grad():
    outlier.layers[8].weight[0, 0] = 40.0
coarse = quantize(outlier, bits=8, per_channel=False).layers[8].weight
fine = quantize(outlier, bits=8).layers[8].weight
claim("One scale: over 90 % of the layer become 0", (coarse == 0).float().mean() > 0.9)
claim("A scale for each channel: under 5 %", (fine == 0).float().mean() < 0.05)

# %% [markdown]
# **A comparison that only one side trained for.** The compressed network of the pipeline had more epochs than its teacher, and a teacher that had them as
# well is the fair comparison.

# %% tags=["nbval-ignore-output"]
unfair, fair = (
    gain("pruned 95 %", "teacher"),
    gain("pruned 95 %", "teacher, trained on"),
)
print(
    f"pruned, against the teacher:            {unfair[0]:+.2f} ± {unfair[1]:.2f} points"
)
print(f"against the teacher with as many epochs: {fair[0]:+.2f} ± {fair[1]:.2f} points")

# %%
claim("What looks like a gain shrinks or turns", fair[0] < unfair[0])

# %% [markdown]
# **A bill in one currency.** Parameters are not bytes, bytes are not time. Of the networks on the bill:

# %%
mlp, cnn = whole_bill["student, 32 units"], whole_bill["student, width 4"]
claim("32 units: a larger file than width 4", mlp["file (kB)"] > cnn["file (kB)"])
claim("and three times fewer multiplications", cnn[work] > 3 * mlp[work])

# %% [markdown]
# **How to evaluate compression honestly.** Say which smallness you need, and measure that one on the machine that has to do the work: the file on the disk, the clock beside the
# original in turns. Compare with a network of the same shape trained from the start, as long {cite}`liu2019rethinking`, and with the original trained as long. Several seeds, paired. Choose sparsity, rank and bits on
# validation images. And count whom it costs: accuracy by class and by group, and the share of images on which the small network contradicts the large one, as a function:


# %%
def audit(small, large, data):
    """What a mean hides: contradictions, the worst class's loss, the hard fifth's."""
    logits = [predict(model, data.images) for model in (large, small)]
    before, after = ((z.argmax(dim=1) == data.labels).float() for z in logits)
    top = logits[0].topk(2, dim=1).values
    hard = (top[:, 0] - top[:, 1]).argsort()[: len(data) // 5]
    classes = range(int(data.labels.max()) + 1)
    losses = [(before - after)[data.labels == k].mean().item() for k in classes]
    return {
        "lost": 100 * (before - after).mean().item(),
        "lost in the worst class": 100 * max(losses),
        "lost in the hard fifth": 100 * (before - after)[hard].mean().item(),
        "contradicts": 100
        * (logits[0].argmax(dim=1) != logits[1].argmax(dim=1)).float().mean().item(),
    }


# %%
audits = [audit(model, teacher, test) for model in students]
claim(
    "The worst class loses over a third more than all classes together",
    all(a["lost in the worst class"] > 4 / 3 * a["lost"] for a in audits),
)
claim(
    "So does the hard fifth",
    all(a["lost in the hard fifth"] > 4 / 3 * a["lost"] for a in audits),
)
claim(
    "Each contradicts the teacher on more images than it loses",
    all(a["contradicts"] > a["lost"] for a in audits),
)

# %% tags=["nbval-ignore-output"]
for a in [*audits, audit(small, teacher, test)]:
    print("  ".join(f"{what}: {value:.1f}" for what, value in a.items()))

# %% [markdown]
# ## Practice
#
# **Exercise 1** (15 minutes). *How long will the file be?* Say it before it is written. Take `small`, the network of
# deep compression. For each layer, compute the entropy of the indices that are not zero, and the entropy of the gaps
# between them (how many zeros are passed). Add 4 bytes for each shared value and each bias. How far is the sum from the
# file's size?
#
# <details><summary>Hint 1: where the numbers are</summary>
#
# `layer.parametrizations.weight[0].indices` holds 0 for a zero and $j$ for the $j$-th value. `indices.flatten().nonzero()`
# says where the others stand, and `diff` how far they are from each other.
#
# </details>
#
# <details><summary>Hint 2: entropy without a formula</summary>
#
# `huffman(symbols).entropy` is in bits a symbol. A layer of $n$ survivors then takes $n\,(H_\text{indices} + H_\text{gaps}) / 8$ bytes.
#
# </details>

# %% tags=["hide-cell"]
# Solution. What is missing are the tables of the codes, names and shapes, and the
# fraction of a bit by which each code misses its entropy.
predicted = 4.0 * sum(p.numel() for n, p in small.named_parameters() if "bias" in n)
for layer in small.modules():
    if isinstance(layer, nn.Conv2d | nn.Linear):
        held = layer.parametrizations.weight
        flat = held[0].indices.flatten()
        places = flat.nonzero().flatten()
        gaps = places.diff(prepend=torch.tensor([-1])) - 1
        bits = huffman(flat[places]).entropy + huffman(gaps).entropy
        predicted += len(places) * bits / 8 + 4 * held.original.numel()
claim("The prediction is below the file's size", predicted < size)
claim("by less than a tenth", predicted > 0.9 * size)

# %% [markdown]
# **Exercise 2** (15 minutes). *Layer by layer, or all together?* `prune` compares magnitudes within the whole network. With `scope="layer"` each layer loses the same share. Predict first, from
# {fig}`bill-where`: at 95 %, which of the two leaves the convolutions more weights, which answers better without training, and which one does fewer multiplications if zeros are skipped?
#
# <details><summary>Hint 1: the sizes of the weights</summary>
#
# A layer with 1,568 inputs starts from much smaller weights than one with 9. Compare `layer.weight.abs().median()` of the layers.
#
# </details>
#
# <details><summary>Hint 2: what to count</summary>
#
# Multiplications that are left: of each layer the weights that are not zero, times how often each is used for one image, `pixels`.
#
# </details>

# %% tags=["hide-cell"]
# Solution: all together spares the convolutions, whose weights are large and few. It
# answers better, and leaves more to multiply. What is best for the file is not what
# is best for the work.
together = prune(teacher, sparsity=0.95)
by_layer = prune(teacher, sparsity=0.95, scope="layer")


def left(model):
    """Multiply-adds for one image whose weight is not zero."""
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return sum(
        int((layer.weight != 0).sum()) * places
        for layer, places in zip(layers, pixels, strict=True)
    )


claim("All together answers better, untrained", score(together) > score(by_layer) + 5)
claim(
    "and leaves over four times as much to multiply",
    left(together) > 4 * left(by_layer),
)

# %% [markdown]
# **Exercise 3** (10 minutes). *How few bits does a scale need?* In {fig}`bill-ranks-and-bits` rounding to two bits spoils the
# network. Round to two bits, train on what is not rounded (the biases) for one epoch, and see what comes back. Predict first: 186 biases against 206,736 weights.
#
# <details><summary>Hint 1: what trains</summary>
#
# `quantize` leaves the weights out of `model.parameters()`, so that `fit` trains the rest by itself. `trained_on` does it.
#
# </details>
#
# <details><summary>Hint 2: why it could help</summary>
#
# Rounding a weight moves a unit's input by a random amount and by a mean amount. Which of the two can a bias repair?
#
# </details>

# %% tags=["hide-cell"]
# Solution: the biases repair the mean shift of every unit, which is much of the harm.
two_bits = quantize(teacher, bits=2)
spoilt = score(two_bits)
repaired = score(trained_on(two_bits))

# %% tags=["hide-cell", "nbval-ignore-output"]
print(f"two bits: {spoilt:.1f} %; biases trained: {repaired:.1f} %")

# %% tags=["hide-cell"]
claim("186 biases bring something back", repaired > spoilt)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A network is pruned to 95 % zeros and runs as fast as before. Why?
# - The zeros were trained away again :: A mask holds them: they are still zero.
# + The processor multiplies by the zeros :: It asks for whole rows of numbers at once. Only hardware or kernels made for zeros skip them.
# - The file was not compressed :: The file is small. What is read from it is as large as before.
# ? Huffman's code is applied to the trained weights as they are. What happens?
# - The file shrinks to a quarter :: A code gains from values that occur often. Trained weights are nearly all different.
# + Nothing is gained :: Each value is as surprising as any other, and the table has to be written as well.
# - Accuracy falls :: A code loses nothing: what is decoded is what was encoded.
# ? A layer of 128 × 1,568 is replaced by two of rank 8. How many numbers are left?
# - 8 · 128 · 1,568 :: This would be eight whole matrices.
# - 8 · 8 :: The core alone; the directions must be stored, too.
# + 8 · (128 + 1,568) :: One thin layer with 8 rows of 1,568, one with 128 rows of 8.
# ? A compressed network has lost half a point of accuracy. Who has lost it?
# - All groups about half a point :: The mean says nothing of this.
# + Mostly those whose images are rare or unusual :: The images given up are those of which the large network was least sure, and rare groups fail first.
# - Nobody, it is noise :: Students of three seeds give up the same images, over ten times as often as by chance.
# ? Which smallness saves energy on a phone that loads the network's weights for every picture?
# + Fewer bytes to fetch :: In Horowitz's table, fetching 32 bits costs over a hundred times what a multiply-add costs.
# - Fewer parameters, stored in more bytes :: What is fetched are bytes.
# - A smaller file that is unpacked before it runs :: Then as many bytes are fetched for every picture as before.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** All of these methods start from a network that is trained already, and most need no data or one more epoch. They
# can be combined, with each other and with distillation. Their prices can be computed before they are paid: the error of a
# rank, half a step of rounding, the entropy of a code.
#
# **Limitations.** A small file is small while it lies on the disk. What runs is what the hardware and its kernels can do; single zeros, shared values and 4-bit numbers need
# hardware made for them, which has been built {cite}`han2016eie`. The networks here are tiny and have far more weights than MNIST needs, which makes every method look good; factors found here are no promise for yours.
# Energy was estimated, not measured.
#
# **Software.** `torch.nn.utils.prune` masks as we do; [torchao](https://github.com/pytorch/ao) is where PyTorch's quantisation lives now, with
# kernels for GPUs and processors; [Neural Compressor](https://github.com/intel/neural-compressor) and
# [ONNX Runtime](https://onnxruntime.ai) quantise for processors, and [Torch-Pruning](https://github.com/VainF/Torch-Pruning) cuts channels in networks of any
# shape. In this library, `tml_helpers.compression`: the functions above, and what they leave in a network, `Mask`, `SharedValues`, `Quantized` and
# `LowRank`; `huffman` returns a `HuffmanCode`, whose words are those of a `PrefixCode`; `nonzero_count` counts what is left.
#
# ## What to take away
#
# Say which smallness you need: bytes on the disk, bytes to fetch, multiplications, time. They do not follow from each
# other. A trained network holds far more weights, values and bits than its answers need, so that its file can be made
# sixty times smaller for nothing that the mean shows; to make it *run* faster takes another shape. That shape can as well be
# trained from the start, and a teacher helps it where labels are few, by its answers or by the relations between them. And
# what is lost is not lost evenly. The unusual images go first, and a group of twenty may go altogether while the mean stands
# still. Count it before you ship.
#
# This ends the chapter. [Chapter 2](../20_adversarial/linear_explanation.ipynb) asks what it takes to make a network answer wrongly.
