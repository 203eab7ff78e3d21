# %% [markdown]
# # 9.2 A step of projected gradient ascent in one pass
#
# An attack on an image is a walk: ask the network for a gradient, take a step, come back into the ball, and again.
# The step itself is one line of mathematics. In plain PyTorch it carries a batch to or from memory nearly twenty times.
# This page counts, finds out how few times suffice, and meets a question that the one line hides: how far from the clean
# image will a step end that has not been taken yet?
#
# **What you will learn**
#
# - to count the bytes that a step of an attack moves, and those that it must move;
# - why a step in the maximum norm needs to know one entry at a time, and in the Euclidean norm the whole image;
# - to get two lengths, of which one depends on the other, from one reading;
# - to say when a formula that is right on paper loses its digits in a computer, and to prove when it does not;
# - to judge where such a kernel gains something, and where it gains nothing.
#
# **Before you start**: [iterative attacks](../20_adversarial/iterative_attacks.ipynb) derives projected gradient
# ascent (PGD); [the distillation loss in one pass](distillation_loss.ipynb) explains what Triton is, and how bytes are
# counted. The symbols are those of the [notation page](../../book/notation.md). No GPU is needed.
#
# **Time**: 25 minutes to read; {{ cpu_seconds }} to run.

# %% [markdown]
# Where there is a GPU, this page runs the kernels on it. Elsewhere Triton's interpreter runs the same code on the CPU.
# Triton must know that before the kernels' file is read, so the first cell sets it before that import.

# %%
import os
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import torch

from tml_helpers.claims import claim, seed
from tml_helpers.plotting import COLOURS, use_style

torch.set_num_threads(1)  # tensors as small as these are fastest on one core
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
pages = import_module("tml_helpers.kernels.pages")  # what these pages share
kernel = import_module("tml_helpers.kernels.ball_step")  # the file
ball_step = kernel.ball_step  # its public function, kernels.ball_step
use_style()

# %% [markdown]
# ## Why it exists
#
# On this page, $x_0$ is the clean image, $x'$ the place where the attack stands, and $g = \nabla_{x'} L(x', y)$ the gradient
# there. One step of length $\rho$ {cite}`madry2018towards` is
#
# $$
# x' \;\leftarrow\; \mathrm{clamp}\Big(x_0 + \Pi_\varepsilon\big(x' + \rho\, u - x_0\big),\; 0,\; 1\Big).
# $$ (eq-ball-step)
#
# $u$ is the direction in which a linear loss grows fastest, and $\Pi_\varepsilon$ leads back into the ball of radius
# $\varepsilon$. Both depend on the norm:
#
# | norm | direction $u$ | $\Pi_\varepsilon(\delta)$ |
# |---|---|---|
# | $L_\infty$ | $\mathrm{sign}(g)$ | each entry cut to $[-\varepsilon, \varepsilon]$ |
# | $L_2$ | $g / \lVert g \rVert$ | $\delta \cdot \min(1,\, \varepsilon / \lVert \delta \rVert)$ |
#
# This is how one writes it:

# %%
pages.listing(kernel.reference)
print()
pages.listing(kernel._lengths)

# %% [markdown]
# `_lengths` never returns 0: a gradient of zeros, divided by $10^{-12}$, is still a gradient of zeros, and the image
# stays where it is. Now let PyTorch tell what each operation reads and writes, in units of one batch of $n$ numbers.

# %%
generator = torch.Generator().manual_seed(seed())
images = torch.rand(8, 3, 32, 32, generator=generator)
current = images + 0.02 * torch.randn(images.shape, generator=generator)
current = current.clamp(0, 1)
gradient = torch.randn(images.shape, generator=generator)
plain = {}
for norm in ("linf", "l2"):
    settings = {"step_size": 0.01, "epsilon": 0.03, "norm": norm}
    with pages.Traffic() as traffic:
        kernel.reference(current, images, gradient, **settings)
    counts = [(n, round(k / images.numel())) for n, k in traffic.operations]
    plain[norm] = [count for _, count in counts if count]
    print(norm, *(f"{name} {count}" for name, count in counts if count), sep="  ")
claim("Plain PyTorch moves 17 tensors in L∞", sum(plain["linf"]) == 17)
claim("and 19 in L2", sum(plain["l2"]) == 19)

# %% [markdown]
# And what is the least? Whoever takes the step must read $x'$, $x_0$ and $g$, and must write the new $x'$. That is four
# tensors, $4\,n\,b$ bytes for $n$ numbers of $b$ bytes. In $L_\infty$ every entry can be computed by itself, so four is
# enough. In $L_2$ we shall get four, too: for images that fit into a processor, and for larger ones if the processors
# that hold an image wait for each other. Where they cannot, the image is read twice, and seven tensors move.

# %% tags=["hide-input", "fig-step-traffic"] mystnb={"image": {"alt": "Five horizontal bars, stacked from the tensors that each operation moves: plain PyTorch has nineteen units in L2 and seventeen in L-infinity; the kernels have seven in L2 where an image is read twice, four where it is read once, and four in L-infinity."}}
bars = {
    "L∞, one pass": [1] * 4,
    "L∞, plain PyTorch": plain["linf"],
    "L2, read once": [1] * 4,
    "L2, read twice": [1] * 7,
    "L2, plain PyTorch": plain["l2"],
}
figure, axis = plt.subplots(figsize=(6.5, 2.6))
for row, steps in enumerate(bars.values()):
    left = 0
    for index, step in enumerate(steps):
        colour = COLOURS["blue"] if index % 2 else COLOURS["sky"]
        axis.barh(row, step, left=left, color=colour, edgecolor="white")
        left += step
    axis.text(left + 0.2, row, str(left), va="center")
axis.set(xticks=range(0, 21, 5), xlim=(0, 20.5))
axis.set_yticks(range(len(bars)), list(bars))
axis.set_xlabel("tensors of n numbers read or written")
axis.grid(visible=False)
plt.show()

# %% [markdown]
# *A step needs four tensors; plain PyTorch moves seventeen or nineteen.* There is next to no arithmetic here, a few
# operations for sixteen bytes, so the time on a GPU is the time of the memory. Take a batch of 256 photographs in
# float32, and the vendor's figure for one large GPU, an H200.

# %%
photographs = 256 * 3 * 224**2  # numbers, four bytes each
memory = 4.8e12  # bytes/s
microseconds = {k: 1e6 * k * photographs * 4 / memory for k in (4, 7, 17, 19)}
claim("One tensor is 154 MB", round(photographs * 4 / 1e6) == 154)
claim("Four of them take the memory 128 µs", round(microseconds[4]) == 128)
claim("Seventeen take 546 µs", round(microseconds[17]) == 546)

# %% [markdown]
# Keep these two times in mind, and a third: that of the network's forward and backward pass, which every step needs too.
# For such a batch and a network of ordinary size that takes tens of milliseconds. So the kernel shortens a small part of
# an attack; *Where it loses* comes back to that.
#
# ## The Euclidean norm, in one reading
#
# A program that takes an $L_2$ step must know two lengths. It must know $\lVert g \rVert$ before it can tell where the
# step ends, and $\lVert \delta \rVert$, the distance from there to $x_0$, before it can write anything. Each is a sum
# over the whole image, and the second seems to have to wait for the first: three readings. There are three ways out.
#
# **Hold the image.** A processor of a large GPU has 65,536 registers of four bytes. Three rows of an image with up to
# 16,384 entries fit, with some room to work. What is in registers can be summed as often as one likes.

# %%
sizes = {"MNIST": 28 * 28, "CIFAR": 3 * 32**2, "64 × 64": 3 * 64**2}
claim("These images can be held", max(sizes.values()) <= kernel.HELD)
spare = 1 - 3 * kernel.HELD / 65_536
claim("Three rows leave a quarter of the registers", spare == 1 / 4)
claim("A photograph cannot be held", kernel.HELD < 3 * 224**2)

# %% [markdown]
# **Ask for sums that do not wait.** Write $\delta_0 = x' - x_0$ for the perturbation before the step (`d` in code) and
# $a = \rho / \lVert g \rVert$. The step ends at $\delta = \delta_0 + a\,g$, and
#
# $$
# \lVert \delta \rVert^2 = \lVert \delta_0 \rVert^2 + 2a\,\langle \delta_0, g \rangle + a^2 \lVert g \rVert^2 .
# $$ (eq-three-sums)
#
# On the right there are three sums, and none of them waits for another. One reading finds all three, in pieces and in
# any order; then two numbers an image, $a$ and $\min(1, \varepsilon / \lVert \delta \rVert)$, are all that moving it
# needs.
#
# **Hold the pieces, and wait.** Those two numbers need all pieces of an image, but nothing says that a piece must be
# given up meanwhile. 37 programs that hold one piece each can tell each other their sums, and go on from there. That is
# one reading again. It asks for care, as we shall see: who waits for somebody that cannot come waits for ever.
#
# The three sums in code, for a batch:


# %%
def pace_and_shrink(d, g, step_size, epsilon):
    """ρ / ‖g‖ and min(1, ε / ‖δ₀ + ρ g/‖g‖‖) of each row, from three sums."""
    g_g = (g * g).sum(dim=1)  # (n, size) -> (n,)
    d_g = (d * g).sum(dim=1)
    d_d = (d * d).sum(dim=1)
    pace = step_size / g_g.sqrt()
    square = d_d + pace * (2 * d_g + pace * g_g)
    return pace, (epsilon / square.clamp_min(1e-24).sqrt()).clamp_max(1.0)


x, x_0, g = (t.flatten(1).double() for t in (current, images, gradient))  # (n, size)
pace, shrink = pace_and_shrink(x - x_0, g, step_size=0.5, epsilon=0.8)
delta = x - x_0 + pace[:, None] * g
by_hand = (x_0 + shrink[:, None] * delta).clamp(0, 1)
library = ball_step(x, x_0, g, step_size=0.5, epsilon=0.8, norm="l2")
claim("Every image had to be brought back", bool((shrink < 1).all()))
by_rounding = (by_hand - library).abs().max().item()
claim("By hand and by the library: equal, up to rounding", by_rounding < 1e-10)

# %% [markdown]
# ## When is that safe?
#
# On paper, equation {eq}`eq-three-sums` is exact. In float32 each sum is rounded, by a few times $2^{-24}$ of its own
# size, and if large terms cancel, what is left is mostly rounding. The error of $\lVert \delta \rVert^2$ is at most some
# $\kappa\,2^{-24}\,(\lVert \delta_0 \rVert + |\rho|)^2$, where $\kappa$ is a small number that grows with the logarithm of the image's
# size. What matters is how that compares with $\lVert \delta \rVert^2$ itself:
#
# $$
# \text{relative error} \;\le\; \kappa\,2^{-24}\,
#   \Big(\frac{\lVert \delta_0 \rVert + |\rho|}{\lVert \delta \rVert}\Big)^{2} .
# $$ (eq-relative-error)
#
# Two facts help. The length is used only where it exceeds $\varepsilon$; below, the factor is 1. And an attack stands
# inside the ball, $\lVert \delta_0 \rVert \le \varepsilon$, so that $\lVert \delta \rVert \ge |\rho| - \varepsilon$. Then the
# fraction is at most
#
# $$
# \frac{\varepsilon + |\rho|}{\max(\varepsilon,\; |\rho| - \varepsilon)} \;\le\; 3,
# $$
#
# with equality at $|\rho| = 2\varepsilon$: from the sphere straight through the centre to the other side. Rounding
# is multiplied by nine at worst, about one digit of the seven. Without the second fact there is no such bound: a step
# that begins far outside the ball may end near its surface with all digits lost. We measure both.


# %%
def relative_error(distance, step, epsilon=1.0, size=20_000):
    """Of the factor in float32, for a step straight back; NaN where it is 1."""
    away = torch.randn(1, size, generator=generator, dtype=torch.float64)
    d = (distance * away / away.norm()).float()
    _, found = pace_and_shrink(d, -d, step, epsilon)
    _, exact = pace_and_shrink(d.double(), -d.double(), step, epsilon)
    error = (found.double() / exact - 1).abs().item()
    return error if exact < 1 else float("nan")


beyond = np.geomspace(1.01, 100, 60)  # ‖δ‖ / ε: how far beyond the ball the step ends
on_it = [relative_error(1, 1 + far) for far in beyond]
outside = [relative_error(100, 100 + far) for far in beyond]
claim("From the sphere, seven digits hold but one", np.nanmax(on_it) < 2e-6)
claim("From 100 radii away, two digits more are lost", np.nanmax(outside) > 1e-5)

# %% tags=["hide-input", "fig-digits"] mystnb={"image": {"alt": "Relative error of the factor against the distance from the centre at which a step ends, both logarithmic. Starting on the sphere the points stay below one millionth; starting a hundred radii away they reach some ten-thousandth near the sphere, and fall as the step ends further out."}}
figure, axis = plt.subplots(figsize=(6.5, 3.2))
axis.loglog(beyond, outside, "s", ms=4, color=COLOURS["orange"], label="from 100 ε")
axis.loglog(beyond, on_it, "o", ms=4, color=COLOURS["blue"], label="from the sphere")
axis.axhline(2**-24, color="grey", lw=1, ls="--", label="one rounding")
axis.legend()
axis.set_xlabel("where the step ends: distance from the centre, in radii ε")
axis.set_ylabel("relative error")
plt.show()

# %% [markdown]
# *Inside the ball the three sums are as good as the two lengths; from far outside they are not.* (An error of 0 cannot
# be drawn on this axis, so some points are missing.) Every attack of this book stays inside, so the kernel may use the
# identity. And if someone does begin far away? From a hundred radii away the image lands a
# thousandth of $\varepsilon$ off the sphere at worst, and the next step starts from there, where the bound holds again.
#
# ## The kernels, line by line
#
# Triton {cite}`tillet2019triton` runs many copies of a kernel, *programs*; within one, a variable is a whole block of
# numbers. There are three small functions that all kernels use:

# %%
for helper in (kernel._read, kernel._clip, kernel._length):
    pages.listing(helper)
    print()

# %% [markdown]
# - `_read` turns whatever comes in into float32, and what lies beyond the end into 0, which adds nothing to a sum.
# - `_clip` compares twice instead of taking a minimum and a maximum. On a GPU these return the *other* number when one
#   is NaN (not a number). A broken gradient must not look like an attack that failed.
# - `_length` starts at $10^{-12}$, the root of $10^{-24}$. A sum of squares that rounding has made negative counts as
#   0, and one that is NaN fails the comparison and stays NaN.
#
# **$L_\infty$** is one kernel. Which image an entry belongs to does not matter, so the batch is one long row.

# %%
pages.listing(kernel._linf, first="here = ")

# %% [markdown]
# - `here` are the places of this program's 1,024 entries, as 64-bit numbers: a batch may have more than $2^{31}$.
# - `direction` is the sign. Where $g$ is neither positive nor negative it is $g$ itself: 0, or NaN.
# - Three loads, one store, and between them nothing leaves the registers.
#
# **$L_2$, an image held.** One program owns one image.

# %%
pages.listing(kernel._held, first="tile = ")

# %% [markdown]
# Here the lengths are computed as they are written, one after the other; no identity is needed, and none of its digits
# are lost. Each `tl.sum` makes the program's threads wait for each other, once. `TILE` is the next power of two: 4,096
# for the 3,072 entries of a CIFAR image, and `inside` masks the rest.
#
# **$L_2$, an image in chunks, held.** A photograph has 150,528 entries: 37 programs, each with 4,096 of them.

# %%
pages.listing(kernel._together, first="number = ")
print()
pages.listing(kernel._pace_and_shrink, first="part = ")

# %% [markdown]
# - `x0`, `d` and `g` are read once and stay in registers until the end.
# - Each program stores its three sums and then adds one to a counter of its image. `release` says: whoever sees the
#   addition sees the sums, too. `acquire` is its counterpart: who has seen the counter full may read. Without the two
#   words a processor may show its neighbours the counter first and the sums later.
# - The shares are added up in the same order in every program and in every run. (Sums by atomic additions would need no
#   array, but would come out a little different every time.)
# - **Nobody waits for ever**, and that is what `number` is for. A GPU promises no order in which it starts programs, and
#   those that wait keep a place. If the places were full of programs that wait for one that has none, all would stand
#   still. Therefore a program does not take the number that it was born with: it draws the next one when it *runs*. So
#   when one waits for its image, all numbers before its own are running or done. Take the first image that is not
#   complete: its missing pieces are either running, and never wait before they have told their sums, or they are the very
#   next numbers to be drawn, by programs that find a place as long as there are as many places as pieces. `_in_chunks`,
#   below, asks for twice as many: one place is sure on each processor, and half of them may belong to others.
#
# **$L_2$, an image in very many chunks.** A picture of a thousand pixels a side has more pieces than a GPU has
# processors. There two kernels read it twice. The first finds each chunk's sums and stores them; the second adds them up
# and moves its chunk.

# %%
pages.listing(kernel._move, first="programs = ")

# %% [markdown]
# One line is about the cache. `programs - 1 - …` walks through the batch backwards: what the first kernel read last is
# what the cache of some 50 MB still has, and the second kernel begins with it. Had it begun at the front, each chunk
# would push out what the next ones need. For a batch whose three tensors fit into the cache, the second reading costs
# the memory nothing: four tensors again. For a large batch it is seven, less what the cache saves.
#
# What remains is to launch them. Triton's interpreter runs one program after the other, so no program may wait there:
# `_side_by_side` says so, and this page takes two readings. The library's tests run the kernel that waits in threads.

# %%
pages.listing(kernel.fused)
print()
pages.listing(kernel._in_chunks)

# %% [markdown]
# `_in_one_order` makes copies only if it must: a sum does not care in which order the entries of an image lie, so
# images with channels last stay as they are, if all three have them.
#
# On the CPU there is no kernel. There the library takes the same operations, in place: it works in one tensor, where
# plain PyTorch asks the system for six, fills each once, and throws it away.

# %%
pages.listing(kernel.in_place)

# %% [markdown]
# ## The check
#
# The kernels are compared with the reference in float64: for sizes below and above a block, a held image and a chunk;
# for three dtypes, both norms, small and large steps, forwards and backwards. Run this page on a machine with a GPU,
# and they run there; elsewhere they are interpreted.


# %%
def worst_error(shape, dtype, step_size, epsilon, norm):
    """The largest distance from float64, over all entries."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x_0 = torch.rand(shape, generator=generator)
    x = (x_0 + 0.02 * torch.randn(shape, generator=generator)).clamp(0, 1)
    g = 1e-3 * torch.randn(shape, generator=generator)
    tensors = [t.to(device, dtype) for t in (x, x_0, g)]
    doubles = [t.double() for t in tensors]
    settings = {"step_size": step_size, "epsilon": epsilon, "norm": norm}
    expected = kernel.reference(*doubles, **settings)
    run = kernel.in_place if kernel.triton is None else kernel.fused
    return (run(*tensors, **settings).double() - expected).abs().max().item()


# %%
bounds = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 5e-3}
for dtype, bound in bounds.items():
    for shape in [(1, 7), (3, 1, 28, 28), (2, kernel.HELD + 9)]:
        for step_size in (0.3, -0.01):
            for norm, epsilon in (("linf", 0.03), ("l2", 0.5)):
                error = worst_error(shape, dtype, step_size, epsilon, norm)
                assert error < bound, "did you round before the sum?"
    name = str(dtype).removeprefix("torch.")
    claim(f"{name}: every pixel is within {bound:g} of float64's", error < bound)

# %% [markdown]
# Laws need no reference. The best step into a ball around $x_0$ against a *linear* loss gains exactly
# $\varepsilon \lVert g \rVert_1$ in $L_\infty$, and $\varepsilon \lVert g \rVert_2$ in $L_2$ (the dual norms); the size
# of the gradient does not matter; and a step of length 0 inside the ball moves nothing.

# %%
middle = torch.full_like(images, 0.5)  # the box [0, 1] is out of reach
for norm, dual in (("linf", 1), ("l2", 2)):
    walk = middle
    for _ in range(5):
        walk = ball_step(
            walk, middle, 1e-5 * gradient, step_size=0.03, epsilon=0.1, norm=norm
        )
    gain = ((walk - middle) * gradient).flatten(1).sum(dim=1)
    most = 0.1 * gradient.flatten(1).norm(p=dual, dim=1)
    claim(
        f"Five steps in {norm} gain the most there is", torch.allclose(gain, most, 1e-4)
    )
    rest = ball_step(walk, middle, gradient, step_size=0, epsilon=0.1, norm=norm)
    claim("A step of 0 leaves it there", torch.allclose(rest, walk, atol=1e-6))

# %% [markdown]
# And the two gradients that break attacks. One of zeros must change nothing, and one with a NaN must be visible in the
# result.

# %%
gradient[0], gradient[1, 0, 0, 0] = 0, torch.nan
for norm in ("linf", "l2"):
    moved = ball_step(images, images, gradient, step_size=0.01, epsilon=0.03, norm=norm)
    claim(f"{norm}: zeros move nothing", torch.equal(moved[0], images[0]))
    claim(f"{norm}: NaN is visible", bool(moved[1].isnan().any()))
    claim(f"{norm}: and in its image alone", not moved[2:].isnan().any())

# %% [markdown]
# The library's tests hold these and more: projection brings no two images further apart, a straight walk back from the
# sphere, strides, empty batches, bad input, and, on a GPU, batches beyond $2^{31}$ entries. On a machine with a GPU, one
# command runs them there: `make test-gpu`.
#
# ## What was measured
#
# First the CPU. All columns were timed side by side in one run, two threads, in float32;
# `python benchmarks/ball_step.py` makes the table again, with the machine that it was taken on.

# %%
cpu = pages.result("ball_step")
if cpu is None:
    print("Not measured yet: python benchmarks/ball_step.py")
for line in cpu["table"] if cpu else []:
    print(f"{line['shape']} {line['norm']}: ms; ours is so many times as fast")
    pages.show_milliseconds(line)

# %% [markdown]
# A batch of digits stays in the processor's cache, and there is little to gain. For photographs, memory that is used
# again costs less than memory that the system must provide anew. The compiler gains more: on the CPU it does what our
# kernels do on a GPU, and reads each number once. But it needs a C++ compiler on the reader's machine, and time to
# compile for each new shape. And a network takes a processor tens of milliseconds for one photograph; beside that every
# version of the step is short. So on the CPU the library stays plain.
#
# On a GPU the yardstick is a copy: it reads and writes memory as fast as anything can. The next cell shows the fewest
# bytes ($4nb$) per second, as a share of what a copy reached on the same machine.

# %%
pages.show_microseconds("ball_step")

# %% [markdown]
# **How to read this table.** It was taken before there was a kernel that waits. Photographs in $L_2$ were read twice, so
# the best that was possible is four sevenths, 57 % of a copy: float32 was there, and could not become better. bfloat16 was
# not even there, and lost to the compiler. One reading has been compiled, and its loads and registers counted, but not
# been measured yet; `python benchmarks/gpu.py` does it. In $L_\infty$ a step and a copy take the same time, nearly.
#
# ## Where it loses
#
# Most of this list follows from counting; in the end the measured table of your machine decides.
#
# - **Beside the network.** A step of 128 µs instead of 546 saves 0.4 ms. If the forward and backward pass on those 256
#   photographs takes 40 ms, the whole attack becomes one per cent faster. The smaller the network, the more it matters.
# - **Small batches.** For 256 digits the fewest bytes take a fifth of a microsecond, and a launch takes several. There
#   the kernel gains because it is one launch instead of seven or more, and a CUDA graph would gain as much.
# - **Very large images in $L_2$**, of more than half as many chunks as the GPU has processors, are read twice.
# - **Waiting** costs some microseconds an image, which other images' programs must hide. With one photograph alone there
#   are none.
# - **Beside the compiler.** `torch.compile` makes $L_\infty$ one kernel as well. Expect a tie there, and a gain in $L_2$,
#   where a compiler does not find the identity.
# - **Two bytes.** A bfloat16 pixel near 1 is a multiple of 1/256, and a ball of 8/255 is eight such steps. The sums are
#   float32, but the result is rounded to the pixel's dtype, up to half such a step outside the ball. Attack in float32.
# - **Other norms and other steps.** $L_1$, momentum, adaptive steps are other formulas. `reference` is where to begin.
# - **Far outside the ball**, the three sums lose digits, as {fig}`digits` shows.
#
# ## Practice
#
# **Exercise 1** (5 minutes). FGSM is a single step that begins at $x' = x_0$. What are its fewest bytes, in $L_\infty$?
# And what does plain PyTorch move, if it is written for this case?
#
# <details><summary>Hint 1: what to read and write</summary>
#
# Of $x'$, $x_0$ and $g$, how many different tensors are there, when the step begins at $x' = x_0$?
#
# </details>
#
# <details><summary>Hint 2: what plain PyTorch needs for this case</summary>
#
# A step of length $\varepsilon$ from the centre cannot leave the ball. So which of the operations in equation
# {eq}`eq-ball-step` are left? `pages.Traffic` counts what they move, as in *Why it exists*.
#
# </details>

# %% tags=["hide-cell"]
# Solution: x and x₀ are one tensor. Read it and g, write: three. With ρ = ε no
# projection is needed, so plain PyTorch takes x + ε·sign(g) and a clamp.
with pages.Traffic() as traffic:
    (images + 0.03 * gradient.sign()).clamp(0, 1)
units = round(sum(count for _, count in traffic.operations) / images.numel())
claim("Plain PyTorch moves 9 tensors for FGSM, three times the least", units == 9)

# %% [markdown]
# **Exercise 2** (15 minutes). A colleague leaves the middle term out, "because a perturbation and a gradient are nearly
# orthogonal in so many dimensions": $\lVert \delta \rVert^2 \approx \lVert \delta_0 \rVert^2 + \rho^2$. Find a $\delta_0$ and a $g$
# for which the result leaves the ball. How far can it leave? Which of the laws in *The check* would have shown it?
#
# <details><summary>Hint 1: where to look</summary>
#
# The term $2a\,\langle \delta_0, g \rangle$ is 0 when $\delta_0$ and $g$ are orthogonal. For which directions is it as large as it
# can be, and with which sign is $\lVert \delta \rVert$ estimated too short?
#
# </details>
#
# <details><summary>Hint 2: how to find how far</summary>
#
# Start on the sphere, $\lVert \delta_0 \rVert = \varepsilon$. Divide the true length of the step's end by the estimated one, and
# look for the $\rho$ that makes this ratio largest.
#
# </details>

# %% tags=["hide-cell"]
# Solution: g along δ₀, from the sphere. ‖δ‖ = ε + ρ, but the factor is computed from
# √(ε² + ρ²); so the result lies at ε·(ε + ρ)/√(ε² + ρ²), at most √2·ε, for ρ = ε.
d = torch.zeros(1, 3)
d[0, 0] = 1.0  # on the sphere of radius 1
for step in (0.1, 1.0, 10.0):
    length = (1 + step) / (1 + step**2) ** 0.5
    claim(f"ρ = {step}: it lies outside, by √2 at most", 1 < length < 2**0.5 + 1e-6)
_, right = pace_and_shrink(d, d, step_size=1.0, epsilon=1.0)
claim("With the middle term it lies on the sphere", abs(2 * right.item() - 1) < 1e-6)
# The law of the linear loss: five steps along one gradient would gain too much.

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? One $L_\infty$ step on n numbers of b bytes must move at least …
# - 3·n·b bytes: x, x₀ and g are read :: The new x has to be written too.
# + 4·n·b bytes: three are read, one is written :: Each entry needs nothing of its neighbours, so four suffice.
# - 17·n·b bytes :: That is what plain PyTorch moves, because each operation writes what the next one reads.
# ? Nothing can be written before an image's sums are complete. How can an $L_2$ step on a photograph read it only once?
# - The second length is not needed :: It is: without it nobody knows whether the step leaves the ball.
# + Each program holds a piece of it and waits until all have told their sums :: As long as all pieces find a place.
# - A reading can compute only one sum, so it cannot :: One reading computes as many sums as one likes.
# ? Programs wait for each other. What makes sure that none waits for ever?
# - The GPU starts programs in the order of their numbers :: It promises no order.
# + Each draws its number when it runs, and there are as many places as an image has pieces :: What it waits for runs already, or comes next.
# - The wait ends after some time :: There is no such limit, and the sums would be wrong.
# ? The identity for ‖δ‖² loses digits where …
# - the image has many pixels :: The rounding of a sum grows with the logarithm of their number: hardly at all.
# + ‖δ‖ is much smaller than ‖d‖ and the step :: Large terms cancel, and their rounding remains.
# - the gradient is very small :: It is divided by its own length first: its size does not matter.
# ? An attack's gradient is NaN for one image. What should the step return for it?
# - The image as it was: the attack found nothing :: Then a broken attack looks like a robust model.
# + Something that cannot be mistaken for an image :: The attack must end with an error, not with a success rate.
# - The image, moved in a random direction :: That hides the fault as well, and cannot be repeated.
# ```
#
# **Strengths.** One launch, or two; the fewest bytes in $L_\infty$, and in $L_2$ up to a quarter of a million entries an image
# on a large GPU; the same result in every run; sums in float32 whatever comes in.
#
# **Limitations.** See *Where it loses*. Two norms, one kind of step, and no gradient through it, which no attack of
# this book needs.
#
# **Software.** `torch.compile` on the reference is the first thing to try. Attack libraries such as Foolbox
# {cite}`rauber2017foolbox` and torchattacks {cite}`kim2020torchattacks` take the plain operations.
#
# ## What to take away
#
# Count before you write a kernel, and count what else takes time beside it. A sum that seems to wait for another may
# follow from three that do not wait; but an identity that is exact on paper needs a proof that it survives rounding, and
# the proof needs to know where it is used. And a step that meets a NaN must show it: an attack that fails without a sign
# looks like a good defence.
