# %% [markdown]
# # 9.7 What bounds a kernel
#
# The first three kernels of this chapter were written by counting bytes. Then they met a GPU. One was at its goal, one stood at two
# thirds of it, and one lost to plain PyTorch by sixteen times. The count of bytes was right each time; it was not the
# whole count. This page makes the model that was missing, and finds out what each kernel really waited for.
#
# **What you will learn**
#
# - to write down three limits for a kernel (memory, exponentials, host) before you run it, and to see which one binds;
# - to take a table apart: which experiment tells the limits from each other;
# - to find out that the host waits, without a GPU;
# - to choose between a second reading and a reduction in registers, and to see what the order of reading does;
# - to choose the bar: the compiler, and a graph of launches.
#
# **Before you start**: the pages on [the distillation loss](distillation_loss.ipynb), [the step](ball_step.ipynb) and
# [hidden photographs](superpixels.ipynb), whose kernels are meant here. No GPU is needed.
#
# **Time**: 25 minutes to read; {{ cpu_seconds }} to run.

# %%
from collections import OrderedDict
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tml_helpers.claims import claim
from tml_helpers.kernels import pages
from tml_helpers.plotting import COLOURS, use_style

kernel = import_module("tml_helpers.kernels.superpixels")
use_style()

# %% [markdown]
# ## Why it exists
#
# Why does one kernel reach its limit, and another, counted as carefully, a hundredth of it? This is what was measured on one H200 on 27 November 2026, **before** the kernels were rewritten into what the pages
# before show: the fewest bytes that must move, in MB, and median microseconds, each from a cold cache.

# %%
copy, fill = 4.25e12, 4.65e12  # bytes/s: a copy of 1 GiB, and a fill, on that card
measured = {  # fewest MB, plain PyTorch, torch.compile, ours: µs
    "loss, bf16": (1573, 5778, 2311, 569),
    "loss, bf16, T = 2.5": (1573, 5778, 2311, 620),
    "loss, fp32": (3146, 10635, 2654, 1099),
    "step L∞, bf16": (308, 326, 78, 77),
    "step L2, fp32": (617, 819, 309, 254),
    "step L2, bf16": (308, 528, 182, 216),
    "hidden, 1000, fp32": (602, 624, 224, 592),
    "hidden, 32, fp32": (19.3, 26.5, 108, 438),
}
ceiling = {name: fill if "hidden" in name else copy for name in measured}
share = {
    name: [megabytes * 1e6 / ceiling[name] / (us * 1e-6) for us in times]
    for name, (megabytes, *times) in measured.items()
}

# %% tags=["hide-input", "fig-shares"] mystnb={"image": {"alt": "Eight rows with three marks each, the share of the memory's speed that plain PyTorch, torch.compile and our kernel reached. Ours leads in the loss, with about two thirds, and ties with the compiler in the L-infinity step at over nine tenths. The compiler leads in the bfloat16 L2 step and for a thousand hidden photographs. For 32 of them ours is at one hundredth."}}
figure, axis = plt.subplots(figsize=(6.5, 3.2))
rows = range(len(share))
styles = (
    ("plain PyTorch", "sky", "o"),
    ("torch.compile", "orange", "s"),
    ("ours", "blue", "D"),
)
for column, (label, colour, mark) in enumerate(styles):
    values = [100 * values[column] for values in share.values()]
    axis.plot(values, rows, mark, color=COLOURS[colour], label=label)
axis.axvline(100, color="grey", lw=1, ls="--")
axis.set_yticks(rows, list(share))
axis.invert_yaxis()
axis.set(xlabel="of the memory's speed (%)", xlim=(0, 104))
axis.legend(loc="lower right", bbox_to_anchor=(0.98, 0.05))
plt.show()

# %% [markdown]
# *A kernel that moves the fewest bytes may still stand far from the line.* Only the step in $L_\infty$ reaches it. What do
# the others wait for?
#
# ## Three limits
#
# Let a kernel move $B$ bytes, compute $E$ exponentials, and cost the host a time $\tau$ (launches, checks, and whatever it
# waits for). With the memory's speed $\beta$ and the device's exponentials a second $\eta$, it takes at least
#
# $$
# \text{time} \;\ge\; \max\!\left( \frac{B}{\beta},\; \frac{E}{\eta},\; \tau \right).
# $$ (eq-three-limits)
#
# Williams and others draw the first two as a *roofline* {cite}`williams2009roofline`. There, the second is arithmetic as
# such. For us it is one unit of the processor: exponentials, sines and roots have units of their own, 16 in each
# multiprocessor of an H200, where it has 128 for multiplications. What the maximum hides is that the three overlap only
# if something else is at hand to do meanwhile; a kernel that first loads, then computes, then stores takes their sum.


# %%
def limits(megabytes, exponentials, host, memory=copy):
    """µs that memory, special-function units and host need at least."""
    processors, units, clock = 132, 16, 1.98e9
    rate = processors * units * clock
    return 1e6 * np.array([megabytes * 1e6 / memory, exponentials / rate, host])


logits = 8192 * 32_000
bytes_first, exponentials_first, _ = limits(1573, 5 * logits, 0)
claim("The loss: the memory needs 370 µs", round(bytes_first) == 370)
claim("five exponentials a pair, 313 µs", round(exponentials_first) == 313)
claim("It took 569", measured["loss, bf16"][-1] == 569)

# %% [markdown]
# Neither limit is 569, and their sum is more. Is the kernel slow because of exponentials that do not overlap? Or because
# more bytes move than were counted? Both stories fit one number. It takes an experiment that moves one and not the other.
#
# ## An experiment that tells two limits apart
#
# The table has two. At $T = 2.5$ the kernel must compute its third exponential, twice a pair, and moves the same bytes. In
# float32 it moves twice the bytes, and computes the same exponentials.

# %%
base, warm, wide = (
    measured[name][-1] for name in ("loss, bf16", "loss, bf16, T = 2.5", "loss, fp32")
)
two_exponentials = limits(0, 2 * logits, 0)[1]
claim("If exponentials bound it, two more cost 125 µs", round(two_exponentials) == 125)
claim("They cost 51", warm - base == 51)
tensors = 3 * (wide - base) / bytes_first  # moved for each byte of a number
claim("Twice the bytes cost 530 µs", wide - base == 530)
claim("which is 4.3 tensors, not three", round(tensors, 1) == 4.3)

# %% [markdown]
# So most of the time goes with the bytes, and there are too many of them: 4.3 tensors instead of 3. The missing ones are
# the *second reading* of the logits, which was thought to be free because "the rows in flight fit into the cache". (This is
# a line through three points, and other readings are possible: it says what to try first, not what is true.) Exponentials
# come second: less of their time was hidden than there was.
#
# ## The kernel that reads twice, and the one that holds
#
# A row has to be summed before its gradient can be written. One can read it again, or keep it. Registers are a large
# memory, 256 kB in each multiprocessor. What is kept there costs no second reading, and its exponentials need not be computed
# again. What cannot be kept is read again; then the *order* decides whether the cache still has it. We imitate a cache
# that throws out what has not been used for longest, and programs that each read a row in tiles, twice.


# %%
def found_again(order, held, capacity, programs=264, tiles=8, passes=3):
    """Share of the logits whose second reading the cache serves, or registers."""
    cache, hits, tile = OrderedDict(), 0, 128 / tiles  # kB: student and teacher

    def touch(key, size):
        hit = cache.pop(key, None) is not None
        cache[key] = size
        while sum_of[0] + (0 if hit else size) > capacity:
            sum_of[0] -= cache.popitem(last=False)[1]
        sum_of[0] += 0 if hit else size
        return hit

    sum_of = [0.0]
    for row in range(passes):
        first = range(tiles) if order == "forwards" else range(tiles)[::-1]
        for number in first:
            for program in range(programs):
                touch((row, program, number), tile)
        for number in range(held, tiles):
            for program in range(programs):
                hits += touch((row, program, number), tile)
                touch((row, program, number, "gradient"), tile / 2)
    return (hits / (passes * programs) + held) / tiles


# %%
capacities = np.array([16, 24, 32, 40, 50])  # MB
ways = {
    "forwards": ("forwards", 0),
    "and back": ("back", 0),
    "back, one held": ("back", 1),
}
served = {
    name: [found_again(*way, 1000 * capacity) for capacity in capacities]
    for name, way in ways.items()
}
claim("Read forwards twice, 32 MB serve nothing", served["forwards"][2] == 0)
claim("Read back, they serve more than half", served["and back"][2] > 0.5)
never_less = np.greater_equal(served["back, one held"], served["and back"]).all()
claim("and with a tile held never less", bool(never_less))

# %% tags=["hide-input", "fig-second-reading"] mystnb={"image": {"alt": "The share of the second reading that a cache serves, against its size from 16 to 50 megabytes. Read forwards twice, it is zero up to 32 megabytes and nearly everything at 50. Read there and back it rises steadily from a quarter. With one tile of eight held in registers it is never lower."}}
figure, axis = plt.subplots(figsize=(6.5, 2.8))
marks = zip(served.items(), ("orange", "sky", "blue"), "sod", strict=True)
for (name, values), colour, mark in marks:
    line = {"color": COLOURS[colour], "marker": mark}
    axis.plot(capacities, 100 * np.array(values), label=name, **line)
axis.set(xlabel="cache (MB)", ylabel="second reading served (%)", ylim=(-4, 104))
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# *The same cache serves nothing or most of it, depending on the order.* A cache that is a little too small for a loop that
# is read forwards twice always throws out just what comes next. Read back, it loses only what is furthest away. A real
# cache is less strict than ours, and shared; but nothing is lost by reading back, and one line of code does it.
#
# The step in $L_2$ was a case of the same. It read its photographs twice, seven tensors instead of four:

# %%
claim("Two readings are 57 % of a copy", round(4 / 7, 2) == 0.57)
claim("The float32 step stood there", round(share["step L2, fp32"][-1], 2) == 0.57)

# %% [markdown]
# It could not become better as it was. Now 37 programs hold a photograph in registers and wait for each other's sums:
# [the page on the step](ball_step.ipynb) shows how, and why none waits for ever.
#
# ## The check that the host never waits
#
# The masked photographs are nothing but writing. Between 32 and 1,000 of them the bytes grow thirtyfold. The time?

# %%
few, many = measured["hidden, 32, fp32"], measured["hidden, 1000, fp32"]
per_image = (many[-1] - few[-1]) / (1000 - 32)  # µs
fixed = few[-1] - 32 * per_image
claim("Some 430 µs do not depend on the size", 425 < fixed < 440)
claim("That is sixteen times what plain PyTorch needs in all", fixed > 16 * few[1])

# %% [markdown]
# What does not depend on the size is, in the main, the host's. It launches a kernel without waiting for it, and goes on; so a GPU that
# has work queued never stands still. Until somebody asks for a *value*: then the host waits until the queue is empty, and
# the device waits for the host after that. The old function asked for the bounds of the segments, to check them. It is
# easy to write and hard to see:

# %%
segments = torch.tensor([[0, 1], [2, 2]])
lowest, highest = map(int, segments.aminmax())  # on a GPU: wait, wait
claim("Looks harmless", (lowest, highest) == (0, 2))

# %% [markdown]
# It can be seen without a GPU. PyTorch has *fake* tensors that know their device, shape and dtype, and no values: whoever
# asks one for a value gets an error. Whatever runs through with them never waits. The library's tests put every public
# function of `kernels` through this, and count its launches on the way; a new kernel is asked the same.


# %%
def waits(function):
    """Whether the host would wait for a GPU; none is needed."""
    with FakeTensorMode():
        segments = torch.zeros(4, 4, dtype=torch.int64, device="cuda")
        try:
            function(segments)
        except RuntimeError:  # a value was asked for
            return True
        return False


claim("Bounds as numbers: the host waits", waits(lambda s: [*map(int, s.aminmax())]))
claim("Bounds as tensors: it does not", not waits(lambda s: s.aminmax()))
claim("A wrong place, made 0: it does not", not waits(lambda s: s.clamp_min(0)))

# %% [markdown]
# So what the CPU checks by value, the GPU must not. It can do something else, as the kernels of this chapter do: let what
# is wrong *show*. A label out of range makes the loss NaN; a segment without a mask makes its pixels NaN. And the fewer
# launches the better. Plain PyTorch makes one for each operation:

# %%
image, mask = torch.rand(3, 2, 2), torch.ones(5, 3, dtype=torch.bool)
with pages.Traffic() as traffic:
    kernel.reference(image, segments, mask, image)
print(*(name for name, _ in traffic.operations))
claim("Two operations: two launches", len(traffic.operations) == 2)

# %% [markdown]
# ## What was measured, and beside what
#
# A kernel by hand must beat what costs a line. There are two such lines. `torch.compile` fuses operations; it had the better
# step in bfloat16 and the better photographs. And where launches are all of the time, a **CUDA graph** records them once and
# replays them as one, whoever wrote the kernels. `torch.compile(mode="reduce-overhead")` does both. What is left of our
# lead when both sides are replayed is the kernel's own; the rest was Python.

# %%
lost = [name for name, (_, _, compiled, ours) in measured.items() if ours > compiled]
claim("Three of the lines were the compiler's", len(lost) == 3)

# %% [markdown]
# A rule of this library follows: nowhere slower than `torch.compile`. By the model all three lines turn: one reading instead
# of two, and one launch without a wait. Should a line not turn when it is measured, the public function takes the compiled
# path there, and its page says so. `benchmarks/gpu.py` has all the columns: plain, compiled, ours, the latter two replayed,
# and for the loss Liger's kernel {cite}`hsu2024liger`.
#
# ## Where it loses
#
# A measurement loses its meaning in many ways:
#
# - **A share of the peak that counts the wrong bytes.** Count the fewest that must move, not those that do.
# - **A warm cache.** A small tensor that was just written is read at the cache's speed. Write 256 MB in between.
# - **One size.** The host binds small ones, the memory large ones. A table has both.
# - **A vendor's peak.** A copy reaches nine tenths of it. Measure the ceiling on the same card, in the same run.
# - **A promise that only the interpreter keeps.** It computes in one order. On a GPU the loss with its gradient and the loss
#   without it are two compiled kernels, and differed in the last bit. Promise what is true: equal up to rounding.
# - **One number, one story.** Before you optimise, vary what you blame.
#
# As code, the card of a measurement:

# %%
card = {
    "device and date": "NVIDIA H200, 2026-11-27",
    "ceiling": "a copy and a fill of 1 GiB, measured in the same run",
    "bytes": "the fewest that must move",
    "cache": "cold: 256 MB are written between two runs",
    "beside it": "plain PyTorch, torch.compile",
    "sizes": "large, and so small that launches are all of it",
    "not measured": "the kernels as they stand now",
}
for item, value in card.items():
    print(f"{item:16} {value}")

# %% [markdown]
# ## Practice
#
# **Exercise 1** (10 minutes). The new kernel for the loss holds 4,096 of 32,000 elements, and its lanes' bounds cost no
# exponential. At $T = 4$, how many exponentials a pair are left, and how many microseconds do they need? Which of the three
# limits binds now, if the second reading comes from the cache?
#
# <details><summary>Hint 1: what to count</summary>
#
# $p$ and $q$ are computed once for every element. For which elements are they computed again?
#
# </details>
#
# <details><summary>Hint 2: what to compare</summary>
#
# `limits` gives the time of memory and of exponentials. Three tensors of 524 MB move if the cache serves the second reading.
#
# </details>

# %% tags=["hide-cell"]
# Solution: two for each element, and two more for those that are not held.
a_pair = 2 + 2 * (1 - 4096 / 32_000)
memory, special, _ = limits(1573, a_pair * logits, 0)
claim("3.7 exponentials a pair", round(a_pair, 1) == 3.7)
claim("They need less than two thirds of the memory's time", special < memory * 2 / 3)
# The memory binds, as it should: what can be had is 370 µs, if all else is hidden.

# %% [markdown]
# **Exercise 2** (15 minutes). FlashAttention-4 {cite}`zadouri2026flashattention4` computes a part of its exponentials with
# multiplications instead: $2^x$ for $x \in [0, 1)$ is a polynomial, and the whole part of $x$ goes into the exponent. Write
# it, with a polynomial of degree 5, so that it is right to one millionth. Would it help here? Say that one exponential keeps
# its unit busy for 8 cycles a warp, and that each of the 9 or more other operations takes one.
#
# <details><summary>Hint 1: the polynomial</summary>
#
# Fit it with NumPy at Chebyshev points of $[0, 1]$: there, interpolation is nearly the best there is.
#
# </details>
#
# <details><summary>Hint 2: would it help</summary>
#
# What else does the same processor have to issue in those 8 cycles? Compare with what Exercise 1 says binds.
#
# </details>

# %% tags=["hide-cell"]
# Solution: it is right to a millionth. But it takes more cycles of the multipliers than
# it frees on the other unit; and as the memory binds, nobody waits for what it saves.
points = (1 + np.cos(np.pi * (np.arange(6) + 0.5) / 6)) / 2
polynomial = np.polyfit(points, 2.0**points, 5)


def exp2(x):
    whole = np.floor(x)
    return np.ldexp(np.polyval(polynomial, x - whole), whole.astype(int))


x = np.linspace(-60, 0, 10_001)
claim("Right to a millionth", np.abs(exp2(x) / 2.0**x - 1).max() < 1e-6)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A kernel takes the same time in bfloat16 and in float32. What bounds it?
# - The memory :: Float32 has twice the bytes.
# + Something that does not grow with the bytes: the host, or a unit of the processor :: Vary the size next to tell these two apart.
# - The compiler :: It has long finished when the kernel runs.
# ? Why must a function on a GPU not check its input by value?
# - Values on a GPU cannot be read :: They can. The host waits for them.
# + The host would wait until all that is queued has run, and the device for the host after that :: So what is wrong must show in the result.
# - The check would be wrong :: It would be right, and slow.
# ? A row does not quite fit into the cache and is read twice. In which order?
# - Forwards both times, as memory likes it :: Then what comes next has just been thrown out.
# + Forwards and back, or back and forwards :: What was read last is still there.
# - In random order :: Some of it is found again, less than by going back.
# ? A kernel is three times as fast as `torch.compile` on a tiny input. Replayed as CUDA graphs both take the same. Then …
# - the kernel is better :: It is not the kernel that was timed.
# + the lead was the host's: fewer launches or less Python :: A user who cares replays a graph.
# - the graph is wrong :: It launches the same kernels.
# ```
#
# **Strengths.** Three numbers on paper say what a kernel can reach, and an experiment for each pair says which one binds.
#
# **Limitations.** The model knows no latency, no occupancy, no second bottleneck behind the first. Nor does it prove: the
# kernels as they stand have been compiled and counted, not yet measured.
#
# **Software.** NVIDIA's Nsight Compute measures the first two limits for a kernel; Nsight Systems and `torch.profiler` show
# when the host waits.
#
# ## What to take away
#
# Bytes are the first limit, not the only one. Ask how often the host speaks to the device, and whether it ever waits for an
# answer. Keep in registers what you would read again, and if you must read again, go back the way you came. And before you
# believe a story about a number, find the experiment that would have told another.
