# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # H4 · Explain a photograph, twice
#
# A network that was trained on a million photographs says "Egyptian cat". Why? Here you
# build two answers from nothing. LIME hides parts of the picture and watches what happens;
# it needs to know nothing of the network. Grad-CAM looks inside. The lectures that derive
# them are [4.3](../../lectures/40_interpretability/lime.ipynb) and
# [4.4](../../lectures/40_interpretability/attributions.ipynb).
#
# | task | what you write | points | minutes | difficulty |
# |---|---|---|---|---|
# | 1 | pictures with parts hidden | 1 | 15 | ●○○ |
# | 2 | LIME: neighbourhood, line, and all together | 4 | 60 | ●●○ |
# | 3 | fidelity: does the line deserve trust? | 1 | 15 | ●○○ |
# | 4 | Grad-CAM | 2 | 40 | ●●○ |
# | 5 | explain (graded by a human) | 2 | 20 | ●●○ |
#
# **How to work.** `tml start h4` puts a copy of this notebook in a folder of your own.
# Open the copy in JupyterLab or on Colab and work there. Run the cells from the top. Where
# a cell says `raise NotImplementedError`, replace that line by your own code. Below each
# answer stand tests: when one fails, its last line says what probably went wrong. After you
# have submitted, further tests run on other inputs, so write what the task says, not what
# one test needs. The last parts of Tasks 2 and 4 build on what you write before them; all
# else is tested by itself. Each task has hints: open them one by one, if you need them. You
# may add cells of your own; please leave the test cells as they are.
#
# **How to submit.** Restart the kernel, run everything once more, and save. Then ask what
# is missing, in the folder of your copy:
#
# ```
# tml check h4_explanations.ipynb
# ```
#
# It runs nothing and answers in plain words. When it says `ready to submit`, submit that
# one file, under that name, where your course says.
#
# Everything here runs in about a quarter of a minute on a laptop, without a GPU.

# %% nbgrader={"grade": false, "grade_id": "0a_setup", "locked": true, "schema_version": 3, "solution": false, "task": false} tml={"withhold": ["tml_helpers.explain", "tml_helpers.kernels", "lime"]}
from collections.abc import Callable

import matplotlib.pyplot as plt
import torch
from skimage.segmentation import mark_boundaries, slic
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.data import photos
from tml_helpers.grading import ask
from tml_helpers.models import imagenet_classifier
from tml_helpers.plotting import show_image, use_style

torch.set_num_threads(1)
use_style()
TOLERANCE = 1e-4

# %% [markdown]
# The photograph, cut into **superpixels**: regions of neighbouring pixels that look alike.
# `segments` says for each pixel which one it belongs to, `grey` is what a hidden pixel will
# show, and `is_cat` is the black box: a probability for each picture.


# %% nbgrader={"grade": false, "grade_id": "0b_photograph", "locked": true, "schema_version": 3, "solution": false, "task": false}
def superpixels(image: Tensor) -> Tensor:
    """About forty regions of an image (3, H, W): their numbers, int64 (H, W)."""
    pixels = image.permute(1, 2, 0).numpy()
    return torch.from_numpy(slic(pixels, n_segments=50, start_label=0))


photograph = photos().images[0]  # (3, 224, 224)
cat = F.avg_pool2d(photograph, 2)  # smaller: many like it are asked about
segments = superpixels(cat)
grey = torch.full_like(cat, 0.5)
network = imagenet_classifier()
EGYPTIAN_CAT = network.classes.index("Egyptian cat")


@torch.no_grad()
def is_cat(images: Tensor) -> Tensor:
    """The network's probability of "Egyptian cat" for each image: (N,)."""
    return torch.softmax(network(images), dim=1)[:, EGYPTIAN_CAT]


print(f"{int(segments.max()) + 1} superpixels; the network is", end=" ")
print(f"{float(is_cat(cat[None])):.0%} sure of an Egyptian cat")

# %% [markdown]
# ## Task 1 · Pictures with parts hidden
#
# *1 point · 15 minutes · ●○○*
#
# Read [lecture 4.3](../../lectures/40_interpretability/lime.ipynb), section *Features that
# people understand*.
#
# A **mask** has one entry for each superpixel: `True` where it is visible.
#
# **Goal.** Write `hide`. A pixel of the result is the image's where its superpixel is
# visible, and the fill's where it is hidden.
#
# <details><summary>Hint 1: from superpixels to pixels</summary>
#
# `segments` holds a superpixel's number for each pixel, and a tensor can be indexed by a
# tensor of numbers. Try it with one mask first: which shape has the result?
#
# </details>
#
# <details><summary>Hint 2: all masks at once</summary>
#
# For each mask and pixel you need to know whether it is visible: (M, H, W). The channels
# need a dimension of their own, of length 1. `torch.where` chooses between image and fill.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1_hide_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def hide(image: Tensor, segments: Tensor, masks: Tensor, fill: Tensor) -> Tensor:
    """The image once for each mask, with the superpixels hidden that the mask hides.

    image, fill: (C, H, W). segments: int64 (H, W), from 0 to J - 1.
    masks: bool (M, J), True where a superpixel is visible. Returns (M, C, H, W).
    """
    ### BEGIN SOLUTION
    visible = masks[:, segments]  # (M, J) -> (M, H, W)
    return torch.where(visible[:, None], image, fill)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "1_hide", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
picture = torch.tensor([[[0.1, 0.2], [0.3, 0.4]]])  # one channel, two rows
rows = torch.tensor([[0, 0], [1, 1]])
both = torch.tensor([[True, False], [False, True]])
found = hide(picture, rows, both, torch.zeros(1, 2, 2))
assert found.shape == (2, 1, 2, 2), "return (M, C, H, W): one picture for each mask"
assert (found[0] - torch.tensor([[[0.1, 0.2], [0, 0]]])).abs().max() < TOLERANCE, (
    "the first mask shows superpixel 0, the upper row, and hides the lower one: True "
    "means visible"
)
### BEGIN HIDDEN TESTS
for channels, count in ((3, 7), (1, 4), (4, 11)):
    picture = torch.rand(channels, 9, 6)
    background = 2 + torch.rand(channels, 9, 6)  # no pixel looks like the image's
    regions = torch.randint(count, (9, 6))
    regions.view(-1)[:count] = torch.arange(count)
    chosen = torch.rand(5, count) < 0.5
    chosen[:, 0], chosen[:, 1] = True, False
    found = hide(picture, regions, chosen, background)
    assert found.shape == (5, channels, 9, 6), "return (M, C, H, W)"
    for pixels, mask in zip(found, chosen, strict=True):
        inside = torch.isin(regions, mask.nonzero().flatten())
        exact = picture * inside + background * ~inside
        assert (pixels - exact).abs().max() < TOLERANCE, (
            "a visible superpixel shows the image and a hidden one the fill, in every "
            "channel: is the fill used where the mask is False?"
        )
everything = torch.ones(1, 11, dtype=torch.bool)
shown = hide(picture, regions, everything, background)
assert (shown[0] - picture).abs().max() < TOLERANCE, "nothing hidden: the image itself"
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2 · LIME
#
# *4 points (neighbourhood 1, line 1, all together 2) · 60 minutes · ●●○*
#
# Read [lecture 4.3](../../lectures/40_interpretability/lime.ipynb), sections *Straight
# lines are enough, nearby* and *On photographs*.
#
# LIME draws masks $z'$ by tossing a coin for each superpixel, asks the black box $f$ about
# each picture $x_{z'}$, and fits a line to the answers. Pictures near the photograph count
# more:
#
# $$ \pi_x(z') = \exp\!\Big(-\frac{\text{distance}^2}{2\,\sigma^2}\Big), \qquad
#    \text{distance} = 1 - \cos\big(z', (1, \dots, 1)\big) = 1 - \sqrt{|z'| / J}, $$
#
# where $|z'|$ of the $J$ superpixels are visible. In words: it is the cosine distance to the
# mask that shows everything, 0 for the photograph itself and 1 where all is hidden, and
# $\sigma$ (`width`) says how far a neighbour may be.
#
# **Goal of the first part.** Write `proximity`.
#
# <details><summary>Hint: what the root is taken of</summary>
#
# A mask holds ones and zeros. What is the mean of its numbers? (A mean needs floats.)
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2a_proximity_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def proximity(masks: Tensor, width: float) -> Tensor:
    """exp(-distance² / (2 · width²)), with distance = 1 - sqrt(visible / all).

    masks: bool (M, J). width: more than 0. Returns (M,), from 0 to 1.
    """
    ### BEGIN SOLUTION
    distance = 1 - masks.float().mean(dim=1).sqrt()
    return torch.exp(-(distance**2) / (2 * width**2))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "2a_proximity", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
three = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]]).bool()
found = proximity(three, width=0.5)
assert found.shape == (3,), "return one number for each mask"
assert abs(found[0] - 1) < TOLERANCE, "the photograph itself has distance 0: weight 1"
assert abs(found[1] - 0.60653) < TOLERANCE, (
    "one of four is visible: distance 1 - sqrt(1/4) = 1/2, and exp(-1/2) = 0.6065"
)
### BEGIN HIDDEN TESTS
for width in (0.1, 0.25, 2.0):
    shown = torch.arange(14)[:, None]  # none to all of the 13 superpixels
    masks = torch.rand(14, 13).argsort(dim=1) < shown
    exact = [
        torch.exp(
            torch.tensor(-((1 - (float(m.sum()) / 13) ** 0.5) ** 2) / 2 / width**2)
        )
        for m in masks
    ]
    found = proximity(masks, width)
    assert found.shape == (14,), "return one number for each mask"
    assert (found - torch.stack(exact)).abs().max() < TOLERANCE, (
        "not exp(-distance² / (2 · width²)) with distance = 1 - sqrt(visible / all): are "
        "distance and width squared, and are the visible superpixels counted?"
    )
### END HIDDEN TESTS

# %% [markdown]
# **The line** is $g(z') = b + w^\top z'$. Find the coefficients $w$ and the intercept $b$
# that make the weighted squared error as small as possible:
#
# $$ \sum_m \pi_m \,\Big(f_m - b - \sum_j w_j z'_{m,j}\Big)^2 . $$
#
# `torch.linalg.lstsq` solves a problem without weights. So scale each row and each answer
# by a number that makes the two problems the same: which one?
#
# **Goal of the second part.** Write `fit_line`.
#
# <details><summary>Hint 1: where the intercept comes from</summary>
#
# `lstsq` knows no intercept. It is the coefficient of one more column: which number must
# stand in it, for each mask, so that $b$ is added to every answer?
#
# </details>
#
# <details><summary>Hint 2: where the weights go</summary>
#
# Multiply a row and its answer by a number. By what is its squared error multiplied?
# Choose the number so that this is $\pi_m$. The last column belongs to the row as well.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2b_line_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fit_line(masks: Tensor, answers: Tensor, weights: Tensor) -> tuple[Tensor, float]:
    """The line that is nearest to the answers, where each counts with its weight.

    masks: bool (M, J). answers: (M,). weights: (M,), more than 0.
    Returns the coefficients (J,) and the intercept.
    """
    ### BEGIN SOLUTION
    columns = torch.cat([masks.double(), torch.ones(len(masks), 1).double()], dim=1)
    scale = weights.double().sqrt()[:, None]
    target = answers.double()[:, None]
    found = torch.linalg.lstsq(scale * columns, scale * target).solution[:, 0]
    return found[:-1].float(), float(found[-1])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "2b_line", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
masks = torch.rand(40, 3, generator=torch.Generator().manual_seed(1)) < 0.5
answers = 0.2 + masks.float() @ torch.tensor([0.5, 0.0, -0.1])
coefficients, intercept = fit_line(masks, answers, torch.ones(40))
assert coefficients.shape == (3,), "return a coefficient for each superpixel"
assert abs(intercept - 0.2) < TOLERANCE, (
    "the answer where all is hidden is 0.2: the line needs an intercept"
)
assert (coefficients - torch.tensor([0.5, 0.0, -0.1])).abs().max() < TOLERANCE, (
    "these answers lie on a line: its coefficients must come back"
)
### BEGIN HIDDEN TESTS
half = torch.rand(30, 6) < 0.5
half[:7] = torch.eye(7, 6).bool()  # so there is but one line
masks, columns = torch.cat([half, half]), torch.cat([half, torch.ones(30, 1)], dim=1)
# Two lines answer for the same masks, and the second counts three times as much.
low = torch.randn(7)
high = low + torch.randint(2, (7,)) * 2 - 1
answers, weights = torch.cat([columns @ low, columns @ high]), torch.rand(30) + 0.1
weights, exact = torch.cat([weights, 3 * weights]), (low + 3 * high) / 4
found, intercept = fit_line(masks, answers, weights)
assert found.shape == (6,), "return a coefficient for each superpixel"
assert (found - exact[:6]).abs().max() < 1e-3, (
    "not the line of the weighted squared error: scale rows and answers by the square "
    "root of the weight, so that its square is the weight"
)
assert abs(intercept - float(exact[6])) < 1e-3, "the intercept is not that of the line"
twice = [torch.cat([t, t[:20]]) for t in (masks, answers)]
doubled = torch.ones(60)
doubled[:20] = 2
one, _ = fit_line(twice[0], twice[1], torch.ones(80))
other, _ = fit_line(masks, answers, doubled)
assert (one - other).abs().max() < 1e-3, "a weight of 2 must count like asking twice"
### END HIDDEN TESTS

# %% [markdown]
# **All together.** Now nothing is given but a function that answers for pictures.
#
# **Goal.** Write `lime`: toss the coins with `torch.rand(samples, J, generator=generator)
# < 0.5`, ask about all pictures in batches of at most 50, weigh, and fit. You may use your
# functions from above, and must write it yourself: without `tml_helpers.explain`.
#
# <details><summary>Hint 1: what is there already</summary>
#
# `hide` makes the pictures, `proximity` the weights, `fit_line` the result. What is left is
# to draw the masks (how many superpixels has `segments`?) and to ask.
#
# </details>
#
# <details><summary>Hint 2: how to ask in batches</summary>
#
# `Tensor.split` cuts the masks into batches. Make the pictures of one batch at a time, or
# memory will not hold them, and put the answers together in the order of the masks.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2c_lime_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lime(
    black_box: Callable[[Tensor], Tensor],
    image: Tensor,
    segments: Tensor,
    fill: Tensor,
    *,
    samples: int,
    width: float,
    generator: torch.Generator,
) -> tuple[Tensor, float]:
    """How much each superpixel raises the black box's answer: a local line.

    black_box: pictures (N, C, H, W) to answers (N,). image, fill: (C, H, W).
    segments: int64 (H, W). Returns the coefficients (J,) and the intercept.
    """
    ### BEGIN SOLUTION
    count = int(segments.max()) + 1
    masks = torch.rand(samples, count, generator=generator) < 0.5
    answers = [black_box(hide(image, segments, part, fill)) for part in masks.split(50)]
    return fit_line(masks, torch.cat(answers), proximity(masks, width))
    ### END SOLUTION


# Given, for the tests: keep these functions in the same cell.
def try_lime(
    black_box: Callable[[Tensor], Tensor],
    image: Tensor,
    segments: Tensor,
    fill: Tensor,
    *,
    samples: int,
    width: float = 0.25,
    seed: int = 0,
) -> tuple[Tensor, float]:
    """LIME from this seed."""
    draw = torch.Generator().manual_seed(seed)
    settings = {"samples": samples, "width": width, "generator": draw}
    coefficients, intercept = lime(black_box, image, segments, fill, **settings)
    return coefficients.detach(), float(intercept)


def look() -> Tensor:
    """Explain the cat, and draw the five superpixels that speak most for it."""
    coefficients, _ = try_lime(is_cat, cat, segments, grey, samples=200)
    best = coefficients.topk(5).indices
    seen = torch.where(torch.isin(segments, best), cat, 0.15 * cat + 0.8)
    figure, axes = plt.subplots(1, 2, figsize=(6, 3))
    outlined = mark_boundaries(cat.permute(1, 2, 0).numpy(), segments.numpy())
    show_image(axes[0], torch.from_numpy(outlined).permute(2, 0, 1), "superpixels")
    show_image(axes[1], seen, "the five that speak most for a cat")
    plt.show()
    return coefficients


explained = look()

# %% [markdown]
# Expect the eyes, and the fur about them. Two runs with other coins agree on the first
# few superpixels, not on all: lecture 4.3 says how many samples that takes.

# %% nbgrader={"grade": true, "grade_id": "2c_lime", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
regions = torch.arange(6).repeat_interleave(12).view(6, 12)  # a row for each superpixel
scene = torch.rand(3, 6, 12, generator=torch.Generator().manual_seed(2))
black = torch.zeros_like(scene)
speaks = torch.tensor([0.3, 0.0, 0.0, -0.2, 0.0, 0.1])


def adds_up(images: Tensor) -> Tensor:
    """0.05 more for each visible superpixel's number in `speaks`."""
    visible = (images[:, 0, :, 0] > 0).float()
    return 0.05 + visible @ speaks


coefficients, intercept = try_lime(adds_up, scene, regions, black, samples=60)
assert coefficients.shape == (6,), "return a coefficient for each superpixel"
assert (coefficients - speaks).abs().max() < 1e-3, (
    "this black box adds up its superpixels: LIME must find each one's share"
)
assert "explain" not in ask.source(lime), "write it yourself, without explain"
### BEGIN HIDDEN TESTS
regions = torch.randint(8, (10, 10))
regions.view(-1)[:8] = torch.arange(8)
scene = torch.rand(3, 10, 10)
background = 2 + torch.rand(3, 10, 10)  # no pixel looks like the image's
first = [tuple((regions == s).nonzero()[0].tolist()) for s in range(8)]
mix = 0.5 + torch.rand(8)
asked, batches = [], []


def bent(images: Tensor) -> Tensor:
    """A line and, the same whatever was drawn, a bend; it keeps what it was asked."""
    here = torch.stack([images[:, 0, r, c] == scene[0, r, c] for r, c in first], dim=1)
    asked.append(here)
    batches.append(len(images))
    seen = here.float()
    return seen @ mix + 8 * seen.mean(dim=1) ** 2


settings = {"samples": 130, "width": 0.2}
found, intercept = try_lime(bent, scene, regions, background, seed=3, **settings)
masks = torch.cat(asked)
assert found.shape == (8,), "return a coefficient for each superpixel"
assert len(masks) == 130, "ask about as many pictures as there are samples"
assert max(batches) <= 50, "at most 50 pictures at a time: a laptop has little memory"
share = masks.float().mean()
assert abs(share - 0.5) < 0.1, "half of the superpixels are visible, on average"
kept = masks.float().mean(dim=1)
assert kept.std() > 0.08, "toss a coin for each superpixel of each picture"
answers = bent(
    torch.where(masks[:, regions][:, None], scene, background)
)  # the same answers, for masks that are known now
weights = torch.exp(-((1 - kept.sqrt()) ** 2) / (2 * 0.2**2)).double()
columns = torch.cat([masks, torch.ones(130, 1)], dim=1).double()
gram = columns.T @ (weights[:, None] * columns)
exact = torch.linalg.solve(gram, columns.T @ (weights * answers.double()))
assert (found - exact[:8]).abs().max() < 2e-3, (
    "not the weighted line through the answers to the pictures that were asked: do masks, "
    "answers and weights belong together, row by row, and do near pictures count more?"
)
assert abs(intercept - float(exact[8])) < 2e-3, "the intercept is not that of the line"
again, _ = try_lime(bent, scene, regions, background, seed=3, **settings)
assert torch.equal(found, again), "the same seed must give the same explanation"
other, _ = try_lime(bent, scene, regions, background, seed=4, **settings)
assert not torch.equal(found, other), "toss the coins with the generator that is given"
### END HIDDEN TESTS

# %% [markdown]
# ## Task 3 · Fidelity
#
# *1 point · 15 minutes · ●○○*
#
# Read [lecture 4.3](../../lectures/40_interpretability/lime.ipynb), section *Fidelity
# against complexity*.
#
# A line can always be fitted. Whether it deserves trust is told by the share of the answers'
# variance that it explains, near the photograph:
#
# $$ R^2 = 1 - \frac{\sum_m \pi_m (f_m - g_m)^2}{\sum_m \pi_m (f_m - \bar f)^2},
# \qquad \bar f = \frac{\sum_m \pi_m f_m}{\sum_m \pi_m}. $$
#
# $f_m$ are the black box's answers and $g_m$ those of the line.
#
# **Goal.** Write `fidelity`. (Where all answers are equal there is nothing to explain; you
# need not handle it.)
#
# <details><summary>Hint 1: in which order</summary>
#
# First $\bar f$, then the two sums of squares, then $R^2$.
#
# </details>
#
# <details><summary>Hint 2: where the weights go</summary>
#
# They stand in three places. Check yours: if all weights are five times as large, nothing
# may change.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "3_fidelity_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fidelity(answers: Tensor, line: Tensor, weights: Tensor) -> float:
    """The weighted R² of a line: 1 if it says what the black box says.

    answers, line, weights: (M,); weights are more than 0.
    """
    ### BEGIN SOLUTION
    mean = (weights * answers).sum() / weights.sum()
    missed = (weights * (answers - line) ** 2).sum()
    return float(1 - missed / (weights * (answers - mean) ** 2).sum())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "3_fidelity", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
answers = torch.tensor([0.0, 0.0, 1.0, 1.0])
one = torch.ones(4)
assert abs(fidelity(answers, answers, one) - 1) < TOLERANCE, "a perfect line has R² = 1"
assert abs(fidelity(answers, torch.full((4,), 0.5), one)) < TOLERANCE, (
    "a line that always says the mean explains nothing: R² = 0"
)
### BEGIN HIDDEN TESTS
answers = torch.linspace(0, 1, 50)[torch.randperm(50)]
weights = answers + 0.05  # large answers count more, which moves mean and spread
misses = (0.3 + 0.05 * torch.rand(50)) * (2 * torch.randint(2, (50,)) - 1)
line = answers + misses
middle = float((weights * answers).sum() / weights.sum())
missed = sum(w * (a - g) ** 2 for w, a, g in zip(weights, answers, line, strict=True))
spread = sum(w * (a - middle) ** 2 for w, a in zip(weights, answers, strict=True))
exact = float(1 - missed / spread)
assert abs(fidelity(answers, line, weights) - exact) < 1e-3, (
    "not the weighted R²: do the weights stand in the numerator, in the denominator and "
    "in the mean?"
)
assert abs(fidelity(answers, line, 5 * weights) - exact) < 1e-3, (
    "weights five times as large must change nothing"
)
assert abs(fidelity(3 - 2 * answers, 3 - 2 * line, weights) - exact) < 1e-3, (
    "R² does not depend on the unit of the answers"
)
### END HIDDEN TESTS

# %% [markdown]
# ## Task 4 · Grad-CAM
#
# *2 points (map 1, network 1) · 40 minutes · ●●○*
#
# Read [lecture 4.4](../../lectures/40_interpretability/attributions.ipynb), section *The
# last convolution knows where*.
#
# The last convolution of a network gives maps $A_c$, each about one thing that it can
# see, and where. How much does the class $t$ need each of them? Grad-CAM computes the
# gradient of the class's logit $z_t$ with respect to the maps, averages it over each map,
# and adds up:
#
# $$ \alpha_c = \operatorname{mean}_{ij} \frac{\partial z_t}{\partial A_c(i, j)}, \qquad
#    \text{Grad-CAM}(i, j) = \operatorname{ReLU}\Big(\sum_c \alpha_c A_c(i, j)\Big). $$
#
# **Goal of the first part.** Write `weigh`, the two formulas.
#
# <details><summary>Hint 1: one number for each map</summary>
#
# `gradients` is (C, H, W). Over which dimensions do you average to be left with (C,)?
#
# </details>
#
# <details><summary>Hint 2: the sum over the maps</summary>
#
# Multiply each map by its number, add up over $c$, and cut off what is negative last.
# `torch.einsum` can do the first two at once.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "4a_map_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def weigh(activations: Tensor, gradients: Tensor) -> Tensor:
    """Grad-CAM's map. activations, gradients: (C, H, W). Returns (H, W), 0 or more."""
    ### BEGIN SOLUTION
    alpha = gradients.mean(dim=(1, 2))
    return torch.einsum("c,chw->hw", alpha, activations).relu()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "4a_map", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
maps = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])  # two maps of one row
slopes = torch.tensor([[[2.0, 4.0]], [[-1.0, -1.0]]])
found = weigh(maps, slopes)
assert found.shape == (1, 2), "return one map, (h, w)"
assert abs(found[0, 0] - 3) < TOLERANCE, (
    "the first map's weight is the mean of 2 and 4: average over places, not over maps"
)
assert abs(found[0, 1]) < TOLERANCE, (
    "what speaks against the class is cut to 0, after the sum"
)
### BEGIN HIDDEN TESTS
for shape in ((5, 4, 4), (8, 3, 7), (1, 6, 2)):
    activations, gradients = torch.randn(2, *shape)
    exact = torch.zeros(shape[1:])
    for one_map, slope in zip(activations, gradients, strict=True):
        exact = exact + slope.mean() * one_map
    found = weigh(activations, gradients)
    assert found.shape == exact.shape, "return one map, (h, w)"
    assert (found - exact.clamp_min(0)).abs().max() < TOLERANCE, (
        "not ReLU(sum of mean gradient times map): one weight for each map, the sum over "
        "maps first, and the ReLU last"
    )
### END HIDDEN TESTS

# %% [markdown]
# **On a network** in two parts: `features` ends with the last convolution, and `head` makes
# logits of its maps.
#
# **Goal.** Write `grad_cam`: run the image through `features`, ask for the gradient of the
# target's logit with respect to the maps (`torch.autograd.grad`), weigh, and enlarge the
# result to the image's size with `F.interpolate(..., mode="bilinear",
# align_corners=False)`. Leave nothing behind in the network.
#
# <details><summary>Hint 1: a gradient for the maps alone</summary>
#
# The maps are where the gradient ends. So `features` can run without gradients; then say
# that its result requires one, before `head` sees it.
#
# </details>
#
# <details><summary>Hint 2: shapes</summary>
#
# Networks and `F.interpolate` take batches, (N, C, H, W): here a batch of one image, and a
# batch of one map with one channel. `None` as an index adds a dimension, 0 takes it away.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "4b_network_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def grad_cam(
    features: nn.Module, head: nn.Module, image: Tensor, target: int
) -> Tensor:
    """Where the network sees the target. image: (C, H, W). Returns (H, W), 0 or more."""
    ### BEGIN SOLUTION
    with torch.no_grad():
        activations = features(image[None])  # (1, k, h, w)
    activations.requires_grad_()
    logit = head(activations)[0, target]
    (gradients,) = torch.autograd.grad(logit, activations)
    small = weigh(activations[0].detach(), gradients[0])
    size = image.shape[1:]
    return F.interpolate(
        small[None, None], size=size, mode="bilinear", align_corners=False
    )[0, 0]
    ### END SOLUTION


# Given, for the tests: keep these functions in the same cell.
def parts(state: dict[str, Tensor]) -> tuple[nn.Module, nn.Module]:
    """A small network with these parameters, as features and head."""
    kernels, channels = state["0.weight"].shape[:2]
    features = nn.Sequential(
        nn.Conv2d(channels, kernels, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)
    )
    middle, classes = len(state["3.bias"]), len(state["5.bias"])
    head = nn.Sequential(
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * kernels, middle),
        nn.Tanh(),
        nn.Linear(middle, classes),
    )
    features[0].load_state_dict({n: state[f"0.{n}"] for n in ("weight", "bias")})
    head[2].load_state_dict({n: state[f"3.{n}"] for n in ("weight", "bias")})
    head[4].load_state_dict({n: state[f"5.{n}"] for n in ("weight", "bias")})
    return features.eval(), head.eval()


def try_grad_cam(state: dict[str, Tensor], image: Tensor, target: int) -> dict:
    """Grad-CAM of the network with these parameters; the map, and what it left."""
    features, head = parts(state)
    found = grad_cam(features, head, image, target)
    left = [w.grad for part in (features, head) for w in part.parameters()]
    return {"map": found.detach(), "left": any(g is not None for g in left)}


def see() -> None:
    """Grad-CAM of the cat, on the real network, beside LIME's superpixels."""
    whole = network.network

    def features(images: Tensor) -> Tensor:
        return whole.extract_features(network.normalize(images))

    def head(maps: Tensor) -> Tensor:
        return whole._fc(whole._avg_pooling(maps).flatten(1))

    heat = grad_cam(features, head, photograph, EGYPTIAN_CAT).detach()
    figure, axes = plt.subplots(1, 2, figsize=(6, 3))
    show_image(axes[0], photograph, "what the network saw")
    show_image(axes[1], 0.4 * photograph + 0.6, "where it saw a cat")
    axes[1].imshow(heat, cmap="inferno", alpha=0.6)
    plt.show()


see()


# %% nbgrader={"grade": true, "grade_id": "4b_network", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
def some_network(channels: int, kernels: int, classes: int) -> dict[str, Tensor]:
    """Random parameters for `parts`."""
    return {
        "0.weight": torch.randn(kernels, channels, 3, 3),
        "0.bias": torch.rand(kernels),
        "3.weight": torch.randn(5, 4 * kernels) / (20 * kernels),
        "3.bias": torch.randn(5),
        "5.weight": torch.randn(classes, 5),
        "5.bias": torch.randn(classes),
    }


scene = torch.rand(3, 8, 12)
came = try_grad_cam(some_network(3, 4, 6), scene, 2)
assert came["map"].shape == (8, 12), "return a map of the image's size, (H, W)"
assert came["map"].min() >= 0, "what speaks against the class is cut to 0"
### BEGIN HIDDEN TESTS


def total(state: dict[str, Tensor], image: Tensor, target: int) -> Tensor:
    """The sum of mean gradient times map, by formulas alone: (1, 1, h, w)."""
    maps = F.conv2d(image[None], state["0.weight"], state["0.bias"], padding=1)
    maps = F.avg_pool2d(maps.relu(), 2).requires_grad_()
    middle = F.linear(
        F.adaptive_avg_pool2d(maps, 2).flatten(1), state["3.weight"], state["3.bias"]
    ).tanh()
    logits = F.linear(middle, state["5.weight"], state["5.bias"])
    (slope,) = torch.autograd.grad(logits[0, target], maps)
    slope = slope.mean(dim=(2, 3), keepdim=True)
    return (slope * maps).sum(dim=1, keepdim=True).detach()


for channels, kernels, classes, size in ((3, 10, 4, (8, 8)), (1, 12, 2, (12, 6))):
    state, image = some_network(channels, kernels, classes), torch.rand(channels, *size)
    state["0.weight"][0].abs_()  # one map at least is not empty
    # What speaks for a class speaks against the next one, and by 1 at its strongest: so
    # of their two maps one has a place of 1 where the other has 0.
    last = state["5.weight"]
    for target in range(0, classes, 2):
        last[target] /= total(state, image, target).abs().max()
        last[target + 1] = -last[target]
    for target in range(classes):
        came, small = (
            try_grad_cam(state, image, target),
            total(state, image, target).relu(),
        )
        exact = F.interpolate(small, size=size, mode="bilinear", align_corners=False)[
            0, 0
        ]
        assert came["map"].shape == exact.shape, "return a map of the image's size"
        assert (came["map"] - exact).abs().max() < 1e-3, (
            "not Grad-CAM of the target's logit: the gradient of the logit, not of a "
            "probability, with respect to the maps, and bilinear enlargement"
        )
        assert not came["left"], (
            "gradients were left in the network's parameters: use torch.autograd.grad"
        )
### END HIDDEN TESTS

# %% [markdown]
# ## Task 5 · Explain
#
# *2 points · 20 minutes · graded by a human, with the rubrics below*
#
# ### a. Two answers to one question (1 point)
#
# Read [lecture 4.4](../../lectures/40_interpretability/attributions.ipynb), sections *Cover
# a part, and ask again* and *The last convolution knows where*.
#
# In three to five sentences: where do LIME and Grad-CAM agree about the cat, where not, and
# what in their construction makes them differ?
#
# *Rubric.* ½ point: an agreement and a difference that can be seen in the two pictures.
# ½ point: a reason (hidden parts against gradients, superpixels against a coarse grid,
# probability against logit, pictures that the network never saw in training).
#
# <details><summary>Hint: what to look at</summary>
#
# Look at the two pictures side by side: at borders, at the size of the smallest thing that
# is marked, at what is marked in one alone. Then ask of each method what it was given.
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "5a_two", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# Both point at the face and not at the background: Grad-CAM's heat lies on the left eye, the
# cheek and the nose, and among LIME's best superpixels are pieces of an eye and of the fur
# beside the nose. LIME's regions have sharp borders, for they are superpixels that were
# given to it, while Grad-CAM's blob comes from seven by seven cells that were enlarged, so
# it cannot say where an eye ends. LIME may also name a piece that means little: it asks
# what happens if a piece turns grey, and grey patches are pictures that the network never
# saw in training. Grad-CAM looks at one picture and its gradient, at the logit and not the
# probability, so a class that competes with the cat does not enter.

# %% [markdown]
# ### b. A wolf on green grass (1 point)
#
# Read [lecture 4.6](../../lectures/40_interpretability/when_explanations_lie.ipynb), section
# *The question: husky or wolf?*.
#
# A colleague's network tells huskies from wolves, right for 95 of 100 test photographs. In
# three to five sentences: which experiment with your functions would tell whether it looks
# at the animal or at the snow, what would you see in either case, and what would still not
# be proved?
#
# *Rubric.* ½ point: an experiment with both outcomes (share of the explanation on the
# background, or hiding and swapping the background). ½ point: a limit (a few photographs,
# no ground truth, an explanation that is stable and wrong, correlated cues).
#
# <details><summary>Hint: what your functions can do</summary>
#
# Superpixels need not come from colours: which two regions matter here? And `hide` takes any
# fill, also another photograph.
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "5b_wolf", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# I would explain fifty test photographs with LIME, with one superpixel for the animal and
# the others for the background, and compare the animal's coefficient with the sum of the
# rest. If the network looks at the animal, hiding the background changes little; if it
# looks at snow, the snow carries the weight, and a wolf that I paste onto grass is called a
# husky. The pasted picture is the stronger evidence, because it changes the answer and not
# only a number that I computed. Neither proves that the network sees what we call a wolf:
# it may use the shape of the collar, or anything else that goes with the animal, and fifty
# photographs say little about the next one.

# %% [markdown]
# ## Before you submit
#
# Restart the kernel, run all cells, save, and run `tml check h4_explanations.ipynb`. It
# lists what is missing, and says `ready to submit` when nothing is.
