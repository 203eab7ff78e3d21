# %% [markdown]
# # 0.6 Words and sequences
#
# A picture comes as numbers. A word does not; and a sentence has no fixed length, and its first word may decide what the last one means. This lecture turns words into numbers, guesses the next word, and follows a gradient back through time until it is gone. What comes out is a small language model that is honest about how much it
# knows: so many words' worth of doubt at each step.
#
# **What you will learn**
#
# - words as sparse and as dense vectors, and how Word2Vec finds the dense ones;
# - a language model and its perplexity, and the four ways in which that number deceives;
# - a recurrent network, backpropagation through time by hand, and its short memory;
# - the LSTM cell, written out.
#
# **Before you start**: [0.4](networks.ipynb). The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 25 minutes to read; {{ cpu_seconds }} to run.

# %%
import math
import re
from collections import Counter

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from tml_helpers.claims import claim, seed
from tml_helpers.data import docstrings
from tml_helpers.plotting import COLOURS, use_style
from tml_helpers.training import seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question: what is the next word?
#
# Our text is on every reader's machine: the documentation of scientific packages ([card](../../book/data_cards/docstrings.md)). It is repetitive and dry, which is what makes a model that learns in seconds possible. The golden rule ([0.2](learning.ipynb)) for text: neighbouring sentences repeat each other, so **whole packages** are held out, not
# single lines. We learn from two packages, and are judged on a third.

# %%
part = docstrings("train")


def words_of(package):
    """All words of a package's documentation, in their order, in small letters."""
    mine = [
        text
        for text, label in zip(part.texts, part.labels, strict=True)
        if part.classes[label] == package
    ]
    return [word for text in mine for word in re.findall("[a-z]+", text.lower())]


seen = words_of("numpy")[:150_000] + words_of("scipy")[:150_000]
held_out = words_of("skimage")[:30_000]

# %% [markdown]
# The **vocabulary** is a list of the words that the model knows; all others become one word, "unknown". Let it have $V$ entries. A word is then a number from 0 to $V - 1$, or, as a vector, one 1 among $V - 1$ zeros: **one-hot**. Such vectors are sparse and large, and every two words are equally far apart.

# %%
V = 500


def vocabulary(words, size):
    """The most frequent words; number 0 is kept for all others."""
    return ["<unknown>", *(word for word, _ in Counter(words).most_common(size - 1))]


def numbered(words, vocab):
    place = {word: number for number, word in enumerate(vocab)}
    return torch.tensor([place.get(word, 0) for word in words])


vocab = vocabulary(seen, V)
train, test = numbered(seen, vocab), numbered(held_out, vocab)
unknown = [(part == 0).float().mean().item() for part in (train, test)]
claim("Of the held-out words more are unknown", unknown[1] > unknown[0])
claim("two in five at most", unknown[1] < 0.4)

# %% [markdown]
# ## Dense words: Word2Vec
#
# "You shall know a word by the company it keeps": words with the same neighbours mean similar things. The **context** of a word is the window of a few words around it. Word2Vec, in its skip-gram form, gives each word two vectors, $e_w$ as itself and $o_w$ as a neighbour, and lets $e_w^\top o_c$ be large where $c$ was seen near $w$, and small for neighbours drawn at random {cite}`mikolov2013distributed`:
#
# $$
# \ell = -\log \sigma(e_w^\top o_c) - \sum_{c' \text{ drawn}} \log \sigma(-e_w^\top o_{c'}).
# $$ (eq-word-skip)
#
# In words: a logistic regression that tells true neighbours from false ones; $\sigma$ is the logistic function. Nothing else is learnt, and what is left in $e_w$ is called a **word embedding**.


# %%
def pairs(text, window):
    """(word, neighbour) for all known words at most `window` apart, both ways."""
    text = text[text > 0]
    ahead = [torch.stack([text[:-gap], text[gap:]]) for gap in range(1, window + 1)]
    both = torch.cat([*ahead, *(one.flip(0) for one in ahead)], dim=1)
    return both  # (2, number of pairs)


# %%
def embed(couples, size, dimensions, generator, rate=0.01, batch=4096, false=5):
    """One pass of skip-gram with negative sampling; the vectors [size, dimensions]."""
    counts = torch.bincount(couples[1], minlength=size).float()
    own = 0.1 * torch.randn(size, dimensions, generator=generator)
    near = torch.zeros(size, dimensions, requires_grad=True)
    own.requires_grad_()
    optimiser = torch.optim.Adam([own, near], rate)
    order = torch.randperm(couples.shape[1], generator=generator)
    for chosen in order.split(batch):
        word, neighbour = couples[:, chosen]
        drawn = torch.multinomial(
            counts**0.75, false * len(word), replacement=True, generator=generator
        ).view(-1, false)
        true_score = (own[word] * near[neighbour]).sum(1)
        false_score = (own[word][:, None] * near[drawn]).sum(2)
        loss = -(F.logsigmoid(true_score) + F.logsigmoid(-false_score).sum(1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return own.detach()


# %%
couples = pairs(train, window=3)
share = torch.bincount(couples[0], minlength=V).float() / couples.shape[1]
chance = (1e-3 / share[couples[0]]).sqrt()  # frequent words are thinned out
thinned = couples[:, torch.rand(couples.shape[1], generator=generator) < chance]
vectors = F.normalize(embed(thinned, V, 32, generator), dim=1)  # (V, 32)

place = {word: number for number, word in enumerate(vocab)}
likes = [("true", "false"), ("min", "max"), ("first", "second"), ("row", "column")]
near = torch.stack([vectors[place[a]] @ vectors[place[b]] for a, b in likes])
typical = (vectors[1:] @ vectors[1:].T).mean()
claim(
    "Pairs of a kind are nearer than words in general",
    bool((near > typical + 0.1).all()),
)

# %% tags=["nbval-ignore-output"]
for word in ("true", "float", "minimum", "row"):
    nearest = (vectors @ vectors[place[word]]).topk(5).indices[1:]
    print(f"{word:<9} {', '.join(vocab[n] for n in nearest)}")

# %% [markdown]
# *True* is near *false*: they keep the same company. (The four pairs were chosen by hand.) An embedding knows how words are used, and not what is the case. It takes over, too, who was used how: [5.1](../50_fairness/where_bias_comes_from.ipynb) measures professions and gender in embeddings of the news.
#
# ## A language model, and its doubt
#
# A **language model** gives each next word a probability, $P(w_{t+1} \mid w_1, \dots, w_t)$. The simplest looks one word back: a **bigram** model, a table of counts. A pair that was never seen would get probability 0; so some of the weight is given to the words by their frequency (**smoothing**).
#
# How good is it? **Perplexity** is the inverse of the probability that the true words got, as a geometric mean over the $n$ words of a text:
#
# $$
# \mathrm{PP} = \Bigl(\prod_{t=1}^{n} \frac{1}{P(w_t \mid w_1, \dots, w_{t-1})}\Bigr)^{1/n} = e^{\text{mean cross-entropy}}.
# $$ (eq-word-perplexity)
#
# In words: the model is as unsure as if it had to choose among PP words that are equally likely. A model that knows nothing, and gives each word $1/V$, has perplexity $V$, exactly.


# %%
def perplexity(probabilities):
    """Of the probabilities that a model gave to the words that came."""
    p = torch.as_tensor(probabilities, dtype=torch.float64)
    if p.numel() == 0 or not ((p >= 0) & (p < 1 + 1e-6)).all():
        raise ValueError("expected probabilities, of one word or more")
    return math.exp(-p.log().mean().item())


def bigram(text, size, smoothing):
    """A table [size, size]: each row adds up to 1; `smoothing` counts are spread."""
    counts = torch.zeros(size, size, dtype=torch.float64)
    ones = torch.ones(len(text) - 1, dtype=torch.float64)
    counts.index_put_((text[:-1], text[1:]), ones, accumulate=True)
    single = torch.bincount(text, minlength=size).double() + 1
    single /= single.sum()
    total = counts.sum(1, keepdim=True)
    return (counts + smoothing * single) / (total + smoothing).clamp(min=1e-300)


# %%
uniform = perplexity(torch.full((1000,), 1 / V))
claim("Knowing nothing: perplexity V", abs(uniform - V) < 1e-6 * V)
table = bigram(train, V, smoothing=10)
one_back = perplexity(table[test[:-1], test[1:]])
frequent = torch.bincount(train, minlength=V) + 1.0
by_count = perplexity((frequent / frequent.sum())[test[1:]])
claim("Counting words: under a fifth of V", by_count < V / 5)
claim("One word back: a fifth less again", one_back < 0.85 * by_count)
raw = bigram(train, V, smoothing=0)
claim("Without smoothing: infinite", perplexity(raw[test[:-1], test[1:]]) > 1e300)

# %% [markdown]
# ### What goes wrong: how it deceives
#
# **Vocabulary**: with $V = 500$ most rare words are "unknown", which is easy to guess; two perplexities over different vocabularies can't be compared. **Overlap**: text that is in the training data has a low perplexity; that is how one finds what a model has memorised ([6.6](../60_privacy/memory_and_forgetting.ipynb)).
# **Units**: per word, per letter, per token. **Mean**: one impossible word makes it infinite, and a thousand dull ones hide what matters.

# %%
tiny = {size: vocabulary(seen, size) for size in (50, 500)}
small = {size: numbered(seen, v) for size, v in tiny.items()}
other = {size: numbered(held_out, v) for size, v in tiny.items()}
scores = {
    size: perplexity(bigram(small[size], size, 10)[other[size][:-1], other[size][1:]])
    for size in tiny
}
claim("Fewer words, lower perplexity, and a poorer model", scores[50] < scores[500] / 2)

# %% [markdown]
# ## A network with a memory
#
# A table that looks two or three words back has $V^2$, $V^3$ rows, and most stay empty. A **recurrent** network keeps a summary instead: a hidden state $h_t$, made of the last one and the new input by the same weights at every step {cite}`elman1990finding`:
#
# $$
# h_t = \tanh(U x_t + R\, h_{t-1}), \qquad z_t = W h_t.
# $$ (eq-word-rnn)
#
# In words: what I knew, mixed with what I read. Because $U$, $R$ and $W$ are shared over time, the gradient of each is the *sum* over all steps of what came back at that step: **backpropagation through time**. By hand, for the loss at the last step:


# %%
def recurrent(x, U, R):
    """All hidden states [n + 1, hidden] for a sequence x [n, inputs], from zero."""
    states = [torch.zeros(len(R), dtype=x.dtype)]
    for step in x:
        states.append(torch.tanh(U @ step + R @ states[-1]))
    return torch.stack(states)


# %%
def through_time(x, U, R, back):
    """Gradients of back · h_n for U, R and x, by hand."""
    states = recurrent(x, U, R)
    dU, dR, dx = torch.zeros_like(U), torch.zeros_like(R), torch.zeros_like(x)
    for t in range(len(x), 0, -1):
        inside = back * (1 - states[t] ** 2)  # through tanh
        dU += torch.outer(inside, x[t - 1])
        dR += torch.outer(inside, states[t - 1])
        dx[t - 1] = U.T @ inside
        back = R.T @ inside  # one step earlier
    return dU, dR, dx


double = {"dtype": torch.float64, "generator": generator}
x = torch.randn(12, 3, **double).requires_grad_()
U = (0.5 * torch.randn(5, 3, **double)).requires_grad_()
R = (0.4 * torch.randn(5, 5, **double)).requires_grad_()
goal = torch.randn(5, **double)

# %%
mine = through_time(x.detach(), U.detach(), R.detach(), goal)
theirs = torch.autograd.grad(recurrent(x, U, R)[-1] @ goal, (U, R, x))
gap = max((a - b).abs().max().item() for a, b in zip(mine, theirs, strict=True))
claim("By hand and by autograd: equal up to rounding", gap < 1e-12)

# %% [markdown]
# ## Short memory, and a cell that keeps
#
# At each step back the signal is multiplied by $R$ and by a slope of at most 1. After some steps nothing is left, as in a deep network of sigmoids ([0.4](networks.ipynb)): what was read thirty words ago has no influence that training could find.
#
# The **LSTM** {cite}`hochreiter1997long` adds a second state, the cell $c_t$, that is changed by *adding*, not by mixing, and three gates that are learnt, each a logistic function of the input and the last state: $f_t$ what to keep, $i_t$ what to write, $o_t$ what to show. With $\tilde c_t$ for what might be written, a tanh of the same two, and $\odot$ for a product number by number:
#
# $$
# c_t = f_t \odot c_{t-1} + i_t \odot \tilde c_t, \qquad h_t = o_t \odot \tanh c_t.
# $$ (eq-word-lstm)


# %%
def lstm_step(x, h, c, W_x, W_h, bias):
    """One step, with PyTorch's order of gates: write, forget, new, show."""
    write, forget, new, show = (W_x @ x + W_h @ h + bias).chunk(4)
    c = forget.sigmoid() * c + write.sigmoid() * new.tanh()
    return show.sigmoid() * c.tanh(), c


cell = nn.LSTMCell(3, 5, dtype=torch.float64)
h, c = torch.zeros(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
theirs = (h[None], c[None])
for step in x.detach():
    bias = cell.bias_ih + cell.bias_hh
    h, c = lstm_step(step, h, c, cell.weight_ih, cell.weight_hh, bias)
    theirs = cell(step[None], theirs)
gap = (h - theirs[0][0]).abs().max() + (c - theirs[1][0]).abs().max()
claim("Twelve steps as PyTorch's cell", gap.item() < 1e-12)


# %%
def reach(network, steps=60, inputs=16):
    """How much the input at each distance moves the last state, beside the last."""
    x = torch.randn(1, steps, inputs, generator=torch.Generator().manual_seed(seed()))
    x.requires_grad_()
    states, _ = network(x)
    (slope,) = torch.autograd.grad(states[0, -1].square().sum(), x)
    sizes = slope[0].norm(dim=1).flip(0)  # distance 0 first
    return sizes / sizes[0]


plain, gated, open_gate = (
    kind(16, 32, batch_first=True) for kind in (nn.RNN, nn.LSTM, nn.LSTM)
)
with torch.no_grad():
    open_gate.bias_hh_l0[32:64] = 5.0  # forget nothing, to begin with

# %%
reaches = {
    "recurrent": reach(plain),
    "LSTM": reach(gated),
    "LSTM, forget gate open": reach(open_gate),
}
claim("Recurrent: 40 steps back, under 1e-6", reaches["recurrent"][40] < 1e-6)
kept = reaches["LSTM, forget gate open"][40]
claim("An LSTM that forgets nothing: over 1e-3", kept > 1e-3)

# %% tags=["hide-input", "fig-word-memory"] mystnb={"image": {"alt": "The influence of an input on the last state, on a logarithmic axis, over its distance from 0 to 60 steps. The recurrent network's line falls below one in a million after some twenty steps; the fresh LSTM's falls half as fast; with an open forget gate it does not die away."}}
figure, axis = plt.subplots(figsize=(6, 2.9))
for (name, sizes), style in zip(reaches.items(), ("-", "--", ":"), strict=True):
    axis.semilogy(sizes, style, label=name)
axis.set(xlabel="distance in steps", ylabel="influence", ylim=(1e-12, 5))
axis.legend(loc="lower left")
plt.show()

# %% [markdown]
# *How far the past reaches, before any training.* The cell makes a long memory possible; a forget gate that is half open, as it is by default, takes half of the cell away at each step. So it is often started open.
#
# ## The two side by side
#
# Now a language model with an LSTM, on the same words, judged on the package that it never saw.


# %%
class LanguageModel(nn.Module):
    """Word numbers [n, steps] to logits for the next word [n, steps, V]."""

    def __init__(self, size, dimensions=48, hidden=96):
        super().__init__()
        self.embedding = nn.Embedding(size, dimensions)
        self.memory = nn.LSTM(dimensions, hidden, batch_first=True)
        self.head = nn.Linear(hidden, size)

    def forward(self, words):
        return self.head(self.memory(self.embedding(words))[0])


def windows(text, steps):
    """Inputs and the words that follow them, in rows of `steps`."""
    n = (len(text) - 1) // steps * steps
    return text[:n].view(-1, steps), text[1 : n + 1].view(-1, steps)


# %%
def teach(model, text, generator, steps=32, rows=4000, epochs=2):
    inputs, follow = windows(text, steps)
    chosen = torch.randperm(len(inputs), generator=generator)[:rows]
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(epochs):
        for batch in chosen[torch.randperm(len(chosen), generator=generator)].split(32):
            logits = model(inputs[batch]).flatten(0, 1)
            loss = F.cross_entropy(logits, follow[batch].flatten())
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # none may explode
            optimiser.step()


# %%
model = LanguageModel(V)
teach(model, train, generator)
inputs, follow = windows(test, 32)
with torch.no_grad():
    p = model(inputs).softmax(2).gather(2, follow[:, :, None]).flatten()
with_memory = perplexity(p)
claim("The network doubts less than the table", with_memory < one_back)

# %% tags=["hide-input", "fig-word-perplexity"] mystnb={"image": {"alt": "Four horizontal bars of perplexity on the held-out package, on a logarithmic axis: uniform 500, word counts about 50, one word back about 35, LSTM about 31."}}
bars = {
    "uniform": uniform,
    "word counts": by_count,
    "one word back": one_back,
    "LSTM": with_memory,
}
figure, axis = plt.subplots(figsize=(6, 2))
axis.barh(list(bars), list(bars.values()), color=COLOURS["blue"])
axis.set(xscale="log", xlabel="perplexity on a package that was never seen")
axis.invert_yaxis()
plt.show()

# %% [markdown]
# *How many words each model hesitates between.* Where in a sentence the network gains, is the question of Exercise 2.
#
# Since 2017 most language models have no recurrence. In a **transformer** {cite}`vaswani2017attention` each word looks at all earlier ones directly, and weighs them by how well a query fits a key: $\operatorname{softmax}(Q K^\top / \sqrt d)\, V$, with $V$ for once the values. No signal has to travel through time, so nothing vanishes on the way, and all steps are computed at once; the price grows with the square of the length.
# This book needs no more of it ([6.6](../60_privacy/memory_and_forgetting.ipynb) asks what such models remember, [7.4](../70_watermarking/generated.ipynb) marks what they write); Jurafsky and Martin {cite}`jurafsky2025speech` and *Dive into Deep Learning* {cite}`zhang2023dive` derive it.
#
# ## The card, and an honest judgement
#
# The [card of the docstrings](../../book/data_cards/docstrings.md) says who wrote them: people whose names stand in the packages' histories, under licences that permit this. A model of the web has no such card. For an honest number: hold out whole sources, name vocabulary and units, and give the perplexity of a plain model beside it, as above.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *The wrong split.* Hold out every tenth stretch of 32 words of the training text, in place of a package. The bigram has seen what stands on both sides of each stretch. Is its perplexity lower there than on skimage? Explain, and find a comparison that is fair.
#
# <details><summary>Hint 1: rows</summary>
#
# `windows(train, 32)` has rows; take every tenth for testing, and fit on the others.
#
# </details>
#
# <details><summary>Hint 2: what is easy to guess</summary>
#
# How many of the words are unknown, here and there? Count only the words that the model knows.
#
# </details>

# %% tags=["hide-cell"]
# Solution: no, it is higher! Nearly two in five of skimage's words are "unknown", which
# is easy to guess. On known words the random split is the kinder one, as it should be.
rows, after = windows(train, 32)
tenth = torch.arange(len(rows)) % 10 == 0
inside = bigram(rows[~tenth].flatten(), V, 10)
lenient = inside[rows[tenth].flatten(), after[tenth].flatten()]
strict = inside[test[:-1], test[1:]]
claim("All words: skimage looks easier", perplexity(strict) < perplexity(lenient))
known_there, known_here = strict[test[1:] > 0], lenient[after[tenth].flatten() > 0]
harder = perplexity(known_there) / perplexity(known_here)
claim("Known words: it is harder, by a fifth at least", harder > 1.2)

# %% [markdown]
# **Exercise 2** (15 minutes). *Does it remember?* Put other rows' words in place of all but the last eight of each row, and compare the LSTM's perplexity on the last four before and after. Does it use what stands further back than four words?
#
# <details><summary>Hint: only the last</summary>
#
# Take `logits[:, -4:]` and compare with `follow[:, -4:]`.
#
# </details>

# %% tags=["hide-cell"]
# Solution: hardly. The model uses the last few words; in its seconds of training it has
# learnt no more, though its cell could.


def late(rows):
    with torch.no_grad():
        p = model(rows)[:, -4:].softmax(2).gather(2, follow[:, -4:, None])
    return perplexity(p.flatten())


mixed = inputs.clone()
mixed[:, :-8] = inputs.roll(len(inputs) // 2, 0)[:, :-8]
claim("Far words hardly count", late(mixed) < 1.15 * late(inputs))

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Model A has perplexity 30 with 1,000 words, model B 60 with 50,000 words. Which is better?
# - A :: It may do worse than counting, on its 1,000 words.
# + That can't be said :: With fewer words more of the text is "unknown", and easy.
# - B :: It may be; the two numbers don't tell.
# ? In an embedding, "true" and "false" are neighbours. Is that a fault?
# + No: they keep the same company, and that is all that was asked :: For meaning one must ask something else.
# - Yes: opposites should be far apart :: The training never said so.
# - Yes: too few data :: With more data they are neighbours, too.
# ? Why is the gradient of $R$ a sum over time?
# + The same weights act at every step :: Each step's share adds up.
# - Because the loss is a sum over words :: Also for a loss at the last step alone.
# - It is a product, not a sum :: Along one path back it is a product; the paths add up.
# ? A language model gives a sentence an unusually low perplexity, far lower than other models do. What may be the reason?
# - The sentence is true :: Likely is not true.
# + It was in its training data :: That is how memorised text is found: chapter 6.
# - It has few words :: The mean does not depend on the number.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** One number, the probability of what came, trains and judges a model of any text. Shared weights read sequences of any length.
#
# **Limitations.** Likely is not true. A vocabulary of 500 words speaks no language. The memory of recurrent networks is short in practice, and training can't be done side by side.
#
# **Software and further reading.** gensim has Word2Vec; PyTorch `nn.LSTM`; the transformers library the large models. Jurafsky and Martin's book {cite}`jurafsky2025speech` is free, and the best introduction.
#
# ## What to take away
#
# A word is where it stands. Perplexity is honest doubt, if vocabulary, source and units are named. A signal that is multiplied at each step dies; one that is added lives. Next: [representations](representations.ipynb).
