# %% [markdown]
# # 4.4 Which pixels?
#
# LIME asks a model from outside. This lecture looks inside: a network can be differentiated, and its gradient says which
# pixels its answer leans on. There are many ways to say it, and they do not agree. We derive each, look at it beside the
# photograph, and then play a game whose right answer is known.
#
# **What you will learn**
#
# - to read a gradient as a map, and to say why it is noisy: saliency, SmoothGrad;
# - to share out an answer among pixels so that the shares add up: integrated gradients;
# - to cover and ask again: occlusion;
# - to use what the last convolution knows: CAM and Grad-CAM; and what a transformer looks at: attention rollout;
# - to test a map: does it change with the class, and does it find what is there?
#
# **Before you start**: [LIME](lime.ipynb). The symbols are those of the [notation page](../../book/notation.md), and the
# photographs have a [data card](../../book/data_cards/photos.md).
#
# **Time**: 50 minutes to read; {{ cpu_seconds }} to run.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tml_helpers import explain
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist, photos
from tml_helpers.models import imagenet_classifier
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The question: what did the network look at?
#
# A network that was trained on ImageNet looks at five photographs. It knows a thousand classes, and gives each a logit.

# %%
model = imagenet_classifier().requires_grad_(False)
pictures = photos()
probabilities = predict(model, pictures.images).softmax(dim=1)  # (5, 1000)
best = probabilities.max(dim=1)
said = [pictures.classes[k] for k in best.indices]
x = pictures.images[[0, 4]]  # the cat and the motorcycle
t = best.indices[[0, 4]]
claim("The cat is called an Egyptian cat", said[0] == "Egyptian cat")
claim("The motorcycle is called a moped", said[4] == "moped")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Five photographs in two rows with the network's answer above each: a cat's face, called Egyptian cat; an astronaut before a flag and a model of a rocket; a cup of coffee with a spoon, called espresso; a rocket on its launch pad; and a motorcycle in a garage, called moped."}}
figure, axes = plt.subplot_mosaic("AABBCC\n.DDEE.", figsize=(5.4, 4))
for axis, picture, name, p in zip(
    axes.values(), pictures.images, said, best.values, strict=True
):
    show_image(axis, picture, f"{name}, p = {p:.2f}")
plt.show()

# %% [markdown]
# *Five photographs, five answers.* Some are good, one is excusable: ImageNet has no class for a person. For each one may ask
# which pixels made the answer. From here on, "the answer" is the **target's logit** $z_t$, the number before softmax; $t$ is any
# class that we want explained, and need not be the one that won. Two pictures will do: the cat and the motorcycle.
#
# ## The gradient
#
# Around one image, a network is nearly a linear model, and a linear model is explained by its weights. They are the
# gradient:
#
# $$z_t(x + \eta) \approx z_t(x) + \sum_j \frac{\partial z_t}{\partial x_j}\, \eta_j .$$
#
# In words: if value $j$ of the image grows a little, the logit grows by $\partial z_t / \partial x_j$ times as much. The size of
# this slope is the **saliency map** {cite}`simonyan2014deep`; of the three colours one takes the largest.


# %%
def gradient(images, targets):
    """How fast the target's logit moves with each value of the image."""
    leaf = images.clone().requires_grad_()
    answer = model(leaf).gather(1, targets[:, None]).sum()
    return torch.autograd.grad(answer, leaf)[0]  # (n, 3, 224, 224)


def apart(one, other):
    """How far two maps are apart, as a share of their size: rounding leaves little."""
    return ((one - other).norm() / other.norm()).item()


slope = gradient(x, t)
plain = explain.saliency(model, x, t)
claim(
    "Four lines and explain.saliency agree, up to rounding",
    apart(slope.abs(), plain) < 0.01,
)

# %% [markdown]
# A map is shown here with its highest one per cent cut off, or a few bright pixels would leave the rest black. Signed maps are blue
# where a value speaks for the class and red where it speaks against it.


# %%
def draw(axis, picture, title="", *, signed=False):
    """Draw a map (h, w): dark is much; or blue for, red against."""
    top = picture.abs().flatten().quantile(0.99).clamp_min(1e-12).item()
    colours = (
        {"cmap": "RdBu", "vmin": -top} if signed else {"cmap": "magma_r", "vmin": 0}
    )
    axis.imshow(picture, vmax=top, **colours)
    axis.set_title(title, fontsize=9)
    axis.axis("off")


# %% tags=["hide-input"] mystnb={"image": {"alt": "The cat and the motorcycle, each with its signed gradient beside it, a fine grain of blue and red dots all over; it is denser on the cat's nose and cheek, and densest on a door behind the motorcycle."}}
figure, axes = plt.subplots(1, 4, figsize=(7, 2.1))
for two, picture, g, name in zip(
    (axes[:2], axes[2:]), x, slope, ["cat", "motorcycle"], strict=True
):
    show_image(two[0], picture, name)
    draw(two[1], g.sum(dim=0), "its gradient", signed=True)
plt.show()

# %% [markdown]
# *The gradient is a grain, with at best a shape in it.* Here it is summed over the colours. The dots are denser on the cat's nose; in the garage they are densest on a door
# behind the motorcycle. Neighbours have opposite signs, and hardly two of them form a line. It is not a rounding error. It is what the question asks for: what would an infinitesimal change of one pixel
# do? The network is made of thousands of pieces of linear functions, and the gradient is that of the piece in which the image
# happens to lie.
#
# ## Smooth it by adding noise
#
# If the slope changes from one point to the next, average it over a neighbourhood {cite}`smilkov2017smoothgrad`:
#
# $$\text{SmoothGrad}(x) = \Big|\, \operatorname{mean}_\xi \nabla_x z_t(x + \sigma\, \xi) \Big|, \qquad \xi_j \sim \mathcal N(0, 1) .$$
#
# In words: add noise some ten times, take the gradient each time, average, and take the size. In code one line more; `explain.smooth_grad` does it in batches.

# %%
draws = torch.Generator().manual_seed(seed())
one = torch.stack(
    [x[1] + 0.1 * torch.randn(x[1].shape, generator=draws) for _ in range(3)]
)
by_hand = gradient(one, t[[1]].expand(3)).mean(dim=0).abs()
draws = torch.Generator().manual_seed(seed())
how = {"samples": 3, "sigma": 0.1, "generator": draws}
by_library = explain.smooth_grad(model, x[[1]], t[[1]], **how)[0]
claim(
    "The mean by hand and explain.smooth_grad agree, up to rounding",
    apart(by_hand, by_library) < 0.01,
)
draws = torch.Generator().manual_seed(seed())
smooth = explain.smooth_grad(model, x, t, samples=10, sigma=0.1, generator=draws)

# %% [markdown]
# ## Share out the answer
#
# A slope is not a share. A pixel that decided the answer may have a slope of zero, because the answer is **saturated**: enough
# has been seen, and a little more or less changes nothing. Let the image fade in from black, $\tau x$ with $\tau$ from 0 to 1, and watch
# the logit on its way.

# %%
taus = torch.linspace(0, 1, 21)
fading = taus[:, None, None, None] * x[1]  # (21, 3, 224, 224), black to image
way = predict(model, fading)[:, t[1]]
speed = (gradient(fading[::2], t[[1]].expand(11)) * x[1]).sum(dim=(1, 2, 3))
gained = (way - way[0]) / (way[-1] - way[0])
claim("A tenth of the way brings over half of the gain", gained[2].item() > 0.5)
claim("At the photograph itself the slope is below zero", speed[-1].item() < 0)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: the moped's logit while the photograph fades in from black; it rises steeply from zero to eight in the first tenth of the way and then hardly at all, and falls a little in the end. Right: its slope along the way, a high peak at a tenth, then small, and below zero at the end."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.7))
left.plot(taus, way, color=COLOURS["blue"])
left.set(xlabel="τ, from black to the photograph", ylabel="logit of moped")
right.plot(taus[::2], speed, "o-", color=COLOURS["orange"], ms=4)
right.axhline(0, color=COLOURS["black"], linewidth=0.8)
right.set(xlabel="τ", ylabel="slope of the logit")
plt.show()

# %% [markdown]
# *Most is gained where the picture is still nearly black.* The gradient at the photograph is the right
# end of the right curve: one point of many, and the wrong one to ask where the gain came from. There the logit even falls as the picture grows brighter. So take all of them {cite}`sundararajan2017axiomatic`:
#
# $$\phi_j = (x_j - x_j^0) \int_0^1 \frac{\partial z_t}{\partial x_j}\big(x^0 + \tau (x - x^0)\big)\, \mathrm{d}\tau,
# \qquad \sum_j \phi_j = z_t(x) - z_t(x^0) .$$ (eq-integrated-gradients)
#
# In words: walk straight from a **baseline** $x^0$ to the image, and credit each value with what its change brought, step by step.
# The equation on the right is the fundamental theorem of calculus. It is called **completeness**: nothing is lost and nothing is
# invented. On a computer the integral is a weighted sum over a few points:

# %%
nodes, masses = np.polynomial.legendre.leggauss(12)  # on [-1, 1]
points = torch.tensor((1 + nodes) / 2).float()[:, None, None, None] * x[0]
weights = torch.tensor(masses / 2).float()[:, None, None, None]
mean = (weights * gradient(points, t[[0]].expand(12))).sum(dim=0)  # the integral
by_hand = x[0] * mean  # (3, 224, 224)
few = explain.integrated_gradients(model, x[[0]], t[[0]], steps=12)[0]
claim(
    "By hand and by library the shares are the same, up to rounding",
    apart(by_hand, few) < 0.01,
)
shares = explain.integrated_gradients(model, x, t, steps=32)
start = predict(model, torch.zeros_like(x[:1]))[0, t]
gain = predict(model, x).gather(1, t[:, None]).squeeze(1) - start
off = (shares.sum(dim=(1, 2, 3)) / gain - 1).abs()
off_by_few = (few.sum() / gain[0] - 1).abs()
claim("With 12 steps the cat's sum is off by over half", off_by_few.item() > 0.5)
claim("With 32, both are off by less than a fifth", off.max().item() < 0.2)

# %% [markdown]
# The points are those of Gauss and Legendre, which are exact for polynomials. A ReLU network is none, so the sum is only nearly right, and
# with too few steps it is nonsense. Completeness is a test that you can always run: **look at the sum before you look at the map**.
#
# **The baseline is a choice**, and it decides what can be seen: from black, a black pixel
# has $x_j = x_j^0$ and gets nothing, whatever it means to the network.

# %%
white = explain.integrated_gradients(model, x[[0]], t[[0]], steps=16, baseline=1.0)
from_black, from_white = shares[0].abs().sum(dim=0), white[0].abs().sum(dim=0)
grey = x[0].mean(dim=0)
darkest, brightest = grey < grey.quantile(0.1), grey > grey.quantile(0.9)
tilt = [
    (m[darkest].mean() / m[brightest].mean()).item() for m in (from_black, from_white)
]
claim("From black, dark pixels get less than from white", tilt[0] < 0.5 * tilt[1])

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows, cat and motorcycle, with three maps each: saliency, a fine grain; SmoothGrad, a smoother grain on the face or the vehicle; and integrated gradients from black, with sparse blue and red dots along edges."}}
figure, axes = plt.subplots(2, 3, figsize=(4.8, 3.6))
for row, a, b, c in zip(axes, plain, smooth, shares, strict=True):
    draw(row[0], a.amax(dim=0), "saliency")
    draw(row[1], b.amax(dim=0), "SmoothGrad")
    draw(row[2], c.sum(dim=0), "integrated gradients", signed=True)
plt.show()

# %% [markdown]
# *Three answers to three questions.* Saliency: where is the network sensitive, here? SmoothGrad, with 10 draws: where is it
# sensitive on average nearby? Integrated gradients: which values brought the logit from black to here? None of them says "the network has seen an ear". A person
# adds that, and may be wrong.
#
# ## Cover a part, and ask again
#
# The most direct question needs no gradient {cite}`zeiler2014visualizing`: cover a window, and see how far the logit falls.
#
# $$\text{fall}(\text{window}) = z_t(x) - z_t(x \text{ with the window covered}) .$$
#
# In words: what the answer loses without it. Where windows overlap, a pixel gets the mean of those that cover it.


# %%
def occlusion_by_hand(image, target, window):
    """Windows side by side, covered with mid-grey."""
    cells = 224 // window
    falls = torch.zeros(cells, cells)
    whole = predict(model, image[None])[0, target]
    for row in range(cells):
        for column in range(cells):
            covered = image.clone()
            down, across = (
                slice(row * window, (row + 1) * window),
                slice(column * window, (column + 1) * window),
            )
            covered[:, down, across] = 0.5
            falls[row, column] = whole - predict(model, covered[None])[0, target]
    return falls.repeat_interleave(window, 0).repeat_interleave(window, 1)


coarse = explain.occlusion(model, x[[1]], t[[1]], window=112, baseline=0.5)[0]
claim(
    "The loop and explain.occlusion agree, up to rounding",
    apart(occlusion_by_hand(x[1], t[1], 112), coarse) < 0.01,
)
covered = explain.occlusion(model, x, t, window=56, stride=28, baseline=0.5)

# %% [markdown]
# It costs a forward pass for each window, and any model will do. The many covered images are composed
# [by a kernel](../09_kernels/superpixels.ipynb).
#
# ## The last convolution knows where
#
# This network ends as many do: a last convolution gives maps $A_c$ of 7 × 7 positions, each map is averaged, and one linear
# layer turns the averages into logits. Then one may swap sum and average {cite}`zhou2016learning`:
#
# $$z_t = b_t + \sum_c w_{t,c} \cdot \operatorname{mean}_{ij} A_c(i, j)
# = b_t + \operatorname{mean}_{ij} \underbrace{\sum_c w_{t,c}\, A_c(i, j)}_{\text{CAM}(i, j)} .$$
#
# In words: the logit is the mean of a small map, and the map shows where it comes from. It is exact; nothing was approximated.

# %%
network = model.network
with torch.no_grad():
    maps = network.extract_features(model.normalize(x))  # A: (2, 1280, 7, 7)
    small = torch.einsum("nk,nkij->nij", network._fc.weight[t], maps)  # (2, 7, 7)
logits = predict(model, x).gather(1, t[:, None]).squeeze(1)
claim(
    "The mean of the map, plus the bias, is the logit, up to rounding",
    torch.allclose(small.mean(dim=(1, 2)) + network._fc.bias[t], logits, atol=1e-3),
)
large = F.interpolate(small[:, None], (224, 224), mode="bilinear").squeeze(1)
where = explain.cam(model, x, t)
claim("explain.cam is this map, enlarged, up to rounding", apart(large, where) < 0.01)

# %% [markdown]
# Other networks do not end so. **Grad-CAM** {cite}`selvaraju2017gradcam` replaces the weights by what they are here: the slope of
# the logit with respect to a map, averaged over its positions. Then any convolution will do, in any network.
#
# $$\alpha_c = \operatorname{mean}_{ij} \frac{\partial z_t}{\partial A_c(i, j)},
# \qquad \text{Grad-CAM}(i, j) = \max\Big(0, \sum_c \alpha_c A_c(i, j)\Big) .$$

# %%
leaf = maps.clone().requires_grad_()
answer = network._fc(leaf.mean(dim=(2, 3))).gather(1, t[:, None]).sum()
alpha = torch.autograd.grad(answer, leaf)[0].mean(dim=(2, 3))  # (2, 1280)
weighted = torch.einsum("nk,nkij->nij", alpha, maps).relu()
claim(
    "After the last features Grad-CAM is CAM's positive part / 49, up to rounding",
    apart(49 * weighted, small.relu()) < 0.01,
)
last = network._swish  # what follows the last convolution and its batch norm
by_library = explain.grad_cam(model, x, t, layer=last)
by_hand = F.interpolate(weighted[:, None], (224, 224), mode="bilinear").squeeze(1)
claim("explain.grad_cam agrees, up to rounding", apart(by_library, by_hand) < 0.01)
gradcam = explain.grad_cam(model, x, t)  # its default: the last convolution itself

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows, cat and motorcycle. In each, three coloured maps lie over the photograph in grey: occlusion, CAM and Grad-CAM. For the motorcycle all three light up its body. For the cat, CAM and Grad-CAM light up the middle of the face, and occlusion the chin and the left border."}}
figure, axes = plt.subplots(2, 3, figsize=(5.4, 4))
for row, picture, *blobs in zip(axes, x, covered, where, gradcam, strict=True):
    names = ["occlusion", "CAM", "Grad-CAM"]
    for axis, blob, name in zip(row, blobs, names, strict=True):
        show_image(axis, picture.mean(dim=0, keepdim=True).mul(-1).add(1), name)
        axis.imshow(blob.clamp_min(0), cmap="magma", alpha=0.6)
plt.show()

# %% [markdown]
# *Blobs, and they make sense at once, where they agree.* Bright is much. On the motorcycle all three do. On the cat they do not: CAM finds the
# face, and covering a piece of the face hurts little, since enough of it is left; covering the chin hurts more. Both methods are right: they answer two
# questions.
#
# Be careful with how convincing a blob is. CAM has 49 numbers, drawn as 50,176: the soft
# edges come from enlarging, and a position of the last layer has seen far more of the picture than the square over which it is
# drawn. Grad-CAM and occlusion, cut at zero, hide what spoke **against** the class.
#
# ## Where a transformer looks
#
# A vision transformer {cite}`dosovitskiy2021image` has no maps. It cuts the image into patches, makes a **token** of each, puts a
# class token in front, and lets every token look at every other. In each layer and head, row $i$ of the attention matrix
# $\text{Att} = \operatorname{softmax}(\text{queries} \cdot \text{keys}^\top / \sqrt{\text{width}})$ says how token $i$ shares out its look. Each token has
# a query and a key, vectors of that width, `q` and `k` in the code. Here is one, small enough to train
# while you wait. First a layer:


# %%
class Layer(nn.Module):
    """Tokens look at each other, then each thinks by itself; two residuals."""

    def __init__(self, width=32, heads=4):
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens):
        parts = self.mix(self.before(tokens)).unflatten(2, (3, self.heads, -1))
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # each (n, heads, tokens, width / heads)
        attention = (q @ k.transpose(2, 3) / q.shape[3] ** 0.5).softmax(dim=3)
        tokens = tokens + self.out((attention @ v).transpose(1, 2).flatten(2))
        return tokens + self.think(self.between(tokens)), attention


# %% [markdown]
# Two small convolutions make a token of each 4 × 4 patch of a digit: $7 \times 7 = 49$ tokens, and the class token in front. The
# [MNIST digits](../../book/data_cards/mnist.md) are those of the former chapters.


# %%
class SmallTransformer(nn.Module):
    def __init__(self, width=32, depth=2):
        super().__init__()
        self.patches = nn.Sequential(
            nn.Conv2d(1, 16, 4, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(16, width, 4, stride=2, padding=1),
        )
        self.first = nn.Parameter(torch.zeros(1, 1, width))
        self.place = nn.Parameter(0.02 * torch.randn(1, 50, width))
        self.layers = nn.ModuleList(Layer(width) for _ in range(depth))
        self.head = nn.Linear(width, 10)

    def forward(self, images, attentions=None):
        tokens = self.patches(2 * images - 0.26).flatten(2).transpose(1, 2)
        first = self.first.expand(len(images), -1, -1)
        tokens = torch.cat([first, tokens], dim=1) + self.place  # (n, 50, width)
        for layer in self.layers:
            tokens, attention = layer(tokens)
            if attentions is not None:
                attentions.append(attention)  # (n, heads, 50, 50)
        return self.head(tokens[:, 0])


# %%
train, test = mnist("train").select(slice(4000)), mnist("test").select(slice(1000))
generator = seed_everything(seed())
transformer = SmallTransformer()
rate = {"learning_rate": 5e-3, "batch_size": 64}
fit(transformer, train, epochs=3, generator=generator, **rate)
claim("It reads over 70 % of new digits", accuracy(transformer, test) > 0.7)

# %% [markdown]
# What does the class token look at? In the last layer, row 0 of $\text{Att}$ tells, averaged over heads. But the tokens that it looks at
# have themselves looked around in the layer before. **Attention rollout** {cite}`abnar2020quantifying` follows the looks
# through all layers: it takes each layer for a mixture, half of what a token was and half of what it looked at,
# and multiplies.
#
# $$\text{Mix}_l = \tfrac12 \operatorname{mean}_{\text{heads}} \text{Att}_l + \tfrac12 \mathrm{Id},
# \qquad \text{Rollout} = \text{Mix}_{\text{last}} \cdots \text{Mix}_2\, \text{Mix}_1 .$$

# %%
digits = test.images[:4]
attentions = []
with torch.no_grad():
    answers = transformer(digits, attentions).argmax(dim=1)
half = [0.5 * a.mean(dim=1) + 0.5 * torch.eye(50) for a in attentions]
rollout = explain.attention_rollout(attentions)  # (4, 50, 50)
claim(
    "Two matrices, multiplied, are explain.attention_rollout, up to rounding",
    torch.allclose(half[1] @ half[0], rollout, atol=1e-5),
)
row_sums = rollout.sum(dim=2)
claim("Its rows add up to 1, up to rounding", (row_sums - 1).abs().max() < 1e-4)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four handwritten digits in a row; below each, the last layer's attention of the class token and the rollout, as 7 by 7 squares; the attention has few dark squares; those of the rollout are more and follow the strokes roughly."}}
figure, axes = plt.subplots(3, 4, figsize=(6, 4.6))
looks = [attentions[-1].mean(dim=1)[:, 0, 1:], rollout[:, 0, 1:]]
for column, digit, answer in zip(axes.T, digits, answers, strict=True):
    show_image(column[0], digit, f"read as {answer}")
for row, look in zip(axes[1:], looks, strict=True):
    for axis, cells in zip(row, look, strict=True):
        draw(axis, cells.view(7, 7))
for row, name in zip(axes, ["digit", "last layer", "rollout"], strict=True):
    row[0].text(-0.15, 0.5, name, transform=row[0].transAxes, ha="right", va="center")
plt.show()

# %% [markdown]
# *Where the class token looks.* The last layer alone looks at a few patches; the rollout, which adds what these have seen, comes nearer to the stroke. Dark squares on
# empty paper are no mistake: paper tells digits apart as well. Note what is
# missing in the formula: **the class**. There is no $t$ in it. The same map "explains" every answer. Nor are the
# values in it, so a token that is looked at may carry nothing. Whether attention is an explanation has been argued both ways
# {cite}`jain2019attention,wiegreffe2019attention`. It says where information may flow, not what it does there.
#
# ## Does a map depend on the class?
#
# Here is a picture whose right answers are known: four photographs, one in each quarter. If we ask for the moped, the map should lie in the
# moped's quarter. This is the **grid game** {cite}`bohle2021convolutional`. A map that ignores the picture scores 25 %.

# %%
names = ["cat", "coffee", "rocket", "motorcycle"]
wanted = ["Egyptian cat", "espresso", "space shuttle", "moped"]
quarter = photos(size=112)
four = quarter.images[[quarter.names.index(name) for name in names]]
top, bottom = torch.cat([*four[:2]], dim=2), torch.cat([*four[2:]], dim=2)
grid = torch.cat([top, bottom], dim=1).expand(4, -1, -1, -1).contiguous()
classes = torch.tensor([quarter.classes.index(name) for name in wanted])
place = torch.zeros(4, 224, 224)
for i in range(4):
    place[i, 112 * (i // 2) :, 112 * (i % 2) :][:112, :112] = 1
ranks = predict(model, grid[:1])[0] > predict(model, grid[:1])[0, classes][:, None]
claim("All four are among its first hundred", int(ranks.sum(dim=1).max()) < 100)

# %% tags=["hide-input", "fig-grid"] mystnb={"image": {"alt": "One picture made of four photographs in quarters: the cat at the upper left, the cup of coffee at the upper right, the rocket on its launch pad at the lower left and the motorcycle at the lower right."}}
figure, axis = plt.subplots(figsize=(2.8, 2.8))
show_image(axis, grid[0])
plt.show()

# %% [markdown]
# *The picture of the grid game.* Which map finds the cat's quarter if asked for the cat, and the motorcycle's if asked for the moped?

# %%
draws = torch.Generator().manual_seed(seed())
game = {
    "random map": torch.rand(4, 224, 224, generator=draws),
    "saliency": explain.saliency(model, grid, classes).amax(dim=1),
    "integrated gradients": explain.integrated_gradients(
        model, grid, classes, steps=8
    ).sum(dim=1),
    "occlusion": explain.occlusion(model, grid, classes, window=56, baseline=0.5),
    "CAM": explain.cam(model, grid, classes),
    "Grad-CAM": explain.grad_cam(model, grid, classes),
}


def hits(found):
    """Per cent of the positive part that lies in the right quarter, (4,)."""
    found = found.clamp_min(0)
    return 100 * (found * place).sum(dim=(1, 2)) / found.sum(dim=(1, 2))


# %% tags=["hide-input"] mystnb={"image": {"alt": "Four columns, one for each class asked for: Egyptian cat, espresso, space shuttle, moped. Five rows of maps of the same picture: saliency, integrated gradients, occlusion, CAM and Grad-CAM. CAM, Grad-CAM and occlusion move with the class into the right quarter; saliency hardly changes."}}
figure, axes = plt.subplots(5, 4, figsize=(6, 8.2))
shown = ["saliency", "integrated gradients", "occlusion", "CAM", "Grad-CAM"]
for row, name in zip(axes, shown, strict=True):
    means = F.avg_pool2d(game[name].clamp_min(0), 4)  # (4, 56, 56)
    for axis, found, score in zip(row, means, hits(game[name]), strict=True):
        draw(axis, found, f"{score:.0f} % in place")
        axis.axhline(27.5, color="grey", linewidth=0.5)
        axis.axvline(27.5, color="grey", linewidth=0.5)
    label = name.replace(" ", "\n")
    row[0].text(-3, 28, label, rotation=90, ha="right", va="center", ma="center")
for axis, name, score in zip(axes[0], wanted, hits(game["saliency"]), strict=True):
    axis.set_title(f"{name}?\n{score:.0f} % in place", fontsize=9)
plt.show()

# %% [markdown]
# *One picture, four questions.* Each column asks for another class, in {fig}`grid`. A map that answers must move from column to column. The blobs do. The fine grain of
# saliency hardly does: it shows where the network is sensitive at all. Not everything is in place: asked for a space shuttle, the blobs also find
# the cup, and no one can say from the map whether the map is wrong or the network. (All maps are drawn in squares of 4 × 4 pixels.)

# %% tags=["nbval-ignore-output"]
mean_hits = {name: hits(found).mean().item() for name, found in game.items()}
for name, value in mean_hits.items():
    print(f"{name:22} {value:4.0f} % in the right quarter")

# %%
claim("A random map scores 25 %", abs(mean_hits["random map"] - 25) < 1)
claim(
    "Saliency does better than chance, but below 50 %", 28 < mean_hits["saliency"] < 50
)
claim(
    "CAM and occlusion score over 50 %",
    min(mean_hits["CAM"], mean_hits["occlusion"]) > 50,
)
claim(
    "Every class moves CAM's map: each is over 30 % in place",
    hits(game["CAM"]).min().item() > 30,
)

# %% [markdown]
# This is a test with a known answer, and still a narrow one. It rewards coarse maps, and a picture of four pictures is none that the
# network was made for. [Lecture 4.6](when_explanations_lie.ipynb) has harder tests.
#
# ## What goes wrong
#
# **Two reasons, each enough.** A model that says yes if it sees an ear *or* a tail. Cover one, and nothing changes:


# %%
class Either(nn.Module):
    """One logit: the larger of two pixels, an OR."""

    def forward(self, images):
        return images.flatten(1).amax(dim=1, keepdim=True)


both = torch.tensor([[[[1.0, 0.9999]]]])
yes = torch.tensor([0])
fall = explain.occlusion(Either(), both, yes, window=1).flatten()
rise = explain.saliency(Either(), both, yes).flatten()
claim("Occlusion finds that neither pixel matters", fall.max().item() < 1e-3)
claim("The gradient, that one alone does", rise.tolist() == [1, 0])

# %% [markdown]
# Both are correct answers to their questions, and both mislead. [Shapley values](self_explaining.ipynb) would give half to each.
#
# **The sign is lost.** Saliency takes the size of the slope, Grad-CAM cuts at zero. What spoke against the class is gone, and sometimes it is
# the story.
#
# **The cover is a clue.** A grey square is something that no photograph has. The fall of the logit is part loss of the object,
# part surprise at the square, and another cover gives another map:

# %%
black = explain.occlusion(model, x[[0]], t[[0]], window=56, baseline=0.0)
grey_cover = explain.occlusion(model, x[[0]], t[[0]], window=56, baseline=0.5)
pair = torch.stack([black.flatten(), grey_cover.flatten()])
same = torch.corrcoef(pair)[0, 1].item()
claim("Black and grey covers give maps that correlate, but below 0.9", 0 < same < 0.9)

# %% [markdown]
# **The logit or the probability?** A probability also rises when other logits fall. Here every map explains a logit. Other tools explain
# probabilities, and their maps need not agree with these.
#
# **Speed.** These functions do what Captum's do, to four digits, at about the same price; the measured times are in
# `benchmarks/results/explanations.json`.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *Gradient times input.* For a linear model $z = w^\top x + b$, what are the integrated gradients from
# black? Show it on paper, then check with one step.
#
# <details><summary>Hint 1: where to look</summary>
#
# In {eq}`eq-integrated-gradients` the only part that depends on the model is the gradient. What is it for a linear model, and where on the way does it change?
#
# </details>
#
# <details><summary>Hint 2: what is left</summary>
#
# The integral of a constant over an interval of length 1 is that constant. So how many steps can be too few?
#
# </details>

# %% tags=["hide-cell"]
# Solution: the gradient is w everywhere, so its mean is w, and φ = x · w.
linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
small_image = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(seed()))
phi = explain.integrated_gradients(linear, small_image, torch.tensor([2]), steps=1)
product = (small_image.flatten() * linear[1].weight[2]).detach()
claim(
    "Integrated gradients are x · w, up to rounding",
    apart(phi[0].flatten(), product) < 0.01,
)

# %% [markdown]
# **Exercise 2** (15 minutes). *An earlier layer.* Ask Grad-CAM for the output of an earlier block, `model.network._blocks[4]`, in the grid game. It has
# 28 × 28 positions instead of 7 × 7. Predict: is its score higher, because it is finer, or lower?
#
# <details><summary>Hint 1: what a map of this layer knows</summary>
#
# A map of an early layer responds to edges or colours. In which of the four quarters are there edges?
#
# </details>
#
# <details><summary>Hint 2: what Grad-CAM can say</summary>
#
# Grad-CAM has one weight for each map, the same at all positions. Ask `explain.grad_cam` with `layer=`, and score the result by `hits`.
#
# </details>

# %% tags=["hide-cell"]
# Solution: lower. Early features know edges and colours, not classes; one weight for
# each map cannot tell the four quarters apart.
early = explain.grad_cam(model, grid, classes, layer=model.network._blocks[4])
claim(
    "The finer map is less in place", hits(early).mean().item() < mean_hits["Grad-CAM"]
)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? What does the saliency of a pixel say?
# - How much of the logit came from this pixel :: That is a share, as integrated gradients give it.
# + How fast the logit would change with this pixel, here :: It is a slope at one point, without its sign.
# - How important this pixel is to a person :: No person was asked.
# ? The integrated gradients from black do not add up to the logit at the image. What must you check first?
# - Whether the network is linear :: Completeness holds for any network that can be differentiated.
# + Whether the logit of the black image was subtracted, and whether there were enough steps :: The sum is the gain over the baseline, up to the error of the integral.
# - Whether some shares are negative :: They may be; the sum holds with their signs.
# ? When are Grad-CAM and CAM the same map, up to a factor and the cut at zero?
# - Always :: Grad-CAM is defined for networks where CAM is not.
# + When the layer's maps are averaged and read by one linear layer :: Then the slope of each map is its weight divided by the number of positions.
# - When the picture shows one object :: The algebra does not know what is in the picture.
# ? Attention rollout shows that the class token looked at the tail. What follows?
# - The tail made the answer "cat" :: The map has no class in it and would be the same for every answer.
# - The tail was not needed :: Nothing was taken away, so nothing is known about need.
# + Information could flow from there; what it did is unknown :: Attention mixes values, and the values are not in the map.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** One backward pass gives saliency and Grad-CAM. Integrated gradients add up. Occlusion asks the most honest
# question and needs nothing but answers. CAM is exact where it applies. All are deterministic, or nearly, with enough draws.
#
# **Limitations.** They say where, never what or why: "the face" does not tell whether fur, shape or whiskers counted. Each rests on a
# choice that the picture does not show: baseline, window, layer, noise. They speak for one image and one class. And a
# map that looks right may have little to do with the network, which is the subject of lecture 4.6.
#
# **Software.** [Captum](https://github.com/meta-pytorch/captum) {cite}`kokhlikyan2020captum` has all of these for PyTorch and many
# more; [pytorch-grad-cam](https://github.com/jacobgil/pytorch-grad-cam) {cite}`gildenblat2021pytorch` has Grad-CAM and its many
# descendants. This library's maps are tested against both. In it: `explain.saliency`, `smooth_grad`, `integrated_gradients`, `occlusion`,
# `cam`, `grad_cam`, `attention_rollout`.
#
# ## What to take away
#
# A gradient is a slope, integrated gradients are shares, occlusion is a loss, CAM is a place, attention is a look. Before you believe
# a map, ask which question it answers, and whether it changes when the class does. Build two of them yourself in
# [homework H4](../../exercises/h4_explanations/h4_explanations.ipynb). Next:
# [examples and counterfactuals](examples_and_counterfactuals.ipynb).
