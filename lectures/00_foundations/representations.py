# %% [markdown]
# # 0.7 Representations: codes, generators, borrowed features
#
# What a network keeps of an image on its way to an answer is a representation of it: few numbers that say much. This lecture builds representations without labels, turns them round to make images that nobody drew, lets two networks fight over what looks real, and borrows features that were learnt for another task.
# Each of these comes back later as a weapon or as a shield.
#
# **What you will learn**
#
# - an autoencoder, plain and denoising, and what its codes are good for;
# - the variational autoencoder: two losses, one bound, and why its codes can be drawn;
# - generative adversarial networks: the best discriminator, a mode that is forgotten, and an adversarial autoencoder;
# - transfer learning: which layers to freeze, when it helps, and what moves although it is frozen.
#
# **Before you start**: [0.4](networks.ipynb), [0.5](convolution.ipynb). The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 25 minutes to read; {{ cpu_seconds }} to run.

# %%
import copy
import math

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.models import VAE, Autoencoder, SmallCNN, elbo, mnist_gan
from tml_helpers.plotting import COLOURS, show_images, use_style
from tml_helpers.training import accuracy, fit, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question: what is worth keeping?
#
# An **autoencoder** is a network that answers with its own input, through a narrow place: an encoder $E$ writes the image down in few numbers, the **code** $u = E(x)$, and a decoder $D$ reads it back. Nobody labels anything. What fits through the narrow place has to be what images have in common {cite}`hinton2006reducing`. With one linear layer each, it would be the principal
# components of [0.2](learning.ipynb). The data are digits ([card](../../book/data_cards/mnist.md)).

# %%
train, test = mnist("train"), mnist("test")
train, test = train.select(slice(4000)), test.select(slice(1000))


def reading_back(model, images, targets):
    """Binary cross-entropy of each pixel, as if ink were a probability."""
    return F.binary_cross_entropy(model(images), targets)


plain = Autoencoder(2)
pairs = TensorDataset(train.images, train.images)
settings = {"learning_rate": 3e-3, "batch_size": 64, "generator": generator}
losses = fit(plain, pairs, epochs=10, loss=reading_back, **settings)
claim("It learns to read back", losses[-1] < 0.85 * losses[0])

# %% [markdown]
# A **denoising** autoencoder gets a spoilt image and has to give back the clean one {cite}`vincent2008extracting`. It must know what digits look like. With sixteen numbers for a code:


# %%
def spoilt(images):
    """Gaussian noise of deviation 0.4, cut off at black and white."""
    noise = torch.randn(images.shape, generator=generator)
    return (images + 0.4 * noise).clamp(0, 1)


cleaner = Autoencoder(16)
noisy = TensorDataset(spoilt(train.images), train.images)
fit(cleaner, noisy, epochs=8, loss=reading_back, **settings)
bad = spoilt(test.images)
with torch.no_grad():
    better = cleaner(bad)

# %%
before, after = (
    (image - test.images).square().mean().item() for image in (bad, better)
)
claim("It takes away over half of the squared error", after < before / 2)

# %% tags=["hide-input", "fig-rep-denoise"] mystnb={"image": {"alt": "Three rows of eight digits: clean, with heavy grain, and as the denoising autoencoder gives them back: without grain, a little blurred, one or two of them changed."}}
show_images(
    torch.cat([test.images[:64:8], bad[:64:8], better[:64:8]]), columns=8, size=0.85
)
plt.show()

# %% [markdown]
# *Clean, spoilt, cleaned.* It is tempting to put such a cleaner in front of a classifier, against adversarial noise. [2.5](../20_adversarial/defenses.ipynb) shows what becomes of that when the attacker knows of it: the cleaner is a network, too.
#
# ## Codes that can be drawn
#
# Take a random code and decode it: with the plain autoencoder the result is mostly no digit, because nothing says where in the plane the codes lie. A **variational autoencoder** (VAE) says it {cite}`kingma2014auto`. Its encoder names not a point but a law for the code, $q(u \mid x) = \mathcal N(\mu(x), \sigma^2(x))$; the code is drawn from it; and it pays for each nat by which that law differs from
# $\mathcal N(0, 1)$:
#
# $$
# \log p(x) \;\ge\; \mathbb E_{u \sim q}\bigl[\log p(x \mid u)\bigr] - \mathrm{KL}\bigl(q(u \mid x)\,\|\,\mathcal N(0, 1)\bigr).
# $$ (eq-rep-elbo)
#
# In words: the probability of the image, under a model that draws a code and decodes it, is at least what reading back achieves, minus what the code gives away about the image. Two losses: one wants codes that tell images apart, the other wants codes that look like noise. The divergence of two Gaussians has a closed form, $\tfrac12 \sum_j (\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2)$. And since the draw is written $u = \mu + \sigma \cdot \text{noise}$,
# gradients pass through it.


# %%
def divergence(mean, log_variance):
    """KL(N(mean, variance) ‖ N(0, 1)), added up over the code."""
    return (mean**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2


variational = VAE(2)
data = TensorDataset(train.images, train.labels)  # `fit` wants pairs; labels are unused


def gives_up(model, images, _):
    return elbo(model, images, generator=generator).loss


losses = fit(variational, data, epochs=10, loss=gives_up, **settings)
claim("The bound rises", losses[-1] < losses[0] - 30)

# %%
with torch.no_grad():
    law = variational.encode(test.images)
    found = elbo(variational, test.images, generator=generator)
gap = (divergence(law.mean, law.log_variance) - found.divergence).abs().max().item()
claim("By hand and by library: the same divergence", gap < 1e-3)

# %%
u = law.mean[:1] + (law.log_variance[:1] / 2).exp() * torch.randn(
    200_000, 2, generator=generator
)
there = torch.distributions.Normal(law.mean[:1], (law.log_variance[:1] / 2).exp())
drawn = (there.log_prob(u) - torch.distributions.Normal(0, 1).log_prob(u)).sum(1).mean()
close = abs(drawn.item() - found.divergence[0].item())
claim("and by 200,000 draws, within a tenth of a nat", close < 0.1)

# %% tags=["hide-input", "fig-rep-codes"] mystnb={"image": {"alt": "Two clouds of dots, the codes of a thousand digits, coloured by digit. Left, autoencoder: arms that reach far out, up to ten and more, with gaps between them. Right, variational autoencoder: one round cloud of radius about 3 around zero, without gaps."}}
with torch.no_grad():
    codes = {"autoencoder": plain.encode(test.images), "variational": law.mean}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.2))
for axis, (name, cloud) in zip(axes, codes.items(), strict=True):
    axis.scatter(*cloud.T, c=test.labels, cmap="tab10", s=5)
    axis.set(title=name, xlabel="first number")
axes[0].set(ylabel="second number")
plt.show()

# %% [markdown]
# *The same digits in two planes; colours are digits, which neither network was told.* On the right every place is lived in, so a walk through the plane is a walk through digits:

# %%
spread = codes["autoencoder"].std().item()
drawn_spread = (law.mean.var(0) + law.log_variance.exp().mean(0)).sqrt()
claim(
    "The plain codes are spread over 1.3 times as far",
    spread > 1.3 * drawn_spread.max(),
)
near_one = (drawn_spread > 0.3) & (drawn_spread < 2)
claim("The drawn ones have a deviation of 0.3 to 2", bool(near_one.all()))

# %% tags=["hide-input", "fig-rep-grid"] mystnb={"image": {"alt": "A grid of ten by ten small digits, decoded from codes on a grid: neighbours look alike, and from one side to the other zeros turn into other digits, with blurred in-between forms."}}
steps = torch.distributions.Normal(0, 1).icdf(torch.linspace(0.03, 0.97, 10))
grid = torch.cartesian_prod(steps, steps)
with torch.no_grad():
    walk = variational.decode(grid)  # (100, 1, 28, 28)
sheet = walk.view(10, 10, 28, 28).permute(0, 2, 1, 3).reshape(280, 280)
figure, axis = plt.subplots(figsize=(4.6, 4.6))
axis.imshow(sheet, cmap="gray_r")
axis.axis("off")
plt.show()

# %% [markdown]
# *One hundred images that nobody drew, one for each place in the plane.* They are blurred: two numbers can't say more, and where the model is unsure it paints the mean. Grey pixels are taken as shares of ink here; the bound is one for black and white images.
#
# ## Two networks that fight
#
# A **generative adversarial network** (GAN) has no bound and no code for a given image. A **generator** $G$ turns noise $u$ into an image; a **discriminator** $C$ is shown real and made ones and says which is which; each is trained against the other {cite}`goodfellow2014generative`. For a fixed generator the best discriminator is known:
#
# $$
# C^*(x) = \frac{p_{\text{real}}(x)}{p_{\text{real}}(x) + p_{\text{made}}(x)}.
# $$ (eq-rep-best)
#
# In words: how much of what lies at $x$ is real. If the two laws are equal it is one half everywhere, and that is where the game ends. We check it on one dimension, where both laws are known.


# %%
def dense(*widths):
    """Linear layers with leaky ReLU between them."""
    layers = []
    for width, following in zip(widths, widths[1:]):  # noqa: B905, RUF007
        layers += [nn.Linear(width, following), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def telling_apart(critic, real, made):
    """The discriminator's loss: real is 1, made is 0."""
    yes, no = critic(real), critic(made)
    return (
        F.binary_cross_entropy_with_logits(yes, torch.ones_like(yes))
        + F.binary_cross_entropy_with_logits(no, torch.zeros_like(no))
    ) / 2


# %%
def step(optimiser, loss):
    """One step of this optimiser down this loss."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


critic = dense(1, 32, 32, 1)
optimiser = torch.optim.Adam(critic.parameters(), 3e-3)
for _ in range(600):
    real = torch.randn(256, 1, generator=generator)
    made = 1.5 + torch.randn(256, 1, generator=generator)
    step(optimiser, telling_apart(critic, real, made))
line = torch.linspace(-1.5, 3, 50)[:, None]

# %%
best = 1 / (1 + torch.exp(1.5 * line - 1.5**2 / 2))  # the ratio of the two normal laws
with torch.no_grad():
    off = (critic(line).sigmoid() - best).abs().mean().item()
claim("The trained one is the known one, within 0.05", off < 0.05)

# %% [markdown]
# Now the whole game, on eight clouds in a ring. What goes wrong is famous: where the generator runs ahead, it makes one lump, on one cloud or on none, since that is enough to fool the discriminator of the moment. This is **mode collapse**.


# %%
def ring(n, generator):
    """Points of eight small clouds on a circle of radius 2."""
    angle = 2 * math.pi * torch.randint(8, (n,), generator=generator) / 8
    centre = 2 * torch.stack([angle.cos(), angle.sin()], dim=1)
    return centre + 0.05 * torch.randn(n, 2, generator=generator)


# %%
def play(rate_made, rate_told, steps, generator):
    """A generator of points, trained against a discriminator."""
    maker, critic = dense(2, 64, 64, 2), dense(2, 64, 64, 1)
    makes = torch.optim.Adam(maker.parameters(), rate_made, betas=(0.5, 0.999))
    tells = torch.optim.Adam(critic.parameters(), rate_told, betas=(0.5, 0.999))
    for _ in range(steps):
        made = maker(torch.randn(128, 2, generator=generator))
        step(tells, telling_apart(critic, ring(128, generator), made.detach()))
        step(makes, F.softplus(-critic(made)).mean())  # to be called real
    return maker


# %%
def on_a_cloud(points):
    """The share of points within 0.3 of a centre."""
    angle = 2 * math.pi * torch.arange(8) / 8
    centres = 2 * torch.stack([angle.cos(), angle.sin()], dim=1)
    return ((points[:, None] - centres).norm(dim=2).min(1).values < 0.3).float().mean()


balanced = play(1e-3, 1e-3, 1000, generator)
ahead = play(5e-3, 1e-4, 1000, generator)
with torch.no_grad():
    made = {
        "equal rates": balanced(torch.randn(1000, 2, generator=generator)),
        "generator ahead": ahead(torch.randn(1000, 2, generator=generator)),
    }

# %%
claim(
    "In balance, over a third lies on the clouds",
    on_a_cloud(made["equal rates"]) > 1 / 3,
)

# %% tags=["hide-input", "fig-rep-ring"] mystnb={"image": {"alt": "Three panels. Real: eight small clouds in a ring. Equal rates: points on all eight, with bridges between neighbours. Generator ahead: points in one lump or a short streak, off most clouds."}}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.5), sharex=True, sharey=True)
for axis, (name, points) in zip(
    axes, {"real": ring(1000, generator), **made}.items(), strict=True
):
    axis.scatter(*points.T, s=2, color=COLOURS["blue"])
    axis.set(title=name, xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal")
plt.show()

# %% [markdown]
# *Real points, and two generators.* No loss said which of the two is good: the generator's loss is small where it fools *this* discriminator. For digits the book carries a trained one, `mnist_gan`, made with a more patient kind of game; [1.4](../10_distillation/without_the_data.ipynb) distils with such generators, [2.4](../20_adversarial/black_box.ipynb) attacks with it, and [6.4](../60_privacy/inversion_and_stealing.ipynb) finds faces with it.

# %% tags=["hide-input", "fig-rep-gan"] mystnb={"image": {"alt": "Sixteen digits in two rows, made by the generator that comes with the book: sharp, of many styles, one or two of them malformed."}}
gan = mnist_gan()
latents = torch.randn(16, 64, generator=generator)
with torch.no_grad():
    show_images(gan.generator(latents), columns=8, size=0.85)
plt.show()

# %% [markdown]
# *Sixteen digits of `mnist_gan`.* Sharper than the VAE's: blur is easy to tell, and the discriminator would.
#
# An **adversarial autoencoder** (AAE) takes the fight into the code {cite}`makhzani2015adversarial`. Three steps in turn: read back, as any autoencoder; train a discriminator to tell drawn codes, $\mathcal N(0, 1)$, from the encoder's; train the encoder so that it fools it. The encoder is the generator. What the VAE's divergence does by a formula, the discriminator does by example, so the law may be any that can be drawn.

# %%
aae, judge = Autoencoder(2), dense(2, 64, 1)
reads = torch.optim.Adam(aae.parameters(), 3e-3)
fools = torch.optim.Adam(aae.encoder.parameters(), 2e-3)
tells = torch.optim.Adam(judge.parameters(), 2e-3)
for _ in range(500):
    images = train.images[torch.randint(4000, (64,), generator=generator)]
    prior = torch.randn(64, 2, generator=generator)
    step(reads, reading_back(aae, images, images))
    step(tells, telling_apart(judge, prior, aae.encode(images).detach()))
    step(fools, F.softplus(-judge(aae.encode(images))).mean())  # to be called real
with torch.no_grad():
    reach = aae.encode(test.images).std(0)

# %%
claim(
    "Its codes keep near the drawn law's size",
    bool(((reach > 0.4) & (reach < 2)).all()),
)

# %% [markdown]
# ## Borrowed features
#
# **Transfer learning** uses what a network learnt for one task, the *source*, for another, the *target*, for which there are few labels. The first layers answer to edges and strokes, which many tasks share, so one **freezes** them and trains the rest. (If it is the data that change and not the task, one speaks of **domain adaptation**.) Our source: digits 0 to 4. Our target: 5 to 9, with two labels for each digit.


# %%
def half(data, low):
    """Five digits from `low` on, counted from 0."""
    mine = (data.labels >= low) & (data.labels < low + 5)
    return TensorDataset(data.images[mine], data.labels[mine] - low)


source, target, goal = half(train, 0), half(train, 5), half(test, 5)
source_net = SmallCNN(width=8, classes=5)
losses = fit(source_net, source, epochs=5, **settings)


# %%
def frozen_below(network, first):
    """A copy with a new last layer, of which the layers before `first` don't train."""
    copied = copy.deepcopy(network)
    copied.layers[-1] = nn.Linear(copied.layers[-1].in_features, 5)
    copied.layers[:first].requires_grad_(False)
    return copied


# %%
def adapt(network, data, generator, epochs=40):
    free = [p for p in network.parameters() if p.requires_grad]
    rate = 2e-3 if len(free) > 2 else 1e-2  # the last layer alone takes larger steps
    optimiser = torch.optim.Adam(free, rate)
    fit(
        network,
        data,
        epochs=epochs,
        optimizer=optimiser,
        batch_size=25,
        generator=generator,
    )
    return accuracy(network, goal)


# %%
def few(data, each, generator):
    """`each` examples of every class."""
    order = torch.randperm(len(data), generator=generator)
    images, labels = data.tensors[0][order], data.tensors[1][order]
    chosen = torch.cat([(labels == k).nonzero()[:each, 0] for k in range(5)])
    return TensorDataset(images[chosen], labels[chosen])


# %%
ways = {"convolutions frozen": 8, "all frozen but the last": 10, "nothing frozen": 0}
scores = {name: [] for name in [*ways, "from scratch"]}
for _ in range(6):
    ten = few(target, 2, generator)
    for name, first in ways.items():
        scores[name].append(adapt(frozen_below(source_net, first), ten, generator))
    scores["from scratch"].append(adapt(SmallCNN(width=8, classes=5), ten, generator))
means = {name: sum(values) / 6 for name, values in scores.items()}
gain = means["convolutions frozen"] - means["from scratch"]
claim("Convolutions frozen: no worse than from scratch, within 2 points", gain > -0.02)
claim(
    "All frozen but the last: worse",
    means["all frozen but the last"] < means["from scratch"],
)

# %% tags=["hide-input", "fig-rep-transfer"] mystnb={"image": {"alt": "Accuracy on new digits 5 to 9 after ten labels, six dots for each of four ways. Convolutions frozen and nothing frozen lie highest, about 65 percent; from scratch a little lower; all frozen but the last lowest, under 55."}}
figure, axis = plt.subplots(figsize=(6, 2.4))
for row, (name, values) in enumerate(scores.items()):
    axis.plot(
        [100 * v for v in values], [row] * 6, "o", alpha=0.6, color=COLOURS["blue"]
    )
    axis.plot(100 * means[name], row, "|", markersize=18, color=COLOURS["orange"])
axis.set_yticks(range(4), scores)
axis.set(xlabel="accuracy on new digits (%)")
axis.invert_yaxis()
plt.show()

# %% [markdown]
# *Ten labels, six draws; orange: the mean.* Freezing the convolutions loses nothing, and mostly gains some points. Freezing too much hurts: the last hidden layer of a network that tells 0 to 4 apart knows nothing of 8 and 9. With some hundred labels training from scratch catches up (Exercise 2). Chapter 3's clean-label attacks live on frozen features ([3.3](../30_poisoning/clean_label.ipynb)): who borrows a network borrows its holes.

# %%
before = source_net.layers[1].weight.clone()
tuned = frozen_below(source_net, 8)
adapt(tuned, few(target, 2, generator), generator, epochs=5)
claim("Frozen weights have not moved", torch.equal(before, tuned.layers[1].weight))
moves = nn.BatchNorm1d(3).requires_grad_(False)  # frozen, and yet
moves(5 + torch.randn(64, 3, generator=generator))
claim(
    "A frozen batch norm moves in training mode", moves.running_mean.min().item() > 0.3
)

# %% [markdown]
# ### What goes wrong
#
# It is in the last line. `requires_grad_(False)` stops gradients; the running mean of a batch norm has none, and goes on moving until the layer is put in `eval()`.
#
# ## How to judge a generator honestly
#
# By eye, one sees the best images and not what is missing. Count modes where they are known, as above; ask a classifier which classes are made; look for the training images nearest to the made ones (copies are no creation, and a privacy problem: [6.6](../60_privacy/memory_and_forgetting.ipynb)).

# %%
with torch.no_grad():
    fresh = gan.generator(torch.randn(200, 64, generator=generator)).flatten(1)
nearest = torch.cdist(fresh, train.images.flatten(1)).min(1).values
usual = torch.cdist(test.images[:200].flatten(1), train.images.flatten(1)).min(1).values
claim(
    "Made digits are no nearer to training digits than new ones",
    nearest.mean() > 0.8 * usual.mean(),
)

# %% [markdown]
# ## Practice
#
# **Exercise 1** (10 minutes). *Between two digits.* Encode a test digit of class 1 and one of class 0 with the VAE, and decode nine codes on the line between them. Do the same with pixels: nine mixtures of the two images. Which of the two looks like digits on the way?
#
# <details><summary>Hint: a line</summary>
#
# `torch.lerp(a, b, w)` for `w` from 0 to 1.
#
# </details>

# %% tags=["hide-cell"]
# Solution: the codes. The pixels' path shows both digits at once, half grey: its middle
# is the mean of its ends, and that of the codes is another image.
two = [test.images[test.labels == k][:1] for k in (1, 0)]
with torch.no_grad():
    ends = [variational.encode(image).mean for image in two]
    way = torch.cat([torch.lerp(*ends, w) for w in torch.linspace(0, 1, 9)])
    path = variational.decode(way)  # (9, 1, 28, 28)
pixels = torch.cat([torch.lerp(*two, w) for w in torch.linspace(0, 1, 9)])


def off_the_mean(images):
    """How far the middle is from the mean of both ends, a pixel on average."""
    return (images[4] - (images[0] + images[8]) / 2).abs().mean().item()


claim("Pixels: the middle is the mean", off_the_mean(pixels) < 1e-6)

# %% tags=["hide-cell"]
claim("Codes: it is not", off_the_mean(path) > 0.01)

# %% [markdown]
# **Exercise 2** (15 minutes). *When does it stop to pay?* Repeat the comparison with twenty labels for each digit. What is left of the gain?
#
# <details><summary>Hint: the functions are there</summary>
#
# `few(target, 20, generator)`; three draws are enough to see it.
#
# </details>

# %% tags=["hide-cell"]
# Solution: little or nothing. With more labels the new task teaches its own features.
gains = []
for _ in range(3):
    hundred = few(target, 20, generator)
    borrowed = adapt(frozen_below(source_net, 8), hundred, generator, epochs=25)
    gains.append(
        borrowed - adapt(SmallCNN(width=8, classes=5), hundred, generator, epochs=25)
    )
claim("With a hundred labels the gain is under 8 points", sum(gains) / 3 < 0.08)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Why can codes be drawn from a VAE and not from a plain autoencoder?
# + The divergence makes the codes of all images together look like $\mathcal N(0, 1)$ :: So a draw from that law lands where the decoder has been.
# - The VAE has more parameters :: A few more, for the variances.
# - Its decoder is random :: The decoder is the same kind of network.
# ? The discriminator of a GAN says 0.5 for everything. What does it mean?
# - The generator is perfect :: Perhaps. Or the discriminator is weak.
# + It cannot tell them apart; look at the images and at what is missing :: Losses of a game are no measure of quality.
# - Training has failed :: It may be the goal.
# ? Which layers should be frozen?
# - All but the last :: It lost against training from scratch, above.
# - None :: With ten labels that was no better than freezing the first.
# + The first ones, as long as labels are few; compare :: How many is decided by a validation set.
# ? A VAE's bound is −160 nats for an image. What is the image's log-probability under the model?
# - −160 :: That is a bound.
# + At least −160 :: How far above, the bound does not say.
# - At most −160 :: The bound is from below.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Structure without labels; images out of numbers; features that can be borrowed.
#
# **Limitations.** A code of two numbers is a toy. VAEs blur, GANs forget, and neither says so. No number tells a good picture. What is borrowed brings its biases and its backdoors along.
#
# **Software and further reading.** diffusers has today's generators, which remove noise step by step; timm and torchvision have networks to borrow from. Murphy's second book {cite}`murphy2023probabilistic` has the theory of all of them. In this book: `models.Autoencoder`, `models.VAE` (with `models.Posterior`), `models.elbo` and its `models.ELBO`, `models.mnist_gan`.
#
# ## What to take away
#
# A narrow place makes a representation; a law for the codes makes a generator; an opponent makes it sharp; a frozen layer makes it cheap. Each is only as good as what it was shown. Next: [a critique](critique.ipynb).
