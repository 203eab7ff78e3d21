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
# - to let one program do the common work of many images once, and to keep many yes-or-no answers in one integer;
# - to find out whether the memory binds a kernel or the host that launches it;
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
# $z'_j$ for the $j$-th mask. The batch is
#
# $$\text{out}_{j, c, i} = \begin{cases} x_{c,i} & \text{if } z'_{j, s(i)} = 1 \\
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
# ## Many coins in one word
#
# A program that knows a pixel, its fill and its region could write that pixel of *every* image, if only it had the coins
# of the region. A coin is one byte of the masks, and a thousand masks are 20,000 to 40,000 bytes: they stay in the
# cache. So each program asks for the coins of its 16 images one by one, but keeps them as the bits of one integer, in a
# register. Then it never has to ask again, whichever channel it writes. By hand, for the region of the picture's centre:

# %%
centre = int(segments[112, 112])
coins = masks[: kernel.GROUP, centre].int().tolist()  # one byte each
word = sum(coin << bit for bit, coin in enumerate(coins))
claim("The bits are the coins", [(word >> bit) & 1 for bit in range(16)] == coins)
claim("A program writes 16 images", kernel.GROUP == 16)
claim("The masks stay in the cache", 20_000 <= masks.nbytes <= 40_000)

# %% [markdown]
# ## The kernel, line by line
#
# Triton {cite}`tillet2019triton` runs many copies of a kernel, *programs*. Here a program owns 512 pixels, all of their
# channels, and 16 images of the batch. (Where the batch has channels last, it owns 512 numbers as they lie in memory.)

# %%
pages.listing(kernel._compose, first="spot = ")

# %% [markdown]
# - `spot` are places in one image, in the order of memory; `inside` guards the end, as on the pages before. `LAST` and
#   `CHANNELS` are known when the kernel is compiled.
# - `segment` is looked up once. One that has no column in the masks is not `known`: its coins are those of segment 0,
#   so that nothing is read where nothing is, and its pixels become NaN in every image. On the CPU such a segment is an
#   error. Here the host would have to wait for the device to learn of it, and waiting costs more than the batch.
# - `first` is 64 bits wide: a batch of photographs may have more than $2^{31}$ entries. The last group may have fewer
#   images; the loops end where they do.
# - The first loop collects the coins. Its addresses depend on the picture; but neighbours mostly share a region, so
#   threads that load together mostly ask for the same byte.
# - `seen` and `hidden` are loaded once for 16 images. The second loop does nothing but choose and write, 16 bytes a
#   thread at a time.
#
# What remains is to launch it: once. Image, segments, masks and fill are taken as they lie; nothing is packed before.

# %%
pages.listing(kernel.fused)

# %% [markdown]
# ## The check
#
# Copies are exact, so the kernel must equal the definition to the last bit. 70 masks make four full groups and a rest.

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
pages.show_microseconds("superpixels")

# %% [markdown]
# **How to read this table.** It was taken with the kernel that stood here before, and the kernel is what it changed. That
# one took three quarters as long for 32 masks as for a thousand. No memory does that. The *host* did: it read the bounds of the segments back, and waited; it packed the masks in six launches; then it launched
# the kernel. The kernel of this page is one launch and no wait. By its count of bytes it should come near a fill, and at
# 32 masks near plain PyTorch. That has not been measured yet: `python benchmarks/gpu.py` does, and this cell then shows
# it. [What bounds a kernel](limits.ipynb) tells the story of all three tables.
#
# ## Where it loses
#
# Most of this list follows from counting; in the end the measured table of your machine decides.
#
# - **Beside the network.** A thousand photographs cost the smallest ImageNet networks some $10^{12}$ operations: many
#   milliseconds on the largest GPU, and twenty seconds on a laptop. Against that, 125 µs is nothing, and so is twice that.
# - **Beside the compiler.** `torch.compile` fuses the two steps into one and needs no mask in memory either. It looks up
#   one byte for each entry where the kernel looks one up for each pixel, and it reads the photograph for each image.
# - **Few masks.** With four masks a program loads as much as it writes, and the launch takes longer than either.
# - **Many regions.** If every pixel is a region of its own, the masks are as large as the batch, and no two threads ask
#   for the same byte.
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
# **Exercise 2** (10 minutes). A program could own 64 images instead of 16. What would it then load, and what would it
# write? What speaks against it?
#
# <details><summary>Hint 1: what to count</summary>
#
# Count for a batch of 1,000 bfloat16 photographs what one pixel costs a program: the segment (8 bytes), image and fill
# (three channels each), a coin an image, and what it writes.
#
# </details>
#
# <details><summary>Hint 2: what else changes</summary>
#
# A GPU is fast because many programs run at a time. How many programs make a thousand images, and how many make 32?
#
# </details>

# %% tags=["hide-cell"]
# Solution: the common loads are 20 bytes a pixel. Beside 16 images that is a fifth of
# what is written, beside 64 a twentieth; but they come from the cache. Against it: a
# quarter as many programs, for 32 masks fewer than an H200's 132 multiprocessors.
common = 8 + 2 * 3 * 2
pixels_of_one = -(-(224 * 224) // kernel.BLOCK)  # programs side by side in an image
share = {group: common / (group * 3 * 2) for group in (16, 64)}  # of what is written
programs = {group: -(-32 // group) * pixels_of_one for group in (16, 64)}
claim("A fifth and a twentieth", share[16] < 0.21 and share[64] < 0.06)
claim("64 images a program make too few", programs[64] < 132 < programs[16])

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? What bounds this kernel on a GPU?
# - Reading the photograph :: It is read once for 16 images, and from the cache.
# + Writing the batch :: Nothing else is as large, and nobody can avoid it.
# - The arithmetic of the masks :: A shift and a comparison for four bytes; the processor waits for memory.
# ? A kernel takes 440 µs for 32 images and 590 µs for a thousand. What bounds it at 32?
# - The memory :: Then it would take a thirtieth of the time for a thirtieth of the bytes.
# + The host :: What does not depend on the size is launches and waiting.
# - The masks' bytes :: There are a few thousand of them, and they stay in the cache.
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
# **Limitations.** See *Where it loses*. One image at a time, one fill for all masks. On a GPU a wrong segment is no error:
# it shows as NaN.
#
# **Software.** `torch.where` is all one needs for a few masks. The package lime composes in NumPy, one copy of the
# photograph for each sample {cite}`ribeiro2016why`; Captum masks with tensor products {cite}`kokhlikyan2020captum`.
#
# ## What to take away
#
# Ask what must move, and in which direction: this batch is only written. Work that many outputs share is done once, by
# the program that owns them all. And before you are proud of a kernel, divide its time by that of the whole: here the way
# to a faster explanation is fewer samples, as [the lecture on LIME](../40_interpretability/lime.ipynb) shows.
