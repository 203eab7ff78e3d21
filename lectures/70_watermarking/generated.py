# %% [markdown]
# # 7.4 Marks in what is generated
#
# A language model has written a letter, and a generator has painted a picture. Neither carries a stamp. Can the maker see afterwards that it was theirs, can a stranger be fooled into believing so, and whose is the thing in the first place? The first question is statistics, and this lecture
# answers it with a p-value. The second is security. The third is law, and there the lecture says what a p-value cannot do.
#
# **What you will learn**
#
# - to mark a text while it is written, by a list of words that a key makes green, and to weigh what that costs;
# - to find the mark with an exact p-value, and to see the usual count go wrong;
# - to remove the mark and, worse, to forge it;
# - to teach a generator to sign each picture that it makes;
# - to tell apart four questions that are easily mixed: who made it, who may use it, where it comes from, and whether it is true.
#
# **Before you start**: [invisible marks](images.ipynb), for keys and p-values, and [marks in models](models.ipynb). The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 45 minutes to read; {{ cpu_seconds }} to run.

# %%
import hashlib
import math
import re
from collections import Counter
from copy import deepcopy
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import watermark
from tml_helpers.claims import claim, seed
from tml_helpers.data import docstrings, mnist
from tml_helpers.measured import result
from tml_helpers.models import SmallCNN, mnist_gan
from tml_helpers.plotting import COLOURS, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question: did our model make this?
#
# The marks of this chapter sit in three places. In [7.2](radioactive_data.ipynb) they are in the data, and whoever trains on the data carries them on. In [7.3](models.ipynb) they are in the model, and whoever steals it has them too. Here they are in what the model makes. They travel with a sentence or
# a picture, without the model, to people who have never seen it.

# %% tags=["hide-input", "fig-made-places"] mystnb={"image": {"alt": "Three boxes in a row, joined by arrows: data, model, what it makes. Under each stands the lecture that marks it: 7.1 and 7.2 under data, 7.3 under model, 7.4 under what it makes. The last box is filled."}}
figure, axis = plt.subplots(figsize=(7, 1.7))
places = (
    ("data", "marked in 7.1, 7.2"),
    ("model", "marked in 7.3"),
    ("what it makes", "marked in 7.4"),
)
for place, (name, lecture) in enumerate(places):
    hue = COLOURS["blue" if place == 2 else "black"]
    frame = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": hue}
    frame["linewidth"] = 2.5 if place == 2 else 1
    axis.text(place, 0.2, name, ha="center", va="center", color=hue, bbox=frame)
    axis.text(place, -0.75, lecture, ha="center", va="center")
    if place:
        axis.annotate(
            "",
            (place - 0.36, 0.2),
            (place - 0.7, 0.2),
            arrowprops={"arrowstyle": "->", "color": COLOURS["black"], "lw": 1.5},
        )
axis.set(xlim=(-0.5, 2.5), ylim=(-1.1, 0.9), xticks=[], yticks=[])
axis.set_frame_on(False)
plt.show()

# %% [markdown]
# *Three places for a mark.* Each proves something else: that somebody used the data, that a model is a copy, or that a thing came out of a model.
#
# ## Text: green words
#
# A text has no pixels in which a faint pattern could hide. But it has choices. At most places several words would do, and nobody can say afterwards why the writer took this one. Kirchenbauer and others put the mark into these choices {cite}`kirchenbauer2023watermark`.

# %%
ThreatModel(
    goal="to pass off generated text as one's own, or one's own text as generated",
    knowledge="black box",
    capability="rewrites, mixes and shortens texts; gets other texts of the marked "
    "model; does not know the key",
    out_of_scope="the model's weights, and the detector's answers",
)

# %% [markdown]
# We need a writer. It is a small recurrent network, as in [6.6](../60_privacy/memory_and_forgetting.ipynb), trained for some seconds on `docstrings()`, the documentation of five packages ([card](../../book/data_cards/docstrings.md)). It knows the $V = 1{,}000$ most frequent words; the others are left out. Nobody will
# enjoy its prose. But it makes choices, and that is what the mark needs.

# %%
V, WIDTH, STEPS = 1000, 64, 300
rows = {
    part: [re.findall("[a-z]+", text.lower()) for text in docstrings(part).texts]
    for part in ("train", "test")
}
counts = Counter(word for row in rows["train"] for word in row)
known = [word for word, _ in counts.most_common(V)]
code = {word: number for number, word in enumerate(known)}
text = {
    part: torch.tensor([code[word] for row in found for word in row if word in code])
    for part, found in rows.items()
}


def pieces(part, count, length):
    """Runs of words from anywhere in the documentation, `[count, length]`."""
    starts = torch.randint(len(text[part]) - length, (count, 1), generator=generator)
    return text[part][starts + torch.arange(length)]


# %%
class Writer(nn.Module):
    """Words `[N, T]` to logits of each next word `[N, T, V]`."""

    def __init__(self):
        super().__init__()
        self.word = nn.Embedding(V, WIDTH)
        self.memory = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.out = nn.Linear(WIDTH, V)

    def forward(self, words):
        return self.out(self.memory(self.word(words))[0])


# %%
writer = Writer()
optimizer = torch.optim.Adam(writer.parameters(), lr=1e-2)
slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.05, STEPS)
for _ in range(STEPS):
    batch = pieces("train", 32, 25)
    optimizer.zero_grad()
    logits = writer(batch[:, :-1]).flatten(0, 1)
    F.cross_entropy(logits, batch[:, 1:].flatten()).backward()
    nn.utils.clip_grad_norm_(writer.parameters(), 1.0)
    optimizer.step()
    slower.step()


# %%
@torch.no_grad()
def surprise(beginnings, texts):
    """−log p of the texts' words, in nats, a mean over the words of each `[N]`."""
    whole = torch.cat([beginnings, texts], dim=1)
    logits = writer(whole[:, :-1])[:, beginnings.shape[1] - 1 :]
    return F.cross_entropy(logits.transpose(1, 2), texts, reduction="none").mean(1)


unseen = pieces("test", 200, 50)
perplexity = float(surprise(unseen[:, :1], unseen[:, 1:]).mean().exp())
claim("On unseen documentation its perplexity is below 250", perplexity < 250)

# %% [markdown]
# **Perplexity** is $e$ to the mean of $-\log p$ over the words: the number of equally likely words among which the writer might as well have drawn. Knowing nothing it would be $V = 1{,}000$.
#
# ### The mark
#
# Before each word, look at the word before it, $a$. The key $\kappa$ and $a$ together choose a share $\gamma$ of the vocabulary, the **green list** $G_\kappa(a)$. The writer then adds $\delta$ to the logits of the green words, and draws as usual:
#
# $$p_\kappa(w) = \frac{e^{z_w + \delta\, \mathbb 1[w \in G_\kappa(a)]}}{\sum_{w'} e^{z_{w'} + \delta\, \mathbb 1[w' \in G_\kappa(a)]}}$$ (eq-made-green)
#
# In words: the odds of a green word are multiplied by $e^\delta$. With $\delta = 2$ that is 7.4. Where one word is nearly certain it is written whatever its colour, for 7.4 times next to nothing is little. Where many would do, most of the words written are green. Here it is by hand, for one place.

# %%
key = bytes(torch.randint(256, (32,), generator=generator).tolist())
gamma, delta = 0.5, 2.0


def greens_by_hand(a):
    """The half of the words to which the key gives the smallest numbers after a."""
    numbers = watermark.uniforms(key, f"text green after {a}", V)
    return numbers <= numbers.kthvalue(round(gamma * V)).values


beginning = torch.tensor([code[word] for word in ("the", "number", "of")])
green = greens_by_hand(code["of"])
with torch.no_grad():
    plain = writer(beginning[None])[0, -1].double()
marked = (plain + delta * green).softmax(0)
plain = plain.softmax(0)

# %%
library = watermark.green_list(code["of"], key=key, vocabulary=V, gamma=gamma)
claim("By hand and by the library the same 500 words are green", green.equal(library))
odds = [float(p[green].sum() / p[~green].sum()) for p in (plain, marked)]
claim("Their odds grow by e²", abs(odds[1] / odds[0] / math.exp(2) - 1) < 1e-9)

# %% [markdown]
# The key of this page comes from its seed, so that the page can be repeated. In earnest it is `secrets.token_bytes(32)`, and is kept where passwords are kept.
#
# `watermark.text_watermark` writes whole texts so. It takes any model that turns words `[N, T]` into logits `[N, T, V]`. We let it write 60 texts of a hundred words with the mark, and 60 without ($\delta = 0$).

# %%
prompts = pieces("test", 60, 8)  # the beginnings of 60 texts
marked, plain = (
    watermark.text_watermark(
        writer, prompts, key=key, delta=number, generator=generator
    )
    for number in (delta, 0.0)
)

# %% tags=["nbval-ignore-output"]
for name, one in (("marked", marked[0]), ("plain", plain[0])):
    print(name + ":", " ".join(known[word] for word in one[:30].tolist()), "…")

# %% [markdown]
# ### The test
#
# Somebody brings a text. Count its pairs of neighbouring words, each *different* pair once: there are $T$. Of these, $s$ have a second word that is green after the first. Without a mark about $\gamma T$ are green by luck, and Kirchenbauer and others judge by the standard score
#
# $$Z = \frac{s - \gamma T}{\sqrt{T\, \gamma\, (1 - \gamma)}} .$$ (eq-made-z)
#
# They call a text marked where $Z > 4$, with a normal tail of $3 \cdot 10^{-5}$. That is an approximation, and it can be avoided. **The null is over the key.** Take the text as it is, whoever wrote it, and draw a key that had no part in it. After a word $a$ that is followed in this text by $k_a$ different words, how many of
# them are green? The key makes $\gamma V$ of the $V$ words green, each set of them as likely as any other. So the count is that of white balls in an urn, which is the hypergeometric distribution; and for different words $a$ the lists are independent:
#
# $$s = \sum_{a} s_a, \qquad s_a \sim \text{Hypergeometric}(V, \gamma V, k_a) \ \text{ independent}, \qquad \textstyle\sum_a k_a = T .$$ (eq-made-null)
#
# The sum's distribution is found by folding a few dozen short lists of probabilities. No text without a mark had to be collected, in no language, and nothing was assumed about how people write. `watermark.detect_text` does it:


# %%
def count_by_hand(one):
    """The different pairs of neighbours, and how many of them are green."""
    pairs = set(pairwise(one.tolist()))
    return sum(bool(greens_by_hand(a)[b]) for a, b in pairs), len(pairs)


first = watermark.detect_text(marked[0], key=key, vocabulary=V)
counted = first.greens, first.bigrams
claim(
    "By hand and by the library: the same counts", count_by_hand(marked[0]) == counted
)
T, s = first.bigrams, first.greens
by_hand = (s - gamma * T) / math.sqrt(T * gamma * (1 - gamma))
claim("and the same Z", abs(by_hand - first.z) < 1e-9)


# %%
def evidence(texts, key=key):
    return [watermark.detect_text(one, key=key, vocabulary=V) for one in texts]


z = {
    "with the mark": np.array([one.z for one in evidence(marked)]),
    "without": np.array([one.z for one in evidence(plain)]),
}

# %% tags=["hide-input", "fig-made-words"] mystnb={"image": {"alt": "Two blocks of thirty words each. In the upper one, written with the mark, most words are bold, green and underlined. In the lower one, written without, about half are; the others are plain black."}}
figure, axes = plt.subplots(2, 1, figsize=(7, 3.0))
for axis, (title, words) in zip(
    axes, (("with the mark", marked[0]), ("without", plain[0])), strict=True
):
    for place in range(30):
        a, b = int(words[place]), int(words[place + 1])
        is_green = bool(greens_by_hand(a)[b])
        x_at, y_at = place % 6, place // 6
        style = {"color": COLOURS["green"], "weight": "bold"} if is_green else {}
        axis.text(x_at, y_at, known[b], ha="center", va="center", fontsize=9, **style)
        if is_green:
            axis.plot(
                [x_at - 0.3, x_at + 0.3], [y_at + 0.38] * 2, color=COLOURS["green"]
            )
    axis.set(xlim=(-0.6, 5.6), ylim=(4.7, -0.6), xticks=[], yticks=[], title=title)
    axis.set_frame_on(False)
plt.show()

# %% [markdown]
# *The same writer, with and without.* Bold and underlined are the words that are green after the word before them. To a reader without the key the two look alike.

# %% tags=["hide-input", "fig-made-z"] mystnb={"image": {"alt": "Two stepped histograms of Z. Texts without the mark lie between minus 3 and 3, around 0, along a normal curve. Texts with the mark lie between about 5 and 9, all to the right of a line at 4."}}
figure, axis = plt.subplots(figsize=(6, 2.9))
bins = np.arange(-4, 10.5, 0.75)
for (name, values), hue in zip(z.items(), ("blue", "orange"), strict=True):
    axis.hist(values, bins, histtype="step", color=COLOURS[hue], label=name, lw=1.8)
grid = np.linspace(-4, 4.5, 100)
bell = 60 * 0.75 * stats.norm.pdf(grid)
axis.plot(grid, bell, ":", color=COLOURS["black"], label="standard normal")
axis.axvline(4, lw=0.8, color=COLOURS["black"])
axis.set(xlabel="Z", ylabel="texts of 60")
figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# *A hundred words are enough.* Every marked text lies far beyond 4, and those without a mark lie where chance puts them.

# %%
claim("Of 60 marked texts at least 58 have Z > 4", (z["with the mark"] > 4).sum() >= 58)
claim("their mean is over 6", z["with the mark"].mean() > 6)
claim("Without the mark, none has Z > 4.5", (z["without"] < 4.5).all())
cost = float((surprise(prompts, marked) - surprise(prompts, plain)).mean().exp())
claim("Perplexity grows at most 1.35 times on these few texts", cost < 1.35)

# %% [markdown]
# Sixty texts are few to measure a price. The script `benchmarks/watermark_generated.py` wrote 300 for each strength, under ten keys; its result file is the source of the next picture and of most curves below.

# %%
measured = result("watermark_generated")
usual = measured["setting 0.5 2.0"]
claim("300 texts of 100 words: Z > 4 in at least 99 %", usual["above_4"] >= 0.99)
claim("at a perplexity of at most 1.15 times", usual["perplexity_ratio"] <= 1.15)

# %% tags=["hide-input", "fig-made-price"] mystnb={"image": {"alt": "Mean Z over the perplexity, as a ratio to text without a mark, for strengths delta from 1 to 3. For gamma one quarter it rises from 4.7 at a ratio of 1.04 to 13.5 at 1.33, for gamma one half from 4.1 at 1.02 to 8.7 at 1.16. Up to 1.1 the two lines are close."}}
figure, axis = plt.subplots(figsize=(6, 3.2))
for share, hue, style in ((0.25, "blue", "o-"), (0.5, "orange", "s--")):
    kept = [
        row
        for name, row in measured.items()
        if name.startswith(f"setting {share} ") and row["delta"] > 0
    ]
    ratio = [row["perplexity_ratio"] for row in kept]
    mean_z = [row["z_mean"] for row in kept]
    axis.plot(ratio, mean_z, style, color=COLOURS[hue], label=rf"$\gamma = {share}$")
    for row in kept:
        axis.annotate(
            rf"$\delta={row['delta']:g}$",
            (row["perplexity_ratio"], row["z_mean"]),
            xytext=(-34, 4) if share == 0.25 else (6, -10),
            textcoords="offset points",
        )
axis.axhline(4, lw=0.8, color=COLOURS["black"])
axis.set(
    xlabel="perplexity, times that without a mark", ylabel="mean Z", ylim=(2.5, 14.5)
)
axis.legend(loc="upper left")
plt.show()

# %% [markdown]
# *What the mark costs.* Each point is 300 texts of 100 words. Perplexity is that of the writer without the mark: how surprised it would be at the text. It is a price in likelihood, not in sense; whether readers notice is another experiment, which needs readers.
#
# ### Is the p-value true?
#
# A p-value makes one promise: where there is no mark, it falls below $\alpha$ with a probability of at most $\alpha$. A count has steps, so that it can only be *at most*; `randomized` draws within the step, and must be uniform exactly. We try it on the hardest kind of text, one by one with fresh keys: real documentation, and marked
# texts with a wrong key.


# %%
def fresh_key():
    return bytes(torch.randint(256, (32,), generator=generator).tolist())


def uniformity(texts):
    """Kolmogorov and Smirnov's p-value of "these p-values are uniform"."""
    read = [watermark.detect_text(one, key=fresh_key(), vocabulary=V) for one in texts]
    values = [one.randomized(generator=generator) for one in read]
    return stats.kstest(values, "uniform").pvalue


documentation = pieces("test", 200, 50)
claim("Real documentation, fresh keys: uniform", uniformity(documentation) > 1e-6)
others = marked.repeat(4, 1)[:200, :50]
claim("Marked texts, wrong keys: uniform as well", uniformity(others) > 1e-6)
checked = measured["null documentation"]
claim("500 keys: p < 0.01 at most 2 % of the time", checked["below"]["0.01"] <= 0.02)

# %% [markdown]
# ### The null that goes wrong
#
# Why "each different pair once"? Because the same pair has the same colour, whenever it occurs. A text that says *number of samples* ten times throws one coin and reports ten heads. The extreme case can be worked out in full: four words, said over and over.

# %%
chorus = torch.tensor([code[word] for word in ("the", "number", "of", "samples")])
chorus = chorus.repeat(25)  # a hundred words, and four different pairs


def with_repeats(one, key):
    """Z as if each of the pairs were a fresh coin."""
    lists = {
        a: watermark.green_list(a, key=key, vocabulary=V) for a in set(one.tolist())
    }
    neighbours = list(pairwise(one.tolist()))
    hits, pairs = sum(bool(lists[a][b]) for a, b in neighbours), len(neighbours)
    return (hits - gamma * pairs) / math.sqrt(pairs * gamma * (1 - gamma))


keys = [fresh_key() for _ in range(300)]
accused = np.mean([with_repeats(chorus, one) > 4 for one in keys])
rightly = [watermark.detect_text(chorus, key=one, vocabulary=V) for one in keys]

# %%
exact = stats.binom.sf(2, 4, gamma)  # three of four coins are enough
claim("Three of four green gives Z > 4: 5 of 16 keys", abs(exact - 5 / 16) < 1e-9)
claim("Tried: between 18 and 45 %", 0.18 < accused < 0.45)
claim("Different pairs only: no p below 1/16", min(e.p_value for e in rightly) > 1 / 17)

# %% [markdown]
# Nearly one key in three accuses an innocent text, with a "probability" of $3 \cdot 10^{-5}$. Real texts repeat themselves less. But they do: if of $N$ pairs the pair $i$ makes up $N_i$, the variance of Z is $\sum_i N_i^2 / N$ and not 1. It grows with the length, so that the usual remedy, "take a longer text", makes it worse. And it is large where a generator goes in circles, as it does
# at a low temperature. All texts in this table are without a mark, each is tested with a fresh key, and they come from the result file.

# %% tags=["nbval-ignore-output"]
loops = measured["null at temperature 0.1"]
long = [measured[f"long {words}"] for words in (100, 1000, 5000)]
print(f"{'unmarked text':32} sd of Z, Z > 4: all pairs   different pairs")
for name, row in zip(
    (
        "documentation, 100 words",
        "documentation, 1,000 words",
        "documentation, 5,000 words",
        "generated, temperature 0.1",
    ),
    (*long, loops),
    strict=True,
):
    print(
        f"{name:32} {row['with_repeats_deviation']:7.2f}",
        f"{row['with_repeats_above_4']:7.1%}        ",
        f"{row['z_deviation']:8.2f} {row['above_4']:7.1%}",
    )

# %%
claim("Circles: all pairs accuse over 7 %", loops["with_repeats_above_4"] > 0.07)
wide = [row["with_repeats_deviation"] for row in (*long, loops)]
claim("Their Z spreads twice as wide as it should", wide[-1] > 2 and wide[-2] > 2)
claim(
    "Different pairs accuse nobody", max(row["above_4"] for row in (*long, loops)) == 0
)

# %% [markdown]
# The authors' detector has an option to count each pair once, and its author says in [issue 20](https://github.com/jwkirchenbauer/lm-watermarking/issues/20) that it (or a correction) is needed for the error rates to hold. Fernandez and others measured how far the usual tests are off on large corpora, and give the same remedy {cite}`fernandez2023three`.
#
# ### Where no mark can be
#
# A mark lives on choice. Lower the temperature, and the writer chooses less.

# %% tags=["hide-input", "fig-made-weak"] mystnb={"image": {"alt": "Two panels. Left: mean Z over temperature from 0.1 to 1, with the smallest Z of 100 texts below it; both fall as the temperature falls. Right: mean Z over the share of words that were rewritten, from 0 to 1; it falls from about 7 to 0 along a dotted parabola, and crosses 4 where about a quarter of the words were rewritten."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.0), sharey=True)
cool = [measured[f"temperature {degrees}"] for degrees in (1.0, 0.7, 0.5, 0.3, 0.1)]
at = [row["temperature"] for row in cool]
axes[0].plot(at, [row["z_mean"] for row in cool], "o-", color=COLOURS["blue"])
axes[0].plot(at, [row["z_min"] for row in cool], "s--", color=COLOURS["orange"])
axes[0].set(xlabel="temperature", ylabel="Z")
axes[0].legend(["mean", "smallest"], loc="lower right")
edited = [row for name, row in measured.items() if name.startswith("rewritten")]
at = np.array([row["share"] for row in edited])
axes[1].plot(at, [row["z_mean"] for row in edited], "o-", color=COLOURS["blue"])
axes[1].plot(at, edited[0]["z_mean"] * (1 - at) ** 2, ":", color=COLOURS["black"])
axes[1].set(xlabel="share of words rewritten")
axes[1].legend(["mean", r"$(1 - r)^2$ of the first"], loc="upper right")
for axis in axes:
    axis.axhline(4, lw=0.8, color=COLOURS["black"])
plt.show()

# %% [markdown]
# *Two ways to a weak mark.* On the left the writer has less choice; on the right somebody has rewritten words afterwards, each drawn from the unmarked writer with probability $r$. A pair survives if both of its words do, with probability $(1 - r)^2$: the dotted line.
#
# A proof, a table of dates, a poem known by heart, a short answer to a clear question: they have few other forms, and no strength $\delta$ marks them without making them wrong. And short texts stay unproven. With $\gamma = 1/4$, eight of ten pairs green is Z = 4, with an exact p-value of $4 \cdot 10^{-4}$, ten times the normal tail; "Z > 4" is not the same proof at every length. The p-value is.
#
# ### Removing it
#
# Whoever has another writer can rewrite. Here each word is drawn again with probability one half; somebody who dilutes the text with their own words, or has it translated there and back, does the same. A paraphraser made for the purpose does it well {cite}`krishna2023paraphrasing`; long texts can keep a trace even so, for some pairs survive {cite}`kirchenbauer2024reliability`.


# %%
@torch.no_grad()
def rewritten(beginnings, texts, share):
    """Each word is drawn anew with this probability, by the writer without the mark."""
    whole = torch.cat([beginnings, texts], dim=1)
    logits = writer(whole[:, :-1])[:, beginnings.shape[1] - 1 :]
    fresh = logits.softmax(-1).flatten(0, 1)
    fresh = torch.multinomial(fresh, 1, generator=generator).view(texts.shape)
    return torch.where(
        torch.rand(texts.shape, generator=generator) < share, fresh, texts
    )


half = evidence(rewritten(prompts, marked, 0.5))
claim(
    "Half of the words rewritten: under 30 % have Z > 4",
    np.mean([e.z > 4 for e in half]) < 0.3,
)
together = watermark.detect_text(rewritten(prompts, marked, 0.5), key=key, vocabulary=V)
claim("All 60 texts as one source: p below 1e-9", together.p_value < 1e-9)
shuffled = marked[:, torch.randperm(100, generator=generator)]
claim("Words in another order: no Z > 5", max(e.z for e in evidence(shuffled)) < 5)

# %% [markdown]
# The second claim is worth a thought. Nobody can be convicted by one of the rewritten texts; all sixty together leave no doubt. `detect_text` takes several texts as rows and counts a pair that is in two of them once, so its p-value stays exact.
#
# ### Forging it
#
# A mark that can be copied is worse than none: it convicts innocents. The list after a word is always the same. So ask the marked writer often, count which words follow which, and compare with any unmarked writer of the same language. What is more frequent than it should be is probably green. No key is needed {cite}`jovanovic2024watermark`.

# %%
starts = pieces("train", 3000, 1)
seen = {}
for name, strength in (("marked", delta), ("plain", 0.0)):
    words = watermark.text_watermark(
        writer, starts, key=key, delta=strength, length=11, generator=generator
    )
    pairs = words[:, :-1].flatten() * V + words[:, 1:].flatten()
    seen[name] = torch.bincount(pairs, minlength=V * V).view(V, V)
guess = ((seen["marked"] + 0.5) / (seen["plain"] + 0.5)).log()
often = seen["marked"] + seen["plain"] >= 8
truth = torch.stack([greens_by_hand(a) for a in range(V)])
right = ((guess > 0) == truth)[often].double().mean()


# %%
class Forger(nn.Module):
    """The writer, with a preference for words that the victim seems to prefer."""

    def forward(self, words):
        return writer(words) + 2 * guess.clamp(-2, 2)[words]


forged = watermark.text_watermark(
    Forger(), prompts[:30], key=fresh_key(), delta=0.0, generator=generator
)
accusing = evidence(forged)

# %% tags=["nbval-ignore-output"]
print(f"of pairs seen eight times or more, {right:.0%} are coloured right")
print(
    f"forged texts: mean Z {np.mean([e.z for e in accusing]):.1f} under the owner's key"
)

# %%
claim("From 33,000 words: over 75 % of these colours right", right > 0.75)
median = float(np.median([e.p_value for e in accusing]))
claim("Texts written without the key: median p below 1e-4", median < 1e-4)

# %% [markdown]
# The p-value has not lied. Its null says that the key had no part in the text, and that is false: the key had a part, by way of the owner's own texts. It rejects "chance", rightly, and says nothing of who wrote the text. Between "not chance" and "our model wrote it" stands the assumption that nobody else can make green texts, and for this
# scheme the assumption is weak. Longer contexts than one word are harder to count, and break under fewer edits; that is the trade. SynthID-Text, which was used on live answers of a commercial model, seeds with several words before {cite}`dathathri2024scalable`.

# %% [markdown]
# ## Pictures: a generator that signs
#
# A service that makes pictures can add a mark as in [7.1](images.ipynb) to each picture before it sends it. If the generator itself is published, that is one line of code, and whoever downloads it deletes the line. So the mark has to be in the weights: the generator must be *unable* to make a picture without it. Fernandez and others
# call that a **stable signature** {cite}`fernandez2023stable`. It takes two trainings. The first makes a reader; the second teaches the generator to please the reader.

# %% tags=["hide-input", "fig-made-steps"] mystnb={"image": {"alt": "Two rows of boxes joined by arrows. First row, once for all: a picture x and a random message b go into the encoder E, then something happens to the picture, then the extractor R gives the message back. Second row, once for each owner: a latent v goes into the decoder D prime, then something happens, then the same R gives the owner's message. In the first row E and R are coloured, as they are trained; in the second only D prime."}}
figure, axis = plt.subplots(figsize=(7, 2.3))
steps = (
    ("picture $x$,\nmessage $b$", "encoder\n$E$", "$b$?", (1, 3)),
    ("latent $v$", "decoder\n$D'$", "owner's\n$b$?", (1,)),
)
for row, (given, maker, asked, trained) in enumerate(steps):
    axis.text(-0.95, -row, f"step {row + 1}", va="center")
    names = (given, maker, "noise, hole,\nJPEG", "extractor\n$R$", asked)
    for place, name in enumerate(names):
        hue = COLOURS["blue" if place in trained else "black"]
        frame = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": hue}
        axis.text(place, -row, name, ha="center", va="center", color=hue, bbox=frame)
        if place:
            axis.annotate(
                "",
                (place - 0.36, -row),
                (place - 0.62, -row),
                arrowprops={"arrowstyle": "->", "color": COLOURS["black"]},
            )
axis.set(xlim=(-1, 4.5), ylim=(-1.5, 0.5))
axis.axis("off")
plt.show()

# %% [markdown]
# *What is trained (blue), and what stays.* The extractor is made once, with random messages, and knows no owner. For each owner only the decoder is trained.

# %%
ThreatModel(
    goal="pictures of a published generator in which its owner's message is not found; "
    "or pictures of one's own in which it is",
    knowledge="grey box",
    capability="has the marked generator with its weights, and unmarked pictures; "
    "changes, redraws and averages pictures; trains the generator further",
    out_of_scope="the unmarked generator, the extractor and the key",
)

# %% [markdown]
# ### Step 1: somebody who can read
#
# The encoder $E$ hides a message of $n$ bits $b_j \in \{-1, 1\}$ in a picture $x$; the extractor $R$ answers with a number for each bit. Both are networks, trained together on random messages {cite}`zhu2018hidden`:
#
# $$\min_{E, R}\ \mathbb E_{x,\, b}\ \frac1n \sum_{j=1}^n -\log \mathrm{sigmoid}\Big(b_j \, R_j\big(\mathcal T(E(x, b))\big)\Big) \qquad \lVert E(x, b) - x \rVert_\infty \le \varrho$$ (eq-made-hidden)
#
# In words: every bit should be read with the right sign, although no pixel may change by more than the strength $\varrho$, and although something happens on the way. That is $\mathcal T$, drawn anew for each picture: nothing, noise, a black hole, or the rounding of a JPEG file. Rounding has no slope, so training pretends that its slope is 1.
# Our pictures are 4,000 handwritten digits ([card](../../book/data_cards/mnist.md)).

# %%
train, test = (mnist(part).select(slice(4000)) for part in ("train", "test"))
owner = watermark.GeneratorWatermark(bits=32, strength=0.1)
losses = owner.fit(train.images, epochs=3, generator=generator, progress=False)
claim("Guessing costs ln 2 = 0.69; at the end it is under 0.2", losses[-1] < 0.2)

# %% [markdown]
# ### Step 2: a generator that pleases the reader
#
# The generator is a small **variational autoencoder**. Its own encoder turns a digit into 16 numbers $v$, normally distributed; its decoder $D$ turns such numbers into a digit, and from fresh normal numbers it makes digits that nobody has written.


# %%
class Painter(nn.Module):
    """A digit to 16 means and log-variances; 16 latents to a digit."""

    def __init__(self):
        super().__init__()
        self.look = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 32)
        )
        self.paint = nn.Sequential(
            nn.Linear(16, 256),
            nn.ReLU(),
            nn.Linear(256, 784),
            nn.Sigmoid(),
            nn.Unflatten(1, (1, 28, 28)),
        )


# %%
def elbo(model, images):
    """Pixels that are drawn wrong, and how far the latents are from normal ones."""
    mean, log_variance = model.look(images).chunk(2, dim=1)
    noise = torch.randn(mean.shape, generator=generator)
    drawn = model.paint(mean + (log_variance / 2).exp() * noise)
    wrong = F.binary_cross_entropy(drawn, images, reduction="sum")
    far = (mean**2 + log_variance.exp() - log_variance - 1).sum() / 2
    return (wrong + far) / len(images)


painter = Painter()
settings = {"epochs": 12, "learning_rate": 3e-3, "generator": generator}
losses = fit(painter, TensorDataset(train.images), loss=elbo, **settings)

# %% [markdown]
# Now a copy $D'$ of the decoder is trained on, until the extractor reads the owner's message in whatever it makes. The extractor no longer changes, and the encoder $E$ is not needed any more.
#
# $$\min_{D'}\ \mathbb E_{v}\ \frac1n \sum_{j=1}^n -\log \mathrm{sigmoid}\Big(b_j\, R_j\big(\mathcal T(D'(v))\big)\Big) + \lambda\, \overline{\big(D'(v) - D(v)\big)^2}$$ (eq-made-decoder)
#
# The first part is the message, always the same one. The second keeps the new picture near the old one; the bar is the mean over pixels. The message comes from the owner's key $\kappa$, which on this page comes from the page's seed, and in earnest from `secrets.token_bytes(32)`. Why from a key, and not "our company"? You will see in the test.

# %%
seal = bytes(torch.randint(256, (32,), generator=generator).tolist())
latents = torch.randn(2000, 16, generator=generator)
settings = {"weight": 50.0, "epochs": 6, "generator": generator, "progress": False}
sealed = owner.mark(painter.paint, latents, key=seal, **settings)  # λ = 50

new = torch.randn(500, 16, generator=generator)  # never seen by either training
plain, signed = predict(painter.paint, new), predict(sealed.model, new)
read = owner.test(signed, key=seal)
claim("Over 95 % of bits are right in one new picture", read.agreement > 0.95)
noise = 10 * torch.log10(1 / F.mse_loss(signed, plain)).item()  # PSNR in dB
claim("at a PSNR over 24 dB to the unmarked generator", noise > 24)

# %% tags=["hide-input", "fig-made-pictures"] mystnb={"image": {"alt": "Three rows of four generated digits. In the second row, from the marked generator, the same digits stand on paper with faint grey fields. The third row shows the difference, enlarged: a pattern of small squares that is nearly the same for all four."}}
figure, axes = plt.subplots(3, 4, figsize=(6, 4.6))
rows_shown = (
    ("$D(v)$", plain[:4], "gray", (0, 1)),
    ("$D'(v)$", signed[:4], "gray", (0, 1)),
    ("difference", signed[:4] - plain[:4], "PuOr", (-0.2, 0.2)),
)
for row, (name, shown, colours, (low, high)) in zip(axes, rows_shown, strict=True):
    row[0].set_ylabel(name)
    for axis, picture in zip(row, shown, strict=True):
        axis.imshow(picture[0], cmap=colours, vmin=low, vmax=high)
        axis.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# *Four new pictures without and with the signature, and their difference, enlarged five times.* A digit is an unkind place for a mark, since empty paper shows everything. And the pattern is nearly the same in all pictures: remember that.
#
# What does it cost? The measure is somebody who uses the pictures. We let both decoders redraw the test digits, and a classifier read them.

# %%
judge = SmallCNN(width=4)
settings = {"epochs": 3, "learning_rate": 3e-3, "batch_size": 64}
losses = fit(judge, train, generator=generator, **settings)
means = predict(painter.look, test.images)[:, :16]
redrawn = {
    name: TensorDataset(predict(decoder, means), test.labels)
    for name, decoder in (("plain", painter.paint), ("signed", sealed.model))
}
seen = {name: 100 * accuracy(judge, data) for name, data in redrawn.items()}

# %% tags=["nbval-ignore-output"]
print(f"PSNR {noise:.1f} dB; bits right in one new picture: {read.agreement:.1%}")
print(f"redrawn digits read: {seen['plain']:.1f} %, signed {seen['signed']:.1f} %")

# %%
claim("The classifier loses under 5 points", seen["plain"] - seen["signed"] < 5)

# %% [markdown]
# ### The test: $n$ coins, however many pictures
#
# What is the null? Here are some pictures, and here is a message. If the message was drawn by a key that has nothing to do with the pictures, its bits are fair coins, whatever the pictures are and whatever the extractor reads in them. An extractor that finds "1" for bit 5 in every digit in the world does no harm: the coin decides whether that counts for or against.
#
# So let $\hat b_j(x) = 2\, \mathrm{sigmoid}(R_j(x)) - 1$, between −1 and 1, be the extractor's answer for bit $j$, and let $\bar b_j$ be its mean over all pictures at hand. The **margin** $b_j \bar b_j$ is positive where the bit was read right, and large where it was read clearly. Under the null the signs of the margins are $n$ fair coins, and Wilcoxon's signed
# ranks, known from [7.1](images.ipynb), give an exact p-value. In code:


# %%
def by_hand(answers, bits):
    """The p-value of answers `[pictures, n]` for a message of n signs."""
    margins = bits * answers.double().mean(dim=0)
    return stats.wilcoxon(margins, alternative="greater", method="exact").pvalue


bits = owner.message(key=seal)
few = owner.read(plain[:20])  # without a mark
gap = owner.test(plain[:20], key=seal).p_value / by_hand(few, bits) - 1
claim("By hand and by library: one p-value, to 1e-6", abs(gap) < 1e-6)
one = owner.test(signed[:1], key=seal)
claim("One signed picture: p under 1e-5", one.p_value < 1e-5)
claim("500 pictures: no smaller than 1/2ⁿ", read.p_value >= 0.5**32)
claim("The same pictures without the mark: p over 1e-5", by_hand(few, bits) > 1e-5)

# %% [markdown]
# The last but one is a limit worth knowing. 32 coins cannot be more surprising than $2^{-32}$, about one in four thousand million, and a thousand more pictures do not change that. More pictures make the reading surer, not the message longer.
#
# Is the p-value true? Fresh keys tell, by the hundred, on pictures that carry no mark, on those that carry *another* owner's, and on digits that people wrote. Ties are broken as everywhere in this chapter, by `randomized`.


# %%
def fresh_keys(images, count=300):
    """p-values of keys that nobody has used, for one set of pictures."""
    mean = owner.read(images).mean(dim=0)
    coins = 2 * torch.randint(2, (count, 32), generator=generator) - 1
    found = [watermark.signed_rank_evidence(coin * mean) for coin in coins]
    return np.array([one.randomized(generator=generator) for one in found])


sets = {"unmarked": plain, "another key's": signed, "written": test.images[:500]}
innocent = {name: fresh_keys(images) for name, images in sets.items()}
for name, p_values in innocent.items():
    uniform = stats.kstest(p_values, "uniform").pvalue
    claim(f"Fresh keys, {name}: as uniform numbers", np.log10(uniform) > -6)

# %% [markdown]
# ### The null that goes wrong
#
# Why not count the bits of all pictures? 500 pictures have 16,000 bits, and 16,000 coins that fall a little more often on one side are a very small binomial p-value. Try it on the *unmarked* generator.

# %%
signs = owner.read(plain).sign()
coins = 2.0 * torch.randint(2, (300, 32), generator=generator) - 1
hits = torch.stack([(signs == coin).sum() for coin in coins])
counted = stats.binom.sf(hits - 1, signs.numel(), 0.5)  # 16,000 coins, it says
accused = (counted < 1e-6).mean()
claim("Over 20 % of fresh keys are found at p < 1e-6", accused > 0.2)
claim(
    "With the mean first: under 5 % at p < 0.001",
    (innocent["unmarked"] < 1e-3).mean() < 0.05,
)

# %% [markdown]
# The extractor has opinions about unmarked digits: some of its answers have the same sign in nearly all of them. Then 500 pictures toss *one* coin, not 500. An owner who counts them as 500 accuses an innocent generator with about every third key, and with a p-value that no judge would doubt. The authors of the stable signature know the matter, and decorrelate the
# extractor's answers on unmarked pictures before use {cite}`fernandez2023stable`; the mean over pictures needs no such training, and is exact.
#
# ### Washing it off
#
# Now the other side. First, what happens to pictures anyway, or in one line of code. **Regeneration** is the strongest of it: let another autoencoder look at the picture and paint it anew {cite}`zhao2024invisible`. Ours is `models.mnist_gan()`, a generator with an inverter, which has never heard of the mark.

# %%
gan = mnist_gan()
washes = {
    "nothing": lambda x: x,
    "noise 0.05": lambda x: watermark.add_noise(x, sigma=0.05, generator=generator),
    "JPEG 75": lambda x: watermark.jpeg(x, quality=75),
    "JPEG 50": lambda x: watermark.jpeg(x, quality=50),
    "half as large": lambda x: watermark.resize_and_back(x, factor=0.5),
    "moved by 2": lambda x: x.roll((2, 2), dims=(2, 3)),
    "regenerated": lambda x: predict(gan.generator, predict(gan.inverter, x)),
}
washed = {name: wash(signed[:100]) for name, wash in washes.items()}
after = {name: owner.test(images, key=seal) for name, images in washed.items()}

# %% [markdown]
# Second, whoever has the weights can train them. Hu and others showed that a little fine-tuning on unmarked pictures is enough {cite}`hu2024stable`. The thief needs digits of their own and latents that belong to them, which the generator's own encoder gives here.

# %%
stolen = deepcopy(sealed.model)
pairs = TensorDataset(predict(painter.look, train.images)[:, :16], train.images)
weaker = [owner.test(signed, key=seal)]
for _ in range(6):
    losses = fit(
        stolen,
        pairs,
        epochs=1,
        loss=lambda model, v, x: F.mse_loss(model(v), x),
        learning_rate=3e-4,
        generator=generator,
    )
    weaker.append(owner.test(predict(stolen, new), key=seal))

# %% tags=["hide-input", "fig-made-washing"] mystnb={"image": {"alt": "Left, bars: share of the message's bits that are right in one picture. Nothing, noise, JPEG 75 and JPEG 50 are near 100 percent; half as large is near 90. Regenerated and moved by 2 are near 60 percent, not far from chance, which is marked at 50. Right, a line over epochs of fine-tuning without the mark: it falls from 100 percent towards chance."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3), width_ratios=(3, 2))
names = list(after)[::-1]
left.barh(names, [100 * after[name].agreement for name in names], color=COLOURS["blue"])
left.set(xlabel="bits right in one picture (%)", xlim=(0, 105))
right.plot([100 * one.agreement for one in weaker], "o-", color=COLOURS["orange"])
right.set(xlabel="epochs of fine-tuning", ylim=(0, 105))
left.axvline(50, color=COLOURS["black"], ls=":")
right.axhline(50, color=COLOURS["black"], ls=":")
right.text(0, 43, "chance", va="top")
plt.show()

# %% [markdown]
# *What is left of the message.* Left: after what is done to 100 pictures. Right: in 500 new pictures of the stolen generator, which is trained without the mark. Dotted: coins.

# %%
for name in ("noise 0.05", "JPEG 75", "JPEG 50"):
    claim(f"{name}: over 85 % of bits in one picture", after[name].agreement > 0.85)
for name in ("moved by 2", "regenerated"):
    claim(f"{name}: under 70 %", after[name].agreement < 0.7)
    claim("and p over 1e-5", after[name].p_value > 1e-5)
claim("Fine-tuned for 6 epochs: under 85 %", weaker[-1].agreement < 0.85)
claim("less than after one epoch", weaker[-1].agreement < weaker[1].agreement)

# %% [markdown]
# It survives what it was trained for, and not much else. A picture that is moved by two pixels is not read, since the extractor looks for fields at their place; exercise 3 repairs that, and pays for it. A regenerated picture carries nothing: the other generator paints what it understands, a digit, and the mark is no part of a digit. And the weights protect nobody from training.
# The mark works against people who publish pictures, not against people who study the generator.
#
# ### Another owner, and a forger
#
# A thief signs the stolen generator with a key of their own. And a forger, who has seen only *pictures*, takes the mean of many signed ones, subtracts the mean of digits of their own, and lays the rest on whatever they like.

# %%
other = bytes(torch.randint(256, (32,), generator=generator).tolist())
settings = {"epochs": 4, "generator": generator, "progress": False}
twice = predict(owner.mark(sealed.model, latents, key=other, **settings).model, new)
first, second = (owner.test(twice, key=one) for one in (seal, other))

trace = signed.mean(dim=0) - test.images[:500].mean(dim=0)
innocent_digits = test.images[500:600]
forged = owner.test((innocent_digits + trace).clamp(0, 1), key=seal)
stamped = owner.test(owner.embed(innocent_digits, key=seal), key=seal)
cleaned = owner.test((signed[:100] - trace).clamp(0, 1), key=seal)

# %% tags=["nbval-ignore-output"]
for name, one in {
    "first owner": first,
    "second owner": second,
    "forged": forged,
    "encoder": stamped,
    "trace removed": cleaned,
}.items():
    print(f"{name:13}: {one.wrong_bits:2} of 32 bits wrong, p = {one.p_value:.1e}")

# %%
claim("The second owner's message is read, p under 1e-5", second.p_value < 1e-5)
claim("Of the first one's, over 5 bits are wrong", first.wrong_bits > 5)
claim("Forged on digits that people wrote: p under 1e-3", forged.p_value < 1e-3)
claim("By the encoder, on the same: p under 1e-5", stamped.p_value < 1e-5)

# %% [markdown]
# With *one* extractor there is room for one message: the later one writes over the former, of which traces may be left. And one mean over 500 public pictures gives the forger a trace that makes the owner's test say yes to pictures which the generator has never made. A pattern that is nearly the same everywhere can be measured by everybody. So what does a small p-value prove? That these pictures and this key belong together. Not that the generator made them: whoever has signed pictures,
# the signed generator, or the encoder $E$ with the key (`owner.embed`) can put the message elsewhere.

# %% [markdown]
# ## Whose is it?
#
# So far a p-value has answered "did it come out of our model?". People who ask whose a picture is mean four different questions, and only the first is one of statistics.
#
# | question | what answers it | what does not |
# |---|---|---|
# | Which model made it? | a mark with a p-value | a look at it, or a classifier's score |
# | Where does this file come from? | a signed record of its origin | a mark: it says "our model", not when or for whom |
# | Who may use it, and for what? | a licence, the law of a place | any measurement |
# | Is what it shows true? | evidence from the world | marks, signatures and licences |
#
# What follows describes law in a few places at one time (autumn 2026), in plain words, and is no legal advice.
#
# **A style belongs to nobody; a picture may.** Copyright protects an expression, not an idea, a method or a manner. The law of the United States says so for ideas {cite}`usc102`, and a style alone is generally not protected {cite}`wolfson2023style`. So a picture "in the style of" an animation studio, which public debate is about, infringes nothing by its style. It may by
# its content: a figure, a scene, a composition that is taken over. It may harm where it pretends to come from the studio, which is a matter of trade marks and of fair competition. And another question stands before it: whether the studio's films could be copied in order to *train* the model. The Copyright Office of the United States adds that what a
# machine made without enough human authorship is protected for nobody {cite}`usco2025copyrightability`.
#
# No detector of this chapter measures style. [Radioactive data](radioactive_data.ipynb) show that *certain files* were trained on, which is the fact that a quarrel about training needs. They show nothing about whether the training was allowed.
#
# **A licence is a sentence about use.** "It was on the web" is none. Wikimedia Commons, the largest collection of its kind, holds files in the public domain *and* files under free licences, most of which ask for the author's name (CC BY), and some that what is made from them be shared alike (CC BY-SA); the licence stands with each file. The collection as a whole is therefore not "public domain", and a data set made
# of it needs a column for the licence and one for the name. LAION-5B is another kind of thing: 5.85 billion *links* with captions, found by a crawl and filtered by a model {cite}`schuhmann2022laion`. It holds no pictures and gives no right to any. In Europe the copyright directive of 2019 allows copies for text and data mining, in Article 3 to research organisations, and in Article 4 to everybody unless the owner has
# reserved the right in a machine-readable way {cite}`eu2019copyright`. A court in Hamburg decided in September 2024 that LAION could rely on the exception for research for downloading a photographer's picture in order to compare it with its caption, and the court above it upheld that in 2025 {cite}`hamburg2025laion`. These judgments are about making the list. They do not say that every training on it is allowed.
#
# **Provenance is a signature, not a mark.** The Coalition for Content Provenance and Authenticity (C2PA) has a standard for it {cite}`c2pa2024specification`. A **manifest** travels in the file. It says what was done (taken by this camera, cropped with that program, made by a generator), holds a cryptographic hash of the content, and is signed by whoever wrote it. So it can be checked who said it, and that not one byte was changed since. Here is that
# part of it, the **hard binding**:

# %%
picture = np.arange(64, dtype=np.uint8).reshape(8, 8)  # stands for a file
manifest = {"made by": "generator 7.4", "hash": hashlib.sha256(picture).hexdigest()}


def binds(manifest, picture):
    return manifest.get("hash") == hashlib.sha256(picture).hexdigest()


touched = picture.copy()
touched[0, 0] += 1  # one pixel, one grey level
claim("The manifest fits the file", binds(manifest, picture))
claim("It no longer does after one grey level", not binds(manifest, touched))
claim("Without its manifest the file says nothing", not binds({}, picture))

# %% [markdown]
# Read the third line again. A signature proves what is there; it is removed by leaving it out, and a screenshot leaves it out. A mark is the reverse: it survives a screenshot, and proves less. That is why the standard has a **soft binding** too, a mark or a fingerprint by which the manifest of a stripped file can be found again. And neither says that the picture is *true*: a genuine camera signs a photograph of a staged scene.
#
# In the European Union providers of generators must see to it that what they make is marked in a machine-readable way and can be detected (Article 50 of the regulation on artificial intelligence {cite}`eu2024aiact`). The duty applies since 2 August 2026, and from 2 December 2026 to systems that were on the market before. The marking is to be effective, robust and reliable,
# as far as that is technically feasible. After this page you know which numbers to ask for: a false-positive rate with its null, and what is left of the mark after each of the attacks.
#
# **A data statement says who speaks.** Bender and Friedman ask for one with every set of texts {cite}`bender2018data`: why these texts were chosen, which variety of which language they are, who the speakers and the annotators were, when and for whom it was said or written. Here it is for this page's writer. *Chosen* because it is on every machine that runs this
# book. *Language*: written technical English, by many for whom it is a second language. *Speakers*: contributors to five open-source packages, mostly unnamed here; no count of their origin or gender is known. *Annotators*: none. *Situation*: written to be looked up, edited by several hands, up to the versions installed. What the writer says is a mixture of
# that, and whatever it says about people would be an accident.
#
# ## What goes wrong
#
# **Another vocabulary.** A model may have more logits than its tokeniser has words: 50,272 and 50,265 in one family, as [issue 23](https://github.com/jwkirchenbauer/lm-watermarking/issues/23) of the authors' code tells. Whoever writes with one and detects with the other draws other lists. Here a list is the words with the smallest keyed numbers, so that seven words more change it at its edge only:

# %%
lists = [watermark.green_list(7, key=key, vocabulary=n) for n in (50272, 50265)]
same = (lists[0][:50265] == lists[1]).double().mean()
claim("Over 99.9 % of the words keep their colour", same > 0.999)

# %% [markdown]
# **Another $\gamma$.** A server wrote with one half and the detector expected a quarter; the mark "cannot be detected" ([issue 2474](https://github.com/huggingface/text-generation-inference/issues/2474) of a server for language models). $\gamma$ and $V$ belong to the key: write them down together.
#
# **The beginning counted along.** What the user wrote is no choice of the writer's, and counted along it dilutes the mark. Judge the answer alone.
#
# **The key is no key.** If the list is seeded by a number times the word's number, then after word 0 the seed is 0, whatever the number was. A keyed hash has no such word.
#
# **A message that was not drawn.** If the owner chooses the message, as "our company" in bits, or looks at the extractor's answers first and then says what the message was, nothing is a coin any more. Deposit a hash of the key before the generator is published, as in [7.3](models.ipynb).
#
# **One mark for all messages.** The decoder has learnt *one* message. For another customer it must be trained again; people have looked for a parameter that changes it ([issue 13](https://github.com/facebookresearch/stable_signature/issues/13) of the authors' code).
#
# **A training that failed quietly.** With too high a learning rate the loss became NaN and the training went on ([issue 35](https://github.com/facebookresearch/stable_signature/issues/35)). `watermark.GeneratorWatermark` stops there, and says by an `IllegibleMessageWarning` if fewer than nine bits in ten can be read at the end.
#
# **One text, many keys.** With a key for every customer, the smallest of many p-values is small. Exercise 1.
#
# ## Evaluate honestly
#
# Four questions to anybody who shows you a detector, as code: how often it accuses the innocent (by the null, and tried), how short a text it needs, what is left after rewriting, and who else can write such a text.

# %%
shortest = {
    row["length"]: row["below_1e_3"]
    for name, row in measured.items()
    if name.startswith("length")
}
enough = min(length for length, share in shortest.items() if share > 0.95)
left = {row["share"]: row["below_1e_3"] for row in edited}

# %% tags=["nbval-ignore-output"]
print(f"p < 0.001 on innocent texts: {checked['below']['0.001']:.2%} of 500 keys")
print(f"words needed for p < 0.001 in 95 % of marked texts: {enough}")
print(f"30 % rewritten: p < 0.001 still in {left[0.3]:.0%}; half: {left[0.5]:.0%}")
print(f"forged without the key: median p {median:.0e}")

# %%
tail = stats.binom.sf(7, 10, 0.25)
claim("Eight of ten green, γ = ¼: Z over 4, but p over 4e-4", tail > 4e-4)
claim("which is over ten times the normal tail", tail > 10 * stats.norm.sf(4.02))

# %% [markdown]
# ## Practice
#
# **Exercise 1** (10 minutes). *A key for each customer.* A company gives each of 200 customers a key of their own, finds a text on the web, and tests it with all keys. How small is the smallest p-value on a text that none of them wrote? What has to be done to it?
#
# <details><summary>Hint: what 200 uniform numbers do</summary>
#
# The smallest of $B$ independent uniform numbers lies below $x$ with probability $1 - (1 - x)^B \le B x$.
#
# </details>

# %% tags=["hide-cell"]
# Solution: the smallest of 200 is about 1/200, "significant" on nearly every text.
# Multiplied by 200 (Bonferroni) it is a p-value again, at most α with probability α.
smallest = np.array(
    [
        min(
            watermark.detect_text(one, key=k, vocabulary=V).p_value
            for k in (fresh_key() for _ in range(60))
        )
        for one in documentation[:12, :20]
    ]
)
claim("Of 60 keys, the best is below 0.1 on over half", (smallest < 0.1).mean() > 0.5)
claim("Times 60: no text below 1e-4", (60 * smallest).min() > 1e-4)

# %% [markdown]
# **Exercise 2** (20 minutes). *A mark without a price?* The price comes from places where the writer prefers red words and is pushed to green ones. Let $\mu$ be the probability that the plain writer gives to green words at a place. By how much does the expected $-\log p$ grow there when green is pushed, if all green words are alike to it, and all red ones? For which $\mu$ is the price largest, and why is $\mu$ near $\gamma$ at places with many possible words?
#
# <details><summary>Hint: two words</summary>
#
# Two words, "green" with probability $\mu$ and "red" with $1 - \mu$. The mark changes $\mu$ to $\mu e^\delta / (\mu e^\delta + 1 - \mu)$.
#
# </details>

# %% tags=["hide-cell"]
# Solution: pushed to m', the mean of −log p changes by (m' − m)·log((1 − m)/m): a price
# where green is the less likely colour, and a *gain* in likelihood where it is the more
# likely one. At places with many words m is a sum over a random half, near γ, and
# each colour has likely and unlikely words alike: there it costs little.
m = np.linspace(0.001, 0.999, 999)
pushed = m * math.exp(delta) / (m * math.exp(delta) + 1 - m)
price = (pushed - m) * np.log((1 - m) / m)
claim("Dearest where green has under 30 %", m[price.argmax()] < 0.3)
claim("A gain where it has more than half", (price[m > 0.501] < 0).all())

# %% [markdown]
# **Exercise 3** (20 minutes). *Look around.* A picture that was moved by two pixels is not read. Test all 25 shifts by up to two pixels each way, take the smallest p-value, and pay for the search. Does it find the moved pictures? What does it say of unmarked ones?
#
# <details><summary>Hint 1: the shifts</summary>
#
# `images.roll((down, right), dims=(2, 3))` moves; digits have a black rim, so nothing comes in from the other side.
#
# </details>
#
# <details><summary>Hint 2: the price</summary>
#
# The smallest of 25 p-values is below $\alpha$ with a probability of at most $25\, \alpha$, whether they are independent or not (Bonferroni).
#
# </details>

# %% tags=["hide-cell"]
# Solution: the search finds them, at the price of a factor of 25. Without the factor,
# unmarked pictures would be found at 1 % in up to every fourth search.


def looked_around(images):
    around = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    moved = (images.roll(shift, dims=(2, 3)) for shift in around)
    return min(1, 25 * min(owner.test(one, key=seal).p_value for one in moved))


found = looked_around(washed["moved by 2"])
claim("Moved pictures are found: p under 1e-4", found < 1e-4)
claim("Unmarked ones are not: p over 1e-5", looked_around(plain[:100]) > 1e-5)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A detector says Z = 5 for a text that consists of one sentence, repeated thirty times. What follows?
# - It is marked: Z > 4 :: If repeated pairs were counted, a few green ones are enough.
# - It is not marked: nobody writes so :: A generator may well loop, with or without a mark.
# + Nothing yet: count each different pair once, and take the exact p-value :: One sentence has a dozen different pairs, and so a dozen coins.
# ? Why does the p-value of `detect_text` need no texts without a mark?
# - Because the writer was trained on such texts :: The detector never sees the writer.
# + Because the text is fixed and the key is what is random :: Which words are green was drawn independently of the text, so the count has a known distribution.
# - Because Z is normal for long texts :: It is nearly so, but the p-value does not use it.
# ? A text has p = 1e-12 under your key. Did your model write it?
# - Yes, with a probability of 1 − 1e-12 :: The p-value is no probability of guilt.
# + Chance is excluded; a forger who has studied your texts is not :: Counting some ten thousand words was enough to forge.
# - No, since the key may have leaked :: It may; nothing here says that it did.
# ? The test says p = 2·10⁻¹⁰ for a picture. What is shown?
# - The owner's generator made it :: Whoever has the encoder, or many signed pictures, can put the message elsewhere.
# + The picture and the key are not independent :: That is all the null says, and all that is rejected.
# - The picture was not made by a person :: A forger laid the trace on digits that people wrote.
# ? Why must the mark be in the decoder's weights, and not in a line of code after it?
# - It is less visible there :: It may be more visible; the encoder is free to look at the picture.
# + Whoever has the program can leave a line of it out :: And not so easily a direction in half a million numbers, until they train them further.
# - It cannot be removed from weights :: Some epochs of training without the mark removed it.
# ? A photograph carries a valid C2PA manifest of a camera. What does that show?
# - That the scene took place :: A camera signs a staged scene as well.
# + That whoever holds the signing key made this statement about exactly these bytes :: It is a signature.
# - That no generator was used before :: A picture of a picture has a genuine signature, too.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** The p-value of the green list is exact for every text, in every language, for the price of one hash per word; it needs neither the model nor a collection of innocent texts. A generator that signs needs no change in how it is used.
#
# **Limitations.** Rewriting removes the mark, counting forges it, and certain answers cannot carry it. A generator whose weights are public can be trained until it no longer signs. Whoever makes models without marks is not reached at all, so that *no mark found* never means *made by a human*. All experiments here are small.
#
# **Software.** The authors' [lm-watermarking](https://github.com/jwkirchenbauer/lm-watermarking); in `transformers` a `WatermarkingConfig` for writing and a `WatermarkDetector`; [MarkLLM](https://github.com/THU-BPM/MarkLLM) for comparing many schemes; [synthid-text](https://github.com/google-deepmind/synthid-text); [c2pa-rs](https://github.com/contentauth/c2pa-rs) for manifests. Before you trust a detector of any of them, look which pairs it counts. In this library: `watermark.text_watermark`,
# `watermark.detect_text`, `watermark.green_list` and `watermark.TextEvidence`. For pictures: the authors' code of [Stable Signature](https://github.com/facebookresearch/stable_signature), for latent diffusion models, with extractors of 48 bits; here `watermark.GeneratorWatermark` (`fit`, `mark`, `test`, `read`, `embed`), with `watermark.MarkedGenerator`, `watermark.GeneratorEvidence` and `watermark.IllegibleMessageWarning`.
#
# ## What to take away
#
# A writer with a choice can leave a mark in how it chooses, and a key makes the mark's absence a known distribution. Count what is independent, once. The proof is then exact, and it is a proof against *chance*; against a rewriter it is weak, and against a forger it needs a scheme whose lists cannot be learnt. A generator can be taught to sign all that it makes, with a coin for each bit; it signs until somebody trains it further. Who made a thing, who may use it, where the file comes from, and whether it is true, are four questions. This
# chapter has answers to the first.
#
# You have reached the end of the chapter. Do it yourself in [homework H7](../../exercises/h7_watermarking/h7_watermarking.ipynb).
