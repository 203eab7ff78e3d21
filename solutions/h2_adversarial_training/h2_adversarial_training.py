# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # H2 · Attack it, then train against it
#
# In chapter 2 a step too small to see made a network misread a digit, and
# [lecture 2.5](../../lectures/20_adversarial/defenses.ipynb) trained networks that
# withstand it. Here you build both sides yourself: the attacks, the training against them,
# and the table by which such training is judged.
#
# | task | what you write | points | minutes | difficulty |
# |---|---|---|---|---|
# | 1 | the fast gradient sign method | 1 | 15 | ●○○ |
# | 2 | projected gradient ascent | 3 | 40 | ●●○ |
# | 3 | friendly attacks, which stop in time | 1 | 30 | ●●● |
# | 4 | the loss of adversarial training | 1 | 15 | ●●○ |
# | 5 | the table: three radii, natural and robust accuracy | 2 | 30 | ●●○ |
# | 6 | explain (graded by a human) | 2 | 20 | ●●○ |
#
# **Threat model.** White box; any wrong class; each pixel moves by at most $\varepsilon$,
# within $[0, 1]$.
#
# **How to work.** `tml start h2` puts a copy of this notebook in a folder of your own.
# Open the copy in JupyterLab or on Colab and work there. Run the cells from the top. Where
# a cell says `raise NotImplementedError`, replace that line by your own code. Below each
# answer stand tests: when one fails, its last line says what probably went wrong. After you
# have submitted, further tests run on other inputs, so write what the task says, not what
# one test needs. From Task 4 on you use the library's attacks and not yours: a slip in
# Task 2 or 3 costs you nothing later. Before Task 4 the library's attacks are not there
# while you are graded. Each task has hints: open them one by one, if you need them. You may
# add cells of your own; please leave the test cells as they are.
#
# **How to submit.** Restart the kernel, run everything once more, and save. Then ask what
# is missing, in the folder of your copy:
#
# ```
# tml check h2_adversarial_training.ipynb
# ```
#
# It runs nothing and answers in plain words. When it says `ready to submit`, submit that
# one file, under that name, where your course says.
#
# Everything here runs in about half a minute on a laptop, without a GPU.

# %% nbgrader={"grade": false, "grade_id": "0a_setup", "locked": true, "schema_version": 3, "solution": false, "task": false} tml={"withhold": ["tml_helpers.attacks", "tml_helpers.kernels", "tml_helpers.defenses"]}
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.data import mnist
from tml_helpers.grading import ask
from tml_helpers.models import SmallCNN
from tml_helpers.training import fit, predict, seed_everything

torch.set_num_threads(1)  # networks as small as these run fastest on one core
train, test = mnist("train", source="default"), mnist("test", source="default")
EPSILONS = (0.1, 0.2, 0.3)  # the three radii by which MNIST networks are compared

# %% [markdown]
# The network that you attack first, and later harden, is a small convolutional one. It is
# passed on as its `state_dict`; `reader` makes a network of it.


# %% nbgrader={"grade": false, "grade_id": "0b_network", "locked": true, "schema_version": 3, "solution": false, "task": false}
def reader(state: dict[str, Tensor]) -> nn.Module:
    """The network SmallCNN with these parameters, in evaluation mode."""
    network = SmallCNN()
    network.load_state_dict(state)
    return network.eval()


def share_right(state: dict[str, Tensor], images: Tensor, labels: Tensor) -> float:
    """The share of images that the network with these parameters reads correctly."""
    return (
        (predict(reader(state), images).argmax(dim=1) == labels).float().mean().item()
    )


def gradient(state: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """How the loss of each image changes with its pixels: the shape of `images`."""
    leaf = images.clone().requires_grad_()
    loss = F.cross_entropy(reader(state)(leaf), labels, reduction="sum")
    return torch.autograd.grad(loss, leaf)[0]


generator = seed_everything(0)
network = SmallCNN()
settings = {"epochs": 3, "batch_size": 64, "learning_rate": 2e-3, "progress": False}
fit(network, train, generator=generator, **settings)
start = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
print(f"the network reads {share_right(start, test.images, test.labels):.0%} correctly")

# %% [markdown]
# ## Task 1 · The fast gradient sign method
#
# *1 point · 15 minutes · ●○○*
#
# Read [lecture 2.1](../../lectures/20_adversarial/linear_explanation.ipynb), section *The
# fast gradient sign method*.
#
# $$ x' = x + \varepsilon \cdot \operatorname{sign}\big(\nabla_x L(x, y)\big),
# \quad \text{cut to } [0, 1]. $$
#
# **Goal.** Write `fgsm`. Ask for the gradient with respect to the images alone, with
# `torch.autograd.grad`: an attack must leave nothing behind in the network.
#
# <details><summary>Hint 1: a gradient for what</summary>
#
# A gradient is computed only for a tensor that requires one, and `images` must stay as it
# is: work on a copy of it.
#
# </details>
#
# <details><summary>Hint 2: what comes after the gradient</summary>
#
# A sign does not depend on how long the gradient is, so mean and sum of the loss give the
# same images. Then follow the formula, its last three words included: there are two limits.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1_fgsm_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fgsm(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """One step of length epsilon that raises the cross-entropy of each image.

    images: (N, 1, 28, 28), in [0, 1]. labels: (N,). epsilon: 0 or more.
    Returns images of the same shape, in [0, 1]; `images` stays as it is.
    """
    ### BEGIN SOLUTION
    leaf = images.clone().requires_grad_()
    loss = F.cross_entropy(model(leaf), labels)
    (slope,) = torch.autograd.grad(loss, leaf)
    return (images + epsilon * slope.sign()).clamp(0, 1)
    ### END SOLUTION


# Given, for the tests: keep this function in the same cell.
def try_fgsm(
    state: dict[str, Tensor], images: Tensor, labels: Tensor, epsilon: float
) -> dict:
    """Attack with fgsm; the result, and what it left behind."""
    model, given = reader(state), images.clone()
    adversarial = fgsm(model, given, labels, epsilon)
    return {
        "adversarial": adversarial.detach(),
        "images": given.detach(),
        "left": any(w.grad is not None for w in model.parameters()),
    }


# %% nbgrader={"grade": true, "grade_id": "1_fgsm", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x, y = test.images[:50], test.labels[:50]
came = try_fgsm(start, x, y, 0.1)
adversarial = came["adversarial"]
assert adversarial.shape == x.shape, "return images of the shape that came in"
assert (adversarial - x).abs().max() < 0.1 + 1e-5, "a pixel moved by more than epsilon"
assert adversarial.min() >= 0, "pixels below 0: cut the result to [0, 1]"
assert adversarial.max() <= 1, "pixels above 1: cut the result to [0, 1]"
before, after = (F.cross_entropy(reader(start)(z), y) for z in (x, adversarial))
assert after > before, "the attack helps the network: go up the loss, not down"
assert torch.equal(came["images"], x), "the images that came in were changed: copy them"
### BEGIN HIDDEN TESTS
drawn = torch.randperm(len(test))[:40]
x, y = test.images[drawn], test.labels[drawn]
y[:5] = (predict(reader(start), x[:5]).argmax(dim=1) + 1) % 10  # five are misread
slope = gradient(start, x, y)
for epsilon in (0.02, 0.15, 0.3):
    came = try_fgsm(start, x, y, epsilon)
    exact = (x + epsilon * slope.sign()).clamp(0, 1)
    sure = slope.abs() > 1e-6 * slope.abs().amax()  # a sign that rounding cannot turn
    assert came["adversarial"].shape == x.shape, (
        "return images of the shape that came in"
    )
    assert ((came["adversarial"] - exact).abs() * sure).max() < 1e-5, (
        "not x + epsilon · sign(gradient), cut to [0, 1]: is the sign there, is it that of "
        "the loss of the label, and is the step as long as epsilon?"
    )
    assert not came["left"], (
        "gradients were left in the network's parameters: use torch.autograd.grad"
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2 · Projected gradient ascent
#
# *3 points (projection, walk, strength: 1 each) · 40 minutes · ●●○*
#
# Read [lecture 2.2](../../lectures/20_adversarial/iterative_attacks.ipynb), section
# *Projected gradient ascent*.
#
# One long step over a bent loss overshoots. Many small ones do not, but they may leave the
# ball, so each is followed by the way back:
#
# $$ x^{(i+1)} = \Pi\big(x^{(i)} + \alpha\, \operatorname{sign}\nabla_x L(x^{(i)}, y)\big),
# \qquad x^{(0)} = \Pi\big(x + \text{noise, uniform on } [-\varepsilon, \varepsilon]\big). $$
#
# $\Pi$ gives the nearest point that lies within $\varepsilon$ of the *original* image, pixel
# by pixel, and in $[0, 1]$.
#
# **Goal.** Write `project` and `pgd`. Draw the start with
# `torch.empty_like(images).uniform_(-epsilon, epsilon, generator=generator)`.
#
# <details><summary>Hint 1: the projection</summary>
#
# Two things are limited: by how much a pixel has changed, and what value it has. Compute
# the change, limit it, go back to the image, and limit that.
#
# </details>
#
# <details><summary>Hint 2: the walk</summary>
#
# The gradient belongs to the point where the walk stands, the projection to the image where
# it began. Let every step ask for its gradient on a fresh copy of the current point, as
# `fgsm` did.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2_pgd_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def project(candidates: Tensor, images: Tensor, epsilon: float) -> Tensor:
    """The nearest point to each candidate within epsilon of its image and in [0, 1].

    candidates, images: (N, 1, 28, 28); only `images` is known to lie in [0, 1].
    """
    ### BEGIN SOLUTION
    change = (candidates - images).clamp(-epsilon, epsilon)
    return (images + change).clamp(0, 1)
    ### END SOLUTION


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int,
    step_size: float,
    generator: torch.Generator,
) -> Tensor:
    """Signed gradient steps from a random start, each followed by the projection.

    images: (N, 1, 28, 28), in [0, 1]. labels: (N,). steps: 0 gives back the start.
    Returns images of the same shape, in [0, 1] and within epsilon of `images`.
    """
    ### BEGIN SOLUTION
    noise = torch.empty_like(images).uniform_(-epsilon, epsilon, generator=generator)
    current = project(images + noise, images, epsilon)
    for _ in range(steps):
        leaf = current.clone().requires_grad_()
        loss = F.cross_entropy(model(leaf), labels)
        (slope,) = torch.autograd.grad(loss, leaf)
        current = project(current + step_size * slope.sign(), images, epsilon)
    return current
    ### END SOLUTION


# Given, for the tests: keep this function in the same cell.
def try_pgd(
    state: dict[str, Tensor],
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int,
    step_size: float,
    seed: int = 0,
) -> Tensor:
    """Attack the network with these parameters with pgd, from this seed."""
    model, generator = reader(state), torch.Generator().manual_seed(seed)
    settings = {"steps": steps, "step_size": step_size, "generator": generator}
    return pgd(model, images, labels, epsilon, **settings).detach()


# %% [markdown]
# **Projection.** Three pixels at 0.5, 0.5 and 0.95 with $\varepsilon = 0.1$: the candidates
# 0.9, 0.45 and 1.3 become 0.6, 0.45 and 1.

# %% nbgrader={"grade": true, "grade_id": "2a_projection", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
three = torch.tensor([0.5, 0.5, 0.95]).view(1, 1, 1, 3)
found = project(torch.tensor([0.9, 0.45, 1.3]).view(1, 1, 1, 3), three, 0.1).flatten()
assert found.shape == (3,), "return the shape that came in"
assert abs(found[0] - 0.6) < 1e-5, "0.9 is more than 0.1 above 0.5: the nearest is 0.6"
assert abs(found[1] - 0.45) < 1e-5, "0.45 is allowed, and must stay"
assert abs(found[2] - 1) < 1e-5, "1.3 is no pixel: cut to [0, 1] as well"
### BEGIN HIDDEN TESTS
for epsilon in (0.0, 0.07, 0.3, 1.0):
    x = torch.rand(6, 1, 5, 5)
    far = x + 0.8 * torch.randn(6, 1, 5, 5)
    exact = torch.minimum(torch.maximum(far, x - epsilon), x + epsilon).clamp(0, 1)
    found = project(far, x, epsilon)
    assert found.shape == x.shape, "return the shape that came in"
    assert (found - exact).abs().max() < 1e-5, (
        "not the nearest point: cut the change of each pixel to [-epsilon, epsilon], and "
        "the result to [0, 1]"
    )
    assert (project(found, x, epsilon) - found).abs().max() < 1e-5, (
        "a point that is allowed already must stay where it is"
    )
### END HIDDEN TESTS

# %% [markdown]
# **The walk.** With `steps=0` one sees where it starts.

# %% nbgrader={"grade": true, "grade_id": "2b_walk", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x, y = test.images[:20], test.labels[:20]
found = try_pgd(start, x, y, 0.2, steps=10, step_size=0.05)
assert found.shape == x.shape, "return images of the shape that came in"
assert (found - x).abs().max() < 0.2 + 1e-5, (
    "a pixel moved by more than epsilon from the original image: project around the "
    "original after each step, not around the last point"
)
assert found.min() >= 0, "pixels below 0: cut the result to [0, 1]"
assert found.max() <= 1, "pixels above 1: cut the result to [0, 1]"
### BEGIN HIDDEN TESTS
drawn = torch.randperm(len(test))[:30]
x, y = test.images[drawn], test.labels[drawn]
y[:5] = (predict(reader(start), x[:5]).argmax(dim=1) + 1) % 10  # five are misread
first = try_pgd(start, x, y, 0.2, steps=0, step_size=0.05, seed=7)
assert first.shape == x.shape, "return images of the shape that came in"
inside = (first - x)[(x > 0.25) & (x < 0.75)]  # where the cut to [0, 1] plays no part
assert torch.equal(first, first.clamp(0, 1)), (
    "the start leaves [0, 1]: project the first point, too, as the formula says"
)
assert inside.abs().max() > 0.1, "no random start: draw the first point from the ball"
assert inside.abs().max() < 0.2 + 1e-5, "the start lies outside of the ball"
assert abs(inside.std() - 0.2 / 3**0.5) < 0.02, "the start is not uniform on the ball"
again = try_pgd(start, x, y, 0.2, steps=0, step_size=0.05, seed=7)
assert torch.equal(first, again), "the same seed must give the same start"
other = try_pgd(start, x, y, 0.2, steps=0, step_size=0.05, seed=8)
assert not torch.equal(first, other), "draw the start with the generator that is given"
second = first
for steps in (1, 2):
    slope = gradient(start, second, y)
    exact = (second + 0.05 * slope.sign() - x).clamp(-0.2, 0.2)
    exact = (x + exact).clamp(0, 1)
    found = try_pgd(start, x, y, 0.2, steps=steps, step_size=0.05, seed=7)
    sure = slope.abs() > 1e-6 * slope.abs().amax()
    assert found.shape == x.shape, "return images of the shape that came in"
    assert ((found - exact).abs() * sure).max() < 1e-5, (
        f"step {steps} went elsewhere: take the gradient at the current point, go up the "
        "loss by step_size times its sign, then project around the original image"
    )
    second = found
### END HIDDEN TESTS

# %% [markdown]
# **Strength.** Twenty steps must be stronger than one.

# %% nbgrader={"grade": true, "grade_id": "2c_strength", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
from tml_helpers import attacks

x, y = test.images[:30], test.labels[:30]
left = share_right(start, try_pgd(start, x, y, 0.2, steps=20, step_size=0.025), y)
one_step = share_right(start, attacks.fgsm(reader(start), x, y, epsilon=0.2), y)
assert left <= one_step, (
    f"after 20 steps the network reads {left:.0%}, after one long step {one_step:.0%}: "
    "does each step start where the last one ended?"
)
assert "attacks" not in ask.source(pgd), (
    "write it yourself, without the library's attacks"
)
### BEGIN HIDDEN TESTS
# Images that the network still reads after one long step, but not after many.
x, y = test.images[:80], test.labels[:80]
once = attacks.fgsm(reader(start), x, y, epsilon=0.2)
often = attacks.pgd(reader(start), x, y, epsilon=0.2, steps=10, step_size=0.05)
read = [predict(reader(start), z).argmax(dim=1) == y for z in (once, often)]
pool = (read[0] & ~read[1]).nonzero().flatten()
drawn = pool[torch.randperm(len(pool))[:30]]
x, y = x[drawn], y[drawn]
mine = try_pgd(start, x, y, 0.2, steps=20, step_size=0.025)
assert mine.shape == x.shape, "return images of the shape that came in"
assert (mine - x).abs().max() < 0.2 + 1e-5, "a pixel moved by more than epsilon"
assert share_right(start, mine, y) < 0.5, (
    "the attack is weaker than projected gradient ascent should be: does each step "
    "start where the last one ended, and does it use the sign of the gradient?"
)
### END HIDDEN TESTS

# %% [markdown]
# ## Task 3 · Friendly attacks, which stop in time
#
# *1 point · 30 minutes · ●●●*
#
# Read [lecture 2.5](../../lectures/20_adversarial/defenses.ipynb), section *What robustness
# costs*.
#
# In Tasks 4 and 5 a network is trained on what an attack finds. The worst image may be so
# bad that the network unlearns what it knew. *Friendly* adversarial training stops an
# attack soon after it has succeeded. Before each step, look at what the network answers. An
# image that was found misread more than $\tau$ times so far, this time included, rests
# where it is. All others take a step.
#
# **Goal.** Write `friendly_pgd`, which starts at the images themselves, without a Python
# loop over images: a mask says who still moves. Simple is good: moving all, and then
# taking back those that rest, is right.
#
# <details><summary>Hint 1: what to remember</summary>
#
# Keep one whole number for each image: how often it was found misread so far. The order
# within a step matters: look at the answers, count, compare with $\tau$, and only then move.
#
# </details>
#
# <details><summary>Hint 2: how to take back without a loop</summary>
#
# `torch.where(mask, a, b)` takes from `a` where the mask is true, and from `b` elsewhere.
# The mask has the shape (N,); to choose whole images it needs the shape (N, 1, 1, 1).
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "3_friendly_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def friendly_pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int,
    step_size: float,
    tau: int,
) -> Tensor:
    """PGD from the images themselves; an image rests once misread more than tau times.

    images: (N, 1, 28, 28), in [0, 1]. labels: (N,). tau: 0 stops at the first success.
    """
    ### BEGIN SOLUTION
    current = images.clone()
    misread = torch.zeros_like(labels)
    for _ in range(steps):
        leaf = current.clone().requires_grad_()
        logits = model(leaf)
        (slope,) = torch.autograd.grad(
            F.cross_entropy(logits, labels, reduction="sum"), leaf
        )
        misread += logits.argmax(dim=1) != labels
        moved = current + step_size * slope.sign()
        moved = (images + (moved - images).clamp(-epsilon, epsilon)).clamp(0, 1)
        rests = (misread > tau).view(-1, 1, 1, 1)
        current = torch.where(rests, current, moved)
    return current
    ### END SOLUTION


# Given, for the tests: keep this function in the same cell.
def try_friendly_pgd(
    state: dict[str, Tensor],
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int,
    step_size: float,
    tau: int,
) -> Tensor:
    """Attack the network with these parameters with friendly_pgd."""
    settings = {"steps": steps, "step_size": step_size, "tau": tau}
    return friendly_pgd(reader(state), images, labels, epsilon, **settings).detach()


# %% nbgrader={"grade": true, "grade_id": "3_friendly", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x, y = test.images[:40], test.labels[:40]
walk = {"steps": 8, "step_size": 0.04}
found = try_friendly_pgd(start, x, y, 0.25, tau=0, **walk)
full = try_friendly_pgd(start, x, y, 0.25, tau=8, **walk)
assert found.shape == x.shape, "return images of the shape that came in"
assert (found - x).abs().max() < 0.25 + 1e-5, "a pixel moved by more than epsilon"
assert (full - x).abs().mean() > (found - x).abs().mean(), (
    "tau = 0 must stop early, and tau = steps never: who rests, and when?"
)
assert "attacks." not in ask.source(friendly_pgd), (
    "write it yourself, without attacks.pgd"
)
### BEGIN HIDDEN TESTS
from tml_helpers import attacks

drawn = torch.randperm(len(test))[:40]
x, y = test.images[drawn], test.labels[drawn]
y[:5] = (predict(reader(start), x[:5]).argmax(dim=1) + 1) % 10  # five are misread
for tau in (0, 2):
    found = try_friendly_pgd(start, x, y, 0.25, tau=tau, **walk)
    assert found.shape == x.shape, "return images of the shape that came in"
    exact = attacks.pgd(
        reader(start), x, y, epsilon=0.25, tau=tau, random_start=False, **walk
    )
    same = (found - exact).abs().flatten(1).mean(
        dim=1
    ) < 2e-3  # rounding may turn a sign
    assert same[:5].all(), (
        "images that are misread from the start take tau steps, and then rest"
    )
    assert same.float().mean() > 0.9, (
        f"with tau = {tau} images rest at the wrong time: count for each how often it was "
        "found misread before a step, and let it rest once that is more than tau"
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Task 4 · The loss of adversarial training
#
# *1 point · 15 minutes · ●●○*
#
# Read [lecture 2.5](../../lectures/20_adversarial/defenses.ipynb), section *Adversarial
# training*.
#
# Madry's adversarial training minimises the loss on the worst image of the ball:
#
# $$ \min_\theta \; \mathbb{E}_{(x, y)} \Big[ \max_{\|x' - x\|_\infty \le \varepsilon}
#    L(\theta, x', y) \Big]. $$
#
# The inner maximum is found by an attack. Then the network takes a training step on what
# was found: no gradient flows through the attack itself.
#
# **Goal.** Write `madry_loss`. From here on use the library: `attacks.pgd(model, images,
# labels, epsilon=..., steps=..., generator=...)`.
#
# <details><summary>Hint 1: two steps</summary>
#
# First the inner maximum, then the loss. What does `attacks.pgd` return?
#
# </details>
#
# <details><summary>Hint 2: the loss of what</summary>
#
# What the attack found is a batch of images like any other, and its labels are still the
# true ones. The result must be a tensor on which `backward` can be called, not a number.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "4_library", "locked": true, "schema_version": 3, "solution": false, "task": false} tml={"give": ["tml_helpers.attacks", "tml_helpers.kernels"]}
from tml_helpers import attacks


# %% nbgrader={"grade": false, "grade_id": "4_madry_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def madry_loss(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Mean cross-entropy on adversarial images that `attacks.pgd` finds in the ball.

    images: (N, 1, 28, 28). labels: (N,). Returns a scalar, to call backward on.
    """
    ### BEGIN SOLUTION
    adversarial = attacks.pgd(
        model, images, labels, epsilon=epsilon, steps=steps, generator=generator
    )
    return F.cross_entropy(model(adversarial), labels)
    ### END SOLUTION


# Given, for the tests: keep this function in the same cell.
def try_madry_loss(
    state: dict[str, Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int,
    seed: int,
) -> dict:
    """The loss, and its gradients for the network's parameters."""
    model, generator = reader(state).train(), torch.Generator().manual_seed(seed)
    settings = {"epsilon": epsilon, "steps": steps, "generator": generator}
    loss = madry_loss(model, images, labels, **settings)
    parts = dict(model.named_parameters())
    slopes = torch.autograd.grad(loss, list(parts.values()), allow_unused=True)
    return {
        "loss": loss.item(),
        "gradients": {
            k: g for k, g in zip(parts, slopes, strict=True) if g is not None
        },
        "training": model.training,
    }


# %% nbgrader={"grade": true, "grade_id": "4_madry", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x, y = train.images[:50], train.labels[:50]
came = try_madry_loss(start, x, y, epsilon=0.2, steps=5, seed=1)
clean = F.cross_entropy(reader(start)(x), y).item()
assert came["loss"] > 2 * clean, (
    f"the loss is {came['loss']:.2f}, and {clean:.2f} on clean images: the network is to "
    "be trained on adversarial images"
)
assert came["gradients"], (
    "no gradient reaches the network: the loss is what it learns from"
)
### BEGIN HIDDEN TESTS
drawn = torch.randperm(len(train))[:40]
x, y = train.images[drawn], train.labels[drawn]
y[:5] = (predict(reader(start), x[:5]).argmax(dim=1) + 1) % 10  # five are misread
for epsilon, steps in ((0.1, 3), (0.3, 6)):
    came = try_madry_loss(start, x, y, epsilon=epsilon, steps=steps, seed=5)
    model = reader(start)
    worst = attacks.pgd(
        model,
        x,
        y,
        epsilon=epsilon,
        steps=steps,
        generator=torch.Generator().manual_seed(5),
    )
    exact = F.cross_entropy(model(worst), y)
    assert came["training"], (
        "the network was left in evaluation mode, in which dropout and BatchNorm stop to "
        "learn: attacks.pgd takes care of the mode itself, so leave it alone"
    )
    assert abs(came["loss"] - exact.item()) < 1e-3 * exact.item(), (
        "not the mean loss of the labels on what attacks.pgd finds with this epsilon, these "
        "steps and this generator: is the loss on clean images mixed in, or another label?"
    )
    parts = dict(model.named_parameters())
    slopes = torch.autograd.grad(exact, list(parts.values()))
    for name, slope in zip(parts, slopes, strict=True):
        assert name in came["gradients"], f"no gradient reaches {name}"
        error = (came["gradients"][name] - slope).norm() / slope.norm()
        assert error < 1e-2, (
            "the gradient for the network's parameters is not the loss's"
        )
### END HIDDEN TESTS

# %% [markdown]
# ## Task 5 · The table
#
# *2 points (reported as measured, and robust: 1 each) · 30 minutes · ●●○*
#
# Read [lecture 2.5](../../lectures/20_adversarial/defenses.ipynb), section *The price list*.
#
# For each radius $\varepsilon$ of 0.1, 0.2 and 0.3: train at $\varepsilon$, and report the
# accuracy on clean images and under attack *at the same* $\varepsilon$, on images that the
# network was not trained on. To save time each network starts from the one before it, the
# first from `start`.
#
# **Goal.** Write `harden`, which trains, and `measure`, which reports. In `measure` use
# `attacks.fgsm` and `attacks.pgd` with 20 steps; leave the step size as it is. In `harden`
# call `attacks.pgd` once more, and not your functions: so a slip in Task 3 or 4 costs
# nothing here. Its argument `tau` makes it friendly, if you like.
#
# <details><summary>Hint 1: the body of the loop in harden</summary>
#
# Take the batch's images and labels, attack them, compute the loss on what was found; then
# the optimiser's three lines. Attack the network as it is now, at the radius that is given.
#
# </details>
#
# <details><summary>Hint 2: the three numbers of measure</summary>
#
# `share_right` takes a state and images. So the three accuracies are three calls of it, with
# three batches of images and the same labels. An attack needs a network: see `reader`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "5_table_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def harden(
    state: dict[str, Tensor], epsilon: float, images: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """Train the network with these parameters against attacks of radius epsilon.

    images: (N, 1, 28, 28). labels: (N,). Returns the new state_dict.
    Two passes over the images are enough: batches of 25, Adam with learning rate 2e-3,
    attacks of 5 steps.
    """
    generator = seed_everything(0)
    model = reader(state).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(2):
        for batch in torch.randperm(len(images), generator=generator).split(25):
            ### BEGIN SOLUTION
            x, y = images[batch], labels[batch]
            worst = attacks.pgd(
                model, x, y, epsilon=epsilon, steps=5, generator=generator
            )
            loss = F.cross_entropy(model(worst), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            ### END SOLUTION
    return dict(model.state_dict())


def measure(
    state: dict[str, Tensor], epsilon: float, images: Tensor, labels: Tensor
) -> dict[str, float]:
    """Accuracy from 0 to 1: `natural`, under `fgsm`, and under `pgd` with 20 steps."""
    ### BEGIN SOLUTION
    model = reader(state)
    pictures = {
        "natural": images,
        "fgsm": attacks.fgsm(model, images, labels, epsilon=epsilon),
        "pgd": attacks.pgd(model, images, labels, epsilon=epsilon, steps=20),
    }
    return {name: share_right(state, x, labels) for name, x in pictures.items()}
    ### END SOLUTION


# Given: keep it in the same cell. It trains and measures three networks.
def table() -> dict[float, dict]:
    """For each radius the network's parameters and the three accuracies."""
    rows, state = {}, start
    for epsilon in EPSILONS:
        state = harden(state, epsilon, train.images[:600], train.labels[:600])
        accuracies = measure(state, epsilon, test.images[:100], test.labels[:100])
        rows[epsilon] = {"state": state, **accuracies}
    return rows


results = table()
for epsilon, row in results.items():
    print(epsilon, {name: f"{row[name]:.0%}" for name in ("natural", "fgsm", "pgd")})

# %% [markdown]
# Expect about 95 %, 80 % and 80 % at $\varepsilon = 0.1$, and 90 %, 65 % and 35 % at 0.3.
# For networks trained on all of MNIST, see the table of lecture 2.5.
#
# **As measured.** The tests measure your networks once more.

# %% nbgrader={"grade": true, "grade_id": "5a_reported", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert set(results) == set(EPSILONS), "a row for each radius, 0.1, 0.2 and 0.3"
for epsilon, row in results.items():
    assert row["pgd"] <= row["natural"], (
        f"at {epsilon} the network reads more under attack than without"
    )
    assert row["pgd"] <= row["fgsm"] + 0.03, (
        f"at {epsilon} twenty steps are weaker than one: are all steps in the same ball?"
    )
### BEGIN HIDDEN TESTS
x, y = test.images[:100], test.labels[:100]
draw = torch.Generator().manual_seed(51)
for epsilon in EPSILONS:
    row = results[epsilon]
    model = reader(row["state"])
    worst = attacks.pgd(model, x, y, epsilon=epsilon, steps=20, generator=draw)
    once = attacks.fgsm(model, x, y, epsilon=epsilon)
    assert abs(row["natural"] - share_right(row["state"], x, y)) < 0.005, (
        "the natural accuracy is not that of your network on the images that are given"
    )
    assert abs(row["fgsm"] - share_right(row["state"], once, y)) < 0.03, (
        "the accuracy under FGSM is not that of your network at this epsilon: attack the "
        "hardened network itself, at the radius of its row"
    )
    assert abs(row["pgd"] - share_right(row["state"], worst, y)) < 0.06, (
        "the accuracy under PGD is not that of your network at this epsilon: 20 steps, "
        "against the hardened network itself, at the radius of its row"
    )
### END HIDDEN TESTS

# %% [markdown]
# **Robust.** And they attack your networks.

# %% nbgrader={"grade": true, "grade_id": "5b_robust", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x, y = test.images[100:200], test.labels[100:200]
for epsilon in EPSILONS:
    state = results[epsilon]["state"]
    assert share_right(state, x, y) > 0.7, (
        "the network reads clean images badly: it unlearnt what it knew"
    )
### BEGIN HIDDEN TESTS
walk = {"steps": 10, "generator": torch.Generator().manual_seed(52)}
for epsilon, enough in zip(EPSILONS, (0.65, 0.3, 0.1), strict=True):
    state = results[epsilon]["state"]
    worst = attacks.pgd(reader(state), x, y, epsilon=epsilon, **walk)
    reached = share_right(state, worst, y)
    assert reached > enough, (
        f"at {epsilon} the network withstands PGD on {reached:.0%} of the images only: "
        "does it learn from images that attacks.pgd finds with this radius? Clean images, "
        "and those of one long step, teach too little"
    )
fresh = harden(start, 0.2, train.images[2000:2300], train.labels[2000:2300])
worst = attacks.pgd(reader(fresh), x, y, epsilon=0.2, **walk)
assert share_right(fresh, worst, y) > 0.2, (
    "on other images and from another start, harden does not make a robust network: does "
    "it use what it is given?"
)
# Labels that are shifted by one are learnt by who learns from the labels that are given.
renamed = (train.labels[2300:2600] + 1) % 10
fresh = harden(start, 0.02, train.images[2300:2600], renamed)
assert share_right(fresh, x, (y + 1) % 10) > 0.3, (
    "harden does not learn from the labels that it is given: a loss on the network's own "
    "answers teaches it what it says already"
)
### END HIDDEN TESTS

# %% [markdown]
# ## Task 6 · Explain
#
# *2 points · 20 minutes · graded by a human, with the rubrics below*
#
# ### a. Read your table (1 point)
#
# Read [lecture 2.5](../../lectures/20_adversarial/defenses.ipynb), section *What robustness
# costs*.
#
# In three to five sentences: how do natural and robust accuracy change with $\varepsilon$, and
# why? What do you expect of the network of $\varepsilon = 0.1$ when it is attacked at 0.3?
#
# *Rubric.* ½ point: both trends, with a reason (a harder inner problem, capacity, more
# images that overlap). ½ point: the expectation, with a number that was measured.
#
# <details><summary>Hint: how to measure the expectation</summary>
#
# `results[0.1]["state"]` is the network of $\varepsilon = 0.1$, and `measure` takes any radius.
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "6a_read", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# Natural accuracy falls a little, from 97 % before to about 90 %, while robust accuracy
# falls from about 80 % to 35 % under PGD: a larger ball contains every smaller one, so the
# worst case can only get worse, and the same small network has to be constant on more of
# the space. The gap between FGSM and PGD grows as well, for one long step misses the worst
# point of a large ball. A network that was hardened at 0.1 knows nothing of changes beyond
# 0.1: under PGD at 0.3 I measured an accuracy close to 0 %.

# %% [markdown]
# ### b. Too good to be true (1 point)
#
# Read [lecture 2.6](../../lectures/20_adversarial/honest_evaluation.ipynb), section *Eight
# things that must hold*.
#
# A colleague's network has 95 % accuracy under PGD with 20 steps at $\varepsilon = 0.3$, and
# was trained in five minutes. In three to five sentences: name two measurements that would
# tell whether it is robust or whether its gradients are hidden.
#
# *Rubric.* ½ point for each measurement that can tell, with what would be seen in either
# case (an attack without gradients, transfer from another network, an unbounded attack,
# random noise against PGD, more steps and restarts, another loss).
#
# <details><summary>Hint: what a measurement must do</summary>
#
# Look for something that PGD must achieve on *every* network, robust or not, as long as the
# gradient leads it. What would you see if the gradient led nowhere?
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "6b_too_good", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# First I would let epsilon grow to 1: a grey image of any kind is then allowed, so PGD must
# reach 0 %. If it does not, the gradient leads nowhere and the 95 % say nothing. Second I
# would attack with Square, which asks for no gradient, or with images made for an ordinary
# network: if these fool the network more often than PGD does, its gradients are hidden,
# because a white-box attack should never lose to one that knows less. If PGD stays the
# strongest and reaches 0 % at epsilon = 1, the network may be robust, and I would go on
# with more steps, restarts and a margin loss.

# %% [markdown]
# ## Before you submit
#
# Restart the kernel, run all cells, save, and run `tml check h2_adversarial_training.ipynb`.
# It lists what is missing, and says `ready to submit` when nothing is.
