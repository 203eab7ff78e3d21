# %% [markdown]
# # 9.6 A secret choice that every machine makes alike
#
# A counter that answers questions about pictures wants to treat one query in a hundred in a special way: always the same
# ones, chosen by a secret, on any machine. That is what a hash with a key does. It is the first kernel of this book that
# calculates more than it reads, and the first whose reference is no formula but a standard of cryptography.
#
# **What you will learn**
#
# - what a keyed hash promises: a choice that looks drawn, that never changes, and that nobody foresees without the key;
# - to count instructions instead of bytes, and to see which of the two bounds a kernel;
# - to cut a chain that cannot be run in parallel into a tree that can;
# - to check a kernel to the last bit against a standard library.
#
# **Before you start**: [the distillation loss in one pass](distillation_loss.ipynb) explains what Triton is and how bytes
# are counted; [marks in models](../70_watermarking/models.ipynb) is what the choice is for. The symbols are those of the
# [notation page](../../book/notation.md). No GPU is needed.
#
# **Time**: 20 minutes to read; {{ cpu_seconds }} to run.

# %% [markdown]
# Where there is a GPU, this page runs the kernel on it. Elsewhere Triton's interpreter runs the same code on the CPU.
# Triton must know that before the kernel's file is read, so the first cell sets it before that import.

# %%
import hashlib
import os
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats

from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.plotting import COLOURS, show_image, use_style

torch.set_num_threads(1)
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
pages = import_module("tml_helpers.kernels.pages")  # what these pages share
kernel = import_module("tml_helpers.kernels.keyed_select")  # the file
keyed_hash = kernel.keyed_hash  # its public functions, kernels.keyed_hash
keyed_select = kernel.keyed_select  # and kernels.keyed_select
use_style()
generator = torch.Generator().manual_seed(seed())
key = bytes(torch.randint(256, (32,), generator=generator).tolist())

# %% [markdown]
# The key comes from the page's seed, so that you get the page's numbers. In earnest it is `secrets.token_bytes(32)`, and
# `kernels.keyed_select` refuses what is not bytes or not long enough to be secret. (The check is `check_key`, which all marks
# of chapter 7 share.) A number won't do, above all not Python's `hash("my secret")`: Python salts it anew in each process,
# and the choice would be another one tomorrow.
#
# ## The question
#
# Which of these digits are special? [Their card](../../book/data_cards/mnist.md) says where they come from.

# %%
digits = mnist("train").images[:2000]  # (2000, 1, 28, 28), float32
chosen = keyed_select(digits, key=key, fraction=0.1)
again = keyed_select(digits.flip(0), key=key, fraction=0.1).flip(0)
claim("The same ones in another order", torch.equal(chosen, again))
share = stats.binomtest(int(chosen.sum()), 2000, 0.1)
claim("About a tenth: no surprise at one in a million", share.pvalue > 1e-6)
other = keyed_select(digits, key=key[::-1], fraction=0.1)
claim("Another key chooses others", not torch.equal(chosen, other))

# %% tags=["hide-input", "fig-selected-digits"] mystnb={"image": {"alt": "Three rows of twelve handwritten digits, black on grey. A few are drawn in brown on an orange ground, at places that follow no pattern."}}
figure, axes = plt.subplots(3, 12, figsize=(7, 1.9))
for axis, digit, special in zip(axes.flat, digits, chosen, strict=False):
    palette = plt.get_cmap("Oranges" if special else "Greys")
    ink = palette(0.15 + 0.85 * digit[0].numpy())
    show_image(axis, torch.from_numpy(ink[..., :3]).permute(2, 0, 1))
plt.show()

# %% [markdown]
# *Thirty-six digits, and the ones that the key selects, in orange.* Nothing in a picture tells. Who has the key finds them
# again at any time; who has not can only guess, and is right one time in ten.
#
# ## Why it exists
#
# Write $h_\kappa(x)$ for a hash of the bytes of input $x$ under the key $\kappa$: eight whole numbers below $2^{32}$. The
# input is selected if the first of them is small:
#
# $$\text{selected}(x) \iff h_\kappa(x)_0 < q \cdot 2^{32}.$$ (eq-keyed-select)
#
# In words: the hash is a number drawn for this very input, and the fraction $q$ says how many of all numbers count as a
# hit. A hash must look random and yet be a function, so each bit of the input must touch each bit of the result. BLAKE2s
# {cite}`aumasson2013blake2,rfc7693` does that by ten rounds of additions, exclusive ors and rotations for each block of 64
# bytes. A key makes it secret; without it nobody predicts a bit of the result or finds the input back.
#
# On a CPU, Python's hashlib is the answer. But the queries of a network lie on its GPU. To hash them on the host, they
# must be copied there, and the host must wait for them. Count the *bytes* that must move and the *instructions* that must
# be made, for 256 photographs of float32:

# %%
batch_bytes = 256 * 3 * 224**2 * 4
copied = batch_bytes / 4.8e12  # seconds to read them once, on an H200
mixing = 80 * 12  # a block: 80 times 12 additions, exclusive ors and rotations
instructions = batch_bytes / 64 * mixing
units = 132 * 64 * 1.8e9  # instructions a second: multiprocessors, lanes, clock
calculated = instructions / units
claim("154 MB are read in 32 µs", round(copied * 1e6) == 32)
claim("and hashed in 152 µs", round(calculated * 1e6) == 152)
claim("So arithmetic takes four times as long", 4 < calculated / copied < 5)

# %% [markdown]
# All other kernels of this chapter wait for memory. This one, if all goes well, waits for its arithmetic: a fifth of the
# memory's speed is the most that it can reach, and no clever order of loads will change that. (Lanes and clock are the
# vendor's figures for an H200, rounded; nothing on this page was measured on one.)
#
# ## A chain, and a tree
#
# One thing stands in the way. A hash is a chain: the next block enters a state that the last one left. One photograph has
# 9,408 blocks, and one thread would go through them one by one. BLAKE2's designers foresaw this. In **tree mode** the input
# is cut into *leaves*, here of 1,024 bytes. Each is hashed by itself, with its place in the tree mixed in, and the *root*
# is the hash of the leaves' hashes. Python's hashlib has the tree too, so the reference is a few lines:

# %%
pages.listing(kernel.reference)

# %% [markdown]
# `node_offset` is the place, `node_depth` the height, `last_node` marks the end of a layer. They make it impossible to pass
# off one tree's node as another's. The key is in every node, as a first block of its own.


# %%
def chain(size, leaf):
    """Blocks one after the other: the key and a leaf, the key and the root."""
    leaves = -(-size // leaf)
    return 1 + -(-min(size, leaf) // 64) + 1 + -(-leaves // 2)


photograph = 3 * 224**2 * 4
claim("A chain alone: 9,408 blocks", photograph // 64 == 9408)
claim("The tree: 312 one after the other", chain(photograph, 1024) == 312)
claim("A digit: 50 blocks become 20", chain(28 * 28 * 4, 1024) == 20)

# %% tags=["hide-input", "fig-keyed-tree"] mystnb={"image": {"alt": "Two curves of the number of blocks that must be hashed one after the other, against the size of a leaf, both axes logarithmic. The photograph's curve falls from above a thousand at leaves of 256 bytes to about 140 at 4,096 and rises again. The digit's is lowest, at 13, with leaves of 256 bytes."}}
figure, axis = plt.subplots(figsize=(6.5, 2.8))
leaf_sizes = 2 ** np.arange(7, 17)
for name, size, colour in (
    ("a photograph, 602,112 bytes", photograph, "blue"),
    ("a digit, 3,136 bytes", 28 * 28 * 4, "orange"),
):
    depth = [chain(size, int(leaf)) for leaf in leaf_sizes]
    axis.plot(leaf_sizes, depth, "o-", color=COLOURS[colour], label=name)
axis.axvline(1024, color=COLOURS["black"], linestyle=":", label="here")
axis.set(xscale="log", yscale="log", xlabel="bytes of a leaf")
axis.set_ylim(8, 4e4)  # room for the legend
axis.set_ylabel("blocks, one after another")
axis.legend(loc="upper right")
plt.show()

# %% [markdown]
# *How long the longest chain is.* Small leaves make many, and then the root is long; large leaves are long themselves. 1,024
# bytes suit small pictures and are bearable for large ones. The size is part of the definition: whoever changes it gets
# other hashes, and has to search for old marks with a hash that nobody used.
#
# ## The kernel, line by line
#
# Triton {cite}`tillet2019triton` runs many copies of a kernel, *programs*. Here a program has 64 threads, and each owns a
# node: a leaf in the first launch, a root in the second. The heart of BLAKE2 is a mixing of four words of the state with
# two of the message:

# %%
pages.listing(kernel._mix)

# %% [markdown]
# Words have 32 bits, and additions wrap around. On a GPU a rotation is one instruction, and so are an exclusive or and the
# sum of three numbers: twelve instructions in all. Eighty mixings are a block:

# %%
pages.listing(kernel._compress, first="v0, v1", last="h0, h1")

# %% [markdown]
# - `v0` … `v15` are 16 registers of each thread. The loop is unrolled while Triton compiles, and `SIGMA`, the standard's
#   order of the words, becomes nothing but a choice of registers. No array is ever indexed.
# - Four mixings touch different registers. They don't wait for each other, so a thread has four chains to work on.

# %%
pages.listing(kernel._nodes, first="node =")

# %% [markdown]
# - `length` is what this node has to read. All threads of a program go through as many blocks as the longest; `more` keeps
#   the state of those that are done.
# - Block −1 is the key. It lies in registers that the launch filled, never in memory that another program could read. And
#   it is not known to the compiler: another key is no reason to compile anew.
# - `final` and `last_node` are the standard's two flags, 0 or all ones.
# - `_word` loads four bytes at a time where inputs begin at multiples of four, and byte by byte where they do not.
#
# ## The check
#
# A hash is right to the last bit or not at all. Rows of 65 bytes: a whole block, and one more byte.

# %%
device = "cuda" if torch.cuda.is_available() else "cpu"
small = torch.randint(256, (3, 65), generator=generator).to(torch.uint8).to(device)
run = kernel.plain if kernel.triton is None else kernel.fused
words = run(small, key).cpu().numpy().astype("<u4")
expected = [kernel.reference(bytes(row.tolist()), key) for row in small]
claim("Equal to hashlib, to the last bit", words.tobytes() == b"".join(expected))

# %% [markdown]
# On the CPU the function *is* hashlib; it only makes the nodes once, with key and place, and copies them for each input.
# Three more checks are of what a keyed hash promises. It is uniform; a bit of the input changes half of the bits of the
# result; and it goes by the bytes, so equal numbers of other bytes are other inputs.

# %%
words = keyed_hash(torch.arange(20_000), key=key)  # inputs that hardly differ
counts = np.bincount((words[:, 0] // 2**26).numpy(), minlength=64)
uniform = stats.chisquare(counts).pvalue
claim("64 cells, chi-squared: no surprise at one in a million", uniform > 1e-6)
flipped = words[1::2] ^ words[::2]  # neighbours: one bit of the input differs
bits = sum(((flipped >> bit) & 1).sum() for bit in range(32)) / flipped.numel() / 32
claim("Half of the bits change", abs(float(bits) - 0.5) < 0.005)
zeros = keyed_hash(torch.tensor([[0.0], [-0.0]]), key=key)
claim("0.0 and −0.0 are two inputs", not torch.equal(zeros[0], zeros[1]))
as_double = keyed_hash(torch.zeros(1, 1).double(), key=key)
claim("So are float32 and float64", not torch.equal(zeros[:1], as_double))

# %% [markdown]
# ## What was measured
#
# First the CPU, one thread. Beside ours: the tree in a plain loop of hashlib, which is the definition; and BLAKE2 in one
# pass, which is another function with the same promise. `python benchmarks/keyed_select.py` makes the table again.

# %%
cpu = pages.result("keyed_select")
if cpu is None:
    print("Not measured yet: python benchmarks/keyed_select.py")
for line in cpu["table"] if cpu else []:
    print(f"{line['shape']}, {line['dtype']}: ms; ours is so many times as fast")
    pages.show_milliseconds(line)

# %% [markdown]
# Ours is never slower than the definition, by construction: it does the same calls with less around them. The tree costs
# the CPU a little beside a single pass of BLAKE2s: keys of the leaves, and a call for each. Beside BLAKE2b, which takes 8
# bytes at a time where a processor has 64 bits, it costs a factor of two. If you only ever hash on a CPU, take that one.
# BLAKE2s is here because a GPU's registers have 32 bits.
#
# Then the GPU:

# %%
pages.show_microseconds("keyed_select")

# %% [markdown]
# **What decides whether it stays.** The kernel has been compiled for an H200 and its instructions have been counted, but
# no H200 has run it. The rule was set before the measurement: the column of this kernel must be below that of the host,
# which copies the inputs, hashes them and copies the answer back, at *every* size in the table. If it is not, even for a
# single digit, `kernels.keyed_select` takes the host's way there; and if it is above everywhere, the kernel goes. For one
# digit it will be close: its 20 blocks are hashed one after the other, by a single thread, while all others are idle.
#
# ## Where it loses
#
# - **One small input.** See above. A GPU is good at many chains, not at one.
# - **One large input.** The root of a photograph is a chain of 295 blocks while all other threads are idle. A tree of three
#   levels would cut it to a tenth, and make the definition longer.
# - **Inputs of odd sizes.** Rows that do not begin at multiples of four bytes are read byte by byte.
# - **Nearly equal inputs.** By design: a changed bit makes another input. If the network shall treat a picture and its
#   noisy copy alike, round the picture before it is hashed.
#
# ## Practice
#
# **Exercise 1** (10 minutes). Every leaf begins with a block that holds the key alone: 17 blocks instead of 16. Leaves at
# the same place of all inputs share that work. How much could be saved, for a batch of photographs? What would it take?
#
# <details><summary>Hint 1: what is shared</summary>
#
# The state after the key's block depends on the key, on the place of the leaf, and on whether it is the last. Does it
# depend on the picture?
#
# </details>
#
# <details><summary>Hint 2: what it costs</summary>
#
# Somebody has to compute these states: one for each place. They have 32 bytes each. Who reads them, and how often?
#
# </details>

# %% tags=["hide-cell"]
# Solution: a launch of its own computes a state for each place, 588 for a photograph,
# and each leaf loads 32 bytes instead of hashing 64. At most one block in 17 is saved.
# hashlib cannot hand out such a state; a node that saw only the key, copied, is the
# same idea, and what `kernel.plain` does.
places = -(-photograph // 1024)
saved = 1 - 16 / 17
claim("588 places", places == 588)
claim("At most six per cent", 0.05 < saved < 0.06)
claim("for a twentieth of what is read", places * 32 / photograph < 0.05)

# %% [markdown]
# **Exercise 2** (10 minutes). Without a key, anyone can compute the hash. Build a selection with `hashlib.sha256` and no
# key, play the customer of a counter that uses it, and find a query that is selected. Why does a key that is only known
# to the *owner* prevent that, and what must the owner never do with it?
#
# <details><summary>Hint</summary>
#
# Change one pixel by one grey level until the hash is small. How many tries does a fraction of one in a hundred need?
#
# </details>


# %% tags=["hide-cell"]
# Solution: a hundred tries on average; so a customer steers clear of the selected
# queries, or sends nothing else. With a key nobody can tell which they are, unless by
# the counter's wrong answers. The owner must never reveal it, not even in court,
# without taking another one the day after: deposit its hash instead.
def public(picture):
    digest = hashlib.sha256(picture.numpy().tobytes()).digest()
    return int.from_bytes(digest[:4], "little") < 0.01 * 2**32


picture, tries = (255 * digits[0]).byte(), 0
while not public(picture) and tries < 5000:
    tries += 1
    picture.view(-1)[tries % 784] += 1  # a grey level; 255 becomes 0
claim("A selected query is found within 5,000 tries", public(picture))

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? What bounds this kernel on a GPU, by its counts?
# - Reading the inputs :: That is done in a fifth of the time.
# + The instructions :: 960 for 64 bytes: the processor is busy while the memory waits.
# - Writing the hashes :: 64 bytes an input.
# ? Why are the leaves not just hashed by hashing the whole input faster?
# - The GPU's memory is too small :: The input is there already.
# + A hash is a chain: a block needs the state that the one before left :: Only a tree has parts that do not wait.
# - Triton has no loops :: It has, and the kernel uses one.
# ? Two tensors are equal by `torch.equal`, and one is float64. Are the same rows selected?
# - Yes, the numbers are the same :: The hash reads bytes, and there are twice as many.
# + In general not :: Convert before you hash, always to the same dtype.
# - Only if they are contiguous :: Strides make no difference; the dtype does.
# ? The GPU's table is empty. What does the page claim of its speed?
# - It is faster than the host :: That has not been measured.
# + Nothing but counts of instructions, and a rule set before the measurement :: A count bounds; only a clock decides.
# - It is slower for large batches :: The count says the opposite, and a count is no measurement either.
# ```
#
# **Strengths.** Bit-exact on every machine, against a standard library; no training, no state, no list of queries to keep;
# the host never waits.
#
# **Limitations.** See *Where it loses*. It goes by bytes: a copy with the least noise is another input. The choice is only
# as secret as the key, and whoever may see all answers may guess which ones were chosen.
#
# **Software.** Python's hashlib, for everything that lies on a CPU; for a file, BLAKE3's own package, whose tree is faster
# than BLAKE2's. For marks that use this choice: `watermark.QueryWatermark`.
#
# ## What to take away
#
# A keyed hash is a coin that falls the same way each time and that nobody else can see. Count instructions beside bytes,
# for the larger of the two times is the bound. A chain is cut by changing the *definition*, not the code. And a kernel that
# has not been measured has no speed, only a count: say so, and say beforehand which figure will make you throw it away.
