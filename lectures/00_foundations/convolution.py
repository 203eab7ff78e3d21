# %% [markdown]
# # 0.5 Convolution
#
# A cat in the corner is a cat. A dense layer has to learn that anew for each corner, because each pixel has weights of its own there. A convolution has one small set of weights and lays it over every place. That single decision makes networks for images small enough to train, and it is why most attacks and
# explanations in this book look the way they do.
#
# **What you will learn**
#
# - to write a convolution as a sum, with stride and padding, and to know the size of what comes out;
# - what a shift of the input does, and where padding and pooling break the rule;
# - to count parameters: the course's network, layer by layer;
# - what a value deep inside can see of the image;
# - 1×1, inception and residual blocks.
#
# **Before you start**: [0.4](networks.ipynb). The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 20 minutes to read; {{ cpu_seconds }} to run.

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist, photos
from tml_helpers.models import CourseCNN, SmallCNN, parameter_count
from tml_helpers.plotting import COLOURS, show_images, use_style
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question: what should a layer know of places?
#
# A filter of $k \times k$ weights $w$ slides over an image. At each place it multiplies what it lies on, and sums:
#
# $$
# z_{c}[i, j] = b_c + \sum_{c'} \sum_{u=0}^{k-1} \sum_{v=0}^{k-1} w_{c c'}[u, v]\; x_{c'}[S i + u - P,\; S j + v - P].
# $$ (eq-conv-sum)
#
# In words: output channel $c$ at place $(i, j)$ is a weighted sum over a small window in all input channels $c'$. The **stride** $S$ is how far the window moves at a time; the **padding** $P$ is how many zeros are put around the image. (Mathematicians turn the filter round first and call this a cross-correlation. For learnt filters it makes no difference.)


# %%
def convolve(x, w, b, stride=1, padding=0):
    """The sum above: [N, C', H, W] and [C, C', k, k] to [N, C, H', W']."""
    x = F.pad(x, [padding] * 4)
    k = w.shape[2]
    rows = (x.shape[2] - k) // stride + 1
    columns = (x.shape[3] - k) // stride + 1
    if rows < 1 or columns < 1:
        raise ValueError(f"a filter of {k} does not fit on {tuple(x.shape[2:])}")
    z = b.view(1, -1, 1, 1).expand(len(x), -1, rows, columns)
    for u in range(k):
        for v in range(k):
            window = x[
                :, :, u : u + stride * rows : stride, v : v + stride * columns : stride
            ]
            z = z + torch.einsum("nqij,cq->ncij", window, w[:, :, u, v])
    return z


x = torch.randn(2, 3, 11, 8, dtype=torch.float64, generator=generator)
w = torch.randn(4, 3, 3, 3, dtype=torch.float64, generator=generator)
b = torch.randn(4, dtype=torch.float64, generator=generator)
for stride, padding in ((1, 0), (1, 1), (2, 1), (3, 0)):
    theirs = F.conv2d(x, w, b, stride=stride, padding=padding)
    gap = (convolve(x, w, b, stride, padding) - theirs).abs().max().item()
    claim(f"Stride {stride}, padding {padding}: as PyTorch", gap < 1e-12)

# %% [markdown]
# What a filter finds, one can see before any training. Here are two that people made, on a photograph ([card](../../book/data_cards/photos.md)): the Sobel filters, which answer to edges.

# %%
picture = photos().images[:1].mean(1, keepdim=True)  # grey
vertical = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
zero = torch.zeros(1)
edges = [
    convolve(picture, f[None, None], zero, padding=1).abs()
    for f in (vertical, vertical.T)
]

# %% tags=["hide-input", "fig-conv-edges"] mystnb={"image": {"alt": "Three grey pictures in a row: a photograph; its vertical edges, dark lines where brightness changes from left to right; its horizontal edges."}}
shown = [picture, *(1 - e / e.max() * 2 for e in edges)]
show_images(
    torch.cat(shown).clamp(0, 1),
    ["photograph", "vertical edges", "horizontal edges"],
    columns=3,
    size=2.2,
)
plt.show()

# %% [markdown]
# *One filter, one question, asked at every place.* A trained network finds filters like these by itself in its first layer.
#
# ## How large is what comes out?
#
# With input size $n$, filter $k$, padding $P$ on both sides and stride $S$, the window fits
#
# $$
# n' = \Bigl\lfloor \frac{n - k + 2P}{S} \Bigr\rfloor + 1
# $$ (eq-conv-size)
#
# times. In words: the room that is left when the window stands at the edge, cut in steps, and one for the first place; what is left over at the far edge is not looked at. "Valid" means $P = 0$: the picture shrinks by $k - 1$. "Same" means $P = (k-1)/2$ with stride 1: it stays.


# %%
def output_size(n, k, stride=1, padding=0):
    return (n - k + 2 * padding) // stride + 1


right = all(
    F.conv2d(
        torch.zeros(1, 1, n, n), torch.zeros(1, 1, k, k), stride=s, padding=p
    ).shape[2]
    == output_size(n, k, s, p)
    for n in (7, 8, 13)
    for k in (1, 2, 3, 5)
    for s in (1, 2, 3)
    for p in (0, 1, 2)
)
claim("The formula is right in all 108 cases", right)

# %% [markdown]
# ## A shift comes through
#
# Move the input by a pixel, and the output moves by a pixel: a convolution is **equivariant**. **Pooling** takes the largest (or mean) value of each small square, and makes the answer care less where in the square something was. Both are often told as "a CNN does not mind shifts". Measure before you believe it: zeros at the border and steps larger than one break the rule.

# %%
wide = torch.randn(1, 1, 24, 24, generator=generator)
filters = torch.randn(2, 1, 3, 3, generator=generator)
nothing = torch.zeros(2)


def shifted(z, by):
    return torch.roll(z, by, dims=3)


inner = slice(4, -4)  # away from the border
moved = convolve(shifted(wide, 1), filters, nothing, padding=1)
kept = shifted(convolve(wide, filters, nothing, padding=1), 1)
gap = (moved - kept)[:, :, inner, inner].abs().max().item()
claim("Inside: shift and filter can change places", gap < 1e-5)
edge = (moved - kept)[..., :2].abs().max().item()
claim("At the padded border they cannot", edge > 0.1)
halved = F.max_pool2d(shifted(kept, 1), 2)
other = F.max_pool2d(kept, 2)
far = min(
    (halved - torch.roll(other, s, 3))[:, :, 2:-2, 2:-2].abs().max() for s in (0, 1)
)
claim("After pooling, no shift of the output matches", far.item() > 0.1)

# %% [markdown]
# Whole networks answer differently when the picture moves a little: an attacker who may only shift and turn has enough ([2.3](../20_adversarial/other_threat_models.ipynb)).
#
# ## The course's network, counted
#
# A filter has $k \cdot k \cdot C'$ weights and a bias, however large the picture is; a dense layer has one weight for each pair of input and output. The network below is the course's example: colour images of 32×32, three convolutions of 3×3 without padding, two poolings, two dense layers. We let it tell its sizes.


# %%
def table(model, image):
    """(layer, size of what comes out, parameters), in the order of the answer."""
    rows, hooks = [], []

    def note(layer, _, out):
        rows.append(
            (type(layer).__name__, tuple(out.shape[1:]), parameter_count(layer))
        )

    for layer in model.modules():
        if not list(layer.children()):
            hooks.append(layer.register_forward_hook(note))
    with torch.no_grad():
        model(image)
    for hook in hooks:
        hook.remove()
    return rows


counted = table(CourseCNN(), torch.zeros(1, 3, 32, 32))
for name, size, parameters in counted:
    print(f"{name:<10} {' × '.join(map(str, size)):<14} {parameters:>7,}")

# %%
numbers = [p for name, _, p in counted if name not in ("Normalize", "ReLU")]
claim("The course's numbers", numbers == [896, 0, 18496, 0, 36928, 0, 65600, 650])
by_hand = [3 * 3 * 3 * 32 + 32, 3 * 3 * 32 * 64 + 64, 3 * 3 * 64 * 64 + 64]
claim("By hand", by_hand == [896, 18496, 36928])
claim("In all 122,570", sum(numbers) == parameter_count(CourseCNN()) == 122570)
dense = 32 * 32 * 3 * 30 * 30 * 32
claim("A dense first layer: 88 million weights", round(dense / 1e6) == 88)

# %% [markdown]
# More than half of the parameters are in the first dense layer: 1,024 numbers to 64. That is so in many small networks, and it is where pruning finds most to cut ([1.5](../10_distillation/the_bill.ipynb)). The network that the book mostly trains is `SmallCNN`, with padding and two convolutions.

# %%
train, test = mnist("train"), mnist("test")
train, test = train.select(slice(1500)), test.select(slice(1000))
network = SmallCNN(width=8)
fit(network, train, epochs=4, learning_rate=3e-3, batch_size=64, generator=generator)
flat = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
fit(flat, train, epochs=4, learning_rate=3e-3, batch_size=64, generator=generator)
claim(
    "Both have about as many parameters",
    parameter_count(network) < 1.1 * parameter_count(flat),
)
both = [accuracy(model, test) for model in (network, flat)]
claim("Each reads over 80 % of new digits", min(both) > 0.8)

# %% [markdown]
# The digits are small, centred and alike ([data card](../../book/data_cards/mnist.md)), so that both do well. Move them by two pixels, and a gap opens.

# %%
moved = torch.roll(test.images, (2, 2), dims=(2, 3))
reads = {
    name: (predict(model, moved).argmax(1) == test.labels).float().mean().item()
    for name, model in (("convolutions", network), ("dense", flat))
}
claim("Moved: the convolutions read more", reads["convolutions"] > reads["dense"])

# %% tags=["hide-input", "fig-conv-filters"] mystnb={"image": {"alt": "A digit and the eight maps that the trained network's first layer makes of it: some show the strokes' left edges, some their right or lower edges, some the whole stroke; one or two are nearly empty."}}
with torch.no_grad():
    maps = network.layers[:3](test.images[:1])[0]  # (8, 28, 28)
maps = maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=1e-6)
show_images(
    torch.cat([test.images[:1], maps[:, None]]),
    ["input", *"12345678"],
    columns=9,
    size=0.75,
)
plt.show()

# %% [markdown]
# *A digit, and what eight learnt filters say of it.* Each is one question, asked at each of 784 places.
#
# ## What one value sees
#
# A value in the first layer depends on 3×3 pixels, one in the second on 5×5, and after a pooling the reach doubles: that part of the image is its **receptive field**. It can be measured with the tool of [0.4](networks.ipynb): the input pixels whose gradient is not zero.


# %%
def field(layers, size, channels=1):
    """The side of the square of pixels on which the middle output value depends."""
    image = torch.rand(1, channels, size, size, dtype=torch.float64, requires_grad=True)
    out = layers(image)
    middle = out[0, :, out.shape[2] // 2, out.shape[3] // 2].sum()
    (slope,) = torch.autograd.grad(middle, image)
    touched = slope.abs().sum((0, 1)).nonzero()
    return int((touched.max(0).values - touched.min(0).values).max()) + 1


class Mean(nn.Conv2d):
    """A 3×3 filter of ones: no weight hides a pixel."""

    def __init__(self):
        super().__init__(1, 1, 3, padding=1, dtype=torch.float64)
        nn.init.ones_(self.weight)


stack = [Mean(), Mean(), nn.AvgPool2d(2), Mean(), nn.AvgPool2d(2), Mean()]
fields = [field(nn.Sequential(*stack[:depth]), 64) for depth in range(1, 7)]
print("pixels seen, layer by layer:", fields)
claim("3, 5, 6, 10, 12, 20", fields == [3, 5, 6, 10, 12, 20])

# %% tags=["hide-input", "fig-conv-field"] mystnb={"image": {"alt": "Steps over the six layers: the side of the receptive field grows from 3 to 5, 6, 10, 12 and 20 pixels; convolutions after a pooling add more than before it."}}
figure, axis = plt.subplots(figsize=(5.5, 2.6))
axis.step(range(1, 7), fields, where="mid", color=COLOURS["blue"])
axis.plot(range(1, 7), fields, "o", color=COLOURS["blue"])
axis.set_xticks(range(1, 7), ["conv", "conv", "pool", "conv", "pool", "conv"])
axis.set(ylabel="pixels on a side", ylim=(0, 22))
plt.show()

# %% [markdown]
# *How far one value sees.* Early layers see edges, late ones whole strokes. That is why Grad-CAM reads the last convolution ([4.4](../40_interpretability/attributions.ipynb)), why freezing the early layers works ([0.7](representations.ipynb)), and why a patch of a few pixels can reach everything that lies above it.
#
# ## Three blocks
#
# A **1×1 convolution** has a window of one pixel: at each place it mixes the channels, and so makes 64 of 256 at little cost {cite}`lin2014network`. An **inception** block lets filters of several sizes look at the same place, side by side, with 1×1 convolutions before the expensive ones {cite}`szegedy2015going`. A **residual** block adds its input to its output, so that the signal has a way
# around ([0.4](networks.ipynb)) {cite}`he2016deep`.


# %%
class Inception(nn.Module):
    """1×1, 3×3 and 5×5 filters side by side; the larger ones after a squeeze."""

    def __init__(self, channels, each, squeezed):
        super().__init__()
        self.one = nn.Conv2d(channels, each, 1)
        self.three = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, each, 3, padding=1)
        )
        self.five = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, each, 5, padding=2)
        )

    def forward(self, x):
        return torch.cat([self.one(x), self.three(x), self.five(x)], dim=1)


# %%
class Residual(nn.Module):
    """x + what two convolutions add to it."""

    def __init__(self, channels):
        super().__init__()
        self.adds = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x):
        return x + self.adds(x)


# %%
many = torch.randn(1, 256, 8, 8, generator=generator)
side_by_side = Inception(256, each=64, squeezed=32)
claim("Three times 64 channels come out", side_by_side(many).shape == (1, 192, 8, 8))
plain = sum(256 * 64 * k * k + 64 for k in (1, 3, 5))
claim("The squeeze saves four fifths", parameter_count(side_by_side) < plain / 5)
block = Residual(16)
for parameter in block.adds[2].parameters():
    nn.init.zeros_(parameter)
some = torch.randn(1, 16, 8, 8, generator=generator)
claim("A residual block can begin as doing nothing", torch.equal(block(some), some))

# %% [markdown]
# ## How to judge it honestly
#
# The comparison above was one training each. Over seeds, in pairs, on digits that chose nothing:

# %%
gains = []
for run in range(3):
    generator = seed_everything(seed() + 100 * run)
    scores = []
    for model in (
        SmallCNN(width=4),
        nn.Sequential(nn.Flatten(), nn.Linear(784, 17), nn.ReLU(), nn.Linear(17, 10)),
    ):
        fit(
            model,
            train,
            epochs=4,
            learning_rate=3e-3,
            batch_size=64,
            generator=generator,
        )
        scores.append(accuracy(model, test))
    gains.append(scores[0] - scores[1])
claim("13,000 parameters each: a lead, as a mean of three pairs", sum(gains) > 0)

# %% [markdown]
# ## What goes wrong
#
# A wrong padding shifts every label of a map by a pixel; an odd size loses its last row without a word. Check the sizes.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *Sizes by hand.* An image of 227×227 meets 96 filters of 11×11 with stride 4 and no padding, then a pooling of 3×3 with stride 2. What are the sizes? How many parameters has the convolution, for three input channels? How many would a dense layer have?
#
# <details><summary>Hint: a pooling is a window, too</summary>
#
# The formula for the size is the same.
#
# </details>

# %% tags=["hide-cell"]
# Solution: 55, then 27; 34,944 parameters; dense 45 billion. (AlexNet's first layer.)
claim("55 and 27", (output_size(227, 11, 4), output_size(55, 3, 2)) == (55, 27))
claim("34,944", 11 * 11 * 3 * 96 + 96 == 34944)
claim("45 billion", round(227 * 227 * 3 * 55 * 55 * 96 / 1e9) == 45)

# %% [markdown]
# **Exercise 2** (15 minutes). *A convolution is a dense layer.* Write the matrix that a 3×3 filter without padding is for an image of 5×5: 9 rows and 25 columns. How many of its numbers are zero, and how many differ?
#
# <details><summary>Hint: feed it basis images</summary>
#
# Column $j$ of a linear map's matrix is what it makes of the $j$-th unit vector.
#
# </details>

# %% tags=["hide-cell"]
# Solution: of 225 numbers 144 are zero; the other 81 are the nine weights, nine times.
unit = torch.eye(25, dtype=torch.float64).view(25, 1, 5, 5)
one = torch.arange(1.0, 10, dtype=torch.float64).view(1, 1, 3, 3)
matrix = (
    convolve(unit, one, torch.zeros(1, dtype=torch.float64)).flatten(1).T
)  # (9, 25)
claim("144 zeros", (matrix == 0).sum().item() == 144)
claim("Nine different weights", len(matrix[matrix != 0].unique()) == 9)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A 3×3 filter over 64 channels gives 128. How many parameters?
# - 3·3·128 :: Each of the 128 filters looks at all 64 channels.
# + 3·3·64·128 + 128 :: Nine weights for each pair of channels, and a bias for each output.
# - That depends on the size of the image :: It does not, and that is the point.
# ? The padding is 1, the filter 3, the stride 1. How large is what comes out of 28×28?
# - 26×26 :: That is without padding.
# + 28×28 :: "Same".
# - 30×30 :: That would take a padding of 2.
# ? Is a convolutional network invariant to shifts?
# - Yes, by its build :: Padding, strides and the dense layers break it.
# + Its convolutions are equivariant inside; the whole is neither, exactly :: And an attacker can use that.
# - Only without pooling :: Without pooling the border remains.
# ? Why does a residual block train well at depth?
# + The slope has a way around it :: The sum passes it on undiminished.
# - It has fewer parameters :: It has as many.
# - It uses no bend :: It does.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Few weights, shared by all places; what was learnt at one place holds at all.
#
# **Limitations.** It sees windows, and the whole only late. Nearly equivariant is not invariant. Where places are not alike, as in a table, it has no business.
#
# **Software and further reading.** torchvision has the large ones, timm many more. Goodfellow, Bengio and Courville {cite}`goodfellow2016deep`, chapter 9, is the best text. In this book: `models.CourseCNN`, `models.SmallCNN`, `models.parameter_count`.
#
# ## What to take away
#
# One small question, asked at every place. Count sizes and parameters before you train. Shifts come through, nearly. Depth sees far. Next: [words and sequences](words.ipynb).
