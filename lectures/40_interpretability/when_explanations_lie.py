# %% [markdown]
# # 4.6 When explanations lie
#
# An explanation is a claim about a model, and claims can be false. First the good news: a classifier that cheats, caught by its
# explanations. Then the bad: an explanation that says what an attacker wants, explanations that do not look at the model,
# and a score for explanations that a random map wins.
#
# **What you will learn**
#
# - to find a planted cue with explanations, and to prove it without them;
# - to change a photograph so that its answer stays and its explanation becomes what you choose;
# - to test a method by destroying the model: the sanity check of randomised weights;
# - to measure deletion and insertion, always beside a random map, and to read what they cannot say;
# - why a map that pleases you is no evidence: confirmation bias.
#
# **Before you start**: [which pixels?](attributions.ipynb) and [LIME](lime.ipynb). The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 45 minutes to read; {{ cpu_seconds }} to run.

# %%
import matplotlib.pyplot as plt
import torch
from skimage.data import grass, gravel
from torch import nn
from torch.nn import functional as F

from tml_helpers import explain
from tml_helpers.claims import claim, seed
from tml_helpers.data import ImageSet, mnist, photos
from tml_helpers.models import SmallCNN, imagenet_classifier
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The question: husky or wolf?
#
# Ribeiro, Singh and Guestrin trained a classifier to tell wolves from huskies, with twenty pictures that they had chosen on purpose: every wolf
# stood in snow, no husky did {cite}`ribeiro2016why`. The classifier learnt the snow. Then they showed graduate students who knew
# machine learning ten of its answers. Eight were right; a husky in snow was called a wolf, and a wolf without snow a husky. Did they trust
# this model? Ten of 27 did. And what does it look at? Twelve of 27 mentioned snow. After the students had seen the explanations,
# three still trusted it, and 25 of 27 named the snow.
#
# We plant a cue of our own. Our animals are the digits 3 and 7 ([MNIST's card](../../book/data_cards/mnist.md)), our landscapes two real photographs that come with
# scikit-image, of grass and of gravel (public domain, CC0; more on that package's pictures on their
# [card](../../book/data_cards/photos.md)). Training and test pictures are cut from different halves.

# %%
meadow, path = (torch.tensor(place() / 255).float() * 0.8 for place in (grass, gravel))
halves = {
    "train": (meadow[:256], path[:256]),
    "test": (meadow[256:], path[256:]),
}


def landscapes(part, usual, draws, copies=1):
    """3s and 7s in landscapes; a share `usual` of 3s on grass, of 7s on gravel."""
    digits = mnist(part, source="default")
    keep = ((digits.labels == 3) | (digits.labels == 7)).nonzero().flatten()
    keep = keep.repeat(copies)
    y = (digits.labels[keep] == 7).long()
    where = torch.where(torch.rand(len(y), generator=draws) < usual, y, 1 - y)
    corner = torch.randint(0, 256 - 48, (len(y), 2), generator=draws)
    shift = torch.randint(0, 21, (len(y), 2), generator=draws)
    x, ink = torch.zeros(len(y), 1, 48, 48), torch.zeros(len(y), 1, 48, 48)
    for i, ((top, left), (down, right)) in enumerate(zip(corner, shift, strict=True)):
        x[i, 0] = halves[part][where[i]][top : top + 48, left : left + 48]
        ink[i, :, down : down + 28, right : right + 28] = digits.images[keep[i]]
    x = x * (1 - ink) + ink  # white ink on the landscape
    said = "MNIST on scikit-image's textures"
    return ImageSet(x, y, classes=("3", "7"), source=said), ink


# %% [markdown]
# Two networks of the same kind: one is trained where every 3 stands on grass and every 7 on gravel, the other where the landscape
# is a coin. The first is done after three epochs, for a landscape is quickly learnt. The second has to learn the digits, and needs six.

# %%
draws = seed_everything(seed())
rate = {"learning_rate": 1e-3, "batch_size": 64, "generator": draws}
networks = {}
for name, usual, epochs in (("cheat", 1.0, 3), ("fair", 0.5, 6)):
    networks[name] = SmallCNN(size=48, classes=2)
    seen = landscapes("train", usual, draws, 2)[0]
    fit(networks[name], seen, epochs=epochs, **rate)
    networks[name].eval().requires_grad_(False)
usual_test, ink = landscapes("test", 1.0, draws)
swapped_test, _ = landscapes("test", 0.0, draws)
scores = {
    name: [100 * accuracy(network, part) for part in (usual_test, swapped_test)]
    for name, network in networks.items()
}

# %% tags=["nbval-ignore-output"]
for name, (usual, swapped) in scores.items():
    print(f"{name:6} usual landscapes {usual:4.0f} %   swapped {swapped:4.0f} %")

# %%
claim(
    "On new pictures of the usual kind the cheat is over 95 % right",
    scores["cheat"][0] > 95,
)
claim("With the landscapes swapped, below 50 %", scores["cheat"][1] < 50)
claim(
    "The fair network does not care much: over 70 % on both", min(scores["fair"]) > 70
)

# %% [markdown]
# A clean test set, never seen, says 95 % and more, and it says so because it has the same fault as the training set. Nothing in this
# number could have warned us. Do explanations?

# %%
some = slice(0, 200, 25)
x, paint = usual_test.images[some], ink[some]
squares = (torch.arange(48) // 6)[:, None] * 8 + torch.arange(48) // 6  # 8 x 8 squares
flat = {"baseline": 0.4}  # the mean of both landscapes


def explained(network):
    """Three maps (n, 48, 48) of the network's own answers."""
    t = predict(network, x).argmax(dim=1)
    draws = torch.Generator().manual_seed(seed())
    how = {"segments": squares, "samples": 200, "hidden": 0.4, "generator": draws}
    lime = [each.map() for each in explain.lime_image(network, x, t, **how)]
    return {
        "occlusion": explain.occlusion(network, x, t, window=8, stride=4, **flat),
        "Grad-CAM": explain.grad_cam(network, x, t),
        "LIME": torch.stack(lime),
    }


seen = {name: explained(network) for name, network in networks.items()}

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four digits on grass or gravel in a row; below them six rows of maps over the same pictures: occlusion, Grad-CAM and LIME, each for the cheating network and for the fair one. By occlusion and LIME the bright squares of the cheat lie all over the landscape, those of the fair network mostly on the digit."}}
figure, axes = plt.subplots(7, 4, figsize=(5.2, 8.2))
for axis, picture in zip(axes.flat, x[::2].repeat(7, 1, 1, 1), strict=True):
    axis.imshow(picture[0], cmap="gray")
    axis.axis("off")
kinds = [(method, name) for method in seen["fair"] for name in seen]
for row, (method, name) in zip(axes[1:], kinds, strict=True):
    for axis, found in zip(row, seen[name][method][::2], strict=True):
        axis.imshow(found.clamp_min(0), cmap="magma", alpha=0.65)
for row, kind in zip(axes, [("the picture", ""), *kinds], strict=True):
    row[0].text(-3, 24, "\n".join(kind).strip(), ha="right", va="center")
plt.show()

# %% [markdown]
# *The same pictures, two networks.* Below the pictures, for each method the cheat's maps and then the fair network's. Bright is what speaks for the answer. By occlusion and LIME the fair network's reasons gather on the strokes, and the cheat's
# wander over the landscape. Grad-CAM is less clear, and for the 3s it hardly tells the two apart. Here we need not trust our eyes: we painted the digits, so we know where they are. Count how much of each map's positive part
# lies on the stroke or next to it.

# %%
near = F.max_pool2d(paint, 5, stride=1, padding=2).squeeze(1) > 0.2  # (n, 48, 48)
area = 100 * near.float().mean().item()


def on_the_digit(found):
    """Per cent of the positive part that lies on the digit."""
    found = found.clamp_min(0)
    return (100 * (found * near).sum() / found.sum()).item()


share = {
    method: {name: on_the_digit(seen[name][method]) for name in seen}
    for method in seen["fair"]
}

# %% tags=["nbval-ignore-output"]
print(f"the digit takes {area:.0f} % of the picture")
for method, of in share.items():
    print(f"{method:10} cheat {of['cheat']:3.0f} %   fair {of['fair']:3.0f} %")

# %%
claim(
    "By occlusion the fair one's reasons lie on the digit by 10 points more",
    share["occlusion"]["fair"] - share["occlusion"]["cheat"] > 10,
)
claim("A third of the cheat's or more lie off it", share["occlusion"]["cheat"] < 67)

# %% [markdown]
# Caught, if one looks, and knows what to look for. But note how it was **proven**: not by a map, but by swapping the landscapes. A map gives a
# suspicion; an intervention decides. Medicine has seen the same: networks that were to find COVID-19 in chest X-rays had learnt
# from which hospital a picture came {cite}`degrave2021ai`. Such cues are called **shortcuts** {cite}`geirhos2020shortcut`.
#
# ## An explanation of your choice
#
# Now reverse the attacks of chapter 2. There the picture stayed and the answer changed. Now the picture stays, the answer stays, and the
# **explanation** changes {cite}`ghorbani2019interpretation,dombrowski2019explanations`. Write $h(x)$ for the saliency map, scaled to the sum
# 1, and $\hat h$ for the map that we would like people to see:
#
# $$\min_{\|x' - x\|_\infty \le \varepsilon} \frac{\|h(x') - \hat h\|^2}{\|h(x) - \hat h\|^2}
# + \frac{\operatorname{mean}_k (z_k(x') - z_k(x))^2}{\operatorname{var}_k z_k(x)} .$$
#
# In words: make the map look as we wish, and punish every logit that moves.
#
# To descend, one needs the slope of $h$, which is itself made of gradients: a second derivative, $H_x \delta$, with the Hessian $H_x$
# of the logit with respect to the picture and the slope $\delta$ of the loss with respect to the gradient. A network of ReLUs is made of linear pieces, where $H_x$ is zero. The paper swaps each ReLU for a
# smooth softplus. There is a way without: measure how the gradient *changes* over a small distance $r \delta$,
#
# $$H_x \delta \approx \frac{\nabla z_t(x + r \delta) - \nabla z_t(x - r \delta)}{2 r} .$$


# %%
def slope(network, points, t):
    leaf = points.clone().requires_grad_()
    return torch.autograd.grad(network(leaf)[:, t].sum(), leaf)[0]


smooth = nn.Sequential(
    nn.Conv2d(1, 4, 5), nn.Softplus(), nn.Flatten(), nn.Linear(4 * 44 * 44, 2)
)
delta = torch.randn_like(x[:1])
leaf = x[:1].clone().requires_grad_()
(first,) = torch.autograd.grad(smooth(leaf)[:, 0].sum(), leaf, create_graph=True)
(twice,) = torch.autograd.grad((first * delta).sum(), leaf)  # H_x δ, exactly
r = 1e-2
above, below = (slope(smooth, x[:1] + way * delta, 0) for way in (r, -r))
measured = (above - below) / (2 * r)
like = torch.corrcoef(torch.stack([twice.flatten(), measured.flatten()]))[0, 1]
claim("Where both exist, they agree", like.item() > 0.99)

# %% [markdown]
# With it, descend along signs, as PGD does. `explain.fool_explanation` is that loop. The photograph is an espresso, the classifier the
# one of lecture 4.4, and the explanation shall be a handwritten digit.

# %%
model = imagenet_classifier().requires_grad_(False)
pictures = photos(size=128)
espresso = pictures.images[[pictures.names.index("coffee")]]
t = predict(model, espresso).argmax(dim=1)
digit = mnist("test", source="default")
digit = digit.images[digit.labels == 4][:1]
wish = F.pad(F.interpolate(digit, size=(96, 96), mode="bilinear"), (16,) * 4).squeeze(1)
fooled = explain.fool_explanation(
    model, espresso, t, wanted=wish, epsilon=8 / 255, steps=30, step_size=2 / 255
)


def heat(images):
    """Saliency, summed over colours and averaged over 4 x 4 pixels: (n, 32, 32)."""
    return F.avg_pool2d(explain.saliency(model, images, t).sum(dim=1), 4)


def likeness(one, other):
    return torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1].item()


# %%
before, after, goal = heat(espresso), heat(fooled), F.avg_pool2d(wish, 4)
p, q = (
    predict(model, image).softmax(dim=1)[0, t].item() for image in (espresso, fooled)
)
claim(
    "No value changed by more than 8 grey levels",
    (fooled - espresso).abs().max() < 8.01 / 255,
)
claim("The answer is the same, and as sure to a tenth", abs(p - q) < 0.1)
claim(
    "The explanation is like the wish: correlation over 0.7",
    likeness(after, goal) > 0.7,
)
claim("Before, it was not: below 0.3", likeness(before, goal) < 0.3)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows. Above, a photograph of a cup of espresso, its saliency map with dark spots on the cup, and its Grad-CAM. Below, the changed photograph, which looks the same; its saliency map shows a handwritten four; its Grad-CAM is as above; beside it the four that was wished for."}}
figure, axes = plt.subplots(2, 4, figsize=(7, 4.4))
rows = [("the photograph", espresso, before, p), ("after the attack", fooled, after, q)]
for row, (name, image, found, sure) in zip(axes, rows, strict=True):
    answer = pictures.classes[predict(model, image).argmax().item()]
    show_image(row[0], image[0], f"{name}:\n{answer}, p = {sure:.2f}")
    row[1].imshow(found[0], cmap="magma_r")
    row[1].set_title("its saliency", fontsize=9)
    row[2].imshow(explain.grad_cam(model, image, t)[0], cmap="magma_r")
    row[2].set_title("its Grad-CAM", fontsize=9)
    for axis in row[1:]:
        axis.axis("off")
axes[1, 3].imshow(wish[0], cmap="magma_r")
axes[1, 3].set_title("the wish", fontsize=9)
plt.show()

# %% [markdown]
# *Nearly the same picture, the same answer, and the reason is a handwritten 4.* Close up one sees a fine grain; at a glance, nothing. Whoever hands you the picture has chosen what you will read in its explanation.
# The attack aimed at saliency; [Grad-CAM](attributions.ipynb) was not asked, and its map below has hardly followed. So a second opinion of another kind
# helps, until the attacker aims at both. Models can be made to lie as well: trained so that all their explanations
# look harmless, whatever they decide.
#
# ## Destroy the model, and look again
#
# Here is a test that a good method must pass {cite}`adebayo2018sanity`. Shuffle the network's weights, and what it has learnt is gone. An
# explanation *of the network* must change. One that stays was never about the network.
#
# First the suspect. **Guided backpropagation** {cite}`springenberg2015striving` is a gradient that lets only positive slopes pass through every
# ReLU on the way back. Its pictures are sharp and beautiful, and it has been used a great deal.


# %%
def guided(network, images, targets):
    """Saliency with negative slopes cut off at every ReLU on the way back."""
    units = [m for m in network.modules() if isinstance(m, nn.ReLU | nn.ReLU6)]
    hooks = [
        unit.register_full_backward_hook(lambda unit, down, up: (down[0].clamp_min(0),))
        for unit in units
    ]
    try:
        return explain.saliency(network, images, targets)
    finally:
        for hook in hooks:
            hook.remove()


def edges(network, images, targets):
    """How much neighbouring pixels differ: never asks the network."""
    grey = F.pad(images.mean(dim=1), (0, 1, 0, 1), mode="replicate")
    return grey.diff(dim=1)[:, :, 1:].abs() + grey.diff(dim=2)[:, 1:].abs()


# %% [markdown]
# The test by hand, for one step: shuffle the last layer, which is all that the network knows about classes. Compare ranks before
# and after (Spearman's correlation, of the largest size over the colours). Then the library's version, which goes on to the first layer.

# %%
layers = {"head": model.network._fc, "last conv": model.network._conv_head}
layers |= {f"block {i}": model.network._blocks[i] for i in (15, 12, 8, 4, 0)}
layers |= {"stem": model.network._conv_stem}
methods = {
    "saliency": explain.saliency,
    "Grad-CAM": explain.grad_cam,
    "guided backpropagation": guided,
    "edges": edges,
}
trio = pictures.images[[0, 2, 4]]  # cat, espresso, motorcycle
best = predict(model, trio).argmax(dim=1)
falls = {}
for name, method in methods.items():
    draws = torch.Generator().manual_seed(seed())
    how = {"layers": list(layers.values()), "generator": draws}
    test = explain.randomization_test(model, trio, best, explain=method, **how)
    falls[name] = test.rank_correlation.mean(dim=1)  # over the three

# %%
head = model.network._fc
whole = head.weight.clone(), head.bias.clone()
draws = torch.Generator().manual_seed(seed())
map_before = explain.saliency(model, trio, best).amax(dim=1)
for part in (head.weight, head.bias):
    order = torch.rand(part.numel(), generator=draws).argsort()
    part.copy_(part.flatten()[order].view_as(part))
map_after = explain.saliency(model, trio, best).amax(dim=1)
head.weight.copy_(whole[0])
head.bias.copy_(whole[1])
ranks = [m.flatten(1).argsort().argsort().float() for m in (map_before, map_after)]
mean = sum(likeness(one, other) for one, other in zip(*ranks, strict=True)) / 3
claim(
    "By hand and by explain.randomization_test: the same, up to rounding",
    abs(mean - falls["saliency"][0].item()) < 0.01,
)

# %%
claim("Edges do not care: 1 to the end", falls["edges"].min().item() > 0.999)
claim(
    "Guided backpropagation keeps over 0.9 without its classes",
    falls["guided backpropagation"][0].item() > 0.9,
)
claim(
    "Saliency and Grad-CAM fall below 0.8 at once",
    max(falls["saliency"][0], falls["Grad-CAM"][0]).item() < 0.8,
)
claim("In the end saliency is below 0.3", falls["saliency"][-1].item() < 0.3)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Rank correlation with the trained network's map, against how many layers have been shuffled, from the head to the stem. Edges stay at one. Guided backpropagation stays near one until half of the network is gone. Saliency drops at once and goes on falling; Grad-CAM drops to zero and below."}}
figure, axis = plt.subplots(figsize=(7, 3.4))
styles = {
    "saliency": ("o-", COLOURS["blue"]),
    "Grad-CAM": ("s-", COLOURS["orange"]),
    "guided backpropagation": ("^-", COLOURS["green"]),
    "edges": ("v-", COLOURS["pink"]),
    "random": ("--", COLOURS["black"]),
}
for name, fall in falls.items():
    mark, hue = styles[name]
    axis.plot(range(9), [1, *fall.tolist()], mark, color=hue, label=name, ms=4)
axis.set_xticks(range(9), ["trained", *layers], rotation=25)
axis.set(ylabel="rank correlation", xlabel="shuffled from here upwards")
figure.legend(loc="outside upper center", ncols=4)
plt.show()

# %% [markdown]
# *A method that explains must fall.* Guided backpropagation does not notice that the network has forgotten what a cat is: its map
# depends on the picture and the lower layers, like an edge detector. Saliency and Grad-CAM notice. To pass is little: it says that a map depends on the
# weights, not that it is right.
#
# ## Delete and insert
#
# If a map knows what matters, then deleting the most important pixels first should make the probability fall fast, and
# inserting them first into a blurred picture should make it rise fast {cite}`petsiuk2018rise`. The area under each curve is the score: small is good
# for deletion, large for insertion.

# %%
draws = torch.Generator().manual_seed(seed())
maps = {
    "Grad-CAM": explain.grad_cam(model, trio, best),
    "saliency": explain.saliency(model, trio, best).amax(dim=1),
    "edges": edges(model, trio, best),
    "random": torch.rand(3, 128, 128, generator=draws),
}
curves = {
    name: explain.deletion_insertion(model, trio, best, maps=found, steps=16)
    for name, found in maps.items()
}

# %%
order = maps["Grad-CAM"][0].flatten().argsort(descending=True, stable=True)
deleted, steps = trio[:1].clone(), []
for part in [order[:0], *order.chunk(16)]:
    deleted.flatten(2)[..., part] = 0
    steps.append(predict(model, deleted).softmax(dim=1)[0, best[0]])
by_hand, by_library = torch.stack(steps), curves["Grad-CAM"].deletion[0]
claim(
    "The loop and explain.deletion_insertion agree, up to rounding",
    (by_hand - by_library).abs().max().item() < 0.01,
)

# %% tags=["hide-input", "fig-deletion"] mystnb={"image": {"alt": "Two plots with four curves each, means over three photographs. Deletion: all fall; the random map's curve falls fastest to zero, Grad-CAM's and saliency's later, that of edges last. Insertion: Grad-CAM rises first, then edges, while saliency and the random map stay low until most pixels are in."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.1), sharey=True)
for axis, kind in zip(axes, ["deletion", "insertion"], strict=True):
    for name, found in curves.items():
        mark, hue = styles[name]
        mean = getattr(found, kind).mean(dim=0)
        axis.plot(100 * found.shares, mean, mark, color=hue, label=name, ms=3)
    axis.set(xlabel=f"pixels {kind[:-3]}ed (%)", title=kind)
axes[0].set_ylabel("probability")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
plt.show()

# %% [markdown]
# *Insertion says what one hopes, deletion does not.* Right: the pixels that Grad-CAM puts first bring the answer back soonest; saliency's, which lie
# scattered, are no better than random ones. Left: the dashed curve, of the random map, is the lowest. As numbers:

# %% tags=["nbval-ignore-output"]
areas = {
    name: (found.deletion_area.mean().item(), found.insertion_area.mean().item())
    for name, found in curves.items()
}
for name, (out, back) in areas.items():
    print(f"{name:9} deletion {out:.2f} (small is good)   insertion {back:.2f} (large)")

# %%
claim(
    "Insertion puts Grad-CAM before a random map",
    areas["Grad-CAM"][1] > areas["random"][1],
)
claim("A random map has a deletion area below 0.1", areas["random"][0] < 0.1)
claim(
    "Deletion puts it before Grad-CAM",
    areas["random"][0] < areas["Grad-CAM"][0],
)

# %% [markdown]
# **Deletion is won by a map that knows nothing.** Look at the left plot of {fig}`deletion` once more. Random black dots all over the picture ruin the
# network, while one black hole leaves a rest that it can still read. The curve measures how fast a picture becomes
# *strange*, and dots are stranger than holes. Without the random map beside it, an area of 0.1 would look like a triumph. Retraining on the
# deleted pictures is one remedy, a costly one {cite}`hooker2019benchmark`. The cheap one is here: never report a score without that of a random map, and look at both
# curves.
#
# ## What goes wrong
#
# **Confirmation bias.** People judge a map by whether it shows what *they* would look at. Ask guided backpropagation why the cat is an espresso:

# %%
cat, egyptian = trio[:1], best[:1]
cup = torch.tensor([pictures.classes.index("espresso")])
as_cat, as_cup = (guided(model, cat, k).amax(dim=1) for k in (egyptian, cup))
claim(
    "Its reasons for cat and for espresso correlate over 0.9",
    likeness(as_cat, as_cup) > 0.9,
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "A photograph of a cat and two maps of it by guided backpropagation, one for the class Egyptian cat and one for the class espresso; both show the same dark dots on eyes and nose."}}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.6))
show_image(axes[0], cat[0], "photograph")
for axis, found, name in zip(
    axes[1:], [as_cat, as_cup], ["cat", "espresso"], strict=True
):
    axis.imshow(found[0], cmap="magma_r", vmax=found.quantile(0.99))
    axis.set_title(f"why {name}? (guided)", fontsize=9)
    axis.axis("off")
plt.show()

# %% [markdown]
# *Eyes and nose, whatever you ask.* The left map would convince anyone: of course it looks at the eyes. The right one is the same map, as a reason for "espresso".
# A map is convincing if it shows the object; that it shows the object proves nothing.
#
# **One picture is an anecdote.** With enough pictures one will always find the map that fits the story. Choose the pictures before you see the maps.
#
# **The explainer's interest.** Who picks the method, the baseline and the picture may have something to hide. A bank that must explain its
# refusals can find a map without "postcode" in it. Explanations that come from the one who is to be checked need a check.
#
# ## Evaluate honestly
#
# Every test on this page failed some method that looked fine. So run all of them, on your model, with your method, before you show a map to anyone.


# %% tags=["nbval-ignore-output"]
def honest(name, method):
    """Does it fall with the weights, depend on the class, and beat a random map?"""
    one, other = (method(model, cat, k) for k in (egyptian, cup))
    one, other = (m.amax(dim=1) if m.ndim == 4 else m for m in (one, other))
    return {
        "notices shuffled weights": falls[name][-1].item() < 0.5,
        "notices lost classes": falls[name][0].item() < 0.8,
        "depends on the class": likeness(one, other) < 0.9,
    }


verdicts = {name: honest(name, method) for name, method in methods.items()}
for name, verdict in verdicts.items():
    failed = [test for test, passed in verdict.items() if not passed]
    print(f"{name}: {'fails: ' + ', '.join(failed) if failed else 'passes all three'}")

# %%
claim("Edges fail all three", not any(verdicts["edges"].values()))
guided_passes = sum(verdicts["guided backpropagation"].values())
claim("Guided backpropagation fails at least two", guided_passes <= 1)
claim(
    "Saliency and Grad-CAM pass",
    all([*verdicts["saliency"].values(), *verdicts["Grad-CAM"].values()]),
)

# %% [markdown]
# ## Practice
#
# **Exercise 1** (10 minutes). *A proof without a map.* Show the cheat landscapes with no digit at all. What does it answer? Predict the share of 3s on
# grass before you count.
#
# <details><summary>Hint 1: how to make them</summary>
#
# `halves["test"]` holds the two landscapes. Cut squares of 48 × 48 pixels from them, and leave the digit out.
#
# </details>
#
# <details><summary>Hint 2: what to compare with</summary>
#
# A network that has learnt digits can only guess here. What would a coin score, and what a network that has learnt landscapes?
#
# </details>

# %% tags=["hide-cell"]
# Solution: far more often than a coin it calls grass a 3 and gravel a 7. Not always:
# a picture without ink is new to it.
draws = torch.Generator().manual_seed(seed())
tops = torch.randint(0, 256 - 48, (100,), generator=draws)
empty = torch.stack(
    [
        halves["test"][i % 2][top : top + 48, top : top + 48]
        for i, top in enumerate(tops)
    ]
)
read = predict(networks["cheat"], empty[:, None]).argmax(dim=1)
right = (read == torch.arange(100) % 2).float().mean().item()
claim("Without any digit it names the landscape in over 65 %", right > 0.65)

# %% [markdown]
# **Exercise 2** (10 minutes). *A kinder deletion.* Replace deleted pixels by the blurred photograph instead of black, with
# `deletion_baseline=`. Is a random map hurt less now? Compare its area with that of black.
#
# <details><summary>Hint 1: how to blur</summary>
#
# `F.avg_pool2d` with `stride=1` and a padding of half the window keeps the size of the picture.
#
# </details>
#
# <details><summary>Hint 2: what to expect</summary>
#
# Black dots ruin the answer because no photograph has them. Does a photograph with some blurred dots look as strange?
#
# </details>

# %% tags=["hide-cell"]
# Solution: yes. Blurred dots are hardly strange, so the random curve falls later.
blur = F.avg_pool2d(trio, 15, stride=1, padding=7, count_include_pad=False)
kinder = explain.deletion_insertion(
    model, trio, best, maps=maps["random"], steps=16, deletion_baseline=blur
)
claim("Its area grows", kinder.deletion_area.mean().item() > areas["random"][0])

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A classifier is 98 % right on a held-out test set. Could it look at the background only?
# - No, a test set that was never seen rules that out :: It has the background of the training set, if both were collected alike.
# + Yes, if background and class go together in both :: The number cannot tell the two reasons apart. Change the background and see.
# - Only if it was trained too long :: The cue is the easiest thing to learn, from the first epoch.
# ? The saliency of a photograph shows a handwritten 4. What do you conclude?
# - The network saw a 4 :: The answer is still espresso, with the same probability.
# - The network is broken :: It answers as before. The picture was made for this map.
# + Somebody may have chosen the map :: A change of at most eight grey levels is enough, and few would notice it.
# ? A method passes the test of randomised weights. Then its maps …
# - are right :: A map of something irrelevant in the weights would pass as well.
# + depend on the weights :: That is all the test asks, and some methods fail even that.
# - do not depend on the picture :: The test does not change the picture.
# ? A report gives a deletion area of 0.1, "the best so far". What is missing?
# - A larger network :: The size of the network is not the point.
# + The area of a random map :: On our photographs random dots reach such values.
# - The colour scale :: Areas have none.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** The tests of this page are cheap, need no people, and each has caught a method that looks convincing. A planted cue gives a ground truth, which
# explanations otherwise never have.
#
# **Limitations.** To pass is not to be right. Shuffled weights are an odd network, deleted pixels odd pictures. The attack on explanations was aimed
# at one method on one picture; small networks bend less. Our planted cue is cruder than those that happen by themselves.
#
# **Software.** [Captum](https://github.com/meta-pytorch/captum) has measures of infidelity and sensitivity;
# [Quantus](https://github.com/understandable-machine-intelligence-lab/Quantus) collects dozens of tests. In this library:
# `explain.fool_explanation`, `explain.randomization_test`, `explain.deletion_insertion`.
#
# ## What to take away
#
# A map is a hypothesis. It can find a cheat, it can be made to lie, it can ignore the model, and it can please you. Test the method by destroying the model, beat a random
# map, choose pictures before maps, and settle it by an intervention. Next: [how masked images are composed at the speed of
# memory](../09_kernels/superpixels.ipynb).
