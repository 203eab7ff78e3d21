# %% [markdown]
# # 7.1 Invisible marks in images
#
# A photographer sells a picture. A year later it hangs on somebody's page, a little smaller at the edges, saved again as a JPEG, without a name. "That is mine," says the photographer. "So say many," says the page's owner. This lecture puts a name into the
# pixels, where nobody sees it, and reads it again after the picture has been through a good deal. The reading is the easy half. The other half is to say how likely such a reading is in a picture that nobody has marked.
#
# **What you will learn**
#
# - to hide 32 bits in a picture under a secret key, and to read them after a JPEG, a crop and noise;
# - to give every detection a p-value that is exact for any picture, because the chance is in the key;
# - to recognise four wrong nulls: a search that is not counted, a message that was read first, a key that was chosen after looking, and an innocent buyer;
# - what removes such a mark (scaling, turning, regeneration), what forges it (one marked picture is enough), and what the mark therefore proves.
#
# **Before you start**: the [pipeline](../00_foundations/trust.ipynb), and what can be stolen from it; how little a change can be and still matter, in [lecture 2.1](../20_adversarial/linear_explanation.ipynb), and a test with a null distribution, in [lecture 6.6](../60_privacy/memory_and_forgetting.ipynb). The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 35 minutes to read; {{ cpu_seconds }} to run.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats
from torch import nn

from tml_helpers import watermark
from tml_helpers.claims import claim, seed
from tml_helpers.data import photos
from tml_helpers.measured import result
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import seed_everything

use_style()
torch.set_num_threads(1)
generator = seed_everything(seed())

# %% [markdown]
# ## The question: can you see it?
#
# The pictures are five photographs, with their [data card](../../book/data_cards/photos.md). The library hides a message of $n = 32$ bits in the first. What it needs is the message and a **key** $\kappa$, 32 secret bytes. On this page the key comes from the page's seed, so that the numbers can be
# checked; in earnest it comes from `secrets.token_bytes(32)` and is kept like a password.


# %%
def new_key():
    return bytes(torch.randint(256, (32,), generator=generator).tolist())


def new_message():
    return torch.randint(2, (32,), generator=generator).bool()


photographs = photos().images
cat = photographs[0]
key, message = new_key(), new_message()
marked = watermark.embed_image(cat, message, key=key, psnr=38)
found = watermark.detect_image(marked, key=key, message=message)
claim("All 32 bits are read", found.wrong_bits == 0)
claim("p-value under 1e-50", np.log10(found.p_value) < -50)

# %% tags=["hide-input", "fig-img-marked"] mystnb={"image": {"alt": "Three squares. The photograph of a cat; the same photograph with the mark, which looks the same; and the difference times 15, a fine irregular grey pattern that repeats itself every 64 pixels, darker and lighter than the middle grey."}}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.7))
difference = (0.5 + 15 * (marked - cat)).clamp(0, 1)
for axis, picture, title in zip(
    axes,
    (cat, marked, difference),
    ("before", "with 32 bits", "difference × 15"),
    strict=True,
):
    show_image(axis, picture, title)
plt.show()

# %% [markdown]
# *What 38 decibels look like.* The **peak signal-to-noise ratio** (PSNR) is $-10 \log_{10}$ of the mean squared change, for values between 0 and 1. At 38 dB the typical change of a pixel is $10^{-38/20} = 0.0126$, about three of 255 grey values.
#
# ## The idea: spread it over everything
#
# One changed pixel is lost with the first JPEG. So change all pixels a little, each bit everywhere. A bit gets a **carrier** $c_j$, a pattern that looks like noise and that the key draws. The bit is its sign, $b_j \in \{-1, 1\}$. The picture $x$ becomes
#
# $$\tilde x \ =\ x + \sum_{j=1}^{n} a_j\, b_j\, c_j .$$ (eq-img-embed)
#
# In words: add every pattern, the right way up for a one, upside down for a zero; $a_j > 0$ says how strongly. To read bit $j$, take what is left of a picture when its coarse structure is removed, call it $r$, and ask whether it leans towards the pattern or away from it:
#
# $$z_j = \frac{\langle c_j, r \rangle}{\lVert r \rVert}, \qquad \text{bit } j \text{ is 1 where } z_j > 0 .$$ (eq-img-read)
#
# This is **spread spectrum**, from radio, for pictures by Cox and others {cite}`cox1997secure`. A picture is large, and the patterns agree with it only by accident, with about as many pluses as minuses. They agree with the mark at every pixel.
#
# Here it is by hand. The patterns are tiles of 64×64 pixels, drawn by `watermark.normals`, and they are laid over the picture again and again, so that all tiles can be added up before they are read.


# %%
def by_hand_carriers(key):
    return watermark.normals(key, "lecture 7.1, by hand", 32, 64 * 64)


def by_hand_embed(image, message, key):
    signs = 2.0 * message - 1
    pattern = (signs.double() @ by_hand_carriers(key)).view(64, 64)
    mark = (pattern / pattern.std()).repeat(4, 4)[:224, :224]
    return (image + 10 ** (-38 / 20) * mark.float()).clamp(0, 1)


def by_hand_read(image, key):
    """The scores of all bits."""
    detail = (image - watermark.blur(image, sigma=2)).mean(0)[:192, :192]
    r = detail.view(3, 64, 3, 64).sum(dim=(0, 2)).flatten().double()
    return by_hand_carriers(key) @ r / r.norm()


def mean_margin(image):
    """How clearly the bits are read: score times sign, on average."""
    return float((by_hand_read(image, key) * (2.0 * message - 1)).mean())


# %%
by_hand = by_hand_embed(cat, message, key)
right = (by_hand_read(by_hand, key) > 0) == message
before = mean_margin(by_hand)
saved = mean_margin(watermark.jpeg(by_hand, quality=50))

# %% tags=["nbval-ignore-output"]
print(f"mean score times sign: {before:.1f}; after a JPEG of quality 50: {saved:.1f}")

# %%
claim("By hand, at least 30 of 32 bits are read", right.sum() >= 30)
claim("A JPEG takes over 40 % of the scores", saved < 0.6 * before)

# %% [markdown]
# It works until somebody saves the picture. A JPEG throws away what is fine, and most of a white pattern is fine. The waves of which carriers are made further below are coarser, and lose little.
#
# ## The null is over the key
#
# Suppose that a detector says: *score 5.3*. Is that much? One way to find out is to collect unmarked pictures and to look at their scores. But which pictures? A detector that was tried on cats says little about pages of a book.
#
# There is a better way, and it is the one idea of this chapter. **Leave the picture as it is, and let the chance be in the key.** Suppose the picture $r$ has nothing to do with the key. Then the $c_j$ in {eq}`eq-img-read` are standard normal numbers, drawn independently of $r$.
# A sum of independent normal numbers, weighted by $r_i / \lVert r \rVert$, is normal; the squares of the weights add up to one, so its variance is one. Hence
#
# $$z_j \sim \mathcal N(0, 1) \ \text{ exactly, whatever } r, \qquad t = \sum_{j=1}^n z_j^2 \sim \chi^2_n .$$ (eq-img-null)
#
# No photograph had to be collected, and none can be an exception. The sum of squares $t$ asks whether there is a mark of this key *at all*, whatever it says. The **p-value** $\pi$ is the probability that $t$ is as large or larger without a mark, and here it is a number from a table. Let us try 200 fresh keys on one unmarked picture, and the right key's score.


# %%
def by_hand_p(image, key):
    return stats.chi2.sf(float(by_hand_read(image, key).square().sum()), 32)


fresh = [new_key() for _ in range(200)]
by_hand_ps = [by_hand_p(cat, other) for other in fresh]
uniform = stats.kstest(by_hand_ps, "uniform").pvalue
claim("200 fresh keys: p-values as from a uniform law", uniform > 1e-4)
marked_p = by_hand_p(by_hand, key)
claim(
    "The right key on the marked picture: p under 1e-20",
    np.log10(marked_p + 1e-300) < -20,
)
wrong_key = np.median([by_hand_p(by_hand, other) for other in fresh])
claim("Fresh keys on the marked one: a median over 0.3", wrong_key > 0.3)

# %% [markdown]
# A p-value that is **uniform** without a mark is what makes the number mean something: who calls everything below 0.001 marked is wrong about one unmarked picture in a thousand. All detectors of this chapter are made in this way, and return a `watermark.Evidence`: `statistic`, `p_value`, and for counts, which have
# steps, `p_beyond`. Its `.randomized(generator=…)` draws a number between the two, which is uniform for counts as well; it is there to test detectors with.
#
# Where do the numbers come from? `watermark.stream(key, purpose, count)` is SHAKE-256, a hash function whose output can't be told from coins without the key. `watermark.uniforms`, `watermark.signs` and `watermark.normals` are made of it. They are the same on every machine, and a key that is used for two purposes gives
# independent numbers for them.
#
# ## A crop, and what a search costs
#
# Somebody cuts off the edges. Now a tile begins somewhere else, at one of $64 \cdot 64 = 4{,}096$ offsets, and nobody says where. So one more carrier, $c_0$, carries no bit. It is there to be searched for: take the offset at which its score is best. The **fast Fourier transform** computes all 4,096 scores at once.
#
# But the best of 4,096 is large in *every* picture. Below are the best scores of fresh keys on the unmarked cat, read as if they were normal.

# %%
unmarked = [watermark.detect_image(cat, key=other, message=message) for other in fresh]
best = np.array([evidence.search_score for evidence in unmarked])
naive = stats.norm.sf(best)
claim("Best scores: over 2.5 for 9 of 10 unmarked", np.mean(best > 2.5) > 0.9)
claim("read as normal: p under 0.05 for over 95 %", np.mean(naive < 0.05) > 0.95)

# %% [markdown]
# There are two honest ways out. One is to **count the search**: a p-value of the best of 4,096 is at most 4,096 times as large. This is safe, and a little pessimistic. The other costs nothing: **divide the key**. The search carrier finds the offset. The carriers of the bits are drawn independently of it and of the picture, and only
# they testify, at that one offset. For them it is one look, not 4,096.
#
# `watermark.detect_image` does the second. Its carriers are not white any more: they are made of waves between 0.06 and 0.28 cycles a pixel, which are too coarse for a JPEG to throw away and too fine to be seen easily. There are $d = 960$ dimensions of them in a tile. And they are **orthonormal**, so that bits don't disturb each other. Then
# {eq}`eq-img-null` has a slightly different table. With $r$ the picture's tile in these dimensions, after what $c_0$ finds has been taken out,
#
# $$t = \sum_{j=1}^n \frac{\langle c_j, r \rangle^2}{\lVert r \rVert^2} \ \sim\ \operatorname{Beta}\!\Big(\frac n2,\ \frac{d - 1 - n}2\Big) \ \text{ exactly, whatever } r .$$ (eq-img-beta)
#
# In words: $t$ is the share of the picture's fine detail that lies in the $n$ directions of the key, out of $d - 1$; in a random subspace it is about $n/(d-1)$. We check the law against 4,000 random directions, and the library's p-value against the law.

# %%
as_jpeg = watermark.detect_image(watermark.jpeg(marked, quality=50), key=key)
sign = 2.0 * message - 1
left = float((as_jpeg.margins * sign).sum() / (found.margins * sign).sum())
claim("A JPEG leaves over 80 % of these scores", left > 0.8)

# %%
d, n = 960, 32
# Turning the frame or turning r is the same: the first n of d − 1 coordinates
directions = torch.randn(4000, d - 1, generator=generator).square()
shares = (directions[:, :n].sum(1) / directions.sum(1)).numpy()
law = stats.beta(n / 2, (d - 1 - n) / 2)
drawn = stats.kstest(shares, law.cdf).pvalue
claim("4,000 random subspaces follow the law", drawn > 1e-4)

t = float(unmarked[0].margins.square().sum()) / (d - 1)
gap = law.sf(t) / unmarked[0].p_value - 1
claim("By hand and library: equal to 1e-6", abs(gap) < 1e-6)
ps = [evidence.p_value for evidence in unmarked]
claim("200 fresh keys: uniform", stats.kstest(ps, "uniform").pvalue > 1e-4)

# %% tags=["hide-input", "fig-img-null"] mystnb={"image": {"alt": "Left: a map of 64 by 64 search scores of the marked and cropped cat, even grey with one black dot. Middle: the same map of the unmarked cat, grey without a dot. Right: share of 200 fresh keys with a p-value below a level. On a logarithmic axis the library's curve lies on the dotted line of a uniform law. The best of 4,096 read as normal lies near ten to the minus 4 for every key, a message that was read first near ten to the minus 9."}}
crop_of_it = watermark.crop(marked, share=0.1, generator=generator)
figure, axes = plt.subplots(1, 3, figsize=(7, 2.9), width_ratios=(1, 1, 1.25))
for axis, image, title in (
    (axes[0], crop_of_it, "marked, cropped"),
    (axes[1], cat, "unmarked"),
):
    fine = (image - watermark.blur(image, sigma=2)).mean(0)[:192, :192]
    r = fine.view(3, 64, 3, 64).sum(dim=(0, 2)).numpy()
    shown = (marked - cat).mean(0)[64:128, 64:128].numpy()
    scores = np.fft.ifft2(np.fft.fft2(r) * np.fft.fft2(shown).conj()).real
    axis.imshow(scores / scores.std(), cmap="gray_r", vmin=-4, vmax=8)
    axis.set(title=title, xticks=[0, 32, 63], yticks=[0, 32, 63])
    axis.grid(False)
level = np.arange(1, 201) / 200
read_first = [
    watermark.signed_rank_evidence(evidence.margins.abs()).p_value
    for evidence in unmarked
]
for values, label, hue in (
    (naive, "best of 4,096", "orange"),
    (read_first, "read first", "pink"),
    (ps, "library", "blue"),
):
    axes[2].step(np.sort(values), level, color=COLOURS[hue], label=label, where="post")
axes[2].plot(level, level, ":", color=COLOURS["black"])
axes[2].set(title="200 fresh keys", xlabel="p-value", ylabel="share below")
axes[2].set(xscale="log", xlim=(1e-11, 1), xticks=(1e-9, 1e-6, 1e-3, 1))
axes[2].legend(loc="center left", frameon=True, framealpha=1, edgecolor="none")
plt.show()

# %% [markdown]
# *A search, and three p-values.* Left and middle: scores of the mark's pattern at all offsets, with and without the mark. Right: on an unmarked picture an honest p-value lies on the dotted line, where the share below a level is the level. The other two are small for every key; we come to "read first" below.
#
# ## What it survives
#
# Each bit should be read equally well, in this picture, by this detector. So the library embeds, reads, gives more weight $a_j$ to the bits that were read less well, and embeds again, four times. This is called **informed embedding**: whoever embeds knows what the picture itself says to the carriers. Then the whole is made as strong as the PSNR allows.
#
# The removal attacks of this chapter are functions from pictures to pictures: `watermark.jpeg`, `watermark.crop`, `watermark.add_noise`, `watermark.blur`, `watermark.resize`, `watermark.resize_and_back`, `watermark.rotate`. The JPEG is a real file, written and read by Pillow. The first test is the three common ones at once.


# %%
def all_three(image):
    image = watermark.crop(image, share=0.1, generator=generator)
    noisy = watermark.add_noise(image, sigma=0.05, generator=generator)
    return watermark.jpeg(noisy, quality=50)


owned = [(image, new_key(), new_message()) for image in photographs]
published = [watermark.embed_image(i, m, key=k) for i, k, m in owned]


def read_all(attack):
    """The evidence for each photograph, after an attack."""
    return [
        watermark.detect_image(attack(image), key=k, message=m)
        for image, (_, k, m) in zip(published, owned, strict=True)
    ]


# %%
after = read_all(all_three)
claim(
    "All three at once: at most 1 of 160 bits wrong",
    sum(e.wrong_bits for e in after) <= 1,
)
claim("p under 1e-20 each time", max(np.log10(e.p_value) for e in after) < -20)
noise_of = [
    -10 * (a - b).square().mean().log10()
    for a, (b, _, _) in zip(published, owned, strict=True)
]
claim("PSNR 38 or more", min(noise_of) >= 38)

# %% tags=["hide-input", "fig-img-attacked"] mystnb={"image": {"alt": "Four photographs after a crop, noise and a JPEG of quality 50: cat, astronaut, cup of coffee, rocket. They are grainy and show JPEG's blocks."}}
figure, axes = plt.subplots(1, 4, figsize=(7, 2.1))
for axis, image in zip(axes, published, strict=False):
    show_image(axis, all_three(image))
plt.show()

# %% [markdown]
# *After all three.* The damage can be seen, the mark could not. It is read all the same.
#
# Twenty keys, all five photographs, and more attacks take longer than a page should. The script `benchmarks/watermark_images.py` has run them, and its result file is committed.

# %%
measured = result("watermark_images")
table = measured["photographs"]["attacks"]

# %% tags=["nbval-ignore-output"]
print(f"{'':20} wrong bits of 3,200   images   largest p")
for name, row in table.items():
    bad, p = row["images_with_wrong_bits"], row["largest_p"]
    print(f"{name:20} {row['wrong_bits']:8} {bad:18} {p:11.0e}")

# %%
claim("All three: at most 3 of 3,200", table["all three"]["wrong_bits"] <= 3)
alone = ("nothing", "JPEG 50", "crop 10 %", "noise 0.05")
claim("Each alone: none", sum(table[name]["wrong_bits"] for name in alone) == 0)
others = measured["pictures"].values()
rate = sum(row["all three"]["wrong_bits"] for row in others)
rate /= sum(row["all three"]["bits"] for row in others)
claim("16 other pictures, grey, text, full size: under 1 in 1,000", rate < 1e-3)

# %% tags=["hide-input", "fig-img-attacks"] mystnb={"image": {"alt": "Horizontal bars, the median p-value of each attack as a power of ten. Nothing, crop, noise, blur, half size and back and all three lie between ten to the minus 80 and ten to the minus 180; JPEG 20 near ten to the minus 30. Resizing to 90 percent, rotation by 2 degrees, mirroring and regeneration have no bar: their p-values are ordinary."}}
figure, axis = plt.subplots(figsize=(6.4, 4.2))
names = list(table)[::-1]
depth = [-np.log10(table[name]["median_p"]) for name in names]
hues = [COLOURS["blue" if value > 6 else "orange"] for value in depth]
axis.barh(names, depth, color=hues)
for place, name in enumerate(names):
    share = table[name]["wrong_bits"] / table[name]["bits"]
    axis.text(
        depth[place] + 3, place, f"{100 * share:.1f} % of bits wrong", va="center"
    )
axis.set(xlabel=r"$-\log_{10}$ of the median p-value", xlim=(0, 240))
axis.grid(axis="y", visible=False)
plt.show()

# %% [markdown]
# *What is survived, and what is not.* A hundred marked images for each attack. With half of the bits wrong, nothing is read.
#
# How invisible may it be? The same result file has the three attacks over the PSNR, on 40 marked images each: at 42 dB every bit is still read, at 46 dB a third of the images have wrong bits.

# %%
curve = measured["qualities"]
claim("42 dB: at most 2 of 1,280 bits", curve["42"]["wrong_bits"] <= 2)
lost = curve["46"]["images_with_wrong_bits"] / curve["46"]["images"]
claim("46 dB: over a fifth of the images", lost > 0.2)

# %% [markdown]
# ## What removes it
#
# **Scaling and turning.** Scaling, a turn by two degrees and a mirror have one thing in common: the tiles are not where they were. After scaling to 90 % a tile has 58 pixels, and adding up every 64 adds up nothing. A turn by half a degree is borne, one by two degrees isn't. Nothing has been erased, though. Whoever scales back finds the mark. Exercise 1 does that, and
# counts what it tried.
#
# **Regeneration.** The serious one. Press the picture through a narrow network that has learnt what pictures look like, and take what comes out. It repaints the cat, and has no reason to repaint a pattern that it never needed. Zhao and others show that this works against every mark that changes pictures only a little, and how well {cite}`zhao2024invisible`. We train a small autoencoder for some
# seconds, on the four other photographs.


# %%
def regenerator(pictures, steps=300):
    """Four by four pixels in 16 numbers, and back."""
    down = nn.Conv2d(3, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()
    up = nn.Conv2d(16, 64, 3, 1, 1), nn.PixelShuffle(2), nn.ReLU()
    last = nn.Conv2d(16, 12, 3, 1, 1), nn.PixelShuffle(2)
    model = nn.Sequential(*down, nn.Conv2d(32, 16, 1), *up, *last)
    patches = pictures.unfold(2, 56, 56).unfold(3, 56, 56)
    patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 56, 56)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        chosen = torch.randint(len(patches), (12,), generator=generator)
        loss = (model(patches[chosen]) - patches[chosen]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.requires_grad_(False)


repaint = regenerator(photos(size=448).images[1:])
again = repaint(marked[None])[0].clamp(0, 1)
gone = watermark.detect_image(again, key=key, message=message)
kept = float(-10 * (again - cat).square().mean().log10())

# %% tags=["nbval-ignore-output"]
print(f"{gone.wrong_bits} of 32 bits wrong, p = {gone.p_value:.2f}, PSNR {kept:.1f} dB")

# %% tags=["hide-input", "fig-img-repainted"] mystnb={"image": {"alt": "Two photographs of the same cat. The second, repainted by the small autoencoder, is softer and has slightly wrong colours, but it is clearly the same picture."}}
figure, axes = plt.subplots(1, 2, figsize=(4.8, 2.6))
show_image(axes[0], marked, "marked")
show_image(axes[1], again, "repainted")
plt.show()

# %% [markdown]
# *The same cat, without its name.* This network is small and its picture is soft. A large one repaints so well that nobody sees it.

# %%
claim("p over 1e-15, where it was under 1e-50", np.log10(gone.p_value) > -15)
regenerated = table["regeneration"]
claim(
    "Over the 100 images of the result file: a median over 0.01",
    regenerated["median_p"] > 0.01,
)

# %% [markdown]
# ## What forges it
#
# The patterns are secret, but they are in every picture that was published. One who has marked pictures (and knows the method, as one must assume) folds their detail modulo 64 and averages: what the pictures have in common is the mark. With it the forger can do two things. **Remove**: subtract it. And **copy**: add it to another picture, one that the owner has never seen, or would
# rather not have made {cite}`kutter2000copy`.


# %%
def common_pattern(images):
    """What the fine detail of all tiles has in common."""
    fine = (images - watermark.blur(images, sigma=2)).mean(1).clamp(-0.05, 0.05)
    tiles = fine[:, :192, :192].unflatten(1, (3, 64)).unflatten(3, (3, 64))
    return tiles.mean(dim=(0, 1, 3))


def with_pattern(image, pattern):
    noise = (pattern - pattern.mean()) / pattern.std()
    return (image + 10 ** (-38 / 20) * noise.repeat(4, 4)[:224, :224]).clamp(0, 1)


one_key, one_message = new_key(), new_message()
series = watermark.embed_image(photographs, one_message, key=one_key)
stolen = common_pattern(series[1:])  # four pictures, the cat is not among them
forged = watermark.detect_image(with_pattern(cat, stolen), key=one_key)
single = common_pattern(series[1:2])
from_one = watermark.detect_image(with_pattern(cat, single), key=one_key)
stripped = watermark.detect_image(with_pattern(series[0], -stolen), key=one_key)

# %%
claim("Forged from four: p under 1e-20", np.log10(forged.p_value) < -20)
claim(
    "It says the message: at most 2 bits differ",
    (forged.message != one_message).sum() <= 2,
)
claim("From one picture: p under 1e-10", np.log10(from_one.p_value) < -10)
claim("Stripped: p over 1e-10", np.log10(stripped.p_value) > -10)

# %% [markdown]
# The p-value isn't wrong. It says: *this pattern is not here by chance*, and it is not. It does not say who put it there. One published picture suffices to put the mark into another.
#
# What helps is to make the key depend on the picture, or on its place in the owner's list: then what was learnt from one picture is another key's pattern in the next. The detector must then know which key to try, and trying many must be counted. Put the number of the picture into the message, and sign the list.
#
# ## Whose copy is it?
#
# The photographer sells the same picture to a thousand newspapers, each with another message. A copy turns up. Now there are *two* questions. Is there a mark of this key? And *whose* message is it? For the second the null is another one: the key **is** in the picture, so nothing about it is left to chance. What is left is the message. If it was drawn by lot for each newspaper, then an innocent's signs $b_j$
# are fair coins, whatever the picture says.
#
# So multiply each bit's score with the sign that the accused would have: the **margin** $b_j z_j$. Rank the margins by size, add the ranks of the positive ones. This is Wilcoxon's test, `watermark.signed_rank_evidence`, and exact for coins {cite}`wilcoxon1945individual`. In `detect_image` it is `of_message`. The sum of margins as a normal number, which was right over the key, accuses innocents:

# %%
innocents = [new_message() for _ in range(400)]
signs = torch.stack([2.0 * other - 1 for other in innocents]).double()
as_normal = stats.norm.sf((signs @ found.margins / 32**0.5).numpy())
fairly = [watermark.signed_rank_evidence(row * found.margins) for row in signs]
fair_ps = np.array([evidence.p_value for evidence in fairly])
claim("As a normal sum: over 20 % accused at 5 %", np.mean(as_normal < 0.05) > 0.2)
claim("By signed ranks: under 12 %", np.mean(fair_ps < 0.05) < 0.12)
claim("The one who leaked it: p under 1e-8", np.log10(found.of_message.p_value) < -8)

# %% [markdown]
# With $n$ bits the smallest p-value is $2^{-n}$, here $2 \cdot 10^{-10}$; a thousand newspapers make it a thousand times larger. That is enough. It would not be with 16 bits.
#
# **Collusion.** Three newspapers average their copies. Where their bits agree, the bit stays; where they differ, it is weakened towards the majority. Nobody can be sure to be missed, but the evidence for each becomes weaker, and codes against it are long: their length grows with the square of the number of colluders at least {cite}`tardos2008optimal`, and Boneh and Shaw were the first to give one {cite}`boneh1998collusion`.

# %%
buyers = torch.stack([new_message() for _ in range(3)])
copies = [watermark.embed_image(photographs[1], m, key=key) for m in buyers]
average = torch.stack(copies).mean(0)
joint = watermark.detect_image(average, key=key)
agreed = (buyers == buyers[0]).all(0)
claim("The mark is still there, p under 1e-20", np.log10(joint.p_value) < -20)
mistaken = (joint.message != buyers[0])[agreed].sum()
claim("Where all agree, at most one bit is wrong", mistaken <= 1)
differ = (joint.message != buyers).sum(1)
claim("Each copy differs from it in at least one bit", differ.min() >= 1)

# %% [markdown]
# ## A second owner
#
# Somebody takes the published picture and embeds a mark of their own. Both are found: the carriers of two keys are nearly orthogonal. Each owner now shows a p-value that nobody can doubt, and the picture does not say who was first.

# %%
thief_key, thief_message = new_key(), new_message()
twice = watermark.embed_image(marked, thief_message, key=thief_key)
first = watermark.detect_image(twice, key=key, message=message)
second = watermark.detect_image(twice, key=thief_key, message=thief_message)
claim("No more than one bit of the first is lost", first.wrong_bits <= 1)
both = max(np.log10(first.p_value), np.log10(second.p_value))
claim("Both: p under 1e-20", both < -20)

# %% [markdown]
# Craver and others called this the **deadlock**, and showed a worse form, in which the thief finds a mark in the *original* {cite}`craver1998resolving`. What breaks it is not in the pixels. The owner has a picture in which only the owner's own mark is found; the thief has not. Or the owner has published a hash of key and message with a date, before the picture was published. [Lecture 7.3](models.ipynb) comes back to such a
# **commitment**.

# %%
ThreatModel(
    goal="to use a picture without its mark, or to show a mark where none was set",
    knowledge="grey box",
    capability="has marked pictures, knows the method and not the key; may crop, "
    "compress, scale, turn, average and repaint",
    out_of_scope="a stolen key; a detector that anybody may ask as often as they like",
)

# %% [markdown]
# ## What goes wrong
#
# **The message was read first.** Read the bits of any picture, then ask for exactly these bits. All margins are positive, and the signed ranks are as large as they can be. It was the pink line in {fig}`img-null`. A detector that always returns bits, and most published ones do, invites this.

# %%
any_picture = watermark.detect_image(photographs[2], key=key)
asked = watermark.detect_image(photographs[2], key=key, message=any_picture.message)
claim("No mark (p over 1e-6)", np.log10(asked.p_value) > -6)
claim("p under 1e-8 for the bits just read", np.log10(asked.of_message.p_value) < -8)

# %% [markdown]
# **The key was chosen after looking.** Out of 200 keys the best has a p-value near 1/200, on a picture that carries nothing. Exercise 2.
#
# **The picture has no room.** Black pixels cannot become darker. The library reads its own mark after embedding, and where bits are missing it says so, by `watermark.UnreadableMarkWarning`. A picture of less than 64×64 pixels is refused; a detector accepts any size, since {eq}`eq-img-beta` holds for any, and finds nothing in what is flat.
#
# **Many pictures, one key.** The p-values of ten pictures under one key are not independent, because the carriers are the same; if the pictures are alike, ten small accidents are one accident. Don't multiply them.
#
# ## Evaluate honestly
#
# The library's claim is: uniform, for every picture. That can be tested by anyone who can draw keys. As code, for any detector that returns an `Evidence`:


# %%
def false_alarms(detector, images, draws, level=0.05):
    """How often fresh keys find something, and how uniform they are."""
    values = []
    for step in range(draws):
        evidence = detector(images[step % len(images)], key=new_key())
        values.append(evidence.randomized(generator=generator))
    rate = np.mean(np.array(values) <= level)
    return rate, stats.kstest(values, "uniform").pvalue


rate, uniform = false_alarms(watermark.detect_image, series, draws=200)
claim("Marked by another key: under 15 % below 0.05", rate < 0.15)
claim("and uniform", uniform > 1e-4)
nulls = measured["nulls"]
small = [nulls[kind]["presence"]["below"]["0.01"] for kind in list(nulls)[:4]]
claim("1,000 keys on 4 kinds of pictures: under 2.5 % below 0.01", max(small) < 0.025)

# %% tags=["nbval-ignore-output"]
print(f"{'fresh keys on':20}  p ≤ 0.05    ≤ 0.01  uniform?")
for kind, columns in nulls.items():
    for name, row in columns.items():
        low, lower = row["below"]["0.05"], row["below"]["0.01"]
        print(f"{kind:20} {low:9.1%} {lower:9.1%} {row['ks_p']:8.0e}  {name}")

# %% [markdown]
# And for the mark: say the PSNR, the attacks *with their strength*, the number of bits, keys and pictures, and which pictures you left out. A mark that was tried on photographs may fail on a page of text. A mark that survives ten attacks has not survived the eleventh.
#
# ### The lawyer's question: what would it prove?
#
# | what was found | what it shows | what it does not show |
# |---|---|---|
# | a small `p_value` under a key that was committed to | the pattern of this key is in this picture | who put it there, and whether it was copied from another picture |
# | `of_message` of one buyer, small after counting the buyers | this copy descends from that buyer's copy | that the buyer leaked it: it may have been stolen there |
# | the marks of two owners | both had the picture in their hands | who was first |
# | no mark | nothing | that the picture is not the owner's, or that no machine made it |
#
# ## Practice
#
# **Exercise 1** (20 minutes). *Undo the scaling.* `smaller` is the marked cat at 90 %. Try all factors from 0.80 to 1.20 in steps of 0.01: scale back, detect, and keep the smallest p-value. By how much must you multiply it? Is the mark found?
#
# <details><summary>Hint 1: the function</summary>
#
# `watermark.resize(smaller, factor=1 / factor)`.
#
# </details>
#
# <details><summary>Hint 2: the count</summary>
#
# The smallest of 41 p-values is at most $\pi$ with a probability of at most $41\, \pi$, however they depend on each other.
#
# </details>

# %% tags=["hide-cell"]
# Solution: at 0.90 the mark is back. The 41 looks cost a factor of 41: nothing here.
smaller = watermark.resize(marked, factor=0.9)
factors = np.arange(80, 121) / 100
looks = [
    watermark.detect_image(watermark.resize(smaller, factor=1 / f), key=key).p_value
    for f in factors
]
as_it_is = watermark.detect_image(smaller, key=key).p_value
claim("As it is: p over 1e-6", np.log10(as_it_is) > -6)
claim("Scaled back: 41 p under 1e-20", np.log10(41 * min(looks)) < -20)
best_factor = factors[np.argmin(looks)]
claim("The best factor is within 0.01 of 0.9", abs(best_factor - 0.9) < 0.015)

# %% [markdown]
# **Exercise 2** (15 minutes). *The forger with many keys.* `ps` holds the p-values of 200 keys on the unmarked cat. A forger shows the best of them, and says that it was the only one. What p-value is shown, and what would be honest? How many keys does it take to show $10^{-6}$? What must the judge ask for?
#
# <details><summary>Hint: the smallest of many uniform numbers</summary>
#
# It is below $\pi$ with probability $1 - (1 - \pi)^{200}$.
#
# </details>

# %% tags=["hide-cell"]
# Solution: near 1/200 is shown; the honest value is 1 − (1 − p)²⁰⁰, an ordinary number.
# A million keys take hours, not years. The judge must ask for a hash
# of the key that was published before the picture: then there is only one key.
shown = min(ps)
honest = 1 - (1 - shown) ** len(ps)
claim("Shown: under 0.05", shown < 0.05)
claim("Honest: over 1e-4", honest > 1e-4)

# %% [markdown]
# **Exercise 3** (20 minutes). *How much can be hidden?* Embed 8, 32 and 128 bits in the cat at 38 dB, apply `all_three`, and look at the smallest margin and at the p-value of presence. What does each further bit cost?
#
# <details><summary>Hint: what is divided</summary>
#
# The PSNR fixes the sum of all $a_j^2$.
#
# </details>

# %% tags=["hide-cell"]
# Solution: with n bits each has 1/n of the power, so its margin falls as 1/√n.
# Presence adds all of them up, and hardly notices.
least = {}
for bits in (8, 128):
    long = torch.randint(2, (bits,), generator=generator)
    tried = all_three(watermark.embed_image(cat, long, key=key))
    evidence = watermark.detect_image(tried, key=key, message=long)
    least[bits] = (evidence.margins * (2 * long - 1)).mean()
    claim(f"{bits} bits: p under 1e-20", np.log10(evidence.p_value) < -20)
claim("8 bits: margins over twice as large", least[8] > 2 * least[128])

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A detector reports 32 bits from a picture, and the bits are the owner's name in a code of 2³² words. The owner had looked for this name. What is the p-value?
# - It cannot be known without unmarked pictures :: The key, or the message, was drawn by lot; that gives the law.
# + At most about 2⁻³², if it was one look at one picture :: And times the number of pictures and keys that were tried.
# - 1/2, since every bit is right with probability 1/2 :: All 32 at once are right with probability 2⁻³².
# ? A colleague tests a detector on 10,000 unmarked photographs with one key, and finds 90 below 0.01. What is shown?
# - The p-values are right for this key and for all pictures :: Text pages may behave otherwise, and one key is one draw.
# + That this key is not alarmed too often by these photographs :: The law over the key is another statement: fresh keys, any picture.
# - Nothing, since photographs are not independent :: A share is a share; only its margin of error is unclear.
# ? A marked picture is found on a page of insults. The mark is the owner's, p = 10⁻⁴⁰. Did the owner make it?
# - Yes, such a p-value cannot be an accident :: It is no accident. It may be a copy of the mark.
# + That is not shown :: Whoever has one marked picture can put its pattern into another.
# - No, a mark never shows anything :: It shows that the pattern of this key is there.
# ? Why does the search over 4,096 offsets cost nothing in `detect_image`?
# - It is corrected by a factor of 4,096 :: That would be honest, too, but it is not what is done.
# + What searches does not testify :: The bits' carriers are independent of the search carrier, so they are looked at once.
# - The Fourier transform looks at all offsets at once :: It saves time. The best of 4,096 is large whatever computes it.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** The law is exact, for any picture, of any size, without one unmarked example. Nothing was trained, so nothing was overfitted. 32 bits survive what happens to a picture on its way through the web, at a change that nobody sees.
#
# **Limitations.** Geometry is searched only as far as shifts go. Regeneration removes the mark. Whoever has one marked picture can copy it, and who holds the key can forge anything: detector and forger need the same secret, so the detector can't be given away. PSNR isn't visibility; on a flat sky 38 dB may be seen.
#
# **Software.** Networks that are trained to hide and to read, from HiDDeN {cite}`zhu2018hidden` to today's, can learn to bear turns and scaling, and have to be tested for false alarms, since their null isn't known. [TrustMark](https://github.com/adobe/trustmark) is such a one, [invisible-watermark](https://github.com/ShieldMnt/invisible-watermark) and [blind_watermark](https://github.com/guofei9987/blind_watermark) work with wavelets
# and cosines. The latter two return bits for every picture, marked or not, so bring your own p-value. In this library: `watermark.embed_image`, `watermark.detect_image`, which returns a `watermark.ImageEvidence`, and the attacks.
#
# ## What to take away
#
# Spread a message over all pixels, and each of them need change only a little. Let the chance be in the key, and the p-value is exact, whatever the picture. Count what was searched, or divide the key so that nothing need be counted. Ask two questions with two nulls: is there a mark (over the key), and whose is it (over the message)? And remember what a tiny p-value does not say: who put it there.
#
# Next: a mark that is not read from the picture, but from the model that was trained on it, [lecture 7.2](radioactive_data.ipynb).
