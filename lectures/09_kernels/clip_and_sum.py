# %% [markdown]
# # 9.5 Clipped gradients, summed in two readings
#
# A network that trains in private lets no example move it far: each example's gradient is cut to a fixed length before the
# gradients are added up, and noise hides what is left. The cutting costs more than it seems. A gradient has as many
# numbers as the network, and here there is one for *each* example. Plain PyTorch carries that heap to and from memory four
# times. This page needs two, and asks what else such a sum must keep: no example forgotten, no bit left to chance.
#
# **What you will learn**
#
# - to see that the clipped rows need not be written anywhere, and that all rows have to be read twice;
# - to share a long row among programs, and to have the same bits in each run all the same;
# - to read by columns without a scattered access, and to let the cache serve a part of the second reading;
# - to keep a promise of privacy in floating point: overflow, rounding, and numbers that are none;
# - to work out whether enough bytes are under way at a time to keep the memory busy.
#
# **Before you start**: [the distillation loss in one pass](distillation_loss.ipynb) explains what Triton is and how bytes
# are counted. What the sum is good for is the matter of [private training](../60_privacy/dp_sgd.ipynb); the symbols are
# those of the [notation page](../../book/notation.md). No GPU is needed.
#
# **Time**: 20 minutes to read; {{ cpu_seconds }} to run.

# %% [markdown]
# Where there is a GPU, this page runs the kernels on it. Elsewhere Triton's interpreter runs the same code on the CPU.
# Triton must know that before the kernels' file is read, so the first cell sets it before that import.

# %%
import os
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Rectangle

from tml_helpers.claims import claim, seed
from tml_helpers.plotting import COLOURS, use_style

torch.set_num_threads(1)  # as little work as here is done fastest on one core
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
pages = import_module("tml_helpers.kernels.pages")  # what these pages share
kernel = import_module("tml_helpers.kernels.clip_and_sum")  # the file
clip_and_sum = kernel.clip_and_sum  # its public function, kernels.clip_and_sum
use_style()

# %% [markdown]
# ## The question
#
# Let $g^{(i)}$ be the gradient of example $i$, a row of $P$ numbers for a network with $P$ parameters, and $R$ the **clip norm**,
# which the chapter on privacy calls C.
# Private training asks for {cite}`abadi2016deep`
#
# $$
# \sum_{i=1}^{N} w_i\, g^{(i)}, \qquad w_i = \min\!\left(1, \frac{R}{\lVert g^{(i)} \rVert}\right).
# $$ (eq-clip-and-sum)
#
# A row that is longer than $R$ is shortened to $R$; a shorter one stays as it is. So nobody adds more than $R$ to the sum,
# in whatever direction, and that is all that the noise has to hide. In two dimensions:

# %%
arrows = torch.tensor([[0.3, 0.8], [-0.5, 0.5], [0.2, -0.6], [3.0, 1.5]])
clipped = torch.stack([clip_and_sum(row[None], clip_norm=1.0) for row in arrows])
total = clip_and_sum(arrows, clip_norm=1.0)
claim("The first three are short, and stay", torch.equal(clipped[:3], arrows[:3]))
claim("The last is as long as is allowed", abs(clipped[3].norm().item() - 1) < 1e-6)
claim("The sum is that of the clipped ones", torch.allclose(total, clipped.sum(dim=0)))
claim("It is shorter than the last gradient alone", total.norm() < arrows[3].norm())

# %% tags=["hide-input", "fig-clipped-arrows"] mystnb={"image": {"alt": "Two panels with four arrows from one point. Left, three short ones and one of length 3.4 that leaves the circle of radius one. Right, the long one ends on the circle, the others are as before, and a fifth, dashed arrow, the sum, leads from the centre to the upper right, beyond the circle."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 2.9), sharex=True, sharey=True)
for axis, rows, title in zip(
    axes, (arrows, clipped), ("gradients", "clipped, and their sum"), strict=True
):
    for x, y in rows.tolist():
        axis.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "->", "lw": 1.8})
    axis.add_patch(plt.Circle((0, 0), 1, fill=False, ls="--", color="grey"))
    axis.set(title=title, aspect="equal", xlim=(-1.3, 3.3), ylim=(-1.3, 1.8))
style = {"arrowstyle": "->", "lw": 1.8, "ls": "--", "color": COLOURS["orange"]}
axes[1].annotate("", total.tolist(), (0, 0), arrowprops=style)
axes[1].text(total[0] + 0.1, total[1], "sum", color=COLOURS["orange"])
axes[0].text(-0.95, -1.15, "R = 1", color="grey")
plt.show()

# %% [markdown]
# *One example in four would have decided the direction; after clipping it has one voice of four.* What does that cost for a
# real network?
#
# ## Why it exists
#
# This is how one writes it:

# %%
pages.listing(kernel.reference)

# %% [markdown]
# Count the numbers that each operation reads and writes, as shares of the heap of $N P$ numbers:

# %%
generator = torch.Generator().manual_seed(seed())
heap = torch.randn(64, 5000, generator=generator)
with pages.Traffic() as traffic:
    kernel.reference(heap, 1.0)
shares = [(name, round(n / heap.numel())) for name, n in traffic.operations]
print(*(f"{name}: {share}" for name, share in shares if share), sep="   ")
moved = sum(share for _, share in shares)
claim("Lengths 1, clipped rows 2, their sum 1: four heaps", moved == 4)

# %% [markdown]
# The clipped rows are written by one operation only to be read by the next. They need not exist: a sum can take each number
# as it comes, times its row's weight. That leaves two readings, one for the lengths and one for the sum, and
#
# $$
# 2\,N\,P\,b \quad\text{bytes, with numbers of } b \text{ bytes}.
# $$ (eq-two-readings)
#
# Why not one? No number of a row can be added before the *whole* row has been seen, because its weight is not known.
# (Unless something holds the row in the meantime. That is Exercise 1.) For 256 examples and a million parameters in
# float32, a gigabyte, on a card whose copy moves $4.25 \cdot 10^{12}$ bytes a second:

# %%
memory = 4.25e12  # bytes/s, measured on an H200
gigabyte = 256 * 10**6 * 4
microseconds = {readings: 1e6 * readings * gigabyte / memory for readings in (2, 4)}
claim("Two readings take 482 µs", round(microseconds[2]) == 482)
claim("Four heaps take 964", round(microseconds[4]) == 964)
claim("The heap is 256 times the sum", gigabyte == 256 * 4 * 10**6)

# %% [markdown]
# ## What the sum must keep
#
# The promise: *without one row, the sum moves by at most $R$*. Everything in private training hangs on it. As a law that can
# be checked:


# %%
def moves(rows, clip_norm, which):
    """How far the sum moves when one row is left out."""
    others = torch.cat([rows[:which], rows[which + 1 :]])
    return (
        clip_and_sum(rows, clip_norm=clip_norm)
        - clip_and_sum(others, clip_norm=clip_norm)
    ).norm()


rows = torch.randn(40, 300, generator=generator, dtype=torch.float64)
rows *= 10 ** torch.linspace(-3, 2, 40)[:, None]  # from far below R to far above
farthest = max(moves(rows, 1.0, which).item() for which in range(40))
claim("No row moves the sum by more than R", farthest <= 1 + 1e-9)
claim("Some row moves it by all of R", farthest > 1 - 1e-9)

# %% [markdown]
# Three things can break it without a word.
#
# **Rounding.** Gradients are often numbers of 16 bits. If the *sum* is rounded to 16 bits, too, then two sums that differ
# by little may be rounded to neighbours that differ by much. In one dimension, with $R = 0.2$: bfloat16 has no number
# between 128 and 129.

# %%
one_by_one = torch.full((700, 1), 0.2, dtype=torch.bfloat16)
sums = torch.stack(
    [clip_and_sum(one_by_one[:n], clip_norm=0.2) for n in range(630, 660)]
)
exact = sums.diff(dim=0).abs().max().item()
rounded = sums.bfloat16().float().diff(dim=0).abs().max().item()
claim("In float32 an example moves the sum by 0.2", abs(exact - 0.2) < 1e-3)
claim("Rounded to bfloat16, by 1: five times R", rounded == 1.0)

# %% tags=["hide-input", "fig-rounded-sums"] mystnb={"image": {"alt": "The sum against the number of examples, from 630 to 659. In float32 it is a straight line of small steps from 126 to 132. Rounded to bfloat16 it is a staircase whose steps are one, five times as high as an example's share."}}
figure, axis = plt.subplots(figsize=(6.5, 2.7))
count = range(630, 660)
axis.step(count, sums[:, 0], where="mid", color=COLOURS["blue"], label="float32")
axis.step(
    count,
    sums[:, 0].bfloat16().float(),
    where="mid",
    color=COLOURS["orange"],
    ls="--",
    label="rounded to bfloat16",
)
axis.set(xlabel="examples, each of length R = 0.2", ylabel="sum")
axis.legend()
plt.show()

# %% [markdown]
# *Noise that is made for steps of 0.2 does not hide a step of 1.* So the sum is computed and returned in float32, whatever
# the gradients are.
#
# **Overflow.** Squares overflow long before numbers do: 5,000 is a number of 16 bits (float16), and its square is not. So lengths are
# computed in float32. There, $10^{20}$ is a number, and its square is not. The length is then infinite, the weight
# $R / \infty = 0$, and plain PyTorch leaves the row out without a word:

# %%
huge = torch.tensor([[1e20, 0.0], [0.0, 0.5]])
claim("Plain PyTorch drops the long row", kernel.reference(huge, 1.0)[0] == 0)
claim("Ours says so", bool(clip_and_sum(huge, clip_norm=1.0).isnan().all()))

# %% [markdown]
# **Numbers that are none.** A GPU's function must not look at values (the host would have to wait for them), so it cannot refuse a
# gradient that is NaN. But it can let it *show*: such a row makes the whole sum NaN, and training stops at the first loss.

# %%
broken = torch.ones(5, 4)
broken[2, 1] = torch.inf
claim(
    "One infinite entry, and all is NaN",
    clip_and_sum(broken, clip_norm=1.0).isnan().all(),
)

# %% [markdown]
# ## Same input, same bits
#
# Addition in floating point depends on the order. When thousands of programs add to one address as each gets there
# (an *atomic* addition), the order is that of luck, and so are the last bits:

# %%
numbers = torch.randn(4096, generator=generator).numpy()
found = set()
for _ in range(50):
    order = torch.randperm(4096, generator=generator).numpy()
    found.add(np.cumsum(numbers[order])[-1].item())  # one after another, in float32
claim("One sum, more than five answers in 50 orders", len(found) > 5)

# %% [markdown]
# A run that cannot be repeated cannot be debugged, and privacy code is audited. So here no two programs add to one number.
# Each writes what it has found to a place of its own, and the places are added in a fixed order.
#
# ## The kernels, line by line
#
# First the lengths. How many programs read a row? One would do if there are thousands of rows. Private training has
# hundreds, or four; then a row is shared.

# %%
pages.listing(kernel.parts_of_a_row)
print()
pages.listing(kernel._squares, first="row, part =")

# %% [markdown]
# - A program reads every so many-th block of 4,096 numbers of its row, and keeps 4,096 sums of squares side by side, sixteen in
#   each of its threads. They become one number at the very end.
# - `row.to(tl.int64)`: 4,400 rows of half a million numbers are more than $2^{31}$ numbers.
# - In the loop all numbers exist, so no load has a condition, and each thread reads 16 bytes at a time. What is left of the
#   row comes last, in one program.
# - `ALONE` is known to the compiler. If no other program shares the row, the weight can be written at once; otherwise a tiny
#   kernel adds the shares. Three launches, or two.
#
# `PARTS` is a constant, not the number of this card's processors: so the shares, and the order of their sum, are the same on
# every card.

# %%
pages.listing(kernel._weight, first="weight = ")
print()
pages.listing(kernel._weights, first="row, part =")

# %% [markdown]
# - A row of zeros has length 0, and the larger of 0 and $R$ is $R$: its weight is $R / R = 1$, and nothing is divided by 0.
# - `div_rn` and `sqrt_rn` round to the nearest number. The usual division on a GPU is allowed to be off by the last bit or two, so
#   $R / R$ need not be 1 there, and rows that should stay as they are would not.
# - `square < inf` is false for what is infinite and for what is not a number. So both end as NaN.
#
# Then the sum. Now a program owns *columns*, and passes through all rows.

# %%
pages.listing(kernel._sum_of, first="held = ")
print()
pages.listing(kernel._weighted_sum, first="program = ")

# %% tags=["hide-input", "fig-rows-and-columns"] mystnb={"image": {"alt": "Two panels with a grid of eight rows and sixteen columns of blocks. Left, lengths: one program's blocks are every fourth block of one row. Right, the sum: one program's blocks are the last two columns, in all rows, marked in two alternating shades for two sums side by side."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 2.4), sharey=True)
shades = COLOURS["blue"], COLOURS["sky"]
for axis, title in zip(
    axes, ("lengths: a row, shared by four", "sum: columns, from the end"), strict=True
):
    for row in range(8):
        for column in range(16):
            lengths = axis is axes[0]
            mine = (row == 2 and column % 4 == 1) if lengths else column >= 14
            colour = shades[0 if lengths else row % 2] if mine else "0.93"
            axis.add_patch(Rectangle((column, row), 0.9, 0.9, color=colour))
    axis.set(title=title, xlim=(0, 16), ylim=(8, 0), xticks=[], yticks=[])
    axis.set_xlabel("parameters")
    axis.grid(visible=False)
axes[0].set_ylabel("examples")
plt.show()

# %% [markdown]
# *What one program reads, in colour.* Reading by columns sounds like the slow direction. It is not, as long as each visit to a row
# takes enough neighbours: here 1,024 bytes, where memory hands out 32 at a time.
#
# - A tile has 16 rows, so sixteen sums grow side by side (two shades stand for them in the figure), and `tl.sum` joins them at
#   the end. More loads are under way than with one row at a time.
# - Small networks have few columns. There the tile is four times as narrow and four times as high, so that there are enough programs.
# - The last columns come first. The pass over the rows has ended there, so the cache may still have them.
#
# What is that worth? A cache of 50 MB, read backwards, serves what it has; read forwards it has just thrown out what comes next.

# %%
cache = 50.0  # MB, of an H200
heaps = np.array([25, 50, 75, 100, 200, 400, 1024])  # MB
forwards = np.where(heaps <= cache, 1.0, 2.0)
backwards = 2 - np.minimum(1, cache / heaps)
claim("At 100 MB, 1.5 readings instead of 2", backwards[heaps == 100] == 1.5)
claim("At a gigabyte it is worth 2 %", 0.02 < 1 - backwards[-1] / 2 < 0.03)

# %% tags=["hide-input", "fig-readings-from-memory"] mystnb={"image": {"alt": "Readings from memory against the size of the gradients, from 25 to 1,024 megabytes. Up to 50 megabytes both orders need one. Forwards jumps to two. Backwards rises slowly: one and a half at 100, nearly two at a gigabyte."}}
figure, axis = plt.subplots(figsize=(6.5, 2.6))
axis.plot(heaps, forwards, "s--", color=COLOURS["orange"], label="both times forwards")
axis.plot(
    heaps, backwards, "o-", color=COLOURS["blue"], label="the second from the end"
)
axis.set_xscale("log", base=2)
axis.set_xticks(heaps, [str(size) for size in heaps])
axis.set(xlabel="gradients (MB)", ylabel="readings from memory", ylim=(0.9, 2.1))
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# *For middle sizes the order of reading is worth a quarter of the time, for one changed line.* (An ideal cache that is all
# ours; a real one is less kind.)
#
# ## The check
#
# Against float64, in the interpreter or on a GPU: rows shorter and longer than a block, one program a row and several, all
# widths of numbers.


# %%
def truth_of(rows, clip_norm):
    """In float64, row by row."""
    rows = rows.double().cpu().numpy()
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), clip_norm)
    return (rows * (clip_norm / lengths)).sum(axis=0)


device = "cuda" if torch.cuda.is_available() else "cpu"
run = kernel.by_parts if kernel.triton is None else kernel.fused
worst = 0.0
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    for count, size in ((1, 5), (70, 300), (3, 2 * kernel.BLOCK + 9)):
        rows = torch.randn(count, size, generator=generator) / size**0.5
        rows = (rows * torch.rand(count, 1, generator=generator) * 4).to(device, dtype)
        error = np.abs(run(rows, 1.0).cpu().numpy() - truth_of(rows, 1.0)).max()
        worst = max(worst, error)
claim("Right to a hundred-thousandth of R", worst < 1e-5)
again = run(rows.clone(), 1.0)
claim("The same bits twice", torch.equal(run(rows, 1.0), again))

# %% [markdown]
# And the edges: no examples give zeros; a row of zeros adds zeros; a row that is as long as is allowed stays to the bit.

# %%
nothing = run(torch.empty(0, 3, device=device), 1.0)
claim("No examples: zeros", nothing.tolist() == [0, 0, 0])
edge = torch.tensor([[0.0, 0, 0], [0, -2, 0]], device=device)
claim("Length R exactly: whole", run(edge, 2.0).tolist() == [0, -2, 0])
long = torch.full((2, 3), 1e20, device=device)
with np.errstate(over="ignore"):  # the interpreter computes with NumPy, which warns
    found = run(long, 1.0)
claim("Too long to square: NaN, and not nothing", bool(found.isnan().all()))

# %% [markdown]
# The library's tests hold these and more: every width and stride, the smallest and the largest clip norm, the machine code,
# and reports of bugs: PyTorch's `clip_grad_norm_` passed over a norm that is not finite (issue 46849), and fairscale squared in 16
# bits (263). On a machine with a GPU, one command runs them there: `make test-gpu`.
#
# ## What was measured
#
# First the CPU, where there is no kernel. Two thoughts help there, too: the clipped rows are not written, and some rows are
# taken at a time, so that what was read for the lengths may still be in the cache for the sum.

# %%
pages.listing(kernel.by_parts, first="at_a_time = ")

# %% [markdown]
# Milliseconds of one core, in float32. `python benchmarks/clip_and_sum.py` makes the table again, with the machine that it
# was taken on.

# %%
cpu = pages.result("clip_and_sum")
if cpu is None:
    print("Not measured yet: python benchmarks/clip_and_sum.py")
for line in cpu["table"] if cpu else []:
    examples, parameters = line["examples"], line["parameters"]
    print(f"{examples} examples, {parameters:,} parameters: ms; ratio to ours")
    pages.show_milliseconds(line)

# %% [markdown]
# On a GPU the yardstick is a copy: the bytes of two readings per second, as a share of what a copy reads and writes on the same
# machine. *Replayed* is a CUDA graph, in which the host has nothing to do.

# %%
pages.show_microseconds("clip_and_sum")

# %% [markdown]
# ## What binds it
#
# Until it is measured, count. A number costs one multiplication and addition in each reading, next to four bytes: the memory binds,
# if it is kept busy. For that, enough bytes must be *under way*: asked for, and not yet there. If an answer takes a microsecond, which
# is long, then a memory that brings $4.25 \cdot 10^{12}$ bytes a second has 4 MB under way, 32 kB for each of 132 processors.
# How many do we ask for? A processor has 65,536 registers; a program of 256 threads takes 256 times those of one thread, and
# as many programs run side by side as fit. The compiler says how many registers a thread has, and how many bytes it asks for at a time:

# %%
needed = memory * 1e-6 / 132  # bytes
compiled = {  # registers, bytes asked for at a time: a thread's, by Triton 3.7.1
    "lengths, float32": (34, 64),
    "lengths, bfloat16": (40, 32),
    "sum, float32": (48, 64),
    "sum, bfloat16": (58, 64),
}
under_way = {}
for name, (registers, asked) in compiled.items():
    side_by_side = min(8, 65_536 // (256 * 8 * -(-registers // 8)))  # by eights
    under_way[name] = side_by_side * 256 * asked
    print(f"{name:18} {side_by_side} programs, {under_way[name] // 1024:3} kB")
claim("An answer in a microsecond: 32 kB are needed", round(needed / 1000) == 32)
claim("All four ask for more", min(under_way.values()) > needed)

# %% [markdown]
# This says that nothing is known to stand in the way of the memory's speed, not that it is reached. (It is how much is asked for at a
# time by all; while a program adds up, it asks for nothing.)
#
# ## Where it loses
#
# Most of this list follows from counting; in the end the measured table of your machine decides.
#
# - **Whoever never has the gradients of single examples.** For common layers, lengths and sum can be had from what passes through the
#   layer anyway, and the heap is never written: that is *ghost clipping*, and [private training](../60_privacy/dp_sgd.ipynb) derives it.
#   Where it applies, it beats every kernel that reads the heap. This kernel is for networks to which it does not apply.
# - **An odd number of parameters.** Then most rows begin at an address that is no multiple of 16 bytes, and each thread reads four bytes at a
#   time in the sum, or two. Store the rows a little wider, and pass the first $P$ columns: the kernel takes any distance
#   between rows.
# - **Small networks.** For a few thousand parameters, launches are all of the time.
# - **Float64** goes through plain PyTorch on a GPU, too.
# - **One reading** would be faster still where programs can wait for each other: next.
#
# ## Practice
#
# **Exercise 1** (15 minutes). Keep some rows in registers while their lengths are summed across all processors; then each
# processor adds its share, and takes the next rows. Every number is read once. An H200 has 132 processors with 256 kB of registers
# each. Half of that shall hold rows, a quarter the sums. How many rows of a million float32 numbers are held at a time? All processors
# must wait for each other after each such group, for 3 µs, say. What is the time for 256 rows, if nothing else is done while they wait,
# and does it beat two readings?
#
# <details><summary>Hint 1: what must fit</summary>
#
# Each processor holds its share of the columns, for every row of the group, and one sum for each of its columns.
#
# </details>
#
# <details><summary>Hint 2: the time</summary>
#
# Groups, each of which takes its bytes over the memory's speed, and a wait.
#
# </details>

# %% tags=["hide-cell"]
# Solution: 17 MB hold four rows of 4 MB, and 8.4 MB all the sums. 64 groups of 3.8 µs
# of reading and 3 of waiting are 433 µs: a tenth better than two readings, for a kernel
# whose programs wait for each other. It pays only if the wait is hidden.
held = 132 * 256 * 1024 / 2  # bytes
at_a_time = int(held // (4 * 10**6))
claim("Four rows at a time", at_a_time == 4)
claim("The sums fit into a quarter", held / 2 >= 4 * 10**6)
groups = 256 // at_a_time
one_reading = groups * (1e6 * at_a_time * 4 * 10**6 / memory + 3)
claim("433 µs", round(one_reading) == 433)
claim("A tenth better than two readings", 0.85 < one_reading / microseconds[2] < 0.95)

# %% [markdown]
# **Exercise 2** (10 minutes). Some define neighbouring data sets by *replacing* an example, not by leaving it out. By how much can the sum
# move then? Find two examples that reach the bound, and check the law for random ones.
#
# <details><summary>Hint 1: two steps</summary>
#
# To replace is to leave out and to add. Each moves the sum by at most $R$.
#
# </details>
#
# <details><summary>Hint 2: when do both add up?</summary>
#
# When they go in the same direction.
#
# </details>

# %% tags=["hide-cell"]
# Solution: by 2R, reached by an example and its opposite. So noise that is made for one
# definition is too small for the other by a factor of two.
base = torch.randn(10, 6, generator=generator, dtype=torch.float64)


def replaced(old, new):
    """How far the sum moves when one example takes the place of another."""
    pair = [clip_and_sum(torch.cat([base, x[None]]), clip_norm=1.0) for x in (old, new)]
    return (pair[0] - pair[1]).norm().item()


example = 9 * torch.ones(6, dtype=torch.float64)
claim("An example and its opposite: 2R", abs(replaced(example, -example) - 2) < 1e-9)
others = 3 * torch.randn(200, 2, 6, generator=generator, dtype=torch.float64)
claim("Never more", max(replaced(*pair) for pair in others) <= 2 + 1e-9)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Why are the gradients read twice, and not once?
# - Because a GPU cannot multiply and add in one pass :: It does, in the second reading.
# + Because no number of a row can be added before the row's length is known :: And rows are too long to be held in between.
# - To check the first reading :: Nothing is checked.
# ? One gradient has an infinite entry. What should the sum be?
# - The sum of the others: the bad row gets weight 0 :: An example would be left out, and nobody would know.
# - That with the entry set to the largest float :: That invents a number.
# + Not a number, so that training stops :: The function may not look at values, but it can let them show.
# ? The gradients are bfloat16. Why is the sum float32?
# - It is faster :: It is as fast; the sum is a small part of the bytes.
# + Rounded to 16 bits, the sum could move by more than R without one example :: Then the noise hides too little.
# - bfloat16 cannot be added :: It can, and is rounded each time.
# ? Programs add their shares to one number with atomic additions. What is lost?
# - Some of the shares :: Atomic means that none is lost.
# + The same bits in each run :: The order is that of luck, and rounding depends on it.
# - Nothing :: Try it twice.
# ```
#
# **Strengths.** Two readings instead of four heaps; no clipped row is written; the same bits in each run; float32 sums; nothing is left
# out in silence; the host never waits.
#
# **Limitations.** The gradients of all examples must exist, $N$ times the size of the network. One clip norm for all of a row, not one
# for each layer. No gradient flows through the sum. Not yet measured on a GPU.
#
# **Software.** Opacus trains PyTorch networks in private, with per-sample gradients or ghost clipping
# {cite}`yousefpour2021opacus`. `torch.func.vmap` of `torch.func.grad` gives the rows that this page sums.
#
# ## What to take away
#
# What is written only to be read again need not be written. A sum that a promise rests on has to keep it in floating point, too: wide enough,
# in a fixed order, and with every bad number in plain sight. And the fastest reading is the one that an idea saves: before you tune the
# sum of a heap, ask whether the heap must exist.
