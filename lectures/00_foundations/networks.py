# %% [markdown]
# # 0.4 From a perceptron to a network
#
# One formal neuron draws one line. Put many side by side, and a second row on top of them, and the line bends into anything. This lecture builds that network, trains it with derivatives that we work out by hand, and looks at three things the rest of the book cannot do without: the gradient of the loss with respect to the *input*,
# what an optimiser really does with a gradient, and why deep networks were once impossible to train.
#
# **What you will learn**
#
# - the perceptron, what it can and what it cannot separate;
# - layers and activations, and what "universal approximation" does not promise;
# - backpropagation by hand, held against autograd, for weights and for inputs;
# - SGD, momentum and Adam, step for step as PyTorch takes them;
# - dropout, weight decay, early stopping, and the vanishing gradient, measured.
#
# **Before you start**: [0.3](classical_models.ipynb), the chain rule, and a little PyTorch. The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 25 minutes to read; {{ cpu_seconds }} to run.

# %%
import math
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.models import MLP
from tml_helpers.plotting import COLOURS, show_images, use_style
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question: what can a row of lines do?
#
# A **neuron** sums its inputs with weights, adds a bias, and bends the sum: $g(w^\top x + b)$. The oldest bend is a step, 1 above zero and 0 below: Rosenblatt's **perceptron** {cite}`rosenblatt1958perceptron`. It learns from mistakes alone: where an example with label $y = \pm 1$ is on the wrong side, add $y\,x$ to the weights.


# %%
def perceptron(X, y, passes=1000):
    """Weights (the last one is the bias), and the mistakes made on the way."""
    rows = torch.cat([X, torch.ones(len(X), 1)], dim=1)  # (n, d + 1)
    w, mistakes = torch.zeros(rows.shape[1]), 0
    for _ in range(passes):
        before = mistakes
        for row, label in zip(rows, y, strict=True):
            if label * (row @ w) <= 0:
                w = w + label * row
                mistakes += 1
        if mistakes == before:
            break
    return w, mistakes


X = torch.randn(200, 2, generator=generator)
direction = torch.tensor([0.6, 0.8])
X = X[(X @ direction).abs() > 0.2]  # a street of 0.4 without points

# %%
y = (X @ direction).sign()
w, mistakes = perceptron(X, y)
bound = (X.square().sum(1).max() + 1) / 0.2**2
claim("It ends with all on their side", bool((y * (X @ w[:2] + w[2]) > 0).all()))
claim("after no more mistakes than Novikoff's bound", mistakes <= bound.item())

# %% [markdown]
# If some line leaves a margin $\gamma$ on both sides, and no point is farther than $R$ from the origin, the perceptron makes at most $R^2 / \gamma^2$ mistakes, in whatever order the points come {cite}`novikoff1962convergence`. If no line separates them, it never ends. Four points suffice for that: the **exclusive or**.

# %%
corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
xor = torch.tensor([-1.0, 1.0, 1.0, -1.0])
w, _ = perceptron(corners, xor)
right = (xor * (corners @ w[:2] + w[2]) > 0).sum().item()
claim("One line never gets all four corners", right < 4)
hidden = torch.relu(corners.sum(1, keepdim=True) - torch.tensor([0.0, 1.0]))  # (4, 2)
claim(
    "Two neurons and a sum do",
    (hidden @ torch.tensor([1.0, -2.0])).tolist() == [0, 1, 1, 0],
)

# %% [markdown]
# ## Layers
#
# Neurons that see the same inputs form a **layer**: with a matrix $W$ of weights, $h = g(Wx + b)$. A **multilayer perceptron** (MLP) feeds each layer with the one before; what is between input and output is hidden. Without the bend $g$, all layers together would be one matrix. The last layer gives the **logits** $z$, and softmax makes
# probabilities of them ([0.3](classical_models.ipynb)).

# %% tags=["hide-input", "fig-net-activations"] mystnb={"image": {"alt": "Four small panels, from minus 4 to 4: the sigmoid, an S from 0 to 1; tanh, an S from minus 1 to 1; ReLU, zero and then a rising line; leaky ReLU, a faint slope and then a rising line. Dashed, their derivatives: those of sigmoid and tanh die away on both sides."}}
bends = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "ReLU": torch.relu,
    "leaky ReLU": lambda v: F.leaky_relu(v, 0.1),
}
figure, axes = plt.subplots(1, 4, figsize=(7, 1.9))
for axis, (name, bend) in zip(axes, bends.items(), strict=True):
    v = torch.linspace(-4, 4, 201, requires_grad=True)
    (slope,) = torch.autograd.grad(bend(v).sum(), v)
    axis.plot(v.detach(), bend(v).detach(), color=COLOURS["blue"])
    axis.plot(v.detach(), slope, "--", color=COLOURS["orange"])
    axis.set(title=name, ylim=(-1.2, 2))
plt.show()

# %% [markdown]
# *Four bends (blue) and their slopes (orange, dashed).* The slope of the sigmoid is at most a quarter and dies on both sides. Remember that for later.
#
# **Universal approximation**: with one hidden layer that is wide enough, a network comes as near as one likes to any continuous function on a bounded region {cite}`cybenko1989approximation`. We watch it come nearer. ReLU neurons in one dimension are bent lines, so let each neuron bend at a place of its own, and fit the last layer by least squares.


# %%
def bent(x, width):
    """ReLU features of x in [0, 1], each bending at its own place."""
    places = torch.linspace(0, 1, width + 1)[:-1]
    return torch.cat([torch.relu(x[:, None] - places), torch.ones(len(x), 1)], dim=1)


line = torch.linspace(0, 1, 400, dtype=torch.float64)
wave = torch.sin(12 * line) * line + 0.3 * (line > 0.6)
worst = {}
for width in (2, 8, 32, 128):
    features = bent(line.float(), width).double()
    solution = torch.linalg.lstsq(features, wave[:, None]).solution
    worst[width] = (features @ solution - wave[:, None]).square().mean().sqrt().item()
errors = list(worst.values())
claim(
    "Wider is nearer, each time",
    all(a > b for a, b in pairwise(errors)),
)

# %% [markdown]
# What the theorem does not say: how wide, how to find the weights, and whether the function that fits the examples is the one that you wanted between them. (The jump in our wave is not even continuous; near it the error stays.) Between the training points a network may do anything, and [chapter 2](../20_adversarial/linear_explanation.ipynb) is about what it does there.
#
# ## Backpropagation by hand
#
# Take two layers, $a = W_1 x + b_1$, $h = \max(0, a)$, $z = W_2 h + b_2$, and the cross-entropy $\ell = -\log \operatorname{softmax}(z)_y$. The chain rule, from the end to the beginning; each line uses the one above:
#
# $$
# \frac{\partial \ell}{\partial z} = p - \mathbb 1_y, \quad
# \frac{\partial \ell}{\partial h} = W_2^\top \frac{\partial \ell}{\partial z}, \quad
# \frac{\partial \ell}{\partial a} = \frac{\partial \ell}{\partial h} \odot \mathbb 1[a > 0], \quad
# \frac{\partial \ell}{\partial x} = W_1^\top \frac{\partial \ell}{\partial a}.
# $$ (eq-net-back)
#
# In words: how wrong each probability is; sent back through the weights; stopped where the neuron was silent; sent back once more. The gradient of a weight is the signal that comes back to its neuron times the value that went in. That is all; autograd does the same for any network.


# %%
def two_layers(x, labels, W1, b1, W2, b2):
    """The mean loss, and its gradients for the four parameters and for the input."""
    a = x @ W1.T + b1  # (n, hidden)
    h = a.clamp(min=0)
    z = h @ W2.T + b2  # (n, classes)
    hot = F.one_hot(labels, z.shape[1]).to(z.dtype)
    loss = -(F.log_softmax(z, dim=1) * hot).sum(1).mean()
    dz = (z.softmax(dim=1) - hot) / len(x)
    da = (dz @ W2) * (a > 0)
    gradients = (da.T @ x, da.sum(0), dz.T @ h, dz.sum(0), da @ W1)
    return loss, gradients  # for W1, b1, W2, b2 and x


sizes = [(6, 5), (6,), (3, 6), (3,)]
parameters = [
    torch.randn(s, dtype=torch.float64, generator=generator, requires_grad=True)
    for s in sizes
]

# %%
x = torch.randn(8, 5, dtype=torch.float64, generator=generator, requires_grad=True)
labels = torch.randint(3, (8,), generator=generator)
loss, by_hand = two_layers(x, labels, *parameters)
by_autograd = torch.autograd.grad(loss, [*parameters, x])
gap = max((a - b).abs().max().item() for a, b in zip(by_hand, by_autograd, strict=True))
claim("By hand and by autograd: equal up to rounding", gap < 1e-12)

# %% [markdown]
# ## The same gradient, for the input
#
# The last of the five gradients is $\nabla_x \ell$: how the loss grows with each *input* value. Training has no use for it. Everything else has: an attacker walks along it ([2.1](../20_adversarial/linear_explanation.ipynb)), an explanation draws it ([4.4](../40_interpretability/attributions.ipynb)), a thief inverts it ([6.4](../60_privacy/inversion_and_stealing.ipynb)). For a real network on digits ([data card](../../book/data_cards/mnist.md)):

# %%
train, test = mnist("train"), mnist("test")
train, test = train.select(slice(2000)), test.select(slice(1000))
network = MLP(64)  # 784 → 64 → 10, with the normalisation inside
history = fit(network, train, epochs=5, learning_rate=2e-3, generator=generator)
claim("It learns: over 85 % of new digits", accuracy(network, test) > 0.85)

some = test.images[:60:10].clone().requires_grad_(True)  # (6, 1, 28, 28)
loss = F.cross_entropy(network(some), test.labels[:60:10], reduction="sum")
(slope,) = torch.autograd.grad(loss, some)
claim("One slope for each pixel of each image", slope.shape == some.shape)

# %% tags=["hide-input", "fig-net-slopes"] mystnb={"image": {"alt": "Two rows of six: above, digits; below, for each the size of the loss's slope at every pixel, a grainy cloud that is strongest on and around the strokes."}}
size = slope.abs() / slope.abs().amax(dim=(1, 2, 3), keepdim=True)
show_images(torch.cat([some.detach(), size]), columns=6)
plt.show()

# %% [markdown]
# *Above: digits. Below: where a small change of a pixel changes the loss most; dark is much.* It is no picture of the digit. That is the first surprise of chapters 2 and 4.
#
# ## What an optimiser does
#
# Training repeats four steps: take a **mini-batch** of examples; compute the loss, forwards; compute the gradients, backwards; change the weights a little. One round over all examples is an **epoch**. Plain **SGD** goes down the slope of the batch, $\theta \leftarrow \theta - \eta g$, with a **learning rate** $\eta$. **Momentum** adds up former slopes, so that what
# keeps its direction gathers speed. **Adam** keeps running means of the slope and of its square, and divides one by the root of the other: each weight gets steps of about $\eta$, however large its slopes are {cite}`kingma2015adam`.


# %%
def sgd(theta, slope, state, lr=0.1, momentum=0.0):
    """One step; `state` holds the velocity."""
    state["v"] = momentum * state.get("v", 0) + slope
    return theta - lr * state["v"]


def adam(theta, slope, state, lr=0.1, b1=0.9, b2=0.999, eps=1e-8):
    """One step; `state` holds two running means and the number of steps."""
    t = state["t"] = state.get("t", 0) + 1
    state["m"] = b1 * state.get("m", 0) + (1 - b1) * slope
    state["s"] = b2 * state.get("s", 0) + (1 - b2) * slope**2
    mean, square = state["m"] / (1 - b1**t), state["s"] / (1 - b2**t)  # they began at 0
    return theta - lr * mean / (square.sqrt() + eps)


def valley(theta):
    """A narrow valley: ten times as steep across as along."""
    return (theta[0] ** 2 + 10 * theta[1] ** 2) / 2


# %%
def walk(step, steps=40, **numbers):
    theta, state, path = torch.tensor([-4.0, 1.0], dtype=torch.float64), {}, []
    for _ in range(steps):
        path.append(theta)
        slope = theta * torch.tensor([1.0, 10.0], dtype=torch.float64)
        theta = step(theta, slope, state, **numbers)
    return torch.stack(path)


# %%
def torch_walk(make, steps=40):
    """The same walk by an optimiser of PyTorch."""
    theta = torch.tensor([-4.0, 1.0], dtype=torch.float64, requires_grad=True)
    optimiser, path = make([theta]), []
    for _ in range(steps):
        path.append(theta.detach().clone())
        optimiser.zero_grad()
        valley(theta).backward()
        optimiser.step()
    return torch.stack(path)


# %%
walks = {
    "SGD": (walk(sgd), lambda p: torch.optim.SGD(p, 0.1)),
    "momentum": (
        walk(sgd, lr=0.03, momentum=0.8),
        lambda p: torch.optim.SGD(p, 0.03, momentum=0.8),
    ),
    "Adam": (walk(adam, lr=0.3), lambda p: torch.optim.Adam(p, 0.3)),
}
for name, (path, make) in walks.items():
    gap = (path - torch_walk(make)).abs().max().item()
    claim(f"{name}: all 40 steps as PyTorch's", gap < 1e-12)

# %% tags=["hide-input", "fig-net-walks"] mystnb={"image": {"alt": "Ellipses of equal loss, long from left to right, and three paths from the same start at the left to the centre: SGD goes down and then along the valley floor; momentum swings across it; Adam heads diagonally and overshoots a little."}}
figure, axis = plt.subplots(figsize=(6, 2.8))
across, up = torch.meshgrid(
    torch.linspace(-4.5, 2, 120), torch.linspace(-1.5, 1.5, 80), indexing="xy"
)
axis.contour(across, up, valley(torch.stack([across, up])), 12, colors="lightgrey")
for (name, (path, _)), hue in zip(
    walks.items(), ("blue", "orange", "green"), strict=True
):
    axis.plot(*path.T, ".-", color=COLOURS[hue], label=name)
axis.set(xlabel="first weight", ylabel="second weight")
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# *Three walks down one valley.* `fit`, which the whole book trains with, takes Adam unless it is told otherwise: it shuffles the examples anew in each epoch, cuts them into batches, and does the four steps. The mean loss of each epoch is what it returns.
#
# ## Against overfitting
#
# **Dropout** sets each hidden value to zero with probability $p$ in training, and divides the others by $1 - p$, so that the mean stays {cite}`srivastava2014dropout`. When the network is asked, nothing is dropped. That is one reason why PyTorch's modules have two modes, `train()` and `eval()`; an attack or a defence that forgets it measures another network.


# %%
def dropout(h, p, generator):
    keep = torch.rand(h.shape, generator=generator) >= p
    return h * keep / (1 - p)


ones = torch.ones(100_000)
dropped = dropout(ones, 0.3, generator)
claim("The mean stays 1, within 2 %", abs(dropped.mean().item() - 1) < 0.02)
claim("Asked, nothing is dropped", torch.equal(nn.Dropout(0.3).eval()(ones), ones))

# %% [markdown]
# **Weight decay** pulls all weights towards zero in each step. With plain SGD that is the same as an L2 penalty in the loss. With Adam it is not, for Adam divides the penalty's slope as well; `AdamW` takes the decay out of the division {cite}`loshchilov2019decoupled`. An L1 penalty makes weights small and many nearly zero. **Early stopping** keeps the weights of the epoch with the
# least validation error. Of the three it is the cheapest and the hardest to beat ([3.1](../30_poisoning/labels.ipynb)).


# %%
def decayed(make, steps=60):
    """A weight under a slope of 100 and a decay of 0.1, after some steps."""
    theta = torch.tensor([5.0], requires_grad=True)
    optimiser = make([theta])
    for _ in range(steps):
        optimiser.zero_grad()
        (100 * theta).sum().backward()
        optimiser.step()
    return theta.item()


penalised = decayed(lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1))
plain = decayed(lambda p: torch.optim.Adam(p, 0.01))
decoupled = decayed(lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1))
claim("In Adam the penalty is divided away", abs(penalised - plain) < 1e-3)
claim("AdamW decays", plain - decoupled > 0.1)

# %% [markdown]
# ## The gradient that vanishes
#
# On its way back the signal is multiplied, layer by layer, by weights and by the slope of the bend. For a sigmoid that slope is at most a quarter, so that ten layers leave less than $4^{-10}$ of it, unless the weights make up for it. We measure the slope's size at each layer of a deep network, before any training.


# %%
def depth_profile(bend, depth=20, width=64, residual=False, gain=1.0):
    """The size of the loss's slope at each layer's output, the first layer first."""
    generator = torch.Generator().manual_seed(seed())
    h, outputs = torch.randn(256, width, generator=generator, requires_grad=True), []
    for _ in range(depth):
        W = gain * torch.randn(width, width, generator=generator) / math.sqrt(width)
        step = bend(h @ W.T)
        h = h + step if residual else step
        outputs.append(h)
    slopes = torch.autograd.grad(h.square().mean(), outputs)
    return torch.stack([s.norm() for s in slopes]) / slopes[-1].norm()


# %%
profiles = {
    "sigmoid": depth_profile(torch.sigmoid),
    "tanh": depth_profile(torch.tanh),
    "ReLU, gain √2": depth_profile(torch.relu, gain=math.sqrt(2)),
    "residual ReLU": depth_profile(torch.relu, residual=True, gain=0.3),
}
claim("Sigmoid: under 1e-8 reaches layer 1", profiles["sigmoid"][0] < 1e-8)
claim("ReLU: over 1 %", profiles["ReLU, gain √2"][0] > 0.01)
claim("With skips: no loss", profiles["residual ReLU"][0] > 0.5)

# %% tags=["hide-input", "fig-net-vanishing"] mystnb={"image": {"alt": "The slope's size on a logarithmic axis over the layer, from the last, 20, back to the first. The sigmoid's line falls straight to below 10 to the minus 9; tanh's falls a little; those of ReLU and of the residual network stay near 1."}}
figure, axis = plt.subplots(figsize=(6, 2.8))
for (name, profile), style in zip(
    profiles.items(), ("-", "--", "-.", ":"), strict=True
):
    axis.semilogy(range(1, 21), profile, style, label=name)
axis.set(xlabel="layer", ylabel="slope, relative to layer 20")
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# *How much of the last layer's slope arrives at each layer.* With sigmoids the first layers learn nothing. ReLU has slope 1 or 0, and weights scaled so that half of them silent makes no difference keep the size {cite}`he2015delving`. A **residual** network adds each layer's output to its input {cite}`he2016deep`: the signal has a way around every layer. Weights that are too large make the
# opposite, an exploding gradient; then steps are cut to a length. One more use of a vanishing gradient is to hide behind it: [2.6](../20_adversarial/honest_evaluation.ipynb) calls that gradient masking.
#
# ## What goes wrong: networks fit everything
#
# A network can learn random labels by heart {cite}`zhang2017understanding`, and yet, trained on true ones, it does well on new examples. So capacity alone does not explain what it learns; the optimiser, the data and the build prefer some functions to others, in ways that are not understood to the end. Our small one learns coin flips, too.

# %%
few = train.select(slice(200))
coins = torch.randint(10, (200,), generator=generator)
parrot = MLP(256)
fit(
    parrot,
    TensorDataset(few.images, coins),
    epochs=60,
    learning_rate=3e-3,
    batch_size=50,
    generator=generator,
)
by_heart = (predict(parrot, few.images).argmax(1) == coins).float().mean().item()
claim("Random labels, over 95 % by heart", by_heart > 0.95)
claim("Of new digits under 30 % right", accuracy(parrot, test) < 0.3)

# %% [markdown]
# That memory is what [chapter 6](../60_privacy/memory_and_forgetting.ipynb) reads out.
#
# ## How to judge a training honestly
#
# One training is one draw: another seed gives another network. A difference between two recipes is a difference between *means over seeds*, with an interval, on a test set that chose neither. And the modes: judge in `eval()`.

# %%
rates = {}
for rate in (5e-4, 2e-3):
    rates[rate] = []
    for run in range(4):
        generator = seed_everything(seed() + 10 * run)
        model = MLP(32)
        fit(model, train, epochs=2, learning_rate=rate, generator=generator)
        rates[rate].append(accuracy(model, test))
slow, fast = (torch.tensor(values) for values in rates.values())
claim("Two epochs: 2e-3 beats 5e-4 in all four pairs", bool((fast > slow).all()))

# %% [markdown]
# ## Practice
#
# **Exercise 1** (10 minutes). *A third layer.* Extend `two_layers` to three layers, by the rule in words, and hold it against autograd. Which lines are new?
#
# <details><summary>Hint: pass it on</summary>
#
# What comes back to a layer's output is multiplied by the bend's slope, then by the layer's weights.
#
# </details>


# %% tags=["hide-cell"]
def three_layers(x, labels, W1, W2, W3):
    a = x @ W1.T
    c = a.relu() @ W2.T
    z = c.relu() @ W3.T
    dz = (z.softmax(1) - F.one_hot(labels, z.shape[1])) / len(x)
    dc = (dz @ W3) * (c > 0)
    da = (dc @ W2) * (a > 0)
    return F.cross_entropy(z, labels), (da.T @ x, dc.T @ a.relu(), dz.T @ c.relu())


weights = [
    torch.randn(s, dtype=torch.float64, requires_grad=True)
    for s in ((7, 5), (6, 7), (3, 6))
]
loss, mine = three_layers(x, labels, *weights)
theirs = torch.autograd.grad(loss, weights)
gap = max((a - b).abs().max().item() for a, b in zip(mine, theirs, strict=True))
claim("Three layers: equal up to rounding", gap < 1e-12)

# %% [markdown]
# **Exercise 2** (15 minutes). *A learning rate too large.* On the valley, SGD's step multiplies the second weight by $1 - 10\eta$. From which $\eta$ on does it diverge? And Adam?
#
# <details><summary>Hint: a number below minus one</summary>
#
# $|1 - 10\eta| > 1$. Adam's steps have a size of their own.
#
# </details>

# %% tags=["hide-cell"]
# Solution: SGD diverges above 0.2. Adam does not run away: its steps are about η long,
# and it circles the minimum at that distance.
ends = {rate: walk(sgd, lr=rate)[-1][1].abs().item() for rate in (0.19, 0.21)}
claim("Below 0.2 it comes in", ends[0.19] < 1)
claim("Above it runs away", ends[0.21] > 1)
claim(
    "Adam at 1.0 stays in sight",
    walk(adam, lr=1.0, steps=200)[-1].abs().max().item() < 5,
)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? All bends are taken out of a network of five layers. What is left?
# + One linear layer :: A product of matrices is a matrix.
# - Five linear layers that can do more than one :: They have more parameters and no more functions.
# - Nothing that can be trained :: It trains, as linear regression does.
# ? Universal approximation guarantees that …
# - training finds the function :: It says that weights exist.
# - the network is right between the examples :: It says nothing of examples.
# + some weights of a wide enough layer come near any continuous function :: On a bounded region; how wide, it does not say.
# ? A test forgets `model.eval()` and the network has dropout. Which is true?
# - Nothing changes :: Values are dropped, so answers differ from call to call.
# + It measures another, noisier network :: Also attacks by gradients fail against it for the wrong reason.
# - The weights change :: They don't without an optimiser.
# ? Why does $\nabla_x \ell$ matter, if training never uses it?
# - It is needed for $\nabla_W \ell$ :: That needs the signal at each layer, not at the input.
# + It says which small change of an input changes the answer most :: Attackers, explanations and inversions live on it.
# - It is always small :: For most networks it is not: chapter 2.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** One rule, the chain rule, trains anything that is built of differentiable pieces, and gives the slope for inputs as well as for weights.
#
# **Limitations.** No guarantee that training ends in a good place, nor why it mostly does. Results vary with the seed. A network says something about every input, also about noise.
#
# **Software and further reading.** PyTorch does the derivatives. Goodfellow, Bengio and Courville {cite}`goodfellow2016deep` is the textbook; *Dive into Deep Learning* {cite}`zhang2023dive` the one that runs. In this book: `training.fit`, `training.predict`, `training.accuracy`, `models.MLP`.
#
# ## What to take away
#
# A network is bent lines on bent lines. Errors travel back through the same weights that answers travelled forward, to the weights and to the input. An optimiser decides what a gradient is worth. And one training is one draw. Next: [convolution](convolution.ipynb).
