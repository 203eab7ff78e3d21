# %% [markdown]
# # 9.3 One photograph, hidden in a thousand ways
#
# LIME, occlusion and Shapley values all ask a network the same kind of question: what do you say if *these* parts of the
# picture are hidden? They ask it a thousand times about one photograph. This page makes the thousand pictures, with as
# few bytes as possible, and then measures how little that matters.
#
# **What you will learn**
#
# - why this kernel is limited by *writing* alone, where the others are limited by reading and writing;
# - to keep 32 yes-or-no answers in one integer, and to read them back as bits;
# - to let one program do the common work of many images once;
# - to measure against the right limit, and to ask for a kernel's share of the whole time before you praise it.
#
# **Before you start**: [the distillation loss in one pass](distillation_loss.ipynb) explains what Triton is and how bytes
# are counted; [LIME](../40_interpretability/lime.ipynb) is what the pictures are for. The symbols are those of the
# [notation page](../../book/notation.md). No GPU is needed.
#
# **Time**: 20 minutes to read; {{ cpu_seconds }} to run.

# %% [markdown]
# Where there is a GPU, this page runs the kernel on it. Elsewhere Triton's interpreter runs the same code on the CPU.
# Triton must know that before the kernel's file is read, so the first cell sets it before that import.

# %%
import os
from importlib import import_module

import matplotlib.pyplot as plt
import torch
from skimage.segmentation import mark_boundaries, slic

from tml_helpers.claims import claim, seed
from tml_helpers.data import photos
from tml_helpers.plotting import COLOURS, show_image, use_style

torch.set_num_threads(1)  # tensors as small as these are fastest on one core
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
pages = import_module("tml_helpers.kernels.pages")  # what these pages share
kernel = import_module("tml_helpers.kernels.superpixels")  # the file
superpixels = kernel.superpixels  # its public function, kernels.superpixels
use_style()

# %% [markdown]
# ## The question
#
# A **superpixel** is a region of neighbouring pixels that look alike, which a person sees as one thing: an ear, a
# cushion. Cut a photograph into $S$ of them. A **mask** is a row of $S$ yes-or-no answers: is this superpixel visible?
# Where it is not, the picture shows something that says nothing; here, the region's mean colour. Photographs come with
# [their card](../../book/data_cards/photos.md).

# %%
cat = photos().images[0]  # (3, 224, 224)
pixels = cat.permute(1, 2, 0).numpy()
segments = torch.from_numpy(slic(pixels, n_segments=40, start_label=0))
count = int(segments.max()) + 1  # S
generator = torch.Generator().manual_seed(seed())
masks = torch.rand(1000, count, generator=generator) < 0.5  # 1,000 rows of S coins
places = segments.flatten()
size = torch.bincount(places)  # pixels of each superpixel
sums = torch.zeros(3, count).index_add(1, places, cat.flatten(1))
colours = sums / size  # (3, S): the mean colour of each superpixel
fill = colours[:, segments]  # (3, 224, 224)
three = superpixels(cat, segments, masks[:3], fill=fill)
claim("There are between 20 and 40 superpixels", 20 <= count <= 40)

# %% tags=["hide-input", "fig-hidden-cat"] mystnb={"image": {"alt": "Four pictures of a cat's face, in two rows. The first is cut into about thirty regions by yellow lines. In the other three about half of the regions, different ones each time, are replaced by patches of even colour; eyes, ears or nose are missing."}}
figure, axes = plt.subplots(2, 2, figsize=(5.5, 5.9))
outlined = mark_boundaries(pixels, segments.numpy(), color=(1, 0.9, 0))
outlined = torch.from_numpy(outlined).permute(2, 0, 1)
show_image(axes[0, 0], outlined, f"{count} superpixels")
for axis, image, mask in zip(axes.flat[1:], three, masks, strict=False):
    show_image(axis, image, f"{int(mask.sum())} of them visible")
plt.show()

# %% [markdown]
# *One cat, and three of the thousand pictures that a network will be shown.* Top left: the superpixels. The others: each
# coin shows or hides one region. How many bytes must move to make all thousand?
#
# ## Why it exists
#
# Write $x$ for the image, $x^0$ for the fill, which a hidden pixel shows, $s(i)$ for the superpixel of pixel $i$, and
# $z'_m$ for the $m$-th mask. The batch is
#
# $$\text{out}_{m, c, i} = \begin{cases} x_{c,i} & \text{if } z'_{m, s(i)} = 1 \\
# x^0_{c,i} & \text{otherwise.} \end{cases}$$ (eq-hidden-batch)
#
# In words: copy the pixel if its region is visible, else copy the fill. There is no arithmetic at all. In plain PyTorch:

# %%
pages.listing(kernel.reference)

# %% [markdown]
# The first step looks up a mask for every image and pixel and writes the answers, one byte each; the second reads them
# and writes the batch. $x$, $x^0$, $s$ and the masks are small and stay in the processor's cache. The fewest bytes are
# those that nobody can avoid: the batch must be **written**, $M \cdot C \cdot H \cdot W \cdot b$ bytes for $M$ masks
# and numbers of $b$ bytes. Nothing large has to be read.


# %%
def moved(channels, dtype):
    """Bytes to and from memory, as a multiple of the batch: plain PyTorch."""
    image = torch.zeros(channels, 8, 8, dtype=dtype)
    place = torch.zeros(8, 8, dtype=torch.int64)
    visible = masks[:4, place]  # (4, 8, 8)
    batch = kernel.reference(image, place, masks[:4], image)
    return (2 * visible.nbytes + batch.nbytes) / batch.nbytes


kinds = {
    "colour, float32": (3, torch.float32),
    "colour, bfloat16": (3, torch.bfloat16),
    "grey, float32": (1, torch.float32),
    "grey, bfloat16": (1, torch.bfloat16),
}
plain = {name: moved(*kind) for name, kind in kinds.items()}
claim("A float32 photograph moves 7/6 of the batch", plain["colour, float32"] == 7 / 6)
claim("A grey bfloat16 picture moves twice", plain["grey, bfloat16"] == 2)

# %% tags=["hide-input", "fig-batches"] mystnb={"image": {"alt": "Four pairs of bars. The kernel always moves one batch. Plain PyTorch moves 1.17 batches for colour float32, 1.33 for colour bfloat16, 1.5 for grey float32 and 2 for grey bfloat16."}}
figure, axis = plt.subplots(figsize=(6.5, 2.4))
rows = range(len(plain))
axis.barh(rows, list(plain.values()), color=COLOURS["sky"], label="plain PyTorch")
axis.barh(rows, [1] * len(plain), height=0.35, color=COLOURS["blue"], label="the least")
axis.set_yticks(rows, list(plain))
axis.set(xlabel="bytes to and from memory, in batches", xlim=(0, 2.9))
axis.legend(loc="lower right")
axis.grid(visible=False)
plt.show()

# %% [markdown]
# *There is not much to save: between a seventh and a half.* The fewer bytes a pixel has, the more the mask counts that
# is written and read beside it. (Whatever is written is counted once here; a processor that reads a line of memory before
# it overwrites it moves more.) For a thousand photographs in float32:

# %%
batch_bytes = 1000 * 3 * 224**2 * 4
claim("The batch is 602 MB", round(batch_bytes / 1e6) == 602)
claim("At 4.8 TB/s it is written in 125 µs", round(batch_bytes / 4.8e12 * 1e6) == 125)

# %% [markdown]
# ## 32 coins in one word
#
# A program that knows a pixel, its fill and its region could write that pixel of *every* image, if only it had the
# thousand coins of the region. Asking for them one by one is a thousand loads. But a coin is one bit, and an integer has
# 32: put the coins of 32 images for one region into one word, and one load brings 32 answers.

# %%
pages.listing(kernel.pack)

# %% [markdown]
# Bit $j$ of a word belongs to image $j$ of its group. Shifting the word right by $j$ and keeping the last bit reads it
# back. By hand, for the first three images and the region of the picture's centre:

# %%
words = kernel.pack(masks)  # (m / 32, s)
centre = int(segments[112, 112])
word = int(words[0, centre])
bits = [(word >> j) & 1 for j in range(3)]
claim("The bits are the coins", bits == masks[:3, centre].int().tolist())
claim("1,000 masks make 32 words a region", words.shape == (32, count))
claim(
    "They take about an eighth of the masks' bytes",
    1 / 8 <= words.nbytes / masks.nbytes < 1 / 7,
)

# %% [markdown]
# The last image of a group sits in the sign bit, so its word is a negative number. Nothing goes wrong: a shift to the
# right drags copies of the sign along, and the "keep the last bit" removes them.
#
# ## The kernel, line by line
#
# Triton {cite}`tillet2019triton` runs many copies of a kernel, *programs*. Here a program owns 1,024 entries of the image
# and 32 images of the batch.

# %%
pages.listing(kernel._compose, first="entry = ")

# %% [markdown]
# - `entry` are places in one image, in the order of memory; `inside` guards the end, as on the pages before.
# - `seen`, `hidden` and `segment` are loaded once. `word` is the one load whose addresses depend on the picture; but
#   neighbours mostly share a region, so most threads that load together ask for the same word.
# - `first` is 64 bits wide: a batch of photographs may have more than $2^{31}$ entries.
# - The loop is unrolled. Each turn takes one bit and stores one image's entries, side by side: nothing but writing.
# - The last group may have fewer than 32 images; its surplus bits are stored nowhere.
#
# The kernel never asks where a channel begins. The function that calls it lays out `image`, `fill` and `segments` in the
# order in which the batch will lie in memory, channels first or last, and the kernel goes through entries one by one.
#
# ## The check
#
# Copies are exact, so the kernel must equal the definition to the last bit. 70 masks make two full words and a rest.

# %%
device = "cuda" if torch.cuda.is_available() else "cpu"
small = torch.rand(3, 20, 30, generator=generator).to(device)
regions = torch.randint(9, (20, 30), generator=generator).to(device)
coins = (torch.rand(70, 9, generator=generator) < 0.5).to(device)
grey = torch.full_like(small, 0.5)
expected = kernel.reference(small, regions, coins, grey)
run = kernel.plain if kernel.triton is None else kernel.fused
for last in (False, True):
    batch = run(small, regions, coins, grey, last)
    order = "channels last" if last else "channels first"
    claim(f"{order}: equal to the last bit", torch.equal(batch, expected))

# %% [markdown]
# And two laws that hold for every image. What a mask shows its complement hides, and a mask that shows everything gives
# the image back.

# %%
one, other = (superpixels(cat, segments, m, fill=fill) for m in (masks[:8], ~masks[:8]))
claim(
    "Mask and complement make image and fill",
    torch.equal(one + other, (cat + fill).expand_as(one)),
)
everything = torch.ones(1, count, dtype=torch.bool)
claim(
    "Nothing hidden: the image",
    torch.equal(superpixels(cat, segments, everything)[0], cat),
)

# %% [markdown]
# ## What was measured
#
# First the CPU: 16 photographs or 256 digits, side by side in one run, two threads, float32.
# `python benchmarks/superpixels.py` makes the table again, with the machine that it was taken on.

# %%
cpu = pages.result("superpixels")
if cpu is None:
    print("Not measured yet: python benchmarks/superpixels.py")
for line in cpu["table"] if cpu else []:
    order = "channels last" if line["channels_last"] else "channels first"
    print(f"{line['shape']}, {order}: ms; ours is so many times as fast")
    pages.show_milliseconds(line)

# %% [markdown]
# On the CPU there is little between them. What does matter there is the *order*: convolutions read a batch with channels
# last faster, and a batch that is made in this order need not be reordered. A photograph takes half a millisecond, while
# the network that reads it takes some twenty.
#
# On a GPU the yardstick is not a copy, which reads as much as it writes, but a *fill*, which only writes. The next cell
# shows the batch's bytes per second as a share of what filling memory reached on the same machine.

# %%
gpu = pages.on_a_gpu("superpixels")
if gpu:
    written = gpu["write_bytes_per_second"] / 1e12
    print(f"{gpu['machine']['gpu']}: {written:.2f} TB/s written")
    for line in gpu["superpixels"]:
        print(line["shape"], line["dtype"], "NHWC" if line["channels_last"] else "NCHW")
        for name, us in line["us"].items():
            print(f"    {name:14}{us:10.1f} µs{line['of_write'][name]:8.0%} of a fill")

# %% [markdown]
# ## Where it loses
#
# Most of this list follows from counting; in the end the measured table of your machine decides.
#
# - **Beside the network.** A thousand photographs cost the smallest ImageNet networks some $10^{12}$ operations: many
#   milliseconds on the largest GPU, and twenty seconds on a laptop. Against that, 125 µs is nothing, and so is twice that.
# - **Beside the compiler.** `torch.compile` fuses the two steps into one and needs no mask in memory either. It looks up
#   one byte for each entry where the kernel looks up a word for 32. Expect a small gain for photographs, or none.
# - **Few masks.** With four masks a program loads as much as it writes, and 28 of its 32 turns do nothing.
# - **Many regions.** If every pixel is a region of its own, the words are as large as a picture, and no two threads ask
#   for the same one.
# - **Fills that depend on the image of the batch**, such as noise drawn anew each time, are another kernel.
#
# So why have it? Because all the pictures together never have to be stored: batch after batch is made, shown to the
# network and forgotten, on the device where the network is, and in the order of memory that it reads fastest.
#
# ## Practice
#
# **Exercise 1** (5 minutes). A *window* of 32 × 32 pixels slides over the photograph in steps of 16. Windows overlap, so
# they are no superpixels. Describe them by superpixels all the same: which regions, and which masks?
#
# <details><summary>Hint 1: which regions</summary>
#
# Two pixels may share a region if every window hides both or neither. Draw the borders of all windows into one picture.
#
# </details>
#
# <details><summary>Hint 2: which masks</summary>
#
# There is one mask for each window, and it hides several regions. How many of your regions does one window cover, and
# how many windows fit side by side?
#
# </details>

# %% tags=["hide-cell"]
# Solution: the regions are the cells of the finest grid, 16 × 16 pixels; a window
# hides the four cells that it covers.
cells = torch.arange(14 * 14).view(14, 14)
grid = cells.repeat_interleave(16, 0).repeat_interleave(16, 1)  # (224, 224)
corners = [(row, column) for row in range(13) for column in range(13)]
windows = torch.ones(len(corners), 14 * 14, dtype=torch.bool)
for window, (row, column) in zip(windows, corners, strict=True):
    window[cells[row : row + 2, column : column + 2].flatten()] = False
hidden = superpixels(cat, grid, windows, fill=-1.0)
claim(
    "Each window hides 32 × 32 pixels",
    bool(((hidden[:, 0] == -1).sum(dim=(1, 2)) == 32 * 32).all()),
)

# %% [markdown]
# **Exercise 2** (10 minutes). The words could hold 64 coins each. What would a program then load, and what would it
# write? What speaks against it?
#
# <details><summary>Hint 1: what to count</summary>
#
# Count for a batch of 1,000 images: groups, loads and stores of a program, and turns of the last group without an image.
#
# </details>
#
# <details><summary>Hint 2: what else changes</summary>
#
# The loop is unrolled, and a GPU is fast because many programs run at a time. What becomes of both?
#
# </details>

# %% tags=["hide-cell"]
# Solution: half as many loads, but they come from the cache and were one in 32 stores
# already. The same writes, and as many turns without an image. Against it: half as many
# programs to spread over the device, and an unrolled loop of twice the length.
for bits in (32, 64):
    groups = -(-1000 // bits)
    print(
        f"{bits} bits: {groups} groups, {groups * bits - 1000} turns without an image"
    )

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? What bounds this kernel on a GPU?
# - Reading the photograph :: It is read once for 32 images, and from the cache.
# + Writing the batch :: Nothing else is as large, and nobody can avoid it.
# - The arithmetic of the masks :: A shift and a comparison for four bytes; the processor waits for memory.
# ? Its bytes per second should be compared with …
# - a copy's :: A copy reads as much as it writes, and memory may do one faster than the other.
# + a fill's :: A fill only writes, as this kernel does.
# - the network's operations per second :: Another unit, and another bound.
# ? A batch of a thousand masked photographs is made twice as fast. How much faster is LIME on a laptop?
# - Twice :: Only if the pictures were all of the time.
# - About a third :: They are not even a tenth.
# + Hardly at all :: Nearly all of the time is the network's; look for fewer samples instead.
# ```
#
# **Strengths.** Exact to the last bit in every dtype; writes the least that there is to write; channels first or last;
# never needs a mask image in memory.
#
# **Limitations.** See *Where it loses*. One image at a time, one fill for all masks.
#
# **Software.** `torch.where` is all one needs for a few masks. The package lime composes in NumPy, one copy of the
# photograph for each sample {cite}`ribeiro2016why`; Captum masks with tensor products {cite}`kokhlikyan2020captum`.
#
# ## What to take away
#
# Ask what must move, and in which direction: this batch is only written. Work that many outputs share is done once, by
# the program that owns them all. And before you are proud of a kernel, divide its time by that of the whole: here the way
# to a faster explanation is fewer samples, as [the lecture on LIME](../40_interpretability/lime.ipynb) shows.
