# %% [markdown]
# # 9.1 The distillation loss in one pass
#
# The loss that trains a student on its teacher's answers is five lines of PyTorch. On a large vocabulary those five
# lines spend nearly all of their time carrying numbers to and from memory. This page counts the bytes, finds the fewest
# that must move, and derives a kernel that comes near them: the loss and its gradient, computed in one visit to each row.
#
# **What you will learn**
#
# - to count the bytes that a formula must move, and those that its plain version does move;
# - to write the gradient of the distillation loss in closed form;
# - to compute a softmax in one pass over its input, in pieces, and to put the pieces together;
# - to read a Triton kernel line by line, and to check it without a GPU;
# - to say where such a kernel gains nothing.
#
# **Before you start**: [what a teacher knows](../10_distillation/response_based.ipynb) derives the loss and its factor
# $T^2$; the symbols are those of the [notation page](../../book/notation.md). No GPU is needed.
#
# **Time**: 30 minutes to read; {{ cpu_seconds }} to run.

# %% [markdown]
# Where there is a GPU, this page runs the kernel on it. Elsewhere Triton's interpreter runs the same code on the CPU,
# slowly. Triton must know that before the kernel's file is read, so the first cell sets it before that import.

# %%
import os
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional as F

from tml_helpers.claims import claim, seed
from tml_helpers.plotting import COLOURS, use_style

torch.set_num_threads(1)  # tensors as small as these are fastest on one core
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
pages = import_module("tml_helpers.kernels.pages")  # what these pages share
kernel = import_module("tml_helpers.kernels.distillation_loss")  # the file
distillation_loss = kernel.distillation_loss  # its public function
use_style()

# %% [markdown]
# ## Why it exists
#
# For a batch of $N$ rows and $K$ classes, with student logits $z^s$, teacher logits $z^t$ and labels $y$, the loss is
#
# $$
# L = \alpha\, T^2\, \mathrm{KL}\big(q(T) \,\|\, p(T)\big) + (1 - \alpha)\, \mathrm{CE}\big(y, p(1)\big), \qquad
# p(T) = \mathrm{softmax}(z^s / T), \quad q(T) = \mathrm{softmax}(z^t / T),
# $$ (eq-loss-of-rows)
#
# with means over the batch {cite}`hinton2015distilling`. On this page $p$ is short for $p(T)$, $q$ for $q(T)$, and
# $h$ for $p(1)$, the student's answer in the hard term. This is how one writes the loss:

# %%
pages.listing(kernel.reference)

# %% [markdown]
# Every call in it reads whole tensors from memory and writes a whole tensor back, and so does the backward pass that
# autograd derives from it. How many? PyTorch can tell: a *dispatch mode* sees every operation, with its inputs and its
# outputs. We count in units of one tensor of $N \times K$ logits.

# %%
pages.listing(pages.Traffic, first="def __init__")

# %% [markdown]
# `_numbers` adds up the sizes of the tensors among its arguments.

# %%
N, K = 64, 1000
generator = torch.Generator().manual_seed(seed())
z_s, z_t = 3 * torch.randn(2, N, K, generator=generator)  # (N, K) each
y = torch.randint(K, (N,), generator=generator)
z_s.requires_grad_()
with pages.Traffic() as forward:
    loss = kernel.reference(z_s, z_t, y, temperature=4.0, alpha=0.9)
with pages.Traffic() as backward:
    loss.backward()
operations = [*forward.operations, ("", 0), *backward.operations]
moved = {
    index: round(numbers / (N * K)) for index, (_, numbers) in enumerate(operations)
}
for index, (name, _) in enumerate(operations):
    if moved[index] or not name:
        print(moved[index] or "backward:", name)
plain = sum(moved.values())
claim("Plain PyTorch moves 35 tensors of N × K through memory", plain == 35)

# %% [markdown]
# And what is the least? Whoever computes this loss must read the student's logits and the teacher's, and must write the
# gradient. Everything else is one number a row. So three tensors suffice, $3 N K b$ bytes for logits of $b$ bytes; none
# of the other thirty-two has to exist.

# %% tags=["hide-input", "fig-loss-traffic"] mystnb={"image": {"alt": "Two horizontal bars, stacked from the tensors that each operation moves: plain PyTorch's has thirty-five units, the fused kernel's has three."}}
figure, axis = plt.subplots(figsize=(6.5, 1.9))
for row, steps in enumerate([[1, 1, 1], filter(None, moved.values())]):
    left = 0
    for index, step in enumerate(steps):
        colour = COLOURS["blue"] if index % 2 else COLOURS["sky"]
        axis.barh(row, step, left=left, color=colour, edgecolor="white")
        left += step
    axis.text(left + 0.3, row, str(left), va="center")
axis.set_yticks([0, 1], ["one pass", "plain PyTorch"])
axis.set_xlabel("tensors of N × K numbers read or written")
axis.grid(visible=False)
plt.show()

# %% [markdown]
# *Plain PyTorch moves 35 tensors, operation by operation; the loss needs 3.* A loss like this does little arithmetic
# per number, so a GPU spends its time waiting for memory, and the ratio of the bars bounds what can be gained. A
# compiler that fuses operations (`torch.compile`) removes most of the long bar by itself; a kernel by hand has to
# beat the compiler, not the five lines. How long must it take at least? Take a language model's batch and the vendor's
# figures for one large GPU, an H200.

# %%
logits = 8192 * 32_000  # tokens × vocabulary, two bytes each in bfloat16
memory, processors, clock = 4.8e12, 132, 1.98e9  # bytes/s, count, 1/s
floor = 3 * logits * 2 / memory
claim("One tensor is 524 MB", round(logits * 2 / 1e6) == 524)
claim("The memory needs 328 µs for three of them", round(floor * 1e6) == 328)
exponentials = processors * 16 * clock  # a second: 16 units in each processor
claim("Three exponentials a logit fit into that", 3 * logits / exponentials < floor)
claim("Six do not", 6 * logits / exponentials > floor)

# %% [markdown]
# Memory is not the only limit: exponentials come second, close behind. We shall need that.
#
# ## The gradient, in the same visit
#
# Autograd keeps tensors from the forward pass so that the backward pass can use them. Here it need not. Write $\ell$
# for the logarithm of a row's $\sum_k \exp(z_k / T)$. Then $\log p_k = z^s_k/T - \ell^s$ and
#
# $$
# \mathrm{KL}(q \| p) = \sum_k q_k (\log q_k - \log p_k)
#                     = \sum_k q_k \frac{z^t_k - z^s_k}{T} - \ell^t + \ell^s .
# $$ (eq-divergence)
#
# Only the first and the last term depend on the student, and $\partial \ell^s / \partial z^s_k = p_k / T$. So
# the gradient of the soft term is $(p_k - q_k) / T$, the cross-entropy's is the familiar $h - \mathrm{onehot}(y)$, and
# together, with $T^2$ and the mean over the batch,
#
# $$
# \frac{\partial L}{\partial z^s}
#   = \frac{1}{N}\Big(\alpha T\,(p - q) + (1 - \alpha)\,\big(h - \mathrm{onehot}(y)\big)\Big).
# $$ (eq-loss-gradient)
#
# Three softmaxes, no logarithm of a tensor, and nothing to remember. In code:

# %%
T, alpha = 4.0, 0.9
with torch.no_grad():
    p, q, h = (F.softmax(z, dim=1) for z in (z_s / T, z_t / T, z_s))  # (N, K) each
    by_hand = (alpha * T * (p - q) + (1 - alpha) * (h - F.one_hot(y, K))) / N
off = ((by_hand - z_s.grad).norm() / z_s.grad.norm()).item()
claim("By hand and by autograd: equal, up to rounding", off < 1e-4)

# %% [markdown]
# On the CPU, that formula is the method. The library's version takes a chunk of rows at a time, so that each step finds
# in the cache what the step before it wrote. It also saves a round of exponentials: the largest entry of a softmax is
# $\exp(\max z - \ell)$, so $\ell$ comes from two maxima.

# %%
pages.listing(kernel._softmax)
print()
pages.listing(kernel.closed_form)

# %% [markdown]
# ## A softmax in one pass
#
# A GPU program that owns a row should read it once from memory. But a softmax seems to need three looks: one for the maximum
# (without which $\exp$ overflows), one for the sum, one for the division. Milakov and Gimelshein's *online softmax*
# {cite}`milakov2018online` merges the first two. Keep the maximum $\mu$ so far and the sum $d$ so far *relative to it*;
# when a piece of the row brings a larger maximum $\mu'$, the old sum only needs a factor:
#
# $$
# d \;\leftarrow\; d \cdot e^{\,\mu - \mu'} + \sum_{k\,\in\,\text{piece}} e^{\,z_k - \mu'}, \qquad \mu \leftarrow \mu'.
# $$ (eq-online-softmax)


# %%
def online_log_sum_exp(row, piece):
    """log Σ exp(row), from one pass over it in pieces."""
    highest, total = torch.tensor(-1e30), torch.tensor(0.0)
    for part in row.split(piece):
        top = torch.maximum(highest, part.max())
        total = total * (highest - top).exp() + (part - top).exp().sum()
        highest = top
    return highest + total.log()


rising = torch.linspace(0, 500, K)  # the maximum moves with every piece
expected = rising.logsumexp(dim=0)
for piece in (1, 7, 300, K):
    found = online_log_sum_exp(rising, piece)
    claim(f"Pieces of {piece}: as torch.logsumexp", torch.allclose(found, expected))

# %% [markdown]
# Two such pairs $(\mu, d)$, from different parts of the row, merge by the same rule. That is what lets many threads work
# on one row without waiting for each other: each keeps a pair of its own, and they are merged once, at the end. Other
# sums that are weighted by the same exponentials, such as $\sum_k q_k (z^t_k - z^s_k)$, shrink by the same factor.
#
# ## The kernel, line by line
#
# Triton {cite}`tillet2019triton` runs one copy of a kernel, a *program*, for each row of the batch. Inside it, a
# variable is a whole block of numbers, spread over the program's threads.

# %%
pages.listing(kernel._row, first="row = ", last="# Each lane")

# %% [markdown]
# - `program_id(0)` is this program's row. It becomes a 64-bit number before it is multiplied by a stride, because a
#   batch of 70,000 rows and 32,000 classes has more elements than 32 bits can count.
# - `share` is the $1/N$ of the mean.
# - The hardware computes $2^x$, not $e^x$. So $e^{z/T}$ is `exp2(z * warm)`, with $\log_2 e$ and $1/T$ in one constant.
# - `tile` holds the column numbers of a block of `LANES` × `WIDTH`. Its *lanes* are lines of eight neighbours: sixteen
#   bytes of bfloat16, the most that a thread loads at once.

# %%
pages.listing(kernel._absorb, first="s_top = ")

# %% [markdown]
# This is the online softmax, three times at once. `s_high` and `t_high` are the lanes' bounds so far, `p_sum`, `q_sum`
# and `h_sum` their sums, and `shrink` is the factor that brings an old sum to a new bound.
#
# - `tl.where(q > 0, …)` is the convention $0 \log 0 = 0$: a class that the teacher rules out by $-\infty$ counts
#   nothing.
# - **Exponentials are not free.** Two readings of three exponentials each are the six that do not fit. Therefore
#   `_power`: where $T$ is a small whole number, $e^{z} = (e^{z/T})^T$ costs two or three multiplications instead of
#   the third exponential. `HARD`, `POWER` and `GRADIENT` are known when the kernel is compiled, so a branch on them
#   costs nothing.
# - For the same reason a lane's bound is not its maximum but the next *whole* power of two. Then `shrink` is a whole
#   power of two as well, and that is no exponential: it is written into the exponent of a float, where it is exact.

# %%
for helper in (kernel._whole, kernel._two_to):
    pages.listing(helper)
    print()

# %% [markdown]
# The first adds $1.5 \cdot 2^{23}$ and takes it away again. A float of that size has no digits behind the point, so the
# sum is rounded to a whole number. The second uses the same sum: its lowest bits are the whole number, and shifted to
# the left by 23 they are a float's exponent. By hand, with PyTorch:


# %%
def two_to(whole):
    bits = (whole.clamp_min(-127) + 12582912.0).view(torch.int32)
    return ((bits << 23) + (127 << 23)).view(torch.float32)


exponents = torch.arange(-126.0, 1.0)
claim("A shift is exp2", torch.equal(two_to(exponents), torch.exp2(exponents)))
claim("and 0 where no float is", two_to(torch.tensor([-1e30])).item() == 0)

# %% [markdown]
# These helpers are called for one tile after the other:

# %%
pages.listing(kernel._row, first="# Each lane", last="# The lanes' sums")

# %% [markdown]
# - `_read` fills what lies beyond the row's end with $-\infty$, whose exponential is 0, so that the last tile needs no
#   case of its own. It asks the cache to keep the tile (`evict_last`), because we shall come back.
# - Bounds start at $-10^{30}$, not at $-\infty$: for a lane that has seen nothing yet, $-\infty - (-\infty)$ would be
#   NaN.
# - `num_stages` asks for the next tiles before this one is needed, so that nobody stands and waits for the memory.
# - The row is read from its end, and **the first tile comes last**. Its exponentials `p`, `q` and `h` are still in
#   registers when the gradient is wanted. A row of up to 4,096 classes has no other tile: it is read once, and each of
#   its exponentials is computed once.

# %%
pages.listing(kernel._row, first="# The lanes' sums", last="if GRADIENT")

# %% [markdown]
# The lanes are merged: `tl.max(…, 0)` and `tl.sum(…, 0)` run over all of them, and here, once a row, threads wait for
# each other. `divergence` is equation {eq}`eq-divergence`, in powers of two until its last step. A label outside $0 \dots K-1$ must not go unnoticed, but
# asking the device about labels before the launch would make the host wait; so such a label turns its row's loss and
# gradient into NaN.

# %%
pages.listing(kernel._row, first="if GRADIENT")

# %% [markdown]
# A tile becomes $\alpha T (p - q) + (1-\alpha) h$, less one at the label, in one go from registers to memory: first the
# tile that is held, then the others, which have to be read again. For $K$ = 32,000 in bfloat16 a student's and a
# teacher's row are 128 kB, and the 264 programs that an H200 runs at a time hold 34 MB of them; its cache has 50. That is
# near enough to ask which tile is *still* there. The one that was read last, surely; therefore the second reading goes
# the other way, from the start of the row to its end, and what has waited longest comes last. Afterwards each tile may
# leave the cache first (`evict_first`), and so may the gradients, which are not read soon.
#
# What remains is to launch it: a program for each row, and a sum over the rows' losses.

# %%
pages.listing(kernel.fused)

# %% [markdown]
# Autograd calls the kernel through a function whose forward pass makes the gradient and whose backward pass hands it on,
# scaled by the gradient that arrives from the operations after the loss. Mostly that factor is 1. On the CPU we look at
# it, and scale only if it is another. On a GPU looking would make the host wait for the device. A small gradient is
# therefore multiplied in any case; for a large one a tiny kernel looks there, and returns at once if the factor is 1.

# %%
pages.listing(kernel._DistillationLoss, first="def forward")

# %% [markdown]
# ## The check
#
# The kernel is compared with the reference in float64: for rows shorter than a tile, longer than a tile, and of
# lengths that are no multiple of anything; for three dtypes; for temperatures that are whole numbers and one that is not.
# Run this page on a machine with a GPU, and the kernel runs there; elsewhere it is interpreted. The claims are the same.


# %%
def worst_error(rows, classes, dtype, T, alpha):
    """Relative errors of the kernel's loss and gradient against float64."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    logits = 3 * torch.randn(2, rows, classes, generator=generator)
    s, t = logits.to(device, dtype)
    y = torch.randint(classes, (rows,), generator=generator).to(device)
    z = s.double().requires_grad_()
    expected = kernel.reference(z, t.double(), y, temperature=T, alpha=alpha)
    expected.backward()
    run = kernel.closed_form if kernel.triton is None else kernel.fused
    with np.errstate(invalid="ignore"):  # the interpreter is NumPy: −inf − (−inf)
        loss, gradient = run(s, t, y, T, alpha, True)
    off = (gradient.double() - z.grad).norm() / z.grad.norm()
    return abs(loss.item() / expected.item() - 1), off.item()


# %%
bounds = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 1e-2}
for dtype, bound in bounds.items():
    for rows, classes in [(3, 10), (2, 1000), (2, kernel.TILE + 9)]:
        for T in (4.0, 2.5):
            of_loss, of_gradient = worst_error(rows, classes, dtype, T, alpha=0.7)
            assert of_loss < 1e-4, "sums are float32 whatever comes in"
            assert of_gradient < bound, "did you round before the sum?"
    name = str(dtype).removeprefix("torch.")
    claim(f"{name}: the gradient is within {bound:g} of float64's", of_gradient < bound)

# %% [markdown]
# A small error is one kind of evidence. Laws are another: they need no reference. A student that equals its teacher has
# nothing to learn; a row's gradient sums to zero, because adding a constant to a row of logits changes nothing.

# %%
student = z_s.detach().requires_grad_()
same = distillation_loss(student, z_s.detach(), None, temperature=T, alpha=1.0)
(gradient,) = torch.autograd.grad(same, student)
claim("Student = teacher: loss 0, gradient 0", not same and not gradient.any())
loss = distillation_loss(student, z_t, y, temperature=T, alpha=0.5)
(gradient,) = torch.autograd.grad(loss, student)
claim("Each row's gradient sums to 0", bool((gradient.sum(dim=1).abs() < 1e-6).all()))

# %% [markdown]
# The library's tests hold these and more: a gradient checked against finite differences, both minus infinities,
# strides, bad input, and, on a GPU, rows of a real vocabulary and batches beyond $2^{31}$ elements. On a machine with
# a GPU, one command runs them there: `make test-gpu`.
#
# ## What was measured
#
# First the CPU, where the closed form is what you get. All columns were timed side by side in one run, two threads,
# forward and backward, in float32; `python benchmarks/distillation.py` makes the table again, with the machine that it
# was taken on.

# %%
cpu = pages.result("distillation")
for line in cpu["table"] if cpu else []:
    print(
        f"[{line['rows']}, {line['classes']}]: median ms; ours is so many times as fast"
    )
    pages.show_milliseconds(line)
    assert line["times_as_fast"]["eager"] > 1

# %% tags=["hide-input", "fig-loss-cpu"] mystnb={"image": {"alt": "Two panels of horizontal bars, for 256 rows of 1,000 classes and 64 rows of 32,000: milliseconds of plain PyTorch, torch.compile, torchdistill and the library, whose bar is shorter than plain PyTorch's in both."}}
table = cpu["table"] if cpu else []
figure, axes = plt.subplots(1, 2, figsize=(6.5, 2.2), sharey=True)
for axis, line in zip(axes, table, strict=False):
    names = list(line["ms"])[::-1]
    colours = [COLOURS["orange" if name == "ours" else "sky"] for name in names]
    axis.barh(names, [line["ms"][name] for name in names], color=colours)
    axis.set(title=f"{line['rows']} rows of {line['classes']:,}", xlabel="milliseconds")
plt.show()

# %% [markdown]
# *The closed form takes less time than the five lines of PyTorch, in both sizes.* Nothing here is a better exponential.
# There are fewer passes over the data, three exponentials instead of five and a logarithm, and chunks that stay in the
# cache. The compiler saves the passes too, and is the one to beat; it wants a C++ compiler on the reader's machine and
# time to compile for each new shape; the closed form wants neither.
#
# On a GPU the yardstick is a copy: it reads and writes memory as fast as anything can. The next cell shows the fewest
# bytes ($3NKb$) per second, as a share of what a copy reached on the same machine.

# %%
pages.show_microseconds("distillation_loss")

# %% [markdown]
# **How to read this table.** It was taken with the kernel that stood here before: it held no tile, computed each
# exponential twice, and read forwards both times. What bound it? [What bounds a kernel](limits.ipynb) takes the table
# apart. The kernel of this page has been compiled for that card, and its loads and exponentials counted; it has not been
# measured there yet. `python benchmarks/gpu.py` does that, and this cell then shows it.
#
# ## Where it loses
#
# Most of this list follows from counting; in the end the measured table of your machine decides.
#
# - **Small batches.** For 256 rows of 1,000 classes the fewest bytes take less than a microsecond on a large GPU, and
#   two launches take several. There launches take the time, whoever wrote the kernel. Capture the training step in a
#   CUDA graph, or leave it: the network takes longer.
# - **Few long rows.** One program owns one row. With 64 rows, half of an H200's 132 processors have nothing to do.
# - **Rows beyond the cache.** The second reading is free while the rows in flight fit in the cache. In float32, or
#   beyond some 50,000 classes, part of it comes from memory again: five tensors instead of three at worst.
# - **Rows whose length is no multiple of 16** are read number by number, not 16 bytes at a time, and only one program
#   fits into a processor. Pad a vocabulary of 50,257 to 50,304 with $-\infty$.
# - **A temperature that is not a small whole number** costs the third exponential, in both readings.
# - **The last bit.** With and without its gradient the loss is computed by two compiled kernels, which may round
#   differently. They agree up to rounding, and no more is promised.
# - **float16 with a loss scale.** The gradient is rounded to the student's dtype before the scale is applied.
#   float16 has nothing below $6 \cdot 10^{-8}$, and a large batch has many entries there. Use bfloat16, or pass
#   `student_logits.float()`.
# - **A scaled loss.** A factor other than 1 costs another pass over the gradient, two tensors more.
# - **A gradient of the gradient** is refused; `reference` has one.
# - **The logits themselves.** It is better still not to store them at all: a kernel that also contains the last linear
#   layer makes logits and gradient in chunks and never stores them. Liger has such kernels {cite}`hsu2024liger`.
#
# ## Practice
#
# **Exercise 1** (5 minutes). The teacher's logits are often stored on disk: the 64 largest of each row in bfloat16 with
# their indices in int32. The rest is dropped. What are the fewest bytes now, for $N$ rows of $K$ = 32,000 classes?
#
# <details><summary>Hint 1: what to look at</summary>
#
# {fig}`loss-traffic` has three tensors in its short bar. Which of them is smaller now, and which are not?
#
# </details>
#
# <details><summary>Hint 2: how to count</summary>
#
# Count for one row. A number in bfloat16 has two bytes, one in int32 has four.
#
# </details>

# %% tags=["hide-cell"]
# Solution: read the student's logits and write their gradient, 2·K·b a row. The teacher
# is 64 · (2 + 4) bytes a row: next to nothing. A third of the traffic is gone.
K_large, b = 32_000, 2
dense, sparse = 3 * K_large * b, 2 * K_large * b + 64 * (2 + 4)
claim("The fewest bytes fall by a third", abs(sparse / dense - 2 / 3) < 0.01)

# %% [markdown]
# **Exercise 2** (15 minutes). Extend `online_log_sum_exp` so that the same single pass also returns the entropy of the
# row's softmax.
#
# <details><summary>Hint 1: what to compute</summary>
#
# The entropy is $-\sum_k p_k \log p_k$, and $\log p_k = z_k - \ell$. So it is $\ell - \sum_k p_k z_k$.
#
# </details>
#
# <details><summary>Hint 2: how to do it in one pass</summary>
#
# The new sum is weighted by the same exponentials as $d$ in equation {eq}`eq-online-softmax`. What must happen
# to it when a larger maximum arrives? The kernel's `cross` does the same.
#
# </details>


# %% tags=["hide-cell"]
# Solution: carry one more sum, weighted by the same exponentials.
def online_entropy(row, piece):
    highest, total, weighted = torch.tensor(-1e30), torch.tensor(0.0), torch.tensor(0.0)
    for part in row.split(piece):
        top = torch.maximum(highest, part.max())
        shrink, weights = (highest - top).exp(), (part - top).exp()
        total = total * shrink + weights.sum()
        weighted = weighted * shrink + (weights * part).sum()
        highest = top
    return highest + total.log() - weighted / total


row = z_t[0]
expected = torch.distributions.Categorical(logits=row).entropy()
found = online_entropy(row, 7)
claim(
    "In one pass: the entropy of a softmax", torch.allclose(found, expected, rtol=1e-4)
)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? The loss and its gradient for N rows of K classes must move at least …
# - 2·N·K·b bytes: both logits are read :: The gradient has to be written too: it is as large as the logits.
# + 3·N·K·b bytes: both logits are read, the gradient is written :: What else there is, is one number a row.
# - 35·N·K·b bytes :: That is what the plain version moves, because each operation writes what the next one reads.
# ? Why does the kernel read most of a long row twice, if three tensors are the least?
# - It is an oversight, and costs two more tensors :: While the rows in flight fit there, it reads from the cache.
# + The gradient needs sums that are known only at the row's end :: And two such rows don't fit in registers.
# - The first reading finds the maximum, the second the sum :: The online softmax finds both in the first reading.
# ? A row of 1,000 classes is read by this kernel …
# + once: it fits into the tile that is held :: And each exponential is computed once.
# - twice, as every row is :: Only what lies beyond the first 4,096 elements is.
# - once, but its exponentials are computed twice :: They are held beside the numbers.
# ? In the online softmax, a piece of the row brings a larger maximum. The sum so far …
# - must be computed again from the row :: It would cost another reading, and is not needed.
# + is multiplied by exp(old maximum − new maximum) :: Every term of it carries that factor, so the sum does.
# - stays as it is, and the maxima are repaired at the end :: Terms relative to different maxima cannot be added.
# ? A colleague's kernel runs at 90 % of a copy's bandwidth, but moves 6·N·K·b bytes. It is …
# - 90 % as fast as can be :: Bandwidth says how fast bytes move, not whether they had to.
# + 45 % as fast as can be :: Half of the bytes need not move: count the fewest bytes over the time, as on this page.
# - limited by arithmetic :: A kernel at 90 % of a copy is limited by memory.
# ```
#
# **Strengths.** One pass, two launches, no stored intermediate: a training step also needs less memory, by every
# tensor that autograd no longer keeps. Exact: the same formula, summed in float32.
#
# **Limitations.** See *Where it loses*. And one that every fused kernel shares: the five lines are gone. Whoever wants
# another divergence must derive another gradient. So the reference stays, next to the kernel, in the same file.
#
# **Software.** `torch.compile` on the reference is the first thing to try. Liger's kernels {cite}`hsu2024liger` fuse
# the last layer as well. Gou and others survey the losses that one might want to fuse next
# {cite}`gou2021distillation`.
#
# ## What to take away
#
# Count the bytes that must move before you write a kernel, and the bytes that do move before you believe that you need
# one. A softmax can be computed in pieces and in any order, as long as each sum is kept with its maximum. And a kernel
# can be trusted as far as its checks go: a reference in higher precision, laws that need no reference, and a table that
# shows where it loses.
